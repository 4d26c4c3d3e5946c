//! Questions wait here for the worker, and those who asked wait for their answers.
//!
//! Any runtime can wait, since only wakers are used; that is also why a watch is needed: without a
//! runtime nobody else would wake a claim whose time is up.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::{About, Claim, Kept, Retention, Seen, StoreError};
use crate::clock::Timestamp;

/// Questions that may wait. Further ones are refused: a server that is so far behind does not
/// catch up by remembering more.
const WAITING: usize = 8_192;

/// Questions that share one commit.
const BATCH: usize = 512;

/// What can be asked; times in seconds.
pub(super) enum Ask {
    /// `raising`: even where that closes the store for others.
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
    About,
    Prune {
        now: i64,
        limit: u32,
    },
    List {
        after: Option<Kept>,
        limit: u32,
    },
}

/// What is answered.
pub(super) enum Answer {
    Done,
    Claim(Claim),
    Seen(Option<Seen>),
    Floor(Timestamp),
    About(About),
    Swept(u64),
    List(Vec<Kept>),
}

/// A question on its way.
pub(super) struct Job {
    pub(super) ask: Ask,
    due: Instant,
    reply: Mutex<Reply>,
}

enum Reply {
    Open(Option<Waker>),
    Given(Result<Answer, StoreError>),
    /// Taken, or nobody waits any more.
    Over,
}

impl Job {
    /// Whether somebody still waits for the answer.
    pub(super) fn is_open(&self) -> bool {
        matches!(*lock(&self.reply), Reply::Open(_))
    }

    /// Only the first answer counts.
    pub(super) fn answer(&self, answer: Result<Answer, StoreError>) {
        let mut reply = lock(&self.reply);
        if !matches!(*reply, Reply::Open(_)) {
            return;
        }
        let waiting = std::mem::replace(&mut *reply, Reply::Given(answer));
        drop(reply);
        if let Reply::Open(Some(waker)) = waiting {
            waker.wake();
        }
    }
}

/// The queue between those who ask and the worker.
pub(super) struct Desk {
    pub(super) budget: Duration,
    queue: Mutex<Queue>,
    /// Something waits, or it is over: for the worker.
    work: Condvar,
    /// Likewise: for the watch.
    watch: Condvar,
    /// The worker has gone.
    gone: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Job>>,
    /// What the worker has in hand.
    in_hand: Vec<Arc<Job>>,
    /// The watch sleeps until it is called.
    unwatched: bool,
    closed: bool,
    gone: bool,
    /// Why the last batch failed, if it did.
    failed: Option<Fault>,
}

impl Desk {
    pub(super) fn new(budget: Duration) -> Self {
        Desk {
            budget,
            queue: Mutex::default(),
            work: Condvar::new(),
            watch: Condvar::new(),
            gone: Condvar::new(),
        }
    }

    /// Asks, and waits without blocking.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, StoreError> {
        self.put(ask)?.await
    }

    fn put(&self, ask: Ask) -> Result<Waiting, StoreError> {
        let due = Instant::now() + self.budget;
        let job = Arc::new(Job { ask, due, reply: Mutex::new(Reply::Open(None)) });
        let mut queue = lock(&self.queue);
        if queue.closed || queue.gone {
            return Err(StoreError::new("the store is closed"));
        }
        if queue.waiting.len() >= WAITING {
            return Err(StoreError::new(format!("{WAITING} questions wait for the store already")));
        }
        queue.waiting.push_back(Arc::clone(&job));
        let idle = queue.in_hand.is_empty() && queue.waiting.len() == 1;
        let unwatched = std::mem::take(&mut queue.unwatched);
        drop(queue);
        // A worker with something in hand looks into the queue before it sleeps.
        if idle {
            self.work.notify_one();
        }
        if unwatched {
            self.watch.notify_one();
        }
        Ok(Waiting(job))
    }

    /// Asks, and blocks this thread until the answer is there.
    pub(super) fn ask_blocking(&self, ask: Ask) -> Result<Answer, StoreError> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let mut future = std::pin::pin!(self.ask(ask));
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// For the worker: what waits now, or, once the desk is closed, nothing. What was in hand
    /// before is done.
    pub(super) fn take(&self) -> Option<Vec<Arc<Job>>> {
        let mut queue = lock(&self.queue);
        queue.in_hand.clear();
        loop {
            let count = queue.waiting.len().min(BATCH);
            let jobs: Vec<_> = queue.waiting.drain(..count).filter(|job| job.is_open()).collect();
            if !jobs.is_empty() {
                queue.in_hand.extend(jobs.iter().cloned());
                return Some(jobs);
            }
            if queue.closed && queue.waiting.is_empty() {
                return None;
            }
            if queue.waiting.is_empty() {
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// For the worker: how a batch ended.
    pub(super) fn ended(&self, failed: Option<Fault>) {
        lock(&self.queue).failed = failed;
    }

    /// For the watch: answers whatever is late, until the desk is closed and nothing waits.
    pub(super) fn keep_watch(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let now = Instant::now();
            // All have the same time, and those behind came later.
            let jobs = queue.in_hand.iter().chain(&queue.waiting);
            let mut open = jobs.filter(|job| job.is_open()).peekable();
            let mut overdue = Vec::new();
            while let Some(job) = open.next_if(|job| job.due <= now) {
                overdue.push(Arc::clone(job));
            }
            let next = open.peek().map(|job| job.due);
            if !overdue.is_empty() {
                let late = Fault::late(queue.failed.as_ref());
                // Whoever is woken may ask again at once.
                drop(queue);
                overdue.iter().for_each(|job| job.answer(Err(late.error())));
                queue = lock(&self.queue);
                continue;
            }
            if queue.gone {
                return;
            }
            queue = match next {
                Some(due) => {
                    let wait = due.saturating_duration_since(now);
                    let woken = self.watch.wait_timeout(queue, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    queue.unwatched = true;
                    self.watch.wait(queue).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// For the worker, however it ends.
    pub(super) fn leave(&self) {
        let mut queue = lock(&self.queue);
        queue.gone = true;
        let left: Vec<_> = queue.waiting.drain(..).collect();
        let left: Vec<_> = left.into_iter().chain(queue.in_hand.drain(..)).collect();
        drop(queue);
        for job in left {
            job.answer(Err(StoreError::new("the store is closed")));
        }
        self.watch.notify_one();
        self.gone.notify_all();
    }

    /// Ends the worker, and waits for it to let go of the file; not longer than for an answer.
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

/// Waits for an answer.
struct Waiting(Arc<Job>);

impl Future for Waiting {
    type Output = Result<Answer, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut reply = lock(&self.0.reply);
        match std::mem::replace(&mut *reply, Reply::Over) {
            Reply::Open(_) => {
                *reply = Reply::Open(Some(context.waker().clone()));
                Poll::Pending
            }
            Reply::Given(answer) => Poll::Ready(answer),
            Reply::Over => Poll::Ready(Err(StoreError::new("the answer was taken before"))),
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
