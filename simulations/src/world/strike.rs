//! Faults strike, and end.

use agent::{Command, Event};
use kernel::{Span, Time};
use rear::offer::Offer;
use rear_proto::{Money, Table};

use super::{Due, World, found::Setup};
use crate::{
    observe::Seen,
    plan::{Act, NodeNo},
};

/// Over how much a clock must jump to notice it itself.
const JUMP: u64 = 30_000;

impl World {
    /// A fault of the plan strikes.
    pub(super) fn strike(&mut self, number: u32) {
        let Some(acted) = self.plan.acts.get(number as usize) else { return };
        let act = acted.act.clone();
        self.note(|_| format!("fault {number}: {act:?}"));
        self.trace.mix(super::trace::Mark::Struck, self.now, [number, 0], &[]);
        self.show(&Seen::Struck(&act));
        let ends = |world: &mut Self, lasts| world.after(lasts, Due::End { act: number });
        match act {
            Act::Partition { side, lasts } => {
                self.cut(number, &side, false);
                ends(self, lasts);
            }
            Act::Hold { side, lasts } => {
                self.cut(number, &side, true);
                ends(self, lasts);
            }
            Act::Line { nodes, line, lasts } => {
                nodes.iter().for_each(|node| self.node_mut(*node).line = Some((number, line)));
                ends(self, lasts);
            }
            Act::Crash { node, back_after } => self.crash(node, Some(back_after)),
            Act::Bounce { node } => self.stop_in_order(node, Some(Span::millis(500))),
            Act::Leave { node, back_after } => self.stop_in_order(node, Some(back_after)),
            Act::Skew { node, ahead, lasts } => {
                self.skew(node, ahead);
                ends(self, lasts);
            }
            Act::FullDisk { node, lasts } => {
                self.fill(node, true);
                ends(self, lasts);
            }
            Act::SlowDisk { node, sync, lasts } => {
                self.node_mut(node).disk.sync = Some((number, sync));
                ends(self, lasts);
            }
            Act::LostDisk { node, back_after } => {
                self.crash(node, Some(back_after));
                // Its key and its proof of membership lie elsewhere.
                self.node_mut(node).disk.rows.lose_all_but(Table::Membership);
            }
            Act::Lie { node, percent, lasts } => {
                self.node_mut(node).lies = percent;
                ends(self, lasts);
            }
            Act::Upgrade { node } => {
                self.stop_in_order(node, Some(Span::millis(500)));
                self.node_mut(node).version = 2;
            }
            Act::Reprice { node, percent } => {
                let offers = self.plan.nodes[node as usize].offers.clone();
                for mut offer in offers {
                    offer.price.amount = Money(offer.price.amount.0.saturating_mul(percent) / 100);
                    self.offer(node, offer);
                }
            }
            Act::Withdraw { node, lasts } => {
                for offer in self.plan.nodes[node as usize].offers.clone() {
                    let flavour = offer.flavour(&self.node(node).id);
                    self.command(node, Command::Withdraw(flavour), None);
                }
                ends(self, lasts);
            }
            Act::Remove { node } => self.remove(node, 1),
        }
    }

    /// A fault that lasts is over.
    pub(super) fn end_act(&mut self, number: u32) {
        self.note(|_| format!("fault {number} is over"));
        let Some(acted) = self.plan.acts.get(number as usize) else { return };
        match acted.act.clone() {
            Act::Partition { .. } | Act::Hold { .. } => self.mend(number),
            Act::Line { nodes, .. } => {
                for node in nodes {
                    let line = &mut self.node_mut(node).line;
                    line.take_if(|(act, _)| *act == number);
                }
            }
            Act::Skew { node, .. } => self.skew(node, 0),
            Act::FullDisk { node, .. } => self.fill(node, false),
            Act::SlowDisk { node, .. } => {
                self.node_mut(node).disk.sync.take_if(|(act, _)| *act == number);
            }
            Act::Lie { node, .. } => self.node_mut(node).lies = 0,
            Act::Withdraw { node, .. } => {
                self.plan.nodes[node as usize].offers.clone().into_iter().for_each(|offer| self.offer(node, offer));
            }
            Act::Crash { .. }
            | Act::Bounce { .. }
            | Act::Leave { .. }
            | Act::LostDisk { .. }
            | Act::Upgrade { .. }
            | Act::Reprice { .. }
            | Act::Remove { .. } => {}
        }
    }

    /// All faults end: what happens from here on is what the survivors make of it.
    pub(super) fn heal(&mut self) {
        self.note(|_| "all faults are over".to_owned());
        self.show(&Seen::Healed);
        while let Some(act) = self.cuts.first().map(super::cuts::Cut::act) {
            self.mend(act);
        }
        self.links.inside = calm(self.links.inside);
        self.links.between = calm(self.links.between);
        for node in 0..self.count() {
            let it = self.node_mut(node);
            it.line = None;
            it.lies = 0;
            it.disk.sync = None;
            if it.clock.ahead != 0 {
                self.skew(node, 0);
            }
            if self.node(node).disk.full {
                self.fill(node, false);
            }
        }
    }

    /// A node ends at once, with all that was not synced.
    pub(super) fn crash(&mut self, node: NodeNo, back_after: Option<Span>) {
        if self.node(node).agent.is_none() {
            return;
        }
        let waiting = self.node(node).disk.waiting.len() as u64;
        let kept = self.rng.below(waiting + 1) as usize;
        let seen = self.rng.below(4) > 0;
        self.note(|world| format!("{} crashes, {kept} of {waiting} batches kept", world.name(node)));
        self.lose(node, seen);
        self.died(node, kept, back_after);
    }

    /// A node ends in order: what it has decided is synced first, though nobody hears of it.
    pub(super) fn stop_in_order(&mut self, node: NodeNo, back_after: Option<Span>) {
        if self.node(node).agent.is_none() {
            return;
        }
        self.note(|world| format!("{} is stopped", world.name(node)));
        self.lose(node, true);
        self.died(node, usize::MAX, back_after);
    }

    fn died(&mut self, node: NodeNo, kept: usize, back_after: Option<Span>) {
        let again: Vec<Due> = self.node(node).now.commands.values().filter_map(|setup| setup.and_then(again)).collect();
        self.nodes[node as usize].end(kept, &mut self.shared);
        again.into_iter().for_each(|due| self.after(Span::secs(1), due));
        self.trace.mix(super::trace::Mark::Life, self.now, [node, 0], &[]);
        self.show(&Seen::Died { node });
        match back_after.filter(|after| self.age().plus(*after) < self.plan.length.plus(Span::secs(60))) {
            Some(after) => self.after(after, Due::Birth { node }),
            None => self.node_mut(node).gone = true,
        }
    }

    fn skew(&mut self, node: NodeNo, ahead: i64) {
        let now = self.now;
        let it = self.node_mut(node);
        let by = it.clock.ahead.abs_diff(ahead);
        it.clock.ahead = ahead;
        it.clock.jumped = it.clock.tell(now);
        if by > JUMP {
            self.event(node, Event::ClockJumped);
        }
        self.plan_wake(node);
    }

    fn fill(&mut self, node: NodeNo, full: bool) {
        self.node_mut(node).disk.full = full;
        self.event(node, Event::Storage { ok: !full });
    }

    fn offer(&mut self, node: NodeNo, offer: Offer) {
        self.command(node, Command::Offer(Box::new(offer)), None);
    }

    /// Says whether a node's disk has no room for promises.
    pub fn is_full(&self, node: NodeNo) -> bool {
        self.node(node).disk.full
    }

    /// Returns when a node's clock last jumped, by itself.
    pub fn jumped(&self, node: NodeNo) -> Time {
        self.node(node).clock.jumped
    }
}

/// Returns what a user or an operator says again where a node died without an answer.
const fn again(setup: Setup) -> Option<Due> {
    match setup {
        Setup::Deleted { number } => Some(Due::Delete { number }),
        Setup::Removed { node, tries } => Some(Due::Remove { node, tries }),
        Setup::Invited { .. } | Setup::Accepted { .. } => None,
    }
}

/// A line on which nothing is lost, repeated or overtaken.
fn calm(line: crate::scenario::Line) -> crate::scenario::Line {
    crate::scenario::Line { lost: 0, twice: 0, late: 0, ..line }
}
