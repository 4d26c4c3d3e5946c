//! Tests of patterns: their syntax, the operations that they match, and ambiguous names.

use mcpid::mcp::pattern::{Operation, Pattern, PatternError};
use proptest::prelude::*;

fn op<'a>(method: &'a str, name: Option<&'a str>) -> Operation<'a> {
    Operation { method, name }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

#[test]
fn a_pattern_matches_whole_texts_and_nothing_else() {
    let get = pattern("tools/call:get_*");
    assert!(!get.grants(op("tools/call", Some(" get_weather"))));
    assert!(get.grants(op("tools/call", Some("get_weather"))));
    assert!(get.grants(op("tools/call", Some("get_"))));
    for (method, name) in [
        ("tools/call", "get"),
        ("tools/call", "Get_weather"),
        ("tools/call", "forget_it"),
        ("tools/call", ""),
        ("Tools/call", "get_weather"),
        ("tools/call ", "get_weather"),
        ("tools/calls", "get_weather"),
        ("tools/cal", "get_weather"),
        ("prompts/get", "get_weather"),
    ] {
        assert!(!get.grants(op(method, Some(name))), "{method} {name}");
        assert!(!get.restricts(op(method, Some(name))), "{method} {name}");
    }
}

#[test]
fn several_stars_in_a_pattern_match_by_backtracking() {
    for (text, name, matches) in [
        ("=m:*", "", true),
        ("=m:**", "anything", true),
        ("=m:a*b*c", "abc", true),
        ("=m:a*b*c", "a-b-bb-c", true),
        ("=m:a*b*c", "a-c-b", false),
        ("=m:*ab", "aab", true),
        ("=m:*aab", "aaaab", true),
        ("=m:*aab", "aaba", false),
        ("=m:*é*", "café!", true),
        ("=m:*é", "cafe", false),
        ("=m:a?c", "abc", false),
        ("=m:a?c", "a?c", true),
        ("=m:[ab]", "a", false),
        ("=m:file:///*", "file:///etc/passwd", true),
    ] {
        assert_eq!(pattern(text).grants(op("m", Some(name))), matches, "{text} {name}");
    }
    assert!(pattern("*").grants(op("@get", None)));
    assert!(pattern("tools/*").grants(op("tools/list", None)));
    assert!(!pattern("tools/*").grants(op("tools", None)));
}

#[test]
fn a_name_pattern_restricts_but_does_not_grant_methods_without_a_name() {
    let any_name = pattern("tools/call:*");
    assert!(!any_name.grants(op("tools/call", None)));
    assert!(any_name.restricts(op("tools/call", None)));
    let no_name = pattern("tools/call");
    assert!(no_name.grants(op("tools/call", None)));
    assert!(no_name.restricts(op("tools/call", Some("x"))));
    assert!(!any_name.restricts(op("tools/list", None)));
}

#[test]
fn a_refused_pattern_states_the_reason() {
    for (text, error) in [
        ("", PatternError::NoMethod),
        (":x", PatternError::NoMethod),
        ("tools/call:", PatternError::NoName),
        (":", PatternError::NoName),
        ("tools/call:a\nb", PatternError::Control),
        ("tools\t/call", PatternError::Control),
        ("a:\u{85}", PatternError::Control),
        ("a\0", PatternError::Control),
        (" tools/call", PatternError::Space),
        ("tools/call :x", PatternError::Space),
        ("tools/call: x", PatternError::Space),
        ("tools/call:x ", PatternError::Space),
    ] {
        assert_eq!(Pattern::parse(text), Err(error), "{text:?}");
    }
    assert_eq!("resources/read:file:///a b".parse(), Ok(pattern("resources/read:file:///a b")));
}

#[test]
fn a_session_can_always_be_opened_and_closed() {
    for method in [
        "initialize",
        "ping",
        "server/discover",
        "logging/setLevel",
        "notifications/cancelled",
        "@get",
        "@delete",
        "@response",
    ] {
        assert!(op(method, None).is_always_allowed(), "{method}");
    }
    for method in ["tools/call", "tools/list", "Ping", "pings", "notifications", "@post", ""] {
        assert!(!op(method, None).is_always_allowed(), "{method}");
    }
}

/// A simple but slow matcher for patterns with stars, to compare results with.
fn slow(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            slow(rest, text) || text.split_first().is_some_and(|(_, t)| slow(pattern, t))
        }
        (Some((p, rest)), Some((t, after))) => p == t && slow(rest, after),
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_match_agrees_with_the_definition_of_a_star(
        pattern_text in "[abé*]{1,8}",
        text in "[abé]{0,8}",
    ) {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        let parsed = Pattern::parse(&format!("=m:{pattern_text}")).unwrap();
        prop_assert_eq!(
            parsed.grants(op("m", Some(&text))),
            slow(&chars(&pattern_text), &chars(&text))
        );
        prop_assert_eq!(parsed.to_string(), format!("=m:{pattern_text}"));
    }

    #[test]
    fn reading_never_panics_and_keeps_the_text(text in any::<String>()) {
        if let Ok(parsed) = Pattern::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }
}
