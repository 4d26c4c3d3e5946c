//! Tests of `Location` and similar fields in answers: a client that follows them must stay at the
//! gateway.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use http::Response;
use mcpid::tower::Paths;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::servers::{CALL, TestGateway, TestUpstream, Wire, body};

/// Starts a gateway with the endpoint `/public`, in front of an upstream with the endpoint `/mcp`.
/// The upstream answers with the `Location` that the test set last.
async fn redirecting(
    change: impl FnOnce(mcpid::gateway::GatewayConfig) -> mcpid::gateway::GatewayConfig,
) -> (TestUpstream, TestGateway, Arc<Mutex<Vec<u8>>>) {
    let location: Arc<Mutex<Vec<u8>>> = Arc::default();
    let shown = Arc::clone(&location);
    let behind = TestUpstream::with(move |_| {
        let location = shown.lock().unwrap().clone();
        let builder = Response::builder().status(307).header("location", location.clone());
        builder.header("content-location", location).body(body("")).unwrap()
    })
    .await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        let open = "/open".parse().unwrap();
        config.paths = Paths::at("/public").unwrap().with_open(open).unwrap();
        change(config)
    })
    .await;
    (behind, gateway, location)
}

#[tokio::test]
async fn upstream_address_is_rewritten_to_the_requested_origin() {
    let (behind, gateway, location) = redirecting(|config| config).await;
    let up = behind.address.to_string();
    let port = behind.address.port();
    let public = format!("http://{}", gateway.address);
    let mapped = |path: &str| format!("{public}{path}");
    let cases = [
        (format!("http://{up}/mcp"), mapped("/public")),
        (format!("http://{up}/mcp/"), mapped("/public/")),
        (format!("http://{up}/mcp/x?a=/mcp#/mcp"), mapped("/public/x?a=/mcp#/mcp")),
        (format!("http://{up}/mcp?q"), mapped("/public?q")),
        (format!("http://{up}/mcpx"), mapped("/mcpx")),
        (format!("http://{up}/other"), mapped("/other")),
        (format!("http://{up}"), mapped("")),
        (format!("http://{up}?q"), mapped("?q")),
        (format!("HTTP://{up}/mcp"), mapped("/public")),
        (format!("//{up}/mcp"), mapped("/public")),
        (format!("\\\\{up}\\mcp"), mapped("\\mcp")),
        (format!("/\\{up}/mcp"), mapped("/public")),
        (format!("http:/{up}/mcp"), mapped("/public")),
        (format!("http:{up}/mcp"), mapped("/public")),
        (format!("http:\\\\{up}/mcp"), mapped("/public")),
        (format!("http:///{up}/mcp"), mapped("/public")),
        (format!("ht\ttp://{up}/mcp"), mapped("/public")),
        ("/mcp".to_owned(), "/public".to_owned()),
        ("/mcp/?x".to_owned(), "/public/?x".to_owned()),
        // URLs with another scheme, host or port, or with user information, are not changed.
        (format!("https://{up}/mcp"), format!("https://{up}/mcp")),
        (format!("http://127.0.0.2:{port}/mcp"), format!("http://127.0.0.2:{port}/mcp")),
        ("http://127.0.0.1/mcp".to_owned(), "http://127.0.0.1/mcp".to_owned()),
        (format!("http://127.0.0.1:{port}1/mcp"), format!("http://127.0.0.1:{port}1/mcp")),
        (format!("http://me@{up}/mcp"), format!("http://me@{up}/mcp")),
        (format!("http://{up}@evil.example/mcp"), format!("http://{up}@evil.example/mcp")),
        (format!("http://{up}.evil.example/mcp"), format!("http://{up}.evil.example/mcp")),
        (format!("cursor://{up}/mcp"), format!("cursor://{up}/mcp")),
        (
            format!("https://a.example/?u=http://{up}/"),
            format!("https://a.example/?u=http://{up}/"),
        ),
        ("/other".to_owned(), "/other".to_owned()),
        ("x".to_owned(), "x".to_owned()),
        ("?x".to_owned(), "?x".to_owned()),
        ("#x".to_owned(), "#x".to_owned()),
    ];
    for (given, wanted) in cases {
        *location.lock().unwrap() = given.clone().into_bytes();
        let host = gateway.address.to_string();
        let signed = Wire::post(&host, "/public", CALL).sign(1, &gateway.url("/public"));
        for wire in [signed, Wire::get(&host, "/open")] {
            let reply = gateway.send(&wire).await;
            assert_eq!(reply.status, 307, "{reply:?}");
            for name in ["location", "content-location"] {
                assert_eq!(reply.header(name), Some(wanted.as_str()), "{given:?}");
            }
        }
    }
}

/// An upstream that gets the client's host uses it in its URLs, with the upstream's own scheme.
#[tokio::test]
async fn an_upstream_that_sees_the_public_host_names_it() {
    let (_, gateway, location) = redirecting(|mut config| {
        config.preserve_host = true;
        config
    })
    .await;
    let public = format!("http://{}", gateway.address);
    *location.lock().unwrap() = format!("{public}/mcp/").into_bytes();
    let host = gateway.address.to_string();
    let wire = Wire::post(&host, "/public", CALL).sign(1, &gateway.url("/public"));
    let reply = gateway.send(&wire).await;
    assert_eq!(reply.header("location"), Some(format!("{public}/public/").as_str()));
}

/// An answer never tells the client another address of the upstream.
#[tokio::test]
async fn alternative_services_are_not_passed_on() {
    let behind = TestUpstream::with(|_| {
        let builder = Response::builder().header("alt-svc", "h3=\":443\"; ma=2592000");
        builder.header("x-own", "kept").body(body("{}")).unwrap()
    })
    .await;
    let gateway = TestGateway::before(&behind).await;
    let reply = gateway.send(&gateway.signed(1, CALL)).await;
    assert_eq!((reply.header("alt-svc"), reply.header("x-own")), (None, Some("kept")));
}

/// curl, as the client, follows a redirect through the gateway.
#[tokio::test]
async fn curl_that_follows_a_redirect_stays_at_the_gateway() {
    let (behind, gateway, location) = redirecting(|config| config).await;
    for given in [format!("http://{}/mcp", behind.address), format!("//{}/mcp", behind.address)] {
        *location.lock().unwrap() = given.into_bytes();
        let before = behind.got().len();
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sSL", "--max-redirs", "3", "-o", "/dev/null", "-w", "%{url_effective}"]);
        curl.arg(gateway.url("/open")).stderr(Stdio::null());
        let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().unwrap();
        let last = String::from_utf8(output.stdout).unwrap();
        assert_eq!(last, gateway.url("/public"), "{last}");
        for got in behind.got().iter().skip(before) {
            assert!(got.header("x-forwarded-host").is_some(), "past the gateway: {got:?}");
        }
    }
}

/// Starts an upstream that answers every request with the same bytes.
async fn raw(bytes: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut piece = [0; 8192];
                let _ = stream.read(&mut piece).await;
                let _ = stream.write_all(bytes.as_bytes()).await;
            });
        }
    });
    address
}

/// If an answer has chunked coding and a length, the client does not get the length (RFC 9112
/// section 6.3).
#[tokio::test]
async fn an_answer_with_two_lengths_is_whole_or_refused() {
    let chunks = "10\r\n0123456789abcdef\r\n0\r\n\r\n";
    for (head, tail, status, whole) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", chunks, 200, "0123456789abcdef"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 99", chunks, 200, "0123456789abcdef"),
        (
            "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
            chunks,
            200,
            "0123456789abcdef",
        ),
        ("Content-Length: 4\r\nContent-Length: 4", "abcd", 200, "abcd"),
        ("Content-Length: 4, 4", "abcd", 200, "abcd"),
        ("Content-Length: 4, 5", "abcd", 502, ""),
        ("Transfer-Encoding: gzip, chunked", chunks, 502, ""),
        ("Transfer-Encoding: gzip", "abcd", 502, ""),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks, 502, ""),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{tail}");
        let address = raw(bytes.leak()).await;
        let behind = TestUpstream::new().await;
        let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
            let url = format!("http://{address}/mcp");
            config.role =
                mcpid::gateway::GatewayRole::Proxy(mcpid::gateway::Upstream::parse(&url).unwrap());
            config
        })
        .await;
        let reply = gateway.send(&gateway.signed(1, CALL)).await;
        assert_eq!(reply.status, status, "{head}: {reply:?}");
        if status == 200 {
            let text = String::from_utf8_lossy(&reply.body);
            assert!(text.contains(whole), "{head}: {text}");
            let lengths = reply.head.to_lowercase().matches("content-length").count();
            let codings = reply.head.to_lowercase().matches("transfer-encoding").count();
            assert_eq!(lengths + codings, 1, "{head}: {}", reply.head);
        }
    }
}
