//! Worlds of several domains: each with an issuer, supernodes, nodes, and nodes that can only dial out; catalogues of
//! domains of their own; partners.
//!
//! Everybody but the first node of a domain has joined it by a token, through the very messages of JOIN.

use agent::{Agent, Command, Config, Event, Identity, Output, Response};
use kernel::{DomainKey, Rng, Span};
use rear::offer::Offer;
use rear_proto::{
    Answer, Ask, Row, Signer,
    membership::{Role, Token},
    partner::PartnerToken,
};

use super::{Faults, START, World, node::Node};

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
    pub(crate) name: &'static str,
    pub(crate) config: Config,
    pub(crate) nodes: Vec<Plan>,
}

impl World {
    /// Makes a world of several domains; its nodes are numbered in the order in which they stand.
    pub(crate) fn of_domains(seed: u64, faults: Faults, domains: Vec<DomainPlan>) -> Self {
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
            let _ = (&node, &named);
        }
        let mut world = Self::of_nodes(rng, faults, nodes, true, true);
        world.run(Span::secs(1));
        world
    }

    /// Makes the domains of two supernodes partners, by the two commands of their operators.
    pub(crate) fn partner(&mut self, inviter: usize, accepter: usize) {
        let name = |world: &Self, of: usize| {
            world.nodes[of].agent.as_ref().unwrap().managers().federation.status(world.now).unwrap().domain.name
        };
        let (alpha, beta) = (name(self, inviter), name(self, accepter));
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
            federation::genesis::found(plan.name, &domain_signer, &signer, role, START, &config.federation)
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
