//! What the contracts that are relayed between the same two nodes share: a node lets another have so many streams in all,
//! and one contract must not take them from all others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use kernel::NodeId;

/// How many times as many streams as are left with a peer one contract may have. Alone it gets three quarters of all;
/// however many there are that take what they get, some are left for the next.
const SHARE: usize = 3;

/// How many relayed streams there are with each peer.
#[derive(Debug)]
pub(super) struct Crowd {
    /// The most that a peer lets this node have open.
    most: usize,
    open: Mutex<BTreeMap<NodeId, usize>>,
}

/// The place of one stream, which comes from one peer and goes on to another.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    peers: [NodeId; 2],
}

impl Crowd {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Takes a place between two peers for a contract that has so many already, where that is within its share.
    pub(super) fn enter(self: &Arc<Self>, peers: [NodeId; 2], has: usize) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |peer| self.most.saturating_sub(open.get(peer).copied().unwrap_or(0));
        if peers.iter().any(|peer| has >= left(peer) * SHARE) {
            return None;
        }
        for peer in peers {
            *open.entry(peer).or_default() += 1;
        }
        Some(Place { crowd: Arc::clone(self), peers })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        for peer in self.peers {
            if let Some(count) = open.get_mut(&peer) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&peer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: NodeId = NodeId([1; 32]);
    const THERE: NodeId = NodeId([2; 32]);

    /// Takes as many places as a contract gets.
    fn fill(crowd: &Arc<Crowd>, peers: [NodeId; 2]) -> Vec<Place> {
        let mut places = Vec::new();
        while let Some(place) = crowd.enter(peers, places.len()) {
            places.push(place);
        }
        places
    }

    #[test]
    fn no_contract_takes_all_streams_between_two_nodes() {
        let crowd = Crowd::new(128);
        let first = fill(&crowd, [HERE, THERE]);
        assert_eq!(first.len(), 96, "alone it has enough for all that an end admits at once of connections");
        let second = fill(&crowd, [HERE, THERE]);
        let third = fill(&crowd, [NodeId([3; 32]), THERE]);
        assert!(second.len() >= 16 && third.len() >= 4, "{} {}", second.len(), third.len());
        drop(first);
        assert!(fill(&crowd, [HERE, THERE]).len() > 32, "what is given back is to be had again");
        assert_eq!(fill(&crowd, [NodeId([4; 32]), NodeId([5; 32])]).len(), 96, "elsewhere it does not count");
        drop((second, third));
        assert!(crowd.open.lock().is_ok_and(|open| open.is_empty()), "who has gone is forgotten");
    }
}
