//! Tests of captured HTTP/1.1 requests: one is accepted, and each change to it is refused.

mod bodies;
mod generated;

use std::error::Error as _;

use mcpid::message::capture::{CaptureError, CaptureFault, Captured, LineEnd, MAX_HEAD};
use mcpid::message::{Body, HeadError, InputKind, RequestTarget, detect};

const LIMIT: u64 = 4096;

/// A request with `Content-Length`. It has nine lines, of which the body is the last.
const PLAIN: &str = "POST /mcp?a=%41 HTTP/1.1\r\n\
    Host: mcp.example.com\r\n\
    Content-Type: application/json\r\n\
    X-Empty:\r\n\
    Accept: a\r\n\
    Accept:  b \t\r\n\
    Content-Length: 13\r\n\
    \r\n\
    {\"id\":1,\n\"b\"}";

/// A request with the same body as `PLAIN`, in chunks. The first chunk ends in the middle of line
/// 6.
const CHUNKED: &str = "POST /mcp HTTP/1.1\r\n\
    Host: mcp.example.com\r\n\
    Transfer-Encoding: chunked\r\n\
    \r\n\
    9\r\n\
    {\"id\":1,\n\r\n\
    004\r\n\
    \"b\"}\r\n\
    0\r\n\
    \r\n";

const BODY: &[u8] = b"{\"id\":1,\n\"b\"}";

fn parse(text: &str) -> Result<Captured<'_>, CaptureError> {
    Captured::parse(text.as_bytes(), LIMIT)
}

/// Returns the line number and the kind of the fault in `text`.
fn wrong(text: &str) -> (usize, CaptureFault) {
    let error = parse(text).expect_err(text);
    (error.line(), error.fault().clone())
}

/// Replaces `old` by `new` in `from`, and returns the line number and the kind of the resulting
/// fault.
fn changed(from: &str, old: &str, new: &str) -> (usize, CaptureFault) {
    assert_eq!(from.matches(old).count(), 1, "{old:?} must stand once");
    wrong(&from.replace(old, new))
}

fn values<'c>(captured: &'c Captured<'_>, name: &'c str) -> Vec<&'c [u8]> {
    captured.head().values(name).collect()
}

#[test]
fn capture_keeps_every_byte() {
    let captured = parse(PLAIN).unwrap();
    let head = captured.head();
    assert_eq!(head.method(), "POST");
    assert_eq!(head.target(), &RequestTarget::Origin("/mcp?a=%41".into()));
    assert_eq!(values(&captured, "host"), [b"mcp.example.com"]);
    assert_eq!(values(&captured, "x-empty"), [b""]);
    assert_eq!(values(&captured, "accept"), [b"a", b"b"]);
    assert_eq!(head.fields().len(), 6);
    assert_eq!(captured.body(), BODY);
    assert_eq!(captured.line_end(), LineEnd::CrLf);
    assert!(!captured.is_chunked());
    let request = captured.into_request();
    assert_eq!((request.body, request.time), (Body::Kept(BODY.into()), None));
}

#[test]
fn line_feeds_will_do_if_all_lines_have_them() {
    for text in [PLAIN, CHUNKED] {
        let text = text.replace("\r\n", "\n");
        let captured = parse(&text).unwrap();
        assert_eq!(captured.body(), BODY);
        assert_eq!(captured.line_end(), LineEnd::Lf);
    }
    assert_eq!(changed(PLAIN, "com\r\nC", "com\nC"), (2, CaptureFault::LineEnd));
    assert_eq!(changed(PLAIN, "13\r\n\r\n", "13\r\n\n"), (8, CaptureFault::LineEnd));
    assert_eq!(changed(PLAIN, "1.1\r\n", "1.1\n"), (2, CaptureFault::LineEnd));
    assert_eq!(changed(CHUNKED, "004\r\n", "004\n"), (8, CaptureFault::LineEnd));
}

#[test]
fn every_form_of_a_request_target_is_read() {
    let absolute = PLAIN.replace("/mcp?", "https://mcp.example.com/mcp?");
    assert_eq!(
        parse(&absolute).unwrap().head().target(),
        &RequestTarget::Absolute("https://mcp.example.com/mcp?a=%41".into())
    );
    let star = "OPTIONS * HTTP/1.1\nHost: a.example\n\n";
    assert_eq!(parse(star).unwrap().head().target(), &RequestTarget::Asterisk);
    assert_eq!(parse("GET / HTTP/1.1\nhost:a.example\n\n").unwrap().body(), b"");

    for target in ["*", "mcp.example.com:443", "mcp", "?x", "\\x"] {
        let (line, fault) = changed(PLAIN, "/mcp?a=%41", target);
        assert_eq!((line, fault), (1, CaptureFault::TargetForm(target.into())));
    }
    for target in [
        "/a\u{e4}",
        "/a#b",
        "/a\u{7f}",
        "ftp://a/",
        "https://u@a/",
        "https://a:0/",
        "https:///a",
        "x://",
        "https://a%62/",
    ] {
        let (line, fault) = changed(PLAIN, "/mcp?a=%41", target);
        let control = target.contains('\u{7f}') && fault == CaptureFault::Control(0x7f);
        assert!(
            line == 1 && (control || matches!(fault, CaptureFault::Target(_))),
            "{target}: {fault:?}"
        );
    }
}

#[test]
fn the_request_line_has_one_spelling() {
    for line in [
        "POST  /mcp HTTP/1.1",
        "POST /mcp  HTTP/1.1",
        " POST /mcp HTTP/1.1",
        "POST /mcp HTTP/1.1 ",
        "POST\t/mcp HTTP/1.1",
        "POST /mcp",
        "POST",
        "",
        "POST /m cp HTTP/1.1",
        "P@ST /mcp HTTP/1.1",
        "/mcp HTTP/1.1",
        "POST /mcp http/1.1",
        "P\u{d6}ST /mcp HTTP/1.1",
        "POST /mcp HTTPS/1.1",
        "Host: a.example",
    ] {
        let (number, fault) = changed(PLAIN, "POST /mcp?a=%41 HTTP/1.1", line);
        let named = matches!(&fault, CaptureFault::RequestLine(text) if text == line);
        assert!(number == 1 && named, "{line:?}: {fault:?}");
    }
    // A request line that begins with a space has an empty method, so it is refused.
    assert!(matches!(changed(PLAIN, "POST /", " /"), (1, CaptureFault::RequestLine(_))));
    for version in ["HTTP/1.0", "HTTP/2", "HTTP/0.9", "HTTP/1.10", "HTTP/11", "HTTP/1.1\u{b2}"] {
        assert_eq!(changed(PLAIN, "HTTP/1.1", version), (1, CaptureFault::Version(version.into())));
    }
}

#[test]
fn an_input_of_another_kind_is_named() {
    let named = |bytes: &[u8]| Captured::parse(bytes, LIMIT).unwrap_err().fault().clone();
    assert_eq!(named(b""), CaptureFault::Empty);
    assert_eq!(named(b"\x16\x03\x01\x02\x00\x01\x00"), CaptureFault::Tls);
    assert_eq!(named(b"HTTP/1.1 200 OK\r\n\r\n"), CaptureFault::Response);
    assert_eq!(
        named(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04"),
        CaptureFault::Version("HTTP/2.0".into())
    );
    for json in ["{\"jsonrpc\":\"2.0\"}", " \n[1]", "\"text\"", "{"] {
        assert_eq!(named(json.as_bytes()), CaptureFault::Json);
    }
    assert_eq!(named(b"\xef\xbb\xbfPOST / HTTP/1.1\r\n"), CaptureFault::ByteOrderMark);
    assert_eq!(named(b"\x7fELF\x02\x01\x01\0\0"), CaptureFault::Control(0x7f));
    assert_eq!(named(b"\x89PNG\r\n\x1a\n"), CaptureFault::RequestLine("\u{fffd}PNG".into()));
    assert_eq!(named(b"P\0O\0S\0T\0"), CaptureFault::Control(0));
}

#[test]
fn header_lines_have_one_spelling() {
    let swap = |line: &str| changed(PLAIN, "Content-Type: application/json", line);
    assert_eq!(swap(" folded"), (3, CaptureFault::Folded));
    assert_eq!(swap("\tfolded"), (3, CaptureFault::Folded));
    assert_eq!(swap("no colon"), (3, CaptureFault::NoColon));
    for (line, name) in [
        ("Content-Type : x", "Content-Type "),
        (": x", ""),
        ("Content Type: x", "Content Type"),
        ("C\u{f6}ntent: x", "C\u{f6}ntent"),
        ("(c): x", "(c)"),
    ] {
        let wanted = CaptureFault::Field(HeadError::FieldName(name.into()));
        assert_eq!(swap(line), (3, wanted), "{line}");
    }
    assert_eq!(swap("A: x\ry"), (3, CaptureFault::Control(b'\r')));
    assert_eq!(swap("A: x\r"), (3, CaptureFault::Control(b'\r')));
    assert_eq!(swap("A: \0"), (3, CaptureFault::Control(0)));
    assert_eq!(swap("A: \x0b"), (3, CaptureFault::Control(0x0b)));
    assert_eq!(swap("A: \x7f"), (3, CaptureFault::Control(0x7f)));
    assert_eq!(swap("A\x1b[1m: x"), (3, CaptureFault::Control(0x1b)));
    // A field name that is not UTF-8 is refused.
    let bytes = [b"GET / HTTP/1.1\nHost: a\n\xff\xfe: x\n\n".as_slice()].concat();
    let error = Captured::parse(&bytes, LIMIT).unwrap_err();
    assert!(error.line() == 3 && matches!(error.fault(), CaptureFault::Field(_)), "{error}");
    // A value may contain any byte above ASCII (RFC 9110 section 5.5).
    let bytes = b"GET / HTTP/1.1\nHost: a\nX: \xff\n\n";
    let captured = Captured::parse(bytes, LIMIT).unwrap();
    assert_eq!(values(&captured, "x"), [b"\xff"]);
}

#[test]
fn a_capture_has_exactly_one_host_field() {
    let host = "Host: mcp.example.com\r\n";
    assert_eq!(changed(PLAIN, host, ""), (7, CaptureFault::HostMissing));
    let twice = format!("{host}X: y\r\nhOST: mcp.example.com\r\n");
    assert_eq!(changed(PLAIN, host, &twice), (4, CaptureFault::HostRepeated { first: 2 }));
    for host in ["", "a b", "u@a", "a/b", "a%62", "a:0", "a:80:80", "[::1", "127.1", "\u{e4}"] {
        let (line, fault) = changed(PLAIN, "mcp.example.com", host);
        assert!(line == 2 && matches!(fault, CaptureFault::Host(_)), "{host:?}: {fault:?}");
    }
}

#[test]
fn the_head_has_a_limit() {
    let head = |size: usize| {
        let rest = "GET / HTTP/1.1\nHost: a\nX: \n\n".len();
        format!("GET / HTTP/1.1\nHost: a\nX: {}\n\n", "y".repeat(size - rest))
    };
    assert!(parse(&head(MAX_HEAD)).is_ok());
    assert!(matches!(wrong(&head(MAX_HEAD + 1)).1, CaptureFault::HeadTooLarge { limit: MAX_HEAD }));
    assert!(matches!(wrong(&head(MAX_HEAD + 99)), (3, CaptureFault::HeadTooLarge { .. })));
    let endless = "G".repeat(MAX_HEAD * 2);
    assert!(matches!(wrong(&endless), (1, CaptureFault::HeadTooLarge { .. })));
}

#[test]
fn capture_errors_keep_their_causes() {
    let text = PLAIN.replace("mcp.example.com", "a:0");
    let error = parse(&text).unwrap_err();
    assert_eq!(error.to_string(), "line 2: the host field cannot be read");
    assert_eq!(error.source().unwrap().to_string(), "\"0\" is not a port");
}

#[test]
fn kinds_of_input_are_told_apart() {
    for (text, kind) in [
        (PLAIN, InputKind::Raw),
        ("", InputKind::Raw),
        ("\u{feff}POST", InputKind::Raw),
        ("{\"log\":{\"entries\":[]}}", InputKind::Har),
        ("\u{feff}{\"log\":{}}", InputKind::Har),
        ("\n {\"x\":{\"method\":[1]},\n\"log\":{\"version\":\"1.2\",\"entr", InputKind::Har),
        ("{\"time\":\"2026-11-23T10:00:00Z\",\"method\":\"POST\",\"target\":\"h", InputKind::Lines),
        ("{\"headers\":[[\"a", InputKind::Lines),
        ("{\"seq\":1,\"key\":{\"log\":1},\"request\":{}}", InputKind::Lines),
    ] {
        assert_eq!(detect(text.as_bytes()).unwrap(), kind, "{text}");
    }
    for text in [
        "{}",
        "{",
        "[{\"method\":\"POST\"}]",
        "\"log\"",
        "{\"jsonrpc\":\"2.0\",\"id\":1}",
        "{\"method\":\"ping\",\"jsonrpc\":\"2.0\",\"id\":1,\"headers\":[]}",
        "{\"x\":{\"log\":1}}",
        "{log:1}",
        "{\"x\":nope,\"log\":{}}",
        "{\"x\":\"log\"}",
    ] {
        let error = detect(text.as_bytes()).expect_err(text);
        assert_eq!(error.to_string(), "JSON, but neither a HAR file nor request lines");
    }
    let deep = format!("{{\"x\":{}", "[".repeat(200_000));
    assert!(detect(deep.as_bytes()).is_err());
}
