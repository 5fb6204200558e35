//! What the operator does by hand: reserve, purchase, release.
//!
//! An order by hand goes the same way as a request's, under a number of its own kind, and stops at the contract:
//! a virtual node that is peered when an intent uses it.

use std::collections::VecDeque;

use kernel::{AllocationId, ContractId, FlavourId, Key, NodeId, RequestId, Resources, Span, Ticket};
use rear_proto::{
    Code, Flavour, Mode, Refusal, Trace,
    local::{Bought, Candidate, Pick, Wish},
    message::EndReason,
    partition,
    price::Rate,
};

use crate::{
    acquire::ceiling,
    allocation::{Allocation, Role},
    mail::{Effect, Response},
    manager::Manager,
    request::Choice,
};

/// Requests by hand have numbers from here on, and the orchestrator's stay below.
const BY_HAND: u64 = 1 << 63;

/// An order by hand.
#[derive(Debug)]
pub(crate) struct HandOrder {
    /// Who waits.
    ticket: Option<Ticket>,
    flavour: FlavourId,
    need: Resources,
    exactly: bool,
    mode: Mode,
    term: Span,
    activate_within: Span,
    key: Key,
    stage: HandStage,
    /// Other ways to the same flavour.
    pub(crate) ways: VecDeque<Choice>,
    tries: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandStage {
    Finding,
    Reserving(Key),
    Held(Key),
    Purchasing(Key),
}

impl HandOrder {
    #[allow(clippy::too_many_arguments, reason = "they are the fields of one input")]
    pub(crate) const fn new(
        ticket: Ticket,
        flavour: FlavourId,
        need: Resources,
        exactly: bool,
        mode: Mode,
        term: Span,
        activate_within: Span,
        key: Key,
    ) -> Self {
        Self {
            ticket: Some(ticket),
            flavour,
            need,
            exactly,
            mode,
            term,
            activate_within,
            key,
            stage: HandStage::Finding,
            ways: VecDeque::new(),
            tries: 0,
        }
    }

    fn answer(&mut self, result: Result<Response, Refusal>, out: &mut Vec<Effect>) {
        if let Some(ticket) = self.ticket.take() {
            out.push(Effect::Respond { ticket, result });
        }
    }

    /// Returns what to ask one provider for.
    fn choice(&self, candidate: Candidate, direct: bool) -> Result<Choice, Refusal> {
        let flavour = &candidate.flavour;
        let partition = if self.exactly { self.need } else { partition::covering(flavour, &self.need)? };
        partition::check(flavour, &partition)?;
        let price = flavour.price.of(&partition, &flavour.base).ok_or_else(|| {
            Refusal::new(Code::TooLarge, format!("flavour {}: the price is beyond counting", flavour.id))
        })?;
        Ok(Choice::new(candidate, direct, partition, price))
    }
}

impl Manager {
    pub(crate) fn reserve_by_hand(&mut self, mut order: HandOrder, provider: Option<NodeId>, out: &mut Vec<Effect>) {
        if self.orders.contains_key(&order.key) || self.bought.contains_key(&order.key) {
            let text = format!("{} names another order", order.key);
            return order.answer(Err(Refusal::new(Code::KeyReused, text)), out);
        }
        if self.capacity.own(&order.flavour).is_some() {
            let text = format!("flavour {} is this node's own", order.flavour);
            return order.answer(Err(Refusal::new(Code::NotFound, text)), out);
        }
        let id = self.next_by_hand();
        out.push(self.find(id, Pick::Flavour(order.flavour, provider), 0));
        self.by_hand.insert(id, order);
    }

    fn next_by_hand(&mut self) -> RequestId {
        self.count += 1;
        RequestId(BY_HAND | self.count)
    }

    pub(crate) fn found_by_hand(&mut self, id: RequestId, candidates: Vec<Candidate>, out: &mut Vec<Effect>) {
        let Self { capacity, removed, .. } = self;
        let is_of_use = |flavour: &Flavour| !capacity.is_own(flavour) && !removed.contains(&flavour.provider.node);
        let Some(order) = self.by_hand.get_mut(&id).filter(|order| order.stage == HandStage::Finding) else { return };
        let text = format!("no candidate has the id {}: discover shows those that there are", order.flavour);
        let mut refusal = Refusal::new(Code::NotFound, text);
        let mut choices = Vec::new();
        for candidate in candidates.into_iter().filter(|candidate| is_of_use(&candidate.flavour)) {
            let direct = capacity.is_direct(&candidate.flavour);
            match order.choice(candidate, direct) {
                Ok(choice) => choices.push((!direct, choice.price.amount, choice.seller.node, choice)),
                Err(why) => refusal = why,
            }
        }
        // Its owner first, then the cheapest on the way.
        choices.sort_by_key(|(relayed, amount, node, _)| (*relayed, *amount, *node));
        order.ways = choices.into_iter().map(|(_, _, _, choice)| choice).collect();
        self.try_next_by_hand(id, refusal, out);
    }

    /// Tries the next way to the flavour; where there is none, answers with the refusal.
    fn try_next_by_hand(&mut self, id: RequestId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(order) = self.by_hand.get_mut(&id) else { return };
        let Some(choice) = order.ways.pop_front() else {
            order.answer(Err(refusal), out);
            self.by_hand.remove(&id);
            return;
        };
        // Another way is another order.
        let key = match order.tries {
            0 => order.key,
            n => Key::derive("order", &[order.key.as_bytes(), &n.to_le_bytes()]),
        };
        order.tries += 1;
        order.stage = HandStage::Reserving(key);
        self.orders.insert(key, id);
        let purchase = Box::new(Wish {
            key,
            seller: choice.seller,
            flavour: choice.flavour,
            epoch: choice.epoch,
            partition: choice.partition,
            mode: order.mode,
            term: order.term,
            renew: false,
            activate_within: Some(order.activate_within),
            ceiling: ceiling(&choice.price, None, self.config.tolerance_percent),
        });
        out.push(Effect::Start { request: id, purchase, trace: Trace::None });
    }

    pub(crate) fn held_by_hand(
        &mut self,
        id: RequestId,
        key: Key,
        price: Rate,
        purchase_within: Span,
        out: &mut Vec<Effect>,
    ) {
        if let Some(order) = self.by_hand.get_mut(&id).filter(|order| order.stage == HandStage::Reserving(key)) {
            order.stage = HandStage::Held(key);
            order.answer(Ok(Response::Held { key, price, purchase_within }), out);
        }
    }

    pub(crate) fn purchase_by_hand(&mut self, ticket: Ticket, key: Key, out: &mut Vec<Effect>) {
        let refuse = |code, text: String, out: &mut Vec<Effect>| {
            out.push(Effect::Respond { ticket, result: Err(Refusal::new(code, text)) });
        };
        if let Some(allocation) = self.bought.get(&key).and_then(|id| self.capacity.allocation(id)) {
            // A repeat, perhaps of one whose answer was lost: it is agreed.
            if let (Allocation { role: Role::VirtualNode { price, .. }, .. }, Some(contract)) =
                (allocation, allocation.contract)
            {
                let result = Ok(Response::Signed { contract, price: *price });
                out.push(Effect::Respond { ticket, result });
            }
            return;
        }
        let id = match self.orders.get(&key).copied() {
            Some(id) if !self.by_hand.contains_key(&id) => {
                return refuse(Code::Unavailable, format!("reservation {key} belongs to an intent"), out);
            }
            Some(id) => id,
            // From before a restart, perhaps: the Contract Manager knows.
            None => {
                let id = self.next_by_hand();
                let none = Resources::default();
                let order =
                    HandOrder::new(ticket, FlavourId([0; 16]), none, true, Mode::Hold, Span::ZERO, Span::ZERO, key);
                self.by_hand.insert(id, HandOrder { stage: HandStage::Held(key), ..order });
                self.orders.insert(key, id);
                id
            }
        };
        let Some(order) = self.by_hand.get_mut(&id) else { return };
        if order.stage != HandStage::Held(key) {
            return refuse(Code::Unavailable, format!("reservation {key} is being agreed already"), out);
        }
        order.ticket = Some(ticket);
        order.stage = HandStage::Purchasing(key);
        out.push(Effect::Purchase { request: id, key, trace: Trace::None });
    }

    pub(crate) fn signed_by_hand(&mut self, id: RequestId, key: Key, bought: Bought, out: &mut Vec<Effect>) {
        let waits = |order: &&mut HandOrder| matches!(order.stage, HandStage::Reserving(known) | HandStage::Purchasing(known) if known == key);
        let Some(order) = self.by_hand.get_mut(&id).filter(waits) else { return };
        order.answer(Ok(Response::Signed { contract: bought.id, price: bought.price }), out);
        self.by_hand.remove(&id);
        self.orders.remove(&key);
        self.allocate(key, &bought, None, out);
    }

    pub(crate) fn refused_by_hand(&mut self, id: RequestId, key: Key, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(order) = self.by_hand.get_mut(&id) else { return };
        match order.stage {
            HandStage::Reserving(known) if known == key => {
                self.key_over(key, out);
                self.try_next_by_hand(id, refusal, out);
            }
            HandStage::Held(known) | HandStage::Purchasing(known) if known == key => {
                order.answer(Err(refusal), out);
                self.by_hand.remove(&id);
                self.key_over(key, out);
            }
            HandStage::Finding | HandStage::Reserving(_) | HandStage::Held(_) | HandStage::Purchasing(_) => {}
        }
    }

    /// What was ordered by hand has ended before it was agreed.
    pub(crate) fn ended_by_hand(&mut self, key: Key, reason: EndReason, out: &mut Vec<Effect>) {
        let Some(id) = self.orders.get(&key).copied() else { return };
        if let Some(mut order) = self.by_hand.remove(&id) {
            let text = format!("reservation {key} has ended: {}", reason.name());
            order.answer(Err(Refusal::new(Code::Closed, text)), out);
        }
    }

    /// Ends what another node holds or uses here; the operator is answered when its capacity is back.
    fn evict(&mut self, ticket: Ticket, allocation: AllocationId, out: &mut Vec<Effect>) {
        self.evicting.entry(allocation).or_default().push(ticket);
        out.push(Effect::Evict { allocation });
    }

    /// Ends a reservation, a contract or an allocation, whichever has this id.
    pub(crate) fn release_by_hand(&mut self, ticket: Ticket, id: [u8; 16], out: &mut Vec<Effect>) {
        let key = Key(id);
        if self.orders.contains_key(&key) && !self.bought.contains_key(&key) {
            self.releasing.entry(key).or_default().push(ticket);
            out.push(Effect::End { key, reason: EndReason::Released });
            return;
        }
        let known = self.bought.get(&key).or_else(|| self.by_contract.get(&ContractId(id))).copied();
        let allocation = known.unwrap_or(AllocationId(id));
        if let Some(key) = self.key_of(&allocation) {
            self.releasing.entry(key).or_default().push(ticket);
            self.end_order(key, None, EndReason::Released, out);
            return;
        }
        let hex = key.to_string();
        let its = |a: &&Allocation| a.id == allocation || a.contract == Some(ContractId(id));
        let found = self.capacity.living().find(its).map(|found| (found.id, &found.role));
        let id = found.map_or(allocation, |(id, _)| id);
        let refusal = match found.map(|(_, role)| role) {
            Some(Role::Local { .. }) => {
                Refusal::new(Code::Unavailable, format!("allocation {hex} is used by an intent: delete that instead"))
            }
            Some(Role::Node { .. } | Role::Forwarding { .. }) => {
                // Answered when the capacity is back; its customer is told by Contract.
                return self.evict(ticket, id, out);
            }
            Some(Role::VirtualNode { .. }) | None => {
                Refusal::new(Code::NotFound, format!("no reservation, contract or allocation has the id {hex} here"))
            }
        };
        out.push(Effect::Respond { ticket, result: Err(refusal) });
    }
}
