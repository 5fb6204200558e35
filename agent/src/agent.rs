//! The agent: takes an event, runs the managers until no mail is left, gives a batch.

use std::collections::{BTreeMap, VecDeque};

use kernel::{AskId, Manager, NodeId, Rng, Ticket, Time, Wake};
use rear_proto::{
    Answer, Ask, Code, DamagedRecord, Refusal, Reply, Request, Row, Table, Trace,
    fabric::FabricReply,
    local::{Caller, Me},
    story::Deed,
};

use crate::{
    config::Config,
    event::{Command, Event, Output},
    route::{self, Mail, Routed, Sender},
    trace::Stories,
};

/// The most questions of either kind that wait for their answers: more than there are peers to ask at once by far.
const MAX_QUESTIONS: usize = 65_536;

/// How many managers there are.
const MANAGERS: usize = 7;

/// What one event led to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows to keep, all or none, in this order.
    pub rows: Vec<Row>,
    /// Outputs, in this order; those that promise wait for the rows.
    pub outputs: Vec<Output>,
    /// What the managers did that a story tells of, in this order.
    pub deeds: Vec<Deed>,
}

/// The managers, for looking into their tables.
#[derive(Debug)]
pub struct Managers {
    /// Intents.
    pub orchestrator: orchestrator::Manager,
    /// Flavours, allocations, ratings.
    pub rear: rear::Manager,
    /// Candidates, endpoints.
    pub discovery: discovery::Manager,
    /// Reservations, contracts.
    pub contract: contract::Manager,
    /// Routers.
    pub network: network::Manager,
    /// Peerings, workloads.
    pub vfabric: vfabric::Manager,
    /// Members.
    pub federation: federation::Manager,
}

impl Managers {
    /// Returns when one of them wakes; they are numbered as [`owner`] does.
    fn next_wake(&self, number: usize) -> Option<Wake> {
        match number {
            0 => self.orchestrator.next_wake(),
            1 => self.rear.next_wake(),
            2 => self.discovery.next_wake(),
            3 => self.contract.next_wake(),
            4 => self.network.next_wake(),
            5 => self.vfabric.next_wake(),
            _ => self.federation.next_wake(),
        }
    }
}

/// A node's whole mind.
#[derive(Debug)]
pub struct Agent {
    managers: Managers,
    boxes: Boxes,
    /// When each manager wakes, and which of that may have changed: so that whoever asks need not ask all of them.
    wakes: [Option<Wake>; MANAGERS],
    changed: [bool; MANAGERS],
    stories: Stories,
    /// Questions to other nodes that wait for their answers.
    asks: BTreeMap<AskId, Asked>,
    next_ask: u64,
    /// Questions to far ends that wait for their answers: the story, and when they were asked.
    sends: BTreeMap<u64, (Trace, Time)>,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Asked {
    sender: Sender,
    ask: AskId,
    to: NodeId,
    trace: Trace,
    at: Time,
}

/// The managers' mailboxes.
#[derive(Debug, Default)]
struct Boxes {
    /// All mail in the order of its arrival.
    mail: VecDeque<Mail>,
    /// Where given, the next mail is drawn among the boxes, as a simulation may wish.
    shuffle: Option<Rng>,
}

impl Boxes {
    fn take(&mut self) -> Option<Mail> {
        let Some(rng) = &mut self.shuffle else { return self.mail.pop_front() };
        // Draw a manager that has mail; within one mailbox the order of arrival holds.
        let waiting: std::collections::BTreeSet<_> = self.mail.iter().map(owner).collect();
        let drawn = usize::try_from(rng.below(waiting.len() as u64)).ok()?;
        let manager = *waiting.iter().nth(drawn)?;
        let at = self.mail.iter().position(|mail| owner(mail) == manager)?;
        self.mail.remove(at)
    }
}

/// Numbers the managers.
const fn owner(mail: &Mail) -> u8 {
    match mail {
        Mail::Orchestrator(_) => 0,
        Mail::Rear(_) => 1,
        Mail::Discovery(_) => 2,
        Mail::Contract(_) => 3,
        Mail::Network(_) => 4,
        Mail::Vfabric(_) => 5,
        Mail::Federation(_) => 6,
    }
}

impl Agent {
    /// Makes a mind that remembers nothing.
    pub fn new(config: Config, identity: Me, mut rng: Rng) -> Self {
        let me = identity.signer.id();
        let managers = Managers {
            orchestrator: orchestrator::Manager::new(config.orchestrator, me),
            rear: rear::Manager::new(config.rear, me, identity.domain),
            discovery: discovery::Manager::new(config.discovery, identity.clone(), rng.fork()),
            contract: contract::Manager::new(config.contract, identity.clone(), rng.fork()),
            network: network::Manager::new(config.network, identity.signer.clone()),
            vfabric: vfabric::Manager::new(config.vfabric, me, rng.fork()),
            federation: federation::Manager::new(config.federation, identity.signer.clone(), rng.fork()),
        };
        Self {
            managers,
            boxes: Boxes::default(),
            wakes: [None; MANAGERS],
            changed: [true; MANAGERS],
            stories: Stories::new(me, identity.role),
            asks: BTreeMap::new(),
            next_ask: 0,
            sends: BTreeMap::new(),
        }
    }

    /// Serves the mailboxes in a drawn order from now on, as a simulation may wish: nothing may depend on it.
    pub fn shuffle(&mut self, rng: Rng) {
        self.boxes.shuffle = Some(rng);
    }

    /// Remembers a row that was kept; for every row of every table, before [`start`](Self::start).
    ///
    /// # Errors
    /// When the row can't be read: it is damaged, or a newer program wrote it.
    pub fn restore(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), DamagedRecord> {
        let managers = &mut self.managers;
        match table {
            Table::Starts => Ok(()),
            Table::Intents => managers.orchestrator.restore(table, key, value),
            Table::Flavours | Table::Allocations | Table::Ratings => managers.rear.restore(table, key, value),
            Table::Candidates => managers.discovery.restore(table, key, value),
            Table::Reservations | Table::Contracts | Table::Renewals | Table::Keys => {
                managers.contract.restore(table, key, value)
            }
            Table::Peerings | Table::Workloads => managers.vfabric.restore(table, key, value),
            Table::Membership | Table::Members | Table::Tokens | Table::Partners => {
                managers.federation.restore(table, key, value)
            }
        }
    }

    /// Comes to life: reconciles what is remembered with the world as it may be.
    ///
    /// `starts` counts how often this node has started, this time included.
    pub fn start(&mut self, now: Time, starts: u32) -> Batch {
        self.changed = [true; MANAGERS];
        let mut batch = Batch::default();
        // Who can be asked for credentials goes first, who rests on others last.
        let mut effects = Vec::new();
        self.managers.federation.start(now, starts, &mut effects);
        self.settle(now, effects, route::federation, &mut batch);
        self.name(now, Vec::new());
        let mut effects = Vec::new();
        self.managers.rear.start(now, starts, &mut effects);
        self.settle(now, effects, route::rear, &mut batch);
        let mut effects = Vec::new();
        self.managers.discovery.start(now, starts, &mut effects);
        self.settle(now, effects, route::discovery, &mut batch);
        let mut effects = Vec::new();
        self.managers.vfabric.start(now, starts, &mut effects);
        self.settle(now, effects, route::vfabric, &mut batch);
        let mut effects = Vec::new();
        self.managers.contract.start(now, starts, &mut effects);
        self.settle(now, effects, route::contract, &mut batch);
        self.run(now, &mut batch);
        let mut effects = Vec::new();
        self.managers.orchestrator.start(now, starts, &mut effects);
        self.settle(now, effects, route::orchestrator, &mut batch);
        self.close(now, batch)
    }

    /// Takes in one event.
    pub fn handle(&mut self, now: Time, event: Event) -> Batch {
        let mut batch = Batch::default();
        self.admit(now, event, &mut batch);
        self.close(now, batch)
    }

    /// Returns when there is something to do without any event, and what.
    pub fn next_wake(&self) -> Option<Wake> {
        debug_assert!((0..MANAGERS).all(|number| self.wakes[number] == self.managers.next_wake(number)));
        self.wakes.iter().flatten().min().copied()
    }

    /// Asks the managers that something has happened to when they wake.
    fn plan_wakes(&mut self) {
        for number in 0..MANAGERS {
            if std::mem::take(&mut self.changed[number]) {
                self.wakes[number] = self.managers.next_wake(number);
            }
        }
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Time) -> Batch {
        /// Wakes one manager where its time has come, and routes what it asks for.
        macro_rules! wake {
            ($batch:ident, $($manager:ident $number:expr),*) => {$(
                if self.wakes[$number].is_some_and(|(at, _)| at <= now) {
                    self.changed[$number] = true;
                    let mut effects = Vec::new();
                    self.managers.$manager.wake(now, &mut effects);
                    self.settle(now, effects, route::$manager, &mut $batch);
                }
            )*};
        }
        let mut batch = Batch::default();
        wake!(batch, federation 6, rear 1, discovery 2, contract 3, network 4, vfabric 5, orchestrator 0);
        self.close(now, batch)
    }

    /// Returns the managers, for looking into their tables.
    pub const fn managers(&self) -> &Managers {
        &self.managers
    }

    /// Returns how many questions to others wait for their answers.
    pub fn waiting(&self) -> usize {
        self.asks.len() + self.sends.len()
    }

    /// Turns an event into the first letter, or answers it at the door.
    fn admit(&mut self, now: Time, event: Event, batch: &mut Batch) {
        let mail = match event {
            Event::PeerUp { party } => Mail::Federation(federation::Input::PeerUp { party }),
            Event::PeerDown { node } => Mail::Federation(federation::Input::PeerDown { node }),
            Event::Addresses(addresses) => {
                self.name(now, addresses.clone());
                Mail::Federation(federation::Input::Addresses(addresses))
            }
            // Of strangers there is no end, and each rating takes a row, and another's place.
            Event::RoundTrip { peer, .. } if !self.managers.federation.knows(now, &peer) => return,
            Event::RoundTrip { peer, span } => Mail::Rear(rear::Input::RoundTrip { peer, span }),
            Event::Asked { ticket, from, ask } => return self.asked(now, ticket, from, *ask, batch),
            Event::Answered { ask, reply } => return self.answered(now, ask, reply),
            Event::Heard { ticket, contract, ask } => {
                let abroad = self.managers.contract.is_abroad(&contract);
                let trace = self.stories.serve(now, ticket, ask.tell, abroad);
                Mail::Network(network::Input::Heard { ticket, contract, ask, trace })
            }
            Event::FabricAnswered { id, reply } => return self.fabric_answered(now, id, reply),
            Event::Metered { contract, up, down, streams } => {
                Mail::Network(network::Input::Metered { contract, up, down, streams })
            }
            Event::InstanceStatus { instance, status } => {
                Mail::Vfabric(vfabric::Input::InstanceStatus { instance, status })
            }
            Event::InstanceMissing { instance, digest } => {
                Mail::Vfabric(vfabric::Input::InstanceMissing { instance, digest })
            }
            Event::InstanceGone { instance } => Mail::Vfabric(vfabric::Input::InstanceGone { instance }),
            Event::LogsRead { inquiry, lines, next } => {
                Mail::Vfabric(vfabric::Input::LogsRead { inquiry, lines, next })
            }
            Event::Exposed { request, port, url } => Mail::Vfabric(vfabric::Input::Exposed { request, port, url }),
            Event::Command { ticket, command } => match self.command(ticket, *command) {
                Ok(mail) => mail,
                Err(refusal) => {
                    batch.outputs.push(Output::Respond { ticket, result: Err(refusal) });
                    return;
                }
            },
            Event::Storage { ok } => Mail::Contract(contract::Input::Storage { ok }),
            Event::ClockJumped => Mail::Contract(contract::Input::ClockJumped),
        };
        self.boxes.mail.push_back(mail);
    }

    /// Tells REAR and Discovery what this node is called, as it is to stand in what it offers and in what it shows.
    fn name(&mut self, now: Time, addresses: Vec<String>) {
        if let Some(status) = self.managers.federation.status(now) {
            let domain = status.domain;
            let named = discovery::Input::Named { domain: domain.clone(), addresses: addresses.clone() };
            self.boxes.mail.push_back(Mail::Discovery(named));
            self.boxes.mail.push_back(Mail::Rear(rear::Input::Named { domain, addresses }));
        }
    }

    /// Lets a question in, or turns it away: the one place where it is decided who may ask what.
    fn asked(&mut self, now: Time, ticket: Ticket, from: NodeId, ask: Ask, batch: &mut Batch) {
        let caller = match self.managers.federation.authorise(now, &from, &ask.request) {
            Ok(caller) => caller,
            Err(refusal) => {
                batch.outputs.push(reply(ticket, refusal.into(), Vec::new()));
                return;
            }
        };
        self.managers.federation.heard(now, &from);
        let greeting = |request| Mail::Federation(federation::Input::Asked { ticket, from, request });
        let trace = self.stories.serve(now, ticket, ask.tell, crosses_border(&caller));
        let mail = match ask.request {
            Request::Hello(hello) => greeting(federation::mail::Greeting::Hello(Box::new(hello))),
            Request::Join(join) => greeting(federation::mail::Greeting::Join(Box::new(join))),
            Request::Accept(accept) => greeting(federation::mail::Greeting::Accept(Box::new(accept))),
            Request::Partners(partners) => greeting(federation::mail::Greeting::Partners(Box::new(partners))),
            Request::List(list) => {
                Mail::Discovery(discovery::Input::Asked { ticket, from, caller, list: Box::new(list), trace })
            }
            request @ (Request::Advertise(_)
            | Request::Refresh(_)
            | Request::Withdraw(_)
            | Request::Subscribe(_)
            | Request::CapacityDigest(_)) => {
                Mail::Discovery(discovery::Input::Told { ticket, from, caller, request: Box::new(request) })
            }
            request @ (Request::Reserve(_)
            | Request::Purchase(_)
            | Request::Renew(_)
            | Request::Release(_)
            | Request::Keepalive(_)) => {
                Mail::Contract(contract::Input::Asked { ticket, from, caller, request: Box::new(request), trace })
            }
        };
        self.boxes.mail.push_back(mail);
    }

    /// Gives an answer to the manager that asked, after the steps that came with it.
    fn answered(&mut self, now: Time, ask: AskId, reply: Result<Box<Reply>, Refusal>) {
        // An answer that comes a second time, or to nothing, changes nothing.
        let Some(Asked { sender, ask, to, trace, at }) = self.asks.remove(&ask) else { return };
        let answer = reply.map(|reply| {
            self.managers.federation.heard(now, &to);
            let steps = self.stories.place(now, trace, at, reply.steps);
            self.record(trace, steps);
            reply.answer
        });
        // Contract rates a seller that refuses otherwise than one that was not heard of.
        let answer = match answer {
            Ok(Answer::Refused(refusal)) if sender != Sender::Contract => Err(refusal),
            answer => answer,
        };
        let (from, took) = (to, now.since(at));
        self.boxes.mail.push_back(match sender {
            Sender::Discovery => Mail::Discovery(discovery::Input::Answered { ask, from, answer, took }),
            Sender::Contract => Mail::Contract(contract::Input::Answered { ask, from, answer }),
            Sender::Federation => Mail::Federation(federation::Input::Answered { ask, from, answer }),
        });
    }

    fn fabric_answered(&mut self, now: Time, id: u64, reply: Result<Box<FabricReply>, Refusal>) {
        let (trace, at) = self.sends.remove(&id).unwrap_or((Trace::None, now));
        let reply = reply.map(|mut reply| {
            let steps = self.stories.place(now, trace, at, std::mem::take(&mut reply.steps));
            self.record(trace, steps);
            *reply
        });
        self.boxes.mail.push_back(Mail::Network(network::Input::Answered { id, reply }));
    }

    /// Sends steps on to the orchestrator, which keeps the stories of its requests.
    fn record(&mut self, trace: Trace, steps: Vec<rear_proto::Step>) {
        for step in steps {
            self.boxes.mail.push_back(Mail::Orchestrator(orchestrator::Input::Recorded { trace, step }));
        }
    }

    fn command(&self, ticket: Ticket, command: Command) -> Result<Mail, Refusal> {
        Ok(match command {
            Command::Submit { id, intent, contract } => {
                Mail::Orchestrator(orchestrator::Input::Submit { ticket, id, intent, contract })
            }
            Command::Delete(id) => Mail::Orchestrator(orchestrator::Input::Delete { ticket, id }),
            Command::Logs { intent, workload, from, wait } => {
                let request = self.managers.orchestrator.request_of(&intent, workload.as_deref()).ok_or_else(|| {
                    let which = workload.map_or_else(String::new, |name| format!(" with a workload '{name}'"));
                    Refusal::new(Code::NotFound, format!("there is no running intent {intent}{which}"))
                })?;
                Mail::Vfabric(vfabric::Input::Logs { ticket, request, from, wait })
            }
            Command::Discover { selector, k, explain } => {
                let asker = discovery::mail::Asker::Operator { ticket, explain };
                let (ceiling, exclude, trace) = (None, Vec::new(), Trace::None);
                Mail::Discovery(discovery::Input::Discover { asker, selector, ceiling, k, exclude, trace })
            }
            Command::Offer(offer) => Mail::Rear(rear::Input::Offer { ticket, offer }),
            Command::Withdraw(flavour) => Mail::Rear(rear::Input::Withdraw { ticket, flavour }),
            Command::Reserve { flavour, provider, need, exactly, mode, term, activate_within, key } => {
                Mail::Rear(rear::Input::ReserveByHand {
                    ticket,
                    flavour,
                    provider,
                    need,
                    exactly,
                    mode,
                    term,
                    activate_within,
                    key,
                })
            }
            Command::Purchase(key) => Mail::Rear(rear::Input::PurchaseByHand { ticket, key }),
            Command::Renew(contract) => Mail::Contract(contract::Input::RenewByHand { ticket, contract }),
            Command::Release(id) => Mail::Rear(rear::Input::ReleaseByHand { ticket, id }),
            Command::Invite { role, ttl } => Mail::Federation(federation::Input::Invite { ticket, role, ttl }),
            Command::Remove(node) => Mail::Federation(federation::Input::Remove { ticket, node }),
            Command::PartnerInvite { name, ttl } => {
                Mail::Federation(federation::Input::PartnerInvite { ticket, name, ttl })
            }
            Command::PartnerAccept { token, name } => {
                Mail::Federation(federation::Input::PartnerAccept { ticket, token, name })
            }
            Command::PartnerSwitch { name, on } => {
                Mail::Federation(federation::Input::PartnerSwitch { ticket, name, on })
            }
            Command::PartnerRemove(name) => Mail::Federation(federation::Input::PartnerRemove { ticket, name }),
        })
    }

    /// Serves mail until none is left.
    fn run(&mut self, now: Time, batch: &mut Batch) {
        /// Hands a letter to its manager and routes what it asks for.
        macro_rules! serve {
            ($manager:ident, $input:expr) => {{
                let mut effects = Vec::new();
                self.managers.$manager.handle(now, $input, &mut effects);
                self.settle(now, effects, route::$manager, batch);
            }};
        }
        while let Some(mail) = self.boxes.take() {
            self.changed[usize::from(owner(&mail))] = true;
            match mail {
                Mail::Orchestrator(input) => serve!(orchestrator, input),
                Mail::Rear(input) => serve!(rear, input),
                Mail::Discovery(input) => serve!(discovery, input),
                Mail::Contract(input) => serve!(contract, input),
                Mail::Network(input) => serve!(network, input),
                Mail::Vfabric(input) => serve!(vfabric, input),
                Mail::Federation(input) => serve!(federation, input),
            }
        }
        // Mail and questions come in bursts; a mind at rest keeps no room for them.
        self.boxes.mail = VecDeque::new();
        if self.asks.is_empty() {
            self.asks = BTreeMap::new();
        }
        if self.sends.is_empty() {
            self.sends = BTreeMap::new();
        }
    }

    /// Puts each effect of one manager where the route table says.
    fn settle<E>(&mut self, now: Time, effects: Vec<E>, route: fn(E, &mut Vec<Routed>), batch: &mut Batch) {
        let mut routed = Vec::with_capacity(effects.len());
        effects.into_iter().for_each(|effect| route(effect, &mut routed));
        for routed in routed {
            match routed {
                Routed::Mail(mail) => self.boxes.mail.push_back(mail),
                Routed::Row(row) => batch.rows.push(row),
                Routed::Output(output) => batch.outputs.push(output),
                Routed::Did(trace, deed) => {
                    batch.deeds.push(deed);
                    if let Some(step) = self.stories.record(now, trace, deed) {
                        self.record(trace, vec![step]);
                    }
                }
                Routed::Send { id, trace } => {
                    if self.sends.len() >= MAX_QUESTIONS {
                        self.sends.pop_first();
                    }
                    self.sends.insert(id, (trace, now));
                }
                Routed::Sent { id } => {
                    self.sends.remove(&id);
                }
                Routed::Ask { sender, ask, to, request, deadline, trace } => {
                    // Whoever asks for us answers each in time; were one forgotten, it must not stay for ever.
                    if self.asks.len() >= MAX_QUESTIONS
                        && let Some(oldest) = self.asks.first_key_value().map(|(id, _)| *id)
                    {
                        self.answered(now, oldest, Err(Code::Timeout.into()));
                    }
                    self.next_ask += 1;
                    let id = AskId(self.next_ask);
                    self.asks.insert(id, Asked { sender, ask, to: to.node, trace, at: now });
                    let tell = self.stories.is_followed(trace);
                    let body = Box::new(Ask { request, tell, extensions: Default::default() });
                    batch.outputs.push(Output::Ask { ask: id, to, body, deadline });
                }
                Routed::Reply { ticket, answer } => batch.outputs.push(reply(ticket, answer, Vec::new())),
                Routed::FabricReply { ticket, reply } => batch.outputs.push(Output::FabricReply { ticket, reply }),
            }
        }
    }

    /// Runs to rest and adds to each reply the steps that were made for it.
    fn close(&mut self, now: Time, mut batch: Batch) -> Batch {
        self.run(now, &mut batch);
        self.plan_wakes();
        for output in &mut batch.outputs {
            match output {
                Output::Reply { ticket, reply } => reply.steps = self.stories.served(*ticket),
                Output::FabricReply { ticket, reply } => reply.steps = self.stories.served(*ticket),
                Output::Ask { .. }
                | Output::KeepConnected(_)
                | Output::Block(_)
                | Output::Trust(..)
                | Output::Install(_)
                | Output::Join(_)
                | Output::Remove { .. }
                | Output::Transmit { .. }
                | Output::Ship { .. }
                | Output::Start { .. }
                | Output::Stop { .. }
                | Output::ReadLogs { .. }
                | Output::Sweep { .. }
                | Output::Expose { .. }
                | Output::Unexpose { .. }
                | Output::Respond { .. }
                | Output::Changed(_) => {}
            }
        }
        batch
    }
}

fn reply(ticket: Ticket, answer: Answer, steps: Vec<rear_proto::Step>) -> Output {
    Output::Reply { ticket, reply: Box::new(Reply { answer, steps, extensions: Default::default() }) }
}

/// Says whether what is answered to this caller leaves the domain.
const fn crosses_border(caller: &Caller) -> bool {
    match caller {
        Caller::Member(_) => false,
        Caller::Partner { .. } | Caller::Visitor { .. } | Caller::Stranger => true,
    }
}
