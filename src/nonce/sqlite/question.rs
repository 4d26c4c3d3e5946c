//! The calls to the worker thread of the SQLite store, and the answers.

use std::sync::Mutex;
use std::time::Duration;

use super::fault::SqliteFault;
use super::{Claim, KeptNonce, KnownNonce, Retention, StoreError, StoreState};
use crate::clock::Timestamp;
use crate::work_queue::{QueueError, QueueLimits, Work, WorkQueue, lock};

/// Maximum number of calls that wait. Further calls are refused: a disk with so long a queue does
/// not catch up if the queue grows.
const MAX_WAITING_CALLS: usize = 8_192;

/// Maximum number of calls that share one commit.
const MAX_BATCH: usize = 512;

/// A call to the worker thread. Times are in seconds.
pub(super) enum StoreQuestion {
    /// Register a retention (how long nonces must be kept). `raising` permits raising it although
    /// other users then refuse requests for a time.
    Register {
        now: i64,
        retention: Retention,
        raising: bool,
    },
    Claim {
        now: i64,
        id: [u8; 32],
        until: i64,
    },
    Peek {
        now: i64,
        id: [u8; 32],
    },
    Floor,
    State,
    Prune {
        now: i64,
        limit: u32,
    },
    List {
        after: Option<KeptNonce>,
        limit: u32,
    },
}

/// The answer to a call.
pub(super) enum StoreAnswer {
    Done,
    Claim(Claim),
    Seen(Option<KnownNonce>),
    Floor(Timestamp),
    State(StoreState),
    Swept(u64),
    List(Vec<KeptNonce>),
}

pub(super) type StoreQueue = WorkQueue<StoreWork>;

/// The state that the callers share with the worker thread.
#[derive(Default)]
pub(super) struct StoreWork {
    /// Why the last batch failed, or `None` if it succeeded.
    failed: Mutex<Option<SqliteFault>>,
}

impl Work for StoreWork {
    type Task = StoreQuestion;
    type Answer = Result<StoreAnswer, StoreError>;

    fn late(&self) -> Self::Answer {
        Err(SqliteFault::late(lock(&self.failed).as_ref()).error())
    }

    fn closed(&self) -> Self::Answer {
        Err(StoreError::new("the store is closed"))
    }
}

impl StoreWork {
    /// Records the error of the last batch, or its success.
    pub(super) fn set_failed(&self, failed: Option<SqliteFault>) {
        *lock(&self.failed) = failed;
    }
}

/// Returns an empty queue whose calls may wait for `budget`.
pub(super) fn queue(budget: Duration) -> StoreQueue {
    let limits = QueueLimits {
        budget,
        waiting: MAX_WAITING_CALLS,
        waiting_bytes: usize::MAX,
        batch: MAX_BATCH,
        batch_bytes: usize::MAX,
        gather: None,
    };
    WorkQueue::new(StoreWork::default(), limits)
}

/// Sends a call, and waits for the answer without blocking the thread.
pub(super) async fn ask(
    queue: &StoreQueue,
    question: StoreQuestion,
) -> Result<StoreAnswer, StoreError> {
    match queue.put(question) {
        Ok(waiting) => waiting.await,
        Err(QueueError::Full) => Err(StoreError::new(format!(
            "{MAX_WAITING_CALLS} questions wait for the store already"
        ))),
        Err(QueueError::Closed) => queue.work().closed(),
    }
}
