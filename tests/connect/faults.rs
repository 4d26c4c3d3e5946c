//! Tests of servers that are unreachable, refuse requests, break off, hang, or send invalid
//! answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcpid::clock::{Clock as _, FixedClock, SystemClock};
use mcpid::connect::{StdioEnd, UNANSWERED};
use serde_json::{Value, json};

use crate::client::{Client, bridge, bridge_at, call, old_call};
use crate::server::{Piece, Reply, Server, free_address};
use crate::sessions::{open, usual};

/// Sends one request through the client, and returns the error in the answer.
pub(crate) async fn error(client: &mut Client) -> Value {
    let answer = client.ask(&call("id-1", "t", json!({}))).await;
    assert_eq!(answer["id"], "id-1", "{answer}");
    assert!(answer.get("result").is_none(), "{answer}");
    answer["error"].clone()
}

/// Runs the bridge against a server that answers like this, and returns the error that the client
/// gets. The next request must be served normally.
pub(crate) async fn becomes(
    reply: impl Fn(&crate::server::Seen) -> Reply + Send + Sync + 'static,
) -> Value {
    becomes_within(Duration::from_secs(60), reply).await
}

/// Does the same as [`becomes`], with a time limit after which the bridge gives up a silent server.
async fn becomes_within(
    silence: Duration,
    reply: impl Fn(&crate::server::Seen) -> Reply + Send + Sync + 'static,
) -> Value {
    let server = Server::start(move |seen| match seen.n {
        0 => reply(seen),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let (bridge, said) = bridge(&server.url());
    let bridge = bridge.with_max_answer(1 << 20).with_silence(Some(silence));
    let mut client = Client::by((bridge, said));
    let error = error(&mut client).await;
    let next = client.ask(&call(2, "t", json!({}))).await;
    assert_eq!(next["result"]["content"][0]["text"], "ok", "the session goes on: {next}");
    assert_eq!(server.seen().len(), 2, "nothing is sent again: {:#?}", server.seen());
    error
}

#[tokio::test]
async fn a_server_that_is_down_is_named_and_found_again_when_it_is_up() {
    let address = free_address();
    let mut client = Client::to(&format!("http://{address}/mcp"));
    let down = error(&mut client).await;
    assert_eq!((&down["code"], &down["data"]["reason"]), (&json!(UNANSWERED), &json!("connect")));
    assert_eq!(down["message"], format!("nothing listens at {address}: connection refused"));
    let ok = |seen: &crate::server::Seen| Reply::json(seen.text("ok"));
    let server = Server::start_at(address, ok).await;
    assert_eq!(client.ask(&call(1, "t", json!({}))).await["id"], 1);
    server.end().await;
    assert_eq!(error(&mut client).await["data"]["reason"], "connect");
    let _server = Server::start_at(address, ok).await;
    assert_eq!(client.ask(&call(2, "t", json!({}))).await["id"], 2);
}

#[tokio::test]
async fn a_host_name_that_does_not_resolve_is_reported() {
    let mut client = Client::to("http://no-such-host.invalid/mcp");
    let error = error(&mut client).await;
    assert_eq!(error["data"]["reason"], "dns", "{error}");
    assert_eq!(error["message"], "the name of no-such-host.invalid is not known");
}

#[tokio::test]
async fn server_without_tls_is_reported() {
    let server = Server::start(usual).await;
    let mut client = Client::to(&server.url().replace("http:", "https:"));
    let error = error(&mut client).await;
    assert_eq!(error["data"]["reason"], "tls", "{error}");
    assert!(error["message"].as_str().unwrap().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_refusal_in_json_rpc_is_passed_on() {
    for (status, code, reason) in [
        (403, -31401, "key_unknown"),
        (403, -31401, "key_not_valid"),
        (421, -31401, "target_mismatch"),
        (401, -31401, "signature_missing"),
        (429, -31401, "nonce_quota"),
        (413, -31401, "too_large"),
        (404, -32601, "x"),
        (400, -32022, "x"),
        (500, -32603, "x"),
    ] {
        let error = becomes(move |seen| Reply::error(status, seen, code, reason)).await;
        assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!("no")), "{error}");
        assert_eq!(error["data"]["reason"], reason);
    }
}

#[tokio::test]
async fn any_other_refusal_is_reported_with_its_status_and_the_servers_words() {
    for (status, words) in [
        (400, "400 Bad Request: odd\\u{1b}[2J"),
        (403, "403 Forbidden: odd\\u{1b}[2J"),
        (404, "404 Not Found: odd\\u{1b}[2J"),
        (421, "421 Misdirected Request: odd\\u{1b}[2J"),
        (500, "500 Internal Server Error: odd\\u{1b}[2J"),
        (502, "502 Bad Gateway: odd\\u{1b}[2J"),
    ] {
        let error = becomes(move |_| {
            Reply::status(status).with("content-type", "text/plain").bytes("odd\u{1b}[2J")
        })
        .await;
        assert_eq!(error["message"], format!("the server answers {words}"));
        assert_eq!(error["data"], json!({ "reason": "refused", "status": status }));
        assert_eq!(error["code"], UNANSWERED);
    }
    let error =
        becomes(|_| Reply::status(401).with("www-authenticate", "Bearer resource_metadata=\"x\""))
            .await;
    assert!(error["message"].as_str().unwrap().contains("it wants a token: -H"), "{error}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_seen_in_the_hint() {
    for (reason, ahead, words) in [
        ("expired", -100_i64, "this clock is 100 s behind"),
        ("not_yet_valid", 100, "this clock is 100 s ahead"),
        ("expired", 0, "the clocks agree"),
    ] {
        let now = SystemClock.now();
        let date = now.plus(-ahead).unix();
        let date = httpdate(date);
        let server = Server::start(move |seen| {
            Reply::error(403, seen, -31401, reason).with("date", date.clone())
        })
        .await;
        let mut client = Client::by(bridge_at(&server.url(), Arc::new(FixedClock(now))));
        let message = error(&mut client).await["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("the server's clock says ") && message.contains(words),
            "{message}"
        );
    }
}

/// Returns a time in 2026 as an HTTP date. The time is made in RFC 3339 form and converted.
fn httpdate(unix: i64) -> String {
    let text = mcpid::clock::Timestamp::from_unix(unix).to_string();
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month: usize = text[5..7].parse().unwrap();
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        [usize::try_from(unix / 86_400 % 7).unwrap()];
    format!("{day}, {} {} {} {} GMT", &text[8..10], months[month - 1], &text[..4], &text[11..19])
}

#[tokio::test]
async fn retry_after_is_waited_for_and_each_attempt_signed_anew() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let busy = Reply::error(503, seen, -31401, "unavailable");
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 | 1 | 3 => busy.with("retry-after", "1"),
            // By this attempt, the bridge has waited for one second already, so it does not wait as
            // long as the field says.
            4 => busy.with("retry-after", "60"),
            _ => Reply::json(seen.text("ok")),
        }
    })
    .await;
    let mut client = Client::of(&server);
    let begun = Instant::now();
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert_eq!(answer["result"]["content"][0]["text"], "ok", "{answer}");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    // The server verified every attempt, so the bridge signed each with a new nonce.
    assert_eq!(server.seen().len(), 3);
    let host = server.address;
    let waits = format!(
        "warning: {host} answers 503 Service Unavailable: trying again in 1 s, signed anew"
    );
    assert_eq!(client.said().iter().filter(|line| **line == waits).count(), 2);
    let error = error(&mut client).await;
    assert_eq!(error["data"]["reason"], "unavailable");
    assert_eq!(server.seen().len(), 5, "61 s are too long");
    let given_up = "asks for 60 s: given up, 1 s of 60 s were waited for";
    assert!(client.said().iter().any(|line| line.contains(given_up)), "{:?}", client.said());
}

#[tokio::test]
async fn a_long_retry_after_is_passed_on_to_the_client() {
    let error =
        becomes(|seen| Reply::error(503, seen, -31401, "unavailable").with("retry-after", "61"))
            .await;
    assert_eq!(error["data"]["reason"], "unavailable");
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_once_and_signed_for_where_it_leads() {
    for status in [307, 308] {
        let server = Server::start(move |seen| match &*seen.path {
            "/mcp" => Reply::status(status).with("location", "/mcp/"),
            "/mcp/" => Reply::json(seen.text("ok")),
            _ => Reply::status(status).with("location", "/mcp"),
        })
        .await;
        let mut client = Client::of(&server);
        let answer = client.ask(&call(1, "t", json!({}))).await;
        assert_eq!(answer["result"]["content"][0]["text"], "ok", "{answer}");
        let mut twice = Client::to(&server.url().replace("/mcp", "/other"));
        let error = error(&mut twice).await;
        assert_eq!(error["data"], json!({ "reason": "redirected", "status": status }));
    }
}

#[tokio::test]
async fn any_other_redirect_is_named_and_not_followed() {
    let elsewhere = Server::start(usual).await;
    for (status, to) in [
        (301, "/mcp/".to_owned()),
        (302, "/mcp/".to_owned()),
        (303, "/mcp/".to_owned()),
        (307, elsewhere.url()),
        (308, format!("//{}/mcp", elsewhere.address)),
        (307, "https://127.0.0.1/mcp".to_owned()),
        (307, "mcp/".to_owned()),
    ] {
        let location = to.clone();
        let error =
            becomes(move |_| Reply::status(status).with("location", location.clone())).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("sends to {to}: use that URL")), "{message}");
    }
    let error = becomes(|_| Reply::status(307)).await;
    assert!(error["message"].as_str().unwrap().contains("does not say where to"), "{error}");
    assert!(elsewhere.seen().is_empty(), "nothing signed went elsewhere");
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_time_limit() {
    for reply in [
        Reply::status(200).with("content-type", "application/json").bytes("{").piece(Piece::Hang),
        Reply::sse().bytes(": open\n\n").piece(Piece::Hang),
        Reply::json(json!({})).after(Duration::from_secs(60)),
    ] {
        let error = becomes_within(Duration::from_secs(4), move |_| reply.clone()).await;
        assert_eq!(error["data"]["reason"], "silent", "{error}");
    }
}

#[tokio::test]
async fn a_request_without_an_answer_does_not_block_other_requests() {
    let server = Server::start(|seen| match seen.body["params"]["name"].as_str() {
        Some("hang") => Reply::sse().piece(Piece::Hang),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let mut client = Client::of(&server);
    for n in 0..10 {
        client.send(&call(n, "hang", json!({}))).await;
    }
    for n in 10..20 {
        assert_eq!(client.ask(&call(n, "t", json!({}))).await["id"], n);
    }
}

#[tokio::test]
async fn a_client_that_closes_stdin_still_gets_pending_answers() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/call" => Reply::sse()
            .bytes(": open\n\n")
            .piece(Piece::Wait(Duration::from_millis(500)))
            .event(&seen.text("late")),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    client.send(&old_call(1, "t", json!({}))).await;
    let (left, ended) = client.end().await;
    assert_eq!((left.len(), ended), (1, StdioEnd::InputClosed));
    assert_eq!(left[0]["result"]["content"][0]["text"], "late");
    assert_eq!(server.seen().last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn an_endless_answer_ends_when_its_client_disconnects() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/call" => Reply::sse().piece(Piece::Hang),
        _ => usual(seen),
    })
    .await;
    let (bridge, said) = bridge(&server.url());
    let mut client = Client::by((bridge.with_drain(Duration::from_millis(300)), said));
    open(&mut client).await;
    client.send(&old_call(1, "t", json!({}))).await;
    server.until(|seen| seen.iter().any(|seen| seen.rpc() == "tools/call")).await;
    let begun = Instant::now();
    let (left, ended) = client.end().await;
    // Without its limit on the drain, the bridge would wait for 75 s.
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!((left.len(), ended), (1, StdioEnd::InputClosed));
    assert_eq!(
        (&left[0]["id"], &left[0]["error"]["data"]["reason"]),
        (&json!(1), &json!("broken"))
    );
    server.until_gone(1).await;
    assert_eq!(server.seen().last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn shutdown_answers_pending_requests_and_closes_the_session() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/call" => Reply::sse().piece(Piece::Hang),
        _ => usual(seen),
    })
    .await;
    let mut client = Client::of(&server);
    open(&mut client).await;
    for n in 1..4 {
        client.send(&old_call(n, "t", json!({}))).await;
    }
    server.until(|seen| seen.iter().filter(|seen| seen.rpc() == "tools/call").count() == 3).await;
    client.stop();
    let (left, ended) = client.rest().await;
    assert_eq!((left.len(), ended), (3, StdioEnd::Stopped));
    assert!(
        left.iter()
            .all(|answer| answer["error"]["message"].as_str().unwrap().contains("told to stop"))
    );
    // The server may have executed the unanswered requests, and the errors say so.
    assert!(left.iter().all(|answer| answer["error"]["code"] == UNANSWERED));
    assert_eq!(server.seen().last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn a_client_that_does_not_read_cannot_keep_the_bridge_from_stopping() {
    let server = Server::start(usual).await;
    let (bridge, _) = bridge(&server.url());
    let (mut input, theirs) = tokio::io::duplex(64 * 1024);
    // The bridge's output has room for a few bytes, and no program reads it.
    let (_output, written) = tokio::io::duplex(16);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap_or_default() };
    let run = tokio::spawn(bridge.stdio(theirs, written, stopped));
    for _ in 0..100 {
        let wrote = tokio::io::AsyncWriteExt::write_all(&mut input, b"garbage\n");
        let _ = tokio::time::timeout(Duration::from_millis(50), wrote).await;
    }
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert_eq!(ended, StdioEnd::Stopped);
}

#[tokio::test]
async fn a_closed_output_ends_the_session() {
    let server = Server::start(|seen| Reply::json(seen.text(&"x".repeat(200_000)))).await;
    let (bridge, _) = bridge(&server.url());
    let (mut input, theirs) = tokio::io::duplex(64 * 1024);
    let (output, written) = tokio::io::duplex(1024);
    let run = tokio::spawn(bridge.stdio(theirs, written, std::future::pending()));
    drop(output);
    let call = format!("{}\n", call(1, "t", json!({})));
    tokio::io::AsyncWriteExt::write_all(&mut input, call.as_bytes()).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
    assert_eq!(ended, StdioEnd::OutputClosed);
}
