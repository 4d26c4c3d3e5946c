//! The queue of entries between the requests and the thread that writes the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fault::{LogError, MAX_LINE};
use super::record::Record;
use crate::work_queue::{Gather, QueueError, QueueLimits, Waiting, Work, WorkQueue, lock};

pub(super) type EntryQueue = WorkQueue<EntryWork>;

/// Returns an empty queue. An entry may wait in it for `budget` before it counts as lost.
pub(super) fn new(budget: Duration) -> EntryQueue {
    let limits = QueueLimits {
        budget,
        waiting: 16_384,
        waiting_bytes: 256 * 1024 * 1024,
        batch: 1_024,
        batch_bytes: 8 * 1024 * 1024,
        // Waking the waiting requests costs more time than writing their entries, so the worker
        // waits a little for more entries.
        gather: Some(Gather { time: Duration::from_millis(4), most: 128, probe: 16 }),
    };
    WorkQueue::new(EntryWork::default(), limits)
}

/// An entry that waits to be written.
pub(super) struct EntryTask {
    pub(super) record: Record,
    /// The counter that is incremented if this entry is lost. Present only if no request waits for
    /// the entry.
    gaps: Option<Arc<AtomicU64>>,
}

/// The work of the writing thread. The answer to a task is the number of its entry.
#[derive(Default)]
pub(super) struct EntryWork {
    /// Number of entries that were not written, or not in time.
    failed: AtomicU64,
    /// The error of the last write; `None` after a write that succeeded.
    trouble: Mutex<Option<LogError>>,
}

impl Work for EntryWork {
    type Task = EntryTask;
    type Answer = Result<u64, LogError>;

    fn size(task: &EntryTask) -> usize {
        task.record.size()
    }

    fn late(&self) -> Self::Answer {
        Err(LogError::Slow)
    }

    fn closed(&self) -> Self::Answer {
        Err(LogError::Closed)
    }

    fn answered(&self, task: &EntryTask, answer: &Self::Answer) {
        if let Err(error) = answer {
            self.refused(error);
            if let Some(gaps) = &task.gaps {
                gaps.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn ended(&self) {
        self.set_trouble(Err(LogError::Closed));
    }
}

impl EntryWork {
    /// Returns the number of entries that were not written, or not in time.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns the error for which entries cannot be written at present.
    pub(super) fn trouble(&self) -> Option<LogError> {
        lock(&self.trouble).clone()
    }

    /// Records the result of a write: whether entries can be written at present.
    pub(super) fn set_trouble(&self, outcome: Result<(), LogError>) {
        *lock(&self.trouble) = outcome.err();
    }

    fn refused(&self, error: &LogError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        // An entry that is too large does not mean that other entries cannot be written.
        if !matches!(error, LogError::TooLarge(_)) {
            self.set_trouble(Err(error.clone()));
        }
    }
}

/// Queues an entry of a request that waits for it. The result is the number of the entry, once it
/// is written.
pub(super) fn put(queue: &EntryQueue, record: Record) -> Result<Waiting<'_, EntryWork>, LogError> {
    checked(queue, &record)?;
    accepted(queue, queue.put(EntryTask { record, gaps: None }))
}

/// Queues an entry for which no request waits. If it cannot be written, `gaps` counts it.
pub(super) fn post(queue: &EntryQueue, record: Record, gaps: &Arc<AtomicU64>) {
    let posted = checked(queue, &record).and_then(|()| {
        let task = EntryTask { record, gaps: Some(Arc::clone(gaps)) };
        accepted(queue, queue.post(task))
    });
    if posted.is_err() {
        gaps.fetch_add(1, Ordering::Relaxed);
    }
}

/// Refuses an entry that is too large before it is queued, so that it cannot make its whole batch
/// fail.
fn checked(queue: &EntryQueue, record: &Record) -> Result<(), LogError> {
    let size = record.size();
    if size < MAX_LINE - 1_024 {
        return Ok(());
    }
    let error = LogError::TooLarge(size);
    queue.work().refused(&error);
    Err(error)
}

fn accepted<T>(queue: &EntryQueue, outcome: Result<T, QueueError>) -> Result<T, LogError> {
    outcome.map_err(|error| {
        let error = match error {
            QueueError::Full => LogError::Busy,
            QueueError::Closed => LogError::Closed,
        };
        queue.work().refused(&error);
        error
    })
}
