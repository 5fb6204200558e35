//! What others can do by what they ask, or by being gone or new: how much work a question may be, whose word counts
//! when, and who may stand in for whom.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use discovery::{Config, Effect, Input};
use kernel::{FlavourId, Span};
use rear_proto::{
    Answer, Code, Extensions, Flavour, Request, Selector,
    local::{Caller, Realm, Way},
    membership::Role,
    message::{List, Scope, Subscribe},
    selector::{Field, Filter, Test},
};

fn open() -> Config {
    Config { expose: vec![expose(&["*"], "", false)], ..Config::default() }
}

fn no_member() -> rear_proto::Refusal {
    Code::NotAMember.into()
}

#[test]
fn two_nodes_that_choose_one_id_have_two_names_beyond_the_border() {
    let mut world = supernode(open());
    for n in [2, 3] {
        world.up(n);
        world.take(Flavour { origin: origin(n), ..offer(n, 7, 4, u64::from(n)) });
    }
    let shown = world.shown_to(BETA, 1, "");
    assert_eq!(shown.len(), 2);
    assert_ne!(shown[0].id, shown[1].id);
    for flavour in shown {
        let Ok(Way::Onward(way)) = world.resolve(flavour.id, caller(BETA)) else { panic!("it leads nowhere") };
        let owner = if flavour.origin == origin(2) { 2 } else { 3 };
        assert_eq!((way.seller.node, way.flavour), (node(owner), FlavourId([7; 16])), "to whom it was shown as");
    }
}

#[test]
fn an_answer_of_a_node_that_is_out_of_reach_is_silence() {
    let mut world = world();
    world.up_as(2, Role::Supernode, Realm::Own);
    let asked = asks(&world.operator("", 10, false));
    world.feed(Input::EndpointDown { node: node(2) });
    let effects = world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 1)])));
    let Some(Effect::Respond { found, .. }) = effects.iter().find(|effect| matches!(effect, Effect::Respond { .. }))
    else {
        panic!("{effects:?}")
    };
    assert_eq!((found.candidates.len(), found.silent), (0, 1), "it does not claim that there is nothing");
}

#[test]
fn who_does_not_know_this_node_yet_is_asked_again_when_hello_is_through() {
    let mut world = supernode(open());
    world.up_partner(20, BETA);
    let asked = asks(&world.operator("", 10, false));
    let effects = world.answer(asked[0].0, 20, Err(no_member()));
    assert!(effects.is_empty(), "nobody is told that there is nothing: {effects:?}");
    let again = asks(&world.pass(Span::millis(200)));
    assert_eq!(again.len(), 1, "it is asked once more");
    let effects = world.answer(again[0].0, 20, Ok(flavours(vec![of(BETA, offer(20, 4, 4, 2))])));
    assert!(words(&effects).contains(&"respond [4] asked 1".to_owned()), "{:?}", words(&effects));
}

#[test]
fn who_goes_on_not_knowing_this_node_is_silent() {
    let mut world = supernode(open());
    world.up_partner(20, BETA);
    world.discover(1, "", 10);
    let mut effects = Vec::new();
    let mut asked = 0;
    world.pass(Span::secs(10));
    // Much later a refusal is one at once.
    for (ask, to, _) in asks(&world.discover(2, "cpu>=1", 10)) {
        asked += 1;
        effects.extend(world.answer(ask, number(&to), Err(no_member())));
    }
    assert_eq!(asked, 1);
    assert!(words(&effects).contains(&"discovered 2 silent 1".to_owned()), "{:?}", words(&effects));
    assert!(asks(&world.pass(Span::secs(1))).is_empty());
    // And just after it has come, it is waited for until the deadline at the latest.
    world.feed(Input::EndpointDown { node: node(20) });
    world.up_partner(20, BETA);
    let mut open = asks(&world.discover(3, "cpu>=2", 10));
    let (mut tries, mut effects) = (0, Vec::new());
    while let Some((ask, to, _)) = open.pop() {
        tries += 1;
        effects.extend(world.answer(ask, number(&to), Err(no_member())));
        let passed = world.pass(Span::millis(150));
        open.extend(asks(&passed));
        effects.extend(passed);
    }
    assert!((2..=20).contains(&tries), "{tries}");
    assert!(words(&effects).contains(&"discovered 3 silent 1".to_owned()), "{:?}", words(&effects));
}

/// A selector that is compared with much, and matches everything.
fn dear(words: usize) -> Selector {
    let filter = |n: usize| {
        let list = (0..words.min(64)).map(|m| format!("{n:032}{m:032}")).collect();
        Filter::Word(Field::Tags, Test::NotIn(list))
    };
    Selector { filters: (0..words.div_ceil(64)).map(filter).collect() }
}

#[test]
fn a_partner_is_not_served_a_selector_of_very_many_words() {
    let mut world = supernode(open());
    world.own(offer(ME, 1, 4, 4));
    for (words, is_served) in [(256, true), (320, false)] {
        let list = List { selector: dear(words), scope: Scope::Domain, ..list(u8::from(is_served), "", 8) };
        let effects = world.asked_by(1, 20, caller(BETA), list.clone());
        let refused = format!("refuse {}", Code::TooLarge);
        assert_eq!(common::words(&effects).contains(&refused), !is_served, "{words}: {:?}", common::words(&effects));
        let effects =
            world.asked_by(2, 5, MEMBER, List { query: kernel::QueryId([9 + u8::from(is_served); 16]), ..list });
        assert_eq!(listed(&effects).len(), 1, "members are");
    }
}

#[test]
fn another_domain_asks_no_more_than_so_often() {
    let mut world = supernode(Config { asked_per_minute: 5, ..open() });
    let ask = |world: &mut World, query: u8, from: u8, who: Caller| {
        let list = List { scope: Scope::Domain, ..list(query, "", 8) };
        common::words(&world.asked_by(u64::from(query), from, who, list)).pop().unwrap()
    };
    let overloaded = format!("refuse {}", Code::Overloaded);
    for query in 1..=5 {
        assert_ne!(ask(&mut world, query, 20, caller(BETA)), overloaded);
    }
    assert_eq!(ask(&mut world, 6, 20, caller(BETA)), overloaded);
    assert_ne!(ask(&mut world, 7, 30, caller(GAMMA)), overloaded, "that is no other's business");
    for query in 8..=20 {
        assert_ne!(ask(&mut world, query, 5, MEMBER), overloaded, "nor a member's");
    }
    world.pass(Span::secs(60));
    assert_ne!(ask(&mut world, 21, 20, caller(BETA)), overloaded);
}

#[test]
fn who_has_large_offers_has_fewer() {
    let mut world = world_with(Config { candidates_per_provider: 16, ..Config::default() });
    world.up(2);
    let large = |id: u8| {
        let mut flavour = offer(2, id, 4, 1);
        flavour.properties.tags = vec!["x".repeat(200); 40];
        flavour
    };
    world.hear(2, (1..=10).map(large).collect());
    // Sixteen of two KiB are three of nine.
    assert_eq!(world.find("cpu>=1", 99).len(), 3);
    world.hear(2, (1..=10).map(|id| at_epoch(offer(2, id, 4, 1), 2)).collect());
    assert_eq!(world.find("cpu>=1", 99).len(), 10, "small ones are all kept");
    world.hear(2, Vec::new());
    assert!(world.find("cpu>=1", 99).is_empty());
    world.hear(2, vec![large(11), large(12)]);
    assert_eq!(world.find("cpu>=1", 99).len(), 2, "what is gone counts for nothing");
}

#[test]
fn another_domain_subscribes_no_more_than_so_often_and_for_few_words() {
    let mut world = supernode(Config { told_per_minute: 16, ..open() });
    world.own(offer(ME, 1, 4, 4));
    let wish = |selector: Selector| {
        Request::Subscribe(Subscribe { selector, within: Span::secs(60), extensions: Extensions::new() })
    };
    let say = |world: &mut World, who: Caller, selector: Selector| {
        let request = Box::new(wish(selector));
        let effects = world.feed(Input::Told { ticket: kernel::Ticket(1), from: node(20), caller: who, request });
        match effects.as_slice() {
            [Effect::Reply { answer: Answer::Snapshot(snapshot), .. }] => Ok(snapshot.offers.len()),
            [Effect::Reply { answer: Answer::Refused(refusal), .. }] => Err(refusal.code()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(say(&mut world, caller(BETA), dear(33)), Err(Code::TooLarge));
    assert_eq!(say(&mut world, caller(BETA), dear(32)), Ok(1));
    assert_eq!(say(&mut world, caller(BETA), dear(1)), Err(Code::Overloaded), "each counts for eight");
    assert_eq!(say(&mut world, MEMBER, dear(64)), Ok(1), "members may");
}
