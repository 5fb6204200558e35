//! The network: what is said between nodes arrives late, never, twice, or in another order.

use std::collections::BTreeMap;

use agent::Event;
use kernel::{AskId, ContractId, Digest, Span, Time};
use rear_proto::{
    Ask, Code, Refusal, Reply, Request,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    flavour::Party,
    wire::codec,
};

use super::{Due, Waiter, World};

/// Which nodes can't reach each other, and what each was told of the others.
#[derive(Debug, Default)]
pub(crate) struct Links {
    cuts: BTreeMap<u64, Cut>,
    last_cut: u64,
    /// What a life of a node was last told of another, and when, so that news comes in order.
    told: BTreeMap<(usize, usize), (u32, bool, Time)>,
}

#[derive(Debug)]
struct Cut {
    between: (usize, usize),
    noticed: bool,
}

/// Something that arrives at a node.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    Ask { to: usize, from: usize, waiter: Waiter, bytes: Vec<u8> },
    Answer { from: Option<usize>, waiter: Waiter, bytes: Result<Vec<u8>, Refusal> },
    Hear { to: usize, from: usize, contract: ContractId, waiter: Waiter, bytes: Vec<u8> },
    FabricAnswer { from: Option<usize>, waiter: Waiter, bytes: Result<Vec<u8>, Refusal> },
    Component { to: usize, from: usize, waiter: Waiter, digest: Digest },
}

impl World {
    // -- saying -----------------------------------------------------------------------------------------

    /// Sends something, and its asker's deadline after it.
    pub(super) fn send_question(&mut self, deadline: Span, to: Option<usize>, waiter: Waiter, question: Arrival) {
        let fabric = !matches!(question, Arrival::Ask { .. });
        let refused = |code: Code| {
            let (from, bytes) = (None, Err(code.into()));
            if fabric { Arrival::FabricAnswer { from, waiter, bytes } } else { Arrival::Answer { from, waiter, bytes } }
        };
        self.after(deadline, Due::Net(refused(Code::Timeout)));
        let Some(to) = to else { return };
        if !self.reaches(waiter.node, to) && self.is_noticed(waiter.node, to) && self.chance(700) {
            // The dialling fails before the deadline.
            let delay = 1 + self.rng.below(50);
            return self.after(Span::millis(delay), Due::Net(refused(Code::Unavailable)));
        }
        self.send(question);
    }

    /// Sends something, which may get lost or come twice.
    pub(super) fn send(&mut self, message: Arrival) {
        if self.chance(self.faults.lose) {
            return;
        }
        let delay = 1 + self.rng.below(20);
        self.after(Span::millis(delay), Due::Net(message.clone()));
        if self.chance(self.faults.repeat) {
            // Mostly soon, and sometimes when all of it may be over.
            let delay = if self.chance(100) { self.rng.below(8000) } else { self.rng.below(400) };
            self.after(Span::millis(1 + delay), Due::Net(message));
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
            self.arrive(Arrival::Hear { to, from, contract, waiter, bytes: codec::encode(&ask) });
        }
    }

    // -- arriving ---------------------------------------------------------------------------------------

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Ask { to, from, waiter, bytes } => {
                if !self.reaches(from, to) {
                    return;
                }
                let from = self.nodes[from].id;
                let ask: Ask = codec::decode(&bytes).unwrap();
                ask.validate().unwrap();
                let node = &mut self.nodes[to];
                let ticket = node.ticket();
                node.asked.insert(ticket, waiter);
                if let Request::Release(release) = &ask.request {
                    node.releases.insert(ticket, ((release.buyer, release.key), from, self.now));
                }
                self.deliver(to, Event::Asked { ticket, from, ask: Box::new(ask) });
            }
            Arrival::Answer { from, waiter, bytes } => {
                if !self.hears(from, waiter) {
                    return;
                }
                let reply = bytes.map(|bytes| {
                    let reply: Reply = codec::decode(&bytes).unwrap();
                    reply.validate().unwrap();
                    Box::new(reply)
                });
                self.deliver(waiter.node, Event::Answered { ask: AskId(waiter.question), reply });
            }
            Arrival::Hear { to, from, contract, waiter, bytes } => {
                if !self.reaches(from, to) {
                    return;
                }
                let peer = self.nodes[from].id;
                let node = &mut self.nodes[to];
                if node.routes.get(&contract).is_none_or(|route| route.peer.node != peer) {
                    let refusal = Refusal::new(Code::Closed, "the far end does not know this contract");
                    let reply = FabricReply {
                        answer: FabricAnswer::Refused(refusal),
                        steps: Vec::new(),
                        extensions: Default::default(),
                    };
                    let bytes = Ok(codec::encode(&reply));
                    return self.send(Arrival::FabricAnswer { from: Some(to), waiter, bytes });
                }
                let ask: FabricAsk = codec::decode(&bytes).unwrap();
                ask.validate().unwrap();
                let ticket = node.ticket();
                node.heard.insert(ticket, waiter);
                self.deliver(to, Event::Heard { ticket, contract, ask: Box::new(ask) });
            }
            Arrival::FabricAnswer { from, waiter, bytes } => {
                if !self.hears(from, waiter) {
                    return;
                }
                let reply = bytes.map(|bytes| Box::new(codec::decode::<FabricReply>(&bytes).unwrap()));
                self.deliver(waiter.node, Event::FabricAnswered { id: waiter.question, reply });
            }
            Arrival::Component { to, from, waiter, digest } => {
                if !self.reaches(from, to) {
                    return;
                }
                self.nodes[to].modules.insert(digest);
                let reply =
                    FabricReply { answer: FabricAnswer::Done, steps: Vec::new(), extensions: Default::default() };
                self.send(Arrival::FabricAnswer { from: Some(to), waiter, bytes: Ok(codec::encode(&reply)) });
            }
        }
    }

    /// Says whether an answer reaches who waits for it.
    fn hears(&self, from: Option<usize>, waiter: Waiter) -> bool {
        self.lives(waiter.node, waiter.life) && from.is_none_or(|from| self.linked(from, waiter.node))
    }

    // -- links ------------------------------------------------------------------------------------------

    /// Says whether what one node says can get to another.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        self.nodes[to].agent.is_some() && self.linked(from, to)
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        let cut = self.links.cuts.values().any(|cut| cut.between == (a.min(b), a.max(b)));
        !cut && !self.nodes[a].blocked.contains(&self.nodes[b].id) && !self.nodes[b].blocked.contains(&self.nodes[a].id)
    }

    fn is_noticed(&self, a: usize, b: usize) -> bool {
        let mut cuts = self.links.cuts.values().filter(|cut| cut.between == (a.min(b), a.max(b)));
        self.nodes[b].agent.is_none() || cuts.any(|cut| cut.noticed)
    }

    /// Cuts two nodes off from each other, for a while; after another while each notices.
    pub(crate) fn cut(&mut self, a: usize, b: usize, span: Span) {
        let between = (a.min(b), a.max(b));
        if !self.linked(a, b) {
            return;
        }
        self.note(|| format!("{a} and {b} are cut off from each other for {span}"));
        self.links.last_cut += 1;
        let cut = self.links.last_cut;
        self.links.cuts.insert(cut, Cut { between, noticed: false });
        let noticed = Span::millis(self.rng.below(3000));
        self.after(noticed, Due::Notice { cut });
        self.after(span, Due::Mend { cut });
    }

    pub(super) fn notice(&mut self, cut: u64) {
        let Some(it) = self.links.cuts.get_mut(&cut).filter(|cut| !cut.noticed) else { return };
        it.noticed = true;
        let (a, b) = it.between;
        self.tell_peer(a, b, false);
        self.tell_peer(b, a, false);
    }

    pub(super) fn mend(&mut self, cut: u64) {
        let Some(Cut { between: (a, b), noticed }) = self.links.cuts.remove(&cut) else { return };
        self.note(|| format!("{a} and {b} can reach each other again"));
        if noticed && self.linked(a, b) {
            self.tell_peer(a, b, true);
            self.tell_peer(b, a, true);
        }
    }

    pub(super) fn mend_all(&mut self) {
        let cuts: Vec<u64> = self.links.cuts.keys().copied().collect();
        cuts.into_iter().for_each(|cut| self.mend(cut));
    }

    /// A node has ended: those that were connected see that.
    pub(super) fn peer_lost(&mut self, node: usize) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.tell_peer(other, node, false);
        }
        for cut in self.links.cuts.values_mut().filter(|cut| cut.between.0 == node || cut.between.1 == node) {
            cut.noticed = true;
        }
    }

    /// A node has come to life: those that are up find each other; with `unseen` the others never lost it.
    pub(super) fn peer_found(&mut self, node: usize, unseen: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.nodes[other].agent.is_some() && self.linked(node, other) {
                self.tell_peer(node, other, true);
                let life = self.nodes[other].starts;
                let never_lost = matches!(self.links.told.get(&(other, node)), Some((at, true, _)) if *at == life);
                if !(unseen && never_lost) {
                    self.tell_peer(other, node, true);
                }
            }
        }
        // Whoever could not be found then is found when the cut is mended.
        for cut in self.links.cuts.values_mut().filter(|cut| cut.between.0 == node || cut.between.1 == node) {
            cut.noticed = true;
        }
    }

    /// A node lets another in no more.
    pub(super) fn block(&mut self, node: usize, other: usize) {
        self.note(|| format!("{node} blocks {other}"));
        let id = self.nodes[other].id;
        if self.nodes[node].blocked.insert(id) {
            self.tell_peer(node, other, false);
            self.tell_peer(other, node, false);
        }
    }

    /// Tells a node that another is there, or is gone, after all that it was told of it before.
    fn tell_peer(&mut self, at: usize, of: usize, up: bool) {
        let life = self.nodes[at].starts;
        let node = self.nodes[of].id;
        let event = if up {
            Event::PeerUp { party: Party { node, addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 1000 + of)] } }
        } else {
            Event::PeerDown { node }
        };
        let last = self.links.told.get(&(at, of)).map_or(Time::default(), |(.., when)| *when);
        let when = (self.now + Span::millis(1 + self.rng.below(5))).max(last + Span::millis(1));
        self.links.told.insert((at, of), (life, up, when));
        self.after(self.now.until(when), Due::Local { node: at, life, event });
    }
}
