//! What befell the world, as a list that a plot can show behind its curves.

use kernel::Span;

use crate::{
    outcome::FaultMeasures,
    plan::{Act, NodeNo},
    scenario::Line,
    world::World,
};

/// The most faults that are listed: more than a plot can show apart.
const MOST: usize = 2000;

/// What befell the world.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<FaultMeasures>,
}

impl Faults {
    /// Takes one down.
    pub(super) fn add(&mut self, world: &World, act: &Act) {
        if self.list.len() >= MOST {
            return;
        }
        let (kind, nodes, lasts) = told(act);
        let name = |node: &NodeNo| world.plan().nodes.get(*node as usize).map(|node| node.name.clone());
        self.list.push(FaultMeasures {
            kind,
            at: world.age(),
            lasts,
            nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
            node: nodes.first().and_then(name).unwrap_or_default(),
        });
    }

    pub(super) fn into_vec(self) -> Vec<FaultMeasures> {
        self.list
    }
}

/// Returns what an act is called in scenarios, whom it strikes, and for how long.
const fn told(act: &Act) -> (&'static str, &[NodeNo], Span) {
    use std::slice::from_ref;
    match act {
        Act::Partition { side, lasts } => ("partition", side.as_slice(), *lasts),
        Act::Hold { side, lasts } => ("hold", side.as_slice(), *lasts),
        Act::Line { nodes, line, lasts } => (of_line(line), nodes.as_slice(), *lasts),
        Act::Crash { node, back_after } => ("crash", from_ref(node), *back_after),
        Act::Bounce { node } => ("bounce", from_ref(node), Span::ZERO),
        Act::Leave { node, back_after } => ("churn", from_ref(node), *back_after),
        Act::Skew { node, lasts, .. } => ("skew", from_ref(node), *lasts),
        Act::FullDisk { node, lasts } => ("full-disk", from_ref(node), *lasts),
        Act::SlowDisk { node, lasts, .. } => ("slow-disk", from_ref(node), *lasts),
        Act::LostDisk { node, back_after } => ("lost-disk", from_ref(node), *back_after),
        Act::Lie { node, lasts, .. } => ("liar", from_ref(node), *lasts),
        Act::Upgrade { node } => ("upgrade", from_ref(node), Span::ZERO),
        Act::Reprice { node, .. } => ("reprice", from_ref(node), Span::ZERO),
        Act::Withdraw { node, lasts } => ("withdraw", from_ref(node), *lasts),
        Act::Remove { node } => ("remove", from_ref(node), Span::ZERO),
    }
}

const fn of_line(line: &Line) -> &'static str {
    if line.lost > 0 {
        "lossy"
    } else if line.twice > 0 {
        "duplicate"
    } else if line.late > 0 {
        "reorder"
    } else {
        "slow"
    }
}
