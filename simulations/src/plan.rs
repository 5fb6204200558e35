//! Plans: a scenario and a seed become nodes, arrivals and acts, each with its time, before anything runs.
//!
//! All three rungs act out the same plan. It is a list, so a search can leave parts of it out and see whether what went
//! wrong still does: intents and acts keep the numbers that they have in the whole plan, whatever is left out.
//!
//! ```text
//! seed ─┬─► domain by domain, node by node ─► what each offers      (plan/nodes.rs)
//!       ├─► load by load ─► when an intent comes, where, how large  (plan/arrivals.rs)
//!       └─► fault by fault ─► when it strikes, and whom             (plan/acts.rs)
//! ```
//! Each part draws from a generator of its own, so that less of one redraws nothing of the others.

mod acts;
mod arrivals;
mod nodes;
mod trim;

use kernel::{Resources, Rng, Span};
use rear::offer::Offer;
use rear_proto::membership::Role;

use crate::scenario::{Between, Line, Scenario, Where};

pub use arrivals::COMPONENT;
pub use nodes::machine;

/// A node of a plan, by its place in [`Plan::nodes`].
pub type NodeNo = u32;
/// A domain of a plan, by its place in [`Plan::domains`].
pub type DomainNo = u32;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The domains.
    pub domains: Vec<DomainPlan>,
    /// The nodes, domain by domain; in each the supernodes first, then the catalogues, then the others.
    pub nodes: Vec<NodePlan>,
    /// Which domains are partners, the smaller first.
    pub partners: Vec<(DomainNo, DomainNo)>,
    /// The intents, by time.
    pub arrivals: Vec<Arrival>,
    /// The faults, by time.
    pub acts: Vec<Acted>,
    /// For how long intents come and faults strike.
    pub length: Span,
}

/// A domain.
#[derive(Debug, Clone)]
pub struct DomainPlan {
    /// Its name.
    pub name: String,
    /// The settings of its nodes.
    pub config: agent::Config,
}

/// A node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Its name: `alpha-2/s1` for a supernode, `alpha-2/k1` for a catalogue, `alpha-2/3` for another.
    pub name: String,
    /// Its domain.
    pub domain: DomainNo,
    /// What it is there.
    pub role: Role,
    /// Whether nobody can dial it.
    pub dials_only: bool,
    /// What it offers.
    pub offers: Vec<Offer>,
}

/// An intent that comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Its place in the whole plan, which a [`Trim`] names.
    pub number: u32,
    /// When.
    pub at: Span,
    /// Where.
    pub node: NodeNo,
    /// How many replicas.
    pub replicas: u32,
    /// What each needs.
    pub need: Resources,
    /// For how long contracts are made.
    pub term: Span,
    /// After which time it is deleted.
    pub lives: Span,
    /// The most that a replica may cost for an hour, in millionths of a euro.
    pub ceiling: Option<u64>,
    /// Where it may run.
    pub place: Where,
}

/// A fault that strikes.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// Its place in the whole plan, which a [`Trim`] names.
    pub number: u32,
    /// When.
    pub at: Span,
    /// Which fault of the scenario it comes from, counted from 0.
    pub fault: usize,
    /// What happens.
    pub act: Act,
}

/// What happens to whom. What lasts ends by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// These nodes and all others can't hear each other for a while; what is said meanwhile is lost.
    Partition {
        /// The nodes on one side.
        side: Vec<NodeNo>,
        /// For how long.
        lasts: Span,
    },
    /// The same, but what is said meanwhile comes when it is over.
    Hold {
        /// The nodes on one side.
        side: Vec<NodeNo>,
        /// For how long.
        lasts: Span,
    },
    /// The lines from and to these nodes are like this for a while.
    Line {
        /// The nodes.
        nodes: Vec<NodeNo>,
        /// What the lines are like.
        line: Line,
        /// For how long.
        lasts: Span,
    },
    /// A node crashes, what it had not synced is lost or torn off somewhere, and it is back after a while.
    Crash {
        /// Which.
        node: NodeNo,
        /// After which time it is back.
        back_after: Span,
    },
    /// A node ends in order, so that everything is synced, and starts again at once.
    Bounce {
        /// Which.
        node: NodeNo,
    },
    /// A node ends in order, and is back after a while; beyond the run's end, never.
    Leave {
        /// Which.
        node: NodeNo,
        /// After which time it is back.
        back_after: Span,
    },
    /// A node's clock is off for a while.
    Skew {
        /// Which.
        node: NodeNo,
        /// By how many milliseconds it is ahead; below 0 it is behind.
        ahead: i64,
        /// For how long.
        lasts: Span,
    },
    /// A node's disk has no room for promises for a while.
    FullDisk {
        /// Which.
        node: NodeNo,
        /// For how long.
        lasts: Span,
    },
    /// A node's disk takes longer to sync for a while.
    SlowDisk {
        /// Which.
        node: NodeNo,
        /// How long a sync takes.
        sync: Between<Span>,
        /// For how long.
        lasts: Span,
    },
    /// A node crashes, and its disk has forgotten all but its membership.
    LostDisk {
        /// Which.
        node: NodeNo,
        /// After which time it is back.
        back_after: Span,
    },
    /// A node answers something else than the truth, so many times of a hundred, for a while.
    Lie {
        /// Which.
        node: NodeNo,
        /// So many of a hundred.
        percent: u64,
        /// For how long.
        lasts: Span,
    },
    /// A node is ended and started again with the next version of the program.
    Upgrade {
        /// Which.
        node: NodeNo,
    },
    /// A node changes its prices to so many percent of what they were at first.
    Reprice {
        /// Which.
        node: NodeNo,
        /// So many percent.
        percent: u64,
    },
    /// A node withdraws what it offers for a while.
    Withdraw {
        /// Which.
        node: NodeNo,
        /// For how long.
        lasts: Span,
    },
    /// The operator of a node's domain removes it there, for good; he says so again where the issuer is down.
    Remove {
        /// Which.
        node: NodeNo,
    },
}

/// What of a scenario is left out of a run: what a search has found not to matter.
///
/// The numbers of acts and arrivals are those of the whole plan, [`Acted::number`] and [`Arrival::number`]: they stay
/// the same whatever else is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trim {
    /// How many nodes there are in all, at the most; those of each domain become fewer in proportion, and domains of one
    /// kind fewer when that is not enough. One domain of each kind stays, with a supernode and two nodes where it has
    /// them. Intents that come to nodes that are left out, and faults that were drawn for them alone, are left out too.
    pub nodes: Option<u32>,
    /// For how long it runs.
    pub length: Option<Span>,
    /// Which acts strike; all where nothing is said.
    pub acts: Option<Vec<u32>>,
    /// Which intents come; all where nothing is said.
    pub arrivals: Option<Vec<u32>>,
}

/// A plan that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub String);

impl Plan {
    /// Makes the plan of a scenario for a seed.
    ///
    /// # Errors
    /// What the scenario asks for and can't have, such as a node that it does not make.
    pub fn new(scenario: &Scenario, seed: u64, trim: &Trim) -> Result<Self, PlanError> {
        scenario.check().map_err(|wrong| PlanError(wrong.to_string()))?;
        let mut rng = Rng::from_number(seed);
        let (nodes, partners, load, faults) = (rng.fork(), rng.fork(), rng.fork(), rng.fork());
        let whole = nodes::whole(scenario);
        let kept = trim::keep(scenario, &whole, trim.nodes);
        let length = trim.length.map_or(scenario.length, |length| length.min(scenario.length));
        let arrivals = arrivals::draw(scenario, load, &whole);
        let acts = acts::draw(scenario, faults, &whole);
        Ok(Self {
            domains: nodes::domains(scenario, &whole, &kept),
            nodes: nodes::make(scenario, nodes, &whole, &kept),
            partners: nodes::partners(scenario, partners, &whole, &kept),
            arrivals: trim::arrivals(arrivals, &kept, length, trim),
            acts: trim::acts(acts, scenario, &whole, &kept, length, trim),
            length,
        })
    }

    /// Returns the name of a node's domain; nothing for a node that is not in the plan.
    pub fn domain_of(&self, node: NodeNo) -> &str {
        let node = usize::try_from(node).ok().and_then(|node| self.nodes.get(node));
        let domain = node.and_then(|node| self.domains.get(usize::try_from(node.domain).ok()?));
        domain.map_or("", |domain| &domain.name)
    }
}

#[cfg(test)]
mod tests;
