//! Builds the swarm: over QUIC, and TCP with Noise and Yamux, with names resolved by DNS; or over another carrier of
//! bytes, likewise with Noise and Yamux.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncWrite, future::Either};
use libp2p::{
    PeerId, Swarm, Transport, allow_block_list,
    connection_limits::{self, ConnectionLimits},
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns, identify,
    identity::Keypair,
    mdns, noise, ping, quic, swarm, tcp, yamux,
};

use crate::{
    behaviour::Behaviour,
    carrier::{Carried, Carrier},
    config::{Config, Limits},
    streams,
};

/// How much of one QUIC stream is taken in unread: it bounds what a reader that does not read costs, and still fills
/// 50 Mbit/s at 80 ms of round trip. A connection has as much for each stream that may be open on it: it carries those
/// of many contracts, and readers that stop must not take the room of the others.
const QUIC_STREAM_WINDOW: u32 = 512 * 1024;

/// How many streams Yamux counts with on a connection. Each may have 256 KiB unread, and may grow as fast as its reader
/// reads within what of a GiB is left by them all: for so many, 8 MiB. libp2p lets neither window be set. Far fewer streams are let in (`Limits`).
const YAMUX_STREAMS: usize = ((1 << 30) - (8 << 20)) / (256 << 10);

/// How often the local network is asked, since the first question may get lost; libp2p's own five minutes are long.
const MDNS_EVERY: Duration = Duration::from_secs(30);

/// What a swarm is built upon: connections to proven peers, each with its streams.
pub(crate) type Network = Boxed<(PeerId, StreamMuxerBox)>;

/// Makes a swarm that listens nowhere yet.
pub(crate) fn build(config: &Config, key: &Keypair, network: Network) -> io::Result<Swarm<Behaviour>> {
    let behaviour = behaviour(config, key)?;
    // Streams are negotiated before they are used. Doing so lazily (`V1Lazy`) would save a round trip, but libp2p panics
    // when a stream is polled after its negotiation has failed, and a stranger could make it fail.
    let swarm_config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(config.idle_timeout.to_std())
        // QUIC first, TCP a moment later: whichever answers first is used.
        .with_smart_dial();
    Ok(Swarm::new(network, behaviour, key.public().to_peer_id(), swarm_config))
}

/// The machine's own network: QUIC and TCP.
pub(crate) fn machine(config: &Config, key: &Keypair) -> io::Result<Network> {
    match dns::tokio::Transport::system(transport_by_number(config, key)?) {
        Ok(named) => Ok(named.boxed()),
        Err(error) => {
            tracing::warn!(%error, "no usable DNS configuration: only addresses that are numbers can be reached");
            transport_by_number(config, key)
        }
    }
}

/// What another carrier carries, as what TCP carries otherwise.
pub(crate) fn carried(config: &Config, key: &Keypair, carrier: impl Carrier) -> io::Result<Network> {
    let network = upgraded(Carried::new(carrier), key)?;
    Ok(TransportTimeout::new(network, config.connect_within.to_std()).boxed())
}

/// Noise, and Yamux in it, over a carrier of bytes.
fn upgraded<T>(bytes: T, key: &Keypair) -> io::Result<Network>
where
    T: Transport<Output: AsyncRead + AsyncWrite + Send + Unpin + 'static, Error: Send + Sync> + Send + Unpin + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
    T::Error: 'static,
{
    let mut yamux_config = yamux::Config::default();
    yamux_config.set_max_num_streams(YAMUX_STREAMS);
    let upgraded = bytes
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
        .multiplex(yamux_config);
    Ok(upgraded.boxed())
}

fn transport_by_number(config: &Config, key: &Keypair) -> io::Result<Network> {
    let tcp = upgraded(tcp::tokio::Transport::new(tcp::Config::new().nodelay(true)), key)?;

    let Limits { tunnels_per_peer, requests_per_peer, outgoing_per_peer, .. } = config.limits;
    let streams = u32::try_from(tunnels_per_peer + requests_per_peer + outgoing_per_peer).unwrap_or(u32::MAX);
    let mut quic_config = quic::Config::new(key);
    quic_config.max_stream_data = QUIC_STREAM_WINDOW;
    quic_config.max_connection_data = streams.saturating_mul(QUIC_STREAM_WINDOW);
    quic_config.handshake_timeout = config.connect_within.to_std();
    let quic = quic::tokio::Transport::new(quic_config);

    let both = quic.or_transport(tcp).map(|either, _| match either {
        Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        Either::Right(boxed) => boxed,
    });
    Ok(TransportTimeout::new(both, config.connect_within.to_std()).boxed())
}

fn behaviour(config: &Config, key: &Keypair) -> io::Result<Behaviour> {
    let limits = &config.limits;
    let connection_limits = ConnectionLimits::default()
        .with_max_established(Some(limits.connections))
        .with_max_established_incoming(Some(limits.connections - limits.connections / 8))
        .with_max_established_per_peer(Some(limits.connections_per_peer))
        .with_max_pending_incoming(Some(limits.pending_in))
        .with_max_pending_outgoing(Some(limits.pending_out));

    let identify = identify::Config::new("/tombolo/1".to_owned(), key.public())
        .with_agent_version(format!("tombolo/{}", config.version))
        // Where this node listens is for its owner to tell, and strangers are told nothing of it.
        .with_hide_listen_addrs(true)
        // Addresses are kept in our own book, which believes less.
        .with_cache_size(0);

    let mdns = config
        .mdns
        .then(|| {
            mdns::tokio::Behaviour::new(
                mdns::Config { query_interval: MDNS_EVERY, ..Default::default() },
                key.public().to_peer_id(),
            )
        })
        .transpose()?;

    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits),
        blocked: allow_block_list::Behaviour::default(),
        streams: streams::Behaviour::default(),
        ping: ping::Behaviour::new(
            // A late answer is an answer: the driver measures the silence, since libp2p hides the first failure.
            ping::Config::new().with_interval(config.ping_every.to_std()).with_timeout(config.patience().to_std()),
        ),
        identify: identify::Behaviour::new(identify),
        mdns: mdns.into(),
    })
}
