//! Tests that a session belongs to the key that opened it.

use std::time::Duration;

use http::Response;
use mcpid::tower::LearningModes;
use mcpid::tower::Modes;

use crate::servers::{CALL, INITIALIZE, LIST, TestGateway, TestUpstream, Wire, body};

/// Starts an upstream that opens a session for every `initialize`, and numbers them.
async fn with_sessions() -> TestUpstream {
    let opened = std::sync::atomic::AtomicUsize::new(0);
    TestUpstream::with(move |got| {
        let mut builder = Response::builder().header("content-type", "application/json");
        if got.body == INITIALIZE {
            let number = opened.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            builder = builder.header("mcp-session-id", format!("session-{number}"));
        }
        let gone = got.header("mcp-session-id") == Some("gone");
        builder.status(if gone { 404 } else { 200 }).body(body("{}")).unwrap()
    })
    .await
}

fn in_session(gateway: &TestGateway, key: u8, session: &str, body: &str) -> Wire {
    gateway.plain(body).with("Mcp-Session-Id", session).sign(key, &gateway.url("/mcp"))
}

#[tokio::test]
async fn a_request_of_another_key_in_a_session_is_refused() {
    let behind = with_sessions().await;
    let gateway = TestGateway::before(&behind).await;
    let opened = gateway.send(&gateway.signed(1, INITIALIZE)).await;
    assert_eq!(opened.header("mcp-session-id"), Some("session-0"));
    assert_eq!(gateway.send(&in_session(&gateway, 1, "session-0", CALL)).await.status, 200);
    let reached = behind.got().len();
    let host = gateway.address.to_string();
    let bare = |method: &str| {
        Wire::get(&host, "/mcp")
            .line(&format!("{method} /mcp HTTP/1.1"))
            .with("Mcp-Session-Id", "session-0")
            .sign(2, &gateway.url("/mcp"))
    };
    for wire in [in_session(&gateway, 2, "session-0", CALL), bare("GET"), bare("DELETE")] {
        let reply = gateway.send(&wire).await;
        assert_eq!((reply.status, reply.reason().as_str()), (403, "not_allowed"), "{reply:?}");
        // The answer does not ask for a signature, because another signature would not help.
        assert_eq!(reply.header("accept-signature"), None);
    }
    // An unsigned request, and a request that was signed for another session, are refused.
    let unsigned = gateway.plain(CALL).with("Mcp-Session-Id", "session-0");
    assert_eq!(gateway.send(&unsigned).await.reason(), "signature_missing");
    let mut moved = in_session(&gateway, 2, "session-1", CALL);
    moved.fields[2].1 = "session-0".to_owned();
    assert_eq!(gateway.send(&moved).await.reason(), "key_unknown");
    assert_eq!(behind.got().len(), reached, "none of them reached the upstream");

    // A key may use its own session. The refused request did not use up its nonce.
    let own = gateway.send(&gateway.signed(2, INITIALIZE)).await;
    assert_eq!(own.header("mcp-session-id"), Some("session-1"));
    assert_eq!(gateway.send(&in_session(&gateway, 2, "session-1", CALL)).await.status, 200);
    let numbers = gateway.metrics.text(mcpid::clock::Timestamp::default());
    assert!(numbers.contains("\nmcpid_sessions 2\n"), "{numbers}");
}

#[tokio::test]
async fn a_session_that_was_opened_before_is_bound_to_its_first_user() {
    let behind = with_sessions().await;
    let gateway = TestGateway::before(&behind).await;
    assert_eq!(gateway.send(&in_session(&gateway, 1, "old", CALL)).await.status, 200);
    assert_eq!(gateway.send(&in_session(&gateway, 2, "old", CALL)).await.status, 403);
    let lines = gateway.lines(2).await;
    let note = lines[0].note.as_ref().unwrap().as_str();
    assert_eq!(note, "a session that was opened before is bound to the first key that uses it");
    // If the upstream does not know a session, the gateway does not record which key uses it.
    assert_eq!(gateway.send(&in_session(&gateway, 1, "gone", CALL)).await.status, 404);
    assert_eq!(gateway.send(&in_session(&gateway, 2, "gone", CALL)).await.status, 404);
}

#[tokio::test]
async fn a_session_that_has_ended_is_bound_to_no_key() {
    let behind = with_sessions().await;
    let gateway = TestGateway::before(&behind).await;
    let _ = gateway.send(&gateway.signed(1, INITIALIZE)).await;
    let end = Wire::get(&gateway.address.to_string(), "/mcp")
        .line("DELETE /mcp HTTP/1.1")
        .with("Mcp-Session-Id", "session-0")
        .sign(1, &gateway.url("/mcp"));
    assert_eq!(gateway.send(&end).await.status, 200);
    assert_eq!(gateway.send(&in_session(&gateway, 2, "session-0", CALL)).await.status, 200);
}

#[tokio::test]
async fn a_full_session_table_binds_no_more_and_drops_no_live_session() {
    let behind = with_sessions().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.sessions = 2;
        config
    })
    .await;
    for key in [1, 2] {
        assert_eq!(gateway.send(&gateway.signed(key, INITIALIZE)).await.status, 200);
    }
    let third = gateway.send(&gateway.signed(2, INITIALIZE)).await;
    assert_eq!(third.status, 503, "{third:?}");
    assert_eq!(third.header("mcp-session-id"), None);
    assert_eq!(gateway.send(&in_session(&gateway, 2, "old", CALL)).await.status, 403);
    assert_eq!(gateway.send(&in_session(&gateway, 2, "session-1", CALL)).await.status, 200);
    assert_eq!(gateway.send(&in_session(&gateway, 2, "session-0", CALL)).await.status, 403);
    // If the upstream opens no session, the gateway stores nothing, so its table of sessions cannot
    // be full.
    assert_eq!(gateway.send(&gateway.signed(2, CALL)).await.status, 200);
}

#[tokio::test]
async fn an_unused_session_makes_room_for_a_new_session() {
    let behind = with_sessions().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.sessions = 1;
        config.session_idle = Duration::from_secs(5);
        config
    })
    .await;
    assert_eq!(gateway.send(&gateway.signed(1, INITIALIZE)).await.status, 200);
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    assert_eq!(gateway.send(&gateway.signed(2, INITIALIZE)).await.status, 200);
    assert_eq!(gateway.send(&in_session(&gateway, 1, "session-1", LIST)).await.status, 403);
}

/// In permissive mode, a request in the session of another key is passed on and reported as
/// invalid. The upstream does not get the signer's name.
#[tokio::test]
async fn permissive_mode_labels_a_request_in_the_session_of_another_key() {
    let behind = with_sessions().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.modes = LearningModes::new(Modes::permissive());
        config
    })
    .await;
    let _ = gateway.send(&gateway.signed(1, INITIALIZE)).await;
    assert_eq!(gateway.send(&in_session(&gateway, 2, "session-0", CALL)).await.status, 200);
    let got = behind.got().pop().unwrap();
    assert_eq!(got.header("mcpid-status"), Some("invalid"));
    assert_eq!(got.header("mcpid-reason"), Some("not_allowed"));
    assert_eq!(got.header("mcpid-name"), None);
}
