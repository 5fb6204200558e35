//! An order goes one hop on, or its asker hears why not.

use kernel::{AllocationId, Time};
use rear_proto::{
    Code, Refusal, Signed,
    local::{Onward, Way},
    message::EndReason,
    story::Deed,
};

use crate::{
    admit::LATEST_START,
    buyer::{Buy, Stage, Tries},
    keys::closed,
    mail::Effect,
    manager::{Manager, refuse},
    record::Name,
    relay::{self, Relay},
    seller::{Asked, Phase, Sale},
};

impl Manager {
    /// Discovery says where an order leads.
    pub(crate) fn resolved(
        &mut self,
        now: Time,
        allocation: AllocationId,
        way: Result<Way, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Some(name) = self.allocations.get(&allocation).copied() else { return };
        let Some(Sale { phase: Phase::Asked(asked), .. }) = self.sales.get_mut(&name) else { return };
        if !std::mem::take(&mut asked.resolving) {
            return;
        }
        let done = match (&asked.over, way) {
            (Some((reason, _)), _) => Err(closed(&name, *reason)),
            (None, Err(refusal)) => Err(refusal),
            (None, Ok(Way::Here(flavour))) => return self.draw_up(&name, flavour, out),
            (None, Ok(Way::Onward(way))) => self.forward(now, name, *way, out),
        };
        if let Err(refusal) = done {
            self.denied(now, allocation, refusal, out);
        }
    }

    /// Signs the own order for what another node has ordered, and sends it.
    fn forward(&mut self, now: Time, name: Name, way: Onward, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        self.check_storage()?;
        let Some(credentials) = self.credentials.clone() else { return Err(Code::Unavailable.into()) };
        let Some(Sale { phase: Phase::Asked(asked), .. }) = self.sales.get(&name) else { return Ok(()) };
        let Some(front) = asked.order.claimed() else { return Err(Code::Malformed.into()) };
        if way.seller.node == name.buyer || way.seller.node == self.me {
            return Err(Refusal::new(
                Code::LoopDetected,
                "the way to this flavour leads back to where the order came from",
            ));
        }
        let until = relay::before(asked.until, self.config.hop_margin);
        if until <= now {
            return Err(Refusal::new(Code::Timeout, "there is no time left to ask the next hop"));
        }
        let order = relay::order(front, self.me, &way);
        let (key, mode) = (order.key, order.mode);
        let own = Name { buyer: self.me, key };
        // It was asked for before, and is being given back.
        if self.buys.contains_key(&key) || self.tellings.contains_key(&own) {
            return Err(closed(&name, EndReason::Released));
        }
        if let Some(reason) = self.keys.closed(now, &own) {
            return Err(closed(&name, reason));
        }
        let Asked { trace, since, .. } = **asked;
        let endorsement = relay::endorse(&asked.endorsement, front.tunnel_key, way.abroad, &credentials, &self.signer);
        let leaves = matches!(asked.caller, rear_proto::local::Caller::Partner { .. });
        let relay = Relay { back: key, margin: way.margin, leaves, at_rear: false };
        self.rename_allocation(&name, relay);
        let buy = Buy {
            request: None,
            trace,
            seller: way.seller,
            order: Signed::new(order, &self.signer),
            endorsement: Some(endorsement),
            mode,
            renew: false,
            stage: Stage::Asking(Tries::new(since, until)),
        };
        self.buys.insert(key, buy);
        self.fronts.insert(key, name);
        out.push(Effect::Did(trace, Deed::ReserveSent));
        self.say(now, key, out);
        Ok(())
    }

    /// A sale turns out to be a relay's: its allocation is one of type Forwarding.
    fn rename_allocation(&mut self, name: &Name, relay: Relay) {
        let Some(sale) = self.sales.get_mut(name) else { return };
        self.allocations.remove(&sale.allocation);
        sale.allocation = relay::forwarding(name);
        sale.relay = Some(relay);
        self.allocations.insert(sale.allocation, *name);
    }

    /// What was asked for one hop on is not to be had, and has been given up: whoever wants it hears why.
    pub(crate) fn forward_failed(&mut self, now: Time, name: Name, refusal: &Refusal, out: &mut Vec<Effect>) {
        let refusal = relay::passed_on(refusal);
        let Some(sale) = self.sales.get_mut(&name) else { return };
        let order = sale.order;
        match std::mem::replace(&mut sale.phase, Phase::Ending { waiters: Vec::new() }) {
            Phase::Asked(asked) => {
                let Asked { tickets, deadline, .. } = *asked;
                for ticket in tickets {
                    refuse(ticket, refusal.clone(), out);
                }
                let (until, most) = (now + deadline.times(2), self.config.max_refusals_per_buyer);
                if self.is_told_onward(&name) {
                    // The next hop may have granted it all the same: it is given back, and can't be had again.
                    self.keys.release(name, EndReason::Released, until.max(now + LATEST_START), most);
                } else if refusal.code() != Code::Overloaded {
                    self.keys.refuse(name, order, refusal, until, most);
                }
                self.pending.remove(&name);
                self.wind_up(now, name, out);
            }
            Phase::Purchasing(purchasing) => {
                for ticket in purchasing.tickets {
                    refuse(ticket, refusal.clone(), out);
                }
                let reason = if refusal.code() == Code::Expired { EndReason::Expired } else { EndReason::Released };
                self.front_hold_over(now, name, reason, out);
            }
            before @ (Phase::Held | Phase::Live(_) | Phase::Ending { .. }) => sale.phase = before,
        }
    }
}
