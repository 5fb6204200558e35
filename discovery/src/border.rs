//! The border: who may see which offer, and what it looks like from there.
//!
//! ```text
//!   a node of the domain  ◄── own, and the domain's: as they are ── supernode ── only what `expose` allows ──► a partner
//!                         ◄── partners': named inward, margin ────           └─ named outward, margin
//! ```
//! What is seen through a border is offered by this supernode: its id, its addresses, its price. The epoch and the
//! origin stay.

use std::sync::Arc;

use kernel::{
    DomainKey, Span, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Flavour,
    flavour::{Domain, Party},
    local::{Me, Partner},
    membership::Role,
};

use crate::{
    config::{Config, Expose},
    index::{Offer, Whose},
};

/// For whose eyes an offer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Viewer {
    /// This node's own: it sees offers as they were made to it.
    Me,
    /// A node of the own domain.
    Member,
    /// A partner.
    Partner(DomainKey),
}

/// What this node knows of the border of its domain.
#[derive(Debug)]
pub(crate) struct Border {
    here: Party,
    home: Domain,
    role: Role,
    partners: Arc<[Partner]>,
}

impl Border {
    pub(crate) fn new(me: &Me) -> Self {
        Self {
            here: Party { node: me.signer.id(), addresses: Vec::new() },
            // Until an offer of this domain has told its name, it goes by its key.
            home: Domain { key: me.domain, name: me.domain.to_string() },
            role: me.role,
            partners: Arc::default(),
        }
    }

    pub(crate) const fn home(&self) -> DomainKey {
        self.home.key
    }

    pub(crate) const fn home_domain(&self) -> &Domain {
        &self.home
    }

    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    pub(crate) const fn is_supernode(&self) -> bool {
        matches!(self.role, Role::Supernode)
    }

    /// Learns from an own offer where this node is, and what its domain is called.
    pub(crate) fn learn(&mut self, own: &Flavour) {
        if own.domain.key == self.home.key && own.domain.name != self.home.name {
            self.home.name.clone_from(&own.domain.name);
        }
        if own.provider.node == self.here.node && own.provider.addresses != self.here.addresses {
            self.here.addresses.clone_from(&own.provider.addresses);
        }
    }

    /// Takes in what the domain is called, and where this node is; says whether that is news.
    pub(crate) fn named(&mut self, domain: Domain, addresses: Vec<String>) -> bool {
        let news = self.home != domain || self.here.addresses != addresses;
        self.home = domain;
        self.here.addresses = addresses;
        news
    }

    /// Takes in who the partners are.
    pub(crate) fn partners_are(&mut self, partners: Arc<[Partner]>) {
        self.partners = partners;
    }

    pub(crate) fn partner(&self, domain: &DomainKey) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.domain.key == *domain)
    }

    /// Returns who the partners are, as far as it matters for what they may see.
    pub(crate) fn viewers(&self) -> Vec<(DomainKey, String, bool)> {
        self.partners.iter().map(|partner| (partner.domain.key, partner.name.clone(), partner.on)).collect()
    }

    /// Returns the partners whose relation is on.
    pub(crate) fn partners_on(&self) -> impl Iterator<Item = &Partner> {
        self.partners.iter().filter(|partner| partner.on)
    }

    /// Returns the eyes of a viewer, with which to look at offers.
    pub(crate) fn eyes<'a>(&'a self, now: Time, viewer: Viewer, config: &'a Config) -> Eyes<'a> {
        let partner = match viewer {
            Viewer::Me | Viewer::Member => None,
            Viewer::Partner(domain) => self.partner(&domain).filter(|partner| partner.on),
        };
        let is_for = |rule: &&Expose| partner.is_some_and(|partner| rule.is_for(&partner.name));
        Eyes { border: self, now, viewer, rules: config.expose.iter().filter(is_for).collect(), config }
    }
}

/// A viewer's eyes.
#[derive(Debug)]
pub(crate) struct Eyes<'a> {
    border: &'a Border,
    now: Time,
    viewer: Viewer,
    rules: Vec<&'a Expose>,
    config: &'a Config,
}

impl Eyes<'_> {
    /// Says whether the viewer may see anything of what other domains offer.
    pub(crate) fn look_abroad(&self) -> bool {
        match self.viewer {
            Viewer::Me | Viewer::Member => true,
            Viewer::Partner(_) => self.rules.iter().any(|rule| rule.resale),
        }
    }

    /// Returns an offer as the viewer sees it, or nothing where it may not.
    pub(crate) fn see(&self, side: Whose, offer: &Offer) -> Option<Arc<Flavour>> {
        Some(self.glimpse(side, offer)?.view())
    }

    /// Says whether the viewer may see an offer, and as what: the one place where that is decided.
    pub(crate) fn glimpse<'a>(&self, side: Whose, offer: &'a Offer) -> Option<Glimpse<'a>> {
        let left = offer.heard.map_or(offer.flavour.expires_in, |heard| self.now.until(heard.expires));
        if offer.heard.is_some() && left.0 == 0 {
            return None;
        }
        let here = &self.border.here;
        let copy = || Box::new((*offer.flavour).clone());
        let seen = match (self.viewer, side) {
            (Viewer::Me, _) | (Viewer::Member, Whose::Own) => {
                return Some(Glimpse { offer, left: offer.flavour.expires_in, changed: None });
            }
            (Viewer::Member, Whose::Domain | Whose::Others) => {
                // A node that can only dial out is reached through this one.
                if !offer.flavour.provider.addresses.is_empty() || !self.border.is_supernode() {
                    return Some(Glimpse { offer, left, changed: None });
                }
                let mut seen = copy();
                seen.provider = here.clone();
                seen
            }
            (Viewer::Member, Whose::Foreign) => {
                let mut seen = copy();
                seen.id = offer.aliases.inward?;
                seen.provider = here.clone();
                seen.owner = here.node;
                seen.price.amount = self.config.margin.on(seen.price.amount)?;
                seen
            }
            (Viewer::Partner(viewer), side) => {
                if offer.flavour.domain.key == viewer || !self.may_pass(side, &offer.flavour) {
                    return None;
                }
                let mut seen = copy();
                seen.id = offer.aliases.outward?;
                seen.provider = here.clone();
                seen.owner = here.node;
                seen.domain = self.border.home.clone();
                // What is this node's own is sold at its price, and not passed on.
                if side != Whose::Own {
                    seen.price.amount = self.config.margin.on(seen.price.amount)?;
                }
                seen
            }
        };
        Some(Glimpse { offer, left, changed: Some(seen) })
    }

    fn may_pass(&self, side: Whose, flavour: &Flavour) -> bool {
        if planted::is(Bug::ShowHidden) {
            return true;
        }
        let abroad = side == Whose::Foreign;
        let mut rules = self.rules.iter().filter(|rule| rule.resale || !abroad).peekable();
        if rules.peek().is_none() {
            return false;
        }
        let everything = |rule: &&&Expose| rule.what.filters.is_empty();
        if rules.clone().any(|rule| everything(&rule)) {
            return true;
        }
        // The rule is about the offer, not about what is left of it just now.
        let whole = Flavour { available: flavour.base, ..flavour.clone() };
        rules.any(|rule| rule.what.fit(&whole, None).is_some())
    }
}

/// An offer as a viewer sees it, of which nothing is copied that is as it is.
#[derive(Debug)]
pub(crate) struct Glimpse<'a> {
    pub(crate) offer: &'a Offer,
    /// How much longer it holds.
    left: Span,
    /// What it looks like, where it looks otherwise than it is.
    changed: Option<Box<Flavour>>,
}

impl Glimpse<'_> {
    /// Returns what is seen, but for how much longer it holds.
    pub(crate) fn flavour(&self) -> &Flavour {
        self.changed.as_deref().unwrap_or(&self.offer.flavour)
    }

    /// Returns all that is seen.
    pub(crate) fn view(&self) -> Arc<Flavour> {
        if self.changed.is_none() && self.left == self.offer.flavour.expires_in {
            return self.offer.flavour.clone();
        }
        Arc::new(Flavour { expires_in: self.left, ..self.flavour().clone() })
    }
}
