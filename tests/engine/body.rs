//! Tests that a body can be read in one way only: bodies that servers could read differently are
//! refused.

use mcpid::mcp::body::{Ambiguity, MessageKind, Reading, Scope, name_member, read};
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

mod keys;
mod payloads;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"location":"Seattle, WA"}}}"#;

fn head(method: &'static str, fields: &[(&'static str, &'static str)]) -> Head<'static> {
    let mut head = Head::new(method, RequestTarget::Origin("/mcp".into())).unwrap();
    for (name, value) in fields {
        head.push(*name, value.as_bytes()).unwrap();
    }
    head
}

fn post() -> Head<'static> {
    head("POST", &[("content-type", "application/json")])
}

fn at_endpoint(body: &str) -> Result<Reading<'_>, Ambiguity> {
    read_bytes(body.as_bytes())
}

fn read_bytes(body: &[u8]) -> Result<Reading<'_>, Ambiguity> {
    // Every reason must have a text, because it is shown to people.
    read(&post(), body, Scope::Endpoint).map_err(|e| {
        assert!(!e.to_string().is_empty());
        assert!(e.at().is_none_or(|at| at <= body.len()), "{e}");
        take(e.why())
    })
}

/// Returns a copy of the reason, as far as the tests compare it.
fn take(why: &Ambiguity) -> Ambiguity {
    match why {
        Ambiguity::Method(m) => Ambiguity::Method(m.clone()),
        Ambiguity::ContentType(t) => Ambiguity::ContentType(t.clone()),
        Ambiguity::ContentTypes => Ambiguity::ContentTypes,
        Ambiguity::ContentEncoding => Ambiguity::ContentEncoding,
        Ambiguity::Utf8 => Ambiguity::Utf8,
        Ambiguity::ByteOrderMark => Ambiguity::ByteOrderMark,
        Ambiguity::NotAnObject => Ambiguity::NotAnObject,
        Ambiguity::TooDeep => Ambiguity::TooDeep,
        Ambiguity::Duplicate(k) => Ambiguity::Duplicate(k.clone()),
        Ambiguity::CaseVariant { found, real } => {
            Ambiguity::CaseVariant { found: found.clone(), real }
        }
        Ambiguity::JsonRpc(why) => Ambiguity::JsonRpc(why),
        other => Ambiguity::Json(other.to_string().into()),
    }
}

fn nested(depth: usize) -> String {
    // Two of the `depth` levels are the outer object and `params`.
    let inner = depth - 2;
    format!(r#"{{"method":"m","params":{{"x":{}{}}}}}"#, "[".repeat(inner), "]".repeat(inner))
}

#[test]
fn a_call_is_read_with_its_name_id_and_version() {
    let body = r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"name":"get\u005fweather"}}"#;
    let reading = at_endpoint(body).unwrap();
    let message = reading.message().unwrap();
    assert_eq!(message.kind(), MessageKind::Request);
    assert_eq!(message.method(), Some("tools/call"));
    assert_eq!(message.name(), Some("get_weather"));
    assert_eq!(message.id(), Some("12345678901234567890123"));
    assert_eq!(message.protocol_version(), Some("2026-07-28"));
    let operation = reading.operation().unwrap();
    assert_eq!((operation.method, operation.name), ("tools/call", Some("get_weather")));
}

#[test]
fn every_kind_of_message_is_recognised() {
    for (body, kind, method) in [
        (r#"{"id":1,"method":"ping"}"#, MessageKind::Request, "ping"),
        (r#"{"id":null,"method":"ping"}"#, MessageKind::Request, "ping"),
        (r#"{"method":"notifications/x"}"#, MessageKind::Notification, "notifications/x"),
        (r#"{"id":1,"result":{}}"#, MessageKind::Response, "@response"),
        (r#"{"id":1,"result":null}"#, MessageKind::Response, "@response"),
        (r#"{"id":1,"error":{"code":1}}"#, MessageKind::Response, "@response"),
    ] {
        let reading = at_endpoint(body).unwrap();
        assert_eq!(reading.message().unwrap().kind(), kind, "{body}");
        assert_eq!(reading.operation().unwrap().method, method, "{body}");
    }
}

#[test]
fn only_numbers_and_strings_are_ids() {
    for (id, echoed) in [
        ("1", true),
        ("-1.50", true),
        (r#""a\u0041""#, true),
        ("null", false),
        ("true", false),
        ("[1]", false),
        (r#"{"a":1}"#, false),
    ] {
        let body = format!(r#"{{"id": {id} ,"method":"ping"}}"#);
        let reading = at_endpoint(&body).unwrap();
        assert_eq!(reading.message().unwrap().id(), echoed.then_some(id), "{id}");
    }
}

#[test]
fn the_name_comes_from_the_member_of_the_method() {
    assert_eq!(name_member("tools/call"), Some("name"));
    assert_eq!(name_member("prompts/get"), Some("name"));
    assert_eq!(name_member("resources/read"), Some("uri"));
    assert_eq!(name_member("tasks/cancel"), Some("taskId"));
    assert_eq!(name_member("tools"), None);
    assert_eq!(name_member("completion/complete"), None);
    let params = r#"{"name":"n","uri":"u","taskId":"t"}"#;
    for (method, name) in [
        ("tools/call", Some("n")),
        ("prompts/get", Some("n")),
        ("resources/subscribe", Some("u")),
        ("tasks/get", Some("t")),
        ("ping", None),
    ] {
        // The order of `method` and `params` in the body does not matter.
        for body in [
            format!(r#"{{"method":"{method}","params":{params}}}"#),
            format!(r#"{{"params":{params},"method":"{method}"}}"#),
        ] {
            let reading = at_endpoint(&body).unwrap();
            assert_eq!(reading.operation().unwrap().name, name, "{body}");
        }
        // A member of `params` that is not the name for this method may have any type.
        let other = if name == Some("n") { "uri" } else { "name" };
        let body = format!(r#"{{"method":"{method}","params":{{"{other}":7}}}}"#);
        assert_eq!(at_endpoint(&body).unwrap().operation().unwrap().name, None, "{body}");
    }
}

#[test]
fn json_that_all_parsers_read_alike_is_accepted() {
    for params in [
        r#"{}"#,
        " { } ",
        r#"{"":0}"#,
        r#"{"a":"b","A":"c"}"#,
        r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
        r#"{"a":[{"a":1},{"a":1}]}"#,
        r#"{"a":[0,-0,0.0,1e5,1E-5,-1.5e+3,123456789012345678901234567890]}"#,
        r#"{"a":[1e-400,0e999,1.7976931348623157e308]}"#,
        r#"{"a":"\" \\ \/ \b \f \n \r \t \u0000 \u00e9 \ud83d\ude00"}"#,
        "{\"a\":\"\u{7f}\u{2028}\u{10ffff}\u{feff}\"}",
        r#"{"a":[true,false,null,[],{},""]}"#,
        "{\t\"a\"\r\n:\n1 ,\"b\" :2\n}",
        r#"{"arguments":{"Name":1,"ID":2,"METHOD":3}}"#,
        r#"{"ids":1,"names":2,"_metas":3,"i":4,"paramss":5}"#,
        r#"{"a":{"$serde_json::private::Number":"1"}}"#,
    ] {
        let body = format!("\n {{\"method\":\"m\",\"params\":{params}}} \r\n\t");
        at_endpoint(&body).unwrap_or_else(|why| panic!("{params}: {why}"));
    }
    at_endpoint(&nested(64)).unwrap();
    let many: Vec<_> = (0..1000).map(|i| format!("\"k{i}\":{i}")).collect();
    at_endpoint(&format!(r#"{{"method":"m","params":{{{}}}}}"#, many.join(","))).unwrap();
}

#[test]
fn json_that_some_parser_reads_otherwise_is_refused() {
    for value in [
        "",
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "1e400",
        "-1e400",
        "01",
        "-01",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "--1",
        "- 1",
        "tru",
        "True",
        "nul",
        "undefined",
        "'a'",
        "a",
        r#""a"#,
        r#""\x41""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\U0041""#,
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#""\ud800x""#,
        r#""\ud800\ud800""#,
        r#""\""#,
        r#""\a""#,
        "\"\n\"",
        "\"\t\"",
        "\"\0\"",
        "\"\u{1f}\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "1]",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a\":1",
        "{\"a\":1}}",
        "/**/1",
        "1//",
        "#1",
        "\u{a0}1",
        "\u{feff}1",
        "\u{c}1",
        "\u{b}1",
        "1;",
    ] {
        // The value is put into an argument, and into the id, which is kept as unparsed text.
        for body in [
            format!(r#"{{"id":1,"method":"m","params":{{"x":{value}}}}}"#),
            format!(r#"{{"id":{value},"method":"m"}}"#),
        ] {
            match at_endpoint(&body) {
                Err(Ambiguity::Json(_)) => {}
                other => panic!("{body:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_body_is_one_object_with_nothing_around_it() {
    for body in ["", " ", "{", "}", "{}{}", "{} x", "{}\0", "\u{c}{}", "{},"] {
        assert!(matches!(at_endpoint(body), Err(Ambiguity::Json(_))), "{body:?}");
    }
    for body in ["[]", "1", "null", "\"{}\"", "true"] {
        assert!(matches!(at_endpoint(body), Err(Ambiguity::NotAnObject)), "{body:?}");
    }
    let batch = format!("[{CALL}]");
    assert!(matches!(at_endpoint(&batch), Err(Ambiguity::NotAnObject)));
    // In some builds, serde_json represents numbers as an object with this key. A body with such an
    // object must not be read as a number.
    let disguised = r#"{"method":"m","params":{"$serde_json::private::Number":"1"}}"#;
    assert!(matches!(at_endpoint(disguised), Err(Ambiguity::JsonRpc(_))));
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    assert!(matches!(read_bytes(b"\xef\xbb\xbf{\"method\":\"m\"}"), Err(Ambiguity::ByteOrderMark)));
    let utf_16: Vec<u8> = CALL.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(read_bytes(&utf_16), Err(Ambiguity::Json(_))));
    for bad in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe9", b"\x80"] {
        let mut body = b"{\"method\":\"".to_vec();
        body.extend_from_slice(bad);
        body.extend_from_slice(b"\"}");
        let error = read(&post(), &body, Scope::Endpoint).unwrap_err();
        assert!(matches!(error.why(), Ambiguity::Utf8), "{bad:?}");
        assert_eq!(error.at(), Some(11));
    }
}

#[test]
fn nesting_ends_at_64() {
    for depth in [65, 66, 120, 130, 100_000] {
        assert!(matches!(at_endpoint(&nested(depth)), Err(Ambiguity::TooDeep)), "{depth}");
    }
    // The limit on nesting also applies inside of an id, which is kept as unparsed text.
    let id = |n: usize| format!(r#"{{"method":"m","id":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(at_endpoint(&id(63)).is_ok());
    assert!(matches!(at_endpoint(&id(64)), Err(Ambiguity::TooDeep)));
    let objects = format!("{}1{}", "{\"a\":".repeat(70), "}".repeat(70));
    assert!(matches!(at_endpoint(&objects), Err(Ambiguity::TooDeep)));
}
