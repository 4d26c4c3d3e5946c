//! The folder of a log: its files and their permissions.
//!
//! ```text
//! log-key.json               the log's private key, a keyfile whose name is the log's origin; not
//!                            there if the key is elsewhere
//! log-key.pub                its public key, as NAME+HASH+KEY: to be kept elsewhere
//! entries-000000000000.jsonl entries, one a line; the number is that of the first one inside
//! entries-….archived         in the place of such a file: a signed note that it was archived
//! tree                       the hashes of the leaves and of every full subtree, in order
//! checkpoint                 the latest signed checkpoint
//! checkpoints                all of them, one behind the other
//! checkpoint.cosigned        the newest one that a quorum of witnesses has cosigned
//! witnesses.json             what each witness has signed last (and witnesses.lock beside it)
//! refused.jsonl              requests of strangers: capped, no part of the tree
//! ```
//!
//! The writing process holds a lock on the folder and on the newest file of entries. There is no
//! separate lock file, which another process could remove.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::LogError;
use super::files;
use super::note::{self, NoteKey};
use crate::key::Sign;
use crate::key::file_io;

pub(super) const PUBLIC: &str = "log-key.pub";
/// The extension of a file of entries.
const SEGMENT: &str = ".jsonl";
/// The extension of a packed file of entries.
pub(super) const PACKED: &str = ".jsonl.gz";
/// The extension of the note that replaces an archived file of entries.
const ARCHIVE_NOTE: &str = ".archived";

/// Returns the name of the file whose first entry has the number `first` and whose extension is
/// `end`.
pub(super) fn file_name(first: u64, end: &str) -> String {
    format!("entries-{first:012}{end}")
}

/// Lists the files of entries in a folder that have the extension `end`, in order.
///
/// # Errors
/// [`LogError`] if the folder cannot be read.
pub(super) fn numbered(folder: &Path, end: &str) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let wrong = |e| LogError::io("read", folder, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("entries-")?.strip_suffix(end));
        if let Some(first) = number.and_then(|number| number.parse::<u64>().ok())
            // Only the exact name that `file_name` makes, with leading zeros, is accepted.
            // Otherwise, two files could begin with the same entry number, such as `1` and `0001`.
            && *file_name(first, end) == *name
        {
            found.push((first, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The folder of a log.
///
/// ```
/// use mcpid::audit::{Folder, LogError};
///
/// let nowhere = Folder::at("/nowhere/at/all");
/// assert!(matches!(nowhere, Err(LogError::NotALog(_))));
/// ```
#[derive(Clone)]
pub struct Folder {
    path: PathBuf,
    /// Folders of archives, with packed files of the log's entries.
    archives: Vec<PathBuf>,
    /// The private key of the log, if it is not in the folder.
    key_elsewhere: Option<Arc<dyn Sign>>,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Folder");
        shown.field("path", &self.path).field("archives", &self.archives).finish_non_exhaustive()
    }
}

impl Folder {
    /// Refers to the log in an existing folder. No file is read yet.
    ///
    /// # Errors
    /// [`LogError::NotALog`] if the folder does not exist.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => Ok(Folder::new(path)),
            Ok(_) => Err(LogError::NotALog(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(LogError::NotALog(path)),
            Err(e) => Err(LogError::io("read", &path, e)),
        }
    }

    /// Refers to the log in a folder that may not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Folder { path, archives: Vec::new(), key_elsewhere: None }
    }

    /// Sets the private key of the log, for a log whose key is not in its folder but for example in
    /// a hardware token. It must be the key of the file `log-key.pub`.
    #[must_use]
    pub fn with_key(self, key: Arc<dyn Sign>) -> Self {
        Folder { key_elsewhere: Some(key), ..self }
    }

    /// Returns the private key that was given for the log, if one was.
    pub(super) fn key_elsewhere(&self) -> Option<&Arc<dyn Sign>> {
        self.key_elsewhere.as_ref()
    }

    /// Names the archives of the log: folders into which [`archive`](super::archive::archive) has
    /// moved files of its entries.
    #[must_use]
    pub fn with_archives(self, archives: Vec<PathBuf>) -> Self {
        Folder { archives, ..self }
    }

    /// Returns the folders that were named as archives of the log.
    pub(super) fn archives(&self) -> &[PathBuf] {
        &self.archives
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the public key from the folder. This suffices to make proofs. An auditor must not use
    /// it, because an attacker could have replaced it.
    ///
    /// # Errors
    /// [`LogError::NotALog`] if there is none, [`LogError::KeyUnfit`] if the file holds no key.
    pub fn public(&self) -> Result<NoteKey, LogError> {
        let path = self.file(PUBLIC);
        let bytes = files::small(&path, note::MAX_NOTE)?;
        let bytes = bytes.ok_or_else(|| LogError::NotALog(self.path.clone()))?;
        let text = String::from_utf8_lossy(&bytes);
        text.trim_end().parse().map_err(|_| LogError::KeyUnfit("log-key.pub is not one"))
    }

    /// Checks that only the owner can change the files in the folder.
    ///
    /// # Errors
    /// [`LogError::TooOpen`] if other users can.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let about = fs::metadata(&self.path).map_err(|e| LogError::io("read", &self.path, e))?;
        match file_io::mode_of(&about) {
            Some(mode) if mode & 0o022 != 0 => {
                Err(LogError::TooOpen { path: self.path.clone(), mode })
            }
            _ => Ok(()),
        }
    }

    /// Prevents other processes from archiving or erasing entries until the returned file is
    /// dropped. A writer can append entries meanwhile.
    ///
    /// # Errors
    /// [`LogError::Maintained`] if another process holds this lock.
    pub(super) fn lock_maintenance(&self) -> Result<File, LogError> {
        let path = self.file(PUBLIC);
        let file = files::read(&path)?;
        match files::lock(&file, &path)? {
            true => Ok(file),
            false => Err(LogError::Maintained(self.path.clone())),
        }
    }

    /// Returns the process id of the log's writer, if the operating system reports it.
    pub fn writer(&self) -> Option<u32> {
        files::lock_holder(&File::open(&self.path).ok()?)
    }

    /// Locks the log for this process, until the returned file is dropped.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process holds the lock.
    pub(super) fn lock(&self) -> Result<File, LogError> {
        let folder = File::open(&self.path).map_err(|e| LogError::io("lock", &self.path, e))?;
        match files::lock(&folder, &self.path)? {
            true => Ok(folder),
            false => Err(LogError::Locked(self.path.clone())),
        }
    }

    /// Lists the files of entries in the folder, in order, with the number of the first entry of
    /// each.
    ///
    /// # Errors
    /// [`LogError`] if the folder cannot be read.
    pub(super) fn segments(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        numbered(&self.path, SEGMENT)
    }

    /// Lists the archive notes in the folder, in order. Each replaces a file of entries, and is
    /// listed with the number of the first entry of that file.
    ///
    /// # Errors
    /// [`LogError`] if the folder cannot be read.
    pub(super) fn stubs(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        numbered(&self.path, ARCHIVE_NOTE)
    }

    /// Returns the path of the file of entries whose first entry has the number `first`.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.path.join(file_name(first, SEGMENT))
    }

    /// Returns the path of the note that replaces the archived file whose first entry has the
    /// number `first`.
    pub(super) fn stub(&self, first: u64) -> PathBuf {
        self.path.join(file_name(first, ARCHIVE_NOTE))
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.file("tree")
    }

    /// Returns the path of the latest checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.file("checkpoint")
    }

    /// Returns the path of the newest checkpoint that enough witnesses have signed.
    pub fn cosigned(&self) -> PathBuf {
        self.file("checkpoint.cosigned")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.file("checkpoints")
    }

    pub(super) fn refused(&self, old: bool) -> PathBuf {
        self.file(if old { "refused.old.jsonl" } else { "refused.jsonl" })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Checks that the disk has room, by writing a test file to the log's folder and removing it.
    pub(super) fn probe(&self) -> Result<(), LogError> {
        let path = self.file("probe");
        let mut file =
            files::open(&path, OpenOptions::new().write(true).create(true).truncate(true))?;
        let written = file.write_all(&[0; 16 * 1024]).and_then(|()| file.sync_data());
        let removed = fs::remove_file(&path);
        written.and(removed).map_err(|e| LogError::io("write", &path, e))
    }

    /// Returns the bytes of the latest checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// [`LogError`] if the file cannot be read.
    pub fn latest(&self) -> Result<Option<Vec<u8>>, LogError> {
        files::small(&self.checkpoint(), note::MAX_NOTE)
    }

    /// Returns the bytes of the newest checkpoint that enough witnesses have signed; `None` if
    /// there is none. The witnesses' signatures are not verified here.
    ///
    /// # Errors
    /// [`LogError`] if the file cannot be read.
    pub fn latest_cosigned(&self) -> Result<Option<Vec<u8>>, LogError> {
        files::small(&self.cosigned(), note::MAX_NOTE)
    }

    /// Forces the file names in the folder to the disk.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        files::sync_folder(&self.path)
    }
}
