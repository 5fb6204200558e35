//! Two consumers and one provider, under every cruelty that the network and their machines can show: whatever
//! happens, nothing is sold twice, both parties of a contract agree, and in the end nothing is held.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::{Config, invariants};
use kernel::{Digest, IntentId, Rng, Span};
use orchestrator::{Phase, intent::Intent, parse};
use world::{Faults, World, offer, room};

/// Long enough for every lease, term and repeat of the fast clocks below to be over.
const QUIET: Span = Span::secs(120);

/// Clocks that run out within seconds, so that a run passes through all of them.
fn fast() -> Config {
    let mut config = Config::default();
    config.contract.lease = Span::secs(6);
    config.contract.activate_within = Span::secs(4);
    config.contract.purchase_within = Span::secs(3);
    config
}

fn intent(name: &str, replicas: u32) -> Intent {
    let text = format!(
        "apiVersion: tombolo/v1\nkind: Intent\nmetadata: {{ name: {name} }}\nspec:\n  workloads:\n    - name: web\n      \
         wasm: ./web.wasm\n      resources: {{ cpu: 500m, memory: 64Mi }}\n      ports: [{{ name: http, port: 80 }}]\n      \
         replicas: {replicas}\n  term: 30s\n"
    );
    let parsed = parse::parse(&text).unwrap();
    parsed.resolve(|_| Ok::<_, std::convert::Infallible>((Digest::of(b"web"), 3))).unwrap()
}

/// The world of these tests: a provider with room for `room_for` replicas, and two consumers without.
fn world(seed: u64, faults: Faults, room_for: u32) -> World {
    let base = room(&format!("{}m", 500 * room_for), &format!("{}Mi", 64 * room_for));
    World::new(seed, faults, vec![vec![offer(base)], Vec::new(), Vec::new()], &fast())
}

fn id(number: u64) -> IntentId {
    IntentId::derive("test", &[&number.to_le_bytes()])
}

/// Runs a world in which both consumers submit and delete intents while faults happen, then heals it.
#[track_caller]
fn live_through(seed: u64, faults: Faults) -> World {
    let mut world = world(seed, faults, 3);
    let mut rng = Rng::from_number(seed ^ 0xfeed);
    world.run(Span::secs(1));
    let mut submitted = Vec::new();
    for number in 0..8 {
        let consumer = 1 + usize::try_from(rng.below(2)).unwrap();
        if world.nodes[consumer].agent.is_some() {
            let replicas = 1 + u32::try_from(rng.below(2)).unwrap();
            world.submit(consumer, id(number), intent(&format!("web-{number}"), replicas));
            submitted.push((consumer, id(number)));
        }
        world.run(Span::millis(rng.below(4000)));
        if rng.below(3) == 0 && !submitted.is_empty() {
            let (consumer, id) = submitted[usize::try_from(rng.below(submitted.len() as u64)).unwrap()];
            world.command(consumer, agent::Command::Delete(id));
        }
        if let Err(violation) = invariants::check_agreement(&up(&world)) {
            panic!("seed {seed}: {violation}\n{}", world.trace.join("\n"));
        }
    }
    world.heal();
    world.run(QUIET);
    world
}

fn up(world: &World) -> Vec<&agent::Managers> {
    world.nodes.iter().filter_map(|node| node.agent.as_ref()).map(agent::Agent::managers).collect()
}

/// Holds a world that is quiet against the invariants, before and after everything is deleted.
#[track_caller]
fn check_quiet(seed: u64, mut world: World) {
    let fail = |world: &World, what: String| panic!("seed {seed}: {what}\n{}", world.trace.join("\n"));
    if let Err(violation) = invariants::check_both_or_neither(&world.managers()) {
        fail(&world, violation.to_string());
    }
    for consumer in [1, 2] {
        let intents: Vec<_> = {
            let managers = world.managers();
            managers[consumer].orchestrator.intents().map(|view| (view.id, view.phase)).collect()
        };
        for (id, phase) in intents {
            if phase != Phase::Deleted {
                world.command(consumer, agent::Command::Delete(id));
            }
        }
    }
    world.run(QUIET);
    let now = world.now;
    for (index, managers) in world.managers().into_iter().enumerate() {
        if let Err(violation) = invariants::check_nothing_held(managers) {
            fail(&world, format!("node {index} at {now:?}: {violation}"));
        }
    }
}

#[test]
fn an_intent_runs_on_the_node_with_room_and_leaves_nothing_behind() {
    let mut world = world(1, Faults::default(), 3);
    world.run(Span::secs(1));
    world.submit(1, id(1), intent("web", 1));
    world.run(Span::secs(2));
    let view = world.managers()[1].orchestrator.intent(&id(1)).unwrap();
    assert_eq!(view.phase, Phase::Running, "{view:#?}");
    assert_eq!(view.workloads[0].node, Some(world.nodes[0].id));
    check_quiet(1, world);
}

#[test]
fn a_provider_with_room_for_three_runs_three_and_refuses_the_rest() {
    let mut world = world(2, Faults::default(), 3);
    world.run(Span::secs(1));
    for number in 0..8 {
        world.submit(1 + usize::try_from(number % 2).unwrap(), id(number), intent(&format!("web-{number}"), 1));
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
    check_quiet(2, world);
}

#[test]
fn an_intent_runs_again_after_any_of_the_two_was_reborn() {
    for (seed, dies) in [(3, 0), (4, 1)] {
        let mut world = world(seed, Faults::default(), 3);
        world.run(Span::secs(1));
        world.submit(1, id(1), intent("web", 2));
        world.run(Span::secs(5));
        world.crash(dies, "by order");
        world.run(Span::secs(60));
        let view = world.managers()[1].orchestrator.intent(&id(1)).unwrap();
        assert_eq!(view.phase, Phase::Running, "node {dies} died\n{view:#?}\n{}", world.trace.join("\n"));
        check_quiet(seed, world);
    }
}

/// Runs many seeds; a failing one is told with what happened.
fn storm(seeds: std::ops::Range<u64>, faults: Faults) {
    let mut crashes = 0;
    for seed in seeds {
        let world = live_through(seed, faults);
        crashes += world.crashes;
        check_quiet(seed, world);
    }
    // A storm in which nobody crashes proves little.
    assert!(faults.crash == 0 || crashes > 0);
}

#[test]
fn messages_that_are_lost_repeated_and_reordered_change_nothing() {
    storm(100..160, Faults { lose: 100, repeat: 200, crash: 0 });
}

#[test]
fn crashes_between_any_two_events_leave_nothing_behind() {
    storm(200..260, Faults { lose: 0, repeat: 0, crash: 15 });
}

#[test]
fn all_faults_at_once_leave_nothing_behind() {
    storm(300..360, Faults { lose: 80, repeat: 150, crash: 10 });
}
