//! Somebody who sits at a node and changes what it says.

use rear_proto::{Ask, Reply};

use super::World;

/// Changes what nodes say on its way out.
pub(crate) trait Tamper {
    /// Returns what a node really answers to another, if anything.
    fn reply(&mut self, world: &mut World, node: usize, to: usize, reply: Reply) -> Option<Reply>;

    /// Returns what a node really asks, if anything.
    fn ask(&mut self, _world: &mut World, _node: usize, ask: Ask) -> Option<Ask> {
        Some(ask)
    }
}
