//! Capacity digests: who is told what and when, and whom it is not worth asking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod net;

use discovery::{Config, Effect, Input, PartnerLists, config::Expose, mail::Asker};
use kernel::{FlavourId, Manager as _, RequestId, Span, Ticket};
use net::{three::*, *};
use rear_proto::{
    Answer, CapacityDigest, Code, Kind, Money, Request, Selector, Trace,
    local::{Caller, Pick},
    membership::Role,
    message::{List, Scope},
};

/// How long growth waits, shrinking waits, and a heartbeat takes.
const GROWTH: Span = Span::millis(100);
const SHRINK: Span = Span::secs(10);
const HEARTBEAT: Span = Span::secs(180);

fn world() -> Net {
    world_with(everything())
}

fn settle(net: &mut Net) {
    net.pass(Span::secs(30));
    (net.log, net.digests) = Default::default();
}

/// Beta offers this much, from now on.
fn offers(net: &mut Net, cpu: u64, changes: u64) {
    let flavour = offer(&net.nodes[SP], 1, cpu, changes);
    net.own(SP, flavour);
}

/// What was told since the log was emptied.
fn told(net: &Net, from: usize, to: usize) -> Vec<&CapacityDigest> {
    net.digests.iter().filter(|(f, t, _)| (*f, *t) == (from, to)).map(|(.., digest)| digest).collect()
}

fn may_have(digest: &CapacityDigest, text: &str) -> bool {
    digest.may_have(&text.parse().unwrap())
}

/// Says whether alpha's supernode asks beta's when it looks for something, and not only since nobody has anything.
fn asks(net: &mut Net, text: &str) -> bool {
    let before = lists(net);
    net.log.clear();
    net.discover(SC, text);
    let after = lists(net);
    let first = (after.sent - before.sent) - (after.after_all - before.after_all);
    let is_list = |request: &Request| matches!(request, Request::List(_));
    let asked = net.log.iter().filter(|(from, _, request)| *from == SC && is_list(request)).map(|(_, to, _)| *to);
    let asks = asked.take(first as usize).any(|to| to == SP);
    net.pass(Span::ZERO);
    asks
}

const fn is_digest(packet: &Packet) -> bool {
    matches!(packet.request, Request::CapacityDigest(_))
}

/// Lets time pass; digests are lost.
fn pass_deaf(net: &mut Net, span: Span) {
    net.pass_over(span, |packet| if is_digest(packet) { Fate::Lose } else { Fate::Arrive });
}

fn lists(net: &Net) -> PartnerLists {
    net.nodes[SC].manager.partner_lists()
}

#[test]
fn a_partner_is_told_when_it_is_there_and_then_once_a_heartbeat() {
    let mut net = world();
    offers(&mut net, 4, 1);
    net.pass(Span::ZERO);
    let first = told(&net, SP, SC);
    assert!(first.len() == 1 && may_have(first[0], "cpu>=4") && !may_have(first[0], "cpu>=5"), "{first:#?}");
    assert!(rear_proto::wire::codec::encode(first[0]).len() < 200);
    settle(&mut net);
    net.pass(Span::secs(3600));
    assert_eq!((told(&net, SP, SC).len(), told(&net, SC, SP).len(), told(&net, SP, P).len()), (20, 20, 0));
    let numbers: Vec<_> = told(&net, SP, SC).iter().map(|digest| digest.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_partner_that_has_nothing_that_fits_is_not_asked() {
    let mut net = world();
    offers(&mut net, 4, 1);
    settle(&mut net);
    let mut other = offer(&net.nodes[SG], 2, 2, 1);
    let Kind::K8Slice(slice) = &mut other.kind else { panic!("a slice") };
    slice.architecture = "arm64".to_owned();
    net.own(SG, other);
    settle(&mut net);
    assert!(asks(&mut net, "cpu>=4") && !asks(&mut net, "arch=arm64"));
    assert_eq!((net.sent(SC, SP), net.sent(SC, SG)), (vec![], vec!["LIST_FLAVOURS"]));
    assert_eq!(lists(&net), PartnerLists { sent: 2, saved: 2, after_all: 0 });
}

#[test]
fn where_nobody_has_anything_all_are_asked_after_all_and_what_came_just_now_is_found() {
    let mut net = world();
    offers(&mut net, 2, 1);
    net.own(SG, offer(&net.nodes[SG], 2, 4, 1));
    settle(&mut net);
    // It is not told before the question is there.
    offers(&mut net, 5, 2);
    assert!(!asks(&mut net, "cpu>=5"));
    assert_eq!(lists(&net), PartnerLists { sent: 2, saved: 0, after_all: 2 });
    let seen = |net: &Net| net.view(SC).into_iter().map(|(via, _, changes)| (via, changes)).collect::<Vec<_>>();
    assert_eq!(seen(&net), [(net.nodes[SP].id, 2)]);
    // One that may have it has nothing any longer, and one that had nothing has it.
    net.own(SG, offer(&net.nodes[SG], 2, 7, 2));
    net.pass(GROWTH);
    net.own(SG, offer(&net.nodes[SG], 2, 1, 3));
    offers(&mut net, 7, 3);
    net.log.clear();
    net.discover(SC, "cpu>=7");
    assert_eq!((net.sent(SC, SP).len(), net.sent(SC, SG).len()), (1, 1));
    assert_eq!(seen(&net), [(net.nodes[SP].id, 3)]);
}

#[test]
fn a_member_is_shown_what_came_just_now_too() {
    let mut net = world();
    let member = net.node(domain(1), Role::Node, everything());
    net.link(member, SC);
    offers(&mut net, 4, 1);
    settle(&mut net);
    // Of what is known here, nothing is so any longer, and beta's supernode has said that of this and not of what follows.
    assert!(asks(&mut net, "cpu>=4"));
    offers(&mut net, 2, 2);
    net.pass(SHRINK);
    offers(&mut net, 8, 3);
    net.discover(member, "cpu>=4");
    let found: Vec<_> = net.view(member).into_iter().map(|(.., changes)| changes).collect();
    assert_eq!((found, lists(&net).after_all), (vec![3], 2));
}

#[test]
fn a_question_that_is_asked_after_all_was_not_saved_whoever_asks() {
    let mut net = world();
    let member = net.node(domain(1), Role::Node, everything());
    net.link(member, SC);
    offers(&mut net, 4, 1);
    settle(&mut net);
    net.discover(member, "cpu>=8");
    assert_eq!(lists(&net), PartnerLists { sent: 2, saved: 0, after_all: 2 });
}

#[test]
fn one_that_is_silent_leaves_time_to_ask_those_that_deny() {
    let mut net = world();
    offers(&mut net, 2, 1);
    net.own(SG, offer(&net.nodes[SG], 2, 8, 1));
    settle(&mut net);
    offers(&mut net, 8, 2);
    let is_gammas = |packet: &Packet| packet.to == SG;
    let asker = Asker::Operator { ticket: Ticket(0), explain: false };
    let selector = "cpu>=8".parse().unwrap();
    let discover = Input::Discover { asker, selector, ceiling: None, k: 4, exclude: Vec::new(), trace: Trace::None };
    net.feed_over(SC, discover, |packet| if is_gammas(packet) { Fate::Lose } else { Fate::Arrive });
    assert_eq!(net.view(SC), []);
    net.pass(Config::default().list_deadline.divided(2));
    assert_eq!(net.view(SC).len(), 1);
}

#[test]
fn what_is_too_old_for_who_waits_keeps_nobody_from_asking_those_that_deny() {
    let mut net = world();
    offers(&mut net, 2, 1);
    net.own(SG, offer(&net.nodes[SG], 2, 8, 1));
    settle(&mut net);
    net.discover(SC, "cpu>=8");
    net.pass(Span::secs(40));
    offers(&mut net, 8, 2);
    let (request, selector): (_, Selector) = (RequestId(1), "cpu>=8".parse().unwrap());
    let is_gammas = |packet: &Packet| packet.to == SG;
    let find = Input::Find { request, pick: Pick::Matching(selector.clone()), k: 4, max_age: Span::secs(30) };
    net.feed(SC, find);
    let asker = Asker::Rear(request);
    let discover = Input::Discover { asker, selector, ceiling: None, k: 4, exclude: Vec::new(), trace: Trace::None };
    net.feed_over(SC, discover, |packet| if is_gammas(packet) { Fate::Lose } else { Fate::Arrive });
    // Gamma's is known, and may hold for some seconds more, but it was heard too long ago to be tried.
    assert_eq!(net.view(SC).len(), 1);
    net.pass(Config::default().list_deadline.divided(2));
    assert_eq!(net.view(SC).len(), 2);
}

#[test]
fn what_is_too_dear_for_who_waits_keeps_nobody_from_asking_those_that_deny() {
    for (ceiling, after_all) in [(None, 0), (Some("2EUR/h"), 0), (Some("0.5EUR/h"), 1)] {
        let mut net = world();
        offers(&mut net, 2, 1);
        net.own(SG, offer(&net.nodes[SG], 2, 8, 1));
        settle(&mut net);
        let mut cheap = offer(&net.nodes[SP], 1, 8, 2);
        cheap.price.amount = Money(500_000);
        net.own(SP, cheap);
        let ceiling = ceiling.map(|text| text.parse().unwrap());
        let (asker, selector) = (Asker::Rear(RequestId(1)), "cpu>=8".parse().unwrap());
        net.feed(SC, Input::Discover { asker, selector, ceiling, k: 4, exclude: Vec::new(), trace: Trace::None });
        assert_eq!((lists(&net).after_all, net.view(SC).len()), (after_all, 1 + after_all as usize), "{ceiling:?}");
    }
}

#[test]
fn growth_is_told_in_a_moment_and_several_at_once() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    for (cpu, changes) in [(3, 2), (4, 3), (6, 4)] {
        offers(&mut net, cpu, changes);
        net.pass(Span::millis(30));
    }
    assert!(told(&net, SP, SC).is_empty() && !asks(&mut net, "cpu>=6"));
    net.pass(Span::millis(10));
    assert_eq!(told(&net, SP, SC).len(), 1);
    assert!(asks(&mut net, "cpu>=6"));
}

#[test]
fn a_lower_price_is_growth() {
    let mut net = world();
    offers(&mut net, 8, 1);
    settle(&mut net);
    assert!(!asks(&mut net, "cpu>=8, price<=0.50EUR/h"));
    let mut cheap = offer(&net.nodes[SP], 1, 8, 2);
    cheap.price.amount = Money(500_000);
    net.own(SP, cheap);
    net.pass(GROWTH);
    assert!(asks(&mut net, "cpu>=8, price<=0.50EUR/h"));
}

#[test]
fn shrinking_is_told_late_and_growth_meanwhile_at_once() {
    let mut net = world();
    offers(&mut net, 8, 1);
    settle(&mut net);
    offers(&mut net, 2, 2);
    net.pass(Span::secs(5));
    // Until it is told, the question costs an answer of nothing.
    assert!(told(&net, SP, SC).is_empty() && asks(&mut net, "cpu>=8"));
    let mut other = offer(&net.nodes[P], 7, 1, 3);
    let Kind::K8Slice(slice) = &mut other.kind else { panic!("a slice") };
    slice.architecture = "arm64".to_owned();
    net.own(P, other);
    // One second until it is advertised.
    net.pass(Span::secs(1).plus(GROWTH));
    assert_eq!(told(&net, SP, SC).len(), 1);
    assert!(asks(&mut net, "arch=arm64, cpu>=1") && asks(&mut net, "cpu>=8"));
    net.pass(Span::secs(4));
    assert_eq!(told(&net, SP, SC).len(), 2);
    assert!(asks(&mut net, "arch=arm64, cpu>=1") && !asks(&mut net, "cpu>=8") && asks(&mut net, "cpu>=2"));
}

#[test]
fn a_change_that_matters_to_nobody_is_not_told() {
    let mut net = world();
    offers(&mut net, 8, 1);
    let small = |net: &Net, cpu, changes| offer(&net.nodes[SP], 2, cpu, changes);
    settle(&mut net);
    for changes in 2..50 {
        let flavour = small(&net, changes % 8, changes);
        net.own(SP, flavour);
        net.pass(Span::millis(500));
    }
    assert!(told(&net, SP, SC).len() <= 1, "{:?}", told(&net, SP, SC).len());
}

#[test]
fn what_grows_all_the_time_says_that_there_may_be_anything() {
    let mut net = world();
    offers(&mut net, 1, 1);
    settle(&mut net);
    for changes in 2..8 {
        offers(&mut net, changes, changes);
        net.pass(Span::millis(200));
    }
    let digests = told(&net, SP, SC);
    assert!(digests.len() == 4 && digests[3].everything && digests[3].groups.is_empty(), "{digests:#?}");
    assert!(asks(&mut net, "cpu>=100"));
    net.pass(SHRINK);
    assert_eq!(told(&net, SP, SC).len(), 5);
    assert!(!asks(&mut net, "cpu>=100") && asks(&mut net, "cpu>=7"));
}

#[test]
fn a_digest_that_is_lost_is_said_again() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    offers(&mut net, 8, 2);
    pass_deaf(&mut net, Span::secs(2));
    assert!(!asks(&mut net, "cpu>=8"), "what has grown is not known yet");
    // Two seconds until that is noticed, and one more.
    net.pass(Span::secs(1).plus(GROWTH));
    assert!(asks(&mut net, "cpu>=8"));
}

#[test]
fn a_digest_that_comes_late_does_not_undo_a_later_one() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    offers(&mut net, 4, 2);
    net.pass_over(GROWTH, |packet| if is_digest(packet) { Fate::Delay } else { Fate::Arrive });
    offers(&mut net, 8, 3);
    net.pass(GROWTH);
    net.release();
    assert!(asks(&mut net, "cpu>=8"));
}

#[test]
fn who_is_silent_is_asked_again() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    pass_deaf(&mut net, HEARTBEAT.times(2));
    assert!(!asks(&mut net, "cpu>=8"));
    pass_deaf(&mut net, HEARTBEAT);
    assert!(asks(&mut net, "cpu>=8"), "three heartbeats are over");
    net.pass(HEARTBEAT);
    assert!(!asks(&mut net, "cpu>=8"));
}

#[test]
fn after_a_restart_or_another_connection_a_new_digest_counts_and_no_old_one() {
    let restarts: [fn(&mut Net); 3] = [|net| net.restart(SP), |net| net.restart(SC), |net| net.restart_link(SC, SP)];
    for restart in restarts {
        let mut net = world();
        offers(&mut net, 2, 1);
        settle(&mut net);
        restart(&mut net);
        net.partners();
        offers(&mut net, 2, 2);
        pass_deaf(&mut net, Span::secs(5));
        assert!(asks(&mut net, "cpu>=8"), "nothing has come yet");
        net.pass(HEARTBEAT);
        assert!(!asks(&mut net, "cpu>=8") && asks(&mut net, "cpu>=2"));
    }
}

#[test]
fn who_starts_again_denies_nothing_before_its_nodes_are_back() {
    let mut net = world();
    offers(&mut net, 8, 1);
    settle(&mut net);
    assert!(!asks(&mut net, "cpu>=9"));
    net.restart(SP);
    net.partners();
    net.pass(Span::secs(9));
    assert!(asks(&mut net, "cpu>=9"), "its nodes may not have found it yet");
    net.pass(Span::secs(60));
    assert!(!asks(&mut net, "cpu>=9"));
}

#[test]
fn after_a_start_again_what_a_node_advertises_as_before_is_not_denied() {
    for keeps in [true, false] {
        let mut net = world();
        let flavour = offer(&net.nodes[P], 1, 8, 1);
        net.own(P, flavour);
        settle(&mut net);
        assert!(asks(&mut net, "cpu>=8") && !asks(&mut net, "cpu>=9"));
        if keeps {
            net.restart_with_rows(SP)
        } else {
            net.restart(SP)
        }
        net.partners();
        for _ in 0..12 {
            net.pass(Span::secs(5));
            assert!(asks(&mut net, "cpu>=8"), "keeps: {keeps}");
        }
        assert!(!asks(&mut net, "cpu>=9"));
    }
}

#[test]
fn who_sells_on_what_others_have_says_that_there_may_be_anything() {
    let rule = Expose { partners: vec!["alpha".to_owned()], what: "tags=none".parse().unwrap(), resale: true };
    let mut net = world_with(Config { expose: vec![rule], digests: true, ..Config::default() });
    settle(&mut net);
    net.pass(HEARTBEAT);
    assert!(told(&net, SP, SC).iter().all(|digest| digest.everything) && !told(&net, SP, SC).is_empty());
    assert!(told(&net, SP, SG).iter().all(|digest| !digest.everything && digest.groups.is_empty()));
    assert!(asks(&mut net, "cpu>=100"));
}

#[test]
fn of_more_offers_than_are_looked_at_there_may_be_anything() {
    let mut net = Net::new();
    for n in 1..=2 {
        net.node(domain(n), Role::Supernode, everything());
    }
    net.partners();
    for id in 0..8193 {
        let small = offer(&net.nodes[SP], id, 1, 1);
        net.own(SP, small);
    }
    net.link(SC, SP);
    settle(&mut net);
    assert!(asks(&mut net, "cpu>=100"));
    net.feed(SP, Input::OwnGone(offer(&net.nodes[SP], 0, 1, 1).id));
    net.pass(SHRINK);
    assert!(!asks(&mut net, "cpu>=100") && asks(&mut net, "cpu>=1"));
}

#[test]
fn only_what_a_partner_may_see_is_in_its_digest_at_the_price_that_it_sees() {
    let rule = Expose { partners: vec!["alpha".to_owned()], what: "arch=amd64".parse().unwrap(), resale: false };
    let config = Config { expose: vec![rule], digests: true, margin: "10%".parse().unwrap(), ..Config::default() };
    let mut net = world_with(config);
    let (seen, mut hidden) = (offer(&net.nodes[P], 1, 4, 1), offer(&net.nodes[P], 2, 8, 1));
    let Kind::K8Slice(slice) = &mut hidden.kind else { panic!("a slice") };
    slice.architecture = "arm64".to_owned();
    net.own(P, seen);
    net.own(P, hidden);
    let last = |net: &Net, to| told(net, SP, to).last().copied().cloned().unwrap();
    // As it grew, and when all was looked at.
    for span in [Span::secs(2), SHRINK] {
        net.pass(span);
        let digest = last(&net, SC);
        assert!(may_have(&digest, "cpu>=4, price<=0.55EUR/h") && !may_have(&digest, "cpu>=4, price<=0.54EUR/h"));
        assert!(!may_have(&digest, "cpu>=5") && !may_have(&digest, "arch=arm64"));
        assert!(!may_have(&last(&net, SG), ""));
    }
}

#[test]
fn a_partner_that_may_begin_nothing_is_told_nothing() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    net.off.insert((domain(2), domain(1)));
    net.partners();
    offers(&mut net, 8, 2);
    net.pass(HEARTBEAT.times(2));
    assert!(told(&net, SP, SC).is_empty());
    net.off.clear();
    net.partners();
    net.pass(GROWTH);
    assert!(asks(&mut net, "cpu>=8"));
}

#[test]
fn who_sees_by_the_same_rules_is_told_on_when_another_is_switched_off() {
    for off in [1, 3] {
        let (mut net, other) = (world(), if off == 1 { SG } else { SC });
        offers(&mut net, 4, 1);
        settle(&mut net);
        net.off.insert((domain(2), domain(off)));
        net.partners();
        offers(&mut net, 8, 2);
        net.pass(SHRINK.times(2));
        let last = told(&net, SP, other).last().copied().cloned();
        assert!(last.is_some_and(|digest| may_have(&digest, "cpu>=8")), "{off} is off");
    }
}

#[test]
fn growth_does_not_wait_for_what_was_lost_before() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    offers(&mut net, 4, 2);
    pass_deaf(&mut net, GROWTH);
    // The loss is noticed after two seconds, just before what has grown since is to be told.
    pass_deaf(&mut net, Span::millis(1950));
    offers(&mut net, 8, 3);
    net.pass(GROWTH);
    assert!(asks(&mut net, "cpu>=8"));
}

#[test]
fn a_partner_can_not_count_what_others_are_told() {
    let mut net = world();
    offers(&mut net, 4, 1);
    settle(&mut net);
    let mut alone = Net::new();
    for n in 1..=2 {
        alone.node(domain(n), Role::Supernode, everything());
    }
    alone.partners();
    alone.link(SC, SP);
    offers(&mut alone, 4, 1);
    settle(&mut alone);
    for net in [&mut net, &mut alone] {
        net.pass(HEARTBEAT.times(3));
    }
    let numbers = |net: &Net| told(net, SP, SC).iter().map(|digest| digest.number).collect::<Vec<_>>();
    let gaps = |net: &Net| numbers(net).windows(2).map(|two| two[1].changes - two[0].changes).collect::<Vec<_>>();
    assert_eq!(gaps(&net), gaps(&alone));
}

#[test]
fn without_digests_nothing_is_told_and_everybody_is_asked() {
    let mut net = Net::new();
    for n in 1..=2 {
        net.node(domain(n), Role::Supernode, Config { digests: n == 1, ..everything() });
    }
    net.partners();
    net.link(SC, SP);
    net.pass(HEARTBEAT.times(3));
    assert!(told(&net, SP, SC).is_empty() && !told(&net, SC, SP).is_empty());
    assert!(asks(&mut net, "cpu>=1"));
    net.log.clear();
    net.discover(SP, "cpu>=1");
    assert_eq!(net.sent(SP, SC), ["LIST_FLAVOURS"], "what it was told it does not use");
}

#[test]
fn another_supernode_of_the_partner_that_may_have_it_is_asked() {
    let mut net = world();
    let second = net.node(domain(2), Role::Supernode, everything());
    net.partners();
    net.link(SC, second);
    net.own(second, offer(&net.nodes[second], 9, 8, 1));
    settle(&mut net);
    net.discover(SC, "cpu>=8");
    assert_eq!((net.sent(SC, SP), net.sent(SC, second)), (vec![], vec!["LIST_FLAVOURS"]));
}

#[test]
fn a_question_that_others_have_refused_trusts_no_old_digest() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    let wider = |net: &mut Net, exclude: Vec<FlavourId>| {
        let before = lists(net).after_all;
        let asker = Asker::Operator { ticket: Ticket(0), explain: false };
        let selector: Selector = "cpu>=8".parse().unwrap();
        net.feed(SC, Input::Discover { asker, selector, ceiling: None, k: 4, exclude, trace: Trace::None });
        lists(net).after_all - before
    };
    // At first neither is asked, and then both are.
    assert_eq!((wider(&mut net, vec![]), wider(&mut net, vec![FlavourId([9; 16])])), (2, 0));
}

#[test]
fn what_was_known_of_a_partner_that_denies_it_is_forgotten() {
    let mut net = world();
    offers(&mut net, 8, 1);
    settle(&mut net);
    assert!(asks(&mut net, "cpu>=8"));
    assert_eq!(net.view(SC).len(), 1);
    offers(&mut net, 2, 2);
    net.pass(SHRINK);
    assert!(!asks(&mut net, "cpu>=8"));
    assert_eq!(net.view(SC), vec![]);
    // A member is not shown it either.
    let member = Input::Asked {
        ticket: Ticket(1),
        from: kernel::NodeId([77; 32]),
        caller: Caller::Member(Role::Node),
        list: Box::new(List { scope: Scope::Partners, ..list(9, "cpu>=8", 4) }),
        trace: Trace::None,
    };
    net.feed(SC, member);
    let answers: Vec<_> = net.nodes[SC].answers.iter().map(|(_, answer)| answer.clone()).collect();
    assert!(matches!(answers.as_slice(), [Answer::Flavours(none)] if none.flavours.is_empty() && !none.partial));
}

#[test]
fn an_explanation_names_who_has_nothing_that_fits() {
    let mut net = world();
    offers(&mut net, 2, 1);
    settle(&mut net);
    let asker = Asker::Operator { ticket: Ticket(1), explain: true };
    let selector: Selector = "cpu>=8".parse().unwrap();
    let (now, mut out) = (net.now, Vec::new());
    let explain = Input::Discover { asker, selector, ceiling: None, k: 9, exclude: vec![], trace: Trace::None };
    net.nodes[SC].manager.handle(now, explain, &mut out);
    // All that there is is looked at, so those who have something are asked for it, and then the others after all.
    let mut asked = Vec::new();
    let found = loop {
        let respond = out.iter().find_map(|effect| match effect {
            Effect::Respond { found, .. } => Some(found.remarks.clone()),
            _ => None,
        });
        if let Some(remarks) = respond {
            break remarks;
        }
        let ask = out.iter().find_map(|effect| match effect {
            Effect::Ask { ask, to, .. } => Some((*ask, to.node)),
            _ => None,
        });
        let (ask, from) = ask.unwrap();
        asked.push(from);
        out.clear();
        let refused = Input::Answered { ask, from, answer: Err(Code::Unavailable.into()), took: Span::ZERO };
        net.nodes[SC].manager.handle(now, refused, &mut out);
    };
    assert_eq!(asked, [net.nodes[SP].id, net.nodes[SG].id]);
    let says = |name| format!("domain {name} says that it has nothing that fits");
    assert_eq!(found, [says("beta"), says("gamma")]);
}

#[test]
fn a_digest_is_its_senders_word_about_its_own_domain() {
    let mut net = world();
    offers(&mut net, 2, 1);
    net.pass(Span::ZERO);
    let digest = told(&net, SP, SC)[0].clone();
    let say =
        |net: &mut Net, from, digest: &CapacityDigest| match net.say(from, SC, Request::CapacityDigest(digest.clone()))
        {
            Answer::Taken(_) => None,
            Answer::Refused(refusal) => Some(refusal.code()),
            other => panic!("{other:?}"),
        };
    assert_eq!(say(&mut net, SG, &digest), Some(Code::Malformed));
    let stranger = net.node(domain(1), Role::Node, Config::default());
    assert_eq!(say(&mut net, stranger, &digest), Some(Code::NotShared));
    assert_eq!(say(&mut net, SP, &digest), None, "a repeat");
    // At 240 a minute its sender is heard no more.
    let outcomes: Vec<_> = (0..250).map(|_| say(&mut net, SP, &digest)).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(Code::Overloaded)).count(), 250 - 238);
}
