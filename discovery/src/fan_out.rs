//! One question to many endpoints, for all here who want to know the same.
//!
//! ```text
//!  asked ──► answers come ──► all are there, or time is over ──► over
//!                └── an asker who has enough is told at once; later answers still fill the index
//! ```

use std::collections::{BTreeSet, VecDeque};

use kernel::{AskId, FlavourId, Time};
use rear_proto::{Selector, Trace};

use crate::mail::Asker;

/// A question, as it is sent: two of the same are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) selector: Selector,
    pub(crate) exclude: BTreeSet<FlavourId>,
}

/// A question under way.
#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) question: Question,
    /// How many offers each endpoint is asked for.
    pub(crate) limit: u32,
    pub(crate) asked_at: Time,
    /// Until when its askers wait.
    pub(crate) deadline: Time,
    /// When to look at it again: at its deadline, and then when to stop listening.
    pub(crate) until: Time,
    pub(crate) asked: u32,
    /// Questions without an answer yet.
    pub(crate) open: BTreeSet<AskId>,
    answers: u32,
    silent: u32,
    partial: bool,
    waiting: VecDeque<Waiting>,
}

/// One who waits for the answers.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) asker: Asker,
    pub(crate) selector: Selector,
    pub(crate) k: usize,
    pub(crate) trace: Trace,
    /// How many offers that match have come since it asked, or before, in this fan-out.
    pub(crate) found: usize,
}

/// What came of it for one who waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) asked: u32,
    pub(crate) silent: u32,
    pub(crate) partial: bool,
}

impl Waiting {
    /// Says whether nothing more is needed; who wants to know about everything has never enough.
    fn has_enough(&self) -> bool {
        match self.asker {
            Asker::Rear(_) | Asker::Operator { explain: false, .. } => self.found >= self.k,
            Asker::Operator { explain: true, .. } => false,
        }
    }
}

impl FanOut {
    /// `partial` where not every endpoint is asked.
    pub(crate) fn new(question: Question, limit: u32, asked_at: Time, deadline: Time, partial: bool) -> Self {
        Self {
            question,
            limit,
            asked_at,
            deadline,
            until: deadline,
            asked: 0,
            open: BTreeSet::new(),
            answers: 0,
            silent: 0,
            partial,
            waiting: VecDeque::new(),
        }
    }

    /// Adds one who wants to know.
    pub(crate) fn join(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// Says whether this asker waits here already.
    pub(crate) fn is_for(&self, asker: &Asker) -> bool {
        self.waiting.iter().any(|waiting| waiting.asker == *asker)
    }

    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.waiting.iter_mut()
    }

    /// Takes note of an answer; `partial` where there may be more at that end, `silent` how many behind it
    /// said nothing.
    pub(crate) fn answered(&mut self, ask: AskId, partial: bool, silent: u32) {
        if self.open.remove(&ask) {
            self.answers += 1;
            self.partial |= partial;
            self.silent = self.silent.saturating_add(silent);
        }
    }

    /// Takes note that an endpoint said nothing.
    pub(crate) fn said_nothing(&mut self, ask: AskId) {
        if self.open.remove(&ask) {
            self.silent = self.silent.saturating_add(1);
        }
    }

    /// Returns those who need not wait any longer, with what came of it.
    pub(crate) fn done(&mut self, now: Time) -> Vec<(Waiting, Outcome)> {
        let open = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        let over = open == 0 || self.deadline <= now;
        let (done, rest) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| over || (self.answers > 0 && waiting.has_enough()));
        self.waiting = rest;
        let silent = if self.deadline <= now { self.silent.saturating_add(open) } else { self.silent };
        let early = open > 0 && self.deadline > now;
        let outcome = Outcome { asked: self.asked, silent, partial: self.partial || early };
        let done: VecDeque<Waiting> = done;
        done.into_iter().map(|waiting| (waiting, outcome)).collect()
    }
}
