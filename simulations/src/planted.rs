//! The mutation check: bugs are planted in the deciders, and the shipped scenarios must find them.
//!
//! What finds nothing may be blind, so this is the test of the simulator itself. It exists only with the feature
//! `planted`, which nothing that is shipped turns on.

use std::ops::{ControlFlow, Range};

use kernel::planted::{Bug, plant};

use crate::{
    outcome::Violation,
    plan::{PlanError, Trim},
    run,
    search::search_with,
    shipped,
};

/// Where a bug is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hunt {
    /// Which bug.
    pub bug: Bug,
    /// In which shipped scenario.
    pub scenario: &'static str,
    /// With how many seeds at most, from 1 on.
    pub seeds: u64,
}

/// A bug that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catch {
    /// The first seed that found it: so many were needed.
    pub seed: u64,
    /// What did not hold.
    pub violation: Violation,
}

impl Hunt {
    /// Looks for the bug; `None` where every seed passes as if there were none.
    ///
    /// # Errors
    /// What the scenario asks for and can't have, and that there is no such scenario.
    pub fn run(&self) -> Result<Option<Catch>, PlanError> {
        first(self.scenario, Some(self.bug), 1..self.seeds.saturating_add(1))
    }
}

/// Runs a scenario for one seed without any bug, and returns what did not hold.
///
/// # Errors
/// What the scenario asks for and can't have, and that there is no such scenario.
pub fn without(scenario: &str, seed: u64) -> Result<Option<Catch>, PlanError> {
    first(scenario, None, seed..seed.saturating_add(1))
}

fn first(name: &str, bug: Option<Bug>, seeds: Range<u64>) -> Result<Option<Catch>, PlanError> {
    let scenario = shipped::by_name(name).ok_or_else(|| PlanError(format!("there is no scenario {name}")))?;
    // A bug lives on one thread alone, and a search runs on others.
    let run = |seed, watch: &mut crate::search::Watch<'_>| {
        let _planted = bug.map(plant);
        run::run(&scenario, seed, &Trim::default(), watch)
    };
    let found = search_with(&run, seeds, 1, &mut |_| ControlFlow::Continue(()))?;
    Ok(found.failed.map(|failure| Catch { seed: failure.outcome.seed, violation: failure.violation }))
}
