//! What is promised: orders, holds, purchases, contracts and renewals, and whose signatures make them good.
//!
//! ```text
//! direct   buyer signs Order ───────────────────────────► seller signs Contract{order, …}
//! hold     buyer signs Order ─► seller signs Reserved{order, …}
//!          buyer signs Purchase{digest of Reserved} ────► seller signs Contract{order, reserved, purchase, …}
//! renewal  buyer signs RenewalAsk{digest of Contract} ──► seller signs Renewal{ask, …}
//! ```

use kernel::{ContractId, Digest, DomainKey, FlavourId, Key, NodeId, Resources, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{
    flavour::Epoch,
    membership::{Credentials, CredentialsError, Role},
    message::Extensions,
    price::Rate,
    refusal::Refusal,
    signed::{BadSignature, Signable, Signed, Signer},
};

/// How to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Hold first, purchase within the time that the seller gives.
    Hold,
    /// Agree at once.
    Direct,
}

/// What a buyer wants of a seller; in mode [`Mode::Direct`] its signature binds the buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Names this order between the two parties.
    pub key: Key,
    /// Who signs it.
    pub buyer: NodeId,
    /// Whom it is for.
    pub seller: NodeId,
    /// When it was placed, by the consumer's clock; relays copy it.
    pub placed: Time,
    /// Which flavour.
    pub flavour: FlavourId,
    /// In which state the buyer saw it.
    pub epoch: Epoch,
    /// Which part of it.
    pub partition: Resources,
    /// How to agree.
    pub mode: Mode,
    /// For how long.
    pub term: Span,
    /// Within which time the peering will open; if not, the contract lapses and nothing is owed.
    pub activate_within: Span,
    /// The most that it may cost.
    pub ceiling: Rate,
    /// The buyer's end of the channel: an X25519 public key.
    pub tunnel_key: [u8; 32],
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Order {
    const TAG: &'static str = "tombolo order 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// That a partition is held for a buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The order, as the buyer signed it.
    pub order: Signed<Order>,
    /// What it will cost.
    pub price: Rate,
    /// The term that can be had, at most what was asked for.
    pub term: Span,
    /// Within which time it must be purchased, from the signing.
    pub purchase_within: Span,
    /// When it was signed, by the seller's clock.
    pub at: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Reserved {
    const TAG: &'static str = "tombolo reserved 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// That a buyer takes what is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Names this order between the two parties: the order's key.
    pub key: Key,
    /// Digest of the [`Reserved`] that is taken.
    pub reserved: Digest,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Purchase {
    const TAG: &'static str = "tombolo purchase 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// A contract: what both parties signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The order, as the buyer signed it.
    pub order: Signed<Order>,
    /// In mode [`Mode::Hold`]: the hold and the purchase of it.
    pub held: Option<Held>,
    /// What it costs.
    pub price: Rate,
    /// From when, by the seller's clock, for the record.
    pub start: Time,
    /// For how long.
    pub term: Span,
    /// Within which time the peering must open.
    pub activate_within: Span,
    /// Digest of the contract that backs this one, at a relay.
    pub backed_by: Option<Digest>,
    /// The seller's end of the channel: an X25519 public key.
    pub tunnel_key: [u8; 32],
    /// Who vouches for the seller's tunnel key.
    pub endorsement: Endorsement,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Contract {
    const TAG: &'static str = "tombolo contract 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// The two halves of a hold that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Signed by the seller.
    pub reserved: Signed<Reserved>,
    /// Signed by the buyer.
    pub purchase: Signed<Purchase>,
}

/// Who vouches for a tunnel key.
#[allow(clippy::large_enum_variant, reason = "credentials are the common case, and stand in one order or contract")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endorsement {
    /// The party itself, a member of the domain: it signed the key in the order or the contract.
    Member(Credentials),
    /// A supernode of the domain that the key's owner is in, or of one that vouches for that in turn: what crosses a
    /// border, and what a relay draws up. Carried on unchanged within the domain that it came to.
    Supernode(Box<Vouched>),
}

/// A tunnel key that a supernode vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// Proof that it is a supernode, and of which domain.
    pub credentials: Credentials,
    /// The key, signed by it.
    pub key: Signed<TunnelKey>,
}

/// An end of a channel, as a supernode vouches for it: the secret that belongs to it is held in its domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelKey {
    /// The public X25519 key.
    pub key: [u8; 32],
    /// Who vouches.
    pub supernode: NodeId,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for TunnelKey {
    const TAG: &'static str = "tombolo tunnel key 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// Why nobody vouches for a tunnel key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndorsement {
    /// Who vouches is no member, or not of a domain that is believed.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The signature over the key is wrong.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Who vouches is no supernode.
    #[error("{0}, which vouches for the tunnel key, is no supernode")]
    NotASupernode(NodeId),
    /// Another key is vouched for.
    #[error("the endorsement is of another tunnel key")]
    OtherKey,
    /// The domain is neither this one nor a partner.
    #[error("domain {0} is neither this one nor a partner")]
    Domain(DomainKey),
}

impl Endorsement {
    /// Makes a supernode's own endorsement of a key.
    pub fn vouch(key: [u8; 32], credentials: Credentials, signer: &Signer) -> Self {
        let signed = TunnelKey { key, supernode: signer.id(), extensions: Extensions::new() };
        Self::Supernode(Box::new(Vouched { credentials, key: Signed::new(signed, signer) }))
    }

    /// Returns the domain that vouches, as it claims.
    pub fn domain(&self) -> Option<DomainKey> {
        let credentials = match self {
            Self::Member(credentials) => credentials,
            Self::Supernode(vouched) => &vouched.credentials,
        };
        credentials.list.claimed().map(|list| list.domain.key)
    }

    /// Verifies that somebody who may vouches for the key of `bearer`: the bearer itself as a member of `home`, or a
    /// supernode of a domain for which `is_believed` holds.
    ///
    /// Returns the domain that vouches.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(
        &self,
        key: &[u8; 32],
        bearer: &NodeId,
        home: &DomainKey,
        is_believed: impl Fn(&DomainKey) -> bool,
        now: Time,
    ) -> Result<DomainKey, BadEndorsement> {
        match self {
            Self::Member(credentials) => {
                credentials.verify(home, bearer, now)?;
                Ok(*home)
            }
            Self::Supernode(vouched) => {
                let Vouched { credentials, key: signed } = &**vouched;
                let domain = self.domain().unwrap_or(DomainKey([0; 32]));
                if domain != *home && !is_believed(&domain) {
                    return Err(BadEndorsement::Domain(domain));
                }
                let by = signed.claimed().map_or(*bearer, |claimed| claimed.supernode);
                let member = credentials.verify(&domain, &by, now)?;
                if member.role != Role::Supernode {
                    return Err(BadEndorsement::NotASupernode(by));
                }
                let signed = signed.open(&by)?;
                if signed.key == *key { Ok(domain) } else { Err(BadEndorsement::OtherKey) }
            }
        }
    }
}

/// A buyer's wish to renew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalAsk {
    /// Digest of the contract.
    pub contract: Digest,
    /// The how manieth renewal, from 1.
    pub n: u32,
    /// For how much longer.
    pub term: Span,
    /// The most that it may cost.
    pub ceiling: Rate,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for RenewalAsk {
    const TAG: &'static str = "tombolo renewal ask 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// A renewal, signed by both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The wish, as the buyer signed it.
    pub ask: Signed<RenewalAsk>,
    /// What it costs from then on.
    pub price: Rate,
    /// How much longer than what was agreed before.
    pub term: Span,
    /// When it was signed, by the seller's clock.
    pub at: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Signable for Renewal {
    const TAG: &'static str = "tombolo renewal 1";

    fn validate(&self) -> Result<(), Refusal> {
        self.check()
    }
}

/// How long after the order was placed a contract over it may start.
const LATEST_START: Span = Span::secs(60);

/// Why a contract is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContract {
    /// A signature is wrong.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The order is between others.
    #[error("the order is between other parties")]
    Parties,
    /// It costs more than the ceiling, or in another currency.
    #[error("the price {price} is not within the order's ceiling of {ceiling}")]
    Price {
        /// What it says it costs.
        price: Rate,
        /// What it may cost.
        ceiling: Rate,
    },
    /// It promises other than was ordered.
    #[error("the {0} is not what was ordered")]
    Terms(&'static str),
    /// The hold and its purchase do not belong to the order.
    #[error("the hold does not belong to the order")]
    Hold,
    /// It starts too long after the order, or before it by more than clocks may differ.
    #[error("it starts over 60 s away from when the order was placed")]
    Start,
}

/// Returns the id of a signed contract.
pub fn id(contract: &Signed<Contract>) -> ContractId {
    contract.digest().into()
}

impl Order {
    /// Opens an order between two parties.
    fn open<'a>(signed: &'a Signed<Self>, buyer: &NodeId, seller: &NodeId) -> Result<&'a Self, InvalidContract> {
        let order = signed.open(buyer)?;
        if order.buyer == *buyer && order.seller == *seller { Ok(order) } else { Err(InvalidContract::Parties) }
    }
}

impl Contract {
    /// Verifies a contract between two parties: every signature in it, and that it is what was ordered.
    ///
    /// It can't tell whether the endorsement holds, whether what backs it exists, nor whether another contract
    /// was made over the same order.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify<'a>(
        signed: &'a Signed<Self>,
        buyer: &NodeId,
        seller: &NodeId,
    ) -> Result<(&'a Self, &'a Order), InvalidContract> {
        let contract = signed.open(seller)?;
        let order = Order::open(&contract.order, buyer, seller)?;
        check_price(contract.price, order.ceiling)?;
        check_term(contract.term, order.term)?;
        if contract.activate_within > order.activate_within {
            return Err(InvalidContract::Terms("time to activate"));
        }
        match (order.mode, &contract.held) {
            (Mode::Direct, None) => check_begin(contract.start, order.placed)?,
            (Mode::Hold, Some(held)) => held.verify(contract, order, buyer, seller)?,
            (Mode::Direct, Some(_)) | (Mode::Hold, None) => return Err(InvalidContract::Hold),
        }
        Ok((contract, order))
    }
}

impl Reserved {
    /// Verifies a hold of the seller's over this very order: both signatures, and that it is what was ordered.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify<'a>(
        signed: &'a Signed<Self>,
        order: &Signed<Order>,
        buyer: &NodeId,
        seller: &NodeId,
    ) -> Result<&'a Self, InvalidContract> {
        let reserved = signed.open(seller)?;
        if reserved.order != *order {
            return Err(InvalidContract::Hold);
        }
        let order = Order::open(order, buyer, seller)?;
        if order.mode != Mode::Hold {
            return Err(InvalidContract::Hold);
        }
        check_price(reserved.price, order.ceiling)?;
        check_term(reserved.term, order.term)?;
        check_begin(reserved.at, order.placed)?;
        Ok(reserved)
    }
}

impl Renewal {
    /// Verifies a renewal of the contract with this digest: both signatures, and that it is what was asked for.
    ///
    /// It can't tell whether it is the next one: `n` is the caller's to compare.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify<'a>(
        signed: &'a Signed<Self>,
        contract: &Digest,
        buyer: &NodeId,
        seller: &NodeId,
    ) -> Result<(&'a Self, &'a RenewalAsk), InvalidContract> {
        let renewal = signed.open(seller)?;
        let ask = renewal.ask.open(buyer)?;
        if ask.contract != *contract {
            return Err(InvalidContract::Terms("contract"));
        }
        if ask.n == 0 {
            return Err(InvalidContract::Terms("number of the renewal"));
        }
        check_price(renewal.price, ask.ceiling)?;
        check_term(renewal.term, ask.term)?;
        Ok((renewal, ask))
    }
}

impl Held {
    fn verify(
        &self,
        contract: &Contract,
        order: &Order,
        buyer: &NodeId,
        seller: &NodeId,
    ) -> Result<(), InvalidContract> {
        let reserved = Reserved::verify(&self.reserved, &contract.order, buyer, seller)?;
        let purchase = self.purchase.open(buyer)?;
        if purchase.reserved != self.reserved.digest() || purchase.key != order.key {
            return Err(InvalidContract::Hold);
        }
        // The purchase may come as late as the hold allows, and a clock's difference more. Before the hold it can't
        // come: both times are the seller's.
        let latest = reserved.at + reserved.purchase_within + LATEST_START;
        if contract.start < reserved.at || contract.start > latest {
            return Err(InvalidContract::Start);
        }
        if contract.price != reserved.price || contract.term > reserved.term {
            return Err(InvalidContract::Terms("price or term of the hold"));
        }
        Ok(())
    }
}

fn check_price(price: Rate, ceiling: Rate) -> Result<(), InvalidContract> {
    if price.within(&ceiling) == Some(true) { Ok(()) } else { Err(InvalidContract::Price { price, ceiling }) }
}

fn check_term(term: Span, wanted: Span) -> Result<(), InvalidContract> {
    if term == Span::ZERO || term > wanted { Err(InvalidContract::Terms("term")) } else { Ok(()) }
}

fn check_begin(at: Time, placed: Time) -> Result<(), InvalidContract> {
    let apart = at.since(placed).max(placed.since(at));
    if apart > LATEST_START { Err(InvalidContract::Start) } else { Ok(()) }
}
