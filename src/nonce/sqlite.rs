//! Nonces in an SQLite file: for the processes of one host. Survives restarts and `kill -9`.
//!
//! ```text
//! claim ─▶ queue ─▶ worker thread: BEGIN · a statement a claim · COMMIT ─▶ is it still our file? ─▶ answer
//! ```
//!
//! One thread owns the connection, so that no async task ever waits for a disk; claims that gather
//! in its queue while it commits share the next commit. A second thread only watches the
//! time: if the disk or another program's lock hangs, a claim still has an answer within the
//! budget: the store's answer, or an error.
//!
//! **What is durable.** WAL with `synchronous=NORMAL`: a commit is in the operating system's hands
//! before it is answered, so that no end of a process loses it, and no `fsync` is waited for. A
//! power cut can lose the last commits; but then the machine boots anew, the boot id in the file
//! is another one, and the floor rises past all that can have been lost. `FULL` would cost ten
//! times as much a claim, for seconds that the floor refuses anyway.
//!
//! **Whose window.** A longer retention closes the file for all its users for `ahead + margin`, so a user
//! who needs more than the file records is refused, unless the options say otherwise.
//!
//! **An older copy.** Beside the file stands which file it was, when it last changed, and which
//! claim was the last (`NAME-last`). Where that does not fit, the floor rises as if the machine had
//! booted: a copy was put back, by renaming or over the file itself, the log was removed, or another
//! program changed the file.
//!
//! **What the store cannot detect**: that the whole file system or the whole machine is set back to a
//! snapshot within one boot; that a file is mounted under two names; and that two hosts share a
//! file, which WAL does not allow.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{
    About, BoxFuture, Claim, KeptNonce, KnownNonce, ListCursor, NoncePage, NonceStore, Retention,
    StoreAdmin, StoreError,
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

/// The time that a claim waits for an answer unless the options say otherwise.
const DEFAULT_BUDGET: Duration = Duration::from_secs(2);

/// Bytes of the file unless the options say otherwise: some ten million nonces.
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// Maximum number of nonces that one step of [`Sqlite::prune`] removes, which is also the longest
/// delay of a waiting claim.
const PRUNED_PER_STEP: u32 = 1_000;

/// Times beyond this, in seconds, are refused; sums of a few of them fit every integer.
const REACH: i64 = 1 << 52;

/// Returns the id of this boot of the machine, or `None` except on Linux. A store that is opened
/// without a boot id assumes at every start that nonces may be lost.
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
/// let store = SqliteOptions::new(path, None).open(start, Retention::new(30, 5))?;
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
    raising_allowed: bool,
}

impl SqliteOptions {
    /// The file at `path`, in a folder that is there, opened under the boot id `boot`
    /// (see [`boot_id`]).
    pub fn new(path: impl Into<PathBuf>, boot: Option<String>) -> Self {
        let (budget, max_bytes) = (DEFAULT_BUDGET, DEFAULT_MAX_BYTES);
        SqliteOptions { path: path.into(), boot, budget, max_bytes, raising_allowed: false }
    }

    /// Sets the time that a call waits for its answer; 2 seconds by default.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the maximum size of the file in bytes; 1 GiB by default. A full store refuses new
    /// nonces and forgets none.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Also raises the retention that the file has recorded if this user needs a longer one. That
    /// closes the store for all its users for `ahead + margin`; without this option, it is an error
    /// ([`StoreError::retention_too_short`]).
    #[must_use]
    pub fn allow_raising(mut self, allow: bool) -> Self {
        self.raising_allowed = allow;
        self
    }

    /// Opens the store at `start` for a user who needs `retention`. A missing file is made,
    /// readable for its owner only. Blocks for the budget at most.
    ///
    /// Opening sets the floor to `start + ahead` if the file is new, was last opened under another
    /// boot id or none, or differs from the note beside it.
    ///
    /// # Errors
    /// The folder is missing, the file is no store, of a newer version, a link, writable for
    /// every user of the machine, damaged, read-only or locked for longer than the budget; or it keeps nonces for
    /// less than `retention`, and may not be raised.
    pub fn open(self, start: Timestamp, retention: Retention) -> Result<Sqlite, StoreError> {
        let store = Sqlite::start(self, false)?;
        let ask =
            StoreQuestion::Register { now: checked(start)?, retention, raising: store.raising };
        block_on(store.ask(ask))?;
        Ok(store)
    }

    /// Opens an existing store read-only: no file is made or changed. Claims and registering are
    /// errors.
    ///
    /// # Errors
    /// As [`SqliteOptions::open`], and if the file is missing.
    pub fn read(self) -> Result<Sqlite, StoreError> {
        let store = Sqlite::start(self, true)?;
        block_on(store.ask(StoreQuestion::Floor))?;
        Ok(store)
    }
}

/// A store in a file. Dropping it closes the file, after the claims that wait are written; that
/// takes the budget at most.
pub struct Sqlite {
    queue: Arc<StoreQueue>,
    path: PathBuf,
    raising: bool,
}

impl Sqlite {
    fn start(options: SqliteOptions, read_only: bool) -> Result<Self, StoreError> {
        let (path, raising) = (options.path.clone(), options.raising_allowed);
        let queue = Arc::new(question::queue(options.budget));
        worker::start(&queue, file::FileOpener::new(options, read_only))?;
        Ok(Sqlite { queue, path, raising })
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
    /// Claims remove nonces too, a few at a time.
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

    /// In the order of their end, those that have ended and are not yet swept included.
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

    fn about(&self, _now: Timestamp) -> BoxFuture<'_, Result<About, StoreError>> {
        Box::pin(async move {
            match self.ask(StoreQuestion::About).await? {
                StoreAnswer::About(about) => Ok(about),
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
            let (now, until) = (checked(now)?, checked(until)?);
            match self.ask(StoreQuestion::Claim { now, id: super::id(key, nonce), until }).await? {
                StoreAnswer::Claim(claim) => Ok(claim),
                _ => Err(mixed_up()),
            }
        })
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
    if (-REACH..=REACH).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(StoreError::new("the time is out of the store's reach"))
    }
}

/// The error for an answer that does not fit its question: a fault of this module.
fn mixed_up() -> StoreError {
    StoreError::new("the store gave an answer to something else")
}
