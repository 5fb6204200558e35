//! Story 3 over and over with real daemons on loopback, and LIST_FLAVOURS alone beside a bare libp2p round trip of the same
//! size, all in one run: `cargo bench -p node --features bench --bench borders`.
//!
//! `TOMBOLO_RUNS` says how often the story is told (200).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "it measures, and decides nothing")]

use std::time::{Duration, Instant};

use kernel::{QueryId, Span};
use node::{
    data_dir::DataDir,
    sandbox::{Node, Sandbox},
};
use rear_proto::{
    Answer, Ask, Reply, Request, Selector,
    message::{List, Scope},
    wire::codec,
};
use serde_json::Value;
use transport::Protocol;

const OFFER: &str = r#"
[[offer]]
name = "spare"
characteristics = { architecture = "amd64", cpu = "4", memory = "4Gi", pods = "32" }
price = { amount = "0.08", currency = "EUR", period = "hour" }

[offer.policies.partitionable]
min = { cpu = "100m", memory = "64Mi", pods = "1" }
step = { cpu = "100m", memory = "64Mi", pods = "1" }
"#;
const EXPOSE: &str = "[[discovery.expose]]\npartners = [\"*\"]\n";
const COMPONENT: &[u8] = include_bytes!("../../examples/hello.wasm");
const INTENT: &str = include_str!("../../examples/hello.yaml");
/// How many questions are asked of each kind.
const QUESTIONS: usize = 2000;

#[tokio::main]
async fn main() {
    let runs = std::env::var("TOMBOLO_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(200);
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tombolo")).unwrap();
    let sc = sandbox.found_as("sc", "alpha", "supernode", "").await.unwrap();
    let sp = sandbox.found_as("sp", "beta", "supernode", EXPOSE).await.unwrap();
    let p = sandbox.join_as("p", &sp, "node", OFFER).await.unwrap();
    // It asks each time, also for what it knows already.
    let mut c = sandbox.join_as("c", &sc, "node", "[rear]\nmax-age = \"1ms\"\n").await.unwrap();
    sandbox.befriend(&sc, &sp, "beta", "alpha").await.unwrap();
    for node in [&c, &p] {
        node.until("/v1/partners", |table| !table.as_array().unwrap().is_empty()).await.unwrap();
    }
    sp.until("/v1/candidates", |table| !table.as_array().unwrap().is_empty()).await.unwrap();
    stories(&sandbox, &c, runs).await;
    c.stop().await.unwrap();
    lists(&c, &sc).await;
}

/// Tells the story so often.
async fn stories(sandbox: &Sandbox, c: &Node, runs: usize) {
    std::fs::write(sandbox.path().join("hello.wasm"), COMPONENT).unwrap();
    let file = sandbox.path().join("hello.yaml");
    std::fs::write(&file, INTENT).unwrap();
    let names = ["discover", "reserve", "peer", "deploy", "total"];
    let mut phases: Vec<Vec<Duration>> = vec![Vec::new(); names.len()];
    for run in 0..=runs {
        let submitted = c.json(&["submit", file.to_str().unwrap()]).await.unwrap();
        let id = submitted["id"].as_str().unwrap().to_owned();
        let over = |intent: &Value| matches!(intent["phase"].as_str(), Some("Running" | "Failed"));
        let intent = c.follow(&id, over).await.unwrap();
        assert_eq!((&intent["phase"], &intent["story"]), (&"Running".into(), &3.into()), "{intent:#}");
        // The first compiles the component.
        if run > 0 {
            for (phase, name) in phases.iter_mut().zip(names) {
                phase.push(Duration::from_millis(intent["phasesMs"][name].as_u64().unwrap_or(0)));
            }
        }
        c.expect(&["delete", &id, "--wait"]).await.unwrap();
    }
    println!("story 3, {runs} runs after the first (to a millisecond)");
    for (name, took) in names.iter().zip(phases) {
        show(name, took);
    }
}

/// Asks as the consumer would, from its key.
async fn lists(c: &Node, sc: &Node) {
    let secret = DataDir::new(c.dir()).node_secret().unwrap();
    let (handle, mut events) = transport::start(transport::Config::new(*secret)).await.unwrap();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let supernode = handle.dial(&sc.addresses()[0]).await.unwrap();
    let question = |n: u64, limit: u32| {
        let mut query = QueryId([0; 16]);
        query.0[..8].copy_from_slice(&n.to_le_bytes());
        let list = List {
            query,
            selector: "cpu>=500m, memory>=64Mi".parse::<Selector>().unwrap(),
            limit,
            scope: Scope::Partners,
            exclude: Vec::new(),
            hops_left: 4,
            trail: Vec::new(),
            deadline: Span::secs(2),
            extensions: Default::default(),
        };
        codec::encode(&Ask { request: Request::List(list), tell: false, extensions: Default::default() })
    };
    let (mut sizes, mut number) = ((0, 0), 0);
    println!("LIST_FLAVOURS alone, {QUESTIONS} questions each, over QUIC");
    for (name, limit) in [("one hop: SC knows enough", 1), ("two hops: SC asks SP", 64)] {
        let mut took = Vec::with_capacity(QUESTIONS);
        for _ in 0..QUESTIONS {
            number += 1;
            let body = question(number, limit);
            let length = body.len();
            let asked = Instant::now();
            let bytes = handle.ask(supernode, Protocol::Rear, body, Span::secs(2)).await.unwrap();
            took.push(asked.elapsed());
            let reply: Reply = codec::decode(&bytes).unwrap();
            assert!(matches!(&reply.answer, Answer::Flavours(flavours) if flavours.flavours.len() == 1), "{reply:?}");
            sizes = (length, bytes.len());
        }
        show(name, took);
    }
    let (question, answer) = sizes;
    let took = transport::bare::round_trips(question, answer, QUESTIONS).await.unwrap();
    show(&format!("bare request-response, {question} B and {answer} B"), took);
    handle.stop().await;
}

fn show(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).or(took.last()).copied().unwrap_or_default();
    println!("  {name:44} median {:>9.3?}   p99 {:>9.3?}", at(50), at(99));
}
