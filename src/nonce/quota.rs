//! Quotas: how many live nonces (those still kept) each key has. The functions neither lock nor
//! read a clock: callers hold the lock and pass the time.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::key::KeyId;

pub(super) type KeyQuotas = HashMap<KeyId, KeyQuota, BuildHasherDefault<KeyIdHasher>>;

/// The live nonces of one key, counted by the second in which they end. So the number is exact at
/// any time, even while the store still has nonces that have ended.
#[derive(Default)]
pub(super) struct KeyQuota {
    live: usize,
    ends: BTreeMap<i32, usize>,
}

impl KeyQuota {
    /// Returns the quota of `key`, or an empty one if the key has none. Before the table would
    /// grow, keys without live nonces are removed, so that keys that are no longer used do not stay
    /// in memory.
    pub(super) fn of<'l>(quotas: &'l mut KeyQuotas, key: &KeyId, now: i32) -> &'l mut KeyQuota {
        if quotas.len() == quotas.capacity() && !quotas.contains_key(key) {
            quotas.retain(|_, quota| quota.live(now) > 0);
            // Twice the needed capacity is reserved, so that the next new keys do not cause this
            // clean-up again.
            quotas.reserve(quotas.len().max(4));
        }
        quotas.entry(*key).or_default()
    }

    pub(super) fn live(&mut self, now: i32) -> usize {
        while let Some(ended) = self.ends.first_entry().filter(|e| *e.key() <= now) {
            self.live = self.live.saturating_sub(ended.remove());
        }
        self.live
    }

    pub(super) fn add(&mut self, kept: i32) {
        self.live = self.live.saturating_add(1);
        let ending = self.ends.entry(kept).or_default();
        *ending = ending.saturating_add(1);
    }
}

/// A hasher for key ids. A key id is a SHA-256 hash already, so this hasher only mixes its words
/// for the table.
#[derive(Default)]
pub(super) struct KeyIdHasher(u64);

impl Hasher for KeyIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let word = word.iter().rev().fold(0, |sum, &b| (sum << 8) | u64::from(b));
            self.write_u64(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        // The multiplier is 2^64 divided by the golden ratio, a usual choice. Any odd number with
        // well-mixed bits would work.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, _length: usize) {
        // Rust's `Hash` adds a byte after each text. All key ids have the same length, so this
        // hasher ignores that byte.
    }

    fn finish(&self) -> u64 {
        // Hash tables use the lowest and the highest bits of a hash. The highest bits of a product
        // are mixed best, so they are also folded into the lowest bits.
        self.0 ^ (self.0 >> 32)
    }
}
