//! The one task that hosts the mind: takes events, makes batches, commits them, hands outputs to the doers.
//!
//! ```text
//! doers, door, API ──► bounded queue ──► mind ──► batch ─┬─ outputs that promise nothing ──────────► doers
//!                                                        └─ rows ─► committer ─ durable ─► the rest ─► doers
//! ```
//!
//! The host never waits for a doer, so the doers may wait for the host: there is no cycle of full queues.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use agent::{Agent, Batch, Command, Event, Managers, Output, Response, Watch, invariants::Grants};
use kernel::{ContractId, NodeId, Span, Ticket, Time};
use rear_proto::{Ask, Code, Refusal, Reply, fabric::FabricAsk, fabric::FabricReply};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, JumpWatch},
    commit::{Health, Keeper},
    death::Death,
    row,
};

/// How many events may wait for the mind: at some ten microseconds each, a few hundredths of a second's work.
const QUEUE: usize = 4096;
/// When an event from a stranger or the operator is turned away, how long to wait before trying again.
const RETRY_AFTER: Span = Span::millis(200);
/// How many changes a slow watcher may be behind before it has to look for itself.
const WATCH_QUEUE: usize = 1024;

/// How often the time told is kept: so far, at most, may a clock that is set back while the node is down lead back.
const KEEP_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// What the doers do: one method per kind of output, none of which waits.
pub trait Doers: Send + 'static {
    /// Does one thing; whoever waits for an answer has been taken care of by the host.
    fn perform(&mut self, output: Output);
}

/// Sees all that the mind hears and decides, in order, and has no say in it.
pub trait Witness: Send + 'static {
    /// The mind is about to hear this; nothing where it only looks at the clock, as it does at the start and when a
    /// timer is due.
    fn heard(&mut self, now: Time, event: Option<&Event>) {
        let _ = (now, event);
    }

    /// The mind has decided this; nothing of it is kept or said yet.
    fn decided(&mut self, now: Time, batch: &Batch, managers: &Managers);
}

/// Nobody looks.
impl Witness for () {
    fn decided(&mut self, _: Time, _: &Batch, _: &Managers) {}
}

impl Witness for Grants {
    #[allow(clippy::panic, reason = "a broken promise must not go unnoticed where this is set to watch")]
    fn decided(&mut self, _: Time, _: &Batch, managers: &Managers) {
        if let Err(violation) = self.check(managers) {
            panic!("{violation}");
        }
    }
}

/// A handle to the mind; cheap to clone.
#[derive(Clone)]
pub struct Mind {
    mail: mpsc::Sender<Mail>,
    watch: broadcast::Sender<Watch>,
    overloaded: Arc<AtomicU64>,
}

/// What comes to the host.
enum Mail {
    /// Something happened.
    Event(Event),
    /// Another node asks.
    Asked { from: NodeId, ask: Box<Ask>, answer: oneshot::Sender<Reply> },
    /// The far end of a contract asks.
    Heard { contract: ContractId, ask: Box<FabricAsk>, answer: oneshot::Sender<FabricReply> },
    /// The operator wants something.
    Command { command: Box<Command>, answer: oneshot::Sender<Result<Response, Refusal>> },
    /// Somebody looks into the tables.
    Look(Look),
}

/// What somebody does who looks into the tables.
type Look = Box<dyn FnOnce(&Managers, Time) + Send>;

/// The node is ending and takes nothing more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the node is shutting down")]
pub struct Ended;

impl Mind {
    /// Tells the mind what happened; waits while its queue is full.
    ///
    /// For what must not be lost: answers, and news from the doers.
    ///
    /// # Errors
    /// When the node is ending.
    pub async fn tell(&self, event: Event) -> Result<(), Ended> {
        self.mail.send(Mail::Event(event)).await.map_err(|_| Ended)
    }

    /// Puts another node's question; when the queue is full it is refused at once.
    pub async fn ask(&self, from: NodeId, ask: Ask) -> Result<Reply, Refusal> {
        let (answer, reply) = oneshot::channel();
        self.admit(Mail::Asked { from, ask: Box::new(ask), answer })?;
        reply.await.map_err(|_| Refusal::from(Code::Unavailable))
    }

    /// Puts the question of a contract's far end; when the queue is full it is refused at once.
    ///
    /// # Errors
    /// `Overloaded`, or `Unavailable` when the node is ending.
    pub async fn hear(&self, contract: ContractId, ask: FabricAsk) -> Result<FabricReply, Refusal> {
        let (answer, reply) = oneshot::channel();
        self.admit(Mail::Heard { contract, ask: Box::new(ask), answer })?;
        reply.await.map_err(|_| Refusal::from(Code::Unavailable))
    }

    /// Puts an operator's wish.
    ///
    /// # Errors
    /// Whatever the mind refuses it with; `Overloaded` when it has too much to do.
    pub async fn command(&self, command: Command) -> Result<Response, Refusal> {
        let (answer, reply) = oneshot::channel();
        self.admit(Mail::Command { command: Box::new(command), answer })?;
        reply.await.map_err(|_| Refusal::from(Code::Unavailable))?
    }

    /// Looks into the tables between two events.
    ///
    /// # Errors
    /// When the node is ending.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Managers, Time) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (answer, seen) = oneshot::channel();
        let look = Box::new(move |managers: &Managers, now: Time| {
            // Whoever looked may have gone.
            let _ = answer.send(look(managers, now));
        });
        self.mail.send(Mail::Look(look)).await.map_err(|_| Ended)?;
        seen.await.map_err(|_| Ended)
    }

    /// Returns what will change from here on.
    pub fn watch(&self) -> broadcast::Receiver<Watch> {
        self.watch.subscribe()
    }

    /// Returns how many questions were turned away because the mind had too much to do.
    pub fn overloaded(&self) -> u64 {
        self.overloaded.load(Ordering::Relaxed)
    }

    fn admit(&self, mail: Mail) -> Result<(), Refusal> {
        self.mail.try_send(mail).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.overloaded.fetch_add(1, Ordering::Relaxed);
                Refusal::from(Code::Overloaded).retry_after(RETRY_AFTER)
            }
            mpsc::error::TrySendError::Closed(_) => Refusal::from(Code::Unavailable),
        })
    }
}

/// The mind's side of the queue, to be given to [`Host::run`].
pub struct Inbox(mpsc::Receiver<Mail>);

/// Makes a handle and its inbox.
pub fn channel() -> (Mind, Inbox) {
    let (mail, inbox) = mpsc::channel(QUEUE);
    let (watch, _) = broadcast::channel(WATCH_QUEUE);
    (Mind { mail, watch, overloaded: Arc::new(AtomicU64::new(0)) }, Inbox(inbox))
}

/// Why the host ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Nothing more can be kept, so nothing more may be promised.
    #[error("the ledger can not be written, so the node ends: {0}")]
    Storage(String),
}

/// The host: the mind and what it needs around it.
pub struct Host<D> {
    /// The mind.
    pub agent: Box<Agent>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// Notices when the clock jumps.
    pub jumps: JumpWatch,
    /// What makes batches durable.
    pub keeper: Box<dyn Keeper<Vec<Output>>>,
    /// What comes out of the keeper.
    pub durable: mpsc::UnboundedReceiver<Vec<Output>>,
    /// Who does what comes out.
    pub doers: D,
    /// The handle that others have, for telling those who watch.
    pub mind: Mind,
    /// Makes the row that keeps the latest time told, so that time does not run backwards over a restart.
    pub told: Box<dyn Fn(Time) -> rear_proto::Row + Send>,
    /// Who watches.
    pub witness: Box<dyn Witness>,
    /// When to die on purpose, in tests.
    pub death: Death,
}

/// Who waits for answers.
#[derive(Default)]
struct Waiting {
    next: u64,
    asked: BTreeMap<Ticket, oneshot::Sender<Reply>>,
    heard: BTreeMap<Ticket, oneshot::Sender<FabricReply>>,
    commands: BTreeMap<Ticket, oneshot::Sender<Result<Response, Refusal>>>,
}

impl Waiting {
    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }
}

impl<D: Doers> Host<D> {
    /// Comes to life, and serves until it is told to stop or nothing more can be kept; gives the mind back, at rest.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn run(
        mut self,
        mut inbox: Inbox,
        starts: u32,
        stop: CancellationToken,
    ) -> Result<Box<Agent>, HostError> {
        let mut waiting = Waiting::default();
        let mut health = self.keeper.health();
        let mut keep_time = tokio::time::interval(KEEP_TIME);
        // It begins by ticking at once, which is once too often: the start keeps the time itself.
        keep_time.tick().await;
        let now = self.clock.now();
        self.witness.heard(now, None);
        let mut batch = self.agent.start(now, starts);
        batch.rows.insert(0, (self.told)(now));
        self.settle(now, batch, &mut waiting)?;
        if matches!(*health.borrow_and_update(), Health::NoRoom { .. }) {
            self.handle(Event::Storage { ok: false }, &mut waiting)?;
        }
        loop {
            let wake = self.agent.next_wake().map(|(at, _)| self.clock.now().until(at).to_std());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                durable = self.durable.recv() => match durable {
                    Some(outputs) => {
                        outputs.into_iter().for_each(|output| self.perform(output, &mut waiting));
                        self.death.kept();
                    }
                    None => return Err(self.failed()),
                },
                changed = health.changed() => {
                    let now = health.borrow_and_update().clone();
                    match now {
                        Health::Failed(_) => return Err(self.failed()),
                        Health::Ok | Health::NoRoom { .. } => {
                            self.handle(Event::Storage { ok: now == Health::Ok }, &mut waiting)?;
                        }
                    }
                    if changed.is_err() {
                        return Err(self.failed());
                    }
                },
                () = sleep(wake), if wake.is_some() => {
                    self.death.happens();
                    let now = self.now(&mut waiting)?;
                    self.witness.heard(now, None);
                    let batch = self.agent.wake(now);
                    self.settle(now, batch, &mut waiting)?;
                },
                _ = keep_time.tick() => {
                    let now = self.clock.now();
                    let batch = Batch { rows: vec![(self.told)(now)], ..Batch::default() };
                    self.settle(now, batch, &mut waiting)?;
                },
                mail = inbox.0.recv(), if self.keeper.has_room() => match mail {
                    Some(mail) => self.take(mail, &mut waiting)?,
                    None => break,
                },
                () = self.keeper.room(), if !self.keeper.has_room() => {},
            }
        }
        // What was promised before the end is still said, as far as the doers are there to say it.
        let Self { agent, keeper, mut durable, .. } = self;
        let drained = async { while durable.recv().await.is_some() {} };
        let (closed, ()) = tokio::join!(keeper.close(), drained);
        closed.map_err(|error| HostError::Storage(error.to_string()))?;
        Ok(agent)
    }

    /// Tells the mind what has happened, at once.
    fn handle(&mut self, event: Event, waiting: &mut Waiting) -> Result<(), HostError> {
        let now = self.clock.now();
        self.witness.heard(now, Some(&event));
        let batch = self.agent.handle(now, event);
        self.settle(now, batch, waiting)
    }

    /// Tells the time. Where the clock has jumped, the mind hears of that first, before anything can be found late.
    fn now(&mut self, waiting: &mut Waiting) -> Result<Time, HostError> {
        if self.jumps.jumped() {
            tracing::warn!("the clock jumped: nothing expires for one lease");
            self.handle(Event::ClockJumped, waiting)?;
        }
        Ok(self.clock.now())
    }

    fn take(&mut self, mail: Mail, waiting: &mut Waiting) -> Result<(), HostError> {
        if !matches!(mail, Mail::Look(_)) {
            self.death.happens();
        }
        let now = self.now(waiting)?;
        let event = match mail {
            Mail::Event(event) => event,
            Mail::Asked { from, ask, answer } => {
                let ticket = waiting.ticket();
                waiting.asked.insert(ticket, answer);
                Event::Asked { ticket, from, ask }
            }
            Mail::Heard { contract, ask, answer } => {
                let ticket = waiting.ticket();
                waiting.heard.insert(ticket, answer);
                Event::Heard { ticket, contract, ask }
            }
            Mail::Command { command, answer } => {
                let ticket = waiting.ticket();
                waiting.commands.insert(ticket, answer);
                Event::Command { ticket, command }
            }
            Mail::Look(look) => {
                look(self.agent.managers(), now);
                return Ok(());
            }
        };
        self.witness.heard(now, Some(&event));
        let batch = self.agent.handle(now, event);
        self.settle(now, batch, waiting)
    }

    /// Lets go at once of what promises nothing, and of the rest when it and all before it is durable.
    fn settle(&mut self, now: Time, batch: Batch, waiting: &mut Waiting) -> Result<(), HostError> {
        self.witness.decided(now, &batch, self.agent.managers());
        let Batch { rows, outputs, deeds } = batch;
        for deed in &deeds {
            tracing::debug!(?deed, "done");
        }
        let (promises, free): (Vec<_>, Vec<_>) = outputs.into_iter().partition(Output::promises);
        self.death.done(&deeds, !(rows.is_empty() && promises.is_empty()));
        free.into_iter().for_each(|output| self.perform(output, waiting));
        if rows.is_empty() && promises.is_empty() {
            return Ok(());
        }
        let rows = rows.into_iter().map(row::Row::from).collect();
        self.keeper.submit(rows, promises).map_err(|_| self.failed())
    }

    fn perform(&mut self, output: Output, waiting: &mut Waiting) {
        // Whoever asked may have gone: then its answer is nobody's.
        match output {
            Output::Reply { ticket, reply } => {
                if let Some(answer) = waiting.asked.remove(&ticket) {
                    let _ = answer.send(*reply);
                }
            }
            Output::FabricReply { ticket, reply } => {
                if let Some(answer) = waiting.heard.remove(&ticket) {
                    let _ = answer.send(*reply);
                }
            }
            Output::Respond { ticket, result } => {
                if let Some(answer) = waiting.commands.remove(&ticket) {
                    let _ = answer.send(result);
                }
            }
            Output::Changed(watch) => {
                // Nobody may be watching.
                let _ = self.mind.watch.send(watch);
            }
            output => self.doers.perform(output),
        }
    }

    fn failed(&self) -> HostError {
        let why = match &*self.keeper.health().borrow() {
            Health::Failed(why) => why.clone(),
            Health::Ok | Health::NoRoom { .. } => "it was closed".to_owned(),
        };
        HostError::Storage(why)
    }
}

async fn sleep(span: Option<std::time::Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}
