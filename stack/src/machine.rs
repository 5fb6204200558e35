//! A simulated machine: its disk, its shelf of components and its clock outlive the node that is started on it again and
//! again; each life is the daemon's own body on this ground.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use agent::{Agent, Batch, Event, Identity, Managers, invariants::Grants};
use kernel::Time;
use node::{
    body::{Body, Ground, Life, transport_config},
    config::Config,
    death::Death,
    door::Desk,
    host::Witness,
};
use rear_proto::{Row, Signer};
use sha2::{Digest as _, Sha256};
use simulations::plan::NodeNo;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Virtual,
    disk::Disk,
    trace::Trace,
    users::{Match, Order},
    wire::{Loopback, Network},
    works::{Here, Pages, Shelf},
};

/// How many reports of the driver may wait for the mind.
const DRIVER_QUEUE: usize = 1024;

/// When worlds begin, by their own calendar.
pub(crate) const BEGIN: u64 = 1_700_000_000_000;

/// A machine.
pub(crate) struct Machine {
    pub(crate) number: NodeNo,
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    pub(crate) signer: Signer,
    pub(crate) secret: [u8; 32],
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    /// What its node keeps from the beginning.
    pub(crate) membership: Vec<Row>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) shelf: Arc<Shelf>,
    /// By how many milliseconds its clock is ahead.
    pub(crate) ahead: Arc<AtomicI64>,
    /// What all chance on it follows from.
    pub(crate) chance: [u8; 32],
    pub(crate) orders: Vec<Order>,
    /// Those that its operator is to invite.
    pub(crate) invites: Vec<Arc<Match>>,
    /// Those whose invitations its operator is to accept.
    pub(crate) accepts: Vec<Arc<Match>>,
    pub(crate) trace: Trace,
    pub(crate) state: Mutex<State>,
    pub(crate) events: Arc<AtomicU64>,
}

/// What changes while the machine is there.
#[derive(Default)]
pub(crate) struct State {
    /// How often its node was started.
    lives: u64,
    /// Called when its node is to end in order.
    stop: CancellationToken,
    /// The mind that the last life left, at rest.
    pub(crate) rest: Option<Box<Agent>>,
    /// What its minds did that must not be, and when.
    pub(crate) violations: Vec<(Time, u8, String)>,
}

impl Machine {
    /// Looks at what changes.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the node to end in order.
    pub(crate) fn end(&self) {
        self.state().stop.cancel();
    }

    /// One life of the node, from a start to an end in order. A crash drops it.
    ///
    /// # Errors
    /// Why the node could not be started, or ended by itself.
    pub(crate) async fn live(self: Arc<Self>) -> turmoil::Result {
        let (life_number, stop) = {
            let mut state = self.state();
            state.lives += 1;
            state.stop = CancellationToken::new();
            (state.lives, state.stop.clone())
        };
        self.trace.note(format_args!("life {life_number}"));
        let draw = |what: &str| -> [u8; 32] {
            let mut hash = Sha256::new();
            hash.update(self.chance);
            hash.update(life_number.to_le_bytes());
            hash.update(what.as_bytes());
            hash.finalize().into()
        };
        let kept = self.disk.kept();
        let clock = Virtual::start(BEGIN, Arc::clone(&self.ahead));
        let life = Life::next(&kept, Arc::new(clock))?;
        let (keeper, durable) = self.disk.open();
        let (events, reports) = mpsc::channel(DRIVER_QUEUE);
        let mut settings = transport_config(&self.config, self.secret);
        settings.chance = draw("transport").iter().fold(0, |sum, byte| (sum << 8) ^ u64::from(*byte));
        let network = Network { ip: self.ip, trace: self.trace.clone() };
        let ground = Ground {
            signer: self.signer.clone(),
            life,
            kept,
            keeper,
            durable,
            transport: transport::start_over(settings, network).await?,
            driver: Arc::new(Pages::new(Arc::clone(&self.shelf), events)),
            reports,
            modules: Arc::new(Here(Arc::clone(&self.shelf))),
            doorstep: Arc::new(Loopback),
            desk: Desk::without_threads(),
            chance: draw("mind"),
            witness: Box::new(Watcher { machine: Arc::clone(&self), grants: Grants::default() }),
            death: Death::default(),
        };
        let mut body = Body::start(ground, &self.config).await?;
        for order in &self.orders {
            body.tasks.spawn(stopped_by(body.stop(), order.clone().follow(body.mind.clone())));
        }
        for invite in &self.invites {
            body.tasks.spawn(stopped_by(body.stop(), Arc::clone(invite).invite(body.mind.clone())));
        }
        for accept in &self.accepts {
            body.tasks.spawn(stopped_by(body.stop(), Arc::clone(accept).accept(body.mind.clone())));
        }
        body.until(stop.cancelled()).await;
        let mind = body.end().await?;
        self.trace.note(format_args!("ended"));
        self.state().rest = Some(mind);
        Ok(())
    }
}

async fn stopped_by(stop: CancellationToken, what: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = what => {}
    }
}

/// Notes all that a mind hears and decides, and what of it must not be.
struct Watcher {
    machine: Arc<Machine>,
    grants: Grants,
}

impl Witness for Watcher {
    fn heard(&mut self, now: Time, event: Option<&Event>) {
        self.machine.events.fetch_add(1, Ordering::Relaxed);
        self.machine.trace.note(format_args!("{} heard {event:?}", now.0));
    }

    fn decided(&mut self, now: Time, batch: &Batch, managers: &Managers) {
        self.machine.trace.note(format_args!("{} decided {batch:?}", now.0));
        if let Err(violation) = self.grants.check(managers) {
            self.machine.state().violations.push((now, violation.number, violation.what));
        }
    }
}
