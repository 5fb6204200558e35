//! The same scenario with real daemons, each a process of its own: slower, smaller, and never twice the same.

use std::{ops::ControlFlow, pin::pin};

use serde_json::json;
use simulations::{plan::Trim, report, scenario::Scenario, search, search::Stopwatch};

use super::{SimArgs, bar::Bar, show};
use crate::{
    cli::{exit::WrongUsage, terminal},
    processes,
};

/// Acts a scenario out once, until it ends or somebody has had enough.
pub(super) async fn act(
    word: &str,
    scenario: &Scenario,
    trim: &Trim,
    args: &SimArgs,
    json: bool,
) -> anyhow::Result<()> {
    if args.seeds.is_some() || args.trace.is_some() {
        return Err(WrongUsage("processes run one seed at a time, and leave no trace".to_owned()).into());
    }
    if !json {
        show::begin(scenario, &(args.seed..args.seed + 1), trim)?;
    }
    let begun = Stopwatch::start();
    let enough = std::cell::Cell::new(false);
    let bar = Bar::searching(1);
    let mut watch = |progress| {
        bar.show_one(&progress);
        if enough.get() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let ran = {
        let mut work = pin!(processes::run(scenario, args.seed, trim, &mut watch));
        loop {
            tokio::select! {
                ran = &mut work => break ran,
                _ = tokio::signal::ctrl_c() => enough.set(true),
            }
        }
    };
    bar.clear();
    let processes::Ran { mut outcome, left_out } = ran?;
    outcome.wall_s = begun.elapsed().as_secs_f64();
    let command = format!("{} --on processes", search::command(word, args.seed, trim));
    if let Some(dir) = &args.report {
        report::write(dir, std::slice::from_ref(&outcome), None, &command)?;
    }
    if json {
        let mut value = super::simulation(&outcome, &command)?;
        value["leftOut"] = json!(left_out);
        terminal::line(&serde_json::to_string_pretty(&value)?)?;
    } else {
        show::outcome(&outcome)?;
        show::left_out(&left_out)?;
        show::violations(&outcome.violations)?;
    }
    super::judge(&outcome)?;
    if enough.get() {
        anyhow::bail!("ended before its end: all held so far");
    }
    if json { Ok(()) } else { Ok(show::held(1)?) }
}
