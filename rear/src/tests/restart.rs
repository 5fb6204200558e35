//! What is left after a restart, and who gets it.

use super::*;
use rear_proto::Code;

fn restored(key: Key) -> Input {
    Input::Restored { key, contract: bought(1, node(2)) }
}

fn adopt() -> Input {
    Input::AdoptRemote { request: request(5), contract: contract(1), origin: ORIGIN }
}

/// A node that has died with a virtual node in use, and the order's key.
fn died() -> (Node, Key) {
    let mut n = Node::new(Config::default());
    n.handle(acquire("cpu>=1, memory>=1Gi", Mode::Direct));
    let key = started(&n.handle(Input::Found { request: request(1), candidates: vec![candidate(2)] })).key;
    n.handle(Input::Signed { request: request(1), key, contract: bought(1, node(2)), trace: OWN });
    n.handle(Input::Peered { allocation: allocation(1), trace: OWN });
    n.restart();
    assert_eq!(n.statuses(), ["VirtualNode Inactive"]);
    (n, key)
}

#[test]
fn what_was_granted_goes_on_taking_capacity_inactive() {
    let mut n = Node::offering();
    n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h"));
    n.handle(Input::Bind { allocation: allocation(1), contract: contract(1) });
    n.handle(Input::Peered { allocation: allocation(1), trace: Trace::None });
    let epoch = n.manager.flavours().next().unwrap().epoch;
    let out = n.restart();
    assert!(out.iter().any(|e| matches!(e, Effect::OwnChanged(f) if f.epoch > epoch)));
    assert_eq!((n.statuses(), n.left().as_str()), (vec!["Node Inactive".to_owned()], "cpu 3, memory 7Gi"));
    check(
        &n.handle(Input::Peered { allocation: allocation(1), trace: Trace::Served(1) }),
        "ProviderActivated Activated",
    );
    n.after(Span::secs(60));
    assert_eq!(n.left(), "cpu 3, memory 7Gi");
}

#[test]
fn what_was_released_is_free_after_the_sweep_of_a_start() {
    let mut n = Node::offering();
    n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h"));
    n.handle(Input::Bind { allocation: allocation(1), contract: contract(1) });
    n.handle(Input::Close { allocation: allocation(1), reason: EndReason::Released });
    check(&n.restart(), "Freed");
    assert_eq!((n.left().as_str(), n.kept(Table::Allocations)), ("cpu 4, memory 8Gi", 0));
}

#[test]
fn an_adopted_virtual_node_is_peered_again_whatever_comes_first() {
    let (mut n, key) = died();
    check(&n.handle(restored(key)), "");
    check(&n.handle(adopt()), "Peer");
    check(&n.handle(Input::Peered { allocation: allocation(1), trace: Trace::None }), "Ready");
    check(&n.after(Span::secs(60)), "");

    let (mut n, key) = died();
    check(&n.handle(adopt()), "");
    check(&n.handle(restored(key)), "Peer");
    check(&n.handle(Input::Peered { allocation: allocation(1), trace: Trace::None }), "Ready");
    check(&n.handle(Input::Release { request: request(5) }), "End(Released)");
    let ended = Input::Ended { key, allocation: allocation(1), reason: EndReason::Released };
    check(&n.handle(ended), "Released");
}

#[test]
fn an_adopted_virtual_node_that_can_not_be_peered_has_ended() {
    let (mut n, key) = died();
    n.handle(restored(key));
    n.handle(adopt());
    let refusal = Refusal::new(Code::Timeout, "the far end said nothing");
    check(&n.handle(Input::Unpeered { allocation: allocation(1), refusal }), "End(Lost) Ended(Lost)");
}

#[test]
fn what_no_contract_confirms_is_dropped() {
    let (mut n, _) = died();
    check(&n.handle(adopt()), "");
    check(&n.after(Span::secs(5)), "Ended(Forgotten)");
    assert_eq!((n.kept(Table::Allocations), n.manager.pending()), (0, 0));
    check(&n.handle(adopt()), "Ended(Forgotten)");
}

#[test]
fn what_no_intent_claims_is_given_back() {
    let (mut n, key) = died();
    n.handle(restored(key));
    check(&n.after(Span::secs(5)), "End(Released)");
    check(&n.handle(Input::Ended { key, allocation: allocation(1), reason: EndReason::Released }), "");
    assert_eq!(n.kept(Table::Allocations), 0);

    let mut n = Node::offering();
    n.handle(look_up(1, "cpu>=1"));
    let local = n.manager.allocations().next().unwrap().id;
    n.restart();
    check(&n.after(Span::secs(5)), "Clear");
    check(&n.handle(Input::Gone { allocation: local }), "");
    assert_eq!(n.left(), "cpu 4, memory 8Gi");
}

#[test]
fn what_was_made_by_hand_stays() {
    let mut n = Node::new(Config::default());
    let reserve = Input::ReserveByHand {
        ticket: Ticket(1),
        flavour: candidate(2).flavour.id,
        provider: None,
        need: resources("1", "1Gi"),
        exactly: false,
        mode: Mode::Direct,
        term: Span::secs(600),
        activate_within: Span::secs(60),
        key: ORIGIN,
    };
    let out = n.handle(reserve);
    let [Effect::Find { request, .. }] = out[..] else { panic!("{out:?}") };
    n.handle(Input::Found { request, candidates: vec![candidate(2)] });
    n.handle(Input::Signed { request, key: ORIGIN, contract: bought(1, node(2)), trace: Trace::None });
    n.restart();
    n.handle(restored(ORIGIN));
    check(&n.after(Span::secs(5)), "");
    assert_eq!(n.statuses(), ["VirtualNode Inactive"]);
}

#[test]
fn a_local_use_is_adopted_by_its_own_request_alone() {
    let mut n = Node::offering();
    n.handle(look_up(1, "cpu>=1"));
    let local = n.manager.allocations().next().unwrap().id;
    n.restart();
    let adopt = |origin| Input::AdoptLocal { request: request(5), allocation: local, origin };
    check(&n.handle(adopt(Key([66; 16]))), "Ended(Forgotten)");
    check(&n.handle(adopt(Key([1; 16]))), "LookedUp(here)");
    check(&n.after(Span::secs(5)), "");
    assert_eq!(n.left(), "cpu 3, memory 8Gi");
}

#[test]
fn the_configuration_decides_what_it_offers() {
    let mut n = Node::new(Config { offers: vec![offer("edge"), offer("core")], ..Config::default() });
    n.config.offers.remove(0);
    n.config.offers[0].base = resources("2", "2Gi");
    check(&n.restart(), "OwnGone");
    assert_eq!((n.left().as_str(), n.kept(Table::Flavours)), ("cpu 2, memory 2Gi", 1));
}

#[test]
fn a_record_that_can_not_be_read_is_an_error() {
    let mut manager = Manager::new(Config::default(), ME, DomainKey([3; 32]));
    assert!(manager.restore(Table::Allocations, &[1; 16], &[9, 9, 9]).is_err());
    assert!(manager.restore(Table::Flavours, &[1; 3], &[1, 0]).is_err());
    assert!(manager.restore(Table::Contracts, &[1; 16], &[1, 0]).is_err());
}
