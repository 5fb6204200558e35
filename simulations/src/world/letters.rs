//! What travels between nodes: it arrives late, never, twice, or after what was said later.

use agent::Event;
use kernel::{AskId, ContractId, Digest, Span, Time};
use rear_proto::{
    Ask, Code, Refusal, Reply,
    fabric::{FabricAnswer, FabricAsk, FabricReply},
    flavour::Party,
    wire::codec,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Due, World, channel::Way, node::Waiter, trace::Mark};
use crate::{observe::Seen, plan::NodeNo, scenario::Line};

/// How many times as long a message takes that is overtaken, at the most.
const LATE: u64 = 10;
/// How long a component is that is sent to a far end, in bytes.
const COMPONENT: u32 = 64 << 10;

/// Something on its way to a node.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) from: NodeNo,
    pub(crate) to: NodeNo,
    /// Over which connection.
    pub(crate) conn: u64,
    pub(crate) waiter: Waiter,
    pub(crate) says: Says,
}

/// What a letter says.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Ask(Body<Ask>),
    Reply(Body<Reply>),
    /// Inside a contract's channel, under the contract's name at the node that it comes to.
    Hear(ContractId, Said, Way),
    Heard(Body<FabricReply>, Way),
}

/// What is said inside a channel.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Ask(Body<FabricAsk>),
    Component(Digest),
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) enum Body<T> {
    Value(Box<T>),
    Bytes(Vec<u8>),
}

impl World {
    // -- saying -----------------------------------------------------------------------------------------

    /// A node asks another, and hears that nobody answered when the time for it is over.
    pub(super) fn ask(&mut self, from: NodeNo, question: u64, party: &Party, mut ask: Ask, deadline: Span) {
        let waiter = self.node(from).waiter(from, question);
        self.after(deadline, Due::Deadline { waiter, inside: false });
        self.adorn(from, &mut ask.extensions);
        let name = ask.request.name();
        let (body, bytes) = self.body(ask);
        let Some((to, conn, later)) = self.dial(from, party) else {
            self.node_mut(from).now.open.insert(question, from);
            let delay = self.rng.below(5) + 1;
            return self.after(Span::millis(delay), Due::Refused { waiter, inside: false });
        };
        self.node_mut(from).now.open.insert(question, to);
        self.post(name, &bytes, later, Letter { from, to, conn, waiter, says: Says::Ask(body) });
    }

    /// A node answers another.
    pub(super) fn reply(&mut self, from: NodeNo, waiter: Waiter, conn: u64, mut reply: Reply) {
        self.adorn(from, &mut reply.extensions);
        let (body, bytes) = self.body(reply);
        let letter = Letter { from, to: waiter.node, conn, waiter, says: Says::Reply(body) };
        self.post("answer", &bytes, Span::ZERO, letter);
    }

    /// A node says something inside a contract's channel.
    pub(super) fn say_inside(&mut self, from: NodeNo, question: u64, contract: ContractId, said: Said, deadline: Span) {
        let waiter = self.node(from).waiter(from, question);
        self.after(deadline, Due::Deadline { waiter, inside: true });
        let way = self.begin_way(from, &contract);
        let party = self.node(from).now.routes.get(&contract).map(|route| route.peer.clone());
        let Some((to, conn, later)) = party.and_then(|party| self.dial(from, &party)) else {
            self.node_mut(from).now.open_inside.insert(question, from);
            return self.after(Span::millis(1), Due::Refused { waiter, inside: true });
        };
        self.node_mut(from).now.open_inside.insert(question, to);
        self.post_inside(later, Letter { from, to, conn, waiter, says: Says::Hear(contract, said, way) });
    }

    /// Puts on the line what is said inside a channel: nobody on the way sees what.
    pub(super) fn post_inside(&mut self, later: Span, letter: Letter) {
        let bytes = match &letter.says {
            Says::Hear(_, Said::Ask(body), _) => body.bytes(),
            Says::Heard(body, _) => body.bytes(),
            Says::Hear(_, Said::Component(digest), _) => {
                let mut component = vec![0; COMPONENT as usize];
                component[..32].copy_from_slice(digest.as_bytes());
                component
            }
            Says::Ask(_) | Says::Reply(_) => Vec::new(),
        };
        self.post("channel", &bytes, later, letter);
    }

    /// Puts a letter on the line.
    pub(super) fn post(&mut self, what: &'static str, bytes: &[u8], later: Span, letter: Letter) {
        let (from, to) = (letter.from, letter.to);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.trace.mix(Mark::Sent, self.now, [from, to], bytes);
        self.show(&Seen::Sent { from, to, what, bytes: length });
        let line = self.line(from, to);
        if line.lost > 0 && self.rng.below(1000) < line.lost {
            return self.note(|world| format!("lost: {what} from {} to {}", world.name(from), world.name(to)));
        }
        let at = self.arrives(from, &line, length) + later;
        if line.twice > 0 && self.rng.below(1000) < line.twice {
            // Mostly soon, and sometimes when all of it may be over.
            let most = if self.rng.below(10) == 0 { 8000 } else { 400 };
            let again = at + Span::millis(1 + self.rng.below(most));
            self.queue.push(again, Due::Letter(Box::new(letter.clone())));
        }
        self.queue.push(at, Due::Letter(Box::new(letter)));
    }

    /// Returns when something of so many bytes arrives.
    fn arrives(&mut self, from: NodeNo, line: &Line, bytes: u32) -> Time {
        let mut takes = line.latency.draw(&mut self.rng).max(Span::millis(1));
        if line.late > 0 && self.rng.below(1000) < line.late {
            takes = takes.times(1 + self.rng.below(LATE));
        }
        if line.bandwidth == 0 {
            return self.now + takes;
        }
        let sending = Span::millis(u64::from(bytes) * 8 * 1000 / line.bandwidth);
        let now = self.now;
        let node = self.node_mut(from);
        node.line_free = node.line_free.max(now) + sending;
        node.line_free + takes
    }

    /// Makes a message ready for its way; returns its bytes, too.
    pub(super) fn body<T: Serialize>(&self, value: T) -> (Body<T>, Vec<u8>) {
        let bytes = codec::encode(&value);
        if self.as_bytes { (Body::Bytes(bytes.clone()), bytes) } else { (Body::Value(Box::new(value)), bytes) }
    }

    /// The next version of the program says more than this one knows.
    fn adorn(&self, node: NodeNo, extensions: &mut rear_proto::message::Extensions) {
        if self.node(node).version > 1 {
            extensions.insert(u16::MAX, b"of the next version".to_vec());
        }
    }

    // -- arriving ---------------------------------------------------------------------------------------

    pub(super) fn arrive(&mut self, letter: Letter) {
        let (from, to, conn) = (letter.from, letter.to, letter.conn);
        // What comes over a connection that is no more has not come.
        let link = self.node(to).now.peers.get(&from);
        let holds = self.node(to).agent.is_some() && link.is_some_and(|link| link.conn == conn);
        if !holds || self.is_cut(from, to) {
            return self.stop(letter);
        }
        let waiter = letter.waiter;
        match letter.says {
            Says::Ask(body) => {
                let Some(ask) = self.open(to, body, Ask::validate) else { return };
                let node = self.node_mut(to);
                let ticket = node.ticket();
                node.now.asked.insert(ticket, (waiter, conn));
                self.show(&Seen::Asked { node: to, from, ticket, request: &ask.request });
                let from = self.node(from).id;
                self.event(to, Event::Asked { ticket, from, ask });
            }
            Says::Reply(body) => {
                if !self.lives(waiter) || self.node_mut(to).answer_to(waiter.question).is_none() {
                    return;
                }
                let Some(reply) = self.open(to, body, Reply::validate) else { return };
                self.event(to, Event::Answered { ask: AskId(waiter.question), reply: Ok(reply) });
            }
            Says::Hear(contract, said, way) => self.pass_in(to, from, contract, waiter, said, way),
            Says::Heard(body, way) => self.pass_back(to, waiter, body, way),
        }
    }

    /// Something said inside a channel has come to its far end.
    pub(super) fn hear(
        &mut self,
        at: NodeNo,
        from: NodeNo,
        contract: ContractId,
        waiter: Waiter,
        said: Said,
        way: Way,
    ) {
        match said {
            Said::Ask(body) => {
                let Some(ask) = self.open(at, body, FabricAsk::validate) else { return };
                let node = self.node_mut(at);
                let ticket = node.ticket();
                node.now.heard.insert(ticket, (waiter, way, from));
                self.event(at, Event::Heard { ticket, contract, ask });
            }
            Said::Component(digest) => {
                self.node_mut(at).modules.insert(digest);
                self.answer_inside(at, from, waiter, way, FabricAnswer::Done);
            }
        }
    }

    /// Answers a far end in the place of a mind.
    pub(super) fn answer_inside(&mut self, at: NodeNo, to: NodeNo, waiter: Waiter, way: Way, answer: FabricAnswer) {
        self.reply_inside(
            at,
            to,
            waiter,
            way,
            FabricReply { answer, steps: Vec::new(), extensions: Default::default() },
        );
    }

    /// Sends an answer back through a channel.
    pub(super) fn reply_inside(&mut self, at: NodeNo, to: NodeNo, waiter: Waiter, way: Way, reply: FabricReply) {
        let (body, _) = self.body(reply);
        let Some(conn) = self.node(at).now.peers.get(&to).map(|link| link.conn) else { return };
        self.post_inside(Span::ZERO, Letter { from: at, to, conn, waiter, says: Says::Heard(body, way) });
    }

    /// Opens a message as the door does; what our own nodes say must pass it.
    pub(super) fn open<T: DeserializeOwned>(
        &mut self,
        at: NodeNo,
        body: Body<T>,
        validate: impl Fn(&T) -> Result<(), Refusal>,
    ) -> Option<Box<T>> {
        let value = match body {
            Body::Value(value) => value,
            Body::Bytes(bytes) => match codec::decode(&bytes) {
                Ok(value) => Box::new(value),
                Err(error) => {
                    self.violate("wire", at, format!("a message of ours can't be read: {error}"));
                    return None;
                }
            },
        };
        if self.as_bytes
            && let Err(refusal) = validate(&value)
        {
            self.violate("wire", at, format!("a message of ours is refused at the door: {refusal}"));
            return None;
        }
        Some(value)
    }

    /// The time for an answer is over, or there was nobody to ask.
    pub(super) fn unanswered(&mut self, waiter: Waiter, inside: bool, code: Code) {
        if !self.lives(waiter) {
            return;
        }
        let (node, id) = (waiter.node, waiter.question);
        let now = &mut self.node_mut(node).now;
        if inside && now.open_inside.remove(&id).is_some() {
            self.event(node, Event::FabricAnswered { id, reply: Err(code.into()) });
        } else if !inside && now.open.remove(&id).is_some() {
            self.event(node, Event::Answered { ask: AskId(id), reply: Err(code.into()) });
        }
    }
}

impl<T: Serialize> Body<T> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Value(value) => codec::encode(&**value),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}
