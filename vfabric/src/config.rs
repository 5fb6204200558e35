//! The settings of the Virtual Fabric Manager.

use kernel::Span;
use serde::{Deserialize, Serialize};

/// What can be set of peerings and workloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The drivers that this node has, by name; only what they run is taken in.
    pub runtimes: Vec<String>,
    /// The time in which a peering must open; it is then reported as failed.
    ///
    /// A contract that no peering opens lapses after *activate within*, 10 s; to try for longer is of no use.
    pub open_within: Span,
    /// How often the provider of an open peering is asked whether it still knows of it.
    ///
    /// A provider behind a relay restarts unseen: its allocation is then inactive and has one lease, 60 s, to become
    /// active again. A third of that, as for a keepalive, leaves room for two that are lost.
    pub check_every: Span,
    /// The time in which the far end must answer, before the question is asked again.
    ///
    /// An answer that promises waits for a disk, which takes 10 ms, or a second on a very busy one.
    pub answer_within: Span,
    /// The time that sending a component may take: 64 MiB over a line of 2 Mbit/s.
    pub ship_within: Span,
    /// How long to wait before the first repeat of a question; doubled for each further one, and varied by a quarter.
    pub first_retry: Span,
    /// The longest wait between two repeats, which go on for as long as the contract lives.
    pub longest_retry: Span,
    /// How long a workload may take to end by itself before it is killed: what a web server needs to finish requests.
    pub grace: Span,
    /// After which time a workload that should be gone and is not becomes an error for the operator to see.
    pub stuck_after: Span,
    /// How many replicas one contract may run at once, where its partition names no number of pods.
    pub workloads_per_contract: u32,
    /// How many questions about logs one contract may have waiting at once: a person or two who follow each replica.
    pub followers_per_contract: u32,
    /// How long a question about logs may wait for a line; longer is cut to this.
    pub longest_wait: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            runtimes: vec!["wasm".to_owned()],
            open_within: Span::secs(10),
            check_every: Span::secs(20),
            answer_within: Span::secs(5),
            ship_within: Span::secs(300),
            first_retry: Span::millis(250),
            longest_retry: Span::secs(15),
            grace: Span::secs(10),
            stuck_after: Span::secs(60),
            workloads_per_contract: 32,
            followers_per_contract: 16,
            longest_wait: Span::secs(30),
        }
    }
}
