//! Connections to a replica's ports, and what is counted of them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

impl End {
    pub(super) async fn opens(&self) -> std::io::Result<Box<dyn Stream>> {
        soon(self.tunnels.open_port(self.fake.contract, "web", 80)).await
    }

    /// Waits for the workload's end of the next connection.
    pub(super) async fn accepts(&mut self) -> DuplexStream {
        soon(self.accepted.recv()).await.unwrap()
    }
}

#[tokio::test]
async fn each_direction_of_a_connection_ends_by_itself() {
    let (consumer, mut provider) = pair();
    let mut user = consumer.opens().await.unwrap();
    let mut workload = provider.accepts().await;
    user.write_all(b"request").await.unwrap();
    user.shutdown().await.unwrap();
    let mut request = String::new();
    soon(workload.read_to_string(&mut request)).await.unwrap();
    assert_eq!(request, "request");
    workload.write_all(b"response").await.unwrap();
    workload.shutdown().await.unwrap();
    let mut response = String::new();
    soon(user.read_to_string(&mut response)).await.unwrap();
    assert_eq!(response, "response");
    provider.metered(0).await;
}

#[tokio::test]
async fn a_small_write_arrives_without_another() {
    let (consumer, mut provider) = pair();
    let mut user = consumer.opens().await.unwrap();
    let mut workload = provider.accepts().await;
    for _ in 0..3 {
        user.write_all(b"ping").await.unwrap();
        user.flush().await.unwrap();
        let mut heard = [0; 4];
        soon(workload.read_exact(&mut heard)).await.unwrap();
        workload.write_all(b"pong").await.unwrap();
        soon(user.read_exact(&mut heard)).await.unwrap();
        assert_eq!(&heard, b"pong");
    }
}

#[tokio::test]
async fn a_user_who_leaves_is_noticed_by_the_workload_and_the_other_way_round() {
    let (mut consumer, mut provider) = pair();
    let mut user = consumer.opens().await.unwrap();
    let mut workload = provider.accepts().await;
    user.write_all(b"half").await.unwrap();
    user.flush().await.unwrap();
    drop(user);
    let mut heard = Vec::new();
    soon(workload.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"half");
    consumer.metered(0).await;

    let mut user = consumer.opens().await.unwrap();
    drop(provider.accepts().await);
    let mut heard = Vec::new();
    soon(user.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"");
}

#[tokio::test]
async fn why_there_is_no_connection_is_said() {
    let (consumer, provider) = pair();
    let error = soon(consumer.tunnels.open_port(CONTRACT, "web", 81)).await.err().unwrap();
    assert!(error.to_string().contains("allocation/web does not serve port 81"), "{error}");
    let error = soon(consumer.tunnels.open_port(ContractId([0; 16]), "web", 80)).await.err().unwrap();
    assert!(error.to_string().contains("no virtual router"), "{error}");
    let error = provider.opens().await.err().unwrap();
    assert!(error.to_string().contains("runs nothing"), "a consumer offers no ports: {error}");
}

#[tokio::test]
async fn connections_are_limited_and_leave_room_for_questions() {
    let (mut consumer, mut provider) = pair();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push((consumer.opens().await.unwrap(), provider.accepts().await));
    }
    let error = consumer.opens().await.err().unwrap();
    assert!(error.to_string().contains("as many streams open"), "{error}");
    consumer.asks(1);
    assert!(matches!(provider.told().await, Told::Heard(_)));
    assert_eq!(consumer.answer(1).await, Ok(done()));
    // The door holds the limit too, whatever the dialler thinks of it.
    consumer.tunnels.0.routers.of(&CONTRACT).unwrap().connections.add_permits(1);
    let error = consumer.opens().await.err().unwrap();
    assert!(error.to_string().contains("Overloaded"), "{error}");
    drop(open);
    provider.metered(0).await;
    consumer.opens().await.unwrap();
}

#[tokio::test]
async fn a_removed_router_ends_open_connections_from_either_end() {
    for consumer_removes in [true, false] {
        let (consumer, mut provider) = pair();
        let mut user = consumer.opens().await.unwrap();
        let mut workload = provider.accepts().await;
        if consumer_removes {
            let read = async { soon(user.read(&mut [0])).await };
            let (read, ()) = tokio::join!(read, async { consumer.tunnels.remove(CONTRACT) });
            assert!(read.is_err());
            drop(user);
        } else {
            provider.tunnels.remove(CONTRACT);
            assert!(soon(user.read(&mut [0])).await.is_err(), "not a clean end");
        }
        assert_eq!(soon(workload.read(&mut [0])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_router_installed_again_keeps_its_connections_unless_it_is_another() {
    let (consumer, mut provider) = pair();
    let mut user = consumer.opens().await.unwrap();
    let mut workload = provider.accepts().await;
    let mut moved = route(Side::Provider);
    moved.peer.addresses.push("/ip4/192.0.2.1/tcp/1".into());
    provider.tunnels.install(moved);
    user.write_all(b"on").await.unwrap();
    user.flush().await.unwrap();
    soon(workload.read_exact(&mut [0; 2])).await.unwrap();
    provider.tunnels.install(Route { remote_key: [9; 32], ..route(Side::Provider) });
    assert_eq!(soon(workload.read(&mut [0])).await.unwrap(), 0);
    assert!(soon(user.read(&mut [0])).await.is_err());
}

#[tokio::test]
async fn both_ends_count_the_same_bytes() {
    let (mut consumer, mut provider) = pair();
    let mut user = consumer.opens().await.unwrap();
    let mut workload = provider.accepts().await;
    assert_eq!(consumer.metered(1).await.streams, 1);
    let up = async {
        user.write_all(&[1; 300_000]).await.unwrap();
        user.shutdown().await.unwrap();
        let mut down = Vec::new();
        user.read_to_end(&mut down).await.unwrap();
        assert_eq!(down.len(), 50_000);
    };
    let down = async {
        let mut up = Vec::new();
        workload.read_to_end(&mut up).await.unwrap();
        assert_eq!(up.len(), 300_000);
        workload.write_all(&[2; 50_000]).await.unwrap();
        workload.shutdown().await.unwrap();
    };
    soon(async { tokio::join!(up, down) }).await;
    drop(user);
    let (near, far) = (consumer.metered(0).await, provider.metered(0).await);
    assert_eq!(near, far);
    assert!((300_000..310_000).contains(&near.up) && (50_000..55_000).contains(&near.down), "{near:?}");
}

#[tokio::test]
async fn nothing_is_reported_while_nothing_passes() {
    let (mut consumer, mut provider) = pair();
    let user = consumer.opens().await.unwrap();
    let _workload = provider.accepts().await;
    consumer.metered(1).await;
    // What was under way when the last report was made comes in at most one more.
    let mut reports = 0;
    while timeout(Duration::from_millis(50), consumer.told.recv()).await.is_ok() {
        reports += 1;
    }
    assert!(reports <= 1, "{reports}");
    drop(user);
    consumer.metered(0).await;
}
