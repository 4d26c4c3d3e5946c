//! What is known of an open log: the edge of its tree, its newest file of entries, and the hashes
//! that are still to be written.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use super::fault::LogError;
use super::folder::{self, Folder};
use super::tree::{self, Edge, HASH};
use crate::clock::Timestamp;
use crate::key::store::{self, StoreError};

/// A file of entries that is written to.
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) day: i64,
}

/// The file of hashes, and those that are still to be written to it: with the next checkpoint, by
/// whose word alone they count, or when there are many. Until then the entries have them.
pub(super) struct Hashes {
    pub(super) file: File,
    pub(super) path: PathBuf,
    length: u64,
    /// More than `length` may stand in the file.
    torn: bool,
    pub(super) waiting: Vec<u8>,
}

/// Bytes of hashes that wait.
pub(super) const WAITING_HASHES: usize = 256 * 1024;

/// What is known of an open log.
pub(super) struct State {
    pub(super) edge: Edge,
    /// Of the last entry.
    pub(super) time: Timestamp,
    pub(super) segment: Option<Segment>,
    pub(super) tree: Hashes,
    /// Entries under the latest checkpoint.
    pub(super) checkpointed: u64,
}

/// The day that a file of entries is for.
pub(super) fn day_of(time: Timestamp) -> i64 {
    time.unix().div_euclid(24 * 60 * 60)
}

impl State {
    /// The file for the next entry, which is made where there is none.
    pub(super) fn segment(&mut self, folder: &Folder) -> Result<&mut Segment, LogError> {
        match &mut self.segment {
            Some(segment) => Ok(segment),
            none => {
                let path = folder.segment(self.edge.size());
                let file = folder::open(&path, OpenOptions::new().append(true).create_new(true))?;
                Ok(none.insert(Segment { file, path, length: 0, day: i64::MIN }))
            }
        }
    }

    /// Takes back what a failed append has written; nothing if that fails too.
    pub(super) fn undo(&self) -> Option<()> {
        if let Some(segment) = &self.segment {
            segment.file.set_len(segment.length).ok()?;
        }
        Some(())
    }
}

impl Hashes {
    /// The file at `path`, which ends with the hashes of `size` entries.
    pub(super) fn new(file: File, path: PathBuf, size: u64) -> Self {
        let length = tree::stored(size).saturating_mul(HASH);
        Hashes { file, path, length, torn: false, waiting: Vec::new() }
    }

    /// Writes what waits.
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

/// Makes a checkpoint the latest one.
pub(super) fn show(folder: &Folder, note: &[u8]) -> Result<(), LogError> {
    let path = folder.checkpoint();
    store::replace(&path, note, 0o600, None).map_err(|error| match error {
        StoreError::Io(e) => LogError::io("write", &path, e),
        other => LogError::io("write", &path, std::io::Error::other(other)),
    })
}

/// Puts a checkpoint behind the earlier ones.
pub(super) fn remember(folder: &Folder, note: &str) -> Result<(), LogError> {
    let path = folder.checkpoints();
    let wrong = |e| LogError::io("write", &path, e);
    let mut file = folder::open(&path, OpenOptions::new().append(true).create(true))?;
    let length = file.metadata().map_err(wrong)?.len();
    file.write_all(note.as_bytes()).and_then(|()| file.sync_data()).map_err(|e| {
        // Half of one would make those behind it unreadable.
        let _ = file.set_len(length);
        wrong(e)
    })
}
