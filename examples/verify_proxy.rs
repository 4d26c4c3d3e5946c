//! A proxy on loopback that passes on signed requests only. It consists of the layer around hyper's
//! client, in an axum router; `mcpid gateway` is the program for production.
//!
//! ```text
//! cargo run --all-features --example verify_proxy -- http://127.0.0.1:8000 trust.json nonces.db 8080
//! ```
//!
//! The proxy serves `http://127.0.0.1:8080/mcp` until its standard input ends.
#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::target::{Origin, Origins};
use mcpid::nonce::Retention;
use mcpid::nonce::open::StoreOptions;
use mcpid::nonce::url::StoreUrl;
use mcpid::profile::Profile;
use mcpid::tower::{BoxError, RequestBody, SessionBindings, Status, VerifyLayer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tower::Layer as _;

type Body = RequestBody<axum::body::Body>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [upstream, trust, nonces, port] = &arguments[..] else {
        return Err("usage: verify_proxy UPSTREAM TRUST NONCES PORT".into());
    };
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let layer = layer(&std::fs::read(trust)?, nonces, &origin).await?;
    println!("{origin}");
    // Stdin has a separate thread, because a read of stdin cannot be cancelled.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(HttpConnector::new());
    let upstream: Arc<str> = Arc::from(upstream.as_str());
    let proxy = tower::service_fn(move |request| pass(client.clone(), upstream.clone(), request));
    let app = Router::new().route_service("/mcp", layer.layer(proxy));
    axum::serve(listener, app).await?;
    Ok(())
}

/// A strict layer that binds sessions to keys, with its nonces in a file.
async fn layer(trust: &[u8], nonces: &str, origin: &str) -> Result<VerifyLayer, BoxError> {
    let registry = Arc::new(Registry::merge([TrustFile::parse(trust)?]));
    let (now, retention) = (SystemClock.now(), Retention::new(30, 5));
    let url = StoreUrl::parse(&format!("sqlite:{nonces}"))?;
    let store = StoreOptions::new(url).open_for_claims(now, retention, &mut SysRng)?;
    let verifier = Verifier::new(
        Profile::mcp(),
        registry,
        Origins::new([Origin::parse(origin)?]),
        Arc::new(SystemClock),
        ReplayCheck::Claim(store.clone()),
    );
    store.register(now, verifier.retention()).await?;
    Ok(VerifyLayer::new(verifier)?.with_sessions(Arc::new(SessionBindings::default())))
}

/// Passes a verified request on, and says who signed it. The answer streams to the client.
async fn pass(
    client: Client<HttpConnector, Body>,
    upstream: Arc<str>,
    request: Request<Body>,
) -> Result<Response<axum::body::Body>, std::convert::Infallible> {
    let sent = send(client, &upstream, request).await;
    Ok(sent.unwrap_or_else(|error| {
        let mut response = Response::new(axum::body::Body::from(format!("{error}\n")));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

async fn send(
    client: Client<HttpConnector, Body>,
    upstream: &str,
    request: Request<Body>,
) -> Result<Response<axum::body::Body>, BoxError> {
    let (mut parts, body) = request.into_parts();
    let status = parts.extensions.get::<Status>().ok_or("no verdict")?;
    let status = HeaderValue::from_static(status.as_str());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::try_from(format!("{upstream}{path}"))?;
    parts.headers.insert("mcpid-status", status);
    // These headers concern one connection only, and are not sent on the next.
    for name in [CONNECTION.as_str(), HOST.as_str(), "keep-alive", "te", "transfer-encoding"] {
        parts.headers.remove(name);
    }
    let response = client.request(Request::from_parts(parts, body)).await?;
    let mut response = response.map(|body| axum::body::Body::new(body.map_err(BoxError::from)));
    response.headers_mut().remove(CONNECTION);
    response.headers_mut().remove("transfer-encoding");
    Ok(response)
}
