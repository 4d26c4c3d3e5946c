//! Tests of the layer for clients, which signs requests: the layer for servers accepts them, and a
//! request that cannot be signed is not sent.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mcpid::message::target::Origin;
use mcpid::profile::Profile;
use mcpid::sign::{Signer, SigningError};
use mcpid::tower::{BoxError, NotSigned, RequestBody, SignLayer, Status};
use rand::rngs::SysRng;
use tower::{Layer as _, Service, ServiceExt};

use crate::servers::*;

const URL: &str = "https://mcp.example.com/mcp?tenant=a%2fb";

fn signer() -> Arc<Signer> {
    Arc::new(Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap())
}

fn layer(clock: &Arc<HandClock>) -> SignLayer {
    SignLayer::new(signer(), clock.clone(), SysRng)
}

fn to_url(body: &str) -> Request<Full<Bytes>> {
    let mut request = plain(body);
    *request.uri_mut() = URL.parse().unwrap();
    request.headers_mut().remove("host");
    request
}

/// Returns a server that verifies a request and answers with its status.
fn server(
    clock: &Arc<HandClock>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<mcpid::tower::ResponseBody<Full<Bytes>>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    strict(clock).layer(tower::service_fn(
        |request: Request<RequestBody<Full<Bytes>>>| async move {
            let mut response = Response::new(Full::default());
            let status = request.extensions().get::<Status>().unwrap().as_str();
            response.headers_mut().insert("x-status", status.parse().unwrap());
            Ok::<_, Infallible>(response)
        },
    ))
}

#[tokio::test]
async fn server_layer_accepts_what_client_layer_signs() {
    let clock = clock();
    let client = layer(&clock).layer(server(&clock));
    for request in [
        to_url(CALL),
        to_url(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        Request::get(URL).body(Full::default()).unwrap(),
        Request::delete(URL).header("mcp-session-id", "s1").body(Full::default()).unwrap(),
    ] {
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-status"], "verified");
    }
    // The body is streamed. The target is only a path, and the layer has its origin as a setting.
    let path = plain(CALL).map(|_| Frames::of(CALL.as_bytes(), 3));
    let client = layer(&clock).with_origin(Origin::parse(ORIGIN).unwrap()).layer(server(&clock));
    assert_eq!(client.oneshot(path).await.unwrap().status(), 200);
    // If no origin is set, the layer assumes https for a path.
    let client = layer(&clock).layer(server(&clock));
    assert_eq!(client.oneshot(plain(CALL)).await.unwrap().status(), 200);
}

/// A service that stores the header fields of requests, and sends nothing.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<http::HeaderMap>>>);

impl Service<Request<Full<Bytes>>> for Wire {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        self.0.lock().unwrap().push(request.headers().clone());
        std::future::ready(Ok(Response::new(())))
    }
}

#[tokio::test]
async fn every_attempt_is_signed_anew() {
    let clock = clock();
    let wire = Wire::default();
    let client = layer(&clock).layer(wire.clone());
    for _ in 0..3 {
        client.clone().oneshot(to_url(CALL)).await.unwrap();
        clock.forward(1);
    }
    let sent = wire.0.lock().unwrap();
    let inputs: Vec<&str> =
        sent.iter().map(|headers| headers["signature-input"].to_str().unwrap()).collect();
    for (at, input) in inputs.iter().enumerate() {
        let created = format!(";created={};expires={}", START + at as i64, START + at as i64 + 30);
        assert!(input.contains(&created), "{input}");
        assert!(input.contains(r#"("@method" "@target-uri" "content-digest" "content-type")"#));
    }
    let nonces: std::collections::HashSet<&str> = inputs
        .iter()
        .map(|i| i.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap())
        .collect();
    assert_eq!(nonces.len(), 3);
    for headers in sent.iter() {
        for name in ["signature", "signature-input", "content-digest", "content-type"] {
            assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
        }
        assert_eq!(headers.len(), 4);
    }
}

async fn failure(layer: SignLayer, request: Request<Full<Bytes>>) -> NotSigned {
    let wire = Wire::default();
    let error: BoxError = layer.layer(wire.clone()).oneshot(request).await.unwrap_err();
    assert!(wire.0.lock().unwrap().is_empty(), "it was sent");
    *error.downcast::<NotSigned>().unwrap()
}

/// A random number generator that always fails.
struct Dry;

impl rand::TryRng for Dry {
    type Error = std::io::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Err(std::io::Error::other("dry"))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Err(std::io::Error::other("dry"))
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        Err(std::io::Error::other("dry"))
    }
}

impl rand::TryCryptoRng for Dry {}

#[tokio::test]
async fn unsignable_request_is_not_sent() {
    let clock = clock();
    let small = layer(&clock).with_max_body(10);
    assert!(matches!(failure(small, to_url(CALL)).await, NotSigned::BodyTooLarge { limit: 10 }));
    let dry = SignLayer::new(signer(), clock.clone(), Dry);
    assert!(matches!(failure(dry, to_url(CALL)).await, NotSigned::Nonce(_)));
    let mut wrong = to_url(CALL);
    let digest = mcpid::message::digest::content_digest(b"something else");
    wrong.headers_mut().insert("content-digest", digest.parse().unwrap());
    assert!(matches!(
        failure(layer(&clock), wrong).await,
        NotSigned::Signing(SigningError::Digest(_))
    ));
    let mut nowhere = plain(CALL);
    nowhere.headers_mut().remove("host");
    assert!(matches!(
        failure(layer(&clock), nowhere).await,
        NotSigned::Signing(SigningError::Target(_))
    ));
    // The request already has a signature with this label, as if another layer had signed it.
    let twice = sign_by(key(1), &clock, plain(CALL)).await;
    assert!(matches!(
        failure(layer(&clock), twice).await,
        NotSigned::Signing(SigningError::Add(_))
    ));
    let broken = to_url("").map(|_| Frames::of(b"abc", 1).and(Err("reset".into())));
    let wire = Wire::default();
    let error = layer(&clock).layer(wire.clone()).oneshot(broken).await.unwrap_err();
    assert!(matches!(*error.downcast::<NotSigned>().unwrap(), NotSigned::Body(_)));
    assert!(wire.0.lock().unwrap().is_empty());
}

/// A client that must be made ready before it is called.
#[derive(Default)]
struct Ready {
    ready: bool,
    called: Arc<AtomicUsize>,
}

impl Clone for Ready {
    fn clone(&self) -> Self {
        Ready { ready: false, called: Arc::clone(&self.called) }
    }
}

impl Service<Request<Full<Bytes>>> for Ready {
    type Response = ();
    type Error = BoxError;
    type Future = std::future::Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        self.called.fetch_add(1, Ordering::SeqCst);
        std::future::ready(match std::mem::take(&mut self.ready) {
            true => Ok(()),
            false => Err("called without being ready".into()),
        })
    }
}

#[tokio::test]
async fn the_client_that_was_ready_is_the_one_that_is_called() {
    let clock = clock();
    let inner = Ready::default();
    let called = Arc::clone(&inner.called);
    let mut client = layer(&clock).layer(inner);
    for _ in 0..3 {
        let service = ServiceExt::<Request<Full<Bytes>>>::ready(&mut client).await.unwrap();
        service.call(to_url(CALL)).await.unwrap();
    }
    assert_eq!(called.load(Ordering::SeqCst), 3);
    assert!(client.call(to_url(CALL)).await.is_err());
}
