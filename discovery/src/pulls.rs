//! Subscriptions that this node keeps to itself: what it asks partners for again and again, and what came of it.
//!
//! ```text
//!  manual ──────────── trigger ──┐
//!  once   ── not run yet ────────┼──► run ──► a whole answer ──► new, changed, vanished
//!  every  ── the interval over ──┘       └──► a failure: told as a chain of what was being done
//! ```
//! A partner is told nothing of them: it is asked what anybody may ask. What an answer does not name any longer has
//! vanished; an answer that is not whole says nothing of what it leaves out.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{DomainKey, FlavourId, Span, Time};
use rear_proto::{Epoch, Selector};

/// The most subscriptions of a node.
pub const MOST: usize = 1024;
/// The shortest interval: more often is what ADVERTISE is for.
pub const SHORTEST: Span = Span::secs(1);
/// How many offers of one subscription are remembered that the last answer did not name.
const SEEN: usize = 8192;

/// The id of a subscription, given when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PullId(pub u64);

/// One run of a subscription: an answer to an earlier one is none to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Of which.
    pub id: PullId,
    number: u64,
}

/// When a subscription runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Never.
    Manual,
    /// Once, as soon as it can.
    Once,
    /// Again after this, from the beginning of one run to that of the next.
    Every(Span),
}

/// How much is wanted of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Which offers there are, and in which state.
    Names,
    /// All that they say.
    Offers,
}

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Pull {
    /// Which partner.
    pub partner: DomainKey,
    /// For which offers.
    pub selector: Selector,
    /// When.
    pub interval: Interval,
    /// How much of them.
    pub detail: Detail,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Offers that were not there before.
    pub new: BTreeSet<FlavourId>,
    /// Offers that are in another state.
    pub changed: BTreeSet<FlavourId>,
    /// Offers that are there no longer.
    pub vanished: BTreeSet<FlavourId>,
}

/// What was being done when something failed, the innermost last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub Vec<String>);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(": "))
    }
}

/// A subscription, as the tables show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// What it asks for.
    pub pull: Pull,
    /// When its last run began that is over.
    pub processed: Option<Time>,
    /// When the last one began that was answered: this is what is kept over a restart.
    pub answered: Option<Time>,
    /// What that came to.
    pub last: Option<Result<Changes, Failure>>,
    /// What is there, by the last whole answer.
    pub seen: BTreeMap<FlavourId, Epoch>,
    /// The number of the run that is under way, and when it began.
    running: Option<(u64, Time)>,
    /// Whether it is to run whatever its interval is.
    triggered: bool,
}

/// All subscriptions of a node.
#[derive(Debug, Default)]
pub struct Pulls {
    pulls: BTreeMap<PullId, Followed>,
    /// How many runs have begun.
    runs: u64,
}

impl Pulls {
    /// Makes a subscription, or changes one: what it has seen stays where it asks for the same. `false` where there are as
    /// many as may be, or the interval is too short.
    pub fn put(&mut self, id: PullId, pull: Pull) -> bool {
        if matches!(pull.interval, Interval::Every(span) if span < SHORTEST) {
            return false;
        }
        let is_full = self.pulls.len() >= MOST;
        match self.pulls.get_mut(&id) {
            Some(known) => {
                if (known.pull.partner, &known.pull.selector) != (pull.partner, &pull.selector) {
                    (known.processed, known.answered) = (None, None);
                    (known.last, known.running) = (None, None);
                    known.seen.clear();
                }
                known.pull = pull;
            }
            None if is_full => return false,
            None => {
                let seen = BTreeMap::new();
                let (processed, answered) = (None, None);
                let fresh = Followed { pull, processed, answered, last: None, seen, running: None, triggered: false };
                self.pulls.insert(id, fresh);
            }
        }
        true
    }

    /// Remembers when a subscription ran before a restart, and was answered.
    pub fn restored(&mut self, id: PullId, answered: Option<Time>) {
        if let Some(known) = self.pulls.get_mut(&id) {
            (known.processed, known.answered) = (answered, answered);
        }
    }

    /// Ends a subscription: a run that is under way comes to nothing.
    pub fn remove(&mut self, id: PullId) -> Option<Pull> {
        self.pulls.remove(&id).map(|known| known.pull)
    }

    /// Returns a subscription.
    pub fn get(&self, id: PullId) -> Option<&Followed> {
        self.pulls.get(&id)
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&PullId, &Followed)> {
        self.pulls.iter()
    }

    /// Lets one run now, whatever its interval is; `false` where there is none.
    pub fn trigger(&mut self, id: PullId) -> bool {
        self.pulls.get_mut(&id).is_some_and(|known| {
            known.triggered = true;
            true
        })
    }

    /// Returns when the next is to run.
    pub fn next_wake(&self) -> Option<Time> {
        self.pulls.values().filter_map(Followed::due).min()
    }

    /// Begins a run that is due; returns which, and what to ask for.
    pub fn begin(&mut self, now: Time) -> Option<(Run, Pull)> {
        let due = |known: &Followed| known.due().is_some_and(|at| at <= now);
        let (id, known) = self.pulls.iter_mut().find(|(_, known)| due(known))?;
        self.runs += 1;
        (known.running, known.triggered) = (Some((self.runs, now)), false);
        Some((Run { id: *id, number: self.runs }, known.pull.clone()))
    }

    /// Ends a run that is under way; returns of which subscription it was, and when it began.
    fn end(&mut self, run: Run) -> Option<(&mut Followed, Time)> {
        let known = self.pulls.get_mut(&run.id)?;
        let (_, began) = known.running.take_if(|(number, _)| *number == run.number)?;
        Some((known, began))
    }

    /// Takes in what there is, as the partner said; `is_whole` where there is nothing else. A run that is over, or of
    /// another question than is asked by now, comes to nothing.
    pub fn found(&mut self, run: Run, offers: &BTreeMap<FlavourId, Epoch>, is_whole: bool) -> Option<Changes> {
        let (known, began) = self.end(run)?;
        let new = offers.keys().filter(|offer| !known.seen.contains_key(offer)).copied().collect();
        let is_other = |(offer, epoch): &(&FlavourId, &Epoch)| known.seen.get(offer).is_some_and(|seen| seen != *epoch);
        let changed = offers.iter().filter(is_other).map(|(offer, _)| *offer).collect();
        let gone = |offer: &&FlavourId| is_whole && !offers.contains_key(offer);
        let vanished: BTreeSet<FlavourId> = known.seen.keys().filter(gone).copied().collect();
        known.seen.retain(|offer, _| !vanished.contains(offer));
        known.seen.extend(offers);
        // Who never says all may name others each time: of so many it can't be told what is there.
        if known.seen.len() > offers.len().saturating_add(SEEN) {
            known.seen.retain(|offer, _| offers.contains_key(offer));
        }
        let changes = Changes { new, changed, vanished };
        (known.processed, known.answered) = (Some(began), Some(began));
        known.last = Some(Ok(changes.clone()));
        Some(changes)
    }

    /// Takes in that a run has failed: what was seen is still believed, for as long as it would have been.
    pub fn failed(&mut self, run: Run, why: Failure) {
        if let Some((known, began)) = self.end(run) {
            (known.processed, known.last) = (Some(began), Some(Err(why)));
        }
    }
}

impl Followed {
    fn due(&self) -> Option<Time> {
        let has_failed = matches!(self.last, Some(Err(_)));
        match (self.running, self.triggered, self.pull.interval) {
            (Some(_), ..) => None,
            (None, true, _) => Some(Time(0)),
            (None, false, Interval::Manual) => None,
            (None, false, Interval::Once) => match self.processed {
                None => Some(Time(0)),
                // It has not been answered yet: another try, a while later.
                Some(began) if has_failed => Some(began + Span::secs(60)),
                Some(_) => None,
            },
            (None, false, Interval::Every(span)) => Some(self.processed.map_or(Time(0), |began| began + span)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: PullId = PullId(1);

    fn pull(interval: Interval) -> Pull {
        let selector = "cpu>=1".parse().unwrap_or_default();
        Pull { partner: DomainKey([1; 32]), selector, interval, detail: Detail::Offers }
    }

    fn offers(of: &[(u8, u64)]) -> BTreeMap<FlavourId, Epoch> {
        of.iter().map(|(id, changes)| (FlavourId([*id; 16]), Epoch { starts: 1, changes: *changes })).collect()
    }

    /// Begins the run that is due in a second.
    fn begin(pulls: &mut Pulls, second: u64) -> Run {
        let (run, _) = pulls.begin(Time(second * 1000)).unwrap();
        run
    }

    fn ids(of: &[u8]) -> BTreeSet<FlavourId> {
        of.iter().map(|id| FlavourId([*id; 16])).collect()
    }

    /// Runs whatever is due in the seconds up to `until`; says at which.
    fn runs(pulls: &mut Pulls, from: u64, until: u64) -> Vec<u64> {
        let mut runs = Vec::new();
        for second in from..until {
            while let Some((run, _)) = pulls.begin(Time(second * 1000)) {
                runs.push(second);
                assert!(pulls.found(run, &BTreeMap::new(), true).is_some());
            }
        }
        runs
    }

    #[test]
    fn each_runs_when_its_interval_says_so() {
        let mut pulls = Pulls::default();
        // Without an interval it is not run; once it is run once, and not again when that has changed nothing.
        assert!(pulls.put(ID, pull(Interval::Manual)));
        assert_eq!(runs(&mut pulls, 0, 100), [0; 0]);
        assert!(pulls.put(ID, pull(Interval::Once)));
        assert_eq!(runs(&mut pulls, 100, 200), [100]);
        assert!(pulls.put(ID, pull(Interval::Once)));
        assert_eq!(runs(&mut pulls, 200, 300), [0; 0]);
        // An interval that is added later counts from the last run; another one takes its place.
        assert!(pulls.put(ID, pull(Interval::Every(Span::secs(30)))));
        assert_eq!(runs(&mut pulls, 300, 370), [300, 330, 360]);
        assert!(pulls.put(ID, pull(Interval::Every(Span::secs(100)))));
        assert_eq!(runs(&mut pulls, 370, 600), [460, 560]);
        assert_eq!(pulls.next_wake(), Some(Time(660_000)));
        assert!(pulls.remove(ID).is_some());
        assert_eq!((runs(&mut pulls, 600, 900), pulls.next_wake()), (vec![], None));
    }

    #[test]
    fn one_that_was_run_once_before_a_restart_is_not_run_again() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Once));
        pulls.restored(ID, Some(Time(5)));
        assert_eq!(runs(&mut pulls, 1, 1000), [0; 0]);
    }

    #[test]
    fn one_that_was_not_answered_before_a_restart_is_run_again() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Once));
        let run = begin(&mut pulls, 5);
        pulls.failed(run, Failure(vec!["Timeout".to_owned()]));
        let kept = pulls.get(ID).and_then(|known| known.answered);
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Once));
        pulls.restored(ID, kept);
        assert_eq!(runs(&mut pulls, 6, 1000), [6]);
    }

    #[test]
    fn an_answer_to_another_question_or_another_run_is_none() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Every(Span::secs(10))));
        let first = begin(&mut pulls, 0);
        let other = Pull { partner: DomainKey([2; 32]), ..pull(Interval::Every(Span::secs(10))) };
        pulls.put(ID, other.clone());
        let second = begin(&mut pulls, 1);
        assert_eq!(pulls.found(first, &offers(&[(1, 1)]), true), None);
        pulls.failed(first, Failure(Vec::new()));
        // Nor is one to what was there before under the same id.
        pulls.remove(ID);
        pulls.put(ID, other);
        let third = begin(&mut pulls, 2);
        assert_eq!(pulls.found(second, &offers(&[(1, 1)]), true), None);
        assert_eq!(pulls.found(third, &offers(&[(2, 1)]), true).map(|changes| changes.new), Some(ids(&[2])));
        assert_eq!(pulls.found(third, &offers(&[(3, 1)]), true), None);
    }

    #[test]
    fn a_partner_that_never_says_all_is_remembered_up_to_a_bound() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Every(Span::secs(1))));
        for second in 0..100_u64 {
            let run = begin(&mut pulls, second);
            let id = |n: u64| FlavourId((u128::from(second) << 64 | u128::from(n)).to_be_bytes());
            let found = (0..256).map(|n| (id(n), Epoch { starts: 1, changes: 1 })).collect();
            assert!(pulls.found(run, &found, false).is_some_and(|changes| changes.vanished.is_empty()));
            let seen = pulls.get(ID).map(|known| &known.seen);
            assert!(seen.is_some_and(|seen| seen.len() <= SEEN + 256 && seen.contains_key(&id(0))));
        }
    }

    #[test]
    fn it_runs_at_once_when_it_is_told_to_and_never_twice_at_a_time() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Manual));
        assert!(pulls.trigger(ID) && !pulls.trigger(PullId(2)));
        let run = begin(&mut pulls, 7);
        assert!(run.id == ID && pulls.trigger(ID));
        assert_eq!((pulls.begin(Time(8000)), pulls.next_wake()), (None, None));
        assert!(pulls.found(run, &offers(&[]), true).is_some());
        assert!(pulls.begin(Time(9000)).is_some(), "it was told to while it ran");
    }

    #[test]
    fn what_is_new_changed_and_vanished_is_told_apart() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Every(Span::secs(1))));
        let mut run = |now: u64, found: &[(u8, u64)], is_whole| {
            let run = begin(&mut pulls, now);
            pulls.found(run, &offers(found), is_whole).unwrap_or_default()
        };
        let changes = |new: &[u8], changed: &[u8], vanished: &[u8]| Changes {
            new: ids(new),
            changed: ids(changed),
            vanished: ids(vanished),
        };
        assert_eq!(run(0, &[(1, 1), (2, 1)], true), changes(&[1, 2], &[], &[]));
        assert_eq!(run(1, &[(1, 1), (2, 2), (3, 1)], true), changes(&[3], &[2], &[]));
        // Not all of it: what is left out may still be there.
        assert_eq!(run(2, &[(3, 1)], false), changes(&[], &[], &[]));
        assert_eq!(run(3, &[(3, 2)], true), changes(&[], &[3], &[1, 2]));
        assert_eq!(run(4, &[(1, 1)], true), changes(&[1], &[], &[3]));
    }

    #[test]
    fn a_failure_is_a_chain_and_changes_nothing_of_what_was_seen() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Every(Span::secs(10))));
        let run = begin(&mut pulls, 0);
        pulls.found(run, &offers(&[(1, 1)]), true);
        let run = begin(&mut pulls, 10);
        let chain = ["following 'cpu>=1' of beta", "asking supernode 12D3", "Timeout"].map(str::to_owned);
        pulls.failed(run, Failure(chain.into()));
        let known = pulls.get(ID).cloned();
        let text = known.as_ref().and_then(|known| known.last.as_ref()?.as_ref().err()).map(ToString::to_string);
        assert_eq!(text.as_deref(), Some("following 'cpu>=1' of beta: asking supernode 12D3: Timeout"));
        assert_eq!(known.map(|known| known.seen), Some(offers(&[(1, 1)])));
        assert_eq!(pulls.next_wake(), Some(Time(20_000)));
        // An answer that comes after that is of no run.
        assert_eq!(pulls.found(run, &offers(&[]), true), None);
    }

    #[test]
    fn another_question_begins_anew_and_too_short_an_interval_is_none() {
        let mut pulls = Pulls::default();
        pulls.put(ID, pull(Interval::Once));
        let run = begin(&mut pulls, 0);
        pulls.found(run, &offers(&[(1, 1)]), true);
        let other = Pull { partner: DomainKey([2; 32]), ..pull(Interval::Once) };
        assert!(pulls.put(ID, other));
        assert!(pulls.begin(Time(1)).is_some() && pulls.get(ID).is_some_and(|known| known.seen.is_empty()));
        assert!(!pulls.put(PullId(2), pull(Interval::Every(Span::millis(1)))));
    }
}
