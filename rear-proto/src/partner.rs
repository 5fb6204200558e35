//! Partners: other domains that this one trades with, and the token by which two become partners.
//!
//! ```text
//!  at alpha   partner invite --name beta   ──► token ·····► at beta   partner accept TOKEN --name alpha
//!  beta's supernode ── ACCEPT{secret, credentials, descriptor} ──► alpha's ── credentials, descriptor ──► beta's
//! ```
//! Each side has its own record of the other and switches on what the other may use of it; nobody's record is the
//! other's to change.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{NodeId, Time};
use serde::{Deserialize, Serialize};

use crate::{
    flavour::{Domain, Party},
    membership::{Descriptor, IssuerList},
    signed::Signed,
    wire::codec,
};

/// A partner, as a domain has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerRecord {
    /// What it is called here: the operator's word, unique among the partners.
    pub name: String,
    /// Who may sign for it, by its own word.
    pub list: Signed<IssuerList>,
    /// How it describes itself: its supernodes, and who is no longer of it.
    pub descriptor: Option<Signed<Descriptor>>,
    /// Whether it may use what this domain shows it.
    pub state: PartnerState,
    /// When the operator last said so, and where: the later word counts, of two at once that of the larger node.
    pub said: (Time, NodeId),
}

/// What a domain has decided about a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartnerState {
    /// It may use what is exposed to it.
    On,
    /// It may begin nothing new; what is agreed goes on by its terms.
    Suspended,
    /// It is a partner no longer, and what was agreed has ended. Kept for a while, so that all supernodes learn it.
    Removed,
}

impl PartnerState {
    /// Returns the state's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "On",
            Self::Suspended => "Suspended",
            Self::Removed => "Removed",
        }
    }
}

/// What another domain needs to become a partner: where, whose domain, and a secret that works once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerToken {
    /// The inviting domain.
    pub domain: Domain,
    /// The supernode to accept at.
    pub inviter: Party,
    /// The secret.
    pub secret: [u8; 16],
    /// Until when.
    pub expires: Time,
}

impl std::fmt::Debug for PartnerToken {
    /// Shows all but the secret, which belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { domain, inviter, secret: _, expires } = self;
        let mut shown = f.debug_struct("PartnerToken");
        shown.field("domain", domain).field("inviter", inviter).field("expires", expires);
        shown.finish_non_exhaustive()
    }
}

/// What every partner token begins with, so that a person recognises one.
const TOKEN_PREFIX: &str = "tombolo-partner-";

/// A text that is no partner token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a partner token: it begins with '{TOKEN_PREFIX}' and is copied whole")]
pub struct ParsePartnerTokenError;

impl std::fmt::Display for PartnerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(codec::encode(self)))
    }
}

impl std::str::FromStr for PartnerToken {
    type Err = ParsePartnerTokenError;

    fn from_str(text: &str) -> Result<Self, ParsePartnerTokenError> {
        let body = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(ParsePartnerTokenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| ParsePartnerTokenError)?;
        codec::decode(&bytes).map_err(|_| ParsePartnerTokenError)
    }
}
