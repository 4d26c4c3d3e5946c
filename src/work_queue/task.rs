//! A task in the queue, and the future that waits for its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::{Work, WorkQueue, lock};

/// A task that waits in the queue or is being executed.
pub(crate) struct QueuedTask<W: Work> {
    pub(crate) task: W::Task,
    pub(super) due: Instant,
    reply: Mutex<Reply<W::Answer>>,
}

pub(super) enum Reply<A> {
    /// A caller waits for the answer. The variant holds the waker of the caller, once the caller
    /// has polled.
    Awaited(Option<Waker>),
    /// No caller waits. Only [`Work::answered`] gets the answer.
    Posted,
    Given(A),
    /// The caller has taken the answer, or has dropped its future.
    Over,
}

impl<W: Work> QueuedTask<W> {
    pub(super) fn new(task: W::Task, due: Instant, reply: Reply<W::Answer>) -> Self {
        QueuedTask { task, due, reply: Mutex::new(reply) }
    }

    /// Returns true if the task has no answer yet and its answer is still wanted.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*lock(&self.reply), Reply::Awaited(_) | Reply::Posted)
    }

    /// Sets the answer, after `report` has been called with it, unless the task has an answer or its
    /// caller has dropped the future. Returns the waker of a caller that has to be woken.
    #[must_use]
    pub(super) fn answer(
        &self,
        answer: W::Answer,
        report: impl FnOnce(&W::Answer),
    ) -> Option<Waker> {
        let mut reply = lock(&self.reply);
        let awaited = match *reply {
            Reply::Awaited(_) => true,
            Reply::Posted => false,
            Reply::Given(_) | Reply::Over => return None,
        };
        report(&answer);
        let given = if awaited { Reply::Given(answer) } else { Reply::Over };
        match std::mem::replace(&mut *reply, given) {
            Reply::Awaited(waker) => waker,
            _ => None,
        }
    }
}

/// A future that completes when its task has an answer. Dropping the future gives up the task.
pub(crate) struct Waiting<'q, W: Work> {
    queue: &'q WorkQueue<W>,
    task: Arc<QueuedTask<W>>,
}

impl<'q, W: Work> Waiting<'q, W> {
    pub(super) fn new(queue: &'q WorkQueue<W>, task: Arc<QueuedTask<W>>) -> Self {
        Waiting { queue, task }
    }
}

impl<W: Work> Future for Waiting<'_, W> {
    type Output = W::Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Answer> {
        let mut reply = lock(&self.task.reply);
        match std::mem::replace(&mut *reply, Reply::Over) {
            Reply::Awaited(_) => {
                *reply = Reply::Awaited(Some(context.waker().clone()));
                Poll::Pending
            }
            Reply::Given(answer) => Poll::Ready(answer),
            // This happens only if the future is polled again after it has completed.
            Reply::Posted | Reply::Over => Poll::Ready(self.queue.work.closed()),
        }
    }
}

impl<W: Work> Drop for Waiting<'_, W> {
    fn drop(&mut self) {
        *lock(&self.task.reply) = Reply::Over;
    }
}
