//! Everything that can happen to the orchestrator, and everything it can ask for.

use kernel::{AllocationId, ContractId, IntentId, Key, NodeId, RequestId, Span, Ticket};
use rear_proto::{
    Mode, Refusal, Row, Selector, Step, Trace,
    local::Placement,
    message::EndReason,
    price::Rate,
    story::Deed,
    workload::{Status, Workload},
};

use crate::intent::Intent;

/// Everything that can happen to the orchestrator.
#[derive(Debug, Clone)]
pub enum Input {
    /// A user hands in an intent; its components are in the module cache already.
    Submit {
        /// Who waits for the answer.
        ticket: Ticket,
        /// The id it is to have.
        id: IntentId,
        /// What is to run.
        intent: Intent,
        /// A contract made by hand, on which to run it.
        contract: Option<ContractId>,
    },
    /// A user wants an intent gone.
    Delete {
        /// Who waits for the answer.
        ticket: Ticket,
        /// Which one.
        id: IntentId,
    },
    /// REAR looked up own resources: room was taken locally, or there is none.
    LookedUp {
        /// For which request.
        request: RequestId,
        /// The local allocation that was made, where there was room.
        local: Option<AllocationId>,
    },
    /// REAR holds room for a request (mode hold).
    Held {
        /// For which request.
        request: RequestId,
    },
    /// REAR has a virtual node for a request: discovery, reservation and peering are over.
    Ready {
        /// For which request.
        request: RequestId,
        /// The contract that it rests on.
        contract: ContractId,
        /// The node that provides.
        provider: NodeId,
        /// What it costs.
        price: Rate,
    },
    /// REAR found no room for a request.
    Failed {
        /// For which request.
        request: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// What a request rested on has ended, or will not be renewed.
    Ended {
        /// Which request.
        request: RequestId,
        /// Why.
        reason: EndReason,
        /// In words.
        text: String,
    },
    /// All that a request held or used is given back.
    Released {
        /// Which request.
        request: RequestId,
    },
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
    /// A replica's port can be reached here.
    Exposed {
        /// Of which request.
        request: RequestId,
        /// The port's name.
        port: String,
        /// Where (`http://127.0.0.1:4711/`).
        url: String,
    },
    /// A manager recorded a step of one of our stories.
    Recorded {
        /// Which story.
        trace: Trace,
        /// The step; `at` is the time since the story began.
        step: Step,
    },
}

/// Everything the orchestrator can ask for.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "effects are routed at once, a handful at a time")]
pub enum Effect {
    /// To REAR: is there room here? Take it if so.
    LookUp {
        /// For which request.
        request: RequestId,
        /// What is wanted.
        selector: Selector,
        /// Names the request over restarts: H(intent, workload, replica).
        origin: Key,
        /// The story.
        trace: Trace,
    },
    /// To REAR: find room elsewhere.
    Acquire {
        /// For which request.
        request: RequestId,
        /// What is wanted.
        selector: Selector,
        /// Hold first, or agree at once.
        mode: Mode,
        /// For how long.
        term: Span,
        /// The most that it may cost.
        ceiling: Option<Rate>,
        /// Names the request over restarts: H(intent, workload, replica).
        origin: Key,
        /// The story.
        trace: Trace,
    },
    /// To REAR: use this contract, made by hand, for a request.
    Use {
        /// For which request.
        request: RequestId,
        /// Which contract.
        contract: ContractId,
        /// The story.
        trace: Trace,
    },
    /// To REAR, after a restart: this request still rests on that.
    Adopt {
        /// Which request.
        request: RequestId,
        /// On what.
        on: Placement,
        /// Names the request over restarts, as before.
        origin: Key,
    },
    /// To REAR: purchase what is held.
    Purchase {
        /// For which request.
        request: RequestId,
    },
    /// To REAR: give back all that this request has, whatever it has come to.
    Release {
        /// Which request.
        request: RequestId,
    },
    /// To the Virtual Fabric: run this replica.
    Deploy {
        /// For which request.
        request: RequestId,
        /// Where.
        on: Placement,
        /// What.
        workload: Workload,
    },
    /// To the Virtual Fabric: stop this replica.
    Undeploy {
        /// Of which request.
        request: RequestId,
        /// Where.
        on: Placement,
        /// The replica's name.
        workload: String,
    },
    /// To the user.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        result: Result<IntentId, Refusal>,
    },
    /// To whoever watches: an intent has changed.
    Changed {
        /// Which one.
        intent: IntentId,
    },
    /// A row to keep.
    Keep(Row),
    /// A step that was just done.
    Did(Trace, Deed),
}
