//! Membership: the chain from a domain's key to a node, the domain's descriptor, and tokens to join by.
//!
//! ```text
//! domain key ──signs──► issuer list ──names──► issuer ──signs──► certificate ──names──► node
//!                                                    └──signs──► descriptor (supernodes, revocations)
//! ```

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{DomainKey, NodeId, Time};
use serde::{Deserialize, Serialize};

use crate::{
    flavour::{Domain, Party},
    message::Extensions,
    refusal::Refusal,
    signed::{BadSignature, Signable, Signed},
    wire::codec,
};

/// What a node is for its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Offers and uses capacity.
    Node,
    /// Speaks for its domain across the border.
    Supernode,
    /// Keeps and serves others' offers.
    Catalogue,
}

impl Role {
    /// Returns the role's name, as commands and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Supernode => "supernode",
            Self::Catalogue => "catalogue",
        }
    }
}

/// Who may certify nodes: the only thing that the domain key signs, so that it may be kept offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerList {
    /// The domain.
    pub domain: Domain,
    /// Grows with every list; the higher wins.
    pub number: u64,
    /// The nodes that may issue certificates and descriptors.
    pub issuers: Vec<NodeId>,
    /// When this list ends.
    pub expires: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for IssuerList {
    const TAG: &'static str = "tombolo issuer list 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// That a node is a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Of which domain.
    pub domain: DomainKey,
    /// Which node.
    pub node: NodeId,
    /// As what.
    pub role: Role,
    /// Who says so.
    pub issuer: NodeId,
    /// Since when.
    pub issued: Time,
    /// Until when.
    pub expires: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Certificate {
    const TAG: &'static str = "tombolo certificate 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// A domain as its issuers describe it: who speaks for it, and who is no longer of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Of which domain.
    pub domain: DomainKey,
    /// The number of the issuer list that its issuer stands on.
    pub list: u64,
    /// Grows with every descriptor on that list.
    pub sequence: u64,
    /// Who says so.
    pub issuer: NodeId,
    /// The domain's supernodes.
    pub supernodes: Vec<Party>,
    /// Nodes removed, each until its certificate would have ended.
    pub revoked: Vec<Revocation>,
    /// When this description ends.
    pub expires: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Descriptor {
    const TAG: &'static str = "tombolo descriptor 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// A node that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revocation {
    /// The node.
    pub node: NodeId,
    /// Until when its certificate would have been good.
    pub until: Time,
}

/// A node's proof of membership: the list, and the certificate by an issuer on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Signed by the domain key.
    pub list: Signed<IssuerList>,
    /// Signed by an issuer on the list.
    pub certificate: Signed<Certificate>,
}

/// What credentials prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The domain.
    pub domain: Domain,
    /// The node.
    pub node: NodeId,
    /// What it is there.
    pub role: Role,
    /// Until when this is proven.
    pub expires: Time,
}

/// Why credentials prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A signature is wrong.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// They are another node's.
    #[error("the certificate is node {0}'s, not the bearer's")]
    OtherNode(NodeId),
    /// They are another domain's.
    #[error("the certificate is of domain {0}")]
    OtherDomain(DomainKey),
    /// Who issued the certificate is not on the list.
    #[error("{0} is not on the domain's list of issuers")]
    NotAnIssuer(NodeId),
    /// They are over.
    #[error("the {0} has expired")]
    Expired(&'static str),
}

impl Credentials {
    /// Verifies the whole chain for the node that shows it, at a point in time.
    ///
    /// # Errors
    /// The first link that does not hold.
    pub fn verify(&self, domain: &DomainKey, bearer: &NodeId, now: Time) -> Result<Member, CredentialsError> {
        let list = self.list.open(&NodeId(domain.0))?;
        if list.domain.key != *domain {
            return Err(CredentialsError::OtherDomain(list.domain.key));
        }
        if list.expires <= now {
            return Err(CredentialsError::Expired("list of issuers"));
        }
        let issuer = self.certificate.claimed().map_or(*bearer, |certificate| certificate.issuer);
        if !list.issuers.contains(&issuer) {
            return Err(CredentialsError::NotAnIssuer(issuer));
        }
        let certificate = self.certificate.open(&issuer)?;
        if certificate.domain != *domain {
            return Err(CredentialsError::OtherDomain(certificate.domain));
        }
        if certificate.node != *bearer {
            return Err(CredentialsError::OtherNode(certificate.node));
        }
        if certificate.expires <= now {
            return Err(CredentialsError::Expired("certificate"));
        }
        Ok(Member {
            domain: list.domain.clone(),
            node: *bearer,
            role: certificate.role,
            expires: certificate.expires.min(list.expires),
        })
    }
}

/// What a newcomer needs to join: where, whose domain, and a secret that works once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The domain.
    pub domain: Domain,
    /// The issuer to join at.
    pub issuer: Party,
    /// The secret.
    pub secret: [u8; 16],
    /// As what.
    pub role: Role,
    /// Until when.
    pub expires: Time,
}

impl std::fmt::Debug for Token {
    /// Shows all but the secret, which belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { domain, issuer, secret: _, role, expires } = self;
        let mut shown = f.debug_struct("Token");
        shown.field("domain", domain).field("issuer", issuer).field("role", role).field("expires", expires);
        shown.finish_non_exhaustive()
    }
}

/// What every token begins with, so that a person recognises one.
const TOKEN_PREFIX: &str = "tombolo-join-";

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token: it begins with '{TOKEN_PREFIX}' and is copied whole")]
pub struct ParseTokenError;

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(codec::encode(self)))
    }
}

impl std::str::FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let body = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(ParseTokenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| ParseTokenError)?;
        codec::decode(&bytes).map_err(|_| ParseTokenError)
    }
}
