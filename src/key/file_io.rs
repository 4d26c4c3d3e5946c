//! Reads and writes keyfiles and trust files: checks who may read and write them, and replaces each
//! file in one step.
//!
//! A file is never written in place. Its new content goes into a temporary file in the same folder
//! and is forced to the disk. Then a rename puts the temporary file in place of the old. So a crash
//! or a full disk leaves either the old file or the new one, and never a part of one.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keyfile::{self, Keyfile, KeyfileError};

/// The reason why a file cannot be read or written. It does not repeat the path, which the caller
/// knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system reports an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The path is not a regular file; the text names its kind.
    #[error("{0}, not a regular file")]
    NotRegular(&'static str),
    /// The file has more bytes than the limit.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is a keyfile without a passphrase, and its group or other users can read or write
    /// it.
    #[error("holds a plain key, and its mode {mode:04o} lets others than its owner at it")]
    TooOpen {
        /// The permission bits.
        mode: u32,
    },
    /// A file exists at this path already. It was not changed.
    #[error("already exists")]
    Exists,
    /// The content is not a keyfile that can be used.
    #[error(transparent)]
    Keyfile(#[from] KeyfileError),
}

impl FileError {
    /// Returns a message in one line: the name of the file at `path`, and this error.
    pub fn about(&self, path: &Path) -> String {
        let name = path.display();
        match self {
            FileError::NotRegular(what) => format!("{name} is {what}, not a regular file"),
            FileError::Exists => format!("output exists: {name}"),
            FileError::TooOpen { mode } => format!(
                "{name} is not encrypted, and its mode {mode:04o} lets others than its owner at it"
            ),
            FileError::Keyfile(error) => error.about(path),
            other => format!("{name}: {other}"),
        }
    }
}

/// Reads the keyfile at `path`, without opening it.
///
/// # Errors
/// [`FileError`]. A key without a passphrase that the group or other users can read or write is
/// refused, because it may have been read or replaced already.
pub fn load_keyfile(path: &Path) -> Result<Keyfile, FileError> {
    let limit = u64::try_from(keyfile::MAX_BYTES).unwrap_or(u64::MAX);
    let (bytes, metadata) = read_regular(path, limit)?;
    let file = Keyfile::from_json(&bytes)?;
    if let Some(mode) = mode_of(&metadata)
        && file.is_plain()
        && mode & 0o066 != 0
    {
        return Err(FileError::TooOpen { mode });
    }
    Ok(file)
}

/// Writes a new keyfile with mode 0600.
///
/// # Errors
/// [`FileError::Exists`] if the path exists, also as a dangling symbolic link; [`FileError::Io`].
pub fn create_keyfile(path: &Path, file: &Keyfile) -> Result<(), FileError> {
    write_new(path, &checked(file)?, 0o600)
}

/// Replaces the keyfile at `path` by another one, in one step, with mode 0600.
///
/// # Errors
/// [`FileError::NotRegular`] for anything except a regular file. A symbolic link is refused,
/// because replacing the link would leave the old key, under the old passphrase, at the link's
/// target.
pub fn replace_keyfile(path: &Path, file: &Keyfile) -> Result<(), FileError> {
    let old = fs::symlink_metadata(path)?;
    regular(&old)?;
    replace(path, &checked(file)?, 0o600, Some(&old))
}

/// Returns the JSON to write. The JSON is parsed first, so that a file that cannot be read back
/// never replaces a good one.
fn checked(file: &Keyfile) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let json = file.to_json();
    Keyfile::from_json(json.as_bytes())?;
    Ok(Zeroizing::new(json.as_bytes().to_vec()))
}

/// Reads the regular file at `path`, following symbolic links. Also returns the metadata of the
/// opened file.
pub(crate) fn read_regular(
    path: &Path,
    limit: u64,
) -> Result<(Zeroizing<Vec<u8>>, Metadata), FileError> {
    // The type is checked before the file is opened, because opening a named pipe would wait for a
    // writer.
    regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    if metadata.len() > limit {
        return Err(FileError::TooLarge { limit });
    }
    // The whole capacity is allocated at once: a buffer that grows would leave copies of a secret
    // in memory.
    let room = usize::try_from(metadata.len()).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(FileError::TooLarge { limit });
    }
    Ok((bytes, metadata))
}

pub(crate) fn regular(metadata: &Metadata) -> Result<(), FileError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(FileError::NotRegular(if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a device, pipe or socket"
    }))
}

/// Writes `bytes` under a name that is not taken yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(FileError::Exists);
    }
    let temporary = Temporary::write(path, bytes, mode, None)?;
    // A hard link, unlike a rename, never replaces an existing file.
    match fs::hard_link(&temporary.path, path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(FileError::Exists),
        // Some file systems have no hard links. On these, the file is created under its final name
        // first and filled afterwards.
        Err(_) => {
            let mut file = match create_new(path, mode) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(FileError::Exists);
                }
                other => other?,
            };
            if let Err(e) = file.write_all(bytes).and_then(|()| file.sync_all()) {
                let _ = fs::remove_file(path);
                return Err(e.into());
            }
        }
    }
    drop(temporary);
    sync_folder(path);
    Ok(())
}

/// Replaces the file at `path` by `bytes`. The owner and group of `old` are kept if the operating
/// system permits it.
pub(crate) fn replace(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    old: Option<&Metadata>,
) -> Result<(), FileError> {
    let temporary = Temporary::write(path, bytes, mode, old)?;
    fs::rename(&temporary.path, path)?;
    sync_folder(path);
    Ok(())
}

/// A temporary file, which is removed when this value is dropped. After a rename, there is no such
/// file any more.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(
        target: &Path,
        bytes: &[u8],
        mode: u32,
        owner: Option<&Metadata>,
    ) -> Result<Self, FileError> {
        // The name can be predictable, because `create_new` never opens a file that another process
        // created. The name starts with a dot, so that a trust folder skips a file that is left
        // after a crash.
        for attempt in 0..100_u32 {
            let pid = std::process::id();
            let path = folder_of(target).join(format!(".mcpid-{pid}-{attempt}.tmp"));
            let mut file = match create_new(&path, mode) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            let temporary = Temporary { path };
            keep_owner(&file, mode, owner)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            return Ok(temporary);
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many temporary files").into())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// Returns the permission bits, if the system has them.
pub(crate) fn mode_of(metadata: &Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        Some(metadata.permissions().mode() & 0o7777)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Gives `file` the owner of the file that it will replace, and then its mode. The umask has
/// restricted the mode when `file` was created. A replaced file must keep its old mode.
pub(crate) fn keep_owner(file: &File, mode: u32, old: Option<&Metadata>) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(old) = old {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let new = file.metadata()?;
        let mut mode = mode;
        if (new.uid(), new.gid()) != (old.uid(), old.gid())
            && std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid())).is_err()
        {
            // The file now has another group than the old one. So the group's write permission is
            // removed.
            mode &= !0o020;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    #[cfg(not(unix))]
    let _ = (file, mode, old);
    Ok(())
}

/// Forces the new file name in the folder to the disk. The content of the file is already on the
/// disk. Some network file systems cannot open or synchronise a folder; that is not reported as an
/// error.
fn sync_folder(path: &Path) {
    #[cfg(unix)]
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    #[cfg(not(unix))]
    let _ = path;
}
