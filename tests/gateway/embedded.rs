//! Tests of a gateway that another program runs as a library: it answers operators, and finishes
//! open requests when it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::{Admin, Gateway, GatewayConfig, GatewayServer, Metrics, Readiness, Upstream};
use mcpid::net::{Listener, ServerLimits, Workers, tls};
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::verify::ReplayCheck;
use rand::rngs::SysRng;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::ports::free_port;
use crate::servers::{CALL, Reply, Wire, rules, trust_file};

#[path = "../../examples/gateway.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example has a main of its own")]
mod gateway_example;

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Sends `wire` to `address`, and retries until a server listens there.
async fn send(address: SocketAddr, wire: &Wire) -> Reply {
    for _ in 0..6_000 {
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
    for _ in 0..6_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a minute");
}

#[tokio::test]
async fn an_embedded_gateway_judges_and_drains() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    let (public, operators) = (free_address(), free_address());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        let addresses = [public.to_string(), operators.to_string()];
        let addresses = addresses.each_ref().map(String::as_str);
        let stop = async { drop(stopped.await) };
        gateway_example::run(&url, &trust_file(&[("alice", 1)]), addresses, stop).await
    });

    let reply = send(public, &Wire::post(&public.to_string(), "/mcp", CALL)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "signature_missing"));
    // The nonce store is new and may lack the nonces of an earlier run, so the gateway is not ready
    // yet.
    let (status, text) = readiness(operators).await;
    assert!(status == 503 && text.contains("s to go"), "{status} {text}");
    // The operators' service refuses a host name that a web page could have chosen.
    let renamed = send(operators, &Wire::get("page.example:80", "/readyz")).await;
    assert_eq!(renamed.status, 421);

    // This request is unanswered when the gateway stops.
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
    let (public, operators) = (free_address(), free_address());
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

/// A step of the gateway that blocks its thread until the test opens this gate.
#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: AtomicBool,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::default()
    }

    fn open() -> Arc<Self> {
        let gate = Gate::closed();
        gate.open.store(true, Ordering::SeqCst);
        gate
    }

    /// Blocks until the gate is open, but for at most two minutes, so that a failed test ends.
    fn pass(&self) {
        self.reached.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        while !self.open.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Starts a gateway whose log lines wait for the gate `line`, and whose page for operators waits
/// for the gate `page`. Returns its address and that of the operators' service.
async fn slow_gateway(line: Arc<Gate>, page: Arc<Gate>) -> (SocketAddr, SocketAddr) {
    let (public, operators) = (free_address(), free_address());
    let bind = async |address: SocketAddr| {
        Listener::bind(&address.to_string().parse().unwrap()).await.unwrap()
    };
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
    let retention = Retention::new(30, 5);
    let store = Memory::new(clock.now(), retention, &mut SysRng).unwrap().without_floor();
    let store = Arc::new(store);
    let verifier = rules(public, &[("alice", 1)], ReplayCheck::Claim(store.clone()));
    let log = Arc::new(move |_: &LogLine| line.pass());
    let config = GatewayConfig::new(Upstream::parse("http://127.0.0.1:9/mcp").unwrap());
    let plain = tls::client_without_roots().unwrap();
    let gateway =
        Gateway::new(config, verifier, plain, clock.clone(), metrics.clone(), log).unwrap();
    let admin = Admin::new(Arc::new(Readiness::new(clock, store)), metrics);
    let admin = admin.with_page(move || {
        page.pass();
        "the page".to_owned()
    });
    let server = GatewayServer::new(gateway, bind(public).await, ServerLimits::default())
        .with_admin(bind(operators).await, admin);
    tokio::spawn(server.run(Workers::new(1).unwrap(), std::future::pending()));
    (public, operators)
}

/// While the page for operators is made, requests are answered. While a log line is written,
/// operators are answered.
#[tokio::test]
async fn operators_and_clients_do_not_wait_for_each_other() {
    let gate = Gate::closed();
    let (public, operators) = slow_gateway(Gate::open(), Arc::clone(&gate)).await;
    let host = operators.to_string();
    let page = tokio::spawn(async move { send(operators, &Wire::get(&host, "/")).await });
    until(async || gate.reached.load(Ordering::SeqCst)).await;
    for _ in 0..3 {
        let reply = send(public, &Wire::post(&public.to_string(), "/mcp", CALL)).await;
        assert_eq!(reply.reason(), "signature_missing");
    }
    assert!(!page.is_finished());
    gate.open.store(true, Ordering::SeqCst);
    assert_eq!(page.await.unwrap().body, b"the page");

    let gate = Gate::closed();
    let (public, operators) = slow_gateway(Arc::clone(&gate), Gate::open()).await;
    let call = Wire::post(&public.to_string(), "/mcp", CALL);
    let request = tokio::spawn(async move { send(public, &call).await });
    until(async || gate.reached.load(Ordering::SeqCst)).await;
    for _ in 0..3 {
        assert_eq!(
            send(operators, &Wire::get(&operators.to_string(), "/healthz")).await.status,
            200
        );
    }
    assert!(!gate.open.swap(true, Ordering::SeqCst));
    request.abort();
}
