//! Making a node: its keys, its configuration, and its domain or its membership of one.

use std::time::Duration;

use anyhow::{Context as _, bail};
use federation::genesis;
use kernel::{DomainKey, NodeId, Span};
use rear_proto::{
    Answer, Row, Signer,
    flavour::Domain as DomainName,
    local::DomainSecret,
    membership::{Role, Token},
};
use zeroize::Zeroizing;

use crate::{clock, config::Config, daemon::ledger_options, data_dir::DataDir, ledger::Ledger, measure, net, row};

/// How long an issuer has to answer a newcomer.
const JOIN_DEADLINE: Span = Span::secs(15);

/// Which domain a node is to be of.
#[derive(Debug)]
pub enum Domain {
    /// A new one, of this name.
    Found(String),
    /// The one of this token.
    Join(Token),
}

/// A node that was made.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub id: NodeId,
    /// Its domain.
    pub domain: DomainName,
    /// Whether it founded the domain.
    pub founded: bool,
}

/// Makes a node in a data directory; on failure nothing is left there.
///
/// # Errors
/// When there is a node already, the token is not taken, or the system refuses.
pub async fn init(data: &DataDir, domain: Domain, role: Role, offer: bool) -> anyhow::Result<Made> {
    if data.holds_a_node() {
        data.create()?;
    }
    let secret = Zeroizing::new(rand::random::<[u8; 32]>());
    let signer = Signer::from_secret(&secret);
    let now = clock::wall();
    let mut config = Config { role, ..Config::default() };
    // What can fail for reasons outside this machine comes first, while nothing is written.
    let (rows, name, domain_secret) = match domain {
        Domain::Found(name) => {
            let domain_secret = Zeroizing::new(rand::random::<[u8; 32]>());
            let domain_signer = Signer::from_secret(&domain_secret);
            let shared = DomainSecret(rand::random());
            let rows = genesis::found(&name, &domain_signer, &signer, role, now, &config.federation, shared);
            let key = DomainKey(domain_signer.id().0);
            (rows, DomainName { key, name }, Some(domain_secret))
        }
        Domain::Join(token) => {
            config.bootstrap.clone_from(&token.issuer.addresses);
            config.role = token.role;
            let rows = join(&secret, &signer, &token).await?;
            (rows, token.domain, None)
        }
    };
    data.create()?;
    let founded = domain_secret.is_some();
    if let Some(domain_secret) = domain_secret {
        data.write_private(&data.domain_key(), format!("{}\n", hex::encode(domain_secret.as_slice())).as_bytes())?;
    }
    let api_token = hex::encode(rand::random::<[u8; 32]>());
    data.write_private(&data.api_token(), format!("{api_token}\n").as_bytes())?;
    if offer {
        let offer = measure::machine(data.path())?.offer();
        offer.check().context("this machine has too little free to offer: use --no-offer")?;
        config.offer.push(offer);
    }
    std::fs::write(data.config(), config.to_text())
        .with_context(|| format!("can not write {}", data.config().display()))?;
    keep(data, rows)?;
    // The key comes last: a directory with a node's key holds a whole node.
    data.write_private(&data.node_key(), format!("{}\n", hex::encode(secret.as_slice())).as_bytes())?;
    Ok(Made { id: signer.id(), domain: name, founded })
}

/// Begins the ledger with what the node knows of its domain.
fn keep(data: &DataDir, rows: Vec<Row>) -> anyhow::Result<()> {
    let (mut ledger, _) = Ledger::open(data.path(), ledger_options())?;
    let rows: Vec<_> = rows.into_iter().map(row::Row::from).collect();
    ledger.append([rows.as_slice()])?;
    ledger.sync()?;
    Ok(())
}

/// Asks the token's issuer to let this node in.
async fn join(secret: &[u8; 32], signer: &Signer, token: &Token) -> anyhow::Result<Vec<Row>> {
    let issuer = token.issuer.node;
    let request = genesis::ask(token, signer.id(), clock::wall())?;
    let transport = transport::Config::new(*secret);
    let (handle, mut events) = transport::start(transport).await?;
    handle.know(issuer, token.issuer.addresses.clone());
    // The events of this short-lived transport matter to nobody, but its queue must not fill.
    let draining = async { while events.next().await.is_some() {} };
    let reply = tokio::select! {
        reply = net::ask_once(&handle, issuer, request, JOIN_DEADLINE) => reply,
        () = draining => bail!("the connection to the domain broke"),
    };
    let stopped = tokio::time::timeout(Duration::from_secs(3), handle.stop()).await;
    if stopped.is_err() {
        tracing::debug!("the transport for joining did not stop in time");
    }
    let where_to = token.issuer.addresses.join(", ");
    let reply = reply
        .map_err(|refusal| anyhow::anyhow!("{refusal}").context(format!("could not join at {issuer} ({where_to})")))?;
    match reply.answer {
        Answer::Joined(joined) => Ok(genesis::joined(token, signer.id(), &joined, clock::wall())?),
        Answer::Refused(refusal) => bail!("the domain does not let this node in: {refusal}"),
        _ => bail!("{issuer} gave an answer that makes no sense"),
    }
}
