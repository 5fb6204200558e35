//! The roll of members: who has proven to be one.
//!
//! A node may know thousands, and in a simulation thousands of nodes know each other. So an entry is a few words: the
//! certificate, which says who it is and as what, and the addresses are handles on what others may have as well.

use std::sync::Arc;

use kernel::{NodeId, Time};
use rear_proto::{
    Signed,
    membership::{Certificate, Role},
};

/// Where a node is, as a handle.
pub(crate) type Addresses = Arc<Vec<String>>;

/// By which part of its length, one of so many, the roll grows.
const GROWTH: usize = 8;

/// A node that has proven to be a member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    certificate: Signed<Certificate>,
    /// What the certificate says.
    says: Arc<Certificate>,
    /// Until when it is proven: the list of issuers may end first.
    pub(crate) expires: Time,
    pub(crate) addresses: Addresses,
    /// Zero where it was not heard yet.
    last_heard: Time,
}

impl Member {
    /// Makes the entry of a certificate, whose signature is verified elsewhere; `None` where it says nothing.
    pub(crate) fn new(certificate: &Signed<Certificate>, expires: Time, addresses: Addresses) -> Option<Self> {
        let says = certificate.kept()?;
        Some(Self { certificate: certificate.clone(), says, expires, addresses, last_heard: Time::default() })
    }

    pub(crate) fn node(&self) -> &NodeId {
        &self.says.node
    }

    pub(crate) fn role(&self) -> Role {
        self.says.role
    }

    pub(crate) const fn certificate(&self) -> &Signed<Certificate> {
        &self.certificate
    }

    pub(crate) fn last_heard(&self) -> Option<Time> {
        (self.last_heard > Time::default()).then_some(self.last_heard)
    }

    pub(crate) const fn heard(&mut self, now: Time) {
        self.last_heard = now;
    }

    /// Takes in a later certificate of the same node.
    pub(crate) fn renew(&mut self, later: Self) {
        *self = Self { addresses: Arc::clone(&self.addresses), last_heard: self.last_heard, ..later };
    }
}

/// The members known, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Roll(Vec<Member>);

impl Roll {
    fn place(&self, node: &NodeId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, Member::node)
    }

    pub(crate) fn get(&self, node: &NodeId) -> Option<&Member> {
        self.place(node).ok().and_then(|at| self.0.get(at))
    }

    pub(crate) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Member> {
        self.place(node).ok().and_then(|at| self.0.get_mut(at))
    }

    pub(crate) fn contains(&self, node: &NodeId) -> bool {
        self.place(node).is_ok()
    }

    /// Takes in a member, in the place of what was known of it.
    pub(crate) fn put(&mut self, member: Member) {
        match self.place(member.node()) {
            Ok(at) => self.0[at] = member,
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(self.0.len() / GROWTH + 1);
                }
                self.0.insert(at, member);
            }
        }
    }

    pub(crate) fn remove(&mut self, node: &NodeId) {
        if let Ok(at) = self.place(node) {
            self.0.remove(at);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.0.iter().map(|member| (member.node(), member))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use kernel::DomainKey;
    use rear_proto::{Extensions, Signer};

    use super::*;

    fn member(number: u8) -> Member {
        let certificate = Certificate {
            domain: DomainKey([0; 32]),
            node: NodeId([number; 32]),
            role: Role::Node,
            issuer: NodeId([0; 32]),
            issued: Time(1),
            expires: Time(2),
            extensions: Extensions::new(),
        };
        let certificate = Signed::new(certificate, &Signer::from_secret(&[1; 32]));
        Member::new(&certificate, Time(u64::from(number)), Addresses::default()).unwrap()
    }

    #[test]
    fn members_are_found_by_their_ids_and_stand_in_their_order() {
        let mut roll = Roll::default();
        [5, 1, 9, 1, 3, 7].into_iter().for_each(|number| roll.put(member(number)));
        assert_eq!(roll.iter().map(|(node, _)| node.0[0]).collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
        assert_eq!(roll.get(&NodeId([7; 32])).unwrap().expires, Time(7));
        roll.remove(&NodeId([7; 32]));
        roll.remove(&NodeId([8; 32]));
        assert!(!roll.contains(&NodeId([7; 32])) && roll.count() == 4);
    }

    #[test]
    fn a_later_certificate_leaves_what_else_is_known() {
        let mut known = member(1);
        known.addresses = Arc::new(vec!["here".to_owned()]);
        known.heard(Time(9));
        known.renew(Member { expires: Time(8), ..member(1) });
        assert_eq!((known.expires, known.last_heard(), known.addresses.len()), (Time(8), Some(Time(9)), 1));
        assert_eq!(member(1).last_heard(), None);
    }

    #[test]
    fn an_entry_is_a_few_words() {
        assert!(size_of::<Member>() <= 40);
    }
}
