//! The memory for keys that are used up: what was closed and how, and what was refused.
//!
//! What was granted is remembered durably; refusals, and keys released before anything was known of them, only in
//! memory. It is bounded: per buyer for what costs a buyer nothing, in all for what took a grant.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Digest, NodeId, Time};
use rear_proto::{Code, Refusal, Row, Table, message::EndReason};

use crate::record::{KeyRecord, Name};

/// What is remembered of keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    entries: BTreeMap<Name, Entry>,
    by_end: BTreeSet<(Time, Name)>,
    /// Those that are in memory alone, by buyer and time.
    loose: BTreeMap<NodeId, BTreeSet<(Time, Name)>>,
    kept: BTreeSet<(Time, Name)>,
}

#[derive(Debug)]
struct Entry {
    /// The order it was used for; `None` where a RELEASE came first.
    order: Option<Digest>,
    verdict: Verdict,
    until: Time,
    durable: bool,
}

#[derive(Debug)]
enum Verdict {
    Closed(EndReason),
    Refused(Refusal),
}

impl Keys {
    /// Returns what is to be said to a repeat of this order, or to another order under its key.
    pub(crate) fn refusal(&self, now: Time, name: &Name, order: &Digest) -> Option<Refusal> {
        let entry = self.entries.get(name).filter(|entry| entry.until > now)?;
        if entry.order.is_some_and(|first| first != *order) {
            return Some(reused(name));
        }
        Some(match &entry.verdict {
            Verdict::Closed(reason) => closed(name, *reason),
            Verdict::Refused(refusal) => refusal.clone(),
        })
    }

    /// Returns how what this key named has ended, where it has.
    pub(crate) fn closed(&self, now: Time, name: &Name) -> Option<EndReason> {
        match self.entries.get(name).filter(|entry| entry.until > now)?.verdict {
            Verdict::Closed(reason) => Some(reason),
            Verdict::Refused(_) => None,
        }
    }

    /// Returns the order that a key was used for, where it is closed durably.
    pub(crate) fn order(&self, name: &Name) -> Option<Digest> {
        self.entries.get(name).filter(|entry| entry.durable)?.order
    }

    /// Remembers durably how an order ended; returns the rows to keep.
    pub(crate) fn close(&mut self, name: Name, order: Digest, reason: EndReason, until: Time, most: usize) -> Vec<Row> {
        let record = KeyRecord { order, reason, until };
        let mut rows = vec![Row::put(Table::Keys, name.bytes(), &record)];
        self.restore(name, record);
        while self.kept.len() > most {
            let Some((_, oldest)) = self.kept.first().copied() else { break };
            rows.extend(self.forget(&oldest));
        }
        rows
    }

    /// Remembers what was remembered before a restart.
    pub(crate) fn restore(&mut self, name: Name, record: KeyRecord) {
        let KeyRecord { order, reason, until } = record;
        self.insert(name, Entry { order: Some(order), verdict: Verdict::Closed(reason), until, durable: true });
    }

    /// Remembers in memory that a key was released before anything was known of it.
    pub(crate) fn release(&mut self, name: Name, reason: EndReason, until: Time, most: usize) {
        self.insert(name, Entry { order: None, verdict: Verdict::Closed(reason), until, durable: false });
        self.bound(&name.buyer, most);
    }

    /// Remembers in memory what an order was refused with.
    pub(crate) fn refuse(&mut self, name: Name, order: Digest, refusal: Refusal, until: Time, most: usize) {
        self.insert(name, Entry { order: Some(order), verdict: Verdict::Refused(refusal), until, durable: false });
        self.bound(&name.buyer, most);
    }

    /// Returns when the first of them is to be forgotten.
    pub(crate) fn next_end(&self) -> Option<Time> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// Forgets what has been remembered for long enough; returns the rows to drop.
    pub(crate) fn forget_due(&mut self, now: Time) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some((until, name)) = self.by_end.first().copied() {
            if until > now {
                break;
            }
            rows.extend(self.forget(&name));
        }
        rows
    }

    fn insert(&mut self, name: Name, entry: Entry) {
        // What was closed durably stays so, whatever else is heard of it.
        if self.entries.get(&name).is_some_and(|before| before.durable && !entry.durable) {
            return;
        }
        let _ = self.forget(&name);
        let place = (entry.until, name);
        self.by_end.insert(place);
        if entry.durable {
            self.kept.insert(place);
        } else {
            self.loose.entry(name.buyer).or_default().insert(place);
        }
        self.entries.insert(name, entry);
    }

    fn bound(&mut self, buyer: &NodeId, most: usize) {
        while let Some(oldest) = self.loose.get(buyer).filter(|loose| loose.len() > most).and_then(BTreeSet::first) {
            let (_, name) = *oldest;
            let _ = self.forget(&name);
        }
    }

    fn forget(&mut self, name: &Name) -> Option<Row> {
        let entry = self.entries.remove(name)?;
        let place = (entry.until, *name);
        self.by_end.remove(&place);
        if entry.durable {
            self.kept.remove(&place);
            return Some(Row::drop(Table::Keys, name.bytes()));
        }
        if let Some(loose) = self.loose.get_mut(&name.buyer) {
            loose.remove(&place);
            if loose.is_empty() {
                self.loose.remove(&name.buyer);
            }
        }
        None
    }
}

/// The refusal of what is over.
pub(crate) fn closed(name: &Name, reason: EndReason) -> Refusal {
    Refusal::new(Code::Closed, format!("reservation {} is over: {}", name.key, reason.name()))
}

/// The refusal of other content under a key that was used.
pub(crate) fn reused(name: &Name) -> Refusal {
    Refusal::new(Code::KeyReused, format!("reservation {} was asked for before with other content", name.key))
}
