//! LIST_FLAVOURS, asked of this node.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use discovery::{Config, Effect, Input};
use kernel::{FlavourId, Span};
use rear_proto::Answer;

fn stocked() -> World {
    let mut world = world();
    world.own(offer(1, 1, 4, 8));
    world.own(offer(1, 2, 2, 2));
    world.own(offer(1, 3, 8, 4));
    world
}

#[test]
fn own_offers_that_match_are_listed_cheapest_first() {
    for (text, limit, expected) in [
        ("cpu>=1", 9, "list [2 3 1]"),
        ("cpu>=3", 9, "list [3 1]"),
        ("cpu>=3", 1, "list [3] partial"),
        ("cpu>=9", 9, "list []"),
        ("cpu>=2, price<=1EUR/h", 9, "list [2 3]"),
        ("arch=arm64", 9, "list []"),
        // The latency between the two is the asker's to judge.
        ("cpu>=3, latency<=5", 9, "list [3 1]"),
    ] {
        let effects = stocked().asked(2, list(1, text, limit));
        assert_eq!(words(&effects), ["8", "9", expected], "{text}, {limit}");
    }
}

#[test]
fn the_empty_selector_lists_what_is_used_up_too() {
    let mut world = stocked();
    world.own(at_epoch(offer(1, 3, 0, 4), 2));
    assert_eq!(words(&world.asked(2, list(1, "", 9))), ["8", "9", "list [2 3 1]"]);
    assert_eq!(words(&world.asked(2, list(2, "cpu>=100m", 9))), ["8", "9", "list [2 1]"]);
}

#[test]
fn what_others_offer_is_not_listed() {
    let mut world = stocked();
    world.up(2);
    world.hear(2, vec![offer(2, 9, 8, 0)]);
    assert_eq!(world.find("cpu>=1", 9), [9]);
    assert_eq!(words(&world.asked(3, list(1, "cpu>=1", 9))), ["8", "9", "list [2 3 1]"]);
}

#[test]
fn excluded_and_withdrawn_offers_are_not_listed() {
    let mut world = stocked();
    world.feed(Input::OwnGone(FlavourId([3; 16])));
    let mut question = list(1, "cpu>=1", 9);
    question.exclude = vec![FlavourId([2; 16])];
    assert_eq!(words(&world.asked(2, question)), ["8", "9", "list [1]"]);
}

#[test]
fn an_older_state_of_an_own_offer_changes_nothing() {
    let mut world = world();
    world.own(at_epoch(offer(1, 1, 2, 8), 5));
    world.own(at_epoch(offer(1, 1, 8, 8), 4));
    assert_eq!(words(&world.asked(2, list(1, "cpu>=3", 9))), ["8", "9", "list []"]);
}

#[test]
fn a_repeat_gets_the_same_answer_within_its_deadline() {
    let mut world = stocked();
    let first = words(&world.asked(2, list(1, "cpu>=3", 9)));
    world.own(offer(1, 4, 8, 1));
    assert_eq!(words(&world.asked(2, list(1, "cpu>=3", 9))), first);
    world.pass(Span::secs(2));
    assert_eq!(words(&world.asked(2, list(1, "cpu>=3", 9))), ["8", "9", "list [4 3 1]"]);
}

#[test]
fn a_question_that_comes_round_is_a_loop() {
    let mut world = stocked();
    world.asked(2, list(1, "cpu>=3", 9));
    assert_eq!(words(&world.asked(3, list(1, "cpu>=3", 9))), ["refuse LoopDetected"]);
    // Its own question, by its trail.
    world.up(2);
    let sent = asks(&world.discover(1, "cpu>=1", 1)).remove(0).2;
    assert_eq!(words(&world.asked(2, sent)), ["refuse LoopDetected"]);
}

#[test]
fn remembered_questions_are_bounded() {
    let mut world = world_with(Config { queries: 2, ..Config::default() });
    world.own(offer(1, 1, 8, 1));
    for query in 1..=3 {
        world.pass(Span::millis(1));
        world.asked(2, list(query, "", 9));
    }
    // The first is forgotten, so it is no loop but a new question; the third is remembered.
    assert_eq!(words(&world.asked(3, list(1, "", 9))), ["8", "9", "list [1]"]);
    assert_eq!(words(&world.asked(3, list(3, "", 9))), ["refuse LoopDetected"]);
}

#[test]
fn an_answer_fits_its_frame() {
    let mut world = world_with(Config { answer_limit: 256, ..Config::default() });
    for id in 1..=200 {
        let mut big = offer(1, id, 8, 1);
        big.properties.tags = vec!["x".repeat(250); 40];
        world.own(big);
    }
    let effects = world.asked(2, list(1, "cpu>=1", 256));
    let [.., Effect::Reply { answer: answer @ Answer::Flavours(listed), .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert!(listed.partial && listed.flavours.len() > 50);
    assert!(rear_proto::wire::codec::encode(answer).len() < rear_proto::wire::frame::MAX_ANSWER as usize);
}
