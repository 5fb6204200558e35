//! Streams that a relay does not carry on.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    chain::{Chain, FAR, MIDDLE, NEAR, junction, party},
    *,
};
use crate::tunnel::{router::INBOUND, secure};

/// Opens a stream to a door in a peer's name, and sends these bytes first.
async fn knock(door: &End, peer: NodeId, bytes: &[u8]) -> DuplexStream {
    let (mut near, other) = duplex(PIPE);
    door.tunnels.take_in(peer, Box::new(other));
    near.write_all(bytes).await.unwrap();
    near
}

async fn is_closed(mut stream: DuplexStream) -> bool {
    soon(stream.read(&mut [0])).await.unwrap() == 0
}

#[tokio::test]
async fn a_stream_of_somebody_else_is_closed_without_a_word() {
    let mut chain = Chain::new();
    let (onward, back) = (Tap::listening(), Tap::listening());
    chain.near.is_tapped(FAR, &onward);
    chain.near.is_tapped(CONSUMER, &back);
    let door = &chain.near;
    for (peer, contract) in [
        (STRANGER, CONTRACT),
        (STRANGER, MIDDLE),
        (CONSUMER, MIDDLE),
        (FAR, CONTRACT),
        (NEAR, CONTRACT),
        (PROVIDER, MIDDLE),
        (CONSUMER, ContractId([99; 16])),
        (CONSUMER, ContractId([0; 16])),
    ] {
        assert!(is_closed(knock(door, peer, &secure::header(&contract)).await).await, "{peer} {contract}");
    }
    let header = secure::header(&CONTRACT);
    let mut strange = header;
    strange[0] ^= 1;
    let mut later = header;
    later[5] += 1;
    for garbage in [&strange[..], &later, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 100], &[0xff; 100]] {
        assert!(is_closed(knock(door, CONSUMER, garbage).await).await);
    }
    let mut short = knock(door, CONSUMER, &header[..21]).await;
    short.shutdown().await.unwrap();
    assert!(is_closed(short).await);
    assert!(onward.passed(true).is_empty(), "nothing has gone on");
    assert!(back.passed(true).is_empty());
    assert!(chain.near.has_heard_nothing());
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.answer(1).await, Ok(done()));
}

#[tokio::test]
async fn what_follows_a_good_header_is_the_far_ends_to_refuse() {
    let mut chain = Chain::new();
    let garbage = [&secure::header(&CONTRACT)[..], &[7; 1000]].concat();
    assert!(is_closed(knock(&chain.near, CONSUMER, &garbage).await).await);
    assert_eq!(chain.near.metered(0).await.streams, 0);
    assert!(chain.provider.has_heard_nothing());
}

#[tokio::test]
async fn a_flood_of_streams_is_bounded_and_drowns_nobody_else() {
    let mut chain = Chain::new();
    // Somebody else's contracts, through the same relay.
    let (theirs, backing) = (ContractId([20; 16]), ContractId([21; 16]));
    let mut stranger = End::under(theirs, STRANGER, Pace::default());
    let other = End::under(backing, NodeId([6; 32]), Pace::default());
    stranger.reaches(&chain.near);
    chain.near.reaches(&other);
    stranger.tunnels.install(Route { contract: theirs, peer: party(NEAR), ..route(Side::Consumer) });
    chain.near.tunnels.join(junction(theirs, STRANGER, backing, other.fake.me));
    other.tunnels.install(Route { contract: backing, peer: party(NEAR), ..route(Side::Provider) });

    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(chain.connection().await);
    }
    let mut flood = Vec::new();
    for _ in 0..INBOUND {
        flood.push(knock(&chain.near, CONSUMER, &secure::header(&CONTRACT)).await);
    }
    while chain.near.sum.streams < 3 + INBOUND as u32 {
        chain.near.metered_once().await;
    }
    for (peer, contract) in [(CONSUMER, CONTRACT), (FAR, MIDDLE)] {
        assert!(is_closed(knock(&chain.near, peer, &secure::header(&contract)).await).await, "both ways together");
    }
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Unavailable);
    stranger.asks(2);
    assert_eq!(stranger.answer(2).await, Ok(done()));
    let (mut user, mut workload) = connections.remove(0);
    user.write_all(b"on").await.unwrap();
    user.flush().await.unwrap();
    soon(workload.read_exact(&mut [0; 2])).await.unwrap();

    drop(flood);
    while chain.near.sum.streams > 3 {
        chain.near.metered_once().await;
    }
    chain.consumer.asks(3);
    assert_eq!(chain.consumer.answer(3).await, Ok(done()));
}

impl End {
    /// Takes in one report.
    async fn metered_once(&mut self) {
        match soon(self.told.recv()).await.unwrap() {
            Told::Metered(reading) => self.add(reading),
            other => panic!("told {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_closed_node_carries_nothing_on() {
    let mut chain = Chain::new();
    let (mut user, mut workload) = chain.connection().await;
    chain.near.tunnels.close();
    assert!(soon(user.read(&mut [0])).await.is_err());
    assert_eq!(soon(workload.read(&mut [0])).await.unwrap(), 0);
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Unavailable);
    soon(async {
        chain.near.tunnels.0.tasks.close();
        chain.near.tunnels.0.tasks.wait().await;
    })
    .await;
}
