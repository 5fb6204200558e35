//! Everything that can happen to the Discovery Manager, and everything it can ask for.

use std::sync::Arc;

use kernel::{AllocationId, AskId, FlavourId, NodeId, RequestId, Span, Ticket};
use rear_proto::{
    Answer, Flavour, Mismatch, Refusal, Request, Row, Selector, Trace,
    flavour::{Domain, Party},
    local::{Caller, Candidate, DomainSecret, Outcome, Partner, Pick, Realm, Way},
    membership::Role,
    message::List,
    price::Rate,
    story::Deed,
};

/// Everything that can happen to the Discovery Manager.
#[allow(clippy::large_enum_variant, reason = "an input is handled as it comes: it is moved, not stored")]
#[derive(Debug, Clone)]
pub enum Input {
    /// From REAR: an own flavour is like this.
    OwnChanged(Box<Flavour>),
    /// From REAR: an own flavour is no longer offered.
    OwnGone(FlavourId),
    /// What this node's domain is called, and where this node is to be found.
    Named {
        /// The domain.
        domain: Domain,
        /// This node's addresses.
        addresses: Vec<String>,
    },
    /// From REAR: look into the index.
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
    /// Ask outside.
    Discover {
        /// Who wants to know.
        asker: Asker,
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
    /// Another node asks for our list; it may.
    Asked {
        /// Who waits.
        ticket: Ticket,
        /// Who asks.
        from: NodeId,
        /// As whom.
        caller: Caller,
        /// What.
        list: Box<List>,
        /// The story.
        trace: Trace,
    },
    /// Another node tells of its offers, or wants to be told of ours: ADVERTISE, REFRESH, WITHDRAW, SUBSCRIBE,
    /// CAPACITY_DIGEST; it may.
    Told {
        /// Who waits.
        ticket: Ticket,
        /// Who tells.
        from: NodeId,
        /// As whom.
        caller: Caller,
        /// What.
        request: Box<Request>,
    },
    /// From Contract: where does this flavour lead, that the caller has named in an order?
    Resolve {
        /// Which order, by the allocation that it is to have.
        allocation: AllocationId,
        /// Which flavour.
        flavour: FlavourId,
        /// Who has placed it.
        caller: Caller,
    },
    /// An endpoint answered a question of ours, or did not.
    Answered {
        /// Which question.
        ask: AskId,
        /// Who was asked.
        from: NodeId,
        /// What it said; a refusal `Timeout` or `Unavailable` where it said nothing.
        answer: Result<Answer, Refusal>,
        /// How long it took.
        took: Span,
    },
    /// A node can be reached: a member of the domain, a partner's supernode or a catalogue.
    EndpointUp {
        /// Which, and where.
        party: Party,
        /// As what.
        role: Role,
        /// Where it belongs.
        realm: Realm,
    },
    /// It can not be reached now.
    EndpointDown {
        /// Which.
        node: NodeId,
    },
    /// It is no longer a member, or of a partner: forget it and its offers.
    EndpointGone {
        /// Which.
        node: NodeId,
    },
    /// From Federation, at a supernode, at the start and at each change: these are the domain's partners.
    Partners(Arc<[Partner]>),
    /// From Federation, at a supernode: the secret of the domain.
    Secret(DomainSecret),
}

/// Everything the Discovery Manager can ask for.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Ask an endpoint.
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
    /// To REAR: the answer to `Find`.
    Found {
        /// For which request.
        request: RequestId,
        /// What there is, unranked.
        candidates: Vec<Candidate>,
    },
    /// To REAR: the index is as full as it will be.
    Discovered {
        /// For which request.
        request: RequestId,
        /// Whether there may be more.
        partial: bool,
        /// How many endpoints said nothing.
        silent: u32,
    },
    /// To the operator: what was found, and what was not taken and why.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        found: Discovered,
    },
    /// To Contract: the answer to `Resolve`.
    Resolved {
        /// Which order.
        allocation: AllocationId,
        /// Where its flavour leads.
        way: Result<Way, Refusal>,
    },
    /// To REAR: how a peer did.
    Rated {
        /// Which peer.
        peer: NodeId,
        /// How it did.
        outcome: Outcome,
    },
    /// A row to keep.
    Keep(Row),
    /// A step that was just done.
    Did(Trace, Deed),
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// REAR, for a request.
    Rear(RequestId),
    /// The operator; with `explain`, everything is asked for and what does not match is told with the filter
    /// that ruled it out.
    Operator {
        /// Who waits.
        ticket: Ticket,
        /// Whether to say what was ruled out, and why.
        explain: bool,
    },
}

/// What the operator is told.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// What matches.
    pub candidates: Vec<Candidate>,
    /// What does not, and why; only where an explanation was asked for.
    pub ruled_out: Vec<(Candidate, Why)>,
    /// Whether there may be more.
    pub partial: bool,
    /// How many endpoints said nothing.
    pub silent: u32,
    /// How many were asked.
    pub asked: u32,
    /// What else is to be said, a sentence each: which partners have said that they have nothing that fits. Only where
    /// an explanation was asked for.
    pub remarks: Vec<String>,
}

/// Why an offer was ruled out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It does not match: the filter, and what it has instead.
    #[error(transparent)]
    Mismatch(Mismatch),
    /// It was not believed, and so is no candidate at all: the reason in words.
    #[error("{0}")]
    Disbelieved(String),
}
