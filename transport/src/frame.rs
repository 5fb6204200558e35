//! What stands on an ask's stream: one frame each way, or in place of the answer one marker.
//!
//! ```text
//! frame    "TMBL"  version: u16  length: u32  body        (numbers big-endian)
//! marker   "BUSY" | "NONE" | "HUGE"  number: u32
//! ```
//! The length is held against the limit before anything is allocated, and memory grows with what arrives.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use kernel::Span;

const MAGIC: [u8; 4] = *b"TMBL";
const VERSION: u16 = 1;

/// A longer body is not believed, however long it says it is, until it arrives.
const BELIEVED: usize = 64 * 1024;

/// What a frame could not be read for.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The bytes do not start as a frame does.
    #[error("what arrived is not a frame")]
    NotAFrame,
    /// The frame is of a version that this program does not know.
    #[error("what arrived is a frame of version {0}, and this program reads version 1")]
    Version(u16),
    /// The body is longer than this node takes.
    #[error("a body of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the body.
        size: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// The stream ended or broke before the frame did.
    #[error("the stream ended inside a frame")]
    Broken(#[source] io::Error),
}

/// What the far end says instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// It has too much to do; a new try is welcome after this time.
    Busy(Span),
    /// It took the request, and will not answer.
    NoAnswer,
    /// The request is over its limit.
    TooLarge { limit: usize },
}

/// What stands at the start of an answer's stream.
#[derive(Debug)]
pub(crate) enum Reply {
    Frame(Vec<u8>),
    Marker(Marker),
}

/// Writes one frame and flushes it.
pub(crate) async fn write(io: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut head = [0; 10];
    head[..4].copy_from_slice(&MAGIC);
    head[4..6].copy_from_slice(&VERSION.to_be_bytes());
    head[6..].copy_from_slice(&length.to_be_bytes());
    // In one piece: a small frame is then one packet.
    if body.len() <= BELIEVED {
        io.write_all(&[&head, body].concat()).await?;
    } else {
        io.write_all(&head).await?;
        io.write_all(body).await?;
    }
    io.flush().await
}

/// Writes one marker and flushes it.
pub(crate) async fn write_marker(io: &mut (impl AsyncWrite + Unpin), marker: Marker) -> io::Result<()> {
    let (magic, number) = match marker {
        Marker::Busy(retry) => (b"BUSY", u32::try_from(retry.0).unwrap_or(u32::MAX)),
        Marker::NoAnswer => (b"NONE", 0),
        Marker::TooLarge { limit } => (b"HUGE", u32::try_from(limit).unwrap_or(u32::MAX)),
    };
    io.write_all(&[&magic[..], &number.to_be_bytes()].concat()).await?;
    io.flush().await
}

/// Reads one frame with a body of at most `limit` bytes.
pub(crate) async fn read(io: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Vec<u8>, FrameError> {
    match read_reply(io, limit).await? {
        Reply::Frame(body) => Ok(body),
        Reply::Marker(_) => Err(FrameError::NotAFrame),
    }
}

/// Reads one frame with a body of at most `limit` bytes, or the marker in its place.
pub(crate) async fn read_reply(io: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Reply, FrameError> {
    let magic: [u8; 4] = read_array(io).await?;
    match &magic {
        &MAGIC => {}
        b"BUSY" => return Ok(Reply::Marker(Marker::Busy(Span::millis(u64::from(read_number(io).await?))))),
        b"NONE" => return read_number(io).await.map(|_| Reply::Marker(Marker::NoAnswer)),
        b"HUGE" => {
            let limit = usize::try_from(read_number(io).await?).unwrap_or(usize::MAX);
            return Ok(Reply::Marker(Marker::TooLarge { limit }));
        }
        _ => return Err(FrameError::NotAFrame),
    }
    let version = u16::from_be_bytes(read_array(io).await?);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let size = usize::try_from(read_number(io).await?).unwrap_or(usize::MAX);
    if size > limit {
        return Err(FrameError::TooLarge { size, limit });
    }
    let mut body = Vec::with_capacity(size.min(BELIEVED));
    io.take(size as u64).read_to_end(&mut body).await.map_err(FrameError::Broken)?;
    if body.len() < size {
        return Err(FrameError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Reply::Frame(body))
}

async fn read_number(io: &mut (impl AsyncRead + Unpin)) -> Result<u32, FrameError> {
    read_array(io).await.map(u32::from_be_bytes)
}

async fn read_array<const N: usize>(io: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], FrameError> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes).await.map_err(FrameError::Broken)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        block_on(write(&mut Cursor::new(&mut bytes), body)).unwrap();
        bytes
    }

    #[test]
    fn a_frame_is_these_bytes() {
        assert_eq!(framed(b"hi"), b"TMBL\x00\x01\x00\x00\x00\x02hi");
    }

    #[test]
    fn a_body_over_the_limit_is_refused_by_its_head_alone() {
        let head = b"TMBL\x00\x01\xff\xff\xff\xff";
        let read = block_on(read(&mut Cursor::new(head), 1024)).unwrap_err();
        assert!(matches!(read, FrameError::TooLarge { size: 0xffff_ffff, limit: 1024 }), "{read}");
    }

    #[test]
    fn another_version_is_named() {
        let read = block_on(read(&mut Cursor::new(b"TMBL\x00\x07\x00\x00\x00\x00"), 9)).unwrap_err();
        assert!(matches!(read, FrameError::Version(7)), "{read}");
    }

    #[test]
    fn markers_round_trip() {
        for marker in [Marker::Busy(Span::millis(250)), Marker::NoAnswer, Marker::TooLarge { limit: 9 }] {
            let mut bytes = Vec::new();
            block_on(write_marker(&mut Cursor::new(&mut bytes), marker)).unwrap();
            let reply = block_on(read_reply(&mut Cursor::new(&bytes), 0)).unwrap();
            assert!(matches!(reply, Reply::Marker(read) if read == marker), "{reply:?}");
            assert!(block_on(read(&mut Cursor::new(&bytes), 0)).is_err(), "a request is never a marker");
        }
    }

    proptest! {
        #[test]
        fn any_body_within_the_limit_round_trips(body in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(block_on(read(&mut Cursor::new(framed(&body)), 2000)).unwrap(), body);
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = block_on(read_reply(&mut Cursor::new(bytes), 100));
        }

        #[test]
        fn a_spoilt_frame_is_a_frame_or_an_error(
            body in prop::collection::vec(any::<u8>(), 0..64),
            at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        ) {
            let mut bytes = framed(&body);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Ok(read) = block_on(read(&mut Cursor::new(bytes), 64)) {
                prop_assert!(read.len() <= 64);
            }
        }
    }
}
