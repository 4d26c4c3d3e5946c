//! Tests of an HTTP server that is neither a tower service nor the gateway: it reads bytes and
//! calls `VerifyLayer` itself. For each case its answer must equal the gateway's.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::message::{Head, RequestTarget};
use mcpid::net::ServerLimits;
use mcpid::nonce::memory::Memory;
use mcpid::tower::{
    AnswerDecision, Budget, Decision, LearningModes, Modes, Paths, REFUSED, RefuseWith, Route,
    SessionBindings, VerifyLayer, error_response,
};
use mcpid::verify::ReplayCheck;
use rand::rngs::SysRng;
use serde_json::Value;

use crate::servers::{
    CALL, INITIALIZE, LIST, ReceivedRequest, Reply, TestGateway, TestUpstream, Wire, body, rules,
};

/// The application that both servers have behind them. It opens sessions and lists tools.
fn application(request: &[u8]) -> (StatusCode, HeaderMap, &'static str) {
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let text = match request["method"].as_str() {
        Some("initialize") => {
            headers.insert("mcp-session-id", HeaderValue::from_static("one"));
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#
        }
        Some("tools/list") => {
            r#"{"jsonrpc":"2.0","id":8,"result":{"tools":[{"name":"list_users","annotations":{"readOnlyHint":true}}]}}"#
        }
        _ => r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
    };
    (StatusCode::OK, headers, text)
}

/// An HTTP server that the test wrote itself: it takes a request as bytes and uses only the public
/// `VerifyLayer`.
struct BytesFront {
    layer: VerifyLayer,
    paths: Paths,
}

impl BytesFront {
    async fn answer(&self, request: &[u8]) -> Response<Bytes> {
        let end = request.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
        let text = std::str::from_utf8(&request[..end]).unwrap();
        let mut lines = text.split("\r\n");
        let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
        let target = rest.strip_suffix(" HTTP/1.1").unwrap();
        let Ok(target) = RequestTarget::from_bytes(target.as_bytes()) else {
            let message = "the target of the request cannot be read, or has a fragment";
            return error_response(StatusCode::BAD_REQUEST, REFUSED, message, "target", None);
        };
        if self.paths.route(method, target.path()) == Route::NotFound {
            let message = "there is nothing at this path";
            return error_response(StatusCode::NOT_FOUND, REFUSED, message, "not_found", None);
        }
        let mut head = Head::new(method, target).unwrap();
        for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
            head.push(name, value.as_bytes()).unwrap();
        }
        let body = Full::new(Bytes::copy_from_slice(&request[end + 4..]));
        let passed = match self.layer.judge(&head, &Extensions::new(), body).await {
            Decision::Refuse(response) => return response,
            Decision::Pass(passed) => passed,
        };
        let body = passed.body.collect().await.unwrap().to_bytes();
        let (status, headers, text) = application(&body);
        match passed.answer.check(status, &headers) {
            AnswerDecision::Refuse { response, .. } => response,
            AnswerDecision::Pass { listener, .. } => {
                if let Some(mut listener) = listener {
                    listener.push_bytes(text.as_bytes());
                    listener.finish();
                }
                let mut response = Response::new(Bytes::from(text));
                (*response.status_mut(), *response.headers_mut()) = (status, headers);
                response
            }
        }
    }
}

/// A gateway and a [`BytesFront`] with the same settings and the same origin. Each has its own
/// nonce store, so both can get the same request.
struct Pair {
    gateway: TestGateway,
    front: BytesFront,
}

#[derive(Clone)]
struct Settings {
    modes: fn() -> LearningModes,
    refuse_with: RefuseWith,
    budget: usize,
}

impl Pair {
    async fn with(settings: Settings) -> Self {
        let script = |got: &ReceivedRequest| {
            let (status, headers, text) = application(&got.body);
            let mut response = Response::new(body(text));
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            response
        };
        let behind = TestUpstream::with(script).await;
        let gateway = TestGateway::with(&behind, ServerLimits::default(), |mut config| {
            config.modes = (settings.modes)();
            config.refuse_with = settings.refuse_with.clone();
            config.budget = settings.budget;
            config
        })
        .await;
        let names = [("alice", 1), ("Zoë", 2)];
        let retention = rules(gateway.address, &names, ReplayCheck::Unchecked).retention();
        let store = Memory::new(SystemClock.now(), retention, &mut SysRng).unwrap().without_floor();
        let verifier = rules(gateway.address, &names, ReplayCheck::Claim(Arc::new(store)));
        let idle = std::time::Duration::from_secs(3600);
        let layer = VerifyLayer::new(verifier)
            .unwrap()
            .with_learning_modes((settings.modes)())
            .with_refusals(settings.refuse_with)
            .unwrap()
            .with_budget(Arc::new(Budget::new(settings.budget)))
            .with_sessions(Arc::new(SessionBindings::new(100, idle)));
        Pair { gateway, front: BytesFront { layer, paths: Paths::at("/mcp").unwrap() } }
    }

    /// Sends the same bytes to both servers, checks that the answers are equal, and returns the
    /// answer.
    async fn both(&self, what: &str, wire: &Wire) -> (u16, String) {
        let bytes = wire.bytes();
        let (theirs, ours) = (self.gateway.raw(&bytes).await, self.front.answer(&bytes).await);
        assert_eq!(theirs.status, ours.status().as_u16(), "{what}");
        let text = String::from_utf8_lossy(&theirs.body);
        assert_eq!(text, String::from_utf8_lossy(ours.body()), "{what}");
        let fields = [
            "content-type",
            "cache-control",
            "retry-after",
            "accept-signature",
            "accept-encoding",
            "www-authenticate",
            "mcp-session-id",
        ];
        for name in fields {
            let field = ours.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(theirs.header(name), field, "{what}: {name}");
        }
        let reason = Reply { status: 0, head: String::new(), body: ours.body().to_vec() };
        (theirs.status, reason.reason())
    }
}

fn call(name: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
}

fn strict() -> Settings {
    let (modes, budget) = (LearningModes::strict as fn() -> _, Budget::DEFAULT);
    Settings { modes, refuse_with: RefuseWith::Forbidden, budget }
}

#[tokio::test]
async fn a_front_over_plain_bytes_refuses_like_the_gateway() {
    let pair = Pair::with(strict()).await;
    let (gateway, now) = (&pair.gateway, SystemClock.now());
    let url = gateway.url("/mcp");
    let signed = |body: &str| gateway.signed(1, body);
    let at = |seconds: i64| gateway.plain(CALL).sign_at(now.plus(seconds), 1, &url);
    let changed = |wire: Wire, body: &str| Wire { body: body.into(), ..wire };
    let good = signed(CALL);
    let cases: Vec<(&str, Wire, u16, &str)> = vec![
        ("signed", good.clone(), 200, ""),
        ("replayed", good, 403, "nonce_replayed"),
        ("unsigned", gateway.plain(CALL), 403, "signature_missing"),
        ("a stranger", gateway.signed(9, CALL), 403, "key_unknown"),
        ("another body", changed(signed(CALL), LIST), 403, "digest_mismatch"),
        ("old", at(-1000), 403, "expired"),
        ("early", at(1000), 403, "not_yet_valid"),
        ("another host", Wire::post("other.example", "/mcp", CALL), 421, "target_mismatch"),
        ("another path", Wire::post(&gateway.address.to_string(), "/x", CALL), 404, "not_found"),
        ("a fragment", gateway.plain(CALL).line("POST /mcp#x HTTP/1.1"), 400, "target"),
        ("no JSON", signed("{"), 403, "body_ambiguous"),
        ("two methods", signed(r#"{"method":"a","method":"b"}"#), 403, "body_ambiguous"),
        (
            "compressed",
            gateway.plain(CALL).with("Content-Encoding", "gzip").sign(1, &url),
            415,
            "body_ambiguous",
        ),
        ("an expectation", gateway.plain(CALL).with("Expect", "tea"), 417, "expectation_failed"),
        (
            "a header that lies",
            gateway.plain(CALL).with("Mcp-Method", "tools/list").sign(1, &url),
            400,
            "header_body_mismatch",
        ),
        ("a long head", gateway.plain(CALL).with("X-Wide", &"x".repeat(66_000)), 431, "too_large"),
        ("a long body", signed(&" ".repeat((4 << 20) + 1)), 413, "too_large"),
    ];
    for (what, wire, status, reason) in cases {
        assert_eq!(pair.both(what, &wire).await, (status, reason.to_owned()), "{what}");
    }
}

#[tokio::test]
async fn a_front_over_plain_bytes_binds_sessions_like_the_gateway() {
    let pair = Pair::with(strict()).await;
    let gateway = &pair.gateway;
    let url = gateway.url("/mcp");
    let in_session = |number| gateway.plain(CALL).with("Mcp-Session-Id", "one").sign(number, &url);
    let cases = [
        ("opened", gateway.signed(1, INITIALIZE), 200, ""),
        ("used", in_session(1), 200, ""),
        ("another key's", in_session(2), 403, "not_allowed"),
        // The application answers another key with a session id that is in use.
        ("opened again", gateway.signed(2, INITIALIZE), 403, "not_allowed"),
        ("still used", in_session(1), 200, ""),
    ];
    for (what, wire, status, reason) in cases {
        assert_eq!(pair.both(what, &wire).await, (status, reason.to_owned()), "{what}");
    }
}

#[tokio::test]
async fn a_front_over_plain_bytes_learns_tools_like_the_gateway() {
    let modes = || LearningModes::new(Modes::permissive()).with_destructive();
    let realm = "mcp".to_owned();
    let refuse_with = RefuseWith::Unauthorized { realm };
    let pair = Pair::with(Settings { modes, refuse_with, budget: 16 * 1024 }).await;
    let gateway = &pair.gateway;
    let cases = [
        ("not listed yet", gateway.plain(&call("list_users")), 401, "signature_missing"),
        ("the list", gateway.plain(LIST), 200, ""),
        ("listed as harmless", gateway.plain(&call("list_users")), 200, ""),
        ("not listed", gateway.plain(&call("delete_db")), 401, "signature_missing"),
        ("over the budget", gateway.plain(&call(&"x".repeat(14_000))), 503, "unavailable"),
        ("signed", gateway.signed(1, &call("delete_db")), 200, ""),
    ];
    for (what, wire, status, reason) in cases {
        assert_eq!(pair.both(what, &wire).await, (status, reason.to_owned()), "{what}");
    }
}
