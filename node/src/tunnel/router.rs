//! The virtual routers of this node as the door sees them: who may open streams, under which keys, and how many.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kernel::{ContractId, NodeId};
use network::mail::Route;
use rear_proto::local::Side;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    meter::{Board, Meter},
    secure::Keys,
};

/// How many questions and components of one contract may be under way here at once. They are counted apart from
/// connections, so that a busy site cannot keep its own managers from speaking.
const INBOUND: usize = 64;

/// One contract's way in and out.
pub(super) struct Router {
    pub(super) contract: ContractId,
    pub(super) side: Side,
    /// The only peer whose streams are admitted.
    pub(super) peer: NodeId,
    pub(super) keys: Keys,
    /// The limit of connections to ports, both directions together.
    pub(super) connections: Arc<Semaphore>,
    /// The limit of other streams that the far end opens.
    pub(super) inbound: Arc<Semaphore>,
    /// One component at a time is taken in from one peer, under however many contracts.
    pub(super) module: Arc<Semaphore>,
    pub(super) meter: Arc<Meter>,
    /// Called when the router is removed.
    pub(super) stop: CancellationToken,
    connections_limit: u32,
}

/// All routers, by contract.
pub(super) struct Routers {
    routers: Mutex<BTreeMap<ContractId, Arc<Router>>>,
    board: Arc<Board>,
    stop: CancellationToken,
}

impl Routers {
    pub(super) fn new(board: Arc<Board>, stop: CancellationToken) -> Self {
        Self { routers: Mutex::default(), board, stop }
    }

    /// Puts a router in place. One that differs in nothing that matters here stays as it is, with its streams.
    pub(super) fn install(&self, route: Route) {
        let Route { contract, side, peer, secret, remote_key, streams } = route;
        let keys = Keys { secret: Zeroizing::new(secret), remote: remote_key };
        let mut routers = self.lock();
        let old = routers.get(&contract);
        let same = |old: &&Arc<Router>| {
            old.side == side && old.peer == peer.node && old.keys == keys && old.connections_limit == streams
        };
        if old.filter(same).is_some() {
            return;
        }
        let of_peer = routers.values().find(|other| other.peer == peer.node).map(|other| Arc::clone(&other.module));
        let router = Router {
            contract,
            side,
            peer: peer.node,
            keys,
            connections: Arc::new(Semaphore::new(streams as usize)),
            inbound: Arc::new(Semaphore::new(INBOUND)),
            module: of_peer.unwrap_or_else(|| Arc::new(Semaphore::new(1))),
            // What has passed under a contract is one sum, whatever its keys were.
            meter: old.map_or_else(|| Meter::new(contract, Arc::clone(&self.board)), |old| Arc::clone(&old.meter)),
            stop: self.stop.child_token(),
            connections_limit: streams,
        };
        if let Some(old) = routers.insert(contract, Arc::new(router)) {
            old.stop.cancel();
        }
    }

    /// Takes a router away, and with it all its streams.
    pub(super) fn remove(&self, contract: ContractId) {
        if let Some(router) = self.lock().remove(&contract) {
            router.stop.cancel();
        }
    }

    /// Returns a contract's router.
    pub(super) fn of(&self, contract: &ContractId) -> Option<Arc<Router>> {
        self.lock().get(contract).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ContractId, Arc<Router>>> {
        self.routers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
