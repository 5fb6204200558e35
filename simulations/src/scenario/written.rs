//! Faults as a file has them: a flat table with the kind as a word, and the figures that this kind has.

use kernel::Span;
use serde::Deserialize;

use super::{Between, Fault, Line, Trouble, When, Who, check::Wrong};

/// What is gone for good comes back after this: a year is over any run's end.
const FOR_GOOD: Span = Span::secs(365 * 86_400);

/// A `[[faults]]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Written {
    kind: Kind,
    who: Option<String>,
    count: Option<Count>,
    at: Option<Span>,
    every: Option<Between<Span>>,
    rolling: Option<Between<Span>>,
    lasts: Option<Between<Span>>,
    latency: Option<Between<Span>>,
    lost: Option<u64>,
    twice: Option<u64>,
    late: Option<u64>,
    bandwidth: Option<u64>,
    by: Option<Between<Span>>,
    sync: Option<Between<Span>>,
    percent: Option<u64>,
}

/// How many are struck at a time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "it is a number, or \"all\"")]
enum Count {
    Number(u32),
    All(All),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum All {
    All,
}

/// The words for what befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Partition,
    Hold,
    Crash,
    Bounce,
    Churn,
    Slow,
    Lossy,
    Duplicate,
    Reorder,
    Narrow,
    SkewedClock,
    FullDisk,
    SlowDisk,
    LostDisk,
    Liar,
    Upgrade,
    Reprice,
    Withdraw,
    Remove,
}

/// What a key of a fault is to its kind.
#[derive(PartialEq, Eq)]
enum Key {
    Needed,
    Allowed,
    Refused,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Hold => "hold",
            Self::Crash => "crash",
            Self::Bounce => "bounce",
            Self::Churn => "churn",
            Self::Slow => "slow",
            Self::Lossy => "lossy",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Narrow => "narrow",
            Self::SkewedClock => "skewed-clock",
            Self::FullDisk => "full-disk",
            Self::SlowDisk => "slow-disk",
            Self::LostDisk => "lost-disk",
            Self::Liar => "liar",
            Self::Upgrade => "upgrade",
            Self::Reprice => "reprice",
            Self::Withdraw => "withdraw",
            Self::Remove => "remove",
        }
    }

    /// The figure that makes a line bad in this way.
    const fn of_line(self) -> Option<&'static str> {
        match self {
            Self::Slow => Some("latency"),
            Self::Lossy => Some("lost"),
            Self::Duplicate => Some("twice"),
            Self::Reorder => Some("late"),
            Self::Narrow => Some("bandwidth"),
            Self::Partition
            | Self::Hold
            | Self::Crash
            | Self::Bounce
            | Self::Churn
            | Self::SkewedClock
            | Self::FullDisk
            | Self::SlowDisk
            | Self::LostDisk
            | Self::Liar
            | Self::Upgrade
            | Self::Reprice
            | Self::Withdraw
            | Self::Remove => None,
        }
    }

    fn takes(self, key: &str) -> Key {
        let needed = |is: bool| if is { Key::Needed } else { Key::Refused };
        match key {
            "lasts" => match self {
                Self::Bounce | Self::Upgrade | Self::Reprice | Self::Remove => Key::Refused,
                Self::Churn => Key::Allowed,
                Self::Partition
                | Self::Hold
                | Self::Crash
                | Self::Slow
                | Self::Lossy
                | Self::Duplicate
                | Self::Reorder
                | Self::Narrow
                | Self::SkewedClock
                | Self::FullDisk
                | Self::SlowDisk
                | Self::LostDisk
                | Self::Liar
                | Self::Withdraw => Key::Needed,
            },
            "by" => needed(self == Self::SkewedClock),
            "sync" => needed(self == Self::SlowDisk),
            "percent" => needed(matches!(self, Self::Liar | Self::Reprice)),
            // What makes a line bad in one way may make it bad in others at the same time.
            line => match self.of_line() {
                Some(own) if own == line => Key::Needed,
                Some(_) => Key::Allowed,
                None => Key::Refused,
            },
        }
    }
}

impl Written {
    /// Turns it into what befalls a world of so many nodes, whose lines are else like this.
    pub(super) fn read(self, line: Line, nodes: u32) -> Result<Fault, Wrong> {
        self.check_keys()?;
        let when = match (self.at, self.every, self.rolling) {
            (Some(at), None, None) => When::At(at),
            (None, Some(pauses), None) => When::Every(pauses),
            (at, None, Some(pauses)) => When::Rolling(at.unwrap_or(Span::ZERO), pauses),
            (Some(_), Some(_), _) => return Err(Wrong::new("every", "'at' says when already")),
            (None, Some(_), Some(_)) => return Err(Wrong::new("rolling", "'every' says when already")),
            (None, None, None) => {
                return Err(Wrong::new("kind", "it does not say when: add one of 'at', 'every' and 'rolling'"));
            }
        };
        let Self { kind, latency, lost, twice, late, bandwidth, .. } = self;
        let line = Line {
            latency: latency.unwrap_or(line.latency),
            lost: lost.unwrap_or(line.lost),
            twice: twice.unwrap_or(line.twice),
            late: late.unwrap_or(line.late),
            bandwidth: bandwidth.unwrap_or(line.bandwidth),
        };
        // What is needed is there: it was checked above.
        let nothing = Between::just(Span::ZERO);
        let trouble = match kind {
            Kind::Partition => Trouble::Partition,
            Kind::Hold => Trouble::Hold,
            Kind::Crash => Trouble::Crash,
            Kind::Bounce => Trouble::Bounce,
            Kind::Churn => Trouble::Churn,
            Kind::Slow | Kind::Lossy | Kind::Duplicate | Kind::Reorder | Kind::Narrow => Trouble::Line(line),
            Kind::SkewedClock => Trouble::Skew(self.by.unwrap_or(nothing)),
            Kind::FullDisk => Trouble::FullDisk,
            Kind::SlowDisk => Trouble::SlowDisk(self.sync.unwrap_or(nothing)),
            Kind::LostDisk => Trouble::LostDisk,
            Kind::Liar => Trouble::Lie(self.percent.unwrap_or(0)),
            Kind::Upgrade => Trouble::Upgrade,
            Kind::Reprice => Trouble::Reprice(self.percent.unwrap_or(0)),
            Kind::Withdraw => Trouble::Withdraw,
            Kind::Remove => Trouble::Remove,
        };
        let otherwise = if kind == Kind::Churn { FOR_GOOD } else { Span::ZERO };
        let count = match self.count {
            None => 1,
            Some(Count::Number(count)) => count,
            Some(Count::All(All::All)) => nodes,
        };
        Ok(Fault {
            when,
            lasts: self.lasts.unwrap_or(Between::just(otherwise)),
            who: self.who.as_deref().map_or(Who::Anybody, Who::read),
            count,
            trouble,
        })
    }

    fn check_keys(&self) -> Result<(), Wrong> {
        let keys = [
            ("lasts", self.lasts.is_some()),
            ("latency", self.latency.is_some()),
            ("lost", self.lost.is_some()),
            ("twice", self.twice.is_some()),
            ("late", self.late.is_some()),
            ("bandwidth", self.bandwidth.is_some()),
            ("by", self.by.is_some()),
            ("sync", self.sync.is_some()),
            ("percent", self.percent.is_some()),
        ];
        let kind = self.kind.name();
        for (key, is_there) in keys {
            match self.kind.takes(key) {
                Key::Needed if !is_there => {
                    return Err(Wrong::new("kind", format!("'{kind}' needs '{key}', which is not there")));
                }
                Key::Refused if is_there => {
                    return Err(Wrong::new(key, format!("'{kind}' has no '{key}'")));
                }
                Key::Needed | Key::Allowed | Key::Refused => {}
            }
        }
        Ok(())
    }
}
