//! Opening the files of a log: regular files only, of a size that was expected, and the same ones
//! as long as they are open.
//!
//! What lies in the folder may have been put there by anyone who can write to it. A named pipe
//! would keep its reader waiting, a link would have us write elsewhere, and a sparse file of a
//! gigabyte would be read into memory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::fault::LogError;

/// How long another writer is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// Opens a regular file of the log for reading.
///
/// # Errors
/// [`LogError::Io`]: it is not there, or is a link, pipe, device or folder.
pub(super) fn read(path: &Path) -> Result<File, LogError> {
    open_regular(path, OpenOptions::new().read(true), "read")
}

/// Opens a file of the log for writing, for this user only if it is made now.
///
/// # Errors
/// As [`read`].
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, LogError> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    open_regular(path, options, "write")
}

fn open_regular(
    path: &Path,
    options: &mut OpenOptions,
    act: &'static str,
) -> Result<File, LogError> {
    let wrong = |e| LogError::io(act, path, e);
    let not_regular =
        || wrong(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    // Looked at before, for the message, and behind: only what was opened counts.
    if fs::symlink_metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(not_regular());
    }
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
    }
    let file = options.open(path).map_err(wrong)?;
    match file.metadata().map_err(wrong)?.is_file() {
        true => Ok(file),
        false => Err(not_regular()),
    }
}

/// The content of a file of at most `limit` bytes; `None` where there is no such file.
///
/// # Errors
/// As [`read`]; a longer one is an error too.
pub(super) fn small(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, LogError> {
    let file = match read(path) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut bytes, most) = (Vec::new(), u64::try_from(limit).unwrap_or(u64::MAX));
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|e| LogError::io("read", path, e))?;
    match bytes.len() <= limit {
        true => Ok(Some(bytes)),
        false => {
            let why = format!("it is over {limit} bytes long");
            Err(LogError::io("read", path, io::Error::new(io::ErrorKind::FileTooLarge, why)))
        }
    }
}

/// Whether `path` still names the file that is open, and how long that is.
///
/// # Errors
/// Neither can be looked at.
pub(super) fn is_same(file: &File, path: &Path) -> io::Result<Option<u64>> {
    let (open, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if (open.dev(), open.ino()) != (named.dev(), named.ino()) {
            return Ok(None);
        }
    }
    Ok((open.file_type() == named.file_type()).then_some(open.len()))
}

/// Takes the lock on an open file or folder; `false` if another process holds it.
///
/// # Errors
/// The file system knows no locks.
pub(super) fn lock(file: &File, path: &Path) -> Result<bool, LogError> {
    // A process that is about to end lets go in a moment; so does a child between its fork and
    // exec, which holds all files that its parent had open.
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(e)) => return Err(LogError::io("lock", path, e)),
        }
    }
}
