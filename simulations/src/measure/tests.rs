//! Whole runs under the meter, small ones.

use kernel::Span;

use super::*;
use crate::{plan::Trim, scenario::Scenario};

/// A few nodes, and more wanted of them than they have.
const CROWD: &str = r#"# A few nodes, and more wanted of them than they have.
length = "45s"
signing = "cheap"
wire = "values"
partners = "all"
[settings]
contract = { lease = "6s", activate-within = "4s" }
vfabric = { grace = "1s" }
[[domains]]
name = "rich"
nodes = 4
cpu = "2"
[[domains]]
name = "poor"
nodes = 3
offering = 0.0
[[load]]
per-second = 1.0
from = "poor"
cpu = "500m..1"
memory = "64Mi"
term = "1m"
lives = "10s..30s"
"#;

/// A consumer that crashes, and with it the memory of what it had deleted.
const CRASH: &str = r#"[[faults]]
kind = "crash"
who = "poor"
at = "20s"
lasts = "5s"
"#;

fn run(seed: u64, faults: &str) -> (World, Tally, Measures) {
    let scenario = Scenario::read("crowd", &format!("{CROWD}{faults}")).unwrap();
    let plan = Plan::new(&scenario, seed, &Trim::default()).unwrap();
    let mut world = World::new(&scenario, plan, seed).unwrap();
    let meter = Rc::new(RefCell::new(Meter::new(world.plan())));
    world.add_observer(Box::new(Rc::clone(&meter)));
    let until = world.begun() + Span::secs(110);
    while world.run(until, u64::MAX) {}
    let (tally, measures) = meter.borrow_mut().finish(&world);
    (world, tally, measures)
}

#[test]
fn a_run_is_measured_as_the_minds_themselves_remember_it() {
    let (world, tally, measures) = run(3, "");
    assert_eq!(tally.total, world.plan().arrivals.len() as u64);
    assert_eq!(tally.total, tally.running + tally.refused + tally.failed);
    assert!(tally.running > 0 && tally.refused > 0, "{tally:?}");
    // The minds go on showing what was deleted: their own word on what ran.
    let minds = (0..world.count()).filter_map(|node| world.managers(node));
    let views = minds.flat_map(|it| it.orchestrator.intents().collect::<Vec<_>>());
    let ran = views.filter(|view| view.times.running.is_some()).count() as u64;
    assert_eq!(tally.running, ran);
    // By time, by domain and by reason it is the same intents.
    let sum = |name: &str| measures.series[name].iter().sum::<f64>();
    assert_eq!([sum("came"), sum("ran"), sum("refused"), sum("failed")], {
        let Tally { total, running, refused, failed } = tally;
        [total, running, refused, failed].map(to_f64)
    });
    assert_eq!(measures.domains.iter().map(|it| it.ran).sum::<u64>(), tally.running);
    assert_eq!(measures.refusals.values().sum::<u64>(), tally.refused + tally.failed);
    assert_eq!(measures.to_running.iter().map(Vec::len).sum::<usize>() as u64, tally.running);
    assert_eq!(measures.messages.values().map(|it| it.0).sum::<u64>(), sum("messages") as u64);
}

#[test]
fn what_one_domain_sells_the_other_buys_and_all_is_given_back() {
    let (_, tally, measures) = run(5, "");
    let [rich, poor] = measures.domains.as_slice() else { panic!("two domains") };
    assert!(rich.sold > 100.0 && rich.bought == 0.0 && poor.sold == 0.0, "{rich:?} {poor:?}");
    // The two ends of a contract begin and end it some milliseconds apart.
    assert!((rich.sold - poor.bought).abs() < rich.sold * 0.03, "{rich:?} {poor:?}");
    let utilisation = &measures.series["utilisation"];
    assert!(utilisation.iter().all(|it| (0.0..=1.0).contains(it)));
    assert!(utilisation.iter().any(|it| *it > 0.5) && utilisation.last() == Some(&0.0), "{utilisation:?}");
    // Every contract was paid for, and at least as many intents ran as had one.
    assert!(measures.prices.concat().len() as u64 >= tally.running);
}

#[test]
fn the_same_seed_gives_the_same_measures() {
    let measured = |seed| run(seed, CRASH).2;
    let json = |measures: &Measures| serde_json::to_string(measures).unwrap();
    let one = measured(7);
    assert_eq!(one.faults.iter().map(|it| it.kind).collect::<Vec<_>>(), ["crash"]);
    assert_eq!(json(&one), json(&measured(7)));
    assert_ne!(json(&one), json(&measured(8)));
}
