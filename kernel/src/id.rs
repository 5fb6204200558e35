//! Ids as types of their own: one can't be handed where another is meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A text that is no id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}")]
pub struct ParseIdError {
    text: String,
    what: &'static str,
}

impl ParseIdError {
    fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), what }
    }
}

/// Declares a newtype over bytes, printed as lower-case hex.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Derives an id from a purpose and the parts it depends on; other parts give another id.
            ///
            /// It is the start of SHA-256 over the purpose and each part, each led by its length.
            pub fn derive(purpose: &str, parts: &[&[u8]]) -> Self {
                let mut id = [0; $bytes];
                id.copy_from_slice(&derive(purpose, parts)[..$bytes]);
                Self(id)
            }

            /// Returns the bytes of the id.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut id = [0; $bytes];
                hex::decode_to_slice(text, &mut id)
                    .map_err(|_| ParseIdError::new(text, $what))?;
                Ok(Self(id))
            }
        }

        text_or_bytes!($name, $bytes);
    };
}

/// Implements serde as text for people and as plain bytes for the wire.
macro_rules! text_or_bytes {
    ($name:ident, $bytes:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                } else {
                    <[u8; $bytes]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

fn derive(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

hex_id! {
    /// A SHA-256 digest.
    Digest, 32, "a digest of 64 hexadecimal digits"
}
hex_id! {
    /// A domain's ed25519 public key: what a domain *is*, whatever it calls itself.
    DomainKey, 32, "a domain key of 64 hexadecimal digits"
}
hex_id! {
    /// The id of a federation of domains: the digest of the proposal that created it.
    FederationId, 32, "a federation id of 64 hexadecimal digits"
}
hex_id! {
    /// The id of a flavour, the same for as long as it is offered.
    FlavourId, 16, "a flavour id of 32 hexadecimal digits"
}
hex_id! {
    /// The id of a contract: the first half of its digest, so both parties have the same.
    ContractId, 16, "a contract id of 32 hexadecimal digits"
}
hex_id! {
    /// The key of a RESERVE: names the reservation, and makes its repeats recognisable.
    Key, 16, "a reservation id of 32 hexadecimal digits"
}
hex_id! {
    /// The id of an allocation.
    AllocationId, 16, "an allocation id of 32 hexadecimal digits"
}
hex_id! {
    /// The id of an intent.
    IntentId, 16, "an intent id of 32 hexadecimal digits"
}
hex_id! {
    /// The id of one LIST question, kept on its whole way.
    QueryId, 16, "a query id of 32 hexadecimal digits"
}

/// One question from outside that waits for its answer; unique while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One request of the orchestrator to REAR: room for one replica of a workload; unique while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One question of ours to another node that waits for its answer; unique while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

impl Digest {
    /// Returns the SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl From<Digest> for ContractId {
    fn from(digest: Digest) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&digest.0[..16]);
        Self(id)
    }
}

/// A node: its ed25519 public key, printed as the libp2p peer id of that key (`12D3KooW…`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

/// What stands before an ed25519 key in a peer id: identity multihash of 36 bytes, holding a protobuf that
/// says "ed25519, 32 bytes" (libp2p peer-ids specification).
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl NodeId {
    /// Returns the bytes of the public key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the end of the printed id, enough for a person to tell nodes apart.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text[text.len().saturating_sub(8)..].to_owned()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&PEER_ID_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let wrong = || ParseIdError::new(text, "a node id (12D3KooW…)");
        let mut bytes = [0; 38];
        let length = bs58::decode(text).onto(&mut bytes[..]).map_err(|_| wrong())?;
        if length != bytes.len() || bytes[..6] != PEER_ID_PREFIX {
            return Err(wrong());
        }
        let mut key = [0; 32];
        key.copy_from_slice(&bytes[6..]);
        Ok(Self(key))
    }
}

text_or_bytes!(NodeId, 32);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn node_id_prints_as_a_peer_id() {
        let text = NodeId([7; 32]).to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse::<NodeId>().unwrap(), NodeId([7; 32]));
    }

    #[test]
    fn derived_ids_depend_on_every_boundary() {
        assert_ne!(Key::derive("a", &[b"bc", b"d"]), Key::derive("a", &[b"b", b"cd"]));
        assert_ne!(Key::derive("a", &[b"bc"]), Key::derive("ab", &[b"c"]));
    }

    #[test]
    fn ids_are_what_they_have_always_been() {
        let key = hex::decode("ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e0").unwrap();
        let node = NodeId(key.try_into().unwrap());
        assert_eq!(node.to_string(), "12D3KooWRmypcUFUEsLGNfYvVB4FLt7AzcH8xQCXyhwh7ezagg71");
        assert_eq!(node.short(), "7ezagg71");
        let derived = "0a5d994e40e5ecd46f53115b6a3d548ce711dd20cffd2cc62742d72a5fbbfc59";
        assert_eq!(Digest::derive("order", &[b"a", b""]).to_string(), derived);
        assert_eq!(Key::derive("order", &[b"a", b""]).to_string(), derived[..32]);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(ContractId::from(Digest::of(b"")).to_string(), empty[..32]);
    }

    #[test]
    fn what_is_no_id_is_refused_with_what_was_wanted() {
        let error = "abc".parse::<Key>().unwrap_err().to_string();
        assert_eq!(error, "'abc' is not a reservation id of 32 hexadecimal digits");
        let node = NodeId([7; 32]).to_string();
        let wrong = [
            "".to_owned(),
            node[1..].to_owned(),
            format!("{node}1"),
            node.replace('K', "0"),
            // A key of another kind (secp256k1), and a digest in place of a key.
            "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY".to_owned(),
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".to_owned(),
        ];
        for text in wrong {
            assert!(text.parse::<NodeId>().is_err(), "{text}");
        }
    }

    #[test]
    fn people_read_ids_as_text() {
        let (node, key) = (NodeId([7; 32]), Key([8; 16]));
        let text = serde_json::to_string(&(node, key)).unwrap();
        assert_eq!(text, format!("[\"{node}\",\"{key}\"]"));
        assert_eq!(serde_json::from_str::<(NodeId, Key)>(&text).unwrap(), (node, key));
        assert!(serde_json::from_str::<Key>("7").is_err());
    }

    proptest! {
        #[test]
        fn ids_print_and_parse_round_trip(bytes: [u8; 32]) {
            prop_assert_eq!(NodeId(bytes).to_string().parse::<NodeId>().unwrap(), NodeId(bytes));
            prop_assert_eq!(Digest(bytes).to_string().parse::<Digest>().unwrap(), Digest(bytes));
        }

        #[test]
        fn any_text_is_an_id_or_an_error(text in "\\PC{0,80}") {
            let _ = text.parse::<NodeId>();
            let _ = text.parse::<Key>();
        }
    }
}
