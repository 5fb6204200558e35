//! An open proposal: who may vote on it, who has, and what that comes to.

use std::collections::BTreeMap;

use kernel::{Digest, DomainKey, NodeId, Span, Time};
use rear_proto::{
    Extensions, Signed,
    governance::{Ballot, Decision, Minute, Proposal, Vote, tally},
    membership::IssuerList,
};

use crate::governance::Flaw;

/// For how long after a proposal's end its teller waits for votes that were cast in time.
pub const GRACE: Span = Span::secs(10);

/// An open proposal.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    pub(super) signed: Signed<Proposal>,
    pub(super) proposal: Proposal,
    pub(super) list: Signed<IssuerList>,
    pub(super) ballot: Ballot,
    pub(super) votes: BTreeMap<DomainKey, Cast>,
}

/// A vote that was cast.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    pub(super) vote: Signed<Vote>,
    pub(super) decision: bool,
    pub(super) list: Signed<IssuerList>,
}

impl Motion {
    pub(super) fn minutes(&self) -> impl Iterator<Item = Minute> {
        let proposed = Minute::Proposed { proposal: self.signed.clone(), list: self.list.clone() };
        let voted = |cast: &Cast| Minute::Voted { vote: cast.vote.clone(), list: cast.list.clone() };
        std::iter::once(proposed).chain(self.votes.values().map(voted))
    }

    pub(super) fn cast(&self) -> BTreeMap<DomainKey, bool> {
        self.votes.iter().map(|(elector, cast)| (*elector, cast.decision)).collect()
    }

    /// Returns what the votes come to, where that can be said now.
    pub(super) fn counted(&self, now: Time) -> Option<Decision> {
        let votes = self.cast();
        let outcome = tally(&self.ballot, &votes, self.proposal.ends + GRACE <= now)?;
        let mut lists: BTreeMap<DomainKey, Signed<IssuerList>> =
            self.votes.iter().map(|(elector, cast)| (*elector, cast.list.clone())).collect();
        lists.entry(self.proposal.initiator).or_insert_with(|| self.list.clone());
        Some(Decision {
            proposal: self.signed.clone(),
            votes: self.votes.values().map(|cast| cast.vote.clone()).collect(),
            lists: lists.into_values().collect(),
            outcome,
            // A clock that was set back does not make it earlier than it can be.
            at: now.max(self.proposal.opened),
            extensions: Extensions::new(),
        })
    }
}

/// Says whether a node could sign for a domain at a time.
pub(in crate::governance) fn is_issuer(
    list: &Signed<IssuerList>,
    domain: DomainKey,
    by: NodeId,
    at: Time,
) -> Result<(), Flaw> {
    let opened = list.open(&NodeId(domain.0)).map_err(|_| Flaw::Signature("list of issuers"))?;
    if opened.domain.key == domain && opened.issuers.contains(&by) && at < opened.expires {
        return Ok(());
    }
    Err(Flaw::NoIssuer { domain, by })
}

/// Checks a vote on a proposal.
pub(super) fn checked<'a>(
    signed: &'a Signed<Vote>,
    list: &Signed<IssuerList>,
    digest: &Digest,
    motion: &Motion,
) -> Result<&'a Vote, Flaw> {
    let claimed = signed.claimed().ok_or(Flaw::Signature("vote"))?;
    let (elector, by) = (claimed.elector, claimed.by);
    if !motion.ballot.electorate.contains(&elector) {
        return Err(Flaw::NoElector(elector));
    }
    let vote = signed.open(&by).map_err(|_| Flaw::Signature("vote"))?;
    is_issuer(list, elector, by, vote.at)?;
    let in_time = motion.proposal.opened <= vote.at && vote.at < motion.proposal.ends;
    if vote.proposal != *digest || !in_time {
        return Err(Flaw::Vote(elector));
    }
    Ok(vote)
}
