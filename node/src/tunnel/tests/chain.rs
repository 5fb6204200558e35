//! A consumer and a provider who do not know each other, with two relays between them.

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::*;
use crate::tunnel::{
    secure::{self, Keys, MAX_SEALED},
    words::{self, MAX_WORDS, Opening, Purpose},
};

/// The relay of the consumer's domain, and that of the provider's.
pub(super) const NEAR: NodeId = NodeId([4; 32]);
pub(super) const FAR: NodeId = NodeId([5; 32]);
/// The contracts between the relays, and between the far one and the provider.
pub(super) const MIDDLE: ContractId = ContractId([8; 16]);
pub(super) const LAST: ContractId = ContractId([9; 16]);

/// Consumer – near – far – provider; each reaches its neighbours alone.
pub(super) struct Chain {
    pub(super) consumer: End,
    pub(super) near: End,
    pub(super) far: End,
    pub(super) provider: End,
}

pub(super) const QUICK: Pace =
    Pace { opening: Duration::from_secs(5), proof: Duration::from_secs(15), report: Duration::from_millis(1) };

pub(super) fn party(node: NodeId) -> Party {
    Party { node, addresses: Vec::new() }
}

pub(super) fn junction(front: ContractId, buyer: NodeId, back: ContractId, seller: NodeId) -> Junction {
    Junction { front, buyer: party(buyer), back, seller: party(seller), streams: 3 }
}

impl Chain {
    /// The nodes without any router.
    pub(super) fn bare(pace: Pace) -> Self {
        let chain = Self {
            consumer: End::under(CONTRACT, CONSUMER, pace),
            near: End::under(CONTRACT, NEAR, pace),
            far: End::under(MIDDLE, FAR, pace),
            provider: End::under(LAST, PROVIDER, pace),
        };
        let Self { consumer, near, far, provider } = &chain;
        for (one, other) in [(consumer, near), (near, far), (far, provider)] {
            one.reaches(other);
            other.reaches(one);
        }
        chain
    }

    pub(super) fn at(pace: Pace) -> Self {
        let chain = Self::bare(pace);
        let Self { consumer, near, far, provider } = &chain;
        consumer.tunnels.install(Route { peer: party(NEAR), ..route(Side::Consumer) });
        near.tunnels.join(junction(CONTRACT, CONSUMER, MIDDLE, FAR));
        far.tunnels.join(junction(MIDDLE, NEAR, LAST, PROVIDER));
        provider.tunnels.install(Route { contract: LAST, peer: party(FAR), ..route(Side::Provider) });
        chain
    }

    pub(super) fn new() -> Self {
        Self::at(QUICK)
    }

    /// Both ends of a connection.
    pub(super) async fn connection(&mut self) -> (Box<dyn Stream>, DuplexStream) {
        (self.consumer.opens().await.unwrap(), self.provider.accepts().await)
    }

    /// Takes the router away at one of the four.
    fn cut(&self, which: usize) {
        match which {
            0 => self.consumer.tunnels.remove(CONTRACT),
            1 => self.near.tunnels.remove(CONTRACT),
            2 => self.near.tunnels.remove(MIDDLE),
            3 => self.far.tunnels.remove(MIDDLE),
            4 => self.far.tunnels.remove(LAST),
            _ => self.provider.tunnels.remove(LAST),
        }
    }
}

#[tokio::test]
async fn everything_passes_through_two_relays() {
    let Chain { mut consumer, near, far, mut provider } = Chain::new();
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

    assert_eq!(*near.fake.known.lock().unwrap(), [CONSUMER, FAR]);
    assert_eq!(*far.fake.known.lock().unwrap(), [NEAR, PROVIDER]);
}

#[tokio::test]
async fn a_relay_says_nothing_by_itself() {
    let Chain { mut near, .. } = Chain::new();
    for contract in [CONTRACT, MIDDLE] {
        near.tunnels.transmit(1, contract, ask(FabricRequest::Close), Span::secs(600));
        assert_eq!(near.refusal(1).await.code(), Code::Closed);
        near.tunnels.ship(2, contract, digest_of(b"any"));
        assert_eq!(near.refusal(2).await.code(), Code::Closed);
    }
}

#[tokio::test]
async fn each_direction_ends_by_itself_through_relays() {
    let mut chain = Chain::new();
    for user_ends_first in [true, false] {
        let (mut user, workload) = chain.connection().await;
        let mut workload: Box<dyn Stream> = Box::new(workload);
        let (first, second) = if user_ends_first { (&mut user, &mut workload) } else { (&mut workload, &mut user) };
        first.write_all(b"request").await.unwrap();
        first.shutdown().await.unwrap();
        let mut heard = String::new();
        soon(second.read_to_string(&mut heard)).await.unwrap();
        assert_eq!(heard, "request");
        for _ in 0..3 {
            second.write_all(b"part").await.unwrap();
            second.flush().await.unwrap();
            soon(first.read_exact(&mut [0; 4])).await.unwrap();
        }
        second.shutdown().await.unwrap();
        assert_eq!(soon(first.read(&mut [0])).await.unwrap(), 0);
    }
    let Chain { mut near, mut far, .. } = chain;
    assert_eq!(near.metered(0).await.streams, 0);
    assert_eq!(far.metered(0).await.streams, 0);
}

/// Writes until nothing more is taken, however long everybody else is let run: there is one thread.
async fn fill(stream: &mut (impl AsyncWrite + Unpin + ?Sized)) -> usize {
    let (mut taken, mut quiet) = (0, 0);
    while quiet < 1000 {
        if let Some(written) = stream.write(&[1; 4096]).now_or_never() {
            taken += written.unwrap();
            quiet = 0;
        } else {
            quiet += 1;
            tokio::task::yield_now().await;
        }
    }
    taken
}

/// What three pipes and the workload's hold, and a few records at each node.
const UNDER_WAY: usize = 4 * PIPE + 8 * MAX_SEALED;

#[tokio::test]
async fn a_reader_that_stops_stops_its_writer_through_relays() {
    let mut chain = Chain::new();
    for user_writes in [true, false] {
        let (user, workload) = chain.connection().await;
        let workload: Box<dyn Stream> = Box::new(workload);
        let (mut writer, mut reader) = if user_writes { (user, workload) } else { (workload, user) };
        let held = fill(&mut writer).await;
        assert!(held <= UNDER_WAY, "{held} bytes were taken without a reader");
        soon(reader.read_exact(&mut vec![0; 200_000])).await.unwrap();
        let more = fill(&mut writer).await;
        assert!(more > 0, "reading lets the writer go on");
        assert!(held + more <= UNDER_WAY + 200_000);
        // Another stream of the same contract is none the slower.
        let (mut other, mut its) = chain.connection().await;
        other.write_all(b"ping").await.unwrap();
        other.flush().await.unwrap();
        soon(its.read_exact(&mut [0; 4])).await.unwrap();
        let mut rest = Vec::new();
        let (ended, read) = soon(async { tokio::join!(writer.shutdown(), reader.read_to_end(&mut rest)) }).await;
        ended.unwrap();
        read.unwrap();
        assert_eq!(200_000 + rest.len(), held + more, "nothing is lost");
    }
}

#[tokio::test]
async fn a_router_removed_anywhere_ends_the_stream_everywhere() {
    for which in 0..6 {
        for stalled in [false, true] {
            let mut chain = Chain::new();
            let (mut user, mut workload) = chain.connection().await;
            if stalled {
                fill(&mut user).await;
                fill(&mut workload).await;
            }
            chain.cut(which);
            let user = async move { user.read_to_end(&mut Vec::new()).await };
            let workload = async move { workload.read_to_end(&mut Vec::new()).await };
            let (user, workload) = (tokio::spawn(user), tokio::spawn(workload));
            let user = soon(user).await.unwrap();
            let _ = soon(workload).await.unwrap();
            assert!(user.is_err(), "not a clean end: {which}");
            let Chain { mut consumer, mut near, mut far, mut provider } = chain;
            for end in [&mut consumer, &mut near, &mut far, &mut provider] {
                assert_eq!(end.metered(0).await.streams, 0, "{which}");
            }
            consumer.asks(1);
            let code = if which == 0 { Code::Closed } else { Code::Unavailable };
            assert_eq!(consumer.refusal(1).await.code(), code, "{which}");
        }
    }
}

/// The relays drop a stalled stream at once, whoever may never read on.
#[tokio::test]
async fn a_stalled_stream_is_cut_at_a_relay_before_anybody_reads() {
    for (up, down) in [(true, false), (false, true), (true, true)] {
        let mut chain = Chain::new();
        let (mut user, mut workload) = chain.connection().await;
        if up {
            fill(&mut user).await;
        }
        if down {
            fill(&mut workload).await;
        }
        chain.far.tunnels.remove(MIDDLE);
        assert_eq!(chain.far.metered(0).await.streams, 0);
    }
}

#[tokio::test]
async fn a_router_joined_again_keeps_its_streams_unless_it_is_another() {
    let mut chain = Chain::new();
    let (mut user, mut workload) = chain.connection().await;
    let mut moved = junction(MIDDLE, NEAR, LAST, PROVIDER);
    moved.seller.addresses.push("/ip4/192.0.2.1/tcp/1".into());
    chain.far.tunnels.join(moved);
    user.write_all(b"on").await.unwrap();
    user.flush().await.unwrap();
    soon(workload.read_exact(&mut [0; 2])).await.unwrap();
    chain.far.tunnels.join(junction(MIDDLE, NEAR, LAST, STRANGER));
    assert_eq!(soon(workload.read(&mut [0])).await.unwrap(), 0);
    assert!(soon(user.read(&mut [0])).await.is_err());
    // Nothing of the old one is left: not under its back's name either.
    chain.far.tunnels.join(junction(MIDDLE, NEAR, ContractId([10; 16]), PROVIDER));
    assert!(chain.far.tunnels.0.routers.way(LAST, STRANGER).is_none());
    chain.provider.asks(1);
    assert_eq!(chain.provider.refusal(1).await.code(), Code::Unavailable);
}

#[tokio::test]
async fn every_node_counts_what_has_passed() {
    let mut chain = Chain::new();
    let (onward, backward) = (Tap::listening(), Tap::listening());
    chain.near.is_tapped(FAR, &onward);
    chain.far.is_tapped(NEAR, &backward);
    let (mut user, mut workload) = chain.connection().await;
    let up = async {
        user.write_all(&[1; 300_000]).await.unwrap();
        user.shutdown().await.unwrap();
        user.read_to_end(&mut Vec::new()).await.unwrap();
    };
    let down = async {
        workload.read_to_end(&mut Vec::new()).await.unwrap();
        workload.write_all(&[2; 50_000]).await.unwrap();
        workload.shutdown().await.unwrap();
    };
    soon(async { tokio::join!(up, down) }).await;
    drop(user);
    let all = |up: &Tap, down: &Tap| Reading {
        up: (up.passed(true).len() + down.passed(false).len()) as u64,
        down: (up.passed(false).len() + down.passed(true).len()) as u64,
        streams: 0,
    };
    let whole = all(&onward, &backward);
    assert!(whole.up > 300_000 && whole.down > 50_000);
    for end in [&mut chain.consumer, &mut chain.near, &mut chain.far, &mut chain.provider] {
        soon(end.counts(whole)).await;
    }
    // One that the provider's side opens, and reads to its end.
    let (near, other) = duplex(PIPE);
    chain.far.tunnels.take_in(PROVIDER, Box::new(other));
    let keys = Keys { secret: SECRETS[1].into(), remote: public(&SECRETS[0]) };
    let mut stream = soon(secure::initiate(near, &keys, &LAST)).await.unwrap();
    words::write(&mut stream, &Opening::from(Purpose::Fabric), MAX_WORDS).await.unwrap();
    words::write(&mut stream, &ask(FabricRequest::Close), MAX_WORDS).await.unwrap();
    stream.flush().await.unwrap();
    assert!(matches!(chain.consumer.told().await, Told::Heard(_)));
    soon(stream.read_to_end(&mut Vec::new())).await.unwrap();
    drop(stream);
    let both = all(&onward, &backward);
    assert!(both.up > whole.up + 48 && both.down > whole.down + 22 + 48, "{whole:?} {both:?}");
    for end in [&mut chain.consumer, &mut chain.near, &mut chain.far] {
        soon(end.counts(both)).await;
    }
}

impl End {
    /// Waits until exactly this has been reported in all.
    async fn counts(&mut self, all: Reading) {
        while self.sum != all {
            match self.told.recv().await.unwrap() {
                Told::Metered(reading) => self.add(reading),
                other => panic!("told {other:?}"),
            }
            assert!(self.sum.up <= all.up && self.sum.down <= all.down, "{:?} is over {all:?}", self.sum);
        }
    }
}

#[tokio::test]
async fn without_a_way_on_the_dialler_hears_of_it_at_once() {
    let mut chain = Chain::new();
    chain.far.fake.doors.lock().unwrap().remove(&PROVIDER);
    chain.consumer.asks(1);
    let refusal = chain.consumer.refusal(1).await;
    assert_eq!(refusal.code(), Code::Unavailable);
    assert!(refusal.text().contains("without a word"), "{refusal}");
    let error = chain.consumer.opens().await.err().unwrap();
    assert!(error.to_string().contains("without a word"), "{error}");
    chain.far.reaches(&chain.provider);
    chain.consumer.asks(2);
    assert_eq!(chain.consumer.answer(2).await, Ok(done()));
}

#[tokio::test]
async fn a_relay_waits_for_no_way_on_for_ever() {
    let mut chain = Chain::at(Pace { opening: Duration::from_millis(20), ..QUICK });
    chain.far.fake.stuck.store(true, Ordering::Relaxed);
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Unavailable);
    // Nor once its router is removed.
    let mut chain = Chain::at(Pace { opening: Duration::from_secs(600), ..QUICK });
    chain.far.fake.stuck.store(true, Ordering::Relaxed);
    chain.consumer.asks(1);
    while chain.far.metered(1).await.streams == 0 {}
    chain.far.tunnels.remove(LAST);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Unavailable);
}

#[tokio::test]
async fn an_end_that_says_nothing_is_waited_for_as_long_as_a_chain_may_need() {
    let pace = Pace { opening: Duration::from_secs(600), proof: Duration::from_millis(20), ..QUICK };
    let mut chain = Chain::at(pace);
    chain.far.fake.stuck.store(true, Ordering::Relaxed);
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Timeout);
    assert!(Pace::default().proof >= 3 * Pace::default().opening, "two relays and the end");
}
