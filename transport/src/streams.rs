//! The streams of Tombolo as a libp2p behaviour: opens them when told, hands over those that others open.
//!
//! It neither reads nor writes. libp2p's own `request-response` and `stream` behaviours are not used: the first
//! cannot cancel, picks no protocol for a request and drops what is over its limit without a word; the second
//! loses the second of two streams that arrive at once and keeps an entry for ever for each connection it saw.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    task::{Context, Poll},
};

use kernel::NodeId;
use libp2p::{
    InboundUpgrade, Multiaddr, OutboundUpgrade, PeerId, Stream,
    core::{Endpoint, transport::PortUse, upgrade::UpgradeInfo},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::ConnectionEstablished,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::id;

/// Inbound streams that wait in one connection for the driver; one that comes when it is full is reset.
const WAITING: usize = 64;

/// A protocol of asks and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// `/tombolo/rear/1`: between the nodes of a domain, and between supernodes.
    Rear,
    /// `/tombolo/federation/1`: between domains.
    Federation,
}

impl Protocol {
    /// Returns the name that libp2p negotiates.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rear => "/tombolo/rear/1",
            Self::Federation => "/tombolo/federation/1",
        }
    }
}

/// Why a stream could not be opened. Nothing of what it was for has been sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no connection, and none could be made.
    #[error("{peer} cannot be reached: {reason}")]
    Unreachable {
        /// The node that was to be reached.
        peer: NodeId,
        /// What was tried, and what came of it.
        reason: String,
    },
    /// This node has blocked the peer.
    #[error("{0} is blocked")]
    Blocked(NodeId),
    /// As many streams as allowed are open, or wait to be, to this peer.
    #[error("too many streams to {0} are open")]
    Busy(NodeId),
    /// The far end does not speak the protocol.
    #[error("{0} does not speak this protocol")]
    Unsupported(NodeId),
    /// It took too long.
    #[error("opening a stream to {0} took too long")]
    Timeout(NodeId),
    /// The connection broke meanwhile.
    #[error("the connection to {0} broke")]
    Closed(NodeId),
    /// This node's transport has stopped.
    #[error("the transport has stopped")]
    Stopped,
}

/// What a stream is for, as negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Ask(Protocol),
    Tunnel,
}

impl Line {
    const ALL: [Self; 3] = [Self::Ask(Protocol::Rear), Self::Ask(Protocol::Federation), Self::Tunnel];
}

impl AsRef<str> for Line {
    fn as_ref(&self) -> &str {
        match self {
            Self::Ask(protocol) => protocol.name(),
            Self::Tunnel => "/tombolo/tunnel/1",
        }
    }
}

/// A stream that this node has opened; the permit counts it for as long as it lives.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) stream: Stream,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A stream that is to be opened, and who waits for it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) peer: NodeId,
    pub(crate) line: Line,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) reply: oneshot::Sender<Result<Outgoing, OpenError>>,
}

/// A stream that a peer has opened.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) peer: NodeId,
    pub(crate) line: Line,
    pub(crate) stream: Stream,
}

/// What the behaviour tells the handler of one connection.
#[derive(Debug)]
pub(crate) enum Order {
    Open(Opening),
    Keep(bool),
}

/// Opens and accepts streams, and knows the connections of each peer, oldest first.
#[derive(Default)]
pub(crate) struct Behaviour {
    connections: BTreeMap<PeerId, Vec<ConnectionId>>,
    kept: BTreeSet<PeerId>,
    queue: VecDeque<ToSwarm<Incoming, Order>>,
}

impl Behaviour {
    /// Opens a stream over the newest connection: an older one may be dead without having said so.
    pub(crate) fn open(&mut self, opening: Opening) {
        let peer = id::peer(&opening.peer);
        match self.connections.get(&peer).and_then(|connections| connections.last()) {
            Some(connection) => self.order(peer, *connection, Order::Open(opening)),
            None => {
                let closed = OpenError::Closed(opening.peer);
                let _ = opening.reply.send(Err(closed));
            }
        }
    }

    /// Says whether the connections of a peer stay open while nothing uses them.
    pub(crate) fn keep(&mut self, peer: PeerId, keep: bool) {
        let changed = if keep { self.kept.insert(peer) } else { self.kept.remove(&peer) };
        if changed {
            for connection in self.connections.get(&peer).cloned().unwrap_or_default() {
                self.order(peer, connection, Order::Keep(keep));
            }
        }
    }

    fn order(&mut self, peer_id: PeerId, connection: ConnectionId, event: Order) {
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event });
    }

    fn handler(&self, peer: &PeerId) -> Result<Handler, ConnectionDenied> {
        let node = id::node(peer).ok_or_else(|| ConnectionDenied::new("the peer's key is not ed25519"))?;
        Ok(Handler { peer: node, kept: self.kept.contains(peer), orders: VecDeque::new(), incoming: VecDeque::new() })
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Incoming;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        self.handler(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        self.handler(&peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.connections.entry(peer_id).or_default().push(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(connections) = self.connections.get_mut(&peer_id) {
                    connections.retain(|connection| *connection != connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        self.queue.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Incoming, THandlerInEvent<Self>>> {
        // The swarm is polled after every call from the driver, so there is nobody to wake.
        self.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The part of the behaviour that lives in one connection.
pub(crate) struct Handler {
    peer: NodeId,
    kept: bool,
    orders: VecDeque<Opening>,
    incoming: VecDeque<Incoming>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Order;
    type ToBehaviour = Incoming;
    type InboundProtocol = Lines;
    type OutboundProtocol = Lines;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Lines> {
        SubstreamProtocol::new(Lines(Line::ALL.to_vec()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.kept
    }

    fn on_behaviour_event(&mut self, order: Order) {
        match order {
            Order::Open(opening) => self.orders.push_back(opening),
            Order::Keep(keep) => self.kept = keep,
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Lines, Opening, Incoming>> {
        if let Some(incoming) = self.incoming.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(incoming));
        }
        while let Some(opening) = self.orders.pop_front() {
            if !opening.reply.is_closed() {
                let protocol = SubstreamProtocol::new(Lines(vec![opening.line]), opening);
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
            }
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Lines, Lines, (), Opening>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                let (stream, line) = protocol;
                if self.incoming.len() < WAITING {
                    self.incoming.push_back(Incoming { peer: self.peer, line, stream });
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let (stream, _) = protocol;
                let _ = info.reply.send(Ok(Outgoing { stream, permit: info.permit }));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::Timeout(self.peer),
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported(self.peer),
                    StreamUpgradeError::Io(_) => OpenError::Closed(self.peer),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.reply.send(Err(error));
            }
            _ => {}
        }
    }
}

/// The protocols that a stream may have, for negotiation.
#[derive(Debug)]
pub(crate) struct Lines(Vec<Line>);

impl UpgradeInfo for Lines {
    type Info = Line;
    type InfoIter = std::vec::IntoIter<Line>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Lines {
    type Output = (Stream, Line);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, line: Line) -> Self::Future {
        ready(Ok((stream, line)))
    }
}

impl OutboundUpgrade<Stream> for Lines {
    type Output = (Stream, Line);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, line: Line) -> Self::Future {
        ready(Ok((stream, line)))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
