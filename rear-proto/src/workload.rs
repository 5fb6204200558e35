//! Workloads as they travel to a provider: what to run, with how much, and what it may touch.

use std::collections::BTreeMap;

use kernel::{Digest, Resources, Span};
use serde::{Deserialize, Serialize};

/// One replica of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// The name that its intent gives it, with the replica's number where there are several (`web`, `web-1`).
    pub name: String,
    /// What to run.
    pub image: Image,
    /// What it may use; within the contract's partition.
    pub resources: Resources,
    /// The ports it serves.
    pub ports: Vec<Port>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// What to do when it ends.
    pub restart: Restart,
    /// The longest that it may run.
    pub wall: Option<Span>,
    /// What it asks to reach outside; the provider must allow it too.
    pub reach: Vec<String>,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Image {
    /// A WebAssembly component, by the digest and size of its bytes.
    Wasm {
        /// SHA-256 of the bytes.
        digest: Digest,
        /// Their number.
        size: u64,
    },
    /// A container image, by reference.
    Oci(String),
}

impl Image {
    /// Returns the name of the driver that runs this.
    pub const fn runtime(&self) -> &'static str {
        match self {
            Self::Wasm { .. } => "wasm",
            Self::Oci(_) => "oci",
        }
    }
}

/// A port that a workload serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name (`http`).
    pub name: String,
    /// Its number.
    pub port: u16,
}

/// What to do when a workload ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restart {
    /// Start it again, whatever the end.
    Always,
    /// Start it again when it failed.
    #[default]
    OnFailure,
    /// Leave it.
    Never,
}

/// How a replica is, as its provider sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly, and not started again.
    Failed {
        /// Why.
        reason: String,
    },
    /// Ended badly, and waiting to be started again.
    BackingOff {
        /// Why.
        reason: String,
        /// For how long.
        delay: Span,
    },
    /// Stopped, as was asked.
    Stopped,
}

/// A line that a workload printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number since the workload was deployed, from 0.
    pub seq: u64,
    /// Whether it went to standard error.
    pub stderr: bool,
    /// The text, without the line's end.
    pub text: String,
}
