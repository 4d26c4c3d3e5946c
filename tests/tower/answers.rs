//! Tests of how the layer handles the service's answers: it binds their sessions to keys, and
//! learns tools from their lists.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use mcpid::tower::{
    BoxError, LearningModes, Modes, RequestBody, SessionBindings, SessionEvent, VerifyLayer,
};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

use crate::servers::*;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"a-1","method":"initialize","params":{}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
const TOOLS: &str = r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"get_weather","annotations":{"readOnlyHint":true}}]}}"#;

/// Sends `request` to a service that answers with the header `fields` and the frames of `body`.
/// Returns the answer, and the `Accept-Encoding` that reached the service, if the layer passed the
/// request on.
async fn answered(
    layer: &VerifyLayer,
    request: Request<Full<Bytes>>,
    fields: &[(&'static str, &'static str)],
    body: Frames,
) -> (Response<Bytes>, Option<String>) {
    let (sent, received) = std::sync::mpsc::channel();
    let (fields, body) = (fields.to_vec(), std::sync::Mutex::new(Some(body)));
    let body = Arc::new(body);
    let service = tower::service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let coding = request.headers().get("accept-encoding").cloned();
        let _ = sent.send(coding.map(|coding| coding.to_str().unwrap().to_owned()));
        let mut builder = Response::builder();
        for (name, value) in &fields {
            builder = builder.header(*name, *value);
        }
        let response = builder.body(body.lock().unwrap().take().unwrap()).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().unwrap());
    }
    (Response::from_parts(parts, bytes.into()), received.try_recv().ok().flatten())
}

fn with_sessions(clock: &Arc<HandClock>, most: usize) -> VerifyLayer {
    let trust = registry(vec![entry(&key(1), json!({})), entry(&key(2), json!({}))]);
    let bindings = SessionBindings::new(most, Duration::from_secs(3600));
    VerifyLayer::new(verifier(clock, trust, Arc::new(store())))
        .unwrap()
        .with_sessions(Arc::new(bindings))
}

fn reason(response: &Response<Bytes>) -> (u16, Value, Value) {
    let json: Value = serde_json::from_slice(response.body()).unwrap();
    (response.status().as_u16(), json["error"]["data"]["reason"].clone(), json["id"].clone())
}

#[tokio::test]
async fn a_service_that_names_two_sessions_is_not_believed() {
    let clock = clock();
    let layer = with_sessions(&clock, 10);
    let two = [("mcp-session-id", "one"), ("mcp-session-id", "two")];
    let request = signed(&clock, INITIALIZE).await;
    let (response, _) = answered(&layer, request, &two, Frames::of(b"{}", 2)).await;
    assert_eq!(reason(&response), (502, json!("upstream_broken"), json!("a-1")));
    assert_eq!(response.extensions().get(), Some(&SessionEvent::Repeated));
    assert_eq!(response.headers().get("mcp-session-id"), None);
}

#[tokio::test]
async fn a_session_is_bound_to_the_key_that_opened_it() {
    let clock = clock();
    let layer = with_sessions(&clock, 1);
    let one = [("mcp-session-id", "one")];
    let request = signed(&clock, INITIALIZE).await;
    let (response, _) = answered(&layer, request, &one, Frames::of(b"{}", 2)).await;
    assert_eq!(
        (response.status(), response.extensions().get::<SessionEvent>()),
        (StatusCode::OK, None)
    );
    // The service answers another key with the same session id.
    let request = sign_by(key(2), &clock, plain(INITIALIZE)).await;
    let (response, _) = answered(&layer, request, &one, Frames::of(b"secret", 2)).await;
    assert_eq!(reason(&response), (403, json!("not_allowed"), json!("a-1")));
    assert_eq!(response.extensions().get(), Some(&SessionEvent::Taken));
    // The table of sessions is full, and the session in it has not ended.
    let request = signed(&clock, INITIALIZE).await;
    let two = [("mcp-session-id", "two")];
    let (response, _) = answered(&layer, request, &two, Frames::of(b"secret", 2)).await;
    assert_eq!(reason(&response), (503, json!("unavailable"), json!("a-1")));
    assert_eq!(response.extensions().get(), Some(&SessionEvent::Full));
    // Another key may not use the session, so its request does not reach the service.
    let mut request = plain(CALL);
    request.headers_mut().insert("mcp-session-id", "one".parse().unwrap());
    let request = sign_by(key(2), &clock, request).await;
    assert_eq!(refused(&layer, request).await.reason(), "not_allowed");
    // A request without a session needs no room in the table.
    let request = sign_by(key(2), &clock, plain(CALL)).await;
    let (response, _) = answered(&layer, request, &[], Frames::of(b"{}", 2)).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_a_whole_and_readable_list_of_tools_is_learned() {
    let json = ("content-type", "application/json; charset=utf-8");
    let events = format!("event: message\ndata: {TOOLS}\n\n");
    let whole = || Frames::of(TOOLS.as_bytes(), 7);
    let broken = || whole().and(Err(BoxError::from("broken")));
    type Case<'a> = (&'a str, Vec<(&'static str, &'static str)>, Frames, bool);
    let cases: Vec<Case<'_>> = vec![
        ("in frames", vec![json], whole(), true),
        ("in one frame", vec![json], Frames::of(TOOLS.as_bytes(), 1000), true),
        (
            "events",
            vec![("content-type", "text/event-stream")],
            Frames::of(events.as_bytes(), 9),
            true,
        ),
        ("broken off", vec![json], broken(), false),
        ("cut", vec![json], Frames::of(&TOOLS.as_bytes()[..TOOLS.len() - 1], 9), false),
        ("compressed", vec![json, ("content-encoding", "gzip")], whole(), false),
        ("no media type", vec![], whole(), false),
        (
            "another media type",
            vec![("content-type", "text/plain;application/json")],
            whole(),
            false,
        ),
        ("two media types", vec![("content-type", "application/json, text/html")], whole(), false),
    ];
    for (what, fields, body, learned) in cases {
        let clock = clock();
        let modes = LearningModes::new(Modes::permissive()).with_destructive();
        let layer = strict(&clock).with_learning_modes(modes);
        let mut request = plain(LIST);
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let (response, coding) = answered(&layer, request, &fields, body).await;
        assert_eq!(
            (response.status(), coding.as_deref()),
            (StatusCode::OK, Some("identity")),
            "{what}"
        );
        let (response, _) = answered(&layer, plain(CALL), &[], Frames::of(b"{}", 2)).await;
        let passed = if learned { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(response.status(), passed, "{what}");
    }
}
