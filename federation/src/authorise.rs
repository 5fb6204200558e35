//! The one answer to "may this node ask that?", for the REAR and the federation protocol.
//!
//! ```text
//!               | everybody | member            | partner's supernode | visitor at a catalogue | catalogue of elsewhere
//!  HELLO JOIN ACCEPT | yes  | yes               | yes                 | yes                    | yes
//!  LIST              |      | yes               | while it is on      | yes                    |
//!  RESERVE PURCHASE RENEW | | yes               | while it is on      |                        |
//!  RELEASE KEEPALIVE |      | yes               | yes                 |                        |
//!  SUBSCRIBE         |      | at hubs           | while it is on      | yes                    |
//!  ADVERTISE REFRESH WITHDRAW | at hubs; elsewhere from hubs | yes   | signed, by supernodes  | signed
//!  PARTNERS          |      | from supernodes   |                     |                        |
//!  CAPACITY_DIGEST   |      |                   | at supernodes       |                        |
//! ```
//! A hub is a supernode or a catalogue of the own domain. What is allowed is not thereby wished for: Discovery drops
//! what it has not subscribed to.

use kernel::{NodeId, Time};
use rear_proto::{
    Code, Refusal, Request,
    local::Caller,
    membership::Role,
    message::{Advertise, Offered, Refresh, Withdraw},
};

use crate::Manager;

/// What everybody is told who may not: the same words, whatever the reason.
pub(crate) fn not_a_member() -> Refusal {
    Code::NotAMember.into()
}

impl Manager {
    /// Says whether a node, proven by its connection, may ask this, and as whom it asks.
    ///
    /// A catalogue of another domain that this supernode was told to use asks as a visitor.
    ///
    /// # Errors
    /// The same refusal for every reason, so that a stranger learns nothing from it.
    pub fn authorise(&self, now: Time, from: &NodeId, request: &Request) -> Result<Caller, Refusal> {
        if self.is_blocked(from) {
            return Err(not_a_member());
        }
        let (caller, role) = self.caller(now, from);
        let allowed = match request {
            Request::Hello(_) | Request::Join(_) | Request::Accept(_) => true,
            Request::List(_) => match caller {
                Caller::Member(_) | Caller::Partner { on: true, .. } => true,
                Caller::Visitor { .. } => self.role() == Role::Catalogue,
                Caller::Partner { on: false, .. } | Caller::Stranger => false,
            },
            Request::Reserve(_) | Request::Purchase(_) | Request::Renew(_) => match caller {
                Caller::Member(_) | Caller::Partner { on: true, .. } => true,
                Caller::Partner { on: false, .. } | Caller::Visitor { .. } | Caller::Stranger => false,
            },
            Request::Release(_) | Request::Keepalive(_) => match caller {
                Caller::Member(_) | Caller::Partner { .. } => true,
                Caller::Visitor { .. } | Caller::Stranger => false,
            },
            Request::Subscribe(_) => match caller {
                Caller::Member(_) => is_hub(self.role()),
                Caller::Partner { on, .. } => on,
                Caller::Visitor { .. } => self.role() == Role::Catalogue,
                Caller::Stranger => false,
            },
            Request::Advertise(Advertise { offers, .. }) | Request::Refresh(Refresh { offers, .. }) => {
                let are_signed = offers.iter().all(|offer| matches!(offer, Offered::Signed(_)));
                self.may_tell(&caller, role, are_signed)
            }
            Request::Withdraw(Withdraw { offers, .. }) => {
                self.may_tell(&caller, role, offers.iter().all(|offer| offer.viewer.is_some()))
            }
            Request::Partners(_) => caller == Caller::Member(Role::Supernode),
            // Who may use what is ours has no say in whether we use what is theirs.
            Request::CapacityDigest(_) => matches!(caller, Caller::Partner { .. }) && self.role() == Role::Supernode,
        };
        if allowed { Ok(caller) } else { Err(not_a_member()) }
    }

    /// Says whether a node may tell of offers, all of them signed or not.
    fn may_tell(&self, caller: &Caller, role: Role, are_signed: bool) -> bool {
        match caller {
            // A plain node can have subscribed at a hub alone.
            Caller::Member(_) => is_hub(self.role()) || is_hub(role),
            // Who may use what is ours has no say in whether we use what is theirs.
            Caller::Partner { .. } => true,
            // At a catalogue a supernode publishes; at a supernode it is a catalogue that this one uses.
            Caller::Visitor { .. } => are_signed && (role == Role::Supernode || self.role() == Role::Supernode),
            Caller::Stranger => false,
        }
    }
}

fn is_hub(role: Role) -> bool {
    match role {
        Role::Supernode | Role::Catalogue => true,
        Role::Node => false,
    }
}
