//! Where large messages are read: hundreds of signatures take milliseconds, which are no business of the tasks that
//! serve, and of which nobody may have more than a share.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
};

use kernel::{NodeId, Span};
use rear_proto::{Ask, Code, Refusal, Reply};
use tokio::sync::Semaphore;
use transport::Protocol;

use super::{read_ask, read_reply};

/// From how many bytes on a message is large: an order with its certificates has one or two thousand, and ten offers
/// with their signatures are as many as are checked in the time of a task switch or two.
const LARGE: usize = 16 << 10;
/// How many large questions of one peer are read at once; who keeps to the protocol has one under way, its feed.
const PER_PEER: usize = 2;
/// When a peer has more under way, how long it is to wait.
const RETRY_AFTER: Span = Span::millis(200);

/// Reads messages, large ones on threads of their own: as many at once as there are cores.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many are read at once on threads of their own; where nothing is said, each is read where it is.
    room: Option<Semaphore>,
    busy: Mutex<BTreeMap<NodeId, usize>>,
}

/// A place at the desk for one large question of a peer.
struct Place {
    desk: Desk,
    peer: NodeId,
}

impl Default for Desk {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Inner { room: Some(Semaphore::new(cores)), busy: Mutex::default() }))
    }
}

impl Desk {
    /// Makes a desk without threads, where the order of things must not depend on how fast they are.
    pub fn without_threads() -> Self {
        Self(Arc::new(Inner { room: None, busy: Mutex::default() }))
    }

    /// Reads a question, as [`read_ask`] does.
    ///
    /// # Errors
    /// Those of [`read_ask`], and `Overloaded` for a peer that sends too much at once.
    pub async fn read_ask(&self, from: NodeId, protocol: Protocol, bytes: Vec<u8>) -> Result<Ask, Refusal> {
        if bytes.len() < LARGE {
            return read_ask(&from, protocol, &bytes);
        }
        let Some(_place) = self.take_place(from) else {
            let why = "as many large messages as may be are being read already";
            return Err(Refusal::new(Code::Overloaded, why).retry_after(RETRY_AFTER));
        };
        self.aside(move || read_ask(&from, protocol, &bytes)).await
    }

    /// Reads an answer, as [`read_reply`] does. The questions were this node's own, so no peer can have too many.
    ///
    /// # Errors
    /// Those of [`read_reply`].
    pub async fn read_reply(&self, me: NodeId, from: NodeId, bytes: Vec<u8>) -> Result<Reply, Refusal> {
        if bytes.len() < LARGE {
            return read_reply(&me, &from, &bytes);
        }
        self.aside(move || read_reply(&me, &from, &bytes)).await
    }

    /// Does something on a thread of its own, when there is room.
    async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let Some(room) = &self.0.room else { return read() };
        // It is never closed; were it, there would be room for all.
        let _permit = room.acquire().await.ok();
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|_| Err(Refusal::new(Code::Malformed, "the message can not be read")))
    }

    fn take_place(&self, peer: NodeId) -> Option<Place> {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let places = busy.entry(peer).or_default();
        if *places >= PER_PEER {
            return None;
        }
        *places += 1;
        Some(Place { desk: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut busy = self.desk.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = busy.get_mut(&self.peer) {
            *places -= 1;
            if *places == 0 {
                busy.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_peer_has_its_share_of_the_desk_and_no_more() {
        let desk = Desk::default();
        let (one, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let places: Vec<_> = (0..PER_PEER).map(|_| desk.take_place(one).unwrap()).collect();
        assert!(desk.take_place(one).is_none());
        let others = desk.take_place(other).unwrap();
        drop(places);
        assert!(desk.take_place(one).is_some());
        drop(others);
        assert!(desk.0.busy.lock().unwrap().is_empty(), "who has gone is forgotten");
    }

    #[tokio::test]
    async fn large_garbage_is_malformed_and_too_much_at_once_is_overloaded() {
        let (desk, peer) = (Desk::default(), NodeId([1; 32]));
        let read = || desk.read_ask(peer, Protocol::Rear, vec![7; LARGE]);
        assert_eq!(read().await.unwrap_err().code(), Code::Malformed);
        let _places: Vec<_> = (0..PER_PEER).map(|_| desk.take_place(peer).unwrap()).collect();
        let refusal = read().await.unwrap_err();
        assert_eq!((refusal.code(), refusal.retry_after), (Code::Overloaded, Some(RETRY_AFTER)));
        let small = desk.read_ask(peer, Protocol::Rear, vec![7; 9]).await;
        assert_eq!(small.unwrap_err().code(), Code::Malformed, "what is small goes past the desk");
    }
}
