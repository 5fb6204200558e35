//! How much passes under each contract, reported when it changes and at most once in a while.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use kernel::ContractId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::world::World;

/// The meters that have something to report.
#[derive(Default)]
pub(super) struct Board {
    changed: Mutex<BTreeMap<ContractId, Arc<Meter>>>,
    news: Notify,
}

/// What passes under one contract. Bytes are those on the stream: with headers, tags and lengths.
pub(super) struct Meter {
    contract: ContractId,
    up: AtomicU64,
    down: AtomicU64,
    streams: AtomicU32,
    /// Whether it stands on the board.
    listed: AtomicBool,
    board: Arc<Board>,
}

/// What one report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Bytes towards the provider since the last report.
    pub(super) up: u64,
    /// Bytes towards the consumer since the last report.
    pub(super) down: u64,
    /// Streams that are open.
    pub(super) streams: u32,
}

impl Meter {
    pub(super) fn new(contract: ContractId, board: Arc<Board>) -> Arc<Self> {
        Arc::new(Self {
            contract,
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            streams: AtomicU32::new(0),
            listed: AtomicBool::new(false),
            board,
        })
    }

    /// Counts bytes: towards the provider, and towards the consumer.
    pub(super) fn pass(self: &Arc<Self>, up: u64, down: u64) {
        if up + down > 0 {
            self.up.fetch_add(up, Ordering::Relaxed);
            self.down.fetch_add(down, Ordering::Relaxed);
            self.list();
        }
    }

    /// One more stream is open.
    pub(super) fn opened(self: &Arc<Self>) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.list();
    }

    /// One stream fewer is open.
    pub(super) fn closed(self: &Arc<Self>) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
        self.list();
    }

    fn list(self: &Arc<Self>) {
        // Whoever finds it listed has counted before the reporter takes it off, which then sees the count.
        if !self.listed.swap(true, Ordering::AcqRel) {
            let mut changed = self.board.changed.lock().unwrap_or_else(PoisonError::into_inner);
            changed.insert(self.contract, Arc::clone(self));
            drop(changed);
            self.board.news.notify_one();
        }
    }

    fn read(&self) -> Reading {
        self.listed.swap(false, Ordering::AcqRel);
        Reading {
            up: self.up.swap(0, Ordering::Relaxed),
            down: self.down.swap(0, Ordering::Relaxed),
            streams: self.streams.load(Ordering::Relaxed),
        }
    }
}

impl Board {
    /// Reports what has changed: at once, and then not again before `every` has passed. Sleeps while nothing changes.
    pub(super) async fn report(self: Arc<Self>, world: Arc<dyn World>, every: Duration, stop: CancellationToken) {
        let reporting = async {
            loop {
                self.news.notified().await;
                let changed = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
                for (contract, meter) in changed {
                    world.metered(contract, meter.read()).await;
                }
                tokio::time::sleep(every).await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = reporting => {}
        }
    }
}
