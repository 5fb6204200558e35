//! What a buyer takes: holds and contracts are verified and kept, and what is not good or not wanted is given back.

use kernel::{Key, Time};
use rear_proto::{
    Answer, Code, Contract, Mode, Order, Party, Refusal, Reserved, Row, Signed, Table,
    local::{Outcome, Side},
    message::EndReason,
    story::Deed,
};

use crate::{
    agreement::Agreement,
    buyer::{Stage, Tries},
    close::Tell,
    mail::Effect,
    manager::{Chore, Expiry, Manager},
    record::{ContractRecord, HoldRecord, Name},
    release::About,
};

impl Manager {
    /// An answer came to a question that nobody remembers.
    pub(crate) fn answered_late(&mut self, now: Time, answer: Result<Answer, Refusal>, out: &mut Vec<Effect>) {
        let Some(order) = self.promised(&answer) else { return };
        match (self.buys.get(&order.key).map(|buy| &buy.stage), answer) {
            (None, answer) => self.answered_nobody(now, answer, out),
            (Some(Stage::Asking(_) | Stage::Purchasing(..)), Ok(Answer::Contract(contract))) => {
                self.take_contract(now, order.key, contract, out);
            }
            (Some(Stage::Asking(_)), Ok(Answer::Reserved(reserved))) => {
                self.take_hold(now, order.key, reserved, out);
            }
            (Some(_), _) => {}
        }
    }

    /// A promise came to a question that was given up: it is given back.
    pub(crate) fn answered_nobody(&mut self, now: Time, answer: Result<Answer, Refusal>, out: &mut Vec<Effect>) {
        let Some(order) = self.promised(&answer).filter(|order| order.seller != self.me) else { return };
        let name = Name { buyer: self.me, key: order.key };
        let peer = Party { node: order.seller, addresses: Vec::new() };
        self.tell(now, name, peer, EndReason::Released, false, About::Question, out);
    }

    /// Returns the order of this node's own that an answer promises something over.
    fn promised(&self, answer: &Result<Answer, Refusal>) -> Option<Order> {
        let order = match answer {
            Ok(Answer::Contract(signed)) => &signed.claimed()?.order,
            Ok(Answer::Reserved(signed)) => &signed.claimed()?.order,
            _ => return None,
        };
        order.open(&self.me).ok().cloned()
    }

    /// The seller's contract: verified, kept and used, or given back.
    pub(crate) fn take_contract(&mut self, now: Time, key: Key, signed: Signed<Contract>, out: &mut Vec<Effect>) {
        let (agreement, since) = match self.verify_contract(now, key, signed) {
            Ok(good) => good,
            Err(refusal) => return self.take_bad(now, key, refusal, out),
        };
        let Some(buy) = self.buys.get_mut(&key) else { return };
        if let Some(front) = self.fronts.get(&key).copied() {
            if let Err(refusal) = self.sign_front(now, front, agreement, since, out) {
                self.fail_buy(now, key, refusal, Tell::Yes, EndReason::Released, out);
            }
            return;
        }
        let (request, trace) = (buy.request, buy.trace);
        let (id, activate_by) = (agreement.id, since + agreement.activate_within);
        let seller = agreement.order.seller;
        if activate_by <= now || !self.storage {
            let refusal = if self.storage {
                Refusal::new(Code::Timeout, format!("{seller} answered when the time to use it had passed"))
            } else {
                Code::Storage.into()
            };
            return self.fail_buy(now, key, refusal, Tell::Yes, EndReason::Released, out);
        }
        buy.stage = Stage::Live(id);
        self.chores.cancel(&Chore::Repeat(key));
        out.push(Effect::Keep(agreement.row()));
        self.hold_purchased(now, &agreement.name(), out);
        out.push(Effect::Rated { peer: seller, outcome: Outcome::Answered });
        out.push(Effect::Did(trace, Deed::ContractStored));
        // The router first: the peering that REAR starts goes through it.
        out.push(Effect::DeployRouter { router: Box::new(agreement.router()), trace });
        if let Some(request) = request {
            out.push(Effect::Signed { request, key, contract: agreement.bought(), trace });
        }
        self.bring_to_life(agreement, since, activate_by, now);
        out.push(Effect::Changed { contract: id });
    }

    fn verify_contract(&self, now: Time, key: Key, signed: Signed<Contract>) -> Result<(Agreement, Time), Refusal> {
        let malformed = |text: String| Refusal::new(Code::Malformed, text);
        let Some(buy) = self.buys.get(&key) else { return Err(Code::NotFound.into()) };
        let seller = buy.seller.node;
        let bad = |what: &dyn std::fmt::Display| malformed(format!("the contract of {seller} is not good: {what}"));
        let since = match (&buy.stage, buy.mode) {
            (Stage::Asking(tries), Mode::Direct) | (Stage::Purchasing(_, tries), Mode::Hold) => tries.since,
            _ => return Err(bad(&"it was not asked for")),
        };
        let (contract, _) = Contract::verify(&signed, &self.me, &seller).map_err(|error| bad(&error))?;
        if contract.order != buy.order {
            return Err(bad(&"it is over another order"));
        }
        if let Stage::Purchasing(purchase, _) = &buy.stage
            && contract.held.as_ref().is_none_or(|held| held.purchase != **purchase)
        {
            return Err(bad(&"it is over another purchase"));
        }
        let endorsed = self.vouched(&contract.endorsement, &contract.tunnel_key, &seller, now);
        let abroad = endorsed.map_err(|error| bad(&error))? != self.domain;
        let record = ContractRecord {
            contract: signed,
            side: Side::Consumer,
            peer: buy.seller.clone(),
            since,
            renew: buy.renew,
            was_active: false,
            end: None,
            abroad,
            link: None,
        };
        Agreement::new(record).map(|agreement| (agreement, since)).ok_or_else(|| bad(&"it can not be read"))
    }

    /// The seller's hold: verified and kept, or given back.
    pub(crate) fn take_hold(&mut self, now: Time, key: Key, signed: Signed<Reserved>, out: &mut Vec<Effect>) {
        let Some(buy) = self.buys.get_mut(&key) else { return };
        let seller = buy.seller.node;
        let Stage::Asking(Tries { since, .. }) = buy.stage else { return };
        let reserved = match Reserved::verify(&signed, &buy.order, &self.me, &seller) {
            Ok(reserved) => reserved.clone(),
            Err(error) => {
                let text = format!("the hold of {seller} is not good: {error}");
                return self.take_bad(now, key, Refusal::new(Code::Malformed, text), out);
            }
        };
        let Reserved { price, purchase_within, .. } = reserved;
        let (name, lapses) = (Name { buyer: self.me, key }, since + purchase_within);
        if lapses <= now || !self.storage {
            let refusal = if self.storage {
                Refusal::new(Code::Timeout, format!("{seller} answered when the time to purchase had passed"))
            } else {
                Code::Storage.into()
            };
            return self.fail_buy(now, key, refusal, Tell::Yes, EndReason::Released, out);
        }
        let request = buy.request;
        let mut hold = HoldRecord {
            reserved: signed,
            side: Side::Consumer,
            peer: buy.seller.clone(),
            renew: buy.renew,
            lapses,
            purchased: None,
            end: None,
            abroad: false,
            link: None,
        };
        if let Some(front) = self.fronts.get(&key).copied()
            && let Err(refusal) = self.sign_front_hold(now, front, &reserved, since, &mut hold, out)
        {
            return self.fail_buy(now, key, refusal, Tell::Yes, EndReason::Released, out);
        }
        if let Some(buy) = self.buys.get_mut(&key) {
            buy.stage = Stage::Held;
        }
        self.chores.cancel(&Chore::Repeat(key));
        out.push(Effect::Keep(Row::put(Table::Reservations, name.bytes(), &hold)));
        out.push(Effect::Rated { peer: seller, outcome: Outcome::Answered });
        if let Some(request) = request {
            out.push(Effect::Held { request, key, price, purchase_within: now.until(lapses) });
        }
        self.expiries.set(Expiry::Hold(name), lapses);
        self.holds.insert(name, hold);
    }

    /// What the seller answered is not good.
    pub(crate) fn take_bad(&mut self, now: Time, key: Key, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(buy) = self.buys.get(&key) else { return };
        out.push(Effect::Rated { peer: buy.seller.node, outcome: Outcome::Failed });
        self.fail_buy(now, key, refusal, Tell::Yes, EndReason::Released, out);
    }
}
