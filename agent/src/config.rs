//! The settings of the whole mind: those of each manager, by its name.

use serde::{Deserialize, Serialize};

/// The settings of all managers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Of the orchestrator.
    pub orchestrator: orchestrator::Config,
    /// Of the REAR Manager.
    pub rear: rear::Config,
    /// Of the Discovery Manager.
    pub discovery: discovery::Config,
    /// Of the Contract Manager.
    pub contract: contract::Config,
    /// Of the Network Manager.
    pub network: network::Config,
    /// Of the Virtual Fabric Manager.
    pub vfabric: vfabric::Config,
    /// Of the Federation Manager.
    pub federation: federation::Config,
}
