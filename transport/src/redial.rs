//! When to dial again those that must be reached: exponential pauses with jitter. It only says when; the driver dials.

use std::{
    collections::BTreeMap,
    future::{pending, poll_fn},
    time::Duration,
};

use kernel::{NodeId, Rng};
use libp2p::Multiaddr;
use tokio_util::time::{DelayQueue, delay_queue::Key};

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
    /// The pause before the next try; none while one is under way or the target is reached.
    pause: Option<Key>,
}

/// The targets and their next tries.
#[derive(Debug)]
pub(crate) struct Redials {
    first: Duration,
    most: Duration,
    targets: BTreeMap<Target, Tries>,
    pauses: DelayQueue<Target>,
    chance: Rng,
}

impl Redials {
    pub(crate) fn new(first: Duration, most: Duration, chance: Rng) -> Self {
        Self { first, most, targets: BTreeMap::new(), pauses: DelayQueue::new(), chance }
    }

    /// Wants a target reached, from now on; nothing changes for one that already is.
    pub(crate) fn want(&mut self, target: Target) {
        if !self.targets.contains_key(&target) {
            self.targets.insert(target.clone(), Tries::default());
            self.hurry(&target);
        }
    }

    /// Gives a target up; says whether it was one.
    pub(crate) fn forget(&mut self, target: &Target) -> bool {
        self.reached(target);
        self.targets.remove(target).is_some()
    }

    /// Notes that a target is connected.
    pub(crate) fn reached(&mut self, target: &Target) {
        if let Some(tries) = self.targets.get_mut(target) {
            tries.failed = 0;
            if let Some(pause) = tries.pause.take() {
                self.pauses.try_remove(&pause);
            }
        }
    }

    /// Notes that a try failed, or that a reached target was lost: the next try comes after a pause.
    pub(crate) fn failed(&mut self, target: &Target) {
        if let Some(tries) = self.targets.get_mut(target) {
            let length = pause(self.first, self.most, tries.failed, jitter(&mut self.chance));
            tries.failed = tries.failed.saturating_add(1);
            self.wait(target, length);
        }
    }

    /// Cuts the pause of a target short: something has changed that may help.
    pub(crate) fn hurry(&mut self, target: &Target) {
        self.wait(target, Duration::ZERO);
    }

    /// Waits until a try is due, and returns its target; for ever when none is to come.
    pub(crate) async fn next_due(&mut self) -> Target {
        match poll_fn(|cx| self.pauses.poll_expired(cx)).await {
            Some(due) => {
                let target = due.into_inner();
                if let Some(tries) = self.targets.get_mut(&target) {
                    tries.pause = None;
                }
                target
            }
            None => pending().await,
        }
    }

    fn wait(&mut self, target: &Target, length: Duration) {
        if let Some(tries) = self.targets.get_mut(target) {
            match &tries.pause {
                Some(pause) => self.pauses.reset(pause, length),
                None => tries.pause = Some(self.pauses.insert(target.clone(), length)),
            }
        }
    }
}

/// Returns the pause after so many failures: between half of the doubled pause and all of it.
fn pause(first: Duration, most: Duration, failed: u32, jitter: f64) -> Duration {
    first.saturating_mul(1 << failed.min(20)).min(most).mul_f64(0.5 + jitter / 2.0)
}

/// Returns a number from 0 to 1, so that many nodes do not come back at the same moment.
fn jitter(chance: &mut Rng) -> f64 {
    f64::from((chance.number() >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(1));
        for (failed, millis) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (40, 1000), (u32::MAX, 1000)] {
            assert_eq!(pause(first, most, failed, 1.0), Duration::from_millis(millis));
            assert_eq!(pause(first, most, failed, 0.0), Duration::from_millis(millis) / 2);
        }
        assert!((0.0..=1.0).contains(&jitter(&mut Rng::from_number(1))));
    }

    #[tokio::test]
    async fn only_what_is_wanted_and_not_reached_is_due() {
        let mut redials = Redials::new(Duration::from_millis(2), Duration::from_secs(1), Rng::from_number(1));
        let target = Target::Peer(NodeId([1; 32]));
        redials.failed(&target);
        redials.hurry(&target);
        assert!(redials.next_due().now_or_never().is_none(), "nobody wants it");
        redials.want(target.clone());
        redials.want(target.clone());
        assert_eq!(redials.next_due().await, target);
        assert!(redials.next_due().now_or_never().is_none(), "a try is under way");
        redials.failed(&target);
        assert_eq!(redials.next_due().await, target);
        redials.failed(&target);
        redials.reached(&target);
        assert!(redials.next_due().now_or_never().is_none(), "it is there");
        redials.failed(&target);
        assert!(redials.forget(&target) && !redials.forget(&target));
        assert!(redials.next_due().now_or_never().is_none(), "it is given up");
    }
}
