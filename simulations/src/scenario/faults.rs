//! What befalls a world.

use kernel::Span;

use super::{Between, Line};

/// A fault, scheduled or drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When it strikes.
    pub when: When,
    /// For how long it lasts, where it lasts.
    pub lasts: Between<Span>,
    /// Whom it strikes.
    pub who: Who,
    /// How many of those at a time.
    pub count: u32,
    /// What it is.
    pub trouble: Trouble,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Once, so long after the beginning.
    At(Span),
    /// Again and again, after pauses that are drawn.
    Every(Between<Span>),
    /// One after the other of those that it may strike, after pauses that are drawn, from then on.
    Rolling(Span, Between<Span>),
}

/// Whom a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Any node.
    Anybody,
    /// An ordinary node.
    Nodes,
    /// A supernode.
    Supernodes,
    /// A catalogue.
    Catalogues,
    /// Nodes of a domain, by its name; without a number at its end it stands for all its copies.
    Domain(String),
    /// One node, by its name such as `alpha-2/3` or `alpha/s1`.
    Node(String),
}

/// What a fault is.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// Those struck and the rest of the world can't hear each other; what is said meanwhile is lost. Where anybody or a
    /// domain is struck, whole domains are, and the count is of them; where nodes, supernodes, catalogues or one node
    /// are, it is these alone.
    Partition,
    /// The same, but what is said meanwhile comes when it is over.
    Hold,
    /// The lines of those struck are like this.
    Line(Line),
    /// They crash, with what they had not synced lost, and are back after it.
    Crash,
    /// They are ended in order and started again at once.
    Bounce,
    /// They go, for good where `lasts` is over the run's end, and come back otherwise; others see it.
    Churn,
    /// Their clocks are off by so much while it lasts, ahead or behind.
    Skew(Between<Span>),
    /// Their disks have no room for promises.
    FullDisk,
    /// Their disks take so long to sync.
    SlowDisk(Between<Span>),
    /// Their disks forget all that was ever written, and they come back as newcomers: with their keys and their membership alone.
    LostDisk,
    /// So many of a hundred things that they answer are something else than the truth.
    Lie(u64),
    /// They are ended and started again with the next version of the program.
    Upgrade,
    /// They change their prices by up to so many percent, up or down.
    Reprice(u64),
    /// They withdraw what they offer, and offer it again when it is over.
    Withdraw,
    /// Their domain's operator removes them from it, for good.
    Remove,
}
