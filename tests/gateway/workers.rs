//! Tests of the gateway's threads: a connection stays on one thread, and all threads share the
//! gateway's state.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use mcpid::net::{ListenAddress, Listener, Server, ServerLimits, Workers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::servers::{CALL, Reply, TestGateway, TestUpstream, ok};

/// Starts a server whose answer is the name of its thread and the number of its service.
async fn named(limits: ServerLimits) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<usize>) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let ListenAddress::Tcp(address) = *listener.address() else { unreachable!() };
    let workers = Workers::new(3).unwrap();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(async move {
        let mut count = 0;
        let service = || {
            count += 1;
            let number = count;
            service_fn(move |_: Request<Incoming>| async move {
                let thread = std::thread::current().name().unwrap_or_default().to_owned();
                let body = Full::new(Bytes::from(format!("{thread} {number}")));
                Ok::<_, Infallible>(Response::new(body))
            })
        };
        let server = Server::new(listener, limits);
        let cut = server.run(workers.each(service), async { drop(stopped.await) }).await;
        tokio::task::spawn_blocking(move || drop(workers)).await.unwrap();
        cut
    });
    (address, stop, ended)
}

async fn asks(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    String::from_utf8(Reply::read(stream).await.body).unwrap()
}

#[tokio::test]
async fn connections_are_spread_evenly_and_stay_where_they_are() {
    let (address, stop, ended) = named(ServerLimits::default()).await;
    let mut streams = Vec::new();
    for _ in 0..9 {
        streams.push(TcpStream::connect(address).await.unwrap());
    }
    let mut by_thread: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, stream) in streams.iter_mut().enumerate() {
        let first = asks(stream).await;
        assert_eq!(asks(stream).await, first);
        by_thread.entry(first).or_default().push(number);
    }
    // Each thread has a service of its own, and a third of the connections.
    let names: Vec<_> = by_thread.keys().map(String::as_str).collect();
    assert_eq!(names, ["serve-0 1", "serve-1 2", "serve-2 3"]);
    assert!(by_thread.values().all(|of_it| of_it.len() == 3), "{by_thread:?}");

    // All connections of one thread end, so new connections go to that thread.
    let second = by_thread.remove("serve-1 2").unwrap();
    for number in second.into_iter().rev() {
        let mut stream = streams.remove(number);
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the server ends its side");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(asks(&mut stream).await, "serve-1 2");
        streams.push(stream);
    }
    stop.send(()).unwrap();
    assert_eq!(ended.await.unwrap(), 0, "none of them was in the middle of anything");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn all_threads_share_one_bound_on_connections() {
    let mut limits = ServerLimits::default();
    limits.connections = 4;
    let (address, _stop, _ended) = named(limits).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        asks(&mut stream).await;
        streams.push(stream);
    }
    // While all places are taken, further clients wait. They are accepted once there is room.
    let mut waiting = TcpStream::connect(address).await.unwrap();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_millis(300), waiting.read(&mut byte)).await;
    assert!(read.is_err(), "a fifth was served");
    streams.pop();
    assert_eq!(Reply::read(&mut waiting).await.status, 200);
}

#[tokio::test]
async fn a_replay_on_another_thread_is_refused() {
    let behind = TestUpstream::with(|_| ok("{}")).await;
    let gateway = TestGateway::before(&behind).await;
    for _ in 0..8 {
        let wire = gateway.signed(1, CALL).bytes();
        // Two connections that are open at the same time are on two threads.
        let mut streams = Vec::new();
        for _ in 0..2 {
            streams.push(TcpStream::connect(gateway.address).await.unwrap());
        }
        let [one, other] = &mut streams[..] else { unreachable!() };
        let both = async {
            tokio::join!(
                async {
                    one.write_all(&wire).await.unwrap();
                    Reply::read(one).await.status
                },
                async {
                    other.write_all(&wire).await.unwrap();
                    Reply::read(other).await.status
                },
            )
        };
        let (a, b) = both.await;
        assert_eq!((a.min(b), a.max(b)), (200, 403));
    }
    assert_eq!(behind.got().len(), 8, "each reached the upstream once");
}
