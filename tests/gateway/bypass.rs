//! Attacks that try to bypass verification by another path, another spelling of a field, or another
//! session.

use http::Response;
use http::header::{HeaderName, HeaderValue};
use mcpid::nonce::NonceStore;
use mcpid::tower::{OpenPath, PathError, Paths};
use mcpid::verify::ReplayCheck;

use crate::servers::{CALL, INITIALIZE, Reply, TestGateway, TestUpstream, Wire, body, rules};
use crate::tls::{answer, connect, multiplexed};

/// If the upstream has the endpoint at another path than the clients use, clients cannot reach it
/// by the upstream's path either.
#[tokio::test]
async fn an_open_path_does_not_lead_to_the_endpoint_of_the_server_behind() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        let open = "/*".parse().unwrap();
        config.paths = Paths::at("/public").unwrap().with_open(open).unwrap();
        config
    })
    .await;
    let host = gateway.address.to_string();
    for path in ["/mcp", "/mcp/", "/MCP", "/mcp/x", "/m%63p", "/mcp%20", "/public/", "/public/x"] {
        let reply = gateway.send(&Wire::post(&host, path, CALL)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (404, "not_found"), "{path}");
    }
    assert!(behind.got().is_empty(), "{:?}", behind.got());
    // Other paths are forwarded without verification, and the endpoint is at the public path.
    assert_eq!(gateway.send(&Wire::get(&host, "/status")).await.status, 200);
    let signed = Wire::post(&host, "/public", CALL).sign(1, &gateway.url("/public"));
    assert_eq!(gateway.send(&signed).await.status, 200);
    assert_eq!(behind.got().pop().unwrap().target, "/mcp");
}

/// CGI and similar interfaces replace every character that is not a letter or digit by `_`, so that
/// `mcpid_key` looks like `mcpid-key`. The gateway must not pass such names on.
#[tokio::test]
async fn no_spelling_of_a_field_forges_another() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let mut wire = gateway.signed(1, CALL);
    let odd = ["Mcpid.Status", "Mcpid~Name", "mcpid|key|id", "Mcp.Session.Id", "X!Forwarded!For"];
    for name in odd {
        wire = wire.with(name, "forged");
    }
    let reply = gateway.send(&wire).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    for (name, value) in &behind.got()[0].headers {
        assert_ne!(value, "forged", "{name}");
    }
}

/// HTTP/2 allows several `Cookie` lines, and a translation to HTTP/1.1 joins them (RFC 9113 section
/// 8.2.3).
#[tokio::test]
async fn cookie_fields_of_http_2_are_joined_into_one_line() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let mut client = connect(&gateway).await;
    let mut request = multiplexed(&gateway.signed(1, CALL), &gateway.url("/mcp"));
    request.headers_mut().append("cookie", HeaderValue::from_static("a=1"));
    request.headers_mut().append("cookie", HeaderValue::from_static("b=2"));
    assert_eq!(answer(&mut client, request).await.0, 200);
    let got = behind.got().remove(0);
    let lines: Vec<_> = got.headers.get_all("cookie").iter().collect();
    assert_eq!(lines, ["a=1; b=2"]);
}

/// HTTP/2 allows spaces around a field's value. The gateway removes them for the upstream.
#[tokio::test]
async fn spaces_around_a_session_id_do_not_change_the_session() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let mut client = connect(&gateway).await;
    let spaced = |key: u8, id: &'static str| {
        let wire =
            gateway.plain(CALL).with("Mcp-Session-Id", id.trim()).sign(key, &gateway.url("/mcp"));
        let mut request = multiplexed(&wire, &gateway.url("/mcp"));
        let name = HeaderName::from_static("mcp-session-id");
        request.headers_mut().insert(name, HeaderValue::from_static(id));
        request
    };
    let (first, second) = (spaced(1, " old"), spaced(2, "old"));
    assert_eq!(answer(&mut client, first).await.0, 200);
    let (status, body) = answer(&mut client, second).await;
    assert_eq!(status, 403, "{body}");
}

/// Implementations differ in which of two session ids they use, so a request with two ids is
/// refused.
#[tokio::test]
async fn an_answer_that_opens_two_sessions_is_not_passed_on() {
    let behind = TestUpstream::with(|_| {
        let builder = Response::builder().header("mcp-session-id", "a");
        builder.header("mcp-session-id", "b").body(body("{}")).unwrap()
    })
    .await;
    let gateway = TestGateway::before(&behind).await;
    let reply = gateway.send(&gateway.signed(1, INITIALIZE)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream_broken"), "{reply:?}");
    assert_eq!(reply.header("mcp-session-id"), None);
}

/// A server without sessions accepts any session id, and the gateway stores for each which key uses
/// it. One key must not be able to fill this table and so keep out the others.
#[tokio::test]
async fn one_key_does_not_fill_the_table_of_sessions() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.sessions = 16;
        config
    })
    .await;
    let ask = |key: u8, id: String| {
        gateway.plain(CALL).with("Mcp-Session-Id", &id).sign(key, &gateway.url("/mcp"))
    };
    let mut statuses = Vec::new();
    for number in 0..12 {
        statuses.push(gateway.send(&ask(1, format!("made-up-{number}"))).await.status);
    }
    assert_eq!(statuses[..8], [200; 8]);
    assert_eq!(statuses[8..], [403; 4]);
    assert_eq!(gateway.send(&ask(2, "other".into())).await.status, 200);
    // A key that has the maximum number of sessions can still use each of them.
    assert_eq!(gateway.send(&ask(1, "made-up-0".into())).await.status, 200);
}

/// On open paths (which need no signature), the size limits apply and trailers are removed too.
#[tokio::test]
async fn the_body_of_an_open_request_is_bounded_too() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.paths = config.paths.with_open("/hooks".parse().unwrap()).unwrap();
        config
    })
    .await;
    let host = gateway.address.to_string();
    let long = " ".repeat((4 << 20) + 1);
    let reply = gateway.send(&Wire::post(&host, "/hooks", &long)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (413, "too_large"));
    let mut chunked = Wire::post(&host, "/hooks", "").with("Transfer-Encoding", "chunked");
    chunked.body = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()).into_bytes();
    let reply = gateway.send(&chunked).await;
    assert!(matches!(reply.status, 413 | 0), "{reply:?}");
    assert!(behind.got().is_empty() || behind.got().iter().all(|got| got.body.len() <= 4 << 20));
    let mut trailed = Wire::post(&host, "/hooks", "")
        .with("Transfer-Encoding", "chunked")
        .with("Trailer", "Mcpid-Status");
    trailed.body = b"2\r\n{}\r\n0\r\nMcpid-Status: verified\r\n\r\n".to_vec();
    assert_eq!(gateway.send(&trailed).await.status, 200);
    let got = behind.got().pop().unwrap();
    assert_eq!((got.body.as_ref(), got.header("mcpid-status")), (b"{}".as_slice(), None));
}

/// A request with `Content-Length` and chunked coding is refused, even if the length is right.
#[tokio::test]
async fn a_length_beside_signed_chunks_is_refused() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let inner = "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    for length in [0, 4, CALL.len(), CALL.len() + 40] {
        for first in [true, false] {
            let mut wire = gateway.signed(1, CALL);
            let coding = ("Transfer-Encoding".to_owned(), "chunked".to_owned());
            let length = ("Content-Length".to_owned(), length.to_string());
            let framing = if first { [length, coding] } else { [coding, length] };
            wire.fields.extend(framing);
            wire.body = format!("{:x}\r\n{CALL}\r\n0\r\n\r\n{inner}", CALL.len()).into_bytes();
            let reply = gateway.send(&wire).await;
            assert_eq!((reply.status, reply.reason().as_str()), (400, "length_and_coding"));
        }
    }
    assert!(behind.got().is_empty());
}

#[tokio::test]
async fn a_preflight_for_a_foreign_host_is_refused() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.allow_origins = vec!["https://app.example.com".to_owned()];
        config
    })
    .await;
    let ask = Wire::get("other.example", "/mcp")
        .line("OPTIONS /mcp HTTP/1.1")
        .with("Origin", "https://app.example.com")
        .with("Access-Control-Request-Method", "POST");
    let reply = gateway.send(&ask).await;
    assert_eq!((reply.status, reply.reason().as_str()), (421, "target_mismatch"), "{reply:?}");
}

/// If a key is revoked while a body is arriving, the request is refused.
#[tokio::test]
async fn a_revocation_counts_for_the_bodies_that_are_on_their_way() {
    use tokio::io::AsyncWriteExt as _;

    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let store: std::sync::Arc<dyn NonceStore> = {
        let old = gateway.handle.verifier();
        let ReplayCheck::Claim(store) = old.replay() else { unreachable!() };
        std::sync::Arc::clone(store)
    };
    let replace = |names: &[(&str, u8)]| {
        let replay = ReplayCheck::Claim(std::sync::Arc::clone(&store));
        gateway.handle.replace(rules(gateway.address, names, replay)).unwrap();
    };
    for (names, status) in [(&[("alice", 1)][..], 200), (&[("Zoë", 2)][..], 403)] {
        let bytes = gateway.signed(1, CALL).bytes();
        let (early, late) = bytes.split_at(bytes.len() - 5);
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(early).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        replace(names);
        stream.write_all(late).await.unwrap();
        let reply = Reply::read(&mut stream).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    assert_eq!(behind.got().len(), 1);
}

#[test]
fn an_open_path_that_could_never_be_taken_is_an_error() {
    let open = |text: &str| text.parse::<OpenPath>().unwrap();
    let paths = || Paths::at("/public").unwrap().with_upstream("/mcp");
    for text in ["/mcp", "/mcp/x", "/MCP", "POST /public"] {
        let refused = paths().with_open(open(text));
        assert!(matches!(refused, Err(PathError::Endpoint(_))), "{text}");
    }
    assert!(paths().with_open(open("/other")).is_ok());
}
