//! What a seller refuses, in which order, and what it answers to repeats.

use kernel::{ContractId, Key, NodeId, Span, Time};
use rear_proto::{
    Answer, Code, Contract, Endorsement, Mode, Order, Purchase, RenewalAsk, Request, Reserved, Signed,
    message::{Buy, EndReason, Extensions, Release, Renew, Reserve},
};

use super::{samples::*, world::*};
use crate::{Config, Input};

fn order(key: u8, mode: Mode) -> Order {
    Order {
        key: Key([key; 16]),
        buyer: id(C),
        seller: id(P),
        placed: NOW,
        flavour: kernel::FlavourId([6; 16]),
        epoch: Default::default(),
        partition: cores(1),
        mode,
        term: Span::secs(3600),
        activate_within: Span::secs(10),
        ceiling: rate("0.25EUR/h"),
        tunnel_key: [7; 32],
        extensions: Extensions::new(),
    }
}

fn reserve(order: Order) -> Reserve {
    Reserve {
        now: NOW,
        deadline: Span::secs(5),
        endorsement: Endorsement::Member(credentials(id(C))),
        order: Signed::new(order, &signer(1)),
        extensions: Extensions::new(),
    }
}

fn world() -> World {
    World::new(Config::default())
}

fn say(world: &mut World, reserve: Reserve) -> Answer {
    world.ask(P, id(C), Request::Reserve(reserve)).expect("an answer at once")
}

fn code(answer: &Answer) -> Option<Code> {
    if let Answer::Refused(refusal) = answer { Some(refusal.code()) } else { None }
}

fn held(answer: Answer) -> Signed<Reserved> {
    if let Answer::Reserved(reserved) = answer { reserved } else { panic!("{answer:?}") }
}

fn agreed(answer: Answer) -> Signed<Contract> {
    if let Answer::Contract(contract) = answer { contract } else { panic!("{answer:?}") }
}

fn purchase(world: &mut World, key: u8, reserved: &Signed<Reserved>) -> Answer {
    let purchase = Purchase { key: Key([key; 16]), reserved: reserved.digest(), extensions: Extensions::new() };
    let buy = Buy {
        now: world.now,
        deadline: Span::secs(5),
        purchase: Signed::new(purchase, &signer(1)),
        extensions: Extensions::new(),
    };
    world.ask(P, id(C), Request::Purchase(buy)).expect("an answer at once")
}

fn release(world: &mut World, from: NodeId, buyer: NodeId, key: u8) -> Option<Answer> {
    let reason = EndReason::Released;
    let release = Release { key: Key([key; 16]), buyer, reason, extensions: Extensions::new() };
    world.ask(P, from, Request::Release(release))
}

fn renew(world: &mut World, contract: &Signed<Contract>, change: impl FnOnce(&mut RenewalAsk)) -> Answer {
    let mut ask = RenewalAsk {
        contract: contract.digest(),
        n: 1,
        term: Span::secs(60),
        ceiling: rate("0.25EUR/h"),
        extensions: Extensions::new(),
    };
    change(&mut ask);
    let renew = Renew {
        now: world.now,
        deadline: Span::secs(5),
        ask: Signed::new(ask, &signer(1)),
        extensions: Extensions::new(),
    };
    world.ask(P, id(C), Request::Renew(renew)).expect("an answer at once")
}

#[test]
fn what_is_not_right_is_refused_and_takes_nothing() {
    type Change = fn(&mut Order);
    let orders: [(&str, Change, Code); 9] = [
        ("of another buyer", |order| order.buyer = id(P), Code::Malformed),
        ("for another seller", |order| order.seller = signer(9).id(), Code::Malformed),
        ("placed long ago", |order| order.placed = Time(NOW.0 - 61_000), Code::Expired),
        ("placed far ahead", |order| order.placed = Time(NOW.0 + 61_000), Code::Expired),
        ("without a term", |order| order.term = Span::ZERO, Code::Malformed),
        ("over the longest term", |order| order.term = Span::secs(31 * 86_400), Code::TooLarge),
        ("over the longest time to activate", |order| order.activate_within = Span::secs(601), Code::TooLarge),
        ("over what there is", |order| order.partition = cores(POOL + 1), Code::Unavailable),
        (
            "over what there is, to hold",
            |order| {
                order.mode = Mode::Hold;
                order.partition = cores(POOL + 1);
            },
            Code::Unavailable,
        ),
    ];
    for (what, change, refused) in orders {
        let (mut world, mut order) = (world(), order(1, Mode::Direct));
        change(&mut order);
        assert_eq!(code(&say(&mut world, reserve(order))), Some(refused), "{what}");
        assert_eq!(world.used(P), 0, "{what}");
        assert!(world.nodes[P].ledger.is_empty(), "{what}");
    }
}

#[test]
fn who_asks_must_be_who_signed_and_a_member() {
    let good = || reserve(order(1, Mode::Direct));
    let mut world = world();
    let by_another = Reserve { order: Signed::new(order(1, Mode::Direct), &signer(9)), ..good() };
    assert_eq!(code(&say(&mut world, by_another)), Some(Code::Malformed));
    let other = world.ask(P, signer(9).id(), Request::Reserve(good())).unwrap();
    assert_eq!(code(&other), Some(Code::Malformed));
    let not_theirs = Reserve { endorsement: Endorsement::Member(credentials(id(P))), ..good() };
    assert_eq!(code(&say(&mut world, not_theirs)), Some(Code::NotAMember));
    for apart in [-31_000i64, 31_000] {
        let skewed = Reserve { now: Time(NOW.0.checked_add_signed(apart).unwrap()), ..good() };
        assert_eq!(code(&say(&mut world, skewed)), Some(Code::ClockSkew));
    }
    assert_eq!(world.used(P), 0);
    agreed(say(&mut world, good()));
}

#[test]
fn a_node_that_can_not_keep_promises_makes_none() {
    let mut world = world();
    let contract = agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    let reserved = held(say(&mut world, reserve(order(2, Mode::Hold))));
    world.give(P, Input::Storage { ok: false });
    assert_eq!(code(&say(&mut world, reserve(order(3, Mode::Direct)))), Some(Code::Storage));
    assert_eq!(code(&purchase(&mut world, 2, &reserved)), Some(Code::Storage));
    assert_eq!(code(&renew(&mut world, &contract, |_| {})), Some(Code::Storage));
    // But what was promised can be given back.
    assert_eq!(release(&mut world, id(C), id(C), 1), Some(Answer::Released));
    world.give(P, Input::Storage { ok: true });
    agreed(purchase(&mut world, 2, &reserved));
}

#[test]
fn a_repeat_gets_the_first_answer_to_the_byte() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = world();
        let first = say(&mut world, reserve(order(1, mode)));
        world.pass(Span::secs(4), false);
        let again = Reserve { now: world.now, deadline: Span::secs(1), ..reserve(order(1, mode)) };
        assert_eq!(say(&mut world, again), first);
        assert_eq!(world.used(P), 1);
    }
}

#[test]
fn a_repeat_after_the_purchase_still_gets_the_hold() {
    let mut world = world();
    let first = say(&mut world, reserve(order(1, Mode::Hold)));
    let reserved = held(first.clone());
    let contract = purchase(&mut world, 1, &reserved);
    assert_eq!(say(&mut world, reserve(order(1, Mode::Hold))), first);
    assert_eq!(purchase(&mut world, 1, &reserved), contract);
    assert_eq!(world.used(P), 1);
}

#[test]
fn a_refusal_is_remembered_for_twice_the_deadline() {
    let mut world = world();
    let large = || {
        let mut order = order(1, Mode::Direct);
        order.partition = cores(POOL);
        reserve(order)
    };
    agreed(say(&mut world, reserve(order(2, Mode::Direct))));
    let first = say(&mut world, large());
    assert_eq!(code(&first), Some(Code::Unavailable));
    release(&mut world, id(C), id(C), 2);
    assert_eq!(say(&mut world, large()), first, "though there is room now");
    world.pass(Span::millis(9_999), false);
    assert_eq!(say(&mut world, large()), first);
    world.pass(Span::millis(1), false);
    agreed(say(&mut world, large()));
}

#[test]
fn other_content_under_a_used_key_is_refused() {
    let other = |key, mode| reserve(Order { term: Span::secs(60), ..order(key, mode) });
    let mut world = world();
    let reserved = held(say(&mut world, reserve(order(1, Mode::Hold))));
    assert_eq!(code(&say(&mut world, other(1, Mode::Hold))), Some(Code::KeyReused));
    agreed(purchase(&mut world, 1, &reserved));
    assert_eq!(code(&say(&mut world, other(1, Mode::Hold))), Some(Code::KeyReused));
    release(&mut world, id(C), id(C), 1);
    assert_eq!(code(&say(&mut world, other(1, Mode::Hold))), Some(Code::KeyReused));
    let mut large = order(2, Mode::Direct);
    large.partition = cores(9);
    say(&mut world, reserve(large));
    assert_eq!(code(&say(&mut world, other(2, Mode::Direct))), Some(Code::KeyReused));
}

#[test]
fn two_buyers_may_use_the_same_key() {
    let mut world = world();
    agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    let theirs = Order { buyer: signer(9).id(), ..order(1, Mode::Direct) };
    let theirs = Reserve {
        endorsement: Endorsement::Member(credentials(signer(9).id())),
        order: Signed::new(theirs, &signer(9)),
        ..reserve(order(1, Mode::Direct))
    };
    agreed(world.ask(P, signer(9).id(), Request::Reserve(theirs)).unwrap());
    assert_eq!(world.used(P), 2);
}

#[test]
fn what_was_released_stays_closed_to_its_repeats() {
    let mut world = world();
    let reserved = held(say(&mut world, reserve(order(1, Mode::Hold))));
    agreed(say(&mut world, reserve(order(2, Mode::Direct))));
    for key in [1, 2] {
        assert_eq!(release(&mut world, id(C), id(C), key), Some(Answer::Released));
        assert_eq!(release(&mut world, id(C), id(C), key), Some(Answer::Released));
    }
    assert_eq!(code(&say(&mut world, reserve(order(1, Mode::Hold)))), Some(Code::Closed));
    assert_eq!(code(&say(&mut world, reserve(order(2, Mode::Direct)))), Some(Code::Closed));
    assert_eq!(code(&purchase(&mut world, 1, &reserved)), Some(Code::Closed));
    assert_eq!(world.used(P), 0);
}

#[test]
fn a_reserve_that_comes_after_its_release_is_closed() {
    let mut world = world();
    assert_eq!(release(&mut world, id(C), id(C), 1), Some(Answer::Released));
    assert_eq!(code(&say(&mut world, reserve(order(1, Mode::Direct)))), Some(Code::Closed));
    world.pass(Span::secs(10), false);
    agreed(say(&mut world, reserve(order(1, Mode::Direct))));
}

#[test]
fn nobody_releases_what_is_anothers() {
    let mut world = world();
    agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    let stranger = signer(9).id();
    assert_eq!(code(&release(&mut world, stranger, id(C), 1).unwrap()), Some(Code::Malformed));
    assert_eq!(release(&mut world, stranger, stranger, 1), Some(Answer::Released));
    assert_eq!(release(&mut world, stranger, id(P), 1), Some(Answer::Released));
    assert_eq!(world.used(P), 1);
}

#[test]
fn pending_holds_of_one_buyer_are_bounded() {
    let config = Config { pending_per_buyer: 2, ..Config::default() };
    let mut world = World::new(config);
    let first = agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    held(say(&mut world, reserve(order(2, Mode::Hold))));
    let refused = say(&mut world, reserve(order(3, Mode::Direct)));
    assert_eq!(code(&refused), Some(Code::Overloaded));
    // An active contract is no longer pending, and being overloaded is not remembered.
    world.give(P, Input::Activated { contract: ContractId::from(first.digest()) });
    agreed(say(&mut world, reserve(order(3, Mode::Direct))));
    assert_eq!(code(&say(&mut world, reserve(order(4, Mode::Direct)))), Some(Code::Overloaded));
    release(&mut world, id(C), id(C), 2);
    agreed(say(&mut world, reserve(order(4, Mode::Direct))));
}

#[test]
fn a_purchase_that_comes_before_the_lapse_was_noticed_comes_too_late() {
    let mut world = world();
    let reserved = held(say(&mut world, reserve(order(1, Mode::Hold))));
    // The node was busy: its time to wake has passed.
    world.now = world.now + Config::default().purchase_within;
    assert_eq!(code(&purchase(&mut world, 1, &reserved)), Some(Code::Expired));
    assert_eq!(world.used(P), 0);
}

#[test]
fn only_what_is_held_for_the_buyer_is_purchased() {
    let mut world = world();
    let reserved = held(say(&mut world, reserve(order(1, Mode::Hold))));
    agreed(say(&mut world, reserve(order(2, Mode::Direct))));
    let other = held(say(&mut world, reserve(order(3, Mode::Hold))));
    assert_eq!(code(&purchase(&mut world, 9, &reserved)), Some(Code::NotFound));
    assert_eq!(code(&purchase(&mut world, 1, &other)), Some(Code::KeyReused));
    assert_eq!(code(&purchase(&mut world, 2, &reserved)), Some(Code::KeyReused));
    world.pass(Span::secs(30), false);
    assert_eq!(code(&purchase(&mut world, 1, &reserved)), Some(Code::Expired));
}

#[test]
fn renewals_follow_on_each_other() {
    let mut world = world();
    let contract = agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    let end = |world: &World| world.live(P)[0].end;
    let before = end(&world);
    assert_eq!(code(&renew(&mut world, &contract, |ask| ask.n = 0)), Some(Code::Malformed));
    assert_eq!(code(&renew(&mut world, &contract, |ask| ask.n = 2)), Some(Code::Malformed));
    let first = renew(&mut world, &contract, |_| {});
    assert!(matches!(first, Answer::Renewed(_)), "{first:?}");
    assert_eq!(renew(&mut world, &contract, |_| {}), first);
    assert_eq!(end(&world), before + Span::secs(60));
    assert_eq!(code(&renew(&mut world, &contract, |ask| ask.term = Span::secs(61))), Some(Code::KeyReused));
    assert!(matches!(renew(&mut world, &contract, |ask| ask.n = 2), Answer::Renewed(_)));
    assert_eq!(renew(&mut world, &contract, |_| {}), first, "after the second, too");
    assert_eq!(end(&world), before + Span::secs(120));
}

#[test]
fn a_renewal_is_within_the_sellers_limits() {
    let mut world = world();
    let contract = agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    let mut refused = |change: fn(&mut RenewalAsk)| code(&renew(&mut world, &contract, change));
    assert_eq!(refused(|ask| ask.ceiling = rate("0.19EUR/h")), Some(Code::PriceTooLow));
    assert_eq!(refused(|ask| ask.ceiling = rate("9USD/h")), Some(Code::CurrencyMismatch));
    assert_eq!(refused(|ask| ask.term = Span::ZERO), Some(Code::Malformed));
    assert_eq!(refused(|ask| ask.term = Span::secs(365 * 86_400)), Some(Code::TooLarge));
    assert_eq!(refused(|ask| ask.contract = kernel::Digest([1; 32])), Some(Code::NotFound));
}

#[test]
fn one_buyer_gets_so_many_promises_an_hour_and_repeats_cost_none() {
    let mut world = World::new(Config { orders_per_hour: 3, ..Config::default() });
    let contract = agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    release(&mut world, id(C), id(C), 1);
    held(say(&mut world, reserve(order(2, Mode::Hold))));
    held(say(&mut world, reserve(order(2, Mode::Hold))));
    assert_eq!(code(&renew(&mut world, &contract, |_| {})), Some(Code::Closed));
    let contract = agreed(say(&mut world, reserve(order(3, Mode::Direct))));
    assert_eq!(code(&say(&mut world, reserve(order(4, Mode::Direct)))), Some(Code::Overloaded));
    assert_eq!(code(&renew(&mut world, &contract, |_| {})), Some(Code::Overloaded));
    assert_eq!(agreed(say(&mut world, reserve(order(3, Mode::Direct)))), contract);
}

#[test]
fn release_beats_renew() {
    let mut world = world();
    let contract = agreed(say(&mut world, reserve(order(1, Mode::Direct))));
    assert!(matches!(renew(&mut world, &contract, |_| {}), Answer::Renewed(_)));
    release(&mut world, id(C), id(C), 1);
    assert_eq!(code(&renew(&mut world, &contract, |_| {})), Some(Code::Closed));
    assert_eq!(code(&renew(&mut world, &contract, |ask| ask.n = 2)), Some(Code::Closed));
}

#[test]
fn a_seller_may_end_what_it_sold_and_the_buyer_is_told() {
    let mut world = world();
    let contract = world.bought(1, Mode::Direct);
    world.activate(contract);
    let allocation = *world.nodes[P].grants.keys().next().unwrap();
    world.give(P, Input::Evict { allocation });
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
    assert!(world.live(C).is_empty() && world.live(P).is_empty());
    world.free();
    world.settle();
    assert_eq!(world.used(P), 0);
    world.check_quiet();
}

#[test]
fn a_stranger_does_not_stop_the_buyer_from_being_told() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    let allocation = *world.nodes[P].grants.keys().next().unwrap();
    world.give(P, Input::Evict { allocation });
    world.wire.clear();
    let stranger = signer(9).id();
    assert!(matches!(release(&mut world, stranger, id(C), 1), Some(Answer::Refused(_))));
    assert_eq!(release(&mut world, stranger, stranger, 1), Some(Answer::Released));
    assert_eq!(world.nodes[P].manager.unsettled(), 1, "the buyer has still to be told");
    world.give(P, Input::PeerUp { node: id(C) });
    world.settle();
    assert_eq!(world.ends(1), [EndReason::Released]);
}

#[test]
fn a_seller_without_proof_of_membership_promises_nothing() {
    let mut world = world();
    world.nodes[P].manager = stranger(2, Config::default());
    assert_eq!(code(&say(&mut world, reserve(order(1, Mode::Direct)))), Some(Code::Unavailable));
    assert_eq!(world.used(P), 0);
}
