//! What simulations have found, each kept as a run in which all must hold from then on: the rows of `regressions.toml`.
//!
//! `tests/regressions.rs` runs them. A row is never taken out: where the order of events has changed since, its seed
//! draws another run of the same kind, and costs no more than that.

use kernel::Span;
use serde::{Deserialize, Serialize, de};

use crate::{outcome::Violation, plan::Trim, search::Indices};

const TEXT: &str = include_str!("../regressions.toml");

/// All rows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    run: Vec<Regression>,
}

/// A run that failed once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Regression {
    /// The shipped scenario, or the path of another.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// At most so many nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
    /// For how long it runs.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// Which acts strike, such as `0-3,7`, or `none`; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts: Option<Listed>,
    /// Which intents come; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Listed>,
    /// What did not hold, in a sentence.
    pub found: String,
    /// Where the mistake was.
    #[serde(rename = "in")]
    pub place: Place,
    /// What mended it; empty while nothing has.
    pub mended: String,
    /// Which change that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether this very run was seen to fail in the code before that change. It was another that led there where it is
    /// `false`: the smaller one is a guess, or the order of events had changed.
    #[serde(default = "yes", skip_serializing_if = "is_so")]
    pub repeats: bool,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_so(is: &bool) -> bool {
    *is
}

/// Where a mistake was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In what is shipped in the daemon.
    Minds,
    /// In the auditor, which cried out at what is right.
    Auditor,
    /// In the made-up world around the minds: lines, disks, users.
    World,
}

/// Numbers of acts or intents, as `--acts` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed(pub Indices);

impl Serialize for Listed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

impl Regression {
    /// Returns what of the scenario is left out.
    pub fn trim(&self) -> Trim {
        let listed = |listed: &Option<Listed>| listed.as_ref().map(|it| it.0.clone().into_inner());
        Trim { nodes: self.nodes, length: self.length, acts: listed(&self.acts), arrivals: listed(&self.arrivals) }
    }
}

/// Returns all rows, in the order in which they were found.
///
/// # Errors
/// What can't be read.
pub fn all() -> Result<Vec<Regression>, toml::de::Error> {
    toml::from_str::<Rows>(TEXT).map(|rows| rows.run)
}

/// Returns the row that keeps a run which has just failed, for whoever mends it to fill in and add.
///
/// # Errors
/// What can't be written.
pub fn row(scenario: &str, seed: u64, trim: &Trim, violation: &Violation) -> Result<String, toml::ser::Error> {
    let listed = |numbers: &Option<Vec<u32>>| numbers.clone().map(|numbers| Listed(Indices::new(numbers)));
    let regression = Regression {
        scenario: scenario.to_owned(),
        seed,
        nodes: trim.nodes,
        length: trim.length,
        acts: listed(&trim.acts),
        arrivals: listed(&trim.arrivals),
        found: format!("{}: {}", violation.what, violation.detail),
        place: Place::Minds,
        mended: String::new(),
        commit: None,
        repeats: true,
    };
    toml::to_string(&Rows { run: vec![regression] })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_row_of_a_failure_reads_back_as_the_run_that_failed() {
        let trim = Trim {
            nodes: Some(6),
            length: Some(Span::secs(90)),
            acts: Some(vec![]),
            arrivals: Some(vec![0, 1, 2, 40]),
        };
        let violation = Violation {
            what: "invariant 1".to_owned(),
            at_ms: 7,
            node: "a/1".to_owned(),
            detail: "\"too\" much\n[[run]]".to_owned(),
        };
        for trim in [trim, Trim::default()] {
            let text = row("it's.toml", 7, &trim, &violation).unwrap();
            assert!(text.starts_with("[[run]]\n"), "{text}");
            let read = toml::from_str::<Rows>(&text).unwrap().run.remove(0);
            assert_eq!((read.scenario.as_str(), read.seed, read.trim()), ("it's.toml", 7, trim));
            assert_eq!(read.found, "invariant 1: \"too\" much\n[[run]]");
        }
    }

    #[test]
    fn what_a_row_does_not_have_is_refused() {
        let row = "scenario = \"a\"\nseed = 1\nin = \"minds\"\nfound = \"\"\nmended = \"\"";
        assert!(toml::from_str::<Regression>(row).is_ok());
        for more in ["node = 3", "acts = \"3-1\"", "for = \"soon\"", "repeats = 1"] {
            assert!(toml::from_str::<Regression>(&format!("{row}\n{more}")).is_err(), "{more}");
        }
    }
}
