//! A table of what was seen lately: what nobody has touched for long is forgotten, so that long runs stay small.
//!
//! It is kept in two halves. What is put in or touched comes to the young one; at each turn that becomes the old one,
//! and what was in the old one and is not kept for a reason of its own is gone. So a turn is all that forgetting costs.

use std::{collections::BTreeMap, mem};

use kernel::{Span, Time};

/// How often tables turn: what was not touched for this long may be forgotten, and for twice as long is. Nothing is said
/// again so late: repeats end with deadlines and leases, which take minutes.
pub(super) const TURN: Span = Span::secs(600);

/// Values by name, of which those that are old are forgotten.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new() }
    }
}

impl<K: Ord, V> Recent<K, V> {
    /// Puts a value in, and returns what stood there.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.old.remove(&key);
        self.young.insert(key, value).or(old)
    }

    /// Returns the value of a name, as it is or as it is put in.
    pub(super) fn or_insert(&mut self, key: K, value: V) -> &mut V {
        let value = self.old.remove(&key).unwrap_or(value);
        self.young.entry(key).or_insert(value)
    }

    /// Returns the value of a name.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Returns the value of a name, to be changed.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// Keeps only what is so.
    pub(super) fn retain(&mut self, mut is: impl FnMut(&K, &mut V) -> bool) {
        self.young.retain(&mut is);
        self.old.retain(&mut is);
    }

    /// Forgets what was not touched since the last turn but one, but for what is to stay.
    pub(super) fn turn(&mut self, mut stays: impl FnMut(&K, &V) -> bool) {
        let old = mem::replace(&mut self.old, mem::take(&mut self.young));
        self.old.extend(old.into_iter().filter(|(key, value)| stays(key, value)));
    }
}

/// Says when tables turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: Time,
}

impl Turns {
    /// Says whether it is time to turn.
    pub(super) fn due(&mut self, now: Time) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + TURN;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_touches_between_two_turns_is_forgotten_and_what_is_to_stay_is_not() {
        let mut table = Recent::default();
        for key in 0..4 {
            assert_eq!(table.insert(key, key * 10), None);
        }
        table.turn(|_, _| false);
        assert_eq!(table.get(&0), Some(&0));
        assert_eq!(table.get_mut(&3), Some(&mut 30));
        assert_eq!(table.insert(0, 1), Some(0));
        assert_eq!(*table.or_insert(1, 99), 10);
        table.turn(|key, _| *key == 2);
        let left = |table: &Recent<i32, i32>| (0..4).map(|key| table.get(&key).copied()).collect::<Vec<_>>();
        assert_eq!(left(&table), [Some(1), Some(10), Some(20), None]);
        table.retain(|key, _| *key > 0);
        table.turn(|_, _| false);
        assert_eq!(left(&table), [None; 4], "what stayed was touched by nobody since");
    }

    #[test]
    fn a_turn_comes_at_first_and_then_after_each_span() {
        let mut turns = Turns::default();
        let due: Vec<bool> = [0, 1, 599, 600, 601, 1300].map(|at| turns.due(Time(at * 1000))).to_vec();
        assert_eq!(due, [true, false, false, true, false, true]);
    }
}
