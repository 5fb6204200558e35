//! The steps of a story as they are recorded: what was done, by which manager, where and when.
//!
//! A manager records the *deed*; which step of which story that was is told at the consumer, where the story
//! is known (`docs/workflows.md` has the tables).

use std::fmt;

use kernel::{NodeId, Span};
use serde::{Deserialize, Serialize};

/// The most steps that one reply carries.
pub const MAX_STEPS: usize = 64;

/// Which story a deed belongs to, within one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Trace {
    /// None that anybody follows.
    #[default]
    None,
    /// A request of this node's own orchestrator, by its number.
    Own(u64),
    /// A question from outside that is being served, by its ticket's number.
    Served(u64),
}

/// The managers, as the stories name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepManager {
    /// Service Handler.
    SH,
    /// Node Orchestrator.
    NO,
    /// REAR Manager.
    REAR,
    /// Discovery Manager.
    DM,
    /// Contract Manager.
    CM,
    /// Network Manager.
    NM,
    /// Virtual Fabric Manager.
    VFM,
}

/// What a manager did that a story tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Deed {
    /// An intent arrived.
    IntentArrived,
    /// It was decomposed into requests.
    IntentTranslated,
    /// Available Resources and Ratings and Metrics were looked up.
    ResourcesLookedUp,
    /// Nothing suitable: the request went to REAR.
    PassedToRear,
    /// Peering Candidates were looked up.
    CandidatesLookedUp,
    /// No candidate: a selector was handed to Discovery.
    SelectorBuilt,
    /// LIST_FLAVOURS was sent.
    ListSent,
    /// The asked node looked up its Available Resources.
    OffersLookedUp,
    /// The asked node answered with its list.
    ListAnswered,
    /// Peering Candidates were populated.
    CandidatesPopulated,
    /// Discovery was over.
    DiscoveryOver,
    /// A candidate was found.
    CandidateFound,
    /// The reservation was started.
    ReservationStarted,
    /// RESERVE_FLAVOUR was sent.
    ReserveSent,
    /// The seller drew up the contract and asked REAR to reserve.
    ContractDrawn,
    /// The flavour was reduced, an allocation of type Node made.
    FlavourReduced,
    /// REAR told the seller's Contract Manager that it is reserved.
    ReservedAtSeller,
    /// The seller answered with the signed contract.
    ContractAnswered,
    /// The seller's virtual router was deployed.
    SellerRouterDeployed,
    /// The buyer verified and stored the contract, and told REAR.
    ContractStored,
    /// The buyer's virtual router was deployed.
    BuyerRouterDeployed,
    /// An allocation of type VirtualNode was made.
    VirtualNodeAllocated,
    /// The peering was started.
    PeeringStarted,
    /// ResourceRequest was sent.
    ResourceRequestSent,
    /// The provider found the signed contract and completed the peering.
    ContractFound,
    /// The provider's REAR was told.
    ProviderTold,
    /// The provider's allocation became active.
    ProviderActivated,
    /// ResourceOffer was sent.
    ResourceOfferSent,
    /// The consumer's REAR was told.
    ConsumerTold,
    /// The consumer's allocation became active.
    ConsumerActivated,
    /// Discovery, Reservation and Peering were over.
    PhasesOver,
    /// Intent Management went on by itself.
    ManagementResumed,
    /// The workload was deployed on what was found in Available Resources.
    WorkloadDeployed,
    /// The asked supernode looked up what its domain's nodes have advertised.
    AdvertisedLookedUp,
    /// The asked supernode asked partners and catalogues in turn.
    PartnersAsked,
    /// The asked catalogue looked up what was published for the asker's domain.
    PublishedLookedUp,
    /// The asker of a catalogue checked the signatures of what it was given.
    SignaturesChecked,
}

/// One recorded step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was done.
    pub deed: Deed,
    /// Where: a node's id, or behind a border its role letter alone.
    pub node: Place,
    /// By which manager.
    pub manager: StepManager,
    /// When: in a reply, since the request arrived; at the consumer, since the intent arrived.
    pub at: Span,
}

/// Where a step was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// At this node.
    Node(NodeId),
    /// Behind a border, at the party with this letter.
    Behind(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Behind(letter) => f.write_str(letter),
        }
    }
}

impl Deed {
    /// Returns the manager that does this.
    pub const fn manager(self) -> StepManager {
        match self {
            Self::IntentArrived => StepManager::SH,
            Self::IntentTranslated
            | Self::ResourcesLookedUp
            | Self::PassedToRear
            | Self::ManagementResumed
            | Self::WorkloadDeployed => StepManager::NO,
            Self::CandidatesLookedUp
            | Self::SelectorBuilt
            | Self::CandidateFound
            | Self::ReservationStarted
            | Self::FlavourReduced
            | Self::ReservedAtSeller
            | Self::VirtualNodeAllocated
            | Self::PeeringStarted
            | Self::ProviderActivated
            | Self::ConsumerActivated
            | Self::PhasesOver => StepManager::REAR,
            Self::ListSent
            | Self::OffersLookedUp
            | Self::ListAnswered
            | Self::CandidatesPopulated
            | Self::DiscoveryOver
            | Self::AdvertisedLookedUp
            | Self::PartnersAsked
            | Self::PublishedLookedUp
            | Self::SignaturesChecked => StepManager::DM,
            Self::ReserveSent | Self::ContractDrawn | Self::ContractAnswered | Self::ContractStored => StepManager::CM,
            Self::SellerRouterDeployed | Self::BuyerRouterDeployed => StepManager::NM,
            Self::ResourceRequestSent
            | Self::ContractFound
            | Self::ProviderTold
            | Self::ResourceOfferSent
            | Self::ConsumerTold => StepManager::VFM,
        }
    }

    /// Returns what was done, as a person is told.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::IntentArrived => "an intent arrived",
            Self::IntentTranslated => "intent translated and decomposed into requests",
            Self::ResourcesLookedUp => "looked for room in Available Resources",
            Self::PassedToRear => "nothing suitable here: passed to REAR",
            Self::CandidatesLookedUp => "looked into Peering Candidates",
            Self::SelectorBuilt => "no candidate: a selector handed to Discovery",
            Self::ListSent => "LIST_FLAVOURS sent to the known endpoints",
            Self::OffersLookedUp => "looked up matching flavours in Available Resources",
            Self::ListAnswered => "answered with the list",
            Self::CandidatesPopulated => "Peering Candidates populated",
            Self::DiscoveryOver => "Discovery is over",
            Self::CandidateFound => "a candidate found and ranked",
            Self::ReservationStarted => "Reservation started",
            Self::ReserveSent => "RESERVE_FLAVOUR sent",
            Self::ContractDrawn => "contract drawn up, REAR asked to reserve",
            Self::FlavourReduced => "flavour reduced, allocation of type Node made",
            Self::ReservedAtSeller => "reserved",
            Self::ContractAnswered => "answered with the signed contract",
            Self::SellerRouterDeployed => "virtual router deployed",
            Self::ContractStored => "contract verified and stored",
            Self::BuyerRouterDeployed => "virtual router deployed",
            Self::VirtualNodeAllocated => "allocation of type VirtualNode made",
            Self::PeeringStarted => "peering started",
            Self::ResourceRequestSent => "ResourceRequest sent through the virtual routers",
            Self::ContractFound => "signed contract found: peering completed",
            Self::ProviderTold => "REAR told",
            Self::ProviderActivated => "allocation active",
            Self::ResourceOfferSent => "ResourceOffer sent",
            Self::ConsumerTold => "REAR told",
            Self::ConsumerActivated => "allocation active",
            Self::PhasesOver => "Discovery, Reservation and Peering are over",
            Self::ManagementResumed => "Intent Management goes on",
            Self::WorkloadDeployed => "workload deployed on the virtual node",
            Self::AdvertisedLookedUp => "looked up what the domain's nodes have advertised",
            Self::PartnersAsked => "LIST_FLAVOURS sent to partners and catalogues",
            Self::PublishedLookedUp => "looked up what was published for the asker's domain",
            Self::SignaturesChecked => "checked the signatures on the offers",
        }
    }
}
