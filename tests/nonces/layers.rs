//! Tests of several servers that share one nonce store: one of them accepts a request, once. After
//! a fault of the store, none accepts a request that could be a replay.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::NonceStore;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::tower::VerifyLayer;
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _};

use crate::contract::retention;
use crate::redis_servers::{Server, options};

const BODY: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#;
const URL: &str = "https://mcp.example.com/mcp";

/// A signer, and the registry of trusted keys with the signer's key.
struct TrustedSigner(Signer, Arc<Registry>);

impl TrustedSigner {
    fn new() -> Self {
        let secret = SecretKey::generate(&mut SysRng).unwrap();
        let jwks = format::jwks(secret.public(), None);
        let registry = Registry::merge([TrustFile::parse(jwks.as_bytes()).unwrap()]);
        TrustedSigner(Signer::new(Arc::new(secret), &Profile::mcp()).unwrap(), Arc::new(registry))
    }

    fn layer(&self, store: Arc<dyn NonceStore>) -> VerifyLayer {
        let origins = Origins::new([Origin::parse("https://mcp.example.com").unwrap()]);
        let (registry, clock) = (Arc::clone(&self.1), Arc::new(SystemClock));
        let replay = ReplayCheck::Claim(store);
        VerifyLayer::new(Verifier::new(Profile::mcp(), registry, origins, clock, replay)).unwrap()
    }

    fn signed(&self) -> Request<Full<Bytes>> {
        let target = RequestTarget::from_url(URL.to_owned()).unwrap();
        let mut head = Head::new("POST", target).unwrap();
        head.push("content-type", b"application/json".as_slice()).unwrap();
        let (now, nonce) = (SystemClock.now(), Nonce::generate(&mut SysRng).unwrap());
        let signed = self.0.sign(&head, &Origins::unknown(), BODY.as_bytes(), now, &nonce).unwrap();
        let request = Request::post("/mcp").header("host", "mcp.example.com");
        let request = request.header("content-type", "application/json");
        let fields = signed.headers();
        let request = fields.into_iter().fold(request, |request, (n, v)| request.header(n, v));
        request.body(Full::from(BODY)).unwrap()
    }
}

/// Returns status, `Retry-After` and body of the answer of a server with `layer`.
async fn answer(layer: &VerifyLayer, request: Request<Full<Bytes>>) -> (u16, Option<i64>, String) {
    let service =
        tower::service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::from("done"))));
    let response = layer.layer(service).oneshot(request).await.unwrap();
    let after = response.headers().get("retry-after").map(|v| v.to_str().unwrap().parse().unwrap());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok().unwrap().to_bytes();
    (status, after, String::from_utf8(body.to_vec()).unwrap())
}

/// Sends 32 copies of each request to two servers that share a store. One copy must be accepted.
async fn one_of_all_copies_passes(signer: &TrustedSigner, layers: &[VerifyLayer]) {
    for _ in 0..8 {
        let request = signer.signed();
        let mut all = JoinSet::new();
        for i in 0..32 {
            let (layer, request) = (layers[i % layers.len()].clone(), request.clone());
            all.spawn(async move { answer(&layer, request).await });
        }
        let answers = all.join_all().await;
        let passed = answers.iter().filter(|answer| answer.0 == 200).count();
        let replayed = answers.iter().filter(|a| a.0 == 403 && a.2.contains("nonce_replayed"));
        assert_eq!((passed, replayed.count()), (1, 31));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_that_share_servers_let_a_request_in_once() {
    let server = Server::start(&[]);
    let signer = TrustedSigner::new();
    let open = || {
        let long_ago = SystemClock.now().plus(-100);
        signer
            .layer(Arc::new(options(&server.url()).open_for_claims(long_ago, retention()).unwrap()))
    };
    let layers = [open(), open()];
    one_of_all_copies_passes(&signer, &layers).await;
    // After the store lost its nonces, an accepted request and a new one both get 503 with
    // `Retry-After`.
    let old = signer.signed();
    assert_eq!(answer(&layers[0], old.clone()).await.0, 200);
    server.cli(&["FLUSHALL"]);
    let mut told = None;
    for layer in layers.iter().cycle().take(20) {
        let (status, after, body) = answer(layer, signer.signed()).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.contains("unavailable") && !body.contains("redis"), "{body}");
        told = told.max(after);
        // The first attempt after the loss may have stored the nonce again, so later ones may be
        // refused as replays.
        let (status, _, body) = answer(layer, old.clone()).await;
        assert!(status == 503 || (status == 403 && body.contains("nonce_replayed")), "{body}");
    }
    assert!(told.is_some_and(|seconds| (30..=36).contains(&seconds)), "{told:?}");
    server.kill();
    let (status, after, _) = answer(&layers[0], signer.signed()).await;
    assert!(status == 503 && after.is_some(), "{status} {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_that_share_a_file_let_a_request_in_once() {
    let folder = TempDir::new().unwrap();
    let signer = TrustedSigner::new();
    let open = |boot: &str, start| {
        let path = folder.path().join("nonces.db");
        let options = mcpid::nonce::sqlite::SqliteOptions::new(path, Some(boot.to_owned()));
        signer.layer(Arc::new(options.open_for_claims(start, retention()).unwrap()))
    };
    let long_ago = SystemClock.now().plus(-100);
    let layers = [open("this boot", long_ago), open("this boot", long_ago)];
    one_of_all_copies_passes(&signer, &layers).await;
    drop(layers);
    let next = open("the next boot", SystemClock.now());
    let (status, after, body) = answer(&next, signer.signed()).await;
    assert_eq!(status, 503, "{body}");
    assert!(after.is_some_and(|seconds| (4..=6).contains(&seconds)), "{after:?}");
}
