//! Capacity digests: who is told what of this domain's offers, and whom it is not worth asking by theirs.

use std::{cmp::Reverse, collections::BTreeSet};

use kernel::{
    AskId, DomainKey, NodeId, Span, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Answer, CapacityDigest, Code, Deed, Refusal, Request, Selector, Trace,
    capacity::{Gathering, Group},
    flavour::Party,
    local::{Caller, Realm},
    membership::Role,
    message::Taken,
};

use super::Manager;
use crate::{
    answering,
    border::Viewer,
    digests::{Pace, Rules, Said},
    endpoints::Group as Endpoints,
    fan_out::{FanOut, Question, Waiting, Who},
    index::{Offer, OfferKey, Whose},
    mail::{Asker, Effect},
};

/// How old a digest may be that rules a domain out when the question says that offers have refused already: what there
/// is changes just then, and a question too many costs less than an intent that finds no place.
const DOUBTED: Span = Span::secs(3);

/// The shortest heartbeat: whoever is told 240 things a minute hears nothing more.
const LEAST_HEARTBEAT: Span = Span::secs(1);

/// Of how many offers a digest is made at most: a look at one, with all that it says, takes three microseconds and more,
/// and nothing else is done meanwhile.
const LOOKED_AT: usize = 8192;

/// The questions that went to partners' supernodes, and those that did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartnerLists {
    /// How many LIST_FLAVOURS were sent to partners' supernodes.
    pub sent: u64,
    /// How many were not, because the partner had said that it has nothing that fits.
    pub saved: u64,
    /// How many of those that were sent went, since nobody else had anything, to a partner that had said so.
    pub after_all: u64,
}

/// Partners that are not asked at first: they have said that they have nothing that fits.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    domains: BTreeSet<DomainKey>,
    supernodes: BTreeSet<NodeId>,
}

impl LeftOut {
    pub(super) fn is_nobody(&self) -> bool {
        self.domains.is_empty()
    }

    pub(super) fn into_domains(self) -> BTreeSet<DomainKey> {
        self.domains
    }
}

impl Manager {
    fn digest_pace(&self) -> Pace {
        let config = &self.config;
        let heartbeat = config.digest_heartbeat.max(LEAST_HEARTBEAT);
        Pace { growth: config.digest_growth, shrink: config.digest_shrink, heartbeat }
    }

    const fn has_digests(&self) -> bool {
        self.config.digests && self.border.is_supernode()
    }

    // -- telling ----------------------------------------------------------------------------------------

    /// A partner's supernode is here, or here anew: it is told what there is, and has yet to tell.
    pub(super) fn partner_reached(&mut self, now: Time, node: &NodeId) {
        self.partner_unreached(node);
        self.tell_partner(now, node);
    }

    /// A node can't be reached, or is none of ours any longer.
    pub(super) fn partner_unreached(&mut self, node: &NodeId) {
        self.digests.close(node);
        self.digests.unhear(node);
    }

    /// Tells a partner's supernode what there is for its domain, where it may begin anything here.
    fn tell_partner(&mut self, now: Time, node: &NodeId) {
        if !self.has_digests() {
            return;
        }
        let Some(endpoint) = self.endpoints.get(node).filter(|endpoint| endpoint.up) else { return };
        let Realm::Partner(domain) = endpoint.realm else { return };
        match self.rules_for(&domain).filter(|_| endpoint.role == Role::Supernode) {
            Some(rules) => {
                let to = Party { node: *node, addresses: endpoint.addresses.clone() };
                self.digests.open(now, to, domain, rules);
            }
            None => self.digests.close(node),
        }
    }

    /// Returns the rules that are for a partner, unless it may begin nothing here.
    fn rules_for(&self, domain: &DomainKey) -> Option<Rules> {
        let partner = self.border.partner(domain).filter(|partner| partner.on)?;
        let rules = self.config.expose.iter().enumerate();
        Some(rules.filter(|(_, rule)| rule.is_for(&partner.name)).map(|(place, _)| place).collect())
    }

    /// Who may see what has changed.
    pub(super) fn digests_exposed(&mut self, now: Time) {
        if !self.has_digests() {
            return;
        }
        let told = self.digests.receivers().copied();
        let partners = self.endpoints.iter().filter(|(_, endpoint)| matches!(endpoint.realm, Realm::Partner(_)));
        let all: BTreeSet<NodeId> = told.chain(partners.map(|(node, _)| *node)).collect();
        for node in all {
            self.tell_partner(now, &node);
        }
        self.digests.exposed(now);
    }

    /// Offers have changed, or are gone.
    pub(super) fn digests_touched(&mut self, now: Time, keys: &BTreeSet<OfferKey>) {
        if self.digests.receivers().next().is_none() {
            return;
        }
        let (pace, mut digests) = (self.digest_pace(), std::mem::take(&mut self.digests));
        digests.touched(now, &pace, self.border.home_domain(), |viewer| {
            let eyes = self.border.eyes(now, Viewer::Partner(viewer), &self.config);
            let offers = keys.iter().filter_map(|key| self.index.offer(key));
            offers.map(|offer| eyes.see(self.index.side(offer), offer).map(|seen| Group::of(&seen))).collect()
        });
        self.digests = digests;
    }

    /// Looks at all that there is for one who sees by these rules. Offers of nodes that are out of reach count: they may
    /// be back at any time.
    fn outline(&self, now: Time, viewer: DomainKey) -> Said {
        let eyes = self.border.eyes(now, Viewer::Partner(viewer), &self.config);
        let sides = [Whose::Own, Whose::Domain];
        let count: usize = sides.iter().map(|side| self.index.count(*side)).sum();
        // What others may have to resell is not known; and nobody waits for a look at as many offers as that.
        if eyes.look_abroad() || count > LOOKED_AT {
            return Said::Everything;
        }
        let mut gathering = Gathering::default();
        for side in sides {
            let most = if planted::is(Bug::HideOffers) { 1 } else { usize::MAX };
            for offer in self.index.all(side).take(most) {
                if let Some(seen) = eyes.see(side, offer) {
                    gathering.add(Group::of(&seen));
                }
            }
        }
        gathering.fit();
        Said::These(gathering)
    }

    /// Looks at what is to be looked at, and tells whom it is time to tell.
    pub(super) fn tell_digests(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some((rules, viewer)) = self.digests.to_look_at(now) {
            let said = self.outline(now, viewer);
            self.digests.looked(now, &rules, self.border.home_domain().clone(), said);
        }
        let pace = self.digest_pace();
        while let Some((to, digest)) = self.digests.next(now, &pace, AskId(self.next_ask)) {
            let ask = self.number();
            // What is not answered in the time in which a question is, is said again.
            let (request, deadline) = (Request::CapacityDigest(digest), self.config.list_deadline);
            out.push(Effect::Ask { ask, to, request, deadline, trace: Trace::None });
        }
    }

    /// Takes in the answer to a digest; says whether the question was one.
    pub(super) fn digest_answered(&mut self, now: Time, ask: &AskId, answer: &Result<Answer, Refusal>) -> bool {
        let pace = self.digest_pace();
        self.digests.answered(now, &pace, ask, matches!(answer, Ok(Answer::Taken(_))))
    }

    // -- being told -------------------------------------------------------------------------------------

    /// Takes in what a partner's supernode says that its domain has.
    pub(super) fn hear_digest(
        &mut self,
        now: Time,
        from: NodeId,
        caller: &Caller,
        digest: CapacityDigest,
    ) -> Result<Answer, Refusal> {
        let Caller::Partner { domain, .. } = caller else {
            return Err(Refusal::new(Code::NotShared, "only a partner's supernode is heard about its domain"));
        };
        if digest.domain.key != *domain {
            return Err(Refusal::new(Code::Malformed, "the digest is about another domain than its sender's"));
        }
        // It is said again in a moment. Until this node knows how to reach it, it is not asked anyway.
        if self.endpoints.get(&from).is_none_or(|endpoint| !endpoint.up || endpoint.realm != Realm::Partner(*domain)) {
            return Err(Refusal::new(Code::Unavailable, "this node has not reached its sender yet"));
        }
        let next = digest.number.changes.saturating_add(1);
        if self.has_digests() {
            self.digests.hear(now, from, digest, self.config.longest_life);
        }
        Ok(Answer::Taken(Taken { next }))
    }

    // -- making use of it -------------------------------------------------------------------------------

    /// Returns which of a partner's supernodes have said that they have nothing that fits; `doubted` where older words
    /// do not count.
    pub(super) fn deniers(&self, now: Time, domain: DomainKey, wanted: &Selector, doubted: bool) -> BTreeSet<NodeId> {
        let denies = |party: &Party| {
            let heard = self.digests.of(now, &party.node);
            heard.is_some_and(|heard| !(doubted && now.since(heard.at) > DOUBTED) && heard.excludes(wanted))
        };
        self.endpoints.all(Endpoints::Partner(domain)).filter(denies).map(|party| party.node).collect()
    }

    /// Returns a supernode of each partner that may have what is wanted, those that may have more coming first, and who
    /// is left out. Who asks is not asked.
    pub(super) fn partners_to_ask(&mut self, now: Time, question: &Question) -> (Vec<(Party, Endpoints)>, LeftOut) {
        let wanted = answering::beyond_border(&question.selector, question.viewer);
        let doubted = !question.exclude.is_empty();
        let (mut asked, mut left_out) = (Vec::new(), LeftOut::default());
        let domains: Vec<DomainKey> = self.border.partners_on().map(|partner| partner.domain.key).collect();
        for domain in domains.into_iter().filter(|domain| question.viewer != Viewer::Partner(*domain)) {
            let deniers = self.deniers(now, domain, &wanted, doubted);
            let group = Endpoints::Partner(domain);
            match self.endpoints.best(group, &deniers, &mut self.rng) {
                Some(party) => {
                    let most = self.digests.of(now, &party.node).map_or(u32::MAX, |heard| heard.digest.most(&wanted));
                    asked.push((Reverse(most), party, group));
                }
                None if deniers.is_empty() => {}
                None => {
                    left_out.domains.insert(domain);
                    left_out.supernodes.extend(deniers);
                }
            }
        }
        asked.sort_by_key(|(most, ..)| *most);
        (asked.into_iter().map(|(_, party, group)| (party, group)).collect(), left_out)
    }

    /// Leaves partners out of a question. What was known of them that would match is no longer so: as where a whole
    /// answer does not name it.
    pub(super) fn leave_out(&mut self, now: Time, question: &Question, left_out: &LeftOut, out: &mut Vec<Effect>) {
        self.partner_lists.saved += left_out.domains.len() as u64;
        for node in &left_out.supernodes {
            let Some(at) = self.digests.of(now, node).map(|heard| heard.at) else { continue };
            let Some(Realm::Partner(domain)) = self.endpoints.get(node).map(|endpoint| endpoint.realm) else {
                continue;
            };
            self.prune_denied(node, self.question_for(question, Endpoints::Partner(domain)), at, out);
        }
    }

    /// Asks those after all who were left out of a question, where it has found nothing for one who waits. What they have
    /// told is some milliseconds old at best, and minutes where it was lost: it says whom to ask first, and never that
    /// there is nothing.
    pub(super) fn ask_after_all(&mut self, now: Time, id: u64, out: &mut Vec<Effect>) {
        let finds_nothing =
            |fan_out: &FanOut| !fan_out.left_out.is_empty() && now < fan_out.deadline && self.has_nothing(now, fan_out);
        if !self.fan_outs.get(&id).is_some_and(finds_nothing) {
            return;
        }
        let Some(fan_out) = self.fan_outs.get_mut(&id) else { return };
        let (left_out, trace) = (std::mem::take(&mut fan_out.left_out), fan_out.travel.trace);
        let asked = fan_out.asked.clone();
        fan_out.trusts_digests = false;
        if asked.is_empty() {
            let here = fan_out.waiting().filter(|waiting| matches!(waiting.who, Who::Here(_)));
            out.extend(here.map(|waiting| Effect::Did(waiting.trace, Deed::ListSent)));
        }
        for domain in left_out {
            let group = Endpoints::Partner(domain);
            let Some(party) = self.endpoints.best(group, &asked, &mut self.rng) else { continue };
            self.partner_lists.saved = self.partner_lists.saved.saturating_sub(1);
            self.partner_lists.after_all += 1;
            self.send(now, id, party, group, None, trace, out);
        }
    }

    /// Says whether nothing is known that one of those who wait could use.
    fn has_nothing(&self, now: Time, fan_out: &FanOut) -> bool {
        let exclude = &fan_out.question.exclude;
        let usable = |offer: &Offer, max_age: Span| {
            offer.heard.is_some_and(|heard| heard.expires > now && now.since(heard.seen) <= max_age)
                && self.is_in_reach(offer)
                && !exclude.contains(&offer.flavour.id)
        };
        let is_cheap = |waiting: &Waiting, offer: &Offer| {
            waiting.ceiling.is_none_or(|ceiling| {
                let round_trip = self.endpoints.round_trip_ms(&offer.flavour.provider.node);
                let fit = waiting.selector.fit(&offer.flavour, round_trip);
                fit.is_some_and(|fit| fit.price.within(&ceiling) == Some(true))
            })
        };
        let matches = |waiting: &Waiting, max_age| {
            let is_of_use = |offer: &Offer| usable(offer, max_age) && is_cheap(waiting, offer);
            !self.matching(&waiting.selector, 1, is_of_use).is_empty()
        };
        fan_out.waiting().any(|waiting| match waiting.who {
            Who::Here(Asker::Rear(_)) => !matches(waiting, self.max_age),
            Who::Here(Asker::Operator { .. }) => !matches(waiting, Span(u64::MAX)),
            Who::Query(query) => self.queries.waits(&query).is_some_and(|pending| self.knows_nothing(now, pending)),
        })
    }

    /// Says whether every partner that could be asked is left out, so that there is nobody to wait for.
    pub(super) fn all_are_left_out(&self, viewer: Viewer, left_out: &LeftOut) -> bool {
        let mut others = self.border.partners_on().filter(|partner| viewer != Viewer::Partner(partner.domain.key));
        !left_out.is_nobody() && others.all(|partner| left_out.domains.contains(&partner.domain.key))
    }

    /// Returns what is to be said of partners that have nothing that fits, a sentence for each.
    pub(super) fn denials(&self, now: Time, wanted: &Selector) -> Vec<String> {
        let denied = self.denied(now, wanted);
        let partners = self.border.partners_on().filter(|partner| denied.contains(&partner.domain.key));
        partners.map(|partner| format!("domain {} says that it has nothing that fits", partner.name)).collect()
    }

    /// Returns the partners of which every supernode in reach has said that it has nothing of what is wanted here.
    pub fn denied(&self, now: Time, wanted: &Selector) -> Vec<DomainKey> {
        let wanted = answering::beyond_border(wanted, Viewer::Me);
        let denies = |domain: &DomainKey| {
            let up = self.endpoints.all(Endpoints::Partner(*domain)).count();
            up > 0 && self.deniers(now, *domain, &wanted, false).len() == up
        };
        self.border.partners_on().map(|partner| partner.domain.key).filter(denies).collect()
    }

    /// Returns how many questions went to partners since this node started, and how many did not need to.
    pub const fn partner_lists(&self) -> PartnerLists {
        self.partner_lists
    }
}
