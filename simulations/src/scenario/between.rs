//! Ranges from which something is drawn, written `5ms..20ms`, or `5ms` for just that; numbers also without quotes.

use std::{fmt, marker::PhantomData};

use kernel::{Quantity, Rng, Span};
use serde::{Deserialize, Deserializer, de};

/// From the least to the most, both of them included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between<T> {
    /// The least.
    pub least: T,
    /// The most.
    pub most: T,
}

impl<T: Copy> Between<T> {
    /// Always the same.
    pub const fn just(value: T) -> Self {
        Self { least: value, most: value }
    }
}

/// What can be drawn.
pub trait Drawn: Copy + PartialOrd {
    /// Returns one from the least to the most.
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self;

    /// Reads one.
    ///
    /// # Errors
    /// Why the text is none.
    fn read(text: &str) -> Result<Self, String>;
}

impl Drawn for u64 {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        least.saturating_add(rng.below(most.saturating_sub(least).saturating_add(1)))
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("'{text}' is no whole number from 0 to {}", Self::MAX))
    }
}

impl Drawn for u32 {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        Self::try_from(u64::between(least.into(), most.into(), rng)).unwrap_or(most)
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("'{text}' is no whole number from 0 to {}", Self::MAX))
    }
}

impl Drawn for Span {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        Self(u64::between(least.0, most.0, rng))
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: kernel::ParseSpanError| error.to_string())
    }
}

/// In whole thousandths, such as millicores.
impl Drawn for Quantity {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        Self::millis(u64::between(least.to_millis(), most.to_millis(), rng))
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: kernel::ParseQuantityError| error.to_string())
    }
}

impl<T: Drawn> Between<T> {
    /// Draws one.
    pub fn draw(&self, rng: &mut Rng) -> T {
        T::between(self.least, self.most, rng)
    }

    fn read(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (T::read(least.trim())?, T::read(most.trim())?);
        if least > most { Err(format!("in '{text}' the least comes first")) } else { Ok(Self { least, most }) }
    }
}

impl<'de, T: Drawn> Deserialize<'de> for Between<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber(PhantomData))
    }
}

struct TextOrNumber<T>(PhantomData<T>);

impl<T: Drawn> de::Visitor<'_> for TextOrNumber<T> {
    type Value = Between<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or a range such as \"1..5\" or \"5ms..20ms\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Between<T>, E> {
        Between::read(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Between<T>, E> {
        Between::read(&number.to_string()).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Between<T>, E> {
        Between::read(&number.to_string()).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Between<T>, E> {
        // A float prints as the shortest text that reads back the same: what the person wrote.
        Between::read(&number.to_string()).map_err(E::custom)
    }
}
