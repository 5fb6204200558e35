//! Everything that can happen to the Federation Manager, and everything it can ask for.

use kernel::{AskId, NodeId, Span, Ticket, Time};
use rear_proto::{
    Answer, Refusal, Request, Row,
    flavour::Party,
    membership::{Credentials, Role, Token},
    message::{Hello, Join},
};

/// Everything that can happen to the Federation Manager.
#[allow(clippy::large_enum_variant, reason = "an input is handled as it comes: it is moved, not stored")]
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection to a node is up (the first one).
    PeerUp {
        /// Which, and where.
        party: Party,
    },
    /// The last connection to a node is gone.
    PeerDown {
        /// Which.
        node: NodeId,
    },
    /// A node says who it is, or asks to be let in.
    Asked {
        /// Who waits.
        ticket: Ticket,
        /// Who asks; proven by the connection.
        from: NodeId,
        /// What.
        request: Greeting,
    },
    /// A node answered, or did not.
    Answered {
        /// Which question.
        ask: AskId,
        /// Who was asked.
        from: NodeId,
        /// What it said.
        answer: Result<Answer, Refusal>,
    },
    /// The node's own addresses, as the transport knows them.
    Addresses(Vec<String>),
    /// The operator wants a token to hand to a newcomer.
    Invite {
        /// Who waits.
        ticket: Ticket,
        /// As what it is to join.
        role: Role,
        /// For how long the token is good.
        ttl: Span,
    },
    /// The operator wants a node out of the domain.
    Remove {
        /// Who waits.
        ticket: Ticket,
        /// Which.
        node: NodeId,
    },
}

/// What may be said before membership is proven.
#[derive(Debug, Clone)]
pub enum Greeting {
    /// Who I am.
    Hello(Box<Hello>),
    /// Let me in.
    Join(Box<Join>),
}

/// Everything the Federation Manager can ask for.
#[derive(Debug, Clone)]
pub enum Effect {
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
    },
    /// Answer who asked.
    Reply {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// To Discovery, Contract and the Virtual Fabric: a member of our domain is here.
    MemberUp {
        /// Which, and where.
        party: Party,
        /// As what.
        role: Role,
    },
    /// To Discovery: it can not be reached now.
    MemberDown {
        /// Which.
        node: NodeId,
    },
    /// To everybody: it is no longer a member. Where it was removed, also to the transport: its connections
    /// close, and it is let in no more; one whose certificate ran out may come back with a fresh one.
    MemberGone {
        /// Which.
        node: NodeId,
        /// Whether it was removed.
        removed: bool,
    },
    /// To Contract: our own proof of membership.
    Credentials(Box<Credentials>),
    /// To the transport: remember these addresses, and keep a connection to this node.
    KeepConnected(Party),
    /// An answer to the operator.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        result: Result<Response, Refusal>,
    },
    /// A row to keep.
    Keep(Row),
}

/// What the operator is told.
#[derive(Debug, Clone)]
pub enum Response {
    /// The token.
    Invited(Token),
    /// It is removed.
    Removed,
}

/// A member, as the tables show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Which node.
    pub node: NodeId,
    /// As what.
    pub role: Role,
    /// Where it was last seen.
    pub addresses: Vec<String>,
    /// Whether it is connected.
    pub connected: bool,
    /// When it was last heard.
    pub last_heard: Option<Time>,
    /// Until when its certificate is good.
    pub expires: Time,
    /// Whether it was removed.
    pub revoked: bool,
}
