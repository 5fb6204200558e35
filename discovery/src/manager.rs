//! The manager: what each input leads to.

mod asking;

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AskId, NodeId, RequestId, Rng, Span, Ticket, Time, Wake};
use rear_proto::{
    DamagedRecord, Deed, Selector, Table, Trace,
    local::{Candidate, Me, Pick},
    message::List,
};

use crate::{
    answering::{self, Known, Queries},
    config::Config,
    early::Waits,
    endpoints::Endpoints,
    fan_out::{FanOut, Waiting},
    index::{Heard, Index, Offer, OfferKey, Whose},
    mail::{Effect, Input},
    record,
    saving::Saving,
    view::{CandidateView, EndpointView},
};

/// How much later than due expired candidates are swept out, so that many go at once; no look-up sees them.
const SWEEP: Span = Span::secs(1);

/// The Discovery Manager.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    me: NodeId,
    rng: Rng,
    index: Index,
    endpoints: Endpoints,
    queries: Queries,
    saving: Saving,
    early: Waits,
    fan_outs: BTreeMap<u64, FanOut>,
    /// When to look at a fan-out again.
    deadlines: BTreeSet<(Time, u64)>,
    /// Our open questions: of which fan-out, and to whom.
    asks: BTreeMap<AskId, (u64, NodeId)>,
    next_fan_out: u64,
    next_ask: u64,
}

impl Manager {
    /// Makes a manager that knows of nothing.
    pub fn new(config: Config, me: Me, rng: Rng) -> Self {
        Self {
            config,
            me: me.signer.id(),
            rng,
            index: Index::default(),
            endpoints: Endpoints::default(),
            queries: Queries::default(),
            saving: Saving::default(),
            early: Waits::default(),
            fan_outs: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            asks: BTreeMap::new(),
            next_fan_out: 0,
            next_ask: 0,
        }
    }

    /// Remembers a candidate that was kept; rows of other tables are not for here.
    ///
    /// # Errors
    /// When the row can't be read.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        if table == Table::Candidates {
            let (flavour, heard) = record::read(key, value)?;
            self.saving.restored((flavour.provider.node, flavour.id), flavour.epoch, heard.expires);
            self.index.put_candidate(flavour, heard);
        }
        Ok(())
    }

    /// Comes to life: drops the candidates that have expired meanwhile. Own offers are REAR's to tell.
    pub fn start(&mut self, now: Time, _starts: u32, out: &mut Vec<Effect>) {
        self.early.begin(now + self.config.first_contact);
        self.sweep(now, out);
        self.bound(None, out);
    }

    /// Returns the candidates that have not expired, in the order in which they came.
    pub fn candidates(&self, now: Time) -> impl Iterator<Item = CandidateView<'_>> {
        self.index.all(Whose::Others).filter_map(move |offer| {
            let Heard { seen, via, expires } = offer.heard?;
            (expires > now).then(|| CandidateView {
                flavour: &offer.flavour,
                seen_via: via,
                age: now.since(seen),
                expires_in: now.until(expires),
                round_trip_ms: self.endpoints.round_trip_ms(&offer.flavour.provider.node),
            })
        })
    }

    /// Returns the endpoints known, by node.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointView<'_>> {
        self.endpoints.iter().map(|(node, endpoint)| EndpointView {
            node: *node,
            addresses: &endpoint.addresses,
            role: endpoint.role,
            up: endpoint.up,
            round_trip_ms: self.endpoints.round_trip_ms(node),
            last_heard: endpoint.heard,
            candidates: self.index.count_of(node),
        })
    }

    // -- looking up -------------------------------------------------------------------------------------

    fn find(&self, now: Time, pick: &Pick, k: usize, max_age: Span) -> Vec<Candidate> {
        let fresh =
            |offer: &Offer| offer.heard.is_some_and(|heard| heard.expires > now && now.since(heard.seen) <= max_age);
        match pick {
            Pick::Matching(selector) => self.matching(selector, k, |offer| fresh(offer) && self.is_in_reach(offer)),
            // Somebody has named it, so it is theirs to try even where its provider seems out of reach.
            Pick::Flavour(id, provider) => self
                .index
                .with_id(*id)
                .filter(|offer| fresh(offer) && provider.is_none_or(|node| node == offer.flavour.provider.node))
                .filter_map(candidate)
                .take(k)
                .collect(),
        }
    }

    fn matching(&self, selector: &Selector, k: usize, usable: impl Fn(&Offer) -> bool) -> Vec<Candidate> {
        let round_trip = |node: &NodeId| self.endpoints.round_trip_ms(node);
        let (matches, _) = self.index.matching(Whose::Others, selector, k, usable, round_trip);
        matches.into_iter().filter_map(|found| candidate(found.offer)).collect()
    }

    /// An offer of a node that is known to be out of reach would cost its reservation a whole deadline.
    fn is_in_reach(&self, offer: &Offer) -> bool {
        !self.endpoints.is_down(&offer.flavour.provider.node)
    }

    // -- being asked ------------------------------------------------------------------------------------

    fn asked(&mut self, now: Time, ticket: Ticket, from: NodeId, list: &List, trace: Trace, out: &mut Vec<Effect>) {
        let listed = match self.queries.known(now, &list.query, &from) {
            Known::Looped => {
                let answer = answering::looped(&list.query).into();
                return out.push(Effect::Reply { ticket, answer });
            }
            Known::New if list.trail.contains(&answering::footprint(&list.query, &self.me)) => {
                let answer = answering::looped(&list.query).into();
                return out.push(Effect::Reply { ticket, answer });
            }
            Known::Answered(listed) => listed,
            Known::New => {
                let listed = answering::list(&self.index, list, &self.config);
                let until = now + list.deadline.min(rear_proto::door::MAX_DEADLINE);
                self.queries.remember(list.query, from, until, listed.clone(), self.config.queries);
                listed
            }
        };
        out.push(Effect::Did(trace, Deed::OffersLookedUp));
        out.push(Effect::Did(trace, Deed::ListAnswered));
        out.push(Effect::Reply { ticket, answer: listed.answer() });
    }

    // -- endpoints --------------------------------------------------------------------------------------

    fn gone(&mut self, now: Time, node: &NodeId, out: &mut Vec<Effect>) {
        self.endpoints.forget(node);
        let offers: Vec<OfferKey> = self.index.of_provider(node).collect();
        self.drop_all(offers, out);
        // What it was asked is not waited for, and its answer, should it come, is not taken.
        let asks: Vec<(AskId, u64)> =
            self.asks.iter().filter(|(_, (_, to))| to == node).map(|(ask, (id, _))| (*ask, *id)).collect();
        for (ask, id) in asks {
            self.asks.remove(&ask);
            self.said_nothing(id, ask);
            self.settle(now, id, out);
        }
    }

    // -- bounds -----------------------------------------------------------------------------------------

    fn drop_all(&mut self, keys: Vec<OfferKey>, out: &mut Vec<Effect>) {
        for key in keys {
            self.index.remove(&key);
            out.extend(self.saving.gone(&key).map(Effect::Keep));
        }
    }

    /// Drops candidates over the bounds, those that expire first leading.
    fn bound(&mut self, provider: Option<&NodeId>, out: &mut Vec<Effect>) {
        if let Some(node) = provider {
            let over = self.index.count_of(node).saturating_sub(self.config.candidates_per_provider);
            let first: Vec<OfferKey> = self.index.of_provider(node).take(over).collect();
            self.drop_all(first, out);
        }
        let over = self.index.count(Whose::Others).saturating_sub(self.config.candidates);
        if over > 0 {
            let first: Vec<OfferKey> = self.index.expiring().take(over).map(|(_, key)| key).collect();
            self.drop_all(first, out);
        }
    }

    fn sweep(&mut self, now: Time, out: &mut Vec<Effect>) {
        let expired: Vec<OfferKey> =
            self.index.expiring().take_while(|(at, _)| *at <= now).map(|(_, key)| key).collect();
        self.drop_all(expired, out);
    }

    fn next_sweep(&self) -> Option<Time> {
        self.index.expiring().next().map(|(at, _)| at + SWEEP)
    }
}

impl kernel::Manager for Manager {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::OwnChanged(flavour) => self.index.put_own(*flavour),
            Input::OwnGone(flavour) => {
                self.index.remove(&(self.me, flavour));
            }
            Input::Find { request, pick, k, max_age } => {
                out.push(found(request, self.find(now, &pick, k, max_age)));
            }
            Input::Discover { asker, selector, k, exclude, trace } => {
                self.discover(now, Waiting { asker, selector, k, trace, found: 0 }, exclude, out);
            }
            Input::Asked { ticket, from, caller: _, list, trace } => self.asked(now, ticket, from, &list, trace, out),
            Input::Answered { ask, from, answer, took } => self.answered(now, ask, from, answer, took, out),
            Input::Told { ticket, .. } => {
                out.push(Effect::Reply {
                    ticket,
                    answer: rear_proto::Refusal::from(rear_proto::Code::NotShared).into(),
                });
            }
            Input::Resolve { allocation, flavour, caller: _ } => {
                out.push(Effect::Resolved { allocation, way: Ok(rear_proto::local::Way::Here(flavour)) });
            }
            Input::Partners(_) | Input::Secret(_) => {}
            Input::EndpointUp { party, role, realm: _ } => {
                if party.node != self.me {
                    self.endpoints.up(party, role);
                    self.early.reached(now + self.config.gather);
                }
            }
            Input::EndpointDown { node } => self.endpoints.down(&node),
            Input::EndpointGone { node } => self.gone(now, &node, out),
        }
    }

    fn next_wake(&self) -> Option<Wake> {
        [
            self.deadlines.first().map(|(at, _)| (*at, "list-deadline")),
            self.next_sweep().map(|at| (at, "candidate-expiry")),
            self.saving.due().map(|at| (at, "save-candidates")),
            self.early.due().map(|at| (at, "first-contact")),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.remove(&(at, id));
            self.settle(now, id, out);
            self.listen_on(now, id);
        }
        if self.early.due().is_some_and(|at| at <= now) {
            self.ask_early(now, out);
        }
        if self.next_sweep().is_some_and(|at| at <= now) {
            self.sweep(now, out);
        }
        out.extend(self.saving.rows(now, &self.index, self.config.save_every).into_iter().map(Effect::Keep));
    }
}

const fn found(request: RequestId, candidates: Vec<Candidate>) -> Effect {
    Effect::Found { request, candidates }
}

fn candidate(offer: &Offer) -> Option<Candidate> {
    let Heard { seen, via, .. } = offer.heard?;
    Some(Candidate { flavour: (*offer.flavour).clone(), seen, via })
}
