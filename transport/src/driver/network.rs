//! What the driver makes of what the swarm tells.

use std::{collections::BTreeMap, net::Ipv4Addr};

use futures::future::Either;
use kernel::{NodeId, Span};
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    mdns, ping,
    swarm::{ConnectionId, SwarmEvent},
};

use super::{Driver, Link, Peer};
use crate::{
    behaviour::BehaviourEvent,
    book,
    event::Event,
    id,
    redial::Target,
    serve,
    streams::{Incoming, Line},
    tunnel::Tunnel,
};

/// Refusals under way beyond which a stream is reset without a word.
const REFUSALS: usize = 1024;

impl Driver {
    pub(super) fn handle_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, num_established, .. } => {
                self.handle_connected(&peer_id, connection_id, &endpoint, num_established.get());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, left = num_established, "a connection is gone");
                self.handle_disconnected(&peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(dial) = self.dials.remove(&connection_id) {
                    self.handle_dial_failed(dial, &error);
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an inbound connection came to nothing");
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.outbox.tell(Event::Listening { address: address.to_string() });
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "this node no longer listens there");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
            _ => {}
        }
    }

    fn handle_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(incoming) => self.handle_stream(incoming),
            BehaviourEvent::Ping(ping) => self.handle_ping(&ping),
            // What a peer says of itself is for the owner to ask and to judge.
            BehaviourEvent::Identify(_) => {}
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                // Somebody on this network says so: about as good as having been seen on it.
                let here = Multiaddr::from(Ipv4Addr::new(10, 0, 0, 0));
                let mut peers: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
                for (peer, address) in found {
                    if let Ok((address, _)) = book::split(address)
                        && book::is_plausible(&address, &here)
                    {
                        peers.entry(peer).or_default().push(address);
                    }
                }
                for (peer, addresses) in peers {
                    self.handle_found(&peer, addresses);
                }
            }
            // An expired record says nothing about the peer, which may well be connected.
            BehaviourEvent::Mdns(mdns::Event::Expired(_)) => {}
            BehaviourEvent::Limits(never) | BehaviourEvent::Blocked(never) => match never {},
        }
    }

    fn handle_connected(&mut self, peer_id: &PeerId, connection: ConnectionId, endpoint: &ConnectedPoint, number: u32) {
        let Some(peer) = id::node(peer_id) else { return };
        let mut address = endpoint.get_remote_address().clone();
        if let Ok((bare, Some(_))) = book::split(address.clone()) {
            address = bare;
        }
        let dialled = endpoint.is_dialer();
        if dialled {
            self.book.reached(peer, address.clone());
        }
        let silence = self.silences.insert(connection, self.shared.config.patience().to_std());
        self.links.insert(connection, Link { peer, dialled, silence });
        self.redials.reached(&Target::Peer(peer));
        self.make_room(peer);
        self.crowd_out_strangers();
        let state = self.peers.entry(peer).or_insert_with(|| Peer::new(&self.shared.config.limits));
        let is_first = state.connections == 0;
        state.connections = number;
        for waiting in state.waiting.drain(..) {
            self.swarm.behaviour_mut().streams.open(waiting);
        }
        if is_first {
            self.outbox.tell(Event::Connected { peer, address: address.to_string(), dialled });
        }
        if let Some(dial) = self.dials.remove(&connection) {
            if let Some(reply) = dial.reply {
                let _ = reply.send(Ok(peer));
            }
            if let (None, Some(address)) = (dial.peer, dial.address)
                && self.redials.forget(&Target::Address(address))
            {
                self.keep(peer, true);
                self.redials.reached(&Target::Peer(peer));
            }
        }
    }

    /// Closes the oldest connections of a peer that has more than half of what it may have.
    ///
    /// One that was killed and comes back has connections here that look alive until they have been silent for too
    /// long; they must not keep it out.
    fn make_room(&mut self, peer: NodeId) {
        let most = (self.shared.config.limits.connections_per_peer / 2).max(1) as usize;
        let of_peer: Vec<_> =
            self.links.iter().filter(|(_, link)| link.peer == peer).map(|(connection, _)| *connection).collect();
        for connection in &of_peer[..of_peer.len().saturating_sub(most)] {
            self.swarm.close_connection(*connection);
        }
    }

    /// Closes the oldest connections of strangers where there are too many: keys cost nothing, so whoever has many
    /// must not keep those out that are trusted, nor the stranger for ever that comes next and may be a newcomer.
    fn crowd_out_strangers(&mut self) {
        let strange = |link: &Link| !link.dialled && !self.trusted.contains(&link.peer);
        let strangers: Vec<_> =
            self.links.iter().filter(|(_, link)| strange(link)).map(|(connection, _)| *connection).collect();
        let most = self.shared.config.limits.of_strangers();
        for connection in &strangers[..strangers.len().saturating_sub(most)] {
            self.swarm.close_connection(*connection);
        }
    }

    fn handle_disconnected(&mut self, peer_id: &PeerId, connection: ConnectionId, left: u32) {
        if let Some(link) = self.links.remove(&connection) {
            self.silences.try_remove(&link.silence);
        }
        let Some(peer) = id::node(peer_id) else { return };
        if left > 0 {
            if let Some(state) = self.peers.get_mut(&peer) {
                state.connections = left;
            }
            return;
        }
        self.peers.remove(&peer);
        self.outbox.tell(Event::Disconnected { peer });
        self.redials.failed(&Target::Peer(peer));
    }

    fn handle_ping(&mut self, event: &ping::Event) {
        match &event.result {
            Ok(took) => {
                let patience = self.shared.config.patience().to_std();
                if let Some(link) = self.links.get_mut(&event.connection) {
                    // A silence that has just run out is closing its connection already.
                    if self.silences.try_remove(&link.silence).is_some() {
                        link.silence = self.silences.insert(event.connection, patience);
                    }
                }
                if let Some(peer) = id::node(&event.peer) {
                    let millis = took.as_micros().div_ceil(1000);
                    let span = Span::millis(u64::try_from(millis).unwrap_or(u64::MAX));
                    self.outbox.hint(Event::RoundTrip { peer, span });
                }
            }
            // Whether such a peer lives cannot be told.
            Err(ping::Failure::Unsupported) => {
                tracing::debug!(peer = %event.peer, "closing a connection: the peer answers no pings");
                self.swarm.close_connection(event.connection);
            }
            // libp2p tries again, and the silence goes on.
            Err(failure) => tracing::debug!(peer = %event.peer, %failure, "a ping failed"),
        }
    }

    pub(super) fn handle_silence(&mut self, connection: ConnectionId) {
        tracing::debug!(%connection, "closing a connection that has been silent for too long");
        self.swarm.close_connection(connection);
    }

    /// Somebody on the local network says that a peer is there.
    fn handle_found(&mut self, peer_id: &PeerId, addresses: Vec<Multiaddr>) {
        let Some(peer) = id::node(peer_id) else { return };
        if addresses.is_empty() {
            return;
        }
        let told = addresses.iter().map(Multiaddr::to_string).collect();
        self.hear(peer, addresses);
        self.outbox.hint(Event::Found { peer, addresses: told });
    }

    /// Takes in a stream that a peer has opened, or refuses it at once.
    fn handle_stream(&mut self, incoming: Incoming) {
        let Incoming { peer, line, stream } = incoming;
        let Some(state) = self.peers.get(&peer) else { return };
        match line {
            Line::Tunnel => {
                // A tunnel that cannot be taken in is reset, which its opener sees at once.
                let Ok(permit) = state.tunnels.clone().try_acquire_owned() else {
                    return tracing::debug!(%peer, "refused a tunnel: too many are open");
                };
                if let Some(queue) = self.outbox.queue() {
                    let _ = queue.try_send(Event::Opened { peer, tunnel: Tunnel::new(stream, permit) });
                }
            }
            Line::Ask(protocol) => {
                let of_peer = state.requests.clone().try_acquire_owned();
                let all = if self.trusted.contains(&peer) { &self.requests } else { &self.strange_requests };
                let of_all = all.clone().try_acquire_owned();
                let shared = self.shared.clone();
                let serving = match (of_peer, of_all, self.outbox.queue()) {
                    (Ok(of_peer), Ok(of_all), Some(queue)) => {
                        let queue = queue.clone();
                        Either::Left(async move {
                            let permits = [of_peer, of_all];
                            serve::serve(stream, (peer, protocol), queue, &shared.config, permits).await;
                        })
                    }
                    _ if self.serving.len() >= REFUSALS + shared.config.limits.requests => return,
                    _ => Either::Right(async move { serve::refuse_busy(stream, &shared.config).await }),
                };
                self.serving.spawn(serving);
            }
        }
    }
}
