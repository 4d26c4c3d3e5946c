//! Detects that a server has lost keys although its epochs are still there. Two signs show such a
//! loss: counters that were reset, and a server clock that does not run at the speed of this
//! machine's timer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use super::fault::RedisFault;
use super::primary::field;
use crate::nonce::url::ServerAddress;

/// Maximum drift between the server's clock and our timer, in microseconds. Every claim is kept for
/// the margin, 30 seconds or more, beyond what exact clocks would need.
const MAX_CLOCK_DRIFT: i64 = 5_000_000;

/// How long clock readings are compared. Two such periods are longer than a claim is usually kept.
const PERIOD: Duration = Duration::from_secs(60);

/// The server's answers after a claim: `TIME`, and the counters of `INFO stats`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerReading {
    asked: Instant,
    answered: Instant,
    /// The server's clock, in microseconds.
    server: i64,
    /// Number of commands that the server has processed since its start, or since its counters were
    /// reset.
    commands: u64,
    /// Number of keys that the server has evicted since its start.
    pub(super) evicted: u64,
}

impl ServerReading {
    /// Reads the answers to `TIME` and `INFO stats`, which were asked for at `asked`.
    ///
    /// # Errors
    /// [`RedisFault`] if an answer is an error, or has the wrong shape.
    pub(super) fn read(
        place: &ServerAddress,
        asked: Instant,
        time: &Value,
        info: &Value,
    ) -> Result<Self, RedisFault> {
        let answered = Instant::now();
        let (server, (commands, evicted)) = (read_time(place, time)?, read_counters(place, info)?);
        Ok(ServerReading { asked, answered, server, commands, evicted })
    }
}

/// Why nonces may be missing although the epochs are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NonceLoss {
    /// The server's clock stepped forward: keys end early.
    ClockForward,
    /// The clock stepped back, perhaps after an earlier step forward, or because an older snapshot
    /// was restored.
    ClockBack,
    /// The counters were reset: keys may have been evicted before that.
    CountersReset,
}

impl fmt::Display for NonceLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NonceLoss::ClockForward => "its clock stepped forward",
            NonceLoss::ClockBack => "its clock stepped back",
            NonceLoss::CountersReset => "its statistics were reset",
        })
    }
}

/// The readings of one server, over all connections to it.
#[derive(Debug)]
pub(super) struct ServerWatch {
    /// The term of the primary. After a change of the term, all epochs are written again and this
    /// value is reset.
    term: Arc<str>,
    begun: Instant,
    recent: ReadingPeriod,
    before: ReadingPeriod,
    /// The highest number of processed commands that the server reported; `counted` is the time of
    /// that report.
    commands: u64,
    counted: Instant,
    /// The loss that was found, until the floors have risen. It has to be stored, because later
    /// readings do not show it any more if the clock steps back again.
    loss: Option<NonceLoss>,
}

/// Bounds, in microseconds, of the difference between the server's clock and our timer. The exact
/// difference is unknown, because the server read its clock at some time between command and
/// answer.
#[derive(Clone, Copy, Debug)]
struct ReadingPeriod {
    since: Instant,
    least: i64,
    most: i64,
}

impl ServerWatch {
    /// Starts with the reading `look`.
    pub(super) fn new(term: Arc<str>, look: &ServerReading) -> Self {
        let period = ReadingPeriod::new(look.asked, look.asked, look);
        ServerWatch {
            term,
            begun: look.asked,
            recent: period,
            before: period,
            commands: look.commands,
            counted: look.answered,
            loss: None,
        }
    }

    /// Returns true if the readings are of the primary's term `term`.
    pub(super) fn is_of(&self, term: &str) -> bool {
        *self.term == *term
    }

    /// Records a reading and returns the loss that it, or an earlier one, has shown.
    pub(super) fn take(&mut self, look: &ServerReading) -> Option<NonceLoss> {
        let now = ReadingPeriod::new(self.begun, look.asked, look);
        if self.loss.is_none() {
            let passed = look.answered.saturating_duration_since(self.before.since).as_micros();
            // Allows 5 seconds, and 1/1000 of the time that passed, since clocks run fast or slow
            // during long pauses between readings.
            let allowed =
                MAX_CLOCK_DRIFT.saturating_add(i64::try_from(passed / 1_000).unwrap_or(i64::MAX));
            let most = self.recent.most.min(self.before.most);
            let least = self.recent.least.max(self.before.least);
            self.loss = if now.least.saturating_sub(most) > allowed {
                Some(NonceLoss::ClockForward)
            } else if least.saturating_sub(now.most) > allowed {
                Some(NonceLoss::ClockBack)
            } else if look.commands < self.commands && look.asked > self.counted {
                Some(NonceLoss::CountersReset)
            } else {
                None
            };
        }
        if self.loss.is_some() {
            return self.loss;
        }
        // Answers may be processed out of order.
        if look.commands >= self.commands {
            (self.commands, self.counted) = (look.commands, look.answered);
        }
        if look.asked.saturating_duration_since(self.recent.since) > PERIOD {
            self.before = std::mem::replace(&mut self.recent, now);
        } else {
            self.recent.least = self.recent.least.max(now.least);
            self.recent.most = self.recent.most.min(now.most);
        }
        None
    }
}

impl ReadingPeriod {
    fn new(begun: Instant, since: Instant, look: &ServerReading) -> Self {
        let after = |moment: Instant| {
            i64::try_from(moment.saturating_duration_since(begun).as_micros()).unwrap_or(i64::MAX)
        };
        let least = look.server.saturating_sub(after(look.answered));
        let most = look.server.saturating_sub(after(look.asked));
        ReadingPeriod { since, least, most }
    }
}

fn read_time(place: &ServerAddress, time: &Value) -> Result<i64, RedisFault> {
    let number = |value: &Value| match value {
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse::<i64>().ok(),
        _ => None,
    };
    let server = match time {
        Value::Array(parts) => match parts.as_slice() {
            [seconds, micros] => number(seconds)
                .zip(number(micros))
                .and_then(|(s, us)| s.checked_mul(1_000_000)?.checked_add(us)),
            _ => None,
        },
        Value::ServerError(error) => return Err(RedisFault::refused(place, error)),
        _ => None,
    };
    server.ok_or_else(|| RedisFault::malformed(place, "no TIME"))
}

/// Returns the number of evicted keys in an answer to `INFO stats`.
pub(super) fn evicted(place: &ServerAddress, info: &Value) -> Result<u64, RedisFault> {
    read_counters(place, info).map(|(_, evicted)| evicted)
}

fn read_counters(place: &ServerAddress, info: &Value) -> Result<(u64, u64), RedisFault> {
    let text = match info {
        Value::BulkString(text) => std::str::from_utf8(text).ok(),
        Value::ServerError(error) => return Err(RedisFault::refused(place, error)),
        _ => None,
    };
    let text = text.ok_or_else(|| RedisFault::malformed(place, "no INFO"))?;
    let count = |name: &'static str| {
        let count = field(text, name).and_then(|count| count.parse().ok());
        count.ok_or_else(|| RedisFault::malformed(place, &format!("INFO without {name}")))
    };
    Ok((count("total_commands_processed")?, count("evicted_keys")?))
}

#[cfg(test)]
mod tests;
