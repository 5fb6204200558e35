//! HELLO across borders: whom of a partner a supernode lets in, catalogues and their visitors, and how news of a
//! domain's supernodes travels.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, Input, mail::Greeting};
use kernel::{NodeId, Span};
use rear_proto::{
    Answer, Extensions, Signed,
    flavour::Party,
    membership::{Credentials, Descriptor, Role},
    message::Hello,
};

/// Nodes 1 and 11 are partners; beta has the second supernode 12 and the plain node 13 too.
fn wide() -> Net {
    let mut net = Net::partners();
    net.join(12, 11, Role::Supernode, Config::default());
    net.join(13, 11, Role::Node, Config::default());
    net.connect(11, 12);
    net.connect(11, 13);
    net.pass(Span::secs(3));
    net.told.clear();
    net
}

#[test]
fn a_supernode_that_a_partner_adds_is_looked_for_and_let_in() {
    let mut net = Net::partners();
    net.join(12, 11, Role::Supernode, Config::default());
    net.connect(11, 12);
    net.pass(Span::secs(3));
    assert!(net.told_by(1).contains(&"keep 12".to_owned()), "its partner has told of it");
    assert_eq!(net.nodes[&1].partners[0].supernodes.len(), 2, "and the other managers are");
    assert!(!is_partner(&net, 1, 12), "it has proven nothing yet");
    net.connect(1, 12);
    assert_eq!(net.told_by(1), ["up 12 supernode of beta"]);
    assert!(is_partner(&net, 1, 12));
    assert_eq!(net.told_by(12).last().unwrap(), "up 1 supernode of alpha", "by what its own supernode told it");
    net.restart(1);
    assert!(is_partner(&net, 1, 12), "known over a restart");
    assert!(net.told_by(1).contains(&"keep 12".to_owned()));
}

#[test]
fn new_addresses_of_a_supernode_reach_partners_and_plain_nodes() {
    let mut net = wide();
    net.join(2, 1, Role::Node, Config::default());
    net.connect(1, 2);
    net.disconnect(1, 12);
    // Node 1 hears of it through 11 alone.
    net.feed(12, Input::Addresses(place(12, 9)));
    net.pass(Span::secs(3));
    let view = net.nodes[&1].manager.partners(net.now).next().unwrap();
    let twelve = view.supernodes.iter().find(|(party, _)| party.node == id(12)).unwrap();
    assert_eq!(twelve.0.addresses, place(12, 9));
    assert!(net.told_by(1).contains(&"keep 12".to_owned()));
    assert!(net.told_by(13).contains(&"keep 12".to_owned()), "a plain node of its own domain too");
    // A supernode's own restart on another port, heard by the partner directly.
    net.feed(11, Input::Addresses(place(11, 9)));
    net.pass(Span::secs(3));
    assert!(net.told_by(1).contains(&"up 11 supernode of beta somewhere".to_owned()));
}

#[test]
fn addresses_that_keep_changing_cost_one_description_a_second() {
    let mut net = Net::two();
    net.pass(Span::secs(5));
    let sequence = |net: &Net| net.nodes[&11].manager.status(net.now).unwrap().sequence.unwrap();
    let before = sequence(&net);
    for port in 1..=50 {
        net.feed(11, Input::Addresses(place(11, port)));
        net.pass(Span::millis(100));
    }
    net.pass(Span::secs(2));
    let described = sequence(&net) - before;
    assert!((2..=7).contains(&described), "{described}");
    let descriptor = net.descriptor_of(11).unwrap().claimed().cloned().unwrap();
    assert_eq!(descriptor.supernodes, [Party { node: id(11), addresses: place(11, 50) }], "and the last one stands");
    net.pass(DAY);
    assert_eq!(sequence(&net) - before, described, "none without a reason");
    net.restart(11);
    net.pass(Span::secs(5));
    let after = sequence(&net);
    net.restart(11);
    net.pass(Span::secs(5));
    assert_eq!(sequence(&net), after, "nor for a restart at the same place");
}

#[test]
fn two_issuers_do_not_contradict_each_other_for_ever() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Supernode, Config::default());
    for n in [2, 3] {
        net.join(n, 1, Role::Supernode, Config::default());
    }
    let mut list = net.nodes[&1].manager.credentials().unwrap().list.claimed().cloned().unwrap();
    (list.number, list.issuers) = (2, vec![id(1), id(2)]);
    let list = Signed::new(list, &domain_signer("alpha"));
    let certificate = net.nodes[&1].manager.credentials().unwrap().certificate;
    let hello = Hello { credentials: Some(Credentials { list, certificate }), ..net.hello_of(1) };
    greet(&mut net, 99, 1, &hello);
    // Node 3 is connected to 1 alone, and moves; 2 knows where it was.
    net.connect(1, 2);
    net.connect(2, 3);
    net.pass(Span::secs(5));
    net.disconnect(2, 3);
    net.connect(1, 3);
    net.feed(3, Input::Addresses(place(3, 9)));
    net.pass(Span::secs(20));
    let sequence = |net: &Net, n: u8| net.nodes[&n].manager.status(net.now).unwrap().sequence;
    let settled = sequence(&net, 1);
    net.pass(DAY);
    assert_eq!((sequence(&net, 1), sequence(&net, 2)), (settled, settled), "it is quiet");
    for n in [1, 2] {
        let descriptor = net.descriptor_of(n).unwrap().claimed().cloned().unwrap();
        assert!(descriptor.supernodes.contains(&Party { node: id(3), addresses: place(3, 9) }), "{descriptor:?}");
        assert_eq!(descriptor.supernodes.len(), 3);
    }
}

#[test]
fn a_supernode_that_its_domain_removes_is_out_at_the_partner() {
    let mut net = wide();
    net.connect(1, 12);
    assert!(is_partner(&net, 1, 12));
    let old = full_hello(&mut net, 12);
    net.told.clear();
    net.remove(11, 12).unwrap();
    net.pass(Span::secs(3));
    assert!(net.told_by(1).contains(&"gone 12".to_owned()));
    assert!(!is_partner(&net, 1, 12));
    assert_eq!(net.nodes[&1].partners[0].supernodes, [id(11)]);
    // With all that it could show before.
    greet(&mut net, 12, 1, &old);
    assert!(!is_partner(&net, 1, 12));
    net.restart(1);
    greet(&mut net, 12, 1, &old);
    assert!(!is_partner(&net, 1, 12), "over a restart too");
    // Nor does it bring its domain back as a partner under an older word.
    net.connect(1, 11);
    net.partner_remove(1, "beta").unwrap();
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    let accept = rear_proto::message::Accept {
        secret: token.secret,
        credentials: old.credentials.clone().unwrap(),
        descriptor: old.descriptor.clone(),
        addresses: Vec::new(),
        extensions: Extensions::new(),
    };
    assert!(matches!(net.say(12, 1, Greeting::Accept(Box::new(accept))), Answer::Refused(_)));
}

#[test]
fn only_a_proven_supernode_of_a_partner_is_let_in() {
    let mut net = wide();
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    let twelve = full_hello(&mut net, 12);
    let thirteen = full_hello(&mut net, 13);
    let stranger = full_hello(&mut net, 21);
    let certificate = twelve.credentials.clone().unwrap().certificate;
    let mut promoted = thirteen.credentials.clone().unwrap().certificate.claimed().cloned().unwrap();
    promoted.role = Role::Supernode;
    let self_made = Signed::new(promoted.clone(), &signer(13));
    let in_its_name = Signed::new(
        {
            promoted.issuer = id(11);
            promoted
        },
        &signer(13),
    );
    let with = |certificate: Signed<_>, hello: &Hello| {
        let list = hello.credentials.clone().unwrap().list;
        Hello { credentials: Some(Credentials { list, certificate }), ..hello.clone() }
    };
    let mixed = Hello {
        credentials: Some(Credentials {
            list: stranger.credentials.clone().unwrap().list,
            certificate: certificate.clone(),
        }),
        ..twelve.clone()
    };
    for (what, from, hello) in [
        ("a plain node", 13, thirteen.clone()),
        ("one that made itself a supernode", 13, with(self_made, &thirteen)),
        ("one that made itself a supernode in the issuer's name", 13, with(in_its_name, &thirteen)),
        ("somebody else with its credentials", 14, twelve.clone()),
        ("a supernode of a domain that is no partner", 21, stranger),
        ("its certificate under another domain's list", 12, mixed),
        ("nothing at all", 12, Hello { credentials: None, ..twelve.clone() }),
    ] {
        let answer = greet(&mut net, from, 1, &hello);
        assert!(!is_partner(&net, 1, from), "{what}");
        // It may be one of those that the partner names; who is not is told no more than a stranger.
        if from != 12 {
            assert!(answer.addresses.is_empty() && answer.extensions.is_empty(), "{what}");
        }
    }
    assert!(net.told.iter().all(|(n, told)| *n != 1 || !told.starts_with("up")), "{:?}", net.told);
    assert_eq!(net.views(1), ["beta On theirs on: 11* 12"]);
    let answer = greet(&mut net, 12, 1, &twelve);
    assert!(is_partner(&net, 1, 12));
    assert_eq!((answer.addresses, answer.extensions.get(&4)), (addresses(1), Some(&vec![1])));
    assert!(answer.extensions.contains_key(&2) && !answer.extensions.contains_key(&1), "nothing of inner nodes");
}

#[test]
fn a_partners_certificate_ends_and_a_fresh_one_brings_it_back() {
    let mut net = Net::partners();
    net.disconnect(1, 11);
    net.now = START + DAY.times(30);
    assert!(!is_partner(&net, 1, 11), "in the very millisecond");
    net.pass(Span::secs(1));
    assert!(net.told_by(1).contains(&"gone 11".to_owned()));
    net.connect(1, 11);
    assert!(is_partner(&net, 1, 11), "it has renewed its own meanwhile");
    // While they are connected each hears of the other's renewals.
    net.told.clear();
    net.pass(DAY.times(365));
    assert!(is_partner(&net, 1, 11) && is_partner(&net, 11, 1));
    assert!(!net.told.iter().any(|(_, told)| told.starts_with("gone")), "{:?}", net.told);
}

#[test]
fn a_partner_may_make_less_of_a_supernode() {
    let mut net = wide();
    net.connect(1, 12);
    let mut hello = full_hello(&mut net, 12);
    let mut certificate = hello.credentials.clone().unwrap().certificate.claimed().cloned().unwrap();
    certificate.role = Role::Node;
    certificate.expires = certificate.expires + DAY;
    let list = hello.credentials.clone().unwrap().list;
    hello.credentials = Some(Credentials { list, certificate: Signed::new(certificate, &signer(11)) });
    greet(&mut net, 12, 1, &hello);
    assert!(!is_partner(&net, 1, 12) && net.told_by(1).contains(&"gone 12".to_owned()));
}

#[test]
fn a_reborn_partner_is_up_anew() {
    let mut net = Net::partners();
    let mut say_life = |life: u8| {
        let mut hello = net.hello_of(11);
        hello.extensions.insert(2, vec![0, 0, 0, life]);
        net.told.clear();
        greet(&mut net, 11, 1, &hello);
        net.told_by(1)
    };
    say_life(7);
    assert_eq!(say_life(7), [""; 0]);
    assert_eq!(say_life(8), ["up 11 supernode of beta"]);
}

#[test]
fn garbage_from_a_partner_changes_nothing() {
    let mut net = wide();
    let good = full_hello(&mut net, 11);
    let rows = net.nodes[&1].rows.clone();
    let mut forged = good.descriptor.clone().unwrap().claimed().cloned().unwrap();
    forged.sequence += 100;
    forged.supernodes.clear();
    let by_another = Signed::new(forged.clone(), &signer(12));
    forged.issuer = id(12);
    let by_no_issuer = Signed::new(forged, &signer(12));
    for descriptor in [by_another, by_no_issuer] {
        let hello = Hello { descriptor: Some(descriptor), ..good.clone() };
        greet(&mut net, 11, 1, &hello);
    }
    for value in [vec![], vec![2], vec![1, 1], vec![0; 4096]] {
        let hello = Hello { extensions: Extensions::from([(4, value.clone()), (2, value)]), ..good.clone() };
        greet(&mut net, 11, 1, &hello);
    }
    assert_eq!(net.views(1), ["beta On theirs on: 11* 12"]);
    assert_eq!(net.nodes[&1].rows, rows);
}

#[test]
fn a_description_too_long_to_be_passed_on_is_not_taken_in() {
    let mut net = Net::partners();
    let good = full_hello(&mut net, 11);
    let mut long: Descriptor = good.descriptor.clone().unwrap().claimed().cloned().unwrap();
    long.sequence += 100;
    long.supernodes = (0..64).map(|n| Party { node: NodeId([n; 32]), addresses: vec!["/".repeat(250); 16] }).collect();
    let hello = Hello { descriptor: Some(Signed::new(long, &signer(11))), ..good };
    greet(&mut net, 11, 1, &hello);
    assert_eq!(net.views(1), ["beta On theirs on: 11*"]);
}

#[test]
fn a_partner_can_not_fill_the_table_of_its_supernodes() {
    let mut net = Net::partners();
    for n in 100..=180 {
        let token = net.invite(11, Role::Supernode, DAY).unwrap();
        let joined = net.try_join(n, 11, &token).unwrap();
        let hello = Hello { credentials: Some(joined.credentials), ..net.hello_of(11) };
        greet(&mut net, n, 1, &hello);
    }
    let kept = net.nodes[&1].rows.keys().filter(|(_, key)| key.starts_with(b"node/")).count();
    assert_eq!(kept, 64);
    assert!(is_partner(&net, 1, 11), "who is here stays");
}

#[test]
fn a_partner_that_has_news_all_the_time_is_heard_now_and_then() {
    let mut net = Net::partners();
    net.join(2, 1, Role::Node, Config::default());
    net.connect(1, 2);
    net.pass(Span::secs(20));
    let hello = full_hello(&mut net, 11);
    let honest = hello.descriptor.clone().unwrap().claimed().cloned().unwrap();
    let news = |n: u64| {
        let port = 5000 + n as u16;
        let supernodes = vec![Party { node: id(11), addresses: place(11, port) }];
        let descriptor = Descriptor { sequence: honest.sequence + n, supernodes, ..honest.clone() };
        Hello { descriptor: Some(Signed::new(descriptor, &signer(11))), ..hello.clone() }
    };
    let heard = |net: &Net, n: u64| {
        let view = net.nodes[&1].manager.partners(net.now).next().unwrap();
        let all: Vec<String> = view.supernodes.iter().flat_map(|(party, _)| party.addresses.clone()).collect();
        all.contains(&place(11, 5000 + n as u16)[0])
    };
    for n in 1..=50 {
        greet(&mut net, 11, 1, &news(n));
    }
    assert!(heard(&net, 20) && !heard(&net, 50), "so much at once");
    assert!(is_partner(&net, 1, 11), "which is no reason to treat it as a stranger");
    net.hellos = 0;
    net.pass(Span::secs(11));
    assert!(net.hellos > 0, "it is asked for what it has to say");
    greet(&mut net, 11, 1, &news(51));
    assert!(heard(&net, 51), "and heard");
}

#[test]
fn a_partner_can_not_say_where_others_are() {
    let mut net = Net::partners();
    net.join(2, 1, Role::Supernode, Config::default());
    net.connect(1, 2);
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    let token = net.partner_invite(1, "gamma", DAY).unwrap();
    net.connect(1, 21);
    net.partner_accept(21, &token, "alpha").unwrap();
    net.pass(Span::secs(20));
    net.told.clear();
    let hello = full_hello(&mut net, 11);
    let honest = hello.descriptor.clone().unwrap().claimed().cloned().unwrap();
    let mut claimed: Vec<u8> = vec![2, 21, 1, 14];
    claimed.sort_by_key(|n| id(*n));
    let supernodes = claimed.iter().map(|n| Party { node: id(*n), addresses: place(*n, 666) }).collect();
    let descriptor = Descriptor { sequence: honest.sequence + 1, supernodes, ..honest };
    let descriptor = Some(Signed::new(descriptor, &signer(11)));
    greet(&mut net, 11, 1, &Hello { descriptor, ..hello });
    net.pass(Span::secs(3));
    let kept: Vec<String> = net.told_by(1).into_iter().filter(|told| told.starts_with("keep")).collect();
    assert_eq!(kept, ["keep 14"], "of its own it can");
    for (n, known) in [(2, true), (21, true), (14, false), (77, false)] {
        assert_eq!(net.nodes[&1].manager.knows(net.now, &id(n)), known, "{n}");
    }
}
