//! The settings of the REAR Manager, each with its reason.

use kernel::Span;
use serde::{Deserialize, Serialize};

use crate::offer::{BadOffer, Offer};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// How many candidates are asked for and ranked at a time. A refusal costs one round trip, so a dozen tries
    /// are already more than a user waits for.
    pub candidates: usize,
    /// How old a candidate may be when it is tried without asking around first. RESERVE checks again, so a stale
    /// one costs a round trip; half of the usual expiry keeps that rare.
    pub max_age: Span,
    /// How often a request asks around, at most: once, and once more, wider, when all have refused.
    pub rounds: u32,
    /// By how much a price may have risen since it was seen, in percent of it.
    pub tolerance_percent: u64,
    /// What counts in ranking, and how much.
    pub ranking: Weights,
    /// How long after a start what was kept waits to be claimed by a contract and by an intent; then it is given
    /// back. All of them speak at once, so this is mere caution.
    pub settle: Span,
    /// How many allocations are shown after they are freed: what a person scrolls through.
    pub released_shown: usize,
    /// How many peers are rated; past that, the one that was not heard of for the longest is forgotten.
    pub peers_rated: usize,
    /// How often the rating of one peer is written down, at most: it gates nothing, and losing a minute of it
    /// costs nothing.
    pub rating_kept_every: Span,
    /// What this node offers.
    #[serde(skip)]
    pub offers: Vec<Offer>,
}

/// How much each part of a candidate's rank counts; only their proportions matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Weights {
    /// How little of the partition is wasted.
    pub fit: u32,
    /// How cheap it is among what is offered.
    pub price: u32,
    /// How near it is.
    pub latency: u32,
    /// How well its provider did.
    pub rating: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            candidates: 16,
            max_age: Span::secs(30),
            rounds: 2,
            tolerance_percent: 1,
            ranking: Weights::default(),
            settle: Span::secs(5),
            released_shown: 256,
            peers_rated: 4096,
            rating_kept_every: Span::secs(60),
            offers: Vec::new(),
        }
    }
}

impl Default for Weights {
    /// Fit and price first, as waste is paid for; latency and rating decide between equals.
    fn default() -> Self {
        Self { fit: 3, price: 3, latency: 2, rating: 2 }
    }
}

impl Config {
    /// Checks that every offer makes sense and that no two have one name.
    ///
    /// # Errors
    /// The first offer that does not, or has the name of one before it.
    pub fn check(&self) -> Result<(), BadOffer> {
        for (i, offer) in self.offers.iter().enumerate() {
            offer.check()?;
            if self.offers[..i].iter().any(|other| other.name == offer.name) {
                return Err(BadOffer { name: offer.name.clone(), why: "is there twice".to_owned() });
            }
        }
        Ok(())
    }
}
