//! How long a selective question over a million candidates takes: by the index, and by looking at each of them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::{Mutex, OnceLock};

use discovery::{Config, Effect, Input, Manager};
use kernel::{
    DomainKey, FlavourId, Manager as _, NodeId, Quantity, RequestId, Resource, Resources, Rng, Span, Ticket, Time,
};
use rear_proto::{
    Epoch, Extensions, Flavour, Kind, Policies, Properties, Row, Selector, Table, Trace,
    flavour::{Domain, K8Slice, Partitionable, Party},
    local::{Caller, DomainSecret, Me, Partner, Pick},
    membership::Role,
    message::{List, Scope},
    price::{Money, Period, Price},
    signed::Signer,
};
use serde::{Deserialize, Serialize};

const CANDIDATES: u64 = 1_000_000;
const NOW: Time = Time(1_000_000);
const HOME: DomainKey = DomainKey([1; 32]);
const PARTNER: DomainKey = DomainKey([2; 32]);
/// One in 25,000 matches: forty.
const SELECTIVE: &str = "cpu>=48, memory>=64Gi, arch=amd64, tag=rare";

fn main() {
    divan::main();
}

/// How a candidate is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    flavour: Flavour,
    seen: Time,
    via: NodeId,
    expires: Time,
}

impl rear_proto::Record for Kept {
    const VERSION: u16 = 1;
}

fn offer(n: u64) -> Flavour {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let mut node = [3; 32];
    // A thousand supernodes with a thousand offers each; every tenth is of this domain.
    node[..8].copy_from_slice(&(n / 1000).to_be_bytes());
    let domain = if n.is_multiple_of(10) { HOME } else { PARTNER };
    let cpu = n * 7919 % 64 + 1;
    let amounts = Resources {
        cpu: Quantity::units(cpu),
        memory: Quantity::bytes((cpu * 2) << 30),
        pods: Quantity::units(100),
        ..Resources::default()
    };
    let tag = if n * 31 % 25_000 < 4 { "rare" } else { "common" };
    Flavour {
        id: FlavourId(id),
        epoch: Epoch { starts: 1, changes: 1 },
        owner: NodeId(node),
        domain: Domain { key: domain, name: "somewhere".to_owned() },
        provider: Party { node: NodeId(node), addresses: vec!["/ip4/192.0.2.1/udp/4242/quic-v1".to_owned()] },
        kind: Kind::K8Slice(K8Slice { architecture: "amd64".to_owned(), ..K8Slice::default() }),
        base: amounts,
        available: amounts,
        properties: Properties { tags: vec![tag.to_owned()], ..Properties::default() },
        policies: Policies { partitionable: Some(Partitionable::default()), aggregatable: None },
        price: Price {
            amount: Money(n * 104_729 % 5_000_000),
            currency: "EUR".parse().unwrap(),
            period: Period::Hour,
            priced: vec![Resource::Cpu],
        },
        location: None,
        origin: FlavourId(id),
        expires_in: Span::secs(600),
    }
}

fn row(n: u64) -> Row {
    let flavour = offer(n);
    let via = flavour.provider.node;
    let key = [via.as_bytes(), flavour.id.as_bytes() as &[u8]].concat();
    let expires = NOW + flavour.expires_in;
    Row::put(Table::Candidates, key, &Kept { flavour, seen: NOW, via, expires })
}

/// A supernode with so many candidates, each with its other names.
fn supernode(candidates: u64) -> Manager {
    let me = Me { signer: Signer::from_secret(&[1; 32]), domain: HOME, role: Role::Supernode };
    let mut manager = Manager::new(Config::default(), me, Rng::from_number(1));
    let mut out = Vec::new();
    manager.handle(NOW, Input::Secret(DomainSecret([1; 32])), &mut out);
    for n in 0..candidates {
        let row = row(n);
        manager.restore(row.table, &row.key, row.value.as_ref().unwrap()).unwrap();
    }
    let domain = Domain { key: PARTNER, name: "somewhere".to_owned() };
    let partner = Partner { domain, name: "somewhere".to_owned(), on: true, supernodes: Vec::new() };
    manager.handle(NOW, Input::Partners([partner].into()), &mut out);
    manager
}

fn full() -> &'static Mutex<Manager> {
    static FULL: OnceLock<Mutex<Manager>> = OnceLock::new();
    FULL.get_or_init(|| Mutex::new(supernode(CANDIDATES)))
}

#[divan::bench]
fn by_the_index(bencher: divan::Bencher<'_, '_>) {
    let mut manager = full().lock().unwrap();
    let selector: Selector = SELECTIVE.parse().unwrap();
    bencher.bench_local(|| {
        let mut out = Vec::new();
        let pick = Pick::Matching(selector.clone());
        let find = Input::Find { request: RequestId(1), pick, k: 64, max_age: Span::secs(600) };
        manager.handle(NOW, find, &mut out);
        let [Effect::Found { candidates, .. }] = out.as_slice() else { panic!("{out:?}") };
        assert!((10..64).contains(&candidates.len()), "{}", candidates.len());
        out
    });
}

#[divan::bench]
fn by_the_index_for_a_member(bencher: divan::Bencher<'_, '_>) {
    let mut manager = full().lock().unwrap();
    let selector: Selector = SELECTIVE.parse().unwrap();
    let mut query = 0u64;
    bencher.bench_local(|| {
        query += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&query.to_be_bytes());
        let list = List {
            query: kernel::QueryId(id),
            selector: selector.clone(),
            limit: 64,
            scope: Scope::Partners,
            exclude: Vec::new(),
            hops_left: 0,
            trail: Vec::new(),
            deadline: Span::millis(1),
            extensions: Extensions::new(),
        };
        let (caller, ticket) = (Caller::Member(Role::Node), Ticket(query));
        let asked = Input::Asked { ticket, from: NodeId([9; 32]), caller, list: Box::new(list), trace: Trace::None };
        let mut out = Vec::new();
        manager.handle(NOW, asked, &mut out);
        out
    });
}

#[divan::bench(sample_count = 10)]
fn by_a_scan(bencher: divan::Bencher<'_, '_>) {
    let manager = full().lock().unwrap();
    let selector: Selector = SELECTIVE.parse().unwrap();
    bencher.bench_local(|| {
        manager.candidates(NOW).filter(|view| selector.check(view.flavour, view.round_trip_ms).is_ok()).count()
    });
}

/// A question that most offers match looks at a bounded number of them.
#[divan::bench]
fn an_unselective_question(bencher: divan::Bencher<'_, '_>) {
    let mut manager = full().lock().unwrap();
    let selector: Selector = "cpu>=1".parse().unwrap();
    bencher.bench_local(|| {
        let mut out = Vec::new();
        let pick = Pick::Matching(selector.clone());
        manager.handle(NOW, Input::Find { request: RequestId(1), pick, k: 64, max_age: Span::secs(600) }, &mut out);
        out
    });
}

/// Ten thousand more, with their other names.
#[divan::bench(sample_count = 10)]
fn ten_thousand_arrivals(bencher: divan::Bencher<'_, '_>) {
    let rows: Vec<Row> = (0..10_000).map(|n| row(n * 97)).collect();
    bencher.with_inputs(|| supernode(0)).bench_local_values(|mut manager| {
        for row in &rows {
            manager.restore(row.table, &row.key, row.value.as_ref().unwrap()).unwrap();
        }
        manager
    });
}
