//! Submitting, watching and deleting intents.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use kernel::Digest;
use orchestrator::parse;
use serde_json::{Value, json};

use super::{
    DeleteArgs, Global, LogsArgs, SubmitArgs,
    client::Client,
    exit::Told,
    tables::{self, Show},
    terminal::{self, BAD, DIM, GOOD, HEADING},
};
use crate::clock::Stopwatch;

/// How long the daemon is asked to hold an answer back until something changes.
const LONG_POLL: Duration = Duration::from_secs(5);

/// Reads intents, hands over their components, submits them, and waits if asked to.
pub(crate) async fn submit(global: &Global, args: &SubmitArgs) -> anyhow::Result<()> {
    // Everything is read before anything is sent: a mistake in the last file submits none.
    let mut read = Vec::new();
    for file in &args.files {
        read.extend(read_intents(file)?);
    }
    let client = Client::find(global)?;
    for (_, components) in &read {
        for bytes in components.values() {
            client.upload("/v1/modules", bytes.clone()).await?;
        }
    }
    let mut ids = Vec::new();
    for (intent, _) in &read {
        let body = json!({ "intent": intent, "contract": args.contract });
        let answer = client.post("/v1/intents", &body).await?;
        let id = answer.get("id").and_then(Value::as_str).context("the daemon named no intent")?.to_owned();
        if !args.wait && global.json() {
            terminal::line(&answer.to_string())?;
        } else if !global.json() {
            terminal::line(&id)?;
        }
        ids.push(id);
    }
    if !args.wait {
        return Ok(());
    }
    let mut failed = false;
    for id in &ids {
        failed |= !wait_until_running(global, &client, id, args.timeout.to_std()).await?;
    }
    if failed { Err(Told.into()) } else { Ok(()) }
}

/// An intent, and the components that it needs.
type ReadIntent = (orchestrator::intent::Intent, BTreeMap<Digest, Vec<u8>>);

/// Reads the intents of a file, each with its components.
fn read_intents(file: &Path) -> anyhow::Result<Vec<ReadIntent>> {
    let text = fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))?;
    let parsed = parse::parse_many(&text).with_context(|| format!("{} is no intent", file.display()))?;
    let beside = file.parent().unwrap_or_else(|| Path::new("."));
    parsed
        .into_iter()
        .map(|parsed| {
            let mut components = BTreeMap::new();
            let intent = parsed.resolve(|path| {
                let path = beside.join(path);
                let bytes = fs::read(&path).with_context(|| format!("can not read {}", path.display()))?;
                runtime::inspect(&bytes).with_context(|| format!("{} can not be run", path.display()))?;
                let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
                components.insert(digest, bytes);
                anyhow::Ok((digest, size))
            })?;
            Ok((intent, components))
        })
        .collect()
}

/// Waits until an intent runs or has failed, with a line for each step; says whether it runs.
async fn wait_until_running(global: &Global, client: &Client, id: &str, timeout: Duration) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let mut shown = BTreeSet::new();
    let mut version = 0;
    loop {
        let left = timeout.saturating_sub(watch.elapsed());
        let wait = left.min(LONG_POLL).as_millis();
        let intent = client.get(&format!("/v1/intents/{id}?after={version}&waitMs={wait}")).await?;
        version = intent.get("version").and_then(Value::as_u64).unwrap_or(0);
        let steps = intent.get("steps").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let phase = intent.get("phase").and_then(Value::as_str).unwrap_or_default();
        // Steps of several replicas arrive in no order: each is shown once, when it is first seen. Until it is agreed with
        // whom, it does not show which story it is, and a step's number may change.
        if !global.json() && !matches!(phase, "Pending" | "Discovering" | "Reserving") {
            steps.iter().filter(|step| shown.insert(step.to_string())).try_for_each(print_step)?;
        }
        match phase {
            "Running" => {
                if global.json() {
                    terminal::line(&intent.to_string())?;
                } else {
                    terminal::line(&format!("{GOOD}running{GOOD:#} after {} ms", watch.elapsed().as_millis()))?;
                    print_endpoints(&intent)?;
                }
                return Ok(true);
            }
            "Failed" | "Deleted" => {
                if global.json() {
                    terminal::line(&intent.to_string())?;
                }
                let reason = tables::cell(intent.get("reason"), Show::Plain);
                anstream::eprintln!("tombolo: intent {id} {BAD}{}{BAD:#}: {reason}", phase.to_lowercase());
                return Ok(false);
            }
            _ if left.is_zero() => {
                let reason = intent.get("reason").filter(|reason| !reason.is_null());
                let reason =
                    reason.map_or_else(|| "it is under way".to_owned(), |it| tables::cell(Some(it), Show::Plain));
                anstream::eprintln!("tombolo: intent {id} is still {phase} after {timeout:?}: {reason}");
                return Ok(false);
            }
            _ => {}
        }
    }
}

/// Shows one intent.
pub(crate) async fn show(global: &Global, id: &str, steps: bool) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    let intent = find(&client, id).await?;
    if global.json() {
        return Ok(terminal::line(&serde_json::to_string_pretty(&intent)?)?);
    }
    let field = |name: &str| tables::cell(intent.get(name), Show::Plain);
    terminal::line(&format!("{HEADING}{}{HEADING:#} {} {}", field("name"), field("id"), field("phase")))?;
    if intent.get("reason").is_some_and(|reason| !reason.is_null()) {
        terminal::line(&format!("reason: {}", field("reason")))?;
    }
    for workload in intent.get("workloads").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| tables::cell(workload.get(name), Show::Plain);
        terminal::line(&format!("{}: {} on {}", field("name"), field("status"), field("node")))?;
    }
    print_endpoints(&intent)?;
    if steps {
        intent.get("steps").and_then(Value::as_array).into_iter().flatten().try_for_each(print_step)?;
    }
    Ok(())
}

/// Prints what a workload has printed, and goes on if asked to.
pub(crate) async fn logs(global: &Global, args: &LogsArgs) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    let intent = find(&client, &args.id).await?;
    let id = intent.get("id").and_then(Value::as_str).context("the daemon named no intent")?;
    let workload = args.workload.as_ref().map_or_else(String::new, |name| format!("&workload={name}"));
    let mut from = 0;
    loop {
        let wait = if args.follow { LONG_POLL.as_millis() } else { 0 };
        let chunk = client.get(&format!("/v1/intents/{id}/logs?from={from}&waitMs={wait}{workload}")).await?;
        let lines = chunk.get("lines").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for line in lines {
            if global.json() {
                terminal::line(&line.to_string())?;
            } else {
                terminal::line(&tables::cell(line.get("text"), Show::Plain))?;
            }
        }
        from = chunk.get("next").and_then(Value::as_u64).unwrap_or(from);
        if !args.follow && lines.is_empty() {
            return Ok(());
        }
    }
}

/// Deletes an intent, and waits until everything is given back if asked to.
pub(crate) async fn delete(global: &Global, args: &DeleteArgs) -> anyhow::Result<()> {
    let client = Client::find(global)?;
    let intent = find(&client, &args.id).await?;
    let id = intent.get("id").and_then(Value::as_str).context("the daemon named no intent")?.to_owned();
    client.delete(&format!("/v1/intents/{id}")).await?;
    if args.wait {
        wait_until_gone(&client, &id, args.timeout.to_std()).await?;
    }
    let word = if args.wait { "deleted" } else { "deleting" };
    if global.json() {
        return Ok(terminal::line(&json!({ "id": id, "phase": word }).to_string())?);
    }
    Ok(terminal::line(&format!("{id} {word}"))?)
}

/// Waits until everything that an intent had is given back.
async fn wait_until_gone(client: &Client, id: &str, timeout: Duration) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let mut version = 0;
    loop {
        let left = timeout.saturating_sub(watch.elapsed());
        let wait = left.min(LONG_POLL).as_millis();
        let intent = client.get(&format!("/v1/intents/{id}?after={version}&waitMs={wait}")).await?;
        version = intent.get("version").and_then(Value::as_u64).unwrap_or(0);
        if intent.get("phase").and_then(Value::as_str) == Some("Deleted") {
            return Ok(());
        }
        if left.is_zero() {
            bail!("intent {id} is being deleted, but not everything was given back within {timeout:?}");
        }
    }
}

/// Finds an intent by its id, the start of it, or its name.
async fn find(client: &Client, wanted: &str) -> anyhow::Result<Value> {
    let all = client.get("/v1/intents").await?;
    let intents = all.as_array().map_or(&[][..], Vec::as_slice);
    let field = |intent: &Value, name: &str| intent.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let alive = |intent: &&Value| field(intent, "phase") != "Deleted";
    let by_id: Vec<_> = intents.iter().filter(|intent| field(intent, "id").starts_with(wanted)).collect();
    let by_name: Vec<_> = intents.iter().filter(|intent| field(intent, "name") == wanted).filter(alive).collect();
    let found = if by_name.is_empty() { by_id } else { by_name };
    match found.as_slice() {
        [one] => client.get(&format!("/v1/intents/{}", field(one, "id"))).await,
        [] => bail!("NotFound: there is no intent '{wanted}'"),
        many => bail!("'{wanted}' may be any of {} intents: say more of the id", many.len()),
    }
}

fn print_step(step: &Value) -> anyhow::Result<()> {
    let field = |name: &str, show| tables::cell(step.get(name), show);
    let what = step.get("what").and_then(Value::as_str).unwrap_or_default();
    Ok(terminal::line(&format!(
        "{:>6} ms  step {:>2}  {:9}  {:4}  {DIM}{what}{DIM:#}",
        field("atMs", Show::Plain),
        field("step", Show::Plain),
        field("node", Show::Node),
        field("manager", Show::Plain),
    ))?)
}

fn print_endpoints(intent: &Value) -> anyhow::Result<()> {
    for workload in intent.get("workloads").and_then(Value::as_array).into_iter().flatten() {
        for endpoint in workload.get("endpoints").and_then(Value::as_array).into_iter().flatten() {
            let field = |name: &str| tables::cell(endpoint.get(name), Show::Plain);
            terminal::line(&format!(
                "{} {} {}",
                tables::cell(workload.get("name"), Show::Plain),
                field("name"),
                field("url")
            ))?;
        }
    }
    Ok(())
}
