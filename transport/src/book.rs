//! The addresses known of peers: bounded, the latest that worked first, and choosy about what strangers say.
//!
//! What the owner tells and what a dial has proven is kept apart from what is only heard: however much strangers say,
//! they push out nothing of it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use kernel::NodeId;
use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::id;

/// The addresses of one peer and when they were last looked at.
#[derive(Debug, Default)]
struct Entry {
    /// Told by the owner, or reached by a dial.
    told: Vec<Multiaddr>,
    /// Said by somebody on the local network.
    heard: Vec<Multiaddr>,
    used: u64,
}

/// The address book.
#[derive(Debug)]
pub(crate) struct Book {
    peers: usize,
    addresses: usize,
    clock: u64,
    entries: BTreeMap<NodeId, Entry>,
}

impl Book {
    /// Makes an empty book with room for so many peers, and for so many addresses of each, told and heard.
    pub(crate) fn new(peers: usize, addresses: usize) -> Self {
        Self { peers: peers.max(1), addresses: addresses.max(1), clock: 0, entries: BTreeMap::new() }
    }

    /// Returns the addresses of a peer, the most promising first.
    pub(crate) fn of(&mut self, peer: &NodeId) -> Vec<Multiaddr> {
        self.clock += 1;
        let Some(entry) = self.entries.get_mut(peer) else { return Vec::new() };
        entry.used = self.clock;
        entry.told.iter().chain(&entry.heard).cloned().collect()
    }

    /// Remembers addresses that the owner tells; says whether one of them was not known.
    pub(crate) fn add(&mut self, peer: NodeId, addresses: impl IntoIterator<Item = Multiaddr>) -> bool {
        let limit = self.addresses;
        let mut learned = false;
        for address in addresses {
            let Some(entry) = self.entry(peer, true) else { return learned };
            if !entry.told.contains(&address) {
                learned |= !entry.heard.contains(&address);
                entry.heard.retain(|known| *known != address);
                entry.told.insert(0, address);
                entry.told.truncate(limit);
            }
        }
        learned
    }

    /// Remembers addresses that are only heard, as far as there is room; says whether one of them was not known.
    pub(crate) fn hear(&mut self, peer: NodeId, addresses: impl IntoIterator<Item = Multiaddr>) -> bool {
        let limit = self.addresses;
        let mut learned = false;
        for address in addresses {
            let Some(entry) = self.entry(peer, false) else { return learned };
            if !entry.told.contains(&address) && !entry.heard.contains(&address) {
                entry.heard.insert(0, address);
                entry.heard.truncate(limit);
                learned = true;
            }
        }
        learned
    }

    /// Notes that a dial to an address reached the peer.
    pub(crate) fn reached(&mut self, peer: NodeId, address: Multiaddr) {
        let limit = self.addresses;
        let Some(entry) = self.entry(peer, true) else { return };
        entry.heard.retain(|known| *known != address);
        entry.told.retain(|known| *known != address);
        entry.told.insert(0, address);
        entry.told.truncate(limit);
    }

    /// Returns a peer's entry, and makes one in place of the peer longest unused where there are too many: of one
    /// that is only heard of, before any other. What is only heard takes no other's place.
    fn entry(&mut self, peer: NodeId, told: bool) -> Option<&mut Entry> {
        self.clock += 1;
        if !self.entries.contains_key(&peer) && self.entries.len() >= self.peers {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| (!entry.told.is_empty(), entry.used));
            let (oldest, is_told) = oldest.map(|(peer, entry)| (*peer, !entry.told.is_empty()))?;
            if is_told && !told {
                return None;
            }
            self.entries.remove(&oldest);
        }
        let entry = self.entries.entry(peer).or_default();
        entry.used = self.clock;
        Some(entry)
    }
}

/// Splits an address from the peer id at its end.
///
/// # Errors
/// Returns a sentence when the peer at its end is no Tombolo node.
pub(crate) fn split(mut address: Multiaddr) -> Result<(Multiaddr, Option<NodeId>), String> {
    let Some(Protocol::P2p(peer)) = address.iter().last() else { return Ok((address, None)) };
    address.pop();
    match id::node(&peer) {
        Some(node) => Ok((address, Some(node))),
        None => Err(format!("{peer} is not the id of a node: its key is not ed25519")),
    }
}

/// Says whether an address that is claimed is worth remembering, given where whoever claims it is seen.
///
/// Names are not believed, nor is an address less public than that: otherwise a stranger could make this node knock at
/// doors of its own network.
pub(crate) fn is_plausible(address: &Multiaddr, seen_at: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        _ => return false,
    };
    let transport = (parts.next(), parts.next());
    let ((Some(Protocol::Tcp(port)), None) | (Some(Protocol::Udp(port)), Some(Protocol::QuicV1))) = transport else {
        return false;
    };
    if port == 0 || parts.next().is_some() || ip.is_unspecified() || ip.is_multicast() {
        return false;
    }
    let seen = seen_at.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(Reach::of(IpAddr::V4(ip))),
        Protocol::Ip6(ip) => Some(Reach::of(IpAddr::V6(ip))),
        _ => None,
    });
    Reach::of(ip) >= seen.unwrap_or(Reach::World)
}

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Machine,
    Site,
    World,
}

impl Reach {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) if ip.is_loopback() => Self::Machine,
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip) || ip.is_broadcast() => Self::Site,
            IpAddr::V6(ip) if ip == Ipv6Addr::LOCALHOST => Self::Machine,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Site,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::World,
        }
    }
}

/// Carrier-grade NAT, RFC 6598: 100.64.0.0/10.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && (64..128).contains(&second)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_addresses_as_public_as_the_peer_are_plausible() {
        for (claimed, seen, plausible) in [
            ("/ip4/8.8.8.8/tcp/1", "/ip4/9.9.9.9/tcp/2", true),
            ("/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/9.9.9.9/tcp/2", true),
            ("/ip6/2600::1/udp/1/quic-v1", "/ip4/9.9.9.9/tcp/2", true),
            ("/ip4/10.0.0.1/tcp/1", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip4/100.64.0.1/tcp/1", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip4/169.254.169.254/tcp/80", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip4/127.0.0.1/tcp/1", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip6/::1/tcp/1", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip6/::ffff:127.0.0.1/tcp/1", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip6/fd00::1/tcp/1", "/ip6/2600::1/tcp/1", false),
            ("/ip4/10.0.0.1/tcp/1", "/ip4/192.168.0.9/tcp/2", true),
            ("/ip4/127.0.0.1/tcp/1", "/ip4/192.168.0.9/tcp/2", false),
            ("/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2", true),
            ("/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/2", true),
            ("/ip4/8.8.8.8/tcp/0", "/ip4/9.9.9.9/tcp/2", false),
            ("/ip4/0.0.0.0/tcp/1", "/ip4/127.0.0.1/tcp/2", false),
            ("/ip4/224.0.0.251/udp/5353/quic-v1", "/ip4/127.0.0.1/tcp/2", false),
            ("/ip4/8.8.8.8/udp/1", "/ip4/9.9.9.9/tcp/2", false),
            ("/dns/internal/tcp/1", "/ip4/127.0.0.1/tcp/2", false),
            ("/ip4/8.8.8.8/tcp/1/ws", "/ip4/9.9.9.9/tcp/2", false),
        ] {
            assert_eq!(is_plausible(&address(claimed), &address(seen)), plausible, "{claimed} from {seen}");
        }
    }

    #[test]
    fn the_book_is_bounded_and_forgets_the_longest_unused() {
        let mut book = Book::new(2, 2);
        let peer = |n| NodeId([n; 32]);
        assert!(book.add(peer(1), [address("/ip4/1.1.1.1/tcp/1")]));
        assert!(!book.add(peer(1), [address("/ip4/1.1.1.1/tcp/1")]), "nothing new");
        book.add(peer(2), [address("/ip4/1.1.1.1/tcp/2")]);
        book.of(&peer(1));
        book.add(peer(3), [address("/ip4/1.1.1.1/tcp/3")]);
        assert!(book.of(&peer(2)).is_empty());
        assert_eq!(book.of(&peer(1)).len(), 1);
        book.add(peer(1), (10..20).map(|port| address(&format!("/ip4/1.1.1.1/tcp/{port}"))));
        book.reached(peer(1), address("/ip4/1.1.1.1/tcp/18"));
        assert_eq!(book.of(&peer(1)), [address("/ip4/1.1.1.1/tcp/18"), address("/ip4/1.1.1.1/tcp/19")]);
    }

    #[test]
    fn what_is_heard_pushes_out_nothing_that_was_told_or_reached() {
        let mut book = Book::new(3, 2);
        let peer = |n| NodeId([n; 32]);
        book.add(peer(1), [address("/ip4/1.1.1.1/tcp/1")]);
        book.reached(peer(2), address("/ip4/1.1.1.1/tcp/2"));
        for n in 3..100 {
            assert!(book.hear(peer(n), [address("/ip4/2.2.2.2/tcp/1")]));
        }
        assert!(book.hear(peer(1), (1..10).map(|port| address(&format!("/ip4/2.2.2.2/tcp/{port}")))));
        assert_eq!(book.of(&peer(1))[0], address("/ip4/1.1.1.1/tcp/1"));
        assert_eq!(book.of(&peer(1)).len(), 3, "one told, two heard");
        assert_eq!(book.of(&peer(2)), [address("/ip4/1.1.1.1/tcp/2")]);
        assert_eq!((book.of(&peer(98)).len(), book.of(&peer(99)).len()), (0, 1), "the latest that was heard of");
        book.add(peer(3), [address("/ip4/1.1.1.1/tcp/3")]);
        assert!(!book.hear(peer(4), [address("/ip4/2.2.2.2/tcp/1")]), "there is no room");
    }

    #[test]
    fn the_peer_at_an_addresss_end_is_split_off() {
        let node = NodeId([3; 32]);
        let with = address(&format!("/ip4/1.1.1.1/tcp/1/p2p/{node}"));
        assert_eq!(split(with), Ok((address("/ip4/1.1.1.1/tcp/1"), Some(node))));
        assert!(split(address("/ip4/1.1.1.1/tcp/1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC")).is_err());
    }
}
