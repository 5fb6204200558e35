//! The auditor: sees every event and holds the world against the invariants, each where it can be checked.
//!
//! | invariant | file | when |
//! |---|---|---|
//! | 1 no grant exceeds what was free; 9 no query visits a node twice | here | after each event that touched it |
//! | save, then speak; one order under a key, one promise over an order | `promises.rs` | when it is decided, or leaves |
//! | a full disk promises nothing; what is promised lasts as long, unless nobody uses it | `promises.rs` | the same |
//! | 2, 4 both parties agree, or both end within a lease | `parties.rs` | on contracts touched, and each second on those that live |
//! | 5 what crosses a border is for those eyes | `borders.rs` | when it leaves |
//! | whoever is left out of a question because of its digest has nothing that fits | `digests.rs` | when a member asks its supernode |
//! | the plain arithmetic of who holds what | `model.rs` | on allocations touched, and each second |
//! | every intent ends in a stated state, and none is forgotten | `liveness.rs` | when it changes, after a crash, when its time is over |
//! | 7 all members know who was removed, and have ended all that they had with him | `removals.rs` | when they hear of it, and each second |
//! | 3 nothing is held; 4 both or neither; a mind knows what its disk knows | `quiet.rs` | at the end |
//!
//! Invariant 10, the same seed gives the same run, is held by running twice. Invariant 8, repeating changes nothing, is
//! held by lines that repeat; invariant 6 and the rest of 7
//! wait for zones and votes.

mod borders;
mod digests;
mod liveness;
mod model;
mod parties;
mod promises;
mod quiet;
mod recent;
mod removals;

use std::collections::BTreeMap;

use agent::{
    Batch, Managers, Output,
    invariants::{Grants, Queries},
};
use kernel::{FlavourId, NodeId, QueryId, Span, Ticket, Time};
use rear::Book;
use rear_proto::{Answer, Request, Table};

use self::{
    borders::Borders, digests::Digests, liveness::Liveness, model::Model, parties::Parties, promises::Promises,
    recent::Turns, removals::Removals,
};
use crate::{
    observe::{Observer, Seen},
    outcome::Violation,
    plan::NodeNo,
    scenario::Scenario,
    world::World,
};

/// How often what time alone changes is looked at.
const SWEEP: Span = Span::secs(1);

/// What is wrong: which invariant, where, and what.
#[derive(Debug)]
struct Wrong {
    what: &'static str,
    node: Option<NodeNo>,
    detail: String,
}

type Checked = Result<(), Wrong>;

/// Makes something wrong with a node.
fn wrong(what: &'static str, node: NodeNo, detail: impl Into<String>) -> Checked {
    Err(Wrong { what, node: Some(node), detail: detail.into() })
}

/// The auditor.
#[derive(Debug)]
pub struct Auditor {
    nodes: Vec<Seller>,
    promises: Promises,
    parties: Parties,
    borders: Borders,
    model: Model,
    liveness: Liveness,
    removals: Removals,
    digests: Digests,
    next_sweep: Time,
    turns: Turns,
}

/// What is checked of one node by itself.
#[derive(Debug, Default)]
struct Seller {
    grants: Grants,
    queries: Queries,
    /// Which query each of its tickets is about, and whose.
    listing: BTreeMap<Ticket, (QueryId, NodeId)>,
    /// How the account of each flavour stood at its epoch.
    books: BTreeMap<FlavourId, Book>,
}

impl Seller {
    /// A flavour that has changed has another epoch: others keep the newest, and would not hear of the change.
    fn check_epochs(&mut self, node: NodeNo, managers: &Managers) -> Checked {
        for book in managers.rear.books() {
            let before = self.books.insert(book.flavour, book.clone());
            if before.is_some_and(|before| before.epoch == book.epoch && before != book) {
                let detail = format!("flavour {} has changed, and is still at epoch {}", book.flavour, book.epoch);
                return wrong("epoch", node, detail);
            }
        }
        Ok(())
    }
}

impl Auditor {
    /// Makes an auditor for a run of a scenario with so many nodes.
    pub fn new(scenario: &Scenario, nodes: usize) -> Self {
        Self {
            nodes: std::iter::repeat_with(Seller::default).take(nodes).collect(),
            promises: Promises::default(),
            parties: Parties::default(),
            borders: Borders::default(),
            model: Model::new(nodes),
            liveness: Liveness::new(scenario),
            removals: Removals::default(),
            digests: Digests::new(scenario),
            next_sweep: Time::default(),
            turns: Turns::default(),
        }
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Checked {
        match seen {
            Seen::Settled { node, batch, .. } => self.settled(world, *node, batch)?,
            Seen::Asked { node, from, ticket, request } => {
                if let Request::List(list) = request {
                    self.nodes[*node as usize].listing.insert(*ticket, (list.query, world.id(*from)));
                    self.digests.asked(world, *node, *from, list)?;
                }
                self.promises.asked(*node, *from, *ticket, request)?;
                self.borders.asked(*node, *from, *ticket, world);
            }
            Seen::Left { node, output } => {
                self.answers(*node, output)?;
                self.promises.left(world, *node, output)?;
                self.borders.left(world, *node, output)?;
            }
            Seen::Submitted { node, intent, taken, .. } => {
                if *taken {
                    self.liveness.submitted(world, *node, *intent);
                }
            }
            Seen::Deleted { node, intent } => self.liveness.deleted(world, *node, *intent),
            Seen::Born { node, .. } => {
                self.parties.reborn(world, *node);
                self.borders.born(world, *node);
                self.model.born(world, *node);
                self.digests.born(world, *node);
                self.liveness.born(world, *node)?;
            }
            Seen::Died { node } => {
                self.nodes[*node as usize] = Seller::default();
                self.promises.died(*node);
                self.parties.died(*node);
                self.borders.died(*node);
                self.liveness.died(*node);
            }
            Seen::Struck(act) => {
                self.promises.struck(act);
                self.parties.struck(world, act);
                self.removals.struck(world, act);
                self.digests.struck(world, act);
            }
            Seen::Over => {
                self.removals.check_quiet(world)?;
                return quiet::check(world, &self.parties, &self.model);
            }
            Seen::Coming { .. } | Seen::Sent { .. } | Seen::Healed => {}
        }
        if self.turns.due(world.now()) {
            self.nodes.iter_mut().for_each(|node| node.queries.turn());
            self.promises.turn(world.now());
            self.parties.turn();
        }
        if world.now() >= self.next_sweep {
            self.next_sweep = world.now() + SWEEP;
            self.promises.sweep(world)?;
            self.parties.sweep(world)?;
            self.model.sweep(world)?;
            self.liveness.sweep(world)?;
            self.removals.sweep(world)?;
        }
        Ok(())
    }

    /// After an event: on the node that it came to, on what it touched.
    fn settled(&mut self, world: &World, node: NodeNo, batch: &Batch) -> Checked {
        self.promises.decided(world, node, batch)?;
        self.liveness.settled(world, node, batch)?;
        self.removals.settled(world, node, batch)?;
        let touched = |wanted: &[Table]| batch.rows.iter().any(|row| wanted.contains(&row.table));
        let Some(managers) = world.managers(node) else { return Ok(()) };
        if touched(&[Table::Allocations, Table::Flavours]) {
            if let Err(violation) = self.nodes[node as usize].grants.check(managers) {
                return wrong("invariant 1", node, violation.what);
            }
            self.nodes[node as usize].check_epochs(node, managers)?;
            self.digests.settled(world, node);
            // What runs has its capacity until it is gone.
            for instance in world.instances(node) {
                if !managers.rear.living().any(|allocation| allocation.id == instance.allocation) {
                    return wrong("invariant 1", node, format!("{instance} runs, and its capacity is given back"));
                }
            }
        }
        self.parties.stirred(node);
        if touched(&[Table::Contracts, Table::Renewals]) {
            self.parties.touched(world, node, batch)?;
            self.promises.touched(world, node, batch)?;
        }
        self.model.settled(world, node, batch)
    }

    /// No query visits a node twice.
    fn answers(&mut self, node: NodeNo, output: &Output) -> Checked {
        let Output::Reply { ticket, reply } = output else { return Ok(()) };
        let it = &mut self.nodes[node as usize];
        let Some((query, asker)) = it.listing.remove(ticket) else { return Ok(()) };
        if !matches!(reply.answer, Answer::Flavours(_) | Answer::Published(_)) {
            return Ok(());
        }
        it.queries.answer(query, asker).or_else(|violation| wrong("invariant 9", node, violation.what))
    }
}

impl Observer for Auditor {
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Option<Violation> {
        let Wrong { what, node, detail } = self.check(world, seen).err()?;
        Some(world.violation(what, node, detail))
    }
}
