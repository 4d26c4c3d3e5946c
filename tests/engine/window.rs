//! Tests of the check of a signature's time (step 5), at every edge of the time in which it is
//! valid.

use mcpid::profile::{Profile, Window};
use mcpid::verify::Code;
use mcpid::verify::window::{judge, span};

use crate::fixtures::{CREATED, Call, Input, Judge, key, time};

const MCP: Window = Window { max_age: Some(30), max_skew: 5 };

fn at(
    window: Window,
    created: Option<i64>,
    expires: Option<i64>,
    now: i64,
) -> Result<(), (u8, Code)> {
    let profile = Profile { window, ..Profile::mcp() };
    judge(&profile, created.map(time), expires.map(time), time(now))
        .map_err(|r| (r.step().number(), r.code()))
}

const EARLY: Result<(), (u8, Code)> = Err((5, Code::NotYetValid));
const LATE: Result<(), (u8, Code)> = Err((5, Code::Expired));

#[test]
fn both_ends_of_the_window_are_included() {
    for (age, expected) in [
        (-1_000_000, EARLY),
        (-7, EARLY),
        (-6, EARLY),
        (-5, Ok(())),
        (-4, Ok(())),
        (0, Ok(())),
        (29, Ok(())),
        (30, Ok(())),
        (31, LATE),
        (32, LATE),
        (1_000_000, LATE),
    ] {
        assert_eq!(at(MCP, Some(1_000), None, 1_000 + age), expected, "{age}");
    }
}

#[test]
fn expires_is_excluded() {
    for (now, expected) in [(1_009, Ok(())), (1_010, LATE), (1_011, LATE), (9_999, LATE)] {
        assert_eq!(at(MCP, Some(1_000), Some(1_010), now), expected, "{now}");
    }
    // `expires` can only make a signature invalid earlier.
    assert_eq!(at(MCP, Some(1_000), Some(1_031), 1_030), Ok(()));
    assert_eq!(at(MCP, Some(1_000), Some(9_999), 1_031), LATE);
    // `expires` is checked even without `created`, if the profile sets no maximum age.
    let none = Window { max_age: None, max_skew: 5 };
    assert_eq!(at(none, None, Some(1_010), 1_009), Ok(()));
    assert_eq!(at(none, None, Some(1_010), 1_010), LATE);
}

#[test]
fn a_request_both_early_and_late_is_called_early() {
    assert_eq!(at(MCP, Some(2_000), Some(1_000), 1_500), EARLY);
}

#[test]
fn a_window_of_nothing_is_one_second() {
    let nothing = Window { max_age: Some(0), max_skew: 0 };
    for (now, expected) in [(999, EARLY), (1_000, Ok(())), (1_001, LATE)] {
        assert_eq!(at(nothing, Some(1_000), None, now), expected, "{now}");
    }
}

#[test]
fn without_a_window_only_the_future_and_expires_count() {
    let none = Window { max_age: None, max_skew: 0 };
    assert_eq!(at(none, Some(1_000), None, i64::MAX), Ok(()));
    assert_eq!(at(none, Some(1_001), None, 1_000), EARLY);
    assert_eq!(at(none, None, None, 0), Ok(()));
    assert_eq!(at(none, Some(0), Some(i64::MAX), i64::MAX), LATE);
    assert_eq!(at(none, Some(0), Some(i64::MAX), i64::MAX - 1), Ok(()));
}

#[test]
fn no_number_wraps_around() {
    for now in [0, 1_000, CREATED] {
        assert_eq!(at(MCP, Some(i64::MAX), None, now), EARLY);
        assert_eq!(at(MCP, Some(i64::MIN), None, now), LATE);
        assert_eq!(at(MCP, None, Some(i64::MIN), now), LATE);
        assert_eq!(at(MCP, Some(now), Some(i64::MAX), now), Ok(()));
    }
    assert_eq!(at(MCP, Some(i64::MAX), None, i64::MIN), EARLY);
    assert_eq!(at(MCP, Some(i64::MIN), None, i64::MAX), LATE);
    assert_eq!(at(MCP, Some(i64::MAX), None, i64::MAX), Ok(()));
    assert_eq!(at(MCP, Some(i64::MIN), None, i64::MIN), Ok(()));
    let wide = Window { max_age: Some(i64::MAX), max_skew: i64::MAX };
    for now in [0, i64::MIN, i64::MAX] {
        assert_eq!(at(wide, Some(0), None, now), Ok(()), "{now}");
    }
    // The message about such extreme numbers does not overflow either.
    for created in [i64::MIN, i64::MAX] {
        for now in [i64::MIN, 0, i64::MAX] {
            let judged =
                judge(&Profile::mcp(), Some(time(created)), Some(time(i64::MIN)), time(now));
            assert!(judged.is_err_and(|r| !r.message().is_empty()));
        }
    }
}

#[test]
fn a_refusal_says_the_numbers() {
    let late = judge(&Profile::mcp(), Some(time(CREATED)), None, time(CREATED + 42)).unwrap_err();
    assert_eq!(late.message(), "created 42 s ago, 12 s too long");
    let [created, now] = late.details() else { panic!("{late:?}") };
    assert_eq!(created, &("created", time(CREATED).to_string()));
    assert_eq!(now, &("now", format!("{}, window 30 s", time(CREATED + 42))));
    let expired = judge(&Profile::mcp(), None, Some(time(CREATED)), time(CREATED)).unwrap_err();
    assert_eq!(expired.message(), "expired this very second");
    let expired =
        judge(&Profile::mcp(), None, Some(time(CREATED)), time(CREATED + 7_200)).unwrap_err();
    assert_eq!(expired.message(), "expired 2 h ago");
    let early = judge(&Profile::mcp(), Some(time(CREATED)), None, time(CREATED - 185)).unwrap_err();
    assert_eq!(early.message(), "created 3 min 5 s from now");
    assert_eq!(early.details()[1].1, format!("{}, 5 s ahead allowed", time(CREATED - 185)));
}

#[test]
fn spans_are_never_rounded_up() {
    for (seconds, words) in [
        (0, "0 s"),
        (1, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (185, "3 min 5 s"),
        (7_199, "119 min 59 s"),
        (7_200, "2 h"),
        (7_859, "2 h 10 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 d"),
        (180_000, "2 d 2 h"),
        (63_071_999, "729 d 23 h"),
        (63_072_000, "2 years"),
        (-42, "42 s"),
    ] {
        assert_eq!(span(seconds), words, "{seconds}");
    }
    assert!(span(i64::MIN).ends_with(" d"), "{}", span(i64::MIN));
}

/// Tests the edges of the time in which a signature is valid through the whole verifier.
#[test]
fn a_request_is_good_for_its_window() {
    for (now, expected) in [
        (CREATED - 6, Some(Code::NotYetValid)),
        (CREATED - 5, None),
        (CREATED, None),
        (CREATED + 29, None),
        (CREATED + 30, Some(Code::Expired)),
    ] {
        let judged = Judge::mcp().at(now).judge(&Call::signed());
        assert_eq!(judged.is_ok(), expected.is_none(), "{now}");
        if let Some(code) = expected {
            assert_eq!(Judge::mcp().at(now).refusal(&Call::signed()), (5, code), "{now}");
        }
    }
    // Without `expires`, the last valid second is `created + 30`.
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", input.unset("expires"));
    Judge::mcp().at(CREATED + 30).accepts(&call);
    assert_eq!(Judge::mcp().at(CREATED + 31).refusal(&call), (5, Code::Expired));
}
