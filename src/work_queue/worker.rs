//! The worker's side of a queue: taking batches, and ending.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::gather::{BatchPace, GatherWait};
use super::task::QueuedTask;
use super::{QueueLimits, QueueState, Work, WorkQueue, lock, wait_for};

#[cfg(test)]
mod tests;

/// What the worker gets when it takes from the queue.
pub(crate) enum Taken<W: Work> {
    /// Tasks to execute and to answer; at least one.
    Batch(Vec<Arc<QueuedTask<W>>>),
    /// No task arrived within the time that the worker waits.
    Idle,
    /// The queue is closed, and no tasks are left.
    Closed,
}

/// The worker's side of a queue. Dropping this value ends the queue.
pub(crate) struct QueueWorker<W: Work> {
    queue: Arc<WorkQueue<W>>,
    pub(super) pace: BatchPace,
}

impl<W: Work> QueueWorker<W> {
    pub(super) fn new(queue: &Arc<WorkQueue<W>>) -> Self {
        QueueWorker { queue: Arc::clone(queue), pace: BatchPace::new(queue.limits.gather) }
    }

    /// Returns the work for which the queue is used.
    pub(crate) fn work(&self) -> &W {
        &self.queue.work
    }

    /// Gives the tasks of a batch their answers, in the same order. A task for which `answers` has
    /// none gets [`Work::closed`].
    ///
    /// The worker drops its references to the tasks before it wakes the callers. So most tasks are
    /// freed by the threads that made them. If the worker freed them, the allocator would have to
    /// hand all this memory back to other threads.
    pub(crate) fn answer(
        &mut self,
        batch: Vec<Arc<QueuedTask<W>>>,
        answers: impl IntoIterator<Item = W::Answer>,
    ) {
        self.pace.executed(Instant::now());
        let queue = &*self.queue;
        let answers = answers.into_iter().chain(std::iter::repeat_with(|| queue.work.closed()));
        let mut callers = CallersToWake(Vec::with_capacity(batch.len()));
        for (task, answer) in batch.iter().zip(answers) {
            callers.0.extend(queue.set_answer(task, answer));
        }
        let in_hand = std::mem::take(&mut lock(&queue.state).in_hand);
        debug_assert_eq!(in_hand.len(), batch.len(), "a worker answers each batch as a whole");
        drop((in_hand, batch));
    }

    /// Returns the next batch, or [`Taken::Idle`] after `timeout`. Without a timeout, waits until
    /// there is a batch. The worker must have answered the previous batch.
    pub(crate) fn take(&mut self, timeout: Option<Duration>) -> Taken<W> {
        let queue = &*self.queue;
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = lock(&queue.state);
        if let Some(GatherWait { wanted, pause, until }) = self.pace.gather(Instant::now()) {
            state.wanted = Some(wanted);
            while state.waiting.len() < wanted && !state.closed {
                let wait = until.saturating_duration_since(Instant::now());
                let before = state.waiting.len();
                if wait.is_zero() {
                    break;
                }
                state = wait_for(&queue.to_worker, state, pause.unwrap_or(wait).min(wait));
                if pause.is_some() && before == state.waiting.len() {
                    break;
                }
            }
            state.wanted = None;
        }
        loop {
            state.worker_sleeps = false;
            let batch = state.next_batch(&queue.limits);
            if !batch.is_empty() {
                self.pace.begin(batch.len(), Instant::now());
                state.in_hand.extend(batch.iter().cloned());
                return Taken::Batch(batch);
            }
            if state.closed {
                return Taken::Closed;
            }
            state.worker_sleeps = true;
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(wait) if wait.is_zero() => {
                    state.worker_sleeps = false;
                    return Taken::Idle;
                }
                Some(wait) => wait_for(&queue.to_worker, state, wait),
                None => queue.to_worker.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Callers whose tasks have their answers. They are woken when this value is dropped, even by a
/// panic, and even if the waker of another caller panics.
struct CallersToWake(Vec<Waker>);

impl Drop for CallersToWake {
    fn drop(&mut self) {
        let mut panicked = None;
        for waker in self.0.drain(..) {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked.get_or_insert(panic);
            }
        }
        if let Some(panic) = panicked
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl<W: Work> QueueState<W> {
    /// Removes the tasks of the next batch from the queue. Tasks whose future was dropped are
    /// removed too. The batch is empty only if no task waits.
    fn next_batch(&mut self, limits: &QueueLimits) -> Vec<Arc<QueuedTask<W>>> {
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while batch.len() < limits.batch && bytes < limits.batch_bytes {
            let Some(task) = self.waiting.pop_front() else { break };
            let size = W::size(&task.task);
            self.bytes = self.bytes.saturating_sub(size);
            if task.is_open() {
                bytes = bytes.saturating_add(size);
                batch.push(task);
            }
        }
        batch
    }
}

impl<W: Work> Drop for QueueWorker<W> {
    fn drop(&mut self) {
        let queue = &*self.queue;
        let mut state = lock(&queue.state);
        state.ended = true;
        let waiting: Vec<_> = state.waiting.drain(..).collect();
        let left: Vec<_> = waiting.into_iter().chain(state.in_hand.drain(..)).collect();
        drop(state);
        left.iter().for_each(|task| queue.answer(task, queue.work.closed()));
        queue.work.ended();
        lock(&queue.state).answered = true;
        queue.to_watch.notify_one();
        queue.to_closing.notify_all();
    }
}
