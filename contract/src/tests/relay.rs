//! What a relay does, story by story, along a chain of four: C, its supernode, the provider's supernode, the provider.

use kernel::{FlavourId, Key, Span, Ticket};
use rear_proto::{Answer, Code, Mode, Renewal, Request, Signed, message::EndReason, story::Deed};

use super::{hops::*, samples::*, world::*};
use crate::{ContractState, Effect, Input};

/// The price along the chain: 0.2 at the provider, then 1 % and 2.5 % on it.
const PRICES: [&str; 3] = ["0.20705EUR/h", "0.202EUR/h", "0.2EUR/h"];

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
        let public = |number: u8, key: Key| rear_proto::tunnel::offered(&signer(number), &key);
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
fn each_hop_knows_whether_the_far_end_of_each_contract_is_abroad() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = chain();
        traded(&mut world, 1, mode);
        for crashed in [None, Some(SC), Some(SP)] {
            crashed.into_iter().for_each(|relay| world.crash(relay));
            let is_abroad = |node: usize, buyer: usize| {
                let view = world.live(node).into_iter().find(|view| view.buyer == id(buyer)).unwrap();
                world.nodes[node].manager.is_abroad(&view.id)
            };
            // Whoever has bought of SC is at home there, and what that rests on is not; at SP it is the other way round.
            assert_eq!(
                [(SC, C), (SC, SC), (SP, SC), (SP, SP)].map(|(node, buyer)| is_abroad(node, buyer)),
                [false, true, true, false]
            );
        }
    }
}

#[test]
fn what_a_relay_has_sold_is_not_there_to_be_deployed_to() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    for (node, buyer, there) in [(SC, C, false), (SP, SC, false), (P4, SP, true)] {
        let contract = world.live(node).into_iter().find(|view| view.buyer == id(buyer)).unwrap().id;
        let trace = rear_proto::Trace::None;
        world.give(node, Input::LookUp { inquiry: 7, contract, customer: id(buyer), trace });
        let found = world.nodes[node].told.iter().find_map(|effect| match effect {
            Effect::LookedUp { inquiry: 7, found, .. } => Some(found.is_some()),
            _ => None,
        });
        assert_eq!(found, Some(there), "node {node}");
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
fn a_node_that_can_not_keep_promises_forwards_nothing() {
    let mut world = chain();
    world.give(SC, Input::Storage { ok: false });
    world.buy(wish(id(SC), 1, Mode::Direct));
    world.settle();
    assert_eq!(world.refusals(1), [Code::Storage]);
    assert!(world.said.iter().all(|(from, _, _)| *from == C));
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
fn what_is_held_over_a_jump_of_the_clock_can_be_purchased_along_a_chain() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Hold));
    world.settle();
    world.now = world.now + Span::secs(40);
    for node in [C, SC, SP, P4] {
        world.give(node, Input::ClockJumped);
    }
    world.purchase(1);
    world.run(Span::secs(1));
    assert_eq!((world.refusals(1), lives(&world)), (vec![], [1, 2, 2, 1]));
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
fn a_renewal_of_which_a_message_is_lost_is_asked_for_again() {
    for lost in 0..6 {
        let mut world = chain();
        let mut wish = wish(id(SC), 1, Mode::Direct);
        (wish.renew, wish.term) = (true, Span::secs(300));
        world.buy(wish);
        world.settle();
        world.activate_chain();
        let contract = world.live(C)[0].id;
        world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
        for _ in 0..lost {
            let message = world.wire.pop_front().unwrap();
            world.deliver(message);
        }
        assert_eq!(world.wire.len(), 1, "message {lost} is lost");
        world.wire.clear();
        world.run(Span::secs(1800));
        assert_eq!(count(&world, C, |effect| matches!(effect, Effect::NotRenewed { .. })), 0, "message {lost}");
        assert_eq!(lives(&world), [1, 2, 2, 1], "message {lost}");
        world.check_chain();
    }
}

#[test]
fn a_relay_that_can_not_keep_a_renewal_passes_none_on() {
    for relay in [SC, SP] {
        let mut world = chain();
        traded(&mut world, 1, Mode::Direct);
        world.activate_chain();
        let contract = world.live(C)[0].id;
        world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
        // The far end has signed.
        for _ in 0..3 {
            let message = world.wire.pop_front().unwrap();
            world.deliver(message);
        }
        world.give(relay, Input::Storage { ok: false });
        let rows = world.nodes[relay].ledger.len();
        world.settle();
        assert_eq!((world.nodes[relay].ledger.len(), world.live(C)[0].renewals), (rows, 0));
        world.give(relay, Input::Storage { ok: true });
        world.run(Span::secs(30));
        assert!((0..4).all(|node| world.live(node).iter().all(|view| view.renewals == 1)), "it is asked for again");
        world.check_chain();
    }
}

#[test]
fn a_renewal_whose_answer_never_comes_is_asked_for_anew() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    let contract = world.live(C)[0].id;
    world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
    let Some(Message::Ask { request, .. }) = world.wire.pop_front() else { panic!("no RENEW") };
    world.ask(SC, id(C), request.clone());
    let asked = |world: &World| world.wire.len();
    assert_eq!(asked(&world), 1);
    // Nobody tells SC that its question is lost.
    world.now = world.now + Span::millis(5800);
    world.ask(SC, id(C), request.clone());
    assert_eq!(asked(&world), 1, "it may be answered still");
    world.now = world.now + Span::millis(200);
    world.ask(SC, id(C), request);
    assert_eq!(asked(&world), 2);
}

#[test]
fn renewals_keep_the_margin_however_many_there_are() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    let contract = world.live(C)[0].id;
    let (before, term) = (world.live(C)[0].end, world.live(C)[0].start.until(world.live(C)[0].end));
    for _ in 0..5 {
        world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
        world.settle();
        world.check_chain();
    }
    assert_eq!(world.live(P4)[0].renewals, 5);
    assert_eq!(world.live(C)[0].end, before + term.times(5));
}

#[test]
fn a_far_end_that_renews_for_less_is_not_outlived() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    let contract = world.live(C)[0].id;
    world.give(C, Input::RenewByHand { ticket: Ticket(7), contract });
    for _ in 0..2 {
        let message = world.wire.pop_front().unwrap();
        world.deliver(message);
    }
    let Some(Message::Ask { from: SP, starts, ask, request: Request::Renew(renew), .. }) = world.wire.pop_front()
    else {
        panic!("SP asks P4")
    };
    let renewal = Renewal {
        ask: renew.ask,
        price: rate("0.2EUR/h"),
        term: Span::secs(60),
        at: NOW,
        extensions: Default::default(),
    };
    let answer = Answer::Renewed(Signed::new(renewal, &signer(P4 as u8 + 1)));
    world.deliver(Message::Answer { to: SP, starts, ask, answer });
    world.settle();
    for relay in [SC, SP] {
        assert!(world.live(relay).iter().all(|view| view.renewals == 1));
        world.check_backing(relay);
    }
    let view = &world.live(C)[0];
    assert!(view.renewals == 1 && view.start.until(view.end) < Span::secs(3660));
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
