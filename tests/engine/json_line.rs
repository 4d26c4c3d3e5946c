//! Tests of request lines, which are JSON objects of one line.

use mcpid::clock::Timestamp;
use mcpid::message::json_line::{LineError, parse, write};
use mcpid::message::target::Origins;
use mcpid::message::{Body, Head, RequestTarget};
use proptest::prelude::*;

const LINE: &str = r#"{"time":"2026-11-23T10:00:00Z","method":"POST","target":"https://mcp.example.com/mcp?a=%41","headers":[["Host","mcp.example.com"],["X-A","1"],["x-a"," 2 "]],"body":"AP/+"}"#;

/// Replaces `old` by `new` in a valid line, and returns the resulting error.
fn changed(old: &str, new: &str) -> LineError {
    assert_eq!(LINE.matches(old).count(), 1, "{old:?} must stand once");
    let line = LINE.replace(old, new);
    parse(line.as_bytes()).expect_err(&line)
}

#[test]
fn request_line_keeps_every_byte() {
    for line in [LINE.to_owned(), format!("{LINE}\n"), format!(" {LINE} \r\n")] {
        let request = parse(line.as_bytes()).unwrap();
        assert_eq!(request.head.method(), "POST");
        assert_eq!(
            request.head.target(),
            &RequestTarget::Uri("https://mcp.example.com/mcp?a=%41".into())
        );
        let fields: Vec<_> = request.head.fields().iter().map(|f| (f.name(), f.value())).collect();
        let wanted: [(&str, &[u8]); 3] =
            [("host", b"mcp.example.com"), ("x-a", b"1"), ("x-a", b"2")];
        assert_eq!(fields, wanted);
        assert_eq!(request.body, Body::Kept(b"\x00\xff\xfe".into()));
        assert_eq!(request.time, Some(Timestamp::from_unix(1_795_428_000)));
    }
}

#[test]
fn optional_members_may_be_missing_and_unknown_members_are_ignored() {
    let line = LINE.replace(r#","body":"AP/+""#, "");
    assert_eq!(parse(line.as_bytes()).unwrap().body, Body::NotKept);
    let line = LINE.replace("AP/+", "");
    assert_eq!(parse(line.as_bytes()).unwrap().body, Body::Kept(b"".into()));
    let line = LINE.replace(r#""time":"2026-11-23T10:00:00Z","#, "");
    assert_eq!(parse(line.as_bytes()).unwrap().time, None);
    let line = LINE.replace(r#"{"time""#, r#"{"note":{"a":1,"a":2},"note":null,"Method":5,"time""#);
    assert!(parse(line.as_bytes()).is_ok());
    // Escapes in strings are decoded, including those in member names.
    let line = LINE.replace("\"POST\"", r#""P\u004fST""#).replace("\"X-A\"", r#""\u0058-A""#);
    assert_eq!(parse(line.as_bytes()).unwrap(), parse(LINE.as_bytes()).unwrap());
    assert!(matches!(changed(r#"{"time""#, r#"{"m\u0065thod":"POST","time""#), LineError::Json(_)));
}

#[test]
fn an_audit_entry_holds_a_line() {
    let entry = format!(
        r#"{{"time":"2026-11-23T10:00:05Z","method":5,"body":{{}},"verdict":"verified","request":{LINE}}}"#
    );
    assert_eq!(parse(entry.as_bytes()).unwrap(), parse(LINE.as_bytes()).unwrap());
    let nested = format!(r#"{{"request":{entry}}}"#);
    assert!(matches!(parse(nested.as_bytes()), Err(LineError::Nested)));
    let twice = format!(r#"{{"request":{LINE},"request":{LINE}}}"#);
    assert!(matches!(parse(twice.as_bytes()), Err(LineError::Json(_))));
    for inner in ["null", "5", "[]", "\"x\"", "{}"] {
        let entry = format!(r#"{{"request":{inner}}}"#);
        assert!(parse(entry.as_bytes()).is_err(), "{inner}");
    }
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    for (name, value) in [
        ("time", "\"2026-11-23T10:00:00Z\""),
        ("method", "\"POST\""),
        ("target", "\"https://mcp.example.com/mcp?a=%41\""),
        ("headers", "[]"),
        ("body", "\"AP/+\""),
    ] {
        let line = LINE.replacen('{', &format!("{{\"{name}\":{value},"), 1);
        let error = parse(line.as_bytes()).unwrap_err();
        assert!(matches!(error, LineError::Json(_)), "{name}: {error}");
        let beside = format!(r#"{{"request":{LINE},"{name}":1,"{name}":2}}"#);
        assert!(parse(beside.as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn a_line_without_a_required_member_is_refused() {
    for (member, name) in [
        (r#""method":"POST","#, "method"),
        (r#""target":"https://mcp.example.com/mcp?a=%41","#, "target"),
        (r#""headers":[["Host","mcp.example.com"],["X-A","1"],["x-a"," 2 "]],"#, "headers"),
    ] {
        assert!(matches!(changed(member, ""), LineError::Missing(missing) if missing == name));
    }
}

#[test]
fn values_of_another_type_are_refused() {
    for other in ["null", "5", "true", "[]", "{}", "[\"POST\"]"] {
        assert!(matches!(changed("\"POST\"", other), LineError::Json(_)), "{other}");
        assert!(matches!(changed("\"AP/+\"", other), LineError::Json(_)), "{other}");
        assert!(
            matches!(changed("\"2026-11-23T10:00:00Z\"", other), LineError::Json(_)),
            "{other}"
        );
    }
    for header in [
        "\"X-A\"",
        "\"X-A\",\"1\",\"2\"",
        "",
        "\"X-A\",1",
        "1,\"X-A\"",
        "\"X-A\",null",
        "\"X-A\",[\"1\"]",
    ] {
        assert!(matches!(changed("\"X-A\",\"1\"", header), LineError::Json(_)), "{header}");
    }
    let error = changed("[\"X-A\",\"1\"]", "{\"name\":\"X-A\",\"value\":\"1\"}");
    assert!(matches!(error, LineError::Json(_)));
    for text in ["", "\n", "[]", "5", "null", "\"x\"", "POST / HTTP/1.1", "\u{feff}{}"] {
        assert!(matches!(parse(text.as_bytes()), Err(LineError::NotAnObject)), "{text:?}");
    }
    let list = r#"["2026-11-23T10:00:00Z","POST","https://a/",[],"",null]"#;
    assert!(matches!(parse(list.as_bytes()), Err(LineError::NotAnObject)));
    for text in ["{", "{}x", "{\"a\":NaN}", "{'a':1}", "{\"a\":1,}"] {
        assert!(matches!(parse(text.as_bytes()), Err(LineError::Json(_))), "{text:?}");
    }
    assert!(parse(format!("{LINE}{LINE}").as_bytes()).is_err());
    assert!(parse(format!("{LINE}\0").as_bytes()).is_err());
}

#[test]
fn values_that_http_does_not_know_are_refused() {
    for method in ["", "P OST", "POST\\n", "P\u{d6}ST"] {
        let error = changed("\"POST\"", &format!("\"{method}\""));
        assert!(matches!(error, LineError::Head(_)), "{method}");
    }
    for target in ["", "/mcp", "*", "https://a/#x", "https://u@a/", "ftp://a/", "https://a/ x"] {
        let error = changed("https://mcp.example.com/mcp?a=%41", target);
        assert!(matches!(error, LineError::Target(_)), "{target}");
    }
    for name in ["", "X A", "X:", ":method", "X\\r\\nY"] {
        assert!(matches!(changed("X-A", name), LineError::Head(_)), "{name}");
    }
    for value in ["a\\r\\nb: c", "a\\u0000", "a\\n b"] {
        let error = changed("\"1\"", &format!("\"{value}\""));
        assert!(matches!(error, LineError::Head(_)), "{value}");
    }
    for time in ["", "now", "2026-11-23T10:00:00", "2026-11-23 10:00:00Z", "@1795428000"] {
        let error = changed("2026-11-23T10:00:00Z", time);
        assert!(matches!(error, LineError::Time(_)), "{time}");
    }
}

#[test]
fn a_body_has_one_spelling() {
    for body in [
        "AP/-", "AP_-", "AP", "AP/", "AP=", "AB==", "AAB=", "AP/+=", "AP/+ ", "AP /", "=", "%",
        "AP/+AA",
    ] {
        let error = changed("AP/+", body);
        assert!(matches!(error, LineError::Body(_)), "{body}");
    }
}

#[test]
fn a_value_that_is_not_text_cannot_be_written() {
    let mut head = Head::new("GET", RequestTarget::Origin("/".into())).unwrap();
    head.push("x", &b"\xff"[..]).unwrap();
    let error = write(&head, "https://a/", None, None).unwrap_err();
    assert_eq!(error.to_string(), "the value of \"x\" is not UTF-8, a request line cannot hold it");
}

#[test]
fn a_line_is_written_in_its_documented_form() {
    let request = parse(LINE.as_bytes()).unwrap();
    let origins = Origins::unknown();
    let uri = origins.resolve(&request.head).unwrap().target_uri();
    let line = write(&request.head, &uri, request.body.bytes(), request.time).unwrap();
    let wanted = LINE.replace("Host", "host").replace("X-A", "x-a").replace(" 2 ", "2");
    assert_eq!(line, wanted);
    let bare = write(&request.head, &uri, None, None).unwrap();
    assert!(!bare.contains("\"body\"") && !bare.contains("\"time\""));
}

proptest! {
    #[test]
    fn a_written_line_reads_back(
        method in "[A-Z]{1,8}",
        path in "[!-\"$-~]{0,20}",
        fields in prop::collection::vec(("[a-z-]{1,8}", "[ -~\u{e4}\u{1f600}]{0,12}"), 0..6),
        body in prop::option::of(any::<Vec<u8>>()),
        time in prop::option::of(0..4_000_000_000_i64),
    ) {
        let url = format!("https://a.example/{path}");
        let mut head = Head::new(method, RequestTarget::Uri(url.clone().into())).unwrap();
        for (name, value) in &fields {
            head.push(name.as_str(), value.as_bytes()).unwrap();
        }
        let time = time.map(Timestamp::from_unix);
        let line = write(&head, &url, body.as_deref(), time).unwrap();
        prop_assert!(!line.contains('\n'));
        let read = parse(line.as_bytes()).unwrap();
        prop_assert_eq!(&read.head, &head);
        prop_assert_eq!(read.time, time);
        prop_assert_eq!(read.body.bytes(), body.as_deref());
    }

    #[test]
    fn no_bytes_make_the_line_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_change_of_a_line_makes_the_reader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = LINE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = parse(&bytes);
    }
}
