//! PURCHASE: what is held becomes a contract.

use kernel::{ContractId, Digest, NodeId, Ticket, Time};
use rear_proto::{
    Answer, Code, Refusal, Trace,
    contract::Held,
    message::{Buy, EndReason},
};

use crate::{
    close::Tell,
    keys::{closed, reused},
    mail::Effect,
    manager::{Manager, refuse},
    record::Name,
    seller::{Drawn, Phase},
};

impl Manager {
    /// PURCHASE.
    pub(crate) fn asked_purchase(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        buy: &Buy,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        match self.purchase(now, ticket, &from, buy, trace, out) {
            Ok(Some(answer)) => out.push(Effect::Reply { ticket, answer }),
            // It is asked for one hop on.
            Ok(None) => {}
            Err(refusal) => refuse(ticket, refusal, out),
        }
    }

    fn purchase(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: &NodeId,
        buy: &Buy,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Answer>, Refusal> {
        let purchase = buy.purchase.open(from).map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
        self.check_clock(now, buy.now)?;
        self.check_storage()?;
        let name = Name { buyer: *from, key: purchase.key };
        let not_held = || Refusal::new(Code::NotFound, format!("nothing is held for the sender under {}", name.key));
        let Some(sale) = self.sales.get(&name) else {
            return Err(self.keys.closed(now, &name).map_or_else(not_held, |reason| lapsed(&name, reason)));
        };
        match &sale.phase {
            Phase::Asked(_) => Err(not_held()),
            Phase::Ending { .. } => Err(lapsed(&name, self.keys.closed(now, &name).unwrap_or(EndReason::Released))),
            Phase::Live(contract) => self.purchased_before(&name, contract, purchase.reserved).map(Some),
            Phase::Purchasing(_) => self.join_purchase(now, ticket, &name, buy).map(|()| None),
            Phase::Held => {
                let relayed = sale.relay.is_some();
                let hold = self.holds.get(&name).ok_or_else(not_held)?;
                if hold.reserved.digest() != purchase.reserved {
                    return Err(reused(&name));
                }
                if hold.lapses.max(self.suspended) <= now {
                    self.end_sale(now, name, EndReason::Expired, Tell::No, None, out);
                    return Err(lapsed(&name, EndReason::Expired));
                }
                if relayed {
                    return self.forward_purchase(now, ticket, name, buy, trace, out).map(|()| None);
                }
                let reserved = hold.reserved.claimed().ok_or_else(not_held)?;
                let order = reserved.order.claimed().ok_or_else(not_held)?;
                let held = Held { reserved: hold.reserved.clone(), purchase: buy.purchase.clone() };
                let drawn = Drawn {
                    signed: reserved.order.clone(),
                    order: order.clone(),
                    held: Some(held),
                    abroad: hold.abroad,
                };
                let answer = self.sign_contract(now, name, drawn, reserved.price, trace, out).ok_or_else(|| {
                    Refusal::new(Code::Unavailable, "the seller has no proof of its own membership yet")
                })?;
                self.hold_purchased(now, &name, out);
                Ok(Some(answer))
            }
        }
    }

    /// Answers a PURCHASE of what is a contract already.
    fn purchased_before(&self, name: &Name, contract: &ContractId, reserved: Digest) -> Result<Answer, Refusal> {
        let signed = self.contracts.get(contract).map(|agreement| &agreement.record.contract);
        let held = signed.and_then(|signed| signed.claimed()).and_then(|contract| contract.held.as_ref());
        match (signed, held) {
            (Some(signed), Some(held)) if held.reserved.digest() == reserved => Ok(Answer::Contract(signed.clone())),
            _ => Err(reused(name)),
        }
    }
}

/// The refusal of a PURCHASE of what is over.
pub(crate) fn lapsed(name: &Name, reason: EndReason) -> Refusal {
    if reason == EndReason::Expired {
        return Refusal::new(Code::Expired, format!("the time to purchase reservation {} has passed", name.key));
    }
    closed(name, reason)
}
