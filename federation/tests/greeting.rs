//! HELLO: who is believed, what is told to whom, and what is said again.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, Input, mail::Greeting};
use kernel::Span;
use rear_proto::{Answer, Code, Extensions, flavour::Party, membership::Role, message::Hello};

#[test]
fn members_find_each_other_and_the_others_are_told_once() {
    let mut net = net();
    net.found(1, "alpha", Config::default());
    net.join(2, 1, Role::Catalogue, Config::default());
    net.told.clear();
    net.connect(1, 2);
    assert_eq!(net.told_by(1), ["up 2 catalogue somewhere", "up 2 catalogue", "keep 2"]);
    assert_eq!(net.told_by(2), ["up 1 node"], "that it keeps connected to its issuer it said at its start");
    // Both may have dialled: the second connection is not told, but were it, nothing would be said again.
    let hellos = net.hellos;
    net.feed(1, Input::PeerUp { party: party(2) });
    assert_eq!((net.told_by(1), net.hellos), (vec![], hellos));
    net.disconnect(1, 2);
    assert_eq!((net.told_by(1), net.told_by(2)), (vec!["down 2".to_owned()], vec!["down 1".to_owned()]));
    net.connect(1, 2);
    assert_eq!(net.told_by(1), ["up 2 catalogue"], "who is known is taken for a member at once");
}

#[test]
fn a_member_that_was_reborn_is_up_anew_though_its_old_connection_was_never_found_dead() {
    let mut net = Net::domain(2);
    net.connect(1, 2);
    let mut say_life = |life: u8| {
        let mut hello = net.hello_of(2);
        hello.extensions.insert(2, vec![0, 0, 0, life]);
        net.told.clear();
        net.say(2, 1, Greeting::Hello(Box::new(hello)));
        net.told_by(1)
    };
    say_life(7);
    assert_eq!(say_life(7), [""; 0], "the same life is told once");
    assert_eq!(say_life(8), ["up 2 node"]);
    assert_eq!(say_life(8), [""; 0]);
}

#[test]
fn strangers_learn_who_we_are_and_not_where() {
    let mut net = Net::domain(2);
    net.found(9, "beta", Config::default());
    let foreign = net.hello_of(9);
    let nobody = Hello { credentials: None, ..net.hello_of(9) };
    for hello in [foreign, nobody] {
        let Answer::Hello(answer) = net.say(9, 1, Greeting::Hello(Box::new(hello))) else { panic!("refused") };
        assert!(answer.credentials.is_some() && answer.descriptor.is_some() && answer.addresses.is_empty());
    }
    let hello = net.hello_of(2);
    let Answer::Hello(answer) = net.say(2, 1, Greeting::Hello(Box::new(hello))) else { panic!("refused") };
    assert_eq!(answer.addresses, addresses(1));
    net.connect(1, 9);
    assert_eq!((net.live(1), net.live(9)), (vec![2], vec![]));
    assert!(!net.told.iter().any(|(_, told)| told.starts_with("up") || told.starts_with("keep")), "{:?}", net.told);
}

#[test]
fn another_nodes_credentials_prove_nothing() {
    let mut net = Net::domain(2);
    let stolen = net.hello_of(2);
    net.say(3, 1, Greeting::Hello(Box::new(stolen)));
    assert_eq!(net.live(1), [2]);
}

#[test]
fn nodes_of_no_domain_answer_too() {
    let mut net = net();
    net.add(1, Vec::new(), Config::default());
    net.found(2, "alpha", Config::default());
    net.connect(1, 2);
    assert_eq!((net.live(1), net.live(2)), (vec![], vec![]));
    assert!(net.nodes[&1].manager.status(net.now).is_none());
    assert_eq!(net.invite(1, Role::Node, DAY).unwrap_err().code(), Code::NotFound);
}

#[test]
fn a_hello_without_an_answer_is_said_again_while_connected() {
    let mut net = net();
    net.found(1, "alpha", Config::default());
    net.join(2, 1, Role::Node, Config::default());
    net.cut.insert((1, 2));
    net.connect(1, 2);
    net.pass(Span::secs(31));
    assert_eq!(net.hellos, 2 * 6, "at 0, 1, 3, 7, 15 and 31 s");
    net.cut.clear();
    net.pass(Span::secs(32));
    assert_eq!((net.hellos, net.live(2)), (2 * 7, vec![1]));
    net.pass(Span::secs(3600));
    assert_eq!(net.hellos, 2 * 7, "and not when it was answered");
    net.cut.insert((1, 2));
    net.restart(1);
    net.connect(1, 2);
    net.disconnect(1, 2);
    let hellos = net.hellos;
    net.pass(Span::secs(3600));
    assert_eq!(net.hellos, hellos, "nor to who is not there");
}

#[test]
fn too_many_hellos_of_one_node_are_refused() {
    let mut net = net();
    net.found(1, "alpha", Config { hellos: 3, ..Config::default() });
    net.found(9, "beta", Config::default());
    let hello = net.hello_of(9);
    for _ in 0..3 {
        assert!(matches!(net.say(9, 1, Greeting::Hello(Box::new(hello.clone()))), Answer::Hello(_)));
    }
    let Answer::Refused(refusal) = net.say(9, 1, Greeting::Hello(Box::new(hello.clone()))) else { panic!("answered") };
    assert_eq!((refusal.code(), refusal.retry_after), (Code::Overloaded, Some(Span::secs(10))));
    assert!(matches!(net.say(8, 1, Greeting::Hello(Box::new(hello))), Answer::Hello(_)));
}

#[test]
fn members_are_told_of_new_addresses() {
    let mut net = Net::domain(2);
    net.pass(Span::secs(1));
    net.feed(2, Input::Addresses(vec!["/ip4/9.9.9.9/udp/1/quic-v1".to_owned()]));
    assert_eq!(net.told_by(1), ["up 2 node somewhere", "keep 2"]);
    let view = net.nodes[&1].manager.members().next().unwrap();
    assert_eq!((view.addresses, view.connected), (vec!["/ip4/9.9.9.9/udp/1/quic-v1".to_owned()], true));
    assert_eq!(view.last_heard, Some(net.now));
}

#[test]
fn after_a_restart_members_are_known_and_looked_for() {
    let mut net = Net::domain(3);
    net.restart(2);
    let mut told = net.told_by(2);
    told.sort();
    assert_eq!(told, ["credentials", "down 1", "down 3", "keep 1", "keep 3"]);
    assert_eq!(net.live(2), [1, 3]);
    net.connect(2, 3);
    assert_eq!(net.told_by(2), ["up 3 node"]);
}

#[test]
fn connections_are_kept_to_so_many() {
    let mut net = net();
    net.found(1, "alpha", Config { keep_connected: 2, ..Config::default() });
    for n in 2..=5 {
        net.join(n, 1, Role::Node, Config::default());
        net.connect(1, n);
    }
    let told = net.told_by(1);
    assert_eq!(told.iter().filter(|told| told.starts_with("keep")).count(), 2);
    assert_eq!(net.live(1), [2, 3, 4, 5]);
}

#[test]
fn the_members_known_are_bounded() {
    let mut net = net();
    net.found(1, "alpha", Config { members: 2, ..Config::default() });
    for n in 2..=3 {
        net.join(n, 1, Role::Node, Config::default());
        net.connect(1, n);
        net.pass(Span::secs(1));
    }
    let token = net.invite(1, Role::Node, DAY).unwrap();
    assert_eq!(net.try_join(4, 1, &token).unwrap_err().code(), Code::Overloaded, "all that are known are here");
    net.disconnect(1, 3);
    assert!(net.try_join(4, 1, &token).is_ok(), "who is away makes room");
    assert_eq!(net.live(1), [2, 4]);
    net.connect(1, 3);
    assert_eq!(net.live(1), [2, 3], "and proves itself anew when it comes back");
}

#[test]
fn nonsense_is_survived() {
    let mut net = Net::domain(2);
    let party = Party { node: id(7), addresses: vec!["x".repeat(10_000); 99] };
    net.feed(1, Input::PeerUp { party });
    net.feed(1, Input::PeerDown { node: id(8) });
    net.feed(1, Input::PeerUp { party: common::party(1) });
    for answer in [Ok(Answer::Released), Err(Code::Timeout.into())] {
        net.feed(1, Input::Answered { ask: kernel::AskId(99), from: id(2), answer });
    }
    let mut hello = net.hello_of(2);
    hello.addresses = vec!["y".repeat(300), String::new(), "/ip4/1.1.1.1/tcp/1".to_owned()];
    hello.extensions = Extensions::from([(9, vec![1])]);
    net.say(2, 1, Greeting::Hello(Box::new(hello)));
    let view = net.nodes[&1].manager.members().next().unwrap();
    assert_eq!(view.addresses, ["/ip4/1.1.1.1/tcp/1"]);
}
