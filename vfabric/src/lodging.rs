//! What runs on this node under one allocation, and for whom. Plain data, and what follows from it alone.

use std::collections::BTreeMap;

use kernel::{ContractId, NodeId, Resources, Ticket};
use rear_proto::{
    Epoch, Trace,
    workload::{Status, Workload},
};

use crate::timers::Attempt;

/// The most questions that wait for one and the same thing: the asker repeats itself, and only its latest question is
/// still waited for, so what is older can be turned away.
const MAX_WAITING: usize = 4;
/// The most names of which it is remembered when they were undeployed; the oldest goes first.
const MAX_LEFT: usize = 64;

/// One allocation on this node: its lodger, and what runs there.
#[derive(Debug)]
pub(crate) struct Lodging {
    pub(crate) lodger: Lodger,
    pub(crate) hosted: BTreeMap<String, Hosted>,
    /// Whether everything there is to end, and nothing may begin.
    pub(crate) clearing: Option<Clearing>,
    /// When names were undeployed by their customer: a Deploy that was said before comes too late.
    left: BTreeMap<String, Epoch>,
}

/// Whose allocation it is.
#[derive(Debug)]
pub(crate) enum Lodger {
    /// This node's own.
    Own,
    /// A customer's.
    Tenant(Box<Tenant>),
}

/// A customer, and what it may use.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) contract: ContractId,
    pub(crate) customer: NodeId,
    pub(crate) partition: Resources,
    /// Whether what runs for it is for another domain, which must not learn who this node is.
    pub(crate) abroad: bool,
    /// Whether REAR has put the allocation to active.
    pub(crate) open: bool,
    /// Requests for the peering that wait for that.
    pub(crate) waiting: Vec<(Ticket, Trace)>,
}

/// How the clearing of an allocation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clearing {
    pub(crate) since: kernel::Time,
    /// Whether it takes longer than it may.
    pub(crate) stuck: bool,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) workload: Box<Workload>,
    /// How it is; `None` until the runtime has said so.
    pub(crate) status: Option<Status>,
    /// The latest Deploy of it.
    pub(crate) wanted: Option<Epoch>,
    /// Deploys that wait for the runtime's first word.
    pub(crate) waiting: Vec<Ticket>,
    /// Where it is being stopped: the Undeploys that wait.
    pub(crate) stopping: Option<Vec<Ticket>>,
    /// Whether the customer has yet to take note of how it is.
    pub(crate) untold: bool,
    pub(crate) push: Attempt,
    /// Where it is one of this node's own.
    pub(crate) request: Option<kernel::RequestId>,
}

impl Lodging {
    pub(crate) const fn new(lodger: Lodger) -> Self {
        Self { lodger, hosted: BTreeMap::new(), clearing: None, left: BTreeMap::new() }
    }

    /// Returns the customer, where there is one.
    pub(crate) const fn customer(&self) -> Option<NodeId> {
        match &self.lodger {
            Lodger::Own => None,
            Lodger::Tenant(tenant) => Some(tenant.customer),
        }
    }

    /// Returns the contract that it rests on, where it is a customer's.
    pub(crate) const fn contract(&self) -> Option<ContractId> {
        match &self.lodger {
            Lodger::Own => None,
            Lodger::Tenant(tenant) => Some(tenant.contract),
        }
    }

    /// Returns the workloads that are there, with the exception of one name.
    pub(crate) fn others<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Workload> {
        self.hosted.iter().filter(move |(other, _)| *other != name).map(|(_, hosted)| &*hosted.workload)
    }

    /// Notes that a name was undeployed.
    pub(crate) fn note_left(&mut self, name: &str, stamp: Option<Epoch>) {
        let Some(stamp) = stamp else { return };
        let latest = self.left.entry(name.to_owned()).or_insert(stamp);
        *latest = stamp.max(*latest);
        if self.left.len() > MAX_LEFT
            && let Some(oldest) = self.left.iter().min_by_key(|(_, stamp)| **stamp).map(|(name, _)| name.clone())
        {
            self.left.remove(&oldest);
        }
    }

    /// Says whether a name was undeployed after a Deploy of it was said.
    pub(crate) fn left_since(&self, name: &str, stamp: Option<Epoch>) -> bool {
        match (self.left.get(name), stamp) {
            (Some(left), Some(stamp)) => stamp < *left,
            (None, _) | (_, None) => false,
        }
    }
}

/// Lets one more wait, and returns who waited for too long for that, if anybody.
pub(crate) fn wait<T>(waiting: &mut Vec<T>, one_more: T) -> Option<T> {
    waiting.push(one_more);
    (waiting.len() > MAX_WAITING).then(|| waiting.remove(0))
}
