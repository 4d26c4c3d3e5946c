//! Tests of which requests need a person's consent.

use mcpid::connect::consent::{ConfirmPolicy, ConsentNeed, ConsentQuestion, PageLimits};
use mcpid::mcp::body::Reading;
use mcpid::mcp::tools::Tools;

use super::{TARGET, call, read};

fn confirm(rules: &[&str]) -> ConfirmPolicy {
    let mut confirm = ConfirmPolicy::default();
    rules.iter().for_each(|rule| confirm.add(rule).unwrap());
    confirm
}

fn need(rules: &[&str], body: &str, tools: &Tools) -> &'static str {
    let reading = read(body.as_bytes());
    match confirm(rules).judge(TARGET, reading.as_ref(), body.as_bytes(), tools) {
        ConsentNeed::Nothing => "nothing",
        ConsentNeed::Ask(_) => "ask",
        ConsentNeed::Refuse => "refuse",
        other => panic!("{other:?}"),
    }
}

fn tools(list: &str) -> Tools {
    let mut tools = Tools::new();
    tools.learn(list.as_bytes()).unwrap();
    tools
}

#[test]
fn patterns_select_the_requests_that_need_consent() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (rules, body, expected) in [
        (&[][..], call("{}"), "nothing"),
        (&["tools/call:delete"], call("{}"), "ask"),
        (&["tools/call:del*"], call("{}"), "ask"),
        (&["tools/call"], call("{}"), "ask"),
        (&["tools/*"], call("{}"), "ask"),
        (&["*"], list.to_owned(), "ask"),
        (&["tools/call:get_*", "tools/call:delete"], call("{}"), "ask"),
        (&["tools/call:get_*"], call("{}"), "nothing"),
        (&["tools/call:Delete"], call("{}"), "nothing"),
        (&["tools/call:delete"], list.to_owned(), "nothing"),
        (&["prompts/get"], call("{}"), "nothing"),
        // A pattern with a tool's name also matches a call without a name.
        (&["tools/call:x"], r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.to_owned(), "ask"),
        (&["@response"], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), "ask"),
    ] {
        assert_eq!(need(rules, &body, &Tools::new()), expected, "{rules:?} {body}");
    }
}

#[test]
fn tools_that_the_server_does_not_call_harmless_need_consent() {
    let harmless =
        tools(r#"{"tools":[{"name":"delete","annotations":{"destructiveHint":false}}]}"#);
    let destructive =
        tools(r#"{"tools":[{"name":"delete","annotations":{"destructiveHint":true}}]}"#);
    let rules = &["destructive"][..];
    assert_eq!(need(rules, &call("{}"), &Tools::new()), "ask");
    assert_eq!(need(rules, &call("{}"), &destructive), "ask");
    assert_eq!(need(rules, &call("{}"), &harmless), "nothing");
    // A pattern applies even if the server rates the tool as harmless.
    assert_eq!(need(&["destructive", "tools/call:*"], &call("{}"), &harmless), "ask");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(need(rules, list, &Tools::new()), "nothing");
}

#[test]
fn a_name_in_any_form_is_asked_about() {
    let read = |uri: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"{uri}"}}}}"#
        )
    };
    let rules = &["resources/read:file:///priv/*"][..];
    for uri in ["file:///priv/a", "FILE:///priv/a", "file:///pub/%2e%2e/priv/a", "file:///pub/a "] {
        assert_eq!(need(rules, &read(uri), &Tools::new()), "ask", "{uri}");
    }
    assert_eq!(need(rules, &read("file:///pub/a"), &Tools::new()), "nothing");
    let harmless = tools(r#"{"tools":[{"name":"delete ","annotations":{"readOnlyHint":true}}]}"#);
    let padded = call("{}").replace("\"delete\"", "\"delete \"");
    assert_eq!(need(&["destructive"], &padded, &harmless), "ask", "an ambiguous name");
}

#[test]
fn an_unreadable_body_is_refused_without_a_question() {
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#;
    for body in [
        twice,
        "",
        "[]",
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
        "\u{feff}{}",
    ] {
        for rules in [&["tools/call:delete"][..], &["destructive"], &["@response"]] {
            assert_eq!(need(rules, body, &Tools::new()), "refuse", "{rules:?} {body}");
        }
        // Without a rule, the request is neither refused nor asked about.
        assert_eq!(need(&[], body, &Tools::new()), "nothing", "{body}");
    }
}

#[test]
fn a_question_about_a_get_or_delete_shows_only_method_and_target() {
    let judged = confirm(&["@delete"]).judge(TARGET, Ok(&Reading::Delete), b"", &Tools::new());
    let ConsentNeed::Ask(asked) = judged else { panic!("{judged:?}") };
    assert!(asked.shown(&PageLimits::default()).text.contains("\"@delete\""));
    let judged = confirm(&["@delete"]).judge(TARGET, Ok(&Reading::Get), b"", &Tools::new());
    assert!(matches!(judged, ConsentNeed::Nothing));
    // This is the reading of a GET, and the request has a body.
    let judged = confirm(&["@get"]).judge(TARGET, Ok(&Reading::Get), b"x", &Tools::new());
    assert!(matches!(judged, ConsentNeed::Refuse));
    let judged = confirm(&["@get"]).judge(TARGET, Ok(&Reading::Opaque), b"x", &Tools::new());
    assert!(matches!(judged, ConsentNeed::Refuse));
}

#[test]
fn a_consent_rule_that_is_not_a_pattern_is_an_error() {
    for rule in [
        "",
        ":delete",
        "tools/call:",
        "tools/call: x",
        "tools/call\n",
        "delete_*",
        "destructve",
        "tools/cal:x",
        "tools/call:a\\*",
    ] {
        assert!(ConfirmPolicy::default().add(rule).is_err(), "{rule:?}");
    }
    assert!(ConfirmPolicy::default().is_empty());
    assert!(!confirm(&["destructive"]).is_empty());
    assert!(!confirm(&["ping"]).is_empty());
}

#[test]
fn a_question_is_bound_to_the_bytes_of_the_request() {
    let body = call(r#"{"path": "/tmp/x",  "n":1.00}"#);
    let asked =
        ConsentQuestion::new(TARGET, &read(body.as_bytes()).unwrap(), body.as_bytes()).unwrap();
    assert_eq!(asked.arguments(), Some(r#"{"path": "/tmp/x",  "n":1.00}"#));
    assert_eq!((asked.target(), asked.size()), (TARGET, body.len()));
    assert_eq!(asked.operation().to_string(), "tools/call:delete");
    assert!(asked.is_about(body.as_bytes()));
    for other in [
        body.replace("  ", " "),
        body.replace("1.00", "1.0"),
        body.replace("/tmp/x", "/tmp/y"),
        format!("{body}\n"),
        String::new(),
    ] {
        assert!(!asked.is_about(other.as_bytes()), "{other}");
    }
    // The parsed message and the bytes are of two different requests.
    let reading = read(body.as_bytes()).unwrap();
    let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert!(ConsentQuestion::new(TARGET, &reading, ping).is_none());
    assert!(ConsentQuestion::new(TARGET, &reading, b"").is_none());
    assert!(!format!("{asked:?}").contains("/tmp/x"));
}

#[test]
fn the_rule_that_asks_is_named() {
    let because = |rules: &[&str]| {
        let body = call("{}");
        let reading = read(body.as_bytes());
        let tools = Tools::new();
        match confirm(rules).judge(TARGET, reading.as_ref(), body.as_bytes(), &tools) {
            ConsentNeed::Ask(asked) => asked.because().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(because(&["destructive"]), "destructive");
    assert_eq!(because(&["ping", "tools/call:del*", "tools/*"]), "tools/call:del*");
}
