//! From an intent to what its requests ask for.

use kernel::{Quantity, Resource};
use rear_proto::{
    Selector,
    selector::{Bounds, Field, Filter, Test},
    workload::Workload,
};

use crate::intent::Place;

/// Builds the selector of one replica.
///
/// The price is not in it: a selector is shown to others, and the most that a user would pay stays at home.
pub(crate) fn selector(workload: &Workload, place: &Place) -> Selector {
    // Only a slice runs workloads.
    let mut filters = vec![
        Filter::Word(Field::Kind, Test::Is("K8Slice".to_owned())),
        Filter::Word(Field::Runtime, Test::Is(workload.image.runtime().to_owned())),
    ];
    let mut need = workload.resources;
    need.pods = Quantity::units(1);
    for resource in Resource::ALL {
        let amount = need.of(resource);
        if !amount.is_zero() {
            filters.push(Filter::Amount(resource, Bounds::AtLeast(amount)));
        }
    }
    let Place { location, latency_ms, domains, not_domains, architecture, tags } = place;
    let mut is = |field, word: &String| filters.push(Filter::Word(field, Test::Is(word.clone())));
    architecture.iter().for_each(|word| is(Field::Architecture, word));
    location.iter().for_each(|word| is(Field::Location, word));
    tags.iter().for_each(|word| is(Field::Tags, word));
    if let Some(latency) = latency_ms {
        filters.push(Filter::Latency(Bounds::AtMost(*latency)));
    }
    if !domains.is_empty() {
        filters.push(Filter::Word(Field::Domain, Test::In(domains.clone())));
    }
    if !not_domains.is_empty() {
        filters.push(Filter::Word(Field::Domain, Test::NotIn(not_domains.clone())));
    }
    Selector { filters }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kernel::{Digest, Resources};
    use rear_proto::workload::{Image, Restart};

    use super::*;

    fn check(place: Place, expected: &str) {
        let workload = Workload {
            name: "web".to_owned(),
            image: Image::Wasm { digest: Digest([1; 32]), size: 9 },
            resources: Resources {
                cpu: Quantity::millis(500),
                memory: Quantity::bytes(64 << 20),
                ..Resources::default()
            },
            ports: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            restart: Restart::OnFailure,
            wall: None,
            reach: Vec::new(),
        };
        assert_eq!(selector(&workload, &place).to_string(), expected);
    }

    #[test]
    fn a_replica_asks_for_its_resources_and_one_pod() {
        check(Place::default(), "kind=K8Slice, runtime=wasm, cpu>=500m, memory>=64Mi, pods>=1");
    }

    #[test]
    fn every_word_of_the_place_becomes_a_filter() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        check(
            Place {
                location: Some("IT".to_owned()),
                latency_ms: Some(50),
                domains: words(&["beta"]),
                not_domains: words(&["gamma", "delta"]),
                architecture: Some("arm64".to_owned()),
                tags: words(&["edge", "green"]),
            },
            "kind=K8Slice, runtime=wasm, cpu>=500m, memory>=64Mi, pods>=1, arch=arm64, location=IT, tags=edge, tags=green, \
             latency<=50ms, domain in (beta), domain not in (gamma, delta)",
        );
    }
}
