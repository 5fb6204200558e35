//! A small world for tests: agents with ledgers of their own, a network that loses, repeats and reorders, and
//! nodes that crash between any two events and are reborn from what they kept.

#![allow(dead_code, reason = "each test uses a part of the world")]

use std::collections::{BTreeMap, BTreeSet};

use agent::{Agent, Batch, Command, Config, Event, Identity, Output, Response, invariants::Grants};
use kernel::{
    AskId, ContractId, Digest, DomainKey, IntentId, NodeId, Quantity, Resource, Resources, Rng, Span, Ticket, Time,
};
use network::mail::Route;
use orchestrator::intent::Intent;
use rear::offer::Offer;
use rear_proto::{
    Ask, Code, Kind, Money, Period, Policies, Price, Properties, Refusal, Reply, Signed, Signer, Table,
    fabric::{FabricAnswer, FabricAsk, FabricReply},
    flavour::{Domain, K8Slice, Partitionable, Party},
    membership::{Certificate, Credentials, IssuerList, Role},
    message::Joined,
    wire::codec,
    workload::{Image, Status},
};
use vfabric::mail::Instance;

/// How cruel the world is: each is a chance in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A message is lost.
    pub(crate) lose: u64,
    /// A message comes twice.
    pub(crate) repeat: u64,
    /// A node crashes at an event.
    pub(crate) crash: u64,
}

/// The world.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) nodes: Vec<Node>,
    /// What is to happen, by time and then by order.
    due: BTreeMap<(Time, u64), Due>,
    sequence: u64,
    /// What was done, for a person who repeats a seed.
    pub(crate) trace: Vec<String>,
    pub(crate) crashes: u32,
}

/// A node: what it keeps, and, while it is up, its mind.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    signer: Signer,
    domain: DomainKey,
    config: Config,
    pub(crate) agent: Option<Agent>,
    grants: Grants,
    ledger: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    starts: u32,
    routes: BTreeMap<ContractId, Route>,
    instances: BTreeSet<Instance>,
    modules: BTreeSet<Digest>,
    tickets: u64,
    /// Who waits for the answer to a ticket of this life.
    asked: BTreeMap<Ticket, Waiter>,
    heard: BTreeMap<Ticket, Waiter>,
    pub(crate) responses: BTreeMap<Ticket, Result<Response, Refusal>>,
}

/// Who waits: which node, in which life, with which question.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    node: usize,
    life: u32,
    question: u64,
}

enum Due {
    Ask { to: usize, from: usize, waiter: Waiter, bytes: Vec<u8> },
    Answer { waiter: Waiter, bytes: Result<Vec<u8>, Refusal> },
    Hear { to: usize, from: usize, contract: ContractId, waiter: Waiter, bytes: Vec<u8> },
    FabricAnswer { waiter: Waiter, bytes: Result<Vec<u8>, Refusal> },
    Local { node: usize, life: u32, event: Event },
    Rebirth { node: usize },
}

/// Makes resources.
pub(crate) fn room(cpu: &str, memory: &str) -> Resources {
    Resources {
        cpu: cpu.parse().unwrap(),
        memory: memory.parse().unwrap(),
        pods: Quantity::units(100),
        ..Resources::default()
    }
}

/// Makes an offer in parts of 100m and 16Mi.
pub(crate) fn offer(base: Resources) -> Offer {
    let least = Resources { pods: Quantity::units(1), ..room("100m", "16Mi") };
    Offer {
        name: "machine".to_owned(),
        kind: Kind::K8Slice(K8Slice {
            architecture: "amd64".to_owned(),
            gpu_model: None,
            runtimes: vec!["wasm".to_owned()],
        }),
        base,
        policies: Policies { partitionable: Some(Partitionable { min: least, step: least }), aggregatable: None },
        price: Price {
            amount: Money(400_000),
            currency: rear_proto::Currency::EUR,
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        },
        properties: Properties::default(),
        location: None,
        expires_in: Span::secs(60),
    }
}

impl World {
    /// Makes a world of one domain: its first node is the issuer; each node offers what is given for it.
    pub(crate) fn new(seed: u64, faults: Faults, offers: Vec<Vec<Offer>>, config: &Config) -> Self {
        let mut rng = Rng::from_number(seed);
        let domain_signer = Signer::from_secret(&rng.bytes());
        let now = Time(1_000_000);
        let issuer = Signer::from_secret(&rng.bytes());
        let first = federation::genesis::found("world", &domain_signer, &issuer, Role::Node, now, &config.federation);
        let domain = Domain { key: DomainKey(domain_signer.id().0), name: "world".to_owned() };
        let list = IssuerList {
            domain: domain.clone(),
            number: 1,
            issuers: vec![issuer.id()],
            expires: now + Span::secs(1_000_000),
            extensions: Default::default(),
        };
        let list = Signed::new(list, &domain_signer);
        let mut nodes = Vec::new();
        for (index, offers) in offers.into_iter().enumerate() {
            let signer = if index == 0 { issuer.clone() } else { Signer::from_secret(&rng.bytes()) };
            let rows = if index == 0 { first.clone() } else { member_rows(&list, &domain, &issuer, &signer, now) };
            let mut config = config.clone();
            config.rear.offers = offers;
            nodes.push(Node {
                id: signer.id(),
                signer,
                domain: domain.key,
                config,
                agent: None,
                grants: Grants::default(),
                ledger: BTreeMap::new(),
                starts: 0,
                routes: BTreeMap::new(),
                instances: BTreeSet::new(),
                modules: BTreeSet::new(),
                tickets: 0,
                asked: BTreeMap::new(),
                heard: BTreeMap::new(),
                responses: BTreeMap::new(),
            });
            let node = nodes.last_mut().unwrap();
            rows.into_iter().for_each(|row| node.keep(row));
        }
        let mut world =
            Self { now, rng, faults, nodes, due: BTreeMap::new(), sequence: 0, trace: Vec::new(), crashes: 0 };
        (0..world.nodes.len()).for_each(|node| world.bear(node));
        world
    }

    /// Submits an intent at a node and returns the ticket.
    pub(crate) fn submit(&mut self, node: usize, id: IntentId, intent: Intent) -> Ticket {
        self.nodes[node].modules.extend(digests(&intent));
        self.command(node, Command::Submit { id, intent, contract: None })
    }

    /// Puts a command to a node that is up.
    pub(crate) fn command(&mut self, node: usize, command: Command) -> Ticket {
        let ticket = self.nodes[node].ticket();
        self.event(node, Event::Command { ticket, command: Box::new(command) });
        ticket
    }

    /// Lets time pass until `until`, or until nothing is due before it.
    pub(crate) fn run(&mut self, span: Span) {
        let until = self.now + span;
        while self.step(until) {}
        self.now = until;
    }

    /// Does the next thing that is due; says whether there was one.
    fn step(&mut self, until: Time) -> bool {
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        let wake = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(index, node)| Some((node.agent.as_ref()?.next_wake()?.0, index)))
            .min();
        match (due, wake) {
            (Some(due), wake) if wake.is_none_or(|(at, _)| due <= at) && due <= until => {
                self.now = self.now.max(due);
                if let Some((_, due)) = self.due.pop_first() {
                    self.perform(due);
                }
                true
            }
            (_, Some((at, node))) if at <= until => {
                self.now = self.now.max(at);
                let batch = self.nodes[node].agent.as_mut().map(|agent| agent.wake(self.now));
                if let Some(batch) = batch {
                    self.settle(node, batch);
                }
                true
            }
            _ => false,
        }
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::Ask { to, from, waiter, bytes } => {
                let from = self.nodes[from].id;
                let node = &mut self.nodes[to];
                if node.agent.is_none() {
                    return;
                }
                let ask: Ask = codec::decode(&bytes).unwrap();
                ask.validate().unwrap();
                let ticket = node.ticket();
                node.asked.insert(ticket, waiter);
                self.event(to, Event::Asked { ticket, from, ask: Box::new(ask) });
            }
            Due::Answer { waiter, bytes } => {
                if !self.lives(waiter) {
                    return;
                }
                let reply = bytes.map(|bytes| {
                    let reply: Reply = codec::decode(&bytes).unwrap();
                    reply.validate().unwrap();
                    Box::new(reply)
                });
                self.event(waiter.node, Event::Answered { ask: AskId(waiter.question), reply });
            }
            Due::Hear { to, from, contract, waiter, bytes } => {
                let peer = self.nodes[from].id;
                let node = &mut self.nodes[to];
                let admitted =
                    node.agent.is_some() && node.routes.get(&contract).is_some_and(|route| route.peer.node == peer);
                if !admitted {
                    let refusal = Refusal::new(Code::Closed, "the far end does not know this contract");
                    return self.later(1, Due::FabricAnswer { waiter, bytes: Err(refusal) });
                }
                let ask: FabricAsk = codec::decode(&bytes).unwrap();
                ask.validate().unwrap();
                let ticket = node.ticket();
                node.heard.insert(ticket, waiter);
                self.event(to, Event::Heard { ticket, contract, ask: Box::new(ask) });
            }
            Due::FabricAnswer { waiter, bytes } => {
                if !self.lives(waiter) {
                    return;
                }
                let reply = bytes.map(|bytes| Box::new(codec::decode::<FabricReply>(&bytes).unwrap()));
                self.event(waiter.node, Event::FabricAnswered { id: waiter.question, reply });
            }
            Due::Local { node, life, event } => {
                if self.nodes[node].starts != life || self.nodes[node].agent.is_none() {
                    return;
                }
                if let Event::InstanceGone { instance } = &event {
                    self.nodes[node].instances.remove(instance);
                }
                self.event(node, event);
            }
            Due::Rebirth { node } => self.bear(node),
        }
    }

    fn lives(&self, waiter: Waiter) -> bool {
        let node = &self.nodes[waiter.node];
        node.agent.is_some() && node.starts == waiter.life
    }

    /// Hands one event to a node's mind, and what follows to the world; the node may crash instead.
    pub(crate) fn event(&mut self, node: usize, event: Event) {
        let Some(agent) = &mut self.nodes[node].agent else { return };
        let batch = agent.handle(self.now, event);
        self.settle(node, batch);
    }

    fn settle(&mut self, node: usize, batch: Batch) {
        let Node { agent, grants, .. } = &mut self.nodes[node];
        if let Some(agent) = agent
            && let Err(violation) = grants.check(agent.managers())
        {
            panic!("at {:?}: {violation}\n{}", self.now, self.trace.join("\n"));
        }
        let Batch { rows, outputs } = batch;
        let (promises, free): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Output::promises);
        free.into_iter().for_each(|output| self.output(node, output));
        // Between any two of these the node may end.
        if self.chance(self.faults.crash) {
            return self.crash(node, "before its rows were kept");
        }
        rows.into_iter().for_each(|row| self.nodes[node].keep(row));
        if self.chance(self.faults.crash) {
            return self.crash(node, "before it spoke");
        }
        promises.into_iter().for_each(|output| self.output(node, output));
    }

    fn output(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].starts;
        let waiter = |question| Waiter { node, life, question };
        match output {
            Output::Ask { ask, to, body, deadline } => {
                self.trace.push(format!("{} {node} asks {}", self.now.0, body.request.name()));
                let waiter = waiter(ask.0);
                let timeout = Refusal::from(Code::Timeout);
                self.after(deadline, Due::Answer { waiter, bytes: Err(timeout) });
                if let Some(to) = self.index(&to.node) {
                    let bytes = codec::encode(&*body);
                    self.send(|| Due::Ask { to, from: node, waiter, bytes: bytes.clone() });
                }
            }
            Output::Reply { ticket, reply } => {
                if let Some(waiter) = self.nodes[node].asked.remove(&ticket) {
                    let bytes = codec::encode(&*reply);
                    self.send(|| Due::Answer { waiter, bytes: Ok(bytes.clone()) });
                }
            }
            Output::Transmit { id, contract, ask, deadline } => {
                let waiter = waiter(id);
                self.after(deadline, Due::FabricAnswer { waiter, bytes: Err(Code::Timeout.into()) });
                let peer = self.nodes[node].routes.get(&contract).map(|route| route.peer.node);
                if let Some(to) = peer.and_then(|peer| self.index(&peer)) {
                    let bytes = codec::encode(&*ask);
                    self.send(|| Due::Hear { to, from: node, contract, waiter, bytes: bytes.clone() });
                }
            }
            Output::FabricReply { ticket, reply } => {
                if let Some(waiter) = self.nodes[node].heard.remove(&ticket) {
                    let bytes = codec::encode(&*reply);
                    self.send(|| Due::FabricAnswer { waiter, bytes: Ok(bytes.clone()) });
                }
            }
            Output::Ship { id, contract, digest } => {
                let peer = self.nodes[node].routes.get(&contract).map(|route| route.peer.node);
                let to = peer.and_then(|peer| self.index(&peer));
                let answer = match to {
                    Some(to) if self.nodes[to].agent.is_some() => {
                        self.nodes[to].modules.insert(digest);
                        let reply = FabricReply {
                            answer: FabricAnswer::Done,
                            steps: Vec::new(),
                            extensions: Default::default(),
                        };
                        Ok(codec::encode(&reply))
                    }
                    _ => Err(Refusal::from(Code::Unavailable)),
                };
                self.later(3, Due::FabricAnswer { waiter: waiter(id), bytes: answer });
            }
            Output::Install(route) => {
                self.nodes[node].routes.insert(route.contract, route);
            }
            Output::Remove { contract } => {
                self.nodes[node].routes.remove(&contract);
            }
            Output::Start { instance, workload, .. } => {
                let Image::Wasm { digest, .. } = workload.image else { panic!("an image that nobody submitted") };
                if !self.nodes[node].modules.contains(&digest) {
                    return self.local(node, 1, Event::InstanceMissing { instance, digest });
                }
                if self.nodes[node].instances.insert(instance.clone()) {
                    let status = Status::Running;
                    self.local(node, 5, Event::InstanceStatus { instance, status });
                }
            }
            Output::Stop { instance, .. } => self.local(node, 4, Event::InstanceGone { instance }),
            Output::Expose { request, name, port, .. } => {
                let url = format!("http://127.0.0.1:{port}/");
                self.local(node, 1, Event::Exposed { request, port: name, url });
            }
            Output::Respond { ticket, result } => {
                self.nodes[node].responses.insert(ticket, result);
            }
            Output::ReadLogs { inquiry, from, .. } => {
                self.local(node, 1, Event::LogsRead { inquiry, lines: Vec::new(), next: from });
            }
            Output::KeepConnected(_)
            | Output::Block(_)
            | Output::Trust(..)
            | Output::Sweep { .. }
            | Output::Unexpose { .. }
            | Output::Changed(_) => {}
        }
    }

    /// Ends a node at once, with all that was not kept.
    pub(crate) fn crash(&mut self, node: usize, when: &str) {
        self.trace.push(format!("{} {node} crashes {when}", self.now.0));
        self.crashes += 1;
        let dead = &mut self.nodes[node];
        dead.agent = None;
        dead.routes.clear();
        dead.instances.clear();
        dead.asked.clear();
        dead.heard.clear();
        let id = dead.id;
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let life = self.nodes[other].starts;
            self.later(2, Due::Local { node: other, life, event: Event::PeerDown { node: id } });
        }
        let wait = 10 + self.rng.below(3000);
        self.later(wait, Due::Rebirth { node });
    }

    /// Brings a node to life from what it kept.
    fn bear(&mut self, index: usize) {
        let seed = self.rng.number();
        let node = &mut self.nodes[index];
        node.starts += 1;
        node.grants = Grants::default();
        let identity = Identity { signer: node.signer.clone(), domain: node.domain };
        let mut agent = Agent::new(node.config.clone(), identity, Rng::from_number(seed));
        agent.shuffle(Rng::from_number(seed ^ 1));
        for ((table, key), value) in &node.ledger {
            agent.restore(*table, key, value).unwrap();
        }
        let batch = agent.start(self.now, node.starts);
        node.agent = Some(agent);
        self.trace.push(format!("{} {index} starts", self.now.0));
        self.settle(index, batch);
        // Those that are up find each other.
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            if self.nodes[other].agent.is_none() {
                continue;
            }
            for (at, of) in [(index, other), (other, index)] {
                let (life, node) = (self.nodes[at].starts, self.nodes[of].id);
                let party = Party { node, addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 1000 + of)] };
                self.later(3, Due::Local { node: at, life, event: Event::PeerUp { party } });
            }
        }
    }

    /// Stops all faults: what happens from here on is what the survivors make of it.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::default();
    }

    /// Returns the managers of all nodes; every node must be up.
    pub(crate) fn managers(&self) -> Vec<&agent::Managers> {
        self.nodes.iter().map(|node| node.agent.as_ref().expect("every node is up").managers()).collect()
    }

    fn send(&mut self, message: impl Fn() -> Due) {
        if self.chance(self.faults.lose) {
            return;
        }
        let delay = 1 + self.rng.below(20);
        self.later(delay, message());
        if self.chance(self.faults.repeat) {
            let delay = 1 + self.rng.below(400);
            self.later(delay, message());
        }
    }

    fn local(&mut self, node: usize, millis: u64, event: Event) {
        let life = self.nodes[node].starts;
        let delay = millis + self.rng.below(5);
        self.later(delay, Due::Local { node, life, event });
    }

    fn later(&mut self, millis: u64, due: Due) {
        self.after(Span::millis(millis), due);
    }

    fn after(&mut self, span: Span, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + span, self.sequence), due);
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.rng.below(1000) < thousandths
    }

    fn index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *id)
    }
}

impl Node {
    fn keep(&mut self, row: rear_proto::Row) {
        match row.value {
            Some(value) => self.ledger.insert((row.table, row.key), value),
            None => self.ledger.remove(&(row.table, row.key)),
        };
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

/// The rows of a node that has joined at the issuer.
fn member_rows(
    list: &Signed<IssuerList>,
    domain: &Domain,
    issuer: &Signer,
    node: &Signer,
    now: Time,
) -> Vec<rear_proto::Row> {
    let certificate = Certificate {
        domain: domain.key,
        node: node.id(),
        role: Role::Node,
        issuer: issuer.id(),
        issued: now,
        expires: now + Span::secs(30 * 86_400),
        extensions: Default::default(),
    };
    let credentials = Credentials { list: list.clone(), certificate: Signed::new(certificate, issuer) };
    let joined = Joined { credentials, descriptor: None, peers: Vec::new(), extensions: Default::default() };
    let token = rear_proto::membership::Token {
        domain: domain.clone(),
        issuer: Party { node: issuer.id(), addresses: Vec::new() },
        secret: [0; 16],
        role: Role::Node,
        expires: now + Span::secs(60),
    };
    federation::genesis::joined(&token, node.id(), &joined, now).unwrap()
}

/// Which components an intent needs.
fn digests(intent: &Intent) -> Vec<Digest> {
    intent
        .workloads
        .iter()
        .filter_map(|workload| match workload.workload.image {
            Image::Wasm { digest, .. } => Some(digest),
            Image::Oci(_) => None,
        })
        .collect()
}
