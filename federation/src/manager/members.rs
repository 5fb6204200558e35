//! Members: who has proven to be one, who is here, and who is one no longer.

use std::sync::Arc;

use kernel::{NodeId, Time};
use rear_proto::{
    Row, Signed, Table,
    flavour::Party,
    local::Realm,
    membership::{Certificate, Role},
    signed::alike,
};

use super::{Manager, Told};
use crate::{
    mail::Effect,
    record,
    roll::{Addresses, Member},
    timers::Timer,
};

impl Manager {
    /// Takes in a certificate that a node has shown, and where it says that it is; returns whether it is a
    /// member in good standing.
    pub(super) fn admit(
        &mut self,
        now: Time,
        node: NodeId,
        certificate: &Signed<Certificate>,
        addresses: Vec<String>,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(charter) = &self.charter else { return false };
        if node == self.me || charter.is_revoked(&node) || self.is_blocked(&node) {
            return false;
        }
        let Ok(proven) = charter.verify(certificate, &node, now) else { return self.is_live(now, &node) };
        if !self.members.contains(&node) && !self.make_room(out) {
            return false;
        }
        let is_new = !self.members.contains(&node);
        if is_new {
            let Some(fresh) = Member::new(certificate, proven.expires, Addresses::default()) else { return false };
            self.members.put(fresh);
        }
        let Some(member) = self.members.get_mut(&node) else { return false };
        // The certificate that lasts longer is the later one.
        let is_fresher = proven.expires > member.expires;
        if is_fresher && let Some(fresh) = Member::new(certificate, proven.expires, Addresses::default()) {
            member.renew(fresh);
        }
        let has_moved = !addresses.is_empty() && addresses != *member.addresses;
        if has_moved {
            member.addresses = alike::list(addresses);
        }
        if is_new || is_fresher || has_moved {
            out.push(Effect::Keep(record::member(&node, member.certificate(), &member.addresses)));
            self.timers.set_by(Timer::MembersEnd, member.expires);
        }
        self.settle(now, node, out);
        true
    }

    /// Makes room for one more member; `false` where all that are known are connected.
    fn make_room(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.members.count() < self.config.members {
            return true;
        }
        let away = self.members.iter().filter(|(node, _)| !self.peers.contains_key(node));
        let Some(node) = away.min_by_key(|(node, member)| (member.expires, **node)).map(|(node, _)| *node) else {
            return false;
        };
        self.forget(&node, out);
        true
    }

    fn forget(&mut self, node: &NodeId, out: &mut Vec<Effect>) {
        self.members.remove(node);
        self.kept.remove(node);
        out.push(Effect::Keep(Row::drop(Table::Members, node.as_bytes())));
    }

    /// Tells the others how it is with a node: here or not, as what, and where it belongs. Says nothing twice.
    pub(super) fn settle(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let (said, role, realm) = match (self.members.get(&node), self.foreign.get(&node)) {
            (Some(member), _) if self.is_live(now, &node) => {
                let realm = if member.role() == Role::Catalogue { Realm::Catalogue } else { Realm::Own };
                (&member.addresses, member.role(), realm)
            }
            (_, Some(foreign)) => match self.realm(now, &node, foreign) {
                Some(realm) => (&foreign.addresses, foreign.role, realm),
                None => return,
            },
            (Some(_) | None, None) => return,
        };
        let Some(peer) = self.peers.get_mut(&node) else { return };
        // Where a connection came from is no address to dial; where the node itself says that it is, is one.
        let is_dialable = !said.is_empty();
        let addresses = if is_dialable { said } else { &peer.addresses };
        let as_told = |told: &Told| told.addresses == *addresses && told.role == role && told.realm == realm;
        if peer.told.as_ref().is_some_and(as_told) {
            return;
        }
        let here = Told { addresses: Arc::clone(addresses), role, realm };
        let is_new = peer.told.is_none();
        let party = Party { node, addresses: here.addresses.to_vec() };
        peer.told = Some(here);
        out.push(Effect::MemberUp { party: party.clone(), role, realm });
        if matches!(realm, Realm::Partner(_)) || !self.is_live(now, &node) {
            return;
        }
        if is_dialable {
            self.keep_connected(party, out);
        }
        self.issuer_is_here(now, &node);
        if is_new {
            self.share_with(now, node, out);
        }
    }

    /// Looks whether a member still is one, by its certificate and the newest list.
    pub(super) fn reconsider(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let (Some(charter), Some(member)) = (&self.charter, self.members.get(&node)) else { return };
        match charter.verify(member.certificate(), &node, now) {
            Ok(proven) => {
                self.timers.set_by(Timer::MembersEnd, proven.expires);
                if let Some(member) = self.members.get_mut(&node) {
                    member.expires = proven.expires;
                }
            }
            Err(_) => {
                let was_live = !charter.is_revoked(&node);
                self.forget(&node, out);
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.told = None;
                }
                if was_live {
                    out.push(Effect::MemberGone { node, removed: false });
                }
            }
        }
    }

    /// The certificates of members have ended: they may have been renewed.
    pub(super) fn members_end(&mut self, now: Time, out: &mut Vec<Effect>) {
        let ended = self.members.iter().filter(|(_, member)| member.expires <= now);
        let ended: Vec<NodeId> = ended.map(|(node, _)| *node).collect();
        for node in ended {
            self.reconsider(now, node, out);
        }
        if let Some(next) = self.members.iter().map(|(_, member)| member.expires).min() {
            self.timers.set_later(Timer::MembersEnd, now, next);
        }
    }

    /// Takes in that a node was removed, until its certificate would have ended.
    pub(super) fn removed(&mut self, node: NodeId, until: Time, out: &mut Vec<Effect>) {
        out.push(Effect::Keep(record::revoked(&node, Some(until))));
        self.timers.set(Timer::RevocationEnds(node), until);
        if node == self.me {
            return;
        }
        self.kept.remove(&node);
        self.timers.cancel(Timer::Hello(node));
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.told = None;
        }
        out.push(Effect::MemberGone { node, removed: true });
    }

    pub(super) fn revocation_ends(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        if let Some(charter) = &mut self.charter {
            charter.forget(&node);
            out.push(Effect::Keep(record::revoked(&node, None)));
        }
        // Its certificate has ended too, so there is nothing that it could come back with but a new one.
        self.reconsider(now, node, out);
    }
}
