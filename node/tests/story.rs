//! Story 1 with two real daemons: the recorded steps held against the table, and what was agreed against both tables.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{Pair, available, fetch, live_allocations, live_contracts, offer, resources, rows, running, text};

/// Who does what, in order: `C` the consumer, `P` the provider. Pairs that may come in either order stand together.
const STORY_ONE: &[(u64, &[(char, &str)])] = &[
    (1, &[('C', "SH")]),
    (2, &[('C', "NO")]),
    (3, &[('C', "NO")]),
    (4, &[('C', "NO")]),
    (5, &[('C', "REAR")]),
    (6, &[('C', "REAR")]),
    (7, &[('C', "DM")]),
    (8, &[('P', "DM")]),
    (9, &[('P', "DM")]),
    (10, &[('C', "DM")]),
    (11, &[('C', "DM")]),
    (12, &[('C', "REAR")]),
    (13, &[('C', "REAR")]),
    (14, &[('C', "CM")]),
    (15, &[('P', "CM")]),
    (16, &[('P', "REAR")]),
    (17, &[('P', "REAR")]),
    (18, &[('P', "CM"), ('P', "NM")]),
    (19, &[('C', "CM"), ('C', "NM")]),
    (20, &[('C', "REAR")]),
    (21, &[('C', "REAR")]),
    (22, &[('C', "VFM")]),
    (23, &[('P', "VFM")]),
    (24, &[('P', "VFM")]),
    (25, &[('P', "REAR")]),
    (26, &[('P', "VFM")]),
    (27, &[('C', "VFM")]),
    (28, &[('C', "REAR")]),
    (29, &[('C', "REAR")]),
    (30, &[('C', "NO")]),
    (31, &[('C', "NO")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_story_is_the_table_of_story_one_and_all_is_given_back() {
    let pair = Pair::new(&offer("4", "4Gi", 32), "").await;
    let (consumer, provider) = (&pair.consumer, &pair.provider);
    let before = available(provider).await;

    // As a person would: the example as it stands in the project.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/hello.yaml");
    let printed = consumer.expect(&["submit", file, "--wait"]).await.unwrap();
    let id = printed.lines().next().unwrap().to_owned();
    assert!(printed.contains("step 31"), "a line for each step: {printed}");
    let intent = running(consumer, &id).await;

    check_story(&intent, consumer.id(), provider.id());

    let page = fetch(&intent).await.unwrap();
    assert_eq!(page.trim_end(), format!("hello from {}", provider.id()));
    assert_eq!(intent["workloads"][0]["node"], provider.id());
    assert_eq!(intent["workloads"][0]["status"], "Running");

    let contracts = live_contracts(consumer).await;
    assert_eq!(contracts.len(), 1);
    assert_eq!(contracts, live_contracts(provider).await, "the same contract and digest at both");
    let active = |kind: &str| vec![(kind.to_owned(), "Active".to_owned())];
    assert_eq!(live_allocations(consumer).await, active("VirtualNode"));
    assert_eq!(live_allocations(provider).await, active("Node"));

    // The flavour shrank by exactly the partition.
    let table = provider.get("/v1/contracts").await.unwrap();
    let partition = resources(&rows(&table).iter().find(|one| text(one, "id") == contracts[0].0).unwrap()["partition"]);
    assert!(!partition.is_zero());
    assert_eq!(available(provider).await.checked_add(&partition), Some(before));

    consumer.expect(&["delete", "hello", "--wait"]).await.unwrap();
    assert_eq!(available(provider).await, before, "it grew back into exactly what it was");
    support::nothing_left(consumer).await;
    support::nothing_left(provider).await;
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_intent_finds_what_is_known_without_asking_around() {
    let pair = Pair::new(&offer("4", "4Gi", 32), "").await;
    let first = support::submit(&pair.consumer, &support::page(&pair.sandbox, "first")).await;
    running(&pair.consumer, &first).await;
    let second = support::submit(&pair.consumer, &support::page(&pair.sandbox, "second")).await;
    let second = running(&pair.consumer, &second).await;
    let steps: Vec<_> = rows(&second["steps"]).iter().filter_map(|step| step["step"].as_u64()).collect();
    assert!(steps.contains(&5) && !steps.contains(&7), "candidates were looked up, nobody was asked: {steps:?}");
    assert_eq!(live_contracts(&pair.consumer).await.len(), 2, "one pair of nodes holds several peerings");
    assert_eq!(live_contracts(&pair.consumer).await, live_contracts(&pair.provider).await);
    assert!(fetch(&second).await.unwrap().contains(pair.provider.id()));
    pair.audited().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_at_home_runs_at_home() {
    let sandbox = support::sandbox();
    let node = sandbox.found("only", "test", &offer("4", "4Gi", 32)).await.unwrap();
    let before = available(&node).await;
    let id = support::submit(&node, &support::page(&sandbox, "home")).await;
    let intent = running(&node, &id).await;
    assert_eq!(intent["story"], 0);
    let steps: std::collections::BTreeSet<_> =
        rows(&intent["steps"]).iter().filter_map(|step| step["step"].as_u64()).collect();
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), [1, 2, 3, 31]);
    assert_eq!(live_allocations(&node).await, [("Local".to_owned(), "Active".to_owned())]);
    assert_ne!(available(&node).await, before, "what is used at home is not offered");
    assert!(fetch(&intent).await.unwrap().contains(node.id()));
    node.expect(&["delete", &id, "--wait"]).await.unwrap();
    assert_eq!(available(&node).await, before);
}

/// Holds the recorded steps against the table: the same steps, actors and order.
#[track_caller]
fn check_story(intent: &serde_json::Value, consumer: &str, provider: &str) {
    assert_eq!(intent["story"], 1);
    let who = |node: &str| match node {
        node if node == consumer => 'C',
        node if node == provider => 'P',
        other => panic!("a step was done at {other}"),
    };
    let mut recorded: Vec<(u64, Vec<(char, String)>)> = Vec::new();
    let mut last = 0;
    for step in rows(&intent["steps"]) {
        let (number, at) = (step["step"].as_u64().unwrap(), step["atMs"].as_u64().unwrap());
        assert!(at >= last, "times run forwards: {:#}", intent["steps"]);
        last = at;
        let actor = (who(text(step, "node")), text(step, "manager").to_owned());
        match recorded.last_mut() {
            Some((same, actors)) if *same == number => actors.push(actor),
            _ => recorded.push((number, vec![actor])),
        }
    }
    recorded.iter_mut().for_each(|(_, actors)| actors.sort());
    let table: Vec<(u64, Vec<(char, String)>)> = STORY_ONE
        .iter()
        .map(|(number, actors)| (*number, actors.iter().map(|(who, manager)| (*who, (*manager).to_owned())).collect()))
        .collect();
    assert_eq!(recorded, table);
}
