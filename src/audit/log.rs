//! An open log: a handle that many requests share, and the thread that writes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::entry_queue::{self, EntryQueue, EntryWork};
use super::fault::LogError;
use super::folder::{Folder, LogKey};
use super::note::NoteKey;
use super::record::{Because, Record, Verdict};
use super::refused::Refused;
use super::writer::{LogWriter, Settings};
use crate::block_on::block_on;
use crate::clock::Clock;
use crate::key::Sign;
use crate::message::Head;
use crate::verify::Statement;
use crate::work_queue::{QueueWorker, QueuedTask, Taken, lock};

/// Interval at which an idle writer checks if a checkpoint is due.
const CHECKPOINT_CHECK: Duration = Duration::from_millis(500);
/// Interval at which the writer retries after a failed write.
const RETRY: Duration = Duration::from_secs(2);

/// A log that this process writes. Clones are the same log; when the last one is dropped, what
/// waits is written, and a last checkpoint with it.
#[derive(Clone)]
pub struct Log {
    shared: Arc<SharedLog>,
}

struct SharedLog {
    queue: Arc<EntryQueue>,
    refused: Arc<Mutex<Refused>>,
    numbers: Arc<LogNumbers>,
    key: LogKey,
    clock: Arc<dyn Clock>,
    path: PathBuf,
}

/// Counters of one log.
#[derive(Debug, Default)]
struct LogNumbers {
    size: AtomicU64,
    gaps: Arc<AtomicU64>,
    /// Requests whose signature held, that were refused and got no entry.
    unsaid: Arc<AtomicU64>,
    /// Requests without a valid signature that were not even noted.
    refusals_not_logged: AtomicU64,
    /// The reason why no more entries are appended.
    halted: OnceLock<LogError>,
}

impl Log {
    /// Opens the log in `folder` for writing; only one process can have it open.
    ///
    /// # Errors
    /// [`LogError`]: no log, another writer, changed files, or files that others can change.
    pub fn open(
        folder: Folder,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let key = folder.key()?;
        let refused = Refused::new(folder.clone(), settings.refused_size);
        let refused = Arc::new(Mutex::new(refused));
        let queue = Arc::new(entry_queue::new(settings.budget));
        let numbers = Arc::new(LogNumbers::default());
        let interval = settings.interval;
        let path = folder.path().to_owned();
        let writer = LogWriter::open(folder, key.clone(), settings, Arc::clone(&clock))?;
        numbers.size.store(writer.size(), Ordering::Relaxed);
        let writing = LogWriting {
            refused: Arc::clone(&refused),
            numbers: Arc::clone(&numbers),
            interval,
            counted: Instant::now(),
            tried: Instant::now(),
            told: 0,
        };
        let started = queue.start("audit", move |worker| writing.run(worker, writer));
        started.map_err(|error| LogError::io("start a thread for", &path, error))?;
        Ok(Log { shared: Arc::new(SharedLog { queue, refused, numbers, key, clock, path }) })
    }

    /// Appends an entry, and waits without blocking until it is safely written. Returns its number.
    ///
    /// # Errors
    /// [`LogError`]; then it is uncertain if the log has the entry, and the request must not be
    /// executed.
    pub async fn append(&self, record: Record) -> Result<u64, LogError> {
        self.check()?;
        entry_queue::put(&self.shared.queue, record)?.await
    }

    /// Appends an entry like [`Log::append`], but blocks this thread.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_blocking(&self, record: Record) -> Result<u64, LogError> {
        block_on(self.append(record))
    }

    /// Appends nothing more from here on, because witnesses have signed another history of this
    /// log: every further entry is an error.
    pub fn halt(&self, why: impl Into<String>) {
        let (path, why) = (self.shared.path.clone(), why.into());
        // The first reason stays.
        let _ = self.shared.numbers.halted.set(LogError::Contradicted { path, why });
    }

    fn check(&self) -> Result<(), LogError> {
        self.shared.numbers.halted.get().cloned().map_or(Ok(()), Err)
    }

    /// Writes what waits and a last checkpoint, and ends. What comes later is an error.
    pub fn close(&self) {
        self.shared.queue.close();
    }

    /// Appends an entry without waiting. A failure counts as a gap if its request `passes`.
    pub(super) fn post(&self, record: Record, passes: bool) {
        let numbers = &self.shared.numbers;
        let missed = if passes { &numbers.gaps } else { &numbers.unsaid };
        match self.check() {
            Ok(()) => entry_queue::post(&self.shared.queue, record, missed),
            Err(_) => _ = missed.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Counts an entry that could not even be made.
    pub(super) fn gap(&self) {
        self.shared.numbers.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a refused request whose sender is not known.
    pub(super) fn note_refused(
        &self,
        verdict: Verdict,
        because: Because<'_>,
        head: Option<&Head<'_>>,
        statement: Option<&Statement>,
    ) {
        let now = self.shared.clock.now();
        let noted = lock(&self.shared.refused).note(now, verdict, because, head, statement);
        if !noted {
            self.shared.numbers.refusals_not_logged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the public half of the log's key.
    pub fn key(&self) -> &NoteKey {
        &self.shared.key.note
    }

    pub(super) fn secret(&self) -> &dyn Sign {
        &*self.shared.key.secret
    }

    /// Returns the number of entries in the log.
    pub fn size(&self) -> u64 {
        self.shared.numbers.size.load(Ordering::Relaxed)
    }

    /// Returns the number of entries that were not written, or not in time. Their requests may have
    /// been forwarded (`best-effort`) or refused (`required`).
    pub fn failed(&self) -> u64 {
        self.shared.queue.work().failed()
    }

    /// Returns the reason why the last entry was not written; `None` after a later success. An idle
    /// writer checks it every few seconds too.
    pub fn trouble(&self) -> Option<LogError> {
        self.check().err().or_else(|| self.shared.queue.work().trouble())
    }

    /// Returns the number of refused requests that were only counted: requests of strangers and
    /// repeated requests, beyond the limit of the file of refused requests.
    pub fn refusals_not_logged(&self) -> u64 {
        let numbers = &self.shared.numbers;
        let unsaid = numbers.unsaid.load(Ordering::Relaxed);
        unsaid.saturating_add(numbers.refusals_not_logged.load(Ordering::Relaxed))
    }

    /// Returns the number of requests that were forwarded without an entry, under `best-effort`.
    pub fn gaps(&self) -> u64 {
        self.shared.numbers.gaps.load(Ordering::Relaxed)
    }
}

impl Drop for SharedLog {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("key", &self.shared.key).finish_non_exhaustive()
    }
}

/// The state of the writing thread between batches.
struct LogWriting {
    refused: Arc<Mutex<Refused>>,
    numbers: Arc<LogNumbers>,
    interval: Duration,
    /// The time at which refused requests were last counted in the log.
    counted: Instant,
    /// The time of the last retry after a failed write.
    tried: Instant,
    /// Gaps that the log tells of already.
    told: u64,
}

impl LogWriting {
    /// Writes entries until the log is closed. The files are let go when this returns, before the
    /// log counts as closed.
    fn run(mut self, worker: &mut QueueWorker<EntryWork>, mut writer: LogWriter) {
        loop {
            match worker.take(Some(CHECKPOINT_CHECK)) {
                Taken::Batch(entries) => self.write(worker, &mut writer, &entries),
                // While requests are refused because the log fails, no entry comes that could show
                // that the log works again.
                Taken::Idle if self.tried.elapsed() >= RETRY => {
                    let work = worker.queue().work();
                    if work.trouble().is_some() {
                        work.set_trouble(writer.probe());
                    }
                    self.tried = Instant::now();
                }
                Taken::Idle => {}
                Taken::Closed => break,
            }
            if self.counted.elapsed() >= self.interval {
                self.count(&mut writer);
            }
            if writer.is_checkpoint_due() {
                // A checkpoint that fails here fails again before the next entry, which is then
                // refused.
                let _ = writer.checkpoint();
            }
        }
        self.count(&mut writer);
        let _ = writer.checkpoint();
    }

    /// Writes a batch of entries, and answers each with its number.
    fn write(
        &self,
        worker: &QueueWorker<EntryWork>,
        writer: &mut LogWriter,
        entries: &[Arc<QueuedTask<EntryWork>>],
    ) {
        let numbers = match self.numbers.halted.get() {
            Some(why) => Err(why.clone()),
            None => writer.append(entries.iter().map(|entry| &entry.task.record)),
        };
        self.numbers.size.store(writer.size(), Ordering::Relaxed);
        for (index, entry) in entries.iter().enumerate() {
            let answer = match &numbers {
                Ok(numbers) => numbers.get(index).copied().ok_or(LogError::Closed),
                Err(error) => Err(error.clone()),
            };
            worker.queue().answer(entry, answer);
        }
        // This also runs after a late batch: its requests got the error that the log is slow, and
        // the log may be fast again.
        worker.queue().work().set_trouble(numbers.map(drop));
    }

    /// Writes an entry with the numbers that were counted since the last one.
    fn count(&mut self, writer: &mut LogWriter) {
        self.counted = Instant::now();
        let mut refused = lock(&self.refused);
        let mut counts = std::mem::take(&mut refused.counts);
        drop(refused);
        let gaps = self.numbers.gaps.load(Ordering::Relaxed);
        counts.gaps = gaps.saturating_sub(self.told);
        if counts.seen == 0 && counts.gaps == 0 {
            return;
        }
        if self.numbers.halted.get().is_none()
            && writer.append(std::iter::once(&counts.record())).is_ok()
        {
            self.numbers.size.store(writer.size(), Ordering::Relaxed);
            self.told = gaps;
            return;
        }
        // The count stays, and goes into the next entry.
        counts.gaps = 0;
        lock(&self.refused).counts.add(&counts);
    }
}
