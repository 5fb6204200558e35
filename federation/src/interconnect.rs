//! What is between a domain and its partners as operators: zones, who may use them, and who wants to.
//!
//! ```text
//!  provider: zone ──► shared ──┐                       ┌──► granted ──► used (contracts)
//!                              ├── statements, both ───┤
//!  consumer: registers ──► wants the zone              └──► refused, with the reason
//! ```
//! Each side says what it shares and wants, whole, in a `Statement`; the other keeps the last one. What stands is what
//! both statements say together, so after any loss, repetition or restart both sides see the same, and nothing is ever
//! half done. What is said and not yet heard is shown as such: *Registering*, *Unsharing*.
//!
//! Nothing is taken away from under somebody: each verb that would is refused with all that is in its way, in the order in
//! which it has to go.

mod edge;
mod guards;
mod obstacle;

use std::collections::{BTreeMap, BTreeSet};

use kernel::{DomainKey, NodeId};
use rear_proto::operator::{Federator, ZoneId, ZoneInfo};

pub use edge::{Edge, Phase, Role, Taken};
pub use guards::Uses;
pub use obstacle::{Hindrance, Obstacle, Side};

/// What is between this domain and all its partners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interconnect {
    pub(super) federator: Option<Federator>,
    pub(super) zones: BTreeMap<ZoneId, Zone>,
    pub(super) edges: BTreeMap<DomainKey, Edge>,
    /// The least life in which a new edge may begin: later than those that were deleted.
    pub(super) lives: u32,
}

/// A named set of the domain's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// What partners are told of it.
    pub info: ZoneInfo,
    /// Its nodes.
    pub nodes: Nodes,
}

/// Which nodes a zone has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// These.
    Listed(BTreeSet<NodeId>),
    /// All that carry a label, now and later.
    Labelled {
        /// The label's name.
        name: String,
        /// Its value.
        value: String,
    },
}

impl Interconnect {
    /// Returns how this domain describes itself to partners.
    pub const fn federator(&self) -> Option<&Federator> {
        self.federator.as_ref()
    }

    /// Returns the domain's zones.
    pub fn zones(&self) -> impl Iterator<Item = (&ZoneId, &Zone)> {
        self.zones.iter()
    }

    /// Returns what is between this domain and one partner.
    pub fn edge(&self, partner: &DomainKey) -> Option<&Edge> {
        self.edges.get(partner)
    }

    /// Returns the zones that a partner sees the flavours of: shared with it and registered by it.
    pub fn exposed_to(&self, partner: &DomainKey) -> impl Iterator<Item = (&ZoneId, &Zone)> {
        let edge = self.edges.get(partner);
        self.zones.iter().filter(move |(id, _)| edge.is_some_and(|edge| edge.exposes(id)))
    }
}
