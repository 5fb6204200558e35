//! What the audit finds, and what it lets pass.

use std::collections::BTreeMap;

use kernel::Span;
use rear_proto::{Contract, Mode, Renewal, RenewalAsk, Row, Signed, Table, local::Side, record::decode};

use super::{samples::*, world::*};
use crate::{
    Config,
    audit::{Problem, ProblemKind, contradictions, contradictions_of, verify},
    record::{ContractRecord, HoldRecord, RenewalRecord},
};

/// A pair of ledgers in which a contract by hold was renewed twice, and one by direct agreement has ended.
fn ledgers() -> (Vec<Row>, Vec<Row>) {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    world.end(1);
    world.settle();
    world.buy(wish(id(P), 2, Mode::Hold));
    world.settle();
    world.purchase(2);
    world.settle();
    let contract = world.live(C)[0].id;
    world.activate(contract);
    for ticket in [1, 2] {
        world.give(C, crate::Input::RenewByHand { ticket: kernel::Ticket(ticket), contract });
        world.settle();
    }
    let Ok([consumer, provider]) = <[Node; 2]>::try_from(world.nodes) else { panic!("two nodes") };
    (consumer.ledger, provider.ledger)
}

fn kinds(problems: &[Problem]) -> Vec<ProblemKind> {
    problems.iter().map(|problem| problem.kind).collect()
}

/// Changes the last contract that a ledger holds by appending a row, as a forger with the seller's key would.
fn forged(rows: &[Row], by: u8, change: impl FnOnce(&mut Contract)) -> Vec<Row> {
    let mut rows = rows.to_vec();
    let at = rows.iter().rposition(|row| row.table == Table::Contracts).unwrap();
    let mut record: ContractRecord = decode(Table::Contracts, rows[at].value.as_ref().unwrap()).unwrap();
    let old = rows[at].key.clone();
    let mut contract = record.contract.claimed().cloned().unwrap();
    change(&mut contract);
    record.contract = Signed::new(contract, &signer(by));
    rows.retain(|row| row.key != old && row.table != Table::Renewals);
    rows.push(Row::put(Table::Contracts, kernel::ContractId::from(record.contract.digest()).as_bytes(), &record));
    rows
}

fn change_renewals(rows: &[Row], change: impl Fn(&mut Row, Renewal)) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for row in rows.iter_mut().filter(|row| row.table == Table::Renewals) {
        let record: RenewalRecord = decode(Table::Renewals, row.value.as_ref().unwrap()).unwrap();
        change(row, record.renewal.claimed().cloned().unwrap());
    }
    rows
}

#[test]
fn two_honest_ledgers_are_in_order() {
    let (consumer, provider) = ledgers();
    for rows in [&consumer, &provider] {
        let audit = verify(rows, Some(&domain_key()));
        assert_eq!(audit.problems, []);
        assert_eq!((audit.contracts, audit.renewals), (2, 2));
    }
    assert_eq!(contradictions(&consumer, &provider), []);
    assert_eq!(contradictions(&provider, &consumer), []);
}

#[test]
fn an_empty_ledger_contradicts_only_those_who_dealt_with_its_node() {
    let (consumer, provider) = ledgers();
    let (missing, empty) = (ProblemKind::Missing, &[]);
    // Of the party that all of this is with: what lives, or was bought, is missing there.
    assert_eq!(kinds(&contradictions_of(None, &provider, Some(id(C)), empty)), [missing]);
    assert_eq!(kinds(&contradictions_of(None, &consumer, Some(id(P)), empty)), [missing, missing]);
    assert_eq!(kinds(&contradictions_of(Some(id(P)), empty, None, &consumer)), [missing, missing]);
    // Of somebody else, or of nobody knows whom, it says nothing of these contracts.
    for (rows, own) in [(&provider, P), (&consumer, C)] {
        assert_eq!(contradictions_of(Some(id(own)), rows, Some(id(7)), empty), []);
        assert_eq!(contradictions_of(Some(id(7)), empty, Some(id(own)), rows), []);
        assert_eq!((contradictions(rows, empty), contradictions(empty, rows)), (vec![], vec![]));
    }
}

#[test]
fn a_contract_that_is_not_good_is_reported() {
    type Change = fn(&mut Contract);
    let changes: [(&str, u8, Change, ProblemKind); 5] = [
        ("by another", 9, |_| {}, ProblemKind::BadContract),
        ("too dear", 2, |contract| contract.price = rate("1EUR/h"), ProblemKind::BadContract),
        ("started late", 2, |contract| contract.start = contract.start + Span::secs(3600), ProblemKind::BadContract),
        ("without its hold", 2, |contract| contract.held = None, ProblemKind::BadContract),
        (
            "by no member",
            2,
            |contract| contract.endorsement = rear_proto::Endorsement::Member(credentials(id(C))),
            ProblemKind::BadEndorsement,
        ),
    ];
    let (_, provider) = ledgers();
    for (what, by, change, kind) in changes {
        let audit = verify(&forged(&provider, by, change), Some(&domain_key()));
        assert_eq!(kinds(&audit.problems), [kind], "{what}: {:?}", audit.problems);
    }
}

#[test]
fn two_contracts_over_one_order_are_reported() {
    let (consumer, provider) = ledgers();
    let second = forged(&provider, 2, |contract| contract.tunnel_key = [9; 32]);
    let both: Vec<Row> = provider.iter().chain(&second).cloned().collect();
    assert_eq!(kinds(&verify(&both, None).problems), [ProblemKind::TwoContracts]);
    let found = contradictions(&consumer, &second);
    assert!(kinds(&found).contains(&ProblemKind::TwoContracts), "{found:?}");
    assert!(found[0].text.contains("in the other"), "{}", found[0]);
}

#[test]
fn a_hold_that_is_not_good_is_reported() {
    let (_, mut provider) = ledgers();
    let at = provider.iter().rposition(|row| row.table == Table::Reservations).unwrap();
    let mut hold: HoldRecord = decode(Table::Reservations, provider[at].value.as_ref().unwrap()).unwrap();
    let reserved = hold.reserved.claimed().cloned().unwrap();
    hold.reserved = Signed::new(reserved, &signer(9));
    let key = provider[at].key.clone();
    provider[at] = Row::put(Table::Reservations, key, &hold);
    assert_eq!(kinds(&verify(&provider, None).problems), [ProblemKind::BadHold]);
}

#[test]
fn renewals_that_are_not_good_are_reported() {
    let (consumer, provider) = ledgers();
    let signed_by = |row: &mut Row, renewal: Renewal, by: u8| {
        *row =
            Row::put(Table::Renewals, row.key.clone(), &RenewalRecord { renewal: Signed::new(renewal, &signer(by)) });
    };
    let number = |row: &Row| row.key[19];
    let bad = |rows: &[Row]| kinds(&verify(rows, None).problems);
    let by_another = change_renewals(&provider, |row, renewal| {
        if number(row) == 2 {
            signed_by(row, renewal, 9);
        }
    });
    assert_eq!(bad(&by_another), [ProblemKind::BadRenewal]);
    let late = change_renewals(&provider, |row, renewal| {
        if number(row) == 1 {
            let at = renewal.at + Span::secs(7200);
            signed_by(row, Renewal { at, ..renewal }, 2);
        }
    });
    assert_eq!(bad(&late), [ProblemKind::BadRenewal]);
    let gap: Vec<Row> =
        provider.iter().filter(|row| row.table != Table::Renewals || number(row) != 1).cloned().collect();
    assert_eq!(bad(&gap), [ProblemKind::BadRenewal]);
    let orphans: Vec<Row> = provider.iter().filter(|row| row.table == Table::Renewals).cloned().collect();
    assert_eq!(bad(&orphans), [ProblemKind::BadRenewal]);
    let twice = change_renewals(&provider, |row, renewal| {
        if number(row) == 2 {
            let ask = renewal.ask.claimed().cloned().unwrap();
            let ask = Signed::new(RenewalAsk { n: 1, ..ask }, &signer(1));
            signed_by(row, Renewal { ask, ..renewal }, 2);
        }
    });
    assert_eq!(bad(&twice), [ProblemKind::BadRenewal]);
    // Between two ledgers: the seller must have what the buyer has, and the same.
    let dearer = change_renewals(&provider, |row, renewal| {
        if number(row) == 2 {
            signed_by(row, Renewal { price: rate("0.1EUR/h"), ..renewal }, 2);
        }
    });
    assert_eq!(kinds(&contradictions(&consumer, &dearer)), [ProblemKind::TwoContracts]);
    let lost: Vec<Row> =
        provider.iter().filter(|row| row.table != Table::Renewals || number(row) != 2).cloned().collect();
    assert_eq!(kinds(&contradictions(&consumer, &lost)), [ProblemKind::Missing]);
    assert_eq!(kinds(&contradictions(&lost, &consumer)), [ProblemKind::Missing]);
    assert_eq!(contradictions(&provider, &consumer_without_renewals(&consumer)), [], "an answer may be lost");
}

fn consumer_without_renewals(rows: &[Row]) -> Vec<Row> {
    rows.iter().filter(|row| row.table != Table::Renewals).cloned().collect()
}

#[test]
fn a_damaged_row_is_reported() {
    let (_, provider) = ledgers();
    for table in [Table::Contracts, Table::Renewals, Table::Reservations] {
        let mut rows = provider.clone();
        let at = rows.iter().rposition(|row| row.table == table).unwrap();
        rows[at].value = Some(vec![1, 0, 99]);
        assert!(kinds(&verify(&rows, None).problems).contains(&ProblemKind::Damaged), "{table:?}");
    }
    let mut rows = provider.clone();
    let at = rows.iter().rposition(|row| row.table == Table::Contracts).unwrap();
    rows[at].key = vec![0; 16];
    assert!(kinds(&verify(&rows, None).problems).contains(&ProblemKind::Damaged));
}

#[test]
fn what_lives_at_one_party_alone_is_a_contradiction() {
    let (consumer, provider) = ledgers();
    // The provider's ledger as it was before the first contract ended there.
    let mut last: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
    for row in provider.iter().filter(|row| row.table == Table::Contracts) {
        let record: ContractRecord = decode(Table::Contracts, row.value.as_ref().unwrap()).unwrap();
        if record.end.is_none() {
            last.insert(row.key.clone(), row.clone());
        }
    }
    let alive: Vec<Row> = last.into_values().chain(provider_renewals(&provider)).collect();
    let found = contradictions(&consumer, &alive);
    assert_eq!(kinds(&found), [ProblemKind::LivesAtOne]);
    assert!(found[0].text.ends_with("lives in the other"), "{}", found[0]);
    // What the buyer has, the seller must have kept before.
    let other = alive_alone(&alive);
    assert!(kinds(&contradictions(&consumer, &other)).contains(&ProblemKind::Missing));
    // What the seller has alone is no contract once it has ended, and is one as long as it lives.
    let found = contradictions(&alive, &alive_alone(&consumer));
    assert!(kinds(&found).contains(&ProblemKind::Missing), "{found:?}");
}

fn provider_renewals(rows: &[Row]) -> Vec<Row> {
    rows.iter().filter(|row| row.table == Table::Renewals).cloned().collect()
}

/// Leaves one contract of a ledger only.
fn alive_alone(rows: &[Row]) -> Vec<Row> {
    let key = rows.iter().find(|row| row.table == Table::Contracts).unwrap().key.clone();
    rows.iter().filter(|row| row.key == key).cloned().collect()
}

#[test]
fn an_unanswered_grant_that_lapsed_is_no_contradiction() {
    let mut world = World::new(Config::default());
    world.bought(1, Mode::Direct);
    world.buy(wish(id(P), 2, Mode::Direct));
    let ask = world.wire.pop_front().unwrap();
    world.deliver(ask);
    world.crash(C);
    let found = contradictions(&world.nodes[C].ledger, &world.nodes[P].ledger);
    assert_eq!(kinds(&found), [ProblemKind::Missing], "while it lives it is one");
    world.run(Span::secs(61));
    assert_eq!(contradictions(&world.nodes[C].ledger, &world.nodes[P].ledger), []);
    let sides: Vec<Side> = world.nodes[P].manager.contracts().map(|view| view.role).collect();
    assert_eq!(sides, [Side::Provider, Side::Provider]);
}
