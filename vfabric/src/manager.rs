//! The manager: its tables, and which of its parts takes which input.

use std::collections::BTreeMap;

use kernel::{AllocationId, ContractId, NodeId, RequestId, Rng, Span, Time, Wake};
use rear_proto::{
    Code, DamagedRecord, Refusal, Table, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    local::Placement,
};

use crate::{
    config::Config,
    lodging::Lodging,
    logs::Reader,
    mail::{Effect, Input, Instance},
    peering::Peering,
    replica::{Leaving, Replica},
    returning::Returning,
    serve::Inquiry,
    stamp::Stamps,
    timers::{Due, Timers},
};

/// Keeps peerings and the life of workloads.
#[derive(Debug)]
pub struct Manager {
    pub(crate) config: Config,
    pub(crate) me: NodeId,
    pub(crate) rng: Rng,
    pub(crate) stamps: Stamps,
    pub(crate) timers: Timers,
    /// The number of the next question or inquiry.
    next: u64,
    /// Questions to far ends that wait for their answers.
    asks: BTreeMap<u64, About>,
    /// Questions about logs that wait for the runtime.
    pub(crate) readers: BTreeMap<u64, Reader>,
    /// Requests of customers that wait for Contract.
    pub(crate) inquiries: BTreeMap<u64, Inquiry>,
    /// As a consumer: the virtual nodes, by contract.
    pub(crate) peerings: BTreeMap<ContractId, Peering>,
    /// What the orchestrator wants run, here or there.
    pub(crate) replicas: BTreeMap<RequestId, Replica>,
    /// Who goes by which name where.
    pub(crate) names: BTreeMap<(Placement, String), RequestId>,
    /// What the orchestrator wants stopped, until it is.
    pub(crate) leaving: BTreeMap<RequestId, Leaving>,
    /// What runs on this node, by allocation.
    pub(crate) lodgings: BTreeMap<AllocationId, Lodging>,
    /// As a provider: the allocation of each contract that was looked up.
    pub(crate) tenants: BTreeMap<ContractId, AllocationId>,
    /// As a provider: whose customers have yet to hear that this node has restarted.
    pub(crate) returning: BTreeMap<ContractId, Returning>,
}

/// What a question to a far end is about.
#[derive(Debug, Clone)]
pub(crate) enum About {
    Peering(ContractId),
    Deploying(RequestId),
    Shipping(RequestId),
    Leaving(RequestId),
    Push(Instance),
    Returning(ContractId),
    Logs(kernel::Ticket),
}

impl Manager {
    /// Makes a manager that knows of nothing.
    pub fn new(config: Config, me: NodeId, rng: Rng) -> Self {
        Self {
            config,
            me,
            rng,
            stamps: Stamps::default(),
            timers: Timers::default(),
            next: 0,
            asks: BTreeMap::new(),
            readers: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            peerings: BTreeMap::new(),
            replicas: BTreeMap::new(),
            names: BTreeMap::new(),
            leaving: BTreeMap::new(),
            lodgings: BTreeMap::new(),
            tenants: BTreeMap::new(),
            returning: BTreeMap::new(),
        }
    }

    /// Takes back a kept row: there are none, since this manager keeps none.
    ///
    /// # Errors
    /// Always: a row in one of its tables was written by a program that this one does not understand.
    pub fn restore(&mut self, table: Table, _key: &[u8], _value: &[u8]) -> Result<(), DamagedRecord> {
        let why = "this version of tombolo keeps nothing there: a newer one must have written it".to_owned();
        Err(DamagedRecord { table: table.name(), why })
    }

    /// Comes to life: whatever the runtime still has belongs to nobody, until somebody says it again.
    pub fn start(&mut self, _now: Time, starts: u32, out: &mut Vec<Effect>) {
        self.stamps = Stamps::begin(starts);
        out.push(Effect::Sweep { keep: Vec::new() });
    }

    pub(crate) const fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Says something to the far end of a contract and returns the number of the question.
    pub(crate) fn send(
        &mut self,
        contract: ContractId,
        about: About,
        ask: FabricAsk,
        deadline: Span,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> u64 {
        let id = self.number();
        self.asks.insert(id, about);
        out.push(Effect::Send { id, contract, ask: Box::new(ask), deadline, trace });
        id
    }

    /// Sends a component to the far end of a contract and returns the number of the question.
    pub(crate) fn ship(
        &mut self,
        contract: ContractId,
        about: About,
        digest: kernel::Digest,
        out: &mut Vec<Effect>,
    ) -> u64 {
        let id = self.number();
        self.asks.insert(id, about);
        out.push(Effect::Ship { id, contract, digest });
        id
    }

    /// Waits no longer for the answer to a question.
    pub(crate) fn forget(&mut self, ask: Option<u64>) {
        if let Some(id) = ask {
            self.asks.remove(&id);
        }
    }

    /// Says whether a question sends a component.
    pub(crate) fn is_about_shipping(&self, id: u64) -> bool {
        matches!(self.asks.get(&id), Some(About::Shipping(_)))
    }

    /// When a question counts as lost though nobody has said so: a moment after its deadline.
    pub(crate) fn lost_at(now: Time, deadline: Span) -> Time {
        now + deadline.plus(Span::secs(1))
    }

    /// A far end answered, or did not. An answer that nobody waits for any more is of no use.
    fn answered(&mut self, now: Time, id: u64, reply: Result<FabricReply, Refusal>, out: &mut Vec<Effect>) {
        let Some(about) = self.asks.remove(&id) else { return };
        let said = Said::from(reply);
        match about {
            About::Peering(contract) => self.peering_answered(now, contract, said, out),
            About::Deploying(request) => self.deploy_answered(now, request, said, out),
            About::Shipping(request) => self.ship_answered(now, request, said, out),
            About::Leaving(request) => self.undeploy_answered(now, request, &said, out),
            About::Push(instance) => self.push_answered(now, &instance, id, said),
            About::Returning(contract) => self.returning_answered(now, contract, &said),
            About::Logs(ticket) => self.logs_answered(id, ticket, said, out),
        }
    }

    /// A node can be reached again: what waits for it waits no longer.
    fn peer_up(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let provided: Vec<_> = self.peerings.iter().filter(|(_, it)| it.provider == node).map(|(id, _)| *id).collect();
        for contract in provided {
            self.reopen(now, contract, out);
        }
        let serving = |lodging: &Lodging| lodging.customer() == Some(node);
        let lodged: Vec<_> = self.lodgings.iter().filter(|(_, it)| serving(it)).map(|(id, _)| *id).collect();
        for allocation in lodged {
            self.push_all(now, allocation, out);
        }
        self.tell_returned(now, node);
    }

    fn due(&mut self, now: Time, due: Due, out: &mut Vec<Effect>) {
        match due {
            Due::Peering(contract) => self.peering_due(now, contract, out),
            Due::Replica(request) => self.replica_due(now, request, out),
            Due::Leaving(request) => self.leaving_due(now, request, out),
            Due::Push(instance) => self.push_due(now, &instance, out),
            Due::Returning(contract) => self.returning_due(now, contract, out),
            Due::Logs(id) => self.answered(now, id, Err(Code::Timeout.into()), out),
            Due::Stuck(allocation) => self.stuck_due(now, allocation, out),
        }
    }
}

/// What became of a question to a far end.
#[derive(Debug)]
pub(crate) enum Said {
    /// The far end answered.
    Answer(FabricAnswer, rear_proto::Extensions),
    /// The far end refused.
    Refused(Refusal),
    /// Nothing came back: the refusal is this node's own.
    Nothing(Refusal),
}

impl From<Result<FabricReply, Refusal>> for Said {
    fn from(reply: Result<FabricReply, Refusal>) -> Self {
        match reply {
            Ok(FabricReply { answer: FabricAnswer::Refused(refusal), .. }) => Self::Refused(refusal),
            Ok(FabricReply { answer, extensions, .. }) => Self::Answer(answer, extensions),
            Err(refusal) => Self::Nothing(refusal),
        }
    }
}

impl Said {
    /// Returns the refusal for an answer that is none to what was asked.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Answer(..) => Refusal::new(Code::Malformed, "the far end answered something else than was asked"),
            Self::Refused(refusal) | Self::Nothing(refusal) => refusal,
        }
    }
}

/// Makes a question that no story follows.
pub(crate) fn ask(request: FabricRequest) -> FabricAsk {
    FabricAsk { request, tell: false, extensions: BTreeMap::new() }
}

/// Makes the answer to a question; the agent adds the steps.
pub(crate) fn reply(ticket: kernel::Ticket, answer: impl Into<FabricReply>) -> Effect {
    Effect::Reply { ticket, reply: Box::new(answer.into()) }
}

/// Makes an answer without steps or extensions.
pub(crate) const fn plain(answer: FabricAnswer) -> FabricReply {
    FabricReply { answer, steps: Vec::new(), extensions: BTreeMap::new() }
}

/// Makes an answer that refuses.
pub(crate) fn refuse(ticket: kernel::Ticket, code: Code, text: impl Into<String>) -> Effect {
    reply(ticket, plain(FabricAnswer::Refused(Refusal::new(code, text))))
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Peer { allocation, contract, provider, trace } => {
                self.peer(now, allocation, contract, provider, trace, out);
            }
            Input::Activated { allocation, trace: _ } => self.activated(allocation, out),
            Input::Clear { allocation } => self.clear(now, allocation, out),
            Input::LookedUp { inquiry, found, trace: _ } => self.looked_up(inquiry, found, out),
            Input::Revived { contract, customer } => self.revived(now, contract, customer),
            Input::Closed { contract } => self.closed(now, contract, out),
            Input::Deploy { request, on, workload } => self.deploy(now, request, on, workload, out),
            Input::Undeploy { request, on, workload } => self.undeploy(now, request, on, workload, out),
            Input::Logs { ticket, request, from, wait } => self.logs(now, ticket, request, from, wait, out),
            Input::Heard { ticket, contract, peer, ask, trace } => {
                self.heard(now, ticket, contract, peer, *ask, trace, out);
            }
            Input::Answered { id, reply } => self.answered(now, id, reply, out),
            Input::PeerUp { node } => self.peer_up(now, node, out),
            Input::InstanceStatus { instance, status } => self.instance_status(now, &instance, status, out),
            Input::InstanceMissing { instance, digest } => self.instance_missing(&instance, digest, out),
            Input::InstanceGone { instance } => self.instance_gone(now, &instance, out),
            Input::LogsRead { inquiry, lines, next } => self.logs_read(inquiry, lines, next, out),
            Input::Exposed { request, port, url } => self.exposed(request, port, url, out),
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        self.timers.next()
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some(due) = self.timers.take(now) {
            self.due(now, due, out);
        }
    }
}
