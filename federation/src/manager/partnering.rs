//! What the operator of a supernode asks of partners, and what another domain's supernode asks: an invitation is made,
//! taken up, and stands as a record at either side.

use std::sync::Arc;

use kernel::{AskId, Digest, DomainKey, NodeId, Span, Ticket, Time};
use rear_proto::{
    Answer, Code, Extensions, Refusal, Request, Signed, Table,
    door::MAX_LABEL,
    flavour::{Domain, Party},
    membership::{Credentials, Descriptor, Role},
    message::{Accept, Accepted},
    partner::{PartnerState, PartnerToken},
    signed::alike,
};

use super::{Asked, Manager, bounded};
use crate::{
    authorise::not_a_member,
    charter::Charter,
    mail::{Effect, PartnerView, Response},
    partners::{self, Partner},
    record::{self, InvitationRecord},
    timers::Timer,
};

/// The most invitations that are being taken up at once.
const ACCEPTING: usize = 64;

/// An invitation that this node is taking up.
#[derive(Debug)]
pub(super) struct Accepting {
    ticket: Ticket,
    token: Box<PartnerToken>,
    name: String,
}

impl Manager {
    // -- the operator -----------------------------------------------------------------------------------

    /// Makes a token for another domain.
    pub(super) fn partner_invite(
        &mut self,
        now: Time,
        name: String,
        ttl: Span,
        out: &mut Vec<Effect>,
    ) -> Result<Response, Refusal> {
        let domain = self.spokesman()?;
        if self.addresses.is_empty() {
            let text = "this node has no address that a partner could dial: start it with --listen";
            return Err(Refusal::new(Code::Unavailable, text));
        }
        if ttl == Span::ZERO || ttl > self.config.longest_ttl {
            let text = format!("a token for {ttl}: it may be good for up to {}", self.config.longest_ttl);
            return Err(Refusal::new(Code::Malformed, text));
        }
        self.check_name(&name, None)?;
        if self.invitations.is_pending(&name, now) {
            let text = format!("there is an invitation for '{name}' already that nobody has taken up yet");
            return Err(Refusal::new(Code::Malformed, text));
        }
        if self.invitations.count() >= self.config.invitations {
            let text = format!("{} invitations are not over yet: let some of them end", self.invitations.count());
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let secret: [u8; 16] = self.rng.bytes();
        let (digest, expires) = (Digest::of(&secret), now + ttl);
        let invitation = InvitationRecord { name, expires, used: None };
        out.push(Effect::Keep(record::invitation(&digest, Some(&invitation))));
        self.timers.set(Timer::InvitationEnds(digest), expires);
        self.invitations.put(digest, invitation);
        let inviter = Party { node: self.me, addresses: self.addresses.clone() };
        Ok(Response::PartnerInvited(PartnerToken { domain, inviter, secret, expires }))
    }

    /// Takes up another domain's invitation; the operator is told when that domain has answered.
    pub(super) fn partner_accept(
        &mut self,
        now: Time,
        ticket: Ticket,
        token: Box<PartnerToken>,
        name: String,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let own = self.spokesman()?;
        let credentials = self.credentials().ok_or_else(not_a_member)?;
        if token.expires <= now {
            let text = format!("the token of domain {} has expired: ask there for another", shown(&token.domain));
            return Err(Refusal::new(Code::Expired, text));
        }
        if token.domain.key == own.key || token.inviter.node == self.me {
            let text = format!("the token is of this domain, {}, which can't be its own partner", own.name);
            return Err(Refusal::new(Code::Malformed, text));
        }
        self.check_name(&name, Some(&token.domain.key))?;
        self.check_known(&token.domain.key, &name)?;
        if self.accepting.len() >= ACCEPTING {
            let text = format!("{ACCEPTING} invitations are being taken up already: wait for their answers");
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let accept = Accept {
            secret: token.secret,
            credentials,
            descriptor: self.charter.as_ref().and_then(|charter| charter.descriptor().cloned()),
            addresses: self.addresses.clone(),
            extensions: Extensions::new(),
        };
        let Party { node, addresses } = token.inviter.clone();
        let to = Party { node, addresses: bounded(addresses) };
        let deadline = self.config.accept_deadline;
        let ask = self.ask_within(Asked::Accept(node), to, Request::Accept(accept), deadline, out);
        self.accepting.insert(ask, Accepting { ticket, token, name });
        Ok(())
    }

    /// Switches what a partner may use on or off.
    pub(super) fn partner_switch(
        &mut self,
        now: Time,
        name: &str,
        on: bool,
        out: &mut Vec<Effect>,
    ) -> Result<Response, Refusal> {
        self.say(now, name, if on { PartnerState::On } else { PartnerState::Suspended }, out)
    }

    /// Ends a partnership.
    pub(super) fn partner_remove(&mut self, now: Time, name: &str, out: &mut Vec<Effect>) -> Result<Response, Refusal> {
        self.say(now, name, PartnerState::Removed, out)
    }

    fn say(&mut self, now: Time, name: &str, state: PartnerState, out: &mut Vec<Effect>) -> Result<Response, Refusal> {
        self.spokesman()?;
        let domain = self.partners.find(name)?;
        let me = self.me;
        let Some(partner) = self.partners.get_mut(&domain) else { return Err(Code::NotFound.into()) };
        if partner.state != state {
            partner.state = state;
            partner.said = (later(now, Some(partner.said)), me);
            self.partner_changed(now, domain, out);
            // Its supernodes are told whether it may use what is ours.
            self.spread(now, out);
        }
        self.changed(&domain)
    }

    fn changed(&self, domain: &DomainKey) -> Result<Response, Refusal> {
        let partner = self.partners.get(domain).ok_or_else(|| Refusal::from(Code::NotFound))?;
        Ok(Response::PartnerChanged(self.partner_view(domain, partner)))
    }

    /// Returns the partners, suspended or not, by domain.
    pub fn partners(&self, _now: Time) -> impl Iterator<Item = PartnerView> {
        self.partners.live().map(|(domain, partner)| self.partner_view(domain, partner))
    }

    /// Returns the domain, if this node may speak for it across the border.
    fn spokesman(&self) -> Result<Domain, Refusal> {
        let Some(charter) = &self.charter else {
            return Err(Refusal::new(Code::NotFound, "this node is of no domain: run 'tombolo init' first"));
        };
        let domain = charter.domain();
        if self.role == Role::Supernode {
            return Ok(domain.clone());
        }
        let text = format!(
            "this node is a {} of domain {}, and partners are its supernodes' business: ask at one of them",
            self.role.name(),
            domain.name
        );
        Err(Refusal::new(Code::NotAMember, text))
    }

    /// Says whether a partner may be called this here: a DNS label (RFC 1123) that nobody else has.
    fn check_name(&self, name: &str, domain: Option<&DomainKey>) -> Result<(), Refusal> {
        let malformed = |text: String| Err(Refusal::new(Code::Malformed, text));
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let is_label = (1..=MAX_LABEL).contains(&name.len()) && name.bytes().all(inner);
        if !is_label || name.starts_with('-') || name.ends_with('-') {
            let shown: String = name.chars().take(MAX_LABEL).collect();
            return malformed(format!(
                "'{shown}' can't be a partner's name: it is up to {MAX_LABEL} small letters, digits and inner hyphens"
            ));
        }
        if self.charter.as_ref().is_some_and(|charter| charter.domain().name == name) {
            return malformed(format!("'{name}' is what this domain is called itself"));
        }
        if self.partners.is_taken(name, domain) {
            return malformed(format!("there is a partner '{name}' already"));
        }
        Ok(())
    }

    /// Says whether a domain is no partner yet, or one of that name.
    fn check_known(&self, domain: &DomainKey, name: &str) -> Result<(), Refusal> {
        match self.partners.get_live(domain) {
            Some(partner) if partner.name != name => {
                let text = format!("that domain is a partner already, as '{}'", partner.name);
                Err(Refusal::new(Code::Malformed, text))
            }
            Some(_) | None => Ok(()),
        }
    }

    // -- another domain ---------------------------------------------------------------------------------

    /// Another domain's supernode takes up an invitation of this node.
    pub(super) fn asked_accept(
        &mut self,
        now: Time,
        ticket: Ticket,
        from: NodeId,
        accept: Accept,
        out: &mut Vec<Effect>,
    ) {
        let answer = match self.take_up(now, from, accept, out) {
            Ok(accepted) => Answer::Accepted(accepted),
            Err(refusal) => refusal.into(),
        };
        out.push(Effect::Reply { ticket, answer });
    }

    /// Who has no good secret, or no proof with it, is told nothing of why it is refused.
    fn take_up(&mut self, now: Time, from: NodeId, accept: Accept, out: &mut Vec<Effect>) -> Result<Accepted, Refusal> {
        let Accept { secret, credentials, descriptor, addresses, extensions: _ } = accept;
        if self.is_blocked(&from) {
            return Err(not_a_member());
        }
        if let Err(after) = self.accepts.admit(now, &from) {
            let text = format!("over {} ACCEPTs of one node in {}", self.config.accepts, self.config.rate_window);
            return Err(Refusal::new(Code::Overloaded, text).retry_after(after));
        }
        let own = self.spokesman().map_err(|_| not_a_member())?;
        let (digest, invitation) = self.invitations.find(&secret, now).ok_or_else(not_a_member)?;
        let domain = credentials.list.claimed().ok_or_else(not_a_member)?.domain.key;
        if domain == own.key {
            return Err(Refusal::new(Code::Malformed, "the invitation is for another domain than the one it is of"));
        }
        let charter =
            self.introduced(now, &from, &domain, &credentials, descriptor.as_ref()).ok_or_else(not_a_member)?;
        match invitation.used {
            // Its answer was lost, or it asks again; whatever was decided since stands.
            Some(by) if by == domain && self.partners.get_live(&domain).is_some() => {}
            Some(_) => return Err(not_a_member()),
            None => {
                if self.partners.get_live(&domain).is_some_and(|partner| partner.name != invitation.name) {
                    return Err(Refusal::new(Code::Closed, "your domain is a partner already, by another invitation"));
                }
                if self.partners.is_taken(&invitation.name, Some(&domain)) {
                    let text = "the name that the invitation is for was given to another domain since";
                    return Err(Refusal::new(Code::Closed, text));
                }
                // A second invitation does not undo that the operator has suspended the partner since.
                if self.partners.get_live(&domain).is_none() {
                    self.establish(now, domain, invitation.name, charter, out)?;
                }
                if let Some(used) = self.invitations.use_up(&digest, domain) {
                    out.push(Effect::Keep(record::invitation(&digest, Some(used))));
                }
            }
        }
        self.meet(now, from, &domain, &credentials, addresses, out);
        let credentials = self.credentials().ok_or_else(not_a_member)?;
        Ok(Accepted {
            credentials,
            descriptor: self.charter.as_ref().and_then(|charter| charter.descriptor().cloned()),
            addresses: self.addresses.clone(),
            extensions: Extensions::new(),
        })
    }

    /// Returns what is believed of a domain, when one of its supernodes has shown what it has to; `None` where it is
    /// none, by the newest that is known of the domain.
    fn introduced(
        &self,
        now: Time,
        node: &NodeId,
        domain: &DomainKey,
        credentials: &Credentials,
        descriptor: Option<&Signed<Descriptor>>,
    ) -> Option<Charter> {
        if !partners::is_short(&credentials.list) {
            return None;
        }
        let mut charter = match self.partners.get(domain) {
            Some(partner) => partner.charter.clone(),
            None => Charter::new(&credentials.list)?,
        };
        charter.learn_list(&credentials.list, now);
        let proven = charter.verify(&credentials.certificate, node, now).ok()?;
        if let Some(descriptor) = descriptor {
            partners::learn_descriptor(&mut charter, descriptor, now);
        }
        let is_good = charter.domain().key == *domain && proven.role == Role::Supernode && !charter.is_revoked(node);
        is_good.then_some(charter)
    }

    /// Makes a domain a partner, or one again.
    fn establish(
        &mut self,
        now: Time,
        domain: DomainKey,
        name: String,
        charter: Charter,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let before = self.partners.get(&domain);
        let (theirs, last_heard) = before.map_or((None, None), |partner| (partner.theirs, partner.last_heard));
        let before = before.map(|partner| partner.said);
        if before.is_none() && !self.make_room_for_partner(out) {
            let text = format!("there are {} partners already, and no room for more", self.config.partners);
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let said = (later(now, before), self.me);
        let partner = Partner { name, state: PartnerState::On, said, charter, theirs, last_heard };
        self.partners.put(domain, partner);
        self.partner_changed(now, domain, out);
        Ok(())
    }

    /// Forgets the partner that was removed longest ago, if there are too many; `false` where none was.
    pub(super) fn make_room_for_partner(&mut self, out: &mut Vec<Effect>) -> bool {
        match self.partners.make_room(self.config.partners) {
            Ok(None) => true,
            Ok(Some(domain)) => {
                self.forget_partner(&domain, out);
                true
            }
            Err(()) => false,
        }
    }

    pub(super) fn forget_partner(&mut self, domain: &DomainKey, out: &mut Vec<Effect>) {
        if self.partners.remove(domain) {
            self.unshared.remove(domain);
            self.timers.cancel(Timer::PartnerEnds(*domain));
            out.push(Effect::Keep(super::foreign::forgotten(domain)));
        }
    }

    /// Lets in the supernode that has just made its domain a partner, and tells it who we are.
    fn meet(
        &mut self,
        now: Time,
        node: NodeId,
        domain: &DomainKey,
        credentials: &Credentials,
        addresses: Vec<String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(partner) = self.partners.get_mut(domain) else { return };
        partner.last_heard = Some(now);
        if let Ok(proven) = partner.charter.verify(&credentials.certificate, &node, now) {
            self.admit_abroad(now, node, &credentials.certificate, &proven, bounded(addresses), out);
        }
        self.spread(now, out);
    }

    /// The inviter has answered, or has not.
    pub(super) fn accept_answered(
        &mut self,
        now: Time,
        ask: AskId,
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Some(Accepting { ticket, token, name }) = self.accepting.remove(&ask) else { return };
        let result = self.accepted(now, &token, name, answer, out);
        out.push(Effect::Respond { ticket, result });
    }

    fn accepted(
        &mut self,
        now: Time,
        token: &PartnerToken,
        name: String,
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) -> Result<Response, Refusal> {
        let (whose, node) = (shown(&token.domain), token.inviter.node);
        let accepted = match answer {
            Ok(Answer::Accepted(accepted)) => accepted,
            Ok(Answer::Refused(refusal)) | Err(refusal) => return Err(refused(&refusal, &whose, &node)),
            Ok(_) => {
                let text = format!("node {node} of domain {whose} has answered something else than was asked");
                return Err(Refusal::new(Code::Malformed, text));
            }
        };
        let Accepted { credentials, descriptor, addresses, extensions: _ } = accepted;
        let domain = token.domain.key;
        let Some(charter) = self.introduced(now, &node, &domain, &credentials, descriptor.as_ref()) else {
            let text = format!("node {node} has not proven to be a supernode of domain {whose}");
            return Err(Refusal::new(Code::NotAMember, text));
        };
        // Much may have been decided while the question was under way.
        self.spokesman()?;
        self.check_name(&name, Some(&domain))?;
        self.check_known(&domain, &name)?;
        self.establish(now, domain, name, charter, out)?;
        let said = bounded(addresses);
        let addresses = if said.is_empty() { bounded(token.inviter.addresses.clone()) } else { said };
        self.meet(now, node, &domain, &credentials, addresses, out);
        self.changed(&domain)
    }

    // -- both -------------------------------------------------------------------------------------------

    /// Keeps how a partner is and tells everybody whom it concerns.
    pub(super) fn partner_changed(&mut self, now: Time, domain: DomainKey, out: &mut Vec<Effect>) {
        let Some(partner) = self.partners.get_mut(&domain) else { return };
        partner.charter.purge(now);
        out.push(Effect::Keep(record::partner(&domain, Some(partner.record()))));
        match partner.ends() {
            Some(ends) => self.timers.set_later(Timer::PartnerEnds(domain), now, ends),
            None => self.timers.cancel(Timer::PartnerEnds(domain)),
        }
        if self.partners.get_live(&domain).is_none() {
            self.let_go(&domain);
        }
        self.reconsider_abroad(now, &domain, out);
        self.announce(out);
        self.keep_partner(&domain, out);
        self.greet_partner(now, &domain, out);
        self.share_soon(now, domain, out);
    }

    /// Says HELLO to a partner's supernodes that are connected and not known to be any yet.
    fn greet_partner(&mut self, now: Time, domain: &DomainKey, out: &mut Vec<Effect>) {
        if self.role != Role::Supernode {
            return;
        }
        let Some(partner) = self.partners.get_live(domain) else { return };
        let unknown = |node: &NodeId| self.peers.get(node).is_some_and(|peer| peer.told.is_none());
        let nodes: Vec<NodeId> = self
            .supernodes_of(domain, partner)
            .into_iter()
            .map(|party| party.node)
            .filter(|node| unknown(node) && !self.is_live(now, node))
            .collect();
        for node in nodes {
            self.say_hello(now, node, out);
        }
    }

    /// Tells the other managers of the partners, where anything has changed.
    pub(super) fn announce(&mut self, out: &mut Vec<Effect>) {
        let partners = self
            .partners
            .live()
            .map(|(domain, partner)| rear_proto::local::Partner {
                domain: partner.charter.domain().clone(),
                name: partner.name.clone(),
                on: partner.is_on(),
                supernodes: self.supernodes_of(domain, partner).into_iter().map(|party| party.node).collect(),
            })
            .collect();
        let partners = alike::partners(partners);
        if self.announced.as_ref() != Some(&partners) {
            self.announced = Some(Arc::clone(&partners));
            out.push(Effect::Partners(partners));
        }
    }

    /// Takes up where the partners were left, at the start.
    pub(super) fn recall_partners(&mut self, now: Time, out: &mut Vec<Effect>) {
        let domains: Vec<DomainKey> = self.partners.iter().map(|(domain, _)| *domain).collect();
        for domain in domains {
            let Some(partner) = self.partners.get_mut(&domain) else { continue };
            partner.charter.purge(now);
            if let Some(ends) = partner.ends() {
                self.timers.set_later(Timer::PartnerEnds(domain), now, ends);
            }
        }
        self.recall_foreign(now, out);
        self.announce(out);
        let live: Vec<DomainKey> = self.partners.live().map(|(domain, _)| *domain).collect();
        for domain in live {
            self.keep_partner(&domain, out);
        }
        self.keep_catalogues(out);
    }

    pub(super) fn restore_partners(&mut self, key: &[u8], value: &[u8]) -> Result<(), rear_proto::DamagedRecord> {
        let table = Table::Partners;
        if let Some(domain) = key.strip_prefix(record::PARTNER) {
            let domain = DomainKey(record::key32(table, domain)?);
            let record::KeptPartner { partner } = rear_proto::record::decode(table, value)?;
            let charter = Charter::new(&partner.list).filter(|charter| charter.domain().key == domain);
            let mut charter = charter.ok_or_else(|| record::damaged(table, "its list of issuers is forged"))?;
            if let Some(descriptor) = &partner.descriptor {
                // What is over is told apart at the start, when it is known what time it is.
                charter.learn_descriptor(descriptor, Time::default());
            }
            let rear_proto::partner::PartnerRecord { name, state, said, .. } = partner;
            self.partners.put(domain, Partner { name, state, said, charter, theirs: None, last_heard: None });
        } else if let Some(digest) = key.strip_prefix(record::INVITATION) {
            let digest = Digest(record::key32(table, digest)?);
            let invitation: InvitationRecord = rear_proto::record::decode(table, value)?;
            self.timers.set(Timer::InvitationEnds(digest), invitation.expires);
            self.invitations.put(digest, invitation);
        } else if let Some(node) = key.strip_prefix(record::FOREIGN) {
            let node = NodeId(record::key32(table, node)?);
            self.restore_foreign(node, rear_proto::record::decode(table, value)?)?;
        } else {
            return Err(record::damaged(table, format!("its key '{}' is not known", String::from_utf8_lossy(key))));
        }
        Ok(())
    }
}

/// Returns when something is said that is to stand against what was said before.
fn later(now: Time, before: Option<(Time, NodeId)>) -> Time {
    before.map_or(now, |(at, _)| now.max(at + Span::millis(1)))
}

/// Returns a foreign domain's name for a sentence, with the key that it can't choose.
fn shown(domain: &Domain) -> String {
    let name: String = domain.name.chars().filter(|c| !c.is_control()).take(MAX_LABEL).collect();
    format!("{name} ({})", domain.key)
}

/// Says why an invitation was not granted.
fn refused(refusal: &Refusal, whose: &str, node: &NodeId) -> Refusal {
    match refusal.code() {
        Code::NotAMember => Refusal::new(
            Code::NotAMember,
            format!(
                "domain {whose} does not take this token: it is over, or was used by another domain, or this node is \
                 no supernode in its eyes; ask there for another"
            ),
        ),
        Code::Timeout | Code::Unavailable => {
            let text = format!("node {node} of domain {whose} has not answered: is it running, and can it be reached?");
            Refusal::new(refusal.code(), text)
        }
        code => {
            let said = Refusal::new(code, format!("domain {whose} has refused: {}", refusal.text()));
            match refusal.retry_after {
                Some(after) => said.retry_after(after),
                None => said,
            }
        }
    }
}
