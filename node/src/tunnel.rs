//! The tunnel: an encrypted channel between the two ends of a contract, one stream for each thing that is said.
//!
//! ```text
//!  dialler                                  door
//!     │  clear: magic, version, contract     │   is there a router for it, and is this its peer? else: close
//!     │  Noise KK, first message       ────► │
//!     │  ◄────  Noise KK, second message     │   both ends have proven their keys
//!     │  sealed: opening               ────► │   Fabric · Module · Port
//!     │  ◄────  sealed: what follows from it │
//! ```
//!
//! Where contracts are backed by others, the stream goes through each relay's router, which gives the contract the name
//! that it has at the next hop. Nobody but the two ends reads what passes, whoever carries the stream; what is cut short
//! or tampered with is noticed. Flow control is that of the stream below: a slow reader slows its writer. Nothing is decided here: which
//! contracts there are, and under which keys, the mind says.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod crowd;
mod dial;
mod doer;
mod failure;
mod line;
mod meter;
mod relay;
mod router;
mod secure;
mod serve;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::{io, sync::Arc, time::Duration};

use kernel::{ContractId, Digest, NodeId, Span};
use network::mail::{Junction, Route};
use rear_proto::{
    Refusal,
    fabric::{FabricAnswer, FabricAsk, FabricReply},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    failure::Failure,
    meter::Board,
    router::{Router, Routers},
    world::World,
};
use crate::expose::Stream;

/// How long one message, of a MiB at most, may take to pass: what 1 Mbit/s needs.
const TRANSFER: Duration = Duration::from_secs(10);
/// How many components are taken in at once, from all contracts; others wait. Each may take 64 MiB of memory.
const MODULES_AT_ONCE: usize = 4;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How long a stream that comes in may take to prove itself and to say what it is for; at a relay, how long it may
    /// take to get a way on.
    opening: Duration,
    /// How long the far end of a stream may take to prove itself, once the next node is reached.
    proof: Duration,
    /// How often the bytes of a contract are reported while they change.
    report: Duration,
}

impl Default for Pace {
    /// Five seconds to open are a few round trips around the earth. Each relay on the way may need as long before the
    /// far end hears of a stream, and there are two where neither domain's nodes know the other's: whoever dials waits
    /// for them, and for the end. A relay that fails closes the stream at once, so this long is waited only for one that
    /// is silent.
    fn default() -> Self {
        Self { opening: Duration::from_secs(5), proof: Duration::from_secs(15), report: Duration::from_secs(1) }
    }
}

/// The doer of contracts' channels; cheap to clone.
#[derive(Clone)]
pub struct Tunnels(Arc<Hub>);

/// What all channels share.
struct Hub {
    world: Arc<dyn World>,
    routers: Routers,
    modules: Semaphore,
    pace: Pace,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Tunnels {
    /// Makes the doer over whatever carries streams and answers them, and begins to report what passes.
    fn over(world: Arc<dyn World>, tasks: TaskTracker, pace: Pace) -> Self {
        let (stop, board) = (CancellationToken::new(), Arc::new(Board::default()));
        tasks.spawn(Arc::clone(&board).report(Arc::clone(&world), pace.report, stop.clone()));
        let routers = Routers::new(board, stop.clone());
        Self(Arc::new(Hub { world, routers, modules: Semaphore::new(MODULES_AT_ONCE), pace, tasks, stop }))
    }

    /// Admits streams of a contract from here on. Installed again with other keys or another peer, it ends what is
    /// open under the old ones.
    pub fn install(&self, route: Route) {
        self.0.world.know(&route.peer);
        self.0.routers.install(route);
    }

    /// Carries on streams of either of two contracts under the other from here on. Joined again with another peer, it
    /// ends what is open.
    pub fn join(&self, junction: Junction) {
        self.0.world.know(&junction.buyer);
        self.0.world.know(&junction.seller);
        self.0.routers.join(&junction);
    }

    /// Admits no more streams of a contract, or of the two that are joined under it, and ends those that are open.
    pub fn remove(&self, contract: ContractId) {
        self.0.routers.remove(contract);
    }

    /// Asks the far end of a contract; the answer, or the lack of one, goes to the mind.
    pub fn transmit(&self, id: u64, contract: ContractId, ask: FabricAsk, deadline: Span) {
        self.answer(id, contract, move |hub, router| async move {
            let asking = dial::ask(&hub, &router, &ask);
            timeout(deadline.to_std(), asking).await.unwrap_or(Err(Failure::Timeout))
        });
    }

    /// Sends a component to the far end of a contract; the mind is told when it is kept there, or why it is not.
    pub fn ship(&self, id: u64, contract: ContractId, digest: Digest) {
        self.answer(id, contract, move |hub, router| async move {
            dial::ship(&hub, &router, digest).await?;
            Ok(FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: Default::default() })
        });
    }

    /// Ends every stream and takes no more.
    pub fn close(&self) {
        self.0.stop.cancel();
    }

    /// Does something with a contract's far end in a task of its own, and tells the mind what came of it.
    fn answer<F>(&self, id: u64, contract: ContractId, what: impl FnOnce(Arc<Hub>, Arc<Router>) -> F + Send + 'static)
    where
        F: Future<Output = Result<FabricReply, Failure>> + Send,
    {
        let hub = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let reply = match hub.routers.of(&contract) {
                None => Err(Failure::NoRouter),
                Some(router) => {
                    let stop = router.stop.clone();
                    let doing = what(Arc::clone(&hub), router);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => Err(Failure::NoRouter),
                        reply = doing => reply,
                    }
                }
            };
            if let Err(failure) = &reply {
                tracing::debug!(%contract, %failure, "no answer from the far end");
            }
            hub.world.answered(id, reply.map_err(Refusal::from)).await;
        });
    }

    /// Serves one stream that a peer has opened, in a task of its own.
    fn take_in(&self, peer: NodeId, stream: Box<dyn Stream>) {
        let hub = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let stop = hub.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                served = serve::serve(&hub, peer, stream) => if let Err(failure) = served {
                    tracing::debug!(%peer, %failure, "a stream of a contract ended");
                }
            }
        });
    }

    /// Opens a stream to a port of a replica at the far end of a contract.
    async fn open_port(&self, contract: ContractId, workload: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let router = self.0.routers.of(&contract).ok_or(Failure::NoRouter)?;
        let stop = router.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Failure::NoRouter.into()),
            stream = dial::port(&self.0, &router, workload, port) => Ok(Box::new(stream?)),
        }
    }
}
