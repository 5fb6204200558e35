//! Scenarios acted out by real daemons: what must hold of them holds while they are killed, ended, stopped and out of room,
//! and afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "processes/plans.rs"]
mod plans;

use std::ops::ControlFlow;

use kernel::{Rng, Span};
use node::processes::{Allocation, Contract, Processes, Ran};
use plans::{acts, arrivals, domain, exposing, fast, node};
use rear_proto::membership::Role;
use serde_json::Value;
use simulations::{
    plan::{Act, Plan, Trim},
    scenario::{Scenario, Where},
};

/// A domain of a supernode and three nodes, two of which offer something; each of them suffers something.
fn small_city(seed: u64) -> Plan {
    let mut rng = Rng::from_number(seed);
    let length = Span::secs(18);
    let (from, lasts) = (|rng: &mut Rng, at: u64| at + rng.below(1500), |rng: &mut Rng| Span(500 + rng.below(2500)));
    let faults = vec![
        (from(&mut rng, 2000), Act::Crash { node: 1, back_after: lasts(&mut rng) }),
        (from(&mut rng, 5000), Act::Hold { side: vec![2], lasts: lasts(&mut rng) }),
        (from(&mut rng, 7500), Act::Bounce { node: 3 }),
        (from(&mut rng, 9000), Act::FullDisk { node: 1, lasts: Span::secs(4) }),
        (from(&mut rng, 11_000), Act::Crash { node: 0, back_after: lasts(&mut rng) }),
        (from(&mut rng, 14_000), Act::Crash { node: 2, back_after: lasts(&mut rng) }),
    ];
    Plan {
        domains: vec![domain("city", fast())],
        nodes: vec![
            node("city/s1", 0, Role::Supernode, 0),
            node("city/1", 0, Role::Node, 2),
            node("city/2", 0, Role::Node, 2),
            node("city/3", 0, Role::Node, 0),
        ],
        partners: Vec::new(),
        arrivals: arrivals(&mut rng, &[0, 2, 3], 500, length, Where::Anywhere),
        acts: acts(faults),
        length,
    }
}

/// Two domains that are partners; the provider's supernode is killed and comes back, and so is the consumer's.
fn two_domains(seed: u64) -> Plan {
    let mut rng = Rng::from_number(seed);
    let length = Span::secs(15);
    let from = |rng: &mut Rng, at: u64| at + rng.below(1500);
    let faults = vec![
        (from(&mut rng, 3000), Act::Crash { node: 2, back_after: Span(500 + rng.below(3000)) }),
        (from(&mut rng, 9000), Act::Crash { node: 0, back_after: Span(500 + rng.below(2000)) }),
    ];
    Plan {
        domains: vec![domain("alpha", fast()), domain("beta", exposing())],
        nodes: vec![
            node("alpha/s1", 0, Role::Supernode, 0),
            node("alpha/1", 0, Role::Node, 0),
            node("beta/s1", 1, Role::Supernode, 0),
            node("beta/1", 1, Role::Node, 4),
        ],
        partners: vec![(0, 1)],
        arrivals: arrivals(&mut rng, &[1], 600, length, Where::Abroad),
        acts: acts(faults),
        length,
    }
}

async fn act(processes: Processes, name: &str, seed: u64, plan: &Plan) -> Ran {
    let mut watch = |_| ControlFlow::Continue(());
    let ran = processes.run(name, seed, plan, &mut watch).await.unwrap();
    eprintln!("{name} {seed}: {}", serde_json::to_string(&ran.outcome).unwrap());
    eprintln!("not run: {:?}; not as planned: {:?}", ran.outcome.measures.refusals, ran.left_out);
    ran
}

fn processes() -> Processes {
    Processes::of(env!("CARGO_BIN_EXE_tombolo")).quiet_within(Span::secs(90))
}

/// Acts a plan out, and checks that all held and that some of what was wanted ran.
async fn holds(name: &str, seed: u64, plan: &Plan) {
    let Ran { outcome, left_out } = act(processes().keeping_data(), name, seed, plan).await;
    assert!(outcome.violations.is_empty(), "{name}, seed {seed}: {:#?}\n{left_out:?}", outcome.violations);
    assert!(outcome.intents.running > 0, "{name}, seed {seed}: {:?}", outcome.intents);
    assert_eq!(outcome.intents.total, plan.arrivals.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_city_under_load_holds_while_each_of_its_nodes_suffers() {
    for seed in [1, 2] {
        holds("small city", seed, &small_city(seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_partners_hold_while_the_supernodes_between_them_are_killed() {
    for seed in [1, 2] {
        holds("two domains", seed, &two_domains(seed)).await;
    }
}

/// This checks the checks: the daemons are all right, and what is read of them is not.
#[tokio::test(flavor = "multi_thread")]
async fn daemons_that_lie_in_their_tables_are_found() {
    let mut plan = small_city(3);
    plan.acts.clear();
    plan.arrivals.retain(|arrival| arrival.at < Span::secs(3));
    plan.length = Span::secs(4);
    let contract = |digest: &str| Contract {
        id: "one".to_owned(),
        digest: digest.to_owned(),
        buyer: "somebody".to_owned(),
        seller: "somebody else".to_owned(),
        partition: Value::Null,
        price: Value::Null,
        state: "Released".to_owned(),
        backed_by: None,
    };
    let lying = processes().quiet_within(Span::secs(10)).through(move |node, tables| match node {
        // More is available than what is taken leaves.
        1 => {
            let taken = tables.flavours.first().map(|flavour| Allocation {
                id: "more".to_owned(),
                kind: "Local".to_owned(),
                status: "Active".to_owned(),
                contract: None,
                flavour: Some(flavour.id.clone()),
                resources: flavour.base,
            });
            tables.flavours.iter_mut().for_each(|flavour| flavour.available = flavour.base);
            tables.allocations.extend(taken);
            tables.contracts.push(contract("the bytes that were signed"));
        }
        // The same contract has other bytes here.
        2 => tables.contracts.push(contract("other bytes")),
        // It is never rid of what it routes.
        3 => tables.routers += 1,
        _ => {}
    });
    let Ran { outcome, .. } = act(lying, "lying", 3, &plan).await;
    for (what, nodes) in [
        ("invariant 1", &["city/1"][..]),
        ("invariant 3", &["city/1", "city/3"]),
        ("invariant 4", &["city/1", "city/2"]),
    ] {
        let found: Vec<_> = outcome.violations.iter().filter(|it| it.what == what).collect();
        assert!(!found.is_empty(), "{what}: {:#?}", outcome.violations);
        assert!(found.iter().all(|it| nodes.contains(&it.node.as_str())), "{found:#?}");
    }
}

/// A scenario as anybody writes it, with two faults that no process can have.
const WRITTEN: &str = r#"# A village in which somebody is always away.
length = "14s"
quiet = "90s"

[settings]
contract = { lease = "3s", activate-within = "3s", purchase-within = "2s", capacity-back-within = "3s" }
vfabric = { grace = "500ms" }
rear = { settle = "1s" }
orchestrator = { longest-retry = "2s" }

[[domains]]
name = "village"
supernodes = 1
nodes = 3
offering = 0.7

[[load]]
per-second = 1.0
cpu = "200m..500m"
memory = "64Mi..128Mi"
term = "1m"
lives = "4s..8s"

[[faults]]
kind = "crash"
every = "2s..4s"
lasts = "500ms..2s"

[[faults]]
kind = "withdraw"
at = "3s"
lasts = "5s"

[[faults]]
kind = "skewed-clock"
at = "5s"
by = "1s"
lasts = "2s"

[hold]
running = 0.5
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_written_scenario_is_acted_out_and_what_is_left_out_is_said() {
    let scenario = Scenario::read("village", WRITTEN).unwrap();
    let mut watch = |_| ControlFlow::Continue(());
    let ran = processes().act(&scenario, 5, &Trim::default(), &mut watch).await.unwrap();
    eprintln!("{}\n{:?}", serde_json::to_string(&ran.outcome).unwrap(), ran.left_out);
    assert!(ran.outcome.violations.is_empty(), "{:#?}", ran.outcome.violations);
    assert!(ran.outcome.intents.running > 0, "{:?}", ran.outcome.intents);
    for said in ["skew (1): left out", "hold: shares"] {
        assert!(ran.left_out.iter().any(|it| it.starts_with(said)), "{said}: {:?}", ran.left_out);
    }
}
