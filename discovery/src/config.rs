//! The settings of the Discovery Manager.

use kernel::Span;
use rear_proto::{Selector, price::Margin};
use serde::{Deserialize, Serialize};

use crate::subscriptions::Subscribe;

/// What can be set of discovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// In which time an endpoint must have answered a LIST_FLAVOURS of ours.
    ///
    /// An answer takes one round trip and no disk, so 2 s is many times what a healthy node on another continent
    /// needs, and short enough that a dead one does not spoil an intent's start.
    pub list_deadline: Span,
    /// How long after the start a question that finds nobody to ask waits for somebody to be reached.
    ///
    /// Connections that were there before a restart are there again within a second; an intent that goes on where
    /// it was must not be told in the meantime that nobody has room.
    pub first_contact: Span,
    /// How long such a question waits for others when the first has been reached: about as long as they take to
    /// follow, where all are dialled at once.
    pub gather: Span,
    /// The most endpoints that one question goes to.
    ///
    /// Without a supernode a question costs one message for each; 32 answers of some offers each are more choice
    /// than ranking can use.
    pub endpoints: usize,
    /// The most nodes of the domain that are asked beside a supernode.
    ///
    /// The supernode knows what the domain's nodes have advertised; the neighbours only say it sooner after a change,
    /// so half as many as without one will do.
    pub neighbours: usize,
    /// How many of those are drawn at random, where there are more endpoints than are asked.
    ///
    /// The others are the nearest; without these, nodes that are far would never be found, however free or cheap.
    pub explore: usize,
    /// The most offers that a question of ours asks each endpoint for, and the most in an answer of ours.
    ///
    /// At half a kilobyte for an offer this keeps an answer at some tens of kilobytes. At most 256, which is the
    /// protocol's own limit.
    pub answer_limit: u32,
    /// How many nodes a question of ours may pass at most; over 16, which is the protocol's own limit, counts as 16.
    ///
    /// A supernode, a partner's supernode and one that sells on are three; a price that has passed more hands than
    /// that has had as many margins put on it. What one that sells on remembers of its partners counts as its own, so
    /// an offer may have come further than a question goes.
    pub max_hops: u8,
    /// The shortest time that a supernode has before a second one is asked too.
    ///
    /// The time is that within which 95 of 100 of its answers came; of a supernode that is near that is a millisecond
    /// or two, and a second question at each small delay would double the load of both.
    pub hedge_least: Span,
    /// What a supernode keeps of an asker's time for itself: for its own look-up and for the way back.
    ///
    /// An answer that comes after the asker has given up is worth nothing; a round trip across a continent is 100 ms.
    pub relay_margin: Span,
    /// Whether this node, as a supernode, asks partners itself when its own domain has too little. Catalogues are asked
    /// in any case; where partners publish there, that is enough.
    pub ask_partners: bool,
    /// Whether this node, as a supernode, tells partners in short what they may find here, and asks those that have
    /// said that they have nothing that fits only where nobody else has anything.
    pub digests: bool,
    /// How long what has grown waits for others before partners are told.
    ///
    /// For so long, and the way, they may not ask for what is new here. A contract's end frees several parts within
    /// some tens of milliseconds, and to a person that is still at once.
    pub digest_growth: Span,
    /// How long what has shrunk waits before partners are told: until all is looked at again.
    ///
    /// One that does not know asks once in vain. Under load all is looked at so often, which takes some milliseconds for
    /// a thousand offers, and each partner is told where it matters.
    pub digest_shrink: Span,
    /// After which time partners are told again what is as it was; without a word for three times that, they ask.
    ///
    /// With a hundred partners it is one small message in two seconds. It need not be oftener: a digest that was lost is
    /// said again by itself, and one over a connection that has ended counts no more.
    pub digest_heartbeat: Span,
    /// What partners are shown, at a supernode; without a rule, nothing.
    pub expose: Vec<Expose>,
    /// What is put on the price of that which is passed on across the border, in either direction.
    ///
    /// Nothing by default: domains that share what they have are not out to earn on each other's wares.
    pub margin: Margin,
    /// The longest that a candidate is kept without hearing of it again, whatever its offer says.
    ///
    /// Offers usually say a minute; this keeps one that says a month from outliving its node.
    pub longest_life: Span,
    /// The most candidates that are kept; over it, those that expire first are dropped.
    ///
    /// 100,000 small offers take some hundred megabytes: more than a domain has nodes.
    pub candidates: usize,
    /// The same at a supernode, which holds all that its domain advertises and what partners show: some gigabytes at
    /// the most.
    pub candidates_at_supernode: usize,
    /// The most candidates of one provider, so that one node can not push out all others.
    pub candidates_per_provider: usize,
    /// The most candidates of one supernode, which answers for a whole domain.
    pub candidates_per_supernode: usize,
    /// The largest offer that is kept, in bytes on the wire; common ones have half a kilobyte.
    pub offer_bytes: usize,
    /// The most questions of others that are remembered for their repeats; over it, the oldest are forgotten,
    /// which costs no more than to answer one anew.
    pub queries: usize,
    /// How long changed candidates wait to be kept together.
    ///
    /// They gate nothing and are heard of again anyway: a second of them lost in a crash is of no account.
    pub save_every: Span,
    /// The most offers that an explanation says why they were ruled out.
    pub explained: usize,
    /// The most offers that were not believed which are remembered, to be told of in an explanation.
    pub disbelieved: usize,
    /// How long changes of offers wait for others before a supernode, a catalogue or a subscriber is told.
    ///
    /// Under load offers change many times a second; a second old is fresh enough for an index that RESERVE does not
    /// rely on.
    pub feed_every: Span,
    /// In which time one that is told of offers must have answered, before it is told everything anew.
    ///
    /// Nobody waits for it; the largest message takes a slow line some seconds.
    pub feed_deadline: Span,
    /// The most offers that one other node is told of, and the most that one catalogue may tell of.
    pub feed_offers: usize,
    /// Whose offers a supernode wants to be told of without asking.
    pub subscribe: Vec<Subscribe>,
    /// For how long a subscription of ours stands; it is said again at half of that.
    ///
    /// A provider that has lost it is told again by then; each time costs a snapshot.
    pub subscribe_within: Span,
    /// The most that may subscribe here; a domain may with 16 nodes at the most.
    pub subscribers: usize,
    /// The most messages about offers that one node of another domain may send within a minute.
    ///
    /// One a second is what a feed comes to; the rest is room for the snapshots.
    pub told_per_minute: u32,
    /// The most questions that one node of another domain may put within a minute.
    ///
    /// A partner's supernode asks for all its domain, so a hundred a second; each costs a look-up of some milliseconds
    /// at the most, and an answer that is remembered.
    pub asked_per_minute: u32,
    /// The most offers that a catalogue keeps in all: about 2 KiB each.
    pub catalogue_offers: usize,
    /// The most offers that it keeps of one domain.
    pub catalogue_offers_per_domain: usize,
    /// The most offers that it keeps of one supernode.
    pub catalogue_offers_per_publisher: usize,
}

/// What some partners are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expose {
    /// To which partners, by the names that they have here; `*` stands for all.
    pub partners: Vec<String>,
    /// What: a selector, judged on the whole of an offer, whatever is in use of it; by default everything.
    #[serde(default, with = "selector_text")]
    pub what: Selector,
    /// Whether this is also true of what other partners offer.
    #[serde(default)]
    pub resale: bool,
}

impl Expose {
    /// Says whether this is for the partner of this name.
    pub fn is_for(&self, partner: &str) -> bool {
        self.partners.iter().any(|name| name == "*" || name == partner)
    }
}

/// Selectors as people write them.
mod selector_text {
    use rear_proto::Selector;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(selector: &Selector, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(selector)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Selector, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            list_deadline: Span::secs(2),
            first_contact: Span::secs(3),
            gather: Span::millis(100),
            endpoints: 32,
            neighbours: 16,
            explore: 8,
            answer_limit: 64,
            max_hops: 4,
            hedge_least: Span::millis(20),
            relay_margin: Span::millis(100),
            ask_partners: true,
            digests: true,
            digest_growth: Span::millis(100),
            digest_shrink: Span::secs(10),
            digest_heartbeat: Span::secs(180),
            expose: Vec::new(),
            margin: Margin::default(),
            longest_life: Span::secs(600),
            candidates: 100_000,
            candidates_at_supernode: 1_000_000,
            candidates_per_provider: 1024,
            candidates_per_supernode: 65_536,
            offer_bytes: 24 << 10,
            queries: 4096,
            save_every: Span::secs(1),
            explained: 1000,
            disbelieved: 256,
            feed_every: Span::secs(1),
            feed_deadline: Span::secs(10),
            feed_offers: 16_384,
            subscribe: Vec::new(),
            subscribe_within: Span::secs(600),
            subscribers: 256,
            told_per_minute: 240,
            asked_per_minute: 6000,
            catalogue_offers: 100_000,
            catalogue_offers_per_domain: 32_768,
            catalogue_offers_per_publisher: 16_384,
        }
    }
}
