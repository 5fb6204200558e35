//! Several ways to the same capacity: tried one after the other, and only where that is of use.

use super::*;
use rear_proto::{Code, local::Outcome};

const WANT: &str = "cpu>=1, memory>=1Gi";
/// Under which all ways to node 2's offer are known.
const ORIGIN_OF_2: FlavourId = FlavourId([2; 16]);

/// Node 2's own offer.
fn direct() -> Candidate {
    candidate(2)
}

/// Node 2's offer by way of a relay of its own domain, at a price.
fn relayed(by: u8, amount: &str) -> Candidate {
    let mut candidate = direct();
    candidate.flavour.provider.node = node(by);
    candidate.flavour.price.amount = amount.parse().unwrap();
    candidate
}

/// An offer of another domain, as the supernode `by` shows it under an id that is the same at each.
fn foreign(by: u8, amount: &str) -> Candidate {
    let mut candidate = relayed(by, amount);
    let flavour = &mut candidate.flavour;
    (flavour.owner, flavour.id) = (node(by), FlavourId([77; 16]));
    flavour.domain.key = DomainKey([8; 32]);
    candidate
}

/// Node 3's offer, dearer than any way to node 2's.
fn other() -> Candidate {
    let mut candidate = candidate(3);
    candidate.flavour.price.amount = "0.9".parse().unwrap();
    candidate
}

/// A request, what it finds, and what each order is answered with, until all are tried; returns who was tried, and
/// which ids need not be shown when it is asked again.
fn tried(candidates: Vec<Candidate>, answers: &[(Option<Code>, &str)]) -> (Vec<u8>, Vec<FlavourId>) {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let mut out = n.handle(Input::Found { request: request(1), candidates });
    let mut tried = Vec::new();
    let mut answers = answers.iter();
    loop {
        let orders = out.iter().filter(|effect| matches!(effect, Effect::Start { .. })).count();
        assert!(orders <= 1, "two at once: {out:?}");
        if let Some(exclude) = out.iter().find_map(|effect| match effect {
            Effect::Discover { exclude, .. } => Some(exclude.clone()),
            _ => None,
        }) {
            assert!(answers.next().is_none(), "some were never tried");
            return (tried, exclude);
        }
        let wish = started(&out);
        tried.push(wish.seller.node.0[0]);
        let &(code, text) = answers.next().unwrap_or_else(|| panic!("{tried:?} are too many"));
        if code.is_none() {
            // It could not be asked: the network says that it is not available.
            n.handle(Input::Rated { peer: wish.seller.node, outcome: Outcome::Silent });
        }
        let refusal = Refusal::new(code.unwrap_or(Code::Unavailable), text);
        out = n.handle(Input::Refused { request: request(1), key: wish.key, refusal });
    }
}

#[test]
fn the_other_ways_follow_directly_when_the_best_fails() {
    for failure in [Code::Timeout, Code::Storage, Code::Overloaded, Code::Unavailable] {
        // A relay's word is no word of whoever it relays for.
        let ways = || vec![other(), relayed(5, "0.81"), relayed(4, "0.8"), relayed(6, "0.82")];
        let answers = [(Some(failure), "no"); 4];
        assert_eq!(tried(ways(), &answers).0, [4, 5, 6, 3], "{failure}");
    }
}

#[test]
fn where_the_owner_itself_has_no_room_no_way_leads_to_it() {
    let ways = || vec![direct(), relayed(4, "0.81"), relayed(5, "0.82"), other()];
    assert_eq!(tried(ways(), &[(Some(Code::Unavailable), "full"), (Some(Code::Unavailable), "full")]).0, [2, 3]);
    // Busy, silent or out of reach is something else: there, a relay may help.
    for failure in [Some(Code::Timeout), Some(Code::Storage), Some(Code::Overloaded), None] {
        assert_eq!(tried(ways(), &[(failure, "no"); 4]).0, [2, 4, 5, 3], "{failure:?}");
    }
}

#[test]
fn where_the_owner_has_no_room_no_way_that_is_found_later_is_tried() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let key = started(&n.handle(Input::Found { request: request(1), candidates: vec![direct()] })).key;
    let full = Refusal::new(Code::Unavailable, "full");
    check(&n.handle(Input::Refused { request: request(1), key, refusal: full }), "SelectorBuilt Discover-1");
    n.handle(Input::Discovered { request: request(1), partial: false, silent: 0 });
    let found = Input::Found { request: request(1), candidates: vec![relayed(4, "0.7"), other()] };
    assert_eq!(started(&n.handle(found)).seller.node, node(3));
}

#[test]
fn who_copies_another_s_offer_spoils_nothing() {
    // It says that the offer is its own, of the same origin and id, and has no room after all.
    let copied = |owner: u8| {
        let mut copy = relayed(6, "0.7");
        copy.flavour.owner = node(owner);
        copy
    };
    let full = (Some(Code::Unavailable), "full");
    assert_eq!(tried(vec![direct(), copied(6), relayed(4, "0.81")], &[full, full]).0, [6, 2]);
    // Or that it is a way to it.
    assert_eq!(tried(vec![direct(), copied(2), other()], &[full; 3]).0, [6, 2, 3]);
    // Or that the capacity of another domain is its own.
    let answers = [full; 3];
    assert_eq!(tried(vec![foreign(4, "0.8"), copied(6), foreign(5, "0.81")], &answers).0, [6, 4, 5]);
}

#[test]
fn who_fails_is_rated_down_and_tried_later() {
    let mut n = Node::new(Config::default());
    let copied = || relayed(6, "0.79");
    let first = |n: &Node| {
        n.manager.rank(&WANT.parse().unwrap(), vec![direct(), copied()])[0].candidate.flavour.provider.node.0[0]
    };
    assert_eq!(first(&n), 6);
    n.handle(Input::Rated { peer: node(6), outcome: Outcome::Failed });
    assert_eq!(first(&n), 2);
}

#[test]
fn an_offer_that_another_relay_may_have_is_asked_for_again() {
    let id = FlavourId([77; 16]);
    for failure in [Some(Code::Timeout), Some(Code::Storage), Some(Code::Overloaded), None] {
        assert_eq!(tried(vec![foreign(4, "0.8")], &[(failure, "no")]), (vec![4], vec![]), "{failure:?}");
    }
    // So is one that was known from before, which its relay may have again.
    for failure in [Code::Unavailable, Code::NotFound, Code::Closed] {
        assert_eq!(tried(vec![foreign(4, "0.8")], &[(Some(failure), "no")]), (vec![4], vec![]), "{failure}");
    }
    assert_eq!(tried(vec![foreign(4, "0.8")], &[(Some(Code::PriceTooLow), "dear")]), (vec![4], vec![id]));
    // Of the same domain nobody else has it.
    let own = direct().flavour.id;
    assert_eq!(tried(vec![direct()], &[(Some(Code::Timeout), "silence")]), (vec![2], vec![own]));
}

#[test]
fn an_old_offer_that_is_refused_is_tried_once_more_when_it_is_shown_again() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let found = |later: u64| {
        let mut offer = foreign(4, "0.8");
        offer.seen = Time(offer.seen.0 + later);
        Input::Found { request: request(1), candidates: vec![offer] }
    };
    for later in 0..2 {
        let key = started(&n.handle(found(later))).key;
        n.handle(Input::Refused { request: request(1), key, refusal: Code::NotFound.into() });
        n.handle(Input::Discovered { request: request(1), partial: false, silent: 0 });
    }
    // It has not been heard of since.
    let out = n.handle(found(1));
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Start { .. })), "{out:?}");
}

#[test]
fn the_same_offer_by_another_supernode_is_tried_and_by_the_same_one_is_not() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let found = |candidates| Input::Found { request: request(1), candidates };
    let key = started(&n.handle(found(vec![foreign(4, "0.8")]))).key;
    n.handle(Input::Refused { request: request(1), key, refusal: Code::Timeout.into() });
    let out = n.handle(Input::Discovered { request: request(1), partial: false, silent: 0 });
    // What was tried takes no room among what is looked for.
    assert!(matches!(out[..], [Effect::Find { k: 17, .. }]), "{out:?}");
    assert_eq!(started(&n.handle(found(vec![foreign(4, "0.8"), foreign(5, "0.85")]))).seller.node, node(5));
}

#[test]
fn all_ways_share_one_origin() {
    assert!([direct(), relayed(4, "1"), foreign(5, "1")].iter().all(|way| way.flavour.origin == ORIGIN_OF_2));
}
