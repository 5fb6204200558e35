//! Two consumers and one provider, under every cruelty that the network and their machines can show: whatever
//! happens, nothing is sold twice, both parties of a contract agree, and in the end nothing is held.
//!
//! A run that fails says its seed. `TOMBOLO_SEED=17 cargo test -p agent --test interleavings NAME` repeats it,
//! `TOMBOLO_TRACE=1` tells every event of it, and `TOMBOLO_SEEDS=0..1000` runs other seeds of each
//! storm than those below.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod storm;
mod world;

use agent::Command;
use kernel::Span;
use orchestrator::Phase;
use storm::{Storm, storm};
use world::{
    Death, Faults, World,
    make::{fast, id, intent, offer, room},
};

const TERM: Span = Span::secs(30);

/// The world of these tests: a provider with room for `room_for` replicas, and two consumers without.
fn world(seed: u64, faults: Faults, room_for: u32) -> World {
    let base = room(&format!("{}m", 500 * room_for), &format!("{}Mi", 64 * room_for));
    World::new(seed, faults, vec![vec![offer(base)], Vec::new(), Vec::new()], &fast())
}

#[test]
fn an_intent_runs_on_the_node_with_room_and_leaves_nothing_behind() {
    let mut world = world(1, Faults::default(), 3);
    world.run(Span::secs(1));
    world.submit(1, id(1), intent("web", 1, TERM));
    world.run(Span::secs(2));
    let view = world.managers()[1].orchestrator.intent(&id(1)).unwrap();
    assert_eq!(view.phase, Phase::Running, "{view:#?}");
    assert_eq!(view.workloads[0].node, Some(world.nodes[0].id));
    world.check_quiet();
}

#[test]
fn a_provider_with_room_for_three_runs_three_and_refuses_the_rest() {
    let mut world = world(2, Faults::default(), 3);
    world.run(Span::secs(1));
    for number in 0..8 {
        world.submit(1 + usize::try_from(number % 2).unwrap(), id(number), intent(&format!("web-{number}"), 1, TERM));
    }
    world.run(Span::secs(20));
    let phases: Vec<_> = {
        let managers = world.managers();
        (0..8)
            .map(|number| managers[1 + (number % 2) as usize].orchestrator.intent(&id(number)).unwrap().phase)
            .collect()
    };
    assert_eq!(phases.iter().filter(|phase| **phase == Phase::Running).count(), 3, "{phases:?}");
    assert_eq!(phases.iter().filter(|phase| **phase == Phase::Failed).count(), 5, "{phases:?}");
    world.check_quiet();
}

#[test]
fn an_intent_runs_again_after_any_of_the_two_was_reborn() {
    for death in [Death::Seen, Death::Unseen] {
        for (seed, dies) in [(3, 0), (4, 1)] {
            let mut world = world(seed, Faults::default(), 3);
            world.run(Span::secs(1));
            world.submit(1, id(1), intent("web", 2, TERM));
            world.run(Span::secs(5));
            world.crash(dies, death);
            world.run(Span::secs(60));
            let view = world.managers()[1].orchestrator.intent(&id(1)).unwrap();
            assert_eq!(view.phase, Phase::Running, "node {dies} died\n{view:#?}\n{}", world.trace.join("\n"));
            world.check_quiet();
        }
    }
}

#[test]
fn one_seed_gives_one_run() {
    let run = || {
        let mut world = world(5, Faults { lose: 80, repeat: 150, crash: 10, fail: 0 }, 3);
        world.run(Span::secs(1));
        for number in 0..4 {
            world.submit(1, id(number), intent(&format!("web-{number}"), 1, Span::secs(5)));
            world.run(Span::secs(3));
            world.command(1, Command::Delete(id(number)));
        }
        world.run(Span::secs(10));
        (world.trace, world.nodes.into_iter().map(|node| node.disk.rows).collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

#[test]
fn messages_that_are_lost_repeated_and_reordered_change_nothing() {
    storm(100..140, &Storm::mild(Faults { lose: 100, repeat: 200, crash: 0, fail: 0 }));
}

#[test]
fn crashes_between_any_two_events_leave_nothing_behind() {
    storm(200..240, &Storm::mild(Faults { lose: 0, repeat: 0, crash: 15, fail: 0 }));
}

#[test]
fn all_faults_at_once_leave_nothing_behind() {
    storm(300..340, &Storm::mild(Faults { lose: 80, repeat: 150, crash: 10, fail: 0 }));
}

#[test]
fn many_crashes_leave_nothing_behind() {
    storm(400..430, &Storm::mild(Faults { lose: 20, repeat: 50, crash: 50, fail: 5 }));
}

#[test]
fn rare_crashes_leave_nothing_behind() {
    storm(500..530, &Storm::mild(Faults { lose: 5, repeat: 5, crash: 1, fail: 5 }));
}

#[test]
fn whatever_operators_do_meanwhile_leaves_nothing_behind() {
    storm(600..640, &Storm::wild(Faults { lose: 30, repeat: 60, crash: 4, fail: 5 }));
}

#[test]
fn cuts_jumps_and_full_disks_leave_nothing_behind() {
    storm(700..740, &Storm::rough(Faults { lose: 10, repeat: 20, crash: 2, fail: 0 }));
}

#[test]
fn everything_at_once_leaves_nothing_behind() {
    storm(800..840, &Storm::worst(Faults { lose: 60, repeat: 120, crash: 8, fail: 5 }));
}
