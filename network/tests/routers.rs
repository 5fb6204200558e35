//! The Network Manager at its boundary: inputs in, effects out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use kernel::{ContractId, Digest, Key, Manager as _, NodeId, Span, Ticket, Time};
use network::{
    Config, Effect, Input, Manager, RouterView,
    mail::{Junction, Route},
};
use proptest::prelude::*;
use rear_proto::{
    Code, Deed, Refusal, Signer, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    flavour::Party,
    local::Side,
    tunnel,
};

const CONTRACT: ContractId = ContractId([1; 16]);
const OTHER: ContractId = ContractId([2; 16]);
const PEER: NodeId = NodeId([9; 32]);
const KEY: Key = Key([5; 16]);

fn signer() -> Signer {
    Signer::from_secret(&[7; 32])
}

fn deploy(contract: ContractId, side: Side, addresses: &[&str]) -> Input {
    let peer = Party { node: PEER, addresses: addresses.iter().map(|&text| text.to_owned()).collect() };
    Input::Deploy { contract, side, peer, key: KEY, remote_key: [3; 32], trace: Trace::Own(1) }
}

fn ask() -> Box<FabricAsk> {
    Box::new(FabricAsk { request: FabricRequest::Close, tell: false, extensions: BTreeMap::new() })
}

fn reply() -> FabricReply {
    FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: BTreeMap::new() }
}

/// One word for each effect, enough to tell them apart.
fn word(effect: &Effect) -> String {
    match effect {
        Effect::Install(Route { peer, .. }) => format!("install {}", peer.addresses.join(",")),
        Effect::Join(Junction { buyer, seller, .. }) => {
            format!("join {} {}", buyer.addresses.join(","), seller.addresses.join(","))
        }
        Effect::Opened { contract } => format!("opened {}", contract.0[0]),
        Effect::Remove { contract } => format!("remove {}", contract.0[0]),
        Effect::Transmit { id, .. } => format!("transmit {id}"),
        Effect::Ship { id, .. } => format!("ship {id}"),
        Effect::Heard { ticket, peer, .. } => format!("heard {} from {}", ticket.0, peer.short()),
        Effect::Answered { id, reply: Ok(_) } => format!("answered {id}"),
        Effect::Answered { id, reply: Err(refusal) } => format!("answered {id} {}", refusal.code()),
        Effect::Turn { ticket, refusal } => format!("turn {} {}", ticket.0, refusal.code()),
        Effect::Did(Trace::Own(1), deed) => format!("{deed:?}"),
        Effect::Did(trace, deed) => format!("{deed:?} in {trace:?}"),
    }
}

fn check(story: &[(Input, &[&str])]) -> Manager {
    let mut manager = Manager::new(Config::default(), signer());
    for (input, expected) in story {
        let mut out = Vec::new();
        manager.handle(Time(0), input.clone(), &mut out);
        assert_eq!(out.iter().map(word).collect::<Vec<_>>(), *expected, "after {input:?}");
    }
    manager
}

fn send(id: u64, contract: ContractId) -> Input {
    Input::Send { id, contract, ask: ask(), deadline: Span::secs(1) }
}

fn ship(id: u64, contract: ContractId) -> Input {
    Input::Ship { id, contract, digest: Digest([0; 32]) }
}

fn heard(ticket: u64, contract: ContractId) -> Input {
    Input::Heard { ticket: Ticket(ticket), contract, ask: ask(), trace: Trace::Served(ticket) }
}

#[test]
fn each_side_records_its_own_deed_once() {
    check(&[
        (deploy(CONTRACT, Side::Consumer, &[]), &["BuyerRouterDeployed", "install "]),
        (deploy(CONTRACT, Side::Consumer, &[]), &[]),
    ]);
    check(&[
        (deploy(CONTRACT, Side::Provider, &[]), &["SellerRouterDeployed", "install "]),
        (deploy(CONTRACT, Side::Provider, &[]), &[]),
    ]);
}

#[test]
fn new_addresses_of_a_peer_reach_the_door_without_another_deed() {
    check(&[
        (deploy(CONTRACT, Side::Consumer, &["a"]), &["BuyerRouterDeployed", "install a"]),
        (deploy(CONTRACT, Side::Consumer, &["b"]), &["install b"]),
    ]);
}

#[test]
fn the_route_has_the_secret_that_the_order_endorses() {
    let mut manager = Manager::new(Config::default(), signer());
    let mut out = Vec::new();
    manager.handle(Time(0), deploy(CONTRACT, Side::Consumer, &[]), &mut out);
    let [Effect::Did(_, Deed::BuyerRouterDeployed), Effect::Install(route)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(route.secret, tunnel::secret(&signer(), &KEY));
    assert!(!format!("{route:?}").contains("secret"), "a secret must not be printed: {route:?}");
}

#[test]
fn only_a_live_contract_lets_anything_pass() {
    check(&[
        (send(1, CONTRACT), &["answered 1 Closed"]),
        (ship(2, CONTRACT), &["answered 2 Closed"]),
        (heard(3, CONTRACT), &["turn 3 Closed"]),
        (Input::Closed { contract: CONTRACT }, &[]),
        (deploy(CONTRACT, Side::Consumer, &[]), &["BuyerRouterDeployed", "install "]),
        (send(4, CONTRACT), &["transmit 4"]),
        (ship(5, CONTRACT), &["ship 5"]),
        (heard(6, CONTRACT), &[&format!("heard 6 from {}", PEER.short())]),
        (send(7, OTHER), &["answered 7 Closed"]),
        (heard(8, OTHER), &["turn 8 Closed"]),
        (Input::Closed { contract: CONTRACT }, &["remove 1"]),
        (Input::Closed { contract: CONTRACT }, &[]),
        (send(9, CONTRACT), &["answered 9 Closed"]),
    ]);
}

#[test]
fn answers_pass_through_whatever_has_become_of_the_router() {
    let silence = Err(Refusal::from(Code::Timeout));
    check(&[
        (Input::Answered { id: 1, reply: Ok(reply()) }, &["answered 1"]),
        (Input::Answered { id: 2, reply: silence }, &["answered 2 Timeout"]),
    ]);
}

#[test]
fn the_table_shows_neighbours_and_what_went_through() {
    let metered = |contract, up, down| Input::Metered { contract, up, down, streams: 2 };
    let manager = check(&[
        (deploy(CONTRACT, Side::Consumer, &[]), &["BuyerRouterDeployed", "install "]),
        (deploy(OTHER, Side::Provider, &[]), &["SellerRouterDeployed", "install "]),
        (metered(CONTRACT, 10, 20), &[]),
        (metered(CONTRACT, 1, u64::MAX), &[]),
        (metered(ContractId([3; 16]), 1, 1), &[]),
    ]);
    let row = |contract, towards_consumer, towards_provider, streams, bytes_up, bytes_down| RouterView {
        contract,
        backed_by: None,
        towards_consumer,
        towards_provider,
        streams,
        bytes_up,
        bytes_down,
    };
    assert_eq!(
        manager.routers().collect::<Vec<_>>(),
        [row(CONTRACT, None, Some(PEER), 2, 11, u64::MAX), row(OTHER, Some(PEER), None, 0, 0, 0)]
    );
}

const SELLER: NodeId = NodeId([8; 32]);
const THIRD: ContractId = ContractId([3; 16]);

fn join(front: ContractId, back: ContractId, addresses: [&str; 2]) -> Input {
    let party = |node, address: &str| Party { node, addresses: vec![address.to_owned()] };
    let [buyer, seller] = addresses;
    Input::Join { front, buyer: party(PEER, buyer), back, seller: party(SELLER, seller), trace: Trace::Own(1) }
}

fn metered(contract: ContractId, up: u64, down: u64) -> Input {
    Input::Metered { contract, up, down, streams: 1 }
}

fn closed(contract: ContractId) -> Input {
    Input::Closed { contract }
}

#[test]
fn two_contracts_are_joined_by_one_router_with_one_deed() {
    let manager = check(&[
        (join(CONTRACT, OTHER, ["a", "b"]), &["SellerRouterDeployed", "join a b"]),
        (join(CONTRACT, OTHER, ["a", "b"]), &[]),
        (join(CONTRACT, OTHER, ["a", "c"]), &["join a c"]),
        (join(CONTRACT, OTHER, ["d", "c"]), &["join d c"]),
        (Input::Metered { contract: CONTRACT, up: 10, down: 0, streams: 2 }, &[]),
    ]);
    let row = RouterView {
        contract: CONTRACT,
        backed_by: Some(OTHER),
        towards_consumer: Some(PEER),
        towards_provider: Some(SELLER),
        streams: 2,
        bytes_up: 10,
        bytes_down: 0,
    };
    assert_eq!(manager.routers().collect::<Vec<_>>(), [row]);
}

#[test]
fn the_end_of_either_contract_removes_both() {
    for first in [CONTRACT, OTHER] {
        let manager = check(&[
            (join(CONTRACT, OTHER, ["a", "b"]), &["SellerRouterDeployed", "join a b"]),
            (closed(first), &["remove 1", "remove 2"]),
            (closed(CONTRACT), &[]),
            (closed(OTHER), &[]),
            (join(CONTRACT, OTHER, ["a", "b"]), &["SellerRouterDeployed", "join a b"]),
        ]);
        assert_eq!(manager.routers().count(), 1);
    }
}

#[test]
fn a_relay_says_and_hears_nothing_in_the_channel() {
    check(&[
        (join(CONTRACT, OTHER, ["a", "b"]), &["SellerRouterDeployed", "join a b"]),
        (send(1, CONTRACT), &["answered 1 Closed"]),
        (send(2, OTHER), &["answered 2 Closed"]),
        (ship(3, CONTRACT), &["answered 3 Closed"]),
        (ship(4, OTHER), &["answered 4 Closed"]),
        (heard(5, CONTRACT), &["turn 5 Closed"]),
        (heard(6, OTHER), &["turn 6 Closed"]),
    ]);
}

#[test]
fn the_first_bytes_both_ways_are_told_once_in_a_deployment() {
    let joined: (Input, &[&str]) = (join(CONTRACT, OTHER, ["a", "b"]), &["SellerRouterDeployed", "join a b"]);
    check(&[
        joined.clone(),
        (metered(CONTRACT, 0, 0), &[]),
        (metered(CONTRACT, 70, 0), &[]),
        (metered(CONTRACT, 70, 0), &[]),
        (metered(OTHER, 0, 48), &[]),
        // The answer may come in a later report than what it answers.
        (metered(CONTRACT, 0, 48), &["opened 1"]),
        (metered(CONTRACT, 5, 5), &[]),
        (join(CONTRACT, OTHER, ["c", "d"]), &["join c d"]),
        (metered(CONTRACT, u64::MAX, u64::MAX), &[]),
        (closed(OTHER), &["remove 1", "remove 2"]),
        (metered(CONTRACT, 5, 5), &[]),
        joined,
        (metered(CONTRACT, 5, 5), &["opened 1"]),
    ]);
    // An end knows by itself.
    check(&[
        (deploy(CONTRACT, Side::Provider, &[]), &["SellerRouterDeployed", "install "]),
        (metered(CONTRACT, 5, 5), &[]),
    ]);
}

#[test]
fn a_contract_has_one_router() {
    check(&[
        (join(CONTRACT, CONTRACT, ["a", "b"]), &[]),
        (join(CONTRACT, OTHER, ["a", "b"]), &["SellerRouterDeployed", "join a b"]),
        (deploy(OTHER, Side::Consumer, &[]), &["remove 1", "remove 2", "BuyerRouterDeployed", "install "]),
        (join(CONTRACT, OTHER, ["a", "b"]), &["remove 2", "SellerRouterDeployed", "join a b"]),
        (join(THIRD, OTHER, ["a", "b"]), &["remove 1", "remove 2", "SellerRouterDeployed", "join a b"]),
        (join(OTHER, CONTRACT, ["a", "b"]), &["remove 3", "remove 2", "SellerRouterDeployed", "join a b"]),
        (join(CONTRACT, OTHER, ["a", "b"]), &["remove 2", "remove 1", "SellerRouterDeployed", "join a b"]),
        (closed(THIRD), &[]),
    ]);
}

proptest! {
    /// The door admits exactly the contracts that have a router, whatever comes in whatever order, and as often.
    #[test]
    fn the_door_and_the_table_agree(steps in prop::collection::vec((0u8..7, 0u8..4, 0u8..4), 0..60)) {
        let mut manager = Manager::new(Config::default(), signer());
        let (mut door, mut joined) = (BTreeSet::new(), BTreeMap::new());
        for (what, which, other) in steps {
            let contract = ContractId([which; 16]);
            let input = match what {
                0 | 1 => deploy(contract, Side::Provider, &[]),
                2 => Input::Closed { contract },
                3 => send(1, contract),
                4 => join(contract, ContractId([other; 16]), ["a", "b"]),
                5 => metered(contract, 1, 1),
                _ => heard(1, contract),
            };
            let mut out = Vec::new();
            manager.handle(Time(0), input, &mut out);
            for effect in out {
                match effect {
                    Effect::Install(route) => { door.insert(route.contract); }
                    Effect::Join(Junction { front, back, .. }) => { joined.insert(front, back); joined.insert(back, front); }
                    Effect::Remove { contract } => {
                        prop_assert!(door.remove(&contract) ^ joined.remove(&contract).is_some());
                    }
                    Effect::Opened { contract } => prop_assert!(joined.contains_key(&contract)),
                    Effect::Transmit { contract, .. } | Effect::Heard { contract, .. } => {
                        prop_assert!(door.contains(&contract));
                    }
                    Effect::Answered { .. } | Effect::Turn { .. } => prop_assert!(!door.contains(&contract)),
                    Effect::Ship { .. } | Effect::Did(..) => {}
                }
            }
            let (mut ends, mut relays) = (BTreeSet::new(), BTreeMap::new());
            for RouterView { contract, backed_by, .. } in manager.routers() {
                match backed_by {
                    None => { ends.insert(contract); }
                    Some(back) => { relays.insert(contract, back); relays.insert(back, contract); }
                }
            }
            prop_assert_eq!(&ends, &door);
            prop_assert_eq!(&relays, &joined);
        }
    }
}
