//! What a caller asks a driver to run, with every limit that holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a module's bytes: its name everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;

    /// Reads sixty-four hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest)?;
        Ok(Self(digest))
    }
}

/// One replica of a workload, as its driver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Names the replica; unique at this node, chosen by the caller, includes the contract.
    pub id: String,
    /// The module, which must be in the [`Cache`](crate::Cache) already.
    pub component: Digest,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment; nothing of the node's own leaks in.
    pub env: BTreeMap<String, String>,
    /// Ports that [`Driver::connect`](crate::Driver::connect) answers, all by the one HTTP handler of the component.
    pub ports: Vec<u16>,
    /// How much it may use.
    pub limits: Limits,
    /// What happens when it ends.
    pub restart: Restart,
    /// What it may reach beyond its own memory.
    pub allow: Allow,
}

/// The partition that a workload runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory for all of its instances together.
    pub memory_bytes: u64,
    /// Processor time in thousandths of one core.
    pub cpu_millis: u64,
    /// Bytes that it may keep in its scratch directory.
    pub storage_bytes: u64,
    /// How long it may live, restarts included; no limit where `None`.
    pub wall: Option<Duration>,
}

/// What happens when a command ends; a service ends only when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// It runs again, whether it succeeded or failed.
    Always,
    /// It runs again when it failed, and is done when it succeeded.
    #[default]
    OnFailure,
    /// It runs once.
    Never,
}

/// What a workload may reach: only what its intent asked for and the provider allows. Nothing, by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    /// Hosts that outgoing HTTP requests may go to: `example.org`, `example.org:8080` or `*.example.org`.
    pub network: Vec<String>,
    /// Whether there is a directory `/scratch`, empty at the start and gone at the end.
    pub scratch: bool,
}
