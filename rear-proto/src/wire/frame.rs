//! How large a body may be. The frame around it is the transport's, which enforces these before it allocates.

/// The largest body of a request: an order with its certificates is about 1 KiB, so this is ample.
pub const MAX_REQUEST: u32 = 256 << 10;
/// The largest body of an answer: a LIST answer of the largest `limit` fits.
pub const MAX_ANSWER: u32 = 1 << 20;
