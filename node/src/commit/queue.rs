//! The queue between the mind and the committing thread. Its one lock is held for a push or a swap, never for the disk.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::row::Row;

/// Committing has ended: nothing can be promised any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing more is committed")]
pub struct Ended;

/// A batch, and what comes out when it is durable.
pub(super) struct Entry<T> {
    pub(super) rows: Vec<Row>,
    pub(super) then: T,
}

/// What the committing thread has to do.
pub(super) enum Work<T> {
    /// Everything that waited.
    Group(Vec<Entry<T>>),
    /// Nothing came for a while.
    Idle,
    /// Nothing will come any more.
    Closed,
}

pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    work: Condvar,
    room: Notify,
    bound: usize,
}

struct Inner<T> {
    waiting: Vec<Entry<T>>,
    /// How many the committing thread has taken and not done.
    taken: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// What waits is still committed.
    Closing,
    Ended,
}

impl<T> Queue<T> {
    pub(super) fn new(bound: usize) -> Self {
        let inner = Inner { waiting: Vec::new(), taken: 0, stage: Stage::Open };
        Self { inner: Mutex::new(inner), work: Condvar::new(), room: Notify::new(), bound }
    }

    pub(super) fn push(&self, entry: Entry<T>) -> Result<(), Ended> {
        let mut inner = self.lock();
        if inner.stage != Stage::Open {
            return Err(Ended);
        }
        inner.waiting.push(entry);
        drop(inner);
        self.work.notify_one();
        Ok(())
    }

    pub(super) fn has_room(&self) -> bool {
        let inner = self.lock();
        // When all is over nobody shall wait for room: the next push says so.
        inner.stage != Stage::Open || inner.waiting.len() + inner.taken < self.bound
    }

    pub(super) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            if self.has_room() {
                return;
            }
            notified.await;
        }
    }

    /// Takes all that waits; waits itself for at most `idle` if nothing does.
    pub(super) fn take(&self, idle: Duration) -> Work<T> {
        let waited = self
            .work
            .wait_timeout_while(self.lock(), idle, |inner| inner.waiting.is_empty() && inner.stage == Stage::Open);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (inner.waiting.is_empty(), inner.stage) {
            (false, _) => {
                inner.taken = inner.waiting.len();
                Work::Group(std::mem::take(&mut inner.waiting))
            }
            (true, Stage::Open) => Work::Idle,
            (true, Stage::Closing | Stage::Ended) => Work::Closed,
        }
    }

    /// Waits for so long, or until nothing more is taken in; says whether more is.
    pub(super) fn wait_unless_closed(&self, span: Duration) -> bool {
        let waited = self.work.wait_timeout_while(self.lock(), span, |inner| inner.stage == Stage::Open);
        waited.unwrap_or_else(PoisonError::into_inner).0.stage == Stage::Open
    }

    /// What was taken is done.
    pub(super) fn done(&self) {
        self.lock().taken = 0;
        self.room.notify_waiters();
    }

    /// Nothing more is taken in.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        if inner.stage == Stage::Open {
            inner.stage = Stage::Closing;
        }
        drop(inner);
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// Nothing more is committed; what waits is dropped.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        inner.stage = Stage::Ended;
        let dropped = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(dropped);
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing that can panic runs under the lock, so what a panic leaves is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
