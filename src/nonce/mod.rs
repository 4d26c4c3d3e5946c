//! Has this been seen?
//!
//! A store remembers which nonce of which key was used. Its one rule is that a nonce is fresh once:
//! a store that cannot be sure says so, and whoever asked fails closed. Nothing here knows what
//! the nonces were taken from.
//!
//! Every store can forget: by a restart, a fail-over, or a clock that stepped forward (old nonces
//! are swept) and back again (they would be accepted once more). So every store has a *floor*, a
//! moment up to which it may have forgotten what was created, and tells it with every fresh claim.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::pin::Pin;

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::key::KeyId;

mod ledger;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod table;
pub mod url;

/// What the methods of a store return: a boxed future, so that stores are usable as `dyn`. It
/// needs no particular runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What stands for a nonce in the stores that several processes share: SHA-256 of the key id, a
/// zero byte and the nonce. A nonce is as long as its client likes, an id is not; and two keys
/// never share one, since a key id holds no zero byte.
pub fn id(key: &KeyId, nonce: &str) -> [u8; 32] {
    let hash =
        Sha256::new().chain_update(key.as_str()).chain_update([0]).chain_update(nonce).finalize();
    hash.into()
}

/// A store of used nonces. Open to other implementations.
pub trait NonceStore: Send + Sync {
    /// Makes sure that from now on every claim is kept for at least `retention`. Every user of a
    /// store calls this once, before its first claim.
    ///
    /// The store keeps for the longest retention that any user ever asked. Where that grows,
    /// shorter kept nonces may be gone already, and the floor rises to
    /// `now + ahead + margin`: past everything that was claimed under the old retention. Until
    /// then every user of the store refuses what it is asked. So a store that others share raises
    /// nothing unless whoever opened it said that it may: one user with a long window could
    /// otherwise close it for all others, for as long.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be reached, or would have to raise its retention and
    /// may not (see [`StoreError::would_close`]); then it must not be used, and nothing in it has
    /// changed.
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Uses `nonce` of `key` up, in one atomic step: of all that claim it, wherever they are, one
    /// gets [`Claim::Fresh`]. It is kept until `until` or, where that is later, for the retention.
    ///
    /// Only to be called for a request whose signature held: what strangers send must not fill
    /// the store. Dropping the future before it is done may or may not have used the nonce up.
    ///
    /// # Errors
    /// [`StoreError`] where the store is full or cannot be reached: nothing is known about the
    /// nonce then.
    fn claim<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// Looks whether `nonce` of `key` is used up, and changes nothing. That it is not seen proves
    /// nothing for what was created up to the [`floor`](NonceStore::floor).
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be reached.
    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<Seen>, StoreError>>;

    /// The floor as it stands: nonces of what was created at or before it may be forgotten.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be reached.
    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>>;
}

/// How long a user of a store needs every claim to be kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    window: u32,
    ahead: u32,
    margin: u32,
}

impl Retention {
    /// For what is accepted up to `window` seconds after its creation and `ahead` seconds before.
    /// The margin, which is the largest difference of clocks that verifiers and stores may have,
    /// is the window but at least 30 seconds.
    pub const fn new(window: u32, ahead: u32) -> Self {
        Retention { window, ahead, margin: if window > 30 { window } else { 30 } }
    }

    /// Seconds after its creation that something is accepted.
    pub const fn window(self) -> i64 {
        self.window as i64
    }

    /// Seconds before its creation that something is accepted.
    pub const fn ahead(self) -> i64 {
        self.ahead as i64
    }

    /// The largest difference of clocks, in seconds.
    pub const fn margin(self) -> i64 {
        self.margin as i64
    }

    /// Window, ahead and margin together: seconds from creation for which a nonce is kept.
    pub const fn length(self) -> i64 {
        self.window as i64 + self.ahead as i64 + self.margin as i64
    }

    /// Until when the nonce of something created at `created` is needed.
    pub const fn until(self, created: Timestamp) -> Timestamp {
        created.plus(self.length())
    }

    /// The retention that serves both.
    pub fn united(self, other: Retention) -> Retention {
        Retention {
            window: self.window.max(other.window),
            ahead: self.ahead.max(other.ahead),
            margin: self.margin.max(other.margin),
        }
    }

    /// Seconds for which a store keeps a claim from when it is made, or longer if `until` says so.
    /// A user with a longer window than the claimant's may be shown the same thing: it was created
    /// at `now + ahead` at the latest, and is kept for the whole length from there.
    pub const fn keep(self) -> i64 {
        self.ahead() + self.length()
    }

    /// The floor of a store that raises its retention to this one at `now`.
    pub const fn floor_when_raised(self, now: Timestamp) -> Timestamp {
        now.plus(self.ahead() + self.margin())
    }
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// Not seen before, and used up now.
    Fresh {
        /// The floor as it stands after the write. A long-running verifier must not accept what
        /// was created at or before it.
        floor: Timestamp,
    },
    /// Seen before.
    Replayed {
        /// When it was first claimed, if the store knows.
        first: Option<Timestamp>,
    },
    /// This key has too many live nonces; others are not affected.
    OverQuota,
    /// `until` is not after `now`: a nonce that is kept no longer can be claimed no longer.
    /// Nothing was written.
    Expired,
}

/// A nonce that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// When it was first claimed, if the store knows.
    pub first: Option<Timestamp>,
    /// Until when the store keeps it.
    pub until: Timestamp,
}

impl Seen {
    /// For implementations of [`NonceStore`].
    pub fn new(first: Option<Timestamp>, until: Timestamp) -> Self {
        Seen { first, until }
    }
}

/// A nonce that a store holds, by the id that stands for it ([`id`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// SHA-256 of key id, a zero byte and nonce.
    pub id: [u8; 32],
    /// When it was claimed, if the store knows.
    pub first: Option<Timestamp>,
    /// Until when it is kept.
    pub until: Timestamp,
}

/// What a store knows about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// What was created up to then may be forgotten.
    pub floor: Timestamp,
    /// The longest retention that any user asked for, if anybody has.
    pub retention: Option<Retention>,
}

/// A store would have to keep nonces for longer than it does, which would close it for everybody
/// who shares it, and nobody said that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WouldClose {
    /// For how long it keeps them, if anybody asked yet.
    pub recorded: Option<Retention>,
    /// For how long it was asked to.
    pub wanted: Retention,
}

impl WouldClose {
    /// For how many seconds nothing would be accepted by anybody.
    pub fn seconds(&self) -> i64 {
        let united = self.recorded.map_or(self.wanted, |recorded| recorded.united(self.wanted));
        united.ahead().saturating_add(united.margin())
    }
}

impl fmt::Display for WouldClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.recorded {
            Some(recorded) => write!(f, "it keeps nonces for {}, and is", span(recorded))?,
            None => f.write_str("it knows of no window yet, and is")?,
        }
        let (wanted, seconds) = (span(self.wanted), self.seconds());
        write!(f, " asked for {wanted}: that would close it for all its users for {seconds} s")
    }
}

fn span(retention: Retention) -> String {
    format!("a window of {} s and {} s ahead", retention.window(), retention.ahead())
}

/// A store could not answer; what was asked is undecided, and must be treated as refused.
#[derive(Debug)]
pub struct StoreError {
    reason: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
    would_close: Option<WouldClose>,
}

impl StoreError {
    /// With a reason: a lower-case fragment, such as "the store is full".
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        StoreError { reason: reason.into(), source: None, would_close: None }
    }

    /// With what it came from.
    pub fn because(
        reason: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        StoreError { reason: reason.into(), source: Some(source.into()), would_close: None }
    }

    /// Where [`NonceStore::register`] was refused since it would have closed the store for others:
    /// what it keeps, and what it was asked for.
    pub fn would_close(&self) -> Option<WouldClose> {
        self.would_close
    }
}

impl From<WouldClose> for StoreError {
    fn from(would_close: WouldClose) -> Self {
        let reason = would_close.to_string().into();
        StoreError { reason, source: None, would_close: Some(would_close) }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
