//! What REAR and the Virtual Fabric say about a request; what comes twice, or too late, changes nothing.

use kernel::{AllocationId, ContractId, NodeId, RequestId};
use rear_proto::{Deed, Refusal, local::Placement, price::Rate, workload::Status};

use super::{
    Life, here,
    replica::{Place, State},
};
use crate::{
    mail::Effect,
    record::Going,
    turn::Turn,
    view::{Endpoint, Times},
};

impl Life {
    /// Says whether a replica waits for, or rests on, just this request.
    pub(crate) fn is_current(&self, at: usize, request: RequestId) -> bool {
        self.replicas.get(at).is_some_and(|replica| replica.request() == Some(request))
    }

    pub(crate) fn looked_up(
        &mut self,
        turn: &mut Turn<'_>,
        at: usize,
        request: RequestId,
        local: Option<AllocationId>,
    ) {
        match (&self.replicas[at].state, local) {
            (State::LookingUp { .. }, found) => {
                turn.did(request, Deed::ResourcesLookedUp);
                match found {
                    Some(allocation) => {
                        let place = here(turn.me, Placement::Local(allocation));
                        self.place(turn, at, request, place, true);
                    }
                    None => self.seek(turn, at, request),
                }
            }
            (State::Adopting { on: Placement::Local(_), .. }, Some(allocation)) => {
                let place = here(turn.me, Placement::Local(allocation));
                self.place(turn, at, request, place, false);
            }
            (State::Adopting { on: Placement::Local(_), .. }, None) => {
                self.lost(turn, at, "its room on this node is gone".to_owned());
            }
            _ => {}
        }
    }

    pub(crate) fn held(&mut self, turn: &mut Turn<'_>, at: usize, request: RequestId) {
        if matches!(self.replicas[at].state, State::Seeking { .. }) {
            self.replicas[at].state = State::Held { request };
            self.replicas[at].marks.discovered.get_or_insert(turn.now.since(self.arrived));
            self.changed = true;
            self.advance(turn);
        }
    }

    pub(crate) fn ready(
        &mut self,
        turn: &mut Turn<'_>,
        at: usize,
        request: RequestId,
        contract: ContractId,
        provider: NodeId,
        price: Rate,
    ) {
        let place = Place { on: Placement::Remote(contract), node: provider, price: Some(price) };
        match self.replicas[at].state {
            State::Seeking { .. } | State::Buying { .. } => {
                turn.did(request, Deed::ManagementResumed);
                self.place(turn, at, request, place, true);
            }
            State::Adopting { .. } => self.place(turn, at, request, place, false),
            _ => {}
        }
    }

    pub(crate) fn failed(&mut self, turn: &mut Turn<'_>, at: usize, refusal: &Refusal) {
        match self.replicas[at].state {
            State::LookingUp { .. } | State::Seeking { .. } | State::Held { .. } | State::Buying { .. } => {
                self.refused(turn, at, refusal);
            }
            State::Adopting { .. } | State::Placed { .. } | State::Deployed { .. } => {
                self.lost(turn, at, refusal.to_string());
            }
            State::Empty | State::Waiting { .. } => {}
        }
    }

    pub(crate) fn ended(&mut self, turn: &mut Turn<'_>, at: usize, text: String) {
        self.lost(turn, at, text);
    }

    pub(crate) fn status(&mut self, turn: &mut Turn<'_>, at: usize, status: Status) {
        let replica = &mut self.replicas[at];
        let State::Deployed { run, .. } = &mut replica.state else { return };
        if run.status == status {
            return;
        }
        run.status = status;
        self.changed = true;
        match &run.status {
            Status::Running | Status::Succeeded => {
                run.since.get_or_insert(turn.now);
            }
            Status::Starting | Status::BackingOff { .. } | Status::Stopped => run.since = None,
            Status::Failed { reason } => {
                let why = format!("workload '{}' failed: {reason}", replica.workload.name);
                return self.fail(turn, why);
            }
        }
        self.note_running(turn);
    }

    /// Notes that everything runs, where it does.
    fn note_running(&mut self, turn: &Turn<'_>) {
        if self.going == Going::Live && self.replicas.iter().all(super::Replica::is_running) {
            // All is well again, so there is nothing to explain.
            self.keep |= self.reason.take().is_some() || !self.ran;
            if !self.ran {
                self.ran = true;
                self.times = Times { running: Some(turn.now.since(self.arrived)), ..self.times() };
            }
        }
    }

    pub(crate) fn exposed(&mut self, turn: &Turn<'_>, at: usize, name: String, url: String) {
        let State::Deployed { run, .. } = &mut self.replicas[at].state else { return };
        let endpoint = Endpoint { name, url };
        match run.endpoints.iter_mut().find(|known| known.name == endpoint.name) {
            Some(known) if *known == endpoint => return,
            Some(known) => *known = endpoint,
            None => run.endpoints.push(endpoint),
        }
        self.changed = true;
        self.note_running(turn);
    }

    // -- what is being given back -----------------------------------------------------------------------

    /// It has stopped, or what it ran on has ended: the room can go.
    pub(crate) fn stopped(&mut self, turn: &mut Turn<'_>, request: RequestId) {
        let leaving = self.leaving.iter_mut().find(|leaving| leaving.request == request && leaving.stopping);
        if let Some(leaving) = leaving {
            leaving.stopping = false;
            turn.say(Effect::Release { request });
        }
    }

    /// All that a request had is given back.
    pub(crate) fn released(&mut self, turn: &mut Turn<'_>, request: RequestId) {
        let Some(at) = self.leaving.iter().position(|leaving| leaving.request == request && !leaving.stopping) else {
            return;
        };
        let leaving = self.leaving.remove(at);
        turn.requests.close(request);
        self.keep |= leaving.on.is_some() || self.is_over();
        self.changed |= self.is_over();
    }
}
