//! The network: what is said between nodes arrives late, never, twice, or in another order.

use agent::Event;
use kernel::{AskId, ContractId, Digest, Span};
use rear_proto::{
    Ask, Code, Refusal, Reply, Request,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    flavour::Party,
    wire::codec,
};

use super::{Due, Waiter, World, hops::Way};

/// Something that arrives at a node.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    Ask { to: usize, from: usize, waiter: Waiter, bytes: Vec<u8> },
    Answer { from: Option<usize>, waiter: Waiter, bytes: Result<Vec<u8>, Refusal> },
    Hear { to: usize, from: usize, contract: ContractId, waiter: Waiter, said: Said, way: Way },
    FabricAnswer { from: Option<usize>, waiter: Waiter, bytes: Result<Vec<u8>, Refusal>, way: Way },
}

/// What is said inside a channel.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Ask(Vec<u8>),
    Component(Digest),
}

impl World {
    // -- saying -----------------------------------------------------------------------------------------

    /// Sends something to a node, and its asker's deadline after it.
    pub(super) fn send_question(&mut self, deadline: Span, to: Option<&Party>, waiter: Waiter, question: Arrival) {
        let fabric = !matches!(question, Arrival::Ask { .. });
        let refused = |code: Code| {
            let (from, bytes) = (None, Err(code.into()));
            if fabric {
                Arrival::FabricAnswer { from, waiter, bytes, way: Way::default() }
            } else {
                Arrival::Answer { from, waiter, bytes }
            }
        };
        self.after(deadline, Due::Net(refused(Code::Timeout)));
        let Some(to) = to else { return };
        let Some((to, later)) = self.dial(waiter.node, to) else {
            let delay = 1 + self.rng.below(50);
            return self.after(Span::millis(delay), Due::Net(refused(Code::Unavailable)));
        };
        if !self.reaches(waiter.node, to) && self.is_noticed(waiter.node, to) && self.chance(700) {
            // The dialling fails before the deadline.
            let delay = 1 + self.rng.below(50);
            return self.after(Span::millis(delay), Due::Net(refused(Code::Unavailable)));
        }
        self.send_later(later, question);
    }

    /// Sends something, which may get lost or come twice.
    pub(super) fn send(&mut self, message: Arrival) {
        self.send_later(Span::ZERO, message);
    }

    fn send_later(&mut self, later: Span, message: Arrival) {
        if self.chance(self.faults.lose) {
            return;
        }
        let delay = 1 + self.rng.below(20);
        self.after(later.plus(Span::millis(delay)), Due::Net(message.clone()));
        if self.chance(self.faults.repeat) {
            // Mostly soon, and sometimes when all of it may be over.
            let delay = if self.chance(100) { self.rng.below(8000) } else { self.rng.below(400) };
            self.after(later.plus(Span::millis(1 + delay)), Due::Net(message));
        }
    }

    /// Puts a question in a node's name that its mind knows nothing of; the answer goes nowhere.
    pub(crate) fn ask_as(&mut self, from: usize, to: usize, request: Request) {
        let ask = Ask { request, tell: false, extensions: Default::default() };
        // What does not pass the door never gets in.
        if ask.validate().is_ok() {
            let waiter = Waiter { node: from, life: 0, question: 0 };
            self.arrive(Arrival::Ask { to, from, waiter, bytes: codec::encode(&ask) });
        }
    }

    /// The same inside a contract's channel.
    pub(crate) fn hear_as(&mut self, from: usize, to: usize, contract: ContractId, request: FabricRequest) {
        let ask = FabricAsk { request, tell: false, extensions: Default::default() };
        if ask.validate().is_ok() {
            let waiter = Waiter { node: from, life: 0, question: 0 };
            let (said, way) = (Said::Ask(codec::encode(&ask)), Way::default());
            self.arrive(Arrival::Hear { to, from, contract, waiter, said, way });
        }
    }

    // -- arriving ---------------------------------------------------------------------------------------

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Ask { to, from, waiter, bytes } => {
                if !self.reaches(from, to) {
                    return;
                }
                self.check_secrets(from, to, &bytes);
                let from = self.nodes[from].id;
                let ask: Ask = codec::decode(&bytes).unwrap();
                ask.validate().unwrap();
                let node = &mut self.nodes[to];
                let ticket = node.ticket();
                node.asked.insert(ticket, waiter);
                if let Request::Release(release) = &ask.request {
                    node.releases.insert(ticket, ((release.buyer, release.key), from, self.now));
                }
                self.watch_query(to, ticket, &from, &ask.request);
                self.deliver(to, Event::Asked { ticket, from, ask: Box::new(ask) });
            }
            Arrival::Answer { from, waiter, bytes } => {
                if !self.hears(from, waiter) {
                    return;
                }
                let reply = bytes.map(|bytes| {
                    self.check_secrets(from.unwrap_or(waiter.node), waiter.node, &bytes);
                    let reply: Reply = codec::decode(&bytes).unwrap();
                    reply.validate().unwrap();
                    Box::new(reply)
                });
                self.deliver(waiter.node, Event::Answered { ask: AskId(waiter.question), reply });
            }
            Arrival::Hear { to, from, contract, waiter, said, way } => {
                if self.reaches(from, to) {
                    self.pass_in(to, from, contract, waiter, said, way);
                }
            }
            Arrival::FabricAnswer { from, waiter, bytes, way } => self.pass_back(from, waiter, bytes, way),
        }
    }

    /// Something arrives at the far end of a channel.
    pub(super) fn hear(&mut self, to: usize, contract: ContractId, waiter: Waiter, said: Said, way: Way) {
        match said {
            Said::Ask(bytes) => {
                self.check_secrets(waiter.node, to, &bytes);
                let ask: FabricAsk = codec::decode(&bytes).unwrap();
                ask.validate().unwrap();
                let node = &mut self.nodes[to];
                let ticket = node.ticket();
                node.heard.insert(ticket, (waiter, way));
                self.deliver(to, Event::Heard { ticket, contract, ask: Box::new(ask) });
            }
            Said::Component(digest) => {
                self.nodes[to].modules.insert(digest);
                self.answer_far_end(to, waiter, FabricAnswer::Done, way);
            }
        }
    }

    /// Answers a far end in the place of a mind.
    pub(super) fn answer_far_end(&mut self, node: usize, waiter: Waiter, answer: FabricAnswer, way: Way) {
        let reply = FabricReply { answer, steps: Vec::new(), extensions: Default::default() };
        self.send(Arrival::FabricAnswer { from: Some(node), waiter, bytes: Ok(codec::encode(&reply)), way });
    }

    /// Says whether an answer reaches who waits for it.
    pub(super) fn hears(&self, from: Option<usize>, waiter: Waiter) -> bool {
        let arrives = |from| self.linked(from, waiter.node) && !(self.many && self.has_seen_end(waiter.node, from));
        self.lives(waiter.node, waiter.life) && from.is_none_or(arrives)
    }
}
