//! Decides when a worker waits for more tasks before it takes a batch.

use std::time::{Duration, Instant};

/// How a worker gathers tasks that arrive at the same time. They then share one batch and one round
/// of waking their callers, which can cost more than the work itself.
///
/// A caller that puts one task after another should not wait for tasks that do not come. So after
/// batches of a single task, the worker waits for more tasks only now and then, to find out whether
/// there are more callers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// Maximum time, from the beginning of the last batch, for which the worker waits.
    pub(crate) time: Duration,
    /// Maximum number of tasks for which the worker waits. It also never waits for more tasks than
    /// the largest recent batch had, because there may be no more callers.
    pub(crate) most: usize,
    /// The number of single-task batches after which the worker gathers once, to see whether there
    /// are more callers by now.
    pub(crate) probe: u32,
}

/// The times at which batches were begun, and their sizes.
#[derive(Default)]
pub(super) struct BatchPace {
    batch_begun_at: Option<Instant>,
    /// Number of batches of a single task since the last larger batch.
    alone: u32,
    /// Number of tasks in the largest recent batch. It decreases with every smaller batch.
    most: usize,
}

impl BatchPace {
    /// Returns for how many tasks to wait and until when, or `None` if the worker should not wait.
    pub(super) fn gather(&self, how: Gather) -> Option<(usize, Instant)> {
        let until = self.batch_begun_at? + how.time;
        self.alone.is_multiple_of(how.probe).then(|| (self.most.clamp(2, how.most), until))
    }

    /// Records that a batch of `tasks` begins now.
    pub(super) fn begin(&mut self, tasks: usize) {
        self.batch_begun_at = Some(Instant::now());
        self.alone = if tasks > 1 { 0 } else { self.alone.wrapping_add(1) };
        self.most = tasks.max(self.most - self.most.div_ceil(8));
    }
}
