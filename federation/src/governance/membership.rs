//! Who is of a federation and what holds in it, after some decisions.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Digest, DomainKey, Time};
use rear_proto::{
    door::MAX_MEMBERS,
    flavour::Domain,
    governance::{Ballot, Policy, Proposal, Purpose, Statute},
};

use super::Flaw;

/// Whether a federation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Activated,
    /// Its members have ended it, or the last has left.
    Dissolved,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The domain, by the name that it had then.
    pub domain: Domain,
    /// Whether the federation was its proposal.
    pub initiator: bool,
    /// The proposal by which it joined.
    pub joined_by: Digest,
    /// When that was decided.
    pub joined_at: Time,
}

/// One that is a member no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    /// The proposal by which it left.
    pub by: Digest,
    /// When that was decided.
    pub at: Time,
    /// Whether contracts with it end at once.
    pub at_once: bool,
}

/// What some decisions come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// What the federation is called.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it goes on.
    pub standing: Standing,
    /// What holds for its members.
    pub statute: Statute,
    /// Its members.
    pub members: BTreeMap<DomainKey, Member>,
    /// Those that were, and are not now.
    pub parted: BTreeMap<DomainKey, Parting>,
    /// How many decisions there have been.
    pub count: u64,
    /// Names all of this: a digest over the one before and the proposal that was decided.
    pub epoch: Digest,
}

impl Membership {
    /// Returns the membership of a federation that is created; `None` where the proposal is for something else.
    pub(super) fn created(proposal: &Proposal, by: Digest, at: Time) -> Option<Self> {
        let Purpose::CreateFederation { name, description, statute, members } = &proposal.purpose else { return None };
        let member = |domain: &Domain| {
            let initiator = domain.key == proposal.initiator;
            (domain.key, Member { domain: domain.clone(), initiator, joined_by: by, joined_at: at })
        };
        Some(Self {
            name: name.clone(),
            description: description.clone(),
            standing: Standing::Activated,
            statute: statute.clone(),
            members: members.iter().map(member).collect(),
            parted: BTreeMap::new(),
            count: 1,
            epoch: linked(&Digest([0; 32]), &by),
        })
    }

    /// Goes on by one decision that passed. What two that did not know of each other both did is done once; nothing
    /// happens any longer in a federation that has ended.
    pub(super) fn go_on(&mut self, proposal: &Proposal, by: Digest, at: Time) {
        self.count += 1;
        self.epoch = linked(&self.epoch, &by);
        if self.standing == Standing::Dissolved {
            return;
        }
        match &proposal.purpose {
            Purpose::CreateFederation { .. } => {}
            Purpose::AddMember { member } => {
                self.parted.remove(&member.key);
                let joins = || Member { domain: member.clone(), initiator: false, joined_by: by, joined_at: at };
                self.members.entry(member.key).or_insert_with(joins);
            }
            Purpose::RemoveMember { member, at_once } => {
                if self.members.remove(member).is_some() {
                    self.parted.insert(*member, Parting { by, at, at_once: *at_once });
                }
                if self.members.is_empty() {
                    self.standing = Standing::Dissolved;
                }
            }
            Purpose::DissolveFederation => self.standing = Standing::Dissolved,
            Purpose::ChangePolicy { statute } => self.statute = statute.clone(),
        }
    }

    /// Returns who may vote on a proposal, and by which rule.
    ///
    /// Who is asked to join must say yes; who is to go has no vote; who goes by itself asks nobody.
    ///
    /// # Errors
    /// Why this can't be proposed here.
    pub fn ballot(&self, proposal: &Proposal) -> Result<Ballot, Flaw> {
        if self.standing == Standing::Dissolved {
            return Err(Flaw::Dissolved);
        }
        if !self.members.contains_key(&proposal.initiator) {
            return Err(Flaw::NoMember(proposal.initiator));
        }
        let all: BTreeSet<DomainKey> = self.members.keys().copied().collect();
        let policy = self.statute.policy;
        let ballot = |electorate, consents| Ballot { policy, electorate, consents };
        match &proposal.purpose {
            Purpose::CreateFederation { .. } => Err(Flaw::OtherFederation),
            Purpose::AddMember { member } => {
                if all.contains(&member.key) {
                    return Err(Flaw::About { domain: member.key, is_member: true });
                }
                if all.len() >= MAX_MEMBERS {
                    return Err(Flaw::Full);
                }
                let with = all.into_iter().chain([member.key]).collect();
                Ok(ballot(with, [member.key].into()))
            }
            Purpose::RemoveMember { member, .. } => {
                if !all.contains(member) {
                    return Err(Flaw::About { domain: *member, is_member: false });
                }
                if *member == proposal.initiator {
                    let alone = BTreeSet::from([*member]);
                    return Ok(ballot(alone.clone(), alone));
                }
                Ok(ballot(all.into_iter().filter(|domain| domain != member).collect(), BTreeSet::new()))
            }
            Purpose::DissolveFederation | Purpose::ChangePolicy { .. } => Ok(ballot(all, BTreeSet::new())),
        }
    }
}

/// Returns who may vote on a federation that is to be created: all that it would have, and each must say yes.
///
/// # Errors
/// Where the proposal is for something else, or its initiator is not among them.
pub(super) fn founding(proposal: &Proposal) -> Result<Ballot, Flaw> {
    let Purpose::CreateFederation { members, .. } = &proposal.purpose else { return Err(Flaw::OtherFederation) };
    let all: BTreeSet<DomainKey> = members.iter().map(|domain| domain.key).collect();
    if !all.contains(&proposal.initiator) {
        return Err(Flaw::InitiatorIsOut);
    }
    Ok(Ballot { policy: Policy::All, electorate: all.clone(), consents: all })
}

fn linked(before: &Digest, decided: &Digest) -> Digest {
    Digest::derive("tombolo membership epoch 1", &[before.as_bytes(), decided.as_bytes()])
}
