//! The provider's side: offers, grants, ends.

use super::*;
use rear_proto::Code;

fn close(number: u8) -> Input {
    Input::Close { allocation: allocation(number), reason: EndReason::Released }
}

fn bind(number: u8) -> Input {
    Input::Bind { allocation: allocation(number), contract: contract(number) }
}

#[test]
fn what_is_granted_is_gone_from_the_flavour_and_comes_back_exactly() {
    let mut n = Node::offering();
    let before = n.manager.flavours().next().unwrap();
    let out = n.handle(reserve(1, resources("1", "1Gi"), "0.2EUR/h"));
    check(&out, "FlavourReduced ReservedAtSeller Granted(0.2EUR/h)");
    assert_eq!(n.left(), "cpu 3, memory 7Gi");
    let announced = out.iter().any(|e| matches!(e, Effect::OwnChanged(f) if f.epoch > before.epoch));
    assert!(announced, "{out:?}");
    check(&n.handle(bind(1)), "");
    check(
        &n.handle(Input::Peered { allocation: allocation(1), trace: Trace::Served(8) }),
        "ProviderActivated Activated",
    );
    assert_eq!(n.statuses(), ["Node Active"]);
    check(&n.handle(close(1)), "Clear");
    assert_eq!((n.statuses(), n.left().as_str()), (vec!["Node Released".to_owned()], "cpu 3, memory 7Gi"));
    check(&n.handle(Input::Gone { allocation: allocation(1) }), "Freed");
    let after = n.manager.flavours().next().unwrap();
    assert_eq!(Flavour { epoch: before.epoch, ..after.clone() }, before);
    assert!(after.epoch > before.epoch);
    assert_eq!((n.statuses(), n.kept(Table::Allocations)), (vec!["Node Released".to_owned()], 0));
}

#[test]
fn a_hold_that_was_never_bound_is_free_at_once() {
    let mut n = Node::offering();
    n.handle(reserve(1, resources("4", "8Gi"), "1EUR/h"));
    check(&n.handle(close(1)), "Freed");
    assert_eq!(n.left(), "cpu 4, memory 8Gi");
}

#[test]
fn only_valid_parts_within_the_ceiling_are_granted() {
    let mut n = Node::offering();
    let mut row = |cpu: &str, memory: &str, ceiling: &str, code: Code| {
        let out = n.handle(reserve(1, resources(cpu, memory), ceiling));
        check(&out, &format!("Denied({code})"));
    };
    row("100m", "1Gi", "1EUR/h", Code::BelowMinimum);
    row("600m", "1Gi", "1EUR/h", Code::NotAStep);
    row("5", "1Gi", "1EUR/h", Code::TooLarge);
    row("1", "1Gi", "0.199999EUR/h", Code::PriceTooLow);
    row("1", "1Gi", "1USD/h", Code::CurrencyMismatch);
    assert_eq!(n.left(), "cpu 4, memory 8Gi");
    assert!(sentence(&n.handle(reserve(1, resources("1", "1Gi"), "1USD/h"))).ends_with("is paid in EUR, not in USD"));
    let elsewhere = Input::Reserve {
        allocation: allocation(2),
        buyer: node(7),
        flavour: FlavourId([5; 16]),
        partition: resources("1", "1Gi"),
        ceiling: rate("1EUR/h"),
        trace: Trace::None,
    };
    check(&n.handle(elsewhere), "Denied(NotFound)");
}

#[test]
fn never_more_than_there_is_is_granted() {
    let mut n = Node::offering();
    check(&n.handle(reserve(1, resources("3", "1Gi"), "1EUR/h")), "FlavourReduced ReservedAtSeller Granted(0.6EUR/h)");
    let out = n.handle(reserve(2, resources("1500m", "1Gi"), "1EUR/h"));
    check(&out, "Denied(Unavailable)");
    assert!(sentence(&out).ends_with("cpu: 1500m wanted, 1 available"), "{}", sentence(&out));
    // Whatever its buyer had seen: what is left is enough.
    check(&n.handle(reserve(3, resources("1", "1Gi"), "1EUR/h")), "FlavourReduced ReservedAtSeller Granted(0.2EUR/h)");
}

#[test]
fn repeats_change_nothing() {
    let mut n = Node::offering();
    let first = n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h"));
    let again = n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h"));
    check(&again, "Granted(0.2EUR/h)");
    let epoch = |out: &[Effect]| {
        out.iter().find_map(|e| if let Effect::Granted { epoch, .. } = e { Some(*epoch) } else { None }).unwrap()
    };
    assert_eq!(epoch(&first), epoch(&again));
    check(&n.handle(reserve(1, resources("2", "1Gi"), "1EUR/h")), "Denied(KeyReused)");
    n.handle(bind(1));
    assert!(n.handle(bind(1)).is_empty());
    check(&n.handle(Input::Peered { allocation: allocation(1), trace: Trace::None }), "Activated");
    check(&n.handle(Input::Peered { allocation: allocation(1), trace: Trace::Served(1) }), "Activated");
    // Gone before it was closed says nothing about what comes later.
    assert!(n.handle(Input::Gone { allocation: allocation(1) }).is_empty());
    check(&n.handle(close(1)), "Clear");
    assert!(n.handle(close(1)).is_empty());
    check(&n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h")), "Denied(Closed)");
    check(&n.handle(Input::Gone { allocation: allocation(1) }), "Freed");
    assert!(n.handle(Input::Gone { allocation: allocation(1) }).is_empty());
    check(&n.handle(close(1)), "Freed");
    assert!(n.handle(Input::Peered { allocation: allocation(1), trace: Trace::None }).is_empty());
    assert_eq!(n.left(), "cpu 4, memory 8Gi");
}

#[test]
fn offers_come_and_go_by_hand() {
    let mut n = Node::new(Config::default());
    let ticket = Ticket(1);
    let id = offer("edge").flavour(&ME);
    check(&n.handle(Input::Offer { ticket, offer: Box::new(offer("edge")) }), "Ok(Offered)");
    assert_eq!(n.manager.flavours().next().unwrap().id, id);
    // The same again is no change.
    assert_eq!(n.handle(Input::Offer { ticket, offer: Box::new(offer("edge")) }).len(), 1);
    let bad = Offer { base: Resources::default(), ..offer("bad") };
    let out = n.handle(Input::Offer { ticket, offer: Box::new(bad) });
    check(&out, "Err(Malformed)");
    assert!(sentence(&out).starts_with("offer 'bad' has nothing in it"));
    n.restart();
    assert_eq!(n.manager.flavours().count(), 1);
    check(&n.handle(Input::Withdraw { ticket, flavour: id }), "OwnGone Ok(Withdrawn)");
    check(&n.handle(Input::Withdraw { ticket, flavour: id }), "Err(NotFound)");
    check(&n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h")), "Denied(NotFound)");
    assert_eq!(n.kept(Table::Flavours), 0);
}

#[test]
fn a_withdrawn_flavour_goes_on_counting_what_is_taken_of_it() {
    let mut n = Node::offering();
    n.handle(reserve(1, resources("1", "1Gi"), "1EUR/h"));
    let flavour = n.edge();
    n.handle(Input::Withdraw { ticket: Ticket(1), flavour });
    // The configuration still has it; the operator's word stands until it is offered again.
    n.restart();
    assert_eq!(n.manager.flavours().count(), 0);
    n.handle(Input::Offer { ticket: Ticket(1), offer: Box::new(offer("edge")) });
    assert_eq!(n.left(), "cpu 3, memory 7Gi");
}

#[test]
fn a_base_made_smaller_than_what_is_taken_leaves_nothing_and_breaks_nothing() {
    let mut n = Node::offering();
    n.handle(reserve(1, resources("3", "3Gi"), "1EUR/h"));
    n.config.offers[0].base = resources("2", "8Gi");
    n.restart();
    assert_eq!(n.left(), "memory 5Gi");
    check(&n.handle(reserve(2, resources("500m", "512Mi"), "1EUR/h")), "Denied(Unavailable)");
    check(&n.handle(close(1)), "Freed");
    assert_eq!(n.left(), "cpu 2, memory 8Gi");
    let book = n.manager.books().next().unwrap();
    assert_eq!((book.base, book.taken), (book.available, Resources::default()));
}

#[test]
fn a_change_of_name_or_address_is_announced() {
    let mut n = Node::offering();
    let domain = rear_proto::flavour::Domain { key: DomainKey([3; 32]), name: "alpha".to_owned() };
    let named = || Input::Named { domain: domain.clone(), addresses: vec!["/ip4/1.2.3.4".to_owned()] };
    let out = n.handle(named());
    assert!(matches!(&out[..], [Effect::OwnChanged(f)] if f.domain.name == "alpha" && f.provider.addresses.len() == 1));
    assert!(n.handle(named()).is_empty());
}

#[test]
fn local_use_takes_what_it_needs_and_gives_it_back() {
    let mut n = Node::offering();
    // Less than the least part, and dearer than the selector allows: neither matters at home.
    check(&n.handle(look_up(1, "cpu>=100m, memory>=1Mi, price<=0.000001EUR/h")), "LookedUp(here)");
    assert_eq!(n.left(), "cpu 3900m, memory 8191Mi");
    check(&n.handle(look_up(1, "cpu>=100m")), "LookedUp(here)");
    check(&n.handle(look_up(2, "cpu>=4")), "LookedUp(no)");
    check(&n.handle(look_up(3, "arch=arm64")), "LookedUp(no)");
    check(&n.handle(look_up(4, "domain=beta")), "LookedUp(no)");
    assert_eq!(n.statuses(), ["Local Active"]);
    let local = n.manager.allocations().next().unwrap().id;
    check(&n.handle(Input::Release { request: request(1) }), "Clear");
    assert!(n.handle(Input::Release { request: request(1) }).is_empty());
    assert_eq!(n.left(), "cpu 3900m, memory 8191Mi");
    check(&n.handle(Input::Gone { allocation: local }), "Released");
    assert_eq!((n.left().as_str(), n.manager.pending()), ("cpu 4, memory 8Gi", 0));
    check(&n.handle(Input::Release { request: request(1) }), "Released");
}

#[test]
fn local_use_goes_where_the_least_is_left_over() {
    let small = Offer { base: resources("1", "2Gi"), ..offer("small") };
    let mut n = Node::new(Config { offers: vec![offer("edge"), small.clone()], ..Config::default() });
    n.handle(look_up(1, "cpu>=1"));
    assert_eq!(n.manager.allocations().next().unwrap().role.flavour(), Some(small.flavour(&ME)));
}

#[test]
fn freed_allocations_are_shown_for_a_while() {
    let mut n = Node::new(Config { offers: vec![offer("edge")], released_shown: 2, ..Config::default() });
    for number in 1..=5 {
        n.handle(reserve(number, resources("1", "1Gi"), "1EUR/h"));
        n.handle(close(number));
    }
    assert_eq!(n.manager.allocations().map(|a| a.id).collect::<Vec<_>>(), [allocation(4), allocation(5)]);
}
