//! Faults: when each strikes, and whom.

use std::collections::BTreeMap;

use kernel::{Rng, Span};

use super::{
    Act, Acted, NodeNo,
    nodes::{Whole, WholeNode, distinct},
};
use crate::scenario::{Fault, Made, Scenario, Trouble, When};

/// Draws all acts, by time; their nodes are those of the whole.
pub(super) fn draw(scenario: &Scenario, mut rng: Rng, whole: &Whole) -> Vec<Acted> {
    let mut acts = Vec::new();
    for (number, fault) in scenario.faults.iter().enumerate() {
        let mut own = rng.fork();
        let struck = struck(scenario, fault, whole);
        let strike = |at: Span, who: &[&[NodeNo]], rng: &mut Rng, acts: &mut Vec<Acted>| {
            let made = make(fault, who, rng).into_iter();
            acts.extend(made.map(|act| Acted { number: 0, at, fault: number, act }));
        };
        let drawn = |rng: &mut Rng| -> Vec<&[NodeNo]> {
            let drawn = distinct(rng, struck.len() as u64, fault.count.into());
            drawn.into_iter().filter_map(|at| struck.get(usize::try_from(at).ok()?)).map(Vec::as_slice).collect()
        };
        match fault.when {
            When::At(at) => {
                let who = drawn(&mut own);
                strike(at, &who, &mut own, &mut acts);
            }
            When::Every(pauses) => {
                let mut at = pauses.draw(&mut own);
                while at < scenario.length {
                    let who = drawn(&mut own);
                    strike(at, &who, &mut own, &mut acts);
                    at = at.plus(pauses.draw(&mut own).max(Span::millis(1)));
                }
            }
            When::Rolling(from, pauses) => {
                let mut at = from;
                for wave in struck.chunks(usize::try_from(fault.count).unwrap_or(usize::MAX).max(1)) {
                    if at >= scenario.length {
                        break;
                    }
                    let who: Vec<&[NodeNo]> = wave.iter().map(Vec::as_slice).collect();
                    strike(at, &who, &mut own, &mut acts);
                    at = at.plus(pauses.draw(&mut own));
                }
            }
        }
    }
    // The sort is stable: of those that strike at once, those of the first fault strike first.
    acts.sort_by_key(|acted: &Acted| acted.at);
    for (number, acted) in (0..).zip(&mut acts) {
        acted.number = number;
    }
    acts
}

/// Says whether a fault may strike a node at all. An issuer can't remove itself.
pub(super) fn may_strike(scenario: &Scenario, fault: &Fault, made: &Made, node: &WholeNode) -> bool {
    let removes = matches!(fault.trouble, Trouble::Remove);
    fault.who.has(scenario, made, node.role, node.number)
        && !(removes && scenario.domains[made.kind].is_issuer(node.role, node.number))
}

/// Returns whom a fault may strike: single nodes, or whole domains.
fn struck(scenario: &Scenario, fault: &Fault, whole: &Whole) -> Vec<Vec<NodeNo>> {
    let needs_offer = matches!(fault.trouble, Trouble::Reprice(_) | Trouble::Withdraw);
    let mut struck = Vec::new();
    let mut domains: BTreeMap<usize, Vec<NodeNo>> = BTreeMap::new();
    let cuts = matches!(fault.trouble, Trouble::Partition | Trouble::Hold) && fault.who.takes_whole_domains();
    for (at, node) in (0..).zip(&whole.nodes) {
        let made = &whole.domains[node.domain];
        if !may_strike(scenario, fault, made, node) || needs_offer && !node.offers {
            continue;
        }
        if cuts {
            domains.entry(node.domain).or_default().push(at);
        } else {
            struck.push(vec![at]);
        }
    }
    struck.extend(domains.into_values());
    struck
}

/// Makes what happens to those who are struck.
fn make(fault: &Fault, who: &[&[NodeNo]], rng: &mut Rng) -> Vec<Act> {
    if who.is_empty() {
        return Vec::new();
    }
    let all = || -> Vec<NodeNo> { who.concat() };
    match &fault.trouble {
        Trouble::Partition => return vec![Act::Partition { side: all(), lasts: fault.lasts.draw(rng) }],
        Trouble::Hold => return vec![Act::Hold { side: all(), lasts: fault.lasts.draw(rng) }],
        Trouble::Line(line) => return vec![Act::Line { nodes: all(), line: *line, lasts: fault.lasts.draw(rng) }],
        Trouble::Crash
        | Trouble::Bounce
        | Trouble::Churn
        | Trouble::Skew(_)
        | Trouble::FullDisk
        | Trouble::SlowDisk(_)
        | Trouble::LostDisk
        | Trouble::Lie(_)
        | Trouble::Upgrade
        | Trouble::Reprice(_)
        | Trouble::Withdraw
        | Trouble::Remove => {}
    }
    who.iter().flat_map(|nodes| nodes.iter()).filter_map(|node| single(fault, *node, rng)).collect()
}

/// Makes what happens to one node, where the fault strikes them one by one.
fn single(fault: &Fault, node: NodeNo, rng: &mut Rng) -> Option<Act> {
    let lasts = fault.lasts.draw(rng);
    Some(match &fault.trouble {
        Trouble::Partition | Trouble::Hold | Trouble::Line(_) => return None,
        Trouble::Crash => Act::Crash { node, back_after: lasts },
        Trouble::Bounce => Act::Bounce { node },
        Trouble::Churn => Act::Leave { node, back_after: lasts },
        Trouble::Skew(by) => {
            let by = i64::try_from(by.draw(rng).0).unwrap_or(i64::MAX);
            Act::Skew { node, ahead: if rng.below(2) == 0 { by } else { -by }, lasts }
        }
        Trouble::FullDisk => Act::FullDisk { node, lasts },
        Trouble::SlowDisk(sync) => Act::SlowDisk { node, sync: *sync, lasts },
        Trouble::LostDisk => Act::LostDisk { node, back_after: lasts },
        Trouble::Lie(percent) => Act::Lie { node, percent: *percent, lasts },
        Trouble::Upgrade => Act::Upgrade { node },
        Trouble::Reprice(by) => {
            let least = 100u64.saturating_sub(*by).max(1);
            Act::Reprice { node, percent: least + rng.below(100 + by - least + 1) }
        }
        Trouble::Withdraw => Act::Withdraw { node, lasts },
        Trouble::Remove => Act::Remove { node },
    })
}

impl Act {
    /// Returns its name, as scenarios have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Hold { .. } => "hold",
            Self::Line { .. } => "line",
            Self::Crash { .. } => "crash",
            Self::Bounce { .. } => "bounce",
            Self::Leave { .. } => "churn",
            Self::Skew { .. } => "skewed-clock",
            Self::FullDisk { .. } => "full-disk",
            Self::SlowDisk { .. } => "slow-disk",
            Self::LostDisk { .. } => "lost-disk",
            Self::Lie { .. } => "liar",
            Self::Upgrade { .. } => "upgrade",
            Self::Reprice { .. } => "reprice",
            Self::Withdraw { .. } => "withdraw",
            Self::Remove { .. } => "remove",
        }
    }

    /// Returns whom it strikes.
    pub fn struck(&self) -> &[NodeNo] {
        match self {
            Self::Partition { side: nodes, .. } | Self::Hold { side: nodes, .. } | Self::Line { nodes, .. } => nodes,
            Self::Crash { node, .. }
            | Self::Bounce { node }
            | Self::Leave { node, .. }
            | Self::Skew { node, .. }
            | Self::FullDisk { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::LostDisk { node, .. }
            | Self::Lie { node, .. }
            | Self::Upgrade { node }
            | Self::Reprice { node, .. }
            | Self::Withdraw { node, .. }
            | Self::Remove { node } => std::slice::from_ref(node),
        }
    }

    /// Returns for how long it lasts; nothing for what is over at once.
    pub const fn lasts(&self) -> Span {
        match self {
            Self::Partition { lasts, .. }
            | Self::Hold { lasts, .. }
            | Self::Line { lasts, .. }
            | Self::Crash { back_after: lasts, .. }
            | Self::Leave { back_after: lasts, .. }
            | Self::Skew { lasts, .. }
            | Self::FullDisk { lasts, .. }
            | Self::SlowDisk { lasts, .. }
            | Self::LostDisk { back_after: lasts, .. }
            | Self::Lie { lasts, .. }
            | Self::Withdraw { lasts, .. } => *lasts,
            Self::Bounce { .. } | Self::Upgrade { .. } | Self::Reprice { .. } | Self::Remove { .. } => Span::ZERO,
        }
    }

    /// Puts others in the place of those whom it strikes.
    pub(super) fn strike(&mut self, others: Vec<NodeNo>) {
        match self {
            Self::Partition { side: nodes, .. } | Self::Hold { side: nodes, .. } | Self::Line { nodes, .. } => {
                *nodes = others;
            }
            Self::Crash { node, .. }
            | Self::Bounce { node }
            | Self::Leave { node, .. }
            | Self::Skew { node, .. }
            | Self::FullDisk { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::LostDisk { node, .. }
            | Self::Lie { node, .. }
            | Self::Upgrade { node }
            | Self::Reprice { node, .. }
            | Self::Withdraw { node, .. }
            | Self::Remove { node } => *node = others.first().copied().unwrap_or(*node),
        }
    }
}
