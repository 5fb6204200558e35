//! What nodes of one domain tell each other of its partners: a supernode tells every member that comes, and all that
//! are here at each change. So its supernodes come to believe the same, and its plain nodes know whose word counts.

use kernel::{DomainKey, NodeId, Ticket, Time};
use rear_proto::{
    Answer, Extensions, Refusal, Request, door::MAX_PARTNERS, flavour::Party, membership::Role, message::Partners,
    partner::PartnerRecord, wire::codec,
};

use super::{Asked, Manager};
use crate::{authorise::not_a_member, mail::Effect, timers::Timer};

/// The most bytes of partners in one message: what a request may have, less its envelope.
const MAX_BYTES: usize = rear_proto::wire::frame::MAX_REQUEST as usize - (4 << 10);

impl Manager {
    /// Something of a partner is new: the own domain's nodes are told, at most one round in a while.
    pub(super) fn share_soon(&mut self, now: Time, domain: DomainKey, out: &mut Vec<Effect>) {
        if self.role == Role::Supernode {
            self.unshared.insert(domain);
            self.share(now, out);
        }
    }

    /// Tells the own domain's nodes that are here what is new.
    pub(super) fn share(&mut self, now: Time, out: &mut Vec<Effect>) {
        let next = self.last_shared.map(|last| last + self.config.spread_every);
        if let Some(next) = next
            && next > now
        {
            self.timers.set(Timer::Share, next);
            return;
        }
        self.last_shared = Some(now);
        self.timers.cancel(Timer::Share);
        let changed = std::mem::take(&mut self.unshared);
        let records: Vec<PartnerRecord> =
            changed.iter().filter_map(|domain| self.partners.get(domain)).map(|partner| partner.record()).collect();
        let here: Vec<NodeId> =
            self.peers.keys().filter(|node| self.is_here(node) && self.is_live(now, node)).copied().collect();
        for node in here {
            self.tell_partners(node, &records, out);
        }
    }

    fn is_here(&self, node: &NodeId) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.told.is_some())
    }

    /// Tells a member all that is known of partners.
    pub(super) fn share_with(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        self.timers.cancel(Timer::ShareWith(node));
        if self.role != Role::Supernode || !self.is_here(&node) || !self.is_live(now, &node) {
            return;
        }
        let records: Vec<PartnerRecord> = self.partners.iter().map(|(_, partner)| partner.record()).collect();
        self.tell_partners(node, &records, out);
    }

    /// A member has heard who this node is: if it took no note of partners for not knowing that, it is told at once.
    pub(super) fn share_anew(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) {
        if self.peers.get(&node).is_some_and(|peer| peer.unnoted > 0) {
            self.share_with(now, node, out);
        }
    }

    fn tell_partners(&mut self, node: NodeId, records: &[PartnerRecord], out: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get(&node) else { return };
        let to = Party { node, addresses: peer.addresses.to_vec() };
        for partners in letters(records) {
            let request = Request::Partners(Partners { partners, extensions: Extensions::new() });
            self.ask(Asked::Partners(node), to.clone(), request, out);
        }
    }

    /// A member has taken note, or is told again later.
    pub(super) fn partners_noted(&mut self, now: Time, node: NodeId, answer: &Result<Answer, Refusal>) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if matches!(answer, Ok(Answer::Noted)) {
            peer.unnoted = 0;
            return;
        }
        let wait = self.config.hello_retry.times(1 << peer.unnoted.min(super::hello::DOUBLINGS));
        peer.unnoted = peer.unnoted.saturating_add(1);
        self.timers.set_later(Timer::ShareWith(node), now, now + wait);
    }

    /// A supernode of the own domain tells of partners: the later word on each counts.
    pub(super) fn told_partners(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        told: Partners,
        out: &mut Vec<Effect>,
    ) {
        let is_ours =
            self.is_live(now, &from) && self.members.get(&from).is_some_and(|member| member.role() == Role::Supernode);
        if !is_ours {
            out.push(Effect::Reply { ticket, answer: not_a_member().into() });
            return;
        }
        let own = self.charter.as_ref().map(|charter| charter.domain().key);
        for record in told.partners.into_iter().take(MAX_PARTNERS) {
            let Some(domain) = record.list.claimed().map(|list| list.domain.key) else { continue };
            if Some(domain) == own || (self.partners.get(&domain).is_none() && !self.make_room_for_partner(out)) {
                continue;
            }
            let before = self.partners.get(&domain).map(|partner| partner.state);
            if let Some(domain) = self.partners.merge(record, now) {
                self.partner_changed(now, domain, out);
                // Its supernodes are told whether it may use what is ours.
                if self.partners.get(&domain).map(|partner| partner.state) != before {
                    self.spread(now, out);
                }
            }
        }
        out.push(Effect::Reply { ticket, answer: Answer::Noted });
    }
}

/// Divides records into messages that are small enough.
fn letters(records: &[PartnerRecord]) -> Vec<Vec<PartnerRecord>> {
    let mut letters: Vec<Vec<PartnerRecord>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let size = codec::size(record);
        match letters.last_mut() {
            Some(letter) if letter.len() < MAX_PARTNERS && bytes + size <= MAX_BYTES => {
                letter.push(record.clone());
                bytes += size;
            }
            Some(_) | None => {
                letters.push(vec![record.clone()]);
                bytes = size;
            }
        }
    }
    letters
}
