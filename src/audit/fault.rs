//! The errors of opening and writing a log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key::file_io::FileError;
use crate::key::{KeyId, SignError};

/// Maximum size of one entry with its line feed, in bytes: enough for the largest usual body in
/// base64.
pub(super) const MAX_LINE: usize = 64 * 1024 * 1024;

/// Why a log cannot be opened, or an entry cannot be written. The type is cheap to clone: each task
/// that waits for the entry gets a copy.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system reported an error.
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
    /// The folder contains a log already.
    #[error("{} holds an audit log already", .0.display())]
    Exists(PathBuf),
    /// Users other than the owner can change a folder or file of the log.
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
    /// An entry was moved to an archive that was not named when the log was opened.
    #[error("entry {0} is archived, and its archive was not given")]
    Archived(u64),
    /// A folder or file is not usable as an archive of this log.
    #[error("{} cannot be used as an archive of this log: {why}", path.display())]
    Archive {
        /// The path of the folder or file.
        path: PathBuf,
        /// Why the archive does not fit.
        why: String,
    },
    /// The log's key cannot be read.
    #[error("the key of the log cannot be read")]
    Key(#[source] Arc<FileError>),
    /// The log's key has a passphrase, or a name that is not allowed in a signed note.
    #[error("the key of the log cannot be used: {0}")]
    KeyUnfit(&'static str),
    /// The log's private key is not in its folder, and was not given either.
    #[error("the private key of the log in {} is not in its folder", .0.display())]
    NoKey(PathBuf),
    /// The key that was given for the log is not the log's key.
    #[error("the key of the log is {log}, and the key that was given is {given}")]
    AnotherKey {
        /// The id of the log's key.
        log: Box<KeyId>,
        /// The id of the key that was given.
        given: Box<KeyId>,
    },
    /// Signing with the log's key failed.
    #[error("the key of the log does not sign")]
    Sign(#[source] Arc<SignError>),
    /// The files of the log differ from what its writer left.
    #[error("the log in {} was changed: {why}", path.display())]
    Changed {
        /// The path of the folder.
        path: PathBuf,
        /// The difference that was found.
        why: String,
    },
    /// The log is closed: its last entry names its successor.
    #[error("the log in {} is closed: {successor} follows it", path.display())]
    Followed {
        /// The path of the folder.
        path: PathBuf,
        /// The key of the successor.
        successor: String,
    },
    /// A witness has signed a checkpoint that contradicts this log.
    #[error("the log in {} is not continued: {why}", path.display())]
    Contradicted {
        /// The path of the folder.
        path: PathBuf,
        /// What a witness has signed, and how it differs.
        why: String,
    },
    /// The entry is longer than the limit; the number is its length in bytes.
    #[error("the entry is {0} bytes long, {max} at most", max = MAX_LINE)]
    TooLarge(usize),
    /// The queue is full: entries arrive faster than the disk can write them.
    #[error("too many entries wait to be written")]
    Busy,
    /// The entry was not written within the time limit.
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
