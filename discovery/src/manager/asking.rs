//! Asking outside: one question to the endpoints, what is taken of their answers, and who is told when.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AskId, FlavourId, NodeId, QueryId, Span, Time};
use rear_proto::{
    Answer, Code, Deed, Flavour, Refusal, Selector, Signed,
    door::{MAX_HOPS, MAX_LIST},
    flavour::Party,
    local::{self, Candidate},
    membership::Role,
    message::{Flavours, PublishedFlavours},
    price::Rate,
    published::Published,
};

use super::{Manager, looking::Look, widening::Targets};
use crate::{
    believing::{self, Bearer},
    border::Viewer,
    early::Early,
    endpoints::Group,
    fan_out::{FanOut, Outcome, Question, Travel, Waiting, Who},
    index::{Heard, Offer, OfferKey, Toil, Whose},
    mail::{Asker, Discovered, Effect, Why},
};

/// How long after it was reached a node may not know yet who this one is.
const ACQUAINTED: Span = Span::secs(5);
/// For how long it is asked again then: one that has suspended this domain says the same for ever.
const INTRODUCED: Span = Span::secs(1);
/// After which time it is asked again then: HELLO is answered within a round trip, unless a node has just started.
const AGAIN: Span = Span::millis(100);

impl Manager {
    /// Asks outside on behalf of one who wants to know; equal questions at the same time are asked once.
    pub(super) fn discover(&mut self, now: Time, asker: Asker, wanted: Wanted, out: &mut Vec<Effect>) {
        let Wanted { selector, ceiling, k, exclude, trace } = wanted;
        let explain = matches!(asker, Asker::Operator { explain: true, .. });
        // To say what was ruled out and why, everything must be heard of.
        let asked = if explain { Selector::default() } else { selector.clone() };
        let hops_left = self.config.max_hops.min(MAX_HOPS as u8);
        let exclude = exclude.into_iter().collect();
        let question = Question { viewer: Viewer::Me, selector: asked, exclude, hops_left };
        let most = self.config.answer_limit.clamp(1, MAX_LIST);
        let limit = if explain { most } else { u32::try_from(k).unwrap_or(most).clamp(1, most) };
        let waiting = Waiting { who: Who::Here(asker), selector, ceiling, k, trace, found: 0 };
        self.ask_or_join(now, question, limit, waiting, None, self.config.list_deadline, out);
    }

    /// Returns the question under way that is the same as this one and asks for as much.
    pub(super) fn joinable(&self, now: Time, question: &Question, limit: u32) -> Option<u64> {
        let same = |fan_out: &FanOut| fan_out.question == *question && fan_out.limit >= limit && fan_out.deadline > now;
        self.fan_outs.iter().find(|(_, fan_out)| same(fan_out)).map(|(id, _)| *id)
    }

    /// Joins the same question where it is under way, and asks it otherwise.
    #[allow(clippy::too_many_arguments, reason = "a question has as many sides")]
    pub(super) fn ask_or_join(
        &mut self,
        now: Time,
        question: Question,
        limit: u32,
        waiting: Waiting,
        travel: Option<Travel>,
        deadline: Span,
        out: &mut Vec<Effect>,
    ) {
        match self.joinable(now, &question, limit) {
            Some(id) if self.fan_outs.get(&id).is_some_and(|fan_out| fan_out.is_for(&waiting.who)) => {}
            Some(id) => self.join(now, id, waiting, out),
            None => self.fan_out(now, question, limit, waiting, travel, deadline, out),
        }
    }

    /// Lets one more wait for a question that is under way, with what has come of it already.
    fn join(&mut self, now: Time, id: u64, mut waiting: Waiting, out: &mut Vec<Effect>) {
        let Some(fan_out) = self.fan_outs.get(&id) else { return };
        if matches!(waiting.who, Who::Here(_)) {
            let came = |offer: &Offer| {
                offer.heard.is_some_and(|heard| heard.seen >= fan_out.asked_at)
                    && !fan_out.question.exclude.contains(&offer.flavour.id)
            };
            waiting.found = self.matching(&waiting.selector, waiting.k, came).len();
            out.push(Effect::Did(waiting.trace, Deed::ListSent));
        }
        if let Some(fan_out) = self.fan_outs.get_mut(&id) {
            fan_out.join(waiting);
        }
        self.settle(now, id, out);
    }

    /// Asks the endpoints, all at once; where there is none to ask, it is over at once.
    #[allow(clippy::too_many_arguments, reason = "a question has as many sides")]
    fn fan_out(
        &mut self,
        now: Time,
        question: Question,
        limit: u32,
        waiting: Waiting,
        travel: Option<Travel>,
        deadline: Span,
        out: &mut Vec<Effect>,
    ) {
        let Targets { to: targets, partial, left_out } = self.targets(now, &question);
        let may_come = self.early.is_open(now) && !self.all_are_left_out(question.viewer, &left_out);
        if targets.is_empty() && may_come {
            let (until, reserve) = match waiting.who {
                Who::Here(_) => (now + self.config.first_contact + deadline, deadline),
                // Another node waits no longer than it said; half of that is enough to ask whoever is found then.
                Who::Query(_) => (now + deadline, deadline.divided(2)),
            };
            return self.early.put(Early { question, limit, waiting, travel, deadline: until, reserve });
        }
        self.leave_out(now, &question, &left_out, out);
        if targets.is_empty() && left_out.is_nobody() {
            let nobody = Outcome { asked: 0, silent: 0, partial: false };
            return self.tell(now, &waiting, &question.exclude, nobody, out);
        }
        let trace = waiting.trace;
        if matches!(waiting.who, Who::Here(_)) && !targets.is_empty() {
            out.push(Effect::Did(trace, Deed::ListSent));
        }
        let id = self.next_fan_out;
        self.next_fan_out += 1;
        let travel = travel.unwrap_or_else(|| Travel { query: QueryId(self.rng.bytes()), trail: Vec::new(), trace });
        let mut fan_out = FanOut::new(question, travel, limit, now, now + deadline, partial);
        fan_out.join(waiting);
        fan_out.left_out = left_out.into_domains();
        if !fan_out.left_out.is_empty() {
            // Who is slow leaves time to ask the others.
            let half = now + deadline.divided(2);
            fan_out.hedge = Some(half);
            self.hedges.insert((half, id));
        }
        self.deadlines.insert((fan_out.until, id));
        self.fan_outs.insert(id, fan_out);
        self.ask_targets(now, id, targets, out);
        self.settle(now, id, out);
    }

    /// Asks what had to wait for somebody to ask.
    pub(super) fn ask_early(&mut self, now: Time, out: &mut Vec<Effect>) {
        for Early { question, limit, waiting, travel, deadline, .. } in self.early.take() {
            let left = now.until(deadline).min(self.config.list_deadline);
            self.fan_out(now, question, limit, waiting, travel, left, out);
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
        if self.told_back(now, ask, &from, &answer, out) {
            return;
        }
        let Some((id, asked)) = self.asks.remove(&ask) else { return };
        let group = self.fan_outs.get(&id).and_then(|fan_out| fan_out.open.get(&ask)).copied();
        match (answer, group) {
            (Ok(_), _) if from != asked => self.said_nothing(id, ask),
            // Nothing that it offers would be used; nobody must take that for there being nothing.
            (Ok(_), _) if self.endpoints.get(&from).is_none_or(|endpoint| !endpoint.up) => {
                self.said_nothing(id, ask);
                self.ask_another(now, id, &from, group, out);
            }
            (Ok(Answer::Published(answer)), Some(Group::Catalogue)) => {
                self.endpoints.answered(now, &from, took);
                self.take_published(now, id, ask, from, answer, out);
            }
            (Ok(Answer::Flavours(answer)), Some(group)) if group != Group::Catalogue => {
                self.endpoints.answered(now, &from, took);
                self.take_in(now, id, ask, from, group, answer, out);
            }
            // An answer to another question is none.
            (Ok(_), _) => {
                self.said_nothing(id, ask);
                self.ask_another(now, id, &from, group, out);
                out.push(Effect::Rated { peer: from, outcome: local::Outcome::Failed });
            }
            (Err(refusal), _) => match refusal.code() {
                code @ (Code::Timeout | Code::Unavailable) => {
                    self.said_nothing(id, ask);
                    self.ask_another(now, id, &from, group, out);
                    if code == Code::Timeout {
                        out.push(Effect::Rated { peer: from, outcome: local::Outcome::Silent });
                    }
                }
                // It does not know this node. That is no answer, and may be otherwise once HELLO is through.
                Code::NotAMember => {
                    if !self.asks_again(now, id, ask, &from) {
                        self.said_nothing(id, ask);
                        self.ask_another(now, id, &from, group, out);
                    }
                }
                code => {
                    self.endpoints.answered(now, &from, took);
                    if let Some(fan_out) = self.fan_outs.get_mut(&id) {
                        // It has been there already, so all that is there has been asked for.
                        let whole = code == Code::LoopDetected;
                        if whole { fan_out.answered(ask, false, 0) } else { fan_out.refused(ask) }
                    }
                    if code != Code::LoopDetected {
                        self.ask_another(now, id, &from, group, out);
                    }
                }
            },
        }
        self.settle(now, id, out);
    }

    /// Lets a question that was refused wait, to be asked again a moment later: the connection is so new that the
    /// question may have overtaken HELLO. Says whether it waits.
    fn asks_again(&mut self, now: Time, id: u64, ask: AskId, to: &NodeId) -> bool {
        let is_new = self.endpoints.get(to).is_some_and(|endpoint| endpoint.up && now < endpoint.since + ACQUAINTED);
        let again = now + AGAIN;
        let in_time = |fan_out: &FanOut| again < fan_out.deadline && now.since(fan_out.asked_at) < INTRODUCED;
        let in_time = self.fan_outs.get(&id).is_some_and(in_time);
        let waits = is_new && in_time;
        if waits {
            self.again.insert((again, id, ask, *to));
        }
        waits
    }

    /// Asks again those who did not know this node yet.
    pub(super) fn ask_again(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some((at, id, ask, node)) = self.again.first().copied()
            && at <= now
        {
            self.again.pop_first();
            let open = self.fan_outs.get_mut(&id).and_then(|fan_out| fan_out.open.remove(&ask));
            let Some(group) = open else { continue };
            let there = self.endpoints.get(&node).filter(|endpoint| endpoint.up);
            let party = there.map(|endpoint| Party { node, addresses: endpoint.addresses.clone() });
            let trace = self.fan_outs.get(&id).map(|fan_out| fan_out.travel.trace);
            match (party, trace) {
                (Some(party), Some(trace)) => self.send(now, id, party, group, None, trace, out),
                (None, _) | (_, None) => {
                    if let Some(fan_out) = self.fan_outs.get_mut(&id) {
                        fan_out.open.insert(ask, group);
                    }
                    self.said_nothing(id, ask);
                    self.ask_another(now, id, &node, Some(group), out);
                }
            }
            self.settle(now, id, out);
        }
    }

    pub(super) fn said_nothing(&mut self, id: u64, ask: AskId) {
        if let Some(fan_out) = self.fan_outs.get_mut(&id) {
            fan_out.said_nothing(ask);
        }
    }

    /// Takes the offers of an answer that may be believed.
    #[allow(clippy::too_many_arguments, reason = "an answer has as many sides")]
    fn take_in(
        &mut self,
        now: Time,
        id: u64,
        ask: AskId,
        from: NodeId,
        group: Group,
        answer: Flavours,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut fan_out) = self.fan_outs.remove(&id) else { return };
        let Flavours { flavours, partial, silent, .. } = answer;
        let over = flavours.len() > fan_out.limit as usize;
        let bearer = Bearer::of(self.endpoints.get(&from));
        let (mut named, mut taken, mut lies) = (BTreeSet::new(), Vec::new(), Vec::new());
        for flavour in flavours.into_iter().take(fan_out.limit as usize) {
            let key = (flavour.provider.node, flavour.id);
            if key.0 == self.me && bearer == Bearer::Supernode {
                continue;
            }
            let home = self.border.home();
            if let Some(why) = believing::doubt(&flavour, &from, bearer, &home, self.config.offer_bytes) {
                lies.push((Some(flavour), why));
            } else if named.insert(key) {
                taken.push(flavour);
            } else {
                lies.push((Some(flavour), "it stands twice in one answer".to_owned()));
            }
        }
        fan_out.answered(ask, partial || over, silent);
        // A whole answer says of everything that is not in it that it is no longer so.
        if !partial && !over && silent == 0 {
            let home = (group == Group::Supernode).then(|| self.border.home());
            let said = Said { question: self.question_for(&fan_out.question, group), home, named };
            self.prune(&from, &said, fan_out.asked_at, out);
        }
        let heard = taken.into_iter().map(|flavour| self.hear_for(now, from, flavour, out)).collect();
        self.count(now, &mut fan_out, heard);
        self.fan_outs.insert(id, fan_out);
        self.disbelieve(now, from, lies, over, out);
    }

    /// Takes the offers of a catalogue's answer that may be believed: each stands for itself, by its signature.
    fn take_published(
        &mut self,
        now: Time,
        id: u64,
        ask: AskId,
        from: NodeId,
        answer: PublishedFlavours,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut fan_out) = self.fan_outs.remove(&id) else { return };
        let PublishedFlavours { offers, partial, .. } = answer;
        let over = offers.len() > fan_out.limit as usize;
        if !offers.is_empty() && !fan_out.checked {
            fan_out.checked = true;
            for waiting in fan_out.waiting_mut() {
                out.push(Effect::Did(waiting.trace, Deed::SignaturesChecked));
            }
        }
        fan_out.answered(ask, partial || over, 0);
        let (mut heard, mut lies) = (BTreeMap::new(), Vec::new());
        for signed in offers.iter().take(fan_out.limit as usize) {
            match self.open(now, signed) {
                Ok(flavour) => heard.extend([self.hear_for(now, from, flavour, out)]),
                Err(why) => lies.push((signed.claimed().map(|claimed| claimed.flavour.clone()), why)),
            }
        }
        self.count(now, &mut fan_out, heard);
        self.fan_outs.insert(id, fan_out);
        self.disbelieve(now, from, lies, over, out);
    }

    /// Opens an offer that came through a third party.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub(super) fn open(&self, now: Time, signed: &Signed<Published>) -> Result<Flavour, String> {
        let home = self.border.home();
        believing::open(now, signed, &home, |domain| self.border.partner(domain), self.config.offer_bytes)
    }

    /// Takes an offer in, and says which it is and whether it was known before.
    fn hear_for(&mut self, now: Time, via: NodeId, flavour: Flavour, out: &mut Vec<Effect>) -> (OfferKey, bool) {
        let key = (flavour.provider.node, flavour.id);
        let known = self.index.offer(&key).is_some_and(|offer| offer.heard.is_some_and(|heard| heard.expires > now));
        self.hear(now, via, flavour, out);
        (key, known)
    }

    /// Counts for each who waits what has come that it can use; what another node is told counts when it is new.
    fn count(&self, now: Time, fan_out: &mut FanOut, heard: BTreeMap<OfferKey, bool>) {
        let question = fan_out.question.clone();
        let eyes = self.border.eyes(now, question.viewer, &self.config);
        for (key, known) in heard {
            let Some(offer) = self.index.offer(&key) else { continue };
            if known && question.viewer != Viewer::Me {
                continue;
            }
            let Some(seen) = eyes.see(self.index.side(offer), offer) else { continue };
            if question.exclude.contains(&seen.id) {
                continue;
            }
            let round_trip = self.endpoints.round_trip_ms(&key.0);
            for waiting in fan_out.waiting_mut() {
                waiting.found += usize::from(waiting.selector.fit(&seen, round_trip).is_some());
            }
        }
    }

    /// Takes note of what was not believed, and of who said it.
    pub(super) fn disbelieve(
        &mut self,
        now: Time,
        from: NodeId,
        lies: Vec<(Option<Flavour>, String)>,
        over: bool,
        out: &mut Vec<Effect>,
    ) {
        if lies.is_empty() && !over {
            return;
        }
        self.endpoints.disbelieved(&from, lies.len() as u64);
        for (flavour, why) in lies {
            if let Some(flavour) = flavour {
                self.disbelieved.push_back((Candidate { flavour, seen: now, via: from }, why));
            }
        }
        while self.disbelieved.len() > self.config.disbelieved {
            self.disbelieved.pop_front();
        }
        // A catalogue deals with nobody, and of visitors there is no end.
        if self.border.role() != Role::Catalogue {
            out.push(Effect::Rated { peer: from, outcome: local::Outcome::Failed });
        }
    }

    pub(super) fn hear(&mut self, now: Time, via: NodeId, flavour: Flavour, out: &mut Vec<Effect>) {
        let key = (flavour.provider.node, flavour.id);
        let epoch = flavour.epoch;
        let expires = now + flavour.expires_in.min(self.config.longest_life);
        // What comes second-hand has less time left: it does not shorten what the provider has said itself.
        let is_longer =
            |known: &Offer| known.flavour.epoch == epoch && known.heard.is_some_and(|heard| heard.expires > expires);
        if via != key.0 && self.index.offer(&key).is_some_and(is_longer) {
            return;
        }
        let heard = Heard { seen: now, via, expires };
        let is_same = |known: &Offer| {
            known.flavour.epoch == epoch
                && known.flavour.provider == flavour.provider
                && known.heard.is_some_and(|heard| heard.expires > now)
        };
        if !self.index.offer(&key).is_some_and(is_same) {
            self.telling.changed(key);
        }
        if self.index.put_candidate(flavour, heard) {
            self.saving.heard(now, key, epoch, &heard, self.config.save_every);
            self.bound(Some(&key.0), out);
        }
    }

    /// Drops what a provider no longer says of what it would have had to.
    fn prune(&mut self, node: &NodeId, said: &Said, asked_at: Time, out: &mut Vec<Effect>) {
        let Said { question, home, named } = said;
        // What is not looked at lapses by itself.
        let mut toil = Toil::of(&question.selector);
        let stale: Vec<OfferKey> = self
            .index
            .of_provider(node)
            .filter(|key| !named.contains(key) && !question.exclude.contains(&key.1))
            .filter(|key| {
                self.index.offer(key).filter(|_| !toil.is_over()).is_some_and(|offer| {
                    toil.look(&offer.flavour);
                    offer.heard.is_some_and(|heard| heard.seen <= asked_at)
                        && home.is_none_or(|home| offer.flavour.domain.key == home)
                        && question.selector.fit(&offer.flavour, None).is_some()
                })
            })
            .collect();
        self.drop_all(stale, out);
    }

    /// Drops what a provider has said, at that time, that it does not have.
    pub(super) fn prune_denied(&mut self, node: &NodeId, question: Question, at: Time, out: &mut Vec<Effect>) {
        self.prune(node, &Said { question, home: None, named: BTreeSet::new() }, at, out);
    }

    /// Tells those who need not wait any longer, and lets go of what is over.
    pub(super) fn settle(&mut self, now: Time, id: u64, out: &mut Vec<Effect>) {
        if self.fan_outs.get(&id).is_some_and(|fan_out| fan_out.open.is_empty()) {
            self.ask_after_all(now, id, out);
        }
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
            if let Some(hedge) = fan_out.hedge {
                self.hedges.remove(&(hedge, id));
            }
            for ask in fan_out.open.into_keys() {
                self.asks.remove(&ask);
            }
        }
    }

    fn tell(
        &mut self,
        now: Time,
        waiting: &Waiting,
        exclude: &BTreeSet<FlavourId>,
        outcome: Outcome,
        out: &mut Vec<Effect>,
    ) {
        let Waiting { who, selector, k, trace, .. } = waiting;
        let Outcome { asked, silent, partial } = outcome;
        let asker = match who {
            Who::Here(asker) => *asker,
            Who::Query(query) => return self.answer_query(now, query, outcome, out),
        };
        if asked > 0 {
            out.push(Effect::Did(*trace, Deed::CandidatesPopulated));
        }
        out.push(Effect::Did(*trace, Deed::DiscoveryOver));
        match asker {
            Asker::Rear(request) => out.push(Effect::Discovered { request, partial, silent }),
            Asker::Operator { ticket, explain } => {
                let lives = |offer: &Offer| {
                    offer.heard.is_none_or(|heard| heard.expires > now) && !exclude.contains(&offer.flavour.id)
                };
                let look = Look { viewer: Viewer::Me, sides: &[Whose::Others], selector, asker: None, most: *k };
                let (shown, _) = self.look(now, &look, |id| exclude.contains(id));
                let candidates = shown.iter().filter_map(|shown| shown.candidate()).collect();
                let ruled_out = if explain { self.ruled_out(now, selector, lives) } else { Vec::new() };
                let remarks = if explain { self.denials(now, selector) } else { Vec::new() };
                let found = Discovered { candidates, ruled_out, partial, silent, asked, remarks };
                out.push(Effect::Respond { ticket, found });
            }
        }
    }

    /// Returns what does not match and why: what was not believed lately, candidates, and own offers as seen from here.
    fn ruled_out(&self, now: Time, selector: &Selector, lives: impl Fn(&Offer) -> bool) -> Vec<(Candidate, Why)> {
        let recent = |candidate: &Candidate| now.since(candidate.seen) <= self.config.longest_life;
        let disbelieved = self.disbelieved.iter().rev().filter(|(candidate, _)| recent(candidate));
        let disbelieved = disbelieved.map(|(candidate, why)| (candidate.clone(), Why::Disbelieved(why.clone())));
        let others = self.index.all(Whose::Others).chain(self.index.all(Whose::Own));
        others
            .filter(|offer| lives(offer))
            .filter_map(|offer| {
                let round_trip = self.endpoints.round_trip_ms(&offer.flavour.provider.node);
                let mismatch = selector.check(&offer.flavour, round_trip).err()?;
                let (seen, via) = offer.heard.map_or((now, self.me), |heard| (heard.seen, heard.via));
                Some((Candidate { flavour: (*offer.flavour).clone(), seen, via }, Why::Mismatch(mismatch)))
            })
            .chain(disbelieved)
            .take(self.config.explained)
            .collect()
    }
}

/// What is wanted of others.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) selector: Selector,
    pub(super) ceiling: Option<Rate>,
    pub(super) k: usize,
    pub(super) exclude: Vec<FlavourId>,
    pub(super) trace: rear_proto::Trace,
}

/// What a whole answer was about, and what it named.
struct Said {
    question: Question,
    /// The domain that it is whole about; all, where there is none.
    home: Option<kernel::DomainKey>,
    named: BTreeSet<OfferKey>,
}
