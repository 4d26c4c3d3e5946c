//! Tests of clients that hold connections and send no complete request: other clients must still be
//! served.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mcpid::net::ServerLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::servers::{CALL, TestGateway, TestUpstream, Wire, body};

fn quick() -> ServerLimits {
    let mut limits = ServerLimits::default();
    limits.head_time = Duration::from_millis(400);
    limits.idle = Duration::from_millis(900);
    limits
}

/// Starts an upstream whose answer is larger than all buffers between it and the client.
async fn talkative() -> TestUpstream {
    TestUpstream::with(|_| Response::new(body(vec![b'x'; 32 << 20]))).await
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_its_answer_is_cut_off() {
    let behind = talkative().await;
    let gateway = TestGateway::with(&behind, quick(), |config| config).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    // The gateway writes the log line when it drops the body of the request.
    let line = gateway.lines(1).await.remove(0);
    assert_eq!(line.answer, Some(200));
    assert!(line.received < 32 << 20, "{}", line.received);
    drop(stream);
}

#[tokio::test]
async fn an_http2_client_that_opens_no_window_is_cut_off() {
    let behind = talkative().await;
    let gateway = TestGateway::with(&behind, quick(), |config| config).await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .initial_stream_window_size(100)
            .handshake::<_, Full<Bytes>>(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request: Request<Full<Bytes>> =
        crate::tls::multiplexed(&gateway.signed(1, CALL), &gateway.url("/mcp"));
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let line = gateway.lines(1).await.remove(0);
    assert!(line.received < 32 << 20, "{}", line.received);
    drop(response);
}

/// A client that reads slowly is not treated as one that reads nothing. If the server sends
/// nothing, the client is not blamed.
#[tokio::test]
async fn a_slow_reader_and_a_silent_server_are_left_alone() {
    let behind = talkative().await;
    // The client reads for longer than this in total, and its pauses are much shorter.
    let mut limits = quick();
    limits.idle = Duration::from_secs(5);
    let gateway = TestGateway::with(&behind, limits, |config| config).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    let (mut piece, mut read) = (vec![0_u8; 512 << 10], 0);
    while read < 32 << 20 {
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "cut off after {read} bytes");
        read += n;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0_u8; 4096]).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        let first = format!("{head}Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
        let _ = stream.write_all(first.as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let _ = stream.write_all(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
    });
    let gateway = TestGateway::with(&behind, quick(), |mut config| {
        let url = format!("http://{address}/mcp");
        config.role =
            mcpid::gateway::GatewayRole::Proxy(mcpid::gateway::Upstream::parse(&url).unwrap());
        config
    })
    .await;
    let reply = gateway.send(&gateway.signed(1, CALL)).await;
    assert!(String::from_utf8_lossy(&reply.body).contains("data: 2"), "{reply:?}");
}

/// One HTTP/2 connection can carry many requests, and each needs a connection to the upstream.
#[tokio::test]
async fn open_paths_take_only_a_part_of_the_connections() {
    let behind = talkative().await;
    let gateway = TestGateway::with(&behind, ServerLimits::default(), |mut config| {
        config.exchanges = 8;
        config
    })
    .await;
    let host = gateway.address.to_string();
    let well_known = Wire::get(&host, "/.well-known/oauth-protected-resource");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&well_known.bytes()).await.unwrap();
        stream.read_exact(&mut [0_u8; 12]).await.unwrap();
        held.push(stream);
    }
    let reply = gateway.send(&well_known).await;
    assert_eq!((reply.status, reply.reason().as_str()), (503, "unavailable"), "{reply:?}");
    assert!(reply.header("retry-after").is_some());
    // Signed requests still get permits, until none is left.
    for _ in 0..6 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
        let mut line = [0_u8; 12];
        stream.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert_eq!(gateway.send(&gateway.signed(1, CALL)).await.status, 503);
    drop(held);
    for _ in 0..3_000 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&well_known.bytes()).await.unwrap();
        let mut line = [0_u8; 12];
        stream.read_exact(&mut line).await.unwrap();
        if &line == b"HTTP/1.1 200" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing was given back");
}

/// Clients that have not proved who they are, and send half of a body, use as much budget as they
/// have sent. They can never use all of it.
#[tokio::test]
async fn unsigned_bodies_leave_room_for_signed_bodies() {
    use mcpid::tower::LearningModes;
    use mcpid::tower::Modes;

    let behind = TestUpstream::new().await;
    let long = format!("{}{}}}", &CALL[..CALL.len() - 1], " ".repeat(100 << 10));
    let pattern = || "tools/call:delete_*".parse().unwrap();
    // Without a valid signature, the gateway still reads these bodies to learn the request's id or
    // the operation.
    for modes in [Modes::strict(), Modes::permissive().with_strict(pattern())] {
        let gateway = TestGateway::with(&behind, ServerLimits::default(), |mut config| {
            config.budget = 1 << 20;
            config.modes = LearningModes::new(modes);
            config
        })
        .await;
        let mut held = Vec::new();
        for _ in 0..24 {
            let mut wire = gateway.plain("").with("Content-Length", &(60 << 10).to_string());
            wire.body = vec![b' '; 50 << 10];
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            stream.write_all(&wire.bytes()).await.unwrap();
            held.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let reply = gateway.send(&gateway.signed(1, &long)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        drop(held);
    }
}
