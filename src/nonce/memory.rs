//! A store that keeps nonces in memory: for one process, and lost when it ends.
//!
//! There are 64 shards, each behind its own lock. A shard is a hash table whose buckets have the
//! size of a processor cache line. Each claim also *sweeps*: it removes nonces that are no longer
//! needed from a few buckets, so that no claim waits for a long clean-up. A nonce that is still
//! needed is never removed: a full store answers with an error instead. A nonce takes 21 to 43
//! bytes, depending on how full the tables are.
//!
//! **Why exactly one claim wins.** Two claims of one nonce under one key have the same id, and the
//! id selects the shard. A claim looks up the id and inserts it under the lock of that shard, so
//! that the second claim finds the entry of the first. Only sweeping removes entries. It runs under
//! the same lock, and removes only entries that have ended at the time of the claim. A replay of
//! such a request would be refused anyway: it is too old, or was created before the floor of the
//! store. The limits hold among threads too. Before an insertion, one atomic operation counts the
//! total, and the nonces of the key are counted under the lock of its quota. So two claims cannot
//! share the last free slot. Locks are always taken in the order shard, then quota.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest as _, Sha256};

use super::quota::{KeyQuota, KeyQuotas};
use super::table::{self, HeldNonce, NonceHash, Shard};
use super::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use crate::clock::Timestamp;
use crate::key::KeyId;

const SHARD_COUNT: usize = 64;

/// The default maximum number of nonces that the store keeps at a time.
const DEFAULT_MAX: usize = 1_000_000;

/// A store in memory.
pub struct Memory {
    shards: Vec<Mutex<Shard>>,
    quotas: Vec<Mutex<KeyQuotas>>,
    salt: [u8; 16],
    /// The moment from which the shards count seconds. Counting from here keeps entries small.
    base: Timestamp,
    max: usize,
    quota: usize,
    /// The number of nonces in all shards, including those that have ended and were not removed
    /// yet.
    count: AtomicUsize,
    retention: Mutex<Retention>,
    /// The values `length` and `keep` of the store's [`Retention`], in seconds, as atomics: a claim
    /// reads them without a lock.
    length: AtomicI64,
    keep: AtomicI64,
    /// The floor (the time up to which nonces may be lost) that the creation of the store and
    /// raised retentions have set. The floor that the store returns can be later because nonces
    /// were removed; see [`Memory::floor_now`].
    floor: AtomicI64,
    /// The latest time at which any nonce was stored, and so the latest time at which nonces can
    /// have been removed. It never decreases.
    horizon: AtomicI64,
}

impl Memory {
    /// Creates an empty store at the time `start`, for up to a million live nonces. Its floor, up
    /// to which nonces may be lost, is `start + ahead`: an earlier process may have accepted
    /// requests that were created up to that time, and the nonces of that process are lost.
    ///
    /// `random` makes the salt of the nonce ids, and must be a cryptographic generator.
    ///
    /// # Errors
    /// The error of the generator `random`.
    pub fn new<R: rand::TryCryptoRng>(
        start: Timestamp,
        retention: Retention,
        random: &mut R,
    ) -> Result<Self, R::Error> {
        let mut salt = [0; 16];
        random.try_fill_bytes(&mut salt)?;
        let store = Memory {
            shards: (0..SHARD_COUNT).map(|_| Mutex::default()).collect(),
            quotas: (0..SHARD_COUNT).map(|_| Mutex::default()).collect(),
            salt,
            base: start,
            max: 0,
            quota: 0,
            count: AtomicUsize::new(0),
            retention: Mutex::new(retention),
            length: AtomicI64::new(retention.length()),
            keep: AtomicI64::new(retention.keep()),
            floor: AtomicI64::new(start.plus(retention.ahead()).unix()),
            horizon: AtomicI64::new(i64::MIN),
        };
        Ok(store.bounded(DEFAULT_MAX))
    }

    /// Limits the store to `max` nonces, and each key to an eighth of `max`, but at least one
    /// nonce.
    pub fn bounded(self, max: usize) -> Self {
        Memory { max, quota: (max / 8).max(1), ..self }
    }

    /// Removes the floor that the start of the store has set, so that requests created before are
    /// accepted. Only for a process that made all trusted keys itself after its start: no nonce of
    /// these keys can have been used before.
    pub fn without_floor(self) -> Self {
        Memory { floor: AtomicI64::new(i64::MIN), ..self }
    }

    /// Returns the id of a nonce and its shard: 70 bits of SHA-256 over salt, key id, a zero byte
    /// and the nonce.
    ///
    /// The nonce is hashed, because the client chooses its length. The hash is salted, because its
    /// first bytes select the place in the table: without a salt, the holder of a key could search
    /// for nonces that all fall into one bucket. The hash is cut to 70 bits: with 2^24 live nonces,
    /// a new nonce collides with one of them with a probability of 2^-46, and a good request is
    /// then refused. An attacker who does not know the salt cannot cause collisions.
    fn id(&self, key: &KeyId, nonce: &str) -> (&Mutex<Shard>, NonceHash) {
        let hash = Sha256::new()
            .chain_update(self.salt)
            .chain_update(key.as_bytes())
            .chain_update([0])
            .chain_update(nonce)
            .finalize();
        let word = |i: usize| u32::from_le_bytes([hash[i], hash[i + 1], hash[i + 2], hash[i + 3]]);
        // The hash tables use the first eight bytes, so the shard is chosen by another byte.
        let shard = &self.shards[usize::from(hash[12]) % SHARD_COUNT];
        (shard, NonceHash([word(0), word(4)]))
    }

    fn quota(&self, key: &KeyId) -> Result<MutexGuard<'_, KeyQuotas>, StoreError> {
        let place = key.as_bytes().iter().take(4).fold(0_usize, |sum, b| sum * 7 + usize::from(*b));
        lock(&self.quotas[place % SHARD_COUNT])
    }

    /// Returns the seconds from `base` to `moment`, or an error if these are more than 68 years
    /// apart.
    fn seconds(&self, moment: Timestamp) -> Result<i32, StoreError> {
        i32::try_from(moment.since(self.base))
            .map_err(|_| StoreError::new("the time is too far from the start of the store"))
    }

    fn moment(&self, seconds: i32) -> Timestamp {
        self.base.plus(i64::from(seconds))
    }

    /// Returns the floor, up to which nonces may be lost. A removed nonce was kept until the latest
    /// claim (the horizon) at most, and for a full retention `length` after its request was
    /// created. So its request was created at least one `length` before the horizon. While the
    /// clock only moves forward, such a request is too old for every window. If the clock is set
    /// back, this floor prevents the request from being accepted again.
    fn floor_now(&self) -> Timestamp {
        let horizon = Timestamp::from_unix(self.horizon.load(Ordering::SeqCst));
        let forgotten = horizon.plus(self.length.load(Ordering::SeqCst).saturating_neg());
        forgotten.max(Timestamp::from_unix(self.floor.load(Ordering::SeqCst)))
    }

    fn claim_now(
        &self,
        now: Timestamp,
        key: &KeyId,
        nonce: &str,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let (shard, id) = self.id(key, nonce);
        let kept = self.seconds(until.max(now.plus(self.keep.load(Ordering::SeqCst))))?;
        let second = self.seconds(now)?;
        if kept.saturating_sub(second) > table::MAX_KEPT_SECONDS {
            return Err(too_long());
        }
        // The horizon (the time of the latest claim) is raised before this claim removes any nonce.
        // So another claim that does not find a removed nonce also sees the higher floor. The
        // horizon changes only once a second; this comparison saves the write at all other times.
        if self.horizon.load(Ordering::SeqCst) < now.unix() {
            self.horizon.fetch_max(now.unix(), Ordering::SeqCst);
        }
        let entry = HeldNonce { first: second, kept };
        let outcome = match self.insert(shard, id, entry, second, key)? {
            Inserted::Full => {
                self.make_room(second)?;
                self.insert(shard, id, entry, second, key)?
            }
            other => other,
        };
        match outcome {
            Inserted::Done => Ok(Claim::Fresh { floor: self.floor_now() }),
            Inserted::KnownNonce(first) => Ok(Claim::Replayed { first: Some(self.moment(first)) }),
            Inserted::OverQuota => Ok(Claim::OverQuota),
            Inserted::Full => Err(StoreError::new(format!("the store is full with {}", self.max))),
        }
    }

    /// Looks up and inserts an entry under one lock. The total and the quota of the key are counted
    /// before the insertion, each in one atomic step, so that two claims cannot share the last free
    /// slot.
    fn insert(
        &self,
        shard: &Mutex<Shard>,
        id: NonceHash,
        entry: HeldNonce,
        now: i32,
        key: &KeyId,
    ) -> Result<Inserted, StoreError> {
        let mut shard = lock(shard)?;
        self.let_go(shard.sweep(now));
        let old = shard.get(&id);
        if let Some(old) = old.filter(|old| old.kept > now) {
            return Ok(Inserted::KnownNonce(old.first));
        }
        let mut quotas = self.quota(key)?;
        let quota = KeyQuota::of(&mut quotas, key, now);
        if quota.live(now) >= self.quota {
            return Ok(Inserted::OverQuota);
        }
        if old.is_none() {
            let more = |held: usize| (held < self.max).then_some(held.saturating_add(1));
            if self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_err() {
                return Ok(Inserted::Full);
            }
        }
        quota.add(entry.kept);
        shard.insert(id, entry);
        Ok(Inserted::Done)
    }

    /// Makes room in a full store: removes ended nonces from one shard after another, until some
    /// were removed.
    fn make_room(&self, now: i32) -> Result<(), StoreError> {
        for shard in &self.shards {
            let removed = lock(shard)?.make_room(now);
            self.let_go(removed);
            if removed > 0 {
                break;
            }
        }
        Ok(())
    }

    fn let_go(&self, removed: usize) {
        if removed > 0 {
            self.count.fetch_sub(removed, Ordering::SeqCst);
        }
    }

    fn peek_now(
        &self,
        now: Timestamp,
        key: &KeyId,
        nonce: &str,
    ) -> Result<Option<KnownNonce>, StoreError> {
        let (shard, id) = self.id(key, nonce);
        let entry = lock(shard)?.get(&id);
        Ok(entry
            .map(|e| KnownNonce::new(Some(self.moment(e.first)), self.moment(e.kept)))
            .filter(|seen| seen.until > now))
    }

    fn register_now(&self, now: Timestamp, retention: Retention) -> Result<(), StoreError> {
        if retention.keep() > i64::from(table::MAX_KEPT_SECONDS) {
            return Err(too_long());
        }
        let mut longest = lock(&self.retention)?;
        let united = longest.united(retention);
        if united != *longest {
            *longest = united;
            // The clock may have been set back since the latest claims, so the time is at least
            // that of the latest claim (the horizon).
            let latest = now.max(Timestamp::from_unix(self.horizon.load(Ordering::SeqCst)));
            // The floor is raised before the retention length. Then the new floor excludes every
            // request whose nonce was kept only for the old length. Otherwise the floor, which is
            // at least horizon minus length, would fall when the length grows.
            self.floor.fetch_max(united.floor_when_raised(latest).unix(), Ordering::SeqCst);
            self.length.store(united.length(), Ordering::SeqCst);
            self.keep.store(united.keep(), Ordering::SeqCst);
        }
        Ok(())
    }
}

impl NonceStore for Memory {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.register_now(now, retention) })
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move { self.claim_now(now, key, nonce, until) })
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        Box::pin(async move { self.peek_now(now, key, nonce) })
    }

    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        let (Ok(second), Ok(mut quotas)) = (self.seconds(now), self.quota(key)) else {
            return false;
        };
        quotas.get_mut(key).is_some_and(|quota| quota.live(second) >= self.quota)
    }

    fn floor<'a>(&'a self, _now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        Box::pin(async move { Ok(self.floor_now()) })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.count.load(Ordering::SeqCst);
        f.debug_struct("Memory")
            .field("held", &held)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

/// The error after a thread panicked while it held a lock: the data may be half changed.
fn poisoned() -> StoreError {
    StoreError::new("the store was left broken by a fault in this program")
}

fn too_long() -> StoreError {
    let days = table::MAX_KEPT_SECONDS / 86_400;
    StoreError::new(format!("nonces are kept for {days} days at most"))
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, StoreError> {
    mutex.lock().map_err(|_| poisoned())
}

enum Inserted {
    Done,
    KnownNonce(i32),
    OverQuota,
    Full,
}
