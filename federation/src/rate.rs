//! How often each node may ask: so many times in a window.

use std::collections::VecDeque;

use kernel::{NodeId, Span, Time};

/// The most nodes that are counted at once. Each is a connection's proven key, and the transport bounds those;
/// over it, who began longest ago is counted anew.
const NODES: usize = 4096;

/// Counts what each node asked lately.
#[derive(Debug)]
pub(crate) struct Rate {
    window: Span,
    most: u32,
    /// When each began, and how often it has asked since, those that began first leading. Mostly there are a few; to
    /// look through as many as there may be takes less time than to read the least of what is asked.
    counted: VecDeque<(NodeId, Time, u32)>,
}

impl Rate {
    pub(crate) const fn new(window: Span, most: u32) -> Self {
        Self { window, most, counted: VecDeque::new() }
    }

    /// Counts one; where it is one too many, says after which time to ask again.
    pub(crate) fn admit(&mut self, now: Time, node: &NodeId) -> Result<(), Span> {
        while let Some((_, began, _)) = self.counted.front()
            && (*began + self.window <= now || self.counted.len() > NODES)
        {
            self.counted.pop_front();
        }
        let known = self.counted.iter().position(|(of, ..)| of == node);
        let at = known.unwrap_or_else(|| {
            self.counted.push_back((*node, now, 0));
            self.counted.len() - 1
        });
        let Some((_, began, count)) = self.counted.get_mut(at) else { return Ok(()) };
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
        assert!(rate.counted.len() <= NODES + 1);
    }
}
