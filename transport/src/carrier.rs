//! Other carriers of bytes than the machine's own network: what TCP is otherwise, with the same Noise and Yamux above it.
//!
//! A simulation carries bytes so in virtual time. It need not know of libp2p.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, ready, stream::BoxStream};
use libp2p::{
    Multiaddr, Transport, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    multiaddr::Protocol,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

/// A connection's bytes, both ways, in order.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The connections that come in at an address, each with where it comes from.
pub type Incoming = BoxStream<'static, io::Result<(Box<dyn Wire>, SocketAddr)>>;

/// Carries bytes between addresses.
pub trait Carrier: Send + Sync + 'static {
    /// Listens on an address; returns the one that it is, and what comes in there.
    fn listen(&self, at: SocketAddr) -> BoxFuture<'static, io::Result<(SocketAddr, Incoming)>>;

    /// Connects to an address.
    fn dial(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Wire>>>;
}

/// A carrier as libp2p wants it.
pub(crate) struct Carried<C> {
    carrier: Arc<C>,
    /// In the order in which they came.
    listeners: Vec<(ListenerId, Listener)>,
    events: VecDeque<TransportEvent<Upgrade, io::Error>>,
    /// Who polls, to be woken when there is one more to poll.
    waker: Option<Waker>,
}

/// What libp2p builds upon.
pub(crate) type Bytes = Compat<Box<dyn Wire>>;

/// A connection that has come in is there already.
type Upgrade = futures::future::Ready<io::Result<Bytes>>;

enum Listener {
    Starting(BoxFuture<'static, io::Result<(SocketAddr, Incoming)>>),
    Open { at: Multiaddr, incoming: Incoming },
}

impl<C: Carrier> Carried<C> {
    pub(crate) fn new(carrier: C) -> Self {
        Self { carrier: Arc::new(carrier), listeners: Vec::new(), events: VecDeque::new(), waker: None }
    }
}

/// What one listener has to tell.
enum News {
    At(Multiaddr),
    Came { at: Multiaddr, from: SocketAddr, wire: Box<dyn Wire> },
    Trouble(io::Error),
    Over(io::Result<()>),
}

impl Listener {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        Poll::Ready(match self {
            Self::Starting(starting) => match ready!(starting.poll_unpin(cx)) {
                Ok((address, incoming)) => {
                    let at = multiaddr(address);
                    *self = Self::Open { at: at.clone(), incoming };
                    News::At(at)
                }
                Err(error) => News::Over(Err(error)),
            },
            Self::Open { at, incoming } => match ready!(incoming.poll_next_unpin(cx)) {
                Some(Ok((wire, from))) => News::Came { at: at.clone(), from, wire },
                Some(Err(error)) => News::Trouble(error),
                None => News::Over(Ok(())),
            },
        })
    }
}

impl<C: Carrier> Transport for Carried<C> {
    type Output = Bytes;
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = BoxFuture<'static, io::Result<Bytes>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let Some(at) = socket(&address) else { return Err(TransportError::MultiaddrNotSupported(address)) };
        self.listeners.push((id, Listener::Starting(self.carrier.listen(at))));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(place) = self.listeners.iter().position(|(listener, _)| *listener == id) else { return false };
        let (_, listener) = self.listeners.remove(place);
        if let Listener::Open { at: listen_addr, .. } = listener {
            self.events.push_back(TransportEvent::AddressExpired { listener_id: id, listen_addr });
        }
        self.events.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(to) = socket(&address) else { return Err(TransportError::MultiaddrNotSupported(address)) };
        let carrier = Arc::clone(&self.carrier);
        // Nothing is done before the first poll: libp2p may hold several dials and take up but one.
        Ok(async move { Ok(carrier.dial(to).await?.compat()) }.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        let mut over = None;
        let mut event = None;
        for (listener_id, listener) in &mut self.listeners {
            let listener_id = *listener_id;
            let Poll::Ready(news) = listener.poll(cx) else { continue };
            event = Some(match news {
                News::At(listen_addr) => TransportEvent::NewAddress { listener_id, listen_addr },
                News::Came { at, from, wire } => TransportEvent::Incoming {
                    listener_id,
                    upgrade: futures::future::ready(Ok(wire.compat())),
                    local_addr: at,
                    send_back_addr: multiaddr(from),
                },
                News::Trouble(error) => TransportEvent::ListenerError { listener_id, error },
                News::Over(reason) => {
                    over = Some(listener_id);
                    TransportEvent::ListenerClosed { listener_id, reason }
                }
            });
            break;
        }
        if let Some(over) = over {
            self.listeners.retain(|(listener, _)| *listener != over);
        }
        match event {
            Some(event) => Poll::Ready(event),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Reads `/ip4/…/tcp/…` (or ip6), with or without who is there.
fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    matches!(parts.next(), None | Some(Protocol::P2p(_))).then(|| SocketAddr::new(ip, port))
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}
