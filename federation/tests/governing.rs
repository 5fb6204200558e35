//! Federations decide: who may vote, what the votes come to, and that all who have heard the same believe the same.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use federation::governance::{Chronicle, Flaw, Learnt, Standing};
use kernel::{Digest, DomainKey, FederationId, Span, Time};
use proptest::{collection::vec, prelude::*};
use rear_proto::{
    Extensions, Signed, Signer,
    flavour::Domain,
    governance::{Decision, Outcome, Policy, Proposal, Purpose, Statute, Vote},
    membership::IssuerList,
};

const START: Time = Time(1_000_000);
const DAY: Span = Span::secs(86_400);

/// A domain with one issuer.
fn domain(n: u8) -> Signer {
    Signer::from_secret(&[n; 32])
}

fn issuer(n: u8) -> Signer {
    Signer::from_secret(&[n + 100; 32])
}

fn key(n: u8) -> DomainKey {
    DomainKey(domain(n).id().0)
}

fn called(n: u8) -> Domain {
    Domain { key: key(n), name: format!("domain-{n}") }
}

fn list(n: u8) -> Signed<IssuerList> {
    let list = IssuerList {
        domain: called(n),
        number: 1,
        issuers: vec![issuer(n).id()],
        expires: START + DAY.times(365),
        extensions: Extensions::new(),
    };
    Signed::new(list, &domain(n))
}

fn statute(policy: Policy) -> Statute {
    Statute { policy, closed: false, least_term: Span::ZERO, extensions: Extensions::new() }
}

fn founding(policy: Policy, members: &[u8]) -> Proposal {
    let mut members: Vec<Domain> = members.iter().map(|n| called(*n)).collect();
    members.sort_by_key(|domain| domain.key);
    let purpose = Purpose::CreateFederation {
        name: "archipelago".to_owned(),
        description: "islands that share".to_owned(),
        statute: statute(policy),
        members,
    };
    Proposal { federation: None, parents: Vec::new(), ..proposal(1, purpose, None) }
}

fn proposal(by: u8, purpose: Purpose, on: Option<&Chronicle>) -> Proposal {
    Proposal {
        federation: on.map(Chronicle::id),
        parents: on.map(Chronicle::heads).unwrap_or_default(),
        purpose,
        initiator: key(by),
        teller: issuer(by).id(),
        opened: START,
        ends: START + DAY,
        nonce: [0; 16],
        extensions: Extensions::new(),
    }
}

fn vote(n: u8, on: &Signed<Proposal>, decision: bool) -> Vote {
    Vote {
        proposal: on.digest(),
        elector: key(n),
        by: issuer(n).id(),
        decision,
        at: START + Span::secs(60),
        remark: String::new(),
        extensions: Extensions::new(),
    }
}

/// Lets a proposal be decided by these votes, by `by`'s issuer.
fn decide(by: u8, proposal: &Proposal, votes: &[(u8, bool)], outcome: Outcome, at: Time) -> Signed<Decision> {
    let proposal = Signed::new(proposal.clone(), &issuer(by));
    let mut cast: Vec<_> = votes.iter().map(|(n, yes)| (*n, vote(*n, &proposal, *yes))).collect();
    cast.sort_by_key(|(_, vote)| vote.elector);
    let who: BTreeSet<u8> = votes.iter().map(|(n, _)| *n).chain([by]).collect();
    let decision = Decision {
        votes: cast.into_iter().map(|(n, vote)| Signed::new(vote, &issuer(n))).collect(),
        lists: who.into_iter().map(list).collect(),
        proposal,
        outcome,
        at,
        extensions: Extensions::new(),
    };
    Signed::new(decision, &issuer(by))
}

fn yes(who: &[u8]) -> Vec<(u8, bool)> {
    who.iter().map(|n| (*n, true)).collect()
}

fn at_once() -> Time {
    START + Span::secs(100)
}

fn federation(policy: Policy, members: &[u8]) -> Chronicle {
    let created = decide(1, &founding(policy, members), &yes(members), Outcome::Passed, at_once());
    Chronicle::begin(&created).unwrap()
}

fn members(chronicle: &Chronicle) -> BTreeSet<DomainKey> {
    chronicle.membership().members.keys().copied().collect()
}

fn keys(who: &[u8]) -> BTreeSet<DomainKey> {
    who.iter().map(|n| key(*n)).collect()
}

#[test]
fn a_federation_begins_when_all_that_it_would_have_agree() {
    let proposal = founding(Policy::Majority, &[1, 2, 3]);
    let created = decide(1, &proposal, &yes(&[1, 2, 3]), Outcome::Passed, at_once());
    let chronicle = Chronicle::begin(&created).unwrap();
    let membership = chronicle.membership();
    assert_eq!((members(&chronicle), membership.standing), (keys(&[1, 2, 3]), Standing::Activated));
    assert!(membership.members[&key(1)].initiator && !membership.members[&key(2)].initiator);
    assert_eq!(membership.members[&key(2)].joined_at, at_once());
    // Whatever its policy will be, nobody is made a member without a word.
    let without = decide(1, &proposal, &yes(&[1, 2]), Outcome::Passed, START + DAY);
    assert_eq!(Chronicle::begin(&without).unwrap_err(), Flaw::Miscounted(Outcome::Passed));
    let refused = decide(1, &proposal, &[(1, true), (2, true), (3, false)], Outcome::Failed, at_once());
    assert!(Chronicle::begin(&refused).is_err());
    let outside = decide(
        4,
        &Proposal { teller: issuer(4).id(), initiator: key(4), ..proposal },
        &yes(&[1, 2, 3]),
        Outcome::Passed,
        at_once(),
    );
    assert_eq!(Chronicle::begin(&outside).unwrap_err(), Flaw::InitiatorIsOut);
}

#[test]
fn the_policy_is_the_federations_and_not_the_proposers() {
    let mut chronicle = federation(Policy::All, &[1, 2, 3]);
    let add = proposal(1, Purpose::AddMember { member: called(4) }, Some(&chronicle));
    let some = decide(1, &add, &yes(&[1, 2, 4]), Outcome::Passed, at_once());
    assert_eq!(chronicle.learn(&some), Err(Flaw::Miscounted(Outcome::Passed)));
    let all = decide(1, &add, &yes(&[1, 2, 3, 4]), Outcome::Passed, at_once());
    assert_eq!(chronicle.learn(&all), Ok(Learnt::New));
    assert_eq!((chronicle.learn(&all), members(&chronicle)), (Ok(Learnt::Known), keys(&[1, 2, 3, 4])));
    let majority = proposal(2, Purpose::ChangePolicy { statute: statute(Policy::Majority) }, Some(&chronicle));
    chronicle.learn(&decide(2, &majority, &yes(&[1, 2, 3, 4]), Outcome::Passed, at_once())).unwrap();
    let add = proposal(1, Purpose::AddMember { member: called(5) }, Some(&chronicle));
    assert_eq!(chronicle.learn(&decide(1, &add, &yes(&[1, 2, 5]), Outcome::Passed, at_once())), Ok(Learnt::New));
}

#[test]
fn who_is_asked_to_join_says_yes_and_who_is_to_go_has_no_vote() {
    let mut chronicle = federation(Policy::Majority, &[1, 2, 3]);
    let add = proposal(1, Purpose::AddMember { member: called(4) }, Some(&chronicle));
    assert_eq!(chronicle.ballot(&add).unwrap().electorate, keys(&[1, 2, 3, 4]));
    let unasked = decide(1, &add, &yes(&[1, 2, 3]), Outcome::Passed, START + DAY);
    assert_eq!(chronicle.learn(&unasked), Err(Flaw::Miscounted(Outcome::Passed)));
    let expel = |at_once| Purpose::RemoveMember { member: key(3), at_once };
    let remove = proposal(1, expel(true), Some(&chronicle));
    let with = decide(1, &remove, &[(1, true), (3, false)], Outcome::Failed, at_once());
    assert_eq!(chronicle.learn(&with), Err(Flaw::NoElector(key(3))));
    chronicle.learn(&decide(1, &remove, &yes(&[1, 2]), Outcome::Passed, at_once())).unwrap();
    let parting = chronicle.membership().parted[&key(3)];
    assert_eq!((members(&chronicle), parting.at_once), (keys(&[1, 2]), true));
    // It proposes nothing any longer.
    let back = proposal(3, Purpose::AddMember { member: called(3) }, Some(&chronicle));
    assert_eq!(chronicle.ballot(&back), Err(Flaw::NoMember(key(3))));
}

#[test]
fn a_member_leaves_by_its_own_word_and_the_last_ends_it() {
    let mut chronicle = federation(Policy::All, &[1, 2]);
    for n in [2, 1] {
        let leave = Purpose::RemoveMember { member: key(n), at_once: false };
        let leave = proposal(n, leave, Some(&chronicle));
        chronicle.learn(&decide(n, &leave, &yes(&[n]), Outcome::Passed, at_once())).unwrap();
        assert!(!chronicle.is_member(&key(n)));
    }
    assert_eq!(chronicle.membership().standing, Standing::Dissolved);
    let add = proposal(1, Purpose::AddMember { member: called(3) }, Some(&chronicle));
    assert_eq!(chronicle.ballot(&add), Err(Flaw::Dissolved));
}

#[test]
fn what_is_not_signed_by_who_must_or_out_of_time_does_not_stand() {
    let mut chronicle = federation(Policy::Majority, &[1, 2, 3]);
    let good = proposal(1, Purpose::DissolveFederation, Some(&chronicle));
    let signed = Signed::new(good.clone(), &issuer(1));
    let decision = |votes: Vec<Signed<Vote>>, lists: &[u8]| Decision {
        proposal: signed.clone(),
        votes,
        lists: lists.iter().map(|n| list(*n)).collect(),
        outcome: Outcome::Passed,
        at: at_once(),
        extensions: Extensions::new(),
    };
    let by = |n: u8| Signed::new(vote(n, &signed, true), &issuer(n));
    let mut learn = |decision: Decision, n: u8| chronicle.learn(&Signed::new(decision, &issuer(n)));
    // By another than the teller.
    assert_eq!(learn(decision(vec![by(1), by(2)], &[1, 2]), 2), Err(Flaw::Signature("decision")));
    // Without the list that says who signs for a domain; with a vote that is another's, or a domain's that is no member.
    assert_eq!(
        learn(decision(vec![by(1), by(2)], &[1]), 1),
        Err(Flaw::NoIssuer { domain: key(2), by: issuer(2).id() })
    );
    let forged = Signed::new(vote(2, &signed, true), &issuer(3));
    assert_eq!(learn(decision(vec![by(1), forged], &[1, 2]), 1), Err(Flaw::Signature("vote")));
    let own = Signed::new(Vote { by: issuer(1).id(), ..vote(2, &signed, true) }, &issuer(1));
    assert_eq!(
        learn(decision(vec![by(1), own], &[1, 2]), 1),
        Err(Flaw::NoIssuer { domain: key(2), by: issuer(1).id() })
    );
    assert_eq!(learn(decision(vec![by(1), by(4)], &[1, 4]), 1), Err(Flaw::NoElector(key(4))));
    // Twice, late, early, on something else.
    assert_eq!(learn(decision(vec![by(1), by(1)], &[1]), 1), Err(Flaw::Vote(key(1))));
    for at in [good.ends, Time(START.0 - 1)] {
        let late = Signed::new(Vote { at, ..vote(2, &signed, true) }, &issuer(2));
        assert_eq!(learn(decision(vec![by(1), late], &[1, 2]), 1), Err(Flaw::Vote(key(2))));
    }
    let other = Signed::new(Vote { proposal: Digest([9; 32]), ..vote(2, &signed, true) }, &issuer(2));
    assert_eq!(learn(decision(vec![by(1), other], &[1, 2]), 1), Err(Flaw::Vote(key(2))));
    assert_eq!(learn(decision(vec![by(1), by(2)], &[1, 2]), 1), Ok(Learnt::New));
}

#[test]
fn silence_counts_only_when_the_time_is_over() {
    for (policy, comes_to) in [(Policy::OneVoteVeto, Outcome::Passed), (Policy::All, Outcome::Expired)] {
        let mut chronicle = federation(policy, &[1, 2, 3]);
        let dissolve = proposal(1, Purpose::DissolveFederation, Some(&chronicle));
        let ends = dissolve.ends;
        let early = decide(1, &dissolve, &yes(&[1, 2]), comes_to, Time(ends.0 - 1));
        assert_eq!(chronicle.learn(&early), Err(Flaw::Miscounted(comes_to)));
        assert_eq!(chronicle.learn(&decide(1, &dissolve, &yes(&[1, 2]), comes_to, ends)), Ok(Learnt::New));
        assert_eq!(chronicle.is_member(&key(1)), comes_to == Outcome::Expired);
    }
}

#[test]
fn a_teller_that_says_two_things_is_caught_and_all_believe_the_same_of_it() {
    let begin = federation(Policy::Majority, &[1, 2, 3]);
    let remove = proposal(1, Purpose::RemoveMember { member: key(3), at_once: false }, Some(&begin));
    let passed = decide(1, &remove, &yes(&[1, 2]), Outcome::Passed, at_once());
    let expired = decide(1, &remove, &yes(&[1]), Outcome::Expired, START + DAY);
    let learnt = [[&passed, &expired], [&expired, &passed]].map(|order| {
        let mut chronicle = begin.clone();
        assert_eq!(chronicle.learn(order[0]), Ok(Learnt::New));
        assert_eq!(chronicle.learn(order[1]), Ok(Learnt::Contradicts));
        assert_eq!(order.map(|one| chronicle.learn(one)), [Ok(Learnt::Known), Ok(Learnt::Known)]);
        assert_eq!(chronicle.contradictions().count(), 1);
        (members(&chronicle), chronicle.membership().epoch)
    });
    assert_eq!(learnt[0], learnt[1]);
    assert_eq!(learnt[0].0, keys(&[1, 2]));
}

#[test]
fn a_decision_waits_for_those_that_it_builds_on_and_is_of_its_own_federation() {
    let begin = federation(Policy::Majority, &[1, 2, 3]);
    let (mut here, mut there) = (begin.clone(), begin.clone());
    let add = decide(
        1,
        &proposal(1, Purpose::AddMember { member: called(4) }, Some(&here)),
        &yes(&[1, 2, 4]),
        Outcome::Passed,
        at_once(),
    );
    here.learn(&add).unwrap();
    let next = proposal(4, Purpose::AddMember { member: called(5) }, Some(&here));
    let next = decide(4, &next, &yes(&[1, 4, 5]), Outcome::Passed, at_once());
    let parent = add.claimed().unwrap().proposal.digest();
    assert_eq!(there.learn(&next), Err(Flaw::UnknownParent(parent)));
    assert_eq!((there.learn(&add), there.learn(&next)), (Ok(Learnt::New), Ok(Learnt::New)));
    // Old parents beside their own children are no parents.
    let crooked = Proposal {
        parents: BTreeSet::from([parent, Digest(here.id().0)]).into_iter().collect(),
        ..proposal(1, Purpose::DissolveFederation, Some(&here))
    };
    assert_eq!(there.ballot(&crooked), Err(Flaw::Parents));
    let foreign =
        Proposal { federation: Some(FederationId([7; 32])), ..proposal(1, Purpose::DissolveFederation, Some(&here)) };
    assert_eq!(there.ballot(&foreign), Err(Flaw::OtherFederation));
}

#[test]
fn whatever_a_teller_says_all_who_have_heard_all_of_it_believe_and_keep_the_same() {
    let begin = federation(Policy::Majority, &[1, 2, 3]);
    let remove = proposal(1, Purpose::RemoveMember { member: key(3), at_once: false }, Some(&begin));
    let said = [
        decide(1, &remove, &yes(&[1, 2]), Outcome::Passed, at_once()),
        decide(1, &remove, &[(1, true), (2, false)], Outcome::Failed, at_once()),
        decide(1, &remove, &yes(&[1]), Outcome::Expired, START + DAY),
        decide(1, &remove, &yes(&[1]), Outcome::Expired, START + DAY.times(2)),
    ];
    let mut seen = BTreeSet::new();
    for order in 0..24 {
        let mut left: Vec<_> = said.iter().collect();
        let mut chronicle = begin.clone();
        for n in [order % 4, order / 4 % 3, order / 12, 0] {
            chronicle.learn(left.remove(n)).unwrap();
        }
        assert_eq!(members(&chronicle), keys(&[1, 2]), "order {order}");
        let kept: Vec<_> = chronicle.contradictions().map(|(one, other)| (one.digest(), other.digest())).collect();
        seen.insert(kept);
    }
    assert_eq!(seen.len(), 1);
}

#[test]
fn no_teller_changes_afterwards_who_had_a_vote_on_what_followed() {
    let begin = federation(Policy::Majority, &[1, 2, 3]);
    let policy = |by, policy, opened| {
        let purpose = Purpose::ChangePolicy { statute: statute(policy) };
        Proposal { opened, ..proposal(by, purpose, Some(&begin)) }
    };
    let (all, majority) = (policy(1, Policy::All, START), policy(2, Policy::Majority, START + Span::secs(1)));
    let at = |seconds| START + Span::secs(seconds);
    let before = decide(1, &all, &yes(&[1, 2]), Outcome::Passed, at(100));
    let other = decide(2, &majority, &yes(&[1, 2]), Outcome::Passed, at(200));
    // It says the same once more, as if it had come last, in such a way that it counts.
    let later = (300..).map(|seconds| decide(1, &all, &yes(&[1, 2]), Outcome::Passed, at(seconds)));
    let later = later.into_iter().find(|later| later.digest() < before.digest()).unwrap();
    let mut here = begin.clone();
    here.learn(&before).unwrap();
    here.learn(&other).unwrap();
    let next = proposal(3, Purpose::DissolveFederation, Some(&here));
    let next = decide(3, &next, &yes(&[1, 3]), Outcome::Passed, at(400));
    assert_eq!(here.learn(&next), Ok(Learnt::New));
    assert_eq!(here.learn(&later), Ok(Learnt::Contradicts));
    let mut there = begin.clone();
    for decision in [&later, &other, &next, &before] {
        there.learn(decision).unwrap();
    }
    assert_eq!(here.membership(), there.membership());
}

#[test]
fn a_member_whose_proposals_come_to_nothing_takes_no_room_from_others() {
    let mut chronicle = federation(Policy::Majority, &[1, 2, 3]);
    let begin = chronicle.clone();
    let vain = |n: u16| {
        let nonce =
            [n.to_le_bytes(), [0; 2], [0; 2], [0; 2], [0; 2], [0; 2], [0; 2], [0; 2]].concat().try_into().unwrap();
        let made = Proposal { nonce, ..proposal(3, Purpose::DissolveFederation, Some(&begin)) };
        decide(3, &made, &[], Outcome::Expired, START + DAY)
    };
    let refused = (0..1_000).find_map(|n| chronicle.learn(&vain(n)).err());
    assert_eq!(refused, Some(Flaw::TooMany));
    let remove = proposal(1, Purpose::RemoveMember { member: key(3), at_once: true }, Some(&chronicle));
    assert_eq!(chronicle.learn(&decide(1, &remove, &yes(&[1, 2]), Outcome::Passed, at_once())), Ok(Learnt::New));
}

/// What a member does at its own copy of what was decided.
#[derive(Debug, Clone, Copy)]
enum Act {
    Add(u8),
    Remove(u8),
    Policy(usize),
    /// It hears all that another has decided.
    Hear(usize),
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let act = prop_oneof![
        3 => (1..9_u8).prop_map(Act::Add),
        2 => (1..9_u8).prop_map(Act::Remove),
        1 => (0..3_usize).prop_map(Act::Policy),
        3 => (0..3_usize).prop_map(Act::Hear),
    ];
    (0..3_usize, act)
}

/// Hears decisions until none is left that can be.
fn hear(chronicle: &mut Chronicle, mut decisions: Vec<Signed<Decision>>) {
    loop {
        let before = decisions.len();
        decisions.retain(|decision| matches!(chronicle.learn(decision), Err(Flaw::UnknownParent(_))));
        if decisions.len() == before {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_who_have_heard_the_same_derive_the_same(acts in vec(act(), 1..24), order in any::<u64>()) {
        let begin = federation(Policy::Majority, &[1, 2, 3]);
        let mut copies = vec![begin.clone(); 3];
        for (n, (who, act)) in acts.into_iter().enumerate() {
            let copy = &copies[who];
            let Some(by) = (1..9_u8).find(|n| copy.is_member(&key(*n))) else { continue };
            let purpose = match act {
                Act::Add(n) => Purpose::AddMember { member: called(n) },
                Act::Remove(n) => Purpose::RemoveMember { member: key(n), at_once: false },
                Act::Policy(n) => Purpose::ChangePolicy { statute: statute(Policy::ALL[n]) },
                Act::Hear(other) => {
                    let said = copies[other].decisions().map(|(_, decision)| decision.clone()).collect();
                    hear(&mut copies[who], said);
                    continue;
                }
            };
            let made = Proposal { nonce: [n as u8; 16], ..proposal(by, purpose, Some(copy)) };
            let Ok(ballot) = copy.ballot(&made) else { continue };
            let all: Vec<u8> = (1..9).filter(|n| ballot.electorate.contains(&key(*n))).collect();
            let decision = decide(by, &made, &yes(&all), Outcome::Passed, START + Span::secs(100 + n as u64 % 3));
            prop_assert_eq!(copies[who].learn(&decision), Ok(Learnt::New));
        }
        let mut all: Vec<_> =
            copies.iter().flat_map(|copy| copy.decisions().map(|(_, decision)| decision.clone())).collect();
        let mut seen = Vec::new();
        for turn in 0..3_u32 {
            all.sort_by_key(|decision| {
                let digest = decision.digest();
                u64::from_le_bytes(digest.0[..8].try_into().unwrap()).rotate_left(turn * 17) ^ order
            });
            let mut fresh = begin.clone();
            hear(&mut fresh, all.clone());
            seen.push((fresh.membership().clone(), fresh.heads()));
        }
        hear(&mut copies[0], all);
        seen.push((copies[0].membership().clone(), copies[0].heads()));
        prop_assert!(seen.iter().all(|one| *one == seen[0]));
    }
}
