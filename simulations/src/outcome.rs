//! What became of a run.

use std::collections::BTreeMap;

use kernel::Span;
use serde::Serialize;

/// What became of a run: the fields that others rely on, and the measures behind the report.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How many nodes there were.
    pub nodes: u32,
    /// How long it took in the world, in seconds.
    pub virtual_s: f64,
    /// How long it took here, in seconds, which another run of the same seed need not repeat.
    pub wall_s: f64,
    /// How many events the minds took in, wakes among them.
    pub events: u64,
    /// A digest of all that happened: the same for the same scenario and seed.
    pub trace_hash: String,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What became of the intents.
    pub intents: Tally,
    /// What was measured.
    #[serde(skip)]
    pub measures: Measures,
}

/// Something that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Which invariant, such as `invariant 1`, `liveness`, `reference model`, or a name of what the scenario says must hold.
    pub what: String,
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
    /// At which node, by its name; empty where it is not one's.
    pub node: String,
    /// What is wrong, and with which.
    pub detail: String,
}

/// How many intents came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many came.
    pub total: u64,
    /// How many ran at some time.
    pub running: u64,
    /// How many were refused at the door, or never ran for want of somebody who would take them.
    pub refused: u64,
    /// How many failed for another reason, or ended without having run.
    pub failed: u64,
}

/// What was measured in a run, for its report.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// How long each bucket of a series is.
    pub bucket: Span,
    /// Figures by time: for each name one value a bucket.
    pub series: BTreeMap<String, Vec<f64>>,
    /// Times to running, in milliseconds, by the bucket in which the intent came.
    pub to_running: Vec<Vec<u32>>,
    /// For how long intents came and faults struck.
    pub length: Span,
    /// Why intents never ran: those that were refused by the refusal's name, and those that failed.
    pub refusals: BTreeMap<String, u64>,
    /// Refusals that nodes answered each other with, by name.
    pub answers_refused: BTreeMap<String, u64>,
    /// Messages sent, by name: how many, and their bytes.
    pub messages: BTreeMap<String, (u64, u64)>,
    /// Of each domain: capacity-seconds sold and bought, intents that came and that ran.
    pub domains: Vec<DomainMeasures>,
    /// Prices paid for each contract, in millionths of a euro for a core and an hour, by the bucket in which it was agreed.
    pub prices: Vec<Vec<u32>>,
    /// By how many bytes for each node the process had grown when it was largest: minds, disks, lines, auditor and all.
    /// 0 where that was not measured: of short runs, and where several run at once. Like `wall_s`, no other run repeats it.
    pub bytes_per_node: u64,
    /// Which domains are partners, by their place in `domains`.
    pub partners: Vec<(u32, u32)>,
    /// What befell the world, by time; of very many the first alone.
    pub faults: Vec<FaultMeasures>,
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultMeasures {
    /// Its kind, as scenarios name it.
    pub kind: &'static str,
    /// When it struck.
    pub at: Span,
    /// For how long it lasted; nothing where it is over at once.
    pub lasts: Span,
    /// How many nodes it struck.
    pub nodes: u32,
    /// The first of them, by name.
    pub node: String,
}

/// What was measured of a domain.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainMeasures {
    /// Its name.
    pub name: String,
    /// How many nodes it has.
    pub nodes: u32,
    /// Core-seconds that others had of it.
    pub sold: f64,
    /// Core-seconds that it had of others.
    pub bought: f64,
    /// How many intents came.
    pub intents: u64,
    /// How many of them ran.
    pub ran: u64,
}
