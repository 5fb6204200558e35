//! What befalls a world: the acts of a plan, each as what is to be done at its beginning and at its end.

use std::time::Duration;

use kernel::Span;
use simulations::{
    plan::{Act, NodeNo, Plan},
    scenario::Between,
};

/// Something that is due.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Due {
    /// These and all others hear nothing of each other; what is said is lost.
    Cut(Vec<NodeNo>),
    /// They do again.
    Mend(Vec<NodeNo>),
    /// What these and all others say to each other waits.
    Hold(Vec<NodeNo>),
    /// It comes, all of it.
    Release(Vec<NodeNo>),
    /// The lines of these take so long, or as long as ever.
    Slow(Vec<NodeNo>, Option<Between<Span>>),
    /// A node vanishes.
    Crash {
        /// Which.
        node: NodeNo,
        /// Whether its disk forgets all but its membership.
        forgets: bool,
    },
    /// A node ends in order.
    End(NodeNo),
    /// It starts again.
    Start(NodeNo),
    /// Its clock is so many milliseconds ahead.
    Ahead(NodeNo, i64),
    /// Its disk has no room, or has again.
    Full(NodeNo, bool),
    /// Its disk syncs so fast, or as ever.
    Sync(NodeNo, Option<Between<Span>>),
}

/// How long a node that ends in order has for that before it starts again.
const ENDING: Duration = Duration::from_secs(5);

/// All that befalls a world, by time.
pub(crate) struct Strikes {
    /// The latest first.
    due: Vec<(Duration, Due)>,
    /// What of the plan can't be done here.
    pub(crate) left_out: Vec<String>,
}

impl Strikes {
    /// Lists what befalls a world in which a plan begins after `settle`. All is healed at `heal`, at the latest.
    pub(crate) fn new(plan: &Plan, settle: Duration, heal: Duration) -> Self {
        let (mut due, mut left_out) = (Vec::new(), Vec::new());
        for acted in &plan.acts {
            let at = (settle + acted.at.to_std()).min(heal);
            let after = |lasts: &Span| (at + lasts.to_std()).min(heal);
            match &acted.act {
                Act::Partition { side, lasts } => {
                    due.extend([(at, Due::Cut(side.clone())), (after(lasts), Due::Mend(side.clone()))]);
                }
                Act::Hold { side, lasts } => {
                    due.extend([(at, Due::Hold(side.clone())), (after(lasts), Due::Release(side.clone()))]);
                }
                Act::Line { nodes, line, lasts } => {
                    if (line.lost, line.twice, line.late, line.bandwidth) != (0, 0, 0, 0) {
                        left_out.push("loss, repeats, overtaking and bandwidth of a line: TCP hides them".to_owned());
                    }
                    due.push((at, Due::Slow(nodes.clone(), Some(line.latency))));
                    due.push((after(lasts), Due::Slow(nodes.clone(), None)));
                }
                Act::Crash { node, back_after } => {
                    due.push((at, Due::Crash { node: *node, forgets: false }));
                    due.push((after(back_after), Due::Start(*node)));
                }
                Act::LostDisk { node, back_after } => {
                    due.push((at, Due::Crash { node: *node, forgets: true }));
                    due.push((after(back_after), Due::Start(*node)));
                }
                Act::Bounce { node } | Act::Upgrade { node } => {
                    due.extend([(at, Due::End(*node)), (at + ENDING, Due::Start(*node))]);
                }
                Act::Leave { node, back_after } => {
                    due.extend([(at, Due::End(*node)), (after(back_after).max(at + ENDING), Due::Start(*node))]);
                }
                Act::Skew { node, ahead, lasts } => {
                    due.extend([(at, Due::Ahead(*node, *ahead)), (after(lasts), Due::Ahead(*node, 0))]);
                }
                Act::FullDisk { node, lasts } => {
                    due.extend([(at, Due::Full(*node, true)), (after(lasts), Due::Full(*node, false))]);
                }
                Act::SlowDisk { node, sync, lasts } => {
                    due.extend([(at, Due::Sync(*node, Some(*sync))), (after(lasts), Due::Sync(*node, None))]);
                }
                Act::Lie { .. } => left_out.push("lies: what is said here is said by honest nodes".to_owned()),
                Act::Reprice { .. } | Act::Withdraw { .. } => {
                    left_out.push("changes of offers: they are a matter of the mind alone".to_owned());
                }
                Act::Remove { .. } => left_out.push("removals: nobody is an operator here".to_owned()),
            }
        }
        left_out.sort();
        left_out.dedup();
        // Stable, so that what is due at once is done in the plan's order.
        due.sort_by_key(|(at, _)| *at);
        due.reverse();
        Self { due, left_out }
    }

    /// Returns what is due when the world is so old.
    pub(crate) fn due(&mut self, age: Duration) -> Option<Due> {
        let (at, _) = self.due.last()?;
        if *at > age { None } else { self.due.pop().map(|(_, due)| due) }
    }
}
