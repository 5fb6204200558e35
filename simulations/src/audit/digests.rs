//! The digest oracle: a partner that is left out of a question because of its digest has nothing that fits.
//!
//! A digest is as late as its growth takes to be told, so what has grown a moment ago counts only then. Where a connection
//! was lost it may be later still, and heals by itself: nothing is said for a while after whatever befalls the world, and
//! nothing at all where lines lose messages.

use std::collections::BTreeMap;

use kernel::{FlavourId, Resource, Resources, Span, Time};
use rear_proto::{
    Flavour, Selector,
    membership::Role,
    message::{List, Scope},
};

use super::{Checked, wrong};
use crate::{
    plan::{Act, DomainNo, NodeNo},
    scenario::Scenario,
    world::World,
};

/// How long growth may take from a node over its supernode to a partner: its news is gathered for a second, growth waits
/// 100 ms for more, and both travel.
const TOLD_WITHIN: Span = Span::secs(5);
/// How long it may take until all are told anew, after connections were lost: a heartbeat, and what is around it.
const HEALED_WITHIN: Span = Span::secs(300);

/// What there is, and since when.
#[derive(Debug)]
pub(super) struct Digests {
    /// Until when nothing is said.
    uneasy: Time,
    /// What was left of each flavour, and since when there was not less.
    left: BTreeMap<(NodeNo, FlavourId), (Resources, Time)>,
    /// How many questions were looked at: of all those whom one leaves out, one is.
    questions: usize,
}

impl Digests {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let lines = [scenario.links.inside, scenario.links.between];
        let is_sound = scenario.settings.discovery.digests && lines.iter().all(|line| (line.lost, line.late) == (0, 0));
        let uneasy = if is_sound { Time::default() } else { Time::MAX };
        Self { uneasy, left: BTreeMap::new(), questions: 0 }
    }

    pub(super) fn struck(&mut self, world: &World, act: &Act) {
        self.uneasy = self.uneasy.max(world.now() + act.lasts() + HEALED_WITHIN);
    }

    /// A node has come to life.
    pub(super) fn born(&mut self, world: &World, node: NodeNo) {
        self.left.retain(|(at, _), _| *at != node);
        self.settled(world, node);
    }

    /// What a node has left may have changed.
    pub(super) fn settled(&mut self, world: &World, node: NodeNo) {
        let books = world.managers(node).into_iter().flat_map(|managers| managers.rear.books());
        for book in books {
            let (left, since) = self.left.entry((node, book.flavour)).or_insert((book.available, world.now()));
            let grew = |resource: Resource| book.available.of(resource) > left.of(resource);
            if Resource::ALL.into_iter().any(grew) {
                *since = world.now();
            }
            *left = book.available;
        }
    }

    /// A member asks its supernode: whom that leaves out has nothing that fits.
    pub(super) fn asked(&mut self, world: &World, node: NodeNo, from: NodeNo, list: &List) -> Checked {
        let goes_on = list.scope == Scope::Partners && list.hops_left > 0 && list.exclude.is_empty();
        let is_member = world.domain(from) == world.domain(node);
        if world.now() <= self.uneasy || world.age() == Span::ZERO || !goes_on || !is_member {
            return Ok(());
        }
        let Some(managers) = world.managers(node).filter(|_| world.plan().nodes[node as usize].role == Role::Supernode)
        else {
            return Ok(());
        };
        let denied = managers.discovery.denied(world.clock(node), &list.selector);
        if denied.is_empty() {
            return Ok(());
        }
        self.questions += 1;
        let key = denied[self.questions % denied.len()];
        let partner = managers.federation.partners(world.now()).find(|partner| partner.domain.key == key);
        let number = |name: &str| world.plan().domains.iter().position(|domain| domain.name == name);
        let Some(domain) = partner.and_then(|partner| number(&partner.name)) else { return Ok(()) };
        match self.find(world, domain as DomainNo, world.domain(node), &list.selector) {
            None => Ok(()),
            Some((owner, flavour)) => {
                let name = world.name(owner);
                let detail = format!("it leaves out who has what fits: flavour {flavour} of {name}, {}", list.selector);
                wrong("digest", node, detail)
            }
        }
    }

    /// Finds a flavour of a domain that fits, that is shown to another domain, and that had as much left long enough ago.
    fn find(
        &self,
        world: &World,
        domain: DomainNo,
        viewer: DomainNo,
        wanted: &Selector,
    ) -> Option<(NodeNo, FlavourId)> {
        let config = &world.plan().domains[domain as usize].config.discovery;
        let viewer = &world.plan().domains[viewer as usize].name;
        if !config.expose.iter().any(|rule| rule.is_for(viewer) && rule.what.filters.is_empty()) {
            return None;
        }
        let is_told = |node: NodeNo, id: FlavourId| {
            self.left.get(&(node, id)).is_some_and(|(_, since)| world.now().since(*since) > TOLD_WITHIN)
        };
        let fits = |flavour: &Flavour| {
            let price = config.margin.on(flavour.price.amount);
            price.is_some_and(|amount| {
                let mut seen = flavour.clone();
                seen.price.amount = amount;
                wanted.check(&seen, None).is_ok()
            })
        };
        (0..world.count()).filter(|node| world.domain(*node) == domain).find_map(|node| {
            let mut flavours = world.managers(node)?.rear.flavours();
            flavours.find(|flavour| is_told(node, flavour.id) && fits(flavour)).map(|flavour| (node, flavour.id))
        })
    }
}
