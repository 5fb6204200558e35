//! What a RESERVE must be before anything is done for it: signed, vouched for, on time, within limits, and no repeat.

use kernel::{
    DomainKey, NodeId, Span, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Code, Endorsement, Order, Refusal,
    contract::BadEndorsement,
    local::Caller,
    membership::Role,
    message::{EndReason, Reserve},
};

use crate::{
    config::{Config, HOUR},
    keys::{closed, reused},
    mail::Effect,
    manager::{Manager, refuse},
    record::Name,
    seller::Phase,
};

/// How long after an order was placed what comes of it may begin: what verification of a contract allows.
pub(crate) const LATEST_START: Span = Span::secs(60);

/// The most repeats of a question that wait for its answer together.
pub(crate) const MAX_TICKETS: usize = 8;

/// The longest deadline that is believed: what a refusal is remembered for is twice that.
pub(crate) const MAX_DEADLINE: Span = Span::secs(60);

impl Manager {
    /// Checks who asks, and whether this node can promise anything now; returns the order, and whether the far end of
    /// the channel to come is of another domain.
    pub(crate) fn admit<'a>(
        &self,
        now: Time,
        from: &NodeId,
        caller: &Caller,
        reserve: &'a Reserve,
    ) -> Result<(&'a Order, bool), Refusal> {
        let malformed = |text: String| Refusal::new(Code::Malformed, text);
        let order = reserve.order.open(from).map_err(|error| malformed(error.to_string()))?;
        if order.buyer != *from || order.seller != self.me || order.buyer == order.seller {
            return Err(malformed(format!("order {} is not one of the sender's to this node", order.key)));
        }
        let vouching = self.vouched(&reserve.endorsement, &order.tunnel_key, from, now).map_err(|error| {
            let text = format!("the endorsement of order {} does not hold: {error}", order.key);
            Refusal::new(Code::NotAMember, text)
        })?;
        if let Caller::Partner { domain, .. } = caller
            && vouching != *domain
        {
            let text = format!("order {} is not endorsed by the domain that it comes from", order.key);
            return Err(Refusal::new(Code::NotAMember, text));
        }
        self.check_clock(now, reserve.now)?;
        self.check_storage()?;
        Ok((order, vouching != self.domain))
    }

    /// Verifies that somebody who is believed vouches for a tunnel key; returns which domain does.
    pub(crate) fn vouched(
        &self,
        endorsement: &Endorsement,
        key: &[u8; 32],
        bearer: &NodeId,
        now: Time,
    ) -> Result<DomainKey, BadEndorsement> {
        endorsement.verify(
            key,
            bearer,
            &self.domain,
            |domain| self.partners.iter().any(|partner| partner.domain.key == *domain),
            now,
        )
    }

    /// Checks that a caller may begin something; who may say what at all was decided before.
    pub(crate) fn may_trade(&self, caller: &Caller) -> Result<(), Refusal> {
        match caller {
            Caller::Member(_) => Ok(()),
            Caller::Partner { on: true, .. } if self.role == Role::Supernode => Ok(()),
            Caller::Partner { .. } | Caller::Visitor { .. } | Caller::Stranger => Err(Code::NotAMember.into()),
        }
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
        if self.storage || planted::is(Bug::PromiseWhenFull) { Ok(()) } else { Err(Code::Storage.into()) }
    }

    /// Checks an order against this node's own limits.
    pub(crate) fn within_limits(&self, now: Time, caller: &Caller, order: &Order) -> Result<(), Refusal> {
        let refusal = |code, text: String| Err(Refusal::new(code, text));
        let Config { max_term, max_activate_within, pending, .. } = &self.config;
        if self.credentials.is_none() {
            return refusal(Code::Unavailable, "the seller has no proof of its own membership yet".to_owned());
        }
        check_age(now, order)?;
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
        let own = self.pending.range(Name::all_of(order.buyer)).count();
        let most = if for_many(caller) { self.config.pending_per_partner } else { self.config.pending_per_buyer };
        if own >= most || self.pending.len() >= *pending {
            let text = format!("this buyer has {own} holds and contracts that are not active yet");
            return Err(Refusal::new(Code::Overloaded, text).retry_after(self.config.activate_within));
        }
        Ok(())
    }

    /// Counts one more promise to a buyer, unless it has had all that it gets in an hour.
    pub(crate) fn count_promise(&mut self, now: Time, buyer: &NodeId, caller: &Caller) -> Result<(), Refusal> {
        let Config { orders_per_hour, orders_per_hour_per_partner, .. } = self.config;
        let most = if for_many(caller) { orders_per_hour_per_partner } else { orders_per_hour };
        self.quota.take(now, buyer, HOUR, most).map_err(|after| Config::too_many_orders(most, after))
    }

    /// Answers a RESERVE whose key is known, or lets it wait for what is under way; says whether it was known.
    pub(crate) fn repeats(
        &mut self,
        now: Time,
        ticket: Ticket,
        name: &Name,
        reserve: &Reserve,
        out: &mut Vec<Effect>,
    ) -> bool {
        let digest = reserve.order.digest();
        let Some(sale) = self.sales.get_mut(name) else {
            return match self.keys.refusal(now, name, &digest) {
                Some(refusal) => {
                    refuse(ticket, refusal, out);
                    true
                }
                None => false,
            };
        };
        if sale.order != digest {
            refuse(ticket, reused(name), out);
            return true;
        }
        let answer = match &mut sale.phase {
            Phase::Asked(asked) if asked.tickets.len() < MAX_TICKETS => {
                asked.tickets.push(ticket);
                asked.until = asked.until.max(now + reserve.deadline.min(MAX_DEADLINE));
                return true;
            }
            Phase::Asked(_) => Refusal::from(Code::Overloaded).into(),
            Phase::Held | Phase::Purchasing(_) => self.held_answer(name),
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
    fn first_answer(&self, contract: &kernel::ContractId) -> Answer {
        let Some(agreement) = self.contracts.get(contract) else { return Refusal::from(Code::NotFound).into() };
        let signed = &agreement.record.contract;
        match signed.claimed().and_then(|contract| contract.held.as_ref()) {
            Some(held) => Answer::Reserved(held.reserved.clone()),
            None => Answer::Contract(signed.clone()),
        }
    }
}

/// Checks that what comes of an order may still begin.
pub(crate) fn check_age(now: Time, order: &Order) -> Result<(), Refusal> {
    let apart = now.since(order.placed).max(order.placed.since(now));
    if apart <= LATEST_START {
        return Ok(());
    }
    Err(Refusal::new(Code::Expired, format!("order {} was placed {apart} ago", order.key)))
}

/// Says whether a caller orders for others, too.
const fn for_many(caller: &Caller) -> bool {
    matches!(caller, Caller::Partner { .. } | Caller::Member(Role::Supernode))
}
