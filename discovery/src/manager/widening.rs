//! Whom to ask: the domain's supernode and some neighbours; from a supernode, partners and catalogues.

use std::collections::BTreeSet;

use kernel::{AskId, FlavourId, NodeId, QueryId, Span, Time};
use rear_proto::{
    Extensions, Request, Trace,
    door::MAX_EXCLUDED,
    flavour::Party,
    message::{List, Scope},
};

use super::{Manager, digests::LeftOut};
use crate::{
    answering,
    border::Viewer,
    endpoints::Group,
    fan_out::Question,
    index::{Offer, Whose},
    mail::Effect,
};

/// Whom to ask a question.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) to: Vec<(Party, Group)>,
    /// Whether others that could be asked are not.
    pub(super) partial: bool,
    /// Who is not asked at first because there is nothing to be had.
    pub(super) left_out: LeftOut,
}

impl Manager {
    /// Returns whom to ask a question.
    pub(super) fn targets(&mut self, now: Time, question: &Question) -> Targets {
        if self.border.is_supernode() {
            return self.abroad(now, question);
        }
        let supernode = self.endpoints.best(Group::Supernode, &BTreeSet::new(), &mut self.rng);
        let most = if supernode.is_some() { self.config.neighbours } else { self.config.endpoints };
        let (neighbours, there) = self.endpoints.chosen(most, self.config.explore.min(most), &mut self.rng);
        // What a supernode is asked for includes the neighbours that are not asked themselves.
        let partial = supernode.is_none() && neighbours.len() < there;
        let supernode = supernode.into_iter().map(|party| (party, Group::Supernode));
        let neighbours = neighbours.into_iter().map(|party| (party, Group::Neighbour));
        Targets { to: supernode.chain(neighbours).collect(), partial, left_out: LeftOut::default() }
    }

    /// Returns a supernode of each partner that may have it, but for the one who asks, and the catalogues.
    fn abroad(&mut self, now: Time, question: &Question) -> Targets {
        let (mut to, left_out) =
            if self.config.ask_partners { self.partners_to_ask(now, question) } else { Default::default() };
        to.extend(self.endpoints.all(Group::Catalogue).map(|party| (party, Group::Catalogue)));
        Targets { to, partial: false, left_out }
    }

    /// Asks all of them at once.
    pub(super) fn ask_targets(&mut self, now: Time, id: u64, targets: Vec<(Party, Group)>, out: &mut Vec<Effect>) {
        let Some(trace) = self.fan_outs.get(&id).map(|fan_out| fan_out.travel.trace) else { return };
        let supernode = targets.iter().find(|(_, group)| *group == Group::Supernode).map(|(party, _)| party.node);
        for (to, group) in targets {
            // The story is the supernode's to tell, where one is asked.
            let trace = if supernode.is_some() && group == Group::Neighbour { Trace::None } else { trace };
            self.send(now, id, to, group, None, trace, out);
        }
        if let Some(supernode) = supernode {
            let usual = self.endpoints.usual(&supernode);
            let patience = usual.unwrap_or_else(|| self.config.list_deadline.divided(4)).max(self.config.hedge_least);
            if let Some(fan_out) = self.fan_outs.get_mut(&id) {
                let at = now + patience;
                fan_out.hedge = Some(at);
                self.hedges.insert((at, id));
            }
        }
    }

    /// Asks a second supernode where the first takes longer than it mostly does, and partners that were left out where
    /// the others have not said enough yet.
    pub(super) fn hedge(&mut self, now: Time, id: u64, out: &mut Vec<Effect>) {
        let Some(fan_out) = self.fan_outs.get_mut(&id) else { return };
        fan_out.hedge = None;
        if !fan_out.left_out.is_empty() {
            return self.ask_after_all(now, id, out);
        }
        if !fan_out.waits_for_supernode() || fan_out.deadline <= now {
            return;
        }
        let second = self.endpoints.best(Group::Supernode, &fan_out.asked, &mut self.rng);
        if let Some(second) = second {
            let query = QueryId(self.rng.bytes());
            self.send(now, id, second, Group::Supernode, Some(query), Trace::None, out);
        }
    }

    /// Asks another of the same group in the place of one that failed, where there is one and time for it.
    pub(super) fn ask_another(
        &mut self,
        now: Time,
        id: u64,
        failed: &NodeId,
        group: Option<Group>,
        out: &mut Vec<Effect>,
    ) {
        self.endpoints.failed(failed);
        let Some(group @ (Group::Supernode | Group::Partner(_))) = group else { return };
        let Some(fan_out) = self.fan_outs.get(&id) else { return };
        let is_asked = fan_out.open.values().any(|open| *open == group);
        if is_asked || now.until(fan_out.deadline) <= self.config.relay_margin {
            return;
        }
        let trace = fan_out.travel.trace;
        let mut but = fan_out.asked.clone();
        if let Group::Partner(domain) = group
            && fan_out.trusts_digests
        {
            let wanted = answering::beyond_border(&fan_out.question.selector, fan_out.question.viewer);
            but.extend(self.deniers(now, domain, &wanted, !fan_out.question.exclude.is_empty()));
        }
        if let Some(other) = self.endpoints.best(group, &but, &mut self.rng) {
            let query = QueryId(self.rng.bytes());
            self.send(now, id, other, group, Some(query), trace, out);
        }
    }

    /// Sends a question on, under its own id or another one.
    #[allow(clippy::too_many_arguments, reason = "a question has as many sides")]
    pub(super) fn send(
        &mut self,
        now: Time,
        id: u64,
        to: Party,
        group: Group,
        query: Option<QueryId>,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let Some(fan_out) = self.fan_outs.get(&id) else { return };
        let (query, mut trail) = match query {
            Some(query) => (query, Vec::new()),
            None => (fan_out.travel.query, fan_out.travel.trail.clone()),
        };
        trail.push(answering::footprint(&query, &self.me));
        let (scope, hops_left) = match group {
            Group::Neighbour | Group::Catalogue => (Scope::Own, 0),
            Group::Supernode | Group::Partner(_) => (Scope::Partners, fan_out.question.hops_left),
        };
        let Question { selector, exclude, .. } = self.question_for(&fan_out.question, group);
        let deadline: Span = now.until(fan_out.deadline);
        let list = List {
            query,
            selector,
            limit: fan_out.limit,
            scope,
            exclude: exclude.into_iter().take(MAX_EXCLUDED).collect(),
            hops_left,
            trail,
            deadline,
            extensions: Extensions::new(),
        };
        let ask = AskId(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(ask, (id, to.node));
        self.partner_lists.sent += u64::from(matches!(group, Group::Partner(_)));
        if let Some(fan_out) = self.fan_outs.get_mut(&id) {
            fan_out.open.insert(ask, group);
            fan_out.asked.insert(to.node);
        }
        out.push(Effect::Ask { ask, to, request: Request::List(list), deadline, trace });
    }

    /// Returns a question as one of a group is to understand it: beyond the border nothing has the name that it has
    /// here, and what has none there is not named at all.
    pub(super) fn question_for(&self, question: &Question, group: Group) -> Question {
        let to = match group {
            Group::Neighbour | Group::Supernode => return question.clone(),
            Group::Partner(domain) => Some(domain),
            Group::Catalogue => None,
        };
        let is_theirs = |offer: &&Offer| {
            self.index.side(offer) == Whose::Foreign && to.is_none_or(|domain| offer.flavour.domain.key == domain)
        };
        let exclude = question
            .exclude
            .iter()
            .flat_map(|id| self.called(question.viewer, *id))
            .filter(is_theirs)
            .map(|offer| offer.flavour.id)
            .collect();
        let selector = answering::beyond_border(&question.selector, question.viewer);
        Question { selector, exclude, ..question.clone() }
    }

    /// Returns the offers that a viewer means by an id.
    fn called(&self, viewer: Viewer, id: FlavourId) -> Box<dyn Iterator<Item = &Offer> + '_> {
        match viewer {
            Viewer::Me => Box::new(self.index.with_id(id)),
            Viewer::Member => Box::new(self.index.called_inward(id)),
            Viewer::Partner(_) => Box::new(self.index.called_outward(id)),
        }
    }
}
