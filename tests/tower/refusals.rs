//! Tests of refusals: the status, header fields and JSON of each.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use mcpid::profile::Profile;
use mcpid::tower::{Counters, LayerError, Modes, Refusal, RefuseWith, VerifyLayer};
use mcpid::verify::coverage::CoverageOverrides;
use mcpid::verify::{Code, ReplayCheck, Verifier};
use serde_json::json;

use crate::servers::*;

const ACCEPT: &str =
    r#"mcp=("@method" "@target-uri" "content-digest" "content-type");created;expires"#;

#[tokio::test]
async fn the_refusal_of_an_unsigned_request_states_all_that_a_signer_needs() {
    let answer = refused(&strict(&clock()), plain(CALL)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("accept-signature"), Some(ACCEPT));
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(answer.header("retry-after"), None);
    let expected = json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -31401,
        "message": "this server wants requests to be signed: mcpid connect URL signs for any MCP client",
        "data": {"reason": "signature_missing"}}});
    assert_eq!(answer.json, expected);
    let refused = answer.refused.unwrap();
    assert_eq!((refused.code(), refused.public_code()), ("signature_missing", "signature_missing"));
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn accept_signature_is_computed_for_the_request() {
    let layer = strict(&clock());
    let mut request = plain(CALL);
    for (name, value) in [
        ("mcp-param-zeta", "1"),
        ("mcp-param-alpha", "1"),
        ("mcp-session-id", "s"),
        ("mcp-protocol-version", "2025-11-25"),
        ("authorization", "Bearer secret"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = refused(&layer, request).await;
    assert_eq!(
        answer.header("accept-signature").unwrap(),
        concat!(
            r#"mcp=("@method" "@target-uri" "content-digest" "content-type" "mcp-protocol-version""#,
            r#" "mcp-session-id" "mcp-param-alpha" "mcp-param-zeta");created;expires"#
        )
    );
    let wanted = mcpid::base::accept::read(answer.header("accept-signature").unwrap().as_bytes());
    assert_eq!(wanted.unwrap()[0].params.as_ref().unwrap().components().len(), 8);
    // The challenge (`Accept-Signature`) also asks for the components that the operator requires.
    let changes = CoverageOverrides {
        require: vec!["x-tenant".to_owned(), "@method".to_owned()],
        allow_uncovered: vec!["content-type".to_owned()],
    };
    let changed = VerifyLayer::new(trusting(&clock()).with_coverage_overrides(changes)).unwrap();
    assert_eq!(
        refused(&changed, plain(CALL)).await.header("accept-signature"),
        Some(r#"mcp=("@method" "@target-uri" "content-digest" "x-tenant");created;expires"#)
    );
    // The challenge does not ask for more components than one signature may cover.
    let mut request = plain(CALL);
    for number in 0..40 {
        let name = http::HeaderName::try_from(format!("mcp-param-{number}")).unwrap();
        request.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(refused(&layer, request).await.header("accept-signature"), None);
}

#[tokio::test]
async fn another_status_can_be_set_for_refusals() {
    let clock = clock();
    let realm = |realm: &str| RefuseWith::Unauthorized { realm: realm.to_owned() };
    let layer = strict(&clock).with_refusals(realm(r#"my "mcp" \ server"#)).unwrap();
    let answer = refused(&layer, plain(CALL)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"HTTPSig realm="my \"mcp\" \\ server", error="signature_missing""#)
    );
    assert_eq!(answer.header("accept-signature"), Some(ACCEPT));
    for bad in ["a\r\nb", "a\u{0}", "ä"] {
        let error = strict(&clock).with_refusals(realm(bad)).unwrap_err();
        assert_eq!(error, LayerError::Realm);
    }
    // To an unauthenticated client, the challenge reveals no more than the body does, and nothing
    // about the trusted keys.
    let forged = sign_by(key(2), &clock, plain(CALL)).await;
    let challenge = refused(&layer, forged).await;
    assert!(challenge.header("www-authenticate").unwrap().ends_with(r#"error="key_unknown""#));

    let layer = strict(&clock).with_refusals(RefuseWith::Ok).unwrap();
    assert_eq!(refused(&layer, plain(CALL)).await.status, 200);
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    assert_eq!(refused(&layer, plain(notification)).await.status, 403);
    assert_eq!(refused(&layer, bare("GET")).await.status, 403);
    assert_eq!(refused(&layer, bare("DELETE")).await.status, 403);
    // A GET whose content looks like a request has no id to repeat.
    let mut get = plain(CALL);
    *get.method_mut() = http::Method::GET;
    assert_eq!(refused(&layer, get).await.status, 403);
    // Other faults have a status of their own.
    let mut elsewhere = plain(CALL);
    elsewhere.headers_mut().insert("host", "other.example".parse().unwrap());
    assert_eq!(refused(&layer, elsewhere).await.status, 421);
}

#[tokio::test]
async fn the_id_is_echoed_as_it_was_written() {
    let layer = strict(&clock());
    let with = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let long = "x".repeat(256);
    for id in [
        "7",
        "-7",
        "0",
        "1.50",
        "1e2",
        "12345678901234567890123",
        r#""""#,
        r#""a\u00e4\"b""#,
        &format!(r#""{long}""#),
        // The id has 256 bytes without its escapes.
        &format!(r#""{}""#, r"\u0041".repeat(256)),
    ] {
        let answer = refused(&layer, plain(&with(id))).await;
        assert!(answer.text.contains(&format!(r#""id":{id},"error""#)), "{id}: {}", answer.text);
        assert!(answer.json.is_object(), "{id}");
    }
    for id in [
        "null",
        "true",
        "[1]",
        r#"{"a":1}"#,
        &format!(r#""{long}x""#),
        &format!(r#""{}""#, "ä".repeat(129)),
        &format!("1{}", "0".repeat(256)),
    ] {
        let answer = refused(&layer, plain(&with(id))).await;
        assert!(answer.json.get("id").is_none(), "{id}: {}", answer.text);
        assert_eq!(answer.reason(), "signature_missing");
    }
}

#[tokio::test]
async fn a_refusal_has_no_id_where_the_id_is_ambiguous() {
    let layer = strict(&clock());
    for body in [
        "",
        "{",
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        // This is a JSON-RPC response. Its id names a request of the server, so the refusal does
        // not repeat it.
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","x":NaN}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
    ] {
        let answer = refused(&layer, plain(body)).await;
        assert!(answer.json.get("id").is_none(), "{body}: {}", answer.text);
        assert_eq!((answer.status, answer.reason()), (403, "signature_missing"), "{body}");
    }
    let mut request = plain(CALL);
    request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert!(refused(&layer, request).await.json.get("id").is_none());
    let mut request = plain(CALL);
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert!(refused(&layer, request).await.json.get("id").is_none());
    // The second body is one byte longer than the layer reads.
    let padded = |length: usize| format!("{}{CALL}", " ".repeat(length - CALL.len()));
    assert_eq!(refused(&layer, plain(&padded(65_536))).await.json["id"], json!(1));
    assert!(refused(&layer, plain(&padded(65_537))).await.json.get("id").is_none());
}

/// Makes one fault at a time in a signed request, and checks the code and status of the refusal.
#[tokio::test]
async fn every_refusal_has_its_status_and_code() {
    let clock = clock();
    let layer = strict(&clock);
    let set = |mut request: Request<Full<Bytes>>, name: &'static str, value: &str| {
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let good = || async { signed(&clock, CALL).await };
    let old = {
        let then = self::clock();
        then.forward(-40);
        signed(&then, CALL).await
    };
    let early = {
        let then = self::clock();
        then.forward(40);
        signed(&then, CALL).await
    };
    let mismatched = sign_by(key(1), &clock, set(plain(CALL), "mcp-method", "tools/list"));
    let gzip = sign_by(key(1), &clock, set(plain(CALL), "content-encoding", "gzip"));
    let text = sign_by(key(1), &clock, set(plain(CALL), "content-type", "text/plain"));
    let cases: Vec<(Request<Full<Bytes>>, u16, &str)> = vec![
        (set(good().await, "signature", "mcp=:AAAA:"), 403, "key_unknown"),
        (set(good().await, "signature", "other=:AAAA:"), 403, "signature_malformed"),
        (set(good().await, "signature", "mcp=AAAA"), 403, "signature_malformed"),
        (old, 403, "expired"),
        (early, 403, "not_yet_valid"),
        (set(good().await, "mcp-name", "other"), 403, "coverage_insufficient"),
        (with_body(good().await, Full::new(Bytes::from_static(b"{}"))), 403, "digest_mismatch"),
        (set(good().await, "host", "other.example"), 421, "target_mismatch"),
        (mismatched.await, 400, "header_body_mismatch"),
        (gzip.await, 415, "body_ambiguous"),
        (text.await, 403, "body_ambiguous"),
        (
            set(good().await, "signature-input", &format!("mcp=({})", "x".repeat(9_000))),
            431,
            "too_large",
        ),
        (set(good().await, "x-large", &"x".repeat(70_000)), 431, "too_large"),
        (set(good().await, "expect", "200-maybe"), 417, "expectation_failed"),
    ];
    for (request, status, reason) in cases {
        let answer = refused(&layer, request).await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{}", answer.text);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{reason}");
        assert!(answer.header("accept-signature").is_some(), "{reason}");
        let code = if reason == "header_body_mismatch" { -32020 } else { -31401 };
        assert_eq!(answer.json["error"]["code"], json!(code), "{reason}");
        assert_eq!(answer.header("www-authenticate"), None);
        let coding = answer.header("accept-encoding");
        assert_eq!(coding, (status == 415).then_some("identity"));
    }
}

#[tokio::test]
async fn refusals_of_unknown_keys_reveal_no_content_of_the_registry() {
    let clock = clock();
    let revoked = json!({"revoked_at": "2020-01-01T00:00:00Z"});
    let trust = registry(vec![entry(&key(1), revoked)]);
    let layer = VerifyLayer::new(verifier(&clock, trust, Arc::new(store()))).unwrap();
    // A client that proves to hold the key is told the true reason.
    let answer = refused(&layer, signed(&clock, CALL).await).await;
    assert_eq!((answer.status, answer.reason()), (403, "key_revoked"));
    // A client that only names the key is told the same as for an unknown key.
    let mut forged = signed(&clock, CALL).await;
    let value = format!("mcp=:{}:", "A".repeat(86) + "==");
    forged.headers_mut().insert("signature", value.parse().unwrap());
    let forged = refused(&layer, forged).await;
    let unknown = refused(&layer, sign_by(key(2), &clock, plain(CALL)).await).await;
    assert_eq!(forged.text, unknown.text);
    assert_eq!(forged.headers, unknown.headers);
    assert_eq!(forged.status, unknown.status);
    assert_eq!(unknown.reason(), "key_unknown");
    assert_eq!(
        unknown.json["error"]["message"],
        json!("no known key verifies this signature: send the operator what mcpid export prints")
    );
    // The application is told the true reason.
    assert_eq!(forged.refused.as_ref().unwrap().code(), "key_revoked");
    assert_eq!(forged.refused.as_ref().unwrap().public_code(), "key_unknown");
    assert!(forged.refused.unwrap().to_string().contains("key_revoked"));
    assert_eq!(unknown.refused.unwrap().code(), "key_unknown");
}

#[tokio::test]
async fn forbidden_key_gets_no_challenge() {
    let clock = clock();
    let trust = registry(vec![entry(&key(1), json!({"allow": ["tools/call:list_*"]}))]);
    let layer = VerifyLayer::new(verifier(&clock, trust, Arc::new(store()))).unwrap();
    let answer = refused(&layer, signed(&clock, CALL).await).await;
    assert_eq!((answer.status, answer.reason()), (403, "not_allowed"));
    assert_eq!(answer.header("accept-signature"), None);
    assert_eq!(answer.json["id"], json!(1));
    // This refusal has no challenge either.
    let layer = layer.with_refusals(RefuseWith::Unauthorized { realm: "x".to_owned() }).unwrap();
    let answer = refused(&layer, signed(&clock, CALL).await).await;
    assert_eq!((answer.status, answer.reason()), (403, "not_allowed"));
    assert_eq!(answer.header("www-authenticate"), None);
}

#[tokio::test]
async fn a_key_over_its_quota_gets_429() {
    let clock = clock();
    let trust = registry(vec![entry(&key(1), json!({}))]);
    let layer = VerifyLayer::new(verifier(&clock, trust, Arc::new(store().bounded(16)))).unwrap();
    let seen = Seen::default();
    for _ in 0..2 {
        assert_eq!(through(&layer, &seen, signed(&clock, CALL).await).await.status(), 202);
    }
    let answer = refused(&layer, signed(&clock, CALL).await).await;
    assert_eq!((answer.status, answer.reason()), (429, "nonce_quota"));
    assert_eq!(answer.json["id"], json!(1));
}

#[tokio::test]
async fn the_application_may_replace_the_refusal_response() {
    let layer = strict(&clock()).with_answers(|refused, response| {
        assert_eq!(refused.public_code(), "signature_missing");
        assert_eq!(response.status(), 403);
        let text = format!("no: {}", refused.client_message());
        Response::builder().status(418).body(Bytes::from(text)).unwrap()
    });
    let answer = refused(&layer, plain(CALL)).await;
    assert_eq!(answer.status, 418);
    assert_eq!(
        answer.text,
        "no: this server wants requests to be signed: mcpid connect URL signs for any MCP client"
    );
    // The answer's extensions still contain the reason.
    assert_eq!(answer.refused.as_ref().unwrap().code(), "signature_missing");
    assert_eq!(answer.header("cache-control"), None);
}

#[tokio::test]
async fn counters_state_the_outcomes_of_requests() {
    let clock = clock();
    let counters = Arc::new(Counters::new());
    let layer = strict(&clock).with_observer(Arc::clone(&counters));
    for _ in 0..3 {
        assert_eq!(refused(&layer, plain(CALL)).await.json["jsonrpc"], json!("2.0"));
    }
    let same = signed(&clock, CALL).await;
    let seen = Seen::default();
    through(&layer, &seen, same.clone()).await;
    assert_eq!(refused(&layer, same).await.reason(), "nonce_replayed");
    assert_eq!(counters.refused_with(Code::SignatureMissing), 3);
    assert_eq!(counters.refused_with(Code::NonceReplayed), 1);
    assert_eq!(counters.verified(), 1);
    assert_eq!(counters.passed_despite(Code::SignatureMissing), 0);
    assert_eq!((counters.refused_otherwise(), counters.passed_unjudged()), (0, 0));
}

#[test]
fn a_verifier_that_servers_may_not_rely_on_makes_no_layer() {
    let clock = clock();
    let trust = || registry(vec![entry(&key(1), json!({}))]);
    let build = |profile: Profile, origins, replay| {
        VerifyLayer::new(Verifier::new(profile, trust(), origins, clock.clone(), replay))
            .map(|_| ())
    };
    let claim = || ReplayCheck::Claim(Arc::new(store()));
    assert_eq!(build(Profile::mcp(), origins(), claim()), Ok(()));
    assert_eq!(build(Profile::sep2752(), origins(), claim()), Ok(()));
    let unknown = mcpid::message::target::Origins::unknown();
    assert_eq!(build(Profile::mcp(), unknown, claim()), Err(LayerError::NoOrigin));
    for replay in [
        ReplayCheck::Unchecked,
        ReplayCheck::ClaimOnce(Arc::new(store())),
        ReplayCheck::WithinRun(Arc::new(store())),
    ] {
        assert_eq!(build(Profile::mcp(), origins(), replay), Err(LayerError::NoStore));
    }
    let audits = build(Profile::rfc9421(), origins(), claim());
    assert_eq!(
        audits,
        Err(LayerError::Profile("rfc9421".to_owned(), "a request that it accepts can be replayed"))
    );
    let mut endless = Profile::mcp();
    endless.window.max_age = None;
    assert!(build(endless, origins(), claim()).is_err());
    let mut blind = Profile::mcp();
    blind.components.always.retain(|c| c != "content-digest");
    assert!(build(blind, origins(), claim()).is_err());
    // The layer's handle refuses such a verifier too, and keeps the old one.
    let layer = strict(&clock);
    let bad = Verifier::new(Profile::rfc9421(), trust(), origins(), clock.clone(), claim());
    assert!(layer.handle().replace(bad).is_err());
    assert_eq!(layer.handle().verifier().profile().name, "mcp");
}

#[tokio::test]
async fn a_replaced_verifier_judges_the_next_request() {
    let clock = clock();
    let layer = strict(&clock).with_modes(Modes::strict());
    let handle = layer.handle();
    let second = || async { sign_by(key(2), &clock, plain(CALL)).await };
    assert_eq!(refused(&layer, second().await).await.reason(), "key_unknown");
    let trust = registry(vec![entry(&key(2), json!({}))]);
    handle.replace(verifier(&clock, trust, Arc::new(store()))).unwrap();
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, second().await).await.status(), 202);
    assert_eq!(refused(&layer, signed(&clock, CALL).await).await.reason(), "key_unknown");
}

/// A `Refusal` must be usable in other threads and cheap to clone, because logs keep it.
#[test]
fn a_refusal_can_be_kept_after_its_request() {
    fn keep<T: Clone + Send + Sync + 'static>() {}
    keep::<Refusal>();
    keep::<mcpid::tower::Status>();
    keep::<VerifyLayer>();
}
