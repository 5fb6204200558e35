//! Group commit: one thread that makes batches durable, lets go of what waits for them, and then tells the tables.
//!
//! ```text
//! mind ── submit(rows, then) ──► queue ──► append all ─► one sync ──► then, then, then ──► host
//!                                                                └──► store, compaction, free space
//! ```
//! Batches that are submitted while a sync is under way share the next one. What comes out is in the order of
//! submission. An append for which the disk has no room is tried again until it has, and all waits; nothing new is promised
//! meanwhile. When an append fails otherwise, or a sync does, nothing more comes out: the mind is ahead of what can be
//! promised, so the node has to end. This decides nothing else, and reads no clock.

mod health;
mod keeper;
mod queue;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use self::health::{Health, Metrics, free_space};
pub use self::keeper::Keeper;
pub use self::queue::Ended;

use self::health::Monitor;
use self::queue::{Entry, Queue, Work};
use crate::ledger::{AppendError, CompactError, Ledger, Poisoned};
use crate::row::Row;
use crate::store::Store;

/// How batches are committed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Batches that may wait before [`Committer::has_room`] says no.
    pub queue: usize,
    /// Free bytes on the disk under which nothing more should be promised; leaves room to record releases.
    pub floor: u64,
    /// How long without work until free space is measured and the tables are flushed.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        // 4096 batches are some megabytes, and some tens of milliseconds of a slow disk's syncs in large groups.
        Self { queue: 4096, floor: 64 * 1024 * 1024, idle: Duration::from_secs(1) }
    }
}

/// Why nothing more can be committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A batch could not be written, though nothing of it is left in the ledger.
    #[error("a batch could not be written")]
    Append(#[from] AppendError),
    /// What is on the disk is unknown.
    #[error("what was written may not be on the disk")]
    Poisoned(#[from] Poisoned),
    /// The committing thread ended by a defect of this program.
    #[error("the committing thread panicked")]
    Panicked,
}

/// Takes batches, and lets go of what comes with each when it is durable.
pub struct Committer<T> {
    queue: Arc<Queue<T>>,
    monitor: Arc<Monitor>,
    thread: Option<JoinHandle<Result<(), CommitError>>>,
}

impl<T: Send + 'static> Committer<T> {
    /// Starts the committing thread on a ledger and the tables that were caught up with it. `dir` is where both are;
    /// its free space is watched.
    ///
    /// What comes out of the receiver may leave the node. It ends when the committer was closed and everything has come
    /// out, or when committing failed: then [`Committer::health`] says why. It is unbounded: whoever reads it also
    /// submits, and [`Committer::has_room`] bounds that.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        ledger: Ledger,
        store: Store,
        settings: Settings,
        dir: &Path,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<T>)> {
        let dir = dir.to_owned();
        Self::start_measuring(ledger, store, settings, Box::new(move || free_space(&dir)))
    }

    fn start_measuring(
        ledger: Ledger,
        store: Store,
        settings: Settings,
        free_space: FreeSpace,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<T>)> {
        #[allow(clippy::disallowed_methods, reason = "whoever reads it also submits, and `has_room` bounds that")]
        let (out, durable) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::new(settings.queue));
        let monitor = Arc::new(Monitor::default());
        let mut worker = Worker {
            ledger,
            store: Some(store),
            settings,
            free_space,
            out,
            queue: Arc::clone(&queue),
            monitor: Arc::clone(&monitor),
        };
        // Once before the first batch, so that a node that starts on a full disk promises nothing.
        worker.measure();
        let thread = thread::Builder::new().name("commit".to_owned()).spawn(move || {
            // Dropped before the worker and its sender: whoever sees the end of what comes out can read why.
            let end = EndOnDrop(Arc::clone(&worker.queue), Arc::clone(&worker.monitor));
            let result = worker.run();
            end.with(&result);
            drop(end);
            result
        })?;
        Ok((Self { queue, monitor, thread: Some(thread) }, durable))
    }

    /// Hands over one batch; never waits. `then` comes out when the batch, and all before it, are durable. One without
    /// rows keeps its place in the order and causes no sync.
    ///
    /// A batch is taken even when the queue is full, since the mind has already moved on: ask
    /// [`Committer::has_room`] before the mind gets its next event.
    ///
    /// # Errors
    /// When committing has ended. What was handed over is dropped: it can never be said.
    pub fn submit(&self, rows: Vec<Row>, then: T) -> Result<(), Ended> {
        self.queue.push(Entry { rows, then })
    }

    /// Whether the mind may have another event. When not, let events wait, and go on reading what comes out.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// Returns when [`Committer::has_room`], or when committing has ended. May be dropped at any time.
    pub async fn room(&self) {
        self.queue.room().await;
    }

    /// Whether something may be promised; follow it to see it change.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.monitor.health()
    }

    /// What was done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.monitor.metrics()
    }

    /// Commits what waits, flushes the tables and closes ledger and tables. Blocks until that is done.
    ///
    /// # Errors
    /// Why committing ended before that.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.queue.close();
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Err(CommitError::Panicked)))
    }
}

impl<T> Drop for Committer<T> {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // Its result is in the health, too.
            let _ = thread.join();
        }
    }
}

/// Asks for the free bytes of the disk.
type FreeSpace = Box<dyn FnMut() -> io::Result<u64> + Send>;

/// Says that committing has ended, however it ended.
struct EndOnDrop<T>(Arc<Queue<T>>, Arc<Monitor>);

impl<T> EndOnDrop<T> {
    fn with(&self, result: &Result<(), CommitError>) {
        if let Err(error) = result {
            self.1.fail(error);
        }
    }
}

impl<T> Drop for EndOnDrop<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.1.fail(&CommitError::Panicked);
        }
        self.0.end();
    }
}

/// The committing thread's own.
struct Worker<T> {
    ledger: Ledger,
    /// `None` since it failed: the tables then stay behind until the next start, and only they.
    store: Option<Store>,
    settings: Settings,
    free_space: FreeSpace,
    out: mpsc::UnboundedSender<T>,
    queue: Arc<Queue<T>>,
    monitor: Arc<Monitor>,
}

impl<T> Worker<T> {
    fn run(&mut self) -> Result<(), CommitError> {
        let mut is_flushed = true;
        loop {
            match self.queue.take(self.settings.idle) {
                Work::Group(group) => {
                    self.measure();
                    self.commit(group)?;
                    is_flushed = false;
                }
                Work::Idle => {
                    self.measure();
                    if !std::mem::replace(&mut is_flushed, true) {
                        self.tell_store(Store::flush_lazily);
                    }
                }
                Work::Closed => {
                    self.tell_store(Store::flush_lazily);
                    return Ok(());
                }
            }
        }
    }

    fn commit(&mut self, mut group: Vec<Entry<T>>) -> Result<(), CommitError> {
        // What waits for nothing goes first.
        let free = group.iter().position(|entry| !entry.rows.is_empty()).unwrap_or(group.len());
        group.drain(..free).for_each(|entry| self.let_go(entry.then));

        let batches = || group.iter().map(|entry| entry.rows.as_slice()).filter(|rows| !rows.is_empty());
        let count = batches().count();
        if count > 0 {
            let before = self.ledger.size();
            let mut waited = false;
            while let Err(error) = self.ledger.append(batches()) {
                self.wait_for_room(error)?;
                waited = true;
            }
            if waited {
                self.measure();
            }
            self.ledger.sync()?;
            self.monitor.committed(count as u64, self.ledger.size() - before, self.ledger.last_seq());
        }
        let mut rows = Vec::new();
        for entry in group {
            self.let_go(entry.then);
            rows.extend(entry.rows);
        }
        self.queue.done();
        if count > 0 {
            let seq = self.ledger.last_seq();
            if self.tell_store(|store| store.apply(seq, &rows)) {
                self.monitor.applied(seq);
            }
            self.compact_if_wanted()?;
        }
        Ok(())
    }

    /// Nothing of the batches was written, for want of room: says so, and returns after a while, to try again.
    ///
    /// # Errors
    /// The same error, where it is another, or nobody will wait for room.
    fn wait_for_room(&mut self, error: AppendError) -> Result<(), AppendError> {
        if !error.is_want_of_room() {
            return Err(error);
        }
        let free = (self.free_space)().unwrap_or(0);
        self.monitor.out_of_room(free, self.settings.floor, &error);
        if self.queue.wait_unless_closed(self.settings.idle) { Ok(()) } else { Err(error) }
    }

    fn let_go(&self, then: T) {
        // Nobody reads any more: the node is ending, and the records are what counts.
        let _ = self.out.send(then);
    }

    fn compact_if_wanted(&mut self) -> Result<(), CommitError> {
        if !self.ledger.wants_compaction() {
            return Ok(());
        }
        match self.ledger.compact() {
            Ok(done) => {
                self.monitor.compacted();
                tracing::info!(before = done.before, after = done.after, "the ledger is compacted");
            }
            Err(CompactError::Poisoned(poisoned)) => return Err(poisoned.into()),
            Err(error @ CompactError::Read(_)) => {
                // What is in memory is right, and contracts depend on it: whoever looks decides when to stop.
                tracing::error!(error = health::sentence(&error), "the ledger is damaged, and is not compacted");
            }
            Err(error) => {
                tracing::warn!(error = health::sentence(&error), "the ledger is not compacted; it goes on growing");
            }
        }
        Ok(())
    }

    /// Does something with the tables, and gives them up if that fails: they gate nothing, and are caught up at the
    /// next start. Says whether it was done.
    fn tell_store(&mut self, tell: impl FnOnce(&Store) -> Result<(), crate::store::StoreError>) -> bool {
        let Some(store) = &self.store else { return false };
        if let Err(error) = tell(store) {
            tracing::error!(error = health::sentence(&error), "the tables stay behind the ledger until the next start");
            self.store = None;
            return false;
        }
        true
    }

    fn measure(&mut self) {
        match (self.free_space)() {
            Ok(free) => self.monitor.measured(free, self.settings.floor),
            // As before is the best guess; a disk that is gone will fail the next append.
            Err(error) => tracing::warn!(%error, "the disk's free space cannot be measured"),
        }
    }
}
