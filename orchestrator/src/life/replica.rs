//! One replica of an intent: what it waits for, where it runs, and how it is.

use kernel::{ContractId, Key, NodeId, RequestId, Span, Time};
use rear_proto::{
    Deed,
    local::Placement,
    price::Rate,
    workload::{Status, Workload},
};

use crate::view::{Endpoint, Phase, WorkloadView};

/// One replica of an intent.
#[derive(Debug)]
pub(crate) struct Replica {
    /// What is to run, under the replica's own name.
    pub(crate) workload: Workload,
    /// The name that the intent gives to the workload.
    pub(crate) component: String,
    /// Names the replica over restarts.
    pub(crate) origin: Key,
    /// Which attempt to find a place for it is the latest, from 0.
    pub(crate) round: u32,
    /// How often in a row a place was lost or not found.
    pub(crate) losses: u32,
    pub(crate) state: State,
    /// When each phase of the latest attempt was over, since the intent arrived.
    pub(crate) marks: Marks,
}

/// When the phases of one attempt were over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Marks {
    pub(crate) discovered: Option<Span>,
    pub(crate) reserved: Option<Span>,
    pub(crate) peered: Option<Span>,
}

/// What a replica has, and what it waits for.
#[derive(Debug)]
pub(crate) enum State {
    /// Nothing, and nothing is wanted.
    Empty,
    /// Nothing; a place is looked for again then.
    Waiting { until: Time },
    /// REAR looks for room here.
    LookingUp { request: RequestId },
    /// REAR looks for room elsewhere, and has come as far as `stage`.
    Seeking { request: RequestId, stage: Stage },
    /// REAR holds room.
    Held { request: RequestId },
    /// REAR purchases what it held.
    Buying { request: RequestId, stage: Stage },
    /// After a restart: REAR says whether the place is still there.
    Adopting { request: RequestId, on: Placement },
    /// There is a place.
    Placed { request: RequestId, place: Place, fresh: bool },
    /// It was deployed there.
    Deployed { request: RequestId, place: Place, run: Run },
}

/// Which part of its way REAR is on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Discovering,
    Reserving,
    Peering,
}

/// Where a replica runs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) on: Placement,
    pub(crate) node: NodeId,
    /// What it costs, where it is another's.
    pub(crate) price: Option<Rate>,
}

/// How a replica runs.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Status,
    /// Since when it has run well.
    pub(crate) since: Option<Time>,
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Run {
    pub(crate) const fn starting() -> Self {
        Self { status: Status::Starting, since: None, endpoints: Vec::new() }
    }
}

impl Replica {
    /// Returns the request that this replica waits for or rests on.
    pub(crate) const fn request(&self) -> Option<RequestId> {
        match self.state {
            State::Empty | State::Waiting { .. } => None,
            State::LookingUp { request }
            | State::Seeking { request, .. }
            | State::Held { request }
            | State::Buying { request, .. }
            | State::Adopting { request, .. }
            | State::Placed { request, .. }
            | State::Deployed { request, .. } => Some(request),
        }
    }

    /// Returns where it has room.
    pub(crate) const fn on(&self) -> Option<Placement> {
        match &self.state {
            State::Empty
            | State::Waiting { .. }
            | State::LookingUp { .. }
            | State::Seeking { .. }
            | State::Held { .. }
            | State::Buying { .. } => None,
            State::Adopting { on, .. } => Some(*on),
            State::Placed { place, .. } | State::Deployed { place, .. } => Some(place.on),
        }
    }

    /// Says whether it runs and all of its ports can be reached, or has ended well.
    pub(crate) const fn is_running(&self) -> bool {
        match &self.state {
            State::Deployed { run, .. } => match run.status {
                Status::Running => run.endpoints.len() >= self.workload.ports.len(),
                Status::Succeeded => true,
                Status::Starting | Status::Failed { .. } | Status::BackingOff { .. } | Status::Stopped => false,
            },
            State::Empty
            | State::Waiting { .. }
            | State::LookingUp { .. }
            | State::Seeking { .. }
            | State::Held { .. }
            | State::Buying { .. }
            | State::Adopting { .. }
            | State::Placed { .. } => false,
        }
    }

    /// Returns how far it has come; `again` where it has run before.
    pub(crate) const fn phase(&self, again: bool) -> Phase {
        match &self.state {
            State::LookingUp { .. } | State::Empty if !again => Phase::Pending,
            State::Empty | State::Waiting { .. } | State::LookingUp { .. } => Phase::Discovering,
            State::Seeking { stage, .. } => stage.phase(),
            State::Buying { stage: Stage::Peering, .. } => Phase::Peering,
            State::Held { .. } | State::Buying { .. } => Phase::Reserving,
            State::Deployed { .. } if self.is_running() => Phase::Running,
            State::Adopting { .. } | State::Placed { .. } | State::Deployed { .. } => Phase::Deploying,
        }
    }

    /// Learns from a deed of the latest attempt how far REAR has come.
    pub(crate) fn note(&mut self, deed: Deed, at: Span) {
        let reached = match deed {
            Deed::CandidateFound | Deed::ReservationStarted => {
                self.marks.discovered.get_or_insert(at);
                Stage::Reserving
            }
            Deed::ContractStored => {
                self.marks.reserved = Some(at);
                Stage::Peering
            }
            Deed::VirtualNodeAllocated | Deed::PeeringStarted => Stage::Peering,
            _ => return,
        };
        if let State::Seeking { stage, .. } | State::Buying { stage, .. } = &mut self.state {
            *stage = reached;
        }
    }

    /// Marks that there is a place: whatever was not heard of before is over too.
    pub(crate) fn mark_placed(&mut self, at: Span) {
        self.marks.discovered.get_or_insert(at);
        self.marks.reserved.get_or_insert(at);
        self.marks.peered.get_or_insert(at);
    }

    pub(crate) fn view(&self) -> WorkloadView {
        let (place, run) = match &self.state {
            State::Placed { place, .. } => (Some(place), None),
            State::Deployed { place, run, .. } => (Some(place), Some(run)),
            State::Empty
            | State::Waiting { .. }
            | State::LookingUp { .. }
            | State::Seeking { .. }
            | State::Held { .. }
            | State::Buying { .. }
            | State::Adopting { .. } => (None, None),
        };
        WorkloadView {
            name: self.workload.name.clone(),
            node: place.map(|place| place.node),
            status: self.status().to_owned(),
            reason: run.and_then(|run| match &run.status {
                Status::Failed { reason } | Status::BackingOff { reason, .. } => Some(reason.clone()),
                Status::Starting | Status::Running | Status::Succeeded | Status::Stopped => None,
            }),
            contract: self.on().and_then(contract),
            price: place.and_then(|place| place.price),
            endpoints: run.map_or_else(Vec::new, |run| run.endpoints.clone()),
        }
    }

    /// Returns how it is, in a word.
    const fn status(&self) -> &'static str {
        match &self.state {
            State::Empty => "Gone",
            State::Waiting { .. } => "Waiting",
            State::LookingUp { .. } => "Pending",
            State::Seeking { stage, .. } => stage.phase().name(),
            State::Held { .. } => "Held",
            State::Buying { stage: Stage::Peering, .. } => "Peering",
            State::Buying { .. } => "Reserving",
            State::Adopting { .. } => "Adopting",
            State::Placed { .. } => "Placed",
            State::Deployed { run, .. } => match &run.status {
                Status::Starting => "Starting",
                Status::Running => "Running",
                Status::Succeeded => "Succeeded",
                Status::Failed { .. } => "Failed",
                Status::BackingOff { .. } => "BackingOff",
                Status::Stopped => "Stopped",
            },
        }
    }
}

impl Stage {
    const fn phase(self) -> Phase {
        match self {
            Self::Discovering => Phase::Discovering,
            Self::Reserving => Phase::Reserving,
            Self::Peering => Phase::Peering,
        }
    }
}

/// Returns the contract of a place elsewhere.
const fn contract(on: Placement) -> Option<ContractId> {
    match on {
        Placement::Remote(contract) => Some(contract),
        Placement::Local(_) => None,
    }
}
