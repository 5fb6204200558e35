//! Ratings and Metrics: how well each peer did, as a number that fades towards "nothing is known".
//!
//! ```text
//! score = (1 + good) ÷ (2 + good + bad)          a stranger has ½; it takes more and more to get to 0 or 1
//!
//! a contract kept    good + 1        a contract failed   bad + 2      (trust is lost faster than won)
//! an answer          good + 1/32     silence             bad + 1/4
//! each hour          good and bad lose 1/35 of themselves: half is left after a day
//! ```
//! This is the mean of the Beta distribution over good and bad, with one of each to begin with (Jøsang and
//! Ismail, *The Beta Reputation System*, 2002). Everything is counted in whole millionths, so that all machines
//! come to the same. The round trip is smoothed as in RFC 6298, by an eighth of what is measured.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{NodeId, Span, Time};
use rear_proto::{Record, Row, Table, local::Outcome};
use serde::{Deserialize, Serialize};

use crate::{config::Config, mail::Effect};

/// One piece of evidence.
const ONE: u64 = 1_000_000;
/// After which time evidence fades by a step.
const FADES_EVERY: u64 = Span::secs(3600).0;
/// The part of it that fades in a step: (34/35)²⁴ is just under a half.
const FADES_BY: u64 = 35;
/// After so many steps nothing is left of any amount that can be gathered.
const FADED: u64 = 2000;

/// What is known of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// How many contracts there were with it, on either side.
    pub contracts: u64,
    /// How many of them it let down.
    pub failures: u64,
    /// The smoothed round trip, in microseconds, where one was measured.
    round_trip_us: Option<u64>,
    /// When it was last heard of.
    pub last_heard: Time,
    good: u64,
    bad: u64,
    faded_at: Time,
}

impl Record for Rating {
    const VERSION: u16 = 1;
}

impl Rating {
    const fn new(now: Time) -> Self {
        Self { contracts: 0, failures: 0, round_trip_us: None, last_heard: Time(0), good: 0, bad: 0, faded_at: now }
    }

    /// Returns the score in thousandths, from 0 to 1000.
    pub const fn score_millis(&self) -> u32 {
        // Fewer than 2^32 pieces of evidence fit between two fadings, so this is far below 2^64.
        ((ONE + self.good) * 1000 / (2 * ONE + self.good + self.bad)) as u32
    }

    /// Returns the score, from 0 to 1.
    pub fn score(&self) -> f64 {
        f64::from(self.score_millis()) / 1000.0
    }

    /// Returns the smoothed round trip in milliseconds, rounded up, where one was measured.
    pub fn round_trip_ms(&self) -> Option<u32> {
        self.round_trip_us.map(|us| u32::try_from(us.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    fn fade(&mut self, now: Time) {
        let steps = now.since(self.faded_at).0 / FADES_EVERY;
        if steps >= FADED {
            (self.good, self.bad) = (0, 0);
        } else {
            for _ in 0..steps {
                self.good -= self.good.div_ceil(FADES_BY);
                self.bad -= self.bad.div_ceil(FADES_BY);
            }
        }
        self.faded_at = self.faded_at + Span(steps * FADES_EVERY);
    }
}

/// All ratings, and which of them have changed since they were last written down.
#[derive(Debug)]
pub(crate) struct Ratings {
    /// Boxed, since a map makes room for eleven at once, and most nodes rate a few.
    ratings: BTreeMap<NodeId, Box<Rating>>,
    /// When the rating of a peer may be written down again.
    unkept: BTreeSet<(Time, NodeId)>,
    /// When it last was.
    kept: BTreeMap<NodeId, Time>,
    most: usize,
    kept_every: Span,
}

impl Ratings {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            ratings: BTreeMap::new(),
            unkept: BTreeSet::new(),
            kept: BTreeMap::new(),
            most: config.peers_rated.max(1),
            kept_every: config.rating_kept_every,
        }
    }

    pub(crate) fn restore(&mut self, peer: NodeId, rating: Rating) {
        self.ratings.insert(peer, Box::new(rating));
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (NodeId, &Rating)> {
        self.ratings.iter().map(|(peer, rating)| (*peer, rating.as_ref()))
    }

    pub(crate) fn of(&self, peer: &NodeId) -> Option<&Rating> {
        self.ratings.get(peer).map(Box::as_ref)
    }

    pub(crate) fn note_outcome(&mut self, now: Time, peer: NodeId, outcome: Outcome, out: &mut Vec<Effect>) {
        self.change(now, peer, out, |rating| match outcome {
            Outcome::Kept => (rating.good, rating.last_heard) = (rating.good + ONE, now),
            Outcome::Failed => (rating.bad, rating.failures) = (rating.bad + 2 * ONE, rating.failures + 1),
            Outcome::Answered => (rating.good, rating.last_heard) = (rating.good + ONE / 32, now),
            Outcome::Silent => rating.bad += ONE / 4,
        });
    }

    pub(crate) fn note_contract(&mut self, now: Time, peer: NodeId, out: &mut Vec<Effect>) {
        self.change(now, peer, out, |rating| rating.contracts += 1);
    }

    pub(crate) fn note_round_trip(&mut self, now: Time, peer: NodeId, span: Span, out: &mut Vec<Effect>) {
        let measured = span.0.saturating_mul(1000);
        self.change(now, peer, out, |rating| {
            rating.last_heard = now;
            rating.round_trip_us = Some(match rating.round_trip_us {
                Some(old) => old - old / 8 + measured / 8,
                None => measured,
            });
        });
    }

    fn change(&mut self, now: Time, peer: NodeId, out: &mut Vec<Effect>, change: impl FnOnce(&mut Rating)) {
        if !self.ratings.contains_key(&peer) && self.ratings.len() >= self.most {
            self.forget_one(out);
        }
        let rating = self.ratings.entry(peer).or_insert_with(|| Box::new(Rating::new(now)));
        rating.fade(now);
        change(rating);
        let due = self.kept.get(&peer).map_or(now, |at| *at + self.kept_every).max(now);
        if due > now {
            // What is due already, at an earlier time or at this one, covers this change too.
            self.unkept.insert((due, peer));
        } else {
            self.keep(now, peer, out);
        }
    }

    fn keep(&mut self, now: Time, peer: NodeId, out: &mut Vec<Effect>) {
        if let Some(at) = self.kept.get(&peer) {
            self.unkept.remove(&(*at + self.kept_every, peer));
        }
        if let Some(rating) = self.ratings.get(&peer) {
            out.push(Effect::Keep(Row::put(Table::Ratings, peer.as_bytes(), rating.as_ref())));
            self.kept.insert(peer, now);
        }
    }

    fn forget_one(&mut self, out: &mut Vec<Effect>) {
        let oldest = self.ratings.iter().min_by_key(|(peer, rating)| (rating.last_heard, **peer));
        if let Some(peer) = oldest.map(|(peer, _)| *peer) {
            self.ratings.remove(&peer);
            self.kept.remove(&peer);
            self.unkept.retain(|(_, other)| *other != peer);
            out.push(Effect::Keep(Row::drop(Table::Ratings, peer.as_bytes())));
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Time> {
        self.unkept.first().map(|(due, _)| *due)
    }

    pub(crate) fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some((due, peer)) = self.unkept.first().copied().filter(|(due, _)| *due <= now) {
            self.unkept.remove(&(due, peer));
            self.keep(now, peer, out);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);
    const PEER: NodeId = NodeId([7; 32]);

    fn after(outcomes: &[Outcome]) -> Ratings {
        let mut ratings = Ratings::new(&Config::default());
        for outcome in outcomes {
            ratings.note_outcome(NOW, PEER, *outcome, &mut Vec::new());
        }
        ratings
    }

    #[track_caller]
    fn check(outcomes: &[Outcome], score: u32) {
        assert_eq!(after(outcomes).of(&PEER).unwrap().score_millis(), score);
    }

    #[test]
    fn the_score_rises_with_what_is_kept_and_falls_faster_with_what_is_not() {
        check(&[Outcome::Kept], 666);
        check(&[Outcome::Kept; 8], 900);
        check(&[Outcome::Failed], 250);
        check(&[Outcome::Kept, Outcome::Failed], 400);
        check(&[Outcome::Answered; 32], 666);
        check(&[Outcome::Silent; 4], 333);
    }

    #[test]
    fn evidence_fades_by_half_in_a_day_and_wholly_in_the_end() {
        let mut rating = after(&[Outcome::Failed; 10]).of(&PEER).unwrap().clone();
        rating.fade(NOW + Span::secs(86_400));
        assert!((9_900_000..10_000_000).contains(&rating.bad), "{}", rating.bad);
        rating.fade(NOW + Span::secs(86_400 * 200));
        assert_eq!(rating.score_millis(), 500);
    }

    #[test]
    fn fading_often_or_once_comes_to_the_same() {
        let mut often = after(&[Outcome::Kept; 9]).of(&PEER).unwrap().clone();
        let mut once = often.clone();
        for minute in 0..600 {
            often.fade(NOW + Span::secs(60 * minute));
        }
        once.fade(NOW + Span::secs(60 * 599));
        assert_eq!(often, once);
    }

    #[test]
    fn round_trips_are_smoothed() {
        let mut ratings = after(&[]);
        let mut note = |ms| ratings.note_round_trip(NOW, PEER, Span::millis(ms), &mut Vec::new());
        note(8);
        note(16);
        assert_eq!(ratings.of(&PEER).unwrap().round_trip_ms(), Some(9));
    }

    #[test]
    fn a_rating_is_written_down_once_a_minute_at_most_and_never_lost() {
        let mut ratings = after(&[]);
        let mut out = Vec::new();
        for second in 0..60 {
            ratings.note_round_trip(NOW + Span::secs(second), PEER, Span::millis(5), &mut out);
        }
        assert_eq!(out.len(), 1);
        assert_eq!(ratings.next_wake(), Some(NOW + Span::secs(60)));
        ratings.wake(NOW + Span::secs(59), &mut out);
        assert_eq!(out.len(), 1);
        ratings.wake(NOW + Span::secs(60), &mut out);
        assert_eq!((out.len(), ratings.next_wake()), (2, None));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_was_silent_longest() {
        let mut ratings = Ratings::new(&Config { peers_rated: 2, ..Config::default() });
        let mut out = Vec::new();
        for (i, second) in [(1, 5), (2, 1), (3, 9)] {
            ratings.note_round_trip(NOW + Span::secs(second), NodeId([i; 32]), Span::millis(1), &mut out);
        }
        assert_eq!(ratings.all().map(|(peer, _)| peer.0[0]).collect::<Vec<_>>(), [1, 3]);
        assert!(out.iter().any(|effect| matches!(effect, Effect::Keep(row) if row.value.is_none())));
    }
}
