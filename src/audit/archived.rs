//! Lists the files of entries of a log, in its folder and packed in archives; and reads the notes
//! that replace archived files in the folder.
//!
//! A note is signed by the log's key, as a checkpoint is (C2SP `signed-note`). Its second line,
//! `archived`, makes it invalid as a checkpoint:
//!
//! ```text
//! example.com/audit
//! archived
//! 0 1000
//!
//! — example.com/audit Az3grlgtzPICa5OS8npVmf1Myq/5…
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::fault::LogError;
use super::files;
use super::folder::{Folder, PACKED, numbered};
use super::note::{MAX_NOTE, Note, NoteKey};
use crate::key::{Sign, SignError};

/// A file of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryFile {
    /// The number of the first entry in the file.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    /// True if the file is packed with gzip.
    pub(super) packed: bool,
}

/// Lists the files of entries of a log, in order: those in its folder, and those in the archives
/// that were given with it.
///
/// # Errors
/// [`LogError`] if a folder cannot be read, or if two archives have a file of the same entries.
pub(super) fn entry_files(folder: &Folder) -> Result<Vec<EntryFile>, LogError> {
    let own = folder.segments()?.into_iter();
    let own = own.map(|(first, path)| (first, EntryFile { first, path, packed: false }));
    let mut all: BTreeMap<u64, EntryFile> = own.collect();
    for archive in folder.archives() {
        for (first, path) in numbered(archive, PACKED)? {
            match all.get(&first) {
                Some(other) if other.packed => {
                    let why = format!("{} has the same entries: give one of them", path.display());
                    return Err(LogError::Archive { path: other.path.clone(), why });
                }
                // Both the file and its packed copy exist if archiving ended before it removed the
                // file.
                Some(_) => {}
                None => {
                    all.insert(first, EntryFile { first, path, packed: true });
                }
            }
        }
    }
    Ok(all.into_values().collect())
}

/// The signed text that takes the place of a file of entries in the log's folder after the file was
/// archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArchiveNote {
    /// The number of the first archived entry.
    pub(super) first: u64,
    /// The number of the last archived entry plus 1.
    pub(super) next: u64,
    /// The number of predecessors of this log. Stated only if `first` is 0, because entry 0, which
    /// names the predecessor, is then archived too.
    pub(super) predecessors: u64,
}

impl ArchiveNote {
    /// Signs the note, and returns the signed note as text.
    pub(super) fn sign(self, as_key: &NoteKey, key: &dyn Sign) -> Result<String, SignError> {
        let mut text = format!("{}\narchived\n{} {}\n", as_key.name(), self.first, self.next);
        if self.predecessors > 0 {
            text += &format!("predecessors {}\n", self.predecessors);
        }
        Note::sign(text, as_key, key)
    }

    /// Parses the note about the file that begins with entry `first`, and verifies the signature of
    /// `key`.
    ///
    /// # Errors
    /// A text that says what is wrong, to be printed after the words "its note".
    pub(super) fn read(bytes: &[u8], first: u64, key: &NoteKey) -> Result<Self, String> {
        let note = Note::parse(bytes).map_err(|e| format!("is {e}"))?;
        let form = || "cannot be read".to_owned();
        let mut lines = note.text().lines();
        if lines.next() != Some(key.name()) || note.signed_by(key).is_none() {
            return Err("is not signed by the key of the log".to_owned());
        }
        let number = |text: &str| {
            // Only the spelling that this program writes is accepted: no sign and no leading zeros.
            text.parse::<u64>().ok().filter(|number| number.to_string() == text)
        };
        let kind = lines.next();
        let (from, next) = lines.next().and_then(|line| line.split_once(' ')).ok_or_else(form)?;
        let predecessors = match lines.next() {
            None => Some(0),
            Some(line) => line.strip_prefix("predecessors ").and_then(number),
        };
        match (kind, number(from), number(next), predecessors, lines.next()) {
            (Some("archived"), Some(from), Some(next), Some(predecessors), None)
                if from == first && next > first =>
            {
                Ok(ArchiveNote { first, next, predecessors })
            }
            (Some("archived"), Some(from), Some(_), ..) if from != first => {
                Err(format!("is about the entries from {from} on"))
            }
            _ => Err(form()),
        }
    }
}

/// Reads and verifies the archive note in the file at `path`.
pub(super) fn note_at(path: &Path, first: u64, key: &NoteKey) -> Result<ArchiveNote, String> {
    let bytes = files::small(path, MAX_NOTE).map_err(|e| format!("cannot be read: {e}"))?;
    ArchiveNote::read(&bytes.unwrap_or_default(), first, key)
}

/// Returns the ranges of archived entries whose archive folder the caller did not name. The ranges
/// come from the notes in the log's folder. The notes' signatures are verified only by an audit of
/// the whole log.
///
/// # Errors
/// [`LogError`] if the folder cannot be read.
pub(super) fn not_given(folder: &Folder) -> Result<Vec<Range<u64>>, LogError> {
    let stubs = folder.stubs()?;
    if stubs.is_empty() {
        return Ok(Vec::new());
    }
    let (key, files) = (folder.public()?, entry_files(folder)?);
    let given = |first| files.binary_search_by_key(&first, |file| file.first).is_ok();
    let not_given = stubs.iter().filter(|(first, _)| !given(*first));
    let notes = not_given.filter_map(|(first, path)| note_at(path, *first, &key).ok());
    Ok(notes.map(|note| note.first..note.next).collect())
}

impl Folder {
    /// Returns the number of archived entries whose archive folder the caller did not name.
    ///
    /// # Errors
    /// [`LogError`] if the folder cannot be read.
    pub fn not_given(&self) -> Result<u64, LogError> {
        Ok(not_given(self)?.iter().map(|range| range.end - range.start).sum())
    }

    /// Returns true if entry `n` was moved to an archive that the caller did not name.
    ///
    /// # Errors
    /// [`LogError`] if the folder cannot be read.
    pub fn is_not_given(&self, n: u64) -> Result<bool, LogError> {
        Ok(not_given(self)?.iter().any(|range| range.contains(&n)))
    }
}
