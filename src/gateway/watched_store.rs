//! Watches the nonce store of a gateway: counts the nonces that it was asked about, and warns of
//! failures.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::message::error_chain::chain;
use crate::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};

use super::metrics::Metrics;

/// The shortest time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

type WarnHook = Box<dyn Fn(String) + Send + Sync>;

impl Metrics {
    /// Wraps `store` and counts its claims. `warn` is called with one line if a claim failed, or if
    /// the floor of the store (the time before which it may have lost nonces) rose; at most once a
    /// minute. It runs on the task of the claim, so it must not block.
    pub fn watch(
        self: &Arc<Self>,
        store: Arc<dyn NonceStore>,
        warn: impl Fn(String) + Send + Sync + 'static,
    ) -> Arc<dyn NonceStore> {
        let (metrics, warnings) = (Arc::clone(self), Mutex::new(Warnings::default()));
        let floor = AtomicI64::new(i64::MIN);
        Arc::new(WatchedStore { store, metrics, warn: Box::new(warn), warnings, floor })
    }
}

struct WatchedStore {
    store: Arc<dyn NonceStore>,
    metrics: Arc<Metrics>,
    warn: WarnHook,
    warnings: Mutex<Warnings>,
    /// The latest time up to which the store said that it may have lost nonces (its floor).
    floor: AtomicI64,
}

#[derive(Default)]
struct Warnings {
    /// When the last warning was given.
    last: Option<Instant>,
    /// The number of warnings that were suppressed since the last one.
    suppressed: u64,
}

impl WatchedStore {
    fn warn_rarely(&self, words: impl FnOnce() -> String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.last.is_some_and(|last| last.elapsed() < WARNING_INTERVAL) {
            warnings.suppressed = warnings.suppressed.saturating_add(1);
            return;
        }
        warnings.last = Some(Instant::now());
        let suppressed = std::mem::take(&mut warnings.suppressed);
        drop(warnings);
        let more = match suppressed {
            0 => String::new(),
            _ => format!(" ({suppressed} times more since the last warning)"),
        };
        (self.warn)(words() + &more);
    }

    fn note(&self, now: Timestamp, until: Timestamp, answer: &Result<Claim, StoreError>) {
        match answer {
            Ok(Claim::Fresh { floor }) => {
                self.metrics.claimed(until, now);
                // If the floor rose above the present time, the verifier refuses all requests until
                // the clock has passed the floor.
                let known = self.floor.fetch_max(floor.unix(), Ordering::Relaxed);
                if known < floor.unix() && now <= *floor {
                    let wait = floor.since(now).saturating_add(1);
                    self.warn_rarely(|| {
                        format!("the nonce store may have forgotten what was used; {wait} s to go")
                    });
                }
            }
            Ok(_) => {}
            Err(error) => {
                self.metrics.store_failed();
                self.warn_rarely(|| format!("the nonce store: {}", chain(error)));
            }
        }
    }
}

impl NonceStore for WatchedStore {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.register(now, retention)
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let claiming = self.store.claim_live(now, key, nonce, until);
        Box::pin(async move {
            let answer = claiming.await;
            self.note(now, until, &answer);
            answer
        })
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        self.store.peek(now, key, nonce)
    }

    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        self.store.is_over_quota(now, key)
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        self.store.floor(now)
    }
}
