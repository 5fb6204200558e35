//! The one answer to "may this node ask that?", for the REAR and the federation protocol.

use kernel::{NodeId, Time};
use rear_proto::{Code, Refusal, Request};

use crate::Manager;

/// What everybody is told who may not: the same words, whatever the reason.
pub(crate) fn not_a_member() -> Refusal {
    Code::NotAMember.into()
}

impl Manager {
    /// Says whether a node, proven by its connection, may ask this.
    ///
    /// HELLO and JOIN are for everybody, all else is for live members of this node's domain: certified, not
    /// removed, and not expired at `now`.
    ///
    /// # Errors
    /// The same refusal for every reason, so that a stranger learns nothing from it.
    pub fn authorise(&self, now: Time, from: &NodeId, request: &Request) -> Result<(), Refusal> {
        if self.is_blocked(from) {
            return Err(not_a_member());
        }
        let allowed = match request {
            Request::Hello(_) | Request::Join(_) => true,
            Request::List(_)
            | Request::Reserve(_)
            | Request::Purchase(_)
            | Request::Renew(_)
            | Request::Release(_)
            | Request::Keepalive(_) => self.is_live(now, from),
        };
        if allowed { Ok(()) } else { Err(not_a_member()) }
    }
}
