//! The used nonces: a nonce may not be used again while a store would remember it.
//!
//! Memory grows with the requests within that time, and not with the log. Times here are those of
//! the requests. If they go back, because the log's clock stepped, forgotten nonces are searched in
//! the log again.

use std::collections::{BTreeMap, HashMap};

use super::entry;
use super::fault::LogError;
use super::folder::Folder;
use super::judge::{self, NonceId, NonceUse};
use super::segment;

/// Nonces in use, and when each falls free.
#[derive(Debug, Default)]
pub(super) struct NonceUses {
    used: HashMap<NonceId, i64>,
    ends: BTreeMap<i64, Vec<NonceId>>,
    /// The time up to which nonces were forgotten.
    forgotten: i64,
    /// Uses at a time whose nonces may have been forgotten, with the entry of each use.
    late: HashMap<NonceId, (u64, NonceUse)>,
}

/// Seconds by which a request may be older than an earlier one in the log and still find all nonces
/// of its time in memory. Requests are logged within moments; for an even older request, after a
/// step of the log's clock, the log is read again. The memory holds the requests of this time plus
/// the window.
const SLACK: i64 = 10;

impl NonceUses {
    /// Uses a nonce up. Returns true if entry `n` is the first to use it.
    pub(super) fn use_up(&mut self, n: u64, use_: NonceUse) -> bool {
        if use_.at < self.forgotten {
            self.late.entry(use_.id).or_insert((n, use_));
        }
        match self.used.insert(use_.id, use_.until) {
            // A store that had forgotten it has taken it for a new one.
            Some(until) => use_.at >= until,
            None => {
                self.ends.entry(use_.until).or_default().push(use_.id);
                true
            }
        }
    }

    /// Forgets the nonces that no verifier would refuse at `now`.
    pub(super) fn forget(&mut self, now: i64) {
        let now = now.saturating_sub(SLACK);
        self.forgotten = self.forgotten.max(now);
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() < now) {
            for id in first.remove() {
                if self.used.get(&id).is_some_and(|until| *until < now) {
                    self.used.remove(&id);
                } else if let Some(until) = self.used.get(&id).copied() {
                    self.ends.entry(until).or_default().push(id);
                }
            }
        }
    }

    /// Searches the whole log for the nonces of requests that are older than the forgotten ones.
    /// Returns the entries of the first and the second use of a nonce.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn look_again(&self, folder: &Folder) -> Result<Option<(u64, u64)>, LogError> {
        if self.late.is_empty() {
            return Ok(None);
        }
        for line in segment::lines(folder)? {
            let line = line?;
            let Ok(entry) = entry::parse(&line.bytes) else { continue };
            for earlier in judge::nonces_of(&entry) {
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

/// The nonces that a log has used up, for the log that follows it.
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
    fn what_is_kept_grows_with_the_rate_and_not_with_the_log() {
        let mut nonces = NonceUses::default();
        for number in 0..300_000 {
            let at = i64::try_from(number / 100).unwrap();
            assert!(nonces.use_up(number, a_use(number, at)));
            nonces.forget(at);
            if number > 3_000 {
                assert!(!nonces.use_up(number, a_use(number - 3_000, at)), "{number}");
            }
        }
        // 100 a second, each for 31 seconds after its second use, 30 seconds later, and the slack.
        assert!(nonces.used.len() < 75 * 100, "{}", nonces.used.len());
        assert_eq!(nonces.used.len(), nonces.ends.values().map(Vec::len).sum::<usize>());
        assert!(nonces.late.is_empty());
        assert!(nonces.use_up(300_000, a_use(0, 3_000 - SLACK - 100)));
        assert_eq!(nonces.late.len(), 1);
    }
}
