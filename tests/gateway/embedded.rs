//! Tests of a gateway that another program embeds: it answers operators, and drains when it is
//! stopped.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::servers::{CALL, Reply, Wire, trust_file};

#[path = "../../examples/gateway.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example has a main of its own")]
mod gateway_example;

async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Sends `wire` to `address`. Retries until a server listens there.
async fn send(address: SocketAddr, wire: &Wire) -> Reply {
    for _ in 0..500 {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            stream.write_all(&wire.bytes()).await.unwrap();
            return Reply::read(&mut stream).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{address} does not listen");
}

async fn readiness(operators: SocketAddr) -> (u16, String) {
    let reply = send(operators, &Wire::get(&operators.to_string(), "/readyz")).await;
    (reply.status, String::from_utf8(reply.body).unwrap())
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 5 s");
}

#[tokio::test]
async fn an_embedded_gateway_judges_and_drains() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    let (public, operators) = (free_port().await, free_port().await);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        let addresses = [public.to_string(), operators.to_string()];
        let addresses = addresses.each_ref().map(String::as_str);
        let stop = async { drop(stopped.await) };
        gateway_example::run(&url, &trust_file(&[("alice", 1)]), addresses, stop).await
    });

    let reply = send(public, &Wire::post(&public.to_string(), "/mcp", CALL)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "signature_missing"));
    // The store is new, so nonces of an earlier run may be lost.
    let (status, text) = readiness(operators).await;
    assert!(status == 503 && text.contains("s to go"), "{status} {text}");
    // A host name that a web page chose is refused by the operators' service.
    let renamed = send(operators, &Wire::get("page.example:80", "/readyz")).await;
    assert_eq!(renamed.status, 421);

    // This request is in flight when the gateway stops.
    let document = "/.well-known/oauth-protected-resource";
    let slow = Wire::get(&public.to_string(), document);
    let slow = tokio::spawn(async move { send(public, &slow).await });
    let (mut upstream_side, _) = upstream.accept().await.unwrap();
    let mut head = [0_u8; 16];
    upstream_side.read_exact(&mut head).await.unwrap();
    stop.send(()).unwrap();
    until(async || readiness(operators).await == (503, "not ready: shutting down\n".to_owned()))
        .await;
    until(async || TcpStream::connect(public).await.is_err()).await;
    assert!(!running.is_finished());
    upstream_side.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    let reply = slow.await.unwrap();
    assert_eq!((reply.status, &reply.body[..]), (200, &b"{}"[..]));
    running.await.unwrap().unwrap();
    assert!(TcpStream::connect(operators).await.is_err(), "operators are answered until the end");
}

/// If the program drops the gateway's future, all connections are cut.
#[tokio::test]
async fn a_gateway_that_is_dropped_listens_no_more() {
    let (public, operators) = (free_port().await, free_port().await);
    let running = tokio::spawn(async move {
        let addresses = [public.to_string(), operators.to_string()];
        let addresses = addresses.each_ref().map(String::as_str);
        let trust = trust_file(&[("alice", 1)]);
        gateway_example::run("http://127.0.0.1:9/mcp", &trust, addresses, std::future::pending())
            .await
    });
    let _ = readiness(operators).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    for address in [public, operators] {
        until(async || TcpStream::connect(address).await.is_err()).await;
    }
}
