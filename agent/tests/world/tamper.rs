//! Somebody who sits at a node and changes what it says.

use rear_proto::{Answer, Ask, Reply};

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

/// Changes the answers of one node.
pub(crate) struct Answers<F> {
    node: usize,
    change: F,
}

/// Changes the answers of one node; `None` is silence.
pub(crate) fn answers<F>(node: usize, change: F) -> Option<Box<dyn Tamper>>
where
    F: FnMut(&mut World, usize, Answer) -> Option<Answer> + 'static,
{
    Some(Box::new(Answers { node, change }))
}

impl<F: FnMut(&mut World, usize, Answer) -> Option<Answer>> Tamper for Answers<F> {
    fn reply(&mut self, world: &mut World, node: usize, to: usize, mut reply: Reply) -> Option<Reply> {
        if node != self.node {
            return Some(reply);
        }
        reply.answer = (self.change)(world, to, reply.answer)?;
        Some(reply)
    }
}

/// Changes what one node asks.
pub(crate) struct Asks<F> {
    node: usize,
    change: F,
}

/// Changes the questions of one node; `None` is silence.
pub(crate) fn asks<F>(node: usize, change: F) -> Option<Box<dyn Tamper>>
where
    F: FnMut(&mut World, Ask) -> Option<Ask> + 'static,
{
    Some(Box::new(Asks { node, change }))
}

impl<F: FnMut(&mut World, Ask) -> Option<Ask>> Tamper for Asks<F> {
    fn reply(&mut self, _world: &mut World, _node: usize, _to: usize, reply: Reply) -> Option<Reply> {
        Some(reply)
    }

    fn ask(&mut self, world: &mut World, node: usize, ask: Ask) -> Option<Ask> {
        if node == self.node { (self.change)(world, ask) } else { Some(ask) }
    }
}
