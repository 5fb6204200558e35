//! How much work a question may be. One that is not selective must not hold up everything else, and neither may one
//! that makes each look dear: with thousands of words, to be compared with all those of an offer.

use rear_proto::{
    Flavour, Selector,
    selector::{Filter, Test},
};

/// How many offers are looked at before the cheapest are not worth looking for any longer: up to here the
/// answer is exact, and beyond it the first that match will do. A selector is checked in about a microsecond.
pub(crate) const THOROUGH: usize = 4096;

/// How many offers are looked at at most, whatever was found: a question that is not selective must not hold up
/// everything else for longer than some tens of milliseconds.
pub(crate) const EXHAUSTED: usize = 32_768;

/// So many comparisons of words take as long as the rest of a look.
const WORDS_A_LOOK: usize = 64;

/// Counts the work of one question, in looks of the usual kind.
#[derive(Debug, Default)]
pub(crate) struct Toil {
    /// How many words the question compares with those of each offer.
    words: usize,
    done: usize,
}

impl Toil {
    pub(crate) fn of(selector: &Selector) -> Self {
        Self { words: words(selector), done: 0 }
    }

    /// Counts a look at an offer.
    pub(crate) fn look(&mut self, flavour: &Flavour) {
        let properties = &flavour.properties;
        let theirs = 8 + properties.tags.len() + properties.security_standards.len();
        self.done = self.done.saturating_add(1 + self.words * theirs / WORDS_A_LOOK);
    }

    /// Returns how many looks of the usual kind it was so far.
    pub(crate) const fn done(&self) -> usize {
        self.done
    }

    /// Says whether it has been as much as any question may be.
    pub(crate) const fn is_over(&self) -> bool {
        self.done >= EXHAUSTED
    }

    /// Says whether to look no further, when so many were found.
    pub(crate) const fn is_enough(&self, found: usize, most: usize) -> bool {
        self.done >= EXHAUSTED || (self.done >= THOROUGH && found >= most)
    }
}

/// Returns how many words a question compares with those of an offer.
pub(crate) fn words(selector: &Selector) -> usize {
    let count = |filter: &Filter| match filter {
        Filter::Word(_, Test::Is(_)) => 1,
        Filter::Word(_, Test::In(list) | Test::NotIn(list)) => list.len(),
        Filter::Amount(..) | Filter::Price(_) | Filter::Latency(_) => 0,
    };
    selector.filters.iter().map(count).sum()
}
