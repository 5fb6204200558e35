//! What `tombolo audit` finds in kept rows: promises that are not good, and parties that contradict each other.
//!
//! These are pure functions over signed bytes. They need no clock: every time that a promise depends on stands in it.

use std::{collections::BTreeMap, fmt};

use kernel::{ContractId, Digest, DomainKey, Key, NodeId, Span, Time};
use rear_proto::{Contract, Order, Renewal, Reserved, Row, Signed, Table, local::Side, record::decode};

use crate::record::{ContractRecord, HoldRecord, Name, RenewalRecord};

/// What was found in one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// How many contracts there are.
    pub contracts: usize,
    /// How many renewals.
    pub renewals: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// With which contract, where it is one.
    pub contract: Option<ContractId>,
    /// Of which kind.
    pub kind: ProblemKind,
    /// What and which, in a sentence.
    pub text: String,
}

/// The kinds of things that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A row can't be read, or stands under another's key.
    Damaged,
    /// A contract is not good: a signature, a price, a term, its start.
    BadContract,
    /// Nobody who may vouched for the seller's end of the channel when a contract started: it was no member of the
    /// domain, and no supernode of one spoke for it.
    BadEndorsement,
    /// What a relay sold is not backed by a contract that it bought, or promises more than that.
    BadBacking,
    /// A hold is not good.
    BadHold,
    /// A renewal is not good, is missing or belongs to no contract.
    BadRenewal,
    /// One order has two contracts.
    TwoContracts,
    /// One party has a contract, or a renewal, that the other should have and has not.
    Missing,
    /// A contract lives at one party and has ended at the other.
    LivesAtOne,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One party's contracts, as its rows have them.
struct Ledger {
    contracts: BTreeMap<ContractId, Kept>,
    renewals: BTreeMap<ContractId, BTreeMap<u32, Signed<Renewal>>>,
    holds: BTreeMap<Name, HoldRecord>,
    problems: Vec<Problem>,
}

/// A contract that was kept, with what it says.
struct Kept {
    record: ContractRecord,
    contract: Contract,
    order: Order,
}

impl Kept {
    const fn me(&self) -> NodeId {
        match self.record.side {
            Side::Consumer => self.order.buyer,
            Side::Provider => self.order.seller,
        }
    }

    const fn other(&self) -> NodeId {
        match self.record.side {
            Side::Consumer => self.order.seller,
            Side::Provider => self.order.buyer,
        }
    }
}

/// How far the clocks of a relay and its seller may be apart.
const CLOCKS: Span = Span::secs(30);

/// Verifies every contract, renewal and hold among these rows, where the last row of a key counts; with a domain's
/// key, also that each seller's end of the channel was vouched for: by a member's own proof, or by a supernode, of that
/// domain or of another.
pub fn verify<'a>(rows: impl IntoIterator<Item = &'a Row>, domain: Option<&DomainKey>) -> Audit {
    let mut ledger = Ledger::read(rows);
    let mut found = std::mem::take(&mut ledger.problems);
    let mut orders: BTreeMap<Digest, ContractId> = BTreeMap::new();
    for (id, kept) in &ledger.contracts {
        verify_contract(*id, kept, domain, &mut found);
        if let Some(first) = orders.insert(kept.contract.order.digest(), *id) {
            let text = format!("order {} has two contracts: {first} and {id}", kept.order.key);
            found.push(problem(*id, ProblemKind::TwoContracts, text));
        }
    }
    for (id, kept) in &ledger.contracts {
        ledger.verify_backing(*id, kept, &mut found);
    }
    for (id, renewals) in &ledger.renewals {
        verify_renewals(*id, ledger.contracts.get(id), renewals, &mut found);
    }
    for (name, hold) in &ledger.holds {
        verify_hold(name, hold, &mut found);
    }
    let renewals = ledger.renewals.values().map(BTreeMap::len).sum();
    Audit { contracts: ledger.contracts.len(), renewals, problems: found }
}

/// Finds what the ledgers of two parties say differently about the contracts between them.
///
/// A contract whose seller has it and whose buyer has not is none, once it has ended: the answer was lost, and it
/// lapsed. The other way round is one always, for a seller keeps before it answers. Whose ledger one without contracts
/// is can't be told from these rows; [`contradictions_of`] is told.
pub fn contradictions<'a>(
    ours: impl IntoIterator<Item = &'a Row>,
    theirs: impl IntoIterator<Item = &'a Row>,
) -> Vec<Problem> {
    contradictions_of(None, ours, None, theirs)
}

/// The same, where it is known whose the ledgers are: so one without contracts is held against the other, too.
pub fn contradictions_of<'a>(
    us: Option<NodeId>,
    ours: impl IntoIterator<Item = &'a Row>,
    them: Option<NodeId>,
    theirs: impl IntoIterator<Item = &'a Row>,
) -> Vec<Problem> {
    let (ours, theirs) = (Ledger::read(ours), Ledger::read(theirs));
    let us = us.or_else(|| ours.contracts.values().next().map(Kept::me));
    let them = them.or_else(|| theirs.contracts.values().next().map(Kept::me));
    let mut found = Vec::new();
    for (id, kept) in &ours.contracts {
        if Some(kept.other()) == them {
            compare(*id, kept, &theirs, ("this ledger", "the other"), &mut found);
        }
        if let Some(other) = theirs.contracts.get(id) {
            compare_ends(*id, kept, other, &mut found);
            compare_renewals(*id, kept, &ours, &theirs, &mut found);
        }
    }
    for (id, kept) in theirs.contracts.iter().filter(|(id, _)| !ours.contracts.contains_key(id)) {
        if Some(kept.other()) == us {
            compare(*id, kept, &ours, ("the other ledger", "this one"), &mut found);
        }
    }
    found
}

impl Ledger {
    fn read<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut last: BTreeMap<(Table, &[u8]), &[u8]> = BTreeMap::new();
        for row in rows {
            match &row.value {
                Some(value) => last.insert((row.table, &row.key), value),
                // Holds are forgotten in time; contracts and renewals never are.
                None => last.remove(&(row.table, &row.key[..])),
            };
        }
        let mut ledger = Self {
            contracts: BTreeMap::new(),
            renewals: BTreeMap::new(),
            holds: BTreeMap::new(),
            problems: Vec::new(),
        };
        for ((table, key), value) in last {
            if let Err(text) = ledger.take(table, key, value) {
                ledger.problems.push(Problem { contract: None, kind: ProblemKind::Damaged, text });
            }
        }
        ledger
    }

    fn take(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = |what: &str| format!("a row of table '{}' {what}", table.name());
        match table {
            Table::Contracts => {
                let record: ContractRecord = decode(table, value).map_err(|error| error.to_string())?;
                let contract = record.contract.claimed().ok_or_else(|| wrong("holds no contract"))?.clone();
                let order = contract.order.claimed().ok_or_else(|| wrong("holds a contract without an order"))?;
                let order = order.clone();
                let id = ContractId::from(record.contract.digest());
                if id.as_bytes() != key {
                    return Err(wrong(&format!("holds contract {id} under another's key")));
                }
                self.contracts.insert(id, Kept { record, contract, order });
            }
            Table::Renewals => {
                let RenewalRecord { renewal } = decode(table, value).map_err(|error| error.to_string())?;
                let (id, n) = key.split_first_chunk::<16>().ok_or_else(|| wrong("has a key that is too short"))?;
                let n = n.try_into().map_err(|_| wrong("has a key that is none of a renewal's"))?;
                self.renewals.entry(ContractId(*id)).or_default().insert(u32::from_be_bytes(n), renewal);
            }
            Table::Reservations => {
                let hold: HoldRecord = decode(table, value).map_err(|error| error.to_string())?;
                let name = Name::from_bytes(key).ok_or_else(|| wrong("has a key that is no order's name"))?;
                self.holds.insert(name, hold);
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns until when a contract runs with its renewals, by its seller's clock.
    fn end(&self, id: &ContractId, contract: &Contract) -> Time {
        let renewals = self.renewals.get(id).into_iter().flat_map(BTreeMap::values);
        let renewed = renewals.filter_map(|renewal| renewal.claimed()).map(|renewal| renewal.term);
        contract.start + renewed.fold(contract.term, Span::plus)
    }

    /// Verifies that what a relay sold rests on what it bought.
    fn verify_backing(&self, id: ContractId, kept: &Kept, found: &mut Vec<Problem>) {
        let Some(digest) = kept.contract.backed_by.filter(|_| kept.record.side == Side::Provider) else { return };
        let mut bad = |text: String| found.push(problem(id, ProblemKind::BadBacking, text));
        let back_id = ContractId::from(digest);
        let Some(back) = self.contracts.get(&back_id).filter(|back| back.record.side == Side::Consumer) else {
            return bad(format!("contract {id} is backed by {back_id}, which this node has not bought"));
        };
        let (front, back_contract) = (&kept.contract, &back.contract);
        if kept.order.partition != back.order.partition {
            bad(format!("contract {id} and {back_id}, which backs it, are over different partitions"));
        }
        // Each time is by its own seller's clock.
        if front.start + CLOCKS < back_contract.start {
            bad(format!("contract {id} starts before {back_id}, which backs it"));
        }
        if self.end(&id, front) > self.end(&back_id, back_contract) + CLOCKS {
            bad(format!("contract {id} ends after {back_id}, which backs it"));
        }
        if back_contract.price.within(&front.price) != Some(true) {
            bad(format!("contract {id} costs less than {back_id}, which backs it"));
        }
        if front.tunnel_key != back_contract.tunnel_key || kept.order.tunnel_key != back.order.tunnel_key {
            bad(format!("contract {id} and {back_id}, which backs it, are not over one channel"));
        }
    }

    fn by_order(&self, order: &Digest) -> Option<ContractId> {
        self.contracts.iter().find(|(_, kept)| kept.contract.order.digest() == *order).map(|(id, _)| *id)
    }
}

fn problem(contract: ContractId, kind: ProblemKind, text: String) -> Problem {
    Problem { contract: Some(contract), kind, text }
}

fn verify_contract(id: ContractId, kept: &Kept, domain: Option<&DomainKey>, found: &mut Vec<Problem>) {
    let Kept { record, contract, order } = kept;
    if let Err(error) = Contract::verify(&record.contract, &order.buyer, &order.seller) {
        found.push(problem(id, ProblemKind::BadContract, format!("contract {id} is not good: {error}")));
    }
    if let Some(domain) = domain {
        let believed = |_: &DomainKey| true;
        let endorsement = &contract.endorsement;
        if let Err(error) = endorsement.verify(&contract.tunnel_key, &order.seller, domain, believed, contract.start) {
            let text = format!("nobody vouched for the seller of contract {id} when it started: {error}");
            found.push(problem(id, ProblemKind::BadEndorsement, text));
        }
    }
}

fn verify_renewals(
    id: ContractId,
    kept: Option<&Kept>,
    renewals: &BTreeMap<u32, Signed<Renewal>>,
    found: &mut Vec<Problem>,
) {
    let mut bad = |text: String| found.push(problem(id, ProblemKind::BadRenewal, text));
    let Some(Kept { record, contract, order }) = kept else {
        return bad(format!("there are renewals of contract {id}, but no such contract"));
    };
    let mut end: Time = contract.start + contract.term;
    for (next, (n, signed)) in (1u32..).zip(renewals) {
        if *n != next {
            return bad(format!("renewal {next} of contract {id} is missing"));
        }
        match Renewal::verify(signed, &record.contract.digest(), &order.buyer, &order.seller) {
            Ok((_, ask)) if ask.n != *n => bad(format!("renewal {n} of contract {id} is number {} as signed", ask.n)),
            Ok((renewal, _)) if renewal.at > end || renewal.at < contract.start => {
                bad(format!("renewal {n} of contract {id} was signed when the contract had ended"));
            }
            Ok((renewal, _)) => end = end + renewal.term,
            Err(error) => bad(format!("renewal {n} of contract {id} is not good: {error}")),
        }
    }
}

fn verify_hold(name: &Name, hold: &HoldRecord, found: &mut Vec<Problem>) {
    let key: Key = name.key;
    let mut bad = |text: String| found.push(Problem { contract: None, kind: ProblemKind::BadHold, text });
    let signed = hold.reserved.claimed().map(|reserved| &reserved.order);
    let Some((signed, order)) = signed.and_then(|signed| Some((signed, signed.claimed()?))) else {
        return bad(format!("the hold of reservation {key} can not be read"));
    };
    if order.buyer != name.buyer || order.key != key {
        return bad(format!("the hold of reservation {key} is over another order"));
    }
    if let Err(error) = Reserved::verify(&hold.reserved, signed, &order.buyer, &order.seller) {
        bad(format!("the hold of reservation {key} is not good: {error}"));
    }
}

/// Compares a contract of one party with what the other has of it.
fn compare(id: ContractId, kept: &Kept, other: &Ledger, (here, there): (&str, &str), found: &mut Vec<Problem>) {
    if other.contracts.contains_key(&id) {
        return;
    }
    if let Some(second) = other.by_order(&kept.contract.order.digest()) {
        let text = format!("order {} is contract {id} in {here} and contract {second} in {there}", kept.order.key);
        found.push(problem(id, ProblemKind::TwoContracts, text));
    } else if kept.record.side == Side::Consumer {
        let text = format!("contract {id} is in {here}, whose node buys, and not in {there}, whose node signed it");
        found.push(problem(id, ProblemKind::Missing, text));
    } else if kept.record.end.is_none() {
        let text = format!("contract {id} lives in {here}, whose node sells, and is not in {there}");
        found.push(problem(id, ProblemKind::Missing, text));
    }
}

fn compare_ends(id: ContractId, ours: &Kept, theirs: &Kept, found: &mut Vec<Problem>) {
    let text = match (&ours.record.end, &theirs.record.end) {
        (None, Some(end)) => {
            format!("contract {id} lives in this ledger and has ended in the other: {}", end.reason.name())
        }
        (Some(end), None) => {
            format!("contract {id} has ended in this ledger ({}) and lives in the other", end.reason.name())
        }
        (None, None) | (Some(_), Some(_)) => return,
    };
    found.push(problem(id, ProblemKind::LivesAtOne, text));
}

fn compare_renewals(id: ContractId, kept: &Kept, ours: &Ledger, theirs: &Ledger, found: &mut Vec<Problem>) {
    let none = BTreeMap::new();
    let (ours, theirs) = (ours.renewals.get(&id).unwrap_or(&none), theirs.renewals.get(&id).unwrap_or(&none));
    let (buyers, sellers) = match kept.record.side {
        Side::Consumer => (ours, theirs),
        Side::Provider => (theirs, ours),
    };
    for (n, renewal) in buyers {
        match sellers.get(n) {
            Some(other) if other.digest() == renewal.digest() => {}
            Some(_) => {
                let text = format!("renewal {n} of contract {id} is not the same in the two ledgers");
                found.push(problem(id, ProblemKind::TwoContracts, text));
            }
            None => {
                let text = format!("renewal {n} of contract {id} is in the buyer's ledger and not in the seller's");
                found.push(problem(id, ProblemKind::Missing, text));
            }
        }
    }
}
