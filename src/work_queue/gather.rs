//! Decides when a worker waits for more tasks before it takes a batch.

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// How a worker gathers tasks that arrive at the same time. They then share one batch and one round
/// of waking their callers, which can cost more than the work itself.
///
/// A caller that puts one task after another should not wait for tasks that do not come. So after
/// batches of a single task, the worker waits for more tasks only now and then, to find out whether
/// there are more callers.
///
/// Either all callers share a batch, or the worker waits only for half of them: it then works for
/// one half while the other half prepares its next tasks. If half of the callers prepare in half of
/// the time, that saves the time of a batch, or the time by which preparing takes longer than a
/// batch, if this is shorter. But it needs a second batch, so the worker does it only if it saves
/// [`HALVING_COST`] or more.
///
/// From time to time the worker counts the callers: it waits until no further task arrives. For the
/// next batch it waits for all of them, and measures how long preparing and a batch take. Counting
/// delays all callers, so the worker counts after [`PERIOD`] batches, and less often while neither the
/// number of callers changes nor whether they share a batch. It counts more often again with each
/// batch that has fewer tasks than it waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// Maximum time, from the beginning of the last batch, for which the worker waits. For all
    /// callers it waits up to [`COUNTING`] times as long.
    pub(crate) time: Duration,
    /// Maximum number of tasks for which the worker waits. While it counts the callers, it waits for
    /// up to twice as many.
    pub(crate) most: usize,
    /// The number of single-task batches after which the worker gathers once, to see whether there
    /// are more callers by now.
    pub(crate) probe: u32,
}

/// The number of batches after which the worker counts its callers again. It doubles, up to
/// [`LONGEST_PERIOD`], with each count that finds no change.
pub(super) const PERIOD: u32 = 128;
/// The largest number of batches after which the worker counts its callers again.
pub(super) const LONGEST_PERIOD: u32 = 32 * PERIOD;

/// Minimum time that two batches, each for half of the callers, must save compared with one batch
/// for all. With two, the disk is written and threads are woken twice. As measured on two
/// processors: where less time was saved, one batch was as fast, or faster.
const HALVING_COST: Duration = Duration::from_micros(1_500);

/// The factor by which the worker waits longer where it waits for all callers.
const COUNTING: u32 = 3;

/// While the worker counts its callers, it waits for this many times the duration of a batch for a
/// further task. A caller whose thread has to wait for a processor is then counted, too.
const PATIENCE: u32 = 4;

/// Until when a worker waits for more tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GatherWait {
    /// The number of waiting tasks at which the wait ends.
    pub(super) wanted: usize,
    /// The wait ends if no task arrives for this time.
    pub(super) pause: Option<Duration>,
    /// When the wait ends in any case.
    pub(super) until: Instant,
}

/// Decides how a worker gathers, by the times at which batches were begun, and their sizes.
#[derive(Default)]
pub(super) struct BatchPace {
    /// How the worker gathers; `None` if it does not.
    how: Option<Gather>,
    batch_begun_at: Option<Instant>,
    /// When the worker had executed the last batch, and how long that took.
    executed: Option<(Instant, Duration)>,
    /// Number of batches of a single task since the last larger batch.
    alone: u32,
    /// Number of batches since the callers were last counted. Before batch 0 the worker counts them,
    /// and before batch 1 it waits for all of them.
    turn: u32,
    /// The number of batches after which the worker counts the callers again.
    period: u32,
    /// Estimated number of callers.
    callers: usize,
    /// Whether the worker waits only for half of the callers.
    halved: bool,
}

impl BatchPace {
    pub(super) fn new(how: Option<Gather>) -> Self {
        BatchPace { how, period: PERIOD, ..BatchPace::default() }
    }

    /// Records that the last batch was executed at the time `now`.
    pub(super) fn executed(&mut self, now: Instant) {
        let begun_at = self.batch_begun_at.unwrap_or(now);
        self.executed = Some((now, now.saturating_duration_since(begun_at)));
    }

    /// Returns how to wait for more tasks, or `None` if the worker should not wait. At the time `now`
    /// the worker has woken the callers of the last batch and can take the next one.
    pub(super) fn gather(&self, now: Instant) -> Option<GatherWait> {
        let (how, begun_at) = (self.how?, self.batch_begun_at?);
        let execution = now.saturating_duration_since(begun_at);
        if !self.alone.is_multiple_of(how.probe) {
            return None;
        }
        let pause = (self.turn == 0).then(|| execution.saturating_mul(PATIENCE));
        let time = if self.turn < 2 { COUNTING * how.time } else { how.time };
        Some(GatherWait { wanted: self.wanted(how).max(2), pause, until: begun_at + time })
    }

    fn wanted(&self, how: Gather) -> usize {
        match self.turn {
            0 => 2 * how.most,
            1 => self.callers.min(2 * how.most),
            _ if self.halved => self.callers.div_ceil(2).min(how.most),
            _ => self.callers.min(how.most),
        }
    }

    /// Records that a batch of `tasks` begins at the time `now`.
    pub(super) fn begin(&mut self, tasks: usize, now: Instant) {
        let Some(how) = self.how else { return };
        let begun_before = self.batch_begun_at.replace(now);
        self.alone = if tasks > 1 { 0 } else { self.alone.wrapping_add(1) };
        // The worker does not count beyond that, so more callers make no difference.
        let tasks = tasks.min(2 * how.most);
        let wanted = self.wanted(how);
        if self.turn == 0 && tasks.abs_diff(self.callers) <= self.callers / 8 {
            self.period = self.period.saturating_mul(2).min(LONGEST_PERIOD);
            self.callers = tasks;
        } else if self.turn == 0 || tasks > self.callers {
            self.period = PERIOD;
            self.callers = tasks;
        } else if tasks < wanted {
            // Some callers are late, or gone. If they are gone, each batch is delayed until the worker
            // counts again, so a few such batches must suffice.
            self.period = (self.period / 2).max(PERIOD);
            if 4 * tasks < 3 * wanted {
                self.callers -= self.callers.div_ceil(8);
            }
        }
        // Before this batch, all callers prepared their tasks after the last batch was executed. After
        // a longer time, they paused, or the worker did something else.
        if self.turn == 1
            && let (Some(begun_before), Some((executed_at, execution))) =
                (begun_before, self.executed)
            && now <= begun_before + COUNTING * how.time
        {
            let preparation = now.saturating_duration_since(executed_at);
            let saved = execution.min(preparation.saturating_sub(execution));
            let halved = saved >= HALVING_COST;
            if halved != self.halved {
                self.period = PERIOD;
            }
            self.halved = halved;
        }
        self.turn = if self.turn + 1 < self.period { self.turn + 1 } else { 0 };
    }
}
