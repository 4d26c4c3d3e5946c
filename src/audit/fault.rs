//! The errors of writing a log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key::SignError;
use crate::key::store::FileError;

/// Maximum size of one entry with its line feed, in bytes: a body of the largest common size in
/// base64, and ample room.
pub(super) const MAX_LINE: usize = 64 * 1024 * 1024;

/// The reason why a log cannot be opened, or an entry not be written. Cheap to clone: every task
/// that waits for the entry gets a copy.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system says no.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// The operation: `read`, `write`, `make` or `lock`.
        act: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The cause from the operating system.
        source: Arc<io::Error>,
    },
    /// The folder does not exist, or `audit init` did not make it.
    #[error("{} is not the folder of an audit log", .0.display())]
    NotALog(PathBuf),
    /// There is a log already.
    #[error("{} holds an audit log already", .0.display())]
    Exists(PathBuf),
    /// A folder or file that others than its owner can change.
    #[error("{} can be changed by others than its owner: its mode is {mode:04o}", path.display())]
    TooOpen {
        /// The path of the folder or file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// Another process writes this log.
    #[error("another process writes the log in {}", .0.display())]
    Locked(PathBuf),
    /// Another process archives or erases entries of this log.
    #[error("another process archives or erases entries of the log in {}", .0.display())]
    Maintained(PathBuf),
    /// An entry is in an archive that was not given.
    #[error("entry {0} is archived, and its archive was not given")]
    Archived(u64),
    /// A folder or file that cannot be an archive of this log.
    #[error("{} cannot be used as an archive of this log: {why}", path.display())]
    Archive {
        /// The path of the folder or file.
        path: PathBuf,
        /// The reason why the key does not fit.
        why: String,
    },
    /// The log's key cannot be read.
    #[error("the key of the log cannot be read")]
    Key(#[source] Arc<FileError>),
    /// The log's key has a passphrase, or a name that no signed note can hold.
    #[error("the key of the log cannot be used: {0}")]
    KeyUnfit(&'static str),
    /// The log's key does not sign.
    #[error("the key of the log does not sign")]
    Sign(#[source] Arc<SignError>),
    /// The files differ from those that the log's writer wrote.
    #[error("the log in {} was changed: {why}", path.display())]
    Changed {
        /// The path of the folder.
        path: PathBuf,
        /// The difference that was found.
        why: String,
    },
    /// The log is closed: its last entry names the log that follows it.
    #[error("the log in {} is closed: {successor} follows it", path.display())]
    Followed {
        /// The path of the folder.
        path: PathBuf,
        /// The key of the log that follows.
        successor: String,
    },
    /// Witnesses have signed another history of it.
    #[error("the log in {} is not continued: {why}", path.display())]
    Contradicted {
        /// The path of the folder.
        path: PathBuf,
        /// The contradiction that a witness shows.
        why: String,
    },
    /// The entry is longer than the limit for a line.
    #[error("the entry is {0} bytes long, {max} at most", max = MAX_LINE)]
    TooLarge(usize),
    /// More entries wait than the disk can take.
    #[error("too many entries wait to be written")]
    Busy,
    /// The disk did not answer in time.
    #[error("the entry was not written in time")]
    Slow,
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    pub(super) fn io(act: &'static str, path: &Path, source: io::Error) -> Self {
        LogError::Io { act, path: path.to_owned(), source: Arc::new(source) }
    }

    /// Returns true if the file does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, LogError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(super) fn changed(path: &Path, why: impl Into<String>) -> Self {
        LogError::Changed { path: path.to_owned(), why: why.into() }
    }
}

impl From<SignError> for LogError {
    fn from(error: SignError) -> Self {
        LogError::Sign(Arc::new(error))
    }
}
