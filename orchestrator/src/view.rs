//! Intents as tables, the API and the demo show them.

use std::fmt;

use kernel::{ContractId, IntentId, NodeId, Span};
use rear_proto::{Deed, StepManager, price::Rate};
use serde::{Deserialize, Serialize};

/// How far an intent has come: as far as the replica that is furthest behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It was taken in, and room is looked for here.
    Pending,
    /// Room is looked for elsewhere.
    Discovering,
    /// Room was found, and is being agreed on.
    Reserving,
    /// It is agreed, and the peering is set up.
    Peering,
    /// There is room, and what is to run is being started.
    Deploying,
    /// Everything runs, or has ended well.
    Running,
    /// It could not be run; everything is given back.
    Failed,
    /// It is gone.
    Deleted,
}

impl Phase {
    /// Returns the phase's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Discovering => "Discovering",
            Self::Reserving => "Reserving",
            Self::Peering => "Peering",
            Self::Deploying => "Deploying",
            Self::Running => "Running",
            Self::Failed => "Failed",
            Self::Deleted => "Deleted",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An intent, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntentView {
    /// Its id.
    pub id: IntentId,
    /// What its user calls it.
    pub name: String,
    /// How far it has come.
    pub phase: Phase,
    /// Why it is there, where that needs a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The story that it is: 0 where everything runs here, 1 where something was found at another node of the domain, 2
    /// where a supernode of the domain was asked, 3 where it is beyond the domain's border, 4 where a catalogue led to it.
    pub story: u8,
    /// Its replicas.
    pub workloads: Vec<WorkloadView>,
    /// When each phase was over.
    pub times: Times,
    /// What was done for it, in order of time.
    pub steps: Vec<StepView>,
}

/// A replica, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadView {
    /// Its name.
    pub name: String,
    /// The node that it runs on, once there is one.
    pub node: Option<NodeId>,
    /// How it is: a word.
    pub status: String,
    /// Why it is so, where its provider gives a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The contract that it runs under, where it runs elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractId>,
    /// What that costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Rate>,
    /// Where its ports are reached.
    pub endpoints: Vec<Endpoint>,
}

/// Where a port is reached on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The port's name.
    pub name: String,
    /// Its address here (`http://127.0.0.1:4711/`).
    pub url: String,
}

/// When each phase of an intent was over the first time, since it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "TimesForm", into = "TimesForm")]
pub struct Times {
    /// Something suitable was found for every replica.
    pub discovered: Option<Span>,
    /// Every contract was signed.
    pub reserved: Option<Span>,
    /// Every peering was set up.
    pub peered: Option<Span>,
    /// Everything ran.
    pub running: Option<Span>,
}

/// The times as JSON has them, in milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimesForm {
    discovered_ms: Option<u64>,
    reserved_ms: Option<u64>,
    peered_ms: Option<u64>,
    running_ms: Option<u64>,
}

impl From<TimesForm> for Times {
    fn from(form: TimesForm) -> Self {
        Self {
            discovered: form.discovered_ms.map(Span),
            reserved: form.reserved_ms.map(Span),
            peered: form.peered_ms.map(Span),
            running: form.running_ms.map(Span),
        }
    }
}

impl From<Times> for TimesForm {
    fn from(times: Times) -> Self {
        Self {
            discovered_ms: times.discovered.map(|span| span.0),
            reserved_ms: times.reserved.map(|span| span.0),
            peered_ms: times.peered.map(|span| span.0),
            running_ms: times.running.map(|span| span.0),
        }
    }
}

/// A step of a story, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// Its number in the table of its story; 0 where it is a step of none.
    pub step: u8,
    /// The story that it belongs to: the intent's, or another's where it is a step of that alone.
    pub story: u8,
    /// The node that did it; beyond the domain's border the letter of its part alone.
    pub node: String,
    /// The manager that did it.
    pub manager: StepManager,
    /// When, in milliseconds since the intent arrived.
    pub at_ms: u64,
    /// For which replica; nothing where it was for all of them.
    pub workload: Option<String>,
    /// What was done.
    pub deed: Deed,
}
