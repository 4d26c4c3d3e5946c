//! Tests of HTTP archives: the variants that exporters write, and entries that are no request.

use mcpid::clock::Timestamp;
use mcpid::message::har::{Har, HarEntry, HarEntryError};
use mcpid::message::{Body, InexactReason, RequestTarget};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Returns an entry for an HTTP/2 request, as browsers export it.
fn entry() -> Value {
    json!({
        "pageref": "page_1",
        "startedDateTime": "2026-11-23T11:00:00.250+01:00",
        "time": 12.5,
        "request": {
            "method": "POST",
            "url": "https://mcp.example.com/mcp?a=%41",
            "httpVersion": "http/2.0",
            "headers": [
                {"name": ":authority", "value": "mcp.example.com"},
                {"name": ":method", "value": "POST"},
                {"name": ":path", "value": "/mcp?a=%41"},
                {"name": ":scheme", "value": "https"},
                {"name": "Content-Type", "value": "application/json"},
                {"name": "x-a", "value": "1"},
                {"name": "x-a", "value": "2", "comment": "again"}
            ],
            "queryString": [], "cookies": [], "headersSize": -1,
            "bodySize": 8,
            "postData": {"mimeType": "application/json", "text": "{\"id\":1}"}
        },
        "response": {"status": 200, "content": {"text": "x"}}
    })
}

fn archive(entries: &[Value]) -> String {
    json!({"log": {"version": "1.2", "creator": {}, "entries": entries}}).to_string()
}

fn read(entry: &Value) -> HarEntry {
    Har::parse(archive(std::slice::from_ref(entry)).as_bytes()).unwrap().entry(0).unwrap()
}

/// Returns the entry with one member of its request replaced, or removed if `value` is null.
fn with(member: &str, value: Value) -> Value {
    let mut entry = entry();
    entry["request"][member] = value;
    entry
}

fn without(member: &str) -> Value {
    let mut entry = entry();
    entry["request"].as_object_mut().unwrap().remove(member);
    entry
}

fn headers(list: &[(&str, &str)]) -> Value {
    let list: Vec<Value> = list.iter().map(|(n, v)| json!({"name": n, "value": v})).collect();
    with("headers", list.into())
}

fn body(entry: &Value) -> Body<'static> {
    read(entry).request.unwrap().body
}

fn inexact_reason(entry: &Value) -> InexactReason {
    match body(entry) {
        Body::Inexact { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn kept(bytes: &'static [u8]) -> Body<'static> {
    Body::Kept(bytes.into())
}

#[test]
fn an_entry_is_read_as_a_browser_wrote_it() {
    let entry = read(&entry());
    assert_eq!((entry.index, entry.fragment_dropped), (0, false));
    assert_eq!(entry.url, "https://mcp.example.com/mcp?a=%41");
    let request = entry.request.unwrap();
    assert_eq!(request.head.method(), "POST");
    assert_eq!(request.head.target(), &RequestTarget::Uri(entry.url.into()));
    let fields: Vec<_> = request.head.fields().iter().map(|f| (f.name(), f.value())).collect();
    let wanted: [(&str, &[u8]); 3] =
        [("content-type", b"application/json"), ("x-a", b"1"), ("x-a", b"2")];
    assert_eq!(fields, wanted);
    assert_eq!(request.body, kept(b"{\"id\":1}"));
    assert_eq!(request.time, Some(Timestamp::parse_rfc3339("2026-11-23T10:00:00Z").unwrap()));
    assert!(!request.is_preflight());
}

#[test]
fn most_members_may_be_missing() {
    let bare = json!({"request": {"method": "GET", "url": "http://a.example"}});
    let request = read(&bare).request.unwrap();
    assert_eq!(request.head.target(), &RequestTarget::Uri("http://a.example/".into()));
    assert_eq!((request.head.fields().len(), request.time), (0, None));
    for time in [json!("yesterday"), json!(5), Value::Null] {
        let mut entry = entry();
        entry["startedDateTime"] = time;
        assert_eq!(read(&entry).request.unwrap().time, None);
    }
    for member in ["headers", "postData", "bodySize", "httpVersion"] {
        assert!(read(&without(member)).request.is_ok(), "{member}");
        assert!(read(&with(member, Value::Null)).request.is_ok(), "{member}");
    }
    let marked = format!("\u{feff}{}", archive(&[entry()]));
    assert_eq!(Har::parse(marked.as_bytes()).unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_archive_is_refused() {
    for text in [
        "",
        "{",
        "[]",
        "{}",
        "{\"log\":{}}",
        "{\"log\":[]}",
        "{\"log\":{\"entries\":{}}}",
        "{\"log\":{\"entries\":[]}} x",
        "{\"log\":{\"entries\":[1,]}}",
        "POST / HTTP/1.1\r\n",
        "{\"log\":{\"entries\":[]},\"log\":{\"entries\":[]}}",
        "{\"log\":{\"entries\":[],\"entries\":[]}}",
        "{\"log\":{\"entries\":[\"\u{1}\"]}}",
    ] {
        assert!(Har::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Har::parse(b"{\"log\":{\"entries\":[\"\xff\"]}}").is_err());
    assert!(Har::parse(b"{\"log\":{\"entries\":[]}}").unwrap().is_empty());
}

#[test]
fn a_bad_entry_fails_by_itself() {
    let bad = [
        json!(5),
        json!(null),
        json!({}),
        json!({"request": 5}),
        json!({"request": {}}),
        without("method"),
        without("url"),
        with("method", json!(5)),
        with("method", json!("")),
        with("method", json!("P OST")),
        with("url", json!(5)),
        with("url", json!("")),
        with("url", json!("/mcp")),
        with("url", json!("data:,x")),
        with("url", json!("wss://a.example/")),
        with("url", json!("https://a.example/\u{e4}")),
        with("url", json!("https://u:p@a.example/")),
        with("headers", json!({})),
        with("headers", json!([{"name": "a"}])),
        with("headers", json!([{"value": "a"}])),
        with("headers", json!([{"name": "a", "value": 5}])),
        with("postData", json!("text")),
        headers(&[("a b", "x")]),
        headers(&[("", "x")]),
        headers(&[("a", "x\r\ny: z")]),
        headers(&[("a", "x\u{0}")]),
    ];
    let mut all = vec![entry()];
    all.extend_from_slice(&bad);
    all.push(entry());
    let text = archive(&all);
    let har = Har::parse(text.as_bytes()).unwrap();
    let read: Vec<HarEntry> = har.iter().collect();
    assert_eq!(read.len(), bad.len() + 2);
    for (index, entry) in read.iter().enumerate() {
        assert_eq!(entry.index, index);
        let good = index == 0 || index == bad.len() + 1;
        assert_eq!(entry.request.is_ok(), good, "{index}: {:?}", all[index]);
    }
    // Even for an invalid entry, the URL is returned, so that `--only` can select by it.
    assert_eq!(read[8].url, "https://mcp.example.com/mcp?a=%41");
    assert_eq!(read[14].url, "data:,x");
    assert!(har.entry(bad.len() + 2).is_none());
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let text = archive(&[entry()]);
    for (once, twice) in [
        ("\"method\":\"POST\",", "\"method\":\"POST\",\"method\":\"POST\","),
        ("\"bodySize\":8,", "\"bodySize\":8,\"bodySize\":8,"),
        ("\"url\":", "\"url\":\"https://a/\",\"url\":"),
        ("\"headers\":[", "\"headers\":[],\"headers\":["),
        ("\"text\":\"{", "\"text\":\"\",\"text\":\"{"),
        ("\"postData\":{", "\"postData\":{},\"postData\":{"),
        ("\"request\":{", "\"request\":{},\"request\":{"),
        ("\"value\":\"1\"", "\"value\":\"1\",\"value\":\"1\""),
    ] {
        assert_eq!(text.matches(once).count(), 1, "{once}");
        let text = text.replace(once, twice);
        let error = Har::parse(text.as_bytes()).unwrap().entry(0).unwrap().request.unwrap_err();
        assert!(matches!(error, HarEntryError::Json(_)), "{once}: {error}");
    }
}

#[test]
fn pseudo_header_fields_must_agree() {
    let url = "https://mcp.example.com/mcp?a=%41";
    for (name, value) in [
        (":method", "GET"),
        (":method", "post"),
        (":scheme", "http"),
        (":authority", "b.example"),
        (":authority", "mcp.example.com:444"),
        (":authority", "u@mcp.example.com"),
        (":authority", ""),
        (":path", "/mcp"),
        (":path", "/mcp?a=A"),
        (":path", url),
        (":status", "200"),
        (":protocol", "websocket"),
        (":", ""),
        (":METHOD", "POST"),
    ] {
        let error = read(&headers(&[(name, value)])).request.unwrap_err();
        assert!(matches!(error, HarEntryError::Pseudo { .. }), "{name} {value}: {error}");
    }
    let twice = headers(&[(":method", "POST"), (":method", "POST")]);
    assert!(matches!(read(&twice).request, Err(HarEntryError::Pseudo { .. })));
    let port = headers(&[(":authority", "MCP.example.com:443")]);
    assert!(read(&port).request.is_ok());
    let mut empty_path = headers(&[(":path", "/")]);
    empty_path["request"]["url"] = json!("https://mcp.example.com#top");
    let empty_path = read(&empty_path);
    assert!(empty_path.fragment_dropped && empty_path.request.is_ok());
}

#[test]
fn a_fragment_is_cut_off_and_said() {
    let entry = read(&with("url", json!("https://mcp.example.com/mcp?a=%41#x?y#z")));
    assert!(entry.fragment_dropped);
    assert_eq!(entry.url, "https://mcp.example.com/mcp?a=%41#x?y#z");
    let request = entry.request.unwrap();
    let sent = RequestTarget::Uri("https://mcp.example.com/mcp?a=%41".into());
    assert_eq!(request.head.target(), &sent);
}

#[test]
fn bodies_that_an_archive_holds_exactly_are_read() {
    let post = |post: Value, size: i64| {
        let mut entry = with("postData", post);
        entry["request"]["bodySize"] = json!(size);
        entry
    };
    assert_eq!(body(&post(json!({"text": "\u{e4}"}), 2)), kept("\u{e4}".as_bytes()));
    assert_eq!(body(&post(json!({"text": "x"}), -1)), kept(b"x"));
    for member in ["encoding", "_encoding"] {
        let binary = post(json!({"text": "AP/+", member: "base64"}), 3);
        assert_eq!(body(&binary), kept(b"\x00\xff\xfe"));
    }
    for mime in ["text/plain; charset=UTF-8", "text/plain;charset=\"utf-8\"", "a/b; x=charset=1"] {
        assert_eq!(body(&post(json!({"text": "x", "mimeType": mime}), 1)), kept(b"x"), "{mime}");
    }
    // Without a `Content-Length: 0` in the request, a missing body in the archive does not mean
    // that there was none.
    for post in [json!(null), json!({"text": ""}), json!({"text": "", "params": []})] {
        for size in [json!(0), json!(-1), json!(null)] {
            let mut nothing = with("postData", post.clone());
            nothing["request"]["bodySize"] = size;
            assert!(matches!(inexact_reason(&nothing), InexactReason::Missing { .. }), "{nothing}");
            let headers = nothing["request"]["headers"].as_array_mut().unwrap();
            headers.push(json!({"name": "Content-Length", "value": "0"}));
            assert_eq!(body(&nothing), kept(b""), "{nothing}");
        }
    }
}

#[test]
fn bodies_that_an_archive_cannot_hold_say_why() {
    let post = |post: Value| with("postData", post);
    let mut missing = without("postData");
    assert_eq!(inexact_reason(&missing), InexactReason::Missing { size: Some(8) });
    missing["request"]["bodySize"] = json!(-1);
    assert_eq!(inexact_reason(&missing), InexactReason::Missing { size: None });
    assert_eq!(
        inexact_reason(&post(json!({"mimeType": "a/b"}))),
        InexactReason::Missing { size: Some(8) }
    );
    let form = json!({"params": [{"name": "a", "value": "b"}]});
    assert_eq!(inexact_reason(&post(form)), InexactReason::ParamsOnly);
    let form = json!({"text": "", "params": [{"name": "a"}]});
    assert_eq!(inexact_reason(&post(form)), InexactReason::ParamsOnly);
    assert_eq!(inexact_reason(&post(json!({"text": "1234\u{fffd}8"}))), InexactReason::Replaced);
    assert_eq!(inexact_reason(&post(json!({"text": 12}))), InexactReason::NotUnicode);
    let text = archive(&[entry()]).replace("\"{\\\"id\\\":1}\"", "\"1234\\ud8005\"");
    let half = Har::parse(text.as_bytes()).unwrap().entry(0).unwrap().request.unwrap();
    assert!(matches!(half.body, Body::Inexact { why: InexactReason::NotUnicode, .. }));
    let latin = json!({"text": "12345678", "mimeType": "text/plain; Charset=iso-8859-1"});
    assert_eq!(inexact_reason(&post(latin)), InexactReason::Charset("iso-8859-1".into()));
    let header = headers(&[("content-type", "text/plain;charset=utf-16")]);
    assert_eq!(inexact_reason(&header), InexactReason::Charset("utf-16".into()));
    let coded = headers(&[("content-encoding", "gzip")]);
    assert_eq!(inexact_reason(&coded), InexactReason::Coded("gzip".into()));
    for text in ["AP/-", "AP/+=", "AP", "AA", "AB==", "A P/", "AP/+\n", "%"] {
        let binary = json!({"text": text, "encoding": "base64"});
        assert_eq!(inexact_reason(&post(binary)), InexactReason::Base64, "{text}");
    }
    let odd = json!({"text": "12345678", "encoding": "hex"});
    assert_eq!(inexact_reason(&post(odd)), InexactReason::Encoding("hex".into()));
    // The bytes are kept although they are inexact, because a matching digest can prove that they
    // were sent.
    let size = post(json!({"text": "1234567"}));
    let wanted = InexactReason::Size { says: 8, holds: 7 };
    assert_eq!(body(&size), Body::Inexact { bytes: b"1234567".into(), why: wanted.clone() });
    assert_eq!(wanted.to_string(), "the archive says the body has 8 bytes, and holds 7");
    let length = headers(&[("content-length", "9")]);
    assert_eq!(inexact_reason(&length), InexactReason::Size { says: 9, holds: 8 });
}

#[test]
fn preflights_are_known_from_others() {
    let preflight = [("origin", "https://app.example"), ("access-control-request-method", "POST")];
    let mut entry = headers(&preflight);
    entry["request"]["method"] = json!("OPTIONS");
    assert!(read(&entry).request.unwrap().is_preflight());
    entry["request"]["method"] = json!("POST");
    assert!(!read(&entry).request.unwrap().is_preflight());
    for one in preflight {
        let mut entry = headers(&[one]);
        entry["request"]["method"] = json!("OPTIONS");
        assert!(!read(&entry).request.unwrap().is_preflight());
    }
}

#[test]
fn a_list_in_place_of_an_object_is_no_archive() {
    let header = json!({"name": "n", "value": "v"});
    let request = |request: Value| json!({"log": {"entries": [{"request": request}]}});
    let good = json!({"method": "POST", "url": "https://a.example/", "headers": [header]});
    let first = |file: &Value| {
        let text = file.to_string();
        Har::parse(text.as_bytes()).is_ok_and(|har| har.entry(0).unwrap().request.is_ok())
    };
    assert!(first(&request(good.clone())));
    let mut listed = good.clone();
    listed["headers"] = json!([["n", "v"]]);
    let mut posted = good.clone();
    posted["postData"] = json!(["text/plain", "x"]);
    for wrong in [
        json!([{"entries": [{"request": good}]}]),
        json!({"log": [[{"request": good}]]}),
        json!({"log": {"entries": [["2026-11-23T10:00:00Z", good]]}}),
        request(json!(["POST", "https://a.example/"])),
        request(listed),
        request(posted),
    ] {
        assert!(!first(&wrong), "{wrong}");
    }
}

#[test]
fn many_entries_take_time_in_proportion() {
    let count = 20_000;
    let text = archive(&vec![json!({"request": {"method": "GET", "url": "https://a/"}}); count]);
    let har = Har::parse(text.as_bytes()).unwrap();
    assert_eq!(har.iter().filter(|entry| entry.request.is_ok()).count(), count);
}

proptest! {
    #[test]
    fn no_bytes_make_the_archive_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = Har::parse(&bytes);
    }

    #[test]
    fn no_change_of_an_archive_makes_the_reader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = archive(&[entry()]).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(har) = Har::parse(&bytes) {
            for entry in har.iter() {
                let _ = format!("{entry:?}");
            }
        }
    }
}
