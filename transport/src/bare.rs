//! A round trip of bare libp2p request-response over QUIC on loopback: what our own exchanges are measured against. For
//! benchmarks alone (feature `bare`).

use std::{
    io, iter,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder,
    request_response::{Behaviour, Codec, Config, Event, Message, ProtocolSupport},
    swarm::SwarmEvent,
};

/// Length, then bytes.
#[derive(Debug, Clone, Default)]
struct Plain;

async fn read(io: &mut (impl futures::AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write(io: &mut (impl futures::AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_all(&[&length.to_be_bytes(), bytes].concat()).await
}

impl Codec for Plain {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: futures::AsyncRead + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn read_response<T: futures::AsyncRead + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn write_request<T: futures::AsyncWrite + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()> {
        write(io, &request).await
    }

    async fn write_response<T: futures::AsyncWrite + Unpin + Send>(
        &mut self,
        _: &Self::Protocol,
        io: &mut T,
        response: Vec<u8>,
    ) -> io::Result<()> {
        write(io, &response).await
    }
}

type Bare = Swarm<Behaviour<Plain>>;

fn swarm() -> io::Result<Bare> {
    let protocols = iter::once((StreamProtocol::new("/bare/1"), ProtocolSupport::Full));
    let behaviour = Behaviour::with_codec(Plain, protocols, Config::default());
    let builder = SwarmBuilder::with_new_identity().with_tokio().with_quic();
    Ok(builder.with_behaviour(|_| behaviour).map_err(io::Error::other)?.build())
}

/// Answers every question with so many bytes.
async fn serve(mut swarm: Bare, answer: usize) {
    loop {
        if let SwarmEvent::Behaviour(Event::Message { message: Message::Request { channel, .. }, .. }) =
            swarm.select_next_some().await
        {
            // Whoever asked may have gone.
            let _ = swarm.behaviour_mut().send_response(channel, vec![0; answer]);
        }
    }
}

/// Asks `count` times, one after the other, with questions and answers of so many bytes, and returns how long each took.
///
/// # Errors
/// When nothing can be listened on, or an answer fails to come.
#[allow(clippy::disallowed_methods, reason = "it measures, and decides nothing")]
pub async fn round_trips(question: usize, answer: usize, count: usize) -> io::Result<Vec<Duration>> {
    let (mut server, mut client) = (swarm()?, swarm()?);
    let here: Multiaddr = "/ip4/127.0.0.1/udp/0/quic-v1".parse().map_err(io::Error::other)?;
    server.listen_on(here).map_err(io::Error::other)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
            break address;
        }
    };
    let peer = *server.local_peer_id();
    let serving = tokio::spawn(serve(server, answer));
    client.dial(address).map_err(io::Error::other)?;
    while !matches!(client.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let asked = Instant::now();
        client.behaviour_mut().send_request(&peer, vec![0; question]);
        loop {
            match client.select_next_some().await {
                SwarmEvent::Behaviour(Event::Message { message: Message::Response { .. }, .. }) => break,
                SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => return Err(io::Error::other(error)),
                _ => {}
            }
        }
        took.push(asked.elapsed());
    }
    serving.abort();
    Ok(took)
}
