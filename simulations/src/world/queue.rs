//! What is to happen, by time, and at one time in the order in which it was planned.
//!
//! The next seconds are a wheel with a slot for each millisecond; what lies beyond waits in a tree until the wheel
//! comes near. So planning and taking cost the same whether ten things wait or ten million.

use std::collections::{BTreeMap, VecDeque};

use kernel::Time;

/// How many milliseconds the wheel covers: most messages, syncs and deadlines fall into eight seconds.
const SLOTS: usize = 8192;

/// How many things of one moment a slot keeps its room for.
const ROOM: usize = 8;

/// Things that are to happen.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    now: u64,
    slots: Vec<VecDeque<T>>,
    /// Which slots hold something, a bit each.
    full: [u64; SLOTS / 64],
    far: BTreeMap<u64, Vec<T>>,
}

impl<T> Queue<T> {
    pub(crate) fn new(now: Time) -> Self {
        let slots = std::iter::repeat_with(VecDeque::new).take(SLOTS).collect();
        Self { now: now.0, slots, full: [0; SLOTS / 64], far: BTreeMap::new() }
    }

    /// Plans something; for the past means now.
    pub(crate) fn push(&mut self, at: Time, what: T) {
        let at = at.0.max(self.now);
        if at - self.now < SLOTS as u64 {
            self.put(at, what);
        } else {
            self.far.entry(at).or_default().push(what);
        }
    }

    /// Takes the next thing that is to happen until then.
    pub(crate) fn pop(&mut self, until: Time) -> Option<(Time, T)> {
        loop {
            let next = self.next_full().map(|ahead| self.now + ahead as u64);
            let at = next.or_else(|| self.far.first_key_value().map(|(at, _)| *at))?;
            if at > until.0 {
                return None;
            }
            self.turn(at);
            let slot = slot(at);
            if let Some(what) = self.slots[slot].pop_front() {
                if self.slots[slot].is_empty() {
                    self.full[slot / 64] &= !(1 << (slot % 64));
                    // After a moment at which much happened it would be large for ever.
                    if self.slots[slot].capacity() > ROOM {
                        self.slots[slot] = VecDeque::new();
                    }
                }
                return Some((Time(at), what));
            }
        }
    }

    fn put(&mut self, at: u64, what: T) {
        let slot = slot(at);
        self.slots[slot].push_back(what);
        self.full[slot / 64] |= 1 << (slot % 64);
    }

    /// Turns the wheel; what comes near with that was planned before anything that can be put there from then on.
    fn turn(&mut self, now: u64) {
        self.now = now;
        while let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() - now < SLOTS as u64) {
            let (at, things) = entry.remove_entry();
            things.into_iter().for_each(|what| self.put(at, what));
        }
    }

    /// Returns how many slots ahead the next full one is.
    fn next_full(&self) -> Option<usize> {
        let first = slot(self.now);
        let (word, bit) = (first / 64, first % 64);
        let here = self.full[word] & (u64::MAX << bit);
        if here != 0 {
            return Some(here.trailing_zeros() as usize - bit);
        }
        let words = self.full.len();
        (1..=words).find_map(|step| {
            let bits = self.full[(word + step) % words];
            (bits != 0).then(|| {
                let at = ((word + step) % words) * 64 + bits.trailing_zeros() as usize;
                (at + SLOTS - first) % SLOTS
            })
        })
    }
}

const fn slot(at: u64) -> usize {
    (at % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn things_happen_by_time_and_then_in_the_order_in_which_they_were_planned(
            steps in prop::collection::vec((0u64..40_000, 0usize..3), 1..200),
        ) {
            let mut queue = Queue::new(Time(5));
            let mut model: BTreeMap<(u64, usize), usize> = BTreeMap::new();
            let mut now = 5;
            for (number, (ahead, take)) in steps.into_iter().enumerate() {
                queue.push(Time(now + ahead), number);
                model.insert((now + ahead, number), number);
                for _ in 0..take {
                    let Some(((at, _), wanted)) = model.pop_first() else { break };
                    prop_assert_eq!(queue.pop(Time::MAX), Some((Time(at), wanted)));
                    now = at;
                }
            }
            while let Some(((at, _), wanted)) = model.pop_first() {
                prop_assert_eq!(queue.pop(Time(at - 1)).map(|(at, _)| at).filter(|it| it.0 >= at), None);
                prop_assert_eq!(queue.pop(Time::MAX), Some((Time(at), wanted)));
            }
            prop_assert!(queue.pop(Time::MAX).is_none());
        }
    }
}
