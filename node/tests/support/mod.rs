//! What the tests with real daemons have in common: domains of nodes, intents, and looks into their tables.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod borders;

use std::{fs, path::PathBuf};

use kernel::Resources;
use node::sandbox::{Node, Output, Sandbox};
use serde_json::Value;

/// A page that says who runs it, and a command that prints a few lines.
pub const HELLO: &[u8] = include_bytes!("../../../examples/hello.wasm");
pub const BATCH: &[u8] = include_bytes!("../../../examples/batch.wasm");

/// Clocks that are short enough to wait for, and long enough for a busy machine.
pub const FAST: &str = r#"
[contract]
lease = "3s"
repeat-after = "200ms"
[transport]
ping-every = "1s"
ping-failures = 3
redial-most = "500ms"
[vfabric]
grace = "1s"
longest-retry = "1s"
[rear]
settle = "1s"
"#;

pub fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_tombolo")).unwrap()
}

/// An offer of so much, in parts of a tenth of a core and 16 MiB.
pub fn offer(cpu: &str, memory: &str, pods: u32) -> String {
    format!(
        r#"
[[offer]]
name = "spare"
characteristics = {{ architecture = "amd64", cpu = "{cpu}", memory = "{memory}", pods = "{pods}" }}
policies = {{ partitionable = {{ min = {{ cpu = "100m", memory = "32Mi", pods = "1" }}, step = {{ cpu = "100m", memory = "16Mi", pods = "1" }} }} }}
price = {{ amount = "0.08", currency = "EUR", period = "hour" }}
location = {{ country = "IT" }}
"#
    )
}

/// A provider and a consumer of one domain.
pub struct Pair {
    // Before the sandbox, so that the processes end before their directories do.
    pub provider: Node,
    pub consumer: Node,
    pub sandbox: Sandbox,
}

impl Pair {
    pub async fn new(offer: &str, settings: &str) -> Self {
        let sandbox = sandbox();
        // An offer is an array of tables: settings of other tables stand before it.
        let provider = sandbox.found("provider", "test", &format!("{settings}\n{offer}")).await.unwrap();
        let consumer = sandbox.join("consumer", &provider, settings).await.unwrap();
        Self { provider, consumer, sandbox }
    }

    pub async fn stop(&mut self) {
        self.consumer.stop().await.unwrap();
        self.provider.stop().await.unwrap();
    }

    /// Ends both and audits their ledgers, each alone and against the other.
    pub async fn audited(mut self) {
        self.stop().await;
        audit(&self.provider, &self.consumer).await;
    }
}

/// Audits two ledgers, each alone and against the other.
pub async fn audit(one: &Node, other: &Node) {
    for (this, that) in [(one, other), (other, one)] {
        let ledger = that.dir().join("ledger");
        for args in [vec!["audit"], vec!["audit", "--against", ledger.to_str().unwrap()]] {
            let report = this.json(&args).await.unwrap();
            assert_eq!(report["ok"], true, "{args:?} at {}: {report:#}", this.dir().display());
        }
    }
}

/// Writes an intent with its component, and returns the file.
pub fn intent(sandbox: &Sandbox, name: &str, spec: &str) -> PathBuf {
    fs::write(sandbox.path().join("hello.wasm"), HELLO).unwrap();
    fs::write(sandbox.path().join("batch.wasm"), BATCH).unwrap();
    let file = sandbox.path().join(format!("{name}.yaml"));
    let text = format!("apiVersion: tombolo/v1\nkind: Intent\nmetadata: {{ name: {name} }}\nspec:\n{spec}");
    fs::write(&file, text).unwrap();
    file
}

/// Writes an intent for a page with half a core, and returns the file.
pub fn page(sandbox: &Sandbox, name: &str) -> PathBuf {
    pages(sandbox, name, 1)
}

/// Writes an intent for several of them.
pub fn pages(sandbox: &Sandbox, name: &str, replicas: u32) -> PathBuf {
    let spec = format!(
        "  workloads:
    - name: web
      wasm: ./hello.wasm
      resources: {{ cpu: 500m, memory: 64Mi }}
      ports: [{{ name: http, port: 80 }}]
      env: {{ GREETING: hello }}
      replicas: {replicas}
  term: 1h
"
    );
    intent(sandbox, name, &spec)
}

/// Submits an intent without waiting, and returns its id.
pub async fn submit(node: &Node, file: &std::path::Path) -> String {
    let answer = node.json(&["submit", file.to_str().unwrap()]).await.unwrap();
    text(&answer, "id").to_owned()
}

/// Waits until an intent runs; fails the test when it fails.
pub async fn running(node: &Node, id: &str) -> Value {
    let intent = node.follow(id, settled).await.unwrap();
    assert_eq!(intent["phase"], "Running", "{intent:#}\n{}", node.log());
    intent
}

/// Says whether an intent runs or has failed.
pub fn settled(intent: &Value) -> bool {
    matches!(text(intent, "phase"), "Running" | "Failed" | "Deleted")
}

/// Fetches the page of an intent's first workload.
pub async fn fetch(intent: &Value) -> Result<String, String> {
    let url = intent.pointer("/workloads/0/endpoints/0/url").and_then(Value::as_str).ok_or("no endpoint")?;
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    let answer = answer.error_for_status().map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}

pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub fn rows(table: &Value) -> &[Value] {
    table.as_array().map_or(&[], Vec::as_slice)
}

/// Reads amounts of resources from JSON.
pub fn resources(value: &Value) -> Resources {
    let of = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("0").parse().unwrap();
    Resources { cpu: of("cpu"), memory: of("memory"), pods: of("pods"), storage: of("storage"), gpu: of("gpu") }
}

/// Returns a node's only flavour.
pub async fn flavour(node: &Node) -> Value {
    let table = node.get("/v1/flavours").await.unwrap();
    assert_eq!(rows(&table).len(), 1, "{table:#}");
    table[0].clone()
}

/// Returns what is available of a node's only flavour.
pub async fn available(node: &Node) -> Resources {
    resources(&flavour(node).await["available"])
}

/// Waits until what is left of a node's flavour is all of this again: a released allocation takes capacity until its
/// workloads are gone.
pub async fn restored(node: &Node, base: &Resources) {
    node.until("/v1/flavours", |table| resources(&rows(table)[0]["available"]) == *base).await.unwrap();
}

/// Returns the live contracts of a node: id and digest, in order.
pub async fn live_contracts(node: &Node) -> Vec<(String, String)> {
    let table = node.get("/v1/contracts").await.unwrap();
    let live = rows(&table).iter().filter(|contract| matches!(text(contract, "state"), "Signed" | "Active"));
    let mut live: Vec<_> =
        live.map(|contract| (text(contract, "id").to_owned(), text(contract, "digest").to_owned())).collect();
    live.sort();
    live
}

/// Returns the live allocations of a node: type and status.
pub async fn live_allocations(node: &Node) -> Vec<(String, String)> {
    let table = node.get("/v1/allocations").await.unwrap();
    let live = rows(&table).iter().filter(|allocation| text(allocation, "status") != "Released");
    live.map(|allocation| (text(allocation, "type").to_owned(), text(allocation, "status").to_owned())).collect()
}

/// Waits until nothing is agreed, held, allocated or routed at a node.
pub async fn nothing_left(node: &Node) {
    let none = |field: &'static str, over: &'static [&'static str]| {
        move |table: &Value| rows(table).iter().all(|row| over.contains(&text(row, field)))
    };
    node.until("/v1/contracts", none("state", &["Released", "Expired", "Lost"])).await.unwrap();
    node.until("/v1/reservations", none("state", &["Purchased", "Released", "Expired"])).await.unwrap();
    node.until("/v1/allocations", none("status", &["Released"])).await.unwrap();
    node.until("/v1/routers", |table| rows(table).is_empty()).await.unwrap();
}

/// Checks that a command was turned down with this code, in one line that has all of these words.
#[track_caller]
pub fn refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, Some(code), "{output:?}");
    let lines: Vec<_> = output.stderr.lines().filter(|line| line.starts_with("tombolo: ")).collect();
    assert_eq!(lines.len(), 1, "one sentence: {output:?}");
    for word in words {
        assert!(lines[0].contains(word), "'{word}' is missing: {output:?}");
    }
}
