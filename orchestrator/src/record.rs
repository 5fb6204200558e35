//! What is kept of an intent over a restart: what was promised to its user, and where its replicas are.
//!
//! Requests that were under way are not kept: they are asked anew, and what was asked before lapses.

use kernel::{ContractId, Key, Time};
use rear_proto::{Record, local::Placement};
use serde::{Deserialize, Serialize};

use crate::{
    intent::Intent,
    story::Told,
    view::{Phase, Times},
};

/// An intent, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IntentRecord {
    pub(crate) intent: Intent,
    pub(crate) arrived: Time,
    /// A contract made by hand that it is to run on, as long as it lives.
    pub(crate) contract: Option<ContractId>,
    pub(crate) going: Going,
    pub(crate) reason: Option<String>,
    /// Whether all replicas have run at once.
    pub(crate) ran: bool,
    /// Whether all replicas have had a place at once.
    pub(crate) established: bool,
    pub(crate) times: Times,
    pub(crate) replicas: Vec<ReplicaRecord>,
    pub(crate) leaving: Vec<LeavingRecord>,
    pub(crate) steps: Vec<Told>,
}

/// Where an intent is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Going {
    /// It is to run.
    Live,
    /// It has failed; what it had is given back.
    Failed,
    /// Its user wants it gone; it shows the phase that it was in until it is.
    Deleting {
        /// The phase that it was in.
        was: Phase,
    },
}

/// A replica, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaRecord {
    /// Which attempt to find a place for it is the latest.
    pub(crate) round: u32,
    /// Where it runs, or is to.
    pub(crate) on: Option<Placement>,
}

/// A place that is being given back, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeavingRecord {
    pub(crate) replica: u16,
    pub(crate) origin: Key,
    pub(crate) on: Placement,
}

impl Record for IntentRecord {
    const VERSION: u16 = 1;
}
