//! How often each node may ask: so many times in a window.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{NodeId, Span, Time};

/// The most nodes that are counted at once. Each is a connection's proven key, and the transport bounds those;
/// over it, who began longest ago is counted anew.
const NODES: usize = 4096;

/// Counts what each node asked lately.
#[derive(Debug)]
pub(crate) struct Rate {
    window: Span,
    most: u32,
    counted: BTreeMap<NodeId, (Time, u32)>,
    began: BTreeSet<(Time, NodeId)>,
}

impl Rate {
    pub(crate) const fn new(window: Span, most: u32) -> Self {
        Self { window, most, counted: BTreeMap::new(), began: BTreeSet::new() }
    }

    /// Counts one; where it is one too many, says after which time to ask again.
    pub(crate) fn admit(&mut self, now: Time, node: &NodeId) -> Result<(), Span> {
        while let Some((began, node)) = self.began.first().copied()
            && (began + self.window <= now || self.counted.len() > NODES)
        {
            self.began.remove(&(began, node));
            self.counted.remove(&node);
        }
        let (began, count) = self.counted.entry(*node).or_insert((now, 0));
        self.began.insert((*began, *node));
        if *count >= self.most {
            return Err(now.until(*began + self.window));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_in_a_window() {
        let mut rate = Rate::new(Span::secs(10), 2);
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        assert_eq!(rate.admit(Time(0), &a), Ok(()));
        assert_eq!(rate.admit(Time(4000), &a), Ok(()));
        assert_eq!(rate.admit(Time(4000), &a), Err(Span::secs(6)));
        assert_eq!(rate.admit(Time(4000), &b), Ok(()));
        assert_eq!(rate.admit(Time(10_000), &a), Ok(()));
        assert_eq!(rate.counted.len(), 2);
    }

    #[test]
    fn many_nodes_are_not_counted_for_ever() {
        let mut rate = Rate::new(Span::secs(10), 1);
        for n in 0..10_000u32 {
            let mut node = NodeId([0; 32]);
            node.0[..4].copy_from_slice(&n.to_le_bytes());
            assert_eq!(rate.admit(Time(0), &node), Ok(()));
        }
        assert!(rate.counted.len() <= NODES + 1 && rate.began.len() <= NODES + 1);
    }
}
