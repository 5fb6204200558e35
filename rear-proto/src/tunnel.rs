//! The keys of a contract's channel: derived from the node's key and the RESERVE's key, so they need no storing.

use kernel::Key;

use crate::signed::{Signer, x25519};

/// Returns the secret key of this node's end of the channel.
pub fn secret(signer: &Signer, key: &Key) -> [u8; 32] {
    signer.derive("tombolo tunnel 1", &[key.as_bytes()])
}

/// Returns the public key of this node's end of the channel, which goes into what it signs.
pub fn offered(signer: &Signer, key: &Key) -> [u8; 32] {
    signer.public(&secret(signer, key))
}

/// Returns the public X25519 key that belongs to a secret one: what a channel on a wire uses.
pub fn public(secret: &[u8; 32]) -> [u8; 32] {
    x25519(secret)
}
