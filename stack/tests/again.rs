//! A run is a function of its plan and its seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod towns;

use std::{collections::BTreeSet, process::Command};

use kernel::Span;
use simulations::plan::Act;

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let town = towns::story_three()
        .wish("alpha/C1", 9_000, 10_000)
        .strike(2_000, |node| Act::Crash { node: node("beta/S0"), back_after: Span::secs(2) })
        .strike(7_000, |node| Act::Partition { side: vec![node("beta/P1")], lasts: Span::secs(4) });
    let mut hashes = BTreeSet::new();
    for seed in 0..4 {
        let first = town.run(seed).outcome;
        let again = town.run(seed).outcome;
        assert_eq!(first.trace_hash, again.trace_hash, "seed {seed}");
        assert_eq!((first.events, first.violations), (again.events, again.violations));
        hashes.insert(first.trace_hash);
    }
    assert_eq!(hashes.len(), 4, "each seed has a run of its own");
}

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let run = |seed: &str| {
        let arguments = ["border-partition", "--nodes", "16", "--for", "40s", "--seed", seed];
        let output = Command::new(env!("CARGO_BIN_EXE_stack")).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let told: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (told["traceHash"].as_str().unwrap().to_owned(), told)
    };
    let (first, told) = run("7");
    let (again, _) = run("7");
    assert_eq!(first, again);
    assert_ne!(first, run("8").0);
    for field in ["scenario", "seed", "nodes", "virtualS", "wallS", "events", "violations", "intents"] {
        assert!(told.get(field).is_some(), "{field} is missing: {told}");
    }
    assert!(told["violations"].as_array().unwrap().is_empty(), "{told}");
}
