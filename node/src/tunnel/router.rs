//! The virtual routers of this node as the door sees them: who may open streams, under which keys, and how many.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kernel::{ContractId, NodeId};
use network::mail::{Junction, Route};
use rear_proto::local::Side;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    crowd::Crowd,
    line::Line,
    meter::{Board, Meter},
    relay::{Joint, Onward},
    secure::Keys,
};
use crate::expose::Stream;

/// How many questions and components of one contract may be under way here at once. They are counted apart from
/// connections, so that a busy site cannot keep its own managers from speaking.
pub(super) const INBOUND: usize = 64;

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

impl Router {
    /// Counts a stream, and cuts it when the router is removed.
    pub(super) fn line(&self, stream: Box<dyn Stream>, permit: Option<OwnedSemaphorePermit>) -> Line {
        Line::new(&self.meter, self.side, &self.stop, stream, permit)
    }
}

/// What becomes of a stream that a contract's other party has opened.
pub(super) enum Way {
    /// It ends here.
    Here(Arc<Router>),
    /// It goes on.
    Onward(Onward),
}

/// What stands under a contract.
enum Entry {
    End(Arc<Router>),
    Relay(Arc<Joint>),
}

type Entries = BTreeMap<ContractId, Entry>;

/// All routers, by contract; one that joins two contracts stands under both.
pub(super) struct Routers {
    entries: Mutex<Entries>,
    crowd: Arc<Crowd>,
    board: Arc<Board>,
    stop: CancellationToken,
}

impl Routers {
    pub(super) fn new(board: Arc<Board>, stop: CancellationToken) -> Self {
        let crowd = Crowd::new(transport::Limits::default().tunnels_per_peer);
        Self { entries: Mutex::default(), crowd, board, stop }
    }

    /// Puts a router in place. One that differs in nothing that matters here stays as it is, with its streams.
    pub(super) fn install(&self, route: Route) {
        let Route { contract, side, peer, secret, remote_key, streams } = route;
        let keys = Keys { secret: Zeroizing::new(secret), remote: remote_key };
        let mut entries = self.lock();
        let old = match entries.get(&contract) {
            Some(Entry::End(old)) => Some(Arc::clone(old)),
            Some(Entry::Relay(_)) | None => None,
        };
        let same = |old: &&Arc<Router>| {
            old.side == side && old.peer == peer.node && old.keys == keys && old.connections_limit == streams
        };
        if old.as_ref().filter(same).is_some() {
            return;
        }
        let of_peer = entries.values().find_map(|entry| match entry {
            Entry::End(other) if other.peer == peer.node => Some(Arc::clone(&other.module)),
            Entry::End(_) | Entry::Relay(_) => None,
        });
        let router = Router {
            contract,
            side,
            peer: peer.node,
            keys,
            connections: Arc::new(Semaphore::new(streams as usize)),
            inbound: Arc::new(Semaphore::new(INBOUND)),
            module: of_peer.unwrap_or_else(|| Arc::new(Semaphore::new(1))),
            // What has passed under a contract is one sum, whatever its keys were.
            meter: old.map_or_else(|| self.meter(contract), |old| Arc::clone(&old.meter)),
            stop: self.stop.child_token(),
            connections_limit: streams,
        };
        clear(&mut entries, contract);
        entries.insert(contract, Entry::End(Arc::new(router)));
    }

    /// Puts a router in place that joins two contracts. One that joins them already stays as it is, with its streams.
    pub(super) fn join(&self, junction: &Junction) {
        let mut entries = self.lock();
        let old = match entries.get(&junction.front) {
            Some(Entry::Relay(old)) if old.front() == junction.front => Some(Arc::clone(old)),
            Some(Entry::Relay(_) | Entry::End(_)) | None => None,
        };
        if old.as_ref().is_some_and(|old| old.is(junction)) {
            return;
        }
        let meter = old.map_or_else(|| self.meter(junction.front), |old| Arc::clone(&old.meter));
        let joint = Arc::new(Joint::new(junction, &self.crowd, meter, self.stop.child_token()));
        for contract in joint.contracts() {
            clear(&mut entries, contract);
        }
        entries.extend(joint.contracts().map(|contract| (contract, Entry::Relay(Arc::clone(&joint)))));
    }

    /// Takes a router away, and with it all its streams; at a relay, either of its contracts names it.
    pub(super) fn remove(&self, contract: ContractId) {
        clear(&mut self.lock(), contract);
    }

    /// Returns the router of a contract of which this node is an end.
    pub(super) fn of(&self, contract: &ContractId) -> Option<Arc<Router>> {
        match self.lock().get(contract)? {
            Entry::End(router) => Some(Arc::clone(router)),
            Entry::Relay(_) => None,
        }
    }

    /// Returns the way of a stream that a peer has opened under a contract, if the peer is its other party.
    pub(super) fn way(&self, contract: ContractId, peer: NodeId) -> Option<Way> {
        match self.lock().get(&contract)? {
            Entry::End(router) if router.peer == peer => Some(Way::Here(Arc::clone(router))),
            Entry::End(_) => None,
            Entry::Relay(joint) => joint.onward(contract, peer).map(Way::Onward),
        }
    }

    fn meter(&self, contract: ContractId) -> Arc<Meter> {
        Meter::new(contract, Arc::clone(&self.board))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes away what stands under a contract.
fn clear(entries: &mut Entries, contract: ContractId) {
    match entries.remove(&contract) {
        None => {}
        Some(Entry::End(router)) => router.stop.cancel(),
        Some(Entry::Relay(joint)) => {
            joint.stop.cancel();
            for contract in joint.contracts() {
                entries.remove(&contract);
            }
        }
    }
}
