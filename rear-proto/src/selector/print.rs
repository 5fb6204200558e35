//! How selectors print: so that the text parses to the same selector again, and is safe on a terminal.

use std::fmt;

use super::{Bounds, Field, Filter, Selector, Test};

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, filter) in self.filters.iter().enumerate() {
            write!(f, "{}{filter}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amount(resource, bounds) => write!(f, "{resource}{bounds}"),
            Self::Price(bounds) => write!(f, "price{bounds}"),
            Self::Latency(bounds) => write!(f, "latency{}", bounds.map(|ms| format!("{ms}ms"))),
            Self::Word(field, test) => write!(f, "{field}{test}"),
        }
    }
}

impl<T> Bounds<T> {
    fn map<U>(&self, change: impl Fn(&T) -> U) -> Bounds<U> {
        match self {
            Self::Match(value) => Bounds::Match(change(value)),
            Self::AtLeast(low) => Bounds::AtLeast(change(low)),
            Self::AtMost(high) => Bounds::AtMost(change(high)),
            Self::Between(low, high) => Bounds::Between(change(low), change(high)),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Bounds<T> {
    /// Prints what stands behind the field's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match(value) => write!(f, "={value}"),
            Self::AtLeast(low) => write!(f, ">={low}"),
            Self::AtMost(high) => write!(f, "<={high}"),
            Self::Between(low, high) => write!(f, " in {low}..{high}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("kind"),
            Self::Architecture => f.write_str("arch"),
            Self::Location => f.write_str("location"),
            Self::Domain => f.write_str("domain"),
            Self::Tags => f.write_str("tags"),
            Self::Runtime => f.write_str("runtime"),
            Self::Property(name) => write!(f, "property.{}", Word(name)),
        }
    }
}

impl fmt::Display for Test {
    /// Prints what stands behind the field's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (how, list) = match self {
            Self::Is(word) => return write!(f, "={}", Word(word)),
            Self::In(list) => ("in", list),
            Self::NotIn(list) => ("not in", list),
        };
        write!(f, " {how} (")?;
        for (at, word) in list.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, Word(word))?;
        }
        f.write_str(")")
    }
}

/// Says whether a character may stand in a word or a name without quotes.
pub(super) fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '+' | '@')
}

/// A word, in quotes where it needs them.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.chars().all(is_bare) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                // A selector may come from a stranger and end on a terminal.
                c if c.is_control() => write!(f, "{}", c.escape_unicode())?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
