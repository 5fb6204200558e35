//! Changes, for those who wait for them: a long poll on one intent, and a stream of all events.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use agent::Watch;
use axum::{
    extract::State as Extract,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use futures::stream;
use kernel::IntentId;
use serde_json::json;
use tokio::sync::{broadcast::error::RecvError, watch};

use super::State;

/// How many events are remembered for those who come back.
const REMEMBERED: usize = 1024;
/// How many intents' versions are remembered; one that is forgotten counts as changed.
const MAX_INTENTS: usize = 8192;

/// What has changed, numbered.
pub(crate) struct Versions {
    inner: Mutex<Changes>,
    latest: watch::Sender<u64>,
}

#[derive(Default)]
struct Changes {
    intents: BTreeMap<IntentId, u64>,
    events: VecDeque<(u64, Watch)>,
}

impl Default for Versions {
    fn default() -> Self {
        Self { inner: Mutex::default(), latest: watch::Sender::new(0) }
    }
}

impl Versions {
    /// Returns the number of an intent's last change.
    pub(crate) fn of(&self, intent: &IntentId) -> u64 {
        self.changes().intents.get(intent).copied().unwrap_or(0)
    }

    /// Waits until an intent has changed since `after`, or the time is over.
    pub(crate) async fn wait(&self, intent: &IntentId, after: u64, time: Duration) {
        let mut latest = self.latest.subscribe();
        let changed = async {
            while self.of(intent) <= after {
                if latest.changed().await.is_err() {
                    return;
                }
            }
        };
        // No change in time is an answer too.
        let _ = tokio::time::timeout(time, changed).await;
    }

    fn record(&self, watch: Watch) {
        let number = *self.latest.borrow() + 1;
        let mut changes = self.changes();
        if let Watch::Intent(intent) = watch {
            if changes.intents.len() >= MAX_INTENTS {
                changes.intents.pop_first();
            }
            changes.intents.insert(intent, number);
        }
        if changes.events.len() >= REMEMBERED {
            changes.events.pop_front();
        }
        changes.events.push_back((number, watch));
        drop(changes);
        self.latest.send_replace(number);
    }

    fn since(&self, after: u64) -> Vec<(u64, Watch)> {
        self.changes().events.iter().filter(|(number, _)| *number > after).copied().collect()
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers the changes that the mind tells of, until it ends.
pub(crate) async fn follow(state: State) {
    let mut changes = state.0.mind.watch();
    loop {
        match changes.recv().await {
            Ok(watch) => state.0.seen.record(watch),
            // Those that were missed are found by whoever looks again.
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "changes came too fast to number each"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// `GET /v1/events`: server-sent events; `Last-Event-ID` goes on where an earlier stream ended.
pub(crate) async fn stream(Extract(state): Extract<State>, headers: HeaderMap) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let latest = state.0.seen.latest.subscribe();
    let after = last.unwrap_or(*latest.borrow());
    let stop = state.0.stop.clone();
    let events = stream::unfold((state, latest, after, VecDeque::new()), move |mut at| {
        let stop = stop.clone();
        async move {
            loop {
                let (state, latest, after, waiting) = &mut at;
                if let Some(event) = waiting.pop_front() {
                    return Some((Ok::<_, Infallible>(event), at));
                }
                for (number, watch) in state.0.seen.since(*after) {
                    *after = number;
                    waiting.push_back(event(number, watch));
                }
                if waiting.is_empty() {
                    tokio::select! {
                        () = stop.cancelled() => return None,
                        changed = latest.changed() => if changed.is_err() { return None },
                    }
                }
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn event(number: u64, watch: Watch) -> sse::Event {
    let (kind, id) = match watch {
        Watch::Intent(intent) => ("intent", intent.to_string()),
        Watch::Contract(contract) => ("contract", contract.to_string()),
    };
    sse::Event::default().id(number.to_string()).event(kind).data(json!({ "id": id }).to_string())
}
