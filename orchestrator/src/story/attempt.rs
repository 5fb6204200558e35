//! One attempt to find a place for a replica: which story it is, by what was told of it, and who played which part.

use kernel::NodeId;
use rear_proto::{Deed, StepManager, story::Place};

use super::{
    Told,
    table::{Actor, number},
};

/// What was told of one attempt, as far as it tells the story.
#[derive(Debug, Default)]
pub(crate) struct Attempt<'a> {
    /// Whether it went beyond this node.
    beyond: bool,
    /// Who drew up a contract, last.
    provider: Option<&'a Place>,
    /// Who looked up what was published.
    catalogues: Vec<&'a Place>,
    /// Whether something was agreed, or peered, with somebody behind a border.
    abroad: bool,
    /// Whether a partner's supernode was asked for offers.
    partner_asked: bool,
    /// Whether a supernode of the domain was asked, or passed an order on.
    supernode: bool,
}

impl<'a> Attempt<'a> {
    /// Takes in a step.
    pub(crate) fn note(&mut self, me: &NodeId, told: &'a Told) {
        self.beyond |= told.beyond;
        let elsewhere = told.node != Place::Node(*me);
        let behind = matches!(told.node, Place::Behind(_));
        self.abroad |= behind && told.deed.manager() != StepManager::DM;
        match told.deed {
            Deed::ContractDrawn => self.provider = Some(&told.node),
            Deed::PublishedLookedUp => self.catalogues.push(&told.node),
            Deed::OffersLookedUp => self.partner_asked |= behind && letter(&told.node) == Some(Actor::SP),
            Deed::AdvertisedLookedUp | Deed::PartnersAsked | Deed::ReserveSent => {
                self.supernode |= elsewhere && !behind;
            }
            _ => {}
        }
    }

    /// Returns which story it is: as far as it has come, and then for good.
    pub(crate) const fn story(&self) -> u8 {
        match (self.beyond, self.abroad, self.supernode) {
            (false, ..) => 0,
            (true, true, _) if !self.catalogues.is_empty() && !self.partner_asked => 4,
            (true, true, _) => 3,
            (true, false, true) => 2,
            (true, false, false) => 1,
        }
    }

    /// Returns the story that a deed belongs to and which of its steps it is. That is this attempt's own story, unless
    /// the deed is a step of another alone: what was asked of partners is told even where all was found at home.
    /// What is a step of none has the number 0.
    pub(crate) fn number(&self, me: &NodeId, deed: Deed, node: &Place) -> (u8, u8) {
        let own = self.story();
        let others: &[u8] = if own == 0 { &[] } else { &[3, 4, 2, 1] };
        std::iter::once(own)
            .chain(others.iter().copied())
            .find_map(|story| Some((story, number(story, deed, self.actor(me, story, deed, node)?)?)))
            .unwrap_or((own, 0))
    }

    /// Returns who it is that did something.
    fn actor(&self, me: &NodeId, story: u8, deed: Deed, node: &Place) -> Option<Actor> {
        match node {
            Place::Node(node) if node == me => Some(Actor::C),
            _ if self.catalogues.contains(&node) => Some(Actor::K),
            Place::Behind(_) => letter(node),
            Place::Node(_) if story == 1 => Some(Actor::P),
            Place::Node(_) if deed.manager() == StepManager::DM || deed == Deed::ReserveSent => Some(Actor::S),
            Place::Node(_) => Some(if self.provider.is_none_or(|it| it == node) { Actor::P } else { Actor::S }),
        }
    }
}

/// Returns who a letter stands for.
fn letter(node: &Place) -> Option<Actor> {
    match node {
        Place::Node(_) => None,
        Place::Behind(letter) => match letter.as_str() {
            "SP" => Some(Actor::SP),
            "P" => Some(Actor::P),
            "K" => Some(Actor::K),
            _ => None,
        },
    }
}
