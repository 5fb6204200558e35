//! The manager: what each input leads to.

mod asking;
mod catalogue;
mod digests;
mod feeds;
mod inbox;
mod looking;
mod resolving;
mod serving;
mod subscribers;
mod widening;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use kernel::{AskId, NodeId, RequestId, Rng, Span, Time, Wake};
use rear_proto::{
    DamagedRecord, Selector, Table,
    flavour::Party,
    local::{Candidate, Me, Partner, Pick, Realm},
    membership::Role,
};

pub use digests::PartnerLists;

use asking::Wanted;
use feeds::Telling;

use crate::{
    answering::Queries,
    border::Border,
    catalogue::Minutes,
    config::Config,
    digests::Digests,
    early::Waits,
    endpoints::Endpoints,
    fan_out::FanOut,
    index::{Heard, Index, Offer, OfferKey, Whose},
    mail::{Effect, Input},
    record,
    saving::Saving,
    view::{CandidateView, EndpointView},
};

/// How much later than due expired candidates are swept out, so that many go at once; no look-up sees them.
const SWEEP: Span = Span::secs(1);

/// How large the offers of one provider may be on average, in bytes on the wire, where it has as many as it may.
const AVERAGE: usize = 2 << 10;

/// The Discovery Manager.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    me: NodeId,
    rng: Rng,
    border: Border,
    index: Index,
    endpoints: Endpoints,
    queries: Queries,
    /// How many questions those of other domains have put lately.
    questions: Minutes,
    saving: Saving,
    early: Waits,
    fan_outs: BTreeMap<u64, FanOut>,
    /// When to look at a fan-out again.
    deadlines: BTreeSet<(Time, u64)>,
    /// When to ask a second supernode.
    hedges: BTreeSet<(Time, u64)>,
    /// Our open questions: of which fan-out, and to whom.
    asks: BTreeMap<AskId, (u64, NodeId)>,
    /// Whom to ask again, and when, who did not know this node yet.
    again: BTreeSet<(Time, u64, AskId, NodeId)>,
    next_fan_out: u64,
    next_ask: u64,
    /// What was not believed lately, and why.
    disbelieved: VecDeque<(Candidate, String)>,
    /// What others are told of offers, and what they tell.
    telling: Telling,
    /// What partners are told in short, and what they tell.
    digests: Digests,
    partner_lists: PartnerLists,
    /// How old an offer may be that REAR tries, as it said last.
    max_age: Span,
}

impl Manager {
    /// Makes a manager that knows of nothing.
    pub fn new(config: Config, me: Me, rng: Rng) -> Self {
        Self {
            config,
            me: me.signer.id(),
            rng,
            border: Border::new(&me),
            index: Index::new(me.domain),
            endpoints: Endpoints::default(),
            queries: Queries::default(),
            questions: Minutes::default(),
            saving: Saving::default(),
            early: Waits::default(),
            fan_outs: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            hedges: BTreeSet::new(),
            asks: BTreeMap::new(),
            again: BTreeSet::new(),
            next_fan_out: 0,
            next_ask: 0,
            disbelieved: VecDeque::new(),
            telling: Telling::new(me.signer),
            digests: Digests::default(),
            partner_lists: PartnerLists::default(),
            max_age: Span(u64::MAX),
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
    pub fn start(&mut self, now: Time, starts: u32, out: &mut Vec<Effect>) {
        self.telling.feeds.begin(starts);
        self.digests.begin(starts, now + self.config.digest_shrink);
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

    /// Returns how many offers of others this node keeps as a catalogue.
    pub fn catalogued(&self) -> usize {
        self.telling.catalogue.count()
    }

    /// Returns how many offers this node has signed for catalogues since it started.
    pub const fn signatures(&self) -> u64 {
        self.telling.publishing.made()
    }

    /// Returns the endpoints known, by node.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointView<'_>> {
        self.endpoints.iter().map(|(node, endpoint)| EndpointView {
            node: *node,
            addresses: &endpoint.addresses,
            role: endpoint.role,
            realm: endpoint.realm,
            up: endpoint.up,
            round_trip_ms: self.endpoints.round_trip_ms(node),
            last_heard: endpoint.heard,
            candidates: self.index.count_of(node),
            disbelieved: endpoint.disbelieved,
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
            let group = self.fan_outs.get(&id).and_then(|fan_out| fan_out.open.get(&ask)).copied();
            self.said_nothing(id, ask);
            self.ask_another(now, id, node, group, out);
            self.settle(now, id, out);
        }
    }

    /// A node is here, or here anew: what it was asked before may have gone to its former life, and is asked once more.
    /// Where it was heard all the same, the repeat gets the same answer.
    fn ask_once_more(&mut self, now: Time, party: &Party, out: &mut Vec<Effect>) {
        let open = self.asks.iter().filter(|(_, (_, to))| *to == party.node);
        let open: Vec<(AskId, u64)> = open.map(|(ask, (id, _))| (*ask, *id)).collect();
        for (ask, id) in open {
            let Some(fan_out) = self.fan_outs.get_mut(&id).filter(|fan_out| fan_out.deadline > now) else { continue };
            let trace = fan_out.travel.trace;
            let Some(group) = fan_out.open.remove(&ask) else { continue };
            self.asks.remove(&ask);
            self.send(now, id, party.clone(), group, None, trace, out);
        }
    }

    /// What partners offered who are none any longer is no longer to be had.
    fn partners_are(&mut self, partners: Arc<[Partner]>, out: &mut Vec<Effect>) {
        self.border.partners_are(partners);
        if self.border.is_supernode() {
            let is_partner = |offer: &&Offer| self.border.partner(&offer.flavour.domain.key).is_some();
            let left = self.index.all(Whose::Foreign).filter(|offer| !is_partner(offer));
            let left: Vec<OfferKey> = left.map(Offer::key).collect();
            self.drop_all(left, out);
        }
    }

    // -- bounds -----------------------------------------------------------------------------------------

    fn drop_all(&mut self, keys: Vec<OfferKey>, out: &mut Vec<Effect>) {
        for key in keys {
            let offer = self.index.remove(&key);
            self.telling.dropped(key, offer.and_then(|offer| offer.heard));
            out.extend(self.saving.gone(&key).map(Effect::Keep));
        }
    }

    /// Drops candidates over the bounds, those that expire first leading.
    fn bound(&mut self, provider: Option<&NodeId>, out: &mut Vec<Effect>) {
        if let Some(node) = provider {
            let is_supernode = self.endpoints.get(node).is_some_and(|endpoint| endpoint.role == Role::Supernode);
            let most = match is_supernode {
                true => self.config.candidates_per_supernode,
                false => self.config.candidates_per_provider,
            };
            let over = self.index.count_of(node).saturating_sub(most);
            let first: Vec<OfferKey> = self.index.of_provider(node).take(over).collect();
            self.drop_all(first, out);
            // Who has many large ones may have fewer.
            while self.index.size_of(node) > most.saturating_mul(AVERAGE).max(self.config.offer_bytes) {
                let first: Vec<OfferKey> = self.index.of_provider(node).take(1).collect();
                self.drop_all(first, out);
            }
        }
        let most = match self.border.is_supernode() {
            true => self.config.candidates_at_supernode.max(self.config.candidates),
            false => self.config.candidates,
        };
        let over = self.index.count(Whose::Others).saturating_sub(most);
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
            Input::OwnChanged(flavour) => {
                self.border.learn(&flavour);
                self.telling.changed((self.me, flavour.id));
                self.index.put_own(*flavour);
            }
            Input::OwnGone(flavour) => {
                self.index.remove(&(self.me, flavour));
                self.telling.changed((self.me, flavour));
            }
            Input::Named { domain, addresses } => {
                if self.border.named(domain, addresses) {
                    self.exposed(now);
                }
            }
            Input::Find { request, pick, k, max_age } => {
                self.max_age = max_age;
                out.push(found(request, self.find(now, &pick, k, max_age)));
            }
            Input::Discover { asker, selector, ceiling, k, exclude, trace } => {
                self.discover(now, asker, Wanted { selector, ceiling, k, exclude, trace }, out);
            }
            Input::Asked { ticket, from, caller, list, trace } => {
                self.asked(now, ticket, from, caller, *list, trace, out);
            }
            Input::Answered { ask, from, answer, took } => self.answered(now, ask, from, answer, took, out),
            Input::Told { ticket, from, caller, request } => self.told(now, ticket, from, caller, *request, out),
            Input::Resolve { allocation, flavour, caller } => self.resolve(now, allocation, flavour, caller, out),
            Input::Partners(partners) => {
                let before = self.border.viewers();
                self.partners_are(partners, out);
                // Who speaks for them changes whom to believe, and nobody's view: a partner may say that all the time.
                if self.border.viewers() != before {
                    self.exposed(now);
                }
            }
            Input::Secret(secret) => {
                let resale = self.config.expose.iter().any(|rule| rule.resale);
                self.index.rename(secret, resale);
                self.exposed(now);
            }
            Input::EndpointUp { party, role, realm } => {
                if party.node != self.me {
                    self.endpoints.up(now, party.clone(), role, realm);
                    self.ask_once_more(now, &party, out);
                    self.reached(now, &party, role, realm);
                    self.partner_reached(now, &party.node);
                    // A supernode asks no neighbours, so it goes on waiting for whom it asks.
                    if !(self.border.is_supernode() && realm == Realm::Own) {
                        self.early.reached(now + self.config.gather);
                    }
                }
            }
            Input::EndpointDown { node } => {
                self.endpoints.down(&node);
                self.unreached(&node);
            }
            Input::EndpointGone { node } => {
                self.forgotten(now, &node, out);
                self.gone(now, &node, out);
            }
        }
        self.touched(now);
    }

    fn next_wake(&self) -> Option<Wake> {
        [
            self.deadlines.first().map(|(at, _)| (*at, "list-deadline")),
            self.hedges.first().map(|(at, _)| (*at, "second-supernode")),
            self.again.first().map(|(at, ..)| (*at, "ask-again")),
            self.next_sweep().map(|at| (at, "candidate-expiry")),
            self.saving.due().map(|at| (at, "save-candidates")),
            self.early.due().map(|at| (at, "first-contact")),
            self.telling_due(),
            self.digests.due().map(|at| (at, "capacity-digests")),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.ask_again(now, out);
        while let Some((at, id)) = self.hedges.first().copied()
            && at <= now
        {
            self.hedges.remove(&(at, id));
            self.hedge(now, id, out);
        }
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
        self.touched(now);
        self.tell_all(now, out);
        self.tell_digests(now, out);
    }
}

const fn found(request: RequestId, candidates: Vec<Candidate>) -> Effect {
    Effect::Found { request, candidates }
}

fn candidate(offer: &Offer) -> Option<Candidate> {
    let Heard { seen, via, .. } = offer.heard?;
    Some(Candidate { flavour: (*offer.flavour).clone(), seen, via })
}
