//! The settings of the Network Manager.

use serde::{Deserialize, Serialize};

/// What can be set of virtual routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The most streams that one contract may have open at once, both directions together.
    ///
    /// A browser opens six connections to a site and each open connection to a port is one stream, so 64 serves a
    /// few users at a time; it bounds the memory that one contract can take here to a few MiB.
    pub streams_per_contract: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { streams_per_contract: 64 }
    }
}
