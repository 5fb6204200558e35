//! A chain of relays with nothing around it, so that `benches/tunnel.rs` can measure what the tunnel itself costs.
//!
//! Its streams are pipes in memory, or those of transports on loopback. It is built with the feature `bench` alone.
#![allow(clippy::missing_panics_doc, clippy::expect_used, reason = "what fails here fails the benchmark")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use kernel::{ContractId, Digest, NodeId, Span};
use network::mail::{Junction, Route};
use rear_proto::{
    Code, Refusal,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    flavour::Party,
    local::Side,
    tunnel::public,
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::{Mutex as AsyncMutex, mpsc},
};
use tokio_util::task::TaskTracker;
use transport::{Config, Event, Handle};

use super::{Pace, Tunnels, failure::Failure, meter::Reading, world::World};
use crate::expose::Stream;

/// What a pipe holds each way: as much as a socket does, about.
const PIPE: usize = 256 * 1024;
/// Streams that wait to be taken up.
const WAITING: usize = 16;
const SECRETS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// A consumer, relays, and a provider, whose workload is the caller.
pub struct Chain {
    /// Each with its surroundings; the consumer first, the provider last.
    nodes: Vec<Node>,
    answers: AsyncMutex<mpsc::Receiver<()>>,
    accepted: AsyncMutex<mpsc::Receiver<DuplexStream>>,
}

struct Node {
    tunnels: Tunnels,
    bare: Arc<Bare>,
}

/// The surroundings of a node.
struct Bare {
    me: NodeId,
    doors: Mutex<BTreeMap<NodeId, Tunnels>>,
    handle: OnceLock<Handle>,
    answers: mpsc::Sender<()>,
    accepted: mpsc::Sender<DuplexStream>,
}

/// The name of the contract between a node and the next.
const fn contract(at: usize) -> ContractId {
    ContractId([at as u8; 16])
}

const fn party(node: NodeId) -> Party {
    Party { node, addresses: Vec::new() }
}

impl Chain {
    /// Makes a chain over pipes in memory.
    pub fn over_pipes(relays: usize) -> Self {
        let (chain, ids) = Self::bare(relays);
        for (one, other) in chain.pairs() {
            let mut doors = one.bare.doors.lock().unwrap_or_else(PoisonError::into_inner);
            doors.insert(other.bare.me, other.tunnels.clone());
        }
        chain.route(&ids);
        chain
    }

    /// Makes a chain over transports that listen here, such as `/ip4/127.0.0.1/tcp/0`.
    pub async fn over_loopback(relays: usize, listen: &str) -> Self {
        let (chain, _) = Self::bare(relays);
        let mut handles = Vec::new();
        for (at, node) in chain.nodes.iter().enumerate() {
            let config = Config { listen: vec![listen.to_owned()], ..Config::new([100 + at as u8; 32]) };
            let (handle, mut events) = transport::start(config).await.expect("a transport");
            let tunnels = node.tunnels.clone();
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    if let Event::Opened { peer, tunnel } = event {
                        tunnels.take_in(peer, Box::new(tunnel));
                    }
                }
            });
            node.bare.handle.get_or_init(|| handle.clone());
            handles.push(handle);
        }
        for pair in handles.windows(2) {
            if let [one, other] = pair {
                one.know(other.id(), other.listening().await);
            }
        }
        chain.route(&handles.iter().map(Handle::id).collect::<Vec<_>>());
        chain
    }

    fn bare(relays: usize) -> (Self, Vec<NodeId>) {
        let (answered, answers) = mpsc::channel(WAITING);
        let (accept, accepted) = mpsc::channel(WAITING);
        let ids: Vec<NodeId> = (0..relays + 2).map(|at| NodeId([50 + at as u8; 32])).collect();
        let node = |&me: &NodeId| {
            let (answers, accepted) = (answered.clone(), accept.clone());
            let bare = Arc::new(Bare { me, doors: Mutex::default(), handle: OnceLock::new(), answers, accepted });
            let world = Arc::clone(&bare) as Arc<dyn World>;
            Node { tunnels: Tunnels::over(world, TaskTracker::new(), Pace::default()), bare }
        };
        let nodes = ids.iter().map(node).collect();
        (Self { nodes, answers: AsyncMutex::new(answers), accepted: AsyncMutex::new(accepted) }, ids)
    }

    /// Each node with the next, towards the provider.
    fn pairs(&self) -> impl Iterator<Item = (&Node, &Node)> {
        self.nodes.iter().zip(self.nodes.iter().skip(1))
    }

    fn route(&self, ids: &[NodeId]) {
        let [mine, theirs] = SECRETS;
        let streams = 64;
        let last = ids.len() - 1;
        for (at, Node { tunnels, .. }) in self.nodes.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| ids.get(at)).copied().map(party);
            let after = ids.get(at + 1).copied().map(party);
            match (before, after) {
                (Some(buyer), Some(seller)) => {
                    tunnels.join(Junction { front: contract(at - 1), buyer, back: contract(at), seller, streams });
                }
                (None, Some(peer)) => tunnels.install(Route {
                    contract: contract(0),
                    side: Side::Consumer,
                    peer,
                    secret: mine,
                    remote_key: public(&theirs),
                    streams,
                }),
                (Some(peer), None) => tunnels.install(Route {
                    contract: contract(last - 1),
                    side: Side::Provider,
                    peer,
                    secret: theirs,
                    remote_key: public(&mine),
                    streams,
                }),
                (None, None) => {}
            }
        }
    }

    /// Opens a connection, and returns the user's end and the workload's.
    pub async fn connect(&self) -> (Box<dyn Stream>, DuplexStream) {
        let consumer = &self.nodes.first().expect("a consumer").tunnels;
        let user = consumer.open_port(contract(0), "web", 80).await.expect("a connection");
        let workload = self.accepted.lock().await.recv().await.expect("a workload's end");
        (user, workload)
    }

    /// Puts a question and waits for its answer.
    pub async fn ask(&self) {
        let ask = FabricAsk { request: FabricRequest::Close, tell: false, extensions: BTreeMap::new() };
        self.nodes.first().expect("a consumer").tunnels.transmit(0, contract(0), ask, Span::secs(30));
        self.answers.lock().await.recv().await.expect("an answer");
    }
}

#[async_trait::async_trait]
impl World for Bare {
    fn know(&self, _: &Party) {}

    async fn dial(&self, peer: &NodeId) -> Result<Box<dyn Stream>, Failure> {
        if let Some(handle) = self.handle.get() {
            let stream = handle.open(*peer).await;
            return Ok(Box::new(stream.map_err(|error| Failure::Unreachable(error.to_string()))?));
        }
        let door = self.doors.lock().unwrap_or_else(PoisonError::into_inner).get(peer).cloned();
        let door = door.ok_or_else(|| Failure::Unreachable("nobody there".into()))?;
        let (near, far) = duplex(PIPE);
        door.take_in(self.me, Box::new(far));
        Ok(Box::new(near))
    }

    async fn hear(&self, _: ContractId, _: FabricAsk) -> Result<FabricReply, Refusal> {
        Ok(FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: BTreeMap::new() })
    }

    async fn instance(&self, _: ContractId, workload: String) -> Result<String, Refusal> {
        Ok(workload)
    }

    async fn connect(&self, _: &str, _: u16) -> Result<Box<dyn Stream>, Refusal> {
        let (near, workload) = duplex(PIPE);
        self.accepted.send(workload).await.map_err(|_| Refusal::from(Code::Unavailable))?;
        Ok(Box::new(near))
    }

    fn largest_module(&self) -> u64 {
        0
    }

    fn has(&self, _: &Digest) -> bool {
        false
    }

    async fn load(&self, _: Digest) -> Result<Vec<u8>, Refusal> {
        Err(Code::NotFound.into())
    }

    async fn keep(&self, _: Digest, _: Vec<u8>) -> Result<(), Refusal> {
        Err(Code::Storage.into())
    }

    async fn answered(&self, _: u64, reply: Result<FabricReply, Refusal>) {
        reply.expect("an answer");
        let _ = self.answers.send(()).await;
    }

    async fn metered(&self, _: ContractId, _: Reading) {}
}
