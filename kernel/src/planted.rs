//! Planted bugs: mistakes that a maintainer might make, each of which some simulation must find.
//!
//! A decider asks [`is`] at the place where the mistake would be made. Without the feature `planted` that is a constant
//! `false`, so nothing of it is left in what is shipped. With it, one bug at a time lives on one thread, for as long as
//! the guard that `plant` returns.

/// Names each bug once: what it does wrong, its variant, its name.
macro_rules! bugs {
    ($(#[doc = $what:literal] $bug:ident = $name:literal,)*) => {
        /// A mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $(#[doc = $what] $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$bug,)*];

            /// Returns its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }

            /// Returns what it does wrong, in a sentence.
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$bug => $what.trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    // -- REAR -------------------------------------------------------------------------------------------
    /// A provider grants what it has not left.
    SkipHoldCheck = "skip-hold-check",
    /// A flavour changes and its epoch does not.
    StaleEpoch = "stale-epoch",
    /// A provider sells over the ceiling of the order.
    IgnoreCeiling = "ignore-ceiling",
    /// Capacity is free again while its workload is still being stopped.
    FreeEarly = "free-early",
    /// The keys of orders are the same in each life of a node.
    RepeatKeys = "repeat-keys",
    /// A virtual node stays when its contract has ended.
    KeepVirtualNode = "keep-virtual-node",

    // -- Contract ---------------------------------------------------------------------------------------
    /// A RESERVE that comes again is granted again.
    ForgetRepeats = "forget-repeats",
    /// A provider goes on holding what was not purchased in time.
    KeepLapsedHold = "keep-lapsed-hold",
    /// A contract that nobody opens a peering on does not lapse.
    NeverLapse = "never-lapse",
    /// A contract whose other party is not heard of lives on.
    EndlessLease = "endless-lease",
    /// A contract that the other party says is dead lives on.
    IgnoreDead = "ignore-dead",
    /// Each renewal makes a contract longer by twice its term.
    RenewTwice = "renew-twice",
    /// The end of a contract is not heeded while a renewal of it is under way.
    RenewBeatsRelease = "renew-beats-release",
    /// The answer to a RELEASE is waited for without end.
    TellForEver = "tell-for-ever",
    /// A node that restarts has forgotten what it holds for others.
    ForgetHolds = "forget-holds",
    /// A node that restarts has forgotten how often its contracts were renewed.
    ForgetRenewals = "forget-renewals",
    /// Promises are made that the disk can not take.
    PromiseWhenFull = "promise-when-full",
    /// Contracts with a node that was removed go on.
    TradeWithRemoved = "trade-with-removed",
    /// A relay keeps the contract that it sold, and not the one that backs it.
    KeepFrontOnly = "keep-front-only",
    /// A relay goes on with the contract behind when the one in front has ended.
    KeepBack = "keep-back",
    /// A relay promises as long a time as it was promised.
    OutlastBack = "outlast-back",

    // -- Discovery --------------------------------------------------------------------------------------
    /// A question that has come round is answered once more.
    IgnoreLoop = "ignore-loop",
    /// Partners are shown what is not exposed to them.
    ShowHidden = "show-hidden",
    /// A capacity digest tells of one offer, and hides the others.
    HideOffers = "hide-offers",

    // -- the others -------------------------------------------------------------------------------------
    /// A replica that was lost is not placed again.
    LeaveLost = "leave-lost",
    /// The router of a contract that has ended stays.
    KeepRouter = "keep-router",
    /// Workloads are said to be gone while they are being stopped.
    SayGoneEarly = "say-gone-early",
    /// What another issuer says of removed nodes is not taken in.
    IgnoreRemovals = "ignore-removals",
    /// A contract is answered before it is on the disk.
    SpeakEarly = "speak-early",
}

/// Says whether this bug is planted here: never, in what is shipped.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use here::{Planted, is, plant};

#[cfg(feature = "planted")]
mod here {
    use std::{cell::Cell, marker::PhantomData};

    use super::Bug;

    thread_local! {
        static HERE: Cell<Option<Bug>> = const { Cell::new(None) };
        static TIMES: Cell<u64> = const { Cell::new(0) };
    }

    /// Says whether this bug is planted on this thread.
    pub fn is(bug: Bug) -> bool {
        let here = HERE.get() == Some(bug);
        TIMES.set(TIMES.get() + u64::from(here));
        here
    }

    /// Plants a bug on this thread, until the guard is dropped.
    pub fn plant(bug: Bug) -> Planted {
        TIMES.set(0);
        Planted { before: HERE.replace(Some(bug)), not_send: PhantomData }
    }

    /// A bug lives on this thread while this does.
    #[derive(Debug)]
    #[must_use = "the bug is gone as soon as this is"]
    pub struct Planted {
        before: Option<Bug>,
        not_send: PhantomData<*const ()>,
    }

    impl Planted {
        /// Returns how often the bug was asked for and so may have done harm, since one was planted here last.
        pub fn times(&self) -> u64 {
            TIMES.get()
        }
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            HERE.set(self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Bug;

    #[test]
    fn each_bug_has_a_name_of_its_own_and_a_sentence() {
        let names: BTreeSet<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in Bug::ALL {
            assert!(bug.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{bug:?}");
            assert!(bug.what().ends_with('.') && !bug.what().starts_with(' '), "{bug:?}");
        }
    }

    #[cfg(not(feature = "planted"))]
    #[test]
    fn nothing_is_planted_in_what_is_shipped() {
        const { assert!(!super::is(Bug::SkipHoldCheck)) };
        assert!(!Bug::ALL.iter().any(|bug| super::is(*bug)));
    }

    #[cfg(feature = "planted")]
    #[test]
    fn a_bug_lives_alone_on_its_thread_and_as_long_as_its_guard() {
        use super::{is, plant};
        assert!(!is(Bug::SkipHoldCheck));
        {
            let outer = plant(Bug::SkipHoldCheck);
            assert!(is(Bug::SkipHoldCheck) && !is(Bug::StaleEpoch));
            assert_eq!(outer.times(), 1);
            {
                let _inner = plant(Bug::StaleEpoch);
                assert!(!is(Bug::SkipHoldCheck) && is(Bug::StaleEpoch));
            }
            assert!(is(Bug::SkipHoldCheck));
            assert!(std::thread::spawn(|| !is(Bug::SkipHoldCheck)).join().unwrap_or(false));
        }
        assert!(!is(Bug::SkipHoldCheck));
    }
}
