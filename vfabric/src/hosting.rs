//! Instances on this node: started and stopped, and what the runtime says of them.

use kernel::{
    AllocationId, ContractId, Digest, RequestId, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Code, Refusal,
    fabric::FabricAnswer,
    local::Placement,
    workload::{Status, Workload},
};

use crate::{
    lodging::{Clearing, Hosted, Lodger, Lodging, wait},
    mail::{Effect, Instance},
    manager::{Manager, plain, refuse, reply},
    timers::{Attempt, Due},
};

impl Manager {
    /// Runs one of this node's own replicas on an allocation of its own; says whether it does, or has to wait until
    /// what has its name is gone.
    pub(crate) fn host_own(
        &mut self,
        request: RequestId,
        instance: &Instance,
        workload: Box<Workload>,
        out: &mut Vec<Effect>,
    ) -> Result<bool, Refusal> {
        self.check_runtime(&workload)?;
        let lodging = self.lodgings.entry(instance.allocation).or_insert_with(|| Lodging::new(Lodger::Own));
        if lodging.clearing.is_some() || lodging.contract().is_some() {
            let text = format!("allocation {} is not, or no longer, for this node's own use", instance.allocation);
            return Err(Refusal::new(Code::Closed, text));
        }
        if let Some(hosted) = lodging.hosted.get_mut(&instance.workload) {
            if hosted.stopping.is_some() {
                return Ok(false);
            }
            if hosted.workload != workload {
                let text = format!("another workload '{}' runs on that allocation", instance.workload);
                return Err(Refusal::new(Code::KeyReused, text));
            }
            hosted.request = Some(request);
            if let Some(status) = hosted.status.clone() {
                self.heard_status(request, status, None, out);
            }
            return Ok(true);
        }
        // What REAR has taken for a replica is what the replica asked for, and nothing else runs there.
        let within = workload.resources;
        let mut hosted = Hosted::new(workload.clone());
        hosted.request = Some(request);
        lodging.hosted.insert(instance.workload.clone(), hosted);
        out.push(Effect::Start { instance: instance.clone(), workload, within, abroad: false });
        Ok(true)
    }

    /// Refuses what no driver here runs.
    pub(crate) fn check_runtime(&self, workload: &Workload) -> Result<(), Refusal> {
        let runtime = workload.image.runtime();
        if self.config.runtimes.iter().any(|known| known == runtime) {
            return Ok(());
        }
        let runs = if self.config.runtimes.is_empty() { "nothing".into() } else { self.config.runtimes.join(", ") };
        let text = format!("node {} runs no {runtime} (it runs {runs})", self.me.short());
        Err(Refusal::new(Code::Unavailable, text))
    }

    /// Stops an instance; says whether there is one.
    pub(crate) fn stop_here(&mut self, instance: &Instance, out: &mut Vec<Effect>) -> bool {
        let Some(hosted) = self.hosted(instance) else { return false };
        if hosted.stopping.is_none() {
            hosted.stopping = Some(Vec::new());
            out.push(Effect::Stop { instance: instance.clone(), grace: self.config.grace });
        }
        true
    }

    pub(crate) fn hosted(&mut self, instance: &Instance) -> Option<&mut Hosted> {
        self.lodgings.get_mut(&instance.allocation)?.hosted.get_mut(&instance.workload)
    }

    /// The runtime says how an instance is.
    pub(crate) fn instance_status(&mut self, now: Time, instance: &Instance, status: Status, out: &mut Vec<Effect>) {
        let Some(hosted) = self.hosted(instance) else { return };
        // What is being stopped is of no interest until it is gone.
        if hosted.stopping.is_some() || hosted.status.as_ref() == Some(&status) {
            return;
        }
        hosted.status = Some(status.clone());
        let (request, waiting) = (hosted.request, std::mem::take(&mut hosted.waiting));
        match request {
            Some(request) => self.heard_status(request, status, None, out),
            None => {
                for ticket in &waiting {
                    self.reply_deployed(*ticket, status.clone(), out);
                }
                self.tell(now, instance, !waiting.is_empty(), out);
            }
        }
    }

    /// The runtime can't start an instance for want of its component.
    pub(crate) fn instance_missing(&mut self, instance: &Instance, digest: Digest, out: &mut Vec<Effect>) {
        let Some(hosted) = self.hosted(instance) else { return };
        if hosted.stopping.is_some() {
            // The order to stop it is answered yet.
            return;
        }
        let waiting = std::mem::take(&mut hosted.waiting);
        if let Some(request) = hosted.request {
            self.fail(request, format!("the component {digest} is not in this node's cache: submit it again"), out);
        }
        for ticket in waiting {
            out.push(reply(ticket, plain(FabricAnswer::Missing(digest))));
        }
        self.remove_hosted(instance, out);
    }

    /// The runtime says that an instance is gone.
    pub(crate) fn instance_gone(&mut self, now: Time, instance: &Instance, out: &mut Vec<Effect>) {
        let Some(hosted) = self.hosted(instance) else { return };
        let waiting = std::mem::take(&mut hosted.waiting);
        let Some(stopping) = hosted.stopping.take() else {
            // Nobody asked for that. It stays as what it is to its owner: a replica that failed.
            let ended = matches!(hosted.status, Some(Status::Succeeded | Status::Failed { .. } | Status::Stopped));
            if !ended {
                let reason = "the runtime has lost it".to_owned();
                self.instance_status(now, instance, Status::Failed { reason }, out);
            }
            return;
        };
        for ticket in waiting {
            let text = format!("workload '{}' was stopped before it started", instance.workload);
            out.push(refuse(ticket, Code::Closed, text));
        }
        for ticket in stopping {
            out.push(reply(ticket, plain(FabricAnswer::Done)));
        }
        self.remove_hosted(instance, out);
        self.instance_left(now, instance, out);
    }

    fn remove_hosted(&mut self, instance: &Instance, out: &mut Vec<Effect>) {
        let Some(lodging) = self.lodgings.get_mut(&instance.allocation) else { return };
        if let Some(hosted) = lodging.hosted.remove(&instance.workload) {
            self.forget(hosted.push.ask);
            self.timers.clear(&Due::Push(instance.clone()));
        }
        self.settle_lodging(instance.allocation, out);
    }

    /// Stops whatever runs on an allocation, then says that it is gone.
    pub(crate) fn clear(&mut self, now: Time, allocation: AllocationId, out: &mut Vec<Effect>) {
        for request in self.replicas_on(Placement::Local(allocation)) {
            self.drop_replica(request, out);
        }
        let Some(lodging) = self.lodgings.get_mut(&allocation) else {
            // Nothing was ever started there: a virtual node, or a contract that nobody came to use.
            out.push(Effect::Gone { allocation });
            return;
        };
        if lodging.clearing.is_none() {
            lodging.clearing = Some(Clearing { since: now, stuck: false });
            let at = now + self.config.stuck_after;
            self.timers.set(Due::Stuck(allocation), at);
            self.stop_all(allocation, out);
            self.turn_away(allocation, out);
        }
        self.settle_lodging(allocation, out);
    }

    pub(crate) fn stop_all(&mut self, allocation: AllocationId, out: &mut Vec<Effect>) {
        let Some(lodging) = self.lodgings.get(&allocation) else { return };
        let names: Vec<_> = lodging.hosted.keys().cloned().collect();
        for workload in names {
            self.stop_here(&Instance { allocation, workload }, out);
        }
    }

    /// Forgets an allocation on which nothing runs, where nothing is to run again.
    fn settle_lodging(&mut self, allocation: AllocationId, out: &mut Vec<Effect>) {
        let Some(lodging) = self.lodgings.get(&allocation) else { return };
        let own = matches!(lodging.lodger, Lodger::Own);
        let is_empty = lodging.hosted.is_empty() || lodging.clearing.is_some() && planted::is(Bug::SayGoneEarly);
        if !is_empty || !(own || lodging.clearing.is_some()) {
            return;
        }
        let cleared = lodging.clearing.is_some();
        if let Some(contract) = lodging.contract() {
            self.tenants.remove(&contract);
        }
        self.lodgings.remove(&allocation);
        self.timers.clear(&Due::Stuck(allocation));
        if cleared {
            out.push(Effect::Gone { allocation });
        }
    }

    /// The runtime takes longer than it may: it is told once more, and the operator can see it.
    pub(crate) fn stuck_due(&mut self, now: Time, allocation: AllocationId, out: &mut Vec<Effect>) {
        let Some(lodging) = self.lodgings.get_mut(&allocation) else { return };
        let Some(clearing) = &mut lodging.clearing else { return };
        clearing.stuck = true;
        for workload in lodging.hosted.keys() {
            let instance = Instance { allocation, workload: workload.clone() };
            out.push(Effect::Stop { instance, grace: kernel::Span::ZERO });
        }
        self.timers.set(Due::Stuck(allocation), now + self.config.stuck_after);
    }

    /// A contract is over, at whichever end of it this node is.
    pub(crate) fn closed(&mut self, now: Time, contract: ContractId, out: &mut Vec<Effect>) {
        self.forget_peering(contract, out);
        self.forget_followers(contract, out);
        self.known_again(contract);
        if let Some(&allocation) = self.tenants.get(&contract) {
            self.clear(now, allocation, out);
        }
    }
}

impl Hosted {
    pub(crate) fn new(workload: Box<Workload>) -> Self {
        Self {
            workload,
            status: None,
            wanted: None,
            waiting: Vec::new(),
            stopping: None,
            untold: false,
            push: Attempt::default(),
            request: None,
        }
    }
}

impl Manager {
    /// Lets a Deploy wait for the first word of the runtime.
    pub(crate) fn wait_for_word(hosted: &mut Hosted, ticket: kernel::Ticket, out: &mut Vec<Effect>) {
        if let Some(turned) = wait(&mut hosted.waiting, ticket) {
            out.push(refuse(turned, Code::Overloaded, "the same was asked again meanwhile"));
        }
    }
}
