//! How membership begins: `init --domain` founds a domain, `init --join` enters one. Pure functions over keys.
//!
//! ```text
//!  found:  domain key, node key ──► rows of the first member, who is its issuer
//!  join:   token ──► ask ──► (issuer) ──► joined ──► rows of a member
//! ```

use kernel::{NodeId, Time};
use rear_proto::{
    Extensions, Request, Row, Signed, Signer,
    flavour::{Domain, Party},
    local::DomainSecret,
    membership::{Certificate, Credentials, CredentialsError, Descriptor, IssuerList, Role, Token},
    message::{Join, Joined},
};

use crate::{charter::Charter, config::Config, record};

/// The extension of JOIN's answer that holds the domain's secret.
pub(crate) const SECRET: u16 = 1;

/// Why a newcomer can't join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The token is over.
    #[error("the token for domain {0} has expired: ask for another with 'tombolo domain invite'")]
    TokenExpired(String),
    /// What the issuer sent is no proof of membership.
    #[error("what the issuer sent is no proof of membership in domain {domain}")]
    Credentials {
        /// The domain.
        domain: String,
        /// What is wrong with it.
        #[source]
        why: CredentialsError,
    },
    /// The issuer certified another role than the token says.
    #[error("the token is for a {}, and the issuer made a {} of this node", wanted.name(), got.name())]
    Role {
        /// What the token says.
        wanted: Role,
        /// What the certificate says.
        got: Role,
    },
    /// The description of the domain is not signed by one of its issuers.
    #[error("the description of domain {0} that the issuer sent is not signed by one of its issuers")]
    Descriptor(String),
}

/// Founds a domain: returns the rows of its first node, which is its only issuer.
///
/// The domain's key signs nothing but the list of issuers, and is needed again only to change that. `secret` is
/// random, and is shared among the domain's supernodes; the issuer keeps it, whatever its role, to hand it out.
pub fn found(
    name: &str,
    domain: &Signer,
    node: &Signer,
    role: Role,
    now: Time,
    config: &Config,
    secret: DomainSecret,
) -> Vec<Row> {
    let domain_key = kernel::DomainKey(domain.id().0);
    let list = IssuerList {
        domain: Domain { key: domain_key, name: name.to_owned() },
        number: 1,
        issuers: vec![node.id()],
        expires: now + config.list_life,
        extensions: Extensions::new(),
    };
    let certificate =
        certificate(domain_key, node.id(), role, node, now, (now + config.certificate_life).min(list.expires));
    let descriptor = Descriptor {
        domain: domain_key,
        list: 1,
        sequence: 1,
        issuer: node.id(),
        supernodes: if role == Role::Supernode {
            vec![Party { node: node.id(), addresses: Vec::new() }]
        } else {
            Vec::new()
        },
        revoked: Vec::new(),
        expires: (now + config.descriptor_life).min(list.expires),
        extensions: Extensions::new(),
    };
    let credentials = Credentials { list: Signed::new(list, domain), certificate };
    vec![record::own(&credentials), record::descriptor(&Signed::new(descriptor, node)), record::secret(&secret)]
}

/// Returns what to ask the token's issuer.
///
/// # Errors
/// When the token is over.
pub fn ask(token: &Token, node: NodeId, now: Time) -> Result<Request, JoinError> {
    if token.expires <= now {
        return Err(JoinError::TokenExpired(token.domain.name.clone()));
    }
    Ok(Request::Join(Join { secret: token.secret, node, role: token.role, extensions: Extensions::new() }))
}

/// Verifies what the issuer answered, and returns the rows of the new member.
///
/// # Errors
/// When the answer proves nothing, or something else than the token promised.
pub fn joined(token: &Token, node: NodeId, joined: &Joined, now: Time) -> Result<Vec<Row>, JoinError> {
    let name = || token.domain.name.clone();
    let member = joined
        .credentials
        .verify(&token.domain.key, &node, now)
        .map_err(|why| JoinError::Credentials { domain: name(), why })?;
    if member.role != token.role {
        return Err(JoinError::Role { wanted: token.role, got: member.role });
    }
    let mut rows = vec![record::own(&joined.credentials)];
    if let Some(descriptor) = &joined.descriptor {
        let mut charter = Charter::new(&joined.credentials.list).ok_or_else(|| JoinError::Descriptor(name()))?;
        let news = charter.learn_descriptor(descriptor, now);
        if !news.adopted {
            return Err(JoinError::Descriptor(name()));
        }
        rows.push(record::descriptor(descriptor));
        rows.extend(news.revoked.iter().map(|(node, until)| record::revoked(node, Some(*until))));
    }
    if let Some(secret) = handed_over(member.role, joined) {
        rows.push(record::secret(&secret));
    }
    let others = joined.peers.iter().filter(|peer| peer.node != node && peer.node != token.issuer.node);
    rows.push(record::peers(std::iter::once(&token.issuer).chain(others).cloned().collect()));
    Ok(rows)
}

/// Returns the domain's secret, which an issuer hands to supernodes.
pub(crate) fn handed_over(role: Role, joined: &Joined) -> Option<DomainSecret> {
    let secret = joined.extensions.get(&SECRET).filter(|_| role == Role::Supernode)?;
    secret.as_slice().try_into().ok().map(DomainSecret)
}

/// Makes a certificate.
pub(crate) fn certificate(
    domain: kernel::DomainKey,
    node: NodeId,
    role: Role,
    issuer: &Signer,
    now: Time,
    expires: Time,
) -> Signed<Certificate> {
    let issuer_id = issuer.id();
    let certificate =
        Certificate { domain, node, role, issuer: issuer_id, issued: now, expires, extensions: Extensions::new() };
    Signed::new(certificate, issuer)
}
