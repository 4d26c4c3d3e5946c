//! Tests of HTTP/1.0, which nginx speaks to its upstream by default, and of offers to change the
//! protocol, which OpenJDK's client sends.

use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::servers::{Answered, CALL, Reply, TestGateway, TestUpstream, Wire, ok};

/// Returns a signed request in HTTP/1.0.
fn old(gateway: &TestGateway) -> Wire {
    gateway.signed(1, CALL).line("POST /mcp HTTP/1.0")
}

/// Sends the bytes, and returns all bytes until the connection ends, and how it ended.
async fn all(gateway: &TestGateway, bytes: &[u8]) -> (String, std::io::Result<()>) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut text = Vec::new();
    let ended = stream.read_to_end(&mut text).await.map(drop);
    (String::from_utf8(text).unwrap(), ended)
}

type Piece = Result<&'static str, Error>;

/// A body that is sent in pieces, with a pause before each.
struct Pieces {
    pieces: std::vec::IntoIter<Piece>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let pause = || Box::pin(tokio::time::sleep(Duration::from_millis(100)));
        ready!(this.pause.get_or_insert_with(pause).as_mut().poll(cx));
        this.pause = None;
        let frame =
            |piece: Piece| piece.map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
        Poll::Ready(this.pieces.next().map(frame))
    }
}

fn streamed(pieces: Vec<Piece>) -> Answered {
    let body = Pieces { pieces: pieces.into_iter(), pause: None };
    let builder = http::Response::builder().header("content-type", "text/event-stream");
    builder.body(body.boxed()).unwrap()
}

#[tokio::test]
async fn an_http_1_0_request_gets_an_http_1_0_answer() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let expecting = old(&gateway).with("Expect", "100-continue").with("Connection", "keep-alive");
    let miracle = old(&gateway).with("Expect", "a miracle").with("Upgrade", "h2c");
    for wire in [old(&gateway), expecting, miracle] {
        let (text, ended) = all(&gateway, &wire.bytes()).await;
        ended.unwrap();
        assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        for never in ["100 Continue", "transfer-encoding"] {
            assert!(!text.to_lowercase().contains(never), "{text}");
        }
        assert!(text.ends_with("\"result\":{}}"), "{text}");
    }
    for got in behind.got() {
        assert_eq!(got.header("mcpid-status"), Some("verified"));
        assert_eq!((got.header("expect"), got.header("upgrade")), (None, None));
    }
    assert_eq!(behind.got().len(), 3);
    let line = gateway.lines(1).await.remove(0);
    assert_eq!(line.http.unwrap().as_str(), "1.0");
    // An expectation that cannot be met is an error only in HTTP/1.1.
    let reply = gateway.send(&gateway.signed(1, CALL).with("Expect", "a miracle")).await;
    assert_eq!(reply.status, 417);
    // A refusal is in HTTP/1.0 form too, and has the request's id, although the client sends
    // `Expect`.
    let unsigned = Wire::post(&gateway.address.to_string(), "/mcp", CALL)
        .line("POST /mcp HTTP/1.0")
        .with("Expect", "100-continue");
    let (text, _) = all(&gateway, &unsigned.bytes()).await;
    assert!(text.starts_with("HTTP/1.0 403 "), "{text}");
    assert!(text.contains("\"id\":7"), "{text}");
    let no_host = {
        let mut wire = old(&gateway);
        wire.fields.remove(0);
        wire
    };
    let chunked = {
        let mut wire = old(&gateway).with("Transfer-Encoding", "chunked");
        wire.body = format!("{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len()).into_bytes();
        wire
    };
    for (wire, reason) in [(no_host, "host"), (chunked, "transfer_coding")] {
        let (text, _) = all(&gateway, &wire.bytes()).await;
        assert!(text.starts_with("HTTP/1.0 400 "), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!(behind.got().len(), 3);
}

/// In HTTP/1.0 an answer ends with the connection. If the upstream's answer breaks off, the
/// connection must therefore end with a reset.
#[tokio::test]
async fn an_http_1_0_stream_is_closed_orderly_only_if_it_is_complete() {
    let behind = TestUpstream::with(|got| {
        let broken = || Error::other("broken");
        match got.header("x-break") {
            None => streamed(vec![Ok("data: 1\n\n"), Ok("data: 2\n\n")]),
            Some(_) => streamed(vec![Ok("data: 1\n\n"), Err(broken())]),
        }
    })
    .await;
    let gateway = TestGateway::before(&behind).await;
    let (text, ended) = all(&gateway, &old(&gateway).bytes()).await;
    ended.unwrap();
    assert!(text.ends_with("\r\n\r\ndata: 1\n\ndata: 2\n\n"), "{text}");
    assert!(!text.to_lowercase().contains("content-length"), "{text}");
    let (text, ended) = all(&gateway, &old(&gateway).with("X-Break", "1").bytes()).await;
    let error = ended.expect_err(&format!("a reset behind {text}"));
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// An answer that is cut off when the gateway stops must not look complete either.
#[tokio::test]
async fn a_stream_that_the_drain_cuts_off_ends_by_reset() {
    let behind = TestUpstream::with(|_| {
        let pieces = (0..600).map(|_| Ok("data: 1\n\n"));
        streamed(pieces.collect())
    })
    .await;
    let mut limits = mcpid::net::ServerLimits::default();
    limits.drain = Duration::from_millis(300);
    let gateway = TestGateway::with(&behind, limits, |config| config).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&old(&gateway).bytes()).await.unwrap();
    let mut piece = [0; 512];
    assert!(stream.read(&mut piece).await.unwrap() > 0);
    gateway.stop.send(true).unwrap();
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// The gateway ignores an offer to upgrade, and does not forward it (RFC 9110 section 7.8).
#[tokio::test]
async fn an_offer_to_change_the_protocol_is_ignored_and_dropped() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    // The offers are those of OpenJDK's client, of nginx's recommended configuration (with a
    // client's offer and without), and of a browser, and one offer that is in several parts.
    let offers: [&[(&str, &str)]; 6] = [
        &[
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("HTTP2-Settings", "AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA"),
            ("Upgrade", "h2c"),
        ],
        &[("Connection", "upgrade")],
        &[("Connection", "UPGRADE"), ("Upgrade", "websocket")],
        &[("Upgrade", "h2c")],
        &[("HTTP2-Settings", "AAMAAABk")],
        &[
            ("Connection", "keep-alive"),
            ("Connection", "http2-settings , TE"),
            ("Upgrade", "foo/2"),
        ],
    ];
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    for offer in offers {
        let mut wire = gateway.signed(1, CALL);
        for (name, value) in offer {
            wire = wire.with(name, value);
        }
        // All requests share one connection, which stays HTTP/1.1.
        stream.write_all(&wire.bytes()).await.unwrap();
        let reply = Reply::read(&mut stream).await;
        assert_eq!(reply.status, 200, "{offer:?}: {reply:?}");
        let got = behind.got().pop().unwrap();
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(got.header(name), None, "{offer:?}");
        }
    }
    assert_eq!(behind.got().len(), offers.len());
    // A proxy removes the fields that `Connection` names, so such an option could remove a field
    // that matters.
    for option in
        ["x", "signature", "close, mcp-session-id", "content-length", "upgrade, host", "\"te\""]
    {
        let reply = gateway.send(&gateway.signed(1, CALL).with("Connection", option)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (400, "connection"), "{option}");
    }
    assert_eq!(behind.got().len(), offers.len());
}

/// The first bytes of an HTTP/2 connection are no valid request in the middle of an HTTP/1.1
/// connection.
#[tokio::test]
async fn a_connection_does_not_become_http_2() {
    let behind = TestUpstream::with(|_| ok("{}")).await;
    let gateway = TestGateway::before(&behind).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let both = [&gateway.signed(1, CALL).bytes()[..], preface].concat();
    let (text, _) = all(&gateway, &both).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("HTTP/1.1 400 ") && text.contains("head_invalid"), "{text}");
}

/// A proxy that speaks TLS or HTTP/2 to the plain HTTP port gets an answer at once, and the log
/// says what to change.
#[tokio::test]
async fn a_connection_of_another_protocol_is_refused_with_a_hint() {
    let behind = TestUpstream::new().await;
    let stand = TestGateway::before(&behind).await;
    let request = stand.signed(1, CALL).bytes();
    let before = |bytes: &[u8]| [bytes, &request].concat();
    let cases: [(Vec<u8>, &str, &str); 6] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "tls", "--tls-cert"),
        (b"\x16".to_vec(), "tls", "--tls-cert"),
        (before(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n"), "proxy_protocol", "send-proxy"),
        (before(b"PROXY TCP6 2001:db8::1 2001:db8::2 5 80\r\n"), "proxy_protocol", "send-proxy"),
        (before(b"PROXY UNKNOWN\r\n"), "proxy_protocol", "send-proxy"),
        (before(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"), "proxy_protocol", "send-proxy"),
    ];
    let count = cases.len();
    for (at, (bytes, reason, words)) in cases.into_iter().enumerate() {
        let reply = stand.raw(&bytes).await;
        assert_eq!((reply.status, reply.reason()), (400, reason.to_owned()));
        let line = stand.lines(at + 1).await.pop().unwrap();
        assert!(line.hint.as_ref().unwrap().as_str().contains(words), "{line:?}");
        assert_eq!((line.method.as_str(), line.path.as_str()), ("", ""), "{line:?}");
    }
    // After a request, or as the name of a method, the same bytes are treated as HTTP that cannot
    // be parsed.
    for (bytes, reason) in [
        ([&request[..], b"\x16\x03\x01\r\n\r\n"].concat(), "head_invalid"),
        (b"PROXY /mcp HTTP/1.1\r\nHost : x\r\n\r\n".to_vec(), "head_invalid"),
    ] {
        let mut stream = TcpStream::connect(stand.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.contains(reason), "{text}");
    }
    assert_eq!((behind.got().len(), stand.lines(count + 3).await.len()), (1, count + 3));
}
