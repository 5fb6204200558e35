//! RENEW at a relay: the far end signs first, then this node, and both promises are kept in one batch.

use kernel::{AskId, ContractId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Refusal, Renewal, RenewalAsk, Request, Signed, Trace,
    local::{Outcome, Side},
    message::Renew,
    price::Rate,
};

use crate::{
    admit::{MAX_DEADLINE, MAX_TICKETS},
    buyer::is_silence,
    keys::reused,
    mail::Effect,
    manager::{Expiry, Manager, Purpose, none_yet, refuse},
    relay::{self, Nest},
    release::LOST_AFTER,
    renew::row,
};

/// A renewal that goes one hop on.
#[derive(Debug)]
pub(crate) struct Renewing {
    /// The contract that the asker wants renewed.
    front: ContractId,
    /// What the asker signed.
    ask: Signed<RenewalAsk>,
    /// What this node asks for.
    own: Signed<RenewalAsk>,
    inflight: AskId,
    /// From when on the question counts as lost.
    lost: Time,
    /// Who waits: the asker, and its repeats.
    tickets: Vec<Ticket>,
}

impl Manager {
    /// Lets a repeat of a renewal that goes one hop on wait for the same answer; says whether it is one.
    ///
    /// # Errors
    /// When another one of the same contract is under way.
    pub(crate) fn join_renewal(
        &mut self,
        now: Time,
        ticket: Ticket,
        front: &ContractId,
        renew: &Renew,
        out: &mut Vec<Effect>,
    ) -> Result<bool, Refusal> {
        let Some(agreement) = self.contracts.get(front) else { return Ok(false) };
        let Some(link) = agreement.record.link else { return Ok(false) };
        let Some(renewing) = self.renewing.get_mut(&link.other) else { return Ok(false) };
        if renewing.lost <= now {
            self.end_renewing(&link.other, Code::Timeout.into(), out);
            return Ok(false);
        }
        if renewing.ask.digest() != renew.ask.digest() {
            return Err(reused(&agreement.name()));
        }
        if renewing.tickets.len() >= MAX_TICKETS {
            return Err(Code::Overloaded.into());
        }
        renewing.tickets.push(ticket);
        Ok(true)
    }

    /// Asks the next hop to renew what backs this contract.
    pub(crate) fn forward_renewal(
        &mut self,
        now: Time,
        ticket: Ticket,
        front: ContractId,
        renew: &Renew,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let gone = || Refusal::from(Code::NotFound);
        let ask = renew.ask.claimed().ok_or_else(gone)?;
        let link = self.contracts.get(&front).and_then(|front| front.record.link).ok_or_else(gone)?;
        let back = self.contracts.get(&link.other).filter(|back| back.is_live()).ok_or_else(gone)?;
        let deadline = renew.deadline.min(MAX_DEADLINE).minus(self.config.hop_margin);
        if deadline == Span::ZERO {
            return Err(Refusal::new(Code::Timeout, "there is no time left to ask the next hop"));
        }
        let own = RenewalAsk {
            contract: back.digest,
            n: back.next_renewal(),
            term: ask.term,
            ceiling: Rate { amount: link.margin.off(ask.ceiling.amount), ..ask.ceiling },
            extensions: none_yet(),
        };
        let (own, to) = (Signed::new(own, &self.signer), back.record.peer.clone());
        let request = Request::Renew(Renew { now, deadline, ask: own.clone(), extensions: none_yet() });
        let inflight = self.ask(Purpose::Renew(link.other), to, request, deadline, trace, out);
        let lost = now + deadline + LOST_AFTER;
        let renewing = Renewing { front, ask: renew.ask.clone(), own, inflight, lost, tickets: vec![ticket] };
        self.renewing.insert(link.other, renewing);
        Ok(())
    }

    /// The next hop answered RENEW, or did not; says whether that was for somebody else.
    pub(crate) fn answered_onward(
        &mut self,
        now: Time,
        back: ContractId,
        ask: AskId,
        answer: &Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.contracts.get(&back).is_none_or(|back| back.record.link.is_none()) {
            return false;
        }
        let Some(renewing) = self.renewing.get(&back) else { return true };
        let done = match answer {
            Ok(Answer::Renewed(renewal)) => self.renew_both(now, back, renewal, out),
            _ if renewing.inflight != ask => return true,
            Ok(Answer::Refused(refusal)) => Err(relay::passed_on(refusal)),
            Err(refusal) if is_silence(refusal) => Err(Code::Timeout.into()),
            Err(refusal) => Err(relay::passed_on(refusal)),
            Ok(_) => Err(Code::Unavailable.into()),
        };
        if let Err(refusal) = done {
            self.end_renewing(&back, refusal, out);
        }
        true
    }

    /// Ends what is asked for one hop on about this contract: its asker hears why.
    pub(crate) fn end_renewing(&mut self, back: &ContractId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(renewing) = self.renewing.remove(back) else { return };
        for ticket in renewing.tickets {
            refuse(ticket, refusal.clone(), out);
        }
    }

    /// The next hop has renewed: so does this node.
    fn renew_both(
        &mut self,
        now: Time,
        back: ContractId,
        signed: &Signed<Renewal>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let gone = || Refusal::from(Code::Unavailable);
        // The next hop says the same again when it is asked again.
        self.check_storage()?;
        let Some(renewing) = self.renewing.get(&back) else { return Ok(()) };
        let (id, own) = (renewing.front, &renewing.own);
        let asked = renewing.ask.claimed().ok_or_else(gone)?;
        let ask = renewing.ask.clone();
        let inner = self.contracts.get(&back).ok_or_else(gone)?;
        let outer = self.contracts.get(&id).filter(|front| front.is_live()).ok_or_else(gone)?;
        let (n, seller) = (inner.next_renewal(), inner.order.seller);
        let good = Renewal::verify(signed, &inner.digest, &self.me, &seller);
        let Some((renewal, _)) = good.ok().filter(|(renewal, ask)| renewal.ask == *own && ask.n == n) else {
            out.push(Effect::Rated { peer: seller, outcome: Outcome::Failed });
            return Err(gone());
        };
        let margin = outer.record.link.map(|link| link.margin).ok_or_else(gone)?;
        let price = relay::price(renewal.price, margin, &asked.ceiling)?;
        // The longest by which the own promise still ends a margin before the one that it rests on.
        let inner_end = inner.ends() + renewal.term;
        let nest =
            Nest::new(Span::ZERO, self.config.nesting_margin, &[renewal.term, inner.term, inner.activate_within]);
        let term = asked.term.min(outer.ends().until(relay::before(inner_end, nest.margin)));
        let (term, next) = (term.min(renewal.term), outer.next_renewal());
        let inner_term = renewal.term;
        self.take_renewed(back, n, signed.clone(), inner_term, out);
        if term == Span::ZERO {
            return Err(Code::Expired.into());
        }
        let renewal = Renewal { ask, price, term, at: now, extensions: none_yet() };
        let renewal = Signed::new(renewal, &self.signer);
        self.take_renewed(id, next, renewal.clone(), term, out);
        let tickets = self.renewing.remove(&back).map(|renewing| renewing.tickets).unwrap_or_default();
        let answer = Answer::Renewed(renewal);
        out.extend(tickets.into_iter().map(|ticket| Effect::Reply { ticket, answer: answer.clone() }));
        Ok(())
    }

    /// Keeps a renewal of one of a relay's contracts.
    fn take_renewed(&mut self, id: ContractId, n: u32, signed: Signed<Renewal>, term: Span, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get_mut(&id) else { return };
        out.push(Effect::Keep(row(id, n, &signed)));
        agreement.renew(signed, term);
        let ends = agreement.ends();
        self.expiries.set(Expiry::Term(id), ends);
        out.push(Effect::Changed { contract: id });
    }

    /// Says whether a contract is renewed only when the one that it backs is.
    pub(crate) fn is_back(&self, id: &ContractId) -> bool {
        let agreement = self.contracts.get(id);
        agreement.is_some_and(|agreement| agreement.record.link.is_some() && agreement.record.side == Side::Consumer)
    }
}
