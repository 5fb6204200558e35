//! Cuts: nodes that can't hear each other for a while.

use kernel::Span;

use super::{Due, World, letters::Letter};
use crate::plan::NodeNo;

/// A cut through the world.
#[derive(Debug)]
pub(crate) struct Cut {
    act: u32,
    /// Which nodes are on one side, a bit each.
    side: Vec<u64>,
    /// What was said across it, where that comes when it is over; else it is lost.
    kept: Option<Vec<Letter>>,
}

/// After which time a connection over which all is held up counts as dead: as many pings as the transport lets fail.
const PATIENCE: Span = Span::secs(45);

impl Cut {
    pub(super) const fn act(&self) -> u32 {
        self.act
    }

    fn parts(&self, a: NodeNo, b: NodeNo) -> bool {
        let has = |node: NodeNo| self.side[node as usize / 64] >> (node % 64) & 1;
        has(a) != has(b)
    }
}

impl World {
    /// Says whether two nodes can't hear each other.
    pub(super) fn is_cut(&self, a: NodeNo, b: NodeNo) -> bool {
        self.cuts.iter().any(|cut| cut.parts(a, b))
    }

    /// Begins a cut.
    pub(super) fn cut(&mut self, act: u32, nodes: &[NodeNo], holds: bool) {
        let mut side = vec![0u64; self.nodes.len().div_ceil(64)];
        for node in nodes {
            side[*node as usize / 64] |= 1 << (node % 64);
        }
        let cut = Cut { act, side, kept: holds.then(Vec::new) };
        let mut across = Vec::new();
        for &node in nodes {
            let peers = self.node(node).now.peers.iter().filter(|(of, _)| cut.parts(node, **of));
            across.extend(peers.map(|(of, link)| (node, *of, link.conn)));
        }
        self.cuts.push(cut);
        for (node, of, conn) in across {
            for (at, of) in [(node, of), (of, node)] {
                let after = if holds { PATIENCE } else { self.notice_after() };
                self.after(after, Due::Notice { at, of, conn, act });
            }
        }
    }

    /// A side may notice that nothing comes.
    pub(super) fn notice(&mut self, at: NodeNo, of: NodeNo, conn: u64, act: u32) {
        if self.cuts.iter().any(|cut| cut.act == act) {
            self.broken(at, of, conn);
        }
    }

    /// Ends a cut; what was held up comes.
    pub(super) fn mend(&mut self, act: u32) {
        let Some(at) = self.cuts.iter().position(|cut| cut.act == act) else { return };
        for letter in self.cuts.remove(at).kept.into_iter().flatten() {
            let delay = 1 + self.rng.below(20);
            self.after(Span::millis(delay), Due::Letter(Box::new(letter)));
        }
    }

    /// A letter does not get through: it waits, or is lost.
    pub(super) fn stop(&mut self, letter: Letter) {
        let (from, to) = (letter.from, letter.to);
        if let Some(kept) = self.cuts.iter_mut().find(|cut| cut.parts(from, to)).and_then(|cut| cut.kept.as_mut()) {
            kept.push(letter);
        }
    }
}
