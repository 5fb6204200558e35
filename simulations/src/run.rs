//! One run: a scenario and a seed in, what became of it out.

use std::ops::ControlFlow;

use kernel::Span;

use crate::{
    outcome::Outcome,
    plan::{PlanError, Trim},
    scenario::Scenario,
};

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How long the world has run.
    pub age: Span,
    /// How long it will.
    pub of: Span,
    /// How many events there were.
    pub events: u64,
}

/// Runs a scenario for a seed. `watch` is told now and then how far it is, and may stop it.
///
/// # Errors
/// What the scenario asks for and can't have.
pub fn run(
    _scenario: &Scenario,
    _seed: u64,
    _trim: &Trim,
    _watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Outcome, PlanError> {
    Err(PlanError("runs are not made yet".to_owned()))
}
