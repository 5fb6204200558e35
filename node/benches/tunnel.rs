//! What the tunnel costs, between two ends and through relays: `cargo bench -p node --features bench --bench tunnel`.
//!
//! Everything is in one process, ends and relays alike, so bytes per second are those that the whole chain does on one
//! machine, sealed once and opened once, and not what one node could.
#![allow(clippy::unwrap_used, missing_docs)]

use divan::{Bencher, counter::BytesCount};
use node::tunnel::bench::Chain;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Runtime,
};

/// Two domains have two relays between their nodes.
const RELAYS: [usize; 3] = [0, 1, 2];
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
/// Enough that a connection's beginning does not count.
const MUCH: usize = 16 << 20;

fn main() {
    divan::main();
}

/// Sends [`MUCH`] from one end to the other of a connection that is open.
fn throughput(bencher: Bencher<'_, '_>, runtime: &Runtime, chain: &Chain) {
    let (mut user, mut workload) = runtime.block_on(chain.connect());
    let sent = vec![7; 64 << 10];
    let mut heard = vec![0; 64 << 10];
    bencher.counter(BytesCount::new(MUCH)).bench_local(|| {
        runtime.block_on(async {
            let writing = async {
                for _ in 0..MUCH / sent.len() {
                    workload.write_all(&sent).await.unwrap();
                }
            };
            let reading = async {
                let mut rest = MUCH;
                while rest > 0 {
                    rest -= user.read(&mut heard).await.unwrap();
                }
            };
            tokio::join!(writing, reading);
        });
    });
}

/// Sends a byte over an open connection and gets one back.
fn round_trip(bencher: Bencher<'_, '_>, runtime: &Runtime, chain: &Chain) {
    let (mut user, mut workload) = runtime.block_on(chain.connect());
    runtime.spawn(async move {
        while let Ok(byte) = workload.read_u8().await {
            workload.write_u8(byte).await.unwrap();
        }
    });
    bencher.bench_local(|| {
        runtime.block_on(async {
            user.write_u8(7).await.unwrap();
            user.flush().await.unwrap();
            user.read_u8().await.unwrap()
        })
    });
}

/// Opens a stream, puts a question and gets its answer.
fn question(bencher: Bencher<'_, '_>, runtime: &Runtime, chain: &Chain) {
    runtime.block_on(chain.ask());
    bencher.bench_local(|| runtime.block_on(chain.ask()));
}

macro_rules! over {
    ($name:ident, $chain:expr) => {
        mod $name {
            use super::*;

            fn chain(relays: usize) -> (Runtime, Chain) {
                let runtime = Runtime::new().unwrap();
                let make: fn(&Runtime, usize) -> Chain = $chain;
                let _inside = runtime.enter();
                let chain = make(&runtime, relays);
                drop(_inside);
                (runtime, chain)
            }

            #[divan::bench(args = RELAYS, sample_count = 10, sample_size = 1)]
            fn throughput(bencher: Bencher<'_, '_>, relays: usize) {
                let (runtime, chain) = chain(relays);
                super::throughput(bencher, &runtime, &chain);
            }

            #[divan::bench(args = RELAYS)]
            fn round_trip(bencher: Bencher<'_, '_>, relays: usize) {
                let (runtime, chain) = chain(relays);
                super::round_trip(bencher, &runtime, &chain);
            }

            #[divan::bench(args = RELAYS)]
            fn question(bencher: Bencher<'_, '_>, relays: usize) {
                let (runtime, chain) = chain(relays);
                super::question(bencher, &runtime, &chain);
            }
        }
    };
}

over!(pipes, |_, relays| Chain::over_pipes(relays));
over!(tcp, |runtime, relays| runtime.block_on(Chain::over_loopback(relays, TCP)));
over!(quic, |runtime, relays| runtime.block_on(Chain::over_loopback(relays, QUIC)));
