//! Components on their way to a provider.

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::tunnel::{
    secure::{self, Keys, Secure},
    words::{self, MAX_WORDS, Opening, Purpose, Verdict},
};

impl End {
    fn has_module(&self, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        self.fake.modules.lock().unwrap().insert(digest, bytes.to_vec());
        digest
    }
}

#[tokio::test]
async fn a_component_arrives_and_is_kept() {
    let (mut consumer, mut provider) = pair();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let digest = consumer.has_module(&bytes);
    consumer.tunnels.ship(1, CONTRACT, digest);
    assert_eq!(consumer.answer(1).await, Ok(done()));
    assert_eq!(provider.fake.modules.lock().unwrap().get(&digest), Some(&bytes));
    assert!(provider.metered(0).await.up > 1_000_000);
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let (mut consumer, mut provider) = pair();
    let digest = consumer.has_module(&[1; 100_000]);
    provider.has_module(&[1; 100_000]);
    consumer.tunnels.ship(1, CONTRACT, digest);
    assert_eq!(consumer.answer(1).await, Ok(done()));
    assert!(provider.metered(0).await.up < 1000);
}

#[tokio::test]
async fn replicas_that_want_the_same_component_at_once_send_it_once() {
    let (mut consumer, mut provider) = pair();
    let digest = consumer.has_module(&[1; 500_000]);
    for id in 0..5 {
        consumer.tunnels.ship(id, CONTRACT, digest);
    }
    for _ in 0..5 {
        assert!(matches!(consumer.told().await, Told::Answered(_, Ok(_))));
    }
    assert!(provider.metered(0).await.up < 600_000);
}

#[tokio::test]
async fn another_component_than_was_said_is_refused() {
    let (mut consumer, provider) = pair();
    let digest = digest_of(b"what was said");
    consumer.fake.modules.lock().unwrap().insert(digest, b"another".to_vec());
    consumer.tunnels.ship(1, CONTRACT, digest);
    let refusal = consumer.refusal(1).await;
    assert_eq!((refusal.code(), refusal.text().as_str()), (Code::Malformed, "not the one"));
    assert!(provider.fake.modules.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_component_over_the_limit_is_refused_before_it_is_read() {
    let (mut consumer, mut provider) = pair();
    let digest = consumer.has_module(&vec![1; (1 << 20) + 1]);
    consumer.tunnels.ship(1, CONTRACT, digest);
    let refusal = consumer.refusal(1).await;
    assert_eq!(refusal.code(), Code::TooLarge);
    assert!(refusal.text().contains("1048576"), "{refusal}");
    assert!(provider.metered(0).await.up < 1000);
}

#[tokio::test]
async fn a_component_that_is_not_here_can_not_be_sent() {
    let (mut consumer, _provider) = pair();
    consumer.tunnels.ship(1, CONTRACT, digest_of(b"unknown"));
    assert_eq!(consumer.refusal(1).await.code(), Code::NotFound);
}

#[tokio::test]
async fn a_consumer_takes_in_no_components() {
    let (consumer, mut provider) = pair();
    let digest = provider.has_module(b"unasked");
    provider.tunnels.ship(1, CONTRACT, digest);
    assert_eq!(provider.refusal(1).await.code(), Code::NotFound);
    assert!(consumer.fake.modules.lock().unwrap().is_empty());
}

/// Opens a stream to a provider, under a contract that it has with `peer`, and says that a component will follow.
async fn offers(provider: &End, peer: NodeId, contract: ContractId, bytes: &[u8]) -> Secure<DuplexStream> {
    let (near, far) = duplex(PIPE);
    provider.tunnels.take_in(peer, Box::new(far));
    let keys = Keys { secret: SECRETS[0].into(), remote: public(&SECRETS[1]) };
    let mut stream = soon(secure::initiate(near, &keys, &contract)).await.unwrap();
    let purpose = Purpose::Module { digest: digest_of(bytes), size: bytes.len() as u64 };
    words::write(&mut stream, &Opening::from(purpose), MAX_WORDS).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

/// Slow on purpose, under as many contracts as it likes.
#[tokio::test]
async fn one_customers_components_keep_nobody_elses_waiting() {
    let (_consumer, provider) = strangers(Pace::default());
    let contract = |n: u8| ContractId([n; 16]);
    let install = |n: u8, peer: NodeId| {
        let peer = Party { node: peer, addresses: Vec::new() };
        provider.tunnels.install(Route { contract: contract(n), peer, ..route(Side::Provider) });
    };
    (1..=3).for_each(|n| install(n, CONSUMER));
    install(4, STRANGER);
    let mut first = offers(&provider, CONSUMER, contract(1), b"never sent").await;
    assert_eq!(soon(words::verdict(&mut first)).await.unwrap(), Verdict::Go);
    let mut others = Vec::new();
    for n in [1, 1, 2, 2, 2, 3, 3, 3] {
        others.push(offers(&provider, CONSUMER, contract(n), b"never sent either").await);
    }
    let mut stream = offers(&provider, STRANGER, contract(4), b"sent").await;
    assert_eq!(soon(words::verdict(&mut stream)).await.unwrap(), Verdict::Go);
    stream.write_all(b"sent").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(soon(words::verdict(&mut stream)).await.unwrap(), Verdict::Done);
    assert!(provider.fake.modules.lock().unwrap().contains_key(&digest_of(b"sent")));
    // It did not have to wait until they were turned away.
    for other in &mut others {
        assert!(futures::FutureExt::now_or_never(words::verdict(other)).is_none());
    }
}
