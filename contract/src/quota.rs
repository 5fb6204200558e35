//! How many promises each buyer gets in a time: every one is a record that the ledger keeps for good.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{NodeId, Span, Time};

/// The most buyers that are counted at once; over it, who began longest ago is counted anew. Only members buy, and a
/// domain has about as many.
const BUYERS: usize = 4096;

/// Counts what each buyer was promised lately.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    counted: BTreeMap<NodeId, (Time, u32)>,
    began: BTreeSet<(Time, NodeId)>,
}

impl Quota {
    /// Counts one promise; where it is one too many, says after which time to ask again.
    pub(crate) fn take(&mut self, now: Time, buyer: &NodeId, window: Span, most: u32) -> Result<(), Span> {
        while let Some((began, other)) = self.began.first().copied()
            && (began + window <= now || (self.counted.len() >= BUYERS && !self.counted.contains_key(buyer)))
        {
            self.began.remove(&(began, other));
            self.counted.remove(&other);
        }
        let (began, count) = self.counted.entry(*buyer).or_insert((now, 0));
        if *count >= most {
            return Err(now.until(*began + window));
        }
        *count += 1;
        self.began.insert((*began, *buyer));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Span = Span::secs(10);

    #[test]
    fn so_many_promises_are_made_in_a_window() {
        let mut quota = Quota::default();
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut take = |at: u64, buyer: &NodeId| quota.take(Time(at), buyer, WINDOW, 2);
        assert_eq!((take(0, &a), take(4000, &a)), (Ok(()), Ok(())));
        assert_eq!(take(4000, &a), Err(Span::secs(6)));
        assert_eq!(take(4000, &b), Ok(()));
        assert_eq!((take(10_000, &a), take(10_000, &a)), (Ok(()), Ok(())));
        assert_eq!(take(10_000, &a), Err(WINDOW));
        assert_eq!((take(14_000, &b), quota.counted.len(), quota.began.len()), (Ok(()), 2, 2));
    }

    #[test]
    fn many_buyers_are_not_counted_for_ever() {
        let mut quota = Quota::default();
        for n in 0..10_000_u32 {
            let mut buyer = NodeId([0; 32]);
            buyer.0[..4].copy_from_slice(&n.to_le_bytes());
            assert_eq!(quota.take(Time(0), &buyer, WINDOW, 1), Ok(()));
        }
        assert_eq!((quota.counted.len(), quota.began.len()), (BUYERS, BUYERS));
    }
}
