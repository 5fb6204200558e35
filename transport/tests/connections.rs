//! Connections: who is connected, kept, blocked, and found dead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{Node, QUIC, TCP, config, soon};
use kernel::Span;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use transport::{AskError, DialError, Event, OpenError, StartError, start};

#[tokio::test]
async fn a_dial_finds_out_who_is_there() {
    for address in [TCP, QUIC] {
        let mut there = Node::listening(1, address).await;
        let mut here = Node::silent(2).await;
        let at = there.handle.listening().await.remove(0);
        assert_eq!(soon(here.handle.dial(&at)).await, Ok(there.id()));
        assert!(here.until_connected(there.id()).await, "dialled by us");
        assert!(!there.until_connected(here.id()).await, "not dialled by them");
        let named = format!("{at}/p2p/{}", there.id());
        assert_eq!(soon(here.handle.dial(&named)).await, Ok(there.id()));

        let other = Node::silent(3).await;
        let wrong = format!("{at}/p2p/{}", here.id());
        let failed = soon(other.handle.dial(&wrong)).await.unwrap_err();
        assert!(failed.to_string().contains(&there.id().to_string()), "{failed}");
    }
    let here = Node::silent(2).await;
    let nonsense = here.handle.dial("nonsense").await;
    assert!(matches!(nonsense, Err(DialError::Address { .. })), "{nonsense:?}");
}

#[tokio::test]
async fn nodes_that_dial_each_other_are_connected_once() {
    for address in [TCP, QUIC] {
        let mut one = Node::listening(1, address).await;
        let mut two = Node::listening(2, address).await;
        one.knows(&two).await;
        two.knows(&one).await;
        one.handle.keep(two.id(), true);
        two.handle.keep(one.id(), true);
        let (first, second) = (one.id(), two.id());
        one.until_connected(second).await;
        two.until_connected(first).await;
        one.handle.clone().stop().await;
        soon(async {
            let mut told = Vec::new();
            while let Some(event) = one.events.next().await {
                match event {
                    Event::Connected { .. } => told.push("connected"),
                    Event::Disconnected { .. } => told.push("disconnected"),
                    _ => {}
                }
            }
            assert!(!told.contains(&"connected"), "{told:?}");
        })
        .await;
        two.until_disconnected(first).await;
    }
}

#[tokio::test]
async fn several_connections_with_one_peer_are_told_as_one() {
    let mut there = Node::start(config(1, &[TCP, QUIC])).await;
    let here = Node::silent(2).await;
    let (id, listening) = (here.id(), there.handle.listening().await);
    for address in listening.iter().chain(&listening) {
        soon(here.handle.dial(address)).await.unwrap();
    }
    here.handle.stop().await;
    let mut told = Vec::new();
    there
        .until(|event| {
            match event {
                Event::Connected { peer, .. } if peer == id => told.push("connected"),
                Event::Disconnected { peer } if peer == id => told.push("disconnected"),
                _ => {}
            }
            told.contains(&"disconnected").then_some(())
        })
        .await;
    // What would come after the last is told before the node's end is.
    there.handle.stop().await;
    while let Some(event) = there.events.next().await {
        match event {
            Event::Connected { .. } => told.push("connected"),
            Event::Disconnected { .. } => told.push("disconnected"),
            _ => {}
        }
    }
    assert_eq!(told, ["connected", "disconnected"]);
}

#[tokio::test]
async fn a_kept_peer_is_dialled_again_when_it_comes_back() {
    let there = Node::listening(1, TCP).await;
    let (id, address) = (there.id(), there.handle.listening().await.remove(0));
    let mut here = Node::silent(2).await;
    here.knows(&there).await;
    here.handle.keep(id, true);
    here.until_connected(id).await;
    there.handle.stop().await;
    here.until_disconnected(id).await;
    here.until(|event| matches!(event, Event::Unreachable { peer } if peer == id).then_some(())).await;
    let there = Node::listening(1, &address).await;
    here.until_connected(id).await;
    drop(there);
}

#[tokio::test]
async fn a_bootstrap_address_is_dialled_until_reached_and_then_kept() {
    for named in [false, true] {
        let there = Node::listening(1, TCP).await;
        let (id, address) = (there.id(), there.handle.listening().await.remove(0));
        there.handle.stop().await;
        let mut early = config(2, &[]);
        early.bootstrap = vec![if named { format!("{address}/p2p/{id}") } else { address.clone() }];
        let mut here = Node::start(early).await;
        if named {
            here.until(|event| matches!(event, Event::Unreachable { .. }).then_some(())).await;
        }
        for _ in 0..2 {
            let there = Node::listening(1, &address).await;
            here.until_connected(id).await;
            there.handle.stop().await;
            here.until_disconnected(id).await;
        }
    }
}

#[tokio::test]
async fn a_blocked_peer_is_cut_off_and_cannot_come_back_until_unblocked() {
    for address in [TCP, QUIC] {
        let mut here = Node::listening(1, address).await;
        let mut there = Node::listening(2, address).await;
        there.knows(&here).await;
        here.knows(&there).await;
        let (inside, outside) = (here.id(), there.id());
        there.handle.keep(inside, true);
        here.until_connected(outside).await;
        there.until_connected(inside).await;

        here.handle.block(outside);
        here.until_disconnected(outside).await;
        there.until_disconnected(inside).await;
        let ours = here.ask(&there, b"").await;
        assert!(matches!(ours, Err(AskError::NotSent(OpenError::Blocked(peer))) if peer == outside), "{ours:?}");
        let theirs = soon(there.ask(&here, b"")).await;
        assert!(theirs.is_err(), "{theirs:?}");

        here.handle.unblock(outside);
        // The first thing that is told of the peer since it was blocked.
        let told = here
            .until(|event| match event {
                Event::Connected { peer, .. } if peer == outside => Some("connected"),
                Event::Asked { .. } => Some("asked"),
                _ => None,
            })
            .await;
        assert_eq!(told, "connected");
        there.until_connected(inside).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_at_start() {
    for address in [TCP, QUIC] {
        let first = Node::listening(1, address).await;
        let taken = first.handle.listening().await.remove(0);
        let error = start(config(2, &[&taken])).await.err().unwrap();
        assert!(matches!(error, StartError::PortInUse { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.starts_with(&format!("cannot listen on {taken}: port ")), "{said}");
        assert!(said.ends_with(" is already in use"), "{said}");
    }
    for (address, reason) in [
        ("/ip4/203.0.113.7/tcp/0", "this machine has no such address"),
        ("/ip4/127.0.0.1/udp/0", "it is neither"),
        ("nonsense", "is not an address"),
    ] {
        let said = start(config(2, &[address])).await.err().unwrap().to_string();
        assert!(said.contains(address) && said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn a_node_listens_on_tcp_and_quic_at_once_and_says_where() {
    let mut node = Node::start(config(1, &[TCP, QUIC])).await;
    let mut listening = node.handle.listening().await;
    listening.sort();
    assert_eq!(listening.len(), 2, "{listening:?}");
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(
            node.until(|event| match event {
                Event::Listening { address } => Some(address),
                _ => None,
            })
            .await,
        );
    }
    told.sort();
    assert_eq!(told, listening);
    let other = Node::silent(2).await;
    for address in listening {
        assert_eq!(soon(other.handle.dial(&address)).await, Ok(node.id()));
    }
    node.handle.clone().stop().await;
    assert!(node.handle.listening().await.is_empty());
    while node.events.next().await.is_some() {}
}

#[tokio::test]
async fn peers_learn_how_far_away_they_are() {
    let mut here = Node::silent(1).await;
    let there = Node::start(config(2, &[TCP, QUIC])).await;
    soon(here.handle.dial(&there.handle.listening().await[0])).await.unwrap();
    let round_trip = here
        .until(|event| match event {
            Event::RoundTrip { peer, span } if peer == there.id() => Some(span),
            _ => None,
        })
        .await;
    assert!(round_trip > Span::ZERO);
}

#[tokio::test]
async fn an_idle_connection_is_closed_unless_its_peer_is_kept() {
    let (kept, other) = (Node::listening(1, TCP).await, Node::listening(3, TCP).await);
    let mut impatient = config(2, &[]);
    impatient.idle_timeout = Span::millis(50);
    let mut here = Node::start(impatient).await;
    here.knows(&kept).await;
    here.knows(&other).await;
    here.handle.keep(kept.id(), true);
    here.until_connected(kept.id()).await;
    for _ in 0..2 {
        soon(here.handle.dial(&other.handle.listening().await[0])).await.unwrap();
        let gone = here
            .until(|event| match event {
                Event::Disconnected { peer } => Some(peer),
                _ => None,
            })
            .await;
        assert_eq!(gone, other.id());
    }
    here.handle.keep(kept.id(), false);
    here.until_disconnected(kept.id()).await;
}

/// Passes bytes on between a dialler and a node until told to freeze.
async fn relay(to: String, mut frozen: watch::Receiver<bool>) -> String {
    let port = to.split('/').nth(4).unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut from, _) = listener.accept().await.unwrap();
        let mut to = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
            _ = frozen.wait_for(|frozen| *frozen) => {}
        }
        // Both connections stay open, and nothing passes any more.
        let _ = frozen.wait_for(|frozen| !*frozen).await;
    });
    format!("/ip4/127.0.0.1/tcp/{here}")
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_found_dead() {
    let there = Node::listening(1, TCP).await;
    let (freeze, frozen) = watch::channel(false);
    let at = relay(there.handle.listening().await.remove(0), frozen).await;
    let mut watchful = config(2, &[]);
    (watchful.ping_every, watchful.ping_failures) = (Span::millis(100), 5);
    let mut here = Node::start(watchful).await;
    let id = soon(here.handle.dial(&at)).await.unwrap();
    here.until(|event| matches!(event, Event::RoundTrip { .. }).then_some(())).await;
    freeze.send(true).unwrap();
    here.until_disconnected(id).await;
}

#[tokio::test]
async fn connections_that_died_unnoticed_do_not_keep_a_reborn_peer_out() {
    let mut narrow = config(1, &[TCP]);
    narrow.limits.connections_per_peer = 4;
    let there = Node::start(narrow).await;
    let (at, id) = (there.handle.listening().await.remove(0), there.id());
    let echo = there.echo();
    let mut dead = Vec::new();
    for _ in 0..8 {
        // One key, life after life: each falls silent with its connection still open.
        let (freeze, frozen) = watch::channel(false);
        let life = Node::silent(2).await;
        soon(life.handle.dial(&relay(at.clone(), frozen).await)).await.unwrap();
        assert!(soon(life.handle.ask(id, transport::Protocol::Rear, vec![], common::LONG)).await.is_ok());
        freeze.send(true).unwrap();
        dead.push((freeze, life));
    }
    drop(echo);
}

#[tokio::test]
async fn connections_over_the_limit_of_a_peer_are_refused() {
    let mut narrow = config(1, &[TCP]);
    narrow.limits.connections = 8;
    narrow.limits.connections_per_peer = 1;
    let there = Node::start(narrow).await;
    let at = there.handle.listening().await.remove(0);
    // Two nodes of one key: to the far side they are one peer.
    let (one, two) = (Node::silent(2).await, Node::silent(2).await);
    soon(one.handle.dial(&at)).await.unwrap();
    one.handle.keep(there.id(), true);
    two.knows(&there).await;
    let id = there.id();
    let echo = there.echo();
    assert!(soon(two.handle.ask(id, transport::Protocol::Rear, vec![], common::LONG)).await.is_err());
    assert!(soon(one.handle.ask(id, transport::Protocol::Rear, vec![], common::LONG)).await.is_ok());
    drop(echo);
}

#[tokio::test]
async fn strangers_crowd_out_each_other_and_nobody_who_is_trusted() {
    let mut narrow = config(1, &[TCP]);
    narrow.limits.connections = 8;
    let mut here = Node::start(narrow).await;
    let at = here.handle.listening().await.remove(0);
    let mut others = Vec::new();
    for seed in 2..=4 {
        others.push(Node::silent(seed).await);
    }
    // Two connections are for strangers, and the first comer is none.
    here.handle.trust(others[0].id(), true);
    for other in &others {
        soon(other.handle.dial(&at)).await.unwrap();
        here.until_connected(other.id()).await;
    }
    let late = Node::silent(5).await;
    soon(late.handle.dial(&at)).await.unwrap();
    let gone = |event| if let Event::Disconnected { peer } = event { Some(peer) } else { None };
    assert_eq!(here.until(gone).await, others[1].id(), "the oldest stranger");
    here.handle.trust(others[0].id(), false);
    let later = Node::silent(6).await;
    soon(later.handle.dial(&at)).await.unwrap();
    let both = BTreeSet::from([here.until(gone).await, here.until(gone).await]);
    assert_eq!(both, BTreeSet::from([others[0].id(), others[2].id()]), "it is one again");
}
