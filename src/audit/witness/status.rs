//! The witnessing status, for metrics and readiness.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;

/// Seconds that a checkpoint may wait for its quorum before [`WitnessStatus::judge`] says so.
pub const QUORUM_PATIENCE: i64 = 60;

/// The witnessing status, shared between the service and the readers that report it.
#[derive(Debug, Default)]
pub struct WitnessStatus(Mutex<WitnessFigures>);

/// The figures of a [`WitnessStatus`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitnessFigures {
    /// The entries under the last checkpoint that the quorum has cosigned, and the time at which
    /// the quorum was complete.
    pub quorum: Option<(u64, Timestamp)>,
    /// The entries under the latest checkpoint of the log, and the time since which it has waited
    /// for its quorum; `None` once it has one.
    pub waiting: Option<(u64, Timestamp)>,
    /// Cosignatures that were received and hold.
    pub cosignatures: u64,
    /// Requests to witnesses that failed or were refused.
    pub failures: u64,
    /// The number of times that a witness held less than it had signed.
    pub rollbacks: u64,
    /// The reason why witnesses say that the log was rolled back or forked.
    pub contradiction: Option<String>,
}

impl WitnessStatus {
    /// Returns the current figures.
    pub fn figures(&self) -> WitnessFigures {
        self.lock().clone()
    }

    /// Returns the age of the last quorum, as text.
    ///
    /// # Errors
    /// A text, if a checkpoint has waited for over [`QUORUM_PATIENCE`] seconds or witnesses
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
