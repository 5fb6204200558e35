//! What a stranger's length prefix can make the decoder allocate. Alone in its program, so that it measures only itself.
#![allow(clippy::unwrap_used, clippy::panic)]

mod samples;

use std::fmt::Debug;

use peak_alloc::PeakAlloc;
use rear_proto::{
    fabric::{FabricAsk, FabricReply},
    message::{Ask, Reply},
    wire::{codec, frame::MAX_ANSWER},
};
use samples::messages::*;
use serde::{Serialize, de::DeserializeOwned};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What one decoding may take: the decoder's limit, and serde's first guess of 1 MiB for a list within it.
const BOUND: usize = 16 * MAX_ANSWER as usize + (2 << 20);

/// Writes each length over each byte of a message in turn, and decodes.
fn lie_about_lengths<T: Serialize + DeserializeOwned + Debug>(messages: Vec<(&'static str, T)>) -> usize {
    let mut most = 0;
    for (name, message) in messages {
        let bytes = codec::encode(&message);
        for at in 0..bytes.len() {
            for length in [u64::MAX, 1 << 40, 100 << 20, 17 << 20, 15 << 20, 1 << 20] {
                let lie = [&bytes[..at], &[253], &length.to_le_bytes(), &bytes[at + 1..]].concat();
                let before = MEMORY.current_usage();
                MEMORY.reset_peak_usage();
                let _ = codec::decode::<T>(&lie);
                let taken = MEMORY.peak_usage().saturating_sub(before);
                assert!(taken <= BOUND, "{name}: {taken} bytes for a length of {length} at {at}");
                most = most.max(taken);
            }
        }
    }
    most
}

#[test]
fn a_length_prefix_makes_the_decoder_allocate_no_more_than_its_bound() {
    let most = [
        lie_about_lengths::<Ask>(asks()),
        lie_about_lengths::<Reply>(replies()),
        lie_about_lengths::<FabricAsk>(fabric_asks()),
        lie_about_lengths::<FabricReply>(fabric_replies()),
    ];
    // The test reaches what it claims: some lie was believed up to the limit.
    assert!(most.iter().all(|most| *most > 1 << 20), "{most:?}");
}
