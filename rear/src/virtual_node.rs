//! From a signed contract to a virtual node in use, and its end: allocations of type VirtualNode.

use kernel::{
    AllocationId, ContractId, Key, RequestId, Time,
    planted::{self, Bug},
};
use rear_proto::{Code, Refusal, Trace, local::Bought, message::EndReason, story::Deed};

use crate::{
    allocation::{Allocation, Role, Status},
    mail::Effect,
    manager::Manager,
    request::{Ending, Request, Stage},
};

impl Manager {
    // -- beginnings -------------------------------------------------------------------------------------

    pub(crate) fn signed(&mut self, now: Time, id: RequestId, key: Key, bought: Bought, out: &mut Vec<Effect>) {
        if self.bought.contains_key(&key) {
            return;
        }
        if self.by_hand.contains_key(&id) {
            self.ratings.note_contract(now, bought.seller, out);
            return self.signed_by_hand(id, key, bought, out);
        }
        let waits = |request: &&mut Request| matches!(request.stage, Stage::Reserving(order) | Stage::Purchasing(order) if order == key);
        let Some(request) = self.requests.get_mut(&id).filter(waits) else {
            // Nobody waits for it any more; if it is not being ended already, it has to be.
            if !self.orders.contains_key(&key) {
                out.push(Effect::End { key, reason: EndReason::Released });
            }
            return;
        };
        let (origin, allocation, trace) = (request.origin, bought.allocation, request.trace);
        request.tell(Deed::VirtualNodeAllocated, out);
        request.stage = Stage::Peering(allocation);
        self.users.insert((allocation, id));
        self.ratings.note_contract(now, bought.seller, out);
        self.allocate(key, &bought, origin, out);
        if let Some(request) = self.requests.get_mut(&id) {
            request.tell(Deed::PeeringStarted, out);
        }
        out.push(Effect::Peer { allocation, contract: bought.id, provider: bought.seller, trace });
    }

    /// Makes the allocation of what was bought.
    pub(crate) fn allocate(&mut self, key: Key, bought: &Bought, origin: Option<Key>, out: &mut Vec<Effect>) {
        let allocation = Allocation {
            id: bought.allocation,
            role: Role::VirtualNode { key, seller: bought.seller, price: bought.price, origin },
            status: Status::Inactive,
            contract: Some(bought.id),
            resources: bought.partition,
        };
        self.index(&allocation);
        self.capacity.put(allocation, out);
    }

    /// Lets a request use a contract that was made by hand.
    pub(crate) fn use_contract(&mut self, id: RequestId, contract: ContractId, trace: Trace, out: &mut Vec<Effect>) {
        if self.requests.contains_key(&id) {
            return;
        }
        let Some(allocation) = self.by_contract.get(&contract).copied().filter(|a| self.is_virtual_node(a)) else {
            let refusal = Refusal::new(Code::NotFound, format!("no contract {contract} lives here as a buyer's"));
            out.push(Effect::Failed { request: id, refusal });
            return;
        };
        if self.origin_of(&allocation).is_some() {
            let text = format!("contract {contract} belongs to another intent");
            out.push(Effect::Failed { request: id, refusal: Refusal::new(Code::Unavailable, text) });
            return;
        }
        self.requests.insert(id, Request::new(None, trace, Stage::Peering(allocation)));
        self.peer(id, allocation, out);
    }

    /// After a restart: finds the virtual node that a request rests on, or waits for it to be confirmed.
    pub(crate) fn adopt_remote(&mut self, id: RequestId, contract: ContractId, origin: Key, out: &mut Vec<Effect>) {
        if self.requests.contains_key(&id) {
            return;
        }
        let mut request = Request::new(Some(origin), Trace::None, Stage::Adopting(contract));
        request.adopted = true;
        self.requests.insert(id, request);
        match self.by_contract.get(&contract).copied().filter(|a| self.is_virtual_node(a)) {
            Some(allocation) if !self.unconfirmed.contains(&allocation) => self.peer(id, allocation, out),
            // It is confirmed in a moment, or given up when all has settled.
            Some(_) => {}
            None if self.settles_at.is_some() => {}
            None => self.end_of(id, EndReason::Forgotten, "its contract is not known here", out),
        }
    }

    /// After a restart: a contract that was bought lives on.
    pub(crate) fn restored(&mut self, key: Key, bought: Bought, out: &mut Vec<Effect>) {
        let allocation = bought.allocation;
        self.unconfirmed.remove(&allocation);
        if !self.is_virtual_node(&allocation) {
            // Rows and contracts are kept together, so this does not happen; if it did, nobody could claim it.
            self.allocate(key, &bought, Some(key), out);
        }
        let waits = |(id, request): (&RequestId, &Request)| {
            (request.stage == Stage::Adopting(bought.id) && !request.releasing).then_some(*id)
        };
        for id in self.requests.iter().filter_map(waits).collect::<Vec<_>>() {
            self.peer(id, allocation, out);
        }
    }

    /// Sets up the peering of a virtual node for a request that was given it, if it is not there already.
    fn peer(&mut self, id: RequestId, allocation: AllocationId, out: &mut Vec<Effect>) {
        let Some(Allocation { role: Role::VirtualNode { seller, .. }, status, contract: Some(contract), .. }) =
            self.capacity.allocation(&allocation).cloned()
        else {
            return;
        };
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.stage = Stage::Peering(allocation);
        self.users.insert((allocation, id));
        let trace = request.trace;
        if status == Status::Active {
            self.ready(id, out);
        } else {
            request.tell(Deed::PeeringStarted, out);
            out.push(Effect::Peer { allocation, contract, provider: seller, trace });
        }
    }

    // -- progress ---------------------------------------------------------------------------------------

    pub(crate) fn peered(&mut self, id: AllocationId, trace: Trace, out: &mut Vec<Effect>) {
        if !self.is_virtual_node(&id) {
            return self.peered_as_provider(id, trace, out);
        }
        self.capacity.set_status(&id, Status::Active);
        for request in self.users_of(&id) {
            self.ready(request, out);
        }
    }

    fn ready(&mut self, id: RequestId, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Stage::Peering(allocation) = request.stage else { return };
        let Some(Allocation { role: Role::VirtualNode { seller, price, .. }, contract: Some(contract), .. }) =
            self.capacity.allocation(&allocation)
        else {
            return;
        };
        request.stage = Stage::Ready(allocation, Ending::NotKnown);
        request.search = None;
        request.tell(Deed::ConsumerActivated, out);
        request.tell(Deed::PhasesOver, out);
        out.push(Effect::Ready { request: id, contract: *contract, provider: *seller, price: *price });
    }

    // -- ends -------------------------------------------------------------------------------------------

    /// The peering could not be set up, or was lost. What was bought for a request is given back; a contract made
    /// by hand is left to whoever made it.
    pub(crate) fn unpeered(&mut self, allocation: AllocationId, refusal: Refusal, out: &mut Vec<Effect>) {
        if !self.is_virtual_node(&allocation) {
            return;
        }
        let users = self.users_of(&allocation);
        let by_request = self.origin_of(&allocation).is_some();
        match (by_request, self.key_of(&allocation)) {
            (true, Some(key)) => self.end_order(key, users.first().copied(), EndReason::Lost, out),
            (true | false, _) => self.capacity.set_status(&allocation, Status::Inactive),
        }
        for id in users {
            self.lose(id, EndReason::Lost, refusal.clone(), out);
        }
    }

    /// What was bought, held or asked for has ended.
    pub(crate) fn ended(&mut self, key: Key, reason: EndReason, out: &mut Vec<Effect>) {
        if let Some(allocation) = self.bought.get(&key).copied().filter(|_| !planted::is(Bug::KeepVirtualNode)) {
            let users = self.users_of(&allocation);
            self.drop_virtual_node(allocation, out);
            let refusal = Refusal::new(Code::Closed, format!("the contract has ended: {}", reason.name()));
            for id in users {
                self.lose(id, reason, refusal.clone(), out);
            }
        }
        self.ended_by_hand(key, reason, out);
        // A hold lapsed, or an order came to nothing.
        if let Some(id) = self.orders.get(&key).copied()
            && let Some(request) = self.requests.get(&id)
            && request.order() == Some(key)
        {
            self.orders.remove(&key);
            let refusal = Refusal::new(Code::Closed, format!("the seller's part has ended: {}", reason.name()));
            if request.stage == Stage::Reserving(key) {
                self.next_after(id, refusal, out);
            } else {
                self.end_of(id, reason, &refusal.text(), out);
            }
        }
        self.key_over(key, out);
    }

    /// The seller will not go on: whoever uses it is told now, so that it can move in time.
    pub(crate) fn not_renewed(&mut self, key: Key, refusal: &Refusal, out: &mut Vec<Effect>) {
        let Some(allocation) = self.bought.get(&key).copied() else { return };
        for id in self.users_of(&allocation) {
            let Some(request) = self.requests.get_mut(&id) else { continue };
            if request.stage == Stage::Ready(allocation, Ending::NotKnown) && !request.releasing {
                request.stage = Stage::Ready(allocation, Ending::Told);
                let text = format!("its contract ends soon, the seller will not renew it: {}", refusal.text());
                out.push(Effect::Ended { request: id, reason: EndReason::Expired, text });
            }
        }
    }

    /// Takes from a request the virtual node that it rests on.
    pub(crate) fn lose(&mut self, id: RequestId, reason: EndReason, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Some(allocation) = request.allocation() {
            self.users.remove(&(allocation, id));
        }
        match request.stage {
            _ if request.releasing => {}
            // The orchestrator has not been told of any placement: it never needs to hear of this one.
            Stage::Peering(_) if !request.adopted => self.next_after(id, refusal, out),
            Stage::Ready(_, Ending::Told) => self.over(id, out),
            Stage::Peering(_) | Stage::Adopting(_) | Stage::Ready(_, Ending::NotKnown) => {
                self.end_of(id, reason, &refusal.text(), out);
            }
            Stage::Finding
            | Stage::Discovering
            | Stage::Reserving(_)
            | Stage::Held(_)
            | Stage::Purchasing(_)
            | Stage::Local(_)
            | Stage::Over => {}
        }
    }

    /// Tells the orchestrator that what a request rested on is over, and leaves the request with nothing.
    pub(crate) fn end_of(&mut self, id: RequestId, reason: EndReason, text: &str, out: &mut Vec<Effect>) {
        out.push(Effect::Ended { request: id, reason, text: text.to_owned() });
        self.over(id, out);
    }

    /// Drops an allocation of type VirtualNode.
    pub(crate) fn drop_virtual_node(&mut self, id: AllocationId, out: &mut Vec<Effect>) {
        self.unconfirmed.remove(&id);
        if let Some(freed) = self.capacity.free(&id, out) {
            if let Role::VirtualNode { key, .. } = freed.role {
                self.bought.remove(&key);
            }
            if let Some(contract) = freed.contract {
                self.by_contract.remove(&contract);
            }
        }
    }

    // -- looking up -------------------------------------------------------------------------------------

    /// Returns the requests that rest on an allocation.
    pub(crate) fn users_of(&self, id: &AllocationId) -> Vec<RequestId> {
        self.users.range((*id, RequestId(0))..=(*id, RequestId(u64::MAX))).map(|(_, request)| *request).collect()
    }

    pub(crate) fn key_of(&self, id: &AllocationId) -> Option<Key> {
        match self.capacity.allocation(id)?.role {
            Role::VirtualNode { key, .. } => Some(key),
            Role::Node { .. } | Role::Forwarding { .. } | Role::Local { .. } => None,
        }
    }

    /// Returns the request that a virtual node was bought for.
    pub(crate) fn origin_of(&self, id: &AllocationId) -> Option<Key> {
        match self.capacity.allocation(id)?.role {
            Role::VirtualNode { origin, .. } => origin,
            Role::Node { .. } | Role::Forwarding { .. } | Role::Local { .. } => None,
        }
    }
}
