//! The configuration: one TOML file, every setting commented, an unknown key refused with its place.

mod text;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use kernel::Span;
use rear::offer::Offer;
use rear_proto::membership::Role;
use serde::{Deserialize, Serialize};

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// What this node is for its domain.
    pub role: Role,
    /// Multiaddresses to listen on for other nodes.
    pub listen: Vec<String>,
    /// Whether others are told where this node can be reached.
    pub announce: bool,
    /// Multiaddresses of nodes to find the domain by.
    pub bootstrap: Vec<String>,
    /// Whether to look for nodes on the local network.
    pub mdns: bool,
    /// Where the local API listens; port 0 lets the system choose.
    pub api: SocketAddr,
    /// The address at which workloads' ports are made reachable on this machine.
    pub expose: IpAddr,
    /// What this node offers.
    pub offer: Vec<Offer>,
    /// The connections to other nodes.
    pub transport: Transport,
    /// The disk.
    pub storage: Storage,
    /// What workloads may use and reach.
    pub runtime: Runtime,
    /// The orchestrator.
    pub orchestrator: orchestrator::Config,
    /// The REAR Manager.
    pub rear: rear::Config,
    /// The Discovery Manager.
    pub discovery: discovery::Config,
    /// The Contract Manager.
    pub contract: contract::Config,
    /// The Network Manager.
    pub network: network::Config,
    /// The Virtual Fabric Manager.
    pub vfabric: vfabric::Config,
    /// The Federation Manager.
    pub federation: federation::Config,
}

/// Settings of the connections to other nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Transport {
    /// How long a connection rests between one ping and the next.
    pub ping_every: Span,
    /// How many pings in a row must fail before a connection is closed.
    pub ping_failures: u32,
    /// The longest pause between two tries to reach a node again.
    pub redial_most: Span,
    /// Connections in all.
    pub max_connections: u32,
}

/// Settings of the disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Storage {
    /// Free space below which nothing more is promised; it leaves room to record releases.
    pub floor_mib: u64,
}

/// Settings of the runtime.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Runtime {
    /// The largest component taken in.
    pub max_module_mib: u64,
    /// Space for all components that are kept.
    pub modules_mib: u64,
    /// Hosts that workloads may send requests to, where they ask for it.
    pub reach: Vec<String>,
    /// Whether workloads may have a scratch directory.
    pub scratch: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::Node,
            listen: vec!["/ip4/0.0.0.0/udp/0/quic-v1".to_owned(), "/ip4/0.0.0.0/tcp/0".to_owned()],
            announce: true,
            bootstrap: Vec::new(),
            mdns: true,
            api: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            expose: IpAddr::V4(Ipv4Addr::LOCALHOST),
            offer: Vec::new(),
            transport: Transport::default(),
            storage: Storage::default(),
            runtime: Runtime::default(),
            orchestrator: orchestrator::Config::default(),
            rear: rear::Config::default(),
            discovery: discovery::Config::default(),
            contract: contract::Config::default(),
            network: network::Config::default(),
            vfabric: vfabric::Config::default(),
            federation: federation::Config::default(),
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        // Three pings of ten seconds: a dead node is noticed in half a minute, well within a lease of sixty.
        Self { ping_every: Span::secs(10), ping_failures: 3, redial_most: Span::secs(30), max_connections: 1024 }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { floor_mib: 64 }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self { max_module_mib: 64, modules_mib: 1024, reach: Vec::new(), scratch: false }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can not read the configuration {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no configuration.
    #[error("{path}, line {line}: {what}")]
    Text {
        /// Which file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong, and with which key.
        what: String,
    },
    /// A value can't be used.
    #[error("{path}: {what}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and with which key.
        what: String,
    },
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it can't be read, has an unknown key or a value that is none, with the line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config = Self::parse(&text).map_err(|error| ConfigError::Text {
            path: path.to_owned(),
            line: error
                .span()
                .map_or(1, |span| 1 + text.bytes().take(span.start).filter(|&byte| byte == b'\n').count()),
            what: one_line(error.message()),
        })?;
        config.check().map_err(|what| ConfigError::Value { path: path.to_owned(), what })?;
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Checks what types can't.
    fn check(&self) -> Result<(), String> {
        for offer in &self.offer {
            offer.check().map_err(|error| format!("in [[offer]]: {error}"))?;
        }
        let name = |section: &str, name: &str, also: &str| {
            let is_name = name == also || rear_proto::door::partner_name(name).is_ok();
            let wrong = || format!("{section}: '{name}' is neither \"{also}\" nor what a partner can be called");
            if is_name { Ok(()) } else { Err(wrong()) }
        };
        for rule in &self.discovery.expose {
            rule.partners.iter().try_for_each(|partner| name("discovery.expose", partner, "*"))?;
        }
        self.discovery.subscribe.iter().try_for_each(|wish| name("discovery.subscribe", &wish.to, "catalogues"))?;
        if self.transport.ping_failures < 2 {
            return Err("transport.ping-failures: at least 2 pings must fail before a connection is closed".to_owned());
        }
        Ok(())
    }

    /// Returns the settings of the mind.
    pub fn agent(&self) -> agent::Config {
        agent::Config {
            orchestrator: self.orchestrator.clone(),
            rear: rear::Config { offers: self.offer.clone(), ..self.rear.clone() },
            discovery: self.discovery.clone(),
            contract: self.contract.clone(),
            network: self.network.clone(),
            vfabric: self.vfabric.clone(),
            federation: self.federation.clone(),
        }
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
