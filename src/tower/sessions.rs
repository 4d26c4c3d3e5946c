//! Binds each session (MCP 2025-11-25) to the key that opened it.
//!
//! A session id is a bearer secret. Without a binding, a client that has a trusted key and learns
//! the session id of another client could act in that session.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::key::KeyId;

/// The field that names the session (MCP 2025-11-25, Streamable HTTP).
pub(super) const SESSION_ID: &str = "mcp-session-id";

/// A table with the key to which each live session is bound.
///
/// A session is bound only if the server opened it in the answer to a verified request, or accepted
/// a verified request that names it. A live session is never removed to make room for a new one.
///
/// ```
/// use mcpid::tower::SessionBindings;
///
/// let bindings = SessionBindings::default();
/// assert_eq!(bindings.len(), 0);
/// ```
#[derive(Debug)]
pub struct SessionBindings {
    table: Mutex<SessionTable>,
    most: usize,
    idle: Duration,
}

#[derive(Debug, Default)]
struct SessionTable {
    sessions: HashMap<SessionDigest, BoundSession>,
    /// The number of sessions that are bound to each key.
    shares: HashMap<KeyId, usize>,
    /// The time at which idle sessions were last removed.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct BoundSession {
    key: KeyId,
    used: Instant,
}

/// The SHA-256 of a session id. A digest is stored, because a server may make ids of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionDigest([u8; 32]);

impl SessionDigest {
    /// Returns the digest of the session id in a field value. Spaces around the value, which HTTP/2
    /// keeps, are ignored.
    pub(super) fn of(value: &[u8]) -> Self {
        SessionDigest(Sha256::digest(value.trim_ascii()).into())
    }
}

/// The result of recording which key uses a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// The session is bound to the key from now on.
    New,
    /// The session was bound to the key before.
    Known,
    /// The session is bound to another key.
    Taken,
    /// The table of sessions is full.
    Full,
}

/// How often a full table is searched for idle sessions.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

impl Default for SessionBindings {
    /// Makes an empty table for at most [`DEFAULT_MOST`](Self::DEFAULT_MOST) sessions. A session
    /// that was not used for [`DEFAULT_IDLE`](Self::DEFAULT_IDLE) may be bound to another key.
    fn default() -> Self {
        SessionBindings::new(Self::DEFAULT_MOST, Self::DEFAULT_IDLE)
    }
}

impl SessionBindings {
    /// The default maximum number of sessions in the table.
    pub const DEFAULT_MOST: usize = 100_000;
    /// The default time for which a session stays bound without being used: a day.
    pub const DEFAULT_IDLE: Duration = Duration::from_secs(24 * 60 * 60);

    /// Makes an empty table for at most `most` sessions. A session that was not used for `idle` may
    /// be bound to another key.
    pub fn new(most: usize, idle: Duration) -> Self {
        SessionBindings { table: Mutex::default(), most, idle }
    }

    fn table(&self) -> MutexGuard<'_, SessionTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of sessions that are bound.
    pub fn len(&self) -> usize {
        self.table().sessions.len()
    }

    /// Returns true if no session is bound.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that `key` may use the session. A session that is not bound yet may be used by any
    /// key, and is bound to the first one whose request the server accepts.
    pub(super) fn check(&self, session: &SessionDigest, key: &KeyId) -> Result<(), &'static str> {
        let now = Instant::now();
        let mut table = self.table();
        if let Some(bound) = table.sessions.get_mut(session) {
            if bound.key == *key {
                bound.used = now;
            } else if now.duration_since(bound.used) < self.idle {
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

    /// Binds a session that the server has just opened or accepted to `key`.
    pub(super) fn bind(&self, session: SessionDigest, key: &KeyId) -> Binding {
        let now = Instant::now();
        let mut table = self.table();
        let fresh = || BoundSession { key: *key, used: now };
        if let Some(bound) = table.sessions.get_mut(&session) {
            if bound.key == *key {
                bound.used = now;
                return Binding::Known;
            }
            if now.duration_since(bound.used) < self.idle {
                return Binding::Taken;
            }
            let before = std::mem::replace(bound, fresh());
            table.leave(&before.key);
            table.enter(key);
            return Binding::New;
        }
        if !self.has_room(&mut table, key, now) {
            return Binding::Full;
        }
        table.sessions.insert(session, fresh());
        table.enter(key);
        Binding::New
    }

    /// Removes a session that the server has ended.
    pub(super) fn end(&self, session: &SessionDigest, key: &KeyId) {
        let mut table = self.table();
        if table.sessions.get(session).is_some_and(|bound| bound.key == *key) {
            table.sessions.remove(session);
            table.leave(key);
        }
    }

    /// Returns true if `key` may have one more session. A server without sessions accepts any id,
    /// so one key could fill the table. So a key has at most an eighth of the table, unless half of
    /// the table is free.
    fn has_room(&self, table: &mut SessionTable, key: &KeyId, now: Instant) -> bool {
        if table.has_room(self.most, key) {
            return true;
        }
        // Searching the whole table for idle sessions takes long, so a full table is searched at
        // most every few seconds.
        if table.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP_INTERVAL) {
            return false;
        }
        table.swept = Some(now);
        table.sessions.retain(|_, bound| now.duration_since(bound.used) < self.idle);
        table.shares.clear();
        let SessionTable { sessions, shares, .. } = table;
        for bound in sessions.values() {
            *shares.entry(bound.key).or_default() += 1;
        }
        table.has_room(self.most, key)
    }
}

impl SessionTable {
    fn has_room(&self, most: usize, key: &KeyId) -> bool {
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
