//! Being asked: own offers, those of the domain, and at a supernode those that others have in turn.

use std::{collections::BTreeSet, sync::Arc};

use kernel::{
    NodeId, QueryId, Ticket, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, Code, Deed, Flavour, Refusal, Selector, Trace,
    door::{MAX_DEADLINE, MAX_HOPS},
    local::Caller,
    membership::Role,
    message::{List, Scope},
};

use super::{Manager, looking::Look, widening::Targets};
use crate::{
    answering::{self, Known, Listed, Pending},
    border::Viewer,
    fan_out::{Outcome, Question, Travel, Waiting, Who},
    index::{Whose, words_of},
    mail::Effect,
};

/// The most words in a question of another domain.
const WORDS: usize = 256;

impl Manager {
    /// Answers a LIST_FLAVOURS, or lets it wait for others' answers.
    #[allow(clippy::too_many_arguments, reason = "a question has as many sides")]
    pub(super) fn asked(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        caller: Caller,
        list: List,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let refuse = |refusal: Refusal, out: &mut Vec<Effect>| {
            out.push(Effect::Reply { ticket, answer: Answer::Refused(refusal) });
        };
        if let Err(refusal) = self.is_bearable(now, from, &caller, &list.selector) {
            return refuse(refusal, out);
        }
        if self.border.role() == Role::Catalogue {
            return self.asked_here(now, ticket, &caller, &list, trace, out);
        }
        let viewer = match caller {
            Caller::Member(_) => Viewer::Member,
            Caller::Partner { domain, on: true } if self.border.is_supernode() => Viewer::Partner(domain),
            Caller::Partner { .. } | Caller::Visitor { .. } | Caller::Stranger => {
                return refuse(Code::NotAMember.into(), out);
            }
        };
        match self.queries.known(now, &list.query, &from, ticket, trace) {
            Known::Looped if planted::is(Bug::IgnoreLoop) => self.serve(now, ticket, from, viewer, list, trace, out),
            Known::Looped => refuse(answering::looped(&list.query), out),
            Known::Pending => {}
            Known::Answered(listed) => {
                out.push(Effect::Did(trace, Deed::OffersLookedUp));
                answer(ticket, trace, &listed, out);
            }
            Known::New if list.trail.contains(&answering::footprint(&list.query, &self.me)) => {
                refuse(answering::looped(&list.query), out);
            }
            Known::New => self.serve(now, ticket, from, viewer, list, trace, out),
        }
    }

    /// Says whether a question is one that this node has time for: of those from elsewhere there may be so many, and
    /// each may be so dear.
    fn is_bearable(&mut self, now: Time, from: NodeId, caller: &Caller, selector: &Selector) -> Result<(), Refusal> {
        if matches!(caller, Caller::Member(_)) {
            return Ok(());
        }
        self.questions.count(now, from, 1, self.config.asked_per_minute)?;
        has_few_words(selector, WORDS)
    }

    #[allow(clippy::too_many_arguments, reason = "a question has as many sides")]
    fn serve(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        viewer: Viewer,
        list: List,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Did(trace, Deed::OffersLookedUp));
        let most = self.most(&list);
        let own = self.known_to(now, viewer, from, &list, &[Whose::Own]);
        let goes_on = self.border.is_supernode() && list.scope != Scope::Own && own.0.len() < most;
        let pending = Pending { from, viewer, list, tickets: vec![(ticket, trace)] };
        if !goes_on {
            return self.conclude(now, pending, own, None, out);
        }
        out.push(Effect::Did(trace, Deed::AdvertisedLookedUp));
        let known = self.known_to(now, viewer, from, &pending.list, sides(&pending.list));
        let foreign = self.index.count(Whose::Foreign);
        if known.0.len() < most && self.pass_on(now, known.0.len(), &pending, trace, out) {
            return;
        }
        // What partners have said that they do not have may have been among it.
        let is_stale = self.index.count(Whose::Foreign) < foreign;
        let known =
            if is_stale { self.known_to(now, viewer, from, &pending.list, sides(&pending.list)) } else { known };
        self.conclude(now, pending, known, None, out);
    }

    /// Asks partners and catalogues in turn; says whether somebody is asked.
    fn pass_on(&mut self, now: Time, found: usize, pending: &Pending, trace: Trace, out: &mut Vec<Effect>) -> bool {
        let Pending { viewer, list, .. } = pending;
        let margin = self.config.relay_margin;
        let may = list.scope == Scope::Partners
            && list.hops_left > 0
            && list.trail.len() < MAX_HOPS
            && list.deadline > margin.times(2)
            && self.border.eyes(now, *viewer, &self.config).look_abroad();
        if !may {
            return false;
        }
        let hops_left = list.hops_left.min(MAX_HOPS as u8) - 1;
        let exclude = list.exclude.iter().copied().collect();
        let question = Question { viewer: *viewer, selector: list.selector.clone(), exclude, hops_left };
        // Just after a start partners may not have been reached yet, and what they offer is not known here.
        let may_wait = self.early.is_open(now) && self.border.partners_on().next().is_some();
        if self.joinable(now, &question, list.limit).is_none() {
            let Targets { to, left_out, .. } = self.targets(now, &question);
            let waits = may_wait && !self.all_are_left_out(*viewer, &left_out);
            if to.is_empty() && !waits {
                let lists = self.partner_lists;
                self.leave_out(now, &question, &left_out, out);
                if left_out.is_nobody() || !self.knows_nothing(now, pending) {
                    return false;
                }
                // They are left out again where the question is begun, and counted there.
                self.partner_lists = lists;
            }
        }
        let until = now + list.deadline.min(MAX_DEADLINE);
        if !self.queries.wait(list.query, until, pending.clone(), self.config.queries) {
            return false;
        }
        out.push(Effect::Did(trace, Deed::PartnersAsked));
        let (who, k) = (Who::Query(list.query), self.most(list));
        let selector = answering::for_provider(&list.selector);
        let waiting = Waiting { who, selector, ceiling: None, k, trace, found };
        let travel = Travel { query: list.query, trail: list.trail.clone(), trace };
        let deadline = list.deadline.minus(margin).min(self.config.list_deadline);
        let limit = u32::try_from(k).unwrap_or(list.limit);
        self.ask_or_join(now, question, limit, waiting, Some(travel), deadline, out);
        true
    }

    /// Answers a question that has waited for others, with what there is now.
    pub(super) fn answer_query(&mut self, now: Time, query: &QueryId, outcome: Outcome, out: &mut Vec<Effect>) {
        if let Some(pending) = self.queries.take(query) {
            for (_, trace) in &pending.tickets {
                out.push(Effect::Did(*trace, Deed::CandidatesPopulated));
            }
            let known = self.known_to(now, pending.viewer, pending.from, &pending.list, sides(&pending.list));
            self.conclude(now, pending, known, Some(outcome), out);
        }
    }

    fn conclude(
        &mut self,
        now: Time,
        pending: Pending,
        (shown, more): (Vec<Arc<Flavour>>, bool),
        outcome: Option<Outcome>,
        out: &mut Vec<Effect>,
    ) {
        let Pending { from, list, tickets, .. } = pending;
        let partial = more || outcome.is_some_and(|outcome| outcome.partial);
        let silent = outcome.map_or(0, |outcome| outcome.silent);
        let listed = Listed::new(shown, partial, silent);
        for (ticket, trace) in tickets {
            answer(ticket, trace, &listed, out);
        }
        let until = now + list.deadline.min(MAX_DEADLINE);
        self.queries.remember(list.query, from, until, listed, self.config.queries);
    }

    /// Returns what is known here of what is asked for, as the asker sees it.
    fn known_to(
        &self,
        now: Time,
        viewer: Viewer,
        from: NodeId,
        list: &List,
        sides: &[Whose],
    ) -> (Vec<Arc<Flavour>>, bool) {
        let excluded: BTreeSet<_> = list.exclude.iter().collect();
        let look = Look { viewer, sides, selector: &list.selector, asker: Some(from), most: self.most(list) };
        let (shown, more) = self.look(now, &look, |id| excluded.contains(id));
        (shown.into_iter().map(|shown| shown.view()).collect(), more)
    }

    /// Says whether nothing is known here of what is asked for.
    pub(super) fn knows_nothing(&self, now: Time, pending: &Pending) -> bool {
        let Pending { from, viewer, list, .. } = pending;
        self.known_to(now, *viewer, *from, list, sides(list)).0.is_empty()
    }

    fn most(&self, list: &List) -> usize {
        list.limit.min(self.config.answer_limit) as usize
    }
}

const fn sides(list: &List) -> &'static [Whose] {
    match list.scope {
        Scope::Own => &[Whose::Own],
        Scope::Domain => &[Whose::Own, Whose::Domain],
        Scope::Partners => &[Whose::Own, Whose::Domain, Whose::Foreign],
    }
}

fn answer(ticket: Ticket, trace: Trace, listed: &Listed, out: &mut Vec<Effect>) {
    out.push(Effect::Did(trace, Deed::ListAnswered));
    out.push(Effect::Reply { ticket, answer: listed.answer() });
}

/// Says whether a selector of another domain has no more than so many words: each is compared with each of an offer's.
pub(super) fn has_few_words(selector: &Selector, most: usize) -> Result<(), Refusal> {
    let words = words_of(selector);
    if words <= most {
        return Ok(());
    }
    Err(Refusal::new(Code::TooLarge, format!("the selector has {words} words, and at most {most} are looked for")))
}
