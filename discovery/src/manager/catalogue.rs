//! Being asked at a catalogue: each domain is given what was signed for it, and nothing else is known here.

use kernel::{Ticket, Time};
use rear_proto::{Answer, Code, Deed, Trace, local::Caller, message::List};

use super::{Manager, feeds::domain_of};
use crate::mail::Effect;

impl Manager {
    /// Answers a LIST_FLAVOURS from the shelf of the asker's domain; nobody else is asked, however little that is.
    pub(super) fn asked_here(
        &self,
        now: Time,
        ticket: Ticket,
        caller: &Caller,
        list: &List,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let Some(viewer) = domain_of(caller, self.border.home()) else {
            return out.push(Effect::Reply { ticket, answer: Answer::Refused(Code::NotAMember.into()) });
        };
        let listed = self.telling.catalogue.list(now, viewer, list, &self.config);
        out.push(Effect::Did(trace, Deed::PublishedLookedUp));
        out.push(Effect::Did(trace, Deed::ListAnswered));
        out.push(Effect::Reply { ticket, answer: Answer::Published(listed) });
    }
}
