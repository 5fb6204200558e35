//! Every intent comes to a stated state within its bound: it runs, it is refused or failed with a reason, or it is gone.

use std::collections::{BTreeMap, BTreeSet};

use agent::{Batch, Output, Watch};
use kernel::{IntentId, Span, Time};
use orchestrator::Phase;
use rear_proto::Table;

use super::{Checked, wrong};
use crate::{plan::NodeNo, scenario::Scenario, world::World};

/// How long an intent may look for a place: two rounds of asking around, some seconds each, and sixteen candidates of
/// which each may stay silent until its deadline.
const STATED_WITHIN: Span = Span::secs(180);
/// How long deleting may take: workloads are stopped, and killed after a grace; a far end may have to be given up.
const DELETED_WITHIN: Span = Span::secs(180);

/// The intents of the world.
#[derive(Debug)]
pub(super) struct Liveness {
    stated_within: Span,
    intents: BTreeMap<IntentId, Followed>,
    /// When each must be in a stated state, by the world's time.
    due: BTreeSet<(Time, IntentId)>,
}

#[derive(Debug)]
struct Followed {
    node: NodeNo,
    deleted: bool,
    /// Whether its node has taken it in, and may forget it only by a crash that comes before it is on the disk.
    known: bool,
    due: Option<Time>,
}

impl Liveness {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let stated_within = scenario.hold.stated_within.unwrap_or(STATED_WITHIN);
        Self { stated_within, intents: BTreeMap::new(), due: BTreeSet::new() }
    }

    pub(super) fn submitted(&mut self, world: &World, node: NodeNo, intent: IntentId) {
        let due = world.now() + self.stated_within;
        self.intents.insert(intent, Followed { node, deleted: false, known: false, due: Some(due) });
        self.due.insert((due, intent));
    }

    pub(super) fn deleted(&mut self, world: &World, _node: NodeNo, intent: IntentId) {
        if let Some(followed) = self.intents.get_mut(&intent) {
            followed.deleted = true;
            let due = world.now() + DELETED_WITHIN;
            Self::plan(&mut self.due, followed, intent, Some(due));
        }
    }

    fn plan(all: &mut BTreeSet<(Time, IntentId)>, followed: &mut Followed, intent: IntentId, due: Option<Time>) {
        if let Some(before) = std::mem::replace(&mut followed.due, due) {
            all.remove(&(before, intent));
        }
        all.extend(due.map(|due| (due, intent)));
    }

    pub(super) fn died(&mut self, node: NodeNo) {
        for (intent, followed) in self.intents.iter_mut().filter(|(_, it)| it.node == node) {
            followed.known = false;
            Self::plan(&mut self.due, followed, *intent, None);
        }
    }

    pub(super) fn born(&mut self, world: &World, node: NodeNo) -> Checked {
        let disk = world.disk(node);
        let mut of_it = Vec::new();
        for (intent, followed) in self.intents.iter_mut().filter(|(_, it)| it.node == node) {
            followed.known = disk.has(Table::Intents, &intent.0);
            of_it.push(*intent);
        }
        of_it.into_iter().try_for_each(|intent| self.look(world, intent))
    }

    /// After an event: on the intents that changed.
    pub(super) fn settled(&mut self, world: &World, _node: NodeNo, batch: &Batch) -> Checked {
        for output in &batch.outputs {
            if let Output::Changed(Watch::Intent(intent)) = output {
                self.look(world, *intent)?;
                self.check_pursued(world, intent)?;
            }
        }
        Ok(())
    }

    /// Each replica of an intent that goes on has a place, or one is looked for, now or later.
    fn check_pursued(&self, world: &World, intent: &IntentId) -> Checked {
        let Some(followed) = self.intents.get(intent).filter(|it| !it.deleted && it.due.is_some()) else {
            return Ok(());
        };
        let workloads = world.managers(followed.node).map(|managers| managers.orchestrator.workloads(intent));
        let gone = workloads.into_iter().flatten().find(|workload| workload.status == "Gone");
        gone.map_or(Ok(()), |workload| {
            wrong(
                "liveness",
                followed.node,
                format!("{} of intent {intent} has no place, and none is looked for", workload.name),
            )
        })
    }

    fn look(&mut self, world: &World, intent: IntentId) -> Checked {
        let Some(followed) = self.intents.get_mut(&intent) else { return Ok(()) };
        let phase = world.managers(followed.node).and_then(|managers| managers.orchestrator.phase(&intent));
        if phase.is_none() && followed.known && !followed.deleted {
            return wrong("liveness", followed.node, format!("intent {intent} is forgotten, and nobody deleted it"));
        }
        followed.known |= phase.is_some();
        let (now, within) = (world.now(), if followed.deleted { DELETED_WITHIN } else { self.stated_within });
        if is_stated(phase, followed.deleted) {
            Self::plan(&mut self.due, followed, intent, None);
            if matches!(phase, None | Some(Phase::Deleted)) {
                self.intents.remove(&intent);
            }
        } else if followed.due.is_none() {
            Self::plan(&mut self.due, followed, intent, Some(now + within));
        }
        Ok(())
    }

    /// Those whose time is over.
    pub(super) fn sweep(&mut self, world: &World) -> Checked {
        while let Some(&(due, intent)) = self.due.first().filter(|(due, _)| *due <= world.now()) {
            self.due.remove(&(due, intent));
            let Some(followed) = self.intents.get_mut(&intent) else { continue };
            followed.due = None;
            let node = followed.node;
            let Some(managers) = world.managers(node) else { continue };
            let phase = managers.orchestrator.phase(&intent);
            if !is_stated(phase, followed.deleted) {
                let what = if followed.deleted { "it was deleted" } else { "it was submitted, or lost its place" };
                let phase = phase.map_or("unknown", Phase::name);
                return wrong("liveness", node, format!("intent {intent} is {phase}, long after {what}"));
            }
        }
        Ok(())
    }
}

/// Says whether an intent need not go on from here: it runs, or it never will. One that is not known was never kept.
fn is_stated(phase: Option<Phase>, deleted: bool) -> bool {
    match phase {
        None | Some(Phase::Deleted) => true,
        Some(Phase::Running | Phase::Failed) => !deleted,
        Some(Phase::Pending | Phase::Discovering | Phase::Reserving | Phase::Peering | Phase::Deploying) => false,
    }
}
