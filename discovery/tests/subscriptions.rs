//! SUBSCRIBE: what a partner's supernode, or a catalogue, keeps telling.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use discovery::{Config, Input, subscriptions::Subscribe};
use kernel::Span;
use net::{Fate, Net, domain, everything, offer};
use rear_proto::{
    Answer, Code, Extensions, Request,
    membership::Role,
    message::{self, Taken},
};

const SECOND: Span = Span::secs(1);
const SP: usize = 0;
const P: usize = 1;
const SC: usize = 2;

fn wishing(to: &str, selector: &str) -> Config {
    let wish = Subscribe { to: to.to_owned(), selector: selector.parse().unwrap() };
    Config { subscribe: vec![wish], ..Config::default() }
}

/// Beta's supernode and a node of it, and alpha's supernode, which wishes for this of beta.
fn world(selector: &str) -> Net {
    let mut net = Net::new();
    net.node(domain(2), Role::Supernode, everything());
    net.node(domain(2), Role::Node, Config::default());
    net.node(domain(1), Role::Supernode, wishing("beta", selector));
    net.partners();
    net.link(SP, P);
    net.link(SP, SC);
    net.pass(SECOND);
    net.log.clear();
    net
}

fn own(net: &mut Net, n: usize, id: u16, cpu: u64, changes: u64) {
    let flavour = offer(&net.nodes[n], id, cpu, changes);
    net.own(n, flavour);
}

/// The changes of what the subscriber knows.
fn known(net: &Net) -> Vec<u64> {
    let mut known: Vec<u64> = net.view(SC).iter().map(|(.., changes)| *changes).collect();
    known.sort_unstable();
    known
}

fn settle(net: &mut Net) {
    net.pass(Span::secs(3));
}

fn subscribe(text: &str, within: u64) -> Request {
    let (selector, within) = (text.parse().unwrap(), Span::secs(within));
    Request::Subscribe(message::Subscribe { selector, within, extensions: Extensions::new() })
}

#[test]
fn a_subscriber_is_told_what_there_is_and_then_what_changes() {
    let mut net = world("");
    own(&mut net, SP, 1, 8, 1);
    own(&mut net, P, 2, 8, 2);
    settle(&mut net);
    assert_eq!(known(&net), [1, 2]);
    let sp = net.nodes[SP].id;
    for seen in net.nodes[SC].manager.candidates(net.now) {
        assert_eq!((seen.flavour.provider.node, seen.flavour.owner, seen.seen_via), (sp, sp, sp));
    }
    own(&mut net, P, 2, 4, 3);
    let id = offer(&net.nodes[SP], 1, 8, 1).id;
    net.feed(SP, Input::OwnGone(id));
    settle(&mut net);
    assert_eq!(known(&net), [3]);
    // It is kept current for as long as it is wanted.
    net.pass(Span::secs(3600));
    assert_eq!(known(&net), [3]);
}

#[test]
fn a_subscriber_that_comes_later_is_told_at_once() {
    let mut net = world("");
    own(&mut net, SP, 1, 8, 1);
    settle(&mut net);
    net.restart_link(SP, SC);
    net.log.clear();
    net.pass(Span::ZERO);
    assert_eq!((net.sent(SC, SP), known(&net)), (vec!["SUBSCRIBE"], vec![1]));
}

#[test]
fn only_what_is_wanted_is_told_and_what_is_so_no_longer_is_withdrawn() {
    let mut net = world("cpu>=4");
    own(&mut net, SP, 1, 8, 1);
    own(&mut net, SP, 2, 2, 2);
    settle(&mut net);
    assert_eq!(known(&net), [1]);
    own(&mut net, SP, 1, 3, 3);
    own(&mut net, SP, 2, 5, 4);
    settle(&mut net);
    assert_eq!(known(&net), [4]);
}

#[test]
fn what_a_subscriber_may_not_see_makes_no_noise() {
    let mut net = world("cpu>=4");
    for changes in 1..100 {
        own(&mut net, SP, 1, 2, changes);
        net.pass(SECOND);
    }
    assert!(net.sent(SP, SC).is_empty(), "{:?}", net.sent(SP, SC));
}

#[test]
fn what_follows_a_snapshot_that_does_not_fit_comes_too() {
    let mut net = world("");
    for id in 0..700 {
        own(&mut net, SP, id, 8, 1);
    }
    net.restart_link(SP, SC);
    settle(&mut net);
    assert_eq!(known(&net).len(), 700);
}

#[test]
fn a_gap_is_read_anew() {
    let mut net = world("");
    own(&mut net, SP, 1, 8, 1);
    settle(&mut net);
    net.log.clear();
    // A change is lost, and its sender believes that it was taken.
    own(&mut net, SP, 1, 8, 2);
    let taken = |next| Answer::Taken(Taken { next });
    assert_eq!(net.answer_all(SP, Span::secs(2), &taken(3)), Some(1));
    assert_eq!(known(&net), [1]);
    own(&mut net, SP, 2, 8, 3);
    settle(&mut net);
    assert!(net.sent(SC, SP).contains(&"SUBSCRIBE"), "{:?}", net.sent(SC, SP));
    assert_eq!(known(&net), [2, 3]);
}

#[test]
fn losses_on_the_way_are_made_good() {
    for fate in [Fate::Lose, Fate::LoseAnswer, Fate::Delay, Fate::Repeat] {
        for lost in 0..3 {
            let mut net = world("");
            own(&mut net, SP, 1, 8, 1);
            settle(&mut net);
            net.restart_link(SP, SC);
            own(&mut net, SP, 1, 8, 2);
            own(&mut net, SP, 2, 8, 3);
            let mut count = 0;
            net.pass_over(Span::secs(5), |_| {
                count += 1;
                if count == lost + 1 { fate } else { Fate::Arrive }
            });
            net.pass(Span::secs(75));
            net.release();
            net.pass(Span::secs(75));
            assert_eq!(known(&net), [2, 3], "{fate:?} of message {lost}");
        }
    }
}

#[test]
fn a_restart_of_either_side_is_made_good() {
    let mut net = world("");
    own(&mut net, SP, 1, 8, 1);
    settle(&mut net);
    net.restart(SC);
    net.partners();
    settle(&mut net);
    assert_eq!(known(&net), [1]);
    net.restart(SP);
    net.partners();
    own(&mut net, SP, 1, 8, 7);
    settle(&mut net);
    assert_eq!(known(&net), [7]);
}

#[test]
fn a_partner_that_is_switched_off_is_told_that_there_is_nothing() {
    let mut net = world("");
    own(&mut net, SP, 1, 8, 1);
    settle(&mut net);
    net.off.insert((domain(2), domain(1)));
    net.partners();
    settle(&mut net);
    assert_eq!(known(&net), []);
    own(&mut net, SP, 1, 8, 2);
    settle(&mut net);
    assert_eq!(known(&net), []);
    let answer = net.say(SC, SP, subscribe("", 600));
    assert!(matches!(answer, Answer::Refused(refusal) if refusal.code() == Code::NotShared));
}

#[test]
fn nothing_is_wanted_of_a_partner_that_is_switched_off_here() {
    let mut net = world("");
    own(&mut net, SP, 1, 8, 1);
    settle(&mut net);
    net.off.insert((domain(1), domain(2)));
    net.partners();
    net.log.clear();
    net.pass(Span::secs(700));
    assert_eq!((known(&net), net.sent(SC, SP)), (vec![], vec![]));
    assert!(net.sent(SP, SC).len() <= 6, "{:?}", net.sent(SP, SC));
    net.off.clear();
    net.partners();
    settle(&mut net);
    assert_eq!(known(&net), [1]);
}

#[test]
fn a_subscription_ends_by_itself() {
    let mut net = world("");
    net.node(domain(3), Role::Supernode, Config::default());
    net.partners();
    own(&mut net, SP, 1, 8, 1);
    assert!(matches!(net.say(3, SP, subscribe("", 30)), Answer::Snapshot(snapshot) if snapshot.offers.len() == 1));
    net.pass(Span::secs(40));
    net.log.clear();
    own(&mut net, SP, 1, 8, 2);
    net.pass(Span::secs(600));
    assert!(net.sent(SP, 3).is_empty(), "{:?}", net.sent(SP, 3));
}

#[test]
fn a_subscription_ends_by_itself_where_its_end_is_not_put_off() {
    let mut net = Net::new();
    net.node(domain(2), Role::Supernode, everything());
    net.node(domain(2), Role::Node, Config::default());
    // It wants more time than a provider grants, and says so again too late.
    net.node(domain(1), Role::Supernode, Config { subscribe_within: Span::secs(3 * 3600), ..wishing("beta", "") });
    net.partners();
    net.link(SP, SC);
    own(&mut net, SP, 1, 8, 1);
    net.pass(Span::secs(3500));
    assert_eq!(known(&net), [1]);
    net.pass(Span::secs(200));
    assert_eq!(known(&net), []);
    net.pass(Span::secs(1800));
    assert_eq!(known(&net), [1]);
}

#[test]
fn a_subscriber_that_answers_nothing_is_told_no_more() {
    let mut net = world("");
    net.node(domain(3), Role::Supernode, Config::default());
    net.partners();
    own(&mut net, SP, 1, 8, 1);
    // It never says that it wants to be told: by its own lights it has not subscribed.
    net.say(3, SP, subscribe("", 3600));
    net.pass(Span::secs(3000));
    let sent = net.sent(SP, 3).len();
    assert!((1..=5).contains(&sent), "{sent} messages");
}

#[test]
fn there_are_no_more_subscribers_than_may_be() {
    let mut net = Net::new();
    net.node(domain(2), Role::Supernode, Config { subscribers: 3, ..everything() });
    for _ in 0..5 {
        net.node(domain(1), Role::Supernode, Config::default());
    }
    net.partners();
    let say = |net: &mut Net, n| matches!(net.say(n, SP, subscribe("", 30)), Answer::Snapshot(_));
    let taken: Vec<bool> = (1..=5).map(|n| say(&mut net, n)).collect();
    assert_eq!(taken, [true, true, true, false, false]);
    assert!(say(&mut net, 2), "who subscribes already may say so again");
    net.pass(Span::secs(31));
    assert!(say(&mut net, 5), "what is over takes no room");
}

#[test]
fn nobody_subscribes_at_a_plain_node_and_no_stranger_at_a_supernode() {
    let mut net = world("");
    let refused =
        |answer| matches!(answer, Answer::Refused(refusal) if rear_proto::Refusal::code(&refusal) == Code::NotShared);
    assert!(refused(net.say(SP, P, subscribe("", 30))));
    // A plain node of the domain may, at its supernode.
    assert!(!refused(net.say(P, SP, subscribe("", 30))));
}

#[test]
fn a_subscriber_believes_a_partner_of_its_own_offers_alone() {
    let mut net = world("");
    let (mine, inner) = (offer(&net.nodes[SP], 1, 8, 1), offer(&net.nodes[P], 2, 8, 2));
    let offers = [mine, inner].map(|flavour| message::Offered::Direct(Box::new(flavour))).to_vec();
    let message = message::Advertise { feed: u64::MAX, number: 0, offers, more: false, extensions: Extensions::new() };
    net.say(SP, SC, Request::Advertise(message));
    assert_eq!(known(&net), [1]);
    assert_eq!(net.nodes[SC].failed, [net.nodes[SP].id]);
}

/// Alpha's supernode (3) is told by a catalogue (2) of what beta (0, 1) publishes there.
fn by_catalogue() -> Net {
    let mut net = Net::new();
    net.node(domain(2), Role::Supernode, everything());
    net.node(domain(2), Role::Node, Config::default());
    net.node(domain(3), Role::Catalogue, Config::default());
    net.node(domain(1), Role::Supernode, wishing("catalogues", ""));
    net.partners();
    net.link(0, 1);
    net.link(0, 2);
    net.link(3, 2);
    net.pass(SECOND);
    net
}

fn heard(net: &Net) -> Vec<u64> {
    let mut heard: Vec<u64> = net.view(3).iter().map(|(.., changes)| *changes).collect();
    heard.sort_unstable();
    heard
}

#[test]
fn a_catalogue_tells_its_subscribers_what_is_published_for_them() {
    let mut net = by_catalogue();
    own(&mut net, 0, 1, 8, 1);
    own(&mut net, 1, 2, 8, 2);
    net.pass(Span::secs(5));
    assert_eq!(heard(&net), [1, 2]);
    let (sp, k) = (net.nodes[0].id, net.nodes[2].id);
    for seen in net.nodes[3].manager.candidates(net.now) {
        assert_eq!((seen.flavour.provider.node, seen.seen_via), (sp, k));
    }
    own(&mut net, 0, 1, 4, 3);
    let id = offer(&net.nodes[1], 2, 8, 1).id;
    net.feed(1, Input::OwnGone(id));
    net.pass(Span::secs(5));
    assert_eq!(heard(&net), [3]);
    for _ in 0..100 {
        net.pass(Span::secs(10));
        assert_eq!(heard(&net), [3]);
    }
    // The publisher goes: nothing it has signed is believed for longer than it said.
    net.cut(0, 2);
    net.pass(Span::secs(95));
    assert_eq!(heard(&net), []);
}

#[test]
fn a_catalogue_that_makes_things_up_is_not_believed() {
    let mut net = by_catalogue();
    own(&mut net, 0, 1, 8, 1);
    net.pass(Span::secs(5));
    let flavour = offer(&net.nodes[0], 9, 8, 9);
    let (by, at, viewer) = (net.nodes[0].id, net.now, domain(1));
    let made_up = rear_proto::published::Published { by, viewer, at, flavour, extensions: Extensions::new() };
    let signed = rear_proto::Signed::new(made_up, &net.nodes[2].signer);
    let offers = vec![message::Offered::Signed(Box::new(signed))];
    let message = message::Advertise { feed: u64::MAX, number: 0, offers, more: false, extensions: Extensions::new() };
    net.say(2, 3, Request::Advertise(message));
    assert_eq!(heard(&net), [], "what it does not say any more is gone, and what it made up is not there");
    assert_eq!(net.nodes[3].failed, [net.nodes[2].id]);
}
