//! Tests of the header fields that the gateway sets for the upstream, and that no client can forge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::key::Sign as _;
use mcpid::tower::LearningModes;
use mcpid::tower::Modes;

use crate::servers::{CALL, TestGateway, TestUpstream, body, key};

/// Names of fields that only the gateway may set, or that make a server see another request than
/// the verified one.
const FORGED: [(&str, &str); 20] = [
    ("Mcpid-Status", "verified"),
    ("MCPID-KEY-ID", "x"),
    ("Mcpid-Name", "root"),
    ("Mcpid-Anything", "x"),
    ("Mcpid_Status", "verified"),
    ("X_Forwarded_For", "10.0.0.1"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Prefix", "/admin"),
    ("Forwarded", "for=10.0.0.1"),
    ("X-HTTP-Method", "DELETE"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Method-Override", "DELETE"),
    ("X-Original-URL", "/admin"),
    ("X-Rewrite-URL", "/admin"),
    ("Proxy-Authorization", "Basic x"),
    ("Proxy-Connection", "keep-alive"),
    ("Keep-Alive", "timeout=5"),
    ("TE", "trailers"),
];

#[tokio::test]
async fn the_upstream_learns_the_verified_key_and_clients_cannot_forge_the_field() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let mut wire = gateway.signed(1, CALL).with("Authorization", "Bearer t").with("X-Own", "kept");
    for (name, value) in FORGED {
        wire = wire.with(name, value);
    }
    let reply = gateway.send(&wire).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let got = behind.got().remove(0);
    let id = key(1).public().id().to_string();
    for (name, value) in [
        ("mcpid-status", "verified"),
        ("mcpid-key-id", id.as_str()),
        ("mcpid-name", "alice"),
        ("mcpid-tag", id.as_str()),
        ("host", behind.address.to_string().as_str()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", gateway.address.to_string().as_str()),
        ("x-forwarded-proto", "http"),
        ("authorization", "Bearer t"),
        ("x-own", "kept"),
    ] {
        let all: Vec<_> = got.headers.get_all(name).iter().collect();
        assert_eq!(all, [value], "{name}");
    }
    assert_eq!(got.header("mcpid-reason"), None);
    // The signature's fields are passed on, so that the upstream can verify the request again.
    for name in ["signature", "signature-input", "content-digest"] {
        assert!(got.header(name).is_some(), "{name}");
    }
    for name in got.headers.keys() {
        assert!(!name.as_str().contains('_'), "{name}");
    }
    for name in [
        "mcpid-anything",
        "forwarded",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-prefix",
        "proxy-authorization",
        "proxy-connection",
        "keep-alive",
        "te",
    ] {
        assert_eq!(got.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_no_field_can_hold_is_encoded() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    assert_eq!(gateway.send(&gateway.signed(2, CALL)).await.status, 200);
    let got = behind.got().remove(0);
    let encoded = format!("=?base64?{}?=", STANDARD.encode("Zoë"));
    assert_eq!(got.header("mcpid-name"), Some(encoded.as_str()));
}

/// In permissive mode the upstream is told why strict mode would refuse the request, and not the
/// key's name that the client claims.
#[tokio::test]
async fn the_upstream_gets_the_refusal_code_and_never_an_unverified_key() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.modes = LearningModes::new(Modes::permissive());
        config
    })
    .await;
    let mut changed = gateway.signed(1, CALL);
    changed.body = CALL.replace('7', "8").into_bytes();
    let twice = gateway.signed(1, CALL);
    assert_eq!(gateway.send(&twice).await.status, 200);
    for (wire, status, reason) in [
        (gateway.plain(CALL), "unsigned", "signature_missing"),
        (gateway.signed(9, CALL), "unknown_key", "key_unknown"),
        (changed, "invalid", "digest_mismatch"),
        (twice, "invalid", "nonce_replayed"),
    ] {
        let reply = gateway.send(&wire.with("Mcpid-Name", "alice")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let got = behind.got().pop().unwrap();
        assert_eq!(got.header("mcpid-status"), Some(status));
        assert_eq!(got.header("mcpid-reason"), Some(reason));
        for name in ["mcpid-key-id", "mcpid-name", "mcpid-tag"] {
            assert_eq!(got.header(name), None, "{name} for {status}");
        }
    }
}

#[tokio::test]
async fn the_host_and_origin_fields_can_be_kept() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.preserve_host = true;
        config
    })
    .await;
    let own = gateway.url("");
    assert_eq!(gateway.send(&gateway.signed(1, CALL).with("Origin", &own)).await.status, 200);
    let got = behind.got().remove(0);
    assert_eq!(got.header("host"), Some(gateway.address.to_string().as_str()));
    assert_eq!(got.header("origin"), Some(own.as_str()));
}

/// The client gets the upstream's answer unchanged, except for fields about the connection to the
/// upstream.
#[tokio::test]
async fn answers_of_the_upstream_pass_unchanged() {
    let behind = TestUpstream::with(|_| {
        http::Response::builder()
            .status(401)
            .header("www-authenticate", "Bearer resource_metadata=\"https://x\"")
            .header("mcp-session-id", "s1")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("connection", "keep-alive, x-private")
            .header("x-private", "1")
            .header("keep-alive", "timeout=5")
            .header("content-encoding", "gzip")
            .body(body("\u{1f}not really gzip"))
            .unwrap()
    })
    .await;
    let gateway = TestGateway::before(&behind).await;
    let reply = gateway.send(&gateway.signed(1, CALL)).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer resource_metadata=\"https://x\""));
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.body, "\u{1f}not really gzip".as_bytes());
    assert_eq!(reply.head.matches("set-cookie").count(), 2);
    assert_eq!(reply.header("x-private"), None);
    assert_eq!(reply.header("keep-alive"), None);
}

/// A refusal consists of a status, a header field and a JSON-RPC error with the id of the request.
#[tokio::test]
async fn refusals_carry_the_id_and_say_how_to_sign() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let reply = gateway.send(&gateway.plain(CALL)).await;
    assert_eq!(reply.status, 403);
    let json = reply.json();
    assert_eq!(json["id"], 7);
    assert_eq!(json["error"]["code"], -31401);
    assert_eq!(reply.reason(), "signature_missing");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.header("accept-signature").unwrap().contains("\"content-digest\""));
    assert!(behind.got().is_empty());
    let lines = gateway.lines(1).await;
    assert_eq!(lines[0].answer, Some(403));
    assert_eq!(lines[0].mcp.as_ref().unwrap().method.as_str(), "tools/call");
}

/// No log line contains a credential or a part of a body.
#[tokio::test]
async fn the_log_holds_no_secrets() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.modes = LearningModes::new(Modes::permissive());
        config
    })
    .await;
    let text = CALL.replace("delete_db\"", "delete_db\",\"arguments\":{\"pw\":\"s3cr3t\"}");
    for target in ["/mcp?token=s3cr3t", "/elsewhere?token=s3cr3t", "/mcp#s3cr3t"] {
        let wire = gateway
            .plain(&text)
            .line(&format!("POST {target} HTTP/1.1"))
            .with("Authorization", "Bearer s3cr3t")
            .with("Cookie", "sid=s3cr3t")
            .with("Mcp-Session-Id", "s3cr3t");
        let _ = gateway.send(&wire).await;
    }
    for line in gateway.lines(3).await {
        assert!(!line.to_line().contains("s3cr3t"), "{}", line.to_line());
    }
}
