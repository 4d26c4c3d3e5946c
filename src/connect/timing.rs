//! How long a server is waited for: its silence, and the pauses that it asks for.

use std::time::Duration;

use http::{Response, StatusCode, header};

use crate::clock::Timestamp;

use super::error::BridgeError;

/// The most that is waited for one message, all pauses together.
const ALL_WAITS: Duration = Duration::from_secs(60);
/// The shortest pause but the first: each attempt is a signature, and an entry of a log.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// Waits no longer than `silence`, if there is a limit.
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

/// The pauses that a server asked for by `Retry-After` while one message is sent: as many as it
/// asks for, 60 s in all.
#[derive(Debug, Default)]
pub(super) struct RetryWaits {
    waited: Duration,
    attempts: u32,
}

/// What becomes of a message after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// The server asks for no pause: the answer counts.
    No,
    /// Once more after this time.
    After(Duration),
    /// The server asks for a pause that is longer than what is left of the 60 s.
    TooLong {
        /// The pause that the server asks for.
        asked: Duration,
        /// All pauses before it.
        waited: Duration,
    },
}

impl RetryWaits {
    /// Decides about `response`, which arrived at `now`.
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

/// The pause of a 503 or 429 with `Retry-After` (RFC 9110 section 10.2.3).
fn retry_after<B>(response: &Response<B>, now: Timestamp) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    {
        return None;
    }
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        // The time is the server's, so that the distance is measured by its own clock.
        Err(_) => {
            let until = date(text)?;
            let from = server_time(response).unwrap_or(now);
            u64::try_from(until.since(from)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds))
}

/// What the server's clock says.
pub(super) fn server_time<B>(response: &Response<B>) -> Option<Timestamp> {
    date(response.headers().get(header::DATE)?.to_str().ok()?)
}

/// A date of HTTP (RFC 9110 section 5.6.7).
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
    fn only_a_server_that_is_busy_asks_for_a_pause() {
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
    fn pauses_are_had_as_often_as_told_and_last_a_minute_in_all() {
        let mut waits = RetryWaits::default();
        let mut next = |after: &str| waits.next(&answer(503, after), Timestamp::default());
        for _ in 0..11 {
            assert_eq!(next("5"), RetryDecision::After(seconds(5)));
        }
        let (asked, waited) = (seconds(6), seconds(55));
        assert_eq!(next("6"), RetryDecision::TooLong { asked, waited });
        assert_eq!(next("5"), RetryDecision::After(seconds(5)), "what fits is waited for");
        let (asked, waited) = (seconds(0), seconds(60));
        assert_eq!(next("0"), RetryDecision::TooLong { asked, waited });
        // A server that asks for no time at all cannot make it ask without end.
        let mut waits = RetryWaits::default();
        let attempts =
            std::iter::repeat_with(|| waits.next(&answer(503, "0"), Timestamp::default()));
        assert_eq!(attempts.take_while(|next| matches!(next, RetryDecision::After(_))).count(), 61);
    }
}
