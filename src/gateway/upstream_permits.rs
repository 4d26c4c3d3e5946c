//! Limits how many requests wait for the upstream at once.
//!
//! One HTTP/2 connection of a client carries many requests. Each may need its own connection to the
//! upstream, which stays open until the client has read the answer.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits for requests to the upstream. Clones share the same permits.
#[derive(Clone, Debug)]
pub(super) struct UpstreamPermits {
    all: Arc<Semaphore>,
    /// The permits for open paths, which need no signature. They are limited separately, so that
    /// unsigned requests cannot block signed ones.
    open: Arc<Semaphore>,
}

/// One permit. It is returned when the answer to the request is dropped.
#[derive(Debug)]
pub(super) struct UpstreamPermit {
    _all: OwnedSemaphorePermit,
    _open: Option<OwnedSemaphorePermit>,
}

impl UpstreamPermits {
    /// Makes `most` permits. Requests to open paths, which need no signature, may use a quarter of
    /// them.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let of = |count| Arc::new(Semaphore::new(count));
        UpstreamPermits { all: of(most), open: of(most.div_ceil(4)) }
    }

    /// Returns a permit, or `None` if all are in use. Requests do not wait for a permit, because
    /// they would keep their bodies in memory.
    pub(super) fn take(&self, is_open: bool) -> Option<UpstreamPermit> {
        let _open = match is_open {
            true => Some(Arc::clone(&self.open).try_acquire_owned().ok()?),
            false => None,
        };
        let _all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(UpstreamPermit { _all, _open })
    }
}
