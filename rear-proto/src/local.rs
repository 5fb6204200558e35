//! Words that the managers of one node say to each other, and that never travel.
//!
//! They stand here because no manager knows another, and a word with two homes has none.

use kernel::{AllocationId, ContractId, DomainKey, FlavourId, Key, NodeId, Resources, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{
    contract::Mode,
    flavour::{Domain, Epoch, Flavour, Party},
    membership::Role,
    price::{Margin, Rate},
    selector::Selector,
    signed::{Signer, hmac},
};

/// Who a node is, for a manager that signs or that does more at a supernode.
#[derive(Debug, Clone)]
pub struct Me {
    /// The node's key.
    pub signer: Signer,
    /// The domain that it is a member of.
    pub domain: DomainKey,
    /// What it is there.
    pub role: Role,
}

/// Who asks, as the Federation Manager knows it: proven by the connection and by what was shown in HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A member of this node's own domain, in good standing.
    Member(Role),
    /// A supernode of a partner.
    Partner {
        /// Which domain.
        domain: DomainKey,
        /// Whether it may begin anything new.
        on: bool,
    },
    /// A node of some other domain, with a valid description of it, at a catalogue.
    Visitor {
        /// Which domain.
        domain: DomainKey,
    },
    /// Nobody that is known.
    Stranger,
}

/// Where an endpoint belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Realm {
    /// To this node's own domain.
    Own,
    /// To a partner.
    Partner(DomainKey),
    /// It is a catalogue that this node was told to use, of whatever domain.
    Catalogue,
}

/// A partner, as the other managers need to know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partner {
    /// Which domain.
    pub domain: Domain,
    /// What it is called here.
    pub name: String,
    /// Whether it may use what is exposed to it.
    pub on: bool,
    /// Its supernodes, as it describes itself.
    pub supernodes: Vec<NodeId>,
}

/// The secret that a domain's supernodes share; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DomainSecret(pub [u8; 32]);

impl std::fmt::Debug for DomainSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DomainSecret(…)")
    }
}

impl DomainSecret {
    /// Returns another name for a flavour, for one purpose: the same at each of the domain's supernodes and after a
    /// restart, and telling nobody else the name that it has behind the border.
    pub fn rename(&self, purpose: &str, parts: &[&[u8]]) -> FlavourId {
        let mac = hmac(&self.0, purpose, parts);
        let mut id = [0; 16];
        id.copy_from_slice(&mac[..16]);
        FlavourId(id)
    }
}

/// Where a flavour leads that an order names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It is an own flavour, under this id.
    Here(FlavourId),
    /// It is to be had one hop on.
    Onward(Box<Onward>),
}

/// The next hop of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onward {
    /// Whom to reserve with.
    pub seller: Party,
    /// The id that the flavour has there.
    pub flavour: FlavourId,
    /// What is put on the price.
    pub margin: Margin,
    /// Whether the next hop is of another domain.
    pub abroad: bool,
}

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
    /// Whether the consumer is of another domain, which must not learn who this node is.
    pub abroad: bool,
}

/// Where a replica runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placement {
    /// Here, on this local allocation.
    Local(AllocationId),
    /// On the virtual node of this contract.
    Remote(ContractId),
}
