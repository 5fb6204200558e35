//! The owner's end: asks, opens, dials, and says whom to know, keep and block.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use kernel::{NodeId, Span};
use libp2p::{Multiaddr, identity::Keypair};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    ask::{self, AskError},
    book,
    carrier::Carrier,
    config::Config,
    driver::Driver,
    event::{Events, Outbox},
    id,
    listen::{self, StartError},
    streams::{Line, OpenError, Outgoing, Protocol},
    swarm::{self, Network},
    tunnel::Tunnel,
};

/// Commands on their way to the driver; a caller waits while it is full.
const COMMANDS: usize = 256;

/// Peers whose addresses wait to be taken into the book; what comes when it is full is forgotten.
const UNREAD: usize = 1024;

/// Starts a node's transport on the machine's network: when this returns, it listens on every address of the
/// configuration.
///
/// # Errors
/// Says which address cannot be used, and why. Nothing is left running.
pub async fn start(config: Config) -> Result<(Handle, Events), StartError> {
    let key = key(&config)?;
    let network = swarm::machine(&config, &key).map_err(StartError::Network)?;
    start_on(config, &key, network, listen::probe).await
}

/// Starts a node's transport over another carrier of bytes. Its addresses are `/ip4/…/tcp/…` (or ip6), and names are not
/// resolved.
///
/// # Errors
/// Says which address cannot be used, and why. Nothing is left running.
pub async fn start_over(config: Config, carrier: impl Carrier) -> Result<(Handle, Events), StartError> {
    let key = key(&config)?;
    let network = swarm::carried(&config, &key, carrier).map_err(StartError::Network)?;
    // A carrier says itself what it can't listen on.
    start_on(config, &key, network, |_| Ok(())).await
}

fn key(config: &Config) -> Result<Keypair, StartError> {
    Keypair::ed25519_from_bytes(config.secret).map_err(|error| StartError::Network(std::io::Error::other(error)))
}

async fn start_on(
    config: Config,
    key: &Keypair,
    network: Network,
    probe: impl Fn(&Multiaddr) -> Result<(), StartError>,
) -> Result<(Handle, Events), StartError> {
    let failed = |error: std::io::Error| StartError::Network(error);
    let listen = config.listen.iter().map(|text| listen::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let bootstrap = config.bootstrap.iter().map(|text| parse_with_peer(text)).collect::<Result<Vec<_>, _>>()?;
    let swarm = swarm::build(&config, key, network).map_err(failed)?;
    let id = id::node(swarm.local_peer_id()).ok_or_else(|| failed(std::io::Error::other("the key is not ed25519")))?;

    let (outbox, events) = Outbox::new(config.limits.events);
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let shared = Arc::new(Shared {
        id,
        config,
        wishes: Wishes::default(),
        stopping: CancellationToken::new(),
        stopped: CancellationToken::new(),
    });
    let mut driver = Driver::new(swarm, inbox, outbox, shared.clone());
    driver.listen(listen, probe).await?;
    driver.bootstrap(bootstrap);
    // The task ends when it is told to stop or the last handle is gone; `Handle::stop` waits for it.
    tokio::spawn(driver.run());
    Ok((Handle { commands, shared }, events))
}

fn parse_with_peer(text: &str) -> Result<(Multiaddr, Option<NodeId>), StartError> {
    let address = listen::parse(text)?;
    book::split(address).map_err(|reason| StartError::Address { address: text.to_owned(), reason })
}

/// A node's transport, to be used from anywhere. The transport stops when the last handle is dropped.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// Why a dial failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The text is no address.
    #[error("'{address}' is not an address: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody could be reached there, or somebody else than named.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// What came of it.
        reason: String,
    },
    /// This node's transport has stopped.
    #[error("the transport has stopped")]
    Stopped,
}

/// What a handle asks of the driver.
pub(crate) enum Command {
    Open { peer: NodeId, line: Line, reply: oneshot::Sender<Result<Outgoing, OpenError>> },
    Dial { address: Multiaddr, peer: Option<NodeId>, reply: oneshot::Sender<Result<NodeId, DialError>> },
    Listening { reply: oneshot::Sender<Vec<String>> },
}

/// What handles and driver both see.
pub(crate) struct Shared {
    pub(crate) id: NodeId,
    pub(crate) config: Config,
    pub(crate) wishes: Wishes,
    pub(crate) stopping: CancellationToken,
    pub(crate) stopped: CancellationToken,
}

/// What was said without waiting, until the driver takes it. Said again before that, it replaces itself, so that
/// it needs no queue that could be full.
#[derive(Default)]
pub(crate) struct Wishes {
    said: Mutex<Said>,
    changed: Notify,
}

/// What of the wishes the driver has not taken yet.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) addresses: BTreeMap<NodeId, Vec<Multiaddr>>,
    pub(crate) blocked: BTreeMap<NodeId, bool>,
    pub(crate) kept: BTreeMap<NodeId, bool>,
    pub(crate) trusted: BTreeMap<NodeId, bool>,
}

impl Wishes {
    fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Takes what was said.
    pub(crate) fn take(&self) -> Said {
        std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something was said.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Handle {
    /// Returns this node's id.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }

    /// Asks a peer and waits for its answer, at most until the deadline; dials it first when need be.
    ///
    /// Dropping the future cancels the ask. It is never repeated.
    ///
    /// # Errors
    /// [`AskError::NotSent`], `Busy` and `RequestTooLarge` say that the far end has not looked at the request; after
    /// any other it may have acted upon it.
    pub async fn ask(
        &self,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        deadline: Span,
    ) -> Result<Vec<u8>, AskError> {
        let limits = &self.shared.config.limits;
        ask::check_size(&body, limits)?;
        let asking = async {
            let outgoing = self.stream(to, Line::Ask(protocol)).await?;
            ask::exchange(to, outgoing, body, limits).await
        };
        timeout(deadline.to_std(), asking).await.unwrap_or(Err(AskError::Timeout { peer: to, deadline }))
    }

    /// Opens a tunnel to a peer; dials it first when need be.
    ///
    /// # Errors
    /// Says why no stream could be opened. A peer that has too many open resets the tunnel after that.
    pub async fn open(&self, to: NodeId) -> Result<Tunnel, OpenError> {
        let within = self.shared.config.connect_within.to_std();
        let Outgoing { stream, permit } =
            timeout(within, self.stream(to, Line::Tunnel)).await.unwrap_or(Err(OpenError::Timeout(to)))?;
        Ok(Tunnel::new(stream, permit))
    }

    /// Remembers where a peer may be found. What is no address, or ends in another peer's id, is left out.
    pub fn know(&self, peer: NodeId, addresses: Vec<String>) {
        let room = self.shared.config.limits.known_addresses;
        let known = addresses.iter().filter_map(|text| match parse_with_peer(text) {
            Ok((address, named)) if named.is_none_or(|named| named == peer) => Some(address),
            Ok(_) | Err(_) => {
                tracing::debug!(%peer, address = %text, "not an address of this peer");
                None
            }
        });
        let known: Vec<_> = known.take(room).collect();
        self.shared.wishes.say(|said| {
            if !known.is_empty() && (said.addresses.len() < UNREAD || said.addresses.contains_key(&peer)) {
                let waiting = said.addresses.entry(peer).or_default();
                waiting.extend(known);
                waiting.drain(..waiting.len().saturating_sub(room));
            }
        });
    }

    /// Dials an address, with or without `/p2p/…` at its end, and returns who answered there.
    ///
    /// A peer that is named and already connected is not dialled again.
    pub async fn dial(&self, address: &str) -> Result<NodeId, DialError> {
        let (parsed, peer) = parse_with_peer(address).map_err(|error| DialError::Address {
            address: address.to_owned(),
            reason: match error {
                StartError::Address { reason, .. } => reason,
                other => other.to_string(),
            },
        })?;
        let (reply, dialled) = oneshot::channel();
        self.command(Command::Dial { address: parsed, peer, reply }).await.ok_or(DialError::Stopped)?;
        dialled.await.unwrap_or(Err(DialError::Stopped))
    }

    /// Closes all connections with a peer, and refuses further ones in both directions.
    pub fn block(&self, peer: NodeId) {
        self.say_blocked(peer, true);
    }

    /// Takes a block back.
    pub fn unblock(&self, peer: NodeId) {
        self.say_blocked(peer, false);
    }

    /// Says whether a peer is to be dialled whenever it is not connected, and its connections kept open while idle.
    pub fn keep(&self, peer: NodeId, keep: bool) {
        self.shared.wishes.say(|said| {
            said.kept.insert(peer, keep);
        });
    }

    /// Says whether a peer is trusted: the connections of one that is count for no stranger's.
    pub fn trust(&self, peer: NodeId, trust: bool) {
        self.shared.wishes.say(|said| {
            said.trusted.insert(peer, trust);
        });
    }

    /// Returns the addresses that this node listens on, without its peer id; none once it has stopped.
    pub async fn listening(&self) -> Vec<String> {
        let (reply, addresses) = oneshot::channel();
        match self.command(Command::Listening { reply }).await {
            Some(()) => addresses.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Closes all connections and waits until everything has ended. Asks under way fail, here and at the far ends.
    pub async fn stop(self) {
        self.shared.stopping.cancel();
        self.shared.stopped.cancelled().await;
    }

    fn say_blocked(&self, peer: NodeId, blocked: bool) {
        self.shared.wishes.say(|said| {
            said.blocked.insert(peer, blocked);
        });
    }

    async fn stream(&self, peer: NodeId, line: Line) -> Result<Outgoing, OpenError> {
        let (reply, opened) = oneshot::channel();
        self.command(Command::Open { peer, line, reply }).await.ok_or(OpenError::Stopped)?;
        match opened.await {
            Ok(opened) => opened,
            Err(_) if self.shared.stopping.is_cancelled() => Err(OpenError::Stopped),
            Err(_) => Err(OpenError::Closed(peer)),
        }
    }

    async fn command(&self, command: Command) -> Option<()> {
        self.commands.send(command).await.ok()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.shared.id).finish()
    }
}
