//! What an issuer does: lets newcomers in, renews certificates, describes the domain.

use std::collections::BTreeMap;

use kernel::{NodeId, Ticket, Time};
use rear_proto::{
    Answer, Code, Extensions, Refusal, Signed,
    door::MAX_SUPERNODES,
    flavour::Party,
    membership::{Certificate, Credentials, Role},
    message::{Join, Joined},
};

use super::Manager;
use crate::{
    authorise::not_a_member,
    genesis,
    mail::Effect,
    record,
    roll::Member,
    timers::Timer,
    tokens::{Admission, NO_SECRET},
};

impl Manager {
    pub(super) fn is_issuer(&self) -> bool {
        self.charter.as_ref().is_some_and(|charter| charter.is_issuer(&self.me))
    }

    /// A node asks to be let in, or as a member to have its certificate renewed.
    pub(super) fn asked_in(&mut self, now: Time, ticket: Ticket, from: NodeId, join: &Join, out: &mut Vec<Effect>) {
        let answer = match self.let_in(now, from, join, out) {
            Ok(certificate) => self.joined(now, &from, certificate),
            Err(refusal) => refusal.into(),
        };
        out.push(Effect::Reply { ticket, answer });
    }

    /// Certifies a node, if it may; strangers are told nothing of why they may not.
    fn let_in(
        &mut self,
        now: Time,
        from: NodeId,
        join: &Join,
        out: &mut Vec<Effect>,
    ) -> Result<Signed<Certificate>, Refusal> {
        if self.is_blocked(&from) {
            return Err(not_a_member());
        }
        if let Err(after) = self.joins.admit(now, &from) {
            let text = format!("over {} JOINs of one node in {}", self.config.joins, self.config.rate_window);
            return Err(Refusal::new(Code::Overloaded, text).retry_after(after));
        }
        if join.node != from || from == self.me || self.is_revoked(&from) {
            return Err(not_a_member());
        }
        let is_member = self.is_live(now, &from);
        if !self.is_issuer() {
            if is_member {
                return Err(Refusal::new(Code::Unavailable, format!("node {} issues no certificates", self.me)));
            }
            return Err(not_a_member());
        }
        if join.secret == NO_SECRET {
            return if is_member { self.renewed(now, from, out) } else { Err(not_a_member()) };
        }
        match self.tokens.admission(&join.secret, &from, now) {
            None => Err(not_a_member()),
            Some(Admission::Repeat(certificate)) => Ok(certificate),
            Some(Admission::Fresh(token, role)) => {
                let certificate = self.certify(now, from, role).ok_or_else(not_a_member)?;
                if !self.admit(now, from, &certificate, Vec::new(), out) {
                    let text = format!("this issuer knows {} members, and no room for more", self.config.members);
                    return Err(Refusal::new(Code::Overloaded, text));
                }
                if let Some(used) = self.tokens.use_up(&token, from, &certificate) {
                    out.push(Effect::Keep(record::token(&token, used)));
                }
                if role == Role::Supernode {
                    self.describe(now, out);
                }
                Ok(certificate)
            }
        }
    }

    /// Renews a member's certificate; one that is in the first half of its life is given again as it is.
    fn renewed(&mut self, now: Time, from: NodeId, out: &mut Vec<Effect>) -> Result<Signed<Certificate>, Refusal> {
        let member = self.members.get(&from).ok_or_else(not_a_member)?;
        let (role, known) = (member.role(), member.certificate().clone());
        if known.claimed().is_some_and(|certificate| now < super::renewing::half_life(certificate)) {
            return Ok(known);
        }
        let certificate = self.certify(now, from, role).ok_or_else(not_a_member)?;
        self.admit(now, from, &certificate, Vec::new(), out);
        Ok(certificate)
    }

    /// Makes a certificate; nothing is certified for longer than this node is an issuer.
    pub(super) fn certify(&self, now: Time, node: NodeId, role: Role) -> Option<Signed<Certificate>> {
        let charter = self.charter.as_ref()?;
        let expires = (now + self.config.certificate_life).min(charter.issuers().expires);
        Some(genesis::certificate(charter.domain().key, node, role, &self.signer, now, expires))
    }

    fn joined(&self, now: Time, newcomer: &NodeId, certificate: Signed<Certificate>) -> Answer {
        let Some(charter) = &self.charter else { return not_a_member().into() };
        // Those that are here come first.
        let others = || self.members.iter().filter(|(node, _)| *node != newcomer && self.is_live(now, node));
        let here = others().filter(|(node, _)| self.peers.contains_key(node));
        let away = others().filter(|(node, _)| !self.peers.contains_key(node));
        let peers = here
            .chain(away)
            .filter(|(_, member)| !member.addresses.is_empty())
            .map(|(node, member)| Party { node: *node, addresses: member.addresses.to_vec() })
            .take(self.config.peers.min(rear_proto::door::MAX_PEERS))
            .collect();
        // What supernodes share is for them alone.
        let is_supernode = certificate.claimed().is_some_and(|certificate| certificate.role == Role::Supernode);
        let secret = self.secret.as_ref().filter(|_| is_supernode);
        let extensions: Extensions = secret.map(|secret| (genesis::SECRET, secret.0.to_vec())).into_iter().collect();
        Answer::Joined(Joined {
            credentials: Credentials { list: charter.list().clone(), certificate },
            descriptor: charter.descriptor().cloned(),
            peers,
            extensions,
        })
    }

    /// Describes the domain anew where that is ours to do and called for.
    pub(super) fn tend(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.is_issuer()
            && let Some(charter) = &self.charter
        {
            if charter.is_outdated(now) {
                self.describe(now, out);
            } else if !charter.describes(&self.supernodes(now)) {
                match self.last_described.map(|last| last + self.config.describe_every) {
                    Some(next) if next > now => self.timers.set(Timer::Describe, next),
                    Some(_) | None => {
                        self.describe(now, out);
                    }
                }
            }
        }
        self.schedule_reissue(now);
    }

    /// Signs a new description of the domain and passes it on; `false` where this node can't.
    pub(super) fn describe(&mut self, now: Time, out: &mut Vec<Effect>) -> bool {
        if !self.is_issuer() {
            return false;
        }
        let supernodes = self.supernodes(now);
        let Some(charter) = &mut self.charter else { return false };
        let Some(descriptor) = charter.describe(&self.signer, supernodes, now, self.config.descriptor_life) else {
            return false;
        };
        charter.learn_descriptor(&descriptor, now);
        self.last_described = Some(now);
        self.timers.cancel(Timer::Describe);
        out.push(Effect::Keep(record::descriptor(&descriptor)));
        self.schedule_reissue(now);
        self.spread(now, out);
        true
    }

    /// Returns the domain's supernodes, as this issuer would describe them.
    ///
    /// Where one is it says itself, to those that it is connected to; of one that is not here, what was described
    /// last stands, so that two issuers who have heard different things do not contradict each other for ever. For
    /// the same reason another issuer's word of a supernode that is not known here stands.
    fn supernodes(&self, now: Time) -> Vec<Party> {
        let described = self.charter.as_ref().and_then(|charter| charter.described());
        let mut supernodes: BTreeMap<NodeId, Vec<String>> = described
            .into_iter()
            .flat_map(|descriptor| &descriptor.supernodes)
            .map(|party| (party.node, party.addresses.clone()))
            .collect();
        let is_anothers = described.is_some_and(|descriptor| descriptor.issuer != self.me);
        supernodes.retain(|node, _| {
            let is_mine = *node == self.me && self.role == Role::Supernode;
            is_mine
                || (is_anothers && *node != self.me && !self.members.contains(node) && !self.is_revoked(node))
                || self.is_own_supernode(now, node)
        });
        if self.role == Role::Supernode {
            let own = supernodes.entry(self.me).or_default();
            if !self.addresses.is_empty() {
                own.clone_from(&self.addresses);
            }
        }
        let is_supernode = |member: &Member| member.role() == Role::Supernode && member.expires > now;
        let own = self.members.iter().filter(|(node, member)| is_supernode(member) && !self.is_revoked(node));
        for (node, member) in own {
            let known = supernodes.entry(*node).or_default();
            if !member.addresses.is_empty() && (known.is_empty() || self.peers.contains_key(node)) {
                known.clone_from(&*member.addresses);
            }
        }
        supernodes.into_iter().map(|(node, addresses)| Party { node, addresses }).take(MAX_SUPERNODES).collect()
    }

    fn is_own_supernode(&self, now: Time, node: &NodeId) -> bool {
        self.members.get(node).is_some_and(|member| member.role() == Role::Supernode) && self.is_live(now, node)
    }

    /// Renews the description of the domain at half of its life.
    pub(super) fn schedule_reissue(&mut self, now: Time) {
        self.timers.cancel(Timer::Reissue);
        if !self.is_issuer() {
            return;
        }
        let Some(charter) = &self.charter else { return };
        let Some(descriptor) = charter.described() else { return };
        // One that ends with the list can't be renewed beyond it.
        if descriptor.expires < charter.issuers().expires {
            let half = self.config.descriptor_life.divided(2);
            let at = Time(descriptor.expires.0.saturating_sub(half.0));
            self.timers.set_later(Timer::Reissue, now, at);
        }
    }

    pub(super) fn reissue(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.describe(now, out);
    }
}
