//! An MCP server made with rmcp behind the layer, and a client that signs. Both run in one program,
//! over loopback: a session of revision 2025-11-25, then a call of revision 2026-07-28.
//!
//! ```text
//! cargo run --features tower --example rmcp
//! ```
#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{Document, NewEntry, Registry};
use mcpid::key::{PublicKey, SecretKey, Sign as _};
use mcpid::message::target::{Origin, Origins};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{NonceStore as _, Retention};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use mcpid::tower::{BoxError, SignLayer, Status, VerifyLayer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use rmcp::handler::server::tool::Extension;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{tool, tool_router};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, ServiceExt as _};

/// A server with one tool, which answers whose signature the call has.
#[derive(Clone)]
struct Server;

#[tool_router(server_handler)]
impl Server {
    #[tool(description = "Says who signed this call")]
    async fn whoami(&self, Extension(parts): Extension<http::request::Parts>) -> String {
        let status = parts.extensions.get::<Status>();
        match status.and_then(Status::verified) {
            Some(verified) => verified.name().unwrap_or("a key without a name").to_owned(),
            None => "nobody".to_owned(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

/// Starts the server, sends the requests, and returns the outcomes.
pub async fn run() -> Result<Vec<String>, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let origin = Origin::parse(&format!("http://{address}"))?;
    let key = SecretKey::generate(&mut SysRng)?;

    let service = StreamableHttpService::new(
        || Ok(Server),
        Arc::new(LocalSessionManager::default()),
        // The layer passes on only requests for our own origins; rmcp checks the host once more.
        StreamableHttpServerConfig::default(),
    );
    let protected = layer(key.public(), &origin).await?.layer(service);
    let app = Router::new().route_service("/mcp", protected);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let signer = Signer::new(Arc::new(key), &Profile::mcp())?;
    let client = Client { address, origin, signer: Arc::new(signer) };
    let mut lines = Vec::new();

    // 2025-11-25: a session.
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "example", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello});
    let unsigned = client.plain(Method::POST, &[], &hello.to_string())?;
    lines
        .push(format!("unsigned initialize: {}", send(address, unsigned).await?.status().as_u16()));
    let response = client.signed(Method::POST, &[], &hello.to_string()).await?;
    lines.push(format!("initialize: {}", response.status().as_u16()));
    let session =
        response.headers().get("mcp-session-id").ok_or("no session")?.to_str()?.to_owned();
    drop(message(response).await?);
    let fields = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let response = client.signed(Method::POST, &fields, &ready).await?;
    lines.push(format!("initialized: {}", response.status().as_u16()));
    // The client opens the stream of the server's own messages with a GET, which is signed too.
    let stream = client.signed(Method::GET, &fields, "").await?;
    lines.push(format!("stream: {}", stream.status().as_u16()));
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "whoami", "arguments": {}}});
    let answer = message(client.signed(Method::POST, &fields, &call.to_string()).await?).await?;
    lines.push(format!("call: {}", answer["result"]["content"][0]["text"]));
    let response = client.signed(Method::DELETE, &fields, "").await?;
    lines.push(format!("delete: {}", response.status().as_u16()));
    drop(stream);

    // Revision 2026-07-28 has no session. The headers that repeat the body are covered, and
    // compared with the body.
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "example", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let call = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": {"name": "whoami", "arguments": {}, "_meta": meta}});
    let fields = |name| {
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", name)]
    };
    let response = client.signed(Method::POST, &fields("whoami"), &call.to_string()).await?;
    let answer = message(response).await?;
    lines.push(format!("stateless call: {}", answer["result"]["content"][0]["text"]));
    let response = client.signed(Method::POST, &fields("other"), &call.to_string()).await?;
    let status = response.status().as_u16();
    let answer = message(response).await?;
    lines.push(format!("another name in the header: {status} {}", answer["error"]["code"]));
    Ok(lines)
}

/// A strict layer that trusts one key.
async fn layer(key: &PublicKey, origin: &Origin) -> Result<VerifyLayer, BoxError> {
    let mut trust = Document::empty()?;
    trust.add(&NewEntry { name: Some("alice".to_owned()), ..NewEntry::new(key.clone()) })?;
    let registry = Arc::new(Registry::merge([trust.file().clone()]));
    // The key is younger than the store, so no store before this one can have seen its nonces.
    // A server whose keys come from a file leaves `without_floor` out, or shares a store.
    let now = SystemClock.now();
    let store = Arc::new(Memory::new(now, Retention::new(30, 5), &mut SysRng)?.without_floor());
    let verifier = Verifier::new(
        Profile::mcp(),
        registry,
        Origins::new([origin.clone()]),
        Arc::new(SystemClock),
        ReplayCheck::Claim(store.clone()),
    );
    store.register(now, verifier.retention()).await?;
    Ok(VerifyLayer::new(verifier)?)
}

struct Client {
    address: SocketAddr,
    origin: Origin,
    signer: Arc<Signer>,
}

impl Client {
    fn plain(
        &self,
        method: Method,
        fields: &[(&str, &str)],
        body: &str,
    ) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .uri("/mcp")
            .header("host", self.address.to_string())
            .header("accept", "application/json, text/event-stream");
        if method == Method::POST {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.method(method).body(Full::from(body.to_owned()))
    }

    async fn signed(
        &self,
        method: Method,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Result<Response<Incoming>, BoxError> {
        let address = self.address;
        let connection = tower::service_fn(move |request| send(address, request));
        SignLayer::new(Arc::clone(&self.signer), Arc::new(SystemClock), SysRng)
            .with_origin(self.origin.clone())
            .layer(connection)
            .oneshot(self.plain(method, fields, body)?)
            .await
    }
}

/// Sends one request on a separate connection.
async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, BoxError> {
    let io = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Returns the answer, from JSON or from the first event that holds an answer.
async fn message(response: Response<Incoming>) -> Result<Value, BoxError> {
    let mut body = response.into_body();
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            text.push_str(std::str::from_utf8(&data)?);
        }
        let mut lines = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line).trim());
        if let Some(message) = lines.find_map(|line| serde_json::from_str(line).ok()) {
            return Ok(message);
        }
    }
    Err(format!("no message in {text:?}").into())
}
