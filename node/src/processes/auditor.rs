//! The auditor: holds what the daemons say of themselves against the invariants.
//!
//! It reads no clock and asks nobody: it is shown tables, each with its time, and says what must not be. What may be so for
//! a while only (2, and the half of 4 that says that both parties live or neither) has to stay so over a bound before
//! it is said: the daemons' tables are of slightly different moments, and their leases run.
//!
//! | invariant | held against |
//! |---|---|
//! | 1 | each flavour and what is allocated of it, at one node |
//! | 2 | each active virtual node and the far end of the chain of contracts behind it |
//! | 3 | everything, when all is quiet |
//! | 4 | each contract at both parties |

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Resource, Resources, Span};
use simulations::outcome::Violation;

use super::tables::{Contract, Tables};

/// The most violations that are kept: the first few tell what is wrong.
const MOST: usize = 64;

/// The auditor of a city.
#[derive(Debug)]
pub struct Auditor {
    nodes: Vec<Known>,
    by_id: BTreeMap<String, usize>,
    /// How long what may be so for a while may be so.
    bound: Span,
    /// What every contract was like when it was first seen, and at which node.
    agreed: BTreeMap<String, (usize, Contract)>,
    /// What is so and may not stay so: since when, and whom it concerns.
    apart: BTreeMap<Apart, (u64, BTreeSet<usize>)>,
    violations: Vec<Violation>,
    said: BTreeSet<(String, String)>,
}

/// A node, as the auditor knows it.
#[derive(Debug)]
struct Known {
    name: String,
    id: String,
    /// Its flavours at the beginning, each with its base.
    offered: BTreeMap<String, Resources>,
    /// What it said last; none while it says nothing.
    tables: Option<Tables>,
}

/// Something that may be so for a while only: at which node, with which contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Apart {
    /// A virtual node is active, and nothing is at its far end.
    FarEnd(usize, String),
    /// A contract lives here, and not at the other party.
    OneSided(usize, String),
}

impl Auditor {
    /// Makes one for these nodes, each with its name and its id. `bound` is how long what may be so for a while may be so.
    pub fn new(nodes: impl IntoIterator<Item = (String, String)>, bound: Span) -> Self {
        let nodes: Vec<_> =
            nodes.into_iter().map(|(name, id)| Known { name, id, offered: BTreeMap::new(), tables: None }).collect();
        let by_id = nodes.iter().enumerate().map(|(at, node)| (node.id.clone(), at)).collect();
        Self {
            nodes,
            by_id,
            bound,
            agreed: BTreeMap::new(),
            apart: BTreeMap::new(),
            violations: Vec::new(),
            said: BTreeSet::new(),
        }
    }

    /// Is shown what a node offers before anything has happened.
    pub fn begins(&mut self, node: usize, tables: &Tables) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.offered = tables.flavours.iter().map(|it| (it.id.clone(), it.base)).collect();
        }
    }

    /// Is shown what a node says.
    pub fn see(&mut self, node: usize, tables: Tables, at: Span) {
        self.check_grants(node, &tables, at);
        self.check_agreed(node, &tables, at);
        if let Some(known) = self.nodes.get_mut(node) {
            known.tables = Some(tables);
        }
    }

    /// Is told that a node says nothing: it is down, or stands still.
    pub fn silent(&mut self, node: usize) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.tables = None;
        }
    }

    /// Is told that a node has come to life (again): what is active there needs a lease to become so again.
    pub fn born(&mut self, node: usize) {
        self.silent(node);
        self.apart.retain(|_, (_, nodes)| !nodes.contains(&node));
    }

    /// Says something that others found.
    pub fn found(&mut self, violation: Violation) {
        let key = (violation.what.clone(), violation.detail.clone());
        if self.violations.len() < MOST && self.said.insert(key) {
            self.violations.push(violation);
        }
    }

    /// Returns what was found.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Says whether anything is so that may not stay so, and would be found if it did.
    pub fn is_waiting(&self) -> bool {
        !self.apart.is_empty()
    }

    /// Compares what the nodes say with each other; everybody who says anything has been seen just before.
    pub fn compare(&mut self, at: Span) {
        let apart = self.find_apart();
        self.apart.retain(|what, _| apart.contains_key(what));
        for (what, nodes) in apart {
            let (since, with) = self.apart.entry(what.clone()).or_insert_with(|| (at.0, BTreeSet::new()));
            *with = nodes;
            let since = Span(*since);
            if at.minus(since) > self.bound {
                let (node, number, detail) = match &what {
                    Apart::FarEnd(node, contract) => (
                        *node,
                        2,
                        format!("the virtual node of contract {contract} is active, and nothing at its far end is"),
                    ),
                    Apart::OneSided(node, contract) => {
                        (*node, 4, format!("contract {contract} lives, and at the other party it does not"))
                    }
                };
                self.violate(number, node, at, format!("{detail}, for over {} since {since}", self.bound));
            }
        }
    }

    /// Checks a node that should be quiet: nothing is held, and what it offers is what it was.
    pub fn check_quiet(&mut self, node: usize, tables: &Tables, at: Span) {
        if let Some(held) = tables.held() {
            self.violate(3, node, at, held);
        }
        let Some(known) = self.nodes.get(node) else { return };
        let now: BTreeMap<_, _> = tables.flavours.iter().map(|it| (it.id.clone(), it.base)).collect();
        if now != known.offered {
            let show = |flavours: &BTreeMap<String, Resources>| {
                flavours.iter().map(|(id, base)| format!("{id}: {base}")).collect::<Vec<_>>().join(", ")
            };
            let what = format!("it offers [{}], and offered [{}]", show(&now), show(&known.offered));
            self.violate(3, node, at, what);
        }
    }

    /// 1: what is allocated of a flavour is no more than there is, and what is available no more than the rest.
    fn check_grants(&mut self, node: usize, tables: &Tables, at: Span) {
        if !tables.of_one_moment {
            return;
        }
        for flavour in &tables.flavours {
            let of_it = tables.allocations.iter().filter(|it| it.flavour.as_deref() == Some(&flavour.id));
            // What is released but not yet freed is taken too, and is not told from what is freed: so there may be less
            // available than this, and never more.
            let taken = of_it
                .filter(|it| it.is_live())
                .try_fold(Resources::default(), |sum, it| sum.checked_add(&it.resources));
            let Some(taken) = taken else {
                self.violate(1, node, at, format!("flavour {}: more is taken than can be counted", flavour.id));
                continue;
            };
            for resource in Resource::ALL {
                let (base, taken) = (flavour.base.of(resource), taken.of(resource));
                let available = flavour.available.of(resource);
                if taken > base {
                    self.violate(1, node, at, format!("flavour {}: {resource} {taken} taken of {base}", flavour.id));
                } else if available.checked_add(taken).is_none_or(|sum| sum > base) {
                    let what = format!(
                        "flavour {}: {resource} {available} available of {base}, of which {taken} are taken",
                        flavour.id
                    );
                    self.violate(1, node, at, what);
                }
            }
        }
    }

    /// 4: both parties hold the same of a contract.
    fn check_agreed(&mut self, node: usize, tables: &Tables, at: Span) {
        for contract in &tables.contracts {
            let (first, known) =
                self.agreed.entry(contract.id.clone()).or_insert_with(|| (node, contract.clone())).clone();
            let terms = |it: &Contract| {
                (it.digest.clone(), it.buyer.clone(), it.seller.clone(), it.partition.clone(), it.price.clone())
            };
            if terms(&known) != terms(contract) || known.backed_by != contract.backed_by {
                let other = self.name(first);
                let what = format!(
                    "contract {}: {} here, {} at {other}, or it differs in what it is about",
                    contract.id, contract.digest, known.digest
                );
                self.violate(4, node, at, what);
            }
        }
    }

    /// Finds everything that may be so for a while only.
    fn find_apart(&self) -> BTreeMap<Apart, BTreeSet<usize>> {
        let mut apart = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(tables) = &node.tables else { continue };
            for contract in tables.contracts.iter().filter(|contract| contract.is_live()) {
                let other = self.by_id.get(contract.other(&node.id)).copied();
                let lives = other.and_then(|other| self.contract(other, |it| it.id == contract.id));
                if lives.is_none_or(|it| !it.is_live()) {
                    apart.insert(
                        Apart::OneSided(at, contract.id.clone()),
                        [Some(at), other].into_iter().flatten().collect(),
                    );
                }
            }
            let virtual_nodes =
                tables.allocations.iter().filter(|it| it.kind == "VirtualNode" && it.status == "Active");
            for contract in virtual_nodes.filter_map(|it| it.contract.as_ref()) {
                let mut walked = BTreeSet::from([at]);
                if !self.has_far_end(at, contract, &mut walked) {
                    apart.insert(Apart::FarEnd(at, contract.clone()), walked);
                }
            }
        }
        apart
    }

    /// Follows a chain of contracts from its consumer, and says whether an active allocation of type Node is at its end.
    fn has_far_end(&self, consumer: usize, contract: &str, walked: &mut BTreeSet<usize>) -> bool {
        let Some(mut contract) = self.contract(consumer, |it| it.id == contract) else { return false };
        loop {
            let Some(&seller) = self.by_id.get(&contract.seller) else { return false };
            // Nobody buys what it sells in turn: a chain that comes back has no end.
            if !walked.insert(seller) {
                return false;
            }
            let Some(sold) = self.contract(seller, |it| it.id == contract.id) else { return false };
            match &sold.backed_by {
                Some(digest) => match self.contract(seller, |it| it.digest == *digest) {
                    Some(back) => contract = back,
                    None => return false,
                },
                None => {
                    let tables = self.nodes.get(seller).and_then(|node| node.tables.as_ref());
                    let is_end = |tables: &Tables| {
                        let mut all = tables.allocations.iter();
                        all.any(|it| {
                            it.kind == "Node" && it.status == "Active" && it.contract.as_ref() == Some(&sold.id)
                        })
                    };
                    return tables.is_some_and(is_end);
                }
            }
        }
    }

    fn contract(&self, node: usize, wanted: impl Fn(&Contract) -> bool) -> Option<&Contract> {
        let tables = self.nodes.get(node)?.tables.as_ref()?;
        tables.contracts.iter().find(|it| wanted(it))
    }

    fn name(&self, node: usize) -> String {
        self.nodes.get(node).map(|node| node.name.clone()).unwrap_or_default()
    }

    fn violate(&mut self, number: u8, node: usize, at: Span, detail: String) {
        let node = self.name(node);
        self.found(Violation { what: format!("invariant {number}"), at_ms: at.0, node, detail });
    }
}

#[cfg(test)]
mod tests;
