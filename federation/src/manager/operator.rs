//! What the operator asks of an issuer: tokens, and removals.

use kernel::{NodeId, Span, Time};
use rear_proto::{
    Code, Refusal,
    flavour::Party,
    membership::{Role, Token},
};

use super::Manager;
use crate::{
    mail::{Effect, Response},
    record::{self, TokenRecord},
    timers::Timer,
    tokens::{NO_SECRET, Tokens},
};

impl Manager {
    /// Makes a token for one newcomer.
    pub(super) fn invite(
        &mut self,
        now: Time,
        role: Role,
        ttl: Span,
        out: &mut Vec<Effect>,
    ) -> Result<Response, Refusal> {
        let domain = self.authority("invite to it")?;
        if self.addresses.is_empty() {
            let text = "this node has no address that a newcomer could dial: start it with --listen";
            return Err(Refusal::new(Code::Unavailable, text));
        }
        if ttl == Span::ZERO || ttl > self.config.longest_ttl {
            let text = format!("a token for {ttl}: it may be good for up to {}", self.config.longest_ttl);
            return Err(Refusal::new(Code::Malformed, text));
        }
        if self.tokens.count() >= self.config.tokens {
            let text = format!("{} tokens wait for their newcomers already: let some of them end", self.tokens.count());
            return Err(Refusal::new(Code::Overloaded, text));
        }
        let secret = std::iter::repeat_with(|| self.rng.bytes()).find(|secret| *secret != NO_SECRET);
        let secret = secret.unwrap_or([1; 16]);
        let (digest, expires) = (Tokens::digest(&secret), now + ttl);
        let token = TokenRecord { role, expires, used: None };
        out.push(Effect::Keep(record::token(&digest, &token)));
        self.timers.set(Timer::TokenEnds(digest), expires);
        self.tokens.put(digest, token);
        let issuer = Party { node: self.me, addresses: self.addresses.clone() };
        Ok(Response::Invited(Token { domain, issuer, secret, role, expires }))
    }

    /// Removes a node from the domain, for as long as its certificate could be good.
    pub(super) fn remove(&mut self, now: Time, node: NodeId, out: &mut Vec<Effect>) -> Result<Response, Refusal> {
        let domain = self.authority("remove from it")?;
        if node == self.me {
            let text = format!("node {node} is this one: a node can't remove itself from domain {}", domain.name);
            return Err(Refusal::new(Code::Malformed, text));
        }
        if self.is_revoked(&node) {
            return Ok(Response::Removed);
        }
        let Some(member) = self.members.get(&node) else {
            let text = format!("node {node} is no member of domain {} that is known here", domain.name);
            return Err(Refusal::new(Code::NotFound, text));
        };
        // Another issuer may have renewed its certificate a moment ago.
        let until = member.expires.max(now + self.config.certificate_life);
        let is_new = self.charter.as_mut().is_some_and(|charter| charter.revoke(node, until));
        if !is_new {
            return Err(Refusal::new(Code::TooLarge, "too many removed nodes are remembered already"));
        }
        self.removed(node, until, out);
        if !self.describe(now, out) {
            let text = "no later description of the domain can be signed: its issuers need a new list";
            return Err(Refusal::new(Code::Unavailable, text));
        }
        Ok(Response::Removed)
    }

    /// Returns the domain, if this node may speak for it.
    fn authority(&self, to_do: &str) -> Result<rear_proto::flavour::Domain, Refusal> {
        let Some(charter) = &self.charter else {
            return Err(Refusal::new(Code::NotFound, "this node is of no domain: run 'tombolo init' first"));
        };
        let domain = charter.domain();
        if charter.is_issuer(&self.me) {
            return Ok(domain.clone());
        }
        let issuers: Vec<String> = charter.issuers().issuers.iter().map(ToString::to_string).collect();
        let text = format!(
            "this node is no issuer of domain {} and can't {to_do}: ask at {}",
            domain.name,
            issuers.join(" or ")
        );
        Err(Refusal::new(Code::NotAMember, text))
    }
}
