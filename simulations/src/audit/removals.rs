//! Who was removed from a domain: whoever knows of it has nothing to do with that node any more, and whoever is in touch
//! with somebody who knows of it soon knows, too.
//!
//! The removed node itself is told nothing. What it had ends with its leases, as with a party that is lost.

use std::collections::{BTreeMap, BTreeSet};

use agent::{Batch, Managers, Output};
use contract::ReservationState;
use kernel::{NodeId, Span, Time};
use rear_proto::{Answer, Order, Request, Table};

use super::{Checked, wrong};
use crate::{
    plan::{Act, DomainNo, NodeNo},
    world::World,
};

/// How long somebody may be in touch with one who knows without knowing: a lost HELLO is said again within half a
/// minute. On good lines it takes less than a second.
const KNOWN_WITHIN: Span = Span::secs(60);

/// The removals of a world.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// Whom operators have removed, or are trying to.
    struck: BTreeMap<DomainNo, BTreeSet<NodeNo>>,
    /// Since when somebody has been in touch with one who knows of a removal that he does not know of.
    ignorant: BTreeMap<(NodeNo, NodeNo), Time>,
}

impl Removals {
    pub(super) fn struck(&mut self, world: &World, act: &Act) {
        if let Act::Remove { node } = act {
            self.struck.entry(world.domain(*node)).or_default().insert(*node);
        }
    }

    /// After an event at a node: on what it does with those of whom it knows that they were removed.
    pub(super) fn settled(&self, world: &World, node: NodeNo, batch: &Batch) -> Checked {
        let Some(managers) = world.managers(node) else { return Ok(()) };
        for removed in self.known(world, node, managers) {
            let id = world.id(removed);
            if let Some(what) = batch.outputs.iter().find_map(|output| dealing(output, &id)) {
                return wrong(
                    "removal",
                    node,
                    format!("it {what} {}, which it knows to be removed", world.name(removed)),
                );
            }
            let dealt = |table| matches!(table, Table::Contracts | Table::Reservations | Table::Renewals);
            // Of a removal it learns by a row of its membership.
            if batch.rows.iter().any(|row| dealt(row.table) || row.table == Table::Membership) {
                check_ended(world, node, managers, removed)?;
            }
        }
        Ok(())
    }

    /// Returns whom a node knows to be removed.
    fn known(&self, world: &World, node: NodeNo, managers: &Managers) -> impl Iterator<Item = NodeNo> {
        let struck = self.struck.get(&world.domain(node)).into_iter().flatten();
        struck.copied().filter(move |removed| *removed != node && managers.federation.is_revoked(&world.id(*removed)))
    }

    /// Who is in touch with somebody who knows is told.
    pub(super) fn sweep(&mut self, world: &World) -> Checked {
        let mut ignorant = BTreeSet::new();
        for (&domain, struck) in &self.struck {
            let members: Vec<NodeNo> = members(world, domain, struck).collect();
            for &removed in struck {
                let (knowing, others): (Vec<NodeNo>, Vec<NodeNo>) =
                    members.iter().copied().partition(|node| knows(world, *node, removed));
                let told =
                    others.into_iter().filter(|node| knowing.iter().any(|other| world.are_in_touch(*node, *other)));
                ignorant.extend(told.map(|node| (node, removed)));
                for node in knowing {
                    let Some(managers) = world.managers(node) else { continue };
                    check_ended(world, node, managers, removed)?;
                }
            }
        }
        self.ignorant.retain(|what, _| ignorant.contains(what));
        for what @ (node, removed) in ignorant {
            let since = *self.ignorant.entry(what).or_insert(world.now());
            if world.now().since(since) > KNOWN_WITHIN {
                let name = world.name(removed);
                let detail = format!("for over {KNOWN_WITHIN} it has not heard from who knows that {name} was removed");
                return wrong("invariant 7", node, detail);
            }
        }
        Ok(())
    }

    /// When all is quiet, all members of a domain know of all removals, and nobody has a connection with who was removed.
    pub(super) fn check_quiet(&self, world: &World) -> Checked {
        for (&domain, struck) in &self.struck {
            for node in members(world, domain, struck) {
                for &removed in struck {
                    let name = world.name(removed);
                    if !knows(world, node, removed) {
                        return wrong("invariant 7", node, format!("it does not know that {name} was removed"));
                    }
                    if world.are_in_touch(node, removed) {
                        return wrong("removal", node, format!("it is still connected to {name}, which was removed"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the nodes of a domain that are up and that nobody wants to be removed.
fn members(world: &World, domain: DomainNo, struck: &BTreeSet<NodeNo>) -> impl Iterator<Item = NodeNo> {
    let of_it = (0..world.count()).filter(move |node| world.domain(*node) == domain && world.managers(*node).is_some());
    of_it.filter(|node| !struck.contains(node))
}

fn knows(world: &World, node: NodeNo, removed: NodeNo) -> bool {
    world.managers(node).is_some_and(|managers| managers.federation.is_revoked(&world.id(removed)))
}

/// Says what is offered to, asked of or promised to a node in this, if anything is.
fn dealing(output: &Output, with: &NodeId) -> Option<&'static str> {
    let buys = |order: Option<&Order>| order.is_some_and(|order| order.buyer == *with);
    match output {
        Output::Ask { to, body, .. } if to.node == *with => match &body.request {
            Request::Reserve(_) | Request::Purchase(_) | Request::Renew(_) => Some("orders of"),
            Request::List(_) | Request::Subscribe(_) => Some("asks for offers of"),
            _ => None,
        },
        Output::Reply { reply, .. } => match &reply.answer {
            Answer::Contract(signed) => buys(signed.claimed()?.order.claimed()).then_some("sells to"),
            Answer::Reserved(signed) => buys(signed.claimed()?.order.claimed()).then_some("holds for"),
            Answer::Flavours(found) => {
                found.flavours.iter().any(|flavour| flavour.provider.node == *with).then_some("shows offers of")
            }
            _ => None,
        },
        _ => None,
    }
}

/// What was agreed with a removed node has ended at who knows of that.
fn check_ended(world: &World, node: NodeNo, managers: &Managers, removed: NodeNo) -> Checked {
    let (id, name) = (world.id(removed), world.name(removed));
    let mut live = managers.contract.contracts().filter(|it| it.state.is_live());
    if let Some(contract) = live.find(|it| it.buyer == id || it.seller == id) {
        return wrong("removal", node, format!("contract {} with {name} lives, which was removed", contract.id));
    }
    let mut held = managers.contract.reservations(world.clock(node)).filter(|it| it.state == ReservationState::Held);
    if let Some(hold) = held.find(|it| it.buyer == id || it.seller == id) {
        return wrong("removal", node, format!("hold {} of {name} stands, which was removed", hold.id));
    }
    Ok(())
}
