//! HELLO: who is at the other end of a connection, and what it knows of the domain that we do not.

use kernel::{AskId, NodeId, Ticket, Time};
use rear_proto::{Answer, Code, Extensions, Refusal, Request, flavour::Party, message::Hello, signed::alike};

use super::{Asked, Manager, bounded};
use crate::{authorise::not_a_member, mail::Effect, record, timers::Timer};

/// The extension of HELLO that says in which of its lives a node is: how often it has started.
pub(super) const LIFE: u16 = 2;

/// The extension of HELLO, of no bytes, that says that the one before was not answered: whom the other may have named
/// in its answer is not known here.
const UNANSWERED: u16 = 5;

/// How often the time to the next HELLO doubles, where none is answered.
pub(super) const DOUBLINGS: u32 = 5;

impl Manager {
    pub(super) fn peer_up(&mut self, now: Time, party: Party, out: &mut Vec<Effect>) {
        let Party { node, addresses } = party;
        if node == self.me || self.is_blocked(&node) {
            return;
        }
        let is_new = !self.peers.contains_key(&node);
        let peer = self.peers.entry(node).or_default();
        peer.addresses = alike::list(bounded(addresses));
        // Who has proven to be a member before is one now: the connection proves its key.
        self.settle(now, node, out);
        if is_new {
            self.say_hello(now, node, out);
        }
    }

    pub(super) fn peer_down(&mut self, node: &NodeId, out: &mut Vec<Effect>) {
        self.timers.cancel(Timer::Hello(*node));
        self.timers.cancel(Timer::ShareWith(*node));
        self.visitors.forget(node);
        if self.peers.remove(node).is_some_and(|peer| peer.told.is_some()) {
            out.push(Effect::MemberDown { node: *node });
        }
    }

    /// Says HELLO to a node that is connected.
    pub(super) fn say_hello(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        self.timers.cancel(Timer::Hello(node));
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let to = Party { node, addresses: peer.addresses.to_vec() };
        if peer.hello.is_some() {
            // Whom it was told of in that one may not come.
            peer.introduced = false;
        }
        let hello = self.hello(now, &node);
        let ask = self.ask(Asked::Hello(node), to, Request::Hello(hello), out);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.hello = Some(ask);
        }
    }

    /// Returns what this node says of itself; where it is to be found is for members, partners and catalogues, and
    /// whom it knows is for members.
    fn hello(&mut self, now: Time, to: &NodeId) -> Hello {
        let is_member = self.is_live(now, to);
        let mut extensions = self.acquaintances(now, to);
        if is_member {
            extensions.insert(LIFE, self.life.to_vec());
        } else {
            extensions.extend(self.asides(to));
        }
        if self.peers.get(to).is_some_and(|peer| peer.unanswered > 0) {
            extensions.insert(UNANSWERED, Vec::new());
        }
        Hello {
            credentials: self.credentials(),
            descriptor: self.charter.as_ref().and_then(|charter| charter.descriptor().cloned()),
            addresses: if is_member || self.is_near(to) { self.addresses.clone() } else { Vec::new() },
            now,
            extensions,
        }
    }

    /// A node says HELLO: it is told the same, whoever it is.
    pub(super) fn greeted(&mut self, now: Time, ticket: Ticket, from: NodeId, hello: &Hello, out: &mut Vec<Effect>) {
        let answer = if self.is_blocked(&from) {
            not_a_member().into()
        } else if let Err(after) = self.hellos.admit(now, &from) {
            let text = format!("over {} HELLOs of one node in {}", self.config.hellos, self.config.rate_window);
            Refusal::new(Code::Overloaded, text).retry_after(after).into()
        } else {
            self.learn(now, from, hello, out);
            Answer::Hello(self.hello(now, &from))
        };
        out.push(Effect::Reply { ticket, answer });
    }

    pub(super) fn hello_answered(
        &mut self,
        now: Time,
        ask: AskId,
        from: NodeId,
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let is_last = peer.hello == Some(ask);
        if is_last {
            peer.hello = None;
        }
        if let Ok(Answer::Hello(hello)) = answer {
            peer.unanswered = 0;
            self.timers.cancel(Timer::Hello(from));
            self.learn(now, from, &hello, out);
            self.share_anew(now, from, out);
        } else if is_last {
            let wait = self.config.hello_retry.times(1 << peer.unanswered.min(DOUBLINGS));
            let wait = match answer {
                Err(refusal) => wait.max(refusal.retry_after.unwrap_or_default().min(self.config.rate_window)),
                Ok(_) => wait,
            };
            peer.unanswered = peer.unanswered.saturating_add(1);
            // Whom it was told of in it may not have come.
            peer.introduced = false;
            self.timers.set_later(Timer::Hello(from), now, now + wait);
        }
    }

    /// Takes in what a node says of itself and of the domain; every word of it hangs on a signature.
    ///
    /// Who it is comes first: a description, which is long, is read only from who is certified.
    fn learn(&mut self, now: Time, from: NodeId, hello: &Hello, out: &mut Vec<Effect>) {
        let Hello { credentials, descriptor, addresses, extensions, now: _ } = hello;
        let mut is_news = false;
        if let (Some(charter), Some(credentials)) = (&mut self.charter, credentials)
            && charter.learn_list(&credentials.list, now)
        {
            is_news = true;
            self.keep_credentials(out);
            let members: Vec<NodeId> = self.members.iter().map(|(node, _)| *node).collect();
            for node in members {
                self.reconsider(now, node, out);
            }
        }
        let mut is_certified = false;
        if let (Some(charter), Some(credentials)) = (&self.charter, credentials) {
            // Also who was removed may know of others that were.
            is_certified = charter.verify(&credentials.certificate, &from, now).is_ok();
            self.admit(now, from, &credentials.certificate, bounded(addresses.clone()), out);
        }
        if is_certified && let (Some(charter), Some(descriptor)) = (&mut self.charter, descriptor) {
            let news = charter.learn_descriptor(descriptor, now);
            if news.adopted {
                is_news = true;
                out.push(Effect::Keep(record::descriptor(descriptor)));
                self.schedule_reissue(now);
                self.keep_supernodes(out);
            }
            for (node, until) in news.revoked {
                is_news = true;
                self.removed(node, until, out);
            }
        }
        if !is_certified && !self.is_live(now, &from) {
            self.learn_abroad(now, from, hello, out);
        }
        self.hear_of(now, &from, extensions, out);
        self.notice_rebirth(now, from, extensions, out);
        if extensions.contains_key(&UNANSWERED)
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.introduced = false;
        }
        if let Some(member) = self.members.get_mut(&from) {
            member.heard(now);
        }
        if is_news {
            self.spread(now, out);
        }
        self.tend(now, out);
    }

    /// A node that has restarted is up anew, even where its old connections have not been found dead yet: whatever
    /// it was told before, it may have forgotten.
    fn notice_rebirth(&mut self, now: Time, node: NodeId, extensions: &Extensions, out: &mut Vec<Effect>) {
        let life = extensions.get(&LIFE).and_then(|life| <[u8; 4]>::try_from(life.as_slice()).ok());
        let (Some(life), Some(peer)) = (life, self.peers.get_mut(&node)) else { return };
        if peer.life.replace(life).is_some_and(|before| before != life) {
            peer.told = None;
            peer.introduced = false;
            self.settle(now, node, out);
        }
    }

    /// Passes on what is new, in a HELLO to every member, partner and catalogue that is here; at most one round in a
    /// while.
    pub(super) fn spread(&mut self, now: Time, out: &mut Vec<Effect>) {
        let next = self.last_spread.map(|last| last + self.config.spread_every);
        if let Some(next) = next
            && next > now
        {
            self.timers.set(Timer::Spread, next);
            return;
        }
        self.last_spread = Some(now);
        self.timers.cancel(Timer::Spread);
        let here: Vec<NodeId> =
            self.peers.iter().filter(|(_, peer)| peer.told.is_some()).map(|(node, _)| *node).collect();
        for node in here {
            self.say_hello(now, node, out);
        }
    }

    /// This node's own addresses have changed: members and partners are told.
    pub(super) fn moved(&mut self, now: Time, addresses: Vec<String>, out: &mut Vec<Effect>) {
        let addresses = bounded(addresses);
        if addresses != self.addresses {
            self.addresses = addresses;
            self.spread(now, out);
            self.tend(now, out);
        }
    }
}
