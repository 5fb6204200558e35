//! Stamps: which of two messages was said later, however they travelled.
//!
//! Each manager stamps what it decides with its count of starts and a counter. A stamp travels among a message's
//! extensions: a message without one, from a program that knows of none, is taken as it comes.

use rear_proto::{Epoch, Extensions};

/// The extension of Deploy, Undeploy, Status and Deployed that carries a stamp: starts (4 bytes) and counter
/// (8 bytes), little-endian.
const STAMP: u16 = 1;

/// Hands out stamps, each later than the one before, over restarts too.
#[derive(Debug, Default)]
pub(crate) struct Stamps(Epoch);

impl Stamps {
    /// Begins the stamps of this life of the node.
    pub(crate) const fn begin(starts: u32) -> Self {
        Self(Epoch { starts, changes: 0 })
    }

    /// Returns the next stamp.
    pub(crate) const fn next(&mut self) -> Epoch {
        self.0.changes += 1;
        self.0
    }
}

/// Returns the extensions that carry a stamp.
pub(crate) fn write(stamp: Epoch) -> Extensions {
    let mut bytes = stamp.starts.to_le_bytes().to_vec();
    bytes.extend(stamp.changes.to_le_bytes());
    Extensions::from([(STAMP, bytes)])
}

/// Returns the stamp among the extensions; anything that is none counts as none.
pub(crate) fn read(extensions: &Extensions) -> Option<Epoch> {
    let (starts, changes) = extensions.get(&STAMP)?.split_first_chunk::<4>()?;
    let changes = <[u8; 8]>::try_from(changes).ok()?;
    Some(Epoch { starts: u32::from_le_bytes(*starts), changes: u64::from_le_bytes(changes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_travel_and_grow_over_restarts() {
        let mut first = Stamps::begin(1);
        let (a, b) = (first.next(), first.next());
        let c = Stamps::begin(2).next();
        assert!(a < b && b < c);
        assert_eq!(read(&write(b)), Some(b));
    }

    #[test]
    fn what_is_no_stamp_counts_as_none() {
        for bytes in [vec![], vec![1; 11], vec![1; 13]] {
            assert_eq!(read(&Extensions::from([(STAMP, bytes)])), None);
        }
        assert_eq!(read(&Extensions::new()), None);
    }
}
