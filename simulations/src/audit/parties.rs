//! Both parties of a contract hold the same bytes; and what takes two is not with one alone for over a lease.

use std::collections::{BTreeMap, BTreeSet};

use agent::{Batch, Managers, invariants};
use contract::ContractView;
use kernel::{ContractId, Digest, Key, NodeId, Span, Time};
use rear_proto::{Table, local::Side};

use super::{Checked, recent::Recent, wrong};
use crate::{
    plan::{Act, NodeNo},
    world::World,
};

/// How much longer than a lease two parties may disagree: what is on its way, and a sync.
const SLACK: Span = Span::secs(3);

/// The contracts of the world.
#[derive(Debug, Default)]
pub(super) struct Parties {
    /// What was agreed over each order, and who had it first.
    agreed: Recent<(NodeId, Key), (Digest, NodeNo)>,
    /// Contracts that live at somebody, and who has them.
    live: BTreeMap<ContractId, BTreeSet<NodeNo>>,
    /// The parties of contracts that live at somebody, and which those are.
    of: BTreeMap<NodeNo, BTreeSet<ContractId>>,
    /// When the term of each contract that lives at its seller is over, by its clock.
    ends: BTreeSet<(Time, ContractId, NodeNo)>,
    /// Parties at which something has happened since the last sweep: of the others, nothing need be looked at again.
    stirred: BTreeSet<NodeNo>,
    /// Since when something that takes two is there at one node only, by the world's time.
    apart: BTreeMap<(NodeNo, ContractId, Apart), Time>,
    /// What each contract backs, at its relay.
    fronts: Recent<Digest, ContractId>,
    /// Nodes of which nothing is said: they lie, or forgot.
    outlaws: BTreeSet<NodeNo>,
    /// Whether a clock was ever off.
    clocks_off: bool,
}

/// What it takes two for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Apart {
    /// A contract lives.
    Lives,
    /// The buyer's allocation is active.
    Active,
}

impl Parties {
    /// A node has come to life: it gives everybody a fresh lease, and is given one.
    pub(super) fn reborn(&mut self, world: &World, node: NodeNo) {
        // What it had signed and not synced lives nowhere.
        let lives = |id: &ContractId| {
            let contract = world.managers(node).and_then(|managers| managers.contract.contract(id));
            contract.is_some_and(|contract| contract.state.is_live())
        };
        // Nor was that ever agreed, unless its buyer has heard of it all the same.
        let has = |at: NodeNo, id: &ContractId| {
            world.managers(at).is_some_and(|managers| managers.contract.contract(id).is_some())
        };
        self.agreed.retain(|(buyer, _), (digest, first)| {
            let id = ContractId::from(*digest);
            *first != node || has(node, &id) || world.index(buyer).is_some_and(|buyer| has(buyer, &id))
        });
        self.live.retain(|id, parties| {
            if parties.contains(&node) && !lives(id) {
                parties.remove(&node);
            }
            !parties.is_empty()
        });
        self.stirred.insert(node);
        let its = self.of.get(&node).into_iter().flatten();
        let its = its.filter_map(|id| world.managers(node).and_then(|managers| managers.contract.contract(id)));
        self.ends.extend(its.filter(|it| it.role == Side::Provider).map(|it| (it.end, it.id, node)));
        let has = |contract: &ContractId| self.live.get(contract).is_some_and(|parties| parties.contains(&node));
        self.apart.retain(|(at, contract, _), _| *at != node && !has(contract));
    }

    /// Forgets what ended long ago.
    pub(super) fn turn(&mut self) {
        let lives = |digest: &Digest| self.live.contains_key(&ContractId::from(*digest));
        self.agreed.turn(|_, (digest, _)| lives(digest));
        self.fronts.turn(|back, _| lives(back));
    }

    /// A node is down: what it was party to ends at the other within a lease.
    pub(super) fn died(&mut self, node: NodeNo) {
        self.stirred.insert(node);
        self.apart.retain(|(at, ..), _| *at != node);
    }

    pub(super) fn struck(&mut self, world: &World, act: &Act) {
        match act {
            Act::Lie { node, .. } | Act::LostDisk { node, .. } => {
                self.outlaws.insert(*node);
                self.stirred.extend(self.of.keys());
            }
            // A clock that is off counts another lease.
            Act::Skew { .. } => {
                self.apart.clear();
                self.stirred.extend(self.of.keys());
                self.clocks_off = true;
            }
            _ => {}
        }
        debug_assert!(self.outlaws.iter().all(|node| *node < world.count()));
    }

    /// Something has happened at a node.
    pub(super) fn stirred(&mut self, node: NodeNo) {
        if self.of.contains_key(&node) {
            self.stirred.insert(node);
        }
    }

    /// Contracts were kept or changed at a node.
    pub(super) fn touched(&mut self, world: &World, node: NodeNo, batch: &Batch) -> Checked {
        let Some(managers) = world.managers(node) else { return Ok(()) };
        for row in batch.rows.iter().filter(|row| matches!(row.table, Table::Contracts | Table::Renewals)) {
            let Some(id) = row.key.first_chunk().copied().map(ContractId) else { continue };
            let Some(contract) = managers.contract.contract(&id) else {
                self.gone(id, node);
                continue;
            };
            if !self.outlaws.contains(&node) {
                let (digest, _) = *self.agreed.or_insert((contract.buyer, contract.key), (contract.digest, node));
                if digest != contract.digest && !self.is_outlaw(world, &contract) {
                    let detail =
                        format!("order {}: one contract is {digest}, another {}", contract.key, contract.digest);
                    return wrong("invariant 4", node, detail);
                }
            }
            if contract.state.is_live() {
                self.live.entry(id).or_default().insert(node);
                let both = [&contract.buyer, &contract.seller].map(|party| world.index(party));
                for party in both.into_iter().flatten().chain([node]) {
                    self.of.entry(party).or_default().insert(id);
                    self.stirred.insert(party);
                }
                if contract.role == Side::Provider {
                    self.ends.insert((contract.end, id, node));
                }
            } else {
                self.gone(id, node);
            }
            if !self.is_outlaw(world, &contract) {
                self.check_joined(node, managers, &contract)?;
            }
        }
        Ok(())
    }

    /// What a relay has sold and what backs that live and end together, and what it sold ends first.
    fn check_joined(&mut self, node: NodeNo, managers: &Managers, contract: &ContractView) -> Checked {
        let front = match (contract.role, contract.backed_by) {
            (Side::Provider, Some(back)) => {
                self.fronts.insert(back, contract.id);
                Some(contract.clone())
            }
            (Side::Provider, None) => None,
            (Side::Consumer, _) => {
                self.fronts.get(&contract.digest).and_then(|front| managers.contract.contract(front))
            }
        };
        let Some(front) = front else { return Ok(()) };
        let back = front.backed_by.and_then(|back| managers.contract.contract(&back.into()));
        let lives = back.as_ref().is_some_and(|back| back.state.is_live());
        if front.state.is_live() != lives && (lives || front.state.is_live()) {
            let (ended, left) = if lives { ("it sold", "what backs that") } else { ("backs what it sold", "that") };
            return wrong(
                "invariant 4",
                node,
                format!("what {ended} has ended, and {left} lives: contract {}", front.id),
            );
        }
        // The two ends are by two clocks.
        let outlasts = back.is_some_and(|back| back.end < front.end);
        if lives && outlasts && !self.clocks_off {
            return wrong("nesting", node, format!("contract {} ends after what it rests on", front.id));
        }
        Ok(())
    }

    fn gone(&mut self, id: ContractId, node: NodeNo) {
        if let Some(parties) = self.live.get_mut(&id) {
            parties.remove(&node);
            if parties.is_empty() {
                self.live.remove(&id);
            }
        }
        self.apart.retain(|(_, contract, _), _| *contract != id);
    }

    fn is_outlaw(&self, world: &World, contract: &ContractView) -> bool {
        let of = |id: &NodeId| world.index(id).is_none_or(|node| self.outlaws.contains(&node));
        of(&contract.buyer) || of(&contract.seller)
    }

    /// Looks at all contracts that live and at whose parties something has happened, and at what time alone ends.
    pub(super) fn sweep(&mut self, world: &World) -> Checked {
        let mut looked = BTreeSet::new();
        for node in std::mem::take(&mut self.stirred) {
            let Some(of_it) = self.of.get_mut(&node) else { continue };
            of_it.retain(|id| self.live.contains_key(id));
            looked.extend(of_it.iter().copied());
            if of_it.is_empty() {
                self.of.remove(&node);
            }
        }
        let mut apart = BTreeSet::new();
        for id in &looked {
            self.look(world, id, &mut apart);
        }
        self.apart.retain(|what, _| !looked.contains(&what.1) || apart.contains(what));
        for what in apart {
            self.apart.entry(what).or_insert(world.now());
        }
        for (&(node, contract, kind), &since) in &self.apart {
            let lease = world.plan().domains[world.domain(node) as usize].config.contract.lease;
            // A provider that was reborn waits a lease to be active again, and then its buyer one to hear of that.
            let most = if kind == Apart::Lives { lease.plus(lease.divided(3)) } else { lease.times(2) }.plus(SLACK);
            if world.now().since(since) > most {
                let number = if kind == Apart::Lives { "invariant 4" } else { "invariant 2" };
                return wrong(number, node, format!("it alone has contract {contract} ({kind:?}) for over {most}"));
            }
        }
        self.check_terms(world)
    }

    /// Finds out what of a contract is there at one of its parties only.
    fn look(&self, world: &World, id: &ContractId, apart: &mut BTreeSet<(NodeNo, ContractId, Apart)>) {
        for &node in self.live.get(id).into_iter().flatten() {
            let Some(managers) = world.managers(node) else { continue };
            let Some(contract) = managers.contract.contract(id).filter(|it| it.state.is_live()) else { continue };
            if self.is_outlaw(world, &contract) {
                continue;
            }
            let other = if contract.role == Side::Consumer { contract.seller } else { contract.buyer };
            let theirs = world.index(&other).and_then(|other| world.managers(other));
            let Some(theirs) = theirs else {
                apart.insert((node, *id, Apart::Lives));
                continue;
            };
            if !theirs.contract.contract(id).is_some_and(|it| it.state.is_live()) {
                apart.insert((node, *id, Apart::Lives));
            }
            if contract.role == Side::Consumer && is_active(managers, id) && !is_active(theirs, id) {
                apart.insert((node, *id, Apart::Active));
            }
        }
    }

    /// Looks at the contracts whose terms may be over.
    fn check_terms(&mut self, world: &World) -> Checked {
        let mut due: Vec<(Time, ContractId, NodeNo)> = Vec::new();
        // A clock that was never off shows the world's time.
        due.extend(self.ends.iter().take_while(|(end, ..)| self.clocks_off || *end + SLACK < world.now()));
        for at @ (end, id, node) in due {
            let contract = world.managers(node).and_then(|managers| Some((managers, managers.contract.contract(&id)?)));
            match contract.filter(|(_, contract)| contract.state.is_live()) {
                // Who is down comes back with it, or without.
                None if world.managers(node).is_none() && self.live.contains_key(&id) => {}
                Some((managers, contract)) if contract.end == end => {
                    if !self.is_outlaw(world, &contract) {
                        self.check_term(world, node, managers, &contract)?;
                    }
                }
                None | Some(_) => {
                    self.ends.remove(&at);
                }
            }
        }
        Ok(())
    }

    /// A seller's term is over by its own clock, unless that has jumped lately.
    fn check_term(&self, world: &World, node: NodeNo, managers: &Managers, contract: &ContractView) -> Checked {
        let (now, lease) = (world.clock(node), world.plan().domains[world.domain(node) as usize].config.contract.lease);
        let overdue = contract.role == Side::Provider && now > contract.end + SLACK;
        if overdue && now.since(world.jumped(node)) > lease.times(2).plus(SLACK) && managers.contract.unsettled() == 0 {
            return wrong("term", node, format!("contract {} lives beyond its end", contract.id));
        }
        Ok(())
    }

    /// When all is quiet, of each contract both parties live, or neither.
    pub(super) fn check_quiet(&self, world: &World) -> Checked {
        let up: Vec<&Managers> = (0..world.count()).filter_map(|node| world.managers(node)).collect();
        if self.outlaws.is_empty()
            && let Err(violation) = invariants::check_both_or_neither(&up)
        {
            return Err(super::Wrong { what: "invariant 4", node: None, detail: violation.what });
        }
        Ok(())
    }
}

fn is_active(managers: &Managers, contract: &ContractId) -> bool {
    managers.rear.living().any(|it| it.contract == Some(*contract) && it.status == rear::Status::Active)
}
