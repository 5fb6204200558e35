//! The settings of the orchestrator.

use kernel::Span;
use serde::{Deserialize, Serialize};

/// What can be set of intents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The most intents that are here at once, failed ones that nobody has deleted among them.
    ///
    /// One takes some 20 KiB with its story, so this bounds them to what a small machine can spare.
    pub intents: usize,
    /// How many deleted intents can still be looked at; they are forgotten when the node restarts.
    pub deleted_shown: usize,
    /// How long to wait for a place after the second loss in a row; doubled for each further one. The first loss is
    /// answered at once, since most nodes that go away leave others behind.
    pub first_retry: Span,
    /// The longest wait between two looks for a place: what a user would put up with after capacity has come back.
    pub longest_retry: Span,
    /// For how long a replica must have run for its losses before that to be forgotten.
    pub steady_after: Span,
    /// How often the place of a replica may be lost before its intent has run at all: an intent that can't start is
    /// to say so.
    pub losses_before_running: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            intents: 4096,
            deleted_shown: 64,
            first_retry: Span::millis(250),
            longest_retry: Span::secs(30),
            steady_after: Span::secs(60),
            losses_before_running: 3,
        }
    }
}
