//! Telling others of offers: who is told of what, when, and what comes of it.

use std::collections::BTreeSet;

use kernel::{AskId, DomainKey, NodeId, Time, Wake};
use rear_proto::{
    Answer, Flavour, Refusal, Request, Signer, Trace,
    flavour::Party,
    local::{Caller, Realm},
    membership::Role,
    message::{Offered, Taken},
    wire::codec,
};

use super::Manager;
use crate::{
    border::Viewer,
    catalogue::{Catalogue, Minutes, Place},
    feeds::{Feed, Feeds, Item, Kind, Pace, Shown},
    inbox::Inbox,
    index::{Heard, Offer, OfferKey, Toil, Whose},
    mail::Effect,
    publishing::Publishing,
    subscriptions::{CATALOGUES, Subscriptions},
};

/// How often in a row a subscriber may say nothing before it is told nothing more: it has gone without a word, and
/// says again what it wants when it is back.
const PATIENCE: u32 = 5;
/// The most offers that are looked through for one snapshot; each takes some hundred bytes until it is told.
const NAMED: usize = 131_072;
/// All that is told, in either direction.
#[derive(Debug)]
pub(super) struct Telling {
    signer: Signer,
    pub(super) feeds: Feeds,
    pub(super) inbox: Inbox,
    pub(super) publishing: Publishing,
    pub(super) catalogue: Catalogue,
    pub(super) minutes: Minutes,
    pub(super) subscriptions: Subscriptions,
    /// Offers of the index that have changed, or are gone, and that nobody has been told of.
    changed: BTreeSet<OfferKey>,
}

impl Telling {
    pub(super) fn new(signer: Signer) -> Self {
        Self {
            signer,
            feeds: Feeds::default(),
            inbox: Inbox::default(),
            publishing: Publishing::default(),
            catalogue: Catalogue::default(),
            minutes: Minutes::default(),
            subscriptions: Subscriptions::default(),
            changed: BTreeSet::new(),
        }
    }

    /// Takes note that an offer of the index has changed, or is gone.
    pub(super) fn changed(&mut self, key: OfferKey) {
        self.changed.insert(key);
    }

    /// Takes note that a candidate was dropped.
    pub(super) fn dropped(&mut self, key: OfferKey, heard: Option<Heard>) {
        if let Some(heard) = heard {
            self.inbox.untold(&heard.via, &(None, key));
        }
        self.changed(key);
    }
}

impl Manager {
    fn pace(&self) -> Pace {
        Pace { every: self.config.feed_every, most: self.config.feed_offers, offer_bytes: self.config.offer_bytes }
    }

    // -- who is there -----------------------------------------------------------------------------------

    /// A node can be reached: tells it what it is to be told, and asks it for what is wanted of it.
    pub(super) fn reached(&mut self, now: Time, party: &Party, role: Role, realm: Realm) {
        let kind = match realm {
            Realm::Own if role == Role::Supernode => Some(Kind::Supernode),
            Realm::Catalogue if self.border.role() == Role::Supernode => Some(Kind::Catalogue),
            Realm::Own | Realm::Partner(_) | Realm::Catalogue => None,
        };
        match (kind, self.telling.feeds.of(&party.node)) {
            // It is told already.
            (Some(kind), Some(feed)) if feed.kind == kind => {}
            (Some(kind), _) => self.telling.feeds.open(now, party.clone(), kind),
            (None, _) => {}
        }
        self.subscribe(now, party, realm);
    }

    /// A node can't be reached: it is told nothing, and begins anew when it is back. What it told holds until it lapses.
    pub(super) fn unreached(&mut self, node: &NodeId) {
        self.telling.feeds.close(node);
        self.telling.inbox.restarted(node);
        self.telling.subscriptions.end(node);
        self.partner_unreached(node);
        if !self.telling.feeds.iter().any(|feed| feed.kind == Kind::Catalogue) {
            self.telling.publishing.clear();
        }
    }

    /// A node is none of ours any longer: forgets what it has told.
    pub(super) fn forgotten(&mut self, now: Time, node: &NodeId, out: &mut Vec<Effect>) {
        self.unreached(node);
        let told = self.telling.inbox.forget(node);
        self.drop_told(now, node, told, out);
    }

    fn subscribe(&mut self, now: Time, party: &Party, realm: Realm) {
        if self.border.role() != Role::Supernode {
            return;
        }
        let name = match realm {
            Realm::Own => return,
            Realm::Catalogue => CATALOGUES,
            Realm::Partner(domain) => match self.border.partner(&domain) {
                Some(partner) if partner.on => partner.name.as_str(),
                // What it has told lapses.
                Some(_) | None => return self.telling.subscriptions.end(&party.node),
            },
        };
        let wish = self.config.subscribe.iter().find(|wish| wish.to == name);
        if let Some(selector) = wish.map(|wish| wish.selector.clone()) {
            self.telling.subscriptions.want(now, party.clone(), realm, &selector);
        }
    }

    // -- what has changed -------------------------------------------------------------------------------

    /// Tells all who may see them of offers that have changed or are gone, a little later.
    pub(super) fn touched(&mut self, now: Time) {
        if self.telling.changed.is_empty() {
            return;
        }
        let keys = std::mem::take(&mut self.telling.changed);
        self.digests_touched(now, &keys);
        let at = now + self.config.feed_every;
        let viewers: Vec<DomainKey> = self.border.partners_on().map(|partner| partner.domain.key).collect();
        let (me, is_catalogue) = (self.me, self.border.role() == Role::Catalogue);
        self.telling.feeds.touch(at, |feed| match &feed.kind {
            Kind::Supernode => keys.iter().filter(|key| key.0 == me).map(|key| (None, *key)).collect(),
            Kind::Catalogue => keys.iter().flat_map(|key| viewers.iter().map(|viewer| (Some(*viewer), *key))).collect(),
            Kind::Subscriber { .. } if is_catalogue => Vec::new(),
            Kind::Subscriber { .. } => keys.iter().map(|key| (None, *key)).collect(),
        });
    }

    /// What stands on the shelves has changed: the viewers that have subscribed are told, a little later.
    pub(super) fn shelved(&mut self, now: Time, places: &[Place]) {
        let at = now + self.config.feed_every;
        let home = self.border.home();
        self.telling.feeds.touch(at, |feed| match &feed.kind {
            Kind::Supernode | Kind::Catalogue => Vec::new(),
            Kind::Subscriber { caller, .. } => {
                let viewer = domain_of(caller, home);
                places.iter().filter(|place| Some(place.0) == viewer).map(|place| (Some(place.0), place.1)).collect()
            }
        });
    }

    /// Who may see what has changed: everything is looked at anew, and what may no longer be seen is withdrawn.
    pub(super) fn exposed(&mut self, now: Time) {
        let at = now + self.config.feed_every;
        let kinds: Vec<(NodeId, BTreeSet<Item>)> =
            self.telling.feeds.iter().map(|feed| (feed.to.node, self.items(&feed.kind))).collect();
        for (node, items) in kinds {
            self.telling.feeds.touch(at, |feed| {
                if feed.to.node != node || feed.kind == Kind::Supernode {
                    return Vec::new();
                }
                feed.said().copied().chain(items.iter().copied()).collect()
            });
        }
        self.digests_exposed(now);
        // A wish may name a partner by the name that it has only now.
        let there = self.endpoints.iter().filter(|(_, endpoint)| endpoint.up);
        let there: Vec<(Party, Realm)> = there
            .map(|(node, endpoint)| (Party { node: *node, addresses: endpoint.addresses.clone() }, endpoint.realm))
            .collect();
        for (party, realm) in there {
            self.subscribe(now, &party, realm);
        }
    }

    // -- telling ----------------------------------------------------------------------------------------

    /// Returns all that there may be to say in a feed: own offers first, and of very many not all.
    fn items(&self, kind: &Kind) -> BTreeSet<Item> {
        let own = || self.index.all(Whose::Own).map(Offer::key);
        // Whether each may be seen is found out when it is said; what can't be seen at all is not even named.
        let resale = self.config.expose.iter().any(|rule| rule.resale);
        let visible = |abroad: bool| {
            let foreign = abroad.then(|| self.index.all(Whose::Foreign)).into_iter().flatten();
            own().chain(self.index.all(Whose::Domain).chain(foreign).map(Offer::key))
        };
        match kind {
            Kind::Supernode => own().map(|key| (None, key)).collect(),
            Kind::Catalogue => {
                let viewers: Vec<DomainKey> = self.border.partners_on().map(|partner| partner.domain.key).collect();
                let each = NAMED / viewers.len().max(1);
                let keys: Vec<OfferKey> = visible(resale).take(each).collect();
                viewers.into_iter().flat_map(|viewer| keys.iter().map(move |key| (Some(viewer), *key))).collect()
            }
            Kind::Subscriber { caller, .. } if self.border.role() == Role::Catalogue => {
                let viewer = domain_of(caller, self.border.home());
                let shelf = |viewer| self.telling.catalogue.shelf(viewer).map(move |key| (Some(viewer), key));
                viewer.into_iter().flat_map(shelf).collect()
            }
            Kind::Subscriber { caller, .. } => {
                let abroad = resale || matches!(caller, Caller::Member(_));
                visible(abroad).take(NAMED).map(|key| (None, key)).collect()
            }
        }
    }

    /// Returns an item as the receiver may see it now.
    fn shown(&mut self, now: Time, kind: &Kind, item: &Item, toil: &mut Toil) -> Option<Shown> {
        match kind {
            Kind::Supernode => {
                let flavour = self.index.offer(&item.1).filter(|offer| offer.heard.is_none())?.flavour.as_ref().clone();
                Some(direct(flavour))
            }
            Kind::Catalogue => {
                let domain = item.0?;
                let seen = self.seen_by(now, &item.1, Viewer::Partner(domain));
                match seen {
                    Some(flavour) => self.telling.publishing.signed(now, *item, flavour, &self.telling.signer),
                    None => {
                        self.telling.publishing.forget(item);
                        None
                    }
                }
            }
            Kind::Subscriber { selector, .. } if self.border.role() == Role::Catalogue => {
                let place = (item.0?, item.1);
                self.telling.catalogue.shown(now, &place, |flavour| {
                    toil.look(flavour);
                    selector.fit(flavour, None).is_some()
                })
            }
            Kind::Subscriber { caller, selector, .. } => {
                let mut flavour = self.seen_by(now, &item.1, viewer_of(caller)?)?;
                // What lapses here is withdrawn there, so it need not be counted down.
                flavour.expires_in = self.index.offer(&item.1)?.flavour.expires_in.min(self.config.longest_life);
                toil.look(&flavour);
                selector.fit(&flavour, None).is_some().then(|| direct(flavour))
            }
        }
    }

    /// Returns an offer as somebody else may see it.
    fn seen_by(&self, now: Time, key: &OfferKey, viewer: Viewer) -> Option<Flavour> {
        let offer = self.index.offer(key)?;
        let seen = self.border.eyes(now, viewer, &self.config).see(self.index.side(offer), offer)?;
        Some(Flavour::clone(&seen))
    }

    /// Says all that is due.
    pub(super) fn tell_all(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.telling.publishing.due().is_some_and(|at| at <= now) {
            let renewals = self.telling.publishing.renewals(now);
            self.telling.feeds.touch(now + self.config.feed_every, |feed| match feed.kind {
                Kind::Catalogue => renewals.clone(),
                Kind::Supernode | Kind::Subscriber { .. } => Vec::new(),
            });
        }
        if self.telling.catalogue.due().is_some_and(|at| at <= now) {
            let lapsed = self.telling.catalogue.sweep(now);
            for (viewer, key) in &lapsed {
                self.telling.inbox.lapsed(&key.0, &(Some(*viewer), *key));
            }
            self.shelved(now, &lapsed);
        }
        while let Some((at, node)) = self.telling.feeds.due()
            && at <= now
        {
            let Some(mut feed) = self.telling.feeds.take(&node) else { break };
            if matches!(feed.kind, Kind::Subscriber { until, .. } if until <= now) {
                continue;
            }
            if let Some(request) = self.next_message(now, &mut feed) {
                let ask = self.number();
                feed.sent(ask);
                let (to, deadline) = (feed.to.clone(), self.config.feed_deadline);
                out.push(Effect::Ask { ask, to, request, deadline, trace: Trace::None });
            }
            self.telling.feeds.put(feed);
        }
        while let Some((at, node)) = self.telling.subscriptions.due()
            && at <= now
        {
            let ask = self.number();
            let Some((to, said)) = self.telling.subscriptions.say(now, &node, ask, self.config.subscribe_within) else {
                break;
            };
            let deadline = self.config.feed_deadline;
            out.push(Effect::Ask { ask, to, request: Request::Subscribe(said), deadline, trace: Trace::None });
        }
    }

    pub(super) fn number(&mut self) -> AskId {
        let ask = AskId(self.next_ask);
        self.next_ask += 1;
        ask
    }

    pub(super) fn next_message(&mut self, now: Time, feed: &mut Feed) -> Option<Request> {
        if feed.is_to_begin() {
            let id = self.telling.feeds.number();
            feed.begin(id, self.items(&feed.kind));
        }
        let (kind, pace) = (feed.kind.clone(), self.pace());
        feed.message(now, &pace, |item| {
            let mut toil = match &kind {
                Kind::Subscriber { selector, .. } => Toil::of(selector),
                Kind::Supernode | Kind::Catalogue => Toil::default(),
            };
            let shown = self.shown(now, &kind, item, &mut toil);
            (shown, toil.done())
        })
    }

    /// Returns when there is something to say, or when something that was told lapses.
    pub(super) fn telling_due(&self) -> Option<Wake> {
        let telling = &self.telling;
        [
            telling.feeds.due().map(|(at, _)| (at, "feeds")),
            telling.subscriptions.due().map(|(at, _)| (at, "subscriptions")),
            telling.publishing.due().map(|at| (at, "signatures")),
            telling.catalogue.due().map(|at| (at, "catalogue-expiry")),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes in what a receiver answered to what it was told, or a provider to a subscription; says whether the
    /// question was one of those.
    pub(super) fn told_back(
        &mut self,
        now: Time,
        ask: AskId,
        from: &NodeId,
        answer: &Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) -> bool {
        if let Some(node) = self.telling.feeds.asked(&ask) {
            let next = match answer {
                Ok(Answer::Taken(Taken { next })) if node == *from => Some(*next),
                Ok(_) | Err(_) => None,
            };
            let pace = self.pace();
            if let Some(mut feed) = self.telling.feeds.take(&node) {
                feed.answered(now, next, &pace);
                let is_lost = matches!(feed.kind, Kind::Subscriber { .. }) && feed.failures() >= PATIENCE;
                if !is_lost {
                    self.telling.feeds.put(feed);
                }
            }
            return true;
        }
        if self.digest_answered(now, &ask, answer) {
            return true;
        }
        let Some(node) = self.telling.subscriptions.asked(&ask) else { return false };
        let taken = match answer {
            Ok(Answer::Snapshot(snapshot)) if node == *from => self.take_snapshot(now, &node, snapshot.clone(), out),
            Ok(_) | Err(_) => false,
        };
        self.telling.subscriptions.answered(now, &node, taken, self.config.subscribe_within);
        true
    }
}

/// Returns the domain of a caller.
pub(super) const fn domain_of(caller: &Caller, home: DomainKey) -> Option<DomainKey> {
    match caller {
        Caller::Member(_) => Some(home),
        Caller::Partner { domain, .. } | Caller::Visitor { domain } => Some(*domain),
        Caller::Stranger => None,
    }
}

const fn viewer_of(caller: &Caller) -> Option<Viewer> {
    match caller {
        Caller::Member(_) => Some(Viewer::Member),
        Caller::Partner { domain, .. } => Some(Viewer::Partner(*domain)),
        Caller::Visitor { .. } | Caller::Stranger => None,
    }
}

fn direct(flavour: Flavour) -> Shown {
    Shown {
        id: flavour.id,
        lives: flavour.expires_in,
        bytes: codec::size(&flavour),
        offered: Offered::Direct(Box::new(flavour)),
    }
}
