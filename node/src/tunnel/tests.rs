//! Two ends of a contract, and the relays between them, with everything around them made up: what one dials leads to
//! its neighbour's door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod carried;
mod chain;
mod connections;
mod foreign;
mod garbage;
mod modules;
mod questions;
mod refused;
mod seal;
mod tap;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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
    sync::mpsc,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use self::tap::Tap;
use super::{Pace, Tunnels, failure::Failure, meter::Reading, world::World};
use crate::expose::Stream;

const CONTRACT: ContractId = ContractId([7; 16]);
const CONSUMER: NodeId = NodeId([1; 32]);
const PROVIDER: NodeId = NodeId([2; 32]);
const STRANGER: NodeId = NodeId([3; 32]);
/// Only what fails waits so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the streams below hold, each way.
const PIPE: usize = 64 * 1024;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("in time")
}

/// What an end is told.
#[derive(Debug)]
enum Told {
    Heard(FabricAsk),
    Forgotten,
    Answered(u64, Result<FabricReply, Refusal>),
    Metered(Reading),
}

/// The surroundings of one end.
struct Fake {
    me: NodeId,
    /// The contract, as it is named here.
    contract: ContractId,
    /// The doors that can be reached.
    doors: Mutex<BTreeMap<NodeId, Tunnels>>,
    /// What the streams pass through that are opened from here to a peer.
    taps: Mutex<BTreeMap<NodeId, Arc<Tap>>>,
    /// Who has been made known.
    known: Mutex<Vec<NodeId>>,
    /// What carries streams, where they do not lead to the other's door at once.
    handle: OnceLock<transport::Handle>,
    told: mpsc::UnboundedSender<Told>,
    /// Whether whoever is dialled does not answer.
    stuck: AtomicBool,
    /// Whether questions get no answer.
    mute: AtomicBool,
    modules: Mutex<BTreeMap<Digest, Vec<u8>>>,
    /// The workloads' ends of connections.
    accepted: mpsc::UnboundedSender<DuplexStream>,
}

/// Tells when it is dropped.
struct Bell(mpsc::UnboundedSender<Told>);

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = self.0.send(Told::Forgotten);
    }
}

#[async_trait::async_trait]
impl World for Fake {
    fn know(&self, party: &Party) {
        self.known.lock().unwrap().push(party.node);
    }

    async fn dial(&self, peer: &NodeId) -> Result<Box<dyn Stream>, Failure> {
        if let Some(handle) = self.handle.get() {
            let stream = handle.open(*peer).await.map_err(|error| Failure::Unreachable(error.to_string()))?;
            return Ok(Box::new(stream));
        }
        if self.stuck.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let far = self.doors.lock().unwrap().get(peer).cloned();
        let far = far.ok_or_else(|| Failure::Unreachable("nobody there".into()))?;
        let (near, other) = duplex(PIPE);
        let other = match self.taps.lock().unwrap().get(peer) {
            None => other,
            Some(tap) => Arc::clone(tap).through(other),
        };
        far.take_in(self.me, Box::new(other));
        Ok(Box::new(near))
    }

    async fn hear(&self, contract: ContractId, ask: FabricAsk) -> Result<FabricReply, Refusal> {
        assert_eq!(contract, self.contract);
        self.told.send(Told::Heard(ask.clone())).unwrap();
        if self.mute.load(Ordering::Relaxed) {
            let _bell = Bell(self.told.clone());
            return std::future::pending().await;
        }
        match ask.request {
            FabricRequest::Undeploy { workload } => Err(Refusal::new(Code::NotFound, workload)),
            _ => Ok(done()),
        }
    }

    async fn instance(&self, contract: ContractId, workload: String) -> Result<String, Refusal> {
        assert_eq!(contract, self.contract);
        Ok(format!("allocation/{workload}"))
    }

    async fn connect(&self, instance: &str, port: u16) -> Result<Box<dyn Stream>, Refusal> {
        if (instance, port) != ("allocation/web", 80) {
            return Err(Refusal::new(Code::Unavailable, format!("{instance} does not serve port {port}")));
        }
        let (near, workload) = duplex(PIPE);
        // A test that takes no connections has the workload close them.
        let _ = self.accepted.send(workload);
        Ok(Box::new(near))
    }

    fn largest_module(&self) -> u64 {
        1 << 20
    }

    fn has(&self, digest: &Digest) -> bool {
        self.modules.lock().unwrap().contains_key(digest)
    }

    async fn load(&self, digest: Digest) -> Result<Vec<u8>, Refusal> {
        self.modules.lock().unwrap().get(&digest).cloned().ok_or_else(|| Code::NotFound.into())
    }

    async fn keep(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), Refusal> {
        if digest != digest_of(&bytes) {
            return Err(Refusal::new(Code::Malformed, "not the one"));
        }
        self.modules.lock().unwrap().insert(digest, bytes);
        Ok(())
    }

    async fn answered(&self, id: u64, reply: Result<FabricReply, Refusal>) {
        let _ = self.told.send(Told::Answered(id, reply));
    }

    async fn metered(&self, contract: ContractId, reading: Reading) {
        if contract == self.contract {
            let _ = self.told.send(Told::Metered(reading));
        }
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::derive("test", &[bytes])
}

fn done() -> FabricReply {
    FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: BTreeMap::new() }
}

fn ask(request: FabricRequest) -> FabricAsk {
    FabricAsk { request, tell: false, extensions: BTreeMap::new() }
}

/// One end of the contract.
struct End {
    tunnels: Tunnels,
    fake: Arc<Fake>,
    told: mpsc::UnboundedReceiver<Told>,
    accepted: mpsc::UnboundedReceiver<DuplexStream>,
    /// Bytes up and down that were reported so far, and how many streams are open.
    sum: Reading,
}

impl End {
    fn new(me: NodeId, pace: Pace) -> Self {
        Self::under(CONTRACT, me, pace)
    }

    /// Makes a node where the contract has this name.
    #[allow(clippy::disallowed_methods, reason = "a test reads them to the end")]
    fn under(contract: ContractId, me: NodeId, pace: Pace) -> Self {
        let (told_to, told) = mpsc::unbounded_channel();
        let (accept, accepted) = mpsc::unbounded_channel();
        let fake = Arc::new(Fake {
            me,
            contract,
            doors: Mutex::default(),
            taps: Mutex::default(),
            known: Mutex::default(),
            handle: OnceLock::new(),
            told: told_to,
            stuck: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            modules: Mutex::default(),
            accepted: accept,
        });
        let tunnels = Tunnels::over(Arc::clone(&fake) as Arc<dyn World>, TaskTracker::new(), pace);
        Self { tunnels, fake, told, accepted, sum: Reading { up: 0, down: 0, streams: 0 } }
    }

    /// Lets this one's streams lead to a door.
    fn reaches(&self, other: &Self) {
        self.fake.doors.lock().unwrap().insert(other.fake.me, other.tunnels.clone());
    }

    /// Has the streams that this one opens to a peer go through a tap.
    fn is_tapped(&self, peer: NodeId, tap: &Arc<Tap>) {
        self.fake.taps.lock().unwrap().insert(peer, Arc::clone(tap));
    }

    /// Waits for the next thing told, and sums up what was metered meanwhile.
    async fn told(&mut self) -> Told {
        loop {
            match soon(self.told.recv()).await.unwrap() {
                Told::Metered(reading) => self.add(reading),
                other => return other,
            }
        }
    }

    fn add(&mut self, Reading { up, down, streams }: Reading) {
        self.sum = Reading { up: self.sum.up + up, down: self.sum.down + down, streams };
    }

    /// Waits until a report says that so many streams are open.
    async fn metered(&mut self, streams: u32) -> Reading {
        loop {
            match soon(self.told.recv()).await.unwrap() {
                Told::Metered(reading) => {
                    self.add(reading);
                    if self.sum.streams == streams {
                        return self.sum;
                    }
                }
                other => panic!("told {other:?}"),
            }
        }
    }

    /// Waits for the answer to a question.
    async fn answer(&mut self, to: u64) -> Result<FabricReply, Refusal> {
        match self.told().await {
            Told::Answered(id, reply) if id == to => reply,
            other => panic!("told {other:?}"),
        }
    }

    async fn refusal(&mut self, to: u64) -> Refusal {
        self.answer(to).await.unwrap_err()
    }

    /// Puts a question that the far end answers when it hears it.
    fn asks(&self, id: u64) {
        self.tunnels.transmit(id, self.fake.contract, ask(FabricRequest::Close), Span::secs(600));
    }

    fn has_heard_nothing(&mut self) -> bool {
        std::iter::from_fn(|| self.told.try_recv().ok()).all(|told| matches!(told, Told::Metered(_)))
    }
}

const SECRETS: [[u8; 32]; 2] = [[11; 32], [12; 32]];

/// The route of one end.
fn route(side: Side) -> Route {
    let (peer, mine, other) = match side {
        Side::Consumer => (PROVIDER, 0, 1),
        Side::Provider => (CONSUMER, 1, 0),
    };
    Route {
        contract: CONTRACT,
        side,
        peer: Party { node: peer, addresses: Vec::new() },
        secret: SECRETS[mine],
        remote_key: public(&SECRETS[other]),
        streams: 3,
    }
}

/// Both ends, each of which reaches the other; neither has a route.
fn strangers(pace: Pace) -> (End, End) {
    let (consumer, provider) = (End::new(CONSUMER, pace), End::new(PROVIDER, pace));
    consumer.reaches(&provider);
    provider.reaches(&consumer);
    (consumer, provider)
}

/// Both ends of a contract.
fn pair() -> (End, End) {
    let (consumer, provider) = strangers(Pace { report: Duration::from_millis(1), ..Pace::default() });
    consumer.tunnels.install(route(Side::Consumer));
    provider.tunnels.install(route(Side::Provider));
    (consumer, provider)
}
