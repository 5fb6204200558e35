//! Refusals: what a node says when it will not, as a value with a code, a sentence and when to try again.

use std::fmt;

use kernel::Span;
use serde::{Deserialize, Serialize};

/// The longest sentence that is read from a stranger's refusal, in characters.
const MAX_TEXT: usize = 400;

/// Declares the codes once: number, name, and the sentence that stands when nothing more can be said.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $sentence:literal;)*) => {
        /// Why something was refused. A code that is not known is read as [`Code::Unavailable`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the number on the wire.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// Returns the name, as it stands in `reason` fields.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Returns what this code means in general.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }

            /// Returns the code of a number; unknown ones mean that it is unavailable.
            pub const fn from_number(number: u16) -> Self {
                match number { $($number => Self::$name,)* _ => Self::Unavailable }
            }

            /// Returns the code of a name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// What was named does not exist here.
    NotFound = 1, "what was asked for is not here";
    /// There is not enough, or not now.
    Unavailable = 2, "there is no room for it";
    /// The partition is smaller than the flavour's minimum.
    BelowMinimum = 3, "the partition is smaller than the flavour's minimum";
    /// The partition is not the minimum plus whole steps.
    NotAStep = 4, "the partition is not the minimum plus a whole number of steps";
    /// The partition, or the message, is larger than is allowed.
    TooLarge = 5, "it is larger than is allowed";
    /// The ceiling is below the price.
    PriceTooLow = 6, "the price is over the ceiling";
    /// The currencies differ.
    CurrencyMismatch = 7, "the currencies differ";
    /// The asker is no member of the domain.
    NotAMember = 8, "this is for members of the domain only";
    /// The flavour is not shared with the asker.
    NotShared = 9, "this is not shared with you";
    /// The asker's quota is used up.
    QuotaExceeded = 10, "the quota is used up";
    /// It came too late, or what it rests on ends too soon.
    Expired = 11, "the time for it has passed";
    /// It is over; the text says why.
    Closed = 12, "it is over";
    /// The same key came with other content.
    KeyReused = 13, "this key was used with other content";
    /// The question has been here already.
    LoopDetected = 14, "this question has been here already";
    /// The question has travelled too far.
    HopLimit = 15, "the question has travelled too far";
    /// No answer in time.
    Timeout = 16, "no answer came in time";
    /// The clocks differ by too much.
    ClockSkew = 17, "the clocks of the two nodes differ by over 30 s";
    /// The node can't keep promises now: its disk is full or failing.
    Storage = 18, "the node can not store a promise now";
    /// Too much at once; try again later.
    Overloaded = 19, "the node has too much to do";
    /// The protocol's version is not spoken here.
    UnsupportedVersion = 20, "this version of the protocol is not spoken here";
    /// The message makes no sense.
    Malformed = 21, "the message makes no sense";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal: an expected answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    code: u16,
    text: String,
    /// When it may be worth asking again.
    pub retry_after: Option<Span>,
}

impl Refusal {
    /// Makes a refusal with a sentence that says what and which.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code: code.number(), text: text.into(), retry_after: None }
    }

    /// Returns why.
    pub const fn code(&self) -> Code {
        Code::from_number(self.code)
    }

    /// Returns the sentence: printable, one line, and not too long, whoever wrote it.
    pub fn text(&self) -> String {
        let text: String = self.text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        if text.is_empty() { self.code().sentence().to_owned() } else { text }
    }

    /// Returns the sentence as it came.
    pub(crate) fn raw_text(&self) -> &str {
        &self.text
    }

    /// Says after which time to ask again.
    #[must_use]
    pub const fn retry_after(mut self, span: Span) -> Self {
        self.retry_after = Some(span);
        self
    }
}

impl From<Code> for Refusal {
    /// Makes a refusal that says no more than its code.
    fn from(code: Code) -> Self {
        Self::new(code, code.sentence())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_read_as_unavailable() {
        let strange = Refusal { code: 999, text: String::new(), retry_after: None };
        assert_eq!(strange.code(), Code::Unavailable);
        assert_eq!(strange.text(), Code::Unavailable.sentence());
    }

    #[test]
    fn numbers_and_names_are_one_to_one() {
        for &code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), code);
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
    }

    #[test]
    fn a_strangers_text_is_cut_and_cleaned() {
        let nasty = Refusal::new(Code::Closed, format!("a\u{1b}[2J\n{}", "x".repeat(9999)));
        assert!(nasty.text().len() <= MAX_TEXT && !nasty.text().contains(['\u{1b}', '\n']));
    }
}
