//! A proxy on loopback that signs each request, for a client that cannot sign. It consists of the
//! layer around hyper's client.
//!
//! ```text
//! cargo run --all-features --example sign_proxy -- key.json http://127.0.0.1:8080
//! ```
//!
//! The proxy prints its own origin and serves until its standard input ends. The keyfile must have
//! no passphrase. **While the proxy runs, every program of this machine can use the key**, also web
//! pages. So this proxy is only for tests; for other uses there is `mcpid connect --listen`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpid::clock::SystemClock;
use mcpid::key::file_io::load_keyfile;
use mcpid::message::target::Origin;
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use mcpid::tower::{BoxError, SignLayer, SignService};
use rand::rngs::SysRng;
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _};

type Signing = SignService<Client<HttpConnector, Full<Bytes>>>;
type Answer = Response<Either<Incoming, Full<Bytes>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(server)) = (arguments.next(), arguments.next()) else {
        return Err("usage: sign_proxy KEYFILE ORIGIN".into());
    };
    Origin::parse(&server)?;
    let key = load_keyfile(file.as_ref())?.open(None)?;
    let signer = Arc::new(Signer::new(Arc::new(key), &Profile::mcp())?);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let signing = SignLayer::new(signer, Arc::new(SystemClock), SysRng).layer(client);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    // Stdin has a separate thread, because a read of stdin cannot be cancelled.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let (signing, server) = (signing.clone(), server.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| pass(signing.clone(), server.clone(), request));
            let http = hyper::server::conn::http1::Builder::new();
            // An error of a client's connection concerns only that client.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pass(
    signing: Signing,
    server: String,
    request: Request<Incoming>,
) -> Result<Answer, BoxError> {
    match send(signing, &server, request).await {
        Ok(response) => Ok(response.map(Either::Left)),
        Err(error) => {
            let body = Full::from(format!("not sent, or not answered: {error}\n"));
            let mut response = Response::new(Either::Right(body));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            Ok(response)
        }
    }
}

/// Sends the same request to the server. The answer streams to the client without being read here.
async fn send(
    signing: Signing,
    server: &str,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, BoxError> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::try_from(format!("{server}{path}"))?;
    let authority = parts.uri.authority().ok_or("no authority")?.as_str();
    parts.headers.insert(HOST, HeaderValue::try_from(authority)?);
    // These headers concern one connection only, and are not sent on the next.
    for name in [CONNECTION.as_str(), "keep-alive", "te", "trailer", "transfer-encoding"] {
        parts.headers.remove(name);
    }
    parts.headers.remove("content-length");
    let body = Full::new(body.collect().await?.to_bytes());
    signing.oneshot(Request::from_parts(parts, body)).await
}
