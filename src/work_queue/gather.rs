//! When a worker waits for more tasks before it takes a batch.

use std::time::{Duration, Instant};

/// How a worker gathers tasks that come at the same time. They then share one batch and one round of
/// waking their callers, which can cost more than the work itself.
///
/// A caller that puts one task after the other must not wait for tasks of others that do not come:
/// after batches of one task the worker gathers only now and then, to see whether that has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// How long after the beginning of the last batch the worker waits at most.
    pub(crate) time: Duration,
    /// The worker waits for at most so many tasks, and for at most as many as the largest recent
    /// batch had: further callers may not exist.
    pub(crate) most: usize,
    /// After batches of one task, one of so many batches gathers.
    pub(crate) probe: u32,
}

/// When batches were begun, and how large they were.
#[derive(Default)]
pub(super) struct BatchPace {
    begun: Option<Instant>,
    /// Batches of one task since the last larger one.
    alone: u32,
    /// The tasks of the largest recent batch; it shrinks with every smaller batch.
    most: usize,
}

impl BatchPace {
    /// Returns how many tasks to wait for and until when, or `None` for a batch that should not
    /// wait.
    pub(super) fn gather(&self, how: Gather) -> Option<(usize, Instant)> {
        let until = self.begun? + how.time;
        self.alone.is_multiple_of(how.probe).then(|| (self.most.clamp(2, how.most), until))
    }

    /// Notes that a batch of `tasks` begins now.
    pub(super) fn begin(&mut self, tasks: usize) {
        self.begun = Some(Instant::now());
        self.alone = if tasks > 1 { 0 } else { self.alone.wrapping_add(1) };
        self.most = tasks.max(self.most - self.most.div_ceil(8));
    }
}
