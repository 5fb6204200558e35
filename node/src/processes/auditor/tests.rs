//! What the auditor finds, and what it does not take for a finding.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kernel::{Quantity, Resources, Span};
use serde_json::Value;

use super::{
    super::tables::{Allocation, Contract, Flavour, Reservation, Tables},
    Auditor,
};

const BOUND: Span = Span::secs(5);

fn cores(cores: u64) -> Resources {
    Resources { cpu: Quantity::units(cores), ..Resources::default() }
}

fn contract(id: &str, buyer: &str, seller: &str, backed_by: Option<&str>) -> Contract {
    Contract {
        id: id.to_owned(),
        digest: format!("digest of {id}"),
        buyer: buyer.to_owned(),
        seller: seller.to_owned(),
        partition: Value::Null,
        price: Value::Null,
        state: "Active".to_owned(),
        backed_by: backed_by.map(|id| format!("digest of {id}")),
    }
}

fn allocation(kind: &str, contract: &str, flavour: Option<&str>) -> Allocation {
    Allocation {
        id: format!("for {contract}"),
        kind: kind.to_owned(),
        status: "Active".to_owned(),
        contract: Some(contract.to_owned()),
        flavour: flavour.map(str::to_owned),
        resources: cores(1),
    }
}

/// A consumer, a relay, and a provider with four cores, one of which the consumer has.
fn chain() -> [Tables; 3] {
    let front = contract("front", "consumer", "relay", Some("back"));
    let back = contract("back", "relay", "provider", None);
    let flavour = Flavour { id: "four".to_owned(), epoch: "1".to_owned(), base: cores(4), available: cores(3) };
    let tables = Tables { of_one_moment: true, ..Tables::default() };
    [
        Tables {
            contracts: vec![front.clone()],
            allocations: vec![allocation("VirtualNode", "front", None)],
            ..tables.clone()
        },
        Tables {
            contracts: vec![front, back.clone()],
            allocations: vec![allocation("Forwarding", "front", None)],
            ..tables.clone()
        },
        Tables {
            contracts: vec![back],
            allocations: vec![allocation("Node", "back", Some("four"))],
            flavours: vec![flavour],
            ..tables
        },
    ]
}

fn auditor() -> Auditor {
    let names = ["consumer", "relay", "provider"];
    Auditor::new(names.map(|name| (name.to_owned(), name.to_owned())), BOUND)
}

fn show(auditor: &mut Auditor, chain: &[Tables; 3], at: u64) {
    for (node, tables) in chain.iter().enumerate() {
        auditor.see(node, tables.clone(), Span::secs(at));
    }
    auditor.compare(Span::secs(at));
}

/// Shows a chain that is all right, and then one that is not, over and over; returns what is found within a moment, and
/// what only when the bound is over.
fn found(change: impl Fn(&mut [Tables; 3])) -> (Vec<String>, Vec<String>) {
    let mut auditor = auditor();
    show(&mut auditor, &chain(), 0);
    assert!(auditor.violations().is_empty(), "{:?}", auditor.violations());
    let mut lying = chain();
    change(&mut lying);
    let said = |auditor: &Auditor| -> Vec<String> {
        auditor.violations().iter().map(|it| format!("{} at {}", it.what, it.node)).collect()
    };
    show(&mut auditor, &lying, 1);
    let soon = said(&auditor);
    show(&mut auditor, &lying, 6);
    assert_eq!(said(&auditor), soon, "the bound is not over");
    show(&mut auditor, &lying, 7);
    let later = said(&auditor)[soon.len()..].to_vec();
    (soon, later)
}

#[test]
fn whoever_shows_more_than_it_has_left_is_found_at_once() {
    let (soon, _) = found(|[_, _, provider]| provider.flavours[0].available = cores(4));
    assert_eq!(soon, ["invariant 1 at provider"]);
    let (soon, _) = found(|[_, _, provider]| provider.allocations[0].resources = cores(5));
    assert_eq!(soon, ["invariant 1 at provider"]);
    let (soon, _) = found(|[_, _, provider]| {
        provider.allocations.push(allocation("Local", "none", Some("four")));
    });
    assert_eq!(soon, ["invariant 1 at provider"], "what is used here is taken, too");
}

#[test]
fn less_available_than_is_left_is_a_workload_that_is_ending() {
    let (soon, later) = found(|[_, _, provider]| provider.flavours[0].available = cores(2));
    assert!(soon.is_empty() && later.is_empty(), "{soon:?} {later:?}");
}

#[test]
fn tables_of_different_moments_are_not_held_against_each_other() {
    let (soon, _) = found(|[_, _, provider]| {
        provider.flavours[0].available = cores(4);
        provider.of_one_moment = false;
    });
    assert!(soon.is_empty(), "{soon:?}");
}

#[test]
fn a_virtual_node_without_a_far_end_is_found_when_it_stays_so() {
    for change in [
        (|provider: &mut Tables| provider.allocations[0].status = "Inactive".to_owned()) as fn(&mut Tables),
        |provider| provider.allocations.clear(),
    ] {
        let (soon, later) = found(|[_, _, provider]| change(provider));
        assert!(soon.is_empty(), "{soon:?}");
        assert_eq!(later, ["invariant 2 at consumer"]);
    }
}

#[test]
fn a_contract_that_lives_at_one_party_alone_is_found_when_it_stays_so() {
    let (soon, later) = found(|[consumer, _, _]| consumer.contracts[0].state = "Lost".to_owned());
    assert!(soon.is_empty(), "{soon:?}");
    assert_eq!(later, ["invariant 4 at relay"]);
    let (_, later) = found(|[_, relay, provider]| {
        relay.contracts.truncate(1);
        provider.allocations.clear();
    });
    assert_eq!(later, ["invariant 2 at consumer", "invariant 4 at provider"]);
}

#[test]
fn another_digest_or_other_terms_at_one_party_are_found_at_once() {
    let (soon, _) = found(|[consumer, _, _]| consumer.contracts[0].digest = "another".to_owned());
    assert_eq!(soon, ["invariant 4 at consumer"]);
    let (soon, _) = found(|[_, _, provider]| provider.contracts[0].price = Value::from(1));
    assert_eq!(soon, ["invariant 4 at provider"]);
}

#[test]
fn what_is_put_right_within_the_bound_is_not_found_and_counts_anew() {
    let mut auditor = auditor();
    let mut apart = chain();
    apart[2].allocations.clear();
    for (at, chain) in [(0, &apart), (4, &chain()), (5, &apart), (9, &apart)] {
        show(&mut auditor, chain, at);
    }
    assert!(auditor.is_waiting() && auditor.violations().is_empty(), "{:?}", auditor.violations());
    // A restart gives another lease to become active again.
    auditor.born(2);
    show(&mut auditor, &apart, 11);
    assert!(auditor.violations().is_empty(), "{:?}", auditor.violations());
}

#[test]
fn a_node_that_says_nothing_is_no_far_end_and_has_none() {
    let mut auditor = auditor();
    let chain = chain();
    show(&mut auditor, &chain, 0);
    for at in [1, 7] {
        auditor.see(0, chain[0].clone(), Span::secs(at));
        auditor.see(1, chain[1].clone(), Span::secs(at));
        auditor.silent(2);
        auditor.compare(Span::secs(at));
    }
    let said: Vec<_> = auditor.violations().iter().map(|it| format!("{} at {}", it.what, it.node)).collect();
    assert_eq!(said, ["invariant 2 at consumer", "invariant 4 at relay"]);
}

#[test]
fn what_is_held_when_all_is_quiet_is_found() {
    let quiet = |change: fn(&mut Tables)| {
        let mut auditor = auditor();
        let flavour = Flavour { id: "four".to_owned(), epoch: "1".to_owned(), base: cores(4), available: cores(4) };
        let mut tables = Tables { flavours: vec![flavour], ..Tables::default() };
        auditor.begins(2, &tables);
        change(&mut tables);
        auditor.check_quiet(2, &tables, Span::secs(9));
        auditor.violations().iter().map(|it| it.what.clone()).collect::<Vec<_>>()
    };
    assert!(quiet(|_| ()).is_empty());
    assert!(quiet(|tables| tables.flavours[0].epoch = "2".to_owned()).is_empty(), "epochs apart");
    for change in [
        (|tables: &mut Tables| tables.flavours[0].available = cores(3)) as fn(&mut Tables),
        |tables| tables.flavours[0].base = cores(5),
        |tables| tables.flavours.clear(),
        |tables| tables.contracts.push(contract("c", "a", "b", None)),
        |tables| tables.allocations.push(allocation("Node", "c", None)),
        |tables| tables.reservations.push(Reservation { id: "r".to_owned(), state: "Held".to_owned() }),
        |tables| tables.routers = 1,
    ] {
        assert!(!quiet(change).is_empty());
    }
}
