//! How contracts and holds come to life and end here: clocks set, rows kept, REAR and the others told.

use kernel::{
    ContractId, Digest, Key, NodeId, Span, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Refusal, Row, Table, Trace,
    local::{Outcome, Side},
    message::EndReason,
    story::Deed,
};

use crate::{
    agreement::{Agreement, virtual_node},
    keys::closed,
    mail::Effect,
    manager::{Chore, Expiry, Manager, refuse},
    purchase::lapsed,
    record::{End, Name},
    relay::forwarding,
    release::About,
    seller::Phase,
};

/// Whether the other party is told of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// It knows, or may not be spoken to.
    No,
    /// It is told.
    Yes,
    /// It is told, and REAR hears of the end when it has answered: then the capacity is back.
    Awaited,
}

impl Tell {
    /// Returns how an end for this reason is kept.
    pub(crate) fn end(self, reason: EndReason, at: Time) -> End {
        End { reason, at, untold: self != Self::No, awaited: self == Self::Awaited }
    }
}

impl Manager {
    /// Lets a contract live: its clocks run from here on.
    ///
    /// `heard` is when the other party was last surely alive, `activate_by` until when a peering must be open.
    pub(crate) fn bring_to_life(&mut self, agreement: Agreement, heard: Time, activate_by: Time, now: Time) {
        let (id, peer) = (agreement.id, agreement.record.peer.node);
        self.expiries.set(Expiry::Term(id), agreement.ends());
        self.expiries.set(Expiry::Lease(id), heard + self.config.lease);
        self.expiries.set(Expiry::Activation(id), activate_by);
        if !self.chores.has(&Chore::Keepalive(peer)) {
            // Somewhat earlier than need be, each its own while, so that a node's peers do not all speak at once.
            let every = self.config.keepalive_every();
            let first = Span::millis(every.0 - self.rng.below(every.0 / 3));
            self.chores.set(Chore::Keepalive(peer), now + first);
        }
        self.shared.entry(peer).or_default().insert(id);
        self.contracts.insert(id, agreement);
    }

    /// The peering of a contract is open.
    pub(crate) fn activated(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get_mut(&id).filter(|agreement| agreement.is_live()) else { return };
        self.expiries.cancel(&Expiry::Activation(id));
        if std::mem::replace(&mut agreement.active, true) {
            return;
        }
        let (name, link, side) = (agreement.name(), agreement.record.link, agreement.record.side);
        self.pending.remove(&name);
        if !std::mem::replace(&mut agreement.record.was_active, true) {
            out.push(Effect::Keep(agreement.row()));
        }
        self.plan_renewal(now, id);
        out.push(Effect::Changed { contract: id });
        if let Some(link) = link {
            if side == Side::Provider {
                out.push(Effect::Forwarding { allocation: forwarding(&name) });
            }
            self.activated(now, link.other, out);
        }
    }

    /// Says whether there is a signed contract of ours for a customer; one that rests on another's is over nothing here.
    pub(crate) fn look_up(&self, inquiry: u64, id: ContractId, customer: &NodeId, trace: Trace, out: &mut Vec<Effect>) {
        let found = self
            .contracts
            .get(&id)
            .filter(|agreement| agreement.is_live() && agreement.record.side == Side::Provider)
            .filter(|agreement| agreement.order.buyer == *customer && agreement.record.link.is_none())
            .map(Agreement::sold);
        if found.is_some() {
            out.push(Effect::Did(trace, Deed::ContractFound));
        }
        out.push(Effect::LookedUp { inquiry, found, trace });
    }

    /// No peering was open in time: never, or not again since the node started.
    pub(crate) fn activation_over(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let was_active = self.contracts.get(&id).is_some_and(|agreement| agreement.record.was_active);
        let reason = if was_active { EndReason::Lost } else { EndReason::NotActivated };
        self.close_contract(now, id, reason, Tell::Yes, out);
    }

    /// Ends a contract at this party, and the one that a relay has joined with it; does nothing to one that has ended.
    pub(crate) fn close_contract(
        &mut self,
        now: Time,
        id: ContractId,
        reason: EndReason,
        tell: Tell,
        out: &mut Vec<Effect>,
    ) {
        let is_kept = |it: &Agreement| it.renewing.is_some() && planted::is(Bug::RenewBeatsRelease);
        if self.contracts.get(&id).is_some_and(|it| it.is_live() && !is_kept(it)) {
            self.close_one(now, id, reason, tell, true, out);
            self.close_joined(now, id, reason, out);
        }
    }

    /// Ends one contract; where that is not `by_itself`, its other party has not brought it about.
    pub(crate) fn close_one(
        &mut self,
        now: Time,
        id: ContractId,
        reason: EndReason,
        tell: Tell,
        by_itself: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(agreement) = self.contracts.get_mut(&id).filter(|agreement| agreement.is_live()) else { return };
        agreement.record.end = Some(tell.end(reason, now));
        agreement.active = false;
        let waiters = agreement.renewing.take().map(|renewing| renewing.waiters).unwrap_or_default();
        let (name, side, was_active) = (agreement.name(), agreement.record.side, agreement.record.was_active);
        let (peer, order) = (agreement.record.peer.clone(), order_of(agreement));
        let relayed = agreement.record.link.is_some();
        out.push(Effect::Keep(agreement.row()));

        for expiry in [Expiry::Term(id), Expiry::Lease(id), Expiry::Activation(id)] {
            self.expiries.cancel(&expiry);
        }
        self.chores.cancel(&Chore::Renew(id));
        if let Some(shared) = self.shared.get_mut(&peer.node) {
            shared.remove(&id);
            if shared.is_empty() {
                self.shared.remove(&peer.node);
            }
        }
        self.ended.insert((now, id));
        self.bound_ended();

        for ticket in waiters {
            out.push(Effect::Respond { ticket, result: Err(closed(&name, reason)) });
        }
        if let Some(outcome) =
            outcome(reason, side, was_active).filter(|outcome| by_itself || *outcome == Outcome::Kept)
        {
            out.push(Effect::Rated { peer: peer.node, outcome });
        }
        out.push(Effect::Closed { contract: id });
        match side {
            Side::Provider => self.vacate(now, name, order, reason, Vec::new(), out),
            Side::Consumer => {
                self.forget_buy(now, &name.key, reason);
                if relayed {
                    self.end_renewing(&id, closed(&name, reason), out);
                } else if tell != Tell::Awaited {
                    self.ended(&name.key, reason, out);
                }
            }
        }
        if tell != Tell::No {
            self.tell(now, name, peer, reason, tell == Tell::Awaited, About::Contract(id), out);
        }
        out.push(Effect::Changed { contract: id });
    }

    /// Leaves the contracts that ended first to the ledger alone.
    pub(crate) fn bound_ended(&mut self) {
        while self.ended.len() > self.config.ended_shown {
            let Some((_, oldest)) = self.ended.pop_first() else { break };
            self.contracts.remove(&oldest);
        }
    }

    /// Ends a sale, whatever it has come to; `waiter` is answered when its capacity is back.
    pub(crate) fn end_sale(
        &mut self,
        now: Time,
        name: Name,
        reason: EndReason,
        tell: Tell,
        waiter: Option<Ticket>,
        out: &mut Vec<Effect>,
    ) {
        let Some(sale) = self.sales.get_mut(&name) else { return };
        match &mut sale.phase {
            Phase::Asked(_) if sale.relay.is_some() => self.end_forwarded(now, name, reason, out),
            Phase::Asked(asked) => {
                let (_, waiters) = asked.over.get_or_insert((reason, Vec::new()));
                waiters.extend(waiter);
                return;
            }
            Phase::Purchasing(purchasing) => {
                let tickets = std::mem::take(&mut purchasing.tickets);
                for ticket in tickets {
                    refuse(ticket, lapsed(&name, reason), out);
                }
                self.drop_back(now, &name, reason, out);
                self.end_held(now, name, reason, tell, out);
            }
            Phase::Ending { waiters } => {
                push_waiter(waiters, waiter, out);
                return;
            }
            Phase::Held => {
                self.drop_back(now, &name, reason, out);
                self.end_held(now, name, reason, tell, out);
            }
            Phase::Live(contract) => {
                let contract = *contract;
                self.close_contract(now, contract, reason, tell, out);
            }
        }
        match self.sales.get_mut(&name).map(|sale| &mut sale.phase) {
            Some(Phase::Ending { waiters }) => push_waiter(waiters, waiter, out),
            Some(Phase::Asked(_) | Phase::Held | Phase::Purchasing(_) | Phase::Live(_)) => {}
            // Nothing of it was left to wait for.
            None => out.extend(waiter.map(|ticket| Effect::Reply { ticket, answer: Answer::Released })),
        }
    }

    fn end_held(&mut self, now: Time, name: Name, reason: EndReason, tell: Tell, out: &mut Vec<Effect>) {
        let Some(order) = self.sales.get(&name).map(|sale| sale.order) else { return };
        self.end_hold(now, &name, tell.end(reason, now), out);
        self.vacate(now, name, order, reason, Vec::new(), out);
        if tell != Tell::No {
            let peer = rear_proto::Party { node: name.buyer, addresses: Vec::new() };
            self.tell(now, name, peer, reason, false, About::Hold, out);
        }
    }

    /// Gives a sale's capacity back to REAR, and closes its key.
    pub(crate) fn vacate(
        &mut self,
        now: Time,
        name: Name,
        order: Digest,
        reason: EndReason,
        waiters: Vec<Ticket>,
        out: &mut Vec<Effect>,
    ) {
        let Some(sale) = self.sales.get_mut(&name) else { return };
        sale.phase = Phase::Ending { waiters };
        let (allocation, at_rear) = (sale.allocation, sale.relay.is_none_or(|relay| relay.at_rear));
        self.pending.remove(&name);
        let until = now + self.config.keys_kept;
        let rows = self.keys.close(name, order, reason, until, self.config.max_keys);
        out.extend(rows.into_iter().map(Effect::Keep));
        if at_rear {
            out.push(Effect::Close { allocation, reason });
        }
        self.chores.set(Chore::AnswerRelease(name), now + self.config.capacity_back_within);
    }

    /// The operator wants an allocation's hold or contract ended; its buyer is told.
    pub(crate) fn evict(&mut self, now: Time, allocation: kernel::AllocationId, out: &mut Vec<Effect>) {
        match self.allocations.get(&allocation).copied() {
            Some(name) => self.end_sale(now, name, EndReason::Released, Tell::Yes, None, out),
            // Nothing of it is left here, so nothing of it must be left with REAR either.
            None => out.push(Effect::Close { allocation, reason: EndReason::Released }),
        }
    }

    /// REAR has an allocation's capacity back.
    pub(crate) fn freed(&mut self, allocation: kernel::AllocationId, out: &mut Vec<Effect>) {
        let Some(name) = self.allocations.get(&allocation).copied() else { return };
        let Some(sale) = self.sales.get_mut(&name).filter(|sale| matches!(sale.phase, Phase::Ending { .. })) else {
            return;
        };
        if let Some(relay) = &mut sale.relay {
            relay.at_rear = false;
        }
        self.settle_sale(name, out);
    }

    /// Nothing is left of a sale, or it has been waited for long enough: whoever released it is told.
    pub(crate) fn sale_over(&mut self, name: Name, out: &mut Vec<Effect>) {
        if !self.sales.get(&name).is_some_and(|sale| matches!(sale.phase, Phase::Ending { .. })) {
            return;
        }
        let Some(sale) = self.sales.remove(&name) else { return };
        self.allocations.remove(&sale.allocation);
        if let Some(relay) = sale.relay {
            self.fronts.remove(&relay.back);
        }
        self.chores.cancel(&Chore::AnswerRelease(name));
        if let Phase::Ending { waiters } = sale.phase {
            out.extend(waiters.into_iter().map(|ticket| Effect::Reply { ticket, answer: Answer::Released }));
        }
    }

    /// Keeps that a hold has ended unpurchased.
    pub(crate) fn end_hold(&mut self, now: Time, name: &Name, end: End, out: &mut Vec<Effect>) {
        if let Some(hold) = self.holds.get_mut(name).filter(|hold| hold.end.is_none() && hold.purchased.is_none()) {
            hold.end = Some(end);
            out.push(Effect::Keep(Row::put(Table::Reservations, name.bytes(), hold)));
            self.hold_over(now, *name, out);
        }
    }

    /// Keeps that a hold has become a contract.
    pub(crate) fn hold_purchased(&mut self, now: Time, name: &Name, out: &mut Vec<Effect>) {
        if let Some(hold) = self.holds.get_mut(name).filter(|hold| hold.end.is_none() && hold.purchased.is_none()) {
            hold.purchased = Some(now);
            out.push(Effect::Keep(Row::put(Table::Reservations, name.bytes(), hold)));
            self.hold_over(now, *name, out);
        }
    }

    fn hold_over(&mut self, now: Time, name: Name, out: &mut Vec<Effect>) {
        self.expiries.cancel(&Expiry::Hold(name));
        self.ended_holds.insert((now, name));
        while self.ended_holds.len() > self.config.ended_shown {
            let Some((_, oldest)) = self.ended_holds.pop_first() else { break };
            self.forget_hold(&oldest, out);
        }
    }

    /// Forgets the holds that ended long enough ago.
    pub(crate) fn forget_holds(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some((at, name)) = self.ended_holds.first().copied() {
            if at + self.config.keys_kept > now {
                break;
            }
            self.ended_holds.pop_first();
            self.forget_hold(&name, out);
        }
    }

    fn forget_hold(&mut self, name: &Name, out: &mut Vec<Effect>) {
        if self.holds.remove(name).is_some() {
            out.push(Effect::Keep(Row::drop(Table::Reservations, name.bytes())));
        }
    }

    /// A hold was not purchased in time.
    pub(crate) fn hold_lapsed(&mut self, now: Time, name: Name, out: &mut Vec<Effect>) {
        if name.buyer == self.me {
            self.taken_hold_lapsed(now, name, out);
        } else if !planted::is(Bug::KeepLapsedHold) {
            // The buyer counts from earlier and knows.
            self.end_sale(now, name, EndReason::Expired, Tell::No, None, out);
        }
    }

    /// Tells REAR that what this node bought or held under a key has ended.
    pub(crate) fn ended(&self, key: &Key, reason: EndReason, out: &mut Vec<Effect>) {
        out.push(Effect::Ended { key: *key, allocation: virtual_node(&self.me, key), reason });
    }
}

/// The most RELEASEs of one order that wait for its capacity: repeats of one, of which the last is enough.
const MAX_WAITERS: usize = 4;

fn push_waiter(waiters: &mut Vec<Ticket>, waiter: Option<Ticket>, out: &mut Vec<Effect>) {
    let Some(waiter) = waiter else { return };
    if waiters.len() >= MAX_WAITERS {
        let text = "a later RELEASE of the same reservation waits in its place";
        refuse(waiters.remove(0), Refusal::new(rear_proto::Code::Timeout, text), out);
    }
    waiters.push(waiter);
}

/// Returns the digest of a contract's order.
fn order_of(agreement: &Agreement) -> Digest {
    agreement.record.contract.claimed().map_or(Digest([0; 32]), |contract| contract.order.digest())
}

/// Returns how the other party did, where an end says something about that.
fn outcome(reason: EndReason, side: Side, was_active: bool) -> Option<Outcome> {
    match reason {
        EndReason::Released | EndReason::Expired => was_active.then_some(Outcome::Kept),
        EndReason::Lost => Some(Outcome::Failed),
        // What a buyer never used it may well have forgotten: it asked, and ended before the answer came.
        EndReason::Forgotten => (was_active || side == Side::Consumer).then_some(Outcome::Failed),
        EndReason::NotActivated | EndReason::Removed => None,
    }
}
