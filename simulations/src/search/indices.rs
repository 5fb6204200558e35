//! Places in a list, written short: `0-12,40`, or `none`.

use std::{fmt, str::FromStr};

/// The most places that a text may stand for.
const MOST: usize = 10_000_000;

/// Places in a list, in order, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Indices(Vec<u32>);

/// A text that names no places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no list of places: write it like 0-12,40, or none")]
pub struct ParseIndicesError(String);

impl Indices {
    /// Makes them of these, in any order.
    pub fn new(mut places: Vec<u32>) -> Self {
        places.sort_unstable();
        places.dedup();
        Self(places)
    }

    /// Returns them.
    pub fn into_inner(self) -> Vec<u32> {
        self.0
    }
}

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, run) in self.0.chunk_by(|a, b| a.checked_add(1) == Some(*b)).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

impl FromStr for Indices {
    type Err = ParseIndicesError;

    fn from_str(text: &str) -> Result<Self, ParseIndicesError> {
        let wrong = || ParseIndicesError(text.to_owned());
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let mut places: Vec<u32> = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let read = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
            let (first, last) = (read(first)?, read(last)?);
            let more = last.checked_sub(first).ok_or_else(wrong)?;
            if places.len().saturating_add(usize::try_from(more).unwrap_or(MOST)) >= MOST {
                return Err(wrong());
            }
            places.extend(first..=last);
        }
        Ok(Self::new(places))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn they_are_written_short() {
        for (places, text) in [
            (vec![], "none"),
            (vec![3], "3"),
            (vec![7, 3], "3,7"),
            (vec![0, 1, 2, 3, 40], "0-3,40"),
            (vec![1, 2, 4, 5, u32::MAX - 1, u32::MAX], "1-2,4-5,4294967294-4294967295"),
        ] {
            assert_eq!(Indices::new(places).to_string(), text);
        }
    }

    #[test]
    fn what_names_no_places_is_refused() {
        for text in ["", ",", "1,", "a", "3-1", "-1", "1--2", "1-2-3", "0-4294967295", "99999999999"] {
            assert!(text.parse::<Indices>().is_err(), "{text}");
        }
        assert_eq!(" 1 , 3-4".parse::<Indices>().unwrap(), Indices::new(vec![1, 3, 4]));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(places in proptest::collection::vec(0..200u32, 0..60)) {
            let indices = Indices::new(places);
            prop_assert_eq!(indices.to_string().parse::<Indices>().unwrap(), indices);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Indices>();
        }
    }
}
