//! The nonces that a log has used up. They show whether a request was replayed: the same key must
//! not use a nonce again while a server's nonce store would still remember it.
//!
//! Memory use grows with the number of requests within that time, not with the length of the log.
//! Times in this module are times of requests. If the machine's clock was set back, a request can
//! be older than nonces that were already dropped from memory; the log is then searched for these
//! nonces.

use std::collections::HashMap;

use super::entry;
use super::entry_judge::{self, NonceId, NonceUse};
use super::fault::LogError;
use super::folder::Folder;
use super::segment;

/// The nonces that may not be used again yet.
#[derive(Debug, Default)]
pub(super) struct NonceUses {
    /// Each nonce with the time, in Unix seconds, until which a second use is a replay.
    used: HashMap<NonceId, i64>,
    /// Nonces that could be used again before this time (in Unix seconds) were removed from `used`.
    forgotten: i64,
    /// Nonces of requests that are older than `forgotten`, so that an earlier use may have been
    /// dropped from memory. Each nonce comes with the number of its entry.
    late: HashMap<NonceId, (u64, NonceUse)>,
}

/// Maximum number of seconds by which a request may be older than an earlier request in the log, if
/// only the nonces in memory are searched for its nonce. For an older request, the whole log is
/// searched. Entries are written within moments, so a larger difference means that the clock was
/// set. A nonce stays in memory for this time plus the validity window.
const MAX_ENTRY_DELAY: i64 = 10;

/// Seconds, by the times in the log, between two removals of old nonces from memory.
const SWEEP_INTERVAL: i64 = 5;

impl NonceUses {
    /// Marks a nonce as used. Returns true if entry `n` is the first to use it.
    pub(super) fn use_up(&mut self, n: u64, use_: NonceUse) -> bool {
        if use_.at < self.forgotten {
            self.late.entry(use_.id).or_insert((n, use_));
        }
        match self.used.insert(use_.id, use_.until) {
            // If the time for which a nonce store remembers the first use had ended, the store
            // accepted the nonce again.
            Some(until) => use_.at >= until,
            None => true,
        }
    }

    /// Removes the nonces that no verifier would refuse at `now`. All nonces are looked through at
    /// once, at most every [`SWEEP_INTERVAL`] seconds of the log's time. A second list, sorted by
    /// the end of each nonce, would be faster, but double the memory.
    pub(super) fn forget(&mut self, now: i64) {
        let now = now.saturating_sub(MAX_ENTRY_DELAY);
        if now < self.forgotten.saturating_add(SWEEP_INTERVAL) {
            return;
        }
        self.forgotten = now;
        self.used.retain(|_, until| *until >= now);
        // `retain` visits empty slots of the table too, so a table that once had many nonces must
        // be shrunk.
        if self.used.len() < self.used.capacity() / 4 {
            self.used.shrink_to_fit();
        }
    }

    /// Searches the whole log for second uses of nonces that were dropped from memory. Returns the
    /// entries of the first and the second use of the same nonce.
    ///
    /// # Errors
    /// [`LogError`] if the log cannot be read.
    pub(super) fn look_again(&self, folder: &Folder) -> Result<Option<(u64, u64)>, LogError> {
        if self.late.is_empty() {
            return Ok(None);
        }
        for line in segment::lines(folder)? {
            let line = line?;
            let Ok(entry) = entry::parse(&line.bytes) else { continue };
            for earlier in entry_judge::nonces_of(&entry) {
                let later = self.late.get(&earlier.id);
                if let Some((n, _)) =
                    later.filter(|(n, later)| entry.n < *n && later.at < earlier.until)
                {
                    return Ok(Some((entry.n, *n)));
                }
            }
        }
        Ok(None)
    }
}

/// The nonces that a log has used up, for the audit of its successor.
#[derive(Debug, Default)]
pub struct UsedNonces(pub(super) NonceUses);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn a_use(number: u64, at: i64) -> NonceUse {
        let mut id = [0; 24];
        id[..8].copy_from_slice(&number.to_ne_bytes());
        NonceUse { id, until: at + 31, at }
    }

    #[test]
    fn kept_nonces_grow_with_the_rate_and_not_with_the_log() {
        let mut nonces = NonceUses::default();
        for number in 0..300_000 {
            let at = i64::try_from(number / 100).unwrap();
            assert!(nonces.use_up(number, a_use(number, at)));
            nonces.forget(at);
            if number > 3_000 {
                assert!(!nonces.use_up(number, a_use(number - 3_000, at)), "{number}");
            }
        }
        // The requests use 100 nonces a second. Each stays in memory for the time in which a
        // signature is valid (31 s), the time that a store adds (30 s), [`MAX_ENTRY_DELAY`] and
        // [`SWEEP_INTERVAL`].
        assert!(nonces.used.len() < 80 * 100, "{}", nonces.used.len());
        assert!(nonces.late.is_empty());
        assert!(nonces.use_up(300_000, a_use(0, 3_000 - MAX_ENTRY_DELAY - 100)));
        assert_eq!(nonces.late.len(), 1);
    }

    #[test]
    fn the_table_gets_small_again_after_a_burst() {
        let mut nonces = NonceUses::default();
        for number in 0..100_000 {
            assert!(nonces.use_up(number, a_use(number, 1_000)));
        }
        nonces.forget(2_000);
        assert_eq!(nonces.used.len(), 0);
        assert!(nonces.used.capacity() < 1_000, "{}", nonces.used.capacity());
    }
}
