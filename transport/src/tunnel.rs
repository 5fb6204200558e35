//! A raw stream between two nodes, with flow control end to end.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

/// The bytes of one `/tombolo/tunnel/1` stream, both ways.
///
/// What is written is sent when it is flushed, or when enough has come together. A writer waits when the reader at
/// the far end does not read: at most a few hundred KiB are under way over TCP, one MiB over QUIC. Shutting down
/// closes this side alone; dropping it before that resets the stream.
pub struct Tunnel {
    stream: Compat<Stream>,
    _permit: OwnedSemaphorePermit,
}

impl Tunnel {
    pub(crate) fn new(stream: Stream, permit: OwnedSemaphorePermit) -> Self {
        Self { stream: stream.compat(), _permit: permit }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
