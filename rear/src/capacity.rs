//! Available Resources: own flavours, allocations, and the one way to take capacity and to give it back.
//!
//! ```text
//! available = base − (all that is allocated and not freed)      derived each time, never stored
//!
//! take ──► an allocation, and a new epoch: "the old flavour is deleted, the reduced one created"
//! free ──► it is gone, and a new epoch: the flavour is exactly what it would be without it
//! ```
//! It does not know what an allocation is used for, nor when it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{
    AllocationId, FlavourId, Key, NodeId, Resource, Resources,
    planted::{self, Bug},
};
use rear_proto::{
    Code, Epoch, Flavour, Refusal, Row, Table, Trace,
    flavour::{Domain, Party},
    partition,
    price::Rate,
    story::Deed,
};
use serde::{Deserialize, Serialize};

use crate::{
    allocation::{Allocation, Role, Status},
    mail::Effect,
    offer::Offer,
};

/// Own flavours and allocations.
#[derive(Debug)]
pub(crate) struct Capacity {
    me: NodeId,
    domain: Domain,
    addresses: Vec<String>,
    /// Boxed, since a map makes room for eleven at once, and most nodes have one.
    own: BTreeMap<FlavourId, Box<Own>>,
    allocations: BTreeMap<AllocationId, Allocation>,
    /// Which allocations take from which own flavour, offered or not.
    parts: BTreeSet<(FlavourId, AllocationId)>,
    /// What was freed lately, oldest first; for showing only.
    released: VecDeque<Allocation>,
    released_shown: usize,
    /// How things stand: one count of changes over all flavours, so that one that comes back has a newer epoch.
    epoch: Epoch,
}

/// An own flavour, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    pub(crate) offer: Offer,
    /// Offered by hand, and not by the configuration.
    pub(crate) by_hand: bool,
    /// Withdrawn by hand, whatever the configuration says, until it is offered again.
    pub(crate) withdrawn: bool,
    /// When it last changed; of this life alone.
    #[serde(skip)]
    pub(crate) epoch: Epoch,
}

impl rear_proto::Record for Own {
    const VERSION: u16 = 1;
}

/// Who takes capacity.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Taker {
    /// Another node, by valid partitions and within its ceiling.
    Remote { buyer: NodeId, ceiling: Rate },
    /// This node: any amount that fits, at no price.
    Local { origin: Key },
}

/// What was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) price: Rate,
    pub(crate) epoch: Epoch,
    /// It had been granted before.
    pub(crate) again: bool,
}

/// How an own flavour's account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The flavour.
    pub flavour: FlavourId,
    /// Its newest epoch.
    pub epoch: Epoch,
    /// The whole of it.
    pub base: Resources,
    /// What is allocated of it and not freed. More than the base only after the operator has made that smaller.
    pub taken: Resources,
    /// What is left of it.
    pub available: Resources,
}

impl Capacity {
    pub(crate) fn new(me: NodeId, domain: Domain, released_shown: usize) -> Self {
        Self {
            me,
            domain,
            addresses: Vec::new(),
            own: BTreeMap::new(),
            allocations: BTreeMap::new(),
            parts: BTreeSet::new(),
            released: VecDeque::new(),
            released_shown,
            epoch: Epoch::default(),
        }
    }

    // -- reading ----------------------------------------------------------------------------------------

    /// Returns an own flavour as it is now, if it is offered.
    pub(crate) fn flavour(&self, id: &FlavourId) -> Option<Flavour> {
        let own = self.own.get(id).filter(|own| !own.withdrawn)?;
        let offer = &own.offer;
        Some(Flavour {
            id: *id,
            epoch: own.epoch,
            owner: self.me,
            domain: self.domain.clone(),
            provider: Party { node: self.me, addresses: self.addresses.clone() },
            kind: offer.kind.clone(),
            base: offer.base,
            available: less(&offer.base, &self.taken(id)),
            properties: offer.properties.clone(),
            policies: offer.policies.clone(),
            price: offer.price.clone(),
            location: offer.location.clone(),
            origin: origin(id),
            expires_in: offer.expires_in,
        })
    }

    pub(crate) fn flavours(&self) -> impl Iterator<Item = Flavour> {
        self.own.keys().filter_map(|id| self.flavour(id))
    }

    /// Returns whether an offer, whoever shows it, comes down to this node's own.
    pub(crate) fn is_own(&self, flavour: &Flavour) -> bool {
        let own = |node: &NodeId| *node == self.me;
        own(&flavour.provider.node) || own(&flavour.owner) || self.own.keys().any(|id| origin(id) == flavour.origin)
    }

    /// Returns whether the party to reserve with is the very node that has it, as far as that can be told: what comes
    /// from another domain always comes by way of a supernode.
    pub(crate) fn is_direct(&self, flavour: &Flavour) -> bool {
        flavour.provider.node == flavour.owner && flavour.domain.key == self.domain.key
    }

    pub(crate) fn own(&self, id: &FlavourId) -> Option<&Own> {
        self.own.get(id).map(Box::as_ref)
    }

    pub(crate) fn books(&self) -> impl Iterator<Item = Book> {
        self.own.iter().filter(|(_, own)| !own.withdrawn).map(|(id, own)| {
            let (base, taken) = (own.offer.base, self.taken(id));
            Book { flavour: *id, epoch: own.epoch, base, taken, available: less(&base, &taken) }
        })
    }

    /// Returns the allocations, those that were freed lately last.
    pub(crate) fn allocations(&self) -> impl Iterator<Item = &Allocation> {
        self.allocations.values().chain(self.released.iter())
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = &Allocation> {
        self.allocations.values()
    }

    pub(crate) fn allocation(&self, id: &AllocationId) -> Option<&Allocation> {
        self.allocations.get(id)
    }

    /// Returns what is allocated of a flavour and not freed.
    fn taken(&self, id: &FlavourId) -> Resources {
        let first = (*id, AllocationId([0; 16]));
        let last = (*id, AllocationId([0xff; 16]));
        let parts = self.parts.range(first..=last).filter_map(|(_, allocation)| self.allocations.get(allocation));
        parts.fold(Resources::default(), |sum, part| plus(&sum, &part.resources))
    }

    // -- capacity ---------------------------------------------------------------------------------------

    /// Takes a part of an own flavour: the one way to its capacity. Asking again for what was granted under the
    /// same name is granted again and changes nothing. What the taker saw of the flavour does not matter, only
    /// whether what is left is enough.
    ///
    /// # Errors
    /// `NotFound`; for others than this node itself `BelowMinimum`, `NotAStep`, `TooLarge`, `PriceTooLow` and
    /// `CurrencyMismatch`; `Unavailable`; `Closed` or `KeyReused` where the name was used before.
    pub(crate) fn take(
        &mut self,
        id: AllocationId,
        flavour: FlavourId,
        part: Resources,
        taker: Taker,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<Grant, Refusal> {
        if let Some(old) = self.allocations.get(&id) {
            return granted_before(old, flavour, &part, taker);
        }
        let offered = self
            .flavour(&flavour)
            .ok_or_else(|| Refusal::new(Code::NotFound, format!("flavour {flavour} is not offered here")))?;
        let price = price_for(&offered, &part, taker)?;
        if let Err(shortage) = offered.available.holds(&part)
            && !planted::is(Bug::SkipHoldCheck)
        {
            return Err(Refusal::new(Code::Unavailable, format!("flavour {flavour}: {shortage}")));
        }
        let epoch = self.next_epoch();
        let (role, status) = match taker {
            Taker::Remote { buyer, ceiling: _ } => {
                (Role::Node { flavour, buyer, price, granted: epoch }, Status::Inactive)
            }
            Taker::Local { origin } => (Role::Local { flavour, origin }, Status::Active),
        };
        if matches!(taker, Taker::Remote { .. }) {
            tell(trace, Deed::FlavourReduced, out);
        }
        self.put(Allocation { id, role, status, contract: None, resources: part }, out);
        self.announce(flavour, epoch, out);
        Ok(Grant { price, epoch, again: false })
    }

    /// Frees an allocation, whatever it takes; `None` where there is no such.
    pub(crate) fn free(&mut self, id: &AllocationId, out: &mut Vec<Effect>) -> Option<Allocation> {
        let mut freed = self.allocations.remove(id)?;
        out.push(Effect::Keep(Row::drop(Table::Allocations, id.as_bytes())));
        if let Some(flavour) = freed.role.flavour() {
            self.parts.remove(&(flavour, *id));
            self.changed(flavour, out);
        }
        freed.status = Status::Released;
        self.released.push_back(freed.clone());
        while self.released.len() > self.released_shown {
            self.released.pop_front();
        }
        Some(freed)
    }

    /// Keeps an allocation: one of its own (which takes no capacity here), or one that has changed.
    pub(crate) fn put(&mut self, allocation: Allocation, out: &mut Vec<Effect>) {
        out.push(Effect::Keep(Row::put(Table::Allocations, allocation.id.as_bytes(), &allocation)));
        self.restore_allocation(allocation);
    }

    /// Changes how an allocation is, without keeping that: after a restart none is active.
    pub(crate) fn set_status(&mut self, id: &AllocationId, status: Status) {
        if let Some(allocation) = self.allocations.get_mut(id) {
            allocation.status = status;
        }
    }

    // -- flavours ---------------------------------------------------------------------------------------

    /// Offers a flavour, or offers it otherwise than before. What is allocated of it stays allocated.
    pub(crate) fn offer(&mut self, offer: Offer, by_hand: bool, out: &mut Vec<Effect>) -> FlavourId {
        let id = offer.flavour(&self.me);
        let own = Box::new(Own { offer, by_hand, withdrawn: false, epoch: Epoch::default() });
        let same = |old: &Own| old.offer == own.offer && old.by_hand == by_hand && !old.withdrawn;
        if self.own.get(&id).is_some_and(|old| same(old)) {
            return id;
        }
        out.push(Effect::Keep(Row::put(Table::Flavours, id.as_bytes(), &*own)));
        self.own.insert(id, own);
        self.changed(id, out);
        id
    }

    /// Offers a flavour no longer. One that the configuration offers is remembered as withdrawn.
    pub(crate) fn withdraw(&mut self, id: &FlavourId, out: &mut Vec<Effect>) -> bool {
        let Some(own) = self.own.get_mut(id).filter(|own| !own.withdrawn) else { return false };
        if own.by_hand {
            self.forget(id, out);
        } else {
            own.withdrawn = true;
            out.push(Effect::Keep(Row::put(Table::Flavours, id.as_bytes(), &**own)));
            out.push(Effect::OwnGone(*id));
        }
        true
    }

    /// Drops a flavour that nobody offers.
    pub(crate) fn forget(&mut self, id: &FlavourId, out: &mut Vec<Effect>) {
        if self.own.remove(id).is_some() {
            out.push(Effect::Keep(Row::drop(Table::Flavours, id.as_bytes())));
            out.push(Effect::OwnGone(*id));
        }
    }

    /// Says what this node is called from outside.
    pub(crate) fn name(&mut self, domain: Domain, addresses: Vec<String>, out: &mut Vec<Effect>) {
        if self.domain == domain && self.addresses == addresses {
            return;
        }
        (self.domain, self.addresses) = (domain, addresses);
        self.announce_all(out);
    }

    // -- restarts ---------------------------------------------------------------------------------------

    pub(crate) fn restore_flavour(&mut self, id: FlavourId, own: Own) {
        self.own.insert(id, Box::new(own));
    }

    pub(crate) fn restore_allocation(&mut self, allocation: Allocation) {
        if let Some(flavour) = allocation.role.flavour() {
            self.parts.insert((flavour, allocation.id));
        }
        self.allocations.insert(allocation.id, allocation);
    }

    /// Begins a life: takes the configuration's offers over, and announces all flavours under new epochs.
    pub(crate) fn start(&mut self, starts: u32, configured: &[Offer], out: &mut Vec<Effect>) {
        self.epoch = Epoch { starts, changes: 0 };
        let named: BTreeSet<_> = configured.iter().map(|offer| offer.flavour(&self.me)).collect();
        let over = |id: &FlavourId, own: &Own| (!own.by_hand && !named.contains(id)).then_some(*id);
        for id in self.own.iter().filter_map(|(id, own)| over(id, own)).collect::<Vec<_>>() {
            self.forget(&id, out);
        }
        for offer in configured {
            let id = offer.flavour(&self.me);
            let kept = self.own.get(&id);
            let withdrawn = kept.is_some_and(|own| own.withdrawn);
            if kept.is_none_or(|own| own.offer != *offer || own.by_hand) {
                let own = Box::new(Own { offer: offer.clone(), by_hand: false, withdrawn, epoch: Epoch::default() });
                out.push(Effect::Keep(Row::put(Table::Flavours, id.as_bytes(), &*own)));
                self.own.insert(id, own);
            }
        }
        self.announce_all(out);
    }

    // -- private ----------------------------------------------------------------------------------------

    fn next_epoch(&mut self) -> Epoch {
        self.epoch.changes += u64::from(!planted::is(Bug::StaleEpoch));
        self.epoch
    }

    fn changed(&mut self, flavour: FlavourId, out: &mut Vec<Effect>) {
        let epoch = self.next_epoch();
        self.announce(flavour, epoch, out);
    }

    fn announce(&mut self, id: FlavourId, epoch: Epoch, out: &mut Vec<Effect>) {
        if let Some(own) = self.own.get_mut(&id) {
            own.epoch = epoch;
        }
        if let Some(flavour) = self.flavour(&id) {
            out.push(Effect::OwnChanged(Box::new(flavour)));
        }
    }

    fn announce_all(&mut self, out: &mut Vec<Effect>) {
        for id in self.own.keys().copied().collect::<Vec<_>>() {
            self.changed(id, out);
        }
    }
}

/// Returns what groups all ways to an own flavour, whoever shows them under whatever id.
fn origin(id: &FlavourId) -> FlavourId {
    FlavourId::derive("origin", &[id.as_bytes()])
}

/// Records a step of a story that somebody follows.
pub(crate) fn tell(trace: Trace, deed: Deed, out: &mut Vec<Effect>) {
    match trace {
        Trace::None => {}
        Trace::Own(_) | Trace::Served(_) => out.push(Effect::Did(trace, deed)),
    }
}

/// Checks what a taker may ask for, and returns what it costs.
fn price_for(flavour: &Flavour, part: &Resources, taker: Taker) -> Result<Rate, Refusal> {
    let price = flavour.price.of(part, &flavour.base).ok_or_else(|| {
        Refusal::new(Code::TooLarge, format!("flavour {}: the price of {part} is beyond counting", flavour.id))
    });
    match taker {
        Taker::Local { .. } => price,
        Taker::Remote { buyer: _, ceiling } => {
            partition::check(flavour, part)?;
            let price = price?;
            match price.within(&ceiling) {
                Some(true) => Ok(price),
                Some(false) if planted::is(Bug::IgnoreCeiling) => Ok(price),
                Some(false) => Err(Refusal::new(
                    Code::PriceTooLow,
                    format!("flavour {}: {price} for {part} is over the ceiling of {ceiling}", flavour.id),
                )),
                None => Err(Refusal::new(
                    Code::CurrencyMismatch,
                    format!("flavour {} is paid in {}, not in {}", flavour.id, price.currency, ceiling.currency),
                )),
            }
        }
    }
}

/// Answers a repeat.
fn granted_before(old: &Allocation, of: FlavourId, part: &Resources, taker: Taker) -> Result<Grant, Refusal> {
    match (&old.role, taker) {
        _ if old.status == Status::Released => {
            Err(Refusal::new(Code::Closed, format!("allocation {} has been released", old.id)))
        }
        (Role::Node { flavour, buyer, price, granted }, Taker::Remote { buyer: asker, .. })
            if *flavour == of && *buyer == asker && old.resources == *part =>
        {
            Ok(Grant { price: *price, epoch: *granted, again: true })
        }
        _ => Err(Refusal::new(Code::KeyReused, format!("allocation {} stands for something else", old.id))),
    }
}

/// Returns what is left of a base; nothing where more is taken than there is.
fn less(base: &Resources, taken: &Resources) -> Resources {
    let mut left = *base;
    for resource in Resource::ALL {
        *left.of_mut(resource) = base.of(resource).checked_sub(taken.of(resource)).unwrap_or_default();
    }
    left
}

/// Returns a sum; where it is beyond counting, the larger of the two, which is beyond any base as well.
fn plus(sum: &Resources, part: &Resources) -> Resources {
    let mut total = *sum;
    for resource in Resource::ALL {
        let (a, b) = (sum.of(resource), part.of(resource));
        *total.of_mut(resource) = a.checked_add(b).unwrap_or(a.max(b));
    }
    total
}
