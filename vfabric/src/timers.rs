//! What is due when, and how long to wait before something is tried again.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AllocationId, ContractId, RequestId, Rng, Span, Time};

use crate::{config::Config, mail::Instance};

/// What can be due; of each there is at most one time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// To ask for a peering again.
    Peering(ContractId),
    /// To deploy a replica again.
    Replica(RequestId),
    /// To undeploy a replica again, or to give up on it.
    Leaving(RequestId),
    /// To tell a customer again how a replica of theirs is.
    Push(Instance),
    /// To tell a customer that this node has restarted.
    Returning(ContractId),
    /// To wait no longer for the answer to a question about logs.
    Logs(u64),
    /// To say that an allocation does not get clear.
    Stuck(AllocationId),
}

impl Due {
    const fn word(&self) -> &'static str {
        match self {
            Self::Peering(_) => "peering",
            Self::Replica(_) => "deploy",
            Self::Leaving(_) => "undeploy",
            Self::Push(_) => "status",
            Self::Returning(_) => "returned",
            Self::Logs(_) => "logs",
            Self::Stuck(_) => "stuck",
        }
    }
}

/// The times at which things are due, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Time, Due)>,
    times: BTreeMap<Due, Time>,
}

impl Timers {
    /// Makes something due at a time, instead of any time before.
    pub(crate) fn set(&mut self, due: Due, at: Time) {
        self.clear(&due);
        self.by_time.insert((at, due.clone()));
        self.times.insert(due, at);
    }

    /// Makes something due no longer.
    pub(crate) fn clear(&mut self, due: &Due) {
        if let Some(at) = self.times.remove(due) {
            self.by_time.remove(&(at, due.clone()));
        }
    }

    /// Takes out something that is due.
    pub(crate) fn take(&mut self, now: Time) -> Option<Due> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, due) = self.by_time.pop_first()?;
        self.times.remove(&due);
        Some(due)
    }

    /// Returns the time at which something is due, and a word for it.
    pub(crate) fn next(&self) -> Option<kernel::Wake> {
        self.by_time.first().map(|(at, due)| (*at, due.word()))
    }
}

/// A question that is asked until it is answered.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The number of the question that waits for its answer.
    pub(crate) ask: Option<u64>,
    /// How many times it came to nothing in a row.
    pub(crate) failures: u32,
}

impl Attempt {
    /// Notes a failure and returns how long to wait before the next try.
    pub(crate) fn failed(&mut self, config: &Config, rng: &mut Rng) -> Span {
        self.ask = None;
        let wait = config.first_retry.times(1 << self.failures.min(16)).min(config.longest_retry);
        self.failures = self.failures.saturating_add(1);
        // Between three and five quarters, so that those who failed together do not come back together.
        wait.times(75 + rng.below(51)).divided(100)
    }

    /// Notes a success.
    pub(crate) const fn succeeded(&mut self) {
        self.ask = None;
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_again_replaces_and_clearing_removes() {
        let mut timers = Timers::default();
        let due = || Due::Logs(1);
        timers.set(due(), Time(5));
        timers.set(due(), Time(9));
        assert_eq!(timers.take(Time(8)), None);
        assert_eq!(timers.take(Time(9)), Some(due()));
        timers.set(due(), Time(5));
        timers.clear(&due());
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let (config, mut rng, mut attempt) = (Config::default(), Rng::from_number(1), Attempt::default());
        let waits: Vec<_> = (0..100).map(|_| attempt.failed(&config, &mut rng)).collect();
        assert!(waits[0] >= Span::millis(187) && waits[0] <= Span::millis(313), "{waits:?}");
        assert!(waits[9..].iter().all(|wait| *wait >= Span::millis(11_250) && *wait <= Span::millis(18_750)));
    }
}
