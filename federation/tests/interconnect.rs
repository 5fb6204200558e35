//! Operators and their zones: each verb and its guard, and two sides that always end equal.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use federation::interconnect::{Hindrance, Interconnect, Nodes, Obstacle, Phase, Role, Side, Uses, Zone};
use kernel::{ContractId, DomainKey, NodeId, Quantity, Resources};
use proptest::prelude::*;
use rear_proto::{
    Epoch, Extensions, Refusal,
    operator::{Federator, Grant, Quota, RequestNo, Statement, ZoneId, ZoneInfo},
};

/// The contracts that run: in whose zone, by whom.
#[derive(Debug, Default)]
struct Running(RefCell<BTreeMap<(Side, ZoneId), Vec<ContractId>>>);

impl Uses for Running {
    fn contracts(&self, _: &DomainKey, by: Side, zone: &ZoneId) -> Vec<ContractId> {
        self.0.borrow().get(&(by, zone.clone())).cloned().unwrap_or_default()
    }
}

/// Two operators, and what runs at either, as it sees it.
struct Two {
    sides: [Interconnect; 2],
    running: [Running; 2],
    next: u8,
}

const KEYS: [DomainKey; 2] = [DomainKey([1; 32]), DomainKey([2; 32])];

fn zone_id(n: usize) -> ZoneId {
    format!("zone-000{n}").parse().unwrap()
}

fn zone(n: usize) -> Zone {
    let info = ZoneInfo {
        id: zone_id(n),
        geo: Some("45.07,7.69".parse().unwrap()),
        city: Some("Torino".to_owned()),
        state: None,
        locality: None,
        country: Some("IT".parse().unwrap()),
        nodes: 3,
        extensions: Extensions::new(),
    };
    Zone { info, nodes: Nodes::Listed(BTreeSet::from([NodeId([9; 32])])) }
}

fn federator(name: &str, mcc: &str) -> Federator {
    Federator {
        id: format!("federation-{name}").parse().unwrap(),
        operator: name.to_owned(),
        country: "IT".parse().unwrap(),
        mcc: Some(mcc.to_owned()),
        mnc: vec!["01".to_owned()],
        locator: None,
        extensions: Extensions::new(),
    }
}

fn grant(zone: &ZoneId) -> Result<Grant, String> {
    let limit = Resources { cpu: Quantity::units(8), ..Resources::default() };
    Ok(Grant { zone: zone.clone(), quota: Quota { guaranteed: limit, limit }, home: NodeId([5; 32]), epoch: 1 })
}

impl Two {
    fn new() -> Self {
        let mut sides = [Interconnect::default(), Interconnect::default()];
        for (n, name) in [(0, "alpha"), (1, "beta")] {
            sides[n].describe(federator(name, "222"));
            sides[n].plan(KEYS[1 - n], ["beta", "alpha"][n], 1).unwrap();
        }
        Self { sides, running: Default::default(), next: 0 }
    }

    fn request(&mut self) -> RequestNo {
        self.next += 1;
        RequestNo([self.next; 16])
    }

    /// What one side has not told the other; its answer.
    fn unheard(&self, n: usize) -> Option<Statement> {
        self.sides[n].edge(&KEYS[1 - n])?.unheard().cloned()
    }

    fn deliver(&mut self, to: usize, statement: Statement, heard: bool) {
        let (from, number) = (1 - to, statement.number);
        let (used, zones) = (&self.running[to], self.sides[to].clone());
        let decide = |zone: &ZoneId| {
            assert!(zones.zones().any(|(known, _)| known == zone));
            grant(zone)
        };
        let is_used = |zone: &ZoneId| !used.contracts(&KEYS[from], Side::Theirs, zone).is_empty();
        if let Ok(edge) = self.sides[to].edge_mut(&KEYS[from]) {
            edge.hear(statement, decide, is_used);
        }
        if heard && let Ok(edge) = self.sides[from].edge_mut(&KEYS[to]) {
            edge.acknowledged(number);
        }
    }

    /// Lets each look again at what it grants, and tell the other, until neither has anything new.
    fn settle(&mut self) {
        for _ in 0..16 {
            for n in [0, 1] {
                let used = &self.running[n];
                let is_used = |zone: &ZoneId| !used.contracts(&KEYS[1 - n], Side::Theirs, zone).is_empty();
                if let Ok(edge) = self.sides[n].edge_mut(&KEYS[1 - n]) {
                    edge.answer(grant, is_used);
                }
                if let Some(statement) = self.unheard(n) {
                    self.deliver(1 - n, statement, true);
                }
            }
        }
        assert!(self.unheard(0).is_none() && self.unheard(1).is_none());
    }

    fn federation(&self, n: usize, role: Role) -> Phase {
        self.sides[n].edge(&KEYS[1 - n]).unwrap().federation(role)
    }

    fn registration(&self, n: usize, role: Role, zone: usize) -> Phase {
        self.sides[n].edge(&KEYS[1 - n]).unwrap().registration(role, &zone_id(zone))
    }

    /// Alpha uses zone 1 of beta.
    fn using() -> Self {
        let mut two = Self::new();
        two.sides[1].create_zone(zone(1)).unwrap();
        two.sides[1].share(&zone_id(1), &KEYS[0]).unwrap();
        let request = two.request();
        two.sides[0].register(&KEYS[1], request).unwrap();
        two.settle();
        let request = two.request();
        two.sides[0].register_zone(&zone_id(1), &KEYS[1], request).unwrap();
        two.settle();
        assert_eq!(two.registration(0, Role::Consumer, 1), Phase::Registered);
        two
    }

    /// A contract of alpha's runs in zone 1 of beta, until it is ended.
    fn run(&mut self) {
        let contract = ContractId([3; 16]);
        self.running[0].0.borrow_mut().insert((Side::Ours, zone_id(1)), vec![contract]);
        self.running[1].0.borrow_mut().insert((Side::Theirs, zone_id(1)), vec![contract]);
    }

    fn end(&mut self) {
        self.running.iter().for_each(|running| running.0.borrow_mut().clear());
    }
}

fn obstacles(refused: Result<(), Hindrance>) -> Vec<Obstacle> {
    match refused {
        Err(Hindrance::InTheWay { obstacles, .. }) => obstacles,
        other => panic!("{other:?}"),
    }
}

fn says(refused: Result<(), Hindrance>) -> String {
    Refusal::from(refused.unwrap_err()).text()
}

#[test]
fn a_zone_is_seen_when_it_is_shared_and_registered_and_not_before() {
    let mut two = Two::new();
    let seen = |two: &Two| two.sides[1].exposed_to(&KEYS[0]).count();
    two.sides[1].create_zone(zone(1)).unwrap();
    assert_eq!(seen(&two), 0);
    two.sides[1].share(&zone_id(1), &KEYS[0]).unwrap();
    two.settle();
    // Planned: what is shared is known, and may not be used.
    assert_eq!((seen(&two), two.federation(0, Role::Consumer)), (0, Phase::Planned));
    let request = two.request();
    assert!(says(two.sides[0].register_zone(&zone_id(1), &KEYS[1], request)).contains("may not use the zones of beta"));
    two.sides[0].register(&KEYS[1], request).unwrap();
    assert_eq!(two.federation(0, Role::Consumer), Phase::Registering);
    two.settle();
    assert_eq!(two.federation(0, Role::Consumer), Phase::Registered);
    assert_eq!(two.federation(1, Role::Provider), Phase::Registered);
    assert_eq!(two.federation(1, Role::Consumer), Phase::Planned, "the other direction is its own");
    let request = two.request();
    two.sides[0].register_zone(&zone_id(1), &KEYS[1], request).unwrap();
    assert_eq!((two.registration(0, Role::Consumer, 1), seen(&two)), (Phase::Registering, 0));
    two.settle();
    assert_eq!((two.registration(0, Role::Consumer, 1), seen(&two)), (Phase::Registered, 1));
    assert_eq!(two.sides[0].edge(&KEYS[1]).unwrap().granted(&zone_id(1)), Some(&grant(&zone_id(1)).unwrap()));
}

#[test]
fn each_verb_is_refused_for_all_that_is_in_its_way() {
    let mut two = Two::using();
    two.run();
    let running = &two.running;
    let names = |obstacles: Vec<Obstacle>| obstacles.iter().map(ToString::to_string).collect::<Vec<_>>();
    // At the provider.
    let contract = "contract 03030303030303030303030303030303 of alpha runs in zone zone-0001";
    let registered = "zone zone-0001 is registered by alpha";
    let shared = "zone zone-0001 is shared with alpha";
    let beta = &mut two.sides[1];
    assert_eq!(names(obstacles(beta.unshare(&zone_id(1), &KEYS[0], &running[1]))), [contract, registered]);
    assert_eq!(names(obstacles(beta.delete_zone(&zone_id(1)))), [registered, shared]);
    let all = names(obstacles(beta.delete(&KEYS[0], &running[1])));
    assert_eq!(all, [contract, registered, "alpha is registered with this domain", shared]);
    assert_eq!(names(obstacles(beta.undescribe())), ["there is partner alpha"]);
    // At the consumer.
    let alpha = &mut two.sides[0];
    let contract = "contract 03030303030303030303030303030303 runs in zone zone-0001 of beta";
    let registered = "zone zone-0001 of beta is registered here";
    assert_eq!(names(obstacles(alpha.deregister_zone(&zone_id(1), &KEYS[1], &running[0]))), [contract]);
    assert_eq!(names(obstacles(alpha.deregister(&KEYS[1], &running[0]))), [contract, registered]);
    let all = names(obstacles(alpha.delete(&KEYS[1], &running[0])));
    assert_eq!(all, [contract, registered, "this domain is registered with beta"]);
    let plan = alpha.leave_plan(&KEYS[1], &running[0]).unwrap();
    assert_eq!(names(plan.clone())[..3], all[..]);
    let remedies: Vec<_> = plan.iter().filter_map(Obstacle::remedy).collect();
    assert_eq!(
        remedies,
        [
            "tombolo release 03030303030303030303030303030303",
            "tombolo zone deregister zone-0001 --partner beta",
            "tombolo partner deregister beta",
            "tombolo partner remove beta"
        ]
    );
    assert!(
        says(alpha.deregister(&KEYS[1], &running[0])).starts_with("this domain can't deregister from beta: first, ")
    );
}

#[test]
fn what_is_so_already_or_is_not_there_says_so() {
    let mut two = Two::using();
    let request = two.request();
    let [alpha, beta] = &mut two.sides;
    let none = Running::default();
    for (refused, text) in [
        (alpha.plan(KEYS[1], "gamma", 1), "that domain is a partner already, as 'beta'"),
        (alpha.plan(DomainKey([7; 32]), "beta", 1), "there is a partner 'beta' already"),
        (alpha.register(&KEYS[1], request), "this domain is registered with beta already"),
        (beta.deregister(&KEYS[0], &none), "this domain is not registered with alpha"),
        (alpha.register_zone(&zone_id(1), &KEYS[1], request), "zone zone-0001 of beta is registered already"),
        (alpha.register_zone(&zone_id(2), &KEYS[1], request), "there is no zone zone-0002 that beta shares"),
        (alpha.deregister_zone(&zone_id(2), &KEYS[1], &none), "zone zone-0002 of beta is deregistered already"),
        (beta.unshare(&zone_id(2), &KEYS[0], &none), "zone zone-0002 is not shared with alpha"),
        (beta.share(&zone_id(2), &KEYS[0]), "there is no zone zone-0002"),
        (beta.delete_zone(&zone_id(2)), "there is no zone zone-0002"),
        (beta.share(&zone_id(1), &KEYS[1]), "there is no such partner"),
    ] {
        let said = says(refused);
        assert!(said.starts_with(text), "{said}");
    }
    // What changes nothing is no error where it is the same.
    assert!(beta.share(&zone_id(1), &KEYS[0]).is_ok() && beta.create_zone(zone(1)).is_ok());
    let other = Zone { nodes: Nodes::Listed(BTreeSet::new()), ..zone(1) };
    assert!(says(beta.create_zone(other)).contains("it is not the same"));
    assert!(two.unheard(0).is_none() && two.unheard(1).is_none());
}

#[test]
fn a_zone_that_is_given_back_goes_with_the_last_that_runs_on_it() {
    let mut two = Two::using();
    two.sides[0].deregister_zone(&zone_id(1), &KEYS[1], &Running::default()).unwrap();
    // One that the consumer does not know of any longer.
    two.running[1].0.borrow_mut().insert((Side::Theirs, zone_id(1)), vec![ContractId([4; 16])]);
    two.settle();
    assert_eq!(two.registration(1, Role::Provider, 1), Phase::Deregistering);
    assert_eq!(two.sides[1].exposed_to(&KEYS[0]).count(), 0, "nothing new");
    assert_eq!(obstacles(two.sides[1].unshare(&zone_id(1), &KEYS[0], &two.running[1])).len(), 2);
    two.end();
    two.settle();
    assert_eq!(two.registration(1, Role::Provider, 1), Phase::Planned);
    assert!(two.sides[1].unshare(&zone_id(1), &KEYS[0], &two.running[1]).is_ok());
}

#[test]
fn attributes_are_told_to_every_partner() {
    let mut two = Two::new();
    two.sides[0].describe(federator("alpha", "310"));
    two.settle();
    let told = two.sides[1].edge(&KEYS[0]).unwrap().federator().unwrap().mcc.clone();
    assert_eq!(told.as_deref(), Some("310"));
}

#[test]
fn a_dead_partner_is_left_behind_and_learns_it_when_it_is_back() {
    let mut two = Two::using();
    two.run();
    two.sides[0].force_local(&KEYS[1]).unwrap();
    two.end();
    two.settle();
    assert_eq!(two.federation(1, Role::Provider), Phase::Planned);
    assert_eq!(two.registration(1, Role::Provider, 1), Phase::Planned);
    assert_eq!(two.sides[1].exposed_to(&KEYS[0]).count(), 0);
}

#[test]
fn a_partner_that_is_taken_up_again_hears_and_is_heard() {
    let mut two = Two::using();
    let none = Running::default();
    two.sides[0].deregister_zone(&zone_id(1), &KEYS[1], &none).unwrap();
    two.settle();
    two.sides[0].deregister(&KEYS[1], &none).unwrap();
    two.settle();
    two.sides[0].delete(&KEYS[1], &none).unwrap();
    two.sides[0].plan(KEYS[1], "beta", 1).unwrap();
    let request = two.request();
    two.sides[0].register(&KEYS[1], request).unwrap();
    two.settle();
    assert_eq!(two.sides[0].edge(&KEYS[1]).unwrap().offered().count(), 1);
    assert_eq!(two.federation(0, Role::Consumer), Phase::Registered);
    assert_eq!(two.federation(1, Role::Provider), Phase::Registered);
}

#[test]
fn what_was_refused_is_not_granted_when_the_domain_registers_again() {
    let mut two = Two::using();
    let none = Running::default();
    two.sides[1].create_zone(zone(2)).unwrap();
    two.sides[1].share(&zone_id(2), &KEYS[0]).unwrap();
    two.settle();
    let request = two.request();
    two.sides[0].register_zone(&zone_id(2), &KEYS[1], request).unwrap();
    two.sides[1].unshare(&zone_id(2), &KEYS[0], &none).unwrap();
    two.sides[0].deregister_zone(&zone_id(1), &KEYS[1], &none).unwrap();
    two.settle();
    assert!(matches!(two.registration(0, Role::Consumer, 2), Phase::Refused(_)));
    two.sides[0].deregister(&KEYS[1], &none).unwrap();
    two.settle();
    two.sides[1].share(&zone_id(2), &KEYS[0]).unwrap();
    let request = two.request();
    two.sides[0].register(&KEYS[1], request).unwrap();
    two.settle();
    assert_eq!(two.federation(0, Role::Consumer), Phase::Registered);
    assert_eq!(two.registration(0, Role::Consumer, 2), Phase::Planned);
    assert_eq!(two.sides[1].exposed_to(&KEYS[0]).count(), 0);
}

#[test]
fn an_acknowledgement_of_what_was_never_said_is_none() {
    let mut two = Two::new();
    let said = two.unheard(0).unwrap().number;
    let edge = two.sides[0].edge_mut(&KEYS[1]).unwrap();
    edge.acknowledged(Epoch { starts: said.starts, changes: said.changes + 1 });
    let request = two.request();
    two.sides[0].register(&KEYS[1], request).unwrap();
    assert!(two.unheard(0).is_some());
    two.settle();
    assert_eq!(two.federation(1, Role::Provider), Phase::Registered);
}

/// What one side's operator does, or what becomes of a message.
#[derive(Debug, Clone, Copy)]
enum Act {
    Create(usize),
    Delete(usize),
    Share(usize),
    Unshare(usize),
    Register,
    Deregister,
    Want(usize),
    Unwant(usize),
    Begin,
    End,
    Describe(bool),
    /// Its statement arrives; the acknowledgement may not.
    Say(bool),
    /// Its statement is under way, and arrives later.
    Post,
    Arrive(usize),
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let n = || 1..4_usize;
    let act = prop_oneof![
        1 => n().prop_map(Act::Create),
        1 => n().prop_map(Act::Delete),
        3 => n().prop_map(Act::Share),
        2 => n().prop_map(Act::Unshare),
        2 => Just(Act::Register),
        1 => Just(Act::Deregister),
        4 => n().prop_map(Act::Want),
        2 => n().prop_map(Act::Unwant),
        1 => Just(Act::Begin),
        2 => Just(Act::End),
        1 => any::<bool>().prop_map(Act::Describe),
        8 => any::<bool>().prop_map(Act::Say),
        2 => Just(Act::Post),
        2 => (0..4_usize).prop_map(Act::Arrive),
    ];
    (0..2_usize, act)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_loss_and_repetition_both_sides_end_equal_and_what_is_used_is_shared(
        acts in prop::collection::vec(act(), 0..80),
    ) {
        let mut two = Two::new();
        let mut posted: Vec<(usize, Statement)> = Vec::new();
        for (n, act) in acts {
            let partner = KEYS[1 - n];
            let request = two.request();
            match act {
                Act::Create(z) => { let _ = two.sides[n].create_zone(zone(z)); }
                Act::Delete(z) => { let _ = two.sides[n].delete_zone(&zone_id(z)); }
                Act::Share(z) => { let _ = two.sides[n].share(&zone_id(z), &partner); }
                Act::Unshare(z) => { let _ = two.sides[n].unshare(&zone_id(z), &partner, &two.running[n]); }
                Act::Register => { let _ = two.sides[n].register(&partner, request); }
                Act::Deregister => { let _ = two.sides[n].deregister(&partner, &two.running[n]); }
                Act::Want(z) => { let _ = two.sides[n].register_zone(&zone_id(z), &partner, request); }
                Act::Unwant(z) => { let _ = two.sides[n].deregister_zone(&zone_id(z), &partner, &two.running[n]); }
                Act::Begin => {
                    // Something runs where the provider exposes a zone.
                    let exposed = two.sides[n].exposed_to(&partner).next().map(|(zone, _)| zone.clone());
                    if let Some(zone) = exposed {
                        let contract = vec![ContractId([8; 16])];
                        two.running[n].0.borrow_mut().insert((Side::Theirs, zone.clone()), contract.clone());
                        two.running[1 - n].0.borrow_mut().insert((Side::Ours, zone), contract);
                    }
                }
                Act::End => two.end(),
                Act::Describe(one) => two.sides[n].describe(federator("alpha", if one { "222" } else { "310" })),
                Act::Say(heard) => if let Some(statement) = two.unheard(n) { two.deliver(1 - n, statement, heard) },
                Act::Post => posted.extend(two.unheard(n).map(|statement| (n, statement))),
                Act::Arrive(at) => if let Some((from, statement)) = posted.get(at).cloned() {
                    two.deliver(1 - from, statement, true);
                },
            }
            for n in [0, 1] {
                let edge = two.sides[n].edge(&KEYS[1 - n]).unwrap();
                for (zone, _) in two.sides[n].exposed_to(&KEYS[1 - n]) {
                    prop_assert!(two.sides[n].zones().any(|(known, _)| known == zone));
                    prop_assert!(edge.federation(Role::Provider) != Phase::Planned);
                }
            }
        }
        two.end();
        two.settle();
        for (n, other) in [(0, 1), (1, 0)] {
            prop_assert_eq!(two.federation(n, Role::Consumer), two.federation(other, Role::Provider));
            for z in 1..4 {
                prop_assert_eq!(two.registration(n, Role::Consumer, z), two.registration(other, Role::Provider, z));
            }
            let (here, there) = (two.sides[n].edge(&KEYS[other]).unwrap(), two.sides[other].edge(&KEYS[n]).unwrap());
            prop_assert_eq!(here.federator(), two.sides[other].federator());
            let shared: Vec<_> = two.sides[other].zones().filter(|(zone, _)| there.exposes(zone)).collect();
            prop_assert!(shared.iter().all(|(zone, _)| here.granted(zone).is_some()));
        }
        // The plan to leave, done step by step, always succeeds.
        let none = Running::default();
        for n in [0, 1] {
            for other in [n, 1 - n] {
                for obstacle in two.sides[other].leave_plan(&KEYS[1 - other], &none).unwrap() {
                    let (side, partner) = (&mut two.sides[other], KEYS[1 - other]);
                    match obstacle {
                        Obstacle::Registration { by: Side::Ours, zone, .. } => {
                            side.deregister_zone(&zone, &partner, &none).unwrap();
                        }
                        Obstacle::Federation { by: Side::Ours, .. } => side.deregister(&partner, &none).unwrap(),
                        _ => continue,
                    }
                    two.settle();
                }
            }
        }
        for n in [0, 1] {
            for obstacle in two.sides[n].leave_plan(&KEYS[1 - n], &none).unwrap() {
                match obstacle {
                    Obstacle::Share { zone, .. } => two.sides[n].unshare(&zone, &KEYS[1 - n], &none).unwrap(),
                    Obstacle::Partner { .. } => two.sides[n].delete(&KEYS[1 - n], &none).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
