//! Entries wait here for the writer, and those whose requests they stand for wait for them.
//!
//! As with the nonces in SQLite: any runtime can wait, since only wakers are used, and a second
//! thread watches the time, so that a disk that hangs is an answer too.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::fault::{LogError, MAX_LINE};
use super::record::Record;

/// Entries that may wait.
const WAITING: usize = 16_384;
/// Bytes that may wait.
const WAITING_BYTES: usize = 256 * 1024 * 1024;
/// Entries that share one `fdatasync`.
const BATCH: usize = 1_024;
/// Bytes of such entries, beyond which no further one is added.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Where several requests come at once, entries gather: then they share one write, one `fdatasync`
/// and one round of waking up, which costs more than writing them. For so long from the beginning
/// of the last batch at most...
const GATHER: Duration = Duration::from_millis(4);
/// ...and until so many wait, or as many as lately came together: then there may be nobody left to
/// wait for.
const ENOUGH: usize = 32;
/// Whoever sends one request after the other is not made to wait for others that do not come: of
/// so many batches of one entry, one waits to see whether they do.
const PROBE: u32 = 16;

/// An entry on its way.
pub(super) struct Job {
    pub(super) record: Record,
    due: Instant,
    reply: Mutex<Reply>,
}

enum Reply {
    Open(Option<Waker>),
    /// Nobody waits; a failure is counted.
    Posted(Arc<AtomicU64>),
    Given(Result<u64, LogError>),
    /// Taken, or nobody waits any more.
    Over,
}

impl Job {
    /// Whether the entry is still wanted: one whose request has gone is not dispatched either.
    fn is_open(&self) -> bool {
        matches!(*lock(&self.reply), Reply::Open(_) | Reply::Posted(_))
    }

    /// Only the first answer counts; whether this was it.
    fn answer(&self, answer: Result<u64, LogError>) -> bool {
        let mut reply = lock(&self.reply);
        let given = match &*reply {
            Reply::Open(_) => Reply::Given(answer),
            Reply::Posted(gaps) => {
                if answer.is_err() {
                    gaps.fetch_add(1, Ordering::Relaxed);
                }
                Reply::Over
            }
            _ => return false,
        };
        let waiting = std::mem::replace(&mut *reply, given);
        drop(reply);
        if let Reply::Open(Some(waker)) = waiting {
            waker.wake();
        }
        true
    }
}

/// The queue between requests and the writer.
pub(super) struct Desk {
    budget: Duration,
    /// Entries that were not written, or not in time.
    failed: AtomicU64,
    /// Why the last one was not; nothing since one was.
    trouble: Mutex<Option<LogError>>,
    queue: Mutex<Queue>,
    /// Something waits, or it is over: for the writer.
    work: Condvar,
    /// Likewise: for the watch.
    watch: Condvar,
    /// The writer has gone.
    gone: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Job>>,
    bytes: usize,
    in_hand: Vec<Arc<Job>>,
    /// The writer waits for a sign; else it looks by itself.
    idle: bool,
    /// It waits until so many are here, or for some time.
    enough: Option<usize>,
    unwatched: bool,
    closed: bool,
    gone: bool,
}

/// When batches were begun, and how they turned out.
#[derive(Default)]
pub(super) struct Pace {
    begun: Option<Instant>,
    /// Batches of one entry since the last of several.
    alone: u32,
    /// The entries of the largest of the last batches.
    most: usize,
}

impl Pace {
    /// How many entries to wait for, and until when; nothing where it would be for nobody.
    fn gather(&self) -> Option<(usize, Instant)> {
        let until = self.begun? + GATHER;
        self.alone.is_multiple_of(PROBE).then(|| (self.most.clamp(2, ENOUGH), until))
    }

    fn begin(&mut self, entries: usize) {
        self.begun = Some(Instant::now());
        self.alone = if entries > 1 { 0 } else { self.alone.wrapping_add(1) };
        self.most = entries.max(self.most - self.most.div_ceil(8));
    }
}

/// What the writer finds.
pub(super) enum Found {
    Jobs(Vec<Arc<Job>>),
    /// Nothing came in that time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Desk {
    pub(super) fn new(budget: Duration) -> Self {
        Desk {
            budget,
            failed: AtomicU64::new(0),
            trouble: Mutex::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
            gone: Condvar::new(),
        }
    }

    /// Hands in an entry; the answer is its number, once it counts as written.
    pub(super) fn put(&self, record: Record) -> Result<Waiting, LogError> {
        self.hand_in(record, Reply::Open(None)).map(Waiting)
    }

    /// Hands in an entry that nobody waits for; `gaps` counts it if it cannot be written.
    pub(super) fn post(&self, record: Record, gaps: &Arc<AtomicU64>) {
        if self.hand_in(record, Reply::Posted(Arc::clone(gaps))).is_err() {
            gaps.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries that were not written, or not in time.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Why entries are not written at present.
    pub(super) fn trouble(&self) -> Option<LogError> {
        lock(&self.trouble).clone()
    }

    /// Entries can be written, or cannot.
    pub(super) fn fares(&self, outcome: Result<(), LogError>) {
        *lock(&self.trouble) = outcome.err();
    }

    /// Tells those who wait for `jobs`, each by its place in `numbers`.
    pub(super) fn answer(&self, jobs: &[Arc<Job>], numbers: &Result<Vec<u64>, LogError>) {
        let of = |place: usize| match numbers {
            Ok(numbers) => numbers.get(place).copied().ok_or(LogError::Closed),
            Err(error) => Err(error.clone()),
        };
        let told = jobs.iter().enumerate().filter(|(place, job)| job.answer(of(*place)));
        let told = u64::try_from(told.count()).unwrap_or(u64::MAX);
        if numbers.is_err() {
            self.failed.fetch_add(told, Ordering::Relaxed);
        }
        // Whoever came too late to be told may have been told that it was slow; now it is not.
        self.fares(numbers.as_ref().map(drop).map_err(Clone::clone));
    }

    fn hand_in(&self, record: Record, reply: Reply) -> Result<Arc<Job>, LogError> {
        self.try_hand_in(record, reply).inspect_err(|error| {
            self.failed.fetch_add(1, Ordering::Relaxed);
            // One that is too large says nothing of the others.
            if !matches!(error, LogError::TooLarge(_)) {
                self.fares(Err(error.clone()));
            }
        })
    }

    fn try_hand_in(&self, record: Record, reply: Reply) -> Result<Arc<Job>, LogError> {
        let due = Instant::now() + self.budget;
        let size = record.size();
        // Said to the one alone whose entry it is, and not to those whom it would share a batch with.
        if size >= MAX_LINE - 1_024 {
            return Err(LogError::TooLarge(size));
        }
        let job = Arc::new(Job { record, due, reply: Mutex::new(reply) });
        let mut queue = lock(&self.queue);
        if queue.closed || queue.gone {
            return Err(LogError::Closed);
        }
        let bytes = queue.bytes.saturating_add(size);
        // One entry alone is never too much, whatever its size.
        if queue.waiting.len() >= WAITING || (bytes > WAITING_BYTES && queue.bytes > 0) {
            return Err(LogError::Busy);
        }
        queue.bytes = bytes;
        queue.waiting.push_back(Arc::clone(&job));
        let idle = std::mem::take(&mut queue.idle) || queue.enough == Some(queue.waiting.len());
        let unwatched = std::mem::take(&mut queue.unwatched);
        drop(queue);
        if idle {
            self.work.notify_one();
        }
        if unwatched {
            self.watch.notify_one();
        }
        Ok(job)
    }

    /// For the writer: what waits now, at latest after `patience`. What was in hand is done.
    pub(super) fn take(&self, patience: Duration, pace: &mut Pace) -> Found {
        let until = Instant::now() + patience;
        let done = std::mem::take(&mut lock(&self.queue).in_hand);
        drop(done);
        let mut queue = lock(&self.queue);
        if let Some((enough, until)) = pace.gather() {
            queue.enough = Some(enough);
            while queue.waiting.len() < enough && !queue.closed {
                let wait = until.saturating_duration_since(Instant::now());
                if wait.is_zero() {
                    break;
                }
                let woken = self.work.wait_timeout(queue, wait);
                queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
            queue.enough = None;
        }
        loop {
            queue.idle = false;
            let (mut jobs, mut bytes) = (Vec::new(), 0_usize);
            while jobs.len() < BATCH && bytes < BATCH_BYTES {
                let Some(job) = queue.waiting.pop_front() else { break };
                queue.bytes = queue.bytes.saturating_sub(job.record.size());
                if job.is_open() {
                    bytes = bytes.saturating_add(job.record.size());
                    jobs.push(job);
                }
            }
            if !jobs.is_empty() {
                pace.begin(jobs.len());
                queue.in_hand.extend(jobs.iter().cloned());
                return Found::Jobs(jobs);
            }
            if queue.closed {
                return Found::Closed;
            }
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Found::Nothing;
            }
            queue.idle = true;
            let woken = self.work.wait_timeout(queue, wait);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For the watch: answers whatever is late, until the writer has gone.
    pub(super) fn keep_watch(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let now = Instant::now();
            let jobs = queue.in_hand.iter().chain(&queue.waiting);
            let mut open = jobs.filter(|job| job.is_open()).peekable();
            let mut overdue = Vec::new();
            while let Some(job) = open.next_if(|job| job.due <= now) {
                overdue.push(Arc::clone(job));
            }
            let next = open.peek().map(|job| job.due);
            if !overdue.is_empty() {
                // Whoever is woken may ask again at once.
                drop(queue);
                self.answer(&overdue, &Err(LogError::Slow));
                queue = lock(&self.queue);
                continue;
            }
            if queue.gone {
                return;
            }
            queue = match next {
                Some(due) => {
                    let wait = due.saturating_duration_since(now);
                    self.watch.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    queue.unwatched = true;
                    self.watch.wait(queue).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// For the writer, however it ends.
    pub(super) fn leave(&self) {
        let mut queue = lock(&self.queue);
        queue.gone = true;
        let waiting: Vec<_> = queue.waiting.drain(..).collect();
        let left: Vec<_> = waiting.into_iter().chain(queue.in_hand.drain(..)).collect();
        drop(queue);
        self.answer(&left, &Err(LogError::Closed));
        self.watch.notify_one();
        self.gone.notify_all();
    }

    /// Ends the writer, and waits for it to let go of the files; not longer than for an answer.
    pub(super) fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.closed = true;
        self.work.notify_one();
        let until = Instant::now() + self.budget;
        while !queue.gone {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return;
            }
            let woken = self.gone.wait_timeout(queue, wait);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Waits for an entry to be written.
pub(super) struct Waiting(Arc<Job>);

impl Waiting {
    /// Blocks this thread until it is.
    pub(super) fn block(mut self) -> Result<u64, LogError> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match Pin::new(&mut self).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for Waiting {
    type Output = Result<u64, LogError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut reply = lock(&self.0.reply);
        match std::mem::replace(&mut *reply, Reply::Over) {
            Reply::Open(_) => {
                *reply = Reply::Open(Some(context.waker().clone()));
                Poll::Pending
            }
            Reply::Given(answer) => Poll::Ready(answer),
            Reply::Posted(_) | Reply::Over => Poll::Ready(Err(LogError::Closed)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *lock(&self.0.reply) = Reply::Over;
    }
}

/// Nothing panics while it holds one of these locks, and each guards what is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
