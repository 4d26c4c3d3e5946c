//! Tests of content types, of bodies that are not MCP, of the cost of parsing, and of random
//! bodies.

use super::*;

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
fn a_request_without_content_has_no_message() {
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
fn payloads_outside_the_mcp_endpoint_are_opaque() {
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
    // JSON with another media type than `application/json` may be anything except an MCP message.
    let linked = [("content-type", "application/ld+json; charset=utf-8")];
    assert!(matches!(anywhere("POST", &linked, b"{\"a\":1}"), Ok(Reading::Json)));
    assert!(matches!(anywhere("POST", &linked, CALL.as_bytes()), Err(Ambiguity::ContentType(_))));
    let read = anywhere("POST", &[("content-type", "application/json")], CALL.as_bytes());
    assert_eq!(read.unwrap().operation().unwrap().name, Some("get_weather"));
}

#[test]
fn an_ambiguous_body_is_reported_with_the_position_of_its_fault() {
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
    let big = body(200_000);
    let start = std::time::Instant::now();
    assert!(at_endpoint(&big).is_ok());
    // Comparing all pairs of keys would take twenty billion steps, far longer than this limit.
    assert!(start.elapsed().as_secs() < 30);
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

/// Counts the members of all objects. serde_json keeps only one of several equal keys, so a smaller
/// count reveals a repeated key.
fn members(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => items.iter().map(members).sum(),
        serde_json::Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

proptest! {
    /// A body that is accepted here is accepted by serde_json, without losing a member. A body that
    /// is refused here is refused by serde_json too, or has a fault that only this crate's parser
    /// looks for.
    #[test]
    fn reading_agrees_with_serde_json(value in json()) {
        let body = format!(r#"{{"method":"m","params":{{"x":{value}}}}}"#);
        let theirs = serde_json::from_str::<serde_json::Value>(&body);
        match (at_endpoint(&body), theirs) {
            // In the generated strings, quotation marks and colons are always escaped, so they can
            // be counted outside of strings.
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

    /// A changed byte never makes the parser panic. If the byte was replaced by itself, the method
    /// is read as before.
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

/// Returns the JSON text with the content of every string removed.
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
