//! The same over the node's transport, on loopback: what libp2p's streams do at their ends, the tunnel must bear.

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::{Config, Event, Handle};

use super::{
    chain::{FAR, LAST, MIDDLE, NEAR, QUICK, junction},
    *,
};

/// Starts a transport that brings its tunnels to an end's door.
async fn carry(end: &End, secret: u8, listen: &str) -> Handle {
    let config = Config { listen: vec![listen.to_owned()], ..Config::new([secret; 32]) };
    let (handle, mut events) = transport::start(config).await.unwrap();
    assert!(end.fake.handle.set(handle.clone()).is_ok());
    let tunnels = end.tunnels.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Event::Opened { peer, tunnel } = event {
                tunnels.take_in(peer, Box::new(tunnel));
            }
        }
    });
    handle
}

/// Both ends of a contract, each with a transport.
async fn pair(listen: &str) -> ((End, Handle), (End, Handle)) {
    let pace = Pace { report: Duration::from_millis(1), ..Pace::default() };
    let (consumer, provider) = (End::new(CONSUMER, pace), End::new(PROVIDER, pace));
    let (near, far) = (carry(&consumer, 21, listen).await, carry(&provider, 22, listen).await);
    near.know(far.id(), far.listening().await);
    far.know(near.id(), near.listening().await);
    let to = |node| Party { node, addresses: Vec::new() };
    consumer.tunnels.install(Route { peer: to(far.id()), ..route(Side::Consumer) });
    provider.tunnels.install(Route { peer: to(near.id()), ..route(Side::Provider) });
    ((consumer, near), (provider, far))
}

async fn check(listen: &str) {
    let ((mut consumer, near), (mut provider, far)) = pair(listen).await;

    // Questions, both ways.
    consumer.asks(1);
    assert!(matches!(provider.told().await, Told::Heard(_)));
    assert_eq!(consumer.answer(1).await, Ok(done()));
    provider.asks(2);
    assert!(matches!(consumer.told().await, Told::Heard(_)));
    assert_eq!(provider.answer(2).await, Ok(done()));

    // A component.
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let digest = digest_of(&bytes);
    consumer.fake.modules.lock().unwrap().insert(digest, bytes.clone());
    consumer.tunnels.ship(3, CONTRACT, digest);
    assert_eq!(consumer.answer(3).await, Ok(done()));
    assert_eq!(provider.fake.modules.lock().unwrap().get(&digest), Some(&bytes));

    // A connection whose directions end one after the other.
    let mut user = soon(consumer.tunnels.open_port(CONTRACT, "web", 80)).await.unwrap();
    let mut workload = soon(provider.accepted.recv()).await.unwrap();
    let requesting = async {
        user.write_all(&bytes).await.unwrap();
        user.shutdown().await.unwrap();
    };
    let mut request = Vec::new();
    soon(async { tokio::join!(requesting, workload.read_to_end(&mut request)) }).await.1.unwrap();
    assert!(request == bytes);
    let responding = async {
        workload.write_all(&bytes).await.unwrap();
        workload.shutdown().await.unwrap();
    };
    let mut response = Vec::new();
    soon(async { tokio::join!(responding, user.read_to_end(&mut response)) }).await.1.unwrap();
    assert!(response == bytes);
    drop((user, workload));

    // A user who leaves in the middle.
    let mut user = soon(consumer.tunnels.open_port(CONTRACT, "web", 80)).await.unwrap();
    let mut workload = soon(provider.accepted.recv()).await.unwrap();
    user.write_all(b"half").await.unwrap();
    user.flush().await.unwrap();
    soon(workload.read_exact(&mut [0; 4])).await.unwrap();
    drop(user);
    assert_eq!(soon(workload.read(&mut [0])).await.unwrap(), 0);

    // A contract that ends at the provider.
    let mut user = soon(consumer.tunnels.open_port(CONTRACT, "web", 80)).await.unwrap();
    let _workload = soon(provider.accepted.recv()).await.unwrap();
    provider.tunnels.remove(CONTRACT);
    assert!(soon(user.read(&mut [0])).await.is_err(), "not a clean end");
    drop(user);
    consumer.asks(4);
    assert_eq!(consumer.refusal(4).await.code(), Code::Unavailable);
    consumer.metered(0).await;
    soon(async { tokio::join!(near.stop(), far.stop()) }).await;
}

#[tokio::test]
async fn everything_holds_over_tcp() {
    Box::pin(check("/ip4/127.0.0.1/tcp/0")).await;
}

#[tokio::test]
async fn everything_holds_over_quic() {
    Box::pin(check("/ip4/127.0.0.1/udp/0/quic-v1")).await;
}

/// Consumer, near, far and provider, each with a transport.
async fn chain(listen: &str, streams: u32) -> [(End, Handle); 4] {
    let nodes = [(CONTRACT, CONSUMER), (CONTRACT, NEAR), (MIDDLE, FAR), (LAST, PROVIDER)];
    let [consumer, near, far, provider] = nodes.map(|(contract, node)| End::under(contract, node, QUICK));
    let [a, b, c, d] = [
        carry(&consumer, 21, listen).await,
        carry(&near, 22, listen).await,
        carry(&far, 23, listen).await,
        carry(&provider, 24, listen).await,
    ];
    for (one, other) in [(&a, &b), (&b, &c), (&c, &d)] {
        one.know(other.id(), other.listening().await);
        other.know(one.id(), one.listening().await);
    }
    let to = |node| Party { node, addresses: Vec::new() };
    consumer.tunnels.install(Route { peer: to(b.id()), streams, ..route(Side::Consumer) });
    near.tunnels.join(Junction { streams, ..junction(CONTRACT, a.id(), MIDDLE, c.id()) });
    far.tunnels.join(Junction { streams, ..junction(MIDDLE, b.id(), LAST, d.id()) });
    provider.tunnels.install(Route { contract: LAST, peer: to(c.id()), streams, ..route(Side::Provider) });
    [(consumer, a), (near, b), (far, c), (provider, d)]
}

async fn check_chain(listen: &str) {
    let [(mut consumer, a), (mut near, b), (far, c), (mut provider, d)] = chain(listen, 3).await;

    consumer.asks(1);
    assert!(matches!(provider.told().await, Told::Heard(_)));
    assert_eq!(consumer.answer(1).await, Ok(done()));
    provider.asks(2);
    assert!(matches!(consumer.told().await, Told::Heard(_)));
    assert_eq!(provider.answer(2).await, Ok(done()));

    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let digest = digest_of(&bytes);
    consumer.fake.modules.lock().unwrap().insert(digest, bytes.clone());
    consumer.tunnels.ship(3, CONTRACT, digest);
    assert_eq!(consumer.answer(3).await, Ok(done()));
    assert_eq!(provider.fake.modules.lock().unwrap().get(&digest), Some(&bytes));

    // One direction ends, the other goes on.
    let (mut user, mut workload) = (consumer.opens().await.unwrap(), provider.accepts().await);
    user.write_all(b"request").await.unwrap();
    user.shutdown().await.unwrap();
    let mut request = String::new();
    soon(workload.read_to_string(&mut request)).await.unwrap();
    assert_eq!(request, "request");
    let responding = async {
        workload.write_all(&bytes).await.unwrap();
        workload.shutdown().await.unwrap();
    };
    let mut response = Vec::new();
    soon(async { tokio::join!(responding, user.read_to_end(&mut response)) }).await.1.unwrap();
    assert!(response == bytes);
    drop((user, workload));

    // A router that is removed in the middle.
    let (mut user, mut workload) = (consumer.opens().await.unwrap(), provider.accepts().await);
    user.write_all(b"half").await.unwrap();
    user.flush().await.unwrap();
    soon(workload.read_exact(&mut [0; 4])).await.unwrap();
    far.tunnels.remove(LAST);
    assert!(soon(user.read(&mut [0])).await.is_err(), "not a clean end");
    assert_eq!(soon(workload.read(&mut [0])).await.unwrap(), 0);
    drop(user);
    consumer.asks(4);
    assert_eq!(consumer.refusal(4).await.code(), Code::Unavailable);
    near.metered(0).await;

    // A next hop that is gone.
    soon(c.stop()).await;
    consumer.asks(5);
    assert_eq!(consumer.refusal(5).await.code(), Code::Unavailable);
    soon(async { tokio::join!(a.stop(), b.stop(), d.stop()) }).await;
}

#[tokio::test]
async fn everything_holds_through_relays_over_tcp() {
    Box::pin(check_chain("/ip4/127.0.0.1/tcp/0")).await;
}

#[tokio::test]
async fn everything_holds_through_relays_over_quic() {
    Box::pin(check_chain("/ip4/127.0.0.1/udp/0/quic-v1")).await;
}

/// What may be under way on three connections: their windows and 8 MiB by which these may grow, and what nodes hold.
const UNDER_WAY: usize = 3 * (9 << 20);

async fn check_flow(listen: &str) {
    let [(consumer, a), (_near, b), (_far, c), (mut provider, d)] = chain(listen, 3).await;
    let (user, workload) = (consumer.opens().await.unwrap(), provider.accepts().await);
    let total = UNDER_WAY + (8 << 20);
    let streams: [(Box<dyn Stream>, Box<dyn Stream>); 2] = {
        let (other_user, other_workload) = (consumer.opens().await.unwrap(), provider.accepts().await);
        [(user, Box::new(workload)), (Box::new(other_workload), other_user)]
    };
    for (mut writer, mut reader) in streams {
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let writing = tokio::spawn(async move {
            let chunk = vec![1; 16 * 1024];
            while count.load(Ordering::Relaxed) < total {
                writer.write_all(&chunk).await.unwrap();
                count.fetch_add(chunk.len(), Ordering::Relaxed);
            }
            writer.shutdown().await.unwrap();
            writer
        });
        let (mut read, mut most) = (0, 0);
        let mut chunk = vec![0; 16 * 1024];
        soon(async {
            loop {
                // The writer is let run ahead as far as it can while this one does nothing.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                most = most.max(written.load(Ordering::Relaxed).saturating_sub(read));
                match reader.read(&mut chunk).await.unwrap() {
                    0 => break,
                    bytes => read += bytes,
                }
            }
        })
        .await;
        assert!(read >= total, "the writer goes on");
        assert!(most <= UNDER_WAY, "the writer was {most} bytes ahead");
        drop(soon(writing).await.unwrap());
    }
    soon(async { tokio::join!(a.stop(), b.stop(), c.stop(), d.stop()) }).await;
}

#[tokio::test]
async fn a_slow_reader_slows_its_writer_over_tcp() {
    Box::pin(check_flow("/ip4/127.0.0.1/tcp/0")).await;
}

#[tokio::test]
async fn a_slow_reader_slows_its_writer_over_quic() {
    Box::pin(check_flow("/ip4/127.0.0.1/udp/0/quic-v1")).await;
}

/// As many as a contract may have, and more of each than would fit if they had to share.
const STALLED: (usize, usize) = (64, 600 << 10);

/// Between two relays everybody's streams are on one connection.
async fn check_stall(listen: &str) {
    let [(mut consumer, a), (_near, b), (_far, c), (mut provider, d)] = chain(listen, 64).await;
    let (streams, each) = STALLED;
    let mut users = Vec::new();
    let mut writing = tokio::task::JoinSet::new();
    for _ in 0..streams {
        users.push(consumer.opens().await.unwrap());
        let mut workload = provider.accepts().await;
        writing.spawn(async move {
            workload.write_all(&vec![1; each]).await.unwrap();
            workload
        });
    }
    let workloads = soon(writing.join_all()).await;
    consumer.asks(1);
    assert!(matches!(provider.told().await, Told::Heard(_)));
    assert_eq!(consumer.answer(1).await, Ok(done()));
    drop((users, workloads));
    soon(async { tokio::join!(a.stop(), b.stop(), c.stop(), d.stop()) }).await;
}

#[tokio::test]
async fn readers_that_stop_take_nobody_elses_room_over_tcp() {
    Box::pin(check_stall("/ip4/127.0.0.1/tcp/0")).await;
}

#[tokio::test]
async fn readers_that_stop_take_nobody_elses_room_over_quic() {
    Box::pin(check_stall("/ip4/127.0.0.1/udp/0/quic-v1")).await;
}
