//! Measures how what an intent costs, and what nothing costs, grows with nodes and with domains.
//!
//! `cargo run --release -p simulations --example scale -- [FILE] [--only NAME]… [--most-nodes N] [--most-domains N]
//! [--least N] [--seeds N] [--patience S]`
//!
//! Its parts are `default`, `few`, `with`, `without` and `sparse`; each figure is the mean over the seeds.
//! Each world runs in a process of its own, so that its memory is its own; `--world …` is such a process. A world runs
//! twice, with intents and without: what intents cost is the difference. Nobody audits it, so that minds are measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, missing_docs)]

use std::{cell::RefCell, fmt::Write as _, fs, process::Command, rc::Rc};

use kernel::Span;
use serde_json::{Value, json};
use simulations::{
    measure::Meter,
    plan::{Plan, Trim},
    scenario::Scenario,
    search::Stopwatch,
    world::World,
};

/// For how long intents come in each world; then they end, and what was left is given back.
const LENGTH: u64 = 120;
const QUIET: u64 = 30;
/// How many come in a second.
const RATE: f64 = 2.0;
/// The most memory that a world may take, in KiB.
const MEMORY: u64 = 12 << 20;
/// How many seconds of processor a world may take, unless told otherwise; the next larger one is not tried when this much
/// is likely.
const PATIENCE: f64 = 60.0;
/// With how many seeds each world runs, unless told otherwise.
const SEEDS: u64 = 3;

/// A world to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    domains: u32,
    /// In each domain.
    nodes: u32,
    digests: bool,
    /// Whether each node keeps few connections, and not as many as it does by default.
    few: bool,
    /// How many partners each domain has at least; all others where it is 0.
    partners: u32,
    load: bool,
    seed: u64,
}

impl Size {
    /// Returns the scenario.
    ///
    /// With one domain: half of the nodes offer, and intents come to those that do not, so that each has to find another
    /// node. With several: one in four has large machines, and the intents of all others fit on those alone.
    fn scenario(self) -> Scenario {
        let Self { domains, nodes, digests, few, partners, load, seed: _ } = self;
        let mut text = format!(
            "# A world of some size.\nlength = \"{LENGTH}s\"\nquiet = \"{QUIET}s\"\nsigning = \"cheap\"\nwire = \"values\"\n"
        );
        if domains > 1 {
            let all = partners == 0 || partners >= domains;
            let said = if all { "\"all\"".to_owned() } else { format!("{{ drawn = {partners} }}") };
            let _ = writeln!(text, "partners = {said}");
        }
        let _ = writeln!(text, "[settings]\ndiscovery = {{ digests = {digests} }}");
        // All join at once, which is more invitations than an issuer has by default; and the largest worlds have more
        // members and partners than a node knows by default.
        let few = if few { ", keep-connected = 4, peers = 4" } else { "" };
        let _ = writeln!(
            text,
            "federation = {{ tokens = 200000, members = 200000, partners = 4096, invitations = 4096{few} }}"
        );
        let members = nodes - 1;
        let mut domain = |name: &str, count: u32, cpu: &str, memory: &str| {
            let _ = writeln!(
                text,
                "[[domains]]\nname = \"{name}\"\ncount = {count}\nnodes = {members}\noffering = 0.5\ncpu = \"{cpu}\"\nmemory = \"{memory}\""
            );
        };
        if domains == 1 {
            domain("one", 1, "16", "64Gi");
        } else {
            let large = domains.div_ceil(4);
            domain("large", large, "64", "256Gi");
            domain("small", domains - large, "1", "1Gi");
        }
        if load {
            let (from, cpu) = if domains == 1 { ("", "200m") } else { ("from = \"small\"\n", "1500m") };
            let _ = writeln!(
                text,
                "[[load]]\nper-second = {RATE:.1}\n{from}cpu = \"{cpu}\"\nmemory = \"64Mi\"\nterm = \"5m\"\nlives = \"20s\""
            );
        }
        Scenario::read("scale", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn plan(self, scenario: &Scenario) -> Plan {
        let mut plan = Plan::new(scenario, self.seed, &Trim::default()).unwrap();
        // Who has room at home asks nobody.
        let poor = |plan: &Plan, domain| {
            let nodes = (0..).zip(&plan.nodes);
            let poor = nodes.filter(|(_, it)| {
                it.domain == domain && it.offers.is_empty() && it.role == rear_proto::membership::Role::Node
            });
            poor.map(|(at, _)| at).collect::<Vec<u32>>()
        };
        let by_domain: Vec<Vec<u32>> = (0..plan.domains.len() as u32).map(|domain| poor(&plan, domain)).collect();
        for (arrival, number) in plan.arrivals.iter_mut().zip(0usize..) {
            let domain = plan.nodes[arrival.node as usize].domain as usize;
            if let Some(node) = by_domain[domain].get(number * 7919 % by_domain[domain].len().max(1)) {
                arrival.node = *node;
            }
        }
        plan
    }
}

/// Runs a world in this process, and says what it took.
fn world(size: Size) -> Value {
    let scenario = size.scenario();
    let empty = memory("VmRSS");
    let (wall, before) = (Stopwatch::start(), processor());
    let mut world = World::new(&scenario, size.plan(&scenario), size.seed).unwrap();
    let meter = Rc::new(RefCell::new(Meter::new(world.plan())));
    world.add_observer(Box::new(Rc::clone(&meter)));
    while world.run(world.begun(), u64::MAX) {}
    let (made, events) = (processor(), world.events());
    let until = world.begun() + Span::secs(LENGTH + QUIET);
    while world.run(until, u64::MAX) {}
    let took = processor() - made;
    let (tally, measures) = meter.borrow_mut().finish(&world);
    let (messages, bytes) =
        measures.messages.values().fold((0, 0), |(n, sum), (count, bytes)| (n + count, sum + bytes));
    // What nodes do when they have long found each other: the second half of the time.
    let half = measures.series["messages"].len() / 2;
    let late = |name: &str| measures.series[name][half..].iter().sum::<f64>();
    let late_s = (measures.series["messages"].len() - half) as f64 * measures.bucket.0 as f64 / 1000.0;
    let all = f64::from(size.domains) * f64::from(size.nodes);
    json!({
        "intents": tally.total, "ran": tally.running, "refused": tally.refused, "failed": tally.failed,
        "messages": messages, "bytes": bytes,
        "lists": measures.messages.get("LIST_FLAVOURS").map_or(0, |it| it.0),
        "byName": measures.messages,
        "p50": measures.to_running().p50.map(|it| it.0), "p99": measures.to_running().p99.map(|it| it.0),
        "idleMessages": late("messages") / late_s / all, "idleBytes": late("bytes") / late_s / all,
        "events": world.events() - events, "cpu": took, "making": made - before, "wall": wall.elapsed().as_secs_f64(),
        "rss": memory("VmRSS").saturating_sub(empty), "peak": memory("VmHWM").saturating_sub(empty),
        "violations": world.violations().len(),
    })
}

/// Returns the seconds of processor that this thread has had: other processes do not change them as they do wall time.
fn processor() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Returns a figure of this process's memory, in KiB.
fn memory(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Runs a world in a process of its own; says why where it can't.
fn apart(size: Size) -> Result<Value, String> {
    let Size { domains, nodes, digests, few, partners, load, seed } = size;
    let me = std::env::current_exe().unwrap();
    let call =
        format!("ulimit -v {MEMORY}; exec \"$0\" --world {domains} {nodes} {digests} {few} {partners} {load} {seed}");
    let out = Command::new("sh").arg("-c").arg(call).arg(me).output().unwrap();
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or("nothing").to_owned();
        return Err(said);
    }
    serde_json::from_slice(&out.stdout).map_err(|error| error.to_string())
}

/// Runs a world with each seed, and returns the mean of each figure.
fn with_seeds(size: Size, seeds: u64) -> Result<Value, String> {
    let runs: Vec<Value> = (1..=seeds).map(|seed| apart(Size { seed, ..size })).collect::<Result<_, _>>()?;
    let names: Vec<String> = runs[0].as_object().unwrap().keys().cloned().collect();
    let mean = |name: &str| {
        let known: Vec<f64> = runs.iter().filter_map(|run| run[name].as_f64()).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Ok(names.into_iter().filter_map(|name| mean(&name).map(|mean| (name, json!(mean)))).collect())
}

/// A world with and without intents.
#[derive(Debug, Clone)]
struct Pair {
    x: f64,
    all: f64,
    loaded: Value,
    idle: Value,
}

impl Pair {
    /// Returns by how much a figure is larger with intents, for each of them.
    fn per_intent(&self, name: &str) -> f64 {
        let of = |value: &Value| value[name].as_f64().unwrap_or(0.0);
        (of(&self.loaded) - of(&self.idle)) / of_intents(&self.loaded)
    }
}

fn of_intents(value: &Value) -> f64 {
    value["intents"].as_f64().unwrap_or(0.0).max(1.0)
}

/// Runs worlds of growing size, until one is too large.
fn sweep(sizes: &[u32], size: &dyn Fn(u32) -> Size, limits: (u64, f64), notes: &mut String) -> Vec<Pair> {
    let (seeds, patience) = limits;
    let mut pairs: Vec<Pair> = Vec::new();
    for &x in sizes {
        let with = Size { load: true, ..size(x) };
        // What the last two took says what this one will.
        if let [.., a, b] = pairs.as_slice() {
            let cost = |pair: &Pair| {
                pair.loaded["cpu"].as_f64().unwrap_or(0.0) + pair.loaded["making"].as_f64().unwrap_or(0.0)
            };
            let steps = (f64::from(x) / b.x).ln() / (b.x / a.x).ln();
            let likely = cost(b) * (cost(b) / cost(a).max(1e-3)).powf(steps);
            if likely > patience {
                let _ = writeln!(notes, "- {with:?}: not tried, for it would take about {likely:.0} s of processor.");
                break;
            }
        }
        eprintln!("{with:?}");
        let idle = || with_seeds(Size { load: false, ..with }, seeds);
        let both = with_seeds(with, seeds).and_then(|loaded| Ok((loaded, idle()?)));
        let both = both.and_then(|both| match both.0["intents"].as_f64() {
            Some(intents) if intents > 0.0 => Ok(both),
            _ => Err("no intent came in: the world was not made".to_owned()),
        });
        match both {
            Ok((loaded, idle)) => {
                eprintln!("  {loaded}\n  {idle}");
                pairs.push(Pair { x: x.into(), all: f64::from(with.domains) * f64::from(with.nodes), loaded, idle });
            }
            Err(why) => {
                let _ = writeln!(notes, "- {with:?}: {why}");
                break;
            }
        }
    }
    pairs
}

/// A power law `a · x^b`, and how well it fits: by least squares of the logarithms.
fn fit(points: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64, f64)> {
    let points: Vec<_> = points.filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let n = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let (mx, my) = (points.iter().map(|it| it.0).sum::<f64>() / n, points.iter().map(|it| it.1).sum::<f64>() / n);
    let sxx: f64 = points.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    let sxy: f64 = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let syy: f64 = points.iter().map(|(_, y)| (y - my).powi(2)).sum();
    let b = sxy / sxx;
    let r2 = if syy > 0.0 { sxy * sxy / (sxx * syy) } else { 1.0 };
    Some(((my - b * mx).exp(), b, r2))
}

/// What a table shows of each world.
type Column = (&'static str, fn(&Pair) -> f64);

const COLUMNS: &[Column] = &[
    ("messages per intent", |it| it.per_intent("messages")),
    ("bytes per intent", |it| it.per_intent("bytes")),
    ("LIST per intent", |it| it.per_intent("lists")),
    ("processor per intent, µs", |it| it.per_intent("cpu") * 1e6),
    ("p50, ms", |it| it.loaded["p50"].as_f64().unwrap_or(0.0)),
    ("p99, ms", |it| it.loaded["p99"].as_f64().unwrap_or(0.0)),
    ("idle messages per node and minute", |it| it.idle["idleMessages"].as_f64().unwrap_or(0.0) * 60.0),
    ("idle bytes per node and minute", |it| it.idle["idleBytes"].as_f64().unwrap_or(0.0) * 60.0),
    ("idle processor per node and hour, ms", |it| {
        it.idle["cpu"].as_f64().unwrap_or(0.0) * 1000.0 / it.all * 3600.0 / (LENGTH + QUIET) as f64
    }),
    ("memory per node, KiB", |it| it.idle["rss"].as_f64().unwrap_or(0.0) / it.all),
    ("making it, s", |it| it.idle["making"].as_f64().unwrap_or(0.0)),
    ("intents that ran, %", |it| 100.0 * it.loaded["ran"].as_f64().unwrap_or(0.0) / of_intents(&it.loaded)),
];

fn table(first: &str, pairs: &[Pair]) -> String {
    let mut text = format!("| {first} |");
    COLUMNS.iter().for_each(|(name, _)| text.push_str(&format!(" {name} |")));
    text.push_str("\n|---:|");
    COLUMNS.iter().for_each(|_| text.push_str("---:|"));
    text.push('\n');
    for pair in pairs {
        let _ = write!(text, "| {} |", pair.x);
        COLUMNS.iter().for_each(|(_, of)| text.push_str(&format!(" {} |", short(of(pair)))));
        text.push('\n');
    }
    text.push_str("\n| figure | fitted | R² |\n|---|---|---:|\n");
    for (name, of) in COLUMNS {
        if let Some((a, b, r2)) = fit(pairs.iter().map(|pair| (pair.x, of(pair)))) {
            let _ = writeln!(text, "| {name} | {} · n^{b:.2} | {r2:.3} |", short(a));
        }
    }
    text
}

fn short(value: f64) -> String {
    match value.abs() {
        it if it >= 100.0 => format!("{value:.0}"),
        it if it >= 10.0 => format!("{value:.1}"),
        it if it >= 1.0 || it == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, domains, nodes, digests, few, partners, load, seed] = args.as_slice()
        && flag == "--world"
    {
        let size = Size {
            domains: domains.parse().unwrap(),
            nodes: nodes.parse().unwrap(),
            digests: digests.parse().unwrap(),
            few: few.parse().unwrap(),
            partners: partners.parse().unwrap(),
            load: load.parse().unwrap(),
            seed: seed.parse().unwrap(),
        };
        println!("{}", world(size));
        return;
    }
    let given = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
    let most = |flag: &str, usual: u32| given(flag).map_or(usual, |value| value.parse().unwrap());
    let limits = (
        given("--seeds").map_or(SEEDS, |value| value.parse().unwrap()),
        given("--patience").map_or(PATIENCE, |value| value.parse().unwrap()),
    );
    let parts: Vec<&str> = args.windows(2).filter(|two| two[0] == "--only").map(|two| two[1].as_str()).collect();
    let nodes = [10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000];
    let domains = [3, 10, 30, 100, 300, 1000];
    let size = Size { domains: 1, nodes: 5, digests: true, few: false, partners: 0, load: true, seed: 1 };
    let of_nodes = |few| move |nodes| Size { nodes, few, ..size };
    let of_domains = |digests, partners| move |domains| Size { domains, digests, partners, ..size };
    let least = most("--least", 1);
    let (most_nodes, most_domains) = (most("--most-nodes", 100_000), most("--most-domains", 1000));
    let (mut notes, mut text) = (String::new(), String::new());
    let mut part = |name: &str, title: &str, first: &str, sizes: &[u32], most: u32, of: &dyn Fn(u32) -> Size| {
        if !parts.is_empty() && !parts.contains(&name) {
            return;
        }
        let sizes: Vec<u32> = sizes.iter().copied().filter(|it| (least..=most).contains(it)).collect();
        let pairs = sweep(&sizes, of, limits, &mut notes);
        let _ = writeln!(text, "## {title}\n\n{}", table(first, &pairs));
    };
    part("default", "By nodes, in one domain", "nodes", &nodes, most_nodes, &of_nodes(false));
    part("few", "By nodes, in one domain, each with few connections", "nodes", &nodes, most_nodes, &of_nodes(true));
    part("with", "By domains, all partners, with digests", "domains", &domains, most_domains, &of_domains(true, 0));
    part(
        "without",
        "By domains, all partners, without digests",
        "domains",
        &domains,
        most_domains,
        &of_domains(false, 0),
    );
    part(
        "sparse",
        "By domains, each with 16 partners or a few more",
        "domains",
        &domains,
        most_domains,
        &of_domains(true, 16),
    );
    let notes = if notes.is_empty() { "Nothing was left out.\n" } else { &notes };
    let _ = write!(text, "## Not measured\n\n{notes}");
    println!("{text}");
    if let Some(file) = args.first().filter(|arg| !arg.starts_with("--")) {
        fs::write(file, text).unwrap();
    }
}
