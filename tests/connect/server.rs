//! A scripted MCP server that verifies every request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::format;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::ports::free_port;
use crate::software_key::SoftwareKey;

/// The host name that the test's HTTP proxy connects to this machine.
pub(crate) const NAME: &str = "mcp.example.test";

/// A request that reached the server, which verified its signature.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) n: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
    /// Whether a security key confirmed the request by a touch.
    pub(crate) touched: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    /// Returns a JSON-RPC answer to this request with `result`.
    pub(crate) fn result(&self, result: Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result })
    }

    pub(crate) fn text(&self, text: &str) -> Value {
        self.result(json!({ "content": [{ "type": "text", "text": text }] }))
    }
}

/// A piece of the body of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    Wait(Duration),
    /// A pause that lasts until the test closes the semaphore.
    Until(Arc<Semaphore>),
    /// The server sends nothing more, and keeps the connection open.
    Hang,
    /// The server breaks the connection.
    Break,
}

/// An answer of the server, which a test puts together.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Piece>,
    delay: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Reply { status, headers: Vec::new(), pieces: Vec::new(), delay: Duration::ZERO }
    }

    pub(crate) fn json(value: Value) -> Self {
        Reply::status(200).with("content-type", "application/json").bytes(value.to_string())
    }

    pub(crate) fn sse() -> Self {
        Reply::status(200).with("content-type", "text/event-stream")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.pieces.push(Piece::Bytes(bytes.into()));
        self
    }

    pub(crate) fn piece(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    /// Returns the length of the body in bytes.
    pub(crate) fn length(&self) -> usize {
        let bytes = |piece: &Piece| if let Piece::Bytes(bytes) = piece { bytes.len() } else { 0 };
        self.pieces.iter().map(bytes).sum()
    }

    /// Adds an event to the answer's stream, with `value` as its data.
    pub(crate) fn event(self, value: &Value) -> Self {
        self.bytes(format!("data: {value}\n\n"))
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Returns an answer that refuses the request by a JSON-RPC error.
    pub(crate) fn error(status: u16, seen: &Seen, code: i64, reason: &str) -> Self {
        let error = json!({ "code": code, "message": "no", "data": { "reason": reason } });
        let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": error });
        Reply { status, ..Reply::json(body) }
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A server that runs until this value is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// The number of answers that the client did not read to their end.
    gone: Arc<AtomicUsize>,
    stop: tokio::task::JoinHandle<()>,
    live: Arc<Mutex<tokio::task::JoinSet<()>>>,
}

/// The key with which the bridge signs in all of these tests.
pub(crate) fn key() -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&std::array::from_fn(|n| n as u8 ^ 0x5a)))
}

/// The security key whose touch may confirm signatures of [`key`].
pub(crate) fn touch_key() -> SoftwareKey {
    SoftwareKey::new(SecretKey::from_seed(&std::array::from_fn(|n| n as u8 ^ 0x3c)))
}

fn verifier(address: SocketAddr, clock_ahead: i64) -> Verifier {
    let signer: Value = serde_json::from_str(&format::jwk(key().public(), None)).unwrap();
    let touching = json!({ "for": [key().public().id().as_str()] });
    let keys = json!({ "keys": [signer, touch_key().entry("security key", &touching)] });
    let trusted = TrustFile::parse(keys.to_string().as_bytes()).unwrap();
    let named = format!("http://{NAME}:{}", address.port());
    let origins = [format!("http://{address}"), named].map(|text| Origin::parse(&text).unwrap());
    let origins = Origins::new(origins);
    let now = SystemClock.now().plus(clock_ahead);
    // Only these tests use the key, so no nonce was used before. The store may therefore accept
    // requests that were signed before it was made.
    let store = Memory::new(now, Retention::new(30, 5), &mut SysRng).unwrap().without_floor();
    let registry = Arc::new(Registry::merge([trusted]));
    let replay = ReplayCheck::Claim(Arc::new(store));
    Verifier::new(Profile::mcp(), registry, origins, Arc::new(SystemClock), replay)
}

/// Returns an address of this machine at which nothing listens.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Server::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gone = Arc::new(AtomicUsize::new(0));
        let live = Arc::new(Mutex::new(tokio::task::JoinSet::new()));
        let stage = Arc::new(Stage {
            script: Box::new(script),
            verifier: verifier(address, 0),
            seen: Arc::clone(&seen),
            gone: Arc::clone(&gone),
        });
        let stop = tokio::spawn(accept(listener, stage, Arc::clone(&live)));
        Server { address, seen, gone, stop, live }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Stops the server, and waits until nothing listens at its address any more.
    pub(crate) async fn end(self) {
        let address = self.address;
        drop(self);
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns all requests that have reached the server.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the requests of this JSON-RPC method that have reached the server.
    pub(crate) fn of(&self, rpc: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.rpc() == rpc).collect()
    }

    /// Waits until `ready` returns true for the requests that have reached the server.
    pub(crate) async fn until(&self, ready: impl Fn(&[Seen]) -> bool) {
        for _ in 0..3_000 {
            if ready(&self.seen()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never arrived: {:#?}", self.seen());
    }

    /// Waits until the client has given up this many answers before their end.
    pub(crate) async fn until_gone(&self, count: usize) {
        for _ in 0..3_000 {
            if self.gone.load(Ordering::SeqCst) >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the client never went");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.abort();
        self.live.lock().unwrap().abort_all();
    }
}

struct Stage {
    script: Box<Script>,
    verifier: Verifier,
    seen: Arc<Mutex<Vec<Seen>>>,
    gone: Arc<AtomicUsize>,
}

async fn accept(
    listener: TcpListener,
    stage: Arc<Stage>,
    live: Arc<Mutex<tokio::task::JoinSet<()>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let stage = Arc::clone(&stage);
        let serve = async move {
            let service = service_fn(move |request| {
                let stage = Arc::clone(&stage);
                async move { Ok::<_, Infallible>(stage.answer(request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        };
        live.lock().unwrap().spawn(serve);
    }
}

impl Stage {
    async fn answer(&self, request: Request<Incoming>) -> Response<Scripted> {
        let (parts, body) = request.into_parts();
        let raw = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
        let target = RequestTarget::Origin(path.clone().into());
        let mut head = Head::new(parts.method.as_str(), target).unwrap();
        for (name, value) in &parts.headers {
            head.push(name.as_str(), value.as_bytes()).unwrap();
        }
        let touched = match self.verifier.verify(&head, &raw).await {
            Ok(verified) => verified.touch().is_some(),
            Err(refusal) => {
                // A request that is not verified must fail the test. A panic here would only end
                // the connection, so the process is aborted.
                let words = mcpid::message::error_chain::chain(&refusal);
                let reply = Reply::status(599).bytes(format!("not verified: {words}"));
                return self.respond(reply).await;
            }
        };
        let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
        let seen = {
            let mut all = self.seen.lock().unwrap();
            let (method, headers) = (parts.method.to_string(), parts.headers);
            let n = all.len();
            let seen = Seen { n, method, path, headers, raw, body, touched };
            all.push(seen.clone());
            seen
        };
        self.respond((self.script)(&seen)).await
    }

    async fn respond(&self, reply: Reply) -> Response<Scripted> {
        tokio::time::sleep(reply.delay).await;
        let (pieces, body) = mpsc::channel(64);
        let taken = Taken { gone: Arc::clone(&self.gone), whole: false };
        tokio::spawn(async move {
            for piece in reply.pieces {
                match piece {
                    Piece::Wait(time) => tokio::time::sleep(time).await,
                    Piece::Until(gate) => drop(gate.acquire().await),
                    Piece::Hang => {
                        pieces.closed().await;
                        return;
                    }
                    Piece::Break => {
                        // The pause lets the server send the earlier bytes first.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let _ = pieces.send(Err(std::io::ErrorKind::BrokenPipe.into())).await;
                    }
                    Piece::Bytes(bytes) => {
                        let _ = pieces.send(Ok(bytes)).await;
                    }
                }
            }
        });
        let mut response = Response::builder().status(reply.status);
        for (name, value) in reply.headers {
            response = response.header(name, value);
        }
        response.body(Scripted { pieces: body, taken }).unwrap()
    }
}

/// An answer's body that is counted if it is dropped before its end.
pub(crate) struct Taken {
    gone: Arc<AtomicUsize>,
    whole: bool,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.whole {
            self.gone.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) struct Scripted {
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    taken: Taken,
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(cx).map(|piece| {
            self.taken.whole |= piece.is_none();
            piece.map(|piece| piece.map(Frame::data))
        })
    }
}
