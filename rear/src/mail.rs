//! Everything that can happen to the REAR Manager, and everything it can ask for.

use kernel::{AllocationId, ContractId, FlavourId, Key, NodeId, RequestId, Resources, Span, Ticket};
use rear_proto::{
    Epoch, Flavour, Mode, Refusal, Row, Selector, Trace,
    flavour::Domain,
    local::{Bought, Candidate, Outcome, Pick, Wish},
    message::EndReason,
    price::Rate,
    story::Deed,
};

use crate::offer::Offer;

/// Everything that can happen to the REAR Manager.
#[derive(Debug, Clone)]
pub enum Input {
    // -- from the operator ------------------------------------------------------------------------------
    /// Offer this, beside what the configuration offers.
    Offer {
        /// Who waits.
        ticket: Ticket,
        /// What.
        offer: Box<Offer>,
    },
    /// Offer it no longer; contracts on it go on.
    Withdraw {
        /// Who waits.
        ticket: Ticket,
        /// Which flavour.
        flavour: FlavourId,
    },
    /// Reserve this flavour, by hand.
    ReserveByHand {
        /// Who waits.
        ticket: Ticket,
        /// Which candidate.
        flavour: FlavourId,
        /// With whom, where several offer it.
        provider: Option<NodeId>,
        /// How much at least; the smallest partition that covers it is asked for, unless `exactly`.
        need: Resources,
        /// Ask for just that, and be refused if it is no valid partition.
        exactly: bool,
        /// Hold, or agree at once.
        mode: Mode,
        /// For how long.
        term: Span,
        /// Within which time it will be used.
        activate_within: Span,
        /// The key of the order, random.
        key: Key,
    },
    /// Purchase what was held by hand.
    PurchaseByHand {
        /// Who waits.
        ticket: Ticket,
        /// Which reservation.
        key: Key,
    },
    /// End a reservation, a contract or an allocation, whichever has this id.
    ReleaseByHand {
        /// Who waits.
        ticket: Ticket,
        /// Its id.
        id: [u8; 16],
    },
    // -- from the orchestrator --------------------------------------------------------------------------
    /// Is there room here? Take it if so.
    LookUp {
        /// For which request.
        request: RequestId,
        /// What is wanted.
        selector: Selector,
        /// Names the request over restarts.
        origin: Key,
        /// The story.
        trace: Trace,
    },
    /// Find room elsewhere.
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
        /// Names the request over restarts.
        origin: Key,
        /// The story.
        trace: Trace,
    },
    /// Use a contract made by hand for a request.
    Use {
        /// For which request.
        request: RequestId,
        /// Which contract.
        contract: ContractId,
        /// The story.
        trace: Trace,
    },
    /// After a restart: this request still rests on that local allocation.
    AdoptLocal {
        /// Which request.
        request: RequestId,
        /// Which allocation.
        allocation: AllocationId,
        /// Names the request over restarts.
        origin: Key,
    },
    /// After a restart: this request still rests on that contract.
    AdoptRemote {
        /// Which request.
        request: RequestId,
        /// Which contract.
        contract: ContractId,
        /// Names the request over restarts.
        origin: Key,
    },
    /// Purchase what is held.
    Purchase {
        /// For which request.
        request: RequestId,
    },
    /// Give back all that this request has.
    Release {
        /// Which request.
        request: RequestId,
    },
    // -- from Discovery ---------------------------------------------------------------------------------
    /// The answer to `Find`.
    Found {
        /// For which request.
        request: RequestId,
        /// What there is, unranked.
        candidates: Vec<Candidate>,
    },
    /// The answer to `Discover`: the index is as full as it will be.
    Discovered {
        /// For which request.
        request: RequestId,
        /// Whether there may be more.
        partial: bool,
        /// How many endpoints said nothing.
        silent: u32,
    },
    // -- from Contract, as a seller ---------------------------------------------------------------------
    /// Take this partition, if it can be had: the one way to capacity for remote use.
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
    /// The hold or contract of this allocation has become this contract.
    Bind {
        /// Which allocation.
        allocation: AllocationId,
        /// Which contract.
        contract: ContractId,
    },
    /// The hold or contract of this allocation has ended; its capacity is free once its workloads are gone.
    Close {
        /// Which allocation.
        allocation: AllocationId,
        /// Why.
        reason: EndReason,
    },
    // -- from Contract, as a relay ----------------------------------------------------------------------
    /// What is relayed is held or agreed: an allocation of type Forwarding, inactive, which takes no capacity. `Bind` and
    /// `Close` are for it as for any other.
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
    /// It is in use.
    Forwarding {
        /// Which allocation.
        allocation: AllocationId,
    },
    // -- from Contract, as a buyer ----------------------------------------------------------------------
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
    /// A contract that was bought, or a hold that was taken, has ended.
    Ended {
        /// The order's key.
        key: Key,
        /// The allocation of type VirtualNode that it had.
        allocation: AllocationId,
        /// Why.
        reason: EndReason,
    },
    /// The seller will not renew this contract: it ends when its term does.
    NotRenewed {
        /// The order's key.
        key: Key,
        /// Why.
        refusal: Refusal,
    },
    /// After a restart, from Contract: this was bought and lives.
    Restored {
        /// The order's key.
        key: Key,
        /// The contract.
        contract: Bought,
    },
    /// How a peer did: feeds its rating.
    Rated {
        /// Which peer.
        peer: NodeId,
        /// How it did.
        outcome: Outcome,
    },
    // -- from the Virtual Fabric ------------------------------------------------------------------------
    /// The peering of this allocation is complete.
    Peered {
        /// Which allocation.
        allocation: AllocationId,
        /// The story.
        trace: Trace,
    },
    /// The peering could not be set up, or was lost.
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
    // -- from outside -----------------------------------------------------------------------------------
    /// A node is a member no longer, or of no partner: nothing is ordered of it.
    MemberGone {
        /// Which.
        node: NodeId,
        /// Whether it was removed, and not only out of date.
        removed: bool,
    },
    /// What this node is called from outside, at the start and whenever that changes: it stands in its flavours.
    Named {
        /// The domain.
        domain: Domain,
        /// The node's own addresses.
        addresses: Vec<String>,
    },
    /// A round trip to a peer was measured.
    RoundTrip {
        /// Which peer.
        peer: NodeId,
        /// How long it took.
        span: Span,
    },
}

/// Everything the REAR Manager can ask for.
#[derive(Debug, Clone)]
pub enum Effect {
    // -- to Discovery -----------------------------------------------------------------------------------
    /// An own flavour is like this, from this epoch on.
    OwnChanged(Box<Flavour>),
    /// An own flavour is no longer offered.
    OwnGone(FlavourId),
    /// Look into the index.
    Find {
        /// For which request.
        request: RequestId,
        /// What is wanted.
        pick: Pick,
        /// How many at most.
        k: usize,
        /// How old an offer may be.
        max_age: Span,
    },
    /// Ask outside; answered with `Discovered` when all have answered or their time is over.
    Discover {
        /// For which request.
        request: RequestId,
        /// What is wanted.
        selector: Selector,
        /// What it may cost at most; told to nobody.
        ceiling: Option<Rate>,
        /// How many at most.
        k: usize,
        /// What has refused already.
        exclude: Vec<FlavourId>,
        /// The story.
        trace: Trace,
    },
    // -- to Contract ------------------------------------------------------------------------------------
    /// Buy.
    Start {
        /// For which request.
        request: RequestId,
        /// What.
        purchase: Box<Wish>,
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
    /// As a seller: the operator wants the hold or contract of this allocation ended.
    Evict {
        /// Which allocation.
        allocation: AllocationId,
    },
    /// As a seller: it is reserved.
    Granted {
        /// Which allocation.
        allocation: AllocationId,
        /// What it costs.
        price: Rate,
        /// The flavour's epoch after the grant.
        epoch: Epoch,
    },
    /// As a seller: it is not.
    Denied {
        /// Which allocation.
        allocation: AllocationId,
        /// Why.
        refusal: Refusal,
    },
    /// As a seller: the capacity of this allocation is free again, so a RELEASE of it may be answered.
    Freed {
        /// Which allocation.
        allocation: AllocationId,
    },
    // -- to the Virtual Fabric --------------------------------------------------------------------------
    /// Set up the peering.
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
    /// As a provider: the allocation of this peering is active.
    Activated {
        /// The allocation of type Node.
        allocation: AllocationId,
        /// The story.
        trace: Trace,
    },
    /// Stop every workload on this allocation, then say that it is gone; also when there is none.
    Clear {
        /// Which allocation.
        allocation: AllocationId,
    },
    // -- to the orchestrator ----------------------------------------------------------------------------
    /// The answer to `LookUp`.
    LookedUp {
        /// For which request.
        request: RequestId,
        /// The local allocation that was made, where there was room.
        local: Option<AllocationId>,
    },
    /// It is held.
    Holding {
        /// For which request.
        request: RequestId,
    },
    /// Discovery, reservation and peering are over.
    Ready {
        /// For which request.
        request: RequestId,
        /// The contract.
        contract: ContractId,
        /// The node that provides.
        provider: NodeId,
        /// What it costs.
        price: Rate,
    },
    /// There is no room.
    Failed {
        /// For which request.
        request: RequestId,
        /// Why, summed up over all that were asked.
        refusal: Refusal,
    },
    /// What a request rests on has ended, or soon will.
    Ended {
        /// Which request.
        request: RequestId,
        /// Why.
        reason: EndReason,
        /// In words.
        text: String,
    },
    /// All that the request had is given back.
    Released {
        /// Which request.
        request: RequestId,
    },
    // -- to the operator, and for the record ------------------------------------------------------------
    /// An answer to the operator.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        result: Result<Response, Refusal>,
    },
    /// A row to keep.
    Keep(Row),
    /// A step that was just done.
    Did(Trace, Deed),
}

/// What the operator is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// This flavour is offered.
    Offered(FlavourId),
    /// It no longer is.
    Withdrawn,
    /// It is held.
    Held {
        /// The reservation.
        key: Key,
        /// What it will cost.
        price: Rate,
        /// Within which time to purchase it.
        purchase_within: Span,
    },
    /// It is agreed.
    Signed {
        /// The contract.
        contract: ContractId,
        /// What it costs.
        price: Rate,
    },
    /// It is over.
    Released,
}
