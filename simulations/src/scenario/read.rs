//! Reading scenarios from TOML, with errors that say where and what.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::{Scenario, check::Wrong, written::Written};

/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// The longest complaint, in characters: what is written may be of any length.
const MAX_WHY: usize = 300;

/// A text that is no scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scenario {name}: {what}")]
pub struct ScenarioError {
    /// The scenario's name.
    pub name: String,
    /// What is wrong, where, and what to do.
    pub what: String,
}

/// What of a file is no part of the scenario itself.
#[derive(serde::Deserialize)]
struct Faults {
    #[serde(default)]
    faults: Vec<Written>,
}

impl Scenario {
    /// Reads a scenario from a file's text; `name` is the file's, without its ending.
    ///
    /// # Errors
    /// The first thing that is no part of a scenario or makes no sense, with its line and key.
    pub fn read(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let read = read(name, text);
        read.map_err(|what| ScenarioError { name: plain(name), what: plain(&what) })
    }
}

fn read(name: &str, text: &str) -> Result<Scenario, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it has {} bytes, and at most {MAX_TEXT} are read", text.len()));
    }
    let placed = |wrong: Wrong| {
        let line = line_of_path(text, &wrong.path);
        line.map_or_else(|| wrong.to_string(), |line| format!("line {line}, {wrong}"))
    };
    let mut scenario: Scenario = parse(text)?;
    name.clone_into(&mut scenario.name);
    let about = text.lines().next().and_then(|line| line.strip_prefix('#')).map(str::trim);
    let about = about.filter(|about| !about.is_empty());
    about.ok_or("line 1: it must be a comment that tells the story")?.clone_into(&mut scenario.about);
    let line = if scenario.domain_count() > 1 { scenario.links.between } else { scenario.links.inside };
    let nodes = u32::try_from(scenario.nodes()).unwrap_or(u32::MAX);
    let Faults { faults } = parse(text)?;
    for (at, written) in faults.into_iter().enumerate() {
        let fault = written.read(line, nodes).map_err(|wrong| placed(wrong.within(&format!("faults[{at}]"))))?;
        scenario.faults.push(fault);
    }
    scenario.check().map_err(placed)?;
    Ok(scenario)
}

/// Reads a value from a text, with the line and the key of what is wrong.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let deserializer = toml::de::Deserializer::parse(text).map_err(|error| said(text, "", &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        said(text, if path == "." { "" } else { &path }, error.inner())
    })
}

fn said(text: &str, path: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| line_at(text, span.start)).or_else(|| line_of_path(text, path));
    let place = line.map_or_else(String::new, |line| format!("line {line}"));
    let why = known(error.message());
    // What a key that is not known stands in has a path; the key itself is named behind it.
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let path = if why.starts_with("unknown key") { parent } else { path };
    let comma = if place.is_empty() || path.is_empty() { "" } else { ", " };
    let colon = if place.is_empty() && path.is_empty() { "" } else { ": " };
    format!("{place}{comma}{path}{colon}{why}")
}

/// Rewords the complaint about a word that is not known, so that it names the nearest that is.
fn known(message: &str) -> String {
    let of = |what: &str| message.strip_prefix(&format!("unknown {what} `"));
    let (what, rest) = match (of("field"), of("variant")) {
        (Some(rest), _) => ("key", rest),
        (None, Some(rest)) => ("word", rest),
        (None, None) => return message.to_owned(),
    };
    // The last of these: the word itself may be anything.
    let Some((word, expected)) = rest.rsplit_once("`, expected ") else { return message.to_owned() };
    let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    format!("unknown {what} '{word}'{}", hint(word, &words))
}

/// Returns what of the known words may have been meant, or all of them where none is near.
pub(crate) fn hint(word: &str, known: &[&str]) -> String {
    let word: String = word.chars().take(64).collect();
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(&word, known), *known)).min();
    match near {
        // A third of the letters may be wrong, and at least one.
        Some((distance, near)) if distance <= (near.len() / 3).max(1) => format!(": did you mean '{near}'?"),
        Some(_) => format!(": it is one of {}", known.join(", ")),
        None => String::new(),
    }
}

/// Returns the line, from 1, of a place in a text.
fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Returns the line of a path such as `faults[2].lasts`, or of the part of it that is written.
fn line_of_path(text: &str, path: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (mut value, mut at): (Option<&DeValue<'_>>, _) = (None, None);
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        let next = match (value, step.strip_suffix(']')) {
            (None, _) => table.get_ref().get_key_value(step).map(|(key, value)| (key.span(), value.get_ref())),
            (Some(DeValue::Table(table)), _) => {
                table.get_key_value(step).map(|(key, value)| (key.span(), value.get_ref()))
            }
            (Some(DeValue::Array(array)), Some(index)) => {
                let item = index.parse().ok().and_then(|index: usize| array.get(index));
                item.map(|item| (item.span(), item.get_ref()))
            }
            (Some(_), _) => None,
        };
        let Some((span, inner)) = next else { break };
        (value, at) = (Some(inner), Some(span.start));
    }
    at.map(|at| line_at(text, at))
}

/// Makes one line of moderate length of what may be anything.
fn plain(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WHY + 1).collect();
    if one_line.chars().count() <= MAX_WHY {
        return one_line;
    }
    one_line.chars().take(MAX_WHY).chain(['…']).collect()
}
