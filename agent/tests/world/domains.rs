//! Worlds of several domains: each with an issuer, supernodes, nodes, and nodes that can only dial out; catalogues of
//! domains of their own; partners.
//!
//! Everybody but the first node of a domain has joined it by a token, through the very messages of JOIN.

use agent::{Agent, Command, Config, Event, Identity, Output, Response, invariants};
use kernel::{DomainKey, FlavourId, Rng, Span};
use rear::offer::Offer;
use rear_proto::{
    Answer, Ask, Flavour, Row, Signer,
    local::DomainSecret,
    membership::{Role, Token},
    partner::PartnerToken,
};

use super::{Faults, START, World, make, node::Node};

/// What a node of a domain is to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    role: Role,
    offers: Vec<Offer>,
    dials_only: bool,
}

/// A supernode.
pub(crate) const fn supernode() -> Plan {
    Plan { role: Role::Supernode, offers: Vec::new(), dials_only: false }
}

/// A node.
pub(crate) const fn node() -> Plan {
    Plan { role: Role::Node, offers: Vec::new(), dials_only: false }
}

/// A catalogue.
pub(crate) const fn catalogue() -> Plan {
    Plan { role: Role::Catalogue, offers: Vec::new(), dials_only: false }
}

impl Plan {
    /// It offers this.
    pub(crate) fn offering(mut self, offer: Offer) -> Self {
        self.offers.push(offer);
        self
    }

    /// It can't be dialled.
    pub(crate) fn dialling_only(mut self) -> Self {
        self.dials_only = true;
        self
    }
}

/// A domain to be: its nodes, the first of which is its issuer, and their settings.
pub(crate) struct DomainPlan {
    pub(crate) config: Config,
    pub(crate) nodes: Vec<Plan>,
}

impl World {
    /// Makes a world of several domains; its nodes are numbered in the order in which they stand.
    pub(crate) fn of_domains(seed: u64, faults: Faults, domains: Vec<DomainPlan>) -> Self {
        Self::with_domains(seed, faults, domains, true)
    }

    /// Makes one in which mailboxes are served in the order in which they are filled, as a daemon does: only so the
    /// steps of a story come in the order of its table.
    pub(crate) fn of_domains_in_order(seed: u64, domains: Vec<DomainPlan>) -> Self {
        Self::with_domains(seed, Faults::default(), domains, false)
    }

    fn with_domains(seed: u64, faults: Faults, domains: Vec<DomainPlan>, shuffles: bool) -> Self {
        let mut rng = Rng::from_number(seed);
        let mut nodes = Vec::new();
        for (number, plan) in domains.into_iter().enumerate() {
            make(&mut rng, number, plan, &mut nodes);
        }
        // Catalogues can be named only when they are there.
        let named: Vec<String> = nodes
            .iter()
            .filter(|node| node.me.role == Role::Catalogue)
            .map(|node| format!("{}/p2p/{}", node.addresses[0], node.id))
            .collect();
        for node in nodes.iter_mut().filter(|node| node.me.role == Role::Supernode) {
            node.config.federation.catalogues = named.iter().map(|at| at.parse().unwrap()).collect();
        }
        let mut world = Self::of_nodes(rng, faults, nodes, shuffles, true);
        world.run(Span::secs(1));
        world
    }

    /// Returns what the domain of a node is called, everywhere.
    pub(crate) fn domain_name(&self, node: usize) -> String {
        format!("domain-{}", self.nodes[node].domain)
    }

    /// Lets the nodes of these worlds find each other: what is to be advertised is, and what is to be told is told.
    pub(crate) fn settle_in(&mut self) {
        self.run(Span::secs(3));
    }

    /// Makes the domains of two supernodes partners, by the two commands of their operators.
    pub(crate) fn partner(&mut self, inviter: usize, accepter: usize) {
        let (alpha, beta) = (self.domain_name(inviter), self.domain_name(accepter));
        let ticket = self.command(inviter, Command::PartnerInvite { name: beta, ttl: Span::secs(600) });
        self.run(Span::millis(100));
        let token: Box<PartnerToken> = match self.nodes[inviter].responses.get(&ticket) {
            Some(Ok(Response::PartnerInvited(token))) => token.clone(),
            other => self.fail(format!("no invitation: {other:?}")),
        };
        let ticket = self.command(accepter, Command::PartnerAccept { token, name: alpha });
        self.run(Span::secs(1));
        match self.nodes[accepter].responses.get(&ticket) {
            Some(Ok(Response::Partner(_))) => {}
            other => self.fail(format!("no partner: {other:?}")),
        }
        let (a, b) = (self.nodes[inviter].domain, self.nodes[accepter].domain);
        self.partners.extend([(a, b), (b, a)]);
    }

    /// Holds what every node sees of other domains against what those show it.
    #[track_caller]
    pub(crate) fn check_exposed(&self) {
        let domain = |key: &DomainKey| self.nodes.iter().find(|it| it.me.domain == *key).map(|it| it.domain);
        for node in self.up() {
            let (managers, home) = (self.nodes[node].agent.as_ref().unwrap().managers(), self.nodes[node].domain);
            let shows = |by: &DomainKey, origin: &FlavourId| {
                let (by, whose) = (domain(by), self.whose(origin));
                by.zip(whose).is_some_and(|(by, whose)| self.shows(by, home, whose, origin, 8))
            };
            let key = self.nodes[node].me.domain;
            if let Err(violation) = invariants::check_exposed(managers, self.now, &key, shows) {
                self.fail(format!("node {node}: {violation}"));
            }
        }
    }

    /// Returns whose flavour this is.
    pub(crate) fn whose(&self, origin: &FlavourId) -> Option<usize> {
        (0..self.nodes.len()).find(|node| self.flavour(*node, origin).is_some())
    }

    fn flavour(&self, node: usize, origin: &FlavourId) -> Option<Flavour> {
        let mut flavours = self.nodes[node].agent.as_ref()?.managers().rear.flavours();
        flavours.find(|flavour| flavour.origin == *origin)
    }

    /// Says whether a domain shows a node's flavour to another domain, by its settings and those of whom it has it from.
    fn shows(&self, by: usize, to: usize, whose: usize, origin: &FlavourId, hops: usize) -> bool {
        if hops == 0 || by == to || !self.partners.contains(&(by, to)) {
            return false;
        }
        let name = |domain: usize| format!("domain-{domain}");
        let Some(mut flavour) = self.flavour(whose, origin) else { return false };
        flavour.available = flavour.base;
        let own = self.nodes[whose].domain == by;
        let supernodes = self.nodes.iter().filter(|it| it.domain == by && it.me.role == Role::Supernode);
        let mut rules = supernodes.flat_map(|it| &it.config.discovery.expose);
        let has_rule =
            rules.any(|rule| rule.is_for(&name(to)) && (own || rule.resale) && rule.what.check(&flavour, None).is_ok());
        let mut others = 0..=self.nodes.iter().map(|it| it.domain).max().unwrap_or(0);
        has_rule && (own || others.any(|from| from != to && self.shows(from, by, whose, origin, hops - 1)))
    }
}

/// Makes the nodes of one domain.
fn make(rng: &mut Rng, number: usize, plan: DomainPlan, nodes: &mut Vec<Node>) {
    let domain_signer = Signer::from_secret(&rng.bytes());
    let domain = DomainKey(domain_signer.id().0);
    let first = nodes.len();
    for (place, Plan { role, offers, dials_only }) in plan.nodes.into_iter().enumerate() {
        let mut config = plan.config.clone();
        config.rear.offers = offers;
        let signer = Signer::from_secret(&rng.bytes());
        let rows = if place == 0 {
            let (name, secret) = (format!("domain-{number}"), DomainSecret(rng.bytes()));
            federation::genesis::found(&name, &domain_signer, &signer, role, START, &config.federation, secret)
        } else {
            join(rng, &mut nodes[first], &signer, role)
        };
        let mut node = Node::new(Identity { signer, domain, role }, config, rows);
        node.domain = number;
        if !dials_only {
            node.addresses = vec![format!("/ip4/10.{}.0.{}/udp/4001/quic-v1", number + 1, nodes.len() + 1)];
        }
        nodes.push(node);
    }
}

/// Lets a newcomer join at the issuer, whose rows change by it; returns the newcomer's.
fn join(rng: &mut Rng, issuer: &mut Node, newcomer: &Signer, role: Role) -> Vec<Row> {
    let mut agent = issuer.remember(&issuer.disk.rows, rng.number());
    let batch = agent.start(START, 1);
    batch.rows.into_iter().for_each(|row| issuer.disk.keep(row));
    ask(&mut agent, issuer, Event::Addresses(issuer.addresses.clone()));
    let invite = Command::Invite { role, ttl: Span::secs(600) };
    let event = Event::Command { ticket: kernel::Ticket(1), command: Box::new(invite) };
    let token: Token = match ask(&mut agent, issuer, event).as_slice() {
        [Output::Respond { result: Ok(Response::Invited(token)), .. }] => (**token).clone(),
        other => panic!("no invitation: {other:?}"),
    };
    let request = federation::genesis::ask(&token, newcomer.id(), START).unwrap();
    let question = Box::new(Ask { request, tell: false, extensions: Default::default() });
    let event = Event::Asked { ticket: kernel::Ticket(2), from: newcomer.id(), ask: question };
    let outputs = ask(&mut agent, issuer, event);
    let joined = outputs.iter().find_map(|output| match output {
        Output::Reply { reply, .. } => Some(reply.answer.clone()),
        _ => None,
    });
    let Some(Answer::Joined(joined)) = joined else { panic!("not let in: {joined:?}") };
    federation::genesis::joined(&token, newcomer.id(), &joined, START).unwrap()
}

fn ask(agent: &mut Agent, node: &mut Node, event: Event) -> Vec<Output> {
    let batch = agent.handle(START, event);
    batch.rows.into_iter().for_each(|row| node.disk.keep(row));
    batch.outputs
}

/// Settings under which a domain shows its partners all that it has.
pub(crate) fn open() -> Config {
    let mut config = make::fast();
    let everybody =
        discovery::config::Expose { partners: vec!["*".to_owned()], what: Default::default(), resale: false };
    config.discovery.expose = vec![everybody];
    config
}

/// Two domains that are partners, as in story 3: a supernode and a consumer, a supernode and a provider.
pub(crate) mod story_three {
    use super::{Config, DomainPlan, Faults, Offer, Plan, World, node, open, supernode};

    pub(crate) const SC: usize = 0;
    pub(crate) const C: usize = 1;
    pub(crate) const SP: usize = 2;
    pub(crate) const P: usize = 3;

    /// Makes it; the provider offers this.
    pub(crate) fn world(seed: u64, faults: Faults, offer: Offer) -> World {
        made(seed, faults, [vec![supernode(), node()], vec![supernode(), node().offering(offer)]])
    }

    /// Makes it with these settings of all nodes.
    pub(crate) fn with(seed: u64, faults: Faults, config: Config, offer: Offer) -> World {
        let nodes = [vec![supernode(), node()], vec![supernode(), node().offering(offer)]];
        let plan = |nodes| DomainPlan { config: config.clone(), nodes };
        ready(World::of_domains(seed, faults, nodes.into_iter().map(plan).collect()), SP)
    }

    /// Makes it with mailboxes that are served in order.
    pub(crate) fn in_order(seed: u64, offer: Offer) -> World {
        let nodes = [vec![supernode(), node()], vec![supernode(), node().offering(offer)]];
        ready(World::of_domains_in_order(seed, plans(nodes)), SP)
    }

    /// Makes two domains of these nodes; the first of each is the supernode whose operator makes them partners.
    pub(crate) fn made(seed: u64, faults: Faults, nodes: [Vec<Plan>; 2]) -> World {
        let second = nodes[0].len();
        ready(World::of_domains(seed, faults, plans(nodes)), second)
    }

    fn plans(nodes: [Vec<Plan>; 2]) -> Vec<DomainPlan> {
        nodes.into_iter().map(|nodes| DomainPlan { config: open(), nodes }).collect()
    }

    fn ready(mut world: World, second: usize) -> World {
        world.watch_borders();
        world.partner(SC, second);
        world.settle_in();
        world
    }
}
