//! Why a stream between the two ends of a contract came to nothing.

use std::io;

use rear_proto::{Code, Refusal, wire::codec::DecodeError};

/// Why a stream came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The contract is over, or was never known.
    #[error("the contract has no virtual router here, or none that this peer may use")]
    NoRouter,
    /// There is no way to the far end at the moment.
    #[error("{0}")]
    Unreachable(String),
    /// The far end closed the stream before it had said anything.
    #[error("the far end closed the stream without a word: it does not know this contract (yet), or has too many open")]
    Silent(#[source] io::Error),
    /// What came is no stream of ours.
    #[error("the stream does not begin as a tunnel's does")]
    Strange,
    /// The stream is of a version that is not spoken here.
    #[error("the stream is of version {0}, which is not spoken here")]
    Version(u16),
    /// The other side has not got the key that the contract names.
    #[error("the other end could not prove the contract's key")]
    Unproven,
    /// A message is longer than is allowed.
    #[error("a message of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its length.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A message is not what belongs there.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The other end said something else than belongs there.
    #[error("the other end said something else than belongs there")]
    Unexpected,
    /// As many streams are open as may be.
    #[error("the contract has as many streams open as it may have")]
    Busy,
    /// The stream broke, was cut short, or was tampered with.
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The far end, or this one, says why not.
    #[error("{0}")]
    Refused(Refusal),
}

impl From<tokio::time::error::Elapsed> for Failure {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Timeout
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Refused(refusal) => return refusal.clone(),
            Failure::NoRouter => Code::Closed,
            Failure::Unreachable(_) | Failure::Silent(_) | Failure::Unproven => Code::Unavailable,
            Failure::Version(_) => Code::UnsupportedVersion,
            Failure::TooLarge { .. } => Code::TooLarge,
            Failure::Strange | Failure::Malformed(_) | Failure::Unexpected => Code::Malformed,
            Failure::Busy => Code::Overloaded,
            // It may have been acted upon: the same as no answer in time.
            Failure::Broken(_) | Failure::Timeout => Code::Timeout,
        };
        Self::new(code, failure.to_string())
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(error) => error,
            other => Self::new(io::ErrorKind::ConnectionRefused, other.to_string()),
        }
    }
}
