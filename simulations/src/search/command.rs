//! The one command that repeats a run.

use super::Indices;
use crate::plan::Trim;

/// Returns the command that repeats the run of a scenario, as its name or its path is typed, for a seed.
pub fn command(scenario: &str, seed: u64, trim: &Trim) -> String {
    let mut command = format!("tombolo sim {} --seed {seed}", quoted(scenario));
    let mut add = |flag: &str, value: String| {
        command.push_str(" --");
        command.push_str(flag);
        command.push(' ');
        command.push_str(&value);
    };
    if let Some(nodes) = trim.nodes {
        add("nodes", nodes.to_string());
    }
    if let Some(length) = trim.length {
        add("for", length.to_string());
    }
    if let Some(acts) = &trim.acts {
        add("acts", Indices::new(acts.clone()).to_string());
    }
    if let Some(arrivals) = &trim.arrivals {
        add("arrivals", Indices::new(arrivals.clone()).to_string());
    }
    command
}

/// Returns a word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_plain = !word.is_empty() && !word.starts_with('-') && word.chars().all(plain);
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use kernel::Span;

    use super::*;

    #[test]
    fn a_command_says_what_differs_from_the_whole() {
        assert_eq!(command("quiet-city", 7, &Trim::default()), "tombolo sim quiet-city --seed 7");
        let trim = Trim {
            nodes: Some(6),
            length: Some(Span::secs(90)),
            acts: Some(vec![]),
            arrivals: Some(vec![0, 1, 2, 40]),
        };
        assert_eq!(
            command("my own/it's.toml", 0, &trim),
            r"tombolo sim 'my own/it'\''s.toml' --seed 0 --nodes 6 --for 1m30s --acts none --arrivals 0-2,40"
        );
    }
}
