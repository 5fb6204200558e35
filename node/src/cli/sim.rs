//! `tombolo sim`: worlds of thousands of nodes in virtual time, from a scenario and a seed.
//!
//! Everything that it finds is found by the library `simulations`; here is what a person types and sees.

mod bar;
mod choice;
mod real;
mod show;
mod trace;

use std::{
    ops::{ControlFlow, Range},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use kernel::Span;
use serde_json::{Value, json};
use simulations::{
    outcome::{Outcome, Violation},
    plan::{PlanError, Trim},
    regressions, report, run,
    scenario::Scenario,
    search::{self, Budget, Failure, Found, Indices, Shrunk, Watch},
    shipped,
};

use super::{Global, exit::WrongUsage, terminal};
use bar::Bar;
use trace::Trace;

/// What may be spent on making a failure smaller.
const BUDGET: (u32, Duration) = (600, Duration::from_secs(120));

#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// The name of a shipped scenario, or the path of a file; without it, the shipped ones are listed
    scenario: Option<String>,
    /// List the shipped scenarios
    #[arg(long, conflicts_with = "scenario")]
    list: bool,
    /// Print the text of a shipped scenario, as a start for one's own
    #[arg(long, requires = "scenario")]
    text: bool,
    /// From what everything is drawn: the same seed gives the same run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Run this many seeds, from --seed on, until one fails
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), conflicts_with = "trace")]
    seeds: Option<u64>,
    /// At most this many nodes, in proportion
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    nodes: Option<u32>,
    /// For how long intents come and faults strike, instead of what the scenario says
    #[arg(long = "for", value_name = "SPAN")]
    length: Option<Span>,
    /// Only these faults, by their numbers, such as 0-3,7; or none
    #[arg(long, value_name = "LIST")]
    acts: Option<Indices>,
    /// Only these intents, by their numbers, such as 0-12,40; or none
    #[arg(long, value_name = "LIST")]
    arrivals: Option<Indices>,
    /// How many runs at once, with --seeds and when a failure is made smaller [default: as many as processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Leave a failure as large as it was found
    #[arg(long)]
    no_shrink: bool,
    /// Let no supernode tell its partners what its domain has, so that they are asked each time
    #[arg(long)]
    no_digests: bool,
    /// Write a report, as a page and as JSON, into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write all that happens, a line each, into this file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Where it is acted out
    #[arg(long, value_name = "WHERE", default_value = "world")]
    on: On,
    /// Run with a mistake in the code, which some run must find
    #[cfg(feature = "planted")]
    #[arg(long, hide = true, value_name = "BUG", value_parser = bug)]
    plant: Option<kernel::planted::Bug>,
}

/// Where a scenario is acted out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// In virtual time: the same seed is the same run.
    World,
    /// With real daemons on this machine, in real time: for small and short scenarios.
    Processes,
}

/// Reads the name of a bug.
#[cfg(feature = "planted")]
fn bug(name: &str) -> Result<kernel::planted::Bug, String> {
    let names = || kernel::planted::Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    let bug = kernel::planted::Bug::ALL.iter().copied().find(|bug| bug.name() == name);
    bug.ok_or_else(|| format!("it is one of {}", names()))
}

/// Runs what was typed, on a thread of its own, until it ends or somebody has had enough.
pub(crate) async fn sim(global: &Global, args: SimArgs) -> anyhow::Result<()> {
    let Some(word) = args.scenario.clone() else { return show::list(global.json()) };
    if args.text {
        return choice::text(&word);
    }
    let scenario = choice::scenario(&word, &args)?;
    let json = global.json();
    if args.on == On::Processes {
        return real::act(&word, &scenario, &args.trim(), &args, json).await;
    }
    let enough = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&enough);
    let mut work = tokio::task::spawn_blocking(move || Sim { word, scenario, args, json, enough: told }.run());
    tokio::select! {
        done = &mut work => done.context("the simulation ended badly")?,
        _ = tokio::signal::ctrl_c() => {
            enough.store(true, Ordering::Relaxed);
            work.await.context("the simulation ended badly")?
        }
    }
}

/// What was typed, and whether somebody has had enough.
struct Sim {
    /// The scenario as it was typed.
    word: String,
    scenario: Scenario,
    args: SimArgs,
    json: bool,
    enough: Arc<AtomicBool>,
}

/// A failure, and what it became.
struct Smaller {
    /// What became of the smaller run.
    outcome: Outcome,
    trim: Trim,
    shrunk: Option<Shrunk>,
}

impl SimArgs {
    fn trim(&self) -> Trim {
        Trim {
            nodes: self.nodes,
            length: self.length,
            acts: self.acts.clone().map(Indices::into_inner),
            arrivals: self.arrivals.clone().map(Indices::into_inner),
        }
    }
}

impl Sim {
    fn run(&self) -> anyhow::Result<()> {
        let trim = self.args.trim();
        let seeds = self.args.seed..self.args.seed.saturating_add(self.args.seeds.unwrap_or(1));
        if !self.json {
            show::begin(&self.scenario, &seeds, &trim)?;
        }
        let trace = self.args.trace.as_deref().map(Trace::create).transpose()?;
        let found = self.search(seeds.clone(), &trim, trace.as_ref())?;
        if let Some(trace) = &trace {
            trace.end()?;
        }
        let smaller = found.failed.as_ref().map(|failure| self.shrink(failure, &trim));
        let page = self.report(&found)?;
        if self.json {
            terminal::line(&serde_json::to_string_pretty(&self.as_json(&found, smaller.as_ref(), &seeds)?)?)?;
        } else {
            self.tell(&found, smaller.as_ref(), &seeds)?;
            if let Some(page) = page {
                show::written(&page)?;
            }
        }
        self.verdict(&found, &seeds)
    }

    fn threads(&self) -> usize {
        self.args.threads.map_or_else(search::processors, usize::from)
    }

    /// Runs once.
    fn once(&self, seed: u64, trim: &Trim, trace: Option<&Trace>, watch: &mut Watch<'_>) -> Result<Outcome, PlanError> {
        #[cfg(feature = "planted")]
        let _planted = self.args.plant.map(kernel::planted::plant);
        run::traced(&self.scenario, seed, trim, trace.map(Trace::reader), watch)
    }

    fn has_enough(&self) -> ControlFlow<()> {
        if self.enough.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn search(&self, seeds: Range<u64>, trim: &Trim, trace: Option<&Trace>) -> anyhow::Result<Found> {
        let bar = Bar::searching(seeds.end - seeds.start);
        let found = search::search_with(
            &|seed, watch: &mut Watch<'_>| self.once(seed, trim, trace, watch),
            seeds,
            self.threads(),
            &mut |stand| {
                bar.show(stand);
                self.has_enough()
            },
        );
        bar.clear();
        found.map_err(|error| WrongUsage(format!("{}: {error}", self.word)).into())
    }

    /// Makes a failure smaller, unless that was done before or is not wanted.
    fn shrink(&self, failure: &Failure, trim: &Trim) -> Smaller {
        let seed = failure.outcome.seed;
        let as_it_is = Smaller { outcome: failure.outcome.clone(), trim: trim.clone(), shrunk: None };
        if self.args.no_shrink || !failure.may_shrink() || trim.acts.is_some() || trim.arrivals.is_some() {
            return as_it_is;
        }
        let (runs, time) = BUDGET;
        let budget = Budget { runs, time, threads: self.threads() };
        let bar = Bar::shrinking();
        let shrunk = search::shrink_failure(
            &self.scenario,
            &|seed, trim: &Trim, watch: &mut Watch<'_>| self.once(seed, trim, None, watch),
            failure,
            trim,
            budget,
            &mut || self.has_enough(),
        );
        bar.clear();
        let again = search::search_with(
            &|seed, watch: &mut Watch<'_>| self.once(seed, &shrunk.trim, None, watch),
            seed..seed + 1,
            1,
            &mut |_| ControlFlow::Continue(()),
        );
        match again.ok().and_then(|found| found.failed) {
            Some(failure) => Smaller { outcome: failure.outcome, trim: shrunk.trim.clone(), shrunk: Some(shrunk) },
            None => as_it_is,
        }
    }

    /// Writes the report of what was found, where one is wanted, and says where it is.
    fn report(&self, found: &Found) -> anyhow::Result<Option<PathBuf>> {
        let Some(dir) = &self.args.report else { return Ok(None) };
        let failed = found.failed.as_ref().map(|failure| &failure.outcome);
        let runs: Vec<Outcome> = failed.into_iter().chain(&found.stopped).chain(&found.outcomes).cloned().collect();
        let Some(shown) = runs.first() else { return Ok(None) };
        let trim = self.args.trim();
        let without = self.without_digests(shown.seed, &trim);
        Ok(Some(report::write(dir, &runs, without.as_ref(), &self.command(shown.seed, &trim))?))
    }

    /// Runs once more without digests, for comparison, where there is somebody to tell them to.
    fn without_digests(&self, seed: u64, trim: &Trim) -> Option<Outcome> {
        if !self.scenario.settings.discovery.digests || self.scenario.domain_count() < 2 {
            return None;
        }
        let mut scenario = self.scenario.clone();
        scenario.settings.discovery.digests = false;
        let bar = Bar::comparing();
        let run = |seed, watch: &mut Watch<'_>| run::run(&scenario, seed, trim, watch);
        let found = search::search_with(&run, seed..seed + 1, 1, &mut |stand| {
            bar.show(stand);
            self.has_enough()
        });
        bar.clear();
        let found = found.ok()?;
        found.outcomes.into_iter().next().or(found.failed.map(|failure| failure.outcome))
    }

    fn command(&self, seed: u64, trim: &Trim) -> String {
        let mut command = search::command(&self.word, seed, trim);
        if self.args.no_digests {
            command.push_str(" --no-digests");
        }
        #[cfg(feature = "planted")]
        if let Some(bug) = self.args.plant {
            command.push_str(" --plant ");
            command.push_str(bug.name());
        }
        command
    }

    fn tell(&self, found: &Found, smaller: Option<&Smaller>, seeds: &Range<u64>) -> anyhow::Result<()> {
        let single = seeds.end - seeds.start == 1;
        match (&found.failed, smaller) {
            (Some(failure), Some(smaller)) => {
                if !single {
                    terminal::line(&format!("seed {} failed; {} below it held", failure.outcome.seed, found.passed))?;
                }
                show::outcome(&failure.outcome)?;
                show::violations(&smaller.outcome.violations)?;
                if let Some(shrunk) = &smaller.shrunk {
                    show::shrunk(&self.scenario, failure.outcome.seed, shrunk)?;
                }
                show::repeat(&self.command(failure.outcome.seed, &smaller.trim))?;
                self.keep(failure.outcome.seed, smaller)?;
            }
            _ => {
                if let Some(outcome) = found.stopped.as_ref().or(found.outcomes.first()) {
                    show::outcome(outcome)?;
                }
                if found.passed == seeds.end - seeds.start {
                    show::held(found.passed)?;
                }
            }
        }
        Ok(())
    }

    /// Shows the row that keeps a failure of a shipped scenario, for whoever mends it.
    fn keep(&self, seed: u64, smaller: &Smaller) -> anyhow::Result<()> {
        #[cfg(feature = "planted")]
        if self.args.plant.is_some() {
            return Ok(());
        }
        let is_shipped = shipped::text(&self.word).is_some() && !self.args.no_digests;
        let Some(violation) = smaller.outcome.violations.first().filter(|_| is_shipped) else { return Ok(()) };
        let row = regressions::row(&self.word, seed, &smaller.trim, violation)?;
        Ok(show::keep(&row)?)
    }

    fn as_json(&self, found: &Found, smaller: Option<&Smaller>, seeds: &Range<u64>) -> anyhow::Result<Value> {
        let trim = self.args.trim();
        let failed = found.failed.as_ref().map(|failure| self.simulation(&failure.outcome, &trim)).transpose()?;
        let mut value = if self.args.seeds.is_some() {
            let count = seeds.end - seeds.start;
            let head =
                json!({ "scenario": self.scenario.name, "seed": seeds.start, "seeds": count, "passed": found.passed });
            with(head, "failed", failed)
        } else if let Some(failed) = failed {
            failed
        } else {
            let outcome = found.stopped.as_ref().or(found.outcomes.first()).context("nothing ran")?;
            self.simulation(outcome, &trim)?
        };
        if let Some(smaller) = smaller {
            let small = self.simulation(&smaller.outcome, &smaller.trim)?;
            value = with(value, "command", Some(small["command"].clone()));
            value = with(value, "smaller", smaller.shrunk.as_ref().map(|_| small));
        }
        Ok(value)
    }

    fn simulation(&self, outcome: &Outcome, trim: &Trim) -> anyhow::Result<Value> {
        simulation(outcome, &self.command(outcome.seed, trim))
    }

    /// Says how it ends: well, with what did not hold, or before its end.
    fn verdict(&self, found: &Found, seeds: &Range<u64>) -> anyhow::Result<()> {
        if let Some(failure) = &found.failed {
            judge(&failure.outcome)?;
        }
        let count = seeds.end - seeds.start;
        if found.passed < count {
            bail!("ended before its end: all held in {} of {count} runs", found.passed);
        }
        Ok(())
    }
}

/// Returns an object with a field more, where there is a value for it.
fn with(mut object: Value, name: &str, value: Option<Value>) -> Value {
    if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
        map.insert(name.to_owned(), value);
    }
    object
}

/// Returns a run as others rely on it, with the command that repeats it.
fn simulation(outcome: &Outcome, command: &str) -> anyhow::Result<Value> {
    let measures = &outcome.measures;
    let value = serde_json::to_value(outcome)?;
    let value = with(value, "figures", Some(serde_json::to_value(outcome.figures())?));
    let value = with(value, "refusals", Some(serde_json::to_value(&measures.refusals)?));
    let value = with(value, "bytesPerNode", Some(measures.bytes_per_node.into()));
    Ok(with(value, "command", Some(command.into())))
}

/// Says what did not hold in a run.
fn judge(outcome: &Outcome) -> anyhow::Result<()> {
    let Some(Violation { what, detail, .. }) = outcome.violations.first() else { return Ok(()) };
    let (scenario, seed) = (terminal::clean(&outcome.scenario), outcome.seed);
    bail!("{scenario} does not hold for seed {seed}: {what}: {}", terminal::clean(detail));
}
