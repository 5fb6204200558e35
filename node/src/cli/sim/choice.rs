//! Which scenario is meant: a shipped one by its name, or a file by its path.

use std::{fs, path::Path};

use simulations::{scenario::Scenario, shipped};

use super::SimArgs;
use crate::cli::{exit::WrongUsage, terminal};

/// Returns the scenario of this name or path, with the settings that were typed.
pub(super) fn scenario(word: &str, args: &SimArgs) -> anyhow::Result<Scenario> {
    let mut scenario = read(word)?;
    // Longer than it says is as long as that.
    if let Some(length) = args.length {
        scenario.length = scenario.length.max(length);
    }
    if args.no_digests {
        scenario.settings.discovery.digests = false;
    }
    Ok(scenario)
}

/// Prints the text of a shipped scenario.
pub(super) fn text(word: &str) -> anyhow::Result<()> {
    let text = shipped::text(word).ok_or_else(|| unknown(word))?;
    Ok(terminal::line(text.trim_end())?)
}

fn read(word: &str) -> anyhow::Result<Scenario> {
    let is_path = word.contains('/') || Path::new(word).extension().is_some_and(|end| end == "toml");
    if !is_path {
        return Ok(shipped::by_name(word).ok_or_else(|| unknown(word))?);
    }
    let text = fs::read_to_string(word).map_err(|error| WrongUsage(format!("can not read {word}: {error}")))?;
    let name = Path::new(word).file_stem().map_or_else(|| word.into(), |name| name.to_string_lossy());
    Ok(Scenario::read(&name, &text).map_err(|error| WrongUsage(error.to_string()))?)
}

fn unknown(word: &str) -> WrongUsage {
    let (hint, end) = match shipped::hint(word) {
        hint if hint.ends_with('?') => (hint, ""),
        hint => (hint, "."),
    };
    WrongUsage(format!("there is no scenario '{word}'{hint}{end} A file is given by its path, such as ./{word}.toml"))
}
