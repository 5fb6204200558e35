//! When to dial again those that must be reached: exponential pauses with jitter. A plain table; the caller dials.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use kernel::NodeId;
use libp2p::Multiaddr;
use tokio::time::Instant;

/// Who is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A kept peer, at whatever address is known.
    Peer(NodeId),
    /// A bootstrap address, whoever is there.
    Address(Multiaddr),
}

#[derive(Debug, Default)]
struct Tries {
    failed: u32,
    /// When the next try is due; none while one is under way or the target is reached.
    due: Option<Instant>,
}

/// The targets and their next tries.
#[derive(Debug)]
pub(crate) struct Redials {
    first: Duration,
    most: Duration,
    targets: BTreeMap<Target, Tries>,
}

impl Redials {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, targets: BTreeMap::new() }
    }

    /// Wants a target reached, from now on; nothing changes for one that already is.
    pub(crate) fn want(&mut self, target: Target, now: Instant) {
        self.targets.entry(target).or_insert(Tries { failed: 0, due: Some(now) });
    }

    /// Gives a target up; says whether it was one.
    pub(crate) fn forget(&mut self, target: &Target) -> bool {
        self.targets.remove(target).is_some()
    }

    /// Cuts the pause of a target short: something has changed that may help.
    pub(crate) fn hurry(&mut self, target: &Target, now: Instant) {
        if let Some(tries) = self.targets.get_mut(target) {
            tries.due = Some(now);
        }
    }

    /// Notes that a target is connected.
    pub(crate) fn reached(&mut self, target: &Target) {
        if let Some(tries) = self.targets.get_mut(target) {
            *tries = Tries::default();
        }
    }

    /// Notes that a try failed, or that a reached target was lost, and sets the next try.
    pub(crate) fn failed(&mut self, target: &Target, now: Instant) {
        let (first, most) = (self.first, self.most);
        if let Some(tries) = self.targets.get_mut(target) {
            let pause = first.saturating_mul(1 << tries.failed.min(20)).min(most);
            tries.failed = tries.failed.saturating_add(1);
            // Between half of the pause and all of it, so that many nodes do not return at once.
            let jitter = f64::from(u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0)) / 2f64.powi(32);
            tries.due = Some(now + pause.mul_f64(0.5 + jitter / 2.0));
        }
    }

    /// Returns when the next try is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.targets.values().filter_map(|tries| tries.due).min()
    }

    /// Takes the targets whose try is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Target> {
        let due = self.targets.iter_mut().filter(|(_, tries)| tries.due.is_some_and(|due| due <= now));
        due.map(|(target, tries)| {
            tries.due = None;
            target.clone()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_when_reached() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut redials = Redials::new(first, most);
        let target = Target::Peer(NodeId([1; 32]));
        let now = Instant::now();
        redials.failed(&target, now);
        assert_eq!(redials.next(), None, "nobody wants it");
        redials.want(target.clone(), now);
        assert_eq!(redials.take_due(now), [target.clone()]);
        assert_eq!(redials.next(), None, "a try is under way");
        for most_millis in [100, 200, 400, 800, 1000, 1000] {
            redials.failed(&target, now);
            let pause = redials.next().unwrap() - now;
            assert!(pause <= Duration::from_millis(most_millis), "{pause:?}");
            assert!(pause >= Duration::from_millis(most_millis / 2), "{pause:?}");
        }
        for _ in 0..100 {
            redials.failed(&target, now);
        }
        redials.reached(&target);
        assert_eq!(redials.next(), None);
        redials.failed(&target, now);
        assert!(redials.next().unwrap() - now <= first);
        redials.hurry(&target, now);
        assert_eq!(redials.next(), Some(now));
        assert!(redials.forget(&target));
        assert_eq!(redials.next(), None);
    }
}
