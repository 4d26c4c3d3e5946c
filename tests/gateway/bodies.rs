//! Tests of the gateway's limits on size and time: for heads, bodies and connections, and for the
//! drain when the server stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpid::net::ServerLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::servers::{CALL, Reply, TestGateway, TestUpstream};

fn quick() -> ServerLimits {
    let mut limits = ServerLimits::default();
    limits.head_time = Duration::from_millis(400);
    limits.idle = Duration::from_secs(4);
    limits.drain = Duration::from_millis(600);
    limits
}

/// Waits until the gateway closes an idle connection. Returns the time since `begun`.
async fn left_open(stream: &mut TcpStream, begun: Instant) -> Duration {
    let mut piece = [0_u8; 4096];
    let reading = async { while stream.read(&mut piece).await.is_ok_and(|n| n > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(60), reading).await;
    begun.elapsed()
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let behind = TestUpstream::new().await;
    // By default, a slow head ends its connection after 10 s. A machine can be slow, but not early.
    let mut limits = quick();
    limits.head_time = Duration::from_secs(13);
    let gateway = TestGateway::with(&behind, limits, |config| config).await;
    let address = gateway.address;
    // The client sends nothing, or only a part of a head.
    let parts = ["", "POST /mcp HTTP/1.1\r\nHost: a\r\n", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    let slow = parts.map(|bytes| {
        tokio::spawn(async move {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            let open = left_open(&mut stream, begun).await;
            assert!(open >= Duration::from_millis(12_900), "{bytes:?}: {open:?}");
            assert!(open < Duration::from_secs(60), "{bytes:?}: {open:?}");
        })
    });
    // Single bytes that arrive slowly do not restart the time limit for the head.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let begun = Instant::now();
    while stream.write_all(b"X").await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for one in slow {
        one.await.unwrap();
    }
    // The limit between two requests is longer, and it applies again after each request.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let begun = Instant::now();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    let open = left_open(&mut stream, begun).await;
    assert!(open >= Duration::from_secs(3) && open < Duration::from_secs(60), "{open:?}");
}

#[tokio::test]
async fn a_slow_body_is_refused_at_its_time_limit() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, ServerLimits::default(), |mut config| {
        config.body_time = Duration::from_millis(500);
        config
    })
    .await;
    let bytes = gateway.signed(1, CALL).bytes();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&bytes[..bytes.len() - 5]).await.unwrap();
    let reply = Reply::read(&mut stream).await;
    assert_eq!((reply.status, reply.reason().as_str()), (408, "body_broken"), "{reply:?}");
    assert!(behind.got().is_empty());
}

#[tokio::test]
async fn sizes_of_heads_and_bodies_are_bounded() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let pad = |size: usize| {
        let text = CALL.trim_end_matches('}').to_owned() + "}";
        format!("{text}{}{}", " ".repeat(size - CALL.len()), "}")
    };
    // A body of exactly 4 MiB is accepted, and one byte more is too long.
    assert_eq!(gateway.send(&gateway.signed(1, &pad(4 << 20))).await.status, 200);
    let long = pad((4 << 20) + 1);
    let reply = gateway.send(&gateway.signed(1, &long)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (413, "too_large"));
    // The limit also applies to a chunked body, whose length is not announced.
    let mut chunked = gateway.signed(1, &long).with("Transfer-Encoding", "chunked");
    chunked.body = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()).into_bytes();
    let reply = gateway.send(&chunked).await;
    assert!(matches!(reply.status, 413 | 0), "{reply:?}");
    // A head of almost 64 KiB is accepted. A longer one, which hyper would still accept, is refused
    // by the gateway.
    let wide = |size: usize| gateway.signed(1, CALL).with("X-Wide", &"x".repeat(size));
    assert_eq!(gateway.send(&wide(60_000)).await.status, 200);
    assert_eq!(gateway.send(&wide(66_000)).await.status, 431);
    assert!(matches!(gateway.send(&wide(200_000)).await.status, 431 | 0));
    assert_eq!(behind.got().len(), 2);
}

/// The bodies of all unverified requests share a budget of memory. The body of a verified request
/// does not count towards it.
#[tokio::test]
async fn unverified_bodies_share_a_budget() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, ServerLimits::default(), |mut config| {
        config.budget = 1 << 20;
        config
    })
    .await;
    let long = format!("{}{}}}", &CALL[..CALL.len() - 1], " ".repeat((1 << 20) + 10));
    let reply = gateway.send(&gateway.signed(1, &long)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (503, "unavailable"));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(gateway.send(&gateway.signed(1, CALL)).await.status, 200);
}

#[tokio::test]
async fn connections_are_limited_and_a_waiting_connection_is_served_later() {
    let behind = TestUpstream::new().await;
    let mut limits = quick();
    limits.connections = 3;
    let gateway = TestGateway::with(&behind, limits, |config| config).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    // Clients that take a part of the budget and send nothing more lose it after a time limit.
    let reply = gateway.send(&gateway.signed(1, CALL)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Starts a gateway in front of a server that takes `time` for its answer. When stopped, the
/// gateway waits `drain` for open requests. The semaphore gets a permit when a request reaches the
/// server.
async fn before_a_slow_server(
    behind: &TestUpstream,
    time: Duration,
    drain: Duration,
) -> (TestGateway, Arc<Semaphore>) {
    let arrived = Arc::new(Semaphore::new(0));
    let arrives = Arc::clone(&arrived);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0_u8; 4096];
        let _ = stream.read(&mut piece).await;
        arrives.add_permits(1);
        // The server must not block this thread, because the gateway's timers run on it too.
        tokio::time::sleep(time).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    });
    let mut limits = quick();
    limits.drain = drain;
    let gateway = TestGateway::with(behind, limits, |mut config| {
        let url = format!("http://{address}/mcp");
        config.role =
            mcpid::gateway::GatewayRole::Proxy(mcpid::gateway::Upstream::parse(&url).unwrap());
        config
    })
    .await;
    (gateway, arrived)
}

#[tokio::test]
async fn open_requests_may_finish_within_the_drain_timeout() {
    let behind = TestUpstream::new().await;
    let (time, drain) = (Duration::from_millis(300), Duration::from_secs(30));
    let (gateway, arrived) = before_a_slow_server(&behind, time, drain).await;
    let mut busy = TcpStream::connect(gateway.address).await.unwrap();
    busy.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    idle.write_all(b"GET").await.unwrap();
    drop(arrived.acquire().await.unwrap());
    let _ = gateway.stop.send(true);
    assert_eq!(Reply::read(&mut busy).await.status, 200);
    let ended = tokio::time::timeout(Duration::from_secs(60), gateway.ended).await;
    assert!(ended.unwrap().unwrap() <= 1);
    assert!(TcpStream::connect(gateway.address).await.is_err(), "it still listens");
}

/// A request that has not ended when the drain ends is cut off and counted.
#[tokio::test]
async fn request_is_cut_off_at_the_end_of_a_drain() {
    let behind = TestUpstream::new().await;
    let (time, drain) = (Duration::from_secs(300), Duration::from_millis(600));
    let (gateway, arrived) = before_a_slow_server(&behind, time, drain).await;
    let mut busy = TcpStream::connect(gateway.address).await.unwrap();
    busy.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    drop(arrived.acquire().await.unwrap());
    let _ = gateway.stop.send(true);
    let cut = tokio::time::timeout(Duration::from_secs(60), gateway.ended).await.unwrap().unwrap();
    assert_eq!(cut, 1);
}
