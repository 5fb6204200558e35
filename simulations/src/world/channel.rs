//! What is said inside a contract's channel goes from router to router, as the doers carry it.
//!
//! ```text
//!  C  Route{a} ──a──► SC  Junction{a ⇄ b} ──b──► SP  Junction{b ⇄ c} ──c──► P  Route{c}
//! ```
//! Each router looks whether the sender is the contract's other party; a relay's puts the name of its other contract
//! on it. A relay sees nothing of what is said: only the two ends have the channel's keys.

use agent::Event;
use kernel::{ContractId, NodeId, Span};
use network::mail::Junction;
use rear_proto::{
    Code, Refusal,
    fabric::{FabricAnswer, FabricReply},
    flavour::Party,
    local::Side,
};

use super::{
    Due, World,
    letters::{Body, Letter, Said, Says},
    node::Waiter,
};
use crate::plan::NodeNo;

/// How many bytes a question and its answer count for at a relay.
const METERED: u64 = 64;

/// The way that something has come inside a channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// The relays that it has passed: each in which life, under which contract of its own selling, and from whom it came.
    relays: Vec<Passed>,
    /// The keys with which who said it began the channel: its own public one, and the one of the end that it wants.
    keys: Option<([u8; 32], [u8; 32])>,
}

#[derive(Debug, Clone, Copy)]
struct Passed {
    relay: NodeNo,
    life: u32,
    front: ContractId,
    from: NodeNo,
}

impl World {
    /// Begins the way of something that a node says inside a contract's channel.
    pub(super) fn begin_way(&self, node: NodeNo, contract: &ContractId) -> Way {
        let route = self.node(node).now.routes.get(contract);
        let keys = route.map(|route| (self.node(node).me.signer.public(&route.secret), route.remote_key));
        Way { relays: Vec::new(), keys }
    }

    /// Something comes to a router: it is the far end's, or goes on.
    pub(super) fn pass_in(
        &mut self,
        at: NodeNo,
        from: NodeNo,
        contract: ContractId,
        waiter: Waiter,
        said: Said,
        mut way: Way,
    ) {
        let peer = self.node(from).id;
        if let Some(route) = self.node(at).now.routes.get(&contract).filter(|route| route.peer.node == peer) {
            let keys = (route.remote_key, self.node(at).me.signer.public(&route.secret));
            if way.keys.is_some_and(|theirs| theirs != keys) {
                let refusal = Refusal::new(Code::Closed, "the channel could not be opened");
                return self.answer_inside(at, from, waiter, way, FabricAnswer::Refused(refusal));
            }
            self.opened(&way);
            return self.hear(at, from, contract, waiter, said, way);
        }
        let junction = self.node(at).now.junctions.get(&contract);
        let Some((next, name, front)) = junction.and_then(|junction| onwards(junction, contract, &peer)) else {
            let refusal = Refusal::new(Code::Closed, "the far end does not know this contract");
            return self.answer_inside(at, from, waiter, way, FabricAnswer::Refused(refusal));
        };
        if way.relays.iter().any(|passed| passed.relay == at && passed.front == front) {
            return self.violate("channel", at, format!("the channel of {contract} goes round in circles"));
        }
        way.relays.push(Passed { relay: at, life: self.node(at).life, front, from });
        if let Some((to, conn, later)) = self.dial(at, &next) {
            self.post_inside(later, Letter { from: at, to, conn, waiter, says: Says::Hear(name, said, way) });
        }
    }

    /// An answer comes back, from router to router.
    pub(super) fn pass_back(&mut self, at: NodeNo, waiter: Waiter, body: Body<FabricReply>, mut way: Way) {
        if let Some(passed) = way.relays.pop() {
            // Where the router is gone, so are its streams.
            let node = self.node(at);
            let stands = node.life == passed.life && node.now.junctions.contains_key(&passed.front);
            let link = node.now.peers.get(&passed.from).map(|link| link.conn);
            if let Some(conn) = link.filter(|_| stands) {
                let says = Says::Heard(body, way);
                self.post_inside(Span::ZERO, Letter { from: at, to: passed.from, conn, waiter, says });
            }
            return;
        }
        if !self.lives(waiter) || self.node_mut(at).now.open_inside.remove(&waiter.question).is_none() {
            return;
        }
        let Some(reply) = self.open(at, body, FabricReply::validate) else { return };
        self.event(at, Event::FabricAnswered { id: waiter.question, reply: Ok(reply) });
    }

    /// Bytes have gone both ways through these relays.
    fn opened(&mut self, way: &Way) {
        for &Passed { relay: node, life, front: contract, .. } in &way.relays {
            let event = Event::Metered { contract, up: METERED, down: METERED, streams: 1 };
            let delay = 1 + self.rng.below(5);
            self.after(Span::millis(delay), Due::Local { node, life, event: Box::new(event) });
        }
    }
}

/// Returns where a relay sends on what came under one of its contracts, under which, and the one that it sold.
fn onwards(junction: &Junction, contract: ContractId, from: &NodeId) -> Option<(Party, ContractId, ContractId)> {
    let side = if contract == junction.front { Side::Consumer } else { Side::Provider };
    let (party, next, name) = match side {
        Side::Consumer => (&junction.buyer, &junction.seller, junction.back),
        Side::Provider => (&junction.seller, &junction.buyer, junction.front),
    };
    (party.node == *from).then(|| (next.clone(), name, junction.front))
}
