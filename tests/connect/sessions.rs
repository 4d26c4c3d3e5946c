//! Tests of a bridge with the MCP revisions that have sessions, up to 2025-11-25.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::{Client, old_call};
use crate::server::{Piece, Reply, Seen, Server};

pub(crate) fn initialize() -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": { "elicitation": {} },
        "clientInfo": { "name": "test", "version": "1" },
    } })
}

pub(crate) fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

pub(crate) fn opened(seen: &Seen, session: &str) -> Reply {
    let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" } });
    Reply::json(seen.result(result)).with("mcp-session-id", session)
}

/// Returns the usual answer of a server with sessions. The tests replace it for some requests.
pub(crate) fn usual(seen: &Seen) -> Reply {
    match (&*seen.method, seen.rpc()) {
        ("GET", _) => Reply::status(405),
        ("DELETE", _) => Reply::status(200),
        (_, "initialize") => opened(seen, "session-1"),
        (_, "") => Reply::status(202),
        (_, method) if method.starts_with("notifications/") => Reply::status(202),
        _ => Reply::json(seen.text("ok")),
    }
}

pub(crate) async fn open(client: &mut Client) {
    let answer = client.ask(&initialize()).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
    client.send(&initialized()).await;
}

#[tokio::test]
async fn a_session_is_opened_named_in_everything_and_closed() {
    let server = Server::start(usual).await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    client.ask(&old_call(1, "t", json!({}))).await;
    server.until(|seen| seen.iter().any(|seen| seen.method == "GET")).await;
    let (left, ended) = client.end().await;
    assert!(left.is_empty());
    assert_eq!(ended, mcpid::connect::StdioEnd::InputClosed);
    let seen = server.seen();
    for seen in &seen {
        let first = seen.rpc() == "initialize";
        let expected = (!first).then_some("session-1");
        assert_eq!(seen.header("mcp-session-id"), expected, "{seen:?}");
        let version = (!first).then_some("2025-11-25");
        assert_eq!(seen.header("mcp-protocol-version"), version, "{seen:?}");
        assert_eq!(seen.header("mcp-method"), None);
    }
    let first = seen.iter().position(|seen| seen.rpc() == "notifications/initialized").unwrap();
    let then = seen.iter().position(|seen| seen.rpc() == "tools/call").unwrap();
    assert!(first < then, "the order of the client is kept");
    let get = seen.iter().find(|seen| seen.method == "GET").unwrap();
    assert_eq!(get.header("accept"), Some("text/event-stream"));
    assert_eq!(seen.last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn a_server_without_sessions_gets_neither_id_nor_delete() {
    let server = Server::start(|seen| match seen.rpc() {
        "initialize" => {
            Reply::sse().event(&seen.result(json!({ "protocolVersion": "2025-06-18" })))
        }
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    client.ask(&initialize()).await;
    client.send(&initialized()).await;
    client.ask(&old_call(1, "t", json!({}))).await;
    client.end().await;
    let seen = server.seen();
    assert!(
        seen.iter().all(|seen| seen.header("mcp-session-id").is_none() && seen.method != "DELETE")
    );
    assert_eq!(server.of("tools/call")[0].header("mcp-protocol-version"), Some("2025-06-18"));
}

#[tokio::test]
async fn a_request_of_the_server_is_answered_by_the_client() {
    let server = Server::start(|seen| match (&*seen.method, seen.rpc()) {
        ("GET", _) => Reply::sse()
            .event(&json!({ "jsonrpc": "2.0", "id": "q", "method": "roots/list" }))
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }))
            .piece(Piece::Hang),
        (_, "tools/call") => Reply::sse()
            .event(
                &json!({ "jsonrpc": "2.0", "id": 5, "method": "elicitation/create", "params": {} }),
            )
            .piece(Piece::Wait(Duration::from_millis(300)))
            .event(&seen.text("done")),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    assert_eq!(client.receive().await["method"], "roots/list");
    assert_eq!(client.receive().await["method"], "notifications/tools/list_changed");
    client.send(&json!({ "jsonrpc": "2.0", "id": "q", "result": { "roots": [] } })).await;
    client.send(&old_call(1, "t", json!({}))).await;
    assert_eq!(client.receive().await["method"], "elicitation/create");
    client.send(&json!({ "jsonrpc": "2.0", "id": 5, "result": { "action": "decline" } })).await;
    assert_eq!(client.receive().await["result"]["content"][0]["text"], "done");
    server
        .until(|seen| seen.iter().filter(|seen| seen.body.get("result").is_some()).count() == 2)
        .await;
    let answers: Vec<_> =
        server.seen().into_iter().filter(|seen| seen.body.get("result").is_some()).collect();
    assert!(answers.iter().all(|seen| seen.header("mcp-session-id") == Some("session-1")));
    client.end().await;
}

#[tokio::test]
async fn an_answer_that_broke_off_is_taken_up_where_it_was() {
    let server = Server::start(|seen| match (&*seen.method, seen.header("last-event-id")) {
        ("GET", Some("e2")) => Reply::sse()
            .bytes("id: e3\n")
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 2 } }))
            // The server ends the stream in order, and the bridge resumes it.
            .bytes("retry: 50\n\n"),
        ("GET", Some("e3")) => Reply::sse().bytes("id: e4\n").event(
            &json!({ "jsonrpc": "2.0", "id": 1, "result": { "resumed": true } }),
        ),
        (_, _) if seen.rpc() == "tools/call" => Reply::sse()
            .bytes("id: e1\nretry: 100\ndata:\n\n")
            .bytes("id: e2\n")
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } }))
            .bytes("id: e9\ndata: {\"half an")
            .piece(Piece::Break),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    let begun = Instant::now();
    client.send(&old_call(1, "t", json!({}))).await;
    for n in [1, 2] {
        assert_eq!(client.receive().await["params"]["progress"], n);
    }
    assert_eq!(
        client.receive().await,
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "resumed": true } })
    );
    assert!(begun.elapsed() >= Duration::from_millis(150), "the server's pauses are kept");
    assert_eq!(server.of("tools/call").len(), 1, "what may have been processed is not sent again");
    client.end().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_taken_up_is_an_error() {
    for refusal in [404, 405, 400] {
        let server =
            Server::start(move |seen| match (&*seen.method, seen.header("last-event-id")) {
                ("GET", Some(_)) => Reply::status(refusal),
                (_, _) if seen.rpc() == "tools/call" => {
                    Reply::sse().bytes("id: e1\nretry: 10\ndata:\n\n").piece(Piece::Break)
                }
                _ => usual(seen),
            })
            .await;
        let mut client = Client::of(&server);
        open(&mut client).await;
        let answer = client.ask(&old_call(1, "t", json!({}))).await;
        assert_eq!(answer["error"]["data"]["reason"], "ended", "{answer}");
        assert_eq!(
            client.ask(&json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" })).await["id"],
            2
        );
        client.end().await;
    }
}

#[tokio::test]
async fn the_stream_of_notifications_is_taken_up_again() {
    let gets = AtomicUsize::new(0);
    let server = Server::start(move |seen| match &*seen.method {
        "GET" => {
            let n = gets.fetch_add(1, Ordering::SeqCst);
            let reply = Reply::sse()
                .bytes(format!("id: n{n}\nretry: 20\n"))
                .event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "n": n } }));
            if n < 2 { reply.piece(Piece::Break) } else { reply.piece(Piece::Hang) }
        }
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    for n in 0..3 {
        assert_eq!(client.receive().await["params"]["n"], n);
    }
    let seen: Vec<_> = server.seen().into_iter().filter(|seen| seen.method == "GET").collect();
    let last: Vec<_> = seen.iter().map(|seen| seen.header("last-event-id")).collect();
    assert_eq!(last, [None, Some("n0"), Some("n1")]);
    client.end().await;
    server.until_gone(1).await;
}

#[tokio::test]
async fn a_session_id_is_visible_ascii_or_none() {
    for id in ["", "a b", "a\tb", "s\u{e9}ssion", "\u{1b}[2J", &*"x".repeat(4097)] {
        let Ok(value) = http::HeaderValue::from_bytes(id.as_bytes()) else { continue };
        let value = String::from_utf8(value.as_bytes().to_vec()).unwrap();
        let server = Server::start(move |seen| match seen.rpc() {
            "initialize" => Reply::json(seen.result(json!({ "protocolVersion": "2025-11-25" })))
                .with("mcp-session-id", value.clone()),
            _ => usual(seen),
        })
        .await;
        let mut client = Client::of(&server);
        let answer = client.ask(&initialize()).await;
        assert_eq!(answer["error"]["data"]["reason"], "garbage", "{id:?}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("its session id"));
        // The session id is not valid, and the bridge never sends it.
        client.ask(&old_call(1, "t", json!({}))).await;
        assert!(server.seen().iter().all(|seen| seen.header("mcp-session-id").is_none()));
    }
    let two = Server::start(|seen| match seen.rpc() {
        "initialize" => Reply::json(seen.result(json!({ "protocolVersion": "2025-11-25" })))
            .with("mcp-session-id", "a")
            .with("mcp-session-id", "b"),
        _ => usual(seen),
    })
    .await;
    let answer = Client::of(&two).ask(&initialize()).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("two sessions"), "{answer}");
}

#[tokio::test]
async fn a_server_that_asks_for_no_pause_is_not_asked_without_pause() {
    let server = Server::start(|seen| match &*seen.method {
        "GET" => Reply::sse().bytes("retry: 0\nid: e1\ndata:\n\n"),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    let gets = |seen: &[crate::server::Seen]| seen.iter().filter(|s| s.method == "GET").count();
    server.until(|seen| gets(seen) >= 3).await;
    let begun = Instant::now();
    let before = gets(&server.seen());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let more = gets(&server.seen()) - before;
    // The bridge waits at least 100 ms between two attempts.
    let most = usize::try_from(begun.elapsed().as_millis()).unwrap() / 100 + 1;
    assert!(more <= most, "{more} in {:?}", begun.elapsed());
    server.until(|seen| gets(seen) > before).await;
    client.end().await;
}

#[tokio::test]
async fn a_cancel_is_sent_and_the_late_answer_is_dropped() {
    let late = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&late);
    let server = Server::start(move |seen| match (seen.rpc(), seen.body["id"].as_u64()) {
        ("tools/call", Some(1)) => Reply::sse()
            .bytes(": open\n\n")
            .piece(Piece::Until(Arc::clone(&gate)))
            .event(&seen.text("late")),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    client.send(&old_call(1, "slow", json!({}))).await;
    server.until(|seen| seen.iter().any(|seen| seen.rpc() == "tools/call")).await;
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } })).await;
    server.until(|seen| seen.iter().any(|seen| seen.rpc() == "notifications/cancelled")).await;
    late.close();
    client.silence().await;
    assert_eq!(client.ask(&old_call(2, "t", json!({}))).await["id"], 2);
    client.end().await;
}

#[tokio::test]
async fn a_lost_session_is_opened_again_once_for_all_waiting_requests() {
    let opened_times = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let lost = seen.header("mcp-session-id") == Some("session-1");
        match (&*seen.method, seen.rpc()) {
            (_, "initialize") => {
                let n = opened_times.fetch_add(1, Ordering::SeqCst) + 1;
                opened(seen, &format!("session-{n}"))
            }
            (_, "tools/call") if lost && seen.body["params"]["name"] != "before" => {
                Reply::status(404).with("content-type", "application/json").bytes(
                    r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#,
                )
            }
            _ => usual(seen),
        }
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    client.ask(&old_call(1, "before", json!({}))).await;
    for n in 2..6 {
        client.send(&old_call(n, "after", json!({}))).await;
    }
    for _ in 2..6 {
        let answer = client.receive().await;
        assert_eq!(answer["result"]["content"][0]["text"], "ok", "{answer}");
    }
    assert_eq!(server.of("initialize").len(), 2, "one session for all");
    assert_eq!(server.of("notifications/initialized").len(), 2);
    client.end().await;
    let last = server.seen().pop().unwrap();
    assert_eq!((&*last.method, last.header("mcp-session-id")), ("DELETE", Some("session-2")));
}

#[tokio::test]
async fn a_client_may_try_the_new_revision_and_fall_back() {
    let server = Server::start(|seen| match seen.rpc() {
        "server/discover" => Reply::status(400).with("content-type", "application/json").bytes(
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Bad Request: Unsupported protocol version"}}"#,
        ),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    let answer = client.ask(&crate::client::request("probe", "server/discover")).await;
    // If the server's error has no id, the client gets it with the id of the request that it
    // answers.
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("probe"), &json!(-32600)));
    open(&mut client).await;
    client.ask(&old_call(1, "t", json!({}))).await;
    assert_eq!(server.of("tools/call")[0].header("mcp-protocol-version"), Some("2025-11-25"));
    client.end().await;
}
