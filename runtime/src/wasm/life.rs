//! The life of one workload, in one task: prepare, run, wait, run again, end.
//!
//! ```text
//! Starting ─► Running ─► Succeeded │ Failed        stays until it is stopped, so that its log can be read
//!    ▲           │
//!    └─ BackingOff                                  a stop, from anywhere ─► Stopped
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::compiled::{CompileError, Compiler, Program};
use super::guest::{Guest, Setup, reason};
use super::scratch;
use super::service::Service;
use super::ticker::Ticker;
use crate::cache::InUse;
use crate::cpu::{Metered, now};
use crate::driver::{Event, Status};
use crate::logs::lock;
use crate::spec::Restart;

/// How soon a workload that ended runs again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    /// A workload that ran this long is well: the next wait is the first again.
    pub(crate) well_after: Duration,
}

/// What the driver and a workload's task share.
pub(crate) struct Workload {
    pub(crate) setup: Arc<Setup>,
    pub(crate) status: watch::Sender<Status>,
    /// There while it serves.
    pub(crate) service: Mutex<Option<Arc<Service>>>,
    /// The grace, once the order to stop has come.
    stop: watch::Sender<Option<Duration>>,
    /// Cancelled when nothing is left and `Stopped` is on the queue.
    pub(crate) gone: CancellationToken,
}

impl Workload {
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        Arc::new(Self {
            setup: Arc::new(setup),
            status: watch::Sender::new(Status::Starting),
            service: Mutex::new(None),
            stop: watch::Sender::new(None),
            gone: CancellationToken::new(),
        })
    }

    /// Orders the end; a later order can only shorten the grace.
    pub(crate) fn order_stop(&self, grace: Duration) {
        self.stop.send_if_modified(|order| {
            let shorter = order.is_none_or(|before| grace < before);
            if shorter {
                *order = Some(grace);
            }
            shorter
        });
    }
}

/// One workload's task.
pub(crate) struct Life {
    pub(crate) workload: Arc<Workload>,
    pub(crate) compiler: Arc<Compiler>,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) backoff: Backoff,
    pub(crate) events: mpsc::Sender<Event>,
    /// Once the driver is closing, an event that the queue has no room for is dropped.
    pub(crate) closing: CancellationToken,
}

/// How one run of a command ended.
enum Ended {
    Well,
    Badly(String),
    /// It could not even begin; beginning again would not help.
    Never(String),
}

impl Life {
    /// Lives until the workload is stopped; holds the module until it has ended.
    pub(crate) async fn live(self, module: InUse) {
        if let Some(place) = self.workload.setup.scratch.clone()
            && let Err(error) = scratch::make(place).await
        {
            self.workload.setup.logs.note(&format!("no scratch directory: {error}"));
        }
        let mut order = self.workload.stop.subscribe();
        let stopped = async {
            let _ = order.wait_for(Option::is_some).await;
        };
        let ended = tokio::select! {
            biased;
            () = stopped => None,
            status = self.run() => Some(status),
        };
        self.close_service().await;
        drop(module);
        scratch::remove(self.workload.setup.scratch.clone()).await;
        if let Some(status) = ended {
            if let Status::Failed { reason } = &status {
                self.workload.setup.logs.note(reason);
            }
            self.announce(status).await;
            let _ = self.workload.stop.subscribe().wait_for(Option::is_some).await;
        }
        self.announce(Status::Stopped).await;
    }

    /// Runs until the end that needs no order: the final status.
    async fn run(&self) -> Status {
        self.announce(Status::Starting).await;
        let setup = &self.workload.setup;
        let program = match self.compiler.program(setup.spec.component).await {
            Ok(program) => program,
            Err(error) => return Status::Failed { reason: sentence(&error) },
        };
        let limits = setup.spec.limits;
        let too_long = async {
            match limits.wall {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            biased;
            () = too_long => format!("ran longer than its limit of {:?}", limits.wall.unwrap_or_default()),
            () = scratch::overflow(setup.scratch.as_deref(), limits.storage_bytes) =>
                format!("kept more than its limit of {} bytes in its scratch directory", limits.storage_bytes),
            status = self.attempts(program) => return status,
        };
        Status::Failed { reason }
    }

    async fn attempts(&self, program: Program) -> Status {
        match program {
            Program::Service(program) => {
                match Service::open(Arc::clone(&self.workload.setup), program, Arc::clone(&self.ticker)).await {
                    Ok(service) => *lock(&self.workload.service) = Some(service),
                    Err(reason) => return Status::Failed { reason },
                }
                self.announce(Status::Running).await;
                std::future::pending().await
            }
            Program::Command(program) => self.repeat(&program).await,
        }
    }

    async fn repeat(&self, program: &CommandPre<Guest>) -> Status {
        let mut wait = self.backoff.first;
        loop {
            let begun = now();
            let ended = self.once(program).await;
            let reason = match (ended, self.workload.setup.spec.restart) {
                (Ended::Never(reason), _) | (Ended::Badly(reason), Restart::Never) => return Status::Failed { reason },
                (Ended::Well, Restart::OnFailure | Restart::Never) => return Status::Succeeded,
                (Ended::Badly(reason), Restart::Always | Restart::OnFailure) => reason,
                (Ended::Well, Restart::Always) => "ran to its end".into(),
            };
            if now() - begun >= self.backoff.well_after {
                wait = self.backoff.first;
            }
            self.workload.setup.logs.note(&reason);
            self.announce(Status::BackingOff { reason, after: wait }).await;
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(self.backoff.longest);
            self.announce(Status::Starting).await;
        }
    }

    async fn once(&self, program: &CommandPre<Guest>) -> Ended {
        let setup = &self.workload.setup;
        let mut store = match setup.store(program.engine(), &self.ticker) {
            Ok(store) => store,
            Err(error) => return Ended::Never(error.root_cause().to_string()),
        };
        let command = match Metered::new(&setup.account, program.instantiate_async(&mut store)).await {
            Ok(command) => command,
            Err(error) => return Ended::Never(reason(&error, &store.data().share)),
        };
        self.announce(Status::Running).await;
        match Metered::new(&setup.account, command.wasi_cli_run().call_run(&mut store)).await {
            Ok(Ok(())) => Ended::Well,
            Ok(Err(())) => Ended::Badly(blamed("ended with an error".into(), &store)),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(0)) => Ended::Well,
                Some(I32Exit(code)) => Ended::Badly(blamed(format!("exited with code {code}"), &store)),
                None => Ended::Badly(reason(&error, &store.data().share)),
            },
        }
    }

    /// Ends the service, if there is one: at once, unless an order to stop gives it a grace. The order may become
    /// shorter while this waits.
    async fn close_service(&self) {
        let Some(service) = lock(&self.workload.service).take() else { return };
        let mut order = self.workload.stop.subscribe();
        loop {
            let grace = order.borrow_and_update().unwrap_or_default();
            tokio::select! {
                () = service.close(grace) => return,
                _ = order.changed() => {}
            }
        }
    }

    async fn announce(&self, status: Status) {
        self.workload.status.send_replace(status.clone());
        let event = Event { id: self.workload.setup.spec.id.clone(), status };
        tracing::debug!(id = %event.id, status = ?event.status, "workload");
        tokio::select! {
            biased;
            _ = self.events.send(event) => {}
            () = self.closing.cancelled() => {}
        }
    }
}

fn blamed(what: String, store: &wasmtime::Store<Guest>) -> String {
    match store.data().share.blame() {
        Some(memory) => format!("{memory} ({what})"),
        None => what,
    }
}

/// An error and its causes in one line.
fn sentence(error: &CompileError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
