//! Domains govern together: they propose at once, lose each other, start again, contradict themselves, and derive the same.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use federation::governance::{Changed, GRACE, Hall, Spokesman, State};
use kernel::{Digest, DomainKey, FederationId, Rng, Span, Time};
use proptest::prelude::*;
use rear_proto::{
    Code, Extensions, Refusal, Signed, Signer,
    flavour::Domain,
    governance::{Contradiction, Decision, Minute, Outcome, Policy, Proposal, Purpose, Statute, Vote},
    membership::IssuerList,
};

const DAY: Span = Span::secs(86_400);

/// A domain: its hall, and what it keeps over a restart.
struct Seat {
    hall: Hall,
    kept: Vec<Minute>,
    issuer: Signer,
    domain: Domain,
    list: Signed<IssuerList>,
}

struct World {
    seats: Vec<Seat>,
    now: Time,
    /// Those of different sides hear nothing of each other.
    side: Vec<usize>,
    rng: Rng,
}

fn signer(n: usize) -> Signer {
    let mut secret = [1; 32];
    secret[..8].copy_from_slice(&(n as u64 + 1).to_le_bytes());
    Signer::from_secret(&secret)
}

impl World {
    fn new(count: usize) -> Self {
        let seat = |n: usize| {
            let (key, issuer) = (signer(n * 2), signer(n * 2 + 1));
            let domain = Domain { key: DomainKey(key.id().0), name: format!("domain-{n}") };
            let list = IssuerList {
                domain: domain.clone(),
                number: 1,
                issuers: vec![issuer.id()],
                expires: Time(u64::MAX),
                extensions: Extensions::new(),
            };
            Seat { hall: Hall::new(domain.key), kept: Vec::new(), issuer, domain, list: Signed::new(list, &key) }
        };
        Self {
            seats: (0..count).map(seat).collect(),
            now: Time(1_000_000),
            side: vec![0; count],
            rng: Rng::from_seed([7; 32]),
        }
    }

    fn key(&self, n: usize) -> DomainKey {
        self.seats[n].domain.key
    }

    fn act<T>(
        &mut self,
        n: usize,
        act: impl FnOnce(&mut Hall, Time, &Spokesman<'_>, &mut Changed) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (now, mut changed) = (self.now, Changed::default());
        let Seat { hall, kept, issuer, domain, list } = &mut self.seats[n];
        let by = Spokesman { domain: domain.key, signer: issuer, list };
        let came = act(hall, now, &by, &mut changed);
        kept.retain(|minute| changed.over.iter().all(|(_, over)| minute.id() != *over));
        kept.extend(changed.minutes.into_iter().map(|(_, minute)| minute));
        came
    }

    fn propose(&mut self, n: usize, federation: Option<FederationId>, purpose: Purpose) -> Result<Digest, Refusal> {
        let nonce = self.rng.bytes();
        self.act(n, |hall, now, by, changed| hall.propose(now, by, federation, purpose, DAY, nonce, changed))
    }

    fn vote(&mut self, n: usize, proposal: Digest, yes: bool) -> Result<(), Refusal> {
        self.act(n, |hall, now, by, changed| hall.vote(now, by, &proposal, yes, String::new(), changed))
    }

    /// Lets a domain vote yes on all that it is asked.
    fn agree(&mut self, n: usize, id: FederationId) {
        let me = self.key(n);
        let asked: Vec<Digest> = self.seats[n]
            .hall
            .open(&id)
            .filter(|(_, _, ballot, cast)| ballot.electorate.contains(&me) && !cast.contains_key(&me))
            .map(|(digest, ..)| digest)
            .collect();
        for proposal in asked {
            self.vote(n, proposal, true).unwrap();
        }
    }

    /// One tells another what that lacks, as far as it may know of it; says whether there was something.
    fn tell(&mut self, from: usize, to: usize) -> bool {
        let viewer = self.key(to);
        let topics: Vec<FederationId> = self.seats[from].hall.topics_of(&viewer).collect();
        let mut said = false;
        for id in topics {
            let me = self.key(from);
            let have = self.seats[to].hall.have(&id, &me);
            let minutes = self.seats[from].hall.lacking(&id, &viewer, &have, 1 << 20);
            said |= self
                .act(to, |hall, now, by, changed| {
                    hall.hear(now, minutes, changed);
                    hall.count(now, by.signer, changed);
                    Ok(!changed.minutes.is_empty())
                })
                .unwrap();
        }
        said
    }

    /// All tell each other until nobody has anything new to say.
    fn settle(&mut self) {
        let count = self.seats.len();
        loop {
            let mut said = false;
            for from in 0..count {
                for to in (0..count).filter(|to| *to != from) {
                    if self.side[from] == self.side[to] {
                        said |= self.tell(from, to);
                    }
                }
            }
            if !said {
                return;
            }
        }
    }

    /// Lets a domain start again with what it has kept, in another order.
    fn restart(&mut self, n: usize) {
        let mut kept = std::mem::take(&mut self.seats[n].kept);
        kept.reverse();
        self.seats[n].hall = Hall::new(self.key(n));
        self.act(n, |hall, now, _, changed| {
            hall.hear(now, kept, changed);
            Ok(())
        })
        .unwrap();
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        for n in 0..self.seats.len() {
            self.act(n, |hall, now, by, changed| {
                hall.count(now, by.signer, changed);
                Ok(())
            })
            .unwrap();
        }
    }

    /// Lets a domain hear something; says how much of it was new.
    fn hear(&mut self, n: usize, minutes: Vec<Minute>) -> usize {
        self.act(n, |hall, now, _, changed| {
            hall.hear(now, minutes, changed);
            Ok(changed.minutes.len())
        })
        .unwrap()
    }

    /// What a domain says, by whatever program, of what another has proposed.
    fn forge(&self, n: usize, proposal: Digest, decision: bool, remark: &str) -> Signed<Vote> {
        let Seat { issuer, domain, .. } = &self.seats[n];
        let vote = Vote {
            proposal,
            elector: domain.key,
            by: issuer.id(),
            decision,
            at: self.now,
            remark: remark.to_owned(),
            extensions: Extensions::new(),
        };
        Signed::new(vote, issuer)
    }

    /// The same as a minute.
    fn forged(&self, n: usize, proposal: Digest, decision: bool, remark: &str) -> Minute {
        Minute::Voted { vote: self.forge(n, proposal, decision, remark), list: self.seats[n].list.clone() }
    }

    /// A proposal, as its initiator has signed it.
    fn proposed(&self, n: usize, id: FederationId, proposal: Digest) -> Signed<Proposal> {
        let all = self.seats[n].hall.lacking(&id, &self.key(n), &BTreeSet::new(), usize::MAX);
        let is_it = |minute: &Minute| minute.id() == proposal;
        match all.into_iter().find(is_it) {
            Some(Minute::Proposed { proposal, .. }) => proposal,
            other => panic!("{other:?}"),
        }
    }

    /// What a domain decides of a proposal of its own, by whatever program.
    fn decide(
        &self,
        n: usize,
        proposal: Signed<Proposal>,
        votes: &[Signed<Vote>],
        outcome: Outcome,
        at: Time,
    ) -> Minute {
        let lists = self.seats.iter().filter(|seat| {
            let is_its = |vote: &Signed<Vote>| vote.claimed().unwrap().elector == seat.domain.key;
            seat.domain.key == self.key(n) || votes.iter().any(is_its)
        });
        let lists = lists.map(|seat| seat.list.clone()).collect();
        let (votes, extensions) = (votes.to_vec(), Extensions::new());
        Minute::Decided(Signed::new(
            Decision { proposal, votes, lists, outcome, at, extensions },
            &self.seats[n].issuer,
        ))
    }

    /// Creates a federation of the first `count` domains.
    fn federation(&mut self, policy: Policy, count: usize) -> FederationId {
        let id = FederationId(self.propose(0, None, self.founding(policy, count)).unwrap().0);
        self.settle();
        (1..count).for_each(|n| self.agree(n, id));
        self.settle();
        assert!((0..count).all(|n| self.state(n, id) == Some(State::Activated)));
        id
    }

    fn founding(&self, policy: Policy, count: usize) -> Purpose {
        let mut members: Vec<Domain> = self.seats[..count].iter().map(|seat| seat.domain.clone()).collect();
        members.sort_by_key(|domain| domain.key);
        Purpose::CreateFederation {
            name: "archipelago".to_owned(),
            description: String::new(),
            statute: statute(policy),
            members,
        }
    }

    fn state(&self, n: usize, id: FederationId) -> Option<State> {
        self.seats[n].hall.federations().find(|(known, _)| *known == id).map(|(_, state)| state)
    }

    fn outcome(&self, n: usize, id: FederationId, proposal: Digest) -> Option<Outcome> {
        let chronicle = self.seats[n].hall.chronicle(&id).ok()?;
        Some(chronicle.decision(&proposal)?.claimed()?.outcome)
    }

    fn members(&self, n: usize, id: FederationId) -> BTreeSet<DomainKey> {
        let chronicle = self.seats[n].hall.chronicle(&id).ok();
        chronicle.into_iter().flat_map(|it| it.membership().members.keys().copied()).collect()
    }

    fn add(&self, n: usize) -> Purpose {
        Purpose::AddMember { member: self.seats[n].domain.clone() }
    }

    fn remove(&self, n: usize) -> Purpose {
        Purpose::RemoveMember { member: self.key(n), at_once: false }
    }
}

fn statute(policy: Policy) -> Statute {
    Statute { policy, closed: false, least_term: Span::ZERO, extensions: Extensions::new() }
}

#[test]
fn a_federation_is_pending_until_all_have_agreed_and_failed_when_one_has_not() {
    let mut world = World::new(3);
    let id = FederationId(world.propose(0, None, world.founding(Policy::Majority, 3)).unwrap().0);
    world.settle();
    assert_eq!(world.state(2, id), Some(State::Pending));
    world.vote(1, Digest(id.0), true).unwrap();
    world.settle();
    assert_eq!(world.state(2, id), Some(State::Pending));
    world.vote(2, Digest(id.0), false).unwrap();
    world.settle();
    assert!((0..3).all(|n| world.state(n, id) == Some(State::Failed)));
    let closed = world.vote(2, Digest(id.0), true).unwrap_err();
    assert_eq!((closed.code(), closed.text()), (Code::Closed, "it is decided: Failed".to_owned()));
}

#[test]
fn silence_is_counted_when_the_time_is_over_and_votes_that_were_in_time_with_it() {
    for (policy, comes_to) in
        [(Policy::OneVoteVeto, Outcome::Passed), (Policy::All, Outcome::Expired), (Policy::Majority, Outcome::Expired)]
    {
        let mut world = World::new(4);
        let id = world.federation(policy, 4);
        let proposal = world.propose(1, Some(id), Purpose::DissolveFederation).unwrap();
        world.settle();
        world.pass(DAY.minus(Span::secs(1)));
        world.vote(2, proposal, true).unwrap();
        world.pass(Span::secs(1));
        world.settle();
        assert_eq!(world.outcome(1, id, proposal), None, "votes may be under way");
        world.pass(GRACE);
        world.settle();
        assert!((0..4).all(|n| world.outcome(n, id, proposal) == Some(comes_to)), "{policy:?}");
        let late = world.vote(3, proposal, true).unwrap_err();
        assert_eq!(late.code(), Code::Closed);
    }
}

#[test]
fn a_vote_that_comes_when_the_time_is_over_is_refused_where_it_is_cast() {
    let mut world = World::new(3);
    let id = world.federation(Policy::All, 3);
    let proposal = world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
    world.settle();
    world.pass(DAY);
    assert_eq!(world.vote(1, proposal, true).unwrap_err().code(), Code::Expired);
}

#[test]
fn votes_survive_a_restart_in_the_middle() {
    let mut world = World::new(5);
    let id = world.federation(Policy::Majority, 5);
    let proposal = world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
    world.settle();
    world.vote(1, proposal, true).unwrap();
    world.settle();
    (0..5).for_each(|n| world.restart(n));
    assert_eq!(world.vote(1, proposal, false).unwrap_err().code(), Code::Closed, "it has voted, and knows it");
    world.vote(2, proposal, true).unwrap();
    world.settle();
    assert!((0..5).all(|n| world.outcome(n, id, proposal) == Some(Outcome::Passed)));
    (0..5).for_each(|n| world.restart(n));
    assert!((0..5).all(|n| world.state(n, id) == Some(State::Dissolved)));
}

#[test]
fn two_votes_of_one_domain_that_differ_are_evidence_everywhere_and_the_first_counts() {
    let mut world = World::new(3);
    let id = world.federation(Policy::All, 3);
    let proposal = world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
    world.settle();
    world.vote(2, proposal, true).unwrap();
    world.settle();
    // Another issuer of the domain, or the same one by another program, says no.
    let Seat { issuer, domain, list, .. } = &world.seats[2];
    let vote = Vote {
        proposal,
        elector: domain.key,
        by: issuer.id(),
        decision: false,
        at: world.now,
        remark: String::new(),
        extensions: Extensions::new(),
    };
    let other = Minute::Voted { vote: Signed::new(vote, issuer), list: list.clone() };
    for n in [0, 1] {
        let twice = vec![other.clone(), other.clone()];
        world
            .act(n, |hall, now, _, changed| {
                hall.hear(now, twice, changed);
                Ok(())
            })
            .unwrap();
    }
    world.settle();
    for seat in &world.seats {
        let evidence: Vec<_> = seat.hall.evidence(&id).collect();
        assert_eq!(evidence.len(), 1);
        assert_ne!(evidence[0].first.claimed().unwrap().decision, evidence[0].second.claimed().unwrap().decision);
    }
    world.vote(1, proposal, true).unwrap();
    world.settle();
    assert!((0..3).all(|n| world.outcome(n, id, proposal) == Some(Outcome::Passed)));
}

#[test]
fn who_is_expelled_learns_it_and_nothing_that_comes_after() {
    let mut world = World::new(4);
    let id = world.federation(Policy::Majority, 4);
    let expel = world.propose(0, Some(id), world.remove(3)).unwrap();
    world.settle();
    assert_eq!(world.vote(3, expel, false).unwrap_err().code(), Code::NotAMember);
    (1..3).for_each(|n| world.agree(n, id));
    world.settle();
    assert_eq!(world.members(3, id), world.members(0, id));
    let next = world.propose(1, Some(id), Purpose::ChangePolicy { statute: statute(Policy::All) }).unwrap();
    world.settle();
    (0..3).for_each(|n| world.agree(n, id));
    world.settle();
    assert_eq!((world.outcome(0, id, next), world.outcome(3, id, next)), (Some(Outcome::Passed), None));
    assert_eq!(world.propose(3, Some(id), world.add(3)).unwrap_err().code(), Code::NotAMember);
}

#[test]
fn a_stranger_is_told_nothing_and_one_that_is_asked_to_join_everything() {
    let mut world = World::new(4);
    let id = world.federation(Policy::Majority, 3);
    assert_eq!(world.state(3, id), None);
    world.propose(0, Some(id), world.add(3)).unwrap();
    world.settle();
    (1..4).for_each(|n| world.agree(n, id));
    world.settle();
    assert_eq!(world.members(3, id).len(), 4);
    assert!(world.seats[0].hall.are_fellows(&world.key(0), &world.key(3)));
}

#[test]
fn a_member_that_knows_nothing_learns_all_of_it_in_pieces_of_any_size() {
    let mut world = World::new(3);
    let id = world.federation(Policy::Majority, 3);
    for n in 0..12 {
        let statute = statute(Policy::ALL[n % 2]);
        world.propose(n % 2, Some(id), Purpose::ChangePolicy { statute }).unwrap();
        world.settle();
        (0..3).for_each(|n| world.agree(n, id));
        world.pass(DAY.plus(GRACE));
        world.settle();
    }
    let decided =
        |world: &World, n: usize| world.seats[n].hall.chronicle(&id).map(|it| it.decisions().count()).unwrap_or(0);
    assert_eq!(decided(&world, 0), 13);
    world.seats[2].hall = Hall::new(world.key(2));
    for _ in 0..13 {
        let have = world.seats[2].hall.have(&id, &world.key(0));
        let piece = world.seats[0].hall.lacking(&id, &world.key(2), &have, 1);
        assert_eq!(piece.len(), 1);
        world.hear(2, piece);
    }
    assert_eq!(decided(&world, 2), 13);
}

#[test]
fn who_is_expelled_learns_no_more_by_proposing_as_if_it_were_a_member() {
    let mut world = World::new(5);
    let id = world.federation(Policy::Majority, 4);
    world.side[3] = 1;
    let own = world.propose(3, Some(id), world.add(4)).unwrap();
    world.propose(0, Some(id), world.remove(3)).unwrap();
    world.settle();
    (1..3).for_each(|n| world.agree(n, id));
    world.side = vec![0; 5];
    world.settle();
    assert!(world.seats[0].hall.open(&id).any(|(digest, ..)| digest == own));
    let next = world.propose(1, Some(id), Purpose::ChangePolicy { statute: statute(Policy::All) }).unwrap();
    world.settle();
    assert!([3, 4].iter().all(|n| world.seats[*n].hall.open(&id).all(|(digest, ..)| digest != next)));
    (0..3).for_each(|n| world.agree(n, id));
    world.settle();
    let seen = |world: &World, n| world.outcome(n, id, next);
    assert_eq!((seen(&world, 0), seen(&world, 3), seen(&world, 4)), (Some(Outcome::Passed), None, None));
    // What it had proposed is decided all the same.
    world.pass(DAY.plus(GRACE));
    world.settle();
    assert!((0..4).all(|n| world.seats[n].hall.open(&id).count() == 0));
    assert_eq!(world.members(0, id).len(), 3);
}

#[test]
fn who_has_no_vote_makes_no_evidence() {
    let mut world = World::new(3);
    let id = world.federation(Policy::Majority, 2);
    let real = world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
    let real = world.proposed(0, id, real);
    let Seat { issuer, domain, .. } = &world.seats[2];
    let made_up = Proposal { initiator: domain.key, teller: issuer.id(), ..real.claimed().unwrap().clone() };
    for proposal in [Signed::new(made_up, issuer), real] {
        let digest = proposal.digest();
        let mut votes = [true, false].map(|yes| world.forge(2, digest, yes, ""));
        votes.sort_by_key(Signed::digest);
        let ([first, second], list) = (votes, world.seats[2].list.clone());
        world.hear(0, vec![Minute::Contradicted(Box::new(Contradiction { proposal, first, second, list }))]);
        assert_eq!(world.seats[0].hall.evidence(&id).count(), 0);
    }
}

#[test]
fn two_votes_of_one_domain_that_say_the_same_become_one_everywhere() {
    let mut world = World::new(4);
    let id = world.federation(Policy::All, 3);
    let proposal = world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
    world.settle();
    for (n, remark) in [(0, "as I said"), (1, "as I have always said")] {
        let said = world.forged(2, proposal, true, remark);
        assert_eq!(world.hear(n, vec![said]), 1);
    }
    world.settle();
    for (from, to) in [(0, 1), (1, 0), (2, 0), (0, 2)] {
        let have = world.seats[to].hall.have(&id, &world.key(from));
        assert_eq!(world.seats[from].hall.lacking(&id, &world.key(to), &have, usize::MAX), []);
    }
    (0..3).for_each(|n| world.restart(n));
    world.settle();
    world.vote(1, proposal, true).unwrap();
    world.settle();
    assert!((0..3).all(|n| world.outcome(n, id, proposal) == Some(Outcome::Passed)));
}

#[test]
fn of_two_words_on_why_a_federation_was_not_created_all_keep_the_same() {
    let mut world = World::new(3);
    let digest = world.propose(0, None, world.founding(Policy::Majority, 3)).unwrap();
    let id = FederationId(digest.0);
    let proposal = world.proposed(0, id, digest);
    let said = ["no", "never"].map(|remark| {
        world.decide(0, proposal.clone(), &[world.forge(1, digest, false, remark)], Outcome::Failed, world.now)
    });
    for (n, order) in [(1, [0, 1]), (2, [1, 0])] {
        world.hear(n, order.map(|at| said[at].clone()).to_vec());
        assert_eq!(world.state(n, id), Some(State::Failed));
        assert_eq!(world.hear(n, [said.clone(), said.clone()].concat()), 0, "nothing of it is new again");
    }
    let have = [1, 2].map(|n| world.seats[n].hall.have(&id, &world.key(1)));
    assert_eq!(have[0], have[1]);
}

#[test]
fn silence_is_not_counted_before_its_time_whatever_the_teller_says() {
    let mut world = World::new(3);
    let id = world.federation(Policy::OneVoteVeto, 3);
    let proposal = world.propose(0, Some(id), world.remove(2)).unwrap();
    world.settle();
    let signed = world.proposed(0, id, proposal);
    let ends = signed.claimed().unwrap().ends;
    let early = world.decide(0, signed, &[], Outcome::Passed, ends);
    world.hear(1, vec![early.clone()]);
    assert_eq!((world.outcome(1, id, proposal), world.members(1, id).len()), (None, 3));
    world.vote(1, proposal, false).unwrap();
    world.now = ends;
    world.hear(1, vec![early]);
    assert_eq!(world.outcome(1, id, proposal), Some(Outcome::Passed));
}

#[test]
fn what_nobody_decides_is_forgotten_and_a_late_decision_counts() {
    let mut world = World::new(4);
    let id = world.federation(Policy::Majority, 3);
    let proposal = world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
    let other = FederationId(world.propose(3, None, world.founding(Policy::All, 4)).unwrap().0);
    world.settle();
    // Both tellers are away.
    (world.side[0], world.side[3]) = (1, 2);
    let mut votes = [1, 2].map(|n| world.forge(n, proposal, true, ""));
    votes.sort_by_key(|vote| vote.claimed().unwrap().elector);
    let late = world.decide(0, world.proposed(0, id, proposal), &votes, Outcome::Passed, world.now);
    let kept = world.seats[1].kept.clone();
    let due = world.seats[1].hall.due(&world.seats[1].issuer.id()).unwrap();
    world.pass(Span::millis(due.0 - world.now.0 - 1));
    assert_eq!((world.seats[1].hall.open(&id).count(), world.state(1, other)), (1, Some(State::Pending)));
    world.pass(Span::millis(1));
    assert_eq!((world.seats[1].hall.open(&id).count(), world.state(1, other)), (0, None));
    assert!(world.seats[1].kept.iter().all(|minute| matches!(minute, Minute::Decided(_))));
    assert_eq!(world.hear(1, kept), 0);
    assert_eq!(world.hear(1, vec![late]), 1);
    assert_eq!(world.state(1, id), Some(State::Dissolved));
}

#[test]
fn a_teller_is_done_even_with_what_there_is_no_room_to_decide() {
    let mut world = World::new(2);
    let id = world.federation(Policy::All, 2);
    let teller = world.seats[0].issuer.id();
    for _ in 0..300 {
        world.propose(0, Some(id), Purpose::DissolveFederation).unwrap();
        if world.seats[0].hall.open(&id).count() == 60 {
            world.pass(DAY.plus(GRACE));
            assert_eq!(world.seats[0].hall.due(&teller), None);
        }
    }
    assert!(world.seats[0].hall.chronicle(&id).unwrap().decisions().count() < 300);
}

#[test]
fn federations_of_strangers_take_no_room_from_ones_own() {
    let mut world = World::new(200);
    let founders = |world: &World, who: &[usize]| {
        let mut members: Vec<Domain> = who.iter().map(|n| world.seats[*n].domain.clone()).collect();
        members.sort_by_key(|domain| domain.key);
        let (name, description) = ("archipelago".to_owned(), String::new());
        Purpose::CreateFederation { name, description, statute: statute(Policy::Majority), members }
    };
    let own = world.federation(Policy::Majority, 2);
    for n in 2..200 {
        // Some are decided, and some name the domain that is to have no room.
        let who = if n % 2 == 0 { vec![n] } else { vec![n, 0] };
        let made = world.propose(n, None, founders(&world, &who)).unwrap();
        let id = FederationId(made.0);
        let told = world.seats[n].hall.lacking(&id, &world.key(n), &BTreeSet::new(), usize::MAX);
        world.hear(0, told);
    }
    assert!(world.seats[0].hall.federations().count() <= 64);
    let made = world.propose(0, None, founders(&world, &[0, 1])).unwrap();
    let known: Vec<_> = world.seats[0].hall.federations().map(|(id, _)| id).collect();
    assert!(known.contains(&own) && known.contains(&FederationId(made.0)));
    world.restart(0);
    assert_eq!(world.state(0, own), Some(State::Activated));
    assert_eq!(world.state(0, FederationId(made.0)), Some(State::Pending));
}

/// What happens in a storm.
#[derive(Debug, Clone, Copy)]
enum Event {
    Add(usize, usize),
    Remove(usize, usize),
    Agree(usize),
    Tell(usize, usize),
    Split(u64),
    Heal,
    Restart(usize),
    Pass(u64),
}

fn event(count: usize) -> impl Strategy<Value = Event> {
    let one = move || 0..count;
    prop_oneof![
        2 => (one(), one()).prop_map(|(by, who)| Event::Add(by, who)),
        2 => (one(), one()).prop_map(|(by, who)| Event::Remove(by, who)),
        6 => one().prop_map(Event::Agree),
        12 => (one(), one()).prop_map(|(from, to)| Event::Tell(from, to)),
        1 => any::<u64>().prop_map(Event::Split),
        1 => Just(Event::Heal),
        1 => one().prop_map(Event::Restart),
        1 => (1..50_000_u64).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_or_at_once_all_members_derive_the_same_and_what_is_decided_stays(
        events in prop::collection::vec(event(6), 0..120),
    ) {
        let mut world = World::new(6);
        let id = world.federation(Policy::Majority, 4);
        let mut decided = std::collections::BTreeMap::new();
        for event in events {
            match event {
                Event::Add(by, who) => { let _ = world.propose(by, Some(id), world.add(who)); }
                Event::Remove(by, who) => { let _ = world.propose(by, Some(id), world.remove(who)); }
                Event::Agree(n) => {
                    let me = world.key(n);
                    let asked: Vec<_> = world.seats[n].hall.open(&id)
                        .filter(|(_, _, ballot, _)| ballot.electorate.contains(&me))
                        .map(|(digest, ..)| digest).collect();
                    for proposal in asked { let _ = world.vote(n, proposal, true); }
                }
                Event::Tell(from, to) if from != to && world.side[from] == world.side[to] => { world.tell(from, to); }
                Event::Tell(..) => {}
                Event::Split(bits) => (0..6).for_each(|n| world.side[n] = usize::from(bits >> n & 1 == 1)),
                Event::Heal => world.side = vec![0; 6],
                Event::Restart(n) => world.restart(n),
                Event::Pass(seconds) => world.pass(Span::secs(seconds)),
            }
            for n in 0..6 {
                let Ok(chronicle) = world.seats[n].hall.chronicle(&id) else { continue };
                for (by, decision) in chronicle.decisions() {
                    let outcome = decision.claimed().unwrap().outcome;
                    prop_assert_eq!(*decided.entry(*by).or_insert(outcome), outcome, "a decision changed");
                }
            }
        }
        world.side = vec![0; 6];
        world.settle();
        world.pass(DAY.times(2));
        world.settle();
        let members = (0..6).find_map(|n| {
            let members = world.members(n, id);
            members.contains(&world.key(n)).then_some(members)
        });
        let Some(members) = members else { return Ok(()) };
        let mut seen = Vec::new();
        for n in (0..6).filter(|n| members.contains(&world.key(*n))) {
            prop_assert_eq!(world.seats[n].hall.open(&id).count(), 0, "all is decided");
            seen.push(world.seats[n].hall.chronicle(&id).unwrap().membership().clone());
        }
        prop_assert!(seen.iter().all(|one| *one == seen[0]));
        // Who was expelled has learnt it.
        for n in 0..6 {
            let knows = world.seats[n].hall.chronicle(&id).map(|it| it.is_member(&world.key(n))).unwrap_or(false);
            prop_assert_eq!(knows, members.contains(&world.key(n)), "domain {}", n);
        }
    }
}
