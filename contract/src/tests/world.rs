//! Two nodes with a fake REAR each, a disk that survives crashes, and a wire whose messages the test delivers, drops,
//! repeats and delays.

use std::collections::{BTreeMap, VecDeque};

use kernel::{AllocationId, AskId, ContractId, Key, Manager as _, NodeId, RequestId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Epoch, Mode, Refusal, Request, Row, Table, Trace,
    local::{Partner, Side, Wish},
    membership::Role,
    message::EndReason,
    price::{Margin, Rate},
    story::Deed,
    wire::codec,
};

use super::samples::*;
use crate::{Config, ContractView, Effect, Input, Manager};

/// The consumer's number.
pub(super) const C: usize = 0;
/// The provider's number.
pub(super) const P: usize = 1;

/// The number of the consumer's supernode in a chain.
pub(super) const SC: usize = 1;
/// The number of the provider's supernode in a chain.
pub(super) const SP: usize = 2;
/// The provider's number in a chain.
pub(super) const P4: usize = 3;

/// What the provider has to give, in cores.
pub(super) const POOL: u64 = 4;

/// Granted capacity: how much, for which contract, and whether it was closed and waits to be free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) cores: u64,
    pub(super) contract: Option<ContractId>,
    pub(super) closed: Option<EndReason>,
    /// Whether it is one of type Forwarding, and whether that is in use.
    pub(super) forwarding: Option<bool>,
}

/// What a node is made of, at each of its starts.
#[derive(Debug, Clone)]
pub(super) struct Birth {
    pub(super) number: u8,
    pub(super) home: u8,
    pub(super) role: Role,
    pub(super) partner: Option<Partner>,
    pub(super) config: Config,
}

impl Birth {
    fn manager(&self) -> Manager {
        citizen(self.number, self.home, self.role, self.partner.clone(), self.config.clone())
    }
}

/// One node.
pub(super) struct Node {
    pub(super) manager: Manager,
    pub(super) birth: Birth,
    /// Where its fake Discovery says that orders lead, and what is put on their price.
    pub(super) way: Option<(usize, Margin)>,
    /// How far its clock goes ahead.
    pub(super) skew: Span,
    /// Its fake Discovery says nothing.
    pub(super) ponders: bool,
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
    to: usize,
    starts: u32,
    ask: AskId,
}

/// All of them.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    pub(super) wire: VecDeque<Message>,
    /// Every question that was ever sent, for saying it again.
    pub(super) said: Vec<(usize, usize, Request)>,
    open: Vec<Open>,
    tickets: BTreeMap<Ticket, Option<(usize, u32, AskId)>>,
    next_ticket: u64,
    /// Answers to questions that the test itself asked.
    pub(super) replies: BTreeMap<Ticket, Answer>,
    /// Whether the two domains have suspended each other.
    pub(super) suspended: bool,
    /// The link over which nothing gets.
    pub(super) cut: Option<(usize, usize)>,
    /// Whether capacity is free as soon as it is closed.
    pub(super) frees_at_once: bool,
}

pub(super) fn id(number: usize) -> NodeId {
    signer(number as u8 + 1).id()
}

impl World {
    /// Two nodes in one domain.
    pub(super) fn new(config: Config) -> Self {
        let birth = |number: u8| Birth { number, home: ALPHA, role: Role::Node, partner: None, config: config.clone() };
        Self::of(vec![birth(1), birth(2)])
    }

    pub(super) fn of(births: Vec<Birth>) -> Self {
        let node = |birth: Birth| Node {
            manager: birth.manager(),
            birth,
            way: None,
            skew: Span::ZERO,
            ponders: false,
            starts: 1,
            tables: BTreeMap::new(),
            ledger: Vec::new(),
            grants: BTreeMap::new(),
            told: Vec::new(),
            dies: false,
        };
        Self {
            now: NOW,
            nodes: births.into_iter().map(node).collect(),
            wire: VecDeque::new(),
            said: Vec::new(),
            open: Vec::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            replies: BTreeMap::new(),
            suspended: false,
            cut: None,
            frees_at_once: true,
        }
    }

    /// Hands a node one input, and commits what comes of it as one batch.
    pub(super) fn give(&mut self, node: usize, input: Input) {
        let mut effects = Vec::new();
        let now = self.time(node);
        self.nodes[node].manager.handle(now, input, &mut effects);
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
                Effect::Reserve { allocation, partition, ceiling, .. } => {
                    Some(self.reserve(node, allocation, &partition, &ceiling))
                }
                Effect::Resolve { allocation, flavour, caller: _ } if !self.nodes[node].ponders => {
                    Some(Input::Resolved { allocation, way: Ok(self.way(node, flavour)) })
                }
                Effect::Forward { allocation, .. } => {
                    let grant = Grant { cores: 0, contract: None, closed: None, forwarding: Some(false) };
                    assert_eq!(self.nodes[node].grants.insert(allocation, grant), None, "forwarded twice");
                    None
                }
                Effect::Forwarding { allocation } => {
                    let grant = self.nodes[node].grants.get_mut(&allocation).expect("what is in use is there");
                    grant.forwarding = Some(true);
                    None
                }
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
                let now = self.time(node);
                self.nodes[node].manager.handle(now, input, &mut more);
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

    fn reserve(
        &mut self,
        node: usize,
        allocation: AllocationId,
        partition: &kernel::Resources,
        ceiling: &Rate,
    ) -> Input {
        let price = rate("0.2EUR/h");
        if price.within(ceiling) != Some(true) {
            return Input::Denied { allocation, refusal: Code::PriceTooLow.into() };
        }
        let cores = u64::try_from(partition.cpu.nanos() / 1_000_000_000).unwrap();
        if self.used(node) + cores > POOL {
            return Input::Denied { allocation, refusal: Refusal::new(Code::Unavailable, "there is no room") };
        }
        let before =
            self.nodes[node].grants.insert(allocation, Grant { cores, contract: None, closed: None, forwarding: None });
        assert_eq!(before, None, "granted twice");
        Input::Granted { allocation, price, epoch: Epoch::default() }
    }

    fn speak(&mut self, node: usize, word: Effect) {
        match word {
            Effect::Ask { ask, to, request, deadline, .. } => {
                let starts = self.nodes[node].starts;
                let to = self.index(&to.node);
                self.open.push(Open { until: self.now + deadline, node, to, starts, ask });
                let request: Request = codec::decode(&codec::encode(&request)).unwrap();
                self.said.push((node, to, request.clone()));
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

    /// Returns the time by a node's own clock.
    pub(super) fn time(&self, node: usize) -> Time {
        self.now + self.nodes[node].skew
    }

    /// Returns when a node wants to be woken next, by the world's clock.
    fn wakes(&self, node: usize) -> Option<Time> {
        let (at, _) = self.nodes[node].manager.next_wake()?;
        Some(crate::relay::before(at, self.nodes[node].skew))
    }

    pub(super) fn index(&self, node: &NodeId) -> usize {
        (0..self.nodes.len()).find(|index| id(*index) == *node).expect("one of the nodes")
    }

    /// Asks a node something out of the blue, as the other; returns its answer, where it came at once.
    pub(super) fn ask(&mut self, to: usize, from: NodeId, request: Request) -> Option<Answer> {
        let ticket = self.ticket(None);
        self.give(
            to,
            Input::Asked {
                ticket,
                from,
                caller: self.caller(to, &from),
                request: Box::new(request),
                trace: Trace::None,
            },
        );
        self.replies.remove(&ticket)
    }

    fn ticket(&mut self, asker: Option<(usize, u32, AskId)>) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(Ticket(self.next_ticket), asker);
        Ticket(self.next_ticket)
    }

    /// Says whether the link that a message takes is cut.
    fn is_cut(&self, message: &Message) -> bool {
        let (a, b) = match message {
            Message::Ask { to, from, .. } => (*to, *from),
            Message::Answer { to, ask, starts, .. } => {
                let waits = |open: &&Open| open.node == *to && open.ask == *ask && open.starts == *starts;
                (*to, self.open.iter().find(waits).map_or(*to, |open| open.to))
            }
        };
        self.cut.is_some_and(|cut| cut == (a, b) || cut == (b, a))
    }

    /// Says whether the question that was delivered last has been answered.
    pub(super) fn is_answered(&self) -> bool {
        !self.tickets.contains_key(&Ticket(self.next_ticket))
    }

    /// Delivers one message.
    pub(super) fn deliver(&mut self, message: Message) {
        if self.is_cut(&message) {
            return;
        }
        match message {
            Message::Ask { to, from, starts, ask, request } => {
                let ticket = self.ticket(Some((from, starts, ask)));
                let request = Box::new(request);
                let (caller, from) = (self.caller(to, &id(from)), id(from));
                self.give(to, Input::Asked { ticket, from, caller, request, trace: Trace::Served(ticket.0) });
            }
            Message::Answer { to, starts, ask, answer } => {
                let waits = |open: &Open| open.node == to && open.ask == ask && open.starts == starts;
                // A node that has restarted, or waits no longer, does not hear it.
                let Some(at) = self.open.iter().position(waits) else { return };
                let from = id(self.open.remove(at).to);
                self.give(to, Input::Answered { ask, from, answer: Ok(answer) });
            }
        }
    }

    /// Delivers everything, and what it leads to, except what is for this node, which is lost.
    pub(super) fn settle_to(&mut self, node: usize) {
        while let Some(message) = self.wire.pop_front() {
            let to = match &message {
                Message::Ask { to, .. } | Message::Answer { to, .. } => *to,
            };
            if to != node {
                self.deliver(message);
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
            let wakes = (0..self.nodes.len()).filter_map(|node| self.wakes(node));
            let next = wakes.chain(self.open.iter().map(|open| open.until)).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            for node in 0..self.nodes.len() {
                if self.wakes(node).is_some_and(|at| at <= self.now) {
                    let (mut effects, now) = (Vec::new(), self.time(node));
                    self.nodes[node].manager.wake(now, &mut effects);
                    let next = self.wakes(node);
                    assert!(next.is_none_or(|at| at > self.now), "what is due is done: {next:?}");
                    self.commit(node, effects);
                }
            }
            while let Some(at) = self.open.iter().position(|open| open.until <= self.now) {
                let Open { node, to, ask, .. } = self.open.remove(at);
                let answer = Err(Code::Timeout.into());
                self.give(node, Input::Answered { ask, from: id(to), answer });
            }
        }
        self.now = end;
    }

    /// Lets time pass on a wire that works.
    pub(super) fn run(&mut self, span: Span) {
        self.pass(span, true);
    }

    /// Gives a node other settings, from its start on.
    pub(super) fn set_config(&mut self, node: usize, config: Config) {
        self.nodes[node].birth.config = config;
        self.crash(node);
    }

    /// Kills a node and starts it anew from its disk.
    pub(super) fn crash(&mut self, number: usize) {
        self.open.retain(|open| open.node != number);
        let node = &mut self.nodes[number];
        node.dies = false;
        node.starts += 1;
        node.manager = node.birth.manager();
        // At a start the runtime has swept away what no live contract owns.
        node.grants.retain(|_, grant| grant.closed.is_none());
        for ((table, key), value) in &node.tables {
            node.manager.restore(*table, key, value).unwrap();
        }
        let (starts, mut effects, now) = (node.starts, Vec::new(), self.now + node.skew);
        node.manager.start(now, starts, &mut effects);
        self.commit(number, effects);
    }

    /// Says that all closed capacity is free.
    pub(super) fn free(&mut self) {
        for node in 0..self.nodes.len() {
            self.free_at(node);
        }
    }

    /// Says that all closed capacity of a node is free.
    pub(super) fn free_at(&mut self, node: usize) {
        let closed = self.nodes[node].grants.iter().filter(|(_, grant)| grant.closed.is_some());
        let closed: Vec<AllocationId> = closed.map(|(allocation, _)| *allocation).collect();
        for allocation in closed {
            self.nodes[node].grants.remove(&allocation);
            self.give(node, Input::Freed { allocation });
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
