//! The world: agents with disks and clocks of their own, lines between them, and time that passes only when nothing
//! is left to do.

use agent::Managers;
use kernel::{NodeId, Span, Time};

use crate::plan::{NodeNo, Plan};

/// When worlds begin, by their own clock.
pub const START: Time = Time(1_700_000_000_000);

/// A world.
#[derive(Debug)]
pub struct World {
    now: Time,
    plan: Plan,
}

impl World {
    /// Returns how long it has run.
    pub fn age(&self) -> Span {
        self.now.since(START)
    }

    /// Returns the plan that is acted out.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns what a node knows, while it is up.
    pub fn managers(&self, _node: NodeNo) -> Option<&Managers> {
        None
    }

    /// Returns which node has this id.
    pub fn index(&self, _id: &NodeId) -> Option<NodeNo> {
        None
    }

    /// Returns what a node's own clock shows.
    pub fn clock(&self, _node: NodeNo) -> Time {
        self.now
    }

    /// Returns how many events the minds have taken in.
    pub const fn events(&self) -> u64 {
        0
    }
}
