//! What is wanted of a world: intents that come, each from a node, and go again.

use kernel::{Quantity, Span};
use serde::Deserialize;

use super::Between;

/// A stream of intents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Load {
    /// How many come in a second, on average and in the whole world; their times are those of a Poisson process.
    pub per_second: f64,
    /// How that changes over time.
    #[serde(default)]
    pub pattern: Pattern,
    /// Of which domain the consumers are, by name; of any where nothing is said. A name stands for all its copies.
    #[serde(default)]
    pub from: Option<String>,
    /// Where the intents may run.
    #[serde(default)]
    pub place: Where,
    /// How much processor each replica needs.
    pub cpu: Between<Quantity>,
    /// How much memory each replica needs.
    pub memory: Between<Quantity>,
    /// How many replicas each has.
    #[serde(default = "one")]
    pub replicas: Between<u32>,
    /// For how long contracts are made; they are renewed while the intent lives.
    pub term: Between<Span>,
    /// After which time the user deletes it.
    pub lives: Between<Span>,
    /// The most that a replica may cost for an hour, in millionths of a euro; any price where nothing is said.
    #[serde(default)]
    pub ceiling: Option<Between<u64>>,
}

const fn one() -> Between<u32> {
    Between::just(1)
}

/// How a load changes over time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// It does not.
    #[default]
    Steady,
    /// It is so many times as much for a while.
    #[serde(rename_all = "kebab-case")]
    Burst {
        /// From when on.
        at: Span,
        /// For how long.
        lasts: Span,
        /// How many times as much.
        times: f64,
    },
    /// This share of it comes from one node of a hundred, at least from one.
    #[serde(rename_all = "kebab-case")]
    Hotspot {
        /// From 0 to 1.
        share: f64,
    },
    /// It rises and falls as by day and by night, from nothing to twice as much.
    #[serde(rename_all = "kebab-case")]
    Diurnal {
        /// How long a day is.
        day: Span,
    },
}

impl Pattern {
    /// Returns how many times as much comes as on average, when the most comes.
    pub(crate) const fn most(&self) -> f64 {
        match self {
            Self::Steady | Self::Hotspot { .. } => 1.0,
            Self::Burst { times, .. } => times.max(1.0),
            Self::Diurnal { .. } => 2.0,
        }
    }
}

/// Where intents may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Where {
    /// Anywhere.
    #[default]
    Anywhere,
    /// In the consumer's own domain.
    Home,
    /// In any other.
    Abroad,
}
