//! The network: TCP between the simulated machines, traced, in place of what the machine's own kernel carries.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use node::expose::{Door, Doorstep, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use transport::{Carrier, Incoming, Wire};
use turmoil::net::{TcpListener, TcpStream};

use crate::trace::Trace;

/// What one machine is connected to.
#[derive(Clone)]
pub(crate) struct Network {
    /// Its address.
    pub(crate) ip: IpAddr,
    /// Where what passes is noted.
    pub(crate) trace: Trace,
}

impl Carrier for Network {
    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<(SocketAddr, Incoming)>> {
        let this = self.clone();
        async move {
            // The simulated machines have one address each, and listen only on all that they have.
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, at.port())).await?;
            let address = SocketAddr::new(this.ip, listener.local_addr()?.port());
            let incoming = stream::unfold((listener, this.trace), |(listener, trace)| async move {
                let came = match listener.accept().await {
                    Ok((bytes, from)) => {
                        let wire: Box<dyn Wire> = Box::new(Traced::new(bytes, "in", from, trace.clone()));
                        Ok((wire, from))
                    }
                    Err(error) => Err(error),
                };
                Some((came, (listener, trace)))
            });
            Ok((address, incoming.boxed()))
        }
        .boxed()
    }

    fn dial(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Wire>>> {
        let trace = self.trace.clone();
        async move {
            trace.note(format_args!("dial {to}"));
            let bytes = TcpStream::connect(to).await?;
            let wire: Box<dyn Wire> = Box::new(Traced::new(bytes, "out", to, trace));
            Ok(wire)
        }
        .boxed()
    }
}

/// A connection of which each read and each write is noted, with its length: what is in them is encrypted under keys that
/// differ from run to run.
struct Traced {
    bytes: TcpStream,
    way: &'static str,
    other: SocketAddr,
    trace: Trace,
}

impl Traced {
    fn new(bytes: TcpStream, way: &'static str, other: SocketAddr, trace: Trace) -> Self {
        Self { bytes, way, other, trace }
    }
}

impl AsyncRead for Traced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.bytes).poll_read(cx, buf);
        if read.is_ready() {
            let length = buf.filled().len() - before;
            self.trace.note(format_args!("{} {} read {length}", self.way, self.other));
        }
        read
    }
}

impl AsyncWrite for Traced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.bytes).poll_write(cx, buf);
        if let Poll::Ready(Ok(length)) = &written {
            self.trace.note(format_args!("{} {} write {length}", self.way, self.other));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}

/// The machine's own ports, reached from itself alone.
pub(crate) struct Loopback;

#[async_trait::async_trait]
impl Doorstep for Loopback {
    async fn listen(&self) -> io::Result<Box<dyn Door>> {
        Ok(Box::new(Port(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)))
    }
}

struct Port(TcpListener);

#[async_trait::async_trait]
impl Door for Port {
    fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.0.accept().await?.0))
    }
}
