//! The settings of the Discovery Manager.

use kernel::Span;
use serde::{Deserialize, Serialize};

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
    /// How many of those are drawn at random, where there are more endpoints than are asked.
    ///
    /// The others are the nearest; without these, nodes that are far would never be found, however free or cheap.
    pub explore: usize,
    /// The most offers that a question of ours asks each endpoint for, and the most in an answer of ours.
    ///
    /// At half a kilobyte for an offer this keeps an answer at some tens of kilobytes. At most 256, which is the
    /// protocol's own limit.
    pub answer_limit: u32,
    /// The longest that a candidate is kept without hearing of it again, whatever its offer says.
    ///
    /// Offers usually say a minute; this keeps one that says a month from outliving its node.
    pub longest_life: Span,
    /// The most candidates that are kept; over it, those that expire first are dropped.
    ///
    /// 100,000 small offers take some hundred megabytes: more than a domain has nodes.
    pub candidates: usize,
    /// The most candidates of one provider, so that one node can not push out all others.
    pub candidates_per_provider: usize,
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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            list_deadline: Span::secs(2),
            first_contact: Span::secs(3),
            gather: Span::millis(100),
            endpoints: 32,
            explore: 8,
            answer_limit: 64,
            longest_life: Span::secs(600),
            candidates: 100_000,
            candidates_per_provider: 1024,
            offer_bytes: 24 << 10,
            queries: 4096,
            save_every: Span::secs(1),
            explained: 1000,
        }
    }
}
