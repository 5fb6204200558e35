//! The mutation check: each planted bug is found by a shipped scenario within so many seeds, and what found it passes
//! where nothing is planted.
//!
//! It needs the feature `planted`, and is meant for a release build:
//!
//! ```text
//! cargo test --release -p simulations --features planted --test mutations -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use kernel::planted::Bug;
use simulations::{
    planted::{Catch, Hunt, without},
    search::processors,
};

/// Each bug, where it is looked for, and within how many seeds it must be found.
const HUNTS: &[Hunt] = &[
    hunt(Bug::SkipHoldCheck, "bad-day", 4),
    hunt(Bug::StaleEpoch, "resellers", 4),
    hunt(Bug::IgnoreCeiling, "price-war", 4),
    hunt(Bug::FreeEarly, "bad-day", 4),
    hunt(Bug::RepeatKeys, "bad-day", 4),
    hunt(Bug::KeepVirtualNode, "bad-day", 4),
    hunt(Bug::ForgetRepeats, "bad-day", 4),
    hunt(Bug::KeepLapsedHold, "bad-day", 4),
    hunt(Bug::NeverLapse, "bad-day", 4),
    hunt(Bug::EndlessLease, "supernode-lost", 4),
    hunt(Bug::IgnoreDead, "supernode-lost", 4),
    hunt(Bug::RenewTwice, "resellers", 4),
    hunt(Bug::RenewBeatsRelease, "bad-day", 4),
    hunt(Bug::TellForEver, "churn", 4),
    hunt(Bug::ForgetHolds, "bad-day", 4),
    hunt(Bug::ForgetRenewals, "bad-day", 4),
    hunt(Bug::PromiseWhenFull, "disk-loss", 4),
    hunt(Bug::TradeWithRemoved, "expelled", 4),
    hunt(Bug::KeepFrontOnly, "resellers", 4),
    hunt(Bug::KeepBack, "resellers", 4),
    hunt(Bug::OutlastBack, "resellers", 4),
    hunt(Bug::IgnoreLoop, "resellers", 4),
    hunt(Bug::ShowHidden, "resellers", 4),
    hunt(Bug::HideOffers, "full-house", 4),
    hunt(Bug::LeaveLost, "bad-day", 4),
    hunt(Bug::KeepRouter, "bad-day", 4),
    hunt(Bug::SayGoneEarly, "bad-day", 4),
    hunt(Bug::IgnoreRemovals, "expelled", 4),
    hunt(Bug::SpeakEarly, "resellers", 4),
];

const fn hunt(bug: Bug, scenario: &'static str, seeds: u64) -> Hunt {
    Hunt { bug, scenario, seeds }
}

/// Bugs that no shipped scenario can show, and why.
const OUT_OF_REACH: &[(Bug, &str)] = &[];

/// Does something with each of many, on all processors; what comes of it is in their order.
fn each<A: Sync, B: Send>(of: &[A], make: impl Fn(&A) -> B + Sync) -> Vec<B> {
    let (next, made) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..processors() {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = of.get(at) else { break };
                    let one = make(one);
                    made.lock().unwrap().insert(at, one);
                }
            });
        }
    });
    made.into_inner().unwrap().into_values().collect()
}

#[test]
fn every_bug_is_looked_for_or_said_to_be_out_of_reach() {
    let hunted = HUNTS.iter().map(|hunt| hunt.bug);
    let mut named: Vec<Bug> = hunted.chain(OUT_OF_REACH.iter().map(|(bug, _)| *bug)).collect();
    named.sort_unstable();
    assert_eq!(named, Bug::ALL.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
}

#[test]
fn every_planted_bug_is_found_and_nothing_is_found_without_it() {
    let caught: Vec<Option<Catch>> = each(HUNTS, |hunt| hunt.run().unwrap());
    println!("| bug | what it does | scenario | seeds needed | of at most | what did not hold |");
    println!("|---|---|---|---|---|---|");
    for (Hunt { bug, scenario, seeds }, caught) in HUNTS.iter().zip(&caught) {
        let (needed, held) = match caught {
            Some(Catch { seed, violation }) => (seed.to_string(), violation.what.as_str()),
            None => ("none found it".to_owned(), ""),
        };
        println!("| {} | {} | {scenario} | {needed} | {seeds} | {held} |", bug.name(), bug.what());
    }
    for (bug, why) in OUT_OF_REACH {
        println!("| {} | {} | | | | out of reach: {why} |", bug.name(), bug.what());
    }
    let missed: Vec<&str> =
        HUNTS.iter().zip(&caught).filter(|(_, caught)| caught.is_none()).map(|(hunt, _)| hunt.bug.name()).collect();
    assert!(missed.is_empty(), "within their seeds these were not found: {missed:?}");

    let runs: BTreeSet<(&str, u64)> =
        HUNTS.iter().zip(caught.iter().flatten()).map(|(hunt, caught)| (hunt.scenario, caught.seed)).collect();
    let runs: Vec<_> = runs.into_iter().collect();
    let sound = each(&runs, |(scenario, seed)| without(scenario, *seed).unwrap());
    for ((scenario, seed), found) in runs.iter().zip(sound) {
        assert_eq!(found, None, "without a bug: tombolo sim {scenario} --seed {seed}");
    }
}
