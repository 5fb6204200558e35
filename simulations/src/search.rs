//! The search: many seeds on all processors, the first that fails, and the smallest run that still fails like it.
//!
//! A run has one thread and reads no clock; here several run side by side, and a stopwatch says what they cost. What is
//! found depends on neither: the failure is that of the lowest seed that has one.

mod caught;
mod command;
mod first;
mod indices;
mod shrink;
mod stopwatch;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kernel::Span;

pub use command::command;
pub use indices::{Indices, ParseIndicesError};
pub use shrink::{Budget, Shape, Shrunk, Size, shrink};
pub use stopwatch::Stopwatch;

use self::{caught::caught, first::first};
use crate::{
    outcome::{Outcome, Violation},
    plan::{Plan, PlanError, Trim},
    run::{self, Progress},
    scenario::Scenario,
};

/// How many outcomes are kept of runs in which all held.
const KEPT: u64 = 16;

/// What is told, and asked whether to go on, while something runs.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stand {
    /// In how many runs all held.
    pub passed: u64,
    /// How many runs there are to be.
    pub of: u64,
    /// How many events all runs took in.
    pub events: u64,
    /// How much is done, from 0 to 1.
    pub share: f64,
}

/// What a search has found.
#[derive(Debug, Default)]
pub struct Found {
    /// In how many runs all held: all those of lower seeds where one has failed.
    pub passed: u64,
    /// What became of the first of them, by seed.
    pub outcomes: Vec<Outcome>,
    /// The lowest seed's that failed, if any has.
    pub failed: Option<Failure>,
    /// What a single run had come to when it was told to stop.
    pub stopped: Option<Outcome>,
}

/// A run in which something did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What became of it.
    pub outcome: Outcome,
    /// The first thing that did not hold.
    pub violation: Violation,
}

impl Failure {
    /// Says whether a smaller run may fail in the same way. What is said in `[hold]` is said of the whole scenario.
    pub fn may_shrink(&self) -> bool {
        !self.violation.what.starts_with("hold.")
    }
}

/// Runs a scenario for many seeds, until one fails or `on_progress` breaks.
///
/// # Errors
/// What the scenario asks for and can't have.
pub fn search(
    scenario: &Scenario,
    seeds: Range<u64>,
    trim: &Trim,
    threads: usize,
    on_progress: &mut dyn FnMut(&Stand) -> ControlFlow<()>,
) -> Result<Found, PlanError> {
    search_with(&|seed, watch| run::run(scenario, seed, trim, watch), seeds, threads, on_progress)
}

/// Runs what `run` runs for many seeds, until one fails or `on_progress` breaks.
///
/// # Errors
/// What the scenario asks for and can't have.
pub fn search_with(
    run: &(impl Fn(u64, &mut Watch<'_>) -> Result<Outcome, PlanError> + Sync),
    seeds: Range<u64>,
    threads: usize,
    on_progress: &mut dyn FnMut(&Stand) -> ControlFlow<()>,
) -> Result<Found, PlanError> {
    let of = seeds.end.saturating_sub(seeds.start);
    let desk = Mutex::new(Desk::default());
    let test = |number: u64, idle: &dyn Fn() -> bool| {
        let seed = seeds.start.saturating_add(number);
        let mut gave_up = false;
        let grown = Grown::new(of == 1);
        let result = one(run, seed, grown, &mut |progress| {
            open(&desk).running.insert(number, progress);
            gave_up = idle();
            if gave_up { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let mut desk = open(&desk);
        desk.running.remove(&number);
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => return Some(Err(error)),
        };
        desk.events = desk.events.saturating_add(outcome.events);
        if let Some(violation) = outcome.violations.first().cloned() {
            return Some(Ok(Failure { outcome, violation }));
        }
        if gave_up {
            desk.stopped.get_or_insert(outcome);
            return None;
        }
        desk.passed.push(number);
        if number < KEPT {
            desk.outcomes.insert(number, outcome);
        }
        None
    };
    let failed = first(of, threads, &test, &mut || {
        let stand = open(&desk).stand(of);
        on_progress(&stand)
    });
    let desk = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (until, failed) = match failed {
        Some((_, Err(error))) => return Err(error),
        Some((number, Ok(failure))) => (number, Some(failure)),
        None => (of, None),
    };
    // How far others had come above it depends on the threads.
    let passed = desk.passed.iter().filter(|number| **number < until).count();
    Ok(Found {
        passed: u64::try_from(passed).unwrap_or(u64::MAX),
        outcomes: desk.outcomes.into_iter().filter(|(number, _)| *number < until).map(|(_, outcome)| outcome).collect(),
        stopped: desk.stopped.filter(|_| of == 1 && failed.is_none()),
        failed,
    })
}

/// Makes a failing run smaller while it fails in the same way.
pub fn shrink_failure(
    scenario: &Scenario,
    run: &(impl Fn(u64, &Trim, &mut Watch<'_>) -> Result<Outcome, PlanError> + Sync),
    failure: &Failure,
    trim: &Trim,
    budget: Budget,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Shrunk {
    let seed = failure.outcome.seed;
    let shape = |trim: &Trim| {
        let plan = caught(|| Plan::new(scenario, seed, trim)).ok()?.ok()?;
        Some(Shape {
            nodes: u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX),
            length: plan.length,
            acts: plan.acts.iter().map(|act| act.number).collect(),
            arrivals: plan.arrivals.iter().map(|arrival| arrival.number).collect(),
        })
    };
    let violations = |trim: &Trim, idle: &dyn Fn() -> bool| {
        let outcome = one(&|seed, watch: &mut Watch<'_>| run(seed, trim, watch), seed, Grown::new(false), &mut |_| {
            if idle() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        outcome.map(|outcome| outcome.violations).unwrap_or_default()
    };
    shrink(trim, &failure.violation, budget, &shape, &violations, go_on)
}

/// Returns how many processors there are for us.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Runs once, with a stopwatch; a panic is something that did not hold, too.
fn one(
    run: &impl Fn(u64, &mut Watch<'_>) -> Result<Outcome, PlanError>,
    seed: u64,
    mut grown: Grown,
    watch: &mut Watch<'_>,
) -> Result<Outcome, PlanError> {
    let begun = Stopwatch::start();
    let mut last = Progress { age: Span::ZERO, of: Span::ZERO, events: 0 };
    let result = caught(|| {
        run(seed, &mut |progress| {
            last = progress;
            grown.look();
            watch(progress)
        })
    });
    let mut outcome = match result {
        Ok(result) => result?,
        Err(panicked) => {
            let violation = Violation {
                what: format!("panic at {}", panicked.place),
                at_ms: last.age.0,
                node: String::new(),
                detail: panicked.message,
            };
            let virtual_s = Duration::from_millis(last.age.0).as_secs_f64();
            Outcome { seed, virtual_s, events: last.events, violations: vec![violation], ..Outcome::default() }
        }
    };
    outcome.wall_s = begun.elapsed().as_secs_f64();
    outcome.measures.bytes_per_node = grown.most / u64::from(outcome.nodes.max(1));
    Ok(outcome)
}

/// By how much the process has grown at the most during a run; by nothing where others run beside it.
struct Grown {
    before: Option<u64>,
    most: u64,
}

impl Grown {
    fn new(alone: bool) -> Self {
        Self { before: alone.then(stopwatch::memory).flatten(), most: 0 }
    }

    fn look(&mut self) {
        if let Some(before) = self.before {
            self.most = self.most.max(stopwatch::memory().map_or(0, |now| now.saturating_sub(before)));
        }
    }
}

/// What the threads of a search put down.
#[derive(Default)]
struct Desk {
    running: BTreeMap<u64, Progress>,
    passed: Vec<u64>,
    outcomes: BTreeMap<u64, Outcome>,
    stopped: Option<Outcome>,
    events: u64,
}

impl Desk {
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    fn stand(&self, of: u64) -> Stand {
        let part = |progress: &Progress| progress.age.0 as f64 / progress.of.0.max(1) as f64;
        let passed = self.passed.len() as u64;
        let done = passed as f64 + self.running.values().map(|progress| part(progress).min(1.0)).sum::<f64>();
        let events = self.running.values().fold(self.events, |sum, progress| sum.saturating_add(progress.events));
        Stand { passed, of, events, share: (done / of.max(1) as f64).min(1.0) }
    }
}

fn open(desk: &Mutex<Desk>) -> std::sync::MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
