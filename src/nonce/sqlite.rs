//! A store in an SQLite file, for the processes of one host. Nonces survive restarts and `kill -9`.
//!
//! ```text
//! claim ─▶ queue ─▶ worker thread: BEGIN · a statement a claim · COMMIT ─▶ is it still our file? ─▶ answer
//! ```
//!
//! One thread owns the connection, so that no async task waits for a disk. Claims that arrive
//! during a commit share the next commit. A second thread only watches the time: if the disk or
//! another program's lock blocks the first thread, each claim still gets an error within its time
//! limit.
//!
//! **What is durable.** The file uses WAL with `synchronous=NORMAL`: a commit is handed to the
//! operating system before the claim is answered, so that killing a process loses no commit, and no
//! claim waits for `fsync`. A power cut can lose the last commits. After that the machine has a new
//! boot id, which differs from the one in the file, and the store raises its *floor*, so that it
//! excludes every request whose nonce can be lost. `synchronous=FULL` would make a claim ten times
//! as costly, and only save the seconds of refusals after a power cut.
//!
//! **Which user sets the retention.** After the retention was raised, all users of the file refuse
//! requests for `ahead + margin`. So a user who needs a longer retention than the file records is
//! refused, unless its options allow raising.
//!
//! **An older copy of the file.** A second file, `NAME-last`, records the identity of the store
//! file, the time of its last change, and its last claim. If these do not match the store file, an
//! older copy was put in its place or written over it, its log was removed, or another program
//! changed it. The floor then rises as after a boot of the machine.
//!
//! **What the store cannot detect**: that the whole file system or the whole machine is restored to
//! a snapshot within one boot; that a file is mounted under two names; and that two hosts share a
//! file, which WAL does not allow.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::key_limit::{DEFAULT_PER_KEY, KeyLimit};
use super::{
    BoxFuture, Claim, KeptNonce, KnownNonce, ListCursor, NoncePage, NonceStore, Retention,
    StoreAdmin, StoreError, StoreState,
};
use crate::block_on::block_on;
use crate::clock::Timestamp;
use crate::key::KeyId;

mod fault;
mod file;
mod last_claim;
mod question;
mod state;
mod statements;
mod worker;

use question::{StoreAnswer, StoreQuestion, StoreQueue};

/// The default time for which a claim (a request to store a nonce if it is new) waits for an
/// answer.
const DEFAULT_BUDGET: Duration = Duration::from_secs(2);

/// Default maximum size of the file in bytes: room for some ten million nonces.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// Maximum number of nonces that one step of [`Sqlite::prune`] removes. A claim waits for one step
/// at most.
const PRUNED_PER_STEP: u32 = 1_000;

/// Times beyond this many seconds are refused, so that sums of a few times cannot overflow.
const MAX_SECONDS: i64 = 1 << 52;

/// Returns the id of this boot of the machine, or `None` on systems other than Linux. The boot id
/// tells whether the machine was restarted, which can lose nonces. A store that is opened without
/// one assumes so at every start.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty() && id.len() <= 64).then(|| id.to_owned())
}

/// The path of the file, and the options for opening it.
///
/// ```
/// use mcpid::block_on;
/// use mcpid::clock::Timestamp;
/// use mcpid::nonce::sqlite::SqliteOptions;
/// use mcpid::nonce::{NonceStore, Retention};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("nonces.db");
/// let start = Timestamp::from_unix(1_795_392_000);
/// let store = SqliteOptions::new(path, None).open_for_claims(start, Retention::new(30, 5))?;
/// // Nonces of requests from before the start may be forgotten.
/// assert_eq!(block_on(store.floor(start))?, start.plus(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    path: PathBuf,
    boot: Option<String>,
    budget: Duration,
    max_bytes: u64,
    max_per_key: usize,
    raising_allowed: bool,
}

impl SqliteOptions {
    /// Creates options for the file at `path`, whose folder must exist. `boot` is the id of this
    /// boot (see [`boot_id`]).
    pub fn new(path: impl Into<PathBuf>, boot: Option<String>) -> Self {
        let (budget, max_bytes) = (DEFAULT_BUDGET, DEFAULT_MAX_BYTES);
        let (path, max_per_key) = (path.into(), DEFAULT_PER_KEY);
        SqliteOptions { path, boot, budget, max_bytes, max_per_key, raising_allowed: false }
    }

    /// Sets the time that a call waits for its answer; 2 seconds by default.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the maximum size of the file in bytes; 1 GiB by default. A full store refuses new
    /// nonces and keeps all stored nonces.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many live nonces of one key this process claims at most; a million by default.
    /// Further claims for the key are [`Claim::OverQuota`].
    #[must_use]
    pub fn max_per_key(mut self, nonces: usize) -> Self {
        self.max_per_key = nonces;
        self
    }

    /// Lets this user raise the retention (how long nonces are kept) that the file records. All
    /// users then refuse requests for `ahead + margin`. Without this option, such a registration is
    /// an error ([`StoreError::retention_too_short`]).
    #[must_use]
    pub fn allow_raising(mut self, allow: bool) -> Self {
        self.raising_allowed = allow;
        self
    }

    /// Opens the store at `start` for a user who needs `retention`. A missing file is made, with
    /// access for its owner only. Blocks for the budget at most.
    ///
    /// Opening sets the floor (the moment up to which nonces may be lost) to `start + ahead` if the
    /// file is new, if it was last opened under another boot id or none, or if it does not match
    /// `NAME-last`.
    ///
    /// # Errors
    /// [`StoreError`] if the folder is missing; if the file is not a store, or a store of a newer
    /// version; if the file is a link, is writable for every user of the machine, is damaged or
    /// read-only, or stays locked for longer than the budget; or if it keeps nonces for less than
    /// `retention` and must not be raised.
    pub fn open_for_claims(
        self,
        start: Timestamp,
        retention: Retention,
    ) -> Result<Sqlite, StoreError> {
        let store = Sqlite::start(self, false)?;
        let ask =
            StoreQuestion::Register { now: checked(start)?, retention, raising: store.raising };
        block_on(store.ask(ask))?;
        Ok(store)
    }

    /// Opens an existing store read-only: no file is made or changed. Claims and registrations are
    /// errors.
    ///
    /// # Errors
    /// As [`SqliteOptions::open_for_claims`], and if the file is missing.
    pub fn open_read_only(self) -> Result<Sqlite, StoreError> {
        let store = Sqlite::start(self, true)?;
        block_on(store.ask(StoreQuestion::Floor))?;
        Ok(store)
    }
}

/// A store in an SQLite file. Dropping the store writes the waiting claims and closes the file,
/// which takes the budget at most.
pub struct Sqlite {
    queue: Arc<StoreQueue>,
    path: PathBuf,
    raising: bool,
    limit: KeyLimit,
}

impl Sqlite {
    fn start(options: SqliteOptions, read_only: bool) -> Result<Self, StoreError> {
        let (path, raising) = (options.path.clone(), options.raising_allowed);
        let limit = KeyLimit::new(options.max_per_key);
        let queue = Arc::new(question::queue(options.budget));
        worker::start(&queue, file::FileOpener::new(options, read_only))?;
        Ok(Sqlite { queue, path, raising, limit })
    }

    async fn ask(&self, question: StoreQuestion) -> Result<StoreAnswer, StoreError> {
        question::ask(&self.queue, question).await
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl StoreAdmin for Sqlite {
    /// Removes all nonces that have expired. Storing a nonce removes a few of them too.
    fn prune(&self, now: Timestamp) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        Box::pin(async move {
            let now = checked(now)?;
            let mut all = 0_u64;
            loop {
                match self.ask(StoreQuestion::Prune { now, limit: PRUNED_PER_STEP }).await? {
                    StoreAnswer::Swept(0) => return Ok(Some(all)),
                    StoreAnswer::Swept(some) => all = all.saturating_add(some),
                    _ => return Err(mixed_up()),
                }
            }
        })
    }

    /// Lists nonces in the order of their end, including those that have ended and were not removed
    /// yet.
    fn list(
        &self,
        _now: Timestamp,
        from: Option<ListCursor>,
        limit: u32,
    ) -> BoxFuture<'_, Result<NoncePage, StoreError>> {
        Box::pin(async move {
            let after = from.map(ListCursor::position::<KeptNonce>).transpose()?;
            match self.ask(StoreQuestion::List { after, limit }).await? {
                StoreAnswer::List(kept) => {
                    let next = kept.last().copied().map(ListCursor::new);
                    Ok(NoncePage { kept, next })
                }
                _ => Err(mixed_up()),
            }
        })
    }

    fn state(&self, _now: Timestamp) -> BoxFuture<'_, Result<StoreState, StoreError>> {
        Box::pin(async move {
            match self.ask(StoreQuestion::State).await? {
                StoreAnswer::State(about) => Ok(about),
                _ => Err(mixed_up()),
            }
        })
    }
}

impl NonceStore for Sqlite {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (now, raising) = (checked(now)?, self.raising);
            self.ask(StoreQuestion::Register { now, retention, raising }).await?;
            Ok(())
        })
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move {
            if self.limit.is_reached(now, key) {
                return Ok(Claim::OverQuota);
            }
            let (second, last, id) = (checked(now)?, checked(until)?, super::id(key, nonce));
            let question = StoreQuestion::Claim { now: second, id, until: last };
            let claim = match self.ask(question).await? {
                StoreAnswer::Claim(claim) => Ok(claim),
                _ => Err(mixed_up()),
            };
            self.limit.count((now, until), key, claim)
        })
    }

    fn is_over_quota(&self, now: Timestamp, key: &KeyId) -> bool {
        self.limit.is_reached(now, key)
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        Box::pin(async move {
            match self
                .ask(StoreQuestion::Peek { now: now.unix(), id: super::id(key, nonce) })
                .await?
            {
                StoreAnswer::Seen(seen) => Ok(seen),
                _ => Err(mixed_up()),
            }
        })
    }

    fn floor<'a>(&'a self, _now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        Box::pin(async move {
            match self.ask(StoreQuestion::Floor).await? {
                StoreAnswer::Floor(floor) => Ok(floor),
                _ => Err(mixed_up()),
            }
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.path).finish_non_exhaustive()
    }
}

fn checked(time: Timestamp) -> Result<i64, StoreError> {
    let seconds = time.unix();
    if (-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(StoreError::new("the time is out of the store's reach"))
    }
}

/// The error for an answer of the worker thread that does not fit the question, which would be a
/// bug in this module.
fn mixed_up() -> StoreError {
    StoreError::new("the store gave an answer to something else")
}
