//! How members who have never heard of each other meet.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, Effect, Input, mail::Greeting};
use kernel::{Manager as _, Span};
use rear_proto::{Answer, Extensions, Request, flavour::Party, membership::Role, message::Hello, wire::codec};

#[test]
fn two_who_joined_before_either_ran_meet_by_their_issuer() {
    let mut net = net();
    net.found(1, "alpha", Config::default());
    for n in [2, 3] {
        net.join(n, 1, Role::Node, Config::default());
    }
    net.connect(1, 2);
    assert!(!net.told_by(2).contains(&"keep 3".to_owned()), "where 3 is nobody knows yet");
    net.connect(1, 3);
    assert!(net.told_by(3).contains(&"keep 2".to_owned()));
    assert_eq!(net.live(3), [1, 2]);
    net.connect(2, 3);
    assert_eq!(net.told_by(2).last().unwrap(), "keep 3");
    // Known over a restart, and admitted at once by whoever has been told.
    net.restart(3);
    assert_eq!(net.live(3), [1, 2]);
}

#[test]
fn a_whole_domain_meets_though_each_dials_its_issuer_first() {
    let mut net = net();
    let config = || Config { keep_connected: 64, ..Config::default() };
    net.found(1, "alpha", config());
    for n in 2..=24 {
        net.join(n, 1, Role::Node, config());
    }
    // Whom a node wishes to keep connected it dials.
    for n in 2..=24 {
        net.connect(1, n);
    }
    for _ in 0..4 {
        for (n, told) in std::mem::take(&mut net.told) {
            if let Some(other) = told.strip_prefix("keep ") {
                net.connect(n, other.parse().unwrap());
            }
        }
        net.pass(Span::secs(1));
    }
    for n in 1..=24 {
        let met = net.connected.iter().filter(|(a, b)| *a == n || *b == n).count();
        assert!(met >= 20, "{n} has met {met}");
    }
}

/// The node hears that another is connected, and the other does not yet.
fn half_connect(net: &mut Net, n: u8, other: u8) {
    net.connected.insert((n.min(other), n.max(other)));
    net.feed(n, Input::PeerUp { party: Party { node: id(other), addresses: vec![] } });
}

/// A node says HELLO to all members again.
fn spread(net: &mut Net, n: u8) {
    net.pass(Span::secs(60));
    net.feed(n, Input::Addresses(vec!["/ip4/1.2.3.4/tcp/7".to_owned()]));
}

#[test]
fn who_can_only_dial_out_is_told_of_those_who_come_later() {
    let mut net = Net::domain(3);
    net.join(4, 1, Role::Node, Config::default());
    net.feed(4, Input::Addresses(vec![]));
    net.connect(1, 4);
    net.join(5, 1, Role::Node, Config::default());
    net.connect(1, 5);
    assert!(!net.told_by(5).contains(&"keep 4".to_owned()));
    spread(&mut net, 1);
    assert!(net.told_by(4).contains(&"keep 5".to_owned()));
}

#[test]
fn who_did_not_hear_the_answer_to_its_hello_is_told_again() {
    let mut net = Net::domain(2);
    net.disconnect(1, 2);
    net.join(3, 1, Role::Node, Config::default());
    net.connect(1, 3);
    net.told.clear();
    net.cut.insert((1, 2));
    half_connect(&mut net, 1, 2);
    net.cut.clear();
    net.mute.insert((1, 2));
    half_connect(&mut net, 2, 1);
    net.mute.clear();
    assert_eq!(net.live(2), [1]);
    net.pass(Span::secs(60));
    assert_eq!(net.live(2), [1, 3]);
}

#[test]
fn whom_a_hello_under_way_tells_of_the_next_one_tells_of_too() {
    let mut net = Net::domain(3);
    net.disconnect(1, 2);
    net.pass(Span::secs(60));
    let (now, mut out) = (net.now, Vec::new());
    let manager = &mut net.nodes.get_mut(&1).unwrap().manager;
    manager.handle(now, Input::PeerUp { party: party(2) }, &mut out);
    manager.handle(now, Input::Addresses(addresses(7)), &mut out);
    let told: Vec<bool> = out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Ask { to, request: Request::Hello(hello), .. } if to.node == id(2) => Some(hello),
            _ => None,
        })
        .map(|hello| hello.extensions.contains_key(&1))
        .collect();
    assert_eq!(told, [true, true]);
}

#[test]
fn strangers_are_told_of_nobody() {
    let mut net = Net::domain(3);
    net.found(9, "beta", Config::default());
    for (n, expected) in [(9, false), (2, true)] {
        let hello = net.hello_of(n);
        let Answer::Hello(answer) = net.say(n, 1, Greeting::Hello(Box::new(hello))) else { panic!("refused") };
        assert_eq!(!answer.extensions.is_empty(), expected, "{n}");
        assert!(answer.extensions.values().all(|bytes| bytes.len() <= rear_proto::door::MAX_EXTENSION));
    }
}

#[test]
fn only_the_proven_are_believed_to_be_members() {
    let mut net = Net::domain(2);
    net.found(9, "beta", Config::default());
    net.told.clear();
    let foreign = (net.nodes[&9].manager.credentials().unwrap().certificate, addresses(9));
    let mut stranger = net.nodes[&1].manager.credentials().unwrap().certificate.claimed().cloned().unwrap();
    stranger.node = id(7);
    let forged = (rear_proto::Signed::new(stranger, &signer(2)), addresses(7));
    let own = (net.nodes[&1].manager.credentials().unwrap().certificate, addresses(8));
    let known = (net.nodes[&2].manager.credentials().unwrap().certificate, addresses(8));
    let told = codec::encode(&vec![foreign, forged, own, known]);
    for bytes in [told, vec![0xff; 100], vec![]] {
        let hello = Hello { extensions: Extensions::from([(1, bytes)]), ..net.hello_of(2) };
        net.say(2, 1, Greeting::Hello(Box::new(hello)));
    }
    assert_eq!(net.live(1), [2]);
    let view = net.nodes[&1].manager.members().next().unwrap();
    assert_eq!(view.addresses, addresses(2), "where a node is it says itself");
    assert!(net.told.is_empty(), "{:?}", net.told);
}

#[test]
fn a_removed_member_is_passed_on_by_nobody_and_taken_by_nobody() {
    let mut net = Net::domain(4);
    let certificate = net.nodes[&3].manager.credentials().unwrap().certificate;
    net.remove(1, 3).unwrap();
    net.pass(Span::secs(1));
    net.told.clear();
    let told = codec::encode(&vec![(certificate, addresses(3))]);
    let hello = Hello { extensions: Extensions::from([(1, told)]), ..net.hello_of(2) };
    net.say(2, 1, Greeting::Hello(Box::new(hello)));
    assert_eq!((net.live(1), net.told_by(1)), (vec![2, 4], vec![]));
    net.join(5, 1, Role::Node, Config::default());
    net.connect(1, 5);
    assert_eq!(net.live(5), [1, 2, 4]);
}

#[test]
fn settings_of_no_time_at_all_keep_nobody_awake() {
    let none = Config {
        certificate_life: Span::ZERO,
        descriptor_life: Span::ZERO,
        hello_retry: Span::ZERO,
        spread_every: Span::ZERO,
        renew_retry: Span::ZERO,
        hello_deadline: Span::ZERO,
        rate_window: Span::ZERO,
        ..Config::default()
    };
    let mut net = net();
    net.found(1, "alpha", none.clone());
    net.pass(Span::millis(50));
    // And where the list itself is over.
    net.found(2, "beta", Config { list_life: Span::secs(1), ..Config::default() });
    net.found(3, "gamma", none);
    net.cut.insert((1, 3));
    net.connect(1, 3);
    net.pass(Span::millis(50));
    net.pass(Span::secs(2));
    assert!(net.warning(2).unwrap().contains("list of issuers"));
    net.feed(2, Input::Addresses(addresses(2)));
}
