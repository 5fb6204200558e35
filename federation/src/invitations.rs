//! Invitations to become partners: secrets that let one domain in, each once.
//!
//! Kept are the secrets' digests, as with tokens to join.

use std::collections::BTreeMap;

use kernel::{Digest, DomainKey, Time};

use crate::{record::InvitationRecord, tokens};

/// The invitations that were given out by this node.
#[derive(Debug, Default)]
pub(crate) struct Invitations(BTreeMap<Digest, InvitationRecord>);

impl Invitations {
    pub(crate) fn put(&mut self, digest: Digest, record: InvitationRecord) {
        self.0.insert(digest, record);
    }

    pub(crate) fn remove(&mut self, digest: &Digest) -> bool {
        self.0.remove(digest).is_some()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Says whether one that nobody has taken up yet is for this name.
    pub(crate) fn is_pending(&self, name: &str, now: Time) -> bool {
        self.0.values().any(|record| record.used.is_none() && record.name == name && record.expires > now)
    }

    /// Finds the invitation of a secret, unless it is over.
    pub(crate) fn find(&self, secret: &[u8; 16], now: Time) -> Option<(Digest, InvitationRecord)> {
        let shown = Digest::of(secret);
        // Every one is compared, each to its last byte: how long it takes tells nothing of how near it came.
        let mut found = None;
        for (digest, record) in &self.0 {
            if tokens::same(digest, &shown) {
                found = Some((*digest, record));
            }
        }
        found.filter(|(_, record)| record.expires > now).map(|(digest, record)| (digest, record.clone()))
    }

    /// Marks an invitation as taken up and returns how it is now.
    pub(crate) fn use_up(&mut self, digest: &Digest, by: DomainKey) -> Option<&InvitationRecord> {
        let record = self.0.get_mut(digest)?;
        record.used = Some(by);
        Some(record)
    }
}
