//! What is told to whom, and what can be seen from outside.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Digest, DomainKey, FederationId};
use rear_proto::{
    Code, Refusal,
    governance::{Ballot, Contradiction, Minute, Proposal, Purpose},
};

use super::{Hall, State, Topic};
use crate::governance::Chronicle;

impl Hall {
    // -- what is told -----------------------------------------------------------------------------------

    /// Returns the federations that a domain is told of.
    pub fn topics_of(&self, domain: &DomainKey) -> impl Iterator<Item = FederationId> {
        let shown = |topic: &Topic| !topic.minutes(domain).is_empty();
        self.topics.iter().filter(move |(_, topic)| shown(topic)).map(|(id, _)| *id)
    }

    /// Returns the names of all minutes of a federation that a domain is told, and of the votes within them: of two that
    /// contradict each other, each has another one first.
    pub fn have(&self, id: &FederationId, viewer: &DomainKey) -> BTreeSet<Digest> {
        let minutes = self.topics.get(id).map(|topic| topic.minutes(viewer)).unwrap_or_default();
        let votes = minutes.iter().filter_map(|minute| match minute {
            Minute::Contradicted(it) => Some([it.first.digest(), it.second.digest()]),
            Minute::Proposed { .. } | Minute::Voted { .. } | Minute::Decided(_) => None,
        });
        votes.flatten().chain(minutes.iter().map(Minute::id)).collect()
    }

    /// Returns the minutes that a domain does not have, decisions first, up to about so many bytes.
    pub fn lacking(&self, id: &FederationId, viewer: &DomainKey, have: &BTreeSet<Digest>, most: usize) -> Vec<Minute> {
        let Some(topic) = self.topics.get(id) else { return Vec::new() };
        let mut bytes = 0;
        let lacked = topic.minutes(viewer).into_iter().filter(|minute| !have.contains(&minute.id()));
        lacked
            .take_while(|minute| {
                let is_first = bytes == 0;
                bytes += minute.size();
                is_first || bytes <= most
            })
            .collect()
    }

    /// Returns the domains that have a part in a federation: members, those that are asked to be, and those that were.
    pub fn parties(&self, id: &FederationId) -> BTreeSet<DomainKey> {
        let Some(topic) = self.topics.get(id) else { return BTreeSet::new() };
        let mut parties: BTreeSet<DomainKey> =
            topic.motions.values().flat_map(|motion| motion.ballot.electorate.iter().copied()).collect();
        if let Some(chronicle) = &topic.chronicle {
            let membership = chronicle.membership();
            parties.extend(membership.members.keys().chain(membership.parted.keys()));
        }
        if let Some(Purpose::CreateFederation { members, .. }) =
            topic.failed.as_ref().and_then(|failed| failed.claimed()?.proposal.claimed()).map(|it| &it.purpose)
        {
            parties.extend(members.iter().map(|domain| domain.key));
        }
        parties
    }

    // -- looking in -------------------------------------------------------------------------------------

    /// Returns all federations that are known, and how they stand.
    pub fn federations(&self) -> impl Iterator<Item = (FederationId, State)> {
        self.topics.iter().map(|(id, topic)| (*id, topic.state()))
    }

    /// Returns what has been decided in a federation.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn chronicle(&self, id: &FederationId) -> Result<&Chronicle, Refusal> {
        let topic = self.topics.get(id);
        topic.and_then(|topic| topic.chronicle.as_ref()).ok_or_else(|| {
            let text = match topic.map(Topic::state) {
                Some(State::Failed) => "that federation was not created",
                Some(_) => "that federation is not created yet",
                None => "there is no such federation here",
            };
            Refusal::new(Code::NotFound, text)
        })
    }

    /// Returns the open proposals of a federation, and how each elector has voted so far.
    pub fn open(
        &self,
        id: &FederationId,
    ) -> impl Iterator<Item = (Digest, &Proposal, &Ballot, BTreeMap<DomainKey, bool>)> {
        let motions = self.topics.get(id).into_iter().flat_map(|topic| &topic.motions);
        motions.map(|(digest, motion)| (*digest, &motion.proposal, &motion.ballot, motion.cast()))
    }

    /// Returns the votes that contradict each other.
    pub fn evidence(&self, id: &FederationId) -> impl Iterator<Item = &Contradiction> {
        self.topics.get(id).into_iter().flat_map(|topic| topic.evidence.values())
    }

    /// Says whether two domains are both members of a federation that goes on.
    pub fn are_fellows(&self, one: &DomainKey, other: &DomainKey) -> bool {
        let chronicles = self.topics.values().filter_map(|topic| topic.chronicle.as_ref());
        chronicles.into_iter().any(|chronicle| chronicle.is_member(one) && chronicle.is_member(other))
    }
}
