//! Step 5: compares `created` and `expires` with the current time.
//!
//! A request is valid from `created − max_skew` to `created + max_age` (both inclusive), and to the
//! last second that the profile allows at or after `expires`. All sums saturate, because the client
//! chooses the numbers.

use crate::clock::Timestamp;
use crate::profile::{Expiry, Profile, Window};

use super::rejection::{Code, Rejection, Step};

/// Checks the two times of a signature at `now` by the limits in `profile`.
///
/// # Errors
/// `not_yet_valid`, `expired`, or `lifetime_invalid`.
///
/// ```
/// use mcpid::clock::Timestamp;
/// use mcpid::profile::Profile;
/// use mcpid::verify::{Code, window};
///
/// let created = Timestamp::from_unix(1_790_000_000);
/// let mcp = Profile::mcp();
/// let at = |later| window::judge(&mcp, Some(created), None, created.plus(later));
/// assert!(at(30).is_ok());
/// assert_eq!(at(31).unwrap_err().code(), Code::Expired);
/// assert_eq!(at(-6).unwrap_err().code(), Code::NotYetValid);
/// ```
pub fn judge(
    profile: &Profile,
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Rejection> {
    let (window, Expiry { longest, last, .. }) = (profile.window, profile.expiry);
    if let Some(created) = created {
        let early = created.since(now);
        if early > window.max_skew {
            return Err(Rejection::new(
                Step::Window,
                Code::NotYetValid,
                format!("created {} from now", span(early)),
            )
            .with("created", created)
            .with("now", format!("{now}, {} s ahead allowed", window.max_skew)));
        }
    }
    if let Some(expires) = expires
        && now.since(expires) > last
    {
        let late = now.since(expires);
        let message = match late {
            0 => "expired this very second".to_owned(),
            _ => format!("expired {} ago", span(late)),
        };
        let now = match last {
            ..0 => now_and(now, window),
            _ => format!("{}, {last} s of grace", now_and(now, window)),
        };
        return Err(Rejection::new(Step::Window, Code::Expired, message)
            .with("expires", expires)
            .with("now", now));
    }
    if let (Some(created), Some(expires), Some(longest)) = (created, expires, longest)
        && !(1..=longest).contains(&expires.since(created))
    {
        let message = format!("valid for {} s, 1 to {longest} allowed", expires.since(created));
        return Err(Rejection::new(Step::Window, Code::LifetimeInvalid, message)
            .with("created", created)
            .with("expires", expires));
    }
    if let (Some(created), Some(max_age)) = (created, window.max_age) {
        let age = now.since(created);
        if age > max_age {
            return Err(Rejection::new(
                Step::Window,
                Code::Expired,
                format!(
                    "created {} ago, {} too long",
                    span(age),
                    span(age.saturating_sub(max_age))
                ),
            )
            .with("created", created)
            .with("now", now_and(now, window)));
        }
    }
    Ok(())
}

fn now_and(now: Timestamp, window: Window) -> String {
    match window.max_age {
        Some(max_age) => format!("{now}, window {max_age} s"),
        None => format!("{now}, no window"),
    }
}

/// Formats a length of time in two units, rounded down: `42 s`, `3 min 5 s`, `2 h 10 min`, `12 d`.
///
/// ```
/// use mcpid::verify::window::span;
///
/// assert_eq!((span(42), span(185), span(7_800)), ("42 s".into(), "3 min 5 s".into(), "2 h 10 min".into()));
/// ```
pub fn span(seconds: i64) -> String {
    let s = seconds.unsigned_abs();
    let pair = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {small_unit}"),
    };
    match s {
        0..=119 => format!("{s} s"),
        120..=7_199 => pair(s / 60, "min", s % 60, "s"),
        7_200..=172_799 => pair(s / 3_600, "h", s % 3_600 / 60, "min"),
        172_800..=63_071_999 => pair(s / 86_400, "d", s % 86_400 / 3_600, "h"),
        _ => pair(s / 31_536_000, "years", s % 31_536_000 / 86_400, "d"),
    }
}
