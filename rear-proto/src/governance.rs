//! Federations of domains: proposals, the votes on them, and decisions that anybody can check.
//!
//! ```text
//!  initiator                     electors                      everybody
//!  Proposal{parents, purpose} ──► Vote{decision} ──► Decision{proposal, votes, outcome} ──► the same membership
//!      electorate and policy are those of the membership that the parents come to: frozen
//! ```
//! A decision names the decisions that it builds on, by their proposals, so what has been decided is a graph linked by
//! digests. Two decisions that did not know of each other both stand. [`tally`] is the one rule of what votes come to.

mod tally;

use kernel::{Digest, DomainKey, FederationId, NodeId, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{
    flavour::Domain,
    membership::IssuerList,
    message::Extensions,
    refusal::Refusal,
    signed::{Signable, Signed},
};

pub use tally::{Ballot, tally};

/// By which rule votes become a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Policy {
    /// It passes at the deadline, or once all have voted, if nobody says no: who says nothing agrees.
    OneVoteVeto,
    /// It passes as soon as more than half of the electorate say yes, and fails as soon as they no longer can.
    Majority,
    /// Every elector says yes; one no ends it, and who says nothing does not agree.
    All,
}

impl Policy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::OneVoteVeto, Self::Majority, Self::All];

    /// Returns the policy's name, as commands and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneVoteVeto => "OneVoteVeto",
            Self::Majority => "Majority",
            Self::All => "All",
        }
    }
}

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no policy: it is OneVoteVeto, Majority or All")]
pub struct ParsePolicyError(String);

impl std::str::FromStr for Policy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, ParsePolicyError> {
        // Some call the first one so.
        let text = if text.eq_ignore_ascii_case("OneVote") { Self::OneVoteVeto.name() } else { text };
        let same = |policy: &Self| policy.name().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(same).ok_or_else(|| ParsePolicyError(text.chars().take(80).collect()))
    }
}

/// What holds for all members of a federation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statute {
    /// How proposals are decided.
    pub policy: Policy,
    /// Whether members may be partners of members alone.
    pub closed: bool,
    /// The shortest term of a contract between members; zero where any will do.
    pub least_term: Span,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A federation of these, the initiator among them.
    CreateFederation {
        /// What it is called: a DNS label.
        name: String,
        /// What it is for.
        description: String,
        /// Its first statute.
        statute: Statute,
        /// Its first members, in the order of their keys.
        members: Vec<Domain>,
    },
    /// One more member, which must say yes itself.
    AddMember {
        /// Which.
        member: Domain,
    },
    /// One member less, which has no vote on it. A member that proposes it of itself leaves.
    RemoveMember {
        /// Which.
        member: DomainKey,
        /// Whether contracts with it end at once, and not by their terms.
        at_once: bool,
    },
    /// The federation ends.
    DissolveFederation,
    /// Another statute.
    ChangePolicy {
        /// Which.
        statute: Statute,
    },
}

impl Purpose {
    /// Returns the purpose's name, as commands and JSON have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateFederation { .. } => "CreateFederation",
            Self::AddMember { .. } => "AddMember",
            Self::RemoveMember { .. } => "RemoveMember",
            Self::DissolveFederation => "DissolveFederation",
            Self::ChangePolicy { .. } => "ChangePolicy",
        }
    }
}

/// A question to a federation's members, signed by an issuer of the domain that asks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Which federation; none where it is to be created, which names it by this proposal's digest.
    pub federation: Option<FederationId>,
    /// The decisions that this one builds on, by the digests of their proposals, in order.
    pub parents: Vec<Digest>,
    /// What is proposed.
    pub purpose: Purpose,
    /// Whose proposal it is.
    pub initiator: DomainKey,
    /// The node that signs it, collects the votes and says what they came to.
    pub teller: NodeId,
    /// Since when there may be votes.
    pub opened: Time,
    /// Until when.
    pub ends: Time,
    /// Tells it from another of the same content.
    pub nonce: [u8; 16],
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Proposal {
    const TAG: &'static str = "tombolo proposal 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// What a domain says to a proposal, signed by one of its issuers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The digest of the proposal.
    pub proposal: Digest,
    /// Whose vote it is.
    pub elector: DomainKey,
    /// The issuer of that domain who signs it.
    pub by: NodeId,
    /// Yes or no.
    pub decision: bool,
    /// When.
    pub at: Time,
    /// Why, for people.
    pub remark: String,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Vote {
    const TAG: &'static str = "tombolo vote 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// What a proposal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// It is so.
    Passed,
    /// It was voted down.
    Failed,
    /// Too few had voted when its time was over.
    Expired,
}

impl Outcome {
    /// Returns the outcome's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Failed => "Failed",
            Self::Expired => "Expired",
        }
    }
}

/// What a proposal came to, with all that it takes to check it: signed by the proposal's teller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The proposal.
    pub proposal: Signed<Proposal>,
    /// The votes that were counted, in the order of their electors.
    pub votes: Vec<Signed<Vote>>,
    /// Who could sign for the initiator and the electors that voted, in the order of their domains.
    pub lists: Vec<Signed<IssuerList>>,
    /// What they come to.
    pub outcome: Outcome,
    /// When they were counted: not before the proposal's end where silence counts.
    pub at: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Decision {
    const TAG: &'static str = "tombolo decision 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// Two different votes in the name of one domain: they prove that it is not to be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The proposal that both are about.
    pub proposal: Signed<Proposal>,
    /// The vote that came first, and counts.
    pub first: Signed<Vote>,
    /// The vote that does not.
    pub second: Signed<Vote>,
    /// Who could sign for the domain.
    pub list: Signed<IssuerList>,
}

/// One thing that is said in a federation, with what it takes to check it: what its members tell each other until all have
/// the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Minute {
    /// A proposal is open.
    Proposed {
        /// Which.
        proposal: Signed<Proposal>,
        /// Who could sign for its initiator.
        list: Signed<IssuerList>,
    },
    /// A domain has voted on one.
    Voted {
        /// How.
        vote: Signed<Vote>,
        /// Who could sign for it.
        list: Signed<IssuerList>,
    },
    /// One is decided.
    Decided(Signed<Decision>),
    /// A domain has voted twice, and not the same.
    Contradicted(Box<Contradiction>),
}

impl Minute {
    /// Returns the name of what is said: a digest, the same whoever says it.
    pub fn id(&self) -> Digest {
        match self {
            Self::Proposed { proposal, .. } => proposal.digest(),
            Self::Voted { vote, .. } => vote.digest(),
            Self::Decided(decision) => decision.digest(),
            Self::Contradicted(it) => {
                let parts = [it.first.digest(), it.second.digest()];
                Digest::derive("tombolo contradiction 1", &[parts[0].as_bytes(), parts[1].as_bytes()])
            }
        }
    }

    /// Returns about how many bytes it has.
    pub fn size(&self) -> usize {
        match self {
            Self::Proposed { proposal, list } => proposal.bytes().len() + list.bytes().len(),
            Self::Voted { vote, list } => vote.bytes().len() + list.bytes().len(),
            Self::Decided(decision) => decision.bytes().len(),
            Self::Contradicted(it) => {
                let Contradiction { proposal, first, second, list } = &**it;
                [proposal.bytes(), first.bytes(), second.bytes(), list.bytes()].iter().map(|bytes| bytes.len()).sum()
            }
        }
    }
}
