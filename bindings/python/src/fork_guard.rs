//! Keeps a forked child from using the nonce store of its parent.

use std::sync::Arc;

use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};

/// A store that answers only in the process that opened it. The threads of a store do not exist in a
/// forked child, and a copy of a store in memory would accept each nonce once more.
pub(crate) struct ForkGuard {
    /// `None` only while the guard is dropped.
    store: Option<Arc<dyn NonceStore>>,
    process: u32,
}

impl ForkGuard {
    pub(crate) fn new(store: Arc<dyn NonceStore>) -> Self {
        ForkGuard { store: Some(store), process: std::process::id() }
    }

    fn store(&self) -> Result<&Arc<dyn NonceStore>, StoreError> {
        let ours = self.store.as_ref().filter(|_| self.process == std::process::id());
        ours.ok_or_else(|| {
            StoreError::new(
                "the store was opened before a fork: make the application in each worker process",
            )
        })
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // Closing a store waits for its threads, which a forked child does not have.
            std::mem::forget(self.store.take());
        }
    }
}

fn refused<'a, T: Send + 'a>(error: StoreError) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(Err(error)))
}

impl NonceStore for ForkGuard {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store().map_or_else(refused, |store| store.register(now, retention))
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.store().map_or_else(refused, |store| store.claim_live(now, key, nonce, until))
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        self.store().map_or_else(refused, |store| store.peek(now, key, nonce))
    }

    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        self.store().is_ok_and(|store| store.is_over_quota(now, key))
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        self.store().map_or_else(refused, |store| store.floor(now))
    }
}
