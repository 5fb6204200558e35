//! This node's own certificate, renewed at half of its life with any issuer that is here.

use kernel::{NodeId, Time};
use rear_proto::{
    Answer, Extensions, Refusal, Request, Signed,
    flavour::Party,
    membership::{Certificate, Role},
    message::Join,
};

use super::{Asked, Manager};
use crate::{genesis, mail::Effect, record, timers::Timer, tokens::NO_SECRET};

/// Returns when half of a certificate's life is over.
pub(super) fn half_life(certificate: &Certificate) -> Time {
    certificate.issued + certificate.issued.until(certificate.expires).divided(2)
}

impl Manager {
    fn own_certificate(&self) -> Option<Certificate> {
        self.own.as_ref().and_then(Signed::claimed).cloned()
    }

    /// Sets the timer for the next renewal.
    pub(super) fn schedule_renewal(&mut self, now: Time) {
        if let Some(own) = self.own_certificate() {
            self.timers.set_later(Timer::Renew, now, half_life(&own));
        }
    }

    /// An issuer has come: what could not be renewed for want of one can be at once.
    pub(super) fn issuer_is_here(&mut self, now: Time, node: &NodeId) {
        let is_issuer = self.charter.as_ref().is_some_and(|charter| charter.is_issuer(node));
        let is_due = self.own_certificate().is_some_and(|own| half_life(&own) <= now);
        if is_issuer && (is_due || self.lacks_secret()) {
            self.timers.set(Timer::Renew, now);
        }
    }

    /// Says whether this is a supernode that was not handed the domain's secret: it comes with a renewal.
    fn lacks_secret(&self) -> bool {
        self.role == Role::Supernode && self.secret.is_none() && !self.is_issuer()
    }

    /// Says whether three tries to renew should have been answered by now.
    pub(super) fn renewal_is_overdue(&self, now: Time, own: &Certificate) -> bool {
        half_life(own) + self.config.renew_retry.times(3) <= now
    }

    /// Renews the own certificate, or asks an issuer to; tries again until that is done.
    pub(super) fn renew(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(own) = self.own_certificate() else { return };
        if half_life(&own) > now && !self.lacks_secret() {
            self.schedule_renewal(now);
            return;
        }
        if self.is_revoked(&self.me) {
            return;
        }
        self.timers.set_later(Timer::Renew, now, now + self.config.renew_retry);
        if self.is_issuer() {
            // One that ends with the list can't be renewed beyond it.
            if let Some(certificate) = self.certify(now, self.me, own.role)
                && certificate.claimed().is_some_and(|fresh| fresh.expires > own.expires)
            {
                self.adopt(now, certificate, out);
            }
            return;
        }
        let Some(charter) = &self.charter else { return };
        let issuers: Vec<Party> = self
            .peers
            .iter()
            .filter(|(node, peer)| peer.told.is_some() && charter.is_issuer(node))
            .map(|(node, peer)| Party { node: *node, addresses: peer.addresses.to_vec() })
            .collect();
        let turn = usize::try_from(self.renewals_tried % issuers.len().max(1) as u64).unwrap_or(0);
        let Some(to) = issuers.into_iter().nth(turn) else { return };
        self.renewals_tried = self.renewals_tried.wrapping_add(1);
        let join = Join { secret: NO_SECRET, node: self.me, role: own.role, extensions: Extensions::new() };
        self.ask(Asked::Renewal(to.node), to, Request::Join(join), out);
    }

    /// Takes in a fresh certificate; whatever else an issuer says leaves the next try to the timer.
    pub(super) fn renewal_answered(
        &mut self,
        now: Time,
        _from: NodeId,
        answer: Result<Answer, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let Ok(Answer::Joined(joined)) = answer else { return };
        if self.lacks_secret()
            && let Some(secret) = genesis::handed_over(self.role, &joined)
        {
            out.push(Effect::Keep(record::secret(&secret)));
            self.secret = Some(secret);
            self.show_secret(out);
            self.schedule_renewal(now);
        }
        let (Some(charter), Some(own)) = (&self.charter, self.own_certificate()) else { return };
        let certificate = joined.credentials.certificate;
        if charter.verify(&certificate, &self.me, now).is_ok_and(|proven| proven.expires > own.expires) {
            self.adopt(now, certificate, out);
        }
    }

    fn adopt(&mut self, now: Time, certificate: Signed<Certificate>, out: &mut Vec<Effect>) {
        self.role = certificate.claimed().map_or(self.role, |own| own.role);
        self.own = Some(certificate);
        self.keep_credentials(out);
        self.schedule_renewal(now);
        self.spread(now, out);
    }
}
