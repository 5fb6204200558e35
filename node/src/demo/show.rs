//! What a person sees of a demonstration; a program that reads JSON sees nothing of it.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::{Outcome, Phases};
use crate::cli::{
    tables::{Show as Cell, cell},
    terminal::{BAD, DIM, GOOD, HEADING, line},
};

/// The colour of what the consumer does.
const CONSUMER: Style = AnsiColor::Cyan.on_default();
/// The colour of what the provider does.
const PROVIDER: Style = AnsiColor::Yellow.on_default();

/// Shows, or keeps silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    silent: bool,
}

/// Who is who.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cast<'a> {
    pub(super) consumer: &'a str,
    pub(super) provider: &'a str,
}

impl Cast<'_> {
    fn name(&self, node: &str) -> (&'static str, Style) {
        if node == self.consumer {
            ("consumer", CONSUMER)
        } else if node == self.provider {
            ("provider", PROVIDER)
        } else {
            ("?", DIM)
        }
    }
}

impl Show {
    pub(super) const fn new(silent: bool) -> Self {
        Self { silent }
    }

    fn say(self, text: &str) -> anyhow::Result<()> {
        if self.silent { Ok(()) } else { Ok(line(text)?) }
    }

    pub(super) fn title(self, title: &str, about: &str) -> anyhow::Result<()> {
        self.say(&format!("{HEADING}{title}{HEADING:#}\n{DIM}{about}{DIM:#}\n"))
    }

    /// Presents a node and what it brings.
    pub(super) fn node(self, cast: Cast<'_>, node: &str, what: &str) -> anyhow::Result<()> {
        let (name, style) = cast.name(node);
        let id = cell(Some(&Value::from(node)), Cell::Node);
        self.say(&format!("  {style}{name}{style:#}  {id}  {what}"))
    }

    /// Shows a command as a person would give it.
    pub(super) fn command(self, at: &str, command: &str) -> anyhow::Result<()> {
        self.say(&format!("\n  {DIM}at the {at}:{DIM:#} tombolo {command}\n"))
    }

    /// Shows a step as it was recorded.
    pub(super) fn step(self, cast: Cast<'_>, step: &Value) -> anyhow::Result<()> {
        let field = |name: &str| cell(step.get(name), Cell::Plain);
        let (node, style) = cast.name(step.get("node").and_then(Value::as_str).unwrap_or_default());
        let (at, number, manager, what) = (field("atMs"), field("step"), field("manager"), field("what"));
        self.say(&format!("{at:>8} ms  {number:>2}  {style}{node:8}{style:#}  {manager:4}  {what}"))
    }

    /// Says something under a heading of its own.
    pub(super) fn fact(self, name: &str, what: &str) -> anyhow::Result<()> {
        self.say(&format!("  {HEADING}{name:9}{HEADING:#}  {what}"))
    }

    /// Leaves a line free.
    pub(super) fn gap(self) -> anyhow::Result<()> {
        self.say("")
    }

    pub(super) fn phases(self, phases: Phases) -> anyhow::Result<()> {
        let Phases { discover, reserve, peer, deploy, total } = phases;
        let text = format!("discover {discover} ms, reserve {reserve} ms, peer {peer} ms, deploy {deploy} ms");
        self.fact("took", &format!("{total} ms: {text}"))
    }

    /// Says how a story went.
    pub(super) fn outcome(self, outcome: &Outcome) -> anyhow::Result<()> {
        let (story, steps) = (outcome.story, outcome.steps);
        if let Some(reason) = &outcome.reason {
            anstream::eprintln!("tombolo: {BAD}story {story} failed{BAD:#}: {reason}");
            return Ok(());
        }
        let total = outcome.phases_ms.total;
        self.say(&format!("\n{GOOD}story {story} done{GOOD:#}: {steps} steps, running after {total} ms\n"))
    }

    /// Says where everything was left.
    pub(super) fn kept(self, path: &Path) -> anyhow::Result<()> {
        self.say(&format!("everything was left in {}", path.display()))
    }
}
