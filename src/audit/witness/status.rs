//! Whether the witnesses sign the checkpoints in time, for metrics and for the server's readiness.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;

/// How many seconds a checkpoint may wait for its quorum before [`WitnessStatus::judge`] returns an
/// error.
pub const QUORUM_PATIENCE: i64 = 60;

/// Whether the witnesses sign the checkpoints in time. The service updates these figures, and
/// metrics read them.
#[derive(Debug, Default)]
pub struct WitnessStatus(Mutex<WitnessFigures>);

/// The figures of a [`WitnessStatus`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitnessFigures {
    /// The number of entries that the last checkpoint with a quorum covers, and when the quorum was
    /// complete.
    pub quorum: Option<(u64, Timestamp)>,
    /// The number of entries that the latest checkpoint covers, and since when it has waited for
    /// its quorum; `None` if it has the quorum.
    pub waiting: Option<(u64, Timestamp)>,
    /// Number of valid signatures that witnesses sent.
    pub cosignatures: u64,
    /// Number of requests to witnesses that failed or were refused.
    pub failures: u64,
    /// Number of times that a witness stated fewer entries than it had signed before.
    pub rollbacks: u64,
    /// The contradiction, if witnesses have shown that the log was rolled back or forked.
    pub contradiction: Option<String>,
}

impl WitnessStatus {
    /// Returns how well the witnesses sign the checkpoints at present.
    pub fn figures(&self) -> WitnessFigures {
        self.lock().clone()
    }

    /// Returns how long ago enough witnesses last signed a checkpoint, as text.
    ///
    /// # Errors
    /// A text: a checkpoint has waited for more than [`QUORUM_PATIENCE`] seconds, or witnesses
    /// contradict the log.
    pub fn judge(&self, now: Timestamp) -> Result<String, String> {
        let figures = self.figures();
        let last = match figures.quorum {
            Some((size, time)) => {
                format!("the last quorum is {} s old, over {size} entries", now.since(time).max(0))
            }
            None => "there was no quorum of witnesses yet".to_owned(),
        };
        if let Some(why) = figures.contradiction {
            return Err(why);
        }
        match figures.waiting {
            Some((size, since)) if now.since(since) > QUORUM_PATIENCE => {
                let waited = now.since(since);
                Err(format!(
                    "the checkpoint over {size} entries waits for its quorum for {waited} s; {last}"
                ))
            }
            _ => Ok(last),
        }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut WitnessFigures)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, WitnessFigures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
