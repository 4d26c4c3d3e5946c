//! A queue of limited size in front of one worker thread, which executes tasks in batches and
//! answers each of them.
//!
//! ```text
//! put ──► waiting tasks ──► take ──► the worker does a batch ──► answer ──► the caller is woken
//!              └─────────────── watch: no answer within the budget ─────────────────┘
//! ```
//!
//! The audit log (with one `fdatasync` for a batch) and the SQLite store (with one commit for a
//! batch) use this queue. It guarantees:
//!
//! 1. **One answer.** Each accepted task gets exactly one answer: the worker's; or [`Work::late`]
//!    once the budget has passed; or [`Work::closed`] if the worker ends before, even by a panic.
//! 2. **In time.** No caller waits longer than the budget, even if the worker hangs in a system
//!    call. Callers need no particular runtime, because only wakers are used. So a second thread
//!    watches the time.
//! 3. **In order.** The worker takes tasks in the order in which they were put.
//! 4. **Limited.** A full queue refuses a task at once. A task that is larger than the limit in
//!    bytes is accepted if no other task is waiting.
//! 5. **Dropped tasks are skipped.** If the caller drops its future before the worker has taken the
//!    task, the task is not executed. Otherwise it is executed, and its answer is discarded.
//! 6. **Closing loses nothing.** After [`WorkQueue::close`], new tasks are refused, and waiting
//!    tasks are still executed. `close` returns when the worker has ended, or after the budget.
//! 7. **No lock while waking.** A caller that is woken can put its next task at once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
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

/// A kind of work that uses a queue: its types, and the answers that the queue itself gives.
pub(crate) trait Work: Send + Sync + 'static {
    /// The type of the tasks that callers put into the queue.
    type Task: Send + Sync + 'static;
    /// The type of the answers that callers get.
    type Answer: Send + 'static;

    /// Returns the size of `task` in bytes, for limits in bytes; 0 if these limits do not matter.
    fn size(_task: &Self::Task) -> usize {
        0
    }

    /// Returns the answer to a task that was not executed within the budget.
    fn late(&self) -> Self::Answer;

    /// Returns the answer to a task that was not executed when the worker ended.
    fn closed(&self) -> Self::Answer;

    /// Called once for each task that gets an answer, before its caller is woken. Not called for a
    /// task whose caller has dropped its future.
    fn answered(&self, _task: &Self::Task, _answer: &Self::Answer) {}

    /// Called when the worker has ended, even by a panic.
    fn ended(&self) {}
}

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// How long a task may take from `put` to its answer. Later, the caller gets the answer
    /// [`Work::late`].
    pub(crate) budget: Duration,
    /// Maximum number of waiting tasks.
    pub(crate) waiting: usize,
    /// Maximum size of the waiting tasks, in bytes.
    pub(crate) waiting_bytes: usize,
    /// Maximum number of tasks in a batch.
    pub(crate) batch: usize,
    /// Number of bytes in a batch after which no further task is added to it.
    pub(crate) batch_bytes: usize,
    /// How the worker waits for more tasks before it takes a batch. With `None`, it takes the tasks
    /// that are there.
    pub(crate) gather: Option<Gather>,
}

/// Why a task was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// The number or the size of waiting tasks has reached its limit.
    Full,
    /// The queue is closed, or its worker has ended.
    Closed,
}

/// A queue of tasks for one worker.
pub(crate) struct WorkQueue<W: Work> {
    work: W,
    limits: QueueLimits,
    state: Mutex<QueueState<W>>,
    /// Signals the worker that a task waits, or that the queue is closed.
    to_worker: Condvar,
    /// Signals the watching thread that a task waits, or that the worker has ended.
    to_watch: Condvar,
    /// Signals `close` that the worker has ended.
    to_closing: Condvar,
}

struct QueueState<W: Work> {
    waiting: VecDeque<Arc<QueuedTask<W>>>,
    /// The size of the tasks in `waiting`, in bytes.
    bytes: usize,
    /// The tasks that the worker has taken and not answered yet.
    in_hand: Vec<Arc<QueuedTask<W>>>,
    /// Whether the worker sleeps until it is signalled.
    worker_sleeps: bool,
    /// The number of waiting tasks at which the worker stops gathering. `None` while the worker
    /// does not gather.
    wanted: Option<usize>,
    /// Whether the watching thread sleeps until it is signalled.
    watch_sleeps: bool,
    closed: bool,
    /// Whether the worker has ended, so that no further task is accepted.
    ended: bool,
    /// Whether the tasks that were left when the worker ended have been answered.
    answered: bool,
}

impl<W: Work> WorkQueue<W> {
    /// Creates a queue without a worker. [`WorkQueue::start`] starts the worker.
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
            answered: false,
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

    /// Starts the worker thread with the name `name`, and the thread that watches the time. `run`
    /// must call [`QueueWorker::take`] until it returns [`Taken::Closed`]. What `run` owns is
    /// dropped before the queue counts as ended.
    ///
    /// # Errors
    /// The error of the operating system if it cannot start a thread. The queue is then closed.
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

    /// Returns the work for which this queue is used.
    pub(crate) fn work(&self) -> &W {
        &self.work
    }

    /// Puts a task into the queue. The future completes when the task has its answer.
    ///
    /// # Errors
    /// [`QueueError`] if the task was not accepted.
    pub(crate) fn put(&self, task: W::Task) -> Result<Waiting<'_, W>, QueueError> {
        self.accept(task, Reply::Awaited(None)).map(|task| Waiting::new(self, task))
    }

    /// Puts a task into the queue for which no caller waits. Only [`Work::answered`] gets its
    /// answer.
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

    /// Passes `answer` to the caller that waits for `task`. If a task is answered twice, the caller
    /// gets the first answer.
    fn answer(&self, task: &QueuedTask<W>, answer: W::Answer) {
        if let Some(waker) = self.set_answer(task, answer) {
            waker.wake();
        }
    }

    fn set_answer(&self, task: &QueuedTask<W>, answer: W::Answer) -> Option<Waker> {
        task.answer(answer, |answer| self.work.answered(&task.task, answer))
    }

    /// Refuses new tasks. Waits until the worker has executed the waiting tasks and has ended, but
    /// not longer than the budget.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        self.to_worker.notify_one();
        let until = Instant::now() + self.limits.budget;
        while !state.answered {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return;
            }
            state = wait_for(&self.to_closing, state, wait);
        }
    }

    /// Answers tasks that are late, until the worker has ended.
    fn watch(&self) {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            // The tasks are in the order in which they are due, because all have the same budget.
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

/// Locks `mutex`, even if a thread panicked while it held the lock. Only for data that is
/// consistent at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
