//! Tests of how a worker answers a batch.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::{Mutex, Weak};
use std::task::{Context, Poll, Wake};

use super::super::{QueueLimits, Waiting};
use super::*;

type Answer = Result<u32, &'static str>;

/// Tasks are numbers; an answer is the number that was given. Reporting an answer of 13 panics.
struct Numbers;

impl Work for Numbers {
    type Task = u32;
    type Answer = Answer;

    fn late(&self) -> Self::Answer {
        Err("late")
    }

    fn closed(&self) -> Self::Answer {
        Err("closed")
    }

    fn answered(&self, _task: &u32, answer: &Self::Answer) {
        if *answer == Ok(13) {
            // A panic without a message in the output of the test.
            resume_unwind(Box::new("unlucky"));
        }
    }
}

fn queue() -> (Arc<WorkQueue<Numbers>>, QueueWorker<Numbers>) {
    let limits = QueueLimits {
        budget: Duration::from_secs(60),
        waiting: 8,
        waiting_bytes: 100,
        batch: 8,
        batch_bytes: 100,
        gather: None,
    };
    let queue = Arc::new(WorkQueue::new(Numbers, limits));
    let worker = QueueWorker::new(&queue);
    (queue, worker)
}

fn batch(worker: &mut QueueWorker<Numbers>) -> Vec<Arc<QueuedTask<Numbers>>> {
    match worker.take(Some(Duration::ZERO)) {
        Taken::Batch(batch) => batch,
        _ => panic!("no task waits"),
    }
}

/// A caller. When it is woken, it records how many hold its task.
#[derive(Default)]
struct Caller {
    /// Whether its waker then panics.
    panics: bool,
    task: Mutex<Weak<QueuedTask<Numbers>>>,
    holders: Mutex<Option<usize>>,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        *lock(&self.holders) = Some(lock(&self.task).strong_count());
        if self.panics {
            resume_unwind(Box::new("a waker that panics"));
        }
    }
}

fn poll(caller: &Arc<Caller>, waiting: &mut Waiting<'_, Numbers>) -> Poll<Answer> {
    Pin::new(waiting).poll(&mut Context::from_waker(&Arc::clone(caller).into()))
}

/// Puts three tasks, takes them as a batch, and passes the batch to `answer`. Returns the answers
/// that the callers get, and for each caller how many held its task when it was woken.
fn answers_of(
    panics: [bool; 3],
    answer: impl FnOnce(QueueWorker<Numbers>, Vec<Arc<QueuedTask<Numbers>>>),
) -> (Vec<Poll<Answer>>, Vec<Option<usize>>) {
    let (queue, mut worker) = queue();
    let mut waiting: Vec<_> = (0..3).map(|number| queue.put(number).unwrap()).collect();
    let callers = panics.map(|panics| Arc::new(Caller { panics, ..Caller::default() }));
    let pending = |(caller, waiting): (_, &mut Waiting<'_, Numbers>)| poll(caller, waiting);
    assert!(callers.iter().zip(&mut waiting).map(pending).all(|polled| polled.is_pending()));
    let taken = batch(&mut worker);
    for (caller, task) in callers.iter().zip(&taken) {
        *lock(&caller.task) = Arc::downgrade(task);
    }
    answer(worker, taken);
    let answers = callers.iter().zip(&mut waiting).map(pending).collect();
    (answers, callers.iter().map(|caller| *lock(&caller.holders)).collect())
}

#[test]
fn each_task_gets_its_answer_and_is_then_held_by_its_caller_only() {
    let (answers, holders) =
        answers_of([false; 3], |mut worker, taken| worker.answer(taken, (5..8).map(Ok)));
    assert_eq!(answers, (5..8).map(|answer| Poll::Ready(Ok(answer))).collect::<Vec<_>>());
    assert_eq!(holders, [Some(1); 3]);
}

#[test]
fn a_task_without_an_answer_is_answered_as_closed() {
    let (answers, holders) =
        answers_of([false; 3], |mut worker, taken| worker.answer(taken, [Ok(5)]));
    let closed = Poll::Ready(Err("closed"));
    assert_eq!(answers, [Poll::Ready(Ok(5)), closed, closed]);
    assert_eq!(holders, [Some(1); 3]);
}

#[test]
fn a_panic_between_two_answers_leaves_no_caller_without_an_answer() {
    let (answers, holders) = answers_of([false; 3], |mut worker, taken| {
        let answer = AssertUnwindSafe(|| worker.answer(taken, [5, 13, 7].map(Ok)));
        assert!(catch_unwind(answer).is_err());
        drop(worker);
    });
    let closed = Poll::Ready(Err("closed"));
    assert_eq!(answers, [Poll::Ready(Ok(5)), closed, closed]);
    assert!(holders.iter().all(Option::is_some), "each caller was woken: {holders:?}");
}

#[test]
fn a_batch_that_is_not_answered_is_closed_with_the_worker() {
    let (answers, _) = answers_of([false; 3], |worker, taken| {
        drop(taken);
        drop(worker);
    });
    assert_eq!(answers, [Poll::Ready(Err("closed")); 3]);
}

#[test]
fn a_waker_that_panics_leaves_no_other_caller_asleep() {
    let (answers, holders) = answers_of([true, false, false], |mut worker, taken| {
        let answer = AssertUnwindSafe(|| worker.answer(taken, (5..8).map(Ok)));
        assert!(catch_unwind(answer).is_err());
        drop(worker);
    });
    assert_eq!(answers, (5..8).map(|answer| Poll::Ready(Ok(answer))).collect::<Vec<_>>());
    assert_eq!(holders, [Some(1); 3]);
}
