//! A few managers and the wires between them: an ask arrives at once, its answer too, unless a wire is cut.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test binary uses its own part of this"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use federation::{
    CatalogueAddress, Config, Effect, Input, Manager, genesis,
    mail::{Greeting, PartnerView, Response},
};
use kernel::{AskId, DomainKey, Manager as _, NodeId, Rng, Span, Ticket, Time};
use rear_proto::{
    Answer, Extensions, Refusal, Request, Row, Signer, Table,
    flavour::Party,
    local::{Caller, DomainSecret, Partner, Realm},
    membership::{Role, Token},
    message::{Accept, Hello, Join},
    partner::PartnerToken,
};

pub const DAY: Span = Span::secs(86_400);
pub const START: Time = Time(1_700_000_000_000);

pub type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

pub fn signer(n: u8) -> Signer {
    Signer::from_secret(&[n; 32])
}

pub fn id(n: u8) -> NodeId {
    signer(n).id()
}

pub fn addresses(n: u8) -> Vec<String> {
    vec![format!("/ip4/10.0.0.{n}/udp/4001/quic-v1")]
}

pub fn party(n: u8) -> Party {
    Party { node: id(n), addresses: addresses(n) }
}

/// The key of the domain of that name.
pub fn key(domain: &str) -> DomainKey {
    DomainKey(domain_signer(domain).id().0)
}

/// The secret of the domain of that name.
pub fn secret(domain: &str) -> DomainSecret {
    DomainSecret(kernel::Digest::of(format!("secret of {domain}").as_bytes()).0)
}

/// The signer of the domain of that name.
pub fn domain_signer(name: &str) -> Signer {
    Signer::from_secret(&kernel::Digest::of(name.as_bytes()).0)
}

pub struct Node {
    pub manager: Manager,
    pub config: Config,
    pub rows: Rows,
    pub starts: u32,
    /// What it told the others of its kind of partners, last.
    pub partners: Vec<Partner>,
    pub secret: Option<DomainSecret>,
}

/// Nodes by number, and what they told the other managers of their nodes.
pub struct Net {
    pub now: Time,
    pub nodes: BTreeMap<u8, Node>,
    pub connected: BTreeSet<(u8, u8)>,
    /// Wires that carry nothing.
    pub cut: BTreeSet<(u8, u8)>,
    /// Wires on which questions arrive and answers are lost.
    pub mute: BTreeSet<(u8, u8)>,
    /// Questions of this name are lost everywhere.
    pub lost: Option<&'static str>,
    /// The names of the questions that were asked, and by whom.
    pub asked: Vec<(u8, u8, &'static str)>,
    /// What each node said to those of its own, in words.
    pub told: Vec<(u8, String)>,
    /// HELLOs that were asked.
    pub hellos: usize,
    replies: BTreeMap<Ticket, Answer>,
    responses: BTreeMap<Ticket, Result<Response, Refusal>>,
    next_ticket: u64,
}

pub fn net() -> Net {
    Net {
        now: START,
        nodes: BTreeMap::new(),
        connected: BTreeSet::new(),
        cut: BTreeSet::new(),
        mute: BTreeSet::new(),
        lost: None,
        asked: Vec::new(),
        told: Vec::new(),
        hellos: 0,
        replies: BTreeMap::new(),
        responses: BTreeMap::new(),
        next_ticket: 0,
    }
}

impl Net {
    /// A domain with node 1 as its issuer, and nodes 2 to `last`, all connected to each other.
    pub fn domain(last: u8) -> Self {
        let mut net = net();
        net.found(1, "alpha", Config::default());
        for n in 2..=last {
            net.join(n, 1, Role::Node, Config::default());
        }
        for a in 1..=last {
            for b in a + 1..=last {
                net.connect(a, b);
            }
        }
        net.told.clear();
        net
    }

    pub fn found(&mut self, n: u8, domain: &str, config: Config) {
        self.found_as(n, domain, Role::Node, config);
    }

    pub fn found_as(&mut self, n: u8, domain: &str, role: Role, config: Config) {
        let (signers, secret) = ((domain_signer(domain), signer(n)), secret(domain));
        let rows = genesis::found(domain, &signers.0, &signers.1, role, self.now, &config, secret);
        self.add(n, rows, config);
    }

    /// Two domains, alpha of 1 to 9 and beta of 11 to 19, of a supernode each, 1 and 11.
    pub fn two() -> Self {
        let mut net = net();
        net.found_as(1, "alpha", Role::Supernode, Config::default());
        net.found_as(11, "beta", Role::Supernode, Config::default());
        net
    }

    /// The same as partners, and connected.
    pub fn partners() -> Self {
        let mut net = Self::two();
        let token = net.partner_invite(1, "beta", DAY).unwrap();
        net.connect(1, 11);
        net.partner_accept(11, &token, "alpha").unwrap();
        net.pass(Span::secs(2));
        net.told.clear();
        net
    }

    /// Starts a node from rows.
    pub fn add(&mut self, n: u8, rows: Vec<Row>, config: Config) {
        let manager = Manager::new(config.clone(), signer(n), Rng::from_number(n.into()));
        self.nodes
            .insert(n, Node { manager, config, rows: Rows::new(), starts: 0, partners: Vec::new(), secret: None });
        keep(&mut self.nodes.get_mut(&n).unwrap().rows, rows);
        self.restart(n);
    }

    /// Starts a node anew from its rows: connections are lost.
    pub fn restart(&mut self, n: u8) {
        self.drop_connections(n);
        let node = self.nodes.get_mut(&n).unwrap();
        node.starts += 1;
        node.partners.clear();
        node.manager =
            Manager::new(node.config.clone(), signer(n), Rng::from_number(u64::from(node.starts) << 8 | u64::from(n)));
        for ((table, key), value) in &node.rows {
            node.manager.restore(*table, key, value).unwrap();
        }
        let mut out = Vec::new();
        node.manager.start(self.now, node.starts, &mut out);
        self.carry(n, out);
        self.feed(n, Input::Addresses(addresses(n)));
    }

    /// Invites a node and lets it join, as `init --join` does.
    pub fn join(&mut self, n: u8, issuer: u8, role: Role, config: Config) {
        let token = self.invite(issuer, role, DAY).unwrap();
        let joined = self.try_join(n, issuer, &token).unwrap();
        let rows = genesis::joined(&token, id(n), &joined, self.now).unwrap();
        self.add(n, rows, config);
    }

    pub fn try_join(&mut self, n: u8, issuer: u8, token: &Token) -> Result<rear_proto::message::Joined, Refusal> {
        let Request::Join(join) = genesis::ask(token, id(n), self.now).unwrap() else { panic!("no JOIN") };
        match self.say(n, issuer, Greeting::Join(Box::new(join))) {
            Answer::Joined(joined) => Ok(joined),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub fn join_with(&mut self, n: u8, issuer: u8, secret: [u8; 16]) -> Answer {
        let join = Join { secret, node: id(n), role: Role::Node, extensions: Extensions::new() };
        self.say(n, issuer, Greeting::Join(Box::new(join)))
    }

    pub fn hello_of(&self, n: u8) -> Hello {
        let manager = &self.nodes[&n].manager;
        Hello {
            credentials: manager.credentials(),
            descriptor: None,
            addresses: addresses(n),
            now: self.now,
            extensions: Extensions::new(),
        }
    }

    /// Says something to a node without its manager's doing, and returns the answer.
    pub fn say(&mut self, from: u8, to: u8, request: Greeting) -> Answer {
        let ticket = self.ticket();
        self.feed(to, Input::Asked { ticket, from: id(from), request });
        self.replies.remove(&ticket).unwrap()
    }

    pub fn invite(&mut self, n: u8, role: Role, ttl: Span) -> Result<Token, Refusal> {
        let ticket = self.ticket();
        self.feed(n, Input::Invite { ticket, role, ttl });
        self.responses.remove(&ticket).unwrap().map(|response| match response {
            Response::Invited(token) => token,
            other => panic!("{other:?}"),
        })
    }

    pub fn remove(&mut self, n: u8, node: u8) -> Result<(), Refusal> {
        let ticket = self.ticket();
        self.feed(n, Input::Remove { ticket, node: id(node) });
        self.responses.remove(&ticket).unwrap().map(|_| ())
    }

    pub fn partner_invite(&mut self, n: u8, name: &str, ttl: Span) -> Result<PartnerToken, Refusal> {
        let (ticket, name) = (self.ticket(), name.to_owned());
        self.feed(n, Input::PartnerInvite { ticket, name, ttl });
        self.responses.remove(&ticket).unwrap().map(|response| match response {
            Response::PartnerInvited(token) => token.to_string().parse().unwrap(),
            other => panic!("{other:?}"),
        })
    }

    /// Takes up an invitation; the wires between the two must be there, or the answer is that there was none.
    pub fn partner_accept(&mut self, n: u8, token: &PartnerToken, name: &str) -> Result<PartnerView, Refusal> {
        let (ticket, name) = (self.ticket(), name.to_owned());
        self.feed(n, Input::PartnerAccept { ticket, token: Box::new(token.clone()), name });
        self.changed(ticket)
    }

    pub fn partner_switch(&mut self, n: u8, name: &str, on: bool) -> Result<PartnerView, Refusal> {
        let (ticket, name) = (self.ticket(), name.to_owned());
        self.feed(n, Input::PartnerSwitch { ticket, name, on });
        self.changed(ticket)
    }

    pub fn partner_remove(&mut self, n: u8, name: &str) -> Result<PartnerView, Refusal> {
        let (ticket, name) = (self.ticket(), name.to_owned());
        self.feed(n, Input::PartnerRemove { ticket, name });
        self.changed(ticket)
    }

    fn changed(&mut self, ticket: Ticket) -> Result<PartnerView, Refusal> {
        self.responses.remove(&ticket).unwrap().map(|response| match response {
            Response::PartnerChanged(view) => view,
            other => panic!("{other:?}"),
        })
    }

    /// Shows a token's secret without a manager's doing.
    pub fn accept_with(&mut self, n: u8, inviter: u8, secret: [u8; 16]) -> Answer {
        let accept = Accept {
            secret,
            credentials: self.nodes[&n].manager.credentials().unwrap(),
            descriptor: self.descriptor_of(n),
            addresses: addresses(n),
            extensions: Extensions::new(),
        };
        self.say(n, inviter, Greeting::Accept(Box::new(travelled(&accept))))
    }

    /// The description of its domain that a node shows to whoever asks.
    pub fn descriptor_of(&mut self, n: u8) -> Option<rear_proto::Signed<rear_proto::membership::Descriptor>> {
        let hello = Hello {
            credentials: None,
            descriptor: None,
            addresses: Vec::new(),
            now: self.now,
            extensions: Extensions::new(),
        };
        let Answer::Hello(hello) = self.say(250, n, Greeting::Hello(Box::new(hello))) else { panic!("refused") };
        hello.descriptor
    }

    /// The partners of a node as its operator sees them: name, state, what they say, supernodes with `*` if here.
    pub fn views(&self, n: u8) -> Vec<String> {
        let views = self.nodes[&n].manager.partners(self.now);
        views
            .map(|view| {
                let theirs = match view.theirs {
                    None => "?",
                    Some(true) => "on",
                    Some(false) => "off",
                };
                let mut supernodes: Vec<_> =
                    view.supernodes.iter().map(|(party, here)| (self.number(party.node), *here)).collect();
                supernodes.sort_unstable();
                let supernodes: Vec<_> =
                    supernodes.iter().map(|(n, here)| format!("{n}{}", if *here { "*" } else { "" })).collect();
                format!("{} {} theirs {theirs}: {}", view.name, view.state.name(), supernodes.join(" "))
            })
            .collect()
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    pub fn connect(&mut self, a: u8, b: u8) {
        if a != b && self.connected.insert((a.min(b), a.max(b))) {
            self.feed(
                a,
                Input::PeerUp { party: Party { node: id(b), addresses: vec!["/ip4/1.2.3.4/tcp/5".to_owned()] } },
            );
            self.feed(
                b,
                Input::PeerUp { party: Party { node: id(a), addresses: vec!["/ip4/1.2.3.4/tcp/6".to_owned()] } },
            );
        }
    }

    pub fn disconnect(&mut self, a: u8, b: u8) {
        if self.connected.remove(&(a.min(b), a.max(b))) {
            self.feed(a, Input::PeerDown { node: id(b) });
            self.feed(b, Input::PeerDown { node: id(a) });
        }
    }

    pub fn drop_connections(&mut self, n: u8) {
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.disconnect(n, other);
        }
    }

    pub fn number(&self, node: NodeId) -> u8 {
        (1..=u8::MAX).find(|n| id(*n) == node).unwrap()
    }

    pub fn feed(&mut self, n: u8, input: Input) {
        let Some(node) = self.nodes.get_mut(&n) else { return };
        let mut out = Vec::new();
        node.manager.handle(self.now, input, &mut out);
        self.carry(n, out);
    }

    /// Lets time pass, waking whoever wishes, in order.
    pub fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some((at, n)) =
            self.nodes.iter().filter_map(|(n, node)| Some((node.manager.next_wake()?.0, *n))).min()
            && at <= end
        {
            self.now = self.now.max(at);
            let mut out = Vec::new();
            let node = self.nodes.get_mut(&n).unwrap();
            node.manager.wake(self.now, &mut out);
            self.carry(n, out);
        }
        self.now = end;
    }

    /// Carries out what a node wants; asks and answers travel at once, in order.
    fn carry(&mut self, n: u8, out: Vec<Effect>) {
        let mut queue: VecDeque<(u8, Effect)> = out.into_iter().map(|effect| (n, effect)).collect();
        while let Some((n, effect)) = queue.pop_front() {
            match effect {
                Effect::Keep(row) => keep(&mut self.nodes.get_mut(&n).unwrap().rows, vec![row]),
                Effect::Reply { ticket, answer } => {
                    self.replies.insert(ticket, answer);
                }
                Effect::Respond { ticket, result } => {
                    self.responses.insert(ticket, result);
                }
                Effect::Ask { ask, to, request, .. } => {
                    self.hellos += usize::from(matches!(request, Request::Hello(_)));
                    let (answer, more) = self.deliver(n, &to, request);
                    queue.extend(more);
                    queue.extend(self.answer(n, ask, to.node, answer));
                }
                Effect::MemberGone { node, removed } => {
                    let other = self.number(node);
                    self.told.push((n, format!("gone {other}{}", if removed { " removed" } else { "" })));
                    if removed && self.connected.remove(&(n.min(other), n.max(other))) {
                        for (n, node) in [(n, node), (other, id(n))] {
                            let mut out = Vec::new();
                            let now = self.now;
                            self.nodes.get_mut(&n).unwrap().manager.handle(now, Input::PeerDown { node }, &mut out);
                            queue.extend(out.into_iter().map(|effect| (n, effect)));
                        }
                    }
                }
                Effect::MemberUp { party, role, realm } => {
                    let n_of = self.number(party.node);
                    let at = if party.addresses == addresses(n_of) { "" } else { " somewhere" };
                    let of = match realm {
                        Realm::Own => "",
                        Realm::Partner(domain) if domain == key("alpha") => " of alpha",
                        Realm::Partner(domain) if domain == key("beta") => " of beta",
                        Realm::Partner(_) => " of another",
                        Realm::Catalogue => {
                            assert_eq!(role, Role::Catalogue);
                            ""
                        }
                    };
                    self.told.push((n, format!("up {n_of} {}{of}{at}", role.name())));
                }
                Effect::MemberDown { node } => self.told.push((n, format!("down {}", self.number(node)))),
                Effect::KeepConnected(party) => self.told.push((n, format!("keep {}", self.number(party.node)))),
                Effect::Partners(partners) => self.nodes.get_mut(&n).unwrap().partners = partners.to_vec(),
                Effect::Secret(secret) => self.nodes.get_mut(&n).unwrap().secret = Some(secret),
                Effect::Credentials(credentials) => {
                    assert_eq!(credentials.certificate.claimed().unwrap().node, id(n));
                    self.told.push((n, "credentials".to_owned()));
                }
            }
        }
    }

    fn deliver(&mut self, n: u8, to: &Party, request: Request) -> (Result<Answer, Refusal>, Vec<(u8, Effect)>) {
        let other = self.number(to.node);
        let wire = (n.min(other), n.max(other));
        if self.cut.contains(&wire)
            || self.lost == Some(request.name())
            || !self.connected.contains(&wire)
            || !self.nodes.contains_key(&other)
        {
            return (Err(rear_proto::Code::Timeout.into()), Vec::new());
        }
        self.asked.push((n, other, request.name()));
        let request = match request {
            Request::Hello(hello) => Greeting::Hello(Box::new(travelled(&hello))),
            Request::Join(join) => Greeting::Join(Box::new(join)),
            Request::Accept(accept) => Greeting::Accept(Box::new(travelled(&accept))),
            Request::Partners(partners) => Greeting::Partners(Box::new(travelled(&partners))),
            other => panic!("{other:?}"),
        };
        let ticket = self.ticket();
        let mut out = Vec::new();
        let now = self.now;
        self.nodes.get_mut(&other).unwrap().manager.handle(
            now,
            Input::Asked { ticket, from: id(n), request },
            &mut out,
        );
        let mut answer = Err(rear_proto::Code::Timeout.into());
        let mut more = Vec::new();
        for effect in out {
            match effect {
                Effect::Reply { ticket: of, answer: said } if of == ticket => {
                    answer = match said {
                        Answer::Refused(refusal) => Err(refusal),
                        said => Ok(travelled(&said)),
                    }
                }
                effect => more.push((other, effect)),
            }
        }
        if self.mute.contains(&wire) {
            answer = Err(rear_proto::Code::Timeout.into());
        }
        (answer, more)
    }

    fn answer(&mut self, n: u8, ask: AskId, from: NodeId, answer: Result<Answer, Refusal>) -> Vec<(u8, Effect)> {
        let mut out = Vec::new();
        let now = self.now;
        self.nodes.get_mut(&n).unwrap().manager.handle(now, Input::Answered { ask, from, answer }, &mut out);
        out.into_iter().map(|effect| (n, effect)).collect()
    }

    /// What one node told the others of its kind since the last look.
    pub fn told_by(&mut self, n: u8) -> Vec<String> {
        let (its, rest) = std::mem::take(&mut self.told).into_iter().partition(|(by, _)| *by == n);
        self.told = rest;
        let its: Vec<(u8, String)> = its;
        its.into_iter().map(|(_, what)| what).collect()
    }

    /// The members that a node takes for live.
    pub fn live(&self, n: u8) -> Vec<u8> {
        let manager = &self.nodes[&n].manager;
        let mut live: Vec<u8> = manager
            .members()
            .filter(|view| manager.is_live(self.now, &view.node))
            .map(|view| self.number(view.node))
            .collect();
        live.sort_unstable();
        live
    }

    pub fn warning(&self, n: u8) -> Option<String> {
        self.nodes[&n].manager.status(self.now).unwrap().warning
    }
}

pub fn keep(table: &mut Rows, rows: Vec<Row>) {
    for Row { table: of, key, value } in rows {
        match value {
            Some(value) => table.insert((of, key), value),
            None => table.remove(&(of, key)),
        };
    }
}

/// A value as it comes out at the other end of a wire.
pub fn travelled<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    rear_proto::wire::codec::decode(&rear_proto::wire::codec::encode(value)).unwrap()
}

pub fn caller(net: &Net, at: u8, node: NodeId) -> Caller {
    let request = Request::Hello(net.hello_of(at));
    net.nodes[&at].manager.authorise(net.now, &node, &request).unwrap()
}

pub fn is_partner(net: &Net, at: u8, node: u8) -> bool {
    matches!(caller(net, at, id(node)), Caller::Partner { .. })
}

pub fn is_visitor(net: &Net, at: u8, node: u8) -> bool {
    matches!(caller(net, at, id(node)), Caller::Visitor { .. })
}

/// A HELLO of a node, as it would say it itself, with its domain's description.
pub fn full_hello(net: &mut Net, n: u8) -> Hello {
    let descriptor = net.descriptor_of(n);
    Hello { descriptor, ..net.hello_of(n) }
}

pub fn greet(net: &mut Net, from: u8, to: u8, hello: &Hello) -> Hello {
    match net.say(from, to, Greeting::Hello(Box::new(travelled(hello)))) {
        Answer::Hello(hello) => hello,
        other => panic!("{other:?}"),
    }
}

pub fn place(n: u8, port: u16) -> Vec<String> {
    vec![format!("/ip4/10.0.0.{n}/udp/{port}/quic-v1")]
}

pub fn catalogue(n: u8) -> CatalogueAddress {
    format!("{}/p2p/{}", addresses(n)[0], id(n)).parse().unwrap()
}
