//! Giving back: whatever a request has come to, and after a restart whatever nobody claims.

use kernel::{AllocationId, Key, RequestId};
use rear_proto::{Code, Refusal, Trace, message::EndReason};

use crate::{
    allocation::{Role, Status},
    mail::{Effect, Response},
    manager::Manager,
    request::{Request, Stage},
};

impl Manager {
    /// Gives back all that a request has; says so when all of it is back.
    pub(crate) fn release(&mut self, id: RequestId, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else {
            out.push(Effect::Released { request: id });
            return;
        };
        if request.releasing {
            return;
        }
        request.releasing = true;
        match request.stage {
            Stage::Finding | Stage::Discovering | Stage::Adopting(_) | Stage::Over => self.over(id, out),
            Stage::Reserving(key) | Stage::Held(key) | Stage::Purchasing(key) => {
                request.ending.insert(key);
                out.push(Effect::End { key, reason: EndReason::Released });
                self.over(id, out);
            }
            Stage::Peering(allocation) | Stage::Ready(allocation, _) => {
                // What was made by hand is ended by hand.
                if self.origin_of(&allocation).is_some()
                    && let Some(key) = self.key_of(&allocation)
                {
                    self.end_order(key, Some(id), EndReason::Released, out);
                }
                self.over(id, out);
            }
            Stage::Local(allocation) => self.release_allocation(allocation, out),
        }
    }

    /// The capacity of a local use is back.
    pub(crate) fn local_freed(&mut self, allocation: AllocationId, out: &mut Vec<Effect>) {
        for id in self.users_of(&allocation) {
            self.over(id, out);
        }
    }

    /// After a restart: gives a request the local allocation that it rests on.
    pub(crate) fn adopt_local(&mut self, id: RequestId, allocation: AllocationId, origin: Key, out: &mut Vec<Effect>) {
        let there = self.capacity.allocation(&allocation).is_some_and(|kept| {
            kept.role.flavour().is_some_and(|flavour| kept.role == Role::Local { flavour, origin })
                && kept.status != Status::Released
        });
        if there {
            let request = Request::new(Some(origin), Trace::None, Stage::Local(allocation));
            self.requests.entry(id).or_insert(request);
            self.users.insert((allocation, id));
            out.push(Effect::LookedUp { request: id, local: Some(allocation) });
        } else {
            let text = format!("allocation {allocation} is not here");
            out.push(Effect::Ended { request: id, reason: EndReason::Forgotten, text });
        }
    }

    /// Ends what was bought under a key, for a request that gives it up or for the operator.
    pub(crate) fn end_order(&mut self, key: Key, user: Option<RequestId>, reason: EndReason, out: &mut Vec<Effect>) {
        if let Some(id) = user
            && let Some(request) = self.requests.get_mut(&id)
        {
            request.ending.insert(key);
            self.orders.insert(key, id);
        }
        let Some(allocation) = self.bought.get(&key).copied() else { return };
        if self.is_virtual_node(&allocation) {
            self.capacity.set_status(&allocation, Status::Released);
            out.push(Effect::End { key, reason });
        }
    }

    /// Nothing more comes of this key.
    pub(crate) fn key_over(&mut self, key: Key, out: &mut Vec<Effect>) {
        if let Some(id) = self.orders.remove(&key)
            && let Some(request) = self.requests.get_mut(&id)
        {
            request.ending.remove(&key);
            if request.stage == Stage::Over {
                self.over(id, out);
            }
        }
        for ticket in self.releasing.remove(&key).unwrap_or_default() {
            out.push(Effect::Respond { ticket, result: Ok(Response::Released) });
        }
    }

    /// After a start: gives back what no contract has confirmed, and what no intent has claimed.
    pub(crate) fn settle(&mut self, out: &mut Vec<Effect>) {
        let waits = |(id, request): (&RequestId, &Request)| matches!(request.stage, Stage::Adopting(_)).then_some(*id);
        for id in self.requests.iter().filter_map(waits).collect::<Vec<_>>() {
            self.end_of(id, EndReason::Forgotten, "its contract is not known here", out);
        }
        for allocation in std::mem::take(&mut self.unconfirmed) {
            if self.is_forwarding(&allocation) {
                self.freed(allocation, out);
                continue;
            }
            let users = self.users_of(&allocation);
            self.drop_virtual_node(allocation, out);
            for id in users {
                let refusal = Refusal::new(Code::NotFound, "its contract is not known here");
                self.lose(id, EndReason::Forgotten, refusal, out);
            }
        }
        let unclaimed = |id: &AllocationId| self.users_of(id).is_empty();
        let living = self.capacity.living().filter(|a| a.status != Status::Released && unclaimed(&a.id));
        let left: Vec<_> = living.map(|allocation| (allocation.id, allocation.role.clone())).collect();
        for (id, role) in left {
            match role {
                Role::VirtualNode { key, origin: Some(_), .. } => {
                    self.end_order(key, None, EndReason::Released, out);
                }
                Role::Local { .. } => self.release_allocation(id, out),
                Role::VirtualNode { origin: None, .. } | Role::Node { .. } | Role::Forwarding { .. } => {}
            }
        }
    }
}
