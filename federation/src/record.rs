//! What is kept over a restart: own membership, the domain's lists and secret, members, tokens, partners.

use kernel::{Digest, DomainKey, NodeId, Time};
use rear_proto::{
    DamagedRecord, Record, Row, Signed, Table,
    flavour::Party,
    local::DomainSecret,
    membership::{Certificate, Credentials, Descriptor, Role},
    partner::PartnerRecord,
    record::decode,
};
use serde::{Deserialize, Serialize};

/// The keys of table `membership`.
pub(crate) const OWN: &[u8] = b"own";
pub(crate) const DESCRIPTOR: &[u8] = b"descriptor";
pub(crate) const PEERS: &[u8] = b"peers";
/// The secret that the domain's supernodes share.
pub(crate) const SECRET: &[u8] = b"secret";
/// What stands before the node of a removal.
pub(crate) const REVOKED: &[u8] = b"revoked/";
/// The keys of table `partners`: what stands before a partner's domain, before the digest of an invitation's secret,
/// and before a partner's supernode.
pub(crate) const PARTNER: &[u8] = b"partner/";
pub(crate) const INVITATION: &[u8] = b"invite/";
pub(crate) const FOREIGN: &[u8] = b"node/";

/// Own proof of membership.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OwnRecord {
    pub(crate) credentials: Credentials,
}

/// Returns which node's rows these are, by its own proof of membership; the last of them counts.
pub fn bearer<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Option<NodeId> {
    let own = rows.into_iter().filter(|row| row.table == Table::Membership && row.key == OWN).last()?;
    let record: OwnRecord = decode(Table::Membership, own.value.as_deref()?).ok()?;
    record.credentials.certificate.claimed().map(|certificate| certificate.node)
}

/// The newest description of the domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DescriptorRecord {
    pub(crate) descriptor: Signed<Descriptor>,
}

/// The members to begin with, as the issuer told them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PeersRecord {
    pub(crate) peers: Vec<Party>,
}

/// A node that was removed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RevokedRecord {
    pub(crate) until: Time,
}

/// A member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub(crate) certificate: Signed<Certificate>,
    pub(crate) addresses: Vec<String>,
}

/// A token, by the digest of its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) role: Role,
    pub(crate) expires: Time,
    /// Who has used it, and the certificate that it got.
    pub(crate) used: Option<(NodeId, Signed<Certificate>)>,
}

/// The secret that the domain's supernodes share; it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub(crate) struct SecretRecord {
    pub(crate) secret: [u8; 32],
}

/// A partner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptPartner {
    pub(crate) partner: PartnerRecord,
}

/// An invitation to become a partner, by the digest of its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InvitationRecord {
    /// What the domain is to be called here.
    pub(crate) name: String,
    pub(crate) expires: Time,
    /// Who has taken it up.
    pub(crate) used: Option<DomainKey>,
}

/// A partner's supernode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignRecord {
    pub(crate) certificate: Signed<Certificate>,
    pub(crate) addresses: Vec<String>,
}

impl Record for SecretRecord {
    const VERSION: u16 = 1;
}
impl Record for KeptPartner {
    const VERSION: u16 = 1;
}
impl Record for InvitationRecord {
    const VERSION: u16 = 1;
}
impl Record for ForeignRecord {
    const VERSION: u16 = 1;
}
impl Record for OwnRecord {
    const VERSION: u16 = 1;
}
impl Record for DescriptorRecord {
    const VERSION: u16 = 1;
}
impl Record for PeersRecord {
    const VERSION: u16 = 1;
}
impl Record for RevokedRecord {
    const VERSION: u16 = 1;
}
impl Record for MemberRecord {
    const VERSION: u16 = 1;
}
impl Record for TokenRecord {
    const VERSION: u16 = 1;
}

/// Makes the row of own credentials.
pub(crate) fn own(credentials: &Credentials) -> Row {
    Row::put(Table::Membership, OWN, &OwnRecord { credentials: credentials.clone() })
}

/// Makes the row of the domain's description.
pub(crate) fn descriptor(descriptor: &Signed<Descriptor>) -> Row {
    Row::put(Table::Membership, DESCRIPTOR, &DescriptorRecord { descriptor: descriptor.clone() })
}

/// Makes the row of the members to begin with.
pub(crate) fn peers(peers: Vec<Party>) -> Row {
    Row::put(Table::Membership, PEERS, &PeersRecord { peers })
}

/// Makes the row of a removal, or drops it.
pub(crate) fn revoked(node: &NodeId, until: Option<Time>) -> Row {
    let key = [REVOKED, node.as_bytes()].concat();
    match until {
        Some(until) => Row::put(Table::Membership, key, &RevokedRecord { until }),
        None => Row::drop(Table::Membership, key),
    }
}

/// Makes the row of a member.
pub(crate) fn member(node: &NodeId, certificate: &Signed<Certificate>, addresses: &[String]) -> Row {
    let record = MemberRecord { certificate: certificate.clone(), addresses: addresses.to_vec() };
    Row::put(Table::Members, node.as_bytes(), &record)
}

/// Makes the row of a token.
pub(crate) fn token(digest: &Digest, record: &TokenRecord) -> Row {
    Row::put(Table::Tokens, digest.as_bytes(), record)
}

/// Makes the row of the domain's secret.
pub(crate) fn secret(secret: &DomainSecret) -> Row {
    Row::put(Table::Membership, SECRET, &SecretRecord { secret: secret.0 })
}

/// Makes the row of a partner, or drops it.
pub(crate) fn partner(domain: &DomainKey, record: Option<PartnerRecord>) -> Row {
    let key = [PARTNER, domain.as_bytes()].concat();
    match record {
        Some(partner) => Row::put(Table::Partners, key, &KeptPartner { partner }),
        None => Row::drop(Table::Partners, key),
    }
}

/// Makes the row of an invitation, or drops it.
pub(crate) fn invitation(digest: &Digest, record: Option<&InvitationRecord>) -> Row {
    let key = [INVITATION, digest.as_bytes()].concat();
    match record {
        Some(record) => Row::put(Table::Partners, key, record),
        None => Row::drop(Table::Partners, key),
    }
}

/// Makes the row of a partner's supernode, or drops it.
pub(crate) fn foreign(node: &NodeId, record: Option<&ForeignRecord>) -> Row {
    let key = [FOREIGN, node.as_bytes()].concat();
    match record {
        Some(record) => Row::put(Table::Partners, key, record),
        None => Row::drop(Table::Partners, key),
    }
}

/// Reads 32 bytes of a key.
pub(crate) fn key32(table: Table, key: &[u8]) -> Result<[u8; 32], DamagedRecord> {
    key.try_into().map_err(|_| damaged(table, format!("its key has {} bytes, not 32", key.len())))
}

/// Says what is wrong with a row.
pub(crate) fn damaged(table: Table, why: impl Into<String>) -> DamagedRecord {
    DamagedRecord { table: table.name(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use rear_proto::Signer;

    use super::*;
    use crate::{Config, genesis};

    #[test]
    fn rows_tell_whose_they_are_by_the_proof_of_membership_among_them() {
        let (domain, node) = (Signer::from_secret(&[1; 32]), Signer::from_secret(&[2; 32]));
        let found = |node: &Signer| {
            genesis::found("alpha", &domain, node, Role::Node, Time(1), &Config::default(), DomainSecret([3; 32]))
        };
        assert_eq!(bearer(&found(&node)), Some(node.id()));
        assert_eq!(bearer(found(&domain).iter().chain(&found(&node))), Some(node.id()), "the last one counts");
        assert_eq!(bearer(&[]), None);
        assert_eq!(bearer(&[Row::put(Table::Membership, OWN, &RevokedRecord { until: Time(1) })]), None, "damaged");
    }
}
