//! The meter: gathers, from what is seen of a run, the figures that its report shows. It judges nothing.
//!
//! It is shown everything, so it does next to nothing for most of it: a message adds to a few counters. It looks into a
//! mind only where that has kept a row about an intent or an allocation. What it remembers grows with the intents and
//! the contracts of a run by some tens of bytes each, and with the nodes; not with the events.

mod fates;
mod faults;
mod figures;
mod gauge;
mod holdings;
mod messages;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use agent::{Batch, Output};
use kernel::{AllocationId, IntentId, NodeId, Span};
use orchestrator::Phase;
use rear_proto::{Answer, Table};

use self::{
    fates::{Came, Fate, Fates, Why},
    faults::Faults,
    gauge::{Gauge, MOST},
    holdings::Holding,
    messages::Messages,
};
use crate::{
    observe::{Observer, Seen},
    outcome::{DomainMeasures, Measures, Tally, Violation},
    plan::{DomainNo, NodeNo, Plan},
    world::World,
};

pub use figures::{Figures, Percentiles, jain, percentile};
pub(crate) use figures::{ratio, to_f64};

/// Into how many buckets the time is divided in which intents come.
const BUCKETS: u64 = 120;

/// Gathers the measures of a run.
#[derive(Debug)]
pub struct Meter {
    bucket: u64,
    /// The bucket of the moment, and when the next begins: so that most of what is seen needs no division.
    at: usize,
    next: u64,
    counts: Vec<Counts>,
    messages: Messages,
    fates: Fates,
    to_running: Vec<Vec<u32>>,
    prices: Vec<Vec<u32>>,
    answers_refused: BTreeMap<&'static str, u64>,
    /// An intent that was handed to a mind which has not said yet whether it takes it.
    at_the_door: Option<(NodeNo, IntentId)>,
    holdings: Vec<Holding>,
    /// The virtual nodes that are there, so that each is paid for once.
    paid: BTreeSet<AllocationId>,
    base: Gauge,
    taken: Gauge,
    contracts: Gauge,
    up: Gauge,
    domains: Vec<Domain>,
    faults: Faults,
}

/// What happened in a bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    messages: u64,
    bytes: u64,
    lists: u64,
    came: u64,
    ran: u64,
    refused: u64,
    failed: u64,
}

/// What is measured of a domain.
#[derive(Debug)]
struct Domain {
    sold: Gauge,
    bought: Gauge,
    intents: u64,
    ran: u64,
}

impl Meter {
    /// Makes a meter for the run of a plan.
    pub fn new(plan: &Plan) -> Self {
        let bucket = plan.length.0.div_ceil(BUCKETS).max(1);
        let gauge = || Gauge::new(bucket);
        let domain = |_: &_| Domain { sold: gauge(), bought: gauge(), intents: 0, ran: 0 };
        Self {
            bucket,
            at: 0,
            next: bucket,
            counts: vec![Counts::default()],
            messages: Messages::default(),
            fates: Fates::default(),
            to_running: Vec::new(),
            prices: Vec::new(),
            answers_refused: BTreeMap::new(),
            at_the_door: None,
            holdings: vec![Holding::default(); plan.nodes.len()],
            paid: BTreeSet::new(),
            base: gauge(),
            taken: gauge(),
            contracts: gauge(),
            up: gauge(),
            domains: plan.domains.iter().map(domain).collect(),
            faults: Faults::default(),
        }
    }

    /// Returns what became of the intents, and all measures, once the run is over; the meter is empty after it.
    pub fn finish(&mut self, world: &World) -> (Tally, Measures) {
        let empty = Self::new(world.plan());
        std::mem::replace(self, empty).into_measures(world)
    }

    fn into_measures(mut self, world: &World) -> (Tally, Measures) {
        let (now, plan) = (world.age().0, world.plan());
        for came in self.fates.close() {
            self.count_fate(Fate::Failed, came);
        }
        let buckets = self.counts.len();
        let (base, taken) = (self.base.means(now), self.taken.means(now));
        let share = |(taken, base): (f64, f64)| if base > 0.0 { taken / base } else { 0.0 };
        let utilisation: Vec<f64> = taken.into_iter().zip(base).map(share).collect();
        let count = |of: fn(&Counts) -> u64| self.counts.iter().map(|counts| to_f64(of(counts))).collect::<Vec<_>>();
        let series = [
            ("came", count(|it| it.came)),
            ("ran", count(|it| it.ran)),
            ("refused", count(|it| it.refused)),
            ("failed", count(|it| it.failed)),
            ("messages", count(|it| it.messages)),
            ("bytes", count(|it| it.bytes)),
            ("lists", count(|it| it.lists)),
            ("utilisation", utilisation),
            ("contracts", self.contracts.means(now)),
            ("nodesUp", self.up.means(now)),
        ];
        let mut domains: Vec<DomainMeasures> = Vec::with_capacity(self.domains.len());
        for (domain, of) in self.domains.iter_mut().zip(&plan.domains) {
            let (sold, bought) = (domain.sold.seconds(now) / 1000.0, domain.bought.seconds(now) / 1000.0);
            let (intents, ran, name) = (domain.intents, domain.ran, of.name.clone());
            domains.push(DomainMeasures { name, nodes: 0, sold, bought, intents, ran });
        }
        for node in &plan.nodes {
            if let Some(domain) = domains.get_mut(node.domain as usize) {
                domain.nodes += 1;
            }
        }
        self.to_running.resize(buckets, Vec::new());
        self.prices.resize(buckets, Vec::new());
        let answers_refused = self.answers_refused.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        let measures = Measures {
            bucket: Span(self.bucket),
            length: plan.length,
            series: series.into_iter().map(|(name, values)| (name.to_owned(), values)).collect(),
            to_running: self.to_running,
            refusals: self.fates.reasons(),
            answers_refused,
            messages: self.messages.by_name(),
            domains,
            prices: self.prices,
            bytes_per_node: 0,
            partners: plan.partners.clone(),
            faults: self.faults.into_vec(),
        };
        (self.fates.tally(), measures)
    }

    /// Goes on to the bucket of the moment.
    fn go_on(&mut self, now: u64) {
        if now >= self.next && self.at + 1 < MOST {
            self.at = self.bucket_of(now);
            self.next = (self.at as u64 + 1).saturating_mul(self.bucket);
            self.counts.resize(self.at + 1, Counts::default());
        }
    }

    fn bucket_of(&self, at: u64) -> usize {
        usize::try_from(at / self.bucket).unwrap_or(MOST).min(MOST - 1)
    }

    fn sent(&mut self, what: &'static str, bytes: u32) {
        let is_list = self.messages.add(what, bytes);
        let counts = &mut self.counts[self.at];
        counts.messages += 1;
        counts.bytes += u64::from(bytes);
        counts.lists += u64::from(is_list);
    }

    // -- intents ----------------------------------------------------------------------------------------

    fn submitted(&mut self, world: &World, node: NodeNo, arrival: u32, intent: IntentId, taken: bool) {
        let domain = world.plan().nodes.get(node as usize).map_or(0, |node| node.domain);
        if self.fates.came(arrival, intent, Came { at: world.age().0, domain }) {
            self.counts[self.at].came += 1;
            if let Some(domain) = self.domains.get_mut(domain as usize) {
                domain.intents += 1;
            }
        }
        if taken {
            self.at_the_door = Some((node, intent));
        } else {
            self.ended(&intent, Why::Down);
        }
    }

    /// Looks whether the intent that was handed to a mind was turned away.
    fn answered_at_the_door(&mut self, world: &World, node: NodeNo, intent: IntentId, batch: &Batch) {
        self.at_the_door = None;
        let taken = world.managers(node).is_some_and(|it| it.orchestrator.phase(&intent).is_some());
        let refusal = batch.outputs.iter().find_map(|output| match output {
            Output::Respond { result: Err(refusal), .. } => Some(refusal.code()),
            _ => None,
        });
        if let Some(code) = refusal.filter(|_| !taken) {
            self.ended(&intent, Why::Refused(code));
        }
    }

    /// Looks how far an intent has come, of which a mind has kept something.
    fn look_at_intent(&mut self, world: &World, node: NodeNo, intent: &IntentId) {
        if !self.fates.is_open(intent) {
            return;
        }
        let Some(it) = world.managers(node).map(|managers| &managers.orchestrator) else { return };
        let Some((times, reason)) = it.times(intent) else { return };
        if times.running.is_some() {
            if let Some(came) = self.fates.ran(intent) {
                self.count_fate(Fate::Ran, came);
                let took = u32::try_from(world.age().0.saturating_sub(came.at)).unwrap_or(u32::MAX);
                let at = self.bucket_of(came.at);
                into(&mut self.to_running, at, took);
            }
        } else if it.phase(intent) == Some(Phase::Failed) {
            self.ended(intent, Why::of(reason.unwrap_or_default()));
        }
    }

    fn ended(&mut self, intent: &IntentId, why: Why) {
        if let Some((fate, came)) = self.fates.ended(intent, why) {
            self.count_fate(fate, came);
        }
    }

    /// Counts what became of an intent where and when it came.
    fn count_fate(&mut self, fate: Fate, came: Came) {
        let at = self.bucket_of(came.at);
        let counts = &mut self.counts[at];
        match fate {
            Fate::Ran => counts.ran += 1,
            Fate::Refused => counts.refused += 1,
            Fate::Failed => counts.failed += 1,
        }
        if let Some(domain) = self.domains.get_mut(came.domain as usize).filter(|_| fate == Fate::Ran) {
            domain.ran += 1;
        }
    }

    // -- capacity ---------------------------------------------------------------------------------------

    /// Looks at a node's accounts again, which may have changed.
    fn look_at_node(&mut self, world: &World, node: NodeNo) {
        let Some(plan) = world.plan().nodes.get(node as usize) else { return };
        let holding = world.managers(node).map(|it| Holding::of(it, |other| is_abroad(world, plan.domain, other)));
        self.hold(world.age().0, node, plan.domain, holding.unwrap_or_default());
    }

    fn hold(&mut self, now: u64, node: NodeNo, domain: DomainNo, holding: Holding) {
        let Some(before) = self.holdings.get_mut(node as usize) else { return };
        let before = std::mem::replace(before, holding);
        self.base.add(now, holding.base - before.base);
        self.taken.add(now, holding.taken - before.taken);
        self.contracts.add(now, holding.contracts - before.contracts);
        if let Some(domain) = self.domains.get_mut(domain as usize) {
            domain.sold.add(now, holding.sold - before.sold);
            domain.bought.add(now, holding.bought - before.bought);
        }
    }

    /// Notes the price of a virtual node of which a mind has kept something, the first time that it has a contract.
    fn look_at_price(&mut self, world: &World, node: NodeNo, allocation: AllocationId) {
        let Some(managers) = world.managers(node) else { return };
        let found = managers.rear.living().find(|it| it.id == allocation && it.contract.is_some());
        if let Some(price) = found.and_then(holdings::price)
            && self.paid.insert(allocation)
        {
            into(&mut self.prices, self.at, price);
        }
    }

    // -- what a mind has done ---------------------------------------------------------------------------

    fn settled(&mut self, world: &World, node: NodeNo, batch: &Batch) {
        if let Some((_, intent)) = self.at_the_door.filter(|(at, _)| *at == node) {
            self.answered_at_the_door(world, node, intent, batch);
        }
        let mut accounts = false;
        for row in &batch.rows {
            match row.table {
                Table::Intents => {
                    if let Ok(id) = row.key.as_slice().try_into() {
                        self.look_at_intent(world, node, &IntentId(id));
                    }
                }
                Table::Allocations => {
                    accounts = true;
                    let Ok(id) = row.key.as_slice().try_into().map(AllocationId) else { continue };
                    match row.value {
                        Some(_) => self.look_at_price(world, node, id),
                        None => drop(self.paid.remove(&id)),
                    }
                }
                Table::Flavours => accounts = true,
                Table::Starts
                | Table::Ratings
                | Table::Candidates
                | Table::Reservations
                | Table::Contracts
                | Table::Renewals
                | Table::Keys
                | Table::Peerings
                | Table::Workloads
                | Table::Membership
                | Table::Members
                | Table::Tokens
                | Table::Partners => {}
            }
        }
        if accounts {
            self.look_at_node(world, node);
        }
    }
}

impl Observer for Meter {
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Option<Violation> {
        let now = world.age().0;
        self.go_on(now);
        // What is said while nodes find each other for the first time is the price of no intent.
        let begun = world.now() >= world.begun();
        match seen {
            Seen::Sent { what, bytes, .. } if begun => self.sent(what, *bytes),
            Seen::Settled { node, batch, .. } => self.settled(world, *node, batch),
            Seen::Left { output: Output::Reply { reply, .. }, .. } if begun => {
                if let Answer::Refused(refusal) = &reply.answer {
                    *self.answers_refused.entry(refusal.code().name()).or_default() += 1;
                }
            }
            Seen::Submitted { node, arrival, intent, taken } => {
                self.submitted(world, *node, *arrival, *intent, *taken);
            }
            Seen::Deleted { intent, .. } => self.ended(intent, Why::Deleted),
            Seen::Born { node, .. } => {
                self.up.add(now, 1);
                self.look_at_node(world, *node);
            }
            Seen::Died { node } => {
                self.up.add(now, -1);
                self.look_at_node(world, *node);
                self.at_the_door = self.at_the_door.filter(|(at, _)| at != node);
            }
            Seen::Struck(act) => self.faults.add(world, act),
            Seen::Sent { .. }
            | Seen::Coming { .. }
            | Seen::Asked { .. }
            | Seen::Left { .. }
            | Seen::Healed
            | Seen::Over => {}
        }
        None
    }
}

/// So that a world may have it while somebody else waits for what it finds.
impl Observer for Rc<RefCell<Meter>> {
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Option<Violation> {
        self.borrow_mut().see(world, seen)
    }
}

/// Says whether a node is of another domain than this.
fn is_abroad(world: &World, domain: DomainNo, node: &NodeId) -> bool {
    let of = world.index(node).and_then(|at| world.plan().nodes.get(at as usize));
    of.is_some_and(|of| of.domain != domain)
}

/// Puts a value into a bucket, which may not be there yet.
fn into(buckets: &mut Vec<Vec<u32>>, at: usize, value: u32) {
    if at >= buckets.len() {
        buckets.resize(at + 1, Vec::new());
    }
    buckets[at].push(value);
}

#[cfg(test)]
mod tests;
