//! Tests of the ways in which servers say that a session is lost, and of similar errors that do not
//! say it.

use serde_json::json;

use crate::client::{Client, old_call};
use crate::server::{Reply, Seen, Server};
use crate::sessions::{open, opened, usual};

/// Starts a server that has lost its first session, and answers requests in that session with
/// `refusal`.
async fn forgetful(refusal: impl Fn() -> Reply + Send + Sync + 'static) -> (Server, Client) {
    let server = Server::start(move |seen: &Seen| {
        let lost = seen.header("mcp-session-id") == Some("session-1");
        match seen.rpc() {
            "initialize" if seen.n > 0 => opened(seen, "session-2"),
            "tools/call" if lost => refusal(),
            _ => usual(seen),
        }
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    (server, client)
}

/// Makes the answer of a server.
type Refusal = fn() -> Reply;

fn json_rpc(status: u16, code: i64, message: &str) -> Reply {
    let error = json!({ "code": code, "message": message });
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": error });
    Reply::status(status).with("content-type", "application/json").bytes(body.to_string())
}

fn text(status: u16, words: &'static str) -> Reply {
    Reply::status(status).with("content-type", "text/plain; charset=utf-8").bytes(words)
}

#[tokio::test]
async fn a_lost_session_is_recognised_by_the_answers_of_real_servers() {
    let says: Vec<(&str, Refusal)> = vec![
        ("the revision", || Reply::status(404)),
        ("TypeScript SDK", || json_rpc(404, -32001, "Session not found")),
        ("TypeScript example", || {
            json_rpc(400, -32000, "Bad Request: No valid session ID provided")
        }),
        ("TypeScript SDK, restarted", || {
            json_rpc(400, -32000, "Bad Request: Server not initialized")
        }),
        ("a router", || json_rpc(400, -32000, "Bad Request: Unknown Mcp-Session-Id header")),
        ("older Python SDK", || text(400, "Bad Request: No valid session ID provided")),
        ("older mcp-go", || text(400, "Invalid session ID")),
        ("rmcp", || text(404, "Not Found: Session not found")),
        ("older rmcp", || text(401, "Unauthorized: Session not found")),
        ("gone", || Reply::status(410)),
    ];
    for (server_name, refusal) in says {
        let (server, mut client) = forgetful(refusal).await;
        let answer = client.ask(&old_call(1, "t", json!({}))).await;
        assert_eq!(answer["result"]["content"][0]["text"], "ok", "{server_name}: {answer}");
        let sessions: Vec<_> = server
            .of("tools/call")
            .iter()
            .map(|seen| seen.header("mcp-session-id").unwrap_or_default().to_owned())
            .collect();
        assert_eq!(sessions, ["session-1", "session-2"], "{server_name}");
        client.end().await;
    }
}

#[tokio::test]
async fn another_refusal_opens_no_session_and_sends_nothing_again() {
    let says: Vec<Refusal> = vec![
        || json_rpc(404, -32601, "no such method in this session"),
        || json_rpc(400, -32602, "the arguments are not good"),
        || json_rpc(400, -32020, "Mcp-Name differs in this session"),
        || json_rpc(400, -31401, "no session"),
        || json_rpc(403, -31401, "the session is of another key"),
        || json_rpc(500, -32603, "session not found"),
        || json_rpc(409, -32000, "session conflict"),
        || text(400, "Bad Request"),
        || Reply::status(400),
        || text(401, "session expired").with("www-authenticate", "Bearer error=\"invalid_token\""),
        || json_rpc(200, -32000, "session not found"),
    ];
    for (n, refusal) in says.into_iter().enumerate() {
        let (server, mut client) = forgetful(refusal).await;
        let answer = client.ask(&old_call(1, "t", json!({}))).await;
        assert!(answer.get("error").is_some(), "{n}: {answer}");
        assert_eq!((server.of("initialize").len(), server.of("tools/call").len()), (1, 1), "{n}");
        client.end().await;
    }
}

#[tokio::test]
async fn a_session_that_is_lost_again_is_not_opened_a_second_time() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/call" => text(400, "Invalid session ID"),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    let answer = client.ask(&old_call(1, "t", json!({}))).await;
    assert_eq!(answer["error"]["data"]["status"], 400, "{answer}");
    assert_eq!((server.of("initialize").len(), server.of("tools/call").len()), (2, 2));
    client.end().await;
}
