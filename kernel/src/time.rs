//! Points in time and lengths of time, in whole milliseconds.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Wall-clock milliseconds since the Unix epoch, as the node's one clock hands them out: never backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time(pub u64);

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

impl Time {
    /// The end of time: later than any deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns the time from `earlier` to here, or nothing at all when `earlier` is later.
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time left until `later`, or nothing at all when it has passed.
    pub fn until(self, later: Self) -> Span {
        later.since(self)
    }
}

impl std::ops::Add<Span> for Time {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Makes a span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a span of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns this as the standard library's duration.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Returns the difference, or nothing when `other` is longer.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns the sum, at most the longest span there is.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns this span `factor` times over, at most the longest span there is.
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// Returns this span divided by `parts`; dividing by 0 divides by 1.
    pub const fn divided(self, parts: u64) -> Self {
        Self(self.0 / if parts == 0 { 1 } else { parts })
    }
}

/// The units of a span's text form, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a length of time: write it like 30s, 10m, 1h, 1h30m or 250ms")]
pub struct ParseSpanError(String);

impl FromStr for Span {
    type Err = ParseSpanError;

    /// Parses `30s`, `1h30m`, `250ms`: whole numbers, each with its unit.
    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let wrong = || ParseSpanError(text.to_owned());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let millis = UNITS.iter().find(|(name, _)| *name == &rest[..unit]).ok_or_else(wrong)?.1;
            rest = &rest[unit..];
            total = number.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        }
        Ok(Self(total))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_print_and_parse_round_trip() {
        for text in ["30s", "1h30m", "250ms", "2d3h", "1m1s1ms", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "5", "s", "1x", "-1s", "1.5h", "99999999999999999999s", "999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_never_wraps() {
        assert_eq!(Time(5).since(Time(9)), Span::ZERO);
        assert_eq!(Time(u64::MAX - 1) + Span(9), Time::MAX);
    }

    #[test]
    fn spans_are_read_in_any_order_of_units_and_shown_in_one() {
        for (text, shown) in [("90s", "1m30s"), ("30m1h", "1h30m"), ("1000ms", "1s"), (" 5s ", "5s"), ("0h", "0s")] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
        }
        assert_eq!(serde_json::to_string(&Span::secs(90)).unwrap(), "\"1m30s\"");
        assert_eq!(serde_json::from_str::<Span>("\"1h\"").unwrap(), Span::secs(3600));
        assert!(serde_json::from_str::<Span>("30").is_err(), "a number without its unit");
    }

    #[test]
    fn spans_never_wrap() {
        let longest = Span(u64::MAX);
        assert_eq!(longest.plus(Span(1)), longest);
        assert_eq!(longest.times(2), longest);
        assert_eq!(Span::secs(u64::MAX), longest);
        assert_eq!(Span(1).minus(Span(2)), Span::ZERO);
        assert_eq!(Span(7).divided(0), Span(7));
        assert_eq!(Span(7).divided(2), Span(3));
        assert_eq!(Span(1999).as_secs(), 1);
        assert_eq!(Time(9).until(Time(5)), Span::ZERO);
        assert_eq!(Time(5).until(Time(9)), Span(4));
    }

    proptest! {
        #[test]
        fn every_span_survives_its_text(millis: u64) {
            prop_assert_eq!(Span(millis).to_string().parse::<Span>(), Ok(Span(millis)));
        }

        #[test]
        fn any_text_is_a_span_or_an_error(text in "[0-9dhms. é-]{0,30}") {
            let _ = text.parse::<Span>();
        }
    }
}
