//! What a node's transport can be told: addresses, patience and limits.

use std::hash::{BuildHasher as _, RandomState};

use kernel::Span;

/// The settings of a node's transport.
#[derive(Clone)]
pub struct Config {
    /// The seed of the node's ed25519 key (RFC 8032): what the node *is*. Never logged.
    pub secret: [u8; 32],
    /// Multiaddresses to listen on: `/ip4/…/tcp/…` or `/ip4/…/udp/…/quic-v1`; port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddresses that are dialled until reached, and from then on kept; with or without `/p2p/…`.
    pub bootstrap: Vec<String>,
    /// Whether nodes are looked for, and shown to others, on the local network by mDNS.
    pub mdns: bool,
    /// How long a connection rests between one ping and the next.
    pub ping_every: Span,
    /// How many times `ping_every` may pass without a ping that came back before a connection counts as dead and
    /// is closed.
    pub ping_failures: u32,
    /// How long a connection without streams stays open, unless its peer is kept.
    pub idle_timeout: Span,
    /// How long it may take to set up a connection, and to open a tunnel over it.
    pub connect_within: Span,
    /// How long an asker may take to send its request, and to take in the answer.
    pub transfer_within: Span,
    /// How long an [`Answer`](crate::Answer) may be held before the asker is told that none will come.
    pub answer_within: Span,
    /// The longest pause before the second try to reach a kept peer; it doubles with each failure.
    pub redial_first: Span,
    /// The longest pause between two tries to reach a kept peer.
    pub redial_most: Span,
    /// The seed of what is drawn here: how much longer or shorter each pause is, so that many nodes do not come back at
    /// the same moment. Nothing secret follows from it.
    pub chance: u64,
    /// What other nodes are told of this program: `tombolo/<version>`, and nothing else.
    pub version: String,
    /// What others may make this node hold.
    pub limits: Limits,
}

impl Config {
    /// Returns the default settings for the node with this ed25519 seed: it listens nowhere and knows nobody.
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: false,
            ping_every: Span::secs(15),
            ping_failures: 3,
            idle_timeout: Span::secs(300),
            connect_within: Span::secs(10),
            transfer_within: Span::secs(10),
            answer_within: Span::secs(60),
            redial_first: Span::millis(500),
            redial_most: Span::secs(60),
            chance: RandomState::new().hash_one(()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            limits: Limits::default(),
        }
    }

    /// How long a connection may be silent.
    pub(crate) fn patience(&self) -> Span {
        self.ping_every.times(u64::from(self.ping_failures.max(1)))
    }
}

/// What others may make this node hold; beyond each limit they get a prompt refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. An eighth of them is left to those that this node dials, and a quarter at most is for
    /// strangers: peers that connect and that the owner does not trust. Over it, the oldest of theirs is closed.
    pub connections: u32,
    /// Connections with one peer.
    pub connections_per_peer: u32,
    /// Inbound connections that are still being set up.
    pub pending_in: u32,
    /// Outbound connections that are still being set up.
    pub pending_out: u32,
    /// Inbound asks under way, in all: with the size of a request, this bounds the memory that they take. A quarter is
    /// for strangers, and the rest for those that the owner trusts.
    pub requests: usize,
    /// Inbound asks under way, from one peer.
    pub requests_per_peer: usize,
    /// Inbound tunnels open, from one peer.
    pub tunnels_per_peer: usize,
    /// Outbound asks and tunnels under way, to one peer.
    pub outgoing_per_peer: usize,
    /// Bytes of a request's body, both sent and received.
    pub request_bytes: usize,
    /// Bytes of an answer's body, both sent and received.
    pub answer_bytes: usize,
    /// Events that wait to be taken. When it is full, asks and tunnels are refused as busy, round trips and found
    /// addresses are forgotten, and changes of connection wait (there are at most two for each peer).
    pub events: usize,
    /// Peers whose addresses are remembered; the one longest unheard of makes room, and one that was only heard of
    /// before any that was told of or reached.
    pub known_peers: usize,
    /// Addresses remembered of one peer: so many that were told or reached, and as many that were only heard.
    pub known_addresses: usize,
}

impl Limits {
    /// Inbound connections of peers that are not trusted.
    pub(crate) fn of_strangers(&self) -> usize {
        (self.connections / 4).max(1) as usize
    }

    /// Inbound asks under way of peers that are not trusted.
    pub(crate) fn strange_requests(&self) -> usize {
        (self.requests / 4).max(1).min(self.requests)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_peer: 8,
            pending_in: 128,
            pending_out: 128,
            requests: 512,
            requests_per_peer: 64,
            tunnels_per_peer: 128,
            outgoing_per_peer: 256,
            request_bytes: 256 * 1024,
            answer_bytes: 1024 * 1024,
            events: 1024,
            known_peers: 4096,
            known_addresses: 16,
        }
    }
}
