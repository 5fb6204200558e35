//! The consumer's side: from a wish to a virtual node, and back.

use super::*;
use rear_proto::Code;

const WANT: &str = "cpu>=1, memory>=1Gi";

fn found(candidates: Vec<Candidate>) -> Input {
    Input::Found { request: request(1), candidates }
}

fn discovered() -> Input {
    Input::Discovered { request: request(1), partial: false, silent: 0 }
}

fn signed(key: Key, number: u8) -> Input {
    Input::Signed { request: request(1), key, contract: bought(number, node(2)), trace: OWN }
}

fn refused(key: Key, code: Code, text: &str) -> Input {
    Input::Refused { request: request(1), key, refusal: Refusal::new(code, text) }
}

fn peered(number: u8) -> Input {
    Input::Peered { allocation: allocation(number), trace: OWN }
}

fn unpeered(number: u8) -> Input {
    let refusal = Refusal::new(Code::Timeout, "the far end said nothing");
    Input::Unpeered { allocation: allocation(number), refusal }
}

fn ended(key: Key, number: u8, reason: EndReason) -> Input {
    Input::Ended { key, allocation: allocation(number), reason }
}

fn release() -> Input {
    Input::Release { request: request(1) }
}

/// A node whose request waits for the answer to its first order, and the order's key.
fn ordered(mode: Mode) -> (Node, Key) {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, mode));
    let key = started(&n.handle(found(vec![candidate(2)]))).key;
    (n, key)
}

/// A node whose request is ready, and the order's key.
fn ready() -> (Node, Key) {
    let (mut n, key) = ordered(Mode::Direct);
    n.handle(signed(key, 1));
    n.handle(peered(1));
    (n, key)
}

#[test]
fn the_first_story_is_told_in_its_order() {
    let mut n = Node::new(Config::default());
    check(&n.handle(look_up(1, WANT)), "LookedUp(no)");
    check(&n.handle(acquire(WANT, Mode::Direct)), "CandidatesLookedUp Find");
    check(&n.handle(found(vec![])), "SelectorBuilt Discover-0");
    check(&n.handle(discovered()), "Find");
    let out = n.handle(found(vec![candidate(2)]));
    check(&out, "CandidateFound ReservationStarted Start");
    let wish = started(&out);
    assert_eq!(wish.seller.node, node(2));
    assert_eq!(wish.partition, resources("1", "1Gi"));
    assert_eq!(wish.ceiling, rate("0.202EUR/h"));
    assert!(wish.renew && wish.activate_within.is_none());
    check(&n.handle(signed(wish.key, 1)), "VirtualNodeAllocated PeeringStarted Peer");
    assert_eq!((n.statuses(), n.kept(Table::Allocations)), (vec!["VirtualNode Inactive".to_owned()], 1));
    let out = n.handle(peered(1));
    check(&out, "ConsumerActivated PhasesOver Ready");
    assert!(matches!(out.last(), Some(Effect::Ready { provider, price, .. })
        if *provider == node(2) && *price == rate("0.2EUR/h")));
    assert_eq!(n.statuses(), ["VirtualNode Active"]);
    check(&n.handle(release()), "End(Released)");
    check(&n.handle(ended(wish.key, 1, EndReason::Released)), "Released");
    assert_eq!((n.manager.pending(), n.kept(Table::Allocations)), (0, 0));
}

#[test]
fn a_candidate_in_the_index_needs_no_discovery() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    check(&n.handle(found(vec![candidate(2)])), "CandidateFound ReservationStarted Start");
}

#[test]
fn what_this_node_offers_itself_is_no_candidate() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    check(&n.handle(found(vec![candidate(1)])), "SelectorBuilt Discover-0");
}

#[test]
fn a_request_holds_first_and_purchases_when_told() {
    let (mut n, key) = ordered(Mode::Hold);
    let held = || Input::Held { request: request(1), key, price: rate("0.2EUR/h"), purchase_within: Span::secs(30) };
    check(&n.handle(held()), "Holding");
    assert!(n.handle(held()).is_empty());
    check(&n.handle(Input::Purchase { request: request(1) }), "Purchase");
    assert!(n.handle(Input::Purchase { request: request(1) }).is_empty());
    check(&n.handle(signed(key, 1)), "VirtualNodeAllocated PeeringStarted Peer");
}

#[test]
fn a_hold_that_lapses_or_is_not_sold_is_told() {
    let (mut n, key) = ordered(Mode::Hold);
    n.handle(Input::Held { request: request(1), key, price: rate("0.2EUR/h"), purchase_within: Span::secs(30) });
    check(&n.handle(ended(key, 1, EndReason::Expired)), "Ended(Expired)");
    assert_eq!(n.manager.pending(), 0);
    let (mut n, key) = ordered(Mode::Hold);
    n.handle(Input::Held { request: request(1), key, price: rate("0.2EUR/h"), purchase_within: Span::secs(30) });
    n.handle(Input::Purchase { request: request(1) });
    check(&n.handle(refused(key, Code::Expired, "too late")), "Failed(Expired)");
    assert_eq!(n.manager.pending(), 0);
}

#[test]
fn who_refuses_is_followed_by_the_next_and_then_by_asking_wider() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let first = started(&n.handle(found(vec![candidate(2), candidate(3)])));
    let out = n.handle(refused(first.key, Code::Unavailable, "full"));
    check(&out, "Start");
    let second = started(&out);
    assert_ne!((first.seller.node, first.key), (second.seller.node, second.key));
    check(&n.handle(refused(second.key, Code::Storage, "its disk is full")), "SelectorBuilt Discover-2");
    check(&n.handle(discovered()), "Find");
    // Those that have refused are not asked again.
    let third = started(&n.handle(found(vec![candidate(2), candidate(3), candidate(4)])));
    assert_eq!(third.seller.node, node(4));
    check(&n.handle(refused(third.key, Code::Unavailable, "full")), "Discover-3");
    n.handle(discovered());
    let out = n.handle(found(vec![candidate(2), candidate(3), candidate(4)]));
    check(&out, "Failed(Storage)");
    let text = sentence(&out);
    assert!(text.starts_with("all 3 offers that were tried were refused: "), "{text}");
    assert!(text.contains("its disk is full") && text.contains(&node(4).short()), "{text}");
    assert_eq!(n.manager.pending(), 0);
}

#[test]
fn when_nothing_was_tried_asking_again_is_of_no_use() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    n.handle(found(vec![]));
    n.handle(Input::Discovered { request: request(1), partial: true, silent: 2 });
    let out = n.handle(found(vec![]));
    check(&out, "Failed(Unavailable)");
    assert_eq!(sentence(&out), "no offer was found for 'cpu>=1, memory>=1Gi'; 2 endpoints said nothing");
}

#[test]
fn a_late_or_wrong_answer_changes_nothing() {
    let (mut n, key) = ordered(Mode::Direct);
    assert!(n.handle(found(vec![candidate(3)])).is_empty());
    assert!(n.handle(discovered()).is_empty());
    assert!(n.handle(refused(Key([1; 16]), Code::Unavailable, "full")).is_empty());
    assert!(n.handle(acquire(WANT, Mode::Direct)).is_empty());
    n.handle(signed(key, 1));
    assert!(n.handle(signed(key, 1)).is_empty());
    n.handle(peered(1));
    assert!(n.handle(peered(1)).is_empty());
    // Nobody asked for this one.
    check(&n.handle(signed(Key([8; 16]), 8)), "End(Released)");
}

#[test]
fn the_ceiling_is_a_little_over_the_price_seen_and_never_over_what_may_be_paid() {
    let order = |selector: &str, ceiling: Option<&str>| {
        let mut n = Node::new(Config::default());
        let Input::Acquire { request, selector, mode, term, origin, trace, .. } = acquire(selector, Mode::Direct)
        else {
            unreachable!()
        };
        let ceiling = ceiling.map(rate);
        n.handle(Input::Acquire { request, selector, mode, term, ceiling, origin, trace });
        n.handle(found(vec![candidate(2)]))
    };
    assert_eq!(started(&order(WANT, None)).ceiling, rate("0.202EUR/h"));
    assert_eq!(started(&order(WANT, Some("1EUR/h"))).ceiling, rate("0.202EUR/h"));
    assert_eq!(started(&order(WANT, Some("0.201EUR/h"))).ceiling, rate("0.201EUR/h"));
    assert_eq!(started(&order(&format!("{WANT}, price<=0.2EUR/h"), Some("1EUR/h"))).ceiling, rate("0.2EUR/h"));
    check(&order(WANT, Some("0.1EUR/h")), "SelectorBuilt Discover-0");
    check(&order(WANT, Some("1USD/h")), "SelectorBuilt Discover-0");
}

#[test]
fn the_smallest_part_that_covers_the_need_is_asked_for() {
    let mut n = Node::new(Config::default());
    n.handle(acquire("cpu>=1100m, memory>=100Mi", Mode::Direct));
    assert_eq!(started(&n.handle(found(vec![candidate(2)]))).partition, resources("1500m", "512Mi"));
}

#[test]
fn keys_never_repeat_not_even_for_the_same_origin() {
    let (mut n, first) = ordered(Mode::Direct);
    n.handle(release());
    n.handle(ended(first, 1, EndReason::Released));
    n.handle(acquire(WANT, Mode::Direct));
    let second = started(&n.handle(found(vec![candidate(2)]))).key;
    n.restart();
    n.handle(acquire(WANT, Mode::Direct));
    let third = started(&n.handle(found(vec![candidate(2)]))).key;
    assert!(first != second && second != third && first != third);
}

#[test]
fn a_peering_that_fails_is_given_back_and_the_next_is_tried() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let first = started(&n.handle(found(vec![candidate(2), candidate(3)])));
    n.handle(signed(first.key, 1));
    let out = n.handle(unpeered(1));
    check(&out, "End(Lost) Start");
    let second = started(&out);
    assert!(n.handle(unpeered(1)).is_empty());
    check(&n.handle(ended(first.key, 1, EndReason::Lost)), "");
    n.handle(signed(second.key, 2));
    check(&n.handle(peered(2)), "ConsumerActivated PhasesOver Ready");
    check(&n.handle(release()), "End(Released)");
    check(&n.handle(ended(second.key, 2, EndReason::Released)), "Released");
}

#[test]
fn a_contract_that_ends_before_its_peering_is_followed_by_the_next() {
    let (mut n, key) = ordered(Mode::Direct);
    n.handle(signed(key, 1));
    check(&n.handle(ended(key, 1, EndReason::NotActivated)), "SelectorBuilt Discover-1");
}

#[test]
fn what_is_released_waits_for_all_that_is_still_ending() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let first = started(&n.handle(found(vec![candidate(2), candidate(3)])));
    n.handle(signed(first.key, 1));
    let second = started(&n.handle(unpeered(1)));
    check(&n.handle(release()), "End(Released)");
    check(&n.handle(ended(second.key, 2, EndReason::Released)), "");
    check(&n.handle(ended(first.key, 1, EndReason::Lost)), "Released");
    assert_eq!((n.manager.pending(), n.kept(Table::Allocations)), (0, 0));
}

#[test]
fn an_order_is_cancelled_in_whatever_state_it_is() {
    // Before there is one.
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    check(&n.handle(release()), "Released");
    assert!(n.handle(found(vec![candidate(2)])).is_empty());
    // While the seller is asked, whatever it says.
    for answer in 0..3 {
        let (mut n, key) = ordered(Mode::Direct);
        check(&n.handle(release()), "End(Released)");
        match answer {
            0 => check(&n.handle(refused(key, Code::Closed, "cancelled")), "Released"),
            1 => check(&n.handle(ended(key, 1, EndReason::Released)), "Released"),
            _ => {
                check(&n.handle(signed(key, 1)), "");
                check(&n.handle(ended(key, 1, EndReason::Released)), "Released");
            }
        }
        assert_eq!((n.manager.pending(), n.statuses().len()), (0, 0));
    }
    // While it is being peered.
    let (mut n, key) = ordered(Mode::Direct);
    n.handle(signed(key, 1));
    check(&n.handle(release()), "End(Released)");
    check(&n.handle(peered(1)), "");
    check(&n.handle(ended(key, 1, EndReason::Released)), "Released");
    assert_eq!(n.statuses(), ["VirtualNode Released"]);
}

#[test]
fn the_end_of_what_is_used_is_told_once() {
    let (mut n, key) = ready();
    let out = n.handle(ended(key, 1, EndReason::Lost));
    check(&out, "Ended(Lost)");
    assert_eq!(n.statuses(), ["VirtualNode Released"]);
    assert!(n.handle(ended(key, 1, EndReason::Lost)).is_empty());
    check(&n.handle(release()), "Released");

    let (mut n, key) = ready();
    check(&n.handle(unpeered(1)), "End(Lost) Ended(Lost)");
    check(&n.handle(release()), "");
    check(&n.handle(ended(key, 1, EndReason::Lost)), "Released");

    let (mut n, key) = ready();
    let not_renewed = || Input::NotRenewed { key, refusal: Refusal::new(Code::PriceTooLow, "it is dearer now") };
    let out = n.handle(not_renewed());
    check(&out, "Ended(Expired)");
    assert!(sentence(&out).contains("it is dearer now"));
    assert!(n.handle(not_renewed()).is_empty());
    check(&n.handle(ended(key, 1, EndReason::Expired)), "");
    check(&n.handle(release()), "Released");
}

#[test]
fn a_request_may_try_again_after_it_has_failed_or_lost_all() {
    let (mut n, key) = ready();
    n.handle(unpeered(1));
    check(&n.handle(acquire(WANT, Mode::Direct)), "CandidatesLookedUp Find");
    check(&n.handle(ended(key, 1, EndReason::Lost)), "");
    check(&n.handle(found(vec![candidate(2)])), "CandidateFound ReservationStarted Start");

    // And what it had before is waited for when it gives up for good.
    let (mut n, key) = ready();
    n.handle(unpeered(1));
    n.handle(acquire(WANT, Mode::Direct));
    check(&n.handle(release()), "");
    check(&n.handle(ended(key, 1, EndReason::Lost)), "Released");
}

#[test]
fn peers_are_rated_by_what_they_do() {
    let (n, _) = ready();
    let rating = n.manager.ratings().next().unwrap();
    assert_eq!((rating.0, rating.1.contracts), (node(2), 1));
    let mut n = Node::offering();
    let outcome = rear_proto::local::Outcome::Failed;
    n.handle(Input::Rated { peer: node(4), outcome });
    n.handle(Input::RoundTrip { peer: node(4), span: Span::millis(7) });
    n.after(Span::secs(61));
    n.restart();
    let (_, rating) = n.manager.ratings().next().unwrap();
    assert_eq!((rating.failures, rating.score(), rating.round_trip_ms()), (1, 0.25, Some(7)));
}

#[test]
fn nothing_is_ordered_of_a_node_that_was_removed_whether_it_was_found_before_or_is_found_after() {
    let mut n = Node::new(Config::default());
    n.handle(acquire(WANT, Mode::Direct));
    let key = started(&n.handle(found(vec![candidate(2), candidate(3), candidate(4)]))).key;
    let first = n.manager.requests[&request(1)].search.as_ref().unwrap().current.clone().unwrap().seller.node;
    let [gone, left] = [node(2), node(3), node(4)].into_iter().filter(|it| *it != first).collect::<Vec<_>>()[..] else {
        panic!("two are left")
    };
    n.handle(Input::MemberGone { node: gone, removed: true });
    let next = started(&n.handle(refused(key, Code::Unavailable, "no room")));
    assert_eq!(next.seller.node, left);
    // What was asked before it was removed is answered after.
    n.handle(refused(next.key, Code::Unavailable, "no room"));
    n.handle(discovered());
    let late = candidate((2..=4).find(|number| node(*number) == gone).unwrap());
    let out = n.handle(found(vec![late]));
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Start { .. })), "{out:?}");
}

#[test]
fn of_many_nodes_that_were_removed_the_last_are_remembered() {
    let mut n = Node::new(Config::default());
    // The last have the least ids.
    for number in (0..3000_u16).rev() {
        let mut node = NodeId([0; 32]);
        node.0[..2].copy_from_slice(&number.to_be_bytes());
        n.handle(Input::MemberGone { node, removed: true });
        // Whoever is heard again to be removed takes nobody's place.
        n.handle(Input::MemberGone { node, removed: true });
    }
    let is_remembered = |number: u16| n.manager.removed.iter().any(|node| node.0[..2] == number.to_be_bytes());
    assert!((0..1024).all(is_remembered) && !is_remembered(1024));
}

#[test]
fn who_looks_further_is_told_what_it_may_cost() {
    let mut n = Node::new(Config::default());
    let mut input = acquire(WANT, Mode::Direct);
    if let Input::Acquire { ceiling, .. } = &mut input {
        *ceiling = Some(rate("0.01EUR/h"));
    }
    n.handle(input);
    let out = n.handle(found(vec![candidate(2)]));
    let told = out.iter().find_map(|effect| match effect {
        Effect::Discover { selector, ceiling, .. } => Some((selector.to_string(), *ceiling)),
        _ => None,
    });
    assert_eq!(told, Some((WANT.to_owned(), Some(rate("0.01EUR/h")))), "and nobody else is");
}
