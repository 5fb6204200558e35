//! Discovering: whom this node asks, what it believes, and when it is over.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use discovery::{Config, Effect, Input};
use kernel::{AskId, FlavourId, NodeId, Span};
use rear_proto::{
    Code, Flavour,
    flavour::Party,
    local::{Pick, Realm},
    membership::Role,
};

#[test]
fn all_endpoints_are_asked_at_once_and_it_is_over_with_the_last_answer() {
    let mut world = world();
    world.up(2);
    world.up(3);
    let effects = world.discover(1, "cpu>=2", 5);
    assert_eq!(words(&effects), ["7", "ask 2", "ask 3"]);
    let asked = asks(&effects);
    assert_eq!(words(&world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2)])))), [""; 0]);
    let effects = world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 1, 4, 1), offer(3, 2, 1, 1)])));
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 0"]);
    assert_eq!(world.find("cpu>=2", 5), [1, 1]);
    assert_eq!(world.find("cpu>=1", 5), [1, 2, 1]);
    assert!(world.pass(Span::secs(10)).is_empty(), "nothing is left to do");
}

#[test]
fn without_endpoints_it_is_over_at_once() {
    assert_eq!(words(&world().discover(1, "", 5)), ["11", "discovered 1 silent 0"]);
    let mut world = world();
    world.up(2);
    world.feed(Input::EndpointDown { node: node(2) });
    assert_eq!(words(&world.discover(1, "", 5)), ["11", "discovered 1 silent 0"]);
}

#[test]
fn just_after_a_start_a_question_waits_for_somebody_to_ask() {
    let mut world = world();
    world.start();
    assert!(world.discover(1, "cpu>=2", 5).is_empty());
    assert!(world.pass(Span::secs(1)).is_empty());
    world.up(2);
    world.up(3);
    // Those that are reached together are asked together.
    assert_eq!(words(&world.pass(Span::secs(1))), ["7", "ask 2", "ask 3"]);
    world.feed(Input::EndpointDown { node: node(2) });
    world.feed(Input::EndpointDown { node: node(3) });
    // From then on whoever asks when nobody is there is told so.
    assert_eq!(words(&world.discover(2, "", 5)), ["11", "discovered 2 silent 0"]);
}

#[test]
fn a_question_after_a_start_does_not_wait_for_ever() {
    let mut world = world();
    world.start();
    assert!(world.discover(1, "cpu>=2", 5).is_empty());
    assert_eq!(words(&world.pass(Span::secs(3))), ["11", "discovered 1 silent 0"]);
    assert!(world.pass(Span::secs(60)).is_empty());
}

#[test]
fn a_silent_endpoint_costs_its_deadline_and_nothing_else() {
    let mut world = world();
    world.up(2);
    world.up(3);
    let asked = asks(&world.discover(1, "cpu>=2", 5));
    world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2)])));
    assert_eq!(words(&world.pass(Span::secs(2))), ["10", "11", "discovered 1 silent 1"]);
    assert_eq!(world.find("cpu>=2", 5), [1]);
    // What comes late is not waited for, but taken; what comes twice changes nothing.
    assert_eq!(words(&world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 2, 4, 2)])))), [""; 0]);
    assert_eq!(words(&world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 4, 4, 2)])))), [""; 0]);
    assert_eq!(world.find("cpu>=2", 5), [1, 2]);
    assert!(world.pass(Span::secs(10)).is_empty());
}

#[test]
fn an_answer_that_comes_far_too_late_is_not_taken() {
    let mut world = world();
    world.up(2);
    let asked = asks(&world.discover(1, "cpu>=2", 5));
    world.pass(Span::secs(4));
    world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2)])));
    assert_eq!(world.find("", 5), [0; 0]);
}

#[test]
fn it_is_over_early_when_enough_match() {
    let mut world = world();
    for n in 2..5 {
        world.up(n);
    }
    let asked = asks(&world.discover(1, "cpu>=2", 2));
    // Of these one is too small: that is not enough.
    assert!(world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2), offer(2, 2, 1, 2)]))).is_empty());
    let effects = world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 3, 4, 2)])));
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 0 partial"]);
    assert!(world.answer(asked[2].0, 4, Ok(flavours(vec![offer(4, 4, 4, 1)]))).is_empty());
    assert_eq!(world.find("cpu>=2", 9), [4, 1, 3], "later answers still fill the index");
}

#[test]
fn refusals_are_answers_and_silence_is_not() {
    for (said, expected) in [
        (Code::Timeout, vec!["rated 2 Silent", "10", "11", "discovered 1 silent 1"]),
        (Code::Unavailable, vec!["10", "11", "discovered 1 silent 1"]),
        // Who does not know this node says nothing of what there is.
        (Code::NotAMember, vec!["10", "11", "discovered 1 silent 1"]),
        (Code::Overloaded, vec!["10", "11", "discovered 1 silent 0 partial"]),
        // Who has answered this question already, by another way, is not left out.
        (Code::LoopDetected, vec!["10", "11", "discovered 1 silent 0"]),
    ] {
        let mut world = world();
        world.up(2);
        world.pass(Span::secs(5));
        let asked = asks(&world.discover(1, "", 5));
        assert_eq!(words(&world.answer(asked[0].0, 2, Err(said.into()))), expected, "{said}");
    }
}

#[test]
fn a_lie_costs_only_the_offer_that_it_is_about() {
    let honest = || offer(2, 1, 4, 2);
    let lies: Vec<(&str, Flavour)> = vec![
        ("another provider", Flavour { provider: party(3), ..offer(2, 2, 4, 1) }),
        ("another owner", Flavour { owner: node(3), ..offer(2, 2, 4, 1) }),
        ("more than there is", offer(2, 2, 9, 1)),
        ("no time at all", Flavour { expires_in: Span::ZERO, ..offer(2, 2, 4, 1) }),
        ("the same twice", offer(2, 1, 8, 0)),
        ("too large", {
            let mut large = offer(2, 2, 4, 1);
            large.properties.tags = vec!["x".repeat(250); 64];
            large.properties.security_standards = vec!["x".repeat(250); 64];
            large
        }),
    ];
    for (lie, offered) in lies {
        let mut world = world();
        world.up(2);
        world.hear(2, vec![honest(), offered]);
        assert_eq!(world.find("cpu>=2", 9), [1], "{lie}");
        let prices: Vec<_> = world.manager.candidates(world.now).map(|view| view.flavour.price.amount).collect();
        assert_eq!(prices, [honest().price.amount], "{lie}");
    }
}

#[test]
fn an_answer_in_anothers_name_is_none() {
    let mut world = world();
    world.up(2);
    let asked = asks(&world.discover(1, "", 5));
    let effects = world.answer(asked[0].0, 3, Ok(flavours(vec![offer(3, 1, 4, 2)])));
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 1"]);
    assert!(world.answer(AskId(77), 2, Ok(flavours(vec![offer(2, 1, 4, 2)]))).is_empty());
    assert_eq!(world.find("", 9), [0; 0]);
}

#[test]
fn more_than_was_asked_for_is_cut_off() {
    let mut world = world();
    world.up(2);
    let asked = asks(&world.discover(1, "", 2));
    assert_eq!(asked[0].2.limit, 2);
    let many = (1..=5).map(|id| offer(2, id, 4, 1)).collect();
    world.answer(asked[0].0, 2, Ok(flavours(many)));
    assert_eq!(world.find("", 9), [1, 2]);
}

#[test]
fn the_newer_epoch_wins_and_an_older_one_does_not_even_refresh() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![at_epoch(offer(2, 1, 2, 1), 5)]);
    world.pass(Span::secs(50));
    world.hear(2, vec![at_epoch(offer(2, 1, 8, 1), 4)]);
    assert_eq!(world.find("cpu>=3", 9), [0; 0]);
    assert_eq!(world.find("cpu>=2", 9), [1]);
    world.pass(Span::secs(11));
    assert_eq!(world.find("", 9), [0; 0], "its minute is over");
}

#[test]
fn being_heard_of_again_refreshes() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![offer(2, 1, 2, 1)]);
    world.pass(Span::secs(50));
    assert_eq!(world.find_fresh("", 9, Span::secs(40)), [0; 0], "too old for who wants it fresh");
    world.hear(2, vec![offer(2, 1, 2, 1)]);
    world.pass(Span::secs(50));
    assert_eq!(world.find("", 9), [1]);
    assert_eq!(world.find_fresh("", 9, Span::secs(50)), [1]);
    assert_eq!(world.find_fresh("", 9, Span::secs(49)), [0; 0]);
}

#[test]
fn no_offer_outlives_the_setting() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![Flavour { expires_in: Span::secs(86_400), ..offer(2, 1, 2, 1) }]);
    world.pass(Span::secs(599));
    assert_eq!(world.find("", 9), [1]);
    world.pass(Span::secs(1));
    assert_eq!(world.find("", 9), [0; 0]);
}

#[test]
fn what_a_whole_answer_leaves_out_is_no_longer_so() {
    let mut world = world();
    world.up(2);
    world.hear(2, vec![offer(2, 1, 8, 1), offer(2, 2, 8, 1), offer(2, 3, 1, 1)]);
    world.pass(Span::secs(1));
    let asked = asks(&world.discover_but(1, "cpu>=4", 5, &[2]));
    world.answer(asked[0].0, 2, Ok(flavours(vec![])));
    // 1 would have been in it; 2 was excluded, 3 does not match: of them it says nothing.
    assert_eq!(world.find("", 9), [2, 3]);
    let asked = asks(&world.discover(1, "", 5));
    let partial = rear_proto::message::Flavours { partial: true, ..flavours(vec![]) };
    world.answer(asked[0].0, 2, Ok(partial));
    assert_eq!(world.find("", 9), [2, 3], "a partial answer says nothing of what is not in it");
}

#[test]
fn an_answer_says_nothing_of_what_was_heard_after_its_question() {
    let mut world = world();
    world.up(2);
    let early = asks(&world.discover(1, "cpu>=4", 5));
    world.pass(Span::millis(500));
    world.hear(2, vec![offer(2, 1, 8, 1)]);
    world.answer(early[0].0, 2, Ok(flavours(vec![])));
    assert_eq!(world.find("", 9), [1]);
}

#[test]
fn what_has_refused_is_not_asked_for_and_does_not_count() {
    let mut world = world();
    world.up(2);
    world.up(3);
    let asked = asks(&world.discover_but(1, "", 1, &[1]));
    assert_eq!(asked[0].2.exclude, [FlavourId([1; 16])]);
    assert!(world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 1)]))).is_empty());
    let effects = world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 2, 4, 1)])));
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 0"]);
}

#[test]
fn equal_questions_at_once_are_asked_once() {
    let mut world = world();
    world.up(2);
    world.up(3);
    let asked = asks(&world.discover(1, "cpu>=2", 2));
    assert_eq!(words(&world.discover(2, "cpu>=2", 1)), ["7"]);
    assert_eq!(words(&world.discover(2, "cpu>=2", 1)), [""; 0], "and who waits already waits once");
    assert_eq!(words(&world.discover(3, "cpu>=3", 2)), ["7", "ask 2", "ask 3"], "another question");
    assert_eq!(words(&world.discover_but(4, "cpu>=2", 2, &[1])), ["7", "ask 2", "ask 3"], "another exclusion");
    assert_eq!(words(&world.discover(5, "cpu>=2", 3)), ["7", "ask 2", "ask 3"], "more is wanted");
    let effects = world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 1)])));
    assert_eq!(words(&effects), ["10", "11", "discovered 2 silent 0 partial"], "one is enough for it");
    // Who comes now and needs one has it at once.
    assert_eq!(words(&world.discover(6, "cpu>=2", 1)), ["7", "10", "11", "discovered 6 silent 0 partial"]);
    let effects = world.answer(asked[1].0, 3, Ok(flavours(vec![])));
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 0"]);
}

#[test]
fn fan_outs_do_not_wait_for_each_other() {
    let mut world = world();
    world.up(2);
    let first = asks(&world.discover(1, "cpu>=2", 5));
    world.pass(Span::secs(1));
    let second = asks(&world.discover(2, "cpu>=3", 5));
    assert_ne!(first[0].2.query, second[0].2.query);
    let effects = world.answer(second[0].0, 2, Ok(flavours(vec![])));
    assert_eq!(words(&effects), ["10", "11", "discovered 2 silent 0"]);
    assert_eq!(words(&world.pass(Span::secs(1))), ["10", "11", "discovered 1 silent 1"]);
}

#[test]
fn at_most_so_many_are_asked_the_nearest_first() {
    let mut world = world_with(Config { endpoints: 4, explore: 1, ..Config::default() });
    for n in 2..20 {
        world.up(n);
    }
    // Three have answered before.
    let mut before = Vec::new();
    while before.len() < 3 {
        for (ask, to, _) in asks(&world.discover(1, &format!("cpu>={}", before.len() + 1), 5)) {
            if before.len() < 3 && !before.contains(&to) {
                before.push(to);
                world.answer(ask, number(&to), Ok(flavours(vec![])));
            }
        }
        world.pass(Span::secs(9));
    }
    let mut others = std::collections::BTreeSet::<NodeId>::new();
    for _ in 0..40 {
        let effects = world.discover(2, "cpu>=2", 5);
        let asked: Vec<_> = asks(&effects).into_iter().map(|(_, to, _)| to).collect();
        assert_eq!(asked.len(), 4);
        assert!(before.iter().all(|near| asked.contains(near)), "{asked:?}");
        others.extend(asked.iter().filter(|to| !before.contains(to)));
        assert_eq!(words(&world.pass(Span::secs(9))), ["10", "11", "discovered 2 silent 4 partial"]);
    }
    assert!(others.len() > 5, "the rest are drawn: {others:?}");
}

#[test]
fn what_is_measured_decides_over_latency() {
    let mut world = world();
    world.up(2);
    let mut far = offer(2, 1, 4, 1);
    far.properties.latency_ms = Some(500);
    world.hear(2, vec![far]);
    // Its answer took 10 ms, whatever it states.
    assert_eq!(world.find("latency<=10", 9), [1]);
    assert_eq!(world.find("latency<=9", 9), [0; 0]);
}

#[test]
fn one_flavour_is_found_by_its_id() {
    let mut world = world();
    world.up(2);
    world.up(3);
    world.hear(2, vec![offer(2, 1, 4, 2), offer(2, 2, 4, 1)]);
    world.hear(3, vec![offer(3, 1, 4, 1)]);
    let id = FlavourId([1; 16]);
    let day = Span::secs(86_400);
    assert_eq!(world.pick(Pick::Flavour(id, None), 9, day), [1, 1]);
    assert_eq!(world.pick(Pick::Flavour(id, Some(node(3))), 9, day), [1]);
    assert_eq!(world.pick(Pick::Flavour(FlavourId([2; 16]), Some(node(3))), 9, day), [0; 0]);
    world.feed(Input::EndpointDown { node: node(3) });
    assert_eq!(world.find("", 9), [2, 1], "a node that is out of reach is not tried by itself");
    assert_eq!(world.pick(Pick::Flavour(id, Some(node(3))), 9, day), [1], "but when it is named");
    world.up(3);
    assert_eq!(world.find("", 9).len(), 3);
}

#[test]
fn who_is_gone_is_forgotten_and_not_waited_for() {
    let mut world = world();
    world.up(2);
    world.up(3);
    world.hear(2, vec![offer(2, 1, 4, 2)]);
    world.hear(3, vec![offer(3, 2, 4, 2)]);
    let asked = asks(&world.discover(1, "cpu>=2", 5));
    world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 2, 4, 2)])));
    let effects = world.feed(Input::EndpointGone { node: node(2) });
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 1"]);
    assert_eq!(world.find("", 9), [2]);
    world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2)])));
    assert_eq!(world.find("", 9), [2], "what it says afterwards is not heard");
    assert_eq!(world.manager.endpoints().count(), 1);
}

#[test]
fn the_operator_is_told_what_was_ruled_out_and_why() {
    let mut world = world();
    world.own(offer(1, 8, 1, 1));
    world.own(offer(1, 9, 8, 1));
    world.up(2);
    world.up(3);
    let effects = world.operator("cpu>=2", 1, true);
    let asked = asks(&effects);
    assert!(asked.iter().all(|(_, _, list)| list.selector.filters.is_empty() && list.limit > 1));
    assert!(world.answer(asked[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2), offer(2, 2, 1, 2)]))).is_empty());
    let effects = world.answer(asked[1].0, 3, Ok(flavours(vec![offer(3, 3, 0, 2)])));
    let [Effect::Did(..), Effect::Did(..), Effect::Respond { found, .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!((ids(&found.candidates), found.asked, found.silent, found.partial), (vec![1], 2, 0, false));
    let why: Vec<_> = found
        .ruled_out
        .iter()
        .map(|(offer, why)| (offer.flavour.id.0[0], number(&offer.via), why.to_string()))
        .collect();
    let expected = [
        (2, 2, "cpu>=2: it has 1 available"),
        (3, 3, "cpu>=2: it has 0 available"),
        (8, 1, "cpu>=2: it has 1 available"),
    ];
    assert_eq!(why, expected.map(|(id, via, why)| (id, via, why.to_owned())));
}

#[test]
fn this_node_does_not_ask_itself() {
    let mut world = world();
    world.feed(Input::EndpointUp {
        party: Party { node: node(ME), addresses: vec![] },
        role: Role::Node,
        realm: Realm::Own,
    });
    assert_eq!(words(&world.discover(1, "", 5)), ["11", "discovered 1 silent 0"]);
}
