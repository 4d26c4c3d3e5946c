//! Checkpoints (C2SP `tlog-checkpoint`): the number of entries in a log and the root of its tree,
//! signed by the log's key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{Note, NoteKey};
use super::tree::Hash;
use crate::key::{Sign, SignError};

/// The number of entries of a log and the root hash of its tree, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, which is also the name of its key.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree over all entries.
    pub root: Hash,
}

/// Why a note is not a checkpoint of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The bytes are not a signed note.
    #[error(transparent)]
    Note(#[from] super::note::NoteError),
    /// The text is not three lines of origin, size and root.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// The checkpoint belongs to another log.
    #[error("a checkpoint of the log {found:?}, not of {wanted:?}")]
    Origin {
        /// The origin in the checkpoint's note.
        found: String,
        /// The name of the pinned key.
        wanted: String,
    },
    /// The note has no valid signature of the log's key.
    #[error("not signed by the key of the log {0:?}")]
    Signature(String),
}

impl Checkpoint {
    /// Parses the text of a note. The signatures are not verified.
    ///
    /// # Errors
    /// [`CheckpointError::Form`] if the text has another form. Lines after the third are extensions
    /// of the format, and are ignored.
    pub fn of(note: &Note) -> Result<Self, CheckpointError> {
        let form = CheckpointError::Form;
        let mut lines = note.text().lines();
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(form("no origin"))?;
        let digits = lines.next().unwrap_or_default();
        let size = match digits.parse::<u64>() {
            // A number is accepted only without sign and leading zeros.
            Ok(size) if size.to_string() == digits => size,
            _ => return Err(form("the size is not a number")),
        };
        let root = STANDARD.decode(lines.next().unwrap_or_default()).unwrap_or_default();
        let root = root.try_into().map_err(|_| form("the root is not a SHA-256 hash"))?;
        if lines.any(str::is_empty) {
            return Err(form("an empty line among the extensions"));
        }
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }

    /// Parses a checkpoint, and verifies that `key` signed it.
    ///
    /// # Errors
    /// [`CheckpointError`] if the bytes are not a checkpoint that `key` signed.
    pub fn signed(bytes: &[u8], key: &NoteKey) -> Result<(Self, Note), CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::of(&note)?;
        if checkpoint.origin != key.name() {
            let (found, wanted) = (checkpoint.origin, key.name().to_owned());
            return Err(CheckpointError::Origin { found, wanted });
        }
        match note.signed_by(key) {
            Some(_) => Ok((checkpoint, note)),
            None => Err(CheckpointError::Signature(key.name().to_owned())),
        }
    }

    /// Signs the checkpoint, and returns the signed note as text.
    ///
    /// # Errors
    /// [`SignError`] if `key` cannot sign.
    pub fn sign(&self, as_key: &NoteKey, key: &dyn Sign) -> Result<String, SignError> {
        Note::sign(self.to_string(), as_key, key)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }
}
