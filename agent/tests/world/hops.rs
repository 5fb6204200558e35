//! What is said inside a contract's channel goes from router to router, as the doers would carry it.
//!
//! ```text
//!  C  Route{a} ──a──► SC  Junction{a ⇄ b} ──b──► SP  Junction{b ⇄ c} ──c──► P  Route{c}
//! ```
//! Each router looks whether the sender is the contract's other party; a relay's puts the name of its other contract
//! on it. A relay sees nothing of what is said: only the two ends have the channel's keys.

use agent::Event;
use kernel::{ContractId, Span};
use network::mail::Junction;
use rear_proto::{Code, Refusal, fabric::FabricAnswer, local::Side};

use super::{
    Due, Waiter, World,
    net::{Arrival, Said},
};

/// The way that something has come inside a channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// The relays that it has passed, each in which life and under which contract of its own selling.
    relays: Vec<(usize, u32, ContractId)>,
    /// The keys with which who said it began the channel: its own public one, and the one of the end that it wants.
    keys: Option<([u8; 32], [u8; 32])>,
}

/// The most relays that a channel can pass: more than there are borders.
const MOST_RELAYS: usize = 8;

impl World {
    /// Begins the way of something that a node says inside a contract's channel.
    pub(super) fn begin_way(&self, node: usize, contract: &ContractId) -> Way {
        let node = &self.nodes[node];
        let keys = node.routes.get(contract).map(|route| (node.me.signer.public(&route.secret), route.remote_key));
        Way { relays: Vec::new(), keys }
    }

    /// Something comes to a router: it is the far end's, or goes on.
    pub(super) fn pass_in(
        &mut self,
        at: usize,
        from: usize,
        contract: ContractId,
        waiter: Waiter,
        said: Said,
        mut way: Way,
    ) {
        let peer = self.nodes[from].id;
        if let Some(route) = self.nodes[at].routes.get(&contract).filter(|route| route.peer.node == peer) {
            let keys = (route.remote_key, self.nodes[at].me.signer.public(&route.secret));
            if way.keys.is_some_and(|theirs| theirs != keys) {
                if self.tamper.is_none() && self.liar.is_none() {
                    self.fail(format!("the ends of the channel of {contract} at node {at} have other keys"));
                }
                self.count("channels with wrong keys");
                let refusal = Refusal::new(Code::Closed, "the channel could not be opened");
                return self.answer_far_end(at, waiter, FabricAnswer::Refused(refusal), way);
            }
            self.opened(&way);
            return self.hear(at, contract, waiter, said, way);
        }
        let junction = self.nodes[at].junctions.get(&contract);
        let Some((next, name, front)) = junction.and_then(|junction| onwards(junction, contract, &peer)) else {
            self.count("streams without a router");
            let refusal = Refusal::new(Code::Closed, "the far end does not know this contract");
            return self.answer_far_end(at, waiter, FabricAnswer::Refused(refusal), way);
        };
        if way.relays.len() >= MOST_RELAYS {
            self.fail(format!("the channel of {contract} goes round in circles at node {at}"));
        }
        way.relays.push((at, self.nodes[at].starts, front));
        if let Some((to, _)) = self.dial(at, &next) {
            self.send(Arrival::Hear { to, from: at, contract: name, waiter, said, way });
        }
    }

    /// An answer comes back, from router to router.
    pub(super) fn pass_back(
        &mut self,
        from: Option<usize>,
        waiter: Waiter,
        bytes: Result<Vec<u8>, Refusal>,
        mut way: Way,
    ) {
        if let (Some((relay, life, front)), Some(from)) = (way.relays.pop(), from) {
            // Where the router is gone, so are its streams.
            let stands = self.lives(relay, life) && self.nodes[relay].junctions.contains_key(&front);
            if stands && self.linked(from, relay) {
                self.send(Arrival::FabricAnswer { from: Some(relay), waiter, bytes, way });
            }
            return;
        }
        if !self.hears(from, waiter) {
            return;
        }
        let reply = bytes.map(|bytes| {
            self.check_secrets(from.unwrap_or(waiter.node), waiter.node, &bytes);
            Box::new(rear_proto::wire::codec::decode(&bytes).unwrap())
        });
        self.deliver(waiter.node, Event::FabricAnswered { id: waiter.question, reply });
    }

    /// Returns which node is at the far end of a contract that a node has sold, as far as its relays say.
    pub(crate) fn consumer_of(&self, seller: usize, contract: ContractId) -> Option<usize> {
        let (mut at, mut contract) = (seller, contract);
        for _ in 0..MOST_RELAYS {
            let view = self.nodes[at].agent.as_ref()?.managers().contract.contract(&contract)?;
            let buyer = self.index(&view.buyer)?;
            let Some(junction) = self.nodes[buyer].junctions.get(&contract) else {
                // A relay that has lost its junction is no end.
                return self.nodes[buyer].routes.contains_key(&contract).then_some(buyer);
            };
            (at, contract) = (buyer, junction.front);
        }
        None
    }

    /// Returns which node provides what a node has bought, and under which contract.
    pub(crate) fn far_end(&self, buyer: usize, contract: ContractId) -> Option<(usize, ContractId)> {
        let (mut at, mut contract) = (buyer, contract);
        for _ in 0..MOST_RELAYS {
            let view = self.nodes[at].agent.as_ref()?.managers().contract.contract(&contract)?;
            let seller = self.index(&view.seller)?;
            let Some(junction) = self.nodes[seller].junctions.get(&contract) else { return Some((seller, contract)) };
            (at, contract) = (seller, junction.back);
        }
        None
    }

    /// Bytes have gone both ways through these relays.
    fn opened(&mut self, way: &Way) {
        for &(node, life, contract) in &way.relays {
            let event = Event::Metered { contract, up: 64, down: 64, streams: 1 };
            let delay = 1 + self.rng.below(5);
            self.after(Span::millis(delay), Due::Local { node, life, event });
        }
    }
}

/// Returns where a relay sends on what came under one of its contracts, under which, and the one that it sold.
fn onwards(
    junction: &Junction,
    contract: ContractId,
    from: &kernel::NodeId,
) -> Option<(rear_proto::flavour::Party, ContractId, ContractId)> {
    let side = if contract == junction.front { Side::Consumer } else { Side::Provider };
    let (party, next, name) = match side {
        Side::Consumer => (&junction.buyer, &junction.seller, junction.back),
        Side::Provider => (&junction.seller, &junction.buyer, junction.front),
    };
    (party.node == *from).then(|| (next.clone(), name, junction.front))
}
