//! What can be known of committing from outside: whether something may be promised, and how much was done.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::ledger::Seq;

/// Whether something may be promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Ok,
    /// The disk is nearly full: refuse what would promise anew (`Storage`). Releases still go through, as long as they can
    /// be written.
    NoRoom {
        /// Free bytes.
        free: u64,
        /// Free bytes that there should be.
        floor: u64,
    },
    /// Nothing comes out any more, for this reason: the node has to end.
    Failed(String),
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Batches made durable.
    pub commits: u64,
    /// Syncs that made them so.
    pub syncs: u64,
    /// The most batches that shared one sync.
    pub largest_group: u64,
    /// Bytes written to the ledger, compaction apart.
    pub bytes: u64,
    /// Compactions of the ledger.
    pub compactions: u64,
    /// The last durable batch; 0 before the first since the start.
    pub durable: Seq,
    /// The last batch that is in the tables; behind `durable` for long when the tables had to be given up.
    pub applied: Seq,
}

impl Metrics {
    /// How many batches share a sync, on average.
    #[must_use]
    pub fn batches_per_sync(&self) -> f64 {
        if self.syncs == 0 { 0.0 } else { self.commits as f64 / self.syncs as f64 }
    }
}

/// The bytes that an ordinary user may still write on the disk that a directory is on.
///
/// # Errors
/// When the system cannot say.
pub fn free_space(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// An error and its causes in one sentence.
pub(super) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Where the committing thread writes and others read.
pub(super) struct Monitor {
    health: watch::Sender<Health>,
    commits: AtomicU64,
    syncs: AtomicU64,
    largest_group: AtomicU64,
    bytes: AtomicU64,
    compactions: AtomicU64,
    durable: AtomicU64,
    applied: AtomicU64,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            health: watch::Sender::new(Health::Ok),
            commits: AtomicU64::default(),
            syncs: AtomicU64::default(),
            largest_group: AtomicU64::default(),
            bytes: AtomicU64::default(),
            compactions: AtomicU64::default(),
            durable: AtomicU64::default(),
            applied: AtomicU64::default(),
        }
    }
}

impl Monitor {
    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(super) fn metrics(&self) -> Metrics {
        // Relaxed throughout: each number is right, and nobody adds two of them up.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            commits: read(&self.commits),
            syncs: read(&self.syncs),
            largest_group: read(&self.largest_group),
            bytes: read(&self.bytes),
            compactions: read(&self.compactions),
            durable: Seq(read(&self.durable)),
            applied: Seq(read(&self.applied)),
        }
    }

    pub(super) fn committed(&self, batches: u64, bytes: u64, last: Seq) {
        self.commits.fetch_add(batches, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.largest_group.fetch_max(batches, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.durable.store(last.0, Ordering::Relaxed);
    }

    pub(super) fn applied(&self, seq: Seq) {
        self.applied.store(seq.0, Ordering::Relaxed);
    }

    pub(super) fn compacted(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn measured(&self, free: u64, floor: u64) {
        let found = if free < floor { Health::NoRoom { free, floor } } else { Health::Ok };
        let is_news = self.health.send_if_modified(|health| {
            let is_news = match (&health, &found) {
                (Health::Failed(_), _) | (Health::Ok, Health::Ok) | (Health::NoRoom { .. }, Health::NoRoom { .. }) => {
                    false
                }
                (Health::Ok | Health::NoRoom { .. }, _) => true,
            };
            if is_news {
                *health = found.clone();
            }
            is_news
        });
        match (is_news, &found) {
            (true, Health::NoRoom { .. }) => {
                tracing::warn!(free, floor, "the disk is nearly full: nothing more is promised")
            }
            (true, _) => tracing::info!(free, "the disk has room again"),
            (false, _) => {}
        }
    }

    /// A batch could not be written for want of room, whatever the system says is free: there may be a quota.
    pub(super) fn out_of_room(&self, free: u64, floor: u64, error: &dyn Error) {
        let is_news = self.health.send_if_modified(|health| {
            let is_news = *health == Health::Ok;
            if is_news {
                *health = Health::NoRoom { free, floor };
            }
            is_news
        });
        let reason = sentence(error);
        if is_news {
            tracing::warn!(reason, free, "the disk has no room: nothing is promised until it has");
        } else {
            tracing::debug!(reason, free, "the disk still has no room");
        }
    }

    pub(super) fn fail(&self, error: &dyn Error) {
        let reason = sentence(error);
        tracing::error!(reason, "nothing more can be committed");
        self.health.send_replace(Health::Failed(reason));
    }
}
