//! Whom the driver dials, and what follows when that fails.

use kernel::NodeId;
use libp2p::{
    Multiaddr,
    swarm::{
        DialError as SwarmDialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{Dial, Driver};
use crate::{event::Event, handle::DialError, id, listen::root, redial::Target, streams::OpenError};

impl Driver {
    /// Remembers addresses that the owner tells; a kept peer that is away is tried at once at what is new.
    pub(super) fn learn(&mut self, peer: NodeId, addresses: Vec<Multiaddr>) {
        if peer != self.shared.id && self.book.add(peer, addresses) && !self.is_connected(&peer) {
            self.redials.hurry(&Target::Peer(peer));
        }
    }

    /// Remembers addresses that are only heard; a kept peer that is away is tried at once at what is new.
    pub(super) fn hear(&mut self, peer: NodeId, addresses: Vec<Multiaddr>) {
        if peer != self.shared.id && self.book.hear(peer, addresses) && !self.is_connected(&peer) {
            self.redials.hurry(&Target::Peer(peer));
        }
    }

    /// Begins or ends to hold on to a peer.
    pub(super) fn keep(&mut self, peer: NodeId, keep: bool) {
        self.swarm.behaviour_mut().streams.keep(id::peer(&peer), keep);
        let target = Target::Peer(peer);
        if !keep {
            self.redials.forget(&target);
        } else if peer != self.shared.id {
            self.redials.want(target);
        }
    }

    /// Tries once more to reach a target.
    pub(super) fn redial(&mut self, target: Target) {
        match target {
            Target::Peer(peer) if self.is_connected(&peer) || self.is_blocked(&peer) => {}
            Target::Peer(peer) => self.dial_peer(peer),
            Target::Address(address) => self.dial(Dial { address: Some(address), peer: None, reply: None }),
        }
    }

    /// Dials a peer at the addresses known of it, unless that is under way.
    pub(super) fn dial_peer(&mut self, peer: NodeId) {
        if !self.is_dialling(&peer) {
            self.dial(Dial { address: None, peer: Some(peer), reply: None });
        }
    }

    pub(super) fn dial(&mut self, dial: Dial) {
        // Always from a port of its own: two nodes that dial each other from their listening ports at the same moment
        // would meet in one TCP connection that each believes to have opened.
        let options = match (&dial.address, dial.peer) {
            (address, Some(peer)) => {
                let addresses = address.clone().map_or_else(|| self.book.of(&peer), |address| vec![address]);
                DialOpts::peer_id(id::peer(&peer))
                    .addresses(addresses)
                    .condition(PeerCondition::Always)
                    .allocate_new_port()
                    .build()
            }
            (Some(address), None) => DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build(),
            (None, None) => return,
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(connection, dial)),
            Err(error) => self.handle_dial_failed(dial, &error),
        }
    }

    pub(super) fn handle_dial_failed(&mut self, dial: Dial, error: &SwarmDialError) {
        let reason = explain(error);
        tracing::debug!(peer = ?dial.peer, address = ?dial.address, %reason, "dialled in vain");
        let Dial { address, peer, reply } = dial;
        if let (Some(reply), Some(address)) = (reply, &address) {
            let failed = DialError::Unreachable { address: address.to_string(), reason: reason.clone() };
            let _ = reply.send(Err(failed));
        }
        match (peer, address) {
            (Some(peer), _) => {
                if !self.is_connected(&peer) && !self.is_dialling(&peer) {
                    self.fail_waiting(&peer, &OpenError::Unreachable { peer, reason });
                    self.redials.failed(&Target::Peer(peer));
                    self.outbox.tell(Event::Unreachable { peer });
                }
            }
            (None, Some(address)) => {
                let target = Target::Address(address);
                if matches!(error, SwarmDialError::LocalPeerId { .. }) {
                    self.redials.forget(&target);
                } else {
                    self.redials.failed(&target);
                }
            }
            (None, None) => {}
        }
    }

    fn is_dialling(&self, peer: &NodeId) -> bool {
        self.dials.values().any(|dial| dial.peer.as_ref() == Some(peer))
    }
}

/// Says in a few words why a dial failed, for each address that was tried.
fn explain(error: &SwarmDialError) -> String {
    match error {
        SwarmDialError::NoAddresses => "no address of it is known".to_owned(),
        SwarmDialError::LocalPeerId { address } => format!("{address} is this node itself"),
        SwarmDialError::WrongPeerId { obtained, address } => format!("{address} belongs to {obtained}"),
        SwarmDialError::Transport(failed) => {
            let each: Vec<_> = failed.iter().map(|(address, error)| format!("{address}: {}", root(error))).collect();
            each.join("; ")
        }
        SwarmDialError::Denied { .. } | SwarmDialError::DialPeerConditionFalse(_) | SwarmDialError::Aborted => {
            root(error)
        }
    }
}
