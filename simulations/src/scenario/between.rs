//! Ranges from which something is drawn, written `5ms..20ms`, or `5ms` for just that.

use std::{fmt::Display, str::FromStr};

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
pub trait Drawn: Copy {
    /// Returns one from the least to the most.
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self;
}

impl Drawn for u64 {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        least.saturating_add(rng.below(most.saturating_sub(least).saturating_add(1)))
    }
}

impl Drawn for u32 {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        Self::try_from(u64::between(least.into(), most.into(), rng)).unwrap_or(most)
    }
}

impl Drawn for Span {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        Self(u64::between(least.0, most.0, rng))
    }
}

/// In whole thousandths: millicores, and bytes where there are many of them.
impl Drawn for Quantity {
    fn between(least: Self, most: Self, rng: &mut Rng) -> Self {
        Self::millis(u64::between(least.to_millis(), most.to_millis(), rng))
    }
}

impl<T: Drawn> Between<T> {
    /// Draws one.
    pub fn draw(&self, rng: &mut Rng) -> T {
        T::between(self.least, self.most, rng)
    }
}

impl<'de, T> Deserialize<'de> for Between<T>
where
    T: FromStr<Err: Display> + PartialOrd + Copy,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (least, most) = text.split_once("..").unwrap_or((&text, &text));
        let read = |text: &str| text.trim().parse::<T>().map_err(de::Error::custom);
        let (least, most) = (read(least)?, read(most)?);
        if least > most {
            return Err(de::Error::custom(format!("'{text}': the least comes first")));
        }
        Ok(Self { least, most })
    }
}
