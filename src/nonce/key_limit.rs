//! A limit on the live nonces (those that are still kept) of each key, for stores that several
//! processes share.
//!
//! A store in a file or on a server cannot count the nonces of a key in one step with a claim. So
//! each process counts and limits the nonces that it claimed itself.
//!
//! One lock serves all keys. A request holds it twice, together for about 0.1 µs, while its
//! verification takes 30 µs or more. So the lock would limit only a server with hundreds of cores.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::quota::{KeyQuota, KeyQuotas};
use super::{Claim, StoreError};
use crate::clock::Timestamp;
use crate::key::KeyId;

/// The default limit on live nonces of one key, as AdCP's document on security recommends.
pub(super) const DEFAULT_PER_KEY: usize = 1_000_000;

/// The time from which [`KeyLimit`] counts seconds: 2026-01-01, in seconds since 1970. The 32-bit
/// counters reach 68 years from there; a later time counts as the largest value.
const BASE_TIME: i64 = 1_767_225_600;

/// A limit on the nonces of one key that this process had stored and that are still kept.
pub(super) struct KeyLimit {
    quotas: Mutex<KeyQuotas>,
    pub(super) most: usize,
}

impl KeyLimit {
    pub(super) fn new(most: usize) -> Self {
        KeyLimit { quotas: Mutex::default(), most }
    }

    fn quotas(&self) -> MutexGuard<'_, KeyQuotas> {
        // The counts are consistent at any time, so they can be used even if another thread
        // panicked while it held the lock.
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if `key` has as many live nonces as the limit permits.
    pub(super) fn is_reached(&self, now: Timestamp, key: &KeyId) -> bool {
        let now = second(now);
        self.quotas().get_mut(key).is_some_and(|quota| quota.live(now) >= self.most)
    }

    /// Counts a nonce for its key if the store answered that it is new.
    pub(super) fn count(
        &self,
        (now, until): (Timestamp, Timestamp),
        key: &KeyId,
        claim: Result<Claim, StoreError>,
    ) -> Result<Claim, StoreError> {
        if let Ok(Claim::Fresh { .. }) = claim {
            KeyQuota::of(&mut self.quotas(), key, second(now)).add(second(until));
        }
        claim
    }
}

fn second(time: Timestamp) -> i32 {
    let seconds = time.unix().saturating_sub(BASE_TIME);
    i32::try_from(seconds).unwrap_or(if seconds < 0 { i32::MIN } else { i32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{SecretKey, Sign as _};

    #[test]
    fn a_limit_counts_fresh_claims_until_they_end_and_each_key_alone() {
        let (one, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let limit = KeyLimit::new(2);
        let now = Timestamp::from_unix(BASE_TIME + 10);
        let claim = |claim| {
            let _ = limit.count((now, now.plus(5)), one.public().id(), Ok(claim));
            limit.is_reached(now, one.public().id())
        };
        let fresh = Claim::Fresh { floor: now };
        assert!(!claim(fresh));
        assert!(!claim(Claim::Replayed { first: None }), "a replay is no further nonce");
        assert!(!claim(Claim::OverQuota));
        assert!(claim(fresh));
        assert!(!limit.is_reached(now, other.public().id()));
        assert!(limit.is_reached(now.plus(4), one.public().id()));
        assert!(!limit.is_reached(now.plus(5), one.public().id()));
    }
}
