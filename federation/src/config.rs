//! The settings of the Federation Manager.

use kernel::{NodeId, Span};
use serde::{Deserialize, Serialize};

use crate::catalogues::CatalogueAddress;

/// What can be set of membership and of borders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// How long a certificate is good; it is renewed at half of that.
    ///
    /// 30 days: a node may be off for a fortnight and needs no new token, and one that was removed while the
    /// domain could not hear of it is out after a month at the latest.
    pub certificate_life: Span,
    /// How long the domain's description is good; an issuer renews it at half of that.
    pub descriptor_life: Span,
    /// How long the list of issuers is good that `init --domain` makes.
    ///
    /// Only the domain's key can make another, and it may lie in a safe: so ten years.
    pub list_life: Span,
    /// In which time a HELLO or JOIN of ours must be answered.
    pub hello_deadline: Span,
    /// After which time a HELLO without an answer is said again; it doubles up to 32 times as much.
    pub hello_retry: Span,
    /// The least time between two rounds of HELLOs that pass on what is new.
    ///
    /// Removals spread in a hop of this at most, so a domain knows within a second; and many at once cost one
    /// round.
    pub spread_every: Span,
    /// After which time this node tries again to have its certificate renewed.
    pub renew_retry: Span,
    /// The most members that are known; over it, those that are not connected and expire first are forgotten.
    pub members: usize,
    /// The most members that a connection is kept to; the domain's own supernodes do not count.
    ///
    /// Each costs keepalives and a socket, and twice as many as one LIST goes to is choice enough.
    pub keep_connected: usize,
    /// The most partners' supernodes and catalogues that a connection is kept to, at a supernode.
    pub keep_abroad: usize,
    /// The most members that a newcomer is told of.
    pub peers: usize,
    /// The most tokens that wait for their newcomers.
    pub tokens: usize,
    /// The longest that a token may be good: one that lies about for longer is forgotten by its maker.
    pub longest_ttl: Span,
    /// The most HELLOs of one node within `rate_window`: one, and one for each change that it passes on.
    pub hellos: u32,
    /// The most JOINs of one node within `rate_window`: a secret has 128 bits, so nobody needs many.
    pub joins: u32,
    /// The most ACCEPTs of one node within `rate_window`: as with JOINs.
    pub accepts: u32,
    /// Over which time those three are counted.
    pub rate_window: Span,
    /// The least time between two descriptions of the domain that tell only of its supernodes' addresses.
    ///
    /// At least a second: each goes to every member and partner.
    pub describe_every: Span,
    /// In which time an invitation that is taken up must be answered: a connection is made first.
    pub accept_deadline: Span,
    /// The most partners that are known, with those that were removed lately.
    pub partners: usize,
    /// The most invitations to become a partner that are not over yet.
    pub invitations: usize,
    /// The most visitors that a catalogue knows at once; each of them may bring 64 KiB of removals to remember.
    pub visitors: usize,
    /// Catalogues that a supernode uses, of whatever domain.
    pub catalogues: Vec<CatalogueAddress>,
    /// Nodes that are refused everything, whatever they prove.
    pub blocked: Vec<NodeId>,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            certificate_life: Span::secs(30 * DAY),
            descriptor_life: Span::secs(30 * DAY),
            list_life: Span::secs(3650 * DAY),
            hello_deadline: Span::secs(5),
            hello_retry: Span::secs(1),
            spread_every: Span::millis(200),
            renew_retry: Span::secs(60),
            members: 4096,
            keep_connected: 64,
            keep_abroad: 128,
            peers: 16,
            tokens: 1024,
            longest_ttl: Span::secs(30 * DAY),
            hellos: 60,
            joins: 10,
            accepts: 10,
            rate_window: Span::secs(10),
            describe_every: Span::secs(1),
            accept_deadline: Span::secs(10),
            partners: 1024,
            invitations: 256,
            visitors: 512,
            catalogues: Vec::new(),
            blocked: Vec::new(),
        }
    }
}
