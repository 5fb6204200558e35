//! Between the node ids of Tombolo and the peer ids of libp2p: the same key, two types.

use kernel::NodeId;
use libp2p::PeerId;

/// Returns the node behind a peer id, or nothing when its key is not ed25519.
pub(crate) fn node(peer: &PeerId) -> Option<NodeId> {
    peer.to_base58().parse().ok()
}

/// Returns the peer id of a node.
pub(crate) fn peer(node: &NodeId) -> PeerId {
    // Every node id prints as a peer id: it is an identity multihash of a fixed length.
    node.to_string().parse().unwrap_or_else(|_| PeerId::random())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_node_has_one_peer_id(bytes: [u8; 32]) {
            let id = NodeId(bytes);
            prop_assert_eq!(peer(&id).to_base58(), id.to_string());
            prop_assert_eq!(node(&peer(&id)), Some(id));
        }
    }

    #[test]
    fn another_kind_of_key_is_no_node() {
        // The peer id of an RSA key (a SHA-256 multihash).
        let rsa = "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC".parse().unwrap();
        assert_eq!(node(&rsa), None);
    }
}
