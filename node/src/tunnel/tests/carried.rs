//! The same over the node's transport, on loopback: what libp2p's streams do at their ends, the tunnel must bear.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::{Config, Event, Handle};

use super::*;

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
