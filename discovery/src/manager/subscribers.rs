//! Being subscribed to: who may be told of what there is without asking, and how many.

use kernel::{NodeId, Span, Time};
use rear_proto::{Answer, Code, Refusal, Request, Selector, flavour::Party, local::Caller, membership::Role, message};

use super::{Manager, feeds::domain_of, serving::has_few_words};
use crate::{answering, feeds::Kind};

/// The most subscribers of one domain: as many as a large domain has supernodes.
const SUBSCRIBERS_PER_DOMAIN: usize = 16;
/// The most words in another domain's wish: it is held against thousands of offers for each message.
const WORDS: usize = 32;
/// The longest that a subscription stands without being said again.
const LONGEST_SUBSCRIPTION: Span = Span::secs(3600);

impl Manager {
    /// Answers a SUBSCRIBE with all that its sender may see; what changes follows.
    pub(super) fn subscribed(
        &mut self,
        now: Time,
        from: NodeId,
        caller: Caller,
        wish: &message::Subscribe,
    ) -> Result<Answer, Refusal> {
        let may = match (self.border.role(), caller) {
            (Role::Supernode, Caller::Member(_) | Caller::Partner { on: true, .. }) => true,
            (Role::Catalogue, Caller::Member(_) | Caller::Partner { .. } | Caller::Visitor { .. }) => true,
            (Role::Supernode, Caller::Partner { on: false, .. } | Caller::Visitor { .. } | Caller::Stranger)
            | (Role::Catalogue, Caller::Stranger)
            | (Role::Node, _) => false,
        };
        if !may {
            return Err(Refusal::new(Code::NotShared, "there is nothing to subscribe to here"));
        }
        if !matches!(caller, Caller::Member(_)) {
            has_few_words(&wish.selector, WORDS)?;
        }
        match self.telling.feeds.of(&from).map(|feed| &feed.kind) {
            Some(Kind::Supernode | Kind::Catalogue) => {
                return Err(Refusal::new(Code::NotShared, "this node tells you of its offers as it is"));
            }
            Some(Kind::Subscriber { .. }) => {}
            None => self.has_room_for(now, caller)?,
        }
        let selector = Selector { filters: answering::for_provider(&wish.selector).filters };
        let until = now + wish.within.min(LONGEST_SUBSCRIPTION);
        let to = Party { node: from, addresses: Vec::new() };
        self.telling.feeds.open(now, to, Kind::Subscriber { caller, selector, until });
        let nothing = || Refusal::new(Code::Unavailable, "there is nothing to tell");
        let mut feed = self.telling.feeds.take(&from).ok_or_else(nothing)?;
        let first = self.next_message(now, &mut feed);
        // The answer travels by itself: what follows must not overtake it.
        feed.delay(now + self.config.feed_every);
        self.telling.feeds.put(feed);
        match first {
            Some(Request::Advertise(snapshot)) => Ok(Answer::Snapshot(snapshot)),
            _ => Err(nothing()),
        }
    }

    fn has_room_for(&mut self, now: Time, caller: Caller) -> Result<(), Refusal> {
        let domain = domain_of(&caller, self.border.home());
        let (mut all, mut of_domain, mut over) = (0, 0, Vec::new());
        for feed in self.telling.feeds.iter() {
            let Kind::Subscriber { caller, until, .. } = &feed.kind else { continue };
            if *until <= now {
                over.push(feed.to.node);
                continue;
            }
            all += 1;
            of_domain += usize::from(domain_of(caller, self.border.home()) == domain);
        }
        for node in over {
            self.telling.feeds.close(&node);
        }
        if all < self.config.subscribers && of_domain < SUBSCRIBERS_PER_DOMAIN {
            return Ok(());
        }
        let text = format!("{all} subscribe here, {of_domain} of them of your domain");
        Err(Refusal::new(Code::Overloaded, text).retry_after(self.config.subscribe_within))
    }
}
