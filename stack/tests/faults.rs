//! What befalls the real stack in virtual time, and what holds all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod towns;

use kernel::Span;
use orchestrator::Phase;
use simulations::plan::Act;
use stack::Wish;
use towns::Town;

/// All four stories with the nodes of each.
fn stories() -> [(Town, &'static [&'static str]); 4] {
    [
        (towns::story_one(), &["alpha/C0", "alpha/P1", "alpha/P2"]),
        (towns::story_two(), &["alpha/S0", "alpha/C1", "alpha/P2", "alpha/P3"]),
        (towns::story_three(), &["alpha/S0", "alpha/C1", "beta/S0", "beta/P1"]),
        (towns::story_four(), &["market/K0", "alpha/S0", "alpha/C1", "beta/S0", "beta/P1"]),
    ]
}

/// The consumer of each story.
fn consumer(town: &Town) -> &'static str {
    if town.has("alpha/C0") { "alpha/C0" } else { "alpha/C1" }
}

fn ran(wish: &Wish, seed: u64) {
    assert!(wish.ran_at_ms.is_some() && wish.page.is_some(), "seed {seed}: {wish:?}");
}

#[test]
fn a_partition_that_heals_leaves_nothing_behind_and_what_comes_after_it_runs() {
    for seed in 0..2 {
        let town = towns::story_three()
            .strike(4_000, |node| Act::Partition {
                side: vec![node("alpha/S0"), node("alpha/C1")],
                lasts: Span::secs(12),
            })
            .wish("alpha/C1", 45_000, 10_000)
            .lasts(60);
        let report = town.holds(seed);
        report.wishes.iter().for_each(|wish| ran(wish, seed));
    }
}

#[test]
fn what_is_held_for_less_than_a_lease_and_then_released_is_not_lost() {
    for seed in 0..2 {
        let hold = |node: &dyn Fn(&str) -> u32| Act::Hold { side: vec![node("alpha/C1")], lasts: Span::secs(3) };
        let before = towns::story_three().wish("alpha/C1", 6_500, 9_000).strike(5_000, hold);
        let report = before.holds(seed);
        ran(&report.wishes[0], seed);
        // The second comes while nothing passes; it is told of when it does.
        ran(&report.wishes[1], seed);
    }
}

#[test]
fn each_node_may_crash_at_any_step_and_lose_what_it_had_not_synced() {
    for (number, (town, nodes)) in stories().into_iter().enumerate() {
        for (place, node) in nodes.iter().enumerate() {
            // Some while the story is told, one after it; which step that is, the seed draws with the lines' latencies.
            for (seed, at) in (0..).zip([640, 680, 710, 750, 3_180, 3_200, 3_300, 3_700]) {
                let seed = seed + 100 * (number as u64) + 10 * (place as u64);
                let town = town
                    .clone()
                    .strike(at, |by_name| Act::Crash { node: by_name(node), back_after: Span::secs(2) })
                    .wish(consumer(&town), 30_000, 10_000)
                    .lasts(45);
                let report = town.holds(seed);
                let last = report.wishes.last().unwrap();
                assert!(last.page.is_some(), "{node} crashed at {at}, seed {seed}: {last:?}");
            }
        }
    }
}

#[test]
fn what_runs_at_a_node_that_ends_in_order_runs_again_within_its_life() {
    for (town, nodes) in stories() {
        for (seed, node) in (0..).zip(nodes) {
            // Beyond a border nobody hears that a provider has started again: it takes a lease until the contract ends.
            let town = town
                .clone()
                .wanted(28)
                .strike(4_000, |by_name| Act::Bounce { node: by_name(node) })
                .wish(consumer(&town), 32_000, 10_000)
                .lasts(45);
            let report = town.holds(seed);
            report.wishes.iter().for_each(|wish| ran(wish, seed));
            assert_eq!(report.wishes[0].phase, Some(Phase::Running), "{node} ended, seed {seed}");
        }
    }
}

#[test]
fn a_clock_that_is_set_and_a_disk_that_is_full_break_no_promise() {
    for seed in 0..2 {
        let town = towns::story_three()
            .strike(5_000, |node| Act::Skew { node: node("beta/P1"), ahead: 20_000, lasts: Span::secs(8) })
            .strike(6_000, |node| Act::FullDisk { node: node("beta/S0"), lasts: Span::secs(5) })
            .wish("alpha/C1", 7_000, 5_000)
            .wish("alpha/C1", 40_000, 10_000)
            .lasts(55);
        let report = town.holds(seed);
        ran(&report.wishes[0], seed);
        ran(&report.wishes[2], seed);
    }
}
