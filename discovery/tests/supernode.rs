//! LIST_FLAVOURS, asked of a supernode: who is shown what, whom it asks in turn, and when it answers.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::*;
use discovery::{Config, Effect, Input};
use kernel::{FlavourId, Span, Ticket};
use rear_proto::{
    Code, Flavour,
    flavour::Party,
    local::{Caller, Onward, Realm, Way},
    membership::Role,
    message::{List, Scope},
    price::Margin,
};

fn percent(text: &str) -> Margin {
    text.parse().unwrap()
}

fn open() -> Config {
    Config { expose: vec![expose(&["*"], "", false)], ..Config::default() }
}

/// A supernode with an own offer 1, a reachable node's offer 2, that of a node that can only dial out, 3, and 4 of
/// beta's. Members' offers come as if asked for as a neighbour would be.
fn stocked(config: Config) -> World {
    let mut world = supernode(config);
    world.own(offer(ME, 1, 4, 4));
    for (n, id) in [(2, 2), (3, 3)] {
        let mut offered = offer(n, id, 4, 8);
        let mut party = party(n);
        if n == 3 {
            offered.provider.addresses.clear();
            party.addresses.clear();
        }
        world.feed(Input::EndpointUp { party, role: Role::Node, realm: Realm::Own });
        world.take(offered);
    }
    world.up_partner(20, BETA);
    world.learn(20, vec![of(BETA, offer(20, 4, 4, 2))]);
    world
}

fn by_origin(flavours: &[Flavour], id: u8) -> Flavour {
    flavours.iter().find(|flavour| flavour.origin == origin(id)).unwrap().clone()
}

#[test]
fn members_are_shown_everything_and_what_is_not_reached_otherwise_through_this_node() {
    let mut world = stocked(Config { margin: percent("10%"), ..Config::default() });
    let shown = world.shown_to_member(1, "cpu>=1");
    assert_eq!(origins(&shown), [4, 1, 2, 3]);
    assert_eq!(by_origin(&shown, 1), offer(ME, 1, 4, 4), "its own as it is");
    let near = by_origin(&shown, 2);
    assert_eq!((near.id, near.provider, near.owner), (FlavourId([2; 16]), party(2), node(2)));
    let dialling = by_origin(&shown, 3);
    assert_eq!((dialling.id, dialling.provider, dialling.owner), (FlavourId([3; 16]), party(ME), node(3)));
    assert_eq!(dialling.price, offer(3, 3, 4, 8).price, "inside the domain there is no margin");
    let foreign = by_origin(&shown, 4);
    assert_ne!(foreign.id, FlavourId([4; 16]));
    assert_eq!((foreign.provider, foreign.owner, foreign.domain), (party(ME), node(ME), domain(BETA)));
    assert_eq!((foreign.epoch, foreign.price.amount.0), (offer(20, 4, 4, 2).epoch, 2_200_000));
}

#[test]
fn what_is_passed_on_says_how_much_of_its_time_is_left() {
    let mut world = stocked(Config::default());
    world.pass(Span::secs(20));
    let shown = world.shown_to_member(1, "cpu>=1");
    for (id, left) in [(1, 60), (2, 40), (3, 40), (4, 40)] {
        assert_eq!(by_origin(&shown, id).expires_in, Span::secs(left), "{id}");
    }
}

#[test]
fn filters_are_judged_on_what_the_viewer_would_see() {
    let mut world = stocked(Config { margin: percent("10%"), ..open() });
    // Half of it: 1 EUR at beta, 1.1 here.
    assert_eq!(origins(&world.shown_to_member(1, "cpu>=4, price<=1EUR/h")), [0; 0]);
    assert_eq!(origins(&world.shown_to_member(2, "cpu>=4, price<=1.1EUR/h")), [4]);
    assert_eq!(origins(&world.shown_to_member(3, "domain=beta")), [4]);
    assert_eq!(origins(&world.shown_to_member(7, "cpu>=4, price>=1.1EUR/h, domain=beta")), [4]);
    // To a partner everything is of this domain; its own offers are not sold on.
    assert_eq!(origins(&world.shown_to(GAMMA, 4, "domain=alpha")), [1, 2, 3]);
    assert_eq!(origins(&world.shown_to(GAMMA, 5, "cpu>=4, price<=4EUR/h")), [1], "4.4 with the margin");
    assert_eq!(origins(&world.shown_to(GAMMA, 6, "cpu>=4, price<=4.4EUR/h")), [1, 2, 3]);
}

#[test]
fn who_asks_is_not_shown_its_own_offers() {
    let mut world = stocked(Config::default());
    let list = List { scope: Scope::Domain, ..list(1, "cpu>=1", 9) };
    assert_eq!(origins(&listed(&world.asked_by(1, 2, MEMBER, list))), [1, 3]);
}

#[test]
fn partners_are_shown_only_what_a_rule_exposes_to_them() {
    let rule = |what: &str| expose(&["beta"], what, false);
    let resale = |what: &str| expose(&["gamma"], what, true);
    for (rules, to_beta, to_gamma) in [
        (vec![], vec![], vec![]),
        (vec![rule("")], vec![1, 2, 3], vec![]),
        (vec![expose(&["*"], "", false)], vec![1, 2, 3], vec![1, 2, 3]),
        (vec![expose(&["*"], "tag=public", false)], vec![], vec![]),
        // A rule with a price is about the price at home; of two rules, what either allows.
        (vec![rule("price<=4EUR/h, cpu>=8")], vec![1], vec![]),
        (vec![rule("price<=4EUR/h, cpu>=8"), rule("cpu>=8")], vec![1, 2, 3], vec![]),
        // Only with resale is beta's offer passed on to gamma, and never to beta.
        (vec![resale("")], vec![], vec![4, 1, 2, 3]),
        (vec![expose(&["*"], "", true)], vec![1, 2, 3], vec![4, 1, 2, 3]),
        (vec![resale("domain=alpha")], vec![], vec![1, 2, 3]),
        (vec![resale("domain=beta")], vec![], vec![4]),
        // What one rule allows of this domain is not sold on because another sells on something else.
        (vec![expose(&["gamma"], "", false), resale("domain=alpha")], vec![], vec![1, 2, 3]),
    ] {
        let mut world = stocked(Config { expose: rules.clone(), ..Config::default() });
        assert_eq!(origins(&world.shown_to(BETA, 1, "cpu>=1")), to_beta, "{rules:?}");
        assert_eq!(origins(&world.shown_to(GAMMA, 2, "cpu>=1")), to_gamma, "{rules:?}");
        assert_eq!(origins(&world.shown_to(BETA, 3, "")), to_beta, "{rules:?}");
        // Nor to another supernode of beta.
        let list = List { limit: 64, ..wide(4, "cpu>=1", 0) };
        assert_eq!(origins(&listed(&world.asked_by(4, 21, caller(BETA), list))), to_beta, "{rules:?}");
    }
}

#[test]
fn a_partner_that_is_not_on_is_shown_nothing() {
    let mut world = stocked(open());
    let off = rear_proto::local::Partner { on: false, ..partner(BETA, &[20]) };
    world.feed(Input::Partners([off].into()));
    assert_eq!(origins(&world.shown_to(BETA, 1, "")), [0; 0]);
    for caller in [Caller::Partner { domain: BETA, on: false }, Caller::Visitor { domain: BETA }, Caller::Stranger] {
        assert_eq!(words(&world.asked_by(2, 20, caller, wide(2, "", 4))), ["refuse NotAMember"]);
    }
    // A plain node answers no partner.
    let mut plain = world_with(open());
    plain.own(offer(ME, 1, 4, 4));
    assert_eq!(words(&plain.asked_by(1, 20, caller(BETA), wide(1, "", 4))), ["refuse NotAMember"]);
}

#[test]
fn to_a_partner_everything_is_this_nodes() {
    let mut world = stocked(Config { margin: percent("25%"), ..open() });
    let shown = world.shown_to(GAMMA, 1, "cpu>=1");
    for flavour in &shown {
        assert_eq!((&flavour.provider, flavour.owner, &flavour.domain), (&party(ME), node(ME), &domain(ALPHA)));
        assert!(![1, 2, 3].map(|id| FlavourId([id; 16])).contains(&flavour.id));
    }
    let prices: Vec<_> = [1, 2, 3].map(|id| by_origin(&shown, id).price.amount.0).into();
    // What is its own it sells at its price; the rest is passed on.
    assert_eq!(prices, [4_000_000, 10_000_000, 10_000_000]);
}

#[test]
fn ids_lead_where_they_were_shown_to_lead() {
    let mut world = stocked(Config { margin: percent("10%"), ..open() });
    let inward = by_origin(&world.shown_to_member(1, ""), 4).id;
    let outward: Vec<_> = world.shown_to(GAMMA, 2, "").iter().map(|flavour| (flavour.origin, flavour.id)).collect();
    let outward = |id: u8| outward.iter().find(|(of, _)| *of == origin(id)).unwrap().1;
    let onward = |seller: Party, id: u8, margin: &str, abroad| {
        Way::Onward(Box::new(Onward { seller, flavour: FlavourId([id; 16]), margin: percent(margin), abroad }))
    };
    let nowhere = Party { addresses: vec![], ..party(3) };
    for (id, caller, expected) in [
        (FlavourId([1; 16]), MEMBER, Some(Way::Here(FlavourId([1; 16])))),
        // A node that can be reached is asked itself.
        (FlavourId([2; 16]), MEMBER, None),
        (FlavourId([3; 16]), MEMBER, Some(onward(nowhere.clone(), 3, "0%", false))),
        (FlavourId([4; 16]), MEMBER, None),
        (inward, MEMBER, Some(onward(party(20), 4, "10%", true))),
        (outward(1), caller(GAMMA), Some(Way::Here(FlavourId([1; 16])))),
        (outward(2), caller(GAMMA), Some(onward(party(2), 2, "10%", false))),
        (outward(3), caller(GAMMA), Some(onward(nowhere, 3, "10%", false))),
        // Inner names mean nothing outside, outer ones nothing inside, and partners' offers are not sold on.
        (FlavourId([1; 16]), caller(GAMMA), None),
        (inward, caller(GAMMA), None),
        (outward(1), MEMBER, None),
        (outward(1), Caller::Partner { domain: GAMMA, on: false }, None),
        (outward(1), Caller::Stranger, None),
    ] {
        let way = world.resolve(id, caller);
        match expected {
            Some(expected) => assert_eq!(way, Ok(expected), "{id} {caller:?}"),
            None => {
                let refusal = way.unwrap_err();
                assert_eq!(refusal.code(), Code::NotFound);
                assert_eq!(refusal.text(), format!("flavour {id} is not to be had here"));
            }
        }
    }
    // What is not exposed is refused in the same words as what is not there.
    let mut closed = stocked(Config::default());
    let refusal = closed.resolve(outward(1), caller(GAMMA)).unwrap_err();
    assert_eq!(refusal.text(), format!("flavour {} is not to be had here", outward(1)));
}

#[test]
fn resold_offers_lead_back_to_their_seller() {
    let mut world = stocked(Config { expose: vec![expose(&["gamma"], "", true)], ..Config::default() });
    let id = by_origin(&world.shown_to(GAMMA, 1, ""), 4).id;
    let seller = party(20);
    let onward = Onward { seller, flavour: FlavourId([4; 16]), margin: Margin::default(), abroad: true };
    assert_eq!(world.resolve(id, caller(GAMMA)), Ok(Way::Onward(Box::new(onward))));
    assert_eq!(world.resolve(id, caller(BETA)).unwrap_err().code(), Code::NotFound);
}

#[test]
fn of_two_ways_to_one_id_the_one_that_is_up_and_fastest_is_used() {
    let mut world = stocked(Config::default());
    world.up_partner(21, BETA);
    world.feed(Input::EndpointDown { node: node(20) });
    world.learn(21, vec![of(BETA, offer(21, 4, 4, 2))]);
    world.feed(Input::EndpointUp { party: party(20), role: Role::Supernode, realm: Realm::Partner(BETA) });
    let shown = world.shown_to_member(1, "domain=beta");
    assert_eq!(origins(&shown), [4], "two ways are one offer");
    let seller = |world: &mut World| match world.resolve(shown[0].id, MEMBER) {
        Ok(Way::Onward(onward)) => number(&onward.seller.node),
        other => panic!("{other:?}"),
    };
    let first = seller(&mut world);
    world.feed(Input::EndpointDown { node: node(first) });
    assert_eq!(seller(&mut world), 41 - first, "the dead one is passed by");
    assert_eq!(world.shown_to_member(2, "domain=beta")[0].id, shown[0].id);
}

#[test]
fn other_names_are_the_same_after_a_restart_whenever_the_secret_comes() {
    for secret_first in [true, false] {
        let mut world = stocked(open());
        let inward = by_origin(&world.shown_to_member(1, ""), 4).id;
        let outward = by_origin(&world.shown_to(GAMMA, 2, ""), 2).id;
        world.pass(Span::secs(2));
        let mut next = world_as(Role::Supernode, open());
        next.now = world.now;
        let secret = Input::Secret(rear_proto::local::DomainSecret([7; 32]));
        if secret_first {
            next.feed(secret.clone());
        }
        for row in world.rows.iter().filter(|row| row.value.is_some()) {
            next.manager.restore(row.table, &row.key, row.value.as_ref().unwrap()).unwrap();
        }
        next.start();
        next.feed(Input::Partners([partner(BETA, &[20, 21]), partner(GAMMA, &[30])].into()));
        next.feed(secret);
        assert!(matches!(next.resolve(inward, MEMBER), Ok(Way::Onward(_))), "{secret_first}");
        assert!(matches!(next.resolve(outward, caller(GAMMA)), Ok(Way::Onward(_))), "{secret_first}");
        assert_eq!(by_origin(&next.shown_to_member(3, ""), 4).id, inward);
    }
}

#[test]
fn a_question_goes_on_to_each_partner_once_and_the_answer_waits_for_them() {
    let mut world = supernode(Config { margin: percent("10%"), ..Config::default() });
    world.own(offer(ME, 1, 4, 4));
    world.up_partner(20, BETA);
    world.up_partner(21, BETA);
    world.up_partner(30, GAMMA);
    let effects = world.asked_by(1, 5, MEMBER, wide(1, "cpu>=2, latency<=9, price<=9EUR/h", 4));
    let asked = asks(&effects);
    assert_eq!(words(&effects)[..3], ["8", "advertised", "partners"]);
    assert_eq!(asked.len(), 2, "one supernode of each partner");
    for (_, _, list) in &asked {
        assert_eq!((list.query.0, list.hops_left, list.scope), ([1; 16], 3, Scope::Partners));
        assert_eq!(list.selector, selector("cpu>=2, price<=9EUR/h"));
        assert_eq!((list.deadline, list.trail.len()), (Span::millis(1900), 1));
    }
    let beta = number(&asked.iter().find(|(_, to, _)| *to != node(30)).unwrap().1);
    let ask = |n: u8| asked.iter().find(|(_, to, _)| *to == node(n)).unwrap().0;
    assert!(world.answer(ask(beta), beta, Ok(flavours(vec![of(BETA, offer(beta, 4, 4, 2))]))).is_empty());
    let effects = world.answer(ask(30), 30, Ok(flavours(vec![of(GAMMA, offer(30, 5, 4, 1))])));
    assert_eq!(words(&effects), ["10", "9", "list [5 4 1]"]);
    assert!(world.pass(Span::secs(1)).is_empty());
    assert_eq!(words(&world.asked_by(2, 5, MEMBER, wide(1, "cpu>=2", 4))), ["8", "9", "list [5 4 1]"], "a repeat");
}

#[test]
fn it_does_not_go_on_where_it_need_not_or_may_not() {
    let sell_on = Config { expose: vec![expose(&["*"], "", true)], ..Config::default() };
    for (what, config, caller, list, passed) in [
        ("it may", open(), MEMBER, wide(1, "cpu>=2", 1), true),
        ("no hops are left", open(), MEMBER, wide(1, "cpu>=2", 0), false),
        ("the own domain is enough", open(), MEMBER, List { scope: Scope::Domain, ..wide(1, "", 4) }, false),
        ("there is enough", open(), MEMBER, List { limit: 1, ..wide(1, "cpu>=2", 4) }, false),
        ("there is no time", open(), MEMBER, List { deadline: Span::millis(200), ..wide(1, "", 4) }, false),
        ("it was in too many places", open(), MEMBER, List { trail: vec![[1; 16]; 16], ..wide(1, "", 4) }, false),
        ("the setting says no", Config { ask_partners: false, ..open() }, MEMBER, wide(1, "", 4), false),
        ("a partner's question stays here", open(), caller(GAMMA), wide(1, "cpu>=2", 4), false),
        ("but for resale", sell_on, caller(GAMMA), wide(1, "cpu>=2", 4), true),
    ] {
        let mut world = supernode(config);
        world.own(offer(ME, 1, 4, 4));
        world.up_partner(20, BETA);
        world.up_partner(30, GAMMA);
        let effects = world.asked_by(1, 30, caller, list);
        let asked: Vec<_> = asks(&effects).iter().map(|(_, to, _)| number(to)).collect();
        assert_eq!(!asked.is_empty(), passed, "{what}");
        assert_eq!(words(&effects).iter().any(|word| word.starts_with("list")), !passed, "{what}");
        if caller != MEMBER {
            assert!(!asked.contains(&30), "who asks is not asked");
        }
    }
}

#[test]
fn a_question_that_waits_is_joined_by_its_repeat_and_is_a_loop_from_others() {
    let mut world = supernode(open());
    world.up_partner(20, BETA);
    let asked = asks(&world.asked_by(1, 5, MEMBER, wide(1, "cpu>=2", 4)));
    assert!(world.asked_by(2, 5, MEMBER, wide(1, "cpu>=2", 4)).is_empty(), "a repeat waits too");
    assert_eq!(words(&world.asked_by(3, 6, MEMBER, wide(1, "cpu>=2", 4))), ["refuse LoopDetected"]);
    assert_eq!(words(&world.asked_by(4, 20, caller(BETA), asked[0].2.clone())), ["refuse LoopDetected"]);
    let effects = world.answer(asked[0].0, 20, Ok(flavours(vec![of(BETA, offer(20, 4, 4, 2))])));
    assert_eq!(words(&effects), ["10", "10", "9", "list [4]", "9", "list [4]"]);
    let tickets: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(tickets, [Ticket(1), Ticket(2)]);
    // Its own footprint in a trail, under a question that it has not seen.
    let sent = asks(&world.discover(1, "cpu>=3", 5)).remove(0).2;
    assert_eq!(words(&world.asked_by(5, 20, caller(BETA), sent)), ["refuse LoopDetected"]);
}

#[test]
fn a_silent_partner_costs_its_own_offers_and_is_counted() {
    let mut world = supernode(open());
    world.own(offer(ME, 1, 4, 4));
    world.up_partner(20, BETA);
    world.up_partner(30, GAMMA);
    let asked = asks(&world.asked_by(1, 5, MEMBER, wide(1, "cpu>=2", 4)));
    let gamma = asked.iter().find(|(_, to, _)| *to == node(30)).unwrap();
    let said = rear_proto::message::Flavours { silent: 2, ..flavours(vec![of(GAMMA, offer(30, 5, 4, 1))]) };
    assert!(world.answer(gamma.0, 30, Ok(said)).is_empty());
    assert!(world.pass(Span::millis(1899)).is_empty());
    assert_eq!(words(&world.pass(Span::millis(1))), ["10", "9", "list [5 1] silent 3"], "two behind gamma, and beta");
}

#[test]
fn another_supernode_of_a_partner_is_asked_when_one_fails() {
    let mut world = supernode(open());
    world.up_partner(20, BETA);
    world.up_partner(21, BETA);
    let asked = asks(&world.asked_by(1, 5, MEMBER, wide(1, "cpu>=2", 4)));
    let first = number(&asked[0].1);
    let again = asks(&world.answer(asked[0].0, first, Err(Code::Unavailable.into())));
    assert_eq!(number(&again[0].1), 41 - first);
    assert_ne!(again[0].2.query, asked[0].2.query, "what the first has passed on is no loop for the second");
    let offered = of(BETA, offer(41 - first, 4, 4, 1));
    let effects = world.answer(again[0].0, 41 - first, Ok(flavours(vec![offered])));
    assert_eq!(words(&effects), ["10", "9", "list [4] silent 1"]);
    // The next time, the one that failed is not the first to be asked.
    let next = asks(&world.asked_by(2, 5, MEMBER, wide(2, "cpu>=3", 4)));
    assert_eq!(number(&next[0].1), 41 - first);
}

#[test]
fn equal_questions_of_one_viewer_at_once_are_asked_once() {
    let sell_on = Config { expose: vec![expose(&["*"], "", true)], ..Config::default() };
    let mut world = supernode(sell_on);
    world.up_partner(20, BETA);
    let asked = asks(&world.asked_by(1, 5, MEMBER, wide(1, "cpu>=2", 4)));
    assert_eq!(asked.len(), 1);
    for n in 2..40 {
        let effects = world.asked_by(u64::from(n), 50 + n, MEMBER, wide(n, "cpu>=2", 4));
        assert_eq!(words(&effects), ["8", "advertised", "partners"], "{n}");
    }
    let other = world.asked_by(90, 30, caller(GAMMA), wide(90, "cpu>=2", 4));
    assert_eq!(asks(&other).len(), 1, "another viewer's is another question");
    let effects = world.answer(asked[0].0, 20, Ok(flavours(vec![of(BETA, offer(20, 4, 4, 2))])));
    assert_eq!(words(&effects).iter().filter(|word| *word == "list [4]").count(), 39);
    assert!(world.pass(Span::millis(1)).is_empty());
}

#[test]
fn what_an_asker_excludes_is_named_to_partners_as_they_know_it() {
    let mut world = stocked(Config { expose: vec![expose(&["*"], "", true)], ..Config::default() });
    world.up_partner(30, GAMMA);
    let inward = by_origin(&world.shown_to_member(1, ""), 4).id;
    let inner = FlavourId([2; 16]);
    let list = List { exclude: vec![inner, inward], ..wide(2, "cpu>=2", 4) };
    let effects = world.asked_by(2, 5, MEMBER, list);
    for (_, to, list) in asks(&effects) {
        let expected: &[FlavourId] = if to == node(20) { &[FlavourId([4; 16])] } else { &[] };
        assert_eq!(list.exclude, expected, "{}", number(&to));
    }
    for (ask, to, _) in asks(&effects) {
        let said = if to == node(20) { vec![of(BETA, offer(20, 6, 4, 1))] } else { vec![] };
        let effects = world.answer(ask, number(&to), Ok(flavours(said)));
        if !effects.is_empty() {
            assert_eq!(words(&effects).last().unwrap(), "list [6 1 3]", "the excluded are not listed");
        }
    }
    // Its own question names what it has of them by their names.
    let own = asks(&world.discover_but(9, "cpu>=3", 5, &[4, 2]));
    assert!(own.iter().all(|(_, to, list)| list.exclude.len() == usize::from(*to == node(20))));
}

#[test]
fn who_copies_anothers_origin_hides_it_only_until_it_has_refused() {
    let mut world = stocked(Config::default());
    world.up_partner(30, GAMMA);
    world.learn(30, vec![of(GAMMA, Flavour { origin: origin(4), ..offer(30, 9, 4, 1) })]);
    let shown = world.shown_to_member(1, "cpu>=1");
    assert_eq!(by_origin(&shown, 4).domain, domain(GAMMA), "the cheaper way");
    let list = List { exclude: vec![by_origin(&shown, 4).id], ..wide(2, "cpu>=1", 0) };
    let shown = listed(&world.asked_by(2, 5, MEMBER, list));
    assert_eq!(by_origin(&shown, 4).domain, domain(BETA));
    // REAR is given all the ways at once.
    assert_eq!(world.find("price<=2EUR/h, cpu>=4", 9), [9, 4]);
}

#[test]
fn partners_that_are_none_any_longer_are_forgotten() {
    let mut world = stocked(Config::default());
    assert_eq!(origins(&world.shown_to_member(1, "domain=beta")), [4]);
    world.feed(Input::Partners([partner(GAMMA, &[30])].into()));
    assert_eq!(origins(&world.shown_to_member(2, "domain=beta")), [0; 0]);
    assert_eq!(world.manager.candidates(world.now).count(), 2);
}

#[test]
fn nothing_that_goes_to_a_partner_names_what_is_inside() {
    let sell_on = Config { expose: vec![expose(&["*"], "", true)], margin: percent("1%"), ..Config::default() };
    let mut world = stocked(sell_on);
    world.up_partner(30, GAMMA);
    let inside: Vec<(String, Vec<u8>)> = [2u8, 3, 5]
        .into_iter()
        .map(|n| (format!("node {n}"), node(n).0.to_vec()))
        .chain((1..=3u8).map(|id| (format!("flavour {id}"), vec![id; 16])))
        .chain([("an address".to_owned(), party(2).addresses[0].clone().into_bytes())])
        .collect();
    let clean = |bytes: &[u8], what: &str| {
        for (name, inner) in &inside {
            assert!(!bytes.windows(inner.len()).any(|part| part == inner), "{name} in {what}");
        }
    };
    let mut seen = 0;
    let mut check = |effects: &[Effect]| {
        for effect in effects {
            match effect {
                Effect::Ask { to, request, .. } if to.node != node(2) && to.node != node(3) => {
                    seen += 1;
                    clean(&rear_proto::wire::codec::encode(request), "a question");
                }
                Effect::Reply { answer, ticket: Ticket(20..) } => {
                    seen += 1;
                    clean(&rear_proto::wire::codec::encode(answer), "an answer");
                }
                _ => {}
            }
        }
    };
    let exclude = vec![FlavourId([2; 16]), FlavourId([1; 16])];
    check(&world.asked_by(1, 5, MEMBER, List { exclude: exclude.clone(), ..wide(101, "cpu>=2", 4) }));
    check(&world.asked_by(21, 30, caller(GAMMA), wide(102, "cpu>=2", 4)));
    check(&world.asked_by(22, 20, caller(BETA), wide(103, "", 0)));
    check(&world.discover_but(7, "cpu>=3", 5, &[1, 2, 3]));
    check(&world.pass(Span::secs(3)));
    assert!(seen >= 7, "{seen}");
}
