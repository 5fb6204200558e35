//! How the machines' nodes come to be members of their domains: the first of each founds it, the others join it by a token,
//! through the very messages of JOIN, before the world begins.

use agent::{Agent, Command, Event, Identity, Output, Response};
use anyhow::{Context as _, bail};
use kernel::{DomainKey, NodeId, Rng, Ticket, Time};
use rear_proto::{
    Answer, Ask, Row, Signer, Table,
    local::DomainSecret,
    membership::{Role, Token},
};
use simulations::plan::Plan;

/// What a node is made with.
pub(crate) struct Founded {
    /// The seed of its key.
    pub(crate) secret: [u8; 32],
    /// Its key.
    pub(crate) signer: Signer,
    /// Its domain.
    pub(crate) domain: DomainKey,
    /// What it keeps from the beginning.
    pub(crate) rows: Vec<Row>,
}

impl Founded {
    /// Returns its id.
    pub(crate) fn id(&self) -> NodeId {
        self.signer.id()
    }
}

/// Makes the nodes of a plan, which can be dialled at these addresses.
///
/// # Errors
/// When a domain does not let its own node in.
pub(crate) fn found(plan: &Plan, addresses: &[Vec<String>], now: Time, rng: &mut Rng) -> anyhow::Result<Vec<Founded>> {
    let mut nodes: Vec<Founded> = Vec::new();
    let mut issuers: Vec<Option<(usize, DomainKey)>> = vec![None; plan.domains.len()];
    for (number, node) in plan.nodes.iter().enumerate() {
        let domain = node.domain as usize;
        let config = &plan.domains[domain].config;
        let secret: [u8; 32] = rng.bytes();
        let signer = Signer::from_secret(&secret);
        let (domain, rows) = match issuers[domain] {
            None => {
                let key = Signer::from_secret(&rng.bytes());
                let id = DomainKey(key.id().0);
                issuers[domain] = Some((number, id));
                let shared = DomainSecret(rng.bytes());
                let name = &plan.domains[domain].name;
                let rows = federation::genesis::found(name, &key, &signer, node.role, now, &config.federation, shared);
                (id, rows)
            }
            Some((issuer, key)) => {
                let role = plan.nodes[issuer].role;
                let identity = Identity { signer: nodes[issuer].signer.clone(), domain: key, role };
                let mut agent = Agent::new(config.clone(), identity, rng.fork());
                let rows = join(&mut agent, &mut nodes[issuer], &addresses[issuer], &signer, node.role, now)
                    .with_context(|| format!("{} does not join", node.name))?;
                (key, rows)
            }
        };
        nodes.push(Founded { secret, signer, domain, rows });
    }
    Ok(nodes)
}

/// Lets a newcomer join at the issuer, whose rows change by it; returns the newcomer's.
fn join(
    agent: &mut Agent,
    issuer: &mut Founded,
    addresses: &[String],
    newcomer: &Signer,
    role: Role,
    now: Time,
) -> anyhow::Result<Vec<Row>> {
    // The last row of a key is what it is.
    for row in &issuer.rows {
        if let Some(value) = &row.value {
            agent.restore(row.table, &row.key, value)?;
        }
    }
    let mut tell = |event: Event| {
        let batch = agent.handle(now, event);
        batch.rows.into_iter().for_each(|row| keep(&mut issuer.rows, row));
        batch.outputs
    };
    tell(Event::Addresses(addresses.to_vec()));
    let invite = Command::Invite { role, ttl: kernel::Span::secs(600) };
    let outputs = tell(Event::Command { ticket: Ticket(1), command: Box::new(invite) });
    let token: Token = match outputs.into_iter().next() {
        Some(Output::Respond { result: Ok(Response::Invited(token)), .. }) => *token,
        other => bail!("there is no invitation: {other:?}"),
    };
    let request = federation::genesis::ask(&token, newcomer.id(), now)?;
    let ask = Box::new(Ask { request, tell: false, extensions: Default::default() });
    let outputs = tell(Event::Asked { ticket: Ticket(2), from: newcomer.id(), ask });
    let joined = outputs.into_iter().find_map(|output| match output {
        Output::Reply { reply, .. } => Some(reply.answer),
        _ => None,
    });
    match joined {
        Some(Answer::Joined(joined)) => Ok(federation::genesis::joined(&token, newcomer.id(), &joined, now)?),
        other => bail!("it is not let in: {other:?}"),
    }
}

/// Puts a row in the place of what it replaces.
fn keep(rows: &mut Vec<Row>, row: Row) {
    rows.retain(|old| (old.table, &old.key) != (row.table, &row.key));
    if row.value.is_some() {
        rows.push(row);
    }
}

/// Makes a mind of what a disk holds, as a restart would, to look into it.
///
/// # Errors
/// When what is kept can't be read.
pub(crate) fn remember(kept: &node::row::Tables, config: agent::Config, identity: Identity) -> anyhow::Result<Agent> {
    let mut agent = Agent::new(config, identity, Rng::from_number(0));
    for table in Table::ALL {
        for (key, value) in kept.iter(table.into()) {
            agent.restore(table, key, value)?;
        }
    }
    Ok(agent)
}
