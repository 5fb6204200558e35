//! stub
use super::{Filter, Selector};
use std::fmt;
/// x
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x")]
pub struct ParseSelectorError;
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self)
    }
}
impl std::str::FromStr for Selector {
    type Err = ParseSelectorError;
    fn from_str(_: &str) -> Result<Self, ParseSelectorError> {
        Err(ParseSelectorError)
    }
}
