//! The folder of a log: what lies in it, who may change it, and how it is made.
//!
//! ```text
//! log-key.json               the log's private key, a keyfile whose name is the log's origin
//! log-key.pub                its public key, as NAME+HASH+KEY: to be kept elsewhere
//! entries-000000000000.jsonl entries, one a line; the number is that of the first one inside
//! tree                       the hashes of the leaves and of every full subtree, in order
//! checkpoint                 the latest signed checkpoint
//! checkpoints                all of them, one behind the other
//! refused.jsonl              requests of strangers: capped, no part of the tree
//! ```
//!
//! The one process that writes holds a lock on the folder itself and on the newest file of entries,
//! so that no file has to be there for it, and removing one changes nothing.

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
use crate::key::store::{self, StoreError};
use crate::key::{SecretKey, Sign};

const KEY: &str = "log-key.json";
const PUBLIC: &str = "log-key.pub";
const SEGMENT: (&str, &str) = ("entries-", ".jsonl");

/// Where a log lies.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// The key that signs a log's checkpoints.
#[derive(Clone)]
pub struct LogKey {
    pub(super) note: NoteKey,
    pub(super) secret: Arc<dyn Sign>,
}

impl LogKey {
    /// The public half, which auditors pin.
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
    /// A folder that is there. Nothing in it is read yet.
    ///
    /// # Errors
    /// [`LogError::NotALog`] where there is no folder.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => Ok(Folder(path)),
            Ok(_) => Err(LogError::NotALog(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(LogError::NotALog(path)),
            Err(e) => Err(LogError::io("read", &path, e)),
        }
    }

    /// Makes a log called `name`, whose checkpoints `secret` signs. The key is written without a
    /// passphrase, for this user only: a server must be able to start without anybody there.
    ///
    /// # Errors
    /// [`LogError::Exists`], [`LogError::KeyUnfit`], [`LogError::Io`].
    pub fn init(
        path: impl Into<PathBuf>,
        name: &str,
        secret: &SecretKey,
        created: Timestamp,
    ) -> Result<NoteKey, LogError> {
        let folder = Folder(path.into());
        let public = secret.public().clone();
        let unfit = |_| LogError::KeyUnfit("its name has white space, a plus sign, or no length");
        let key = NoteKey::new(name, Kind::Log, public).map_err(unfit)?;
        let keyfile = Keyfile::plain(secret, name, created)
            .map_err(|_| LogError::KeyUnfit("its name has a control character or is too long"))?;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder.0).map_err(|e| LogError::io("make", &folder.0, e))?;
        folder.check()?;
        if !folder.segments()?.is_empty() {
            return Err(LogError::Exists(folder.0));
        }
        let wrong = |path: &Path| {
            let (path, whole) = (path.to_owned(), folder.0.clone());
            move |error| match error {
                StoreError::Exists => LogError::Exists(whole),
                StoreError::Io(e) => LogError::io("write", &path, e),
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

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The log's key.
    ///
    /// # Errors
    /// [`LogError::NotALog`], [`LogError::Key`], [`LogError::KeyUnfit`].
    pub fn key(&self) -> Result<LogKey, LogError> {
        let keyfile = store::load_keyfile(&self.file(KEY)).map_err(|error| match error {
            StoreError::Io(e) if e.kind() == io::ErrorKind::NotFound => {
                LogError::NotALog(self.0.clone())
            }
            other => LogError::Key(Arc::new(other)),
        })?;
        if !keyfile.is_plain() {
            return Err(LogError::KeyUnfit("it has a passphrase, and nobody to ask for it"));
        }
        if !note::is_name(keyfile.name()) {
            return Err(LogError::KeyUnfit("its name is none for a signed note"));
        }
        let secret = keyfile.open(None).map_err(|e| LogError::Key(Arc::new(e.into())))?;
        let note = NoteKey::new(keyfile.name(), Kind::Log, secret.public().clone())
            .map_err(|_| LogError::KeyUnfit("its name is none for a signed note"))?;
        Ok(LogKey { note, secret: Arc::new(secret) })
    }

    /// The public half of the log's key, as the folder has it: for whoever makes proofs, and never
    /// for whoever checks them.
    ///
    /// # Errors
    /// As [`Folder::key`].
    pub fn public(&self) -> Result<NoteKey, LogError> {
        let path = self.file(PUBLIC);
        let bytes = files::small(&path, note::MAX_NOTE)?;
        let bytes = bytes.ok_or_else(|| LogError::NotALog(self.0.clone()))?;
        let text = String::from_utf8_lossy(&bytes);
        text.trim_end().parse().map_err(|_| LogError::KeyUnfit("log-key.pub is not one"))
    }

    /// Checks that nobody else can change what is in the folder.
    ///
    /// # Errors
    /// [`LogError::TooOpen`].
    pub(super) fn check(&self) -> Result<(), LogError> {
        let about = fs::metadata(&self.0).map_err(|e| LogError::io("read", &self.0, e))?;
        match store::mode_of(&about) {
            Some(mode) if mode & 0o022 != 0 => {
                Err(LogError::TooOpen { path: self.0.clone(), mode })
            }
            _ => Ok(()),
        }
    }

    /// Takes the log for this process, until the file is dropped.
    ///
    /// # Errors
    /// [`LogError::Locked`].
    pub(super) fn lock(&self) -> Result<File, LogError> {
        let folder = File::open(&self.0).map_err(|e| LogError::io("lock", &self.0, e))?;
        match files::lock(&folder, &self.0)? {
            true => Ok(folder),
            false => Err(LogError::Locked(self.0.clone())),
        }
    }

    /// The files of entries with the number of their first, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn segments(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        let wrong = |e| LogError::io("read", &self.0, e);
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(SEGMENT.0)?.strip_suffix(SEGMENT.1));
            if let Some(first) = number.and_then(|number| number.parse::<u64>().ok()) {
                // One number, one name: two files for one place would be a choice.
                if self.segment(first).file_name() == Some(&*name) {
                    segments.push((first, entry.path()));
                }
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// The file of entries that begins with number `first`.
    pub(super) fn segment(&self, first: u64) -> PathBuf {
        self.file(&format!("{}{first:012}{}", SEGMENT.0, SEGMENT.1))
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.file("tree")
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.file("checkpoint")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.file("checkpoints")
    }

    pub(super) fn refused(&self, old: bool) -> PathBuf {
        self.file(if old { "refused.old.jsonl" } else { "refused.jsonl" })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether there is room for entries: writes a file that is no part of the log, and removes it.
    pub(super) fn probe(&self) -> Result<(), LogError> {
        let path = self.file("probe");
        let mut file =
            files::open(&path, OpenOptions::new().write(true).create(true).truncate(true))?;
        let written = file.write_all(&[0; 16 * 1024]).and_then(|()| file.sync_data());
        let removed = fs::remove_file(&path);
        written.and(removed).map_err(|e| LogError::io("write", &path, e))
    }

    /// Whether this process could write the log, as far as that shows without changing anything:
    /// its key, its permissions, its files, and the latest checkpoint. Whether another process
    /// writes it at present is the answer.
    ///
    /// # Errors
    /// As [`Log::open`](super::Log::open), for what would keep it from opening this log.
    pub fn look(&self) -> Result<bool, LogError> {
        self.check()?;
        let key = self.key()?;
        let last = self.segments()?.pop().map(|(_, path)| path);
        let paths = [self.tree(), self.checkpoint(), self.checkpoints()];
        for path in paths.into_iter().chain(last).filter(|path| fs::symlink_metadata(path).is_ok())
        {
            files::open(&path, OpenOptions::new().append(true))?;
        }
        if let Some(note) = self.latest()? {
            let signed = Checkpoint::signed(&note, key.public());
            let changed = |e| LogError::changed(&self.0, format!("its checkpoint is {e}"));
            signed.map_err(changed)?;
        }
        let folder = File::open(&self.0).map_err(|e| LogError::io("read", &self.0, e))?;
        match folder.try_lock_shared() {
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(e)) => Err(LogError::io("lock", &self.0, e)),
            Ok(()) => Ok(false),
        }
    }

    /// The latest checkpoint, as it stands in its file; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn latest(&self) -> Result<Option<Vec<u8>>, LogError> {
        files::small(&self.checkpoint(), note::MAX_NOTE)
    }

    /// Forces new names to the disk.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        #[cfg(unix)]
        File::open(&self.0)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| LogError::io("write", &self.0, e))?;
        Ok(())
    }
}
