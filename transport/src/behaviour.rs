//! All that runs on each connection, composed.

use libp2p::{
    allow_block_list::{self, BlockedPeers},
    connection_limits, identify, mdns, ping,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::streams;

/// The behaviours of a node. What may refuse a connection comes first: what comes after never hears of it.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// Refuses connections over the limits.
    pub(crate) limits: connection_limits::Behaviour,
    /// Refuses blocked peers.
    pub(crate) blocked: allow_block_list::Behaviour<BlockedPeers>,
    /// Tombolo's own streams; refuses peers whose key is not ed25519.
    pub(crate) streams: streams::Behaviour,
    /// Measures round trips and finds dead connections.
    pub(crate) ping: ping::Behaviour,
    /// Tells peers which program this is, and no addresses.
    pub(crate) identify: identify::Behaviour,
    /// Finds nodes on the local network.
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
}
