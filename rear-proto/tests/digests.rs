//! Capacity digests: what was summarised is never denied, and a digest stays small.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use std::collections::BTreeMap;

use kernel::{Quantity, Resource, Resources, Span};
use proptest::{collection::vec, prelude::*, sample::select};
use rear_proto::{
    CapacityDigest, Epoch, Extensions, Flavour, Kind, Location, Money, Period, Price, Properties, Rate, Selector,
    capacity::{Gathering, Group, Least, MOST_BYTES, MOST_GROUPS, Words},
    door::{MAX_DIGEST, MAX_GROUPS, MAX_MONEY, MAX_WORDS},
    flavour::{K8Slice, Partitionable, Policies, Sensor, Vm},
    message::{Ask, Request},
    refusal::Refusal,
    selector::{Bounds, Field, Filter, Test},
    wire::codec,
};
use samples::{domain, flavour, messages::capacity_digest};

const WORDS: [&str; 7] = ["IT", "it", "Fast", "rack", "wasm", "amd64", "alpha"];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![
        3 => (0..9u64).prop_map(Quantity::units),
        1 => (0..4000u64).prop_map(Quantity::millis),
        1 => (0..5u64).prop_map(|n| Quantity::bytes(n << 30)),
        1 => Just(Quantity::units(u64::MAX)),
    ]
}

fn resources() -> impl Strategy<Value = Resources> {
    (quantity(), quantity(), quantity(), quantity(), quantity())
        .prop_map(|(cpu, memory, pods, storage, gpu)| Resources { cpu, memory, pods, storage, gpu })
}

fn kind() -> impl Strategy<Value = Kind> {
    let slice = (word(), vec(word(), 0..3))
        .prop_map(|(architecture, runtimes)| Kind::K8Slice(K8Slice { architecture, runtimes, ..K8Slice::default() }));
    let vm = word().prop_map(|architecture| Kind::Vm(Vm { architecture, ..Vm::default() }));
    prop_oneof![3 => slice, 1 => vm, 1 => Just(Kind::Sensor(Sensor::default()))]
}

fn properties() -> impl Strategy<Value = Properties> {
    let named = vec((select(vec!["rack", "Security", "zone"]).prop_map(str::to_owned), word()), 0..3);
    (vec(word(), 0..3), vec(word(), 0..3), named, prop::option::of(0..9u32)).prop_map(
        |(tags, security_standards, additional, latency_ms)| Properties {
            tags,
            security_standards,
            additional: additional.into_iter().collect(),
            latency_ms,
            ..Properties::default()
        },
    )
}

fn price() -> impl Strategy<Value = Price> {
    let amount =
        prop_oneof![(0..20u64).prop_map(|n| Money(n * 100_000)), (0..9u64).prop_map(Money), Just(Money(MAX_MONEY))];
    let priced = vec(select(&Resource::ALL[..]), 0..3);
    (amount, select(vec!["EUR", "USD"]), period(), priced).prop_map(|(amount, currency, period, priced)| Price {
        amount,
        currency: currency.parse().unwrap(),
        period,
        priced,
    })
}

fn period() -> impl Strategy<Value = Period> {
    select(vec![Period::Hour, Period::Day])
}

fn offer() -> impl Strategy<Value = Flavour> {
    let rule = prop::option::weighted(0.8, (resources(), resources()));
    let place = prop::option::of((prop::option::of(word()), prop::option::of(word())));
    let amounts = (resources(), resources(), rule);
    (kind(), amounts, properties(), price(), place).prop_map(|(kind, (base, left, rule), properties, price, place)| {
        let partitionable = rule.map(|(min, step)| Partitionable { min: min.min(&base), step });
        let available = if left.cpu.is_zero() { base } else { left.min(&base) };
        Flavour {
            kind,
            base,
            available,
            properties,
            policies: Policies { partitionable, aggregatable: None },
            price,
            location: place.map(|(country, city)| Location { country, city, ..Location::default() }),
            ..flavour()
        }
    })
}

fn bounds<T: std::fmt::Debug + Clone>(two: impl Strategy<Value = (T, T)>) -> impl Strategy<Value = Bounds<T>> {
    (0..8u8, two).prop_map(|(kind, (one, other))| match kind {
        0 => Bounds::Match(one),
        1..=4 => Bounds::AtLeast(one),
        5 | 6 => Bounds::AtMost(one),
        _ => Bounds::Between(one, other),
    })
}

#[derive(Debug, Clone)]
enum Wanted {
    Filter(Filter),
    /// At most what an offer costs for a need, so that many are just within.
    JustWithin(usize),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let fields = select(vec![
        Field::Kind,
        Field::Architecture,
        Field::Location,
        Field::Domain,
        Field::Tags,
        Field::Runtime,
        Field::Property("rack".to_owned()),
        Field::Property("SECURITY".to_owned()),
        Field::Property("none".to_owned()),
    ]);
    let word = || prop_oneof![4 => word(), 1 => Just("k8slice".to_owned()), 1 => Just(domain().key.to_string())];
    let test = prop_oneof![
        word().prop_map(Test::Is),
        vec(word(), 1..3).prop_map(Test::In),
        vec(word(), 1..3).prop_map(Test::NotIn),
    ];
    let rate = || {
        let parts = (select(vec![0u64, 1, 100_000, 1_000_000]), select(vec!["EUR", "USD"]), period());
        parts.prop_map(|(amount, currency, period)| Rate {
            amount: Money(amount),
            currency: currency.parse().unwrap(),
            period,
        })
    };
    let filter = prop_oneof![
        4 => (select(&Resource::ALL[..]), bounds((quantity(), quantity()))).prop_map(|(of, bounds)| Filter::Amount(of, bounds)),
        3 => (fields, test).prop_map(|(field, test)| Filter::Word(field, test)),
        1 => bounds((rate(), rate())).prop_map(Filter::Price),
    ];
    prop_oneof![4 => filter.prop_map(Wanted::Filter), 1 => (0..8usize).prop_map(Wanted::JustWithin)]
}

/// Makes a selector; where it asks for what something costs, that is an offer's own price for the need.
fn selector(wanted: &[Wanted], offers: &[Flavour]) -> Selector {
    let plain = |wanted: &Wanted| match wanted {
        Wanted::Filter(filter) => Some(filter.clone()),
        Wanted::JustWithin(_) => None,
    };
    let mut selector = Selector { filters: wanted.iter().filter_map(plain).collect() };
    for one in wanted {
        let Wanted::JustWithin(n) = one else { continue };
        let Some(offer) = offers.get(n % offers.len().max(1)) else { continue };
        let need = Selector { filters: amounts(&selector) };
        if let Ok(fit) = need.check(offer, None) {
            selector.filters.push(Filter::Price(Bounds::AtMost(fit.price)));
        }
    }
    selector
}

fn amounts(selector: &Selector) -> Vec<Filter> {
    selector.filters.iter().filter(|filter| matches!(filter, Filter::Amount(..))).cloned().collect()
}

fn gathered<'a>(offers: impl IntoIterator<Item = &'a Flavour>) -> Gathering {
    let mut gathering = Gathering::default();
    offers.into_iter().for_each(|offer| gathering.add(Group::of(offer)));
    gathering.fit();
    gathering
}

fn digest(groups: &[Group]) -> CapacityDigest {
    CapacityDigest {
        number: Epoch { starts: 1, changes: 1 },
        domain: domain(),
        groups: groups.to_vec(),
        everything: false,
        expires_in: Span::secs(180),
        extensions: Extensions::new(),
    }
}

fn of(offers: &[Flavour]) -> CapacityDigest {
    digest(gathered(offers).groups())
}

/// A slice of another architecture for each number, so that there are many groups.
fn odd(n: usize) -> Flavour {
    let slice =
        K8Slice { architecture: format!("arch-{n}"), runtimes: vec![format!("driver-{n}")], ..K8Slice::default() };
    Flavour { kind: Kind::K8Slice(slice), ..flavour() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_matches_is_never_denied(
        offers in vec(offer(), 1..6), many in select(vec![0usize, 0, 3, 15, 40]), wanted in vec(wanted(), 0..4),
    ) {
        let all: Vec<Flavour> = offers.iter().cloned().chain((0..many).map(odd)).collect();
        let selector = selector(&wanted, &offers);
        let digest = of(&all);
        let read: CapacityDigest = codec::decode(&codec::encode(&digest)).unwrap();
        let matching = all.iter().filter(|offer| selector.check(offer, None).is_ok()).count();
        prop_assert!(matching == 0 || read.may_have(&selector), "{selector} {digest:#?}");
        prop_assert!(read.most(&selector) as usize >= matching);
        prop_assert!(read.may_have(&Selector::default()));
    }

    #[test]
    fn it_is_small_and_the_same_in_any_order(
        offers in vec(offer(), 0..12), many in 0..40usize, seed in any::<prop::sample::Index>(),
    ) {
        let mut all: Vec<Flavour> = offers.into_iter().chain((0..many).map(odd)).collect();
        let first = gathered(&all);
        prop_assert!(first.groups().len() <= MOST_GROUPS);
        prop_assert!(codec::encode(&first.groups().to_vec()).len() <= MOST_BYTES);
        prop_assert_eq!(first.groups().iter().map(|group| group.count as usize).sum::<usize>(), all.len());
        if !all.is_empty() {
            let at = seed.index(all.len());
            all.rotate_left(at);
            all.reverse();
        }
        let other = gathered(&all);
        prop_assert!(first.says_the_same(&other), "{first:#?} {other:#?}");
        let ask = Ask { request: Request::CapacityDigest(of(&all)), tell: true, extensions: Extensions::new() };
        prop_assert!(ask.validate().is_ok());
    }

    #[test]
    fn what_is_covered_adds_nothing(offers in vec(offer(), 1..6), one in offer(), many in select(vec![0usize, 20])) {
        let all: Vec<Flavour> = offers.into_iter().chain((0..many).map(odd)).collect();
        let before = gathered(&all);
        for offer in &all {
            prop_assert!(before.covers(&Group::of(offer)));
        }
        let mut after = before.clone();
        after.add(Group::of(&one));
        after.fit();
        if before.covers(&Group::of(&one)) && after.groups().len() == before.groups().len() {
            prop_assert!(before.says_the_same(&after));
        }
        prop_assert!(after.covers(&Group::of(&one)));
    }
}

#[track_caller]
fn check(offers: &[Flavour], wanted: &str, may_have: bool) {
    let selector: Selector = wanted.parse().unwrap();
    assert_eq!(of(offers).may_have(&selector), may_have, "{wanted}: {:#?}", of(offers));
}

/// 8 cores and 16 GiB at 0.80 an hour, of which so much is left.
fn slice(cpu: &str, memory: &str) -> Flavour {
    let amounts = |cpu: &str, memory: &str| Resources {
        cpu: cpu.parse().unwrap(),
        memory: memory.parse().unwrap(),
        pods: Quantity::units(10),
        ..Resources::default()
    };
    let kind = K8Slice { architecture: "amd64".to_owned(), runtimes: vec!["wasm".to_owned()], ..K8Slice::default() };
    Flavour {
        kind: Kind::K8Slice(kind),
        base: amounts("8", "16Gi"),
        available: amounts(cpu, memory),
        properties: Properties { tags: vec!["green".to_owned()], ..Properties::default() },
        policies: Policies {
            partitionable: Some(Partitionable { min: amounts("500m", "0"), step: Resources::default() }),
            aggregatable: None,
        },
        price: Price {
            amount: "0.80".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        },
        location: Some(Location { country: Some("IT".to_owned()), ..Location::default() }),
        ..flavour()
    }
}

#[test]
fn it_says_no_to_what_nobody_there_has() {
    let mut dear = slice("8", "1Gi");
    dear.price.amount = "1.60".parse().unwrap();
    let offers = [slice("2", "8Gi"), dear];
    for (wanted, may_have) in [
        ("cpu>=8", true),
        ("cpu>=9", false),
        // The one has the cores, and the other the memory.
        ("cpu>=8, memory>=8Gi", true),
        ("memory>=9Gi", false),
        ("gpu>=1", false),
        ("cpu>=1, arch=amd64, runtime in (oci, wasm)", true),
        ("cpu>=1, arch=arm64", false),
        ("runtime=oci", false),
        ("kind=VM", false),
        ("kind not in (K8Slice)", false),
        ("location=it, tags=GREEN", true),
        ("location=FR", false),
        ("tags not in (green)", false),
        ("tags not in (blue)", true),
        ("property.rack=7", false),
        ("property.rack not in (7)", true),
        ("domain=alpha", true),
        ("domain=beta", false),
        ("domain not in (alpha)", false),
        // A quarter of the cores costs a quarter of the lower price.
        ("cpu>=2, price<=0.20EUR/h", true),
        ("cpu>=2, price<=0.199999EUR/h", false),
        ("memory>=8Gi, price<=0.40EUR/h", true),
        ("memory>=8Gi, price<=0.39EUR/h", false),
        ("cpu>=2, price<=4.8EUR/d", true),
        ("cpu>=2, price<=4.79EUR/d", false),
        ("price<=0.05EUR/h", true),
        ("price<=0.04EUR/h", false),
        ("cpu>=2, price<=1USD/h", false),
        ("cpu>=2, price>=99EUR/h", true),
        ("cpu>=2, latency<=1", true),
    ] {
        check(&offers, wanted, may_have);
    }
    check(&[], "", false);
    check(&[slice("0", "0")], "", true);
    check(&[slice("400m", "8Gi")], "memory>=1Gi", false);
}

#[test]
fn of_many_kinds_of_offers_less_is_said_of_each() {
    let offers: Vec<Flavour> = (0..40).map(odd).collect();
    check(&offers, "arch=arch-7", true);
    check(&offers, "cpu>=1000", false);
    check(&offers, "kind=VM", false);
    let few: Vec<Flavour> = (0..4).map(odd).collect();
    check(&few, "arch=arch-3, runtime=driver-3", true);
    check(&few, "arch=arch-3, runtime=driver-2", false);
}

#[test]
fn an_ordinary_domain_takes_under_a_kilobyte() {
    // Two architectures, with and without accelerators, in three cities, of three sizes.
    let mut offers = Vec::new();
    for n in 0..600usize {
        let mut one = slice(["1", "4", "8"][n % 3], "8Gi");
        let Kind::K8Slice(kind) = &mut one.kind else { panic!("a slice") };
        kind.architecture = ["amd64", "arm64"][n % 2].to_owned();
        kind.runtimes = if n % 5 == 0 { vec!["wasm".to_owned(), "oci".to_owned()] } else { kind.runtimes.clone() };
        one.location.as_mut().unwrap().city = Some(["Torino", "Milano", "Roma"][n % 3].to_owned());
        one.properties.additional = BTreeMap::from([("rack".to_owned(), format!("r{n}"))]);
        offers.push(one);
    }
    let bytes = codec::encode(&of(&offers)).len();
    assert!(bytes < 1024, "{bytes}");
    check(&offers, "arch=arm64, runtime=oci, location=roma", true);
    check(&offers, "arch=riscv64", false);
    check(&offers, "location=Bologna", false);
    check(&offers, "property.rack=none", true);
}

#[test]
fn a_digest_is_bounded_at_the_door() {
    let outcome = |change: &dyn Fn(&mut CapacityDigest)| {
        let mut digest = capacity_digest();
        change(&mut digest);
        let ask = Ask { request: Request::CapacityDigest(digest), tell: false, extensions: Extensions::new() };
        ask.validate().as_ref().map_or_else(|refusal: &Refusal| refusal.code().name(), |()| "ok")
    };
    let words = |count: usize| Words::Among((0..count).map(|n| n.to_string()).collect());
    let least =
        |change: &dyn Fn(&mut Least)| outcome(&|digest| digest.groups[0].price.as_mut().into_iter().for_each(change));
    assert_eq!(outcome(&|_| {}), "ok");
    for (count, expected) in [(MAX_GROUPS, "ok"), (MAX_GROUPS + 1, "TooLarge")] {
        assert_eq!(outcome(&|digest| digest.groups = vec![digest.groups[0].clone(); count]), expected);
    }
    for (count, expected) in [(MAX_WORDS, "ok"), (MAX_WORDS + 1, "TooLarge")] {
        assert_eq!(outcome(&|digest| digest.groups[0].tags = words(count)), expected);
        let named = || (0..count).map(|n| (n.to_string(), Words::Any)).collect();
        assert_eq!(outcome(&|digest| digest.groups[0].properties = Some(named())), expected);
    }
    assert_eq!(outcome(&|digest| digest.groups[0].tags = Words::Among(["x".repeat(257)].into())), "TooLarge");
    assert_eq!(outcome(&|digest| digest.groups[0].kinds = Words::Alike(["\u{1b}".to_owned()].into())), "Malformed");
    assert_eq!(outcome(&|digest| digest.expires_in = Span(u64::MAX)), "TooLarge");
    assert_eq!(outcome(&|digest| digest.domain.name = String::new()), "Malformed");
    assert_eq!(least(&|least| least.amount = Money(u64::MAX)), "Malformed");
    assert_eq!(least(&|least| least.shares = vec![least.shares[0].clone(); 2]), "Malformed");
    // Each part within its bounds, and yet much in all.
    let filler = |digest: &mut CapacityDigest, more: usize| {
        let long = (0..MAX_WORDS).map(|n| format!("{n:016}")).collect();
        let group = Group { tags: Words::Among(long), ..digest.groups[0].clone() };
        let each = codec::encode(&group).len();
        digest.groups = vec![group; MAX_DIGEST / each - 1 + more];
    };
    assert_eq!(outcome(&|digest| filler(digest, 0)), "ok");
    assert_eq!(outcome(&|digest| filler(digest, 2)), "TooLarge");
    // The largest of them fits its frame, and is looked through without a panic.
    let mut worst = capacity_digest();
    worst.groups[0].price.as_mut().unwrap().shares[0].of = Quantity::ZERO;
    assert!(worst.may_have(&"cpu>=1, price<=1EUR/h".parse().unwrap()));
}
