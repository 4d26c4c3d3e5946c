//! Tests of what the upstream learns of the URL that the client called: the host (with
//! `--preserve-host`), also over HTTP/2, and the scheme.

use std::fs;
use std::process::Stdio;

use mcpid::gateway::log::LogLine;
use tokio::io::AsyncWriteExt as _;

use crate::operation::{Started, wait_until};
use crate::servers::{CALL, Reply, TestUpstream, Wire};
use crate::tls::certificate;

const HOST: &str = "mcp.example.com";

async fn send(started: &Started, wire: &Wire) -> Reply {
    let mut stream = started.connect().await;
    stream.write_all(&wire.bytes()).await.unwrap();
    Reply::read(&mut stream).await
}

/// The upstream is a second gateway, which speaks HTTP/2 and refuses a request with two different
/// hosts. Its certificate is not for the host that the client names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_of_the_client_reaches_an_upstream_that_speaks_http2() {
    let behind = TestUpstream::new().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (cert, key) = certificate(folders[0].path(), "inner");
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let log = folders[0].path().join("log");
    let path = log.to_str().unwrap();
    let origins = ["--origin", "https://mcp.example.com", "--origin", "https://other.example"];
    let inner_args = ["--mode", "permissive", "--tls-cert", cert, "--tls-key", key, "--log", path];
    let inner_args = [&inner_args[..], &origins].concat();
    let inner = Started::new(&folders[0], &behind, Stdio::null(), &inner_args);
    drop(inner.connect().await);
    let upstream = format!("https://{}/mcp", inner.address.replace("127.0.0.1", "localhost"));
    let keeping = ["--mode", "permissive", "--preserve-host", "--upstream-ca", cert];
    let keeping = [&keeping[..], &origins].concat();
    let outer = Started::before(&folders[1], &upstream, Stdio::null(), &keeping);
    // Requests for both hosts go over connections to the same upstream.
    for host in [HOST, "other.example", HOST] {
        let own = format!("https://{host}");
        let reply = send(&outer, &Wire::post(host, "/mcp", CALL).with("Origin", &own)).await;
        assert_eq!(reply.status, 200, "{host}: {reply:?}");
        let got = behind.got().pop().unwrap();
        // The second gateway tells its own upstream the host of the client's request.
        assert_eq!(got.header("x-forwarded-host"), Some(host));
        assert_eq!(got.header("x-forwarded-proto"), Some("https"));
        assert_eq!(got.header("host"), Some(behind.address.to_string().as_str()));
    }
    let lines = || -> Vec<LogLine> {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter_map(|line| LogLine::parse(line.as_bytes())).collect()
    };
    wait_until("the log has no three lines", || lines().len() == 3);
    for line in lines() {
        assert_eq!(line.http.unwrap().as_str(), "2");
    }
    // If the host is not one of the configured origins, the first gateway refuses the request.
    let foreign = send(&outer, &Wire::post("localhost", "/mcp", CALL)).await;
    assert_eq!((foreign.status, behind.got().len()), (421, 3));
}

/// If the gateway has origins of both schemes, it tells the upstream the scheme with which it
/// verified the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstream_learns_the_scheme_of_the_origin_that_the_request_names() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let origins = [
        ["--origin", "https://mcp.example.com"],
        ["--origin", "http://both.example"],
        ["--origin", "https://both.example"],
        ["--origin", "http://plain.example:8080"],
    ];
    let args = [&["--mode", "permissive"][..], &origins.concat()].concat();
    let gateway = Started::new(&folder, &behind, Stdio::null(), &args);
    for (host, line, scheme) in [
        (HOST, "/mcp", "https"),
        ("MCP.example.com:443", "/mcp", "https"),
        ("plain.example:8080", "/mcp", "http"),
        // The request does not show which of the two origins it is for, so the first one is used.
        ("both.example", "/mcp", "http"),
        ("both.example:443", "/mcp", "https"),
        ("both.example", "https://both.example/mcp", "https"),
        ("both.example", "http://both.example/mcp", "http"),
        (HOST, "https://mcp.example.com/mcp", "https"),
    ] {
        let wire = Wire::post(host, line, CALL).with("X-Forwarded-Proto", "ftp");
        let reply = send(&gateway, &wire).await;
        assert_eq!(reply.status, 200, "{host} {line}: {reply:?}");
        let got = behind.got().pop().unwrap();
        let told: Vec<_> = got.headers.get_all("x-forwarded-proto").iter().collect();
        assert_eq!(told, [scheme], "{host} {line}");
    }
}
