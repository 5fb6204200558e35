//! What both sides must compute alike: which parts a flavour may be taken in, what they cost, what a selector matches.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use kernel::{Quantity, Resource, Resources};
use proptest::prelude::*;
use rear_proto::{
    flavour::{Flavour, Partitionable, Policies},
    partition,
    price::{Money, Price},
    refusal::{Code, Refusal},
    selector::Selector,
};
use samples::*;

/// What `partition::check` makes of it, by its name alone.
fn named(result: Result<(), Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.code().name(), |()| "ok")
}

#[track_caller]
fn check(flavour: &Flavour, cpu: &str, memory: &str, pods: u64, outcome: &str) {
    assert_eq!(named(partition::check(flavour, &resources(cpu, memory, pods))), outcome);
}

#[track_caller]
fn check_covering(flavour: &Flavour, need: Resources, outcome: &str) {
    let covered = partition::covering(flavour, &need);
    assert_eq!(covered.map_or_else(|refusal| refusal.to_string(), |partition| partition.to_string()), outcome);
}

fn with(min: Resources, step: Resources) -> Flavour {
    Flavour { policies: Policies { partitionable: Some(Partitionable { min, step }), aggregatable: None }, ..flavour() }
}

#[test]
fn a_partition_is_the_minimum_plus_whole_steps() {
    // Minimum 500m, 256Mi, 1 pod; step 250m, 256Mi, 1 pod; base 4, 8Gi, 16 pods.
    let f = flavour();
    check(&f, "500m", "256Mi", 1, "ok");
    check(&f, "499m", "256Mi", 1, "BelowMinimum");
    check(&f, "500m", "255Mi", 1, "BelowMinimum");
    check(&f, "500m", "256Mi", 0, "BelowMinimum");
    check(&f, "0", "0", 0, "BelowMinimum");
    check(&f, "750m", "512Mi", 2, "ok");
    check(&f, "501m", "256Mi", 1, "NotAStep");
    check(&f, "500.000001m", "256Mi", 1, "NotAStep");
    check(&f, "500m", "300Mi", 1, "NotAStep");
    check(&f, "4", "8Gi", 16, "ok");
    check(&f, "4250m", "8Gi", 16, "TooLarge");
    check(&f, "4", "8448Mi", 16, "TooLarge");
    check(&f, "4", "8Gi", 17, "TooLarge");
    let accelerated = Resources { gpu: Quantity::units(1), ..resources("1", "1Gi", 1) };
    assert_eq!(named(partition::check(&f, &accelerated)), "TooLarge");
}

#[test]
fn a_refused_partition_is_told_the_resource_and_the_amounts() {
    let id = flavour().id;
    let text = |cpu: &str| partition::check(&flavour(), &resources(cpu, "1Gi", 1)).unwrap_err().text();
    assert_eq!(text("100m"), format!("flavour {id}: cpu 100m is below its minimum of 500m"));
    assert_eq!(text("600m"), format!("flavour {id}: cpu 600m is not 500m plus whole steps of 250m"));
    assert_eq!(text("5"), format!("flavour {id}: cpu 5 is over its 4"));
}

#[test]
fn without_steps_any_amount_from_the_minimum_on_will_do() {
    let f = with(resources("500m", "0", 0), Resources::default());
    check(&f, "500m", "0", 0, "ok");
    check(&f, "500.000001m", "1", 3, "ok");
    check(&f, "4", "8Gi", 16, "ok");
    check(&f, "499.999999m", "8Gi", 16, "BelowMinimum");
    check_covering(&f, resources("1.000000001", "1", 0), "cpu 1000000001n, memory 1");
}

#[test]
fn a_flavour_that_can_not_be_divided_goes_whole() {
    let whole = Flavour { policies: Policies::default(), ..flavour() };
    check(&whole, "4", "8Gi", 16, "ok");
    check(&whole, "2", "4Gi", 8, "NotAStep");
    check(&whole, "8", "16Gi", 32, "NotAStep");
    check(&whole, "0", "0", 0, "BelowMinimum");
    check_covering(&whole, resources("1m", "1", 1), "cpu 4, memory 8Gi, pods 16");
    check_covering(&whole, Resources::default(), "cpu 4, memory 8Gi, pods 16");
}

#[test]
fn the_covering_partition_is_the_smallest_that_may_be_taken() {
    let f = flavour();
    check_covering(&f, Resources::default(), "cpu 500m, memory 256Mi, pods 1");
    check_covering(&f, resources("500m", "256Mi", 1), "cpu 500m, memory 256Mi, pods 1");
    check_covering(&f, resources("501m", "257Mi", 2), "cpu 750m, memory 512Mi, pods 2");
    check_covering(&f, resources("4", "8Gi", 16), "cpu 4, memory 8Gi, pods 16");
    check_covering(&f, resources("3.9", "0", 0), "cpu 4, memory 256Mi, pods 1");
}

#[test]
fn what_no_partition_covers_is_too_large() {
    let id = flavour().id;
    let refused = |text: &str| format!("TooLarge: flavour {id}: {text}");
    check_covering(&flavour(), resources("4001m", "0", 0), &refused("no part of its cpu 4 covers 4001m"));
    let accelerated = Resources { gpu: Quantity::units(1), ..Resources::default() };
    check_covering(&flavour(), accelerated, &refused("no part of its gpu 0 covers 1"));
    // The base is no whole number of steps, is smaller than a step, is smaller than the minimum.
    let f = with(resources("1", "0", 0), resources("2", "0", 0));
    check_covering(&f, resources("3", "0", 0), "cpu 3");
    check_covering(&f, resources("4", "0", 0), &refused("no part of its cpu 4 covers 4"));
    let f = with(resources("1", "0", 0), resources("16", "0", 0));
    check_covering(&f, resources("1", "0", 0), "cpu 1");
    check_covering(&f, resources("1001m", "0", 0), &refused("no part of its cpu 4 covers 1001m"));
    let f = with(resources("5", "0", 0), Resources::default());
    check_covering(&f, Resources::default(), &refused("no part of its cpu 4 covers 0"));
}

#[test]
fn nothing_is_covered_by_nothing_and_is_not_to_be_had() {
    let f = with(Resources::default(), resources("1", "1Gi", 1));
    check_covering(&f, Resources::default(), "nothing");
    assert_eq!(named(partition::check(&f, &Resources::default())), "BelowMinimum");
}

#[test]
fn steps_past_counting_are_refused_not_wrapped() {
    let all = Quantity::units(u64::MAX);
    let one = Resources { cpu: Quantity::from_nanos(1).unwrap(), ..Resources::default() };
    let mut f = with(Resources::default(), one);
    f.base.cpu = all;
    let need = Resources { cpu: all, ..Resources::default() };
    assert_eq!(partition::covering(&f, &need).unwrap_err().code(), Code::TooLarge);
    assert_eq!(named(partition::check(&f, &need)), "ok");
}

fn price(amount: u64, priced: &[Resource]) -> Price {
    Price { amount: Money(amount), priced: priced.to_vec(), ..flavour().price }
}

#[test]
fn only_what_is_priced_and_there_counts() {
    let base = resources("4", "8Gi", 16);
    let part = resources("1", "8Gi", 4);
    let of = |priced: &[Resource]| price(1_000_000, priced).of(&part, &base).unwrap().amount.0;
    assert_eq!(of(&[]), 0);
    assert_eq!(of(&[Resource::Cpu]), 250_000);
    assert_eq!(of(&[Resource::Cpu, Resource::Memory]), 1_000_000);
    assert_eq!(of(&[Resource::Pods, Resource::Pods]), 250_000);
    assert_eq!(of(&[Resource::Gpu]), 0);
    assert_eq!(price(u64::MAX, &[Resource::Cpu]).of(&resources("5", "0", 0), &base), None);
}

#[test]
fn a_ceiling_leaves_room_for_a_small_change() {
    assert_eq!(Money(0).with_tolerance(1), Money(10));
    assert_eq!(Money(1000).with_tolerance(1), Money(1010));
    assert_eq!(Money(1_000_000).with_tolerance(1), Money(1_010_000));
    assert_eq!(Money(1_000_001).with_tolerance(1), Money(1_010_002));
    assert_eq!(Money(1_000_000).with_tolerance(0), Money(1_000_010));
    assert_eq!(Money(u64::MAX).with_tolerance(1), Money(u64::MAX));
    assert_eq!(Money(500).with_tolerance(u64::MAX), Money(u64::MAX));
}

#[track_caller]
fn fits(selector: &str, round_trip_ms: Option<u32>, outcome: &str) {
    let selector: Selector = selector.parse().unwrap();
    let result = selector.check(&flavour(), round_trip_ms);
    let shown = result.map_or_else(|no| no.to_string(), |fit| format!("{} at {}", fit.partition, fit.price));
    assert_eq!(shown, outcome, "{selector}");
}

#[test]
fn a_selector_fits_with_the_smallest_partition_and_its_price() {
    // Available: 2, 4Gi, 8 pods of 4, 8Gi, 16 pods at 0.80 EUR/h.
    let least = "cpu 500m, memory 256Mi, pods 1 at 0.1EUR/h";
    fits("", None, least);
    fits("cpu>=1, memory>=1Gi", None, "cpu 1, memory 1Gi, pods 1 at 0.2EUR/h");
    fits("cpu>=1, cpu>=1.1", None, "cpu 1250m, memory 256Mi, pods 1 at 0.25EUR/h");
    fits("cpu=2", None, "cpu 2, memory 256Mi, pods 1 at 0.4EUR/h");
    fits("cpu in 1..2", None, "cpu 1, memory 256Mi, pods 1 at 0.2EUR/h");
    fits("cpu<=2", None, least);
    fits("price<=0.1EUR/h", None, least);
    fits("price=2.4EUR/d", None, least);
    fits("price in 0.1EUR/h..0.2EUR/h, price>=0.1EUR/h", None, least);
    fits("latency<=12", None, least);
    fits("latency<=3", Some(3), least);
    fits("kind=k8slice, arch=AMD64", None, least);
    fits("location=it, location=Torino", None, least);
    fits("domain=alpha", None, least);
    fits(&format!("domain={}", domain_key().to_string().to_uppercase()), None, least);
    fits("tags=ssd, tags in (hdd, FAST), tags not in (slow)", None, least);
    fits("property.rack=\"R 12\", security=gdpr, property.Security in (GDPR)", None, least);
    fits("property.none not in (x)", None, least);
}

#[test]
fn a_mismatch_names_the_filter_and_what_there_is() {
    fits("cpu>=1, cpu>=2.1", None, "cpu>=2100m: it has 2 available");
    fits("memory>=5Gi", None, "memory>=5Gi: it has 4Gi available");
    fits("cpu=1", None, "cpu=1: it has 2 available");
    fits("cpu in 3..4", None, "cpu in 3..4: it has 2 available");
    fits("cpu<=1", None, "cpu<=1: it has 2 available");
    fits("gpu>=1", None, "gpu>=1: it has 0 available");
    fits("cpu>=1, price<=0.19EUR/h", None, "price<=0.19EUR/h: it has 0.2EUR/h");
    fits("price>=1EUR/h", None, "price>=1EUR/h: it has 0.1EUR/h");
    fits("price<=9USD/h", None, "price<=9USD/h: it has 0.1EUR/h");
    fits("price in 1EUR/h..2EUR/h", None, "price in 1EUR/h..2EUR/h: it has 0.1EUR/h");
    fits("latency<=11", None, "latency<=11ms: it has 12 ms");
    fits("latency<=12", Some(13), "latency<=12ms: it has 13 ms");
    fits("kind=VM", None, "kind=VM: it has K8Slice");
    fits("arch in (arm64, riscv64)", None, "arch in (arm64, riscv64): it has amd64");
    fits("location=FR", None, "location=FR: it has IT, Torino");
    fits("domain not in (alpha)", None, "domain not in (alpha): it has alpha");
    fits(
        &format!("domain not in ({})", domain_key()),
        None,
        &format!("domain not in ({}): it has alpha", domain_key()),
    );
    fits("tags=slow", None, "tags=slow: it has fast, ssd");
    fits("property.none=x", None, "property.none=x: it has none");
}

#[test]
fn what_is_left_must_hold_the_partition_and_not_the_need_alone() {
    let f = Flavour { available: resources("600m", "4Gi", 8), ..flavour() };
    let no = "cpu>=600m".parse::<Selector>().unwrap().check(&f, None).unwrap_err();
    assert_eq!(
        no.to_string(),
        "a partition of cpu 750m, memory 256Mi, pods 1: it has cpu: 750m wanted, 600m available"
    );
    let unknown = Flavour { properties: rear_proto::Properties::default(), ..flavour() };
    let no = "latency<=5".parse::<Selector>().unwrap().check(&unknown, None).unwrap_err();
    assert_eq!(no.to_string(), "latency<=5ms: it has no latency known");
}

#[test]
fn need_and_ceiling_are_the_strictest_that_the_filters_ask() {
    let selector: Selector =
        "cpu>=1, cpu in 2..3, memory<=4Gi, price<=24EUR/d, price<=0.5EUR/h, price>=0.1EUR/h".parse().unwrap();
    assert_eq!(selector.need(), Resources { cpu: Quantity::units(2), ..Resources::default() });
    assert_eq!(selector.ceiling().unwrap().to_string(), "0.5EUR/h");
    assert_eq!(Selector::default().ceiling(), None);
}

/// An amount in few units, so that steps meet often.
fn amount() -> impl Strategy<Value = Quantity> {
    (0u64..40).prop_map(|quarters| Quantity::millis(quarters * 250))
}

fn amounts() -> impl Strategy<Value = Resources> {
    (amount(), amount(), amount()).prop_map(|(cpu, memory, gpu)| Resources { cpu, memory, gpu, ..Resources::default() })
}

proptest! {
    #[test]
    fn covering_is_valid_enough_and_smallest(base in amounts(), min in amounts(), step in amounts(), need in amounts()) {
        let f = Flavour { base, ..with(min.min(&base), step) };
        let smallest = |resource: Resource| -> Option<Quantity> {
            let rule = f.policies.partitionable.unwrap();
            let (min, step) = (rule.min.of(resource), rule.step.of(resource));
            if step.is_zero() {
                return Some(need.of(resource).max(min)).filter(|least| *least <= base.of(resource));
            }
            (0..).map(|k| min.checked_add(step.checked_mul(k).unwrap()).unwrap())
                .take_while(|amount| *amount <= base.of(resource))
                .find(|amount| *amount >= need.of(resource))
        };
        match partition::covering(&f, &need) {
            Ok(covering) => {
                prop_assert!(covering.is_zero() || partition::check(&f, &covering).is_ok());
                prop_assert!(covering.holds(&need).is_ok());
                for resource in Resource::ALL {
                    prop_assert_eq!(Some(covering.of(resource)), smallest(resource), "{}", resource);
                }
            }
            Err(refusal) => {
                prop_assert_eq!(refusal.code(), Code::TooLarge);
                prop_assert!(Resource::ALL.iter().any(|&resource| smallest(resource).is_none()));
            }
        }
    }

    #[test]
    fn a_price_is_the_share_rounded_up(amount: u32, part in 1u64..1_000_000, whole in 1u64..1_000_000) {
        let of = |cpu| Resources { cpu: Quantity::millis(cpu), ..Resources::default() };
        let paid = price(amount.into(), &[Resource::Cpu]).of(&of(part), &of(whole)).unwrap().amount.0;
        prop_assert_eq!(u128::from(paid), (u128::from(amount) * u128::from(part)).div_ceil(u128::from(whole)));
    }

    #[test]
    fn a_larger_partition_never_costs_less(amount: u64, a in amounts(), b in amounts(), base in amounts()) {
        let price = price(amount, &Resource::ALL);
        let larger = Resource::ALL.iter().fold(a, |mut larger, &resource| {
            *larger.of_mut(resource) = a.of(resource).max(b.of(resource));
            larger
        });
        if let (Some(less), Some(more)) = (price.of(&a, &base), price.of(&larger, &base)) {
            prop_assert!(less.amount <= more.amount);
        }
    }

    #[test]
    fn what_fits_may_be_taken_now_at_its_price(cpu in 0u64..3000, memory in 0u64..5000, cents in 0u64..100) {
        let text = format!("cpu>={cpu}m, memory>={memory}Mi, price<=0.{cents:02}EUR/h");
        let selector: Selector = text.parse().unwrap();
        if let Ok(fit) = selector.check(&flavour(), None) {
            prop_assert!(partition::check(&flavour(), &fit.partition).is_ok());
            prop_assert!(fit.partition.holds(&selector.need()).is_ok());
            prop_assert!(flavour().available.holds(&fit.partition).is_ok());
            prop_assert_eq!(fit.price.within(&selector.ceiling().unwrap()), Some(true));
        }
    }
}
