//! The Network Manager at its boundary: inputs in, effects out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use kernel::{ContractId, Digest, Key, Manager as _, NodeId, Span, Ticket, Time};
use network::{Config, Effect, Input, Manager, RouterView, mail::Route};
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
        Effect::Remove { .. } => "remove".into(),
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
        (Input::Closed { contract: CONTRACT }, &["remove"]),
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

proptest! {
    /// The door admits exactly the contracts that have a router, whatever comes in whatever order, and as often.
    #[test]
    fn the_door_and_the_table_agree(steps in prop::collection::vec((0u8..5, 0u8..4), 0..60)) {
        let mut manager = Manager::new(Config::default(), signer());
        let mut door = std::collections::BTreeSet::new();
        for (what, which) in steps {
            let contract = ContractId([which; 16]);
            let input = match what {
                0 | 1 => deploy(contract, Side::Provider, &[]),
                2 => Input::Closed { contract },
                3 => send(1, contract),
                _ => heard(1, contract),
            };
            let mut out = Vec::new();
            manager.handle(Time(0), input, &mut out);
            for effect in out {
                match effect {
                    Effect::Install(route) => { door.insert(route.contract); }
                    Effect::Remove { contract } => prop_assert!(door.remove(&contract)),
                    Effect::Transmit { contract, .. } | Effect::Heard { contract, .. } => {
                        prop_assert!(door.contains(&contract));
                    }
                    Effect::Answered { .. } | Effect::Turn { .. } => prop_assert!(!door.contains(&contract)),
                    Effect::Ship { .. } | Effect::Did(..) => {}
                }
            }
            prop_assert_eq!(manager.routers().map(|router| router.contract).collect::<std::collections::BTreeSet<_>>(), door.clone());
        }
    }
}
