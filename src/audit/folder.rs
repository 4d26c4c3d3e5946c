//! The folder of a log: its files, its permissions, and its creation.
//!
//! ```text
//! log-key.json               the log's private key, a keyfile whose name is the log's origin
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

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::files;
use super::note::{self, NoteKey, NoteKeyError, NoteKeyKind};
use super::tree;
use crate::clock::Timestamp;
use crate::key::file_io::{self, FileError};
use crate::key::keyfile::Keyfile;
use crate::key::{SecretKey, Sign};

const KEY_FILE: &str = "log-key.json";
pub(super) const PUBLIC: &str = "log-key.pub";
/// The extension of a file of entries.
const SEGMENT: &str = ".jsonl";
/// The error text for a log key of another kind: C2SP checkpoints are signed with Ed25519.
const NOT_ED25519: &str = "it is not an Ed25519 key";
/// The extension of a packed file of entries.
pub(super) const PACKED: &str = ".jsonl.gz";
/// The extension of the note that replaces an archived file of entries.
const ARCHIVE_NOTE: &str = ".archived";

/// Returns the name of the file whose first entry has the number `first`.
pub(super) fn file_name(first: u64, end: &str) -> String {
    format!("entries-{first:012}{end}")
}

/// Lists the files in a folder that have the name of a file of entries with this extension, in
/// order.
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
            // Only the name that `file_name` makes is accepted: two files for one position would be
            // ambiguous.
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
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// Folders of archives, with packed files of the log's entries.
    archives: Vec<PathBuf>,
}

/// The key of a log, which signs its checkpoints.
#[derive(Clone)]
pub struct LogKey {
    pub(super) note: NoteKey,
    pub(super) secret: Arc<dyn Sign>,
}

impl LogKey {
    /// Returns the public key, which auditors pin.
    pub fn public(&self) -> &NoteKey {
        &self.note
    }
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogKey({})", self.note)
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
            Ok(about) if about.is_dir() => Ok(Folder { path, archives: Vec::new() }),
            Ok(_) => Err(LogError::NotALog(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(LogError::NotALog(path)),
            Err(e) => Err(LogError::io("read", &path, e)),
        }
    }

    /// Creates a log with the name `name`, whose checkpoints are signed by `secret`. The key is
    /// stored without a passphrase, so that a server can start without a person; only the owner can
    /// read it.
    ///
    /// # Errors
    /// [`LogError::Exists`] if the folder has a log, [`LogError::KeyUnfit`] if the name is not
    /// allowed, [`LogError::Io`] if a file cannot be written.
    pub fn init(
        path: impl Into<PathBuf>,
        name: &str,
        secret: &SecretKey,
        created: Timestamp,
    ) -> Result<NoteKey, LogError> {
        let folder = Folder { path: path.into(), archives: Vec::new() };
        let public = secret.public().clone();
        let unfit = |error| match error {
            NoteKeyError::Key => LogError::KeyUnfit(NOT_ED25519),
            _ => LogError::KeyUnfit("its name has white space, a plus sign, or no length"),
        };
        let key = NoteKey::new(name, NoteKeyKind::Log, public).map_err(unfit)?;
        let keyfile = Keyfile::plain(secret, name, created)
            .map_err(|_| LogError::KeyUnfit("its name has a control character or is too long"))?;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder.path).map_err(|e| LogError::io("make", &folder.path, e))?;
        folder.check()?;
        if !folder.segments()?.is_empty() {
            return Err(LogError::Exists(folder.path));
        }
        let wrong = |path: &Path| {
            let (path, whole) = (path.to_owned(), folder.path.clone());
            move |error| match error {
                FileError::Exists => LogError::Exists(whole),
                FileError::Io(e) => LogError::io("write", &path, e),
                other => LogError::Key(Arc::new(other)),
            }
        };
        let path = folder.file(KEY_FILE);
        file_io::create_keyfile(&path, &keyfile).map_err(wrong(&path))?;
        let path = folder.file(PUBLIC);
        file_io::write_new(&path, format!("{key}\n").as_bytes(), 0o644).map_err(wrong(&path))?;
        file_io::write_new(&folder.tree(), b"", 0o600).map_err(wrong(&folder.tree()))?;
        // Each log begins with a checkpoint over no entries. So a log without any checkpoint was
        // damaged by an attacker.
        let origin = key.name().to_owned();
        let checkpoint = Checkpoint { origin, size: 0, root: tree::empty() };
        let note = checkpoint.sign(&key, secret)?;
        for path in [folder.checkpoints(), folder.checkpoint()] {
            file_io::write_new(&path, note.as_bytes(), 0o600).map_err(wrong(&path))?;
        }
        Ok(key)
    }

    /// Adds archives to the log: folders into which [`archive`](super::archive::archive) has moved
    /// files of its entries.
    #[must_use]
    pub fn with_archives(self, archives: Vec<PathBuf>) -> Self {
        Folder { archives, ..self }
    }

    /// Returns the folders that were given as archives of the log.
    pub(super) fn archives(&self) -> &[PathBuf] {
        &self.archives
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the log's key from the folder.
    ///
    /// # Errors
    /// [`LogError::NotALog`], [`LogError::Key`] or [`LogError::KeyUnfit`] if the key is missing or
    /// cannot be used.
    pub fn key(&self) -> Result<LogKey, LogError> {
        let keyfile = file_io::load_keyfile(&self.file(KEY_FILE)).map_err(|error| match error {
            FileError::Io(e) if e.kind() == io::ErrorKind::NotFound => {
                LogError::NotALog(self.path.clone())
            }
            other => LogError::Key(Arc::new(other)),
        })?;
        if !keyfile.is_plain() {
            return Err(LogError::KeyUnfit("it has a passphrase, which a server cannot ask for"));
        }
        if !note::is_name(keyfile.name()) {
            return Err(LogError::KeyUnfit("its name is none for a signed note"));
        }
        let secret = keyfile.open(None).map_err(|e| LogError::Key(Arc::new(e.into())))?;
        let note = NoteKey::new(keyfile.name(), NoteKeyKind::Log, secret.public().clone())
            .map_err(|_| LogError::KeyUnfit(NOT_ED25519))?;
        Ok(LogKey { note, secret: Arc::new(secret) })
    }

    /// Reads the public key from the folder. This suffices to make proofs. An auditor must not use
    /// it, because an attacker could have replaced it.
    ///
    /// # Errors
    /// As [`Folder::key`].
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

    /// Locks out other processes that archive or erase, until the returned file is dropped. A
    /// writer can continue meanwhile.
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

    /// Lists the archive notes in the folder, in order, with the number of the first entry that
    /// each is about.
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

    /// Returns the path of the archive note about the file whose first entry has the number
    /// `first`.
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

    /// Returns the path of the newest checkpoint that a quorum of witnesses has cosigned.
    pub fn cosigned(&self) -> PathBuf {
        self.file("checkpoint.cosigned")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.file("checkpoints")
    }

    pub(super) fn refused(&self, old: bool) -> PathBuf {
        self.file(if old { "refused.old.jsonl" } else { "refused.jsonl" })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Checks that the disk has room, by writing a file that is not part of the log and removing
    /// it.
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

    /// Returns the bytes of the newest checkpoint that a quorum has cosigned; `None` if there is
    /// none. The cosignatures are not verified here.
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
