//! Feeds, the receiving side: which message of each sender is due, and what each has told.
//!
//! A sender's feeds have growing ids while a connection lasts, so one that comes late is told from one that is new.
//! Whatever is not the next of its feed changes nothing: the answer says which number is due, and the sender begins
//! anew. Nothing here knows whether what is told may be believed.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{DomainKey, NodeId, Span, Time};

use crate::index::OfferKey;

/// What was told: for which viewer, where it was published, and which offer.
pub(crate) type Told = (Option<DomainKey>, OfferKey);

/// What is known of each sender's feed.
#[derive(Debug, Default)]
pub(crate) struct Inbox(BTreeMap<NodeId, Sender>);

/// A sender.
#[derive(Debug, Default)]
struct Sender {
    /// Its feed; none where it is to begin one.
    feed: Option<u64>,
    next: u64,
    /// What the snapshot that is under way has told so far.
    snapshot: Option<BTreeSet<Told>>,
    /// What it has told that may still hold.
    told: BTreeSet<Told>,
    /// When all of that was last said to hold on.
    prolonged: Option<Time>,
}

/// The longest for which the word that everything holds on is not acted upon again: half of the shortest life that a
/// sender of very many offers may give them.
const LONGEST_PAUSE: Span = Span::secs(5);

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the one that was due.
    Due,
    /// It has been taken already.
    Repeated,
    /// It is not the one that was due.
    Gap,
}

impl Inbox {
    /// Finds the place of a message in its sender's feed; `advertises` where it is of a snapshot.
    pub(crate) fn place(&mut self, from: NodeId, feed: u64, number: u64, advertises: bool) -> Place {
        let known = self.0.get(&from);
        if known.is_none_or(|sender| sender.feed < Some(feed)) {
            if number != 0 || !advertises {
                return Place::Gap;
            }
            let sender = self.0.entry(from).or_default();
            (sender.feed, sender.next, sender.snapshot) = (Some(feed), 0, Some(BTreeSet::new()));
            return Place::Due;
        }
        match known {
            Some(sender) if sender.feed == Some(feed) && number < sender.next => Place::Repeated,
            // A snapshot is told to its end before anything else.
            Some(sender)
                if sender.feed == Some(feed) && number == sender.next && sender.snapshot.is_some() == advertises =>
            {
                Place::Due
            }
            _ => Place::Gap,
        }
    }

    /// Returns which number is due in a feed.
    pub(crate) fn next(&self, from: &NodeId, feed: u64) -> u64 {
        self.0.get(from).filter(|sender| sender.feed == Some(feed)).map_or(0, |sender| sender.next)
    }

    /// Takes note that a message was taken.
    pub(crate) fn taken(&mut self, from: &NodeId) {
        if let Some(sender) = self.0.get_mut(from) {
            sender.next = sender.next.saturating_add(1);
        }
    }

    /// Takes note of an offer.
    pub(crate) fn told(&mut self, from: &NodeId, offer: Told) {
        if let Some(sender) = self.0.get_mut(from) {
            sender.told.insert(offer);
            if let Some(snapshot) = &mut sender.snapshot {
                snapshot.insert(offer);
            }
        }
    }

    /// Takes note that an offer holds no more.
    pub(crate) fn untold(&mut self, from: &NodeId, offer: &Told) {
        if let Some(sender) = self.0.get_mut(from) {
            sender.told.remove(offer);
            if let Some(snapshot) = &mut sender.snapshot {
                snapshot.remove(offer);
            }
        }
    }

    /// An offer has lapsed: its sender has been silent. When all have, nothing is left that a late message could undo,
    /// and its next feed is the one, whatever its id: it may have been restored from a copy, and count from there.
    pub(crate) fn lapsed(&mut self, from: &NodeId, offer: &Told) {
        self.untold(from, offer);
        if let Some(sender) = self.0.get_mut(from)
            && sender.told.is_empty()
            && sender.snapshot.is_none()
        {
            (sender.feed, sender.next) = (None, 0);
        }
    }

    /// Ends a snapshot and returns what its sender told before and does not tell any more.
    pub(crate) fn whole(&mut self, from: &NodeId) -> Vec<Told> {
        let Some(sender) = self.0.get_mut(from) else { return Vec::new() };
        let Some(snapshot) = sender.snapshot.take() else { return Vec::new() };
        let before = std::mem::replace(&mut sender.told, snapshot);
        before.difference(&sender.told).copied().collect()
    }

    /// Says whether all that a sender has told is to be looked through because it holds on: the more there is, the less
    /// often, so that none makes this node count its offers all the time.
    pub(crate) fn prolongs(&mut self, now: Time, from: &NodeId) -> bool {
        let Some(sender) = self.0.get_mut(from) else { return false };
        let pause = Span::millis(sender.told.len() as u64 / 4).min(LONGEST_PAUSE);
        let is_due = sender.prolonged.is_none_or(|at| at + pause <= now);
        if is_due {
            sender.prolonged = Some(now);
        }
        is_due
    }

    /// Returns what a sender has told.
    pub(crate) fn all(&self, from: &NodeId) -> impl Iterator<Item = &Told> {
        self.0.get(from).into_iter().flat_map(|sender| &sender.told)
    }

    /// Says whether an offer is one of the first `most` of its sender.
    pub(crate) fn has_room(&self, from: &NodeId, offer: &Told, most: usize) -> bool {
        self.0.get(from).is_some_and(|sender| {
            let told = sender.snapshot.as_ref().unwrap_or(&sender.told);
            told.len() < most || told.contains(offer)
        })
    }

    /// The connection is gone: what comes by another is of a new feed, whatever its id. What was told holds on.
    pub(crate) fn restarted(&mut self, from: &NodeId) {
        if let Some(sender) = self.0.get_mut(from) {
            (sender.feed, sender.next, sender.snapshot) = (None, 0, None);
        }
    }

    /// Forgets a sender and returns what it had told.
    pub(crate) fn forget(&mut self, from: &NodeId) -> BTreeSet<Told> {
        self.0.remove(from).map(|sender| sender.told).unwrap_or_default()
    }

    /// Makes room for one more sender; over `most`, those go that have told of nothing that holds. Says whether there
    /// is room.
    pub(crate) fn admits(&mut self, from: &NodeId, most: usize) -> bool {
        if self.0.len() >= most && !self.0.contains_key(from) {
            self.0.retain(|_, sender| !sender.told.is_empty() || sender.snapshot.is_some());
        }
        self.0.len() < most || self.0.contains_key(from)
    }
}

#[cfg(test)]
mod tests {
    use kernel::FlavourId;

    use super::*;

    #[test]
    fn what_holds_on_is_looked_through_less_often_the_more_there_is() {
        let (mut inbox, from) = (Inbox::default(), NodeId([1; 32]));
        assert!(!inbox.prolongs(Time(0), &from), "of who has told nothing there is nothing");
        inbox.place(from, 1, 0, true);
        assert!(inbox.prolongs(Time(0), &from) && inbox.prolongs(Time(0), &from));
        for n in 0..40_000_u32 {
            let mut id = FlavourId([0; 16]);
            id.0[..4].copy_from_slice(&n.to_be_bytes());
            inbox.told(&from, (None, (from, id)));
            if n == 400 {
                assert!(!inbox.prolongs(Time(99), &from) && inbox.prolongs(Time(100), &from));
            }
        }
        assert!(!inbox.prolongs(Time(5099), &from), "as often as it says so");
        assert!(inbox.prolongs(Time(5100), &from), "but never too late for ten seconds");
    }
}
