//! A manager under test, and offers to feed it with.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses its own part of this"
)]

use discovery::{Config, Effect, Input, Manager, config::Expose, mail::Asker};
use kernel::{
    AskId, DomainKey, FlavourId, Manager as _, NodeId, Quantity, RequestId, Resources, Rng, Span, Ticket, Time,
};
use rear_proto::{
    Answer, Code, Deed, Epoch, Extensions, Flavour, Kind, Policies, Properties, Refusal, Request, Row, Selector, Trace,
    flavour::{Domain, K8Slice, Partitionable, Party},
    local::{Caller, Candidate, DomainSecret, Me, Partner, Pick, Realm, Way},
    membership::Role,
    message::{Flavours, List, Scope},
    price::{Money, Period, Price},
    signed::Signer,
};

/// The number of the node under test.
pub const ME: u8 = 1;
pub const TRACE: Trace = Trace::Own(7);
/// The domain of everybody, unless a test says otherwise.
pub const ALPHA: DomainKey = DomainKey([9; 32]);

/// Partners.
pub const BETA: DomainKey = DomainKey([10; 32]);
pub const GAMMA: DomainKey = DomainKey([11; 32]);

pub fn domain(key: DomainKey) -> Domain {
    let name = ["alpha", "beta", "gamma", "delta"][usize::from(key.0[0] - 9).min(3)];
    Domain { key, name: name.to_owned() }
}

/// The origin of an offer's capacity, which stays as it is on all ways.
pub const fn origin(id: u8) -> FlavourId {
    FlavourId([id.wrapping_add(100); 16])
}

/// The key of the nodes that have one: the one under test, and those from 200 on.
pub fn signer(n: u8) -> Signer {
    Signer::from_secret(&[n; 32])
}

const fn has_a_key(n: u8) -> bool {
    n == ME || n >= 200
}

pub fn node(n: u8) -> NodeId {
    if has_a_key(n) { signer(n).id() } else { NodeId([n; 32]) }
}

/// The number of a node.
pub fn number(id: &NodeId) -> u8 {
    (0..=u8::MAX).filter(|n| has_a_key(*n)).find(|n| node(*n) == *id).unwrap_or(id.0[0])
}

pub fn party(n: u8) -> Party {
    Party { node: node(n), addresses: vec![format!("/ip4/127.0.0.1/udp/{n}/quic-v1")] }
}

fn amounts(cpu: u64) -> Resources {
    Resources {
        cpu: Quantity::units(cpu),
        memory: Quantity::bytes(cpu << 30),
        pods: Quantity::units(8),
        ..Resources::default()
    }
}

/// Offer `id` of node `n` with so many of 8 cores left, at so many euros an hour for all of it.
pub fn offer(n: u8, id: u8, cpu: u64, euros: u64) -> Flavour {
    Flavour {
        id: FlavourId([id; 16]),
        epoch: Epoch { starts: 1, changes: 1 },
        owner: node(n),
        domain: Domain { key: ALPHA, name: "alpha".to_owned() },
        provider: party(n),
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
            amount: Money(euros * 1_000_000),
            currency: "EUR".parse().unwrap(),
            period: Period::Hour,
            priced: vec![kernel::Resource::Cpu],
        },
        location: None,
        origin: origin(id),
        expires_in: Span::secs(60),
    }
}

/// The same of another domain.
pub fn of(key: DomainKey, flavour: Flavour) -> Flavour {
    Flavour { domain: domain(key), ..flavour }
}

pub fn partner(key: DomainKey, supernodes: &[u8]) -> Partner {
    let supernodes = supernodes.iter().map(|n| node(*n)).collect();
    Partner { domain: domain(key), name: domain(key).name, on: true, supernodes }
}

/// A rule that exposes what a selector picks.
pub fn expose(partners: &[&str], what: &str, resale: bool) -> Expose {
    let partners = partners.iter().map(|name| (*name).to_owned()).collect();
    Expose { partners, what: selector(what), resale }
}

pub fn at_epoch(flavour: Flavour, changes: u64) -> Flavour {
    Flavour { epoch: Epoch { starts: 1, changes }, ..flavour }
}

pub fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

pub fn flavours(flavours: Vec<Flavour>) -> Flavours {
    Flavours { flavours, partial: false, silent: 0, extensions: Extensions::new() }
}

pub fn ids(candidates: &[Candidate]) -> Vec<u8> {
    candidates.iter().map(|candidate| candidate.flavour.id.0[0]).collect()
}

/// How a candidate is kept.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    flavour: Flavour,
    seen: Time,
    via: NodeId,
    expires: Time,
}

impl rear_proto::Record for Kept {
    const VERSION: u16 = 1;
}

pub struct World {
    pub manager: Manager,
    pub now: Time,
    pub rows: Vec<Row>,
}

pub fn world() -> World {
    world_with(Config::default())
}

pub fn world_with(config: Config) -> World {
    world_as(Role::Node, config)
}

/// A supernode of alpha, with its secret, that has beta and gamma for partners.
pub fn supernode(config: Config) -> World {
    let mut world = world_as(Role::Supernode, config);
    world.feed(Input::Partners([partner(BETA, &[20, 21]), partner(GAMMA, &[30])].into()));
    world.feed(Input::Secret(DomainSecret([7; 32])));
    world
}

pub fn world_as(role: Role, config: Config) -> World {
    let me = Me { signer: signer(ME), domain: ALPHA, role };
    World { manager: Manager::new(config, me, Rng::from_number(1)), now: Time(1_000_000), rows: Vec::new() }
}

impl World {
    /// Begins a life.
    pub fn start(&mut self) -> Vec<Effect> {
        let mut out = Vec::new();
        self.manager.start(self.now, 1, &mut out);
        self.sift(out)
    }

    /// Feeds one input and returns what it led to, but for rows, which are gathered, and feeds.
    pub fn feed(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.manager.handle(self.now, input, &mut out);
        self.sift(out)
    }

    /// Lets time pass, waking the manager whenever it wishes.
    pub fn pass(&mut self, span: Span) -> Vec<Effect> {
        let end = self.now + span;
        let mut all = Vec::new();
        while let Some((at, _)) = self.manager.next_wake()
            && at <= end
        {
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.manager.wake(self.now, &mut out);
            all.extend(self.sift(out));
            let next = self.manager.next_wake();
            assert!(next.is_none_or(|(next, _)| next > self.now), "it wants to be woken for what it did not do");
        }
        self.now = end;
        all
    }

    fn sift(&mut self, out: Vec<Effect>) -> Vec<Effect> {
        let mut rest = Vec::new();
        for effect in out {
            match effect {
                Effect::Keep(row) => self.rows.push(row),
                // What it advertises and subscribes to is for the tests of feeds.
                Effect::Ask { request, .. } if !matches!(request, Request::List(_)) => {}
                other => rest.push(other),
            }
        }
        rest
    }

    pub fn up(&mut self, n: u8) {
        let effects = self.feed(Input::EndpointUp { party: party(n), role: Role::Node, realm: Realm::Own });
        assert!(effects.is_empty(), "{effects:?}");
    }

    pub fn up_as(&mut self, n: u8, role: Role, realm: Realm) {
        let effects = self.feed(Input::EndpointUp { party: party(n), role, realm });
        assert!(effects.is_empty(), "{effects:?}");
    }

    /// A partner's supernode can be reached.
    pub fn up_partner(&mut self, n: u8, key: DomainKey) {
        self.up_as(n, Role::Supernode, Realm::Partner(key));
    }

    pub fn asked_by(&mut self, ticket: u64, from: u8, caller: Caller, list: List) -> Vec<Effect> {
        let (ticket, trace) = (Ticket(ticket), Trace::Served(ticket));
        self.feed(Input::Asked { ticket, from: node(from), caller, list: Box::new(list), trace })
    }

    /// What a member is listed.
    pub fn shown_to_member(&mut self, query: u8, text: &str) -> Vec<Flavour> {
        let list = List { scope: Scope::Partners, ..list(query, text, 64) };
        listed(&self.asked_by(u64::from(query), 5, MEMBER, list))
    }

    /// What a partner is listed.
    pub fn shown_to(&mut self, key: DomainKey, query: u8, text: &str) -> Vec<Flavour> {
        let list = List { scope: Scope::Partners, ..list(query, text, 64) };
        let from = if key == BETA { 20 } else { 30 };
        listed(&self.asked_by(u64::from(query), from, caller(key), list))
    }

    /// Lets this supernode know what somebody else's offers, by a question of its own or of a member.
    pub fn learn(&mut self, n: u8, offers: Vec<Flavour>) {
        let effects = self.operator("", 100, false);
        for (ask, to, _) in asks(&effects) {
            let said = if to == node(n) { Ok(flavours(offers.clone())) } else { Err(Code::Unavailable.into()) };
            self.answer(ask, number(&to), said);
        }
    }

    /// Takes in an offer of a node of the domain, as if it had been advertised.
    pub fn take(&mut self, flavour: Flavour) {
        let key = [flavour.provider.node.as_bytes(), flavour.id.as_bytes() as &[u8]].concat();
        let (via, expires) = (flavour.provider.node, self.now + flavour.expires_in);
        let row = Row::put(rear_proto::Table::Candidates, key, &Kept { flavour, seen: self.now, via, expires });
        self.manager.restore(row.table, &row.key, row.value.as_ref().unwrap()).unwrap();
        self.rows.push(row);
    }

    pub fn resolve(&mut self, id: FlavourId, caller: Caller) -> Result<Way, Refusal> {
        let allocation = kernel::AllocationId([1; 16]);
        let effects = self.feed(Input::Resolve { allocation, flavour: id, caller });
        match effects.as_slice() {
            [Effect::Resolved { way, .. }] => way.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub fn own(&mut self, flavour: Flavour) {
        assert!(self.feed(Input::OwnChanged(Box::new(flavour))).is_empty());
    }

    pub fn discover(&mut self, request: u64, text: &str, k: usize) -> Vec<Effect> {
        self.discover_but(request, text, k, &[])
    }

    pub fn discover_but(&mut self, request: u64, text: &str, k: usize, exclude: &[u8]) -> Vec<Effect> {
        let exclude = exclude.iter().map(|id| FlavourId([*id; 16])).collect();
        let asker = Asker::Rear(RequestId(request));
        self.feed(Input::Discover {
            asker,
            selector: selector(text),
            ceiling: None,
            k,
            exclude,
            trace: Trace::Own(request),
        })
    }

    pub fn operator(&mut self, text: &str, k: usize, explain: bool) -> Vec<Effect> {
        let asker = Asker::Operator { ticket: Ticket(9), explain };
        self.feed(Input::Discover {
            asker,
            selector: selector(text),
            ceiling: None,
            k,
            exclude: Vec::new(),
            trace: Trace::None,
        })
    }

    pub fn answer(&mut self, ask: AskId, from: u8, answer: Result<Flavours, Refusal>) -> Vec<Effect> {
        let answer = answer.map(Answer::Flavours);
        self.feed(Input::Answered { ask, from: node(from), answer, took: Span::millis(10) })
    }

    /// Asks all endpoints as the operator would and lets node `n` answer with these; the others say nothing.
    pub fn hear(&mut self, n: u8, offers: Vec<Flavour>) {
        let effects = self.operator("", 100, false);
        for (ask, to, _) in asks(&effects) {
            let said = if to == node(n) { Ok(flavours(offers.clone())) } else { Err(silence()) };
            self.answer(ask, number(&to), said);
        }
    }

    pub fn find(&mut self, text: &str, k: usize) -> Vec<u8> {
        self.find_fresh(text, k, Span::secs(3600))
    }

    pub fn find_fresh(&mut self, text: &str, k: usize, max_age: Span) -> Vec<u8> {
        self.pick(Pick::Matching(selector(text)), k, max_age)
    }

    pub fn pick(&mut self, pick: Pick, k: usize, max_age: Span) -> Vec<u8> {
        let effects = self.feed(Input::Find { request: RequestId(1), pick, k, max_age });
        match effects.as_slice() {
            [Effect::Found { request: RequestId(1), candidates }] => ids(candidates),
            other => panic!("{other:?}"),
        }
    }

    pub fn asked(&mut self, from: u8, list: List) -> Vec<Effect> {
        let trace = Trace::Served(3);
        let caller = Caller::Member(Role::Node);
        self.feed(Input::Asked { ticket: Ticket(3), from: node(from), caller, list: Box::new(list), trace })
    }
}

pub fn silence() -> Refusal {
    rear_proto::Code::Timeout.into()
}

pub fn list(query: u8, text: &str, limit: u32) -> List {
    List {
        query: kernel::QueryId([query; 16]),
        selector: selector(text),
        limit,
        scope: Scope::Own,
        exclude: Vec::new(),
        hops_left: 0,
        trail: Vec::new(),
        deadline: Span::secs(2),
        extensions: Extensions::new(),
    }
}

pub const MEMBER: Caller = Caller::Member(Role::Node);

pub const fn caller(domain: DomainKey) -> Caller {
    Caller::Partner { domain, on: true }
}

/// A question that may pass so many more nodes.
pub fn wide(query: u8, text: &str, hops_left: u8) -> List {
    List { scope: Scope::Partners, hops_left, ..list(query, text, 8) }
}

/// What the only answer among some effects lists.
pub fn listed(effects: &[Effect]) -> Vec<Flavour> {
    let mut answers = effects.iter().filter_map(|effect| match effect {
        Effect::Reply { answer: Answer::Flavours(flavours), .. } => Some(flavours.flavours.clone()),
        _ => None,
    });
    let first = answers.next().unwrap_or_else(|| panic!("no answer in {effects:?}"));
    assert!(answers.next().is_none());
    first
}

/// Which capacity some offers are of, by number, in their order.
pub fn origins(flavours: &[Flavour]) -> Vec<u8> {
    flavours.iter().map(|flavour| flavour.origin.0[0].wrapping_sub(100)).collect()
}

/// The questions among some effects.
pub fn asks(effects: &[Effect]) -> Vec<(AskId, NodeId, List)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Ask { ask, to, request: Request::List(list), .. } => Some((*ask, to.node, list.clone())),
            _ => None,
        })
        .collect()
}

/// What the effects come to, one word each.
pub fn words(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Ask { to, .. } => format!("ask {}", number(&to.node)),
            Effect::Reply { answer: Answer::Flavours(flavours), .. } => {
                let ids: Vec<_> = origins(&flavours.flavours).iter().map(u8::to_string).collect();
                let silent = if flavours.silent > 0 { format!(" silent {}", flavours.silent) } else { String::new() };
                format!("list [{}]{}{silent}", ids.join(" "), if flavours.partial { " partial" } else { "" })
            }
            Effect::Reply { answer: Answer::Refused(refusal), .. } => format!("refuse {}", refusal.code()),
            Effect::Reply { answer, .. } => format!("{answer:?}"),
            Effect::Found { candidates, .. } => format!("found {:?}", ids(candidates)),
            Effect::Discovered { request, partial, silent } => {
                format!("discovered {} silent {silent}{}", request.0, if *partial { " partial" } else { "" })
            }
            Effect::Respond { found, .. } => format!("respond {:?} asked {}", ids(&found.candidates), found.asked),
            Effect::Resolved { way, .. } => format!("{way:?}"),
            Effect::Rated { peer, outcome } => format!("rated {} {outcome:?}", number(peer)),
            Effect::Keep(_) => "keep".to_owned(),
            Effect::Did(_, deed) => did(*deed).to_owned(),
        })
        .collect()
}

const fn did(deed: Deed) -> &'static str {
    match deed {
        Deed::AdvertisedLookedUp => "advertised",
        Deed::PartnersAsked => "partners",
        Deed::PublishedLookedUp => "published",
        Deed::SignaturesChecked => "signatures",
        Deed::ListSent => "7",
        Deed::OffersLookedUp => "8",
        Deed::ListAnswered => "9",
        Deed::CandidatesPopulated => "10",
        Deed::DiscoveryOver => "11",
        _ => "?",
    }
}
