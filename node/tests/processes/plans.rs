//! Plans made by hand and by a seed: who there is, what is wanted, what befalls them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kernel::{Quantity, Resources, Rng, Span};
use rear::offer::Offer;
use rear_proto::{Money, membership::Role};
use simulations::{
    plan::{Act, Acted, Arrival, DomainPlan, NodeNo, NodePlan, machine},
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
    machine(Quantity::units(cores), Quantity::bytes(cores << 30), Money(400_000))
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
