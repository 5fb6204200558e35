//! A raw stream between two nodes, with flow control end to end.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::Handle,
    sync::OwnedSemaphorePermit,
    time::timeout,
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

/// How long the rest of a tunnel that was closed and dropped is still taken in.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// The bytes of one `/tombolo/tunnel/1` stream, both ways.
///
/// What is written is sent when it is flushed, or when enough has come together. A writer waits when the reader at
/// the far end does not read: over QUIC at most half a MiB is under way; over TCP 256 KiB, or where its reader was fast
/// up to 8 MiB more for all streams of a connection. Shutting down closes this side alone. Dropped before that, it is reset; dropped after that, what still comes is thrown away for a
/// while, so that the far end is not left waiting.
pub struct Tunnel {
    /// Taken when dropped.
    stream: Option<Counted>,
    is_shut: bool,
    is_read: bool,
}

/// A stream and the permit that counts it.
struct Counted {
    stream: Compat<Stream>,
    _permit: OwnedSemaphorePermit,
}

impl Tunnel {
    pub(crate) fn new(stream: Stream, permit: OwnedSemaphorePermit) -> Self {
        let stream = Counted { stream: stream.compat(), _permit: permit };
        Self { stream: Some(stream), is_shut: false, is_read: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut Compat<Stream>>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(&mut stream.stream))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // Yamux neither resets a stream that was shut down nor gives its writer more credit: without a reader the
        // writer would wait for as long as the connection lasts.
        if let (Some(mut rest), true, false) = (self.stream.take(), self.is_shut, self.is_read)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = timeout(DRAIN_WITHIN, tokio::io::copy(&mut rest.stream, &mut tokio::io::sink())).await;
            });
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        let read = self.stream()?.poll_read(cx, buf);
        if let Poll::Ready(done) = &read {
            self.is_read |= done.is_err() || (before > 0 && buf.remaining() == before);
        }
        read
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.stream()?.poll_shutdown(cx);
        self.is_shut |= shut.is_ready();
        shut
    }
}
