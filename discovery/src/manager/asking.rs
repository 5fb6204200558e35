//! Asking outside: one question to the endpoints, what is taken of their answers, and who is told when.

use std::collections::BTreeSet;

use kernel::{AskId, FlavourId, NodeId, QueryId, Span, Time};
use rear_proto::{
    Answer, Code, Deed, Extensions, Flavour, Mismatch, Refusal, Request, Selector,
    door::{MAX_EXCLUDED, MAX_LIST},
    local::Candidate,
    message::{Flavours, List, Scope},
    wire::codec,
};

use super::Manager;
use crate::{
    answering,
    early::Early,
    fan_out::{FanOut, Outcome, Question, Waiting},
    index::{Heard, Offer, OfferKey, Whose},
    mail::{Asker, Discovered, Effect},
};

impl Manager {
    /// Asks outside on behalf of one who wants to know; equal questions at the same time are asked once.
    pub(super) fn discover(&mut self, now: Time, waiting: Waiting, exclude: Vec<FlavourId>, out: &mut Vec<Effect>) {
        let explain = matches!(waiting.asker, Asker::Operator { explain: true, .. });
        // To say what was ruled out and why, everything must be heard of.
        let selector = if explain { Selector::default() } else { waiting.selector.clone() };
        let question = Question { selector, exclude: exclude.into_iter().collect() };
        let most = self.config.answer_limit.clamp(1, MAX_LIST);
        let limit = if explain { most } else { u32::try_from(waiting.k).unwrap_or(most).clamp(1, most) };

        let same = |fan_out: &FanOut| fan_out.question == question && fan_out.limit >= limit && fan_out.deadline > now;
        match self.fan_outs.iter().find(|(_, fan_out)| same(fan_out)) {
            Some((_, fan_out)) if fan_out.is_for(&waiting.asker) => {}
            Some((id, _)) => self.join(now, *id, waiting, out),
            None => self.fan_out(now, question, limit, waiting, out),
        }
    }

    /// Lets one more wait for a question that is under way, with what has come of it already.
    fn join(&mut self, now: Time, id: u64, mut waiting: Waiting, out: &mut Vec<Effect>) {
        let Some(fan_out) = self.fan_outs.get(&id) else { return };
        let came = |offer: &Offer| {
            offer.heard.is_some_and(|heard| heard.seen >= fan_out.asked_at)
                && !fan_out.question.exclude.contains(&offer.flavour.id)
        };
        waiting.found = self.matching(&waiting.selector, waiting.k, came).len();
        out.push(Effect::Did(waiting.trace, Deed::ListSent));
        if let Some(fan_out) = self.fan_outs.get_mut(&id) {
            fan_out.join(waiting);
        }
        self.settle(now, id, out);
    }

    /// Asks the endpoints, all at once; where there is none to ask, it is over at once.
    fn fan_out(&mut self, now: Time, question: Question, limit: u32, waiting: Waiting, out: &mut Vec<Effect>) {
        let (chosen, there) = self.endpoints.chosen(self.config.endpoints, self.config.explore, &mut self.rng);
        if chosen.is_empty()
            && self.early.put(now, Early { question: question.clone(), limit, waiting: waiting.clone() })
        {
            return;
        }
        if chosen.is_empty() {
            let nobody = Outcome { asked: 0, silent: 0, partial: false };
            return self.tell(now, &waiting, &question.exclude, nobody, out);
        }
        let trace = waiting.trace;
        out.push(Effect::Did(trace, Deed::ListSent));
        let id = self.next_fan_out;
        self.next_fan_out += 1;
        let deadline = self.config.list_deadline;
        let query = QueryId(self.rng.bytes());
        let list = List {
            query,
            selector: question.selector.clone(),
            limit,
            scope: Scope::Own,
            exclude: question.exclude.iter().copied().take(MAX_EXCLUDED).collect(),
            hops_left: 0,
            trail: vec![answering::footprint(&query, &self.me)],
            deadline,
            extensions: Extensions::new(),
        };
        let mut fan_out = FanOut::new(question, limit, now, now + deadline, chosen.len() < there);
        for to in chosen {
            let ask = AskId(self.next_ask);
            self.next_ask += 1;
            self.asks.insert(ask, (id, to.node));
            fan_out.open.insert(ask);
            fan_out.asked = fan_out.asked.saturating_add(1);
            out.push(Effect::Ask { ask, to, request: Request::List(list.clone()), deadline, trace });
        }
        fan_out.join(waiting);
        self.deadlines.insert((fan_out.until, id));
        self.fan_outs.insert(id, fan_out);
    }

    /// Asks what had to wait for somebody to ask.
    pub(super) fn ask_early(&mut self, now: Time, out: &mut Vec<Effect>) {
        for Early { question, limit, waiting } in self.early.take() {
            self.fan_out(now, question, limit, waiting, out);
        }
    }

    /// Takes in what an endpoint said, or that it said nothing.
    pub(super) fn answered(
        &mut self,
        now: Time,
        ask: AskId,
        from: NodeId,
        answer: Result<Answer, Refusal>,
        took: Span,
        out: &mut Vec<Effect>,
    ) {
        let Some((id, asked)) = self.asks.remove(&ask) else { return };
        match answer {
            Ok(Answer::Flavours(answer)) if from == asked => {
                self.endpoints.answered(now, &from, took);
                self.take_in(now, id, ask, from, answer, out);
            }
            // An answer to another question, or in another's name, is none.
            Ok(_) => self.said_nothing(id, ask),
            Err(refusal) if matches!(refusal.code(), Code::Timeout | Code::Unavailable) => self.said_nothing(id, ask),
            Err(_) => {
                self.endpoints.answered(now, &from, took);
                if let Some(fan_out) = self.fan_outs.get_mut(&id) {
                    fan_out.answered(ask, true, 0);
                }
            }
        }
        self.settle(now, id, out);
    }

    pub(super) fn said_nothing(&mut self, id: u64, ask: AskId) {
        if let Some(fan_out) = self.fan_outs.get_mut(&id) {
            fan_out.said_nothing(ask);
        }
    }

    /// Takes the offers of an answer that may be believed.
    fn take_in(&mut self, now: Time, id: u64, ask: AskId, from: NodeId, answer: Flavours, out: &mut Vec<Effect>) {
        let Some(fan_out) = self.fan_outs.get_mut(&id) else { return };
        let Flavours { flavours, partial, silent, .. } = answer;
        let round_trip = self.endpoints.round_trip_ms(&from);
        let over = flavours.len() > fan_out.limit as usize;
        let mut named = BTreeSet::new();
        let mut taken = Vec::new();
        for flavour in flavours.into_iter().take(fan_out.limit as usize) {
            if is_credible(&flavour, &from, self.config.offer_bytes) && named.insert(flavour.id) {
                if !fan_out.question.exclude.contains(&flavour.id) {
                    for waiting in fan_out.waiting_mut() {
                        waiting.found += usize::from(waiting.selector.check(&flavour, round_trip).is_ok());
                    }
                }
                taken.push(flavour);
            }
        }
        fan_out.answered(ask, partial || over, silent);
        // A whole answer says of everything that is not in it that it is no longer so.
        if !partial && !over {
            let question =
                Question { selector: answering::for_provider(&fan_out.question.selector), ..fan_out.question.clone() };
            let asked_at = fan_out.asked_at;
            self.prune(&from, &question, asked_at, &named, out);
        }
        for flavour in taken {
            self.hear(now, from, flavour, out);
        }
    }

    fn hear(&mut self, now: Time, via: NodeId, flavour: Flavour, out: &mut Vec<Effect>) {
        let key = (flavour.provider.node, flavour.id);
        let epoch = flavour.epoch;
        let expires = now + flavour.expires_in.min(self.config.longest_life);
        let heard = Heard { seen: now, via, expires };
        if self.index.put_candidate(flavour, heard) {
            self.saving.heard(now, key, epoch, &heard, self.config.save_every);
            self.bound(Some(&key.0), out);
        }
    }

    /// Drops what a provider no longer says of what it would have had to.
    fn prune(
        &mut self,
        node: &NodeId,
        question: &Question,
        asked_at: Time,
        named: &BTreeSet<FlavourId>,
        out: &mut Vec<Effect>,
    ) {
        let stale: Vec<OfferKey> = self
            .index
            .of_provider(node)
            .filter(|(_, id)| !named.contains(id) && !question.exclude.contains(id))
            .filter(|key| {
                self.index.offer(key).is_some_and(|offer| {
                    offer.heard.is_some_and(|heard| heard.seen <= asked_at)
                        && question.selector.check(&offer.flavour, None).is_ok()
                })
            })
            .collect();
        self.drop_all(stale, out);
    }

    /// Tells those who need not wait any longer, and lets go of what is over.
    pub(super) fn settle(&mut self, now: Time, id: u64, out: &mut Vec<Effect>) {
        let Some(fan_out) = self.fan_outs.get_mut(&id) else { return };
        let done = fan_out.done(now);
        let is_over = fan_out.open.is_empty();
        if !done.is_empty() {
            let exclude = fan_out.question.exclude.clone();
            for (waiting, outcome) in &done {
                self.tell(now, waiting, &exclude, *outcome, out);
            }
        }
        if is_over {
            self.let_go(id);
        }
    }

    /// Goes on listening for answers that come late: nobody waits for them, but they fill the index.
    pub(super) fn listen_on(&mut self, now: Time, id: u64) {
        let Some(fan_out) = self.fan_outs.get_mut(&id) else { return };
        let late = fan_out.deadline + self.config.list_deadline;
        if fan_out.until < late && late > now {
            fan_out.until = late;
            self.deadlines.insert((late, id));
        } else {
            self.let_go(id);
        }
    }

    fn let_go(&mut self, id: u64) {
        if let Some(fan_out) = self.fan_outs.remove(&id) {
            self.deadlines.remove(&(fan_out.until, id));
            for ask in fan_out.open {
                self.asks.remove(&ask);
            }
        }
    }

    fn tell(
        &self,
        now: Time,
        waiting: &Waiting,
        exclude: &BTreeSet<FlavourId>,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        let Waiting { asker, selector, k, trace, .. } = waiting;
        let Outcome { asked, silent, partial } = outcome;
        if asked > 0 {
            out.push(Effect::Did(*trace, Deed::CandidatesPopulated));
        }
        out.push(Effect::Did(*trace, Deed::DiscoveryOver));
        match *asker {
            Asker::Rear(request) => out.push(Effect::Discovered { request, partial, silent }),
            Asker::Operator { ticket, explain } => {
                let lives = |offer: &Offer| {
                    offer.heard.is_none_or(|heard| heard.expires > now) && !exclude.contains(&offer.flavour.id)
                };
                let candidates = self.matching(selector, *k, |offer| lives(offer) && self.is_in_reach(offer));
                let ruled_out = if explain { self.ruled_out(now, selector, lives) } else { Vec::new() };
                let found = Discovered { candidates, ruled_out, partial, silent, asked };
                out.push(Effect::Respond { ticket, found });
            }
        }
    }

    /// Returns what does not match and why: candidates, and own offers as seen from here.
    fn ruled_out(&self, now: Time, selector: &Selector, lives: impl Fn(&Offer) -> bool) -> Vec<(Candidate, Mismatch)> {
        let others = self.index.all(Whose::Others).chain(self.index.all(Whose::Own));
        others
            .filter(|offer| lives(offer))
            .filter_map(|offer| {
                let round_trip = self.endpoints.round_trip_ms(&offer.flavour.provider.node);
                let mismatch = selector.check(&offer.flavour, round_trip).err()?;
                let (seen, via) = offer.heard.map_or((now, self.me), |heard| (heard.seen, heard.via));
                Some((Candidate { flavour: (*offer.flavour).clone(), seen, via }, mismatch))
            })
            .take(self.config.explained)
            .collect()
    }
}

/// Says whether an offer may be believed: it is the answering node's own, and does not contradict itself.
fn is_credible(flavour: &Flavour, from: &NodeId, most_bytes: usize) -> bool {
    flavour.provider.node == *from
        && flavour.owner == *from
        && flavour.expires_in > Span::ZERO
        && flavour.base.holds(&flavour.available).is_ok()
        && codec::encode(flavour).len() <= most_bytes
}
