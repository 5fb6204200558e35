//! RELEASE: telling the other party that something is over until it has answered, and being told.

use kernel::{AskId, ContractId, NodeId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Refusal, Request, Row, Table, Trace,
    flavour::Party,
    message::{EndReason, Release},
};

use crate::{
    close::Tell,
    mail::Effect,
    manager::{Chore, Expiry, Manager, Purpose, none_yet, refuse},
    record::Name,
};

/// An end that the other party has still to be told of.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) peer: Party,
    pub(crate) reason: EndReason,
    /// Whether REAR waits for the answer.
    pub(crate) awaited: bool,
    pub(crate) about: About,
    /// How long after a try without an answer the next one follows.
    delay: Span,
    inflight: Option<AskId>,
    /// Whether it has been repeated for long enough.
    over: bool,
}

/// What has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// A question that was given up: nothing is kept of it.
    Question,
    /// A hold.
    Hold,
    /// A contract.
    Contract(ContractId),
}

/// How much longer than an answer may take one is waited for, before a question counts as lost.
pub(crate) const LOST_AFTER: Span = Span::secs(1);

impl Manager {
    /// Tells the other party that something is over, until it has answered or its lease has passed.
    #[allow(clippy::too_many_arguments, reason = "what is over, for whom, and who waits")]
    pub(crate) fn tell(
        &mut self,
        now: Time,
        name: Name,
        peer: Party,
        reason: EndReason,
        awaited: bool,
        about: About,
        out: &mut Vec<Effect>,
    ) {
        if self.tellings.contains_key(&name) {
            return;
        }
        let delay = self.config.repeat_after;
        let telling = Telling { peer, reason, awaited, about, delay, inflight: None, over: false };
        self.tellings.insert(name, telling);
        self.expiries.set(Expiry::Telling(name), now + self.config.lease);
        self.send_release(now, name, out);
    }

    /// Says RELEASE.
    pub(crate) fn send_release(&mut self, now: Time, name: Name, out: &mut Vec<Effect>) {
        let Some(telling) = self.tellings.get(&name) else { return };
        if telling.over {
            return self.told(&name, out);
        }
        let deadline = self.config.release_answer_within;
        let release = Release { key: name.key, buyer: name.buyer, reason: telling.reason, extensions: none_yet() };
        let to = telling.peer.clone();
        let ask = self.ask(Purpose::Release(name), to, Request::Release(release), deadline, Trace::None, out);
        if let Some(telling) = self.tellings.get_mut(&name) {
            telling.inflight = Some(ask);
        }
        self.chores.set(Chore::Release(name), now + deadline + LOST_AFTER);
    }

    /// The other party answered a RELEASE, or did not.
    pub(crate) fn answered_release(
        &mut self,
        now: Time,
        name: Name,
        ask: AskId,
        answer: &Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let longest = self.config.lease.divided(6);
        let Some(telling) = self.tellings.get_mut(&name) else { return };
        if matches!(answer, Ok(Answer::Released)) {
            return self.told(&name, out);
        }
        if telling.inflight != Some(ask) {
            return;
        }
        telling.inflight = None;
        if telling.over {
            return self.told(&name, out);
        }
        let delay = telling.delay;
        telling.delay = delay.times(2).min(longest.max(delay));
        self.chores.set(Chore::Release(name), now + delay);
    }

    /// A RELEASE has been repeated for a lease: by then the other party has ended it by itself.
    ///
    /// A try that is under way may still be answered.
    pub(crate) fn telling_over(&mut self, name: Name, out: &mut Vec<Effect>) {
        let Some(telling) = self.tellings.get_mut(&name) else { return };
        telling.over = true;
        if telling.inflight.is_none() {
            self.told(&name, out);
        }
    }

    /// The other party knows, or will not be told any more.
    fn told(&mut self, name: &Name, out: &mut Vec<Effect>) {
        let Some(telling) = self.tellings.remove(name) else { return };
        self.chores.cancel(&Chore::Release(*name));
        self.expiries.cancel(&Expiry::Telling(*name));
        match telling.about {
            About::Question => {}
            About::Hold => {
                if let Some(hold) = self.holds.get_mut(name)
                    && let Some(end) = &mut hold.end
                {
                    (end.untold, end.awaited) = (false, false);
                    out.push(Effect::Keep(Row::put(Table::Reservations, name.bytes(), hold)));
                }
            }
            About::Contract(id) => {
                if let Some(agreement) = self.contracts.get_mut(&id)
                    && let Some(end) = &mut agreement.record.end
                {
                    (end.untold, end.awaited) = (false, false);
                    out.push(Effect::Keep(agreement.row()));
                }
            }
        }
        if telling.awaited && name.buyer == self.me {
            self.ended(&name.key, telling.reason, out);
        }
        if name.buyer == self.me {
            self.back_told(&name.key, out);
        }
    }

    /// A node can be reached again: it is told at once what it has still to be told.
    pub(crate) fn tell_again(&mut self, now: Time, node: &NodeId, out: &mut Vec<Effect>) {
        for name in self.told_to(node) {
            self.send_release(now, name, out);
        }
    }

    /// A node may not be spoken to any more.
    pub(crate) fn stop_telling(&mut self, node: &NodeId, out: &mut Vec<Effect>) {
        for name in self.told_to(node) {
            self.told(&name, out);
        }
    }

    fn told_to(&self, node: &NodeId) -> Vec<Name> {
        self.tellings.iter().filter(|(_, telling)| telling.peer.node == *node).map(|(name, _)| *name).collect()
    }

    /// RELEASE from the other party; it is answered when nothing of it is left here.
    pub(crate) fn asked_release(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        release: &Release,
        out: &mut Vec<Effect>,
    ) {
        let Release { key, buyer, reason, .. } = *release;
        let name = Name { buyer, key };
        // Whoever says so knows already; only where the capacity's return is awaited, the own answer still counts.
        let awaited = self.fronts.contains_key(&key) && buyer == self.me;
        if self.tellings.get(&name).is_some_and(|telling| telling.peer.node == from && !telling.awaited && !awaited) {
            self.told(&name, out);
        }
        if buyer == from && buyer != self.me {
            if self.sales.contains_key(&name) {
                return self.end_sale(now, name, reason, Tell::No, Some(ticket), out);
            }
            if self.keys.closed(now, &name).is_none() {
                // The RESERVE may be on its way still: it comes too late.
                let until = now + self.config.answer_within.times(2);
                self.keys.release(name, reason, until, self.config.max_refusals_per_buyer);
            }
        } else if buyer == self.me && buyer != from {
            self.released_by_seller(now, from, key, reason, out);
        } else {
            let text = format!("reservation {key} of {buyer} is neither the sender's nor this node's");
            return refuse(ticket, Refusal::new(Code::Malformed, text), out);
        }
        out.push(Effect::Reply { ticket, answer: Answer::Released });
    }
}
