//! The catalogue's shelves: offers of other domains, as they were signed, each for the eyes of one domain.
//!
//! It keeps what a visitor's supernode publishes of its own, checks that it has signed it, and gives it to the domain
//! that the signature names and to nobody else. It judges nothing: whether an offer is worth anything is for its reader
//! to find out. All of it is in memory: after a restart every publisher begins anew within a moment.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{DomainKey, FlavourId, NodeId, Span, Time};
use rear_proto::{
    Extensions, Flavour, Refusal, Signed,
    door::MAX_LIST,
    message::{List, Offered, PublishedFlavours},
    price::{Price, Rate},
    published::Published,
    wire::frame,
};

use crate::{
    answering,
    config::Config,
    feeds::Shown,
    index::{EXHAUSTED, Heard, Index, Offer, OfferKey, Whose, by_price},
    publishing,
};

/// The most bytes of offers in one answer; the rest of the frame is for steps and what comes later.
const ANSWER_BYTES: usize = frame::MAX_ANSWER as usize * 3 / 4;
/// What a signature and its surroundings take on the wire beside the signed bytes.
const SIGNATURE: usize = 80;

/// Where an offer stands: on whose shelf, and which.
pub(crate) type Place = (DomainKey, OfferKey);

/// The shelves.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// What may be found by each viewer, as it was opened.
    shelves: BTreeMap<DomainKey, Index>,
    kept: BTreeMap<Place, Kept>,
    expiring: BTreeSet<(Time, Place)>,
    publishers: BTreeMap<NodeId, usize>,
    domains: BTreeMap<DomainKey, usize>,
}

#[derive(Debug)]
struct Kept {
    offer: Signed<Published>,
    at: Time,
    life: Span,
    domain: DomainKey,
    expires: Time,
}

/// Why an offer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// It is not what its sender may say.
    Lie,
    /// It is too old, or older than what is kept.
    Old,
    /// There is no room for it.
    Full,
}

impl Catalogue {
    /// Keeps an offer of a publisher's own, and says where.
    pub(crate) fn put(
        &mut self,
        now: Time,
        from: &NodeId,
        domain: &DomainKey,
        offer: Signed<Published>,
        config: &Config,
    ) -> Result<Place, Unkept> {
        if offer.bytes().len() > config.offer_bytes {
            return Err(Unkept::Full);
        }
        // The plain lie costs no look at the signature.
        if offer.claimed().is_none_or(|claimed| claimed.by != *from) {
            return Err(Unkept::Lie);
        }
        let Ok(Published { viewer, at, flavour, .. }) = offer.open(from) else { return Err(Unkept::Lie) };
        if flavour.owner != *from || flavour.domain.key != *domain {
            return Err(Unkept::Lie);
        }
        let (viewer, at, life) = (*viewer, *at, flavour.expires_in.min(config.longest_life));
        let place = (viewer, (*from, flavour.id));
        let Some(expires) = expiry(now, at, flavour.expires_in, life) else { return Err(Unkept::Old) };
        match self.kept.get(&place) {
            Some(known) if known.at > at || (known.at == at && known.offer != offer) => return Err(Unkept::Old),
            Some(_) => {}
            None => {
                let count = |counts: Option<&usize>| counts.copied().unwrap_or(0);
                if self.kept.len() >= config.catalogue_offers
                    || count(self.publishers.get(from)) >= config.catalogue_offers_per_publisher
                    || count(self.domains.get(domain)) >= config.catalogue_offers_per_domain
                {
                    return Err(Unkept::Full);
                }
            }
        }
        let flavour = flavour.clone();
        self.remove(&place);
        let shelf = self.shelves.entry(viewer).or_insert_with(|| Index::new(viewer));
        shelf.put_candidate(flavour, Heard { seen: now, via: *from, expires });
        self.kept.insert(place, Kept { offer, at, life, domain: *domain, expires });
        self.expiring.insert((expires, place));
        *self.publishers.entry(*from).or_default() += 1;
        *self.domains.entry(*domain).or_default() += 1;
        Ok(place)
    }

    /// Takes an offer off its shelf; says whether it was there.
    pub(crate) fn remove(&mut self, place: &Place) -> bool {
        let Some(kept) = self.kept.remove(place) else { return false };
        self.expiring.remove(&(kept.expires, *place));
        less(&mut self.publishers, &place.1.0);
        less(&mut self.domains, &kept.domain);
        if let Some(shelf) = self.shelves.get_mut(&place.0) {
            shelf.remove(&place.1);
            if shelf.count(Whose::Others) == 0 {
                self.shelves.remove(&place.0);
            }
        }
        true
    }

    /// Its publisher says that an offer still holds; its signature holds no longer than it says itself.
    pub(crate) fn prolong(&mut self, now: Time, place: &Place) {
        let Some(kept) = self.kept.get_mut(place) else { return };
        let Ok(Published { flavour, .. }) = kept.offer.open(&place.1.0) else { return };
        let Some(expires) = expiry(now, kept.at, flavour.expires_in, kept.life) else { return };
        self.expiring.remove(&(kept.expires, *place));
        self.expiring.insert((expires, *place));
        kept.expires = expires;
    }

    /// Takes what has lapsed off the shelves and says what that was.
    pub(crate) fn sweep(&mut self, now: Time) -> Vec<Place> {
        let lapsed: Vec<Place> =
            self.expiring.iter().take_while(|(at, _)| *at <= now).map(|(_, place)| *place).collect();
        for place in &lapsed {
            self.remove(place);
        }
        lapsed
    }

    /// Returns when the first offer lapses.
    pub(crate) fn due(&self) -> Option<Time> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// Returns where the offers for a viewer stand.
    pub(crate) fn shelf(&self, viewer: DomainKey) -> impl Iterator<Item = OfferKey> {
        let (first, last) = ((NodeId([0; 32]), FlavourId([0; 16])), (NodeId([0xff; 32]), FlavourId([0xff; 16])));
        self.kept.range((viewer, first)..=(viewer, last)).map(|((_, key), _)| *key)
    }

    /// Returns an offer as its viewer's subscription may have it.
    pub(crate) fn shown(&self, now: Time, place: &Place, wanted: impl FnOnce(&Flavour) -> bool) -> Option<Shown> {
        let kept = self.kept.get(place).filter(|kept| kept.expires > now)?;
        let flavour = &kept.offer.open(&place.1.0).ok()?.flavour;
        wanted(flavour).then(|| Shown {
            offered: Offered::Signed(Box::new(kept.offer.clone())),
            id: flavour.id,
            lives: now.until(kept.expires),
            bytes: kept.offer.bytes().len() + SIGNATURE,
        })
    }

    /// Answers a LIST of a viewer's from its own shelf, the cheapest first, as many as fit.
    ///
    /// The empty selector lists everything, whatever is left of it.
    pub(crate) fn list(&self, now: Time, viewer: DomainKey, list: &List, config: &Config) -> PublishedFlavours {
        let mut listed = PublishedFlavours { offers: Vec::new(), partial: false, extensions: Extensions::new() };
        let Some(shelf) = self.shelves.get(&viewer) else { return listed };
        let most = list.limit.min(config.answer_limit).min(MAX_LIST) as usize;
        let selector = answering::for_provider(&list.selector);
        let excluded: BTreeSet<&FlavourId> = list.exclude.iter().collect();
        let usable = |offer: &Offer| {
            !excluded.contains(&offer.flavour.id)
                && self.kept.get(&(viewer, offer.key())).is_some_and(|kept| kept.expires > now)
        };
        let found: Vec<OfferKey> = if selector.filters.is_empty() {
            let looked_at = shelf.all(Whose::Others).take(EXHAUSTED);
            let mut all: Vec<&Offer> = looked_at.filter(|offer| usable(offer)).collect();
            all.sort_by(|a, b| by_price(&whole_price(&a.flavour.price), &whole_price(&b.flavour.price)));
            listed.partial = all.len() > most || shelf.count(Whose::Others) > EXHAUSTED;
            all.iter().take(most).map(|offer| offer.key()).collect()
        } else {
            let (found, more) = shelf.matching(Whose::Others, &selector, most, usable, |_| None);
            listed.partial = more;
            found.iter().map(|found| found.offer.key()).collect()
        };
        let mut bytes = 0;
        for key in found {
            let Some(kept) = self.kept.get(&(viewer, key)) else { continue };
            bytes += kept.offer.bytes().len() + SIGNATURE;
            if bytes > ANSWER_BYTES {
                listed.partial = true;
                break;
            }
            listed.offers.push(kept.offer.clone());
        }
        listed
    }

    /// Returns how many offers are kept.
    pub(crate) fn count(&self) -> usize {
        self.kept.len()
    }
}

/// Returns until when to keep an offer that is heard of at this time: for its life, but not beyond what its signature
/// says.
fn expiry(now: Time, at: Time, signed: Span, life: Span) -> Option<Time> {
    publishing::left(now, at, signed).map(|left| now + left.min(life))
}

const fn whole_price(price: &Price) -> Rate {
    Rate { amount: price.amount, currency: price.currency, period: price.period }
}

fn less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// How many messages each caller has sent in the minute that runs.
#[derive(Debug, Default)]
pub(crate) struct Minutes(BTreeMap<NodeId, (Time, u32)>);

/// The length of what [`Minutes`] counts by.
const MINUTE: Span = Span::secs(60);
/// The most callers that are counted before those are dropped whose minute is over.
const COUNTED: usize = 4096;

impl Minutes {
    /// Counts a message, which may be as much work as some others.
    ///
    /// # Errors
    /// `Overloaded` where its sender has sent `most` within the minute already.
    pub(crate) fn count(&mut self, now: Time, from: NodeId, weighs: u32, most: u32) -> Result<(), Refusal> {
        if self.0.len() >= COUNTED {
            self.0.retain(|_, (since, _)| now.since(*since) < MINUTE);
        }
        let (since, count) = self.0.entry(from).or_insert((now, 0));
        if now.since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        if *count >= most {
            let wait = MINUTE.minus(now.since(*since));
            let text = format!("more than {most} messages about offers within a minute");
            return Err(Refusal::new(rear_proto::Code::Overloaded, text).retry_after(wait));
        }
        *count = count.saturating_add(weighs);
        Ok(())
    }
}
