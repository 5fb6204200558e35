//! One fault at a time, and just what comes of it: each row was a bug once, or is a promise of the design.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use kernel::Span;
use orchestrator::Phase;
use world::{
    Death, Faults, World,
    make::{fast, id, intent, offer, room},
};

const TERM: Span = Span::secs(30);

/// A provider with room for three, and two consumers, a second after their start.
fn world(seed: u64) -> World {
    let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new(), Vec::new()];
    let mut world = World::new(seed, Faults::default(), offers, &fast());
    world.run(Span::secs(1));
    world
}

#[test]
fn a_provider_that_was_reborn_unseen_goes_on_under_the_same_contract() {
    let mut world = world(1);
    world.submit(1, id(1), intent("web", 1, TERM));
    world.run(Span::secs(2));
    let contract = |world: &World| world.managers()[1].orchestrator.intent(&id(1)).unwrap().workloads[0].contract;
    let before = contract(&world);
    assert!(before.is_some());
    world.crash(0, Death::Unseen);
    world.run(Span::secs(2));
    assert_eq!((contract(&world), world.nodes[0].instances.len()), (before, 1), "{}", world.trace.join("\n"));
    world.run(Span::secs(20));
    assert_eq!(contract(&world), before);
    world.check_quiet();
}

#[test]
fn a_seller_that_refuses_has_answered() {
    let mut world = world(2);
    world.submit(1, id(1), intent("two", 2, TERM));
    world.submit(2, id(2), intent("three", 3, TERM));
    world.run(Span::secs(2));
    // Whoever came second was refused, and thinks no less of the provider for that.
    let failed =
        |node: usize, number| world.managers()[node].orchestrator.intent(&id(number)).unwrap().phase == Phase::Failed;
    let refused = if failed(1, 1) { 1 } else { 2 };
    assert!(failed(refused, refused as u64));
    let provider = world.nodes[0].id;
    let managers = world.managers();
    let rating = managers[refused].rear.ratings().find(|(node, _)| *node == provider);
    assert!(rating.is_some_and(|(_, rating)| rating.score_millis() > 500));
}
