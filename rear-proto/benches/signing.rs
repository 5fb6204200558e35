//! What one signature costs under each scheme: made, and verified when it comes as bytes.
#![allow(clippy::unwrap_used, missing_docs)]

use divan::{Bencher, black_box};
use rear_proto::{
    Extensions, Signable, Signed, Signer,
    signed::cheap,
    tunnel,
    wire::codec::{decode, encode},
};
use serde::{Deserialize, Serialize};

/// About as long as an order or a contract.
const BYTES: usize = 300;

const NAMES: [&str; 2] = ["ed25519", "cheap"];

fn main() {
    divan::main();
}

#[derive(Serialize, Deserialize)]
struct Promise {
    text: Vec<u8>,
    extensions: Extensions,
}

impl Signable for Promise {
    const TAG: &'static str = "bench promise 1";
}

fn promise() -> Promise {
    Promise { text: vec![7; BYTES], extensions: Extensions::default() }
}

fn signer(scheme: &str) -> Signer {
    if scheme == "cheap" { cheap::signer(&[1; 32]) } else { Signer::from_secret(&[1; 32]) }
}

/// Encodes and signs.
#[divan::bench(args = NAMES)]
fn sign(bencher: Bencher, scheme: &str) {
    let signer = signer(scheme);
    bencher.with_inputs(promise).bench_values(|value| Signed::new(value, &signer));
}

/// Verifies and decodes, at the first opening.
#[divan::bench(args = NAMES)]
fn open(bencher: Bencher, scheme: &str) {
    let _scope = cheap::Scope::enter();
    let signer = signer(scheme);
    let (bytes, by) = (encode(&Signed::new(promise(), &signer)), signer.id());
    bencher
        .with_inputs(|| decode::<Signed<Promise>>(&bytes).unwrap())
        .bench_refs(|signed| signed.open(&by).is_ok_and(|it| black_box(it).text.len() == BYTES));
}

/// Derives a channel's secret and its public half.
#[divan::bench(args = NAMES)]
fn tunnel_key(bencher: Bencher, scheme: &str) {
    let signer = signer(scheme);
    bencher.bench(|| tunnel::offered(&signer, black_box(&kernel::Key([3; 16]))));
}
