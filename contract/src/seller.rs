//! The seller's part: RESERVE and PURCHASE are checked, REAR is asked, holds and contracts are signed.

use kernel::{AllocationId, ContractId, Digest, Key, NodeId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Contract, Endorsement, Mode, Order, Party, Refusal, Reserved, Row, Signed, Table, Trace,
    contract::Held,
    local::Side,
    message::{Buy, EndReason, Reserve},
    price::Rate,
    story::Deed,
    tunnel,
};

use crate::{
    agreement::{Agreement, node},
    close::Tell,
    config::{Config, HOUR},
    keys::{closed, reused},
    mail::Effect,
    manager::{Expiry, Manager, none_yet, refuse},
    record::{ContractRecord, HoldRecord, Name},
};

/// What a buyer has asked for.
#[derive(Debug)]
pub(crate) struct Sale {
    /// Digest of the order: the content of a RESERVE.
    pub(crate) order: Digest,
    pub(crate) allocation: AllocationId,
    pub(crate) phase: Phase,
}

/// How far a sale has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// REAR is asked.
    Asked {
        order: Box<Signed<Order>>,
        /// Who waits for the answer: the asker, and its repeats.
        tickets: Vec<Ticket>,
        trace: Trace,
        deadline: Span,
        /// That it was released meanwhile, and who waits for that.
        over: Option<(EndReason, Vec<Ticket>)>,
    },
    /// It is held.
    Held,
    /// It is a contract.
    Live(ContractId),
    /// It has ended, and its capacity is not yet back.
    Ending {
        /// Who waits for that.
        waiters: Vec<Ticket>,
    },
}

/// How long after an order was placed what comes of it may begin: what verification of a contract allows.
const LATEST_START: Span = Span::secs(60);

/// The most repeats of a RESERVE that wait for REAR together.
const MAX_TICKETS: usize = 8;

/// The longest deadline that is believed: what a refusal is remembered for is twice that.
const MAX_DEADLINE: Span = Span::secs(60);

impl Manager {
    /// RESERVE.
    pub(crate) fn asked_reserve(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        reserve: &Reserve,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let order = match self.admit(now, &from, reserve) {
            Ok(order) => order,
            Err(refusal) => return refuse(ticket, refusal, out),
        };
        let (name, digest) = (Name { buyer: from, key: order.key }, reserve.order.digest());
        if self.repeats(now, ticket, &name, &digest, out) {
            return;
        }
        if let Err(refusal) = self.within_limits(now, order) {
            return refuse(ticket, refusal, out);
        }
        if let Err(after) = self.quota.take(now, &from, HOUR, self.config.orders_per_hour) {
            return refuse(ticket, self.config.too_many_orders(after), out);
        }
        let allocation = node(&from, &order.key);
        let phase = Phase::Asked {
            order: Box::new(reserve.order.clone()),
            tickets: vec![ticket],
            trace,
            deadline: reserve.deadline.min(MAX_DEADLINE),
            over: None,
        };
        self.sales.insert(name, Sale { order: digest, allocation, phase });
        self.allocations.insert(allocation, name);
        self.pending.insert(name);
        out.push(Effect::Did(trace, Deed::ContractDrawn));
        out.push(Effect::Reserve {
            allocation,
            buyer: from,
            flavour: order.flavour,
            partition: order.partition,
            ceiling: order.ceiling,
            trace,
        });
    }

    /// Checks who asks, and whether this node can promise anything now.
    fn admit<'a>(&self, now: Time, from: &NodeId, reserve: &'a Reserve) -> Result<&'a Order, Refusal> {
        let malformed = |text: String| Refusal::new(Code::Malformed, text);
        let order = reserve.order.open(from).map_err(|error| malformed(error.to_string()))?;
        if order.buyer != *from || order.seller != self.me || order.buyer == order.seller {
            return Err(malformed(format!("order {} is not one of the sender's to this node", order.key)));
        }
        if let Err(error) = reserve.endorsement.verify(&order.tunnel_key, from, &self.domain, |_| false, now) {
            let text = format!("the endorsement of order {} does not hold: {error}", order.key);
            return Err(Refusal::new(Code::NotAMember, text));
        }
        self.check_clock(now, reserve.now)?;
        self.check_storage()?;
        Ok(order)
    }

    /// Checks that the asker's clock is near enough to this node's.
    pub(crate) fn check_clock(&self, now: Time, theirs: Time) -> Result<(), Refusal> {
        let apart = now.since(theirs).max(theirs.since(now));
        if apart <= self.config.clock_skew {
            return Ok(());
        }
        let text = format!("the clocks of the two nodes differ by {apart}, over {}", self.config.clock_skew);
        Err(Refusal::new(Code::ClockSkew, text))
    }

    /// Checks that a promise can be kept.
    pub(crate) fn check_storage(&self) -> Result<(), Refusal> {
        if self.storage { Ok(()) } else { Err(Code::Storage.into()) }
    }

    /// Answers a RESERVE whose key is known; says whether it was.
    fn repeats(&mut self, now: Time, ticket: Ticket, name: &Name, digest: &Digest, out: &mut Vec<Effect>) -> bool {
        let Some(sale) = self.sales.get_mut(name) else {
            return match self.keys.refusal(now, name, digest) {
                Some(refusal) => {
                    refuse(ticket, refusal, out);
                    true
                }
                None => false,
            };
        };
        if sale.order != *digest {
            refuse(ticket, reused(name), out);
            return true;
        }
        let answer = match &mut sale.phase {
            Phase::Asked { tickets, .. } if tickets.len() < MAX_TICKETS => {
                tickets.push(ticket);
                return true;
            }
            Phase::Asked { .. } => Refusal::from(Code::Overloaded).into(),
            Phase::Held => self.held_answer(name),
            Phase::Live(contract) => {
                let contract = *contract;
                self.first_answer(&contract)
            }
            Phase::Ending { .. } => closed(name, self.keys.closed(now, name).unwrap_or(EndReason::Released)).into(),
        };
        out.push(Effect::Reply { ticket, answer });
        true
    }

    fn held_answer(&self, name: &Name) -> Answer {
        match self.holds.get(name) {
            Some(hold) => Answer::Reserved(hold.reserved.clone()),
            None => Refusal::from(Code::NotFound).into(),
        }
    }

    /// Returns what the RESERVE of a contract was answered with: the hold, where there was one.
    fn first_answer(&self, contract: &ContractId) -> Answer {
        let Some(agreement) = self.contracts.get(contract) else { return Refusal::from(Code::NotFound).into() };
        let signed = &agreement.record.contract;
        match signed.claimed().and_then(|contract| contract.held) {
            Some(held) => Answer::Reserved(held.reserved),
            None => Answer::Contract(signed.clone()),
        }
    }

    /// Checks an order against this node's own limits.
    fn within_limits(&self, now: Time, order: &Order) -> Result<(), Refusal> {
        let refusal = |code, text: String| Err(Refusal::new(code, text));
        let Config { max_term, max_activate_within, pending, pending_per_buyer, .. } = &self.config;
        if self.credentials.is_none() {
            return refusal(Code::Unavailable, "the seller has no proof of its own membership yet".to_owned());
        }
        let apart = now.since(order.placed).max(order.placed.since(now));
        if apart > LATEST_START {
            return refusal(Code::Expired, format!("order {} was placed {apart} ago", order.key));
        }
        if order.term == Span::ZERO {
            return refusal(Code::Malformed, format!("order {} has no term", order.key));
        }
        if order.term > *max_term {
            return refusal(Code::TooLarge, format!("the term {} is over this seller's {max_term}", order.term));
        }
        if order.activate_within > *max_activate_within {
            let text = format!("activate within {} is over this seller's {max_activate_within}", order.activate_within);
            return refusal(Code::TooLarge, text);
        }
        let first = Name { buyer: order.buyer, key: Key([0; 16]) };
        let own = self.pending.range(first..).take_while(|name| name.buyer == order.buyer).count();
        if own >= *pending_per_buyer || self.pending.len() >= *pending {
            let text = format!("this buyer has {own} holds and contracts that are not active yet");
            return Err(Refusal::new(Code::Overloaded, text).retry_after(self.config.activate_within));
        }
        Ok(())
    }

    /// REAR has reserved it.
    pub(crate) fn granted(&mut self, now: Time, allocation: AllocationId, price: Rate, out: &mut Vec<Effect>) {
        let Some(name) = self.allocations.get(&allocation).copied() else {
            // Nobody waits for it any more.
            return out.push(Effect::Close { allocation, reason: EndReason::Released });
        };
        let Some(sale) = self.sales.get_mut(&name) else { return };
        let digest = sale.order;
        if !matches!(sale.phase, Phase::Asked { .. }) {
            return;
        }
        let Phase::Asked { order: signed, tickets, trace, over, .. } =
            std::mem::replace(&mut sale.phase, Phase::Ending { waiters: Vec::new() })
        else {
            return;
        };
        let (Some(order), None) = (signed.claimed(), &over) else {
            let (reason, waiters) = over.unwrap_or((EndReason::Released, Vec::new()));
            return self.take_back(now, name, digest, reason, (tickets, waiters), out);
        };
        let late = now.since(order.placed).max(order.placed.since(now)) > LATEST_START;
        if late || self.credentials.is_none() {
            return self.take_back(now, name, digest, EndReason::Expired, (tickets, Vec::new()), out);
        }
        let answer = match order.mode {
            Mode::Direct => self.sign_contract(now, name, *signed, &order, None, price, trace, out),
            Mode::Hold => Some(self.sign_hold(now, name, *signed, &order, price, out)),
        };
        let Some(answer) = answer else {
            return self.take_back(now, name, digest, EndReason::Released, (tickets, Vec::new()), out);
        };
        out.extend(tickets.into_iter().map(|ticket| Effect::Reply { ticket, answer: answer.clone() }));
    }

    /// Gives a grant back that nobody wants any more: `asked` wait for the grant, `released` for its end.
    fn take_back(
        &mut self,
        now: Time,
        name: Name,
        order: Digest,
        reason: EndReason,
        (asked, released): (Vec<Ticket>, Vec<Ticket>),
        out: &mut Vec<Effect>,
    ) {
        for ticket in asked {
            refuse(ticket, closed(&name, reason), out);
        }
        self.vacate(now, name, order, reason, released, out);
    }

    /// REAR can't reserve it.
    pub(crate) fn denied(&mut self, now: Time, allocation: AllocationId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(name) = self.allocations.get(&allocation).copied() else { return };
        if !self.sales.get(&name).is_some_and(|sale| matches!(sale.phase, Phase::Asked { .. })) {
            return;
        }
        let Some(sale) = self.sales.remove(&name) else { return };
        self.allocations.remove(&allocation);
        self.pending.remove(&name);
        let Phase::Asked { tickets, deadline, over, .. } = sale.phase else { return };
        let most = self.config.max_refusals_per_buyer;
        let until = now + deadline.times(2);
        if let Some((reason, waiters)) = over {
            self.keys.release(name, reason, until, most);
            out.extend(waiters.into_iter().map(|ticket| Effect::Reply { ticket, answer: Answer::Released }));
        } else if refusal.code() != Code::Overloaded {
            self.keys.refuse(name, sale.order, refusal.clone(), until, most);
        }
        for ticket in tickets {
            refuse(ticket, refusal.clone(), out);
        }
    }

    fn sign_hold(
        &mut self,
        now: Time,
        name: Name,
        signed: Signed<Order>,
        order: &Order,
        price: Rate,
        out: &mut Vec<Effect>,
    ) -> Answer {
        let purchase_within = self.config.purchase_within;
        let reserved =
            Reserved { order: signed, price, term: order.term, purchase_within, at: now, extensions: none_yet() };
        let hold = HoldRecord {
            reserved: Signed::new(reserved, &self.signer),
            side: Side::Provider,
            peer: Party { node: name.buyer, addresses: Vec::new() },
            renew: false,
            lapses: now + purchase_within,
            purchased: None,
            end: None,
        };
        out.push(Effect::Keep(Row::put(Table::Reservations, name.bytes(), &hold)));
        self.expiries.set(Expiry::Hold(name), hold.lapses);
        let answer = Answer::Reserved(hold.reserved.clone());
        self.holds.insert(name, hold);
        if let Some(sale) = self.sales.get_mut(&name) {
            sale.phase = Phase::Held;
        }
        answer
    }

    #[allow(clippy::too_many_arguments, reason = "what a contract is made of")]
    fn sign_contract(
        &mut self,
        now: Time,
        name: Name,
        signed: Signed<Order>,
        order: &Order,
        held: Option<Held>,
        price: Rate,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let contract = Contract {
            order: signed,
            held,
            price,
            start: now,
            term: order.term,
            activate_within: order.activate_within,
            backed_by: None,
            tunnel_key: tunnel::public(&tunnel::secret(&self.signer, &order.key)),
            endorsement: Endorsement::Member(self.credentials.clone()?),
            extensions: none_yet(),
        };
        let agreement = Agreement::new(ContractRecord {
            contract: Signed::new(contract, &self.signer),
            side: Side::Provider,
            peer: Party { node: name.buyer, addresses: Vec::new() },
            since: now,
            renew: false,
            was_active: false,
            end: None,
        })?;
        let (id, activate_by) = (agreement.id, now + agreement.activate_within);
        let sale = self.sales.get_mut(&name)?;
        sale.phase = Phase::Live(id);
        let allocation = sale.allocation;
        out.push(Effect::Keep(agreement.row()));
        out.push(Effect::Bind { allocation, contract: id });
        out.push(Effect::Did(trace, Deed::ContractAnswered));
        out.push(Effect::DeployRouter { router: Box::new(agreement.router()), trace });
        let answer = Answer::Contract(agreement.record.contract.clone());
        self.bring_to_life(agreement, now, activate_by, now);
        out.push(Effect::Changed { contract: id });
        Some(answer)
    }

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
        match self.purchase(now, &from, buy, trace, out) {
            Ok(answer) => out.push(Effect::Reply { ticket, answer }),
            Err(refusal) => refuse(ticket, refusal, out),
        }
    }

    fn purchase(
        &mut self,
        now: Time,
        from: &NodeId,
        buy: &Buy,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<Answer, Refusal> {
        let purchase = buy.purchase.open(from).map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
        self.check_clock(now, buy.now)?;
        self.check_storage()?;
        let name = Name { buyer: *from, key: purchase.key };
        let not_held = || Refusal::new(Code::NotFound, format!("nothing is held for the sender under {}", name.key));
        let Some(sale) = self.sales.get(&name) else {
            return Err(self.keys.closed(now, &name).map_or_else(not_held, |reason| lapsed(&name, reason)));
        };
        match sale.phase {
            Phase::Asked { .. } => Err(not_held()),
            Phase::Ending { .. } => Err(lapsed(&name, self.keys.closed(now, &name).unwrap_or(EndReason::Released))),
            Phase::Live(contract) => self.purchased_before(&name, &contract, purchase.reserved),
            Phase::Held => {
                let hold = self.holds.get(&name).ok_or_else(not_held)?;
                if hold.reserved.digest() != purchase.reserved {
                    return Err(reused(&name));
                }
                if hold.lapses <= now && now >= self.suspended {
                    self.end_sale(now, name, EndReason::Expired, Tell::No, None, out);
                    return Err(lapsed(&name, EndReason::Expired));
                }
                let reserved = hold.reserved.claimed().ok_or_else(not_held)?;
                let order = reserved.order.claimed().ok_or_else(not_held)?;
                let held = Held { reserved: hold.reserved.clone(), purchase: buy.purchase.clone() };
                let signed =
                    self.sign_contract(now, name, reserved.order, &order, Some(held), reserved.price, trace, out);
                let answer = signed.ok_or_else(|| {
                    Refusal::new(Code::Unavailable, "the seller has no proof of its own membership yet")
                })?;
                self.hold_purchased(now, &name, out);
                Ok(answer)
            }
        }
    }

    /// Answers a PURCHASE of what is a contract already.
    fn purchased_before(&self, name: &Name, contract: &ContractId, reserved: Digest) -> Result<Answer, Refusal> {
        let signed = self.contracts.get(contract).map(|agreement| &agreement.record.contract);
        let held = signed.and_then(|signed| signed.claimed()).and_then(|contract| contract.held);
        match (signed, held) {
            (Some(signed), Some(held)) if held.reserved.digest() == reserved => Ok(Answer::Contract(signed.clone())),
            _ => Err(reused(name)),
        }
    }
}

/// The refusal of a PURCHASE of what is over.
fn lapsed(name: &Name, reason: EndReason) -> Refusal {
    if reason == EndReason::Expired {
        return Refusal::new(Code::Expired, format!("the time to purchase reservation {} has passed", name.key));
    }
    closed(name, reason)
}
