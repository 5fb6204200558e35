//! When either of the two that a relay joins ends, so does the other.

use kernel::{
    ContractId, Key, Time,
    planted::{self, Bug},
};
use rear_proto::{local::Side, message::EndReason};

use crate::{
    close::Tell,
    keys::closed,
    mail::Effect,
    manager::{Expiry, Manager, refuse},
    record::Name,
    seller::{Phase, Sale},
};

impl Manager {
    /// Ends the contract that a relay has joined with one that has ended for this reason.
    pub(crate) fn close_joined(&mut self, now: Time, id: ContractId, reason: EndReason, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get(&id) else { return };
        let (other, side) = (agreement.record.link.map(|link| link.other), agreement.record.side);
        let Some(other) = other.filter(|_| side == Side::Consumer || !planted::is(Bug::KeepBack)) else { return };
        self.close_one(now, other, passed_on(reason, side), Tell::Yes, false, out);
    }

    /// Gives up what was asked for or is held one hop on for this order.
    pub(crate) fn drop_back(&mut self, now: Time, name: &Name, reason: EndReason, out: &mut Vec<Effect>) {
        let Some(relay) = self.sales.get(name).and_then(|sale| sale.relay) else { return };
        self.drop_buy(now, relay.back, reason, Tell::Yes, out);
    }

    /// Says whether the next hop is being told that something asked for or agreed for this order is over.
    pub(crate) fn is_told_onward(&self, name: &Name) -> bool {
        let back = self.sales.get(name).and_then(|sale| sale.relay).map(|relay| relay.back);
        back.is_some_and(|key| self.tellings.contains_key(&Name { buyer: self.me, key }))
    }

    /// What is held one hop on is no longer: nor is it here.
    pub(crate) fn back_hold_over(&mut self, now: Time, key: &Key, reason: EndReason, out: &mut Vec<Effect>) {
        if let Some(name) = self.fronts.get(key).copied() {
            self.end_sale(now, name, reason, Tell::Yes, None, out);
        }
    }

    /// Ends the asker's order that was forwarded and not answered yet: it was released.
    pub(crate) fn end_forwarded(&mut self, now: Time, name: Name, reason: EndReason, out: &mut Vec<Effect>) {
        let Some(sale) = self.sales.get_mut(&name) else { return };
        let Phase::Asked(asked) = std::mem::replace(&mut sale.phase, Phase::Ending { waiters: Vec::new() }) else {
            return;
        };
        for ticket in asked.tickets {
            refuse(ticket, closed(&name, reason), out);
        }
        let until = now + asked.deadline.times(2).max(crate::admit::LATEST_START);
        self.keys.release(name, reason, until, self.config.max_refusals_per_buyer);
        self.pending.remove(&name);
        self.drop_back(now, &name, reason, out);
        self.wind_up(now, name, out);
    }

    /// Ends a hold that was given over one of the next hop's, whose end is under way.
    pub(crate) fn front_hold_over(&mut self, now: Time, name: Name, reason: EndReason, out: &mut Vec<Effect>) {
        let Some(order) = self.sales.get(&name).map(|sale| sale.order) else { return };
        self.expiries.cancel(&Expiry::Hold(name));
        self.end_hold(now, &name, Tell::No.end(reason, now), out);
        self.vacate(now, name, order, reason, Vec::new(), out);
    }

    /// The next hop knows that what was bought under this key is over, or will not be told any more.
    pub(crate) fn back_told(&mut self, key: &Key, out: &mut Vec<Effect>) {
        if let Some(name) = self.fronts.get(key).copied() {
            self.settle_sale(name, out);
        }
    }

    /// Ends a sale that is ending, if nothing of it is left here or one hop on.
    pub(crate) fn settle_sale(&mut self, name: Name, out: &mut Vec<Effect>) {
        let at_rear = match self.sales.get(&name) {
            Some(Sale { phase: Phase::Ending { .. }, relay: Some(relay), .. }) => relay.at_rear,
            Some(Sale { phase: Phase::Ending { .. }, relay: None, .. }) => false,
            _ => return,
        };
        if !at_rear && !self.is_told_onward(&name) {
            self.sale_over(name, out);
        }
    }

    /// Lets a sale that REAR never knew of end, once the next hop has been told.
    pub(crate) fn wind_up(&mut self, now: Time, name: Name, out: &mut Vec<Effect>) {
        let chore = crate::manager::Chore::AnswerRelease(name);
        self.chores.set(chore, now + self.config.capacity_back_within);
        self.settle_sale(name, out);
    }
}

/// Returns the reason that the party at the other side of a relay is given. That this node's neighbour forgot it is
/// nothing that a buyer's seller may say of itself.
const fn passed_on(reason: EndReason, ended: Side) -> EndReason {
    match (reason, ended) {
        (EndReason::Forgotten, Side::Consumer) => EndReason::Lost,
        _ => reason,
    }
}
