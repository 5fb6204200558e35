//! Whom this node asks when the domain has supernodes, and what it believes of whom.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use discovery::{Config, Effect, Input, mail::Why};
use kernel::{FlavourId, Span, Time};
use rear_proto::{
    Answer, Code, Extensions, Flavour, Signed, Trace,
    local::Realm,
    membership::Role,
    message::{PublishedFlavours, Scope},
    published::Published,
};

/// A plain node with two supernodes, 10 and 11, and so many neighbours from 20 on.
fn member(neighbours: u8, config: Config) -> World {
    let mut world = world_with(config);
    for n in [10, 11] {
        world.up_as(n, Role::Supernode, Realm::Own);
    }
    for n in 20..20 + neighbours {
        world.up(n);
    }
    world
}

fn supernode_of(effects: &[Effect]) -> u8 {
    let supernodes: Vec<_> = asks(effects).iter().map(|(_, to, _)| number(to)).filter(|n| *n < 20).collect();
    assert_eq!(supernodes.len(), 1, "{supernodes:?}");
    supernodes[0]
}

fn ask_of(effects: &[Effect], n: u8) -> kernel::AskId {
    asks(effects).iter().find(|(_, to, _)| *to == node(n)).unwrap().0
}

#[test]
fn one_supernode_and_some_neighbours_are_asked() {
    let mut world = member(40, Config { neighbours: 5, max_hops: 200, ..Config::default() });
    let effects = world.discover(1, "cpu>=2", 5);
    assert_eq!(asks(&effects).len(), 6);
    let supernode = supernode_of(&effects);
    for effect in &effects {
        let Effect::Ask { to, request: rear_proto::Request::List(list), trace, .. } = effect else { continue };
        if number(&to.node) == supernode {
            assert_eq!((list.scope, list.hops_left, *trace), (Scope::Partners, 16, Trace::Own(1)));
        } else {
            assert_eq!((list.scope, list.hops_left, *trace), (Scope::Own, 0, Trace::None));
        }
    }
    // Without a supernode, more are asked, and the story is theirs to tell.
    for n in [10, 11] {
        world.feed(Input::EndpointDown { node: node(n) });
    }
    let effects = world.discover(2, "cpu>=3", 5);
    assert_eq!(asks(&effects).len(), 32);
    let traced = |effect: &&Effect| matches!(effect, Effect::Ask { trace: Trace::Own(2), .. });
    assert_eq!(effects.iter().filter(traced).count(), 32);
}

#[test]
fn partners_and_catalogues_are_not_for_plain_nodes_to_ask() {
    let mut world = world();
    world.up_partner(20, BETA);
    world.up_as(40, Role::Catalogue, Realm::Catalogue);
    world.up_as(41, Role::Catalogue, Realm::Own);
    assert_eq!(words(&world.discover(1, "", 5)), ["11", "discovered 1 silent 0"]);
}

#[test]
fn a_second_supernode_is_asked_when_the_first_takes_longer_than_it_mostly_does() {
    let mut world = member(0, Config::default());
    let first = world.discover(1, "cpu>=2", 5);
    let slow = supernode_of(&first);
    // Nothing is known of its times yet: a quarter of the deadline.
    assert_eq!(words(&world.pass(Span::millis(499))), [""; 0]);
    let second = world.pass(Span::millis(1));
    assert_eq!(words(&second), [format!("ask {}", 21 - slow)]);
    assert_ne!(asks(&second)[0].2.query, asks(&first)[0].2.query);
    // Its answer is enough: the first is not waited for.
    let answer = world.answer(ask_of(&second, 21 - slow), 21 - slow, Ok(flavours(vec![offer(21 - slow, 1, 4, 1)])));
    assert_eq!(words(&answer), ["10", "11", "discovered 1 silent 0"]);
    // What the first says afterwards is taken all the same.
    world.answer(ask_of(&first, slow), slow, Ok(flavours(vec![offer(slow, 2, 4, 1)])));
    assert_eq!(world.find("", 9).len(), 2);
}

#[test]
fn the_time_a_supernode_is_given_follows_its_answers() {
    let mut world = member(0, Config::default());
    world.feed(Input::EndpointDown { node: node(11) });
    for request in 0..40 {
        let asked = world.discover(request, "cpu>=2", 5);
        world.pass(Span::millis(1));
        let ask = ask_of(&asked, 10);
        let took = Span::millis(if request % 20 == 0 { 300 } else { 60 });
        let answer = Ok(Answer::Flavours(flavours(vec![])));
        world.feed(Input::Answered { ask, from: node(10), answer, took });
    }
    world.up_as(11, Role::Supernode, Realm::Own);
    let effects = world.discover(50, "cpu>=2", 5);
    assert_eq!(supernode_of(&effects), 10, "the one that is known to be fast");
    assert_eq!(words(&world.pass(Span::millis(59))), [""; 0]);
    assert_eq!(words(&world.pass(Span::millis(1))), ["ask 11"]);
}

#[test]
fn when_a_supernode_fails_the_other_is_asked_at_once_and_first_the_next_time() {
    for said in [Code::Unavailable, Code::Overloaded] {
        let mut world = member(1, Config::default());
        let first = world.discover(1, "cpu>=2", 5);
        let failed = supernode_of(&first);
        let effects = world.answer(ask_of(&first, failed), failed, Err(said.into()));
        assert_eq!(words(&effects), [format!("ask {}", 21 - failed)], "{said}");
        assert!(matches!(effects[0], Effect::Ask { trace: Trace::Own(1), .. }));
        assert_eq!(supernode_of(&world.discover(2, "cpu>=3", 5)), 21 - failed);
        // Nobody is asked a third time.
        let effects = world.answer(ask_of(&effects, 21 - failed), 21 - failed, Err(said.into()));
        assert!(asks(&effects).is_empty());
    }
}

#[test]
fn a_supernode_asks_partners_for_itself_and_not_its_neighbours() {
    let mut world = supernode(Config::default());
    world.up(2);
    world.up_as(11, Role::Supernode, Realm::Own);
    assert_eq!(words(&world.discover(1, "cpu>=2", 5)), ["11", "discovered 1 silent 0"]);
    world.up_partner(20, BETA);
    world.up_as(40, Role::Catalogue, Realm::Catalogue);
    let effects = world.discover(2, "cpu>=2", 5);
    assert_eq!(words(&effects), ["7", "ask 20", "ask 40"]);
    let asked = asks(&effects);
    assert_eq!((asked[0].2.scope, asked[0].2.hops_left), (Scope::Partners, 4));
    // What it hears it sees as it was made.
    world.answer(asked[0].0, 20, Ok(flavours(vec![of(BETA, offer(20, 4, 4, 1))])));
    assert_eq!(world.find("cpu>=2", 5), [4]);
}

#[test]
fn what_is_believed_depends_on_who_says_it() {
    let direct = |n| offer(n, 1, 4, 1);
    let reissued = |n| of(BETA, offer(n, 2, 4, 1));
    for (what, from, offered, believed) in [
        ("a neighbour's own", 20, direct(20), true),
        ("a neighbour on another", 20, direct(21), false),
        ("a neighbour of another domain", 20, reissued(20), false),
        ("a supernode's own", 10, direct(10), true),
        ("a supernode on a member", 10, direct(21), true),
        ("a supernode for one that dials out", 10, Flavour { owner: node(21), ..direct(10) }, true),
        ("a supernode on what is beyond", 10, reissued(10), true),
        ("a supernode naming who is beyond", 10, reissued(30), false),
        ("a supernode with an owner beyond", 10, Flavour { owner: node(30), ..reissued(10) }, false),
    ] {
        let mut world = member(2, Config::default());
        world.feed(Input::EndpointDown { node: node(11) });
        let asked = world.discover(1, "cpu>=2", 9);
        let effects = world.answer(ask_of(&asked, from), from, Ok(flavours(vec![offered])));
        assert_eq!(world.find("", 9).len(), usize::from(believed), "{what}");
        let rated = words(&effects).contains(&format!("rated {from} Failed"));
        assert_eq!(rated, !believed, "{what}");
    }
    for (what, offered, believed) in [
        ("a partner's own", of(BETA, offer(20, 1, 4, 1)), true),
        ("a partner naming its node", of(BETA, offer(22, 1, 4, 1)), false),
        ("a partner with its node as owner", Flavour { owner: node(22), ..of(BETA, offer(20, 1, 4, 1)) }, false),
        ("a partner for another domain", of(GAMMA, offer(20, 1, 4, 1)), false),
        ("a partner in our name", offer(20, 1, 4, 1), false),
    ] {
        let mut world = supernode(Config::default());
        world.up_partner(20, BETA);
        world.learn(20, vec![offered]);
        assert_eq!(world.find("", 9).len(), usize::from(believed), "{what}");
    }
}

#[test]
fn own_offers_that_come_back_from_a_supernode_are_no_lie_and_no_candidate() {
    let mut world = member(0, Config::default());
    world.feed(Input::EndpointDown { node: node(11) });
    let asked = world.discover(1, "cpu>=2", 9);
    let effects = world.answer(ask_of(&asked, 10), 10, Ok(flavours(vec![offer(ME, 1, 4, 1)])));
    assert_eq!(words(&effects), ["10", "11", "discovered 1 silent 0"]);
    assert_eq!(world.manager.candidates(world.now).count(), 0);
}

#[test]
fn what_was_not_believed_is_counted_and_explained_and_bounded() {
    let mut world = world_with(Config { disbelieved: 3, ..Config::default() });
    world.up(2);
    world.hear(2, (1..=5).map(|id| offer(3, id, 4, 1)).collect());
    assert_eq!(world.manager.endpoints().map(|view| view.disbelieved).collect::<Vec<_>>(), [5]);
    let asked = asks(&world.operator("cpu>=2", 9, true));
    let effects = world.answer(asked[0].0, 2, Ok(flavours(vec![])));
    let Some(Effect::Respond { found, .. }) = effects.last() else { panic!("{effects:?}") };
    let ids: Vec<_> = found.ruled_out.iter().map(|(offer, _)| offer.flavour.id.0[0]).collect();
    assert_eq!(ids, [5, 4, 3]);
    assert!(matches!(&found.ruled_out[0].1, Why::Disbelieved(why) if why.contains(&node(3).to_string())));
}

#[test]
fn too_many_offers_and_answers_to_another_question_are_held_against_a_peer() {
    let mut world = world();
    world.up(2);
    let asked = asks(&world.discover(1, "", 1));
    let many = (1..=3).map(|id| offer(2, id, 4, 1)).collect();
    assert!(words(&world.answer(asked[0].0, 2, Ok(flavours(many)))).contains(&"rated 2 Failed".to_owned()));
    let asked = asks(&world.discover(2, "cpu>=9", 1));
    let effects =
        world.feed(Input::Answered { ask: asked[0].0, from: node(2), answer: Ok(Answer::Noted), took: Span::ZERO });
    assert_eq!(words(&effects), ["rated 2 Failed", "10", "11", "discovered 2 silent 1"]);
}

#[test]
fn what_comes_second_hand_does_not_shorten_what_the_provider_said() {
    let mut world = member(1, Config::default());
    world.feed(Input::EndpointDown { node: node(11) });
    let asked = world.discover(1, "cpu>=2", 9);
    world.answer(ask_of(&asked, 20), 20, Ok(flavours(vec![offer(20, 1, 4, 1)])));
    let stale = Flavour { expires_in: Span::secs(5), ..offer(20, 1, 4, 1) };
    world.answer(ask_of(&asked, 10), 10, Ok(flavours(vec![stale])));
    world.pass(Span::secs(30));
    assert_eq!(world.find("", 9), [1]);
}

/// What a catalogue has of node 200, a supernode of beta.
fn published(change: impl FnOnce(&mut Published)) -> Signed<Published> {
    let flavour = of(BETA, offer(200, 4, 4, 1));
    let mut published =
        Published { by: node(200), viewer: ALPHA, at: Time(990_000), flavour, extensions: Extensions::new() };
    change(&mut published);
    Signed::new(published, &signer(200))
}

#[test]
fn a_catalogues_offers_are_believed_under_their_own_signatures() {
    let cases: [(&str, Signed<Published>, bool); 8] = [
        ("as it should be", published(|_| {}), true),
        ("for another domain", published(|p| p.viewer = GAMMA), false),
        ("signed by another", published(|p| p.by = node(201)), false),
        ("naming another", published(|p| p.flavour.provider = party(201)), false),
        ("with another owner", published(|p| p.flavour.owner = node(22)), false),
        ("of a domain it does not speak for", published(|p| p.flavour = of(GAMMA, p.flavour.clone())), false),
        ("of no partner", published(|p| p.flavour.domain.key = kernel::DomainKey([12; 32])), false),
        ("over", published(|p| p.at = Time(900_000)), false),
    ];
    for (what, offered, believed) in cases {
        let mut world = supernode(Config::default());
        world.feed(Input::Partners([partner(BETA, &[200]), partner(GAMMA, &[30])].into()));
        world.up_as(40, Role::Catalogue, Realm::Catalogue);
        let effects = world.asked_by(1, 5, MEMBER, wide(1, "cpu>=2", 4));
        let ask = ask_of(&effects, 40);
        let offers = PublishedFlavours { offers: vec![offered], partial: false, extensions: Extensions::new() };
        let answer = Ok(Answer::Published(offers));
        let effects = world.feed(Input::Answered { ask, from: node(40), answer, took: Span::millis(9) });
        let expected: &[&str] = if believed {
            &["signatures", "10", "9", "list [4]"]
        } else {
            &["signatures", "rated 40 Failed", "10", "9", "list []"]
        };
        assert_eq!(words(&effects), expected, "{what}");
        if believed {
            // Ten seconds of its minute have gone by since it was signed.
            assert_eq!(listed(&effects)[0].expires_in, Span::secs(50));
            let Ok(rear_proto::local::Way::Onward(way)) = world.resolve(listed(&effects)[0].id, MEMBER) else {
                panic!("{what}")
            };
            assert_eq!((way.seller, way.flavour, way.abroad), (party(200), FlavourId([4; 16]), true));
        }
    }
}

#[test]
fn a_node_that_is_here_anew_is_asked_once_more() {
    let mut world = world();
    world.up(2);
    let first = asks(&world.discover(1, "cpu>=2", 5));
    let (party, role, realm) = (party(2), Role::Node, Realm::Own);
    let again = asks(&world.feed(Input::EndpointUp { party, role, realm }));
    assert_eq!((again.len(), again[0].1, again[0].2.query), (1, node(2), first[0].2.query), "the same question");
    // What its former life was asked is not waited for, and its answer is nobody's.
    assert!(world.answer(first[0].0, 2, Err(silence())).is_empty());
    let out = world.answer(again[0].0, 2, Ok(flavours(vec![offer(2, 1, 4, 2)])));
    assert_eq!(words(&out), ["10", "11", "discovered 1 silent 0"]);
}

#[test]
fn just_after_a_start_a_supernode_waits_for_its_partners_while_its_asker_does() {
    let mut world = supernode(Config::default());
    world.start();
    let out = world.asked_by(1, 5, MEMBER, wide(1, "cpu>=1", 4));
    assert!(asks(&out).is_empty() && !out.iter().any(|effect| matches!(effect, Effect::Reply { .. })), "{out:?}");
    // Its own nodes are not who is waited for.
    world.up(5);
    assert!(asks(&world.pass(Span::millis(200))).is_empty());
    world.up_partner(20, BETA);
    let asked = asks(&world.pass(Span::millis(200)));
    assert_eq!(asked.len(), 1);
    let out = world.answer(asked[0].0, 20, Ok(flavours(vec![of(BETA, offer(20, 4, 4, 2))])));
    assert_eq!(origins(&listed(&out)), [4]);

    // One that nobody comes to is answered while that is of use.
    let mut world = supernode(Config::default());
    world.start();
    world.asked_by(1, 5, MEMBER, wide(1, "cpu>=1", 4));
    let out = world.pass(Span::millis(1500));
    assert!(out.iter().any(|effect| matches!(effect, Effect::Reply { .. })), "{out:?}");
}
