//! The plain ways through: agree, use, renew, release.

use kernel::{Key, RequestId, Span, Ticket};
use rear_proto::{Mode, local::Outcome, message::EndReason, story::Deed};

use super::{samples::*, world::*};
use crate::{Config, ContractState, Effect, Input, ReservationState};

#[test]
fn direct_agreement_is_one_exchange() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    assert_eq!(world.wire.len(), 1);
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    assert_eq!(world.wire.len(), 1);
    world.settle();
    let (ours, theirs) = (world.live(C), world.live(P));
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].digest, theirs[0].digest);
    assert_eq!((ours[0].start, ours[0].end), (theirs[0].start, theirs[0].end));
    assert_eq!(world.deeds(P), [Deed::ContractDrawn, Deed::ContractAnswered]);
    assert_eq!(world.deeds(C), [Deed::ReserveSent, Deed::ContractStored]);
    assert_eq!((world.routers(C), world.routers(P)), ((1, 0), (1, 0)));
    assert_eq!(world.used(P), 1);
    world.check_quiet();
}

#[test]
fn both_ends_of_the_channel_know_each_others_key() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    let router = |node: usize| {
        let told = world.nodes[node].told.iter();
        told.filter_map(|effect| if let Effect::DeployRouter { router, .. } = effect { Some(router) } else { None })
            .next()
            .unwrap()
            .clone()
    };
    let public = |number: u8| rear_proto::tunnel::offered(&signer(number), &Key([1; 16]));
    assert_eq!(router(C).remote_key, public(2));
    assert_eq!(router(P).remote_key, public(1));
    assert_eq!(router(C).peer.node, id(P));
    assert_eq!(router(P).peer.node, id(C));
}

#[test]
fn a_hold_is_purchased_in_a_second_exchange() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    assert!(world.live(C).is_empty() && world.live(P).is_empty());
    assert_eq!(world.used(P), 1);
    for node in [C, P] {
        let held: Vec<_> = world.nodes[node].manager.reservations(world.now).collect();
        assert_eq!(held[0].state, ReservationState::Held);
        assert_eq!(held[0].purchase_within, Span::secs(30));
    }
    world.purchase(1);
    world.settle();
    assert_eq!(world.live(C)[0].digest, world.live(P)[0].digest);
    let state = |node: usize| world.nodes[node].manager.reservations(world.now).next().unwrap().state;
    assert_eq!((state(C), state(P)), (ReservationState::Purchased, ReservationState::Purchased));
    world.check_quiet();
}

#[test]
fn rear_hears_that_it_is_held_and_signed() {
    let mut world = World::new(Config::default());
    world.bought(3, Mode::Hold);
    let heard: Vec<&str> = world.nodes[C]
        .told
        .iter()
        .filter_map(|effect| match effect {
            Effect::Held { request: RequestId(3), .. } => Some("held"),
            Effect::Signed { request: RequestId(3), .. } => Some("signed"),
            _ => None,
        })
        .collect();
    assert_eq!(heard, ["held", "signed"]);
}

#[test]
fn a_refusal_reaches_rear_with_its_reason() {
    let mut world = World::new(Config::default());
    let mut wish = wish(id(P), 1, Mode::Direct);
    wish.partition = cores(POOL + 1);
    world.buy(wish);
    world.settle();
    assert_eq!(world.refusals(1), [rear_proto::Code::Unavailable]);
    assert_eq!(world.used(P), 0);
    world.check_quiet();
}

#[test]
fn release_is_answered_when_the_capacity_is_back() {
    let mut world = World::new(Config::default());
    world.frees_at_once = false;
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.end(1);
    assert_eq!(world.routers(C), (1, 1), "the own router goes at once");
    world.settle();
    assert_eq!(world.ends(1), [], "the workloads are not gone yet");
    world.free();
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
    assert_eq!(world.view(C, contract).state, ContractState::Released);
    assert_eq!(world.view(P, contract).state, ContractState::Released);
    world.check_quiet();
}

#[test]
fn release_is_answered_in_the_end_though_the_capacity_is_not_back() {
    let mut world = World::new(Config::default());
    world.frees_at_once = false;
    world.bought(1, Mode::Direct);
    world.end(1);
    world.run(Span::secs(14));
    assert_eq!(world.ends(1), []);
    world.run(Span::secs(2));
    assert_eq!(world.ends(1), [EndReason::Released]);
}

#[test]
fn what_is_asked_for_can_be_ended() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = World::new(Config::default());
        world.buy(wish(id(P), 1, mode));
        world.end(1);
        world.settle();
        assert_eq!(world.ends(1), [EndReason::Released]);
        assert_eq!(world.refusals(1), []);
        world.check_quiet();
    }
}

#[test]
fn a_held_reservation_can_be_ended() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    world.end(1);
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
    let state = |node: usize| world.nodes[node].manager.reservations(world.now).next().unwrap().state;
    assert_eq!((state(C), state(P)), (ReservationState::Released, ReservationState::Released));
    world.check_quiet();
}

#[test]
fn ending_what_has_ended_is_answered_at_once() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    world.end(1);
    world.settle();
    world.end(1);
    world.end(9);
    assert_eq!(world.ends(1), [EndReason::Released, EndReason::Released]);
    assert_eq!(world.ends(9), [EndReason::Released]);
}

#[test]
fn a_contract_in_use_is_renewed_before_its_term_ends() {
    let mut world = World::new(Config::default());
    let mut wish = wish(id(P), 1, Mode::Direct);
    (wish.renew, wish.term) = (true, Span::secs(300));
    world.buy(wish);
    world.settle();
    let contract = world.live(C)[0].id;
    world.activate(contract);
    let end = world.view(C, contract).end;
    world.run(Span::secs(190));
    assert_eq!(world.view(C, contract).end, end);
    world.run(Span::secs(20));
    assert_eq!(world.view(C, contract).end, end + Span::secs(300));
    assert_eq!(world.view(P, contract).end, end + Span::secs(300));
    world.run(Span::secs(600));
    assert!(world.view(C, contract).renewals >= 2);
    world.check_quiet();
}

#[test]
fn a_contract_renewed_by_hand_tells_who_waits() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
    world.settle();
    let done = |effect: &Effect| matches!(effect, Effect::Respond { ticket: Ticket(7), result: Ok(()) });
    assert!(world.nodes[C].told.iter().any(done));
    assert_eq!(world.view(P, contract).renewals, 1);
    // By the seller, or of what is not there, it is refused.
    for (node, contract) in [(P, contract), (C, kernel::ContractId([1; 16]))] {
        world.give(node, Input::RenewByHand { ticket: Ticket(8), contract });
        let refused = |effect: &Effect| matches!(effect, Effect::Respond { ticket: Ticket(8), result: Err(_) });
        assert!(world.nodes[node].told.iter().any(refused));
    }
}

#[test]
fn a_contract_that_was_used_to_its_end_speaks_for_the_other_party() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    world.end(1);
    world.settle();
    for node in [C, P] {
        let kept = |effect: &Effect| matches!(effect, Effect::Rated { outcome: Outcome::Kept, .. });
        assert_eq!(world.nodes[node].told.iter().filter(|effect| kept(effect)).count(), 1);
    }
}

#[test]
fn a_signed_contract_is_found_for_its_customer_alone() {
    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    let mut found = |node: usize, customer: usize| {
        let trace = rear_proto::Trace::None;
        world.give(node, Input::LookUp { inquiry: 1, contract, customer: id(customer), trace });
        match world.nodes[node].told.pop() {
            Some(Effect::LookedUp { found, .. }) => found.map(|found| found.customer),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found(P, C), Some(id(C)));
    assert_eq!(found(P, P), None);
    assert_eq!(found(C, C), None);
}
