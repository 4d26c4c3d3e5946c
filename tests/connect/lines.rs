//! Tests of lines that a client should not send to the bridge.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::client::{Client, call};
use crate::server::{Piece, Reply, Server};

async fn client() -> (Server, Client) {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let client = Client::of(&server);
    (server, client)
}

#[tokio::test]
async fn ambiguous_body_is_not_signed() {
    let (server, mut client) = client().await;
    for (line, id) in [
        ("hello", json!(null)),
        ("[]", json!(null)),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, json!(null)),
        ("{", json!(null)),
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", json!(null)),
        (r#"{"jsonrpc":"2.0","id":1}"#, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, json!(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}"#, json!(1)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","x":{"k":1,"k":2}}}"#,
            json!(1),
        ),
        (r#"{"jsonrpc":"2.0","id":"x","method":"a","params":[1]}"#, json!("x")),
        (r#"{"jsonrpc":"2.0","id":"x","method":"a","params":{"a":"\ud800"}}"#, json!("x")),
        (r#"{"jsonrpc":"2.0","id":7,"method":7}"#, json!(7)),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, json!(null)),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, json!(null)),
        (r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#, json!(7)),
    ] {
        client.raw(format!("{line}\n").as_bytes()).await;
        let answer = client.receive().await;
        assert_eq!(answer["id"], id, "{line}: {answer}");
        assert_eq!(answer["error"]["code"], mcpid::connect::NOT_SENT, "{line}");
        assert_eq!(answer["error"]["data"]["reason"], "unreadable", "{line}");
    }
    client.raw(b"\xff\xfe{\"id\":1}\n").await;
    assert_eq!(client.receive().await["error"]["data"]["reason"], "unreadable");
    // Empty lines between messages are ignored.
    client.raw(b"\n  \n\r\n").await;
    assert_eq!(client.ask(&call(1, "t", json!({}))).await["id"], 1);
    assert_eq!(server.seen().len(), 1, "nothing of it was sent");
}

#[tokio::test]
async fn too_long_message_is_refused_and_the_session_goes_on() {
    let (server, mut client) = client().await;
    let long = call("long", "t", json!({ "text": "x".repeat(5 << 20) })).to_string();
    client.raw(format!("{long}\n").as_bytes()).await;
    let answer = client.receive().await;
    assert_eq!(answer["id"], "long");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(&long.len().to_string()) && message.contains("4194304"), "{message}");
    // The bridge skips a line of this length, so it does not know the id in it.
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..33 {
        client.raw(&chunk).await;
    }
    client.raw(b"\n").await;
    assert_eq!(client.receive().await["error"]["data"]["reason"], "too_long");
    assert_eq!(client.ask(&call(1, "t", json!({}))).await["id"], 1);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_second_request_with_the_id_of_an_open_request_is_refused() {
    let refused = Arc::new(Semaphore::new(0));
    let is_refused = Arc::clone(&refused);
    let server = Server::start(move |seen| match seen.n {
        0 => Reply::sse()
            .bytes(": open\n\n")
            .piece(Piece::Until(Arc::clone(&is_refused)))
            .event(&seen.text("first")),
        _ => Reply::json(seen.text("second")),
    })
    .await;
    let mut client = Client::of(&server);
    client.send(&call(1, "t", json!({}))).await;
    client.send(&call(1, "t", json!({}))).await;
    let answer = client.receive().await;
    assert!(
        answer["id"].is_null() && answer["error"]["data"]["reason"] == "unreadable",
        "{answer}"
    );
    refused.close();
    let answer = client.receive().await;
    assert_eq!(answer["result"]["content"][0]["text"], "first");
    // After the error, the client can use the id again.
    assert_eq!(
        client.ask(&call(1, "t", json!({}))).await["result"]["content"][0]["text"],
        "second"
    );
}

#[tokio::test]
async fn the_last_message_needs_no_line_end() {
    let (_server, mut client) = client().await;
    client.raw(call(1, "t", json!({})).to_string().as_bytes()).await;
    let (left, ended) = client.end().await;
    assert_eq!((left.len(), ended), (1, mcpid::connect::StdioEnd::InputClosed));
    assert_eq!(left[0]["result"]["content"][0]["text"], "ok");
}
