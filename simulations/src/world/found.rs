//! The making of a world: each domain is founded by its first node, and the others join it by token, through the very
//! messages of JOIN; then supernodes are made partners by the two commands of their operators, who remove nodes, too.

use agent::{Agent, Batch, Command, Event, Identity, Output, Response};
use kernel::{DomainKey, Rng, Span, Ticket};
use rear_proto::{
    Answer, Ask, Refusal, Row, Signer,
    local::DomainSecret,
    membership::{Role, Token},
    signed::cheap,
};

use super::{
    Due, START, World,
    node::{Disk, Node},
    rows::Shared,
};
use crate::plan::{DomainNo, NodeNo, Plan, PlanError};

/// How long invitations are good: until the last of all partners has taken up his.
const INVITED: Span = Span::secs(3600);
/// How much later the operators of each next pair of partners begin: so many HELLOs and descriptions at once are nobody's story.
const BETWEEN_PARTNERS: Span = Span::millis(2);

/// How often operators try to become partners.
const MOST_TRIES: u32 = 20;

/// What the world waits for with a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Setup {
    /// An invitation to become a partner: which pair of the plan, who is to take it up, and how often it was tried.
    Invited { place: usize, accepter: NodeNo, tries: u32 },
    /// That it is taken up.
    Accepted { place: usize, accepter: NodeNo, tries: u32 },
    /// That an intent, by its number in the plan, is being deleted.
    Deleted { number: u32 },
    /// That a node is being removed from its domain, and how often it was tried.
    Removed { node: NodeNo, tries: u32 },
}

/// Makes the nodes of a plan.
pub(super) fn nodes(plan: &Plan, rng: &mut Rng, cheaply: bool, shared: &mut Shared) -> Result<Vec<Node>, PlanError> {
    let mut nodes: Vec<Node> = Vec::with_capacity(plan.nodes.len());
    let mut issuer: Option<(DomainNo, Issuer)> = None;
    let make = |secret: [u8; 32]| if cheaply { cheap::signer(&secret) } else { Signer::from_secret(&secret) };
    for (number, node) in plan.nodes.iter().enumerate() {
        let signer = make(rng.bytes());
        let addresses = if node.dials_only { Vec::new() } else { vec![address(number)] };
        let name = &plan.domains[node.domain as usize].name;
        let failed = |what: String| PlanError(format!("node {} can't be made: {what}", node.name));
        let rows = match &mut issuer {
            Some((domain, issuer)) if *domain == node.domain => {
                issuer.admit(&signer, node.role, shared).map_err(failed)?
            }
            _ => {
                let domain = make(rng.bytes());
                let secret = DomainSecret(rng.bytes());
                let config = &plan.domains[node.domain as usize].config;
                let rows =
                    federation::genesis::found(name, &domain, &signer, node.role, START, &config.federation, secret);
                let me = Identity { signer: signer.clone(), domain: DomainKey(domain.id().0), role: node.role };
                if let Some((_, issuer)) = issuer.take() {
                    issuer.retire(&mut nodes);
                }
                issuer = Some((
                    node.domain,
                    Issuer::new(number, me, config, &rows, &addresses, rng.number(), shared).map_err(failed)?,
                ));
                rows
            }
        };
        let domain =
            issuer.as_ref().map(|(_, issuer)| issuer.domain).ok_or_else(|| failed("it has no domain".to_owned()))?;
        nodes.push(Node::new(Identity { signer, domain, role: node.role }, addresses, &rows, shared));
    }
    if let Some((_, issuer)) = issuer {
        issuer.retire(&mut nodes);
    }
    Ok(nodes)
}

/// Returns where a node listens.
fn address(node: usize) -> String {
    let node = node + 1;
    format!("/ip4/10.{}.{}.{}/udp/4001/quic-v1", node >> 16 & 255, node >> 8 & 255, node & 255)
}

/// A domain's first node, while the others join.
struct Issuer {
    node: usize,
    domain: DomainKey,
    agent: Agent,
    disk: Disk,
    tickets: u64,
}

impl Issuer {
    fn new(
        node: usize,
        me: Identity,
        config: &agent::Config,
        rows: &[Row],
        addresses: &[String],
        seed: u64,
        shared: &mut Shared,
    ) -> Result<Self, String> {
        let domain = me.domain;
        let mut agent = Agent::new(config.clone(), me, Rng::from_number(seed));
        let mut disk = Disk::default();
        for row in rows {
            let value = row.value.as_deref().unwrap_or_default();
            agent.restore(row.table, &row.key, value).map_err(|error| error.to_string())?;
            disk.rows.keep(row, shared);
        }
        let mut issuer = Self { node, domain, agent, disk, tickets: 0 };
        let batch = issuer.agent.start(START, 1);
        issuer.keep(batch, shared);
        issuer.tell(Event::Addresses(addresses.to_vec()), shared);
        Ok(issuer)
    }

    fn keep(&mut self, batch: Batch, shared: &mut Shared) -> Vec<Output> {
        batch.rows.iter().for_each(|row| self.disk.rows.keep(row, shared));
        batch.outputs
    }

    fn tell(&mut self, event: Event, shared: &mut Shared) -> Vec<Output> {
        let batch = self.agent.handle(START, event);
        self.keep(batch, shared)
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Lets a newcomer join; returns the newcomer's rows.
    fn admit(&mut self, newcomer: &Signer, role: Role, shared: &mut Shared) -> Result<Vec<Row>, String> {
        let command = Command::Invite { role, ttl: INVITED };
        let outputs = {
            let ticket = self.ticket();
            self.tell(Event::Command { ticket, command: Box::new(command) }, shared)
        };
        let token: Token = outputs
            .into_iter()
            .find_map(|output| match output {
                Output::Respond { result: Ok(Response::Invited(token)), .. } => Some(*token),
                _ => None,
            })
            .ok_or("its issuer does not invite it")?;
        let request = federation::genesis::ask(&token, newcomer.id(), START).map_err(|error| error.to_string())?;
        let ask = Box::new(Ask { request, tell: false, extensions: Default::default() });
        let ticket = self.ticket();
        let outputs = self.tell(Event::Asked { ticket, from: newcomer.id(), ask }, shared);
        let joined = outputs.into_iter().find_map(|output| match output {
            Output::Reply { reply, .. } => Some(reply.answer),
            _ => None,
        });
        match joined {
            Some(Answer::Joined(joined)) => {
                federation::genesis::joined(&token, newcomer.id(), &joined, START).map_err(|error| error.to_string())
            }
            other => Err(format!("its issuer does not let it in: {other:?}")),
        }
    }

    /// All have joined: what the issuer has learnt is on its disk.
    fn retire(self, nodes: &mut [Node]) {
        nodes[self.node].disk = self.disk;
    }
}

impl World {
    /// Plans that the operators make their domains partners; returns when the last of them is done with it.
    pub(super) fn plan_partners(&mut self, from: Span) -> Span {
        let mut at = from;
        for place in 0..self.plan.partners.len() {
            at = at.plus(BETWEEN_PARTNERS);
            self.after(at, Due::Partner { place, tries: 1 });
        }
        at.plus(Span::secs(5))
    }

    /// The operators of two domains begin to make them partners.
    pub(super) fn invite(&mut self, place: usize, tries: u32) {
        let (inviter, accepter) = self.plan.partners[place];
        let (Some(node), Some(with)) = (self.issuer(inviter), self.issuer(accepter)) else { return };
        let name = self.plan.domains[accepter as usize].name.clone();
        let setup = Setup::Invited { place, accepter: with, tries };
        self.command(node, Command::PartnerInvite { name, ttl: INVITED }, Some(setup));
    }

    /// The operator of the other one takes the invitation up.
    pub(super) fn accept(&mut self, place: usize, accepter: NodeNo, tries: u32) {
        let Some(token) = self.tokens.get(&place).cloned() else { return };
        let (inviter, _) = self.plan.partners[place];
        let name = self.plan.domains[inviter as usize].name.clone();
        self.command(
            accepter,
            Command::PartnerAccept { token, name },
            Some(Setup::Accepted { place, accepter, tries }),
        );
    }

    /// A command is answered.
    pub(super) fn answered(&mut self, setup: Option<Setup>, result: Result<Response, Refusal>) {
        match (setup, result) {
            (None | Some(Setup::Deleted { .. }), _) | (Some(Setup::Accepted { .. } | Setup::Removed { .. }), Ok(_)) => {
            }
            (Some(Setup::Invited { place, accepter, tries }), Ok(Response::PartnerInvited(token))) => {
                // A person carries the token over.
                self.tokens.insert(place, token);
                self.after(Span::millis(10), Due::Accept { place, accepter, tries });
            }
            // Of an earlier try the answer alone was lost.
            (Some(Setup::Accepted { place, accepter, .. }), Err(_)) if self.has_partner(accepter, place) => {}
            // On a bad line it may take several. Whoever was let in by a token, and did not hear of it, shows the same again.
            (Some(Setup::Invited { place, tries, .. }), _) if tries < MOST_TRIES => {
                self.after(Span::secs(1), Due::Partner { place, tries: tries + 1 });
            }
            (Some(Setup::Accepted { place, accepter, tries }), _) if tries < MOST_TRIES => {
                self.after(Span::secs(1), Due::Accept { place, accepter, tries: tries + 1 });
            }
            // An issuer whose disk was lost does not know yet who is there.
            (Some(Setup::Removed { node, tries }), Err(_)) if tries < MOST_TRIES => {
                self.after(Span::secs(1), Due::Remove { node, tries: tries + 1 });
            }
            (Some(Setup::Removed { node, .. }), other) => {
                self.violate("setup", node, format!("it can't be removed: {other:?}"));
            }
            (Some(Setup::Invited { accepter, .. } | Setup::Accepted { accepter, .. }), other) => {
                self.violate("setup", accepter, format!("no partners: {other:?}"));
            }
        }
    }

    /// The operator of a node's domain removes it, at the domain's first node, and waits while that is down.
    pub(super) fn remove(&mut self, node: NodeNo, tries: u32) {
        let Some(issuer) = self.issuer(self.domain(node)).filter(|issuer| *issuer != node) else { return };
        if self.is_gone(issuer) {
            return;
        }
        if self.node(issuer).agent.is_none() {
            return self.after(Span::secs(1), Due::Remove { node, tries });
        }
        let id = self.node(node).id;
        self.command(issuer, Command::Remove(id), Some(Setup::Removed { node, tries }));
    }

    /// Returns a domain's first node, which admits and removes the others.
    fn issuer(&self, domain: DomainNo) -> Option<NodeNo> {
        self.plan.nodes.iter().position(|node| node.domain == domain).and_then(|at| NodeNo::try_from(at).ok())
    }

    /// Says whether a node knows the other domain of a pair as a partner already.
    fn has_partner(&self, node: NodeNo, place: usize) -> bool {
        let name = &self.plan.domains[self.plan.partners[place].0 as usize].name;
        let mut partners = self.managers(node).into_iter().flat_map(|it| it.federation.partners(self.now));
        partners.any(|partner| partner.name == *name)
    }
}
