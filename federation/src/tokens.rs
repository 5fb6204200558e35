//! Tokens: secrets that let one newcomer in, each once.
//!
//! Kept are the secrets' digests, so that who reads the ledger can't join with what stands there.

use std::collections::BTreeMap;

use kernel::{Digest, NodeId, Time};
use rear_proto::{Signed, membership::Certificate};

use crate::record::TokenRecord;

/// The secret that stands for none: a member that asks for a fresh certificate shows it.
pub(crate) const NO_SECRET: [u8; 16] = [0; 16];

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tokens(BTreeMap<Digest, TokenRecord>);

/// What a secret is good for.
pub(crate) enum Admission {
    /// A certificate in this role.
    Fresh(Digest, rear_proto::membership::Role),
    /// The certificate that this node got for it before.
    Repeat(Signed<Certificate>),
}

impl Tokens {
    pub(crate) fn digest(secret: &[u8; 16]) -> Digest {
        Digest::of(secret)
    }

    pub(crate) fn put(&mut self, digest: Digest, record: TokenRecord) {
        self.0.insert(digest, record);
    }

    pub(crate) fn remove(&mut self, digest: &Digest) -> bool {
        self.0.remove(digest).is_some()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Finds what a secret is good for at this node's hands; nothing, where it is wrong, over, or another's.
    pub(crate) fn admission(&self, secret: &[u8; 16], node: &NodeId, now: Time) -> Option<Admission> {
        let shown = Self::digest(secret);
        // Every token is compared, each to its last byte: how long it takes tells nothing of how near it came.
        let mut found = None;
        for (digest, record) in &self.0 {
            if same(digest, &shown) {
                found = Some((digest, record));
            }
        }
        let (digest, record) = found?;
        if record.expires <= now {
            return None;
        }
        match &record.used {
            None => Some(Admission::Fresh(*digest, record.role)),
            Some((by, certificate)) if by == node => Some(Admission::Repeat(certificate.clone())),
            Some(_) => None,
        }
    }

    /// Marks a token as used and returns how it is now.
    pub(crate) fn use_up(
        &mut self,
        digest: &Digest,
        node: NodeId,
        certificate: &Signed<Certificate>,
    ) -> Option<&TokenRecord> {
        let record = self.0.get_mut(digest)?;
        record.used = Some((node, certificate.clone()));
        Some(record)
    }
}

/// Compares without stopping at the first difference.
pub(crate) fn same(a: &Digest, b: &Digest) -> bool {
    let difference = a.0.iter().zip(b.0).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    difference == 0
}
