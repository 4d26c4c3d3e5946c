//! Tests of the gateway's log: it has one line for each request, and no request can forge or break
//! a line.

use std::time::Duration;

use mcpid::clock::Timestamp;
use mcpid::gateway::log::{
    LogLine, LogText, LoggedOperation, LoggedOutcome, LoggedStatus, MAX_TEXT_CHARS,
};
use mcpid::mcp::pattern::Operation;
use mcpid::tower::Mode;
use mcpid::verify::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

const LINE: &str = r#"{"version":1,"time":"2026-11-23T10:00:00Z","request":7,"peer":"127.0.0.1:5123","http":"1.1","method":"POST","path":"/mcp","mcp":{"method":"tools/call","name":"pay"},"status":"invalid","code":"expired","mode":"permissive","outcome":"passed","key":null,"tag":null,"answer":200,"upstream":200,"ms":1.25,"sent":118,"received":2310,"note":null}"#;

fn line() -> LogLine {
    let mut line = LogLine::new(Timestamp::from_unix(1_795_428_000), 7, "POST", "/mcp");
    line.peer = Some(LogText::new("127.0.0.1:5123"));
    line.http = Some(LogText::word("1.1"));
    line.mcp = Some(LoggedOperation::from(Operation { method: "tools/call", name: Some("pay") }));
    (line.status, line.code) = (Some(LoggedStatus::Invalid), Some(Code::Expired));
    (line.mode, line.outcome) = (Some(Mode::Permissive), LoggedOutcome::Passed);
    (line.answer, line.upstream) = (Some(200), Some(200));
    (line.sent, line.received) = (118, 2310);
    line.took(Duration::from_micros(1250));
    line
}

#[test]
fn the_format_is_the_one_that_is_documented() {
    assert_eq!(line().to_line(), LINE);
    assert_eq!(LogLine::parse(LINE.as_bytes()), Some(line()));
    let mut line = line();
    for code in Code::ALL {
        line.code = Some(*code);
        assert_eq!(LogLine::parse(line.to_line().as_bytes()), Some(line.clone()));
    }
    for standing in LoggedStatus::ALL {
        line.status = Some(standing);
        assert!(line.to_line().contains(&format!("\"status\":\"{}\"", standing.as_str())));
        assert_eq!(LogLine::parse(line.to_line().as_bytes()), Some(line.clone()));
    }
}

#[test]
fn an_unfinished_log_line_says_failed_and_shows_no_query() {
    let line = LogLine::new(Timestamp::from_unix(0), 1, "GET", "/mcp?token=hunter2#x");
    assert_eq!(line.outcome, LoggedOutcome::Failed);
    assert!(!line.to_line().contains("hunter2"), "{}", line.to_line());
}

fn changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Option<LogLine> {
    let mut value: Value = serde_json::from_str(LINE).unwrap();
    change(value.as_object_mut().unwrap());
    LogLine::parse(value.to_string().as_bytes())
}

#[test]
fn members_may_be_added_to_a_log_line_and_optional_members_may_be_absent() {
    assert!(changed(|o| drop(o.insert("new".into(), json!({"a": [1]})))).is_some());
    for member in
        ["peer", "http", "mcp", "status", "code", "mode", "key", "tag", "answer", "upstream", "ms"]
    {
        assert!(changed(|o| drop(o.remove(member))).is_some(), "{member}");
    }
    // A later version may write codes that this version does not know.
    let line = changed(|o| drop(o.insert("code".into(), json!("sun_spots")))).unwrap();
    assert_eq!((line.code, line.status), (None, Some(LoggedStatus::Invalid)));
}

#[test]
fn a_text_that_is_no_log_line_is_not_read() {
    for member in ["version", "time", "request", "method", "path", "outcome"] {
        assert!(changed(|o| drop(o.remove(member))).is_none(), "without {member}");
    }
    for (member, value) in [
        ("version", json!(2)),
        ("version", json!("1")),
        ("time", json!("yesterday")),
        ("time", json!(1_795_428_000)),
        ("request", json!(-1)),
        ("method", json!(null)),
        ("outcome", json!("perhaps")),
        ("status", json!("Verified")),
        ("mode", json!("Strict")),
        ("answer", json!(65_536)),
        ("mcp", json!("tools/call")),
        ("key", json!({"name": "alice"})),
        ("ms", json!("1")),
    ] {
        assert!(changed(|o| drop(o.insert(member.into(), value.clone()))).is_none(), "{member}");
    }
    for text in [
        "",
        "{}",
        "null",
        "[]",
        "listening on 127.0.0.1:8080",
        &LINE[..LINE.len() - 1],
        &format!("x{LINE}"),
        &format!("{LINE}{LINE}"),
        &LINE.replace("\"request\":7", "\"request\":7,\"request\":8"),
    ] {
        assert_eq!(LogLine::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(LogLine::parse(&[LINE.as_bytes(), b"\xff"].concat()), None);
}

#[test]
fn a_text_that_was_cut_is_not_cut_again() {
    let exact = "ä".repeat(MAX_TEXT_CHARS);
    assert_eq!(LogText::new(&exact).as_str(), exact);
    let cut = LogText::new(&format!("{exact}b"));
    assert!(cut.as_str().starts_with(&format!("{exact}… (129 characters, sha256 ")), "{cut}");
    // A shortened text keeps its mark when the line is parsed again. If a client sends the same
    // text, it is an ordinary long text, and is shortened again.
    let read = |text: &str| serde_json::from_value::<LogText>(text.into()).unwrap();
    assert_eq!(read(cut.as_str()), cut);
    assert_ne!(LogText::new(cut.as_str()), cut);
    assert_ne!(LogText::new(&format!("{exact}c")), cut);
    // Older versions marked a shortened text with `…` only.
    assert_eq!(read(&format!("{exact}…")).as_str(), format!("{exact}…"));
    assert!(cut.is_cut() && read(&format!("{exact}…")).is_cut() && !LogText::new(&exact).is_cut());
}

proptest! {
    #[test]
    fn no_text_breaks_or_forges_a_line(texts in prop::array::uniform4(any::<String>()), long in 0_usize..400) {
        let [method, path, name, peer] = texts;
        let mut line = LogLine::new(Timestamp::from_unix(0), 1, &method, &path);
        line.mcp = Some(LoggedOperation { method: LogText::new(&method), name: Some(LogText::new(&name.repeat(long))) });
        line.peer = Some(LogText::new(&peer));
        line.note = Some(LogText::new(&"\u{10ffff}\u{202e}\u{1b}\n".repeat(long)));
        let text = line.to_line();
        prop_assert!(!text.contains(mcpid::message::shown::is_unsafe), "{:?}", text);
        prop_assert!(text.len() < mcpid::gateway::log::LONGEST_LINE);
        prop_assert_eq!(LogLine::parse(text.as_bytes()), Some(line));
    }
}
