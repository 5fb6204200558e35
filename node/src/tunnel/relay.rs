//! The door of a relay: a stream under one of two contracts goes on under the other.
//!
//! ```text
//!  buyer                   relay                     seller
//!    │  clear header: front  │  is it from the buyer?   │
//!    │ ────────────────────► │  a stream to the seller, │
//!    │                       │  clear header: back      │
//!    │                       │ ───────────────────────► │
//!    │ ◄─────── the rest, both ways, as it is ────────► │
//! ```
//!
//! The same the other way round. Who both ends are, and what passes between them, is not looked at: it is sealed. A
//! direction that ends is ended on the other side, one that stalls stalls the other side, and what breaks on one side
//! is broken on the other.

use std::sync::Arc;

use kernel::{ContractId, NodeId};
use network::mail::Junction;
use rear_proto::local::Side;
use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional_with_sizes},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::{
    Hub,
    crowd::{Crowd, Place},
    failure::Failure,
    line::Line,
    meter::Meter,
    router::INBOUND,
    secure::{self, MAX_SEALED},
};
use crate::expose::Stream;

/// How many bytes of one direction of a stream are held here: about a record, since less would cut each in two, and
/// more would only make a stalled stream larger.
const HELD: usize = MAX_SEALED;

/// Two contracts that are one way.
pub(super) struct Joint {
    front: Hop,
    back: Hop,
    /// The limit of streams, of either direction and whatever for.
    streams: Arc<Semaphore>,
    /// All that are relayed here.
    crowd: Arc<Crowd>,
    pub(super) meter: Arc<Meter>,
    /// Called when the router is removed.
    pub(super) stop: CancellationToken,
    streams_limit: u32,
}

/// One side of a relay.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Hop {
    /// The contract's name there.
    contract: ContractId,
    /// The only peer whose streams are admitted under it.
    peer: NodeId,
}

/// Where a stream goes that has come to a relay.
pub(super) struct Onward {
    joint: Arc<Joint>,
    to: Hop,
    /// What this node is to whoever opened the stream.
    side: Side,
}

/// A stream that has a way on.
pub(super) struct Joined {
    near: Line,
    far: Box<dyn Stream>,
    stop: CancellationToken,
    _place: Place,
}

impl Joint {
    /// Joins two contracts.
    ///
    /// A relay can't tell a connection from a question. So it lets pass, in all, as many streams as one end admits of
    /// both: an honest end's connections then never take the room of its questions.
    /// Of what a neighbour lets this node have open for all contracts, it has its share.
    pub(super) fn new(junction: &Junction, crowd: &Arc<Crowd>, meter: Arc<Meter>, stop: CancellationToken) -> Self {
        let (front, back) = hops(junction);
        let streams = Arc::new(Semaphore::new(most(junction.streams)));
        Self { front, back, streams, crowd: Arc::clone(crowd), meter, stop, streams_limit: junction.streams }
    }

    /// Whether it stands for this junction already.
    pub(super) fn is(&self, junction: &Junction) -> bool {
        (self.front, self.back) == hops(junction) && self.streams_limit == junction.streams
    }

    /// The contract that this node sold.
    pub(super) const fn front(&self) -> ContractId {
        self.front.contract
    }

    /// Both contracts.
    pub(super) const fn contracts(&self) -> [ContractId; 2] {
        [self.front.contract, self.back.contract]
    }

    /// Returns the way on for a stream that a peer has opened under one of the contracts.
    pub(super) fn onward(self: &Arc<Self>, contract: ContractId, peer: NodeId) -> Option<Onward> {
        let from = Hop { contract, peer };
        let (to, side) = if from == self.front {
            (self.back, Side::Provider)
        } else if from == self.back {
            (self.front, Side::Consumer)
        } else {
            return None;
        };
        Some(Onward { joint: Arc::clone(self), to, side })
    }
}

/// Returns the most streams of both kinds together.
const fn most(streams: u32) -> usize {
    streams as usize + INBOUND
}

fn hops(junction: &Junction) -> (Hop, Hop) {
    let Junction { front, buyer, back, seller, streams: _ } = junction;
    (Hop { contract: *front, peer: buyer.node }, Hop { contract: *back, peer: seller.node })
}

impl Onward {
    /// Opens the far part of a stream of which no more than the header was read. When there is no way on, the near
    /// part is closed without a word.
    pub(super) async fn open(self, hub: &Hub, near: Box<dyn Stream>) -> Result<Joined, Failure> {
        let Self { joint, to, side } = self;
        let permit = Arc::clone(&joint.streams).try_acquire_owned().map_err(|_| Failure::Busy)?;
        let others = most(joint.streams_limit).saturating_sub(joint.streams.available_permits() + 1);
        let peers = [joint.front.peer, joint.back.peer];
        let place = joint.crowd.enter(peers, others).ok_or(Failure::Busy)?;
        let near = Line::new(&joint.meter, side, &joint.stop, near, Some(permit));
        near.has_read(secure::HEADER);
        let opening = async {
            let mut far = hub.world.dial(&to.peer).await?;
            far.write_all(&secure::header(&to.contract)).await?;
            // Whoever says nothing after the header is then turned away by the far end.
            far.flush().await?;
            Ok::<_, Failure>(far)
        };
        let stop = joint.stop.clone();
        let far = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Failure::NoRouter),
            far = opening => far?,
        };
        Ok(Joined { near, far, stop, _place: place })
    }
}

impl Joined {
    /// Lets everything pass until both directions have ended, or the router is removed.
    pub(super) async fn pass(mut self) -> Result<(), Failure> {
        tokio::select! {
            biased;
            // The line notices by itself only when something moves.
            () = self.stop.cancelled() => Err(Failure::NoRouter),
            passed = copy_bidirectional_with_sizes(&mut self.near, &mut self.far, HELD, HELD) => {
                passed?;
                Ok(())
            }
        }
    }
}
