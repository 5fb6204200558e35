//! Any of the four parties of story 3 ends for ever after any of its batches: the others end clean within a lease,
//! nothing is sold twice, where there is a second way the intent runs again, and when the dead one comes back all agree.
//!
//! `TOMBOLO_EVERY=1 cargo test -p agent --test road` walks every batch; without it, every few are tried.
//! `TOMBOLO_SEED`, `TOMBOLO_SEEDS` and `TOMBOLO_TRACE` work as in the other storms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::Command;
use kernel::{Rng, Span};
use orchestrator::Phase;
use world::{
    Death, Faults, World,
    domains::{
        node, story_three,
        story_three::{C, P, SC, SP},
        supernode,
    },
    make::{id, intent, offer, room},
    seeds::{Tells, seeds},
};

const TERM: Span = Span::secs(300);
/// Longer than a lease, what is said after it, and the grace of a workload.
const LEASES: Span = Span::secs(20);

fn wares() -> rear::offer::Offer {
    offer(room("1500m", "192Mi"))
}

/// Every how manieth batch is tried.
fn every(given: usize) -> usize {
    std::env::var("TOMBOLO_EVERY").map_or(given, |every| every.parse().expect("a number"))
}

fn phase(world: &World, number: u64) -> Option<Phase> {
    let agent = world.nodes[C].agent.as_ref()?;
    agent.managers().orchestrator.intent(&id(number)).map(|view| view.phase)
}

/// One way, and one of the four dies for ever somewhere on the road.
fn walk_one_way(dies: usize, given: usize) {
    // What has several replicas is held first, and purchased when all are held.
    for seed in seeds(20..22) {
        let _tells = Tells { test: "road", seed };
        let replicas = 1 + u32::try_from(seed % 2).unwrap();
        walk_one_way_of(seed, dies, given, replicas);
    }
}

fn walk_one_way_of(seed: u64, dies: usize, given: usize, replicas: u32) {
    let mut tried = 0;
    for after in (1..).step_by(every(given)) {
        let mut world = story_three::world(seed, Faults::default(), wares());
        world.kill_after = Some((dies, after));
        world.submit(C, id(1), intent("web", replicas, TERM));
        world.run(Span::secs(6));
        if world.kill_after.is_some() {
            // It runs, and is taken down again: the road back.
            world.command(C, Command::Delete(id(1)));
            world.run(Span::secs(6));
        }
        let done = world.kill_after.take().is_some();
        world.run(LEASES);
        if !done {
            // Whoever is left may try again, and can't succeed.
            for node in world.up() {
                let managers = world.nodes[node].agent.as_ref().unwrap().managers();
                if let Some(live) = managers.contract.contracts().find(|it| it.state.is_live()) {
                    world.fail(format!("node {node} still has contract {} with the dead", live.id));
                }
            }
            world.command(C, Command::Delete(id(1)));
            world.run(Span::secs(12));
            world.check_clean();
        }
        world.revive(dies);
        world.run(LEASES);
        world.check_relays();
        // All agree again, and it goes on as if nothing had been.
        world.submit(C, id(2), intent("again", 1, TERM));
        world.run(Span::secs(6));
        if phase(&world, 2) != Some(Phase::Running) {
            let view = world.managers()[C].orchestrator.intent(&id(2));
            world.fail(format!("node {dies} died after {after} batches and is back, and nothing runs: {view:#?}"));
        }
        world.check_quiet();
        if done {
            break;
        }
        tried += 1;
    }
    assert!(tried * every(given) > 10, "{tried}");
}

#[test]
fn a_consumer_that_dies_on_the_road_leaves_nothing() {
    walk_one_way(C, 7);
}

#[test]
fn the_consumers_supernode_that_dies_on_the_road_leaves_nothing() {
    walk_one_way(SC, 7);
}

#[test]
fn the_providers_supernode_that_dies_on_the_road_leaves_nothing() {
    walk_one_way(SP, 7);
}

#[test]
fn a_provider_that_dies_on_the_road_leaves_nothing() {
    walk_one_way(P, 7);
}

/// Two supernodes on either side and two providers, so that there is another way round any one of them.
fn two_ways(seed: u64, faults: Faults) -> World {
    let alpha = vec![supernode(), node(), supernode()];
    let beta = vec![supernode(), node().offering(wares()), supernode(), node().offering(wares())];
    story_three::made(seed, faults, [alpha, beta])
}

/// Who is on the road of an intent of node [`C`], from its seller on.
fn road(world: &World, number: u64) -> Vec<usize> {
    let managers = world.managers();
    let mut contract = managers[C].orchestrator.intent(&id(number)).unwrap().workloads[0].contract.unwrap();
    let (mut at, mut road) = (C, Vec::new());
    loop {
        let seller = managers[at].contract.contract(&contract).unwrap().seller;
        at = world.index(&seller).unwrap();
        road.push(at);
        match world.nodes[at].junctions.get(&contract) {
            Some(junction) => contract = junction.back,
            None => return road,
        }
    }
}

#[test]
fn where_there_is_a_second_way_the_intent_runs_again() {
    for seed in seeds(30..31) {
        let _tells = Tells { test: "road", seed };
        walk_around(seed);
    }
}

fn walk_around(seed: u64) {
    // Where it goes when nobody dies.
    let chosen = {
        let mut world = two_ways(seed, Faults::default());
        world.submit(C, id(1), intent("web", 1, TERM));
        world.run(Span::secs(6));
        assert_eq!(phase(&world, 1), Some(Phase::Running));
        road(&world, 1)
    };
    assert_eq!(chosen.len(), 3, "{chosen:?}");
    for dies in chosen {
        for after in (1..).step_by(every(9)) {
            let mut world = two_ways(seed, Faults::default());
            world.kill_after = Some((dies, after));
            world.submit(C, id(1), intent("web", 1, TERM));
            world.run(Span::secs(8));
            let done = world.kill_after.take().is_some();
            if done {
                break;
            }
            world.run(LEASES.times(2));
            if phase(&world, 1) != Some(Phase::Running) {
                let view = world.nodes[C].agent.as_ref().unwrap().managers().orchestrator.intent(&id(1));
                world.fail(format!("node {dies} died after {after} batches, and nothing runs: {view:#?}"));
            }
            world.revive(dies);
            world.run(LEASES);
            assert_eq!(phase(&world, 1), Some(Phase::Running), "node {dies} is back after {after} batches");
            world.check_quiet();
        }
    }
}

/// Storms over two domains: what operators, lines and machines do is drawn from the seed.
fn storm(given: std::ops::Range<u64>, faults: Faults, acts: usize, crashes: bool) {
    let mut contracts = 0;
    for seed in seeds(given) {
        let _tells = Tells { test: "road", seed };
        let mut rng = Rng::from_number(seed ^ 0xabba);
        let mut below = |end: u64| rng.below(end);
        let mut world = two_ways(seed, Faults::default());
        world.faults = faults;
        let mut intents = Vec::new();
        for act in 0..acts as u64 {
            match below(if crashes { 13 } else { 9 }) {
                0..5 => {
                    let term = Span::secs(3 + below(20));
                    let replicas = 1 + below(2) as u32;
                    world.submit(C, id(act), intent(&format!("web-{act}"), replicas, term));
                    intents.push(act);
                }
                5..8 => {
                    if !intents.is_empty() {
                        let at = below(intents.len() as u64) as usize;
                        world.command(C, Command::Delete(id(intents.swap_remove(at))));
                    }
                }
                8 => {
                    let (a, b) = [(C, SC), (SC, 3), (SC, 5), (3, 4), (3, 6), (2, 3)][below(6) as usize];
                    world.cut(a, b, Span::millis(100 + below(14_000)));
                }
                9 => world.fill_disk(below(7) as usize, true),
                10 => (0..7).for_each(|node| world.fill_disk(node, false)),
                11 => world.sync = 1 + below(800),
                _ => {
                    let death = if below(2) == 0 { Death::Unseen } else { Death::Seen };
                    world.crash(below(7) as usize, death);
                }
            }
            let most = if below(4) == 0 { 8000 } else { 1500 };
            world.run(Span::millis(below(most)));
        }
        world.heal();
        world.run(world::quiet::QUIET);
        world.check_quiet();
        contracts += world.seen().get("contracts").copied().unwrap_or(0);
    }
    assert!(contracts > 0);
}

#[test]
fn over_borders_messages_that_are_lost_repeated_and_reordered_change_nothing() {
    storm(900..908, Faults { lose: 80, repeat: 150, crash: 0, fail: 0 }, 10, false);
}

#[test]
fn over_borders_crashes_between_any_two_events_leave_nothing_behind() {
    storm(910..918, Faults { lose: 0, repeat: 0, crash: 8, fail: 0 }, 10, false);
}

#[test]
fn over_borders_everything_at_once_leaves_nothing_behind() {
    storm(920..928, Faults { lose: 40, repeat: 80, crash: 3, fail: 3 }, 14, true);
}
