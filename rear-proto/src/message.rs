//! What nodes ask each other, and what they answer.

use std::collections::BTreeMap;

use kernel::{ContractId, Key, NodeId, QueryId, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{
    capacity::CapacityDigest,
    contract::{Contract, Endorsement, Order, Purchase, Renewal, RenewalAsk, Reserved},
    flavour::{Flavour, Party},
    membership::{Credentials, Descriptor, Role},
    partner::PartnerRecord,
    published::Published,
    refusal::Refusal,
    selector::Selector,
    signed::Signed,
    story::Step,
};

/// Room at the end of every message for what comes later; what is not known is passed over.
pub type Extensions = BTreeMap<u16, Vec<u8>>;

/// A question to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked.
    pub request: Request,
    /// Whether the asker gathers the steps of a story.
    pub tell: bool,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// The questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who I am; first on each connection.
    Hello(Hello),
    /// Let me in.
    Join(Join),
    /// LIST_FLAVOURS.
    List(List),
    /// RESERVE_FLAVOUR.
    Reserve(Reserve),
    /// PURCHASE_FLAVOUR.
    Purchase(Buy),
    /// RENEW.
    Renew(Renew),
    /// RELEASE.
    Release(Release),
    /// KEEPALIVE.
    Keepalive(Keepalive),
    /// ACCEPT: I take up your invitation to be partners.
    Accept(Accept),
    /// PARTNERS: from a supernode to its own domain, these are our partners.
    Partners(Partners),
    /// ADVERTISE: this is all that I offer.
    Advertise(Advertise),
    /// REFRESH: this has changed, and the rest still holds.
    Refresh(Refresh),
    /// WITHDRAW: this is no longer offered.
    Withdraw(Withdraw),
    /// SUBSCRIBE: keep me told of what you offer.
    Subscribe(Subscribe),
    /// CAPACITY_DIGEST: from a supernode to a partner's, this is what you may find here.
    CapacityDigest(CapacityDigest),
}

/// An answer, with the steps that were made for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// At most [`MAX_STEPS`](crate::story::MAX_STEPS), where they were asked for.
    pub steps: Vec<Step>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To `Hello`: who I am.
    Hello(Hello),
    /// To `Join`: you are in.
    Joined(Joined),
    /// To `List`.
    Flavours(Flavours),
    /// To `Reserve` in mode hold.
    Reserved(Signed<Reserved>),
    /// To `Reserve` in mode direct, and to `Purchase`.
    Contract(Signed<Contract>),
    /// To `Renew`.
    Renewed(Signed<Renewal>),
    /// To `Release`: nothing of it is left here.
    Released,
    /// To `Keepalive`: those that are not live here.
    Dead(Vec<ContractId>),
    /// To anything.
    Refused(Refusal),
    /// To `Accept`: we are partners, and this is who we are.
    Accepted(Accepted),
    /// To `Partners`: taken note of.
    Noted,
    /// To `Advertise`, `Refresh` and `Withdraw`: taken in, if it was the one that was due. To `CapacityDigest`: taken in,
    /// unless a later one had come.
    Taken(Taken),
    /// To `Subscribe`: what there is now; `Refresh` and `Withdraw` of the same feed follow.
    Snapshot(Advertise),
    /// To `List` at a catalogue: offers of others, each signed by the party to reserve with.
    Published(PublishedFlavours),
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its proof of membership, where it has one.
    pub credentials: Option<Credentials>,
    /// The newest description of its domain that it knows.
    pub descriptor: Option<Signed<Descriptor>>,
    /// Its addresses, for members of its domain.
    pub addresses: Vec<String>,
    /// Its clock.
    pub now: Time,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// A wish to become a member.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The token's secret.
    pub secret: [u8; 16],
    /// The newcomer's key, which is the one that the connection proves.
    pub node: NodeId,
    /// As what.
    pub role: Role,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl std::fmt::Debug for Join {
    /// Shows all but the secret, which belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secret: _, node, role, extensions } = self;
        let mut shown = f.debug_struct("Join");
        shown.field("node", node).field("role", role).field("extensions", extensions);
        shown.finish_non_exhaustive()
    }
}

/// Membership granted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The newcomer's credentials.
    pub credentials: Credentials,
    /// The domain's description.
    pub descriptor: Option<Signed<Descriptor>>,
    /// Members to begin with.
    pub peers: Vec<Party>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl std::fmt::Debug for Joined {
    /// Shows all but the extensions, which may hold the domain's secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { credentials, descriptor, peers, extensions: _ } = self;
        let mut shown = f.debug_struct("Joined");
        shown.field("credentials", credentials).field("descriptor", descriptor).field("peers", peers);
        shown.finish_non_exhaustive()
    }
}

/// Which flavours are there?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The question's id, kept on its whole way.
    pub query: QueryId,
    /// What is wanted.
    pub selector: Selector,
    /// The most flavours to answer with.
    pub limit: u32,
    /// How far to go.
    pub scope: Scope,
    /// Flavours that are of no use: those that have refused already.
    pub exclude: Vec<kernel::FlavourId>,
    /// How many more nodes it may pass.
    pub hops_left: u8,
    /// Where it has been, each a digest of the query and the node.
    pub trail: Vec<[u8; 16]>,
    /// In which time an answer is of use.
    pub deadline: Span,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// How far a question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The asked node's own offers.
    Own,
    /// Its domain's.
    Domain,
    /// Its partners' too.
    Partners,
}

/// The flavours that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flavours {
    /// The flavours.
    pub flavours: Vec<Flavour>,
    /// Whether there may be more.
    pub partial: bool,
    /// How many that were asked on the way said nothing.
    pub silent: u32,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// Reserve this for me.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// The asker's clock.
    pub now: Time,
    /// In which time an answer is of use.
    pub deadline: Span,
    /// Who vouches for the buyer's tunnel key.
    pub endorsement: Endorsement,
    /// The order, signed by the buyer.
    pub order: Signed<Order>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// I take what you hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buy {
    /// The asker's clock.
    pub now: Time,
    /// In which time an answer is of use.
    pub deadline: Span,
    /// The purchase, signed by the buyer.
    pub purchase: Signed<Purchase>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// Let it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The asker's clock.
    pub now: Time,
    /// In which time an answer is of use.
    pub deadline: Span,
    /// The wish, signed by the buyer.
    pub ask: Signed<RenewalAsk>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// It is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The key of the RESERVE.
    pub key: Key,
    /// Who placed the order: the sender or the receiver.
    pub buyer: NodeId,
    /// Why.
    pub reason: EndReason,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// Why a contract or a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EndReason {
    /// One of the parties wished it.
    Released,
    /// Its time ran out.
    Expired,
    /// The other side was not heard of for a lease.
    Lost,
    /// No peering opened it in time.
    NotActivated,
    /// The other side no longer knew it.
    Forgotten,
    /// The other party is no longer a member.
    Removed,
}

impl EndReason {
    /// Returns the reason's name, as JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Released => "Released",
            Self::Expired => "Expired",
            Self::Lost => "Lost",
            Self::NotActivated => "NotActivated",
            Self::Forgotten => "Forgotten",
            Self::Removed => "Removed",
        }
    }
}

/// These live, as far as I know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// The contracts.
    pub contracts: Vec<ContractId>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// An invitation taken up: the secret, and who takes it up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// The token's secret.
    pub secret: [u8; 16],
    /// Proof that the sender speaks for its domain: it is a supernode there.
    pub credentials: Credentials,
    /// The newest description of that domain.
    pub descriptor: Option<Signed<Descriptor>>,
    /// Where the sender is to be found.
    pub addresses: Vec<String>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl std::fmt::Debug for Accept {
    /// Shows all but the secret, which belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secret: _, credentials, descriptor, addresses, extensions } = self;
        let mut shown = f.debug_struct("Accept");
        shown.field("credentials", credentials).field("descriptor", descriptor);
        shown.field("addresses", addresses).field("extensions", extensions);
        shown.finish_non_exhaustive()
    }
}

/// The inviter's side of a partnership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Proof that the inviter speaks for its domain.
    pub credentials: Credentials,
    /// The newest description of that domain.
    pub descriptor: Option<Signed<Descriptor>>,
    /// Where the inviter is to be found.
    pub addresses: Vec<String>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// Partners of the domain, as one of its supernodes has them; others that are known are not thereby gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partners {
    /// The partners, each as it is; the latest word on each counts.
    pub partners: Vec<PartnerRecord>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// All that a node offers to the one it sends this to, or a part of it.
///
/// What is advertised goes by *feeds*: a feed is the sender's word to one receiver, numbered without a gap from 0. A
/// new feed, or its number 0, replaces all that was heard before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertise {
    /// Which feed: unlike every other of the same sender.
    pub feed: u64,
    /// Its place in the feed.
    pub number: u64,
    /// The offers.
    pub offers: Vec<Offered>,
    /// Whether more of the same snapshot follows, in the next `Advertise`.
    pub more: bool,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// A change to what was advertised: these offers are as they stand here, and all others still hold for as long as
/// they said at first, counted anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// Which feed.
    pub feed: u64,
    /// Its place in the feed.
    pub number: u64,
    /// What has changed; may be nothing.
    pub offers: Vec<Offered>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// Offers that are no longer made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdraw {
    /// Which feed.
    pub feed: u64,
    /// Its place in the feed.
    pub number: u64,
    /// Which offers.
    pub offers: Vec<Withdrawn>,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// An offer in a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offered {
    /// The sender's own word.
    Direct(Box<Flavour>),
    /// For one domain, signed by the party to reserve with; what a catalogue is given, and gives.
    Signed(Box<Signed<Published>>),
}

/// The name of an offer that is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Withdrawn {
    /// For which domain it was published; none for a direct one.
    pub viewer: Option<kernel::DomainKey>,
    /// Which flavour.
    pub flavour: kernel::FlavourId,
}

/// What became of a message of a feed, or of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The feed's number that is due next here; another than the sender's next says that it has to begin anew.
    pub next: u64,
}

/// A standing wish for offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// What is wanted.
    pub selector: Selector,
    /// For how long, unless it is said again.
    pub within: Span,
    /// Room for what comes later.
    pub extensions: Extensions,
}

/// What a catalogue has for the asker's domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedFlavours {
    /// The offers, as they were signed.
    pub offers: Vec<Signed<Published>>,
    /// Whether there may be more.
    pub partial: bool,
    /// Room for what comes later.
    pub extensions: Extensions,
}

impl Request {
    /// Returns the request's name, as the protocol and the logs have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "HELLO",
            Self::Join(_) => "JOIN",
            Self::List(_) => "LIST_FLAVOURS",
            Self::Reserve(_) => "RESERVE_FLAVOUR",
            Self::Purchase(_) => "PURCHASE_FLAVOUR",
            Self::Renew(_) => "RENEW",
            Self::Release(_) => "RELEASE",
            Self::Keepalive(_) => "KEEPALIVE",
            Self::Accept(_) => "ACCEPT",
            Self::Partners(_) => "PARTNERS",
            Self::Advertise(_) => "ADVERTISE",
            Self::Refresh(_) => "REFRESH",
            Self::Withdraw(_) => "WITHDRAW",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::CapacityDigest(_) => "CAPACITY_DIGEST",
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
