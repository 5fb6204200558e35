//! The trait that every way of running a workload implements, and what passes between a driver and its caller.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::logs::LogChunk;
use crate::spec::{Digest, Spec};

/// A byte stream to a port of a workload.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Runs workloads.
///
/// A driver reports each change as an [`Event`] on the bounded queue that it was given when made. When the queue is full
/// the driver waits, and with it the workload's life cycle and whoever awaits [`stop`](Self::stop): so the task that
/// drains the queue must never await the driver. Events of one workload arrive in order. When the queue's reader is gone,
/// events are dropped.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The driver's name in configuration and in `doctor`.
    fn name(&self) -> &'static str;

    /// Accepts a workload and returns; the events tell how it goes on, beginning with [`Status::Starting`].
    async fn start(&self, spec: Spec) -> Result<(), StartError>;

    /// Ends a workload and returns when all that it used is free and [`Status::Stopped`] is on the queue.
    ///
    /// Requests under way may end within `grace`; what cannot be asked to end is ended at once. An unknown id is gone
    /// already. Dropping the future does not undo the order.
    async fn stop(&self, id: &str, grace: Duration);

    /// Opens a stream to a port of a running workload.
    async fn connect(&self, id: &str, port: u16) -> Result<Box<dyn Stream>, ConnectError>;

    /// The lines from sequence number `from` on that are still kept, as many as fit one chunk. Empty for an unknown id.
    async fn logs(&self, id: &str, from: u64) -> LogChunk;

    /// Announces lines: holds the sequence number that the next line will have, and closes when the workload is gone.
    /// `None` for an unknown id.
    fn follow(&self, id: &str) -> Option<watch::Receiver<u64>>;

    /// Ends whatever is not in `keep`, leftovers of an earlier life of the node included.
    async fn sweep(&self, keep: &BTreeSet<String>);

    /// The ids of workloads that are starting, running or waiting to run again; not of those that ended by themselves.
    fn running(&self) -> Vec<String>;

    /// What a workload uses; `None` for an unknown id.
    fn usage(&self, id: &str) -> Option<Usage>;

    /// Ends everything and returns when nothing runs any more. Later calls of [`start`](Self::start) are refused.
    async fn shutdown(&self);
}

/// A change in the life of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The workload's [`Spec::id`].
    pub id: String,
    /// What it is from here on.
    pub status: Status,
}

/// Where a workload is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Being prepared: compiled, linked, given its limits.
    Starting,
    /// Runs; a service answers from here on.
    Running,
    /// Ran to its end and succeeded; uses nothing any more.
    Succeeded,
    /// Ended and will not run again; uses nothing any more.
    Failed {
        /// One sentence for a person.
        reason: String,
    },
    /// Ended, and will run again.
    BackingOff {
        /// Why it ended, in one sentence.
        reason: String,
        /// How long until it runs again.
        after: Duration,
    },
    /// Ended by order, and forgotten.
    Stopped,
}

impl Status {
    /// Whether the workload ended by itself.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Succeeded | Self::Failed { .. } | Self::Stopped => true,
            Self::Starting | Self::Running | Self::BackingOff { .. } => false,
        }
    }
}

/// What a workload has used and uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time since the start.
    pub cpu: Duration,
    /// Bytes of memory at this moment.
    pub memory_bytes: u64,
    /// The most memory that it has used at any moment.
    pub memory_peak_bytes: u64,
}

/// Why a workload was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The module has to be put into the cache first.
    #[error("module {0} is not in the cache")]
    UnknownModule(Digest),
    /// A workload of that name exists.
    #[error("workload {0} exists already")]
    AlreadyExists(String),
    /// The specification cannot be met by anything.
    #[error("workload cannot run: {0}")]
    Invalid(String),
    /// The node is ending.
    #[error("the driver is shutting down")]
    ShuttingDown,
}

/// Why no stream could be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No workload has that name.
    #[error("no workload {0}")]
    UnknownWorkload(String),
    /// The specification does not list the port.
    #[error("workload {id} has no port {port}")]
    UnknownPort {
        /// The workload's name.
        id: String,
        /// The port that was asked for.
        port: u16,
    },
    /// The workload does not answer at this moment: it is starting, stopping or over, or is a command.
    #[error("workload {0} is not serving")]
    NotServing(String),
    /// The workload has as many connections as it may have.
    #[error("workload {0} has too many connections")]
    Busy(String),
}
