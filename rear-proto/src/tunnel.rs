//! The keys of a contract's channel: derived from the node's key and the RESERVE's key, so they need no storing.

use kernel::Key;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::signed::Signer;

/// Returns the secret X25519 key of this node's end of the channel.
pub fn secret(signer: &Signer, key: &Key) -> [u8; 32] {
    signer.derive("tombolo tunnel 1", &[key.as_bytes()])
}

/// Returns the public key that belongs to a secret one.
pub fn public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}
