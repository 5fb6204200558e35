//! Many at once: a race for too little room over borders, and questions that go round in a ring of partners.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use agent::{Command, Response};
use kernel::{Quantity, Resource, Span};
use orchestrator::Phase;
use rear_proto::membership::Role;
use world::{
    Faults, World,
    domains::{DomainPlan, Plan, node, open, supernode},
    make::{id, intent, offer, room},
    seeds::{Tells, seeds},
};

/// Fifty consumers in three domains, each with two supernodes, and a provider behind two more.
#[test]
fn fifty_consumers_in_three_domains_race_for_room_for_ten() {
    for seed in seeds(1..2) {
        let _tells = Tells { test: "crowd", seed };
        let consumers = [17, 17, 16];
        let mut plans: Vec<DomainPlan> = consumers
            .iter()
            .map(|count| {
                let nodes = [vec![supernode(), supernode()], vec![node(); *count]].concat();
                DomainPlan { config: open(), nodes }
            })
            .collect();
        let provider = node().offering(offer(room("5000m", "640Mi")));
        plans.push(DomainPlan { config: open(), nodes: vec![supernode(), supernode(), provider] });
        let mut world = World::of_domains(seed, Faults::default(), plans);
        let first = |domain: usize| consumers[..domain].iter().map(|count| count + 2).sum::<usize>();
        let seller = first(3);
        (0..3).for_each(|domain| world.partner(first(domain), seller));
        world.settle_in();
        let at: Vec<usize> = (0..seller).filter(|node| world.nodes[*node].me.role == Role::Node).collect();
        assert_eq!(at.len(), 50);
        for (number, node) in at.iter().enumerate() {
            world.submit(*node, id(number as u64), intent(&format!("web-{number}"), 1, Span::secs(300)));
        }
        world.run(Span::secs(40));
        let managers = world.managers();
        let views: Vec<_> = at
            .iter()
            .enumerate()
            .map(|(number, node)| managers[*node].orchestrator.intent(&id(number as u64)).unwrap())
            .collect();
        let running = views.iter().filter(|view| view.phase == Phase::Running).count();
        let failed: Vec<_> = views.iter().filter(|view| view.phase == Phase::Failed).collect();
        if (running, failed.len()) != (10, 40) {
            let mut phases = BTreeMap::new();
            views.iter().for_each(|view| *phases.entry(view.phase).or_insert(0) += 1);
            world.fail(format!("{phases:?}"));
        }
        assert!(failed.iter().all(|view| view.reason.as_ref().is_some_and(|why| !why.is_empty())));
        let provider = managers[seller + 2];
        assert!(provider.rear.books().all(|book| book.available.of(Resource::Cpu) == Quantity::ZERO));
        assert_eq!(provider.rear.living().count(), 10);
        for (node, managers) in managers.iter().enumerate() {
            let held = managers.contract.reservations(world.now);
            let held = held.filter(|it| it.state == contract::ReservationState::Held).count();
            assert_eq!((held, managers.contract.unsettled()), (0, 0), "node {node}");
        }
        world.check_relays();
        world.check_exposed();
        world.check_quiet();
    }
}

/// Domains of a supernode and a node that offers something; each is partner of the next.
fn chain(seed: u64, domains: usize, ring: bool, resale: bool) -> World {
    let mut config = open();
    config.discovery.expose[0].resale = resale;
    config.discovery.max_hops = 8;
    let nodes = || -> Vec<Plan> { vec![supernode(), node().offering(offer(room("1500m", "192Mi")))] };
    let plans = (0..domains).map(|_| DomainPlan { config: config.clone(), nodes: nodes() }).collect();
    let mut world = World::of_domains(seed, Faults::default(), plans);
    world.watch_borders();
    (1..domains).for_each(|domain| world.partner(2 * (domain - 1), 2 * domain));
    if ring {
        world.partner(2 * (domains - 1), 0);
    }
    world.settle_in();
    world
}

/// Asks at a node for whatever there is, and returns whose capacity was shown, and how often each supernode answered.
fn whose(world: &mut World, at: usize) -> (BTreeSet<usize>, BTreeMap<usize, usize>) {
    let before = world.lists.len();
    let selector = rear_proto::Selector::default();
    let ticket = world.command(at, Command::Discover { selector, k: 64, explain: false });
    world.run(Span::secs(5));
    let Some(Ok(Response::Discovered(found))) = world.nodes[at].responses.get(&ticket) else {
        world.fail("nothing was answered")
    };
    let shown = found.candidates.iter().map(|it| world.whose(&it.flavour.origin).expect("an offer of this world"));
    let shown = shown.map(|node| world.nodes[node].domain).collect();
    let mut answered = BTreeMap::new();
    let supernodes = world.lists[before..].iter().filter(|node| world.nodes[**node].me.role == Role::Supernode);
    supernodes.for_each(|node| *answered.entry(*node).or_insert(0) += 1);
    (shown, answered)
}

#[test]
fn a_question_in_a_ring_of_partners_is_answered_once_by_each() {
    for resale in [false, true] {
        let mut world = chain(2, 3, true, resale);
        let (shown, answered) = whose(&mut world, 1);
        assert_eq!(shown, BTreeSet::from([1, 2]), "resale: {resale}");
        assert!(answered.values().all(|count| *count <= 1), "resale: {resale}: {answered:?}");
        world.check_exposed();
        world.check_quiet();
    }
}

#[test]
fn without_resale_nothing_of_a_third_domain_is_seen() {
    let mut world = chain(3, 3, false, false);
    let (shown, _) = whose(&mut world, 1);
    assert_eq!(shown, BTreeSet::from([1]));
    world.check_exposed();
    world.check_quiet();
}

#[test]
fn with_resale_a_third_domain_is_seen_and_sells() {
    let mut world = chain(4, 3, false, true);
    let (shown, answered) = whose(&mut world, 1);
    assert_eq!(shown, BTreeSet::from([1, 2]));
    assert!(answered.values().all(|count| *count <= 1), "{answered:?}");
    world.check_exposed();
    // Domain 0's node takes all of the second domain, and then there is only the third.
    for number in 0..8 {
        world.submit(1, id(number), intent(&format!("web-{number}"), 1, Span::secs(300)));
        world.run(Span::secs(4));
    }
    let managers = world.managers();
    let running: Vec<_> = managers[1].orchestrator.intents().filter(|view| view.phase == Phase::Running).collect();
    let places: Vec<_> = running.iter().map(|view| Some(world.far_end(1, view.workloads[0].contract?)?.0)).collect();
    assert!(places.contains(&Some(3)) && places.contains(&Some(5)), "{places:?}");
    world.check_quiet();
}
