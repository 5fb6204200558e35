//! RENEW: a contract in use goes on, by a promise of its own for each time.

use kernel::{AskId, ContractId, NodeId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Refusal, Renewal, RenewalAsk, Request, Row, Signed, Table, Trace,
    local::{Caller, Outcome, Side},
    message::Renew,
};

use crate::{
    agreement::{Agreement, Renewing},
    buyer::is_silence,
    keys::{closed, reused},
    mail::Effect,
    manager::{Chore, Expiry, Manager, Purpose, none_yet, refuse},
    record::RenewalRecord,
    release::LOST_AFTER,
};

impl Manager {
    // -- as a seller ------------------------------------------------------------------------------------

    /// RENEW.
    #[allow(clippy::too_many_arguments, reason = "who asks for what, as whom, and for which story")]
    pub(crate) fn asked_renew(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        caller: Caller,
        renew: &Renew,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        match self.grant_renewal(now, ticket, &from, &caller, renew, trace, out) {
            Ok(Some(renewal)) => out.push(Effect::Reply { ticket, answer: Answer::Renewed(renewal) }),
            // It is asked for one hop on.
            Ok(None) => {}
            Err(refusal) => refuse(ticket, refusal, out),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "who asks for what, as whom, and for which story")]
    fn grant_renewal(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: &NodeId,
        caller: &Caller,
        renew: &Renew,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Signed<Renewal>>, Refusal> {
        let ask = renew.ask.open(from).map_err(|error| Refusal::new(Code::Malformed, error.to_string()))?;
        self.check_clock(now, renew.now)?;
        self.check_storage()?;
        let id = ContractId::from(ask.contract);
        let agreement = self
            .contracts
            .get_mut(&id)
            .filter(|agreement| agreement.digest == ask.contract && agreement.order.buyer == *from)
            .filter(|agreement| agreement.record.side == Side::Provider)
            .ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no contract {id} with the sender")))?;
        if let Some(end) = agreement.record.end {
            return Err(closed(&agreement.name(), end.reason));
        }
        let next = agreement.next_renewal();
        if ask.n == 0 || ask.n > next {
            let text = format!("renewal {} of contract {id} does not follow on {}", ask.n, next - 1);
            return Err(Refusal::new(Code::Malformed, text));
        }
        if let Some(before) = agreement.renewals.get(ask.n as usize - 1) {
            let same = before.claimed().is_some_and(|renewal| renewal.ask.digest() == renew.ask.digest());
            return if same { Ok(Some(before.clone())) } else { Err(reused(&agreement.name())) };
        }
        check_terms(ask, agreement, self.config.max_term, self.config.max_total_term)?;
        if self.join_renewal(now, ticket, &id, renew, out)? {
            return Ok(None);
        }
        self.count_promise(now, from, caller)?;
        let Some(agreement) = self.contracts.get_mut(&id) else { return Ok(None) };
        if agreement.record.link.is_some() {
            return self.forward_renewal(now, ticket, id, renew, trace, out).map(|()| None);
        }
        let renewal =
            Renewal { ask: renew.ask.clone(), price: agreement.price, term: ask.term, at: now, extensions: none_yet() };
        let signed = Signed::new(renewal, &self.signer);
        out.push(Effect::Keep(row(id, next, &signed)));
        agreement.renew(signed.clone(), ask.term);
        let ends = agreement.ends();
        self.expiries.set(Expiry::Term(id), ends);
        out.push(Effect::Changed { contract: id });
        Ok(Some(signed))
    }

    // -- as a buyer -------------------------------------------------------------------------------------

    /// Plans the next renewal of a contract that is in use and to be renewed.
    pub(crate) fn plan_renewal(&mut self, now: Time, id: ContractId) {
        let Some(agreement) = self.contracts.get(&id) else { return };
        let wanted = agreement.record.side == Side::Consumer
            && agreement.record.renew
            && agreement.active
            && agreement.is_live()
            && agreement.renewing.is_none()
            && !agreement.renewal_refused;
        if wanted {
            self.chores.set(Chore::Renew(id), agreement.renew_at(self.config.renew_at_percent).max(now));
        }
    }

    /// The operator wants a contract renewed now.
    pub(crate) fn renew_by_hand(&mut self, now: Time, ticket: Ticket, id: ContractId, out: &mut Vec<Effect>) {
        let relayed = self.is_back(&id);
        let refusal = match self.contracts.get_mut(&id) {
            Some(_) if relayed => {
                Refusal::new(Code::Unavailable, format!("contract {id} is renewed when the one that it backs is"))
            }
            None => Refusal::new(Code::NotFound, format!("there is no contract {id}")),
            Some(agreement) if agreement.record.side == Side::Provider => {
                Refusal::new(Code::Unavailable, format!("contract {id} is renewed by its buyer, not by its seller"))
            }
            Some(agreement) => match agreement.record.end {
                Some(end) => closed(&agreement.name(), end.reason),
                None => {
                    let renewing = begin(agreement, &self.signer);
                    renewing.waiters.push(ticket);
                    if renewing.inflight.is_none() {
                        self.send_renew(now, id, out);
                    }
                    return;
                }
            },
        };
        out.push(Effect::Respond { ticket, result: Err(refusal) });
    }

    /// It is time to renew, or to ask for it again.
    pub(crate) fn renew_due(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get_mut(&id).filter(|agreement| agreement.is_live()) else { return };
        begin(agreement, &self.signer);
        self.send_renew(now, id, out);
    }

    fn send_renew(&mut self, now: Time, id: ContractId, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get(&id) else { return };
        let Some(renewing) = &agreement.renewing else { return };
        let deadline = self.config.answer_within;
        let request = Request::Renew(Renew { now, deadline, ask: renewing.ask.clone(), extensions: none_yet() });
        let to = agreement.record.peer.clone();
        let ask = self.ask(Purpose::Renew(id), to, request, deadline, Trace::None, out);
        if let Some(renewing) = self.contracts.get_mut(&id).and_then(|agreement| agreement.renewing.as_mut()) {
            renewing.inflight = Some(ask);
        }
        self.chores.set(Chore::Renew(id), now + deadline + LOST_AFTER);
    }

    /// The seller answered RENEW, or did not.
    pub(crate) fn answered_renew(
        &mut self,
        now: Time,
        id: ContractId,
        ask: AskId,
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        if self.answered_onward(now, id, ask, &answer, out) {
            return;
        }
        let repeat_after = self.config.repeat_after;
        let Some(agreement) = self.contracts.get_mut(&id).filter(|agreement| agreement.is_live()) else { return };
        let Some(renewing) = agreement.renewing.as_mut() else { return };
        let (refusal, silence) = match answer {
            Ok(Answer::Renewed(renewal)) => return self.take_renewal(now, id, renewal, out),
            Ok(Answer::Refused(refusal)) => (refusal, false),
            Err(refusal) => (refusal.clone(), is_silence(&refusal)),
            Ok(_) => (Refusal::new(Code::Malformed, "the answer is none to the question"), false),
        };
        if renewing.inflight != Some(ask) {
            return;
        }
        if !silence && !is_passing(&refusal) {
            return self.not_renewed(id, refusal, out);
        }
        renewing.inflight = None;
        let waiters = std::mem::take(&mut renewing.waiters);
        let again = agreement.term.divided(20).min(Span::secs(10)).max(repeat_after);
        respond(waiters, &Err(refusal), out);
        self.chores.set(Chore::Renew(id), now + again);
    }

    fn take_renewal(&mut self, now: Time, id: ContractId, signed: Signed<Renewal>, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get_mut(&id) else { return };
        let Some(renewing) = &agreement.renewing else { return };
        let (buyer, seller, n) = (agreement.order.buyer, agreement.order.seller, agreement.next_renewal());
        let term = match Renewal::verify(&signed, &agreement.digest, &buyer, &seller) {
            Ok((renewal, ask)) if renewal.ask == renewing.ask && ask.n == n => renewal.term,
            other => {
                let what = other.map_or_else(|error| error.to_string(), |_| "it is another one".to_owned());
                let text = format!("the renewal of {seller} is not good: {what}");
                out.push(Effect::Rated { peer: seller, outcome: Outcome::Failed });
                return self.not_renewed(id, Refusal::new(Code::Malformed, text), out);
            }
        };
        let waiters = agreement.renewing.take().map(|renewing| renewing.waiters).unwrap_or_default();
        out.push(Effect::Keep(row(id, n, &signed)));
        agreement.renew(signed, term);
        let ends = agreement.ends();
        self.expiries.set(Expiry::Term(id), ends);
        self.chores.cancel(&Chore::Renew(id));
        self.plan_renewal(now, id);
        respond(waiters, &Ok(()), out);
        out.push(Effect::Changed { contract: id });
    }

    /// The seller will not renew: the contract ends when its term does.
    fn not_renewed(&mut self, id: ContractId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(agreement) = self.contracts.get_mut(&id) else { return };
        let waiters = agreement.renewing.take().map(|renewing| renewing.waiters).unwrap_or_default();
        self.chores.cancel(&Chore::Renew(id));
        if agreement.record.renew && !std::mem::replace(&mut agreement.renewal_refused, true) {
            out.push(Effect::NotRenewed { key: agreement.order.key, refusal: refusal.clone() });
        }
        respond(waiters, &Err(refusal), out);
    }
}

/// Begins to ask for the next renewal, or goes on with it: its content depends on the contract alone, so that it is
/// the same however often it is asked, after a restart too.
fn begin<'a>(agreement: &'a mut Agreement, signer: &rear_proto::Signer) -> &'a mut Renewing {
    let ask = RenewalAsk {
        contract: agreement.digest,
        n: agreement.next_renewal(),
        term: agreement.term,
        ceiling: agreement.order.ceiling,
        extensions: none_yet(),
    };
    agreement.renewing.get_or_insert_with(|| Renewing {
        ask: Signed::new(ask, signer),
        inflight: None,
        waiters: Vec::new(),
    })
}

/// Checks what a renewal asks for against the contract and this node's own limits.
fn check_terms(ask: &RenewalAsk, agreement: &Agreement, max: Span, max_total: Span) -> Result<(), Refusal> {
    let refusal = |code, text: String| Err(Refusal::new(code, text));
    let (id, price) = (agreement.id, agreement.price);
    match price.within(&ask.ceiling) {
        Some(true) => {}
        Some(false) => {
            let text = format!("contract {id} costs {price}, over the ceiling of {}", ask.ceiling);
            return refusal(Code::PriceTooLow, text);
        }
        None => {
            let text = format!("contract {id} is paid in {}, not {}", price.currency, ask.ceiling.currency);
            return refusal(Code::CurrencyMismatch, text);
        }
    }
    if ask.term == Span::ZERO {
        return refusal(Code::Malformed, format!("the renewal of contract {id} has no term"));
    }
    let total = agreement.total_term().plus(ask.term);
    if ask.term > max || total > max_total {
        let text = format!("{} more, {total} in all, is over this seller's {max} and {max_total}", ask.term);
        return refusal(Code::TooLarge, text);
    }
    Ok(())
}

/// Says whether the refusal of a renewal may well be none at the next try: a relay whose next hop is silent says
/// `Timeout`, in place of being silent itself.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code(), Code::Overloaded | Code::Storage | Code::ClockSkew | Code::Timeout)
}

fn respond(waiters: Vec<Ticket>, result: &Result<(), Refusal>, out: &mut Vec<Effect>) {
    out.extend(waiters.into_iter().map(|ticket| Effect::Respond { ticket, result: result.clone() }));
}

/// Returns the row that keeps a renewal.
pub(crate) fn row(id: ContractId, n: u32, renewal: &Signed<Renewal>) -> Row {
    let key = [id.as_bytes(), &n.to_be_bytes()].concat();
    Row::put(Table::Renewals, key, &RenewalRecord { renewal: renewal.clone() })
}
