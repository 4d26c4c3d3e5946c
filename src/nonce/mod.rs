//! Stores of used nonces.
//!
//! A store remembers which nonce was used with which key. It must call a nonce fresh only once: a
//! store that cannot be sure returns an error, and the verifier then refuses the request. Nothing
//! in this module knows about HTTP.
//!
//! Every store can lose nonces: by a restart, by a fail-over, or because its clock was set forward
//! (so that it removed nonces) and then back (so that their requests would be accepted once more).
//! So every store has a *floor*, a moment in time: the store may have lost nonces of requests that
//! were created at or before it. The store returns its floor with every fresh claim, and a server
//! refuses requests that were created at or before it.
//!
//! A store in another crate implements [`NonceStore`], and also [`StoreAdmin`] if operators should
//! be able to list and prune it. The feature `store-contract` adds the tests that every store has
//! to pass.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::pin::Pin;

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::key::KeyId;

mod admin;
#[cfg(feature = "store-contract")]
pub mod contract;
#[cfg(any(feature = "sqlite", feature = "redis"))]
mod key_limit;
pub mod memory;
pub mod open;
mod quota;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod table;
pub mod url;
pub mod within_run;

pub use admin::{KeptNonce, ListCursor, NoncePage, StoreAdmin, StoreState};

/// A boxed future, which the methods of a store return so that a store can be used as `dyn`. It
/// needs no particular runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Returns the id under which shared stores keep a nonce: SHA-256 of the key id, a zero byte and
/// the nonce. A client chooses the length of its nonces, so the nonces themselves are not stored.
/// Two keys never share an id, since a key id holds no zero byte.
pub fn id(key: &KeyId, nonce: &str) -> [u8; 32] {
    let hash =
        Sha256::new().chain_update(key.as_bytes()).chain_update([0]).chain_update(nonce).finalize();
    hash.into()
}

/// A store of used nonces. Other crates can implement it.
///
/// ```
/// use mcpid::block_on;
/// use mcpid::clock::Timestamp;
/// use mcpid::key::{SecretKey, Sign};
/// use mcpid::nonce::{Claim, NonceStore, Retention, memory::Memory};
/// use rand::rngs::SysRng;
///
/// let (now, retention) = (Timestamp::from_unix(1_795_392_000), Retention::new(30, 5));
/// let store = Memory::new(now, retention, &mut SysRng)?;
/// let key = SecretKey::from_seed(&[7; 32]);
/// let claim = || block_on(store.claim(now, key.public().id(), "n-1", retention.until(now)));
/// assert!(matches!(claim()?, Claim::Fresh { .. }));
/// assert!(matches!(claim()?, Claim::Replayed { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait NonceStore: Send + Sync {
    /// Makes the store keep every later claim for at least `retention`. Every user of a store calls
    /// this once, before its first claim.
    ///
    /// The store keeps nonces for the longest retention that any user ever asked for. If that
    /// retention grows, the store may already have removed nonces that the new window still needs.
    /// So the floor rises to `now + ahead + margin`, which is later than the creation of every
    /// request that was accepted under the old retention, and until then every user of the store
    /// refuses all requests. So a shared store raises its retention only if its options allow it;
    /// otherwise one user with a long window could block all others.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached, or if it would have to raise its retention
    /// without permission (see [`StoreError::retention_too_short`]). The caller must then not use
    /// the store; nothing in it has changed.
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Claims `nonce` of `key`, in one atomic step: of all callers that claim it, in all processes
    /// that share the store, exactly one gets [`Claim::Fresh`]. The store keeps the nonce until
    /// `until`, or for its retention if that ends later. A claim whose `until` is not after `now`
    /// is [`Claim::Expired`], in every store.
    ///
    /// Call this only for a request whose signature is valid: other requests must not fill the
    /// store. A claim whose future is dropped before it is complete may have used up the nonce.
    ///
    /// # Errors
    /// [`StoreError`] if the store is full or cannot be reached: whether the nonce was used is then
    /// unknown.
    fn claim<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        if until <= now {
            return Box::pin(std::future::ready(Ok(Claim::Expired)));
        }
        self.claim_live(now, key, nonce, until)
    }

    /// The part of [`claim`](NonceStore::claim) that each store implements, for an `until` that is
    /// after `now`. Callers use `claim`.
    ///
    /// # Errors
    /// As [`claim`](NonceStore::claim).
    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>>;

    /// Looks up whether `nonce` of `key` is used up, and changes nothing. If the request was
    /// created at or before the [`floor`](NonceStore::floor), the answer `None` does not prove that
    /// the nonce is unused.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>>;

    /// Returns true if a claim for `key` would be [`Claim::OverQuota`], as far as this process
    /// knows. A verifier calls this before it verifies a signature, so the answer must come at
    /// once, without asking a file or a server. Whether the nonce is accepted is decided only by a
    /// claim.
    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        let _ = (now, key);
        false
    }

    /// Returns the floor at `now`: the store may have lost nonces of requests that were created at
    /// or before this time.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>>;
}

/// The times, in seconds, from which it follows how long a user of a store needs every nonce to be
/// kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    window: u32,
    ahead: u32,
    margin: u32,
}

impl Retention {
    /// Creates the retention for requests that are accepted up to `window` seconds after and
    /// `ahead` seconds before their creation. The margin is the largest difference between the
    /// clocks of verifiers and stores; it equals the window, but is at least 30 seconds.
    ///
    /// ```
    /// use mcpid::nonce::Retention;
    ///
    /// let retention = Retention::new(30, 5);
    /// assert_eq!((retention.margin(), retention.length()), (30, 65));
    /// ```
    pub const fn new(window: u32, ahead: u32) -> Self {
        Retention { window, ahead, margin: if window > 30 { window } else { 30 } }
    }

    /// Returns the number of seconds after its creation for which a request is accepted.
    pub const fn window(self) -> i64 {
        self.window as i64
    }

    /// Returns the number of seconds before its creation from which a request is accepted.
    pub const fn ahead(self) -> i64 {
        self.ahead as i64
    }

    /// Returns the largest difference between two clocks, in seconds.
    pub const fn margin(self) -> i64 {
        self.margin as i64
    }

    /// Returns the number of seconds after the creation of its request for which a nonce is kept:
    /// the sum of the maximum age, `ahead` and the margin between clocks.
    pub const fn length(self) -> i64 {
        self.window as i64 + self.ahead as i64 + self.margin as i64
    }

    /// Returns the time until which the nonce of a request created at `created` is needed.
    pub const fn until(self, created: Timestamp) -> Timestamp {
        created.plus(self.length())
    }

    /// Returns the shortest retention that is long enough for both.
    pub fn united(self, other: Retention) -> Retention {
        Retention {
            window: self.window.max(other.window),
            ahead: self.ahead.max(other.ahead),
            margin: self.margin.max(other.margin),
        }
    }

    /// Returns for how many seconds after a claim a store keeps the nonce at least, even if the
    /// caller's `until` is earlier. Another verifier that accepts older requests may receive the
    /// same request. That request was created at `now + ahead` at the latest, and the store has to
    /// keep its nonce for the whole length after that.
    pub const fn keep(self) -> i64 {
        self.ahead() + self.length()
    }

    /// Returns the new floor (the time up to which nonces may be lost) of a store that raises its
    /// retention to this one at `now`.
    pub const fn floor_when_raised(self, now: Timestamp) -> Timestamp {
        now.plus(self.ahead() + self.margin())
    }
}

/// The answer to a claim: a request to store a nonce if it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The nonce was not used before. It is marked as used now.
    Fresh {
        /// The floor of the store after the write. A server must not accept a request that was
        /// created at or before it, because its nonce may have been lost.
        floor: Timestamp,
    },
    /// The nonce was used before.
    Replayed {
        /// The time at which the nonce was first used, if the store knows it.
        first: Option<Timestamp>,
    },
    /// This key has too many nonces that are still kept. Other keys are not affected.
    OverQuota,
    /// `until` is not after `now`, so the nonce would not have to be kept at all. Nothing was
    /// written.
    Expired,
}

/// A used nonce, as a store reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownNonce {
    /// The time at which the nonce was first used, if the store knows it.
    pub first: Option<Timestamp>,
    /// The time from which the store may forget the nonce.
    pub until: Timestamp,
}

impl KnownNonce {
    /// Creates the record of a used nonce, for implementations of [`NonceStore`].
    pub fn new(first: Option<Timestamp>, until: Timestamp) -> Self {
        KnownNonce { first, until }
    }
}

/// The error if a store would have to keep nonces for longer than it does now. All its users would
/// have to refuse requests for a while then, and the options of the store do not allow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionTooShort {
    /// The retention of the store; `None` if no user has registered one yet.
    pub recorded: Option<Retention>,
    /// The retention that a user asked for.
    pub wanted: Retention,
}

impl RetentionTooShort {
    /// Returns for how many seconds all users of the store would have to refuse every request.
    pub fn seconds(&self) -> i64 {
        let united = self.recorded.map_or(self.wanted, |recorded| recorded.united(self.wanted));
        united.ahead().saturating_add(united.margin())
    }
}

impl fmt::Display for RetentionTooShort {
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

/// A store could not answer, so it is unknown whether the nonce was used, and the request must be
/// refused.
#[derive(Debug)]
pub struct StoreError {
    reason: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
    retention_too_short: Option<RetentionTooShort>,
}

impl StoreError {
    /// Creates an error with a reason: a lower-case fragment, such as "the store is full".
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        StoreError { reason: reason.into(), source: None, retention_too_short: None }
    }

    /// Creates an error with a reason and the error that caused it.
    pub fn because(
        reason: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        StoreError { reason: reason.into(), source: Some(source.into()), retention_too_short: None }
    }

    /// Returns the recorded and the wanted retention, if [`NonceStore::register`] was refused
    /// because the other users of the store would have had to refuse requests for a while.
    pub fn retention_too_short(&self) -> Option<RetentionTooShort> {
        self.retention_too_short
    }
}

impl From<RetentionTooShort> for StoreError {
    fn from(retention_too_short: RetentionTooShort) -> Self {
        let reason = retention_too_short.to_string().into();
        StoreError { reason, source: None, retention_too_short: Some(retention_too_short) }
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
