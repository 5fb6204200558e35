//! The least that something of a group of offers costs.

use std::cmp::Ordering;

use kernel::{Quantity, Resource, Resources};
use serde::{Deserialize, Serialize};

use crate::{
    flavour::Flavour,
    partition,
    price::{Currency, Money, Period, Price, Rate},
    selector::Bounds,
};

/// What no part of some offers costs less than.
///
/// A part costs the offer's price × its largest share of a priced resource, rounded up; so it costs at least each of
/// these shares for what is needed of that resource, and at least what the smallest part costs. The lowest of a group
/// are lower bounds for each of its offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Least {
    /// In which currency all of them are.
    pub currency: Currency,
    /// For which time.
    pub period: Period,
    /// What the cheapest of their smallest parts costs.
    pub amount: Money,
    /// What an amount of a resource costs at least; a resource that one of them gives for nothing is not here.
    pub shares: Vec<Share>,
}

/// So much money for so much of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Of which resource.
    pub resource: Resource,
    /// How much money.
    pub amount: Money,
    /// For how much of it.
    pub of: Quantity,
}

impl Least {
    /// Returns the least that a part of this offer costs.
    pub(super) fn of(flavour: &Flavour) -> Self {
        let Price { amount, currency, period, priced } = &flavour.price;
        let smallest = partition::covering(flavour, &Resources::default()).ok();
        // What can't be counted can't be had either.
        let least = smallest.and_then(|part| flavour.price.of(&part, &flavour.base));
        let shares = Resource::ALL.into_iter().filter(|resource| priced.contains(resource)).filter_map(|resource| {
            let of = flavour.base.of(resource);
            (!of.is_zero()).then_some(Share { resource, amount: *amount, of })
        });
        Self {
            currency: *currency,
            period: *period,
            amount: least.map_or(Money(0), |rate| rate.amount),
            shares: shares.collect(),
        }
    }

    /// Returns the least of these offers and others, where they can be compared.
    pub(super) fn merged(&self, other: &Self) -> Option<Self> {
        let shares = self.shares.iter().filter_map(|mine| {
            let theirs = other.share(mine.resource)?;
            Some(if mine.compare(theirs) == Ordering::Greater { theirs.clone() } else { mine.clone() })
        });
        let shares = shares.collect();
        let is_alike = (self.currency, self.period) == (other.currency, other.period);
        is_alike.then(|| Self { amount: self.amount.min(other.amount), shares, ..self.clone() })
    }

    /// Says whether nothing of others costs less than was said of these.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let is_cheaper =
            |mine: &Share| other.share(mine.resource).is_some_and(|theirs| mine.compare(theirs) != Ordering::Greater);
        (self.currency, self.period) == (other.currency, other.period)
            && self.amount <= other.amount
            && self.shares.iter().all(is_cheaper)
    }

    /// Says whether a part that covers a need may cost what is wanted.
    pub(super) fn may_be(&self, wanted: &Bounds<Rate>, need: &Resources) -> bool {
        match wanted {
            // How dear it may be is not known; only in which currency.
            Bounds::AtLeast(low) => low.currency == self.currency,
            Bounds::Match(most) | Bounds::AtMost(most) | Bounds::Between(_, most) => {
                self.rate(need).within(most) == Some(true)
            }
        }
    }

    /// Returns what a part that covers a need costs at least.
    fn rate(&self, need: &Resources) -> Rate {
        let shares = self.shares.iter().filter_map(|share| self.cost(share, need));
        let amount = shares.fold(self.amount, Money::max);
        Rate { amount, currency: self.currency, period: self.period }
    }

    /// Returns what a share comes to, by the very rule by which offers are priced.
    fn cost(&self, share: &Share, need: &Resources) -> Option<Money> {
        let mut base = Resources::default();
        *base.of_mut(share.resource) = share.of;
        let price =
            Price { amount: share.amount, currency: self.currency, period: self.period, priced: vec![share.resource] };
        price.of(need, &base).map(|rate| rate.amount)
    }

    fn share(&self, resource: Resource) -> Option<&Share> {
        self.shares.iter().find(|share| share.resource == resource)
    }
}

impl Share {
    /// Compares what the same amount costs, exactly; of the same, the smaller amount comes first.
    fn compare(&self, other: &Self) -> Ordering {
        product(self.amount, other.of).cmp(&product(other.amount, self.of)).then(self.of.cmp(&other.of))
    }
}

/// Multiplies into 192 bits, the high ones first.
fn product(amount: Money, of: Quantity) -> (u128, u64) {
    let (amount, nanos) = (u128::from(amount.0), of.nanos());
    let low = (nanos & u128::from(u64::MAX)) * amount;
    ((nanos >> 64) * amount + (low >> 64), low as u64)
}
