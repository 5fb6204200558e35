//! What is kept over a restart: holds, contracts, renewals and closed keys, each as it is.

use std::ops::RangeInclusive;

use kernel::{ContractId, Digest, Key, NodeId, Time};
use rear_proto::{
    Contract, Record, Renewal, Reserved, Signed, flavour::Party, local::Side, message::EndReason, price::Margin,
    wire::codec,
};
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

    /// Returns the range of all orders of one buyer.
    pub(crate) const fn all_of(buyer: NodeId) -> RangeInclusive<Self> {
        Self { buyer, key: Key([0; 16]) }..=Self { buyer, key: Key([0xff; 16]) }
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
    /// Whether the far end of its channel is of another domain.
    pub(crate) abroad: bool,
    /// At a relay: which contract it is joined with.
    pub(crate) link: Option<Link<ContractId>>,
}

impl Record for ContractRecord {
    const VERSION: u16 = 2;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, String> {
        let before: before::ContractRecord = before::read(version, bytes)?;
        let before::ContractRecord { contract, side, peer, since, renew, was_active, end } = before;
        Ok(Self { contract, side, peer, since, renew, was_active, end, abroad: false, link: None })
    }
}

/// That a contract or a hold is one of two that a relay joins: what it sold, and what it bought for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link<T> {
    /// The other one.
    pub(crate) other: T,
    /// What the relay puts on the price.
    pub(crate) margin: Margin,
    /// Whether the one who has bought is of another domain.
    pub(crate) leaves: bool,
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
    /// Whether the far end of the channel to come is of another domain.
    pub(crate) abroad: bool,
    /// At a relay: which hold it is joined with.
    pub(crate) link: Option<Link<Name>>,
}

impl Record for HoldRecord {
    const VERSION: u16 = 2;

    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, String> {
        let before: before::HoldRecord = before::read(version, bytes)?;
        let before::HoldRecord { reserved, side, peer, renew, lapses, purchased, end } = before;
        Ok(Self { reserved, side, peer, renew, lapses, purchased, end, abroad: false, link: None })
    }
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

/// The records of version 1, in which nothing was relayed.
mod before {
    use serde::de::DeserializeOwned;

    use super::{Contract, Deserialize, End, Party, Reserved, Serialize, Side, Signed, Time, codec};

    /// Reads a record of version 1.
    pub(super) fn read<R: DeserializeOwned>(version: u16, bytes: &[u8]) -> Result<R, String> {
        if version != 1 {
            return Err(format!("version {version} is not known"));
        }
        codec::decode(bytes).map_err(|error| error.to_string())
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct ContractRecord {
        pub(super) contract: Signed<Contract>,
        pub(super) side: Side,
        pub(super) peer: Party,
        pub(super) since: Time,
        pub(super) renew: bool,
        pub(super) was_active: bool,
        pub(super) end: Option<End>,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct HoldRecord {
        pub(super) reserved: Signed<Reserved>,
        pub(super) side: Side,
        pub(super) peer: Party,
        pub(super) renew: bool,
        pub(super) lapses: Time,
        pub(super) purchased: Option<Time>,
        pub(super) end: Option<End>,
    }
}
