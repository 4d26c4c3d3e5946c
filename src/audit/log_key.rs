//! The key of a log, and the creation of a log with its key.
//!
//! The private key is in the folder of the log, without a passphrase, or it is elsewhere: in an
//! ssh-agent, behind an external program, in a hardware token or in a keyfile with a passphrase.
//! The folder never says where: otherwise a folder that came from another machine could name a
//! program that this machine would start.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::fault::LogError;
use super::folder::{Folder, PUBLIC};
use super::note::{self, NoteKey, NoteKeyError, NoteKeyKind};
use super::tree;
use crate::clock::Timestamp;
use crate::key::file_io::{self, FileError};
use crate::key::keyfile::Keyfile;
use crate::key::{SecretKey, Sign};

const KEY_FILE: &str = "log-key.json";
/// The error text if the log's key is not an Ed25519 key. C2SP checkpoints are signed with Ed25519.
const NOT_ED25519: &str = "it is not an Ed25519 key";

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
    /// Creates a log with the name `name`, whose checkpoints are signed by `secret`. The key is
    /// stored without a passphrase, so that a server can start unattended; only the owner can read
    /// it.
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
        let key = note_key(name, secret)?;
        let keyfile = Keyfile::plain(secret, name, created)
            .map_err(|_| LogError::KeyUnfit("its name has a control character or is too long"))?;
        create(&Folder::new(path.into()), key, secret, Some(&keyfile))
    }

    /// Creates a log with the name `name`, whose checkpoints are signed by `key`. The private key
    /// is not copied into the folder. The key makes a test signature first, so that no files are
    /// created if it cannot sign. Open such a log with [`Folder::with_key`].
    ///
    /// # Errors
    /// As [`Folder::init`], and [`LogError::Sign`] if the key does not sign.
    pub fn init_with_key(
        path: impl Into<PathBuf>,
        name: &str,
        key: &dyn Sign,
    ) -> Result<NoteKey, LogError> {
        create(&Folder::new(path.into()), note_key(name, key)?, key, None)
    }

    /// Returns true if the private key of the log is in the folder.
    pub fn has_private_key(&self) -> bool {
        fs::symlink_metadata(self.file(KEY_FILE)).is_ok()
    }

    /// Returns the log's key: the one that was given by [`Folder::with_key`], or else the one in
    /// the folder.
    ///
    /// # Errors
    /// [`LogError::NotALog`], [`LogError::Key`] or [`LogError::KeyUnfit`] if the key is missing or
    /// cannot be used; [`LogError::NoKey`] if the key is not in the folder and was not given;
    /// [`LogError::AnotherKey`] if the given key is not the log's key.
    pub fn key(&self) -> Result<LogKey, LogError> {
        if let Some(secret) = self.key_elsewhere() {
            let note = self.public()?;
            if note.kind() != NoteKeyKind::Log {
                return Err(LogError::KeyUnfit("log-key.pub is not one"));
            }
            let (log, given) = (note.public(), secret.public());
            if log != given {
                let (log, given) = (Box::new(*log.id()), Box::new(*given.id()));
                return Err(LogError::AnotherKey { log, given });
            }
            return Ok(LogKey { note, secret: Arc::clone(secret) });
        }
        let keyfile = file_io::load_keyfile(&self.file(KEY_FILE)).map_err(|error| match error {
            FileError::Io(e) if e.kind() == io::ErrorKind::NotFound => {
                let path = self.path().to_owned();
                match fs::symlink_metadata(self.file(PUBLIC)) {
                    Ok(_) => LogError::NoKey(path),
                    Err(_) => LogError::NotALog(path),
                }
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
}

fn note_key(name: &str, key: &dyn Sign) -> Result<NoteKey, LogError> {
    NoteKey::new(name, NoteKeyKind::Log, key.public().clone()).map_err(|error| match error {
        NoteKeyError::Key => LogError::KeyUnfit(NOT_ED25519),
        _ => LogError::KeyUnfit("its name has white space, a plus sign, or no length"),
    })
}

/// Writes the files of an empty log. `keyfile` holds its private key, if the key is to be stored in
/// the folder.
fn create(
    folder: &Folder,
    key: NoteKey,
    secret: &dyn Sign,
    keyfile: Option<&Keyfile>,
) -> Result<NoteKey, LogError> {
    // Each log begins with a checkpoint over zero entries. A log without any checkpoint was
    // therefore damaged.
    let origin = key.name().to_owned();
    let checkpoint = Checkpoint { origin, size: 0, root: tree::empty() };
    let note = checkpoint.sign(&key, secret)?;
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder.path()).map_err(|e| LogError::io("make", folder.path(), e))?;
    folder.check()?;
    if !folder.segments()?.is_empty() || (keyfile.is_none() && folder.has_private_key()) {
        return Err(LogError::Exists(folder.path().to_owned()));
    }
    let wrong = |path: &Path| {
        let (path, whole) = (path.to_owned(), folder.path().to_owned());
        move |error| match error {
            FileError::Exists => LogError::Exists(whole),
            FileError::Io(e) => LogError::io("write", &path, e),
            other => LogError::Key(Arc::new(other)),
        }
    };
    if let Some(keyfile) = keyfile {
        let path = folder.file(KEY_FILE);
        file_io::create_keyfile(&path, keyfile).map_err(wrong(&path))?;
    }
    let path = folder.file(PUBLIC);
    file_io::write_new(&path, format!("{key}\n").as_bytes(), 0o644).map_err(wrong(&path))?;
    file_io::write_new(&folder.tree(), b"", 0o600).map_err(wrong(&folder.tree()))?;
    for path in [folder.checkpoints(), folder.checkpoint()] {
        file_io::write_new(&path, note.as_bytes(), 0o600).map_err(wrong(&path))?;
    }
    Ok(key)
}
