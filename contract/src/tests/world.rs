//! Two nodes with a fake REAR each, a disk that survives crashes, and a wire whose messages the test delivers, drops,
//! repeats and delays.

use std::collections::{BTreeMap, VecDeque};

use kernel::{AllocationId, AskId, ContractId, Key, Manager as _, NodeId, RequestId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Epoch, Mode, Refusal, Request, Row, Table, Trace,
    local::{Caller, Side, Wish},
    membership::Role,
    message::EndReason,
    story::Deed,
    wire::codec,
};

use super::samples::*;
use crate::{Config, ContractView, Effect, Input, Manager};

/// The consumer's number.
pub(super) const C: usize = 0;
/// The provider's number.
pub(super) const P: usize = 1;

/// As whom the two ask each other.
const MEMBER: Caller = Caller::Member(Role::Node);

/// What the provider has to give, in cores.
pub(super) const POOL: u64 = 4;

/// Granted capacity: how much, for which contract, and whether it was closed and waits to be free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) cores: u64,
    pub(super) contract: Option<ContractId>,
    pub(super) closed: Option<EndReason>,
}

/// One node.
pub(super) struct Node {
    pub(super) manager: Manager,
    number: u8,
    config: Config,
    starts: u32,
    /// The disk: the tables, and every row that was ever written.
    pub(super) tables: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(super) ledger: Vec<Row>,
    /// The fake REAR's allocations; on the disk too, in the same batches.
    pub(super) grants: BTreeMap<AllocationId, Grant>,
    /// What the manager has told the others of its node.
    pub(super) told: Vec<Effect>,
    /// The next batch is written, and then the node crashes before a word of it gets out.
    pub(super) dies: bool,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Ask { to: usize, from: usize, starts: u32, ask: AskId, request: Request },
    Answer { to: usize, starts: u32, ask: AskId, answer: Answer },
}

/// A question that waits for its answer at the asker.
struct Open {
    until: Time,
    node: usize,
    starts: u32,
    ask: AskId,
}

/// The two of them.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: [Node; 2],
    pub(super) wire: VecDeque<Message>,
    /// Every question that was ever sent, for saying it again.
    pub(super) said: Vec<(usize, Request)>,
    open: Vec<Open>,
    tickets: BTreeMap<Ticket, Option<(usize, u32, AskId)>>,
    next_ticket: u64,
    /// Answers to questions that the test itself asked.
    pub(super) replies: BTreeMap<Ticket, Answer>,
    /// Whether capacity is free as soon as it is closed.
    pub(super) frees_at_once: bool,
}

pub(super) fn id(number: usize) -> NodeId {
    signer(number as u8 + 1).id()
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let node = |number: u8| Node {
            manager: member(number, config.clone()),
            number,
            config: config.clone(),
            starts: 1,
            tables: BTreeMap::new(),
            ledger: Vec::new(),
            grants: BTreeMap::new(),
            told: Vec::new(),
            dies: false,
        };
        Self {
            now: NOW,
            nodes: [node(1), node(2)],
            wire: VecDeque::new(),
            said: Vec::new(),
            open: Vec::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            replies: BTreeMap::new(),
            frees_at_once: true,
        }
    }

    /// Hands a node one input, and commits what comes of it as one batch.
    pub(super) fn give(&mut self, node: usize, input: Input) {
        let mut effects = Vec::new();
        self.nodes[node].manager.handle(self.now, input, &mut effects);
        self.commit(node, effects);
    }

    fn commit(&mut self, node: usize, effects: Vec<Effect>) {
        let mut todo: VecDeque<Effect> = effects.into();
        let (mut rows, mut words) = (Vec::new(), Vec::new());
        while let Some(effect) = todo.pop_front() {
            let mail = match effect {
                Effect::Keep(row) => {
                    rows.push(row);
                    None
                }
                Effect::Reserve { allocation, partition, .. } => Some(self.reserve(node, allocation, &partition)),
                Effect::Bind { allocation, contract } => {
                    let grant = self.nodes[node].grants.get_mut(&allocation).expect("what is bound was granted");
                    grant.contract = Some(contract);
                    None
                }
                Effect::Close { allocation, reason } => {
                    let grant = self.nodes[node].grants.get_mut(&allocation).expect("what is closed was granted");
                    assert_eq!(grant.closed.replace(reason), None, "closed twice");
                    if self.frees_at_once {
                        self.nodes[node].grants.remove(&allocation);
                        Some(Input::Freed { allocation })
                    } else {
                        None
                    }
                }
                other => {
                    words.push(other);
                    None
                }
            };
            if let Some(input) = mail {
                let mut more = Vec::new();
                self.nodes[node].manager.handle(self.now, input, &mut more);
                todo.extend(more);
            }
        }
        for row in rows {
            match &row.value {
                Some(value) => self.nodes[node].tables.insert((row.table, row.key.clone()), value.clone()),
                None => self.nodes[node].tables.remove(&(row.table, row.key.clone())),
            };
            self.nodes[node].ledger.push(row);
        }
        if std::mem::take(&mut self.nodes[node].dies) {
            return self.crash(node);
        }
        for word in words {
            self.speak(node, word);
        }
    }

    fn reserve(&mut self, node: usize, allocation: AllocationId, partition: &kernel::Resources) -> Input {
        let cores = u64::try_from(partition.cpu.nanos() / 1_000_000_000).unwrap();
        if self.used(node) + cores > POOL {
            return Input::Denied { allocation, refusal: Refusal::new(Code::Unavailable, "there is no room") };
        }
        let before = self.nodes[node].grants.insert(allocation, Grant { cores, contract: None, closed: None });
        assert_eq!(before, None, "granted twice");
        Input::Granted { allocation, price: rate("0.2EUR/h"), epoch: Epoch::default() }
    }

    fn speak(&mut self, node: usize, word: Effect) {
        match word {
            Effect::Ask { ask, to, request, deadline, .. } => {
                let starts = self.nodes[node].starts;
                self.open.push(Open { until: self.now + deadline, node, starts, ask });
                let to = usize::from(to.node == id(P));
                let request: Request = codec::decode(&codec::encode(&request)).unwrap();
                self.said.push((node, request.clone()));
                self.wire.push_back(Message::Ask { to, from: node, starts, ask, request });
            }
            Effect::Reply { ticket, answer } => {
                let answer: Answer = codec::decode(&codec::encode(&answer)).unwrap();
                match self.tickets.remove(&ticket).expect("each question is answered once") {
                    Some((to, starts, ask)) => self.wire.push_back(Message::Answer { to, starts, ask, answer }),
                    None => {
                        self.replies.insert(ticket, answer);
                    }
                }
            }
            told => self.nodes[node].told.push(told),
        }
    }

    /// Asks a node something out of the blue, as the other; returns its answer, where it came at once.
    pub(super) fn ask(&mut self, to: usize, from: NodeId, request: Request) -> Option<Answer> {
        let ticket = self.ticket(None);
        self.give(to, Input::Asked { ticket, from, caller: MEMBER, request: Box::new(request), trace: Trace::None });
        self.replies.remove(&ticket)
    }

    fn ticket(&mut self, asker: Option<(usize, u32, AskId)>) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(Ticket(self.next_ticket), asker);
        Ticket(self.next_ticket)
    }

    /// Delivers one message.
    pub(super) fn deliver(&mut self, message: Message) {
        match message {
            Message::Ask { to, from, starts, ask, request } => {
                let ticket = self.ticket(Some((from, starts, ask)));
                let request = Box::new(request);
                self.give(
                    to,
                    Input::Asked { ticket, from: id(from), caller: MEMBER, request, trace: Trace::Served(ticket.0) },
                );
            }
            Message::Answer { to, starts, ask, answer } => {
                let waits = |open: &Open| open.node == to && open.ask == ask && open.starts == starts;
                // A node that has restarted, or waits no longer, does not hear it.
                let Some(at) = self.open.iter().position(waits) else { return };
                self.open.remove(at);
                self.give(to, Input::Answered { ask, from: id(1 - to), answer: Ok(answer) });
            }
        }
    }

    /// Delivers everything, and what it leads to.
    pub(super) fn settle(&mut self) {
        while let Some(message) = self.wire.pop_front() {
            self.deliver(message);
        }
    }

    /// Lets time pass: whatever is due happens; messages stay where they are.
    pub(super) fn pass(&mut self, span: Span, settle: bool) {
        let end = self.now + span;
        loop {
            if settle {
                self.settle();
            }
            let wakes = self.nodes.iter().filter_map(|node| node.manager.next_wake()).map(|(at, _)| at);
            let next = wakes.chain(self.open.iter().map(|open| open.until)).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            for node in [C, P] {
                if self.nodes[node].manager.next_wake().is_some_and(|(at, _)| at <= self.now) {
                    let mut effects = Vec::new();
                    self.nodes[node].manager.wake(self.now, &mut effects);
                    let next = self.nodes[node].manager.next_wake();
                    assert!(next.is_none_or(|(at, _)| at > self.now), "what is due is done: {next:?}");
                    self.commit(node, effects);
                }
            }
            while let Some(at) = self.open.iter().position(|open| open.until <= self.now) {
                let Open { node, ask, .. } = self.open.remove(at);
                let answer = Err(Code::Timeout.into());
                self.give(node, Input::Answered { ask, from: id(1 - node), answer });
            }
        }
        self.now = end;
    }

    /// Lets time pass on a wire that works.
    pub(super) fn run(&mut self, span: Span) {
        self.pass(span, true);
    }

    /// Kills a node and starts it anew from its disk.
    pub(super) fn crash(&mut self, number: usize) {
        self.open.retain(|open| open.node != number);
        let node = &mut self.nodes[number];
        node.dies = false;
        node.starts += 1;
        node.manager = member(node.number, node.config.clone());
        // At a start the runtime has swept away what no live contract owns.
        node.grants.retain(|_, grant| grant.closed.is_none());
        for ((table, key), value) in &node.tables {
            node.manager.restore(*table, key, value).unwrap();
        }
        let (starts, mut effects) = (node.starts, Vec::new());
        node.manager.start(self.now, starts, &mut effects);
        self.commit(number, effects);
    }

    /// Says that all closed capacity is free.
    pub(super) fn free(&mut self) {
        for node in [C, P] {
            let closed = self.nodes[node].grants.iter().filter(|(_, grant)| grant.closed.is_some());
            let closed: Vec<AllocationId> = closed.map(|(allocation, _)| *allocation).collect();
            for allocation in closed {
                self.nodes[node].grants.remove(&allocation);
                self.give(node, Input::Freed { allocation });
            }
        }
    }

    pub(super) fn buy(&mut self, wish: Wish) {
        let request = RequestId(u64::from(wish.key.0[0]));
        self.give(C, Input::Start { request, wish: Box::new(wish), trace: Trace::Own(1) });
    }

    /// Buys, and lets everything that follows happen; returns the contract.
    pub(super) fn bought(&mut self, key: u8, mode: Mode) -> ContractId {
        self.buy(wish(id(P), key, mode));
        self.settle();
        if mode == Mode::Hold {
            self.purchase(key);
            self.settle();
        }
        self.live(C).first().map(|view| view.id).unwrap_or_else(|| panic!("no contract: {:?}", self.nodes[C].told))
    }

    pub(super) fn purchase(&mut self, key: u8) {
        let request = RequestId(u64::from(key));
        self.give(C, Input::Purchase { request, key: Key([key; 16]), trace: Trace::Own(1) });
    }

    pub(super) fn end(&mut self, key: u8) {
        self.give(C, Input::End { key: Key([key; 16]), reason: EndReason::Released });
    }

    /// Opens the peering of a contract at both ends.
    pub(super) fn activate(&mut self, contract: ContractId) {
        self.give(C, Input::Activated { contract });
        self.give(P, Input::Activated { contract });
    }

    pub(super) fn live(&self, node: usize) -> Vec<ContractView> {
        self.nodes[node].manager.contracts().filter(|view| view.state.is_live()).collect()
    }

    pub(super) fn view(&self, node: usize, contract: ContractId) -> ContractView {
        self.nodes[node].manager.contract(&contract).unwrap()
    }

    pub(super) fn used(&self, node: usize) -> u64 {
        self.nodes[node].grants.values().map(|grant| grant.cores).sum()
    }

    pub(super) fn deeds(&self, node: usize) -> Vec<Deed> {
        let deed = |effect: &Effect| match effect {
            Effect::Did(_, deed) => Some(*deed),
            _ => None,
        };
        self.nodes[node].told.iter().filter_map(deed).collect()
    }

    /// Returns why what was asked for under a key was refused, each time it was.
    pub(super) fn refusals(&self, key: u8) -> Vec<Code> {
        let refusal = |effect: &Effect| match effect {
            Effect::Refused { key: of, refusal, .. } if *of == Key([key; 16]) => Some(refusal.code()),
            _ => None,
        };
        self.nodes[C].told.iter().filter_map(refusal).collect()
    }

    /// Returns why what was bought under a key has ended, each time that REAR was told.
    pub(super) fn ends(&self, key: u8) -> Vec<EndReason> {
        let end = |effect: &Effect| match effect {
            Effect::Ended { key: of, reason, .. } if *of == Key([key; 16]) => Some(*reason),
            _ => None,
        };
        self.nodes[C].told.iter().filter_map(end).collect()
    }

    /// Says how often routers were deployed and closed at a node.
    pub(super) fn routers(&self, node: usize) -> (usize, usize) {
        let told = &self.nodes[node].told;
        let deployed = told.iter().filter(|effect| matches!(effect, Effect::DeployRouter { .. })).count();
        let closed = told.iter().filter(|effect| matches!(effect, Effect::Closed { .. })).count();
        (deployed, closed)
    }

    /// Checks what must hold when all is quiet: both parties have the same contracts alive, as the same bytes, and
    /// capacity is taken for those alone.
    pub(super) fn check_quiet(&self) {
        let alive = |node| {
            let mut alive: Vec<_> = self.live(node).iter().map(|view| (view.digest, view.key)).collect();
            alive.sort_unstable();
            alive
        };
        assert_eq!(alive(C), alive(P), "both live or neither");
        let granted: Vec<_> = self.nodes[P].grants.values().map(|grant| grant.contract).collect();
        let mut lives: Vec<_> = self.live(P).iter().map(|view| Some(view.id)).collect();
        let mut granted_sorted = granted.clone();
        granted_sorted.sort_unstable();
        lives.sort_unstable();
        assert_eq!(granted_sorted, lives, "capacity is taken by live contracts alone");
        for node in [C, P] {
            assert_eq!(self.nodes[node].manager.unsettled(), 0, "nothing is under way at {node}");
            let side = if node == C { Side::Consumer } else { Side::Provider };
            assert!(self.live(node).iter().all(|view| view.role == side));
        }
    }
}
