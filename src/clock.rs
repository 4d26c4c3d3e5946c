//! Reads the system clock (no other module does), and parses and prints RFC 3339.
//!
//! All other modules take the time as an argument, so that a captured request can be judged at the
//! moment of its capture and a test never sleeps. Times are whole seconds, rounded down.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, rounded down; negative before it.
///
/// ```
/// use mcpid::clock::Timestamp;
///
/// let made = Timestamp::parse_rfc3339("2026-11-23T11:00:00+01:00")?;
/// assert_eq!(made.to_string(), "2026-11-23T10:00:00Z");
/// assert_eq!(made.plus(30).since(made), 30);
/// # Ok::<(), mcpid::clock::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The Julian day of 1970-01-01.
const UNIX_EPOCH_JULIAN_DAY: i64 = 2_440_588;

/// A text that is not an RFC 3339 date and time, or lies outside the years 0000 to 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-11-23T10:00:00Z")]
#[non_exhaustive]
pub struct TimestampError;

impl Timestamp {
    /// Returns the moment `seconds` after the Unix epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Timestamp(seconds)
    }

    /// Returns the seconds since the Unix epoch.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Returns this moment plus `seconds`, which may be negative. Saturates at the ends of `i64`,
    /// so that no attacker-chosen number can overflow into an earlier time.
    pub const fn plus(self, seconds: i64) -> Self {
        Timestamp(self.0.saturating_add(seconds))
    }

    /// Returns the seconds from `earlier` to this moment, negative if `earlier` is later.
    /// Saturates.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses an RFC 3339 date-time (section 5.6) with any offset; fractions are cut off.
    ///
    /// # Errors
    /// [`TimestampError`] for every other text, also for one without an offset.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimestampError> {
        // The "T" may also be a lower-case "t" (RFC 3339 section 5.6). The crate accepts a space
        // too, which the RFC leaves to the application; it is refused here.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(TimestampError);
        }
        if let Some(time) = Timestamp::parse_own(text.as_bytes()) {
            return Ok(time);
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        Ok(Timestamp(moment.unix_timestamp()))
    }

    /// Parses exactly the spelling that [`Display`](fmt::Display) writes, such as
    /// `2026-11-23T10:00:00Z`. Returns `None` for every other text, even if it is valid RFC 3339.
    /// Faster than the full parser.
    pub(crate) fn parse_own(text: &[u8]) -> Option<Self> {
        let text: &[u8; 20] = text.try_into().ok()?;
        let digits = |from: usize, count: usize| {
            text.get(from..from + count)?.iter().try_fold(0_i64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
            })
        };
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
        if marks.iter().any(|(at, mark)| text.get(*at) != Some(mark)) {
            return None;
        }
        let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
        let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
        let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
        let year = i32::try_from(year).ok()?;
        let date = time::Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = i64::from(date.to_julian_day()) - UNIX_EPOCH_JULIAN_DAY;
        Some(Timestamp(((days * 24 + hour) * 60 + minute) * 60 + second))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with whole seconds, or `@SECONDS` outside the years 0000 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0) {
            Ok(t) if (0..=9999).contains(&t.year()) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                t.year(),
                u8::from(t.month()),
                t.day(),
                t.hour(),
                t.minute(),
                t.second()
            ),
            _ => write!(f, "@{}", self.0),
        }
    }
}

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is set wrong, and is read as 1970. All signatures then count as made
        // in the future, so all requests are refused.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
    }
}

/// A clock that always returns the same time. It is used for tests, and for captured requests,
/// which are judged as if the time were that of the capture.
///
/// ```
/// use mcpid::clock::{Clock as _, FixedClock, Timestamp};
///
/// let clock = FixedClock(Timestamp::from_unix(1_790_000_000));
/// assert_eq!(clock.now(), clock.now());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}
