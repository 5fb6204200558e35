//! Visitors at a catalogue: nodes of whatever domain, with valid credentials and a valid description of it.
//!
//! They are known only while they are connected, and only so many: over it, who said HELLO longest ago is forgotten,
//! and is a visitor again with its next HELLO.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{DomainKey, NodeId, Time};
use rear_proto::{
    Signed,
    membership::{Credentials, Descriptor, Role},
};

use crate::charter::Charter;

/// A node of some other domain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) domain: DomainKey,
    pub(crate) role: Role,
    /// Until when its certificate and its domain's description are both good.
    pub(crate) until: Time,
    /// Its place in the order of HELLOs.
    turn: u64,
}

/// What the newest description of a domain said that any of its visitors has brought.
#[derive(Debug, Default)]
struct Word {
    rank: (u64, u64),
    revoked: BTreeSet<NodeId>,
    visitors: usize,
}

/// The visitors that are here.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    by_node: BTreeMap<NodeId, Visitor>,
    by_turn: BTreeMap<u64, NodeId>,
    words: BTreeMap<DomainKey, Word>,
    turns: u64,
}

impl Visitors {
    pub(crate) fn get(&self, node: &NodeId) -> Option<&Visitor> {
        self.by_node.get(node)
    }

    /// Takes in a node by what it has shown; who shows less than is needed is no visitor any longer.
    pub(crate) fn greet(
        &mut self,
        now: Time,
        node: NodeId,
        credentials: &Credentials,
        descriptor: Option<&Signed<Descriptor>>,
        most: usize,
    ) {
        self.forget(&node);
        let Some((charter, role, until)) = proven(now, &node, credentials, descriptor) else { return };
        let (domain, rank) = (charter.domain().key, charter.rank());
        let word = self.words.entry(domain).or_default();
        if rank >= word.rank {
            word.rank = rank;
            word.revoked = charter.revoked().keys().copied().collect();
        }
        word.visitors += 1;
        self.turns += 1;
        self.by_turn.insert(self.turns, node);
        self.by_node.insert(node, Visitor { domain, role, until, turn: self.turns });
        // The newest word holds for those that came before it, and for who comes with an older one.
        let removed: Vec<NodeId> =
            self.words.get(&domain).into_iter().flat_map(|word| &word.revoked).copied().collect();
        for gone in removed {
            if self.by_node.get(&gone).is_some_and(|visitor| visitor.domain == domain) {
                self.forget(&gone);
            }
        }
        while self.by_node.len() > most
            && let Some(oldest) = self.by_turn.values().next().copied()
        {
            self.forget(&oldest);
        }
    }

    pub(crate) fn forget(&mut self, node: &NodeId) {
        let Some(visitor) = self.by_node.remove(node) else { return };
        self.by_turn.remove(&visitor.turn);
        if let Some(word) = self.words.get_mut(&visitor.domain) {
            word.visitors = word.visitors.saturating_sub(1);
            if word.visitors == 0 {
                self.words.remove(&visitor.domain);
            }
        }
    }
}

/// Returns what a stranger has proven, where it is enough for a visitor.
fn proven(
    now: Time,
    node: &NodeId,
    credentials: &Credentials,
    descriptor: Option<&Signed<Descriptor>>,
) -> Option<(Charter, Role, Time)> {
    let mut charter = Charter::new(&credentials.list)?;
    let member = charter.verify(&credentials.certificate, node, now).ok()?;
    charter.learn_descriptor(descriptor?, now);
    let expires = charter.described()?.expires;
    if expires <= now || charter.is_revoked(node) {
        return None;
    }
    Some((charter, member.role, member.expires.min(expires)))
}
