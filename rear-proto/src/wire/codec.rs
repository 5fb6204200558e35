//! The body's encoding: bincode 2 with its standard configuration. The only file that names bincode.
//!
//! The encoding can't skip what it does not know: so types only grow at the end of their `extensions`, and
//! enum variants are only appended.

use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint},
    enc::write::{SizeWriter, Writer},
    error::EncodeError,
};
use serde::{Serialize, de::DeserializeOwned};

use super::frame::MAX_ANSWER;

/// The most bytes that one value may claim while it is decoded.
///
/// The decoder counts what values take in memory, which for a number that is small on the wire is up to 16 times
/// as much; so every value whose bytes fit the largest frame can be decoded, and a length that promises more than
/// that is refused before anything is allocated for it.
const DECODE_LIMIT: usize = 16 * MAX_ANSWER as usize;

const fn configuration() -> Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> {
    bincode::config::standard().with_limit::<DECODE_LIMIT>()
}

/// Bytes that are no value of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a valid {what}")]
pub struct DecodeError {
    /// The type that was wanted.
    pub what: &'static str,
}

/// Encodes a value.
///
/// # Panics
/// Never for the types of this project: only a type that can't be serialised at all would fail.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut growing = Growing(Vec::with_capacity(MOSTLY));
    #[allow(clippy::expect_used, reason = "in-memory encoding of our own plain types has no way to fail")]
    bincode::serde::encode_into_writer(value, &mut growing, configuration()).expect("own types encode");
    let Growing(mut bytes) = growing;
    // Much of it is kept.
    bytes.shrink_to_fit();
    bytes
}

/// Most values take no more bytes: room for them is taken at once, and not bit by bit.
const MOSTLY: usize = 1024;

/// Bytes that are written at their end.
struct Growing(Vec<u8>);

impl Writer for Growing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Returns how many bytes a value takes, without making them.
///
/// # Panics
/// Never for the types of this project, as [`encode`].
pub fn size<T: Serialize>(value: &T) -> usize {
    let mut writer = SizeWriter::default();
    #[allow(clippy::expect_used, reason = "in-memory encoding of our own plain types has no way to fail")]
    bincode::serde::encode_into_writer(value, &mut writer, configuration()).expect("own types encode");
    writer.bytes_written
}

/// Decodes a value, which must take up all of the bytes.
///
/// # Errors
/// When the bytes are no such value, or more than one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let error = || DecodeError { what: std::any::type_name::<T>().rsplit("::").next().unwrap_or("value") };
    let (value, used) = bincode::serde::decode_from_slice(bytes, configuration()).map_err(|_| error())?;
    if used == bytes.len() { Ok(value) } else { Err(error()) }
}
