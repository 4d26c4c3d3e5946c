//! Formats numbers and times for people.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::gateway::log::{LogText, LoggedOperation};
use crate::mcp::pattern::Operation;

/// Returns a number such as `1,204`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the share of `part` in `whole` in tenths of a per cent, rounded to the nearest. The result
/// is 1000 only if `part` is `whole`, and 0 only if one of them is 0.
pub(super) fn per_mille(part: u64, whole: u64) -> u64 {
    if part == 0 || whole == 0 {
        return 0;
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    if part >= whole {
        return 1000;
    }
    let rounded = (part * 2000 + whole) / (whole * 2);
    u64::try_from(rounded).unwrap_or(1000).clamp(1, 999)
}

/// Returns a share such as `3.1 %`. `0 %` means none, and `100 %` means all.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match per_mille(part, whole) {
        0 => "0 %".to_owned(),
        1000 => "100 %".to_owned(),
        1 if u128::from(part) * 1000 < u128::from(whole) => "< 0.1 %".to_owned(),
        999 if u128::from(part) * 1000 > u128::from(whole) * 999 => "> 99.9 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// Returns a count such as `1 request` or `1,204 requests`.
pub(super) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}

/// Returns the width of a bucket of time, such as `15 minutes` or `1 day`.
pub(super) fn width(seconds: i64) -> String {
    let (n, one, many) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day", "days"),
        s if s % 3600 == 0 => (s / 3600, "hour", "hours"),
        s => (s / 60, "minute", "minutes"),
    };
    count(n.unsigned_abs(), one, many)
}

/// Returns a duration in its largest suitable unit, rounded down.
pub(super) fn span(seconds: i64) -> String {
    let (n, one, many) = match seconds.max(0) {
        s if s >= 172_800 => (s / 86_400, "day", "days"),
        s if s >= 7200 => (s / 3600, "hour", "hours"),
        s if s >= 120 => (s / 60, "minute", "minutes"),
        s => (s, "second", "seconds"),
    };
    count(n.unsigned_abs(), one, many)
}

/// Returns a time such as `2026-11-23 10:00`, in UTC.
pub(super) fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) if !text.starts_with('@') => format!("{day} {minute}"),
        _ => text,
    }
}

/// Returns an operation with every character visible, also spaces at the ends of a name.
pub(super) fn operation(does: Option<&LoggedOperation>) -> Cow<'static, str> {
    let Some(LoggedOperation { method, name }) = does else { return Cow::Borrowed(UNREAD) };
    let name = name.as_ref().map(LogText::as_str);
    Cow::Owned(Operation { method: method.as_str(), name }.printed())
}

/// The text for the operation of a body that was not read or is ambiguous.
pub(super) const UNREAD: &str = "(unread or ambiguous body)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn only_none_and_all_are_shown_as_0_and_100_percent() {
        for (part, whole, text) in [
            (0, 0, "0 %"),
            (0, 5, "0 %"),
            (5, 5, "100 %"),
            (37, 1204, "3.1 %"),
            (1, 3, "33.3 %"),
            (2, 3, "66.7 %"),
            (1, 1000, "0.1 %"),
            (1, 1001, "< 0.1 %"),
            (1, u64::MAX, "< 0.1 %"),
            (999, 1000, "99.9 %"),
            (9999, 10_000, "> 99.9 %"),
            (u64::MAX - 1, u64::MAX, "> 99.9 %"),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn times_and_spans_are_written_in_whole_units() {
        assert_eq!(minute(Timestamp::from_unix(1_795_428_059)), "2026-11-23 10:00");
        assert_eq!(minute(Timestamp::from_unix(i64::MAX)), format!("@{}", i64::MAX));
        assert_eq!(width(900), "15 minutes");
        assert_eq!(width(3600), "1 hour");
        assert_eq!(width(172_800), "2 days");
        assert_eq!((span(-5), span(119)), ("0 seconds".into(), "119 seconds".into()));
        assert_eq!((span(7199), span(200_000)), ("119 minutes".into(), "2 days".into()));
    }
}
