//! Publishing at a catalogue, what it gives to whom, and what is believed of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod net;

use discovery::{Config, Input, config::Expose};
use kernel::Span;
use net::{Fate, Net, domain, everything, list, offer};
use proptest::prelude::*;
use rear_proto::{
    Answer, Extensions, Flavour, Request, membership::Role, message::PublishedFlavours, published::Published,
};

const SECOND: Span = Span::secs(1);
/// The nodes: beta's supernode and a node of it, a catalogue of gamma's, alpha's supernode.
const SP: usize = 0;
const P: usize = 1;
const K: usize = 2;
const SC: usize = 3;

fn world_with(sp: Config, k: Config, sc: Config) -> Net {
    let mut net = Net::new();
    net.node(domain(2), Role::Supernode, sp);
    net.node(domain(2), Role::Node, Config::default());
    net.node(domain(3), Role::Catalogue, k);
    net.node(domain(1), Role::Supernode, sc);
    net.partners();
    net.link(SP, P);
    net.link(SP, K);
    net.link(SC, K);
    net.pass(SECOND);
    net.log.clear();
    net
}

fn world() -> Net {
    world_with(everything(), Config::default(), Config::default())
}

fn own(net: &mut Net, n: usize, id: u16, changes: u64) {
    let flavour = offer(&net.nodes[n], id, 8, changes);
    net.own(n, flavour);
}

/// Time for what a node offers to reach its supernode, and from there the catalogue.
fn settle(net: &mut Net) {
    net.pass(Span::secs(3));
}

fn published(answer: Answer) -> PublishedFlavours {
    match answer {
        Answer::Published(published) => published,
        other => panic!("{other:?}"),
    }
}

/// What the catalogue has for a node's domain.
fn listed(net: &mut Net, n: usize) -> Vec<Published> {
    let answer = net.say(n, K, Request::List(list(1, "", 256)));
    published(answer).offers.iter().map(|offer| offer.claimed().cloned().unwrap()).collect()
}

fn changes(listed: &[Published]) -> Vec<u64> {
    let mut changes: Vec<u64> = listed.iter().map(|offer| offer.flavour.epoch.changes).collect();
    changes.sort_unstable();
    changes
}

#[test]
fn what_is_exposed_is_published_for_each_partner_and_signed_by_the_supernode() {
    let mut net = world();
    net.node(domain(3), Role::Supernode, Config::default());
    net.partners();
    own(&mut net, SP, 1, 1);
    own(&mut net, P, 2, 1);
    settle(&mut net);
    let sp = net.nodes[SP].id;
    for viewer in [SC, 4] {
        let answer = net.say(viewer, K, Request::List(list(1, "", 256)));
        let offers = published(answer).offers;
        assert_eq!(offers.len(), 2);
        for signed in offers {
            let offer = signed.open(&sp).unwrap();
            assert_eq!((offer.by, offer.viewer), (sp, net.nodes[viewer].domain));
            let flavour = &offer.flavour;
            assert_eq!((flavour.provider.node, flavour.owner, flavour.domain.key), (sp, sp, domain(2)));
            assert!(flavour.id != net::offer(&net.nodes[P], 2, 8, 1).id, "an inner id crossed the border");
        }
    }
}

#[test]
fn nothing_is_published_without_a_rule_and_only_what_the_rule_allows() {
    let mut net = world_with(Config::default(), Config::default(), Config::default());
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    assert!(listed(&mut net, SC).is_empty());
    assert_eq!(net.nodes[K].manager.catalogued(), 0);

    let rule = Expose { partners: vec!["alpha".to_owned()], what: "cpu>=8".parse().unwrap(), resale: false };
    let mut net = world_with(Config { expose: vec![rule], ..Config::default() }, Config::default(), Config::default());
    net.node(domain(3), Role::Supernode, Config::default());
    net.partners();
    own(&mut net, SP, 1, 1);
    let small = Flavour { base: offer(&net.nodes[SP], 2, 4, 1).available, ..offer(&net.nodes[SP], 2, 4, 1) };
    net.own(SP, small);
    settle(&mut net);
    assert_eq!(listed(&mut net, SC).len(), 1);
    assert!(listed(&mut net, 4).is_empty(), "a partner that no rule names was shown something");
}

#[test]
fn offers_for_one_domain_are_shown_to_no_other() {
    let mut net = world();
    net.node(domain(3), Role::Supernode, Config::default());
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    // Gamma's own supernode asks: nothing was published for gamma, which is no partner yet.
    assert!(listed(&mut net, 4).is_empty());
    // Beta itself has nothing to see there either.
    assert!(listed(&mut net, SP).is_empty());
    assert_eq!(listed(&mut net, SC).len(), 1);
    let answer = net.say(4, K, subscribe("", 600));
    assert!(matches!(answer, Answer::Snapshot(snapshot) if snapshot.offers.is_empty()));
    own(&mut net, SP, 1, 2);
    settle(&mut net);
    assert!(net.sent(K, 4).is_empty(), "{:?}", net.sent(K, 4));
}

#[test]
fn what_changes_is_published_again_and_what_ends_is_withdrawn() {
    let mut net = world();
    own(&mut net, P, 1, 1);
    own(&mut net, P, 2, 1);
    settle(&mut net);
    own(&mut net, P, 1, 2);
    let id = offer(&net.nodes[P], 2, 8, 1).id;
    net.feed(P, Input::OwnGone(id));
    settle(&mut net);
    assert_eq!(changes(&listed(&mut net, SC)), [2]);
    // The node dies: what it offered lapses at its supernode, and is withdrawn here.
    net.cut(SP, P);
    net.pass(Span::secs(65));
    assert!(listed(&mut net, SC).is_empty());
}

#[test]
fn a_partner_that_is_switched_off_is_shown_nothing_any_more() {
    let mut net = world();
    net.node(domain(3), Role::Supernode, Config::default());
    net.partners();
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    net.off.insert((domain(2), domain(1)));
    net.partners();
    settle(&mut net);
    assert!(listed(&mut net, SC).is_empty());
    assert_eq!(listed(&mut net, 4).len(), 1, "the others are");
    net.off.clear();
    net.partners();
    settle(&mut net);
    assert_eq!(listed(&mut net, SC).len(), 1);
}

#[test]
fn offers_are_signed_anew_before_they_lapse_and_not_more_often_than_that() {
    let mut net = world();
    for id in 0..20 {
        own(&mut net, SP, id, 1);
    }
    settle(&mut net);
    assert_eq!(net.nodes[SP].manager.signatures(), 20);
    for _ in 0..60 {
        net.pass(Span::secs(10));
        assert_eq!(listed(&mut net, SC).len(), 20);
        net.discover(SC, "");
        assert_eq!(net.view(SC).len(), 20, "what the catalogue gives out is fresh enough to be believed");
    }
    let made = net.nodes[SP].manager.signatures();
    // Each holds for a minute and is signed anew after half of it.
    assert!((350..=440).contains(&made), "{made} signatures in ten minutes");
}

#[test]
fn an_offer_is_signed_once_for_several_catalogues() {
    let mut net = world();
    net.node(domain(3), Role::Catalogue, Config::default());
    net.link(SP, 4);
    for id in 0..20 {
        own(&mut net, SP, id, 1);
    }
    settle(&mut net);
    assert_eq!((net.nodes[K].manager.catalogued(), net.nodes[4].manager.catalogued()), (20, 20));
    assert_eq!(net.nodes[SP].manager.signatures(), 20);
}

#[test]
fn a_thousand_changes_in_a_second_cost_one_signature_and_one_message() {
    let mut net = world();
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    net.log.clear();
    for n in 0..1000 {
        own(&mut net, SP, 1, 2 + n);
        net.pass(Span::ZERO);
    }
    net.pass(SECOND);
    assert_eq!(net.sent(SP, K), ["REFRESH"]);
    assert_eq!(net.nodes[SP].manager.signatures(), 2);
}

#[test]
fn lost_messages_are_made_good_at_the_catalogue() {
    for fate in [Fate::Lose, Fate::LoseAnswer, Fate::Delay, Fate::Repeat] {
        let mut net = world();
        own(&mut net, SP, 1, 1);
        own(&mut net, SP, 2, 1);
        settle(&mut net);
        own(&mut net, SP, 1, 2);
        let id = offer(&net.nodes[SP], 2, 8, 1).id;
        net.feed(SP, Input::OwnGone(id));
        let mut first = true;
        net.pass_over(Span::secs(2), |_| if std::mem::take(&mut first) { fate } else { Fate::Arrive });
        net.pass(Span::secs(30));
        net.release();
        assert_eq!(changes(&listed(&mut net, SC)), [2], "{fate:?}");
    }
}

#[test]
fn a_catalogue_that_restarts_is_told_again_and_one_whose_publisher_restarts_forgets() {
    let mut net = world();
    own(&mut net, SP, 1, 1);
    own(&mut net, SP, 2, 1);
    settle(&mut net);
    net.restart(K);
    assert_eq!(net.nodes[K].manager.catalogued(), 0);
    settle(&mut net);
    assert_eq!(listed(&mut net, SC).len(), 2);

    net.restart(SP);
    net.partners();
    own(&mut net, SP, 1, 9);
    settle(&mut net);
    assert_eq!(changes(&listed(&mut net, SC)), [9]);
}

#[test]
fn a_publisher_that_is_silent_is_forgotten() {
    let mut net = world();
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    net.cut(SP, K);
    net.pass(Span::secs(95));
    assert!(listed(&mut net, SC).is_empty());
    assert_eq!(net.nodes[K].manager.catalogued(), 0);
}

#[test]
fn a_list_is_answered_by_selector_limit_and_what_is_excluded() {
    let mut net = world();
    for id in 0..10 {
        let flavour = offer(&net.nodes[SP], id, u64::from(id % 8) + 1, 1);
        net.own(SP, flavour);
    }
    settle(&mut net);
    let answer = net.say(SC, K, Request::List(list(1, "cpu>=7", 256)));
    assert_eq!(published(answer).offers.len(), 2);
    let answer = published(net.say(SC, K, Request::List(list(2, "", 3))));
    assert_eq!((answer.offers.len(), answer.partial), (3, true));
    let mut but = list(3, "", 256);
    but.exclude = listed(&mut net, SC).iter().take(4).map(|offer| offer.flavour.id).collect();
    assert_eq!(published(net.say(SC, K, Request::List(but))).offers.len(), 6);
}

#[test]
fn a_catalogue_never_asks_and_leads_nowhere() {
    let mut net = world();
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    net.log.clear();
    net.say(SC, K, Request::List(list(1, "cpu>=1000", 256)));
    net.pass(Span::secs(5));
    assert!(net.log.iter().all(|(from, ..)| *from != K), "{:?}", net.log);
    assert_eq!(net.view(K), []);
}

#[test]
fn a_refresh_that_comes_just_too_late_brings_an_offer_back() {
    let mut net = world();
    own(&mut net, P, 1, 1);
    settle(&mut net);
    // All that the node says is lost for a while; then it is heard again just after its offers have lapsed.
    let id = net.nodes[P].id;
    let lapse = net.nodes[SP].manager.candidates(net.now).find(|seen| seen.flavour.owner == id).unwrap().expires_in;
    net.pass_over(lapse.plus(Span::millis(500)), |packet| if packet.from == P { Fate::Lose } else { Fate::Arrive });
    net.restart_link(SP, P);
    settle(&mut net);
    assert_eq!(changes(&listed(&mut net, SC)), [1]);
}

fn subscribe(text: &str, within: u64) -> Request {
    let (selector, within) = (text.parse().unwrap(), Span::secs(within));
    Request::Subscribe(rear_proto::message::Subscribe { selector, within, extensions: Extensions::new() })
}

// -- the reader's side ----------------------------------------------------------------------------------------

#[test]
fn a_consumers_supernode_believes_partners_signatures_alone() {
    let mut net = world();
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    net.discover(SC, "");
    let view = net.view(SC);
    assert_eq!(view.iter().map(|(via, ..)| *via).collect::<Vec<_>>(), [net.nodes[K].id]);
}

#[test]
fn an_offer_of_a_domain_that_is_no_partner_is_not_believed() {
    let mut net = world();
    own(&mut net, SP, 1, 1);
    settle(&mut net);
    // Alpha knows no partner any more; the catalogue still hands the offer out.
    net.feed(SC, Input::Partners([].into()));
    net.discover(SC, "");
    assert_eq!(net.view(SC), []);
}

// -- whatever happens -----------------------------------------------------------------------------------------

#[derive(Debug, Clone)]
enum Happening {
    Offer(bool, u16),
    Gone(bool, u16),
    Pass(u64, Vec<u8>),
    Late,
    Switch,
    Restart(usize),
    Cut(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (any::<bool>(), 0..5u16).prop_map(|(at, id)| Happening::Offer(at, id)),
        2 => (any::<bool>(), 0..5u16).prop_map(|(at, id)| Happening::Gone(at, id)),
        6 => (0..30_000u64, proptest::collection::vec(0..5u8, 8)).prop_map(|(span, fates)| Happening::Pass(span, fates)),
        1 => Just(Happening::Late),
        1 => Just(Happening::Switch),
        1 => (0..3usize).prop_map(Happening::Restart),
        1 => any::<bool>().prop_map(Happening::Cut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_or_late_the_catalogue_comes_to_have_what_is_shown(
        happenings in proptest::collection::vec(happening(), 1..30)
    ) {
        let mut net = world();
        let mut truth = std::collections::BTreeMap::new();
        let mut changes_made = 1;
        for happening in happenings {
            match happening {
                Happening::Offer(at, id) => {
                    changes_made += 1;
                    // Nobody's ids are another's.
                    let (n, id) = if at { (SP, id) } else { (P, id + 100) };
                    truth.insert((n, id), changes_made);
                    own(&mut net, n, id, changes_made);
                }
                Happening::Gone(at, id) => {
                    let (n, id) = if at { (SP, id) } else { (P, id + 100) };
                    truth.remove(&(n, id));
                    let id = offer(&net.nodes[n], id, 8, 1).id;
                    net.feed(n, Input::OwnGone(id));
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
                Happening::Switch => {
                    let relation = (domain(2), domain(1));
                    if !net.off.remove(&relation) {
                        net.off.insert(relation);
                    }
                    net.partners();
                }
                Happening::Restart(n) => {
                    net.delayed.clear();
                    net.restart(n);
                    net.partners();
                    for ((at, id), changes) in truth.clone() {
                        if at == n {
                            own(&mut net, n, id, changes);
                        }
                    }
                }
                Happening::Cut(inner) => {
                    net.delayed.clear();
                    net.restart_link(SP, if inner { P } else { K });
                }
            }
        }
        net.release();
        net.pass(Span::secs(75));
        let mut expected: Vec<u64> = truth.into_values().collect();
        expected.sort_unstable();
        if net.off.contains(&(domain(2), domain(1))) {
            expected.clear();
        }
        prop_assert_eq!(changes(&listed(&mut net, SC)), expected);
    }
}
