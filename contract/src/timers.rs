//! Timers: at most one time for each thing that may become due, in the order of time.

use std::collections::{BTreeMap, BTreeSet};

use kernel::Time;

/// Things that become due, each at its own time.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    order: BTreeSet<(Time, T)>,
    at: BTreeMap<T, Time>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), at: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Timers<T> {
    /// Lets `what` become due at this time, and at no other.
    pub(crate) fn set(&mut self, what: T, at: Time) {
        if let Some(before) = self.at.insert(what.clone(), at) {
            self.order.remove(&(before, what.clone()));
        }
        self.order.insert((at, what));
    }

    /// Lets `what` become due no more.
    pub(crate) fn cancel(&mut self, what: &T) {
        if let Some(at) = self.at.remove(what) {
            self.order.remove(&(at, what.clone()));
        }
    }

    /// Says whether `what` will become due.
    pub(crate) fn has(&self, what: &T) -> bool {
        self.at.contains_key(what)
    }

    /// Returns when `what` will become due.
    pub(crate) fn at(&self, what: &T) -> Option<Time> {
        self.at.get(what).copied()
    }

    /// Returns what is due first, and when.
    pub(crate) fn first(&self) -> Option<(Time, &T)> {
        self.order.first().map(|(at, what)| (*at, what))
    }

    /// Takes out the first of what is due.
    pub(crate) fn due(&mut self, now: Time) -> Option<T> {
        if self.order.first()?.0 > now {
            return None;
        }
        let (_, what) = self.order.pop_first()?;
        self.at.remove(&what);
        Some(what)
    }
}
