//! Lets an operator list the nonces of a store and remove those that are no longer needed. A
//! verifier does not use this module.

use std::any::Any;
use std::fmt;

use super::{BoxFuture, Retention, StoreError};
use crate::clock::Timestamp;

/// What an operator can do with a store that outlives its process: read its state, list its nonces,
/// and remove those that have ended.
///
/// ```no_run
/// use mcpid::block_on;
/// use mcpid::clock::{Clock as _, SystemClock};
/// use mcpid::nonce::{StoreAdmin, StoreError};
///
/// fn count(store: &dyn StoreAdmin) -> Result<usize, StoreError> {
///     let (now, mut from, mut count) = (SystemClock.now(), None, 0);
///     loop {
///         let page = block_on(store.list(now, from, 1_000))?;
///         count += page.kept.len();
///         match page.next {
///             Some(next) => from = Some(next),
///             None => return Ok(count),
///         }
///     }
/// }
/// ```
pub trait StoreAdmin: Send + Sync {
    /// Returns the floor and the retention of the store at `now`. The floor is the moment up to
    /// which the store may have forgotten nonces.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached.
    fn state(&self, now: Timestamp) -> BoxFuture<'_, Result<StoreState, StoreError>>;

    /// Returns a page of about `limit` nonces: the first page, or the page at `from`. Changes
    /// nothing, and delays no claim for longer than reading one page takes.
    ///
    /// A nonce that the store keeps from the first page to the last one is listed at least once.
    /// Nonces whose retention has ended are listed until they are removed.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached, or if `from` is a cursor of another store.
    fn list(
        &self,
        now: Timestamp,
        from: Option<ListCursor>,
        limit: u32,
    ) -> BoxFuture<'_, Result<NoncePage, StoreError>>;

    /// Removes nonces whose retention has ended at `now`, in small steps, and returns how many were
    /// removed. Returns `None` if the server of the store (Redis) removes them itself.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be reached; some nonces may be removed by then.
    fn prune(&self, now: Timestamp) -> BoxFuture<'_, Result<Option<u64>, StoreError>>;
}

/// The state of a store: its floor and its retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreState {
    /// The floor: the store may have lost nonces of requests that were created at or before this
    /// moment.
    pub floor: Timestamp,
    /// The longest time for which any user of the store asked to keep nonces, or `None` if no user
    /// has.
    pub retention: Option<Retention>,
}

impl StoreState {
    /// Creates the state of a store, for implementations of [`StoreAdmin`].
    pub fn new(floor: Timestamp, retention: Option<Retention>) -> Self {
        StoreState { floor, retention }
    }
}

/// A nonce in a store, named by its [`id`](super::id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptNonce {
    /// SHA-256 of key id, a zero byte and nonce.
    pub id: [u8; 32],
    /// The time at which the nonce was first used, if the store knows it.
    pub first: Option<Timestamp>,
    /// The time from which the store may forget the nonce.
    pub until: Timestamp,
}

impl KeptNonce {
    /// Creates the record of a nonce, for implementations of [`StoreAdmin`].
    pub fn new(id: [u8; 32], first: Option<Timestamp>, until: Timestamp) -> Self {
        KeptNonce { id, first, until }
    }
}

/// A part of the list of nonces in a store, with a cursor to the next part.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoncePage {
    /// The nonces, in no particular order. The list may be empty although there is a next page.
    pub kept: Vec<KeptNonce>,
    /// The start of the next page; `None` after the last page.
    pub next: Option<ListCursor>,
}

impl NoncePage {
    /// Creates a page, for implementations of [`StoreAdmin`].
    pub fn new(kept: Vec<KeptNonce>, next: Option<ListCursor>) -> Self {
        NoncePage { kept, next }
    }
}

/// The position at which the next page begins. Only the store that made a cursor can use it.
pub struct ListCursor(Box<dyn Any + Send>);

impl ListCursor {
    /// Wraps the store's own position type, for implementations of [`StoreAdmin`].
    pub fn new(position: impl Any + Send) -> Self {
        ListCursor(Box::new(position))
    }

    /// Returns the store's own position, for implementations of [`StoreAdmin`].
    ///
    /// # Errors
    /// [`StoreError`] if another kind of store made the cursor.
    pub fn position<T: Any>(self) -> Result<T, StoreError> {
        let position = self.0.downcast().map(|position| *position);
        position.map_err(|_| StoreError::new("the list was begun in another kind of store"))
    }
}

impl fmt::Debug for ListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListCursor").finish_non_exhaustive()
    }
}
