//! Tests of the table of MCP methods that patterns are compared with.

use mcpid::mcp::methods::{KNOWN, edits, nearest};
use mcpid::mcp::pattern::{Operation, Pattern, PatternError};

fn refused(text: &str) -> PatternError {
    Pattern::parse(text).expect_err(text)
}

#[test]
fn the_table_is_sorted_and_every_method_of_it_is_a_pattern() {
    assert!(KNOWN.is_sorted());
    for method in KNOWN {
        let pattern = Pattern::parse(method).unwrap();
        assert_eq!(pattern.remark(), None, "{method}");
        assert!(pattern.grants(Operation { method, name: None }), "{method}");
    }
    for pattern in
        ["*", "tools/*", "*/list", "@*", "notifications/*", "t*", "res*/read", "**", "*call"]
    {
        assert_eq!(Pattern::parse(pattern).unwrap().remark(), None, "{pattern}");
    }
}

#[test]
fn a_method_without_a_slash_is_an_error() {
    for (text, meant) in [
        ("delete_*", "tools/call:delete_*"),
        ("delete_db", "tools/call:delete_db"),
        ("get_weather:x", "tools/call:get_weather:x"),
        ("file:///priv/*", "resources/read:file:///priv/*"),
        ("https://h/*", "resources/read:https://h/*"),
        ("destructve", "destructive"),
        ("Destructive", "destructive"),
        ("destructives", "destructive"),
        ("desctructive", "destructive"),
        ("destrcutive", "destructive"),
        ("destructive:*", "destructive"),
        ("tools", "tools/call:tools"),
        ("call", "tools/call:call"),
    ] {
        let error = refused(text);
        assert!(error.to_string().contains("names no MCP method"), "{text}: {error}");
        assert_eq!(error.suggestion(), Some(meant), "{text}");
    }
    assert_eq!(refused("destructive"), PatternError::Destructive);
}

#[test]
fn a_method_close_to_a_known_one_is_an_error() {
    for (text, near, meant) in [
        ("tools/cal:delete_db", "tools/call", "tools/call:delete_db"),
        ("tool/call", "tools/call", "tools/call"),
        ("tools/calls", "tools/call", "tools/call"),
        ("toosl/call:x", "tools/call", "tools/call:x"),
        ("Tools/Call:x", "tools/call", "tools/call:x"),
        ("tools/lst", "tools/list", "tools/list"),
        ("toolscall", "tools/call", "tools/call"),
        ("resource/read:file:///x", "resources/read", "resources/read:file:///x"),
        ("resouce/read:file:///x", "resources/read", "resources/read:file:///x"),
        ("ressources/reed", "resources/read", "resources/read"),
        ("resources/template/list", "resources/templates/list", "resources/templates/list"),
        ("prompt/get", "prompts/get", "prompts/get"),
        ("task/result", "tasks/result", "tasks/result"),
        ("sampling/createmessage", "sampling/createMessage", "sampling/createMessage"),
        ("notification/cancelled", "notifications/cancelled", "notifications/cancelled"),
        ("initialise", "initialize", "initialize"),
        ("pin", "ping", "ping"),
        ("@respons", "@response", "@response"),
        ("@GET", "@get", "@get"),
        ("tool/*", "tools/call", "tools/*"),
        ("resource/*", "resources/list", "resources/*"),
        ("*/cal:x", "tools/call", "tools/call:x"),
        ("tools/cal*x", "tools/call", "tools/call"),
    ] {
        match refused(text) {
            PatternError::Unknown { nearest, suggestion, .. } => {
                assert_eq!((nearest, suggestion.as_deref()), (Some(near), Some(meant)), "{text}");
            }
            other => panic!("{text}: {other}"),
        }
    }
    for list in [
        "tools/call,resources/read",
        "tools/call resources/read",
        "tools/{call,list}",
        "^tools/call$",
        "tools/.*?",
        "'tools/call'",
        "tools/ca[l]+",
        "tools/call;x",
        "!tools/call",
    ] {
        assert!(matches!(refused(list), PatternError::Unknown { .. }), "{list}");
    }
}

#[test]
fn a_vendors_method_gets_a_note_unless_an_equals_sign_precedes_it() {
    for (text, words) in [
        ("resources/write", "\"resources/write\" is no MCP method"),
        ("tools/delete:x", "\"tools/delete\" is no MCP method"),
        ("acme/run", "\"acme/run\" is taken for a vendor's method"),
        ("acme/*", "\"acme/*\" is taken for a vendor's method"),
        ("a*/*", "vendor's"),
        ("acme/tools/call", "vendor's"),
        ("r/*", "vendor's"),
    ] {
        let remark = Pattern::parse(text).unwrap().remark();
        assert!(remark.unwrap().contains(words), "{text}");
    }
    for text in ["=acme/run", "=tools/cal:x", "=delete_db", "=destructive", "=tools/call:x"] {
        let pattern = Pattern::parse(text).unwrap();
        assert_eq!(pattern.remark(), None, "{text}");
        assert_eq!(pattern.to_string(), text);
        let method = text[1..].split(':').next().unwrap();
        assert!(pattern.restricts(Operation { method, name: Some("x") }), "{text}");
        assert!(!pattern.restricts(Operation { method: &text[..text.len() - 1], name: None }));
    }
    let path = Pattern::parse("resources/read:/priv/*").unwrap().remark().unwrap();
    assert!(path.contains("file:///priv/*"), "{path}");
}

#[test]
fn a_pattern_that_can_allow_no_request_is_an_error_in_an_allow_list() {
    let check = |text: &str| Pattern::parse(text).unwrap().check_grant();
    for text in [
        "ping:x",
        "completion/complete:x",
        "initialize:*",
        "@get:x",
        "notifications/*:x",
        "=acme/run:x",
        "resources/read:https://müller.example/*",
        "=ping:x",
    ] {
        assert!(check(text).is_err(), "{text}");
        // This pattern can be used to demand something: it matches every request of the method.
        assert!(Pattern::parse(text).is_ok(), "{text}");
    }
    for text in [
        "ping",
        "*",
        "*:x",
        "tools/*:get_*",
        "tasks/get:1",
        "t*:x",
        "=tools/run:x",
        "tools/run:x",
        "resources/read:file:///pub/*",
        "resources/read:*",
        "acme/run",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for text in [
        "tools/call:delete\\_*",
        "tools/call:delete_\u{200b}*",
        "resources/read:file:///C:\\x\\*",
        "tools/call:a%5cb",
        "tools/call:a%00",
        "tools/call:x\u{202e}",
        "resources/read:file:///a%c0%af*",
    ] {
        assert!(matches!(refused(text), PatternError::Name { .. }), "{text:?}");
    }
}

#[test]
fn the_distance_of_two_names_counts_edits() {
    for (a, b, count) in [
        ("", "", 0),
        ("a", "", 1),
        ("ab", "ba", 1),
        ("abc", "abd", 1),
        ("kitten", "sitting", 3),
        ("CALL", "call", 0),
        ("ca", "abc", 3),
        ("a*c", "abbbc", 0),
        ("a*d", "abc", 1),
        ("*", "anything", 0),
    ] {
        assert_eq!(edits(a, b, 9), Some(count), "{a} {b}");
        assert_eq!(edits(a, b, count), Some(count));
        assert_eq!(count.checked_sub(1).and_then(|less| edits(a, b, less)), None);
    }
    assert_eq!(nearest(&"a".repeat(100_000)), None);
    assert_eq!(nearest(&"*".repeat(100_000)), None);
    assert_eq!(nearest("acme/run"), None);
}
