//! Looking into the index with a viewer's eyes.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use kernel::{FlavourId, NodeId, Time};
use rear_proto::{
    Flavour, Selector,
    local::Candidate,
    price::{Price, Rate},
};

use super::Manager;
use crate::{
    answering,
    border::{Glimpse, Viewer},
    index::{Offer, Toil, Whose, by_price},
};

/// What is looked for, and by whom.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) viewer: Viewer,
    pub(super) sides: &'a [Whose],
    pub(super) selector: &'a Selector,
    /// The node that asks, which is not shown what it offers itself.
    pub(super) asker: Option<NodeId>,
    pub(super) most: usize,
}

/// An offer as a viewer sees it.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    glimpse: Glimpse<'a>,
    price: Rate,
    /// How short the way to it is: less is better.
    way: (u8, u32),
    /// Its place among all that was looked at.
    place: usize,
}

impl Shown<'_> {
    fn is_better(&self, other: &Self) -> bool {
        by_price(&self.price, &other.price).then(self.way.cmp(&other.way)) == Ordering::Less
    }

    pub(super) fn view(&self) -> Arc<Flavour> {
        self.glimpse.view()
    }

    pub(super) fn candidate(&self) -> Option<Candidate> {
        super::candidate(self.glimpse.offer)
    }
}

impl Manager {
    /// Returns what matches, the cheapest first, and whether there may be more: of several ways to the same capacity
    /// the best, and no offer of a node that is out of reach.
    ///
    /// A question that excludes the best way is shown the next one: so who copies another's origin in order to stand
    /// before it is tried once, refuses, is excluded, and hides nothing any more.
    pub(super) fn look(
        &self,
        now: Time,
        look: &Look<'_>,
        is_excluded: impl Fn(&FlavourId) -> bool,
    ) -> (Vec<Shown<'_>>, bool) {
        let Look { viewer, sides, selector, asker, most } = *look;
        let eyes = self.border.eyes(now, viewer, &self.config);
        let mine = viewer == Viewer::Me;
        // Whoever asks for nothing in particular is listed everything, whatever is left of it.
        let everything = !mine && selector.filters.is_empty();
        let (narrow, asked) = if mine {
            (selector.clone(), selector.clone())
        } else {
            (answering::behind_border(selector, viewer), answering::for_provider(selector))
        };
        let mut toil = Toil::of(selector);
        let (mut best, mut more, mut place) = (BTreeMap::<FlavourId, Shown<'_>>::new(), false, 0);
        'sides: for &side in sides {
            if side == Whose::Foreign && !eyes.look_abroad() {
                continue;
            }
            for offer in self.index.narrowed(side, &narrow) {
                if toil.is_enough(best.len(), most) {
                    more = true;
                    break 'sides;
                }
                toil.look(&offer.flavour);
                place += 1;
                let provider = &offer.flavour.provider.node;
                if asker == Some(*provider) || self.endpoints.is_down(provider) {
                    continue;
                }
                let round_trip = if mine { self.endpoints.round_trip_ms(provider) } else { None };
                if !mine && !narrow.filters.is_empty() && narrow.fit(&offer.flavour, None).is_none() {
                    continue;
                }
                let side = self.index.side(offer);
                let Some(glimpse) = eyes.glimpse(side, offer) else { continue };
                let view = glimpse.flavour();
                let price = if everything {
                    whole_price(&view.price)
                } else {
                    let Some(fit) = asked.fit(view, round_trip) else { continue };
                    fit.price
                };
                if is_excluded(&view.id) {
                    continue;
                }
                let origin = view.origin;
                let shown = Shown { glimpse, price, way: self.way(side, offer), place };
                match best.get(&origin) {
                    Some(known) if !shown.is_better(known) => {}
                    Some(_) | None => {
                        best.insert(origin, shown);
                    }
                }
            }
        }
        let mut shown: Vec<_> = best.into_values().collect();
        shown.sort_by(|a, b| by_price(&a.price, &b.price).then(a.place.cmp(&b.place)));
        if !mine {
            let mut named = std::collections::BTreeSet::new();
            shown.retain(|shown| named.insert(shown.glimpse.flavour().id));
        }
        more |= shown.len() > most;
        shown.truncate(most);
        (shown, more)
    }

    /// Says how short the way to an offer is: fewer hands first, then less time.
    fn way(&self, side: Whose, offer: &Offer) -> (u8, u32) {
        let hands = match side {
            Whose::Own => 0,
            Whose::Domain if offer.flavour.provider.node == offer.flavour.owner => 1,
            Whose::Domain => 2,
            Whose::Foreign | Whose::Others => 3,
        };
        (hands, self.endpoints.round_trip_ms(&offer.flavour.provider.node).unwrap_or(u32::MAX))
    }
}

const fn whole_price(price: &Price) -> Rate {
    Rate { amount: price.amount, currency: price.currency, period: price.period }
}
