//! What the domain has said of itself: its issuers, its description, and who was removed. Which wins, and whom
//! it makes a member.
//!
//! The higher list wins, then the higher sequence, then the smaller digest; removals are the union of all that
//! were validly signed. So nodes that have heard the same, in whatever order, believe the same.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use kernel::{
    Digest, NodeId, Span, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Extensions, Signed, Signer,
    door::{MAX_REVOKED, MAX_SUPERNODES},
    flavour::{Domain, Party},
    membership::{Certificate, Credentials, CredentialsError, Descriptor, IssuerList, Member, Revocation},
};

/// The most removals that are remembered: what four full descriptions hold. Only an issuer can add to them.
const REMEMBERED: usize = 4 * MAX_REVOKED;

/// The domain as this node knows it.
#[derive(Debug, Clone)]
pub(crate) struct Charter {
    list: Signed<IssuerList>,
    /// What the list says.
    issuers: Arc<IssuerList>,
    descriptor: Option<(Signed<Descriptor>, Arc<Descriptor>)>,
    revoked: BTreeMap<NodeId, Time>,
}

/// What was new in a description.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The description is the newest.
    pub(crate) adopted: bool,
    /// Removals that were not known, or lasted less.
    pub(crate) revoked: Vec<(NodeId, Time)>,
}

impl Charter {
    /// Believes a list of issuers, if the domain that it names has signed it.
    pub(crate) fn new(list: &Signed<IssuerList>) -> Option<Self> {
        let issuers = list.kept()?;
        list.open(&NodeId(issuers.domain.key.0)).ok()?;
        Some(Self { list: list.clone(), issuers, descriptor: None, revoked: BTreeMap::new() })
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.issuers.domain
    }

    pub(crate) const fn list(&self) -> &Signed<IssuerList> {
        &self.list
    }

    pub(crate) fn issuers(&self) -> &IssuerList {
        &self.issuers
    }

    pub(crate) const fn descriptor(&self) -> Option<&Signed<Descriptor>> {
        match &self.descriptor {
            Some((signed, _)) => Some(signed),
            None => None,
        }
    }

    /// Returns the newest description, opened.
    pub(crate) fn described(&self) -> Option<&Descriptor> {
        match &self.descriptor {
            Some((_, descriptor)) => Some(descriptor),
            None => None,
        }
    }

    pub(crate) fn is_issuer(&self, node: &NodeId) -> bool {
        self.issuers.issuers.contains(node)
    }

    pub(crate) fn is_revoked(&self, node: &NodeId) -> bool {
        self.revoked.contains_key(node)
    }

    pub(crate) const fn revoked(&self) -> &BTreeMap<NodeId, Time> {
        &self.revoked
    }

    /// Remembers a removal without asking who says so; returns whether it was new, or lasts longer.
    pub(crate) fn revoke(&mut self, node: NodeId, until: Time) -> bool {
        let is_news = match self.revoked.get(&node) {
            Some(known) => *known < until,
            None => self.revoked.len() < REMEMBERED,
        };
        if is_news {
            self.revoked.insert(node, until);
        }
        is_news
    }

    /// Returns the place of what the domain has said: the list's number, then the description's sequence.
    pub(crate) fn rank(&self) -> (u64, u64) {
        (self.issuers.number, self.described().map_or(0, |descriptor| descriptor.sequence))
    }

    /// Says whether the domain's description names these supernodes, at these addresses.
    pub(crate) fn describes(&self, supernodes: &[Party]) -> bool {
        self.described().is_some_and(|descriptor| descriptor.supernodes == supernodes)
    }

    /// Forgets all removals that are over.
    pub(crate) fn purge(&mut self, now: Time) {
        self.revoked.retain(|_, until| *until > now);
    }

    /// Forgets a removal that is over.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.revoked.remove(node);
    }

    /// Takes in a list of issuers; returns whether it is newer, and so holds from now on.
    pub(crate) fn learn_list(&mut self, list: &Signed<IssuerList>, now: Time) -> bool {
        if *list == self.list {
            return false;
        }
        let Ok(issuers) = list.open(&NodeId(self.domain().key.0)) else { return false };
        let rank = |issuers: &IssuerList, digest: Digest| (issuers.number, Reverse(digest));
        if issuers.domain.key != self.domain().key
            || issuers.expires <= now
            || rank(issuers, list.digest()) <= rank(&self.issuers, self.list.digest())
        {
            return false;
        }
        let Some(issuers) = list.kept() else { return false };
        self.issuers = issuers;
        self.list = list.clone();
        true
    }

    /// Takes in a description that an issuer on the list has signed, whoever passed it on.
    pub(crate) fn learn_descriptor(&mut self, signed: &Signed<Descriptor>, now: Time) -> News {
        let mut news = News::default();
        if self.descriptor() == Some(signed) {
            return news;
        }
        let Some(issuer) = signed.claimed().map(|claimed| claimed.issuer) else { return news };
        if !self.is_issuer(&issuer) {
            return news;
        }
        let Ok(descriptor) = signed.open(&issuer) else { return news };
        // Of a later list that is not known here it can't be said whether the issuer stands on it.
        if descriptor.domain != self.domain().key
            || descriptor.list > self.issuers.number
            || descriptor.issuer != issuer
        {
            return news;
        }
        for Revocation { node, until } in &descriptor.revoked {
            if *until > now && !planted::is(Bug::IgnoreRemovals) && self.revoke(*node, *until) {
                news.revoked.push((*node, *until));
            }
        }
        let rank = |descriptor: &Descriptor, digest: Digest| (descriptor.list, descriptor.sequence, Reverse(digest));
        let newest = self.descriptor.as_ref().map(|(signed, known)| rank(known, signed.digest()));
        if newest.is_none_or(|newest| rank(descriptor, signed.digest()) > newest)
            && let Some(descriptor) = signed.kept()
        {
            self.descriptor = Some((signed.clone(), descriptor));
            news.adopted = true;
        }
        news
    }

    /// Verifies a certificate for the node that shows it, by the newest list.
    pub(crate) fn verify(
        &self,
        certificate: &Signed<Certificate>,
        bearer: &NodeId,
        now: Time,
    ) -> Result<Member, CredentialsError> {
        let credentials = Credentials { list: self.list.clone(), certificate: certificate.clone() };
        credentials.verify(&self.domain().key, bearer, now)
    }

    /// Says whether an issuer ought to describe the domain anew: it is not, or by an older list, or not every
    /// removal stands in it.
    pub(crate) fn is_outdated(&self, now: Time) -> bool {
        let Some((_, descriptor)) = &self.descriptor else { return true };
        let stands = |node: &NodeId, until: Time| {
            descriptor.revoked.iter().any(|revocation| revocation.node == *node && revocation.until >= until)
        };
        let missing = self.revoked.iter().any(|(node, until)| *until > now && !stands(node, *until));
        descriptor.list < self.issuers.number || (missing && descriptor.revoked.len() < MAX_REVOKED)
    }

    /// Describes the domain anew, under the next sequence, with every removal that still matters.
    ///
    /// `None` where there is no higher sequence.
    pub(crate) fn describe(
        &self,
        issuer: &Signer,
        mut supernodes: Vec<Party>,
        now: Time,
        life: Span,
    ) -> Option<Signed<Descriptor>> {
        let sequence = match &self.descriptor {
            Some((_, known)) if known.list == self.issuers.number => known.sequence.checked_add(1)?,
            Some(_) | None => 1,
        };
        let mut revoked: Vec<Revocation> = self
            .revoked
            .iter()
            .filter(|(_, until)| **until > now)
            .map(|(node, until)| Revocation { node: *node, until: *until })
            .collect();
        // Should there be too many, those that matter longest stand in it.
        revoked.sort_by_key(|revocation| (Reverse(revocation.until), revocation.node));
        revoked.truncate(MAX_REVOKED);
        revoked.sort();
        supernodes.truncate(MAX_SUPERNODES);
        let descriptor = Descriptor {
            domain: self.domain().key,
            list: self.issuers.number,
            sequence,
            issuer: issuer.id(),
            supernodes,
            revoked,
            expires: (now + life).min(self.issuers.expires),
            extensions: Extensions::new(),
        };
        Some(Signed::new(descriptor, issuer))
    }
}
