//! The limit on memory for bodies of requests that are not verified yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of bytes that the bodies of all requests in flight may take together. A request whose
/// body needs more than is free is answered with 503. The last quarter is reserved for requests
/// with a verified signature, so that unsigned requests cannot block them.
///
/// ```
/// use mcpid::tower::Budget;
///
/// let budget = Budget::new(1 << 20);
/// assert_eq!(budget.used(), 0);
/// ```
#[derive(Debug)]
pub struct Budget {
    free: AtomicUsize,
    whole: usize,
}

impl Budget {
    /// The default budget: 256 MiB.
    pub const DEFAULT: usize = 256 * 1024 * 1024;

    /// Makes a budget of `bytes`.
    pub const fn new(bytes: usize) -> Self {
        Budget { free: AtomicUsize::new(bytes), whole: bytes }
    }

    /// Returns the bytes that are in use.
    pub fn used(&self) -> usize {
        self.whole.saturating_sub(self.free.load(Ordering::Relaxed))
    }

    /// Returns an empty share of the budget, which grows as bytes arrive. An announced
    /// `Content-Length` reserves nothing.
    pub(super) fn share(self: &Arc<Self>) -> BudgetShare {
        BudgetShare { budget: Arc::clone(self), bytes: 0, left: 0 }
    }

    /// Returns a share of the budget for a request without a verified signature.
    pub(super) fn unsigned_share(self: &Arc<Self>) -> BudgetShare {
        BudgetShare { budget: Arc::clone(self), bytes: 0, left: self.whole / 4 }
    }
}

/// A part of the budget. It is returned when this value is dropped.
#[derive(Debug)]
pub(super) struct BudgetShare {
    budget: Arc<Budget>,
    bytes: usize,
    /// The bytes of the budget that this share must leave free for other requests.
    left: usize,
}

impl BudgetShare {
    /// Grows this share to `bytes`. Returns false if the budget has too few free bytes.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else { return true };
        let free = &self.budget.free;
        // Relaxed ordering is enough, because no other memory depends on this number.
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
