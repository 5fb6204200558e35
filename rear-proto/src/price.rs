//! Money and prices, exact to a millionth of the currency, and what a partition costs.

use std::{fmt, str::FromStr};

use kernel::{Resource, Resources};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Millionths of a currency's unit in one unit.
const MICROS: u64 = 1_000_000;

/// An amount of money in millionths of its currency's unit; prints as a decimal (`0.1`, `2.5`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub u64);

/// An ISO 4217 currency code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The time that a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Period {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 30 days.
    Month,
}

/// What a whole flavour costs per period, and which resources decide a part's share of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The amount for the whole base.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// For which time.
    pub period: Period,
    /// The resources that are priced; a partition pays by its largest share of one of them.
    pub priced: Vec<Resource>,
}

/// An amount of money per period, as ceilings, quotes and selectors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The amount.
    pub amount: Money,
    /// In which currency.
    pub currency: Currency,
    /// For which time.
    pub period: Period,
}

/// What a relay puts on a price, in millionths of it; prints as per cent (`2.5%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Margin(pub u32);

impl Margin {
    /// Returns what a relay asks for what costs it this much: rounded up to a millionth, `None` where that is too large.
    pub fn on(self, inner: Money) -> Option<Money> {
        let asked = (u128::from(inner.0) * (u128::from(MICROS) + u128::from(self.0))).div_ceil(u128::from(MICROS));
        u64::try_from(asked).ok().map(Money)
    }

    /// Returns the most that it may cost a relay that is paid this much at most: rounded down, so that what it asks in
    /// turn is within that.
    pub fn off(self, outer: Money) -> Money {
        let most = u128::from(outer.0) * u128::from(MICROS) / (u128::from(MICROS) + u128::from(self.0));
        Money(u64::try_from(most).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A millionth of the price is a ten-thousandth of a per cent.
        write!(f, "{}%", Money(u64::from(self.0) * 100))
    }
}

impl FromStr for Margin {
    type Err = ParsePriceError;

    fn from_str(text: &str) -> Result<Self, ParsePriceError> {
        let wrong = || ParsePriceError::new(text, "a margin in per cent, such as 2.5%, exact to a ten-thousandth");
        let percent: Money = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
        if !percent.0.is_multiple_of(100) {
            return Err(wrong());
        }
        u32::try_from(percent.0 / 100).map(Self).map_err(|_| wrong())
    }
}

impl Serialize for Margin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Margin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            u32::deserialize(deserializer).map(Self)
        }
    }
}

impl Money {
    /// Returns this amount × `part` ÷ `whole`, rounded up to a millionth, or `None` where that is too large.
    fn share(self, part: u128, whole: u128) -> Option<Self> {
        // Long multiplication bit by bit: exact in 128 bits, because the remainder stays below `whole`, which
        // is a quantity and so far below 2^126.
        if whole == 0 || whole >= 1 << 126 || part >= 1 << 126 {
            return None;
        }
        let (mut quotient, mut remainder) = (0u128, 0u128);
        for bit in (0..u64::BITS).rev() {
            quotient = quotient.checked_mul(2)?;
            remainder *= 2;
            if self.0 >> bit & 1 == 1 {
                remainder += part;
            }
            quotient = quotient.checked_add(remainder / whole)?;
            remainder %= whole;
        }
        let rounded = if remainder == 0 { quotient } else { quotient.checked_add(1)? };
        u64::try_from(rounded).ok().map(Self)
    }

    /// Returns this amount raised by `percent`, and at least by a hundred-thousandth: the ceiling of an offer seen.
    pub fn with_tolerance(self, percent: u64) -> Self {
        let tolerance = (u128::from(self.0) * u128::from(percent)).div_ceil(100).max(10);
        Self(u64::try_from(u128::from(self.0) + tolerance).unwrap_or(u64::MAX))
    }
}

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
}

impl Period {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Minute, "min", "minute"),
        (Self::Hour, "h", "hour"),
        (Self::Day, "d", "day"),
        (Self::Month, "mo", "month"),
    ];

    /// Returns the name as it stands in JSON and in intents.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(period, ..)| *period == self).map_or("hour", |(_, _, name)| name)
    }

    /// Returns the sign as it stands behind the slash of a rate (`h` in `0.10EUR/h`).
    pub fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(period, ..)| *period == self).map_or("h", |(_, sign, _)| sign)
    }

    /// Returns the length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        }
    }
}

impl Price {
    /// Returns what the partition costs per period: the price × the largest share of the base over the priced
    /// resources, rounded up to a millionth of the currency.
    ///
    /// A resource of which the base has none counts as no share. `None` where the amount is too large.
    pub fn of(&self, partition: &Resources, base: &Resources) -> Option<Rate> {
        let mut amount = Money(0);
        for &resource in &self.priced {
            let whole = base.of(resource).nanos();
            if whole > 0 {
                amount = amount.max(self.amount.share(partition.of(resource).nanos(), whole)?);
            }
        }
        Some(Rate { amount, currency: self.currency, period: self.period })
    }
}

impl Rate {
    /// Says whether this is within `ceiling`, or `None` where currencies differ and nothing can be said.
    ///
    /// Rates over different periods are compared exactly, per second.
    pub fn within(&self, ceiling: &Self) -> Option<bool> {
        if self.currency != ceiling.currency {
            return None;
        }
        let own = u128::from(self.amount.0) * u128::from(ceiling.period.seconds());
        let most = u128::from(ceiling.amount.0) * u128::from(self.period.seconds());
        Some(own <= most)
    }
}

/// A text that is no money, currency, period or rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}")]
pub struct ParsePriceError {
    text: String,
    what: &'static str,
}

impl ParsePriceError {
    fn new(text: &str, what: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), what }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, micros) = (self.0 / MICROS, self.0 % MICROS);
        if micros == 0 {
            return write!(f, "{units}");
        }
        let fraction = format!("{micros:06}");
        write!(f, "{units}.{}", fraction.trim_end_matches('0'))
    }
}

impl FromStr for Money {
    type Err = ParsePriceError;

    fn from_str(text: &str) -> Result<Self, ParsePriceError> {
        let wrong = || ParsePriceError::new(text, "an amount of money, such as 0.10, exact to a millionth");
        let (units, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fraction = fraction.trim_end_matches('0');
        if text.is_empty() || text == "." || !digits(units) || !digits(fraction) || fraction.len() > 6 {
            return Err(wrong());
        }
        let units: u64 = if units.is_empty() { 0 } else { units.parse().map_err(|_| wrong())? };
        let micros: u64 = format!("{fraction:0<6}").parse().map_err(|_| wrong())?;
        units.checked_mul(MICROS).and_then(|amount| amount.checked_add(micros)).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Money {
    /// Reads a text or a number from people, and millionths from the wire.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl de::Visitor<'_> for TextOrNumber {
            type Value = Money;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money such as 0.10")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Money, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Money, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Money, E> {
                number.to_string().parse().map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(TextOrNumber)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&letter| write!(f, "{}", char::from(letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl FromStr for Currency {
    type Err = ParsePriceError;

    fn from_str(text: &str) -> Result<Self, ParsePriceError> {
        match *text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(ParsePriceError::new(text, "a currency of three capital letters, such as EUR")),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            let letters = <[u8; 3]>::deserialize(deserializer)?;
            if letters.iter().all(u8::is_ascii_uppercase) {
                Ok(Self(letters))
            } else {
                Err(de::Error::custom("not a currency of three capital letters"))
            }
        }
    }
}

impl FromStr for Period {
    type Err = ParsePriceError;

    fn from_str(text: &str) -> Result<Self, ParsePriceError> {
        Self::ALL
            .iter()
            .find(|(_, sign, name)| *sign == text || *name == text)
            .map(|(period, ..)| *period)
            .ok_or_else(|| ParsePriceError::new(text, "a period: minute, hour, day or month"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", self.amount, self.currency, self.period.sign())
    }
}

impl FromStr for Rate {
    type Err = ParsePriceError;

    /// Parses `0.10EUR/h`.
    fn from_str(text: &str) -> Result<Self, ParsePriceError> {
        let wrong = || ParsePriceError::new(text, "a price, such as 0.10EUR/h");
        let (money, period) = text.split_once('/').ok_or_else(wrong)?;
        let letters = money.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (amount, currency) = money.split_at(letters);
        Ok(Self { amount: amount.parse()?, currency: currency.trim_start().parse()?, period: period.parse()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn euros(amount: &str) -> Price {
        Price {
            amount: amount.parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            period: Period::Hour,
            priced: vec![Resource::Cpu, Resource::Memory],
        }
    }

    fn of(cpu: &str, memory: &str) -> Resources {
        Resources { cpu: cpu.parse().unwrap(), memory: memory.parse().unwrap(), ..Resources::default() }
    }

    #[test]
    fn a_partition_pays_by_its_largest_share() {
        let base = of("4", "8Gi");
        assert_eq!(euros("0.80").of(&of("1", "1Gi"), &base).unwrap().to_string(), "0.2EUR/h");
        assert_eq!(euros("0.80").of(&of("1", "4Gi"), &base).unwrap().to_string(), "0.4EUR/h");
        assert_eq!(euros("0.80").of(&base, &base).unwrap().amount, Money(800_000));
    }

    #[test]
    fn prices_round_up_to_a_millionth() {
        assert_eq!(euros("1").of(&of("1", "0"), &of("3", "0")).unwrap().amount, Money(333_334));
        assert_eq!(euros("0.000001").of(&of("1m", "0"), &of("64", "0")).unwrap().amount, Money(1));
    }

    #[test]
    fn the_largest_amounts_stay_exact() {
        let all = of("9223372036854775807", "1");
        let price = Price { amount: Money(u64::MAX), ..euros("0") };
        assert_eq!(price.of(&all, &all).unwrap().amount, Money(u64::MAX));
    }

    #[test]
    fn rates_compare_over_periods_and_never_over_currencies() {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        assert_eq!(rate("1EUR/h").within(&rate("24EUR/d")), Some(true));
        assert_eq!(rate("1.000001EUR/h").within(&rate("24EUR/d")), Some(false));
        assert_eq!(rate("1EUR/h").within(&rate("2USD/h")), None);
    }

    #[test]
    fn money_prints_and_parses_round_trip() {
        for text in ["0", "0.1", "2.5", "0.000001", "18446744073709.551615"] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), text);
        }
        for text in ["", ".", "-1", "1e3", "0.0000001", "1,5", "99999999999999999999"] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }
}
