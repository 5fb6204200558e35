//! LIST_FLAVOURS, asked: own offers that match, and the same answer to a repeat.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernel::{FlavourId, Key, NodeId, QueryId, Time};
use rear_proto::{
    Answer, Code, Extensions, Flavour, Refusal, Selector,
    message::{Flavours, List},
    selector::Filter,
    wire::{codec, frame},
};

use crate::{
    config::Config,
    index::{Index, Offer, Whose, by_price},
};

/// The most bytes of offers in one answer; the rest of the frame is for steps and what comes later.
const ANSWER_BYTES: usize = frame::MAX_ANSWER as usize * 3 / 4;

/// The questions that were answered lately, for their repeats.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    answered: BTreeMap<QueryId, Answered>,
    ending: BTreeSet<(Time, QueryId)>,
}

#[derive(Debug)]
struct Answered {
    from: NodeId,
    until: Time,
    answer: Listed,
}

/// An answer; its offers are shared with the index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    flavours: Vec<Arc<Flavour>>,
    partial: bool,
}

/// What is known of a question that arrives.
pub(crate) enum Known {
    /// Nothing.
    New,
    /// It was answered: this is the answer.
    Answered(Listed),
    /// It came from another node before.
    Looped,
}

impl Queries {
    pub(crate) fn known(&mut self, now: Time, query: &QueryId, from: &NodeId) -> Known {
        while let Some((until, query)) = self.ending.first().copied()
            && until <= now
        {
            self.forget(until, query);
        }
        match self.answered.get(query) {
            None => Known::New,
            Some(answered) if answered.from == *from => Known::Answered(answered.answer.clone()),
            Some(_) => Known::Looped,
        }
    }

    /// Remembers an answer until its question is of no use any longer; over `most`, the oldest go.
    pub(crate) fn remember(&mut self, query: QueryId, from: NodeId, until: Time, answer: Listed, most: usize) {
        if let Some(before) = self.answered.insert(query, Answered { from, until, answer }) {
            self.ending.remove(&(before.until, query));
        }
        self.ending.insert((until, query));
        while self.answered.len() > most
            && let Some((until, query)) = self.ending.first().copied()
        {
            self.forget(until, query);
        }
    }

    fn forget(&mut self, until: Time, query: QueryId) {
        self.ending.remove(&(until, query));
        self.answered.remove(&query);
    }
}

impl Listed {
    pub(crate) fn answer(&self) -> Answer {
        Answer::Flavours(Flavours {
            flavours: self.flavours.iter().map(|flavour| (**flavour).clone()).collect(),
            partial: self.partial,
            silent: 0,
            extensions: Extensions::new(),
        })
    }
}

/// Lists own offers that match, cheapest first, as many as fit.
///
/// The empty selector lists everything, whatever is left of it.
pub(crate) fn list(index: &Index, list: &List, config: &Config) -> Listed {
    let most = list.limit.min(config.answer_limit) as usize;
    let selector = for_provider(&list.selector);
    let excluded: BTreeSet<&FlavourId> = list.exclude.iter().collect();
    let usable = |offer: &Offer| !excluded.contains(&offer.flavour.id);
    let (offers, more) = if selector.filters.is_empty() {
        let mut all: Vec<_> = index.all(Whose::Own).filter(|offer| usable(offer)).collect();
        all.sort_by(|a, b| by_price(&whole_price(a), &whole_price(b)));
        let more = all.len() > most;
        all.truncate(most);
        (all, more)
    } else {
        let (matches, more) = index.matching(Whose::Own, &selector, most, usable, |_| None);
        (matches.into_iter().map(|found| found.offer).collect(), more)
    };
    let mut listed = Listed { flavours: Vec::new(), partial: more };
    let mut bytes = 0;
    for offer in offers {
        bytes += codec::encode(&*offer.flavour).len();
        if bytes > ANSWER_BYTES {
            listed.partial = true;
            break;
        }
        listed.flavours.push(offer.flavour.clone());
    }
    listed
}

fn whole_price(offer: &Offer) -> rear_proto::price::Rate {
    let price = &offer.flavour.price;
    rear_proto::price::Rate { amount: price.amount, currency: price.currency, period: price.period }
}

/// Returns what of a question the provider can answer: the latency between the two is the asker's to judge,
/// who has measured it.
pub(crate) fn for_provider(selector: &Selector) -> Selector {
    let filters = selector.filters.iter().filter(|filter| !matches!(filter, Filter::Latency(_)));
    Selector { filters: filters.cloned().collect() }
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
