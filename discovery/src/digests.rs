//! Capacity digests: what partners' supernodes are told of this domain's offers, and what they have told of theirs.
//!
//! ```text
//!  an offer of the domain changes ─┬─ it may match what was denied ─► added ─► told a moment later
//!                                  └─ anything else ─────────────────► looked at again some seconds later, all of it
//!  what was told, and nothing has changed ───────────────────────────► told again as a heartbeat
//! ```
//! What partners may see differs only by the rules that are for them, so there is one *outline* for each set of rules.
//! An outline never says less than there is; it may say more until it is looked at again. Nothing here knows who may see
//! what.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AskId, DomainKey, NodeId, Span, Time};
use rear_proto::{
    CapacityDigest, Epoch, Extensions, Selector,
    capacity::{Gathering, Group},
    door::MAX_LIFETIME,
    flavour::{Domain, Party},
};

/// For how many heartbeats a digest may be relied on: one may be lost, and the next be late.
const HEARTBEATS: u64 = 3;
/// How often an outline grows between two looks at all of it. One that grows more often says that there may be anything,
/// until the next: so no more than these are told within that time, and what comes and goes fast is asked for as if
/// there were no digests.
const MOST_GROWTHS: u32 = 3;
/// The wait before a receiver that did not take a digest is told again; it doubles, up to a heartbeat.
const AGAIN: Span = Span::secs(1);

/// Which rules of exposure are for a partner, by their places in the configuration.
pub(crate) type Rules = Vec<usize>;

/// When what is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// What has grown waits so long for others.
    pub(crate) growth: Span,
    /// What has shrunk waits so long.
    pub(crate) shrink: Span,
    /// What is as it was is said again after this.
    pub(crate) heartbeat: Span,
}

/// The digests, in both directions.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    outlines: BTreeMap<Rules, Outline>,
    receivers: BTreeMap<NodeId, Receiver>,
    due: BTreeSet<(Time, NodeId)>,
    asks: BTreeMap<AskId, NodeId>,
    /// The number of the last digest that was told: no earlier than its time.
    last: Epoch,
    /// Until when it is not known what there is: after a start again, until the domain's nodes are back.
    blank: Time,
    heard: BTreeMap<NodeId, Heard>,
}

/// What there is for those who see it by the same rules.
#[derive(Debug)]
struct Outline {
    /// In whose eyes it is seen: those of one who is told.
    viewer: DomainKey,
    domain: Domain,
    said: Said,
    /// Grows with every change to what is said.
    version: u64,
    /// How often it has grown since all was looked at.
    growths: u32,
    /// Until when what grows is of the same growth.
    growing: Option<Time>,
    /// When to look at all of it again.
    look: Option<Time>,
}

/// What an outline says.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// There may be anything.
    Everything,
    /// There is nothing but these.
    These(Gathering),
}

/// A partner's supernode that is told.
#[derive(Debug)]
struct Receiver {
    to: Party,
    viewer: DomainKey,
    rules: Rules,
    /// Which version it was told, and by which question.
    told: Option<(u64, AskId)>,
    failures: u32,
    due: Time,
}

/// What a partner's supernode has told.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) digest: CapacityDigest,
    /// When.
    pub(crate) at: Time,
    /// Until when it may be relied on.
    until: Time,
}

impl Said {
    fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, Self::Everything) => true,
            (Self::These(a), Self::These(b)) => a.says_the_same(b),
            (Self::Everything, Self::These(_)) | (Self::These(_), Self::Everything) => false,
        }
    }
}

impl Digests {
    /// Begins a life: digests of this one are later than those of all before. One that starts again says that there may
    /// be anything until `blank`: its nodes are still there, and have yet to find it and to advertise anew.
    pub(crate) const fn begin(&mut self, starts: u32, blank: Time) {
        self.last = Epoch { starts, changes: 0 };
        if starts > 1 {
            self.blank = blank;
        }
    }

    // -- who is told --------------------------------------------------------------------------------------

    /// Begins to tell a partner's supernode, or goes on where it is told by the same rules already.
    pub(crate) fn open(&mut self, now: Time, to: Party, viewer: DomainKey, rules: Rules) {
        let node = to.node;
        if self.receivers.get(&node).is_some_and(|receiver| receiver.rules == rules) {
            return;
        }
        self.close(&node);
        let missing = || Outline {
            viewer,
            domain: Domain { key: viewer, name: String::new() },
            said: Said::Everything,
            version: 0,
            growths: 0,
            growing: None,
            look: Some(now),
        };
        self.outlines.entry(rules.clone()).or_insert_with(missing);
        self.due.insert((now, node));
        self.receivers.insert(node, Receiver { to, viewer, rules, told: None, failures: 0, due: now });
    }

    /// Tells a node nothing more.
    pub(crate) fn close(&mut self, node: &NodeId) {
        let Some(Receiver { rules, due, .. }) = self.receivers.remove(node) else { return };
        self.due.remove(&(due, *node));
        self.asks.retain(|_, asked| asked != node);
        // Who is told nothing more may see nothing more either, so it is seen in another's eyes.
        match self.receivers.values().find(|other| other.rules == rules) {
            Some(other) => {
                if let Some(outline) = self.outlines.get_mut(&rules) {
                    outline.viewer = other.viewer;
                }
            }
            None => {
                self.outlines.remove(&rules);
            }
        }
    }

    /// Returns who is told.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &NodeId> {
        self.receivers.keys()
    }

    // -- what is said -------------------------------------------------------------------------------------

    /// Takes note of offers that have changed, or are gone, as each outline's viewers see them.
    pub(crate) fn touched(
        &mut self,
        now: Time,
        pace: &Pace,
        home: &Domain,
        seen: impl Fn(DomainKey) -> Vec<Option<Group>>,
    ) {
        let mut grown = Vec::new();
        for (rules, outline) in &mut self.outlines {
            // Where nothing may be seen, nothing changes.
            if rules.is_empty() {
                continue;
            }
            if outline.domain != *home {
                outline.look = Some(now);
            }
            outline.look.get_or_insert(now + pace.shrink);
            let Said::These(known) = &outline.said else { continue };
            let more: Vec<Group> =
                seen(outline.viewer).into_iter().flatten().filter(|one| !known.covers(one)).collect();
            if !more.is_empty() {
                outline.grow(now, pace, more);
                grown.push(rules.clone());
            }
        }
        for rules in grown {
            self.tell_at(now + pace.growth, &rules);
        }
    }

    /// Everything is to be looked at again at once: who may see what has changed.
    pub(crate) fn exposed(&mut self, now: Time) {
        self.outlines.values_mut().for_each(|outline| outline.look = Some(now));
    }

    /// Returns an outline that is to be looked at, and in whose eyes.
    pub(crate) fn to_look_at(&self, now: Time) -> Option<(Rules, DomainKey)> {
        let due = |outline: &&Outline| outline.look.is_some_and(|at| at <= now);
        let viewer = |(rules, outline): (&Rules, &Outline)| (rules.clone(), outline.viewer);
        self.outlines.iter().find(|(_, outline)| due(outline)).map(viewer)
    }

    /// Takes in what is there: all of it was looked at.
    pub(crate) fn looked(&mut self, now: Time, rules: &Rules, domain: Domain, said: Said) {
        let Some(outline) = self.outlines.get_mut(rules) else { return };
        (outline.look, outline.growths, outline.growing) = (None, 0, None);
        let is_blank = now < self.blank && !rules.is_empty();
        let said = if is_blank { Said::Everything } else { said };
        if is_blank {
            outline.look = Some(self.blank);
        }
        if outline.version > 0 && outline.domain == domain && outline.said.is_the_same(&said) {
            // The numbers of offers, which alone may differ, go with the next that is told.
            outline.said = said;
            return;
        }
        (outline.domain, outline.said) = (domain, said);
        outline.version += 1;
        self.tell_at(now, rules);
    }

    /// Lets all who see by these rules be told by then, where they do not know it yet.
    fn tell_at(&mut self, at: Time, rules: &Rules) {
        let Some(version) = self.outlines.get(rules).map(|outline| outline.version) else { return };
        for (node, receiver) in self.receivers.iter_mut().filter(|(_, receiver)| receiver.rules == *rules) {
            let knows = receiver.told.is_some_and(|(told, _)| told == version);
            if !knows && at < receiver.due {
                self.due.remove(&(receiver.due, *node));
                self.due.insert((at, *node));
                receiver.due = at;
            }
        }
    }

    /// Returns a digest that is due, and who is told it, by this question.
    pub(crate) fn next(&mut self, now: Time, pace: &Pace, ask: AskId) -> Option<(Party, CapacityDigest)> {
        let (_, node) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        let receiver = self.receivers.get_mut(&node)?;
        let outline = self.outlines.get(&receiver.rules)?;
        // Time goes on more than messages do, so a partner can't count by the numbers what others are told.
        self.last.changes = self.last.changes.saturating_add(1).max(now.0);
        let (groups, everything) = match &outline.said {
            Said::Everything => (Vec::new(), true),
            Said::These(these) => (these.groups().to_vec(), false),
        };
        let digest = CapacityDigest {
            number: self.last,
            domain: outline.domain.clone(),
            groups,
            everything,
            expires_in: pace.heartbeat.times(HEARTBEATS).min(MAX_LIFETIME),
            extensions: Extensions::new(),
        };
        receiver.told = Some((outline.version, ask));
        self.asks.insert(ask, node);
        let to = receiver.to.clone();
        self.put_off(now + pace.heartbeat, &node);
        Some((to, digest))
    }

    /// Takes in whether a digest was taken; says whether the question was one of those.
    pub(crate) fn answered(&mut self, now: Time, pace: &Pace, ask: &AskId, is_taken: bool) -> bool {
        let Some(node) = self.asks.remove(ask) else { return false };
        let Some(receiver) = self.receivers.get_mut(&node) else { return true };
        // What became of an earlier one is of no account: each says all.
        if receiver.told.is_none_or(|(_, last)| last != *ask) {
            return true;
        }
        if is_taken {
            receiver.failures = 0;
        } else {
            let wait = Span(AGAIN.0 << receiver.failures.min(16)).min(pace.heartbeat);
            receiver.failures = receiver.failures.saturating_add(1);
            receiver.told = None;
            // What has grown meanwhile does not wait for it.
            let at = receiver.due.min(now + wait);
            self.put_off(at, &node);
        }
        true
    }

    fn put_off(&mut self, to: Time, node: &NodeId) {
        let Some(receiver) = self.receivers.get_mut(node) else { return };
        self.due.remove(&(receiver.due, *node));
        self.due.insert((to, *node));
        receiver.due = to;
    }

    /// Returns when there is something to look at, or to tell.
    pub(crate) fn due(&self) -> Option<Time> {
        let looks = self.outlines.values().filter_map(|outline| outline.look);
        looks.chain(self.due.first().map(|(at, _)| *at)).min()
    }

    // -- what is heard ------------------------------------------------------------------------------------

    /// Takes in what a partner's supernode says; an earlier word than what is known changes nothing.
    pub(crate) fn hear(&mut self, now: Time, from: NodeId, digest: CapacityDigest, longest: Span) {
        if self.heard.get(&from).is_some_and(|known| known.digest.number >= digest.number) {
            return;
        }
        let until = now + digest.expires_in.min(longest);
        self.heard.insert(from, Heard { digest, at: now, until });
    }

    /// Believes no more what a node has told: it is gone, or here anew, and says it again.
    pub(crate) fn unhear(&mut self, node: &NodeId) {
        self.heard.remove(node);
    }

    /// Returns what a node has told that may be relied on.
    pub(crate) fn of(&self, now: Time, node: &NodeId) -> Option<&Heard> {
        self.heard.get(node).filter(|heard| now < heard.until)
    }
}

impl Outline {
    /// Adds what was denied so far.
    fn grow(&mut self, now: Time, pace: &Pace, more: Vec<Group>) {
        if self.growing.is_none_or(|until| until <= now) {
            self.growing = Some(now + pace.growth);
            self.growths += 1;
        }
        self.version += 1;
        match &mut self.said {
            Said::These(these) if self.growths <= MOST_GROWTHS => {
                more.into_iter().for_each(|one| these.add(one));
                these.fit();
            }
            said => *said = Said::Everything,
        }
    }
}

impl Heard {
    /// Says whether nothing of theirs can match.
    pub(crate) fn excludes(&self, selector: &Selector) -> bool {
        !self.digest.may_have(selector)
    }
}
