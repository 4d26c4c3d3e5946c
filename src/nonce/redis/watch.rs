//! Detects that a server has lost keys although its epochs (the records that are normally lost
//! together with nonces) are still there. Two signs reveal that: counters that were reset, and a
//! server clock that does not run at the speed of this machine's timer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use super::fault::RedisFault;
use super::primary::field;
use crate::nonce::url::ServerAddress;

/// Maximum drift between the server's clock and our timer, in microseconds. Every claim is kept for
/// at least 30 seconds longer than exact clocks would require, so this drift does no harm.
const MAX_CLOCK_DRIFT: i64 = 5_000_000;

/// The readings of a clock are compared within periods of this length. Two periods are longer than
/// a nonce is usually kept.
const PERIOD: Duration = Duration::from_secs(60);

/// What the server answered after a nonce was stored: to `TIME`, and the counters of `INFO stats`.
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
    /// Reads the answers to `TIME` and `INFO stats`, which were sent at `asked`.
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

/// Why nonces may be missing although the epochs are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NonceLoss {
    /// The server's clock was set forward, so that keys expired early.
    ClockForward,
    /// The server's clock was set back, perhaps after it had been set forward, or the server was
    /// restored from an older snapshot.
    ClockBack,
    /// The counters were reset, so that keys that were evicted before are not counted.
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

/// The clock and counter readings of one server, over all connections to it.
#[derive(Debug)]
pub(super) struct ServerWatch {
    /// The primary's term: a text that changes whenever it may have lost keys. If it changes, all
    /// epochs (records that show losses) are written again, and the readings start anew.
    term: Arc<str>,
    begun: Instant,
    recent: ReadingPeriod,
    before: ReadingPeriod,
    /// The highest number of processed commands that the server reported; `counted` is the time of
    /// that report.
    commands: u64,
    counted: Instant,
    /// The loss that was found, until requests with lost nonces are refused by raised floors. It is
    /// stored because later readings may not show it any more, for example after the clock was set
    /// back.
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
    /// Starts with `look` as the first reading.
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

    /// Returns true if the readings belong to the primary's present state `term`, a text that
    /// changes whenever it may have lost keys.
    pub(super) fn is_of(&self, term: &str) -> bool {
        *self.term == *term
    }

    /// Records a reading and returns the loss that it, or an earlier one, has shown.
    pub(super) fn take(&mut self, look: &ServerReading) -> Option<NonceLoss> {
        let now = ReadingPeriod::new(self.begun, look.asked, look);
        if self.loss.is_none() {
            let passed = look.answered.saturating_duration_since(self.before.since).as_micros();
            // A drift of 5 seconds is allowed, plus 1/1000 of the time since the last reading,
            // because clocks are never exact.
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
        // The answers of two pipelines may be processed in the other order than they were sent.
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
