//! One run: a scenario and a seed in, what became of it out.

mod hold;

use std::{cell::RefCell, ops::ControlFlow, rc::Rc};

use kernel::Span;

use crate::{
    audit::Auditor,
    measure::Meter,
    outcome::Outcome,
    plan::{Plan, PlanError, Trim},
    scenario::Scenario,
    world::{Reader, START, World},
};

/// After how many events a run says how far it is.
const STRIDE: u64 = 20_000;

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
    scenario: &Scenario,
    seed: u64,
    trim: &Trim,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Outcome, PlanError> {
    traced(scenario, seed, trim, None, watch)
}

/// The same, with somebody who reads the text of all that happens.
///
/// # Errors
/// What the scenario asks for and can't have.
pub fn traced(
    scenario: &Scenario,
    seed: u64,
    trim: &Trim,
    reader: Option<Reader>,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Outcome, PlanError> {
    let plan = Plan::new(scenario, seed, trim)?;
    let mut world = World::new(scenario, plan, seed)?;
    if let Some(reader) = reader {
        world.set_reader(reader);
    }
    world.add_observer(Box::new(Auditor::new(scenario, world.plan().nodes.len())));
    let meter = Rc::new(RefCell::new(Meter::new(world.plan())));
    world.add_observer(Box::new(Rc::clone(&meter)));
    let until = world.begun() + world.plan().length.plus(scenario.quiet);
    let of = until.since(START);
    let mut stopped = false;
    while !stopped && world.run(until, STRIDE) {
        let progress = Progress { age: world.now().since(START), of, events: world.events() };
        stopped = watch(progress).is_break();
    }
    // What must hold when all is quiet need not where somebody had enough before.
    if !stopped && world.violations().is_empty() {
        world.finish();
    }
    let (intents, measures) = meter.borrow_mut().finish(&world);
    let mut violations = world.violations().to_vec();
    // What is said of shares and times is said of the whole scenario, and not of a part that somebody picks.
    if !stopped && violations.is_empty() && *trim == Trim::default() {
        violations = hold::check(&scenario.hold, world.age(), &intents, &measures);
    }
    Ok(Outcome {
        scenario: scenario.name.clone(),
        seed,
        nodes: world.count(),
        virtual_s: world.now().since(START).0 as f64 / 1000.0,
        wall_s: 0.0,
        events: world.events(),
        trace_hash: world.trace_hash(),
        violations,
        intents,
        measures,
    })
}
