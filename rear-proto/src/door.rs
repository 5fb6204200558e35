//! What may pass the door: limits on everything that a stranger sends, checked once, so that nothing behind it
//! need doubt a size, a name or a plain contradiction again.
//!
//! The frame bounds a message as a whole; this bounds its parts. What is signed is bounded when it is opened
//! ([`Signable::validate`](crate::signed::Signable::validate)). Nothing here knows who sent it, or what time it is.

mod capacity;
mod fabric;
mod flavour;
mod governance;
mod message;
mod signed;

use kernel::{Resources, Span};

use crate::{
    flavour::Party,
    message::Extensions,
    refusal::{Code, Refusal},
    story::{MAX_STEPS, Place, Step},
};

/// The most flavours that a LIST may ask for and be answered with.
pub const MAX_LIST: u32 = 256;
/// The most flavours that a LIST may exclude.
pub const MAX_EXCLUDED: usize = 256;
/// The most nodes that a LIST may have passed; also the most that it may yet pass.
pub const MAX_HOPS: usize = 16;
/// The most contracts in a KEEPALIVE and in its answer.
pub const MAX_KEEPALIVE: usize = 4096;
/// The most addresses of one party.
pub const MAX_ADDRESSES: usize = 16;
/// The most issuers on a domain's list.
pub const MAX_ISSUERS: usize = 64;
/// The most supernodes in a domain's description.
pub const MAX_SUPERNODES: usize = 64;
/// The most removed nodes in a domain's description: 40 bytes each, so that HELLO fits its frame.
pub const MAX_REVOKED: usize = 2048;
/// The most members that a newcomer is told of.
pub const MAX_PEERS: usize = 256;
/// The most members of a federation.
pub const MAX_MEMBERS: usize = 512;
/// The most decisions that a proposal may build on directly.
pub const MAX_PARENTS: usize = 64;
/// The most partners in one message.
pub const MAX_PARTNERS: usize = 64;
/// The most groups of a capacity digest: more than are made here, so that others may say more.
pub const MAX_GROUPS: usize = 64;
/// The most bytes of a capacity digest, thirty times what one has that is made here: one is kept of each of a partner's
/// supernodes, and short words take twenty times as much in memory.
pub const MAX_DIGEST: usize = 32 << 10;
/// The most flavours that are withdrawn at once.
pub const MAX_WITHDRAWN: usize = 4096;
/// The most extensions of one message.
pub const MAX_EXTENSIONS: usize = 16;
/// The most bytes of one extension.
pub const MAX_EXTENSION: usize = 4 << 10;
/// The most bytes of a word: a name, a tag, a multiaddress, a runtime, a place.
pub const MAX_WORD: usize = 256;
/// The most bytes of a text that a person reads: a description, a reason.
pub const MAX_TEXT: usize = 4 << 10;
/// The most bytes of a service's configuration template, which is a JSON Schema.
pub const MAX_TEMPLATE: usize = 16 << 10;
/// The most words in a list of words: tags, standards, runtimes, hosts to reach.
pub const MAX_WORDS: usize = 64;
/// The most bytes of the name of a workload or a port: a DNS label (RFC 1123).
pub const MAX_LABEL: usize = 63;
/// The most ports of a workload.
pub const MAX_PORTS: usize = 16;
/// The most arguments, and the most variables, of a workload.
pub const MAX_ARGUMENTS: usize = 128;
/// The most bytes of one argument or variable.
pub const MAX_ARGUMENT: usize = 32 << 10;
/// The most bytes of all arguments and variables of a workload together.
pub const MAX_ARGUMENTS_TOTAL: usize = 128 << 10;
/// The most log lines in one answer.
pub const MAX_LINES: usize = 4096;
/// The most bytes of one log line; drivers cut them shorter.
pub const MAX_LINE: usize = 64 << 10;
/// The longest time in which an answer may be wanted: what is remembered for "twice the deadline" ends.
pub const MAX_DEADLINE: Span = Span::secs(600);
/// The longest time that a flavour may be relied on without hearing of it again.
pub const MAX_LIFETIME: Span = Span::secs(30 * 86_400);
/// The longest term of a contract: a century, so that sums of terms never reach the end of time.
pub const MAX_TERM: Span = Span::secs(100 * 365 * 86_400);
/// The largest amount of money: 10¹² of the currency's unit, which leaves room for a relay's margin.
pub const MAX_MONEY: u64 = 1_000_000_000_000_000_000;

fn at_most(what: &str, count: usize, most: usize) -> Result<(), Refusal> {
    if count <= most {
        return Ok(());
    }
    Err(Refusal::new(Code::TooLarge, format!("{what}: {count}, and at most {most} are allowed")))
}

fn malformed(what: &str, why: &str) -> Refusal {
    Refusal::new(Code::Malformed, format!("{what} {why}"))
}

/// Checks a word that ends on screens and in look-ups; it may be empty.
fn word(what: &str, word: &str) -> Result<(), Refusal> {
    at_most(&format!("bytes of the {what}"), word.len(), MAX_WORD)?;
    if word.chars().any(char::is_control) { Err(malformed(what, "has control characters in it")) } else { Ok(()) }
}

fn name(what: &str, name: &str) -> Result<(), Refusal> {
    if name.is_empty() { Err(malformed(what, "is empty")) } else { word(what, name) }
}

fn words(what: &str, list: &[String]) -> Result<(), Refusal> {
    at_most(what, list.len(), MAX_WORDS)?;
    list.iter().try_for_each(|one| word(what, one))
}

/// Checks a text for people, which is cleaned where it is shown.
fn text(what: &str, text: &str, most: usize) -> Result<(), Refusal> {
    at_most(&format!("bytes of the {what}"), text.len(), most)
}

/// Checks what an operator calls a partner: a DNS label, as it stands in commands, settings and paths.
///
/// # Errors
/// `TooLarge` or `Malformed`, with a sentence that says what.
pub fn partner_name(name: &str) -> Result<(), Refusal> {
    label("partner's name", name)
}

/// Checks the name of a workload, a port or a partner.
fn label(what: &str, label: &str) -> Result<(), Refusal> {
    at_most(&format!("bytes of the {what}"), label.len(), MAX_LABEL)?;
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if label.is_empty() || !label.bytes().all(inner) || label.starts_with('-') || label.ends_with('-') {
        return Err(malformed(what, "is not made of small letters, digits and inner hyphens"));
    }
    Ok(())
}

fn extensions(extensions: &Extensions) -> Result<(), Refusal> {
    at_most("extensions", extensions.len(), MAX_EXTENSIONS)?;
    extensions.values().try_for_each(|bytes| at_most("bytes of an extension", bytes.len(), MAX_EXTENSION))
}

fn addresses(list: &[String]) -> Result<(), Refusal> {
    at_most("addresses", list.len(), MAX_ADDRESSES)?;
    list.iter().try_for_each(|address| name("address", address))
}

fn party(party: &Party) -> Result<(), Refusal> {
    addresses(&party.addresses)
}

fn steps(steps: &[Step]) -> Result<(), Refusal> {
    at_most("steps", steps.len(), MAX_STEPS)?;
    steps.iter().try_for_each(|step| match &step.node {
        Place::Node(_) => Ok(()),
        Place::Behind(letter) => word("step's place", letter),
    })
}

fn deadline(span: Span) -> Result<(), Refusal> {
    longest("deadline", span, MAX_DEADLINE)
}

fn longest(what: &str, span: Span, most: Span) -> Result<(), Refusal> {
    if span <= most {
        return Ok(());
    }
    Err(Refusal::new(Code::TooLarge, format!("the {what} of {span} is over the longest of {most}")))
}

fn part(what: &str, part: &Resources, whole: &Resources) -> Result<(), Refusal> {
    whole.holds(part).map_err(|short| {
        malformed(what, &format!("has {} {}, over its base of {}", short.wanted, short.resource, short.available))
    })
}
