//! How many bytes of bodies that nobody has vouched for yet may lie in memory at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that requests in flight share. What is over it is answered with 503. The last
/// quarter is for requests with a signature that holds: whoever has none cannot keep them out.
#[derive(Debug)]
pub struct Budget {
    free: AtomicUsize,
    whole: usize,
}

impl Budget {
    /// What a layer takes unless it is given another: 256 MiB.
    pub const DEFAULT: usize = 256 * 1024 * 1024;

    /// A budget of `bytes`.
    pub const fn new(bytes: usize) -> Self {
        Budget { free: AtomicUsize::new(bytes), whole: bytes }
    }

    /// The bytes that are held at this moment.
    pub fn used(&self) -> usize {
        self.whole.saturating_sub(self.free.load(Ordering::Relaxed))
    }

    /// An empty share, to be grown as bytes arrive: a length that a stranger only announces
    /// takes nothing away from others.
    pub(super) fn share(self: &Arc<Self>) -> BudgetShare {
        BudgetShare { budget: Arc::clone(self), bytes: 0, left: 0 }
    }

    /// The same for a request without a signature that holds.
    pub(super) fn unsigned_share(self: &Arc<Self>) -> BudgetShare {
        BudgetShare { budget: Arc::clone(self), bytes: 0, left: self.whole / 4 }
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct BudgetShare {
    budget: Arc<Budget>,
    bytes: usize,
    /// What has to be left for others.
    left: usize,
}

impl BudgetShare {
    /// Makes this share `bytes` large, if it is smaller; `false` if the budget does not hold that.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else { return true };
        let free = &self.budget.free;
        // Nothing else is ordered by this number, so relaxed is enough.
        let taken = free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                free.checked_sub(more).filter(|free| *free >= self.left)
            })
            .is_ok();
        if taken {
            self.bytes = bytes;
        }
        taken
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.budget.free.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
