//! The local door: makes a replica's ports reachable on this machine, wherever the replica runs.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent::Event;
use kernel::RequestId;
use tokio::{
    io::{self, AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vfabric::mail::Target;

use crate::host::Mind;

/// How many connections to one port may be open at once; further ones wait to be taken in.
const MAX_CONNECTIONS: usize = 256;
/// How much of each direction is held between a local connection and its stream.
const BUFFER: usize = 32 * 1024;
/// How long to wait where a connection can't be taken in.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A stream of bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where ports are made reachable.
#[async_trait::async_trait]
pub trait Doorstep: Send + Sync + 'static {
    /// Begins to listen at a port that is free.
    async fn listen(&self) -> io::Result<Box<dyn Door>>;
}

/// One port that is reachable.
#[async_trait::async_trait]
pub trait Door: Send + 'static {
    /// Where it is.
    fn address(&self) -> io::Result<SocketAddr>;

    /// Takes in whoever comes next. May be dropped at any time.
    async fn accept(&mut self) -> io::Result<Box<dyn Stream>>;
}

/// This machine's ports at one address.
#[derive(Debug, Clone, Copy)]
pub struct Local(pub IpAddr);

#[async_trait::async_trait]
impl Doorstep for Local {
    async fn listen(&self) -> io::Result<Box<dyn Door>> {
        Ok(Box::new(TcpListener::bind(SocketAddr::new(self.0, 0)).await?))
    }
}

#[async_trait::async_trait]
impl Door for TcpListener {
    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    async fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        let (local, _) = Self::accept(self).await?;
        // Small requests and answers must not wait for company.
        let _ = local.set_nodelay(true);
        Ok(Box::new(local))
    }
}

/// Opens streams to replicas.
#[async_trait::async_trait]
pub trait Opener: Send + Sync + 'static {
    /// Opens a stream to a port of a replica.
    async fn open(&self, target: &Target, port: u16) -> io::Result<Box<dyn Stream>>;
}

/// Makes ports reachable.
#[derive(Clone)]
pub struct Expose {
    doorstep: Arc<dyn Doorstep>,
    opener: Arc<dyn Opener>,
    mind: Mind,
    tasks: TaskTracker,
    open: Arc<Mutex<BTreeMap<RequestId, CancellationToken>>>,
}

impl Expose {
    /// Makes the doer that listens at a doorstep.
    pub fn new(doorstep: Arc<dyn Doorstep>, opener: Arc<dyn Opener>, mind: Mind, tasks: TaskTracker) -> Self {
        Self { doorstep, opener, mind, tasks, open: Arc::default() }
    }

    /// Makes a port reachable, and tells the mind where.
    pub fn expose(&self, request: RequestId, target: Target, name: String, port: u16) {
        let stop = self.of(request).child_token();
        let this = self.clone();
        self.tasks.spawn(async move {
            let door = match this.doorstep.listen().await {
                Ok(door) => door,
                Err(error) => return tracing::warn!(%error, "can not listen for a workload's port"),
            };
            let Ok(local) = door.address() else { return };
            let url = format!("http://{local}/");
            if this.mind.tell(Event::Exposed { request, port: name, url }).await.is_err() {
                return;
            }
            this.serve(door, target, port, stop).await;
        });
    }

    /// Makes a request's ports unreachable, and closes what is open.
    pub fn unexpose(&self, request: RequestId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = open.remove(&request) {
            stop.cancel();
        }
    }

    /// Closes everything.
    pub fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *open).into_values().for_each(|stop| stop.cancel());
    }

    fn of(&self, request: RequestId) -> CancellationToken {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(request).or_default().clone()
    }

    async fn serve(self, mut door: Box<dyn Door>, target: Target, port: u16, stop: CancellationToken) {
        let connections = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
        let target = Arc::new(target);
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = door.accept() => accepted,
            };
            let mut local = match accepted {
                Ok(local) => local,
                Err(error) => {
                    // Mostly there are too many open files, and there will be for a while: to ask at once again would
                    // only keep a processor busy.
                    tracing::debug!(%error, "can not take in a connection to a workload");
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let (opener, target, stop) = (Arc::clone(&self.opener), Arc::clone(&target), stop.clone());
            self.tasks.spawn(async move {
                let _permit = permit;
                let copying = async {
                    let mut far = opener.open(&target, port).await?;
                    io::copy_bidirectional_with_sizes(&mut local, &mut far, BUFFER, BUFFER).await
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    result = copying => if let Err(error) = result {
                        tracing::debug!(%error, "a connection to a workload ended");
                    }
                }
            });
        }
    }
}
