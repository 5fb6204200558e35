//! The invariants, each written once, with where it can be checked.
//!
//! *node*: on one node, after each event. *world*: between nodes that know of each other's contracts. *quiet*: when
//! nothing is under way and leases have passed.

use std::collections::BTreeMap;

use kernel::{ContractId, Digest, DomainKey, FlavourId, Key, NodeId, QueryId, Resource, Resources, Time};
use rear::Status;
use rear_proto::local::Side;

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

/// 4, *quiet*: at a relay, of what it sold and what backs that both live or neither, and one allocation of type
/// Forwarding lives for the two.
///
/// # Errors
/// The first half without its other.
pub fn check_relay(managers: &Managers) -> Result<(), Violation> {
    let violation = |what| Err(Violation { number: 4, what });
    let live = || managers.contract.contracts().filter(|contract| contract.state.is_live());
    let mut backs: BTreeMap<Digest, ContractId> = BTreeMap::new();
    for front in live().filter(|contract| contract.role == Side::Provider) {
        let Some(backed_by) = front.backed_by else { continue };
        if !live().any(|back| back.role == Side::Consumer && back.digest == backed_by) {
            return violation(format!("contract {} lives, and what backs it does not", front.id));
        }
        if let Some(other) = backs.insert(backed_by, front.id) {
            return violation(format!("contracts {other} and {} rest on one and the same", front.id));
        }
    }
    let forwarding = managers.rear.living().filter(|it| matches!(it.role, rear::Role::Forwarding { .. }));
    let (chains, allocations) = (backs.len(), forwarding.count());
    if chains != allocations {
        return violation(format!("{chains} chains are relayed under {allocations} allocations"));
    }
    // What a node bought and has no use for itself is there to back something.
    for back in live().filter(|contract| contract.role == Side::Consumer) {
        let used = managers.rear.living().any(|it| it.contract == Some(back.id));
        if !used && !backs.contains_key(&back.digest) {
            return violation(format!("contract {} was bought, and neither is used nor backs anything", back.id));
        }
    }
    Ok(())
}

/// 2, *world*: returns the contracts under which a virtual node is active, and no allocation of type Node is at the
/// far end of the chain of contracts behind it.
///
/// That may be so for a lease; then both have ended, or both are active again. Where a node of the chain is not among
/// those given, nothing is said of it.
pub fn without_far_end(nodes: &[&Managers]) -> Vec<ContractId> {
    let mut sellers: BTreeMap<Digest, (&Managers, Option<Digest>, ContractId)> = BTreeMap::new();
    for managers in nodes {
        for contract in managers.contract.contracts().filter(|contract| contract.role == Side::Provider) {
            sellers.insert(contract.digest, (managers, contract.backed_by, contract.id));
        }
    }
    let active = |managers: &Managers, contract: ContractId| {
        let mut living = managers.rear.living();
        living.any(|it| it.contract == Some(contract) && it.status == Status::Active)
    };
    let mut apart = Vec::new();
    for managers in nodes {
        for contract in managers.contract.contracts().filter(|contract| contract.role == Side::Consumer) {
            let is_end = managers.rear.living().any(|it| {
                let virtual_node = matches!(it.role, rear::Role::VirtualNode { .. });
                virtual_node && it.contract == Some(contract.id) && it.status == Status::Active
            });
            if !is_end {
                continue;
            }
            let mut digest = contract.digest;
            // Each contract of a chain is behind another; there are no rings of digests.
            while let Some(&(seller, backed_by, id)) = sellers.get(&digest) {
                match backed_by {
                    Some(next) => digest = next,
                    None if active(seller, id) => break,
                    None => {
                        apart.push(contract.id);
                        break;
                    }
                }
            }
        }
    }
    apart
}

/// 5, *world*: what a node sees of another domain's is what that domain shows to the node's own.
///
/// `shows` says whether a domain shows a flavour, by its origin, to domain `home`.
///
/// # Errors
/// The first flavour that is not for these eyes.
pub fn check_exposed(
    managers: &Managers,
    now: Time,
    home: &DomainKey,
    shows: impl Fn(&DomainKey, &FlavourId) -> bool,
) -> Result<(), Violation> {
    let mut foreign = managers.discovery.candidates(now).map(|it| it.flavour).filter(|it| it.domain.key != *home);
    match foreign.find(|flavour| !shows(&flavour.domain.key, &flavour.origin)) {
        None => Ok(()),
        Some(flavour) => {
            let what = format!("flavour {} of domain {} is shown to {home}", flavour.id, flavour.domain.key);
            Err(Violation { number: 5, what })
        }
    }
}

/// 9, *node*: no query visits a node twice: who asks again is given the same, and anybody else is told of the loop.
#[derive(Debug, Default)]
pub struct Queries {
    answered: BTreeMap<QueryId, NodeId>,
    /// Those of before the last turn.
    before: BTreeMap<QueryId, NodeId>,
}

impl Queries {
    /// Takes note that a query was answered with a list.
    ///
    /// # Errors
    /// When it was before, to another asker.
    pub fn answer(&mut self, query: QueryId, asker: NodeId) -> Result<(), Violation> {
        let known = self.before.get(&query).copied();
        let first = *self.answered.entry(query).or_insert(known.unwrap_or(asker));
        if first == asker {
            return Ok(());
        }
        Err(Violation { number: 9, what: format!("query {query} of {first} is answered to {asker}, too") })
    }

    /// Forgets those that were not asked since the last turn but one: no question goes round for long.
    pub fn turn(&mut self) {
        self.before = std::mem::take(&mut self.answered);
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
