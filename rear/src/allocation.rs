//! Allocations: what a contract or a local use does to Available Resources.
//!
//! ```text
//! Inactive ──peered──► Active ──closed──► Released ──its workloads are gone──► freed: the row goes, and the
//!     └───────────────────────────────────────┘                               capacity is back
//! ```
//! One of type Forwarding takes no capacity and has no workloads: it is freed as soon as it is closed.

use kernel::{AllocationId, ContractId, FlavourId, Key, NodeId, Resources};
use rear_proto::{Epoch, Record, price::Rate};
use serde::{Deserialize, Serialize};

/// An allocation, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Its id.
    pub id: AllocationId,
    /// What it is for: its type, with what is particular to it.
    pub role: Role,
    /// How it is.
    pub status: Status,
    /// The contract that it belongs to; none for a hold and for local use.
    pub contract: Option<ContractId>,
    /// How much it is.
    pub resources: Resources,
}

/// The four types of allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// I provide.
    Node {
        /// Of which own flavour.
        flavour: FlavourId,
        /// For whom.
        buyer: NodeId,
        /// At which price.
        price: Rate,
        /// The flavour's epoch after the grant.
        granted: Epoch,
    },
    /// I consume.
    VirtualNode {
        /// The key of the order.
        key: Key,
        /// From whom.
        seller: NodeId,
        /// At which price.
        price: Rate,
        /// The request that it was bought for; none where it was bought by hand.
        origin: Option<Key>,
    },
    /// I relay.
    Forwarding {
        /// For whom.
        buyer: NodeId,
        /// With whom.
        seller: NodeId,
    },
    /// I use it myself.
    Local {
        /// Of which own flavour.
        flavour: FlavourId,
        /// The request that it is for.
        origin: Key,
    },
}

/// How an allocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// Taken, and not yet used.
    Inactive,
    /// In use.
    Active,
    /// Over; on its own flavour it takes capacity until its workloads are gone.
    Released,
}

impl Record for Allocation {
    const VERSION: u16 = 2;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, String> {
        match version {
            1 => v1::read(bytes),
            _ => Err(format!("version {version} is not known")),
        }
    }
}

/// The first version, in which a Forwarding named no seller. None was ever made.
mod v1 {
    use rear_proto::wire::codec;

    use super::{AllocationId, ContractId, Deserialize, Epoch, FlavourId, Key, NodeId, Rate, Resources, Status};

    #[derive(Deserialize)]
    struct Allocation {
        id: AllocationId,
        role: Role,
        status: Status,
        contract: Option<ContractId>,
        resources: Resources,
    }

    #[derive(Deserialize)]
    enum Role {
        Node { flavour: FlavourId, buyer: NodeId, price: Rate, granted: Epoch },
        VirtualNode { key: Key, seller: NodeId, price: Rate, origin: Option<Key> },
        Forwarding { buyer: NodeId },
        Local { flavour: FlavourId, origin: Key },
    }

    pub(super) fn read(bytes: &[u8]) -> Result<super::Allocation, String> {
        let Allocation { id, role, status, contract, resources } =
            codec::decode(bytes).map_err(|error| error.to_string())?;
        let role = match role {
            Role::Node { flavour, buyer, price, granted } => super::Role::Node { flavour, buyer, price, granted },
            Role::VirtualNode { key, seller, price, origin } => super::Role::VirtualNode { key, seller, price, origin },
            Role::Local { flavour, origin } => super::Role::Local { flavour, origin },
            Role::Forwarding { buyer } => {
                return Err(format!("allocation {id} forwards for {buyer}, and does not say with whom"));
            }
        };
        Ok(super::Allocation { id, role, status, contract, resources })
    }
}

impl Role {
    /// Returns the type's name, as JSON has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Node { .. } => "Node",
            Self::VirtualNode { .. } => "VirtualNode",
            Self::Forwarding { .. } => "Forwarding",
            Self::Local { .. } => "Local",
        }
    }

    /// Returns the own flavour that this takes from.
    pub const fn flavour(&self) -> Option<FlavourId> {
        match self {
            Self::Node { flavour, .. } | Self::Local { flavour, .. } => Some(*flavour),
            Self::VirtualNode { .. } | Self::Forwarding { .. } => None,
        }
    }
}

impl Status {
    /// Returns the status's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "Inactive",
            Self::Active => "Active",
            Self::Released => "Released",
        }
    }
}
