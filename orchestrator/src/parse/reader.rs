//! Walking the tree: each step knows its path, and complains in one sentence.

use super::{
    ParseError,
    tree::{Node, Value},
};

/// The longest piece of a value that is shown in a sentence, in characters.
const MAX_SHOWN: usize = 64;

/// A value on the way through the tree.
pub(super) struct At<'a> {
    path: String,
    node: &'a Node,
}

/// A mapping on the way through the tree.
pub(super) struct Map<'a> {
    at: At<'a>,
    entries: &'a [(String, Node)],
}

/// Returns what can be shown of a text that anybody may have written.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(MAX_SHOWN).collect();
    start.escape_debug().to_string()
}

impl<'a> At<'a> {
    pub(super) const fn root(node: &'a Node) -> Self {
        Self { path: String::new(), node }
    }

    /// Complains about this value.
    pub(super) fn fail(&self, why: impl Into<String>) -> ParseError {
        ParseError { path: self.path.clone(), at: self.node.at, why: why.into() }
    }

    /// Complains about a value below this one; where it is not written, the nearest one above it gives the place.
    pub(super) fn fail_at(&self, path: &str, why: String) -> ParseError {
        let mut node = self.node;
        for segment in path.split(['.', '[']) {
            let next = match &node.value {
                Value::Map(entries) => entries.iter().find(|(key, _)| key == segment).map(|(_, node)| node),
                Value::List(items) => segment.trim_end_matches(']').parse().ok().and_then(|at: usize| items.get(at)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        ParseError { path: path.to_owned(), at: node.at, why }
    }

    /// Says what this is, in the middle of a sentence.
    fn what(&self) -> String {
        match &self.node.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("{value}, which is no text unless it stands in quotes"),
            Value::Number(number) => format!("the number {}", shown(number)),
            Value::Text(text) => format!("the text '{}'", shown(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Reads a text; a number or a truth value must be in quotes, since it would not come out as it was written.
    pub(super) fn text(&self) -> Result<&'a str, ParseError> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Number(number) => {
                Err(self.fail(format!("a text is expected: put the number {} in quotes", shown(number))))
            }
            Value::Bool(value) => Err(self.fail(format!("a text is expected: put {value} in quotes"))),
            Value::Null | Value::List(_) | Value::Map(_) => {
                Err(self.fail(format!("a text is expected, and this is {}", self.what())))
            }
        }
    }

    /// Reads a text or a number, as text.
    pub(super) fn scalar(&self) -> Result<&'a str, ParseError> {
        match &self.node.value {
            Value::Text(text) | Value::Number(text) => Ok(text),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
                Err(self.fail(format!("a number or a text is expected, and this is {}", self.what())))
            }
        }
    }

    /// Reads a whole number within bounds.
    pub(super) fn whole(&self, least: u64, most: u64) -> Result<u64, ParseError> {
        let number = match &self.node.value {
            Value::Number(number) => number.parse().ok().filter(|number| (least..=most).contains(number)),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        };
        number.ok_or_else(|| {
            self.fail(format!("a whole number from {least} to {most} is expected, and this is {}", self.what()))
        })
    }

    /// Reads a list.
    pub(super) fn list(&self) -> Result<impl Iterator<Item = At<'a>> + use<'a>, ParseError> {
        match &self.node.value {
            Value::List(items) => {
                let path = self.path.clone();
                Ok(items.iter().enumerate().map(move |(at, node)| At { path: format!("{path}[{at}]"), node }))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
                Err(self.fail(format!("a list is expected, and this is {}", self.what())))
            }
        }
    }

    /// Reads a mapping that may have any keys.
    pub(super) fn open(&self) -> Result<Map<'a>, ParseError> {
        match &self.node.value {
            Value::Map(entries) => Ok(Map { at: At { path: self.path.clone(), node: self.node }, entries }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                Err(self.fail(format!("a mapping is expected, and this is {}", self.what())))
            }
        }
    }

    /// Reads a mapping that has these keys only.
    pub(super) fn map(&self, known: &[&str]) -> Result<Map<'a>, ParseError> {
        let map = self.open()?;
        for (key, at) in map.entries() {
            if !known.contains(&key) {
                let hint = match nearest(key, known) {
                    Some(nearest) => format!("did you mean '{nearest}'?"),
                    None => format!("there may be {}", known.join(", ")),
                };
                // The value's path has the unknown key at its end.
                return Err(at.fail(format!("'{}' is not known here: {hint}", shown(key))));
            }
        }
        Ok(map)
    }
}

impl<'a> Map<'a> {
    /// Returns every entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, At<'a>)> {
        self.entries.iter().map(|(key, node)| (key.as_str(), self.below(key, node)))
    }

    fn below(&self, key: &str, node: &'a Node) -> At<'a> {
        let path = &self.at.path;
        let key = shown(key);
        At { path: if path.is_empty() { key } else { format!("{path}.{key}") }, node }
    }

    /// Returns the value of a key, where it is there and not empty.
    pub(super) fn optional(&self, key: &str) -> Option<At<'a>> {
        let (name, node) = self.entries.iter().find(|(name, _)| name == key)?;
        (!matches!(node.value, Value::Null)).then(|| self.below(name, node))
    }

    /// Returns the value of a key that must be there.
    pub(super) fn need(&self, key: &str) -> Result<At<'a>, ParseError> {
        self.optional(key).ok_or_else(|| self.at.fail(format!("'{key}' is missing")))
    }
}

/// Returns the known key that is most like this one, where one is like it at all.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let key = key.to_lowercase();
    let (distance, nearest) =
        known.iter().map(|&name| (distance(&key, &name.to_lowercase()), name)).min_by_key(|(distance, _)| *distance)?;
    // A third of the letters may be wrong, and at least one.
    (distance <= (nearest.len() / 3).max(1)).then_some(nearest)
}

/// Counts the letters to insert, delete, replace or swap with their neighbour that make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(MAX_SHOWN).collect();
    let other: Vec<char> = other.chars().collect();
    // Row by row of the table of distances between all beginnings of the two words.
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, wanted) in other.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(letter != wanted);
            let mut least = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i - 1] == *wanted && other[j - 1] == *letter {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}
