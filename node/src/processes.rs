//! The third rung of the simulator: a scenario acted out by real daemons, each a process of its own on the loopback.
//!
//! ```text
//! Scenario ─► Plan ─┬─► city      daemons that know each other
//!                   ├─► acts ───► keepers ── signals, starts, full disks ──► daemons
//!                   └─► arrivals ─► crowd ── submit, delete ───────────────► daemons
//!                                                                              │ their tables, at each change
//!                                                   auditor ◄──────────────────┘
//! ```
//! The plan's times are real ones here, and are waited for by a timer: the one place where time is what is waited for.
//! Everything else waits for an event (a line, a change that is told, an end), with a deadline as its failure. Nothing is
//! decided by it that the plan does not say, but two runs are never the same: processes run as the machine lets them.

mod acts;
mod auditor;
mod city;
mod crowd;
mod eyes;
mod keeper;
mod stage;
mod tables;

use std::{ops::ControlFlow, path::PathBuf};

use anyhow::Context as _;
use simulations::{
    outcome::Outcome,
    plan::{Plan, Trim},
    run::Progress,
    scenario::Scenario,
};

pub use auditor::Auditor;
pub use tables::{Allocation, Contract, Flavour, Reservation, Tables};

/// What became of a run with processes.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What became of it. Its trace hash is empty: no run repeats another.
    pub outcome: Outcome,
    /// What of the scenario was left out, or acted otherwise than it says, a sentence each.
    pub left_out: Vec<String>,
}

/// How a scenario is acted out.
pub struct Processes {
    exe: PathBuf,
    quiet: kernel::Span,
    lens: Option<Box<Lens>>,
    keep: bool,
}

/// Changes what a node says before it is looked at; for tests of the auditor itself.
pub type Lens = dyn Fn(usize, &mut Tables) + Send + Sync;

/// Acts a scenario out with daemons of this very program. `watch` is told now and then how far it is, and may stop it.
///
/// # Errors
/// What the scenario asks for and can't have, and daemons that can't be made at all. What a daemon does wrong is a
/// violation in the outcome.
pub async fn run(
    scenario: &Scenario,
    seed: u64,
    trim: &Trim,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> anyhow::Result<Ran> {
    let program = std::env::current_exe().context("can not find the program itself")?;
    Processes::of(program).act(scenario, seed, trim, watch).await
}

impl Processes {
    /// Prepares to act with daemons of the program `exe`.
    pub fn of(exe: impl Into<PathBuf>) -> Self {
        Self { exe: exe.into(), quiet: kernel::Span::secs(180), lens: None, keep: false }
    }

    /// Sets how long it may take at the end until nothing is held.
    pub const fn quiet_within(mut self, quiet: kernel::Span) -> Self {
        self.quiet = quiet;
        self
    }

    /// Has everything that is looked at pass through a lens.
    pub fn through(mut self, lens: impl Fn(usize, &mut Tables) + Send + Sync + 'static) -> Self {
        self.lens = Some(Box::new(lens));
        self
    }

    /// Leaves the daemons' data where it is when something did not hold, so that it can be looked into.
    pub const fn keeping_data(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Acts a scenario out, as [`run`] does.
    ///
    /// # Errors
    /// As of [`run`].
    pub async fn act(
        self,
        scenario: &Scenario,
        seed: u64,
        trim: &Trim,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> anyhow::Result<Ran> {
        let plan = Plan::new(scenario, seed, trim)?;
        let mut ran = self.quiet_within(scenario.quiet).run(&scenario.name, seed, &plan, watch).await?;
        let hold = scenario.hold;
        if hold.running > 0.0 || hold.within.is_some() || hold.stated_within.is_some() {
            ran.left_out.push("hold: shares and times are not judged, as they are the machine's".to_owned());
        }
        Ok(ran)
    }
}
