//! An open audit log: a handle that many requests share, and the thread that writes the entries.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::entry_queue::{self, EntryQueue, EntryWork};
use super::fault::LogError;
use super::folder::Folder;
use super::note::NoteKey;
use super::record::{Record, RecordedRefusal, Verdict};
use super::recovery::Recovery;
use super::redact::SaltSecret;
use super::refused::RefusalFile;
use super::writer::{LogSettings, LogWriter};
use crate::block_on::block_on;
use crate::clock::{Clock, Timestamp};
use crate::message::Head;
use crate::verify::Statement;
use crate::work_queue::{QueueWorker, QueuedTask, Taken, lock};

/// How often a writer without new entries checks whether a checkpoint is due.
const CHECKPOINT_CHECK: Duration = Duration::from_millis(500);
/// How often the writer retries after a failed write.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A log that this process writes. Clones are handles on the same log. When the last clone is
/// dropped, the waiting entries and a last checkpoint are written.
#[derive(Clone)]
pub struct Log {
    shared: Arc<SharedLog>,
}

struct SharedLog {
    queue: Arc<EntryQueue>,
    refused: Arc<Mutex<RefusalFile>>,
    counters: Arc<LogCounters>,
    key: NoteKey,
    salts: SaltSecret,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    recovery: Option<Recovery>,
}

/// Counters of one log.
#[derive(Debug, Default)]
struct LogCounters {
    size: AtomicU64,
    gaps: Arc<AtomicU64>,
    /// Number of requests with a valid signature that were refused and whose entry was lost.
    refusals_without_entry: Arc<AtomicU64>,
    /// Number of refused requests without a valid signature that could not be written to the
    /// separate file of refused requests.
    refusals_not_logged: AtomicU64,
    /// Number of entries that the last checkpoint covers.
    checkpointed: AtomicU64,
    /// When the last checkpoint was signed, in seconds since 1970.
    checkpoint_time: AtomicI64,
    /// The error after which no more entries are appended.
    halted: OnceLock<LogError>,
}

impl LogCounters {
    fn note_checkpoint(&self, writer: &LogWriter) {
        let (entries, time) = writer.last_checkpoint();
        self.checkpointed.store(entries, Ordering::Relaxed);
        self.checkpoint_time.store(time.unix(), Ordering::Relaxed);
    }
}

impl Log {
    /// Opens the log in `folder` for writing. Only one process can have a log open for writing. The
    /// log's key makes one test signature, so that a key in a hardware token or behind an external
    /// program that fails is noticed before the first request.
    ///
    /// # Errors
    /// [`LogError`] if there is no log, if another process writes it, if its files were changed, if
    /// other users can change them, or if its key does not sign.
    pub fn open(
        folder: Folder,
        settings: LogSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let key = folder.key()?;
        let refused = RefusalFile::new(folder.clone(), settings.refused_size);
        let refused = Arc::new(Mutex::new(refused));
        let queue = Arc::new(entry_queue::new(settings.budget));
        let counters = Arc::new(LogCounters::default());
        let interval = settings.interval;
        let path = folder.path().to_owned();
        let (public, secret) = (key.public().clone(), Arc::clone(&key.secret));
        let mut writer = LogWriter::open(folder, key, settings, Arc::clone(&clock))?;
        let salts = SaltSecret::of(&*secret)?;
        // A full disk is no reason not to open the log. The record is then written before the next
        // entry or checkpoint.
        let _ = writer.record_recovery();
        counters.size.store(writer.size(), Ordering::Relaxed);
        counters.note_checkpoint(&writer);
        let recovery = writer.recovery();
        let writing = LogWriting {
            refused: Arc::clone(&refused),
            counters: Arc::clone(&counters),
            interval,
            last_count: Instant::now(),
            last_retry: Instant::now(),
            reported_gaps: 0,
        };
        let started = queue.start("audit", move |worker| writing.run(worker, writer));
        started.map_err(|error| LogError::io("start a thread for", &path, error))?;
        let key = public;
        let shared = SharedLog { queue, refused, counters, key, salts, clock, path, recovery };
        Ok(Log { shared: Arc::new(shared) })
    }

    /// Appends an entry, and waits without blocking until it is safely written. Returns the number
    /// of the entry.
    ///
    /// # Errors
    /// [`LogError`]. It is then uncertain whether the log has the entry, and the request must not
    /// be executed.
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

    /// Refuses all further entries, because witnesses have signed checkpoints that contradict this
    /// log.
    pub fn halt(&self, why: impl Into<String>) {
        let (path, why) = (self.shared.path.clone(), why.into());
        // If a reason was set before, the first reason stays.
        let _ = self.shared.counters.halted.set(LogError::Contradicted { path, why });
    }

    fn check(&self) -> Result<(), LogError> {
        self.shared.counters.halted.get().cloned().map_or(Ok(()), Err)
    }

    /// Writes the waiting entries and a last checkpoint, and closes the log. An attempt to append a
    /// later entry fails.
    pub fn close(&self) {
        self.shared.queue.close();
    }

    /// Appends an entry without waiting. `passes` says whether the request is forwarded. If the
    /// entry cannot be written, the lost entry is counted in one of two counters: gaps (forwarded
    /// requests without an entry) or refusals without an entry.
    pub(super) fn post(&self, record: Record, passes: bool) {
        let counters = &self.shared.counters;
        let missed = if passes { &counters.gaps } else { &counters.refusals_without_entry };
        match self.check() {
            Ok(()) => entry_queue::post(&self.shared.queue, record, missed),
            Err(_) => _ = missed.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Records a refused request without a valid signature in the separate file of refused
    /// requests.
    pub(super) fn note_refused(
        &self,
        verdict: Verdict,
        because: RecordedRefusal<'_>,
        head: Option<&Head<'_>>,
        statement: Option<&Statement>,
    ) {
        let now = self.shared.clock.now();
        let noted = lock(&self.shared.refused).note(now, verdict, because, head, statement);
        if !noted {
            self.shared.counters.refusals_not_logged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the public key of the log.
    pub fn key(&self) -> &NoteKey {
        &self.shared.key
    }

    pub(super) fn salts(&self) -> &SaltSecret {
        &self.shared.salts
    }

    /// Returns what lay behind the last checkpoint when the log was opened, as an entry of the log
    /// records it. `None` if there was nothing.
    pub fn recovery(&self) -> Option<Recovery> {
        self.shared.recovery
    }

    /// Returns the number of entries in the log.
    pub fn size(&self) -> u64 {
        self.shared.counters.size.load(Ordering::Relaxed)
    }

    /// Returns the number of entries that the last checkpoint covers, and when this process signed
    /// it. If this process has signed none yet, the time is that of opening the log.
    pub fn last_checkpoint(&self) -> (u64, Timestamp) {
        let counters = &self.shared.counters;
        let time = Timestamp::from_unix(counters.checkpoint_time.load(Ordering::Relaxed));
        (counters.checkpointed.load(Ordering::Relaxed), time)
    }

    /// Returns the number of entries that were not written, or not in time. Under the policy
    /// `best-effort`, their requests were forwarded; under `required`, they were refused.
    pub fn failed(&self) -> u64 {
        self.shared.queue.work().failed()
    }

    /// Returns why the last entry was not written; `None` after a later success. If no new entry
    /// comes, the writer tries again every few seconds.
    pub fn trouble(&self) -> Option<LogError> {
        self.check().err().or_else(|| self.shared.queue.work().trouble())
    }

    /// Returns the number of refused requests that were only counted, because they exceeded the
    /// limits of the file of refused requests.
    pub fn refusals_not_logged(&self) -> u64 {
        let counters = &self.shared.counters;
        let refusals_without_entry = counters.refusals_without_entry.load(Ordering::Relaxed);
        refusals_without_entry.saturating_add(counters.refusals_not_logged.load(Ordering::Relaxed))
    }

    /// Returns the number of requests that were forwarded without an entry, which only the policy
    /// `best-effort` permits.
    pub fn gaps(&self) -> u64 {
        self.shared.counters.gaps.load(Ordering::Relaxed)
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

/// The state of the thread that writes entries.
struct LogWriting {
    refused: Arc<Mutex<RefusalFile>>,
    counters: Arc<LogCounters>,
    interval: Duration,
    /// When an entry with the counts of refused requests was last written.
    last_count: Instant,
    /// The time of the last retry after a failed write.
    last_retry: Instant,
    /// The number of requests forwarded without an entry (gaps) that entries of the log already
    /// report.
    reported_gaps: u64,
}

impl LogWriting {
    /// Writes entries until the log is closed. When this function returns, the files are closed and
    /// other processes can open the log.
    fn run(mut self, worker: &mut QueueWorker<EntryWork>, mut writer: LogWriter) {
        loop {
            match worker.take(Some(CHECKPOINT_CHECK)) {
                Taken::Batch(entries) => self.write(worker, &mut writer, entries),
                // Under the policy `required`, a server refuses all requests while its log fails.
                // So no entry arrives that could show that the log works again, and the thread
                // tries a write itself.
                Taken::Idle if self.last_retry.elapsed() >= RETRY_INTERVAL => {
                    let work = worker.work();
                    if work.trouble().is_some() {
                        work.set_trouble(writer.probe());
                    }
                    self.last_retry = Instant::now();
                }
                Taken::Idle => {}
                Taken::Closed => break,
            }
            if self.last_count.elapsed() >= self.interval {
                self.count(&mut writer);
            }
            if writer.is_checkpoint_due()
                && let Err(error) = writer.checkpoint()
            {
                // If the error persists, the checkpoint before the next entry fails too, and that
                // entry is then refused.
                worker.work().set_trouble(Err(error));
            }
            self.counters.note_checkpoint(&writer);
        }
        self.count(&mut writer);
        let _ = writer.checkpoint();
    }

    /// Writes a batch of entries, and gives each waiting task the number of its entry.
    fn write(
        &self,
        worker: &mut QueueWorker<EntryWork>,
        writer: &mut LogWriter,
        entries: Vec<Arc<QueuedTask<EntryWork>>>,
    ) {
        let numbers = match self.counters.halted.get() {
            Some(why) => Err(why.clone()),
            None => writer.append(entries.iter().map(|entry| &entry.task.record)),
        };
        self.counters.size.store(writer.size(), Ordering::Relaxed);
        let outcome = numbers.as_ref().map(drop).map_err(Clone::clone);
        match numbers {
            Ok(numbers) => worker.answer(entries, numbers.into_iter().map(Ok)),
            Err(error) => worker.answer(entries, std::iter::repeat_with(|| Err(error.clone()))),
        }
        // Also a batch that was written too late ends the state of failure: its requests got an
        // error, but the log can be written again.
        worker.work().set_trouble(outcome);
        writer.hash_entries();
    }

    /// Writes an entry with the counts of requests without an entry since the last such entry.
    fn count(&mut self, writer: &mut LogWriter) {
        self.last_count = Instant::now();
        let mut refused = lock(&self.refused);
        let mut counts = std::mem::take(&mut refused.counts);
        drop(refused);
        let gaps = self.counters.gaps.load(Ordering::Relaxed);
        counts.gaps = gaps.saturating_sub(self.reported_gaps);
        if counts.seen == 0 && counts.gaps == 0 {
            return;
        }
        if self.counters.halted.get().is_none()
            && writer.append(std::iter::once(&counts.record())).is_ok()
        {
            self.counters.size.store(writer.size(), Ordering::Relaxed);
            self.reported_gaps = gaps;
            return;
        }
        // If the entry with the counts could not be written, they are added to the next one.
        counts.gaps = 0;
        lock(&self.refused).counts.add(&counts);
    }
}
