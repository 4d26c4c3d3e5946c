//! Tests of request targets as servers and routers present them: HTTP/1.1 and HTTP/2 on loopback,
//! in axum's routers, and requests that no client would send.

use axum::Router;
use axum::extract::OriginalUri;
use axum::routing::any;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpid::mcp::pattern::Pattern;
use mcpid::tower::{Modes, Status, VerifyLayer, wire_target};
use tokio::net::{TcpListener, TcpStream};

use crate::servers::*;

/// Answers with the name of the verified key.
async fn who(request: axum::extract::Request) -> String {
    let status = request.extensions().get::<Status>().unwrap().clone();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    format!("{} {}", status.verified().map_or("nobody", |v| v.name().unwrap()), body.len())
}

async fn serve(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn over_http1(at: std::net::SocketAddr, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(at).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    client.send_request(request).await.unwrap()
}

async fn over_http2(
    at: std::net::SocketAddr,
    mut request: Request<Full<Bytes>>,
    uri: &str,
) -> Response<Incoming> {
    *request.uri_mut() = uri.parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    let io = TokioIo::new(TcpStream::connect(at).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn requests_over_http1_and_http2_are_judged_alike() {
    let clock = clock();
    let app = Router::new().route("/mcp", any(who)).layer(strict(&clock));
    let at = serve(app).await;
    let expected = format!("alice {}", CALL.len());
    assert_eq!(text(over_http1(at, signed(&clock, CALL).await).await).await, expected);
    assert_eq!(over_http1(at, plain(CALL)).await.status(), 403);

    // In HTTP/2, the authority is in a pseudo-header field, and there is no `Host`.
    let uri = "https://mcp.example.com/mcp?tenant=a%2fb";
    let without_host = |mut request: Request<Full<Bytes>>| {
        request.headers_mut().remove("host");
        request
    };
    let request = without_host(signed(&clock, CALL).await);
    assert_eq!(text(over_http2(at, request, uri).await).await, expected);
    // A proxy that ended TLS may name another scheme. Only the authority is compared.
    let request = without_host(signed(&clock, CALL).await);
    let response = over_http2(at, request, &uri.replace("https", "http")).await;
    assert_eq!(text(response).await, expected);
    // Two equal authorities are accepted. Two different ones are refused.
    let response = over_http2(at, signed(&clock, CALL).await, uri).await;
    assert_eq!(response.status(), 200);
    let mut two = signed(&clock, CALL).await;
    two.headers_mut().insert("host", "other.example".parse().unwrap());
    assert_eq!(over_http2(at, two, uri).await.status(), 421);
    // The authority names another server, although the signed `Host` names this one.
    let other = uri.replace("mcp.example.com", "other.example");
    assert_eq!(over_http2(at, signed(&clock, CALL).await, &other).await.status(), 421);
    let request = without_host(signed(&clock, CALL).await);
    assert_eq!(over_http2(at, request, &other).await.status(), 421);
    // The path of the request differs from the signed one.
    let request = without_host(signed(&clock, CALL).await);
    let response = over_http2(at, request, "https://mcp.example.com/mcp?tenant=a/b").await;
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn the_original_path_is_judged_behind_a_router_that_cuts_it() {
    let clock = clock();
    let inner = |layer: VerifyLayer| {
        let inner = Router::new().route("/mcp", any(who)).layer(layer);
        Router::new().nest("/v1", inner)
    };
    let request = || async {
        let mut request = plain(CALL);
        *request.uri_mut() = "/v1/mcp?a=1".parse().unwrap();
        sign_by(key(1), &clock, request).await
    };
    // Outside of the router, the layer sees the target that was sent.
    let outside = serve(
        Router::new().nest("/v1", Router::new().route("/mcp", any(who))).layer(strict(&clock)),
    )
    .await;
    assert_eq!(over_http1(outside, request().await).await.status(), 200);
    // Inside of the router, the layer sees a target without the prefix. Every signature fails until
    // the layer is told the prefix.
    let unaware = serve(inner(strict(&clock))).await;
    assert_eq!(over_http1(unaware, request().await).await.status(), 403);
    let layer = strict(&clock)
        .with_wire_target(|p| Some(wire_target(p, &p.extensions.get::<OriginalUri>()?.0)));
    let aware = serve(inner(layer)).await;
    assert_eq!(over_http1(aware, request().await).await.status(), 200);
    // A signature over the path without the prefix does not match the request.
    let mut cut = plain(CALL);
    *cut.uri_mut() = "/mcp?a=1".parse().unwrap();
    let mut cut = sign_by(key(1), &clock, cut).await;
    *cut.uri_mut() = "/v1/mcp?a=1".parse().unwrap();
    assert_eq!(over_http1(aware, cut).await.status(), 403);
}

#[tokio::test]
async fn the_layer_judges_targets_as_received() {
    let clock = clock();
    let layer = strict(&clock);
    let seen = Seen::default();
    let at = |uri: &str| {
        let mut request = plain(CALL);
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    for uri in ["/mcp/../x", "/a%2Fb?c=%41", "//mcp", "/mcp?", "/?a&b=%zz"] {
        let request = sign_by(key(1), &clock, at(uri)).await;
        assert_eq!(through(&layer, &seen, request).await.status(), 202, "{uri}");
    }
    for (signed_at, sent_to) in [
        ("/a%2fb", "/a%2Fb"),
        ("/a/../b", "/b"),
        ("/mcp?", "/mcp"),
        ("/mcp", "/mcp/"),
        ("/%6dcp", "/mcp"),
        ("/mcp?a=1&b=2", "/mcp?b=2&a=1"),
    ] {
        let mut request = sign_by(key(1), &clock, at(signed_at)).await;
        *request.uri_mut() = sent_to.parse().unwrap();
        let answer = refused(&layer, request).await;
        assert_eq!((answer.status, answer.reason()), (403, "key_unknown"), "{signed_at} {sent_to}");
    }
}

#[tokio::test]
async fn a_target_in_absolute_form_is_judged_with_its_authority() {
    let clock = clock();
    let layer = strict(&clock);
    let seen = Seen::default();
    let sent_to = |mut request: Request<Full<Bytes>>, uri: &str| {
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    let whole = "https://mcp.example.com/mcp?tenant=a%2fb";
    let request = sent_to(signed(&clock, CALL).await, whole);
    assert_eq!(through(&layer, &seen, request).await.status(), 202);
    for uri in [
        "http://mcp.example.com/mcp?tenant=a%2fb",
        "https://other.example/mcp?tenant=a%2fb",
        "https://mcp.example.com:8443/mcp?tenant=a%2fb",
    ] {
        let answer = refused(&layer, sent_to(signed(&clock, CALL).await, uri)).await;
        assert_eq!((answer.status, answer.reason()), (421, "target_mismatch"), "{uri}");
    }
    // `Host` contradicts the request line.
    let mut request = sent_to(signed(&clock, CALL).await, whole);
    request.headers_mut().insert("host", "other.example".parse().unwrap());
    assert_eq!(refused(&layer, request).await.status, 421);
}

#[tokio::test]
async fn foreign_target_gets_421() {
    let layer = strict(&clock()).with_modes(Modes::permissive());
    let mut without = plain(CALL);
    without.headers_mut().remove("host");
    assert_eq!(refused(&layer, without).await.status, 421);
    let mut twice = plain(CALL);
    twice.headers_mut().append("host", "mcp.example.com".parse().unwrap());
    assert_eq!(refused(&layer, twice).await.status, 421);
    let mut forwarded = plain(CALL);
    forwarded.headers_mut().insert("host", "evil.example".parse().unwrap());
    forwarded.headers_mut().insert("x-forwarded-host", "mcp.example.com".parse().unwrap());
    assert_eq!(refused(&layer, forwarded).await.status, 421);
    let mut connect = bare("CONNECT");
    *connect.uri_mut() = "mcp.example.com:443".parse().unwrap();
    assert_eq!(refused(&layer, connect).await.status, 421);
    // `OPTIONS *` is a valid, though unusual, target.
    let seen = Seen::default();
    let mut options = bare("OPTIONS");
    *options.uri_mut() = "*".parse().unwrap();
    assert_eq!(through(&layer, &seen, options).await.status(), 202);
    let mut post = plain(CALL);
    *post.uri_mut() = "*".parse().unwrap();
    assert_eq!(refused(&layer, post).await.status, 421);
}

#[tokio::test]
async fn chunked_and_sized_bodies_arrive_over_a_real_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let clock = clock();
    let modes = Modes::strict().with_permissive(Pattern::parse("ping").unwrap());
    let app = Router::new().route("/mcp", any(who)).layer(strict(&clock).with_modes(modes));
    let at = serve(app).await;
    let request = signed(&clock, CALL).await;
    let mut head = String::from("POST /mcp?tenant=a%2fb HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    head.push_str("Transfer-Encoding: chunked\r\nTrailer: mcp-name\r\n\r\n");
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for part in CALL.as_bytes().chunks(11) {
        stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).await.unwrap();
        stream.write_all(part).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\nmcp-name: delete_all\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(&format!("alice {}", CALL.len())), "{answer}");
    // A client that waits for 100 Continue and is refused is not asked to send its body.
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nHost: other.example\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 421");
}
