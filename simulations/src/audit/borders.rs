//! What leaves a supernode for another domain is what its domain, and whoever it has it from, shows to that one.

use std::collections::BTreeMap;

use agent::Output;
use kernel::{FlavourId, Ticket};
use rear_proto::{Answer, Flavour, message::Offered};

use super::{Checked, wrong};
use crate::{
    plan::{DomainNo, NodeNo},
    world::World,
};

/// Over how many borders an offer may have come.
const MOST_BORDERS: u32 = 8;

/// What may cross borders.
#[derive(Debug, Default)]
pub(super) struct Borders {
    /// Whose flavour each origin is.
    origins: BTreeMap<FlavourId, NodeNo>,
    /// Of which domain who waits for each answer is, where it is another.
    foreign: BTreeMap<(NodeNo, Ticket), DomainNo>,
}

impl Borders {
    pub(super) fn born(&mut self, world: &World, node: NodeNo) {
        let flavours = world.managers(node).into_iter().flat_map(|managers| managers.rear.flavours());
        self.origins.extend(flavours.map(|flavour| (flavour.origin, node)));
    }

    pub(super) fn died(&mut self, node: NodeNo) {
        self.foreign.retain(|(at, _), _| *at != node);
    }

    pub(super) fn asked(&mut self, node: NodeNo, from: NodeNo, ticket: Ticket, world: &World) {
        if world.domain(from) != world.domain(node) {
            self.foreign.insert((node, ticket), world.domain(from));
        }
    }

    /// Looks at what leaves.
    pub(super) fn left(&mut self, world: &World, node: NodeNo, output: &Output) -> Checked {
        let Output::Reply { ticket, reply } = output else { return Ok(()) };
        let Some(viewer) = self.foreign.remove(&(node, *ticket)) else { return Ok(()) };
        match &reply.answer {
            Answer::Flavours(found) => self.check(world, node, viewer, &found.flavours),
            Answer::Snapshot(snapshot) => {
                let direct = snapshot.offers.iter().filter_map(|offered| match offered {
                    Offered::Direct(flavour) => Some((**flavour).clone()),
                    Offered::Signed(_) => None,
                });
                self.check(world, node, viewer, &direct.collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }

    fn check(&self, world: &World, node: NodeNo, viewer: DomainNo, flavours: &[Flavour]) -> Checked {
        for flavour in flavours {
            let Some(&owner) = self.origins.get(&flavour.origin) else { continue };
            if !shows(world, world.domain(node), viewer, owner, MOST_BORDERS) {
                let (name, to) = (world.name(owner), &world.plan().domains[viewer as usize].name);
                return wrong("invariant 5", node, format!("it shows {to} flavour {} of {name}", flavour.id));
            }
        }
        Ok(())
    }
}

/// Says whether a domain shows a node's offers to another domain, by its settings and those of whom it has them from.
fn shows(world: &World, by: DomainNo, to: DomainNo, owner: NodeNo, hops: u32) -> bool {
    let plan = world.plan();
    let are_partners = |a: DomainNo, b: DomainNo| plan.partners.contains(&(a.min(b), a.max(b)));
    if hops == 0 || by == to || !are_partners(by, to) {
        return false;
    }
    let (name, own) = (&plan.domains[to as usize].name, world.domain(owner) == by);
    let mut rules = plan.domains[by as usize].config.discovery.expose.iter();
    let has_rule = rules.any(|rule| rule.is_for(name) && (own || rule.resale));
    let mut others = 0..plan.domains.len() as DomainNo;
    has_rule && (own || others.any(|from| from != to && shows(world, from, by, owner, hops - 1)))
}
