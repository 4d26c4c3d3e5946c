//! Tests of a profile whose signatures cover the normal form of the target. The layer then passes
//! on no other spelling of a path, wherever it is placed: outside of a router, inside of one, and
//! behind one that cuts off a prefix.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::OriginalUri;
use axum::routing::any;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use mcpid::clock::{Clock, Timestamp};
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::tower::{Modes, VerifyLayer, wire_target};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::servers::*;

/// Paths whose normal form is `/v1/mcp`.
const SPELLINGS: &[&str] = &[
    "/v1/files/../mcp",
    "/files/../v1/mcp",
    "/v1/./mcp",
    "/v1/%6dcp",
    "/v1/files/x/../../mcp",
    "/./v1/mcp",
    "/v1/mc%70",
    "/files/./../v1/mcp",
];

/// Paths that have no normal form.
const WITHOUT: &[&str] = &["/v1/files/%2e%2e/mcp", "/%2E%2e/v1/mcp", "/v1/.%2e/v1/mcp"];

fn layer(clock: &Arc<HandClock>) -> VerifyLayer {
    let start = Timestamp::from_unix(START);
    let store = Memory::new(start, Retention::new(360, 60), &mut SysRng).unwrap().without_floor();
    let mut buyer = entry(&key(1), json!({}));
    buyer["use"] = json!("sig");
    buyer["key_ops"] = json!(["verify"]);
    buyer["adcp_use"] = json!("request-signing");
    let (clock, replay): (Arc<dyn Clock>, _) = (clock.clone(), ReplayCheck::Claim(Arc::new(store)));
    let registry = registry(vec![buyer]);
    VerifyLayer::new(Verifier::new(Profile::adcp(), registry, origins(), clock, replay)).unwrap()
}

/// A server that records each path that its application received.
struct Server {
    address: SocketAddr,
    paths: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server for two routes: the endpoint, and one for any file. `around` adds the layer
    /// to them.
    async fn start(around: impl FnOnce(Router) -> Router) -> Self {
        let paths = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&paths);
        let note = move |OriginalUri(uri): OriginalUri| {
            seen.lock().unwrap().push(uri.path().to_owned());
            async { "served" }
        };
        let routes = Router::new()
            .route("/mcp", any(note.clone()))
            .route("/files/{*path}", any(note.clone()))
            .fallback(any(note));
        let app = around(routes);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Server { address, paths }
    }

    /// Signs a request for `/v1/mcp` and sends it to another spelling of the path. Returns the
    /// status and the body.
    async fn ask(&self, clock: &HandClock, path: &str, is_signed: bool) -> (u16, String) {
        let mut request = plain(CALL);
        *request.uri_mut() = "/v1/mcp?a=%7e".parse().unwrap();
        if is_signed {
            request = sign_as(&Profile::adcp(), key(1), clock, request).await;
        }
        *request.uri_mut() = format!("{path}?a=%7e").parse().unwrap();
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let response = client.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn cut(routes: Router, layer: VerifyLayer) -> Router {
    let layer =
        layer.with_wire_target(|p| Some(wire_target(p, &p.extensions.get::<OriginalUri>()?.0)));
    Router::new().nest("/v1", routes.layer(layer))
}

#[tokio::test]
async fn only_the_signed_spelling_of_a_path_reaches_an_application() {
    let clock = clock();
    type Around = fn(Router, VerifyLayer) -> Router;
    let arounds: [(&str, Around); 3] = [
        ("outside", |routes, layer| Router::new().nest("/v1", routes).layer(layer)),
        ("inside", |routes, layer| {
            // The router cuts off its prefix before the layer sees the path. The layer only knows
            // the prefix if it is told.
            cut(routes, layer)
        }),
        ("around the service", |routes, layer| {
            let nested = Router::new().nest("/v1", routes);
            Router::new().fallback_service(tower::Layer::layer(&layer, nested))
        }),
    ];
    for (place, around) in arounds {
        for mode in [Modes::strict(), Modes::permissive()] {
            let layer = layer(&clock).with_modes(mode);
            let server = Server::start(|routes| around(routes, layer)).await;
            assert_eq!(server.ask(&clock, "/v1/mcp", true).await.0, 200, "{place}");
            for path in SPELLINGS.iter().chain(WITHOUT) {
                for is_signed in [true, false] {
                    let (status, body) = server.ask(&clock, path, is_signed).await;
                    // A path outside of the routers' prefix may find no route at all.
                    let is_refused = status == 401 && body.contains("request_target_uri_malformed");
                    assert!(is_refused || status == 404, "{place} {path}: {status} {body}");
                }
            }
            assert_eq!(*server.paths.lock().unwrap(), ["/v1/mcp"], "{place}");
        }
    }
}

#[tokio::test]
async fn profiles_that_sign_the_exact_target_take_any_spelling_that_was_signed() {
    let clock = clock();
    let server =
        Server::start(|routes| Router::new().nest("/v1", routes).layer(strict(&clock))).await;
    for path in SPELLINGS {
        let mut request = plain(CALL);
        *request.uri_mut() = path.parse().unwrap();
        let request = sign_by(key(1), &clock, request).await;
        let io = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
        let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let status = client.send_request(request).await.unwrap().status().as_u16();
        assert!([200, 404].contains(&status), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_field_that_differs_from_the_signed_body_is_refused() {
    let clock = clock();
    let layer = layer(&clock);
    let seen = Seen::default();
    for (name, value, is_right) in [
        ("mcp-method", "tools/call", true),
        ("mcp-name", "get_weather", true),
        ("mcp-method", "tools/list", false),
        ("mcp-method", "Tools/Call", false),
        ("mcp-name", "delete_db", false),
        ("mcp-name", "=?base64?ZGVsZXRlX2Ri?=", false),
        ("mcp-name", "", false),
    ] {
        let mut request: Request<_> = sign_as(&Profile::adcp(), key(1), &clock, plain(CALL)).await;
        request.headers_mut().insert(name, value.parse().unwrap());
        if is_right {
            let answer = through(&layer, &seen, request).await;
            assert_eq!(answer.status(), 202, "{name}: {value}");
        } else {
            let answer = refused(&layer, request).await;
            let told = (answer.status, answer.reason());
            assert_eq!(told, (400, "header_body_mismatch"), "{name}: {value}");
        }
    }
}
