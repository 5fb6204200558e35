//! The one index over own offers and candidates: what matches, without looking at all that does not.
//!
//! Offers are keyed by (party to reserve with, id) and numbered by slots; own offers, those of the domain's other
//! nodes and those from beyond its border stand on shelves of their own. It believes what it is given: what may be
//! taken in is decided before.

mod names;
mod shelf;
#[cfg(test)]
mod tests;
mod toil;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kernel::{DomainKey, FlavourId, NodeId, Time};
use rear_proto::{Flavour, Selector, local::DomainSecret, price::Rate, wire::codec};

pub(crate) use names::Aliases;
use names::Names;
use shelf::Shelf;
pub(crate) use toil::{EXHAUSTED, Toil, words as words_of};

/// What names an offer: the party to reserve with, and the flavour.
pub(crate) type OfferKey = (NodeId, FlavourId);
/// The place of an offer; never used for another one.
type Slot = u64;

/// The index.
#[derive(Debug)]
pub(crate) struct Index {
    /// The domain that is on this side of the border.
    home: DomainKey,
    offers: BTreeMap<Slot, Offer>,
    slots: BTreeMap<OfferKey, Slot>,
    /// Who offers an id, for looking up by id alone.
    offering: BTreeSet<(FlavourId, NodeId)>,
    own: Shelf,
    domain: Shelf,
    foreign: Shelf,
    names: Names,
    /// Candidates by when they expire.
    expiring: BTreeSet<(Time, Slot)>,
    /// The same for each provider.
    providers: BTreeMap<NodeId, BTreeSet<(Time, Slot)>>,
    /// How large all of each provider's are.
    sizes: BTreeMap<NodeId, usize>,
    next: Slot,
}

/// An offer, own or another's.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The offer itself; shared with answers that repeat it.
    pub(crate) flavour: Arc<Flavour>,
    /// How it was heard of; `None` for own ones.
    pub(crate) heard: Option<Heard>,
    /// What it is called beyond the border, at a supernode.
    pub(crate) aliases: Aliases,
    /// How large it is on the wire; own ones are not measured.
    bytes: usize,
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
    /// Candidates of this node's own domain.
    Domain,
    /// Candidates of other domains.
    Foreign,
}

/// An offer that matches.
#[derive(Debug)]
pub(crate) struct Match<'a> {
    pub(crate) offer: &'a Offer,
    /// What the smallest partition that covers the need costs.
    pub(crate) price: Rate,
}

impl Offer {
    pub(crate) fn key(&self) -> OfferKey {
        (self.flavour.provider.node, self.flavour.id)
    }
}

impl Index {
    /// Makes an empty index of a node of this domain.
    pub(crate) fn new(home: DomainKey) -> Self {
        Self {
            home,
            offers: BTreeMap::new(),
            slots: BTreeMap::new(),
            offering: BTreeSet::new(),
            own: Shelf::default(),
            domain: Shelf::default(),
            foreign: Shelf::default(),
            names: Names::default(),
            expiring: BTreeSet::new(),
            providers: BTreeMap::new(),
            sizes: BTreeMap::new(),
            next: 0,
        }
    }

    /// Names everything anew where the secret is another; `resale` where foreign offers are named outward too.
    pub(crate) fn rename(&mut self, secret: DomainSecret, resale: bool) {
        if self.names.begin(secret, resale) {
            for (slot, offer) in &mut self.offers {
                let foreign = offer.heard.is_some() && offer.flavour.domain.key != self.home;
                offer.aliases = self.names.add(*slot, &offer.flavour, foreign);
            }
        }
    }

    /// Returns the foreign offers that go by this name on this side of the border.
    pub(crate) fn called_inward(&self, id: FlavourId) -> impl Iterator<Item = &Offer> {
        self.names.inward(id).filter_map(|slot| self.offers.get(&slot))
    }

    /// Returns the offers that go by this name on the other side of the border.
    pub(crate) fn called_outward(&self, id: FlavourId) -> impl Iterator<Item = &Offer> {
        self.names.outward(id).filter_map(|slot| self.offers.get(&slot))
    }

    /// Says on which side of the border an offer is made, or that it is this node's own.
    pub(crate) fn side(&self, offer: &Offer) -> Whose {
        match offer.heard {
            None => Whose::Own,
            Some(_) if offer.flavour.domain.key == self.home => Whose::Domain,
            Some(_) => Whose::Foreign,
        }
    }

    /// Returns what may match of one side, and as little else as the filters allow.
    pub(crate) fn narrowed<'a>(&'a self, whose: Whose, selector: &Selector) -> impl Iterator<Item = &'a Offer> {
        let slots: Vec<_> = self.shelves(whose).iter().map(|shelf| shelf.narrowed(selector)).collect();
        slots.into_iter().flatten().filter_map(|slot| self.offers.get(&slot))
    }

    /// Takes in an own offer; an older state of it changes nothing.
    pub(crate) fn put_own(&mut self, flavour: Flavour) {
        self.put(flavour, None);
    }

    /// Takes in a candidate; an older state of it changes nothing at all, and `false` is returned.
    pub(crate) fn put_candidate(&mut self, flavour: Flavour, heard: Heard) -> bool {
        let key = (flavour.provider.node, flavour.id);
        self.refresh(&key, &flavour, heard) || self.put(flavour, Some(heard))
    }

    /// Moves the expiry of a candidate, which is as it was.
    pub(crate) fn prolong(&mut self, key: &OfferKey, heard: Heard) {
        if let Some(&slot) = self.slots.get(key) {
            self.hear_again(key, slot, heard);
        }
    }

    /// Moves the expiry of a candidate that is as it was; `false` where it is not.
    fn refresh(&mut self, key: &OfferKey, flavour: &Flavour, heard: Heard) -> bool {
        let Some(&slot) = self.slots.get(key) else { return false };
        let is_as_it_was = self.offers.get(&slot).is_some_and(|known| *known.flavour == *flavour);
        is_as_it_was && self.hear_again(key, slot, heard)
    }

    /// Moves the expiry of a candidate; `false` where it is none.
    fn hear_again(&mut self, key: &OfferKey, slot: Slot, heard: Heard) -> bool {
        let Some(Offer { heard: Some(before), .. }) = self.offers.get_mut(&slot) else { return false };
        let old = std::mem::replace(before, heard);
        if old.expires == heard.expires {
            return true;
        }
        let of_provider = self.providers.entry(key.0).or_default();
        for set in [&mut self.expiring, of_provider] {
            set.remove(&(old.expires, slot));
            set.insert((heard.expires, slot));
        }
        true
    }

    fn put(&mut self, flavour: Flavour, heard: Option<Heard>) -> bool {
        let key = (flavour.provider.node, flavour.id);
        if let Some(known) = self.offer(&key) {
            if known.flavour.epoch > flavour.epoch {
                return false;
            }
            self.remove(&key);
        }
        let slot = self.next;
        self.next += 1;
        let bytes = if heard.is_some() { codec::size(&flavour) } else { 0 };
        let mut offer = Offer { flavour: Arc::new(flavour), heard, aliases: Aliases::default(), bytes };
        let side = self.side(&offer);
        offer.aliases = self.names.add(slot, &offer.flavour, side == Whose::Foreign);
        match &offer.heard {
            None => self.own.add(slot, &offer.flavour),
            Some(heard) => {
                let shelf = if side == Whose::Foreign { &mut self.foreign } else { &mut self.domain };
                shelf.add(slot, &offer.flavour);
                self.expiring.insert((heard.expires, slot));
                self.providers.entry(key.0).or_default().insert((heard.expires, slot));
                *self.sizes.entry(key.0).or_default() += bytes;
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
        self.names.remove(slot, &offer.aliases);
        let side = self.side(&offer);
        match &offer.heard {
            None => self.own.remove(slot, &offer.flavour),
            Some(heard) => {
                let shelf = if side == Whose::Foreign { &mut self.foreign } else { &mut self.domain };
                shelf.remove(slot, &offer.flavour);
                self.expiring.remove(&(heard.expires, slot));
                if let Some(of_provider) = self.providers.get_mut(&key.0) {
                    of_provider.remove(&(heard.expires, slot));
                    if of_provider.is_empty() {
                        self.providers.remove(&key.0);
                        self.sizes.remove(&key.0);
                    }
                }
                if let Some(size) = self.sizes.get_mut(&key.0) {
                    *size = size.saturating_sub(offer.bytes);
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
        let (all, shelved) = match whose {
            Whose::Others => (Some(self.offers.values().filter(|offer| offer.heard.is_some())), Vec::new()),
            Whose::Own | Whose::Domain | Whose::Foreign => (None, self.shelves(whose)),
        };
        let shelved = shelved.into_iter().flat_map(Shelf::all).filter_map(|slot| self.offers.get(&slot));
        all.into_iter().flatten().chain(shelved)
    }

    /// Returns how many offers one side has.
    pub(crate) fn count(&self, whose: Whose) -> usize {
        self.shelves(whose).iter().map(|shelf| shelf.count()).sum()
    }

    /// Returns the keys of a provider's candidates, those that expire first leading.
    pub(crate) fn of_provider(&self, node: &NodeId) -> impl Iterator<Item = OfferKey> {
        self.keys(self.providers.get(node).into_iter().flatten())
    }

    /// Returns how many candidates a provider has.
    pub(crate) fn count_of(&self, node: &NodeId) -> usize {
        self.providers.get(node).map_or(0, BTreeSet::len)
    }

    /// Returns how large a provider's candidates are together, in bytes on the wire.
    pub(crate) fn size_of(&self, node: &NodeId) -> usize {
        self.sizes.get(node).copied().unwrap_or(0)
    }

    /// Returns the keys of all candidates with the time at which they expire, those that expire first leading.
    pub(crate) fn expiring(&self) -> impl Iterator<Item = (Time, OfferKey)> {
        self.expiring.iter().filter_map(|(at, slot)| Some((*at, self.offers.get(slot)?.key())))
    }

    fn keys<'a>(&'a self, slots: impl Iterator<Item = &'a (Time, Slot)> + 'a) -> impl Iterator<Item = OfferKey> + 'a {
        slots.filter_map(|(_, slot)| self.offers.get(slot).map(Offer::key))
    }

    fn shelves(&self, whose: Whose) -> Vec<&Shelf> {
        match whose {
            Whose::Own => vec![&self.own],
            Whose::Others => vec![&self.domain, &self.foreign],
            Whose::Domain => vec![&self.domain],
            Whose::Foreign => vec![&self.foreign],
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
        let mut toil = Toil::of(selector);
        for offer in self.narrowed(whose, selector) {
            if toil.is_enough(matches.len(), most) {
                more = true;
                break;
            }
            toil.look(&offer.flavour);
            if !usable(offer) {
                continue;
            }
            if let Some(fit) = selector.fit(&offer.flavour, round_trip(&offer.flavour.provider.node)) {
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
