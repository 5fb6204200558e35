//! Several managers and the wire between them, which may lose, repeat and delay.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses its own part of this"
)]

use std::collections::{BTreeMap, BTreeSet};

use discovery::{Config, Effect, Input, Manager, config::Expose, mail::Asker};
use kernel::{AskId, DomainKey, FlavourId, Manager as _, NodeId, Rng, Span, Ticket, Time};
use rear_proto::{
    Answer, CapacityDigest, Code, Flavour, Refusal, Request, Row, Selector, Signer, Trace,
    flavour::{Domain, Party},
    local::{Caller, DomainSecret, Me, Outcome, Partner, Realm},
    membership::Role,
    message::List,
};

/// A node under test.
pub struct Node {
    pub manager: Manager,
    pub signer: Signer,
    pub id: NodeId,
    pub domain: DomainKey,
    pub role: Role,
    pub config: Config,
    pub starts: u32,
    /// Whose capacity was rated failed here.
    pub failed: Vec<NodeId>,
    pub answers: Vec<(Ticket, Answer)>,
    /// What it keeps over a restart.
    pub rows: BTreeMap<Vec<u8>, Row>,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Arrive,
    Lose,
    Repeat,
    /// It comes when the test says so; its sender hears nothing.
    Delay,
    /// It arrives, and its answer is lost.
    LoseAnswer,
}

/// A request on the wire.
#[derive(Debug, Clone)]
pub struct Packet {
    pub from: usize,
    pub to: usize,
    pub ask: AskId,
    pub request: Request,
    deadline: Time,
}

pub struct Net {
    pub nodes: Vec<Node>,
    pub now: Time,
    /// What was sent, in order: from, to, and what.
    pub log: Vec<(usize, usize, Request)>,
    /// The same of capacity digests, which few tests are about.
    pub digests: Vec<(usize, usize, CapacityDigest)>,
    pub delayed: Vec<Packet>,
    held: Vec<(Packet, Result<Answer, Refusal>)>,
    pub off: BTreeSet<(DomainKey, DomainKey)>,
    links: BTreeSet<(usize, usize)>,
    silent: BTreeMap<(Time, u64), (usize, AskId, usize)>,
    next: u64,
}

pub const fn domain(n: u8) -> DomainKey {
    DomainKey([n; 32])
}

pub fn name_of(domain: &DomainKey) -> String {
    ["", "alpha", "beta", "gamma"][usize::from(domain.0[0])].to_owned()
}

pub fn everything() -> Config {
    let rule = Expose { partners: vec!["*".to_owned()], what: Selector::default(), resale: false };
    Config { expose: vec![rule], digests: true, ..Config::default() }
}

/// Supernodes of alpha, beta and gamma, all partners; beta has another node.
pub mod three {
    use super::{Config, Net, Role, domain, everything};

    pub const SC: usize = 0;
    pub const SP: usize = 1;
    pub const SG: usize = 2;
    /// The node of beta's.
    pub const P: usize = 3;

    /// Makes them; beta has these settings.
    pub fn world_with(beta: Config) -> Net {
        let mut net = Net::new();
        for (number, config) in [(1, everything()), (2, beta.clone()), (3, everything())] {
            net.node(domain(number), Role::Supernode, config);
        }
        net.node(domain(2), Role::Node, beta);
        net.partners();
        for (a, b) in [(SC, SP), (SC, SG), (SG, SP), (SP, P)] {
            net.link(a, b);
        }
        net
    }
}

impl Net {
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            now: Time(1_000_000),
            log: Vec::new(),
            digests: Vec::new(),
            delayed: Vec::new(),
            held: Vec::new(),
            off: BTreeSet::new(),
            links: BTreeSet::new(),
            silent: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds a node of a domain and returns its number.
    pub fn node(&mut self, domain: DomainKey, role: Role, config: Config) -> usize {
        let n = self.nodes.len();
        let signer = Signer::from_secret(&[u8::try_from(n).unwrap() + 1; 32]);
        let me = Me { signer: signer.clone(), domain, role };
        let manager = Manager::new(config.clone(), me, Rng::from_number(n as u64));
        let id = signer.id();
        let node = Node {
            manager,
            signer,
            id,
            domain,
            role,
            config,
            starts: 1,
            failed: Vec::new(),
            answers: Vec::new(),
            rows: BTreeMap::new(),
        };
        self.nodes.push(node);
        self.begin(n);
        n
    }

    fn begin(&mut self, n: usize) {
        let mut out = Vec::new();
        let (now, starts) = (self.now, self.nodes[n].starts);
        self.nodes[n].manager.start(now, starts, &mut out);
        self.carry(n, out, |_| Fate::Arrive);
        if self.nodes[n].role == Role::Supernode {
            let secret = DomainSecret(self.nodes[n].domain.0);
            self.feed(n, Input::Secret(secret));
        }
    }

    /// Lets a node begin a new life, remembering nothing; its links are up again.
    pub fn restart(&mut self, n: usize) {
        self.nodes[n].rows.clear();
        self.restart_with_rows(n);
    }

    /// The same, with what it has kept.
    pub fn restart_with_rows(&mut self, n: usize) {
        let links: Vec<(usize, usize)> = self.links.iter().copied().filter(|(a, b)| *a == n || *b == n).collect();
        for (a, b) in &links {
            self.cut(*a, *b);
        }
        let Node { signer, domain, role, config, .. } = &self.nodes[n];
        let me = Me { signer: signer.clone(), domain: *domain, role: *role };
        self.nodes[n].manager = Manager::new(config.clone(), me, Rng::from_number(77));
        for row in self.nodes[n].rows.clone().into_values() {
            let Some(value) = &row.value else { continue };
            self.nodes[n].manager.restore(row.table, &row.key, value).unwrap();
        }
        self.nodes[n].starts += 1;
        self.begin(n);
        for (a, b) in links {
            self.link(a, b);
        }
    }

    /// Connects two nodes.
    pub fn link(&mut self, a: usize, b: usize) {
        self.links.insert((a, b));
        for (at, other) in [(a, b), (b, a)] {
            let (here, there) = (&self.nodes[at], &self.nodes[other]);
            // A catalogue knows nothing of its visitors but that they ask.
            let realm = if there.role == Role::Catalogue {
                Realm::Catalogue
            } else if here.domain == there.domain {
                Realm::Own
            } else if here.role == Role::Catalogue {
                continue;
            } else {
                Realm::Partner(there.domain)
            };
            let party = Party { node: there.id, addresses: vec![format!("/ip4/127.0.0.1/udp/{other}/quic-v1")] };
            let role = there.role;
            self.feed(at, Input::EndpointUp { party, role, realm });
        }
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.links.remove(&(a, b));
        for (at, other) in [(a, b), (b, a)] {
            let node = self.nodes[other].id;
            self.feed(at, Input::EndpointDown { node });
        }
    }

    /// Cuts a connection and makes it anew.
    pub fn restart_link(&mut self, a: usize, b: usize) {
        self.cut(a, b);
        self.link(a, b);
    }

    /// Wakes a node and holds back the answers to what it asks.
    pub fn wake_and_hold(&mut self, n: usize) {
        let (now, mut out) = (self.now, Vec::new());
        self.nodes[n].manager.wake(now, &mut out);
        for effect in out {
            let Effect::Ask { ask, to, request, deadline, .. } = effect else { continue };
            let to = self.nodes.iter().position(|node| node.id == to.node).unwrap();
            self.log.push((n, to, request.clone()));
            let packet = Packet { from: n, to, ask, request, deadline: self.now + deadline };
            let answer = self.deliver(&packet, &mut |_| Fate::Arrive);
            self.held.push((packet, answer));
        }
    }

    /// Delivers the answers that were held back.
    pub fn let_go(&mut self) {
        for (packet, answer) in std::mem::take(&mut self.held) {
            self.answered(packet.from, packet.to, packet.ask, answer, &mut |_| Fate::Arrive);
        }
    }

    /// Wakes a node when it next wishes and answers all that it asks like this; says whether it wished to within a span.
    pub fn answer_all(&mut self, n: usize, within: Span, answer: &Answer) -> Option<usize> {
        let (at, _) = self.nodes[n].manager.next_wake()?;
        if at > self.now + within {
            return None;
        }
        self.now = self.now.max(at);
        let (now, mut out) = (self.now, Vec::new());
        self.nodes[n].manager.wake(now, &mut out);
        let mut asked = 0;
        for effect in out {
            let Effect::Ask { ask, to, .. } = effect else { continue };
            asked += 1;
            let input = Input::Answered { ask, from: to.node, answer: Ok(answer.clone()), took: Span::ZERO };
            self.feed(n, input);
        }
        Some(asked)
    }

    /// Makes all domains that have a supernode partners of each other, but for those switched off.
    pub fn partners(&mut self) {
        for n in 0..self.nodes.len() {
            let home = self.nodes[n].domain;
            let mut partners: BTreeMap<DomainKey, Partner> = BTreeMap::new();
            for node in self.nodes.iter().filter(|node| node.domain != home && node.role == Role::Supernode) {
                let key = node.domain;
                let partner = partners.entry(key).or_insert_with(|| Partner {
                    domain: Domain { key, name: name_of(&key) },
                    name: name_of(&key),
                    on: !self.off.contains(&(home, key)),
                    supernodes: Vec::new(),
                });
                partner.supernodes.push(node.id);
            }
            self.feed(n, Input::Partners(partners.into_values().collect()));
        }
    }

    /// Feeds an input and delivers all that follows at once.
    pub fn feed(&mut self, n: usize, input: Input) {
        self.feed_over(n, input, |_| Fate::Arrive);
    }

    pub fn feed_over(&mut self, n: usize, input: Input, fate: impl FnMut(&Packet) -> Fate) {
        let mut out = Vec::new();
        let now = self.now;
        self.nodes[n].manager.handle(now, input, &mut out);
        self.carry(n, out, fate);
    }

    pub fn own(&mut self, n: usize, flavour: Flavour) {
        self.feed(n, Input::OwnChanged(Box::new(flavour)));
    }

    /// Lets time pass; messages arrive at once.
    pub fn pass(&mut self, span: Span) {
        self.pass_over(span, |_| Fate::Arrive);
    }

    /// Lets time pass over a wire that does what it is told.
    pub fn pass_over(&mut self, span: Span, mut fate: impl FnMut(&Packet) -> Fate) {
        let end = self.now + span;
        loop {
            let wakes = self.nodes.iter().enumerate();
            let wake = wakes.filter_map(|(n, node)| Some((node.manager.next_wake()?.0, n))).min();
            let silence = self.silent.first_key_value().map(|((at, _), _)| *at);
            match (wake, silence) {
                (_, Some(at)) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                    self.now = self.now.max(at);
                    let (_, (n, ask, to)) = self.silent.pop_first().unwrap();
                    self.answered(n, to, ask, Err(Code::Timeout.into()), &mut fate);
                }
                (Some((at, n)), _) if at <= end => {
                    self.now = self.now.max(at);
                    let (now, mut out) = (self.now, Vec::new());
                    self.nodes[n].manager.wake(now, &mut out);
                    let next = self.nodes[n].manager.next_wake();
                    assert!(
                        next.is_none_or(|(next, _)| next > now) || !out.is_empty(),
                        "it wants to be woken for what it did not do: {next:?}"
                    );
                    self.carry(n, out, &mut fate);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn carry(&mut self, n: usize, out: Vec<Effect>, mut fate: impl FnMut(&Packet) -> Fate) {
        self.carried(n, out, &mut fate);
    }

    fn carried(&mut self, n: usize, out: Vec<Effect>, fate: &mut dyn FnMut(&Packet) -> Fate) {
        for effect in out {
            match effect {
                Effect::Ask { ask, to, request, deadline, .. } => {
                    let to = self.nodes.iter().position(|node| node.id == to.node).unwrap();
                    match &request {
                        Request::CapacityDigest(digest) => self.digests.push((n, to, digest.clone())),
                        request => self.log.push((n, to, request.clone())),
                    }
                    let packet = Packet { from: n, to, ask, request, deadline: self.now + deadline };
                    self.send(packet, fate);
                }
                Effect::Reply { ticket, answer } => self.nodes[n].answers.push((ticket, answer)),
                Effect::Keep(row) => {
                    self.nodes[n].rows.insert(row.key.clone(), row);
                }
                Effect::Rated { peer, outcome: Outcome::Failed } => self.nodes[n].failed.push(peer),
                _ => {}
            }
        }
    }

    fn send(&mut self, packet: Packet, fate: &mut dyn FnMut(&Packet) -> Fate) {
        let fated = fate(&packet);
        match fated {
            Fate::Arrive => {
                let answer = self.deliver(&packet, fate);
                self.answered(packet.from, packet.to, packet.ask, answer, fate);
            }
            Fate::Repeat => {
                let answer = self.deliver(&packet, fate);
                let _ = self.deliver(&packet, fate);
                self.answered(packet.from, packet.to, packet.ask, answer, fate);
            }
            Fate::Lose => self.unanswered(&packet),
            Fate::LoseAnswer => {
                let _ = self.deliver(&packet, fate);
                self.unanswered(&packet);
            }
            Fate::Delay => {
                self.unanswered(&packet);
                self.delayed.push(packet);
            }
        }
    }

    fn unanswered(&mut self, packet: &Packet) {
        self.next += 1;
        self.silent.insert((packet.deadline, self.next), (packet.from, packet.ask, packet.to));
    }

    /// Delivers what was delayed; nobody waits for its answer.
    pub fn release(&mut self) {
        for packet in std::mem::take(&mut self.delayed) {
            let _ = self.deliver(&packet, &mut |_| Fate::Arrive);
        }
    }

    fn answered(
        &mut self,
        n: usize,
        from: usize,
        ask: AskId,
        answer: Result<Answer, Refusal>,
        fate: &mut dyn FnMut(&Packet) -> Fate,
    ) {
        let mut out = Vec::new();
        let (now, from) = (self.now, self.nodes[from].id);
        let input = Input::Answered { ask, from, answer, took: Span::millis(10) };
        self.nodes[n].manager.handle(now, input, &mut out);
        self.carried(n, out, fate);
    }

    fn deliver(&mut self, packet: &Packet, fate: &mut dyn FnMut(&Packet) -> Fate) -> Result<Answer, Refusal> {
        let Packet { from, to, request, .. } = packet;
        // What travels is bytes: what was opened at one end is not open at the other.
        let bytes = rear_proto::wire::codec::encode(request);
        assert!(bytes.len() < rear_proto::wire::frame::MAX_REQUEST as usize, "{} bytes", bytes.len());
        let answer = self.ask(*from, *to, rear_proto::wire::codec::decode(&bytes).unwrap(), fate);
        match answer {
            Answer::Refused(refusal) => Err(refusal),
            answer => Ok(rear_proto::wire::codec::decode(&rear_proto::wire::codec::encode(&answer)).unwrap()),
        }
    }

    /// Returns as whom a node asks another.
    pub fn caller(&self, from: usize, to: usize) -> Caller {
        let (here, there) = (&self.nodes[to], &self.nodes[from]);
        if here.domain == there.domain {
            Caller::Member(there.role)
        } else if here.role == Role::Catalogue {
            Caller::Visitor { domain: there.domain }
        } else {
            Caller::Partner { domain: there.domain, on: !self.off.contains(&(here.domain, there.domain)) }
        }
    }

    fn ask(&mut self, from: usize, to: usize, request: Request, fate: &mut dyn FnMut(&Packet) -> Fate) -> Answer {
        self.next += 1;
        let (ticket, caller, id) = (Ticket(self.next), self.caller(from, to), self.nodes[from].id);
        let input = match request {
            Request::List(list) => {
                Input::Asked { ticket, from: id, caller, list: Box::new(list), trace: Trace::Served(1) }
            }
            request => Input::Told { ticket, from: id, caller, request: Box::new(request) },
        };
        let mut out = Vec::new();
        let now = self.now;
        self.nodes[to].manager.handle(now, input, &mut out);
        self.carried(to, out, fate);
        let at = self.nodes[to].answers.iter().position(|(of, _)| *of == ticket);
        at.map_or_else(|| Code::Timeout.into_refused(), |at| self.nodes[to].answers.swap_remove(at).1)
    }

    /// Asks as one node of another, by hand.
    pub fn say(&mut self, from: usize, to: usize, request: Request) -> Answer {
        self.ask(from, to, request, &mut |_| Fate::Arrive)
    }

    /// What a node has heard of others: from whom, the id's first byte, and the epoch's change.
    pub fn view(&self, n: usize) -> Vec<(NodeId, FlavourId, u64)> {
        let mut view: Vec<_> = self.nodes[n]
            .manager
            .candidates(self.now)
            .map(|seen| (seen.seen_via, seen.flavour.id, seen.flavour.epoch.changes))
            .collect();
        view.sort();
        view
    }

    /// How many messages went from one to another since the log was emptied, by their names.
    pub fn sent(&self, from: usize, to: usize) -> Vec<&'static str> {
        self.log.iter().filter(|(f, t, _)| (*f, *t) == (from, to)).map(|(_, _, request)| request.name()).collect()
    }

    /// Asks a node to look outside, as its operator would.
    pub fn discover(&mut self, n: usize, text: &str) {
        let asker = Asker::Operator { ticket: Ticket(0), explain: false };
        let selector = text.parse().unwrap();
        self.feed(
            n,
            Input::Discover { asker, selector, ceiling: None, k: 100, exclude: Vec::new(), trace: Trace::None },
        );
    }
}

trait IntoRefused {
    fn into_refused(self) -> Answer;
}

impl IntoRefused for Code {
    fn into_refused(self) -> Answer {
        Answer::Refused(self.into())
    }
}

pub fn list(query: u8, text: &str, limit: u32) -> List {
    List {
        query: kernel::QueryId([query; 16]),
        selector: text.parse().unwrap(),
        limit,
        scope: rear_proto::message::Scope::Domain,
        exclude: Vec::new(),
        hops_left: 2,
        trail: Vec::new(),
        deadline: Span::secs(2),
        extensions: rear_proto::Extensions::new(),
    }
}

/// An offer of a node's, with so many of 8 cores left.
pub fn offer(node: &Node, id: u16, cpu: u64, changes: u64) -> Flavour {
    use kernel::{Quantity, Resources};
    use rear_proto::{
        Epoch, Kind, Policies, Properties,
        flavour::{K8Slice, Partitionable},
        price::{Money, Period, Price},
    };
    let amounts = |cpu: u64| Resources {
        cpu: Quantity::units(cpu),
        memory: Quantity::bytes(cpu << 30),
        pods: Quantity::units(8),
        ..Resources::default()
    };
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    Flavour {
        id: FlavourId(bytes),
        epoch: Epoch { starts: node.starts, changes },
        owner: node.id,
        domain: Domain { key: node.domain, name: name_of(&node.domain) },
        provider: Party { node: node.id, addresses: vec!["/ip4/127.0.0.1/udp/1/quic-v1".to_owned()] },
        kind: Kind::K8Slice(K8Slice { architecture: "amd64".to_owned(), ..K8Slice::default() }),
        base: amounts(8),
        available: amounts(cpu),
        properties: Properties::default(),
        policies: Policies {
            partitionable: Some(Partitionable {
                min: Resources { cpu: Quantity::millis(100), ..Resources::default() },
                step: Resources::default(),
            }),
            aggregatable: None,
        },
        price: Price {
            amount: Money(1_000_000),
            currency: "EUR".parse().unwrap(),
            period: Period::Hour,
            priced: vec![kernel::Resource::Cpu],
        },
        location: None,
        origin: FlavourId(bytes),
        expires_in: Span::secs(60),
    }
}
