//! The names that offers have on the other side of the border, and the way back from them.
//!
//! A name follows from the domain's secret and the offer alone, so it is the same at each of the domain's supernodes
//! and after a restart. Nodes that know no secret give no other names.

use std::collections::BTreeSet;

use kernel::FlavourId;
use rear_proto::{Flavour, local::DomainSecret};

use super::Slot;

/// Until there are zones, everything that is exposed is in this one.
const ZONE: &[u8] = b"default";

/// The other names of one offer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Aliases {
    /// A foreign offer's name for the nodes of this domain.
    pub(crate) inward: Option<FlavourId>,
    /// An offer's name for partners.
    pub(crate) outward: Option<FlavourId>,
}

/// The offers by their other names.
#[derive(Debug, Default)]
pub(super) struct Names {
    secret: Option<DomainSecret>,
    /// Whether foreign offers are named outward too.
    resale: bool,
    inward: BTreeSet<(FlavourId, Slot)>,
    outward: BTreeSet<(FlavourId, Slot)>,
}

impl Names {
    /// Takes a secret to name by; says whether it is another than before.
    pub(super) fn begin(&mut self, secret: DomainSecret, resale: bool) -> bool {
        if self.secret.as_ref() == Some(&secret) && self.resale == resale {
            return false;
        }
        *self = Self { secret: Some(secret), resale, ..Self::default() };
        true
    }

    pub(super) fn add(&mut self, slot: Slot, flavour: &Flavour, foreign: bool) -> Aliases {
        let Some(secret) = &self.secret else { return Aliases::default() };
        let inward = foreign.then(|| secret.rename("in", &[flavour.domain.key.as_bytes(), flavour.id.as_bytes()]));
        // Ids are their owners' choice: of two nodes of the domain that choose the same, neither may stand in for the
        // other. A partner's offer has one owner here, whichever of its supernodes shows it.
        let outward = match inward {
            Some(inner) => self.resale.then(|| secret.rename("out", &[ZONE, inner.as_bytes()])),
            None => Some(secret.rename("out", &[ZONE, flavour.owner.as_bytes(), flavour.id.as_bytes()])),
        };
        self.inward.extend(inward.map(|id| (id, slot)));
        self.outward.extend(outward.map(|id| (id, slot)));
        Aliases { inward, outward }
    }

    pub(super) fn remove(&mut self, slot: Slot, aliases: &Aliases) {
        if let Some(id) = aliases.inward {
            self.inward.remove(&(id, slot));
        }
        if let Some(id) = aliases.outward {
            self.outward.remove(&(id, slot));
        }
    }

    pub(super) fn inward(&self, id: FlavourId) -> impl Iterator<Item = Slot> {
        slots(&self.inward, id)
    }

    pub(super) fn outward(&self, id: FlavourId) -> impl Iterator<Item = Slot> {
        slots(&self.outward, id)
    }
}

fn slots(names: &BTreeSet<(FlavourId, Slot)>, id: FlavourId) -> impl Iterator<Item = Slot> {
    names.range((id, Slot::MIN)..=(id, Slot::MAX)).map(|(_, slot)| *slot)
}
