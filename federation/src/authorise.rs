//! The one answer to "may this node ask that?", for the REAR and the federation protocol.

use kernel::{NodeId, Time};
use rear_proto::{Code, Refusal, Request, local::Caller, membership::Role};

use crate::Manager;

/// What everybody is told who may not: the same words, whatever the reason.
pub(crate) fn not_a_member() -> Refusal {
    Code::NotAMember.into()
}

impl Manager {
    /// Says whether a node, proven by its connection, may ask this, and as whom it asks.
    ///
    /// HELLO and JOIN are for everybody, all else is for live members of this node's domain: certified, not
    /// removed, and not expired at `now`.
    ///
    /// # Errors
    /// The same refusal for every reason, so that a stranger learns nothing from it.
    pub fn authorise(&self, now: Time, from: &NodeId, request: &Request) -> Result<Caller, Refusal> {
        if self.is_blocked(from) {
            return Err(not_a_member());
        }
        let caller = match self.role_of(now, from) {
            Some(role) => Caller::Member(role),
            None => Caller::Stranger,
        };
        let allowed = match request {
            Request::Hello(_) | Request::Join(_) => true,
            Request::List(_)
            | Request::Reserve(_)
            | Request::Purchase(_)
            | Request::Renew(_)
            | Request::Release(_)
            | Request::Keepalive(_)
            | Request::Accept(_)
            | Request::Partners(_)
            | Request::Advertise(_)
            | Request::Refresh(_)
            | Request::Withdraw(_)
            | Request::Subscribe(_) => caller != Caller::Stranger,
        };
        if allowed { Ok(caller) } else { Err(not_a_member()) }
    }

    /// Returns what a live member is in this node's domain.
    fn role_of(&self, now: Time, node: &NodeId) -> Option<Role> {
        self.members().find(|member| member.node == *node && self.is_live(now, node)).map(|member| member.role)
    }
}
