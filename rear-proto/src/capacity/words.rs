//! The words that a group of offers has in one field.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::selector::Test;

/// The longest word that is carried, in bytes: with a longer one nothing is said of the field. Architectures, cities
/// and tags are shorter; a digest is to stay small.
const LONGEST: usize = 64;

/// What is known of the words of some offers, all in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Words {
    /// Nothing: any of the offers may have any.
    Any,
    /// Each of the offers has these, and no others.
    Alike(BTreeSet<String>),
    /// Whatever word one of the offers has is one of these.
    Among(BTreeSet<String>),
}

impl Words {
    /// Returns what is known where each of the offers has just these words.
    pub(super) fn alike(words: impl IntoIterator<Item = String>) -> Self {
        let words: BTreeSet<String> = words.into_iter().map(|word| word.to_ascii_lowercase()).collect();
        if words.iter().any(|word| word.len() > LONGEST) { Self::Any } else { Self::Alike(words) }
    }

    /// Says whether an offer's words may meet a test.
    pub(super) fn may_meet(&self, test: &Test) -> bool {
        let (words, are_alike) = match self {
            Self::Any => return true,
            Self::Alike(words) => (words, true),
            Self::Among(words) => (words, false),
        };
        let has = |word: &String| words.contains(&word.to_ascii_lowercase());
        match test {
            Test::Is(word) => has(word),
            Test::In(list) => list.iter().any(has),
            // One that has none of them may be there, unless all have the same.
            Test::NotIn(list) => !(are_alike && list.iter().any(has)),
        }
    }

    /// Returns what is known of these offers and others together; of more than `most` words nothing is.
    pub(super) fn merged(&self, other: &Self, most: usize) -> Self {
        let merged = match (self, other) {
            (Self::Any, _) | (_, Self::Any) => Self::Any,
            (Self::Alike(a), Self::Alike(b)) if a == b => self.clone(),
            (Self::Alike(a) | Self::Among(a), Self::Alike(b) | Self::Among(b)) => {
                Self::Among(a.union(b).cloned().collect())
            }
        };
        merged.at_most(most)
    }

    /// Knows nothing any more where there are more than so many words.
    pub(super) fn at_most(self, most: usize) -> Self {
        match self {
            Self::Alike(words) | Self::Among(words) if words.len() > most => Self::Any,
            known => known,
        }
    }

    /// Says whether all that is true of others has been said of these.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) | (Self::Alike(_), Self::Among(_)) => false,
            (Self::Alike(a), Self::Alike(b)) => a == b,
            (Self::Among(a), Self::Alike(b) | Self::Among(b)) => a.is_superset(b),
        }
    }

    /// Returns the words, where they are known.
    pub(crate) fn known(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::Any => None,
            Self::Alike(words) | Self::Among(words) => Some(words),
        }
        .into_iter()
        .flatten()
    }
}
