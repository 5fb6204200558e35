//! JOIN: tokens, certificates and their renewal.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, genesis, genesis::JoinError, mail::Greeting};
use kernel::{Span, Time};
use rear_proto::{
    Answer, Code, Extensions, Refusal, Request, Table,
    membership::{Role, Token},
    message::Join,
};

fn founded() -> Net {
    let mut net = net();
    net.found(1, "alpha", Config::default());
    net
}

fn uniform() -> Answer {
    Answer::Refused(Refusal::from(Code::NotAMember))
}

#[test]
fn a_newcomer_joins_with_a_token() {
    for role in [Role::Node, Role::Supernode, Role::Catalogue] {
        let mut net = founded();
        net.join(2, 1, role, Config::default());
        let status = net.nodes[&2].manager.status(net.now).unwrap();
        assert_eq!((status.domain.name.as_str(), status.role, status.issuer), ("alpha", role, false));
        assert_eq!((status.warning, status.expires), (None, net.now + Config::default().certificate_life));
        assert_eq!(net.live(1), [2]);
        let supernodes = |net: &Net| {
            let Answer::Hello(hello) = net_hello(net) else { panic!("no HELLO") };
            hello.descriptor.unwrap().claimed().unwrap().supernodes.len()
        };
        let mut net = net;
        net.connect(1, 2);
        assert_eq!(supernodes(&net), usize::from(role == Role::Supernode));
    }
}

fn net_hello(net: &Net) -> Answer {
    let mut out = Vec::new();
    let mut other = common::net();
    other.now = net.now;
    let node = &net.nodes[&1];
    let mut manager = federation::Manager::new(node.config.clone(), signer(1), kernel::Rng::from_number(0));
    for ((table, key), value) in &node.rows {
        manager.restore(*table, key, value).unwrap();
    }
    manager.start(net.now, 9, &mut out);
    out.clear();
    let request = Greeting::Hello(Box::new(net.hello_of(2)));
    let input = federation::Input::Asked { ticket: kernel::Ticket(1), from: id(2), request };
    kernel::Manager::handle(&mut manager, net.now, input, &mut out);
    out.into_iter()
        .find_map(|effect| match effect {
            federation::Effect::Reply { answer, .. } => Some(answer),
            _ => None,
        })
        .unwrap()
}

#[test]
fn a_token_lets_one_newcomer_in_and_the_same_one_again() {
    let mut net = founded();
    let token = net.invite(1, Role::Node, DAY).unwrap();
    let first = net.try_join(2, 1, &token).unwrap();
    net.pass(Span::secs(5));
    assert_eq!(net.try_join(2, 1, &token).unwrap().credentials, first.credentials);
    assert_eq!(net.try_join(3, 1, &token), Err(Code::NotAMember.into()));
    net.restart(1);
    assert_eq!(net.try_join(2, 1, &token).unwrap().credentials, first.credentials, "over a restart too");
    assert_eq!(net.try_join(3, 1, &token), Err(Code::NotAMember.into()));
}

#[test]
fn who_may_not_join_is_told_nothing() {
    let mut net = founded();
    let token = net.invite(1, Role::Node, Span::secs(60)).unwrap();
    let in_anothers_name = Join { secret: token.secret, node: id(3), role: Role::Node, extensions: Extensions::new() };
    let wrong = [7; 16];
    assert_eq!(net.join_with(2, 1, wrong), uniform(), "a wrong secret");
    assert_eq!(net.join_with(2, 1, [0; 16]), uniform(), "no secret, and no member");
    assert_eq!(net.say(2, 1, Greeting::Join(Box::new(in_anothers_name))), uniform(), "another's key");
    net.join(4, 1, Role::Node, Config::default());
    assert_eq!(net.join_with(2, 4, token.secret), uniform(), "at a node that is no issuer");
    net.now = token.expires;
    assert_eq!(net.join_with(2, 1, token.secret), uniform(), "an expired token, though nobody has swept it out");
    net.pass(Span::ZERO);
    assert_eq!(
        net.nodes[&1].rows.keys().filter(|(table, _)| *table == Table::Tokens).count(),
        1,
        "only the used one is kept"
    );
    let blocking = Config { blocked: vec![id(5)], ..Config::default() };
    net.found(6, "beta", blocking);
    let token = net.invite(6, Role::Node, DAY).unwrap();
    assert_eq!(net.join_with(5, 6, token.secret), uniform(), "a blocked node");
}

#[test]
fn who_asks_too_often_has_to_wait() {
    let mut net = founded();
    let token = net.invite(1, Role::Node, DAY).unwrap();
    for _ in 0..10 {
        assert_eq!(net.join_with(2, 1, [7; 16]), uniform());
    }
    let refusal = net.try_join(2, 1, &token).unwrap_err();
    assert_eq!((refusal.code(), refusal.retry_after), (Code::Overloaded, Some(Span::secs(10))));
    assert!(net.try_join(3, 1, &token).is_ok(), "others do not");
    net.pass(Span::secs(10));
    assert_eq!(net.join_with(2, 1, [7; 16]), uniform());
}

#[test]
fn only_an_issuer_that_can_be_dialled_invites() {
    let mut net = Net::domain(2);
    for (n, ttl, code, says) in [
        (2, DAY, Code::NotAMember, id(1).to_string()),
        (1, Span::ZERO, Code::Malformed, "0s".to_owned()),
        (1, DAY.times(31), Code::Malformed, "30d".to_owned()),
    ] {
        let refusal = net.invite(n, Role::Node, ttl).unwrap_err();
        assert_eq!(refusal.code(), code);
        assert!(refusal.text().contains(&says), "{refusal}");
    }
    net.feed(1, federation::Input::Addresses(Vec::new()));
    assert!(net.invite(1, Role::Node, DAY).unwrap_err().text().contains("--listen"));
    net.feed(1, federation::Input::Addresses(addresses(1)));
    let token: Token = net.invite(1, Role::Supernode, DAY).unwrap();
    assert_eq!((token.issuer.clone(), token.role, token.expires), (party(1), Role::Supernode, net.now + DAY));
    assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
    let kept: Vec<u8> = net.nodes[&1].rows.values().flatten().copied().collect();
    assert!(!kept.windows(16).any(|bytes| bytes == token.secret), "no secret is written down");
}

#[test]
fn tokens_are_bounded() {
    let mut net = net();
    net.found(1, "alpha", Config { tokens: 2, ..Config::default() });
    for _ in 0..2 {
        net.invite(1, Role::Node, Span::secs(60)).unwrap();
    }
    assert_eq!(net.invite(1, Role::Node, DAY).unwrap_err().code(), Code::Overloaded);
    net.pass(Span::secs(60));
    assert!(net.invite(1, Role::Node, DAY).is_ok());
}

#[test]
fn a_newcomer_is_told_of_members_and_dials_them() {
    let mut net = Net::domain(4);
    net.disconnect(1, 3);
    let token = net.invite(1, Role::Node, DAY).unwrap();
    let joined = net.try_join(5, 1, &token).unwrap();
    assert_eq!(joined.peers, {
        // Those that are connected come first.
        let mut peers = [party(2), party(4)];
        peers.sort_by_key(|peer| peer.node);
        [peers.to_vec(), vec![party(3)]].concat()
    });
    let rows = genesis::joined(&token, id(5), &joined, net.now).unwrap();
    net.add(5, rows, Config::default());
    let mut told = net.told_by(5);
    told.sort();
    assert_eq!(told, ["credentials", "keep 1", "keep 2", "keep 3", "keep 4"]);
}

#[test]
fn a_newcomer_believes_only_what_the_token_promises() {
    let mut net = founded();
    let token = net.invite(1, Role::Node, DAY).unwrap();
    let joined = net.try_join(2, 1, &token).unwrap();
    let check =
        |token: &Token, n: u8, joined: &rear_proto::message::Joined| genesis::joined(token, id(n), joined, START);
    assert!(check(&token, 2, &joined).is_ok());
    assert!(matches!(check(&token, 3, &joined), Err(JoinError::Credentials { .. })));
    let mut other = token.clone();
    other.role = Role::Supernode;
    assert!(matches!(check(&other, 2, &joined), Err(JoinError::Role { .. })));
    let mut other = token.clone();
    other.domain.key = kernel::DomainKey([3; 32]);
    assert!(matches!(check(&other, 2, &joined), Err(JoinError::Credentials { .. })));
    net.found(9, "beta", Config::default());
    let token9 = net.invite(9, Role::Node, DAY).unwrap();
    let foreign = net.try_join(2, 9, &token9).unwrap();
    let mixed = rear_proto::message::Joined { descriptor: foreign.descriptor, ..joined };
    assert!(matches!(check(&token, 2, &mixed), Err(JoinError::Descriptor(_))));
    let late = token.expires;
    assert!(matches!(genesis::ask(&token, id(2), late), Err(JoinError::TokenExpired(_))));
    assert!(matches!(genesis::ask(&token, id(2), Time(late.0 - 1)), Ok(Request::Join(_))));
}

#[test]
fn certificates_are_renewed_at_half_of_their_life() {
    let mut net = Net::domain(3);
    let expiry = |net: &Net, n: u8| net.nodes[&n].manager.status(net.now).unwrap().expires;
    let first = START + DAY.times(30);
    net.pass(DAY.times(14));
    assert_eq!((expiry(&net, 1), expiry(&net, 2)), (first, first));
    net.pass(DAY.times(1));
    let second = START + DAY.times(45);
    assert_eq!((expiry(&net, 1), expiry(&net, 2), expiry(&net, 3)), (second, second, second));
    assert!(net.told_by(2).contains(&"credentials".to_owned()));
    net.pass(DAY.times(365));
    for n in 1..=3 {
        assert_eq!((net.live(n).len(), net.warning(n)), (2, None), "all are still members a year later");
        assert!(!net.told_by(n).iter().any(|told| told.starts_with("gone")));
    }
}

#[test]
fn a_renewal_asked_too_early_gives_the_same_certificate() {
    let mut net = Net::domain(2);
    let own = net.nodes[&2].manager.credentials().unwrap();
    net.pass(DAY.times(10));
    let Answer::Joined(joined) = net.join_with(2, 1, [0; 16]) else { panic!("refused") };
    assert_eq!(joined.credentials, own);
    assert!(net.try_join(2, 1, &Token { secret: [9; 16], ..net_token() }).is_err());
    net.join(3, 1, Role::Node, Config::default());
    net.connect(2, 3);
    let Answer::Refused(refusal) = net.join_with(2, 3, [0; 16]) else { panic!("renewed by no issuer") };
    assert_eq!(refusal.code(), Code::Unavailable, "a member is told more");
}

fn net_token() -> Token {
    let mut net = founded();
    let token = net.invite(1, Role::Node, DAY).unwrap();
    Token { expires: START + DAY.times(300), ..token }
}

#[test]
fn without_an_issuer_a_certificate_ends_and_a_token_brings_it_back() {
    let mut net = Net::domain(3);
    net.drop_connections(1);
    net.told.clear();
    net.pass(DAY.times(15).plus(Span::secs(300)));
    assert!(net.warning(2).unwrap().contains("could not be renewed"));
    net.pass(DAY.times(15));
    assert!(net.warning(2).unwrap().contains("join again"));
    // Node 1 has renewed its own, but nobody has heard of it. To end is not to be removed.
    assert_eq!(net.told_by(3), ["gone 2", "gone 1"]);
    assert_eq!((net.live(2), net.live(3)), (vec![], vec![]));
    assert!(net.nodes[&3].rows.keys().all(|(table, _)| *table != Table::Members));
    // Too late for a renewal, in time for a token.
    net.connect(1, 2);
    assert_eq!(net.live(1), [0; 0]);
    assert_eq!(net.join_with(2, 1, [0; 16]), uniform());
    net.drop_connections(2);
    net.join(2, 1, Role::Node, Config::default());
    net.connect(1, 2);
    assert_eq!((net.live(1), net.live(2), net.warning(2)), (vec![2], vec![1], None));
}

#[test]
fn a_late_issuer_renews_as_soon_as_it_is_here() {
    let mut net = Net::domain(2);
    net.disconnect(1, 2);
    net.pass(DAY.times(20));
    assert!(net.warning(2).is_some());
    net.connect(1, 2);
    net.pass(Span::ZERO);
    assert_eq!(net.warning(2), None);
    assert_eq!(net.nodes[&2].manager.status(net.now).unwrap().expires, net.now + DAY.times(30));
}
