//! The four stories in worlds of several domains, and what crosses a border meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::{Command, Response};
use discovery::mail::Why;
use kernel::{ContractId, Span};
use orchestrator::{IntentView, Phase, check_story};
use rear_proto::Answer;
use world::{
    Faults, World,
    domains::{
        DomainPlan, catalogue, node, open, story_three,
        story_three::{C, P, SC, SP},
        supernode,
    },
    make::{fast, id, intent, offer, one, room},
    tamper::answers,
};

const TERM: Span = Span::secs(300);

fn wares() -> rear::offer::Offer {
    offer(room("1500m", "192Mi"))
}

/// One domain of a supernode and these nodes.
fn domain(seed: u64, nodes: Vec<world::domains::Plan>) -> World {
    let mut world = World::of_domains_in_order(seed, vec![DomainPlan { config: fast(), nodes }]);
    world.settle_in();
    world
}

/// Runs an intent at a node and returns it as it stands.
fn run(world: &mut World, at: usize, number: u64) -> IntentView {
    world.submit(at, id(number), intent(&format!("web-{number}"), 1, TERM));
    world.run(Span::secs(3));
    let view = view(world, at, number);
    if view.phase != Phase::Running {
        world.fail(format!("it does not run: {view:#?}"));
    }
    view
}

fn view(world: &World, at: usize, number: u64) -> IntentView {
    world.managers()[at].orchestrator.intent(&id(number)).unwrap()
}

fn contract(view: &IntentView) -> ContractId {
    view.workloads[0].contract.unwrap()
}

#[track_caller]
fn check_told(world: &World, story: u8, view: &IntentView) {
    assert_eq!(view.story, story, "{:#?}", view.steps);
    if let Err(why) = check_story(story, &view.steps) {
        let lines: Vec<_> = view.steps.iter().map(|it| format!("{} {:?} {}", it.step, it.deed, it.node)).collect();
        world.fail(format!("story {story}: {why}\n{}", lines.join("\n")));
    }
}

#[test]
fn a_supernode_sells_its_own_by_story_2() {
    let mut world = domain(1, vec![supernode().offering(wares()), node()]);
    let view = run(&mut world, 1, 1);
    check_told(&world, 2, &view);
    assert_eq!(world.far_end(1, contract(&view)).unwrap().0, 0);
    world.check_quiet();
}

#[test]
fn a_supernode_names_a_node_that_can_be_reached_and_is_not_on_the_path() {
    let mut world = domain(2, vec![supernode(), node(), node().offering(wares())]);
    let view = run(&mut world, 1, 1);
    check_told(&world, 2, &view);
    let before = contract(&view);
    assert_eq!(world.far_end(1, before).unwrap().0, 2);
    assert!(world.nodes[0].junctions.is_empty());
    // Nor does its death change anything.
    world.kill(0);
    world.run(Span::secs(30));
    let agent = world.nodes[1].agent.as_ref().unwrap();
    let view = agent.managers().orchestrator.intent(&id(1)).unwrap();
    assert_eq!((view.phase, contract(&view)), (Phase::Running, before));
    world.revive(0);
    world.run(Span::secs(5));
    world.check_quiet();
}

#[test]
fn a_supernode_relays_to_a_node_that_can_only_dial_out() {
    let mut world = domain(3, vec![supernode(), node(), node().offering(wares()).dialling_only()]);
    let view = run(&mut world, 1, 1);
    check_told(&world, 2, &view);
    assert_eq!(world.far_end(1, contract(&view)).unwrap().0, 2);
    assert_eq!(world.nodes[0].junctions.len(), 2);
    world.run(Span::secs(30));
    let later = self::view(&world, 1, 1);
    assert_eq!((later.phase, contract(&later)), (Phase::Running, contract(&view)));
    world.check_quiet();
}

#[test]
fn two_domains_tell_story_3_and_nothing_of_the_provider_crosses_the_border() {
    let mut world = story_three::in_order(4, wares());
    let view = run(&mut world, C, 1);
    check_told(&world, 3, &view);
    let numbers: std::collections::BTreeSet<u8> = view.steps.iter().map(|step| step.step).collect();
    assert_eq!(numbers, (1..=41).collect());
    assert_eq!(world.far_end(C, contract(&view)).unwrap().0, P);
    assert_eq!((world.nodes[SC].junctions.len(), world.nodes[SP].junctions.len()), (2, 2));
    let logs = Command::Logs { intent: id(1), workload: None, from: 0, wait: Span::ZERO };
    let ticket = world.command(C, logs);
    world.run(Span::secs(30));
    assert!(matches!(world.nodes[C].responses.get(&ticket), Some(Ok(Response::Logs(..)))));
    assert_eq!(self::view(&world, C, 1).phase, Phase::Running);
    for node in [C, SC, P, SP] {
        world.check_keeps_no_secrets(node);
    }
    world.check_exposed();
    world.check_quiet();
    for node in [C, SC, P, SP] {
        world.check_keeps_no_secrets(node);
    }
}

#[test]
fn a_contract_over_borders_is_renewed_for_as_long_as_it_is_used() {
    let mut world = story_three::world(5, Faults::default(), wares());
    world.submit(C, id(1), intent("web", 1, Span::secs(8)));
    world.run(Span::secs(3));
    let before = contract(&view(&world, C, 1));
    world.run(Span::secs(60));
    let after = view(&world, C, 1);
    assert_eq!((after.phase, contract(&after)), (Phase::Running, before));
    for node in [C, SC, SP, P] {
        let managers = world.managers()[node];
        let live = managers.contract.contracts().filter(|it| it.state.is_live());
        assert!(live.into_iter().all(|it| it.renewals > 4), "node {node}");
    }
    world.check_quiet();
}

/// Two domains that are partners and know each other's offers by a catalogue of a third.
fn with_catalogue(seed: u64) -> World {
    let plans = [vec![supernode(), node()], vec![supernode(), node().offering(wares())], vec![catalogue()]];
    let plans = plans.into_iter().map(|nodes| DomainPlan { config: open(), nodes }).collect();
    let mut world = World::of_domains_in_order(seed, plans);
    world.watch_borders();
    world
}

const K: usize = 4;

#[test]
fn two_domains_and_a_catalogue_tell_story_4_and_the_catalogue_is_not_on_the_path() {
    let mut world = with_catalogue(6);
    world.partner(SC, SP);
    world.settle_in();
    // The partner itself is not heard: only the catalogue answers.
    world.tamper = answers(SP, |_, _, answer| match answer {
        Answer::Flavours(_) => None,
        other => Some(other),
    });
    let view = run(&mut world, C, 1);
    check_told(&world, 4, &view);
    let before = contract(&view);
    assert_eq!(world.far_end(C, before).unwrap().0, P);
    assert!(world.nodes[K].junctions.is_empty());
    world.kill(K);
    world.run(Span::secs(60));
    let at = |world: &World| world.nodes[C].agent.as_ref().unwrap().managers().orchestrator.intent(&id(1)).unwrap();
    assert_eq!((at(&world).phase, contract(&at(&world))), (Phase::Running, before));
    world.revive(K);
    world.run(Span::secs(5));
    world.check_exposed();
    world.check_quiet();
}

/// What an operator finds at a node, and how many offers were not believed.
fn discover(world: &mut World, at: usize) -> (usize, usize) {
    let selector = rear_proto::Selector::default();
    let ticket = world.command(at, Command::Discover { selector, k: 8, explain: true });
    world.run(Span::secs(3));
    let Some(Ok(Response::Discovered(found))) = world.nodes[at].responses.get(&ticket) else {
        world.fail("nothing was answered")
    };
    let disbelieved = found.ruled_out.iter().filter(|(_, why)| matches!(why, Why::Disbelieved(_))).count();
    (found.candidates.len(), disbelieved)
}

#[test]
fn a_catalogue_shows_a_domain_nothing_of_one_that_is_no_partner() {
    let mut world = with_catalogue(7);
    world.settle_in();
    for at in [SC, C] {
        assert_eq!(discover(&mut world, at), (0, 0), "node {at}");
    }
    world.submit(C, id(1), intent("web", 1, TERM));
    world.run(Span::secs(20));
    assert_eq!(view(&world, C, 1).phase, Phase::Failed);
    world.check_clean();
    world.check_exposed();
}

#[test]
fn a_domain_that_is_no_partner_is_dropped_with_an_explanation() {
    let mut world = with_catalogue(11);
    world.partner(SC, SP);
    world.settle_in();
    assert_eq!(discover(&mut world, SC), (1, 0));
    // One side ends it, and the other publishes for it still.
    world.command(SC, Command::PartnerRemove(world.domain_name(SP)));
    world.run(Span::secs(2));
    let (candidates, disbelieved) = discover(&mut world, SC);
    assert_eq!(candidates, 0);
    assert!(disbelieved > 0);
    world.submit(C, id(1), intent("web", 1, TERM));
    world.run(Span::secs(20));
    assert_eq!(view(&world, C, 1).phase, Phase::Failed);
    world.check_clean();
}

#[test]
fn nothing_is_shown_to_a_partner_until_it_is_exposed() {
    let nodes = [vec![supernode(), node()], vec![supernode(), node().offering(wares())]];
    let plans = nodes.into_iter().map(|nodes| DomainPlan { config: fast(), nodes }).collect();
    let mut world = World::of_domains(8, Faults::default(), plans);
    world.watch_borders();
    world.partner(SC, SP);
    world.settle_in();
    world.submit(C, id(1), intent("web", 1, TERM));
    world.run(Span::secs(20));
    assert_eq!(view(&world, C, 1).phase, Phase::Failed);
    world.check_exposed();
    world.check_clean();
}

#[test]
fn a_partner_that_is_suspended_begins_nothing_and_what_is_agreed_goes_on() {
    let mut world = story_three::world(9, Faults::default(), wares());
    let before = contract(&run(&mut world, C, 1));
    world.command(SP, Command::PartnerSwitch { name: world.domain_name(SC), on: false });
    world.run(Span::secs(20));
    let after = view(&world, C, 1);
    assert_eq!((after.phase, contract(&after)), (Phase::Running, before));
    world.submit(C, id(2), intent("more", 1, TERM));
    world.run(Span::secs(20));
    assert_eq!(view(&world, C, 2).phase, Phase::Failed);
    world.command(SP, Command::PartnerSwitch { name: world.domain_name(SC), on: true });
    world.run(Span::secs(5));
    run(&mut world, C, 3);
    world.check_quiet();
}

#[test]
fn with_a_partner_that_is_removed_everything_agreed_ends() {
    let mut world = story_three::world(10, Faults::default(), wares());
    run(&mut world, C, 1);
    world.command(SP, Command::PartnerRemove(world.domain_name(SC)));
    world.run(Span::secs(40));
    world.check_clean();
    let need = one();
    assert!(world.managers()[P].rear.books().all(|book| book.available == book.base), "{need}");
}
