//! The tables of the memory store: what is held, when it ends, and how much of it is whose.
//!
//! Seconds are counted from the store's base. Nothing here locks, and nothing looks at a clock.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::key::KeyId;

/// Nonces swept by a claim at most. A claim adds one, so any number above one keeps up.
const SWEPT_PER_CLAIM: usize = 4;

/// Nonces for which a shard keeps room at hand, at most.
const SPARED: usize = 64;

/// When a nonce was claimed and until when it is kept, in seconds from the store's base.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) first: i32,
    pub(super) kept: i32,
}

#[derive(Default)]
pub(super) struct Shard {
    entries: HashMap<Id, Entry, BuildHasherDefault<Fold>>,
    /// The same nonces by the second in which they end. A nonce that ended and was claimed again
    /// before it was swept stands here twice; only the later place counts.
    by_end: BTreeMap<i32, Vec<Id>>,
    /// The room of a second that is over, for the next one.
    spare: Vec<Id>,
}

impl Shard {
    pub(super) fn get(&self, id: &Id) -> Option<Entry> {
        self.entries.get(id).copied()
    }

    pub(super) fn insert(&mut self, id: Id, entry: Entry) {
        let spare = &mut self.spare;
        let ending = self.by_end.entry(entry.kept).or_insert_with(|| std::mem::take(spare));
        ending.push(id);
        self.entries.insert(id, entry);
    }

    /// Removes a few nonces that are kept no longer, and says how many.
    pub(super) fn sweep(&mut self, now: i32) -> usize {
        let mut swept = 0;
        for _ in 0..SWEPT_PER_CLAIM {
            let Some(mut ended) = self.by_end.first_entry().filter(|e| *e.key() <= now) else {
                break;
            };
            let second = *ended.key();
            let id = ended.get_mut().pop();
            if ended.get().is_empty() {
                let spare = ended.remove();
                if spare.capacity() <= SPARED {
                    self.spare = spare;
                }
            }
            let Some(id) = id else { continue };
            if self.entries.get(&id).is_some_and(|entry| entry.kept == second) {
                self.entries.remove(&id);
                swept += 1;
            }
        }
        swept
    }
}

pub(super) type Ledgers = HashMap<KeyId, Ledger, BuildHasherDefault<Fold>>;

/// How many nonces of one key are live, told by the seconds in which they end: exact at once,
/// wherever the sweeping has got to.
#[derive(Default)]
pub(super) struct Ledger {
    live: usize,
    ends: BTreeMap<i32, usize>,
}

impl Ledger {
    /// The ledger of `key`, empty if it has none yet. Keys that have nothing live are dropped
    /// before the table would grow, so that rotated keys do not stay for ever.
    pub(super) fn of<'l>(ledgers: &'l mut Ledgers, key: &KeyId, now: i32) -> &'l mut Ledger {
        if ledgers.len() == ledgers.capacity() && !ledgers.contains_key(key) {
            ledgers.retain(|_, ledger| ledger.live(now) > 0);
            // Doubling keeps this from being done again for every single new key.
            ledgers.reserve(ledgers.len().max(4));
        }
        ledgers.entry(*key).or_default()
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

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) [u8; 16]);

/// A hasher for what is a hash already: ids, which are salted, and thumbprints of trusted keys.
/// It only has to spread the words it is given over the table.
#[derive(Default)]
pub(super) struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let word = word.iter().rev().fold(0, |sum, &b| (sum << 8) | u64::from(b));
            self.write_u64(word);
        }
    }

    fn write_u64(&mut self, word: u64) {
        // An odd number whose bits are those of the golden ratio: any such number would do.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, _length: usize) {
        // Both kinds have one length only.
    }

    fn finish(&self) -> u64 {
        // Tables take the lowest and the highest bits; a product is good at the highest.
        self.0 ^ (self.0 >> 32)
    }
}
