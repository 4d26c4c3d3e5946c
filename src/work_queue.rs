//! A bounded queue in front of one worker thread, which does tasks in batches and answers each.
//!
//! ```text
//! put ──► waiting tasks ──► take ──► the worker does a batch ──► answer ──► the caller is woken
//!              └─────────────── watch: no answer within the budget ─────────────────┘
//! ```
//!
//! The audit log (one `fdatasync` for a batch) and the nonce store in SQLite (one commit for a
//! batch) are built on it. What it promises:
//!
//! 1. **One answer.** Each accepted task gets one answer: that of the worker, [`Work::late`] once
//!    the budget has passed, or [`Work::closed`] if the worker ends first, also by a panic.
//! 2. **In time.** No caller waits longer than the budget, even if the worker hangs in a system
//!    call. Callers need no particular runtime, since only wakers are used; so a second thread
//!    watches the time.
//! 3. **In order.** The worker takes tasks in the order in which they were put.
//! 4. **Bounded.** A full queue refuses at once. A task that is larger than the bound in bytes is
//!    accepted if no other task is waiting.
//! 5. **Dropped means skipped.** A task whose caller has dropped its future is not handed to the
//!    worker. If the worker has the task already, the task is done and its answer is discarded.
//! 6. **Closing loses nothing.** After [`WorkQueue::close`], new tasks are refused, and waiting
//!    tasks are still done. `close` returns when the worker has ended, or after the budget.
//! 7. **No lock while waking.** A caller that is woken may put its next task at once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

mod gather;
mod task;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use gather::Gather;
use task::Reply;
pub(crate) use task::{QueuedTask, Waiting};
pub(crate) use worker::{QueueWorker, Taken};

/// The kind of work that goes through a queue: the types, and the answers that the queue gives
/// itself.
pub(crate) trait Work: Send + Sync + 'static {
    /// What a caller puts into the queue.
    type Task: Send + Sync + 'static;
    /// What the caller gets back.
    type Answer: Send + 'static;

    /// Returns the size of `task` in bytes, for the bounds in bytes; 0 where these do not matter.
    fn size(_task: &Self::Task) -> usize {
        0
    }

    /// Returns the answer to a task that was not done within the budget.
    fn late(&self) -> Self::Answer;

    /// Returns the answer to a task that was not done when the worker ended.
    fn closed(&self) -> Self::Answer;

    /// Called once for each task that gets an answer, before its caller is woken. Not called for a
    /// task whose caller has gone.
    fn answered(&self, _task: &Self::Task, _answer: &Self::Answer) {}

    /// Called when the worker has ended, also by a panic.
    fn ended(&self) {}
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// How long a task may take from `put` to its answer.
    pub(crate) budget: Duration,
    /// The most tasks that may wait.
    pub(crate) waiting: usize,
    /// The most bytes that may wait.
    pub(crate) waiting_bytes: usize,
    /// The most tasks of a batch.
    pub(crate) batch: usize,
    /// Bytes of a batch after which no further task is added to it.
    pub(crate) batch_bytes: usize,
    /// How to wait for more tasks before a batch; `None` takes what is there.
    pub(crate) gather: Option<Gather>,
}

/// Why a task was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// As many tasks or bytes wait as the limits allow.
    Full,
    /// The queue is closed, or its worker has ended.
    Closed,
}

/// A queue of tasks for one worker.
pub(crate) struct WorkQueue<W: Work> {
    work: W,
    limits: QueueLimits,
    state: Mutex<QueueState<W>>,
    /// Signals the worker: a task waits, or the queue is closed.
    to_worker: Condvar,
    /// Signals the watch: a task waits, or the worker has ended.
    to_watch: Condvar,
    /// Signals `close`: the worker has ended.
    to_closing: Condvar,
}

struct QueueState<W: Work> {
    waiting: VecDeque<Arc<QueuedTask<W>>>,
    /// The bytes of `waiting`.
    bytes: usize,
    /// The batch that the worker is processing.
    in_hand: Vec<Arc<QueuedTask<W>>>,
    /// Whether the worker sleeps until it is signalled.
    worker_sleeps: bool,
    /// The number of waiting tasks that ends the gathering of a batch. `None` while the worker
    /// does not gather.
    wanted: Option<usize>,
    /// Whether the watch sleeps until it is signalled.
    watch_sleeps: bool,
    closed: bool,
    /// The worker has ended: no further task is accepted.
    ended: bool,
    /// The tasks that the ended worker left behind have been answered.
    settled: bool,
}

impl<W: Work> WorkQueue<W> {
    /// Creates a queue without a worker; [`WorkQueue::start`] starts it.
    pub(crate) fn new(work: W, limits: QueueLimits) -> Self {
        let state = QueueState {
            waiting: VecDeque::new(),
            bytes: 0,
            in_hand: Vec::new(),
            worker_sleeps: false,
            wanted: None,
            watch_sleeps: false,
            closed: false,
            ended: false,
            settled: false,
        };
        WorkQueue {
            work,
            limits,
            state: Mutex::new(state),
            to_worker: Condvar::new(),
            to_watch: Condvar::new(),
            to_closing: Condvar::new(),
        }
    }

    /// Starts the worker thread, called `name`, and the thread that watches the time. `run` calls
    /// [`QueueWorker::take`] until that is [`Taken::Closed`]. What `run` owns is dropped before the
    /// queue counts as ended.
    ///
    /// # Errors
    /// The operating system gives no thread; then the queue is closed.
    pub(crate) fn start(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce(&mut QueueWorker<W>) + Send + 'static,
    ) -> io::Result<()> {
        let mut worker = QueueWorker::new(self);
        let watching = Arc::clone(self);
        let named = |name: String| thread::Builder::new().name(name);
        named(format!("{name}-watch")).spawn(move || watching.watch())?;
        named(name.to_owned()).spawn(move || run(&mut worker))?;
        Ok(())
    }

    /// The work that this queue is for.
    pub(crate) fn work(&self) -> &W {
        &self.work
    }

    /// Puts a task into the queue. The future is done when the task has its answer.
    ///
    /// # Errors
    /// [`QueueError`]; then the task was not accepted.
    pub(crate) fn put(&self, task: W::Task) -> Result<Waiting<'_, W>, QueueError> {
        self.accept(task, Reply::Awaited(None)).map(|task| Waiting::new(self, task))
    }

    /// Puts a task into the queue that no caller waits for. Its answer only goes to
    /// [`Work::answered`].
    ///
    /// # Errors
    /// As [`WorkQueue::put`].
    pub(crate) fn post(&self, task: W::Task) -> Result<(), QueueError> {
        self.accept(task, Reply::Posted).map(drop)
    }

    fn accept(
        &self,
        task: W::Task,
        reply: Reply<W::Answer>,
    ) -> Result<Arc<QueuedTask<W>>, QueueError> {
        let due = Instant::now() + self.limits.budget;
        let size = W::size(&task);
        let task = Arc::new(QueuedTask::new(task, due, reply));
        let mut state = lock(&self.state);
        if state.closed || state.ended {
            return Err(QueueError::Closed);
        }
        let bytes = state.bytes.saturating_add(size);
        let too_many_bytes = bytes > self.limits.waiting_bytes && state.bytes > 0;
        if state.waiting.len() >= self.limits.waiting || too_many_bytes {
            return Err(QueueError::Full);
        }
        state.bytes = bytes;
        state.waiting.push_back(Arc::clone(&task));
        let gathered = state.wanted == Some(state.waiting.len());
        let wake_worker = std::mem::take(&mut state.worker_sleeps) || gathered;
        let wake_watch = std::mem::take(&mut state.watch_sleeps);
        drop(state);
        if wake_worker {
            self.to_worker.notify_one();
        }
        if wake_watch {
            self.to_watch.notify_one();
        }
        Ok(task)
    }

    /// Gives `task` its answer. Only the first answer counts.
    pub(crate) fn answer(&self, task: &QueuedTask<W>, answer: W::Answer) {
        task.answer(answer, |answer| self.work.answered(&task.task, answer));
    }

    /// Refuses new tasks, and waits until the worker has done the waiting ones and has ended; not
    /// longer than the budget.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        self.to_worker.notify_one();
        let until = Instant::now() + self.limits.budget;
        while !state.settled {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return;
            }
            state = wait_for(&self.to_closing, state, wait);
        }
    }

    /// Answers late tasks until the worker has ended.
    fn watch(&self) {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            // All tasks have the same budget, so those behind are due later.
            let tasks = state.in_hand.iter().chain(&state.waiting);
            let mut open = tasks.filter(|task| task.is_open()).peekable();
            let mut overdue = Vec::new();
            while let Some(task) = open.next_if(|task| task.due <= now) {
                overdue.push(Arc::clone(task));
            }
            let next = open.peek().map(|task| task.due);
            if !overdue.is_empty() {
                drop(state);
                overdue.iter().for_each(|task| self.answer(task, self.work.late()));
                state = lock(&self.state);
                continue;
            }
            if state.ended {
                return;
            }
            state = match next {
                Some(due) => wait_for(&self.to_watch, state, due.saturating_duration_since(now)),
                None => {
                    state.watch_sleeps = true;
                    self.to_watch.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

fn wait_for<'s, T>(
    signal: &Condvar,
    guard: MutexGuard<'s, T>,
    wait: Duration,
) -> MutexGuard<'s, T> {
    signal.wait_timeout(guard, wait).unwrap_or_else(PoisonError::into_inner).0
}

/// Locks `mutex`, also after a thread panicked while it held the lock: only for data that is whole at
/// any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
