//! Everything that can happen to a node, and everything that its mind can ask the doers for.

use kernel::{
    AskId, ContractId, Digest, FlavourId, IntentId, Key, NodeId, RequestId, Resources, Span, Ticket,
    planted::{self, Bug},
};
use network::mail::{Junction, Route};
use orchestrator::intent::Intent;
use rear::offer::Offer;
use rear_proto::{
    Answer, Ask, Mode, Refusal, Reply, Request, Selector,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    flavour::Party,
    membership::{Role, Token},
    partner::PartnerToken,
    workload::{LogLine, Status, Workload},
};
use vfabric::mail::{Instance, Target};

/// Everything that can happen to a node.
#[derive(Debug, Clone)]
pub enum Event {
    // -- from the transport -----------------------------------------------------------------------------
    /// The first connection to a node is up.
    PeerUp {
        /// Which, and where.
        party: Party,
    },
    /// The last connection to a node is gone.
    PeerDown {
        /// Which.
        node: NodeId,
    },
    /// A round trip to a node was measured.
    RoundTrip {
        /// Which.
        peer: NodeId,
        /// How long it took.
        span: Span,
    },
    /// The node's own addresses are these.
    Addresses(Vec<String>),
    /// Another node asks; its message is decoded, within limits, and its signatures are verified.
    Asked {
        /// Who waits for the answer.
        ticket: Ticket,
        /// Who asks; proven by the connection.
        from: NodeId,
        /// What.
        ask: Box<Ask>,
    },
    /// Another node answered, or did not.
    Answered {
        /// Which question.
        ask: AskId,
        /// What it said; a refusal of our own making where it said nothing.
        reply: Result<Box<Reply>, Refusal>,
    },
    // -- from the tunnel --------------------------------------------------------------------------------
    /// The far end of a contract said this, inside the channel.
    Heard {
        /// Who waits for the answer.
        ticket: Ticket,
        /// Which contract, as it is named here.
        contract: ContractId,
        /// What it said.
        ask: Box<FabricAsk>,
    },
    /// The far end of a contract answered, or did not.
    FabricAnswered {
        /// Which question.
        id: u64,
        /// The answer.
        reply: Result<Box<FabricReply>, Refusal>,
    },
    /// Bytes went through a contract's router.
    Metered {
        /// Which contract.
        contract: ContractId,
        /// Towards the provider, since the last report.
        up: u64,
        /// Towards the consumer, since the last report.
        down: u64,
        /// Streams that are open.
        streams: u32,
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
    // -- from the operator and the machine --------------------------------------------------------------
    /// The operator wants something.
    Command {
        /// Who waits for the answer.
        ticket: Ticket,
        /// What.
        command: Box<Command>,
    },
    /// Whether the disk can take promises.
    Storage {
        /// Whether it can.
        ok: bool,
    },
    /// The clock jumped by over 30 s.
    ClockJumped,
}

/// What an operator can want.
#[derive(Debug, Clone)]
pub enum Command {
    /// Run this.
    Submit {
        /// The id that it is to have.
        id: IntentId,
        /// What.
        intent: Intent,
        /// On this contract, made by hand.
        contract: Option<ContractId>,
    },
    /// Run it no longer.
    Delete(IntentId),
    /// Lines of a replica's log.
    Logs {
        /// Of which intent.
        intent: IntentId,
        /// Of which replica; the only one where there is one.
        workload: Option<String>,
        /// From which line on.
        from: u64,
        /// How long to wait for a line where there is none yet.
        wait: Span,
    },
    /// LIST_FLAVOURS now.
    Discover {
        /// What is wanted.
        selector: Selector,
        /// How many at most.
        k: usize,
        /// Whether to say what was ruled out, and why.
        explain: bool,
    },
    /// Offer this.
    Offer(Box<Offer>),
    /// Offer it no longer.
    Withdraw(FlavourId),
    /// Reserve this flavour.
    Reserve {
        /// Which candidate.
        flavour: FlavourId,
        /// With whom, where several offer it.
        provider: Option<NodeId>,
        /// How much.
        need: Resources,
        /// Ask for just that.
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
    /// Purchase what is held.
    Purchase(Key),
    /// Renew this contract now.
    Renew(ContractId),
    /// End a reservation, a contract or an allocation.
    Release([u8; 16]),
    /// Make a token for a newcomer.
    Invite {
        /// As what it is to join.
        role: Role,
        /// For how long the token is good.
        ttl: Span,
    },
    /// Take a node out of the domain.
    Remove(NodeId),
    /// Make a token for another domain.
    PartnerInvite {
        /// What that domain is to be called here.
        name: String,
        /// For how long the token is good.
        ttl: Span,
    },
    /// Take up another domain's invitation.
    PartnerAccept {
        /// The token.
        token: Box<PartnerToken>,
        /// What that domain is to be called here.
        name: String,
    },
    /// Switch what a partner may use on or off.
    PartnerSwitch {
        /// Which partner.
        name: String,
        /// Whether it is on.
        on: bool,
    },
    /// Have a partner no longer.
    PartnerRemove(String),
}

/// What an operator is told.
#[derive(Debug, Clone)]
pub enum Response {
    /// The intent with this id was taken in, or is being deleted.
    Intent(IntentId),
    /// Lines of a log, and the number to ask from next.
    Logs(Vec<LogLine>, u64),
    /// What was found.
    Discovered(Box<discovery::mail::Discovered>),
    /// What became of offering, reserving, purchasing or releasing.
    Rear(rear::mail::Response),
    /// It is renewed.
    Renewed,
    /// The token.
    Invited(Box<Token>),
    /// The node is removed.
    Removed,
    /// The token for another domain.
    PartnerInvited(Box<PartnerToken>),
    /// The partner is as it was wished.
    Partner(Box<federation::mail::PartnerView>),
}

/// Everything that the mind can ask the doers for.
#[derive(Debug, Clone)]
pub enum Output {
    // -- to the transport -------------------------------------------------------------------------------
    /// Ask another node.
    Ask {
        /// The question's number, to be given back with the answer.
        ask: AskId,
        /// Whom.
        to: Party,
        /// What.
        body: Box<Ask>,
        /// In which time.
        deadline: Span,
    },
    /// Answer who asked.
    Reply {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Remember these addresses, and keep a connection to this node.
    KeepConnected(Party),
    /// Close all connections to this node, and let it in no more.
    Block(NodeId),
    /// Whether this node is a member, whose connections no stranger may crowd out.
    Trust(NodeId, bool),
    // -- to the tunnel ----------------------------------------------------------------------------------
    /// Admit streams of this contract.
    Install(Route),
    /// Carry on streams of either of two contracts under the other.
    Join(Junction),
    /// Admit them no longer, and close those that are open.
    Remove {
        /// Which contract.
        contract: ContractId,
    },
    /// Say this at the far end of a contract.
    Transmit {
        /// The number of the question, to be given back with the answer.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// What to say.
        ask: Box<FabricAsk>,
        /// In which time an answer is of use.
        deadline: Span,
    },
    /// Send this component to the far end of a contract.
    Ship {
        /// The number of the question, to be given back with the answer.
        id: u64,
        /// Which contract.
        contract: ContractId,
        /// Which component.
        digest: Digest,
    },
    /// Answer the far end of a contract.
    FabricReply {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        reply: Box<FabricReply>,
    },
    // -- to the runtime and the local door --------------------------------------------------------------
    /// Start an instance.
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
    /// Remove whatever runs and is not among these.
    Sweep {
        /// What may run.
        keep: Vec<Instance>,
    },
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
    // -- to the operator --------------------------------------------------------------------------------
    /// Answer the operator.
    Respond {
        /// Who waits.
        ticket: Ticket,
        /// The answer.
        result: Result<Response, Refusal>,
    },
    /// Tell whoever watches.
    Changed(Watch),
}

/// What has changed, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watch {
    /// This intent.
    Intent(IntentId),
    /// This contract.
    Contract(ContractId),
}

impl Output {
    /// Says whether this promises something, and so must wait until all rows before it are durable.
    ///
    /// Asks never wait, but for a RELEASE: who says that something is over must not come back believing that
    /// it is not. An order to a runtime, here or at the far end, waits for the contract that it rests on.
    pub fn promises(&self) -> bool {
        match self {
            Self::Ask { body, .. } => match body.request {
                Request::Release(_) => true,
                Request::Hello(_)
                | Request::Join(_)
                | Request::List(_)
                | Request::Reserve(_)
                | Request::Purchase(_)
                | Request::Renew(_)
                | Request::Keepalive(_)
                | Request::Accept(_)
                | Request::Partners(_)
                | Request::Advertise(_)
                | Request::Refresh(_)
                | Request::Withdraw(_)
                | Request::Subscribe(_)
                | Request::CapacityDigest(_) => false,
            },
            Self::Reply { reply, .. } => match reply.answer {
                Answer::Contract(_) if planted::is(Bug::SpeakEarly) => false,
                Answer::Reserved(_)
                | Answer::Contract(_)
                | Answer::Renewed(_)
                | Answer::Released
                | Answer::Joined(_)
                | Answer::Accepted(_)
                | Answer::Noted => true,
                Answer::Hello(_)
                | Answer::Flavours(_)
                | Answer::Dead(_)
                | Answer::Refused(_)
                | Answer::Taken(_)
                | Answer::Snapshot(_)
                | Answer::Published(_) => false,
            },
            Self::Transmit { ask, .. } => match ask.request {
                FabricRequest::ResourceRequest { .. } | FabricRequest::Deploy(_) => true,
                FabricRequest::Undeploy { .. }
                | FabricRequest::Status { .. }
                | FabricRequest::Logs { .. }
                | FabricRequest::Close
                | FabricRequest::Returned => false,
            },
            Self::FabricReply { reply, .. } => match reply.answer {
                FabricAnswer::ResourceOffer { .. } => true,
                FabricAnswer::Deployed(_)
                | FabricAnswer::Missing(_)
                | FabricAnswer::Logs { .. }
                | FabricAnswer::Done
                | FabricAnswer::Refused(_) => false,
            },
            Self::Start { .. } | Self::Stop { .. } | Self::Sweep { .. } | Self::Respond { .. } => true,
            Self::KeepConnected(_)
            | Self::Block(_)
            | Self::Trust(..)
            | Self::Install(_)
            | Self::Join(_)
            | Self::Remove { .. }
            | Self::Ship { .. }
            | Self::ReadLogs { .. }
            | Self::Expose { .. }
            | Self::Unexpose { .. }
            | Self::Changed(_) => false,
        }
    }
}
