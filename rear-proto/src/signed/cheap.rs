//! A scheme that proves nothing, for simulations of many nodes: there, curves would take most of the time.
//!
//! Anybody can make anybody's signature, so nothing may come to be believed by it outside a simulation. Three things
//! keep it in. Its signatures end in a mark, and no ed25519 signature can. They verify only on a thread that holds a
//! [`Scope`], which no daemon enters (`node/tests/walls.rs` reads the sources). And they verify only for ids that are
//! no point of the curve, so the keys of daemons can not be spoken for even there.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    hash::Hasher as _,
    marker::PhantomData,
};

use ed25519_dalek::VerifyingKey;
use kernel::NodeId;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::signer::{Scheme, Signer};

/// What each signature ends in.
///
/// The last 32 bytes of an ed25519 signature are a number below 2²⁵³ (RFC 8032, 5.1.7), so their last byte is under
/// 32; here it is a letter.
const MARK: &[u8; 48] = b"; the signature of a simulation, proving nothing";

thread_local! {
    /// How many scopes this thread holds.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The ids that were found to be no points of the curve: finding that out costs more than all else here.
    static OFF_CURVE: RefCell<BTreeSet<NodeId>> = const { RefCell::new(BTreeSet::new()) };
}

/// While it is held, signatures of this scheme verify on the thread that holds it. Scopes nest.
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped"]
pub struct Scope {
    /// A scope belongs to its thread.
    not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Enters a scope.
    pub fn enter() -> Self {
        DEPTH.set(DEPTH.get().saturating_add(1));
        Self { not_send: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
        if DEPTH.get() == 0 {
            OFF_CURVE.take();
            super::alike::clear();
        }
    }
}

/// Makes a signer of this scheme from 32 bytes.
pub fn signer(secret: &[u8; 32]) -> Signer {
    // About every second string of 32 bytes is no point.
    let mut counter = 0;
    let id = loop {
        let id = NodeId(hash(&[b"id", &u64::to_le_bytes(counter), secret]));
        if is_off_curve(&id) {
            break id;
        }
        counter += 1;
    };
    Signer::of(Cheap { secret: *secret, id })
}

/// Says whether signatures of this scheme verify here at all.
pub(super) fn holds() -> bool {
    DEPTH.get() > 0
}

/// Says whether a signature claims to be of this scheme.
pub(super) fn claims(signature: &[u8; 64]) -> bool {
    signature.ends_with(MARK)
}

/// Says whether a signature is the one over a message under an id, and counts here.
pub(super) fn verifies(by: &NodeId, message: &[u8], signature: &[u8; 64]) -> bool {
    holds() && *signature == sign(by, message) && is_known_off_curve(by)
}

fn is_known_off_curve(id: &NodeId) -> bool {
    OFF_CURVE.with_borrow_mut(|known| known.contains(id) || (is_off_curve(id) && known.insert(*id)))
}

fn is_off_curve(id: &NodeId) -> bool {
    VerifyingKey::from_bytes(&id.0).is_err()
}

fn sign(id: &NodeId, message: &[u8]) -> [u8; 64] {
    let mut hasher = SipHasher13::new();
    hasher.write(&id.0);
    hasher.write(message);
    let mut signature = [0; 64];
    let (hash, mark) = signature.split_at_mut(16);
    hash.copy_from_slice(&hasher.finish128().as_bytes());
    mark.copy_from_slice(MARK);
    signature
}

/// A key of this scheme.
struct Cheap {
    secret: [u8; 32],
    id: NodeId,
}

impl Scheme for Cheap {
    fn id(&self) -> NodeId {
        self.id
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        sign(&self.id, message)
    }

    fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all: Vec<&[u8]> = vec![b"derive", &self.secret, purpose.as_bytes()];
        all.extend_from_slice(parts);
        hash(&all)
    }

    fn public(&self, secret: &[u8; 32]) -> [u8; 32] {
        hash(&[b"public", secret])
    }
}

/// Hashes parts, each led by its length.
fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (key, half) in [0, 1].into_iter().zip(hash.chunks_exact_mut(16)) {
        let mut hasher = SipHasher13::new_with_keys(key, 0);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        half.copy_from_slice(&hasher.finish128().as_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signed::signer::verifies;

    proptest! {
        #[test]
        fn ids_are_no_points_and_depend_on_the_secret(secret: [u8; 32], other: [u8; 32]) {
            let id = signer(&secret).id();
            prop_assert!(VerifyingKey::from_bytes(&id.0).is_err());
            prop_assert_eq!(id, signer(&secret).id());
            prop_assert_eq!(id == signer(&other).id(), secret == other);
        }

        #[test]
        fn no_signature_of_ed25519_claims_to_be_cheap(secret: [u8; 32], message: Vec<u8>) {
            let signature = Signer::from_secret(&secret).sign(&message);
            prop_assert!(!claims(&signature) && signature[63] < 32);
        }
    }

    #[test]
    fn a_signature_verifies_in_a_scope_alone() {
        let alice = signer(&[1; 32]);
        let signature = alice.sign(b"hello");
        let verified = || verifies(&alice.id(), b"hello", &signature);
        assert!(!verified());
        {
            let _outer = Scope::enter();
            assert!(verified());
            drop(Scope::enter());
            assert!(verified(), "the outer one is still held");
            assert!(!verifies(&alice.id(), b"hallo", &signature));
            assert!(!verifies(&signer(&[2; 32]).id(), b"hello", &signature));
        }
        assert!(!verified());
        assert!(OFF_CURVE.with_borrow(BTreeSet::is_empty), "what was remembered is forgotten");
    }

    #[test]
    fn a_scope_is_of_its_thread() {
        let alice = signer(&[1; 32]);
        let signature = alice.sign(b"hello");
        let _scope = Scope::enter();
        let elsewhere = std::thread::spawn({
            let id = alice.id();
            move || verifies(&id, b"hello", &signature)
        });
        assert!(verifies(&alice.id(), b"hello", &signature));
        assert!(!elsewhere.join().unwrap_or(true));
    }

    #[test]
    fn nobody_speaks_cheaply_for_a_real_key() {
        let real = Signer::from_secret(&[1; 32]);
        let forged = sign(&real.id(), b"hello");
        let _scope = Scope::enter();
        assert!(claims(&forged) && !verifies(&real.id(), b"hello", &forged));
        // It stays so when it is asked again, and a real signature still counts.
        assert!(!verifies(&real.id(), b"hello", &forged));
        assert!(verifies(&real.id(), b"hello", &real.sign(b"hello")));
    }

    #[test]
    fn a_signature_costs_no_curve_once_an_id_is_known() {
        let alice = signer(&[1; 32]);
        let _scope = Scope::enter();
        assert!(verifies(&alice.id(), b"one", &alice.sign(b"one")));
        assert!(OFF_CURVE.with_borrow(|known| known.contains(&alice.id())));
        // A forged one is refused before its id is looked at, so strangers' ids fill no memory.
        let stranger = NodeId([9; 32]);
        assert!(!verifies(&stranger, b"two", &alice.sign(b"two")));
        assert!(OFF_CURVE.with_borrow(|known| known.len() == 1));
    }
}
