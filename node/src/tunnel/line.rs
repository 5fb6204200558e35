//! The stream below the seal: counted for its contract, and cut when the contract's router is removed.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rear_proto::local::Side;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::meter::Meter;
use crate::expose::Stream;

/// One stream of a contract.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    meter: Arc<Meter>,
    /// What this node is to whoever is at the other end of the stream: a consumer's writing goes up.
    side: Side,
    /// Done when the router is removed. Both directions must be driven by one task, as it wakes one.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Line {
    /// Counts a stream for as long as it lives; a permit is given back with it. It is cut at `stop`.
    pub(super) fn new(
        meter: &Arc<Meter>,
        side: Side,
        stop: &CancellationToken,
        stream: Box<dyn Stream>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        meter.opened();
        let cut = Box::pin(stop.clone().cancelled_owned());
        Self { stream, meter: Arc::clone(meter), side, cut, _permit: permit }
    }

    /// Counts bytes that came in.
    pub(super) fn has_read(&self, bytes: usize) {
        match self.side {
            Side::Consumer => self.meter.pass(0, bytes as u64),
            Side::Provider => self.meter.pass(bytes as u64, 0),
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the contract's router is removed"))
            }
            Poll::Pending => Ok(()),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.meter.closed();
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.has_read(buf.filled().len() - before);
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = written {
            match self.side {
                Side::Consumer => self.meter.pass(bytes as u64, 0),
                Side::Provider => self.meter.pass(0, bytes as u64),
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
