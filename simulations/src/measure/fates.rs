//! What became of each intent: it came, and then it ran, was refused, or failed; just one of them.

use std::collections::BTreeMap;

use kernel::IntentId;
use rear_proto::Code;

use crate::outcome::Tally;

/// What becomes of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It ran at some time.
    Ran,
    /// It never ran, because nobody would take it.
    Refused,
    /// It never ran for another reason.
    Failed,
}

/// Why an intent that was given up never ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// A refusal.
    Refused(Code),
    /// What it was to run on was lost again and again.
    Lost,
    /// Its workload failed.
    Workload,
    /// Its user deleted it before.
    Deleted,
    /// The node was down when it came.
    Down,
    /// It was in none of these states when the run was over.
    Open,
}

/// What became of the intents.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Those of which nothing is said yet, with when they came.
    open: BTreeMap<IntentId, Came>,
    /// Which of the plan's arrivals have come: one that comes again is the same.
    arrived: Vec<bool>,
    tally: Tally,
    reasons: BTreeMap<&'static str, u64>,
}

/// When and where an intent came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    /// In milliseconds from the beginning.
    pub(super) at: u64,
    /// From which domain.
    pub(super) domain: u32,
}

impl Fates {
    /// An intent comes; says whether it is a new one.
    pub(super) fn came(&mut self, arrival: u32, intent: IntentId, came: Came) -> bool {
        let at = arrival as usize;
        if at >= self.arrived.len() {
            self.arrived.resize(at + 1, false);
        }
        if std::mem::replace(&mut self.arrived[at], true) {
            return false;
        }
        self.tally.total += 1;
        self.open.insert(intent, came);
        true
    }

    /// Says whether nothing is known yet of what becomes of it.
    pub(super) fn is_open(&self, intent: &IntentId) -> bool {
        self.open.contains_key(intent)
    }

    /// It runs; returns when it came, where that was not known.
    pub(super) fn ran(&mut self, intent: &IntentId) -> Option<Came> {
        let came = self.open.remove(intent)?;
        self.tally.running += 1;
        Some(came)
    }

    /// It was given up; returns what that counts as, and when it came, where that was not known.
    pub(super) fn ended(&mut self, intent: &IntentId, why: Why) -> Option<(Fate, Came)> {
        let came = self.open.remove(intent)?;
        let fate = self.count(why);
        Some((fate, came))
    }

    /// The run is over; returns when those came of which nothing was said.
    pub(super) fn close(&mut self) -> Vec<Came> {
        let open: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        for _ in &open {
            self.count(Why::Open);
        }
        open
    }

    fn count(&mut self, why: Why) -> Fate {
        let fate = why.fate();
        match fate {
            Fate::Ran => self.tally.running += 1,
            Fate::Refused => self.tally.refused += 1,
            Fate::Failed => self.tally.failed += 1,
        }
        *self.reasons.entry(why.name()).or_default() += 1;
        fate
    }

    /// Returns how many came to which end.
    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns why those that never ran did not.
    pub(super) fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }
}

impl Why {
    /// Reads what an intent gives as its reason: `workload 'web': Unavailable: there is no room for it`.
    pub(super) fn of(reason: &str) -> Self {
        let Some((_, said)) = reason.split_once("': ") else { return Self::Workload };
        let code = said.split_once(':').and_then(|(name, _)| Code::from_name(name));
        code.map_or(Self::Lost, Self::Refused)
    }

    /// Returns the name under which it is counted.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refused(code) => code.name(),
            Self::Lost => "place lost",
            Self::Workload => "workload failed",
            Self::Deleted => "deleted before it ran",
            Self::Down => "node was down",
            Self::Open => "nothing by the end",
        }
    }

    /// Returns what it counts as: a refusal where nobody would take it, for want of room, for its price or its place.
    pub(super) const fn fate(self) -> Fate {
        match self {
            Self::Refused(
                Code::NotFound
                | Code::Unavailable
                | Code::BelowMinimum
                | Code::NotAStep
                | Code::TooLarge
                | Code::PriceTooLow
                | Code::CurrencyMismatch
                | Code::NotShared
                | Code::QuotaExceeded
                | Code::Storage
                | Code::Overloaded,
            ) => Fate::Refused,
            Self::Refused(
                Code::NotAMember
                | Code::Expired
                | Code::Closed
                | Code::KeyReused
                | Code::LoopDetected
                | Code::HopLimit
                | Code::Timeout
                | Code::ClockSkew
                | Code::UnsupportedVersion
                | Code::Malformed,
            )
            | Self::Lost
            | Self::Workload
            | Self::Deleted
            | Self::Down
            | Self::Open => Fate::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rear_proto::Refusal;

    use super::*;

    fn id(number: u32) -> IntentId {
        IntentId::derive("test", &[&number.to_le_bytes()])
    }

    #[test]
    fn a_reason_is_read_as_the_orchestrator_writes_it() {
        for &code in Code::ALL {
            let refusal = Refusal::from(code);
            assert_eq!(Why::of(&format!("workload 'web': {refusal}")), Why::Refused(code));
        }
        assert_eq!(Why::of("workload 'web' failed: it trapped: out of fuel"), Why::Workload);
        assert_eq!(Why::of("workload 'web': the contract has ended: Lost"), Why::Lost);
        assert_eq!(Why::of(""), Why::Workload);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Comes(u32),
        Runs(u32),
        Ends(u32, Why),
    }

    fn step() -> impl Strategy<Value = Step> {
        let whys = [
            Why::Refused(Code::Unavailable),
            Why::Refused(Code::Timeout),
            Why::Lost,
            Why::Workload,
            Why::Deleted,
            Why::Down,
        ];
        prop_oneof![
            (0..8u32).prop_map(Step::Comes),
            (0..8u32).prop_map(Step::Runs),
            (0..8u32, prop::sample::select(whys.to_vec())).prop_map(|(intent, why)| Step::Ends(intent, why)),
        ]
    }

    proptest! {
        /// Whatever is said of intents, how often and in which order: each that came has just one end, the first.
        #[test]
        fn every_intent_comes_to_just_one_end(steps in prop::collection::vec(step(), 0..60)) {
            let mut fates = Fates::default();
            let mut first: BTreeMap<u32, Option<Fate>> = BTreeMap::new();
            let came = Came { at: 0, domain: 0 };
            for step in steps {
                match step {
                    Step::Comes(intent) => {
                        prop_assert_eq!(fates.came(intent, id(intent), came), !first.contains_key(&intent));
                        first.entry(intent).or_insert(None);
                    }
                    Step::Runs(intent) => {
                        let counts = first.get(&intent) == Some(&None);
                        prop_assert_eq!(fates.ran(&id(intent)).is_some(), counts);
                        if counts { first.insert(intent, Some(Fate::Ran)); }
                    }
                    Step::Ends(intent, why) => {
                        let counts = first.get(&intent) == Some(&None);
                        prop_assert_eq!(fates.ended(&id(intent), why).is_some(), counts);
                        if counts { first.insert(intent, Some(why.fate())); }
                    }
                }
            }
            fates.close();
            let Tally { total, running, refused, failed } = fates.tally();
            let count = |fate| first.values().filter(|it| it.unwrap_or(Fate::Failed) == fate).count() as u64;
            prop_assert_eq!(total, first.len() as u64);
            prop_assert_eq!(total, running + refused + failed);
            prop_assert_eq!((running, refused, failed), (count(Fate::Ran), count(Fate::Refused), count(Fate::Failed)));
            prop_assert_eq!(fates.reasons().values().sum::<u64>(), refused + failed);
        }
    }
}
