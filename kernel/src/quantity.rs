//! Kubernetes quantities, parsed, added, compared and printed exactly.
//!
//! A quantity is a whole number of nano-units, at least zero and at most 2⁶³ − 1 units, which is the range that
//! Kubernetes itself keeps exactly; it remembers the family of suffixes it was written in, and prints in the
//! canonical form of that family (`1500m`, `3735836Ki`, `1e3`), as `resource.Quantity` in apimachinery does.
//!
//! It differs where that one changes a value in silence: what is finer than a nano-unit (there rounded up) or over
//! the range (there cut off, for binary suffixes) is refused, and so is what is negative.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nano-units in a unit.
const NANO: u128 = 1_000_000_000;
/// The largest quantity: 2⁶³ − 1 units.
const MAX: u128 = (i64::MAX as u128) * NANO;

/// An exact amount of a resource.
#[derive(Clone, Copy, Default)]
pub struct Quantity {
    nanos: u128,
    family: Family,
}

/// The family of suffixes in which a quantity prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Family {
    /// `n`, `u`, `m`, none, `k` … `E`.
    #[default]
    Decimal,
    /// `Ki` … `Ei`.
    Binary,
    /// `e3`, `e6`, `e-3`.
    Exponent,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, family: Family::Decimal };

    /// Makes a quantity of whole units, or the largest there is.
    pub const fn units(units: u64) -> Self {
        Self { nanos: clamp(units as u128 * NANO), family: Family::Decimal }
    }

    /// Makes a quantity of thousandths, such as millicores, or the largest there is.
    pub const fn millis(millis: u64) -> Self {
        Self { nanos: clamp(millis as u128 * (NANO / 1000)), family: Family::Decimal }
    }

    /// Makes a quantity of bytes, printed with binary suffixes, or the largest there is.
    pub const fn bytes(bytes: u64) -> Self {
        Self { nanos: clamp(bytes as u128 * NANO), family: Family::Binary }
    }

    /// Makes a quantity of nano-units, or `None` over the largest there is.
    pub const fn from_nanos(nanos: u128) -> Option<Self> {
        if nanos > MAX { None } else { Some(Self { nanos, family: Family::Decimal }) }
    }

    /// Returns the nano-units.
    pub const fn nanos(self) -> u128 {
        self.nanos
    }

    /// Says whether this is nothing.
    pub const fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Returns whole units, rounded down.
    pub const fn to_units(self) -> u64 {
        // At most 2⁶³ − 1 by construction.
        (self.nanos / NANO) as u64
    }

    /// Returns thousandths, rounded down, at most what fits 64 bits.
    pub const fn to_millis(self) -> u64 {
        let millis = self.nanos / (NANO / 1000);
        if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 }
    }

    /// Returns the sum in this quantity's family, or `None` where it is too large.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        // Both are at most MAX, so the sum can't wrap.
        let nanos = self.nanos + other.nanos;
        if nanos > MAX { None } else { Some(Self { nanos, family: self.wider(other) }) }
    }

    /// Returns the difference in this quantity's family, or `None` where `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.nanos.checked_sub(other.nanos) {
            Some(nanos) => Some(Self { nanos, family: self.family }),
            None => None,
        }
    }

    /// Returns this quantity `times` over, or `None` where it is too large.
    pub const fn checked_mul(self, times: u64) -> Option<Self> {
        match self.nanos.checked_mul(times as u128) {
            Some(nanos) if nanos <= MAX => Some(Self { nanos, family: self.family }),
            _ => None,
        }
    }

    /// Zero has no family worth keeping: a sum that starts at zero takes the other's.
    const fn wider(self, other: Self) -> Family {
        if self.nanos == 0 { other.family } else { self.family }
    }
}

const fn clamp(nanos: u128) -> u128 {
    if nanos > MAX { MAX } else { nanos }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl hash::Hash for Quantity {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a quantity: {why}")]
pub struct ParseQuantityError {
    text: String,
    why: &'static str,
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        parse(text).map_err(|why| ParseQuantityError { text: text.chars().take(64).collect(), why })
    }
}

const FORM: &str = "write a number with an optional suffix, like 500m, 2, 1.5, 64Mi, 10G or 1e3";
const TOO_LARGE: &str = "it is larger than 2^63-1";
const TOO_FINE: &str = "it is finer than a billionth (1n)";

fn parse(text: &str) -> Result<Quantity, &'static str> {
    if text.starts_with('-') {
        return Err("it is negative");
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(FORM);
    }
    let (factor, family) = scale(suffix)?;
    // The number is digits × 10^-places: multiply by the factor in nano-units, then divide exactly.
    let fraction = fraction.trim_end_matches('0');
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Quantity { nanos: 0, family });
    }
    // A quantity has at most 19 digits before the point and 9 behind it, whatever its suffix.
    if digits.len() > 38 {
        return Err(if fraction.len() > 28 { TOO_FINE } else { TOO_LARGE });
    }
    let mantissa: u128 = digits.parse().map_err(|_| TOO_LARGE)?;
    let places = u32::try_from(fraction.len()).map_err(|_| TOO_FINE)?;
    let nanos = exact(mantissa, factor, places)?;
    if nanos > MAX {
        return Err(TOO_LARGE);
    }
    Ok(Quantity { nanos, family })
}

/// What one unit of a suffix is worth.
enum Factor {
    /// Ten to this power, in nano-units.
    Ten(i32),
    /// Two to this power, in units.
    Two(u32),
}

/// Returns mantissa × factor × 10^-places in nano-units.
fn exact(mantissa: u128, factor: Factor, places: u32) -> Result<u128, &'static str> {
    match factor {
        Factor::Ten(power) => {
            let power = power - places as i32;
            let scale = 10u128.checked_pow(power.unsigned_abs());
            if power >= 0 {
                scale.and_then(|scale| mantissa.checked_mul(scale)).ok_or(TOO_LARGE)
            } else {
                match scale {
                    Some(scale) if mantissa.is_multiple_of(scale) => Ok(mantissa / scale),
                    _ => Err(TOO_FINE),
                }
            }
        }
        Factor::Two(power) => {
            // 2^p × 10^9 / 10^places: cancel the tens first, so that the product stays small.
            let (mut mantissa, mut tens) = (mantissa, 9 - places as i32);
            let mut twos = power;
            while tens < 0 && twos > 0 && mantissa.is_multiple_of(5) {
                mantissa /= 5;
                twos -= 1;
                tens += 1;
            }
            let value = mantissa.checked_mul(1u128 << twos).ok_or(TOO_LARGE)?;
            exact(value, Factor::Ten(tens), 0)
        }
    }
}

fn scale(suffix: &str) -> Result<(Factor, Family), &'static str> {
    let decimal = |power: i32| Ok((Factor::Ten(9 + power), Family::Decimal));
    let binary = |power: u32| Ok((Factor::Two(power), Family::Binary));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let power = suffix.strip_prefix(['e', 'E']).ok_or(FORM)?;
            // Past ±40 nothing but zero is in range; it also keeps the sum below from wrapping.
            match power.parse::<i32>() {
                Ok(power) if (-40..=40).contains(&power) => Ok((Factor::Ten(9 + power), Family::Exponent)),
                Ok(power) if power > 40 => Err(TOO_LARGE),
                Ok(_) => Err(TOO_FINE),
                Err(_) => Err(FORM),
            }
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let whole = self.nanos.is_multiple_of(NANO);
        match self.family {
            // Small or fractional amounts read better, and stay exact, in decimal.
            Family::Binary if whole && self.nanos >= 1024 * NANO => {
                let (mut number, mut step) = (self.nanos / NANO, 0);
                while step < 6 && number.is_multiple_of(1024) {
                    (number, step) = (number / 1024, step + 1);
                }
                write!(f, "{number}{}", BINARY[step])
            }
            Family::Binary | Family::Decimal | Family::Exponent => {
                if self.nanos == 0 {
                    return f.write_str("0");
                }
                let (mut number, mut step) = (self.nanos, 0);
                while step < 9 && number.is_multiple_of(1000) {
                    (number, step) = (number / 1000, step + 1);
                }
                match self.family {
                    Family::Exponent if step != 3 => write!(f, "{number}e{}", 3 * (step as i32) - 9),
                    Family::Exponent | Family::Decimal | Family::Binary => {
                        write!(f, "{number}{}", DECIMAL[step])
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({self})")
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.nanos, self.family as u8).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    /// Reads a text or a number from people, and exact nano-units from the wire.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(TextOrNumber);
        }
        let (nanos, family) = <(u128, u8)>::deserialize(deserializer)?;
        let family = match family {
            0 => Family::Decimal,
            1 => Family::Binary,
            2 => Family::Exponent,
            _ => return Err(de::Error::custom("unknown family of quantity")),
        };
        if nanos > MAX {
            return Err(de::Error::custom(TOO_LARGE));
        }
        Ok(Self { nanos, family })
    }
}

struct TextOrNumber;

impl de::Visitor<'_> for TextOrNumber {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as 500m, 2 or 64Mi")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
        // A float prints as the shortest text that reads back the same: what the person wrote.
        number.to_string().parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests;
