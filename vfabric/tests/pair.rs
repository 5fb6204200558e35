//! A consumer and a provider over a line that loses, repeats and reorders, with restarts of both: in the end what
//! should run does, what should not does not, and the consumer knows how it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{ALLOCATION, CONTRACT, DIGEST, ME, PEER, THERE, signed, workload};
use kernel::{AllocationId, Manager as _, NodeId, RequestId, Rng, Span, Ticket, Time};
use rear_proto::{
    Code, Refusal, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply},
    local::SignedContract,
    workload::Status,
};
use vfabric::{
    Config, Effect, Input, Manager, PeeringState,
    mail::{Instance, Target},
};

/// The consumer's allocation of type VirtualNode.
const VIRTUAL: AllocationId = AllocationId([8; 16]);
const CONSUMER: usize = 0;
const PROVIDER: usize = 1;
const IDS: [NodeId; 2] = [ME, PEER];

/// What will happen.
enum Next {
    /// At a node, if it still lives as it did.
    Input(usize, u32, Box<Input>),
    /// A question arrives at a node: in which life of it, from which life of the other, under which number.
    Arrives { to: usize, life: u32, from: u32, id: u64, ask: Box<FabricAsk> },
    /// The component arrives.
    Component { from: u32, id: u64 },
    /// A node ends and begins anew.
    Restart(usize),
}

struct World {
    rng: Rng,
    now: Time,
    /// Everything that will happen, by time; what comes at the same time, in the order of its making.
    future: BTreeMap<(Time, u64), Next>,
    made: u64,
    nodes: [Manager; 2],
    lives: [u32; 2],
    /// Whose question each ticket is: the asker's life, its number.
    tickets: BTreeMap<Ticket, (usize, u32, u64)>,
    /// What the provider's runtime runs.
    runs: BTreeMap<Instance, Status>,
    cached: bool,
    active: bool,
    closed: bool,
    gone: bool,
    /// What the orchestrator was last told.
    told: BTreeMap<RequestId, Status>,
    undeployed: BTreeSet<RequestId>,
    wanted: BTreeMap<RequestId, String>,
    unwanted: BTreeMap<RequestId, String>,
    exposed: BTreeSet<RequestId>,
    /// From when on nothing gets lost any more.
    calm: Time,
    /// The most that ran at once.
    most: usize,
    /// Whether neither sees when the other comes back: there is a relay between them.
    relayed: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_number(seed);
        let mut node = |id| Manager::new(Config::default(), IDS[id], rng.fork());
        let nodes = [node(CONSUMER), node(PROVIDER)];
        let mut world = Self {
            rng,
            now: Time(1_000_000),
            future: BTreeMap::new(),
            made: 0,
            nodes,
            lives: [0; 2],
            tickets: BTreeMap::new(),
            runs: BTreeMap::new(),
            cached: false,
            active: false,
            closed: false,
            gone: false,
            told: BTreeMap::new(),
            undeployed: BTreeSet::new(),
            wanted: BTreeMap::new(),
            unwanted: BTreeMap::new(),
            exposed: BTreeSet::new(),
            calm: Time::MAX,
            most: 0,
            relayed: false,
        };
        world.begin(CONSUMER);
        world.begin(PROVIDER);
        world
    }

    fn later(&mut self, most: u64, next: Next) {
        let at = self.now + Span::millis(self.rng.below(most));
        self.made += 1;
        self.future.insert((at, self.made), next);
    }

    /// A new life of a node.
    fn begin(&mut self, node: usize) {
        self.lives[node] += 1;
        // What it was asked and has not answered is lost with it.
        self.tickets.retain(|_, (asker, ..)| *asker == node);
        self.nodes[node] = Manager::new(Config::default(), IDS[node], self.rng.fork());
        let mut out = Vec::new();
        self.nodes[node].start(self.now, self.lives[node], &mut out);
        self.act(node, out);
        if node == PROVIDER {
            self.active = false;
        }
    }

    fn input(&mut self, node: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[node].handle(self.now, input, &mut out);
        self.act(node, out);
    }

    fn soon(&mut self, node: usize, input: Input) {
        let life = self.lives[node];
        self.later(1, Next::Input(node, life, Box::new(input)));
    }

    /// Does what a node asks for, as its agent, the line and its runtime would.
    fn act(&mut self, node: usize, out: Vec<Effect>) {
        let life = self.lives[node];
        for effect in out {
            match effect {
                Effect::Send { id, ask, deadline, .. } => {
                    let other = 1 - node;
                    let lossy = self.now < self.calm;
                    for _ in 0..if lossy { self.rng.below(3) } else { 1 } {
                        let late = if lossy { 20_000 } else { 50 };
                        self.later(
                            late,
                            Next::Arrives { to: other, life: self.lives[other], from: life, id, ask: ask.clone() },
                        );
                    }
                    let silence = Input::Answered { id, reply: Err(Code::Timeout.into()) };
                    self.made += 1;
                    self.future.insert((self.now + deadline, self.made), Next::Input(node, life, Box::new(silence)));
                }
                Effect::Ship { id, digest, .. } => {
                    assert_eq!(digest, DIGEST);
                    self.later(2000, Next::Component { from: life, id });
                }
                Effect::Reply { ticket, reply } => self.reply(ticket, *reply),
                Effect::LookUp { inquiry, contract, customer, trace } => {
                    assert_eq!((node, contract, customer), (PROVIDER, CONTRACT, ME));
                    let found = (!self.closed).then(|| SignedContract { customer: ME, abroad: true, ..signed() });
                    self.soon(node, Input::LookedUp { inquiry, found, trace });
                }
                Effect::Peered { allocation, trace, .. } if node == PROVIDER => {
                    assert_eq!(allocation, ALLOCATION);
                    self.active = true;
                    self.soon(node, Input::Activated { allocation, trace });
                }
                Effect::Peered { .. } => {}
                Effect::Unpeered { allocation, .. } => {
                    assert_eq!((node, allocation), (CONSUMER, VIRTUAL));
                    // REAR would end the contract; here it is asked for again, to see it through.
                    self.soon(node, peer());
                }
                Effect::Gone { allocation } => {
                    assert!(!self.runs.keys().any(|it| it.allocation == allocation), "gone, and it runs");
                    self.gone = true;
                }
                Effect::Status { request, status } => drop(self.told.insert(request, status)),
                Effect::Undeployed { request } => drop(self.undeployed.insert(request)),
                Effect::Expose { request, target, .. } => {
                    assert!(matches!(target, Target::There { .. }));
                    self.exposed.insert(request);
                }
                Effect::Unexpose { request } => drop(self.exposed.remove(&request)),
                Effect::Start { instance, workload, within, abroad } => {
                    assert!(abroad, "the contract is for another domain, over every restart");
                    self.start(instance, &workload.resources, &within);
                }
                Effect::Stop { instance, .. } => self.stop(instance),
                Effect::Sweep { keep } => {
                    assert!(keep.is_empty());
                    if node == PROVIDER {
                        self.runs.clear();
                    }
                }
                Effect::Exposed { .. } | Effect::ReadLogs { .. } | Effect::Respond { .. } | Effect::Did(..) => {}
                Effect::Keep(row) => panic!("nothing is kept: {row:?}"),
            }
        }
    }

    fn start(&mut self, instance: Instance, takes: &kernel::Resources, within: &kernel::Resources) {
        assert!(self.active, "an order to the runtime without an active allocation");
        assert!(!self.runs.contains_key(&instance), "started twice");
        if !self.cached {
            return self.soon(PROVIDER, Input::InstanceMissing { instance, digest: DIGEST });
        }
        self.runs.insert(instance, Status::Starting);
        let used = self.runs.keys().try_fold(kernel::Resources::default(), |sum, _| sum.checked_add(takes)).unwrap();
        within.holds(&used).unwrap();
        self.most = self.most.max(self.runs.len());
        self.churn();
    }

    fn stop(&mut self, instance: Instance) {
        self.runs.remove(&instance);
        self.soon(PROVIDER, Input::InstanceGone { instance });
    }

    /// The runtime reports how each of its instances is, and some of them change.
    fn churn(&mut self) {
        for (instance, status) in self.runs.clone() {
            let next = match (&status, self.rng.below(4)) {
                (Status::Running, 0) if self.now < self.calm => {
                    Status::BackingOff { reason: "a trap".into(), delay: Span::secs(1) }
                }
                (Status::Starting, 0) if self.now < self.calm => Status::Starting,
                _ => Status::Running,
            };
            self.runs.insert(instance.clone(), next.clone());
            self.soon(PROVIDER, Input::InstanceStatus { instance: instance.clone(), status });
            self.soon(PROVIDER, Input::InstanceStatus { instance, status: next });
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: FabricReply) {
        let (asker, life, id) = self.tickets.remove(&ticket).expect("each question is answered once");
        let lossy = self.now < self.calm;
        if !lossy || self.rng.below(3) > 0 {
            let answered = Input::Answered { id, reply: Ok(reply) };
            self.later(if lossy { 4000 } else { 50 }, Next::Input(asker, life, Box::new(answered)));
        }
    }

    fn arrives(&mut self, to: usize, from: u32, id: u64, ask: Box<FabricAsk>) {
        self.made += 1;
        let (ticket, asker) = (Ticket(self.made), 1 - to);
        self.tickets.insert(ticket, (asker, from, id));
        if self.closed {
            // Its router is gone: see the Network Manager.
            let answer = FabricAnswer::Refused(Refusal::from(Code::Closed));
            return self.reply(ticket, FabricReply { answer, steps: Vec::new(), extensions: BTreeMap::new() });
        }
        let heard = Input::Heard { ticket, contract: CONTRACT, peer: IDS[asker], ask, trace: Trace::Served(self.made) };
        self.input(to, heard);
    }

    fn next(&mut self, next: Next) {
        match next {
            Next::Input(node, life, input) if life == self.lives[node] => self.input(node, *input),
            Next::Arrives { to, life, from, id, ask } if life == self.lives[to] => self.arrives(to, from, id, ask),
            // What was for a life before is lost with it: the stream that carried it is.
            Next::Input(..) | Next::Arrives { .. } => {}
            Next::Component { from, id } => {
                self.cached = true;
                let reply = FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: BTreeMap::new() };
                let answered = Input::Answered { id, reply: Ok(reply) };
                self.later(50, Next::Input(CONSUMER, from, Box::new(answered)));
            }
            Next::Restart(node) => self.restart(node),
        }
    }

    /// A node ends and begins anew; whoever keeps things says them again.
    fn restart(&mut self, node: usize) {
        self.begin(node);
        if node == CONSUMER {
            self.exposed.clear();
            self.soon(CONSUMER, peer());
            for (request, name) in self.wanted.clone() {
                self.soon(CONSUMER, deploy(request, &name));
            }
            for (request, workload) in self.unwanted.clone() {
                self.soon(CONSUMER, Input::Undeploy { request, on: THERE, workload });
            }
        }
        if self.relayed {
            return;
        }
        for node in [CONSUMER, PROVIDER] {
            let life = self.lives[node];
            let up = Input::PeerUp { node: IDS[1 - node] };
            self.later(3000, Next::Input(node, life, Box::new(up)));
        }
    }

    /// Lets everything happen that happens within a time.
    fn run(&mut self, span: Span) {
        let until = self.now + span;
        loop {
            let wakes = self.nodes.iter().enumerate().filter_map(|(node, it)| Some((it.next_wake()?.0, node)));
            let wake = wakes.min().filter(|(at, _)| *at <= until);
            let event = self.future.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= until);
            match (wake, event) {
                (Some((at, node)), event) if event.is_none_or(|event| at < event) => {
                    self.now = self.now.max(at);
                    let mut out = Vec::new();
                    self.nodes[node].wake(self.now, &mut out);
                    self.act(node, out);
                }
                (_, Some(at)) => {
                    self.now = self.now.max(at);
                    let (_, next) = self.future.pop_first().unwrap();
                    self.next(next);
                }
                (_, None) => break,
            }
        }
        self.now = until;
    }

    fn want(&mut self, request: RequestId, name: &str) {
        self.wanted.insert(request, name.to_owned());
        self.input(CONSUMER, deploy(request, name));
    }

    fn want_no_more(&mut self, request: RequestId) {
        let workload = self.wanted.remove(&request).unwrap();
        self.unwanted.insert(request, workload.clone());
        self.input(CONSUMER, Input::Undeploy { request, on: THERE, workload });
    }

    fn names(&self) -> Vec<&str> {
        self.runs.keys().map(|instance| instance.workload.as_str()).collect()
    }
}

fn peer() -> Input {
    Input::Peer { allocation: VIRTUAL, contract: CONTRACT, provider: PEER, trace: Trace::Own(1) }
}

fn deploy(request: RequestId, name: &str) -> Input {
    Input::Deploy { request, on: THERE, workload: Box::new(workload(name)) }
}

/// A storm, then calm: two replicas come, one of them goes and another comes, while both nodes restart at times.
fn storm(seed: u64, restarts: bool, relayed: bool) {
    let mut world = World::new(seed);
    world.relayed = relayed;
    let [web, api, job] = [RequestId(1), RequestId(2), RequestId(3)];
    world.input(CONSUMER, peer());
    world.want(web, "web");
    world.want(api, "api");
    for _ in 0..6 {
        let span = Span::millis(world.rng.below(20_000));
        world.run(span);
        if restarts && world.rng.below(3) == 0 {
            let node = usize::from(world.rng.below(2) == 0);
            world.later(10_000, Next::Restart(node));
        }
        world.churn();
    }
    world.want_no_more(api);
    world.want(job, "job");
    let span = Span::millis(world.rng.below(20_000));
    world.run(span);

    // Nothing gets lost any more, and what was under way arrives.
    world.calm = world.now;
    world.run(Span::secs(40));
    world.churn();
    world.run(Span::secs(120));

    assert!(world.undeployed.contains(&api), "seed {seed}: 'api' must have been let go");
    assert_eq!(world.names(), ["job", "web"], "seed {seed}");
    for request in [web, job] {
        assert_eq!(world.told.get(&request), Some(&Status::Running), "seed {seed}: {request:?}");
        assert!(world.exposed.contains(&request), "seed {seed}: {request:?} must be reached");
    }
    let [consumer, provider] = [CONSUMER, PROVIDER].map(|node| world.nodes[node].peerings().next().unwrap());
    assert_eq!((consumer.state, provider.state), (PeeringState::Open, PeeringState::Open), "seed {seed}");
    assert!(world.most <= 2, "seed {seed}: the partition holds two");

    world.closed = true;
    for node in [CONSUMER, PROVIDER] {
        world.input(node, Input::Closed { contract: CONTRACT });
    }
    world.run(Span::secs(60));
    assert!(world.gone && world.names().is_empty() && world.exposed.is_empty(), "seed {seed}");
    for (node, manager) in world.nodes.iter().enumerate() {
        assert_eq!(manager.peerings().count() + manager.workloads().count(), 0, "seed {seed}, node {node}");
        assert_eq!(manager.next_wake(), None, "seed {seed}, node {node}: nothing is left to do");
    }
    assert!(world.tickets.is_empty(), "seed {seed}: unanswered: {:?}", world.tickets);
}

#[test]
fn whatever_the_line_does_the_right_workloads_run_in_the_end() {
    for seed in 0..2000 {
        storm(seed, false, false);
    }
}

#[test]
fn whoever_restarts_the_right_workloads_run_in_the_end() {
    for seed in 0..2000 {
        storm(seed, true, false);
    }
}

#[test]
fn whoever_restarts_unseen_behind_a_relay_the_right_workloads_run_in_the_end() {
    for seed in 0..2000 {
        storm(seed, true, true);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let told = |seed| {
        let mut world = World::new(seed);
        world.input(CONSUMER, peer());
        world.want(RequestId(1), "web");
        world.run(Span::secs(60));
        (world.made, world.told, world.runs)
    };
    assert_eq!(told(5), told(5));
}
