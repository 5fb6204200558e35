//! The three clocks, the time to purchase, and what a jump of the clock does to them.

use kernel::Span;
use rear_proto::{Answer, Mode, Request, local::Outcome, message::EndReason, message::Keepalive};

use super::{samples::*, world::*};
use crate::{Config, ContractState, Effect, Input, ReservationState};

/// Says why a contract ended at each party.
fn reasons(world: &World, contract: kernel::ContractId) -> (Option<EndReason>, Option<EndReason>) {
    (world.view(C, contract).reason, world.view(P, contract).reason)
}

#[test]
fn a_contract_that_no_peering_opens_lapses_on_both_sides() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.run(Span::millis(9_900));
    assert_eq!(reasons(&world, contract), (None, None));
    world.run(Span::millis(200));
    assert_eq!(reasons(&world, contract), (Some(EndReason::NotActivated), Some(EndReason::NotActivated)));
    assert_eq!(world.ends(1), [EndReason::NotActivated]);
    assert_eq!(world.view(C, contract).state, ContractState::Expired);
    world.check_quiet();
}

#[test]
fn a_contract_lapses_at_either_side_alone() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.pass(Span::secs(11), false);
    assert_eq!(reasons(&world, contract), (Some(EndReason::NotActivated), Some(EndReason::NotActivated)));
    assert_eq!(world.used(P), 0);
}

#[test]
fn an_active_contract_lives_as_long_as_both_are_heard_of() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.run(Span::secs(600));
    assert_eq!(world.view(C, contract).state, ContractState::Active);
    assert_eq!(world.view(P, contract).state, ContractState::Active);
    world.check_quiet();
}

#[test]
fn a_lease_runs_out_when_the_other_party_is_silent() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.run(Span::secs(100));
    // The wire is cut: nothing gets through any more.
    world.pass(Span::secs(61), false);
    assert_eq!(reasons(&world, contract), (Some(EndReason::Lost), Some(EndReason::Lost)));
    assert_eq!(world.ends(1), [EndReason::Lost]);
    assert_eq!(world.used(P), 0);
    let failed = |effect: &Effect| matches!(effect, Effect::Rated { outcome: Outcome::Failed, .. });
    assert!(world.nodes[C].told.iter().any(failed));
}

#[test]
fn only_what_is_named_is_kept_alive() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    // Some other contract is kept alive, again and again, by the right party.
    for _ in 0..13 {
        let contracts = vec![kernel::ContractId([9; 16])];
        let request = Request::Keepalive(Keepalive { contracts: contracts.clone(), extensions: Default::default() });
        assert_eq!(world.ask(P, id(C), request), Some(Answer::Dead(contracts)));
        world.pass(Span::secs(5), false);
    }
    assert_eq!(world.view(P, contract).reason, Some(EndReason::Lost));
}

#[test]
fn a_keepalive_of_another_party_keeps_nothing_alive() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    let request = Request::Keepalive(Keepalive { contracts: vec![contract], extensions: Default::default() });
    assert_eq!(world.ask(P, signer(9).id(), request), Some(Answer::Dead(vec![contract])));
}

#[test]
fn what_is_named_dead_is_closed_at_once() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    // The buyer forgets everything.
    world.nodes[C].tables.clear();
    world.crash(C);
    world.run(Span::secs(21));
    assert_eq!(world.view(P, contract).reason, Some(EndReason::Forgotten));
    assert_eq!(world.used(P), 0);
}

#[test]
fn a_term_ends_on_both_sides() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.run(Span::secs(3601));
    assert_eq!(reasons(&world, contract), (Some(EndReason::Expired), Some(EndReason::Expired)));
    assert_eq!(world.ends(1), [EndReason::Expired]);
    world.check_quiet();
}

#[test]
fn a_buyer_ends_no_later_than_the_seller() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    world.pass(Span::secs(1), false);
    world.settle();
    let contract = world.live(C)[0].id;
    world.activate(contract);
    // The last second of the seller's hour is not the buyer's any more.
    world.run(Span::millis(3_599_100));
    assert_eq!(reasons(&world, contract), (Some(EndReason::Expired), Some(EndReason::Expired)));
}

#[test]
fn a_hold_lapses_on_both_sides() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    world.run(Span::millis(29_900));
    assert_eq!(world.used(P), 1);
    world.run(Span::millis(200));
    assert_eq!(world.used(P), 0);
    for node in [C, P] {
        let view = world.nodes[node].manager.reservations(world.now).next().unwrap();
        assert_eq!(view.state, ReservationState::Expired);
    }
    assert_eq!(world.ends(1), [EndReason::Expired]);
    world.purchase(1);
    assert_eq!(world.refusals(1), [rear_proto::Code::Expired]);
    world.check_quiet();
}

#[test]
fn a_jump_of_the_clock_lets_nothing_expire_for_a_lease() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.now = world.now + Span::secs(300);
    for node in [C, P] {
        world.give(node, Input::ClockJumped);
    }
    world.run(Span::secs(59));
    assert_eq!(reasons(&world, contract), (None, None));
    world.run(Span::secs(120));
    assert_eq!(reasons(&world, contract), (None, None), "both were heard of in the meantime");
    world.check_quiet();
}

#[test]
fn what_is_held_over_a_jump_of_the_clock_can_be_purchased() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    world.now = world.now + Span::secs(40);
    for node in [C, P] {
        world.give(node, Input::ClockJumped);
    }
    world.purchase(1);
    let Some((_, _, Request::Purchase(purchase))) = world.said.last() else { panic!("no PURCHASE") };
    assert_eq!(purchase.deadline, Span::millis(2500));
    world.run(Span::secs(1));
    assert_eq!(world.refusals(1), []);
    assert_eq!((world.live(C).len(), world.live(P).len()), (1, 1));
}

#[test]
fn after_a_jump_what_is_not_heard_of_expires_all_the_same() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.now = world.now + Span::secs(300);
    world.give(P, Input::ClockJumped);
    world.pass(Span::secs(59), false);
    assert_eq!(world.view(P, contract).reason, None);
    world.pass(Span::secs(2), false);
    assert_eq!(world.view(P, contract).reason, Some(EndReason::Lost));
}

#[test]
fn all_clocks_can_be_a_second_or_less() {
    let config = Config {
        lease: Span::millis(600),
        activate_within: Span::millis(300),
        purchase_within: Span::millis(300),
        ..Config::default()
    };
    let mut world = World::new(config);
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.buy(wish(id(P), 2, Mode::Hold));
    world.buy(wish(id(P), 3, Mode::Direct));
    world.settle();
    assert_eq!(world.used(P), 3);
    world.run(Span::millis(400));
    assert_eq!(world.used(P), 1);
    world.pass(Span::millis(700), false);
    assert_eq!(world.used(P), 0);
}

#[test]
fn the_contracts_of_a_node_that_was_removed_end() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.buy(wish(id(P), 2, Mode::Hold));
    world.settle();
    world.buy(wish(id(P), 3, Mode::Direct));
    world.wire.clear();
    world.give(P, Input::MemberGone { node: id(C) });
    world.give(C, Input::MemberGone { node: id(P) });
    assert_eq!(reasons(&world, contract), (Some(EndReason::Removed), Some(EndReason::Removed)));
    assert_eq!((world.ends(1), world.ends(2)), (vec![EndReason::Removed], vec![EndReason::Removed]));
    assert_eq!(world.refusals(3), [rear_proto::Code::NotAMember]);
    assert!(world.wire.is_empty(), "nothing is said to it: {:?}", world.wire);
    world.check_quiet();
}

#[test]
fn a_node_that_is_there_again_is_told_at_once() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    world.end(1);
    world.wire.clear();
    world.pass(Span::secs(25), false);
    world.wire.clear();
    world.give(C, Input::PeerUp { node: id(P) });
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
    world.check_quiet();
}

#[test]
fn a_release_that_nobody_answers_ends_with_the_lease() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    world.end(1);
    world.pass(Span::secs(59), false);
    assert_eq!(world.ends(1), []);
    world.pass(Span::secs(22), false);
    assert_eq!(world.ends(1), [EndReason::Released]);
    assert_eq!(world.nodes[C].manager.unsettled(), 0);
}

#[test]
fn a_lease_counts_from_the_question_that_was_answered() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    // The provider says nothing of itself; the consumer's one keepalive is answered late.
    while !world.wire.iter().any(|message| matches!(message, Message::Ask { to: P, .. })) {
        world.pass(Span::millis(10), false);
    }
    world.wire.retain(|message| matches!(message, Message::Ask { to: P, .. }));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    world.pass(Span::secs(4), false);
    let at = world.wire.iter().position(|message| matches!(message, Message::Answer { .. })).unwrap();
    let answer = world.wire.remove(at).unwrap();
    world.deliver(answer);
    world.pass(Span::secs(55), false);
    assert_eq!(world.view(C, contract).reason, None);
    world.pass(Span::secs(2), false);
    assert_eq!(world.view(C, contract).reason, Some(EndReason::Lost));
}
