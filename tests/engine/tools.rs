//! Tests of which tools count as destructive: what a list of tools can change about that, and what
//! it cannot.

use std::error::Error as _;

use mcpid::mcp::pattern::Operation;
use mcpid::mcp::tools::{MAX_NAME, MAX_TOOLS, Tools, ToolsError};

/// Returns a response that lists one tool, `t`, with these annotations.
fn one(annotations: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"t","inputSchema":{{"type":"object"}},"annotations":{annotations}}}]}}}}"#
    )
}

fn learned(lists: &[&str]) -> Tools {
    let mut tools = Tools::new();
    for list in lists {
        tools.learn(list.as_bytes()).unwrap_or_else(|e| panic!("{e} {:?}: {list}", e.source()));
    }
    tools
}

#[test]
fn only_two_hints_make_a_tool_harmless() {
    for (annotations, harmless) in [
        (r#"{"readOnlyHint":true}"#, true),
        (r#"{"destructiveHint":false}"#, true),
        (r#"{"readOnlyHint":false,"destructiveHint":false}"#, true),
        // `destructiveHint` is ignored for a read-only tool, unless it is not a boolean.
        (r#"{"readOnlyHint":true,"destructiveHint":true}"#, true),
        (r#"{"readOnlyHint":true,"destructiveHint":null}"#, true),
        (r#" { "readOnlyHint" : true } "#, true),
        (r#"{"\u0072eadOnlyHint":true}"#, true),
        (r#"{}"#, false),
        ("null", false),
        (r#"{"readOnlyHint":false}"#, false),
        (r#"{"destructiveHint":true}"#, false),
        (r#"{"readOnlyHint":false,"destructiveHint":true}"#, false),
        (r#"{"readOnlyHint":null,"destructiveHint":null}"#, false),
        (r#"{"readOnlyHint":"true"}"#, false),
        (r#"{"readOnlyHint":1}"#, false),
        (r#"{"readOnlyHint":[true]}"#, false),
        (r#"{"readOnlyHint":true,"destructiveHint":"no"}"#, false),
        (r#"{"readOnlyHint":"yes","destructiveHint":false}"#, false),
        (r#"{"readonlyHint":true}"#, false),
        (r#"{"ReadOnlyHint":true}"#, false),
        (r#"{"readOnly":true}"#, false),
        (r#"{"idempotentHint":true,"openWorldHint":false}"#, false),
        ("true", false),
        (r#""readOnlyHint""#, false),
        ("[true]", false),
        (r#"[{"readOnlyHint":true}]"#, false),
        (r#"{"x":{"readOnlyHint":true}}"#, false),
    ] {
        let list = one(annotations);
        let tools = learned(&[&list]);
        assert_eq!(!tools.is_destructive("t"), harmless, "{annotations}");
        assert!(tools.knows("t"));
    }
    // Hints that are not inside `annotations` have no effect.
    let list = r#"{"tools":[{"name":"t","readOnlyHint":true,"_meta":{"annotations":{"readOnlyHint":true}}}]}"#;
    assert!(learned(&[list]).is_destructive("t"));
}

#[test]
fn an_unknown_tool_is_destructive() {
    let tools = learned(&[&one(r#"{"readOnlyHint":true}"#)]);
    assert!(!tools.is_destructive("t"));
    for name in ["T", "t ", "", "tt", "т", "t\0"] {
        assert!(tools.is_destructive(name), "{name:?}");
        assert!(!tools.knows(name), "{name:?}");
    }
    assert!(Tools::new().is_destructive("t"));
}

#[test]
fn the_most_restrictive_hints_seen_for_a_tool_apply() {
    let harmless = one(r#"{"readOnlyHint":true}"#);
    let destructive = one(r#"{"destructiveHint":true}"#);
    assert!(!learned(&[&harmless, &harmless]).is_destructive("t"));
    assert!(learned(&[&harmless, &destructive]).is_destructive("t"));
    assert!(learned(&[&destructive, &harmless]).is_destructive("t"));
    assert!(learned(&[&harmless, &destructive, &harmless, &harmless]).is_destructive("t"));
    // The tool is listed twice in the same list, in either order. It counts as destructive.
    for (first, second) in [("true", "false"), ("false", "true")] {
        let list = format!(
            r#"{{"tools":[{{"name":"t","annotations":{{"destructiveHint":{first}}}}},{{"name":"t","annotations":{{"destructiveHint":{second}}}}}]}}"#
        );
        let tools = learned(&[&list]);
        assert!(tools.is_destructive("t"), "{list}");
        assert_eq!(tools.len(), 1);
    }
    // A later list that lacks the tool changes nothing about it.
    let tools = learned(&[&destructive, r#"{"tools":[]}"#, &harmless]);
    assert!(tools.is_destructive("t"));
}

#[test]
fn a_whole_response_and_its_result_alone_are_read_alike() {
    let inner = r#"{"tools":[{"name":"a","annotations":{"readOnlyHint":true}},{"name":"b"}],"nextCursor":"2"}"#;
    for answer in [
        inner.to_owned(),
        format!("  {inner}\r\n"),
        format!(r#"{{"jsonrpc":"2.0","id":"x","result":{inner}}}"#),
        format!(r#"{{"result":{inner},"id":7,"jsonrpc":"2.0"}}"#),
        format!(r#"{{"result":{inner},"id":7}}"#),
    ] {
        let mut tools = Tools::new();
        let learned = tools.learn(answer.as_bytes()).unwrap();
        assert_eq!((learned.listed, learned.harmless, learned.left_out), (2, 1, 0), "{answer}");
        assert!(!tools.is_destructive("a") && tools.is_destructive("b"), "{answer}");
    }
    let error = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no tools"}}"#;
    assert_eq!(Tools::new().learn(error).unwrap().listed, 0);
}

#[test]
fn names_are_compared_as_they_are_after_unescaping() {
    let tools =
        learned(&[r#"{"tools":[{"name":"d\u00e9l\n","annotations":{"readOnlyHint":true}}]}"#]);
    assert!(!tools.is_destructive("dél\n"));
    // This name looks the same, but has another Unicode normal form, so it is another tool.
    assert!(tools.is_destructive("de\u{301}l\n"));
}

#[test]
fn no_tool_is_learned_from_an_ambiguous_answer() {
    let good = r#"{"name":"a","annotations":{"readOnlyHint":true}}"#;
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    for list in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        good.to_owned(),
        format!("[{good}]"),
        r#"{"tools":null}"#.to_owned(),
        r#"{"tools":{}}"#.to_owned(),
        r#"{"Tools":[]}"#.to_owned(),
        format!(r#"{{"tools":[{good},{{}}]}}"#),
        format!(r#"{{"tools":[{good},{{"name":7}}]}}"#),
        format!(r#"{{"tools":[{good},{{"name":null}}]}}"#),
        format!(r#"{{"tools":[{good},"b"]}}"#),
        format!(r#"{{"tools":[{good},["b",{{"readOnlyHint":true}}]]}}"#),
        format!(r#"{{"tools":[{good}],"tools":[]}}"#),
        format!(r#"{{"tools":[{good}],"to\u006fls":[]}}"#),
        r#"{"tools":[{"name":"a","name":"b"}]}"#.to_owned(),
        r#"{"tools":[{"name":"a","annotations":{"readOnlyHint":false,"readOnlyHint":true}}]}"#
            .to_owned(),
        r#"{"tools":[{"name":"a","annotations":{},"annotations":{"readOnlyHint":true}}]}"#
            .to_owned(),
        r#"{"tools":[{"name":"\ud800"}]}"#.to_owned(),
        format!(r#"{{"tools":[{good}],"x":NaN}}"#),
        format!(r#"{{"tools":[{good}],"x":{deep}}}"#),
        format!(r#"{{"tools":[{good}]}} {{}}"#),
        format!(r#"{{"tools":[{good}]"#),
        format!("\u{feff}{{\"tools\":[{good}]}}"),
        // The result is at the wrong place in the response, or is an array that serde would accept
        // as an object.
        format!(r#"{{"jsonrpc":"2.0","id":1,"tools":[{good}]}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":[[{good}]]}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{good}]}},"result":{{}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"Result":{{"tools":[{good}]}}}}"#),
        r#"{"jsonrpc":"2.0","id":1,"result":"{}"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned(),
    ] {
        let mut tools = Tools::new();
        assert!(tools.learn(list.as_bytes()).is_err(), "{list}");
        assert!(tools.is_empty() && tools.is_destructive("a"), "{list}");
    }
    let mut tools = Tools::new();
    assert!(matches!(tools.learn(b"{\"tools\":[\xff]}"), Err(ToolsError::Utf8)));
}

#[test]
fn the_number_of_remembered_tools_is_bounded_and_none_is_replaced() {
    let list = |range: std::ops::Range<usize>, hint: &str| {
        let tools: Vec<String> = range
            .map(|n| format!(r#"{{"name":"tool {n}","annotations":{{"readOnlyHint":{hint}}}}}"#))
            .collect();
        format!(r#"{{"tools":[{}]}}"#, tools.join(","))
    };
    let mut tools = Tools::new();
    let learned = tools.learn(list(0..MAX_TOOLS + 10, "true").as_bytes()).unwrap();
    assert_eq!((learned.listed, learned.left_out), (MAX_TOOLS + 10, 10));
    assert_eq!(tools.len(), MAX_TOOLS);
    assert!(!tools.is_destructive("tool 0"));
    assert!(tools.is_destructive(&format!("tool {}", MAX_TOOLS + 1)));
    // When the table is full, a tool that it already has can still be marked as destructive.
    let learned = tools.learn(list(0..1, "false").as_bytes()).unwrap();
    assert_eq!(learned.left_out, 0);
    assert!(tools.is_destructive("tool 0") && tools.knows("tool 0"));

    let mut tools = Tools::new();
    for (length, remembered) in [(MAX_NAME, true), (MAX_NAME + 1, false)] {
        let name = "n".repeat(length);
        let list =
            format!(r#"{{"tools":[{{"name":"{name}","annotations":{{"readOnlyHint":true}}}}]}}"#);
        let learned = tools.learn(list.as_bytes()).unwrap();
        assert_eq!(learned.left_out, usize::from(!remembered));
        assert_eq!(!tools.is_destructive(&name), remembered);
    }
}

#[test]
fn only_calls_of_tools_can_be_destructive() {
    let tools = learned(&[&one(r#"{"readOnlyHint":true}"#)]);
    let op = |method, name| Operation { method, name };
    assert!(!tools.calls_destructive(op("tools/call", Some("t"))));
    assert!(tools.calls_destructive(op("tools/call", Some("other"))));
    assert!(tools.calls_destructive(op("tools/call", None)));
    // A tool whose name could be read as another name counts as destructive, even if the server
    // describes it as harmless.
    let list = r#"{"tools":[{"name":"t ","annotations":{"readOnlyHint":true}},
        {"name":"e\u0301","annotations":{"readOnlyHint":true}},
        {"name":"\u00e9","annotations":{"destructiveHint":true}}]}"#;
    let odd = learned(&[list]);
    assert!(!odd.is_destructive("t ") && odd.calls_destructive(op("tools/call", Some("t "))));
    assert!(odd.calls_destructive(op("tools/call", Some("e\u{301}"))), "in NFC it is the other");
    for method in ["tools/list", "Tools/call", "resources/read", "@response", "@get"] {
        assert!(!tools.calls_destructive(op(method, Some("other"))), "{method}");
    }
}

#[test]
fn debug_shows_numbers_and_no_names() {
    let tools = learned(&[&one(r#"{"readOnlyHint":true}"#), r#"{"tools":[{"name":"secret"}]}"#]);
    assert_eq!(format!("{tools:?}"), "Tools(2 known, 1 of them destructive)");
}

#[test]
fn merged_tools_keep_the_more_restrictive_listing() {
    let mut tools = Tools::new();
    assert!(tools.note("a", false) && tools.note("b", true));
    let mut other = Tools::new();
    assert!(other.note("a", true) && other.note("b", false) && other.note("c", false));
    assert_eq!(tools.merge(&other), 0);
    let destructive: Vec<bool> = ["a", "b", "c"].map(|name| tools.is_destructive(name)).into();
    assert_eq!(destructive, [true, true, false]);
    assert_eq!((tools.len(), tools.destructive()), (3, 2));
    assert!(!tools.note(&"x".repeat(MAX_NAME + 1), false), "a name that is too long");
    let mut full = Tools::new();
    for number in 0..MAX_TOOLS {
        assert!(full.note(&number.to_string(), false));
    }
    assert_eq!(full.merge(&tools), 3);
    assert!(full.is_destructive("c") && !full.knows("c"));
}
