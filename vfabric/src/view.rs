//! What the tables show.

use kernel::{AllocationId, ContractId, NodeId, Time};
use rear_proto::{local::Side, workload::Status};

use crate::{lodging::Lodger, mail::Instance, manager::Manager, peering::Phase};

/// A peering, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringView {
    /// The contract that it rests on.
    pub contract: ContractId,
    /// The allocation, here.
    pub allocation: AllocationId,
    /// The other party.
    pub peer: NodeId,
    /// Which end this node is.
    pub side: Side,
    /// How far it is.
    pub state: PeeringState,
}

/// How far a peering is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeeringState {
    /// It is being opened.
    Opening,
    /// Workloads may run.
    Open,
    /// It was open, and is being opened again.
    Reopening,
    /// It is over, though its contract is not yet.
    Lost,
    /// What runs under it is being stopped.
    Closing,
}

/// An instance on this node, as the table shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadView {
    /// Which instance.
    pub instance: Instance,
    /// The contract that it runs under; `None` for the node's own.
    pub contract: Option<ContractId>,
    /// How it is; `None` until the runtime has said so.
    pub status: Option<Status>,
    /// Whether it is being stopped.
    pub stopping: bool,
}

/// An allocation that does not get clear: the runtime does not say that its workloads are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckView {
    /// Which allocation; its capacity stays withheld.
    pub allocation: AllocationId,
    /// Since when it should be clear.
    pub since: Time,
    /// The workloads that are still there.
    pub workloads: Vec<String>,
}

impl Manager {
    /// Returns the peerings: first those of this node as a consumer, then as a provider.
    pub fn peerings(&self) -> impl Iterator<Item = PeeringView> {
        let consumed = self.peerings.iter().map(|(contract, peering)| PeeringView {
            contract: *contract,
            allocation: peering.allocation,
            peer: peering.provider,
            side: Side::Consumer,
            state: match peering.phase {
                Phase::Opening(_) => PeeringState::Opening,
                Phase::Open => PeeringState::Open,
                Phase::Reopening(_) => PeeringState::Reopening,
                Phase::Lost => PeeringState::Lost,
            },
        });
        let provided = self.lodgings.iter().filter_map(|(allocation, lodging)| match &lodging.lodger {
            Lodger::Own => None,
            Lodger::Tenant(tenant) => Some(PeeringView {
                contract: tenant.contract,
                allocation: *allocation,
                peer: tenant.customer,
                side: Side::Provider,
                state: match (lodging.clearing, tenant.open) {
                    (Some(_), _) => PeeringState::Closing,
                    (None, true) => PeeringState::Open,
                    (None, false) => PeeringState::Opening,
                },
            }),
        });
        consumed.chain(provided)
    }

    /// Returns the instances on this node.
    pub fn workloads(&self) -> impl Iterator<Item = WorkloadView> {
        self.lodgings.iter().flat_map(|(allocation, lodging)| {
            lodging.hosted.iter().map(|(workload, hosted)| WorkloadView {
                instance: Instance { allocation: *allocation, workload: workload.clone() },
                contract: lodging.contract(),
                status: hosted.status.clone(),
                stopping: hosted.stopping.is_some(),
            })
        })
    }

    /// Returns the instance of a workload that a customer runs here under a contract, for streams to its ports.
    pub fn instance_of(&self, contract: &ContractId, workload: &str) -> Option<Instance> {
        let allocation = *self.tenants.get(contract)?;
        let hosted = &self.lodgings.get(&allocation)?.hosted;
        hosted.contains_key(workload).then(|| Instance { allocation, workload: workload.to_owned() })
    }

    /// Returns the allocations that do not get clear, for `doctor`.
    pub fn stuck(&self) -> impl Iterator<Item = StuckView> {
        self.lodgings.iter().filter_map(|(allocation, lodging)| {
            let clearing = lodging.clearing.filter(|clearing| clearing.stuck)?;
            let workloads = lodging.hosted.keys().cloned().collect();
            Some(StuckView { allocation: *allocation, since: clearing.since, workloads })
        })
    }
}
