//! The life of one intent, from its arrival until nothing of it is left.

mod answers;
mod placing;
mod replica;

use kernel::{ContractId, IntentId, Key, NodeId, RequestId, Time};
use rear_proto::{DamagedRecord, Deed, Row, Step, Table, local::Placement, record, story::Place};

use self::replica::{Marks, Replica, State};
use crate::{
    intent::Intent,
    mail::Effect,
    record::{Going, IntentRecord, LeavingRecord, ReplicaRecord},
    story::{Steps, Told},
    turn::{Owner, Turn},
    view::{IntentView, Phase, Times, WorkloadView},
};

/// An intent, and all that was asked for it.
#[derive(Debug)]
pub(crate) struct Life {
    id: IntentId,
    intent: Intent,
    arrived: Time,
    /// A contract made by hand that it is to run on.
    contract: Option<ContractId>,
    going: Going,
    reason: Option<String>,
    /// Whether all replicas have run at once.
    ran: bool,
    /// Whether all replicas have had a place at once; from then on each is replaced by itself.
    established: bool,
    /// The times of the phases, once it has run.
    times: Times,
    replicas: Vec<Replica>,
    leaving: Vec<Leaving>,
    steps: Steps,
    /// Whether something changed that is kept.
    keep: bool,
    /// Whether something changed that is shown.
    changed: bool,
}

/// What is being given back.
#[derive(Debug)]
struct Leaving {
    request: RequestId,
    replica: usize,
    origin: Key,
    on: Option<Placement>,
    /// Whether the Virtual Fabric has yet to say that it has stopped.
    stopping: bool,
}

impl Life {
    fn new(id: IntentId, intent: Intent, arrived: Time, contract: Option<ContractId>) -> Self {
        let replica = |(workload, component, number): (_, &String, u16)| Replica {
            workload,
            component: component.clone(),
            origin: Key::derive("origin", &[id.as_bytes(), component.as_bytes(), &number.to_le_bytes()]),
            round: 0,
            losses: 0,
            state: State::Empty,
            marks: Marks::default(),
        };
        let replicas = intent
            .workloads
            .iter()
            .flat_map(|component| {
                (1..=component.replicas).map(|number| (component.replica(number), &component.workload.name, number))
            })
            .map(replica)
            .collect();
        Self {
            id,
            intent,
            arrived,
            contract,
            going: Going::Live,
            reason: None,
            ran: false,
            established: false,
            times: Times::default(),
            replicas,
            leaving: Vec::new(),
            steps: Steps::default(),
            keep: true,
            changed: true,
        }
    }

    /// Takes in an intent, and asks for room for each of its replicas.
    pub(crate) fn submit(turn: &mut Turn<'_>, id: IntentId, intent: Intent, contract: Option<ContractId>) -> Self {
        let mut life = Self::new(id, intent, turn.now, contract);
        for at in 0..life.replicas.len() {
            life.begin(turn, at);
        }
        life
    }

    /// Remembers an intent, as it was kept.
    ///
    /// # Errors
    /// When the record can't be read, or contradicts itself.
    pub(crate) fn restore(id: IntentId, bytes: &[u8]) -> Result<Self, DamagedRecord> {
        let kept: IntentRecord = record::decode(Table::Intents, bytes)?;
        let mut life = Self::new(id, kept.intent, kept.arrived, kept.contract);
        if life.replicas.len() != kept.replicas.len() {
            let why = format!("intent {id} has {} replicas, not {}", life.replicas.len(), kept.replicas.len());
            return Err(DamagedRecord { table: Table::Intents.name(), why });
        }
        // Requests are numbered anew when the node has come to life; until then nothing refers to them.
        let unnumbered = RequestId(0);
        for (replica, kept) in life.replicas.iter_mut().zip(kept.replicas) {
            replica.round = kept.round;
            if let Some(on) = kept.on {
                replica.state = State::Adopting { request: unnumbered, on };
            }
        }
        let leaving = |kept: LeavingRecord| Leaving {
            request: unnumbered,
            replica: usize::from(kept.replica),
            origin: kept.origin,
            on: Some(kept.on),
            stopping: true,
        };
        life.leaving = kept.leaving.into_iter().map(leaving).collect();
        life.going = kept.going;
        life.reason = kept.reason;
        life.ran = kept.ran;
        life.established = kept.established;
        life.times = kept.times;
        life.steps = Steps::restored(kept.steps);
        life.keep = false;
        Ok(life)
    }

    /// Goes on after a restart: what had a place claims it, what was under way is asked anew, and what was being
    /// given back goes on being given back.
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>) {
        for leaving in &mut self.leaving {
            let Some(on) = leaving.on else { continue };
            leaving.request = turn.open(self.id, leaving.replica, 0);
            let request = leaving.request;
            turn.say(Effect::Adopt { request, on, origin: leaving.origin });
            let workload = self.replicas.get(leaving.replica).map_or_else(String::new, |r| r.workload.name.clone());
            turn.say(Effect::Undeploy { request, on, workload });
        }
        for at in 0..self.replicas.len() {
            let replica = &mut self.replicas[at];
            match replica.state {
                State::Adopting { on, .. } => {
                    let request = turn.open(self.id, at, replica.round);
                    replica.state = State::Adopting { request, on };
                    turn.say(Effect::Adopt { request, on, origin: replica.origin });
                }
                _ if self.going == Going::Live => self.begin_anew(turn, at),
                _ => {}
            }
        }
        // It may have had nothing but requests that were under way.
        self.keep |= self.is_over();
        self.changed = true;
    }

    /// Ends it: stops what runs, and gives back everything.
    pub(crate) fn delete(&mut self, turn: &mut Turn<'_>) {
        let was = match self.going {
            Going::Live => self.phase(),
            Going::Failed => Phase::Failed,
            Going::Deleting { .. } => return,
        };
        self.going = Going::Deleting { was };
        self.reason = Some("it is being deleted".to_owned());
        (0..self.replicas.len()).for_each(|at| self.let_go(turn, at));
        (self.keep, self.changed) = (true, true);
    }

    /// Gives it up: stops what runs, gives back everything, and stays to tell why.
    fn fail(&mut self, turn: &mut Turn<'_>, why: String) {
        if self.going != Going::Live {
            return;
        }
        self.going = Going::Failed;
        self.reason = Some(why);
        (0..self.replicas.len()).for_each(|at| self.let_go(turn, at));
        (self.keep, self.changed) = (true, true);
    }

    /// Says whether it was deleted and nothing of it is left.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.going, Going::Deleting { .. }) && self.leaving.is_empty()
    }

    /// Says and keeps what has changed while one event was handled.
    pub(crate) fn close(&mut self, turn: &mut Turn<'_>) {
        if self.is_over() {
            self.reason = None;
        }
        if std::mem::take(&mut self.keep) {
            turn.say(Effect::Keep(if self.is_over() {
                Row::drop(Table::Intents, self.id.as_bytes())
            } else {
                Row::put(Table::Intents, self.id.as_bytes(), &self.record())
            }));
        }
        if std::mem::take(&mut self.changed) {
            turn.say(Effect::Changed { intent: self.id });
        }
    }

    fn record(&self) -> IntentRecord {
        let leaving = |leaving: &Leaving| {
            let replica = u16::try_from(leaving.replica).unwrap_or(u16::MAX);
            leaving.on.map(|on| LeavingRecord { replica, origin: leaving.origin, on })
        };
        IntentRecord {
            intent: self.intent.clone(),
            arrived: self.arrived,
            contract: self.contract,
            going: self.going,
            reason: self.reason.clone(),
            ran: self.ran,
            established: self.established,
            times: self.times,
            replicas: self.replicas.iter().map(|r| ReplicaRecord { round: r.round, on: r.on() }).collect(),
            leaving: self.leaving.iter().filter_map(leaving).collect(),
            steps: self.steps.told().to_vec(),
        }
    }

    // -- the story --------------------------------------------------------------------------------------

    /// Takes in a step that was done for one of its requests.
    pub(crate) fn recorded(&mut self, me: &NodeId, owner: Owner, request: RequestId, began: Time, step: Step) {
        let at = (began + step.at).since(self.arrived);
        let replica = u16::try_from(owner.replica).unwrap_or(u16::MAX);
        let Owner { round, beyond, .. } = owner;
        // How far REAR has come is for this node's own managers to say.
        let own = step.node == Place::Node(*me);
        // The last step of a story: from here on it is to be told after a restart too.
        self.keep |= own && step.deed == Deed::WorkloadDeployed;
        self.steps.tell(me, Told { replica, round, beyond, deed: step.deed, node: step.node, at });
        if own
            && let Some(replica) = self.replicas.get_mut(owner.replica)
            && replica.request() == Some(request)
        {
            replica.note(step.deed, at);
        }
        self.changed = true;
    }

    // -- looking in -------------------------------------------------------------------------------------

    pub(crate) const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// Returns how far it has come.
    pub(crate) fn phase(&self) -> Phase {
        match self.going {
            Going::Live => {
                let phases = self.replicas.iter().map(|replica| replica.phase(self.established || replica.round > 0));
                phases.min().unwrap_or(Phase::Pending)
            }
            Going::Failed => Phase::Failed,
            Going::Deleting { .. } if self.leaving.is_empty() => Phase::Deleted,
            Going::Deleting { was } => was,
        }
    }

    pub(crate) fn view(&self, me: &NodeId) -> IntentView {
        let steps = self.steps.views(me, |at| self.replicas.get(at).map(|replica| replica.workload.name.clone()));
        IntentView {
            id: self.id,
            name: self.intent.name.clone(),
            phase: self.phase(),
            reason: self.reason.clone(),
            story: self.steps.story(me),
            workloads: self.workloads(),
            times: self.times(),
            steps,
        }
    }

    /// Returns the replicas, as they are shown.
    pub(crate) fn workloads(&self) -> Vec<WorkloadView> {
        self.replicas.iter().map(Replica::view).collect()
    }

    /// Returns why it is in its phase, where that needs a reason.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns the times of the phases that are over for every replica.
    pub(crate) fn times(&self) -> Times {
        if self.times.running.is_some() {
            return self.times;
        }
        let latest = |of: fn(&Marks) -> Option<kernel::Span>| {
            let times: Option<Vec<_>> = self.replicas.iter().map(|replica| of(&replica.marks)).collect();
            times.and_then(|times| times.into_iter().max())
        };
        Times {
            discovered: latest(|marks| marks.discovered),
            reserved: latest(|marks| marks.reserved),
            peered: latest(|marks| marks.peered),
            running: None,
        }
    }

    /// Returns the request of a replica that has a place: the first, or the first of that name.
    pub(crate) fn request_of(&self, workload: Option<&str>) -> Option<RequestId> {
        let named =
            |replica: &&Replica| workload.is_none_or(|name| replica.workload.name == name || replica.component == name);
        self.replicas.iter().filter(named).find(|replica| replica.on().is_some()).and_then(Replica::request)
    }
}

/// Where a replica runs, when it runs here.
const fn here(me: NodeId, on: Placement) -> replica::Place {
    replica::Place { on, node: me, price: None }
}
