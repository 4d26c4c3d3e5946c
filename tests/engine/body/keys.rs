//! Tests of keys that occur twice or differ only in letter case, and of objects that are not a
//! JSON-RPC message.

use super::*;

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
    // Objects with few keys are compared key by key, larger ones with a hash set. All sizes around
    // that limit are tried, with the repeated key at every position.
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
    // Elsewhere than at an endpoint, these rules apply only to objects with the member `jsonrpc`.
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
