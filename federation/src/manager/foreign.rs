//! Nodes of other domains: partners' supernodes and catalogues, which this supernode deals with, and visitors at a
//! catalogue. Who of a partner is let in hangs on the partner's own word, as it is known here.

use std::sync::Arc;

use kernel::{DomainKey, NodeId, Time};
use rear_proto::{
    Extensions, Row, Signed,
    door::{MAX_ADDRESSES, MAX_SUPERNODES},
    flavour::Party,
    local::{Caller, Realm},
    membership::{self, Certificate, Role},
    message::Hello,
    signed::alike,
};

use super::{Manager, bounded};
use crate::{
    mail::{Effect, PartnerView},
    partners::{self, Partner},
    record::{self, ForeignRecord},
    roll::Addresses,
    timers::Timer,
};

/// The extension of HELLO that tells a partner whether it may use what is exposed to it: one byte, 1 or 0.
const IS_ON: u16 = 4;

/// The most pieces of news that a partner may have of itself within the window of rates: a domain that describes itself
/// anew each second has as many, and each takes up to 200 KiB in the ledger and in a message to every member.
pub(super) const NEWS: u32 = 20;

/// A node of another domain that has proven itself.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub(super) domain: DomainKey,
    pub(super) certificate: Signed<Certificate>,
    pub(super) role: Role,
    pub(super) expires: Time,
    pub(super) addresses: Addresses,
}

impl Foreign {
    fn record(&self) -> ForeignRecord {
        ForeignRecord { certificate: self.certificate.clone(), addresses: self.addresses.to_vec() }
    }
}

impl Manager {
    /// Returns who a node is, and its role in its domain.
    pub(crate) fn caller(&self, now: Time, node: &NodeId) -> (Caller, Role) {
        if let Some(member) = self.members.get(node).filter(|_| self.is_live(now, node)) {
            return (Caller::Member(member.role()), member.role());
        }
        match self.foreign.get(node).and_then(|foreign| Some((foreign, self.realm(now, node, foreign)?))) {
            Some((foreign, Realm::Partner(domain))) => {
                let on = self.partners.get(&domain).is_some_and(Partner::is_on);
                return (Caller::Partner { domain, on }, foreign.role);
            }
            Some((foreign, Realm::Catalogue)) => {
                return (Caller::Visitor { domain: foreign.domain }, foreign.role);
            }
            Some((_, Realm::Own)) | None => {}
        }
        match self.visitors.get(node).filter(|visitor| visitor.until > now) {
            Some(visitor) => (Caller::Visitor { domain: visitor.domain }, visitor.role),
            None => (Caller::Stranger, Role::Node),
        }
    }

    /// Returns where a node of another domain belongs; `None` where this node has nothing to do with it.
    pub(super) fn realm(&self, now: Time, node: &NodeId, foreign: &Foreign) -> Option<Realm> {
        if self.role != Role::Supernode || foreign.expires <= now {
            return None;
        }
        match foreign.role {
            Role::Supernode => self.partners.get_live(&foreign.domain).map(|_| Realm::Partner(foreign.domain)),
            Role::Catalogue => self.is_configured(node).then_some(Realm::Catalogue),
            Role::Node => None,
        }
    }

    fn is_configured(&self, node: &NodeId) -> bool {
        self.config.catalogues.iter().any(|catalogue| catalogue.node == *node)
    }

    /// Returns the partner that a node is a supernode of, as it has proven or as the partner says.
    fn partner_of(&self, node: &NodeId) -> Option<&Partner> {
        if self.role != Role::Supernode {
            return None;
        }
        match self.foreign.get(node) {
            Some(foreign) => self.partners.get_live(&foreign.domain).filter(|_| foreign.role == Role::Supernode),
            None => self.partners.live().map(|(_, partner)| partner).find(|partner| partner.names(node)),
        }
    }

    /// Says whether a node of another domain is to know where this one is.
    pub(super) fn is_near(&self, node: &NodeId) -> bool {
        self.role == Role::Supernode && (self.is_configured(node) || self.partner_of(node).is_some())
    }

    /// Returns what a node of another domain is told in HELLO beyond what every stranger is.
    pub(super) fn asides(&self, to: &NodeId) -> Extensions {
        let mut extensions = Extensions::new();
        if self.is_near(to) || self.visitors.get(to).is_some() {
            extensions.insert(super::hello::LIFE, self.life.to_vec());
        }
        if let Some(partner) = self.partner_of(to) {
            extensions.insert(IS_ON, vec![u8::from(partner.is_on())]);
        }
        extensions
    }

    /// Takes in what a node says that is no member.
    pub(super) fn learn_abroad(&mut self, now: Time, from: NodeId, hello: &Hello, out: &mut Vec<Effect>) {
        let Some(credentials) = &hello.credentials else { return };
        let Some(domain) = credentials.list.claimed().map(|list| list.domain.key) else { return };
        let is_own = self.charter.as_ref().is_some_and(|charter| charter.domain().key == domain);
        if is_own || self.is_blocked(&from) || from == self.me {
            return;
        }
        match self.role {
            Role::Node => {}
            Role::Catalogue => {
                // A connection that is gone takes its visitor with it.
                if self.peers.contains_key(&from) {
                    let descriptor = hello.descriptor.as_ref();
                    self.visitors.greet(now, from, credentials, descriptor, self.config.visitors);
                }
            }
            Role::Supernode => {
                let proven = if self.partners.get_live(&domain).is_some() {
                    self.learn_partner(now, &from, &domain, hello, out)
                } else if self.is_configured(&from) {
                    credentials.verify(&domain, &from, now).ok()
                } else {
                    None
                };
                if let Some(proven) = proven {
                    let addresses = bounded(hello.addresses.clone());
                    self.admit_abroad(now, from, &credentials.certificate, &proven, addresses, out);
                    self.hear(now, &from, &hello.extensions);
                }
            }
        }
    }

    /// Takes in what a partner's node says of its domain; returns what it has proven to be.
    fn learn_partner(
        &mut self,
        now: Time,
        from: &NodeId,
        domain: &DomainKey,
        hello: &Hello,
        out: &mut Vec<Effect>,
    ) -> Option<membership::Member> {
        let credentials = hello.credentials.as_ref()?;
        let charter = &mut self.partners.get_mut(domain)?.charter;
        let is_known = credentials.list == *charter.list()
            && hello.descriptor.as_ref().is_none_or(|descriptor| charter.descriptor() == Some(descriptor));
        // News is kept, and passed on to the whole domain: whoever has some all the time is heard again a while later.
        if !is_known && let Err(after) = self.news.admit(now, &NodeId(domain.0)) {
            self.timers.set_later(Timer::Hello(*from), now, now + after);
            return charter.verify(&credentials.certificate, from, now).ok();
        }
        let mut is_news = partners::is_short(&credentials.list) && charter.learn_list(&credentials.list, now);
        let proven = charter.verify(&credentials.certificate, from, now).ok();
        if let (Some(_), Some(descriptor)) = (&proven, &hello.descriptor) {
            is_news |= partners::learn_descriptor(charter, descriptor, now);
        }
        if is_news {
            self.partner_changed(now, *domain, out);
        }
        proven
    }

    /// Notes what a partner's supernode says of the partnership.
    fn hear(&mut self, now: Time, from: &NodeId, extensions: &Extensions) {
        let Some(foreign) = self.foreign.get(from).filter(|foreign| foreign.role == Role::Supernode) else { return };
        let Some(partner) = self.partners.get_mut(&foreign.domain) else { return };
        partner.last_heard = Some(now);
        match extensions.get(&IS_ON).map(Vec::as_slice) {
            Some([1]) => partner.theirs = Some(true),
            Some([0]) => partner.theirs = Some(false),
            Some(_) | None => {}
        }
    }

    /// Notes that a node was heard, whatever it said: the agent tells it for each message of a partner.
    pub fn heard(&mut self, now: Time, node: &NodeId) {
        if let Some(foreign) = self.foreign.get(node)
            && let Some(partner) = self.partners.get_mut(&foreign.domain)
        {
            partner.last_heard = Some(now);
        }
    }

    /// Takes in a node of another domain by what was verified of it.
    pub(super) fn admit_abroad(
        &mut self,
        now: Time,
        node: NodeId,
        certificate: &Signed<Certificate>,
        proven: &membership::Member,
        addresses: Vec<String>,
        out: &mut Vec<Effect>,
    ) {
        let domain = proven.domain.key;
        let is_revoked = self.partners.get(&domain).is_some_and(|partner| partner.charter.is_revoked(&node));
        let mut fresh = Foreign {
            domain,
            certificate: certificate.clone(),
            role: proven.role,
            expires: proven.expires,
            addresses: Addresses::default(),
        };
        if is_revoked || self.is_live(now, &node) {
            return;
        }
        if self.realm(now, &node, &fresh).is_none() {
            // Its later certificate may make less of it.
            if self.foreign.get(&node).is_some_and(|known| known.expires < fresh.expires) {
                self.forget_abroad(&node, out);
                self.announce(out);
            }
            return;
        }
        if !self.foreign.contains_key(&node) && !self.make_room_abroad(&domain, out) {
            return;
        }
        if let Some(known) = self.foreign.get(&node) {
            fresh.addresses = Arc::clone(&known.addresses);
            // The certificate that lasts longer is the later one.
            if known.domain == domain && known.expires >= fresh.expires {
                fresh.certificate = known.certificate.clone();
                (fresh.role, fresh.expires) = (known.role, known.expires);
            }
        }
        if !addresses.is_empty() {
            fresh.addresses = alike::list(addresses);
        }
        let before = self.foreign.get(&node);
        let is_new = before.is_none_or(|known| known.record() != fresh.record());
        let (is_partner, expires) = (fresh.role == Role::Supernode, fresh.expires);
        let said = Party { node, addresses: fresh.addresses.to_vec() };
        if is_new && is_partner {
            out.push(Effect::Keep(record::foreign(&node, Some(&fresh.record()))));
        }
        self.foreign.insert(node, fresh);
        self.timers.set(Timer::ForeignEnds(node), expires);
        self.settle(now, node, out);
        if !is_new {
            return;
        }
        if is_partner {
            self.announce(out);
            self.keep_partner(&domain, out);
        } else {
            self.keep_connected(said, out);
        }
    }

    /// Makes room for one more supernode of a partner; `false` where all of them are connected.
    fn make_room_abroad(&mut self, domain: &DomainKey, out: &mut Vec<Effect>) -> bool {
        let known = || self.foreign.iter().filter(|(_, foreign)| foreign.domain == *domain);
        if known().count() < MAX_SUPERNODES {
            return true;
        }
        let away = known().filter(|(node, _)| !self.peers.contains_key(node));
        let Some(node) = away.min_by_key(|(node, foreign)| (foreign.expires, **node)).map(|(node, _)| *node) else {
            return false;
        };
        self.foreign.remove(&node);
        self.kept.remove(&node);
        self.timers.cancel(Timer::ForeignEnds(node));
        out.push(Effect::Keep(record::foreign(&node, None)));
        true
    }

    /// Looks which nodes of another domain still are what they were, by the newest that is known of it.
    pub(super) fn reconsider_abroad(&mut self, now: Time, domain: &DomainKey, out: &mut Vec<Effect>) {
        let nodes: Vec<NodeId> =
            self.foreign.iter().filter(|(_, foreign)| foreign.domain == *domain).map(|(node, _)| *node).collect();
        for node in nodes {
            if !self.is_good(now, &node) {
                self.forget_abroad(&node, out);
            }
        }
    }

    fn is_good(&self, now: Time, node: &NodeId) -> bool {
        let Some(foreign) = self.foreign.get(node) else { return false };
        let stands = match self.partners.get_live(&foreign.domain) {
            Some(partner) => {
                let charter = &partner.charter;
                !charter.is_revoked(node) && charter.verify(&foreign.certificate, node, now).is_ok()
            }
            None => true,
        };
        stands && !self.is_blocked(node) && self.realm(now, node, foreign).is_some()
    }

    fn forget_abroad(&mut self, node: &NodeId, out: &mut Vec<Effect>) {
        let Some(foreign) = self.foreign.remove(node) else { return };
        if foreign.role == Role::Supernode {
            out.push(Effect::Keep(record::foreign(node, None)));
        }
        self.kept.remove(node);
        self.timers.cancel(Timer::ForeignEnds(*node));
        if let Some(peer) = self.peers.get_mut(node) {
            peer.told = None;
        }
        // It is its own domain's to remove it for good; here it may prove itself anew.
        out.push(Effect::MemberGone { node: *node, removed: false });
    }

    /// The certificate of a node of another domain has ended; it may have a fresh one.
    pub(super) fn foreign_ends(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        if !self.is_good(now, &node) {
            self.forget_abroad(&node, out);
            self.announce(out);
            self.say_hello(now, node, out);
        }
    }

    /// Looks again at all that was kept of nodes of other domains, at the start.
    pub(super) fn recall_foreign(&mut self, now: Time, out: &mut Vec<Effect>) {
        let nodes: Vec<NodeId> = self.foreign.keys().copied().collect();
        for node in nodes {
            if self.is_good(now, &node) {
                if let Some(foreign) = self.foreign.get(&node) {
                    self.timers.set(Timer::ForeignEnds(node), foreign.expires);
                }
            } else {
                self.foreign.remove(&node);
                out.push(Effect::Keep(record::foreign(&node, None)));
            }
        }
    }

    pub(super) fn restore_foreign(
        &mut self,
        node: NodeId,
        kept: ForeignRecord,
    ) -> Result<(), rear_proto::DamagedRecord> {
        let ForeignRecord { certificate, addresses } = kept;
        let table = rear_proto::Table::Partners;
        let claimed = certificate.claimed().ok_or_else(|| record::damaged(table, "it has no certificate"))?;
        let Certificate { domain, role, expires, .. } = *claimed;
        let addresses = alike::list(addresses);
        self.foreign.insert(node, Foreign { domain, certificate, role, expires, addresses });
        Ok(())
    }

    /// Returns a partner's supernodes, as it describes itself, and as they have said themselves.
    pub(super) fn supernodes_of(&self, domain: &DomainKey, partner: &Partner) -> Vec<Party> {
        let mut supernodes = std::collections::BTreeMap::new();
        for party in partner.charter.described().into_iter().flat_map(|descriptor| &descriptor.supernodes) {
            let is_out = partner.charter.is_revoked(&party.node) || self.is_blocked(&party.node);
            if !is_out && !self.is_anothers(domain, &party.node) {
                supernodes.insert(party.node, bounded(party.addresses.clone()));
            }
        }
        for (node, foreign) in self.foreign.iter().filter(|(_, foreign)| foreign.domain == *domain) {
            if foreign.role == Role::Supernode {
                let addresses = supernodes.entry(*node).or_default();
                // What it says itself comes first: it is the newer, mostly.
                let said: Vec<String> = foreign.addresses.to_vec();
                let described = std::mem::take(addresses);
                *addresses = said;
                addresses.extend(described.into_iter().filter(|one| !foreign.addresses.contains(one)));
                addresses.truncate(MAX_ADDRESSES);
            }
        }
        supernodes.into_iter().map(|(node, addresses)| Party { node, addresses }).collect()
    }

    /// Says whether a node belongs elsewhere than to this domain. A domain can describe anybody as its supernode, but not
    /// thereby say where others are to be found.
    fn is_anothers(&self, domain: &DomainKey, node: &NodeId) -> bool {
        let described = self.charter.as_ref().and_then(|charter| charter.described());
        let is_own = || {
            described.is_some_and(|descriptor| descriptor.supernodes.iter().any(|supernode| supernode.node == *node))
        };
        *node == self.me
            || self.members.contains(node)
            || self.foreign.get(node).is_some_and(|foreign| foreign.domain != *domain)
            || is_own()
    }

    /// Says whether a node is a member, or one of another domain that this node deals with.
    pub fn knows(&self, now: Time, node: &NodeId) -> bool {
        let is_near = |foreign: &Foreign| self.realm(now, node, foreign).is_some();
        self.is_live(now, node) || self.foreign.get(node).is_some_and(is_near)
    }

    pub(super) fn partner_view(&self, domain: &DomainKey, partner: &Partner) -> PartnerView {
        let is_here = |node: &NodeId| self.peers.get(node).is_some_and(|peer| peer.told.is_some());
        PartnerView {
            name: partner.name.clone(),
            domain: partner.charter.domain().clone(),
            state: partner.state,
            theirs: partner.theirs,
            last_heard: partner.last_heard,
            supernodes: self
                .supernodes_of(domain, partner)
                .into_iter()
                .map(|party| {
                    let here = is_here(&party.node);
                    (party, here)
                })
                .collect(),
        }
    }
}

/// Makes the rows that forget a partner for good.
pub(super) fn forgotten(domain: &DomainKey) -> Row {
    record::partner(domain, None)
}
