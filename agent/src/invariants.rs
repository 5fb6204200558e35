//! The invariants, each written once, with where it can be checked.
//!
//! *node*: on one node, after each event. *world*: between nodes that know of each other's contracts. *quiet*: when
//! nothing is under way and leases have passed.

use std::collections::BTreeMap;

use kernel::{ContractId, Digest, FlavourId, Key, NodeId, Resource, Resources};

use crate::agent::Managers;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invariant {number}: {what}")]
pub struct Violation {
    /// Its number in the design.
    pub number: u8,
    /// What is wrong, and with which.
    pub what: String,
}

/// 1, *node*: no grant exceeds what was free, per resource, when it was granted.
///
/// So what is taken of a flavour never grows beyond its base. It may stay beyond it: an operator can make the base
/// smaller than what was granted before.
#[derive(Debug, Default)]
pub struct Grants {
    taken: BTreeMap<FlavourId, Resources>,
}

impl Grants {
    /// Checks what was granted since the last check.
    ///
    /// # Errors
    /// The first flavour that was oversold.
    pub fn check(&mut self, managers: &Managers) -> Result<(), Violation> {
        let mut taken = BTreeMap::new();
        for book in managers.rear.books() {
            // What this life of the node found taken is not its doing.
            let before = self.taken.get(&book.flavour).copied().unwrap_or(book.taken);
            for resource in Resource::ALL {
                let (now, base) = (book.taken.of(resource), book.base.of(resource));
                if now > base && now > before.of(resource) {
                    let what = format!("flavour {}: {resource} {now} taken of {base}", book.flavour);
                    return Err(Violation { number: 1, what });
                }
            }
            taken.insert(book.flavour, book.taken);
        }
        self.taken = taken;
        Ok(())
    }
}

/// 4, *world*: both parties of a contract hold the same bytes, and over one order there is one contract.
///
/// # Errors
/// The first order over which two contracts are known.
pub fn check_agreement(nodes: &[&Managers]) -> Result<(), Violation> {
    // A contract's id follows from its bytes, so it is the order that tells which two should be the same.
    let mut known: BTreeMap<(NodeId, Key), Digest> = BTreeMap::new();
    for managers in nodes {
        for contract in managers.contract.contracts() {
            let digest = *known.entry((contract.buyer, contract.key)).or_insert(contract.digest);
            if digest != contract.digest {
                let what = format!("order {}: one contract is {digest}, another {}", contract.key, contract.digest);
                return Err(Violation { number: 4, what });
            }
        }
    }
    Ok(())
}

/// 4, *quiet*: of a contract both parties live, or neither.
///
/// # Errors
/// The first contract that lives at one party alone.
pub fn check_both_or_neither(nodes: &[&Managers]) -> Result<(), Violation> {
    let mut lives: BTreeMap<ContractId, Vec<&'static str>> = BTreeMap::new();
    for managers in nodes {
        for contract in managers.contract.contracts().filter(|contract| contract.state.is_live()) {
            lives.entry(contract.id).or_default().push(contract.role.name());
        }
    }
    match lives.into_iter().find(|(_, parties)| parties.len() != 2) {
        None => Ok(()),
        Some((contract, parties)) => {
            let what = format!("contract {contract} lives at the {} alone", parties.join(" and "));
            Err(Violation { number: 4, what })
        }
    }
}

/// 3, *quiet*: nothing is held, and every flavour is what it was.
///
/// # Errors
/// The first thing that is still held, or the first flavour of which something is taken.
pub fn check_nothing_held(managers: &Managers) -> Result<(), Violation> {
    let violation = |what| Err(Violation { number: 3, what });
    if let Some(allocation) = managers.rear.living().next() {
        return violation(format!("allocation {} ({}) is not freed", allocation.id, allocation.role.name()));
    }
    if let Some(book) = managers.rear.books().find(|book| !book.taken.is_zero() || book.available != book.base) {
        return violation(format!("flavour {}: {} available of {}", book.flavour, book.available, book.base));
    }
    if let Some(contract) = managers.contract.contracts().find(|contract| contract.state.is_live()) {
        return violation(format!("contract {} is still {}", contract.id, contract.state.name()));
    }
    if let Some(router) = managers.network.routers().next() {
        return violation(format!("the router of contract {} is still there", router.contract));
    }
    Ok(())
}
