//! What the orchestrator wants run, here or at the far end of a contract: deployed until it is, undeployed likewise.
//!
//! ```text
//!  Deploy ─► wanted ── asked ─► Missing ── Ship ─► asked again
//!              ▲                   Deployed ──► settled ── the provider's word ─► Status
//!              └── peering opened again ──────────┘   │
//!                                                 Undeploy ─► leaving ─► Undeployed
//! ```

use kernel::{AllocationId, ContractId, Digest, RequestId, Span, Time};
use rear_proto::{
    Code, Epoch, Refusal, Trace,
    fabric::{FabricAnswer, FabricRequest},
    local::Placement,
    workload::{Image, Status, Workload},
};

use crate::{
    mail::{Effect, Instance, Target},
    manager::{About, Manager, Said, ask},
    peering::Phase,
    stamp,
    timers::{Attempt, Due},
};

/// How many times a provider may be given the same component for one Deploy: once, and once more where it threw it
/// away for want of room in between.
const SHIPMENTS: u32 = 3;
/// How much longer than its grace a workload may take to be gone, before it counts as out of reach.
const BEYOND_GRACE: Span = Span::secs(5);

/// One replica that is wanted.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) on: Placement,
    pub(crate) workload: Box<Workload>,
    /// How it is, as the orchestrator was last told.
    pub(crate) status: Option<Status>,
    /// The latest word about it that was taken in.
    heard: Option<Epoch>,
    /// When it was wanted.
    wanted: Epoch,
    /// Whether the far end, or the runtime here, has taken it in.
    settled: bool,
    exposed: bool,
    /// Whether another replica was still to be stopped there when this was last asked for: that may take the room.
    crowded: bool,
    attempt: Attempt,
    shipments: u32,
}

/// One replica that is to be stopped.
#[derive(Debug)]
pub(crate) struct Leaving {
    on: Placement,
    workload: String,
    /// When it was not wanted any more.
    unwanted: Epoch,
    /// When it counts as out of reach.
    until: Time,
    /// Whether the orchestrator was told that it is. It goes on being asked for: what would run on takes room that
    /// another replica may want.
    told: bool,
    attempt: Attempt,
}

impl Manager {
    /// The orchestrator wants a replica run.
    pub(crate) fn deploy(
        &mut self,
        now: Time,
        request: RequestId,
        on: Placement,
        workload: Box<Workload>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(replica) = self.replicas.get(&request) {
            if replica.on == on && replica.workload == workload {
                self.deploy_again(now, request, out);
                return;
            }
            // It is wanted elsewhere or otherwise: what there is goes, and the orchestrator does not wait for that.
            let (before, name) = (replica.on, replica.workload.name.clone());
            self.leave(now, request, before, name, out);
            if let Some(leaving) = self.leaving.get_mut(&request) {
                leaving.told = true;
            }
        }
        let name = (on, workload.name.clone());
        if self.names.contains_key(&name) {
            let reason = format!("another replica '{}' is deployed in the same place", workload.name);
            out.push(Effect::Status { request, status: Status::Failed { reason } });
            return;
        }
        self.names.insert(name, request);
        let heard = match on {
            Placement::Remote(contract) => self.peerings.get(&contract).and_then(|peering| peering.heard),
            Placement::Local(_) => None,
        };
        let replica = Replica {
            on,
            workload,
            status: None,
            heard,
            wanted: self.stamps.next(),
            settled: false,
            exposed: false,
            crowded: false,
            attempt: Attempt::default(),
            shipments: 0,
        };
        self.replicas.insert(request, replica);
        self.ask_deploy(now, request, out);
    }

    /// The orchestrator says it again: it hears again how things are, and what failed is tried again.
    fn deploy_again(&mut self, now: Time, request: RequestId, out: &mut Vec<Effect>) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        let failed = matches!(replica.status, Some(Status::Failed { .. }));
        if failed && replica.settled {
            replica.status = None;
            replica.shipments = 0;
            self.ask_deploy(now, request, out);
        } else if let Some(status) = replica.status.clone() {
            out.push(Effect::Status { request, status });
        }
    }

    /// Has a replica run where it is to run, if that can be done now.
    pub(crate) fn ask_deploy(&mut self, now: Time, request: RequestId, out: &mut Vec<Effect>) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        replica.settled = false;
        let before = replica.attempt.ask.take();
        let (on, workload, wanted) = (replica.on, replica.workload.clone(), replica.wanted);
        self.forget(before);
        let contract = match on {
            Placement::Local(allocation) => return self.start_here(request, allocation, workload, out),
            Placement::Remote(contract) => contract,
        };
        match self.peerings.get(&contract).map(|peering| peering.phase) {
            Some(Phase::Open) => {}
            // Once the peering is open, or the contract over, this goes on by itself.
            Some(Phase::Opening(_) | Phase::Reopening(_) | Phase::Lost) => return,
            None => return self.timers.set(Due::Replica(request), now + self.config.open_within),
        }
        let crowded = !self.leaving_from(contract).is_empty();
        if let Some(replica) = self.replicas.get_mut(&request) {
            replica.crowded = crowded;
        }
        let mut question = ask(FabricRequest::Deploy(*workload));
        question.extensions = stamp::write(wanted);
        let deadline = self.config.answer_within;
        let id = self.send(contract, About::Deploying(request), question, deadline, Trace::None, out);
        self.asked(request, id, Self::lost_at(now, deadline));
    }

    fn asked(&mut self, request: RequestId, id: u64, lost_at: Time) {
        if let Some(replica) = self.replicas.get_mut(&request) {
            replica.attempt.ask = Some(id);
        }
        self.timers.set(Due::Replica(request), lost_at);
    }

    /// It is time to deploy again, or to give an answer up for lost.
    pub(crate) fn replica_due(&mut self, now: Time, request: RequestId, out: &mut Vec<Effect>) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        if let Some(lost) = replica.attempt.ask.take() {
            if self.is_about_shipping(lost)
                && let Some(replica) = self.replicas.get_mut(&request)
            {
                replica.shipments = replica.shipments.saturating_sub(1);
            }
            self.forget(Some(lost));
            self.deploy_failed(now, request, &Code::Timeout.into());
            return;
        }
        if let Placement::Remote(contract) = replica.on
            && !self.peerings.contains_key(&contract)
        {
            self.fail(request, format!("contract {contract} has no peering on this node"), out);
            return;
        }
        self.ask_deploy(now, request, out);
    }

    pub(crate) fn deploy_answered(&mut self, now: Time, request: RequestId, said: Said, out: &mut Vec<Effect>) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        let Placement::Remote(contract) = replica.on else { return };
        match said {
            Said::Answer(FabricAnswer::Deployed(status), extensions) => {
                self.settle(request);
                self.heard_status(request, status, stamp::read(&extensions), out);
            }
            Said::Answer(FabricAnswer::Missing(digest), _) => self.send_component(now, request, contract, digest, out),
            Said::Refused(refusal) if matches!(refusal.code(), Code::Closed | Code::NotFound) => {
                // The provider has forgotten the peering, and with it the replica.
                replica.attempt.succeeded();
                self.timers.clear(&Due::Replica(request));
                self.reopen_soon(now, contract);
            }
            Said::Refused(refusal) if refusal.code() == Code::TooLarge && replica.crowded => {
                self.deploy_failed(now, request, &refusal);
            }
            Said::Refused(refusal) if !passes(&refusal) => self.fail(request, refusal.to_string(), out),
            Said::Refused(refusal) | Said::Nothing(refusal) => self.deploy_failed(now, request, &refusal),
            other @ Said::Answer(..) => self.fail(request, other.into_refusal().to_string(), out),
        }
    }

    /// The provider has no component to run: sends it, and asks again after.
    fn send_component(
        &mut self,
        now: Time,
        request: RequestId,
        contract: ContractId,
        missing: Digest,
        out: &mut Vec<Effect>,
    ) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        // Nothing but the component of this very replica goes to the provider, whatever it asks for.
        let ours = matches!(replica.workload.image, Image::Wasm { digest, .. } if digest == missing);
        replica.shipments += 1;
        if !ours || replica.shipments > SHIPMENTS {
            let what = if ours { "asks for the component again and again" } else { "asks for another component" };
            self.fail(request, format!("the provider {what}"), out);
            return;
        }
        let id = self.ship(contract, About::Shipping(request), missing, out);
        self.asked(request, id, Self::lost_at(now, self.config.ship_within));
    }

    pub(crate) fn ship_answered(&mut self, now: Time, request: RequestId, said: Said, out: &mut Vec<Effect>) {
        match said {
            Said::Answer(FabricAnswer::Done, _) => self.ask_deploy(now, request, out),
            Said::Answer(..) => self.fail(request, said.into_refusal().to_string(), out),
            Said::Refused(refusal) | Said::Nothing(refusal) => match refusal.code() {
                Code::TooLarge | Code::Malformed | Code::NotFound => {
                    let reason = format!("the component could not be sent to the provider: {refusal}");
                    self.fail(request, reason, out);
                }
                _ => {
                    // It did not arrive, which says nothing of a provider that would ask without end.
                    if let Some(replica) = self.replicas.get_mut(&request) {
                        replica.shipments = replica.shipments.saturating_sub(1);
                    }
                    self.deploy_failed(now, request, &refusal);
                }
            },
        }
    }

    /// A try came to nothing, and the next may come to more.
    fn deploy_failed(&mut self, now: Time, request: RequestId, refusal: &Refusal) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        let wait = replica.attempt.failed(&self.config, &mut self.rng);
        let wait = wait.max(refusal.retry_after.unwrap_or(Span::ZERO)).min(self.config.longest_retry);
        self.timers.set(Due::Replica(request), now + wait);
    }

    pub(crate) fn settle(&mut self, request: RequestId) {
        if let Some(replica) = self.replicas.get_mut(&request) {
            replica.settled = true;
            replica.attempt.succeeded();
            replica.shipments = 0;
        }
        self.timers.clear(&Due::Replica(request));
    }

    /// A replica will not run: no further try would change that.
    pub(crate) fn fail(&mut self, request: RequestId, reason: String, out: &mut Vec<Effect>) {
        self.settle(request);
        self.heard_status(request, Status::Failed { reason }, None, out);
    }

    /// Takes in how a replica is, unless something later was heard of it.
    pub(crate) fn heard_status(
        &mut self,
        request: RequestId,
        status: Status,
        stamp: Option<Epoch>,
        out: &mut Vec<Effect>,
    ) {
        let Some(replica) = self.replicas.get_mut(&request) else { return };
        if stamp.is_some() {
            if replica.heard >= stamp {
                return;
            }
            replica.heard = stamp;
            if let Placement::Remote(contract) = replica.on
                && let Some(peering) = self.peerings.get_mut(&contract)
            {
                peering.heard = peering.heard.max(stamp);
            }
        }
        if replica.status.as_ref() == Some(&status) {
            return;
        }
        replica.status = Some(status.clone());
        out.push(Effect::Status { request, status: status.clone() });
        if status == Status::Running && !replica.exposed {
            replica.exposed = true;
            let name = &replica.workload.name;
            let target = match replica.on {
                Placement::Local(allocation) => Target::Here(Instance { allocation, workload: name.clone() }),
                Placement::Remote(contract) => Target::There { contract, workload: name.clone() },
            };
            for port in &replica.workload.ports {
                let (target, name, port) = (target.clone(), port.name.clone(), port.port);
                out.push(Effect::Expose { request, target, name, port });
            }
        }
    }

    /// The local door has opened a port.
    pub(crate) fn exposed(&self, request: RequestId, port: String, url: String, out: &mut Vec<Effect>) {
        if self.replicas.get(&request).is_some_and(|replica| replica.exposed) {
            out.push(Effect::Exposed { request, port, url });
        }
    }

    /// The orchestrator wants a replica stopped.
    pub(crate) fn undeploy(
        &mut self,
        now: Time,
        request: RequestId,
        on: Placement,
        workload: String,
        out: &mut Vec<Effect>,
    ) {
        let under_way = self.leaving.get(&request).is_some_and(|leaving| !leaving.told);
        if !under_way {
            self.leave(now, request, on, workload, out);
        }
    }

    fn leave(&mut self, now: Time, request: RequestId, on: Placement, workload: String, out: &mut Vec<Effect>) {
        self.drop_replica(request, out);
        self.leave_no_more(request);
        let until = now + self.config.grace.plus(BEYOND_GRACE);
        let unwanted = self.stamps.next();
        let leaving = Leaving { on, workload, unwanted, until, told: false, attempt: Attempt::default() };
        self.leaving.insert(request, leaving);
        self.ask_undeploy(now, request, out);
    }

    /// Forgets what was wanted of a replica, and closes its ports.
    pub(crate) fn drop_replica(&mut self, request: RequestId, out: &mut Vec<Effect>) {
        let Some(replica) = self.replicas.remove(&request) else { return };
        self.forget(replica.attempt.ask);
        self.timers.clear(&Due::Replica(request));
        self.names.remove(&(replica.on, replica.workload.name));
        if replica.exposed {
            out.push(Effect::Unexpose { request });
        }
    }

    /// Has a replica stopped where it runs.
    pub(crate) fn ask_undeploy(&mut self, now: Time, request: RequestId, out: &mut Vec<Effect>) {
        let Some(leaving) = self.leaving.get_mut(&request) else { return };
        let before = leaving.attempt.ask.take();
        let (on, workload, unwanted, until) = (leaving.on, leaving.workload.clone(), leaving.unwanted, leaving.until);
        self.forget(before);
        match on {
            Placement::Local(allocation) => {
                if self.stop_here(&Instance { allocation, workload }, out) {
                    if now < until {
                        self.timers.set(Due::Leaving(request), until);
                    }
                } else {
                    self.left(request, out);
                }
            }
            Placement::Remote(contract) if self.peerings.contains_key(&contract) => {
                let mut question = ask(FabricRequest::Undeploy { workload });
                question.extensions = stamp::write(unwanted);
                let deadline = self.config.answer_within;
                let id = self.send(contract, About::Leaving(request), question, deadline, Trace::None, out);
                if let Some(leaving) = self.leaving.get_mut(&request) {
                    leaving.attempt.ask = Some(id);
                }
                self.leaving_at(now, request, Self::lost_at(now, deadline));
            }
            Placement::Remote(_) => self.left(request, out),
        }
    }

    pub(crate) fn undeploy_answered(&mut self, now: Time, request: RequestId, said: &Said, out: &mut Vec<Effect>) {
        let over = match said {
            Said::Answer(..) => true,
            // A provider that knows of no peering runs nothing of it. But when that is open again, a Deploy that is
            // still on its way must find that it comes too late: so this is said until it is taken in.
            Said::Refused(refusal) if matches!(refusal.code(), Code::Closed | Code::NotFound) => {
                self.forgotten_there(now, request, out)
            }
            Said::Refused(refusal) => !passes(refusal),
            Said::Nothing(_) => false,
        };
        let Some(leaving) = self.leaving.get_mut(&request) else { return };
        if over {
            self.left(request, out);
        } else {
            let wait = leaving.attempt.failed(&self.config, &mut self.rng);
            self.leaving_at(now, request, now + wait);
        }
    }

    /// A provider knows nothing of the peering that a replica is to be stopped under: the orchestrator need not wait.
    /// Says whether there is no peering to open again either.
    fn forgotten_there(&mut self, now: Time, request: RequestId, out: &mut Vec<Effect>) -> bool {
        let Some(leaving) = self.leaving.get_mut(&request) else { return true };
        let Placement::Remote(contract) = leaving.on else { return true };
        if !std::mem::replace(&mut leaving.told, true) {
            out.push(Effect::Undeployed { request });
        }
        self.reopen_soon(now, contract);
        self.peerings.get(&contract).is_none_or(|peering| peering.phase == Phase::Lost)
    }

    /// Goes on at a time, or when the orchestrator has waited for long enough.
    fn leaving_at(&mut self, now: Time, request: RequestId, at: Time) {
        let Some(leaving) = self.leaving.get(&request) else { return };
        let at = if now < leaving.until { at.min(leaving.until) } else { at };
        self.timers.set(Due::Leaving(request), at);
    }

    pub(crate) fn leaving_due(&mut self, now: Time, request: RequestId, out: &mut Vec<Effect>) {
        let Some(leaving) = self.leaving.get_mut(&request) else { return };
        if now >= leaving.until && !leaving.told {
            leaving.told = true;
            out.push(Effect::Undeployed { request });
        }
        self.ask_undeploy(now, request, out);
    }

    /// A replica is stopped, or out of reach.
    fn left(&mut self, request: RequestId, out: &mut Vec<Effect>) {
        if self.leave_no_more(request) {
            out.push(Effect::Undeployed { request });
        }
    }

    /// Forgets a replica that is to be stopped; says whether the orchestrator has yet to hear of it.
    fn leave_no_more(&mut self, request: RequestId) -> bool {
        let Some(leaving) = self.leaving.remove(&request) else { return false };
        self.forget(leaving.attempt.ask);
        self.timers.clear(&Due::Leaving(request));
        !leaving.told
    }

    /// An instance on this node is gone: whoever wanted it stopped, or waits for its name, hears of it.
    pub(crate) fn instance_left(&mut self, now: Time, instance: &Instance, out: &mut Vec<Effect>) {
        let on = Placement::Local(instance.allocation);
        let leaves = |it: &Leaving| it.on == on && it.workload == instance.workload;
        let left: Vec<_> = self.leaving.iter().filter(|(_, it)| leaves(it)).map(|(id, _)| *id).collect();
        for request in left {
            self.left(request, out);
        }
        if let Some(&request) = self.names.get(&(on, instance.workload.clone()))
            && self.replicas.get(&request).is_some_and(|replica| !replica.settled)
        {
            self.ask_deploy(now, request, out);
        }
    }

    /// The contract is over, and all that ran under it.
    pub(crate) fn forget_replicas(&mut self, contract: ContractId, out: &mut Vec<Effect>) {
        for request in self.replicas_on(Placement::Remote(contract)) {
            self.drop_replica(request, out);
        }
        for request in self.leaving_from(contract) {
            self.left(request, out);
        }
    }

    pub(crate) fn replicas_on(&self, on: Placement) -> Vec<RequestId> {
        let from = (on, String::new());
        self.names.range(from..).take_while(|((place, _), _)| *place == on).map(|(_, request)| *request).collect()
    }

    pub(crate) fn leaving_from(&self, contract: ContractId) -> Vec<RequestId> {
        let on = Placement::Remote(contract);
        self.leaving.iter().filter(|(_, leaving)| leaving.on == on).map(|(request, _)| *request).collect()
    }

    /// Starts a replica on this node.
    fn start_here(
        &mut self,
        request: RequestId,
        allocation: AllocationId,
        workload: Box<Workload>,
        out: &mut Vec<Effect>,
    ) {
        let instance = Instance { allocation, workload: workload.name.clone() };
        match self.host_own(request, &instance, workload, out) {
            Ok(true) => self.settle(request),
            // It goes on when the runtime says so: see `instance_left`.
            Ok(false) => {}
            Err(refusal) => self.fail(request, refusal.to_string(), out),
        }
    }
}

/// Whether a refusal says that a later try may succeed.
fn passes(refusal: &Refusal) -> bool {
    refusal.retry_after.is_some() || matches!(refusal.code(), Code::Overloaded | Code::Storage | Code::Timeout)
}
