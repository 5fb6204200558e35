//! Intents: what a user wants run, where, at what price and for how long.

mod check;

use kernel::Span;
use rear_proto::{price::Rate, workload::Workload};
use serde::{Deserialize, Serialize};

pub use check::InvalidIntent;

/// The most workloads of one intent.
pub const MAX_WORKLOADS: usize = 64;
/// The most replicas of one workload.
pub const MAX_REPLICAS: u16 = 64;
/// The most replicas of one intent, all workloads together: each is a contract, and all must be held at once.
pub const MAX_REQUESTS: usize = 256;
/// The most words in each list of a place.
pub const MAX_WORDS: usize = 16;
/// The shortest term: a contract that ends sooner can't be renewed in time.
pub const MIN_TERM: Span = Span::secs(1);
/// The longest term: no seller sells more at once.
pub const MAX_TERM: Span = Span::secs(30 * 86_400);
/// The term where an intent names none.
pub const DEFAULT_TERM: Span = Span::secs(3600);

/// What a user wants run.
///
/// Rows keep it in an encoding that can't skip anything, so every field is always written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// What its user calls it.
    pub name: String,
    /// What to run; at least one.
    pub workloads: Vec<Component>,
    /// Where it may run.
    #[serde(rename = "where")]
    pub place: Place,
    /// The most that each replica may cost; without one, any price will do.
    pub ceiling: Option<Rate>,
    /// For how long contracts are made; they are renewed while the intent lives.
    pub term: Span,
}

/// One workload of an intent, and how many of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// The workload, under the name that the intent gives it.
    pub workload: Workload,
    /// How many of it are to run.
    pub replicas: u16,
}

/// Where an intent may run; what is empty does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// Country, city, or another word for the place.
    pub location: Option<String>,
    /// The longest latency, in milliseconds.
    pub latency_ms: Option<u32>,
    /// In one of these domains, by name or key.
    pub domains: Vec<String>,
    /// In none of these.
    pub not_domains: Vec<String>,
    /// On this architecture, as Kubernetes names it (`amd64`).
    pub architecture: Option<String>,
    /// Where all of these tags are.
    pub tags: Vec<String>,
}

impl Intent {
    /// Returns how many replicas there are in all, each of which becomes a request.
    pub fn requests(&self) -> usize {
        self.workloads.iter().map(|component| usize::from(component.replicas)).sum()
    }
}

impl Component {
    /// Returns the name of a replica, counted from 1: the workload's own where there is only one.
    pub fn replica_name(&self, number: u16) -> String {
        let name = &self.workload.name;
        if self.replicas == 1 { name.clone() } else { format!("{name}-{number}") }
    }

    /// Returns the workload of a replica, under its own name.
    pub fn replica(&self, number: u16) -> Workload {
        Workload { name: self.replica_name(number), ..self.workload.clone() }
    }
}
