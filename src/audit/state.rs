//! The state of a log that is open for writing: the hashes on the right edge of its tree, its
//! newest file of entries, the entries that are not hashed yet, and the hashes that are not written
//! yet.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use super::fault::LogError;
use super::files::{self, FileId};
use super::folder::Folder;
use super::recovery::Recovery;
use super::tree::{self, Frontier, HASH};
use crate::clock::Timestamp;
use crate::key::file_io::{self, FileError};

/// The file to which entries are appended.
pub(super) struct OpenSegment {
    pub(super) file: File,
    id: FileId,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) day: i64,
    /// Whether the file may have bytes that are not on the disk.
    pub(super) unsynced: bool,
}

impl OpenSegment {
    /// Describes the open file at `path`, whose entries are from `day`.
    pub(super) fn new(file: File, path: PathBuf, length: u64, day: i64) -> Result<Self, LogError> {
        let id = FileId::of(&file).map_err(|e| LogError::io("read", &path, e))?;
        Ok(OpenSegment { file, id, path, length, day, unsynced: false })
    }

    /// Waits until all bytes of the file are on the disk.
    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        if self.unsynced {
            self.file.sync_data().map_err(|e| LogError::io("write", &self.path, e))?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// The file of hashes, the hashes that wait to be written, and the entries that wait to be hashed.
/// Hashes are written with the next checkpoint, or earlier if there are many. If the process ends
/// before that, they can be computed from the entries again.
pub(super) struct HashFile {
    pub(super) file: File,
    id: FileId,
    pub(super) path: PathBuf,
    length: u64,
    /// Whether the file may be longer than `length` after a failed write.
    torn: bool,
    pub(super) waiting: Vec<u8>,
    /// The entries of the last batch, if they are not hashed yet. A request waits only until its
    /// entry counts as written, and the hash is needed only by the next checkpoint. So a batch is
    /// hashed after its requests have stopped waiting.
    pub(super) unhashed: BatchLines,
}

/// Maximum size of the hashes that wait to be written, in bytes.
pub(super) const WAITING_HASHES: usize = 256 * 1024;

/// Maximum memory, in bytes, that is kept for the lines of the next batch.
const KEPT_LINES: usize = 1024 * 1024;

/// The lines of the entries of a batch, each with its line feed.
#[derive(Default)]
pub(super) struct BatchLines {
    pub(super) bytes: Vec<u8>,
    /// Where each line ends in `bytes`.
    pub(super) ends: Vec<usize>,
}

impl BatchLines {
    /// Removes all lines. Their memory is kept for the next ones, unless it is large.
    fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_LINES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.ends.clear();
    }

    /// Returns each line without its line feed.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| {
            let line = self.bytes.get(start..*end).unwrap_or_default();
            line.strip_suffix(b"\n").unwrap_or(line)
        })
    }
}

/// The rules of verification that the last entry about rules states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RulesInForce {
    /// The log has no entry about a request yet, and so none about rules.
    None,
    /// The part of the log that was read does not state the rules.
    Unknown,
    /// The rules, as JSON.
    Known(Vec<u8>),
}

/// The state of a log that is open for writing.
pub(super) struct LogState {
    /// The right edge of the tree of the entries that are hashed.
    pub(super) frontier: Frontier,
    /// The time of the last entry.
    pub(super) time: Timestamp,
    pub(super) segment: Option<OpenSegment>,
    pub(super) tree: HashFile,
    /// The number of entries that the latest checkpoint covers.
    pub(super) checkpointed: u64,
    /// Seconds by which the times of new entries are ahead of the machine's clock, as the last
    /// entry about the clock states.
    pub(super) offset: i64,
    /// The rules that the last entry about rules states.
    pub(super) rules: RulesInForce,
    /// The successor of this log, if its last entry names one.
    pub(super) successor: Option<String>,
    /// What lay behind the latest checkpoint when the files were read, until an entry records it.
    pub(super) recovery: Option<Recovery>,
}

/// Returns the day of `time`, counted in days since 1970. Each day has its own file of entries.
pub(super) fn day_of(time: Timestamp) -> i64 {
    time.unix().div_euclid(24 * 60 * 60)
}

impl LogState {
    /// Returns the number of entries in the log.
    pub(super) fn size(&self) -> u64 {
        let unhashed = u64::try_from(self.tree.unhashed.ends.len()).unwrap_or(u64::MAX);
        self.frontier.size().saturating_add(unhashed)
    }

    /// Hashes the entries that are not hashed yet.
    pub(super) fn hash_entries(&mut self) {
        for line in self.tree.unhashed.iter() {
            let waiting = &mut self.tree.waiting;
            self.frontier.push(tree::leaf(line), |hash| waiting.extend_from_slice(hash));
        }
        self.tree.unhashed.clear();
    }

    /// Returns the file for the next entry, which is created if there is none.
    pub(super) fn segment(&mut self, folder: &Folder) -> Result<&mut OpenSegment, LogError> {
        let size = self.size();
        match &mut self.segment {
            Some(segment) => Ok(segment),
            none => {
                let path = folder.segment(size);
                let file = files::open(&path, OpenOptions::new().append(true).create_new(true))?;
                if !files::lock(&file, &path)? {
                    return Err(LogError::Locked(folder.path().to_owned()));
                }
                Ok(none.insert(OpenSegment::new(file, path, 0, i64::MIN)?))
            }
        }
    }

    /// Checks that the open files are still the files in the folder and that no other process has
    /// written them.
    ///
    /// # Errors
    /// [`LogError::Changed`] if they are not. Then nothing in the files may be modified.
    pub(super) fn check_files(&self, folder: &Folder) -> Result<(), LogError> {
        let tree = (self.tree.id, &self.tree.path, (!self.tree.torn).then_some(self.tree.length));
        let segment = self.segment.as_ref().map(|s| (s.id, &s.path, Some(s.length)));
        for (id, path, length) in std::iter::once(tree).chain(segment) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let why = match id.length_at(path) {
                Ok(Some(found)) if length.is_none_or(|length| length == found) => continue,
                Ok(Some(_)) => "was written to by another process",
                Ok(None) => "was exchanged",
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => "was removed",
                Err(e) => return Err(LogError::io("read", path, e)),
            };
            return Err(LogError::changed(folder.path(), format!("its file {name} {why}")));
        }
        Ok(())
    }

    /// Cuts off the bytes of a failed append; `None` if that fails too.
    pub(super) fn undo(&self) -> Option<()> {
        if let Some(segment) = &self.segment {
            segment.file.set_len(segment.length).ok()?;
        }
        Some(())
    }
}

impl HashFile {
    /// Creates the state for the file at `path`, which has the hashes of `size` entries.
    pub(super) fn new(file: File, path: PathBuf, size: u64) -> Result<Self, LogError> {
        let length = tree::stored(size).saturating_mul(HASH);
        let id = FileId::of(&file).map_err(|e| LogError::io("read", &path, e))?;
        let (waiting, unhashed) = (Vec::new(), BatchLines::default());
        Ok(HashFile { file, id, path, length, torn: false, waiting, unhashed })
    }

    /// Writes the hashes that are not in the file yet.
    pub(super) fn write(&mut self) -> Result<(), LogError> {
        let wrong = |e| LogError::io("write", &self.path, e);
        if self.torn {
            self.file.set_len(self.length).map_err(wrong)?;
        }
        self.torn = true;
        self.file.write_all(&self.waiting).map_err(wrong)?;
        self.torn = false;
        self.length += u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.waiting.clear();
        Ok(())
    }
}

/// Writes the latest checkpoint to its own file.
pub(super) fn show(folder: &Folder, note: &[u8]) -> Result<(), LogError> {
    let path = folder.checkpoint();
    file_io::replace(&path, note, 0o600, None).map_err(|error| match error {
        FileError::Io(e) => LogError::io("write", &path, e),
        other => LogError::io("write", &path, std::io::Error::other(other)),
    })
}

/// Appends a checkpoint to the file of all checkpoints.
pub(super) fn remember(folder: &Folder, note: &str) -> Result<(), LogError> {
    let path = folder.checkpoints();
    let wrong = |e| LogError::io("write", &path, e);
    let mut file = files::open(&path, OpenOptions::new().append(true).create(true))?;
    let length = file.metadata().map_err(wrong)?.len();
    file.write_all(note.as_bytes()).and_then(|()| file.sync_data()).map_err(|e| {
        // The file is cut back to its old length, because a partially written checkpoint would make
        // later ones unreadable.
        let _ = file.set_len(length);
        wrong(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_returned_in_order_and_without_their_line_feeds() {
        let mut lines = BatchLines::default();
        assert_eq!(lines.iter().count(), 0);
        for line in ["{}", "", "{\"n\":2}", "\r"] {
            lines.bytes.extend_from_slice(line.as_bytes());
            lines.bytes.push(b'\n');
            lines.ends.push(lines.bytes.len());
        }
        assert_eq!(lines.iter().collect::<Vec<_>>(), [&b"{}"[..], b"", b"{\"n\":2}", b"\r"]);
        lines.clear();
        assert_eq!((lines.iter().count(), lines.bytes.len()), (0, 0));
    }

    #[test]
    fn the_memory_of_lines_is_kept_unless_it_is_large() {
        let mut lines = BatchLines::default();
        for (size, kept) in [(1_000, true), (KEPT_LINES, true), (KEPT_LINES + 1, false)] {
            lines.bytes = vec![b'x'; size];
            lines.ends = vec![size];
            lines.clear();
            assert_eq!(lines.bytes.capacity() > 0, kept, "{size}");
        }
    }
}
