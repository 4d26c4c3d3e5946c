//! Tests of a bridge that listens on loopback for clients that speak HTTP, and of requests that
//! must not use the bridge's key.

use std::net::SocketAddr;
use std::time::Duration;

use mcpid::connect::consent::ConfirmPolicy;
use mcpid::connect::{Bridge, LoopbackAccess};
use mcpid::message::target::Origin;
use mcpid::net::{ListenAddress, Listener, Server as Front, ServerLimits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{bridge, call, old_call, request};
use crate::server::{Piece, Reply, Server};
use crate::sessions::{initialize, usual};

pub(crate) const SECRET: &str = "0123456789abcdefghijkl";

/// A bridge that listens on loopback.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) run: tokio::task::JoinHandle<usize>,
    pub(crate) stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.run.abort();
    }
}

pub(crate) async fn proxy_of(bridge: Bridge, limits: ServerLimits) -> Proxy {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let ListenAddress::Tcp(address) = *listener.address() else { unreachable!() };
    let access = LoopbackAccess::new(listener.address(), SECRET)
        .with_origin(Origin::parse("https://app.example").unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        if stopped.await.is_err() {
            std::future::pending().await
        }
    };
    let run = tokio::spawn(bridge.http(Front::new(listener, limits), access, stopped));
    Proxy { address, run, stop: Some(stop) }
}

pub(crate) async fn proxy_with(server: &Server, change: impl FnOnce(Bridge) -> Bridge) -> Proxy {
    proxy_of(change(bridge(&server.url()).0), ServerLimits::default()).await
}

pub(crate) async fn proxy(server: &Server) -> Proxy {
    proxy_with(server, |bridge| bridge).await
}

/// An answer that the bridge gave over HTTP.
pub(crate) struct ReceivedAnswer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl ReceivedAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (there, value) = line.split_once(": ")?;
            there.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }
}

impl Proxy {
    /// Sends a valid request with these header fields changed. An empty value removes the field.
    pub(crate) async fn send(
        &self,
        line: &str,
        changes: &[(&str, &str)],
        body: &str,
    ) -> ReceivedAnswer {
        let mut fields = vec![
            ("Host".to_owned(), self.address.to_string()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
            ("Content-Length".to_owned(), body.len().to_string()),
            ("Connection".to_owned(), "close".to_owned()),
        ];
        for (name, value) in changes {
            fields.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                fields.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        let mut text = format!("{line} HTTP/1.1\r\n");
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = body.to_owned();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            let lines = body.split("\r\n").collect::<Vec<_>>();
            body = lines.iter().skip(1).step_by(2).copied().collect();
        }
        ReceivedAnswer { status, head: head.to_owned(), body }
    }

    /// Sends `message` with the header fields that a client of the message's revision sends.
    pub(crate) async fn post(&self, message: &Value) -> ReceivedAnswer {
        let params = &message["params"];
        let version = &params["_meta"]["io.modelcontextprotocol/protocolVersion"];
        let mut fields = Vec::new();
        if let Some(version) = version.as_str() {
            fields.push(("MCP-Protocol-Version", version));
            fields.push(("Mcp-Method", message["method"].as_str().unwrap()));
            fields.extend(params["name"].as_str().map(|name| ("Mcp-Name", name)));
        }
        self.send(&format!("POST /{SECRET}/mcp"), &fields, &message.to_string()).await
    }
}

#[tokio::test]
async fn a_request_of_the_client_arrives_signed_and_the_answer_comes_back() {
    let server = Server::start(usual).await;
    let proxy = proxy(&server).await;
    let got = proxy.post(&initialize()).await;
    assert_eq!((got.status, got.header("mcp-session-id")), (200, Some("session-1")));
    let fields = [
        ("Mcp-Session-Id", "session-1"),
        ("MCP-Protocol-Version", "2025-11-25"),
        ("Authorization", "Bearer token"),
        ("Cookie", "a=b"),
        ("Forwarded", "for=1"),
        ("Signature", "mcp=:AAAA:"),
        ("Signature-Input", "mcp=();nonce=\"x\""),
        ("Content-Digest", "sha-256=:AAAA:"),
    ];
    let path = format!("/{SECRET}/mcp");
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "t" } });
    let got = proxy.send(&format!("POST {path}"), &fields, &body.to_string()).await;
    assert_eq!(got.json()["result"]["content"][0]["text"], "ok");
    assert_eq!(proxy.send(&format!("GET {path}"), &[("Content-Type", "")], "").await.status, 405);
    assert_eq!(proxy.send(&format!("DELETE {path}"), &fields[..1], "").await.status, 200);
    let seen = server.seen();
    let methods: Vec<_> = seen.iter().map(|seen| &*seen.method).collect();
    assert_eq!(methods, ["POST", "POST", "GET", "DELETE"]);
    assert_eq!(seen[1].header("mcp-session-id"), Some("session-1"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer token"));
    for name in ["cookie", "forwarded"] {
        assert_eq!(seen[1].header(name), None, "{name}");
    }
    assert_eq!(seen[1].path, "/mcp", "the secret stays here");
    assert!(seen.iter().all(|seen| !format!("{:?}", seen.headers).contains(SECRET)));
}

#[tokio::test]
async fn fields_that_the_client_left_out_stay_out() {
    // The bridge does not add the header fields that repeat the body. The client has to send them,
    // and the server reports missing ones.
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let proxy = proxy(&server).await;
    let got = proxy.post(&old_call(1, "t", json!({}))).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let seen = &server.seen()[0];
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(proxy.post(&call(2, "t", json!({}))).await.status, 200);
    let seen = &server.seen()[1];
    assert_eq!(seen.header("mcp-name"), Some("t"));
    let body = call(3, "t", json!({})).to_string();
    let got = proxy.send(&format!("POST /{SECRET}/mcp"), &[], &body).await;
    assert_eq!(got.status, 599, "the server did not miss them: {}", got.body);
    assert!(got.body.contains("MCP-Protocol-Version is absent"), "{}", got.body);
}

#[tokio::test]
async fn only_allowed_requests_use_the_key() {
    let server = Server::start(usual).await;
    let proxy = proxy(&server).await;
    let path = format!("/{SECRET}/mcp");
    let post = format!("POST {path}");
    let body = old_call(1, "t", json!({})).to_string();
    let port = proxy.address.port();
    let rebound = format!("rebound.example:{port}");
    let name = format!("127.0.0.1:{}", port ^ 1);
    for (line, fields, status) in [
        ("POST /", vec![], 404),
        ("POST /mcp", vec![], 404),
        ("POST /0123456789abcdefghijkm/mcp", vec![], 404),
        (&*format!("{post}/"), vec![], 404),
        (&*format!("{post}?x=1"), vec![], 404),
        (&*format!("POST //{SECRET}/mcp"), vec![], 404),
        (&*post, vec![("Host", "")], 403),
        (&*post, vec![("Host", &*rebound)], 403),
        (&*post, vec![("Host", &*name)], 403),
        (&*post, vec![("Origin", "https://evil.example")], 403),
        (&*post, vec![("Origin", "null")], 403),
        (&*post, vec![("Origin", "https://app.example.evil.example")], 403),
        (&*post, vec![("Sec-Fetch-Site", "cross-site")], 403),
        (&*post, vec![("Sec-Fetch-Site", "same-site")], 403),
        // A form on any web page can send these content types.
        (&*post, vec![("Content-Type", "text/plain")], 415),
        (&*post, vec![("Content-Type", "application/x-www-form-urlencoded")], 415),
        (&*post, vec![("Content-Type", "text/plain; application/json")], 415),
        // Browsers treat the first two values as text/plain, and so send them without a preflight.
        (&*post, vec![("Content-Type", "text/plain;,application/json")], 415),
        (&*post, vec![("Content-Type", "text/plain;a=\",application/json\"")], 415),
        (&*post, vec![("Content-Type", "application/json, text/plain")], 415),
        (&*post, vec![("Content-Type", "")], 415),
        (&*post, vec![("Content-Encoding", "gzip")], 400),
        (&*format!("GET {path}"), vec![("Accept", "text/html")], 406),
        (&*format!("GET {path}"), vec![], 400),
        (&*format!("PUT {path}"), vec![], 405),
        (&*format!("OPTIONS {path}"), vec![], 405),
        (&*format!("OPTIONS {path}"), vec![("Origin", "https://evil.example")], 403),
    ] {
        let got = proxy.send(line, &fields, &body).await;
        assert_eq!(got.status, status, "{line} {fields:?}: {}", got.body);
        assert_eq!(got.header("access-control-allow-origin"), None, "{line} {fields:?}");
        assert!(!got.body.contains(SECRET) && !got.head.contains(SECRET));
    }
    for body in ["", "{", "[]", r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#] {
        assert_eq!(proxy.send(&post, &[], body).await.status, 400, "{body}");
    }
    assert!(server.seen().is_empty(), "nothing was signed");
    assert_eq!(proxy.send(&post, &[], &body).await.status, 200, "the one that is good");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_a_preflight_and_read() {
    let server = Server::start(usual).await;
    let proxy = proxy(&server).await;
    let path = format!("/{SECRET}/mcp");
    let page = ("Origin", "https://app.example");
    let asked = ("Access-Control-Request-Headers", "content-type, x-odd");
    let preflight = [page, asked, ("Access-Control-Request-Method", "POST")];
    let got = proxy.send(&format!("OPTIONS {path}"), &preflight, "").await;
    assert_eq!(got.status, 204);
    assert_eq!(got.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(got.header("access-control-allow-headers"), Some("content-type, x-odd"));
    assert_eq!(got.header("access-control-allow-credentials"), None);
    assert!(server.seen().is_empty(), "a preflight is never signed");
    let fields = [page, ("Sec-Fetch-Site", "cross-site")];
    let got = proxy
        .send(&format!("POST {path}"), &fields, &old_call(1, "t", json!({})).to_string())
        .await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(got.header("access-control-expose-headers").unwrap().contains("Mcp-Session-Id"));
    let seen = &server.seen()[0];
    assert_eq!((seen.header("origin"), seen.header("sec-fetch-site")), (None, None));
}

#[tokio::test]
async fn events_pass_at_once_and_a_client_that_goes_closes_the_request() {
    let server = Server::start(|_| Reply::sse().bytes("data: one\n\n").piece(Piece::Hang)).await;
    let proxy = proxy(&server).await;
    let body = old_call(1, "t", json!({})).to_string();
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!(
        "POST /{SECRET}/mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        proxy.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = String::new();
    while !read.contains("data: one\n\n") {
        let mut bytes = [0; 1024];
        let wait = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut bytes));
        let n = wait.await.unwrap().unwrap();
        read += std::str::from_utf8(&bytes[..n]).unwrap();
    }
    drop(stream);
    server.until_gone(1).await;
}

#[tokio::test]
async fn faults_are_answered_with_the_id_and_a_status() {
    let server = Server::start(|seen| match seen.body["params"]["name"].as_str() {
        Some("moved") => Reply::status(301).with("location", "https://other.example/mcp"),
        _ => Reply::error(403, seen, -31401, "key_unknown"),
    })
    .await;
    let proxy = proxy(&server).await;
    let got = proxy.post(&call("a", "moved", json!({}))).await;
    assert_eq!((got.status, &got.json()["id"]), (502, &json!("a")));
    assert!(got.body.contains("https://other.example/mcp"), "{}", got.body);
    // The bridge passes the server's refusal on unchanged.
    let got = proxy.post(&call("b", "t", json!({}))).await;
    assert_eq!((got.status, &got.json()["error"]["data"]["reason"]), (403, &json!("key_unknown")));
    let long = call("c", "t", json!({ "text": "x".repeat(5 << 20) }));
    assert_eq!(proxy.post(&long).await.status, 413);
    server.end().await;
    let got = proxy.post(&call("d", "t", json!({}))).await;
    assert_eq!((got.status, &got.json()["error"]["data"]["reason"]), (502, &json!("connect")));
}

#[tokio::test]
async fn call_that_needs_consent_is_not_signed_unasked() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/list" => {
            let tools = json!([{ "name": "get", "annotations": { "readOnlyHint": true } }]);
            let list = seen.result(json!({ "tools": tools }));
            if seen.n % 2 == 0 { Reply::json(list) } else { Reply::sse().event(&list) }
        }
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    for _ in 0..2 {
        let mut confirm = ConfirmPolicy::default();
        confirm.add("destructive").unwrap();
        let asking = mcpid::connect::ConsentVia::None;
        let proxy = proxy_with(&server, |bridge| bridge.with_consent(confirm, asking)).await;
        let got = proxy.post(&call(1, "get", json!({}))).await;
        assert_eq!((got.status, &got.json()["error"]["data"]["reason"]), (403, &json!("declined")));
        assert!(proxy.post(&request(2, "tools/list")).await.body.contains("readOnlyHint"));
        assert_eq!(proxy.post(&call(3, "get", json!({}))).await.status, 200);
        assert_eq!(proxy.post(&call(4, "drop", json!({}))).await.status, 403);
    }
}

#[tokio::test]
async fn only_the_owner_can_open_the_unix_socket() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start(usual).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let address: ListenAddress = format!("unix:{}", path.display()).parse().unwrap();
    let listener = Listener::bind(&address).await.unwrap();
    let access = LoopbackAccess::new(listener.address(), SECRET);
    let (bridge, _) = bridge(&server.url());
    let front = Front::new(listener, ServerLimits::default());
    let run = tokio::spawn(bridge.http(front, access, std::future::pending()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let body = old_call(1, "t", json!({})).to_string();
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    run.abort();
}
