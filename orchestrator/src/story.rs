//! The story that each intent tells: the steps that were done for it, and whether they are as the tables have them.

use kernel::Span;
use rear_proto::{Deed, StepManager, story::Place};
use serde::{Deserialize, Serialize};

use crate::view::StepView;

/// The most steps that are kept of one intent: eight whole stories.
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

    /// Adds a step, where there is room for it.
    pub(crate) fn tell(&mut self, mut told: Told) {
        if self.0.len() >= MAX_STEPS {
            return;
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

    /// Returns the steps in order of time, in which those of one moment stand as they were told.
    pub(crate) fn views(&self, name: impl Fn(usize) -> Option<String>) -> Vec<StepView> {
        let mut told: Vec<_> = self.0.iter().collect();
        told.sort_by_key(|told| told.at);
        told.into_iter()
            .map(|told| StepView {
                step: told.deed.in_story_one(),
                story: u8::from(told.beyond),
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

/// Who does a step of a story.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Actor {
    Consumer,
    Provider,
}

/// One place in a table: its number, who does it, and the managers that do it, in any order.
type Line = (u8, Actor, &'static [StepManager]);

/// Story 0: the workload is placed where the intent arrived.
const STORY_0: &[Line] = {
    use {Actor::Consumer as C, StepManager as M};
    &[(1, C, &[M::SH]), (2, C, &[M::NO]), (3, C, &[M::NO]), (31, C, &[M::NO])]
};

/// Story 1: two nodes in the same domain.
const STORY_1: &[Line] = {
    use {
        Actor::{Consumer as C, Provider as P},
        StepManager as M,
    };
    &[
        (1, C, &[M::SH]),
        (2, C, &[M::NO]),
        (3, C, &[M::NO]),
        (4, C, &[M::NO]),
        (5, C, &[M::REAR]),
        (6, C, &[M::REAR]),
        (7, C, &[M::DM]),
        (8, P, &[M::DM]),
        (9, P, &[M::DM]),
        (10, C, &[M::DM]),
        (11, C, &[M::DM]),
        (12, C, &[M::REAR]),
        (13, C, &[M::REAR]),
        (14, C, &[M::CM]),
        (15, P, &[M::CM]),
        (16, P, &[M::REAR]),
        (17, P, &[M::REAR]),
        (18, P, &[M::CM, M::NM]),
        (19, C, &[M::CM, M::NM]),
        (20, C, &[M::REAR]),
        (21, C, &[M::REAR]),
        (22, C, &[M::VFM]),
        (23, P, &[M::VFM]),
        (24, P, &[M::VFM]),
        (25, P, &[M::REAR]),
        (26, P, &[M::VFM]),
        (27, C, &[M::VFM]),
        (28, C, &[M::REAR]),
        (29, C, &[M::REAR]),
        (30, C, &[M::NO]),
        (31, C, &[M::NO]),
    ]
};

/// Holds the steps of an intent with one replica against the table of a story: the same steps by the same managers
/// of the same two nodes, in the same order; the two halves of a step that is joined by "∥" in either.
///
/// The consumer is who did step 1, the provider who drew up the contract (step 15). Where LIST_FLAVOURS went to
/// other nodes too, their steps 8 and 9 are passed over.
///
/// # Errors
/// The first difference, in one sentence.
pub fn check_story(story: u8, steps: &[StepView]) -> Result<(), String> {
    let table = match story {
        0 => STORY_0,
        1 => STORY_1,
        _ => return Err(format!("there is no table of a story {story}")),
    };
    let doer = |number| steps.iter().find(|step| step.step == number).map(|step| step.node.as_str());
    let consumer = doer(1).ok_or("step 1 is missing: no intent arrived")?;
    let provider = doer(15).unwrap_or("nobody");
    if story == 1 && provider == consumer {
        return Err(format!("{consumer} is consumer and provider at once"));
    }
    let aside = |step: &&StepView| matches!(step.step, 8 | 9) && step.node != provider && step.node != consumer;
    let mut told = steps.iter().filter(|step| !aside(step)).peekable();
    for &(number, actor, managers) in table {
        let (role, node) = match actor {
            Actor::Consumer => ("consumer", consumer),
            Actor::Provider => ("provider", provider),
        };
        let mut left = managers.to_vec();
        while !left.is_empty() {
            let expected = || {
                let names: Vec<_> = left.iter().map(|manager| format!("{manager:?}")).collect();
                format!("step {number} by {} of the {role} {node} is expected", names.join(" or "))
            };
            let Some(step) = told.next() else { return Err(format!("{}, and the story ends there", expected())) };
            let at = left.iter().position(|manager| *manager == step.manager);
            let (Some(at), true) = (at, step.step == number && step.node == node) else {
                return Err(format!("{}, and there is {}", expected(), what(step)));
            };
            if step.story != story {
                return Err(format!("{} is told as part of story {}, not {story}", what(step), step.story));
            }
            left.remove(at);
        }
    }
    told.next().map_or(Ok(()), |step| Err(format!("after the last step there is {}", what(step))))
}

fn what(step: &StepView) -> String {
    format!("step {} ({:?}) by {:?} of {}", step.step, step.deed, step.manager, step.node)
}

#[cfg(test)]
pub(crate) mod tests;
