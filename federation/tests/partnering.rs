//! Partners by token: the story in both orders, with each message lost or repeated, and a restart between any two
//! steps.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use federation::{Config, Input, mail::Greeting};
use kernel::Span;
use rear_proto::{
    Answer, Code, Extensions, Refusal, Request, Table,
    membership::Role,
    message::Accept,
    partner::{PartnerState, PartnerToken},
};

fn uniform() -> Answer {
    Answer::Refused(Refusal::from(Code::NotAMember))
}

#[track_caller]
fn are_partners(net: &Net) {
    assert_eq!(net.views(1), ["beta On theirs on: 11*"]);
    assert_eq!(net.views(11), ["alpha On theirs on: 1*"]);
    for (n, domain, other) in [(1, "beta", 11), (11, "alpha", 1)] {
        let told = &net.nodes[&n].partners;
        assert_eq!(told.len(), 1, "at {n}");
        assert_eq!((told[0].domain.key, told[0].name.as_str(), told[0].on), (key(domain), domain, true));
        assert_eq!(told[0].supernodes, [id(other)]);
    }
}

#[test]
fn two_domains_become_partners_by_a_token() {
    let mut net = Net::two();
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    assert_eq!((token.inviter.clone(), token.domain.key, token.expires), (party(1), key("alpha"), net.now + DAY));
    net.connect(1, 11);
    net.told.clear();
    let view = net.partner_accept(11, &token, "alpha").unwrap();
    assert_eq!((view.name.as_str(), view.state, view.domain.key), ("alpha", PartnerState::On, key("alpha")));
    assert_eq!(view.supernodes, [(party(1), true)]);
    assert!(view.last_heard == Some(net.now));
    net.pass(Span::secs(1));
    are_partners(&net);
    // Each is up once, and kept.
    assert_eq!(net.told_by(1), ["keep 11", "up 11 supernode of beta"]);
    assert_eq!(net.told_by(11), ["keep 1", "up 1 supernode of alpha"]);
    let kept: Vec<u8> = net.nodes[&1].rows.values().flatten().copied().collect();
    assert!(!kept.windows(16).any(|bytes| bytes == token.secret), "no secret is written down");
    net.disconnect(1, 11);
    assert_eq!((net.told_by(1), net.told_by(11)), (vec!["down 11".to_owned()], vec!["down 1".to_owned()]));
    net.connect(1, 11);
    assert_eq!(net.told_by(1), ["up 11 supernode of beta"], "who is known is taken for a partner at once");
}

#[test]
fn two_domains_may_invite_each_other_at_once() {
    let mut net = Net::two();
    let from_alpha = net.partner_invite(1, "beta", DAY).unwrap();
    let from_beta = net.partner_invite(11, "alpha", DAY).unwrap();
    net.connect(1, 11);
    net.partner_accept(11, &from_alpha, "alpha").unwrap();
    net.partner_accept(1, &from_beta, "beta").unwrap();
    net.pass(Span::secs(1));
    are_partners(&net);
}

#[test]
fn what_is_lost_can_be_said_again() {
    let mut net = Net::two();
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    // No connection; then a question that is lost; then an answer that is.
    let refusal = net.partner_accept(11, &token, "alpha").unwrap_err();
    assert!(refusal.text().contains("has not answered"), "{refusal}");
    net.connect(1, 11);
    net.cut.insert((1, 11));
    assert_eq!(net.partner_accept(11, &token, "alpha").unwrap_err().code(), Code::Timeout);
    assert_eq!((net.views(1), net.views(11)), (vec![], vec![]));
    net.cut.clear();
    net.mute.insert((1, 11));
    assert_eq!(net.partner_accept(11, &token, "alpha").unwrap_err().code(), Code::Timeout);
    assert_eq!((net.views(1).len(), net.views(11).len()), (1, 0), "one side knows");
    net.mute.clear();
    for _ in 0..2 {
        net.partner_accept(11, &token, "alpha").unwrap();
    }
    net.pass(Span::secs(60));
    are_partners(&net);
}

#[test]
fn a_restart_between_any_two_steps_changes_nothing() {
    for at in 0..4 {
        for who in [1, 11] {
            let mut net = Net::two();
            let restart = |net: &mut Net, step: u8| {
                if step == at {
                    net.restart(who);
                    net.connect(1, 11);
                    net.pass(Span::secs(1));
                }
            };
            net.connect(1, 11);
            let token = net.partner_invite(1, "beta", DAY).unwrap();
            restart(&mut net, 0);
            net.mute.insert((1, 11));
            net.partner_accept(11, &token, "alpha").unwrap_err();
            net.mute.clear();
            restart(&mut net, 1);
            net.partner_accept(11, &token, "alpha").unwrap();
            restart(&mut net, 2);
            net.partner_accept(11, &token, "alpha").unwrap();
            restart(&mut net, 3);
            net.pass(Span::secs(60));
            are_partners(&net);
        }
    }
}

#[test]
fn a_partner_is_looked_for_after_a_restart() {
    let mut net = Net::partners();
    for (n, other) in [(1, 11), (11, 1)] {
        net.told.clear();
        net.restart(n);
        assert!(net.told_by(n).contains(&format!("keep {other}")), "at {n}");
        assert_eq!(net.nodes[&n].partners.len(), 1, "the other managers are told at {n}");
    }
    net.connect(1, 11);
    net.pass(Span::secs(1));
    are_partners(&net);
}

#[test]
fn who_may_not_accept_is_told_nothing() {
    let mut net = Net::two();
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    net.join(12, 11, Role::Node, Config::default());
    net.join(2, 1, Role::Supernode, Config::default());
    let token = net.partner_invite(1, "beta", Span::secs(60)).unwrap();
    assert_eq!(net.accept_with(11, 1, [7; 16]), uniform(), "a wrong secret");
    assert_eq!(net.accept_with(11, 1, [0; 16]), uniform(), "no secret");
    assert_eq!(net.accept_with(11, 2, token.secret), uniform(), "at another supernode of the domain");
    assert_eq!(net.accept_with(12, 1, token.secret), uniform(), "a plain node");
    let accept = Accept {
        secret: token.secret,
        credentials: net.nodes[&11].manager.credentials().unwrap(),
        descriptor: None,
        addresses: Vec::new(),
        extensions: Extensions::new(),
    };
    assert_eq!(net.say(21, 1, Greeting::Accept(Box::new(accept))), uniform(), "somebody else's credentials");
    assert!(net.views(1).is_empty());
    let Answer::Refused(refusal) = net.accept_with(2, 1, token.secret) else { panic!("its own domain") };
    assert_eq!(refusal.code(), Code::Malformed);
    assert!(matches!(net.accept_with(11, 1, token.secret), Answer::Accepted(_)), "it was not used up by any of them");
    assert!(matches!(net.accept_with(11, 1, token.secret), Answer::Accepted(_)), "the same domain again");
    assert_eq!(net.accept_with(21, 1, token.secret), uniform(), "another domain");
    net.restart(1);
    assert_eq!(net.accept_with(21, 1, token.secret), uniform(), "over a restart too");
    assert!(matches!(net.accept_with(11, 1, token.secret), Answer::Accepted(_)));
    let late = net.partner_invite(1, "gamma", Span::secs(60)).unwrap();
    net.now = late.expires;
    assert_eq!(net.accept_with(21, 1, late.secret), uniform(), "an expired one, though nobody has swept it out");
    net.pass(Span::ZERO);
    assert!(!net.nodes[&1].rows.keys().any(|(_, key)| key.starts_with(b"invite/")));
    net.join(3, 1, Role::Node, Config::default());
    assert_eq!(net.accept_with(21, 3, late.secret), uniform(), "at a plain node");
}

#[test]
fn who_tries_too_often_has_to_wait() {
    let mut net = Net::two();
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    for _ in 0..10 {
        assert_eq!(net.accept_with(11, 1, [7; 16]), uniform());
    }
    let Answer::Refused(refusal) = net.accept_with(11, 1, token.secret) else { panic!("accepted") };
    assert_eq!((refusal.code(), refusal.retry_after), (Code::Overloaded, Some(Span::secs(10))));
}

#[test]
fn every_refusal_of_an_invitation_says_why() {
    let mut net = Net::two();
    net.join(2, 1, Role::Node, Config::default());
    net.join(3, 1, Role::Catalogue, Config::default());
    net.partner_invite(1, "taken", DAY).unwrap();
    for (n, name, ttl, code, says) in [
        (2, "beta", DAY, Code::NotAMember, "a node of domain alpha"),
        (3, "beta", DAY, Code::NotAMember, "a catalogue of domain alpha"),
        (1, "Beta", DAY, Code::Malformed, "'Beta'"),
        (1, "", DAY, Code::Malformed, "small letters"),
        (1, "-beta", DAY, Code::Malformed, "hyphens"),
        (1, "beta.org", DAY, Code::Malformed, "small letters"),
        (1, &"x".repeat(64), DAY, Code::Malformed, "up to 63"),
        (1, "alpha", DAY, Code::Malformed, "itself"),
        (1, "taken", DAY, Code::Malformed, "taken up yet"),
        (1, "beta", Span::ZERO, Code::Malformed, "0s"),
        (1, "beta", DAY.times(31), Code::Malformed, "30d"),
    ] {
        let refusal = net.partner_invite(n, name, ttl).unwrap_err();
        assert_eq!(refusal.code(), code, "{name}");
        assert!(refusal.text().contains(says), "{refusal}");
    }
    net.feed(1, Input::Addresses(Vec::new()));
    assert!(net.partner_invite(1, "beta", DAY).unwrap_err().text().contains("--listen"));
    net.restart(1);
    assert!(net.partner_invite(1, "taken", DAY).is_err(), "pending over a restart too");
}

#[test]
fn every_failure_to_accept_says_why() {
    let mut net = Net::partners();
    net.join(12, 11, Role::Node, Config::default());
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    net.connect(21, 11);
    let token = net.partner_invite(21, "beta", Span::secs(600)).unwrap();
    let of_beta = net.partner_invite(11, "delta", DAY).unwrap();
    let of_alpha = net.partner_invite(1, "other", DAY).unwrap();
    let over = PartnerToken { expires: net.now, ..token.clone() };
    let wrong = PartnerToken { secret: [7; 16], ..token.clone() };
    let elsewhere = PartnerToken { domain: of_alpha.domain.clone(), ..token.clone() };
    for (n, token, name, code, says) in [
        (12, &token, "gamma", Code::NotAMember, "a node of domain beta"),
        (11, &over, "gamma", Code::Expired, "gamma"),
        (11, &of_beta, "delta", Code::Malformed, "its own partner"),
        (11, &of_alpha, "other", Code::Malformed, "as 'alpha'"),
        (11, &token, "alpha", Code::Malformed, "a partner 'alpha' already"),
        (11, &token, "beta", Code::Malformed, "itself"),
        (11, &token, "Gamma", Code::Malformed, "small letters"),
        (11, &wrong, "gamma", Code::NotAMember, "does not take this token"),
        (11, &elsewhere, "gamma", Code::Malformed, "as 'alpha'"),
    ] {
        let refusal = net.partner_accept(n, token, name).unwrap_err();
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.text().contains(says), "{refusal}");
    }
    assert_eq!(net.views(11), ["alpha On theirs on: 1*"]);
    assert!(net.partner_accept(11, &token, "gamma").is_ok(), "none of them has used it up");
}

#[test]
fn an_inviter_that_proves_nothing_is_no_partner() {
    let mut net = Net::two();
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    net.connect(11, 21);
    // The token says that 21 speaks for alpha, and 21 knows the secret.
    let real = net.partner_invite(21, "beta", DAY).unwrap();
    let domain = rear_proto::flavour::Domain { key: key("alpha"), name: "alpha".to_owned() };
    let forged = PartnerToken { domain, ..real };
    let refusal = net.partner_accept(11, &forged, "alpha").unwrap_err();
    assert!(refusal.text().contains("not proven"), "{refusal}");
    assert!(net.views(11).is_empty() && !net.nodes[&11].rows.keys().any(|(table, _)| *table == Table::Partners));
}

#[test]
fn suspending_is_one_sides_word_and_ends_nothing() {
    let mut net = Net::partners();
    let view = net.partner_switch(1, "beta", false).unwrap();
    assert_eq!((view.state, view.theirs), (PartnerState::Suspended, Some(true)));
    net.pass(Span::secs(1));
    assert_eq!(net.views(1), ["beta Suspended theirs on: 11*"]);
    assert_eq!(net.views(11), ["alpha On theirs off: 1*"], "the other learns of it and keeps its own word");
    assert!(!net.nodes[&1].partners[0].on && net.nodes[&11].partners[0].on);
    assert_eq!((net.told_by(1), net.told_by(11)), (vec![], vec![]), "nobody is gone");
    net.restart(1);
    net.connect(1, 11);
    net.pass(Span::secs(1));
    assert_eq!(net.views(1), ["beta Suspended theirs on: 11*"], "over a restart too");
    net.partner_switch(1, "beta", true).unwrap();
    net.pass(Span::secs(1));
    are_partners(&net);
    let rows = net.nodes[&1].rows.clone();
    net.pass(Span::secs(1));
    net.partner_switch(1, "beta", true).unwrap();
    assert_eq!(net.nodes[&1].rows, rows, "said again it changes nothing");
    assert_eq!(net.partner_switch(1, &key("beta").to_string(), false).unwrap().name, "beta", "by its key too");
    for (n, name, code) in [(1, "gamma", Code::NotFound), (11, "beta", Code::NotFound)] {
        assert_eq!(net.partner_switch(n, name, true).unwrap_err().code(), code);
        assert_eq!(net.partner_remove(n, name).unwrap_err().code(), code);
    }
    net.join(2, 1, Role::Node, Config::default());
    net.connect(1, 2);
    assert_eq!(net.partner_switch(2, "beta", true).unwrap_err().code(), Code::NotAMember, "only at supernodes");
}

#[test]
fn a_removed_partner_is_out_and_a_new_invitation_brings_it_back() {
    let mut net = Net::partners();
    assert_eq!(net.partner_remove(1, "beta").unwrap().state, PartnerState::Removed);
    assert_eq!(net.told_by(1), ["gone 11"], "not as if it were blocked");
    assert!(net.views(1).is_empty() && net.nodes[&1].partners.is_empty());
    assert!(net.partner_switch(1, "beta", true).is_err());
    net.pass(Span::secs(1));
    // It may say HELLO as often as it likes.
    net.disconnect(1, 11);
    net.connect(1, 11);
    net.restart(1);
    net.connect(1, 11);
    assert!(!net.told_by(1).iter().any(|told| told.starts_with("up") || told.starts_with("keep")));
    // The other side may remove too, and then a fresh invitation holds, under another name.
    net.partner_remove(11, "alpha").unwrap();
    let token = net.partner_invite(11, "alfa", DAY).unwrap();
    net.partner_accept(1, &token, "beta").unwrap();
    net.pass(Span::secs(1));
    assert_eq!(net.views(1), ["beta On theirs on: 11*"]);
    assert_eq!(net.views(11), ["alfa On theirs on: 1*"]);
}

#[test]
fn a_used_invitation_does_not_bring_a_removed_partner_back() {
    let mut net = Net::two();
    net.connect(1, 11);
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    net.partner_accept(11, &token, "alpha").unwrap();
    net.partner_remove(1, "beta").unwrap();
    assert_eq!(net.accept_with(11, 1, token.secret), uniform());
    assert!(net.views(1).is_empty());
}

#[test]
fn a_removed_partner_is_forgotten_after_a_month() {
    let mut net = Net::partners();
    net.partner_remove(1, "beta").unwrap();
    let kept = |net: &Net| net.nodes[&1].rows.keys().filter(|(_, key)| key.starts_with(b"partner/")).count();
    net.pass(DAY.times(29));
    net.restart(1);
    assert_eq!(kept(&net), 1);
    net.pass(DAY);
    assert_eq!(kept(&net), 0);
}

#[test]
fn partners_and_invitations_are_bounded() {
    let mut net = net();
    net.found_as(1, "alpha", Role::Supernode, Config { partners: 1, invitations: 3, ..Config::default() });
    net.found_as(11, "beta", Role::Supernode, Config::default());
    net.found_as(21, "gamma", Role::Supernode, Config::default());
    let tokens: Vec<_> = ["beta", "gamma", "more"].map(|name| net.partner_invite(1, name, DAY).unwrap()).into();
    assert_eq!(net.partner_invite(1, "most", DAY).unwrap_err().code(), Code::Overloaded);
    assert!(matches!(net.accept_with(11, 1, tokens[0].secret), Answer::Accepted(_)));
    let Answer::Refused(refusal) = net.accept_with(21, 1, tokens[1].secret) else { panic!("no bound") };
    assert_eq!(refusal.code(), Code::Overloaded);
    net.partner_remove(1, "beta").unwrap();
    assert!(matches!(net.accept_with(21, 1, tokens[1].secret), Answer::Accepted(_)), "a removed one makes room");
    assert_eq!(net.views(1).len(), 1);
}

#[test]
fn what_is_heard_of_a_partner_is_noted() {
    let mut net = Net::partners();
    net.pass(Span::secs(90));
    let heard = |net: &Net| net.nodes[&1].manager.partners(net.now).next().unwrap().last_heard.unwrap();
    assert!(heard(&net) < net.now);
    let now = net.now;
    let manager = &mut net.nodes.get_mut(&1).unwrap().manager;
    manager.heard(now, &id(99));
    manager.heard(now, &id(11));
    assert_eq!(heard(&net), now);
}

#[test]
fn a_question_to_a_partner_is_of_the_protocol() {
    // What is sent must pass the door at the other end.
    let mut net = Net::two();
    let ticket = kernel::Ticket(900);
    let token = net.partner_invite(1, "beta", DAY).unwrap();
    let mut out = Vec::new();
    let input = Input::PartnerAccept { ticket, token: Box::new(token), name: "alpha".to_owned() };
    let now = net.now;
    kernel::Manager::handle(&mut net.nodes.get_mut(&11).unwrap().manager, now, input, &mut out);
    let [federation::Effect::Ask { to, request: Request::Accept(accept), .. }] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!((to, &accept.addresses), (&party(1), &addresses(11)));
    assert!(!format!("{out:?}").contains("secret"), "no secret in what is printed");
    let ask = rear_proto::Ask { request: Request::Accept(accept.clone()), tell: false, extensions: Extensions::new() };
    ask.validate().unwrap();
}

#[test]
fn a_second_invitation_does_not_undo_a_suspension() {
    let mut net = Net::two();
    net.join(2, 1, Role::Supernode, Config::default());
    net.connect(1, 2);
    let (first, second) = (net.partner_invite(1, "beta", DAY).unwrap(), net.partner_invite(2, "beta", DAY).unwrap());
    for n in [1, 2] {
        net.connect(n, 11);
    }
    net.partner_accept(11, &first, "alpha").unwrap();
    net.pass(Span::secs(2));
    net.partner_switch(1, "beta", false).unwrap();
    net.pass(Span::secs(2));
    net.partner_accept(11, &second, "alpha").unwrap();
    net.pass(Span::secs(2));
    for n in [1, 2] {
        assert!(net.views(n)[0].starts_with("beta Suspended"), "{:?}", net.views(n));
    }
}
