//! Words that the managers of one node say to each other, and that never travel.
//!
//! They stand here because no manager knows another, and a word with two homes has none.

use kernel::{AllocationId, ContractId, FlavourId, Key, NodeId, Resources, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{
    contract::Mode,
    flavour::{Epoch, Flavour, Party},
    price::Rate,
    selector::Selector,
};

/// What `Find` looks for.
#[derive(Debug, Clone)]
pub enum Pick {
    /// Whatever matches.
    Matching(Selector),
    /// This one, from anybody or from one provider.
    Flavour(FlavourId, Option<NodeId>),
}

/// An offer of somebody else's, as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The offer.
    pub flavour: Flavour,
    /// When it was last heard of.
    pub seen: Time,
    /// From whom.
    pub via: NodeId,
}

/// What to buy, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The order's key.
    pub key: Key,
    /// From whom.
    pub seller: Party,
    /// Which flavour.
    pub flavour: FlavourId,
    /// In which state it was seen.
    pub epoch: Epoch,
    /// Which part.
    pub partition: Resources,
    /// Hold first, or agree at once.
    pub mode: Mode,
    /// For how long.
    pub term: Span,
    /// Whether to renew it before its term ends, for as long as it is in use.
    pub renew: bool,
    /// Within which time it will be used; `None` for the default.
    pub activate_within: Option<Span>,
    /// The most that it may cost.
    pub ceiling: Rate,
}

/// A contract that was bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// The contract.
    pub id: ContractId,
    /// The allocation of type VirtualNode that is to be made, or is there.
    pub allocation: AllocationId,
    /// From whom.
    pub seller: NodeId,
    /// Which part of what.
    pub partition: Resources,
    /// What it costs.
    pub price: Rate,
}

/// How a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A contract with it ran to a good end.
    Kept,
    /// It let a contract down: lost, forgotten, or refused what it had promised.
    Failed,
    /// It answered, whatever it said.
    Answered,
    /// It did not answer in time.
    Silent,
}

/// Which end of a contract a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// It buys.
    Consumer,
    /// It sells.
    Provider,
}

impl Side {
    /// Returns the side's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Provider => "provider",
        }
    }
}

/// A signed contract that the Virtual Fabric asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedContract {
    /// The contract.
    pub id: ContractId,
    /// The allocation of type Node that belongs to it.
    pub allocation: AllocationId,
    /// The customer.
    pub customer: NodeId,
    /// What may be used.
    pub partition: Resources,
}

/// Where a replica runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placement {
    /// Here, on this local allocation.
    Local(AllocationId),
    /// On the virtual node of this contract.
    Remote(ContractId),
}
