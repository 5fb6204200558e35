//! All decisions of one federation, each checked.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use kernel::{Digest, DomainKey, FederationId, NodeId, Time};
use rear_proto::{
    Signed,
    governance::{Ballot, Decision, Outcome, Proposal, tally},
    membership::IssuerList,
};

use super::{
    Flaw, Membership,
    membership::{Standing, founding},
};

/// The most decisions of one federation that are kept: of those that passed, and of those that did not.
const MAX_DECISIONS: usize = 4096;
/// The most of one initiator's that did not pass. A member can let its own fail alone: it must not take the others' room.
const MAX_VAIN: usize = 256;

/// What became of a decision that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// It is new, and checked.
    New,
    /// It was known.
    Known,
    /// Its teller has said something else before: both are kept, since they prove that it is not to be relied on.
    Contradicts,
}

/// All decisions of one federation.
#[derive(Debug, Clone)]
pub struct Chronicle {
    id: FederationId,
    /// By their proposals. Of one proposal there are two where its teller contradicts itself.
    decided: BTreeMap<Digest, Decided>,
    now: Membership,
}

/// What a proposal came to.
#[derive(Debug, Clone)]
struct Decided {
    /// What counts.
    decision: Signed<Decision>,
    /// What its teller said, too.
    other: Option<Signed<Decision>>,
    /// Taken from the decision.
    at: Time,
    outcome: Outcome,
    proposal: Signed<Proposal>,
}

impl Chronicle {
    /// Begins with the decision to create a federation.
    ///
    /// # Errors
    /// When it is not for that, does not stand, or did not pass.
    pub fn begin(decision: &Signed<Decision>) -> Result<Self, Flaw> {
        let (said, proposal) = opened(decision)?;
        check_votes(said, proposal, &founding(proposal)?)?;
        let by = said.proposal.digest();
        let now = Membership::created(proposal, by, said.at).filter(|_| said.outcome == Outcome::Passed);
        let now = now.ok_or(Flaw::Miscounted(said.outcome))?;
        let decided = BTreeMap::from([(by, Decided::new(decision, said))]);
        Ok(Self { id: FederationId(by.0), decided, now })
    }

    /// Returns which federation it is.
    pub const fn id(&self) -> FederationId {
        self.id
    }

    /// Returns what all decisions come to.
    pub const fn membership(&self) -> &Membership {
        &self.now
    }

    /// Returns the decisions that no other builds on, by their proposals: the parents of the next.
    pub fn heads(&self) -> Vec<Digest> {
        let mut heads: BTreeSet<Digest> = self.passed().map(|(by, _)| *by).collect();
        for (_, proposal) in self.passed() {
            for parent in &proposal.parents {
                heads.remove(parent);
            }
        }
        heads.into_iter().collect()
    }

    /// Returns the decision on a proposal.
    pub fn decision(&self, proposal: &Digest) -> Option<&Signed<Decision>> {
        self.decided.get(proposal).map(|decided| &decided.decision)
    }

    /// Returns all decisions, by their proposals.
    pub fn decisions(&self) -> impl Iterator<Item = (&Digest, &Signed<Decision>)> {
        self.decided.iter().map(|(by, decided)| (by, &decided.decision))
    }

    /// Returns all decisions by their proposals, those that contradict others among them, and each after those that it
    /// builds on: whoever is told the first of them can take them in.
    pub(super) fn all_decisions(&self) -> impl Iterator<Item = (Digest, &Signed<Decision>)> {
        let parents = |by: &Digest| self.decided.get(by).and_then(Decided::proposal).map(|it| it.parents.as_slice());
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for by in self.decided.keys() {
            // Each with whether its parents have gone before it.
            let mut open = vec![(*by, false)];
            while let Some((one, is_next)) = open.pop() {
                if is_next {
                    order.push(one);
                } else if seen.insert(one) {
                    open.push((one, true));
                    open.extend(parents(&one).unwrap_or_default().iter().map(|parent| (*parent, false)));
                }
            }
        }
        let decided = order.into_iter().filter_map(|by| Some((by, self.decided.get(&by)?)));
        decided.flat_map(|(by, it)| std::iter::once(&it.decision).chain(&it.other).map(move |one| (by, one)))
    }

    /// Returns a decision and all that it builds on.
    pub(super) fn behind(&self, by: &Digest) -> BTreeSet<Digest> {
        let (mut behind, mut open) = (BTreeSet::new(), vec![*by]);
        while let Some(one) = open.pop() {
            let proposal = self.decided.get(&one).and_then(Decided::proposal);
            if behind.insert(one) {
                open.extend(proposal.into_iter().flat_map(|proposal| &proposal.parents));
            }
        }
        behind
    }

    /// Returns the pairs of decisions by which tellers contradict themselves.
    pub fn contradictions(&self) -> impl Iterator<Item = (&Signed<Decision>, &Signed<Decision>)> {
        self.decided.values().filter_map(|decided| Some((&decided.decision, decided.other.as_ref()?)))
    }

    /// Returns who may vote on a proposal, and by which rule.
    ///
    /// # Errors
    /// Why it can't be proposed, or [`Flaw::UnknownParent`] where this can't be said yet.
    pub fn ballot(&self, proposal: &Proposal) -> Result<Ballot, Flaw> {
        if proposal.federation != Some(self.id) {
            return Err(Flaw::OtherFederation);
        }
        self.as_of(&proposal.parents)?.ballot(proposal)
    }

    /// Returns what some decisions come to with all that they build on.
    ///
    /// # Errors
    /// When one of them is not known, or builds on another.
    pub fn as_of(&self, parents: &[Digest]) -> Result<Membership, Flaw> {
        if parents == self.heads() {
            return Ok(self.now.clone());
        }
        let mut closure = BTreeSet::new();
        let mut open: Vec<Digest> = parents.to_vec();
        while let Some(by) = open.pop() {
            let decided = self.decided.get(&by).filter(|decided| decided.outcome == Outcome::Passed);
            let proposal = decided.and_then(Decided::proposal).ok_or(Flaw::UnknownParent(by))?;
            if closure.insert(by) {
                open.extend(&proposal.parents);
            }
        }
        let is_built_on = |by: &Digest| {
            let mut proposals = closure.iter().filter_map(|one| self.decided.get(one)?.proposal());
            proposals.any(|proposal| proposal.parents.contains(by))
        };
        if parents.is_empty() || parents.iter().any(is_built_on) {
            return Err(Flaw::Parents);
        }
        self.come_to(|by| closure.contains(by)).ok_or(Flaw::Parents)
    }

    /// Takes in a decision.
    ///
    /// # Errors
    /// When it does not stand; with [`Flaw::UnknownParent`] it may once more is known.
    pub fn learn(&mut self, decision: &Signed<Decision>) -> Result<Learnt, Flaw> {
        let by = decision.claimed().ok_or(Flaw::Signature("decision"))?.proposal.digest();
        let known = self.decided.get(&by);
        if known.is_some_and(|known| known.decision == *decision || known.other.as_ref() == Some(decision)) {
            return Ok(Learnt::Known);
        }
        let (said, proposal) = opened(decision)?;
        let ballot = if by.0 == self.id.0 { founding(proposal) } else { self.ballot(proposal) };
        check_votes(said, proposal, &ballot?)?;
        let (fresh, is_full) = (Decided::new(decision, said), self.is_full_for(said.outcome, &proposal.initiator));
        let learnt = match self.decided.get_mut(&by) {
            Some(known) => {
                if !known.contradicted(fresh) {
                    return Ok(Learnt::Known);
                }
                Learnt::Contradicts
            }
            None if is_full => return Err(Flaw::TooMany),
            None => {
                self.decided.insert(by, fresh);
                Learnt::New
            }
        };
        self.now = self.come_to(|_| true).ok_or(Flaw::Parents)?;
        Ok(learnt)
    }

    fn is_full_for(&self, outcome: Outcome, initiator: &DomainKey) -> bool {
        let passes = outcome == Outcome::Passed;
        let alike = || self.decided.values().filter(|decided| (decided.outcome == Outcome::Passed) == passes);
        let is_its = |decided: &&Decided| decided.proposal().is_some_and(|it| it.initiator == *initiator);
        alike().count() >= MAX_DECISIONS || !passes && alike().filter(is_its).count() >= MAX_VAIN
    }

    fn passed(&self) -> impl Iterator<Item = (&Digest, &Proposal)> {
        let passed = self.decided.iter().filter(|(_, decided)| decided.outcome == Outcome::Passed);
        passed.filter_map(|(by, decided)| Some((by, decided.proposal()?)))
    }

    /// Returns what those that passed and are wanted come to: those first that others build on, of others the earlier
    /// proposed, of two at once that with the smaller digest. When they were decided does not count: a teller could say
    /// that anew, and change what others have built on.
    fn come_to(&self, wanted: impl Fn(&Digest) -> bool) -> Option<Membership> {
        let mut children: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        let mut waits: BTreeMap<Digest, usize> = BTreeMap::new();
        for (by, proposal) in self.passed().filter(|(by, _)| wanted(by)) {
            waits.insert(*by, proposal.parents.len());
            for parent in &proposal.parents {
                children.entry(*parent).or_default().push(*by);
            }
        }
        let place = |by: &Digest| Some(Reverse((self.decided.get(by)?.proposal()?.opened, *by)));
        let mut ready: BinaryHeap<_> =
            waits.iter().filter(|(_, count)| **count == 0).filter_map(|(by, _)| place(by)).collect();
        let mut now: Option<Membership> = None;
        while let Some(Reverse((_, by))) = ready.pop() {
            let decided = self.decided.get(&by)?;
            let (proposal, at) = (decided.proposal()?, decided.at);
            match &mut now {
                None => now = Some(Membership::created(proposal, by, at)?),
                Some(now) => now.go_on(proposal, by, at),
            }
            for child in children.remove(&by).unwrap_or_default() {
                let Some(count) = waits.get_mut(&child) else { continue };
                *count -= 1;
                if *count == 0 {
                    ready.extend(place(&child));
                }
            }
        }
        now
    }

    /// Says whether a domain is a member of a federation that goes on.
    pub fn is_member(&self, domain: &DomainKey) -> bool {
        self.now.standing == Standing::Activated && self.now.members.contains_key(domain)
    }
}

impl Decided {
    fn new(signed: &Signed<Decision>, decision: &Decision) -> Self {
        let Decision { proposal, outcome, at, .. } = decision;
        Self { decision: signed.clone(), other: None, at: *at, outcome: *outcome, proposal: proposal.clone() }
    }

    fn proposal(&self) -> Option<&Proposal> {
        self.proposal.claimed()
    }

    /// Takes in that the teller has said something else; says whether that changes anything.
    ///
    /// That it passed counts, since others may build on it, and of two of the same outcome that with the smaller digest.
    /// Of more than two the first two in that order are kept. So all who have heard the same believe and keep the same.
    fn contradicted(&mut self, fresh: Self) -> bool {
        let rank = |decision: &Signed<Decision>, outcome: Outcome| (outcome, decision.digest());
        let new = rank(&fresh.decision, fresh.outcome);
        if new < rank(&self.decision, self.outcome) {
            let before = std::mem::replace(self, fresh);
            self.other = Some(before.decision);
            return true;
        }
        let other = self.other.as_ref().and_then(|other| Some(rank(other, other.claimed()?.outcome)));
        let is_kept = other.is_none_or(|other| new < other);
        if is_kept {
            self.other = Some(fresh.decision);
        }
        is_kept
    }
}

/// Checks that a decision on whether a federation is created stands, whatever it came to.
pub(super) fn stands(decision: &Signed<Decision>) -> Result<(), Flaw> {
    let (said, proposal) = opened(decision)?;
    check_votes(said, proposal, &founding(proposal)?)
}

/// Opens a decision and its proposal, both signed by the proposal's teller, who is an issuer of the initiator.
fn opened(decision: &Signed<Decision>) -> Result<(&Decision, &Proposal), Flaw> {
    let claimed = decision.claimed().ok_or(Flaw::Signature("decision"))?;
    let teller = claimed.proposal.claimed().ok_or(Flaw::Signature("proposal"))?.teller;
    let said = decision.open(&teller).map_err(|_| Flaw::Signature("decision"))?;
    let proposal = said.proposal.open(&teller).map_err(|_| Flaw::Signature("proposal"))?;
    Ok((said, proposal))
}

/// Checks who signed, and what the votes come to.
fn check_votes(said: &Decision, proposal: &Proposal, ballot: &Ballot) -> Result<(), Flaw> {
    let mut issuers: BTreeMap<DomainKey, &IssuerList> = BTreeMap::new();
    for list in &said.lists {
        let domain = list.claimed().ok_or(Flaw::Signature("list of issuers"))?.domain.key;
        let opened = list.open(&NodeId(domain.0)).map_err(|_| Flaw::Signature("list of issuers"))?;
        issuers.insert(domain, opened);
    }
    let signs = |domain: DomainKey, by: NodeId, at: Time| {
        let list = issuers.get(&domain).filter(|list| list.issuers.contains(&by) && at < list.expires);
        list.map(|_| ()).ok_or(Flaw::NoIssuer { domain, by })
    };
    signs(proposal.initiator, proposal.teller, proposal.opened)?;
    let digest = said.proposal.digest();
    let mut votes = BTreeMap::new();
    for vote in &said.votes {
        let claimed = vote.claimed().ok_or(Flaw::Signature("vote"))?;
        let (elector, by) = (claimed.elector, claimed.by);
        if !ballot.electorate.contains(&elector) {
            return Err(Flaw::NoElector(elector));
        }
        let vote = vote.open(&by).map_err(|_| Flaw::Signature("vote"))?;
        signs(elector, by, vote.at)?;
        let in_time = proposal.opened <= vote.at && vote.at < proposal.ends;
        if vote.proposal != digest || !in_time || votes.insert(elector, vote.decision).is_some() {
            return Err(Flaw::Vote(elector));
        }
    }
    if tally(ballot, &votes, proposal.ends <= said.at) != Some(said.outcome) {
        return Err(Flaw::Miscounted(said.outcome));
    }
    Ok(())
}
