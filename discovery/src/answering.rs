//! LIST_FLAVOURS, asked: what is remembered of it, and what an answer is made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernel::{Key, NodeId, QueryId, Ticket, Time};
use rear_proto::{
    Answer, Code, Extensions, Flavour, Refusal, Selector, Trace,
    message::{Flavours, List},
    selector::{Bounds, Field, Filter},
    wire::{codec, frame},
};

use crate::border::Viewer;

/// The most bytes of offers in one answer; the rest of the frame is for steps and what comes later.
const ANSWER_BYTES: usize = frame::MAX_ANSWER as usize * 3 / 4;

/// The most bytes of offers in all answers that are remembered: those for partners are made for each anew.
const REMEMBERED_BYTES: usize = 64 << 20;

/// The questions that came lately: those that wait for others' answers, and the answers of those that are answered,
/// for their repeats.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    known: BTreeMap<QueryId, Query>,
    ending: BTreeSet<(Time, QueryId)>,
    /// How many wait.
    pending: usize,
    /// How many bytes the answers have.
    bytes: usize,
}

#[derive(Debug)]
struct Query {
    from: NodeId,
    until: Time,
    state: State,
}

#[derive(Debug)]
enum State {
    Pending(Box<Pending>),
    Answered(Listed),
}

/// A question that others were asked for.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) from: NodeId,
    pub(crate) viewer: Viewer,
    pub(crate) list: List,
    /// Who waits: the question and its repeats.
    pub(crate) tickets: Vec<(Ticket, Trace)>,
}

/// An answer; offers that are shown as they are are shared with the index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    flavours: Vec<Arc<Flavour>>,
    bytes: usize,
    partial: bool,
    silent: u32,
}

/// What is known of a question that arrives.
pub(crate) enum Known {
    /// Nothing.
    New,
    /// It was answered: this is the answer.
    Answered(Listed),
    /// It waits for others; the repeat waits with it.
    Pending,
    /// It came from another node before.
    Looped,
}

impl Queries {
    /// Looks a question up; a repeat of one that waits joins it.
    pub(crate) fn known(&mut self, now: Time, query: &QueryId, from: &NodeId, ticket: Ticket, trace: Trace) -> Known {
        // One that waits is answered at its deadline, and only then forgotten.
        while let Some((until, query)) = self.ending.first().copied()
            && until <= now
            && !self.is_pending(&query)
        {
            self.forget(until, query);
        }
        match self.known.get_mut(query) {
            None => Known::New,
            Some(known) if known.from != *from => Known::Looped,
            Some(Query { state: State::Answered(answer), .. }) => Known::Answered(answer.clone()),
            Some(Query { state: State::Pending(pending), .. }) => {
                // A repeat under the same ticket is the same message.
                if pending.tickets.iter().all(|(known, _)| *known != ticket) && pending.tickets.len() < MAX_REPEATS {
                    pending.tickets.push((ticket, trace));
                }
                Known::Pending
            }
        }
    }

    /// Lets a question wait for others' answers, and says whether it may: of those that wait, none is forgotten.
    pub(crate) fn wait(&mut self, query: QueryId, until: Time, pending: Pending, most: usize) -> bool {
        if self.pending >= most {
            return false;
        }
        self.pending += 1;
        self.insert(query, Query { from: pending.from, until, state: State::Pending(Box::new(pending)) });
        true
    }

    /// Returns a question that waits.
    pub(crate) fn waits(&self, query: &QueryId) -> Option<&Pending> {
        match &self.known.get(query)?.state {
            State::Pending(pending) => Some(pending),
            State::Answered(_) => None,
        }
    }

    /// Ends the waiting of a question.
    pub(crate) fn take(&mut self, query: &QueryId) -> Option<Pending> {
        let known = self.known.get_mut(query)?;
        match std::mem::replace(&mut known.state, State::Answered(Listed::default())) {
            State::Pending(pending) => {
                self.pending -= 1;
                Some(*pending)
            }
            answered @ State::Answered(_) => {
                known.state = answered;
                None
            }
        }
    }

    /// Remembers an answer until its question is of no use any longer; over `most`, the oldest go.
    pub(crate) fn remember(&mut self, query: QueryId, from: NodeId, until: Time, answer: Listed, most: usize) {
        self.insert(query, Query { from, until, state: State::Answered(answer) });
        let mut over = self.known.len().saturating_sub(self.pending).saturating_sub(most);
        let mut bytes = self.bytes.saturating_sub(REMEMBERED_BYTES);
        let mut oldest: Vec<(Time, QueryId)> = Vec::new();
        for (until, query) in &self.ending {
            if over == 0 && bytes == 0 {
                break;
            }
            if let Some(Query { state: State::Answered(answer), .. }) = self.known.get(query) {
                oldest.push((*until, *query));
                over = over.saturating_sub(1);
                bytes = bytes.saturating_sub(answer.bytes);
            }
        }
        for (until, query) in oldest {
            self.forget(until, query);
        }
    }

    fn insert(&mut self, query: QueryId, known: Query) {
        self.ending.insert((known.until, query));
        self.bytes += known.bytes();
        if let Some(before) = self.known.insert(query, known) {
            self.bytes = self.bytes.saturating_sub(before.bytes());
            if self.known.get(&query).is_some_and(|known| known.until != before.until) {
                self.ending.remove(&(before.until, query));
            }
        }
    }

    fn is_pending(&self, query: &QueryId) -> bool {
        self.known.get(query).is_some_and(|known| matches!(known.state, State::Pending(_)))
    }

    fn forget(&mut self, until: Time, query: QueryId) {
        self.ending.remove(&(until, query));
        if let Some(known) = self.known.remove(&query) {
            self.bytes = self.bytes.saturating_sub(known.bytes());
        }
    }
}

impl Query {
    const fn bytes(&self) -> usize {
        match &self.state {
            State::Pending(_) => 0,
            State::Answered(answer) => answer.bytes,
        }
    }
}

/// The most repeats that wait with one question.
const MAX_REPEATS: usize = 16;

impl Listed {
    /// Puts an answer together, of as many offers as fit.
    pub(crate) fn new(flavours: impl IntoIterator<Item = Arc<Flavour>>, partial: bool, silent: u32) -> Self {
        let mut listed = Self { flavours: Vec::new(), bytes: 0, partial, silent };
        for flavour in flavours {
            let bytes = listed.bytes + codec::size(&*flavour);
            if bytes > ANSWER_BYTES {
                listed.partial = true;
                break;
            }
            listed.bytes = bytes;
            listed.flavours.push(flavour);
        }
        listed
    }

    pub(crate) fn answer(&self) -> Answer {
        Answer::Flavours(Flavours {
            flavours: self.flavours.iter().map(|flavour| (**flavour).clone()).collect(),
            partial: self.partial,
            silent: self.silent,
            extensions: Extensions::new(),
        })
    }
}

/// Returns what of a question the provider can answer: the latency between the two is the asker's to judge,
/// who has measured it.
pub(crate) fn for_provider(selector: &Selector) -> Selector {
    let filters = selector.filters.iter().filter(|filter| !matches!(filter, Filter::Latency(_)));
    Selector { filters: filters.cloned().collect() }
}

/// Returns what of a question can be judged before an offer is shown through the border: there it gets another price,
/// and for a partner another domain.
pub(crate) fn behind_border(selector: &Selector, viewer: Viewer) -> Selector {
    let changes = |filter: &&Filter| match filter {
        Filter::Price(_) | Filter::Latency(_) => false,
        Filter::Word(Field::Domain, _) => !matches!(viewer, Viewer::Partner(_)),
        Filter::Word(..) | Filter::Amount(..) => true,
    };
    Selector { filters: selector.filters.iter().filter(changes).cloned().collect() }
}

/// Returns what to ask beyond the border: no less than what matches once it is shown through it.
pub(crate) fn beyond_border(selector: &Selector, viewer: Viewer) -> Selector {
    let translated = |filter: &Filter| match filter {
        // What costs too little there may cost enough with the margin.
        Filter::Price(Bounds::AtLeast(_)) | Filter::Latency(_) => None,
        Filter::Price(Bounds::Match(most) | Bounds::Between(_, most)) => Some(Filter::Price(Bounds::AtMost(*most))),
        Filter::Word(Field::Domain, _) if matches!(viewer, Viewer::Partner(_)) => None,
        Filter::Price(Bounds::AtMost(_)) | Filter::Word(..) | Filter::Amount(..) => Some(filter.clone()),
    };
    Selector { filters: selector.filters.iter().filter_map(translated).collect() }
}

/// Returns how a node stands in a question's trail: other nodes can tell that they were there themselves, and
/// nothing else.
pub(crate) fn footprint(query: &QueryId, node: &NodeId) -> [u8; 16] {
    Key::derive("trail", &[query.as_bytes(), node.as_bytes()]).0
}

/// The refusal of a question that has come round.
pub(crate) fn looped(query: &QueryId) -> Refusal {
    Refusal::new(Code::LoopDetected, format!("question {query} has been here already, from another node"))
}
