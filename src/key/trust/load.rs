//! Loads trust files from disk: lists the files at a path, and checks who can write them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Registry, TrustError, TrustFile};
use crate::key::file_io::{self, FileError};

/// Maximum size of one trust file, in bytes; room for some 300,000 keys.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A trust file or folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct LoadError {
    /// The path of the file or folder.
    pub path: PathBuf,
    /// The kind of fault.
    pub kind: LoadErrorKind,
}

/// A fault of a trust file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadErrorKind {
    /// The file cannot be read: missing, no permission, not a regular file, too large.
    #[error(transparent)]
    Store(#[from] FileError),
    /// Users other than the owner and the group can write the file or folder, and could add a key.
    #[error("others can write it (mode {mode:04o})")]
    OthersCanWrite {
        /// The permission bits.
        mode: u32,
    },
    /// A folder without `*.json` and `*.jwk` files.
    #[error("the folder holds no *.json or *.jwk files")]
    NoFiles,
    /// The file's content is not a trust file.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl LoadErrorKind {
    /// Returns the fault of the trust file or folder at `path` as one line that names it.
    pub fn about(&self, path: &Path) -> String {
        let name = path.display();
        match self {
            LoadErrorKind::Store(error) => error.about(path),
            LoadErrorKind::OthersCanWrite { mode } => {
                format!("{name} can be changed by every user: its mode is {mode:04o}")
            }
            LoadErrorKind::NoFiles => {
                format!("{name} holds no trust files, which are named *.json or *.jwk")
            }
            LoadErrorKind::Trust(TrustError::NotKeys("a keyfile")) => {
                format!("{name} is a keyfile, not a trust file")
            }
            LoadErrorKind::Trust(error) => format!("{name}: {error}"),
        }
    }
}

impl LoadError {
    fn new(path: &Path, kind: impl Into<LoadErrorKind>) -> Self {
        LoadError { path: path.to_owned(), kind: kind.into() }
    }

    fn io(path: &Path, error: io::Error) -> Self {
        LoadError::new(path, FileError::Io(error))
    }

    /// Returns the error as one line that names the file or folder.
    pub fn about(&self) -> String {
        self.kind.about(&self.path)
    }
}

pub(super) fn registry<P: AsRef<Path>>(paths: &[P]) -> Result<Registry, LoadError> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(|e| LoadError::io(path, e))?;
        if metadata.is_dir() {
            // The folder is checked too, because a user who can write to it can add a trust file.
            check_writers(path, &metadata)?;
            for file in folder(path)? {
                files.push(TrustFile::load(&file)?);
            }
        } else {
            files.push(TrustFile::load(path)?);
        }
    }
    Ok(Registry::merge(files))
}

impl TrustFile {
    /// Reads the trust file at `path`.
    ///
    /// # Errors
    /// [`LoadError`]. A file that other users can write is refused. A file that its group can write
    /// gets a note.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let (bytes, metadata) =
            file_io::read_regular(path, MAX_BYTES).map_err(|e| LoadError::new(path, e))?;
        let note = check_writers(path, &metadata)?;
        let file = TrustFile::parse(&bytes).map_err(|e| LoadError::new(path, e))?;
        let mut file = file.at(path, note);
        file.sha256 = Some(Sha256::digest(&bytes).into());
        Ok(file)
    }
}

/// Refuses a file that other users can write. Returns a note for a file that its group can write.
pub(super) fn check_writers(
    path: &Path,
    metadata: &fs::Metadata,
) -> Result<Option<String>, LoadError> {
    match file_io::mode_of(metadata) {
        Some(mode) if mode & 0o002 != 0 => {
            Err(LoadError::new(path, LoadErrorKind::OthersCanWrite { mode }))
        }
        Some(mode) if mode & 0o020 != 0 => {
            Ok(Some(format!("its group can write it (mode {mode:04o})")))
        }
        _ => Ok(None),
    }
}

/// Returns true if a file of this name in a folder of trust files is read.
pub(in crate::key) fn has_trust_file_name(file: &Path) -> bool {
    let hidden = file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    !hidden && file.extension().is_some_and(|e| e == "json" || e == "jwk")
}

/// Returns the trust files of a folder, sorted by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| LoadError::io(path, e))? {
        let file = entry.map_err(|e| LoadError::io(path, e))?.path();
        if !has_trust_file_name(&file) {
            continue;
        }
        // Links are followed, because configuration that is mounted into a container consists of
        // links. A dangling link is an error: its target may have contained a revocation.
        if fs::metadata(&file).map_err(|e| LoadError::io(&file, e))?.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(LoadError::new(path, LoadErrorKind::NoFiles));
    }
    files.sort();
    Ok(files)
}
