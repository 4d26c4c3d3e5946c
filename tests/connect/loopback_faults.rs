//! Tests of failures of a bridge that listens on loopback: every request gets an answer, other
//! clients are not blocked, and the server's answers are passed on unchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcpid::clock::SystemClock;
use mcpid::connect::consent::ConfirmPolicy;
use mcpid::connect::{Bridge, ConsentVia};
use mcpid::key::{PublicKey, Sign, SignError};
use mcpid::net::{DialRoute, Dialer, ServerLimits, tls};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, bridge, call, old_call, request};
use crate::loopback::{Proxy, SECRET, proxy, proxy_of, proxy_with};
use crate::server::{Piece, Reply, Server, free_address, key};
use crate::sessions::usual;

fn reason(got: &Value) -> &str {
    got["error"]["data"]["reason"].as_str().unwrap_or_default()
}

/// Sends the head of a POST, with this content length. The test may send the body later.
async fn begun(proxy: &Proxy, body: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!(
        "POST /{SECRET}/mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        proxy.address,
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_server_that_is_down_is_found_when_it_is_up() {
    let address = free_address();
    let (down, _) = bridge(&format!("http://{address}/mcp"));
    let proxy = proxy_of(down, ServerLimits::default()).await;
    for id in 1..3 {
        let got = proxy.post(&call(id, "t", json!({}))).await;
        assert_eq!((got.status, reason(&got.json())), (502, "connect"), "{}", got.body);
        assert_eq!(got.json()["id"], id);
    }
    let server = Server::start_at(address, usual).await;
    assert_eq!(proxy.post(&call(3, "t", json!({}))).await.status, 200);
    server.end().await;
    let got = proxy.post(&call(4, "t", json!({}))).await;
    assert_eq!(got.status, 502, "{}", got.body);
    let _server = Server::start_at(address, usual).await;
    assert_eq!(proxy.post(&call(5, "t", json!({}))).await.status, 200);
}

#[tokio::test]
async fn every_answer_of_the_server_passes_unchanged() {
    for (status, kind, text) in [
        (
            400,
            "application/json",
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32020,"message":"x"}}"#,
        ),
        (401, "text/plain", "who"),
        (
            403,
            "application/json",
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-31401,"message":"no","data":{"reason":"key_not_valid"}}}"#,
        ),
        (404, "application/json", "{}"),
        (421, "text/plain", "not here"),
        (500, "text/html", "<h1>oh</h1>"),
        (502, "text/plain", "\u{1b}[2J"),
        (503, "text/plain", "later"),
        (200, "application/json", "{\"jsonrpc\":\"2.0\",\"id\":"),
        (200, "text/html", "<html>"),
        (200, "text/event-stream", "data: garbage\n\ndata: half"),
        (202, "text/plain", ""),
    ] {
        let server = Server::start(move |_| {
            Reply::status(status).with("content-type", kind).bytes(text).with("set-cookie", "a=b")
        })
        .await;
        let got = proxy(&server).await.post(&call(1, "t", json!({}))).await;
        assert_eq!((got.status, &*got.body), (status, text));
        assert_eq!(got.header("content-type"), Some(kind));
        assert_eq!(got.header("set-cookie"), None, "{status}");
        assert_eq!(server.seen().len(), 1, "sent once: {status}");
    }
}

#[tokio::test]
async fn a_request_is_signed_again_after_a_pause_that_the_server_asks_for() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let busy = Reply::error(503, seen, -31401, "unavailable");
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => busy.with("retry-after", "1"),
            3 => busy.with("retry-after", "61"),
            _ => Reply::json(seen.text("ok")),
        }
    })
    .await;
    let proxy = proxy(&server).await;
    // The server verified every attempt, so the bridge signed each with a new nonce.
    assert_eq!(proxy.post(&call(1, "t", json!({}))).await.status, 200);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(proxy.post(&call(2, "t", json!({}))).await.status, 503);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_long_event_passes_and_an_incomplete_event_ends_only_its_own_answer() {
    let server = Server::start(|seen| match seen.body["params"]["name"].as_str() {
        Some("long") => Reply::sse().event(&seen.text(&"x".repeat(10 << 20))),
        Some("half") => Reply::sse().bytes("data: {\"jsonrpc\"").piece(Piece::Break),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let proxy = proxy(&server).await;
    let got = proxy.post(&call(1, "long", json!({}))).await;
    assert!(got.status == 200 && got.body.len() > 10 << 20, "{}", got.body.len());
    let body = old_call(2, "half", json!({})).to_string();
    let mut stream = begun(&proxy, &body, body.len()).await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "it does not hang");
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains("data: {\"jsonrpc\"") && !text.ends_with("0\r\n\r\n"), "{text}");
    assert_eq!(proxy.post(&call(3, "t", json!({}))).await.status, 200);
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_does_not_block_other_requests() {
    let server = Server::start(|seen| match seen.body["params"]["name"].as_str() {
        Some("hang") => Reply::json(seen.text("late")).after(Duration::from_secs(120)),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let patient = |bridge: Bridge| bridge.with_silence(Some(Duration::from_secs(8)));
    let proxy = proxy_with(&server, patient).await;
    let dead = call("dead", "hang", json!({}));
    let alive = async {
        for id in 0..10 {
            assert_eq!(proxy.post(&call(id, "t", json!({}))).await.status, 200);
        }
    };
    let begun = Instant::now();
    let (got, ()) = tokio::join!(proxy.post(&dead), alive);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!((got.status, reason(&got.json())), (504, "silent"), "{}", got.body);
    assert_eq!(got.json()["id"], "dead");
}

#[tokio::test]
async fn a_tool_list_that_the_bridge_reads_is_bounded_in_time_and_size() {
    let server = Server::start(|seen| match seen.body["params"]["cursor"].as_str() {
        Some("hang") => Reply::sse().bytes("data: {").piece(Piece::Hang),
        Some("long") => Reply::sse().bytes("x".repeat(3 << 20)),
        Some("half") => Reply::sse().bytes("data: {").piece(Piece::Break),
        _ => Reply::json(seen.result(json!({ "tools": [] }))),
    })
    .await;
    let proxy = proxy_with(&server, |bridge| {
        let mut confirm = ConfirmPolicy::default();
        confirm.add("destructive").unwrap();
        let bridge = bridge.with_consent(confirm, ConsentVia::None).with_max_answer(1 << 20);
        bridge.with_silence(Some(Duration::from_secs(8)))
    })
    .await;
    for (cursor, status, why) in
        [("hang", 504, "silent"), ("long", 502, "answer_too_long"), ("half", 502, "ended")]
    {
        let mut list = request(cursor, "tools/list");
        list["params"]["cursor"] = cursor.into();
        let got = proxy.post(&list).await;
        assert_eq!((got.status, reason(&got.json())), (status, why), "{}", got.body);
        assert_eq!(got.json()["id"], cursor);
    }
    assert_eq!(proxy.post(&request(1, "tools/list")).await.status, 200);
}

#[tokio::test]
async fn a_tool_list_that_the_bridge_reads_is_requested_without_a_coding() {
    let server = Server::start(|seen| Reply::json(seen.result(json!({ "tools": [] })))).await;
    let proxy = proxy_with(&server, |bridge| {
        let mut confirm = ConfirmPolicy::default();
        confirm.add("destructive").unwrap();
        bridge.with_consent(confirm, ConsentVia::None)
    })
    .await;
    for method in ["tools/list", "prompts/list"] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string();
        let path = format!("POST /{SECRET}/mcp");
        assert_eq!(proxy.send(&path, &[("Accept-Encoding", "gzip")], &body).await.status, 200);
    }
    let codings: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.header("accept-encoding").map(str::to_owned))
        .collect();
    assert_eq!(codings, [Some("identity".to_owned()), Some("gzip".to_owned())]);
}

#[tokio::test]
async fn an_incomplete_request_of_a_client_is_not_signed() {
    let server = Server::start(usual).await;
    let proxy = proxy(&server).await;
    let body = old_call(1, "t", json!({})).to_string();
    drop(begun(&proxy, &body[..20], body.len()).await);
    // The length is too short: the body is not a message, and the bytes after it are not a request.
    let mut stream = begun(&proxy, &body, 20).await;
    let mut line = [0; 12];
    let read = stream.read_exact(&mut line);
    tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
    assert_eq!(&line, b"HTTP/1.1 400");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(server.seen().is_empty());
    assert_eq!(proxy.post(&call(1, "t", json!({}))).await.status, 200);
}

#[tokio::test]
async fn framing_that_two_servers_read_differently_smuggles_nothing() {
    let server = Server::start(usual).await;
    let proxy = proxy(&server).await;
    let inner = old_call("inner", "t", json!({})).to_string();
    let host = proxy.address;
    // The second request lacks the secret path, like a request of a web page. The bridge must check
    // it too, and not only the first.
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: 4, 4",
        "Content-Length : 4",
    ] {
        let text = format!(
            "POST /{SECRET}/mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{fields}\r\n\r\n0\r\n\r\nPOST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        );
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let read = stream.read_to_end(&mut all);
        let _ = tokio::time::timeout(Duration::from_millis(500), read).await;
        let text = String::from_utf8_lossy(&all);
        assert!(!text.contains("HTTP/1.1 2"), "{fields}: {text}");
    }
    assert!(server.seen().is_empty(), "nothing was signed");
}

#[tokio::test]
async fn shutdown_drains_answers_and_cuts_off_the_rest() {
    let server = Server::start(|seen| match seen.body["params"]["name"].as_str() {
        Some("hang") => Reply::sse().bytes("data: one\n\n").piece(Piece::Hang),
        _ => Reply::json(seen.text("late")).after(Duration::from_millis(300)),
    })
    .await;
    let mut limits = ServerLimits::default();
    limits.drain = Duration::from_secs(8);
    let (bridge, _) = bridge(&server.url());
    let mut proxy = proxy_of(bridge, limits).await;
    let body = old_call(1, "hang", json!({})).to_string();
    let _stream = begun(&proxy, &body, body.len()).await;
    let call = call(2, "t", json!({}));
    let stop = proxy.stop.take().unwrap();
    let stopping = async {
        server.until(|seen| seen.len() == 2).await;
        stop.send(()).unwrap();
    };
    let (got, ()) = tokio::join!(proxy.post(&call), stopping);
    assert_eq!(got.status, 200, "what can end does: {}", got.body);
    let run = (&mut proxy.run).await.unwrap();
    assert_eq!(run, 1, "the one that hangs is cut off");
    server.until_gone(1).await;
}

/// A key in an agent that the test can lock.
#[derive(Debug)]
struct Fickle {
    gone: Arc<AtomicBool>,
}

impl Sign for Fickle {
    fn public(&self) -> &PublicKey {
        static KEY: std::sync::OnceLock<PublicKey> = std::sync::OnceLock::new();
        KEY.get_or_init(|| key().public().clone())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        match self.gone.load(Ordering::SeqCst) {
            true => Err(SignError::new("the agent is locked")),
            false => key().sign(message),
        }
    }
}

#[tokio::test]
async fn a_key_that_does_not_sign_is_reported_and_nothing_is_sent() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let gone = Arc::new(AtomicBool::new(false));
    let fickle = || {
        let key = Arc::new(Fickle { gone: Arc::clone(&gone) });
        let signer = Arc::new(Signer::new(key, &Profile::mcp()).unwrap());
        let dialer = Dialer::new(
            tls::client_without_roots().unwrap(),
            DialRoute::Direct,
            Duration::from_secs(60),
        );
        let bridge = Bridge::new(&server.url(), dialer, signer, Arc::new(SystemClock), SysRng);
        bridge.unwrap().with_slow_key()
    };
    let proxy = proxy_of(fickle(), ServerLimits::default()).await;
    let mut client = Client::by((fickle(), crate::client::Said::default()));
    for locked in [false, true, false] {
        gone.store(locked, Ordering::SeqCst);
        let before = server.seen().len();
        let got = proxy.post(&call(1, "t", json!({}))).await;
        let answer = client.ask(&call(2, "t", json!({}))).await;
        if locked {
            assert_eq!((got.status, reason(&got.json())), (403, "not_signed"), "{}", got.body);
            assert!(got.body.contains("the agent is locked"), "{}", got.body);
            assert_eq!((reason(&answer), &answer["id"]), ("not_signed", &json!(2)), "{answer}");
            assert_eq!(server.seen().len(), before);
        } else {
            assert_eq!(got.status, 200, "{}", got.body);
            assert!(answer.get("result").is_some(), "{answer}");
        }
    }
}
