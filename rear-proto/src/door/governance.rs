//! Limits on proposals, votes and decisions.

use kernel::Span;

use super::{MAX_MEMBERS, MAX_PARENTS, MAX_TERM, MAX_TEXT, at_most, extensions, label, longest, malformed, text};
use crate::{
    governance::{Decision, Proposal, Purpose, Statute, Vote},
    refusal::Refusal,
};

/// The longest time in which votes may be cast.
const MAX_VOTING: Span = Span::secs(90 * 86_400);

impl Statute {
    fn check(&self) -> Result<(), Refusal> {
        longest("least term", self.least_term, MAX_TERM)?;
        extensions(&self.extensions)
    }
}

impl Purpose {
    fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::CreateFederation { name, description, statute, members } => {
                label("federation's name", name)?;
                text("description", description, MAX_TEXT)?;
                statute.check()?;
                at_most("members", members.len(), MAX_MEMBERS)?;
                members.iter().try_for_each(crate::flavour::Domain::validate)?;
                if members.is_empty() || !members.is_sorted_by(|a, b| a.key < b.key) {
                    return Err(malformed("the list of members", "is not in order, or names one of them twice"));
                }
                Ok(())
            }
            Self::AddMember { member } => member.validate(),
            Self::ChangePolicy { statute } => statute.check(),
            Self::RemoveMember { .. } | Self::DissolveFederation => Ok(()),
        }
    }
}

impl Proposal {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.purpose.check()?;
        let creates = matches!(self.purpose, Purpose::CreateFederation { .. });
        if creates != self.federation.is_none() || creates != self.parents.is_empty() {
            return Err(malformed("the proposal", "builds on nothing, or on something where it creates a federation"));
        }
        at_most("parents", self.parents.len(), MAX_PARENTS)?;
        if !self.parents.is_sorted_by(|a, b| a < b) {
            return Err(malformed("the proposal", "names its parents out of order, or twice"));
        }
        if self.ends <= self.opened {
            return Err(malformed("the proposal", "ends before it begins"));
        }
        longest("time for votes", self.ends.since(self.opened), MAX_VOTING)?;
        extensions(&self.extensions)
    }
}

impl Vote {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        text("remark", &self.remark, MAX_TEXT)?;
        extensions(&self.extensions)
    }
}

impl Decision {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        at_most("votes", self.votes.len(), MAX_MEMBERS)?;
        at_most("lists of issuers", self.lists.len(), MAX_MEMBERS + 1)?;
        extensions(&self.extensions)
    }
}
