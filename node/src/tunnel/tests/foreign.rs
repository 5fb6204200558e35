//! A relay of another domain in the middle: what it can read, and what it can do.

use rear_proto::wire::codec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    chain::{Chain, FAR, LAST, MIDDLE, NEAR, QUICK, party},
    tap::At,
    *,
};
use crate::tunnel::words::{Opening, Purpose};

fn contains(tape: &[u8], what: &[u8]) -> bool {
    tape.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn a_relay_reads_nothing_of_what_passes() {
    let mut chain = Chain::new();
    let tap = Tap::listening();
    chain.near.is_tapped(FAR, &tap);
    let secret = b"nobody but the two ends reads this";
    let text = String::from_utf8(secret.to_vec()).unwrap();

    let request = FabricRequest::Undeploy { workload: "told-to-the-provider".into() };
    chain.consumer.tunnels.transmit(1, CONTRACT, ask(request.clone()), Span::secs(600));
    assert!(matches!(chain.provider.told().await, Told::Heard(heard) if heard == ask(request)));
    let FabricAnswer::Refused(refusal) = chain.consumer.answer(1).await.unwrap().answer else { panic!() };
    assert_eq!(refusal.text(), "told-to-the-provider");

    let module = secret.repeat(1000);
    let digest = digest_of(&module);
    chain.consumer.fake.modules.lock().unwrap().insert(digest, module.clone());
    chain.consumer.tunnels.ship(2, CONTRACT, digest);
    assert_eq!(chain.consumer.answer(2).await, Ok(done()));

    let (mut user, mut workload) = chain.connection().await;
    user.write_all(secret).await.unwrap();
    user.shutdown().await.unwrap();
    workload.write_all(secret).await.unwrap();
    workload.shutdown().await.unwrap();
    let mut heard = String::new();
    soon(user.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, text);

    for out in [true, false] {
        let tape = tap.passed(out);
        assert_eq!(contains(&tape, MIDDLE.as_bytes()), out, "the header is there to be read");
        let openings =
            [Purpose::Module { digest, size: module.len() as u64 }, Purpose::Port { workload: "web".into(), port: 80 }];
        let openings = openings.map(|purpose| codec::encode(&Opening::from(purpose)));
        let [mine, theirs] = SECRETS;
        let (mine_public, theirs_public) = (public(&mine), public(&theirs));
        let hidden: [&[u8]; 11] = [
            secret,
            b"nobody",
            b"told-to-the-provider",
            digest.as_bytes(),
            &openings[0],
            &openings[1],
            &mine,
            &theirs,
            &mine_public,
            &theirs_public,
            CONTRACT.as_bytes(),
        ];
        for (which, hidden) in hidden.into_iter().enumerate() {
            assert!(!contains(&tape, hidden), "{which} is on the wire");
        }
    }
}

const REQUEST: &[u8] = b"to the workload";
const RESPONSE: &[u8] = b"to the user";

/// What the two ends of a connection saw, with whatever the tap did to it.
struct Seen {
    /// What the workload was given.
    request: Vec<u8>,
    /// What the user was given.
    response: Vec<u8>,
    /// Whether the user was told of a clean end.
    clean: bool,
}

async fn with(tap: &Arc<Tap>, pace: Pace) -> Seen {
    let chain = Chain::at(pace);
    chain.near.is_tapped(FAR, tap);
    let Chain { consumer, near: _near, far: _far, mut provider } = chain;
    let user = async {
        let mut response = Vec::new();
        let Ok(mut user) = consumer.opens().await else { return (response, false) };
        let _ = user.write_all(REQUEST).await;
        let _ = user.shutdown().await;
        let clean = user.read_to_end(&mut response).await.is_ok();
        (response, clean)
    };
    let workload = async {
        let mut request = Vec::new();
        let Some(mut workload) = provider.accepted.recv().await else { return request };
        workload.read_to_end(&mut request).await.unwrap();
        let _ = workload.write_all(RESPONSE).await;
        let _ = workload.shutdown().await;
        request
    };
    let (mut user, mut workload) = (std::pin::pin!(user), std::pin::pin!(workload));
    soon(async {
        let mut request = None;
        let (response, clean) = loop {
            tokio::select! {
                seen = &mut user => break seen,
                heard = &mut workload, if request.is_none() => request = Some(heard),
            }
        };
        Seen { request: request.unwrap_or_default(), response, clean }
    })
    .await
}

async fn is_noticed(what: &str, edit: impl Fn(At, Vec<u8>) -> Vec<Vec<u8>> + Send + Sync + 'static) {
    // Some wait for bytes that never come.
    let wait = Duration::from_millis(50);
    let Seen { request, response, clean } = with(&Tap::new(edit), Pace { opening: wait, proof: wait, ..QUICK }).await;
    assert!(!clean, "{what} is not noticed");
    assert!(REQUEST.starts_with(&request), "{what} changes what the workload is given");
    assert!(RESPONSE.starts_with(&response), "{what} changes what the user is given");
}

/// The parts of the connection above: in each direction two records and its end, after what comes first.
fn parts() -> impl Iterator<Item = At> {
    let out = (0..5).map(|part| At { out: true, part });
    out.chain((1..5).map(|part| At { out: false, part }))
}

#[tokio::test]
async fn any_byte_that_a_relay_changes_is_noticed() {
    let tap = Tap::listening();
    let Seen { request, response, clean } = with(&tap, QUICK).await;
    assert!(clean && request == REQUEST && response == RESPONSE);
    for at in parts() {
        let length = match at.part {
            0 => 22,
            1 => 48,
            2 if at.out => 2 + 4 + 7 + 16,
            2 => 2 + 4 + 2 + 16,
            3 if at.out => 2 + REQUEST.len() + 16,
            3 => 2 + RESPONSE.len() + 16,
            _ => 2 + 16,
        };
        for byte in 0..length {
            is_noticed(&format!("byte {byte} of {at:?}"), move |here, mut part| {
                if here != at {
                    return vec![part];
                }
                assert_eq!(part.len(), length, "{at:?}");
                part[byte] ^= 1;
                // Whoever is made to wait for more than there is waits in vain.
                if at.part > 1 && byte < 2 { vec![part, Vec::new()] } else { vec![part] }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_part_that_a_relay_leaves_out_repeats_or_cuts_is_noticed() {
    for at in parts() {
        let edit =
            |change: fn(Vec<u8>) -> Vec<Vec<u8>>| move |here, part| if here == at { change(part) } else { vec![part] };
        is_noticed(&format!("a cut before {at:?}"), edit(|_| vec![Vec::new()])).await;
        is_noticed(&format!("a cut in {at:?}"), edit(|part| vec![part[..part.len() - 1].to_vec(), Vec::new()])).await;
        // Left out, the door's verdict is only late.
        if at != (At { out: false, part: 2 }) {
            is_noticed(&format!("leaving out {at:?}"), edit(|_| Vec::new())).await;
        }
        // After the last one nothing is read any more.
        if at.part < 4 {
            is_noticed(&format!("repeating {at:?}"), edit(|part| vec![part.clone(), part, Vec::new()])).await;
        }
    }
}

/// It has both contracts, and both public keys; but those that the contracts name are not its own.
#[tokio::test]
async fn a_relay_with_a_key_of_its_own_gets_no_stream_from_either_end() {
    let mut chain = Chain::new();
    let evil = [66; 32];
    let [consumer, provider] = SECRETS;
    let stands_in = |contract, side, peer, remote_key| Route {
        contract,
        side,
        peer: party(peer),
        secret: evil,
        remote_key,
        streams: 3,
    };
    chain.far.tunnels.install(stands_in(MIDDLE, Side::Provider, NEAR, public(&consumer)));
    chain.far.tunnels.install(stands_in(LAST, Side::Consumer, PROVIDER, public(&provider)));
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Unavailable);
    chain.far.tunnels.transmit(2, LAST, ask(FabricRequest::Close), Span::secs(600));
    assert_eq!(chain.far.refusal(2).await.code(), Code::Unavailable);
    assert!(chain.consumer.opens().await.is_err());
    assert!(soon(chain.far.tunnels.open_port(LAST, "web", 80)).await.is_err());
    for end in [&mut chain.consumer, &mut chain.far, &mut chain.provider] {
        assert!(end.has_heard_nothing());
    }
}

#[tokio::test]
async fn what_was_recorded_gets_nowhere_when_it_is_played_back() {
    let mut chain = Chain::new();
    let tap = Tap::listening();
    chain.near.is_tapped(FAR, &tap);
    chain.consumer.asks(1);
    assert!(matches!(chain.provider.told().await, Told::Heard(_)));
    assert_eq!(chain.consumer.answer(1).await, Ok(done()));
    let tape = tap.passed(true);
    assert!(tape.len() > 22 + 48 + 2 * 18);
    // Once more to the provider, and back to the consumer as if the provider had said it.
    for (door, from) in [(&chain.far, NEAR), (&chain.near, FAR)] {
        let (mut replay, other) = duplex(PIPE);
        door.tunnels.take_in(from, Box::new(other));
        replay.write_all(&tape).await.unwrap();
        let mut answer = Vec::new();
        soon(replay.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.len() <= 48, "no more than a handshake comes back");
    }
    assert!(chain.provider.has_heard_nothing());
    assert!(chain.consumer.has_heard_nothing());
}

/// A relay that has sold two customers the same provider's flavour can mix up their streams, to nobody's use.
#[tokio::test]
async fn a_stream_of_one_contract_is_nothing_to_the_end_of_another() {
    let mut chain = Chain::new();
    let other = ContractId([19; 16]);
    let keys = ([31; 32], [32; 32]);
    let peer = party(FAR);
    chain.provider.tunnels.install(Route {
        contract: other,
        side: Side::Provider,
        peer,
        secret: keys.1,
        remote_key: public(&keys.0),
        streams: 3,
    });
    chain.far.tunnels.join(super::chain::junction(MIDDLE, NEAR, other, PROVIDER));
    chain.consumer.asks(1);
    assert_eq!(chain.consumer.refusal(1).await.code(), Code::Unavailable);
    assert!(chain.provider.has_heard_nothing());
}
