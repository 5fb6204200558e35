//! Observers: who is shown all that happens in a world, and may say that something must not be.

use agent::{Batch, Event, Output};
use kernel::{IntentId, Ticket};
use rear_proto::Request;

use crate::{
    outcome::Violation,
    plan::{Act, NodeNo},
    world::World,
};

/// Something that happened.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A mind is about to take in an event.
    Coming {
        /// Where.
        node: NodeNo,
        /// What.
        event: &'a Event,
    },
    /// A mind has taken in an event or has woken; nothing of what came of it has left the node yet.
    Settled {
        /// Where.
        node: NodeNo,
        /// Which event, by name; `wake` for none.
        event: &'static str,
        /// What came of it.
        batch: &'a Batch,
    },
    /// A question came to a mind, which is about to take it in.
    Asked {
        /// Where.
        node: NodeNo,
        /// From where.
        from: NodeNo,
        /// Who waits for the answer.
        ticket: Ticket,
        /// What.
        request: &'a Request,
    },
    /// Something leaves a node: all that it rests on is synced.
    Left {
        /// Which node.
        node: NodeNo,
        /// What.
        output: &'a Output,
    },
    /// A message goes on the line.
    Sent {
        /// From where.
        from: NodeNo,
        /// Where to.
        to: NodeNo,
        /// What, by name, such as `LIST_FLAVOURS`; an answer is `answer`, and what is said inside a contract's `channel`.
        what: &'static str,
        /// Its length on the wire.
        bytes: u32,
    },
    /// A user's intent was handed to a mind, or would have been: the node may be down.
    Submitted {
        /// Where.
        node: NodeNo,
        /// Which of the plan's arrivals.
        arrival: u32,
        /// Its id.
        intent: IntentId,
        /// Whether there was a mind to take it.
        taken: bool,
    },
    /// A user deletes an intent.
    Deleted {
        /// Where.
        node: NodeNo,
        /// Which.
        intent: IntentId,
    },
    /// A node has come to life.
    Born {
        /// Which.
        node: NodeNo,
        /// How often it has, this time included.
        life: u32,
    },
    /// A node's mind is gone.
    Died {
        /// Which.
        node: NodeNo,
    },
    /// A fault strikes.
    Struck(&'a Act),
    /// All faults have ended, and nothing is wanted any more.
    Healed,
    /// The run is over; what must hold when all is quiet must hold.
    Over,
}

/// Who is shown all that happens.
pub trait Observer {
    /// Takes something in; says what must not be, if anything.
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Option<Violation>;
}
