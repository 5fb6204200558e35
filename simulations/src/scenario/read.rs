//! Reading scenarios from TOML, with errors that say where and what.

use super::Scenario;

/// A text that is no scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scenario {name}: {what}")]
pub struct ScenarioError {
    /// The scenario's name.
    pub name: String,
    /// What is wrong, where, and what to do.
    pub what: String,
}

impl Scenario {
    /// Reads a scenario from a file's text; `name` is the file's, without its ending.
    ///
    /// # Errors
    /// The first thing that is no part of a scenario or makes no sense.
    pub fn read(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let wrong = |what: String| ScenarioError { name: name.to_owned(), what };
        let mut scenario: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        name.clone_into(&mut scenario.name);
        let about = text.lines().next().and_then(|line| line.strip_prefix('#'));
        scenario.about = about
            .ok_or_else(|| wrong("the first line is a comment that tells its story".to_owned()))?
            .trim()
            .to_owned();
        Ok(scenario)
    }
}
