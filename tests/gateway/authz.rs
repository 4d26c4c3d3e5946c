//! Tests of `mcpid authz` (a service that a proxy asks whether to pass a request on) over plain
//! HTTP: the answers that a proxy gets. A real Envoy is tested in `tests/peers`.

use std::sync::Arc;

use mcpid::clock::{Clock, SystemClock};
use mcpid::gateway::log::{LogLine, LoggedOutcome};
use mcpid::gateway::{AuthzDialect, AuthzProtocol, Gateway, GatewayConfig, Metrics};
use mcpid::net::{ServerLimits, tls};
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::tower::{LayerError, LearningModes, Modes, RefuseWith};
use mcpid::verify::ReplayCheck;
use rand::rngs::SysRng;

use crate::servers::{CALL, LIST, Reply, TestGateway, TestUpstream, Wire, rules};

mod described;
mod program;

const FIELDS: [&str; 6] =
    ["mcpid-status", "mcpid-reason", "mcpid-key-id", "mcpid-name", "mcpid-tag", "mcpid-touch"];
const PARTIAL: &str = "X-Envoy-Auth-Partial-Body";

/// Starts an authorization service for Envoy, with its settings changed by `change`.
pub(crate) async fn envoy(change: impl FnOnce(&mut GatewayConfig)) -> TestGateway {
    speaking(AuthzProtocol::new(AuthzDialect::Envoy), change).await
}

pub(crate) async fn speaking(
    protocol: AuthzProtocol,
    change: impl FnOnce(&mut GatewayConfig),
) -> TestGateway {
    // An authorization service has no upstream, so this server gets no requests.
    let none = TestUpstream::new().await;
    TestGateway::with(&none, ServerLimits::default(), |_| {
        let mut config = GatewayConfig::authorizer(protocol);
        change(&mut config);
        config
    })
    .await
}

/// Returns the request by which Envoy asks about `wire`, with the whole body.
pub(crate) fn whole(wire: Wire) -> Wire {
    wire.with(PARTIAL, "false")
}

pub(crate) fn permissive() -> LearningModes {
    LearningModes::new(Modes::permissive())
}

/// Returns the header fields that tell the verdict to the proxy. Each must be present.
pub(crate) fn told(reply: &Reply) -> [&str; 6] {
    FIELDS.map(|name| reply.header(name).unwrap_or_else(|| panic!("no {name}: {reply:?}")))
}

/// Checks that the answer is a refusal that has no header field about the verdict.
pub(crate) fn refused(what: &str, reply: &Reply, status: u16, reason: &str) {
    assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{what}: {reply:?}");
    assert!(!reply.head.to_lowercase().contains("mcpid-"), "{what}: {reply:?}");
}

#[tokio::test]
async fn a_verified_request_is_answered_with_every_field() {
    let authz = envoy(|_| {}).await;
    let reply = authz.send(&whole(authz.signed(1, CALL))).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply:?}");
    let [status, reason, key, name, tag, touch] = told(&reply);
    assert_eq!((status, reason, name, touch), ("verified", "", "alice", ""));
    assert_eq!((key.len(), tag), (43, key));
    let removed = reply.header("x-envoy-auth-headers-to-remove");
    assert_eq!(removed, Some("mcpid-reason,mcpid-touch"));
    // A key's name that a header field cannot hold is encoded, as the gateway does it.
    let reply = authz.send(&whole(authz.signed(2, CALL))).await;
    assert_eq!(reply.header("mcpid-name"), Some("=?base64?Wm/Dqw==?="));
    let line = &authz.lines(2).await[0];
    assert_eq!((line.outcome, line.answer), (LoggedOutcome::Passed, Some(200)));
    assert_eq!(line.upstream, None);
    assert_eq!(line.mcp.as_ref().unwrap().method.as_str(), "tools/call");
}

#[tokio::test]
async fn an_unsigned_request_is_labelled_in_permissive_mode() {
    let authz = envoy(|config| config.modes = permissive()).await;
    let cases = [
        (whole(authz.plain(CALL)), "unsigned", "signature_missing"),
        (whole(authz.signed(9, CALL)), "unknown_key", "key_unknown"),
        (authz.signed(1, CALL), "unavailable", "body_unseen"),
        (
            whole(authz.signed(1, CALL).with("X-A", "1").with("Content-Digest", "x")),
            "invalid",
            "signature_invalid",
        ),
    ];
    for (wire, status, reason) in cases {
        let reply = authz.send(&wire).await;
        assert_eq!(reply.status, 200, "{reason}: {reply:?}");
        assert_eq!(told(&reply), [status, reason, "", "", "", ""]);
        let removed = reply.header("x-envoy-auth-headers-to-remove");
        assert_eq!(removed, Some("mcpid-key-id,mcpid-name,mcpid-tag,mcpid-touch"));
    }
}

#[tokio::test]
async fn an_open_path_gives_the_server_no_verified_fields() {
    let authz = envoy(|config| {
        config.paths = config.paths.clone().with_open("GET /healthz".parse().unwrap()).unwrap();
    })
    .await;
    let host = authz.address.to_string();
    for path in ["/healthz", "/.well-known/oauth-protected-resource/mcp"] {
        let reply = authz.send(&Wire::get(&host, path)).await;
        assert_eq!((reply.status, told(&reply)), (200, [""; 6]), "{path}");
        let removed = reply.header("x-envoy-auth-headers-to-remove").unwrap();
        assert_eq!(removed.split(',').collect::<Vec<_>>(), FIELDS);
    }
    for path in ["/", "/mcp/", "/MCP", "//mcp", "/%6dcp", "/mcp;x", "/healthz/x", "/mcpx"] {
        refused(path, &authz.send(&Wire::get(&host, path)).await, 404, "not_found");
    }
    let wire = Wire::get("evil.example", "/healthz");
    refused("another host", &authz.send(&wire).await, 421, "target_mismatch");
    refused(
        "another method",
        &authz.send(&Wire::post(&host, "/healthz", "{}")).await,
        404,
        "not_found",
    );
}

/// Returns the header fields of a refusal that reach the client.
fn shown(reply: &Reply) -> Vec<Option<String>> {
    let fields = [
        "content-type",
        "cache-control",
        "retry-after",
        "accept-signature",
        "accept-encoding",
        "www-authenticate",
        "allow",
    ];
    fields.iter().map(|name| reply.header(name).map(str::to_owned)).collect()
}

#[tokio::test]
async fn refusals_are_those_of_the_gateway() {
    let realm = || RefuseWith::Unauthorized { realm: "mcp".to_owned() };
    for with in [RefuseWith::Forbidden, realm()] {
        let behind = TestUpstream::new().await;
        let gateway = TestGateway::with(&behind, ServerLimits::default(), |mut config| {
            config.refuse_with = with.clone();
            config
        })
        .await;
        let authz = envoy(|config| config.refuse_with = with.clone()).await;
        type Make = fn(&TestGateway) -> Wire;
        let cases: Vec<(&str, Make)> = vec![
            ("unsigned", |to| to.plain(CALL)),
            ("a stranger", |to| to.signed(9, CALL)),
            ("another body", |to| Wire { body: LIST.into(), ..to.signed(1, CALL) }),
            ("another host", |_| Wire::post("other.example", "/mcp", CALL)),
            ("no host", |to| {
                let mut wire = to.plain(CALL);
                wire.fields.remove(0);
                wire
            }),
            ("two hosts", |to| to.plain(CALL).with("Host", "x")),
            ("another path", |to| Wire::post(&to.address.to_string(), "/x", CALL)),
            ("no JSON", |to| to.signed(1, "{")),
            ("two methods", |to| to.signed(1, r#"{"method":"a","method":"b"}"#)),
            ("compressed", |to| {
                to.plain(CALL).with("Content-Encoding", "gzip").sign(1, &to.url("/mcp"))
            }),
            ("an expectation", |to| to.plain(CALL).with("Expect", "tea")),
            ("a header that lies", |to| {
                to.plain(CALL).with("Mcp-Method", "tools/list").sign(1, &to.url("/mcp"))
            }),
            ("a changed query", |to| to.signed(1, CALL).line("POST /mcp?x HTTP/1.1")),
            ("another method", |to| to.signed(1, CALL).line("PUT /mcp HTTP/1.1")),
            ("an uncovered field", |to| to.signed(1, CALL).with("Mcp-Session-Id", "one")),
            ("a page", |to| to.plain(CALL).with("Origin", "https://evil.example")),
            ("TRACE", |to| to.plain(CALL).line("TRACE /mcp HTTP/1.1")),
            ("a connection option", |to| to.plain(CALL).with("Connection", "close, x-a")),
            ("a long head", |to| to.plain(CALL).with("X-Wide", &"x".repeat(66_000))),
            ("a long body", |to| to.signed(1, &" ".repeat((4 << 20) + 1))),
        ];
        for (what, make) in cases {
            let theirs = gateway.send(&whole(make(&gateway))).await;
            let ours = authz.send(&whole(make(&authz))).await;
            assert!(ours.status >= 400, "{what}: {ours:?}");
            assert_eq!((theirs.status, &theirs.body), (ours.status, &ours.body), "{what}");
            assert_eq!(shown(&theirs), shown(&ours), "{what}");
            assert!(!ours.head.contains("mcpid-"), "{what}: {ours:?}");
        }
        for seconds in [-1000, 1000] {
            let make = |to: &TestGateway| {
                whole(to.plain(CALL).sign_at(SystemClock.now().plus(seconds), 1, &to.url("/mcp")))
            };
            let (theirs, ours) =
                (gateway.send(&make(&gateway)).await, authz.send(&make(&authz)).await);
            assert_eq!((theirs.status, theirs.body), (ours.status, ours.body), "{seconds}");
        }
        let once = whole(authz.signed(1, CALL));
        assert_eq!(authz.send(&once).await.status, 200);
        let status = if with == RefuseWith::Forbidden { 403 } else { 401 };
        refused("a replay", &authz.send(&once).await, status, "nonce_replayed");
    }
}

#[tokio::test]
async fn fields_that_cannot_be_dropped_are_refused_in_every_mode() {
    let authz = envoy(|config| config.modes = permissive()).await;
    let cases = [
        ("Mcpid-Status", "verified", "mcpid_field"),
        ("mcpid-x", "", "mcpid_field"),
        ("MCPID_Status", "verified", "mcpid_field"),
        ("Mcpid_status", "verified", "mcpid_field"),
        ("X_Original", "1", "field_name"),
        ("Content_Type", "text/plain", "field_name"),
        ("X.Original", "1", "field_name"),
        ("X-HTTP-Method-Override", "DELETE", "override_field"),
        ("X-Http-Method", "DELETE", "override_field"),
        ("X-Method-Override", "DELETE", "override_field"),
        ("X-Original-URL", "/admin", "override_field"),
        ("X-Rewrite-URL", "/admin", "override_field"),
        ("Forwarded", "host=evil.example", "override_field"),
        ("X-Forwarded-Host", "evil.example", "override_field"),
        ("X-Forwarded-Prefix", "/admin", "override_field"),
        ("X-Forwarded-Uri", "/admin", "override_field"),
        ("X-Forwarded-Method", "GET", "override_field"),
        ("Mcp-Method", "tools/call,tools/list", "repeated_field"),
        ("Mcp-Name", "a, b", "repeated_field"),
        ("MCP-Protocol-Version", "2026-07-28,2025-11-25", "repeated_field"),
        ("Mcp-Session-Id", "a,b", "repeated_field"),
        ("Last-Event-Id", "1,2", "repeated_field"),
        ("Content-Encoding", "gzip,identity", "repeated_field"),
        ("Upgrade", "websocket", "upgrade"),
        ("Upgrade", "h2c", "upgrade"),
    ];
    for (name, value, reason) in cases {
        for wire in [whole(authz.plain(CALL)), whole(authz.signed(1, CALL))] {
            let reply = authz.send(&wire.with(name, value)).await;
            refused(name, &reply, 400, reason);
        }
    }
    let mut wire = whole(authz.plain(CALL));
    wire.fields[1].1 = "application/json,text/plain".to_owned();
    refused("content type", &authz.send(&wire).await, 400, "repeated_field");
    // Envoy itself adds the first of these fields, and the others only name the client's address.
    let fine = [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Client-Cert",
        "X-Real-Ip",
        "X-Request-Id",
        "X-Envoy-Internal",
        "Accept",
        "Cookie",
    ];
    let wire = fine.iter().fold(authz.signed(1, CALL), |wire, name| wire.with(name, "a, b"));
    let reply = authz.send(&whole(wire)).await;
    assert_eq!((reply.status, told(&reply)[0]), (200, "verified"), "{reply:?}");
}

#[test]
fn an_authorizer_never_refuses_with_200() {
    // A proxy lets the request pass if the service answers 200.
    for dialect in [AuthzDialect::Envoy, AuthzDialect::Traefik] {
        let mut config = GatewayConfig::authorizer(AuthzProtocol::new(dialect));
        config.refuse_with = RefuseWith::Ok;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Memory::new(clock.now(), Retention::new(30, 5), &mut SysRng).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let verifier = rules(address, &[("alice", 1)], ReplayCheck::Claim(Arc::new(store)));
        let (metrics, log) = (Arc::new(Metrics::new()), Arc::new(|_: &LogLine| {}));
        let tls = tls::client_without_roots().unwrap();
        let made = Gateway::new(config, verifier, tls, clock, metrics, log);
        assert_eq!(made.err(), Some(LayerError::RefusedWithOk));
    }
}

#[tokio::test]
async fn a_preflight_is_not_answered_for_the_proxy() {
    let authz = envoy(|config| {
        config.allow_origins = vec!["https://app.example".to_owned()];
        config.paths = config.paths.clone().with_open("GET /healthz".parse().unwrap()).unwrap();
    })
    .await;
    let host = authz.address.to_string();
    let preflight = Wire::get(&host, "/mcp")
        .line("OPTIONS /mcp HTTP/1.1")
        .with("Origin", "https://app.example")
        .with("Access-Control-Request-Method", "POST");
    refused("a preflight", &authz.send(&preflight).await, 403, "signature_missing");
    let page = |origin: &str| whole(authz.signed(1, CALL)).with("Origin", origin);
    let reply = authz.send(&page("https://app.example")).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("access-control-allow-origin").is_none(), "{reply:?}");
    refused("another page", &authz.send(&page("https://evil.example")).await, 403, "origin");
}
