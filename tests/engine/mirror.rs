//! Tests of the `Mcp-*` fields: each must have the same value as the part of the body that it
//! repeats.

use mcpid::mcp::body::{Reading, Scope, read};
use mcpid::mcp::headers::{Mismatch, check, decode, encode, for_message, wants_mirror};
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";

type Fields<'f> = &'f [(&'f str, &'f str)];

fn head(fields: Fields<'_>) -> Head<'static> {
    let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
    head.push("content-type", &b"application/json"[..]).unwrap();
    for (name, value) in fields {
        head.push((*name).to_owned(), value.as_bytes().to_vec()).unwrap();
    }
    head
}

fn judge(fields: Fields<'_>, body: &str) -> Result<(), Mismatch> {
    let head = head(fields);
    check(&head, &read(&head, body.as_bytes(), Scope::Endpoint).unwrap())
}

fn call(method: &str, params: &str, version: Option<&str>) -> String {
    let meta = version.map_or(String::new(), |v| {
        format!(
            r#"{}"_meta":{{"io.modelcontextprotocol/protocolVersion":"{v}"}}"#,
            if params.is_empty() { "" } else { "," }
        )
    });
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#)
}

fn modern() -> String {
    call("tools/call", r#""name":"get""#, Some("2026-07-28"))
}

const GOOD: Fields<'static> = &[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "get")];

#[test]
fn a_call_of_the_new_revision_has_three_matching_headers() {
    judge(GOOD, &modern()).unwrap();
    let faults: &[(Fields<'_>, &str)] = &[
        (&[(METHOD, "tools/call"), (NAME, "get")], "MCP-Protocol-Version"),
        (&[(VERSION, "2026-07-28"), (NAME, "get")], "Mcp-Method"),
        (&[(VERSION, "2026-07-28"), (METHOD, "tools/call")], "Mcp-Name"),
        (&[(VERSION, "2026-07-29"), (METHOD, "tools/call"), (NAME, "get")], "MCP-Protocol-Version"),
        (&[(VERSION, "2025-11-25"), (METHOD, "tools/call"), (NAME, "get")], "MCP-Protocol-Version"),
        (&[(VERSION, "2026-07-28"), (METHOD, "tools/list"), (NAME, "get")], "Mcp-Method"),
        (&[(VERSION, "2026-07-28"), (METHOD, "Tools/call"), (NAME, "get")], "Mcp-Method"),
        (&[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "Get")], "Mcp-Name"),
        (&[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "")], "Mcp-Name"),
        (&[(VERSION, "2026-07-28"), (METHOD, ""), (NAME, "get")], "Mcp-Method"),
        (&[(VERSION, ""), (METHOD, "tools/call"), (NAME, "get")], "MCP-Protocol-Version"),
        (
            &[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "get"), (NAME, "get")],
            "Mcp-Name",
        ),
        (
            &[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "get"), (METHOD, "x")],
            "Mcp-Method",
        ),
        (
            &[
                (VERSION, "2026-07-28"),
                (VERSION, "2026-07-28"),
                (METHOD, "tools/call"),
                (NAME, "get"),
            ],
            "MCP-Protocol-Version",
        ),
        (&[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "=?base64?Z2V0?")], "Mcp-Name"),
        (&[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "g\u{e9}t")], "Mcp-Name"),
    ];
    for (fields, header) in faults {
        let mismatch = judge(fields, &modern()).unwrap_err();
        assert_eq!(mismatch.header(), *header, "{fields:?}");
        assert!(mismatch.to_string().starts_with(header));
    }
    let mismatch = judge(faults[7].0, &modern()).unwrap_err();
    assert_eq!((mismatch.header_value(), mismatch.body_value()), (Some("Get"), Some("get")));
    let mismatch = judge(faults[2].0, &modern()).unwrap_err();
    assert_eq!((mismatch.header_value(), mismatch.body_value()), (None, Some("get")));
}

#[test]
fn a_header_or_the_body_can_select_the_rules_of_the_new_revision() {
    // Only the field `MCP-Protocol-Version`, and not the body, names the new protocol version. This
    // is no contradiction (the server itself refuses the body), but the other `Mcp-*` fields are
    // then required too.
    let silent = call("tools/call", r#""name":"get""#, None);
    judge(GOOD, &silent).unwrap();
    for fields in [
        &GOOD[..1],
        &GOOD[..2],
        &[GOOD[0], GOOD[2]],
        &[GOOD[0], (METHOD, "tools/list"), GOOD[2]],
        &[GOOD[0], GOOD[1], (NAME, "set")],
        &[GOOD[0], GOOD[0], GOOD[1], GOOD[2]],
        &[(VERSION, "DRAFT-2027"), GOOD[1]],
        &[(VERSION, ""), GOOD[1]],
    ] {
        assert!(judge(fields, &silent).is_err(), "{fields:?}");
    }
    // A protocol version in `params._meta` must be a string, and equal to the field
    // `MCP-Protocol-Version`.
    let meta = r#","_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#;
    let odd = silent.replacen('}', meta, 1);
    serde_json::from_str::<serde_json::Value>(&odd).unwrap();
    assert!(read(&head(GOOD), odd.as_bytes(), Scope::Endpoint).is_err());
    assert!(judge(GOOD, &call("tools/call", r#""name":"get""#, Some("2025-11-25"))).is_err());
    assert!(judge(&[], &modern()).is_err());
    // A version that is not a date is treated as a new version, which requires the `Mcp-*` fields.
    let draft = call("ping", "", Some("DRAFT-2027"));
    assert!(judge(&[], &draft).is_err());
    assert!(judge(&[(VERSION, "DRAFT-2027")], &draft).is_err());
    judge(&[(VERSION, "DRAFT-2027"), (METHOD, "ping")], &draft).unwrap();
    for (version, wants) in [
        ("2024-11-05", false),
        ("2025-11-25", false),
        ("2026-07-27", false),
        ("2026-07-28", true),
        ("2026-12-01", true),
        ("2031-01-01", true),
        ("0000-00-00", false),
        ("2025-11-2", true),
        ("2025-11-255", true),
        ("2025/11/25", true),
        ("1.0", true),
        ("", true),
    ] {
        assert_eq!(wants_mirror(version), wants, "{version}");
    }
}

#[test]
fn the_name_header_is_demanded_where_the_revision_demands_it() {
    for (method, params, name) in [
        ("tools/call", r#""name":"n""#, "n"),
        ("prompts/get", r#""name":"n""#, "n"),
        ("resources/read", r#""uri":"file:///a b""#, "file:///a b"),
    ] {
        let body = call(method, params, Some("2026-07-28"));
        let fields = [(VERSION, "2026-07-28"), (METHOD, method), (NAME, name)];
        judge(&fields, &body).unwrap();
        assert_eq!(judge(&fields[..2], &body).unwrap_err().header(), "Mcp-Name");
        // If the method acts on a name and the body lacks it, the request is refused, with or
        // without the field `Mcp-Name`.
        let nameless = call(method, "", Some("2026-07-28"));
        assert!(judge(&fields[..2], &nameless).is_err());
        assert!(judge(&fields, &nameless).is_err());
    }
    for (method, params, name) in
        [("tasks/get", r#""taskId":"t""#, "t"), ("resources/subscribe", r#""uri":"u""#, "u")]
    {
        let body = call(method, params, Some("2026-07-28"));
        let fields = [(VERSION, "2026-07-28"), (METHOD, method), (NAME, name)];
        judge(&fields, &body).unwrap();
        judge(&fields[..2], &body).unwrap();
        assert!(judge(&[fields[0], fields[1], (NAME, "other")], &body).is_err());
    }
    // If the method acts on no name, the field `Mcp-Name` cannot contradict the body.
    let fields = [(VERSION, "2026-07-28"), (METHOD, "ping"), (NAME, "x")];
    judge(&fields, &call("ping", "", Some("2026-07-28"))).unwrap();
    // For a list, the field `Mcp-Name` is refused if the body has no name.
    let fields = [(VERSION, "2026-07-28"), (METHOD, "tools/list"), (NAME, "x")];
    assert!(judge(&fields, &call("tools/list", "", Some("2026-07-28"))).is_err());
    judge(&fields[..2], &call("tools/list", "", Some("2026-07-28"))).unwrap();
}

#[test]
fn older_requests_need_no_mcp_headers_and_any_sent_must_match() {
    let old = call("tools/call", r#""name":"get""#, None);
    for fields in [
        &[][..],
        &[(VERSION, "2025-11-25")],
        &[(METHOD, "tools/call")],
        &[(NAME, "get")],
        &[(VERSION, "2025-11-25"), (METHOD, "tools/call"), (NAME, "get")],
    ] {
        judge(fields, &old).unwrap();
    }
    for fields in [
        &[(METHOD, "tools/list")][..],
        &[(NAME, "set")],
        &[(VERSION, "2025-11-25"), (METHOD, "")],
        &[(METHOD, "tools/call"), (METHOD, "tools/call")],
        &[(VERSION, "2025-11-25"), (VERSION, "2025-11-25")],
    ] {
        assert!(judge(fields, &old).is_err(), "{fields:?}");
    }
    let versioned = call("ping", "", Some("2025-06-18"));
    judge(&[], &versioned).unwrap();
    judge(&[(VERSION, "2025-06-18")], &versioned).unwrap();
    assert!(judge(&[(VERSION, "2025-11-25")], &versioned).is_err());
    // The version that `initialize` proposes is not the version of the `initialize` request itself.
    let initialize = call("initialize", r#""protocolVersion":"2026-07-28""#, None);
    judge(&[], &initialize).unwrap();
    judge(&[(VERSION, "2025-11-25"), (METHOD, "initialize")], &initialize).unwrap();
}

#[test]
fn notifications_and_responses_need_no_mcp_headers_and_any_sent_must_match() {
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    judge(&[], note).unwrap();
    judge(&[(VERSION, "2026-07-28"), (METHOD, "notifications/cancelled")], note).unwrap();
    assert!(judge(&[(VERSION, "2025-11-25")], note).is_err());
    assert!(judge(&[(METHOD, "tools/call")], note).is_err());
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    judge(&[], answer).unwrap();
    judge(&[(VERSION, "2026-07-28")], answer).unwrap();
    assert!(judge(&[(METHOD, "tools/call")], answer).is_err());
    assert!(judge(&[(METHOD, "@response")], answer).is_err());
    assert!(judge(&[(NAME, "get")], answer).is_err());
}

#[test]
fn without_a_message_only_json_can_be_contradicted() {
    let fields = head(&[(METHOD, "tools/call"), (NAME, "x")]);
    for reading in [Reading::Get, Reading::Delete, Reading::Opaque] {
        check(&fields, &reading).unwrap();
    }
    assert!(check(&fields, &Reading::Json).is_err());
    assert!(check(&head(&[(NAME, "x")]), &Reading::Json).is_err());
    check(&head(&[(VERSION, "2026-07-28")]), &Reading::Json).unwrap();
}

#[test]
fn encoded_values_are_decoded_strictly() {
    for (value, text) in [
        ("", ""),
        ("get_weather", "get_weather"),
        ("a b", "a b"),
        ("=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"),
        ("=?base64?IHBhZGRlZCA=?=", " padded "),
        ("=?base64?bGluZTEKbGluZTI=?=", "line1\nline2"),
        ("=?base64?Z2V0?=", "get"),
        ("=?base64??=", ""),
        // The marks around base64 are case-sensitive, and both must be present. Otherwise the value
        // is taken literally.
        ("=?BASE64?Z2V0?=", "=?BASE64?Z2V0?="),
        ("=?utf-8?B?Z2V0?=", "=?utf-8?B?Z2V0?="),
        ("x=?base64?Z2V0?=", "x=?base64?Z2V0?="),
    ] {
        assert_eq!(decode(value.as_bytes()).as_deref(), Some(text), "{value}");
    }
    for value in [
        &b"=?base64?Z2V0"[..],
        b"=?base64?Z2V0?",
        b"=?base64?Z2V0=?=",
        b"=?base64?=",
        b"=?base64?",
        b"=?base64?SGVsbG8?=",
        b"=?base64?SGVsbG8?==",
        b"=?base64?SGVsbG9=?=",
        b"=?base64?Z2 V0?=",
        b"=?base64?Z2V0?= ",
        b"=?base64?_-8=?=",
        b"=?base64?/w==?=",
        b"=?base64?7aCA?=",
        b"caf\xc3\xa9",
        b"caf\xe9",
        b"a\tb",
        b"a\x7f",
        b"\0",
    ] {
        assert_eq!(decode(value), None, "{value:?}");
    }
    judge(
        &[(VERSION, "2026-07-28"), (METHOD, "tools/call"), (NAME, "=?base64?dMO2w7Zs?=")],
        &call("tools/call", r#""name":"t\u00f6\u00f6l""#, Some("2026-07-28")),
    )
    .unwrap();
    assert_eq!(encode("=?base64?Z2V0?="), "=?base64?PT9iYXNlNjQ/WjJWMD89?=");
    assert_eq!(encode("a b"), "a b");
    assert_eq!(encode(""), "=?base64??=");
}

#[test]
fn the_headers_that_a_client_should_send_pass_the_check() {
    let fields_for = |body: &str| {
        let reading = read(&head(&[]), body.as_bytes(), Scope::Endpoint).unwrap();
        for_message(reading.message().unwrap())
    };
    let version = Some("2026-07-28");
    for body in [
        modern(),
        call("ping", "", version),
        call("tools/call", r#""name":"t\u00f6\u00f6l ""#, version),
        call("resources/read", r#""uri":"=?base64?x""#, version),
        call("tasks/get", r#""taskId":"""#, version),
        call("m\\u0000", "", version),
        call("ping", "", Some("later")),
        modern().replace("\"id\":1,", ""),
    ] {
        let fields = fields_for(&body);
        assert!(fields.len() >= 2, "{body}");
        let borrowed: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        judge(&borrowed, &body).unwrap();
    }
    let fields = fields_for(&modern());
    let expected =
        [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "get")];
    assert!(fields.iter().map(|(n, v)| (*n, v.as_str())).eq(expected));
    for body in [
        call("tools/call", r#""name":"get""#, None),
        call("tools/call", r#""name":"get""#, Some("2025-11-25")),
        r#"{"id":1,"result":{}}"#.to_owned(),
    ] {
        assert_eq!(fields_for(&body), []);
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn the_profile_vectors_agree_with_themselves() {
    let folder = std::env::var_os("MCPID_VECTORS").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(folder.join("mcp-profile.json")) else {
        eprintln!("mirror: mcp-profile.json is not in {}, not tested", folder.display());
        return;
    };
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut operations = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let method = vector["method"].as_str().unwrap().to_owned();
        let mut head = Head::new(method, RequestTarget::Origin("/mcp".into())).unwrap();
        for (name, value) in vector["headers"].as_object().unwrap() {
            head.push(name.clone(), value.as_str().unwrap().as_bytes().to_vec()).unwrap();
        }
        let body = vector["body"].as_str().unwrap();
        for scope in [Scope::Endpoint, Scope::Anywhere] {
            let reading = read(&head, body.as_bytes(), scope).unwrap();
            check(&head, &reading).unwrap();
            operations.push(reading.operation().unwrap().method.to_owned());
        }
    }
    let expected = ["tools/call", "tools/call", "tools/call", "tools/call", "@get", "@get"];
    assert_eq!(operations, expected);
}

proptest! {
    #[test]
    fn an_encoded_value_is_decoded(text in any::<String>()) {
        let encoded = encode(&text);
        prop_assert!(encoded.bytes().all(|b| (b' '..=b'~').contains(&b)));
        prop_assert_eq!(encoded.trim(), &*encoded);
        let decoded = decode(encoded.as_bytes());
        prop_assert_eq!(decoded.as_deref(), Some(&*text));
    }

    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = decode(&bytes);
        let _ = decode(&[b"=?base64?", &bytes[..], b"?="].concat());
    }
}
