//! Tunnels: raw streams with flow control.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use common::{Node, QUIC, TCP, config, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::{Event, Tunnel};

async fn opened(node: &mut Node) -> Tunnel {
    node.until(|event| match event {
        Event::Opened { tunnel, .. } => Some(tunnel),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_ends_when_closed() {
    for address in [TCP, QUIC] {
        let mut far = Node::listening(1, address).await;
        let near = Node::silent(2).await;
        near.knows(&far).await;
        soon(async {
            let mut here = near.handle.open(far.id()).await.unwrap();
            here.write_all(b"ping").await.unwrap();
            here.flush().await.unwrap();
            let mut there = opened(&mut far).await;
            let mut word = [0; 4];
            there.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"ping");
            there.write_all(b"pong").await.unwrap();
            there.shutdown().await.unwrap();
            let mut all = Vec::new();
            here.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"pong");
            here.write_all(b"still open this way").await.unwrap();
            here.shutdown().await.unwrap();
            let mut rest = Vec::new();
            there.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"still open this way");
        })
        .await;
    }
}

#[tokio::test]
async fn a_writer_waits_for_a_reader_that_does_not_read() {
    const ALL: usize = 8 * 1024 * 1024;
    for address in [TCP, QUIC] {
        let mut far = Node::listening(1, address).await;
        let near = Node::silent(2).await;
        near.knows(&far).await;
        soon(async {
            let mut here = near.handle.open(far.id()).await.unwrap();
            here.write_all(&[0]).await.unwrap();
            here.flush().await.unwrap();
            let mut there = opened(&mut far).await;
            // Written until nothing is taken any more: the writer must come to stand, long before all is out.
            let chunk = vec![1; 64 * 1024];
            let mut written = 1;
            while written < ALL {
                let writing = async {
                    let taken = here.write(&chunk).await?;
                    here.flush().await.map(|()| taken)
                };
                match tokio::time::timeout(Duration::from_millis(500), writing).await {
                    Ok(taken) => written += taken.unwrap(),
                    Err(_) => break,
                }
            }
            assert!(written < ALL / 2, "{address}: {written} bytes went out unread");
            let reading = tokio::spawn(async move {
                let mut read = Vec::new();
                there.read_to_end(&mut read).await.unwrap();
                read.len()
            });
            here.write_all(&vec![2; ALL]).await.unwrap();
            here.shutdown().await.unwrap();
            assert!(reading.await.unwrap() >= ALL, "and goes on once it is read");
        })
        .await;
    }
}

#[tokio::test]
async fn tunnels_over_the_limit_are_reset_and_their_place_comes_back() {
    let mut narrow = config(1, &[TCP]);
    narrow.limits.tunnels_per_peer = 1;
    let mut far = Node::start(narrow).await;
    let near = Node::silent(2).await;
    near.knows(&far).await;
    soon(async {
        let mut first = near.handle.open(far.id()).await.unwrap();
        first.write_all(b"1").await.unwrap();
        first.flush().await.unwrap();
        let there = opened(&mut far).await;
        let mut second = near.handle.open(far.id()).await.unwrap();
        let mut byte = [0];
        let end = second.read(&mut byte).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        drop(there);
        let mut third = near.handle.open(far.id()).await.unwrap();
        third.write_all(b"3").await.unwrap();
        third.flush().await.unwrap();
        let mut there = opened(&mut far).await;
        there.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"3");
    })
    .await;
}

#[tokio::test]
async fn many_tunnels_at_once_are_all_taken_in() {
    for address in [TCP, QUIC] {
        let mut far = Node::listening(1, address).await;
        let near = Node::silent(2).await;
        near.knows(&far).await;
        soon(async {
            let tunnels = futures::future::join_all((0..50).map(|_| near.handle.open(far.id()))).await;
            assert!(tunnels.iter().all(Result::is_ok));
            for _ in 0..50 {
                opened(&mut far).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_writer_does_not_wait_for_a_reader_that_has_closed_and_gone() {
    for address in [TCP, QUIC] {
        let mut far = Node::listening(1, address).await;
        let near = Node::silent(2).await;
        near.knows(&far).await;
        soon(async {
            let mut here = near.handle.open(far.id()).await.unwrap();
            here.write_all(b"a request").await.unwrap();
            here.shutdown().await.unwrap();
            let mut there = opened(&mut far).await;
            drop(here);
            // It goes nowhere, or fails; it does not hang.
            let _ = there.write_all(&vec![0; 2 * 1024 * 1024]).await;
            let _ = there.shutdown().await;
        })
        .await;
    }
}
