//! Properties that hold for all requests: behind a layer in strict mode, only signed requests reach
//! the service, and every answer is well formed.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use mcpid::mcp::pattern::Pattern;
use mcpid::tower::Modes;
use proptest::prelude::*;

use crate::servers::*;

/// A change to a request after it was signed.
type Change = fn(&mut Request<Full<Bytes>>);

#[tokio::test]
async fn no_request_that_was_changed_after_signing_passes() {
    let clock = clock();
    let layer = strict(&clock);
    let set = |request: &mut Request<Full<Bytes>>, name: &'static str, value: &'static str| {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    };
    let changes: &[Change] = &[
        |r| *r.method_mut() = Method::PUT,
        |r| *r.method_mut() = Method::from_bytes(b"post").unwrap(),
        |r| *r.uri_mut() = "/mcp?tenant=a%2fb&x".parse().unwrap(),
        |r| *r.uri_mut() = "/mcp/?tenant=a%2fb".parse().unwrap(),
        |r| *r.body_mut() = Full::from(CALL.replace("get_weather", "get_weathers")),
        |r| *r.body_mut() = Full::from(format!("{CALL} ")),
        |r| *r.body_mut() = Full::default(),
        |r| drop(r.headers_mut().remove("signature")),
        |r| drop(r.headers_mut().remove("signature-input")),
        |r| drop(r.headers_mut().remove("content-digest")),
        |r| drop(r.headers_mut().remove("content-type")),
        |r| drop(r.headers_mut().remove("host")),
        |r| {
            let digest = mcpid::message::digest::content_digest(b"{}");
            r.headers_mut().insert("content-digest", digest.parse().unwrap());
            *r.body_mut() = Full::from("{}");
        },
        |r| {
            let input =
                r.headers()["signature-input"].to_str().unwrap().replace("expires=", "expires=1");
            r.headers_mut().insert("signature-input", input.parse().unwrap());
        },
        |r| {
            let input =
                r.headers()["signature-input"].to_str().unwrap().replace("nonce=\"", "nonce=\"A");
            r.headers_mut().insert("signature-input", input.parse().unwrap());
        },
        |r| {
            let input =
                r.headers()["signature-input"].to_str().unwrap().replace(r#" "content-type""#, "");
            r.headers_mut().insert("signature-input", input.parse().unwrap());
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut request = signed(&clock, CALL).await;
        change(&mut request);
        let answer = refused(&layer, request).await;
        assert!((400..500).contains(&answer.status), "{number}: {}", answer.status);
    }
    // These fields influence a server, or must not be repeated, and were added after signing.
    for (name, value) in [
        ("content-encoding", "identity"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-session-id", "s"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "get_weather"),
        ("mcp-param-city", "Oslo"),
        ("last-event-id", "1"),
        ("content-type", "application/json"),
        ("host", "mcp.example.com"),
        ("content-digest", "sha-512=:AAAA:"),
        ("signature", "mcp=:AAAA:"),
        ("signature-input", r#"mcp=("@method");created=1"#),
    ] {
        let mut request = signed(&clock, CALL).await;
        set(&mut request, name, value);
        let answer = refused(&layer, request).await;
        assert!((400..500).contains(&answer.status), "{name}: {}", answer.status);
    }
    // A field without a meaning in the profile does no harm.
    let mut request = signed(&clock, CALL).await;
    set(&mut request, "x-request-id", "7");
    set(&mut request, "authorization", "Bearer x");
    assert_eq!(through(&layer, &Seen::default(), request).await.status(), 202);
}

fn any_request() -> impl Strategy<Value = Request<Full<Bytes>>> {
    let name = prop_oneof![
        Just("signature".to_owned()),
        Just("signature-input".to_owned()),
        Just("content-digest".to_owned()),
        Just("content-type".to_owned()),
        Just("content-encoding".to_owned()),
        Just("mcp-method".to_owned()),
        Just("mcp-name".to_owned()),
        Just("host".to_owned()),
        Just("expect".to_owned()),
        "[a-z_-]{1,12}",
    ];
    let value = prop_oneof![
        Just("application/json".to_owned()),
        Just("mcp.example.com".to_owned()),
        Just("100-continue".to_owned()),
        Just("mcp=:AAAA:".to_owned()),
        Just(r#"mcp=("@method" "@target-uri" "content-digest");created=1;nonce="a""#.to_owned()),
        "[ -~]{0,40}",
    ];
    let method = prop_oneof![
        Just("POST".to_owned()),
        Just("GET".to_owned()),
        Just("DELETE".to_owned()),
        "[A-Z]{1,8}",
    ];
    let body = prop_oneof![
        Just(CALL.as_bytes().to_vec()),
        "\\{\"jsonrpc\":\"2.0\",\"id\":.{0,8},\"method\":\".{0,12}\"\\}"
            .prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..200),
    ];
    let fields = proptest::collection::vec((name, value), 0..8);
    (method, "/[!-~]{0,20}", fields, any::<bool>(), body).prop_map(
        |(method, path, fields, ours, body)| {
            let mut request = Request::new(Full::new(Bytes::from(body)));
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            *request.uri_mut() = path.parse().unwrap_or_default();
            if ours {
                request.headers_mut().insert("host", HeaderValue::from_static("mcp.example.com"));
            }
            for (name, value) in fields {
                let name = HeaderName::try_from(name).unwrap();
                request.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
            }
            request
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_unsigned_request_reaches_a_strict_service(request in any_request()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = clock();
            let answer = refused(&strict(&clock), request.clone()).await;
            assert!(matches!(answer.status, 403 | 417 | 421 | 431), "{}", answer.status);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.json["jsonrpc"], "2.0", "{}", answer.text);
            assert_eq!(answer.json["error"]["code"], -31401);
            assert!(!answer.reason().is_empty());
            if let Some(value) = answer.header("accept-signature") {
                assert!(mcpid::base::accept::read(value.as_bytes()).unwrap()[0].params.is_ok());
            }
            // Patterns let more requests pass than strict mode does, but these are never reported
            // as verified.
            let modes = Modes::strict().with_permissive(Pattern::parse("*").unwrap());
            let seen = Seen::default();
            let response = through(&strict(&clock).with_modes(modes), &seen, request.clone()).await;
            let passed = response.status() == 202;
            assert_eq!(passed, seen.calls() == 1);
            if passed {
                assert!(seen.status().verified().is_none());
                // A body that matched a pattern can be parsed in only one way.
                let message = serde_json::from_slice::<serde_json::Value>(&seen.body());
                assert!(seen.body().is_empty() || message.unwrap().is_object());
            }
        });
    }
}
