//! What a relay does, story by story, along a chain of four: C, its supernode, the provider's supernode, the provider.

use kernel::{ContractId, FlavourId, Key, Span, Ticket};
use rear_proto::{Answer, Code, Mode, Request, message::EndReason, story::Deed};

use super::{samples::*, world::*};
use crate::{Config, ContractState, Effect, Input};

/// The price along the chain: 0.2 at the provider, then 1 % and 2.5 % on it.
const PRICES: [&str; 3] = ["0.20705EUR/h", "0.202EUR/h", "0.2EUR/h"];

fn chain() -> World {
    World::chain(Config::default())
}

/// Buys through the whole chain, and lets everything that follows happen.
fn traded(world: &mut World, key: u8, mode: Mode) {
    world.buy(wish(id(SC), key, mode));
    world.settle();
    if mode == Mode::Hold {
        world.purchase(key);
        world.settle();
    }
    assert_eq!(world.refusals(key), []);
}

fn lives(world: &World) -> [usize; 4] {
    [C, SC, SP, P4].map(|node| world.live(node).len())
}

fn reasons(world: &World) -> Vec<Vec<EndReason>> {
    let reasons = |node: usize| world.nodes[node].manager.contracts().filter_map(|view| view.reason).collect();
    [C, SC, SP, P4].map(reasons).into()
}

fn count(world: &World, node: usize, what: fn(&Effect) -> bool) -> usize {
    world.nodes[node].told.iter().filter(|effect| what(effect)).count()
}

#[test]
fn a_direct_order_goes_down_the_chain_and_contracts_come_back() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Direct));
    assert_eq!(world.wire.len(), 1);
    for hop in 0..6 {
        let message = world.wire.pop_front().unwrap();
        world.deliver(message);
        assert_eq!(world.wire.len(), usize::from(hop < 5), "one message at a time");
    }
    assert_eq!(lives(&world), [1, 2, 2, 1]);
    world.check_chain();
    for (hop, price) in PRICES.into_iter().enumerate() {
        let view = world.live(hop).into_iter().find(|view| view.buyer == id(hop)).unwrap();
        assert_eq!(view.price, rate(price), "hop {hop}");
    }
    assert_eq!(world.deeds(C), [Deed::ReserveSent, Deed::ContractStored]);
    for relay in [SC, SP] {
        assert_eq!(world.deeds(relay), [Deed::ReserveSent, Deed::ContractAnswered]);
        assert_eq!(count(&world, relay, |effect| matches!(effect, Effect::Join { .. })), 1);
        assert_eq!(world.routers(relay), (0, 0));
        let rear = |effect: &Effect| {
            matches!(
                effect,
                Effect::Held { .. } | Effect::Signed { .. } | Effect::Refused { .. } | Effect::Ended { .. }
            )
        };
        assert_eq!(count(&world, relay, rear), 0, "REAR hears of the Forwarding allocation alone");
    }
    assert_eq!(world.deeds(P4), [Deed::ContractDrawn, Deed::ContractAnswered]);
}

#[test]
fn each_hop_has_its_own_flavour_key_and_parties_and_the_same_order_otherwise() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    let at = |hop: usize| world.live(hop).into_iter().find(|view| view.buyer == id(hop)).unwrap();
    let keys: Vec<Key> = [0, 1, 2].map(|hop| at(hop).key).into();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] == Key([1; 16]));
    assert_eq!(at(0).flavour, FlavourId([6; 16]));
    assert_ne!(at(1).flavour, at(0).flavour);
    assert!([0, 1, 2].map(|hop| at(hop).partition).iter().all(|partition| *partition == cores(1)));
}

#[test]
fn the_ends_know_each_others_key_and_that_they_are_abroad() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        traded(&mut world, 1, mode);
        let router = |node: usize| {
            let told = world.nodes[node].told.iter();
            let mut found =
                told.filter_map(
                    |effect| if let Effect::DeployRouter { router, .. } = effect { Some(router) } else { None },
                );
            found.next().unwrap().clone()
        };
        let public =
            |number: u8, key: Key| rear_proto::tunnel::public(&rear_proto::tunnel::secret(&signer(number), &key));
        assert_eq!(router(C).remote_key, public(4, world.live(P4)[0].key));
        assert_eq!(router(P4).remote_key, public(1, Key([1; 16])));
        for end in [C, P4] {
            assert!(world.nodes[end].manager.is_abroad(&world.live(end)[0].id));
            world.crash(end);
            assert!(world.nodes[end].manager.is_abroad(&world.live(end)[0].id), "after a restart, too");
        }
    }
}

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
fn a_channel_that_opens_makes_the_relays_contracts_active_and_keepalive_keeps_them() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    for relay in [SC, SP] {
        assert!(world.live(relay).iter().all(|view| view.state == ContractState::Active));
        assert_eq!(world.nodes[relay].grants.values().next().unwrap().forwarding, Some(true));
    }
    world.run(Span::secs(900));
    assert_eq!(lives(&world), [1, 2, 2, 1]);
    world.check_chain();
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
fn a_refusal_comes_back_and_says_nothing_of_who_is_there() {
    let mut world = chain();
    let mut wish = wish(id(SC), 1, Mode::Direct);
    wish.partition = cores(POOL + 1);
    world.buy(wish);
    world.settle();
    assert_eq!(world.refusals(1), [Code::Unavailable]);
    world.check_chain();
    let (_, _, reserve) = world.said[0].clone();
    let said = world.said.len();
    let Some(Answer::Refused(refusal)) = world.ask(SC, id(C), reserve) else { panic!("refused again") };
    assert_eq!(refusal.text(), Code::Unavailable.sentence());
    assert_eq!(world.said.len(), said, "it is remembered");
}

#[test]
fn a_repeat_while_it_is_under_way_waits_for_the_same_answer() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Direct));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask.clone());
    world.deliver(ask);
    assert_eq!(world.wire.len(), 1, "forwarded once");
    let onward = world.wire.pop_front().unwrap();
    world.deliver(onward);
    world.settle();
    assert_eq!(lives(&world), [1, 2, 2, 1]);
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
fn a_node_that_can_not_keep_promises_forwards_nothing() {
    let mut world = chain();
    world.give(SC, Input::Storage { ok: false });
    world.buy(wish(id(SC), 1, Mode::Direct));
    world.settle();
    assert_eq!(world.refusals(1), [Code::Storage]);
    assert!(world.said.iter().all(|(from, _, _)| *from == C));
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
fn holds_are_nested_and_lapse_everywhere() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Hold));
    world.settle();
    let within = |node: usize, buyer: usize| {
        let held = world.nodes[node].manager.reservations(world.now).find(|view| view.buyer == id(buyer));
        held.unwrap().purchase_within
    };
    assert_eq!([within(C, C), within(SC, SC), within(SP, SP)], [28, 29, 30].map(Span::secs));
    assert_eq!(world.nodes[SC].grants.len(), 1, "a Forwarding allocation from the hold on");
    world.run(Span::secs(31));
    assert_eq!(world.ends(1), [EndReason::Expired]);
    assert_eq!(world.used(P4), 0);
    world.check_chain();
}

#[test]
fn contracts_are_nested() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        traded(&mut world, 1, mode);
        let term = |hop: usize| {
            let view = world.live(hop).into_iter().find(|view| view.buyer == id(hop)).unwrap();
            view.start.until(view.end)
        };
        // At most a tenth of the time to activate is left out: of 9 s, at the second relay. What was held was for less.
        let least = if mode == Mode::Direct { 3_598_100 } else { 3_598_000 };
        assert_eq!([term(0), term(1), term(2)], [least, 3_599_000, 3_600_000].map(Span::millis));
    }
}

#[test]
fn a_renewal_is_signed_at_the_far_end_first() {
    let mut world = chain();
    let mut wish = wish(id(SC), 1, Mode::Direct);
    (wish.renew, wish.term) = (true, Span::secs(300));
    world.buy(wish);
    world.settle();
    world.activate_chain();
    world.run(Span::secs(1800));
    assert_eq!(lives(&world), [1, 2, 2, 1]);
    assert!(world.live(P4)[0].renewals > 5);
    world.check_chain();
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
    let lost = |id: ContractId| move |(_, key): &(rear_proto::Table, Vec<u8>)| key[..] != *id.as_bytes();
    world.nodes[SC].tables.retain(|key, _| lost(back.id)(key));
    world.crash(SC);
    world.run(Span::secs(100));
    assert_eq!(lives(&world), [0; 4]);
    world.check_chain();
}

#[test]
fn a_renewal_goes_one_hop_on_once_and_release_beats_it() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    let contract = world.live(C)[0].id;
    world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask.clone());
    world.deliver(ask);
    assert_eq!(world.wire.len(), 1, "forwarded once");
    world.end(1);
    world.run(Span::secs(1));
    assert_eq!(lives(&world), [0; 4]);
    assert_eq!(world.ends(1), [EndReason::Released]);
    world.check_chain();
}

#[test]
fn a_relay_renews_nothing_by_itself() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    let back = world.live(SC).into_iter().find(|view| view.buyer == id(SC)).unwrap().id;
    world.give(SC, Input::RenewByHand { ticket: Ticket(7), contract: back });
    let refused = |effect: &Effect| matches!(effect, Effect::Respond { ticket: Ticket(7), result: Err(_) });
    assert_eq!(count(&world, SC, refused), 1);
    assert!(world.wire.is_empty());
}

#[test]
fn a_renewal_that_the_far_end_refuses_is_refused_everywhere() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    world.give(P4, Input::Storage { ok: false });
    let contract = world.live(C)[0].id;
    world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
    world.settle();
    let refused = |effect: &Effect| matches!(effect, Effect::Respond { ticket: Ticket(7), result: Err(_) });
    assert_eq!(count(&world, C, refused), 1);
    assert!((0..4).all(|node| world.live(node).iter().all(|view| view.renewals == 0)));
    world.give(P4, Input::Storage { ok: true });
    world.run(Span::secs(30));
    assert!((0..4).all(|node| world.live(node).iter().all(|view| view.renewals == 1)), "it is asked for again");
    world.check_chain();
}

#[test]
fn a_far_end_that_renews_for_less_is_not_outlived() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    // The relays' own terms differ by a margin: each renewal keeps that, however often.
    for _ in 0..5 {
        let contract = world.live(C)[0].id;
        world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
        world.settle();
        world.check_chain();
    }
    assert_eq!(world.live(P4)[0].renewals, 5);
}

#[test]
fn a_purchase_goes_one_hop_on_once() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Hold));
    world.settle();
    world.purchase(1);
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask.clone());
    world.deliver(ask);
    assert_eq!(world.wire.len(), 1, "forwarded once");
    world.settle();
    assert_eq!(lives(&world), [1, 2, 2, 1]);
    world.check_chain();
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
fn a_discovery_that_answers_late_or_no_changes_nothing() {
    let mut world = chain();
    world.nodes[SC].ponders = true;
    world.buy(wish(id(SC), 1, Mode::Direct));
    world.settle();
    let asked = |effect: &Effect| match effect {
        Effect::Resolve { allocation, .. } => Some(*allocation),
        _ => None,
    };
    let allocation = world.nodes[SC].told.iter().find_map(asked).unwrap();
    world.end(1);
    world.settle();
    assert_eq!(world.ends(1), []);
    let way = Err(rear_proto::Refusal::from(Code::NotFound));
    world.give(SC, Input::Resolved { allocation, way: way.clone() });
    world.give(SC, Input::Resolved { allocation, way });
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
    world.check_chain();
}

#[test]
fn a_contract_is_backed_by_one_in_the_ledger_that_is_as_good() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    traded(&mut world, 2, Mode::Hold);
    let ledger = &world.nodes[SC].ledger;
    assert_eq!(crate::audit::verify(ledger, Some(&domain_key())).problems, []);
    let back = world.live(SC).into_iter().find(|view| view.buyer == id(SC)).unwrap().id;
    let without: Vec<_> = ledger.iter().filter(|row| row.key != back.as_bytes()).cloned().collect();
    let problems = crate::audit::verify(&without, Some(&domain_key())).problems;
    let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [crate::audit::ProblemKind::BadBacking]);
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
    for relays in [&[SC][..], &[SP], &[SC, SP]] {
        let mut world = chain();
        world.frees_at_once = false;
        traded(&mut world, 1, Mode::Direct);
        world.activate_chain();
        relays.iter().for_each(|relay| world.crash(*relay));
        world.end(1);
        world.settle();
        // REAR at one of them, or at the provider, is the last to have its capacity back.
        let [last, others @ ..] = relays else { panic!("some relay") };
        let others: Vec<usize> =
            [SC, SP, P4].into_iter().filter(|node| node != last || others.contains(node)).collect();
        for node in others {
            assert_eq!(world.ends(1), []);
            world.free_at(node);
            world.settle();
        }
        assert_eq!(world.ends(1), []);
        world.free_at(*last);
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
