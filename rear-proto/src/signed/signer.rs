//! Who signs: a secret key behind the scheme that it belongs to.
//!
//! Ed25519 is the scheme. The other one, [`cheap`](super::cheap), proves nothing and is for simulations alone; which of
//! the two a signature claims to be of can be told from its bytes, so a reader needs no context.

use std::{fmt, sync::Arc};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use kernel::NodeId;
use x25519_dalek::{PublicKey, StaticSecret};

use super::cheap;

/// A secret key under some scheme: all that is done with it.
pub(super) trait Scheme: Send + Sync {
    /// Returns the public key.
    fn id(&self) -> NodeId;

    /// Signs a message.
    fn sign(&self, message: &[u8]) -> [u8; 64];

    /// Derives a secret for a purpose, each part led by its length.
    fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32];

    /// Returns the public half of a channel's secret.
    fn public(&self, secret: &[u8; 32]) -> [u8; 32];
}

/// A node's (or a domain's) secret key, for making signatures; never printed, never serialised.
///
/// A clone is another handle on the same key.
#[derive(Clone)]
pub struct Signer(Arc<dyn Scheme>);

impl Signer {
    /// Makes a signer from the 32 secret bytes of an ed25519 key.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self::of(Ed25519(SigningKey::from_bytes(secret)))
    }

    pub(super) fn of(scheme: impl Scheme + 'static) -> Self {
        Self(Arc::new(scheme))
    }

    /// Returns the public key, which is the node's id.
    pub fn id(&self) -> NodeId {
        self.0.id()
    }

    /// Derives 32 secret bytes for a purpose: the same key and parts give the same bytes, and nobody without
    /// the key can tell them.
    pub fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.0.derive(purpose, parts)
    }

    /// Returns the public half of a channel's secret: X25519, for the keys that daemons use.
    pub fn public(&self, secret: &[u8; 32]) -> [u8; 32] {
        self.0.public(secret)
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.id())
    }
}

/// Says whether a signature is one of `by` over a message.
pub(super) fn verifies(by: &NodeId, message: &[u8], signature: &[u8; 64]) -> bool {
    if cheap::claims(signature) {
        return cheap::verifies(by, message, signature);
    }
    VerifyingKey::from_bytes(&by.0)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// The scheme of daemons.
struct Ed25519(SigningKey);

impl Scheme for Ed25519 {
    fn id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        hmac(self.0.as_bytes(), purpose, parts)
    }

    fn public(&self, secret: &[u8; 32]) -> [u8; 32] {
        x25519(secret)
    }
}

/// Returns the public key of a secret one of X25519.
pub(crate) fn x25519(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Returns HMAC-SHA-256 under a secret over a purpose and parts, each led by its length.
pub(crate) fn hmac(secret: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    use hmac::{Hmac, KeyInit, Mac};
    // HMAC takes keys of any length, so this can't fail.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret) else { unreachable!() };
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_secrets_depend_on_key_purpose_and_parts() {
        for key in [Signer::from_secret, cheap::signer] {
            let (alice, bob) = (key(&[1; 32]), key(&[2; 32]));
            let secret = alice.derive("tunnel", &[b"a"]);
            assert_eq!(secret, alice.derive("tunnel", &[b"a"]));
            assert_ne!(secret, bob.derive("tunnel", &[b"a"]));
            assert_ne!(secret, alice.derive("tunnel", &[b"b"]));
            assert_ne!(secret, alice.derive("other", &[b"a"]));
            assert_ne!(alice.derive("t", &[b"ab", b"c"]), alice.derive("t", &[b"a", b"bc"]));
        }
    }

    #[test]
    fn both_ends_of_a_channel_tell_the_same_public_half() {
        for key in [Signer::from_secret, cheap::signer] {
            let (alice, bob) = (key(&[1; 32]), key(&[2; 32]));
            let secret = alice.derive("tunnel", &[b"a"]);
            assert_eq!(alice.public(&secret), bob.public(&secret));
            assert_ne!(alice.public(&secret), secret);
            assert_ne!(alice.public(&secret), alice.public(&[7; 32]));
        }
    }
}
