//! The relay's side: allocations of type Forwarding.

use super::*;

fn forward(number: u8) -> Input {
    Input::Forward { allocation: allocation(number), buyer: node(7), seller: node(8), resources: resources("1", "1Gi") }
}

fn bind(number: u8) -> Input {
    Input::Bind { allocation: allocation(number), contract: contract(number) }
}

fn forwarding(number: u8) -> Input {
    Input::Forwarding { allocation: allocation(number) }
}

fn close(number: u8) -> Input {
    Input::Close { allocation: allocation(number), reason: EndReason::Released }
}

/// A node that offers, and through which something passes.
fn passing() -> Node {
    let mut n = Node::offering();
    n.handle(forward(1));
    n.handle(bind(1));
    n.handle(forwarding(1));
    n
}

#[test]
fn what_is_relayed_takes_no_capacity_and_is_freed_as_soon_as_it_ends() {
    let mut n = Node::offering();
    check(&n.handle(forward(1)), "");
    assert_eq!((n.statuses(), n.left().as_str()), (vec!["Forwarding Inactive".to_owned()], "cpu 4, memory 8Gi"));
    check(&n.handle(bind(1)), "");
    check(&n.handle(forwarding(1)), "");
    assert_eq!((n.statuses(), n.left().as_str()), (vec!["Forwarding Active".to_owned()], "cpu 4, memory 8Gi"));
    let shown = n.manager.allocations().next().unwrap();
    assert_eq!((shown.contract, shown.resources), (Some(contract(1)), resources("1", "1Gi")));
    check(&n.handle(close(1)), "Freed");
    assert_eq!((n.statuses(), n.kept(Table::Allocations)), (vec!["Forwarding Released".to_owned()], 0));
    // A hold that was never bound ends likewise.
    n.handle(forward(2));
    check(&n.handle(close(2)), "Freed");
    assert_eq!(n.kept(Table::Allocations), 0);
}

#[test]
fn repeats_change_nothing() {
    let mut n = passing();
    let shown = |n: &Node| n.manager.allocations().cloned().collect::<Vec<_>>();
    let before = shown(&n);
    for input in [forward(1), bind(1), forwarding(1)] {
        assert!(n.handle(input).is_empty());
    }
    assert_eq!(shown(&n), before);
    // What is for a provider or a consumer is not for a relay.
    for input in [
        Input::Peered { allocation: allocation(1), trace: Trace::None },
        Input::Gone { allocation: allocation(1) },
        Input::Unpeered { allocation: allocation(1), refusal: rear_proto::Code::Timeout.into() },
        forwarding(9),
        bind(9),
    ] {
        assert!(n.handle(input).is_empty());
    }
    assert_eq!(shown(&n), before);
    check(&n.handle(close(1)), "Freed");
    check(&n.handle(close(1)), "Freed");
    // And what is a provider's is not a relay's.
    n.handle(reserve(3, resources("1", "1Gi"), "1EUR/h"));
    assert!(n.handle(forwarding(3)).is_empty() && n.handle(forward(3)).is_empty());
    assert_eq!(
        n.manager.living().map(|a| (a.role.name(), a.status)).collect::<Vec<_>>(),
        [("Node", crate::Status::Inactive)]
    );
}

#[test]
fn both_neighbours_are_rated_by_the_contract() {
    let mut n = passing();
    n.handle(bind(1));
    let contracts: Vec<_> = n.manager.ratings().map(|(peer, rating)| (peer, rating.contracts)).collect();
    assert_eq!(contracts, [(node(7), 1), (node(8), 1)]);
}

#[test]
fn after_a_restart_it_is_inactive_until_something_passes() {
    let mut n = passing();
    check(&n.restart(), "");
    assert_eq!(n.statuses(), ["Forwarding Inactive"]);
    check(&n.handle(bind(1)), "");
    check(&n.after(Span::secs(5)), "");
    assert_eq!(n.statuses(), ["Forwarding Inactive"]);
    check(&n.handle(forwarding(1)), "");
    assert_eq!(n.statuses(), ["Forwarding Active"]);
}

#[test]
fn what_contract_does_not_confirm_after_a_start_is_dropped() {
    for confirmed in [forward(1), bind(1), forwarding(1)] {
        let mut n = passing();
        n.handle(forward(2));
        n.restart();
        n.handle(confirmed);
        check(&n.after(Span::secs(5)), "Freed");
        let living: Vec<_> = n.manager.living().map(|allocation| allocation.id).collect();
        assert_eq!((living, n.kept(Table::Allocations)), (vec![allocation(1)], 1));
        check(&n.after(Span::secs(3600)), "");
    }
}

#[test]
fn the_operator_ends_it_through_contract() {
    // By the allocation's id, or by that of the contract.
    for id in [allocation(1).0, contract(2).0] {
        let mut n = Node::offering();
        n.handle(forward(1));
        n.handle(Input::Bind { allocation: allocation(1), contract: contract(2) });
        let out = n.handle(Input::ReleaseByHand { ticket: Ticket(4), id });
        assert!(matches!(out[..], [Effect::Evict { allocation: it }] if it == allocation(1)), "{out:?}");
        check(&n.handle(close(1)), "Freed Ok(Released)");
    }
}

#[test]
fn a_record_of_the_version_before_is_read() {
    // As it was written before a Forwarding named its seller: a Node, Inactive, in version 1.
    let mut n = Node::offering();
    n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h"));
    let kept = n.manager.living().next().unwrap().clone();
    let mut bytes = rear_proto::record::encode(&kept);
    // Of the four types all but the third are as they were.
    bytes[..2].copy_from_slice(&1u16.to_le_bytes());
    let mut manager = Manager::new(Config::default(), ME, DomainKey([3; 32]));
    manager.restore(Table::Allocations, &kept.id.0, &bytes).unwrap();
    assert_eq!(manager.living().collect::<Vec<_>>(), [&kept]);
    bytes[..2].copy_from_slice(&3u16.to_le_bytes());
    assert!(manager.restore(Table::Allocations, &kept.id.0, &bytes).is_err());
}
