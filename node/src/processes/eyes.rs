//! The eyes of a run: they read every daemon's tables whenever one of them tells of a change, and show them to the auditor;
//! they follow the intents, and show them to the crowd.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use kernel::Span;
use simulations::outcome::Violation;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{Lens, auditor::Auditor, crowd::Crowd, keeper::Findings, keeper::Watch, tables::Tables};
use crate::{clock::Stopwatch, sandbox::Door};

/// In which time a daemon that runs must answer: only what hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it is believed that nothing has changed when nobody tells of a change. Not all that changes is told: capacity
/// comes back when a workload is gone, for one.
const STILL: Duration = Duration::from_secs(1);
/// The same while something is so that may not stay so.
const SOON: Duration = Duration::from_millis(200);
/// How often a daemon is looked at again while a state is waited for of which nobody tells.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// What is seen of a city.
pub(super) struct Eyes<'a> {
    names: Vec<String>,
    watches: Vec<Watch>,
    lens: Option<&'a Lens>,
    began: Stopwatch,
    auditor: Mutex<Auditor>,
    crowd: Mutex<Crowd>,
    findings: Findings,
    /// In which life each daemon was seen last.
    lives: Mutex<Vec<u32>>,
    /// Something has changed somewhere.
    stir: Notify,
    events: AtomicU64,
}

impl<'a> Eyes<'a> {
    pub(super) fn new(
        names: Vec<String>,
        watches: Vec<Watch>,
        auditor: Auditor,
        findings: Findings,
        lens: Option<&'a Lens>,
    ) -> Self {
        let lives = Mutex::new(vec![1; names.len()]);
        Self {
            names,
            watches,
            lens,
            began: Stopwatch::start(),
            auditor: Mutex::new(auditor),
            crowd: Mutex::default(),
            findings,
            lives,
            stir: Notify::new(),
            events: AtomicU64::new(0),
        }
    }

    /// Returns how long the run has gone on.
    pub(super) fn age(&self) -> Span {
        Span(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns how many changes the daemons have told of.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(super) fn auditor(&self) -> MutexGuard<'_, Auditor> {
        lock(&self.auditor)
    }

    pub(super) fn crowd(&self) -> MutexGuard<'_, Crowd> {
        lock(&self.crowd)
    }

    pub(super) fn watch(&self, node: usize) -> Option<Watch> {
        self.watches.get(node).cloned()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Says that something must not be.
    pub(super) fn find(&self, what: &str, node: usize, detail: String) {
        let node = self.names.get(node).cloned().unwrap_or_default();
        self.auditor().found(Violation { what: what.to_owned(), at_ms: self.age().0, node, detail });
    }

    /// Looks for as long as it is let.
    pub(super) async fn watch_all(&self) {
        let followers = join_all((0..self.names.len()).map(|node| self.follow(node)));
        let looks = async {
            loop {
                self.look().await;
                let pause = if self.auditor().is_waiting() { SOON } else { STILL };
                tokio::select! {
                    () = self.stir.notified() => {}
                    () = sleep(pause) => {}
                }
            }
        };
        tokio::join!(followers, looks);
    }

    /// Reads the tables of everybody who can be spoken to, and compares them.
    pub(super) async fn look(&self) {
        join_all((0..self.names.len()).map(|node| async move {
            let read = self.tables(node).await;
            let mut auditor = self.auditor();
            match read {
                Some((tables, life)) => {
                    if let Some(seen) = lock(&self.lives).get_mut(node)
                        && std::mem::replace(seen, life) != life
                    {
                        auditor.born(node);
                    }
                    let at = self.age();
                    auditor.see(node, tables, at);
                }
                None => auditor.silent(node),
            }
        }))
        .await;
        let at = self.age();
        self.auditor().compare(at);
        for (node, what) in std::mem::take(&mut *lock(&self.findings)) {
            self.find("daemon", node, what);
        }
    }

    /// Reads a daemon's tables, and in which life it has said so; `None` where it can't be spoken to.
    pub(super) async fn tables(&self, node: usize) -> Option<(Tables, u32)> {
        let mut watch = self.watch(node)?;
        let (door, life) = watch.door()?;
        let read = watch.while_up(life, timeout(PATIENCE, Tables::read(&door))).await?;
        // What came with the last breath of a daemon is not held against it.
        if !watch.is_in(life) {
            return None;
        }
        match read {
            Ok(Ok(mut tables)) => {
                if let Some(lens) = self.lens {
                    lens(node, &mut tables);
                }
                return Some((tables, life));
            }
            Ok(Err(error)) => self.unwell(&mut watch, node, life, &format!("{error:#}")).await,
            Err(_) => self.unwell(&mut watch, node, life, "it does not answer").await,
        }
        None
    }

    /// A daemon does not say what it is asked: that is a finding, if it does not turn out to have ended.
    async fn unwell(&self, watch: &mut Watch, node: usize, life: u32, what: &str) {
        if timeout(STILL, watch.while_up(life, std::future::pending::<()>())).await.is_err() {
            self.find("daemon", node, format!("its tables can't be read: {what}"));
        }
    }

    /// Follows the changes of a daemon through all its lives.
    async fn follow(&self, node: usize) {
        let Some(mut watch) = self.watch(node) else { return };
        while let Some((door, life)) = watch.up().await {
            let ended = watch.while_up(life, self.follow_life(node, &door)).await;
            self.stir.notify_one();
            if let Some(Err(error)) = ended {
                self.unwell(&mut watch, node, life, &format!("{error:#}")).await;
            }
        }
    }

    async fn follow_life(&self, node: usize, door: &Door) -> anyhow::Result<()> {
        let mut events = door.events().await?;
        loop {
            self.intents(node, door).await?;
            self.stir.notify_one();
            if events.next().await?.is_none() {
                anyhow::bail!("the stream of events has ended");
            }
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads how a daemon's intents are.
    pub(super) async fn intents(&self, node: usize, door: &Door) -> anyhow::Result<()> {
        let asked = self.age();
        let list = door.get("/v1/intents").await?;
        let found = self.crowd().see(node, &list, asked, self.age());
        for (node, what) in found {
            self.find("durability", node, what);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a place for what keepers find.
pub(super) fn findings() -> Findings {
    Arc::new(Mutex::new(Vec::new()))
}
