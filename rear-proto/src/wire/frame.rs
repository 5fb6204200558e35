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
