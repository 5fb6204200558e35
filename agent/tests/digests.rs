//! Capacity digests in a world of many partners: fewer questions, and the same comes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::Command;
use discovery::PartnerLists;
use kernel::Span;
use orchestrator::Phase;
use rear::offer::Offer;
use rear_proto::{Kind, Money};
use world::{
    Faults, World,
    domains::{DomainPlan, node, open, supernode},
    make::{id, intent, offer, room},
};

const SC: usize = 0;
const C: usize = 1;
/// The provider of beta, which has room for three, and of zeta, which is dearer and has room for two.
const P: usize = 3;
const Q: usize = 11;
const TERM: Span = Span::secs(300);

/// An offer of another driver than the intents want.
fn of_driver(driver: &str) -> Offer {
    let mut offer = offer(room("4", "4Gi"));
    let Kind::K8Slice(slice) = &mut offer.kind else { panic!("a slice") };
    slice.runtimes = vec![driver.to_owned()];
    offer
}

/// A consumer's domain with five partners: two may serve it, one has another driver, one is too small, one has nothing.
fn world(seed: u64, digests: bool) -> World {
    let mut dear = offer(room("1", "128Mi"));
    dear.price.amount = Money(dear.price.amount.0 * 3);
    let plans = [
        vec![supernode(), node()],
        vec![supernode(), node().offering(offer(room("1500m", "192Mi")))],
        vec![supernode(), node().offering(of_driver("oci"))],
        vec![supernode(), node().offering(offer(room("300m", "48Mi")))],
        vec![supernode(), node()],
        vec![supernode(), node().offering(dear)],
    ];
    let mut config = open();
    config.discovery.digests = digests;
    let plans = plans.into_iter().map(|nodes| DomainPlan { config: config.clone(), nodes }).collect();
    let mut world = World::of_domains(seed, Faults::default(), plans);
    world.watch_borders();
    for partner in [2, 4, 6, 8, 10] {
        world.partner(SC, partner);
    }
    world.settle_in();
    world
}

/// What became of an intent, and whose node it runs on.
fn outcome(world: &World, number: u64) -> (Phase, Option<usize>) {
    let view = world.managers()[C].orchestrator.intent(&id(number)).unwrap();
    let contract = view.workloads[0].contract.filter(|_| view.phase == Phase::Running);
    (view.phase, contract.map(|contract| world.far_end(C, contract).unwrap().0))
}

/// Six intents, for five of which there is room; one is deleted, and another has its place.
fn story(seed: u64, digests: bool) -> (Vec<(Phase, Option<usize>)>, PartnerLists) {
    let mut world = world(seed, digests);
    let mut outcomes = Vec::new();
    for number in 1..=6 {
        world.submit(C, id(number), intent(&format!("web-{number}"), 1, TERM));
        world.run(Span::secs(15));
        outcomes.push(outcome(&world, number));
    }
    world.command(C, Command::Delete(id(1)));
    world.run(Span::secs(4));
    world.submit(C, id(7), intent("web-7", 1, TERM));
    world.run(Span::secs(15));
    outcomes.push(outcome(&world, 7));
    let lists = world.managers()[SC].discovery.partner_lists();
    world.check_exposed();
    world.check_quiet();
    (outcomes, lists)
}

#[test]
fn partners_that_have_nothing_that_fits_are_not_asked_and_nothing_is_lost_by_it() {
    for seed in 1..=3 {
        let ((with, few), (without, all)) = (story(seed, true), story(seed, false));
        let places: Vec<_> = with.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [Some(P), Some(P), Some(P), Some(Q), Some(Q), None, Some(P)], "{with:?}");
        assert_eq!(with, without);
        // Without, each question goes to all five; with, so does the one that has no place anywhere.
        assert_eq!((all.saved, all.sent % 5), (0, 0), "{all:?}");
        assert_eq!(few.after_all, 5, "{few:?}");
        assert!((few.sent - few.after_all) * 3 < all.sent, "{few:?} {all:?}");
    }
}

/// A partner's supernode is killed while an order is on its way to it, and comes back: what its domain has is found.
#[test]
fn what_a_partner_has_is_found_after_its_supernode_has_started_again() {
    const SP: usize = 2;
    for seed in 1..=6 {
        let mut config = open();
        config.discovery.digests = true;
        let nodes = [vec![supernode(), node()], vec![supernode(), node().offering(offer(room("4", "4Gi")))]];
        let plans = nodes.map(|nodes| DomainPlan { config: config.clone(), nodes }).into_iter().collect();
        let mut world = World::of_domains(seed, Faults::default(), plans);
        world.partner(SC, SP);
        world.settle_in();
        for number in 1..=8 {
            world.submit(C, id(number), intent(&format!("web-{number}"), 1, TERM));
            world.run(Span::millis(seed * 7 * number % 120));
            world.kill(SP);
            world.run(Span::secs(10 + seed % 7));
            world.revive(SP);
            world.run(Span::millis(900 + 977 * number * seed % 12_000));
            world.command(C, Command::Delete(id(number)));
            world.run(Span::secs(1));
            let again = 100 + number;
            world.submit(C, id(again), intent(&format!("web-{again}"), 1, TERM));
            world.run(Span::secs(10));
            let (phase, place) = outcome(&world, again);
            assert_eq!(
                (phase, place),
                (Phase::Running, Some(P)),
                "seed {seed}, {number}: {:?}",
                world.managers()[C].orchestrator.intent(&id(again)).unwrap().reason
            );
            world.command(C, Command::Delete(id(again)));
            world.run(Span::secs(5));
        }
    }
}
