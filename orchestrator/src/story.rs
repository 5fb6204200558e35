//! The story that each intent tells: the steps that were done for it, numbered as the tables have them.
//!
//! What is told is deeds; which story they make, and so which step each is, follows from all of one attempt together.

mod attempt;
mod check;
mod table;

use std::collections::BTreeMap;

use kernel::{NodeId, Span};
use rear_proto::{Deed, story::Place};
use serde::{Deserialize, Serialize};

use self::attempt::Attempt;
use crate::view::StepView;

pub use check::check_story;

/// The most steps that are kept of one intent: five whole stories over a border, which have 46.
pub const MAX_STEPS: usize = 256;
/// The longest letter of a party behind a border, in characters; the longest that there is has two.
const MAX_LETTER: usize = 8;

/// One step that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// For which replica, by its place among all of the intent's.
    pub(crate) replica: u16,
    /// In which attempt to find a place for it.
    pub(crate) round: u32,
    /// Whether that attempt went beyond this node.
    pub(crate) beyond: bool,
    pub(crate) deed: Deed,
    pub(crate) node: Place,
    /// Since the intent arrived.
    pub(crate) at: Span,
}

/// The steps of one intent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Vec<Told>);

impl Steps {
    pub(crate) const fn restored(told: Vec<Told>) -> Self {
        Self(told)
    }

    pub(crate) fn told(&self) -> &[Told] {
        &self.0
    }

    /// Adds a step that node `me` is told of, where there is room for it.
    ///
    /// Those that come with one reply are told in the order in which they were done, one hop after the other; whatever
    /// time each has by its own hop's count, none of them comes before the one that it follows.
    pub(crate) fn tell(&mut self, me: &NodeId, mut told: Told) {
        if self.0.len() >= MAX_STEPS {
            return;
        }
        let elsewhere = |told: &Told| told.node != Place::Node(*me);
        // A node of one's own domain ends its reply to LIST_FLAVOURS so; others are asked at the same time.
        let ends = |told: &Told| told.deed == Deed::ListAnswered && matches!(told.node, Place::Node(_));
        let of_this = |other: &&Told| (other.replica, other.round) == (told.replica, told.round);
        if let Some(before) = self.0.iter().rev().find(of_this)
            && elsewhere(before)
            && elsewhere(&told)
            && !ends(before)
        {
            told.at = told.at.max(before.at);
        }
        if let Place::Behind(letter) = &mut told.node {
            *letter = letter.chars().filter(|c| !c.is_control()).take(MAX_LETTER).collect();
        }
        self.0.push(told);
    }

    /// Puts an attempt, as far as it was told, into the story of what was found elsewhere.
    pub(crate) fn go_beyond(&mut self, replica: usize, round: u32) {
        let of_this = |told: &&mut Told| usize::from(told.replica) == replica && told.round == round;
        self.0.iter_mut().filter(of_this).for_each(|told| told.beyond = true);
    }

    /// Forgets what was told of a replica before an attempt, so that there is room for the latest.
    pub(crate) fn forget_before(&mut self, replica: usize, round: u32) {
        self.0.retain(|told| usize::from(told.replica) != replica || told.round >= round);
    }

    /// Returns the attempts, as far as they were told, by replica and round.
    fn attempts(&self, me: &NodeId) -> BTreeMap<(u16, u32), Attempt<'_>> {
        let mut attempts = BTreeMap::<_, Attempt<'_>>::new();
        for told in &self.0 {
            attempts.entry((told.replica, told.round)).or_default().note(me, told);
        }
        attempts
    }

    /// Returns which story it is: that of the latest attempt, and of several replicas that which goes the furthest.
    pub(crate) fn story(&self, me: &NodeId) -> u8 {
        // The attempts of a replica stand in their order, so the latest is the one that stays.
        let attempts = self.attempts(me).into_iter().map(|((replica, _), attempt)| (replica, attempt.story()));
        attempts.collect::<BTreeMap<_, _>>().into_values().max().unwrap_or(0)
    }

    /// Returns the steps in order of time, in which those of one moment stand as they were told.
    pub(crate) fn views(&self, me: &NodeId, name: impl Fn(usize) -> Option<String>) -> Vec<StepView> {
        let attempts = self.attempts(me);
        let number = |told: &Told| {
            let attempt = attempts.get(&(told.replica, told.round));
            attempt.map_or((0, 0), |attempt| attempt.number(me, told.deed, &told.node))
        };
        let mut told: Vec<_> = self.0.iter().collect();
        told.sort_by_key(|told| told.at);
        told.into_iter()
            .map(|told| (number(told), told))
            .map(|((story, step), told)| StepView {
                step,
                story,
                node: told.node.to_string(),
                manager: told.deed.manager(),
                at_ms: told.at.0,
                workload: match told.deed {
                    Deed::IntentArrived | Deed::IntentTranslated => None,
                    _ => name(usize::from(told.replica)),
                },
                deed: told.deed,
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
