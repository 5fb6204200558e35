//! Records: what managers keep over a restart, as rows of named tables, each value with a version marker.
//!
//! A row says how one thing *is*, not what changed: the last row of a key wins, and a row without a value says
//! that there is nothing more to keep.

use serde::{Serialize, de::DeserializeOwned};

use crate::wire::codec;

/// The tables that managers keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// How often the node has started.
    Starts = 0,
    /// Orchestrator: intents.
    Intents = 1,
    /// REAR, Available Resources: own flavours.
    Flavours = 2,
    /// REAR, Available Resources: allocations.
    Allocations = 3,
    /// REAR: Ratings and Metrics.
    Ratings = 4,
    /// Discovery: Peering Candidates.
    Candidates = 5,
    /// Contract: holds, given and taken.
    Reservations = 6,
    /// Contract: contracts, as signed; kept for ever.
    Contracts = 7,
    /// Contract: renewals, as signed; kept for ever.
    Renewals = 8,
    /// Contract: keys that are closed, and how.
    Keys = 9,
    /// Virtual Fabric: peerings.
    Peerings = 10,
    /// Virtual Fabric: workloads.
    Workloads = 11,
    /// Federation: own membership and the domain's lists.
    Membership = 12,
    /// Federation: members known.
    Members = 13,
    /// Federation: join tokens given out.
    Tokens = 14,
    /// Federation: partners, and invitations to become one.
    Partners = 15,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 16] = [
        Self::Starts,
        Self::Intents,
        Self::Flavours,
        Self::Allocations,
        Self::Ratings,
        Self::Candidates,
        Self::Reservations,
        Self::Contracts,
        Self::Renewals,
        Self::Keys,
        Self::Peerings,
        Self::Workloads,
        Self::Membership,
        Self::Members,
        Self::Tokens,
        Self::Partners,
    ];

    /// Returns the table's number in the ledger.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the table of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.number() == number)
    }

    /// Returns the table's name, as the store has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starts => "starts",
            Self::Intents => "intents",
            Self::Flavours => "flavours",
            Self::Allocations => "allocations",
            Self::Ratings => "ratings",
            Self::Candidates => "candidates",
            Self::Reservations => "reservations",
            Self::Contracts => "contracts",
            Self::Renewals => "renewals",
            Self::Keys => "keys",
            Self::Peerings => "peerings",
            Self::Workloads => "workloads",
            Self::Membership => "membership",
            Self::Members => "members",
            Self::Tokens => "tokens",
            Self::Partners => "partners",
        }
    }
}

/// One row to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// In which table.
    pub table: Table,
    /// Under which key.
    pub key: Vec<u8>,
    /// The value, or `None` when there is nothing more to keep.
    pub value: Option<Vec<u8>>,
}

/// A kept value that this program can't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record in table '{table}' can not be read: {why}")]
pub struct DamagedRecord {
    /// In which table.
    pub table: &'static str,
    /// What is wrong.
    pub why: String,
}

/// A value that is kept: it names its version, and reads those before it.
pub trait Record: Serialize + DeserializeOwned {
    /// The version that is written.
    const VERSION: u16;

    /// Reads a value of an older version; a first version has none.
    fn migrate(version: u16, _bytes: &[u8]) -> Result<Self, String> {
        Err(format!("version {version} is not known"))
    }
}

/// Encodes a value with its version marker.
pub fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut bytes = R::VERSION.to_le_bytes().to_vec();
    bytes.extend(codec::encode(record));
    bytes
}

/// Decodes a value of this version or one before it.
///
/// # Errors
/// When the bytes are no such value, or of a later version.
pub fn decode<R: Record>(table: Table, bytes: &[u8]) -> Result<R, DamagedRecord> {
    let damaged = |why: String| DamagedRecord { table: table.name(), why };
    let Some((version, body)) = bytes.split_first_chunk::<2>() else {
        return Err(damaged("it has no version marker".to_owned()));
    };
    match u16::from_le_bytes(*version) {
        version if version == R::VERSION => codec::decode(body).map_err(|error| damaged(error.to_string())),
        version if version > R::VERSION => {
            Err(damaged(format!("it was written by a newer tombolo (version {version})")))
        }
        version => R::migrate(version, body).map_err(damaged),
    }
}

impl Row {
    /// Makes a row that keeps a value.
    pub fn put<R: Record>(table: Table, key: impl Into<Vec<u8>>, record: &R) -> Self {
        Self { table, key: key.into(), value: Some(encode(record)) }
    }

    /// Makes a row that drops what is kept under a key.
    pub fn drop(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into(), value: None }
    }
}
