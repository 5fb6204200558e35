//! Who has said HELLO since it was connected.
//!
//! HELLO comes first on each connection, but a connection that a question opens carries that question ahead of it: the
//! asker's mind hears of the connection only then. So a question that is refused to a stranger is put once more when the
//! asker has said who it is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kernel::NodeId;
use tokio::{sync::watch, time::timeout};

/// How long a question of a stranger waits for its HELLO, which was sent a moment after it; a packet that was lost
/// takes a round trip or two more.
const WAIT: Duration = Duration::from_secs(1);

/// The peers that are connected, and whether each has said HELLO.
#[derive(Debug, Clone, Default)]
pub(super) struct Greetings(Arc<Mutex<BTreeMap<NodeId, watch::Sender<bool>>>>);

impl Greetings {
    /// A peer is connected.
    pub(super) fn connected(&self, peer: NodeId) {
        self.lock().entry(peer).or_insert_with(|| watch::Sender::new(false));
    }

    /// A peer is connected no longer: who waits for its HELLO waits no more.
    pub(super) fn disconnected(&self, peer: &NodeId) {
        self.lock().remove(peer);
    }

    /// The mind has taken in who a peer is.
    pub(super) fn said(&self, peer: &NodeId) {
        if let Some(greeted) = self.lock().get(peer) {
            greeted.send_replace(true);
        }
    }

    /// Says whether a peer that is connected has yet to say HELLO.
    pub(super) fn is_due(&self, peer: &NodeId) -> bool {
        self.lock().get(peer).is_some_and(|greeted| !*greeted.borrow())
    }

    /// Waits a while for a peer's HELLO; says whether it has come.
    pub(super) async fn wait(&self, peer: &NodeId) -> bool {
        self.wait_for(peer, WAIT).await
    }

    async fn wait_for(&self, peer: &NodeId, patience: Duration) -> bool {
        let Some(mut greeted) = self.lock().get(peer).map(watch::Sender::subscribe) else { return false };
        matches!(timeout(patience, greeted.wait_for(|greeted| *greeted)).await, Ok(Ok(_)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, watch::Sender<bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_hello_that_comes_in_time_ends_the_wait_well() {
        let (greetings, peer) = (Greetings::default(), NodeId([1; 32]));
        assert!(!greetings.is_due(&peer) && !greetings.wait(&peer).await, "it is not connected");
        greetings.connected(peer);
        assert!(greetings.is_due(&peer) && !greetings.wait_for(&peer, Duration::ZERO).await, "it says nothing");
        let (came, ()) = tokio::join!(greetings.wait(&peer), async { greetings.said(&peer) });
        assert!(came && !greetings.is_due(&peer) && greetings.wait(&peer).await);
        greetings.disconnected(&peer);
        greetings.connected(peer);
        let (came, ()) = tokio::join!(greetings.wait(&peer), async { greetings.disconnected(&peer) });
        assert!(!came, "it has gone");
    }
}
