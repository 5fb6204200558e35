//! Story 1: two nodes of one domain. The one has no room of its own, the other has some to spare.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{
    Outcome, Phases,
    show::{Cast, Show},
};
use crate::{
    cli::tables::{Show as Cell, cell},
    sandbox::{Node, Sandbox},
};

/// The workload: a page that says who runs it.
const COMPONENT: &[u8] = include_bytes!("../../../examples/hello.wasm");
const INTENT: &str = include_str!("../../../examples/hello.yaml");

/// How many steps the story has.
const STEPS: usize = 31;

/// What the provider has to spare.
fn offer() -> String {
    let architecture = crate::measure::architecture();
    format!(
        r#"
[[offer]]
name = "spare"
characteristics = {{ architecture = "{architecture}", cpu = "4", memory = "4Gi", pods = "32" }}
price = {{ amount = "0.08", currency = "EUR", period = "hour" }}

[offer.policies.partitionable]
min = {{ cpu = "100m", memory = "64Mi", pods = "1" }}
step = {{ cpu = "100m", memory = "64Mi", pods = "1" }}
"#
    )
}

pub(super) async fn run(show: &Show, sandbox: &Sandbox) -> anyhow::Result<Outcome> {
    show.title("Story 1: two nodes of one domain", "An intent arrives at a node without room, and runs on another.")?;
    let mut provider = sandbox.found("provider", "demo", &offer()).await?;
    let mut consumer = sandbox.join("consumer", &provider, "").await?;
    let told = story(show, sandbox, &consumer, &provider).await;
    // Both are told to end before either's failure is.
    let (first, second) = tokio::join!(consumer.stop(), provider.stop());
    let outcome = told?;
    first.and(second)?;
    Ok(outcome)
}

async fn story(show: &Show, sandbox: &Sandbox, consumer: &Node, provider: &Node) -> anyhow::Result<Outcome> {
    let cast = Cast { consumer: consumer.id(), provider: provider.id() };
    let before = available(provider).await?;
    show.node(cast, provider.id(), &format!("offers {}", offered(provider).await?))?;
    show.node(cast, consumer.id(), "has no room of its own")?;

    let file = sandbox.path().join("hello.yaml");
    fs::write(sandbox.path().join("hello.wasm"), COMPONENT).context("can not write the component")?;
    fs::write(&file, INTENT).context("can not write the intent")?;
    show.command("consumer", "submit hello.yaml")?;
    let file = file.to_str().context("the temporary directory has a name that is no text")?;
    let submitted = consumer.json(&["submit", file]).await?;
    let id = submitted.get("id").and_then(Value::as_str).context("there is no id in the answer")?.to_owned();

    let mut shown = std::collections::BTreeSet::new();
    let mut broken = None;
    let intent = consumer
        .follow(&id, |intent| {
            let steps = list(intent, "/steps");
            for step in steps.iter().filter(|step| shown.insert(step.to_string())) {
                broken = broken.take().or(show.step(cast, step).err());
            }
            broken.is_some() || matches!(text(intent, "/phase"), "Running" | "Failed" | "Deleted")
        })
        .await?;
    if let Some(error) = broken {
        return Err(error);
    }
    ensure!(text(&intent, "/phase") == "Running", "the intent failed: {}", text(&intent, "/reason"));
    let phases = phases(&intent);
    show.gap()?;

    agreed(show, consumer, provider).await?;
    let fetched = fetch(show, &intent).await?;
    show.phases(phases)?;

    show.command("consumer", "delete hello --wait")?;
    consumer.expect(&["delete", &id, "--wait"]).await?;
    let restored = given_back(show, consumer, provider, &before).await?;

    let steps: BTreeSet<_> = list(&intent, "/steps").iter().filter_map(|step| step.get("step")?.as_u64()).collect();
    let reason = if steps.len() != STEPS {
        Some(format!("{} of {STEPS} steps were recorded", steps.len()))
    } else if !fetched.contains(provider.id()) {
        Some(format!("the page does not name the provider: {fetched}"))
    } else {
        (!restored).then(|| "not everything was given back".to_owned())
    };
    let (ok, steps) = (reason.is_none(), steps.len());
    Ok(Outcome { story: 1, ok, steps, phases_ms: phases, fetched: Some(fetched), restored, reason })
}

/// Shows what was agreed, and checks that both have it the same.
async fn agreed(show: &Show, consumer: &Node, provider: &Node) -> anyhow::Result<()> {
    let ours = live_contract(consumer).await?;
    let theirs = live_contract(provider).await?;
    for field in ["/id", "/digest", "/partition", "/price"] {
        let (ours, theirs) = (ours.pointer(field), theirs.pointer(field));
        ensure!(
            ours == theirs,
            "the two have different contracts: {field} is {ours:?} at one, {theirs:?} at the other"
        );
    }
    let short = |field: &str| cell(ours.pointer(field), Cell::Id);
    show.fact("contract", &format!("{}…, digest {}… at both", short("/id"), short("/digest")))?;
    let (partition, price) = (cell(ours.get("partition"), Cell::Resources), cell(ours.get("price"), Cell::Price));
    show.fact("agreed", &format!("{partition} for {price}"))?;
    for (node, kind, whose) in [(consumer, "VirtualNode", "consumer"), (provider, "Node", "provider")] {
        let active = |table: &Value| live(table, "/status", &["Active"]).any(|one| text(one, "/type") == kind);
        node.until("/v1/allocations", active).await?;
        show.fact("", &format!("{kind} Active at the {whose}"))?;
    }
    Ok(())
}

/// Fetches the workload's page where the consumer says that it is.
async fn fetch(show: &Show, intent: &Value) -> anyhow::Result<String> {
    let url = intent.pointer("/workloads/0/endpoints/0/url").and_then(Value::as_str);
    let url = url.context("the workload runs, but has no endpoint")?;
    let answer = reqwest::get(url).await.with_context(|| format!("can not fetch {url}"))?.error_for_status()?;
    let page = answer.text().await?.trim_end().to_owned();
    show.fact("page", &format!("{url}  →  {page}"))?;
    Ok(page)
}

/// Checks that nothing is left of what was agreed, and says so.
async fn given_back(show: &Show, consumer: &Node, provider: &Node, before: &Value) -> anyhow::Result<bool> {
    let after = available(provider).await?;
    let restored = after == *before;
    let resources = |value: &Value| cell(value.as_array().and_then(|all| all.first()), Cell::Resources);
    if restored {
        show.fact("available", &format!("{} at the provider, as before", resources(&after)))?;
    } else {
        show.fact("available", &format!("{} at the provider; it was {}", resources(&after), resources(before)))?;
    }
    let mut left = 0;
    for node in [consumer, provider] {
        left += live(&node.get("/v1/contracts").await?, "/state", &["Signed", "Active"]).count();
        left += live(&node.get("/v1/reservations").await?, "/state", &["Held"]).count();
        left += live(&node.get("/v1/allocations").await?, "/status", &["Inactive", "Active"]).count();
        left += list(&node.get("/v1/routers").await?, "").len();
    }
    let what = if left == 0 { "no contract, allocation or router".to_owned() } else { format!("{left} entries") };
    show.fact("left over", &what)?;
    Ok(restored && left == 0)
}

/// Returns the one live contract of a node.
async fn live_contract(node: &Node) -> anyhow::Result<Value> {
    let table = node.get("/v1/contracts").await?;
    let contracts: Vec<_> = live(&table, "/state", &["Signed", "Active"]).collect();
    match contracts.as_slice() {
        [one] => Ok((*one).clone()),
        others => bail!("one live contract was expected, there are {}", others.len()),
    }
}

/// Returns what is available of each of a node's flavours.
async fn available(node: &Node) -> anyhow::Result<Value> {
    let table = node.get("/v1/flavours").await?;
    Ok(list(&table, "").iter().filter_map(|flavour| flavour.get("available").cloned()).collect())
}

/// Says in words what a node offers.
async fn offered(node: &Node) -> anyhow::Result<String> {
    let table = node.get("/v1/flavours").await?;
    let flavour = list(&table, "").first().context("the provider offers nothing")?;
    let (what, price) = (cell(flavour.get("available"), Cell::Resources), cell(flavour.get("price"), Cell::Price));
    Ok(format!("{what} for {price}"))
}

/// Returns how long each phase took.
fn phases(intent: &Value) -> Phases {
    let of = |name: &str| intent.pointer(&format!("/phasesMs/{name}")).and_then(Value::as_u64).unwrap_or(0);
    Phases {
        discover: of("discover"),
        reserve: of("reserve"),
        peer: of("peer"),
        deploy: of("deploy"),
        total: of("total"),
    }
}

/// Returns those of a table whose field has one of these values.
fn live<'a>(table: &'a Value, field: &'a str, values: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    list(table, "").iter().filter(move |one| values.contains(&text(one, field)))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
