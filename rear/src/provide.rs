//! The provider's side: what is offered, what is granted of it, and when it is free again.
//!
//! ```text
//! Contract ── Reserve ──► taken, Granted ── Bind ──► its contract's ── Close ──► Released ── Clear ──► V. Fabric
//!                │                                                                              │
//!                └──► Denied             a hold that was never bound is freed at once   Freed ◄── Gone
//! ```

use kernel::{
    AllocationId, ContractId, FlavourId, NodeId, Resources, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{Code, Refusal, Trace, price::Rate, story::Deed};

use crate::{
    allocation::{Allocation, Role, Status},
    capacity::{Taker, tell},
    mail::{Effect, Response},
    manager::Manager,
    offer::Offer,
};

impl Manager {
    pub(crate) fn offer_by_hand(&mut self, ticket: Ticket, offer: Offer, out: &mut Vec<Effect>) {
        let result = offer
            .check()
            .map(|()| Response::Offered(self.capacity.offer(offer, true, out)))
            .map_err(|wrong| Refusal::new(Code::Malformed, wrong.to_string()));
        out.push(Effect::Respond { ticket, result });
    }

    pub(crate) fn withdraw_by_hand(&mut self, ticket: Ticket, flavour: FlavourId, out: &mut Vec<Effect>) {
        let result = if self.capacity.withdraw(&flavour, out) {
            Ok(Response::Withdrawn)
        } else {
            Err(Refusal::new(Code::NotFound, format!("flavour {flavour} is not offered here")))
        };
        out.push(Effect::Respond { ticket, result });
    }

    #[allow(clippy::too_many_arguments, reason = "they are the fields of one input")]
    pub(crate) fn reserve(
        &mut self,
        allocation: AllocationId,
        buyer: NodeId,
        flavour: FlavourId,
        partition: Resources,
        ceiling: Rate,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        match self.capacity.take(allocation, flavour, partition, Taker::Remote { buyer, ceiling }, trace, out) {
            Ok(grant) => {
                if !grant.again {
                    tell(trace, Deed::ReservedAtSeller, out);
                }
                out.push(Effect::Granted { allocation, price: grant.price, epoch: grant.epoch });
            }
            Err(refusal) => out.push(Effect::Denied { allocation, refusal }),
        }
    }

    pub(crate) fn bind(&mut self, now: Time, id: AllocationId, contract: ContractId, out: &mut Vec<Effect>) {
        let Some(allocation) = self.capacity.allocation(&id).cloned() else { return };
        let (buyer, seller) = match allocation.role {
            Role::Node { buyer, .. } => (buyer, None),
            Role::Forwarding { buyer, seller } => (buyer, Some(seller)),
            Role::VirtualNode { .. } | Role::Local { .. } => return,
        };
        self.unconfirmed.remove(&id);
        if allocation.contract == Some(contract) || allocation.status == Status::Released {
            return;
        }
        for peer in std::iter::once(buyer).chain(seller) {
            self.ratings.note_contract(now, peer, out);
        }
        self.capacity.put(Allocation { contract: Some(contract), ..allocation }, out);
    }

    /// Ends an allocation of type Node or Forwarding. Whatever may have workloads is cleared first.
    pub(crate) fn close(&mut self, id: AllocationId, out: &mut Vec<Effect>) {
        let Some(allocation) = self.capacity.allocation(&id) else {
            // Freed before: whoever waits for that is told again.
            out.push(Effect::Freed { allocation: id });
            return;
        };
        match allocation.role {
            Role::VirtualNode { .. } | Role::Local { .. } => {}
            Role::Node { .. } if allocation.status == Status::Released => {}
            Role::Node { .. } if allocation.contract.is_some() && !planted::is(Bug::FreeEarly) => {
                self.release_allocation(id, out);
            }
            Role::Node { .. } | Role::Forwarding { .. } => self.freed(id, out),
        }
    }

    /// Marks an allocation of an own flavour as released, and has its workloads stopped.
    pub(crate) fn release_allocation(&mut self, id: AllocationId, out: &mut Vec<Effect>) {
        if let Some(allocation) = self.capacity.allocation(&id).cloned() {
            self.capacity.put(Allocation { status: Status::Released, ..allocation }, out);
            out.push(Effect::Clear { allocation: id });
        }
    }

    /// Takes note that the workloads of an allocation are gone: if it was released, its capacity is free. If it
    /// was not, that was for the Virtual Fabric's own reasons, and it will say so again when asked to clear it.
    pub(crate) fn gone(&mut self, id: AllocationId, out: &mut Vec<Effect>) {
        let Some(allocation) = self.capacity.allocation(&id).filter(|a| a.status == Status::Released) else { return };
        match allocation.role {
            Role::Node { .. } => self.freed(id, out),
            Role::Local { .. } => {
                self.capacity.free(&id, out);
                self.local_freed(id, out);
            }
            Role::VirtualNode { .. } | Role::Forwarding { .. } => {}
        }
    }

    /// Frees an allocation of type Node or Forwarding, and says so.
    pub(crate) fn freed(&mut self, id: AllocationId, out: &mut Vec<Effect>) {
        self.unconfirmed.remove(&id);
        self.capacity.free(&id, out);
        out.push(Effect::Freed { allocation: id });
        for ticket in self.evicting.remove(&id).unwrap_or_default() {
            out.push(Effect::Respond { ticket, result: Ok(Response::Released) });
        }
    }

    /// Takes note that a customer has opened its peering. Every time, so that one who opens it anew is answered.
    pub(crate) fn peered_as_provider(&mut self, id: AllocationId, trace: Trace, out: &mut Vec<Effect>) {
        let provided = self.capacity.allocation(&id).filter(|allocation| matches!(allocation.role, Role::Node { .. }));
        match provided.map(|allocation| allocation.status) {
            Some(Status::Inactive) => {
                self.capacity.set_status(&id, Status::Active);
                tell(trace, Deed::ProviderActivated, out);
                out.push(Effect::Activated { allocation: id, trace });
            }
            Some(Status::Active) => out.push(Effect::Activated { allocation: id, trace }),
            Some(Status::Released) | None => {}
        }
    }
}
