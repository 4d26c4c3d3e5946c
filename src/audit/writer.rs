//! The one writer of a log: entries in batches, hashes, files by size and day, checkpoints.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoint;
use super::fault::{LogError, MAX_LINE};
use super::folder::{Folder, LogKey};
use super::record::Record;
use super::recover;
use super::state::{Segment, State, WAITING_HASHES, day_of, remember, show};
use super::tree;
use crate::clock::{Clock, Timestamp};

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// When it is on the disk: one `fdatasync` for all entries that wait for it together. No end
    /// of the process or the machine takes an entry back that was acknowledged.
    #[default]
    Batch,
    /// When the operating system has it; it is forced to the disk with the next checkpoint. An end
    /// of the process takes nothing back, one of the machine what came since that checkpoint.
    Checkpoint,
}

/// How a log is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// When an entry counts as written.
    pub sync: Sync,
    /// Bytes after which a file of entries is followed by the next; 64 MiB by default. Each day
    /// (UTC) begins a file too.
    pub file_size: u64,
    /// Entries after which a checkpoint is due; 1,000 by default.
    pub every: u64,
    /// Time after which one is due if there was any entry; 60 seconds by default.
    pub interval: Duration,
    /// How long an entry may wait to be written; 5 seconds by default.
    pub budget: Duration,
    /// Bytes of the file of refused requests, of which one older one is kept; 16 MiB by default.
    pub refused_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sync: Sync::default(),
            file_size: 64 * 1024 * 1024,
            every: 1_000,
            interval: Duration::from_secs(60),
            budget: Duration::from_secs(5),
            refused_size: 16 * 1024 * 1024,
        }
    }
}

/// Writes one log; nobody else does while it lives.
pub(super) struct Writer {
    folder: Folder,
    key: LogKey,
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// None after a failure that left the files in doubt: then all is read again.
    state: Option<State>,
    last_checkpoint: Instant,
    _lock: File,
}

impl Writer {
    pub(super) fn open(
        folder: Folder,
        key: LogKey,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        folder.check()?;
        let lock = folder.lock()?;
        let state = Some(recover::open(&folder, &key)?);
        let last_checkpoint = Instant::now();
        Ok(Writer { folder, key, settings, clock, state, last_checkpoint, _lock: lock })
    }

    /// Entries in the log.
    pub(super) fn size(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.edge.size())
    }

    /// Appends the records in one go; gives the number of the first.
    pub(super) fn append<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record> + Clone,
    ) -> Result<u64, LogError> {
        // Whoever cannot vouch for what is written must not go on to write.
        if self.is_checkpoint_due() {
            self.checkpoint()?;
        }
        self.try_append(records).inspect_err(|_| {
            // Cut off what may have been written of it. If not even that works, the files are
            // read again before the next try.
            if let Some(state) = self.state.take()
                && state.undo().is_some()
            {
                self.state = Some(state);
            }
        })
    }

    fn try_append<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<u64, LogError> {
        let now = self.clock.now();
        self.turn_over(now)?;
        let (folder, sync) = (&self.folder, self.settings.sync);
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(recover::open(folder, &self.key)?),
        };
        if state.tree.waiting.len() >= WAITING_HASHES {
            state.tree.write()?;
        }
        let time = state.time.max(now);
        let stamp = time.to_string();
        let (mut lines, mut hashes) = (Vec::with_capacity(4096), Vec::with_capacity(256));
        let (mut edge, first) = (state.edge.clone(), state.edge.size());
        for record in records {
            let start = lines.len();
            record.line(edge.size(), &stamp, &mut lines);
            let line = lines.get(start..lines.len().saturating_sub(1)).unwrap_or_default();
            if line.len() >= MAX_LINE {
                return Err(LogError::TooLarge(line.len()));
            }
            edge.push(tree::leaf(line), |hash| hashes.extend_from_slice(hash));
        }
        let segment = state.segment(folder)?;
        let fresh = segment.length == 0;
        if fresh {
            segment.day = day_of(time);
        }
        let wrong = |e| LogError::io("write", &segment.path, e);
        segment.file.write_all(&lines).map_err(wrong)?;
        if sync == Sync::Batch {
            segment.file.sync_data().map_err(wrong)?;
        }
        if fresh {
            // The name has to last as long as what stands under it.
            folder.sync()?;
        }
        segment.length += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        state.tree.waiting.append(&mut hashes);
        (state.edge, state.time) = (edge, time);
        Ok(first)
    }

    /// Whether entries could be written now, without writing one.
    pub(super) fn probe(&mut self) -> Result<(), LogError> {
        if self.is_checkpoint_due() {
            self.checkpoint()?;
        }
        if self.state.is_none() {
            self.state = Some(recover::open(&self.folder, &self.key)?);
        }
        self.turn_over(self.clock.now())?;
        if let Some(state) = &mut self.state {
            state.segment(&self.folder)?;
        }
        self.folder.probe()
    }

    /// Ends a file of entries that is large enough, or of another day, behind a checkpoint over
    /// all that it holds.
    fn turn_over(&mut self, now: Timestamp) -> Result<(), LogError> {
        let full = self.state.as_ref().is_some_and(|state| {
            let day = day_of(state.time.max(now));
            let full = |s: &Segment| s.length >= self.settings.file_size || s.day != day;
            state.segment.as_ref().is_some_and(|s| s.length > 0 && full(s))
        });
        if full {
            self.checkpoint()?;
            if let Some(state) = &mut self.state {
                state.segment = None;
            }
        }
        Ok(())
    }

    /// Whether enough has come, or enough time has passed, since the last checkpoint.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        let Some(state) = &self.state else { return false };
        let new = state.edge.size().saturating_sub(state.checkpointed);
        new >= self.settings.every
            || (new > 0 && self.last_checkpoint.elapsed() >= self.settings.interval)
    }

    /// Signs what is written, once it is on the disk.
    pub(super) fn checkpoint(&mut self) -> Result<(), LogError> {
        let Some(state) = &mut self.state else { return Ok(()) };
        let size = state.edge.size();
        if size == state.checkpointed {
            self.last_checkpoint = Instant::now();
            return Ok(());
        }
        if let Some(segment) = &state.segment {
            let wrong = |e| LogError::io("write", &segment.path, e);
            segment.file.sync_data().map_err(wrong)?;
        }
        state.tree.write()?;
        state.tree.file.sync_data().map_err(|e| LogError::io("write", &state.tree.path, e))?;
        let origin = self.key.note.name().to_owned();
        let checkpoint = Checkpoint { origin, size, root: state.edge.root() };
        let note = checkpoint.sign(&self.key.note, &*self.key.secret)?;
        remember(&self.folder, &note)?;
        show(&self.folder, note.as_bytes())?;
        state.checkpointed = size;
        self.last_checkpoint = Instant::now();
        Ok(())
    }
}
