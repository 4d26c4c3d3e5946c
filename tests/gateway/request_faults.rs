//! Tests of requests that are refused before a signature is checked, and of how the gateway sends
//! accepted ones: never with the client's own framing.

use crate::servers::{CALL, TestGateway, TestUpstream};

/// Each request is signed, with one change to a part that no signature covers. All are refused.
#[tokio::test]
async fn ambiguous_framing_or_target_is_refused() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let host = gateway.address.to_string();
    let accepted = gateway.send(&gateway.signed(1, CALL)).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    assert_eq!(behind.got().len(), 1);

    let signed = || gateway.signed(1, CALL);
    let length = CALL.len();
    let chunked = format!("{:x}\r\n{CALL}\r\n0\r\n\r\n", length);
    let chunks = |coding: &str| {
        let mut wire = signed().with("Transfer-Encoding", coding);
        wire.body = chunked.clone().into_bytes();
        wire
    };
    let replaced = |name: &str, value: &str| {
        let mut wire = signed();
        wire.fields.iter_mut().find(|(n, _)| n == name).unwrap().1 = value.to_owned();
        wire
    };
    let mut no_host = signed();
    no_host.fields.remove(0);
    let cases = [
        ("no host", no_host, 400, "host"),
        ("two hosts", signed().with("Host", &host), 400, "host"),
        ("another host", replaced("Host", "other.example"), 421, "target_mismatch"),
        ("a host with a user", replaced("Host", &format!("me@{host}")), 400, "user_information"),
        (
            "absolute form for another host",
            signed().line("POST http://other.example/mcp HTTP/1.1"),
            400,
            "host",
        ),
        (
            "absolute form with a user",
            signed().line(&format!("POST http://me:pw@{host}/mcp HTTP/1.1")),
            400,
            "user_information",
        ),
        ("gzip, chunked", chunks("gzip, chunked"), 501, "transfer_coding"),
        ("chunked, chunked", chunks("chunked, chunked"), 501, "transfer_coding"),
        ("hiding a field", signed().with("Connection", "close, signature"), 400, "connection"),
        ("hiding a field", signed().with("Connection", "mcp-session-id"), 400, "connection"),
        ("trace", signed().line("TRACE /mcp HTTP/1.1"), 405, "method"),
        ("connect", signed().line(&format!("CONNECT {host} HTTP/1.1")), 405, "method"),
        ("expect", signed().with("Expect", "a miracle"), 417, "expectation_failed"),
    ];
    for (what, wire, status, reason) in cases {
        let reply = gateway.send(&wire).await;
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{what}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    }
    assert_eq!(behind.got().len(), 1, "nothing of all that reached the upstream");
}

/// Chunks, trailers and lengths that the client sent are not passed on: the upstream gets one
/// length and the signed bytes.
#[tokio::test]
async fn a_fresh_head_is_built_for_the_upstream() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let mut wire =
        gateway.signed(1, CALL).with("Transfer-Encoding", "chunked").with("TE", "trailers");
    let (first, rest) = CALL.split_at(10);
    wire.body =
        format!("a;x=1\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\nMcp-Name: other\r\n\r\n", rest.len())
            .into_bytes();
    let reply = gateway.send(&wire).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let got = behind.got().remove(0);
    assert_eq!(got.body, CALL);
    assert_eq!(got.header("content-length"), Some(CALL.len().to_string().as_str()));
    for name in ["transfer-encoding", "te", "trailer", "mcp-name", "connection"] {
        assert_eq!(got.header(name), None, "{name}");
    }
}

/// Permissive mode too refuses requests with a fault of framing, host or size: these are checked in
/// every mode.
#[tokio::test]
async fn permissive_mode_waives_no_check_of_framing_host_or_size() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.modes = mcpid::tower::LearningModes::new(mcpid::tower::Modes::permissive());
        config
    })
    .await;
    assert_eq!(gateway.send(&gateway.plain(CALL)).await.status, 200);
    let host = gateway.address.to_string();
    let other = |line: &str| gateway.plain(CALL).line(line);
    for (wire, status) in [
        (gateway.plain(CALL).with("Host", &host), 400),
        (other("POST http://other.example/mcp HTTP/1.1"), 400),
        (other("POST /mcp#x HTTP/1.1"), 400),
        (gateway.plain(CALL).with("Content-Length", "1").with("Content-Length", "1"), 400),
        (other("POST /elsewhere HTTP/1.1"), 404),
        (gateway.plain(CALL).with("Connection", "x"), 400),
        (gateway.plain(CALL).with("Origin", "https://evil.example"), 403),
        (gateway.plain(&" ".repeat((4 << 20) + 1)), 413),
        (gateway.plain(CALL).with("X", &"x".repeat(65 * 1024)), 431),
    ] {
        let reply = gateway.send(&wire).await;
        assert_eq!(reply.status, status, "{}: {}", wire.line, reply.head);
    }
    assert_eq!(behind.got().len(), 1);
}
