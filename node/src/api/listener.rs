//! The API's connections: only so many at once, and none that is kept open for nothing.
//!
//! They are bounded before anybody has shown a token: a program on this machine that has none may otherwise take all
//! open files of the daemon, and with them its way to other nodes.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

/// How many connections may be open at once; further ones wait to be taken in.
const CONNECTIONS: usize = 256;
/// How long a connection may be open without a byte of ours: a request that is not sent, or whose answer is not read,
/// within this is none. Answers are held back for 30 s at most, and a stream of events is never silent for so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listener that bounds its connections.
pub(super) struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    patience: Duration,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self::with(listener, CONNECTIONS, PATIENCE)
    }

    fn with(listener: TcpListener, connections: usize, patience: Duration) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(connections)), patience }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
            // It is never closed.
            return std::future::pending().await;
        };
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let quiet = Box::pin(tokio::time::sleep(self.patience));
        (Connection { stream, quiet, patience: self.patience, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection, which ends when nothing was written to it for too long.
pub(super) struct Connection {
    stream: TcpStream,
    quiet: Pin<Box<Sleep>>,
    patience: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Fails what waits once the patience is over.
    fn or_over<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.quiet.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }

    fn wrote(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(polled, Poll::Ready(Ok(1..))) {
            let patience = self.patience;
            self.quiet.as_mut().set(tokio::time::sleep(patience));
        }
        self.or_over(cx, polled)
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.or_over(cx, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// The failure path only.
    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), what).await.unwrap()
    }

    async fn bounded(connections: usize, patience: Duration) -> (Bounded, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Bounded::with(listener, connections, patience), address)
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_until_one_is_gone() {
        let (mut listener, address) = bounded(2, PATIENCE).await;
        let _clients = [(); 3].map(|()| std::net::TcpStream::connect(address).unwrap());
        let (first, _second) = (soon(listener.accept()).await, soon(listener.accept()).await);
        assert!(futures::FutureExt::now_or_never(listener.accept()).is_none(), "there is no room");
        drop(first);
        soon(listener.accept()).await;
    }

    #[tokio::test]
    async fn a_client_that_sends_but_never_a_whole_request_is_cut_off() {
        let (mut listener, address) = bounded(1, Duration::from_millis(50)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = soon(listener.accept()).await;
        let reading = async {
            loop {
                let mut byte = [0];
                if let Err(error) = connection.read_exact(&mut byte).await {
                    return error.kind();
                }
            }
        };
        let dripping = async {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            kind = soon(reading) => assert_eq!(kind, io::ErrorKind::TimedOut),
            () = dripping => {}
        }
    }
}
