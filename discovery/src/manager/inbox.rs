//! Being told of offers: who may tell what, what of it is believed, and how it ends.

use std::collections::BTreeSet;

use kernel::{DomainKey, FlavourId, NodeId, Ticket, Time};
use rear_proto::{
    Answer, Code, Flavour, Refusal, Request,
    local::{Caller, Realm},
    membership::Role,
    message::{Advertise, Offered, Refresh, Taken, Withdraw, Withdrawn},
};

use super::{Manager, feeds::domain_of};
use crate::{
    believing::{self, Bearer},
    catalogue::{Place as Shelved, Unkept},
    inbox::{Place, Told},
    index::{Heard, OfferKey},
    mail::Effect,
};

/// How many messages a SUBSCRIBE counts as: all that there is to tell is gathered for it, which takes as long.
const SUBSCRIBES: u32 = 8;
/// The most senders whose feeds are followed.
const SENDERS: usize = 16_384;

/// As whom a sender tells of offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A node of this domain, or a partner's supernode, of its own offers.
    Owner(Bearer),
    /// A catalogue that this node has subscribed to, of what others have signed for this domain.
    Catalogue,
    /// One that publishes at this catalogue.
    Publisher(DomainKey),
}

/// A message of a feed, whichever it is.
struct Message {
    feed: u64,
    number: u64,
    offers: Vec<Offered>,
    withdrawn: Vec<Withdrawn>,
    kind: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Advertise { more: bool },
    Refresh,
    Withdraw,
}

impl Manager {
    /// Answers one who tells of its offers, or wants to be told of ours.
    pub(super) fn told(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        caller: Caller,
        request: Request,
        out: &mut Vec<Effect>,
    ) {
        let answer = self.hear_out(now, from, caller, request, out).unwrap_or_else(Answer::from);
        out.push(Effect::Reply { ticket, answer });
    }

    fn hear_out(
        &mut self,
        now: Time,
        from: NodeId,
        caller: Caller,
        request: Request,
        out: &mut Vec<Effect>,
    ) -> Result<Answer, Refusal> {
        if !matches!(caller, Caller::Member(_)) {
            let weighs = if matches!(request, Request::Subscribe(_)) { SUBSCRIBES } else { 1 };
            self.telling.minutes.count(now, from, weighs, self.config.told_per_minute)?;
        }
        let message = match request {
            Request::CapacityDigest(digest) => return self.hear_digest(now, from, &caller, digest),
            Request::Subscribe(wish) => return self.subscribed(now, from, caller, &wish),
            Request::Advertise(message) => message.into(),
            Request::Refresh(message) => message.into(),
            Request::Withdraw(message) => message.into(),
            other => return Err(Refusal::new(Code::Malformed, format!("{} tells of no offers", other.name()))),
        };
        let source = self
            .source(&from, &caller)
            .ok_or_else(|| Refusal::new(Code::NotShared, "this node has not asked to be told of your offers"))?;
        if !self.telling.inbox.admits(&from, SENDERS) {
            return Err(Refusal::new(Code::Overloaded, format!("{SENDERS} others tell of their offers already")));
        }
        let next = self.take(now, from, source, message, out);
        Ok(Answer::Taken(Taken { next }))
    }

    /// Says as whom a sender may tell of offers, where it may.
    fn source(&self, from: &NodeId, caller: &Caller) -> Option<Source> {
        if let Some(subscription) = self.telling.subscriptions.at(from) {
            return Some(match subscription.realm {
                Realm::Own => Source::Owner(Bearer::Neighbour),
                Realm::Partner(domain) => Source::Owner(Bearer::Partner(domain)),
                Realm::Catalogue => Source::Catalogue,
            });
        }
        match (self.border.role(), caller) {
            (Role::Supernode, Caller::Member(_)) => Some(Source::Owner(Bearer::Neighbour)),
            (Role::Catalogue, Caller::Member(_) | Caller::Partner { .. } | Caller::Visitor { .. }) => {
                domain_of(caller, self.border.home()).map(Source::Publisher)
            }
            (Role::Supernode, Caller::Partner { .. } | Caller::Visitor { .. } | Caller::Stranger)
            | (Role::Catalogue, Caller::Stranger)
            | (Role::Node, _) => None,
        }
    }

    /// Takes in the answer to a subscription of ours; says whether it was the beginning of a feed.
    pub(super) fn take_snapshot(
        &mut self,
        now: Time,
        from: &NodeId,
        snapshot: Advertise,
        out: &mut Vec<Effect>,
    ) -> bool {
        let source = self.source(from, &Caller::Stranger);
        let Some(source) = source.filter(|_| self.telling.inbox.admits(from, SENDERS)) else { return false };
        self.take(now, *from, source, snapshot.into(), out) > 0
    }

    /// Takes in a message, if it is the one that is due, and says which is due then.
    fn take(&mut self, now: Time, from: NodeId, source: Source, message: Message, out: &mut Vec<Effect>) -> u64 {
        let Message { feed, number, offers, withdrawn, kind } = message;
        let place = self.telling.inbox.place(from, feed, number, matches!(kind, Of::Advertise { .. }));
        match place {
            Place::Due => {
                self.take_offers(now, from, source, offers, out);
                match kind {
                    Of::Advertise { more: true } => {}
                    Of::Advertise { more: false } => self.replace(now, from, source, out),
                    Of::Refresh => self.prolong(now, from, source),
                    Of::Withdraw => self.withdraw(now, from, source, &withdrawn, out),
                }
                self.telling.inbox.taken(&from);
            }
            Place::Repeated => {}
            Place::Gap => self.telling.subscriptions.gap(now, &from, self.config.feed_every),
        }
        self.telling.inbox.next(&from, feed)
    }

    fn take_offers(&mut self, now: Time, from: NodeId, source: Source, offers: Vec<Offered>, out: &mut Vec<Effect>) {
        let mut lies: Vec<(Option<Flavour>, String)> = Vec::new();
        let mut places = Vec::new();
        for offer in offers {
            match (source, offer) {
                (Source::Owner(bearer), Offered::Direct(flavour)) => {
                    let home = self.border.home();
                    match believing::doubt(&flavour, &from, bearer, &home, self.config.offer_bytes) {
                        None => self.take_candidate(now, from, *flavour, self.most_of(bearer), out),
                        Some(why) => lies.push((Some(*flavour), why)),
                    }
                }
                (Source::Catalogue, Offered::Signed(signed)) => match self.open(now, &signed) {
                    Ok(flavour) => self.take_candidate(now, from, flavour, self.config.feed_offers, out),
                    Err(why) => lies.push((signed.claimed().map(|claimed| claimed.flavour.clone()), why)),
                },
                (Source::Publisher(domain), Offered::Signed(signed)) => {
                    match self.telling.catalogue.put(now, &from, &domain, *signed, &self.config) {
                        Ok(place) => {
                            self.telling.inbox.told(&from, (Some(place.0), place.1));
                            places.push(place);
                        }
                        Err(Unkept::Lie) => {
                            lies.push((None, "it is not its sender's own, and signed by it".to_owned()))
                        }
                        Err(Unkept::Old | Unkept::Full) => {}
                    }
                }
                (Source::Owner(_), Offered::Signed(_)) => {
                    lies.push((None, "it is signed as if for a catalogue".to_owned()));
                }
                (Source::Catalogue | Source::Publisher(_), Offered::Direct(flavour)) => {
                    lies.push((Some(*flavour), "it is not signed".to_owned()));
                }
            }
        }
        self.disbelieve(now, from, lies, false, out);
        self.shelved(now, &places);
    }

    fn take_candidate(&mut self, now: Time, from: NodeId, flavour: Flavour, most: usize, out: &mut Vec<Effect>) {
        let key = (flavour.provider.node, flavour.id);
        if !self.telling.inbox.has_room(&from, &(None, key), most) {
            return;
        }
        self.hear(now, from, flavour, out);
        if self.is_via(&key, &from) {
            self.telling.inbox.told(&from, (None, key));
        }
    }

    /// Returns how many offers one sender may have here.
    const fn most_of(&self, bearer: Bearer) -> usize {
        match bearer {
            Bearer::Neighbour | Bearer::Nobody => self.config.candidates_per_provider,
            Bearer::Supernode | Bearer::Partner(_) => self.config.candidates_per_supernode,
        }
    }

    /// A snapshot is whole: what its sender told before and does not tell in it holds no more.
    fn replace(&mut self, now: Time, from: NodeId, source: Source, out: &mut Vec<Effect>) {
        let mut gone: BTreeSet<Told> = self.telling.inbox.whole(&from).into_iter().collect();
        if matches!(source, Source::Owner(_)) {
            // It may have told of some in a life before this one, or in an answer to a question.
            let told: BTreeSet<Told> = self.telling.inbox.all(&from).copied().collect();
            gone.extend(self.index.of_provider(&from).map(|key| (None, key)).filter(|offer| !told.contains(offer)));
        }
        self.drop_told(now, &from, gone, out);
    }

    /// What its sender has told holds on, for as long as it was said to, counted from now.
    fn prolong(&mut self, now: Time, from: NodeId, source: Source) {
        if !self.telling.inbox.prolongs(now, &from) {
            return;
        }
        match source {
            Source::Owner(_) => {
                let told: Vec<OfferKey> = self.telling.inbox.all(&from).map(|(_, key)| *key).collect();
                for key in told {
                    self.hear_again(now, from, key);
                }
            }
            // A signature says itself for how long it is to be believed.
            Source::Catalogue => {}
            Source::Publisher(_) => {
                let told: Vec<Shelved> =
                    self.telling.inbox.all(&from).filter_map(|(viewer, key)| Some(((*viewer)?, *key))).collect();
                for place in &told {
                    self.telling.catalogue.prolong(now, place);
                }
            }
        }
    }

    fn hear_again(&mut self, now: Time, from: NodeId, key: OfferKey) {
        let Some(offer) = self.index.offer(&key) else { return };
        if offer.heard.is_none_or(|heard| heard.via != from) {
            return;
        }
        let (epoch, life) = (offer.flavour.epoch, offer.flavour.expires_in.min(self.config.longest_life));
        // What had lapsed was not shown any more.
        if offer.heard.is_some_and(|heard| heard.expires <= now) {
            self.telling.changed(key);
        }
        let heard = Heard { seen: now, via: from, expires: now + life };
        self.index.prolong(&key, heard);
        self.saving.heard(now, key, epoch, &heard, self.config.save_every);
    }

    fn withdraw(&mut self, now: Time, from: NodeId, source: Source, withdrawn: &[Withdrawn], out: &mut Vec<Effect>) {
        let gone: Vec<Told> = match source {
            Source::Owner(_) => withdrawn.iter().map(|name| (None, (from, name.flavour))).collect(),
            Source::Publisher(_) => withdrawn.iter().map(|name| (name.viewer, (from, name.flavour))).collect(),
            // The name does not say whose it is; a catalogue's word counts for what it has told.
            Source::Catalogue => {
                let names: BTreeSet<FlavourId> = withdrawn.iter().map(|name| name.flavour).collect();
                self.telling.inbox.all(&from).filter(|(_, (_, id))| names.contains(id)).copied().collect()
            }
        };
        self.drop_told(now, &from, gone, out);
    }

    /// Drops what a sender has told, where it is still its word that counts.
    pub(super) fn drop_told(
        &mut self,
        now: Time,
        from: &NodeId,
        told: impl IntoIterator<Item = Told>,
        out: &mut Vec<Effect>,
    ) {
        let (mut candidates, mut places) = (Vec::new(), Vec::new());
        for (viewer, key) in told {
            self.telling.inbox.untold(from, &(viewer, key));
            match viewer {
                Some(viewer) => {
                    let place = (viewer, key);
                    if self.telling.catalogue.remove(&place) {
                        places.push(place);
                    }
                }
                None if self.is_via(&key, from) => candidates.push(key),
                None => {}
            }
        }
        self.drop_all(candidates, out);
        self.shelved(now, &places);
    }

    fn is_via(&self, key: &OfferKey, from: &NodeId) -> bool {
        self.index.offer(key).is_some_and(|offer| offer.heard.is_some_and(|heard| heard.via == *from))
    }
}

impl From<Advertise> for Message {
    fn from(Advertise { feed, number, offers, more, .. }: Advertise) -> Self {
        Self { feed, number, offers, withdrawn: Vec::new(), kind: Of::Advertise { more } }
    }
}

impl From<Refresh> for Message {
    fn from(Refresh { feed, number, offers, .. }: Refresh) -> Self {
        Self { feed, number, offers, withdrawn: Vec::new(), kind: Of::Refresh }
    }
}

impl From<Withdraw> for Message {
    fn from(Withdraw { feed, number, offers, .. }: Withdraw) -> Self {
        Self { feed, number, offers: Vec::new(), withdrawn: offers, kind: Of::Withdraw }
    }
}
