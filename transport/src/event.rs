//! What the transport tells its owner, and the queue it is told through.

use std::{collections::VecDeque, fmt};

use kernel::{NodeId, Span};
use tokio::sync::{mpsc, oneshot};

use crate::{streams::Protocol, tunnel::Tunnel};

/// Something that happened between this node and others.
#[derive(Debug)]
pub enum Event {
    /// This node listens on one more address.
    Listening {
        /// The multiaddress, without a peer id.
        address: String,
    },
    /// The first connection with a peer is up. Further ones are not told.
    Connected {
        /// The proven peer.
        peer: NodeId,
        /// Where it was dialled, or where its connection came from.
        address: String,
        /// Whether this node has dialled.
        dialled: bool,
    },
    /// The last connection with a peer is gone.
    Disconnected {
        /// The peer.
        peer: NodeId,
    },
    /// A peer asks. It may come a moment after the peer's `Disconnected`.
    Asked {
        /// The proven peer.
        peer: NodeId,
        /// The protocol it asks in.
        protocol: Protocol,
        /// The request's bytes.
        body: Vec<u8>,
        /// Where the answer goes.
        answer: Answer,
    },
    /// A peer has opened a tunnel.
    Opened {
        /// The proven peer.
        peer: NodeId,
        /// Its bytes, both ways.
        tunnel: Tunnel,
    },
    /// A ping came back.
    RoundTrip {
        /// The peer.
        peer: NodeId,
        /// How long it took, rounded up to a millisecond.
        span: Span,
    },
    /// A peer was found on the local network, as somebody there says. A hint, already remembered.
    Found {
        /// The peer, as is only claimed.
        peer: NodeId,
        /// Its multiaddresses, without a peer id.
        addresses: Vec<String>,
    },
    /// A peer was dialled in vain and no connection to it is there.
    Unreachable {
        /// The peer.
        peer: NodeId,
    },
}

/// The events of a transport, in order.
///
/// The queue is bounded ([`Limits::events`](crate::Limits::events)) and never holds up the network: when it is full, asks and tunnels
/// are refused as busy at once, `RoundTrip` and `Found` are forgotten, and `Listening`, `Connected`, `Disconnected`
/// and `Unreachable` wait for room; of these a `Connected` that was not yet taken and its `Disconnected` vanish
/// together.
#[derive(Debug)]
pub struct Events(pub(crate) mpsc::Receiver<Event>);

impl Events {
    /// Waits for the next event; `None` when the transport has stopped.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// Where the answer to an ask goes. Dropped without one, it tells the asker at once that none will come.
pub struct Answer {
    reply: oneshot::Sender<Vec<u8>>,
    limit: usize,
}

/// Why an answer could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The body is over the limit; the asker is told that no answer will come.
    #[error("an answer of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the body.
        size: usize,
        /// The most that is sent.
        limit: usize,
    },
    /// Nobody waits for it any longer.
    #[error("the asker no longer waits for the answer")]
    TooLate,
}

impl Answer {
    pub(crate) fn new(limit: usize) -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (reply, body) = oneshot::channel();
        (Self { reply, limit }, body)
    }

    /// Hands the answer over to be sent; that it arrives is not known.
    pub fn send(self, body: Vec<u8>) -> Result<(), AnswerError> {
        let size = body.len();
        if size > self.limit {
            return Err(AnswerError::TooLarge { size, limit: self.limit });
        }
        self.reply.send(body).map_err(|_| AnswerError::TooLate)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// The driver's end of the queue.
pub(crate) struct Outbox {
    queue: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
}

impl Outbox {
    pub(crate) fn new(room: usize) -> (Self, Events) {
        let (queue, events) = mpsc::channel(room.max(1));
        (Self { queue, waiting: VecDeque::new() }, Events(events))
    }

    /// Tells what must not be lost. What waits stays small: one peer has at most a few entries.
    pub(crate) fn tell(&mut self, event: Event) {
        let event = if self.waiting.is_empty() {
            match self.queue.try_send(event) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        match &event {
            Event::Disconnected { peer } => {
                let told = |waiting: &Event| matches!(waiting, Event::Connected { peer: other, .. } if other == peer);
                if let Some(at) = self.waiting.iter().rposition(told) {
                    self.waiting.remove(at);
                    return;
                }
            }
            Event::Unreachable { peer } => {
                let told = |waiting: &Event| matches!(waiting, Event::Unreachable { peer: other } if other == peer);
                if self.waiting.iter().any(told) {
                    return;
                }
            }
            _ => {}
        }
        self.waiting.push_back(event);
    }

    /// Tells what may be forgotten when there is no room.
    pub(crate) fn hint(&self, event: Event) {
        if self.waiting.is_empty() && self.queue.try_send(event).is_err() {
            tracing::trace!("no room for a hint");
        }
    }

    /// Returns the queue for an ask or a tunnel, unless it would overtake what waits.
    pub(crate) fn queue(&self) -> Option<&mpsc::Sender<Event>> {
        self.waiting.is_empty().then_some(&self.queue)
    }

    /// Waits until one more of what waits could be handed over; for ever when nothing waits.
    pub(crate) async fn hand_over(&mut self) {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        match self.queue.reserve().await {
            Ok(room) => {
                if let Some(event) = self.waiting.pop_front() {
                    room.send(event);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn connected(peer: u8) -> Event {
        Event::Connected { peer: NodeId([peer; 32]), address: String::new(), dialled: false }
    }

    fn disconnected(peer: u8) -> Event {
        Event::Disconnected { peer: NodeId([peer; 32]) }
    }

    fn names(events: &VecDeque<Event>) -> Vec<(bool, u8)> {
        let name = |event: &Event| match event {
            Event::Connected { peer, .. } => (true, peer.0[0]),
            Event::Disconnected { peer } => (false, peer.0[0]),
            other => panic!("{other:?}"),
        };
        events.iter().map(name).collect()
    }

    #[tokio::test]
    async fn a_full_queue_loses_no_change_and_does_not_grow() {
        let (mut outbox, mut events) = Outbox::new(1);
        outbox.tell(connected(1));
        for _ in 0..1000 {
            outbox.tell(disconnected(1));
            outbox.tell(connected(1));
            outbox.tell(connected(2));
            outbox.tell(disconnected(2));
            outbox.tell(disconnected(1));
            outbox.tell(connected(1));
        }
        assert_eq!(names(&outbox.waiting), [(false, 1), (true, 1)], "the last state of each peer, nothing more");
        assert!(outbox.queue().is_none(), "an ask would overtake them");
        let mut seen = VecDeque::new();
        while !outbox.waiting.is_empty() {
            seen.push_back(events.next().await.unwrap());
            outbox.hand_over().await;
        }
        seen.push_back(events.next().await.unwrap());
        assert_eq!(names(&seen), [(true, 1), (false, 1), (true, 1)]);
        assert!(outbox.queue().is_some());
    }

    #[test]
    fn an_answer_over_the_limit_is_not_sent() {
        let (answer, mut body) = Answer::new(3);
        assert_eq!(answer.send(vec![0; 4]), Err(AnswerError::TooLarge { size: 4, limit: 3 }));
        assert!(body.try_recv().is_err());
        let (answer, body) = Answer::new(3);
        drop(body);
        assert_eq!(answer.send(vec![0; 3]), Err(AnswerError::TooLate));
    }
}
