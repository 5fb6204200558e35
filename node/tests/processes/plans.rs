//! Plans made by hand and by a seed: who there is, what is wanted, what befalls them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kernel::{Quantity, Resource, Resources, Rng, Span};
use rear::offer::Offer;
use rear_proto::{
    Kind, Money, Period, Policies, Price, Properties,
    flavour::{K8Slice, Partitionable},
    membership::Role,
};
use simulations::{
    plan::{Act, Acted, Arrival, DomainPlan, NodeNo, NodePlan},
    scenario::Where,
};

/// Clocks of a few seconds, so that a run of half a minute passes through all of them.
pub(crate) fn fast() -> agent::Config {
    let mut config = agent::Config::default();
    config.contract.lease = Span::secs(3);
    // Who loses its place again and again on a busy machine looks again before the test gives up.
    config.orchestrator.longest_retry = Span::secs(2);
    config.contract.activate_within = Span::secs(3);
    config.contract.purchase_within = Span::secs(2);
    config.contract.repeat_after = Span::millis(200);
    config.contract.capacity_back_within = Span::secs(3);
    config.vfabric.grace = Span::millis(500);
    config.vfabric.longest_retry = Span::millis(500);
    config.rear.settle = Span::secs(1);
    config
}

/// The same, and everything is shown to every partner.
pub(crate) fn exposing() -> agent::Config {
    let mut config = fast();
    config.discovery.expose = toml::from_str::<toml::Table>("expose = [{ partners = [\"*\"] }]")
        .unwrap()
        .remove("expose")
        .unwrap()
        .try_into()
        .unwrap();
    config
}

pub(crate) fn domain(name: &str, config: agent::Config) -> DomainPlan {
    DomainPlan { name: name.to_owned(), config }
}

pub(crate) fn node(name: &str, domain: u32, role: Role, cores: u64) -> NodePlan {
    let offers = if cores == 0 { Vec::new() } else { vec![offer(cores)] };
    NodePlan { name: name.to_owned(), domain, role, dials_only: false, offers }
}

fn offer(cores: u64) -> Offer {
    let room = |cpu: Quantity, memory: u64, pods| Resources {
        cpu,
        memory: Quantity::bytes(memory << 20),
        pods: Quantity::units(pods),
        ..Resources::default()
    };
    let least = room(Quantity::millis(100), 16, 1);
    Offer {
        name: "machine".to_owned(),
        kind: Kind::K8Slice(K8Slice {
            architecture: "amd64".to_owned(),
            gpu_model: None,
            runtimes: vec!["wasm".to_owned()],
        }),
        base: room(Quantity::units(cores), cores << 10, 32),
        policies: Policies { partitionable: Some(Partitionable { min: least, step: least }), aggregatable: None },
        price: Price {
            amount: Money(400_000),
            currency: rear_proto::Currency::EUR,
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        },
        properties: Properties::default(),
        location: None,
        expires_in: Span::secs(60),
    }
}

/// Draws intents of half a core that come at these nodes, about one in so many milliseconds, and live for some seconds.
pub(crate) fn arrivals(rng: &mut Rng, at: &[NodeNo], every: u64, length: Span, place: Where) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let mut time = 0;
    loop {
        time += 1 + rng.below(2 * every);
        if time >= length.0 {
            return arrivals;
        }
        arrivals.push(Arrival {
            number: arrivals.len() as u32,
            at: Span(time),
            node: at[usize::try_from(rng.below(at.len() as u64)).unwrap()],
            replicas: if rng.below(5) == 0 { 2 } else { 1 },
            need: Resources {
                cpu: Quantity::millis(300),
                memory: Quantity::bytes(64 << 20),
                pods: Quantity::units(1),
                ..Resources::default()
            },
            term: Span::secs(600),
            // The first of them as long as there is anything.
            lives: if time < 2000 { length } else { Span(4000 + rng.below(5000)) },
            ceiling: None,
            place,
        });
    }
}

/// Acts, each with its time in milliseconds.
pub(crate) fn acts(acts: Vec<(u64, Act)>) -> Vec<Acted> {
    let mut acts: Vec<_> = acts
        .into_iter()
        .enumerate()
        .map(|(fault, (at, act))| Acted { number: fault as u32, at: Span(at), fault, act })
        .collect();
    acts.sort_by_key(|acted| acted.at);
    acts
}
