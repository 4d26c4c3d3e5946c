//! The one reading of a body: what every server reads alike, and the rest refused.

use mcpid::mcp::body::{Ambiguity, MessageKind, Reading, Scope, name_member, read};
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

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
    // The reason is looked at through its text, which is what people get to see.
    read(&post(), body, Scope::Endpoint).map_err(|e| {
        assert!(!e.to_string().is_empty());
        assert!(e.at().is_none_or(|at| at <= body.len()), "{e}");
        take(e.why())
    })
}

/// A copy of the reason, as far as the tests compare it.
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
    // The envelope and params are two of the levels.
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
fn each_kind_of_message_is_told_apart() {
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
        // Whichever stands first.
        for body in [
            format!(r#"{{"method":"{method}","params":{params}}}"#),
            format!(r#"{{"params":{params},"method":"{method}"}}"#),
        ] {
            let reading = at_endpoint(&body).unwrap();
            assert_eq!(reading.operation().unwrap().name, name, "{body}");
        }
        // A member that is not the method's may be of any type.
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
        // In an argument, and where the raw text of the id is kept.
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
    // What serde_json puts for a number in some builds must never pass for an object.
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
    // Also inside an id, whose text is kept raw.
    let id = |n: usize| format!(r#"{{"method":"m","id":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(at_endpoint(&id(63)).is_ok());
    assert!(matches!(at_endpoint(&id(64)), Err(Ambiguity::TooDeep)));
    let objects = format!("{}1{}", "{\"a\":".repeat(70), "}".repeat(70));
    assert!(matches!(at_endpoint(&objects), Err(Ambiguity::TooDeep)));
}

#[test]
fn a_key_stands_once_in_an_object() {
    for (body, key) in [
        (r#"{"method":"a","method":"b"}"#, "method"),
        (r#"{"method":"a","method":"a"}"#, "method"),
        (r#"{"method":"a","\u006dethod":"b"}"#, "method"),
        (r#"{"m\u0065thod":"a","method":"b"}"#, "method"),
        (r#"{"method":"a","params":{"name":"a","n\u0061me":"b"}}"#, "name"),
        (r#"{"method":"a","params":{"_meta":{"x":1,"x":1}}}"#, "x"),
        (r#"{"method":"a","params":{"arguments":{"x":1,"y":2,"x":3}}}"#, "x"),
        (r#"{"method":"a","params":{"arguments":[[{"x":1,"x":2}]]}}"#, "x"),
        (r#"{"method":"a","id":{"x":1,"x":2}}"#, "x"),
        (r#"{"method":"a","params":{"":1,"":2}}"#, ""),
        (r#"{"method":"a","params":{"é":1,"\u00e9":2}}"#, "é"),
        (r#"{"method":"a","params":{"😀":1,"\ud83d\ude00":2}}"#, "😀"),
        (r#"{"method":"a","params":{"a":1,"b":{"c":{"d":1}},"a":2}}"#, "a"),
    ] {
        match at_endpoint(body) {
            Err(Ambiguity::Duplicate(found)) => assert_eq!(found, key, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    // On both sides of the number of keys from which on they are hashed, at every place.
    for count in 2..20 {
        for twice in 0..count - 1 {
            let mut keys: Vec<_> = (0..count).map(|i| format!("\"k{i}\":{{\"in\":0}}")).collect();
            keys[count - 1] = format!("\"k{twice}\":1");
            let body = format!(r#"{{"method":"m","params":{{{}}}}}"#, keys.join(","));
            assert!(matches!(at_endpoint(&body), Err(Ambiguity::Duplicate(_))), "{body}");
        }
    }
}

#[test]
fn a_key_that_some_server_takes_for_another_is_refused() {
    for (key, real) in [
        ("Method", "method"),
        ("METHOD", "method"),
        ("\\u004dethod", "method"),
        ("Id", "id"),
        ("\u{131}d", "id"),
        ("jsonRPC", "jsonrpc"),
        ("j\u{17f}onrpc", "jsonrpc"),
        ("param\u{17f}", "params"),
        ("re\u{17f}ult", "result"),
        ("ERROR", "error"),
        ("Name", "name"),
        ("URI", "uri"),
        ("taskid", "taskId"),
        ("TaskID", "taskId"),
        ("ta\u{17f}\u{212a}Id", "taskId"),
        ("Arguments", "arguments"),
        ("_Meta", "_meta"),
    ] {
        for body in [
            format!(r#"{{"method":"m","{key}":1}}"#),
            format!(r#"{{"method":"m","params":{{"{key}":1}}}}"#),
            format!(r#"{{"method":"m","params":{{"_meta":{{"{key}":1}}}}}}"#),
        ] {
            match at_endpoint(&body) {
                Err(Ambiguity::CaseVariant { real: of, .. }) => assert_eq!(of, real, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
        let elsewhere = format!(r#"{{"method":"m","params":{{"x":{{"{key}":1}}}}}}"#);
        assert!(at_endpoint(&elsewhere).is_ok(), "{elsewhere}");
    }
}

#[test]
fn an_envelope_that_is_no_message_is_refused() {
    for body in [
        r#"{}"#,
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"method":1}"#,
        r#"{"method":null}"#,
        r#"{"method":["m"]}"#,
        r#"{"method":null,"result":1}"#,
        r#"{"method":"m","result":1}"#,
        r#"{"method":"m","result":null}"#,
        r#"{"method":"m","error":null}"#,
        r#"{"id":1,"result":1,"error":1}"#,
        r#"{"id":1,"result":1,"error":null}"#,
        r#"{"method":"m","params":[]}"#,
        r#"{"method":"m","params":null}"#,
        r#"{"method":"m","params":"x"}"#,
        r#"{"id":1,"result":1,"params":1}"#,
        r#"{"method":"tools/call","params":{"name":null}}"#,
        r#"{"method":"tools/call","params":{"name":1}}"#,
        r#"{"method":"tools/call","params":{"name":{"a":1}}}"#,
        r#"{"method":"tools/call","params":{"name":["x"]}}"#,
        r#"{"method":"resources/read","params":{"uri":1}}"#,
        r#"{"method":"tasks/get","params":{"taskId":1}}"#,
        r#"{"method":"m","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}"#,
        r#"{"method":"@get"}"#,
        r#"{"method":"@response"}"#,
    ] {
        assert!(matches!(at_endpoint(body), Err(Ambiguity::JsonRpc(_))), "{body}");
    }
    // Elsewhere these are rules for what says it is JSON-RPC.
    for (body, readable) in [
        (r#"{}"#, true),
        (r#"{"method":1}"#, true),
        (r#"{"params":[]}"#, true),
        (r#"{"jsonrpc":"2.0","method":1}"#, false),
        (r#"{"jsonrpc":null}"#, false),
        (r#"{"a":1,"a":2}"#, false),
        (r#"{"Method":1}"#, false),
        (r#"[]"#, false),
    ] {
        let reading = read(&post(), body.as_bytes(), Scope::Anywhere);
        assert_eq!(matches!(reading, Ok(Reading::Json)), readable, "{body}");
        assert_eq!(reading.is_ok(), readable, "{body}");
    }
}

#[test]
fn the_content_type_is_json_in_utf_8() {
    for value in [
        "application/json",
        "APPLICATION/Json",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json ;\tCharset=\"Utf-8\"",
        "application/json;",
        "application/json;;charset=utf-8; ;",
        "application/json; profile=\"a;b=utf-7\\\"\"",
        "application/json; v=1; charset=utf-8",
    ] {
        let head = head("POST", &[("content-type", value)]);
        assert!(read(&head, CALL.as_bytes(), Scope::Endpoint).is_ok(), "{value}");
    }
    for value in [
        "",
        "json",
        "application",
        "application/",
        "/json",
        "application/json5",
        "application/jso",
        "application /json",
        "application/ json",
        "application/json, text/plain",
        "text/plain, application/json",
        "application/json charset=utf-8",
        "application/json; charset",
        "application/json; charset=",
        "application/json; charset=\"\"",
        "application/json; charset=utf8",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/json; charset=\"utf-8",
        "application/json; charset=\"utf\\-8\"",
        "application/json; charset='utf-8'",
        "application/json; charset =utf-8",
        "application/json; charset= utf-8",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; profile=\"a;charset=utf-7\\\"\"",
        "application/json; charset=utf-8; profile=\"a;Charset=utf-7;\"",
        "application/json; charset*=utf-8''utf-7",
        "application/json; charset*0=utf-7",
        "application/json; =utf-8",
        "application/json; a=\"\\",
        "application/json; charset=utf-8,",
        "application/json\u{a0}",
        "text/json",
        "text/plain",
        "application/vnd.api+json",
        "multipart/form-data; boundary=x",
    ] {
        let head = head("POST", &[("content-type", value)]);
        let error = read(&head, CALL.as_bytes(), Scope::Endpoint).unwrap_err();
        assert!(matches!(error.why(), Ambiguity::ContentType(_)), "{value}");
    }
    let refused = |fields: &[(&'static str, &'static str)]| {
        let error = read(&head("POST", fields), CALL.as_bytes(), Scope::Endpoint).unwrap_err();
        take(error.why())
    };
    let json = ("content-type", "application/json");
    assert!(matches!(refused(&[]), Ambiguity::ContentType(_)));
    assert!(matches!(refused(&[json, json]), Ambiguity::ContentTypes));
    for coding in ["gzip", "identity", ""] {
        assert!(matches!(
            refused(&[json, ("content-encoding", coding)]),
            Ambiguity::ContentEncoding
        ));
    }
}

#[test]
fn without_content_there_is_nothing_to_read() {
    for scope in [Scope::Endpoint, Scope::Anywhere] {
        for (method, name) in [("GET", "@get"), ("HEAD", "@get"), ("DELETE", "@delete")] {
            let reading = read(&head(method, &[]), b"", scope).unwrap();
            assert_eq!(reading.operation().unwrap().method, name);
            assert_eq!(reading.message(), None);
        }
    }
    for (method, body) in [
        ("GET", CALL),
        ("HEAD", CALL),
        ("DELETE", " "),
        ("PUT", CALL),
        ("PUT", ""),
        ("OPTIONS", ""),
        ("PATCH", CALL),
        ("post", CALL),
        ("get", ""),
    ] {
        let head = head(method, &[("content-type", "application/json")]);
        let error = read(&head, body.as_bytes(), Scope::Endpoint).unwrap_err();
        assert!(matches!(error.why(), Ambiguity::Method(_)), "{method} {body}");
    }
    assert!(matches!(at_endpoint(""), Err(Ambiguity::Json(_))));
}

#[test]
fn anywhere_else_other_payloads_are_opaque() {
    let anywhere = |method, fields: &[(&'static str, &'static str)], body: &'static [u8]| {
        read(&head(method, fields), body, Scope::Anywhere).map_err(|e| take(e.why()))
    };
    for fields in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/jsonl")],
        &[("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")],
        &[("mcp-protocol-version", "2026-07-28")],
        &[("mcp-session-id", "x")],
    ] {
        assert!(matches!(anywhere("POST", fields, b"\xff"), Ok(Reading::Opaque)), "{fields:?}");
    }
    assert_eq!(Reading::Opaque.operation(), None);
    assert_eq!(Reading::Json.operation(), None);
    assert!(matches!(
        anywhere("POST", &[("content-type", "application/json")], b""),
        Ok(Reading::Opaque)
    ));
    for fields in [
        &[("content-type", "application/json")][..],
        &[("content-type", "Application/JSON ; charset=utf-7")],
        &[("content-type", "text/plain, application/json")],
        &[("content-type", "text/plain"), ("content-type", "application/json")],
        &[("content-type", "application/ld+json")],
        &[("content-type", "text/json")],
        &[("mcp-method", "x")],
        &[("mcp-name", "")],
        &[("mcp-param-region", "x")],
    ] {
        for method in ["POST", "PUT", "GET", "DELETE"] {
            assert!(anywhere(method, fields, b"\xff").is_err(), "{method} {fields:?}");
        }
    }
    // JSON of another type may say anything but an MCP message.
    let linked = [("content-type", "application/ld+json; charset=utf-8")];
    assert!(matches!(anywhere("POST", &linked, b"{\"a\":1}"), Ok(Reading::Json)));
    assert!(matches!(anywhere("POST", &linked, CALL.as_bytes()), Err(Ambiguity::ContentType(_))));
    let read = anywhere("POST", &[("content-type", "application/json")], CALL.as_bytes());
    assert_eq!(read.unwrap().operation().unwrap().name, Some("get_weather"));
}

#[test]
fn the_place_of_a_fault_is_told() {
    let error = read(&post(), b"{\"method\":\n \"m\",\"id\":01}", Scope::Endpoint).unwrap_err();
    assert!(error.at().is_some_and(|at| (17..=23).contains(&at)), "{error}");
    let long = format!("{{\"{0}\":1,\"{0}\":2}}", "k".repeat(100_000));
    let error = read(&post(), long.as_bytes(), Scope::Endpoint).unwrap_err();
    assert!(error.to_string().len() < 200, "what strangers send must not fill logs");
}

#[test]
fn many_keys_cost_no_more_than_their_number() {
    let body = |n: usize| {
        let keys: Vec<_> = (0..n).map(|i| format!("\"k{i}\":0")).collect();
        format!(r#"{{"method":"m","params":{{{}}}}}"#, keys.join(","))
    };
    let big = body(100_000);
    let start = std::time::Instant::now();
    assert!(at_endpoint(&big).is_ok());
    // Comparing each with each would be five thousand million steps.
    assert!(start.elapsed().as_secs() < 5);
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[0-9]{1,22}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        "\"(\\\\u[0-9a-fA-F]{4}|\\\\[\"/bfnrtx]|[a-c\u{e9}\n]){0,4}\"",
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(("[a-e]{1}", inner), 0..4).prop_map(|v| {
                let members: Vec<_> = v.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
                format!("{{{}}}", members.join(" ,"))
            }),
        ]
    })
}

/// Counts members: serde_json keeps one of each name, so a lost one shows.
fn members(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => items.iter().map(members).sum(),
        serde_json::Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

proptest! {
    /// Accepted here is accepted by serde_json, and with not one member lost; refused here is
    /// refused there, or is one of the things we are there for.
    #[test]
    fn reading_agrees_with_serde_json(value in json()) {
        let body = format!(r#"{{"method":"m","params":{{"x":{value}}}}}"#);
        let theirs = serde_json::from_str::<serde_json::Value>(&body);
        match (at_endpoint(&body), theirs) {
            // Strings that the strategy writes hold no bare quote and colon but in escapes.
            (Ok(_), Ok(theirs)) => {
                let without_strings = strip_strings(&body);
                prop_assert_eq!(members(&theirs), without_strings.matches(':').count());
            }
            (Ok(_), Err(error)) => prop_assert!(false, "{} accepted: {}", body, error),
            (Err(Ambiguity::Duplicate(_)), Ok(theirs)) => {
                prop_assert!(members(&theirs) < strip_strings(&body).matches(':').count());
            }
            (Err(why), Ok(_)) => prop_assert!(false, "{} refused: {}", body, why),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), text in any::<String>()) {
        for body in [&bytes[..], text.as_bytes()] {
            let _ = read(&post(), body, Scope::Endpoint);
            let _ = read(&post(), body, Scope::Anywhere);
        }
        let inside = format!(r#"{{"method":"{text}","params":{{"{text}":"{text}"}}}}"#);
        let _ = at_endpoint(&inside);
    }

    /// One changed byte never panics and never turns one method into another unseen.
    #[test]
    fn a_changed_byte_never_panics(at in 0..CALL.len(), to in any::<u8>()) {
        let mut body = CALL.as_bytes().to_vec();
        body[at] = to;
        if let Ok(reading) = read(&post(), &body, Scope::Endpoint) {
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let operation = reading.operation().unwrap();
            prop_assert_eq!(value["method"].as_str(), Some(operation.method));
            if let Some(name) = operation.name {
                prop_assert_eq!(value["params"]["name"].as_str(), Some(name));
            }
        }
    }
}

/// The text with every string emptied.
fn strip_strings(json: &str) -> String {
    let mut kept = String::new();
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        kept.push(c);
        if c == '"' {
            while let Some(inner) = chars.next() {
                match inner {
                    '\\' => _ = chars.next(),
                    '"' => break,
                    _ => {}
                }
            }
        }
    }
    kept
}
