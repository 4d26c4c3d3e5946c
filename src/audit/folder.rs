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
//! The one process that writes holds a lock on the folder itself and on the newest file of entries.
//! No separate lock file exists that another process could remove.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::files;
use super::note::{self, Kind, NoteKey};
use super::tree;
use crate::clock::Timestamp;
use crate::key::keyfile::Keyfile;
use crate::key::store::{self, FileError};
use crate::key::{SecretKey, Sign};

const KEY: &str = "log-key.json";
pub(super) const PUBLIC: &str = "log-key.pub";
/// The end of the name of a file of entries.
const SEGMENT: &str = ".jsonl";
/// The end of the name of a packed file of entries.
pub(super) const PACKED: &str = ".jsonl.gz";
/// The end of the name of the note that replaces an archived file of entries.
const STUB: &str = ".archived";

/// Returns the name of the file for the entries from `first` on.
pub(super) fn file_name(first: u64, end: &str) -> String {
    format!("entries-{first:012}{end}")
}

/// Lists the files of a folder that are named as files of entries with this ending, in order.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn numbered(folder: &Path, end: &str) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let wrong = |e| LogError::io("read", folder, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("entries-")?.strip_suffix(end));
        if let Some(first) = number.and_then(|number| number.parse::<u64>().ok())
            // A number has only one valid name: two files for one position would be ambiguous.
            && *file_name(first, end) == *name
        {
            found.push((first, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The location of a log.
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
    /// Archive folders with packed files of the log's entries.
    archives: Vec<PathBuf>,
}

/// The key that signs a log's checkpoints.
#[derive(Clone)]
pub struct LogKey {
    pub(super) note: NoteKey,
    pub(super) secret: Arc<dyn Sign>,
}

impl LogKey {
    /// Returns the public half, which auditors pin.
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
    /// Refers to an existing folder. No file in it is read yet.
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

    /// Makes a log called `name`, whose checkpoints `secret` signs. The key is written without a
    /// passphrase, for this user only: a server must be able to start by itself.
    ///
    /// # Errors
    /// [`LogError::Exists`], [`LogError::KeyUnfit`], [`LogError::Io`].
    pub fn init(
        path: impl Into<PathBuf>,
        name: &str,
        secret: &SecretKey,
        created: Timestamp,
    ) -> Result<NoteKey, LogError> {
        let folder = Folder { path: path.into(), archives: Vec::new() };
        let public = secret.public().clone();
        let unfit = |_| LogError::KeyUnfit("its name has white space, a plus sign, or no length");
        let key = NoteKey::new(name, Kind::Log, public).map_err(unfit)?;
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
        let path = folder.file(KEY);
        store::create_keyfile(&path, &keyfile).map_err(wrong(&path))?;
        let path = folder.file(PUBLIC);
        store::write_new(&path, format!("{key}\n").as_bytes(), 0o644).map_err(wrong(&path))?;
        store::write_new(&folder.tree(), b"", 0o600).map_err(wrong(&folder.tree()))?;
        // Signed while it is empty: a log without any checkpoint was robbed of them.
        let origin = key.name().to_owned();
        let checkpoint = Checkpoint { origin, size: 0, root: tree::empty() };
        let note = checkpoint.sign(&key, secret)?;
        for path in [folder.checkpoints(), folder.checkpoint()] {
            store::write_new(&path, note.as_bytes(), 0o600).map_err(wrong(&path))?;
        }
        Ok(key)
    }

    /// Adds archives to the log: folders into which [`archive`](super::archive::archive) has moved
    /// files of its entries.
    #[must_use]
    pub fn with_archives(self, archives: Vec<PathBuf>) -> Self {
        Folder { archives, ..self }
    }

    /// Returns the folders that were given as archives of this log.
    pub(super) fn archives(&self) -> &[PathBuf] {
        &self.archives
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the log's key.
    ///
    /// # Errors
    /// [`LogError::NotALog`], [`LogError::Key`], [`LogError::KeyUnfit`].
    pub fn key(&self) -> Result<LogKey, LogError> {
        let keyfile = store::load_keyfile(&self.file(KEY)).map_err(|error| match error {
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
        let note = NoteKey::new(keyfile.name(), Kind::Log, secret.public().clone())
            .map_err(|_| LogError::KeyUnfit("its name is none for a signed note"))?;
        Ok(LogKey { note, secret: Arc::new(secret) })
    }

    /// Reads the public half of the log's key from the folder. A maker of proofs may use it, but an
    /// auditor must not.
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
    /// [`LogError::TooOpen`].
    pub(super) fn check(&self) -> Result<(), LogError> {
        let about = fs::metadata(&self.path).map_err(|e| LogError::io("read", &self.path, e))?;
        match store::mode_of(&about) {
            Some(mode) if mode & 0o022 != 0 => {
                Err(LogError::TooOpen { path: self.path.clone(), mode })
            }
            _ => Ok(()),
        }
    }

    /// Keeps other processes from archiving or erasing entries, until the file is dropped. A writer
    /// may go on meanwhile.
    ///
    /// # Errors
    /// [`LogError::Maintained`].
    pub(super) fn lock_maintenance(&self) -> Result<File, LogError> {
        let path = self.file(PUBLIC);
        let file = files::read(&path)?;
        match files::lock(&file, &path)? {
            true => Ok(file),
            false => Err(LogError::Maintained(self.path.clone())),
        }
    }

    /// Returns the process that writes this log, if the system reports it.
    pub fn writer(&self) -> Option<u32> {
        files::lock_holder(&File::open(&self.path).ok()?)
    }

    /// Takes the log for this process, until the file is dropped.
    ///
    /// # Errors
    /// [`LogError::Locked`].
    pub(super) fn lock(&self) -> Result<File, LogError> {
        let folder = File::open(&self.path).map_err(|e| LogError::io("lock", &self.path, e))?;
        match files::lock(&folder, &self.path)? {
            true => Ok(folder),
            false => Err(LogError::Locked(self.path.clone())),
        }
    }

    /// Lists the files of entries in the folder, in order, each with the number of its first entry.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn segments(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        numbered(&self.path, SEGMENT)
    }

    /// Lists the archive notes in the folder, each with the number of its first entry.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn stubs(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        numbered(&self.path, STUB)
    }

    /// Returns the path of the file of entries that begins with number `first`.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.path.join(file_name(first, SEGMENT))
    }

    /// Returns the path of the archive note for the file that begins with number `first`.
    pub(super) fn stub(&self, first: u64) -> PathBuf {
        self.path.join(file_name(first, STUB))
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

    /// Checks that the disk has room for entries: writes a file that is no part of the log, and
    /// removes it.
    pub(super) fn probe(&self) -> Result<(), LogError> {
        let path = self.file("probe");
        let mut file =
            files::open(&path, OpenOptions::new().write(true).create(true).truncate(true))?;
        let written = file.write_all(&[0; 16 * 1024]).and_then(|()| file.sync_data());
        let removed = fs::remove_file(&path);
        written.and(removed).map_err(|e| LogError::io("write", &path, e))
    }

    /// Reads the latest checkpoint, byte for byte; `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn latest(&self) -> Result<Option<Vec<u8>>, LogError> {
        files::small(&self.checkpoint(), note::MAX_NOTE)
    }

    /// Reads the newest checkpoint that a quorum has cosigned, byte for byte; `None` if there is
    /// none. The cosignatures are not verified here.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn latest_cosigned(&self) -> Result<Option<Vec<u8>>, LogError> {
        files::small(&self.cosigned(), note::MAX_NOTE)
    }

    /// Forces new names to the disk.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        files::sync_folder(&self.path)
    }
}
