//! `tombolo demo`: the whole thing on one machine, with real daemons as separate processes.
//!
//! What is shown is what happens: each command is given to the program itself, each step is one that the nodes
//! recorded. Processes and directories end with the demonstration, however it ends.

mod four;
mod one;
mod show;
mod stage;
mod three;
mod two;

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{
        exit::{Told, WrongUsage},
        terminal,
    },
    sandbox::Sandbox,
};
use show::Show;

/// The stories that there are.
const STORIES: &[u8] = &[1, 2, 3, 4];

/// How a story went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    story: u8,
    /// Whether the page was fetched and everything given back.
    ok: bool,
    /// How many different steps of the story were recorded.
    steps: usize,
    phases_ms: Phases,
    /// The text of the workload's page.
    fetched: Option<String>,
    /// Whether every capacity is what it was.
    restored: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How long each phase took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Phases {
    discover: u64,
    reserve: u64,
    peer: u64,
    deploy: u64,
    total: u64,
}

/// Shows stories.
///
/// # Errors
/// When there is no such story, or one did not end with its page fetched and everything given back.
pub(crate) async fn run(stories: &[u8], keep: bool, json: bool) -> anyhow::Result<()> {
    if let Some(story) = stories.iter().find(|story| !STORIES.contains(story)) {
        return Err(WrongUsage(format!("--stories {story}: there are stories 1, 2, 3 and 4")).into());
    }
    let stories: BTreeSet<u8> = stories.iter().copied().collect();
    let program = std::env::current_exe().context("can not find the program itself")?;
    let show = Show::new(json);
    let mut outcomes = Vec::new();
    for story in stories {
        let sandbox = Sandbox::new(&program).context("can not make a temporary directory")?;
        let result = tokio::select! {
            result = run_one(story, &show, &sandbox) => result,
            result = interrupted() => result,
        };
        let outcome = result.unwrap_or_else(|error| Outcome::failed(story, &error));
        show.outcome(&outcome)?;
        outcomes.push(outcome);
        if keep {
            show.kept(&sandbox.keep())?;
        }
    }
    if json {
        terminal::line(&json!({ "stories": outcomes }).to_string())?;
    }
    if outcomes.iter().all(|outcome| outcome.ok) { Ok(()) } else { Err(Told.into()) }
}

async fn run_one(story: u8, show: &Show, sandbox: &Sandbox) -> anyhow::Result<Outcome> {
    match story {
        1 => one::run(show, sandbox).await,
        2 => two::run(show, sandbox).await,
        3 => three::run(show, sandbox).await,
        4 => four::run(show, sandbox).await,
        other => bail!("there is no story {other}"),
    }
}

impl Outcome {
    fn failed(story: u8, error: &anyhow::Error) -> Self {
        Self {
            story,
            ok: false,
            steps: 0,
            phases_ms: Phases::default(),
            fetched: None,
            restored: false,
            reason: Some(format!("{error:#}")),
        }
    }
}

/// Fails when this program is told to end, so that what it has started ends with it.
async fn interrupted<T>() -> anyhow::Result<T> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    }
}
