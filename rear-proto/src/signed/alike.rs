//! In a simulation, one copy of what many nodes have: what is signed, and where nodes are, by its content.
//!
//! A thousand minds in one process read the same certificate a thousand times. Daemons have one mind, so for them
//! nothing is looked up here: it works only on a thread that holds a [`Scope`](super::cheap::Scope), for what is signed
//! cheaply, and forgets all when the scope ends. Whether two handles are of one copy can't be told from what they say.

use std::{
    any::Any,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use super::{Inner, cheap};
use crate::local::Partner;

/// By how many copies more than were left the last time those that nobody has any longer are looked for.
const SLACK: usize = 4096;

/// The name of something signed cheaply: what of its signature is not the mark. Another of the same name is told apart
/// by its bytes.
type Name = [u8; 16];

thread_local! {
    static SIGNED: RefCell<Copies> = const { RefCell::new(Copies { by_name: BTreeMap::new(), sweep: SLACK }) };
    static LISTS: RefCell<Lists<Vec<String>>> = const { RefCell::new(Lists { known: BTreeSet::new(), left: 0 }) };
    static PARTNERS: RefCell<Lists<[Partner]>> = const { RefCell::new(Lists { known: BTreeSet::new(), left: 0 }) };
}

struct Lists<T: ?Sized> {
    known: BTreeSet<Arc<T>>,
    /// How many there were after those that nobody has any longer were last dropped.
    left: usize,
}

impl<T: Ord + ?Sized> Lists<T> {
    fn one(&mut self, list: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(list) {
            return Arc::clone(known);
        }
        if self.known.len() >= 2 * self.left + SLACK {
            self.known.retain(|list| Arc::strong_count(list) > 1);
            self.left = self.known.len();
        }
        let list = make();
        self.known.insert(Arc::clone(&list));
        list
    }

    fn clear(&mut self) {
        (self.known, self.left) = (BTreeSet::new(), 0);
    }
}

struct Copies {
    by_name: BTreeMap<Name, Weak<dyn Any + Send + Sync>>,
    /// How many there may be until those that nobody has any longer are looked for.
    sweep: usize,
}

/// Returns the copy that others have of this, where there is one.
pub(super) fn signed<T: Send + Sync + 'static>(fresh: Arc<Inner<T>>) -> Arc<Inner<T>> {
    let Some(name) = fresh.signature.first_chunk::<16>().copied() else { return fresh };
    if !cheap::claims(&fresh.signature) || !cheap::holds() {
        return fresh;
    }
    SIGNED.with_borrow_mut(|copies| {
        let known =
            copies.by_name.get(&name).and_then(Weak::upgrade).and_then(|known| known.downcast::<Inner<T>>().ok());
        if let Some(known) = known.filter(|known| known.bytes == fresh.bytes && known.signature == fresh.signature) {
            return known;
        }
        if copies.by_name.len() >= copies.sweep {
            copies.by_name.retain(|_, copy| copy.strong_count() > 0);
            copies.sweep = 2 * copies.by_name.len() + SLACK;
        }
        let copy: Arc<dyn Any + Send + Sync> = Arc::<Inner<T>>::clone(&fresh);
        copies.by_name.insert(name, Arc::downgrade(&copy));
        fresh
    })
}

/// Makes a list, such as of a node's addresses, that is handed around without being copied; in a simulation, the one
/// that others have, where it is the same.
pub fn list(words: Vec<String>) -> Arc<Vec<String>> {
    if !cheap::holds() {
        return Arc::new(words);
    }
    let tight = || Arc::new(words.iter().map(|word| word.as_str().to_owned()).collect());
    LISTS.with_borrow_mut(|lists| lists.one(&words, tight))
}

/// The same for the partners of a domain.
pub fn partners(partners: Vec<Partner>) -> Arc<[Partner]> {
    if !cheap::holds() {
        return partners.into();
    }
    PARTNERS.with_borrow_mut(|lists| lists.one(&partners, || partners.as_slice().into()))
}

/// Forgets all.
pub(super) fn clear() {
    SIGNED.with_borrow_mut(|copies| (copies.by_name, copies.sweep) = (BTreeMap::new(), SLACK));
    LISTS.with_borrow_mut(Lists::clear);
    PARTNERS.with_borrow_mut(Lists::clear);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::{
        signed::{Signable, Signed, Signer},
        wire::codec,
    };

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Promise(u64);
    impl Signable for Promise {
        const TAG: &'static str = "promise";
    }

    fn read_twice(signed: &Signed<Promise>) -> [Signed<Promise>; 2] {
        let bytes = codec::encode(signed);
        [codec::decode(&bytes).unwrap(), codec::decode(&bytes).unwrap()]
    }

    fn is_one([a, b]: &[Signed<Promise>; 2]) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }

    #[test]
    fn what_is_read_twice_in_a_scope_is_one() {
        let signed = Signed::new(Promise(7), &cheap::signer(&[1; 32]));
        assert!(!is_one(&read_twice(&signed)));
        let scope = cheap::Scope::enter();
        let kept = read_twice(&signed);
        assert!(is_one(&kept));
        assert_ne!(kept[0], read_twice(&Signed::new(Promise(8), &cheap::signer(&[1; 32])))[0]);
        drop(scope);
        assert!(!is_one(&read_twice(&signed)), "and it is forgotten");
        assert!(SIGNED.with_borrow(|copies| copies.by_name.is_empty()));
    }

    #[test]
    fn what_daemons_sign_is_never_looked_up() {
        let signed = Signed::new(Promise(7), &Signer::from_secret(&[1; 32]));
        let _scope = cheap::Scope::enter();
        assert!(!is_one(&read_twice(&signed)));
    }

    #[test]
    fn other_bytes_under_the_same_signature_are_another() {
        let _scope = cheap::Scope::enter();
        let signer = cheap::signer(&[1; 32]);
        let [kept, _] = read_twice(&Signed::new(Promise(7), &signer));
        let mut forged = codec::encode(&Signed::new(Promise(9), &signer));
        let signature = kept.0.signature;
        let at = forged.len() - signature.len();
        forged[at..].copy_from_slice(&signature);
        let forged: Signed<Promise> = codec::decode(&forged).unwrap();
        assert!(kept.open(&signer.id()).is_ok() && forged.open(&signer.id()).is_err());
    }

    #[test]
    fn what_nobody_has_any_longer_is_forgotten() {
        let _scope = cheap::Scope::enter();
        let signer = cheap::signer(&[1; 32]);
        for n in 0..3 * SLACK as u64 {
            drop(read_twice(&Signed::new(Promise(n), &signer)));
        }
        assert!(SIGNED.with_borrow(|copies| copies.by_name.len()) <= SLACK);
    }

    #[test]
    fn equal_lists_are_one_in_a_scope() {
        let one = || list(vec!["a".to_owned(), "b".to_owned()]);
        assert!(!Arc::ptr_eq(&one(), &one()));
        let _scope = cheap::Scope::enter();
        assert!(Arc::ptr_eq(&one(), &one()) && *one() != *list(vec!["a".to_owned()]));
    }
}
