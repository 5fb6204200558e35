//! What an intent's life needs while one event is handled: the time, the numbers of requests, and where effects go.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{IntentId, NodeId, RequestId, Span, Time};
use rear_proto::{Deed, Trace};

use crate::{config::Config, mail::Effect};

/// The handling of one event.
pub(crate) struct Turn<'a> {
    pub(crate) now: Time,
    pub(crate) me: NodeId,
    pub(crate) config: &'a Config,
    pub(crate) requests: &'a mut Requests,
    pub(crate) timers: &'a mut BTreeSet<Timer>,
    pub(crate) out: &'a mut Vec<Effect>,
}

/// When to look for a place again, and for which replica of which intent.
pub(crate) type Timer = (Time, IntentId, usize);

/// The requests that something may still be heard of.
#[derive(Debug)]
pub(crate) struct Requests {
    last: u64,
    open: BTreeMap<RequestId, Owner>,
}

/// Whose a request is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) intent: IntentId,
    pub(crate) replica: usize,
    /// Which of the replica's attempts.
    pub(crate) round: u32,
    /// When its story began: at its first deed.
    pub(crate) began: Option<Time>,
    /// Whether it went beyond this node.
    pub(crate) beyond: bool,
}

impl Requests {
    pub(crate) const fn new() -> Self {
        Self { last: 0, open: BTreeMap::new() }
    }

    pub(crate) fn owner(&self, request: RequestId) -> Option<Owner> {
        self.open.get(&request).copied()
    }

    /// Returns when a request's story began, as the first step that is told of it says.
    pub(crate) fn began(&mut self, request: RequestId, now: Time, since: Span) -> Time {
        let began = Time(now.0.saturating_sub(since.0));
        self.open.get_mut(&request).map_or(began, |owner| *owner.began.get_or_insert(began))
    }

    /// Notes that a request went beyond this node.
    pub(crate) fn go_beyond(&mut self, request: RequestId) {
        if let Some(owner) = self.open.get_mut(&request) {
            owner.beyond = true;
        }
    }

    pub(crate) fn close(&mut self, request: RequestId) {
        self.open.remove(&request);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Turn<'_> {
    /// Numbers a new request.
    pub(crate) fn open(&mut self, intent: IntentId, replica: usize, round: u32) -> RequestId {
        self.requests.last += 1;
        let request = RequestId(self.requests.last);
        self.requests.open.insert(request, Owner { intent, replica, round, began: None, beyond: false });
        request
    }

    pub(crate) fn say(&mut self, effect: Effect) {
        self.out.push(effect);
    }

    /// Tells a deed of the orchestrator's own; it comes back as a recorded step.
    pub(crate) fn did(&mut self, request: RequestId, deed: Deed) {
        self.say(Effect::Did(trace(request), deed));
    }
}

/// Returns the story of a request.
pub(crate) const fn trace(request: RequestId) -> Trace {
    Trace::Own(request.0)
}
