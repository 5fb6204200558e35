//! What leaves a supernode for another domain is what its domain, and whoever it has it from, shows to that one.

use std::collections::{BTreeMap, BTreeSet};

use agent::Output;
use kernel::{FlavourId, Ticket};
use rear_proto::{
    Answer, Flavour, Request, Signed,
    membership::Role,
    message::{Advertise, Offered, Refresh},
    published::Published,
};

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

    /// Looks at what leaves: answers, and what those are told who subscribed.
    pub(super) fn left(&mut self, world: &World, node: NodeNo, output: &Output) -> Checked {
        match output {
            Output::Reply { ticket, reply } => {
                let Some(viewer) = self.foreign.remove(&(node, *ticket)) else { return Ok(()) };
                match &reply.answer {
                    Answer::Flavours(found) => {
                        found.flavours.iter().try_for_each(|flavour| self.check(world, node, viewer, flavour))
                    }
                    Answer::Snapshot(snapshot) => self.check_offers(world, node, viewer, &snapshot.offers),
                    Answer::Published(found) => {
                        found.offers.iter().try_for_each(|offer| self.check_published(world, viewer, offer))
                    }
                    _ => Ok(()),
                }
            }
            Output::Ask { to, body, .. } => {
                let (Request::Advertise(Advertise { offers, .. }) | Request::Refresh(Refresh { offers, .. })) =
                    &body.request
                else {
                    return Ok(());
                };
                let Some(to) = world.index(&to.node) else { return Ok(()) };
                // A catalogue carries what it is given, and is none of those whose eyes that is for.
                let carries = world.plan().nodes[to as usize].role == Role::Catalogue;
                if carries || world.domain(to) == world.domain(node) {
                    return Ok(());
                }
                self.check_offers(world, node, world.domain(to), offers)
            }
            _ => Ok(()),
        }
    }

    fn check_offers(&mut self, world: &World, node: NodeNo, viewer: DomainNo, offers: &[Offered]) -> Checked {
        offers.iter().try_for_each(|offered| match offered {
            Offered::Direct(flavour) => self.check(world, node, viewer, flavour),
            Offered::Signed(offer) => self.check_published(world, viewer, offer),
        })
    }

    /// What somebody has signed he shows, whoever carries it.
    fn check_published(&mut self, world: &World, viewer: DomainNo, offer: &Signed<Published>) -> Checked {
        let Some(published) = offer.claimed() else { return Ok(()) };
        match world.index(&published.by) {
            Some(by) => self.check(world, by, viewer, &published.flavour),
            None => Ok(()),
        }
    }

    fn check(&mut self, world: &World, node: NodeNo, viewer: DomainNo, flavour: &Flavour) -> Checked {
        let Some(&owner) = self.origins.get(&flavour.origin) else { return Ok(()) };
        let home = world.domain(owner);
        let shown = self.shown.entry(home).or_insert_with(|| shown(world, home));
        if shown.contains(&(world.domain(node), viewer)) {
            return Ok(());
        }
        let (name, to) = (world.name(owner), &world.plan().domains[viewer as usize].name);
        wrong("invariant 5", node, format!("it shows {to} flavour {} of {name}", flavour.id))
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
