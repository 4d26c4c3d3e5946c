//! Checks a log before it is opened for writing.

use std::fs::{self, File, OpenOptions};

use super::checkpoint::Checkpoint;
use super::entry::{self, Event};
use super::fault::LogError;
use super::files;
use super::folder::Folder;
use super::segment::EntryLines;

impl Folder {
    /// Checks, without changing anything, whether this process could write the log: its key, its
    /// permissions, its files, and the latest checkpoint. Returns true if another process writes
    /// the log at present.
    ///
    /// # Errors
    /// Errors of [`Log::open`](super::Log::open) that would also occur when opening this log.
    pub fn check_writable(&self) -> Result<bool, LogError> {
        self.check()?;
        let key = self.key()?;
        let last = self.segments()?.pop().map(|(_, path)| path);
        let paths = [self.tree(), self.checkpoint(), self.checkpoints()];
        for path in paths.into_iter().chain(last).filter(|path| fs::symlink_metadata(path).is_ok())
        {
            files::open(&path, OpenOptions::new().append(true))?;
        }
        let mut signed = 0;
        if let Some(note) = self.latest()? {
            let changed = |e| LogError::changed(self.path(), format!("its checkpoint is {e}"));
            signed = Checkpoint::signed(&note, key.public()).map_err(changed)?.0.size;
        }
        // Entries after the last checkpoint that close the log would be cut off when the log is
        // opened, so they do not count here.
        if let Some(Event::Closed(closed)) = last_line(self)?
            .as_deref()
            .and_then(|line| entry::parse(line).ok())
            .filter(|entry| entry.n < signed)
            .map(|entry| entry.event)
        {
            let (path, successor) = (self.path().to_owned(), closed.successor);
            return Err(LogError::Followed { path, successor });
        }
        let folder = File::open(self.path()).map_err(|e| LogError::io("read", self.path(), e))?;
        match folder.try_lock_shared() {
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(e)) => Err(LogError::io("lock", self.path(), e)),
            Ok(()) => Ok(false),
        }
    }
}

/// Returns the last complete line of the entries in the folder.
fn last_line(folder: &Folder) -> Result<Option<Vec<u8>>, LogError> {
    for (first, path) in folder.segments()?.into_iter().rev() {
        let mut last = None;
        for line in EntryLines::open(&path, first)? {
            last = Some(line?).filter(|line| line.whole).or(last);
        }
        if let Some(line) = last {
            return Ok(Some(line.bytes));
        }
    }
    Ok(None)
}
