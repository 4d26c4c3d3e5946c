//! The writer of a log: it appends entries in batches, stores hashes, begins new files by size and
//! day, and signs checkpoints.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoint;
use super::entry::Closed;
use super::entry_batch::EntryBatch;
use super::fault::LogError;
use super::files::FileId;
use super::folder::Folder;
use super::log_key::LogKey;
use super::note::NoteKey;
use super::record::Record;
use super::recover;
use super::recovery::Recovery;
use super::state::{LogState, OpenSegment, WAITING_HASHES, day_of, remember, show};
use crate::clock::{Clock, Timestamp};

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The entry is on the disk. One `fdatasync` serves all entries that wait for it together. No
    /// crash of the process or the machine loses an acknowledged entry.
    #[default]
    Batch,
    /// The operating system has the entry, and the next checkpoint forces it to the disk. A crash
    /// of the process loses nothing; a crash of the machine loses the entries since that
    /// checkpoint.
    Checkpoint,
}

/// The settings for writing a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogSettings {
    /// Whether an entry counts as written once it is on the disk, or earlier.
    pub durability: Durability,
    /// Size in bytes after which a new file of entries is begun; 64 MiB by default. Each day (UTC)
    /// also begins a new file.
    pub file_size: u64,
    /// Number of entries after which a checkpoint is due; 1,000 by default.
    pub every: u64,
    /// Minimum time between two checkpoints that are due by the number of entries; 1 second by
    /// default. A checkpoint waits for the disk four times, so that a busy log would otherwise
    /// write few entries between two checkpoints.
    pub pause: Duration,
    /// Time after which a checkpoint is due if there is a new entry; 60 seconds by default.
    pub interval: Duration,
    /// Maximum time for writing an entry; 5 seconds by default.
    pub budget: Duration,
    /// Maximum size of the file of refused requests, in bytes; 16 MiB by default. A full file is
    /// renamed to the older file, which replaces the previous older file.
    pub refused_size: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings {
            durability: Durability::default(),
            file_size: 64 * 1024 * 1024,
            every: 1_000,
            pause: Duration::from_secs(1),
            interval: Duration::from_secs(60),
            budget: Duration::from_secs(5),
            refused_size: 16 * 1024 * 1024,
        }
    }
}

/// Pause after the key failed to sign. Each attempt may start a program or ask a hardware token.
const SIGN_PAUSE: Duration = Duration::from_secs(2);

/// Writes one log. While this value exists, no other process can write the log.
pub(super) struct LogWriter {
    folder: Folder,
    key: LogKey,
    settings: LogSettings,
    clock: Arc<dyn Clock>,
    /// The state of the open files; `None` after a failed write whose bytes could not be removed.
    /// The files are then read again before the next write.
    state: Option<LogState>,
    last_checkpoint: Instant,
    /// When this writer last signed a checkpoint, or was opened.
    signed_at: Timestamp,
    /// What lay behind the last checkpoint when this writer was opened.
    recovery: Option<Recovery>,
    /// When the key last failed to sign, and the error; `None` after it has signed.
    unsigned: Option<(Instant, LogError)>,
    /// The locked folder of the log.
    _lock: File,
    folder_id: FileId,
}

impl LogWriter {
    pub(super) fn open(
        folder: Folder,
        key: LogKey,
        settings: LogSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        folder.check()?;
        let lock = folder.lock()?;
        let folder_id = FileId::of(&lock).map_err(|e| LogError::io("read", folder.path(), e))?;
        let state = recover::open(&folder, &key)?;
        if let Some(successor) = state.successor {
            return Err(LogError::Followed { path: folder.path().to_owned(), successor });
        }
        let recovery = state.recovery;
        let (state, unsigned) = (Some(state), None);
        let (last_checkpoint, signed_at) = (Instant::now(), clock.now());
        Ok(LogWriter {
            folder,
            key,
            settings,
            clock,
            state,
            last_checkpoint,
            signed_at,
            recovery,
            unsigned,
            _lock: lock,
            folder_id,
        })
    }

    /// Returns the number of entries that the last checkpoint covers, and when this writer signed
    /// it. If this writer has signed none, the time is that of opening it.
    pub(super) fn last_checkpoint(&self) -> (u64, Timestamp) {
        (self.state.as_ref().map_or(0, |state| state.checkpointed), self.signed_at)
    }

    /// Returns what lay behind the last checkpoint when the log was opened.
    pub(super) fn recovery(&self) -> Option<Recovery> {
        self.recovery
    }

    /// Records what lay behind the last checkpoint when the files were read, unless an entry has
    /// recorded it. Only after this may a checkpoint sign it.
    pub(super) fn record_recovery(&mut self) -> Result<(), LogError> {
        match self.state.as_ref().and_then(|state| state.recovery) {
            Some(_) => self.append_batch(std::iter::empty()).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the number of entries in the log.
    pub(super) fn size(&self) -> u64 {
        self.state.as_ref().map_or(0, LogState::size)
    }

    /// Hashes the entries that were appended, if they are not hashed yet. The next batch and the
    /// next checkpoint do the same.
    pub(super) fn hash_entries(&mut self) {
        self.state.iter_mut().for_each(LogState::hash_entries);
    }

    /// Appends the records in one write; returns the numbers of their entries.
    pub(super) fn append<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record> + Clone,
    ) -> Result<Vec<u64>, LogError> {
        // A writer whose key cannot sign checkpoints must not append more entries.
        if self.is_checkpoint_due() {
            self.checkpoint()?;
        }
        self.append_batch(records)
    }

    fn append_batch<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Vec<u64>, LogError> {
        self.try_append(records).inspect_err(|error| {
            // The bytes of the failed write are removed, unless another process writes the log. If
            // that fails too, the files are read again before the next write.
            if let Some(state) = self.state.take()
                && !matches!(error, LogError::Changed { .. })
                && state.undo().is_some()
            {
                self.state = Some(state);
            }
        })
    }

    fn try_append<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Vec<u64>, LogError> {
        let now = self.clock.now();
        self.check_files()?;
        self.turn_over(now)?;
        let (folder, durability) = (&self.folder, self.settings.durability);
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(recover::open(folder, &self.key)?),
        };
        let mut batch = EntryBatch::new(state);
        if state.tree.waiting.len() >= WAITING_HASHES {
            // On the disk, too, there are never more hashes than entries.
            state.segment.as_mut().map_or(Ok(()), OpenSegment::sync)?;
            state.tree.write()?;
        }
        if let Some(recovery) = state.recovery {
            batch.add(&recovery.record(), now)?;
        }
        // If entry times are ahead of the machine's clock, each new file states the offset again,
        // because an auditor may read a file without the files before it.
        if state.offset != 0 && state.segment.as_ref().is_none_or(|segment| segment.length == 0) {
            batch.say_offset(state.time.max(now))?;
        }
        let mut numbers = Vec::new();
        for record in records {
            numbers.push(batch.add(record, now)?);
        }
        let segment = state.segment(folder)?;
        let fresh = segment.length == 0;
        if fresh {
            segment.day = day_of(batch.first_time.unwrap_or(now));
        }
        let wrong = |e| LogError::io("write", &segment.path, e);
        segment.file.write_all(&batch.lines.bytes).map_err(wrong)?;
        segment.unsynced = true;
        if durability == Durability::Batch {
            segment.sync()?;
        }
        if fresh {
            // The name of the new file must be as durable as the entries in it.
            folder.sync()?;
        }
        segment.length += u64::try_from(batch.lines.bytes.len()).unwrap_or(u64::MAX);
        (state.tree.unhashed, state.time, state.offset) = (batch.lines, batch.time, batch.offset);
        (state.rules, state.recovery) = (batch.rules, None);
        Ok(numbers)
    }

    /// Checks that the folder and its files are still those that were opened.
    fn check_files(&self) -> Result<(), LogError> {
        let path = self.folder.path();
        match self.folder_id.length_at(path) {
            Ok(Some(_)) => {}
            _ => return Err(LogError::changed(path, "its folder was exchanged")),
        }
        self.state.as_ref().map_or(Ok(()), |state| state.check_files(&self.folder))
    }

    /// Closes the log with a last entry that names its successor. Returns the last checkpoint.
    pub(super) fn end(&mut self, successor: &NoteKey) -> Result<Vec<u8>, LogError> {
        let successor = successor.to_string();
        self.append(std::iter::once(&Record::event("closed", &Closed { successor })))?;
        self.checkpoint()?;
        let note = self.folder.latest()?;
        note.ok_or_else(|| LogError::changed(self.folder.path(), "its checkpoint was removed"))
    }

    /// Checks that entries could be written now, without writing one.
    pub(super) fn probe(&mut self) -> Result<(), LogError> {
        if self.is_checkpoint_due() {
            self.checkpoint()?;
        }
        self.check_files()?;
        if self.state.is_none() {
            self.state = Some(recover::open(&self.folder, &self.key)?);
        }
        self.turn_over(self.clock.now())?;
        if let Some(state) = &mut self.state {
            state.segment(&self.folder)?;
        }
        self.folder.probe()
    }

    /// Finishes the current file if it is large enough or from an earlier day, after a checkpoint
    /// that covers all its entries.
    fn turn_over(&mut self, now: Timestamp) -> Result<(), LogError> {
        let full = self.state.as_ref().is_some_and(|state| {
            let day = day_of(state.time.max(now));
            let recorded = state.recovery.is_none();
            let full = |s: &OpenSegment| s.length >= self.settings.file_size || s.day != day;
            state.segment.as_ref().is_some_and(|s| recorded && s.length > 0 && full(s))
        });
        if full {
            self.checkpoint()?;
            if let Some(state) = &mut self.state {
                state.segment = None;
            }
        }
        Ok(())
    }

    /// Returns true if enough entries were written, or enough time has passed, since the last
    /// checkpoint.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        let Some(state) = &self.state else { return false };
        let new = state.size().saturating_sub(state.checkpointed);
        let elapsed = self.last_checkpoint.elapsed();
        (new >= self.settings.every && elapsed >= self.settings.pause)
            || (new > 0 && elapsed >= self.settings.interval)
    }

    /// Signs a checkpoint that covers all written entries, after they are on the disk.
    pub(super) fn checkpoint(&mut self) -> Result<(), LogError> {
        self.record_recovery()?;
        let Some(state) = &mut self.state else { return Ok(()) };
        state.hash_entries();
        let size = state.size();
        if size == state.checkpointed {
            self.last_checkpoint = Instant::now();
            return Ok(());
        }
        if let Some((since, error)) = &self.unsigned
            && since.elapsed() < SIGN_PAUSE
        {
            return Err(error.clone());
        }
        state.check_files(&self.folder)?;
        if let Some(segment) = &mut state.segment {
            segment.sync()?;
        }
        state.tree.write()?;
        state.tree.file.sync_data().map_err(|e| LogError::io("write", &state.tree.path, e))?;
        let origin = self.key.note.name().to_owned();
        let checkpoint = Checkpoint { origin, size, root: state.frontier.root() };
        let signed = checkpoint.sign(&self.key.note, &*self.key.secret).map_err(LogError::from);
        self.unsigned = signed.as_ref().err().map(|error| (Instant::now(), error.clone()));
        let note = signed?;
        remember(&self.folder, &note)?;
        show(&self.folder, note.as_bytes())?;
        state.checkpointed = size;
        (self.last_checkpoint, self.signed_at) = (Instant::now(), self.clock.now());
        Ok(())
    }
}
