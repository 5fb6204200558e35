//! Where an id leads that somebody has named in an order.

use kernel::{AllocationId, FlavourId, Time};
use rear_proto::{
    Code, Refusal,
    local::{Caller, Onward, Way},
    price::Margin,
};

use super::Manager;
use crate::{
    border::Viewer,
    endpoints::Group,
    index::{Offer, Whose},
    mail::Effect,
};

impl Manager {
    pub(super) fn resolve(
        &self,
        now: Time,
        allocation: AllocationId,
        flavour: FlavourId,
        caller: Caller,
        out: &mut Vec<Effect>,
    ) {
        let way = match caller {
            Caller::Member(_) => self.way_for_member(now, flavour),
            Caller::Partner { domain, on: true } => self.way_for_partner(now, flavour, Viewer::Partner(domain)),
            Caller::Partner { .. } | Caller::Visitor { .. } | Caller::Stranger => None,
        };
        // The same words for what is not there and for what is not shown: who is refused learns nothing from it.
        let way = way.ok_or_else(|| Refusal::new(Code::NotFound, format!("flavour {flavour} is not to be had here")));
        out.push(Effect::Resolved { allocation, way });
    }

    fn way_for_member(&self, now: Time, id: FlavourId) -> Option<Way> {
        if self.index.offer(&(self.me, id)).is_some() {
            return Some(Way::Here(id));
        }
        if !self.border.is_supernode() {
            // What is taken in by hand a moment ago may not have been told yet: REAR knows.
            return Some(Way::Here(id));
        }
        let dials_out =
            |offer: &&Offer| self.index.side(offer) == Whose::Domain && offer.flavour.provider.addresses.is_empty();
        let domains = self.quickest(now, Viewer::Member, self.index.with_id(id).filter(dials_out));
        if let Some(offer) = domains {
            return Some(self.onward(offer, Margin::default(), false));
        }
        let offer = self.quickest(now, Viewer::Member, self.index.called_inward(id))?;
        Some(self.onward(offer, self.config.margin, true))
    }

    fn way_for_partner(&self, now: Time, id: FlavourId, viewer: Viewer) -> Option<Way> {
        if !self.border.is_supernode() {
            return None;
        }
        let offer = self.quickest(now, viewer, self.index.called_outward(id))?;
        Some(match self.index.side(offer) {
            Whose::Own => Way::Here(offer.flavour.id),
            Whose::Domain | Whose::Others => self.onward(offer, self.config.margin, false),
            Whose::Foreign => self.onward(offer, self.config.margin, true),
        })
    }

    /// Of the ways that lead to what one id stands for: one that the viewer may see, that is up, and the fastest.
    fn quickest<'a>(&self, now: Time, viewer: Viewer, offers: impl Iterator<Item = &'a Offer>) -> Option<&'a Offer> {
        let eyes = self.border.eyes(now, viewer, &self.config);
        offers.filter(|offer| eyes.glimpse(self.index.side(offer), offer).is_some()).min_by_key(|offer| {
            let node = &offer.flavour.provider.node;
            let own = self.index.side(offer) != Whose::Own;
            (own, self.endpoints.is_down(node), self.endpoints.round_trip_ms(node).unwrap_or(u32::MAX))
        })
    }

    fn onward(&self, offer: &Offer, margin: Margin, abroad: bool) -> Way {
        let (mut seller, flavour) = (offer.flavour.provider.clone(), offer.flavour.id);
        // Each supernode of a domain calls what it shows by the same name: where one is gone, another will do.
        if abroad && self.endpoints.is_down(&seller.node) {
            let mut others = self.endpoints.all(Group::Partner(offer.flavour.domain.key));
            seller = others.next().unwrap_or(seller);
        }
        Way::Onward(Box::new(Onward { seller, flavour, margin, abroad }))
    }
}
