//! Tests of the counts in the report, and of the limit on the memory that they take.

use mcpid::clock::Timestamp;
use mcpid::gateway::log::{LogLine, LogText, LoggedOutcome, LoggedStatus, LoggedTouch};
use mcpid::gateway::report::{
    MOST_BUCKETS, MOST_KEYS, MOST_OPERATIONS, RolloutReport, RolloutTally,
};
use mcpid::verify::Code;
use serde_json::{Value, json};

use super::{TEN, line, passed, refused, tally, verified};

fn json(report: &RolloutReport) -> Value {
    serde_json::from_str(&report.to_json()).unwrap()
}

/// Returns 1,204 lines, of which 37 are of requests that passed only because the mode was
/// permissive.
fn roll_out() -> Vec<LogLine> {
    let mut lines: Vec<_> = (0..1167).map(|n| verified(n, "tools/call:pay", "k1")).collect();
    lines.extend((0..30).map(|n| passed(n, "tools/call:list", Code::SignatureMissing)));
    lines.extend((0..5).map(|n| passed(n, "tools/call:list", Code::Expired)));
    lines.extend((0..2).map(|n| passed(n, "initialize", Code::KeyUnknown)));
    lines
}

#[test]
fn the_headline_says_what_strict_would_do() {
    let headline = |lines: Vec<LogLine>| tally(lines).report().headline().to_owned();
    assert_eq!(headline(Vec::new()), "no request has been judged yet");
    let none = vec![verified(0, "ping", "k1")];
    assert_eq!(
        headline(none),
        "turning strict on now would refuse nothing: the one request was verified"
    );
    let none = vec![verified(0, "ping", "k1"), verified(1, "ping", "k1")];
    assert_eq!(headline(none), "turning strict on now would refuse none of 2 requests");
    let report = tally(roll_out()).report();
    assert_eq!(
        report.headline(),
        "turning strict on now would refuse 37 of 1,204 requests (3.1 %)"
    );
    let because = report.because().unwrap();
    assert_eq!(because, "30 unsigned, 5 expired, 2 signed by unknown keys");
    let mut both = roll_out();
    both.push(refused(0, "tools/call:delete", Code::Expired));
    assert_eq!(
        headline(both),
        "turning strict on now would refuse 37 of 1,205 requests (3.1 %) that got through; \
         1 was refused already"
    );
    let strict = vec![verified(0, "ping", "k1"), refused(0, "ping", Code::NonceReplayed)];
    assert_eq!(
        headline(strict),
        "nothing that strict refuses gets through: 1 of 2 requests (50.0 %) was refused"
    );
}

#[test]
fn requests_forwarded_unverified_are_never_counted_as_verified() {
    let odd = |status, code, outcome| {
        let mut line = line(0, "tools/call:pay");
        (line.status, line.code, line.outcome) = (Some(status), code, outcome);
        let report = json(&tally([line]).report());
        ["verified", "would_refuse", "refused"]
            .map(|member| report["all"][member].as_u64().unwrap())
    };
    use LoggedOutcome::{Failed, Passed, Refused};
    assert_eq!(odd(LoggedStatus::Verified, None, Passed), [1, 0, 0]);
    assert_eq!(odd(LoggedStatus::Verified, None, Failed), [1, 0, 0], "the upstream was down");
    // A key with a valid signature uses the session of another key: once in permissive and once in
    // strict mode.
    assert_eq!(odd(LoggedStatus::Verified, Some(Code::NotAllowed), Passed), [0, 1, 0]);
    assert_eq!(odd(LoggedStatus::Verified, Some(Code::NotAllowed), Refused), [0, 0, 1]);
    assert_eq!(odd(LoggedStatus::Verified, None, Refused), [0, 0, 1]);
    assert_eq!(odd(LoggedStatus::Unavailable, None, Passed), [0, 1, 0]);
    assert_eq!(odd(LoggedStatus::Unavailable, None, Refused), [0, 0, 1]);
    for standing in [LoggedStatus::Unsigned, LoggedStatus::UnknownKey, LoggedStatus::Invalid] {
        // A line whose code is unknown is counted too, because a later version may have written it.
        assert_eq!(odd(standing, None, Passed), [0, 1, 0]);
        assert_eq!(odd(standing, None, Failed), [0, 1, 0]);
        assert_eq!(odd(standing, None, Refused), [0, 0, 1]);
    }
}

#[test]
fn unjudged_requests_are_counted_apart_and_change_no_percentage() {
    let mut lines = vec![verified(0, "ping", "k1")];
    for (outcome, answer) in [
        (LoggedOutcome::Open, Some(200)),
        (LoggedOutcome::Refused, Some(404)),
        (LoggedOutcome::Refused, Some(404)),
        (LoggedOutcome::Refused, Some(400)),
        (LoggedOutcome::Refused, None),
        (LoggedOutcome::Refused, Some(7)),
        (LoggedOutcome::Failed, Some(400)),
    ] {
        let mut line = LogLine::new(Timestamp::from_unix(TEN), 1, "GET", "/.well-known/x");
        (line.outcome, line.answer) = (outcome, answer);
        lines.push(line);
    }
    let report = json(&tally(lines).report());
    assert_eq!(report["all"]["requests"], 1);
    assert_eq!(report["all"]["verified"], 1);
    assert_eq!((&report["open"], &report["failed"]), (&json!(1), &json!(1)));
    assert_eq!(
        report["on_sight"],
        json!([{"answer":null,"requests":2},{"answer":404,"requests":2},{"answer":400,"requests":1}])
    );
}

#[test]
fn the_schema_is_the_documented_one() {
    let mut lines = vec![verified(0, "tools/call:pay", "k1"), verified(90, "tools/call:pay", "k1")];
    lines.push(passed(60, "tools/list", Code::Expired));
    let mut tally = tally(lines);
    tally.count_other_line();
    let count = |verified, would, reasons: Value, first: &str, last: &str, unverified: Value| {
        json!({"requests": verified + would, "verified": verified, "would_refuse": would,
            "refused": 0, "touched": 0, "reasons": reasons, "first": first, "last": last,
            "last_unverified": unverified})
    };
    let with = |mut base: Value, more: Value| {
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        base
    };
    let at = ["2026-11-23T10:00:00Z", "2026-11-23T10:01:00Z", "2026-11-23T10:01:30Z"];
    let why = json!([{"code":"expired","would_refuse":1,"refused":0,"last":at[1]}]);
    let cell = |from: i64, verified, would| json!({"from":TEN + from,"verified":verified,"would_refuse":would,"refused":0});
    assert_eq!(
        json(&tally.report()),
        json!({
            "version": 1,
            "headline": "turning strict on now would refuse 1 of 3 requests (33.3 %)",
            "from": at[0], "to": at[2], "lines": 3, "passed_over": 1,
            "all": count(2, 1, why.clone(), at[0], at[2], json!(at[1])),
            "by_status": [
                {"status":"verified","requests":2}, {"status":"unsigned","requests":0},
                {"status":"unknown_key","requests":0}, {"status":"invalid","requests":1},
                {"status":"unavailable","requests":0}],
            "on_sight": [], "open": 0, "failed": 0,
            "operations": [
                with(json!({"method":"tools/list","name":null,"over_time":[cell(60, 0, 1)]}),
                    count(0, 1, why, at[1], at[1], json!(at[1]))),
                with(json!({"method":"tools/call","name":"pay","over_time":[cell(0, 1, 0), cell(60, 1, 0)]}),
                    count(2, 0, json!([]), at[0], at[2], json!(null)))],
            "other_operations": null,
            "keys": [{"id":"k1","name":"k1's name","requests":2,"touched":0,"touch_keys":[],
                "first":at[0],"last":at[2]}],
            "other_keys": 0,
            "not_verified_by": [{"address": null, "requests": 1,
                "reasons": [{"code": "expired", "requests": 1}], "first": at[1], "last": at[1]}],
            "other_addresses": 0,
            "over_time": {"seconds": 60, "buckets": [cell(0, 1, 0), cell(60, 1, 1)]},
            "strict_next": ["tools/call:pay"],
            "still_permissive": ["tools/list"],
            "touch_next": [],
        })
    );
}

fn strict_next(lines: Vec<LogLine>) -> Vec<String> {
    tally(lines).report().strict_next
}

#[test]
fn strict_is_proposed_only_without_new_refusals() {
    let clean = |operation| verified(0, operation, "k1");
    let unsigned = |operation| passed(0, operation, Code::SignatureMissing);
    assert_eq!(
        strict_next(vec![clean("tools/call:a"), clean("tools/list"), unsigned("tools/call:b")]),
        ["tools/call:a", "tools/list"]
    );
    // After one unverified request, the report does not recommend strict mode for the operation.
    assert!(strict_next(vec![clean("tools/call:a"), unsigned("tools/call:a")]).is_empty());
    // A strict pattern for a tool also applies to every response and to calls without a name.
    assert_eq!(
        strict_next(vec![clean("tools/call:a"), clean("tools/list"), unsigned("@response")]),
        ["tools/list"]
    );
    assert!(strict_next(vec![clean("tools/call:a"), unsigned("tools/call")]).is_empty());
    // A request that could not be parsed matches every strict pattern.
    assert!(strict_next(vec![clean("tools/list"), unsigned("")]).is_empty());
    // A pattern with only a method matches all names.
    assert!(strict_next(vec![clean("tools/call"), unsigned("tools/call:a")]).is_empty());
    // If every operation can be strict, the report advises to change the mode, and proposes no
    // pattern.
    assert!(strict_next(vec![clean("tools/call:a")]).is_empty());
}

#[test]
fn names_that_mean_something_else_in_a_pattern_are_not_proposed() {
    let long = "x".repeat(200);
    for name in ["*", "a*", "a\u{202e}b", "a\nb", " a", "a ", "", &long] {
        let lines = vec![
            verified(0, &format!("tools/call:{name}"), "k1"),
            passed(0, "ping", Code::Expired),
        ];
        assert!(strict_next(lines).is_empty(), "{name:?}");
        let lines = vec![passed(0, &format!("tools/call:{name}"), Code::Expired)];
        assert_eq!(tally(lines).report().still_permissive, None, "{name:?}");
    }
    let lines = vec![verified(0, "destructive", "k1"), passed(0, "ping", Code::Expired)];
    assert!(strict_next(lines).is_empty(), "a word of its own");
    let lines = vec![verified(0, "tools/call:it's $(x)", "k1"), passed(0, "ping", Code::Expired)];
    assert_eq!(strict_next(lines), ["tools/call:it's $(x)"]);
}

#[test]
fn only_operations_with_refusals_stay_permissive() {
    let of = |lines: Vec<LogLine>| tally(lines).report().still_permissive;
    let unsigned = |operation| passed(0, operation, Code::SignatureMissing);
    let clean = verified(0, "tools/call:a", "k1");
    assert_eq!(of(vec![clean.clone()]), None);
    let expected = Some(vec!["ping".to_owned()]);
    assert_eq!(of(vec![clean.clone(), unsigned("ping")]), expected);
    // No permissive pattern matches a body that could not be parsed. The pattern for a whole method
    // would match more than the one operation.
    assert_eq!(of(vec![clean.clone(), unsigned("ping"), unsigned("")]), None);
    assert_eq!(of(vec![clean, unsigned("tools/call")]), None);
}

#[test]
fn ten_thousand_invented_tools_do_not_displace_the_real_tools() {
    let mut tally = RolloutTally::new();
    for n in 0..20 {
        tally.add(&verified(n, &format!("tools/call:real_{n}"), "k1"));
        tally.add(&passed(n, "tools/call:unsigned_but_often", Code::SignatureMissing));
    }
    for n in 0..10_000 {
        tally.add(&passed(n, &format!("tools/call:junk_{n}"), Code::SignatureMissing));
        if n % 100 == 0 {
            tally.add(&passed(n, "tools/call:unsigned_but_often", Code::SignatureMissing));
        }
    }
    for n in 0..20 {
        tally.add(&verified(n, &format!("tools/call:late_{n}"), "k1"));
    }
    let report = tally.report();
    assert!(report.operations.len() <= MOST_OPERATIONS);
    let named = |start: &str| {
        let name = |o: &&mcpid::gateway::report::OperationCounts| {
            o.name.as_deref().unwrap().starts_with(start)
        };
        report.operations.iter().filter(name).count()
    };
    assert_eq!((named("real_"), named("late_"), named("unsigned_but_often")), (20, 20, 1));
    let often = report.operations.iter().find(|o| o.name.as_deref() == Some("unsigned_but_often"));
    assert_eq!(often.unwrap().count.requests, 120);
    // Every request is in exactly one of the counts.
    let told: u64 = report.operations.iter().map(|o| o.count.requests).sum();
    let other = report.other_operations.as_ref().unwrap();
    assert_eq!(told + other.requests, report.all.requests);
    assert_eq!(report.all.requests, 10_160);
    assert_eq!(other.reasons.len(), 1);
    assert_eq!(other.reasons[0].would_refuse, other.would_refuse);
    // The report does not list operations one by one if they are counted together, so it cannot
    // propose patterns for them.
    assert_eq!(report.still_permissive, None);
}

#[test]
fn verified_operations_and_keys_are_bounded_too() {
    let mut tally = RolloutTally::new();
    for n in 0..3_000 {
        tally.add(&verified(n, &format!("tools/call:t{n}"), &format!("key {n}")));
    }
    let report = tally.report();
    assert_eq!(report.operations.len(), MOST_OPERATIONS);
    assert_eq!(report.other_operations.unwrap().verified, 2_000);
    assert_eq!((report.keys.len(), report.other_keys), (MOST_KEYS, 2_000));
}

#[test]
fn an_operation_that_comes_to_be_verified_keeps_its_counts() {
    let mut tally = RolloutTally::new();
    tally.add(&passed(0, "tools/call:a", Code::Expired));
    tally.add(&verified(1, "tools/call:a", "k1"));
    for n in 0..2_000 {
        tally.add(&passed(n, &format!("tools/call:junk_{n}"), Code::SignatureMissing));
    }
    let report = tally.report();
    let a = report.operations.iter().find(|o| o.name.as_deref() == Some("a")).unwrap();
    assert_eq!((a.count.verified, a.count.would_refuse), (1, 1));
    assert_eq!(report.operations.len(), MOST_OPERATIONS / 2 + 1);
}

#[test]
fn time_is_kept_in_few_buckets_for_any_order_and_span() {
    let hours = |n: i64| (0..n).map(|h| verified(h * 3600, "ping", "k1"));
    for (lines, seconds) in [
        (hours(1).collect::<Vec<_>>(), 60),
        (hours(24).collect(), 900),
        (hours(24).rev().collect(), 900),
        (hours(24 * 200).collect(), 259_200 / 3 * 4),
    ] {
        let n = lines.len() as u64;
        let report = tally(lines).report();
        assert_eq!(report.over_time.seconds, seconds);
        assert!(report.over_time.buckets.len() <= MOST_BUCKETS);
        assert_eq!(report.over_time.buckets.iter().map(|b| b.verified).sum::<u64>(), n);
        let own = &report.operations[0].over_time;
        assert_eq!(own.iter().map(|b| b.verified).sum::<u64>(), n);
        assert!(
            own.iter().all(|cell| report.over_time.buckets.iter().any(|b| b.from == cell.from))
        );
    }
    let mut wild = vec![verified(0, "ping", "k1")];
    for time in [i64::MIN, i64::MAX, 0, -62_167_219_200] {
        let mut line = passed(0, "ping", Code::Expired);
        line.time = Timestamp::from_unix(time);
        wild.push(line);
    }
    let report = tally(wild).report();
    assert!(report.over_time.buckets.len() <= MOST_BUCKETS);
    assert_eq!(report.all.requests, 5);
    assert!(!report.to_html(Timestamp::from_unix(0)).is_empty());
}

#[test]
fn the_order_of_lines_makes_no_difference() {
    let forwards = tally(roll_out()).report().to_json();
    let mut lines = roll_out();
    lines.reverse();
    assert_eq!(tally(lines).report().to_json(), forwards);
}

#[test]
fn names_of_keys_may_change_and_the_last_one_counts() {
    let mut old = verified(0, "ping", "k1");
    old.key.as_mut().unwrap().name = None;
    let report = tally([verified(9, "ping", "k1"), old]).report();
    assert_eq!(report.keys.len(), 1);
    assert_eq!(report.keys[0].name.as_deref(), Some("k1's name"));
    assert_eq!(report.keys[0].first, "2026-11-23T10:00:00Z");
}

/// Returns the log line of a verified request that a security key of this name confirmed by a
/// touch.
fn touched(seconds: i64, operation: &str, key: &str, by: &str) -> LogLine {
    let mut line = verified(seconds, operation, key);
    line.touch = Some(LoggedTouch {
        id: LogText::new(&format!("id of {by}")),
        name: Some(LogText::new(by)),
        verified: false,
        counter: 7,
    });
    line
}

#[test]
fn touches_are_counted_by_key_and_by_operation() {
    let quiet = tally(vec![verified(0, "ping", "k1")]).report();
    assert_eq!((quiet.touch_line(), quiet.touch_next.len()), (None, 0));
    assert!(!quiet.to_text().contains("TOUCHED"), "{}", quiet.to_text());

    let lines = vec![
        touched(0, "tools/call:drop", "k1", "key-a"),
        touched(1, "tools/call:drop", "k1", "key-b"),
        touched(2, "tools/call:pay", "k1", "key-a"),
        verified(3, "tools/call:pay", "k2"),
        verified(4, "ping", "k2"),
        refused(5, "tools/call:burn", Code::TouchRequired),
    ];
    let report = tally(lines).report();
    assert_eq!(
        report.touch_line().as_deref(),
        Some(
            "3 of 5 verified requests had the touch of a security key; a touch rule for everything \
             would refuse 3"
        )
    );
    // This is the only operation of which every request was touched.
    assert_eq!(report.touch_next, ["tools/call:drop"]);
    let text = report.to_text();
    for row in [
        "by \"k1's name\"            3        0  key-a, key-b\n",
        "by \"k2's name\"            0        2  none yet\n",
        "tools/call:pay            1        1\n",
        "tools/call:drop           2        0\n",
    ] {
        assert!(text.contains(row), "{row:?} is not in {text}");
    }
    let json = json(&report);
    assert_eq!((&json["all"]["touched"], &json["keys"][0]["touched"]), (&json!(3), &json!(3)));
    assert_eq!(json["keys"][0]["touch_keys"], json!(["key-a", "key-b"]));
    let page = report.to_html(Timestamp::from_unix(TEN));
    assert!(page.contains("<h2>Who touches a security key</h2>"), "{page}");
    assert!(page.contains("key-a, key-b"));
}

#[test]
fn a_log_names_at_most_eight_security_keys_for_a_signer() {
    let lines = (0..100).map(|n| touched(n, "ping", "k1", &format!("key {n}")));
    let report = tally(lines).report();
    assert_eq!((report.keys[0].touched, report.keys[0].touch_keys.len()), (100, 8));
}
