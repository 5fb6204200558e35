//! Across a border: who is believed about a tunnel key, what a partner may, and what stays behind.

use kernel::{Key, Span};
use rear_proto::{
    Answer, Code, Endorsement, Mode, Order, Refusal, Request,
    local::{Caller, Onward, Outcome},
    membership::Role,
    message::{EndReason, Release},
};

use super::{hops::*, samples::*, world::*};
use crate::{
    Config, Effect, Input,
    record::{ContractRecord, HoldRecord, Name},
    relay,
};

fn code(answer: Option<Answer>) -> Option<Code> {
    if let Some(Answer::Refused(refusal)) = answer { Some(refusal.code()) } else { None }
}

/// Returns the first question of this kind that one node asked another.
fn said(world: &World, from: usize, to: usize, kind: fn(&Request) -> bool) -> Request {
    let mut said = world.said.iter().filter(|(by, of, request)| (*by, *of) == (from, to) && kind(request));
    said.next().unwrap().2.clone()
}

fn is_reserve(request: &Request) -> bool {
    matches!(request, Request::Reserve(_))
}

#[test]
fn an_order_of_a_domain_that_is_no_partner_is_refused() {
    for gone in [SP, P4] {
        let mut world = chain();
        world.give(gone, Input::Partners([].into()));
        world.buy(wish(id(SC), 1, Mode::Direct));
        world.settle();
        assert_eq!(world.refusals(1), [Code::Unavailable]);
        assert_eq!(world.used(P4), 0);
        world.check_chain();
    }
}

#[test]
fn a_contract_vouched_for_by_a_domain_that_is_no_partner_is_given_back() {
    for gone in [C, SC] {
        let mut world = chain();
        world.give(gone, Input::Partners([].into()));
        world.buy(wish(id(SC), 1, Mode::Direct));
        world.run(Span::secs(1));
        assert_eq!(world.refusals(1).len(), 1);
        assert_eq!(world.used(P4), 0);
        world.check_chain();
    }
}

#[test]
fn a_partner_is_endorsed_by_its_own_domain() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Direct));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    let Request::Reserve(mut reserve) = said(&world, SC, SP, is_reserve) else { panic!("no RESERVE") };
    let order = reserve.order.open(&id(SC)).unwrap().clone();
    // Beta itself vouches: it is believed in beta, but not about what comes from alpha.
    let (key, proof) = (order.tunnel_key, proof(BETA, id(SP), Role::Supernode));
    reserve.endorsement = Endorsement::vouch(key, proof, &signer(SP as u8 + 1));
    assert_eq!(code(world.ask(SP, id(SC), Request::Reserve(reserve))), Some(Code::NotAMember));
}

#[test]
fn a_partner_that_is_suspended_begins_nothing_and_may_end_what_it_has() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.suspended = true;
    let reserve = said(&world, SC, SP, is_reserve);
    assert_eq!(code(world.ask(SP, id(SC), reserve)), Some(Code::NotAMember));
    let key = world.live(SP).into_iter().find(|view| view.buyer == id(SC)).unwrap().key;
    let release = Release { key, buyer: id(SC), reason: EndReason::Released, extensions: Default::default() };
    world.ask(SP, id(SC), Request::Release(release));
    world.run(Span::secs(30));
    assert!([C, SC, SP, P4].iter().all(|node| world.live(*node).is_empty()));
    world.check_chain();
}

#[test]
fn only_a_supernode_trades_with_a_partner() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    let reserve = said(&world, SP, P4, is_reserve);
    let ticket = kernel::Ticket(u64::MAX);
    for caller in [
        Caller::Partner { domain: domain(ALPHA), on: true },
        Caller::Visitor { domain: domain(ALPHA) },
        Caller::Stranger,
    ] {
        let (mut out, request) = (Vec::new(), Box::new(reserve.clone()));
        let input = Input::Asked { ticket, from: id(SP), caller, request, trace: rear_proto::Trace::None };
        kernel::Manager::handle(&mut world.nodes[P4].manager, NOW, input, &mut out);
        assert!(
            matches!(&out[..], [Effect::Reply { answer: Answer::Refused(refusal), .. }] if refusal.code() == Code::NotAMember)
        );
    }
}

#[test]
fn a_supernode_buys_and_sells_across_the_border_by_itself() {
    let mut world = chain();
    world.nodes[SP].way = None;
    world.nodes[SC].way = None;
    let request = kernel::RequestId(1);
    let buy = Input::Start { request, wish: Box::new(wish(id(SP), 1, Mode::Direct)), trace: rear_proto::Trace::None };
    world.give(SC, buy);
    world.settle();
    let [view] = &world.live(SP)[..] else { panic!("{:?}", world.nodes[SC].told) };
    assert!(world.nodes[SP].manager.is_abroad(&view.id) && world.nodes[SC].manager.is_abroad(&view.id));
    assert_eq!(world.routers(SP).0, 1);
}

#[test]
fn a_supernode_that_relays_within_its_domain_keeps_its_ends_at_home() {
    let mut world = chain();
    // The consumer is the partner's supernode, and buys of a node behind its own... here: SP orders from P4 for SC.
    world.nodes[SC].way = None;
    let request = kernel::RequestId(1);
    let buy = Input::Start { request, wish: Box::new(wish(id(SP), 1, Mode::Direct)), trace: rear_proto::Trace::None };
    world.give(SC, buy);
    world.settle();
    assert_eq!([SC, SP, P4].map(|node| world.live(node).len()), [1, 2, 1]);
    assert!(world.nodes[P4].manager.is_abroad(&world.live(P4)[0].id));
}

#[test]
fn a_border_replaces_who_vouches_and_a_domain_does_not() {
    let key = [7; 32];
    let own = proof(ALPHA, id(SC), Role::Supernode);
    let signer = signer(SC as u8 + 1);
    let member = Endorsement::Member(credentials(id(C)));
    let foreign = Endorsement::vouch(key, proof(BETA, id(SP), Role::Supernode), &super::samples::signer(SP as u8 + 1));
    let vouched = Endorsement::vouch(key, own.clone(), &signer);
    for (held, leaves, passed) in
        [(&member, false, &vouched), (&member, true, &vouched), (&foreign, false, &foreign), (&foreign, true, &vouched)]
    {
        assert_eq!(&relay::endorse(held, key, leaves, &own, &signer), passed, "leaves: {leaves}");
    }
}

#[test]
fn a_relays_order_is_a_function_of_the_one_it_got() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Direct));
    let Request::Reserve(reserve) = said(&world, C, SC, is_reserve) else { panic!("no RESERVE") };
    let front: Order = reserve.order.claimed().cloned().unwrap();
    let way = Onward {
        seller: party(id(SP)),
        flavour: kernel::FlavourId([9; 16]),
        margin: "2.5%".parse().unwrap(),
        abroad: true,
    };
    let own = relay::order(&front, id(SC), &way);
    assert_eq!(own, relay::order(&front, id(SC), &way));
    assert_eq!(own.ceiling, rate("0.243902EUR/h"), "0.25 without the margin, rounded down");
    assert_eq!(
        (own.placed, own.epoch, own.partition, own.tunnel_key),
        (front.placed, front.epoch, front.partition, front.tunnel_key)
    );
    let keys = [
        own.key,
        relay::order(&Order { key: Key([2; 16]), ..front.clone() }, id(SC), &way).key,
        relay::order(&Order { buyer: id(P4), ..front.clone() }, id(SC), &way).key,
        relay::order(&front, id(C), &way).key,
        relay::order(&front, id(SC), &Onward { seller: party(id(P4)), ..way.clone() }).key,
    ];
    assert_eq!(std::collections::BTreeSet::from(keys).len(), keys.len());
    assert_eq!(own.key, relay::order(&front, id(SC), &Onward { flavour: front.flavour, ..way }).key);
}

#[test]
fn the_price_along_a_chain_stays_within_the_ceiling() {
    for (ceiling, refused) in [("0.20705EUR/h", None), ("0.207049EUR/h", Some(Code::PriceTooLow))] {
        let mut world = chain();
        let mut wish = wish(id(SC), 1, Mode::Direct);
        wish.ceiling = rate(ceiling);
        world.buy(wish);
        world.run(Span::secs(1));
        assert_eq!(world.refusals(1).first().copied(), refused, "{ceiling}");
        assert_eq!(world.used(P4), u64::from(refused.is_none()));
        world.check_chain();
    }
}

#[test]
fn an_order_that_would_come_back_is_not_forwarded() {
    let mut world = chain();
    world.nodes[SP].way = Some((SC, Default::default()));
    world.buy(wish(id(SC), 1, Mode::Direct));
    world.settle();
    assert_eq!(world.refusals(1), [Code::LoopDetected]);
    assert!(world.said.iter().all(|(from, ..)| *from != SP));
    world.check_chain();
}

#[test]
fn each_hop_leaves_the_one_before_it_time_to_answer() {
    let mut world = chain();
    world.buy(wish(id(SC), 1, Mode::Direct));
    world.settle();
    let deadline = |from: usize, to: usize| {
        let Request::Reserve(reserve) = said(&world, from, to, is_reserve) else { panic!("no RESERVE") };
        reserve.deadline
    };
    let margin = Config::default().hop_margin;
    assert_eq!(deadline(SC, SP).plus(margin), deadline(C, SC));
    assert_eq!(deadline(SP, P4).plus(margin), deadline(SC, SP));
}

#[test]
fn a_supernode_may_have_more_under_way_than_one_buyer() {
    let config = Config { pending_per_buyer: 2, pending_per_partner: 3, ..Config::default() };
    let mut world = World::chain(config);
    let three = [1, 2, 3].map(|key| {
        let mut wish = wish(id(SC), key, Mode::Hold);
        wish.partition.cpu = kernel::Quantity::units(1);
        world.buy(wish);
        world.settle();
        world.refusals(key).first().copied()
    });
    // C is one buyer at its supernode.
    assert_eq!(three, [None, None, Some(Code::Overloaded)]);
    // At SP and at P4 a supernode asks, and gets one more than a plain buyer.
    let config = Config { pending_per_buyer: 2, pending_per_partner: 3, ..Config::default() };
    let mut world = World::chain(config);
    world.set_config(SC, Config { pending_per_buyer: 9, ..Config::default() });
    let four = [1, 2, 3, 4].map(|key| {
        world.buy(wish(id(SC), key, Mode::Hold));
        world.settle();
        world.refusals(key).first().copied()
    });
    assert_eq!(four, [None, None, None, Some(Code::Overloaded)]);
}

#[test]
fn a_supernode_gets_more_promises_an_hour_than_one_buyer() {
    let config = Config { orders_per_hour: 1, orders_per_hour_per_partner: 2, ..Config::default() };
    let mut world = World::chain(config);
    world.set_config(SC, Config::default());
    let three = [1, 2, 3].map(|key| {
        world.buy(wish(id(SC), key, Mode::Direct));
        world.settle();
        world.refusals(key).first().copied()
    });
    assert_eq!(three, [None, None, Some(Code::Overloaded)]);
}

#[test]
fn who_is_at_fault_is_who_was_lost() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    world.run(Span::secs(30));
    world.cut = Some((SC, SP));
    world.run(Span::secs(130));
    let blamed = |node: usize| {
        let told = world.nodes[node].told.iter();
        let blamed = told.filter_map(|effect| match effect {
            Effect::Rated { peer, outcome: Outcome::Failed } => Some(*peer),
            _ => None,
        });
        blamed.collect::<Vec<_>>()
    };
    assert_eq!(blamed(SC), [id(SP)]);
    assert_eq!(blamed(SP), [id(SC)]);
}

#[test]
fn what_the_next_hop_has_forgotten_is_lost_to_the_asker() {
    let mut world = chain();
    traded(&mut world, 1, Mode::Direct);
    world.activate_chain();
    world.nodes[SP].tables.clear();
    world.nodes[SP].grants.clear();
    world.crash(SP);
    world.run(Span::secs(30));
    let why = |node: usize, buyer: usize| {
        let view = world.nodes[node].manager.contracts().find(|view| view.buyer == id(buyer)).unwrap();
        view.reason
    };
    assert_eq!(why(SC, SC), Some(EndReason::Forgotten));
    assert_eq!((why(SC, C), why(C, C)), (Some(EndReason::Lost), Some(EndReason::Lost)));
    assert_eq!(why(P4, SP), Some(EndReason::Forgotten));
}

#[test]
fn a_refusal_names_nothing_behind_the_border() {
    for code in Code::ALL {
        let inner = Refusal::new(*code, "12D3KooWsecret at /ip4/10.0.0.1 is full").retry_after(Span::secs(3));
        let said = relay::passed_on(&inner);
        assert!(!said.text().contains("secret"), "{code}");
        assert_eq!(said.retry_after, Some(Span::secs(3)));
        assert!(!matches!(said.code(), Code::Malformed | Code::KeyReused | Code::NotAMember | Code::ClockSkew));
    }
}

#[test]
fn records_of_version_one_are_read() {
    use rear_proto::{Table, record::decode, wire::codec};
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Hold);
    let tables = &world.nodes[P].tables;
    let mut seen = 0;
    for ((table, key), value) in tables {
        let (_, body) = value.split_first_chunk::<2>().unwrap();
        let old = |body: Vec<u8>| [&1u16.to_le_bytes()[..], &body].concat();
        match table {
            Table::Contracts => {
                let now: ContractRecord = codec::decode(body).unwrap();
                let ContractRecord { contract, side, peer, since, renew, was_active, end, .. } = now.clone();
                let before = old(codec::encode(&(contract, side, peer, since, renew, was_active, end)));
                assert_eq!(decode::<ContractRecord>(*table, &before), Ok(now));
            }
            Table::Reservations => {
                let now: HoldRecord = codec::decode(body).unwrap();
                let HoldRecord { reserved, side, peer, renew, lapses, purchased, end, .. } = now.clone();
                let before = old(codec::encode(&(reserved, side, peer, renew, lapses, purchased, end)));
                assert_eq!(decode::<HoldRecord>(*table, &before), Ok(now));
                assert!(Name::from_bytes(key).is_some());
            }
            _ => continue,
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}
