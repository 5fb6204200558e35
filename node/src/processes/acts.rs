//! What of a plan can be done with processes, and when: everything that lasts is done and undone, each in its time.
//!
//! | act | is |
//! |---|---|
//! | crash | SIGKILL, and a start |
//! | bounce, upgrade | SIGTERM, and a start (of the same program: there is only one) |
//! | leave | SIGTERM, and a start where it comes back |
//! | hold | SIGSTOP and SIGCONT |
//! | partition | SIGSTOP and SIGCONT of the smaller side |
//! | full disk | a small file system is filled; otherwise a restart with a floor that no disk has |
//! | reprice, withdraw | `flavours offer` and `flavours withdraw` |
//!
//! All else is left out, and said to be.

use std::collections::{BTreeMap, BTreeSet};

use kernel::Span;
use rear::offer::Offer;
use rear_proto::price::Money;
use simulations::plan::{Act, Acted, NodeNo, Plan};

use super::keeper::Order;

/// Something that is to be done.
#[derive(Debug, Clone)]
pub(crate) struct Doing {
    /// When.
    pub(crate) at: Span,
    /// What.
    pub(crate) what: What,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A keeper is ordered about.
    Order(usize, Order),
    /// An intent is submitted: which of the plan's arrivals.
    Submit(usize),
    /// It is deleted.
    Delete(usize),
}

/// Returns everything that is to be done, by time; what is done to make good what was done comes even where it is due after
/// the plan's end. What is left out, or done otherwise than its name says, is told in the second, a sentence for each kind.
pub(crate) fn doings(plan: &Plan) -> (Vec<Doing>, Vec<String>) {
    let mut all = Vec::new();
    let mut told: BTreeMap<&'static str, (usize, &'static str)> = BTreeMap::new();
    for (number, arrival) in plan.arrivals.iter().enumerate() {
        all.push(Doing { at: arrival.at, what: What::Submit(number) });
        all.push(Doing { at: arrival.at.plus(arrival.lives), what: What::Delete(number) });
    }
    for acted in &plan.acts {
        let mut orders = Vec::new();
        if let Some((name, why)) = of_act(plan, &acted.act, &mut orders) {
            told.entry(name).or_insert((0, why)).0 += 1;
        }
        for (node, after, order) in orders {
            all.push(Doing {
                at: acted.at.plus(after),
                what: What::Order(usize::try_from(node).unwrap_or(usize::MAX), order),
            });
        }
    }
    all.retain(|doing| match doing.what {
        // Who leaves for longer than the run lasts does not come back; all else is made good at its end.
        What::Order(_, Order::Return) => doing.at < plan.length,
        What::Order(..) => true,
        What::Submit(_) | What::Delete(_) => doing.at < plan.length,
    });
    all.sort_by_key(|doing| doing.at);
    // Who was down or out of room when it was to offer again does so at the end.
    let withdraws = |acted: &Acted| if let Act::Withdraw { node, .. } = acted.act { Some(node) } else { None };
    let withdrawn: BTreeSet<_> = plan.acts.iter().filter_map(withdraws).collect();
    let at = all.last().map_or(plan.length, |last| last.at.max(plan.length));
    all.extend(withdrawn.into_iter().filter_map(|node| {
        let order = Order::Offer(offers(plan, node, 100));
        Some(Doing { at, what: What::Order(usize::try_from(node).ok()?, order) })
    }));
    let told = told.into_iter().map(|(name, (count, why))| format!("{name} ({count}): {why}")).collect();
    (all, told)
}

/// Adds the orders that are an act, each with its node and when after the act; says what there is to say of it.
fn of_act(plan: &Plan, act: &Act, orders: &mut Vec<(NodeNo, Span, Order)>) -> Option<(&'static str, &'static str)> {
    let mut order = |node: NodeNo, after: Span, order: Order| orders.push((node, after, order));
    match act {
        Act::Partition { side, lasts } => {
            let others = (0..).take(plan.nodes.len()).filter(|node| !side.contains(node)).collect::<Vec<_>>();
            let smaller = if side.len() <= others.len() { side } else { &others };
            for node in smaller {
                order(*node, Span::ZERO, Order::Hold);
                order(*node, *lasts, Order::GoOn);
            }
            Some(("partition", "the smaller side stood still for as long"))
        }
        Act::Hold { side, lasts } => {
            for node in side {
                order(*node, Span::ZERO, Order::Hold);
                order(*node, *lasts, Order::GoOn);
            }
            None
        }
        Act::Crash { node, back_after } => {
            order(*node, Span::ZERO, Order::Kill);
            order(*node, *back_after, Order::Start);
            None
        }
        Act::Bounce { node } => {
            order(*node, Span::ZERO, Order::End);
            order(*node, Span::ZERO, Order::Start);
            None
        }
        Act::Upgrade { node } => {
            order(*node, Span::ZERO, Order::End);
            order(*node, Span::ZERO, Order::Start);
            Some(("upgrade", "it was ended and started again, with the same program"))
        }
        Act::Leave { node, back_after } => {
            order(*node, Span::ZERO, Order::End);
            order(*node, *back_after, Order::Return);
            None
        }
        Act::FullDisk { node, lasts } => {
            order(*node, Span::ZERO, Order::Fill);
            order(*node, *lasts, Order::Clear);
            None
        }
        Act::Reprice { node, percent } => {
            order(*node, Span::ZERO, Order::Offer(offers(plan, *node, *percent)));
            None
        }
        Act::Withdraw { node, lasts } => {
            let offers = offers(plan, *node, 100);
            order(*node, Span::ZERO, Order::Withdraw(offers.clone()));
            order(*node, *lasts, Order::Offer(offers));
            None
        }
        Act::Line { .. } => Some(("line", "left out: the loopback has one quality")),
        Act::Skew { .. } => Some(("skew", "left out: all processes have the machine's clock")),
        Act::SlowDisk { .. } => Some(("slow disk", "left out: the disk is as fast as it is")),
        Act::LostDisk { .. } => Some(("lost disk", "left out: a membership can't be kept without the rest")),
        Act::Lie { .. } => Some(("lie", "left out: the program does not lie")),
        Act::Remove { .. } => Some(("remove", "left out: who is out of the domain is not audited here")),
    }
}

/// Returns what a node offers, at so many percent of its price.
fn offers(plan: &Plan, node: NodeNo, percent: u64) -> Vec<Offer> {
    let node = usize::try_from(node).ok().and_then(|node| plan.nodes.get(node));
    let mut offers = node.map(|node| node.offers.clone()).unwrap_or_default();
    for offer in &mut offers {
        offer.price.amount = Money(offer.price.amount.0.saturating_mul(percent) / 100);
    }
    offers
}

#[cfg(test)]
mod tests {
    use rear_proto::membership::Role;
    use simulations::plan::NodePlan;

    use super::*;

    fn plan(acts: Vec<(u64, Act)>) -> Plan {
        let node = |name: &str| NodePlan {
            name: name.to_owned(),
            domain: 0,
            role: Role::Node,
            dials_only: false,
            offers: Vec::new(),
        };
        let acted = |(at, act)| Acted { number: 0, at: Span::secs(at), fault: 0, act };
        Plan {
            domains: Vec::new(),
            nodes: vec![node("a"), node("b"), node("c")],
            partners: Vec::new(),
            arrivals: Vec::new(),
            acts: acts.into_iter().map(acted).collect(),
            length: Span::secs(20),
        }
    }

    fn done(acts: Vec<(u64, Act)>) -> (Vec<(u64, usize, String)>, Vec<String>) {
        let (doings, told) = doings(&plan(acts));
        let shown = doings.into_iter().filter_map(|doing| match doing.what {
            What::Order(node, order) => Some((doing.at.as_secs(), node, format!("{order:?}"))),
            What::Submit(_) | What::Delete(_) => None,
        });
        (shown.collect(), told)
    }

    #[test]
    fn what_lasts_is_undone_even_after_the_end_but_who_leaves_for_longer_stays_away() {
        let lasts = Span::secs(5);
        let (all, told) = done(vec![
            (18, Act::Crash { node: 0, back_after: lasts }),
            (18, Act::Leave { node: 1, back_after: lasts }),
            (3, Act::Hold { side: vec![2], lasts }),
        ]);
        let all: Vec<_> = all.iter().map(|(at, node, order)| (*at, *node, order.as_str())).collect();
        assert_eq!(all, [(3, 2, "Hold"), (8, 2, "GoOn"), (18, 0, "Kill"), (18, 1, "End"), (23, 0, "Start")]);
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn what_can_not_be_done_is_said_and_counted() {
        let lasts = Span::secs(1);
        let (all, told) = done(vec![
            (1, Act::Skew { node: 0, ahead: 5, lasts }),
            (2, Act::Skew { node: 1, ahead: 5, lasts }),
            (3, Act::Lie { node: 1, percent: 5, lasts }),
            (4, Act::Partition { side: vec![0, 1], lasts }),
        ]);
        let all: Vec<_> = all.iter().map(|(at, node, order)| (*at, *node, order.as_str())).collect();
        assert_eq!(all, [(4, 2, "Hold"), (5, 2, "GoOn")], "the smaller side stands still");
        assert!(told.iter().any(|it| it.starts_with("skew (2): left out")), "{told:?}");
        assert_eq!(told.len(), 3, "{told:?}");
    }
}
