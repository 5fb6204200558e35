//! Which candidate is tried first.

use super::*;
use rear_proto::local::Outcome;

fn ranked(n: &Node, candidates: Vec<Candidate>) -> Vec<u8> {
    let ranked = n.manager.rank(&"cpu>=1, memory>=1Gi".parse().unwrap(), candidates);
    ranked.iter().map(|ranked| ranked.candidate.flavour.provider.node.0[0]).collect()
}

#[track_caller]
fn first(n: &Node, candidates: Vec<Candidate>, number: u8) {
    assert_eq!(ranked(n, candidates)[0], number);
}

fn with(number: u8, change: impl FnOnce(&mut Flavour)) -> Candidate {
    let mut candidate = candidate(number);
    change(&mut candidate.flavour);
    candidate
}

#[test]
fn fit_price_latency_and_rating_all_count() {
    let mut n = Node::new(Config::default());
    for number in [2, 3] {
        let other = 5 - number;
        first(&n, vec![with(other, |f| f.policies.partitionable = None), candidate(number)], number);
        first(&n, vec![with(number, |f| f.price.amount = "0.4".parse().unwrap()), candidate(other)], number);
        // A day's price for what another takes in an hour.
        first(&n, vec![with(number, |f| f.price.period = rear_proto::price::Period::Day), candidate(other)], number);
        first(&n, vec![with(number, |f| f.properties.latency_ms = Some(1)), candidate(other)], number);
    }
    n.handle(Input::Rated { peer: node(3), outcome: Outcome::Failed });
    first(&n, vec![candidate(2), candidate(3)], 2);
    for _ in 0..9 {
        n.handle(Input::Rated { peer: node(3), outcome: Outcome::Kept });
    }
    first(&n, vec![candidate(2), candidate(3)], 3);
    n.handle(Input::RoundTrip { peer: node(2), span: Span::millis(1) });
    n.handle(Input::RoundTrip { peer: node(3), span: Span::secs(2) });
    first(&n, vec![candidate(2), candidate(3)], 2);
}

#[test]
fn the_order_depends_on_nothing_but_what_is_ranked() {
    let n = Node::new(Config::default());
    let all: Vec<_> = (2..9).map(candidate).collect();
    let forwards = ranked(&n, all.clone());
    assert_eq!(forwards, ranked(&n, all.into_iter().rev().collect()));
    assert_eq!(forwards.len(), 7);
}

#[test]
fn equals_are_tried_in_another_order_by_another_node() {
    let ranks = |me: u8| {
        let manager = Manager::new(Config::default(), node(me), DomainKey([3; 32]));
        let ranked = manager.rank(&"cpu>=1".parse().unwrap(), (2..9).map(candidate).collect());
        ranked[0].candidate.flavour.owner
    };
    let firsts: std::collections::BTreeSet<_> = (100..120).map(ranks).collect();
    assert!(firsts.len() > 3, "{firsts:?}");
}

#[test]
fn ways_to_the_same_capacity_stand_together_best_first() {
    let n = Node::new(Config::default());
    let origin = FlavourId([42; 16]);
    let way = |number, amount: &str| with(number, |f| (f.origin, f.price.amount) = (origin, amount.parse().unwrap()));
    let middle = with(4, |f| f.price.amount = "0.41".parse().unwrap());
    assert_eq!(ranked(&n, vec![way(2, "0.42"), middle.clone(), way(3, "0.4"), way(5, "0.44")]), [3, 2, 5, 4]);
    // Ranked alone, each stands by itself.
    let alone = |number, amount: &str| with(number, |f| f.price.amount = amount.parse().unwrap());
    assert_eq!(ranked(&n, vec![alone(2, "0.42"), middle, alone(3, "0.4"), alone(5, "0.44")]), [3, 4, 2, 5]);
}

#[test]
fn a_bait_does_not_lift_a_dear_offer_over_a_cheaper_one() {
    let n = Node::new(Config::default());
    let origin = FlavourId([42; 16]);
    let way = |number, amount: &str| with(number, |f| (f.origin, f.price.amount) = (origin, amount.parse().unwrap()));
    let honest = with(4, |f| f.price.amount = "0.5".parse().unwrap());
    assert_eq!(ranked(&n, vec![way(2, "0.8"), way(5, "0.81"), honest, way(3, "0.1")]), [3, 4, 2, 5]);
}

#[test]
fn what_comes_down_to_this_node_is_no_candidate_whoever_shows_it() {
    let n = Node::offering();
    let own = n.manager.flavours().next().unwrap().origin;
    assert!(ranked(&n, vec![with(2, |f| f.origin = own)]).is_empty());
    assert!(ranked(&n, vec![with(2, |f| f.owner = ME)]).is_empty());
    assert!(ranked(&n, vec![with(2, |f| f.provider.node = ME)]).is_empty());
}

#[test]
fn a_partner_s_domain_is_wanted_or_not_by_its_name_or_its_key() {
    let n = Node::new(Config::default());
    let beta = DomainKey([8; 32]);
    let all = || {
        let beta = rear_proto::flavour::Domain { key: beta, name: "beta".to_owned() };
        vec![candidate(2), with(3, |f| f.domain = beta)]
    };
    let wanted = |filter: &str| {
        let ranked = n.manager.rank(&format!("cpu>=1, {filter}").parse().unwrap(), all());
        ranked.iter().map(|ranked| ranked.candidate.flavour.provider.node.0[0]).collect::<Vec<_>>()
    };
    for name in ["beta".to_owned(), "Beta".to_owned(), beta.to_string()] {
        assert_eq!(wanted(&format!("domain in ({name}, gamma)")), [3], "{name}");
        assert_eq!(wanted(&format!("domain not in ({name})")), [2], "{name}");
    }
    assert!(wanted("domain in (gamma)").is_empty());
}

#[test]
fn what_does_not_match_is_left_out() {
    let n = Node::new(Config::default());
    let full = with(2, |f| f.available = Resources::default());
    assert!(ranked(&n, vec![full]).is_empty());
}

#[test]
fn a_reason_can_be_read() {
    let n = Node::new(Config::default());
    let ranked = n.manager.rank(&"cpu>=250m, memory>=512Mi".parse().unwrap(), vec![candidate(2)]);
    assert_eq!(ranked[0].why.to_string(), "waste 0.25, price 1.00, latency 0.50, doubt 0.50");
}
