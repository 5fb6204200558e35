//! Scenarios: what a world is made of, what is wanted of it, what befalls it, and what must hold; read from TOML.
//!
//! The first comment line of a file tells its story. Everything but `[[domains]]` may be left out. What is written
//! here once is spoken by all three rungs: the deterministic world, the real stack in virtual time, real processes.

use kernel::Span;
use rear_proto::price::Margin;
use serde::Deserialize;

mod between;
mod check;
mod faults;
mod load;
mod names;
mod read;
mod written;

pub use between::{Between, Drawn};
pub use check::{MAX_DOMAINS, MAX_INTENTS, MAX_LENGTH, MAX_NODES, MAX_RATE, MAX_STRUCK};
pub use faults::{Fault, Trouble, When, Who};
pub use load::{Load, Pattern, Where};
pub use read::ScenarioError;
pub(crate) use read::hint;

pub(crate) use names::{Made, ROLES, place};

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// Its story in a sentence: the file's first comment line.
    #[serde(skip)]
    pub about: String,
    /// For how long intents come and faults strike.
    pub length: Span,
    /// How long it may take, after all faults have ended and everything was deleted, until nothing is held.
    #[serde(default = "default_quiet")]
    pub quiet: Span,
    /// How nodes sign.
    #[serde(default)]
    pub signing: Signing,
    /// Whether messages become bytes on their way.
    #[serde(default)]
    pub wire: Wire,
    /// The settings of all nodes, beside those that the domains say.
    #[serde(default)]
    pub settings: agent::Config,
    /// The domains, each perhaps several times.
    pub domains: Vec<Domains>,
    /// Who is whose partner.
    #[serde(default)]
    pub partners: Partners,
    /// The lines between nodes.
    #[serde(default)]
    pub links: Links,
    /// The disks of all nodes.
    #[serde(default)]
    pub disks: Disks,
    /// What is wanted, all of it at once.
    #[serde(default)]
    pub load: Vec<Load>,
    /// What befalls the world.
    #[serde(default, deserialize_with = "later")]
    pub faults: Vec<Fault>,
    /// What must hold beside the invariants.
    #[serde(default)]
    pub hold: Hold,
}

/// Faults are read by themselves, when it is known what else there is.
fn later<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Fault>, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| Vec::new())
}

const fn default_quiet() -> Span {
    Span::secs(180)
}

/// How nodes sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signing {
    /// With ed25519 up to 64 nodes, cheaply beyond.
    #[default]
    Auto,
    /// With ed25519, as daemons do.
    Ed25519,
    /// With a mere checksum, which anybody could forge: for large worlds in which nobody does.
    Cheap,
}

/// Whether messages become bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// As bytes up to 64 nodes, as values beyond.
    #[default]
    Auto,
    /// Each is encoded, and decoded and checked at the other end as at a daemon's door.
    Bytes,
    /// Each is handed over as it is; its bytes are counted all the same.
    Values,
}

/// A domain, or several that are made alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Domains {
    /// Its name; where there are several, `-1`, `-2` and so on follow it.
    pub name: String,
    /// How many there are.
    #[serde(default = "one")]
    pub count: u32,
    /// How many supernodes each has; the first is its issuer.
    #[serde(default = "one")]
    pub supernodes: u32,
    /// How many catalogues each has.
    #[serde(default)]
    pub catalogues: u32,
    /// How many ordinary nodes each has.
    pub nodes: u32,
    /// Which share of the ordinary nodes offers something, from 0 to 1.
    #[serde(default = "whole")]
    pub offering: f64,
    /// Which share of the ordinary nodes can only dial out, from 0 to 1.
    #[serde(default)]
    pub dial_out: f64,
    /// How much processor a node that offers has.
    #[serde(default = "default_cpu")]
    pub cpu: Between<kernel::Quantity>,
    /// How much memory a node that offers has.
    #[serde(default = "default_memory")]
    pub memory: Between<kernel::Quantity>,
    /// What the whole of it costs for an hour, in millionths of a euro.
    #[serde(default = "default_price")]
    pub price: Between<u64>,
    /// Whether its supernodes show partners what the domain has.
    #[serde(default = "yes")]
    pub exposes: bool,
    /// Whether they show partners what other partners have.
    #[serde(default)]
    pub resells: bool,
    /// What they put on the price of what crosses the border.
    #[serde(default)]
    pub margin: Margin,
}

const fn one() -> u32 {
    1
}
const fn whole() -> f64 {
    1.0
}
const fn yes() -> bool {
    true
}
fn default_cpu() -> Between<kernel::Quantity> {
    Between::just(kernel::Quantity::units(4))
}
fn default_memory() -> Between<kernel::Quantity> {
    Between::just(kernel::Quantity::units(8 << 30))
}
const fn default_price() -> Between<u64> {
    Between { least: 200_000, most: 600_000 }
}

/// Which domains are partners, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partners {
    /// None.
    #[default]
    None,
    /// Each of each.
    All,
    /// Each of the next, and the last of the first.
    Ring,
    /// Each of so many that are drawn.
    Drawn(u32),
    /// These.
    Pairs(Vec<(String, String)>),
}

/// The lines between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Links {
    /// Between nodes of one domain.
    pub inside: Line,
    /// Between nodes of different domains.
    pub between: Line,
}

/// What a line is like.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Line {
    /// How long a message takes, one way, before its bytes are counted.
    pub latency: Between<Span>,
    /// How many of a thousand messages are lost for good, so that nobody hears of them.
    pub lost: u64,
    /// How many of a thousand come twice.
    pub twice: u64,
    /// How many of a thousand are overtaken by others: they take up to ten times as long.
    pub late: u64,
    /// How many bits a second a node can send; 0 for as many as it likes.
    pub bandwidth: u64,
}

impl Default for Line {
    fn default() -> Self {
        let latency = Between { least: Span::millis(1), most: Span::millis(5) };
        Self { latency, lost: 0, twice: 0, late: 0, bandwidth: 0 }
    }
}

/// Disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Disks {
    /// How long a sync takes.
    pub sync: Between<Span>,
}

impl Default for Disks {
    fn default() -> Self {
        Self { sync: Between { least: Span::millis(1), most: Span::millis(4) } }
    }
}

/// What must hold at the end beside the invariants.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Hold {
    /// The least share of the intents that came to run, from 0 to 1.
    pub running: f64,
    /// Within which time 95 of 100 of those that ran did so; none for any.
    pub within: Option<Span>,
    /// The longest that an intent may be in no stated state: running, refused or failed with a reason; by default
    /// what the deadlines of its settings add up to.
    pub stated_within: Option<Span>,
}

#[cfg(test)]
mod tests;
