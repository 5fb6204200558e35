//! Order, bounds, sameness, and what a trim leaves.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::shipped;

fn scenario(text: &str) -> Scenario {
    Scenario::read("test", &format!("# A story.\n{text}")).unwrap()
}

fn plan(scenario: &Scenario, seed: u64) -> Plan {
    Plan::new(scenario, seed, &Trim::default()).unwrap()
}

/// A world of one domain in which so many intents come in a second, in this pattern.
fn load(length: &str, per_second: f64, pattern: &str) -> Scenario {
    scenario(&format!(
        "length = \"{length}\"\n[[domains]]\nname = \"a\"\nnodes = 250\n[[load]]\nper-second = {per_second}\n\
         pattern = {pattern}\ncpu = \"200m..1\"\nmemory = \"64Mi..1Gi\"\nreplicas = \"1..3\"\nterm = \"10s..20s\"\n\
         lives = \"1m..2m\"\nceiling = \"5..9\"\n"
    ))
}

/// How many of the intents come in this part of the run, in seconds.
fn within(plan: &Plan, from: u64, to: u64) -> usize {
    plan.arrivals.iter().filter(|it| (Span::secs(from)..Span::secs(to)).contains(&it.at)).count()
}

/// Checks that so many came where so many were to come on average: within two and a half standard deviations.
#[track_caller]
fn check(came: usize, mean: f64) {
    assert!((came as f64 - mean).abs() < 2.5 * mean.sqrt(), "{came} came, {mean} on average");
}

#[test]
fn intents_come_as_often_as_is_said() {
    let steady = plan(&load("1h", 3.0, "\"steady\""), 1);
    check(steady.arrivals.len(), 10_800.0);
    assert_eq!(steady.arrivals.len(), 10_753, "a seed gives another plan than it always has");
    let burst = plan(&load("1h", 1.0, "{ burst = { at = \"20m\", lasts = \"10m\", times = 10 } }"), 1);
    check(within(&burst, 0, 1200), 1200.0);
    check(within(&burst, 1200, 1800), 6000.0);
    check(within(&burst, 1800, 3600), 1800.0);
    let lull = plan(&load("1h", 1.0, "{ burst = { at = \"20m\", lasts = \"10m\", times = 0 } }"), 1);
    assert_eq!(within(&lull, 1200, 1800), 0);
    // The quarters of a day have 3/32, 13/32, 13/32 and 3/32 of it.
    let day = plan(&load("4h", 1.0, "{ diurnal = { day = \"2h\" } }"), 1);
    check(within(&day, 0, 1800), 675.0);
    check(within(&day, 1800, 5400), 5850.0);
    check(within(&day, 5400, 7200), 675.0);
    check(within(&day, 7200, 14_400), 7200.0);
    // Three nodes of 250 are hot, the first of each hundred; what is left comes to anybody.
    let hot = plan(&load("1h", 1.0, "{ hotspot = { share = 0.6 } }"), 1);
    for node in [1, 101, 201] {
        check(hot.arrivals.iter().filter(|it| it.node == node).count(), 720.0 + 1440.0 / 250.0);
    }
    check(hot.arrivals.len(), 3600.0);
}

#[test]
fn waiting_times_are_those_of_a_poisson_process() {
    let plan = plan(&load("10h", 2.0, "\"steady\""), 3);
    let gaps: Vec<f64> = plan.arrivals.windows(2).map(|two| (two[1].at.0 - two[0].at.0) as f64 / 1000.0).collect();
    let count = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / count;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
    assert!((mean - 0.5).abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
    // Memory is lost: as many of those over a second are over two as there are over one of all.
    let over = |least: f64| gaps.iter().filter(|gap| **gap > least).count() as f64;
    assert!((over(1.0) / count - over(2.0) / over(1.0)).abs() < 0.02);
}

#[test]
fn what_is_drawn_is_within_its_range_and_can_be_used() {
    let plan = plan(&load("1h", 3.0, "\"steady\""), 2);
    let of = |what: fn(&Arrival) -> u64| {
        let all: Vec<u64> = plan.arrivals.iter().map(what).collect();
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    };
    assert_eq!(of(|it| it.replicas.into()), (1, 3));
    assert_eq!(of(|it| it.ceiling.unwrap()), (5, 9));
    assert_eq!(of(|it| it.need.memory.to_units() % (1 << 20)), (0, 0));
    let (least, most) = of(|it| it.need.cpu.to_millis());
    assert!((200..205).contains(&least) && (996..=1000).contains(&most), "{least} {most}");
    for arrival in &plan.arrivals {
        arrival.intent(&format!("intent-{}", arrival.number), plan.domain_of(arrival.node)).check().unwrap();
    }
}

#[test]
fn offers_make_sense_and_stand_where_the_shares_say() {
    let world = scenario(
        "length = \"1m\"\n[[domains]]\nname = \"a\"\nnodes = 100\noffering = 0.6\ndial-out = 0.25\ncpu = \"1050m..7\"\n\
         memory = \"1001Mi..3Gi\"\nprice = \"1..1000\"\n",
    );
    let plan = plan(&world, 1);
    let offering: Vec<&NodePlan> = plan.nodes.iter().filter(|node| !node.offers.is_empty()).collect();
    assert_eq!(offering.len(), 60);
    assert_eq!(plan.nodes.iter().filter(|node| node.dials_only).count(), 25);
    assert_eq!(offering.iter().filter(|node| node.dials_only).count(), 15);
    for node in offering {
        let offer = &node.offers[0];
        offer.check().unwrap();
        let (cpu, memory) = (offer.base.cpu.to_millis(), offer.base.memory.to_units());
        assert!((1000..=7000).contains(&cpu) && cpu.is_multiple_of(100), "{cpu}");
        assert!((992 << 20..=3 << 30).contains(&memory) && memory.is_multiple_of(16 << 20), "{memory}");
    }
}

#[test]
fn domains_show_what_they_are_told_to() {
    let world = scenario(
        "length = \"1m\"\n[[domains]]\nname = \"open\"\nnodes = 1\nresells = true\nmargin = \"2%\"\n[[domains]]\n\
         name = \"shut\"\nnodes = 1\nexposes = false\n",
    );
    let plan = plan(&world, 1);
    let [open, shut] = plan.domains.as_slice() else { unreachable!() };
    assert_eq!(open.config.discovery.expose.iter().map(|rule| rule.resale).collect::<Vec<_>>(), [true]);
    assert_eq!((open.config.discovery.margin.0, shut.config.discovery.expose.len()), (20_000, 0));
}

#[test]
fn partners_are_as_said() {
    let with = |partners: &str| {
        let text = format!(
            "length = \"1m\"\npartners = {partners}\n[[domains]]\nname = \"a\"\ncount = 3\nnodes = 1\n[[domains]]\nname = \"b\"\nnodes = 1\n"
        );
        plan(&scenario(&text), 1).partners
    };
    assert_eq!(with("\"none\""), []);
    assert_eq!(with("\"all\"").len(), 6);
    assert_eq!(with("\"ring\""), [(0, 1), (0, 3), (1, 2), (2, 3)]);
    assert_eq!(with("{ pairs = [[\"a\", \"b\"]] }"), [(0, 3), (1, 3), (2, 3)]);
    assert_eq!(with("{ pairs = [[\"a-2\", \"b\"], [\"b\", \"a-2\"]] }"), [(1, 3)]);
    assert!((2..=4).contains(&with("{ drawn = 1 }").len()));
}

fn acts(faults: &str) -> (Plan, Vec<(u64, Act)>) {
    let text = format!(
        "length = \"10m\"\npartners = \"all\"\n[[domains]]\nname = \"a\"\nnodes = 3\noffering = 0.5\n[[domains]]\n\
         name = \"b\"\ncount = 2\nsupernodes = 2\nnodes = 2\n{faults}"
    );
    let plan = plan(&scenario(&text), 1);
    let acts = plan.acts.iter().map(|acted| (acted.at.as_secs(), acted.act.clone())).collect();
    (plan, acts)
}

#[test]
fn a_domain_that_is_cut_off_is_cut_off_whole_and_nodes_are_alone() {
    let cut = |who: &str, more: &str| {
        let (_, acts) =
            acts(&format!("[[faults]]\nkind = \"partition\"\nwho = \"{who}\"\nat = \"1m\"\nlasts = \"5s\"\n{more}"));
        match acts.as_slice() {
            [(60, Act::Partition { side, lasts: Span(5000) })] => side.clone(),
            other => unreachable!("{other:?}"),
        }
    };
    assert_eq!(cut("a", ""), [0, 1, 2, 3]);
    assert!([vec![4, 5, 6, 7], vec![8, 9, 10, 11]].contains(&cut("b", "")));
    assert_eq!(cut("b", "count = 2"), (4..12).collect::<Vec<_>>());
    assert_eq!(cut("b-2", ""), [8, 9, 10, 11]);
    assert_eq!(cut("b-2/s2", ""), [9]);
    assert_eq!(cut("supernodes", "count = 5"), [0, 4, 5, 8, 9]);
}

#[test]
fn what_rolls_strikes_each_once_and_what_recurs_again_and_again() {
    let (_, rolled) = acts("[[faults]]\nkind = \"upgrade\"\nat = \"1m\"\nrolling = \"10s\"\nwho = \"b\"\ncount = 2\n");
    let nodes: Vec<_> = (4..12).map(|node| (60 + (u64::from(node) - 4) / 2 * 10, Act::Upgrade { node })).collect();
    assert_eq!(rolled, nodes);
    let (_, recurs) = acts("[[faults]]\nkind = \"bounce\"\nevery = \"5s..15s\"\n");
    assert!((45..=75).contains(&recurs.len()), "{}", recurs.len());
    let (plan, priced) = acts("[[faults]]\nkind = \"reprice\"\nevery = \"1s\"\npercent = 20\n");
    for (_, act) in priced {
        let Act::Reprice { node, percent } = act else { unreachable!() };
        assert!((80..=120).contains(&percent) && !plan.nodes[node as usize].offers.is_empty());
    }
}

#[test]
fn a_big_plan_is_made_soon_enough_to_be_made_again_and_again() {
    // Not a measure: a plan whose cost is the square of its size would not end.
    let big = shipped::by_name("ten-thousand-nodes").unwrap();
    let plan = plan(&big, 1);
    assert_eq!((plan.nodes.len(), plan.domains.len()), (10_000, 100));
    assert!(plan.arrivals.len() > 10_000);
}

/// What of a plan is compared.
fn shown(plan: &Plan) -> String {
    format!("{:?} {:?} {:?} {:?}", plan.nodes, plan.partners, plan.arrivals, plan.acts)
}

/// Names whom an act strikes.
fn names(plan: &Plan, acted: &Acted) -> Vec<String> {
    acted.act.struck().iter().map(|node| plan.nodes[*node as usize].name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_seed_gives_one_plan_in_order_and_in_bounds(which in 0..100usize, seed: u64) {
        let scenarios: Vec<_> = shipped::all().into_iter().filter(|it| it.nodes() < 1000).collect();
        let scenario = &scenarios[which % scenarios.len()];
        let plan = plan(scenario, seed);
        prop_assert_eq!(shown(&plan), shown(&self::plan(scenario, seed)));
        prop_assert!(shown(&plan) != shown(&self::plan(scenario, seed.wrapping_add(1))));
        prop_assert!(plan.arrivals.is_sorted_by_key(|it| it.at) && plan.acts.is_sorted_by_key(|it| it.at));
        prop_assert!(plan.arrivals.iter().zip(0..).all(|(it, number)| it.number == number && it.at < plan.length));
        prop_assert!(plan.acts.iter().zip(0..).all(|(it, number)| it.number == number && it.at < plan.length));
        let count = plan.nodes.len() as u32;
        prop_assert_eq!(u64::from(count), scenario.nodes());
        prop_assert!(plan.arrivals.iter().all(|it| plan.nodes[it.node as usize].role == Role::Node));
        for acted in &plan.acts {
            prop_assert!(!acted.act.struck().is_empty() && acted.act.struck().iter().all(|node| *node < count));
        }
        let names: BTreeSet<_> = plan.nodes.iter().map(|node| &node.name).collect();
        prop_assert_eq!(names.len(), plan.nodes.len());
        let domains = plan.domains.len() as u32;
        prop_assert!(plan.partners.iter().all(|(one, other)| one < other && *other < domains));
        prop_assert!(plan.nodes.is_sorted_by_key(|node| node.domain));
    }

    #[test]
    fn a_trim_adds_nothing_and_redraws_nothing(
        which in 0..100usize, seed: u64, nodes in proptest::option::of(0..300u32),
        secs in proptest::option::of(1..2000u64), acts in proptest::option::of(proptest::collection::vec(0..60u32, 0..20)),
        arrivals in proptest::option::of(proptest::collection::vec(0..200u32, 0..50)),
    ) {
        let scenarios: Vec<_> = shipped::all().into_iter().filter(|it| it.nodes() < 1000).collect();
        let scenario = &scenarios[which % scenarios.len()];
        let whole = plan(scenario, seed);
        let trim = Trim { nodes, length: secs.map(Span::secs), acts, arrivals };
        let trimmed = Plan::new(scenario, seed, &trim).unwrap();
        let least: u64 = scenario.domains.iter().map(|of| {
            u64::from(of.supernodes.min(1) + of.catalogues.min(1) + of.nodes.min(2))
        }).sum();
        let most = nodes.map_or(scenario.nodes(), |nodes| u64::from(nodes).max(least));
        prop_assert!(trimmed.nodes.len() as u64 <= most, "{} of {most}", trimmed.nodes.len());
        prop_assert!(trimmed.length <= whole.length);
        prop_assert!(trimmed.domains.len() >= scenario.domains.len());
        for node in &trimmed.nodes {
            let before = whole.nodes.iter().find(|it| it.name == node.name).unwrap();
            prop_assert_eq!(&before.offers, &node.offers);
            prop_assert_eq!((before.role, before.dials_only), (node.role, node.dials_only));
            prop_assert_eq!(node.name.split('/').next().unwrap(), &trimmed.domains[node.domain as usize].name);
        }
        for arrival in &trimmed.arrivals {
            let before = &whole.arrivals[arrival.number as usize];
            prop_assert_eq!(&trimmed.nodes[arrival.node as usize].name, &whole.nodes[before.node as usize].name);
            prop_assert_eq!(&Arrival { node: before.node, ..arrival.clone() }, before);
            prop_assert!(arrival.at < trimmed.length);
            prop_assert!(trim.arrivals.as_ref().is_none_or(|named| named.contains(&arrival.number)));
        }
        for acted in &trimmed.acts {
            let before = &whole.acts[acted.number as usize];
            prop_assert_eq!((before.at, before.fault, before.act.name()), (acted.at, acted.fault, acted.act.name()));
            prop_assert!(acted.at < trimmed.length && trim.acts.as_ref().is_none_or(|it| it.contains(&acted.number)));
            if !matches!(scenario.faults[acted.fault].when, crate::scenario::When::At(_)) {
                let before: BTreeSet<_> = names(&whole, before).into_iter().collect();
                prop_assert!(names(&trimmed, acted).iter().all(|name| before.contains(name)));
            }
        }
        if trim.acts.is_none() && trim.length.is_none() {
            let once = |fault: &usize| matches!(scenario.faults[*fault].when, crate::scenario::When::At(_));
            let told = |plan: &Plan| -> BTreeSet<usize> { plan.acts.iter().map(|it| it.fault).filter(once).collect() };
            prop_assert_eq!(told(&whole), told(&trimmed));
        }
    }
}
