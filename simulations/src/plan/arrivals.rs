//! Intents: when they come, where, and how large they are.

use kernel::{Digest, Quantity, Resources, Rng, Span};
use orchestrator::intent::{Component, Intent, Place};
use rear_proto::{
    Currency, Money, Period,
    membership::Role,
    price::Rate,
    workload::{Image, Port, Restart, Workload},
};

use super::{Arrival, NodeNo, nodes::Whole};
use crate::scenario::{Between, Load, Pattern, Scenario, Where};

/// The bytes that stand for the component that all intents run, where nothing really runs.
pub const COMPONENT: &[u8] = b"web";

/// A mebibyte: what memory is drawn in, where there is so much.
const MEBI: u64 = 1 << 20;

/// Draws all intents, by time; their nodes are those of the whole.
pub(super) fn draw(scenario: &Scenario, mut rng: Rng, whole: &Whole) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for load in &scenario.load {
        stream(scenario, load, rng.fork(), whole, &mut arrivals);
    }
    // The sort is stable: of those that come at once, those of the first load come first.
    arrivals.sort_by_key(|arrival: &Arrival| arrival.at);
    for (number, arrival) in (0..).zip(&mut arrivals) {
        arrival.number = number;
    }
    arrivals
}

/// Draws the intents of one load: a Poisson process by thinning (Lewis and Shedler, 1979).
fn stream(scenario: &Scenario, load: &Load, mut rng: Rng, whole: &Whole, arrivals: &mut Vec<Arrival>) {
    let is_consumer = |node: &super::nodes::WholeNode| {
        let made = &whole.domains[node.domain];
        node.role == Role::Node && load.from.as_ref().is_none_or(|from| scenario.is_named(made, from))
    };
    let at = (0..).zip(&whole.nodes).filter(|(_, node)| is_consumer(node));
    let consumers: Vec<NodeNo> = at.map(|(at, _)| at).collect();
    let most = load.per_second * load.pattern.most();
    if consumers.is_empty() || most <= 0.0 {
        return;
    }
    let end = scenario.length.0 as f64;
    // When it comes, and what it is, are drawn apart: each intent takes one fork.
    let mut clock = rng.fork();
    let mut at = 0.0;
    loop {
        at += exponential(&mut clock) * 1000.0 / most;
        if at >= end {
            return;
        }
        if unit(&mut clock) * load.pattern.most() >= load.pattern.times(at) {
            continue;
        }
        let mut own = rng.fork();
        let node = load.pattern.consumer(&mut own, &consumers);
        arrivals.push(Arrival {
            number: 0,
            at: Span::millis(at as u64),
            node,
            replicas: load.replicas.draw(&mut own),
            need: Resources {
                cpu: load.cpu.draw(&mut own),
                memory: memory(&load.memory, &mut own),
                ..Resources::default()
            },
            term: load.term.draw(&mut own),
            lives: load.lives.draw(&mut own),
            ceiling: load.ceiling.map(|ceiling| ceiling.draw(&mut own)),
            place: load.place,
        });
    }
}

/// Draws an amount of memory: in whole mebibytes where there is at least one.
fn memory(range: &Between<Quantity>, rng: &mut Rng) -> Quantity {
    let (least, most) = (range.least.to_units(), range.most.to_units());
    if least < MEBI {
        return range.draw(rng);
    }
    Quantity::bytes(Between { least: least / MEBI, most: most / MEBI }.draw(rng).saturating_mul(MEBI))
}

impl Pattern {
    /// Returns how many times as much comes at this time, in milliseconds, as is usual.
    fn times(&self, at: f64) -> f64 {
        match *self {
            Self::Steady | Self::Hotspot { .. } => 1.0,
            Self::Burst { at: from, lasts, times } => {
                let is_on = at >= from.0 as f64 && at < from.plus(lasts).0 as f64;
                if is_on { times } else { 1.0 }
            }
            Self::Diurnal { day } => {
                // From midnight: the smooth step up to noon and down again, whose mean is a half. Unlike a cosine it is
                // the same to the last bit on every machine.
                let day = day.0.max(1) as f64;
                let light = 1.0 - (2.0 * (at % day) / day - 1.0).abs();
                2.0 * light * light * (3.0 - 2.0 * light)
            }
        }
    }

    /// Draws to whom an intent comes.
    fn consumer(&self, rng: &mut Rng, consumers: &[NodeNo]) -> NodeNo {
        let all = consumers.len() as u64;
        let among = match *self {
            Self::Hotspot { share } if unit(rng) < share => {
                // The first of each hundred, so that a world with fewer nodes has hot ones, too.
                100 * rng.below(all.div_ceil(100))
            }
            Self::Steady | Self::Burst { .. } | Self::Hotspot { .. } | Self::Diurnal { .. } => rng.below(all),
        };
        usize::try_from(among).ok().and_then(|at| consumers.get(at)).copied().unwrap_or(0)
    }
}

/// Draws a number from 0 to 1, without 1.
fn unit(rng: &mut Rng) -> f64 {
    // As many bits as a float keeps.
    (rng.number() >> 11) as f64 / (1u64 << 53) as f64
}

/// Draws a waiting time with a mean of 1, exponentially distributed, by comparing alone (von Neumann, 1951): a logarithm
/// differs in its last bit from machine to machine.
fn exponential(rng: &mut Rng) -> f64 {
    let mut whole = 0.0;
    loop {
        let first = rng.number() >> 11;
        let (mut last, mut run) = (first, 1u32);
        loop {
            let next = rng.number() >> 11;
            if next >= last {
                break;
            }
            (last, run) = (next, run + 1);
        }
        if run % 2 == 1 {
            return whole + first as f64 / (1u64 << 53) as f64;
        }
        whole += 1.0;
    }
}

impl Arrival {
    /// Returns the intent, under a name that users may write; `home` is the name of its node's domain.
    pub fn intent(&self, name: &str, home: &str) -> Intent {
        self.intent_for(name, home, Digest::of(COMPONENT), COMPONENT.len() as u64)
    }

    /// Returns the same intent with another component, of this digest and so many bytes.
    pub fn intent_for(&self, name: &str, home: &str, digest: Digest, size: u64) -> Intent {
        let home = || vec![home.to_owned()];
        let (domains, not_domains) = match self.place {
            Where::Anywhere => (Vec::new(), Vec::new()),
            Where::Home => (home(), Vec::new()),
            Where::Abroad => (Vec::new(), home()),
        };
        let workload = Workload {
            name: name.to_owned(),
            image: Image::Wasm { digest, size },
            resources: self.need,
            ports: vec![Port { name: "http".to_owned(), port: 80 }],
            args: Vec::new(),
            env: Default::default(),
            restart: Restart::default(),
            wall: None,
            reach: Vec::new(),
        };
        let ceiling = |micros| Rate { amount: Money(micros), currency: Currency::EUR, period: Period::Hour };
        Intent {
            name: name.to_owned(),
            workloads: vec![Component { workload, replicas: u16::try_from(self.replicas).unwrap_or(u16::MAX) }],
            place: Place { domains, not_domains, ..Place::default() },
            ceiling: self.ceiling.map(ceiling),
            term: self.term,
        }
    }
}
