//! The times in HTTP archives: ISO 8601 as exporters write it, which is often not valid RFC 3339.

use crate::clock::Timestamp;
use crate::message::shown::printed;

/// Why the time of an entry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeFault {
    /// A local time without its zone, which leaves the moment uncertain by up to 26 hours.
    #[error("its time {} names no zone", printed(.0))]
    NoZone(String),
    /// The text is not a date and time.
    #[error("its time {} cannot be read", printed(.0))]
    Unreadable(String),
}

/// Parses an RFC 3339 time, and times that differ from RFC 3339 only in spelling: a space for the
/// `T`, a comma before the fraction, no seconds, zones such as `+0100`, `+01`, ` UTC` and `GMT`,
/// and the name of a region in brackets after an offset
/// (`2026-01-05T11:00:00+01:00[Europe/Berlin]`).
///
/// # Errors
/// [`TimeFault`] if the text names no moment.
pub(super) fn read(text: &str) -> Result<Timestamp, TimeFault> {
    if let Ok(time) = Timestamp::parse_rfc3339(text) {
        return Ok(time);
    }
    let unreadable = || TimeFault::Unreadable(text.to_owned());
    let (date, clock, zone) = split(text.trim_ascii()).ok_or_else(unreadable)?;
    let moment = |zone: &str| Timestamp::parse_rfc3339(&format!("{date}T{clock}{zone}")).ok();
    match zone {
        // The error says that the zone is missing only if the rest of the text is a valid time.
        "" if moment("Z").is_some() => Err(TimeFault::NoZone(text.to_owned())),
        "" => Err(unreadable()),
        zone => offset(zone).and_then(|zone| moment(&zone)).ok_or_else(unreadable),
    }
}

/// Splits a time into its date, its clock time as `hh:mm:ss`, and the rest after the fraction.
fn split(text: &str) -> Option<(&str, String, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ':')).unwrap_or(rest.len());
    let (clock, rest) = rest.split_at(end);
    let seconds = match clock.len() {
        5 => ":00",
        8 => "",
        _ => return None,
    };
    let zone = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    Some((date, format!("{clock}{seconds}"), zone))
}

/// Returns an offset as `Z` or `±hh:mm`.
fn offset(zone: &str) -> Option<String> {
    let zone = zone.strip_prefix(' ').unwrap_or(zone);
    let zone = match zone.strip_suffix(']') {
        Some(named) => named.split_once('[')?.0,
        None => zone,
    };
    if ["Z", "UTC", "GMT"].iter().any(|utc| zone.eq_ignore_ascii_case(utc)) {
        return Some("Z".to_owned());
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        (sign @ ("+" | "-"), digits) => (sign, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    Some(format!("{sign}{hours}:{minutes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_exporters_are_read_in_every_form() {
        let ten = Timestamp::from_unix(1_767_607_200);
        for text in [
            "2026-01-05T10:00:00Z",
            "2026-01-05t10:00:00z",
            "2026-01-05T11:00:00+0100",
            "2026-01-05T11:00:00.123+0100",
            "2026-01-05T11:00:00+01",
            "2026-01-05T11:00:00,123456789+01:00",
            "2026-01-05T05:00-0500",
            "2026-01-05 10:00:00 UTC",
            "2026-01-05 10:00:00.5 +0000",
            "2026-01-05T10:00:00GMT",
            "2026-01-05T10:00Z",
            "2026-01-05T11:00:00.1+01:00[Europe/Berlin]",
            " 2026-01-05T10:00:00.1234567Z\n",
        ] {
            assert_eq!(read(text), Ok(ten), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_no_moment() {
        for text in ["2026-01-05T10:00:00", "2026-01-05 10:00", "2026-01-05T10:00:00.123"] {
            assert_eq!(read(text), Err(TimeFault::NoZone(text.to_owned())), "{text}");
        }
        for text in [
            "",
            "Z",
            "yesterday",
            "2026-01-05",
            "2026-13-05T10:00:00",
            "2026-01-05T25:00:00",
            "2026-01-05T10:00:00[Europe/Berlin]",
            "2026-01-05T10:00:00CET",
            "2026-01-05T10:00:00.Z",
            "2026-01-05T10:00:00+1",
            "2026-01-05T10:00:00+100",
            "2026-01-05T10:00:00+01:0",
            "2026-01-05T10:00:00+25:00",
            "2026-01-05T10:00:00+0160",
            "2026-01-05T10:00:00 +01 00",
            "2026-01-05T1:00:00Z",
            "2026-01-05T100000Z",
            "2026-01-05T10:00:00Z Z",
            "20260105T100000Z",
            "1767607200",
            "05/Jan/2026:10:00:00 +0000",
            "2026-01-05TT10:00:00Z",
            "é2026-01-05T10:00Z",
        ] {
            assert_eq!(read(text), Err(TimeFault::Unreadable(text.to_owned())), "{text}");
        }
    }
}
