//! The settings of the Contract Manager.

use kernel::Span;
use rear_proto::{Code, Refusal};
use serde::{Deserialize, Serialize};

/// What can be set of agreeing and of keeping to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    // -- asking -----------------------------------------------------------------------------------------
    /// Within which time RESERVE, PURCHASE and RENEW must be answered, all tries together.
    ///
    /// An agreement costs a round trip and a sync of the disk; half of the default *activate within* is then left
    /// for the peering.
    pub answer_within: Span,
    /// How often RESERVE and PURCHASE are said before their time is over: once more is enough for a lost message. A relay
    /// says them once more when half of its time has passed.
    pub tries: u32,
    /// How long after a try that got no answer the next one follows; doubled each time for RELEASE, which is
    /// repeated for a whole lease.
    pub repeat_after: Span,
    /// Within which time one RELEASE must be answered: longer than [`capacity_back_within`](Self::capacity_back_within),
    /// because the answer waits for the capacity.
    pub release_answer_within: Span,

    // -- relaying ---------------------------------------------------------------------------------------
    /// How much sooner than what it rests on ends what a relay promises, so that the end of a chain never ends first;
    /// at most a tenth of the shortest time that is promised.
    pub nesting_margin: Span,
    /// How much of its asker's deadline a relay keeps for its own part: a sync of the disk and the way back.
    pub hop_margin: Span,

    // -- the three clocks -------------------------------------------------------------------------------
    /// Within which time the peering of an own order will open, where the wish does not say.
    pub activate_within: Span,
    /// The longest *activate within* that is sold: it is the time for which capacity may stand idle unpaid.
    pub max_activate_within: Span,
    /// For how long a hold that is given may be purchased.
    pub purchase_within: Span,
    /// For how long a contract lives without a word from the other party; a keepalive goes out every third of it.
    pub lease: Span,
    /// The longest term that is sold at once.
    pub max_term: Span,
    /// The longest that a contract can last with all its renewals.
    pub max_total_term: Span,
    /// After which part of its term a contract in use is renewed, in per cent: two thirds leave a third of the term
    /// to repeat in.
    pub renew_at_percent: u64,

    // -- as a seller ------------------------------------------------------------------------------------
    /// By how much the clocks of buyer and seller may differ.
    pub clock_skew: Span,
    /// The longest that a RELEASE waits for the workloads to be gone before it is answered anyway: the grace of 10 s,
    /// and as much again as a kill may take.
    pub capacity_back_within: Span,
    /// The most holds, and contracts that are not yet active, that one buyer may have.
    pub pending_per_buyer: usize,
    /// The most of them that a supernode may have, a partner's or the own domain's: it buys for many.
    pub pending_per_partner: usize,
    /// The most of them that all buyers may have.
    pub pending: usize,
    /// The most orders and renewals that are taken of one buyer within an hour.
    ///
    /// Contracts and renewals are kept for good, also of a buyer that gives them back at once: at two kilobytes each,
    /// this is three hundred megabytes a day from one that does nothing else, and more than a busy one needs.
    pub orders_per_hour: u32,
    /// The most that are taken of one supernode, which orders for many: ten busy buyers' worth.
    pub orders_per_hour_per_partner: u32,

    // -- memory -----------------------------------------------------------------------------------------
    /// For how long a key is remembered after what it named has ended.
    pub keys_kept: Span,
    /// The most keys that are remembered so; beyond it the oldest are forgotten. An order older than a minute is
    /// refused anyway, so a forgotten key can't be used twice.
    pub max_keys: usize,
    /// The most refusals and early RELEASEs that are remembered of one buyer.
    pub max_refusals_per_buyer: usize,
    /// The most ended contracts, and the most ended holds, that are shown; all contracts stay in the ledger.
    pub ended_shown: usize,
}

/// Over which time orders are counted.
pub(crate) const HOUR: Span = Span::secs(3600);

impl Default for Config {
    fn default() -> Self {
        Self {
            answer_within: Span::secs(5),
            tries: 2,
            repeat_after: Span::millis(500),
            release_answer_within: Span::secs(20),
            nesting_margin: Span::secs(1),
            hop_margin: Span::millis(100),
            activate_within: Span::secs(10),
            max_activate_within: Span::secs(600),
            purchase_within: Span::secs(30),
            lease: Span::secs(60),
            max_term: Span::secs(30 * 86_400),
            max_total_term: Span::secs(365 * 86_400),
            renew_at_percent: 66,
            clock_skew: Span::secs(30),
            capacity_back_within: Span::secs(15),
            pending_per_buyer: 32,
            pending_per_partner: 1024,
            pending: 4096,
            orders_per_hour: 6000,
            orders_per_hour_per_partner: 60_000,
            keys_kept: Span::secs(3600),
            max_keys: 65_536,
            max_refusals_per_buyer: 256,
            ended_shown: 1024,
        }
    }
}

impl Config {
    /// Returns the time between two keepalives to one peer.
    pub(crate) fn keepalive_every(&self) -> Span {
        // A lease of nothing would keep the node busy with nothing else.
        self.lease.divided(3).max(Span::millis(10))
    }

    /// Says that a buyer has had all the promises that it gets in this hour, after which time it may ask again.
    pub(crate) fn too_many_orders(most: u32, retry_after: Span) -> Refusal {
        let text = format!("this buyer has placed {most} orders and renewals within an hour");
        Refusal::new(Code::Overloaded, text).retry_after(retry_after)
    }

    /// Returns the time that one try of a question may take.
    pub(crate) fn try_within(&self) -> Span {
        self.answer_within.divided(u64::from(self.tries)).max(Span::millis(1))
    }
}
