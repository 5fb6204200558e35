//! `tombolo audit` and `tombolo repair`: what can be done with a ledger without a daemon.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::{Global, exit::Told, terminal};
use crate::{
    audit,
    daemon::ledger_options,
    ledger::{LEDGER, Ledger},
    store,
};

/// Verifies the ledger, or two against each other.
pub(crate) fn audit(global: &Global, against: Option<&Path>) -> anyhow::Result<()> {
    let data = global.data_dir();
    data.node_secret()?;
    let report = audit::audit(&data.path().join(LEDGER), against)?;
    if global.json() {
        terminal::line(&serde_json::to_string_pretty(&report)?)?;
    } else {
        let word = if report.ok { "ok" } else { "NOT ok" };
        terminal::line(&format!("{word}: {} frames, {} contracts", report.frames, report.contracts))?;
        report.problems.iter().try_for_each(|problem| terminal::line(problem))?;
    }
    if report.ok { Ok(()) } else { Err(Told.into()) }
}

/// Builds the tables again from the ledger.
pub(crate) fn repair(global: &Global) -> anyhow::Result<()> {
    let data = global.data_dir();
    data.node_secret()?;
    let (_ledger, opened) =
        Ledger::open(data.path(), ledger_options()).context("the tables can only be built from a sound ledger")?;
    let repaired = store::repair(data.path(), &opened)?;
    let aside = repaired.aside.as_ref().map(|path| path.display().to_string());
    if global.json() {
        return Ok(terminal::line(&json!({ "rows": repaired.rows, "aside": aside }).to_string())?);
    }
    terminal::line(&format!("{} rows written from the ledger", repaired.rows))?;
    match aside {
        Some(path) => Ok(terminal::line(&format!("the tables that were there are in {path}"))?),
        None => Ok(()),
    }
}
