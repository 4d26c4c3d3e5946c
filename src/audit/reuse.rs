//! Nonces that were used, and may not be used again while a store would remember them.
//!
//! What is kept grows with the requests within that time, and not with the log.

use std::collections::{BTreeMap, HashSet};

use super::judge::NonceId;

/// Nonces in use, and when each falls free.
#[derive(Default)]
pub(super) struct Nonces {
    used: HashSet<NonceId>,
    ends: BTreeMap<i64, Vec<NonceId>>,
}

/// How long after a nonce is free its second use is still looked for: clocks of verifiers differ.
const SLACK: i64 = 60;

impl Nonces {
    /// Whether nobody has used it up.
    pub(super) fn use_up(&mut self, id: NonceId, until: i64) -> bool {
        let fresh = self.used.insert(id);
        if fresh {
            self.ends.entry(until).or_default().push(id);
        }
        fresh
    }

    pub(super) fn forget(&mut self, now: i64) {
        let now = now.saturating_sub(SLACK);
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() < now) {
            for id in first.remove() {
                self.used.remove(&id);
            }
        }
    }
}
