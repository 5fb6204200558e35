//! The one index over own offers and candidates: what matches, without looking at all that does not.
//!
//! Offers are keyed by (party to reserve with, id) and numbered by slots; own offers and those of others stand
//! on shelves of their own. It believes what it is given: what may be taken in is decided before.

mod shelf;
#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernel::{FlavourId, NodeId, Time};
use rear_proto::{Flavour, Selector, price::Rate};

use shelf::Shelf;

/// What names an offer: the party to reserve with, and the flavour.
pub(crate) type OfferKey = (NodeId, FlavourId);
/// The place of an offer; never used for another one.
type Slot = u64;

/// How many offers are looked at before the cheapest are not worth looking for any longer: up to here the
/// answer is exact, and beyond it the first that match will do. A selector is checked in about a microsecond.
const THOROUGH: usize = 4096;

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    offers: BTreeMap<Slot, Offer>,
    slots: BTreeMap<OfferKey, Slot>,
    /// Who offers an id, for looking up by id alone.
    offering: BTreeSet<(FlavourId, NodeId)>,
    own: Shelf,
    others: Shelf,
    /// Candidates by when they expire.
    expiring: BTreeSet<(Time, Slot)>,
    /// The same for each provider.
    providers: BTreeMap<NodeId, BTreeSet<(Time, Slot)>>,
    next: Slot,
}

/// An offer, own or another's.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The offer itself; shared with answers that repeat it.
    pub(crate) flavour: Arc<Flavour>,
    /// How it was heard of; `None` for own ones.
    pub(crate) heard: Option<Heard>,
}

/// How a candidate was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// When last.
    pub(crate) seen: Time,
    /// From whom.
    pub(crate) via: NodeId,
    /// Until when it is kept.
    pub(crate) expires: Time,
}

/// Whose offers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This node's.
    Own,
    /// Candidates.
    Others,
}

/// An offer that matches.
#[derive(Debug)]
pub(crate) struct Match<'a> {
    pub(crate) offer: &'a Offer,
    /// What the smallest partition that covers the need costs.
    pub(crate) price: Rate,
}

impl Offer {
    fn key(&self) -> OfferKey {
        (self.flavour.provider.node, self.flavour.id)
    }
}

impl Index {
    /// Takes in an own offer; an older state of it changes nothing.
    pub(crate) fn put_own(&mut self, flavour: Flavour) {
        self.put(Offer { flavour: Arc::new(flavour), heard: None });
    }

    /// Takes in a candidate; an older state of it changes nothing at all, and `false` is returned.
    pub(crate) fn put_candidate(&mut self, flavour: Flavour, heard: Heard) -> bool {
        let key = (flavour.provider.node, flavour.id);
        self.refresh(&key, &flavour, heard) || self.put(Offer { flavour: Arc::new(flavour), heard: Some(heard) })
    }

    /// Moves the expiry of a candidate that is as it was; `false` where it is not.
    fn refresh(&mut self, key: &OfferKey, flavour: &Flavour, heard: Heard) -> bool {
        let Some(&slot) = self.slots.get(key) else { return false };
        let Some(Offer { flavour: known, heard: Some(before) }) = self.offers.get_mut(&slot) else { return false };
        if **known != *flavour {
            return false;
        }
        let old = std::mem::replace(before, heard);
        let of_provider = self.providers.entry(key.0).or_default();
        for set in [&mut self.expiring, of_provider] {
            set.remove(&(old.expires, slot));
            set.insert((heard.expires, slot));
        }
        true
    }

    fn put(&mut self, offer: Offer) -> bool {
        let key = offer.key();
        if let Some(known) = self.offer(&key) {
            if known.flavour.epoch > offer.flavour.epoch {
                return false;
            }
            self.remove(&key);
        }
        let slot = self.next;
        self.next += 1;
        match &offer.heard {
            None => self.own.add(slot, &offer.flavour),
            Some(heard) => {
                self.others.add(slot, &offer.flavour);
                self.expiring.insert((heard.expires, slot));
                self.providers.entry(key.0).or_default().insert((heard.expires, slot));
            }
        }
        self.slots.insert(key, slot);
        self.offering.insert((key.1, key.0));
        self.offers.insert(slot, offer);
        true
    }

    /// Takes an offer out.
    pub(crate) fn remove(&mut self, key: &OfferKey) -> Option<Offer> {
        let slot = self.slots.remove(key)?;
        let offer = self.offers.remove(&slot)?;
        self.offering.remove(&(key.1, key.0));
        match &offer.heard {
            None => self.own.remove(slot, &offer.flavour),
            Some(heard) => {
                self.others.remove(slot, &offer.flavour);
                self.expiring.remove(&(heard.expires, slot));
                if let Some(of_provider) = self.providers.get_mut(&key.0) {
                    of_provider.remove(&(heard.expires, slot));
                    if of_provider.is_empty() {
                        self.providers.remove(&key.0);
                    }
                }
            }
        }
        Some(offer)
    }

    /// Returns one offer.
    pub(crate) fn offer(&self, key: &OfferKey) -> Option<&Offer> {
        self.slots.get(key).and_then(|slot| self.offers.get(slot))
    }

    /// Returns everybody's offers of one id.
    pub(crate) fn with_id(&self, id: FlavourId) -> impl Iterator<Item = &Offer> {
        self.offering
            .range((id, NodeId([0; 32]))..=(id, NodeId([0xff; 32])))
            .filter_map(|(id, node)| self.offer(&(*node, *id)))
    }

    /// Returns one side's offers, in the order in which they came.
    pub(crate) fn all(&self, whose: Whose) -> impl Iterator<Item = &Offer> {
        self.shelf(whose).all().filter_map(|slot| self.offers.get(&slot))
    }

    /// Returns how many offers one side has.
    pub(crate) fn count(&self, whose: Whose) -> usize {
        self.shelf(whose).count()
    }

    /// Returns the keys of a provider's candidates, those that expire first leading.
    pub(crate) fn of_provider(&self, node: &NodeId) -> impl Iterator<Item = OfferKey> {
        self.keys(self.providers.get(node).into_iter().flatten())
    }

    /// Returns how many candidates a provider has.
    pub(crate) fn count_of(&self, node: &NodeId) -> usize {
        self.providers.get(node).map_or(0, BTreeSet::len)
    }

    /// Returns the keys of all candidates with the time at which they expire, those that expire first leading.
    pub(crate) fn expiring(&self) -> impl Iterator<Item = (Time, OfferKey)> {
        self.expiring.iter().filter_map(|(at, slot)| Some((*at, self.offers.get(slot)?.key())))
    }

    fn keys<'a>(&'a self, slots: impl Iterator<Item = &'a (Time, Slot)> + 'a) -> impl Iterator<Item = OfferKey> + 'a {
        slots.filter_map(|(_, slot)| self.offers.get(slot).map(Offer::key))
    }

    fn shelf(&self, whose: Whose) -> &Shelf {
        match whose {
            Whose::Own => &self.own,
            Whose::Others => &self.others,
        }
    }

    /// Returns up to `most` offers that match, the cheapest first, and whether there may be more.
    ///
    /// `usable` says which may be taken at all; `round_trip` knows the latency to a provider, in milliseconds.
    pub(crate) fn matching(
        &self,
        whose: Whose,
        selector: &Selector,
        most: usize,
        usable: impl Fn(&Offer) -> bool,
        round_trip: impl Fn(&NodeId) -> Option<u32>,
    ) -> (Vec<Match<'_>>, bool) {
        let mut matches = Vec::new();
        let mut more = false;
        for (looked_at, slot) in self.shelf(whose).narrowed(selector).enumerate() {
            if looked_at >= THOROUGH && matches.len() >= most {
                more = true;
                break;
            }
            let Some(offer) = self.offers.get(&slot) else { continue };
            if !usable(offer) {
                continue;
            }
            if let Ok(fit) = selector.check(&offer.flavour, round_trip(&offer.flavour.provider.node)) {
                matches.push(Match { offer, price: fit.price });
            }
        }
        matches.sort_by(|a, b| by_price(&a.price, &b.price));
        more |= matches.len() > most;
        matches.truncate(most);
        (matches, more)
    }
}

/// Orders rates: within a currency by what they cost per second, exactly; currencies by name.
pub(crate) fn by_price(a: &Rate, b: &Rate) -> Ordering {
    let per = |rate: &Rate, other: &Rate| u128::from(rate.amount.0) * u128::from(other.period.seconds());
    a.currency.cmp(&b.currency).then_with(|| per(a, b).cmp(&per(b, a)))
}
