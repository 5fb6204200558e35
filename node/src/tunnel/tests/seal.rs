//! What the seal holds against whoever carries the stream.

use std::{
    io::ErrorKind,
    pin::pin,
    sync::atomic::AtomicUsize,
    task::{Context, Poll, Waker},
};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::*;
use crate::tunnel::secure::{self, Keys, MAX_SEALED, Secure};

fn keys(mine: usize, theirs: usize) -> Keys {
    let secret = |which: usize| SECRETS.get(which).copied().unwrap_or([13; 32]);
    Keys { secret: Zeroizing::new(secret(mine)), remote: public(&secret(theirs)) }
}

/// Both ends of a sealed stream over a pipe.
async fn sealed(pipe: usize) -> (Secure<DuplexStream>, Secure<DuplexStream>) {
    let (near, mut far) = duplex(pipe);
    let door = async {
        secure::read_header(&mut far).await.unwrap();
        secure::respond(far, &keys(1, 0)).await.unwrap()
    };
    let dialler = keys(0, 1);
    let (dialler, door) = tokio::join!(secure::initiate(near, &dialler, &CONTRACT), door);
    (dialler.unwrap(), door)
}

/// What lies between the two ends and can do as it likes with the bytes.
struct Between {
    dialler: Secure<DuplexStream>,
    from_dialler: DuplexStream,
    to_door: DuplexStream,
    door: Secure<DuplexStream>,
}

async fn between() -> Between {
    let (near, mut from_dialler) = duplex(PIPE);
    let (mut to_door, mut far) = duplex(PIPE);
    let dialler = keys(0, 1);
    let (dialler, door, ()) = tokio::join!(
        secure::initiate(near, &dialler, &CONTRACT),
        async {
            secure::read_header(&mut far).await.unwrap();
            secure::respond(far, &keys(1, 0)).await.unwrap()
        },
        async {
            let mut hello = [0; 22 + 48];
            from_dialler.read_exact(&mut hello).await.unwrap();
            to_door.write_all(&hello).await.unwrap();
            let mut answer = [0; 48];
            to_door.read_exact(&mut answer).await.unwrap();
            from_dialler.write_all(&answer).await.unwrap();
        }
    );
    Between { dialler: dialler.unwrap(), from_dialler, to_door, door }
}

impl Between {
    /// Has the dialler send each text as one record, then its end, and returns the records.
    async fn records(&mut self, texts: &[&[u8]]) -> Vec<Vec<u8>> {
        for text in texts {
            self.dialler.write_all(text).await.unwrap();
            self.dialler.flush().await.unwrap();
        }
        self.dialler.shutdown().await.unwrap();
        let mut records = Vec::new();
        while let Ok(length) = self.from_dialler.read_u16().await {
            let mut record = length.to_be_bytes().to_vec();
            record.resize(2 + usize::from(length), 0);
            self.from_dialler.read_exact(&mut record[2..]).await.unwrap();
            records.push(record);
        }
        records
    }

    /// Gives the door these bytes and nothing more, and returns what it reads and how that ended.
    async fn gives(self, bytes: &[u8]) -> (Vec<u8>, std::io::Result<usize>) {
        let Self { mut to_door, mut door, .. } = self;
        to_door.write_all(bytes).await.unwrap();
        to_door.shutdown().await.unwrap();
        let mut read = Vec::new();
        let ended = door.read_to_end(&mut read).await;
        if ended.is_err() {
            assert!(door.read_u8().await.is_err() && door.write_u8(0).await.is_err(), "it stays broken");
        }
        (read, ended)
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_and_each_end_is_seen_by_itself() {
    let (mut dialler, mut door) = sealed(100).await;
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let (written, read) = tokio::join!(
        async {
            dialler.write_all(&sent).await.unwrap();
            dialler.shutdown().await
        },
        async {
            let mut read = Vec::new();
            door.read_to_end(&mut read).await.unwrap();
            read
        }
    );
    written.unwrap();
    assert_eq!(read, sent);
    assert_eq!(dialler.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    // The other direction is still open.
    let answering = async {
        door.write_all(b"heard you").await.unwrap();
        door.shutdown().await.unwrap();
    };
    let mut answer = String::new();
    tokio::join!(answering, async { dialler.read_to_string(&mut answer).await.unwrap() });
    assert_eq!(answer, "heard you");
}

#[tokio::test]
async fn what_was_flushed_arrives_without_more() {
    let (mut dialler, mut door) = sealed(100).await;
    let writing = async {
        dialler.write_all(&[1; 1000]).await.unwrap();
        dialler.flush().await.unwrap();
    };
    let mut read = [0; 1000];
    soon(async { tokio::join!(writing, door.read_exact(&mut read)) }).await.1.unwrap();
    assert_eq!(read, [1; 1000]);
}

#[tokio::test]
async fn who_has_not_got_the_key_hears_nothing() {
    let check = async |dialler: Keys, door: Keys| {
        let (near, mut far) = duplex(PIPE);
        let answering = async {
            assert_eq!(secure::read_header(&mut far).await.unwrap(), CONTRACT);
            secure::respond(far, &door).await.err()
        };
        let (near, far) = tokio::join!(secure::initiate(near, &dialler, &CONTRACT), answering);
        assert!(matches!(far, Some(Failure::Unproven)), "{far:?}");
        assert!(matches!(near.err(), Some(Failure::Silent(_))), "not a byte came back");
    };
    check(keys(2, 1), keys(1, 0)).await;
    check(keys(0, 2), keys(1, 0)).await;
    check(keys(0, 1), keys(1, 2)).await;
}

#[tokio::test]
async fn a_door_without_the_key_is_found_out() {
    let (near, mut far) = duplex(PIPE);
    let dialler = keys(0, 1);
    let pretending = async {
        let mut hello = [0; 22 + 48];
        far.read_exact(&mut hello).await.unwrap();
        far.write_all(&hello[22..]).await.unwrap();
    };
    let (near, ()) = tokio::join!(secure::initiate(near, &dialler, &CONTRACT), pretending);
    assert!(matches!(near.err(), Some(Failure::Unproven)));
}

#[tokio::test]
async fn any_flipped_bit_ends_the_stream_before_what_it_is_in() {
    let whole = between().await.records(&[b"first", b"second"]).await.concat();
    for at in 0..whole.len() {
        let mut between = between().await;
        let mut bytes = between.records(&[b"first", b"second"]).await.concat();
        bytes[at] ^= 1;
        let (read, ended) = between.gives(&bytes).await;
        assert!(ended.is_err(), "byte {at}");
        let intact: &[u8] = match at {
            0..23 => b"",
            23..47 => b"first",
            _ => b"firstsecond",
        };
        assert_eq!(read, intact, "byte {at}");
    }
}

#[tokio::test]
async fn a_stream_cut_short_anywhere_is_noticed() {
    let whole = between().await.records(&[b"first", b"second"]).await.concat().len();
    for length in 0..whole {
        let mut between = between().await;
        let bytes = between.records(&[b"first", b"second"]).await.concat();
        let (read, ended) = between.gives(&bytes[..length]).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::UnexpectedEof, "cut at {length}");
        assert!(b"firstsecond".starts_with(&read));
    }
    let mut between = between().await;
    let bytes = between.records(&[b"first", b"second"]).await.concat();
    let (read, ended) = between.gives(&bytes).await;
    assert_eq!((read.as_slice(), ended.unwrap()), (&b"firstsecond"[..], 11));
}

#[tokio::test]
async fn records_can_not_be_left_out_repeated_or_moved() {
    for (order, intact) in [(&[1, 2][..], ""), (&[0, 2], "a"), (&[0, 0, 1, 2], "a"), (&[1, 0, 2], ""), (&[2], "")] {
        let mut between = between().await;
        let records = between.records(&[b"a", b"b"]).await;
        let bytes: Vec<u8> = order.iter().flat_map(|&at| records[at].clone()).collect();
        let (read, ended) = between.gives(&bytes).await;
        assert!(ended.is_err(), "{order:?}");
        assert_eq!(read, intact.as_bytes(), "{order:?}");
    }
}

#[tokio::test]
async fn a_stream_played_back_is_turned_away_at_its_first_record() {
    let (near, mut far) = duplex(PIPE);
    let mut tape = vec![0; 22 + 48];
    let dialler = keys(0, 1);
    let (dialler, ()) = tokio::join!(secure::initiate(near, &dialler, &CONTRACT), async {
        far.read_exact(&mut tape).await.unwrap();
        let (mut replay, mut door) = duplex(PIPE);
        replay.write_all(&tape).await.unwrap();
        secure::read_header(&mut door).await.unwrap();
        let _door = secure::respond(door, &keys(1, 0)).await.unwrap();
        let mut answer = [0; 48];
        replay.read_exact(&mut answer).await.unwrap();
        far.write_all(&answer).await.unwrap();
    });
    dialler.unwrap().write_all(b"do it").await.unwrap();
    far.read_to_end(&mut tape).await.unwrap();
    assert!(tape.len() > 70);

    let (mut replay, mut door) = duplex(PIPE);
    replay.write_all(&tape).await.unwrap();
    secure::read_header(&mut door).await.unwrap();
    let mut door = secure::respond(door, &keys(1, 0)).await.unwrap();
    assert_eq!(door.read_u8().await.unwrap_err().kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn a_writer_waits_for_a_reader_that_does_not_read() {
    let (mut dialler, mut door) = sealed(PIPE).await;
    let taken = AtomicUsize::new(0);
    {
        let mut writing = pin!(async {
            loop {
                let n = dialler.write(&[0; 1000]).await.unwrap();
                taken.fetch_add(n, Ordering::Relaxed);
            }
        });
        let polled: Poll<()> = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let before = taken.load(Ordering::Relaxed);
        assert!(before <= PIPE + MAX_SEALED, "{before} bytes were taken without a reader");
        soon(door.read_exact(&mut vec![0; before / 2])).await.unwrap();
        assert!(writing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(taken.load(Ordering::Relaxed) > before, "reading lets the writer go on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_sizes_of_writes_and_reads_the_bytes_are_the_same(
        pipe in 1_usize..40_000,
        writes in prop::collection::vec((0_usize..40_000, any::<bool>()), 0..8),
        reads in prop::collection::vec(1_usize..40_000, 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut dialler, mut door) = sealed(pipe).await;
            let total: usize = writes.iter().map(|(size, _)| size).sum();
            let sent: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
            let mut rest = sent.as_slice();
            let writing = async {
                for (size, flush) in writes {
                    let (now, later) = rest.split_at(size);
                    dialler.write_all(now).await.unwrap();
                    if flush {
                        dialler.flush().await.unwrap();
                    }
                    rest = later;
                }
                dialler.shutdown().await.unwrap();
            };
            let reading = async {
                let mut read = Vec::new();
                for size in reads.iter().cycle() {
                    let mut buffer = vec![0; *size];
                    match door.read(&mut buffer).await.unwrap() {
                        0 => break,
                        n => read.extend_from_slice(&buffer[..n]),
                    }
                }
                read
            };
            let ((), read) = tokio::join!(writing, reading);
            assert!(read == sent);
        });
    }
}
