//! Limits how many requests are with the upstream at once.
//!
//! One HTTP/2 connection of a client carries many requests. Each may need a connection to the
//! upstream, which stays open as long as the client does not read its answer.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits for requests to the upstream. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct UpstreamPermits {
    all: Arc<Semaphore>,
    /// Permits for open paths: unsigned requests must not keep out signed ones.
    open: Arc<Semaphore>,
}

/// A permit, returned when the answer is dropped.
#[derive(Debug)]
pub(super) struct UpstreamPermit {
    _all: OwnedSemaphorePermit,
    _open: Option<OwnedSemaphorePermit>,
}

impl UpstreamPermits {
    /// Makes `most` permits, a quarter of which requests to open paths may use.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let of = |count| Arc::new(Semaphore::new(count));
        UpstreamPermits { all: of(most), open: of(most.div_ceil(4)) }
    }

    /// Returns a permit, or `None` if all are in use. Requests do not wait for one, because they
    /// would hold their bodies in memory meanwhile.
    pub(super) fn take(&self, is_open: bool) -> Option<UpstreamPermit> {
        let _open = match is_open {
            true => Some(Arc::clone(&self.open).try_acquire_owned().ok()?),
            false => None,
        };
        let _all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(UpstreamPermit { _all, _open })
    }
}
