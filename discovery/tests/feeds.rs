//! ADVERTISE, REFRESH, WITHDRAW: what a supernode learns of its domain's nodes, however the wire is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use discovery::{Config, Input};
use kernel::{FlavourId, NodeId, Span};
use net::{Fate, Net, domain, offer};
use proptest::prelude::*;
use rear_proto::{
    Answer, Code, Extensions, Flavour, Request,
    membership::Role,
    message::{Advertise, Offered, Refresh, Taken, Withdraw, Withdrawn},
};

const SECOND: Span = Span::secs(1);

/// A supernode (0) and a node (1) of one domain, connected.
fn pair() -> Net {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    net.link(0, 1);
    net.pass(SECOND);
    net.log.clear();
    net
}

/// What the supernode should have heard of node 1, where it offers these: ids and changes.
fn offers(net: &Net, offered: &[(u16, u64)]) -> Vec<(NodeId, FlavourId, u64)> {
    let node = &net.nodes[1];
    let mut view: Vec<_> = offered.iter().map(|(id, changes)| (node.id, offer(node, *id, 8, 1).id, *changes)).collect();
    view.sort();
    view
}

fn own(net: &mut Net, id: u16, changes: u64) {
    let flavour = offer(&net.nodes[1], id, 8, changes);
    net.own(1, flavour);
}

fn gone(net: &mut Net, id: u16) {
    let id = offer(&net.nodes[1], id, 8, 1).id;
    net.feed(1, Input::OwnGone(id));
}

fn advertise(feed: u64, number: u64, offers: Vec<Flavour>, more: bool) -> Request {
    let offers = offers.into_iter().map(|flavour| Offered::Direct(Box::new(flavour))).collect();
    Request::Advertise(Advertise { feed, number, offers, more, extensions: Extensions::new() })
}

fn refresh(feed: u64, number: u64, offers: Vec<Flavour>) -> Request {
    let offers = offers.into_iter().map(|flavour| Offered::Direct(Box::new(flavour))).collect();
    Request::Refresh(Refresh { feed, number, offers, extensions: Extensions::new() })
}

fn next(answer: &Answer) -> u64 {
    match answer {
        Answer::Taken(Taken { next }) => *next,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_supernode_hears_of_offers_and_changes_and_of_their_end() {
    let mut net = pair();
    own(&mut net, 1, 1);
    own(&mut net, 2, 1);
    net.pass(SECOND);
    assert_eq!(net.view(0), offers(&net, &[(1, 1), (2, 1)]));
    own(&mut net, 1, 2);
    gone(&mut net, 2);
    net.pass(SECOND);
    assert_eq!(net.view(0), offers(&net, &[(1, 2)]));
    assert_eq!(net.sent(1, 0), ["REFRESH", "REFRESH", "WITHDRAW"]);
}

#[test]
fn what_is_there_already_is_told_as_soon_as_a_supernode_is_reached() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    own(&mut net, 1, 1);
    net.link(0, 1);
    net.pass(Span::ZERO);
    assert_eq!(net.view(0), offers(&net, &[(1, 1)]));
    assert_eq!(net.sent(1, 0), ["ADVERTISE"]);
}

#[test]
fn plain_nodes_are_told_nothing_and_no_node_tells_itself() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    net.link(0, 1);
    net.link(1, 2);
    for n in 0..3 {
        let flavour = offer(&net.nodes[n], 1, 8, 1);
        net.own(n, flavour);
    }
    net.pass(Span::secs(300));
    assert!(net.log.iter().all(|(from, to, _)| (*from, *to) == (1, 0)), "{:?}", net.log);
}

#[test]
fn a_supernode_tells_another_of_its_own_offers_alone() {
    let mut net = pair();
    net.node(domain(1), Role::Supernode, Config::default());
    own(&mut net, 1, 1);
    let flavour = offer(&net.nodes[0], 9, 8, 1);
    net.own(0, flavour.clone());
    net.link(0, 2);
    net.pass(SECOND);
    assert_eq!(net.view(2), [(net.nodes[0].id, flavour.id, 1)]);
}

#[test]
fn a_thousand_changes_in_a_second_are_one_message() {
    let mut net = pair();
    for changes in 1..=1000 {
        own(&mut net, 1, changes);
        net.pass(Span::ZERO);
    }
    net.pass(SECOND);
    assert_eq!(net.sent(1, 0), ["REFRESH"]);
    assert_eq!(net.view(0), offers(&net, &[(1, 1000)]));
}

#[test]
fn changes_without_end_are_one_message_a_second() {
    let mut net = pair();
    for changes in 1..=1000 {
        own(&mut net, 1, changes);
        net.pass(Span::millis(10));
    }
    let sent = net.sent(1, 0).len();
    assert!((9..=11).contains(&sent), "{sent} messages in ten seconds");
}

#[test]
fn what_comes_and_goes_within_a_second_is_not_told_of() {
    let mut net = pair();
    own(&mut net, 1, 1);
    gone(&mut net, 1);
    net.pass(Span::secs(5));
    assert!(net.sent(1, 0).is_empty(), "{:?}", net.log);
}

#[test]
fn what_does_not_change_is_said_to_hold_and_stays() {
    let mut net = pair();
    own(&mut net, 1, 1);
    for _ in 0..100 {
        net.pass(Span::secs(6));
        assert_eq!(net.view(0), offers(&net, &[(1, 1)]));
    }
    let sent = net.sent(1, 0).len();
    // Every twenty seconds, where an offer holds for sixty.
    assert!((29..=32).contains(&sent), "{sent} messages in ten minutes");
    assert!(
        net.log[1..]
            .iter()
            .all(|(_, _, request)| matches!(request, Request::Refresh(refresh) if refresh.offers.is_empty())),
        "what did not change was said again"
    );
}

#[test]
fn what_is_not_said_to_hold_lapses() {
    let mut net = pair();
    own(&mut net, 1, 1);
    net.pass(SECOND);
    net.cut(0, 1);
    net.pass(Span::secs(58));
    assert_eq!(net.view(0), offers(&net, &[(1, 1)]), "being out of reach for a moment takes nothing away");
    net.pass(Span::secs(3));
    assert_eq!(net.view(0), []);
}

#[test]
fn who_offers_nothing_says_so_once_and_is_silent() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    net.link(0, 1);
    net.pass(Span::secs(3600));
    assert_eq!(net.sent(1, 0), ["ADVERTISE"]);
}

#[test]
fn a_lost_message_is_made_good_by_a_snapshot() {
    for fate in [Fate::Lose, Fate::LoseAnswer, Fate::Delay, Fate::Repeat] {
        let mut net = pair();
        own(&mut net, 1, 1);
        own(&mut net, 2, 1);
        net.pass(SECOND);
        own(&mut net, 1, 2);
        gone(&mut net, 2);
        let mut first = true;
        net.pass_over(Span::secs(2), |_| if std::mem::take(&mut first) { fate } else { Fate::Arrive });
        net.pass(Span::secs(30));
        assert_eq!(net.view(0), offers(&net, &[(1, 2)]), "{fate:?}");
        net.release();
        net.pass(Span::secs(30));
        assert_eq!(net.view(0), offers(&net, &[(1, 2)]), "{fate:?}, and then it came");
    }
}

#[test]
fn a_snapshot_that_comes_late_changes_nothing() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    own(&mut net, 1, 1);
    own(&mut net, 2, 1);
    net.link(0, 1);
    let mut first = true;
    net.pass_over(SECOND, |_| if std::mem::take(&mut first) { Fate::Delay } else { Fate::Arrive });
    gone(&mut net, 2);
    own(&mut net, 3, 1);
    net.pass(Span::secs(15));
    assert_eq!(net.view(0), offers(&net, &[(1, 1), (3, 1)]));
    net.release();
    assert_eq!(net.view(0), offers(&net, &[(1, 1), (3, 1)]));
}

#[test]
fn a_receiver_that_says_nothing_is_tried_less_and_less() {
    let mut net = pair();
    own(&mut net, 1, 1);
    net.pass_over(Span::secs(3600), |_| Fate::Lose);
    let sent = net.sent(1, 0).len();
    assert!((40..=80).contains(&sent), "{sent} tries in an hour");
    net.pass(Span::secs(71));
    assert_eq!(net.view(0), offers(&net, &[(1, 1)]), "once it takes what it is told, it is told");
}

#[test]
fn a_receiver_that_finds_a_gap_every_time_is_not_told_everything_all_the_time() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    own(&mut net, 1, 1);
    net.link(0, 1);
    let (mut asks, end) = (0, net.now + Span::secs(600));
    while let Some(asked) = net.answer_all(1, net.now.until(end), &Answer::Taken(Taken { next: 77 })) {
        asks += asked;
    }
    assert!(asks < 30, "{asks} messages within ten minutes");
}

#[test]
fn a_restart_of_either_side_is_made_good_at_once() {
    let mut net = pair();
    own(&mut net, 1, 1);
    own(&mut net, 2, 1);
    net.pass(SECOND);
    net.restart(0);
    assert_eq!(net.view(0), []);
    net.pass(Span::ZERO);
    assert_eq!(net.view(0), offers(&net, &[(1, 1), (2, 1)]));

    net.restart(1);
    own(&mut net, 2, 5);
    net.pass(SECOND);
    assert_eq!(net.view(0), offers(&net, &[(2, 5)]), "what it offered in its last life it does not offer any more");
}

#[test]
fn what_was_heard_in_an_earlier_life_is_replaced_too() {
    let mut net = pair();
    own(&mut net, 1, 1);
    own(&mut net, 2, 1);
    net.pass(Span::secs(3));
    gone(&mut net, 2);
    net.restart_with_rows(0);
    assert_eq!(net.view(0), offers(&net, &[(1, 1), (2, 1)]), "it remembers");
    net.pass(SECOND);
    assert_eq!(net.view(0), offers(&net, &[(1, 1)]));
}

#[test]
fn a_snapshot_of_many_offers_comes_in_parts() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    for id in 0..700 {
        own(&mut net, id, 1);
    }
    net.link(0, 1);
    net.pass(Span::ZERO);
    assert_eq!(net.view(0).len(), 700);
    let sent = net.sent(1, 0);
    assert!(sent.len() >= 3 && sent.iter().all(|name| *name == "ADVERTISE"), "{sent:?}");
    // What is not in a later one goes, and not before it is whole.
    for id in 100..700 {
        gone(&mut net, id);
    }
    net.restart_link(0, 1);
    net.pass(Span::ZERO);
    assert_eq!(net.view(0).len(), 100);
}

#[test]
fn large_offers_fill_messages_by_their_bytes() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    for id in 0..40 {
        let mut flavour = offer(&net.nodes[1], id, 8, 1);
        for n in 0..60 {
            flavour.properties.additional.insert(format!("word-{n}"), "x".repeat(200));
        }
        net.own(1, flavour);
    }
    net.link(0, 1);
    net.pass(Span::ZERO);
    // That each fits its frame is checked where it is delivered.
    assert_eq!(net.view(0).len(), 40);
    assert!(net.sent(1, 0).len() >= 3);
}

#[test]
fn a_change_within_a_snapshot_under_way_is_not_lost() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config::default());
    net.node(domain(1), Role::Node, Config::default());
    for id in 0..600 {
        own(&mut net, id, 1);
    }
    net.link(0, 1);
    // The first part arrives, and its answer takes its time.
    net.wake_and_hold(1);
    for id in [3, 599] {
        own(&mut net, id, 2);
    }
    gone(&mut net, 4);
    gone(&mut net, 598);
    net.let_go();
    net.pass(Span::secs(2));
    let view = net.view(0);
    assert_eq!(view.len(), 598);
    assert_eq!(view.iter().filter(|(_, _, changes)| *changes == 2).count(), 2);
}

#[test]
fn a_liar_is_believed_of_its_own_offers_alone_and_rated() {
    let mut net = pair();
    net.node(domain(2), Role::Node, Config::default());
    let mine = offer(&net.nodes[1], 1, 8, 1);
    let others = offer(&net.nodes[0], 2, 8, 1);
    let abroad = Flavour { domain: offer(&net.nodes[2], 3, 8, 1).domain, ..offer(&net.nodes[1], 3, 8, 1) };
    let too_much = Flavour { available: offer(&net.nodes[1], 4, 9, 1).available, ..offer(&net.nodes[1], 4, 8, 1) };
    let answer = net.say(1, 0, advertise(u64::MAX, 0, vec![mine.clone(), others, abroad, too_much], false));
    assert_eq!(next(&answer), 1);
    assert_eq!(net.view(0), [(net.nodes[1].id, mine.id, 1)]);
    assert_eq!(net.nodes[0].failed, [net.nodes[1].id]);
}

#[test]
fn nobody_withdraws_anothers_offers() {
    let mut net = pair();
    net.node(domain(1), Role::Node, Config::default());
    net.link(0, 2);
    own(&mut net, 1, 1);
    net.pass(SECOND);
    let name = Withdrawn { viewer: None, flavour: offer(&net.nodes[1], 1, 8, 1).id };
    net.say(2, 0, advertise(u64::MAX, 0, Vec::new(), false));
    let withdraw = Withdraw { feed: u64::MAX, number: 1, offers: vec![name], extensions: Extensions::new() };
    assert_eq!(next(&net.say(2, 0, Request::Withdraw(withdraw))), 2);
    assert_eq!(net.view(0), offers(&net, &[(1, 1)]));
}

#[test]
fn only_the_next_message_of_a_feed_is_taken() {
    let mut net = pair();
    let [a, b, c] = [1, 2, 3].map(|id| offer(&net.nodes[1], id, 8, 1));
    let feed = u64::MAX - 5;
    // A feed begins with its snapshot.
    assert_eq!(next(&net.say(1, 0, refresh(feed, 0, vec![a.clone()]))), 0);
    assert_eq!(next(&net.say(1, 0, advertise(feed, 1, vec![a.clone()], false))), 0);
    assert_eq!(net.view(0), []);
    assert_eq!(next(&net.say(1, 0, advertise(feed, 0, vec![a.clone()], true))), 1);
    // A snapshot is told to its end.
    assert_eq!(next(&net.say(1, 0, refresh(feed, 1, vec![c.clone()]))), 1);
    assert_eq!(next(&net.say(1, 0, advertise(feed, 1, vec![b.clone()], false))), 2);
    assert_eq!(net.view(0).len(), 2);
    // A gap, and what was there before.
    assert_eq!(next(&net.say(1, 0, refresh(feed, 3, vec![c.clone()]))), 2);
    assert_eq!(next(&net.say(1, 0, advertise(feed, 0, vec![c.clone()], false))), 2);
    assert_eq!(net.view(0).len(), 2);
    // A later feed, and then the one before it.
    assert_eq!(next(&net.say(1, 0, advertise(feed + 1, 0, vec![c.clone()], false))), 1);
    assert_eq!(next(&net.say(1, 0, refresh(feed, 2, vec![a]))), 0);
    assert_eq!(net.view(0), [(net.nodes[1].id, c.id, 1)]);
}

#[test]
fn by_a_new_connection_a_feed_of_any_number_is_taken() {
    let mut net = pair();
    let flavour = offer(&net.nodes[1], 1, 8, 1);
    net.say(1, 0, advertise(u64::MAX, 0, Vec::new(), false));
    assert_eq!(next(&net.say(1, 0, advertise(7, 0, vec![flavour.clone()], false))), 0);
    net.restart_link(0, 1);
    assert_eq!(next(&net.say(1, 0, advertise(7, 0, vec![flavour], false))), 1);
    assert_eq!(net.view(0), offers(&net, &[(1, 1)]));
}

#[test]
fn one_node_has_no_more_offers_here_than_it_may() {
    let mut net = Net::new();
    net.node(domain(1), Role::Supernode, Config { candidates_per_provider: 10, ..Config::default() });
    net.node(domain(1), Role::Node, Config::default());
    for id in 0..50 {
        own(&mut net, id, 1);
    }
    net.link(0, 1);
    net.pass(Span::secs(30));
    assert_eq!(net.view(0).len(), 10);
}

#[test]
fn who_was_not_asked_to_tell_is_refused() {
    let mut net = pair();
    net.node(domain(2), Role::Supernode, Config::default());
    let refused = |answer: Answer| matches!(answer, Answer::Refused(refusal) if refusal.code() == Code::NotShared);
    let flavour = offer(&net.nodes[2], 1, 8, 1);
    // A partner that this supernode has not subscribed to, and a supernode that tells a plain node.
    assert!(refused(net.say(2, 0, advertise(1, 0, vec![flavour], false))));
    let flavour = offer(&net.nodes[0], 1, 8, 1);
    assert!(refused(net.say(0, 1, advertise(1, 0, vec![flavour], false))));
    assert_eq!((net.view(0), net.view(1)), (Vec::new(), Vec::new()));
}

#[test]
fn a_member_that_is_removed_is_forgotten() {
    let mut net = pair();
    own(&mut net, 1, 1);
    net.pass(SECOND);
    let node = net.nodes[1].id;
    net.feed(0, Input::EndpointGone { node });
    assert_eq!(net.view(0), []);
}

/// What may happen to the sender and to the wire.
#[derive(Debug, Clone)]
enum Happening {
    Offer(u16),
    Gone(u16),
    Pass(u64, Vec<u8>),
    Late,
    Cut,
    RestartSender,
    RestartReceiver,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..8u16).prop_map(Happening::Offer),
        2 => (0..8u16).prop_map(Happening::Gone),
        6 => (0..30_000u64, proptest::collection::vec(0..5u8, 8)).prop_map(|(span, fates)| Happening::Pass(span, fates)),
        1 => Just(Happening::Late),
        1 => Just(Happening::Cut),
        1 => Just(Happening::RestartSender),
        1 => Just(Happening::RestartReceiver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_or_late_the_receiver_comes_to_know_what_is_offered(
        happenings in proptest::collection::vec(happening(), 1..40)
    ) {
        let mut net = pair();
        let mut truth = std::collections::BTreeMap::new();
        let mut changes = 1;
        for happening in happenings {
            match happening {
                Happening::Offer(id) => {
                    changes += 1;
                    truth.insert(id, changes);
                    own(&mut net, id, changes);
                }
                Happening::Gone(id) => {
                    truth.remove(&id);
                    gone(&mut net, id);
                }
                Happening::Pass(span, fates) => {
                    let mut fates = fates.into_iter();
                    net.pass_over(Span::millis(span), |_| match fates.next() {
                        Some(0) => Fate::Lose,
                        Some(1) => Fate::LoseAnswer,
                        Some(2) => Fate::Repeat,
                        Some(3) => Fate::Delay,
                        Some(_) | None => Fate::Arrive,
                    });
                }
                Happening::Late => net.release(),
                Happening::Cut => {
                    // What was on its way goes with the connection.
                    net.delayed.clear();
                    net.restart_link(0, 1);
                }
                Happening::RestartSender => {
                    net.delayed.clear();
                    net.restart(1);
                    for (id, changes) in truth.clone() {
                        own(&mut net, id, changes);
                    }
                }
                Happening::RestartReceiver => {
                    net.delayed.clear();
                    net.restart(0);
                }
            }
        }
        // The wire is well from here on: whatever is still on its way arrives, and the longest wait passes.
        net.release();
        net.pass(Span::secs(75));
        let truth: Vec<(u16, u64)> = truth.into_iter().collect();
        prop_assert_eq!(net.view(0), offers(&net, &truth));
    }
}
