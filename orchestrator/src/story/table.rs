//! The tables of the stories: which step a deed is, depending on who did it (`docs/workflows.md`).
//!
//! ```text
//!             1 … 6 │ discovery 7 … 13          │ agreement 14 … 31             two nodes (1); asked: a supernode (2)
//!                   │ discovery 7 … 19          │ agreement 20 … 41             over a border (3)
//!                   │  … 10, a catalogue 11–13  │                               by a catalogue (4)
//! ```
//! Each has one home here: what is numbered by a table is also held against it (`check.rs`).

use rear_proto::Deed;

/// Who does a step of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The consumer.
    C,
    /// The provider.
    P,
    /// A supernode of the consumer's domain.
    S,
    /// A supernode of the provider's domain, behind the border.
    SP,
    /// A catalogue.
    K,
}

impl Actor {
    /// Returns what it is called in a sentence.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::C => "consumer",
            Self::P => "provider",
            Self::S => "supernode",
            Self::SP => "partner's supernode",
            Self::K => "catalogue",
        }
    }
}

/// One place in a table: its number, who does it, and the deeds that it is, in any order.
pub(crate) type Line = (u8, Actor, &'static [Deed]);

use self::Actor::{C, K, P, S, SP};

/// Story 0: the workload is placed where the intent arrived.
const LOCAL: &[Line] = &[
    (1, C, &[Deed::IntentArrived]),
    (2, C, &[Deed::IntentTranslated]),
    (3, C, &[Deed::ResourcesLookedUp]),
    (31, C, &[Deed::WorkloadDeployed]),
];

/// Every other story begins so.
const OPENING: &[Line] = &[
    (1, C, &[Deed::IntentArrived]),
    (2, C, &[Deed::IntentTranslated]),
    (3, C, &[Deed::ResourcesLookedUp]),
    (4, C, &[Deed::PassedToRear]),
    (5, C, &[Deed::CandidatesLookedUp]),
    (6, C, &[Deed::SelectorBuilt]),
    (7, C, &[Deed::ListSent]),
];

/// Story 1: nodes of the domain are asked.
const NODES_ASKED: &[Line] = &[
    (8, P, &[Deed::OffersLookedUp]),
    (9, P, &[Deed::ListAnswered]),
    (10, C, &[Deed::CandidatesPopulated]),
    (11, C, &[Deed::DiscoveryOver]),
    (12, C, &[Deed::CandidateFound]),
    (13, C, &[Deed::ReservationStarted]),
];

/// Story 2: a supernode of the domain is asked.
const SUPERNODE_ASKED: &[Line] = &[
    (8, S, &[Deed::OffersLookedUp]),
    (9, S, &[Deed::AdvertisedLookedUp]),
    (10, S, &[Deed::ListAnswered]),
    (11, C, &[Deed::CandidatesPopulated]),
    (12, C, &[Deed::DiscoveryOver]),
    (13, C, &[Deed::CandidateFound, Deed::ReservationStarted]),
];

/// Story 1, and story 2 where the supernode passes the order on (15c).
const AGREED_WITHIN: &[Line] = &[
    (14, C, &[Deed::ReserveSent]),
    (15, S, &[Deed::ReserveSent]),
    (15, P, &[Deed::ContractDrawn]),
    (16, P, &[Deed::FlavourReduced]),
    (17, P, &[Deed::ReservedAtSeller]),
    (18, P, &[Deed::ContractAnswered, Deed::SellerRouterDeployed]),
    (18, S, &[Deed::ContractAnswered, Deed::SellerRouterDeployed]),
    (19, C, &[Deed::ContractStored, Deed::BuyerRouterDeployed]),
    (20, C, &[Deed::VirtualNodeAllocated]),
    (21, C, &[Deed::PeeringStarted]),
    (22, C, &[Deed::ResourceRequestSent]),
    (23, P, &[Deed::ContractFound]),
    (24, P, &[Deed::ProviderTold]),
    (25, P, &[Deed::ProviderActivated]),
    (26, P, &[Deed::ResourceOfferSent]),
    (27, C, &[Deed::ConsumerTold]),
    (28, C, &[Deed::ConsumerActivated]),
    (29, C, &[Deed::PhasesOver]),
    (30, C, &[Deed::ManagementResumed]),
    (31, C, &[Deed::WorkloadDeployed]),
];

/// Stories 3 and 4: the supernode asks in turn …
const PASSED_ON: &[Line] =
    &[(8, S, &[Deed::OffersLookedUp]), (9, S, &[Deed::AdvertisedLookedUp]), (10, S, &[Deed::PartnersAsked])];

/// … in story 3 a partner's supernode …
const PARTNER_ASKED: &[Line] =
    &[(11, SP, &[Deed::OffersLookedUp]), (12, SP, &[Deed::AdvertisedLookedUp]), (13, SP, &[Deed::ListAnswered])];

/// … and in story 4 a catalogue.
const CATALOGUE_ASKED: &[Line] =
    &[(11, K, &[Deed::PublishedLookedUp]), (12, K, &[Deed::ListAnswered]), (13, S, &[Deed::SignaturesChecked])];

/// Stories 3 and 4: what is agreed over the border.
const AGREED_ABROAD: &[Line] = &[
    (14, S, &[Deed::CandidatesPopulated]),
    (15, S, &[Deed::ListAnswered]),
    (16, C, &[Deed::CandidatesPopulated]),
    (17, C, &[Deed::DiscoveryOver]),
    (18, C, &[Deed::CandidateFound]),
    (19, C, &[Deed::ReservationStarted]),
    (20, C, &[Deed::ReserveSent]),
    (21, S, &[Deed::ReserveSent]),
    (22, SP, &[Deed::ReserveSent]),
    (23, P, &[Deed::ContractDrawn]),
    (24, P, &[Deed::FlavourReduced]),
    (25, P, &[Deed::ReservedAtSeller]),
    (26, P, &[Deed::ContractAnswered, Deed::SellerRouterDeployed]),
    (27, SP, &[Deed::ContractAnswered, Deed::SellerRouterDeployed]),
    (28, S, &[Deed::ContractAnswered, Deed::SellerRouterDeployed]),
    (29, C, &[Deed::ContractStored, Deed::BuyerRouterDeployed]),
    (30, C, &[Deed::VirtualNodeAllocated]),
    (31, C, &[Deed::PeeringStarted]),
    (32, C, &[Deed::ResourceRequestSent]),
    (33, P, &[Deed::ContractFound]),
    (34, P, &[Deed::ProviderTold]),
    (35, P, &[Deed::ProviderActivated]),
    (36, P, &[Deed::ResourceOfferSent]),
    (37, C, &[Deed::ConsumerTold]),
    (38, C, &[Deed::ConsumerActivated]),
    (39, C, &[Deed::PhasesOver]),
    (40, C, &[Deed::ManagementResumed]),
    (41, C, &[Deed::WorkloadDeployed]),
];

/// Returns the table of a story; nothing where there is no such story. In story 2, lines of the supernode from 14 on
/// are those of its variant 15c.
pub(crate) fn table(story: u8) -> impl Iterator<Item = &'static Line> {
    let parts: [&[Line]; 5] = match story {
        0 => [LOCAL, &[], &[], &[], &[]],
        1 => [OPENING, NODES_ASKED, AGREED_WITHIN, &[], &[]],
        2 => [OPENING, SUPERNODE_ASKED, AGREED_WITHIN, &[], &[]],
        3 => [OPENING, PASSED_ON, PARTNER_ASKED, AGREED_ABROAD, &[]],
        4 => [OPENING, PASSED_ON, CATALOGUE_ASKED, AGREED_ABROAD, &[]],
        _ => [&[]; 5],
    };
    parts.into_iter().flatten().filter(move |(_, actor, _)| story != 1 || *actor != S)
}

/// Returns which step of a story a deed is, where it is one.
pub(crate) fn number(story: u8, deed: Deed, actor: Actor) -> Option<u8> {
    table(story).find(|(_, who, deeds)| *who == actor && deeds.contains(&deed)).map(|(number, ..)| *number)
}
