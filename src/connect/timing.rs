//! Time limits: how long a server may send nothing, and how long it may ask the bridge to wait.

use std::time::Duration;

use http::{Response, StatusCode, header};

use crate::clock::Timestamp;

use super::error::BridgeError;

/// Maximum sum of all pauses for one message.
const ALL_WAITS: Duration = Duration::from_secs(60);
/// Minimum pause from the second one on, because each attempt costs a signature and an audit entry.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// Waits for `future`, but not longer than `silence`, if that is set.
///
/// # Errors
/// [`BridgeError::Silent`] after `silence`.
pub(super) async fn within<T>(
    silence: Option<Duration>,
    future: impl Future<Output = T>,
) -> Result<T, BridgeError> {
    match silence {
        None => Ok(future.await),
        Some(time) => {
            tokio::time::timeout(time, future).await.map_err(|_| BridgeError::Silent(time))
        }
    }
}

/// Adds up the pauses that a server asks for by `Retry-After` while one message is sent. All pauses
/// together may last 60 s.
#[derive(Debug, Default)]
pub(super) struct RetryWaits {
    waited: Duration,
    attempts: u32,
}

/// Whether a message is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// The message is not sent again: the server did not ask for a pause, so its answer is final.
    No,
    /// The message is sent again after this time.
    After(Duration),
    /// The message is not sent again: the requested pause is longer than what is left of the 60 s
    /// for which the bridge pauses in sum.
    TooLong {
        /// The pause that the server asked for.
        asked: Duration,
        /// The time for which the bridge has paused before earlier attempts, in sum.
        waited: Duration,
    },
}

impl RetryWaits {
    /// Decides whether to send again after `response`, which arrived at `now`.
    pub(super) fn next<B>(&mut self, response: &Response<B>, now: Timestamp) -> RetryDecision {
        let Some(asked) = retry_after(response, now) else { return RetryDecision::No };
        let wait = if self.attempts == 0 { asked } else { asked.max(LEAST_WAIT) };
        let waited = self.waited.saturating_add(wait);
        if waited > ALL_WAITS {
            return RetryDecision::TooLong { asked, waited: self.waited };
        }
        self.waited = waited;
        self.attempts += 1;
        RetryDecision::After(wait)
    }
}

/// Returns the pause that a 503 or 429 requests by `Retry-After` (RFC 9110, section 10.2.3).
fn retry_after<B>(response: &Response<B>, now: Timestamp) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    {
        return None;
    }
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        // The requested time is by the server's clock, so the pause is the difference to the
        // server's `Date`.
        Err(_) => {
            let until = date(text)?;
            let from = server_time(response).unwrap_or(now);
            u64::try_from(until.since(from)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds))
}

/// Returns the time of the server's clock, from the field `Date`.
pub(super) fn server_time<B>(response: &Response<B>) -> Option<Timestamp> {
    date(response.headers().get(header::DATE)?.to_str().ok()?)
}

/// Parses an HTTP date (RFC 9110, section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok().map(Timestamp::from_unix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(status: u16, after: &str) -> Response<()> {
        let response = Response::builder().status(status).header("retry-after", after);
        response.header("date", "Wed, 25 Nov 2026 10:00:00 GMT").body(()).unwrap()
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn only_status_503_and_429_ask_for_a_pause() {
        let first = |status, after: &str| {
            RetryWaits::default().next(&answer(status, after), Timestamp::default())
        };
        assert_eq!(first(503, "0"), RetryDecision::After(seconds(0)));
        assert_eq!(first(503, "60"), RetryDecision::After(seconds(60)));
        assert_eq!(first(429, "7"), RetryDecision::After(seconds(7)));
        assert_eq!(first(503, "Wed, 25 Nov 2026 10:00:09 GMT"), RetryDecision::After(seconds(9)));
        assert_eq!(first(503, "Wed, 25 Nov 2026 09:00:00 GMT"), RetryDecision::After(seconds(0)));
        for (status, after) in [(503, "-1"), (503, "soon"), (500, "1"), (403, "1"), (200, "1")] {
            assert_eq!(first(status, after), RetryDecision::No, "{status} {after}");
        }
        let (asked, waited) = (seconds(61), seconds(0));
        assert_eq!(first(503, "61"), RetryDecision::TooLong { asked, waited });
        let asked = seconds(u64::MAX);
        assert_eq!(first(503, &u64::MAX.to_string()), RetryDecision::TooLong { asked, waited });
    }

    #[test]
    fn pauses_last_60_seconds_in_all() {
        let mut waits = RetryWaits::default();
        let mut next = |after: &str| waits.next(&answer(503, after), Timestamp::default());
        for _ in 0..11 {
            assert_eq!(next("5"), RetryDecision::After(seconds(5)));
        }
        let (asked, waited) = (seconds(6), seconds(55));
        assert_eq!(next("6"), RetryDecision::TooLong { asked, waited });
        assert_eq!(next("5"), RetryDecision::After(seconds(5)), "a pause that still fits");
        let (asked, waited) = (seconds(0), seconds(60));
        assert_eq!(next("0"), RetryDecision::TooLong { asked, waited });
        // A server that answers `Retry-After: 0` again and again must not make the bridge send
        // forever.
        let mut waits = RetryWaits::default();
        let attempts =
            std::iter::repeat_with(|| waits.next(&answer(503, "0"), Timestamp::default()));
        assert_eq!(attempts.take_while(|next| matches!(next, RetryDecision::After(_))).count(), 61);
    }
}
