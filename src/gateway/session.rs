//! Sessions of MCP 2025-11-25: each belongs to the key that opened it.
//!
//! A session id is a bearer secret. Without this, whoever learns one and has a key of their own
//! could speak in somebody else's session.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::key::KeyId;

/// Which key each live session belongs to.
///
/// Nothing gets in but what the upstream answered to a verified request, and no live session makes
/// room for another one.
#[derive(Debug)]
pub(super) struct Sessions {
    bound: Mutex<Table>,
    most: usize,
    idle: Duration,
}

#[derive(Debug, Default)]
struct Table {
    /// By SHA-256 of the id: ids are as long as an upstream likes.
    sessions: HashMap<[u8; 32], Session>,
    /// How many each key has.
    shares: HashMap<KeyId, usize>,
    /// When those that nobody uses any more were last looked for.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Session {
    key: KeyId,
    used: Instant,
}

/// What came of binding a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// It is this key's from now on.
    New,
    /// It was this key's already.
    Known,
    /// It is another key's.
    Taken,
    /// There is no room.
    Full,
}

/// How often a full table looks for sessions that nobody uses any more.
const SWEEP: Duration = Duration::from_secs(10);

impl Sessions {
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        Sessions { bound: Mutex::default(), most, idle }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `key` may use the session `id`; of one that is not known yet, the first to use it
    /// becomes the owner once the upstream has taken it.
    pub(super) fn check(&self, id: &[u8], key: &KeyId) -> Result<(), &'static str> {
        let now = Instant::now();
        let mut table = self.table();
        if let Some(session) = table.sessions.get_mut(&digest(id)) {
            if session.key == *key {
                session.used = now;
            } else if now.duration_since(session.used) < self.idle {
                return Err("the session belongs to another key");
            }
            return Ok(());
        }
        if self.has_room(&mut table, key, now) {
            Ok(())
        } else {
            Err("too many sessions are bound to keys")
        }
    }

    /// Binds the session `id`, which the upstream has just opened or accepted, to `key`.
    pub(super) fn bind(&self, id: &[u8], key: &KeyId) -> Bound {
        let now = Instant::now();
        let mut table = self.table();
        let digest = digest(id);
        let fresh = || Session { key: *key, used: now };
        if let Some(session) = table.sessions.get_mut(&digest) {
            if session.key == *key {
                session.used = now;
                return Bound::Known;
            }
            if now.duration_since(session.used) < self.idle {
                return Bound::Taken;
            }
            let before = std::mem::replace(session, fresh());
            table.leave(&before.key);
            table.enter(key);
            return Bound::New;
        }
        if !self.has_room(&mut table, key, now) {
            return Bound::Full;
        }
        table.sessions.insert(digest, fresh());
        table.enter(key);
        Bound::New
    }

    /// Forgets a session that the upstream has ended.
    pub(super) fn end(&self, id: &[u8], key: &KeyId) {
        let mut table = self.table();
        let digest = digest(id);
        if table.sessions.get(&digest).is_some_and(|session| session.key == *key) {
            table.sessions.remove(&digest);
            table.leave(key);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.table().sessions.len()
    }

    /// A server without sessions takes any id, so that one key could bind as many as it likes:
    /// none has more than an eighth of the table unless half of that is free.
    fn has_room(&self, table: &mut Table, key: &KeyId, now: Instant) -> bool {
        if table.has_place(self.most, key) {
            return true;
        }
        // Looking through all of them is for once in a while, not for every request.
        if table.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return false;
        }
        table.swept = Some(now);
        table.sessions.retain(|_, session| now.duration_since(session.used) < self.idle);
        table.shares.clear();
        let Table { sessions, shares, .. } = table;
        for session in sessions.values() {
            *shares.entry(session.key).or_default() += 1;
        }
        table.has_place(self.most, key)
    }
}

impl Table {
    fn has_place(&self, most: usize, key: &KeyId) -> bool {
        let (all, own) = (self.sessions.len(), self.shares.get(key).copied().unwrap_or(0));
        all < most && (all < most.div_ceil(2) || own < most.div_ceil(8))
    }

    fn enter(&mut self, key: &KeyId) {
        *self.shares.entry(*key).or_default() += 1;
    }

    fn leave(&mut self, key: &KeyId) {
        if let Some(share) = self.shares.get_mut(key) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(key);
            }
        }
    }
}

fn digest(id: &[u8]) -> [u8; 32] {
    Sha256::digest(id).into()
}
