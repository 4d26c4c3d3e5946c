//! Tests of what the queue guarantees, in the order of the numbered list in the module's
//! documentation.
#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::block_on::block_on;

/// A task: a number to double, and its size in bytes.
type Task = (u32, usize);
type Answer = Result<u32, &'static str>;

#[derive(Default)]
struct Doubling {
    answered: Mutex<Vec<(u32, Answer)>>,
    ended: AtomicU32,
}

impl Work for Doubling {
    type Task = Task;
    type Answer = Answer;

    fn size(task: &Task) -> usize {
        task.1
    }

    fn late(&self) -> Answer {
        Err("late")
    }

    fn closed(&self) -> Answer {
        Err("closed")
    }

    fn answered(&self, task: &Task, answer: &Answer) {
        lock(&self.answered).push((task.0, *answer));
    }

    fn ended(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

const LIMITS: QueueLimits = QueueLimits {
    budget: Duration::from_secs(60),
    waiting: 4,
    waiting_bytes: 100,
    batch: 3,
    batch_bytes: 50,
    gather: None,
};

const SHORT: Duration = Duration::from_millis(60);
/// A time so long that only a worker that hangs exceeds it, even on a busy machine.
const HUNG: Duration = Duration::from_millis(500);

fn queue(limits: QueueLimits) -> Arc<WorkQueue<Doubling>> {
    Arc::new(WorkQueue::new(Doubling::default(), limits))
}

/// Returns the worker's side of the queue without a thread, so that the test controls what happens
/// when.
fn worker(queue: &Arc<WorkQueue<Doubling>>) -> QueueWorker<Doubling> {
    QueueWorker::new(queue)
}

fn batch(worker: &mut QueueWorker<Doubling>) -> Vec<Arc<QueuedTask<Doubling>>> {
    match worker.take(Some(Duration::ZERO)) {
        Taken::Batch(batch) => batch,
        Taken::Idle => panic!("no task waits"),
        Taken::Closed => panic!("the queue is closed"),
    }
}

fn numbers(batch: &[Arc<QueuedTask<Doubling>>]) -> Vec<u32> {
    batch.iter().map(|task| task.task.0).collect()
}

/// Executes every task until the queue is closed.
fn double_all(worker: &mut QueueWorker<Doubling>) {
    loop {
        match worker.take(None) {
            Taken::Batch(batch) => {
                let doubled = numbers(&batch).into_iter().map(|number| Ok(number * 2));
                worker.answer(batch, doubled);
            }
            Taken::Idle => {}
            Taken::Closed => return,
        }
    }
}

fn error<T>(result: Result<T, QueueError>) -> Option<QueueError> {
    result.err()
}

#[test]
fn each_task_gets_its_own_answer_in_order() {
    let queue = queue(LIMITS);
    let mut worker = worker(&queue);
    let waiting: Vec<_> = (1..=4).map(|n| queue.put((n, 0)).unwrap()).collect();
    assert!(matches!(queue.put((5, 0)), Err(QueueError::Full)));
    // A batch has at most the maximum number of tasks, in the order of arrival.
    let first = batch(&mut worker);
    assert_eq!(numbers(&first), [1, 2, 3]);
    for task in first.iter().rev() {
        queue.answer(task, Ok(task.task.0 * 2));
    }
    let second = batch(&mut worker);
    assert_eq!(numbers(&second), [4]);
    queue.answer(&second[0], Ok(8));
    // Only the first answer to a task is passed on, and it is reported once.
    queue.answer(&second[0], Err("again"));
    let answers: Vec<_> = waiting.into_iter().map(block_on).collect();
    assert_eq!(answers, [Ok(2), Ok(4), Ok(6), Ok(8)]);
    let answered = lock(&queue.work.answered).clone();
    assert_eq!(answered, [(3, Ok(6)), (2, Ok(4)), (1, Ok(2)), (4, Ok(8))]);
    assert!(matches!(worker.take(Some(Duration::ZERO)), Taken::Idle));
}

#[test]
fn a_worker_that_hangs_makes_tasks_late() {
    let queue = queue(QueueLimits { budget: HUNG, ..LIMITS });
    let (release, released) = mpsc::channel::<()>();
    queue
        .start("test", move |worker| {
            let taken = worker.take(None);
            let _ = released.recv();
            if let Taken::Batch(batch) = taken {
                worker.answer(batch, [Ok(0)]);
            }
            double_all(worker);
        })
        .unwrap();
    let began = Instant::now();
    let in_hand = queue.put((1, 0)).unwrap();
    assert_eq!(block_on(in_hand), Err("late"));
    assert!(began.elapsed() >= HUNG);
    // Tasks that the worker has not taken, and tasks for which no caller waits, are answered too.
    queue.post((2, 0)).unwrap();
    assert_eq!(block_on(queue.put((3, 0)).unwrap()), Err("late"));
    release.send(()).unwrap();
    // The worker's answer comes too late, so it is not reported. The worker continues with the next
    // task.
    assert_eq!(block_on(queue.put((4, 0)).unwrap()), Ok(8));
    let answered = lock(&queue.work.answered).clone();
    assert_eq!(answered[..3], [(1, Err("late")), (2, Err("late")), (3, Err("late"))]);
    assert_eq!(answered[3..], [(4, Ok(8))]);
    queue.close();
}

#[test]
fn a_worker_that_panics_closes_the_queue() {
    let queue = queue(LIMITS);
    let (go, gone) = mpsc::channel::<()>();
    queue
        .start("test", move |worker| {
            let _ = gone.recv();
            let Taken::Batch(_) = worker.take(None) else { return };
            std::panic::resume_unwind(Box::new("a panic without a message"));
        })
        .unwrap();
    // The worker takes one batch, and one task stays in the queue.
    let waiting: Vec<_> = (1..=4).map(|n| queue.put((n, 0)).unwrap()).collect();
    go.send(()).unwrap();
    for future in waiting {
        assert_eq!(block_on(future), Err("closed"));
    }
    queue.close();
    assert_eq!(queue.work.ended.load(Ordering::SeqCst), 1);
    assert_eq!(lock(&queue.work.answered).len(), 4);
    assert_eq!(error(queue.put((9, 0))), Some(QueueError::Closed));
    assert_eq!(error(queue.post((9, 0))), Some(QueueError::Closed));
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let queue = queue(LIMITS);
    let mut worker = worker(&queue);
    // The queue refuses a task beyond the limit on their number.
    let waiting: Vec<_> = (1..=4).map(|n| queue.put((n, 1)).unwrap()).collect();
    assert_eq!(error(queue.put((5, 1))), Some(QueueError::Full));
    assert_eq!(error(queue.post((5, 1))), Some(QueueError::Full));
    batch(&mut worker);
    batch(&mut worker);
    drop(waiting);
    // The queue refuses a task beyond the limit in bytes, which then takes no room. A task larger
    // than the limit is accepted if the queue is empty.
    queue.post((6, 60)).unwrap();
    assert_eq!(error(queue.post((7, 41))), Some(QueueError::Full));
    queue.post((8, 40)).unwrap();
    assert_eq!(numbers(&batch(&mut worker)), [6]);
    assert_eq!(numbers(&batch(&mut worker)), [8]);
    queue.post((9, 1_000)).unwrap();
    assert_eq!(error(queue.post((10, 1))), Some(QueueError::Full));
    assert_eq!(numbers(&batch(&mut worker)), [9]);
    queue.post((11, 100)).unwrap();
    assert_eq!(lock(&queue.state).bytes, 100);
}

#[test]
fn a_task_that_is_dropped_while_waiting_is_skipped() {
    let queue = queue(LIMITS);
    let mut worker = worker(&queue);
    let mut waiting: Vec<_> = (1..=4).map(|n| queue.put((n, 25)).unwrap()).collect();
    drop(waiting.remove(1));
    drop(waiting.remove(0));
    // The dropped task takes no place in the batch, and its bytes are free again.
    assert_eq!(numbers(&batch(&mut worker)), [3, 4]);
    assert_eq!(lock(&queue.state).bytes, 0);
    // The future is dropped after the task was taken. The answer is discarded, and the next task is
    // not affected.
    let first = queue.put((5, 0)).unwrap();
    let taken = batch(&mut worker);
    drop(first);
    queue.answer(&taken[0], Ok(10));
    assert!(lock(&queue.work.answered).is_empty());
    // A queue with only dropped tasks counts as empty.
    drop(queue.put((6, 0)).unwrap());
    assert!(matches!(worker.take(Some(Duration::ZERO)), Taken::Idle));
}

#[test]
fn closing_loses_no_waiting_task() {
    let queue = queue(LIMITS);
    let waiting: Vec<_> = (1..=4).map(|n| queue.put((n, 0)).unwrap()).collect();
    let dropped = Arc::new(AtomicBool::new(false));
    struct OpenFiles(Arc<AtomicBool>);
    impl Drop for OpenFiles {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(20));
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let files = OpenFiles(Arc::clone(&dropped));
    // The queue is closed before the worker starts. The worker still executes all tasks.
    lock(&queue.state).closed = true;
    queue
        .start("test", move |worker| {
            let _files = files;
            double_all(worker);
        })
        .unwrap();
    queue.close();
    // What the worker owns is dropped before `close` returns.
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(error(queue.put((9, 0))), Some(QueueError::Closed));
    let answers: Vec<_> = waiting.into_iter().map(block_on).collect();
    assert_eq!(answers, [Ok(2), Ok(4), Ok(6), Ok(8)]);
    queue.close();
}

#[test]
fn closing_waits_no_longer_than_the_budget() {
    let queue = queue(QueueLimits { budget: SHORT, ..LIMITS });
    let (_hold, held) = mpsc::channel::<()>();
    queue
        .start("test", move |_| {
            let _ = held.recv_timeout(Duration::from_secs(60));
        })
        .unwrap();
    let began = Instant::now();
    queue.close();
    let took = began.elapsed();
    assert!(took >= SHORT && took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn two_producers_lose_and_double_nothing() {
    const EACH: u32 = 3_000;
    let queue = queue(QueueLimits { waiting: 8, ..LIMITS });
    queue.start("test", double_all).unwrap();
    let full = AtomicU32::new(0);
    thread::scope(|scope| {
        for producer in 0..2 {
            let (queue, full) = (&queue, &full);
            scope.spawn(move || {
                for n in 0..EACH {
                    let number = producer * EACH + n;
                    // Only some answers are awaited, so that the worker sleeps now and then.
                    let asks = n % 7 == 0;
                    let put = || match asks {
                        true => queue.put((number, 0)).map(Some),
                        false => queue.post((number, 0)).map(|()| None),
                    };
                    let answer = loop {
                        match put() {
                            Ok(answer) => break answer,
                            Err(_) => full.fetch_add(1, Ordering::SeqCst),
                        };
                        thread::yield_now();
                    };
                    if let Some(answer) = answer {
                        assert_eq!(block_on(answer), Ok(number * 2));
                    }
                }
            });
        }
    });
    queue.close();
    let answered = lock(&queue.work.answered).clone();
    assert_eq!(answered.len(), 2 * EACH as usize);
    // The tasks of each producer were executed in the order in which it put them.
    for producer in 0..2 {
        let own = answered.iter().map(|(number, _)| *number);
        let own: Vec<_> = own.filter(|number| number / EACH == producer).collect();
        assert_eq!(own, (producer * EACH..(producer + 1) * EACH).collect::<Vec<_>>());
    }
}

#[test]
fn a_caller_that_is_woken_may_put_at_once() {
    struct PutsAgain(Arc<WorkQueue<Doubling>>);
    impl Wake for PutsAgain {
        fn wake(self: Arc<Self>) {
            self.0.post((7, 0)).unwrap();
        }
    }
    let queue = queue(LIMITS);
    let mut worker = worker(&queue);
    let mut waiting = queue.put((1, 0)).unwrap();
    let waker = Waker::from(Arc::new(PutsAgain(Arc::clone(&queue))));
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut waiting).poll(&mut context).is_pending());
    let taken = batch(&mut worker);
    worker.answer(taken, [Ok(2)]);
    assert_eq!(numbers(&batch(&mut worker)), [7]);
    assert_eq!(Pin::new(&mut waiting).poll(&mut context), Poll::Ready(Ok(2)));
    // The completed future is polled again, which the contract of futures forbids. It must return
    // an error and not panic.
    assert_eq!(Pin::new(&mut waiting).poll(&mut context), Poll::Ready(Err("closed")));
}

#[test]
fn both_threads_end_with_the_queue() {
    let queue = queue(LIMITS);
    queue.start("test", double_all).unwrap();
    assert_eq!(block_on(queue.put((1, 0)).unwrap()), Ok(2));
    queue.close();
    let until = Instant::now() + Duration::from_secs(30);
    while Arc::strong_count(&queue) > 1 {
        assert!(Instant::now() < until, "a thread still holds the queue");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn gathering_ends_when_the_wanted_tasks_are_there() {
    let how = Gather { time: Duration::from_secs(60), most: 32, probe: 4 };
    let queue = queue(QueueLimits { gather: Some(how), ..LIMITS });
    let mut worker = worker(&queue);
    queue.post((1, 0)).unwrap();
    queue.post((2, 0)).unwrap();
    let first = batch(&mut worker);
    assert_eq!(numbers(&first), [1, 2]);
    worker.answer(first, [Ok(2), Ok(4)]);
    thread::scope(|scope| {
        let (queue, worker) = (&queue, &mut worker);
        let taking = scope.spawn(move || numbers(&batch(worker)));
        while lock(&queue.state).wanted.is_none() {
            thread::yield_now();
        }
        queue.post((3, 0)).unwrap();
        queue.post((4, 0)).unwrap();
        assert_eq!(taking.join().unwrap(), [3, 4]);
    });
}

#[test]
fn counting_the_callers_ends_when_no_further_task_arrives() {
    let how = Gather { time: Duration::from_secs(60), most: 32, probe: 4 };
    let queue = queue(QueueLimits { gather: Some(how), ..LIMITS });
    let mut worker = worker(&queue);
    for _ in 0..gather::PERIOD {
        worker.pace.begin(3, Instant::now());
        worker.pace.executed(Instant::now());
    }
    (1..=3).for_each(|n| queue.post((n, 0)).unwrap());
    // Without that end, the worker would wait for three minutes for 64 tasks.
    assert_eq!(numbers(&batch(&mut worker)), [1, 2, 3]);
}
