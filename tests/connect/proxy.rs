//! Tests of a bridge that connects to the server through an HTTP proxy.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::client::call;
use crate::program::{connect, err, folder, messages, piped};
use crate::server::{NAME, Reply, Server, free_address};

/// A proxy that records the heads of CONNECT requests and answers with `answer`. If that is a 200,
/// it makes a tunnel to `to`, and ignores the requested target.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(to: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || tunnel(stream, to, answer, &noted));
            }
        });
        Proxy { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(mut stream: TcpStream, to: SocketAddr, answer: &str, heads: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    heads.lock().unwrap().push(head);
    if stream.write_all(answer.as_bytes()).is_err() || !answer.contains(" 200 ") {
        return;
    }
    let mut there = TcpStream::connect(to).unwrap();
    let mut back = there.try_clone().unwrap();
    let mut out = stream;
    std::thread::spawn(move || std::io::copy(&mut back, &mut out));
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        if there.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
    let _ = there.shutdown(std::net::Shutdown::Write);
}

const GOOD: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// Makes two calls to `url`, by a bridge with these environment variables.
async fn run(url: &str, variables: &[(&str, String)]) -> Output {
    let folder = folder();
    let mut command = connect(folder.path(), &["-v", url]);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    piped(command, vec![call(1, "t", json!({})), call(2, "t", json!({}))]).await
}

async fn server() -> (Server, String) {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let url = format!("http://{NAME}:{}/mcp", server.address.port());
    (server, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_requests_go_through_a_tunnel_and_the_password_is_shown_nowhere() {
    let (server, url) = server().await;
    let proxy = Proxy::start(server.address, GOOD);
    let with_user = format!("http://user:p4ss%21@{}", proxy.address);
    for (variable, value) in [
        ("HTTP_PROXY", with_user.clone()),
        ("http_proxy", with_user.clone()),
        ("ALL_PROXY", with_user.clone()),
        ("all_proxy", proxy.address.to_string()),
    ] {
        let output = run(&url, &[(variable, value.clone())]).await;
        let answers = messages(&output);
        assert!(answers.len() == 2 && answers[0].get("result").is_some(), "{output:?}");
        let head = proxy.heads().pop().unwrap();
        let asked = format!("CONNECT {NAME}:{} HTTP/1.1\r\n", server.address.port());
        assert!(head.starts_with(&asked), "{head}");
        assert_eq!(head.contains("Basic dXNlcjpwNHNzIQ=="), value == with_user, "{head}");
        let shown = format!("{} {}", err(&output), String::from_utf8_lossy(&output.stdout));
        assert!(!shown.contains("p4ss") && !shown.contains("dXNlcjpw"), "{shown}");
        let words = format!("connections go through the proxy {}", proxy.address);
        assert!(shown.contains(&words), "{shown}");
    }
    assert!(server.seen().iter().all(|seen| seen.header("proxy-authorization").is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_and_loopback_are_reached_directly() {
    let (server, url) = server().await;
    let proxy = Proxy::start(server.address, GOOD);
    let set = ("ALL_PROXY", format!("http://{}", proxy.address));
    let output = run(&server.url(), std::slice::from_ref(&set)).await;
    assert_eq!(messages(&output).len(), 2, "{output:?}");
    let output = run(&url, &[set.clone(), ("NO_PROXY", "example.test".to_owned())]).await;
    assert_eq!(messages(&output)[0]["error"]["data"]["reason"], "dns", "{output:?}");
    // Variables for the other URL scheme, and empty variables, have no effect.
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let output = run(&url, &[(name, set.1.clone())]).await;
        assert_eq!(messages(&output)[0]["error"]["data"]["reason"], "dns", "{output:?}");
    }
    let output = run(&url, &[("HTTP_PROXY", String::new())]).await;
    assert_eq!(messages(&output)[0]["error"]["data"]["reason"], "dns", "{output:?}");
    // In a CGI program, a client's `Proxy` header sets HTTP_PROXY, so the bridge ignores the
    // variable there.
    let cgi = ("REQUEST_METHOD", "GET".to_owned());
    let output = run(&url, &[cgi, ("HTTP_PROXY", set.1.clone())]).await;
    assert_eq!(messages(&output)[0]["error"]["data"]["reason"], "dns", "{output:?}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_makes_no_tunnel_is_named_with_the_reason() {
    let (server, url) = server().await;
    for (answer, why) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "it wants a user and a password"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "it refuses to connect to the server"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "it refuses to connect to the server"),
        ("SSH-2.0-x\r\n\r\n", "it refuses to connect to the server"),
        ("", "it closes the connection"),
    ] {
        let proxy = Proxy::start(server.address, answer);
        let value = format!("http://user:p4ss@{}", proxy.address);
        let output = run(&url, &[("ALL_PROXY", value)]).await;
        let error = messages(&output)[0]["error"].clone();
        assert_eq!(error["data"]["reason"], "proxy", "{error}");
        let words = format!("no connection through the proxy {}: {why}", proxy.address);
        assert!(error["message"].as_str().unwrap().starts_with(&words), "{error}");
        assert!(!format!("{output:?}").contains("p4ss"), "{output:?}");
    }
    let free = free_address();
    let output = run(&url, &[("ALL_PROXY", format!("http://{free}"))]).await;
    let error = messages(&output)[0]["error"].clone();
    assert_eq!(error["data"]["reason"], "proxy", "{error}");
    assert!(error["message"].as_str().unwrap().ends_with(": nothing listens there"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_cannot_be_used_is_refused_at_the_start() {
    for (value, words) in [
        ("socks5h://user:p4ss@127.0.0.1:1080", "only http://HOST:PORT is supported"),
        ("https://user:p4ss@127.0.0.1:1", "only http://HOST:PORT is supported"),
        ("http://user:p4ss@127.0.0.1:port", "is no URL of a proxy"),
        ("user p4ss", "is no URL of a proxy"),
    ] {
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
            let output = run("https://mcp.example.test/", &[(name, value.to_owned())]).await;
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            assert!(err(&output).contains(words), "{}", err(&output));
            assert!(err(&output).contains("NO_PROXY=mcp.example.test"), "{}", err(&output));
            assert!(!err(&output).contains("p4ss"), "{}", err(&output));
        }
    }
}
