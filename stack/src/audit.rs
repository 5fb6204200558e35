//! What must hold of a world: the invariants of `agent`, on what the disks hold while it runs, and on the minds themselves
//! when they are at rest.

use std::{sync::Arc, time::Duration};

use agent::{Agent, Managers, invariants};
use rear_proto::local::Side;
use simulations::outcome::Violation;

use crate::{founding::remember, machine::Machine, users::Wish, world::Setting};

/// While the world runs: what is durable at one party of a contract never contradicts what is at the other.
///
/// # Errors
/// When what a disk holds can't be read.
pub(crate) fn along_the_way(
    machines: &[Arc<Machine>],
    age: Duration,
    violations: &mut Vec<Violation>,
) -> anyhow::Result<()> {
    let mut minds: Vec<Agent> = Vec::new();
    for machine in machines {
        minds.push(remember(&machine.disk.kept(), machine.config.agent(), machine.identity.clone())?);
    }
    let managers: Vec<&Managers> = minds.iter().map(Agent::managers).collect();
    note(violations, age, "", invariants::check_agreement(&managers));
    saved_then_said(machines, &managers, age, violations);
    Ok(())
}

/// What a buyer's disk holds of a live contract, its seller's must hold, too: it was saved there before it was said. A disk
/// that was lost knows nothing of what it held.
fn saved_then_said(machines: &[Arc<Machine>], managers: &[&Managers], age: Duration, violations: &mut Vec<Violation>) {
    for (buyer, known) in machines.iter().zip(managers) {
        for contract in known.contract.contracts().filter(|it| it.role == Side::Consumer && it.state.is_live()) {
            let mut sellers = machines.iter().zip(managers);
            let Some((seller, sold)) = sellers.find(|(machine, _)| machine.signer.id() == contract.seller) else {
                continue;
            };
            if !seller.disk.was_lost() && !sold.contract.contracts().any(|it| it.id == contract.id) {
                let detail = format!("contract {} with {} is not on that one's disk", contract.id, seller.name);
                violations.push(violation("save, then speak", age, &buyer.name, detail));
            }
        }
    }
}

/// When all is quiet and the minds are at rest.
pub(crate) fn at_the_end(machines: &[Arc<Machine>], age: Duration, violations: &mut Vec<Violation>) {
    let states: Vec<_> = machines.iter().map(|machine| machine.state()).collect();
    let mut managers: Vec<&Managers> = Vec::new();
    for (machine, state) in machines.iter().zip(&states) {
        match &state.rest {
            Some(mind) => {
                managers.push(mind.managers());
                note(violations, age, &machine.name, invariants::check_nothing_held(mind.managers()));
                note(violations, age, &machine.name, invariants::check_relay(mind.managers()));
            }
            None => {
                violations.push(violation("ending in order", age, &machine.name, "the node did not end".to_owned()))
            }
        }
    }
    note(violations, age, "", invariants::check_agreement(&managers));
    note(violations, age, "", invariants::check_both_or_neither(&managers));
    for contract in invariants::without_far_end(&managers) {
        violations.push(violation("invariant 2", age, "", format!("contract {contract} has no far end")));
    }
}

/// Every intent that came and was wanted for long enough has ended in a stated state, and at least a share of all ran.
pub(crate) fn liveness(wishes: &[Wish], age: Duration, setting: &Setting, violations: &mut Vec<Violation>) {
    let ran = wishes.iter().filter(|wish| wish.ran_at_ms.is_some()).count();
    if (ran as f64) < setting.running * wishes.len() as f64 {
        violations.push(violation("running", age, "", format!("{ran} of {} intents came to run", wishes.len())));
    }
    let within = setting.stated_within.to_std();
    let is_open = |wish: &&Wish| wish.ran_at_ms.is_none() && wish.reason.is_none() && wish.lives >= within;
    for wish in wishes.iter().filter(is_open) {
        let detail = format!("intent {} never ran, and nobody says why: {:?}", wish.number, wish.phase);
        violations.push(violation("liveness", age, &wish.node, detail));
    }
}

fn note(violations: &mut Vec<Violation>, age: Duration, node: &str, checked: Result<(), invariants::Violation>) {
    if let Err(broken) = checked {
        violations.push(violation(&format!("invariant {}", broken.number), age, node, broken.what));
    }
}

fn violation(what: &str, age: Duration, node: &str, detail: String) -> Violation {
    let at_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Violation { what: what.to_owned(), at_ms, node: node.to_owned(), detail }
}
