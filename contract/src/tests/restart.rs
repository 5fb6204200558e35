//! Reborn from its rows, a manager goes on where it was.

use kernel::{Manager as _, Span};
use rear_proto::{Code, Mode, Table, message::EndReason};

use super::{samples::*, world::*};
use crate::{Config, Effect, Manager};

#[test]
fn live_contracts_are_put_to_work_again() {
    for node in [C, P] {
        let mut world = World::new(Config::default());
        let contract = world.bought(1, Mode::Direct);
        world.activate(contract);
        world.run(Span::secs(100));
        let before = world.view(node, contract);
        world.nodes[node].told.clear();
        world.crash(node);
        assert_eq!(world.routers(node), (1, 0));
        let restored = |effect: &Effect| matches!(effect, Effect::Restored { .. });
        assert_eq!(world.nodes[node].told.iter().any(restored), node == C);
        let revived = |effect: &Effect| matches!(effect, Effect::Revived { customer, .. } if *customer == id(C));
        assert_eq!(world.nodes[node].told.iter().any(revived), node == P);
        let after = world.view(node, contract);
        assert_eq!((after.digest, after.end), (before.digest, before.end));
        world.activate(contract);
        world.run(Span::secs(300));
        world.check_quiet();
        assert_eq!(world.live(C).len(), 1);
    }
}

#[test]
fn what_does_not_become_active_again_within_a_lease_is_lost() {
    for node in [C, P] {
        let mut world = World::new(Config::default());
        let contract = world.bought(1, Mode::Direct);
        world.activate(contract);
        world.crash(node);
        world.run(Span::secs(59));
        assert_eq!(world.live(node).len(), 1);
        world.run(Span::secs(2));
        assert_eq!(world.view(C, contract).reason, Some(EndReason::Lost));
        assert_eq!(world.view(P, contract).reason, Some(EndReason::Lost));
        world.check_quiet();
    }
}

#[test]
fn a_long_time_to_activate_survives_a_restart() {
    let mut world = World::new(Config::default());
    let mut wish = wish(id(P), 1, Mode::Direct);
    wish.activate_within = Some(Span::secs(500));
    world.buy(wish);
    world.settle();
    world.crash(P);
    world.crash(C);
    world.run(Span::secs(499));
    assert_eq!(world.live(C).len(), 1);
    world.run(Span::secs(2));
    assert_eq!(world.live(C).len(), 0);
    world.check_quiet();
}

#[test]
fn a_repeat_after_the_sellers_restart_gets_the_first_answer() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = World::new(Config::default());
        world.buy(wish(id(P), 1, mode));
        world.nodes[P].dies = true;
        let ask = world.wire.pop_front().unwrap();
        world.deliver(ask);
        assert_eq!(world.used(P), 1, "granted and kept, and nobody was told");
        world.pass(Span::secs(4), false);
        world.settle();
        assert_eq!(world.refusals(1), []);
        assert_eq!(world.used(P), 1);
        if mode == Mode::Direct {
            world.check_quiet();
        }
    }
}

#[test]
fn holds_outlive_a_restart_and_lapse_in_time() {
    for node in [C, P] {
        let mut world = World::new(Config::default());
        world.buy(wish(id(P), 1, Mode::Hold));
        world.buy(wish(id(P), 2, Mode::Hold));
        world.settle();
        world.crash(node);
        world.purchase(1);
        world.settle();
        assert_eq!(world.live(C).len(), 1, "{:?}", world.refusals(1));
        world.activate(world.live(C)[0].id);
        world.run(Span::secs(31));
        assert_eq!(world.used(P), 1);
        assert_eq!(world.ends(2), [EndReason::Expired]);
        world.check_quiet();
    }
}

#[test]
fn a_hold_that_lapsed_while_the_seller_was_down_is_given_back() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    world.now = world.now + Span::secs(40);
    world.crash(P);
    assert_eq!(world.used(P), 0);
}

#[test]
fn a_term_that_ended_while_the_node_was_down_ends_at_the_start() {
    for node in [C, P] {
        let mut world = World::new(Config::default());
        let contract = world.bought(1, Mode::Direct);
        world.activate(contract);
        world.nodes[node].told.clear();
        world.now = world.now + Span::secs(4000);
        world.crash(node);
        assert_eq!(world.view(node, contract).reason, Some(EndReason::Expired));
        assert_eq!(world.routers(node).0, 0);
        world.run(Span::secs(1));
        world.check_quiet();
    }
}

#[test]
fn a_question_under_way_is_forgotten_and_found_dead() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    world.crash(C);
    world.settle();
    assert_eq!((world.live(C).len(), world.live(P).len()), (0, 1));
    world.run(Span::secs(21));
    world.check_quiet();
    assert_eq!(world.used(P), 0);
}

#[test]
fn an_end_that_was_not_told_is_told_after_the_restart() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    world.nodes[C].dies = true;
    world.end(1);
    assert!(!world.wire.is_empty(), "it is told at the start");
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
    world.check_quiet();
    // Told once, it is not told again.
    world.crash(C);
    assert!(world.wire.is_empty());
}

#[test]
fn closed_keys_stay_closed_for_an_hour_and_over_restarts() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    let (_, _, reserve) = world.said[0].clone();
    world.end(1);
    world.settle();
    world.crash(P);
    let code =
        |answer| if let Some(rear_proto::Answer::Refused(refusal)) = answer { Some(refusal.code()) } else { None };
    assert_eq!(code(world.ask(P, id(C), reserve.clone())), Some(Code::Closed));
    let keys = |world: &World| world.nodes[P].tables.keys().filter(|(table, _)| *table == Table::Keys).count();
    world.run(Span::secs(3599));
    assert_eq!(keys(&world), 1);
    world.run(Span::secs(2));
    assert_eq!(keys(&world), 0);
    // The order is too old by then to be used again.
    assert_eq!(code(world.ask(P, id(C), reserve)), Some(Code::ClockSkew));
}

#[test]
fn renewals_outlive_a_restart() {
    for node in [C, P] {
        let mut world = World::new(Config::default());
        let mut wish = wish(id(P), 1, Mode::Direct);
        (wish.renew, wish.term) = (true, Span::secs(300));
        world.buy(wish);
        world.settle();
        let contract = world.live(C)[0].id;
        world.activate(contract);
        world.run(Span::secs(250));
        world.crash(node);
        assert_eq!(world.view(node, contract).renewals, 1);
        world.activate(contract);
        world.run(Span::secs(300));
        assert_eq!((world.view(C, contract).renewals, world.view(P, contract).renewals), (2, 2));
        world.check_quiet();
    }
}

#[test]
fn a_row_that_can_not_be_read_is_an_error() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Hold);
    world.end(1);
    world.settle();
    for ((table, key), value) in &world.nodes[P].tables {
        let mut fresh: Manager = member(2, Config::default());
        for cut in 0..value.len() {
            assert!(fresh.restore(*table, key, &value[..cut]).is_err(), "{table:?} {cut}");
        }
        assert!(fresh.restore(*table, &[], value).is_err());
        assert!(fresh.restore(Table::Intents, key, value).is_err());
        assert_eq!(fresh.restore(*table, key, value), Ok(()));
    }
    let mut out = Vec::new();
    member(2, Config::default()).start(NOW, 2, &mut out);
    assert!(out.is_empty());
    assert_eq!(member(2, Config::default()).next_wake(), None);
}
