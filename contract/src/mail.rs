//! Everything that can happen to the Contract Manager, and everything it can ask for.

use std::sync::Arc;

use kernel::{AllocationId, AskId, ContractId, FlavourId, Key, NodeId, RequestId, Resources, Span, Ticket};
use rear_proto::{
    Answer, Epoch, Refusal, Request, Row, Trace,
    flavour::Party,
    local::{Bought, Caller, Outcome, Partner, Side, SignedContract, Way, Wish},
    membership::Credentials,
    message::EndReason,
    price::Rate,
    story::Deed,
};

/// Everything that can happen to the Contract Manager.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "an answer is moved once from hand to hand, and is the commonest input")]
pub enum Input {
    // -- from REAR, as a buyer --------------------------------------------------------------------------
    /// Buy.
    Start {
        /// For which request.
        request: RequestId,
        /// What, and on what terms.
        wish: Box<Wish>,
        /// The story.
        trace: Trace,
    },
    /// Purchase what is held under this key.
    Purchase {
        /// For which request.
        request: RequestId,
        /// The order's key.
        key: Key,
        /// The story.
        trace: Trace,
    },
    /// End what was bought or held, or is being asked for, under this key.
    End {
        /// The order's key.
        key: Key,
        /// Why.
        reason: EndReason,
    },
    // -- from REAR, as a seller -------------------------------------------------------------------------
    /// It is reserved.
    Granted {
        /// Which allocation.
        allocation: AllocationId,
        /// What it costs.
        price: Rate,
        /// The flavour's epoch after the grant.
        epoch: Epoch,
    },
    /// It is not.
    Denied {
        /// Which allocation.
        allocation: AllocationId,
        /// Why.
        refusal: Refusal,
    },
    /// The operator wants the hold or contract of this allocation ended.
    Evict {
        /// Which allocation.
        allocation: AllocationId,
    },
    /// The capacity of this allocation is free again.
    Freed {
        /// Which allocation.
        allocation: AllocationId,
    },
    // -- as a relay -------------------------------------------------------------------------------------
    /// From Discovery: where the flavour of this order leads.
    Resolved {
        /// Which order, by the allocation that it is to have.
        allocation: AllocationId,
        /// Where.
        way: Result<Way, Refusal>,
    },
    /// From Federation, at the start and at each change: these are the domain's partners.
    Partners(Arc<[Partner]>),
    // -- from the Virtual Fabric ------------------------------------------------------------------------
    /// As a provider: is there a signed contract for this customer?
    LookUp {
        /// Who wants to know: the number of its question.
        inquiry: u64,
        /// Which contract the channel names.
        contract: ContractId,
        /// Who the customer is.
        customer: NodeId,
        /// The story.
        trace: Trace,
    },
    /// The peering of this contract is open, or at a relay: something has passed through its router. It is active.
    Activated {
        /// Which contract.
        contract: ContractId,
    },
    // -- from the operator ------------------------------------------------------------------------------
    /// Renew this contract now.
    RenewByHand {
        /// Who waits.
        ticket: Ticket,
        /// Which contract.
        contract: ContractId,
    },
    // -- from outside -----------------------------------------------------------------------------------
    /// Another node asks: RESERVE, PURCHASE, RENEW, RELEASE or KEEPALIVE; it may.
    Asked {
        /// Who waits.
        ticket: Ticket,
        /// Who asks; proven by the connection.
        from: NodeId,
        /// As whom.
        caller: Caller,
        /// What.
        request: Box<Request>,
        /// The story.
        trace: Trace,
    },
    /// Another node answered a question of ours, or did not.
    Answered {
        /// Which question.
        ask: AskId,
        /// Who was asked.
        from: NodeId,
        /// What it said; a refusal `Timeout` or `Unavailable` where it said nothing.
        answer: Result<Answer, Refusal>,
    },
    /// A node can be reached (again).
    PeerUp {
        /// Which.
        node: NodeId,
    },
    /// A node is no longer a member of the domain: its contracts end.
    MemberGone {
        /// Which.
        node: NodeId,
    },
    /// Our own proof of membership, at the start and whenever it is renewed.
    Credentials(Box<Credentials>),
    /// Whether the disk can take promises.
    Storage {
        /// Whether it can.
        ok: bool,
    },
    /// The clock jumped by over 30 s: expiry waits for one lease.
    ClockJumped,
}

/// Everything the Contract Manager can ask for.
#[derive(Debug, Clone)]
pub enum Effect {
    // -- to other nodes ---------------------------------------------------------------------------------
    /// Ask another node.
    Ask {
        /// The question's number; the agent gives it back with the answer.
        ask: AskId,
        /// Whom.
        to: Party,
        /// What.
        request: Request,
        /// In which time.
        deadline: Span,
        /// The story.
        trace: Trace,
    },
    /// Answer who asked.
    Reply {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    // -- to REAR, as a seller ---------------------------------------------------------------------------
    /// Take this partition, if it can be had.
    Reserve {
        /// The name of the allocation to be made.
        allocation: AllocationId,
        /// For whom.
        buyer: NodeId,
        /// Of which flavour.
        flavour: FlavourId,
        /// Which part.
        partition: Resources,
        /// The most that it may cost.
        ceiling: Rate,
        /// The story.
        trace: Trace,
    },
    /// The hold of this allocation has become this contract.
    Bind {
        /// Which allocation.
        allocation: AllocationId,
        /// Which contract.
        contract: ContractId,
    },
    /// The hold or contract of this allocation has ended.
    Close {
        /// Which allocation.
        allocation: AllocationId,
        /// Why.
        reason: EndReason,
    },
    // -- as a relay -------------------------------------------------------------------------------------
    /// To Discovery: where does this flavour lead?
    Resolve {
        /// Which order, by the allocation that it is to have.
        allocation: AllocationId,
        /// Which flavour.
        flavour: FlavourId,
        /// Who has placed it.
        caller: Caller,
    },
    /// To REAR: what is relayed is held or agreed; an allocation of type Forwarding, inactive. It becomes a contract's
    /// by `Bind`, and ends by `Close`.
    Forward {
        /// The name of the allocation to be made.
        allocation: AllocationId,
        /// For whom.
        buyer: NodeId,
        /// With whom.
        seller: NodeId,
        /// How much passes.
        resources: Resources,
    },
    /// To REAR: it is in use.
    Forwarding {
        /// Which allocation.
        allocation: AllocationId,
    },
    /// To Network: deploy the virtual router that joins these two contracts.
    Join {
        /// The two contracts, and who is at their other ends.
        junction: Box<Junction>,
        /// The story.
        trace: Trace,
    },
    // -- to REAR, as a buyer ----------------------------------------------------------------------------
    /// The seller holds it.
    Held {
        /// For which request.
        request: RequestId,
        /// The order's key.
        key: Key,
        /// What it will cost.
        price: Rate,
        /// Within which time it must be purchased.
        purchase_within: Span,
    },
    /// The contract is signed by both, verified and stored.
    Signed {
        /// For which request.
        request: RequestId,
        /// The order's key.
        key: Key,
        /// The contract.
        contract: Bought,
        /// The story.
        trace: Trace,
    },
    /// The seller refused, or did not answer in time.
    Refused {
        /// For which request.
        request: RequestId,
        /// The order's key.
        key: Key,
        /// Why.
        refusal: Refusal,
    },
    /// What was bought or held has ended.
    Ended {
        /// The order's key.
        key: Key,
        /// The allocation of type VirtualNode that it had.
        allocation: AllocationId,
        /// Why.
        reason: EndReason,
    },
    /// The seller will not renew.
    NotRenewed {
        /// The order's key.
        key: Key,
        /// Why.
        refusal: Refusal,
    },
    /// After a restart: this was bought and lives.
    Restored {
        /// The order's key.
        key: Key,
        /// The contract.
        contract: Bought,
    },
    /// How a peer did.
    Rated {
        /// Which peer.
        peer: NodeId,
        /// How it did.
        outcome: Outcome,
    },
    // -- to Network and the Virtual Fabric --------------------------------------------------------------
    /// After a restart, as a provider: this contract lives, and its consumer may not know that nothing of it runs.
    Revived {
        /// Which contract.
        contract: ContractId,
        /// Who bought it: the consumer, or a relay in its place.
        customer: NodeId,
    },
    /// To Network: deploy the virtual router of this contract.
    DeployRouter {
        /// The contract and its two ends.
        router: Box<Router>,
        /// The story.
        trace: Trace,
    },
    /// To Network and the Virtual Fabric: this contract is over.
    Closed {
        /// Which contract.
        contract: ContractId,
    },
    /// To the Virtual Fabric: the answer to `LookUp`.
    LookedUp {
        /// Who wanted to know.
        inquiry: u64,
        /// What was found.
        found: Option<SignedContract>,
        /// The story.
        trace: Trace,
    },
    // -- to the operator, and for the record ------------------------------------------------------------
    /// An answer to the operator: renewed, or why not.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        result: Result<(), Refusal>,
    },
    /// To whoever watches: a contract has changed.
    Changed {
        /// Which one.
        contract: ContractId,
    },
    /// A row to keep.
    Keep(Row),
    /// A step that was just done.
    Did(Trace, Deed),
}

/// A virtual router to deploy at a relay: what comes under one of its two contracts goes on under the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Junction {
    /// The contract that this node sold.
    pub front: ContractId,
    /// Who bought it.
    pub buyer: Party,
    /// The contract that backs it, which this node bought.
    pub back: ContractId,
    /// Who sold that.
    pub seller: Party,
}

/// A virtual router to deploy: one end of a contract's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// The contract.
    pub contract: ContractId,
    /// Which end this node is.
    pub side: Side,
    /// The other party, and where it was last seen.
    pub peer: Party,
    /// The order's key, from which this end's secret is derived.
    pub key: Key,
    /// The other end's public key, proven by its endorsement.
    pub remote_key: [u8; 32],
}
