//! Tests of inputs whose format is detected: the positions of requests, and inputs that are
//! refused.

use std::io::{self, Read};
use std::ops::ControlFlow;

use mcpid::message::InputKind;
use mcpid::message::amend;
use mcpid::message::capture::Captured;
use mcpid::message::captures::{Capture, Captures, CapturesError};

const RAW: &[u8] = b"GET /mcp HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n";
const LINE: &str = r#"{"method":"GET","target":"https://mcp.example.com/mcp","headers":[]}"#;
const HAR: &[u8] = br#"{"log":{"entries":[
    {"request":{"method":"GET","url":"https://mcp.example.com/a","headers":[]}},
    {"request":{"method":"GET","url":"data:text/plain,x","headers":[]}}]}}"#;

/// Reads `input`, and returns the position and a description of each request.
fn read(input: impl Read, max_body: u64) -> Result<Vec<(u64, String)>, CapturesError> {
    let mut found = Vec::new();
    let flow = Captures::open(input, max_body)?.each(&mut |index, capture| {
        found.push((
            index,
            match capture {
                Capture::Raw(request) => format!("raw {}", request.head.method()),
                Capture::Entry(entry) => format!("entry {}", entry.request.is_ok()),
                Capture::Line(line) => format!("line of {}", line.len()),
                _ => unreachable!(),
            },
        ));
        ControlFlow::Continue(())
    })?;
    assert!(flow.is_continue());
    Ok(found)
}

#[test]
fn each_format_gives_its_requests_in_order() {
    assert_eq!(read(RAW, 10).unwrap(), [(0, "raw GET".to_owned())]);
    let entries = [(0, "entry true".to_owned()), (1, "entry false".to_owned())];
    assert_eq!(read(HAR, 10).unwrap(), entries);
    // Blank lines are skipped and not counted. The last line needs no line end.
    let (lines, length) = (format!("{LINE}\n\n  \r\n{LINE}"), LINE.len());
    let expected = [(0, format!("line of {}", length + 1)), (1, format!("line of {length}"))];
    assert_eq!(read(lines.as_bytes(), 10).unwrap(), expected);
}

#[test]
fn reading_stops_when_the_caller_breaks_off() {
    let lines = format!("{LINE}\n{LINE}\n");
    let captures = Captures::open(lines.as_bytes(), 10);
    let mut count = 0;
    let flow = captures.unwrap().each(&mut |_, _| {
        count += 1;
        ControlFlow::Break(())
    });
    assert!(flow.unwrap().is_break());
    assert_eq!(count, 1);
}

#[test]
fn an_input_that_cannot_be_read_names_its_fault() {
    assert!(matches!(read(&b"[1, 2]"[..], 10), Err(CapturesError::Kind(_))));
    assert!(matches!(read(&b"GET / HTTP/1.1\r\n"[..], 10), Err(CapturesError::Raw(_))));
    assert!(matches!(read(&br#"{"log":{"entries":[7}"#[..], 10), Err(CapturesError::Har(_))));
    assert!(matches!(read(Broken, 10), Err(CapturesError::Io(_))));
    let after_a_line = LINE.as_bytes().chain(&[b'\n'; 70_000][..]).chain(Broken);
    let line = match read(after_a_line, 10) {
        Err(CapturesError::LineIo { line, .. }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line, 70_001);
}

#[test]
fn a_line_is_limited_by_the_largest_body() {
    let (limit, largest) = (2 * 100 + 1024 * 1024, 1024 * 1024 + 200 - 1);
    let line = |length: usize| format!("{LINE}{}\n", " ".repeat(length - LINE.len() - 1));
    assert_eq!(read(line(largest).as_bytes(), 100).unwrap().len(), 1);
    let two = format!("{LINE}\n{}", line(limit + 1));
    let error = read(two.as_bytes(), 100).unwrap_err();
    assert!(matches!(error, CapturesError::LineTooLong { line: 2, limit: 1_048_776 }), "{error}");
}

#[test]
fn a_short_input_is_read_to_its_end_at_once() {
    let lines = format!("{LINE}\n");
    assert!(Captures::open(lines.as_bytes(), 10).unwrap().is_read());
    let long = lines.repeat(2_000);
    let captures = Captures::open(long.as_bytes(), 10).unwrap();
    assert!(!captures.is_read());
    assert_eq!(captures.kind(), InputKind::Lines);
    assert!(Captures::open(RAW, 10).unwrap().is_read());
}

#[test]
fn amended_bytes_differ_only_in_the_given_headers() {
    let source =
        b"POST /mcp HTTP/1.1\r\nhOST: a\r\nSignature: one\r\nsignature: two\r\nX-Y:  z \r\n\
                   Content-Length: 2\r\n\r\n{}";
    let request = Captured::parse(source, 10).unwrap();
    let amended = amend::with_headers(&request, None, &[("Signature", "new"), ("Tag", "t")]);
    let expected = b"POST /mcp HTTP/1.1\r\nhOST: a\r\nSignature: new\r\nX-Y:  z \r\n\
                     Content-Length: 2\r\nTag: t\r\n\r\n{}";
    assert_eq!(String::from_utf8(amended.unwrap()).unwrap().as_bytes(), expected);
    for bad in [("Two words", "x"), ("Name", "a\r\nb"), ("", "x")] {
        assert!(amend::with_headers(&request, None, &[bad]).is_err(), "{bad:?}");
    }
}

/// A reader whose reads fail.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("broken"))
    }
}
