//! The seller's part: REAR is asked for what was ordered, holds and contracts are signed.

use kernel::{
    AllocationId, ContractId, Digest, FlavourId, NodeId, Span, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Code, Contract, Endorsement, Mode, Order, Party, Refusal, Reserved, Row, Signed, Table, Trace,
    contract::Held,
    local::{Caller, Side},
    membership::Role,
    message::{EndReason, Reserve},
    price::Rate,
    story::Deed,
    tunnel,
};

use crate::{
    admit::{MAX_DEADLINE, check_age},
    agreement::{Agreement, node},
    keys::closed,
    mail::Effect,
    manager::{Expiry, Manager, none_yet, refuse},
    record::{ContractRecord, HoldRecord, Name},
    relay::{self, Relay},
};

/// What a buyer has asked for.
#[derive(Debug)]
pub(crate) struct Sale {
    /// Digest of the order: the content of a RESERVE.
    pub(crate) order: Digest,
    pub(crate) allocation: AllocationId,
    pub(crate) phase: Phase,
    /// What it rests on, where that is not this node's own capacity.
    pub(crate) relay: Option<Relay>,
}

/// How far a sale has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Discovery, REAR or the next hop is asked.
    Asked(Box<Asked>),
    /// It is held.
    Held,
    /// The next hop is asked to sell what it holds.
    Purchasing(Box<relay::Purchasing>),
    /// It is a contract.
    Live(ContractId),
    /// It has ended, and its capacity is not yet back.
    Ending {
        /// Who waits for that.
        waiters: Vec<Ticket>,
    },
}

/// What is asked for, and by whom.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) order: Signed<Order>,
    /// Who vouches for the buyer's tunnel key.
    pub(crate) endorsement: Endorsement,
    pub(crate) caller: Caller,
    /// Whether the far end of the channel to come is of another domain.
    pub(crate) abroad: bool,
    /// Who waits for the answer: the asker, and its repeats.
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) trace: Trace,
    pub(crate) deadline: Span,
    /// Until when an answer is of use.
    pub(crate) until: Time,
    /// Since when it is asked for.
    pub(crate) since: Time,
    /// Whether Discovery has still to say where it leads.
    pub(crate) resolving: bool,
    /// That it was released meanwhile, and who waits for that.
    pub(crate) over: Option<(EndReason, Vec<Ticket>)>,
}

/// What a contract is drawn up of.
pub(crate) struct Drawn {
    pub(crate) signed: Signed<Order>,
    pub(crate) order: Order,
    pub(crate) held: Option<Held>,
    /// Whether the far end of its channel is of another domain.
    pub(crate) abroad: bool,
}

impl Manager {
    /// RESERVE.
    #[allow(clippy::too_many_arguments, reason = "who asks for what, as whom, and for which story")]
    pub(crate) fn asked_reserve(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        caller: Caller,
        reserve: &Reserve,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let (order, abroad) = match self.admit(now, &from, &caller, reserve) {
            Ok(admitted) => admitted,
            Err(refusal) => return refuse(ticket, refusal, out),
        };
        let name = Name { buyer: from, key: order.key };
        if !planted::is(Bug::ForgetRepeats) && self.repeats(now, ticket, &name, reserve, out) {
            return;
        }
        let within = self.within_limits(now, &caller, order);
        if let Err(refusal) = within.and_then(|()| self.count_promise(now, &from, &caller)) {
            return refuse(ticket, refusal, out);
        }
        let (allocation, flavour) = (node(&from, &order.key), order.flavour);
        let deadline = reserve.deadline.min(MAX_DEADLINE);
        let resolving = self.role == Role::Supernode;
        let asked = Asked {
            order: reserve.order.clone(),
            endorsement: reserve.endorsement.clone(),
            caller,
            abroad,
            tickets: vec![ticket],
            trace,
            deadline,
            until: now + deadline,
            since: self.asked_since(now, &reserve.extensions),
            resolving,
            over: None,
        };
        let order = reserve.order.digest();
        self.sales.insert(name, Sale { order, allocation, phase: Phase::Asked(Box::new(asked)), relay: None });
        self.allocations.insert(allocation, name);
        self.pending.insert(name);
        if resolving {
            out.push(Effect::Resolve { allocation, flavour, caller });
        } else {
            self.draw_up(&name, flavour, out);
        }
    }

    /// Asks REAR for what was ordered, which is of this flavour here.
    pub(crate) fn draw_up(&mut self, name: &Name, flavour: FlavourId, out: &mut Vec<Effect>) {
        let Some(Sale { allocation, phase: Phase::Asked(asked), .. }) = self.sales.get(name) else { return };
        let Some(order) = asked.order.claimed() else { return };
        let Order { partition, ceiling, .. } = *order;
        let (trace, buyer) = (asked.trace, name.buyer);
        out.push(Effect::Did(trace, Deed::ContractDrawn));
        out.push(Effect::Reserve { allocation: *allocation, buyer, flavour, partition, ceiling, trace });
    }

    /// REAR has reserved it.
    pub(crate) fn granted(&mut self, now: Time, allocation: AllocationId, price: Rate, out: &mut Vec<Effect>) {
        let Some(name) = self.allocations.get(&allocation).copied() else {
            // Nobody waits for it any more.
            return out.push(Effect::Close { allocation, reason: EndReason::Released });
        };
        let Some(sale) = self.sales.get_mut(&name) else { return };
        if !matches!(&sale.phase, Phase::Asked(_)) || sale.relay.is_some() {
            return;
        }
        let digest = sale.order;
        let Phase::Asked(asked) = std::mem::replace(&mut sale.phase, Phase::Ending { waiters: Vec::new() }) else {
            return;
        };
        let Asked { order: signed, abroad, tickets, trace, over, .. } = *asked;
        let (Some(order), None) = (signed.claimed().cloned(), &over) else {
            let (reason, waiters) = over.unwrap_or((EndReason::Released, Vec::new()));
            return self.take_back(now, name, digest, reason, (tickets, waiters), out);
        };
        if check_age(now, &order).is_err() || self.credentials.is_none() {
            return self.take_back(now, name, digest, EndReason::Expired, (tickets, Vec::new()), out);
        }
        let answer = match order.mode {
            Mode::Direct => {
                let drawn = Drawn { signed, order, held: None, abroad };
                self.sign_contract(now, name, drawn, price, trace, out)
            }
            Mode::Hold => {
                let purchase_within = self.config.purchase_within;
                let extensions = none_yet();
                let reserved =
                    Reserved { order: signed, price, term: order.term, purchase_within, at: now, extensions };
                Some(self.sign_hold(now, name, reserved, abroad, out))
            }
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

    /// It is not to be had: REAR can't reserve it, or it leads nowhere.
    pub(crate) fn denied(&mut self, now: Time, allocation: AllocationId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(name) = self.allocations.get(&allocation).copied() else { return };
        if !self.sales.get(&name).is_some_and(|sale| matches!(sale.phase, Phase::Asked(_)) && sale.relay.is_none()) {
            return;
        }
        let Some(sale) = self.sales.remove(&name) else { return };
        self.allocations.remove(&allocation);
        self.pending.remove(&name);
        let Phase::Asked(asked) = sale.phase else { return };
        let Asked { tickets, deadline, over, .. } = *asked;
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

    /// Signs that something is held.
    pub(crate) fn sign_hold(
        &mut self,
        now: Time,
        name: Name,
        reserved: Reserved,
        abroad: bool,
        out: &mut Vec<Effect>,
    ) -> Answer {
        let hold = HoldRecord {
            lapses: now + reserved.purchase_within,
            reserved: Signed::new(reserved, &self.signer),
            side: Side::Provider,
            peer: Party { node: name.buyer, addresses: Vec::new() },
            renew: false,
            purchased: None,
            end: None,
            abroad,
            link: self.hold_link(&name),
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

    /// Signs a contract over this node's own capacity.
    pub(crate) fn sign_contract(
        &mut self,
        now: Time,
        name: Name,
        drawn: Drawn,
        price: Rate,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Option<Answer> {
        let Drawn { signed, order, held, abroad } = drawn;
        let tunnel_key = tunnel::offered(&self.signer, &order.key);
        let contract = Contract {
            order: signed,
            held,
            price,
            start: now,
            term: order.term,
            activate_within: order.activate_within,
            backed_by: None,
            tunnel_key,
            endorsement: self.own_endorsement(tunnel_key)?,
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
            abroad,
            link: None,
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

    /// Vouches for an own tunnel key: a member by its credentials; a supernode, whose word counts across borders too,
    /// by its signature.
    pub(crate) fn own_endorsement(&self, key: [u8; 32]) -> Option<Endorsement> {
        let credentials = self.credentials.clone()?;
        Some(match self.role {
            Role::Supernode => Endorsement::vouch(key, credentials, &self.signer),
            Role::Node | Role::Catalogue => Endorsement::Member(credentials),
        })
    }
}
