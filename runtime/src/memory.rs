//! One budget of memory for all instances of a workload.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

/// What a table's element costs: a pointer and its bookkeeping.
const TABLE_ELEMENT_BYTES: u64 = 16;
/// Core instances in one component: composed ones have a few dozen.
const MAX_INSTANCES: usize = 128;
/// Memories in one component; each reserves address space, whatever its size.
const MAX_MEMORIES: usize = 16;
/// Tables in one component.
const MAX_TABLES: usize = 64;

/// Bytes that a workload may use and uses.
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Takes `bytes` if all of them fit.
    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(before) => {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The part of a budget that one instance holds; given back when dropped.
pub(crate) struct Share {
    budget: Arc<Budget>,
    held: u64,
    refused: Option<u64>,
}

impl Share {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, held: 0, refused: None }
    }

    /// Bytes held at this moment; an instance never gives any back before its end.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// The reason of a failure that may have come from a refusal of memory.
    pub(crate) fn blame(&self) -> Option<String> {
        let wanted = self.refused?;
        let limit = self.budget.limit;
        Some(format!("out of memory: wanted {} more than the limit of {} leaves", bytes(wanted), bytes(limit)))
    }

    fn grow(&mut self, more: u64) -> bool {
        let granted = self.budget.take(more);
        if granted {
            self.held += more;
        } else {
            self.refused = Some(more);
        }
        granted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give(self.held);
    }
}

/// A refusal is an answer that the guest can handle (`memory.grow` gives −1), not a trap. Growth that is granted here and
/// then fails in the host stays charged until the instance ends: that errs on the safe side.
impl ResourceLimiter for Share {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = (desired.saturating_sub(current) as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(more))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", count / 1024),
        _ => format!("{} MiB", count / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn instances_together_stay_within_the_budget_and_give_back_at_their_end() {
        let budget = Arc::new(Budget::new(100));
        let (mut first, mut second) = (Share::new(Arc::clone(&budget)), Share::new(Arc::clone(&budget)));
        assert!(first.memory_growing(0, 60, None).unwrap());
        assert!(!second.memory_growing(0, 60, None).unwrap());
        assert!(second.memory_growing(0, 40, None).unwrap());
        assert_eq!((budget.used(), budget.peak()), (100, 100));
        drop(first);
        assert!(second.memory_growing(40, 100, None).unwrap());
        drop(second);
        assert_eq!((budget.used(), budget.peak()), (0, 100));
    }

    #[test]
    fn tables_are_charged_and_absurd_sizes_refused() {
        let budget = Arc::new(Budget::new(1000));
        let mut share = Share::new(Arc::clone(&budget));
        assert!(share.table_growing(0, 10, None).unwrap());
        assert_eq!(budget.used(), 160);
        assert!(!share.table_growing(10, usize::MAX, None).unwrap());
        assert!(!share.memory_growing(0, usize::MAX, None).unwrap());
        assert_eq!(budget.used(), 160);
        assert!(share.blame().unwrap().starts_with("out of memory"));
    }
}
