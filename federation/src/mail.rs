//! Everything that can happen to the Federation Manager, and everything it can ask for.

use std::sync::Arc;

use kernel::{AskId, NodeId, Span, Ticket, Time};
use rear_proto::{
    Answer, Refusal, Request, Row,
    flavour::{Domain, Party},
    local::{DomainSecret, Partner, Realm},
    membership::{Credentials, Role, Token},
    message::{Accept, Hello, Join, Partners},
    partner::{PartnerState, PartnerToken},
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
    /// The operator wants a token to hand to another domain.
    PartnerInvite {
        /// Who waits.
        ticket: Ticket,
        /// What that domain is to be called here.
        name: String,
        /// For how long the token is good.
        ttl: Span,
    },
    /// The operator takes up another domain's invitation; answered when that domain has.
    PartnerAccept {
        /// Who waits.
        ticket: Ticket,
        /// The token.
        token: Box<PartnerToken>,
        /// What that domain is to be called here.
        name: String,
    },
    /// The operator switches what a partner may use of this domain on or off.
    PartnerSwitch {
        /// Who waits.
        ticket: Ticket,
        /// Which partner.
        name: String,
        /// Whether it is on.
        on: bool,
    },
    /// The operator wants a partner no longer; what was agreed with it ends.
    PartnerRemove {
        /// Who waits.
        ticket: Ticket,
        /// Which partner.
        name: String,
    },
}

/// What may be said before membership is proven.
#[derive(Debug, Clone)]
pub enum Greeting {
    /// Who I am.
    Hello(Box<Hello>),
    /// Let me in.
    Join(Box<Join>),
    /// I take up your invitation.
    Accept(Box<Accept>),
    /// From a supernode of this node's own domain: these are our partners.
    Partners(Box<Partners>),
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
    /// To Discovery, Contract and the Virtual Fabric: a member of our domain, a partner's supernode or a catalogue is
    /// here.
    MemberUp {
        /// Which, and where.
        party: Party,
        /// As what.
        role: Role,
        /// Where it belongs.
        realm: Realm,
    },
    /// To Discovery: it can not be reached now.
    MemberDown {
        /// Which.
        node: NodeId,
    },
    /// To everybody: it is no longer a member, or no longer of a partner. Where it was removed, also to the transport: its connections
    /// close, and it is let in no more; one whose certificate ran out may come back with a fresh one.
    MemberGone {
        /// Which.
        node: NodeId,
        /// Whether it was removed.
        removed: bool,
    },
    /// To Contract: our own proof of membership.
    Credentials(Box<Credentials>),
    /// To Discovery and Contract, at the start and at each change: these are the domain's partners.
    Partners(Arc<[Partner]>),
    /// To Discovery, at a supernode: the secret of the domain.
    Secret(DomainSecret),
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
    /// The token for another domain.
    PartnerInvited(PartnerToken),
    /// The partner is as it was wished.
    PartnerChanged(PartnerView),
}

/// A partner, as the tables show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerView {
    /// What it is called here.
    pub name: String,
    /// Its key, and what it calls itself.
    pub domain: Domain,
    /// Whether it may use what is exposed to it, as was decided here.
    pub state: PartnerState,
    /// Whether it lets this domain use what it exposes, as it said last.
    pub theirs: Option<bool>,
    /// When any of its supernodes was last heard, by this node.
    pub last_heard: Option<Time>,
    /// Its supernodes, and which of them are connected to this node.
    pub supernodes: Vec<(Party, bool)>,
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
