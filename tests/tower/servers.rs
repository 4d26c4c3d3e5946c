//! Fixtures for the tests of the layers: a clock that the test sets, a trusted key, a layer that
//! accepts requests of that key, and a service that stores what it receives.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use mcpid::clock::{Clock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::NonceStore;
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::tower::{BoxError, Refusal, RequestBody, ResponseBody, Status, VerifyLayer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

pub(crate) const START: i64 = 1_795_392_000;
pub(crate) const ORIGIN: &str = "https://mcp.example.com";
pub(crate) const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather"}}"#;

/// A clock that the test sets.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn clock() -> Arc<HandClock> {
    Arc::new(HandClock(AtomicI64::new(START)))
}

/// Returns the secret key of this number. None of these keys is published.
pub(crate) fn key(number: u8) -> SecretKey {
    let mut seed = *b"0 seed that the tower tests keep";
    seed[0] = number;
    SecretKey::from_seed(&seed)
}

/// Returns the trust file's entry for a key, with further members in `mcpid`.
pub(crate) fn entry(key: &SecretKey, mut ours: Value) -> Value {
    ours["name"] = json!("alice");
    let x = URL_SAFE_NO_PAD.encode(key.public().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "mcpid": ours})
}

pub(crate) fn registry(entries: Vec<Value>) -> Arc<Registry> {
    let file = TrustFile::parse(json!({"keys": entries}).to_string().as_bytes()).unwrap();
    Arc::new(Registry::merge([file]))
}

pub(crate) fn store() -> Memory {
    let start = Timestamp::from_unix(START);
    Memory::new(start, Retention::new(30, 5), &mut SysRng).unwrap().without_floor()
}

pub(crate) fn origins() -> Origins {
    Origins::new([Origin::parse(ORIGIN).unwrap()])
}

pub(crate) fn verifier(
    clock: &Arc<HandClock>,
    registry: Arc<Registry>,
    store: Arc<dyn NonceStore>,
) -> Verifier {
    let clock: Arc<dyn Clock> = clock.clone();
    Verifier::new(Profile::mcp(), registry, origins(), clock, ReplayCheck::Claim(store))
}

/// Returns a verifier that trusts key 1 without limits.
pub(crate) fn trusting(clock: &Arc<HandClock>) -> Verifier {
    verifier(clock, registry(vec![entry(&key(1), json!({}))]), Arc::new(store()))
}

pub(crate) fn strict(clock: &Arc<HandClock>) -> VerifyLayer {
    VerifyLayer::new(trusting(clock)).unwrap()
}

/// Returns a request that is not signed.
pub(crate) fn plain(body: &str) -> Request<Full<Bytes>> {
    Request::post("/mcp?tenant=a%2fb")
        .header("host", "mcp.example.com")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

/// Returns a request of another HTTP method, without content.
pub(crate) fn bare(method: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/mcp")
        .header("host", "mcp.example.com")
        .body(Full::default())
        .unwrap()
}

/// Signs `request`, of any method, with `key` at the time of the clock.
pub(crate) async fn sign_by(
    key: SecretKey,
    at: &HandClock,
    request: Request<Full<Bytes>>,
) -> Request<Full<Bytes>> {
    sign_as(&Profile::mcp(), key, at, request).await
}

/// Signs `request`, of any method, by the rules of `profile`.
pub(crate) async fn sign_as(
    profile: &Profile,
    key: SecretKey,
    at: &HandClock,
    request: Request<Full<Bytes>>,
) -> Request<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let mut head = Head::new(parts.method.as_str(), RequestTarget::Origin(target.into())).unwrap();
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes()).unwrap();
    }
    let signer = Signer::new(Arc::new(key), profile).unwrap();
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let signed = signer.sign(&head, &origins(), &body, at.now(), &nonce).unwrap();
    drop(head);
    for (name, value) in signed.headers() {
        let name = http::HeaderName::try_from(name).unwrap();
        parts.headers.insert(name, value.parse().unwrap());
    }
    Request::from_parts(parts, Full::new(body))
}

pub(crate) async fn signed(at: &HandClock, body: &str) -> Request<Full<Bytes>> {
    sign_by(key(1), at, plain(body)).await
}

/// The requests that reached the service, and their number.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) calls: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<(Status, Bytes)>>>,
}

impl Seen {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn status(&self) -> Status {
        self.last.lock().unwrap().as_ref().unwrap().0.clone()
    }

    pub(crate) fn body(&self) -> Bytes {
        self.last.lock().unwrap().as_ref().unwrap().1.clone()
    }
}

/// Sends `request` through `layer` to a service that stores it and answers 202. Returns the answer.
pub(crate) async fn through<B>(
    layer: &VerifyLayer,
    seen: &Seen,
    request: Request<B>,
) -> Response<ResponseBody<Full<Bytes>>>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let seen = seen.clone();
    let service = tower::service_fn(move |request: Request<RequestBody<B>>| {
        let seen = seen.clone();
        async move {
            seen.calls.fetch_add(1, Ordering::SeqCst);
            let status = request.extensions().get::<Status>().unwrap().clone();
            let body = request.into_body().collect().await?;
            assert!(body.trailers().is_none(), "trailers are never handed on");
            *seen.last.lock().unwrap() = Some((status, body.to_bytes()));
            let mut response = Response::new(Full::new(Bytes::from_static(b"served")));
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok::<_, BoxError>(response)
        }
    });
    layer.layer(service).oneshot(request).await.unwrap()
}

/// The parts of a refusal that the tests check.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) refused: Option<Refusal>,
    pub(crate) json: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.get_all(name).iter();
        let first = lines.next().map(|value| value.to_str().unwrap());
        assert!(lines.next().is_none(), "{name} stands twice");
        first
    }

    pub(crate) fn reason(&self) -> &str {
        self.json["error"]["data"]["reason"].as_str().unwrap()
    }
}

/// Sends a request that the layer must refuse, and returns the refusal.
pub(crate) async fn refused<B>(layer: &VerifyLayer, request: Request<B>) -> Answer
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let seen = Seen::default();
    let response = through(layer, &seen, request).await;
    assert_eq!(seen.calls(), 0, "a refused request reached the service");
    let (parts, body) = response.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    Answer {
        status: parts.status.as_u16(),
        refused: parts.extensions.get::<Refusal>().cloned(),
        headers: parts.headers,
        json: serde_json::from_str(&text).unwrap_or_default(),
        text,
    }
}

/// A body that consists of given frames, and counts how many of them were polled.
pub(crate) struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    pub(crate) polled: Arc<AtomicUsize>,
    hint: Option<u64>,
    before: Option<Box<dyn FnMut(usize) + Send>>,
}

impl Frames {
    pub(crate) fn new(frames: impl IntoIterator<Item = Bytes>) -> Self {
        Frames {
            frames: frames.into_iter().map(|bytes| Ok(Frame::data(bytes))).collect(),
            polled: Arc::default(),
            hint: None,
            before: None,
        }
    }

    /// Makes a body of frames with `size` bytes each.
    pub(crate) fn of(text: &[u8], size: usize) -> Self {
        Frames::new(text.chunks(size).map(Bytes::copy_from_slice))
    }

    pub(crate) fn and(mut self, frame: Result<Frame<Bytes>, BoxError>) -> Self {
        self.frames.push_back(frame);
        self
    }

    /// Announces a length, as `Content-Length` does.
    pub(crate) fn announcing(mut self, length: u64) -> Self {
        self.hint = Some(length);
        self
    }

    /// Calls `before` before each frame, with the number of frames so far.
    pub(crate) fn calling(mut self, before: impl FnMut(usize) + Send + 'static) -> Self {
        self.before = Some(Box::new(before));
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let so_far = self.polled.fetch_add(1, Ordering::SeqCst);
        if let Some(before) = &mut self.before {
            before(so_far);
        }
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        self.hint.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Returns the request with another body, which must have the same bytes for the signature to stay
/// valid.
pub(crate) fn with_body<B>(request: Request<Full<Bytes>>, body: B) -> Request<B> {
    request.map(|_| body)
}
