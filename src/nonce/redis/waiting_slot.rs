//! The limit on claims (requests to store a nonce if it is new) that wait for the Redis server.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::StoreError;

/// Maximum number of claims that wait for answers. Further claims are refused: a server with so
/// long a queue does not catch up if the queue grows.
const MAX_WAITING_CLAIMS: usize = 8_192;

/// A place among the waiting claims (requests to store a nonce if it is new). It is released when
/// the claim is answered or dropped.
pub(super) struct WaitingSlot<'a> {
    waiting: &'a AtomicUsize,
    /// Whether no other claim was waiting when the slot was taken.
    pub(super) alone: bool,
}

impl<'a> WaitingSlot<'a> {
    pub(super) fn take(waiting: &'a AtomicUsize) -> Result<Self, StoreError> {
        let others = waiting.fetch_add(1, Ordering::SeqCst);
        let place = WaitingSlot { waiting, alone: others == 0 };
        if others >= MAX_WAITING_CLAIMS {
            return Err(StoreError::new(format!(
                "{MAX_WAITING_CLAIMS} claims wait for the store already"
            )));
        }
        Ok(place)
    }
}

impl Drop for WaitingSlot<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
