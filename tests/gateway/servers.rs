//! Servers for the tests of the gateway: a gateway on a loopback port, an upstream that stores each
//! request that reaches it, and a client that writes bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use mcpid::clock::{Clock, SystemClock, Timestamp};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::{Gateway, GatewayConfig, GatewayServer, Metrics, Upstream};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::net::{ListenAddress, Listener, ServerLimits, Workers, tls};
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::tower::VerifierHandle;
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(crate) const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"delete_db"}}"#;
pub(crate) const LIST: &str = r#"{"jsonrpc":"2.0","id":8,"method":"tools/list"}"#;
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ReceivedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) type Answered = Response<BoxBody<Bytes, std::io::Error>>;
type Script = dyn Fn(&ReceivedRequest) -> Answered + Send + Sync;

/// An upstream whose answers a function of the test makes, and which stores all requests.
#[derive(Clone)]
pub(crate) struct TestUpstream {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<ReceivedRequest>>>,
}

pub(crate) fn body(text: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

pub(crate) fn ok(text: &'static str) -> Answered {
    let builder = Response::builder().header("content-type", "application/json");
    builder.body(body(text)).unwrap()
}

impl TestUpstream {
    pub(crate) async fn with(
        script: impl Fn(&ReceivedRequest) -> Answered + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<ReceivedRequest>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let kept = Arc::clone(&got);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                        async move {
                            let (parts, body) = request.into_parts();
                            let Ok(body) = body.collect().await else {
                                return Ok::<_, Infallible>(ok("{}"));
                            };
                            let got = ReceivedRequest {
                                method: parts.method.to_string(),
                                target: parts.uri.to_string(),
                                headers: parts.headers,
                                body: body.to_bytes(),
                            };
                            kept.lock().unwrap().push(got.clone());
                            Ok(script(&got))
                        }
                    });
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        TestUpstream { address, got }
    }

    pub(crate) async fn new() -> Self {
        TestUpstream::with(|_| ok(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#)).await
    }

    /// Returns all requests that have reached the upstream.
    pub(crate) fn got(&self) -> Vec<ReceivedRequest> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

/// Returns the test key of this number.
pub(crate) fn key(number: u8) -> Arc<SecretKey> {
    let mut seed = *b"0 seed that the gate tests keep.";
    seed[0] = number;
    Arc::new(SecretKey::from_seed(&seed))
}

/// Returns the verifier of the test gateways, for the origin `address`.
pub(crate) fn rules(address: SocketAddr, names: &[(&str, u8)], replay: ReplayCheck) -> Verifier {
    rules_by(Arc::new(SystemClock), address, names, replay)
}

fn rules_by(
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    names: &[(&str, u8)],
    replay: ReplayCheck,
) -> Verifier {
    let origins = Origins::new([Origin::parse(&format!("http://{address}")).unwrap()]);
    Verifier::new(Profile::mcp(), registry(names), origins, clock, replay)
}

pub(crate) fn registry(names: &[(&str, u8)]) -> Arc<Registry> {
    Arc::new(Registry::merge([TrustFile::parse(&trust_file(names)).unwrap()]))
}

/// Returns a trust file with these keys, each given by name and number.
pub(crate) fn trust_file(names: &[(&str, u8)]) -> Vec<u8> {
    let entries: Vec<Value> = names
        .iter()
        .map(|(name, number)| {
            let x = URL_SAFE_NO_PAD.encode(key(*number).public().as_bytes());
            json!({"kty": "OKP", "crv": "Ed25519", "x": x, "mcpid": {"name": name}})
        })
        .collect();
    json!({"keys": entries}).to_string().into_bytes()
}

/// A running gateway. Clients address it by its loopback address.
pub(crate) struct TestGateway {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) lines: Arc<Mutex<Vec<LogLine>>>,
    pub(crate) handle: VerifierHandle,
    pub(crate) gateway: Gateway,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) ended: tokio::task::JoinHandle<usize>,
}

impl TestGateway {
    /// Starts a gateway in front of `behind` that trusts the keys 1 (alice) and 2 (Zoë).
    pub(crate) async fn before(behind: &TestUpstream) -> Self {
        TestGateway::with(behind, ServerLimits::default(), |config| config).await
    }

    pub(crate) async fn with(
        behind: &TestUpstream,
        limits: ServerLimits,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        TestGateway::by_clock(Arc::new(SystemClock), behind, limits, change).await
    }

    /// Starts a gateway that takes the time from `clock`.
    pub(crate) async fn by_clock(
        clock: Arc<dyn Clock>,
        behind: &TestUpstream,
        limits: ServerLimits,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let ListenAddress::Tcp(address) = *listener.address() else { unreachable!() };
        let config = change(GatewayConfig::new(Upstream::parse(&behind.url()).unwrap()));
        let metrics = Arc::new(Metrics::new());
        let names = [("alice", 1), ("Zoë", 2)];
        let rules = |replay| rules_by(Arc::clone(&clock), address, &names, replay);
        let retention = rules(ReplayCheck::Unchecked).retention();
        // Without its floor (the time up to which nonces may be lost), the store also accepts
        // requests that were signed before it was made.
        let store = Memory::new(clock.now(), retention, &mut SysRng).unwrap().without_floor();
        let verifier = rules(ReplayCheck::Claim(metrics.watch(Arc::new(store), drop)));
        let lines: Arc<Mutex<Vec<LogLine>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let log = Arc::new(move |line: &LogLine| kept.lock().unwrap().push(line.clone()));
        let no_tls = tls::client_without_roots().unwrap();
        let gateway =
            Gateway::new(config, verifier, no_tls, clock, Arc::clone(&metrics), log).unwrap();
        let handle = gateway.handle();
        let (stop, mut stopped) = watch::channel(false);
        let server = GatewayServer::new(gateway.clone(), listener, limits);
        let workers = Workers::new(2).unwrap();
        let ended = tokio::spawn(server.run(workers, async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        TestGateway { address, metrics, lines, handle, gateway, stop, ended }
    }

    /// Returns the gateway's log lines, as soon as there are `count` of them.
    pub(crate) async fn lines(&self, count: usize) -> Vec<LogLine> {
        for _ in 0..6_000 {
            let lines = self.lines.lock().unwrap().clone();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.lines.lock().unwrap());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns a request that is not signed.
    pub(crate) fn plain(&self, body: &str) -> Wire {
        Wire::post(&self.address.to_string(), "/mcp", body)
    }

    /// Returns a request with this body, signed by key `number` now.
    pub(crate) fn signed(&self, number: u8, body: &str) -> Wire {
        self.plain(body).sign(number, &self.url("/mcp"))
    }

    pub(crate) async fn send(&self, wire: &Wire) -> Reply {
        self.raw(&wire.bytes()).await
    }

    /// Sends these bytes on a new connection, and reads one answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close the connection before everything is sent.
        let _ = stream.write_all(bytes).await;
        Reply::read(&mut stream).await
    }
}

/// A request to be written as HTTP/1.1.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) fn post(host: &str, target: &str, body: &str) -> Self {
        Wire {
            line: format!("POST {target} HTTP/1.1"),
            fields: vec![
                ("Host".into(), host.into()),
                ("Content-Type".into(), "application/json".into()),
            ],
            body: body.as_bytes().to_vec(),
        }
    }

    pub(crate) fn get(host: &str, target: &str) -> Self {
        Wire {
            line: format!("GET {target} HTTP/1.1"),
            fields: vec![("Host".into(), host.into())],
            body: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    pub(crate) fn line(mut self, line: &str) -> Self {
        self.line = line.into();
        self
    }

    /// Signs the request for `url`.
    pub(crate) fn sign(self, number: u8, url: &str) -> Self {
        self.sign_at(SystemClock.now(), number, url)
    }

    /// Signs the request for `url`, with a signer whose clock shows `now`.
    pub(crate) fn sign_at(self, now: Timestamp, number: u8, url: &str) -> Self {
        let method = self.line.split(' ').next().unwrap();
        let mut head = Head::new(method, RequestTarget::from_url(url).unwrap()).unwrap();
        for (name, value) in &self.fields {
            head.push(name.as_str(), value.as_bytes()).unwrap();
        }
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        let signer = Signer::new(key(number), &Profile::mcp()).unwrap();
        let signed = signer.sign(&head, &Origins::unknown(), &self.body, now, &nonce).unwrap();
        let added: Vec<_> = signed.headers().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        drop(head);
        let mut wire = self;
        wire.fields.extend(added);
        wire
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        let framed = self
            .fields
            .iter()
            .any(|(n, _)| ["content-length", "transfer-encoding"].contains(&&*n.to_lowercase()));
        if !framed && (!self.body.is_empty() || self.line.starts_with("POST")) {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        [text.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// An answer, parsed by this test code.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Reads one answer. The status is 0 if the server closed the connection without an answer.
    pub(crate) async fn read(stream: &mut TcpStream) -> Self {
        let reading = async {
            let (mut bytes, mut piece) = (Vec::new(), [0_u8; 16 * 1024]);
            loop {
                if let Some(reply) = Reply::parse(&bytes, false) {
                    return reply;
                }
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => {
                        let nothing = Reply { status: 0, head: String::new(), body: Vec::new() };
                        return Reply::parse(&bytes, true).unwrap_or(nothing);
                    }
                    Ok(n) => bytes.extend_from_slice(&piece[..n]),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reading).await.expect("no answer in 60 s")
    }

    fn parse(bytes: &[u8], ended: bool) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let reply = Reply { status, head, body: bytes[end + 4..].to_vec() };
        if reply.header("transfer-encoding").is_some() {
            return (ended || bytes.ends_with(b"0\r\n\r\n")).then_some(reply);
        }
        let length = reply.header("content-length").and_then(|l| l.parse().ok());
        let whole = length.is_none_or(|length: usize| reply.body.len() >= length);
        (ended || (whole && (length.is_some() || status == 204))).then_some(reply)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Returns the reason in the body of a refusal.
    pub(crate) fn reason(&self) -> String {
        self.json()["error"]["data"]["reason"].as_str().unwrap_or_default().to_owned()
    }
}
