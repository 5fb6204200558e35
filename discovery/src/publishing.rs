//! Publishing: offers signed for one domain each, to be carried by catalogues.
//!
//! An offer is signed when it has changed or when half of its life is over, once for however many catalogues. What is
//! shown to whom is not decided here.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{FlavourId, Span, Time};
use rear_proto::{Extensions, Flavour, Signed, Signer, message::Offered, published::Published};

use crate::feeds::{Item, Shown};

/// By how much the clocks of a signer and of a reader may differ: as much as for a RESERVE.
pub(crate) const SKEW: Span = Span::secs(30);
/// What a signature and its surroundings take on the wire beside the signed bytes.
const SIGNATURE: usize = 80;

/// What was signed, and when it is to be signed anew.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    signed: BTreeMap<Item, Kept>,
    renewals: BTreeSet<(Time, Item)>,
    /// How many signatures were made.
    made: u64,
}

#[derive(Debug)]
struct Kept {
    offer: Signed<Published>,
    renew: Time,
    ends: Time,
}

impl Publishing {
    /// Returns an offer signed for the item's viewer: as it was signed before, where that still holds.
    pub(crate) fn signed(&mut self, now: Time, item: Item, flavour: Flavour, signer: &Signer) -> Option<Shown> {
        let viewer = item.0?;
        let id = flavour.id;
        let by = signer.id();
        if let Some(kept) = self.signed.get(&item)
            && now < kept.renew
            && kept.offer.open(&by).is_ok_and(|known| is_same(&known.flavour, &flavour))
        {
            return Some(shown(now, kept, id));
        }
        self.forget(&item);
        let (renew, ends) = (now + flavour.expires_in.divided(2), now + flavour.expires_in);
        let published = Published { by, viewer, at: now, flavour, extensions: Extensions::new() };
        let kept = Kept { offer: Signed::new(published, signer), renew, ends };
        let shown = shown(now, &kept, id);
        self.renewals.insert((renew, item));
        self.signed.insert(item, kept);
        self.made += 1;
        Some(shown)
    }

    /// Lets go of an offer that is not shown any more.
    pub(crate) fn forget(&mut self, item: &Item) {
        if let Some(kept) = self.signed.remove(item) {
            self.renewals.remove(&(kept.renew, *item));
        }
    }

    /// Lets go of everything: there is no catalogue to publish to.
    pub(crate) fn clear(&mut self) {
        self.signed.clear();
        self.renewals.clear();
    }

    /// Returns when the first signature is to be made anew.
    pub(crate) fn due(&self) -> Option<Time> {
        self.renewals.first().map(|(at, _)| *at)
    }

    /// Returns the items whose signatures are to be made anew, once each.
    pub(crate) fn renewals(&mut self, now: Time) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some((at, item)) = self.renewals.first().copied()
            && at <= now
        {
            self.renewals.pop_first();
            items.push(item);
        }
        items
    }

    /// Returns how many signatures were made.
    pub(crate) const fn made(&self) -> u64 {
        self.made
    }
}

fn shown(now: Time, kept: &Kept, id: FlavourId) -> Shown {
    Shown {
        offered: Offered::Signed(Box::new(kept.offer.clone())),
        id,
        lives: now.until(kept.ends),
        bytes: kept.offer.bytes().len() + SIGNATURE,
    }
}

/// Says whether two states of an offer are one but for the time that is left of them.
fn is_same(known: &Flavour, flavour: &Flavour) -> bool {
    known.epoch == flavour.epoch && *known == Flavour { expires_in: known.expires_in, ..flavour.clone() }
}

/// Returns what is left of the life of an offer that was signed at that time; `None` where it is over, or where it
/// was signed in the future. Clocks may differ a little.
pub(crate) fn left(now: Time, at: Time, life: Span) -> Option<Span> {
    if at > now + SKEW {
        return None;
    }
    let left = life.plus(SKEW).minus(now.since(at)).min(life);
    (left > Span::ZERO && now.since(at) < life.plus(SKEW)).then_some(left)
}
