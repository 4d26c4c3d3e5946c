//! Tests of the parser for RFC 3339 times, and of time arithmetic, which never overflows.

use mcpid::clock::{Clock, FixedClock, SystemClock, Timestamp};
use proptest::prelude::*;

fn unix(text: &str) -> i64 {
    Timestamp::parse_rfc3339(text).unwrap().unix()
}

#[test]
fn rfc_3339_is_read() {
    assert_eq!(unix("1970-01-01T00:00:00Z"), 0);
    assert_eq!(unix("1985-04-12T23:20:50.52Z"), 482_196_050);
    assert_eq!(unix("1996-12-19T16:39:57-08:00"), 851_042_397);
    assert_eq!(unix("1937-01-01T12:00:27.87+00:20"), -1_041_337_173);
    assert_eq!(unix("2026-11-23T10:00:00Z"), 1_795_428_000);
    // The letters "T" and "Z" may be in lower case (RFC 3339 section 5.6).
    for text in ["2026-11-23t10:00:00Z", "2026-11-23T10:00:00z", "2026-11-23t10:00:00.5z"] {
        assert_eq!(unix(text), 1_795_428_000, "{text}");
    }
    assert_eq!(unix("2026-11-23t11:00:00+01:00"), 1_795_428_000);
    // Fractions are rounded down, also before 1970.
    assert_eq!(unix("2026-11-23T10:00:00.999999999Z"), 1_795_428_000);
    assert_eq!(unix("1969-12-31T23:59:59.5Z"), -1);
}

#[test]
fn texts_in_other_forms_are_not_times() {
    for text in [
        "",
        "now",
        "1795428000",
        "@1795428000",
        "2026-11-23",
        "2026-11-23T10:00:00",
        "2026-11-23 10:00:00Z",
        "2026-11-23T10:00Z",
        "2026-11-23T10:00:00Z ",
        " 2026-11-23T10:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:60:00Z",
        "2026-11-23T10:00:00+1:00",
        "2026-11-23T10:00:00+0100",
        "+2026-11-23T10:00:00Z",
        "26-11-23T10:00:00Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00Z\n",
        "20２6-11-23T10:00:00Z",
    ] {
        assert!(Timestamp::parse_rfc3339(text).is_err(), "{text:?}");
    }
}

#[test]
fn times_outside_four_digit_years_still_print() {
    assert_eq!(Timestamp::from_unix(1_795_428_000).to_string(), "2026-11-23T10:00:00Z");
    assert_eq!(Timestamp::from_unix(-1).to_string(), "1969-12-31T23:59:59Z");
    assert_eq!(Timestamp::from_unix(253_402_300_799).to_string(), "9999-12-31T23:59:59Z");
    assert_eq!(Timestamp::from_unix(253_402_300_800).to_string(), "@253402300800");
    assert_eq!(Timestamp::from_unix(i64::MIN).to_string(), format!("@{}", i64::MIN));
}

#[test]
fn sums_of_times_saturate() {
    let (first, last) = (Timestamp::from_unix(i64::MIN), Timestamp::from_unix(i64::MAX));
    assert_eq!(last.plus(1), last);
    assert_eq!(first.plus(-1), first);
    assert_eq!(last.since(first), i64::MAX);
    assert_eq!(first.since(last), i64::MIN);
    assert_eq!(Timestamp::from_unix(5).since(Timestamp::from_unix(7)), -2);
}

#[test]
fn clocks_tell_the_time() {
    let fixed = FixedClock(Timestamp::from_unix(7));
    assert_eq!(fixed.now(), Timestamp::from_unix(7));
    let (before, now) =
        (Timestamp::parse_rfc3339("2025-01-01T00:00:00Z").unwrap(), SystemClock.now());
    assert!(now > before, "the machine's clock says {now}");
}

proptest! {
    #[test]
    fn a_printed_time_reads_back(seconds in -62_167_219_200_i64..253_402_300_800) {
        let time = Timestamp::from_unix(seconds);
        prop_assert_eq!(Timestamp::parse_rfc3339(&time.to_string()).unwrap(), time);
    }

    /// Times without a fraction, which most are, have a faster parser. It must give the same result
    /// as the full one.
    #[test]
    fn the_fast_time_reader_agrees_with_the_full_one(
        (year, month, day) in (0..=9999, 0..=13, 0..=32),
        (hour, minute, second) in (0..=25, 0..=61, 0..=61),
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        let quick = Timestamp::parse_rfc3339(&format!("{text}Z"));
        prop_assert_eq!(quick, Timestamp::parse_rfc3339(&format!("{text}.0Z")), "{}", text);
    }

    #[test]
    fn no_text_makes_the_time_reader_panic(text in any::<String>(), seconds in any::<i64>()) {
        let _ = Timestamp::parse_rfc3339(&text);
        let _ = Timestamp::from_unix(seconds).to_string();
    }
}
