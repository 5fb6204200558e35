//! The world as a chain of four over a border: C, its supernode, the provider's supernode, the provider.

use std::collections::BTreeMap;

use kernel::{FlavourId, NodeId};
use rear_proto::{
    Mode,
    local::{Caller, Onward, Side, Way},
    membership::Role,
    message::EndReason,
};

use super::{samples::*, world::*};
use crate::{Config, ContractView, Effect, Input, Part};

pub(super) fn chain() -> World {
    World::chain(Config::default())
}

/// Buys through the whole chain, and lets everything that follows happen.
pub(super) fn traded(world: &mut World, key: u8, mode: Mode) {
    world.buy(wish(id(SC), key, mode));
    world.settle();
    if mode == Mode::Hold {
        world.purchase(key);
        world.settle();
    }
    assert_eq!(world.refusals(key), []);
}

pub(super) fn lives(world: &World) -> [usize; 4] {
    [C, SC, SP, P4].map(|node| world.live(node).len())
}

pub(super) fn reasons(world: &World) -> Vec<Vec<EndReason>> {
    let reasons = |node: usize| world.nodes[node].manager.contracts().filter_map(|view| view.reason).collect();
    [C, SC, SP, P4].map(reasons).into()
}

pub(super) fn count(world: &World, node: usize, what: fn(&Effect) -> bool) -> usize {
    world.nodes[node].told.iter().filter(|effect| what(effect)).count()
}

impl World {
    /// A consumer and its supernode, a provider and its: C, SC, SP and P4, of two domains that are partners.
    pub(super) fn chain(config: Config) -> Self {
        let birth = |index: usize, home, role| {
            let partner = if home == ALPHA { partner(BETA, id(SP)) } else { partner(ALPHA, id(SC)) };
            Birth { number: index as u8 + 1, home, role, partner: Some(partner), config: config.clone() }
        };
        let mut world = Self::of(vec![
            birth(C, ALPHA, Role::Node),
            birth(SC, ALPHA, Role::Supernode),
            birth(SP, BETA, Role::Supernode),
            birth(P4, BETA, Role::Node),
        ]);
        world.nodes[SC].way = Some((SP, "2.5%".parse().unwrap()));
        world.nodes[SP].way = Some((P4, "1%".parse().unwrap()));
        world
    }

    /// Opens the peering of all contracts of a chain: at both ends, and as the relays' routers report it.
    pub(super) fn activate_chain(&mut self) {
        for node in 0..self.nodes.len() {
            for view in self.live(node) {
                if view.part != Part::Forwarder || view.role == Side::Provider {
                    self.give(node, Input::Activated { contract: view.id });
                }
            }
        }
    }

    /// Checks what must hold along a chain when all is quiet: each hop's contracts live at both parties as the same
    /// bytes, each that is sold over another has that one alive, and capacity is taken for what lives alone.
    pub(super) fn check_chain(&self) {
        let alive = |node: usize, buyer: usize| {
            let views = self.live(node).into_iter().filter(|view| view.buyer == id(buyer));
            views.map(|view| (view.id, view.digest)).collect::<BTreeMap<_, _>>()
        };
        let last = self.nodes.len() - 1;
        for hop in 0..last {
            assert_eq!(alive(hop, hop), alive(hop + 1, hop), "hop {hop}: both live or neither");
        }
        for node in 0..=last {
            assert_eq!(self.nodes[node].manager.unsettled(), 0, "nothing is under way at {node}");
            let mut granted: Vec<_> = self.nodes[node].grants.values().map(|grant| grant.contract).collect();
            let sold: Vec<_> = self.live(node).into_iter().filter(|view| view.role == Side::Provider).collect();
            let mut lives: Vec<_> = sold.iter().map(|view| Some(view.id)).collect();
            granted.sort_unstable();
            lives.sort_unstable();
            assert_eq!(granted, lives, "node {node}: allocations are of live contracts alone");
            self.check_backing(node);
        }
    }

    /// Checks that each contract that a relay has sold is backed by one that is as good.
    pub(super) fn check_backing(&self, node: usize) {
        let live = self.live(node);
        for view in &live {
            let relayed = self.nodes[node].way.is_some();
            assert_eq!(view.part == Part::Forwarder, relayed, "{view:?}");
            assert_eq!(
                view.backed_by.is_some(),
                self.nodes[node + usize::from(view.role == Side::Consumer)].way.is_some()
            );
            let Some(digest) = view.backed_by.filter(|_| view.role == Side::Provider) else { continue };
            let back = live.iter().find(|back| back.digest == digest).expect("what backs it lives");
            assert!(back.price.amount <= view.price.amount && back.partition == view.partition);
            let own = |view: &ContractView| self.nodes[node].manager.contracts[&view.id].ends();
            assert!(own(view) < own(back), "nested: {view:?} {back:?}");
            assert_eq!(view.state, back.state);
        }
    }

    /// As whom a node is asked by another.
    pub(super) fn caller(&self, to: usize, from: &NodeId) -> Caller {
        let to = &self.nodes[to].birth;
        match self.nodes.iter().map(|node| &node.birth).find(|birth| signer(birth.number).id() == *from) {
            Some(from) if from.home != to.home => Caller::Partner { domain: domain(from.home), on: !self.suspended },
            Some(from) => Caller::Member(from.role),
            None => Caller::Member(Role::Node),
        }
    }

    pub(super) fn way(&self, node: usize, flavour: FlavourId) -> Way {
        let Some((next, margin)) = self.nodes[node].way else { return Way::Here(flavour) };
        let abroad = self.nodes[node].birth.home != self.nodes[next].birth.home;
        let mut inner = flavour;
        inner.0[0] ^= 0x55;
        Way::Onward(Box::new(Onward { seller: party(id(next)), flavour: inner, margin, abroad }))
    }
}
