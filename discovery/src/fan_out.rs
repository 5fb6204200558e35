//! One question to many endpoints, for all here who want to know the same.
//!
//! ```text
//!  asked ──► answers come ──► all are there, or time is over ──► over
//!                ├── an asker who has enough is told at once; later answers still fill the index
//!                └── nobody has anything: the partners that were left out are asked after all
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{AskId, DomainKey, FlavourId, NodeId, QueryId, Time};
use rear_proto::{Selector, Trace, price::Rate};

use crate::{border::Viewer, endpoints::Group, mail::Asker};

/// A question, as it is sent: two of the same are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// For whose eyes: what is excluded is named as these see it.
    pub(crate) viewer: Viewer,
    pub(crate) selector: Selector,
    pub(crate) exclude: BTreeSet<FlavourId>,
    /// How many more nodes it may pass once it is sent.
    pub(crate) hops_left: u8,
}

/// How a question travels.
#[derive(Debug, Clone)]
pub(crate) struct Travel {
    pub(crate) query: QueryId,
    /// Where it has been before it came here.
    pub(crate) trail: Vec<[u8; 16]>,
    /// Whose steps those are that answers bring.
    pub(crate) trace: Trace,
}

/// A question under way.
#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) question: Question,
    pub(crate) travel: Travel,
    /// How many offers each endpoint is asked for.
    pub(crate) limit: u32,
    pub(crate) asked_at: Time,
    /// Until when its askers wait.
    pub(crate) deadline: Time,
    /// When to look at it again: at its deadline, and then when to stop listening.
    pub(crate) until: Time,
    /// When to ask a second supernode where the first has not answered by then, and partners that were left out where
    /// the others have not.
    pub(crate) hedge: Option<Time>,
    /// All that were asked.
    pub(crate) asked: BTreeSet<NodeId>,
    /// Partners that are not asked unless nobody else has anything.
    pub(crate) left_out: BTreeSet<DomainKey>,
    /// Whether it counts what partners' digests deny.
    pub(crate) trusts_digests: bool,
    /// Questions without an answer yet.
    pub(crate) open: BTreeMap<AskId, Group>,
    /// Whether a catalogue's signatures were checked, which is told once.
    pub(crate) checked: bool,
    answers: u32,
    silent: u32,
    partial: bool,
    /// Whether one of the domain's supernodes has answered: another one that was asked too is not waited for.
    supernode_answered: bool,
    waiting: VecDeque<Waiting>,
}

/// Who waits for the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody at this node.
    Here(Asker),
    /// Another node, under this question.
    Query(QueryId),
}

/// One who waits for the answers.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) who: Who,
    pub(crate) selector: Selector,
    /// What is dearer is of no use to it.
    pub(crate) ceiling: Option<Rate>,
    pub(crate) k: usize,
    pub(crate) trace: Trace,
    /// How many offers that match have come since it asked, or were there before.
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
        match self.who {
            Who::Here(Asker::Operator { explain: true, .. }) => false,
            Who::Here(Asker::Rear(_) | Asker::Operator { explain: false, .. }) | Who::Query(_) => self.found >= self.k,
        }
    }
}

impl FanOut {
    /// `partial` where not every endpoint is asked.
    pub(crate) fn new(
        question: Question,
        travel: Travel,
        limit: u32,
        asked_at: Time,
        deadline: Time,
        partial: bool,
    ) -> Self {
        Self {
            question,
            travel,
            limit,
            asked_at,
            deadline,
            until: deadline,
            hedge: None,
            asked: BTreeSet::new(),
            left_out: BTreeSet::new(),
            trusts_digests: true,
            open: BTreeMap::new(),
            checked: false,
            answers: 0,
            silent: 0,
            partial,
            supernode_answered: false,
            waiting: VecDeque::new(),
        }
    }

    /// Adds one who wants to know.
    pub(crate) fn join(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// Says whether this asker waits here already.
    pub(crate) fn is_for(&self, who: &Who) -> bool {
        self.waiting.iter().any(|waiting| waiting.who == *who)
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.waiting.iter_mut()
    }

    /// Says whether a supernode of the domain is still to answer, and none has.
    pub(crate) fn waits_for_supernode(&self) -> bool {
        !self.supernode_answered && self.open.values().any(|group| *group == Group::Supernode)
    }

    /// Takes note of an answer; `partial` where there may be more at that end, `silent` how many behind it
    /// said nothing.
    pub(crate) fn answered(&mut self, ask: AskId, partial: bool, silent: u32) {
        if let Some(group) = self.open.remove(&ask) {
            self.answers += 1;
            self.partial |= partial;
            self.silent = self.silent.saturating_add(silent);
            self.supernode_answered |= group == Group::Supernode;
        }
    }

    /// Takes note of a refusal, which is an answer too.
    pub(crate) fn refused(&mut self, ask: AskId) {
        if self.open.remove(&ask).is_some() {
            self.answers += 1;
            self.partial = true;
        }
    }

    /// Takes note that an endpoint said nothing.
    pub(crate) fn said_nothing(&mut self, ask: AskId) {
        if self.open.remove(&ask).is_some() {
            self.silent = self.silent.saturating_add(1);
        }
    }

    /// Returns those who need not wait any longer, with what came of it.
    pub(crate) fn done(&mut self, now: Time) -> Vec<(Waiting, Outcome)> {
        let needed = |group: &&Group| !(self.supernode_answered && **group == Group::Supernode);
        let open = u32::try_from(self.open.values().filter(needed).count()).unwrap_or(u32::MAX);
        let over = open == 0 || self.deadline <= now;
        let (done, rest) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| over || (self.answers > 0 && waiting.has_enough()));
        self.waiting = rest;
        let silent = if self.deadline <= now { self.silent.saturating_add(open) } else { self.silent };
        let early = open > 0 && self.deadline > now;
        let asked = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        let outcome = Outcome { asked, silent, partial: self.partial || early };
        let done: VecDeque<Waiting> = done;
        done.into_iter().map(|waiting| (waiting, outcome)).collect()
    }
}
