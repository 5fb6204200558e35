//! Relaying: an order that leads one hop on, what this node orders there in turn, and what it may then promise itself.
//!
//! Here stand the pure functions, so that a relay that restarts asks for the same thing again without having stored
//! it; `relay/` has what is done with them.
//!
//! ```text
//!  asker            relay                                     next hop
//!  RESERVE{front} ─► Resolve ─► Onward ─► RESERVE{back} ─────► …
//!  Contract{front} ◄─ signs, backed by ◄─ verifies ◄────────── Contract{back}
//!  RELEASE ────────► both end ──────────► RELEASE ───────────► …
//!  Released ◄──────────────────────────── told ◄────────────── Released
//! ```

mod ends;
mod forward;
mod front;
mod purchase;
mod renew;
mod revive;

use kernel::{
    AllocationId, Key, NodeId, Span, Time,
    planted::{self, Bug},
};
use rear_proto::{
    Code, Endorsement, Order, Refusal, Signer,
    local::Onward,
    membership::Credentials,
    message::Extensions,
    price::{Margin, Rate},
};

use crate::{
    admit::LATEST_START,
    manager::{Manager, none_yet},
    record::Name,
};

pub(crate) use front::junction;
pub(crate) use purchase::Purchasing;
pub(crate) use renew::Renewing;

/// What a sale rests on at a relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay {
    /// The key of the own order.
    pub(crate) back: Key,
    /// What is put on the price.
    pub(crate) margin: Margin,
    /// Whether the one who has bought is of another domain.
    pub(crate) leaves: bool,
    /// Whether REAR has an allocation of type Forwarding for it.
    pub(crate) at_rear: bool,
}

/// Returns the key of a relay's own order for one that came to it.
pub(crate) fn key(front: &Name, me: &NodeId, next: &NodeId) -> Key {
    Key::derive("relay", &[front.key.as_bytes(), front.buyer.as_bytes(), me.as_bytes(), next.as_bytes()])
}

/// Returns the name of the allocation of type Forwarding that an order leads to at a relay.
pub(crate) fn forwarding(front: &Name) -> AllocationId {
    AllocationId::derive("tombolo forwarding 1", &[front.buyer.as_bytes(), front.key.as_bytes()])
}

/// Returns a relay's own order for one that came to it: nothing but that order and the way decides what is in it.
pub(crate) fn order(front: &Order, me: NodeId, way: &Onward) -> Order {
    let name = Name { buyer: front.buyer, key: front.key };
    Order {
        key: key(&name, &me, &way.seller.node),
        buyer: me,
        seller: way.seller.node,
        placed: front.placed,
        flavour: way.flavour,
        epoch: front.epoch,
        partition: front.partition,
        mode: front.mode,
        term: front.term,
        activate_within: front.activate_within,
        ceiling: Rate { amount: way.margin.off(front.ceiling.amount), ..front.ceiling },
        tunnel_key: front.tunnel_key,
        extensions: none_yet(),
    }
}

/// Returns what a relay passes on with a tunnel key for which `held` vouches: within a domain a supernode's word stands;
/// a member's own, and any that crosses a border, is replaced by this supernode's.
pub(crate) fn endorse(
    held: &Endorsement,
    key: [u8; 32],
    leaves: bool,
    credentials: &Credentials,
    signer: &Signer,
) -> Endorsement {
    match held {
        Endorsement::Supernode(_) if !leaves => held.clone(),
        Endorsement::Supernode(_) | Endorsement::Member(_) => Endorsement::vouch(key, credentials.clone(), signer),
    }
}

/// Returns what a relay asks for what costs it this much.
///
/// # Errors
/// When that is over the ceiling of whoever asked, or in another currency.
pub(crate) fn price(inner: Rate, margin: Margin, ceiling: &Rate) -> Result<Rate, Refusal> {
    let asked = margin.on(inner.amount).map(|amount| Rate { amount, ..inner });
    match asked.map(|asked| (asked, asked.within(ceiling))) {
        Some((asked, Some(true))) => Ok(asked),
        Some((_, None)) => Err(Code::CurrencyMismatch.into()),
        Some((_, Some(false))) | None => Err(Code::PriceTooLow.into()),
    }
}

/// How much sooner what is promised ends than what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nest {
    /// The time since the own ask was sent.
    pub(crate) spent: Span,
    /// The margin.
    pub(crate) margin: Span,
}

impl Nest {
    /// Takes the set margin, but at most a tenth of the shortest time that is promised.
    pub(crate) fn new(spent: Span, margin: Span, promised: &[Span]) -> Self {
        let tenth = promised.iter().min().map_or(Span::ZERO, |shortest| shortest.divided(10));
        Self { spent, margin: margin.min(tenth) }
    }

    /// Returns what may be promised of a time that the next hop has promised and that runs since it was asked.
    ///
    /// # Errors
    /// `Expired` where less than two margins would be left.
    pub(crate) fn within(&self, inner: Span) -> Result<Span, Refusal> {
        let less = if planted::is(Bug::OutlastBack) { Span::ZERO } else { self.spent.plus(self.margin) };
        let left = inner.minus(less);
        if left < self.margin.times(2) || left == Span::ZERO {
            return Err(Refusal::new(Code::Expired, "what it rests on ends too soon"));
        }
        Ok(left)
    }
}

/// Returns the time that is so much earlier.
pub(crate) fn before(time: Time, span: Span) -> Time {
    Time(time.0.saturating_sub(span.0))
}

/// Where RESERVE and PURCHASE carry for how long the asker has been asking, in milliseconds, when they are repeated: a
/// relay that has restarted since then counts from that time, for so does whoever it rests on.
const AGE: u16 = 1;

/// Writes for how long one has been asking.
pub(crate) fn with_age(age: Span) -> Extensions {
    let mut extensions = none_yet();
    if age > Span::ZERO {
        extensions.insert(AGE, age.0.to_le_bytes().to_vec());
    }
    extensions
}

impl Manager {
    /// Returns since when the next hop may have been asked for what is asked for here now: since the asker began, where
    /// this node may have forgotten that it was asked before. One that has been up for as long as an order lives would
    /// know, and asks for the first time.
    pub(crate) fn asked_since(&self, now: Time, extensions: &Extensions) -> Time {
        let remembers = self.started + LATEST_START + self.config.clock_skew <= now;
        if remembers { now } else { before(now, age(extensions)) }
    }
}

/// Reads for how long somebody has been asking.
fn age(extensions: &Extensions) -> Span {
    let bytes = extensions.get(&AGE).and_then(|bytes| <[u8; 8]>::try_from(&bytes[..]).ok());
    bytes.map_or(Span::ZERO, |bytes| Span::millis(u64::from_le_bytes(bytes)))
}

/// Returns what the asker is told of a refusal of the next hop: why, but nothing of who is there. What the next hop has
/// against this node is none of the asker's business.
pub(crate) fn passed_on(refusal: &Refusal) -> Refusal {
    let code = match refusal.code() {
        Code::Malformed
        | Code::KeyReused
        | Code::NotAMember
        | Code::NotShared
        | Code::ClockSkew
        | Code::NotFound
        | Code::UnsupportedVersion => Code::Unavailable,
        code => code,
    };
    let mut said = Refusal::from(code);
    said.retry_after = refusal.retry_after;
    said
}
