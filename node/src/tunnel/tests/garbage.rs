//! Nothing that a stranger, or even the right peer, can send does any harm; and what is said does not change.

use proptest::prelude::*;
use rear_proto::wire::codec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use zeroize::Zeroizing;

use super::*;
use crate::tunnel::{
    secure::{self, Keys},
    serve,
    words::{self, Answer, MAX_WORDS, Opening, Purpose, Verdict},
};

/// How far the garbage is let in.
#[derive(Debug, Clone)]
enum Past {
    Nothing,
    Header,
    Handshake,
    Seal,
    Purpose(Opening),
}

fn purpose() -> impl Strategy<Value = Purpose> {
    let small = prop_oneof![Just(0), Just(1), 0..2000_u64, Just(u64::MAX)];
    prop_oneof![
        Just(Purpose::Fabric),
        small.prop_map(|size| Purpose::Module { digest: Digest([0; 32]), size }),
        ("[a-z]{0,80}", any::<u16>()).prop_map(|(workload, port)| Purpose::Port { workload, port }),
        Just(Purpose::Port { workload: "web".into(), port: 80 }),
    ]
}

fn past() -> impl Strategy<Value = Past> {
    prop_oneof![
        Just(Past::Nothing),
        Just(Past::Header),
        Just(Past::Handshake),
        Just(Past::Seal),
        purpose().prop_map(|purpose| Past::Purpose(purpose.into())),
    ]
}

async fn send(near: &mut DuplexStream, past: Past, garbage: &[u8]) -> std::io::Result<()> {
    let keys = Keys { secret: Zeroizing::new(SECRETS[0]), remote: public(&SECRETS[1]) };
    match past {
        Past::Nothing => {}
        Past::Header => {
            near.write_all(&secure::header(&CONTRACT)).await?;
        }
        Past::Handshake => drop(secure::initiate(&mut *near, &keys, &CONTRACT).await.unwrap()),
        Past::Seal | Past::Purpose(_) => {
            let mut sealed = secure::initiate(&mut *near, &keys, &CONTRACT).await.unwrap();
            if let Past::Purpose(opening) = past {
                words::write(&mut sealed, &opening, MAX_WORDS).await.unwrap();
            }
            sealed.write_all(garbage).await?;
            sealed.flush().await?;
            return near.shutdown().await;
        }
    }
    near.write_all(garbage).await?;
    near.shutdown().await
}

async fn throw(past: Past, garbage: Vec<u8>) {
    let mut provider = End::new(PROVIDER, Pace::default());
    provider.tunnels.install(route(Side::Provider));
    provider.accepted.close();
    let (mut near, far) = duplex(PIPE);
    let serving = serve::serve(&provider.tunnels.0, CONSUMER, Box::new(far));
    let throwing = async {
        let _ = send(&mut near, past, &garbage).await;
        near.read_to_end(&mut Vec::new()).await
    };
    let (_, read) = soon(Box::pin(async { tokio::join!(serving, throwing) })).await;
    read.unwrap();
    provider.tunnels.close();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_the_door_panic_or_wait(past in past(), garbage in prop::collection::vec(any::<u8>(), 0..3000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(throw(past, garbage));
    }
}

#[test]
fn what_is_said_has_the_bytes_that_it_always_had() {
    let check = |bytes: Vec<u8>, golden: &str| assert_eq!(hex::encode(bytes), golden);
    let opening = |purpose: Purpose| codec::encode(&Opening::from(purpose));
    check(opening(Purpose::Fabric), "0000");
    let digest = Digest([0xab; 32]);
    check(opening(Purpose::Module { digest, size: 1000 }), &format!("01{}fbe80300", "ab".repeat(32)));
    check(opening(Purpose::Port { workload: "web".into(), port: 80 }), "02037765625000");
    check(codec::encode(&Answer::from(Verdict::Go)), "0000");
    check(codec::encode(&Answer::from(Verdict::Done)), "0100");
    let refused = Verdict::Refused(Refusal::new(Code::TooLarge, "big"));
    check(codec::encode(&Answer::from(refused)), "0205036269670000");
}

#[tokio::test]
async fn a_stream_begins_with_the_bytes_that_it_always_began_with() {
    let (near, mut far) = duplex(PIPE);
    let keys = Keys { secret: Zeroizing::new(SECRETS[0]), remote: public(&SECRETS[1]) };
    let reading = async {
        let mut header = [0; 22];
        far.read_exact(&mut header).await.unwrap();
        drop(far);
        header
    };
    let (_, header) = tokio::join!(secure::initiate(near, &keys, &CONTRACT), reading);
    assert_eq!(hex::encode(header), format!("544d424c0001{}", "07".repeat(16)));
    for (header, version) in [(*b"TMBM\0\x01", None), (*b"TMBL\0\x02", Some(2))] {
        let bytes = [&header[..], &[0; 16]].concat();
        match secure::read_header(&mut bytes.as_slice()).await {
            Err(Failure::Strange) => assert_eq!(version, None),
            Err(Failure::Version(other)) => assert_eq!(version, Some(other)),
            other => panic!("{other:?}"),
        }
    }
}
