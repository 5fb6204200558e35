//! The one rule of what votes come to.

use std::collections::{BTreeMap, BTreeSet};

use kernel::DomainKey;

use super::{Outcome, Policy};

/// Who may vote on a proposal, and by which rule: frozen when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// The rule.
    pub policy: Policy,
    /// Who may vote.
    pub electorate: BTreeSet<DomainKey>,
    /// Those of them whose silence is no consent and without whose yes nothing passes, whatever the rule: it is about
    /// them.
    pub consents: BTreeSet<DomainKey>,
}

/// Returns what the votes come to; `None` while they may come to something else.
///
/// `over` says whether the time for them is. Votes of others than electors count for nothing.
pub fn tally(ballot: &Ballot, votes: &BTreeMap<DomainKey, bool>, over: bool) -> Option<Outcome> {
    let Ballot { policy, electorate, consents } = ballot;
    let of = |elector: &DomainKey| electorate.contains(elector).then(|| votes.get(elector).copied()).flatten();
    let all = electorate.len();
    let yes = electorate.iter().filter(|elector| of(elector) == Some(true)).count();
    let no = electorate.iter().filter(|elector| of(elector) == Some(false)).count();
    if consents.iter().any(|domain| of(domain) == Some(false)) {
        return Some(Outcome::Failed);
    }
    let by_rule = match policy {
        Policy::OneVoteVeto | Policy::All if no > 0 => Some(Outcome::Failed),
        Policy::OneVoteVeto if yes == all || over => Some(Outcome::Passed),
        Policy::All if yes == all => Some(Outcome::Passed),
        Policy::Majority if yes * 2 > all => Some(Outcome::Passed),
        // Even if all the others said yes.
        Policy::Majority if (all - no) * 2 <= all => Some(Outcome::Failed),
        Policy::OneVoteVeto | Policy::Majority | Policy::All => None,
    };
    let have_all_consented = consents.iter().all(|domain| of(domain) == Some(true));
    match by_rule {
        Some(Outcome::Passed) if !have_all_consented => over.then_some(Outcome::Expired),
        Some(outcome) => Some(outcome),
        None => over.then_some(Outcome::Expired),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn key(n: usize) -> DomainKey {
        DomainKey([n as u8 + 1; 32])
    }

    /// `votes` has a letter for each elector: yes, no, or nothing; those of `consents` are asked for theirs.
    fn count(policy: Policy, votes: &str, consents: &[usize], over: bool) -> Option<Outcome> {
        let electorate = (0..votes.len()).map(key).collect();
        let consents = consents.iter().map(|n| key(*n)).collect();
        let cast = votes.chars().enumerate().filter(|(_, c)| *c != '-').map(|(n, c)| (key(n), c == 'y')).collect();
        tally(&Ballot { policy, electorate, consents }, &cast, over)
    }

    /// Policy, votes, what they come to before the deadline and at it.
    #[test]
    fn the_truth_table_of_the_policies() {
        use Outcome::{Expired as E, Failed as F, Passed as P};
        use Policy::{All, Majority, OneVoteVeto};
        let table = [
            (OneVoteVeto, "yyy", Some(P), P),
            (OneVoteVeto, "yy-", None, P),
            (OneVoteVeto, "---", None, P),
            (OneVoteVeto, "yyn", Some(F), F),
            (OneVoteVeto, "n--", Some(F), F),
            (Majority, "yy-", Some(P), P),
            (Majority, "yyn", Some(P), P),
            (Majority, "y--", None, E),
            (Majority, "yn-", None, E),
            (Majority, "nn-", Some(F), F),
            (Majority, "---", None, E),
            // A tie is no majority: two of four can no longer be outvoted, and two yes are not enough.
            (Majority, "yynn", Some(F), F),
            (Majority, "yy--", None, E),
            (Majority, "yyy-", Some(P), P),
            (Majority, "--nn", Some(F), F),
            (Majority, "yn", Some(F), F),
            (Majority, "y-", None, E),
            (Majority, "yy", Some(P), P),
            (Majority, "y", Some(P), P),
            (All, "yyy", Some(P), P),
            (All, "yy-", None, E),
            (All, "yyn", Some(F), F),
            (All, "-n-", Some(F), F),
            (All, "---", None, E),
        ];
        for (policy, votes, before, after) in table {
            let came_to = (count(policy, votes, &[], false), count(policy, votes, &[], true));
            assert_eq!(came_to, (before, Some(after)), "{policy:?} {votes}");
        }
    }

    #[test]
    fn who_it_is_about_must_say_yes_whatever_the_policy() {
        for policy in Policy::ALL {
            assert_eq!(count(policy, "yyy-", &[3], false), None, "{policy:?}");
            assert_eq!(count(policy, "yyy-", &[3], true), Some(Outcome::Expired), "{policy:?}");
            assert_eq!(count(policy, "yyyn", &[3], false), Some(Outcome::Failed), "{policy:?}");
            assert_eq!(count(policy, "yyyy", &[3], false), Some(Outcome::Passed), "{policy:?}");
        }
    }

    #[test]
    fn who_has_no_vote_counts_for_nothing() {
        let ballot = Ballot { policy: Policy::Majority, electorate: [key(0), key(1)].into(), consents: [].into() };
        let votes = [(key(0), true), (key(7), true), (key(8), true)].into();
        assert_eq!(tally(&ballot, &votes, true), Some(Outcome::Expired));
        let votes = [(key(0), true), (key(1), true), (key(7), false)].into();
        assert_eq!(tally(&ballot, &votes, false), Some(Outcome::Passed));
    }

    proptest! {
        #[test]
        fn what_is_decided_no_later_vote_changes(
            policy in select(Policy::ALL.to_vec()),
            votes in vec(prop::option::of(any::<bool>()), 1..9),
            consents in vec(0..9_usize, 0..3),
            order in any::<u64>(),
        ) {
            let electorate: BTreeSet<_> = (0..votes.len()).map(key).collect();
            let consents = consents.into_iter().map(key).filter(|domain| electorate.contains(domain)).collect();
            let ballot = Ballot { policy, electorate, consents };
            let mut cast: Vec<(DomainKey, bool)> =
                votes.iter().enumerate().filter_map(|(n, vote)| vote.map(|vote| (key(n), vote))).collect();
            cast.sort_by_key(|(domain, _)| order.rotate_left(u32::from(domain.0[0])));
            let (mut so_far, mut decided) = (BTreeMap::new(), tally(&ballot, &BTreeMap::new(), false));
            for (domain, vote) in cast {
                so_far.insert(domain, vote);
                let now = tally(&ballot, &so_far, false);
                prop_assert!(decided.is_none() || now == decided, "{decided:?} became {now:?}");
                decided = now;
            }
            // At the deadline there is an outcome, and it is the one that there was.
            let last = tally(&ballot, &so_far, true);
            prop_assert!(last.is_some() && (decided.is_none() || decided == last));
        }
    }
}
