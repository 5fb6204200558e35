//! The frame around a body: magic, version, length. A reader knows the length before it allocates.

/// What every frame begins with, so that a stray connection is told apart at once.
pub const MAGIC: [u8; 4] = *b"TMBL";
/// The version of the frame and of the bodies in it.
pub const VERSION: u16 = 1;
/// The bytes of a frame's head: magic, version (2, little-endian), length (4, little-endian).
pub const HEAD: usize = 10;
/// The largest body of a request: an order with its certificates is about 1 KiB, so this is ample.
pub const MAX_REQUEST: u32 = 256 << 10;
/// The largest body of an answer: a LIST answer of the largest `limit` fits.
pub const MAX_ANSWER: u32 = 1 << 20;

/// A head that can't be read on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// These are not our frames.
    #[error("the frame does not begin with the protocol's magic")]
    Magic,
    /// The version is not spoken here.
    #[error("the frame is of version {0}, which is not spoken here")]
    Version(u16),
    /// The body is longer than is allowed.
    #[error("the frame's body of {length} bytes is over the limit of {limit}")]
    TooLarge {
        /// What the head says.
        length: u32,
        /// What is allowed.
        limit: u32,
    },
    /// The frame ends too early or goes on too long.
    #[error("the frame's length does not fit its body")]
    Length,
}

/// Returns the head for a body of this length.
///
/// # Errors
/// When the body is over `limit`.
pub fn head(length: usize, limit: u32) -> Result<[u8; HEAD], FrameError> {
    let too_large = FrameError::TooLarge { length: u32::try_from(length).unwrap_or(u32::MAX), limit };
    let length = u32::try_from(length).map_err(|_| too_large)?;
    if length > limit {
        return Err(too_large);
    }
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&MAGIC);
    head[4..6].copy_from_slice(&VERSION.to_le_bytes());
    head[6..].copy_from_slice(&length.to_le_bytes());
    Ok(head)
}

/// Reads a head and returns the length of the body that follows.
///
/// # Errors
/// When it is no head of ours, or the body is over `limit`.
pub fn read_head(head: &[u8; HEAD], limit: u32) -> Result<u32, FrameError> {
    let [m0, m1, m2, m3, v0, v1, l0, l1, l2, l3] = *head;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(FrameError::Magic);
    }
    let version = u16::from_le_bytes([v0, v1]);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if length > limit { Err(FrameError::TooLarge { length, limit }) } else { Ok(length) }
}

/// Returns a whole frame with this body.
///
/// # Errors
/// When the body is over `limit`.
pub fn encode_frame(body: &[u8], limit: u32) -> Result<Vec<u8>, FrameError> {
    Ok([&head(body.len(), limit)?, body].concat())
}

/// Returns the body of a whole frame.
///
/// # Errors
/// When it does not begin with a head of ours, the body is over `limit`, or it ends too early or goes on too long.
pub fn decode_frame(frame: &[u8], limit: u32) -> Result<&[u8], FrameError> {
    let (head, body) = frame.split_first_chunk::<HEAD>().ok_or(FrameError::Length)?;
    let length = read_head(head, limit)?;
    if usize::try_from(length) == Ok(body.len()) { Ok(body) } else { Err(FrameError::Length) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_its_head_and_its_body() {
        let frame = encode_frame(b"hello", 5).unwrap();
        assert_eq!(frame, b"TMBL\x01\x00\x05\x00\x00\x00hello");
        assert_eq!(decode_frame(&frame, 5).unwrap(), b"hello");
        assert_eq!(decode_frame(&encode_frame(b"", 0).unwrap(), 0).unwrap(), b"");
    }

    #[test]
    fn what_is_no_frame_is_refused_with_the_reason() {
        let frame = encode_frame(b"hello", 5).unwrap();
        let check = |at: usize, byte: u8, error| {
            let mut frame = frame.clone();
            frame[at] = byte;
            assert_eq!(decode_frame(&frame, 5), Err(error));
        };
        check(0, b'X', FrameError::Magic);
        check(3, b'l', FrameError::Magic);
        check(4, 2, FrameError::Version(2));
        check(5, 1, FrameError::Version(257));
        check(6, 4, FrameError::Length);
        check(6, 6, FrameError::TooLarge { length: 6, limit: 5 });
        check(9, 0xff, FrameError::TooLarge { length: 0xff00_0005, limit: 5 });
        assert_eq!(decode_frame(&frame, 4), Err(FrameError::TooLarge { length: 5, limit: 4 }));
        assert_eq!(decode_frame(&frame[..14], 5), Err(FrameError::Length));
        assert_eq!(decode_frame(&frame[..9], 5), Err(FrameError::Length));
        assert_eq!(decode_frame(&[&frame[..], b"!"].concat(), 5), Err(FrameError::Length));
        assert_eq!(decode_frame(b"", 5), Err(FrameError::Length));
        assert_eq!(encode_frame(b"hello!", 5), Err(FrameError::TooLarge { length: 6, limit: 5 }));
    }

    proptest! {
        #[test]
        fn a_body_survives_its_frame(body: Vec<u8>) {
            let frame = encode_frame(&body, MAX_ANSWER).unwrap();
            prop_assert_eq!(decode_frame(&frame, MAX_ANSWER).unwrap(), &body[..]);
        }

        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes: Vec<u8>, limit: u32) {
            let _ = decode_frame(&bytes, limit);
            let _ = decode_frame(&[&MAGIC[..], &bytes].concat(), limit);
        }
    }
}
