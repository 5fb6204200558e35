//! What the far end of a contract says: mostly a customer, of its peering and its workloads.
//!
//! Everything here was said by a stranger: it is checked, bounded, and may come twice or in any order.

use kernel::{ContractId, NodeId, Ticket, Time};
use rear_proto::{
    Code, Epoch, Refusal, Trace,
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    local::{Placement, SignedContract},
    story::Deed,
    workload::{Status, Workload},
};

use crate::{
    check,
    lodging::{Hosted, Lodger, Lodging, Tenant, wait},
    mail::{Effect, Instance},
    manager::{Manager, plain, refuse, reply},
    stamp,
};

/// A customer's request for its peering, while Contract looks for the contract.
#[derive(Debug)]
pub(crate) struct Inquiry {
    ticket: Ticket,
    contract: ContractId,
    customer: NodeId,
    trace: Trace,
}

impl Manager {
    #[allow(clippy::too_many_arguments, reason = "each is a part of the one letter")]
    pub(crate) fn heard(
        &mut self,
        now: Time,
        ticket: Ticket,
        contract: ContractId,
        peer: NodeId,
        ask: FabricAsk,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let said = stamp::read(&ask.extensions);
        match ask.request {
            // The name that the consumer has for the contract is for the record; the channel says which it is.
            FabricRequest::ResourceRequest { contract: _ } => {
                let inquiry = self.number();
                self.inquiries.insert(inquiry, Inquiry { ticket, contract, customer: peer, trace });
                out.push(Effect::LookUp { inquiry, contract, customer: peer, trace });
            }
            FabricRequest::Deploy(workload) => self.serve_deploy(ticket, contract, workload, said, out),
            FabricRequest::Undeploy { workload } => self.serve_undeploy(ticket, contract, &workload, said, out),
            FabricRequest::Status { workload, status } => {
                self.heard_provider(ticket, contract, workload, status, said, out);
            }
            FabricRequest::Logs { workload, from, wait } => {
                self.serve_logs(ticket, contract, workload, from, wait, out);
            }
            FabricRequest::Close => self.heard_close(ticket, contract, out),
            FabricRequest::Returned => {
                self.heard_returned(now, ticket, contract, said.map(|stamp| stamp.starts), out);
            }
        }
    }

    /// Contract has looked.
    pub(crate) fn looked_up(&mut self, inquiry: u64, found: Option<SignedContract>, out: &mut Vec<Effect>) {
        let Some(Inquiry { ticket, contract, customer, trace }) = self.inquiries.remove(&inquiry) else { return };
        let Some(found) = found.filter(|found| found.customer == customer) else {
            let text = format!("node {} has signed no contract {contract} with you", self.me.short());
            out.push(refuse(ticket, Code::NotFound, text));
            return;
        };
        let SignedContract { id: _, allocation, customer, partition, abroad } = found;
        self.known_again(contract);
        let tenant = || Box::new(Tenant { contract, customer, partition, abroad, open: false, waiting: Vec::new() });
        // One contract has one allocation, and one allocation one contract.
        if self.tenants.get(&contract).is_some_and(|other| *other != allocation) {
            out.push(refuse(ticket, Code::Closed, format!("contract {contract} rests on another allocation")));
            return;
        }
        let known = self.lodgings.contains_key(&allocation);
        let lodging = self.lodgings.entry(allocation).or_insert_with(|| Lodging::new(Lodger::Tenant(tenant())));
        let clearing = lodging.clearing.is_some();
        let tenant = match &mut lodging.lodger {
            Lodger::Tenant(tenant) if tenant.contract == contract => tenant,
            Lodger::Tenant(_) | Lodger::Own => {
                out.push(refuse(ticket, Code::Closed, format!("allocation {allocation} is in other use")));
                return;
            }
        };
        if clearing {
            out.push(refuse(ticket, Code::Closed, format!("contract {contract} is over")));
            return;
        }
        self.tenants.insert(contract, allocation);
        if tenant.open {
            out.push(Effect::Did(trace, Deed::ResourceOfferSent));
            let offer = self.offer(partition);
            out.push(reply(ticket, offer));
            return;
        }
        if let Some((turned, _)) = wait(&mut tenant.waiting, (ticket, trace)) {
            out.push(refuse(turned, Code::Overloaded, "the same was asked again meanwhile"));
        }
        if !known {
            out.push(Effect::Did(trace, Deed::ProviderTold));
            out.push(Effect::Peered { allocation, contract, trace });
        }
    }

    /// REAR has put the allocation to active: whoever waits gets the offer.
    pub(crate) fn activated(&mut self, allocation: kernel::AllocationId, out: &mut Vec<Effect>) {
        let Some(Lodging { lodger: Lodger::Tenant(tenant), clearing: None, .. }) = self.lodgings.get_mut(&allocation)
        else {
            return;
        };
        tenant.open = true;
        let (waiting, partition) = (std::mem::take(&mut tenant.waiting), tenant.partition);
        for (ticket, trace) in waiting {
            out.push(Effect::Did(trace, Deed::ResourceOfferSent));
            let offer = self.offer(partition);
            out.push(reply(ticket, offer));
        }
    }

    /// Makes an offer; its stamp tells one life of this node from another.
    fn offer(&mut self, resources: kernel::Resources) -> FabricReply {
        let mut offer = plain(FabricAnswer::ResourceOffer { resources, runtimes: self.config.runtimes.clone() });
        offer.extensions = stamp::write(self.stamps.next());
        offer
    }

    /// Refuses whoever still waits for a peering that will not open.
    pub(crate) fn turn_away(&mut self, allocation: kernel::AllocationId, out: &mut Vec<Effect>) {
        let Some(Lodging { lodger: Lodger::Tenant(tenant), .. }) = self.lodgings.get_mut(&allocation) else { return };
        let contract = tenant.contract;
        for (ticket, _) in std::mem::take(&mut tenant.waiting) {
            out.push(refuse(ticket, Code::Closed, format!("contract {contract} is over")));
        }
    }

    /// Returns the allocation of an open peering.
    pub(crate) fn open_lodging(&self, contract: ContractId) -> Result<kernel::AllocationId, Refusal> {
        let not_open = || {
            let text = format!("the peering of contract {contract} is not open here: say ResourceRequest first");
            Refusal::new(Code::Closed, text)
        };
        let allocation = self.tenants.get(&contract).ok_or_else(not_open)?;
        match self.lodgings.get(allocation) {
            Some(Lodging { lodger: Lodger::Tenant(tenant), clearing: None, .. }) if tenant.open => Ok(*allocation),
            _ => Err(not_open()),
        }
    }

    fn serve_deploy(
        &mut self,
        ticket: Ticket,
        contract: ContractId,
        workload: Workload,
        said: Option<Epoch>,
        out: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.try_deploy(ticket, contract, workload, said, out) {
            out.push(reply(ticket, plain(FabricAnswer::Refused(refusal))));
        }
    }

    fn try_deploy(
        &mut self,
        ticket: Ticket,
        contract: ContractId,
        workload: Workload,
        said: Option<Epoch>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let allocation = self.open_lodging(contract)?;
        check::well_formed(&workload)?;
        self.check_runtime(&workload)?;
        let (most, grace) = (self.config.workloads_per_contract, self.config.grace);
        let Some(lodging) = self.lodgings.get_mut(&allocation) else { return Ok(()) };
        let Lodger::Tenant(tenant) = &lodging.lodger else { return Ok(()) };
        let (partition, abroad, name) = (tenant.partition, tenant.abroad, workload.name.clone());
        if lodging.left_since(&name, said) {
            return Err(Refusal::new(Code::Closed, format!("workload '{name}' was undeployed since that was said")));
        }
        if let Some(hosted) = lodging.hosted.get_mut(&name) {
            if hosted.stopping.is_some() {
                let text = format!("workload '{name}' is being stopped");
                return Err(Refusal::new(Code::Unavailable, text).retry_after(grace.divided(10)));
            }
            if *hosted.workload != workload {
                let text = format!("a workload '{name}' with other content runs under this contract");
                return Err(Refusal::new(Code::KeyReused, text));
            }
            hosted.wanted = hosted.wanted.max(said);
            match hosted.status.clone() {
                Some(status) => self.reply_deployed(ticket, status, out),
                None => Self::wait_for_word(hosted, ticket, out),
            }
            return Ok(());
        }
        check::fits(&workload, lodging.others(&name), &partition, most).map_err(|refusal| {
            // Room that is being made is worth waiting for.
            let stopping = lodging.hosted.values().any(|hosted| hosted.stopping.is_some());
            if stopping { refusal.retry_after(grace.divided(10)) } else { refusal }
        })?;
        let workload = Box::new(workload);
        let mut hosted = Hosted::new(workload.clone());
        hosted.wanted = said;
        hosted.waiting.push(ticket);
        lodging.hosted.insert(name.clone(), hosted);
        let instance = Instance { allocation, workload: name };
        out.push(Effect::Start { instance, workload, within: partition, abroad });
        Ok(())
    }

    /// Answers a Deploy with how the instance is, stamped as of this moment.
    pub(crate) fn reply_deployed(&mut self, ticket: Ticket, status: Status, out: &mut Vec<Effect>) {
        let mut answer = plain(FabricAnswer::Deployed(status));
        answer.extensions = stamp::write(self.stamps.next());
        out.push(reply(ticket, answer));
    }

    fn serve_undeploy(
        &mut self,
        ticket: Ticket,
        contract: ContractId,
        name: &str,
        said: Option<Epoch>,
        out: &mut Vec<Effect>,
    ) {
        let allocation = match self.open_lodging(contract) {
            Ok(allocation) => allocation,
            Err(refusal) => return out.push(reply(ticket, plain(FabricAnswer::Refused(refusal)))),
        };
        let instance = Instance { allocation, workload: name.to_owned() };
        let Some(lodging) = self.lodgings.get_mut(&allocation) else { return };
        let hosted = lodging.hosted.get(name);
        // A Deploy that was said after this Undeploy, and came before it, stands.
        let overtaken = said.is_some() && hosted.is_some_and(|hosted| hosted.wanted > said);
        if name.len() <= check::MAX_NAME && !overtaken {
            lodging.note_left(name, said);
        }
        if overtaken || !self.stop_here(&instance, out) {
            out.push(reply(ticket, plain(FabricAnswer::Done)));
            return;
        }
        let Some(stopping) = self.hosted(&instance).and_then(|hosted| hosted.stopping.as_mut()) else { return };
        if let Some(turned) = wait(stopping, ticket) {
            out.push(refuse(turned, Code::Overloaded, "the same was asked again meanwhile"));
        }
    }

    /// As a consumer: a provider says how a replica is.
    fn heard_provider(
        &mut self,
        ticket: Ticket,
        contract: ContractId,
        workload: String,
        status: Status,
        said: Option<Epoch>,
        out: &mut Vec<Effect>,
    ) {
        if !self.peerings.contains_key(&contract) {
            out.push(refuse(ticket, Code::Closed, format!("contract {contract} has no peering here")));
            return;
        }
        match self.names.get(&(Placement::Remote(contract), workload)) {
            Some(&request) => {
                self.heard_status(request, status, said, out);
                out.push(reply(ticket, plain(FabricAnswer::Done)));
            }
            None => out.push(refuse(ticket, Code::NotFound, "no such workload is deployed under this contract")),
        }
    }

    /// The far end closes the peering, whichever end it is; the contract itself ends by RELEASE.
    fn heard_close(&mut self, ticket: Ticket, contract: ContractId, out: &mut Vec<Effect>) {
        if self.peerings.contains_key(&contract) {
            let refusal = Refusal::new(Code::Closed, "the provider has closed the peering");
            self.lose(contract, refusal, out);
        } else if let Ok(allocation) = self.open_lodging(contract) {
            self.stop_all(allocation, out);
        }
        out.push(reply(ticket, plain(FabricAnswer::Done)));
    }
}
