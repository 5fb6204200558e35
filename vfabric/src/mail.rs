//! Everything that can happen to the Virtual Fabric Manager, and everything it can ask for.

use kernel::{AllocationId, ContractId, Digest, NodeId, RequestId, Resources, Span, Ticket};
use rear_proto::{
    Refusal, Row, Trace,
    fabric::{FabricAsk, FabricReply},
    local::{Placement, SignedContract},
    story::Deed,
    workload::{LogLine, Status, Workload},
};

/// Everything that can happen to the Virtual Fabric Manager.
#[derive(Debug, Clone)]
pub enum Input {
    // -- from REAR --------------------------------------------------------------------------------------
    /// As a consumer: set up the peering.
    Peer {
        /// The allocation of type VirtualNode.
        allocation: AllocationId,
        /// The contract.
        contract: ContractId,
        /// The node that provides.
        provider: NodeId,
        /// The story.
        trace: Trace,
    },
    /// As a provider: REAR has put the allocation to active.
    Activated {
        /// Which allocation.
        allocation: AllocationId,
        /// The story.
        trace: Trace,
    },
    /// Stop every workload on this allocation, then say that it is gone.
    Clear {
        /// Which allocation.
        allocation: AllocationId,
    },
    // -- from Contract ----------------------------------------------------------------------------------
    /// As a provider: the answer to `LookUp`.
    LookedUp {
        /// Which inquiry.
        inquiry: u64,
        /// What was found.
        found: Option<SignedContract>,
        /// The story.
        trace: Trace,
    },
    /// As a provider, after a restart: this contract was read back, and its consumer may not know that nothing of it
    /// runs any more.
    Revived {
        /// Which contract.
        contract: ContractId,
        /// The other party.
        customer: NodeId,
    },
    /// This contract is over.
    Closed {
        /// Which contract.
        contract: ContractId,
    },
    // -- from the orchestrator --------------------------------------------------------------------------
    /// Run this replica.
    Deploy {
        /// For which request.
        request: RequestId,
        /// Where.
        on: Placement,
        /// What.
        workload: Box<Workload>,
    },
    /// Stop this replica.
    Undeploy {
        /// Of which request.
        request: RequestId,
        /// Where.
        on: Placement,
        /// The replica's name.
        workload: String,
    },
    /// The operator wants lines of a replica's log.
    Logs {
        /// Who waits.
        ticket: Ticket,
        /// Of which request.
        request: RequestId,
        /// From which line on.
        from: u64,
        /// How long to wait for a line where there is none yet.
        wait: Span,
    },
    // -- from Network -----------------------------------------------------------------------------------
    /// The far end of a contract said this.
    Heard {
        /// Who waits for the answer.
        ticket: Ticket,
        /// Which contract.
        contract: ContractId,
        /// Who the other party is.
        peer: NodeId,
        /// What it said.
        ask: Box<FabricAsk>,
        /// The story.
        trace: Trace,
    },
    /// The far end answered, or did not.
    Answered {
        /// Which question.
        id: u64,
        /// The answer.
        reply: Result<FabricReply, Refusal>,
    },
    /// A node can be reached again: its peerings may have to be set up anew.
    PeerUp {
        /// Which.
        node: NodeId,
    },
    // -- from the runtime and the local door ------------------------------------------------------------
    /// How an instance is.
    InstanceStatus {
        /// Which instance.
        instance: Instance,
        /// How it is.
        status: Status,
    },
    /// An instance could not be started for want of its component.
    InstanceMissing {
        /// Which instance.
        instance: Instance,
        /// The component.
        digest: Digest,
    },
    /// An instance is gone, with all that it used.
    InstanceGone {
        /// Which instance.
        instance: Instance,
    },
    /// Lines of an instance's log.
    LogsRead {
        /// Which inquiry.
        inquiry: u64,
        /// The lines.
        lines: Vec<LogLine>,
        /// The number to ask from next.
        next: u64,
    },
    /// A port of a replica can be reached here.
    Exposed {
        /// Of which request.
        request: RequestId,
        /// The port's name.
        port: String,
        /// Where.
        url: String,
    },
}

/// Everything the Virtual Fabric Manager can ask for.
#[derive(Debug, Clone)]
pub enum Effect {
    // -- to the far end, through Network ----------------------------------------------------------------
    /// Say this to the far end of a contract.
    Send {
        /// The number of the question.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// What to say.
        ask: Box<FabricAsk>,
        /// In which time an answer is of use.
        deadline: Span,
        /// The story.
        trace: Trace,
    },
    /// Send a component to the far end of a contract.
    Ship {
        /// The number of the question; answered by `Answered` with `Done`.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// Which component.
        digest: Digest,
    },
    /// Answer the far end.
    Reply {
        /// Who waits.
        ticket: Ticket,
        /// The answer; the agent adds the steps.
        reply: Box<FabricReply>,
    },
    // -- to Contract ------------------------------------------------------------------------------------
    /// As a provider: is there a signed contract for this customer?
    LookUp {
        /// The number of the inquiry.
        inquiry: u64,
        /// Which contract the channel names.
        contract: ContractId,
        /// Who the customer is.
        customer: NodeId,
        /// The story.
        trace: Trace,
    },
    // -- to REAR (and Contract) -------------------------------------------------------------------------
    /// The peering is complete.
    Peered {
        /// Which allocation.
        allocation: AllocationId,
        /// Which contract.
        contract: ContractId,
        /// The story.
        trace: Trace,
    },
    /// As a consumer: the peering could not be set up, or was lost.
    Unpeered {
        /// Which allocation.
        allocation: AllocationId,
        /// Why.
        refusal: Refusal,
    },
    /// Every workload of this allocation is gone.
    Gone {
        /// Which allocation.
        allocation: AllocationId,
    },
    // -- to the orchestrator ----------------------------------------------------------------------------
    /// How a replica is.
    Status {
        /// Of which request.
        request: RequestId,
        /// How it is.
        status: Status,
    },
    /// A replica is stopped, or can't be reached to be stopped.
    Undeployed {
        /// Of which request.
        request: RequestId,
    },
    /// A port of a replica can be reached here.
    Exposed {
        /// Of which request.
        request: RequestId,
        /// The port's name.
        port: String,
        /// Where.
        url: String,
    },
    // -- to the runtime ---------------------------------------------------------------------------------
    /// Start an instance; its component is named by the workload.
    Start {
        /// Which instance.
        instance: Instance,
        /// What.
        workload: Box<Workload>,
        /// The most that all of the allocation's instances may use together.
        within: Resources,
        /// Whether it is for another domain, to which it must not tell who this node is.
        abroad: bool,
    },
    /// Stop an instance: kindly, and after the grace by force; then it is gone.
    Stop {
        /// Which instance.
        instance: Instance,
        /// The grace.
        grace: Span,
    },
    /// Read lines of an instance's log.
    ReadLogs {
        /// The number of the inquiry.
        inquiry: u64,
        /// Which instance.
        instance: Instance,
        /// From which line on.
        from: u64,
        /// How long to wait for a line where there is none yet.
        wait: Span,
    },
    /// After a restart: whatever runs and is not among these belongs to nobody.
    Sweep {
        /// What may run.
        keep: Vec<Instance>,
    },
    // -- to the local door ------------------------------------------------------------------------------
    /// Make a replica's port reachable here.
    Expose {
        /// Of which request.
        request: RequestId,
        /// Where the replica runs.
        target: Target,
        /// The port's name.
        name: String,
        /// The port's number.
        port: u16,
    },
    /// Make a request's ports unreachable.
    Unexpose {
        /// Of which request.
        request: RequestId,
    },
    // -- to the operator, and for the record ------------------------------------------------------------
    /// Lines of a replica's log, or why there are none.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The lines, and the number to ask from next.
        result: Result<(Vec<LogLine>, u64), Refusal>,
    },
    /// A row to keep.
    Keep(Row),
    /// A step that was just done.
    Did(Trace, Deed),
}

/// A running replica on this node: the allocation it runs on, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Instance {
    /// The allocation.
    pub allocation: AllocationId,
    /// The replica's name.
    pub workload: String,
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.allocation, self.workload)
    }
}

/// What a local port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An instance on this node.
    Here(Instance),
    /// A replica at the far end of a contract.
    There {
        /// The contract.
        contract: ContractId,
        /// The replica's name.
        workload: String,
    },
}
