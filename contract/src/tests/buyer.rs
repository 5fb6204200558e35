//! What a buyer believes, how it repeats, and what it gives back.

use kernel::{AskId, Key, Manager as _, RequestId, Span};
use rear_proto::{
    Answer, Code, Contract, Mode, Order, Refusal, Request, Reserved, Signed, Signer, Trace,
    local::Outcome,
    message::{EndReason, Extensions, Release},
};

use super::{samples::*, world::*};
use crate::{Config, Effect, Input, Manager};

fn outcomes(world: &World) -> Vec<Outcome> {
    let outcome = |effect: &Effect| match effect {
        Effect::Rated { outcome, .. } => Some(*outcome),
        _ => None,
    };
    world.nodes[C].told.iter().filter_map(outcome).collect()
}

/// Says how many messages of each kind are on their way.
fn on_the_way(world: &World) -> Vec<&'static str> {
    let name = |message: &Message| match message {
        Message::Ask { request, .. } => request.name(),
        Message::Answer { .. } => "answer",
    };
    world.wire.iter().map(name).collect()
}

/// Lets the seller answer, changes its answer, and lets the buyer have it.
fn tampered(mode: Mode, change: impl FnOnce(Answer) -> Answer) -> World {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, mode));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    let Some(Message::Answer { to, starts, ask, answer }) = world.wire.pop_front() else { panic!("no answer") };
    world.deliver(Message::Answer { to, starts, ask, answer: change(answer) });
    world
}

fn resigned(answer: Answer, by: &Signer, change: impl FnOnce(&mut Contract)) -> Answer {
    let Answer::Contract(signed) = answer else { panic!("{answer:?}") };
    let mut contract = signed.claimed().cloned().unwrap();
    change(&mut contract);
    Answer::Contract(Signed::new(contract, by))
}

#[test]
fn a_bad_contract_is_refused_and_given_back() {
    type Change = fn(Answer) -> Answer;
    let changes: [(&str, Change); 9] = [
        ("signed by another", |answer| resigned(answer, &signer(9), |_| {})),
        ("at a higher price", |answer| resigned(answer, &signer(2), |contract| contract.price = rate("0.3EUR/h"))),
        ("for longer", |answer| {
            resigned(answer, &signer(2), |contract| contract.term = contract.term.plus(Span::millis(1)))
        }),
        ("for no time", |answer| resigned(answer, &signer(2), |contract| contract.term = Span::ZERO)),
        ("to be used later", |answer| {
            resigned(answer, &signer(2), |contract| contract.activate_within = Span::secs(11))
        }),
        ("started late", |answer| {
            resigned(answer, &signer(2), |contract| contract.start = contract.start + Span::secs(61))
        }),
        ("under another's endorsement", |answer| {
            resigned(answer, &signer(2), |contract| {
                contract.endorsement = rear_proto::Endorsement::Member(credentials(id(C)));
            })
        }),
        ("over another order", |answer| {
            resigned(answer, &signer(2), |contract| {
                let order = Order { key: Key([8; 16]), ..contract.order.claimed().cloned().unwrap() };
                contract.order = Signed::new(order, &signer(1));
            })
        }),
        ("none at all", |_| Answer::Released),
    ];
    for (what, change) in changes {
        let mut world = tampered(Mode::Direct, change);
        assert_eq!(world.refusals(1), [Code::Malformed], "{what}");
        assert_eq!(outcomes(&world), [Outcome::Failed], "{what}");
        assert_eq!(on_the_way(&world), ["RELEASE"], "{what}");
        assert!(world.nodes[C].ledger.is_empty(), "{what}");
        world.settle();
        assert_eq!(world.used(P), 0, "{what}");
        world.check_quiet();
    }
}

#[test]
fn a_bad_hold_is_refused_and_given_back() {
    let mut world = tampered(Mode::Hold, |answer| {
        let Answer::Reserved(signed) = answer else { panic!("{answer:?}") };
        let reserved = Reserved { price: rate("9EUR/h"), ..signed.claimed().cloned().unwrap() };
        Answer::Reserved(Signed::new(reserved, &signer(2)))
    });
    assert_eq!(world.refusals(1), [Code::Malformed]);
    world.settle();
    world.check_quiet();
}

#[test]
fn a_contract_where_a_hold_was_asked_for_is_refused() {
    let world = tampered(Mode::Hold, |answer| {
        let Answer::Reserved(signed) = answer else { panic!("{answer:?}") };
        let reserved = signed.claimed().cloned().unwrap();
        let contract = Contract {
            order: reserved.order,
            held: None,
            price: reserved.price,
            start: reserved.at,
            term: reserved.term,
            activate_within: Span::secs(10),
            backed_by: None,
            tunnel_key: [1; 32],
            endorsement: rear_proto::Endorsement::Member(credentials(id(P))),
            extensions: Extensions::new(),
        };
        Answer::Contract(Signed::new(contract, &signer(2)))
    });
    assert_eq!(world.refusals(1), [Code::Malformed]);
}

#[test]
fn a_lost_question_is_said_again_under_the_same_key() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    world.wire.clear();
    world.pass(Span::secs(4), false);
    assert_eq!(on_the_way(&world), ["RESERVE_FLAVOUR"]);
    world.settle();
    assert_eq!(world.live(C).len(), 1);
    assert_eq!(world.deeds(C).len(), 2, "a step is done once");
    world.check_quiet();
}

#[test]
fn a_lost_answer_is_given_again() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    world.wire.clear();
    world.pass(Span::secs(4), false);
    world.settle();
    assert_eq!(world.live(C)[0].digest, world.live(P)[0].digest);
    assert_eq!(world.used(P), 1);
}

#[test]
fn a_seller_that_is_silent_is_given_up_and_told() {
    for mode in [Mode::Direct, Mode::Hold] {
        let mut world = World::new(Config::default());
        world.buy(wish(id(P), 1, mode));
        let ask = world.wire.pop_front().unwrap();
        world.deliver(ask);
        world.wire.clear();
        world.pass(Span::millis(2_600), false);
        world.wire.clear();
        world.pass(Span::millis(6_000), false);
        assert_eq!(world.refusals(1), [Code::Timeout]);
        assert_eq!(outcomes(&world), [Outcome::Silent]);
        assert_eq!(world.used(P), 1);
        world.settle();
        assert_eq!(world.used(P), 0);
        world.check_quiet();
    }
}

#[test]
fn a_purchase_that_gets_no_answer_is_given_up_and_told() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    world.purchase(1);
    for _ in 0..8 {
        world.pass(Span::secs(1), false);
        world.wire.retain(|message| matches!(message, Message::Ask { request: Request::Release(_), .. }));
    }
    assert_eq!(world.refusals(1), [Code::Timeout]);
    world.settle();
    world.check_quiet();
}

#[test]
fn a_node_without_membership_or_disk_buys_nothing() {
    let mut world = World::new(Config::default());
    world.give(C, Input::Storage { ok: false });
    world.buy(wish(id(P), 1, Mode::Direct));
    assert_eq!(world.refusals(1), [Code::Storage]);
    world.give(C, Input::Storage { ok: true });
    world.nodes[C].manager = stranger(1, Config::default());
    world.buy(wish(id(P), 2, Mode::Direct));
    assert_eq!(world.refusals(2), [Code::NotAMember]);
    world.buy(wish(id(C), 3, Mode::Direct));
    assert_eq!(world.refusals(3), [Code::Malformed]);
    assert!(world.wire.is_empty());
}

#[test]
fn a_key_is_used_once() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    // The same request again is the same thing.
    world.buy(wish(id(P), 1, Mode::Direct));
    assert_eq!(world.wire.len(), 1);
    world.settle();
    world.end(1);
    world.settle();
    world.buy(wish(id(P), 1, Mode::Direct));
    assert_eq!(world.refusals(1), [Code::Closed]);
}

#[test]
fn a_disk_that_fails_meanwhile_keeps_no_contract() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    world.give(C, Input::Storage { ok: false });
    world.settle();
    assert_eq!(world.refusals(1), [Code::Storage]);
    world.check_quiet();
}

#[test]
fn the_seller_may_end_it_at_any_stage() {
    let seller_ends = |world: &mut World, reason: EndReason| {
        let release = Release { key: Key([1; 16]), buyer: id(C), reason, extensions: Extensions::new() };
        assert_eq!(world.ask(C, id(P), Request::Release(release)), Some(Answer::Released));
    };
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    seller_ends(&mut world, EndReason::Released);
    assert_eq!((world.refusals(1), world.ends(1)), (vec![Code::Closed], vec![]));

    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Hold));
    world.settle();
    seller_ends(&mut world, EndReason::Expired);
    assert_eq!((world.refusals(1), world.ends(1)), (vec![], vec![EndReason::Expired]));

    let mut world = World::new(Config::default());
    let contract = world.bought(1, Mode::Direct);
    seller_ends(&mut world, EndReason::Lost);
    assert_eq!((world.refusals(1), world.ends(1)), (vec![], vec![EndReason::Lost]));
    assert_eq!(world.routers(C), (1, 1));
    assert_eq!(world.view(C, contract).reason, Some(EndReason::Lost));
    // By anybody else it is not ended.
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    let release =
        Release { key: Key([1; 16]), buyer: id(C), reason: EndReason::Released, extensions: Extensions::new() };
    assert_eq!(world.ask(C, signer(9).id(), Request::Release(release)), Some(Answer::Released));
    assert_eq!(world.live(C).len(), 1);
}

#[test]
fn what_is_being_asked_for_is_not_called_dead() {
    let mut world = World::new(Config::default());
    world.buy(wish(id(P), 1, Mode::Direct));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    let answer = world.wire.pop_front().unwrap();
    let contract = world.live(P)[0].id;
    let keepalive = rear_proto::message::Keepalive { contracts: vec![contract], extensions: Extensions::new() };
    let dead = world.ask(C, id(P), Request::Keepalive(keepalive.clone()));
    assert_eq!(dead, Some(Answer::Dead(vec![])));
    world.end(1);
    assert_eq!(world.ask(C, id(P), Request::Keepalive(keepalive)), Some(Answer::Dead(vec![contract])));
    drop(answer);
}

#[test]
fn a_renewal_that_is_refused_is_reported_once() {
    let config = Config { max_total_term: Span::secs(400), ..Config::default() };
    let mut world = World::new(config);
    let mut wish = wish(id(P), 1, Mode::Direct);
    (wish.renew, wish.term) = (true, Span::secs(300));
    world.buy(wish);
    world.settle();
    let contract = world.live(C)[0].id;
    world.activate(contract);
    world.run(Span::secs(299));
    let refused = |effect: &&Effect| matches!(effect, Effect::NotRenewed { .. });
    assert_eq!(world.nodes[C].told.iter().filter(refused).count(), 1);
    world.run(Span::secs(2));
    assert_eq!(world.ends(1), [EndReason::Expired]);
    world.check_quiet();
}

#[test]
fn a_renewal_without_an_answer_is_asked_for_again() {
    let mut world = World::new(Config::default());
    let mut wish = wish(id(P), 1, Mode::Direct);
    (wish.renew, wish.term) = (true, Span::secs(120));
    world.buy(wish);
    world.settle();
    let contract = world.live(C)[0].id;
    world.activate(contract);
    world.run(Span::secs(75));
    // The renewal is granted, and its answer lost.
    world.pass(Span::secs(5), false);
    while let Some(at) = world.wire.iter().position(|message| matches!(message, Message::Ask { .. })) {
        let message = world.wire.remove(at).unwrap();
        world.deliver(message);
    }
    world.wire.clear();
    assert_eq!((world.view(C, contract).renewals, world.view(P, contract).renewals), (0, 1));
    world.run(Span::secs(20));
    assert_eq!((world.view(C, contract).renewals, world.view(P, contract).renewals), (1, 1));
    assert_eq!(world.view(C, contract).end, world.view(P, contract).end);
}

/// A buyer alone that has said RESERVE; and the number of its question.
fn asking() -> (Manager, AskId) {
    let mut buyer = member(1, Config::default());
    let mut out = Vec::new();
    let wish = Box::new(wish(id(P), 1, Mode::Direct));
    buyer.handle(NOW, Input::Start { request: RequestId(1), wish, trace: Trace::None }, &mut out);
    (buyer, question(&out).unwrap().0)
}

/// Returns the last question among effects, and its name.
fn question(effects: &[Effect]) -> Option<(AskId, &'static str)> {
    let ask = |effect: &Effect| match effect {
        Effect::Ask { ask, request, .. } => Some((*ask, request.name())),
        _ => None,
    };
    effects.iter().rev().find_map(ask)
}

fn answer(buyer: &mut Manager, ask: AskId, answer: Result<Answer, Refusal>) -> Vec<Effect> {
    let mut out = Vec::new();
    buyer.handle(NOW + Span::secs(4), Input::Answered { ask, from: id(P), answer }, &mut out);
    out
}

fn refused(effects: &[Effect]) -> Option<Code> {
    let refusal = |effect: &Effect| match effect {
        Effect::Refused { refusal, .. } => Some(refusal.code()),
        _ => None,
    };
    effects.iter().find_map(refusal)
}

#[test]
fn a_refusal_ends_the_question_at_once() {
    for code in [Code::Unavailable, Code::Overloaded, Code::PriceTooLow] {
        // Said by the seller, or by this node because the seller could not be asked: then it says nothing of the offer.
        let unasked = if code == Code::Unavailable { Code::Timeout } else { code };
        for (said, told) in [(Ok(Answer::Refused(code.into())), code), (Err(code.into()), unasked)] {
            let (mut buyer, ask) = asking();
            let out = answer(&mut buyer, ask, said);
            assert_eq!((refused(&out), question(&out)), (Some(told), None));
        }
    }
}

#[test]
fn an_answer_that_can_not_be_read_may_have_been_a_grant() {
    let (mut buyer, ask) = asking();
    let out = answer(&mut buyer, ask, Err(Code::Malformed.into()));
    assert_eq!(refused(&out), Some(Code::Malformed));
    assert_eq!(question(&out).unwrap().1, "RELEASE");
}

#[test]
fn what_is_refused_at_a_second_try_may_be_granted_at_the_first() {
    let (mut buyer, first) = asking();
    let mut out = Vec::new();
    buyer.wake(NOW + Span::millis(3_600), &mut out);
    let (second, name) = question(&out).unwrap();
    assert_eq!(name, "RESERVE_FLAVOUR");
    // Of the first try's refusal nothing follows as long as the second may be granted.
    let refusal = || Ok(Answer::Refused(Code::Storage.into()));
    assert!(answer(&mut buyer, first, refusal()).is_empty());
    let out = answer(&mut buyer, second, refusal());
    assert_eq!(refused(&out), Some(Code::Storage));
    assert_eq!(question(&out).unwrap().1, "RELEASE");
}

#[test]
fn a_contract_that_comes_too_late_to_be_used_is_given_back() {
    let mut world = World::new(Config::default());
    let mut wish = wish(id(P), 1, Mode::Direct);
    wish.activate_within = Some(Span::secs(1));
    world.buy(wish);
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    world.pass(Span::millis(1000), false);
    let at = world.wire.iter().position(|message| matches!(message, Message::Answer { .. })).unwrap();
    let late = world.wire.remove(at).unwrap();
    world.deliver(late);
    assert_eq!(world.refusals(1), [Code::Timeout]);
    assert!(world.live(C).is_empty());
    world.settle();
    world.check_quiet();
}

#[test]
fn a_grant_to_nobody_is_given_back() {
    let (mut buyer, ask) = asking();
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    let contract = world.nodes[C].ledger.iter().find(|row| row.table == rear_proto::Table::Contracts).unwrap();
    let record: crate::record::ContractRecord =
        rear_proto::record::decode(contract.table, contract.value.as_ref().unwrap()).unwrap();
    // The question was given up, its RELEASE answered; and then the grant comes, to a question that nobody remembers.
    let out = answer(&mut buyer, ask, Ok(Answer::Refused(Code::Unavailable.into())));
    assert_eq!(refused(&out), Some(Code::Unavailable));
    for ask in [ask, AskId(99)] {
        let mut buyer = member(1, Config::default());
        let out = answer(&mut buyer, ask, Ok(Answer::Contract(record.contract.clone())));
        assert_eq!(question(&out).map(|(_, name)| name), Some("RELEASE"));
        assert_eq!(out.len(), 1);
    }
    // What this node has not ordered is no business of its.
    let mut other = member(9, Config::default());
    assert!(answer(&mut other, AskId(1), Ok(Answer::Contract(record.contract))).is_empty());
}
