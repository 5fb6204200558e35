//! Signed values: raw bytes that are verified before they are decoded, and never encoded again.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use kernel::{Digest, NodeId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_bytes::{ByteBuf, Bytes};

use crate::{refusal::Refusal, wire::codec};

pub mod alike;
pub mod cheap;
mod signer;

pub use signer::Signer;
pub(crate) use signer::{hmac, x25519};

/// What can be signed: the tag keeps a signature over one kind from standing under another.
pub trait Signable: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The domain tag, unlike that of every other kind.
    const TAG: &'static str;

    /// Checks sizes and plain contradictions; what does not pass does not open.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    fn validate(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A signature that is not what it claims to be, or bytes below it that are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature on the {what} is not {by}'s, or what it signs is malformed")]
pub struct BadSignature {
    /// The kind of the value.
    pub what: &'static str,
    /// Whose signature it should be.
    pub by: NodeId,
}

/// A value of kind `T` with a signature over its bytes.
///
/// It opens only under the key that the reader expects; the result of that check is kept, whichever it was, so the
/// many readers of one message pay for it once, at the door. A clone is another handle on the same: it costs nothing,
/// and knows what the other has found out.
pub struct Signed<T>(Arc<Inner<T>>);

struct Inner<T> {
    bytes: Box<[u8]>,
    signature: [u8; 64],
    /// What the bytes say, since somebody has looked; nothing where they are no `T`.
    value: OnceLock<Option<Arc<T>>>,
    /// The key under which it opened.
    opened: OnceLock<NodeId>,
    /// The first key under which it did not open.
    refused: OnceLock<Box<NodeId>>,
}

impl<T: Signable> Signed<T> {
    /// Encodes and signs a value.
    pub fn new(value: T, signer: &Signer) -> Self {
        let bytes = codec::encode(&value).into_boxed_slice();
        let signature = signer.sign(&message(T::TAG, &bytes));
        let (value, opened) = (OnceLock::from(Some(Arc::new(value))), OnceLock::from(signer.id()));
        Self(Arc::new(Inner { bytes, signature, value, opened, refused: OnceLock::new() }))
    }

    /// Verifies the signature of `by`, then decodes and validates.
    ///
    /// # Errors
    /// When the signature is another's or none, or when the bytes are no `T` or one that is not valid.
    pub fn open(&self, by: &NodeId) -> Result<&T, BadSignature> {
        let bad = || BadSignature { what: T::TAG, by: *by };
        let it = &*self.0;
        // What was opened in a simulation stays in it.
        if cheap::claims(&it.signature) && !cheap::holds() {
            return Err(bad());
        }
        if let Some(signer) = it.opened.get() {
            return if signer == by { self.claimed().ok_or_else(bad) } else { Err(bad()) };
        }
        if it.refused.get().is_some_and(|refused| **refused == *by) {
            return Err(bad());
        }
        let Some(value) = self.verified(by) else {
            let _ = it.refused.set(Box::new(*by));
            return Err(bad());
        };
        let _ = it.opened.set(*by);
        Ok(value)
    }

    fn verified(&self, by: &NodeId) -> Option<&T> {
        if !signer::verifies(by, &message(T::TAG, &self.0.bytes), &self.0.signature) {
            return None;
        }
        let value = self.claimed()?;
        value.validate().ok()?;
        Some(value)
    }

    /// Decodes without verifying, for finding out whose signature to ask for. Nothing may be believed of it.
    pub fn claimed(&self) -> Option<&T> {
        self.value().map(Arc::as_ref)
    }

    /// Returns what [`claimed`](Self::claimed) does as a handle of its own, for who keeps it.
    pub fn kept(&self) -> Option<Arc<T>> {
        self.value().cloned()
    }

    fn value(&self) -> Option<&Arc<T>> {
        self.0.value.get_or_init(|| codec::decode(&self.0.bytes).ok().map(Arc::new)).as_ref()
    }
}

impl<T> Signed<T> {
    /// Returns the digest of the signed bytes: the name of what they say.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0.bytes)
    }

    /// Returns the signed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// What is really signed: the tag's length, the tag, the bytes.
fn message(tag: &str, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + tag.len() + bytes.len());
    // Tags are short constants of this crate.
    message.push(tag.len() as u8);
    message.extend_from_slice(tag.as_bytes());
    message.extend_from_slice(bytes);
    message
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.signature == other.0.signature && self.0.bytes == other.0.bytes)
    }
}

impl<T> Eq for Signed<T> {}

impl<T: fmt::Debug> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.opened.get(), self.0.value.get()) {
            (Some(by), Some(Some(value))) => f.debug_tuple("Signed").field(by).field(value).finish(),
            _ => write!(f, "Signed(unopened {})", self.digest()),
        }
    }
}

impl<T> Serialize for Signed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As bytes, not as numbers one by one: the encoding is the same, at a tenth of the cost.
        (Bytes::new(&self.0.bytes), Bytes::new(&self.0.signature)).serialize(serializer)
    }
}

impl<'de, T: Send + Sync + 'static> Deserialize<'de> for Signed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (bytes, signature) = <(ByteBuf, ByteBuf)>::deserialize(deserializer)?;
        let signature =
            signature.into_vec().try_into().map_err(|_| serde::de::Error::custom("a signature has 64 bytes"))?;
        let bytes = bytes.into_vec().into_boxed_slice();
        let (value, opened, refused) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Self(alike::signed(Arc::new(Inner { bytes, signature, value, opened, refused }))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Promise(u64);
    impl Signable for Promise {
        const TAG: &'static str = "promise";
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Threat(u64);
    impl Signable for Threat {
        const TAG: &'static str = "threat";
    }

    fn travelled<T: Signable, U: Signable>(signed: &Signed<T>) -> Signed<U> {
        codec::decode(&codec::encode(signed)).unwrap()
    }

    #[test]
    fn a_signed_value_opens_under_its_signers_key_alone() {
        let (alice, bob) = (Signer::from_secret(&[1; 32]), Signer::from_secret(&[2; 32]));
        let signed = Signed::new(Promise(7), &alice);
        for signed in [signed.clone(), travelled(&signed)] {
            assert_eq!(signed.open(&alice.id()).unwrap(), &Promise(7));
            assert!(signed.open(&bob.id()).is_err());
        }
    }

    #[test]
    fn a_signature_does_not_stand_under_another_kind() {
        let alice = Signer::from_secret(&[1; 32]);
        let threat: Signed<Threat> = travelled(&Signed::new(Promise(7), &alice));
        assert!(threat.open(&alice.id()).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let alice = Signer::from_secret(&[1; 32]);
        let mut signed: Signed<Promise> = travelled(&Signed::new(Promise(7), &alice));
        Arc::get_mut(&mut signed.0).unwrap().bytes[0] ^= 1;
        assert!(signed.open(&alice.id()).is_err());
    }

    #[test]
    fn what_does_not_open_is_not_verified_again() {
        let (alice, bob) = (Signer::from_secret(&[1; 32]), Signer::from_secret(&[2; 32]));
        let mut signed: Signed<Promise> = travelled(&Signed::new(Promise(7), &alice));
        Arc::get_mut(&mut signed.0).unwrap().bytes[0] ^= 1;
        assert!(signed.open(&alice.id()).is_err());
        // Nobody can change the bytes of what has come; this shows that they are not looked at again.
        Arc::get_mut(&mut signed.0).unwrap().bytes[0] ^= 1;
        assert!(signed.open(&alice.id()).is_err() && signed.clone().open(&alice.id()).is_err());
        // A key that does not fit keeps nobody from trying the one that does.
        let signed: Signed<Promise> = travelled(&Signed::new(Promise(7), &alice));
        assert!(signed.open(&bob.id()).is_err() && signed.open(&bob.id()).is_err());
        assert_eq!(signed.open(&alice.id()).unwrap(), &Promise(7));
    }

    #[test]
    fn a_cheaply_signed_value_opens_in_a_scope_alone() {
        let (alice, bob) = (cheap::signer(&[1; 32]), cheap::signer(&[2; 32]));
        let signed = Signed::new(Promise(7), &alice);
        let travelled: Signed<Promise> = travelled(&signed);
        let both = [signed, travelled];
        let opens = |by: &Signer| both.clone().map(|signed| signed.open(&by.id()).is_ok());
        let refused = || assert_eq!(both.each_ref().map(|signed| signed.open(&alice.id()).is_ok()), [false; 2]);
        refused();
        {
            let _scope = cheap::Scope::enter();
            assert_eq!(opens(&bob), [false; 2]);
            // That it was refused outside is not held against it, and it is opened in place.
            for signed in &both {
                assert_eq!(signed.open(&alice.id()).unwrap(), &Promise(7));
            }
        }
        // What was opened inside is not believed outside.
        refused();
        assert_eq!(opens(&alice), [false; 2]);
    }

    #[test]
    fn a_cheap_signature_under_a_real_key_opens_nowhere() {
        let (real, cheap) = (Signer::from_secret(&[1; 32]), cheap::signer(&[1; 32]));
        let signed: Signed<Promise> = travelled(&Signed::new(Promise(7), &cheap));
        let _scope = cheap::Scope::enter();
        assert!(signed.open(&real.id()).is_err());
        assert_eq!(travelled::<_, Promise>(&Signed::new(Promise(7), &real)).open(&real.id()).unwrap(), &Promise(7));
    }
}
