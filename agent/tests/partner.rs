//! A partner whose word is worth nothing: whatever its supernode answers or asks, it is refused and rated down, and
//! costs the others nothing; another partner sells instead.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use agent::Command;
use kernel::{Digest, FlavourId, Span};
use orchestrator::Phase;
use rear_proto::{
    Answer, Contract, Endorsement, Money, Request, Signed, Signer,
    contract::Vouched,
    fabric::FabricRequest,
    message::{Keepalive, Release},
};
use world::{
    Faults, World,
    domains::{DomainPlan, node, open, supernode},
    make::{id, intent, offer, room},
    tamper::{Tamper, answers, asks},
};

const SC: usize = 0;
const C: usize = 1;
const SP: usize = 2;
const P: usize = 3;
const SG: usize = 4;
const G: usize = 5;
const TERM: Span = Span::secs(300);

/// A consumer's domain with two partners: the one that means ill has the better offer.
fn world(seed: u64) -> World {
    let wares = offer(room("1500m", "192Mi"));
    let mut cheap = wares.clone();
    cheap.price.amount = Money(wares.price.amount.0 / 2);
    let plans = [
        vec![supernode(), node()],
        vec![supernode(), node().offering(cheap)],
        vec![supernode(), node().offering(wares)],
    ];
    let plans = plans.into_iter().map(|nodes| DomainPlan { config: open(), nodes }).collect();
    let mut world = World::of_domains(seed, Faults::default(), plans);
    world.watch_borders();
    world.partner(SC, SP);
    world.partner(SC, SG);
    world.settle_in();
    world
}

fn phase(world: &World, number: u64) -> Phase {
    world.managers()[C].orchestrator.intent(&id(number)).unwrap().phase
}

fn provider(world: &World, number: u64) -> Option<usize> {
    let contract = world.managers()[C].orchestrator.intent(&id(number)).unwrap().workloads[0].contract?;
    Some(world.far_end(C, contract)?.0)
}

fn score(world: &World, at: usize, of: usize) -> u32 {
    let of = world.nodes[of].id;
    let managers = world.managers();
    let rating = managers[at].rear.ratings().find(|(node, _)| *node == of);
    rating.map_or(500, |(_, rating)| rating.score_millis())
}

/// Somebody sits at the partner: the intent runs at the other, and nothing is left of the first.
#[track_caller]
fn check(seed: u64, tamper: Option<Box<dyn Tamper>>, rated: bool) {
    let mut world = world(seed);
    world.tamper = tamper;
    world.submit(C, id(1), intent("web", 1, TERM));
    world.run(Span::secs(20));
    if (phase(&world, 1), provider(&world, 1)) != (Phase::Running, Some(G)) {
        let view = world.managers()[C].orchestrator.intent(&id(1));
        world.fail(format!("it runs not, or not at the other partner's: {view:#?}"));
    }
    let (theirs, others) = (score(&world, SC, SP), score(&world, SC, SG));
    assert!(!rated || theirs < others, "rated {theirs} and {others}");
    // It is nobody else's loss, and not the provider's behind it.
    world.run(Span::secs(20));
    let books = |node: usize| world.managers()[node].rear.books().all(|book| book.taken.is_zero());
    assert!(books(P), "{}", world.trace.join("\n"));
    world.tamper = None;
    world.run(Span::secs(10));
    assert_eq!(provider(&world, 1), Some(G));
    world.check_quiet();
}

#[test]
fn a_partner_that_answers_never_costs_nothing() {
    check(
        1,
        answers(SP, |_, _, answer| (!matches!(answer, Answer::Flavours(_) | Answer::Contract(_))).then_some(answer)),
        true,
    );
}

#[test]
fn a_partner_that_is_silent_when_it_should_sell_costs_nothing() {
    check(2, answers(SP, |_, _, answer| (!matches!(answer, Answer::Contract(_))).then_some(answer)), true);
}

#[test]
fn a_partner_that_answers_garbage_costs_nothing() {
    let mut said: Vec<Answer> = vec![Answer::Released, Answer::Dead(Vec::new()), Answer::Noted];
    let garbage = answers(SP, move |world, _, answer| {
        said.push(answer);
        let at = world.rng.below(said.len() as u64 - 1);
        Some(said[usize::try_from(at).unwrap()].clone())
    });
    check(3, garbage, false);
}

#[test]
fn a_partner_that_sells_what_it_has_not_got_costs_nothing() {
    let invent = answers(SP, |world, _, answer| {
        let Answer::Flavours(mut flavours) = answer else { return Some(answer) };
        for flavour in &mut flavours.flavours {
            flavour.id = FlavourId(world.rng.bytes());
        }
        Some(Answer::Flavours(flavours))
    });
    check(4, invent, false);
}

/// Changes each contract that the partner signs, and signs it anew.
fn resign(change: impl Fn(&mut Contract, &Signer) + 'static) -> Option<Box<dyn Tamper>> {
    answers(SP, move |world, to, answer| {
        let Answer::Contract(signed) = &answer else { return Some(answer) };
        if to != SC {
            return Some(answer);
        }
        let mut contract = signed.claimed().unwrap().clone();
        let signer = world.nodes[SP].me.signer.clone();
        change(&mut contract, &signer);
        Some(Answer::Contract(Signed::new(contract, &signer)))
    })
}

#[test]
fn a_contract_with_a_swapped_tunnel_key_is_refused() {
    check(5, resign(|contract, _| contract.tunnel_key = [7; 32]), true);
}

#[test]
fn a_contract_with_a_forged_endorsement_is_refused() {
    // Of a node that is no supernode, of a domain that nobody knows, and of another key.
    let swap = |contract: &mut Contract, _: &Signer| {
        contract.tunnel_key = [7; 32];
        let stranger = Signer::from_secret(&[9; 32]);
        if let Endorsement::Supernode(vouched) = &contract.endorsement {
            let credentials = vouched.credentials.clone();
            contract.endorsement = Endorsement::vouch([7; 32], credentials, &stranger);
        }
    };
    check(6, resign(swap), true);
    let other = |contract: &mut Contract, signer: &Signer| {
        if let Endorsement::Supernode(vouched) = &contract.endorsement {
            let credentials = vouched.credentials.clone();
            contract.endorsement = Endorsement::vouch([8; 32], credentials, signer);
        }
    };
    check(7, resign(other), true);
    let member = |contract: &mut Contract, _: &Signer| {
        if let Endorsement::Supernode(vouched) = &contract.endorsement {
            contract.endorsement = Endorsement::Member(Vouched::clone(vouched).credentials);
        }
    };
    check(8, resign(member), true);
}

#[test]
fn a_contract_over_the_ceiling_or_another_order_is_refused() {
    check(9, resign(|contract, _| contract.price.amount.0 *= 100), true);
    let longer = |contract: &mut Contract, _: &Signer| contract.term = contract.term.times(100);
    check(10, resign(longer), true);
}

#[test]
fn an_old_answer_is_no_contract() {
    let mut world = world(11);
    // First it behaves, and is remembered.
    world.submit(C, id(0), intent("first", 1, TERM));
    world.run(Span::secs(5));
    assert_eq!((phase(&world, 0), provider(&world, 0)), (Phase::Running, Some(P)));
    let managers = world.managers();
    let sold = managers[SP].contract.contracts().find(|it| it.seller == world.nodes[SP].id).unwrap();
    let key = (rear_proto::Table::Contracts, sold.id.0.to_vec());
    assert!(world.nodes[SP].disk.rows.contains_key(&key));
    let mut old = None;
    world.tamper = answers(SP, move |_, _, answer| match answer {
        Answer::Contract(signed) => Some(Answer::Contract(old.get_or_insert(signed).clone())),
        other => Some(other),
    });
    world.submit(C, id(1), intent("second", 1, TERM));
    world.run(Span::secs(5));
    world.submit(C, id(2), intent("third", 1, TERM));
    world.run(Span::secs(15));
    // The first of the two was told the truth, which is the lie that the second is told.
    assert_eq!((provider(&world, 1), provider(&world, 2)), (Some(P), Some(G)));
    world.tamper = None;
    world.run(Span::secs(20));
    world.check_quiet();
}

#[test]
fn an_altered_order_is_refused_and_nothing_is_sold() {
    // The partner's own supernode changes what it passes on to its node.
    let forge = |node: usize| {
        asks(node, |_, mut ask| {
            if let Request::Reserve(reserve) = &mut ask.request {
                let mut order = reserve.order.claimed().unwrap().clone();
                order.tunnel_key = [7; 32];
                reserve.order = Signed::new(order, &Signer::from_secret(&[9; 32]));
            }
            Some(ask)
        })
    };
    check(12, forge(SP), false);
}

#[test]
fn a_partner_gets_no_stream_without_a_contract_and_ends_nobody_elses() {
    let mut world = world(13);
    world.submit(C, id(1), intent("web", 1, TERM));
    world.run(Span::secs(5));
    assert_eq!((phase(&world, 1), provider(&world, 1)), (Phase::Running, Some(P)));
    let contracts: Vec<_> = {
        let managers = world.managers();
        let all = [C, SC, SP, P].into_iter().flat_map(|node| managers[node].contract.contracts());
        all.map(|it| (it.id, it.key, it.buyer)).collect()
    };
    let before = world.managers()[C].orchestrator.intent(&id(1)).unwrap().workloads[0].contract;
    // It has listened well, and says what it should not know.
    world.watch_borders_no_more();
    for (contract, key, buyer) in contracts {
        for to in [SC, SP, P, C] {
            world.hear_as(SG, to, contract, FabricRequest::Close);
            world.ask_as(
                SG,
                to,
                Request::Keepalive(Keepalive { contracts: vec![contract], extensions: Default::default() }),
            );
            for buyer in [buyer, world.nodes[SG].id] {
                let reason = rear_proto::message::EndReason::Released;
                world.ask_as(SG, to, Request::Release(Release { key, buyer, reason, extensions: Default::default() }));
            }
        }
        world.hear_as(SG, SC, kernel::ContractId::from(Digest([1; 32])), FabricRequest::Close);
    }
    assert!(world.seen()["streams without a router"] > 10);
    world.run(Span::secs(20));
    let after = world.managers()[C].orchestrator.intent(&id(1)).unwrap();
    assert_eq!((after.phase, after.workloads[0].contract), (Phase::Running, before));
    world.command(C, Command::Delete(id(1)));
    world.run(Span::secs(5));
    world.check_quiet();
}
