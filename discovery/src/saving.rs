//! Which candidates are to be kept, and when: changes wait a little and are then kept together.
//!
//! A candidate that is merely heard of again is not kept again until half of its kept life is over: under load
//! the same offers are heard of all the time.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Span, Time};
use rear_proto::{Epoch, Row};

use crate::{
    index::{Heard, Index, OfferKey},
    record,
};

/// The most rows of one batch: some hundred kilobytes, so that no promise waits long behind them.
const ROWS: usize = 512;

/// What is kept, and what waits to be.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// How each candidate is kept: in which state, and until when.
    kept: BTreeMap<OfferKey, (Epoch, Time)>,
    waiting: BTreeSet<OfferKey>,
    due: Option<Time>,
}

impl Saving {
    /// Remembers that a candidate is kept like this.
    pub(crate) fn restored(&mut self, key: OfferKey, epoch: Epoch, expires: Time) {
        self.kept.insert(key, (epoch, expires));
    }

    /// Takes note that a candidate was heard of; `every` is how long it may wait.
    pub(crate) fn heard(&mut self, now: Time, key: OfferKey, epoch: Epoch, heard: &Heard, every: Span) {
        if let Some((kept_epoch, kept_until)) = self.kept.get(&key) {
            let half = heard.seen.until(heard.expires).divided(2);
            if *kept_epoch == epoch && now + half <= *kept_until {
                return;
            }
        }
        self.waiting.insert(key);
        self.due.get_or_insert(now + every);
    }

    /// Takes note that a candidate is gone, and returns the row that says so, where it was kept.
    pub(crate) fn gone(&mut self, key: &OfferKey) -> Option<Row> {
        self.waiting.remove(key);
        self.kept.remove(key).map(|_| record::drop(key))
    }

    /// Returns when there is something to keep.
    pub(crate) const fn due(&self) -> Option<Time> {
        self.due
    }

    /// Returns the rows that are due; where there are many, the rest is due after `every`.
    pub(crate) fn rows(&mut self, now: Time, index: &Index, every: Span) -> Vec<Row> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let mut rows = Vec::new();
        while rows.len() < ROWS
            && let Some(key) = self.waiting.pop_first()
        {
            let Some(offer) = index.offer(&key) else { continue };
            let Some(heard) = offer.heard else { continue };
            self.kept.insert(key, (offer.flavour.epoch, heard.expires));
            rows.extend(record::put(&key, offer));
        }
        self.due = (!self.waiting.is_empty()).then(|| now + every);
        rows
    }
}
