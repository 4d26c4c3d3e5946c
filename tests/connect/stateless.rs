//! Tests of a bridge with the MCP revision 2026-07-28, in which there are no sessions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::{Client, call, request};
use crate::server::{Piece, Reply, Server};

#[tokio::test]
async fn headers_follow_from_the_body_and_the_body_is_sent_as_it_came() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let mut client = Client::of(&server);
    // The bridge keeps blanks, escapes and the order of members as the client wrote them.
    let odd = r#"{ "id" : "\u0061" ,"jsonrpc":"2.0", "method":"tools/call","params":{"name":"grüße","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"arguments":{"n":1.0}}}"#;
    client.raw(format!("{odd}\r\n").as_bytes()).await;
    let answer = client.receive().await;
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!("a"), &json!("ok"))
    );
    client.ask(&request(2, "server/discover")).await;
    let seen = server.seen();
    assert_eq!(seen[0].raw, odd.as_bytes());
    assert_eq!(seen[0].header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(seen[0].header("mcp-method"), Some("tools/call"));
    assert_eq!(seen[0].header("mcp-name"), Some("=?base64?Z3LDvMOfZQ==?="));
    assert_eq!(seen[0].header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("mcp-session-id"), None);
    assert_eq!(seen[1].header("mcp-method"), Some("server/discover"));
    assert_eq!(seen[1].header("mcp-name"), None);
    let (left, _) = client.end().await;
    assert!(left.is_empty());
    assert_eq!(server.seen().len(), 2, "no session is closed where there is none");
}

#[tokio::test]
async fn an_answer_of_several_lines_is_written_as_one_line() {
    let server = Server::start(|seen| {
        let id = &seen.body["id"];
        Reply::status(200)
            .with("content-type", "application/json; charset=utf-8")
            .bytes(format!("\r\n{{\n  \"jsonrpc\": \"2.0\",\r\n  \"id\": {id},\n  \"result\": {{ \"big\": 12345678901234567890.10 }}\n}}\n"))
    })
    .await;
    let mut client = Client::of(&server);
    client.send(&call(7, "t", json!({}))).await;
    let line = client.line().await;
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.contains("12345678901234567890.10"), "numbers stay as they were written: {line}");
}

#[tokio::test]
async fn events_arrive_one_by_one_before_the_answer() {
    let rest = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&rest);
    let server = Server::start(move |seen| {
        let progress = |n: u32| json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 1, "progress": n } });
        Reply::sse()
            .bytes(": a comment\n\nevent: message\ndata: ")
            .bytes(format!("{}\n\n", progress(1)))
            .bytes("data:\n\n")
            .bytes("event: other\ndata: not for us\n\n")
            // The event's data is in two lines, and a CR LF arrives in two pieces.
            .bytes("data: {\"jsonrpc\":\"2.0\",\r")
            .bytes("\ndata: \"method\":\"notifications/message\",\"params\":{\"data\":\"ü\"}}\r\n\r\n")
            .piece(Piece::Until(Arc::clone(&gate)))
            .event(&seen.text("done"))
    })
    .await;
    let mut client = Client::of(&server);
    client.send(&call(1, "slow", json!({}))).await;
    // The client gets both events although the server has not sent the answer.
    assert_eq!(client.receive().await["params"]["progress"], 1);
    assert_eq!(client.receive().await["params"]["data"], "ü");
    rest.close();
    assert_eq!(client.receive().await["result"]["content"][0]["text"], "done");
    client.silence().await;
}

#[tokio::test]
async fn twenty_calls_are_in_flight_and_each_gets_its_own_answer() {
    let all = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&all);
    let server = Server::start(move |seen| {
        let n = seen.body["params"]["arguments"]["n"].as_u64().unwrap();
        let text = seen.text(&n.to_string());
        let (reply, text) = match n % 2 {
            0 => (Reply::status(200).with("content-type", "application/json"), text.to_string()),
            _ => (Reply::sse(), format!("data: {text}\n\n")),
        };
        // The server answers no request before all have arrived, and then the last one first.
        let reply = reply.piece(Piece::Until(Arc::clone(&gate)));
        reply.piece(Piece::Wait(Duration::from_millis(400 - 20 * n))).bytes(text)
    })
    .await;
    let mut client = Client::of(&server);
    for n in 0..20 {
        client.send(&call(n, "echo", json!({ "n": n }))).await;
    }
    server.until(|seen| seen.len() == 20).await;
    all.close();
    let mut answered = BTreeSet::new();
    for _ in 0..20 {
        let answer = client.receive().await;
        let id = answer["id"].as_u64().unwrap();
        assert_eq!(answer["result"]["content"][0]["text"], id.to_string());
        answered.insert(id);
    }
    assert_eq!(answered.len(), 20);
}

#[tokio::test]
async fn large_and_foreign_text_comes_back_whole() {
    let server = Server::start(|seen| {
        let text = seen.body["params"]["arguments"]["text"].as_str().unwrap();
        let echo = seen.text(text);
        match text.len() % 2 {
            0 => Reply::json(echo),
            _ => Reply::sse().event(&echo),
        }
    })
    .await;
    let mut client = Client::of(&server);
    for (id, text) in [
        (1, "žluťoučký kůň 馬 🐴\u{2028}\u{200f}".repeat(3000)),
        (2, format!("x{}", "žluťoučký kůň 馬 🐴".repeat(3000))),
        // With this text, a message is almost as long as the limit of 4 MiB.
        (3, "a".repeat((4 << 20) - 400)),
    ] {
        let answer = client.ask(&call(id, "echo", json!({ "text": text }))).await;
        assert_eq!(answer["id"], id);
        assert!(answer["result"]["content"][0]["text"] == text, "message {id}");
    }
}

#[tokio::test]
async fn a_cancelled_request_is_closed_and_gets_no_answer() {
    let server = Server::start(|seen| match seen.body["id"].as_u64() {
        Some(1) => Reply::sse()
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} }))
            .piece(Piece::Hang),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let mut client = Client::of(&server);
    client.send(&call(1, "hang", json!({}))).await;
    client.receive().await;
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } })).await;
    server.until_gone(1).await;
    client.silence().await;
    // If the client cancels a finished or unknown request, the bridge does not tell the server.
    for id in [json!(1), json!("1"), json!(99), Value::Null] {
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } })).await;
    }
    assert_eq!(client.ask(&call(2, "t", json!({}))).await["id"], 2);
    assert!(server.of("notifications/cancelled").is_empty(), "closing says it all");
}

fn tools(seen: &crate::server::Seen, header: &str) -> Value {
    seen.result(json!({ "tools": [
        { "name": "sql", "inputSchema": { "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": header },
        } } },
        { "name": "bad", "inputSchema": { "type": "object", "properties": {
            "n": { "type": "number", "x-mcp-header": "N" },
        } } },
        { "name": "plain", "inputSchema": { "type": "object" } },
    ] }))
}

#[tokio::test]
async fn annotated_parameters_become_headers_and_invalid_tools_are_left_out() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/list" => Reply::json(tools(seen, "Region")),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let mut client = Client::of(&server);
    client.ask(&call(1, "sql", json!({ "region": "us" }))).await;
    let list = client.ask(&request(2, "tools/list")).await;
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["sql", "plain"]);
    assert!(
        client.said().iter().any(|line| line.contains("the tool bad is left out")),
        "{:?}",
        client.said()
    );
    client.ask(&call(3, "sql", json!({ "region": "Köln" }))).await;
    client.ask(&call(4, "sql", json!({}))).await;
    client.ask(&call(5, "plain", json!({ "region": "us" }))).await;
    let said: Vec<_> = server
        .of("tools/call")
        .iter()
        .map(|seen| seen.header("mcp-param-region").map(str::to_owned))
        .collect();
    assert_eq!(said, [None, Some("=?base64?S8O2bG4=?=".to_owned()), None, None]);
}

#[tokio::test]
async fn a_server_that_wants_other_headers_is_asked_once_for_its_tools() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/list"
            if seen.body["id"] == "mcpid-tools" && seen.body["params"]["cursor"].is_null() =>
        {
            Reply::json(seen.result(json!({ "tools": [], "nextCursor": "p\"2" })))
        }
        "tools/list" => Reply::sse().event(&tools(seen, "Zone")),
        _ if seen.body["params"]["name"] == "never" => Reply::error(400, seen, -32020, "x"),
        _ if seen.header("mcp-param-zone").is_none() => Reply::error(400, seen, -32020, "x"),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let mut client = Client::of(&server);
    let answer = client.ask(&call(1, "sql", json!({ "region": "us" }))).await;
    assert_eq!(answer["result"]["content"][0]["text"], "ok", "{answer}");
    let methods: Vec<_> = server.seen().iter().map(|seen| seen.rpc().to_owned()).collect();
    assert_eq!(methods, ["tools/call", "tools/list", "tools/list", "tools/call"]);
    assert_eq!(server.of("tools/list")[1].body["params"]["cursor"], "p\"2");
    // After such a refusal the bridge reads the tool list again and repeats the call. A second
    // refusal is passed to the client.
    let answer = client.ask(&call(2, "never", json!({}))).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-32020)));
    assert_eq!(server.of("tools/call").len(), 4);
}

#[tokio::test]
async fn a_subscription_stays_open_and_does_not_delay_the_end() {
    let server = Server::start(|seen| match seen.rpc() {
        "subscriptions/listen" => Reply::sse()
            .event(
                &json!({ "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged" }),
            )
            .piece(Piece::Wait(Duration::from_millis(2_500)))
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }))
            .piece(Piece::Hang),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let (bridge, said) = crate::client::bridge(&server.url());
    // The time limit for a silent server does not apply to a subscription.
    let mut client = Client::by((bridge.with_silence(Some(Duration::from_secs(2))), said));
    client.send(&request("s", "subscriptions/listen")).await;
    assert_eq!(client.receive().await["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(client.receive().await["method"], "notifications/tools/list_changed");
    client.silence().await;
    let begun = std::time::Instant::now();
    let (left, _) = client.end().await;
    // At its end, the bridge waits up to 75 s for requests, but not for a subscription.
    assert!(begun.elapsed() < Duration::from_secs(60) && left.is_empty());
    server.until_gone(1).await;
}
