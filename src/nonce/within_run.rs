//! The nonces that were seen while one run of the program judges recorded requests. Of two requests
//! with the same nonce, the later one counts as a replay.
//!
//! No nonce expires here, because recorded requests may span years.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError, id};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// Number of bytes of the SHA-256 hash that stands for a nonce. With 24 bytes, finding two nonces
/// that collide takes 2^96 steps. A signer who finds such a pair only makes one of their own
/// requests look like a replay.
const ID: usize = 24;

/// Number of sets into which the nonces are divided. A set that grows needs memory for its old and
/// its new table for a moment; with many sets, few grow at the same time.
const SET_COUNT: usize = 256;

/// The nonces seen so far. A nonce takes at most 58 bytes: 24 for the hash and one for the table,
/// in a table that is 7/16 full after it doubled.
///
/// ```
/// use mcpid::block_on;
/// use mcpid::clock::Timestamp;
/// use mcpid::key::{SecretKey, Sign};
/// use mcpid::nonce::within_run::WithinRun;
/// use mcpid::nonce::{Claim, NonceStore};
///
/// let (store, key) = (WithinRun::default(), SecretKey::from_seed(&[7; 32]));
/// let (id, now) = (key.public().id(), Timestamp::from_unix(0));
/// let claim = || block_on(store.claim(now, id, "n-1", now));
/// assert!(matches!(claim()?, Claim::Fresh { .. }));
/// assert!(matches!(claim()?, Claim::Replayed { .. }));
/// # Ok::<(), mcpid::nonce::StoreError>(())
/// ```
pub struct WithinRun(Vec<Mutex<HashSet<[u8; ID]>>>);

impl Default for WithinRun {
    fn default() -> Self {
        WithinRun((0..SET_COUNT).map(|_| Mutex::default()).collect())
    }
}

impl WithinRun {
    /// Inserts a pair of key and nonce; returns true if it is new.
    fn insert(&self, key: &KeyId, nonce: &str) -> bool {
        let digest = id(key, nonce);
        let (start, rest) = digest.split_at(ID);
        let mut short = [0; ID];
        short.copy_from_slice(start);
        let set = rest.last().and_then(|last| self.0.get(usize::from(*last)));
        // The set is consistent even if another thread panicked while it held the lock.
        set.is_some_and(|set| set.lock().unwrap_or_else(PoisonError::into_inner).insert(short))
    }
}

impl NonceStore for WithinRun {
    fn register<'a>(
        &'a self,
        _now: Timestamp,
        _retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Answers whether a nonce is new even if its `until` has passed: a recorded request may be
    /// years old.
    fn claim<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.claim_live(now, key, nonce, until)
    }

    fn claim_live<'a>(
        &'a self,
        _now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        _until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let claim = match self.insert(key, nonce) {
            // Nonces of requests before this run do not matter, so no request is too old for the
            // store: its floor is the earliest time.
            true => Claim::Fresh { floor: Timestamp::from_unix(i64::MIN) },
            false => Claim::Replayed { first: None },
        };
        Box::pin(std::future::ready(Ok(claim)))
    }

    fn peek<'a>(
        &'a self,
        _now: Timestamp,
        _key: &'a KeyId,
        _nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn floor<'a>(&'a self, _now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        Box::pin(std::future::ready(Ok(Timestamp::from_unix(i64::MIN))))
    }
}
