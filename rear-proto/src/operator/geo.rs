//! A place on earth, as operators write it: latitude and longitude with at most four decimals.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Ten-thousandths of a degree: about eleven metres.
const SCALE: i64 = 10_000;

/// A latitude and a longitude, in ten-thousandths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Geo {
    latitude: i32,
    longitude: i32,
}

/// A text that is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseGeoError {
    /// It is not two numbers with a comma between them.
    #[error("invalid geo location '{0}': it is latitude,longitude, such as 45.0703,7.6869")]
    Format(String),
    /// The first is no number.
    #[error("invalid latitude '{0}': it is a decimal number")]
    Latitude(String),
    /// The second is no number.
    #[error("invalid longitude '{0}': it is a decimal number")]
    Longitude(String),
    /// The first is over 90, either way.
    #[error("latitude out of bounds: '{0}' is not between -90 and 90")]
    LatitudeBounds(String),
    /// The second is over 180, either way.
    #[error("longitude out of bounds: '{0}' is not between -180 and 180")]
    LongitudeBounds(String),
}

/// Reads a decimal number, rounded to the fourth decimal. `None` where it is none.
fn ten_thousandths(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    if !are_digits(whole) || !are_digits(part) || whole.len() + part.len() == 0 || whole.len() > 9 {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept: String = part.chars().chain("0000".chars()).take(4).collect();
    let (value, rest) = (whole * SCALE + kept.parse::<i64>().ok()?, part.as_bytes().get(4..).unwrap_or_default());
    let is_bound = value == 90 * SCALE || value == 180 * SCALE;
    let is_up = match rest.first() {
        // Just beyond a bound is beyond it.
        Some(_) if is_bound => rest.iter().any(|digit| *digit != b'0'),
        Some(digit) => *digit >= b'5',
        None => false,
    };
    let value = value + i64::from(is_up);
    Some(if negative { -value } else { value })
}

impl std::str::FromStr for Geo {
    type Err = ParseGeoError;

    fn from_str(text: &str) -> Result<Self, ParseGeoError> {
        let cut = |text: &str| text.chars().take(80).collect::<String>();
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let [latitude, longitude] = parts.as_slice() else { return Err(ParseGeoError::Format(cut(text))) };
        let north = ten_thousandths(latitude).ok_or_else(|| ParseGeoError::Latitude(cut(latitude)))?;
        let east = ten_thousandths(longitude).ok_or_else(|| ParseGeoError::Longitude(cut(longitude)))?;
        if north.abs() > 90 * SCALE {
            return Err(ParseGeoError::LatitudeBounds(cut(latitude)));
        }
        if east.abs() > 180 * SCALE {
            return Err(ParseGeoError::LongitudeBounds(cut(longitude)));
        }
        // Both are within a few millions.
        Ok(Self { latitude: north as i32, longitude: east as i32 })
    }
}

impl fmt::Display for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        degrees(f, self.latitude)?;
        f.write_str(",")?;
        degrees(f, self.longitude)
    }
}

fn degrees(f: &mut fmt::Formatter<'_>, value: i32) -> fmt::Result {
    let value = i64::from(value);
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.abs());
    write!(f, "{sign}{}", value / SCALE)?;
    match value % SCALE {
        0 => Ok(()),
        part => write!(f, ".{}", format!("{part:04}").trim_end_matches('0')),
    }
}

impl Serialize for Geo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Geo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_written_with_four_decimals_at_most() {
        let table = [
            ("1.54234,-2.123445", "1.5423,-2.1234"),
            ("0.000111111,-0.0001111111", "0.0001,-0.0001"),
            ("90,-180", "90,-180"),
            ("-89.199199,179.1991999", "-89.1992,179.1992"),
            ("89.99996,179.99995", "90,180"),
            ("1.542,  -2.1234", "1.542,-2.1234"),
            (".5423, 2.123", "0.5423,2.123"),
            ("+45.50, 7", "45.5,7"),
            ("-0,0.00", "0,0"),
        ];
        for (written, shown) in table {
            assert_eq!(written.parse::<Geo>().unwrap().to_string(), shown, "{written}");
        }
    }

    #[test]
    fn what_is_no_place_says_why() {
        let table = [
            ("1.5423  -2.1234", "invalid geo location"),
            ("1,2,3", "invalid geo location"),
            ("", "invalid geo location"),
            ("1.5a, -.1234", "invalid latitude"),
            (",1", "invalid latitude"),
            (".5423, 2.123a", "invalid longitude"),
            ("92.1, 2.123", "latitude out of bounds"),
            ("90.00001,0", "latitude out of bounds"),
            ("-1.4433223,183.1", "longitude out of bounds"),
            ("1e1,2", "invalid latitude"),
            ("9999999999,2", "invalid latitude"),
        ];
        for (text, why) in table {
            let error = text.parse::<Geo>().unwrap_err().to_string();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(latitude in -900_000..=900_000_i32, longitude in -1_800_000..=1_800_000_i32) {
            let geo = Geo { latitude, longitude };
            prop_assert_eq!(geo.to_string().parse::<Geo>().unwrap(), geo);
        }

        #[test]
        fn any_text_is_a_place_or_an_error(text in ".{0,40}") {
            let _ = text.parse::<Geo>();
        }
    }
}
