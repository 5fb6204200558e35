//! Invariant 8: repeating any message changes nothing. Whatever a node hears in a world without other faults it
//! hears again, at once or when it is long over, and not a row, an order or an answer may differ.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use std::collections::BTreeMap;

use agent::Command;
use kernel::{Key, Span};
use orchestrator::Phase;
use rear_proto::{Mode, Table};
use world::{
    Death, World,
    domains::{story_three, story_three::C},
    make::{fast, id, intent, offer, one, room},
    seeds::{Tells, seeds},
};

/// How a world's messages are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Never,
    /// Each at once.
    AtOnce,
    /// All that were said so far, in a drawn order, after each act.
    Later,
}

/// What is on the nodes' disks, and what their operators were answered.
type End = (Vec<BTreeMap<(Table, Vec<u8>), Vec<u8>>>, Vec<String>);

/// Lives through one of everything: intents of one and of several replicas, holds that are purchased and that lapse,
/// renewals, releases, refusals for want of room, a removal. Returns how it ends and how often something was repeated.
fn live(seed: u64, repeat: Repeat) -> (End, usize) {
    let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new(), Vec::new()];
    let mut world = World::in_order(seed, offers, &fast());
    world.again.at_once = repeat == Repeat::AtOnce;
    world.again.remembers = repeat == Repeat::Later;
    // What is repeated must not move what is drawn.
    let mut acts = acts(&world);
    for act in acts.drain(..) {
        act(&mut world);
        world.run(Span::millis(1700));
        if repeat == Repeat::Later {
            let rng = world.rng.clone();
            world.say_all_again();
            world.rng = rng;
        }
    }
    let phase = |node: usize, number| world.managers()[node].orchestrator.intent(&id(number)).map(|view| view.phase);
    assert_eq!((phase(1, 1), phase(2, 2)), (Some(Phase::Running), Some(Phase::Deleted)), "seed {seed}, {repeat:?}");
    let rows = world.nodes.iter().map(|node| kept(&node.disk.rows)).collect();
    let responses = world.nodes.iter().flat_map(|node| node.responses.values()).map(|it| format!("{it:?}")).collect();
    ((rows, responses), world.again.count)
}

type Act = Box<dyn FnOnce(&mut World)>;

fn acts(world: &World) -> Vec<Act> {
    let flavour = offer(room("1500m", "192Mi")).flavour(&world.nodes[0].id);
    let reserve = move |world: &mut World, node: usize, key: u8, mode| {
        let selector = rear_proto::Selector::default();
        world.command(node, Command::Discover { selector, k: 8, explain: false });
        world.run(Span::millis(100));
        world.command(
            node,
            Command::Reserve {
                flavour,
                provider: None,
                need: one(),
                exactly: false,
                mode,
                term: Span::secs(4),
                activate_within: Span::secs(3),
                key: Key([key; 16]),
            },
        );
    };
    let third = world.nodes[2].id;
    vec![
        Box::new(|_| {}),
        Box::new(|world| {
            world.submit(1, id(1), intent("one", 1, Span::secs(3)));
        }),
        Box::new(|world| {
            world.submit(2, id(2), intent("two", 2, Span::secs(5)));
        }),
        Box::new(|world| {
            world.submit(1, id(3), intent("none", 1, Span::secs(5)));
        }),
        Box::new(|world| {
            world.command(2, Command::Delete(id(2)));
        }),
        Box::new(move |world| reserve(world, 1, 1, Mode::Hold)),
        Box::new(|world| {
            world.command(1, Command::Purchase(Key([1; 16])));
        }),
        Box::new(move |world| reserve(world, 2, 2, Mode::Hold)),
        Box::new(|_| {}),
        Box::new(|world| {
            world.command(2, Command::Purchase(Key([2; 16])));
        }),
        Box::new(move |world| reserve(world, 2, 3, Mode::Direct)),
        Box::new(|world| {
            world.command(2, Command::Release([3; 16]));
        }),
        Box::new(move |world| {
            world.command(0, Command::Remove(third));
        }),
        Box::new(|_| {}),
        Box::new(|_| {}),
    ]
}

/// What must be the same: all but what was heard of others, which says when, and how well they did.
fn kept(rows: &BTreeMap<(Table, Vec<u8>), Vec<u8>>) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
    let told = |table: &Table| matches!(table, Table::Ratings | Table::Candidates);
    rows.iter().filter(|((table, _), _)| !told(table)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[track_caller]
fn check(given: std::ops::Range<u64>, repeat: Repeat) {
    for seed in seeds(given) {
        let _tells = Tells { test: "repeats", seed };
        let (without, _) = live(seed, Repeat::Never);
        let (with, count) = live(seed, repeat);
        assert!(count > 100, "only {count} were repeated");
        for (node, (without, with)) in without.0.iter().zip(&with.0).enumerate() {
            let differs = |key: &&(Table, Vec<u8>)| without.get(key) != with.get(key);
            let keys: Vec<_> =
                without.keys().chain(with.keys()).filter(differs).map(|(table, _)| table.name()).collect();
            assert!(keys.is_empty(), "seed {seed}: at node {node} {keys:?} differ");
        }
        assert_eq!(without.1, with.1, "seed {seed}: operators are answered otherwise");
    }
}

#[test]
fn repeating_any_message_at_once_changes_nothing() {
    check(1..6, Repeat::AtOnce);
}

#[test]
fn repeating_every_message_when_it_is_over_changes_nothing() {
    check(11..16, Repeat::Later);
}

#[test]
fn repeating_what_was_said_to_a_former_life_changes_nothing() {
    for seed in seeds(21..26) {
        let _tells = Tells { test: "repeats", seed };
        let offers = vec![vec![offer(room("1500m", "192Mi"))], Vec::new(), Vec::new()];
        let mut world = World::in_order(seed, offers, &fast());
        world.again.remembers = true;
        world.run(Span::secs(1));
        world.submit(1, id(1), intent("one", 1, Span::secs(3)));
        world.submit(2, id(2), intent("two", 2, Span::secs(5)));
        world.run(Span::secs(5));
        world.command(2, Command::Delete(id(2)));
        world.run(Span::secs(5));
        world.crash(0, Death::Seen);
        world.run(Span::secs(8));
        world.again.any_life = true;
        world.say_all_again();
        assert!(world.again.count > 50);
        world.again.remembers = false;
        world.run(Span::secs(20));
        world.check_quiet();
    }
}

#[test]
fn over_borders_repeating_any_message_changes_nothing() {
    for seed in seeds(31..34) {
        for remembers in [false, true] {
            let _tells = Tells { test: "repeats", seed };
            let mut world = story_three::in_order(seed, offer(room("1500m", "192Mi")));
            world.again.at_once = !remembers;
            world.again.remembers = remembers;
            let acts: [Act; 5] = [
                Box::new(|world| {
                    world.submit(C, id(1), intent("one", 1, Span::secs(4)));
                }),
                Box::new(|world| {
                    world.submit(C, id(2), intent("two", 2, Span::secs(6)));
                }),
                Box::new(|world| {
                    world.submit(C, id(3), intent("none", 1, Span::secs(6)));
                }),
                Box::new(|world| {
                    world.command(C, Command::Delete(id(2)));
                }),
                Box::new(|_| {}),
            ];
            for act in acts {
                act(&mut world);
                world.run(Span::secs(3));
                if remembers {
                    world.say_all_again();
                }
            }
            let phase = |number| world.managers()[C].orchestrator.intent(&id(number)).map(|view| view.phase);
            assert_eq!((phase(1), phase(2)), (Some(Phase::Running), Some(Phase::Deleted)), "seed {seed}");
            assert!(world.again.count > 50, "{}", world.again.count);
            (world.again.at_once, world.again.remembers) = (false, false);
            world.run(Span::secs(10));
            world.check_quiet();
        }
    }
}
