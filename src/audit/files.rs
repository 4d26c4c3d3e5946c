//! Opening the files of a log: regular files only, of a size that was expected, and the same ones
//! as long as they are open.
//!
//! What lies in the folder may come from any process that can write to it. A named pipe
//! would keep its reader waiting, a link would have us write elsewhere, and a sparse file of a
//! gigabyte would be read into memory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::fault::LogError;
use crate::key::store;

/// Longest wait for another writer's lock.
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
    // The path is checked before opening only for a better message; the check of the opened file
    // decides.
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

/// Reads a file of at most `limit` bytes; `None` if the file does not exist.
///
/// # Errors
/// The same as for [`read`]; a longer file is an error too.
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

/// Writes a file anew, for one user only, and has it on the disk. `write` gets the new file and where
/// it lies until it is whole: the file at `path` is replaced by all of it, or not at all. It belongs
/// to the owner of `like`, so that an administrator does not lock the log's own user out.
///
/// # Errors
/// What `write` says; or the file cannot be made.
pub(super) fn replace(
    path: &Path,
    like: Option<&Path>,
    write: impl FnOnce(&mut File, &Path) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let wrong = |e| LogError::io("write", path, e);
    let folder = store::folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The name is fixed, so that the next try replaces the rest that an ended process left.
    let temporary = folder.join(format!(".{name}.tmp"));
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(wrong(e)),
        _ => {}
    }
    let mut file = open(&temporary, OpenOptions::new().write(true).create_new(true))?;
    let owner = like.map(fs::symlink_metadata).transpose().map_err(wrong)?;
    store::keep_owner(&file, 0o600, owner.as_ref()).map_err(wrong)?;
    let written = write(&mut file, &temporary)
        .and_then(|()| file.sync_all().map_err(wrong))
        .and_then(|()| fs::rename(&temporary, path).map_err(wrong));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(folder)
}

/// Removes what a killed process left of entry files that it was writing, as [`replace`] names them.
///
/// # Errors
/// The folder cannot be read, or a file in it not removed.
pub(super) fn remove_unfinished(folder: &Path) -> Result<(), LogError> {
    let wrong = |e| LogError::io("clear", folder, e);
    for file in fs::read_dir(folder).map_err(wrong)? {
        let file = file.map_err(wrong)?;
        let name = file.file_name();
        let is_unfinished = name
            .to_str()
            .is_some_and(|name| name.starts_with(".entries-") && name.ends_with(".tmp"));
        if is_unfinished {
            fs::remove_file(file.path()).map_err(wrong)?;
        }
    }
    sync_folder(folder)
}

/// Forces the names in a folder to the disk.
///
/// # Errors
/// The folder cannot be opened or forced.
pub(super) fn sync_folder(path: &Path) -> Result<(), LogError> {
    #[cfg(unix)]
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| LogError::io("write", path, e))?;
    Ok(())
}

/// Returns the length of the open `file` if `path` still names it.
///
/// # Errors
/// The file or the path cannot be examined.
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

/// Returns the process that holds the lock on an open file or folder, if the system reports it.
pub(super) fn lock_holder(file: &File) -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        let inode = format!(":{}", file.metadata().ok()?.ino());
        // A line has the form `1: FLOCK  ADVISORY  WRITE 4711 08:01:131073 0 EOF` (proc_locks(5))
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let mut holders = locks.lines().filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (kind, _, how) = (fields.next()?, fields.next()?, fields.next()?);
            let (pid, place) = (fields.next()?, fields.next()?);
            let is_ours = kind == "FLOCK" && how == "WRITE" && place.ends_with(&inode);
            is_ours.then(|| pid.parse().ok()).flatten()
        });
        let first = holders.next();
        // If two holders match this inode number on different devices, the right one is unknown.
        first.filter(|_| holders.next().is_none())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
    }
}
