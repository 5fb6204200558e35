//! What a person sees of a demonstration; a program that reads JSON sees nothing of it.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::{Outcome, Phases};
use crate::cli::{
    tables::{Show as Cell, cell},
    terminal::{BAD, DIM, GOOD, HEADING, line},
};

/// The colours of who does something, by their place in the cast.
const STYLES: [Style; 5] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Green.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Blue.on_default(),
];

/// Shows, or keeps silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    silent: bool,
}

/// Who is who: ids and names, the consumer first.
#[derive(Debug, Clone)]
pub(super) struct Cast(Vec<(String, &'static str)>);

impl Cast {
    pub(super) fn new(cast: &[(&str, &'static str)]) -> Self {
        Self(cast.iter().map(|(id, name)| ((*id).to_owned(), *name)).collect())
    }

    /// Returns what somebody is called, by the id or by the letter that stands for it behind a border.
    pub(super) fn name_of(&self, node: &str) -> &'static str {
        self.name(node).0
    }

    fn name(&self, node: &str) -> (&'static str, Style) {
        let name = match node {
            "P" => "provider",
            "K" => "catalogue",
            letter => letter,
        };
        let found = self.0.iter().zip(STYLES).find(|((id, called), _)| id == node || *called == name);
        found.map_or(("?", DIM), |((_, name), style)| (name, style))
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
    pub(super) fn node(self, cast: &Cast, node: &str, what: &str) -> anyhow::Result<()> {
        let (name, style) = cast.name(node);
        let id = cell(Some(&Value::from(node)), Cell::Node);
        self.say(&format!("  {style}{name}{style:#}  {id}  {what}"))
    }

    /// Shows a command as a person would give it.
    pub(super) fn command(self, at: &str, command: &str) -> anyhow::Result<()> {
        self.say(&format!("\n  {DIM}at the {at}:{DIM:#} tombolo {command}\n"))
    }

    /// Shows a step as it was recorded.
    pub(super) fn step(self, cast: &Cast, step: &Value) -> anyhow::Result<()> {
        let field = |name: &str| cell(step.get(name), Cell::Plain);
        let (node, style) = cast.name(step.get("node").and_then(Value::as_str).unwrap_or_default());
        let (at, number, manager, what) = (field("atMs"), field("step"), field("manager"), field("what"));
        self.say(&format!("{at:>8} ms  {number:>2}  {style}{node:9}{style:#}  {manager:4}  {what}"))
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
