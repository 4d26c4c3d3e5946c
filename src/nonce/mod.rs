//! Stores of used nonces.
//!
//! A store remembers which nonce of which key was used. Its one rule is that a nonce is fresh once:
//! a store that cannot be sure returns an error, and the verifier then refuses the request. Nothing
//! in this module knows about HTTP.
//!
//! Every store can forget: by a restart, a fail-over, or a clock that stepped forward (old nonces
//! are swept) and back again (they would be accepted once more). So every store has a *floor*, a
//! moment up to which it may have forgotten nonces of requests that were created until then. It
//! returns the floor with every fresh claim.
//!
//! A store that is written elsewhere implements [`NonceStore`], and [`StoreAdmin`] if operators
//! should look into it. The feature `store-contract` adds the tests that every store has to pass.

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

pub use admin::{About, KeptNonce, ListCursor, NoncePage, StoreAdmin};

/// A boxed future, as the methods of a store return it, so that stores are usable as `dyn`. It
/// needs no particular runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Returns the id under which shared stores keep a nonce: SHA-256 of the key id, a zero byte and
/// the nonce. A client chooses the length of its nonces, so the nonces themselves are not stored.
/// Two keys never share an id, since a key id holds no zero byte.
pub fn id(key: &KeyId, nonce: &str) -> [u8; 32] {
    let hash =
        Sha256::new().chain_update(key.as_str()).chain_update([0]).chain_update(nonce).finalize();
    hash.into()
}

/// A store of used nonces. Open to other implementations.
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
    /// Makes sure that from now on every claim is kept for at least `retention`. Every user of a
    /// store calls this once, before its first claim.
    ///
    /// The store keeps for the longest retention that any user ever asked for. If that grows,
    /// nonces that were kept for less may be gone already, so the floor rises to
    /// `now + ahead + margin`: past everything that was claimed under the old retention. Until then
    /// every user of the store refuses all requests. So a shared store raises its retention only if
    /// its options allow that; otherwise one user with a long window could close it for all others.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached, or would have to raise its retention and may
    /// not (see [`StoreError::retention_too_short`]); then it must not be used, and nothing in it
    /// has changed.
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Uses up `nonce` of `key`, in one atomic step: of all callers that claim it, in all processes
    /// that share the store, one gets [`Claim::Fresh`]. The nonce is kept until `until`, or for the
    /// retention if that ends later. A claim whose `until` is not after `now` is
    /// [`Claim::Expired`], in every store.
    ///
    /// Only to be called for a request whose signature is valid: requests without one must not fill
    /// the store. A claim whose future is dropped before it is done may have used up the nonce.
    ///
    /// # Errors
    /// [`StoreError`] if the store is full or cannot be reached: nothing is known about the nonce
    /// then.
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

    /// The part of [`claim`](NonceStore::claim) that each store implements: `until` is after `now`.
    /// Callers use `claim`.
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

    /// Looks up whether `nonce` of `key` is used up, and changes nothing. `None` proves nothing for
    /// a request that was created up to the [`floor`](NonceStore::floor).
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>>;

    /// Returns the floor: the store may have forgotten nonces of requests that were created at or
    /// before it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>>;
}

/// The time for which a user of a store needs every claim to be kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    window: u32,
    ahead: u32,
    margin: u32,
}

impl Retention {
    /// Creates the retention for requests that are accepted up to `window` seconds after their
    /// creation and `ahead` seconds before it. The margin, which is the largest difference of clocks
    /// that verifiers and stores may have, is the window but at least 30 seconds.
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

    /// Seconds after its creation for which a request is accepted.
    pub const fn window(self) -> i64 {
        self.window as i64
    }

    /// Seconds before its creation at which a request is accepted already.
    pub const fn ahead(self) -> i64 {
        self.ahead as i64
    }

    /// The largest difference of clocks, in seconds.
    pub const fn margin(self) -> i64 {
        self.margin as i64
    }

    /// Returns window, ahead and margin together: seconds from creation for which a nonce is kept.
    pub const fn length(self) -> i64 {
        self.window as i64 + self.ahead as i64 + self.margin as i64
    }

    /// Returns until when the nonce of a request that was created at `created` is needed.
    pub const fn until(self, created: Timestamp) -> Timestamp {
        created.plus(self.length())
    }

    /// Returns the retention that serves both users.
    pub fn united(self, other: Retention) -> Retention {
        Retention {
            window: self.window.max(other.window),
            ahead: self.ahead.max(other.ahead),
            margin: self.margin.max(other.margin),
        }
    }

    /// Seconds for which a store keeps a claim at least, from the moment of the claim; longer if
    /// `until` is later. A verifier with a longer window may receive the same request. It was
    /// created at `now + ahead` at the latest, and is kept for the whole length from there.
    pub const fn keep(self) -> i64 {
        self.ahead() + self.length()
    }

    /// Returns the floor of a store that raises its retention to this one at `now`.
    pub const fn floor_when_raised(self, now: Timestamp) -> Timestamp {
        now.plus(self.ahead() + self.margin())
    }
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// The nonce was not used before, and is used up now.
    Fresh {
        /// The floor after the write. A long-running verifier must not accept a request that was
        /// created at or before it.
        floor: Timestamp,
    },
    /// The nonce was used before.
    Replayed {
        /// When it was first claimed, if the store knows.
        first: Option<Timestamp>,
    },
    /// This key has too many live nonces; other keys are not affected.
    OverQuota,
    /// `until` is not after `now`: the nonce would be kept for no time at all. Nothing was written.
    Expired,
}

/// A nonce that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownNonce {
    /// When the nonce was first claimed, if the store knows.
    pub first: Option<Timestamp>,
    /// Until when the store keeps it (exclusive).
    pub until: Timestamp,
}

impl KnownNonce {
    /// For implementations of [`NonceStore`].
    pub fn new(first: Option<Timestamp>, until: Timestamp) -> Self {
        KnownNonce { first, until }
    }
}

/// A store would have to keep nonces for longer than it does. That would close it for all its users
/// for a while, and its options do not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionTooShort {
    /// The retention that the store has; `None` if no user has registered one yet.
    pub recorded: Option<Retention>,
    /// The retention that a user asked for.
    pub wanted: Retention,
}

impl RetentionTooShort {
    /// For how many seconds all users of the store would refuse every request.
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

/// A store could not answer. The question is undecided, so the request must be refused.
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
    /// because it would have closed the store for its other users.
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
