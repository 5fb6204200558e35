//! The endpoints: the domain's nodes that can be asked, how near they are, and which of them are.

use std::collections::BTreeMap;

use kernel::{NodeId, Rng, Span, Time};
use rear_proto::{flavour::Party, membership::Role};

/// The endpoints known.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(BTreeMap<NodeId, Endpoint>);

/// A node that can be asked, or could.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) role: Role,
    pub(crate) up: bool,
    /// How long its answers take: the fastest seen, forgotten slowly.
    pub(crate) round_trip: Option<Span>,
    /// When it last answered.
    pub(crate) heard: Option<Time>,
}

impl Endpoints {
    pub(crate) fn up(&mut self, party: Party, role: Role) {
        let Party { node, addresses } = party;
        let endpoint = self.0.entry(node).or_insert_with(|| Endpoint {
            addresses: Vec::new(),
            role,
            up: true,
            round_trip: None,
            heard: None,
        });
        endpoint.addresses = addresses;
        endpoint.role = role;
        endpoint.up = true;
    }

    pub(crate) fn down(&mut self, node: &NodeId) {
        if let Some(endpoint) = self.0.get_mut(node) {
            endpoint.up = false;
        }
    }

    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Endpoint)> {
        self.0.iter()
    }

    /// Says whether a node is known to be out of reach; of one that is not known nothing can be said.
    pub(crate) fn is_down(&self, node: &NodeId) -> bool {
        self.0.get(node).is_some_and(|endpoint| !endpoint.up)
    }

    /// Returns the latency to a node in milliseconds, where it was measured.
    pub(crate) fn round_trip_ms(&self, node: &NodeId) -> Option<u32> {
        let span = self.0.get(node)?.round_trip?;
        Some(u32::try_from(span.0).unwrap_or(u32::MAX))
    }

    /// Takes in how long an answer took.
    ///
    /// An answer takes a round trip and the work for it, so the fastest says most; a slower one moves the figure
    /// by an eighth, as TCP's smoothing does (RFC 6298), so that a path that became slow is noticed.
    pub(crate) fn answered(&mut self, now: Time, node: &NodeId, took: Span) {
        if let Some(endpoint) = self.0.get_mut(node) {
            let smoothed = endpoint.round_trip.map_or(took, |known| Span(known.times(7).plus(took).0.div_ceil(8)));
            endpoint.round_trip = Some(smoothed.min(took));
            endpoint.heard = Some(now);
        }
    }

    /// Chooses whom to ask, and says how many there were to choose from.
    ///
    /// All, or where there are more than `most`: the nearest, and `explore` drawn from the rest.
    pub(crate) fn chosen(&self, most: usize, explore: usize, rng: &mut Rng) -> (Vec<Party>, usize) {
        let mut up: Vec<_> = self.0.iter().filter(|(_, endpoint)| endpoint.up).collect();
        let there = up.len();
        if there > most {
            // Those of unknown latency come last, in a drawn order.
            up.sort_by_cached_key(|(_, endpoint)| (endpoint.round_trip.unwrap_or(Span(u64::MAX)), rng.number()));
            for place in most.saturating_sub(explore)..most {
                let rest = (up.len() - place) as u64;
                let drawn = place + usize::try_from(rng.below(rest)).unwrap_or(0);
                up.swap(place, drawn);
            }
            up.truncate(most);
        }
        let party =
            |(node, endpoint): (&NodeId, &Endpoint)| Party { node: *node, addresses: endpoint.addresses.clone() };
        (up.into_iter().map(party).collect(), there)
    }
}
