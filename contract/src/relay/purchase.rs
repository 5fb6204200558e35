//! PURCHASE at a relay: what the next hop holds is purchased first.

use kernel::{Ticket, Time};
use rear_proto::{Code, Purchase, Refusal, Signed, Trace, message::Buy as BuyNow};

use crate::{
    admit::{MAX_DEADLINE, MAX_TICKETS},
    buyer::{Stage, Tries},
    keys::reused,
    mail::Effect,
    manager::{Expiry, Manager, none_yet},
    record::Name,
    relay,
    seller::{Phase, Sale},
};

/// A purchase that goes one hop on.
#[derive(Debug)]
pub(crate) struct Purchasing {
    /// The asker's.
    pub(crate) purchase: Signed<Purchase>,
    /// Who waits for the contract: the asker, and its repeats.
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) trace: Trace,
    /// Until when an answer is of use.
    pub(crate) until: Time,
}

impl Manager {
    /// Purchases what the next hop holds, for the asker's purchase of what is held for it here.
    pub(crate) fn forward_purchase(
        &mut self,
        now: Time,
        ticket: Ticket,
        name: Name,
        asked: &BuyNow,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let not_held = || Refusal::new(Code::NotFound, format!("nothing is held for the sender under {}", name.key));
        let deadline = asked.deadline.min(MAX_DEADLINE);
        let since = self.asked_since(now, &asked.extensions);
        let key = self.sales.get(&name).and_then(|sale| sale.relay).ok_or_else(not_held)?.back;
        let hold = self.holds.get(&Name { buyer: self.me, key }).ok_or_else(not_held)?;
        let (reserved, lapses) = (hold.reserved.digest(), hold.lapses.max(self.suspended));
        let buy = self.buys.get_mut(&key).filter(|buy| matches!(buy.stage, Stage::Held)).ok_or_else(not_held)?;
        let until = relay::before(now + deadline, self.config.hop_margin);
        if until <= now {
            return Err(Refusal::new(Code::Timeout, "there is no time left to ask the next hop"));
        }
        let purchase = Purchase { key, reserved, extensions: none_yet() };
        let tries = Tries::new(since, until.min(lapses));
        buy.trace = trace;
        buy.stage = Stage::Purchasing(Box::new(Signed::new(purchase, &self.signer)), tries);
        let purchase = asked.purchase.clone();
        let sale = self.sales.get_mut(&name).ok_or_else(not_held)?;
        let purchasing = Purchasing { purchase, tickets: vec![ticket], trace, until: now + deadline };
        sale.phase = Phase::Purchasing(Box::new(purchasing));
        // It came in time; how the next hop answers decides now.
        self.expiries.cancel(&Expiry::Hold(name));
        self.say(now, key, out);
        Ok(())
    }

    /// Lets a repeat of a PURCHASE wait for the same answer.
    pub(crate) fn join_purchase(
        &mut self,
        now: Time,
        ticket: Ticket,
        name: &Name,
        asked: &BuyNow,
    ) -> Result<(), Refusal> {
        let Some(Sale { phase: Phase::Purchasing(purchasing), .. }) = self.sales.get_mut(name) else {
            return Err(Code::NotFound.into());
        };
        if purchasing.purchase.digest() != asked.purchase.digest() {
            return Err(reused(name));
        }
        if purchasing.tickets.len() >= MAX_TICKETS {
            return Err(Code::Overloaded.into());
        }
        purchasing.tickets.push(ticket);
        purchasing.until = purchasing.until.max(now + asked.deadline.min(MAX_DEADLINE));
        Ok(())
    }
}
