//! What is in the way of a verb, and how to remove it.

use std::fmt;

use kernel::ContractId;
use rear_proto::{Code, Refusal, operator::ZoneId};

/// Whose doing something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// This domain's.
    Ours,
    /// The partner's.
    Theirs,
}

/// Something that has to go first. Their order is that in which they go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// A contract runs in a zone.
    Contract {
        /// Who uses it.
        by: Side,
        /// With whom.
        partner: String,
        /// In which zone of the other's.
        zone: ZoneId,
        /// Which.
        contract: ContractId,
    },
    /// A zone is registered.
    Registration {
        /// By whom; the zone is the other's.
        by: Side,
        /// With whom.
        partner: String,
        /// Which.
        zone: ZoneId,
    },
    /// One is registered with the other.
    Federation {
        /// Who may use the other's zones.
        by: Side,
        /// With whom.
        partner: String,
    },
    /// A zone of this domain is shared.
    Share {
        /// With whom.
        partner: String,
        /// Which.
        zone: ZoneId,
    },
    /// There is a partner.
    Partner {
        /// Which.
        partner: String,
    },
}

impl Obstacle {
    /// Returns the command that removes it, where this domain can.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Contract { by: Side::Ours, contract, .. } => Some(format!("tombolo release {contract}")),
            Self::Registration { by: Side::Ours, partner, zone } => {
                Some(format!("tombolo zone deregister {zone} --partner {partner}"))
            }
            Self::Federation { by: Side::Ours, partner } => Some(format!("tombolo partner deregister {partner}")),
            Self::Share { partner, zone } => Some(format!("tombolo zone unshare {zone} --partner {partner}")),
            Self::Partner { partner } => Some(format!("tombolo partner remove {partner}")),
            Self::Contract { by: Side::Theirs, .. }
            | Self::Registration { by: Side::Theirs, .. }
            | Self::Federation { by: Side::Theirs, .. } => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract { by: Side::Ours, partner, zone, contract } => {
                write!(f, "contract {contract} runs in zone {zone} of {partner}")
            }
            Self::Contract { by: Side::Theirs, partner, zone, contract } => {
                write!(f, "contract {contract} of {partner} runs in zone {zone}")
            }
            Self::Registration { by: Side::Ours, partner, zone } => {
                write!(f, "zone {zone} of {partner} is registered here")
            }
            Self::Registration { by: Side::Theirs, partner, zone } => {
                write!(f, "zone {zone} is registered by {partner}")
            }
            Self::Federation { by: Side::Ours, partner } => write!(f, "this domain is registered with {partner}"),
            Self::Federation { by: Side::Theirs, partner } => write!(f, "{partner} is registered with this domain"),
            Self::Share { partner, zone } => write!(f, "zone {zone} is shared with {partner}"),
            Self::Partner { partner } => write!(f, "there is partner {partner}"),
        }
    }
}

/// Why a verb is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// This has to go first, in this order.
    InTheWay {
        /// What was wished, as in "zone z can't be unshared".
        what: String,
        /// All of it.
        obstacles: Vec<Obstacle>,
    },
    /// It is so already, or there is no such thing.
    Refused(Refusal),
}

impl Hindrance {
    pub(super) fn refused(code: Code, text: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, text.into()))
    }
}

impl From<Hindrance> for Refusal {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::Refused(refusal) => refusal,
            Hindrance::InTheWay { what, obstacles } => {
                let steps: Vec<String> = obstacles
                    .iter()
                    .map(|obstacle| match obstacle.remedy() {
                        Some(remedy) => format!("{obstacle} ({remedy})"),
                        None => format!("{obstacle} (theirs to end)"),
                    })
                    .collect();
                Self::new(Code::Closed, format!("{what}: first, {}", steps.join("; then ")))
            }
        }
    }
}
