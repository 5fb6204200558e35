//! How values become bytes and bytes become values again: the body's codec, and the frame around it.

pub mod codec;
pub mod frame;
