//! The index against a plain scan.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use kernel::{DomainKey, Quantity, Resources, Span};
use proptest::prelude::*;
use rear_proto::{
    Epoch, Kind, Location, Policies, Properties,
    flavour::{Domain, K8Slice, Partitionable, Party, Sensor},
    price::{Money, Period, Price},
};

use super::{toil::THOROUGH, *};

const WORDS: [&str; 4] = ["IT", "it", "Fast", "rack"];

#[derive(Debug, Clone)]
struct Plain {
    node: u8,
    id: u8,
    cpu: u64,
    memory: u64,
    price: u64,
    words: Vec<usize>,
    kind: u8,
    epoch: u64,
    own: bool,
}

fn plain() -> impl Strategy<Value = Plain> {
    let words = prop::collection::vec(0..WORDS.len(), 0..4);
    (0..4u8, 0..6u8, 0..5u64, 0..5u64, 0..4u64, words, 0..3u8, 0..4u64, prop::bool::weighted(0.2)).prop_map(
        |(node, id, cpu, memory, price, words, kind, epoch, own)| {
            let node = if own { 100 } else { node };
            Plain { node, id, cpu, memory, price, words, kind, epoch, own }
        },
    )
}

fn flavour(plain: &Plain) -> Flavour {
    let node = NodeId([plain.node; 32]);
    let word = |n: usize| plain.words.get(n).map(|word| WORDS[*word].to_owned());
    let amounts = |cpu, memory| Resources {
        cpu: Quantity::units(cpu),
        memory: Quantity::bytes(memory << 30),
        pods: Quantity::units(4),
        ..Resources::default()
    };
    let architecture = if plain.kind == 1 { "arm64" } else { "AMD64" }.to_owned();
    Flavour {
        id: FlavourId([plain.id; 16]),
        epoch: Epoch { starts: 1, changes: plain.epoch },
        owner: node,
        domain: Domain { key: DomainKey([plain.node % 2; 32]), name: word(0).unwrap_or_else(|| "alpha".to_owned()) },
        provider: Party { node, addresses: Vec::new() },
        kind: if plain.kind == 2 {
            Kind::Sensor(Sensor::default())
        } else {
            Kind::K8Slice(K8Slice { architecture, ..K8Slice::default() })
        },
        base: amounts(4, 4),
        available: amounts(plain.cpu, plain.memory),
        properties: Properties {
            tags: plain.words.iter().map(|word| WORDS[*word].to_owned()).collect(),
            security_standards: word(1).into_iter().collect(),
            additional: word(2).into_iter().map(|word| ("rack".to_owned(), word)).collect(),
            ..Properties::default()
        },
        policies: Policies {
            partitionable: Some(Partitionable { min: amounts(0, 0).min(&amounts(1, 1)), step: Resources::default() }),
            aggregatable: None,
        },
        price: Price {
            amount: Money(plain.price * 1_000_000),
            currency: "EUR".parse().unwrap(),
            period: if plain.id.is_multiple_of(2) { Period::Hour } else { Period::Day },
            priced: vec![kernel::Resource::Cpu],
        },
        location: word(3).map(|city| Location { city: Some(city), ..Location::default() }),
        origin: FlavourId([plain.id; 16]),
        expires_in: Span::secs(60),
    }
}

fn selector() -> impl Strategy<Value = String> {
    let filter = prop_oneof![
        (0..5u64, 0..4usize).prop_map(|(n, op)| format!("cpu{}{n}", [">=", "<=", "=", ">="][op])),
        (0..5u64, 0..3u64).prop_map(|(low, more)| format!("memory in {low}Gi..{}Gi", low + more)),
        (0..3u64).prop_map(|n| format!("price<={n}EUR/h")),
        (0..4usize, 0..6usize).prop_map(|(word, field)| {
            let field = ["location", "tag", "domain", "property.rack", "property.security", "arch"][field];
            format!("{field}={}", WORDS[word])
        }),
        Just("tag in (it, fast)".to_owned()),
        Just("tag not in (it)".to_owned()),
        Just("arch=amd64".to_owned()),
        Just("kind=sensor".to_owned()),
        Just(format!("domain={}", DomainKey([1; 32]))),
    ];
    prop::collection::vec(filter, 0..4).prop_map(|filters| filters.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// After any arrivals and removals, what is found is what a scan over the newest of each would find.
    #[test]
    fn a_look_up_finds_what_a_scan_finds(
        arrivals in prop::collection::vec((plain(), 0..100u64, any::<bool>()), 0..60),
        text in selector(),
        most in 0..8usize,
    ) {
        let Ok(selector) = text.parse::<Selector>() else { return Err(TestCaseError::reject("no such selector")) };
        let mut index = Index::new(DomainKey([1; 32]));
        let mut model: BTreeMap<OfferKey, (bool, Flavour, u64)> = BTreeMap::new();
        for (plain, expires, stays) in &arrivals {
            let flavour = flavour(plain);
            let key = (flavour.provider.node, flavour.id);
            if !stays {
                index.remove(&key);
                model.remove(&key);
                continue;
            }
            if model.get(&key).is_none_or(|(_, known, _)| known.epoch <= flavour.epoch) {
                model.insert(key, (plain.own, flavour.clone(), *expires));
            }
            if plain.own {
                index.put_own(flavour);
            } else {
                let heard = Heard { seen: Time(0), via: flavour.provider.node, expires: Time(*expires) };
                index.put_candidate(flavour, heard);
            }
        }
        for (whose, own) in [(Whose::Own, true), (Whose::Others, false)] {
            let side = || model.iter().filter(move |(_, (is_own, ..))| *is_own == own);
            prop_assert_eq!(index.count(whose), side().count());
            let mut scanned: Vec<(Rate, OfferKey)> = side()
                .filter_map(|(key, (_, flavour, _))| Some((selector.check(flavour, None).ok()?.price, *key)))
                .collect();
            scanned.sort_by(|a, b| by_price(&a.0, &b.0));
            let (found, more) = index.matching(whose, &selector, most, |_| true, |_| None);
            prop_assert_eq!(more, scanned.len() > most);
            let prices = |rates: Vec<Rate>| rates.into_iter().map(|rate| (rate.amount, rate.period)).collect::<Vec<_>>();
            prop_assert_eq!(found.len(), scanned.len().min(most));
            let cheapest = scanned.iter().take(most).map(|(rate, _)| *rate).collect();
            let of_found: Vec<Rate> = found.iter().map(|found| found.price).collect();
            // Of two that cost the same, either may be taken; the order of their periods may differ too.
            for (a, b) in of_found.iter().zip::<Vec<Rate>>(cheapest) {
                prop_assert_eq!(by_price(a, &b), Ordering::Equal, "{:?}", prices(of_found.clone()));
            }
            for found in &found {
                prop_assert!(scanned.iter().any(|(_, key)| *key == found.offer.key()));
            }
        }
        let mut by_expiry: Vec<u64> = model.values().filter(|(own, ..)| !own).map(|(_, _, at)| *at).collect();
        by_expiry.sort_unstable();
        prop_assert_eq!(index.expiring().map(|(at, _)| at.0).collect::<Vec<_>>(), by_expiry);
        for (key, (own, ..)) in &model {
            prop_assert!(index.with_id(key.1).any(|offer| offer.key() == *key));
            prop_assert!(*own || index.of_provider(&key.0).any(|of| of == *key));
        }
    }
}

#[test]
fn a_selective_question_looks_at_few_of_many() {
    let mut index = Index::new(DomainKey([1; 32]));
    let heard = Heard { seen: Time(0), via: NodeId([1; 32]), expires: Time(1) };
    for n in 0..20_000u32 {
        let mut offer = flavour(&Plain {
            node: 1,
            id: 1,
            cpu: u64::from(n % 1000 == 0) * 2 + 1,
            memory: 1,
            price: 1,
            words: if n % 500 == 0 { vec![0] } else { vec![2] },
            kind: 0,
            epoch: 1,
            own: false,
        });
        offer.id.0[..4].copy_from_slice(&n.to_le_bytes());
        index.put_candidate(offer, heard);
    }
    let looked_at = |text: &str| {
        let count = Cell::new(0);
        let usable = |_: &Offer| {
            count.set(count.get() + 1);
            true
        };
        let (found, _) = index.matching(Whose::Others, &text.parse().unwrap(), usize::MAX, usable, |_| None);
        (found.len(), count.get())
    };
    assert_eq!(looked_at("cpu>=3, memory>=1Gi, arch=amd64"), (20, 20));
    assert_eq!(looked_at("tag=it, memory>=1Gi"), (40, 40));
    assert_eq!(looked_at("tag in (it, none), arch=amd64"), (40, 40));
    assert_eq!(looked_at("arch=arm64"), (0, 0));
    assert_eq!(looked_at("cpu>=4"), (0, 0));
    let wide = Cell::new(0);
    let usable = |_: &Offer| {
        wide.set(wide.get() + 1);
        true
    };
    let (found, more) = index.matching(Whose::Others, &Selector::default(), 8, usable, |_| None);
    assert!(found.len() == 8 && more && wide.get() <= THOROUGH, "an unselective one stops: {}", wide.get());
}

#[test]
fn a_question_that_makes_each_look_dear_looks_at_few() {
    use rear_proto::selector::{Field, Filter, Test};
    let mut index = Index::new(DomainKey([1; 32]));
    let heard = Heard { seen: Time(0), via: NodeId([1; 32]), expires: Time(1) };
    let plain = Plain { node: 1, id: 1, cpu: 1, memory: 1, price: 1, words: vec![2], kind: 0, epoch: 1, own: false };
    for n in 0..3000u32 {
        let mut offer = flavour(&plain);
        offer.id.0[..4].copy_from_slice(&n.to_le_bytes());
        offer.properties.tags = (0..64).map(|tag| format!("{tag:064}")).collect();
        index.put_candidate(offer, heard);
    }
    let looked_at = |words: usize| {
        let list: Vec<String> = (0..64).map(|word| format!("{word:063}x")).collect();
        let filter = Filter::Word(Field::Tags, Test::NotIn(list));
        let selector = Selector { filters: vec![filter; words / 64] };
        let count = Cell::new(0);
        let usable = |_: &Offer| {
            count.set(count.get() + 1);
            false
        };
        let (_, more) = index.matching(Whose::Others, &selector, 8, usable, |_| None);
        (count.get(), more)
    };
    assert_eq!(looked_at(0), (3000, false));
    let (few, more) = looked_at(4096);
    assert!((1..=8).contains(&few) && more, "{few}: it says that there may be more");
}

#[test]
fn several_words_are_found_in_order_and_once() {
    let mut index = Index::new(DomainKey([1; 32]));
    let heard = Heard { seen: Time(0), via: NodeId([1; 32]), expires: Time(1) };
    let plain = Plain { node: 1, id: 1, cpu: 1, memory: 1, price: 1, words: vec![], kind: 0, epoch: 1, own: false };
    let tags: [&[&str]; 8] = [&["a"], &["b", "a"], &["c"], &["b"], &["a", "b", "c"], &["d"], &["d"], &["d"]];
    for (n, tags) in tags.iter().enumerate() {
        let mut offer = flavour(&plain);
        offer.id.0[0] = n as u8;
        offer.properties.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        index.put_candidate(offer, heard);
    }
    let selector: Selector = "tag in (b, a)".parse().unwrap();
    let found: Vec<u8> = index.narrowed(Whose::Others, &selector).map(|offer| offer.flavour.id.0[0]).collect();
    assert_eq!(found, [0, 1, 3, 4]);
}
