//! Where a domain's part in federations is kept: what is proposed, voted and decided, and what is told to whom.
//!
//! ```text
//!  propose ──► Proposed ─┐                                     ┌──► counted by its teller ──► Decided ──► membership
//!  vote ─────► Voted ────┼──► minutes, the same everywhere ────┤
//!  hear ◄──── others' ───┘      once all have told each other  └──► two votes of one domain ──► Contradicted
//! ```
//! Minutes only become more, and each proves itself, so it matters neither in which order they are heard nor how often,
//! nor from whom. What is lost is told again, since whoever has less is told what it lacks.

mod motion;
mod telling;

use std::collections::BTreeMap;

use kernel::{Digest, DomainKey, FederationId, NodeId, Span, Time};
use rear_proto::{
    Code, Extensions, Refusal, Signed, Signer,
    governance::{Ballot, Contradiction, Decision, Minute, Outcome, Proposal, Purpose, Vote},
    membership::IssuerList,
};

use super::{Chronicle, Flaw, Standing, membership::founding};
pub use motion::GRACE;
use motion::{Cast, Motion, checked, is_issuer};

/// For how long after its end a proposal that nobody has decided is kept. Its teller may be gone, and it takes room; a
/// decision that comes yet says all of it again.
const LAPSE: Span = Span::secs(7 * 86_400);
/// How far ahead of this node's clock a proposal may be opened.
const AHEAD: Span = Span::secs(300);
/// The most proposals of one federation that are open at once; and of one member.
const MOTIONS: usize = 256;
const MOTIONS_OF_ONE: usize = 64;
/// The most federations.
const TOPICS: usize = 64;
/// The most contradictions that are kept of one federation.
const EVIDENCE: usize = 64;

/// What one domain knows of its federations.
#[derive(Debug, Clone)]
pub struct Hall {
    me: DomainKey,
    topics: BTreeMap<FederationId, Topic>,
}

/// One federation, created or to be.
#[derive(Debug, Clone, Default)]
struct Topic {
    /// What was decided, since it was created.
    chronicle: Option<Chronicle>,
    /// That it was not created.
    failed: Option<Signed<Decision>>,
    motions: BTreeMap<Digest, Motion>,
    /// One for each domain that contradicts itself on a proposal.
    evidence: BTreeMap<(Digest, DomainKey), Contradiction>,
}

/// How a federation stands, as the tables show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its creation is being voted on.
    Pending,
    /// It goes on.
    Activated,
    /// It was not created.
    Failed,
    /// It was ended.
    Dissolved,
}

impl State {
    /// Returns the state's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Activated => "Activated",
            Self::Failed => "Failed",
            Self::Dissolved => "Dissolved",
        }
    }
}

/// Who acts for a domain: one of its issuers.
#[derive(Debug, Clone, Copy)]
pub struct Spokesman<'a> {
    /// The domain.
    pub domain: DomainKey,
    /// The issuer.
    pub signer: &'a Signer,
    /// That it is one.
    pub list: &'a Signed<IssuerList>,
}

impl Spokesman<'_> {
    fn check(&self, now: Time) -> Result<(), Refusal> {
        let by = self.signer.id();
        is_issuer(self.list, self.domain, by, now)
            .map_err(|_| Refusal::new(Code::NotAMember, "this node is no issuer of its domain: ask at one that is"))
    }
}

/// What has changed, and is to be kept and told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What is new.
    pub minutes: Vec<(FederationId, Minute)>,
    /// What is of no account any longer, since it is decided, or something else stands in its place.
    pub over: Vec<(FederationId, Digest)>,
}

impl Hall {
    /// Makes the hall of a domain that knows of nothing.
    pub const fn new(me: DomainKey) -> Self {
        Self { me, topics: BTreeMap::new() }
    }

    // -- what the operator does -------------------------------------------------------------------------

    /// Makes a proposal, with its initiator's vote for it; returns its digest.
    ///
    /// # Errors
    /// When it can't be proposed.
    #[allow(clippy::too_many_arguments, reason = "a proposal has as many sides")]
    pub fn propose(
        &mut self,
        now: Time,
        by: &Spokesman<'_>,
        federation: Option<FederationId>,
        purpose: Purpose,
        lasts: Span,
        nonce: [u8; 16],
        changed: &mut Changed,
    ) -> Result<Digest, Refusal> {
        by.check(now)?;
        let parents = match federation {
            Some(id) => self.chronicle(&id)?.heads(),
            None => Vec::new(),
        };
        let proposal = Proposal {
            federation,
            parents,
            purpose,
            initiator: by.domain,
            teller: by.signer.id(),
            opened: now,
            ends: now + lasts,
            nonce,
            extensions: Extensions::new(),
        };
        rear_proto::Signable::validate(&proposal)?;
        let signed = Signed::new(proposal, by.signer);
        let digest = signed.digest();
        self.take(now, Minute::Proposed { proposal: signed, list: by.list.clone() }, changed)?;
        let is_elector = self.motion(&digest).is_some_and(|(_, motion)| motion.ballot.electorate.contains(&by.domain));
        if is_elector {
            self.vote(now, by, &digest, true, String::new(), changed)?;
        }
        Ok(digest)
    }

    /// Votes on a proposal. To say the same again changes nothing.
    ///
    /// # Errors
    /// When there is no such proposal, or the domain has no vote on it, or has voted otherwise.
    pub fn vote(
        &mut self,
        now: Time,
        by: &Spokesman<'_>,
        proposal: &Digest,
        decision: bool,
        remark: String,
        changed: &mut Changed,
    ) -> Result<(), Refusal> {
        by.check(now)?;
        let Some((_, motion)) = self.motion(proposal) else {
            let decided = self.topics.values().find_map(|topic| topic.decision(proposal)?.claimed());
            return Err(match decided {
                Some(decided) => Refusal::new(Code::Closed, format!("it is decided: {}", decided.outcome.name())),
                None => Refusal::new(Code::NotFound, "there is no such proposal here"),
            });
        };
        match motion.votes.get(&by.domain) {
            Some(cast) if cast.decision == decision => return Ok(()),
            Some(_) => return Err(Refusal::new(Code::Closed, "this domain has voted otherwise, and a vote stands")),
            None => {}
        }
        if motion.proposal.ends <= now {
            return Err(Refusal::new(Code::Expired, "the time for votes on it is over"));
        }
        let vote = Vote {
            proposal: *proposal,
            elector: by.domain,
            by: by.signer.id(),
            decision,
            at: now.max(motion.proposal.opened),
            remark,
            extensions: Extensions::new(),
        };
        rear_proto::Signable::validate(&vote)?;
        let minute = Minute::Voted { vote: Signed::new(vote, by.signer), list: by.list.clone() };
        self.take(now, minute, changed)?;
        self.count(now, by.signer, changed);
        Ok(())
    }

    // -- what is heard ----------------------------------------------------------------------------------

    /// Takes in what others say, as far as it proves itself and what it builds on is known.
    pub fn hear(&mut self, now: Time, minutes: Vec<Minute>, changed: &mut Changed) {
        let mut left = minutes;
        loop {
            let before = left.len();
            // What builds on something that comes after it is looked at once more.
            left.retain(|minute| {
                let taken = self.take(now, minute.clone(), changed);
                taken.is_err_and(|refusal| refusal.code() == Code::NotFound)
            });
            if left.len() == before || left.is_empty() {
                return;
            }
        }
    }

    /// Counts the votes on proposals whose teller this node is, and says what they came to; forgets those of others that
    /// nobody has decided for long.
    pub fn count(&mut self, now: Time, teller: &Signer, changed: &mut Changed) {
        let mine = |motion: &&Motion| motion.proposal.teller == teller.id();
        let due: Vec<(FederationId, Signed<Decision>)> = self
            .topics
            .iter()
            .flat_map(|(id, topic)| topic.motions.values().filter(mine).map(move |motion| (*id, motion)))
            .filter_map(|(id, motion)| Some((id, Signed::new(motion.counted(now)?, teller))))
            .collect();
        for (id, decision) in due {
            let digest = decision.claimed().map(|decision| decision.proposal.digest());
            if self.take(now, Minute::Decided(decision), changed).is_ok() {
                continue;
            }
            // It is made of what was checked: there is no room for it, here or elsewhere.
            let motions = self.topics.get_mut(&id).map(|topic| &mut topic.motions);
            if let Some(motion) = motions.zip(digest).and_then(|(motions, digest)| motions.remove(&digest)) {
                changed.over.extend(motion.minutes().map(|minute| (id, minute.id())));
            }
        }
        self.topics.retain(|id, topic| {
            topic.motions.retain(|_, motion| {
                let stays = now < motion.proposal.ends + LAPSE;
                if !stays {
                    changed.over.extend(motion.minutes().map(|minute| (*id, minute.id())));
                }
                stays
            });
            topic.chronicle.is_some() || topic.failed.is_some() || !topic.motions.is_empty()
        });
    }

    /// Returns when votes are to be counted that this node counts, or something is to be forgotten.
    pub fn due(&self, teller: &NodeId) -> Option<Time> {
        let motions = self.topics.values().flat_map(|topic| topic.motions.values()).map(|motion| &motion.proposal);
        motions.map(|it| it.ends + if it.teller == *teller { GRACE } else { LAPSE }).min()
    }

    fn take(&mut self, now: Time, minute: Minute, changed: &mut Changed) -> Result<(), Refusal> {
        let id = match &minute {
            Minute::Proposed { proposal, .. } => self.proposed(now, proposal, &minute, changed)?,
            Minute::Voted { vote, list } => return self.voted(vote, list, changed),
            Minute::Decided(decision) => return self.decided(now, decision, changed),
            Minute::Contradicted(it) => self.contradicted(it, changed)?,
        };
        if let Some(id) = id {
            changed.minutes.push((id, minute));
        }
        Ok(())
    }

    /// Takes in a proposal; returns of which federation, where it is new.
    fn proposed(
        &mut self,
        now: Time,
        signed: &Signed<Proposal>,
        minute: &Minute,
        changed: &mut Changed,
    ) -> Result<Option<FederationId>, Refusal> {
        let Minute::Proposed { list, .. } = minute else { return Ok(None) };
        let digest = signed.digest();
        let claimed = signed.claimed().ok_or(Flaw::Signature("proposal"))?;
        let id = claimed.federation.unwrap_or(FederationId(digest.0));
        let topic = self.topics.get(&id);
        if topic.is_some_and(|topic| topic.motions.contains_key(&digest) || topic.decision(&digest).is_some()) {
            return Ok(None);
        }
        let proposal = signed.open(&claimed.teller).map_err(|_| Flaw::Signature("proposal"))?;
        is_issuer(list, proposal.initiator, proposal.teller, proposal.opened)?;
        if proposal.opened > now + AHEAD {
            return Err(Refusal::new(Code::Malformed, "it is opened later than now"));
        }
        if proposal.ends + LAPSE <= now {
            return Err(Refusal::new(Code::Expired, "it was over long ago, and nobody has decided it"));
        }
        let ballot = match (proposal.federation, topic.and_then(|topic| topic.chronicle.as_ref())) {
            (None, _) => founding(proposal)?,
            (Some(_), Some(chronicle)) => chronicle.ballot(proposal)?,
            (Some(_), None) => return Err(Code::NotFound.into()),
        };
        if topic.is_none() {
            self.make_room(now, proposal.initiator == self.me, changed)?;
        }
        let topic = self.topics.entry(id).or_default();
        let of_one = topic.motions.values().filter(|motion| motion.proposal.initiator == proposal.initiator).count();
        if topic.motions.len() >= MOTIONS || of_one >= MOTIONS_OF_ONE {
            return Err(Refusal::new(Code::Overloaded, "as many proposals are open as may be"));
        }
        let (signed, proposal, list) = (signed.clone(), proposal.clone(), list.clone());
        topic.motions.insert(digest, Motion { signed, proposal, list, ballot, votes: BTreeMap::new() });
        Ok(Some(id))
    }

    /// Sees to it that there is room for one more federation: those that are no concern of this domain's give way, and to
    /// one of its own those that it has been asked into and has not answered. Anybody can make some up.
    fn make_room(&mut self, now: Time, is_own: bool, changed: &mut Changed) -> Result<(), Refusal> {
        if self.topics.len() < TOPICS {
            return Ok(());
        }
        let me = self.me;
        let gives_way = |id: &FederationId, topic: &Topic| match &topic.chronicle {
            Some(_) => !self.parties(id).contains(&me),
            None => !topic.motions.values().any(|motion| {
                let has_part = motion.ballot.electorate.contains(&me) && now < motion.proposal.ends + GRACE;
                has_part && (!is_own || motion.votes.contains_key(&me))
            }),
        };
        let id = self.topics.iter().find(|(id, topic)| gives_way(id, topic)).map(|(id, _)| *id);
        let Some(id) = id else {
            return Err(Refusal::new(Code::Overloaded, "there are as many federations here as are kept"));
        };
        if let Some(topic) = self.topics.remove(&id) {
            changed.over.extend(topic.all().iter().map(|minute| (id, minute.id())));
        }
        Ok(())
    }

    /// Takes in a vote; the first of a domain counts, and another that differs is kept beside it as evidence. Of two that
    /// say the same that with the smaller digest is kept, so that all have the same one.
    fn voted(
        &mut self,
        signed: &Signed<Vote>,
        list: &Signed<IssuerList>,
        changed: &mut Changed,
    ) -> Result<(), Refusal> {
        let claimed = signed.claimed().ok_or(Flaw::Signature("vote"))?;
        let (id, motion) = self.motion(&claimed.proposal).ok_or_else(|| Refusal::from(Code::NotFound))?;
        let first = motion.votes.get(&claimed.elector);
        let is_alike = |cast: &&Cast| cast.decision == claimed.decision;
        if first.filter(is_alike).is_some_and(|cast| cast.vote.digest() <= signed.digest()) {
            return Ok(());
        }
        let vote = checked(signed, list, &claimed.proposal, motion)?.clone();
        if let Some(alike) = first.filter(is_alike) {
            changed.over.push((id, alike.vote.digest()));
        } else if let Some(first) = first {
            let (proposal, list) = (motion.signed.clone(), first.list.clone());
            let it = Contradiction { proposal, first: first.vote.clone(), second: signed.clone(), list };
            let it = Box::new(sorted(it));
            if self.contradicted(&it, changed)?.is_some() {
                changed.minutes.push((id, Minute::Contradicted(it)));
            }
            return Ok(());
        }
        let minute = Minute::Voted { vote: signed.clone(), list: list.clone() };
        let cast = Cast { vote: signed.clone(), decision: vote.decision, list: list.clone() };
        let topic = self.topics.get_mut(&id);
        if let Some(motion) = topic.and_then(|topic| topic.motions.get_mut(&vote.proposal)) {
            motion.votes.insert(vote.elector, cast);
            changed.minutes.push((id, minute));
        }
        Ok(())
    }

    /// Takes in a decision: its proposal and the votes on it are over.
    fn decided(&mut self, now: Time, signed: &Signed<Decision>, changed: &mut Changed) -> Result<(), Refusal> {
        let claimed = signed.claimed().ok_or(Flaw::Signature("decision"))?;
        // Silence would be counted before it is one.
        if claimed.at > now + AHEAD {
            return Err(Refusal::new(Code::Malformed, "it is decided later than now"));
        }
        let digest = claimed.proposal.digest();
        let proposal = claimed.proposal.claimed().ok_or(Flaw::Signature("proposal"))?;
        let id = proposal.federation.unwrap_or(FederationId(digest.0));
        if !self.topics.contains_key(&id) {
            if proposal.federation.is_some() {
                return Err(Code::NotFound.into());
            }
            // It would have to give way to others again, were it not to stand.
            super::chronicle::stands(signed)?;
            self.make_room(now, proposal.initiator == self.me, changed)?;
        }
        let mut fresh = Topic::default();
        let topic = self.topics.get_mut(&id).unwrap_or(&mut fresh);
        let is_new = match &mut topic.chronicle {
            Some(chronicle) => chronicle.learn(signed)? != super::Learnt::Known,
            None if proposal.federation.is_some() => return Err(Code::NotFound.into()),
            None if claimed.outcome == Outcome::Passed => {
                topic.chronicle = Some(Chronicle::begin(signed)?);
                topic.failed = None;
                true
            }
            None => {
                super::chronicle::stands(signed)?;
                // Of two that its teller has said all keep the same one.
                let rank = |one: &Signed<Decision>| Some((one.claimed()?.outcome, one.digest()));
                let is_new = topic.failed.as_ref().is_none_or(|failed| rank(signed) < rank(failed));
                if is_new {
                    topic.failed = Some(signed.clone());
                }
                is_new
            }
        };
        if let Some(motion) = topic.motions.remove(&digest) {
            let votes = motion.votes.values().map(|cast| cast.vote.digest());
            changed.over.extend(std::iter::once(digest).chain(votes).map(|over| (id, over)));
        }
        if is_new {
            changed.minutes.push((id, Minute::Decided(signed.clone())));
        }
        if fresh.chronicle.is_some() || fresh.failed.is_some() {
            self.topics.insert(id, fresh);
        }
        Ok(())
    }

    /// Takes in two votes that contradict each other; returns of which federation, where that is new. Of several such
    /// pairs of one domain on one proposal all keep the same one.
    fn contradicted(&mut self, it: &Contradiction, changed: &mut Changed) -> Result<Option<FederationId>, Refusal> {
        let proposal = it.proposal.claimed().ok_or(Flaw::Signature("proposal"))?;
        let elector = it.first.claimed().ok_or(Flaw::Signature("vote"))?.elector;
        let digest = it.proposal.digest();
        let id = proposal.federation.unwrap_or(FederationId(digest.0));
        let topic = self.topics.get_mut(&id).ok_or_else(|| Refusal::from(Code::NotFound))?;
        let (key, name) = ((digest, elector), evidence_id(it));
        let known = topic.evidence.get(&key).map(evidence_id);
        if known.map_or(topic.evidence.len() >= EVIDENCE, |known| known <= name) {
            return Ok(None);
        }
        // Of what nobody has a vote on, anybody could make evidence up.
        if !topic.ballot(proposal, &digest)?.electorate.contains(&elector) {
            return Err(Flaw::NoElector(elector).into());
        }
        it.proposal.open(&proposal.teller).map_err(|_| Flaw::Signature("proposal"))?;
        let [first, second] = [&it.first, &it.second].map(|vote| {
            let claimed = vote.claimed().ok_or(Flaw::Signature("vote"))?;
            is_issuer(&it.list, claimed.elector, claimed.by, claimed.at)?;
            vote.open(&claimed.by).map_err(|_| Flaw::Signature("vote"))
        });
        let (first, second) = (first?, second?);
        let same = first.elector == second.elector && first.proposal == digest && second.proposal == digest;
        if !same || first.decision == second.decision || *it != sorted(it.clone()) {
            return Err(Refusal::new(Code::Malformed, "these votes do not contradict each other"));
        }
        topic.evidence.insert(key, it.clone());
        changed.over.extend(known.map(|known| (id, known)));
        Ok(Some(id))
    }

    fn motion(&self, proposal: &Digest) -> Option<(FederationId, &Motion)> {
        self.topics.iter().find_map(|(id, topic)| Some((*id, topic.motions.get(proposal)?)))
    }
}

impl Topic {
    fn state(&self) -> State {
        match &self.chronicle {
            Some(chronicle) if chronicle.membership().standing == Standing::Dissolved => State::Dissolved,
            Some(_) => State::Activated,
            None if self.motions.is_empty() => State::Failed,
            None => State::Pending,
        }
    }

    fn decision(&self, proposal: &Digest) -> Option<&Signed<Decision>> {
        let failed = self.failed.as_ref();
        let failed = failed.filter(|failed| failed.claimed().is_some_and(|it| it.proposal.digest() == *proposal));
        self.chronicle.as_ref().and_then(|chronicle| chronicle.decision(proposal)).or(failed)
    }

    /// Returns who may vote on a proposal that is open here, or was decided.
    fn ballot(&self, proposal: &Proposal, digest: &Digest) -> Result<Ballot, Refusal> {
        if let Some(motion) = self.motions.get(digest) {
            return Ok(motion.ballot.clone());
        }
        match (self.decision(digest), proposal.federation, &self.chronicle) {
            (None, ..) | (_, Some(_), None) => Err(Code::NotFound.into()),
            (Some(_), Some(_), Some(chronicle)) => Ok(chronicle.ballot(proposal)?),
            (Some(_), None, _) => Ok(founding(proposal)?),
        }
    }

    /// Returns all that a domain is told. One that is a member no longer is told how that came about, and nothing that
    /// came after, but for what it has proposed itself.
    fn minutes(&self, viewer: &DomainKey) -> Vec<Minute> {
        let Some(chronicle) = &self.chronicle else {
            let failed = self.failed.as_ref().and_then(|failed| failed.claimed()?.proposal.claimed());
            let mut ballots = self
                .motions
                .values()
                .map(|motion| motion.ballot.clone())
                .chain(failed.and_then(|it| founding(it).ok()));
            return if ballots.any(|ballot| ballot.electorate.contains(viewer)) { self.all() } else { Vec::new() };
        };
        let membership = chronicle.membership();
        // Whoever was a member once can still build on what was then, and would name itself or a friend.
        let is_invited = |motion: &Motion| {
            matches!(&motion.proposal.purpose, Purpose::AddMember { member } if member.key == *viewer)
                && membership.members.contains_key(&motion.proposal.initiator)
        };
        if membership.members.contains_key(viewer) || self.motions.values().any(is_invited) {
            return self.all();
        }
        let Some(parting) = membership.parted.get(viewer) else { return Vec::new() };
        let behind = chronicle.behind(&parting.by);
        let told =
            chronicle.all_decisions().filter(|(by, it)| behind.contains(by) && chronicle.decision(by) == Some(it));
        let told = told.map(|(_, decision)| Minute::Decided(decision.clone()));
        let own = self.motions.values().filter(|motion| motion.proposal.initiator == *viewer);
        told.chain(own.flat_map(Motion::minutes)).collect()
    }

    /// Returns all that is known, each after what it builds on.
    fn all(&self) -> Vec<Minute> {
        let decisions = self.chronicle.iter().flat_map(|chronicle| chronicle.all_decisions().map(|(_, it)| it));
        let decided = decisions.chain(&self.failed).map(|decision| Minute::Decided(decision.clone()));
        let evidence = self.evidence.values().map(|it| Minute::Contradicted(Box::new(it.clone())));
        decided.chain(self.motions.values().flat_map(Motion::minutes)).chain(evidence).collect()
    }
}

fn evidence_id(it: &Contradiction) -> Digest {
    Minute::Contradicted(Box::new(it.clone())).id()
}

/// Puts the vote with the smaller digest first: nobody can say which came first, and all name it alike.
fn sorted(mut it: Contradiction) -> Contradiction {
    if it.second.digest() < it.first.digest() {
        std::mem::swap(&mut it.first, &mut it.second);
    }
    it
}
