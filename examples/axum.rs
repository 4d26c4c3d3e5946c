//! An axum server that serves only signed requests, and a client that signs. Both run in one
//! program, over loopback.
//!
//! ```text
//! cargo run --features tower --example axum
//! ```
#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
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
use mcpid::tower::{BoxError, Counters, SignLayer, Status, VerifyLayer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, ServiceExt as _};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather"}}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

/// Starts the server, sends three requests, and returns the outcomes.
pub async fn run() -> Result<Vec<String>, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let origin = Origin::parse(&format!("http://{address}"))?;

    let key = SecretKey::generate(&mut SysRng)?;
    let counters = Arc::new(Counters::new());
    let layer = layer(key.public(), &origin).await?.with_observer(Arc::clone(&counters));
    let app = Router::new().route("/mcp", post(serve)).layer(layer);
    tokio::spawn(async move { axum::serve(listener, app).await });

    // The client signs each request just before the connection sends it.
    let signer = Arc::new(Signer::new(Arc::new(key), &Profile::mcp())?);
    let connection = tower::service_fn(move |request| send(address, request));
    let client =
        SignLayer::new(signer, Arc::new(SystemClock), SysRng).with_origin(origin).layer(connection);

    let mut lines = Vec::new();
    let mut tell = |what: &str, status: http::StatusCode, text: String| {
        lines.push(format!("{what}: {} {text}", status.as_u16()));
    };
    let response = client.oneshot(request(address)?).await?;
    tell("signed", response.status(), text(response).await?);
    let response = send(address, request(address)?).await?;
    tell("unsigned", response.status(), text(response).await?);
    lines.push(format!("verified so far: {}", counters.verified()));
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

/// The application. The layer gives it the status of the request, and the body as it was sent.
async fn serve(Extension(status): Extension<Status>, request: Request) -> String {
    let length = axum::body::to_bytes(request.into_body(), 1 << 22).await.map_or(0, |b| b.len());
    match status.verified() {
        Some(verified) => {
            format!("{} sent {length} bytes", verified.name().unwrap_or("a key without a name"))
        }
        None => "nobody got here".to_owned(),
    }
}

fn request(address: SocketAddr) -> http::Result<http::Request<Full<Bytes>>> {
    http::Request::post("/mcp")
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::from(CALL))
}

/// Sends one request on a separate connection.
async fn send(
    address: SocketAddr,
    request: http::Request<Full<Bytes>>,
) -> Result<http::Response<Incoming>, BoxError> {
    let io = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn text(response: http::Response<Incoming>) -> Result<String, BoxError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}
