//! An open log: a handle that many requests share, and the thread behind it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::desk::{Desk, Found, Job, Pace};
use super::fault::LogError;
use super::folder::{Folder, LogKey};
use super::note::NoteKey;
use super::record::{Because, Record, Verdict};
use super::refused::Refused;
use super::writer::{Settings, Writer};
use crate::clock::Clock;
use crate::key::Sign;
use crate::message::Head;
use crate::verify::Statement;

/// How often the writer looks whether a checkpoint is due.
const LOOK: Duration = Duration::from_millis(500);
/// How often it tries whether what failed works again.
const RETRY: Duration = Duration::from_secs(2);

/// A log that this process writes. Clones are the same log; when the last one is dropped, what
/// waits is written, and a last checkpoint with it.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    desk: Arc<Desk>,
    refused: Arc<Mutex<Refused>>,
    numbers: Arc<Numbers>,
    key: LogKey,
    clock: Arc<dyn Clock>,
}

/// What there is to count.
#[derive(Debug, Default)]
struct Numbers {
    size: AtomicU64,
    gaps: Arc<AtomicU64>,
    /// Refused requests behind their signature that got no entry.
    unsaid: Arc<AtomicU64>,
    /// Requests of strangers that were not even noted.
    unnoted: AtomicU64,
}

impl Log {
    /// Opens the log in `folder` for writing, which only one process can.
    ///
    /// # Errors
    /// [`LogError`]: no log, another writer, files that are not what was written, or that others
    /// can change.
    pub fn open(
        folder: Folder,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let key = folder.key()?;
        let refused = Refused::new(folder.clone(), settings.refused_size);
        let refused = Arc::new(Mutex::new(refused));
        let desk = Arc::new(Desk::new(settings.budget));
        let numbers = Arc::new(Numbers::default());
        let interval = settings.interval;
        let path = folder.path().to_owned();
        let writer = Writer::open(folder, key.clone(), settings, Arc::clone(&clock))?;
        numbers.size.store(writer.size(), Ordering::Relaxed);
        let work = Work {
            desk: Leaving(Arc::clone(&desk)),
            refused: Arc::clone(&refused),
            numbers: Arc::clone(&numbers),
            interval,
            counted: Instant::now(),
            tried: Instant::now(),
            told: 0,
        };
        let watching = Arc::clone(&desk);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let failed = |e| LogError::io("start a thread for", &path, e);
        named("audit-watch").spawn(move || watching.keep_watch()).map_err(failed)?;
        named("audit").spawn(move || work.run(writer)).map_err(failed)?;
        Ok(Log { shared: Arc::new(Shared { desk, refused, numbers, key, clock }) })
    }

    /// Appends an entry, and waits without blocking until it counts as written. Its number.
    ///
    /// # Errors
    /// [`LogError`]; then it may or may not stand in the log, and nothing may be done that rests
    /// on it.
    pub async fn append(&self, record: Record) -> Result<u64, LogError> {
        self.shared.desk.put(record)?.await
    }

    /// As [`Log::append`], blocking this thread.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_blocking(&self, record: Record) -> Result<u64, LogError> {
        self.shared.desk.put(record)?.block()
    }

    /// Writes what waits and a last checkpoint, and ends. What comes later is an error.
    pub fn close(&self) {
        self.shared.desk.close();
    }

    /// Appends an entry without waiting; where that fails, it is a gap if its request `passes`.
    pub(super) fn post(&self, record: Record, passes: bool) {
        let numbers = &self.shared.numbers;
        self.shared.desk.post(record, if passes { &numbers.gaps } else { &numbers.unsaid });
    }

    /// Counts an entry that could not even be made.
    pub(super) fn gap(&self) {
        self.shared.numbers.gaps.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a request of which nobody knows who sent it.
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
            self.shared.numbers.unnoted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The public half of the log's key.
    pub fn key(&self) -> &NoteKey {
        &self.shared.key.note
    }

    pub(super) fn secret(&self) -> &dyn Sign {
        &*self.shared.key.secret
    }

    /// Entries in the log.
    pub fn size(&self) -> u64 {
        self.shared.numbers.size.load(Ordering::Relaxed)
    }

    /// Entries that could not be written, or not in time, whatever became of their requests.
    pub fn failed(&self) -> u64 {
        self.shared.desk.failed()
    }

    /// Why the last entry could not be written, unless one could be since. Looked at every few
    /// seconds too while there is nothing to write.
    pub fn trouble(&self) -> Option<LogError> {
        self.shared.desk.trouble()
    }

    /// Refused requests that were only counted: those of strangers, and those sent again and again,
    /// beyond what is noted of them.
    pub fn unnoted(&self) -> u64 {
        let numbers = &self.shared.numbers;
        let unsaid = numbers.unsaid.load(Ordering::Relaxed);
        unsaid.saturating_add(numbers.unnoted.load(Ordering::Relaxed))
    }

    /// Requests that were handed on without an entry, under `best-effort`.
    pub fn gaps(&self) -> u64 {
        self.shared.numbers.gaps.load(Ordering::Relaxed)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("key", &self.shared.key).finish_non_exhaustive()
    }
}

/// Lets everybody know that nobody writes any more, also if that is by a panic.
struct Leaving(Arc<Desk>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The thread that writes.
struct Work {
    desk: Leaving,
    refused: Arc<Mutex<Refused>>,
    numbers: Arc<Numbers>,
    interval: Duration,
    /// When refused requests were counted in the log last.
    counted: Instant,
    /// When it was tried last whether entries can be written again.
    tried: Instant,
    /// Gaps that the log tells of already.
    told: u64,
}

impl Work {
    fn run(mut self, mut writer: Writer) {
        let mut pace = Pace::default();
        loop {
            match self.desk.0.take(LOOK, &mut pace) {
                Found::Jobs(jobs) => self.write(&mut writer, &jobs),
                // Where no requests come because of it, none would show that it is over.
                Found::Nothing if self.tried.elapsed() >= RETRY => {
                    if self.desk.0.trouble().is_some() {
                        self.desk.0.fares(writer.probe());
                    }
                    self.tried = Instant::now();
                }
                Found::Nothing => {}
                Found::Closed => break,
            }
            if self.counted.elapsed() >= self.interval {
                self.count(&mut writer);
            }
            if writer.is_checkpoint_due() {
                // What fails here fails again before the next entry, which is then refused.
                let _ = writer.checkpoint();
            }
        }
        self.count(&mut writer);
        let _ = writer.checkpoint();
        // The files are let go before anybody hears that the log is closed.
        drop(writer);
    }

    fn write(&self, writer: &mut Writer, jobs: &[Arc<Job>]) {
        let numbers = writer.append(jobs.iter().map(|job| &job.record));
        self.numbers.size.store(writer.size(), Ordering::Relaxed);
        self.desk.0.answer(jobs, &numbers);
    }

    /// Makes an entry of what was counted since the last one.
    fn count(&mut self, writer: &mut Writer) {
        self.counted = Instant::now();
        let mut refused = lock(&self.refused);
        let mut counts = std::mem::take(&mut refused.counts);
        drop(refused);
        let gaps = self.numbers.gaps.load(Ordering::Relaxed);
        counts.gaps = gaps.saturating_sub(self.told);
        if counts.seen == 0 && counts.gaps == 0 {
            return;
        }
        if writer.append(std::iter::once(&counts.record())).is_ok() {
            self.numbers.size.store(writer.size(), Ordering::Relaxed);
            self.told = gaps;
            return;
        }
        // Not forgotten: counted with the next.
        counts.gaps = 0;
        lock(&self.refused).counts.add(&counts);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
