//! The nonces of one run of `verify`: of two equal ones, the later is the replay.
//!
//! Nothing expires here, since a capture may span years, and nothing else of a request is kept.

use std::collections::HashSet;
use std::sync::Mutex;

use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::nonce::{BoxFuture, Claim, NonceStore, Retention, Seen, StoreError};
use sha2::{Digest as _, Sha256};

/// Bytes of SHA-256 that stand for a nonce. 24 leave 96 bits against somebody who looks for two
/// nonces that collide, which would only make a false replay of their own requests.
const ID: usize = 24;

/// Sets, so that one that grows holds its old and its new table only for a small share of all.
const SHELVES: usize = 256;

/// The nonces seen so far. At most 58 bytes each: 24, one of the table's own, and a table that
/// has just doubled is 7/16 full.
pub(crate) struct Ledger(Vec<Mutex<HashSet<[u8; ID]>>>);

impl Default for Ledger {
    fn default() -> Self {
        Ledger((0..SHELVES).map(|_| Mutex::default()).collect())
    }
}

impl Ledger {
    /// Whether this pair is new.
    fn insert(&self, key: &KeyId, nonce: &str) -> bool {
        let mut hash = Sha256::new();
        hash.update(key.as_str());
        hash.update([0]);
        hash.update(nonce);
        let digest = hash.finalize();
        let (mut id, mut shelf) = ([0; ID], 0);
        for (to, from) in id.iter_mut().zip(&digest) {
            *to = *from;
        }
        if let Some(last) = digest.last() {
            shelf = usize::from(*last);
        }
        // A thread that panicked while it held the lock left the set whole.
        self.0
            .get(shelf)
            .is_some_and(|set| set.lock().unwrap_or_else(|e| e.into_inner()).insert(id))
    }
}

impl NonceStore for Ledger {
    fn register<'a>(
        &'a self,
        _now: Timestamp,
        _retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn claim<'a>(
        &'a self,
        _now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        _until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let claim = match self.insert(key, nonce) {
            // What was judged before this run began is nobody's business here.
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
    ) -> BoxFuture<'a, Result<Option<Seen>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn floor<'a>(&'a self, _now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        Box::pin(std::future::ready(Ok(Timestamp::from_unix(i64::MIN))))
    }
}
