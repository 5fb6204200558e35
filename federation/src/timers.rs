//! What is to be done when.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Digest, DomainKey, NodeId, Span, Time, Wake};

/// Something to be done at a time; each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Say HELLO to this node again.
    Hello(NodeId),
    /// Pass on what is new.
    Spread,
    /// Have the own certificate renewed.
    Renew,
    /// Renew the domain's description.
    Reissue,
    /// The certificate of a member ends, or of several.
    MembersEnd,
    /// This node's removal need not be remembered any longer.
    RevocationEnds(NodeId),
    /// This token ends.
    TokenEnds(Digest),
    /// Tell of the supernodes' addresses.
    Describe,
    /// A partner's supernode's, or a catalogue's, certificate ends.
    ForeignEnds(NodeId),
    /// This invitation ends.
    InvitationEnds(Digest),
    /// This partner was removed so long ago that it need not be remembered.
    PartnerEnds(DomainKey),
    /// Tell the own domain's nodes what is new of its partners.
    Share,
    /// Tell this node again of the partners.
    ShareWith(NodeId),
}

impl Timer {
    const fn why(self) -> &'static str {
        match self {
            Self::Hello(_) => "hello-retry",
            Self::Spread => "spread",
            Self::Renew => "renew-certificate",
            Self::Reissue => "renew-descriptor",
            Self::MembersEnd => "member-expiry",
            Self::RevocationEnds(_) => "revocation-expiry",
            Self::TokenEnds(_) => "token-expiry",
            Self::Describe => "describe",
            Self::ForeignEnds(_) => "foreign-expiry",
            Self::InvitationEnds(_) => "invitation-expiry",
            Self::PartnerEnds(_) => "partner-expiry",
            Self::Share | Self::ShareWith(_) => "share-partners",
        }
    }
}

/// The timers that run.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Time, Timer)>,
    at: BTreeMap<Timer, Time>,
}

impl Timers {
    /// Sets a timer, wherever it stood before.
    pub(crate) fn set(&mut self, timer: Timer, at: Time) {
        self.cancel(timer);
        self.by_time.insert((at, timer));
        self.at.insert(timer, at);
    }

    /// Sets a timer for later than `now`: a setting of no time at all must not keep the manager awake.
    pub(crate) fn set_later(&mut self, timer: Timer, now: Time, at: Time) {
        self.set(timer, at.max(now + Span::millis(1)));
    }

    /// Sets a timer for no later than this.
    pub(crate) fn set_by(&mut self, timer: Timer, at: Time) {
        if self.at.get(&timer).is_none_or(|set| *set > at) {
            self.set(timer, at);
        }
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<Wake> {
        self.by_time.first().map(|(at, timer)| (*at, timer.why()))
    }

    /// Takes out one timer that is due.
    pub(crate) fn due(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = self.by_time.first().copied()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}
