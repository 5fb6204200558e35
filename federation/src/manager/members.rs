//! Members: who has proven to be one, who is here, and who is one no longer.

use kernel::{NodeId, Time};
use rear_proto::{
    Row, Signed, Table,
    flavour::Party,
    local::Realm,
    membership::{Certificate, Role},
};

use super::{Manager, Member, Told};
use crate::{mail::Effect, record, timers::Timer};

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
        if !self.members.contains_key(&node) && !self.make_room(out) {
            return false;
        }
        let fresh = || Member {
            certificate: certificate.clone(),
            role: proven.role,
            expires: proven.expires,
            addresses: Vec::new(),
            last_heard: None,
        };
        let is_new = !self.members.contains_key(&node);
        let member = self.members.entry(node).or_insert_with(fresh);
        // The certificate that lasts longer is the later one.
        let is_fresher = proven.expires > member.expires;
        if is_fresher {
            *member =
                Member { addresses: std::mem::take(&mut member.addresses), last_heard: member.last_heard, ..fresh() };
        }
        let has_moved = !addresses.is_empty() && addresses != member.addresses;
        if has_moved {
            member.addresses = addresses;
        }
        if is_new || is_fresher || has_moved {
            out.push(Effect::Keep(record::member(&node, &member.certificate, &member.addresses)));
            self.timers.set(Timer::MemberEnds(node), member.expires);
        }
        self.settle(now, node, out);
        true
    }

    /// Makes room for one more member; `false` where all that are known are connected.
    fn make_room(&mut self, out: &mut Vec<Effect>) -> bool {
        if self.members.len() < self.config.members {
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
        self.timers.cancel(Timer::MemberEnds(*node));
        out.push(Effect::Keep(Row::drop(Table::Members, node.as_bytes())));
    }

    /// Tells the others how it is with a node: here or not, as what, and where it belongs. Says nothing twice.
    pub(super) fn settle(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        let (said, role, realm) = match (self.members.get(&node), self.foreign.get(&node)) {
            (Some(member), _) if self.is_live(now, &node) => {
                let realm = if member.role == Role::Catalogue { Realm::Catalogue } else { Realm::Own };
                (&member.addresses, member.role, realm)
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
        let here = Told { addresses: addresses.clone(), role, realm };
        let is_new = peer.told.is_none();
        let party = Party { node, addresses: here.addresses.clone() };
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
        match charter.verify(&member.certificate, &node, now) {
            Ok(proven) => {
                self.timers.set(Timer::MemberEnds(node), proven.expires);
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
