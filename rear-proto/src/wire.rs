//! How values become bytes and bytes become values again, and how many bytes there may be.

pub mod codec;
pub mod frame;
