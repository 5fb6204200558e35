//! Removal, and which word of the domain holds where several are heard.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, mail::Greeting};
use kernel::{NodeId, Span};
use proptest::prelude::*;
use rear_proto::{
    Code, Extensions, Signed,
    membership::{Credentials, Descriptor, IssuerList, Revocation, Role},
    message::Hello,
};

#[test]
fn a_removed_node_is_gone_everywhere_within_a_second() {
    let mut net = Net::domain(5);
    // A chain: 1 - 2 - 3 - 5, and 4, which is to be removed, with everybody.
    for (a, b) in [(1, 3), (1, 5), (2, 5)] {
        net.disconnect(a, b);
    }
    net.pass(Span::secs(1));
    net.told.clear();
    net.remove(1, 4).unwrap();
    net.pass(Span::secs(1));
    for n in [1, 2, 3, 5] {
        assert_eq!(net.told_by(n), ["gone 4 removed"], "at {n}");
        assert!(!net.live(n).contains(&4));
    }
    net.remove(1, 4).unwrap();
    assert!(net.told.iter().all(|(n, _)| *n == 4), "again changes nothing: {:?}", net.told);
    // It says HELLO with a certificate that is good otherwise.
    let hello = net.hello_of(4);
    net.say(4, 3, Greeting::Hello(Box::new(hello)));
    assert!(!net.live(3).contains(&4));
    for n in [1, 3] {
        net.restart(n);
        assert!(!net.live(n).contains(&4), "over a restart too");
        assert!(net.told_by(n).contains(&"gone 4 removed".to_owned()), "and the transport is told again");
    }
}

#[test]
fn who_was_away_hears_of_it_later() {
    let mut net = Net::domain(3);
    net.drop_connections(3);
    net.remove(1, 2).unwrap();
    net.told.clear();
    assert_eq!(net.live(3), [1, 2]);
    net.connect(3, 1);
    assert_eq!(net.live(3), [1]);
    assert!(net.told_by(3).contains(&"gone 2 removed".to_owned()));
}

#[test]
fn a_removed_node_hears_of_it_and_can_not_come_back() {
    let mut net = Net::domain(3);
    net.pass(DAY.times(10));
    net.remove(1, 2).unwrap();
    let token = net.invite(1, Role::Node, DAY).unwrap();
    assert_eq!(net.try_join(2, 1, &token), Err(Code::NotAMember.into()));
    net.connect(1, 2);
    assert!(net.warning(2).unwrap().contains("removed"));
    assert_eq!(net.live(1), [3]);
    // Its removal is remembered until any certificate that it may have by now has ended.
    net.pass(DAY.times(29));
    assert!(net.nodes[&1].rows.keys().any(|(_, key)| key.starts_with(b"revoked/")));
    net.pass(DAY);
    assert!(net.nodes[&1].manager.members().all(|view| !view.revoked));
    assert!(!net.nodes[&1].rows.keys().any(|(_, key)| key.starts_with(b"revoked/")));
}

#[test]
fn only_an_issuer_removes_and_only_who_is_known() {
    let mut net = Net::domain(3);
    for (n, node, code) in [(2, 3, Code::NotAMember), (1, 1, Code::Malformed), (1, 9, Code::NotFound)] {
        assert_eq!(net.remove(n, node).unwrap_err().code(), code, "{n} removes {node}");
    }
    assert_eq!((net.live(1), net.live(2)), (vec![2, 3], vec![1, 3]));
}

fn list(number: u64, issuers: &[u8]) -> Signed<IssuerList> {
    let key = kernel::DomainKey(domain_signer("alpha").id().0);
    let list = IssuerList {
        domain: rear_proto::flavour::Domain { key, name: "alpha".to_owned() },
        number,
        issuers: issuers.iter().map(|n| id(*n)).collect(),
        expires: START + DAY.times(3650),
        extensions: Extensions::new(),
    };
    Signed::new(list, &domain_signer("alpha"))
}

fn descriptor(by: u8, list: u64, sequence: u64, revoked: &[(u8, u64)]) -> Signed<Descriptor> {
    let descriptor = Descriptor {
        domain: kernel::DomainKey(domain_signer("alpha").id().0),
        list,
        sequence,
        issuer: id(by),
        supernodes: Vec::new(),
        revoked: revoked.iter().map(|(n, days)| Revocation { node: id(*n), until: START + DAY.times(*days) }).collect(),
        expires: START + DAY.times(30),
        extensions: Extensions::new(),
    };
    Signed::new(descriptor, &signer(by))
}

/// Somebody brings a list of issuers.
fn told(net: &mut Net, n: u8, list: Signed<IssuerList>) {
    let own = net.nodes[&n].manager.credentials().unwrap();
    let credentials = Some(Credentials { list, certificate: own.certificate });
    let hello = Hello { credentials, descriptor: None, addresses: vec![], now: net.now, extensions: Extensions::new() };
    net.say(99, n, Greeting::Hello(Box::new(travelled(&hello))));
}

/// A node brings a description, with the proof of membership of another, or its own.
fn described(net: &mut Net, n: u8, from: u8, proof: Option<u8>, descriptor: Signed<Descriptor>) {
    let credentials = proof.and_then(|whose| net.nodes[&whose].manager.credentials());
    let (descriptor, extensions) = (Some(descriptor), Extensions::new());
    let hello = Hello { credentials, descriptor, addresses: vec![], now: net.now, extensions };
    net.say(from, n, Greeting::Hello(Box::new(travelled(&hello))));
}

#[test]
fn a_newer_list_of_issuers_holds_whoever_brings_it() {
    let mut net = Net::domain(4);
    // Nodes 3 and 4 are connected; the list makes 2 an issuer beside 1.
    told(&mut net, 3, list(2, &[1, 2]));
    net.pass(Span::secs(1));
    for n in 1..=4 {
        assert_eq!(net.nodes[&n].manager.status(net.now).unwrap().list, 2, "at {n}");
    }
    net.join(5, 2, Role::Node, Config::default());
    net.connect(5, 4);
    assert_eq!(net.live(4), [1, 2, 3, 5]);
    net.remove(2, 3).unwrap();
    assert_eq!(net.live(4), [1, 2, 5]);
    // The next drops 1: what it has certified proves nothing any longer.
    net.told.clear();
    told(&mut net, 4, list(3, &[2]));
    assert_eq!(net.live(4), [5]);
    assert!(net.told_by(4).contains(&"gone 2".to_owned()));
    assert!(net.warning(4).unwrap().contains("no longer an issuer"));
    // An older one changes nothing, nor one of another's making.
    told(&mut net, 4, list(2, &[1, 2]));
    let forged = Signed::new(list(9, &[4]).claimed().cloned().unwrap(), &signer(4));
    told(&mut net, 4, forged);
    let ended = IssuerList { expires: net.now, ..list(9, &[1]).claimed().cloned().unwrap() };
    told(&mut net, 4, Signed::new(ended, &domain_signer("alpha")));
    assert_eq!(net.nodes[&4].manager.status(net.now).unwrap().list, 3);
}

#[test]
fn a_description_holds_only_from_an_issuer_on_the_list() {
    for (what, heard, expected) in [
        ("by the issuer", descriptor(1, 1, 9, &[(3, 10)]), vec![1]),
        ("by a member", descriptor(3, 1, 9, &[(1, 10)]), vec![1, 3]),
        ("by a list that is not known", descriptor(1, 2, 9, &[(3, 10)]), vec![1, 3]),
        ("older, but its removals hold", descriptor(1, 1, 0, &[(3, 10)]), vec![1]),
        ("of a removal that is over", descriptor(1, 1, 9, &[(3, 0)]), vec![1, 3]),
        (
            "in the issuer's name",
            { Signed::new(descriptor(1, 1, 9, &[(3, 10)]).claimed().cloned().unwrap(), &signer(3)) },
            vec![1, 3],
        ),
    ] {
        let mut net = Net::domain(3);
        net.disconnect(1, 2);
        described(&mut net, 2, 3, Some(3), heard);
        assert_eq!(net.live(2), expected, "{what}");
    }
}

#[test]
fn a_description_is_heard_from_whoever_is_certified_and_from_nobody_else() {
    for (what, from, proof, expected) in [
        ("a stranger without proof", 99, None, vec![1, 3]),
        ("a stranger with a member's proof", 99, Some(3), vec![1, 3]),
        ("a member without proof", 3, None, vec![1, 3]),
        ("a member", 3, Some(3), vec![3]),
        ("a member that was removed", 1, Some(1), vec![3]),
    ] {
        let mut net = Net::domain(3);
        net.disconnect(1, 2);
        if from == 1 {
            described(&mut net, 2, 3, Some(3), descriptor(1, 1, 0, &[(1, 20)]));
        }
        described(&mut net, 2, from, proof, descriptor(1, 1, 9, &[(1, 10)]));
        assert_eq!(net.live(2), expected, "{what}");
        let sequence = net.nodes[&2].manager.status(net.now).unwrap().sequence;
        assert_eq!(sequence == Some(9), expected == [3], "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever two issuers remove, whoever hears it first, and whichever messages are lost on the way: when all
    /// have talked again they believe the same.
    #[test]
    fn all_come_to_believe_the_same(steps in prop::collection::vec((0..6u8, 1..7u8, 1..7u8), 1..25)) {
        let mut net = net();
        net.found(1, "alpha", Config::default());
        for n in 2..=6 {
            net.join(n, 1, Role::Node, Config::default());
        }
        for a in 1..=6 {
            for b in a + 1..=6 {
                net.connect(a, b);
            }
        }
        told(&mut net, 1, list(2, &[1, 2]));
        net.pass(Span::secs(1));
        for (what, a, b) in steps {
            match what {
                0 => { let _ = net.remove(1, b); }
                1 => { let _ = net.remove(2, b); }
                2 => { net.cut.insert((a.min(b), a.max(b))); }
                3 => net.disconnect(a, b),
                4 => net.connect(a, b),
                _ => net.restart(a),
            }
            net.pass(Span::millis(100));
        }
        net.cut.clear();
        for a in 1..=6 {
            for b in a + 1..=6 {
                net.disconnect(a, b);
                net.connect(a, b);
            }
        }
        net.pass(Span::secs(120));
        let believed = |n: u8| -> Vec<(NodeId, Vec<u8>)> {
            let removals = net.nodes[&n].rows.iter().filter_map(|((_, key), value)| {
                let node = key.strip_prefix(b"revoked/")?.try_into().unwrap();
                Some((NodeId(node), value.clone()))
            });
            removals.collect()
        };
        // Who was removed is not talked to, so it is of those that are left that it must hold.
        let removed = believed(1).into_iter().chain(believed(2)).map(|(node, _)| node).collect::<Vec<_>>();
        let left: Vec<u8> = (1..=6).filter(|n| !removed.contains(&id(*n))).collect();
        for n in &left {
            prop_assert_eq!(believed(*n), believed(left[0]));
            let sequences = net.nodes[n].manager.status(net.now).unwrap().sequence;
            prop_assert_eq!(sequences, net.nodes[&left[0]].manager.status(net.now).unwrap().sequence);
            let others: Vec<u8> = left.iter().copied().filter(|m| m != n).collect();
            prop_assert_eq!(net.live(*n), others);
        }
    }
}
