//! The report of runs: a page that needs nothing beside it, and the data that it was made of.
//!
//! It draws and formats what the meter has gathered, and works out nothing of its own. Names come from scenarios, which
//! anybody can write: they are text in the page, and never markup.

mod figures;
mod page;
mod plots;
mod text;
mod windows;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

pub use self::plots::PlotError;
use self::{figures::figures, page::Page};
use crate::{
    measure::Figures,
    outcome::{Measures, Outcome},
};

/// A report that can not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is nothing to report.
    #[error("there is no run to report on")]
    Nothing,
    /// A file or the folder can not be made.
    #[error("can not write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A plot can not be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The data can not be put into words.
    #[error("can not write the report's data as JSON")]
    Json(#[from] serde_json::Error),
}

/// Writes a report of runs of one scenario into a folder, which is made where it is not there: `index.html` and
/// `report.json`. Returns where the page is.
///
/// Shown closely is the first run in which something did not hold, or else the first. `without_digests` is that run once
/// more with capacity digests switched off, for comparison. `command` is what repeats the run that is shown.
///
/// # Errors
/// When there is no run, or a file can not be written.
pub fn write(
    dir: &Path,
    runs: &[Outcome],
    without_digests: Option<&Outcome>,
    command: &str,
) -> Result<PathBuf, ReportError> {
    let failed = runs.iter().find(|run| !run.violations.is_empty());
    let shown = failed.or(runs.first()).ok_or(ReportError::Nothing)?;
    let figures = figures(shown)?;
    let page = Page { runs, shown, without_digests, command, figures: &figures }.html();
    let data =
        Data { command, runs: runs.iter().map(Run::new).collect(), without_digests: without_digests.map(Run::new) };
    fs::create_dir_all(dir).map_err(|source| ReportError::Write { path: dir.to_owned(), source })?;
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).map(|()| path.clone()).map_err(|source| ReportError::Write { path, source })
    };
    put("report.json", serde_json::to_string_pretty(&data)?)?;
    put("index.html", page)
}

/// The data behind a page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    command: &'a str,
    runs: Vec<Run<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_digests: Option<Run<'a>>,
}

/// The data of one run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    figures: Figures,
    measures: &'a Measures,
}

impl<'a> Run<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        Self { outcome, figures: outcome.figures(), measures: &outcome.measures }
    }
}

#[cfg(test)]
mod tests;
