//! The one task that owns the swarm: takes commands, polls the network, tells events. It never waits for anything else.

mod dialling;
mod network;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _};
use kernel::{NodeId, Rng};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    swarm::{ConnectionId, SwarmEvent},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tokio_util::time::{DelayQueue, delay_queue::Key};

use crate::{
    behaviour::Behaviour,
    book::Book,
    config::Limits,
    event::Outbox,
    handle::{Command, DialError, Said, Shared},
    id,
    listen::{self, StartError},
    redial::{Redials, Target},
    streams::{Line, OpenError, Opening, Outgoing},
};

/// How long starting waits for a listener to say where it listens; an interface may be slow to come up.
const LISTEN_WITHIN: Duration = Duration::from_secs(5);

/// How long stopping waits for connections to close in good order.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The state of the transport.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    shared: Arc<Shared>,
    book: Book,
    /// Peers that are connected or waited for.
    peers: BTreeMap<NodeId, Peer>,
    /// Dials under way.
    dials: BTreeMap<ConnectionId, Dial>,
    /// Kept peers, and bootstrap addresses not reached yet.
    redials: Redials,
    /// Peers that the owner trusts: strangers do not crowd them out.
    trusted: BTreeSet<NodeId>,
    /// Connections that are up.
    links: BTreeMap<ConnectionId, Link>,
    /// How long each connection may still be silent.
    silences: DelayQueue<ConnectionId>,
    listeners: Vec<ListenerId>,
    /// Inbound asks under way, of all that are trusted.
    requests: Arc<Semaphore>,
    /// The same of all strangers: whoever has many keys must not keep those out that are trusted.
    strange_requests: Arc<Semaphore>,
    /// The tasks that serve inbound asks; they end with the driver.
    serving: JoinSet<()>,
}

/// What is known of one peer while it is connected or waited for.
struct Peer {
    connections: u32,
    /// Streams to open as soon as there is a connection.
    waiting: Vec<Opening>,
    requests: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
    outgoing: Arc<Semaphore>,
}

impl Peer {
    fn new(limits: &Limits) -> Self {
        Self {
            connections: 0,
            waiting: Vec::new(),
            requests: Arc::new(Semaphore::new(limits.requests_per_peer)),
            tunnels: Arc::new(Semaphore::new(limits.tunnels_per_peer)),
            outgoing: Arc::new(Semaphore::new(limits.outgoing_per_peer)),
        }
    }
}

/// One connection.
struct Link {
    /// With whom.
    peer: NodeId,
    /// Whether this node has dialled.
    dialled: bool,
    /// When the connection counts as dead; put off by each ping that comes back.
    silence: Key,
}

/// A dial under way, and what it is for: an address, a peer at the addresses known of it, or both.
struct Dial {
    address: Option<Multiaddr>,
    peer: Option<NodeId>,
    reply: Option<oneshot::Sender<Result<NodeId, DialError>>>,
}

impl Driver {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        commands: mpsc::Receiver<Command>,
        outbox: Outbox,
        shared: Arc<Shared>,
    ) -> Self {
        let config = &shared.config;
        Self {
            book: Book::new(config.limits.known_peers, config.limits.known_addresses),
            redials: Redials::new(
                config.redial_first.to_std(),
                config.redial_most.to_std(),
                Rng::from_number(config.chance),
            ),
            requests: Arc::new(Semaphore::new(config.limits.requests - config.limits.strange_requests())),
            strange_requests: Arc::new(Semaphore::new(config.limits.strange_requests())),
            swarm,
            commands,
            outbox,
            shared,
            peers: BTreeMap::new(),
            dials: BTreeMap::new(),
            trusted: BTreeSet::new(),
            links: BTreeMap::new(),
            silences: DelayQueue::new(),
            listeners: Vec::new(),
            serving: JoinSet::new(),
        }
    }

    /// Listens on the addresses, each probed just before, and waits until each listener has said where.
    pub(crate) async fn listen(
        &mut self,
        addresses: Vec<Multiaddr>,
        probe: impl Fn(&Multiaddr) -> Result<(), StartError>,
    ) -> Result<(), StartError> {
        let mut starting = Vec::new();
        for address in addresses {
            probe(&address)?;
            match self.swarm.listen_on(address.clone()) {
                Ok(listener) => starting.push((listener, address)),
                Err(error) => return Err(listen::refused(&address, &error)),
            }
        }
        self.listeners = starting.iter().map(|(listener, _)| *listener).collect();
        match timeout(LISTEN_WITHIN, self.until_listening(starting)).await {
            Ok(listening) => listening,
            Err(_) => {
                tracing::warn!("some listeners have no address yet");
                Ok(())
            }
        }
    }

    async fn until_listening(&mut self, mut starting: Vec<(ListenerId, Multiaddr)>) -> Result<(), StartError> {
        while !starting.is_empty() {
            let event = self.swarm.select_next_some().await;
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => starting.retain(|(id, _)| id != listener_id),
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                    if let Some((_, address)) = starting.iter().find(|(id, _)| id == listener_id) {
                        let (address, reason) = (address.to_string(), listen::root(error));
                        return Err(StartError::Listen { address, reason });
                    }
                }
                _ => {}
            }
            self.handle_swarm(event);
        }
        // A listener on all interfaces names them one by one, without a pause.
        while let Some(event) = self.swarm.select_next_some().now_or_never() {
            self.handle_swarm(event);
        }
        Ok(())
    }

    /// Wants the bootstrap addresses reached, and whoever is there kept.
    pub(crate) fn bootstrap(&mut self, addresses: Vec<(Multiaddr, Option<NodeId>)>) {
        for (address, peer) in addresses {
            match peer {
                Some(peer) => {
                    self.book.add(peer, [address]);
                    self.keep(peer, true);
                }
                None => self.redials.want(Target::Address(address)),
            }
        }
    }

    /// Runs until told to stop, or until the last handle is gone.
    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        let _stopped = shared.stopped.clone().drop_guard();
        loop {
            // In this order, and yet fair: tokio's budget makes each queue step back after a while.
            tokio::select! {
                biased;
                () = shared.stopping.cancelled() => break,
                () = self.outbox.hand_over() => {}
                Some(_) = self.serving.join_next() => {}
                Some(silent) = poll_fn(|cx| self.silences.poll_expired(cx)) => self.handle_silence(silent.into_inner()),
                target = self.redials.next_due() => self.redial(target),
                () = shared.wishes.changed() => self.take_wishes(),
                command = self.commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.handle_swarm(event),
            }
        }
        self.close().await;
    }

    async fn close(mut self) {
        self.commands.close();
        self.serving.shutdown().await;
        for listener in std::mem::take(&mut self.listeners) {
            self.swarm.remove_listener(listener);
        }
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.connected_peers().next().is_some() {
                // A connection may have been on its way in or out.
                if let SwarmEvent::ConnectionEstablished { connection_id, .. } = self.swarm.select_next_some().await {
                    self.swarm.close_connection(connection_id);
                }
            }
        };
        if timeout(CLOSE_WITHIN, closing).await.is_err() {
            tracing::debug!("some connections were cut rather than closed");
        }
    }

    fn handle_command(&mut self, command: Command) {
        // Whoever says `know` and then asks expects the address to be known.
        self.take_wishes();
        match command {
            Command::Open { peer, line, reply } => self.open(peer, line, reply),
            Command::Dial { peer: Some(peer), reply, .. } if self.is_connected(&peer) => drop(reply.send(Ok(peer))),
            Command::Dial { address, peer, reply } => {
                self.dial(Dial { address: Some(address), peer, reply: Some(reply) });
            }
            Command::Listening { reply } => {
                let _ = reply.send(self.swarm.listeners().map(Multiaddr::to_string).collect());
            }
        }
    }

    fn take_wishes(&mut self) {
        let Said { addresses, blocked, kept, trusted } = self.shared.wishes.take();
        for (peer, addresses) in addresses {
            self.learn(peer, addresses);
        }
        for (peer, block) in blocked {
            if block {
                self.swarm.behaviour_mut().blocked.block_peer(id::peer(&peer));
                self.fail_waiting(&peer, &OpenError::Blocked(peer));
            } else if self.swarm.behaviour_mut().blocked.unblock_peer(id::peer(&peer)) {
                self.redials.hurry(&Target::Peer(peer));
            }
        }
        for (peer, keep) in kept {
            self.keep(peer, keep);
        }
        for (peer, trust) in trusted {
            if trust {
                self.trusted.insert(peer)
            } else {
                self.trusted.remove(&peer)
            };
        }
    }

    /// Opens a stream, at once or as soon as there is a connection.
    fn open(&mut self, peer: NodeId, line: Line, reply: oneshot::Sender<Result<Outgoing, OpenError>>) {
        let error = if peer == self.shared.id {
            OpenError::Unreachable { peer, reason: "that is this node itself".to_owned() }
        } else if self.is_blocked(&peer) {
            OpenError::Blocked(peer)
        } else {
            let state = self.peers.entry(peer).or_insert_with(|| Peer::new(&self.shared.config.limits));
            match state.outgoing.clone().try_acquire_owned() {
                Ok(permit) => {
                    let opening = Opening { peer, line, permit, reply };
                    if state.connections > 0 {
                        self.swarm.behaviour_mut().streams.open(opening);
                    } else {
                        state.waiting.retain(|waiting| !waiting.reply.is_closed());
                        state.waiting.push(opening);
                        self.dial_peer(peer);
                    }
                    return;
                }
                Err(_) => OpenError::Busy(peer),
            }
        };
        let _ = reply.send(Err(error));
    }

    fn fail_waiting(&mut self, peer: &NodeId, error: &OpenError) {
        if let Some(state) = self.peers.get_mut(peer) {
            for waiting in state.waiting.drain(..) {
                let _ = waiting.reply.send(Err(error.clone()));
            }
            if state.connections == 0 {
                self.peers.remove(peer);
            }
        }
    }

    fn is_connected(&self, peer: &NodeId) -> bool {
        self.peers.get(peer).is_some_and(|state| state.connections > 0)
    }

    fn is_blocked(&self, peer: &NodeId) -> bool {
        self.swarm.behaviour().blocked.blocked_peers().contains(&id::peer(peer))
    }
}
