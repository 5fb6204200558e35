//! Asks and answers between nodes on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{LONG, Node, QUIC, TCP, config, soon};
use kernel::{NodeId, Span};
use transport::{AskError, Event, OpenError, Protocol};

#[tokio::test]
async fn an_ask_is_answered_over_tcp_and_over_quic() {
    for address in [TCP, QUIC] {
        let mut asked = Node::listening(1, address).await;
        let asker = Node::silent(2).await;
        asker.knows(&asked).await;
        for (protocol, request) in [(Protocol::Rear, vec![7; 100_000]), (Protocol::Federation, Vec::new())] {
            let answering = asked.until(|event| match event {
                Event::Asked { peer, protocol, body, answer } => Some((peer, protocol, body, answer)),
                _ => None,
            });
            let asking = asker.handle.ask(asked_id(1), protocol, request.clone(), LONG);
            let answering = async {
                let (peer, asked_in, body, answer) = answering.await;
                assert_eq!((peer, asked_in), (asker.id(), protocol), "the proven peer, and the protocol it chose");
                assert_eq!(body, request);
                answer.send(vec![9; 900_000]).unwrap();
            };
            let (answered, ()) = soon(async { tokio::join!(asking, answering) }).await;
            assert_eq!(answered.unwrap(), vec![9; 900_000], "{address}");
        }
    }
}

/// The id of the node with this seed.
fn asked_id(seed: u8) -> NodeId {
    let key = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).unwrap();
    NodeId(key.public().try_into_ed25519().unwrap().to_bytes())
}

#[tokio::test]
async fn many_asks_at_once_are_each_answered_with_their_own() {
    for address in [TCP, QUIC] {
        let asked = Node::listening(1, address).await;
        let asker = Node::silent(2).await;
        asker.knows(&asked).await;
        let echo = asked.echo();
        let to = echo.id();
        let asks = (0..60u8).map(|n| asker.handle.ask(to, Protocol::Rear, vec![n; 1000], LONG));
        let answers = soon(futures::future::join_all(asks)).await;
        for (n, answer) in (0..60u8).zip(answers) {
            assert_eq!(answer.unwrap(), vec![n; 1000]);
        }
    }
}

#[tokio::test]
async fn a_dropped_answer_is_told_to_the_asker() {
    for address in [TCP, QUIC] {
        let mut asked = Node::listening(1, address).await;
        let asker = Node::silent(2).await;
        asker.knows(&asked).await;
        let to = asked.id();
        let asking = asker.handle.ask(to, Protocol::Rear, vec![1], Span::secs(3600));
        let dropping = asked.until(|event| matches!(event, Event::Asked { .. }).then_some(()));
        let (answer, ()) = soon(async { tokio::join!(asking, dropping) }).await;
        assert!(matches!(answer, Err(AskError::NoAnswer(peer)) if peer == to), "{answer:?}");
    }
}

#[tokio::test]
async fn a_silent_peer_is_given_up_at_our_deadline() {
    let mut asked = Node::listening(1, TCP).await;
    let asker = Node::silent(2).await;
    asker.knows(&asked).await;
    let deadline = Span::millis(50);
    let to = asked.id();
    let (held, answer) = soon(async {
        tokio::join!(
            asked.until(|event| match event {
                Event::Asked { answer, .. } => Some(answer),
                _ => None,
            }),
            asker.handle.ask(to, Protocol::Rear, vec![1], deadline)
        )
    })
    .await;
    assert!(matches!(answer, Err(AskError::Timeout { peer, .. }) if peer == to), "{answer:?}");
    drop(held);
}

#[tokio::test]
async fn a_dropped_ask_gives_its_place_back() {
    let mut asked = Node::listening(1, TCP).await;
    let mut lone = config(2, &[]);
    lone.limits.outgoing_per_peer = 1;
    let asker = Node::start(lone).await;
    asker.knows(&asked).await;
    let to = asked.id();
    for _ in 0..3 {
        let held = tokio::select! {
            held = asked.until(|event| match event {
                Event::Asked { answer, .. } => Some(answer),
                _ => None,
            }) => held,
            answer = asker.handle.ask(to, Protocol::Rear, vec![1], LONG) => panic!("{answer:?}"),
        };
        // The ask was dropped by the select. Its answer comes too late.
        drop(held);
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_on_both_sides() {
    let mut generous = config(2, &[]);
    generous.limits.request_bytes = 2 * 1024 * 1024;
    let generous = Node::start(generous).await;
    let strict = Node::silent(3).await;
    for address in [TCP, QUIC] {
        let asked = Node::listening(1, address).await;
        generous.knows(&asked).await;
        strict.knows(&asked).await;
        let limit = 256 * 1024;
        let over = vec![0; limit + 1];
        let answer = strict.ask(&asked, &over).await;
        assert!(
            matches!(answer, Err(AskError::RequestTooLarge { size, limit: told }) if size == limit + 1 && told == limit),
            "{answer:?}"
        );
        // One byte over, and far more than fits into any window.
        for size in [limit + 1, 2 * 1024 * 1024] {
            let answer = soon(generous.ask(&asked, &vec![0; size])).await;
            assert!(matches!(answer, Err(AskError::RequestTooLarge { .. } | AskError::Closed(_))), "{answer:?}");
        }
        let echo = Node { handle: asked.handle.clone(), events: asked.events }.echo();
        let answer = strict.handle.ask(echo.id(), Protocol::Rear, vec![5; limit], LONG).await;
        assert_eq!(answer.unwrap().len(), limit, "the connection has survived");
        echo.stop().await;
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_on_both_sides() {
    for address in [TCP, QUIC] {
        let mut generous = config(1, &[address]);
        generous.limits.answer_bytes = 8 * 1024 * 1024;
        let mut asked = Node::start(generous).await;
        let asker = Node::silent(2).await;
        asker.knows(&asked).await;
        let to = asked.id();
        let (answer, ()) = soon(async {
            tokio::join!(asker.handle.ask(to, Protocol::Rear, vec![1], LONG), async {
                let answer = asked
                    .until(|event| match event {
                        Event::Asked { answer, .. } => Some(answer),
                        _ => None,
                    })
                    .await;
                answer.send(vec![0; 7 * 1024 * 1024]).unwrap();
            })
        })
        .await;
        let Err(AskError::Unreadable { source, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(source.to_string(), "a body of 7340032 bytes is over the limit of 1048576");
    }
}

#[tokio::test]
async fn asks_over_the_limit_are_refused_as_busy_and_the_others_are_answered() {
    for address in [TCP, QUIC] {
        let mut narrow = config(1, &[address]);
        narrow.limits.requests_per_peer = 2;
        let mut asked = Node::start(narrow).await;
        let asker = Node::silent(2).await;
        asker.knows(&asked).await;
        let to = asked.id();
        let held = async {
            let mut held = Vec::new();
            for _ in 0..2 {
                held.push(
                    asked
                        .until(|event| match event {
                            Event::Asked { answer, .. } => Some(answer),
                            _ => None,
                        })
                        .await,
                );
            }
            let refused = asker.handle.ask(to, Protocol::Rear, vec![3; 100_000], LONG).await;
            assert!(matches!(refused, Err(AskError::Busy { peer, .. }) if peer == to), "{refused:?}");
            for answer in held {
                answer.send(vec![4]).unwrap();
            }
        };
        let (one, two, ()) = soon(async {
            tokio::join!(
                asker.handle.ask(to, Protocol::Rear, vec![1], LONG),
                asker.handle.ask(to, Protocol::Federation, vec![2], LONG),
                held
            )
        })
        .await;
        assert_eq!((one.unwrap(), two.unwrap()), (vec![4], vec![4]));
    }
}

#[tokio::test]
async fn an_owner_that_takes_no_events_is_busy_and_not_silent() {
    let mut small = config(1, &[TCP]);
    small.limits.events = 2;
    let asked = Node::start(small).await;
    let asker = Node::silent(2).await;
    asker.knows(&asked).await;
    let asks = (0..20).map(|_| asker.handle.ask(asked.id(), Protocol::Rear, vec![0], Span::secs(10)));
    // The queue is full at latest after two asks; those that found room wait for their answer, the others hear at once.
    let mut busy = 0;
    soon(async {
        let mut asks: futures::stream::FuturesUnordered<_> = asks.collect();
        while busy < 18 {
            let answer = futures::StreamExt::next(&mut asks).await.unwrap();
            assert!(matches!(answer, Err(AskError::Busy { .. })), "{answer:?}");
            busy += 1;
        }
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_said_at_once_and_why() {
    let asker = Node::silent(2).await;
    let nobody = asked_id(9);
    let unknown = asker.handle.ask(nobody, Protocol::Rear, vec![], LONG).await.unwrap_err();
    assert_eq!(unknown.to_string(), format!("{nobody} cannot be reached: no address of it is known"));

    let gone = Node::listening(1, TCP).await;
    let address = gone.handle.listening().await.remove(0);
    asker.knows(&gone).await;
    let id = gone.id();
    gone.handle.stop().await;
    let refused = soon(asker.handle.ask(id, Protocol::Rear, vec![], LONG)).await.unwrap_err();
    assert!(matches!(refused, AskError::NotSent(OpenError::Unreachable { .. })), "{refused:?}");
    assert!(refused.to_string().contains(&address), "{refused}");

    let itself = asker.handle.ask(asker.id(), Protocol::Rear, vec![], LONG).await.unwrap_err();
    assert!(itself.to_string().contains("this node itself"), "{itself}");

    let handle = asker.handle.clone();
    asker.handle.stop().await;
    let stopped = handle.ask(id, Protocol::Rear, vec![], LONG).await;
    assert!(matches!(stopped, Err(AskError::NotSent(OpenError::Stopped))), "{stopped:?}");
}

#[tokio::test]
async fn a_peer_that_stops_breaks_the_asks_it_owes() {
    for address in [TCP, QUIC] {
        let mut asked = Node::listening(1, address).await;
        let asker = Node::silent(2).await;
        asker.knows(&asked).await;
        let to = asked.id();
        let (answer, held) = soon(async {
            tokio::join!(asker.handle.ask(to, Protocol::Rear, vec![1], LONG), async {
                let held = asked
                    .until(|event| match event {
                        Event::Asked { answer, .. } => Some(answer),
                        _ => None,
                    })
                    .await;
                asked.handle.stop().await;
                held
            })
        })
        .await;
        assert!(matches!(answer, Err(AskError::Closed(peer)) if peer == to), "{answer:?}");
        assert!(held.send(vec![1]).is_err(), "nobody waits");
    }
}

#[tokio::test]
async fn strangers_asks_leave_room_for_those_of_the_trusted() {
    let mut narrow = config(1, &[TCP]);
    narrow.limits.requests = 8;
    let mut asked = Node::start(narrow).await;
    let to = asked.id();
    let (strangers, member) = ([Node::silent(2).await, Node::silent(3).await], Node::silent(4).await);
    asked.handle.trust(member.id(), true);
    for asker in strangers.iter().chain([&member]) {
        asker.knows(&asked).await;
    }
    // Two of eight are for strangers, and both are taken.
    let held = async {
        let mut held = Vec::new();
        for _ in 0..2 {
            let take = |event| match event {
                Event::Asked { answer, .. } => Some(answer),
                _ => None,
            };
            held.push(asked.until(take).await);
        }
        let refused = strangers[1].handle.ask(to, Protocol::Rear, vec![3], LONG).await;
        assert!(matches!(refused, Err(AskError::Busy { .. })), "{refused:?}");
        let answering = async {
            let take = |event| match event {
                Event::Asked { answer, body, .. } => Some((answer, body)),
                _ => None,
            };
            let (answer, body) = asked.until(take).await;
            answer.send(body).unwrap();
        };
        let (answer, ()) = tokio::join!(member.handle.ask(to, Protocol::Rear, vec![5], LONG), answering);
        assert_eq!(answer.unwrap(), [5], "who is trusted is served");
        for answer in held {
            answer.send(vec![4]).unwrap();
        }
    };
    let ask = || strangers[0].handle.ask(to, Protocol::Rear, vec![1], LONG);
    let (one, two, ()) = soon(async { tokio::join!(ask(), ask(), held) }).await;
    assert_eq!((one.unwrap(), two.unwrap()), (vec![4], vec![4]));
}
