//! What must hold at every moment, checked after each event on the node that it came to, and between nodes whenever
//! time passes.

use std::collections::{BTreeMap, BTreeSet};

use agent::{Managers, Output, invariants};
use kernel::{ContractId, Digest, Key, NodeId, Resource, Span, Ticket, Time, Wake};
use rear_proto::{Answer, Request, Table, local::Side};

use super::World;

/// How much longer than a lease two parties may disagree: what is on its way, and a sync.
const SLACK: Span = Span::secs(2);
/// After how many batches a node's memory is held against its disk.
const MEMORY_EVERY: u64 = 16;
/// So many wakes at one moment are a mind that keeps itself busy.
const MOST_WAKES: u32 = 1000;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What was signed over each order.
    signed: BTreeMap<(NodeId, Key), Digest>,
    held: BTreeMap<(NodeId, Key), Digest>,
    renewed: BTreeMap<(Digest, u32), Digest>,
    /// Since when something that takes two is there at one node only, by that node's clock.
    apart: BTreeMap<(usize, ContractId, Apart), Time>,
    /// What was decided to be promised, said or not.
    decided: BTreeSet<Digest>,
    batches: u64,
    wakes: (Time, u32),
    /// How often each kind of thing was seen, so that a test can say that it was not idle.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

/// What it takes two for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Apart {
    /// A contract lives.
    Lives,
    /// The buyer's allocation is active.
    Active,
    /// The consumer's allocation is active, and nothing is at the far end.
    FarEnd,
}

impl Watch {
    /// A clock has jumped: its node may take a lease more.
    pub(crate) fn jumped(&mut self, node: usize) {
        self.apart.retain(|(at, ..), _| *at != node);
    }

    /// A node has come to life: it gives everybody a fresh lease, and is given one.
    pub(crate) fn reborn(&mut self, _node: usize) {
        self.apart.clear();
    }
}

impl World {
    /// After an event: on the node that it came to.
    pub(super) fn watch_node(&mut self, index: usize) {
        let mut grants = std::mem::take(&mut self.nodes[index].grants);
        let node = &self.nodes[index];
        let Some(agent) = &node.agent else { return };
        let managers = agent.managers();
        if let Err(violation) = grants.check(managers) {
            self.fail(format!("node {index}: {violation}"));
        }
        // No base shrinks in these worlds, so nothing is ever oversold, not even by a former life.
        for book in managers.rear.books() {
            if let Some(over) = Resource::ALL.into_iter().find(|it| book.taken.of(*it) > book.base.of(*it)) {
                self.fail(format!("node {index}: of {over} {} is taken of {}", book.taken, book.base));
            }
        }
        let living: BTreeSet<_> = managers.rear.living().map(|allocation| allocation.id).collect();
        if let Some(instance) = node.instances.iter().find(|instance| !living.contains(&instance.allocation)) {
            self.fail(format!("node {index}: {instance:?} runs, and its capacity is given back"));
        }
        self.nodes[index].grants = grants;
    }

    /// Now and then: whatever a node remembers must be what it would remember after a crash.
    pub(super) fn watch_memory(&mut self, index: usize) {
        self.watch.batches += 1;
        if self.watch.batches.is_multiple_of(MEMORY_EVERY) {
            self.check_memory(index);
        }
    }

    /// Holds a node's memory against what is on its disk, or on the way there.
    pub(super) fn check_memory(&self, index: usize) {
        let node = &self.nodes[index];
        let Some(agent) = &node.agent else { return };
        let reborn = node.remember(&node.disk.all(), 0);
        let (knows, keeps) = (kept(agent.managers(), self.now), kept(reborn.managers(), self.now));
        if let Some(lost) = knows.difference(&keeps).next() {
            self.fail(format!("node {index} would forget: {lost}"));
        }
        if let Some(invented) = keeps.difference(&knows).next() {
            self.fail(format!("node {index} would remember what is not so: {invented}"));
        }
        let all = node.disk.all();
        for contract in agent.managers().contract.contracts() {
            let of_it =
                |(table, key): &&(Table, Vec<u8>)| *table == Table::Renewals && key.starts_with(contract.id.as_bytes());
            let kept = all.keys().filter(of_it).count();
            if kept != contract.renewals {
                let renewals = contract.renewals;
                self.fail(format!("node {index} would know of {kept} renewals of {}, not {renewals}", contract.id));
            }
        }
    }

    /// What is decided: on a full disk nothing is promised anew.
    pub(super) fn watch_promises(&mut self, index: usize, outputs: &[Output]) {
        for output in outputs {
            let Output::Reply { reply, .. } = output else { continue };
            let digest = match &reply.answer {
                Answer::Contract(signed) => signed.digest(),
                Answer::Reserved(signed) => signed.digest(),
                Answer::Renewed(signed) => signed.digest(),
                _ => continue,
            };
            if self.watch.decided.insert(digest) && self.nodes[index].full {
                self.fail(format!("node {index} promises on a full disk: {:?}", reply.answer));
            }
        }
    }

    /// What leaves a node: over one order there is one hold and one contract, and of each renewal one.
    pub(super) fn watch_output(&mut self, index: usize, output: &Output) {
        let Output::Reply { ticket, reply } = output else { return };
        self.watch_list(index, *ticket, &reply.answer);
        let is_kept = |table, key: Vec<u8>| self.nodes[index].disk.rows.contains_key(&(table, key));
        let name = |order: &rear_proto::Order| [order.buyer.as_bytes(), order.key.as_bytes()].concat();
        let kept = match &reply.answer {
            Answer::Contract(signed) => is_kept(Table::Contracts, ContractId::from(signed.digest()).0.to_vec()),
            Answer::Reserved(signed) => {
                let order = signed.claimed().unwrap().order.claimed().unwrap();
                // A repeat may be answered when the hold is forgotten already.
                is_kept(Table::Reservations, name(order)) || self.watch.held.contains_key(&(order.buyer, order.key))
            }
            Answer::Renewed(signed) => {
                let ask = signed.claimed().unwrap().ask.claimed().unwrap();
                let contract = ContractId::from(ask.contract);
                is_kept(Table::Renewals, [contract.as_bytes(), &ask.n.to_be_bytes()].concat())
            }
            Answer::Released => self.is_over(index, *ticket),
            _ => true,
        };
        if !kept {
            self.fail(format!("node {index} says what is not on its disk: {:?}", reply.answer));
        }
        let before = match &reply.answer {
            Answer::Contract(signed) => {
                let contract = signed.claimed().unwrap();
                let order = contract.order.claimed().unwrap();
                if contract.price.within(&order.ceiling) != Some(true) {
                    self.fail(format!(
                        "node {index} sells at {}, over the ceiling of {}",
                        contract.price, order.ceiling
                    ));
                }
                self.watch.count("contracts");
                (self.watch.signed.insert((order.buyer, order.key), signed.digest()), signed.digest())
            }
            Answer::Reserved(signed) => {
                let order = signed.claimed().unwrap().order.claimed().unwrap();
                self.watch.count("holds");
                (self.watch.held.insert((order.buyer, order.key), signed.digest()), signed.digest())
            }
            Answer::Renewed(signed) => {
                let ask = signed.claimed().unwrap().ask.claimed().unwrap();
                self.watch.count("renewals");
                (self.watch.renewed.insert((ask.contract, ask.n), signed.digest()), signed.digest())
            }
            Answer::Refused(refusal) => return self.watch.count(refusal.code().name()),
            _ => return,
        };
        match before {
            (Some(before), now) if before != now => {
                self.fail(format!("node {index} promises twice over one order: {:?}", reply.answer));
            }
            _ => {}
        }
    }

    /// Says whether what a RELEASE was about is over, as the disk has it, and its capacity is back or long waited for.
    fn is_over(&self, index: usize, ticket: Ticket) -> bool {
        let node = &self.nodes[index];
        let Some(&(name, from, asked)) = node.releases.get(&ticket) else { return true };
        let reborn = node.remember(&node.disk.rows, 0);
        let mut contracts = reborn.managers().contract.contracts();
        let is_party = |it: &contract::ContractView| it.buyer == from || it.seller == from;
        let lives = contracts.any(|it| (it.buyer, it.key) == name && is_party(&it) && it.state.is_live());
        let managers = node.agent.as_ref().map(agent::Agent::managers);
        let mut sold = managers.into_iter().flat_map(|managers| managers.contract.contracts());
        let contract = sold.find(|it| (it.buyer, it.key) == name && it.role == Side::Provider).map(|it| it.id);
        let mut living = managers.into_iter().flat_map(|managers| managers.rear.living());
        let taken = contract.is_some() && living.any(|it| it.contract == contract);
        !lives && (!taken || self.now.since(asked) >= node.config.contract.capacity_back_within)
    }

    /// A question for a list has come to a node.
    pub(super) fn watch_query(&mut self, index: usize, ticket: Ticket, from: &NodeId, request: &Request) {
        if let Request::List(list) = request {
            self.nodes[index].listing.insert(ticket, (list.query, *from));
        }
    }

    /// No query visits a node twice.
    fn watch_list(&mut self, index: usize, ticket: Ticket, answer: &Answer) {
        let Some((query, asker)) = self.nodes[index].listing.remove(&ticket) else { return };
        if !matches!(answer, Answer::Flavours(_) | Answer::Published(_)) {
            return;
        }
        self.lists.push(index);
        if let Err(violation) = self.nodes[index].queries.answer(query, asker) {
            self.fail(format!("node {index}: {violation}"));
        }
    }

    /// Counts what was seen.
    pub(super) fn count(&mut self, what: &'static str) {
        self.watch.count(what);
    }

    /// Between nodes: both parties have the same bytes, and what takes two is not with one alone for over a lease.
    pub(super) fn check_parties(&mut self) {
        // With one whose word is worth nothing nobody can agree.
        let up: Vec<_> = self.up().into_iter().filter(|node| self.liar != Some(*node)).collect();
        let managers: Vec<_> = up.iter().map(|node| self.nodes[*node].agent.as_ref().unwrap().managers()).collect();
        if let Err(violation) = invariants::check_agreement(&managers) {
            self.fail(violation);
        }
        let mut apart = BTreeSet::new();
        for (place, node) in up.iter().enumerate() {
            for contract in managers[place].contract.contracts().filter(|contract| contract.state.is_live()) {
                let other = if contract.role == Side::Consumer { contract.seller } else { contract.buyer };
                let Some(other) = up.iter().position(|node| self.nodes[*node].id == other) else { continue };
                // A seller's term is over by its own clock, unless that has jumped a lease ago or less.
                let clock = &self.nodes[*node].clock;
                let (now, lease) = (clock.shows(self.now), self.nodes[*node].config.contract.lease);
                let overdue = contract.role == Side::Provider && now > contract.end + SLACK;
                if overdue && now.since(clock.jumped) > lease.plus(SLACK) {
                    self.fail(format!("node {node}: contract {} lives beyond its end", contract.id));
                }
                let theirs = managers[other].contract.contract(&contract.id);
                if !theirs.is_some_and(|theirs| theirs.state.is_live()) {
                    apart.insert((*node, contract.id, Apart::Lives));
                }
                let active = |managers: &Managers| {
                    let mut living = managers.rear.living();
                    living.any(|it| it.contract == Some(contract.id) && it.status == rear::Status::Active)
                };
                if contract.role == Side::Consumer && active(managers[place]) && !active(managers[other]) {
                    apart.insert((*node, contract.id, Apart::Active));
                }
            }
        }
        for contract in invariants::without_far_end(&managers) {
            let consumer = managers
                .iter()
                .position(|it| it.contract.contract(&contract).is_some_and(|contract| contract.role == Side::Consumer));
            apart.extend(consumer.map(|place| (up[place], contract, Apart::FarEnd)));
        }
        self.watch.apart.retain(|what, _| apart.contains(what));
        for (node, contract, kind) in apart {
            let now = self.nodes[node].clock.tell(self.now);
            let since = *self.watch.apart.entry((node, contract, kind)).or_insert(now);
            let lease = self.nodes[node].config.contract.lease;
            // A provider that was reborn waits a lease to be active again, and then its buyer one to hear of that.
            let most = if kind == Apart::Lives { lease } else { lease.times(2) }.plus(SLACK);
            if now.since(since) > most {
                self.fail(format!("node {node} alone has contract {contract} ({kind:?}) for over {most}"));
            }
        }
    }

    /// A mind that wakes again and again without any time passing would keep a processor busy.
    pub(super) fn watch_wakes(&mut self, node: usize, now: Time, why: Option<Wake>) {
        let (at, count) = &mut self.watch.wakes;
        *count = if *at == self.now { *count + 1 } else { 0 };
        *at = self.now;
        if *count > MOST_WAKES {
            self.fail(format!("node {node} wakes again and again at {now:?}: {why:?}"));
        }
    }

    /// Returns how often each kind of promise and refusal was said.
    pub(crate) fn seen(&self) -> &BTreeMap<&'static str, u64> {
        &self.watch.seen
    }
}

impl Watch {
    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
}

/// Returns what a node must not forget, each in a line.
fn kept(managers: &Managers, now: Time) -> BTreeSet<String> {
    let contracts = managers.contract.contracts().map(|it| {
        let end = it.reason.map_or("lives", rear_proto::message::EndReason::name);
        format!("contract {} of {:?} {end}", it.id, it.role)
    });
    let holds = managers.contract.reservations(now).map(|it| format!("hold {} {}", it.id, it.state.name()));
    let allocations = managers.rear.living().map(|it| {
        // That a virtual node is being released is not kept: its contract's end, or its intent's, is.
        let own = it.role.flavour().is_some();
        let over = own && it.status == rear::Status::Released;
        format!("allocation {} {:?} {:?} {} over: {over}", it.id, it.role, it.contract, it.resources)
    });
    let books = managers.rear.books().map(|it| format!("flavour {} {} taken {}", it.flavour, it.base, it.taken));
    // Of what is being deleted only the places are kept, and their contracts stand above.
    let stays = |it: &orchestrator::IntentView| {
        it.phase != orchestrator::Phase::Deleted && it.reason.as_deref() != Some("it is being deleted")
    };
    let intents = managers.orchestrator.intents().filter(stays).map(|it| {
        let places: Vec<_> = it.workloads.iter().map(|workload| workload.contract).collect();
        format!("intent {} failed: {} on {places:?}", it.id, it.phase == orchestrator::Phase::Failed)
    });
    let members = managers.federation.members().map(|it| format!("member {}", it.node));
    contracts.chain(holds).chain(allocations).chain(books).chain(intents).chain(members).collect()
}
