//! What is kept of candidates, how much, and what is left of them after a restart.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::*;
use discovery::{Config, Input};
use kernel::{Span, Time};
use proptest::prelude::*;
use rear_proto::{Row, Table, local::Realm, membership::Role};

/// The table as the ledger has it: the last row of a key wins.
fn table(rows: &[Row]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for Row { table: of, key, value } in rows {
        assert_eq!(*of, Table::Candidates);
        match value {
            Some(value) => table.insert(key.clone(), value.clone()),
            None => table.remove(key),
        };
    }
    table
}

fn reborn(world: &World, config: Config) -> World {
    let mut next = world_with(config);
    next.now = world.now;
    for (key, value) in table(&world.rows) {
        next.manager.restore(Table::Candidates, &key, &value).unwrap();
    }
    let mut out = Vec::new();
    next.manager.start(next.now, 2, &mut out);
    for effect in out {
        if let discovery::Effect::Keep(row) = effect {
            next.rows.push(row);
        }
    }
    next
}

#[test]
fn changes_are_kept_together_a_second_later() {
    let mut world = world();
    world.up(2);
    for epoch in 1..=5 {
        world.hear(2, vec![at_epoch(offer(2, 1, 4, 1), epoch), at_epoch(offer(2, 2, 4, 1), epoch)]);
        world.pass(Span::millis(100));
    }
    assert!(world.rows.is_empty(), "nothing waits for the disk");
    world.pass(Span::secs(1));
    assert_eq!(world.rows.len(), 2);
    world.hear(2, vec![at_epoch(offer(2, 1, 4, 1), 5), at_epoch(offer(2, 2, 4, 1), 5)]);
    world.pass(Span::secs(2));
    assert_eq!(world.rows.len(), 2, "just heard of again, it is not kept again");
    world.pass(Span::secs(28));
    world.hear(2, vec![at_epoch(offer(2, 1, 4, 1), 5), at_epoch(offer(2, 2, 4, 1), 5)]);
    world.pass(Span::secs(2));
    assert_eq!(world.rows.len(), 4, "but before the row itself expires");
}

#[test]
fn candidates_outlive_a_restart_and_no_longer_than_they_would_have() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![offer(2, 1, 4, 1), offer(2, 2, 4, 1)]);
    world.pass(Span::secs(30));
    let mut next = reborn(&world, Config::default());
    assert_eq!(next.find("cpu>=2", 9), [1, 2]);
    let ages: Vec<_> = next.manager.candidates(next.now).map(|view| view.age).collect();
    assert_eq!(ages, [Span::secs(30); 2]);
    next.pass(Span::secs(29));
    assert_eq!(next.find("", 9), [1, 2]);
    next.pass(Span::secs(1));
    assert_eq!(next.find("", 9), [0; 0]);
    next.pass(Span::secs(1));
    assert_eq!(next.rows.iter().filter(|row| row.value.is_none()).count(), 2, "the rows are dropped too");
    // Down for longer: they are dropped at the start.
    world.now = world.now + Span::secs(60);
    let mut late = reborn(&world, Config::default());
    assert_eq!((late.find("", 9), late.rows.len()), (vec![], 2));
}

#[test]
fn the_rows_of_who_is_gone_are_dropped_at_once() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![offer(2, 1, 4, 1)]);
    world.pass(Span::secs(2));
    assert_eq!(table(&world.rows).len(), 1);
    world.feed(Input::EndpointGone { node: node(2) });
    assert_eq!(table(&world.rows).len(), 0);
}

#[test]
fn over_the_bounds_those_that_expire_first_go() {
    let small = Config { candidates: 5, candidates_per_provider: 3, ..Config::default() };
    let mut world = world_with(small.clone());
    world.up(2);
    world.up(3);
    let living = |n, id, secs| rear_proto::Flavour { expires_in: Span::secs(secs), ..offer(n, id, 4, 1) };
    world.hear(2, vec![living(2, 1, 30), living(2, 2, 10), living(2, 3, 40), living(2, 4, 20)]);
    assert_eq!(world.find("", 9), [1, 3, 4], "of one provider");
    world.hear(3, vec![living(3, 5, 60), living(3, 6, 25), living(3, 7, 60)]);
    assert_eq!(world.find("", 9), [1, 3, 5, 6, 7], "of all");
    world.pass(Span::secs(2));
    let mut next = reborn(&world, Config { candidates: 2, ..small });
    assert_eq!(next.find("", 9), [5, 7], "and after a restart with smaller ones");
}

#[test]
fn damaged_rows_are_an_error_that_says_so() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![offer(2, 1, 4, 1)]);
    world.pass(Span::secs(2));
    let (key, value) = table(&world.rows).pop_first().unwrap();
    for (key, value) in [(&key[1..], &value[..]), (&key[..], &value[1..]), (&key[..], &[][..]), (&[][..], &value[..])] {
        let error = common::world().manager.restore(Table::Candidates, key, value).unwrap_err();
        assert!(error.to_string().contains("candidates"), "{error}");
    }
}

#[derive(Debug, Clone)]
enum Happening {
    Hear(u8, Vec<(u8, u64, u64)>),
    Ask(u64, u8),
    Answer(usize, u8, u64),
    Silence(usize),
    Down(u8),
    Gone(u8),
    Up(u8),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let offers = prop::collection::vec((0..4u8, 0..9u64, 0..4u64), 0..4);
    prop_oneof![
        (2..5u8, offers).prop_map(|(n, offers)| Happening::Hear(n, offers)),
        (0..6u64, 1..9u8).prop_map(|(request, cpu)| Happening::Ask(request, cpu)),
        (any::<prop::sample::Index>(), 0..4u8, 0..4u64).prop_map(|(n, id, e)| Happening::Answer(n.index(64), id, e)),
        any::<prop::sample::Index>().prop_map(|n| Happening::Silence(n.index(64))),
        (2..5u8).prop_map(Happening::Down),
        (2..5u8).prop_map(Happening::Gone),
        (2..5u8).prop_map(Happening::Up),
        (0..40_000u64).prop_map(Happening::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens: every question is told to be over exactly once and in time, a manager reborn from its
    /// rows has the candidates that it had lately heard of, and when all is quiet nothing is left.
    #[test]
    fn every_question_ends_once_and_nothing_is_left(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut world = world();
        let mut open: Vec<(kernel::AskId, u8)> = Vec::new();
        let mut waiting: BTreeMap<u64, (u32, Time)> = BTreeMap::new();
        let mut asked = 0;
        let mut over = 0;
        let mut effects = Vec::new();
        for happening in happenings {
            let new = match happening {
                Happening::Hear(n, offers) => {
                    world.hear(n, offers.iter().map(|(id, cpu, e)| at_epoch(offer(n, *id, *cpu, 1), *e)).collect());
                    Vec::new()
                }
                Happening::Ask(request, cpu) => {
                    if waiting.contains_key(&request) { continue }
                    asked += 1;
                    waiting.insert(request, (0, world.now + Span::secs(2)));
                    let new = world.discover(request, &format!("cpu>={cpu}"), 2);
                    open.extend(asks(&new).into_iter().map(|(ask, to, _)| (ask, to.0[0])));
                    new
                }
                Happening::Answer(n, id, epoch) if !open.is_empty() => {
                    let (ask, to) = open[n % open.len()];
                    world.answer(ask, to, Ok(flavours(vec![at_epoch(offer(to, id, 4, 1), epoch)])))
                }
                Happening::Silence(n) if !open.is_empty() => {
                    let (ask, to) = open[n % open.len()];
                    world.answer(ask, to, Err(silence()))
                }
                Happening::Answer(..) | Happening::Silence(_) => Vec::new(),
                Happening::Down(n) => world.feed(Input::EndpointDown { node: node(n) }),
                Happening::Gone(n) => world.feed(Input::EndpointGone { node: node(n) }),
                Happening::Up(n) => {
                    let up = Input::EndpointUp { party: party(n), role: Role::Node, realm: Realm::Own };
                    let new = world.feed(up);
                    open.extend(asks(&new).into_iter().map(|(ask, to, _)| (ask, to.0[0])));
                    new
                }
                Happening::Pass(millis) => world.pass(Span::millis(millis)),
            };
            for effect in &new {
                if let discovery::Effect::Discovered { request, .. } = effect {
                    prop_assert!(waiting.remove(&request.0).is_some(), "it was over already");
                    over += 1;
                }
            }
            prop_assert!(waiting.values().all(|(_, until)| *until > world.now), "told in time");
            effects.extend(new);
        }
        let told = |effects: &[discovery::Effect]| {
            effects.iter().filter(|effect| matches!(effect, discovery::Effect::Discovered { .. })).count()
        };
        over += told(&world.pass(Span::secs(4)));
        prop_assert_eq!(over, asked);
        // Of those heard of in the last half of their life none is lost; others may be, and none comes back.
        let shown = |world: &World, age: u64| -> std::collections::BTreeSet<(u8, u8, u64)> {
            let young = world.manager.candidates(world.now).filter(|view| view.age < Span::secs(age));
            young
                .map(|view| (view.flavour.owner.0[0], view.flavour.id.0[0], view.flavour.epoch.changes))
                .collect()
        };
        let next = reborn(&world, Config::default());
        prop_assert!(shown(&next, 61).is_superset(&shown(&world, 30)));
        prop_assert!(shown(&next, 61).is_subset(&shown(&world, 61)));
        world.pass(Span::secs(700));
        prop_assert!(world.manager.candidates(Time(0)).next().is_none());
        prop_assert!(table(&world.rows).is_empty());
        prop_assert!(kernel::Manager::next_wake(&world.manager).is_none());
    }
}
