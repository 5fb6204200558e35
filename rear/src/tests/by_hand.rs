//! What the operator does by hand.

use super::*;
use rear_proto::Code;

const KEY: Key = Key([4; 16]);
const T: Ticket = Ticket(1);

fn reserve_by_hand(need: Resources, exactly: bool, mode: Mode) -> Input {
    Input::ReserveByHand {
        ticket: T,
        flavour: candidate(2).flavour.id,
        provider: None,
        need,
        exactly,
        mode,
        term: Span::secs(600),
        activate_within: Span::secs(120),
        key: KEY,
    }
}

/// Returns the number of the request that a find is for.
#[track_caller]
fn finding(out: &[Effect]) -> RequestId {
    match out {
        [Effect::Find { request, .. }] => *request,
        other => panic!("{other:?}"),
    }
}

fn reserved(mode: Mode) -> (Node, RequestId) {
    let mut n = Node::offering();
    let request = finding(&n.handle(reserve_by_hand(resources("600m", "0"), false, mode)));
    let wish = started(&n.handle(Input::Found { request, candidates: vec![candidate(2)] }));
    assert_eq!((wish.key, wish.partition, wish.renew), (KEY, resources("1", "512Mi"), false));
    assert_eq!(wish.activate_within, Some(Span::secs(120)));
    (n, request)
}

fn agreed() -> (Node, RequestId) {
    let (mut n, request) = reserved(Mode::Direct);
    let signed = Input::Signed { request, key: KEY, contract: bought(1, node(2)), trace: Trace::None };
    check(&n.handle(signed), "Ok(Signed)");
    assert_eq!(n.manager.pending(), 0);
    (n, request)
}

fn held() -> (Node, RequestId) {
    let (mut n, request) = reserved(Mode::Hold);
    let held = Input::Held { request, key: KEY, price: rate("0.2EUR/h"), purchase_within: Span::secs(30) };
    check(&n.handle(held), "Ok(Held)");
    (n, request)
}

#[test]
fn what_is_held_by_hand_can_be_purchased() {
    let (mut n, request) = held();
    check(&n.handle(Input::PurchaseByHand { ticket: T, key: KEY }), "Purchase");
    check(&n.handle(Input::PurchaseByHand { ticket: T, key: KEY }), "Err(Unavailable)");
    let signed = Input::Signed { request, key: KEY, contract: bought(1, node(2)), trace: Trace::None };
    check(&n.handle(signed), "Ok(Signed)");
    assert_eq!(n.statuses(), ["VirtualNode Inactive"]);
    check(&n.handle(Input::PurchaseByHand { ticket: T, key: KEY }), "Ok(Signed)");
}

#[test]
fn a_hold_by_hand_that_has_lapsed_is_gone() {
    let (mut n, _) = held();
    check(&n.handle(Input::Ended { key: KEY, allocation: allocation(1), reason: EndReason::Expired }), "");
    assert_eq!(n.manager.pending(), 0);
    // Only the Contract Manager knows for sure.
    let out = n.handle(Input::PurchaseByHand { ticket: T, key: KEY });
    let Some(Effect::Purchase { request, .. }) = out.first() else { panic!("{out:?}") };
    let refusal = Refusal::new(Code::Expired, "it has lapsed");
    check(&n.handle(Input::Refused { request: *request, key: KEY, refusal }), "Err(Expired)");
    assert_eq!(n.manager.pending(), 0);
}

#[test]
fn what_can_not_be_reserved_is_refused_in_words() {
    let mut n = Node::offering();
    let request = finding(&n.handle(reserve_by_hand(resources("600m", "512Mi"), true, Mode::Direct)));
    let out = n.handle(Input::Found { request, candidates: vec![candidate(2)] });
    check(&out, "Err(NotAStep)");
    assert!(sentence(&out).ends_with("cpu 600m is not 500m plus whole steps of 500m"));
    let request = finding(&n.handle(reserve_by_hand(resources("100m", "512Mi"), true, Mode::Direct)));
    check(&n.handle(Input::Found { request, candidates: vec![candidate(2)] }), "Err(BelowMinimum)");
    let request = finding(&n.handle(reserve_by_hand(resources("40", "0"), false, Mode::Direct)));
    check(&n.handle(Input::Found { request, candidates: vec![candidate(2)] }), "Err(TooLarge)");
    let request = finding(&n.handle(reserve_by_hand(resources("1", "0"), false, Mode::Direct)));
    check(&n.handle(Input::Found { request, candidates: vec![] }), "Err(NotFound)");
    let own = n.edge();
    let Input::ReserveByHand { ticket, provider, need, exactly, mode, term, activate_within, key, .. } =
        reserve_by_hand(resources("1", "0"), false, Mode::Direct)
    else {
        unreachable!()
    };
    let flavour = own;
    let input = Input::ReserveByHand { ticket, flavour, provider, need, exactly, mode, term, activate_within, key };
    check(&n.handle(input), "Err(NotFound)");
    assert_eq!(n.manager.pending(), 0);
}

#[test]
fn when_one_way_to_a_flavour_refuses_the_next_is_tried_under_another_key() {
    let mut n = Node::offering();
    let request = finding(&n.handle(reserve_by_hand(resources("1", "0"), false, Mode::Direct)));
    let mut relayed = candidate(2);
    relayed.flavour.provider.node = node(3);
    let first = started(&n.handle(Input::Found { request, candidates: vec![relayed, candidate(2)] }));
    assert_eq!(first.seller.node, node(2));
    let refusal = || Refusal::new(Code::Timeout, "nothing was heard");
    let second = started(&n.handle(Input::Refused { request, key: first.key, refusal: refusal() }));
    assert!(second.seller.node == node(3) && second.key != first.key);
    check(&n.handle(Input::Refused { request, key: second.key, refusal: refusal() }), "Err(Timeout)");
}

#[test]
fn an_intent_uses_a_contract_made_by_hand_and_leaves_it() {
    let (mut n, _) = agreed();
    let using = |number| Input::Use { request: request(number), contract: contract(1), trace: OWN };
    check(&n.handle(using(1)), "PeeringStarted Peer");
    check(&n.handle(Input::Peered { allocation: allocation(1), trace: OWN }), "ConsumerActivated PhasesOver Ready");
    // Another may use what is open already.
    check(&n.handle(using(2)), "ConsumerActivated PhasesOver Ready");
    check(&n.handle(Input::Release { request: request(1) }), "Released");
    assert_eq!(n.statuses(), ["VirtualNode Active"]);
    let refusal = Refusal::new(Code::Timeout, "the far end said nothing");
    check(&n.handle(Input::Unpeered { allocation: allocation(1), refusal }), "Ended(Lost)");
    check(&n.handle(Input::ReleaseByHand { ticket: T, id: contract(1).0 }), "End(Released)");
    let ended = Input::Ended { key: KEY, allocation: allocation(1), reason: EndReason::Released };
    check(&n.handle(ended), "Ok(Released)");
    check(&n.handle(using(3)), "Failed(NotFound)");
}

#[test]
fn a_contract_that_can_not_be_peered_fails_the_intent_that_wants_to_use_it() {
    let (mut n, _) = agreed();
    n.handle(Input::Use { request: request(1), contract: contract(1), trace: OWN });
    let refusal = Refusal::new(Code::Timeout, "the far end said nothing");
    check(&n.handle(Input::Unpeered { allocation: allocation(1), refusal }), "Failed(Timeout)");
    assert_eq!(n.statuses(), ["VirtualNode Inactive"]);
}

#[test]
fn everything_bought_can_be_released_by_any_of_its_names() {
    for id in [KEY.0, contract(1).0, allocation(1).0] {
        let (mut n, _) = agreed();
        check(&n.handle(Input::ReleaseByHand { ticket: T, id }), "End(Released)");
        check(&n.handle(Input::ReleaseByHand { ticket: Ticket(2), id }), "");
        let ended = Input::Ended { key: KEY, allocation: allocation(1), reason: EndReason::Released };
        check(&n.handle(ended), "Ok(Released) Ok(Released)");
    }
    let (mut n, _) = held();
    check(&n.handle(Input::ReleaseByHand { ticket: T, id: KEY.0 }), "End(Released)");
    let ended = Input::Ended { key: KEY, allocation: allocation(1), reason: EndReason::Released };
    check(&n.handle(ended), "Ok(Released)");
}

#[test]
fn what_is_not_the_operators_to_release_is_refused_in_words() {
    let mut n = Node::offering();
    n.handle(look_up(1, "cpu>=1"));
    let local = n.manager.allocations().next().unwrap().id;
    let out = n.handle(Input::ReleaseByHand { ticket: T, id: local.0 });
    check(&out, "Err(Unavailable)");
    assert!(sentence(&out).contains("is used by an intent"));
    check(&n.handle(Input::ReleaseByHand { ticket: T, id: [77; 16] }), "Err(NotFound)");
}

#[test]
fn what_was_sold_can_be_ended_by_its_contract_or_allocation() {
    for id in [contract(3).0, allocation(3).0] {
        let mut n = Node::offering();
        n.handle(reserve(3, resources("1", "1Gi"), "1EUR/h"));
        n.handle(Input::Bind { allocation: allocation(3), contract: contract(3) });
        check(&n.handle(Input::ReleaseByHand { ticket: T, id }), "Evict");
        check(&n.handle(Input::Close { allocation: allocation(3), reason: EndReason::Released }), "Clear");
        // The operator is answered when the capacity is back, and not before.
        check(&n.handle(Input::Gone { allocation: allocation(3) }), "Freed Ok(Released)");
        assert_eq!(n.left(), "cpu 4, memory 8Gi");
    }
}

#[test]
fn nothing_is_reserved_by_hand_at_a_node_that_was_removed() {
    let mut n = Node::offering();
    let gone = |n: &mut Node| n.handle(Input::MemberGone { node: node(2), removed: true });
    let request = finding(&n.handle(reserve_by_hand(resources("600m", "0"), false, Mode::Direct)));
    gone(&mut n);
    check(&n.handle(Input::Found { request, candidates: vec![candidate(2)] }), "Err(NotFound)");
    // It was found before, as another way to what somebody else offers too.
    let mut n = Node::offering();
    let request = finding(&n.handle(reserve_by_hand(resources("600m", "0"), false, Mode::Direct)));
    let mut other = candidate(3);
    other.flavour.id = candidate(2).flavour.id;
    let wish = started(&n.handle(Input::Found { request, candidates: vec![other, candidate(2)] }));
    n.handle(Input::MemberGone { node: if wish.seller.node == node(2) { node(3) } else { node(2) }, removed: true });
    let refusal = Refusal::new(Code::Unavailable, "no room");
    check(&n.handle(Input::Refused { request, key: wish.key, refusal }), "Err(Unavailable)");
}
