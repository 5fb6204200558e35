//! The `wasm` driver: WebAssembly components for WASI 0.2, run by wasmtime inside this process.
//!
//! Guests run on worker threads of their own, so that nothing that they do delays the node: each yields after a slice
//! (`ticker`), is charged for the processor time that it used and paused when it is over its share (`crate::cpu`), and
//! gets memory only from its workload's budget (`crate::memory`). A guest sees no files, no sockets and no other host;
//! asking for them is an error to it, not its end. `life` is a workload's task, `service` answers HTTP.

mod compiled;
mod guest;
mod life;
mod outgoing;
mod scratch;
mod service;
mod ticker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::compiled::Compiler;
use self::guest::Setup;
use self::life::{Backoff, Life, Workload};
use self::ticker::Ticker;
use crate::cache::Cache;
use crate::cpu::{Account, now};
use crate::driver::{ConnectError, Driver, Event, StartError, Stream, Usage};
use crate::logs::{LogChunk, Logs, lock};
use crate::memory::Budget;
use crate::spec::Spec;

pub use crate::logs::Clock;

/// Settings of the driver.
#[derive(Clone)]
pub struct Config {
    /// Compiled modules kept in memory.
    pub compiled: usize,
    /// Bytes of log kept per workload.
    pub log_bytes: usize,
    /// Threads that guests run on; as many as the machine has cores where `None`.
    pub threads: Option<usize>,
    /// Where scratch directories are made; a workload that wants one is refused where `None`. Owned by the driver alone:
    /// whatever else is in it, a sweep removes.
    pub scratch: Option<PathBuf>,
    /// The wait before a command runs again; doubles each time.
    pub backoff: Duration,
    /// The longest such wait.
    pub backoff_longest: Duration,
    /// A command that ran this long waits no longer than the first time.
    pub well_after: Duration,
    /// Dates log lines.
    pub clock: Option<Clock>,
}

impl Default for Config {
    /// 64 compiled modules, 1 MiB of log, waits from 1 s to 1 min, well after 1 min.
    fn default() -> Self {
        Self {
            compiled: 64,
            log_bytes: 1 << 20,
            threads: None,
            scratch: None,
            backoff: Duration::from_secs(1),
            backoff_longest: Duration::from_secs(60),
            well_after: Duration::from_secs(60),
            clock: None,
        }
    }
}

/// Why the driver could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The engine refuses this machine.
    #[error("the WebAssembly engine does not work here: {0}")]
    Engine(String),
    /// No threads are to be had.
    #[error("cannot start the threads that guests run on")]
    Threads(#[source] std::io::Error),
}

/// The driver. Dropping it without [`shutdown`](Driver::shutdown) ends all workloads without an event.
pub struct Wasm {
    config: Config,
    cache: Arc<Cache>,
    compiler: Arc<Compiler>,
    ticker: Arc<Ticker>,
    table: Arc<Mutex<Table>>,
    events: mpsc::Sender<Event>,
    closing: CancellationToken,
    lives: TaskTracker,
    guests: Option<tokio::runtime::Runtime>,
}

#[derive(Default)]
struct Table {
    workloads: BTreeMap<String, Arc<Workload>>,
    closed: bool,
}

impl Wasm {
    /// A driver that runs modules of `cache` and reports to `events`; [`Driver`] says what happens when that is full.
    pub fn new(config: Config, cache: Arc<Cache>, events: mpsc::Sender<Event>) -> Result<Self, OpenError> {
        let compiler = Compiler::new(Arc::clone(&cache), config.compiled)
            .map_err(|error| OpenError::Engine(format!("{error:#}")))?;
        let ticker = Arc::new(Ticker::new(compiler.engine()).map_err(OpenError::Threads)?);
        let mut guests = tokio::runtime::Builder::new_multi_thread();
        if let Some(threads) = config.threads {
            guests.worker_threads(threads.max(1));
        }
        // A poll may last a whole slice here, so timers and streams are looked after more often than the usual 61 polls.
        let guests =
            guests.event_interval(4).thread_name("wasm-guest").enable_all().build().map_err(OpenError::Threads)?;
        Ok(Self {
            config,
            cache,
            compiler,
            ticker,
            table: Arc::default(),
            events,
            closing: CancellationToken::new(),
            lives: TaskTracker::new(),
            guests: Some(guests),
        })
    }

    fn workload(&self, id: &str) -> Option<Arc<Workload>> {
        lock(&self.table).workloads.get(id).cloned()
    }

    fn setup(&self, spec: Spec) -> Result<Setup, StartError> {
        let invalid = |reason: &str| Err(StartError::Invalid(reason.into()));
        if spec.id.is_empty() {
            return invalid("it has no id");
        }
        if spec.limits.cpu_millis == 0 || spec.limits.memory_bytes == 0 {
            return invalid("it has no processor time or no memory");
        }
        let scratch = match (&self.config.scratch, spec.allow.scratch) {
            (_, false) => None,
            (Some(root), true) => Some(scratch::place(root, &spec.id)),
            (None, true) => return invalid("there are no scratch directories here"),
        };
        Ok(Setup {
            logs: Arc::new(Logs::new(self.config.log_bytes, self.config.clock.clone())),
            account: Account::new(spec.limits.cpu_millis, now()),
            budget: Arc::new(Budget::new(spec.limits.memory_bytes)),
            scratch,
            connections: Arc::new(Semaphore::new(outgoing::MAX_CONNECTIONS)),
            spec,
        })
    }

    async fn stop_all(&self, workloads: Vec<Arc<Workload>>, grace: Duration) {
        for workload in &workloads {
            workload.order_stop(grace);
        }
        for workload in workloads {
            workload.gone.cancelled().await;
        }
    }
}

#[async_trait]
impl Driver for Wasm {
    fn name(&self) -> &'static str {
        "wasm"
    }

    async fn start(&self, spec: Spec) -> Result<(), StartError> {
        let setup = self.setup(spec)?;
        let id = setup.spec.id.clone();
        let module = self.cache.hold(setup.spec.component).ok_or(StartError::UnknownModule(setup.spec.component))?;
        let workload = Workload::new(setup);
        {
            let mut table = lock(&self.table);
            if table.closed {
                return Err(StartError::ShuttingDown);
            }
            if table.workloads.contains_key(&id) {
                return Err(StartError::AlreadyExists(id));
            }
            table.workloads.insert(id.clone(), Arc::clone(&workload));
        }
        let life = Life {
            workload: Arc::clone(&workload),
            compiler: Arc::clone(&self.compiler),
            ticker: Arc::clone(&self.ticker),
            backoff: Backoff {
                first: self.config.backoff,
                longest: self.config.backoff_longest,
                well_after: self.config.well_after,
            },
            events: self.events.clone(),
            closing: self.closing.clone(),
        };
        let table = Arc::clone(&self.table);
        let task = async move {
            life.live(module).await;
            lock(&table).workloads.remove(&id);
            workload.gone.cancel();
        };
        match &self.guests {
            Some(guests) => drop(self.lives.spawn_on(task, guests.handle())),
            None => return Err(StartError::ShuttingDown),
        }
        Ok(())
    }

    async fn stop(&self, id: &str, grace: Duration) {
        self.stop_all(self.workload(id).into_iter().collect(), grace).await;
    }

    async fn connect(&self, id: &str, port: u16) -> Result<Box<dyn Stream>, ConnectError> {
        let workload = self.workload(id).ok_or_else(|| ConnectError::UnknownWorkload(id.into()))?;
        if !workload.setup.spec.ports.contains(&port) {
            return Err(ConnectError::UnknownPort { id: id.into(), port });
        }
        // The lock is held over the opening: a service that is taken out to be closed knows all its connections.
        let service = lock(&workload.service);
        let service = service.as_ref().ok_or_else(|| ConnectError::NotServing(id.into()))?;
        let stream = service.connect().ok_or_else(|| ConnectError::Busy(id.into()))?;
        Ok(Box::new(stream))
    }

    async fn logs(&self, id: &str, from: u64) -> LogChunk {
        self.workload(id).map(|workload| workload.setup.logs.read(from)).unwrap_or_default()
    }

    fn follow(&self, id: &str) -> Option<watch::Receiver<u64>> {
        Some(self.workload(id)?.setup.logs.follow())
    }

    async fn sweep(&self, keep: &BTreeSet<String>) {
        let swept: Vec<_> = {
            let table = lock(&self.table);
            let out = table.workloads.iter().filter(|(id, _)| !keep.contains(*id));
            out.map(|(_, workload)| Arc::clone(workload)).collect()
        };
        self.stop_all(swept, Duration::ZERO).await;
        if let Some(root) = self.config.scratch.clone() {
            scratch::sweep(root, keep).await;
        }
    }

    fn running(&self) -> Vec<String> {
        let table = lock(&self.table);
        let alive = table.workloads.iter().filter(|(_, workload)| !workload.status.borrow().has_ended());
        alive.map(|(id, _)| id.clone()).collect()
    }

    fn usage(&self, id: &str) -> Option<Usage> {
        let setup = &self.workload(id)?.setup;
        Some(Usage {
            cpu: setup.account.used(),
            memory_bytes: setup.budget.used(),
            memory_peak_bytes: setup.budget.peak(),
        })
    }

    async fn shutdown(&self) {
        let all: Vec<_> = {
            let mut table = lock(&self.table);
            table.closed = true;
            table.workloads.values().map(Arc::clone).collect()
        };
        self.closing.cancel();
        self.stop_all(all, Duration::ZERO).await;
        self.lives.close();
        self.lives.wait().await;
    }
}

impl Drop for Wasm {
    fn drop(&mut self) {
        // Waiting here could block a runtime's thread; whoever wants to wait calls `shutdown` before.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}
