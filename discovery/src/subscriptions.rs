//! Subscriptions of this node's: to whom, for what, and when each is said again.
//!
//! What comes of one is a feed like any other; where it has a gap, the subscription is said anew, and its answer is a
//! whole snapshot.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AskId, NodeId, Span, Time};
use rear_proto::{Extensions, Selector, flavour::Party, local::Realm, message};
use serde::{Deserialize, Serialize};

/// The word for all catalogues in [`Subscribe::to`].
pub const CATALOGUES: &str = "catalogues";
/// The longest wait before one that refused is asked again.
const LONGEST_WAIT: Span = Span::secs(60);

/// A standing wish for others' offers, as it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Subscribe {
    /// From whom: the name of a partner, or `catalogues` for every catalogue. The first wish that fits is the one.
    pub to: String,
    /// What is wanted; without, everything.
    #[serde(default, with = "text")]
    pub selector: Selector,
}

/// A selector in its text form.
mod text {
    use rear_proto::Selector;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(selector: &Selector, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(selector)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Selector, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The subscriptions that stand.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    standing: BTreeMap<NodeId, Subscription>,
    due: BTreeSet<(Time, NodeId)>,
}

/// A subscription at one node.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) to: Party,
    pub(crate) realm: Realm,
    selector: Selector,
    due: Option<Time>,
    asked: Option<Time>,
    under_way: Option<AskId>,
    failures: u32,
}

impl Subscriptions {
    /// Wants what a node offers; what it wants already goes on.
    pub(crate) fn want(&mut self, now: Time, to: Party, realm: Realm, selector: &Selector) {
        if let Some(known) = self.standing.get_mut(&to.node)
            && (&known.realm, &known.selector) == (&realm, selector)
        {
            known.to = to;
            return;
        }
        self.end(&to.node);
        let selector = selector.clone();
        let due = Some(now);
        self.put(Subscription { to, realm, selector, due, asked: None, under_way: None, failures: 0 });
    }

    /// Wants nothing more of a node.
    pub(crate) fn end(&mut self, node: &NodeId) {
        drop(self.take(node));
    }

    /// Returns the subscription at a node.
    pub(crate) fn at(&self, node: &NodeId) -> Option<&Subscription> {
        self.standing.get(node)
    }

    /// Returns when the first is to be said, and to whom.
    pub(crate) fn due(&self) -> Option<(Time, NodeId)> {
        self.due.first().copied()
    }

    /// Returns what to say to a node, by that question, to stand for `within`.
    pub(crate) fn say(
        &mut self,
        now: Time,
        node: &NodeId,
        ask: AskId,
        within: Span,
    ) -> Option<(Party, message::Subscribe)> {
        let mut subscription = self.take(node)?;
        let said =
            message::Subscribe { selector: subscription.selector.clone(), within, extensions: Extensions::new() };
        let to = subscription.to.clone();
        (subscription.due, subscription.asked, subscription.under_way) = (None, Some(now), Some(ask));
        self.put(subscription);
        Some((to, said))
    }

    /// Says to whom a question was that is under way.
    pub(crate) fn asked(&self, ask: &AskId) -> Option<NodeId> {
        self.standing.iter().find(|(_, subscription)| subscription.under_way == Some(*ask)).map(|(node, _)| *node)
    }

    /// Takes note of an answer: `taken` where it was a snapshot.
    pub(crate) fn answered(&mut self, now: Time, node: &NodeId, taken: bool, within: Span) {
        let Some(mut subscription) = self.take(node) else { return };
        subscription.under_way = None;
        if taken {
            subscription.failures = 0;
            subscription.due = Some(now + within.divided(2));
        } else {
            subscription.failures = subscription.failures.saturating_add(1);
            let wait = Span::secs(1 << subscription.failures.min(6)).min(LONGEST_WAIT);
            subscription.due = Some(now + wait);
        }
        self.put(subscription);
    }

    /// What a node told had a gap: it is to be read anew, though not more often than `every`.
    pub(crate) fn gap(&mut self, now: Time, node: &NodeId, every: Span) {
        let Some(mut subscription) = self.take(node) else { return };
        if subscription.under_way.is_none() {
            let soonest = subscription.asked.map_or(now, |asked| now.max(asked + every));
            subscription.due = Some(subscription.due.map_or(soonest, |due| due.min(soonest)));
        }
        self.put(subscription);
    }

    fn take(&mut self, node: &NodeId) -> Option<Subscription> {
        let subscription = self.standing.remove(node)?;
        if let Some(at) = subscription.due {
            self.due.remove(&(at, *node));
        }
        Some(subscription)
    }

    fn put(&mut self, subscription: Subscription) {
        let node = subscription.to.node;
        self.due.extend(subscription.due.map(|at| (at, node)));
        self.standing.insert(node, subscription);
    }
}
