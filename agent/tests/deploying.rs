//! Story 3 with one of its four parties restarting at any moment, from submission until well after the start: no lease
//! has to run out until the workload runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::Config;
use kernel::Span;
use orchestrator::Phase;
use world::{
    Faults, World,
    domains::{
        open, story_three,
        story_three::{C, P, SC, SP},
    },
    make::{id, intent, offer, room},
};

/// Longer than any of these runs.
const TERM: Span = Span::secs(3000);
/// For how long the party is away.
const AWAY: Span = Span::millis(500);
/// In which time both ends have heard of each other again, and all is said that has to be.
const SOON: Span = Span::secs(2);
/// The same, where a question that was on its way has to be given up first: nobody says that a relay has lost it.
const GIVEN_UP: Span = Span::secs(7);

/// The usual clocks: a lease of a minute, a peering that is checked every twenty seconds.
fn usual() -> Config {
    Config { discovery: open().discovery, ..Config::default() }
}

/// Says how the intent is at the consumer.
fn phase(world: &World) -> Option<Phase> {
    world.managers()[C].orchestrator.intent(&id(1)).map(|intent| intent.phase)
}

/// Says whether the intent runs, and not only by what the consumer has heard of it.
fn runs(world: &World) -> bool {
    phase(world) == Some(Phase::Running) && world.nodes[P].instances.len() == 1
}

/// Ends a party after each of its batches in turn, and holds against the limit how long it takes until all is well.
fn walk(victim: usize, limit: Span) {
    let mut failed = 0;
    for after in 1.. {
        let mut world = story_three::with(31, Faults::default(), usual(), offer(room("1500m", "192Mi")));
        world.kill_after = Some((victim, after));
        world.submit(C, id(1), intent("web", 1, TERM));
        let until = world.now + Span::secs(4);
        while world.nodes[victim].agent.is_some() && world.now < until {
            world.run(Span::millis(1));
        }
        if world.nodes[victim].agent.is_some() {
            assert!(after > 7 && failed <= 2, "{after} moments, and at {failed} of them it failed");
            return;
        }
        world.run(AWAY);
        world.revive(victim);
        let until = world.now + limit;
        while !runs(&world) && world.now < until {
            world.run(Span::millis(100));
        }
        match phase(&world) {
            Some(Phase::Running) if runs(&world) => {}
            // It was not heard, or all who had room were away just then, and it says so.
            None | Some(Phase::Failed) => failed += 1,
            other => world.fail(format!("{other:?} after node {victim} restarted after its batch {after}")),
        }
    }
}

#[test]
fn the_consumer_may_restart_at_any_moment() {
    walk(C, SOON);
}

#[test]
fn its_supernode_may_restart_at_any_moment() {
    walk(SC, GIVEN_UP);
}

#[test]
fn the_providers_supernode_may_restart_at_any_moment() {
    walk(SP, GIVEN_UP);
}

#[test]
fn the_provider_may_restart_at_any_moment() {
    walk(P, SOON);
}
