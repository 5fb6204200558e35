//! What a relay promises once it holds what that rests on: both are kept in one batch.

use kernel::{
    Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Code, Contract, Order, Party, Refusal, Reserved, Signed,
    contract::Held,
    local::{Outcome, Side},
    price::Rate,
    story::Deed,
};

use crate::{
    admit::check_age,
    agreement::Agreement,
    buyer::Stage,
    mail::{Effect, Junction},
    manager::{Chore, Manager, none_yet},
    record::{ContractRecord, HoldRecord, Link, Name},
    relay::{self, Nest, Relay},
    seller::{Phase, Sale},
};

/// What stands ready to be signed towards the asker.
struct Wanted {
    signed: Signed<Order>,
    order: Order,
    held: Option<Held>,
    abroad: bool,
    relay: Relay,
}

impl Manager {
    /// The link that a hold of this order has to the one that it rests on.
    pub(crate) fn hold_link(&self, name: &Name) -> Option<Link<Name>> {
        let Relay { back, margin, leaves, .. } = self.sales.get(name)?.relay?;
        Some(Link { other: Name { buyer: self.me, key: back }, margin, leaves })
    }

    /// Returns what is to be signed under this name, while its asker still waits.
    fn wanted(&self, now: Time, name: &Name) -> Result<Wanted, Refusal> {
        let gone = || Refusal::from(Code::NotFound);
        let Sale { phase, relay, .. } = self.sales.get(name).ok_or_else(gone)?;
        let relay = relay.ok_or_else(gone)?;
        let (signed, held, until, abroad) = match phase {
            Phase::Asked(asked) => (asked.order.clone(), None, asked.until, asked.abroad),
            Phase::Purchasing(purchasing) => {
                let hold = self.holds.get(name).ok_or_else(gone)?;
                let reserved = hold.reserved.claimed().ok_or_else(gone)?;
                let held = Held { reserved: hold.reserved.clone(), purchase: purchasing.purchase.clone() };
                (reserved.order.clone(), Some(held), purchasing.until, hold.abroad)
            }
            Phase::Held | Phase::Live(_) | Phase::Ending { .. } => return Err(gone()),
        };
        if until <= now {
            return Err(Refusal::new(Code::Timeout, "the next hop answered when nobody waited any more"));
        }
        let order = signed.claimed().ok_or_else(gone)?.clone();
        Ok(Wanted { signed, order, held, abroad, relay })
    }

    /// The contract of the next hop is good: this node's own is signed towards its asker, and both are kept.
    ///
    /// # Errors
    /// When nothing can be promised on it: then it is to be given back.
    pub(crate) fn sign_front(
        &mut self,
        now: Time,
        name: Name,
        mut back: Agreement,
        since: Time,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_storage()?;
        let Wanted { signed, order, held, abroad, relay } = self.wanted(now, &name)?;
        let Relay { margin, leaves, .. } = relay;
        let Some(credentials) = self.credentials.clone() else { return Err(Code::Unavailable.into()) };
        if held.is_none() {
            check_age(now, &order)?;
        }
        let price = relay::price(back.price, margin, &order.ceiling)?;
        let nest = Nest::new(now.since(since), self.config.nesting_margin, &[back.term, back.activate_within]);
        let reserved = held.as_ref().and_then(|held| held.reserved.claimed());
        let most = reserved.map_or(order.term, |reserved| reserved.term);
        let contract = Contract {
            order: signed,
            held,
            price,
            start: now,
            term: nest.within(back.term)?.min(most),
            activate_within: nest.within(back.activate_within)?,
            backed_by: Some(back.digest),
            tunnel_key: back.tunnel_key,
            endorsement: relay::endorse(back.endorsement(), back.tunnel_key, leaves, &credentials, &self.signer),
            extensions: none_yet(),
        };
        let front = Agreement::new(ContractRecord {
            contract: Signed::new(contract, &self.signer),
            side: Side::Provider,
            peer: Party { node: name.buyer, addresses: Vec::new() },
            since: now,
            renew: false,
            was_active: false,
            end: None,
            abroad,
            link: Some(Link { other: back.id, margin, leaves }),
        });
        let Some(front) = front else { return Err(Code::Malformed.into()) };
        back.record.link = Some(Link { other: front.id, margin, leaves });
        self.agree_both(now, name, front, back, since, out);
        Ok(())
    }

    /// Keeps both contracts of a relay, puts them to work, and answers.
    fn agree_both(
        &mut self,
        now: Time,
        name: Name,
        front: Agreement,
        back: Agreement,
        since: Time,
        out: &mut Vec<Effect>,
    ) {
        let back_name = back.name();
        if let Some(buy) = self.buys.get_mut(&back_name.key) {
            buy.stage = Stage::Live(back.id);
        }
        self.chores.cancel(&Chore::Repeat(back_name.key));
        let Some(sale) = self.sales.get_mut(&name) else { return };
        let (tickets, trace) = match std::mem::replace(&mut sale.phase, Phase::Live(front.id)) {
            Phase::Asked(asked) => (asked.tickets, asked.trace),
            Phase::Purchasing(purchasing) => (purchasing.tickets, purchasing.trace),
            Phase::Held | Phase::Live(_) | Phase::Ending { .. } => return,
        };
        let allocation = sale.allocation;
        out.extend((!planted::is(Bug::KeepFrontOnly)).then(|| Effect::Keep(back.row())));
        self.hold_purchased(now, &back_name, out);
        out.push(Effect::Keep(front.row()));
        self.hold_purchased(now, &name, out);
        out.push(Effect::Rated { peer: back.order.seller, outcome: Outcome::Answered });
        self.tell_rear(&name, &back.order, out);
        out.push(Effect::Bind { allocation, contract: front.id });
        out.push(Effect::Did(trace, Deed::ContractAnswered));
        out.push(Effect::Join { junction: Box::new(junction(&front, &back)), trace });
        let answer = Answer::Contract(front.record.contract.clone());
        let (ids, front_by, back_by) = ([front.id, back.id], now + front.activate_within, since + back.activate_within);
        self.bring_to_life(back, since, back_by, now);
        self.bring_to_life(front, now, front_by, now);
        out.extend(tickets.into_iter().map(|ticket| Effect::Reply { ticket, answer: answer.clone() }));
        out.extend(ids.map(|contract| Effect::Changed { contract }));
    }

    /// Tells REAR that something is relayed, the first time.
    fn tell_rear(&mut self, name: &Name, back: &Order, out: &mut Vec<Effect>) {
        let Some(Sale { allocation, relay: Some(relay), .. }) = self.sales.get_mut(name) else { return };
        if !std::mem::replace(&mut relay.at_rear, true) {
            let (allocation, buyer, seller, resources) = (*allocation, name.buyer, back.seller, back.partition);
            out.push(Effect::Forward { allocation, buyer, seller, resources });
        }
    }

    /// The hold of the next hop is good and kept: this node's own is signed towards its asker.
    ///
    /// # Errors
    /// When nothing can be promised on it: then it is to be given back.
    pub(crate) fn sign_front_hold(
        &mut self,
        now: Time,
        name: Name,
        inner: &Reserved,
        since: Time,
        back: &mut HoldRecord,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.check_storage()?;
        let Wanted { signed, order, abroad, relay, .. } = self.wanted(now, &name)?;
        let Relay { margin, leaves, .. } = relay;
        check_age(now, &order)?;
        let back_order = inner.order.claimed().ok_or(Code::Malformed)?;
        let price: Rate = relay::price(inner.price, margin, &order.ceiling)?;
        let times = [inner.term, inner.purchase_within, order.activate_within];
        let nest = Nest::new(now.since(since), self.config.nesting_margin, &times);
        // The term begins with the purchase: nothing of it is spent yet.
        let term = Nest { spent: kernel::Span::ZERO, ..nest }.within(inner.term)?.min(order.term);
        let purchase_within = nest.within(inner.purchase_within)?;
        let reserved = Reserved { order: signed, price, term, purchase_within, at: now, extensions: none_yet() };
        back.link = Some(Link { other: name, margin, leaves });
        self.tell_rear(&name, back_order, out);
        let phase = self.sales.get_mut(&name).map(|sale| std::mem::replace(&mut sale.phase, Phase::Held));
        let answer = self.sign_hold(now, name, reserved, abroad, out);
        if let Some(Phase::Asked(asked)) = phase {
            out.extend(asked.tickets.into_iter().map(|ticket| Effect::Reply { ticket, answer: answer.clone() }));
        }
        Ok(())
    }
}

/// Returns the virtual router that joins a relay's two contracts.
pub(crate) fn junction(front: &Agreement, back: &Agreement) -> Junction {
    let (buyer, seller) = (front.record.peer.clone(), back.record.peer.clone());
    Junction { front: front.id, buyer, back: back.id, seller }
}
