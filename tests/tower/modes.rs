//! Tests of strict mode, of permissive mode, and of patterns that choose between them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use mcpid::mcp::pattern::{Operation, Pattern};
use mcpid::tower::{Counters, Mode, ModePolicy, Modes, Observer, VerifyLayer};
use mcpid::verify::Code;
use serde_json::json;

use crate::servers::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn call(method: &str, name: Option<&str>) -> String {
    let params = name.map(|name| json!({"name": name})).unwrap_or_else(|| json!({}));
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

const RESPONSE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

#[tokio::test]
async fn permissive_mode_forwards_every_request_with_the_right_label() {
    let clock = clock();
    let counters = Arc::new(Counters::new());
    let layer = strict(&clock).with_modes(Modes::permissive()).with_observer(Arc::clone(&counters));
    let seen = Seen::default();
    let used = signed(&clock, CALL).await;
    through(&layer, &seen, used.clone()).await;
    assert_eq!(seen.status().as_str(), "verified");
    assert_eq!(seen.status().verified().unwrap().key(), mcpid::key::Sign::public(&key(1)).id());
    assert_eq!(seen.status().verified().unwrap().name(), Some("alice"));
    assert_eq!(seen.status().code(), None);

    let mut forged = signed(&clock, CALL).await;
    let value = format!("mcp=:{}:", "A".repeat(86) + "==");
    forged.headers_mut().insert("signature", value.parse().unwrap());
    let mut malformed = signed(&clock, CALL).await;
    malformed.headers_mut().insert("signature", "mcp=1".parse().unwrap());
    let mut changed = signed(&clock, CALL).await;
    *changed.body_mut() = Full::new(Bytes::from_static(b"{}"));
    for (request, status, code) in [
        (plain(CALL), "unsigned", Code::SignatureMissing),
        (plain("not json"), "unsigned", Code::SignatureMissing),
        (plain(""), "unsigned", Code::SignatureMissing),
        (bare("GET"), "unsigned", Code::SignatureMissing),
        (bare("OPTIONS"), "unsigned", Code::SignatureMissing),
        (sign_by(key(2), &clock, plain(CALL)).await, "unknown_key", Code::KeyUnknown),
        (forged, "invalid", Code::SignatureInvalid),
        (malformed, "invalid", Code::SignatureMalformed),
        (changed, "invalid", Code::DigestMismatch),
        (used, "invalid", Code::NonceReplayed),
        (sign_by(key(1), &clock, plain("[]")).await, "invalid", Code::BodyAmbiguous),
    ] {
        let before = counters.passed_despite(code);
        let calls = seen.calls();
        assert_eq!(through(&layer, &seen, request).await.status(), 202, "{status} {code}");
        assert_eq!(seen.calls(), calls + 1);
        assert_eq!((seen.status().as_str(), seen.status().code()), (status, Some(code)));
        assert!(seen.status().verified().is_none());
        assert_eq!(counters.passed_despite(code), before + 1, "{code}");
    }
    assert_eq!(counters.verified(), 1);
    assert_eq!(Code::ALL.iter().map(|c| counters.refused_with(*c)).sum::<u64>(), 0);
}

#[tokio::test]
async fn permissive_mode_waives_no_limit_and_no_check_of_the_authority() {
    let layer = strict(&clock()).with_modes(Modes::permissive());
    let with = |name: &'static str, value: &str| {
        let mut request = plain(CALL);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    assert_eq!(refused(&layer, with("host", "other.example")).await.status, 421);
    assert_eq!(refused(&layer, with("x-large", &"x".repeat(70_000))).await.status, 431);
    assert_eq!(refused(&layer, with("expect", "100-maybe")).await.status, 417);
    let mut twice = plain(CALL);
    twice.headers_mut().append("mcp-name", "a".parse().unwrap());
    twice.headers_mut().append("mcp-name", "b".parse().unwrap());
    assert_eq!(refused(&layer, twice).await.reason(), "signature_malformed");
    let large = plain(&"x".repeat(4 * 1024 * 1024 + 1));
    let answer = refused(&layer, large).await;
    assert_eq!((answer.status, answer.reason()), (413, "too_large"));
    assert!(answer.json.get("id").is_none());
}

#[tokio::test]
async fn patterns_decide_by_the_body() {
    let clock = clock();
    let layer = strict(&clock).with_modes(
        Modes::permissive()
            .with_strict(pattern("tools/call:delete_*"))
            .with_permissive(pattern("tools/call:delete_draft")),
    );
    let seen = Seen::default();
    for body in [
        call("tools/list", None),
        call("tools/call", Some("get_weather")),
        call("tools/call", Some("Delete_all")),
        call("initialize", None),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
    ] {
        assert_eq!(through(&layer, &seen, plain(&body)).await.status(), 202, "{body}");
        assert_eq!(seen.status().as_str(), "unsigned");
        assert_eq!(seen.body(), body.as_bytes());
    }
    assert_eq!(through(&layer, &seen, bare("GET")).await.status(), 202);
    assert_eq!(through(&layer, &seen, bare("DELETE")).await.status(), 202);
    for body in [
        call("tools/call", Some("delete_all")),
        // If strict and permissive patterns match, strict decides.
        call("tools/call", Some("delete_draft")),
        // A call without a name could be a call of any tool.
        call("tools/call", None),
        // An unsigned response could answer, and so approve, a question that a call asked the
        // client.
        RESPONSE.to_owned(),
        // A body that cannot be parsed matches every strict pattern.
        "".to_owned(),
        "[]".to_owned(),
        format!("[{}]", call("tools/list", None)),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","Name":"delete_all"}}"#.to_owned(),
    ] {
        let answer = refused(&layer, plain(&body)).await;
        assert_eq!((answer.status, answer.reason()), (403, "signature_missing"), "{body}");
    }
    // The refusal contains the id of the request.
    let answer = refused(&layer, plain(&call("tools/call", Some("delete_all")))).await;
    assert_eq!(answer.json["id"], json!(1));
    // The mode does not depend on header fields, which may contradict the body.
    let mut lying = plain(&call("tools/call", Some("delete_all")));
    for (name, value) in [("mcp-method", "tools/list"), ("mcp-name", "get_weather")] {
        lying.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(refused(&layer, lying).await.status, 403);
    // The mode does not depend on a content type or method that only some servers accept.
    let mut odd = plain(&call("tools/list", None));
    odd.headers_mut().insert("content-type", "application/json; charset=utf-7".parse().unwrap());
    assert_eq!(refused(&layer, odd).await.status, 403);
    let mut put = plain(&call("tools/list", None));
    *put.method_mut() = http::Method::PUT;
    assert_eq!(refused(&layer, put).await.status, 403);
    let mut get = plain(&call("tools/list", None));
    *get.method_mut() = http::Method::GET;
    assert_eq!(refused(&layer, get).await.status, 403);
    // If they are signed, all of these requests are accepted.
    let request = signed(&clock, &call("tools/call", Some("delete_all"))).await;
    assert_eq!(through(&layer, &seen, request).await.status(), 202);
    assert_eq!(seen.status().as_str(), "verified");
}

#[tokio::test]
async fn a_strict_layer_may_be_permissive_for_single_methods() {
    let clock = clock();
    let layer = strict(&clock).with_modes(
        Modes::strict()
            .with_permissive(pattern("initialize"))
            .with_permissive(pattern("tools/call:get_*"))
            .with_permissive(pattern("@get")),
    );
    let seen = Seen::default();
    for body in [call("initialize", None), call("tools/call", Some("get_weather"))] {
        assert_eq!(through(&layer, &seen, plain(&body)).await.status(), 202, "{body}");
        assert_eq!(seen.status().as_str(), "unsigned");
    }
    assert_eq!(through(&layer, &seen, bare("GET")).await.status(), 202);
    assert_eq!(through(&layer, &seen, bare("HEAD")).await.status(), 202);
    for body in [
        call("tools/call", Some("set_weather")),
        // A permissive pattern with a name does not match a call without a name.
        call("tools/call", None),
        call("tools/list", None),
        RESPONSE.to_owned(),
        "[]".to_owned(),
        "".to_owned(),
    ] {
        assert_eq!(refused(&layer, plain(&body)).await.status, 403, "{body}");
    }
    assert_eq!(refused(&layer, bare("DELETE")).await.status, 403);
    // A permissive operation passes even with an invalid signature, and its status says so.
    let stranger = sign_by(key(2), &clock, plain(&call("initialize", None))).await;
    assert_eq!(through(&layer, &seen, stranger).await.status(), 202);
    assert_eq!(seen.status().as_str(), "unknown_key");
}

#[test]
fn responses_of_the_client_are_judged_strictly_once_any_call_is() {
    let response = Some(Operation { method: "@response", name: None });
    for (strict, mode) in [
        ("tools/call", Mode::Strict),
        ("tools/call:delete_*", Mode::Strict),
        ("tools/*", Mode::Strict),
        ("*", Mode::Strict),
        ("@response", Mode::Strict),
        ("tools/list", Mode::Permissive),
        ("resources/*", Mode::Permissive),
        ("@get", Mode::Permissive),
    ] {
        let modes =
            Modes::permissive().with_strict(pattern(strict)).with_permissive(pattern("@response"));
        assert_eq!(modes.mode(response), mode, "{strict}");
        // `tasks/update` can also answer a question that a call asked the client.
        let update = Some(Operation { method: "tasks/update", name: Some("1") });
        let update_mode = if strict == "@response" { Mode::Permissive } else { mode };
        assert_eq!(modes.mode(update), update_mode, "{strict}");
        assert_eq!(modes.uniform(), None);
        assert_eq!(modes.mode(None), Mode::Strict);
    }
    let modes = Modes::strict().with_permissive(pattern("@response"));
    assert_eq!(modes.mode(response), Mode::Permissive);
    assert_eq!(modes.mode(None), Mode::Strict);
    assert_eq!(Modes::strict().uniform(), Some(Mode::Strict));
    assert_eq!(Modes::strict().with_strict(pattern("*")).uniform(), Some(Mode::Strict));
    assert_eq!(Modes::permissive().uniform(), Some(Mode::Permissive));
    assert_eq!(Modes::permissive().mode(None), Mode::Permissive);
    assert_eq!(Modes::permissive().with_permissive(pattern("*")).uniform(), Some(Mode::Permissive));
}

#[test]
fn names_are_compared_in_every_form() {
    let strict = Modes::permissive().with_strict(pattern("resources/read:file:///priv/*"));
    let permissive = Modes::strict().with_permissive(pattern("resources/read:file:///pub/*"));
    let read = |uri| Some(Operation { method: "resources/read", name: Some(uri) });
    for uri in ["FILE:///priv/a", "file:////priv/a", "file:///pub/../priv/a", "file:///pub/a\\x"] {
        assert_eq!(strict.mode(read(uri)), Mode::Strict, "{uri}");
        assert_eq!(permissive.mode(read(uri)), Mode::Strict, "{uri}");
    }
    assert_eq!(strict.mode(read("file:///pub/a")), Mode::Permissive);
    assert_eq!(permissive.mode(read("file:///pub/a")), Mode::Permissive);
}

/// A policy that the application wrote, which knows the tools of its upstream.
struct Listed(Mutex<Vec<String>>);

impl ModePolicy for Listed {
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode {
        match operation.and_then(|o| o.name) {
            Some(name) if self.0.lock().unwrap().iter().any(|n| n == name) => Mode::Permissive,
            _ => Mode::Strict,
        }
    }
}

#[tokio::test]
async fn a_policy_may_be_the_applications_own() {
    let layer = strict(&clock()).with_modes(Listed(Mutex::new(vec!["get_weather".to_owned()])));
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, plain(CALL)).await.status(), 202);
    assert_eq!(refused(&layer, plain(&call("tools/call", Some("x")))).await.status, 403);
}

struct Lines(Mutex<Vec<String>>);

impl Observer for Lines {
    fn judged(&self, event: &mcpid::tower::RequestEvent<'_>) {
        self.0.lock().unwrap().push(event.to_string());
    }
}

#[tokio::test]
async fn a_log_line_states_the_outcome_of_each_request() {
    let clock = clock();
    let lines = Arc::new(Lines(Mutex::default()));
    let modes = Modes::permissive().with_strict(pattern("tools/call"));
    let layer: VerifyLayer = strict(&clock).with_modes(modes).with_observer(Arc::clone(&lines));
    let seen = Seen::default();
    through(&layer, &seen, signed(&clock, CALL).await).await;
    through(&layer, &seen, plain(&call("tools/list", None))).await;
    refused(&layer, plain(&call("tools/call", Some("a\n\u{1b}[31mb")))).await;
    let mut elsewhere = plain(CALL);
    elsewhere.headers_mut().insert("host", "other.example".parse().unwrap());
    elsewhere.headers_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
    refused(&layer, elsewhere).await;
    let lines = lines.0.lock().unwrap().clone();
    let id = mcpid::key::Sign::public(&key(1)).id().to_string();
    assert_eq!(
        lines[0],
        format!(
            r#"passed verified "POST" "/mcp" does "tools/call" "get_weather" key {id} name "alice""#
        )
    );
    assert!(
        lines[1].starts_with(
            r#"passed unsigned "POST" "/mcp" does "tools/list" although signature_missing at step 2"#
        ),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with(
            r#"refused unsigned "POST" "/mcp" does "tools/call" "a\n\u{1b}[31mb" with 403"#
        ),
        "{}",
        lines[2]
    );
    assert!(lines[3].starts_with("refused invalid"), "{}", lines[3]);
    assert!(lines[3].contains("421 target_mismatch"), "{}", lines[3]);
    assert_eq!(lines.len(), 4);
    for line in &lines {
        assert!(!line.chars().any(char::is_control), "{line}");
        assert!(!line.contains("s3cret"));
    }
}
