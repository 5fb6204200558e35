//! A disk that loses what was not synced when its machine crashes. It outlives the machine's lives.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent::Output;
use kernel::Rng;
use node::{
    commit::{CommitError, Ended, Health, Keeper},
    row::{Row, Tables},
};
use simulations::scenario::Between;
use tokio::sync::{Notify, mpsc, watch};

/// Batches that may wait before the mind has to, as in a daemon.
const QUEUE: usize = 4096;

/// A machine's disk.
pub(crate) struct Disk(Mutex<State>);

struct State {
    /// What is synced.
    kept: Tables,
    /// What is being synced: it may have reached the disk, or some of it.
    flying: Vec<Vec<Row>>,
    /// How long a sync takes.
    sync: Between<kernel::Span>,
    rng: Rng,
    lost: bool,
    health: watch::Sender<Health>,
}

impl Disk {
    /// Makes a disk that holds these rows.
    pub(crate) fn new(rows: Vec<rear_proto::Row>, sync: Between<kernel::Span>, rng: Rng) -> Arc<Self> {
        let kept = rows.into_iter().map(Row::from).collect();
        let state = State { kept, flying: Vec::new(), sync, rng, lost: false, health: watch::Sender::new(Health::Ok) };
        Arc::new(Self(Mutex::new(state)))
    }

    /// Returns what is synced.
    pub(crate) fn kept(&self) -> Tables {
        self.lock().kept.clone()
    }

    /// The machine has crashed: what was being synced got as far as chance has it, batch by batch, since a torn frame
    /// is cut off; what waited behind it is lost.
    pub(crate) fn crash(&self) {
        let mut state = self.lock();
        let flying = std::mem::take(&mut state.flying);
        let landed = state.rng.below(flying.len() as u64 + 1);
        for row in flying.into_iter().take(usize::try_from(landed).unwrap_or(0)).flatten() {
            state.kept.apply(row);
        }
    }

    /// Forgets everything but these rows.
    pub(crate) fn lose(&self, rows: Vec<rear_proto::Row>) {
        let mut state = self.lock();
        state.lost = true;
        state.flying.clear();
        state.kept = rows.into_iter().map(Row::from).collect();
    }

    /// Says whether it has ever forgotten what it held.
    pub(crate) fn was_lost(&self) -> bool {
        self.lock().lost
    }

    /// Says whether it has room for promises.
    pub(crate) fn set_full(&self, full: bool) {
        let health = if full { Health::NoRoom { free: 0, floor: 1 } } else { Health::Ok };
        self.lock().health.send_replace(health);
    }

    /// Syncs take so long from here on.
    pub(crate) fn set_sync(&self, sync: Between<kernel::Span>) {
        self.lock().sync = sync;
    }

    /// Opens the disk for one life of its machine. To be called on the machine.
    pub(crate) fn open(self: &Arc<Self>) -> (Box<dyn Keeper<Vec<Output>>>, mpsc::UnboundedReceiver<Vec<Output>>) {
        #[allow(clippy::disallowed_methods, reason = "whoever reads it also submits, and `has_room` bounds that")]
        let (out, durable) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::default());
        let writing = tokio::spawn(Arc::clone(self).write(Arc::clone(&queue), out));
        (Box::new(Writer { disk: Arc::clone(self), queue, writing }), durable)
    }

    /// Writes and syncs what waits, all of it together, until nothing more comes.
    async fn write(self: Arc<Self>, queue: Arc<Queue>, out: mpsc::UnboundedSender<Vec<Output>>) {
        loop {
            let (group, closing) = queue.take();
            if group.is_empty() {
                if closing {
                    return;
                }
                queue.work.notified().await;
                continue;
            }
            // What waits for nothing goes first.
            let first = group.iter().position(|(rows, _)| !rows.is_empty()).unwrap_or(group.len());
            let mut group = group;
            for (_, then) in group.drain(..first) {
                let _ = out.send(then);
            }
            if !group.is_empty() {
                let time = self.begin_sync(group.iter().map(|(rows, _)| rows.clone()).collect());
                tokio::time::sleep(time).await;
                self.end_sync();
            }
            for (_, then) in group {
                // Nobody reads any more: the node is ending.
                let _ = out.send(then);
            }
            queue.done();
        }
    }

    fn begin_sync(&self, group: Vec<Vec<Row>>) -> Duration {
        let mut state = self.lock();
        state.flying = group;
        let State { sync, rng, .. } = &mut *state;
        sync.draw(rng).to_std()
    }

    fn end_sync(&self) {
        let mut state = self.lock();
        for row in std::mem::take(&mut state.flying).into_iter().flatten() {
            state.kept.apply(row);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch, and what comes out when it is durable.
type Entry = (Vec<Row>, Vec<Output>);

/// What waits to be written.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    work: Notify,
    room: Notify,
}

#[derive(Default)]
struct Waiting {
    entries: Vec<Entry>,
    taken: usize,
    closing: bool,
}

impl Queue {
    fn take(&self) -> (Vec<Entry>, bool) {
        let mut waiting = self.lock();
        waiting.taken = waiting.entries.len();
        (std::mem::take(&mut waiting.entries), waiting.closing)
    }

    fn done(&self) {
        self.lock().taken = 0;
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One life's way to its disk.
struct Writer {
    disk: Arc<Disk>,
    queue: Arc<Queue>,
    writing: tokio::task::JoinHandle<()>,
}

#[async_trait::async_trait]
impl Keeper<Vec<Output>> for Writer {
    fn submit(&self, rows: Vec<Row>, then: Vec<Output>) -> Result<(), Ended> {
        self.queue.lock().entries.push((rows, then));
        self.queue.work.notify_one();
        Ok(())
    }

    fn has_room(&self) -> bool {
        let waiting = self.queue.lock();
        waiting.entries.len() + waiting.taken < QUEUE
    }

    async fn room(&self) {
        while !self.has_room() {
            let notified = self.queue.room.notified();
            if self.has_room() {
                return;
            }
            notified.await;
        }
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.disk.lock().health.subscribe()
    }

    async fn close(self: Box<Self>) -> Result<(), CommitError> {
        self.queue.lock().closing = true;
        self.queue.work.notify_one();
        self.writing.await.map_err(|_| CommitError::Panicked)
    }
}
