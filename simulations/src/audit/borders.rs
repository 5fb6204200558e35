//! What leaves a supernode for another domain is what its domain, and whoever it has it from, shows to that one.

use std::collections::{BTreeMap, BTreeSet};

use agent::Output;
use kernel::{FlavourId, Ticket};
use rear_proto::{Answer, Flavour, message::Offered};

use super::{Checked, wrong};
use crate::{
    plan::{DomainNo, NodeNo},
    world::World,
};

/// What may cross borders.
#[derive(Debug, Default)]
pub(super) struct Borders {
    /// Whose flavour each origin is.
    origins: BTreeMap<FlavourId, NodeNo>,
    /// Of which domain who waits for each answer is, where it is another.
    foreign: BTreeMap<(NodeNo, Ticket), DomainNo>,
    /// Which domain shows which other what a domain has, for each of those that were looked at; settings don't change.
    shown: BTreeMap<DomainNo, BTreeSet<(DomainNo, DomainNo)>>,
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

    fn check(&mut self, world: &World, node: NodeNo, viewer: DomainNo, flavours: &[Flavour]) -> Checked {
        for flavour in flavours {
            let Some(&owner) = self.origins.get(&flavour.origin) else { continue };
            let home = world.domain(owner);
            let shown = self.shown.entry(home).or_insert_with(|| shown(world, home));
            if !shown.contains(&(world.domain(node), viewer)) {
                let (name, to) = (world.name(owner), &world.plan().domains[viewer as usize].name);
                return wrong("invariant 5", node, format!("it shows {to} flavour {} of {name}", flavour.id));
            }
        }
        Ok(())
    }
}

/// Returns which domain shows which other what a domain has, by its settings and those of whom it has that from: however
/// many borders it has come over, since what somebody remembers of a partner he may pass on.
fn shown(world: &World, home: DomainNo) -> BTreeSet<(DomainNo, DomainNo)> {
    let plan = world.plan();
    let mut partners: BTreeMap<DomainNo, Vec<DomainNo>> = BTreeMap::new();
    for &(one, other) in &plan.partners {
        partners.entry(one).or_default().push(other);
        partners.entry(other).or_default().push(one);
    }
    let has_rule = |by: DomainNo, to: DomainNo| {
        let mut rules = plan.domains[by as usize].config.discovery.expose.iter();
        let name = &plan.domains[to as usize].name;
        rules.any(|rule| rule.is_for(name) && (by == home || rule.resale))
    };
    let mut shown = BTreeSet::new();
    // Who has it, and from whom; the domain itself from nobody.
    let mut had = vec![(home, home)];
    while let Some((by, from)) = had.pop() {
        for &to in partners.get(&by).into_iter().flatten() {
            if to != from && has_rule(by, to) && shown.insert((by, to)) {
                had.push((to, by));
            }
        }
    }
    shown
}
