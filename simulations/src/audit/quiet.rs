//! When all is quiet: nothing is under way, every intent is gone, and leases have passed.

use std::collections::BTreeSet;

use agent::{Managers, invariants};
use orchestrator::Phase;
use rear_proto::Table;

use super::{Checked, Model, Parties, wrong};
use crate::{plan::NodeNo, world::World};

/// Up to how many nodes each mind is held against what its disk would make of it.
const SMALL: u32 = 200;
/// How many questions may be on their way at any moment: keepalives, feeds.
const ON_THEIR_WAY: usize = 8;

/// Holds a world that is quiet against what must hold then.
pub(super) fn check(world: &World, parties: &Parties, model: &Model) -> Checked {
    parties.check_quiet(world)?;
    model.check_quiet(world)?;
    for node in 0..world.count() {
        let Some(agent) = world.agent(node) else {
            if world.is_gone(node) {
                continue;
            }
            return wrong("liveness", node, "it is not up again");
        };
        let managers = agent.managers();
        if let Err(violation) = invariants::check_nothing_held(managers) {
            return wrong("invariant 3", node, violation.what);
        }
        if let Err(violation) = invariants::check_relay(managers) {
            return wrong("invariant 4", node, violation.what);
        }
        let held = managers.contract.reservations(world.clock(node));
        let held = held.filter(|it| it.state == contract::ReservationState::Held).count();
        let left = [
            ("peerings", managers.vfabric.peerings().count()),
            ("workloads", managers.vfabric.workloads().count()),
            ("requests", managers.rear.pending()),
            ("holds", held),
            ("agreements under way", managers.contract.unsettled()),
            ("routers", world.routers(node)),
            ("instances", world.instances(node).count()),
            ("commands without an answer", world.commands(node)),
            ("questions of others without an answer", world.questions(node).saturating_sub(ON_THEIR_WAY)),
            ("intents", managers.orchestrator.intents().filter(|it| it.phase != Phase::Deleted).count()),
        ];
        if let Some((what, count)) = left.into_iter().find(|(_, count)| *count > 0) {
            return wrong("invariant 3", node, format!("it is left with {count} {what}"));
        }
        if world.count() <= SMALL {
            check_memory(world, node, managers)?;
        }
    }
    Ok(())
}

/// Whatever a node remembers is what it would remember after a crash.
fn check_memory(world: &World, node: NodeNo, managers: &Managers) -> Checked {
    let reborn = match world.reborn(node, true) {
        Ok(reborn) => reborn,
        Err(error) => return wrong("disk", node, format!("it can't read what it wrote: {error}")),
    };
    let (knows, keeps) = (kept(managers), kept(reborn.managers()));
    // Renewals come to their contracts only when the node has come to life, so they are counted where they lie.
    for contract in managers.contract.contracts() {
        let renewed = world.disk(node).count(Table::Renewals, contract.id.as_bytes());
        if renewed != contract.renewals {
            let what =
                format!("contract {} is renewed {renewed} times, and it knows of {}", contract.id, contract.renewals);
            return wrong("disk", node, what);
        }
    }
    match knows.symmetric_difference(&keeps).next() {
        None => Ok(()),
        Some(line) if knows.contains(line) => wrong("disk", node, format!("it would forget: {line}")),
        Some(line) => wrong("disk", node, format!("it would remember what is not so: {line}")),
    }
}

/// Returns what a node must not forget, each in a line.
fn kept(managers: &Managers) -> BTreeSet<String> {
    let contracts = managers.contract.contracts().map(|it| {
        let end = it.reason.map_or("lives", rear_proto::message::EndReason::name);
        format!("contract {} of {:?} {end}", it.id, it.role)
    });
    let books = managers.rear.books().map(|it| format!("flavour {} {} taken {}", it.flavour, it.base, it.taken));
    let members = managers.federation.members().map(|it| format!("member {}", it.node));
    contracts.chain(books).chain(members).collect()
}
