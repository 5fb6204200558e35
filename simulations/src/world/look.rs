//! Looking at a world: what its observers are told when they ask. Nothing here changes anything.

use agent::{Agent, Managers};
use kernel::{IntentId, NodeId, Rng, Span, Time};

use super::{Rows, World};
use crate::{
    outcome::Violation,
    plan::{DomainNo, NodeNo, Plan},
};

impl World {
    /// Returns how long it has run, counted from when the plan's times begin.
    pub fn age(&self) -> Span {
        self.now.since(self.begun)
    }

    /// Returns the world's time, which no node's clock need show.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Returns when the plan's times begin.
    pub const fn begun(&self) -> Time {
        self.begun
    }

    /// Returns the plan that is acted out.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns how many nodes there are.
    pub fn count(&self) -> NodeNo {
        self.nodes.len() as NodeNo
    }

    /// Returns a node's name.
    pub fn name(&self, node: NodeNo) -> &str {
        &self.plan.nodes[node as usize].name
    }

    /// Returns a node's domain.
    pub fn domain(&self, node: NodeNo) -> DomainNo {
        self.plan.nodes[node as usize].domain
    }

    /// Returns a node's id.
    pub fn id(&self, node: NodeNo) -> NodeId {
        self.node(node).id
    }

    /// Returns which node has this id.
    pub fn index(&self, id: &NodeId) -> Option<NodeNo> {
        self.ids.get(id).copied()
    }

    /// Returns what a node knows, while it is up.
    pub fn managers(&self, node: NodeNo) -> Option<&Managers> {
        self.node(node).agent.as_ref().map(|agent| agent.managers())
    }

    /// Returns a node's mind, while it is up.
    pub fn agent(&self, node: NodeNo) -> Option<&Agent> {
        self.node(node).agent.as_deref()
    }

    /// Returns what a node's own clock shows.
    pub fn clock(&self, node: NodeNo) -> Time {
        self.node(node).clock.shows(self.now)
    }

    /// Returns what runs at a node.
    pub fn instances(&self, node: NodeNo) -> impl Iterator<Item = &vfabric::mail::Instance> {
        self.node(node).now.instances.iter()
    }

    /// Returns how many routers a node has, joints between two contracts among them.
    pub fn routers(&self, node: NodeNo) -> usize {
        self.node(node).now.routes.len() + self.node(node).now.junctions.len()
    }

    /// Says whether two nodes can hear each other over a connection that both know.
    pub fn are_in_touch(&self, a: NodeNo, b: NodeNo) -> bool {
        let conn = |at: NodeNo, of: NodeNo| self.node(at).now.peers.get(&of).map(|link| link.conn);
        conn(a, b).is_some() && conn(a, b) == conn(b, a) && !self.is_cut(a, b)
    }

    /// Returns how many questions of others wait at a node.
    pub fn questions(&self, node: NodeNo) -> usize {
        self.node(node).now.asked.len() + self.node(node).now.heard.len()
    }

    /// Returns how many commands a node has not answered.
    pub fn commands(&self, node: NodeNo) -> usize {
        self.node(node).now.commands.len()
    }

    /// Returns what is durable at a node.
    pub fn disk(&self, node: NodeNo) -> &Rows {
        &self.node(node).disk.rows
    }

    /// Says whether a node has left for good.
    pub fn is_gone(&self, node: NodeNo) -> bool {
        self.node(node).gone
    }

    /// Makes the mind that a node would have after a crash right now, from what is synced alone; or, with all that
    /// `waits` for a sync, from what it has decided.
    ///
    /// # Errors
    /// When it can't read what it wrote.
    pub fn reborn(&self, node: NodeNo, waits: bool) -> Result<Agent, rear_proto::DamagedRecord> {
        let disk = &self.node(node).disk;
        if waits {
            self.remember(node, &disk.all(), Rng::from_number(0))
        } else {
            self.remember(node, &disk.rows, Rng::from_number(0))
        }
    }

    /// Returns how many events the minds have taken in, wakes among them.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Returns what did not hold so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Returns a digest of all that has happened.
    pub fn trace_hash(&self) -> String {
        self.trace.hash()
    }

    /// Returns the id of an intent of the plan.
    pub fn intent(number: u32) -> IntentId {
        IntentId::derive("simulation", &[&number.to_le_bytes()])
    }
}
