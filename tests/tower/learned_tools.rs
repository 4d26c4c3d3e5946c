//! Tests of modes that learn the tools from the server's lists, and of when a rating as harmless
//! ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mcpid::clock::{Clock, Timestamp};
use mcpid::mcp::pattern::Operation;
use mcpid::mcp::tools::Tools;
use mcpid::tower::{LearnedTools, LearningModes, Mode, ModePolicy as _, Modes};

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 24 * 3600;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

/// Returns modes that take the time from a clock, and the clock.
fn modes() -> (LearningModes, Arc<SetClock>) {
    let clock = Arc::new(SetClock(AtomicI64::new(NOW)));
    let modes = LearningModes::new(Modes::permissive()).with_destructive();
    (modes.with_clock(clock.clone()), clock)
}

fn listed(name: &str, destructive: bool) -> Tools {
    let mut tools = Tools::new();
    assert!(tools.note(name, destructive));
    tools
}

fn is_strict(modes: &LearningModes, name: &str) -> bool {
    let call = Operation { method: "tools/call", name: Some(name) };
    modes.mode(Some(call)) == Mode::Strict
}

#[test]
fn a_rating_as_harmless_ends_seven_days_after_the_last_list() {
    let (modes, clock) = modes();
    modes.add_listed(&listed("read", false));
    for (at, strict) in [(0, false), (7 * DAY, false), (7 * DAY + 1, true), (1, false)] {
        clock.0.store(NOW + at, Ordering::SeqCst);
        assert_eq!(is_strict(&modes, "read"), strict, "after {at} s");
    }
    // A new list renews the tool's rating, also after its end.
    for day in [3, 9, 40] {
        clock.0.store(NOW + day * DAY, Ordering::SeqCst);
        modes.add_listed(&listed("read", false));
        assert!(!is_strict(&modes, "read"), "day {day}");
        clock.0.store(NOW + (day + 7) * DAY, Ordering::SeqCst);
        assert!(!is_strict(&modes, "read"), "day {day}");
    }
    // If one list ever called the tool destructive, it is treated so for ever.
    modes.add_listed(&listed("read", true));
    modes.add_listed(&listed("read", false));
    assert!(is_strict(&modes, "read"));
}

#[test]
fn a_list_by_a_clock_that_was_far_ahead_counts_only_after_the_next_list() {
    let (modes, clock) = modes();
    clock.0.store(NOW + 365 * DAY, Ordering::SeqCst);
    modes.add_listed(&listed("read", false));
    clock.0.store(NOW, Ordering::SeqCst);
    assert!(is_strict(&modes, "read"));
    modes.add_listed(&listed("read", false));
    assert!(!is_strict(&modes, "read"));
    clock.0.store(NOW + 8 * DAY, Ordering::SeqCst);
    assert!(is_strict(&modes, "read"));
}

/// A tool's rating does not end if there is no clock, or if the application itself supplied the
/// list.
#[test]
fn a_list_that_the_application_vouches_for_has_no_end() {
    let page = br#"{"tools":[{"name":"read","annotations":{"readOnlyHint":true}}]}"#;
    let (timed, clock) = modes();
    timed.learn(page);
    let untimed = LearningModes::new(Modes::permissive()).with_destructive();
    untimed.add_listed(&listed("read", false));
    clock.0.store(NOW + 1000 * DAY, Ordering::SeqCst);
    // A later list of the server does not make the application's rating end.
    timed.add_listed(&listed("read", false));
    clock.0.store(NOW + 2000 * DAY, Ordering::SeqCst);
    assert!(!is_strict(&timed, "read") && !is_strict(&untimed, "read"));
    // If the server rates the tool as destructive, it is still treated so.
    timed.add_listed(&listed("read", true));
    assert!(is_strict(&timed, "read"));
}

#[test]
fn merging_keeps_the_later_time_and_the_stricter_rating() {
    let at = |day: i64| Timestamp::from_unix(NOW + day * DAY);
    let tools = |list: &[(&str, bool, i64)]| {
        let mut tools = LearnedTools::new();
        for (name, destructive, day) in list {
            tools.note(name, *destructive, Some(at(*day)));
        }
        tools
    };
    let one = tools(&[("a", false, 1), ("b", false, 5), ("c", true, 1), ("d", false, 1)]);
    let other = tools(&[("a", false, 5), ("b", false, 1), ("c", false, 5), ("d", true, 5)]);
    for (mut into, from) in [(one.clone(), &other), (other.clone(), &one)] {
        into.merge(from);
        let mut found: Vec<_> = into.iter().collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("a", false, Some(at(5))),
                ("b", false, Some(at(5))),
                ("c", true, None),
                ("d", true, None)
            ]
        );
    }
}
