//! Ranking: which candidate to try first.
//!
//! ```text
//! penalty = (w₁·waste + w₂·price + w₃·latency + w₄·doubt) ÷ (w₁ + w₂ + w₃ + w₄)     each from 0 to 1, least first
//!
//! waste    of the partition, the mean share per resource that is not needed
//! price    by the month, as a share of the dearest candidate's in the same currency
//! latency  l ÷ (l + 50 ms), measured or else stated; ½ where nothing is known
//! doubt    1 − the provider's score
//! ```
//! Between equals a digest over chooser and candidate decides: the same every time, and other choosers choose
//! otherwise, so that a crowd spreads.
//!
//! Ways to the same capacity (one `origin`) count as one, ranked by the best of them: the others stand directly behind
//! it, best first. Who sells a way says itself what it leads to, and may lie. So a way that is clearly worse than the
//! best one of its origin ([`ALIKE`]) stands where it would alone: a bait can't lift a dear offer over a cheaper one.

use std::{collections::BTreeMap, fmt};

use kernel::{Digest, FlavourId, NodeId, Quantity, Resource, Resources};
use rear_proto::{Flavour, Selector, local::Candidate, price::Currency, price::Rate, selector::Fit};

use crate::{config::Weights, rating::Ratings};

/// The latency that counts as half bad: where a person begins to notice.
const HALF_BAD_MS: u64 = 50;
/// A part of a penalty that is all bad.
const WHOLE: u64 = 1000;
/// By how much the penalties of two ways to the same capacity may differ, in thousandths: a margin of some percent, or
/// another distance, is less; half the price is more.
const ALIKE: u32 = 100;
/// A month in seconds, which every period divides.
const MONTH: u64 = 30 * 86_400;

/// A candidate with its rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// The candidate.
    pub candidate: Candidate,
    /// What would be taken of it, and what that costs.
    pub fit: Fit,
    /// Its penalty in thousandths: the least is the best.
    pub penalty: u32,
    /// What the penalty is made of.
    pub why: Why,
}

/// What a penalty is made of, each part in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Why {
    /// What of the partition is not needed.
    pub waste: u32,
    /// The price, as a share of the dearest.
    pub price: u32,
    /// How far it is.
    pub latency: u32,
    /// How little its provider is trusted.
    pub doubt: u32,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |thousandths: u32| f64::from(thousandths) / 1000.0;
        let (waste, price, latency, doubt) = (part(self.waste), part(self.price), part(self.latency), part(self.doubt));
        write!(f, "waste {waste:.2}, price {price:.2}, latency {latency:.2}, doubt {doubt:.2}")
    }
}

/// Ranks those candidates that meet the selector, best first. What a node offers itself (`is_own`) is no candidate to
/// it, whoever shows it.
pub(crate) fn rank(
    me: &NodeId,
    is_own: impl Fn(&Flavour) -> bool,
    selector: &Selector,
    candidates: Vec<Candidate>,
    ratings: &Ratings,
    weights: &Weights,
) -> Vec<Ranked> {
    let need = selector.need();
    let fits: Vec<_> = candidates
        .into_iter()
        .filter(|candidate| !is_own(&candidate.flavour))
        .filter_map(|candidate| {
            let rating = ratings.of(&candidate.flavour.provider.node);
            let fit = selector.check(&candidate.flavour, rating.and_then(|r| r.round_trip_ms())).ok()?;
            Some((candidate, fit))
        })
        .collect();
    let mut dearest = BTreeMap::<Currency, u128>::new();
    for (_, fit) in &fits {
        let most = dearest.entry(fit.price.currency).or_default();
        *most = monthly(&fit.price).max(*most);
    }
    let mut ranked: Vec<_> = fits
        .into_iter()
        .map(|(candidate, fit)| {
            let provider = &candidate.flavour.provider.node;
            let rating = ratings.of(provider);
            let measured = rating.and_then(|rating| rating.round_trip_ms());
            let why = Why {
                waste: waste(&need, &fit.partition),
                price: share(monthly(&fit.price), dearest.get(&fit.price.currency).copied().unwrap_or_default()),
                latency: far(measured.or(candidate.flavour.properties.latency_ms)),
                doubt: 1000 - rating.map_or(500, |rating| rating.score_millis()).min(1000),
            };
            Ranked { penalty: penalty(&why, weights), why, candidate, fit }
        })
        .collect();
    ranked.sort_by_cached_key(|ranked| order(me, ranked));
    join_ways(ranked)
}

/// Puts the ways of each origin behind the best of them, as far as they are like it.
fn join_ways(ranked: Vec<Ranked>) -> Vec<Ranked> {
    let mut best = BTreeMap::<FlavourId, (u32, usize)>::new();
    let mut placed: Vec<_> = ranked
        .into_iter()
        .enumerate()
        .map(|(place, ranked)| {
            let head = best.entry(ranked.candidate.flavour.origin).or_insert((ranked.penalty, place));
            if ranked.penalty > head.0.saturating_add(ALIKE) {
                *head = (ranked.penalty, place);
            }
            (head.1, ranked)
        })
        .collect();
    // The sort is stable: behind its best, each way keeps its own place.
    placed.sort_by_key(|(head, _)| *head);
    placed.into_iter().map(|(_, ranked)| ranked).collect()
}

fn order(me: &NodeId, ranked: &Ranked) -> (u32, u128, Digest, NodeId, FlavourId) {
    let flavour = &ranked.candidate.flavour;
    let lot = [me.as_bytes(), flavour.provider.node.as_bytes(), flavour.id.as_bytes()].concat();
    (ranked.penalty, monthly(&ranked.fit.price), Digest::of(&lot), flavour.provider.node, flavour.id)
}

fn penalty(why: &Why, weights: &Weights) -> u32 {
    let parts = [
        (weights.fit, why.waste),
        (weights.price, why.price),
        (weights.latency, why.latency),
        (weights.rating, why.doubt),
    ];
    let whole: u64 = parts.iter().map(|(weight, _)| u64::from(*weight)).sum();
    let sum: u64 = parts.iter().map(|(weight, part)| u64::from(*weight) * u64::from(*part)).sum();
    (sum / whole.max(1)) as u32
}

/// Returns the mean share of the partition that is not needed.
fn waste(need: &Resources, partition: &Resources) -> u32 {
    let shares: Vec<u32> = Resource::ALL
        .iter()
        .map(|&resource| (need.of(resource), partition.of(resource)))
        .filter(|(_, taken)| !taken.is_zero())
        .map(|(needed, taken): (Quantity, Quantity)| {
            share(taken.checked_sub(needed).unwrap_or_default().nanos(), taken.nanos())
        })
        .collect();
    let count = u32::try_from(shares.len()).unwrap_or(u32::MAX).max(1);
    shares.iter().sum::<u32>() / count
}

fn far(latency_ms: Option<u32>) -> u32 {
    latency_ms.map_or(500, |ms| {
        let ms = u64::from(ms);
        (ms * WHOLE / (ms + HALF_BAD_MS)) as u32
    })
}

/// Returns part ÷ whole in thousandths; nothing of nothing is nothing.
fn share(part: u128, whole: u128) -> u32 {
    // Quantities and monthly prices are below 2^100, so nothing wraps.
    (part.min(whole) * u128::from(WHOLE)).checked_div(whole).unwrap_or_default() as u32
}

fn monthly(rate: &Rate) -> u128 {
    u128::from(rate.amount.0) * u128::from(MONTH / rate.period.seconds())
}
