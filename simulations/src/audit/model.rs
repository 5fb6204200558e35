//! The reference model: the plain arithmetic of who holds what, kept beside the system and fed by its promises alone.
//!
//! Of each flavour, what its node has taken is at least what it has promised and not ended, and at most that with what
//! has ended lately and what runs there for itself.

use std::collections::{BTreeMap, BTreeSet};

use agent::{Batch, Managers, Output};
use kernel::{ContractId, FlavourId, Key, NodeId, Resource, Resources, Span, Time};
use rear_proto::{Answer, Table};

use super::{Checked, wrong};
use crate::{plan::NodeNo, world::World};

/// How long after its end something may still be taken: a grace, what a driver may take to say that it is gone, and a
/// wait for a clock that is off.
const ENDED_WITHIN: Span = Span::secs(100);

/// How long after its time to purchase a hold may still be there.
const LAPSED_WITHIN: Span = Span::secs(3);

/// What every node has promised of its own.
#[derive(Debug)]
pub(super) struct Model {
    nodes: Vec<BTreeMap<(NodeId, Key), Promise>>,
    /// Nodes of which something has changed since the last sweep, or will by time alone: the others need not be looked at.
    stirred: BTreeSet<NodeNo>,
    /// When what has ended at a node is forgotten, by the world's time.
    lapsing: BTreeSet<(Time, NodeNo)>,
}

/// A promise of a part of a flavour.
#[derive(Debug)]
struct Promise {
    flavour: FlavourId,
    part: Resources,
    /// The contract; none while it is a hold.
    contract: Option<ContractId>,
    /// Until when it stands by itself, by its node's clock.
    until: Time,
    /// When it ended, by the world's time.
    ended: Option<Time>,
}

impl Model {
    pub(super) fn new(nodes: usize) -> Self {
        let nodes = std::iter::repeat_with(BTreeMap::new).take(nodes).collect();
        Self { nodes, stirred: BTreeSet::new(), lapsing: BTreeSet::new() }
    }

    /// A node has come to life: what it decided and had not synced was never promised.
    pub(super) fn born(&mut self, world: &World, node: NodeNo) {
        let disk = world.disk(node);
        self.stirred.insert(node);
        self.nodes[node as usize].retain(|(buyer, key), promise| match promise.contract {
            Some(contract) => disk.has(Table::Contracts, &contract.0),
            None => disk.has(Table::Reservations, &[buyer.as_bytes(), key.as_bytes()].concat()),
        });
    }

    /// Takes in what a node has decided, and holds what it has taken against what it has promised.
    pub(super) fn settled(&mut self, world: &World, node: NodeNo, batch: &Batch) -> Checked {
        for output in &batch.outputs {
            if let Output::Reply { reply, .. } = output {
                self.promised(world, node, &reply.answer);
            }
        }
        let touched = |table| batch.rows.iter().any(|row| row.table == table);
        if touched(Table::Flavours) {
            self.stirred.insert(node);
        }
        if touched(Table::Contracts) || touched(Table::Allocations) || touched(Table::Reservations) {
            self.stirred.insert(node);
            self.end(world, node);
            return self.check(world, node);
        }
        Ok(())
    }

    fn promised(&mut self, world: &World, node: NodeNo, answer: &Answer) {
        let now = world.clock(node);
        let (order, contract, until) = match answer {
            Answer::Contract(signed) => {
                let Some(contract) = signed.claimed().filter(|contract| contract.backed_by.is_none()) else { return };
                (contract.order.claimed(), Some(ContractId::from(signed.digest())), Time::MAX)
            }
            Answer::Reserved(signed) => {
                let Some(reserved) = signed.claimed() else { return };
                (reserved.order.claimed(), None, reserved.at + reserved.purchase_within)
            }
            _ => return,
        };
        let Some(order) = order.filter(|order| order.seller == world.id(node)) else { return };
        let own = world.managers(node).is_some_and(|it| it.rear.books().any(|book| book.flavour == order.flavour));
        // A repeat of an answer that was given long ago promises nothing anew.
        if own && until > now {
            self.stirred.insert(node);
            let promise = Promise { flavour: order.flavour, part: order.partition, contract, until, ended: None };
            let before = self.nodes[node as usize].insert((order.buyer, order.key), promise);
            let ended = before.filter(|before| before.contract == contract).and_then(|before| before.ended);
            if let Some(promise) = self.nodes[node as usize].get_mut(&(order.buyer, order.key)) {
                promise.ended = ended;
            }
        }
    }

    /// Takes note of what has ended.
    fn end(&mut self, world: &World, node: NodeNo) {
        let Some(managers) = world.managers(node) else { return };
        let (now, clock) = (world.now(), world.clock(node));
        for ((buyer, key), promise) in &mut self.nodes[node as usize] {
            if promise.ended.is_none() && !stands(managers, buyer, key, promise, clock) {
                promise.ended = Some(now);
                self.lapsing.insert((now + ENDED_WITHIN, node));
            }
        }
        self.nodes[node as usize].retain(|_, it| it.ended.is_none_or(|ended| now.since(ended) <= ENDED_WITHIN));
    }

    fn check(&self, world: &World, node: NodeNo) -> Checked {
        let Some(managers) = world.managers(node) else { return Ok(()) };
        let promises = &self.nodes[node as usize];
        for book in managers.rear.books() {
            let of_it = |it: &&Promise| it.flavour == book.flavour;
            let sum = |parts: &mut dyn Iterator<Item = Resources>, resource: Resource| {
                parts.map(|part| part.of(resource).nanos()).sum::<u128>()
            };
            for resource in Resource::ALL {
                let taken = book.taken.of(resource).nanos();
                let lives = promises.values().filter(of_it).filter(|it| it.ended.is_none()).map(|it| it.part);
                let least = sum(&mut { lives }, resource);
                let ended = promises.values().filter(of_it).filter(|it| it.ended.is_some()).map(|it| it.part);
                let here = managers
                    .rear
                    .living()
                    .filter(|it| it.contract.is_none() && it.role.flavour() == Some(book.flavour));
                let here = here.filter(|it| matches!(it.role, rear::Role::Local { .. })).map(|it| it.resources);
                let most = least + sum(&mut { ended }, resource) + sum(&mut { here }, resource);
                if taken < least || taken > most {
                    let detail = format!(
                        "of flavour {} {resource} {} is taken; by what was promised it is {least} to {most} billionths",
                        book.flavour,
                        book.taken.of(resource),
                    );
                    return wrong("reference model", node, detail);
                }
            }
        }
        Ok(())
    }

    /// What time alone ends.
    pub(super) fn sweep(&mut self, world: &World) -> Checked {
        while let Some(&at) = self.lapsing.first().filter(|(at, _)| *at < world.now()) {
            self.lapsing.remove(&at);
            self.stirred.insert(at.1);
        }
        for node in std::mem::take(&mut self.stirred) {
            if !self.nodes[node as usize].is_empty() && world.managers(node).is_some() {
                self.end(world, node);
                self.check(world, node)?;
                self.check_holds(world, node)?;
            }
            // Of a hold it is time that says when it ought to be over.
            if self.nodes[node as usize].values().any(|it| it.contract.is_none() && it.ended.is_none()) {
                self.stirred.insert(node);
            }
        }
        Ok(())
    }

    /// A hold that nobody has purchased in time is over, unless the node's clock has jumped lately.
    fn check_holds(&self, world: &World, node: NodeNo) -> Checked {
        let (now, config) = (world.clock(node), &world.plan().domains[world.domain(node) as usize].config.contract);
        if now.since(world.jumped(node)) <= config.lease.times(2) {
            return Ok(());
        }
        let is_over = |promise: &&Promise| promise.ended.is_none() && now.since(promise.until) > LAPSED_WITHIN;
        match self.nodes[node as usize].values().find(is_over) {
            None => Ok(()),
            Some(promise) => wrong("holds", node, format!("it still holds {} of {}", promise.part, promise.flavour)),
        }
    }

    /// When all is quiet, nobody has promised anything that stands.
    pub(super) fn check_quiet(&self, world: &World) -> Checked {
        for node in 0..world.count() {
            let standing = self.nodes[node as usize].values().find(|it| it.ended.is_none());
            if let Some(promise) = standing.filter(|_| world.managers(node).is_some()) {
                return wrong(
                    "reference model",
                    node,
                    format!("{} is still promised of {}", promise.part, promise.flavour),
                );
            }
        }
        Ok(())
    }
}

/// Says whether a promise stands.
fn stands(managers: &Managers, buyer: &NodeId, key: &Key, promise: &Promise, clock: Time) -> bool {
    match promise.contract {
        Some(contract) => managers.contract.contract(&contract).is_some_and(|it| it.state.is_live()),
        None => {
            let mut holds = managers.contract.reservations(clock);
            holds.any(|it| it.buyer == *buyer && it.id == *key && it.state == contract::ReservationState::Held)
        }
    }
}
