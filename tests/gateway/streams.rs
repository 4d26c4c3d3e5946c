//! Tests of streamed answers: events are passed on as they come, a disconnect is noticed at once,
//! and the upstream may fail.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use mcpid::gateway::log::LoggedOutcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::servers::{CALL, TestGateway, TestUpstream};

/// The body of an answer, with one event and then nothing. It records when it is dropped.
struct Silent {
    first: Option<Bytes>,
    dropped: Arc<AtomicBool>,
}

impl Body for Silent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

async fn until(flag: &AtomicBool) -> bool {
    for _ in 0..6_000 {
        if flag.load(Ordering::SeqCst) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn events_are_not_held_back_and_a_disconnect_reaches_the_upstream_at_once() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let behind = TestUpstream::with(move |_| {
        let first = Some(Bytes::from_static(b"data: 1\n\n"));
        let silent = Silent { first, dropped: Arc::clone(&flag) };
        let builder = Response::builder().header("content-type", "text/event-stream");
        // The flag is set when the body that is being sent is dropped, and not when this box is.
        builder.body(http_body_util::combinators::BoxBody::new(silent)).unwrap()
    })
    .await;
    let gateway = TestGateway::before(&behind).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0_u8; 4096]);
    while !bytes.windows(9).any(|w| w == b"data: 1\n\n") {
        let n = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut piece)).await;
        bytes.extend_from_slice(&piece[..n.unwrap().unwrap()]);
    }
    assert!(!dropped.load(Ordering::SeqCst));
    drop(stream);
    assert!(until(&dropped).await, "the upstream was not told");
    let line = gateway.lines(1).await.remove(0);
    assert_eq!((line.outcome, line.answer), (LoggedOutcome::Passed, Some(200)));
}

/// The client disconnects before the answer begins. The gateway cancels the request to the
/// upstream, and logs it.
#[tokio::test]
async fn a_client_that_gives_up_waiting_cancels_the_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let arrived = Arc::new(AtomicBool::new(false));
    let (flag, begun) = (Arc::clone(&closed), Arc::clone(&arrived));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0_u8; 4096];
        while stream.read(&mut piece).await.is_ok_and(|n| n > 0) {
            begun.store(true, Ordering::SeqCst);
        }
        flag.store(true, Ordering::SeqCst);
    });
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        let url = format!("http://{address}/mcp");
        config.role =
            mcpid::gateway::GatewayRole::Proxy(mcpid::gateway::Upstream::parse(&url).unwrap());
        config
    })
    .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    assert!(until(&arrived).await, "the call did not reach the upstream");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!closed.load(Ordering::SeqCst));
    drop(stream);
    assert!(until(&closed).await, "the upstream was not told");
    let line = gateway.lines(1).await.remove(0);
    assert_eq!((line.outcome, line.answer), (LoggedOutcome::Failed, None));
    assert_eq!(line.note.unwrap().as_str(), "the client went away");
}

/// For each way in which the upstream can fail, checks the client's answer and the reason.
#[tokio::test]
async fn the_failure_of_an_upstream_is_reported() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut cases = vec![("down", closed, 502, "upstream_unreachable")];
    for (what, bytes, status, reason) in [
        ("closes", "", 502, "upstream_broken"),
        ("garbage", "\u{1}\u{2}garbage\r\n\r\n", 502, "upstream_broken"),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-", 502, "upstream_broken"),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            502,
            "upstream_broken",
        ),
        (
            "upgrades",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            502,
            "upstream_broken",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        cases.push((what, listener.local_addr().unwrap(), status, reason));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut piece = [0_u8; 4096];
                let _ = stream.read(&mut piece).await;
                let _ = stream.write_all(bytes.as_bytes()).await;
            }
        });
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    cases.push(("is silent", silent.local_addr().unwrap(), 504, "upstream_timeout"));
    let behind = TestUpstream::new().await;
    for (what, address, status, reason) in cases {
        let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
            let url = format!("http://{address}/mcp");
            config.role =
                mcpid::gateway::GatewayRole::Proxy(mcpid::gateway::Upstream::parse(&url).unwrap());
            if what == "is silent" {
                config.answer_time = Duration::from_millis(400);
            }
            config
        })
        .await;
        let reply = gateway.send(&gateway.signed(1, CALL)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{what}: {reply:?}");
        // The upstream may have executed the call, so the client must not be told to send it again.
        let again = reply.header("retry-after").is_some();
        assert_eq!(again, reason == "upstream_unreachable", "{what}: {reply:?}");
        // The error has the id of the client's request.
        assert_eq!(reply.json()["id"], 7, "{what}");
        let line = gateway.lines(1).await.remove(0);
        assert_eq!((line.outcome, line.answer), (LoggedOutcome::Failed, Some(status)), "{what}");
    }
}

/// If the upstream's answer breaks off, the gateway resets the connection, so that the client sees
/// that the answer is incomplete.
#[tokio::test]
async fn an_incomplete_answer_stays_incomplete_for_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrives, arrived) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0_u8; 4096];
        let _ = stream.read(&mut piece).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\na\r\ndata: half\r\n");
        let _ = stream.write_all(chunk.as_bytes()).await;
        let _ = arrived.await;
    });
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        let url = format!("http://{address}/mcp");
        config.role =
            mcpid::gateway::GatewayRole::Proxy(mcpid::gateway::Upstream::parse(&url).unwrap());
        config
    })
    .await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.signed(1, CALL).bytes()).await.unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0_u8; 4096]);
    while !bytes.windows(10).any(|w| w == b"data: half") {
        let n = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut piece)).await;
        let n = n.expect("the first half is passed on").unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..n]);
    }
    arrives.send(()).unwrap();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut bytes)).await;
    let _ = read.expect("the connection was left open");
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
}
