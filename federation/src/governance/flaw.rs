//! Why a proposal or a decision is not what it claims to be.

use kernel::{Digest, DomainKey, NodeId};
use rear_proto::{Code, Refusal, governance::Outcome};

/// Why a proposal or a decision does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It can't be read, or its signature or one in it is wrong.
    #[error("the {0} is not signed by who it names")]
    Signature(&'static str),
    /// It is another federation's.
    #[error("it is of another federation")]
    OtherFederation,
    /// It builds on a decision that is not known here; it may be later.
    #[error("it builds on decision {0}, which is not known here")]
    UnknownParent(Digest),
    /// Its parents are more than the newest of what it builds on.
    #[error("it names parents of which one builds on another")]
    Parents,
    /// The federation has ended.
    #[error("the federation was dissolved")]
    Dissolved,
    /// Its initiator is no member.
    #[error("domain {0} is no member, and proposes nothing")]
    NoMember(DomainKey),
    /// What it is about is a member already, or is none.
    #[error("domain {domain} is {} member", if *is_member { "already a" } else { "no" })]
    About {
        /// The domain.
        domain: DomainKey,
        /// Whether it is one.
        is_member: bool,
    },
    /// There are as many members as there may be.
    #[error("the federation has as many members as it may have")]
    Full,
    /// A federation is created by one of its members.
    #[error("the initiator is not among the members of the federation that it creates")]
    InitiatorIsOut,
    /// Whoever signed was no issuer of the domain.
    #[error("{by} is no issuer of domain {domain}")]
    NoIssuer {
        /// In whose name it was signed.
        domain: DomainKey,
        /// By whom.
        by: NodeId,
    },
    /// A vote of a domain that has none on this.
    #[error("domain {0} has no vote on this")]
    NoElector(DomainKey),
    /// A vote on something else, out of its time, or one too many.
    #[error("the vote of domain {0} is on something else, out of its time, or there twice")]
    Vote(DomainKey),
    /// The votes come to something else.
    #[error("the votes do not come to {}", .0.name())]
    Miscounted(Outcome),
    /// There are too many decisions.
    #[error("the federation has as many decisions as are kept")]
    TooMany,
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        let code = match flaw {
            Flaw::UnknownParent(_) => Code::NotFound,
            Flaw::Dissolved => Code::Closed,
            Flaw::Full | Flaw::TooMany => Code::TooLarge,
            Flaw::NoMember(_) | Flaw::NoElector(_) | Flaw::NoIssuer { .. } => Code::NotAMember,
            Flaw::Signature(_)
            | Flaw::OtherFederation
            | Flaw::Parents
            | Flaw::About { .. }
            | Flaw::InitiatorIsOut
            | Flaw::Vote(_)
            | Flaw::Miscounted(_) => Code::Malformed,
        };
        Self::new(code, flaw.to_string())
    }
}
