//! Opens the files of a log. Only regular files are opened, of at most an expected size, and a
//! check shows whether the path still names the open file.
//!
//! Another process that can write to the folder may have put a harmful file there. Reading a named
//! pipe would block, writing through a link would change a file elsewhere, and a huge sparse file
//! would fill the memory.

use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::fault::LogError;
use crate::key::file_io;

/// Maximum time to wait for the lock of another writer.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// Opens a regular file of the log for reading.
///
/// # Errors
/// [`LogError::Io`] if the file does not exist, or is a link, pipe, device or folder.
pub(super) fn read(path: &Path) -> Result<File, LogError> {
    open_regular(path, OpenOptions::new().read(true), "read")
}

/// Opens a file of the log for writing. If it is created now, only its owner has access.
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
    // This check before opening only gives a better message. The check of the opened file decides.
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
/// As [`read`], and if the file is longer than `limit`.
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

/// Replaces a file as a whole: `write` fills a temporary file, which is forced to the disk and then
/// renamed to `path`. Only one user has access to the new file: the owner of the file `like`, so
/// that the writer of the log can still read a file that an administrator replaced. `write` gets
/// the temporary file and its path.
///
/// # Errors
/// The error of `write`, or [`LogError::Io`] if the file cannot be created or renamed.
pub(super) fn replace(
    path: &Path,
    like: Option<&Path>,
    write: impl FnOnce(&mut File, &Path) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let wrong = |e| LogError::io("write", path, e);
    let folder = file_io::folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The temporary name is always the same, so that the next call replaces what a killed process
    // left.
    let temporary = folder.join(format!(".{name}.tmp"));
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(wrong(e)),
        _ => {}
    }
    let mut file = open(&temporary, OpenOptions::new().write(true).create_new(true))?;
    let owner = like.map(fs::symlink_metadata).transpose().map_err(wrong)?;
    file_io::keep_owner(&file, 0o600, owner.as_ref()).map_err(wrong)?;
    let written = write(&mut file, &temporary)
        .and_then(|()| file.sync_all().map_err(wrong))
        .and_then(|()| fs::rename(&temporary, path).map_err(wrong));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(folder)
}

/// Removes unfinished files of entries, which a killed process left. Their names are the temporary
/// names that [`replace`] gives.
///
/// # Errors
/// [`LogError`] if the folder cannot be read, or if a file cannot be removed.
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

/// Forces the file names in a folder to the disk.
///
/// # Errors
/// [`LogError`] if the folder cannot be opened or forced to the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), LogError> {
    #[cfg(unix)]
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| LogError::io("write", path, e))?;
    Ok(())
}

/// Identifies a file or folder as long as it stays open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    kind: FileType,
    /// The numbers of the device and of the inode. No other file gets them while this one is open.
    /// On other systems than Unix, files are told apart by their kind and length only.
    #[cfg(unix)]
    inode: (u64, u64),
}

impl FileId {
    /// Identifies the open `file`.
    ///
    /// # Errors
    /// The error of the operating system.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(FileId::from(&file.metadata()?))
    }

    /// Returns the length of the open file if `path` still names this file, and `None` if another
    /// file is at `path`.
    ///
    /// # Errors
    /// The error of the operating system.
    pub(super) fn length_at(self, path: &Path) -> io::Result<Option<u64>> {
        let named = fs::symlink_metadata(path)?;
        Ok((FileId::from(&named) == self).then_some(named.len()))
    }
}

impl From<&Metadata> for FileId {
    fn from(about: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        FileId {
            kind: about.file_type(),
            #[cfg(unix)]
            inode: (about.dev(), about.ino()),
        }
    }
}

/// Locks an open file or folder. Returns false if another process holds the lock.
///
/// # Errors
/// [`LogError::Io`] if the file system does not support locks.
pub(super) fn lock(file: &File, path: &Path) -> Result<bool, LogError> {
    // The lock may become free soon: its holder may be about to exit, or may just have started a
    // child process, which has the same files open until it runs another program.
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
        // Two locks with this inode number can be on different devices. Then the holder is unknown.
        first.filter(|_| holders.next().is_none())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        None
    }
}
