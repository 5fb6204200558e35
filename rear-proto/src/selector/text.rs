//! The text form of selectors, read: `cpu>=2, memory>=4Gi, arch=amd64, price<=0.10EUR/h, domain not in (x)`.
//!
//! ```text
//! selector  = [ filter *( "," filter ) ]
//! filter    = amount  ( ">=" | "<=" | "=" ) value           amount   = cpu | memory | pods | storage | gpu
//!           | amount  "in" value ".." value                            | price | latency
//!           | field   ( "=" | "!=" ) word                   field    = kind | arch | runtime | location | domain
//!           | field   [ "not" ] "in" "(" word *( "," word ) ")"        | tags | property.NAME | security
//! word      = letters, digits, - _ . / : + @  |  "…" with \" \\ \n \t \u{…}
//! ```

use std::str::FromStr;

use kernel::{Resource, Span};

use super::{Bounds, Field, Filter, MAX_FILTERS, MAX_TEXT, Selector, Test, print::is_bare};

/// What an error shows of the text, at most, in characters.
const SHOWN: usize = 40;

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}, '{part}': {why}")]
pub struct ParseSelectorError {
    /// Where the offending part begins, in characters from 1.
    pub at: usize,
    /// The offending part, cut to what a person needs to find it.
    pub part: String,
    /// What is wrong with it, and what would be accepted.
    pub why: String,
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    /// Parses the text form; the empty text is the empty selector, which wants anything.
    fn from_str(text: &str) -> Result<Self, ParseSelectorError> {
        let mut reader = Reader { text, at: 0, filter: 0 };
        if text.len() > MAX_TEXT {
            return Err(reader.wrong(format!("a selector has at most {MAX_TEXT} bytes, this has {}", text.len())));
        }
        let mut filters = Vec::new();
        reader.skip_space();
        if reader.rest().is_empty() {
            return Ok(Self { filters });
        }
        loop {
            reader.skip_space();
            reader.filter = reader.at;
            if filters.len() == MAX_FILTERS {
                return Err(reader.wrong(format!("a selector has at most {MAX_FILTERS} filters")));
            }
            filters.push(reader.read_filter()?);
            reader.skip_space();
            if reader.rest().is_empty() {
                return Ok(Self { filters });
            }
            if !reader.take(",") {
                return Err(reader.wrong("put a comma between filters, and quotes around words with spaces or signs"));
            }
        }
    }
}

/// What may stand between a field and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    In,
    NotIn,
}

/// A place in the text.
struct Reader<'a> {
    text: &'a str,
    /// The byte to read next.
    at: usize,
    /// The byte where the filter that is being read began.
    filter: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        let taken = self.rest().starts_with(sign);
        if taken {
            self.at += sign.len();
        }
        taken
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Makes an error about the filter that is being read.
    fn wrong(&self, why: impl Into<String>) -> ParseSelectorError {
        let part = &self.text[self.filter..];
        let end = part[self.at - self.filter..].find(',').map_or(part.len(), |comma| self.at - self.filter + comma);
        let mut part: String = part[..end].trim_end().chars().filter(|c| !c.is_control()).take(SHOWN + 1).collect();
        if part.chars().count() > SHOWN {
            part = part.chars().take(SHOWN).chain(['…']).collect();
        }
        ParseSelectorError { at: self.text[..self.filter].chars().count() + 1, part, why: why.into() }
    }

    fn read_filter(&mut self) -> Result<Filter, ParseSelectorError> {
        let name = self.take_while(is_bare);
        let lower = name.to_ascii_lowercase();
        if let Some(&resource) = Resource::ALL.iter().find(|resource| resource.name() == lower) {
            return Ok(Filter::Amount(resource, self.read_bounds(|text| text.parse(), |low, high| low <= high)?));
        }
        let field = match lower.as_str() {
            "price" => {
                return Ok(Filter::Price(self.read_bounds(
                    |text| text.parse(),
                    |low: &crate::price::Rate, high| low.within(high) == Some(true),
                )?));
            }
            "latency" => return Ok(Filter::Latency(self.read_bounds(milliseconds, |low, high| low <= high)?)),
            "kind" => Field::Kind,
            "arch" | "architecture" => Field::Architecture,
            "location" => Field::Location,
            "domain" => Field::Domain,
            "tag" | "tags" => Field::Tags,
            "runtime" => Field::Runtime,
            "security" => Field::Property(lower),
            "property." if self.rest().starts_with('"') => Field::Property(self.read_quoted()?),
            _ if lower.starts_with("property.") => Field::Property(name["property.".len()..].to_owned()),
            "" => return Err(self.wrong("a filter is expected here, such as cpu>=2")),
            _ => {
                return Err(self.wrong(format!(
                    "there is no field '{name}': use cpu, memory, pods, storage, gpu, price, latency, kind, arch, \
                     location, domain, tags or property.NAME"
                )));
            }
        };
        if field == Field::Property(String::new()) {
            return Err(self.wrong("a property needs its name: property.NAME"));
        }
        Ok(Filter::Word(field, self.read_test()?))
    }

    /// Reads an operator, or nothing where there is none.
    fn read_operator(&mut self) -> Option<Operator> {
        self.skip_space();
        for (sign, operator) in [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            ("==", Operator::Equal),
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
        ] {
            if self.take(sign) {
                return Some(operator);
            }
        }
        let start = self.at;
        match self.take_while(char::is_alphabetic).to_ascii_lowercase().as_str() {
            "in" => return Some(Operator::In),
            "not" => {
                self.skip_space();
                if self.take_while(char::is_alphabetic).eq_ignore_ascii_case("in") {
                    return Some(Operator::NotIn);
                }
            }
            _ => {}
        }
        self.at = start;
        None
    }

    fn read_bounds<T, E: std::fmt::Display>(
        &mut self,
        parse: impl Fn(&str) -> Result<T, E>,
        in_order: impl Fn(&T, &T) -> bool,
    ) -> Result<Bounds<T>, ParseSelectorError> {
        let operator = self.read_operator();
        let (Some(Operator::Equal | Operator::AtLeast | Operator::AtMost | Operator::In), false) =
            (operator, self.rest().starts_with(['=', '<', '>']))
        else {
            return Err(self.wrong("use >=, <= or =, or a range such as 'in 1..4'"));
        };
        self.skip_space();
        let text = self.take_while(is_bare);
        let value = |text: &str| parse(text).map_err(|error| self.wrong(error.to_string()));
        match operator {
            Some(Operator::AtLeast) => Ok(Bounds::AtLeast(value(text)?)),
            Some(Operator::AtMost) => Ok(Bounds::AtMost(value(text)?)),
            Some(Operator::In) => {
                let (low, high) = text
                    .split_once("..")
                    .ok_or_else(|| self.wrong("write a range with two dots, such as 'in 1..4'"))?;
                let (low, high) = (value(low)?, value(high)?);
                if in_order(&low, &high) {
                    Ok(Bounds::Between(low, high))
                } else {
                    Err(self.wrong("the range must begin with its smaller end, and both ends be alike"))
                }
            }
            Some(Operator::Equal | Operator::NotEqual | Operator::NotIn) | None => Ok(Bounds::Match(value(text)?)),
        }
    }

    fn read_test(&mut self) -> Result<Test, ParseSelectorError> {
        match self.read_operator() {
            Some(Operator::Equal) => Ok(Test::Is(self.read_word()?)),
            Some(Operator::NotEqual) => Ok(Test::NotIn(vec![self.read_word()?])),
            Some(Operator::In) => Ok(Test::In(self.read_list()?)),
            Some(Operator::NotIn) => Ok(Test::NotIn(self.read_list()?)),
            Some(Operator::AtLeast | Operator::AtMost) | None => {
                Err(self.wrong("use =, !=, 'in (a, b)' or 'not in (a, b)'"))
            }
        }
    }

    fn read_list(&mut self) -> Result<Vec<String>, ParseSelectorError> {
        self.skip_space();
        if !self.take("(") {
            return Err(self.wrong("put the words of a list in parentheses: 'in (a, b)'"));
        }
        let mut words = Vec::new();
        loop {
            words.push(self.read_word()?);
            self.skip_space();
            if self.take(")") {
                return Ok(words);
            }
            if !self.take(",") {
                return Err(self.wrong("put commas between the words of a list, and ')' at its end"));
            }
        }
    }

    fn read_word(&mut self) -> Result<String, ParseSelectorError> {
        self.skip_space();
        if self.rest().starts_with('"') {
            return self.read_quoted();
        }
        match self.take_while(is_bare) {
            "" => Err(self.wrong("a word is expected here; put quotes around one with spaces or signs")),
            word => Ok(word.to_owned()),
        }
    }

    fn read_quoted(&mut self) -> Result<String, ParseSelectorError> {
        let mut word = String::new();
        let start = self.at;
        let mut rest = self.rest().chars();
        rest.next();
        loop {
            match rest.next() {
                Some('"') => break,
                Some('\\') => match escaped(&mut rest) {
                    Some(c) => word.push(c),
                    None => return Err(self.wrong(r#"in quotes, a backslash stands before ", \, n, t or u{…}"#)),
                },
                Some(c) => word.push(c),
                None => return Err(self.wrong("the quotes are not closed")),
            }
        }
        self.at = self.text.len() - rest.as_str().len();
        debug_assert!(self.at > start);
        Ok(word)
    }
}

/// Reads what stands behind a backslash.
fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        c @ ('"' | '\\') => Some(c),
        'n' => Some('\n'),
        't' => Some('\t'),
        'u' => {
            let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
            *rest = after.chars();
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        }
        _ => None,
    }
}

fn milliseconds(text: &str) -> Result<u32, &'static str> {
    let wrong = "write a latency in milliseconds, such as 50 or 50ms";
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => text.parse::<Span>().ok().and_then(|span| u32::try_from(span.0).ok()).ok_or(wrong),
    }
}

#[cfg(test)]
mod tests;
