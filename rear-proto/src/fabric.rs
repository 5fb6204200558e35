//! What two Virtual Fabric Managers say to each other, inside a contract's encrypted channel.

use kernel::{ContractId, Digest, Resources, Span};
use serde::{Deserialize, Serialize};

use crate::{
    message::Extensions,
    refusal::Refusal,
    story::Step,
    workload::{LogLine, Status, Workload},
};

/// A question inside the channel. The contract is named by the channel itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricAsk {
    /// What is asked.
    pub request: FabricRequest,
    /// Whether the asker gathers the steps of a story.
    pub tell: bool,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// The questions.
#[allow(clippy::large_enum_variant, reason = "a few exist at a time, and never in a collection")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FabricRequest {
    /// Consumer to provider: open the peering. Carries the consumer's own name of the contract, for the record.
    ResourceRequest {
        /// The contract, as the consumer names it.
        contract: ContractId,
    },
    /// Consumer to provider: run this replica; saying it again is the same as once.
    Deploy(Workload),
    /// Consumer to provider: stop this replica; also when it is not there.
    Undeploy {
        /// The replica's name.
        workload: String,
    },
    /// Provider to consumer: how a replica is.
    Status {
        /// The replica's name.
        workload: String,
        /// How it is.
        status: Status,
    },
    /// Consumer to provider: lines of a replica's log.
    Logs {
        /// The replica's name.
        workload: String,
        /// From which line on.
        from: u64,
        /// How long to wait for a line where there is none yet.
        wait: Span,
    },
    /// Either to the other: the peering is closed.
    Close,
    /// Provider to consumer: it has restarted, and knows of no peering and no workload; both are to be asked for again.
    Returned,
}

/// An answer inside the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricReply {
    /// The answer.
    pub answer: FabricAnswer,
    /// The steps made while answering, where they were asked for.
    pub steps: Vec<Step>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FabricAnswer {
    /// To a `ResourceRequest`: the peering is complete; this is what may be used.
    ResourceOffer {
        /// What may be used.
        resources: Resources,
        /// The drivers that there are.
        runtimes: Vec<String>,
    },
    /// To a `Deploy`: it is under way, and how it is.
    Deployed(Status),
    /// To a `Deploy`: the component with this digest is not here; send it and ask again.
    Missing(Digest),
    /// To a `Logs`: the lines, and where to go on.
    Logs {
        /// The lines.
        lines: Vec<LogLine>,
        /// The number to ask from next.
        next: u64,
    },
    /// Done, or taken note of.
    Done,
    /// Refused.
    Refused(Refusal),
}
