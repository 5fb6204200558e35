//! Other domains that this one trades with: what was decided about each, and what each says of itself.
//!
//! What the domain decides (name and state) goes by the later word of any of its operators; what the partner says of
//! itself goes by its own signatures. So supernodes that have heard the same, in whatever order, believe the same.

use std::collections::BTreeMap;

use kernel::{DomainKey, NodeId, Span, Time};
use rear_proto::{
    Code, Refusal, Signed,
    membership::Descriptor,
    partner::{PartnerRecord, PartnerState},
};

use crate::charter::Charter;

/// For how long a removed partner is remembered: a supernode that is off for longer would bring it back.
///
/// As long as a certificate is good by default, so that it is out by then if it is removed itself.
pub(crate) const REMEMBERED: Span = Span::secs(30 * 86_400);
/// How far ahead of this node's clock the word of another supernode may be: a word from the far future would stand
/// against every later one.
const AHEAD: Span = Span::secs(86_400);
/// The most bytes of a partner's description. With its list, which has at most 64 KiB, it fits into one message; a
/// full list of removals takes 80 KiB.
const MAX_DESCRIPTOR: usize = 128 << 10;
/// The most bytes of a partner's list of issuers.
const MAX_LIST: usize = 80 << 10;

/// A partner.
#[derive(Debug, Clone)]
pub(crate) struct Partner {
    pub(crate) name: String,
    pub(crate) state: PartnerState,
    /// When that was said, and where.
    pub(crate) said: (Time, NodeId),
    /// What it says of itself.
    pub(crate) charter: Charter,
    /// Whether it lets this domain use what it exposes, as it said last to this node.
    pub(crate) theirs: Option<bool>,
    pub(crate) last_heard: Option<Time>,
}

impl Partner {
    /// Returns what is kept and passed on.
    pub(crate) fn record(&self) -> PartnerRecord {
        PartnerRecord {
            name: self.name.clone(),
            list: self.charter.list().clone(),
            descriptor: self.charter.descriptor().cloned(),
            state: self.state,
            said: self.said,
        }
    }

    /// Says whether it is a partner: it may be suspended, but not removed.
    pub(crate) fn is_live(&self) -> bool {
        match self.state {
            PartnerState::On | PartnerState::Suspended => true,
            PartnerState::Removed => false,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.state == PartnerState::On
    }

    /// Says whether its description names a node as one of its supernodes.
    pub(crate) fn names(&self, node: &NodeId) -> bool {
        let described = self.charter.described().into_iter().flat_map(|descriptor| &descriptor.supernodes);
        !self.charter.is_revoked(node) && described.into_iter().any(|party| party.node == *node)
    }

    /// Returns when it need not be remembered any longer, where it is removed.
    pub(crate) fn ends(&self) -> Option<Time> {
        (!self.is_live()).then(|| self.said.0 + REMEMBERED)
    }
}

/// Takes in how a foreign domain describes itself, unless that is too long to be passed on; returns whether
/// anything of it is new.
pub(crate) fn learn_descriptor(charter: &mut Charter, descriptor: &Signed<Descriptor>, now: Time) -> bool {
    if descriptor.bytes().len() > MAX_DESCRIPTOR {
        return false;
    }
    let news = charter.learn_descriptor(descriptor, now);
    news.adopted || !news.revoked.is_empty()
}

/// All partners, by their domains' keys; boxed, since a map makes room for eleven at once.
#[derive(Debug, Default)]
pub(crate) struct Partners(BTreeMap<DomainKey, Box<Partner>>);

impl Partners {
    pub(crate) fn get(&self, domain: &DomainKey) -> Option<&Partner> {
        self.0.get(domain).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, domain: &DomainKey) -> Option<&mut Partner> {
        self.0.get_mut(domain).map(Box::as_mut)
    }

    pub(crate) fn put(&mut self, domain: DomainKey, partner: Partner) {
        self.0.insert(domain, Box::new(partner));
    }

    pub(crate) fn remove(&mut self, domain: &DomainKey) -> bool {
        self.0.remove(domain).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&DomainKey, &Partner)> {
        self.0.iter().map(|(domain, partner)| (domain, partner.as_ref()))
    }

    /// Returns those that are partners, suspended or not.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&DomainKey, &Partner)> {
        self.iter().filter(|(_, partner)| partner.is_live())
    }

    pub(crate) fn get_live(&self, domain: &DomainKey) -> Option<&Partner> {
        self.get(domain).filter(|partner| partner.is_live())
    }

    /// Returns the live partner that is called this here, or has this key.
    pub(crate) fn find(&self, name: &str) -> Result<DomainKey, Refusal> {
        let key = name.parse::<DomainKey>().ok();
        let mut found = self.live().filter(|(domain, partner)| partner.name == name || Some(**domain) == key);
        match (found.next(), found.next()) {
            (Some((domain, _)), None) => Ok(*domain),
            (None, _) => Err(Refusal::new(Code::NotFound, format!("there is no partner '{name}'"))),
            // Two operators have given one name at once, each at another supernode.
            (Some((one, _)), Some((other, _))) => {
                let text = format!("there are two partners '{name}': say which by its key, {one} or {other}");
                Err(Refusal::new(Code::Malformed, text))
            }
        }
    }

    /// Says whether a live partner other than this domain has a name.
    pub(crate) fn is_taken(&self, name: &str, but: Option<&DomainKey>) -> bool {
        self.live().any(|(domain, partner)| partner.name == name && Some(domain) != but)
    }

    /// Makes room for one more; returns the removed one that is forgotten for it. `Err` where all are live.
    pub(crate) fn make_room(&mut self, most: usize) -> Result<Option<DomainKey>, ()> {
        if self.0.len() < most {
            return Ok(None);
        }
        let removed = self.0.iter().filter(|(_, partner)| !partner.is_live());
        let oldest = removed.min_by_key(|(domain, partner)| (partner.said, **domain)).map(|(domain, _)| *domain);
        oldest.map(Some).ok_or(())
    }

    /// Merges what another supernode of the own domain has; returns the domain where anything of it is new here.
    ///
    /// A partner that is not known here is taken in whatever its state; there must be room for it.
    pub(crate) fn merge(&mut self, record: PartnerRecord, now: Time) -> Option<DomainKey> {
        let PartnerRecord { name, list, descriptor, state, said } = record;
        let domain = list.claimed()?.domain.key;
        if said.0 > now + AHEAD || list.bytes().len() > MAX_LIST {
            return None;
        }
        let Some(known) = self.0.get_mut(&domain) else {
            let mut charter = Charter::new(&list)?;
            if let Some(descriptor) = &descriptor {
                learn_descriptor(&mut charter, descriptor, now);
            }
            let partner = Partner { name, state, said, charter, theirs: None, last_heard: None };
            if partner.ends().is_some_and(|ends| ends <= now) {
                return None;
            }
            self.put(domain, partner);
            return Some(domain);
        };
        let mut is_news = known.charter.learn_list(&list, now);
        if let Some(descriptor) = &descriptor {
            is_news |= learn_descriptor(&mut known.charter, descriptor, now);
        }
        if said > known.said {
            (known.name, known.state, known.said) = (name, state, said);
            is_news = true;
        }
        is_news.then_some(domain)
    }
}

/// Says whether a foreign domain's list of issuers is short enough to be passed on.
pub(crate) fn is_short(list: &Signed<rear_proto::membership::IssuerList>) -> bool {
    list.bytes().len() <= MAX_LIST
}
