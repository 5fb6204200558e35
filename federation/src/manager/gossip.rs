//! Whom members know: each HELLO between members carries some of the others, with the certificates that prove
//! them, so that two who have never had an address of each other meet by a third.
//!
//! They stand in HELLO's extensions. A certificate is proof whoever passes it on; an address is a hint, and what
//! a node says of itself replaces it.

use kernel::{NodeId, Time};
use rear_proto::{
    Extensions, Signed,
    door::{MAX_ADDRESSES, MAX_EXTENSION},
    flavour::Party,
    membership::Certificate,
    wire::codec,
};

use super::{Manager, bounded};
use crate::mail::Effect;

/// The number of the extension.
const ACQUAINTANCES: u16 = 1;
/// The most of them that are read: more do not fit.
const MOST: usize = 32;

/// A member that another knows.
type Acquaintance = (Signed<Certificate>, Vec<String>);

impl Manager {
    /// Returns as many members as fit, those that are here first, others each time; for members alone, and once for
    /// each connection. Whoever comes later is told of those that are here, and looks for them; who can't be found, or not
    /// yet, looks itself, and is told each time.
    pub(super) fn acquaintances(&mut self, now: Time, to: &NodeId) -> Extensions {
        if !self.is_live(now, to) {
            return Extensions::new();
        }
        let can_be_found = self.members.get(to).is_some_and(|member| !member.addresses.is_empty());
        if can_be_found
            && let Some(peer) = self.peers.get_mut(to)
            && std::mem::replace(&mut peer.introduced, true)
        {
            return Extensions::new();
        }
        let mut others: Vec<NodeId> = self
            .members
            .iter()
            .filter(|(node, member)| *node != to && !member.addresses.is_empty() && member.expires > now)
            .filter(|(node, _)| !self.is_revoked(node))
            .map(|(node, _)| *node)
            .collect();
        let turn = usize::try_from(self.rng.below(others.len() as u64)).unwrap_or(0);
        others.rotate_left(turn);
        others.sort_by_cached_key(|node| !self.peers.contains_key(node));
        let mut told: Vec<Acquaintance> = Vec::new();
        // The list's own length takes a byte or three.
        let mut bytes = 3;
        for member in others.iter().filter_map(|node| self.members.get(node)) {
            let addresses = member.addresses.iter().take(MAX_ADDRESSES).cloned().collect();
            let acquaintance = (member.certificate().clone(), addresses);
            bytes += codec::size(&acquaintance);
            if bytes > MAX_EXTENSION || told.len() == MOST {
                break;
            }
            told.push(acquaintance);
        }
        if told.is_empty() {
            return Extensions::new();
        }
        Extensions::from([(ACQUAINTANCES, codec::encode(&told))])
    }

    /// Takes in the members that a member knows, and looks for those that are new here.
    pub(super) fn hear_of(&mut self, now: Time, from: &NodeId, extensions: &Extensions, out: &mut Vec<Effect>) {
        if !self.is_live(now, from) {
            return;
        }
        let Some(bytes) = extensions.get(&ACQUAINTANCES) else { return };
        let Ok(told) = codec::decode::<Vec<Acquaintance>>(bytes) else { return };
        for (certificate, addresses) in told.into_iter().take(MOST) {
            let Some(claimed) = certificate.claimed() else { continue };
            let node = claimed.node;
            // Of whom as much is known, nothing more need be verified.
            let has_addresses = match self.members.get(&node) {
                Some(known) if !known.addresses.is_empty() && known.expires >= claimed.expires => continue,
                Some(known) => !known.addresses.is_empty(),
                None => false,
            };
            let hints = if has_addresses { Vec::new() } else { bounded(addresses) };
            if self.admit(now, node, &certificate, hints, out)
                && let Some(member) = self.members.get(&node)
            {
                let addresses = member.addresses.to_vec();
                self.keep_connected(Party { node, addresses }, out);
            }
        }
    }
}
