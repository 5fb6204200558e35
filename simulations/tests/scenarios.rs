//! The shipped scenarios with fixed seeds: in each of them everything must hold, and the same seed is the same run.
//!
//! With optimisation they run at their size, the large ones less long and with fewer nodes; without, all are kept
//! small, so that they cost seconds. A failure prints the command that repeats it, and makes it smaller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;

use kernel::Span;
use simulations::{
    plan::Trim,
    search::{command, search},
    shipped,
};

/// Whether runs are slow here.
const SLOW: bool = cfg!(debug_assertions);

/// Runs a shipped scenario, trimmed to so many nodes and so long, for so many seeds from 1 on.
fn all_holds(name: &str, nodes: u32, minutes: u64, seeds: u64) {
    let scenario = shipped::by_name(name).expect("it is shipped");
    let (nodes, minutes, seeds) = if SLOW { (nodes.min(24), minutes.min(2), 1) } else { (nodes, minutes, seeds) };
    let length = Span::secs(60 * minutes);
    let trim = Trim {
        nodes: (scenario.nodes() > nodes.into()).then_some(nodes),
        length: (scenario.length > length).then_some(length),
        ..Trim::default()
    };
    let run = |seeds| search(&scenario, seeds, &trim, 1, &mut |_| ControlFlow::Continue(())).unwrap();
    let found = run(1..seeds + 1);
    if let Some(failure) = found.failed {
        let (seed, violation) = (failure.outcome.seed, failure.violation);
        panic!("{violation:#?}\nrepeat it: {}", command(name, seed, &trim));
    }
    let hash = |seed| run(seed..seed + 1).outcomes.remove(0).trace_hash;
    assert_eq!(found.outcomes[0].trace_hash, hash(1), "the same seed is the same run");
    assert_ne!(found.outcomes[0].trace_hash, hash(seeds + 1), "another seed is another run");
    assert!(found.outcomes[0].events > 1000, "something happened");
}

macro_rules! scenarios {
    ($($test:ident: $name:literal, $nodes:literal nodes, $minutes:literal min, $seeds:literal seeds;)*) => {
        $(#[test]
        fn $test() {
            all_holds($name, $nodes, $minutes, $seeds);
        })*

        #[test]
        fn no_shipped_scenario_is_left_out() {
            assert_eq!([$($name),*].to_vec(), shipped::names().collect::<Vec<_>>());
        }
    };
}

scenarios! {
    all_holds_in_a_quiet_city: "quiet-city", 200 nodes, 60 min, 4 seeds;
    all_holds_in_a_flash_crowd: "flash-crowd", 200 nodes, 60 min, 4 seeds;
    all_holds_in_a_hotspot: "hotspot", 200 nodes, 60 min, 4 seeds;
    all_holds_in_a_full_house: "full-house", 200 nodes, 60 min, 4 seeds;
    all_holds_when_supernodes_are_lost: "supernode-lost", 200 nodes, 60 min, 4 seeds;
    all_holds_when_a_border_is_cut: "border-partition", 200 nodes, 60 min, 4 seeds;
    all_holds_when_a_node_flaps: "flapping-node", 200 nodes, 60 min, 4 seeds;
    all_holds_on_bad_lines: "bad-lines", 200 nodes, 60 min, 4 seeds;
    all_holds_when_nodes_come_and_go: "churn", 200 nodes, 60 min, 4 seeds;
    all_holds_when_members_are_removed: "expelled", 200 nodes, 60 min, 4 seeds;
    all_holds_when_disks_are_lost: "disk-loss", 200 nodes, 60 min, 4 seeds;
    all_holds_when_clocks_are_off: "clock-skew", 200 nodes, 60 min, 4 seeds;
    all_holds_through_an_upgrade: "rolling-upgrade", 200 nodes, 60 min, 4 seeds;
    all_holds_among_liars: "liar", 200 nodes, 60 min, 4 seeds;
    all_holds_in_a_price_war: "price-war", 200 nodes, 60 min, 4 seeds;
    all_holds_in_a_market_of_catalogues: "catalogue-market", 200 nodes, 60 min, 4 seeds;
    all_holds_on_a_bad_day: "bad-day", 200 nodes, 60 min, 4 seeds;
    all_holds_among_resellers: "resellers", 200 nodes, 60 min, 4 seeds;
    all_holds_among_a_hundred_domains: "hundred-domains", 200 nodes, 5 min, 2 seeds;
    all_holds_among_ten_thousand_nodes: "ten-thousand-nodes", 500 nodes, 5 min, 2 seeds;
}
