//! `tombolo audit`: verifies a ledger's chain and every signature in it, or two ledgers against each other.

use std::path::Path;

use anyhow::Context as _;
use rear_proto::{Row, Table};
use serde::Serialize;

use crate::ledger::{Frames, verify};

/// What an audit found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Frames read.
    pub frames: u64,
    /// Contracts verified.
    pub contracts: usize,
    /// The byte at which the first frame stands that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<u64>,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

/// Audits a ledger, and against another party's where there is one.
///
/// # Errors
/// When a file can't be read at all.
pub fn audit(path: &Path, against: Option<&Path>) -> anyhow::Result<Report> {
    let report = verify(path).with_context(|| format!("can not audit {}", path.display()))?;
    let mut problems = report.problems.clone();
    let ours = read(path, &mut problems)?;
    let found = contract::audit::verify(&ours, None);
    problems.extend(found.problems.iter().map(ToString::to_string));
    if let Some(other) = against {
        let mut others = Vec::new();
        let theirs = read(other, &mut others)?;
        problems.extend(others.into_iter().map(|problem| format!("{}: {problem}", other.display())));
        let (us, them) = (federation::bearer(&ours), federation::bearer(&theirs));
        let contradictions = contract::audit::contradictions_of(us, &ours, them, &theirs);
        problems.extend(contradictions.iter().map(ToString::to_string));
    }
    Ok(Report {
        ok: report.ok && problems.is_empty(),
        frames: report.frames,
        contracts: found.contracts,
        first_bad: report.first_bad.map(|bad| bad.offset),
        problems,
    })
}

/// Reads the rows of a ledger, as far as its frames are sound.
fn read(path: &Path, problems: &mut Vec<String>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for frame in Frames::open(path).with_context(|| format!("can not read {}", path.display()))? {
        let Ok(frame) = frame else { break };
        for row in frame.rows {
            match Table::from_number(row.table.0) {
                Some(table) => rows.push(Row { table, key: row.key, value: row.value }),
                None => problems.push(format!("frame {}: a row of an unknown table {}", frame.seq, row.table.0)),
            }
        }
    }
    Ok(rows)
}
