//! Whatever makes batches durable, as the host sees it.

use tokio::sync::watch;

use super::{CommitError, Committer, Ended, Health};
use crate::row::Row;

/// Makes batches durable, in the order in which they come, and lets go of what comes with each.
///
/// What it lets go of comes out of a receiver of its own, which ends with it.
#[async_trait::async_trait]
pub trait Keeper<T>: Send + Sync + 'static {
    /// Hands over one batch; never waits. `then` comes out when the batch, and all before it, are durable.
    ///
    /// # Errors
    /// When nothing more is kept. What was handed over is dropped: it can never be said.
    fn submit(&self, rows: Vec<Row>, then: T) -> Result<(), Ended>;

    /// Whether the mind may have another event.
    fn has_room(&self) -> bool;

    /// Returns when there is room, or nothing more is kept. May be dropped at any time.
    async fn room(&self);

    /// Whether something may be promised; follow it to see it change.
    fn health(&self) -> watch::Receiver<Health>;

    /// Keeps what waits, and ends.
    ///
    /// # Errors
    /// Why keeping ended before that.
    async fn close(self: Box<Self>) -> Result<(), CommitError>;
}

#[async_trait::async_trait]
impl<T: Send + 'static> Keeper<T> for Committer<T> {
    fn submit(&self, rows: Vec<Row>, then: T) -> Result<(), Ended> {
        Self::submit(self, rows, then)
    }

    fn has_room(&self) -> bool {
        Self::has_room(self)
    }

    async fn room(&self) {
        Self::room(self).await;
    }

    fn health(&self) -> watch::Receiver<Health> {
        Self::health(self)
    }

    async fn close(self: Box<Self>) -> Result<(), CommitError> {
        // It waits for the disk.
        let closing = tokio::task::spawn_blocking(move || Self::close(*self));
        closing.await.unwrap_or(Err(CommitError::Panicked))
    }
}
