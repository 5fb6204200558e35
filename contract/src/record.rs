//! What is kept over a restart: holds, contracts, renewals and closed keys, each as it is.

use kernel::{Digest, Key, NodeId, Time};
use rear_proto::{Contract, Record, Renewal, Reserved, Signed, flavour::Party, local::Side, message::EndReason};
use serde::{Deserialize, Serialize};

/// The name of an order between two nodes: who placed it, and under which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) buyer: NodeId,
    pub(crate) key: Key,
}

impl Name {
    /// Returns the name as the key of a row.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.buyer.as_bytes(), self.key.as_bytes()].concat()
    }

    /// Reads the key of a row.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (buyer, key) = bytes.split_first_chunk::<32>()?;
        Some(Self { buyer: NodeId(*buyer), key: Key(key.try_into().ok()?) })
    }
}

/// A contract as signed, and how it stands (table `contracts`, under its id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContractRecord {
    /// What both signed; never changes.
    pub(crate) contract: Signed<Contract>,
    /// Which end this node is.
    pub(crate) side: Side,
    /// The other party, and where it was last seen.
    pub(crate) peer: Party,
    /// From when its terms count here: at the buyer since it asked, at the seller since it signed.
    pub(crate) since: Time,
    /// Whether the buyer renews it while it is in use.
    pub(crate) renew: bool,
    /// Whether it was ever active.
    pub(crate) was_active: bool,
    /// How it ended, once it has.
    pub(crate) end: Option<End>,
}

impl Record for ContractRecord {
    const VERSION: u16 = 1;
}

/// How a contract or a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Why.
    pub(crate) reason: EndReason,
    /// When, by this node's clock.
    pub(crate) at: Time,
    /// Whether the other party has still to be told.
    pub(crate) untold: bool,
    /// Whether REAR waits to hear that the other party was told.
    pub(crate) awaited: bool,
}

/// A hold, given or taken (table `reservations`, under its order's name), until it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldRecord {
    /// What the seller signed.
    pub(crate) reserved: Signed<Reserved>,
    /// Which end this node is.
    pub(crate) side: Side,
    /// The other party, and where it was last seen.
    pub(crate) peer: Party,
    /// Whether what comes of it is to be renewed.
    pub(crate) renew: bool,
    /// Until when it can be purchased, by this node's clock.
    pub(crate) lapses: Time,
    /// When it was purchased.
    pub(crate) purchased: Option<Time>,
    /// How it ended unpurchased.
    pub(crate) end: Option<End>,
}

impl Record for HoldRecord {
    const VERSION: u16 = 1;
}

/// A renewal as signed (table `renewals`, under the contract's id and the renewal's number, big-endian).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RenewalRecord {
    pub(crate) renewal: Signed<Renewal>,
}

impl Record for RenewalRecord {
    const VERSION: u16 = 1;
}

/// A key that is closed (table `keys`, under the order's name).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// The order that it was used for.
    pub(crate) order: Digest,
    /// How that ended.
    pub(crate) reason: EndReason,
    /// Until when to remember it.
    pub(crate) until: Time,
}

impl Record for KeyRecord {
    const VERSION: u16 = 1;
}
