//! Runs work on all cores, and returns the results in order, with limited memory.
//!
//! A reader makes units of work, workers turn each unit into a result, and the caller gets the
//! results in the order of the units. All queues are limited, so that only a few batches of a long
//! file are in memory at a time.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Maximum number of waiting batches for each worker.
const WAITING_BATCHES: usize = 4;

/// Passes units of work to the workers. Returns `Break` when the results are not received any more.
pub(crate) struct UnitSender<U, R> {
    batch: Vec<U>,
    /// Number of units in one batch.
    size: usize,
    jobs: SyncSender<(Vec<U>, SyncSender<Vec<R>>)>,
    order: SyncSender<Receiver<Vec<R>>>,
}

impl<U, R> UnitSender<U, R> {
    /// Passes one unit on.
    pub(crate) fn send(&mut self, unit: U) -> ControlFlow<()> {
        self.batch.push(unit);
        if self.batch.len() >= self.size { self.flush() } else { ControlFlow::Continue(()) }
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.batch.is_empty() {
            return ControlFlow::Continue(());
        }
        let (done, result) = sync_channel(1);
        let batch = std::mem::take(&mut self.batch);
        // The place of the result in the order is reserved before the work begins. An error means
        // that the receiver of the results is gone.
        match self.order.send(result).and_then(|()| {
            self.jobs.send((batch, done)).map_err(|_| std::sync::mpsc::SendError(never()))
        }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn never<R>() -> Receiver<R> {
    sync_channel(0).1
}

/// Runs `read` on one thread and `work` on every core. Calls `take` on the current thread with each
/// result, in order, until `take` returns an error. Units are passed on in batches of `size`; use 1
/// if a unit is large.
pub(crate) fn in_order<U: Send, R: Send, E>(
    size: usize,
    read: impl FnOnce(&mut UnitSender<U, R>) + Send,
    work: impl Fn(U) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (jobs, queue) = sync_channel::<(Vec<U>, SyncSender<Vec<R>>)>(workers * WAITING_BATCHES);
    let (order, results) = sync_channel(workers * WAITING_BATCHES);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    // The lock is held while one batch is received. Even if a worker panicked while
                    // it held the lock, the queue is intact.
                    let job = queue.lock().unwrap_or_else(|e| e.into_inner()).recv();
                    let Ok((batch, done)) = job else { break };
                    if done.send(batch.into_iter().map(&work).collect()).is_err() {
                        break;
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut units = UnitSender { batch: Vec::with_capacity(size), size, jobs, order };
            read(&mut units);
            let _ = units.flush();
        });
        let mut outcome = Ok(());
        for batch in &results {
            let Ok(batch) = batch.recv() else { break };
            outcome = batch.into_iter().try_for_each(&mut take);
            if outcome.is_err() {
                break;
            }
        }
        // Dropping the results ends the reader and the workers.
        drop(results);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_units() {
        let mut seen = Vec::new();
        let done = in_order(
            32,
            |units| {
                for n in 0..10_000_u32 {
                    if units.send(n).is_break() {
                        break;
                    }
                }
            },
            |n| {
                if n % 97 == 0 {
                    std::thread::yield_now();
                }
                n * 2
            },
            |n| {
                seen.push(n);
                Ok::<(), ()>(())
            },
        );
        assert_eq!(done, Ok(()));
        assert!(seen.iter().copied().eq((0..10_000).map(|n| n * 2)));
    }

    #[test]
    fn the_receiver_can_stop_an_endless_reader() {
        let mut taken = 0;
        let done = in_order(
            32,
            |units| while units.send(()).is_continue() {},
            |()| (),
            |()| {
                taken += 1;
                if taken == 1000 { Err("enough") } else { Ok(()) }
            },
        );
        assert_eq!((done, taken), (Err("enough"), 1000));
    }
}
