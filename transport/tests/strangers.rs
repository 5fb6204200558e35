//! What strangers may send: anything. The far end here is libp2p's own request-response, writing raw bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::{io, time::Duration};

use common::{LONG, Node, TCP, soon};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder,
    request_response::{self, Codec, Event as RawEvent, Message, OutboundFailure, ProtocolSupport},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use transport::{AskError, Event, OpenError, Protocol};

/// Writes and reads bytes as they are.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        io.read_to_end(&mut all).await.map(|_| all)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        self.read_request(protocol, io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }
}

/// It answers pings: what does not is disconnected.
#[derive(NetworkBehaviour)]
struct Strange {
    asks: request_response::Behaviour<Raw>,
    ping: libp2p::ping::Behaviour,
    identify: libp2p::identify::Behaviour,
}

type Stranger = Swarm<Strange>;

async fn stranger(protocol: &'static str) -> (Stranger, Multiaddr) {
    let asks = request_response::Behaviour::new(
        [(StreamProtocol::new(protocol), ProtocolSupport::Full)],
        request_response::Config::default(),
    );
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(Default::default(), libp2p::noise::Config::new, libp2p::yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Strange {
            asks,
            ping: Default::default(),
            identify: libp2p::identify::Behaviour::new(libp2p::identify::Config::new(
                "/strange/1".to_owned(),
                key.public(),
            )),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    swarm.listen_on(TCP.parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = soon(swarm.select_next_some()).await {
            return (swarm, address);
        }
    }
}

/// Sends the bytes to the node and returns what comes back.
async fn send(stranger: &mut Stranger, node: &Node, bytes: &[u8]) -> Result<Vec<u8>, OutboundFailure> {
    let peer = node.id().to_string().parse().unwrap();
    let at: Vec<Multiaddr> = node.handle.listening().await.iter().map(|address| address.parse().unwrap()).collect();
    stranger.behaviour_mut().asks.send_request_with_addresses(&peer, bytes.to_vec(), at);
    soon(async {
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::Behaviour(StrangeEvent::Asks(RawEvent::Message {
                    message: Message::Response { response, .. },
                    ..
                })) => {
                    return Ok(response);
                }
                SwarmEvent::Behaviour(StrangeEvent::Asks(RawEvent::OutboundFailure { error, .. })) => {
                    return Err(error);
                }
                _ => {}
            }
        }
    })
    .await
}

/// Whoever connects may claim to listen anywhere, which leads to nothing; and it learns nothing of where this node does.
#[tokio::test]
async fn a_stranger_neither_tells_nor_is_told_where_one_listens() {
    let (mut raw, listening) = stranger("/tombolo/rear/1").await;
    let mut node = Node::listening(1, TCP).await;
    let id = raw.local_peer_id().to_string().parse().unwrap();
    raw.dial(node.handle.listening().await[0].parse::<Multiaddr>().unwrap()).unwrap();
    let (mut heard, mut said) = (false, false);
    soon(async {
        while !heard || !said {
            match raw.select_next_some().await {
                SwarmEvent::Behaviour(StrangeEvent::Identify(libp2p::identify::Event::Received { info, .. })) => {
                    assert_eq!(info.listen_addrs, Vec::<Multiaddr>::new());
                    heard = true;
                }
                SwarmEvent::Behaviour(StrangeEvent::Identify(libp2p::identify::Event::Sent { .. })) => said = true,
                _ => {}
            }
        }
    })
    .await;
    raw.disconnect_peer_id(node.id().to_string().parse().unwrap()).unwrap();
    let driving = async {
        loop {
            raw.select_next_some().await;
        }
    };
    let gone = node.until(|event| match event {
        Event::Found { addresses, .. } => panic!("{addresses:?} is told, of {listening}"),
        Event::Disconnected { .. } => Some(()),
        _ => None,
    });
    tokio::select! {
        () = gone => {}
        () = driving => {}
    }
    let error = node.handle.open(id).await.unwrap_err();
    assert!(error.to_string().contains("no address of it is known"), "{error}");
}

fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [b"TMBL\x00\x01", &length[..], body].concat()
}

#[tokio::test]
async fn libp2ps_request_response_speaks_the_same_on_the_wire() {
    let (mut raw, _) = stranger("/tombolo/rear/1").await;
    let node = Node::listening(1, TCP).await;
    let probe = Node { handle: node.handle.clone(), events: node.events };
    let handle = probe.handle.clone();
    let echo = probe.echo();
    let node = Node { handle, events: Node::silent(9).await.events };
    assert_eq!(send(&mut raw, &node, &frame(b"hello")).await.unwrap(), frame(b"hello"));
    drop(echo);
}

#[tokio::test]
async fn what_is_no_frame_ends_the_stream_and_nothing_else() {
    for protocol in ["/tombolo/rear/1", "/tombolo/federation/1", "/tombolo/tunnel/1"] {
        let (mut raw, _) = stranger(protocol).await;
        let node = Node::listening(1, TCP).await;
        let (handle, mut events) = (node.handle.clone(), node.events);
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            while let Some(event) = events.next().await {
                if let Event::Asked { body, answer, .. } = event {
                    asked.push(body.clone());
                    answer.send(body).unwrap();
                }
            }
            asked
        });
        let node = Node { handle, events: Node::silent(9).await.events };
        let expected = if protocol == "/tombolo/tunnel/1" { Vec::new() } else { frame(b"another") };
        for bytes in [
            &b""[..],
            b"T",
            b"GET / HTTP/1.1\r\n\r\n",
            b"TMBL\x00\x01",
            b"TMBL\x00\x02\x00\x00\x00\x00",
            b"TMBL\x00\x01\x00\x00\x00\x09short",
            b"BUSY\x00\x00\x00\x00",
            &[0xff; 10_000],
        ] {
            let answer = send(&mut raw, &node, bytes).await;
            assert!(answer.is_err() || answer.is_ok_and(|bytes| bytes.is_empty()), "{protocol} {bytes:?}");
        }
        let huge = send(&mut raw, &node, b"TMBL\x00\x01\xff\xff\xff\xff").await;
        if protocol != "/tombolo/tunnel/1" {
            assert_eq!(huge.unwrap(), b"HUGE\x00\x04\x00\x00");
        }
        let honest = Node::silent(2).await;
        honest.knows(&node).await;
        assert_eq!(honest.ask(&node, b"an honest ask").await.unwrap(), b"an honest ask");
        assert_eq!(send(&mut raw, &node, &frame(b"another")).await.unwrap_or_default(), expected, "{protocol}");
        node.handle.stop().await;
        let asked = asked.await.unwrap();
        assert!(asked.iter().all(|body| body == b"an honest ask" || body == b"another"), "{asked:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_frame_is_an_error() {
    let (mut raw, address) = stranger("/tombolo/rear/1").await;
    let node = Node::silent(1).await;
    let address = address.to_string();
    let id = soon(async {
        tokio::select! {
            id = node.handle.dial(&address) => id.unwrap(),
            _ = async { loop { raw.select_next_some().await; } } => unreachable!(),
        }
    })
    .await;
    for (bytes, told) in [
        (&b"HTTP/1.1 200 OK\r\n\r\n"[..], "Unreadable"),
        (b"TMBL\x00\x01\xff\xff\xff\xff", "Unreadable"),
        (b"TMBL\x00\x01\x00\x00\x00\x09short", "Closed"),
        (b"", "Closed"),
        (b"BUSY\x00\x00\x00\x05", "Busy"),
        (b"NONE\x00\x00\x00\x00", "NoAnswer"),
    ] {
        let answer = soon(async {
            tokio::select! {
                answer = node.handle.ask(id, Protocol::Rear, vec![1], LONG) => answer,
                _ = async {
                    loop {
                        let event = raw.select_next_some().await;
                        if let SwarmEvent::Behaviour(StrangeEvent::Asks(RawEvent::Message {
                            message: Message::Request { channel, .. }, ..
                        })) = event {
                            raw.behaviour_mut().asks.send_response(channel, bytes.to_vec()).unwrap();
                        }
                    }
                } => unreachable!(),
            }
        })
        .await;
        assert!(format!("{answer:?}").contains(told), "{bytes:?}: {answer:?}");
    }
    // It speaks no other protocol than the one.
    let other = soon(async {
        tokio::select! {
            answer = node.handle.ask(id, Protocol::Federation, vec![1], LONG) => answer,
            _ = async { loop { raw.select_next_some().await; } } => unreachable!(),
        }
    })
    .await;
    assert!(matches!(other, Err(AskError::NotSent(OpenError::Unsupported(peer))) if peer == id), "{other:?}");
}
