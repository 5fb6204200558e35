//! One fault at a time, and just what comes of it: each row was a bug once, or is a promise of the design.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::{Command, Config};
use kernel::{ContractId, Key, Span};
use orchestrator::Phase;
use rear_proto::{Mode, message::EndReason};
use world::{
    Death, Faults, World,
    make::{fast, id, intent, offer, one, room, slow},
};

const TERM: Span = Span::secs(300);

/// A provider with room for three, and two consumers, a second after their start.
fn world(seed: u64, config: &Config) -> World {
    let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new(), Vec::new()];
    let mut world = World::new(seed, Faults::default(), offers, config);
    world.run(Span::secs(1));
    world
}

/// The same, with an intent of one replica of node 1 that runs at node 0; returns its contract.
fn running(seed: u64, config: &Config) -> (World, ContractId) {
    let mut world = world(seed, config);
    world.submit(1, id(1), intent("web", 1, TERM));
    world.run(Span::secs(2));
    let contract = contract(&world).expect("it runs");
    assert_eq!(world.nodes[0].instances.len(), 1);
    (world, contract)
}

fn contract(world: &World) -> Option<ContractId> {
    world.managers()[1].orchestrator.intent(&id(1)).unwrap().workloads[0].contract
}

/// How a contract has ended at a node, if it has.
fn ended(world: &World, node: usize, contract: ContractId) -> Option<EndReason> {
    world.managers()[node].contract.contract(&contract).unwrap().reason
}

/// Says whether nothing is taken of the provider's offer.
fn is_whole(world: &World) -> bool {
    world.managers()[0].rear.books().all(|book| book.taken.is_zero())
}

fn reserve(world: &mut World, node: usize, key: Key, mode: Mode, activate_within: Span) {
    world.command(node, Command::Discover { selector: rear_proto::Selector::default(), k: 8, explain: false });
    world.run(Span::millis(100));
    let flavour = offer(room("1500m", "192Mi")).flavour(&world.nodes[0].id);
    let need = one();
    let (provider, exactly, term) = (None, false, TERM);
    let reserve = Command::Reserve { flavour, provider, need, exactly, mode, term, activate_within, key };
    let ticket = world.command(node, reserve);
    world.run(Span::millis(200));
    let response = world.nodes[node].responses.get(&ticket);
    assert!(matches!(response, Some(Ok(_))), "{response:?}");
}

#[test]
fn a_provider_that_was_reborn_unseen_goes_on_under_the_same_contract() {
    let (mut world, before) = running(1, &fast());
    world.crash(0, Death::Unseen);
    world.run(Span::secs(2));
    assert_eq!((contract(&world), world.nodes[0].instances.len()), (Some(before), 1), "{}", world.trace.join("\n"));
    world.run(Span::secs(20));
    assert_eq!(contract(&world), Some(before));
    world.check_quiet();
}

#[test]
fn a_seller_that_refuses_has_answered() {
    let mut world = world(2, &fast());
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

#[test]
fn an_intent_that_can_not_have_all_gives_the_rest_back_at_once() {
    let mut world = world(3, &slow());
    world.submit(1, id(1), intent("four", 4, TERM));
    world.run(Span::secs(2));
    assert_eq!(world.managers()[1].orchestrator.intent(&id(1)).unwrap().phase, Phase::Failed);
    assert!(is_whole(&world), "{}", world.trace.join("\n"));
}

#[test]
fn a_grant_that_got_lost_is_given_back_when_its_buyer_gives_up() {
    for replicas in [1, 2] {
        let mut world = world(4, &slow());
        world.lose_grants = true;
        world.submit(1, id(1), intent("web", replicas, TERM));
        world.run(Span::secs(1));
        assert!(!is_whole(&world));
        world.run(Span::secs(9));
        assert!(is_whole(&world), "{}", world.trace.join("\n"));
    }
}

#[test]
fn a_release_that_got_lost_is_said_again() {
    // A contract would be found dead by its first KEEPALIVE, a hold by nothing.
    let mut world = world(5, &slow());
    let key = Key([5; 16]);
    reserve(&mut world, 1, key, Mode::Hold, Span::secs(5));
    assert!(!is_whole(&world));
    world.cut(0, 1, Span::millis(300));
    world.command(1, Command::Release(key.0));
    world.run(Span::secs(5));
    assert!(is_whole(&world), "{}", world.trace.join("\n"));
}

#[test]
fn what_ended_unheard_is_told_after_a_restart() {
    let mut world = world(6, &slow());
    let key = Key([6; 16]);
    reserve(&mut world, 1, key, Mode::Hold, Span::secs(5));
    world.cut(0, 1, Span::secs(30));
    world.command(1, Command::Release(key.0));
    world.run(Span::secs(1));
    world.crash(1, Death::Seen);
    world.run(Span::secs(40));
    assert!(is_whole(&world), "{}", world.trace.join("\n"));
}

#[test]
fn what_was_in_use_and_is_not_again_was_lost() {
    let (mut world, contract) = running(7, &fast());
    world.cut(0, 1, Span::secs(20));
    world.run(Span::secs(1));
    world.crash(0, Death::Seen);
    world.run(Span::secs(15));
    assert_eq!(ended(&world, 0, contract), Some(EndReason::Lost));
}

#[test]
fn a_contract_that_nobody_uses_lapses_at_both_parties() {
    let mut config = slow();
    config.contract.answer_within = Span::secs(1);
    let mut world = world(8, &config);
    reserve(&mut world, 1, Key([8; 16]), Mode::Direct, Span::secs(3));
    let contract = world.managers()[1].contract.contracts().next().unwrap().id;
    world.cut(0, 1, Span::secs(100));
    world.run(Span::secs(5));
    for node in [0, 1] {
        assert_eq!(ended(&world, node, contract), Some(EndReason::NotActivated), "node {node}");
    }
    assert!(is_whole(&world));
}

#[test]
fn nothing_is_left_of_a_member_that_was_removed() {
    let mut config = slow();
    config.contract.answer_within = Span::secs(1);
    let (mut world, contract) = running(9, &config);
    reserve(&mut world, 1, Key([9; 16]), Mode::Hold, Span::secs(5));
    assert_eq!(world.managers()[0].rear.living().count(), 2);
    let node = world.nodes[1].id;
    world.command(0, Command::Remove(node));
    world.run(Span::secs(4));
    assert_eq!(ended(&world, 0, contract), Some(EndReason::Removed));
    assert!(is_whole(&world));
    // Nor does it come back when the issuer does.
    world.crash(0, Death::Seen);
    world.run(Span::secs(10));
    assert!(!world.managers()[0].federation.is_live(world.now, &node));
    assert!(is_whole(&world));
}

#[test]
fn a_clock_that_jumps_ends_no_contract() {
    for node in [0, 1] {
        for (by, back) in [(45, false), (45, true)] {
            let (mut world, before) = running(10, &fast());
            world.jump(node, Span::secs(by), back);
            world.run(Span::secs(20));
            assert_eq!(contract(&world), Some(before), "node {node} by {by} s, back: {back}");
            assert_eq!((ended(&world, 0, before), ended(&world, 1, before)), (None, None));
        }
    }
}

#[test]
fn a_full_disk_promises_nothing_and_recovers() {
    for full in [0, 1] {
        let mut world = world(11, &fast());
        world.fill_disk(full, true);
        world.submit(1, id(1), intent("web", 1, TERM));
        world.run(Span::secs(3));
        let view = world.managers()[1].orchestrator.intent(&id(1)).unwrap();
        assert_eq!(view.phase, Phase::Failed, "{:?}", view.reason);
        assert!(is_whole(&world));
        world.fill_disk(full, false);
        world.submit(1, id(2), intent("web-2", 1, TERM));
        world.run(Span::secs(3));
        assert_eq!(world.managers()[1].orchestrator.intent(&id(2)).unwrap().phase, Phase::Running);
        world.check_quiet();
    }
}

#[test]
fn an_undeploy_that_got_lost_is_said_again() {
    let (mut world, contract) = running(12, &slow());
    world.cut(0, 1, Span::millis(300));
    world.command(1, Command::Delete(id(1)));
    world.run(Span::secs(8));
    assert_eq!(ended(&world, 0, contract), Some(EndReason::Released));
    assert!(is_whole(&world), "{}", world.trace.join("\n"));
    assert_eq!(world.managers()[1].orchestrator.intent(&id(1)).unwrap().phase, Phase::Deleted);
}

/// Lets a moment pass, and another where a node crashed in it.
fn run_up(world: &mut World) {
    let crashes = world.crashes;
    world.run(Span::secs(12));
    if world.crashes > crashes {
        world.run(Span::secs(12));
    }
}

/// Whichever of the two crashes after whichever of its batches: with leases that never run out, in a moment the
/// intent runs, and after its deletion nothing is left.
#[test]
fn a_crash_at_any_moment_is_put_right_without_any_lease() {
    // What was only held when its buyer died lapses, by design.
    let mut config = slow();
    config.contract.purchase_within = Span::secs(3);
    let mut tried = 0;
    for node in [0, 1] {
        for after in 1.. {
            let mut world = world(13, &config);
            world.crash_after = Some((node, after));
            world.submit(1, id(1), intent("web", 2, TERM));
            run_up(&mut world);
            let fail = |what: &str| panic!("node {node} crashed after {after} batches: {what}");
            let phase = world.managers()[1].orchestrator.intent(&id(1)).map(|intent| intent.phase);
            // It may not have been heard, or have failed because nobody was there just then.
            let runs = match phase {
                None | Some(Phase::Failed) => 0,
                Some(_) => 2,
            };
            let (taken, instances) = (world.managers()[0].rear.living().count(), world.nodes[0].instances.len());
            if (taken, instances) != (runs, runs) {
                println!("{}", world.trace.join("\n"));
                fail(&format!("{phase:?}, {taken} allocations, {instances} instances"));
            }
            if phase.is_some() {
                world.command(1, Command::Delete(id(1)));
            }
            run_up(&mut world);
            // Nor need the deletion have been heard.
            if world.managers()[1].orchestrator.intent(&id(1)).is_some_and(|it| it.phase != Phase::Deleted) {
                world.command(1, Command::Delete(id(1)));
                run_up(&mut world);
            }
            if !is_whole(&world) || !world.nodes[0].instances.is_empty() {
                println!("{}", world.trace.join("\n"));
                fail("something is left");
            }
            if world.crash_after.is_some() {
                break;
            }
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
}
