//! How many requests are with the upstream at once.
//!
//! One HTTP/2 connection carries many, and each may need a connection of its own behind, which a
//! client that reads nothing of its answer keeps.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for requests with the upstream. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// For paths that are open to strangers, who must not keep out those who sign.
    open: Arc<Semaphore>,
}

/// A place, until it is dropped with the answer.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _open: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// `most` places, a quarter of them for open paths too.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let of = |count| Arc::new(Semaphore::new(count));
        Places { all: of(most), open: of(most.div_ceil(4)) }
    }

    /// A place, if there is one now: who would have to wait holds a body meanwhile.
    pub(super) fn take(&self, open: bool) -> Option<Place> {
        let _open = match open {
            true => Some(Arc::clone(&self.open).try_acquire_owned().ok()?),
            false => None,
        };
        let _all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Place { _all, _open })
    }
}
