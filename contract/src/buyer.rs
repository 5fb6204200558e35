//! The buyer's part: orders are signed and sent, again where nothing is heard, and given up in the end.

use kernel::{AskId, ContractId, Key, NodeId, RequestId, Span, Time};
use rear_proto::{
    Answer, Code, Endorsement, Mode, Order, Party, Purchase, Refusal, Request, Signed, Trace,
    local::{Outcome, Wish},
    message::{Buy as BuyNow, EndReason, Reserve},
    story::Deed,
    tunnel,
};

use crate::{
    close::Tell,
    keys::closed,
    mail::Effect,
    manager::{Chore, Manager, Purpose, none_yet},
    record::Name,
    relay::with_age,
    release::{About, LOST_AFTER},
};

/// What this node asks for, holds or has bought, under one key.
#[derive(Debug)]
pub(crate) struct Buy {
    /// For which request, where it still waits; not known after a restart.
    pub(crate) request: Option<RequestId>,
    pub(crate) trace: Trace,
    pub(crate) seller: Party,
    pub(crate) order: Signed<Order>,
    /// At a relay: who vouches for the tunnel key, which is not its own.
    pub(crate) endorsement: Option<Endorsement>,
    pub(crate) mode: Mode,
    pub(crate) renew: bool,
    pub(crate) stage: Stage,
}

/// How far it has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// RESERVE is said.
    Asking(Tries),
    /// The seller holds it.
    Held,
    /// PURCHASE is said.
    Purchasing(Box<Signed<Purchase>>, Tries),
    /// It is a contract.
    Live(ContractId),
}

/// A question that is said again where it gets no answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries {
    /// When it was said first.
    pub(crate) since: Time,
    /// Until when an answer is of use.
    until: Time,
    /// How often it was said.
    count: u32,
    inflight: Option<AskId>,
}

impl Tries {
    pub(crate) const fn new(since: Time, until: Time) -> Self {
        Self { since, until, count: 0, inflight: None }
    }
}

impl Stage {
    const fn tries(&mut self) -> Option<&mut Tries> {
        match self {
            Self::Asking(tries) | Self::Purchasing(_, tries) => Some(tries),
            Self::Held | Self::Live(_) => None,
        }
    }
}

impl Manager {
    /// Signs an order and sends it.
    pub(crate) fn start_buying(
        &mut self,
        now: Time,
        request: RequestId,
        wish: Wish,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let key = wish.key;
        if self.buys.get(&key).is_some_and(|buy| buy.request == Some(request)) {
            return;
        }
        if let Err(refusal) = self.may_buy(now, &wish) {
            return out.push(Effect::Refused { request, key, refusal });
        }
        let order = Order {
            key,
            buyer: self.me,
            seller: wish.seller.node,
            placed: now,
            flavour: wish.flavour,
            epoch: wish.epoch,
            partition: wish.partition,
            mode: wish.mode,
            term: wish.term,
            activate_within: wish.activate_within.unwrap_or(self.config.activate_within),
            ceiling: wish.ceiling,
            tunnel_key: tunnel::offered(&self.signer, &key),
            extensions: none_yet(),
        };
        let buy = Buy {
            request: Some(request),
            trace,
            seller: wish.seller,
            order: Signed::new(order, &self.signer),
            endorsement: None,
            mode: wish.mode,
            renew: wish.renew,
            stage: Stage::Asking(Tries::new(now, now + self.config.answer_within)),
        };
        self.buys.insert(key, buy);
        out.push(Effect::Did(trace, Deed::ReserveSent));
        self.say(now, key, out);
    }

    fn may_buy(&self, now: Time, wish: &Wish) -> Result<(), Refusal> {
        let name = Name { buyer: self.me, key: wish.key };
        if self.buys.contains_key(&wish.key) || self.tellings.contains_key(&name) {
            return Err(crate::keys::reused(&name));
        }
        if let Some(reason) = self.keys.closed(now, &name) {
            return Err(closed(&name, reason));
        }
        if wish.seller.node == self.me {
            return Err(Refusal::new(Code::Malformed, "a node does not buy from itself"));
        }
        if self.credentials.is_none() {
            return Err(Refusal::new(Code::NotAMember, "this node has no proof of membership yet"));
        }
        self.check_storage()
    }

    /// Purchases what is held.
    pub(crate) fn start_purchase(
        &mut self,
        now: Time,
        request: RequestId,
        key: Key,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.begin_purchase(now, request, key, trace, out) {
            out.push(Effect::Refused { request, key, refusal });
        }
    }

    fn begin_purchase(
        &mut self,
        now: Time,
        request: RequestId,
        key: Key,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let name = Name { buyer: self.me, key };
        let Some(buy) = self.buys.get_mut(&key) else {
            return Err(match self.keys.closed(now, &name) {
                Some(EndReason::Expired) => {
                    Refusal::new(Code::Expired, format!("the time to purchase reservation {key} has passed"))
                }
                Some(reason) => closed(&name, reason),
                None => Refusal::new(Code::NotFound, format!("there is no reservation {key}")),
            });
        };
        match buy.stage {
            Stage::Held => {}
            // It is under way, or done, already: the answer has gone or will go to whoever asked first.
            Stage::Purchasing(..) | Stage::Live(_) => return Ok(()),
            Stage::Asking(_) => {
                return Err(Refusal::new(Code::Unavailable, format!("reservation {key} is not held yet")));
            }
        }
        let Some(hold) = self.holds.get(&name) else {
            return Err(Refusal::new(Code::NotFound, format!("there is no reservation {key}")));
        };
        if !self.storage {
            return Err(Code::Storage.into());
        }
        let purchase = Purchase { key, reserved: hold.reserved.digest(), extensions: none_yet() };
        let until = (now + self.config.answer_within).min(hold.lapses.max(self.suspended));
        let tries = Tries::new(now, until);
        (buy.request, buy.trace) = (Some(request), trace);
        buy.stage = Stage::Purchasing(Box::new(Signed::new(purchase, &self.signer)), tries);
        self.say(now, key, out);
        Ok(())
    }

    /// Says RESERVE or PURCHASE.
    pub(crate) fn say(&mut self, now: Time, key: Key, out: &mut Vec<Effect>) {
        // The time that a relay has is one try of its asker's, and so short that each of its own waits for all that is
        // left: an answer to an earlier one is as good as one to the latest.
        let relayed = self.fronts.contains_key(&key);
        let try_within = if relayed { Span(u64::MAX) } else { self.config.try_within() };
        let Some(own) = self.buys.get(&key).and_then(|buy| self.endorsement_of(buy)) else { return };
        let Some(buy) = self.buys.get_mut(&key) else { return };
        let Some(&mut Tries { since, until, .. }) = buy.stage.tries() else { return };
        let deadline = now.until(until).min(try_within);
        let extensions = with_age(now.since(since));
        let request = match &buy.stage {
            Stage::Asking(_) => {
                Request::Reserve(Reserve { now, deadline, endorsement: own, order: buy.order.clone(), extensions })
            }
            Stage::Purchasing(purchase, _) => {
                let purchase = (**purchase).clone();
                Request::Purchase(BuyNow { now, deadline, purchase, extensions })
            }
            Stage::Held | Stage::Live(_) => return,
        };
        let (to, trace) = (buy.seller.clone(), buy.trace);
        let ask = self.ask(Purpose::Buy(key), to, request, deadline, trace, out);
        let mut lost = now + deadline + LOST_AFTER;
        if let Some(tries) = self.buys.get_mut(&key).and_then(|buy| buy.stage.tries()) {
            tries.count += 1;
            tries.inflight = Some(ask);
            if relayed && tries.count < self.config.tries {
                // Its asker does not hear of a message that is lost here, if there is time for another one.
                lost = now + deadline.divided(2);
            }
        }
        self.chores.set(Chore::Repeat(key), lost);
    }

    /// Returns who vouches for the tunnel key in an order of this node's.
    fn endorsement_of(&self, buy: &Buy) -> Option<Endorsement> {
        let own = || buy.order.open(&self.me).ok().and_then(|order| self.own_endorsement(order.tunnel_key));
        buy.endorsement.clone().or_else(own)
    }

    /// A question got no answer: it is said again while that is of use.
    pub(crate) fn repeat_or_give_up(&mut self, now: Time, key: Key, out: &mut Vec<Effect>) {
        let most = self.config.tries;
        let Some(buy) = self.buys.get_mut(&key) else { return };
        let Some(tries) = buy.stage.tries() else { return };
        if tries.count < most && now < tries.until {
            return self.say(now, key, out);
        }
        let peer = buy.seller.node;
        out.push(Effect::Rated { peer, outcome: Outcome::Silent });
        let text = format!("{peer} did not answer in time");
        self.fail_buy(now, key, Refusal::new(Code::Timeout, text), Tell::Yes, EndReason::Released, out);
    }

    /// The seller answered RESERVE or PURCHASE, or did not.
    pub(crate) fn answered_buy(
        &mut self,
        now: Time,
        key: Key,
        ask: AskId,
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Some(buy) = self.buys.get_mut(&key) else { return self.answered_nobody(now, answer, out) };
        let (peer, purchasing) = (buy.seller.node, matches!(buy.stage, Stage::Purchasing(..)));
        let Some(tries) = buy.stage.tries() else { return };
        let (current, more) = (tries.inflight == Some(ask), tries.count > 1);
        let (refusal, heard) = match answer {
            Ok(Answer::Contract(contract)) => return self.take_contract(now, key, contract, out),
            Ok(Answer::Reserved(reserved)) => return self.take_hold(now, key, reserved, out),
            // What is said to an earlier try may still be answered otherwise to the latest.
            _ if !current => return,
            Ok(Answer::Refused(refusal)) => (refusal, true),
            Err(refusal) => (refusal, false),
            Ok(_) => {
                let refusal = Refusal::new(Code::Malformed, "the answer is none to the question");
                return self.take_bad(now, key, refusal, out);
            }
        };
        // Where a hold is at stake, a seller that can't be reached just now is worth another try; where nothing is,
        // the next candidate is.
        if !heard && (refusal.code() == Code::Timeout || purchasing && is_silence(&refusal)) {
            return self.try_again(now, key, out);
        }
        if let Some(outcome) = refused_as(purchasing, heard, &refusal) {
            out.push(Effect::Rated { peer, outcome });
        }
        // Who can't be reached has said nothing of what it sells: another way to that may do.
        let unreached = !heard && refusal.code() == Code::Unavailable;
        let refusal = if unreached { Refusal::new(Code::Timeout, format!("{peer} can't be reached")) } else { refusal };
        // An earlier try may still be on its way, to be granted after the latest was refused; and an answer that could
        // not be read may have been a grant.
        let tell = if more || purchasing || refusal.code() == Code::Malformed { Tell::Yes } else { Tell::No };
        self.fail_buy(now, key, refusal, tell, EndReason::Released, out);
    }

    /// A try got no answer: there may be another one.
    fn try_again(&mut self, now: Time, key: Key, out: &mut Vec<Effect>) {
        let (most, again) = (self.config.tries, now + self.config.repeat_after);
        let Some(tries) = self.buys.get_mut(&key).and_then(|buy| buy.stage.tries()) else { return };
        tries.inflight = None;
        if tries.count < most && again < tries.until {
            self.chores.set(Chore::Repeat(key), again);
        } else {
            self.exhaust(now, key, out);
        }
    }

    /// Gives up a question whose tries are used up.
    fn exhaust(&mut self, now: Time, key: Key, out: &mut Vec<Effect>) {
        if let Some(tries) = self.buys.get_mut(&key).and_then(|buy| buy.stage.tries()) {
            tries.count = u32::MAX;
        }
        self.repeat_or_give_up(now, key, out);
    }

    /// Gives up what is asked for or held, and tells REAR why.
    pub(crate) fn fail_buy(
        &mut self,
        now: Time,
        key: Key,
        refusal: Refusal,
        tell: Tell,
        reason: EndReason,
        out: &mut Vec<Effect>,
    ) {
        let request = self.drop_buy(now, key, reason, tell, out);
        if let Some(front) = self.fronts.get(&key).copied() {
            return self.forward_failed(now, front, &refusal, out);
        }
        if let Some(request) = request {
            out.push(Effect::Refused { request, key, refusal });
        }
    }

    /// Ends what is asked for or held, and not yet a contract; returns the request that waited for it.
    pub(crate) fn drop_buy(
        &mut self,
        now: Time,
        key: Key,
        reason: EndReason,
        tell: Tell,
        out: &mut Vec<Effect>,
    ) -> Option<RequestId> {
        let name = Name { buyer: self.me, key };
        let buy = self.buys.get(&key).filter(|buy| !matches!(buy.stage, Stage::Live(_)))?;
        let about = if matches!(buy.stage, Stage::Asking(_)) { About::Question } else { About::Hold };
        let (peer, request) = (buy.seller.clone(), buy.request);
        self.forget_buy(now, &key, reason);
        self.end_hold(now, &name, tell.end(reason, now), out);
        if tell != Tell::No {
            self.tell(now, name, peer, reason, tell == Tell::Awaited, about, out);
        }
        request
    }

    /// Forgets what was bought or asked for, except that its key is used up.
    pub(crate) fn forget_buy(&mut self, now: Time, key: &Key, reason: EndReason) {
        if self.buys.remove(key).is_some() {
            self.chores.cancel(&Chore::Repeat(*key));
            let name = Name { buyer: self.me, key: *key };
            self.keys.release(name, reason, now + self.config.keys_kept, self.config.max_refusals_per_buyer);
        }
    }

    /// REAR gives up what was bought, held or asked for.
    pub(crate) fn end_buy(&mut self, now: Time, key: Key, reason: EndReason, out: &mut Vec<Effect>) {
        let name = Name { buyer: self.me, key };
        match self.buys.get(&key).map(|buy| &buy.stage) {
            Some(Stage::Live(contract)) => {
                let contract = *contract;
                self.close_contract(now, contract, reason, Tell::Awaited, out);
            }
            Some(Stage::Asking(_) | Stage::Held | Stage::Purchasing(..)) => {
                self.drop_buy(now, key, reason, Tell::Awaited, out);
            }
            None => match self.tellings.get_mut(&name) {
                Some(telling) => telling.awaited = true,
                None => self.ended(&key, self.keys.closed(now, &name).unwrap_or(reason), out),
            },
        }
    }

    /// The seller has ended what this node bought, held or asks for.
    pub(crate) fn released_by_seller(
        &mut self,
        now: Time,
        from: NodeId,
        key: Key,
        reason: EndReason,
        out: &mut Vec<Effect>,
    ) {
        let Some(buy) = self.buys.get(&key).filter(|buy| buy.seller.node == from) else { return };
        match &buy.stage {
            Stage::Live(contract) => {
                let contract = *contract;
                self.close_contract(now, contract, reason, Tell::No, out);
            }
            Stage::Held => {
                self.drop_buy(now, key, reason, Tell::No, out);
                self.hold_gone(now, &key, reason, out);
            }
            Stage::Asking(_) | Stage::Purchasing(..) => {
                let refusal = closed(&Name { buyer: self.me, key }, reason);
                self.fail_buy(now, key, refusal, Tell::No, reason, out);
            }
        }
    }

    /// The time to purchase what is held has passed.
    pub(crate) fn taken_hold_lapsed(&mut self, now: Time, name: Name, out: &mut Vec<Effect>) {
        match self.buys.get(&name.key).map(|buy| &buy.stage) {
            Some(Stage::Held) => {
                self.drop_buy(now, name.key, EndReason::Expired, Tell::Yes, out);
                self.hold_gone(now, &name.key, EndReason::Expired, out);
            }
            Some(Stage::Purchasing(..)) => self.exhaust(now, name.key, out),
            Some(Stage::Asking(_) | Stage::Live(_)) | None => {}
        }
    }

    /// What was held for this node is no longer: who wanted it hears so.
    fn hold_gone(&mut self, now: Time, key: &Key, reason: EndReason, out: &mut Vec<Effect>) {
        if self.fronts.contains_key(key) {
            self.back_hold_over(now, key, reason, out);
        } else {
            self.ended(key, reason, out);
        }
    }

    /// A seller is no longer a member: nothing of what it was asked for or holds will come to anything.
    pub(crate) fn give_up_seller(&mut self, now: Time, node: &NodeId, out: &mut Vec<Effect>) {
        let keys: Vec<Key> =
            self.buys.iter().filter(|(_, buy)| buy.seller.node == *node).map(|(key, _)| *key).collect();
        for key in keys {
            let held = matches!(self.buys.get(&key).map(|buy| &buy.stage), Some(Stage::Held));
            let waits = self.drop_buy(now, key, EndReason::Removed, Tell::No, out);
            let refusal = Refusal::new(Code::NotAMember, format!("{node} is no longer a member of the domain"));
            if held {
                self.hold_gone(now, &key, EndReason::Removed, out);
            } else if let Some(front) = self.fronts.get(&key).copied() {
                self.forward_failed(now, front, &refusal, out);
            } else if let Some(request) = waits {
                out.push(Effect::Refused { request, key, refusal });
            }
        }
    }
}

/// Says whether this may stand for no answer at all.
pub(crate) fn is_silence(refusal: &Refusal) -> bool {
    matches!(refusal.code(), Code::Timeout | Code::Unavailable)
}

/// Returns how a seller did that refused: what it holds it has promised to sell. Where the refusal may be this node's
/// own, because the seller was not reached, that says nothing.
fn refused_as(purchasing: bool, heard: bool, refusal: &Refusal) -> Option<Outcome> {
    match refusal.code() {
        Code::Unavailable | Code::Overloaded if !heard => None,
        Code::Expired | Code::Overloaded | Code::Storage | Code::ClockSkew => Some(Outcome::Answered),
        _ if purchasing => Some(Outcome::Failed),
        _ => Some(Outcome::Answered),
    }
}
