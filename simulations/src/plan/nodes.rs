//! Domains and their nodes: what there is, what each offers, who is whose partner.

use std::collections::BTreeSet;

use discovery::config::Expose;
use kernel::{Quantity, Resource, Resources, Rng, Span};
use rear::offer::Offer;
use rear_proto::{
    Currency, Kind, Money, Period, Policies, Price, Properties,
    flavour::{K8Slice, Partitionable},
    membership::Role,
};

use super::{DomainNo, DomainPlan, NodePlan, trim::Kept};
use crate::scenario::{Between, Domains, Made, Partners, ROLES, Scenario, place};

/// The least part of an offer, and what larger parts grow by.
const STEP_CPU: u64 = 100;
const STEP_MEMORY: u64 = 16 << 20;
/// How many workloads a node takes at the most: more than fit by processor and memory.
const PODS: u64 = 100;

/// All that a scenario makes, before anything is left out or drawn.
pub(super) struct Whole {
    pub(super) domains: Vec<Made>,
    pub(super) nodes: Vec<WholeNode>,
}

pub(super) struct WholeNode {
    /// In which of the domains.
    pub(super) domain: usize,
    pub(super) role: Role,
    /// Which of those of its role, from 1.
    pub(super) number: u32,
    pub(super) offers: bool,
    pub(super) dials_only: bool,
}

/// Lists all that a scenario makes.
pub(super) fn whole(scenario: &Scenario) -> Whole {
    let mut nodes = Vec::new();
    let mut domains = Vec::new();
    for (domain, made) in scenario.made().enumerate() {
        let of = &scenario.domains[made.kind];
        let (offering, dialling) = (millionths(of.offering), millionths(of.dial_out));
        // Of those that offer and of those that do not, the same share can only dial out.
        let mut groups = [0u64; 2];
        for (role, number) in ROLES.into_iter().flat_map(|role| (1..=of.of(role)).map(move |number| (role, number))) {
            let ordinary = role == Role::Node;
            let offers = ordinary && is_one_of_share(u64::from(number) - 1, offering, MILLION - 1);
            let group = &mut groups[usize::from(offers)];
            let dials_only = ordinary && is_one_of_share(*group, dialling, MILLION / 2);
            *group += u64::from(ordinary);
            nodes.push(WholeNode { domain, role, number, offers, dials_only });
        }
        domains.push(made);
    }
    Whole { domains, nodes }
}

const MILLION: u64 = 1_000_000;

/// A share in whole millionths, so that counting with it is exact.
fn millionths(share: f64) -> u64 {
    (share.clamp(0.0, 1.0) * MILLION as f64).round() as u64
}

/// Says whether the one of this number is of the share: those that are stand as evenly as they can, so that the first
/// few of them have it as well as all. What is added before rounding down says how early the first of them comes.
const fn is_one_of_share(number: u64, share: u64, before: u64) -> bool {
    ((number + 1) * share + before) / MILLION > (number * share + before) / MILLION
}

/// Makes the domains that are kept.
pub(super) fn domains(scenario: &Scenario, whole: &Whole, kept: &Kept) -> Vec<DomainPlan> {
    let make = |domain: &Made| {
        let of = &scenario.domains[domain.kind];
        let mut config = scenario.settings.clone();
        config.discovery.margin = of.margin;
        if of.exposes {
            let everybody = Expose { partners: vec!["*".to_owned()], what: Default::default(), resale: of.resells };
            config.discovery.expose.push(everybody);
        }
        DomainPlan { name: domain.name.clone(), config }
    };
    kept.domains.iter().map(|domain| make(&whole.domains[*domain])).collect()
}

/// Makes the nodes that are kept. Each draws from a generator of its own.
pub(super) fn make(scenario: &Scenario, mut rng: Rng, whole: &Whole, kept: &Kept) -> Vec<NodePlan> {
    let mut nodes = Vec::with_capacity(kept.count);
    for (at, node) in whole.nodes.iter().enumerate() {
        let mut own = rng.fork();
        if kept.node(at).is_none() {
            continue;
        }
        let domain = &whole.domains[node.domain];
        let of = &scenario.domains[domain.kind];
        nodes.push(NodePlan {
            name: format!("{}/{}", domain.name, place(node.role, node.number)),
            domain: kept.domain(node.domain).unwrap_or(0),
            role: node.role,
            dials_only: node.dials_only,
            offers: node.offers.then(|| offer(of, &mut own)).into_iter().collect(),
        });
    }
    nodes
}

/// Draws what a node offers, in parts that everybody can use.
fn offer(of: &Domains, rng: &mut Rng) -> Offer {
    let part = |amount: u64, step: u64| (amount / step * step).max(step);
    let cpu = part(of.cpu.draw(rng).to_millis(), STEP_CPU);
    let bytes = Between { least: of.memory.least.to_units(), most: of.memory.most.to_units() };
    let memory = part(bytes.draw(rng), STEP_MEMORY);
    machine(Quantity::millis(cpu), Quantity::bytes(memory), Money(of.price.draw(rng)))
}

/// Returns what a node with so much room offers for so much an hour, in parts of 100m and 16Mi.
pub fn machine(cpu: Quantity, memory: Quantity, price: Money) -> Offer {
    let resources = |cpu, memory, pods| Resources { cpu, memory, pods: Quantity::units(pods), ..Resources::default() };
    let least = resources(Quantity::millis(STEP_CPU), Quantity::bytes(STEP_MEMORY), 1);
    Offer {
        name: "machine".to_owned(),
        kind: Kind::K8Slice(K8Slice {
            architecture: "amd64".to_owned(),
            gpu_model: None,
            runtimes: vec!["wasm".to_owned()],
        }),
        base: resources(cpu, memory, PODS),
        policies: Policies { partitionable: Some(Partitionable { min: least, step: least }), aggregatable: None },
        price: Price {
            amount: price,
            currency: Currency::EUR,
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        },
        properties: Properties::default(),
        location: None,
        expires_in: Span::secs(60),
    }
}

/// Returns who is whose partner, each pair once, the smaller first.
pub(super) fn partners(scenario: &Scenario, mut rng: Rng, whole: &Whole, kept: &Kept) -> Vec<(DomainNo, DomainNo)> {
    let count = kept.domains.len() as u64;
    let number = |domain: u64| DomainNo::try_from(domain).unwrap_or(0);
    let mut pairs = BTreeSet::new();
    let mut pair = |one: u64, other: u64| {
        if one != other {
            pairs.insert((number(one.min(other)), number(one.max(other))));
        }
    };
    match &scenario.partners {
        Partners::None => {}
        Partners::All => (0..count).for_each(|one| (0..one).for_each(|other| pair(one, other))),
        Partners::Ring => (0..count).for_each(|one| pair(one, (one + 1) % count)),
        Partners::Drawn(each) => {
            for one in 0..count {
                let mut own = rng.fork();
                let others = u64::from(*each).min(count - 1);
                for other in distinct(&mut own, count - 1, others) {
                    pair(one, other + u64::from(other >= one));
                }
            }
        }
        Partners::Pairs(named) => {
            let of = |name: &str| -> Vec<u64> {
                let named = |at: &u64| {
                    let domain = usize::try_from(*at).ok().and_then(|at| kept.domains.get(at));
                    domain.is_some_and(|domain| scenario.is_named(&whole.domains[*domain], name))
                };
                (0..count).filter(named).collect()
            };
            for (one, other) in named {
                let (ones, others) = (of(one), of(other));
                ones.iter().for_each(|one| others.iter().for_each(|other| pair(*one, *other)));
            }
        }
    }
    pairs.into_iter().collect()
}

/// Draws so many different numbers below `end`, in rising order.
pub(super) fn distinct(rng: &mut Rng, end: u64, count: u64) -> BTreeSet<u64> {
    // Floyd's way: each step adds one, so it costs as much as is drawn (Bentley and Floyd, 1987).
    let mut drawn = BTreeSet::new();
    for last in end - count.min(end)..end {
        let number = rng.below(last + 1);
        drawn.insert(if drawn.contains(&number) { last } else { number });
    }
    drawn
}
