//! The tables as they are shown.

use kernel::{NodeId, Span, Time};
use rear_proto::{Flavour, local::Realm, membership::Role};

/// A candidate; REAR adds its rank, and why.
#[derive(Debug, Clone, Copy)]
pub struct CandidateView<'a> {
    /// The offer.
    pub flavour: &'a Flavour,
    /// From whom it was heard.
    pub seen_via: NodeId,
    /// For how long it has not been heard of.
    pub age: Span,
    /// After which time it is dropped unless it is heard of again.
    pub expires_in: Span,
    /// The latency to its provider in milliseconds, where it was measured.
    pub round_trip_ms: Option<u32>,
}

/// An endpoint: a node that answers LIST_FLAVOURS.
#[derive(Debug, Clone, Copy)]
pub struct EndpointView<'a> {
    /// Which node.
    pub node: NodeId,
    /// Where.
    pub addresses: &'a [String],
    /// As what.
    pub role: Role,
    /// Where it belongs.
    pub realm: Realm,
    /// Whether it can be reached now.
    pub up: bool,
    /// How long its answers take, in milliseconds, where one has come.
    pub round_trip_ms: Option<u32>,
    /// When it last answered.
    pub last_heard: Option<Time>,
    /// How many candidates there are of it.
    pub candidates: usize,
    /// How many of its offers were not believed since this node started.
    pub disbelieved: u64,
}
