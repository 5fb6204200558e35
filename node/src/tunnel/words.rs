//! What is said on a stream once it is sealed, before it carries anything: what it is for, and whether that may be.
//!
//! Each message is its length (`u32`, big-endian) and its body. The length is held against a limit before anything is
//! allocated, and memory grows with what arrives.

use kernel::Digest;
use rear_proto::{Extensions, Refusal, wire::codec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::failure::Failure;

/// The longest opening, and the longest verdict: names and a sentence, with room for extensions.
pub(super) const MAX_WORDS: u32 = 16 << 10;
/// A longer message is not believed, however long it says it is, until it arrives.
const BELIEVED: usize = 64 << 10;

/// The dialler's first message: what the stream is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opening {
    /// What for.
    pub(super) purpose: Purpose,
    /// Room for what comes later.
    pub(super) extensions: Extensions,
}

/// What a stream is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// One question follows, and one answer to it.
    Fabric,
    /// After [`Verdict::Go`] a component's bytes follow, then another verdict.
    Module {
        /// SHA-256 of the bytes.
        digest: Digest,
        /// Their number.
        size: u64,
    },
    /// After [`Verdict::Go`] the bytes of a connection follow, both ways.
    Port {
        /// The replica's name.
        workload: String,
        /// The port's number.
        port: u16,
    },
}

impl From<Purpose> for Opening {
    fn from(purpose: Purpose) -> Self {
        Self { purpose, extensions: Extensions::new() }
    }
}

/// The door's answer to a component or a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The answer.
    pub(super) verdict: Verdict,
    /// Room for what comes later.
    pub(super) extensions: Extensions,
}

/// Whether it may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// Go on.
    Go,
    /// The component is here: kept, or there already.
    Done,
    /// It may not be.
    Refused(Refusal),
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, extensions: Extensions::new() }
    }
}

/// Writes one message; it is sent when the stream is flushed.
pub(super) async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &T,
    limit: u32,
) -> Result<(), Failure> {
    let body = codec::encode(value);
    let too_large = || Failure::TooLarge { size: body.len(), limit: limit as usize };
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= limit).ok_or_else(too_large)?;
    stream.write_all(&[&length.to_be_bytes(), body.as_slice()].concat()).await?;
    Ok(())
}

/// Reads one message.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), limit: u32) -> Result<T, Failure> {
    let length = stream.read_u32().await?;
    let size = length as usize;
    if length > limit {
        return Err(Failure::TooLarge { size, limit: limit as usize });
    }
    let mut body = Vec::with_capacity(size.min(BELIEVED));
    stream.take(u64::from(length)).read_to_end(&mut body).await?;
    if body.len() < size {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(codec::decode(&body)?)
}

/// Says whether it may be, at once.
pub(super) async fn answer(stream: &mut (impl AsyncWrite + Unpin), verdict: Verdict) -> Result<(), Failure> {
    write(stream, &Answer::from(verdict), MAX_WORDS).await?;
    Ok(stream.flush().await?)
}

/// Hears whether it may be; a refusal is a failure.
pub(super) async fn verdict(stream: &mut (impl AsyncRead + Unpin)) -> Result<Verdict, Failure> {
    let Answer { verdict, .. } = read(stream, MAX_WORDS).await?;
    match verdict {
        Verdict::Go | Verdict::Done => Ok(verdict),
        Verdict::Refused(refusal) => Err(Failure::Refused(refusal)),
    }
}
