//! The endpoints: the nodes that can be asked, how near they are, and which of them are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{DomainKey, NodeId, Rng, Span, Time};
use rear_proto::{flavour::Party, local::Realm, membership::Role};

/// How many of a node's last answer times are kept.
const TIMES: usize = 32;

/// The endpoints known; boxed, since a map makes room for eleven at once, and most nodes know a few.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(BTreeMap<NodeId, Box<Endpoint>>);

/// A node that can be asked, or could.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) role: Role,
    pub(crate) realm: Realm,
    pub(crate) up: bool,
    /// Since when it can be reached, or could.
    pub(crate) since: Time,
    /// How long its answers take: the fastest seen, forgotten slowly.
    pub(crate) round_trip: Option<Span>,
    /// How long its last answers took.
    times: VecDeque<Span>,
    /// When it last answered.
    pub(crate) heard: Option<Time>,
    /// Whether the last that it was asked came to nothing.
    failed: bool,
    /// How many of its offers were not believed.
    pub(crate) disbelieved: u64,
}

impl Endpoint {
    fn party(&self, node: &NodeId) -> Party {
        Party { node: *node, addresses: self.addresses.clone() }
    }

    /// Says whether this is a supernode that speaks for this domain.
    pub(crate) fn is_own_supernode(&self) -> bool {
        self.realm == Realm::Own && self.role == Role::Supernode
    }
}

/// Who is worth asking for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// A plain node of the own domain, for what it offers itself.
    Neighbour,
    /// A supernode of the own domain, for all that it knows.
    Supernode,
    /// A supernode of a partner.
    Partner(DomainKey),
    /// A catalogue.
    Catalogue,
}

impl Group {
    fn has(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Neighbour => endpoint.realm == Realm::Own && endpoint.role == Role::Node,
            Self::Supernode => endpoint.is_own_supernode(),
            Self::Partner(domain) => endpoint.realm == Realm::Partner(domain) && endpoint.role == Role::Supernode,
            Self::Catalogue => {
                endpoint.realm == Realm::Catalogue || (endpoint.realm == Realm::Own && endpoint.role == Role::Catalogue)
            }
        }
    }
}

impl Endpoints {
    pub(crate) fn up(&mut self, now: Time, party: Party, role: Role, realm: Realm) {
        let Party { node, addresses } = party;
        let fresh = || Endpoint {
            addresses: Vec::new(),
            role,
            realm,
            up: false,
            since: now,
            round_trip: None,
            times: VecDeque::new(),
            heard: None,
            failed: false,
            disbelieved: 0,
        };
        let endpoint = self.0.entry(node).or_insert_with(|| Box::new(fresh()));
        endpoint.addresses = addresses;
        endpoint.role = role;
        endpoint.realm = realm;
        if !std::mem::replace(&mut endpoint.up, true) {
            endpoint.since = now;
        }
        endpoint.failed = false;
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
        self.0.iter().map(|(node, endpoint)| (node, endpoint.as_ref()))
    }

    pub(crate) fn get(&self, node: &NodeId) -> Option<&Endpoint> {
        self.0.get(node).map(Box::as_ref)
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
            endpoint.failed = false;
            endpoint.times.push_back(took);
            if endpoint.times.len() > TIMES {
                endpoint.times.pop_front();
            }
        }
    }

    /// Takes note that what it was asked came to nothing: another is asked first the next time.
    pub(crate) fn failed(&mut self, node: &NodeId) {
        if let Some(endpoint) = self.0.get_mut(node) {
            endpoint.failed = true;
        }
    }

    /// Takes note that so many of its offers were not believed.
    pub(crate) fn disbelieved(&mut self, node: &NodeId, offers: u64) {
        if let Some(endpoint) = self.0.get_mut(node) {
            endpoint.disbelieved = endpoint.disbelieved.saturating_add(offers);
        }
    }

    /// Returns the time within which 95 of 100 of a node's answers came, where there were any.
    pub(crate) fn usual(&self, node: &NodeId) -> Option<Span> {
        let mut times: Vec<Span> = self.0.get(node)?.times.iter().copied().collect();
        times.sort_unstable();
        times.get((times.len() * 95).div_ceil(100).checked_sub(1)?).copied()
    }

    /// Returns who of a group to ask: one that can be reached, that did not fail last, the fastest, of equal ones any.
    pub(crate) fn best(&self, group: Group, but: &BTreeSet<NodeId>, rng: &mut Rng) -> Option<Party> {
        let there = self.0.iter().filter(|(node, endpoint)| endpoint.up && group.has(endpoint) && !but.contains(node));
        there
            .map(|(node, endpoint)| {
                ((endpoint.failed, endpoint.round_trip.unwrap_or(Span(u64::MAX)), rng.number()), node, endpoint)
            })
            .min_by_key(|(order, ..)| *order)
            .map(|(_, node, endpoint)| endpoint.party(node))
    }

    /// Returns all of a group that can be reached.
    pub(crate) fn all(&self, group: Group) -> impl Iterator<Item = Party> {
        self.0
            .iter()
            .filter(move |(_, endpoint)| endpoint.up && group.has(endpoint))
            .map(|(node, endpoint)| endpoint.party(node))
    }

    /// Chooses whom of the domain to ask, and says how many there were to choose from.
    ///
    /// All, or where there are more than `most`: the nearest, and `explore` drawn from the rest.
    pub(crate) fn chosen(&self, most: usize, explore: usize, rng: &mut Rng) -> (Vec<Party>, usize) {
        let is_one = |(_, endpoint): &(&NodeId, &Endpoint)| endpoint.up && Group::Neighbour.has(endpoint);
        let mut up: Vec<_> = self.iter().filter(is_one).collect();
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
        (up.into_iter().map(|(node, endpoint)| endpoint.party(node)).collect(), there)
    }
}
