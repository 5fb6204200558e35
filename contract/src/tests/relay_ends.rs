//! How what a relay has comes to its end, and how it goes on after a restart, along a chain of four.

use kernel::{ContractId, Span};
use rear_proto::{Answer, Code, Mode, Request, Table, message::EndReason};

use super::{hops::*, samples::*, world::*};
use crate::{ContractState, Effect, Input};

#[test]
fn release_comes_back_when_the_capacity_is_back() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        world.frees_at_once = false;
        traded(&mut world, 1, mode);
        world.activate_chain();
        world.end(1);
        world.settle();
        world.free_at(SC);
        world.free_at(SP);
        world.settle();
        assert_eq!(world.ends(1), [], "the workloads are not gone yet");
        assert_eq!(lives(&world), [0, 0, 0, 0], "but the contracts are");
        world.free_at(P4);
        world.settle();
        assert_eq!(world.ends(1), [EndReason::Released]);
        world.check_chain();
    }
}

#[test]
fn either_end_ends_the_whole_chain() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        traded(&mut world, 1, mode);
        world.activate_chain();
        world.end(1);
        world.run(Span::secs(1));
        assert_eq!(lives(&world), [0; 4]);
        world.check_chain();
        for node in [SC, SP, P4] {
            let mut world = chain();
            traded(&mut world, 1, mode);
            world.activate_chain();
            let allocation = *world.nodes[node].grants.keys().next().unwrap();
            world.give(node, Input::Evict { allocation });
            world.run(Span::secs(1));
            assert_eq!(world.ends(1), [EndReason::Released]);
            assert_eq!(lives(&world), [0; 4]);
            assert!(reasons(&world).concat().iter().all(|reason| *reason == EndReason::Released));
            world.check_chain();
        }
    }
}

#[test]
fn what_no_peering_opens_lapses_everywhere() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.run(Span::secs(11));
    assert_eq!(lives(&world), [0; 4]);
    assert_eq!(world.ends(1), [EndReason::NotActivated]);
    world.check_chain();
}

#[test]
fn silence_onward_is_given_up_and_a_grant_that_comes_later_is_given_back() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        world.buy(wish(id(SC), 1, mode));
        for _ in 0..2 {
            let message = world.wire.pop_front().unwrap();
            world.deliver(message);
        }
        let late = world.wire.pop_front().unwrap();
        world.pass(Span::millis(2450), false);
        assert_eq!(world.nodes[P4].grants.len(), 0);
        world.deliver(late);
        assert_eq!(world.used(P4), 1);
        world.run(Span::secs(1));
        assert_eq!(world.refusals(1), [Code::Timeout]);
        assert_eq!(world.used(P4), 0, "given back, and not by a lapse");
        world.check_chain();
        // What was given up is closed to its repeats.
        let (_, _, reserve) = world.said[0].clone();
        let Some(Answer::Refused(refusal)) = world.ask(SC, id(C), reserve) else { panic!("closed") };
        assert_eq!(refusal.code(), Code::Closed);
    }
}

#[test]
fn one_message_that_is_lost_between_two_hops_does_not_fail_an_order() {
    for mode in [Mode::Direct, Mode::Hold] {
        for lost in 0..12 {
            let mut world = chain();
            let mut count = 0;
            let mut deliver_all = |world: &mut World| {
                for _ in 0..40 {
                    while let Some(message) = world.wire.pop_front() {
                        if count != lost {
                            world.deliver(message);
                        }
                        count += 1;
                    }
                    world.pass(Span::millis(100), false);
                }
            };
            world.buy(wish(id(SC), 1, mode));
            deliver_all(&mut world);
            if mode == Mode::Hold {
                world.purchase(1);
                deliver_all(&mut world);
            }
            assert_eq!((lives(&world), world.refusals(1)), ([1, 2, 2, 1], vec![]), "{mode:?}: message {lost} is lost");
            world.check_chain();
        }
    }
}

#[test]
fn what_is_released_while_it_is_under_way_comes_to_nothing() {
    for mode in [Mode::Direct, Mode::Hold] {
        for delivered in 1..6 {
            let mut world = chain();
            world.buy(wish(id(SC), 1, mode));
            for _ in 0..delivered {
                let message = world.wire.pop_front().unwrap();
                world.deliver(message);
            }
            world.end(1);
            world.run(Span::secs(1));
            assert_eq!(world.ends(1), [EndReason::Released]);
            assert_eq!((lives(&world), world.used(P4)), ([0; 4], 0), "after {delivered}");
            world.check_chain();
        }
    }
}

#[test]
fn a_relay_that_restarts_asks_for_the_very_same_again() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        world.buy(wish(id(SC), 1, mode));
        let ask = world.wire.pop_front().unwrap();
        world.deliver(ask);
        // The provider grants, and the answer is lost with SC's memory of the question.
        world.settle_to(SC);
        world.crash(SC);
        assert_eq!(world.used(P4), 1);
        world.pass(Span::secs(4), true);
        assert_eq!(world.refusals(1), []);
        let orders: Vec<_> = world
            .said
            .iter()
            .filter_map(|(from, _, request)| match request {
                Request::Reserve(reserve) if *from == SC => Some(reserve.order.digest()),
                _ => None,
            })
            .collect();
        assert_eq!((orders.len(), orders[0]), (2, orders[1]));
        if mode == Mode::Direct {
            assert_eq!(lives(&world), [1, 2, 2, 1]);
            world.check_chain();
            // It counts from when it was asked at first, for so does the next hop.
            let ends = |node: usize| {
                let mut contracts = world.nodes[node].manager.contracts.values();
                contracts.find(|agreement| agreement.order.buyer == id(SC)).unwrap().ends()
            };
            assert!(ends(SC) <= ends(SP), "{} {}", ends(SC).0, ends(SP).0);
        }
        assert_eq!(world.used(P4), 1);
    }
}

#[test]
fn a_relay_that_restarts_is_active_again_when_both_neighbours_have_named_it() {
    for relay in [SC, SP] {
        let mut world = chain();
        traded(&mut world, 1, Mode::Direct);
        world.activate_chain();
        world.crash(relay);
        assert!(world.live(relay).iter().all(|view| view.state == ContractState::Signed));
        assert_eq!(count(&world, relay, |effect| matches!(effect, Effect::Join { .. })), 2);
        world.run(Span::secs(25));
        assert!(world.live(relay).iter().all(|view| view.state == ContractState::Active));
        assert_eq!(world.nodes[relay].grants.values().next().unwrap().forwarding, Some(true));
        world.run(Span::secs(300));
        assert_eq!(lives(&world), [1, 2, 2, 1]);
        world.check_chain();
    }
}

#[test]
fn a_neighbour_that_is_gone_takes_the_chain_with_it() {
    for (at, gone) in [(SC, SP), (SP, SC), (SC, C), (SP, P4)] {
        for mode in [Mode::Direct, Mode::Hold] {
            let mut world = chain();
            traded(&mut world, 1, mode);
            world.activate_chain();
            world.give(at, Input::MemberGone { node: id(gone) });
            world.run(Span::secs(100));
            assert_eq!(lives(&world), [0; 4]);
            world.check_chain();
        }
    }
}

#[test]
fn an_asker_hears_at_once_that_the_next_hop_is_gone() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        world.buy(wish(id(SC), 1, mode));
        if mode == Mode::Hold {
            world.settle();
            world.purchase(1);
        }
        let ask = world.wire.pop_front().unwrap();
        world.deliver(ask);
        assert_eq!(world.nodes[SC].manager.unsettled(), 2, "it asks and is asked");
        world.give(SC, Input::MemberGone { node: id(SP) });
        world.settle();
        assert_eq!(world.refusals(1), [Code::Unavailable]);
        assert_eq!(world.nodes[SC].manager.sales.len(), 0);
        world.run(Span::secs(100));
        assert_eq!(world.used(P4), 0);
        world.check_chain();
    }
}

#[test]
fn a_hop_that_is_lost_releases_both_ways() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    world.run(Span::secs(30));
    world.cut = Some((SC, SP));
    world.run(Span::secs(130));
    assert_eq!(world.ends(1), [EndReason::Lost]);
    assert_eq!(lives(&world), [0; 4]);
    assert!(reasons(&world).concat().iter().all(|reason| *reason == EndReason::Lost), "{:?}", reasons(&world));
    world.check_chain();
}

#[test]
fn what_a_relay_has_of_one_alone_after_a_crash_is_ended() {
    // No crash of this program can leave this: the rows of both are in one batch. A damaged table can.
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    let front = world.live(SC).into_iter().find(|view| view.buyer == id(C)).unwrap();
    let back = world.live(SC).into_iter().find(|view| view.id != front.id).unwrap();
    let lost = |id: ContractId| move |(_, key): &(Table, Vec<u8>)| key[..] != *id.as_bytes();
    world.nodes[SC].tables.retain(|key, _| lost(back.id)(key));
    world.crash(SC);
    assert_eq!(lives(&world)[SC], 0, "at the start, and not after a lease");
    world.run(Span::secs(100));
    assert_eq!(lives(&world), [0; 4]);
    world.check_chain();
}

#[test]
fn what_a_relay_holds_of_one_alone_after_a_crash_is_given_back() {
    for buyer in [C, SC] {
        let mut world = chain();
        world.buy(wish(id(SC), 1, Mode::Hold));
        world.settle();
        assert_eq!(world.used(P4), 1);
        let of = |key: &[u8]| key.starts_with(id(buyer).as_bytes());
        let holds = |(table, key): &(Table, Vec<u8>)| *table == Table::Reservations && of(key);
        let before = world.nodes[SC].tables.len();
        world.nodes[SC].tables.retain(|row, _| !holds(row));
        assert_eq!(world.nodes[SC].tables.len(), before - 1);
        world.crash(SC);
        world.run(Span::secs(5));
        assert!(world.nodes[SC].manager.fronts.is_empty(), "at the start, and not when it lapses");
        let held = |node: usize| world.nodes[node].manager.holds.values().filter(|hold| hold.end.is_none()).count();
        assert_eq!(held(SC), 0);
        let other = if buyer == C { P4 } else { C };
        assert_eq!(held(other), 0, "the other side is told");
        world.run(Span::secs(60));
        world.nodes[SC].grants.retain(|_, grant| grant.contract.is_some());
        world.check_chain();
    }
}

#[test]
fn a_purchase_that_fails_one_hop_on_ends_the_hold_everywhere() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Hold));
    world.settle();
    world.give(P4, Input::Storage { ok: false });
    world.purchase(1);
    world.run(Span::secs(1));
    assert_eq!(world.refusals(1), [Code::Storage]);
    assert_eq!((lives(&world), world.used(P4)), ([0; 4], 0));
    world.check_chain();
}

#[test]
fn a_hold_that_the_far_end_ends_is_over_everywhere() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Hold));
    world.settle();
    let allocation = *world.nodes[P4].grants.keys().next().unwrap();
    world.give(P4, Input::Evict { allocation });
    world.run(Span::secs(1));
    assert_eq!(world.ends(1), [EndReason::Released]);
    assert!([SC, SP].iter().all(|node| world.nodes[*node].grants.is_empty()));
    world.check_chain();
}

#[test]
fn a_release_is_not_answered_early_because_the_relay_has_restarted() {
    for mode in [Mode::Direct, Mode::Hold] {
        for purchased in [true, false] {
            let mut world = chain();
            world.frees_at_once = false;
            world.buy(wish(id(SC), 1, mode));
            world.settle();
            if purchased && mode == Mode::Hold {
                world.purchase(1);
                world.settle();
            }
            world.end(1);
            for _ in 0..2 {
                let message = world.wire.pop_front().unwrap();
                world.deliver(message);
            }
            world.crash(SC);
            world.free_at(SC);
            world.free_at(SP);
            world.pass(Span::millis(900), true);
            world.give(C, Input::PeerUp { node: id(SC) });
            world.settle();
            world.free_at(SP);
            world.settle();
            assert_eq!(world.ends(1), [], "the capacity is not back yet");
            world.free_at(P4);
            world.settle();
            assert_eq!(world.ends(1), [EndReason::Released]);
            world.check_chain();
        }
    }
}

#[test]
fn a_relay_that_restarted_still_answers_release_when_the_capacity_is_back() {
    for last in [SC, SP, P4] {
        let mut world = chain();
        world.frees_at_once = false;
        traded(&mut world, 1, Mode::Direct);
        world.activate_chain();
        world.crash(SC);
        world.crash(SP);
        world.end(1);
        world.settle();
        for node in [SC, SP, P4].into_iter().filter(|node| *node != last) {
            world.free_at(node);
            world.settle();
        }
        assert_eq!(world.ends(1), []);
        world.free_at(last);
        world.settle();
        assert_eq!(world.ends(1), [EndReason::Released]);
        world.check_chain();
    }
}

#[test]
fn one_neighbour_alone_makes_nothing_active_again() {
    for (relay, cut) in [(SC, (SC, SP)), (SC, (C, SC)), (SP, (SP, P4))] {
        let mut world = chain();
        traded(&mut world, 1, Mode::Direct);
        world.activate_chain();
        world.cut = Some(cut);
        world.crash(relay);
        world.run(Span::secs(50));
        assert!(world.live(relay).iter().all(|view| view.state == ContractState::Signed), "{relay} {cut:?}");
        world.run(Span::secs(100));
        assert!(reasons(&world)[relay].iter().all(|reason| *reason == EndReason::Lost));
        assert_eq!(lives(&world), [0; 4]);
    }
}

#[test]
fn a_grant_that_nobody_waits_for_any_more_is_given_back_at_once() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        world.buy(wish(id(SC), 1, mode));
        for _ in 0..4 {
            let message = world.wire.pop_front().unwrap();
            world.deliver(message);
        }
        let answer = world.wire.pop_front().unwrap();
        assert!(matches!(answer, Message::Answer { to: SC, .. }));
        // Nobody has told SC that its question is late.
        world.now = world.now + Span::millis(2600);
        world.deliver(answer);
        world.run(Span::secs(1));
        assert_eq!(world.used(P4), 0);
        assert_eq!(lives(&world), [0; 4]);
        world.check_chain();
    }
}
