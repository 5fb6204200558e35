//! The relay's side: what passes through this node under two contracts, and takes no capacity of it.
//!
//! ```text
//! Contract ── Forward ──► Inactive ── Bind ──► its contract's ── Forwarding ──► Active ── Close ──► freed at once
//!                            ▲                                                    │
//!                            └──────────────────── a restart ─────────────────────┘  and dropped, unless Contract
//!                                                                                    speaks of it before all settles
//! ```

use kernel::{AllocationId, NodeId, Resources};

use crate::{
    allocation::{Allocation, Role, Status},
    mail::Effect,
    manager::Manager,
};

impl Manager {
    /// Makes an allocation of type Forwarding. After a start, to hear of it again is to have it confirmed.
    pub(crate) fn forward(
        &mut self,
        id: AllocationId,
        buyer: NodeId,
        seller: NodeId,
        resources: Resources,
        out: &mut Vec<Effect>,
    ) {
        self.unconfirmed.remove(&id);
        if self.capacity.allocation(&id).is_none() {
            let role = Role::Forwarding { buyer, seller };
            self.capacity.put(Allocation { id, role, status: Status::Inactive, contract: None, resources }, out);
        }
    }

    /// Takes note that something passes.
    pub(crate) fn forwarding(&mut self, id: AllocationId) {
        if self.is_forwarding(&id) {
            self.unconfirmed.remove(&id);
            self.capacity.set_status(&id, Status::Active);
        }
    }

    /// Returns whether an allocation is of type Forwarding.
    pub(crate) fn is_forwarding(&self, id: &AllocationId) -> bool {
        self.capacity.allocation(id).is_some_and(|allocation| matches!(allocation.role, Role::Forwarding { .. }))
    }
}
