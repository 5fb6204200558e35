//! What runs on another node: commands to their end, their logs as they come, and several replicas or none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{Pair, available, fetch, intent, live_contracts, offer, pages, rows, running, settled, submit, text};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// What `batch` prints, in order, after the line with its node.
const PRINTED: &[&str] = &["argument 1: red", "argument 2: green", "step 1 of 3", "step 2 of 3", "step 3 of 3", "done"];

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_to_its_end_elsewhere_and_its_log_is_read_here() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let before = available(provider).await;
    let spec = "  workloads:
    - name: batch
      wasm: ./batch.wasm
      args: [red, green]
      resources: { cpu: 500m, memory: 64Mi }
  term: 1h
";
    let id = submit(consumer, &intent(&pair.sandbox, "batch", spec)).await;
    let ended = |intent: &Value| intent["workloads"][0]["status"] == "Succeeded";
    let intent = consumer.follow(&id, ended).await.unwrap();
    assert_eq!(intent["workloads"][0]["node"], provider.id());

    let logs = consumer.expect(&["logs", "batch"]).await.unwrap();
    let mut lines: Vec<_> = logs.lines().collect();
    assert_eq!(lines.remove(0), format!("batch on {}", provider.id()));
    // What goes to standard error and what to standard output come by two ways.
    lines.sort_unstable();
    let mut printed = PRINTED.to_vec();
    printed.sort_unstable();
    assert_eq!(lines, printed);
    consumer.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(provider).await, before);
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_log_goes_on_as_the_workload_prints() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let id = submit(&pair.consumer, &pages(&pair.sandbox, "page", 1)).await;
    let intent = running(&pair.consumer, &id).await;
    let mut following = pair.consumer.program().args(["logs", "page", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    // Each request leaves a line; the next is made only when it has come.
    for _ in 0..3 {
        fetch(&intent).await.unwrap();
        let line = tokio::time::timeout(std::time::Duration::from_secs(60), lines.next_line()).await;
        assert_eq!(line.expect("a line in time").unwrap().as_deref(), Some("served /"));
    }
    following.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_run_all_or_none() {
    // Room for two halves of a core.
    let pair = Pair::new(&offer("1", "4Gi", 8), "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let before = available(provider).await;

    let three = submit(consumer, &pages(&pair.sandbox, "three", 3)).await;
    let three = consumer.follow(&three, settled).await.unwrap();
    assert_eq!(three["phase"], "Failed", "{three:#}");
    assert!(text(&three, "reason").contains("Unavailable"), "{three:#}");
    support::nothing_left(provider).await;
    // What was held for the first two is given back.
    support::restored(provider, &before).await;
    let table = provider.get("/v1/contracts").await.unwrap();
    assert!(rows(&table).is_empty(), "nothing was bought for a part of it: {table:#}");

    let two = submit(consumer, &pages(&pair.sandbox, "two", 2)).await;
    let two = running(consumer, &two).await;
    let workloads = rows(&two["workloads"]);
    assert_eq!(workloads.len(), 2, "{two:#}");
    for workload in workloads {
        assert_eq!((text(workload, "status"), text(workload, "node")), ("Running", provider.id()));
        let url = workload["endpoints"][0]["url"].as_str().unwrap();
        assert!(reqwest::get(url).await.unwrap().text().await.unwrap().contains(provider.id()));
    }
    assert_eq!(live_contracts(consumer).await, live_contracts(provider).await);
    consumer.expect(&["delete", "two", "--wait"]).await.unwrap();
    assert_eq!(available(provider).await, before);
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_with_several_workloads_runs_each() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let spec = "  workloads:
    - name: web
      wasm: ./hello.wasm
      resources: { cpu: 500m, memory: 64Mi }
      ports: [{ name: http, port: 80 }]
    - name: batch
      wasm: ./batch.wasm
      resources: { cpu: 200m, memory: 64Mi }
";
    let id = submit(&pair.consumer, &intent(&pair.sandbox, "both", spec)).await;
    let both = running(&pair.consumer, &id).await;
    assert_eq!(rows(&both["workloads"]).len(), 2);
    let logs = format!("/v1/intents/{id}/logs?workload=batch");
    let logs = pair.consumer.until(&logs, |chunk| rows(&chunk["lines"]).len() >= 5).await.unwrap();
    assert!(text(&logs["lines"][0], "text").contains(pair.provider.id()));
    pair.consumer.expect(&["delete", &id, "--wait"]).await.unwrap();
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_price_or_a_place_forbids_does_not_run() {
    let pair = Pair::new(&offer("4", "4Gi", 8), "").await;
    let workload = "  workloads:
    - name: web
      wasm: ./hello.wasm
      resources: { cpu: 500m, memory: 64Mi }
";
    let cases = [
        ("dear", "  price: { max: 0.000001, currency: EUR, period: hour }\n"),
        ("abroad", "  where: { location: DE }\n"),
        ("currency", "  price: { max: 100, currency: USD, period: hour }\n"),
    ];
    for (name, condition) in cases {
        let id = submit(&pair.consumer, &intent(&pair.sandbox, name, &format!("{workload}{condition}"))).await;
        let failed = pair.consumer.follow(&id, settled).await.unwrap();
        assert_eq!(failed["phase"], "Failed", "{failed:#}");
        assert!(text(&failed, "reason").len() > 10, "{failed:#}");
    }
    let allowed = "  price: { max: 0.05, currency: EUR, period: hour }\n  where: { location: IT }\n";
    let id = submit(&pair.consumer, &intent(&pair.sandbox, "allowed", &format!("{workload}{allowed}"))).await;
    running(&pair.consumer, &id).await;
}
