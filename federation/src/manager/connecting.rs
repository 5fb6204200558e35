//! To whom connections are kept: the domain's own supernodes first, at every node; at a supernode then partners'
//! supernodes and catalogues; then others of the domain. Each kind has its own room, so none crowds out another.

use kernel::{DomainKey, NodeId};
use rear_proto::{door::MAX_SUPERNODES, flavour::Party, membership::Role, signed::alike};

use super::{Manager, bounded};
use crate::{
    mail::Effect,
    roll::{Addresses, Member},
};

/// The most supernodes of one partner that are dialled by its description: any of them will do, and a few may be off.
const OF_EACH_PARTNER: usize = 8;

/// A node that the transport was told to keep connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    addresses: Addresses,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OwnSupernode,
    Abroad,
    Other,
}

impl Manager {
    /// Has a connection kept to a node, while there are not too many of its kind.
    pub(super) fn keep_connected(&mut self, party: Party, out: &mut Vec<Effect>) {
        let Party { node, addresses } = party;
        if addresses.is_empty() || node == self.me || self.is_blocked(&node) || self.is_revoked(&node) {
            return;
        }
        let kept = Kept { addresses: alike::list(addresses), kind: self.kind_of(&node) };
        let known = self.kept.get(&node);
        if known == Some(&kept) {
            return;
        }
        let most = match kept.kind {
            Kind::OwnSupernode => MAX_SUPERNODES,
            Kind::Abroad => self.config.keep_abroad,
            Kind::Other => self.config.keep_connected,
        };
        let has_room = known.is_some_and(|known| known.kind == kept.kind)
            || self.kept.values().filter(|other| other.kind == kept.kind).count() < most;
        if !has_room {
            return;
        }
        let is_told = known.is_some_and(|known| known.addresses == kept.addresses);
        let addresses = kept.addresses.to_vec();
        self.kept.insert(node, kept);
        if !is_told {
            out.push(Effect::KeepConnected(Party { node, addresses }));
        }
    }

    fn kind_of(&self, node: &NodeId) -> Kind {
        let described = self.charter.as_ref().and_then(|charter| charter.described());
        let is_described = || {
            described.is_some_and(|descriptor| descriptor.supernodes.iter().any(|supernode| supernode.node == *node))
        };
        match self.members.get(node).map(Member::role) {
            Some(Role::Supernode) => Kind::OwnSupernode,
            Some(Role::Node | Role::Catalogue) => Kind::Other,
            None if is_described() => Kind::OwnSupernode,
            None if self.is_near(node) => Kind::Abroad,
            None => Kind::Other,
        }
    }

    /// Keeps connections to the own domain's supernodes, as it describes itself.
    pub(super) fn keep_supernodes(&mut self, out: &mut Vec<Effect>) {
        let Some(descriptor) = self.charter.as_ref().and_then(|charter| charter.described()) else { return };
        for party in descriptor.supernodes.clone() {
            self.keep_connected(Party { addresses: bounded(party.addresses), ..party }, out);
        }
    }

    /// Keeps connections to the catalogues that this supernode was told to use.
    pub(super) fn keep_catalogues(&mut self, out: &mut Vec<Effect>) {
        if self.role != Role::Supernode {
            return;
        }
        let mut catalogues = std::collections::BTreeMap::<NodeId, Vec<String>>::new();
        for catalogue in &self.config.catalogues {
            catalogues.entry(catalogue.node).or_default().push(catalogue.address.clone());
        }
        for (node, addresses) in catalogues {
            self.keep_connected(Party { node, addresses: bounded(addresses) }, out);
        }
    }

    /// Forgets that connections are kept to the supernodes of a domain that is no partner any longer.
    pub(super) fn let_go(&mut self, domain: &DomainKey) {
        let Some(partner) = self.partners.get(domain) else { return };
        for party in self.supernodes_of(domain, partner) {
            if self.kept.get(&party.node).is_some_and(|kept| kept.kind == Kind::Abroad) {
                self.kept.remove(&party.node);
            }
        }
    }

    /// Keeps connections to a partner's supernodes.
    pub(super) fn keep_partner(&mut self, domain: &DomainKey, out: &mut Vec<Effect>) {
        if self.role != Role::Supernode {
            return;
        }
        let Some(partner) = self.partners.get_live(domain) else { return };
        let mut supernodes = self.supernodes_of(domain, partner);
        supernodes.retain(|party| !party.addresses.is_empty());
        // Those that have proven themselves come first.
        supernodes.sort_by_key(|party| !self.foreign.contains_key(&party.node));
        for party in supernodes.into_iter().take(OF_EACH_PARTNER) {
            self.keep_connected(party, out);
        }
    }
}
