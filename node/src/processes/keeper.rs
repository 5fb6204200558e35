//! Keepers: one for each daemon, a task that owns its process and does to it what it is ordered to, one thing after the
//! other.
//!
//! Everybody else sees the daemon through a [`Watch`]: whether it can be spoken to, through which door, and in which
//! life. A daemon that ends though nobody ordered it is a finding.

use std::{
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rear::offer::Offer;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};

use crate::sandbox::{Door, Node, Refused};

/// How many orders may wait for a keeper: a plan orders a node about a few times in a minute.
const ORDERS: usize = 4096;
/// How often something is tried again that stands in the way of an order for a moment, and after which pause: whether a disk
/// has room is found out once a second.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// A floor of free space, in MiB, that no disk has.
const OVER_ANY: u64 = 1 << 40;

/// What can be done to a daemon.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Kill it (SIGKILL).
    Kill,
    /// Start it, where it does not run.
    Start,
    /// Start one that had left.
    Return,
    /// End it (SIGTERM), and wait until it has ended.
    End,
    /// Have it stand still (SIGSTOP).
    Hold,
    /// Have it go on (SIGCONT).
    GoOn,
    /// Take its disk's room.
    Fill,
    /// Give its disk's room back.
    Clear,
    /// Have it offer these.
    Offer(Vec<Offer>),
    /// Have it withdraw what it offers.
    Withdraw(Vec<Offer>),
}

/// How a daemon is.
#[derive(Debug, Clone)]
pub(crate) enum Life {
    /// It does not run.
    Down,
    /// It runs, and can be spoken to.
    Up(Door),
    /// It stands still.
    Held,
}

/// How a daemon is, and how often it has been started.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) life: Life,
    pub(crate) number: u32,
}

/// Sees how a daemon is; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Watch(watch::Receiver<Seen>);

impl Watch {
    /// Returns the door to it while it can be spoken to, and in which life.
    pub(crate) fn door(&self) -> Option<(Door, u32)> {
        let seen = self.0.borrow();
        match &seen.life {
            Life::Up(door) => Some((door.clone(), seen.number)),
            Life::Down | Life::Held => None,
        }
    }

    /// Waits until it can be spoken to; `None` when it never will again.
    pub(crate) async fn up(&mut self) -> Option<(Door, u32)> {
        self.0.wait_for(|seen| matches!(seen.life, Life::Up(_))).await.ok()?;
        self.door()
    }

    /// Does something through a door, as long as it leads to this life: `None` when the daemon ends or stands still
    /// before it is done.
    pub(crate) async fn while_up<T>(&mut self, life: u32, what: impl Future<Output = T>) -> Option<T> {
        let is_other = |seen: &Seen| seen.number != life || !matches!(seen.life, Life::Up(_));
        tokio::select! {
            done = what => Some(done),
            _ = self.0.wait_for(is_other) => None,
        }
    }

    /// Says whether it is in this life, and can be spoken to.
    pub(crate) fn is_in(&self, life: u32) -> bool {
        self.door().is_some_and(|(_, number)| number == life)
    }
}

/// What keepers find, a sentence each, with the node's number.
pub(crate) type Findings = Arc<Mutex<Vec<(usize, String)>>>;

/// Orders a keeper about.
#[derive(Debug)]
pub(crate) struct Keeper {
    orders: mpsc::Sender<(Order, Option<tokio::sync::oneshot::Sender<()>>)>,
    watch: Watch,
    task: JoinHandle<Node>,
}

impl Keeper {
    /// Takes a daemon over that runs. Its number stands beside what is found of it.
    pub(crate) fn new(number: usize, node: Node, floor_mib: u64, findings: Findings) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let life = node.door().map_or(Life::Down, Life::Up);
        let (seen, watch) = watch::channel(Seen { life, number: 1 });
        let kept = Kept { number, node, floor_mib, seen, findings, held: false };
        Self { orders, watch: Watch(watch), task: tokio::spawn(kept.run(inbox)) }
    }

    /// Returns how the daemon can be seen.
    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Orders something; it is done when all that was ordered before is.
    pub(crate) async fn order(&self, order: Order) {
        // A keeper ends only when nobody can order it any more.
        let _ = self.orders.send((order, None)).await;
    }

    /// Orders something, and waits until it is done.
    pub(crate) async fn ordered(&self, order: Order) {
        let (done, wait) = tokio::sync::oneshot::channel();
        let _ = self.orders.send((order, Some(done))).await;
        let _ = wait.await;
    }

    /// Ends the keeping when all orders are done, and gives the node back.
    pub(crate) async fn relieve(self) -> anyhow::Result<Node> {
        drop(self.orders);
        Ok(self.task.await?)
    }
}

/// A daemon that is kept.
struct Kept {
    number: usize,
    node: Node,
    /// The free space below which it promises nothing, as it is usually.
    floor_mib: u64,
    seen: watch::Sender<Seen>,
    findings: Findings,
    held: bool,
}

impl Kept {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Order, Option<tokio::sync::oneshot::Sender<()>>)>) -> Node {
        loop {
            tokio::select! {
                order = inbox.recv() => {
                    let Some((order, done)) = order else { return self.node };
                    if let Err(error) = self.follow(&order).await {
                        self.find(format!("{order:?}: {error:#}"));
                    }
                    if let Some(done) = done {
                        // Whoever waited may have given up.
                        let _ = done.send(());
                    }
                }
                ended = self.node.ends() => self.ended(ended),
            }
        }
    }

    async fn follow(&mut self, order: &Order) -> anyhow::Result<()> {
        let runs = self.node.door().is_some();
        match order {
            Order::Kill if runs => {
                self.tell(Life::Down);
                self.held = false;
                self.node.kill().await
            }
            Order::End if runs => {
                self.go_on();
                self.tell(Life::Down);
                self.node.stop().await
            }
            Order::Start | Order::Return if !runs => self.start().await,
            Order::Hold if runs && !self.held => {
                self.tell(Life::Held);
                self.held = true;
                self.node.hold().await
            }
            Order::GoOn => {
                self.go_on();
                Ok(())
            }
            Order::Fill => self.room(false).await,
            Order::Clear => self.room(true).await,
            Order::Offer(offers) => self.offer(offers).await,
            Order::Withdraw(offers) => self.withdraw(offers).await,
            Order::Kill | Order::End | Order::Start | Order::Return | Order::Hold => Ok(()),
        }
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let mut started = self.node.start().await;
        for _ in 0..TRIES {
            // While it was down, a connection of somebody else's may have been given the port on which others know it.
            if started.is_ok() || !self.node.log().contains("in use") {
                break;
            }
            sleep(PAUSE).await;
            started = self.node.start().await;
        }
        started?;
        let life = self.node.door().map_or(Life::Down, Life::Up);
        self.seen.send_modify(|seen| *seen = Seen { life, number: seen.number + 1 });
        Ok(())
    }

    fn go_on(&mut self) {
        if std::mem::replace(&mut self.held, false) {
            self.node.go_on();
            self.tell(self.node.door().map_or(Life::Down, Life::Up));
        }
    }

    /// Gives a disk's room, or takes it: in its small file system where it has one, otherwise by what it takes for room,
    /// which it reads when it starts.
    async fn room(&mut self, is_there: bool) -> anyhow::Result<()> {
        if let Some(corner) = self.node.corner() {
            return if is_there { corner.clear() } else { corner.fill(self.floor_mib) };
        }
        let runs = self.node.door().is_some();
        if runs {
            self.follow_end().await?;
        }
        let floor = if is_there { self.floor_mib } else { OVER_ANY };
        self.node.configure(&format!("[storage]\nfloor-mib = {floor}\n"))?;
        if runs { self.start().await } else { Ok(()) }
    }

    async fn follow_end(&mut self) -> anyhow::Result<()> {
        self.go_on();
        self.tell(Life::Down);
        self.node.stop().await
    }

    async fn offer(&self, offers: &[Offer]) -> anyhow::Result<()> {
        let Some(door) = self.node.door().filter(|_| !self.held) else { return Ok(()) };
        for offer in offers {
            let body = json!(offer);
            for _ in 0..TRIES {
                if !is_for_later(door.post("/v1/flavours", &body).await)? {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn withdraw(&self, offers: &[Offer]) -> anyhow::Result<()> {
        let Some(door) = self.node.door().filter(|_| !self.held) else { return Ok(()) };
        let me: kernel::NodeId = self.node.id().parse()?;
        for offer in offers {
            let path = format!("/v1/flavours/{}", offer.flavour(&me));
            for _ in 0..TRIES {
                if !is_for_later(door.delete(&path).await)? {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    fn ended(&mut self, status: std::io::Result<ExitStatus>) {
        self.held = false;
        self.tell(Life::Down);
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.find(format!("the daemon ended by itself ({how}): {}", self.node.log()));
    }

    fn tell(&self, life: Life) {
        self.seen.send_modify(|seen| seen.life = life);
    }

    fn find(&self, what: String) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push((self.number, what));
    }
}

/// Says whether a daemon has no room for something yet; that it does not want it at all is no finding.
fn is_for_later(answer: anyhow::Result<Value>) -> anyhow::Result<bool> {
    let Err(error) = answer else { return Ok(false) };
    match error.downcast_ref::<Refused>() {
        Some(refused) => Ok(matches!(refused.reason.as_str(), "Storage" | "Overloaded")),
        None => Err(error),
    }
}
